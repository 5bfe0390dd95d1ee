# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a NetScaler's virtual servers, bindings, groups and members are joined to services. No input or output."""

from __future__ import annotations

import typing as t
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ansible_collections.aovpn.ikev2.plugins.module_utils._model import ANY_PORT, IKE_PORTS, Server, Service, Unread
from ansible_collections.aovpn.ikev2.plugins.module_utils._netscaler import objects
from ansible_collections.aovpn.ikev2.plugins.module_utils._netscaler.objects import (
    Carrier,
    Group,
    Member,
    Snip,
    VirtualServer,
    each,
)
from ansible_collections.aovpn.ikev2.plugins.module_utils._network import has_server


@dataclass(frozen=True)
class Listener:
    """A virtual server with a service group or service that is bound to it."""

    server: VirtualServer
    carrier: Carrier


@dataclass(frozen=True)
class Topology:
    """What is bound to what, as far as it could be read.

    ``broken``: why a carrier cannot be read. ``hidden``: the virtual server of a carrier that cannot be read, and may have any address.
    """

    listeners: tuple[Listener, ...] = ()
    members: Mapping[Carrier, Sequence[Member]] = field(default_factory=dict)
    unread: tuple[Unread, ...] = ()
    broken: Mapping[Carrier, str] = field(default_factory=dict)
    hidden: Mapping[Carrier, str] = field(default_factory=dict)

    def members_of(self, group: Group) -> Sequence[Member]:
        """Return what a carrier sends packets to."""
        return group.members or self.members.get(group.carrier, ())


def topology(servers: Sequence[t.Any], bindings: Mapping[str, Sequence[t.Any]], members: Sequence[t.Any]) -> Topology:
    """Join virtual servers, what is bound to them (by kind) and the members of service groups, as NITRO lists them."""
    rows = {objects.optional(row, "name"): row for row in servers if isinstance(row, dict)}
    read, odd = each(servers, objects.virtual_server, "name")
    usable = {server.name: server for server in read if server is not None}
    failed = {item.id: item.reason for item in odd}
    bound: list[tuple[str, Carrier]] = []
    broken: dict[Carrier, str] = {}
    for kind, listed in bindings.items():
        good, bad = each(listed, objects.binding(kind), "name", f"{kind}name")
        bound += good
        for item in bad:
            if usable.pop(item.id, None):
                failed[item.id] = f"its binding: {item.reason}"
            elif item.id not in rows:
                broken[kind, item.id] = f"its binding: {item.reason}"
    found, bad = each(members, objects.member, "servicegroupname")
    broken |= {("servicegroup", item.id): f"its member: {item.reason}" for item in bad}
    by_carrier: dict[Carrier, list[Member]] = {}
    for carrier, member in found:
        by_carrier.setdefault(carrier, []).append(member)
    return Topology(
        join(usable.values(), bound),
        by_carrier,
        tuple(Unread(name, reason, _addresses(rows.get(name), usable.values())) for name, reason in failed.items()),
        broken,
        {carrier: name for name, carrier in bound if name not in usable and (name in failed or name not in rows)},
    )


def _addresses(row: t.Any, others: Iterable[VirtualServer]) -> tuple[str, ...]:
    """Return the address of a virtual server that cannot be read, if it may be the one that a user means by it."""
    found, _unread = each([row], objects.virtual_address, "name")
    for address, port in found:
        beside = {other.port for other in others if address in other.addresses}
        if port in (*IKE_PORTS, ANY_PORT) or (port is None and not beside.issuperset(IKE_PORTS)):
            return (address,)
    return ()


def join(servers: Iterable[VirtualServer | None], bindings: Iterable[tuple[str, Carrier]]) -> tuple[Listener, ...]:
    """Join virtual servers with what is bound to them; bindings of others are left out."""
    by_name = {server.name: server for server in servers if server is not None}
    return tuple(Listener(by_name[name], carrier) for name, carrier in bindings if name in by_name)


def with_sets(known: Topology, bindings: Sequence[t.Any]) -> Topology:
    """Add the addresses of IP sets to the virtual servers that use them."""
    read, odd = each(bindings, objects.set_binding, "name")

    def more(server: VirtualServer) -> VirtualServer:
        added = [address + server.domain for name, address in read if name == server.ipset]
        return replace(server, more=(*server.more, *added))

    listeners = tuple(Listener(more(item.server), item.carrier) for item in known.listeners)
    return replace(known, listeners=listeners, unread=(*known.unread, *odd))


def services(known: Topology, groups: Mapping[Carrier, Group]) -> tuple[list[Service], list[Unread]]:
    """Return a service for each address of a virtual server with a carrier bound to it, and for each port of other carriers.

    Carriers that cannot be read are returned beside them.
    """
    broken = {
        **{
            item.carrier: f"it is bound to {item.server.name}, and is not listed"
            for item in known.listeners
            if item.carrier not in groups
        },
        **known.broken,
    }
    found, reached = [], set()
    for item in known.listeners:
        if item.carrier not in broken and item.server.address:
            reached.add(item.carrier)
            group, server = groups[item.carrier], item.server
            found += [
                _service(group, address, server.port, server.protocol, enabled=server.enabled)
                for address in server.addresses
            ]
    found = _once(found)
    unread = [Unread(carrier[1], reason, _reached_by(carrier, known)) for carrier, reason in broken.items()]
    for carrier, group in groups.items():
        if carrier in reached or carrier in broken or group.protocol is None:
            continue
        if carrier in known.hidden:
            unread.append(Unread(carrier[1], f"its virtual server {known.hidden[carrier]} could not be read"))
            continue
        ports = sorted({member.port for member in known.members_of(group)})
        found += [_service(group, "", port, group.protocol, enabled=True) for port in ports]
    return found, unread


def _once(services: Iterable[Service]) -> list[Service]:
    """Return each service once; virtual servers that differ by their listen policies alone may lead to the same carrier."""
    found: dict[tuple[str, str, int], Service] = {}
    for service in services:
        key = (service.id, service.address, service.port)
        enabled = service.enabled or (key in found and found[key].enabled)
        found[key] = replace(service, enabled=enabled)
    return [*found.values()]


def _reached_by(carrier: Carrier, known: Topology) -> tuple[str, ...]:
    return tuple(
        address
        for item in known.listeners
        if item.carrier == carrier and item.server.port in (*IKE_PORTS, ANY_PORT)
        for address in item.server.addresses
    )


def _service(group: Group, address: str, port: int, protocol: str, *, enabled: bool) -> Service:
    return Service(
        id=group.carrier[1],
        address=address,
        port=port,
        settings=group.settings,
        source_preserved=group.settings[objects.USIP] == "YES",
        protocol=protocol,
        enabled=group.enabled and enabled,
    )


def profiles(services: Iterable[Service], groups: Iterable[Group], known: Topology) -> set[str]:
    """Return the net profiles of these services' virtual servers and carriers."""
    carriers = {group.carrier for group in groups}
    addresses = {service.address for service in services}
    found = {group.profile for group in groups}
    found |= {
        item.server.profile
        for item in known.listeners
        if item.carrier in carriers and not addresses.isdisjoint(item.server.addresses)
    }
    return found - {""}


def with_servers(
    service: Service, group: Group, known: Topology, snips: Sequence[Snip], not_asked: Container[int] = ()
) -> Service:
    """Return the service with its servers, in the traffic domain of its carrier, and the gateways that they may use.

    ``not_asked``: the IP versions of which the device's own addresses could not be read.
    """
    forwarding = {
        item.server.forwarding
        for item in known.listeners
        if (item.carrier, item.server.port) == (group.carrier, service.port)
        and service.address in item.server.addresses
    }
    direct = bool(forwarding) and "IP" not in forwarding
    servers, unresolved = [], []
    for member in known.members_of(group):
        # Without a virtual server, the member's port is all that says which service this is.
        if not service.address and member.port != service.port:
            continue
        if member.address:
            address = member.address + group.domain
            gateways = () if direct else gateways_of(snips, address)
            servers.append(
                Server(
                    address,
                    member.port or service.port,
                    gateways,
                    member.enabled,
                    member.up,
                    direct=direct,
                    gateways_known=(6 if ":" in address else 4) not in not_asked,
                )
            )
        elif member.enabled and not direct:
            unresolved.append(member.name)
    return replace(service, servers=tuple(servers), unresolved=tuple(dict.fromkeys(unresolved)))


def named_subnets(server: VirtualServer, services: Iterable[Service], snips: Iterable[Snip]) -> list[str]:
    """Return the subnets of these services' servers that the virtual server's listen policy names, or names addresses in."""
    behind = [one for service in services for one in service.servers]
    named = [network for network in objects.named_networks(server.policy) if network.prefixlen]
    near = [item.network.cidr for item in snips if has_server(behind, item)]
    return [str(subnet) for subnet in near if any(subnet in network or network in subnet for network in named)]


def switched(
    addresses: Container[str], switches: Sequence[t.Any], bindings: Mapping[str, Sequence[t.Any]], known: Topology
) -> dict[str, list[str]]:
    """Return the content switching virtual servers at these addresses, and the carriers that they lead to, as far as shown.

    ``bindings``: by the field that names the virtual server that they lead to.
    """
    read, _unread = each(switches, objects.content_switch, "name")
    found: dict[str, list[str]] = {
        switch[0]: [] for switch in read if switch and any(address in addresses for address in switch[1])
    }
    for key, rows in bindings.items():
        targets, _unread = each(rows, objects.target(key), "name")
        for name, server in targets:
            if name in found:
                found[name] += [item.carrier[1] for item in known.listeners if item.server.name == server]
    return found


def gateways_of(snips: Iterable[Snip], address: str) -> tuple[str, ...]:
    """Return the subnet addresses that may be a server's gateway; in a cluster, those of every node where there are any."""
    near = [item for item in snips if item.is_near(address) and not item.off]
    return tuple(item.address for item in [item for item in near if item.node is None] or near)
