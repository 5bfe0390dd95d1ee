# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""F5 BIG-IP's virtual servers as iControl REST lists them, and how they are read. No input or output."""

from __future__ import annotations

import posixpath
import re
import typing as t
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import (
    ANY_PORT,
    NOT_UNDERSTOOD,
    Service,
    Unread,
    Value,
    canonical_address,
)

Item: t.TypeAlias = "Mapping[str, t.Any]"
Domains: t.TypeAlias = "Mapping[str, int]"
"""The default route domains of partitions, which objects there belong to where they show none."""
Read = t.TypeVar("Read")

SNAT = "snat"
"""What tmsh users call source address translation."""

NONE = "none"
"""The type of source address translation that leaves the client's address alone."""

SNAT_POOL = "snatpool"

COMMON = "Common"

CARRYING_UDP = ("udp", "any")
"""The protocols of a virtual server that receives UDP."""

NAMED_PORTS = {"any": 0, "isakmp": 500, "ipsec-nat-t": 4500, "ipsec-msft": 4500}
"""How tmsh writes ports. REST has been seen to use numbers; both are read."""

NAMED_DESTINATION = re.compile(r"(/.+)[:.][\w-]+")
"""A destination that may have the name of a virtual address in place of an address."""

ANY_ADDRESS = {"any": "0.0.0.0", "any6": "::"}

VIRTUAL_SERVER = (
    "name,partition,fullPath,destination,mask,source,ipProtocol,disabled,pool,sourceAddressTranslation,translateAddress,ipForward,"
    "vlans,vlansEnabled,nat64,mirror,persist,rules,appService,securityNatPolicy,trafficMatchingCriteria"
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
    """A virtual server that carries UDP: the service, and its other properties that are needed.

    ``lists`` names what it takes addresses and ports from, where it has none of its own: it serves no address and any port then.
    ``shown`` is its address as the device shows it, ``source`` the network whose clients it serves (None: all of them).
    ``policies``: the full paths of the attached LTM policies; None where the reading does not show them.
    """

    service: Service
    lists: str
    shown: str
    source: netaddr.IPNetwork | None
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
        """Return partition and folder; the folder is empty for what is in the partition itself."""
        partition, _slash, folder = self.service.id[1:].rpartition("/")[0].partition("/")
        return partition, folder

    @property
    def is_in_folder(self) -> bool:
        """Report whether this is in a folder, like what AS3 declares. The folder of an iApp does not count."""
        return bool(self.folder[1]) and not self.application

    def address(self, domains: Domains) -> str:
        """Return the first address that this serves, with its route domain."""
        return located(self.shown, self.folder[0], domains) if self.shown else ""


@dataclass(frozen=True)
class Forwarder:
    """A virtual server on any port that forwards packets to where they are addressed: those from ``source`` to ``network``.

    ``vlans``: those where it listens; where it does not listen, with ``except_vlans``.
    """

    id: str
    shown: str
    network: netaddr.IPNetwork
    source: netaddr.IPNetwork | None
    protocol: str
    vlans: frozenset[str]
    except_vlans: bool

    def address(self, domains: Domains) -> str:
        """Return the first address that this serves, with its route domain."""
        return located(self.shown, _partition(self.id), domains)


def rest_name(full_path: str) -> str:
    """Write a full path as iControl REST names it: ``/Common/vs500`` -> ``~Common~vs500``."""
    return full_path.replace("/", "~")


def collection(body: Item) -> list[Item]:
    """Read the objects of a collection; an empty one has no list of them.

    :raises TypeError: where there is something else in its place.
    """
    items = body.get("items", [])
    if not isinstance(items, list):
        raise TypeError(f"items are {items!r}")
    return [dict(item) for item in items]


def each(body: Item, read: Callable[[Item], Read]) -> tuple[list[Read], list[Unread]]:
    """Read the objects of a collection, and name those that cannot be read."""
    found, unread = [], []
    for item in collection(body):
        try:
            found.append(read(item))
        except NOT_UNDERSTOOD as error:
            unread.append(not_understood(item, error))
    return found, unread


def not_understood(item: Item, error: Exception, *names: str) -> Unread:
    """Name an object that cannot be read, as far as it shows its name."""
    partition, name, full_path = (item.get(key) for key in ("partition", "name", "fullPath"))
    if not isinstance(full_path, str):
        full_path = f"/{partition}/{name}" if isinstance(name, str) else "an object without a name"
    return Unread(
        full_path, f"{type(error).__name__}: {error}", (*names, *([name] if isinstance(name, str) and name else ()))
    )


def page(body: Item, path: str) -> Page:
    """Read a page of the collection at ``path``."""
    link = body.get("nextLink") or ""
    following = urlsplit(link)  # on 'localhost', whatever the device is called
    if link and posixpath.normpath(unquote(following.path)) != path:
        raise ValueError(f"the next page is said to be at {link!r}")
    return Page(
        collection(body), int(body.get("totalItems", 0)), f"{path}?{following.query}" if following.query else ""
    )


class ForeignPort(ValueError):
    """A port written as a name that none of IKE's ports has, such as ``domain``."""


def located(shown: str, partition: str, domains: Domains) -> str:
    """Return an address with its route domain. One that the device shows without is in its partition's default one."""
    host, percent, domain = shown.partition("%")
    return canonical_address(ANY_ADDRESS.get(host, host) + (percent + domain or f"%{domains.get(partition, 0)}"))


def network(shown: str) -> netaddr.IPNetwork:
    """Read a network such as ``10.70.7.0%2/24``, without its route domain; ``any`` is every IPv4 address."""
    address, slash, length = shown.partition("/")
    host = address.partition("%")[0]
    return netaddr.IPNetwork(f"{ANY_ADDRESS[host]}/0" if host in ANY_ADDRESS else host + slash + length)


def parse_destination(destination: str, addresses: Mapping[str, str] | None = None) -> tuple[str, int]:
    """Split a virtual server's destination into canonical address and port (0 for any port).

    ``/Common/1.1.1.1%2:80``, and for IPv6 a dot before the port: ``/Common/2001:db8::6%2.80``. In place of the address there may be
    the full path of a virtual address with a name of its own; ``addresses`` are theirs.

    :raises ForeignPort: where the port's name is not known.
    :raises ValueError: where it is not a destination otherwise.
    """
    address, port = _split_destination(destination, addresses or {})
    return located(address, "", {}), port


def _split_destination(destination: str, addresses: Mapping[str, str]) -> tuple[str, int]:
    text = destination.rpartition("/")[2]
    # IPv4 has one colon, before the port; IPv6 has several and a dot there. A name such as 'any6' may stand for the address.
    address, port = split_port(text, "." if text.count(":") > 1 or text.startswith("any6") else ":")
    return addresses.get(f"{destination.rpartition('/')[0]}/{address}", address), port


def split_port(text: str, separator: str) -> tuple[str, int]:
    """Split at the last separator, and read what follows as a port."""
    address, _dummy, port = text.rpartition(separator)
    if address and port not in NAMED_PORTS and re.fullmatch(r"[a-z][a-z0-9-]*", port):
        raise ForeignPort(f"the port {port!r} is not known")
    return address, NAMED_PORTS[port] if port in NAMED_PORTS else int(port)


def names_an_address(item: Item) -> bool:
    """Report whether a virtual server's destination has the name of a virtual address in place of an address."""
    if item.get("ipProtocol") not in CARRYING_UDP or _criteria(item):
        return False
    destination = str(item.get("destination"))
    try:
        parse_destination(destination)
    except ForeignPort:
        return False
    except ValueError:
        return NAMED_DESTINATION.fullmatch(destination) is not None
    return False


def partition_of(item: Item) -> str:
    """Return the partition of an object."""
    partition = item.get("partition")
    return partition if isinstance(partition, str) else _partition(str(item.get("fullPath", "")))


def _partition(full_path: str) -> str:
    return full_path.partition("/")[2].partition("/")[0]


def virtual_servers(items: Iterable[Item], addresses: Mapping[str, str]) -> tuple[list[VirtualServer], list[Unread]]:
    """Read the virtual servers that carry UDP, except those on a named port that is none of IKE's, and name those that cannot be read.

    ``addresses``: those of virtual addresses, by full path.
    """
    found, unread = [], []
    for item in items:
        # What has no readable protocol may carry UDP.
        if isinstance(protocol := item.get("ipProtocol"), str) and protocol not in CARRYING_UDP:
            continue
        try:
            found.append(_virtual_server(item, addresses))
        except ForeignPort:
            continue
        except NOT_UNDERSTOOD as error:
            unread.append(not_understood(item, error, *_address_of(item, addresses)))
    return found, unread


def pool_kind(value: Value) -> str:
    """Return the kind of pool that source address translation has; empty where it has none."""
    return ("lsn-pool" if value.get("type") == "lsn" else SNAT_POOL) if isinstance(value, dict) else ""


def forwarders(items: Iterable[Item]) -> list[Forwarder]:
    """Read the enabled virtual servers on any port that forward. One that is not understood, or takes lists, may forward everything."""
    found = []
    for item in items:
        # Before a pool of routers, addresses are left as they are.
        if item.get("disabled") or not (_forwards(item) or item.get("translateAddress") == "disabled"):
            continue
        try:
            found += _forwarder(item)
        except NOT_UNDERSTOOD:
            if _forwards(item):
                found += [
                    Forwarder(
                        str(item.get("fullPath")), every, network(every), None, "any", frozenset(), except_vlans=True
                    )
                    for every in ANY_ADDRESS
                ]
    return found


def _address_of(item: Item, addresses: Mapping[str, str]) -> list[str]:
    try:
        return [parse_destination(item["destination"], addresses)[0]]
    except NOT_UNDERSTOOD:
        return []


def _criteria(item: Item) -> str:
    return none_or(item.get("trafficMatchingCriteria", NONE))


def none_or(value: t.Any) -> str:
    """Return a text, empty where there is none."""
    return "" if value in (None, NONE) else str(value)


def _virtual_server(item: Item, addresses: Mapping[str, str]) -> VirtualServer:
    if item["ipProtocol"] not in CARRYING_UDP:
        raise ValueError(f"ipProtocol is {item['ipProtocol']!r}")
    translation = item["sourceAddressTranslation"]
    kind, pool = as_text(translation["type"]), none_or(translation.get("pool", NONE))
    value: Value = {"type": kind, "pool": pool} if pool else kind
    lists, shown, port = _criteria(item), "", ANY_PORT
    if not lists:
        try:
            shown, port = _split_destination(as_text(item["destination"]), addresses)
            located(shown, "", {})
        except ForeignPort:
            raise
        except ValueError:
            if not names_an_address(item):
                raise
            # A name without a virtual address is treated like a list.
            lists, shown, port = str(item["destination"]), "", ANY_PORT
    service = Service(
        id=as_text(item["fullPath"]),
        address=_served(shown, item) if shown else "",
        port=port,
        settings={SNAT: value},
        source_preserved=kind == NONE,
        enabled=not item.get("disabled", False),
        forwards=_forwards(item),
        names=(as_text(item["name"]),),
    )
    source = None if lists else _source(item)
    attached = {as_text(profile["fullPath"]) for profile in collection(item.get("profilesReference", {}))}
    return VirtualServer(
        service,
        lists=lists,
        shown=shown,
        source=source,
        pool=none_or(item.get("pool")),
        persistence=tuple(_full_path(profile) for profile in as_list(item, "persist")),
        rules=tuple(as_text(rule) for rule in as_list(item, "rules")),
        application=none_or(item.get("appService")),
        nat64=item.get("nat64") == "enabled",
        translates_destination=item.get("translateAddress", "enabled") == "enabled",
        mirrored=item.get("mirror") == "enabled",
        # Shown with both flags at "no" where there is none.
        nat_policy=any(
            value not in ("no", NONE, "")
            for key, value in item.get("securityNatPolicy", {}).items()
            if "Reference" not in key
        ),
        policies=full_paths(item.get("policiesReference", {})) if attached else None,
    )


def _forwarder(item: Item) -> list[Forwarder]:
    if criteria := _criteria(item):
        raise ValueError(criteria)
    shown, port = _split_destination(as_text(item["destination"]), {})
    served = network(_served(shown, item))
    if port != ANY_PORT or (served.prefixlen and not _forwards(item)):
        return []
    return [
        Forwarder(
            as_text(item["fullPath"]),
            shown,
            served,
            _source(item),
            as_text(item["ipProtocol"]),
            frozenset(map(as_text, as_list(item, "vlans"))),
            except_vlans=not item.get("vlansEnabled", False),
        )
    ]


def _forwards(item: Item) -> bool:
    return item.get("ipForward") is True


def _served(shown: str, item: Item) -> str:
    """Return the address that a virtual server serves; a network with its mask, such as ``10.60.9.0%2/24``."""
    address = located(shown, "", {})
    host, mask = address.partition("%")[0], none_or(item.get("mask"))
    if mask in ANY_ADDRESS or (not mask and host in ANY_ADDRESS.values()):
        return f"{address}/0"
    served = netaddr.IPNetwork(f"{host}/{mask}" if mask else host)
    return address if served.size == 1 else f"{address}/{served.prefixlen}"


def _source(item: Item) -> netaddr.IPNetwork | None:
    source = network(as_text(item["source"])) if item.get("source", NONE) != NONE else None
    return source if source and source.prefixlen else None


def as_text(value: t.Any) -> str:
    """Return a text.

    :raises TypeError: where it is none.
    """
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def as_list(item: Item, key: str) -> list[t.Any]:
    """Return a list, empty where it is absent.

    :raises TypeError: where there is something else in its place.
    """
    value = item.get(key, [])
    if not isinstance(value, list):
        raise TypeError(f"{key} is {value!r}")
    return value


def _full_path(reference: Item) -> str:
    parts = (reference["partition"], reference.get("subPath"), reference["name"])
    return "".join(f"/{part}" for part in parts if part)


def full_paths(body: Item) -> frozenset[str]:
    """Read the full paths of a collection's objects."""
    return frozenset(as_text(item["fullPath"]) for item in collection(body))
