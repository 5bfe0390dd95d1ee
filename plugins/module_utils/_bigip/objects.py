# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""F5 BIG-IP objects as iControl REST shows them, and how they are read. No input or output."""

from __future__ import annotations

import contextlib
import re
import typing as t
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import (
    ANY_PORT,
    Server,
    Service,
    Value,
    canonical_address,
)
from ansible_collections.aovpn.ikev2.plugins.module_utils._network import OwnAddress, addresses_near

Item: t.TypeAlias = "Mapping[str, t.Any]"

SNAT = "snat"
"""What tmsh users call source address translation."""

NONE = "none"
"""The type of source address translation that leaves the client's address alone."""

NAMED_PORTS = {"any": 0, "isakmp": 500, "ipsec-nat-t": 4500, "ipsec-msft": 4500}
"""How tmsh writes ports. REST has been seen to use numbers; both are read."""

NAMED_DESTINATION = re.compile(r"(/.+)[:.][\w-]+")
"""A destination that may have the name of a virtual address in place of an address."""

ANY_ADDRESS = {"any": "0.0.0.0", "any6": "::"}

VIRTUAL_SERVER = (
    "name,partition,fullPath,destination,ipProtocol,disabled,pool,sourceAddressTranslation,translateAddress,nat64,mirror,"
    "persist,rules,appService,securityNatPolicy,trafficMatchingCriteria"
)
"""The fields of a virtual server that are needed, for ``$select``."""

ATTACHED = "profilesReference,policiesReference"
"""What tells the attached LTM policies where subcollections are expanded; a profile, which each has, shows that they are."""


@dataclass(frozen=True)
class Page:
    """One page of a collection. ``total``: how many objects there are, 0 if not known; ``following``: the next page's path."""

    items: Sequence[Item]
    total: int
    following: str


@dataclass(frozen=True)
class VirtualServer:
    """A UDP virtual server: the service, and its other properties that are needed.

    ``lists`` names what it takes addresses and ports from, where it has none of its own: it serves no address and any port then.
    ``policies``: the full paths of the attached LTM policies; None where the reading does not show them.
    """

    service: Service
    lists: str
    pool: str
    persistence: tuple[str, ...]
    rules: tuple[str, ...]
    application: str
    nat64: bool
    translates_destination: bool
    mirrored: bool
    nat_policy: bool
    policies: frozenset[str] | None

    @property
    def folder(self) -> tuple[str, str]:
        """Return partition and folder; the folder is empty for what stands in the partition itself."""
        partition, _slash, folder = self.service.id[1:].rpartition("/")[0].partition("/")
        return partition, folder

    @property
    def is_in_folder(self) -> bool:
        """Report whether this stands in a folder, as what AS3 declares does; an iApp's folder is its own matter."""
        return bool(self.folder[1]) and not self.application


@dataclass(frozen=True)
class Pool:
    """A pool. ``allows_snat`` off keeps the source address whatever the virtual server says."""

    members: tuple[tuple[str, int], ...]
    allows_snat: bool


@dataclass(frozen=True)
class SelfIp(OwnAddress):
    """A self IP. ``domain`` is its route domain."""

    floating: bool
    traffic_group: str


def rest_name(full_path: str) -> str:
    """Write a full path as iControl REST names it: ``/Common/vs500`` -> ``~Common~vs500``."""
    return full_path.replace("/", "~")


def page(body: Item) -> Page:
    """Read a page of a collection."""
    following = urlsplit(str(body.get("nextLink", "")))  # on 'localhost', whatever the device is called
    return Page(
        [dict(item) for item in body.get("items", [])],
        int(body.get("totalItems", 0)),
        f"{following.path}?{following.query}" if following.query else "",
    )


class ForeignPort(ValueError):
    """A port written as a name that none of IKE's ports has, such as ``domain``."""


def parse_destination(destination: str, addresses: Mapping[str, str] | None = None) -> tuple[str, int]:
    """Split a virtual server's destination into canonical address and port (0 for any port).

    ``/Common/1.1.1.1%2:80``, and for IPv6 a dot before the port: ``/Common/2001:db8::6%2.80``. In place of the address there may be
    the full path of a virtual address with a name of its own; ``addresses`` are theirs.

    :raises ForeignPort: where the port's name is not known.
    :raises ValueError: where it is not a destination otherwise.
    """
    text = destination.rpartition("/")[2]
    # IPv4 has one colon, before the port; IPv6 has several and a dot there. A name such as 'any6' may stand for the address.
    address, port = _split_port(text, "." if text.count(":") > 1 or text.startswith("any6") else ":")
    named = (addresses or {}).get(f"{destination.rpartition('/')[0]}/{address}")
    return named or _address(address), port


def names_an_address(item: Item) -> bool:
    """Report whether a UDP virtual server's destination has the name of a virtual address in place of an address."""
    if item.get("ipProtocol") != "udp" or item.get("trafficMatchingCriteria", NONE) != NONE:
        return False
    destination = str(item.get("destination"))
    try:
        parse_destination(destination)
    except ForeignPort:
        return False
    except ValueError:
        return NAMED_DESTINATION.fullmatch(destination) is not None
    return False


def virtual_servers(items: Iterable[Item], addresses: Mapping[str, str]) -> list[VirtualServer]:
    """Read the UDP virtual servers, except those on a named port that is none of IKE's.

    ``addresses``: those of virtual addresses, by full path.
    """
    found = []
    for item in items:
        if item.get("ipProtocol") == "udp":
            with contextlib.suppress(ForeignPort):
                found.append(_virtual_server(item, addresses))
    return found


def _virtual_server(item: Item, addresses: Mapping[str, str]) -> VirtualServer:
    translation = item["sourceAddressTranslation"]
    kind, pool = str(translation["type"]), str(translation.get("pool", NONE))
    value: Value = kind if pool in ("", NONE) else {"type": kind, "pool": pool}
    criteria = str(item.get("trafficMatchingCriteria", NONE))
    lists = "" if criteria == NONE else criteria
    address, port = "", ANY_PORT
    if not lists:
        try:
            address, port = parse_destination(str(item["destination"]), addresses)
        except ForeignPort:
            raise
        except ValueError:
            if not names_an_address(item):
                raise
            lists = str(item["destination"])  # a name without a virtual address is treated like a list
    service = Service(
        id=str(item["fullPath"]),
        address=address,
        port=port,
        settings={SNAT: value},
        source_preserved=kind == NONE,
        enabled=not item.get("disabled", False),
        names=(str(item["name"]),),
    )
    return VirtualServer(
        service,
        lists=lists,
        pool=str(item.get("pool", "")),
        persistence=tuple(_full_path(profile) for profile in item.get("persist", [])),
        rules=tuple(str(rule) for rule in item.get("rules", [])),
        application=str(item.get("appService", "")),
        nat64=item.get("nat64") == "enabled",
        translates_destination=item.get("translateAddress", "enabled") == "enabled",
        mirrored=item.get("mirror") == "enabled",
        # Shown with both flags at "no" where there is none.
        nat_policy=any(
            value not in ("no", NONE, "")
            for key, value in item.get("securityNatPolicy", {}).items()
            if "Reference" not in key
        ),
        policies=(
            frozenset(full_paths(item.get("policiesReference", {})))
            if full_paths(item.get("profilesReference", {}))
            else None
        ),
    )


def _full_path(reference: Item) -> str:
    parts = (reference["partition"], reference.get("subPath"), reference["name"])
    return "".join(f"/{part}" for part in parts if part)


def pools(body: Item, wanted: Container[str]) -> dict[str, Pool]:
    """Read the pools that are wanted with their members (``expandSubcollections``), by full path.

    A member by domain name has no address; those that it resolves to are members of their own.
    """
    return {
        str(pool["fullPath"]): Pool(
            tuple(
                # A member's name may be its node's, so the address is its own field; the port stands only in the name.
                (canonical_address(member["address"]), _member_port(str(member["name"])))
                for member in pool.get("membersReference", {}).get("items", [])
                if member["address"] not in ANY_ADDRESS
            ),
            pool.get("allowSnat", "yes") == "yes",
        )
        for pool in body.get("items", [])
        if pool["fullPath"] in wanted
    }


def self_ips(body: Item) -> list[SelfIp]:
    """Read self IPs."""
    return [_self_ip(item) for item in body.get("items", [])]


def _self_ip(item: Item) -> SelfIp:
    address, _dummy, length = str(item["address"]).partition("/")
    host, percent, domain = address.partition("%")
    network = netaddr.IPNetwork(f"{host}/{length}")
    return SelfIp(
        canonical_address(address), network, percent + domain, item["floating"] == "enabled", str(item["trafficGroup"])
    )


def devices(body: Item) -> list[Item]:
    """Read the devices of the trust domain."""
    return [dict(item) for item in body.get("items", [])]


def own_device(devices: Iterable[Item]) -> Item:
    """Return the device that was asked; empty where none is marked so."""
    # selfDevice is the string "true".
    return next((device for device in devices if str(device.get("selfDevice")).lower() == "true"), {})


def addresses(body: Item) -> dict[str, str]:
    """Read the addresses of virtual addresses, by full path."""
    return {str(item["fullPath"]): _address(str(item["address"])) for item in body.get("items", [])}


def traffic_groups(body: Item) -> dict[str, str]:
    """Read the traffic groups of virtual addresses."""
    return {_address(str(item["address"])): str(item["trafficGroup"]) for item in body.get("items", [])}


def match_across_services(body: Item) -> dict[str, bool]:
    """Read source address persistence profiles: which of them match across services, by full path."""
    return {str(item["fullPath"]): item["matchAcrossServices"] == "enabled" for item in body.get("items", [])}


def full_paths(body: Item) -> set[str]:
    """Read the full paths of a collection's objects."""
    return {str(item["fullPath"]) for item in body.get("items", [])}


def translating_policies(body: Item) -> set[str]:
    """Read LTM policies down to their actions (``expandSubcollections``): the full paths of those that translate the source."""
    return {
        str(policy["fullPath"])
        for policy in body.get("items", [])
        for rule in policy.get("rulesReference", {}).get("items", [])
        for action in rule.get("actionsReference", {}).get("items", [])
        if _translates(action)
    }


def _translates(action: Item) -> bool:
    # Public clients have 'snat' and 'snatpool' with a word or a name; flags such as 'snatAutomap' are read as well.
    return any(
        key.lower().startswith("snat") and key != "snatNone" and value not in (None, False, "", NONE)
        for key, value in action.items()
    )


def member_addresses(server: VirtualServer, known: Mapping[str, Pool]) -> set[str]:
    """Return the addresses of the servers behind a virtual server."""
    pool = known.get(server.pool)
    return {address for address, _port in pool.members} if pool else set()


def server_networks(servers: Iterable[VirtualServer], known: Mapping[str, Pool], own: Sequence[SelfIp]) -> list[SelfIp]:
    """Choose the self IPs in whose subnets the servers are."""
    members = {address for server in servers for address in member_addresses(server, known)}
    return [item for item in own if any(item.is_near(address) for address in members)]


def choosing(servers: Sequence[VirtualServer], known: Mapping[str, Pool]) -> list[list[VirtualServer]]:
    """Group the virtual servers by address; only those between whose servers a client's two ports could be split."""
    groups = [
        [server for server in servers if server.service.address == address]
        for address in dict.fromkeys(server.service.address for server in servers)
    ]
    return [
        group
        for group in groups
        if (len(group) > 1 or group[0].service.port == ANY_PORT)
        and len(set().union(*(member_addresses(server, known) for server in group))) > 1
    ]


def shared_persistence(group: Iterable[VirtualServer]) -> tuple[str, ...]:
    """Return the persistence profiles that all of these have; empty where they have none or differ."""
    profiles = {server.persistence for server in group}
    return next(iter(profiles)) if len(profiles) == 1 else ()


def sync_status(body: Item) -> str:
    """Read the one status that all device groups come to."""
    (entry,) = body["entries"].values()
    return str(entry["nestedStats"]["entries"]["status"]["description"])


def declared(body: Item) -> set[tuple[str, str]]:
    """Read which tenants and applications an AS3 declaration holds."""
    tenants = body.get("declaration", body)
    return {
        (name, application)
        for name, tenant in tenants.items()
        if isinstance(tenant, dict)
        for application, content in tenant.items()
        if isinstance(content, dict)
    }


def with_servers(
    server: VirtualServer, known: Mapping[str, Pool], own: Sequence[SelfIp], traffic_group: str | None
) -> Service:
    """Return the service with its servers; ``traffic_group`` None is a device without a partner."""
    pool = known.get(server.pool)
    return replace(
        server.service,
        servers=tuple(
            Server(address, port or server.service.port, gateways(address, own, traffic_group))
            for address, port in (pool.members if pool else ())
        ),
    )


def gateways(server: str, own: Sequence[SelfIp], traffic_group: str | None) -> tuple[str, ...]:
    """Choose the self IPs that may be a server's default gateway.

    That is the floating one in its subnet which moves to the other unit together with the virtual address, by its
    traffic group. A device without a partner (None) may have none that floats, and any self IP serves there.
    """
    floating = addresses_near(
        (item for item in own if item.floating and traffic_group in (None, item.traffic_group)), server
    )
    return floating or (addresses_near(own, server) if traffic_group is None else ())


def _address(text: str) -> str:
    host, percent, domain = text.partition("%")
    return canonical_address(ANY_ADDRESS.get(host, host) + percent + domain)


def _split_port(text: str, separator: str) -> tuple[str, int]:
    address, _dummy, port = text.rpartition(separator)
    if address and port not in NAMED_PORTS and re.fullmatch(r"[a-z][a-z0-9-]*", port):
        raise ForeignPort(f"the port {port!r} is not known")
    return address, NAMED_PORTS[port] if port in NAMED_PORTS else int(port)


def _member_port(name: str) -> int:
    return _split_port(name, "." if name.count(":") > 1 else ":")[1]
