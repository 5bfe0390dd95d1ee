# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Virtual services, real servers, interfaces and settings of a LoadMaster, and how they are read. No input or output."""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.module_utils._loadmaster.decode import (
    Fields,
    as_list,
    flag,
    listed,
    number,
    text,
)
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import (
    ANY_PORT,
    IKE_PORTS,
    Server,
    Service,
    Unread,
    canonical_address,
)
from ansible_collections.aovpn.ikev2.plugins.module_utils._network import OwnAddress

Read = t.TypeVar("Read")
Odd = t.TypeVar("Odd")

LAYER_4 = 4
"""On layer 4 the LoadMaster always keeps the client's address, whatever the flag says."""

UNITS, CLUSTER = (1, 2), 4
"""The HA modes of the two units of a pair, which share addresses, and of a cluster. 3 is HA in a cloud, without shared addresses."""

TRANSPARENT = "Transparent"
"""The flag of a service that keeps the client's address."""

MOST_PORTS, MOST_ADDRESSES = 510, 256
"""How many ports a service has at most, as the vendor says, and how many addresses are believed."""


@dataclass(frozen=True)
class RealServers:
    """The real servers of a service. ``unread``: those that cannot be read, or have no address.

    ``unresolved`` are the names of those among them that may receive clients behind the LoadMaster.
    """

    servers: tuple[Server, ...] = ()
    unread: tuple[Unread, ...] = ()
    unresolved: tuple[str, ...] = ()

    @property
    def direct(self) -> bool:
        """Report whether all of them reply to clients past the LoadMaster. They see the clients' own addresses, then."""
        return bool(self.servers) and not self.unread and all(server.direct for server in self.servers)


@dataclass(frozen=True)
class VirtualService:
    """A UDP virtual service: the service, and what else about it matters.

    ``address`` and ``port`` are as the device writes them, ``places`` all addresses and ports on which it listens. ``follows`` is the
    index of the service whose port it follows, ``use_for_snat`` is None where the device does not have it, ``real`` where it did not say.
    ``parts``: how many SubVSs it has, whose real servers are not read. ``sources``: the alternate addresses from which it connects to
    its servers; ``unread_sources``: those that cannot be read.
    """

    service: Service
    address: str
    port: str
    places: tuple[tuple[str, int], ...]
    index: int
    layer: int
    reencrypts: bool
    subnet_originating: bool
    use_for_snat: bool | None
    persistence: str
    follows: int
    real: RealServers | None
    parts: int = 0
    sources: tuple[str, ...] = ()
    unread_sources: tuple[Unread, ...] = ()

    @property
    def identity(self) -> Fields:
        """Return the parameters that mean this service and no other."""
        return {"vs": self.address, "port": self.port, "prot": "udp"}

    @property
    def services(self) -> tuple[Service, ...]:
        """Return the service once for each address and port."""
        return tuple(replace(self.service, address=address, port=port) for address, port in self.places)

    def preserves(self, transparent: bool) -> bool:
        """Report whether the client's address is kept with the flag like this."""
        direct = self.real is not None and self.real.direct
        return self.layer == LAYER_4 or direct or (transparent and not self.reencrypts)

    def with_real(self, real: RealServers | None) -> VirtualService:
        """Return this service with these real servers, on which it depends whether it keeps the client's address."""
        found = replace(self, real=real)
        kept = found.preserves(self.service.settings[TRANSPARENT] is True)
        return replace(found, service=replace(self.service, source_preserved=kept))


@dataclass(frozen=True)
class Interface(OwnAddress):
    """An address of an interface and, in a pair of units, the ``shared`` one that moves to the active unit."""

    name: str
    shared: str


@dataclass(frozen=True)
class Settings:
    """Settings of the whole device; None is one that it does not have, or that is in ``unread``."""

    version: str
    ha_mode: int
    ha_status: str
    server_nat: bool | None
    subnet_originating: bool | None
    transparent: bool | None
    unread: tuple[Unread, ...] = ()

    @property
    def shares_addresses(self) -> bool:
        """Report whether this is one of two units, and only the shared addresses stay."""
        return self.ha_mode in UNITS


def _each(
    items: Iterable[t.Any], read: Callable[[t.Any], Read], describe: Callable[[int, Fields, str], Odd]
) -> tuple[list[Read], list[Odd]]:
    """Read each of ``items``; what cannot be read is returned with the reason, as ``describe`` names it."""
    found, unread = [], []
    for position, item in enumerate(items, 1):
        try:
            found.append(read(item))
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, netaddr.AddrFormatError) as error:
            reason = str(error) if isinstance(item, dict) else f"{item!r:.80} is no record"
            unread.append(describe(position, item if isinstance(item, dict) else {}, reason))
    return found, unread


# Virtual services


def virtual_services(fields: Fields) -> tuple[list[VirtualService], list[Unread]]:
    """Read the UDP services, and name what may be one and cannot be read.

    :raises ValueError: where there are no records at all in the list.
    """
    records = listed(fields, "VS")
    if records and not any(isinstance(record, dict) for record in records):
        raise ValueError("VS is no list of records")
    found, unread = _each(records, virtual_service, _unread_service)
    return [virtual for virtual in found if virtual is not None], unread


def virtual_service(record: Fields) -> VirtualService | None:
    """Read one service; None where it is no UDP service. A SubVS stands among the others, without an address of its own."""
    protocol = text(record, "Protocol").lower()
    if protocol == "tcp" or (protocol == "udp" and number(record, "MasterVSID")):
        return None
    if protocol != "udp":
        raise ValueError(f"Protocol is {protocol!r:.80}")
    written, port = text(record, "VSAddress"), text(record, "VSPort")
    addresses, ports = _addresses(record, written), _ports(port, text(record, "ExtraPorts"))
    places = tuple((address, port) for address in addresses for port in ports)
    index, nickname = number(record, "Index"), text(record, "NickName")
    if not index:
        raise ValueError("it has no Index")
    sources, unread_sources = _sources(record)
    name = _id(addresses[0], "0" if ports == [ANY_PORT] else port if "-" in port else str(int(port)))
    spelled = [_id(address, str(at or "*")) for address, at in places]
    return VirtualService(
        Service(
            id=name,
            address=addresses[0],
            port=ports[0],
            settings={TRANSPARENT: flag(record, "Transparent")},
            source_preserved=False,
            enabled=flag(record, "Enable", absent=True) and text(record, "Status").lower() != "disabled",
            names=(str(index), *([nickname] if nickname else []), *(other for other in spelled if other != name)),
        ),
        address=written,
        port=port,
        places=places,
        index=index,
        layer=_layer(record),
        reencrypts=flag(record, "SSLReencrypt"),
        subnet_originating=flag(record, "SubnetOriginating"),
        use_for_snat=flag(record, "UseforSnat") if "UseforSnat" in record else None,
        # A time-out of 0 switches persistence off.
        persistence="" if text(record, "PersistTimeout") == "0" else text(record, "Persist"),
        follows=number(record, "FollowVSID"),
        real=None,
        parts=len(as_list(record.get("SubVS") or [])),
        sources=tuple(sources),
        unread_sources=tuple(unread_sources),
    ).with_real(real_servers(record) if tells_servers(record) else None)


def _id(address: str, port: str) -> str:
    return f"{f'[{address}]' if ':' in address else address}:{port}/udp"


def _addresses(record: Fields, written: str) -> list[str]:
    """Read the addresses of a service: the first, the others of its range, and an alternate one."""
    if not written:
        raise ValueError("it has no VSAddress")
    first, count = canonical_address(written), number(record, "range") or number(record, "Range") or 1
    if count > MOST_ADDRESSES:
        raise ValueError(f"its range has {count} addresses")
    alternate = text(record, "AltAddress")
    following = [str(netaddr.IPAddress(first) + more) for more in range(1, count)]
    return [first, *following, *([canonical_address(alternate)] if alternate else [])]


def _sources(record: Fields) -> tuple[list[str], list[Unread]]:
    """Read the alternate source addresses, which have blanks between them."""
    shown = " ".join(map(str, as_list(record.get("LocalBindAddrs") or [])))
    return _each(
        shown.replace(",", " ").split(),
        canonical_address,
        lambda _position, _item, reason: Unread("alternate source address", reason),
    )


def _ports(port: str, extra: str) -> list[int]:
    """Read the ports of a service, which may be ranges, with a comma or a blank between them.

    Of more than a service can have, those of IKEv2 are what matters.
    """
    if port in ("*", "0"):
        return [ANY_PORT]
    if not port:
        raise ValueError("it has no VSPort")
    ranges = []
    for part in (port, *extra.replace(",", " ").split()):
        first, dash, last = part.partition("-")
        low, high = _port(first, part), _port(last if dash else first, part)
        if low > high:
            raise ValueError(f"{part!r:.80} is no range of ports")
        ranges.append(range(low, high + 1))
    if sum(map(len, ranges)) <= MOST_PORTS + 1:
        return list(dict.fromkeys(port for ports in ranges for port in ports))
    of_ike = [port for port in IKE_PORTS if any(port in ports for ports in ranges)]
    if not of_ike:
        raise ValueError(f"it has more than {MOST_PORTS} ports, {port!r:.80} and {extra!r:.80}")
    return of_ike


def _port(value: str, part: str) -> int:
    if not (value.isascii() and value.isdecimal() and 1 <= int(value) <= 65535):
        raise ValueError(f"{part!r:.80} is no port")
    return int(value)


def _layer(record: Fields) -> int:
    """Read the layer. The vendor's published answers have ForceL7 in place of Layer."""
    if layer := text(record, "Layer"):
        if layer not in ("4", "7"):
            raise ValueError(f"Layer is {layer!r:.80}")
        return int(layer)
    forced = (("ForceL7", 7, 4), ("ForceL4", 4, 7))
    layers = {on if flag(record, key) else off for key, on, off in forced if key in record}
    if len(layers) != 1:
        raise ValueError("neither Layer nor ForceL7 and ForceL4 tell whether it works on layer 4 or 7")
    return layers.pop()


def _unread_service(position: int, record: Fields, reason: str) -> Unread:
    index, nickname, written, port, alternate = (
        _shown(record, key) for key in ("Index", "NickName", "VSAddress", "VSPort", "AltAddress")
    )
    addresses = [_canonical(address) for address in (written, alternate) if address]
    name = _id(addresses[0], port) if written and port else nickname or f"virtual service {index or position}"
    return Unread(name, reason, tuple(item for item in (index, nickname, *addresses) if item))


def _shown(record: Fields, key: str) -> str:
    """Return a field as far as it can be shown."""
    value = record.get(key)
    return "" if value is None or isinstance(value, (dict, list)) else str(value).strip()[:80]


def _canonical(address: str) -> str:
    try:
        return canonical_address(address)
    except ValueError:
        return address


# Real servers


def tells_servers(record: Fields) -> bool:
    """Report whether a record names the service's real servers. Empty lists are left out, so the count decides."""
    return bool(record.get("Rs")) or record.get("NumberOfRSs") in (0, "0")


def real_servers(record: Fields) -> RealServers:
    """Read a service's real servers."""
    servers, odd = _each(listed(record, "Rs"), _real_server, _unread_server)
    unresolved = tuple(item.id for item, receives_clients in odd if receives_clients)
    return RealServers(tuple(servers), tuple(item for item, _receives_clients in odd), unresolved)


def _real_server(record: Fields) -> Server:
    address, forward, status = text(record, "Addr"), text(record, "Forward").lower(), text(record, "Status").lower()
    if not address:
        raise ValueError("it has no address")
    if forward not in ("", "nat", "route"):
        raise ValueError(f"Forward is {forward!r:.80}")
    return Server(
        canonical_address(address),
        number(record, "Port"),
        enabled=flag(record, "Enable", absent=True) and status != "disabled",
        up=status != "down",
        direct=forward == "route",
    )


def _unread_server(position: int, record: Fields, reason: str) -> tuple[Unread, bool]:
    """Describe a real server, and report whether it may receive clients behind the LoadMaster."""
    name, address, forward, enabled = (_shown(record, key) for key in ("DnsName", "Addr", "Forward", "Enable"))
    retired = enabled.lower() in ("n", "no", "false", "0") or _shown(record, "Status").lower() == "disabled"
    receives_clients = forward.lower() != "route" and not retired
    return Unread(name or address or f"real server {position}", reason), receives_clients


def with_gateways(
    servers: Iterable[Server], own: Sequence[Interface], device: Settings, gateway: str | None
) -> tuple[Server, ...]:
    """Return the servers with what may be their default gateway: this device's address in their subnet, else ``gateway``.

    Those that reply to clients past the device get none.
    """
    return tuple(
        server if server.direct else _with_gateways(server, own, device.shares_addresses, gateway) for server in servers
    )


def _with_gateways(server: Server, own: Sequence[Interface], shares: bool, gateway: str | None) -> Server:
    near = [item for item in own if item.is_near(server.address)]
    told = tuple(address for item in near if (address := item.shared or ("" if shares else item.address)))
    if told or gateway:
        return replace(server, gateways=told or (str(gateway),))
    return replace(server, unshared=tuple(item.address for item in near))


# The device


def interfaces(fields: Fields) -> tuple[list[Interface], list[Unread]]:
    """Read the addresses of interfaces: the first of each, with the shared one beside it, and additional ones."""
    found, unread = _each(listed(fields, "Interface"), _interface, _unread_interface)
    return [item for items in found for item in items], unread


def _interface(record: Fields) -> list[Interface]:
    name = text(record, "Id")
    addresses = [(text(record, "IPAddress"), text(record, "SharedIPAddress").partition("/")[0])]
    # A public client (python-kemptech-api) has additional addresses one level down, as IPaddress.
    more = record.get("AdditionalAddresses") or []
    if isinstance(more, dict):
        more = [address for key, listed in more.items() if key.lower() == "ipaddress" for address in as_list(listed)]
    addresses += [(text({name: address}, name), "") for address in as_list(more)]
    return [
        Interface(
            canonical_address(address.partition("/")[0]),
            netaddr.IPNetwork(address),
            "",
            name,
            canonical_address(shared) if shared else "",
        )
        for address, shared in addresses
        if address
    ]


def _unread_interface(position: int, record: Fields, reason: str) -> Unread:
    return Unread(f"interface {_shown(record, 'Id') or position}", reason)


def settings(fields: Fields) -> Settings:
    """Read the settings of the whole device. One that only findings need may be unreadable."""
    keys = ("snat", "subnetoriginating", "transparent")
    found, unread = _each(
        [{key: fields[key]} for key in keys if key in fields],
        lambda item: (next(iter(item)), flag(item, next(iter(item)))),
        lambda _position, item, reason: Unread(f"setting {next(iter(item))}", reason),
    )
    read = dict(found)
    return Settings(
        version=_shown(fields, "version"),
        ha_mode=number(fields, "hamode"),
        ha_status=text(fields, "hastatus"),
        server_nat=read.get("snat"),
        subnet_originating=read.get("subnetoriginating"),
        transparent=read.get("transparent"),
        unread=tuple(unread),
    )
