# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the lab's devices are set to, in terms of the data plane. Pure: states in, rules out."""

from __future__ import annotations

import ipaddress
import re
import typing as t
from dataclasses import dataclass

from lab.core import State

INSIDE = ipaddress.IPv4Network("10.10.0.0/24")
"""The VPN servers' subnet, in which each load balancer has 10.10.0.1."""

IKE_PORTS = (500, 4500)


@dataclass(frozen=True)
class Service:
    """A UDP service of a load balancer. ``translation``: what the servers see as the source; None: the client's own."""

    address: str
    port: int
    servers: tuple[str, ...]
    translation: str | None


@dataclass(frozen=True)
class Server:
    """A VPN server. ``routes``: gateways in the servers' subnet by destination; ``limit`` of security associations per address, None: the system's own."""

    routes: dict[str, str]
    limit: int | None
    answers: bool


def _own_address(interfaces: t.Iterable[str], server: str) -> str:
    """Find the address of a load balancer in a server's subnet."""
    for text in interfaces:
        interface = ipaddress.IPv4Interface(text)
        if ipaddress.IPv4Address(server) in interface.network:
            return str(interface.ip)
    raise ValueError(f"no address in the subnet of the server {server}")


def bigip_services(state: State) -> list[Service]:
    """Return the IKEv2 services of the lab's BIG-IP: automap takes a floating self IP, where there is one."""
    selves = sorted(state["self"].values(), key=lambda one: str(one["floating"] != "enabled"))
    off = {one["address"] for one in state["virtual-address"].values() if one["enabled"] == "no"}
    found = []
    for virtual in state["virtual"].values():
        place = re.fullmatch(r"/.*/([\d.]+)(?:%\d+)?:(\d+)", virtual["destination"])
        if not place or virtual["ipProtocol"] not in ("udp", "any") or int(place[2]) not in IKE_PORTS:
            continue
        if virtual.get("disabled") or place[1] in off:
            continue
        if virtual["source"] != "0.0.0.0/0":
            raise ValueError(f"the data plane does not play a service for {virtual['source']} alone")
        pool = state["pool"][virtual["pool"]]
        members = pool["members"].values()
        servers = tuple(
            one["address"]
            for one in members
            if not (one["session"].endswith("disabled") or one["state"].endswith("down"))
        )
        setting = virtual["sourceAddressTranslation"]
        translation = None
        if setting["type"] not in (None, "none") and pool["allowSnat"] == "yes" and servers:
            if setting["type"] == "automap":
                translation = _own_address((one["address"] for one in selves), servers[0])
            elif setting["type"] == "snat":
                translation = state["snatpool"][setting["pool"]]["members"][0].rpartition("/")[2]
            else:
                raise ValueError(f"the data plane does not play the translation {setting['type']}")
        found.append(Service(place[1], int(place[2]), servers, translation))
    return found


def netscaler_services(state: State) -> list[Service]:
    """Return the IKEv2 services of the lab's NetScaler. What one without USNIP sends from is not known: it plays its SNIP, too."""
    config = state["running"]["default"]
    snips = [
        f"{one['ipaddress']}/{one['netmask']}"
        for one in config["nsip"].values()
        if "SNIP" in (one["type"], *one.get("iptype", ())) and one.get("state") != "DISABLED"
    ]
    found = []
    for vserver in config["lbvserver"].values():
        if vserver["servicetype"] != "UDP" or vserver["port"] not in IKE_PORTS or vserver["curstate"] != "UP":
            continue
        groups = [
            config["servicegroup"][row["servicegroupname"]]
            for row in config["lbvserver_servicegroup_binding"]
            if row["name"] == vserver["name"]
        ]
        plain = [
            config["service"][row["servicename"]]
            for row in config["lbvserver_service_binding"]
            if row["name"] == vserver["name"]
        ]
        names = {group["servicegroupname"] for group in groups if group["state"] == "ENABLED"}
        members = [
            row["ip"]
            for row in config["servicegroup_servicegroupmember_binding"]
            if row["servicegroupname"] in names and row["state"] == "ENABLED" and row["svrstate"] == "UP"
        ]
        servers = tuple(members + [one["ipaddress"] for one in plain if one["svrstate"] == "UP"])
        kept = {one["usip"] == "YES" for one in (*groups, *plain)}
        if len(kept) > 1:
            raise ValueError(f"the data plane does not play {vserver['name']}, whose services differ in usip")
        translation = _own_address(snips, servers[0]) if servers and kept == {False} else None
        first = ipaddress.ip_address(vserver["ipv46"])
        found += [
            Service(str(first + step), vserver["port"], servers, translation) for step in range(int(vserver["range"]))
        ]
    return found


def loadmaster_services(state: State) -> list[Service]:
    """Return the IKEv2 services of the lab's LoadMaster. On layer 4 the client's address is kept in any case."""
    found = []
    for record in state["services"].values():
        places = _places(record)
        if record["Protocol"] != "udp" or not places or not record["Enable"]:
            continue
        rows = [row for row in record["Rs"] if row["Enable"] and row["Status"] == "Up" and row["Addr"]]
        if any(row["Forward"] == "route" for row in rows):
            raise ValueError(f"the data plane does not play the direct server return of {record['NickName']}")
        servers = tuple(row["Addr"] for row in rows)
        translation = None
        if servers and not record["Transparent"] and record["Layer"] != 4:
            translation = _own_address((row["IPAddress"] for row in state["interfaces"]), servers[0])
        found += [Service(address, port, servers, translation) for address, port in places]
    return found


def _places(record: State) -> list[tuple[str, int]]:
    """Return the IPv4 addresses and the ports of IKEv2 on which a LoadMaster's service listens."""
    parts = [part.split("-") for part in f"{record['VSPort']},{record['ExtraPorts']}".replace(",", " ").split()]
    ports = [
        port for port in IKE_PORTS if any(part == ["*"] or int(part[0]) <= port <= int(part[-1]) for part in parts)
    ]
    addresses = [record["VSAddress"], record["AltAddress"]]
    return [(address, port) for address in addresses if re.fullmatch(r"[\d.]+", address) for port in ports]


SERVICES: dict[str, t.Callable[[State], list[Service]]] = {
    "bigip": bigip_services,
    "netscaler": netscaler_services,
    "loadmaster": loadmaster_services,
}


def server_of(state: State) -> Server:
    """Return what a Windows host of the lab is set to. IKEEXT uses the limit that it has read when it started."""
    metrics = {nic["if_index"]: nic["metric"] for nic in state["nics"]}
    best: dict[str, tuple[int, str]] = {}
    for route in state["routes"]["active"]:
        if route["if_index"] in metrics and route["next_hop"] != "0.0.0.0":
            metric = route["metric"] + metrics[route["if_index"]]
            best[route["dest"]] = min(best.get(route["dest"], (metric, route["next_hop"])), (metric, route["next_hop"]))
    routes = {dest: hop for dest, (_dummy, hop) in best.items() if ipaddress.IPv4Address(hop) in INSIDE}
    services = state["services"]
    return Server(
        routes=routes,
        limit=services["IKEEXT"]["ike_limit"],
        answers=all(services[name]["state"] == "running" for name in ("IKEEXT", "RemoteAccess")),
    )


def balancer_rules(services: t.Iterable[Service]) -> str:
    """Return the nftables rules of these services, in place of those before. Existing flows are not touched by them.

    A client goes to the same server on both ports, as the persistence on the devices has it: it is chosen by the client's address alone.
    """
    lines = ["flush chain ip balancer services", "flush chain ip balancer translation"]
    for one in sorted(services, key=lambda service: (service.address, service.port)):
        if not one.servers:
            continue
        servers = ", ".join(f"{number} : {address}" for number, address in enumerate(one.servers))
        # The seed is fixed: without one, nftables draws one whenever a rule is loaded, and clients would change servers.
        choice = f"jhash ip saddr mod {len(one.servers)} seed 0xcafe map {{ {servers} }}"
        lines.append(f"add rule ip balancer services ip daddr {one.address} udp dport {one.port} dnat to {choice}")
        if one.translation:
            match = f"ct original ip daddr {one.address} udp dport {one.port}"
            lines.append(f"add rule ip balancer translation {match} snat to {one.translation}")
    return "\n".join(lines) + "\n"
