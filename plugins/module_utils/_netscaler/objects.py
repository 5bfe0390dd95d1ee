# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Citrix ADC objects as NITRO shows them: and how they are read and joined. No input or output."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import (
    Server,
    Service,
    Value,
    canonical_address,
)
from ansible_collections.aovpn.ikev2.plugins.module_utils._network import OwnAddress, addresses_near

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
"""The fields that are needed, for ``attrs``. Net profiles are not: with ``usip`` on, they are ignored (Citrix, CTX130209)."""
USIP, PROXY_PORT = "usip", "useproxyport"

OUT_OF_SERVICE = ("DISABLED", "OUT OF SERVICE")
"""How a service group's ``state`` and a service's ``svrstate`` say that an operator has disabled it."""
NO_ADDRESS = ("", "0.0.0.0", "::")
EVERY_PORT = 65535
"""How NITRO writes the port ``*``."""


@dataclass(frozen=True)
class VirtualServer:
    """A virtual server for UDP. ``address`` is empty if clients cannot address it."""

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
class Listener:
    """A virtual server with a service group or service that is bound to it."""

    server: VirtualServer
    carrier: Carrier


# Reading


def modes(body: Item) -> dict[str, bool]:
    """Read the modes that are needed. Those that a device does not name are left out."""
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
    """Return what reads a virtual server's name, and what is bound to it."""
    # A bound service is called servicename, a bound service group servicegroupname; the virtual server is name in both.
    return lambda item: (str(item["name"]), (kind, str(item[f"{kind}name"])))


def member(item: Item) -> tuple[Carrier, Member | None]:
    """Read a member of a service group; one that is given by host name may have no address."""
    return ("servicegroup", str(item["servicegroupname"])), backend(item.get("ip", ""), item["port"])


def backend(address: t.Any, port: t.Any) -> Member | None:
    """Read where packets are sent to. Server *and* port: a server is a member once for 500 and once for 4500."""
    return None if address in NO_ADDRESS else (canonical_address(str(address)), _port(port))


def _port(value: t.Any) -> int:
    port = int(value)
    return 0 if port == EVERY_PORT else port


def snip(item: Item) -> OwnAddress | None:
    """Read an IPv4 subnet address; None for an address of another type."""
    if item["type"] != "SNIP":
        return None
    network = netaddr.IPNetwork(f"{item['ipaddress']}/{item['netmask']}")
    return OwnAddress(canonical_address(item["ipaddress"]), network, domain(item))


def snip6(item: Item) -> OwnAddress | None:
    """Read an IPv6 subnet address, which NITRO writes with its prefix length."""
    if item["type"] != "SNIP":
        return None
    network = netaddr.IPNetwork(item["ipv6address"])
    return OwnAddress(canonical_address(str(network.ip)), network, domain(item))


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
    """Return a service for each virtual server with a carrier bound to it, and for each port of a carrier that is bound to none."""
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
        settings={USIP: usip, PROXY_PORT: str(item[PROXY_PORT])} if proxy_port else {USIP: usip},
        source_preserved=usip == "YES",
        protocol=protocol,
        enabled=item.get("state", item.get("svrstate")) not in OUT_OF_SERVICE,
    )


def with_servers(service: Service, carrier: Item, members: Sequence[Member], snips: Sequence[OwnAddress]) -> Service:
    """Return the service with its servers, in the traffic domain of its carrier, and the gateways that they may use."""
    within = [(address + domain(carrier), port) for address, port in members]
    return replace(
        service,
        servers=tuple(
            Server(address, port or service.port, addresses_near(snips, address))
            for address, port in within
            # Without a virtual server, the member's port is all that says which service this is.
            if service.address or port == service.port
        ),
    )


# Writing


def settings(value: Value) -> dict[str, Value]:
    """Return a service's value as NITRO's fields."""
    return {**value} if isinstance(value, dict) else {USIP: value}


def steps(fields: Mapping[str, Value]) -> list[dict[str, Value]]:
    """Return the fields to send in the order in which the device takes them."""
    if fields.get(USIP) == "NO" and PROXY_PORT in fields:
        # The proxy port can be set only while Use Client IP is on.
        return [{PROXY_PORT: fields[PROXY_PORT]}, {USIP: fields[USIP]}]
    return [{**fields}]


def snapshot_has_proxy_port(values: Iterable[Value]) -> bool:
    """Report whether a snapshot was taken with the proxy port managed."""
    return any(isinstance(value, dict) for value in values)
