# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stand-ins of NetTCPIP, NetAdapter, NetConnection and DnsClient, over the state of a simulated server."""

from __future__ import annotations

import ipaddress
import typing as t

from lab.cim import (
    STANDARD,
    Command,
    Object,
    Parameters,
    as_list,
    instance,
    only,
    query,
    refuse,
    require_administrator,
    windows_error,
)
from lab.core import State
from lab.errors import CmdletError

LOOPBACK = {
    "if_index": 1,
    "alias": "Loopback Pseudo-Interface 1",
    "address": "127.0.0.1/8",
    "metric": 75,
    "dhcp": False,
    "status": "Up",
}
STORES = {"ActiveStore": "active", "PersistentStore": "persistent"}
BY_INTERFACE = {"InterfaceIndex": "InterfaceIndex", "InterfaceAlias": "InterfaceAlias"}
ROUTE_PROPERTIES = ("DestinationPrefix", "NextHop", "AddressFamily", "RouteMetric", "Protocol", "Publish")


def _store(parameters: Parameters) -> str | None:
    """Take the policy store out of the parameters: which one is no property that a query compares."""
    store = parameters.pop("PolicyStore", None)
    if store is None:
        return None
    found = next((known for known in STORES if known.lower() == str(store).lower()), None)
    if not found:
        raise windows_error(87, f"Invalid parameter PolicyStore {store}", "InvalidArgument", "PolicyStore")
    return found


def _select(kind: str, objects: list[Object], parameters: Parameters, *properties: str) -> list[Object]:
    """Return the objects that fit, among others those of the interface of an object that came through the pipeline."""
    parameters.pop("IncludeAllCompartments", None)
    for name in [name for name in parameters if name.startswith("Associated")]:
        shown = parameters.pop(name)["properties"]
        parameters["InterfaceIndex"] = [shown["InterfaceIndex"]]
        if "AddressFamily" in shown:
            parameters["AddressFamily"] = [shown["AddressFamily"]]
    return query(kind, objects, parameters, {**BY_INTERFACE, **{name: name for name in properties}})


def _alias(state: State, index: int) -> str:
    return next((str(nic["alias"]) for nic in (LOOPBACK, *state["nics"]) if nic["if_index"] == index), "")


def _route(state: State, route: dict[str, t.Any], store: str, family: str = "IPv4") -> Object:
    metrics = {nic["if_index"]: nic["metric"] for nic in (LOOPBACK, *state["nics"])}
    properties = {
        "DestinationPrefix": route["dest"],
        "NextHop": route["next_hop"],
        "InterfaceIndex": route["if_index"],
        "ifIndex": route["if_index"],
        "InterfaceAlias": _alias(state, route["if_index"]),
        "InterfaceMetric": metrics.get(route["if_index"]),
        "RouteMetric": route["metric"],
        "AddressFamily": family,
        "Protocol": route.get("protocol", "NetMgmt"),
        "Publish": "No",
        "Store": store,
    }
    return instance("MSFT_NetRoute", STANDARD, properties)


def routes(state: State, store: str) -> list[Object]:
    """Return the routes of a store."""
    found = [_route(state, route, store) for route in state["routes"][STORES[store]]]
    if store == "ActiveStore":
        ipv6 = [{**route, "dest": "::/0"} for route in state["ipv6_defaults"]]
        ipv6 += [
            {"dest": "ff00::/8", "next_hop": "::", "if_index": nic["if_index"], "metric": 256, "protocol": "Local"}
            for nic in state["nics"]
        ]
        found += [_route(state, route, store, "IPv6") for route in ipv6]
    return found


def get_route(state: State, parameters: Parameters, set_name: str) -> list[Object]:
    """List routes, of the active store unless another one is named."""
    store = _store(parameters) or "ActiveStore"
    return _select("MSFT_NetRoute", routes(state, store), parameters, *ROUTE_PROPERTIES)


def new_route(state: State, parameters: Parameters, set_name: str) -> list[Object]:
    """Add a route, to both stores unless the active one is named. The persistent one cannot be named alone."""
    require_administrator(state, "Windows System Error 5")
    store = _store(parameters)
    only(
        parameters,
        "DestinationPrefix",
        "NextHop",
        "InterfaceIndex",
        "InterfaceAlias",
        "RouteMetric",
        "AddressFamily",
        "Protocol",
    )
    if store == "PersistentStore":
        raise windows_error(87, "Invalid parameter PolicyStore PersistentStore", "InvalidArgument", "MSFT_NetRoute")
    prefix, hop = str(parameters["DestinationPrefix"]), str(parameters.get("NextHop", ""))
    if ":" in prefix + hop or parameters.get("AddressFamily") == "IPv6":
        raise refuse("adds no routes for IPv6")
    try:
        if "/" not in prefix:
            raise ValueError
        ipaddress.IPv4Network(prefix)
        ipaddress.IPv4Address(hop or "0.0.0.0")
    except ValueError as error:
        raise windows_error(
            87, f"Invalid parameter DestinationPrefix {prefix}, NextHop {hop}", "InvalidArgument", "MSFT_NetRoute"
        ) from error
    if "InterfaceAlias" in parameters:
        fitting = [
            nic["if_index"]
            for nic in state["nics"]
            if nic["alias"].lower() == str(parameters["InterfaceAlias"]).lower()
        ]
        if not fitting:
            raise windows_error(
                87,
                f"Invalid parameter InterfaceAlias {parameters['InterfaceAlias']}",
                "InvalidArgument",
                "MSFT_NetRoute",
            )
        index = fitting[0]
    else:
        index = parameters["InterfaceIndex"]
        if index not in {nic["if_index"] for nic in state["nics"]}:
            raise windows_error(1168, "Element not found.", "ObjectNotFound", "MSFT_NetRoute")
    route = {"dest": prefix, "next_hop": hop or "0.0.0.0", "if_index": index}
    stores = [store] if store else list(STORES)
    keys = tuple(route)
    if any(all(known[key] == route[key] for key in keys) for each in stores for known in state["routes"][STORES[each]]):
        raise windows_error(87, "Instance MSFT_NetRoute already exists", "InvalidArgument", "MSFT_NetRoute")
    route |= {"metric": parameters.get("RouteMetric", 256), "protocol": parameters.get("Protocol", "NetMgmt")}
    for each in stores:
        state["routes"][STORES[each]].append(dict(route))
    return [_route(state, route, each) for each in stores]


def remove_route(state: State, parameters: Parameters, set_name: str) -> list[Object]:
    """Remove the routes that fit, from both stores unless one is named."""
    require_administrator(state, "Windows System Error 5")
    parameters.pop("PassThru", None)
    if set_name == "InputObject":
        only(parameters, "InputObject")
        doomed = [(each["properties"]["Store"], each["properties"]) for each in as_list(parameters["InputObject"])]
    else:
        store = _store(parameters)
        # Those of both stores are one query: what is in one of them has been found.
        both = [each for name in ([store] if store else STORES) for each in routes(state, name)]
        found = _select("MSFT_NetRoute", both, parameters, *ROUTE_PROPERTIES)
        doomed = [(each["properties"]["Store"], each["properties"]) for each in found]
    if any(route["AddressFamily"] == "IPv6" for _store, route in doomed):
        raise refuse("removes no routes of IPv6")
    for store, route in doomed:
        key = {"dest": route["DestinationPrefix"], "next_hop": route["NextHop"], "if_index": route["InterfaceIndex"]}
        kept = [
            known
            for known in state["routes"][STORES[store]]
            if any(known[name] != value for name, value in key.items())
        ]
        if len(kept) == len(state["routes"][STORES[store]]):
            raise windows_error(1168, "Element not found.", "ObjectNotFound", "MSFT_NetRoute")
        state["routes"][STORES[store]] = kept
        value = state["registry"].get(settings_key(route["InterfaceIndex"]), {}).get("DefaultGateway")
        if value and STORES[store] == "persistent" and route["DestinationPrefix"] == "0.0.0.0/0":
            value["data"] = [hop for hop in value["data"] if hop != route["NextHop"]]
    return []


def settings_key(index: int) -> str:
    """Return the registry key of a card's own settings, its default gateways among them."""
    return (
        rf"HKLM:\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters\Interfaces\{{00000000-0000-0000-0000-{index:012d}}}"
    )


def best_route(state: State, address: ipaddress.IPv4Address) -> dict[str, t.Any] | None:
    """Return the active route by which packets to an address leave."""
    metrics = {nic["if_index"]: nic["metric"] for nic in (LOOPBACK, *state["nics"])}
    fitting = [route for route in state["routes"]["active"] if address in ipaddress.IPv4Network(route["dest"])]

    def order(route: dict[str, t.Any]) -> tuple[int, int]:
        return -ipaddress.IPv4Network(route["dest"]).prefixlen, route["metric"] + metrics.get(route["if_index"], 0)

    return min(fitting, key=order, default=None)


def find_route(state: State, parameters: Parameters, set_name: str) -> list[Object]:
    """Return the local address and the route by which an address is reached."""
    only(parameters, "RemoteIPAddress")
    route = best_route(state, ipaddress.IPv4Address(parameters["RemoteIPAddress"]))
    if route is None:
        raise windows_error(1232, "The network location cannot be reached.", "NotSpecified", "MSFT_NetRoute")
    local = [each for each in addresses(state) if each["properties"]["InterfaceIndex"] == route["if_index"]]
    return [*local[:1], _route(state, route, "ActiveStore")]


def neighbors(state: State) -> dict[str, str]:
    """Return the link-layer addresses of the neighbours that answer: the routers that live, and ``state["neighbors"]``."""
    routers = {hop: "00-00-5E-00-53-" + format(int(hop.rpartition(".")[2]), "02X") for hop in state["gateways"]}
    return routers | dict(state.get("neighbors", {}))


def answers(state: State, address: ipaddress.IPv4Address) -> bool:
    """Report whether an echo request is answered: by a neighbour itself, or through a router that lives and forwards it."""
    route = best_route(state, address)
    if route is None:
        return False
    if route["next_hop"] == "0.0.0.0":
        return str(address) in neighbors(state)
    return any(address in ipaddress.IPv4Network(prefix) for prefix in state["gateways"].get(route["next_hop"], []))


def get_neighbor(state: State, parameters: Parameters, set_name: str) -> list[Object]:
    """List the neighbours of each interface."""
    live, found = neighbors(state), []
    hops = {route["next_hop"] for route in state["routes"]["active"]} - {"0.0.0.0"}
    gone = dict.fromkeys(sorted(hops), "00-00-00-00-00-00")
    for nic in state["nics"]:
        for address, mac in {**gone, **live}.items():
            if ipaddress.IPv4Address(address) in ipaddress.IPv4Interface(nic["address"]).network:
                properties = {
                    "IPAddress": address,
                    "InterfaceIndex": nic["if_index"],
                    "InterfaceAlias": nic["alias"],
                    "LinkLayerAddress": mac,
                    "State": "Reachable" if address in live else "Unreachable",
                    "AddressFamily": "IPv4",
                    "Store": "Active",
                }
                found.append(instance("MSFT_NetNeighbor", STANDARD, properties))
    if _store(parameters) == "PersistentStore":
        raise refuse("knows no permanent neighbours")
    names = ("IPAddress", "LinkLayerAddress", "State", "AddressFamily")
    return _select("MSFT_NetNeighbor", found, parameters, *names)


def get_interface(state: State, parameters: Parameters, set_name: str) -> list[Object]:
    """List the interfaces of both address families, the loopback among them."""
    if _store(parameters) == "PersistentStore":
        raise refuse("knows no persistent settings of interfaces")
    found = [
        instance(
            "MSFT_NetIPInterface",
            STANDARD,
            {
                "InterfaceIndex": nic["if_index"],
                "ifIndex": nic["if_index"],
                "InterfaceAlias": nic["alias"],
                "AddressFamily": family,
                "InterfaceMetric": nic["metric"],
                "Dhcp": "Enabled" if nic["dhcp"] else "Disabled",
                "ConnectionState": "Connected" if nic.get("status", "Up") == "Up" else "Disconnected",
                "Forwarding": "Disabled",
                "NlMtu": 1500,
                "Store": "ActiveStore",
            },
        )
        for family in ("IPv6", "IPv4")
        for nic in (*state["nics"], LOOPBACK)
    ]
    names = ("AddressFamily", "InterfaceMetric", "Dhcp", "ConnectionState", "Forwarding")
    return _select("MSFT_NetIPInterface", found, parameters, *names)


def get_adapter(state: State, parameters: Parameters, set_name: str) -> list[Object]:
    """List the network adapters; the loopback is none."""
    found = [
        instance(
            "MSFT_NetAdapter",
            STANDARD,
            {
                "Name": nic["alias"],
                "InterfaceAlias": nic["alias"],
                "InterfaceIndex": nic["if_index"],
                "ifIndex": nic["if_index"],
                "InterfaceDescription": "Microsoft Hyper-V Network Adapter",
                "InterfaceGuid": f"{{00000000-0000-0000-0000-{nic['if_index']:012d}}}",
                "MacAddress": nic["mac"],
                "Status": nic.get("status", "Up"),
                "LinkSpeed": "10 Gbps",
            },
        )
        for nic in state["nics"]
    ]
    names = {"Name": "Name", "InterfaceIndex": "InterfaceIndex", "InterfaceDescription": "InterfaceDescription"}
    return query(
        "MSFT_NetAdapter",
        found,
        {key: value for key, value in parameters.items() if key not in ("Physical", "IncludeHidden")},
        names,
    )


def addresses(state: State) -> list[Object]:
    """Return the addresses of every interface."""
    found = []
    for nic in (*state["nics"], {**LOOPBACK, "address": "::1/128"}, LOOPBACK):
        address, length = nic["address"].split("/")
        properties = {
            "IPAddress": address,
            "PrefixLength": int(length),
            "InterfaceIndex": nic["if_index"],
            "ifIndex": nic["if_index"],
            "InterfaceAlias": nic["alias"],
            "AddressFamily": "IPv6" if ":" in address else "IPv4",
            "Type": "Unicast",
            "PrefixOrigin": "WellKnown" if nic["if_index"] == 1 else "Dhcp" if nic["dhcp"] else "Manual",
            "AddressState": "Preferred",
            "Store": "ActiveStore",
        }
        found.append(instance("MSFT_NetIPAddress", STANDARD, properties))
    return found


def get_address(state: State, parameters: Parameters, set_name: str) -> list[Object]:
    """List addresses."""
    if _store(parameters) == "PersistentStore":
        raise refuse("knows no persistent addresses")
    names = ("IPAddress", "AddressFamily", "PrefixLength", "PrefixOrigin", "AddressState", "Type")
    return _select("MSFT_NetIPAddress", addresses(state), parameters, *names)


def get_connection(state: State, parameters: Parameters, set_name: str) -> list[Object]:
    """List TCP connections; ``state["sessions"]`` are established unless they name another state."""
    found = [
        instance(
            "MSFT_NetTCPConnection",
            STANDARD,
            {
                "LocalAddress": session["local_address"],
                "LocalPort": session["local_port"],
                "RemoteAddress": session["remote_address"],
                "RemotePort": session["remote_port"],
                "State": session.get("state", "Established"),
                "OwningProcess": 4,
            },
        )
        for session in state["sessions"]
    ]
    names = ("LocalAddress", "LocalPort", "RemoteAddress", "RemotePort", "State", "OwningProcess")
    return query("MSFT_NetTCPConnection", found, parameters, {name: name for name in names})


def get_dns_servers(state: State, parameters: Parameters, set_name: str) -> list[Object]:
    """List the DNS servers of each interface and address family; those of the state are the last card's."""
    found = []
    for nic in (*state["nics"], LOOPBACK):
        for family in ("IPv4", "IPv6"):
            own = state["dns_servers"] if family == "IPv4" and nic is state["nics"][-1] else []
            properties = {
                "InterfaceAlias": nic["alias"],
                "InterfaceIndex": nic["if_index"],
                "AddressFamily": family,
                "ServerAddresses": list(own),
            }
            found.append(instance("MSFT_DNSClientServerAddress", STANDARD, properties))
    return _select("MSFT_DNSClientServerAddress", found, parameters, "AddressFamily")


def network_of(state: State, nic: dict[str, t.Any]) -> str:
    """Return what Windows calls the network on a card: behind a gateway that is in ``state["new_networks"]``, it is another, new one."""
    hops = [
        route["next_hop"]
        for route in state["routes"]["active"]
        if (route["dest"], route["if_index"]) == ("0.0.0.0/0", nic["if_index"])
    ]
    new = [hop for hop in hops if hop in state.get("new_networks", [])]
    return f"{nic['alias']} behind {new[0]}" if new else str(nic["alias"])


def category_of(state: State, nic: dict[str, t.Any]) -> str:
    """Return the category of the network on a card: a new one is public until somebody says otherwise."""
    network = network_of(state, nic)
    return str(state.get("categories", {}).get(network, "Private" if network == nic["alias"] else "Public"))


def _profiles(state: State) -> list[Object]:
    return [
        instance(
            "MSFT_NetConnectionProfile",
            STANDARD,
            {
                "Name": state.get("networks", {}).get(nic["alias"], "Network"),
                "InterfaceAlias": nic["alias"],
                "InterfaceIndex": nic["if_index"],
                "NetworkCategory": category_of(state, nic),
                "IPv4Connectivity": "LocalNetwork",
                "IPv6Connectivity": "NoTraffic",
            },
        )
        for nic in state["nics"]
        if nic.get("status", "Up") == "Up"
    ]


PROFILE_PROPERTIES = ("Name", "NetworkCategory", "IPv4Connectivity", "IPv6Connectivity")


def get_profile(state: State, parameters: Parameters, set_name: str) -> list[Object]:
    """List the networks that the cards are connected to."""
    return _select("MSFT_NetConnectionProfile", _profiles(state), parameters, *PROFILE_PROPERTIES)


def set_profile(state: State, parameters: Parameters, set_name: str) -> list[Object]:
    """Set the category of a network."""
    require_administrator(state, "Windows System Error 5")
    parameters.pop("PassThru", None)
    category = parameters.pop("NetworkCategory", None)
    if set_name == "InputObject":
        found = as_list(parameters["InputObject"])
    else:
        found = _select("MSFT_NetConnectionProfile", _profiles(state), parameters, *PROFILE_PROPERTIES)
    if category == "DomainAuthenticated":
        message = "Unable to set the NetworkCategory to 'DomainAuthenticated': it is set by itself where a domain controller is reached."
        raise CmdletError(message, "InvalidArgument", "MI RESULT 4", "MSFT_NetConnectionProfile")
    for each in found if category else ():
        if each["properties"]["NetworkCategory"] == "DomainAuthenticated":
            raise CmdletError(
                "The network is a domain's: its category cannot be set.",
                "PermissionDenied",
                "MI RESULT 2",
                "MSFT_NetConnectionProfile",
            )
        (nic,) = [nic for nic in state["nics"] if nic["alias"] == each["properties"]["InterfaceAlias"]]
        state.setdefault("categories", {})[network_of(state, nic)] = category
    return []


COMMANDS: dict[str, Command] = {
    "Get-NetRoute": get_route,
    "New-NetRoute": new_route,
    "Remove-NetRoute": remove_route,
    "Find-NetRoute": find_route,
    "Get-NetNeighbor": get_neighbor,
    "Get-NetIPInterface": get_interface,
    "Get-NetIPAddress": get_address,
    "Get-NetTCPConnection": get_connection,
    "Get-NetAdapter": get_adapter,
    "Get-DnsClientServerAddress": get_dns_servers,
    "Get-NetConnectionProfile": get_profile,
    "Set-NetConnectionProfile": set_profile,
}
