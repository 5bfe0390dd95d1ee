# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Citrix ADC objects as NITRO shows them, and how they are read. No input or output."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Unread, Value, canonical_address
from ansible_collections.aovpn.ikev2.plugins.module_utils._network import OwnAddress

Item: t.TypeAlias = "Mapping[str, t.Any]"
Carrier: t.TypeAlias = "tuple[str, str]"
"""Kind and name of what carries ``usip``."""
Read = t.TypeVar("Read")

PROTOCOLS = {"UDP": "udp", "ANY": "any"}
"""The service types that carry UDP 500 and 4500."""

NAME_KEYS = {"servicegroup": "servicegroupname", "service": "name"}
"""The two kinds of object that carry ``usip``, and what NITRO calls their names."""

VIRTUAL_SERVER = (
    "name,ipv46,range,ipset,port,servicetype,curstate,m,connfailover,processlocal,persistencetype,groupname,backupvserver,"
    "netprofile,listenpolicy,td"
)
CARRIER = {
    "servicegroup": "servicegroupname,servicetype,usip,state,netprofile,td",
    "service": "name,servicetype,usip,svrstate,ipaddress,port,netprofile,td",
}
SNIP = "ipaddress,netmask,type,iptype,state,arp,ownernode,td"
SNIP6 = "ipv6address,type,iptype,state,nd,ownernode,td"
PERSISTENCY_GROUP = "name,persistencetype,usevserverpersistency"
NET_PROFILE = "name,srcip"
CONTENT_SWITCH = "name,ipv46,range,port,servicetype,td"
"""The fields that are needed, for ``attrs``. Net profiles only choose the source while ``usip`` is off (Citrix, CTX130209)."""
USIP, PROXY_PORT = "usip", "useproxyport"

FORWARDING = ("IP", "MAC", "IPTUNNEL", "TOS")
OUT_OF_SERVICE = ("DISABLED", "OUT OF SERVICE")
"""How a state says that an operator has disabled the object."""
NOT_UP = (*OUT_OF_SERVICE, "DOWN", "GOING OUT OF SERVICE", "DOWN WHEN GOING OUT OF SERVICE")
"""In these states, a server takes no new connections."""
NO_ADDRESS = ("", "0.0.0.0", "::")
EVERY_PORT = 65535
"""How NITRO writes the port ``*``."""
NETWORK = re.compile(r"[0-9A-Fa-f]+(?:[.:]+[0-9A-Fa-f]*)+(?:/\d+)?")
NODES = 32
"""How many nodes a cluster may have. An address that all of them answer for belongs to node 255."""


@dataclass(frozen=True)
class VirtualServer:
    """A virtual server for UDP. ``address`` is empty if clients cannot address it; ``more``: its further addresses.

    ``policy``: an expression that chooses its clients. Several may have one address and port, and differ by it alone.
    """

    name: str
    address: str
    more: tuple[str, ...]
    ipset: str
    domain: str
    port: int
    protocol: str
    enabled: bool
    forwarding: str
    failover: bool
    local: bool
    persistence: str
    group: str
    backup: str
    profile: str
    policy: str

    @property
    def addresses(self) -> tuple[str, ...]:
        """Return every address that clients may use."""
        return (self.address, *self.more) if self.address else ()


@dataclass(frozen=True)
class Member:
    """Where packets are sent to. ``address`` is empty for a server by domain name that is not resolved.

    Server *and* port: a server is a member once for 500 and once for 4500. ``enabled``: no administrator took it out of service.
    """

    address: str
    port: int
    enabled: bool = True
    up: bool = True
    name: str = ""


@dataclass(frozen=True)
class Group:
    """A service group or service. ``protocol`` is None where it carries no UDP; ``members`` are those of a service."""

    carrier: Carrier
    protocol: str | None
    settings: Mapping[str, Value]
    enabled: bool
    domain: str
    members: tuple[Member, ...]
    profile: str


@dataclass(frozen=True)
class Snip(OwnAddress):
    """A subnet address. ``off``: it is disabled, or does not answer ARP. ``node``: the only node of a cluster that has it."""

    off: bool
    node: int | None


@dataclass(frozen=True)
class PersistencyGroup:
    """A group of virtual servers with common persistence; ``own``: each of them has its own, and they share it."""

    name: str
    persistence: str
    own: bool


def each(items: Iterable[t.Any], read: Callable[[Item], Read], *keys: str) -> tuple[list[Read], list[Unread]]:
    """Read each of ``items``. Those that cannot be read are returned with the reason, by the first name under ``keys``."""
    found, unread = [], []
    for item in items:
        try:
            found.append(read(item))
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, netaddr.AddrFormatError) as error:
            names = [item.get(key) for key in keys] if isinstance(item, dict) else []
            name = next((name for name in names if isinstance(name, str) and name), f"an object without {keys[0]}")
            unread.append(Unread(name, f"{type(error).__name__}: {error}"))
    return found, unread


# Fields


def _text(item: Item, key: str, *allowed: str) -> str:
    value = item[key]
    if isinstance(value, str) and value and (not allowed or value in allowed):
        return value
    raise ValueError(f"{key} is {value!r:.80}")


def optional(item: Item, key: str) -> str:
    """Read a text on which no more than a finding depends."""
    value = item.get(key)
    return value if isinstance(value, str) else ""


def _number(item: Item, key: str, most: int, default: int | None = None) -> int:
    """Read a number, which may be a text."""
    value = item[key] if default is None else item.get(key, default)
    number = int(value)
    if isinstance(value, (bool, float)) or not 0 <= number <= most:
        raise ValueError(f"{key} is {value!r:.80}")
    return number


def _address(item: Item, key: str) -> str:
    return "" if item.get(key, "") in NO_ADDRESS else canonical_address(_text(item, key))


def port(item: Item) -> int:
    """Read a port; ANY_PORT for each of them."""
    number = _number(item, "port", EVERY_PORT)
    return 0 if number == EVERY_PORT else number


def domain(item: Item) -> str:
    """Read the traffic domain, as it is written behind an address."""
    number = _number(item, "td", 4094, default=0)
    return f"%{number}" if number else ""


def kinds(item: Item) -> set[str]:
    """Read what an address of the device is; ``iptype`` may list more than the one ``type``."""
    listed = item.get("iptype") or []
    return {_text(item, "type"), *([listed] if isinstance(listed, str) else listed)}


# Objects


def modes(body: Item) -> tuple[dict[str, bool], list[Unread]]:
    """Read the modes that are needed. Those that a device does not name are left out."""
    found = body["nsmode"]
    found = found[0] if isinstance(found, list) else found
    read = {name: found[name] for name in ("usnip", "usip", "l3", "mbf") if name in found or name in ("usnip", "usip")}
    if not isinstance(read["usnip"], bool):
        raise ValueError(f"usnip is {read['usnip']!r:.80}")
    known = {name: value for name, value in read.items() if isinstance(value, bool)}
    return known, [Unread(f"mode {name}", f"it is {read[name]!r:.80}") for name in read if name not in known]


def virtual_server(item: Item) -> VirtualServer | None:
    """Read a virtual server; None if it carries no UDP."""
    protocol = PROTOCOLS.get(_text(item, "servicetype"))
    if protocol is None:
        return None
    first, behind = _address(item, "ipv46"), domain(item)
    return VirtualServer(
        name=_text(item, "name"),
        address=first and first + behind,
        more=_range(first, _number(item, "range", 254, default=1), behind) if first else (),
        ipset=optional(item, "ipset"),
        domain=behind,
        port=port(item),
        protocol=protocol,
        enabled=item.get("curstate") not in OUT_OF_SERVICE,
        forwarding=_text({"m": "IP", **item}, "m", *FORWARDING),
        failover=item.get("connfailover", "DISABLED") != "DISABLED",
        local=item.get("processlocal") == "ENABLED",
        persistence=optional(item, "persistencetype"),
        group=optional(item, "groupname"),
        backup=optional(item, "backupvserver"),
        profile=optional(item, "netprofile"),
        policy="" if (policy := optional(item, "listenpolicy")).upper() == "NONE" else policy,
    )


def content_switch(item: Item) -> tuple[str, tuple[str, ...]] | None:
    """Read the name and the addresses of a content switching virtual server; None if it carries no UDP."""
    if _text(item, "servicetype") not in PROTOCOLS:
        return None
    first, behind = _address(item, "ipv46"), domain(item)
    more = _range(first, _number(item, "range", 254, default=1), behind) if first else ()
    return _text(item, "name"), (first + behind, *more)


def target(key: str) -> Callable[[Item], tuple[str, str]]:
    """Return what reads the name of a content switching virtual server, and where a binding of it leads to."""
    return lambda item: (_text(item, "name"), _text(item, key))


def named_networks(expression: str) -> list[netaddr.IPNetwork]:
    """Return the addresses and networks that a policy's expression names."""
    found, _unread = each(
        [{"shown": shown} for shown in NETWORK.findall(expression)],
        lambda item: netaddr.IPNetwork(item["shown"]),
        "shown",
    )
    return found


def _range(first: str, number: int, behind: str) -> tuple[str, ...]:
    """Return the addresses that follow the first of a range."""
    start = netaddr.IPAddress(first)
    return tuple(str(netaddr.IPAddress(int(start) + step, start.version)) + behind for step in range(1, number))


def virtual_address(item: Item) -> tuple[str, int | None]:
    """Read the address of a virtual server that cannot be read as a whole, and its port where that can be read."""
    ports, _unread = each([item], port, "name")
    return _address(item, "ipv46") + domain(item), ports[0] if ports else None


def binding(kind: str) -> Callable[[Item], tuple[str, Carrier]]:
    """Return what reads a virtual server's name, and what is bound to it."""
    # A bound service is called servicename, a bound service group servicegroupname; the virtual server is name in both.
    return lambda item: (_text(item, "name"), (kind, _text(item, f"{kind}name")))


def set_binding(item: Item) -> tuple[str, str]:
    """Read an address of an IP set."""
    return _text(item, "name"), canonical_address(_text(item, "ipaddress"))


def member(item: Item) -> tuple[Carrier, Member]:
    """Read a member of a service group; one that is given by domain name may have no address."""
    name = optional(item, "servername") or "a server without an address"
    return ("servicegroup", _text(item, "servicegroupname")), _member(item, "ip", name)


def _member(item: Item, key: str, name: str) -> Member:
    states = item.get("state"), item.get("svrstate")
    return Member(
        _address(item, key),
        port(item),
        enabled=not any(state in OUT_OF_SERVICE for state in states),
        up=not any(state in NOT_UP for state in states),
        name=name,
    )


def group(kind: str, bound: Container[Carrier], *, proxy_port: bool) -> Callable[[Item], Group | Carrier]:
    """Return what reads a service group or service; of one of another protocol that no virtual server for UDP uses, only the name."""

    def read(item: Item) -> Group | Carrier:
        protocol = PROTOCOLS.get(_text(item, "servicetype"))
        carrier = (kind, _text(item, NAME_KEYS[kind]))
        if protocol is None and carrier not in bound:
            return carrier
        return Group(
            carrier,
            protocol,
            {name: _text(item, name, "YES", "NO") for name in ((USIP, PROXY_PORT) if proxy_port else (USIP,))},
            enabled=item.get("state", item.get("svrstate")) not in OUT_OF_SERVICE,
            domain=domain(item),
            members=(_member(item, "ipaddress", carrier[1]),) if kind == "service" else (),
            profile=optional(item, "netprofile"),
        )

    return read


def net_profile(item: Item) -> tuple[str, str]:
    """Read a net profile's name, and the address or the IP set that it takes the source from; empty where it has none."""
    return _text(item, "name"), optional(item, "srcip")


def addresses(rows: Iterable[t.Any], key: str) -> list[str]:
    """Read the addresses of the device itself, of whatever type, as far as they can be read."""
    found, _unread = each(rows, lambda item: canonical_address(_text(item, key).partition("/")[0]), key)
    return found


def snip(item: Item) -> Snip | None:
    """Read an IPv4 subnet address; None for an address of another type."""
    if "SNIP" not in kinds(item):
        return None
    return _snip(item, netaddr.IPNetwork(f"{_text(item, 'ipaddress')}/{_text(item, 'netmask')}"), "arp")


def snip6(item: Item) -> Snip | None:
    """Read an IPv6 subnet address, which NITRO writes with its prefix length."""
    return _snip(item, netaddr.IPNetwork(_text(item, "ipv6address")), "nd") if "SNIP" in kinds(item) else None


def _snip(item: Item, network: netaddr.IPNetwork, answers: str) -> Snip:
    owner = int(item.get("ownernode", NODES))
    return Snip(
        canonical_address(str(network.ip)),
        network,
        domain(item),
        off="DISABLED" in (item.get("state"), item.get(answers)),
        node=owner if 0 <= owner < NODES else None,
    )


def persistency_group(item: Item) -> PersistencyGroup:
    """Read a group of virtual servers."""
    return PersistencyGroup(
        _text(item, "name"),
        optional(item, "persistencetype"),
        own=item.get("usevserverpersistency") == "ENABLED",
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
