# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Citrix ADC objects as NITRO shows them: how they are read and joined, and what is to be said about them. No input or output."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import (
    Change,
    Finding,
    Server,
    Service,
    Value,
    canonical_address,
)

Item: t.TypeAlias = "Mapping[str, t.Any]"
Carrier: t.TypeAlias = "tuple[str, str]"
"""Kind and name of what carries ``usip``."""
Member: t.TypeAlias = "tuple[str, int]"

PROTOCOLS = {"UDP": "udp", "ANY": "any"}
"""The service types that carry UDP 500 and 4500."""

NAME_KEYS = {"servicegroup": "servicegroupname", "service": "name"}
"""The two kinds of object that carry ``usip``, and what NITRO calls their names."""

VIRTUAL_SERVER = "name,ipv46,port,servicetype,m,connfailover,processlocal,persistencetype,groupname,td"
CARRIER = {
    "servicegroup": "servicegroupname,servicetype,usip,state,td",
    "service": "name,servicetype,usip,svrstate,ipaddress,port,td",
}
"""The fields that matter here, for ``attrs``. Net profiles do not: with ``usip`` on, all of them are ignored (Citrix, CTX130209)."""
PROXY_PORT = "useproxyport"

OUT_OF_SERVICE = ("DISABLED", "OUT OF SERVICE")
"""How a service group's ``state`` and a service's ``svrstate`` say that an operator has disabled it."""
NO_ADDRESS = ("", "0.0.0.0", "::")
EVERY_PORT = 65535
"""How NITRO writes the port ``*``."""


@dataclass(frozen=True)
class VirtualServer:
    """A virtual server for UDP. ``address`` is empty where no client can address it."""

    name: str
    address: str
    port: int
    protocol: str
    forwarding: str
    failover: bool
    local: bool
    persistence: str
    group: str


@dataclass(frozen=True)
class SubnetIp:
    """A subnet address (SNIP) in its traffic domain, written ``%n``; empty for the default one."""

    address: str
    network: netaddr.IPNetwork
    domain: str

    def is_near(self, address: str) -> bool:
        """Say whether ``address`` is in this address's subnet and traffic domain."""
        host, percent, domain = address.partition("%")
        return self.domain == percent + domain and netaddr.IPAddress(host) in self.network


@dataclass(frozen=True)
class Listener:
    """A virtual server that leads to a service group or service."""

    server: VirtualServer
    carrier: Carrier


# Reading


def modes(body: Item) -> dict[str, bool]:
    """Read the modes that matter; those that a device does not name are left out."""
    found = body["nsmode"]
    found = found[0] if isinstance(found, list) else found
    return {
        name: _flag(found[name])
        for name in ("usnip", "usip", "l3", "mbf")
        if name in found or name in ("usnip", "usip")
    }


def _flag(value: t.Any) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError(f"{value!r} is not a boolean")


def domain(item: Item) -> str:
    """Read the traffic domain, as it stands behind an address."""
    number = int(item.get("td", 0))
    return f"%{number}" if number else ""


def virtual_server(item: Item) -> VirtualServer | None:
    """Read a virtual server; None for another protocol than UDP."""
    protocol = PROTOCOLS.get(item["servicetype"])
    if protocol is None:
        return None
    address = str(item.get("ipv46", ""))
    return VirtualServer(
        name=str(item["name"]),
        address="" if address in NO_ADDRESS else canonical_address(address) + domain(item),
        port=_port(item["port"]),
        protocol=protocol,
        forwarding=str(item.get("m", "IP")),
        failover=item.get("connfailover", "DISABLED") != "DISABLED",
        local=item.get("processlocal") == "ENABLED",
        persistence=str(item.get("persistencetype", "NONE")),
        group=str(item.get("groupname", "")),
    )


def binding(kind: str) -> t.Callable[[Item], tuple[str, Carrier]]:
    """Give what reads a virtual server's name, and what is bound to it."""
    # A bound service is called servicename, a bound service group servicegroupname; the virtual server is name in both.
    return lambda item: (str(item["name"]), (kind, str(item[f"{kind}name"])))


def member(item: Item) -> tuple[Carrier, Member | None]:
    """Read a member of a service group; one that a host name stands for may have no address."""
    return ("servicegroup", str(item["servicegroupname"])), backend(item.get("ip", ""), item["port"])


def backend(address: t.Any, port: t.Any) -> Member | None:
    """Read where packets are sent to. Server *and* port: one server is there once for 500 and once for 4500."""
    return None if address in NO_ADDRESS else (canonical_address(str(address)), _port(port))


def _port(value: t.Any) -> int:
    port = int(value)
    return 0 if port == EVERY_PORT else port


def snip(item: Item) -> SubnetIp | None:
    """Read an IPv4 subnet address; None for an address of another type."""
    if item["type"] != "SNIP":
        return None
    network = netaddr.IPNetwork(f"{item['ipaddress']}/{item['netmask']}")
    return SubnetIp(canonical_address(item["ipaddress"]), network, domain(item))


def snip6(item: Item) -> SubnetIp | None:
    """Read an IPv6 subnet address, which NITRO writes with its prefix length."""
    if item["type"] != "SNIP":
        return None
    network = netaddr.IPNetwork(item["ipv6address"])
    return SubnetIp(canonical_address(str(network.ip)), network, domain(item))


# The join


def join(servers: Iterable[VirtualServer | None], bindings: Iterable[tuple[str, Carrier]]) -> tuple[Listener, ...]:
    """Join virtual servers with what is bound to them; bindings of others are left out."""
    by_name = {server.name: server for server in servers if server is not None}
    return tuple(Listener(by_name[name], carrier) for name, carrier in bindings if name in by_name)


def services(
    listeners: Iterable[Listener],
    carriers: Mapping[Carrier, Item],
    members: Mapping[Carrier, Sequence[Member]],
    *,
    proxy_port: bool,
) -> list[Service]:
    """Give a service for each virtual server that leads to a carrier, and for each port of a carrier that none leads to."""
    found, reached = [], set()
    for listener in listeners:
        server, item = listener.server, carriers.get(listener.carrier)
        if item is not None and server.address:
            reached.add(listener.carrier)
            found.append(_service(listener.carrier, item, server.address, server.port, server.protocol, proxy_port))
    for carrier, item in carriers.items():
        protocol = PROTOCOLS.get(item["servicetype"])
        if carrier not in reached and protocol:
            ports = sorted({port for _dummy, port in members.get(carrier, ())})
            found += [_service(carrier, item, "", port, protocol, proxy_port) for port in ports]
    return found


def _service(carrier: Carrier, item: Item, address: str, port: int, protocol: str, proxy_port: bool) -> Service:
    usip = str(item["usip"])
    return Service(
        id=carrier[1],
        address=address,
        port=port,
        value={"usip": usip, PROXY_PORT: str(item[PROXY_PORT])} if proxy_port else usip,
        source_preserved=usip == "YES",
        protocol=protocol,
        enabled=item.get("state", item.get("svrstate")) not in OUT_OF_SERVICE,
    )


def with_servers(service: Service, carrier: Item, members: Sequence[Member], snips: Sequence[SubnetIp]) -> Service:
    """Give the service with its servers, in the traffic domain of what carries it, and the gateways that these may have."""
    within = [(address + domain(carrier), port) for address, port in members]
    return replace(
        service,
        servers=tuple(
            Server(address, port or service.port, tuple(own.address for own in snips if own.is_near(address)))
            for address, port in within
            # Without a virtual server, the member's port is all that says which service this is.
            if service.address or port == service.port
        ),
    )


# Writing


def settings(value: Value) -> dict[str, str]:
    """Give a service's value as NITRO's fields."""
    return value if isinstance(value, dict) else {"usip": str(value)}


def steps(change: Change) -> list[dict[str, str]]:
    """Give the fields to send, and only those that differ, in the order in which the device takes them."""
    before, after = settings(change.before), settings(change.after)
    differing = {key: value for key, value in after.items() if before.get(key) != value}
    if after["usip"] == "NO" and PROXY_PORT in differing:
        # The proxy port can be set only while Use Client IP is on.
        usip = {"usip": "NO"} if "usip" in differing else None
        return [{PROXY_PORT: differing[PROXY_PORT]}, *([usip] if usip else [])]
    return [differing]


def snapshot_has_proxy_port(values: Iterable[Value]) -> bool:
    """Say whether a snapshot was taken with the proxy port managed."""
    return any(isinstance(value, dict) for value in values)


# Findings


def mode_findings(found: Mapping[str, bool], label: str) -> list[Finding]:
    """Tell modes of the whole device that do not fit."""
    findings = []
    if found["usip"]:
        findings.append(
            Finding(
                "global_client_ip",
                "warning",
                label,
                "The mode Use Source IP (USIP) is on, so every service made from now on keeps the client's address, wanted or not.",
                "Switch it off if that is not meant; the service groups keep their own setting. This collection never touches it.",
            )
        )
    if not found.get("l3", True):
        findings.append(
            Finding(
                "forwarding_mode",
                "warning",
                label,
                "Layer 3 mode is off, so what the VPN servers send outward by themselves is not forwarded.",
                "Switch on L3 mode if this device is to be the VPN servers' default gateway.",
            )
        )
    if found.get("mbf", False):
        findings.append(
            Finding(
                "forwarding_mode",
                "warning",
                label,
                "MAC-based forwarding is on, which can hide that answers take another way than requests.",
                "Look at the routes as well, and do not take working flows as proof of them.",
            )
        )
    return findings


def listener_findings(
    chosen: Sequence[Service],
    carriers: Mapping[str, Carrier],
    listeners: Sequence[Listener],
    members: Mapping[Carrier, Sequence[Member]],
) -> list[Finding]:
    """Tell what virtual servers and bindings show about the services chosen."""
    findings: list[Finding] = []
    wanted = {(carriers[service.id], service.address, service.port) for service in chosen}
    mine = [item for item in listeners if (item.carrier, item.server.address, item.server.port) in wanted]
    for server in dict.fromkeys(item.server for item in mine):
        findings += _server_findings(server)
    for item in mine:
        families = {netaddr.IPAddress(address).version for address, _dummy in members.get(item.carrier, ())}
        if families - {netaddr.IPAddress(item.server.address.partition("%")[0]).version}:
            findings.append(
                Finding(
                    "unsupported_mode",
                    "blocker",
                    item.carrier[1],
                    f"The virtual server {item.server.name} at {item.server.address} and its servers are not of one IP version,"
                    " and Use Client IP is refused there (NITRO error 3894).",
                    "Give this virtual address servers of its own IP version.",
                )
            )
    return findings + _shared(mine, listeners) + _persistence(mine)


def _server_findings(server: VirtualServer) -> list[Finding]:
    findings = []
    if server.forwarding != "IP":
        findings.append(
            Finding(
                "unsupported_mode",
                "warning",
                server.name,
                f"The virtual server forwards by {server.forwarding} (direct server return), so the servers answer clients directly.",
                "Such servers do not have this device as their gateway; leave them as they are if the VPN works.",
            )
        )
    if server.failover:
        findings.append(
            Finding(
                "connection_mirroring",
                "warning",
                server.name,
                "Connection failover is on: flows that exist stay translated on the other node, too, and while it is on"
                " Use Client IP cannot be switched off again (NITRO error 1289).",
                "Switch off connection failover before a change is put back.",
            )
        )
    if server.local:
        findings.append(_process_local(server.name, on=True))
    return findings


def _process_local(name: str, *, on: bool) -> Finding:
    return Finding(
        "unsupported_mode",
        "warning",
        name,
        "Process-local is on: cluster nodes do not steer packets to each other, so answers have to reach the node that took the request."
        if on
        else "Process-local is off in this cluster, and the vendor's page on USIP in a cluster says that it does not work then.",
        "See that the upstream router sends both directions to one node."
        if on
        else "Read that page for this release, and look on the VPN servers whether the clients' own addresses arrive.",
    )


def _shared(mine: Sequence[Listener], listeners: Iterable[Listener]) -> list[Finding]:
    others: dict[Carrier, list[str]] = {item.carrier: [] for item in mine}
    chosen = set(mine)
    for item in listeners:
        if item.carrier in others and item not in chosen:
            others[item.carrier].append(item.server.name)
    return [
        Finding(
            "shared_service_group",
            "warning",
            carrier[1],
            f"It also serves {', '.join(names)}, where the setting then is the same.",
            "Give the VPN a service group of its own if that is not meant.",
        )
        for carrier, names in others.items()
        if names
    ]


def _persistence(mine: Iterable[Listener]) -> list[Finding]:
    by_address: dict[str, dict[str, VirtualServer]] = {}
    for item in mine:
        by_address.setdefault(item.server.address, {})[item.server.name] = item.server
    findings = []
    for servers in by_address.values():
        groups = {server.group for server in servers.values()}
        by_source = all(server.persistence == "SOURCEIP" for server in servers.values())
        if len(servers) < 2 or (len(groups) == 1 and "" not in groups and by_source):
            continue
        findings.append(
            Finding(
                "persistence_split",
                "warning",
                ", ".join(servers),
                "No persistency group by source address holds these virtual servers together, so a client's UDP 500 and UDP 4500"
                " may reach different VPN servers.",
                "Put both into one persistency group (lbgroup) with the type SOURCEIP.",
            )
        )
    return findings


def node_findings(nodes: Sequence[Item], label: str) -> list[Finding]:
    """Tell a node that does not take changes, and a partner that has other gateways."""
    findings = []
    state = str(nodes[0].get("state", "")) if nodes else "Primary"
    if state != "Primary":
        findings.append(
            Finding(
                "not_active_unit",
                "blocker",
                label,
                f"This node's high-availability state is {state!r}, not Primary.",
                "Make the change on the primary node, whose changes go to the secondary by themselves.",
            )
        )
    if nodes and nodes[0].get("inc") == "ENABLED":
        findings.append(
            Finding(
                "gateway_not_shared",
                "warning",
                label,
                "High availability works in INC mode, in which subnet addresses (SNIPs) are not synchronised: after a failover,"
                " the VPN servers' default gateway is gone.",
                "See that the VPN servers' gateway moves to the other node as well.",
            )
        )
    return findings


def cluster_findings(addresses: Sequence[Item], instances: Sequence[Item], host: str, label: str) -> list[Finding]:
    """Tell a cluster's node that was asked in place of the cluster, and a cluster that does not steer packets."""
    shared = [str(item["ipaddress"]) for item in addresses if item["type"] == "CLIP"]
    own = [str(item["ipaddress"]) for item in addresses if item["type"] == "NSIP"]
    findings = []
    if shared and host in own:
        findings.append(
            Finding(
                "not_active_unit",
                "blocker",
                label,
                f"{host} is the address of one node (NSIP) of a cluster, which takes no changes.",
                f"Give the cluster's address (CLIP) as 'host': {', '.join(shared)}.",
            )
        )
    return findings + [_process_local(label, on=item.get("processlocal") == "ENABLED") for item in instances]


def subnet_findings(chosen: Iterable[Service], snips: Sequence[SubnetIp]) -> list[Finding]:
    """Tell virtual addresses in a server's own subnet: clients there would be answered directly."""
    findings: dict[str, Finding] = {}
    for service in chosen:
        for own in snips:
            near = any(own.is_near(server.address) for server in service.servers)
            if service.address and near and own.is_near(service.address):
                findings[service.address] = Finding(
                    "client_in_server_subnet",
                    "warning",
                    service.address,
                    f"The virtual address is in the servers' own subnet {own.network.cidr}."
                    " A client in that subnet would be answered directly, past this device, and could not connect.",
                    "Let no client of the VPN be in that subnet.",
                )
    return list(findings.values())


def change_findings(warnings: Iterable[str], label: str, *, flows: bool) -> list[Finding]:
    """Tell what a change that stands leaves to know. ``warnings``: what the device said of its propagation."""
    findings = [
        Finding(
            "unsynced_changes",
            "warning",
            label,
            f"The device took the change with a warning: {warning}",
            "See that the other node has the change too ('show ha node'), and synchronise the nodes.",
        )
        for warning in dict.fromkeys(warnings)
    ]
    if flows:
        findings.append(
            Finding(
                "existing_flows",
                "info",
                label,
                "Flows that exist may keep the source address with which they began, until they have been idle.",
                "Nothing is to be done; new flows show the setting.",
            )
        )
    return findings
