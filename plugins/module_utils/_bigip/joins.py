# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a BIG-IP's virtual servers belong together with the objects around them. No input or output."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.objects import Domains, Forwarder, VirtualServer
from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.surroundings import (
    Pool,
    SelfIp,
    Snat,
    Units,
    VirtualAddress,
)
from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import ANY_PORT, Server, Service
from ansible_collections.aovpn.ikev2.plugins.module_utils._network import addresses_near

EVERYTHING = {4: "0.0.0.0/0", 6: "::/0"}


@dataclass(frozen=True)
class Surroundings:
    """What a change is judged by. ``addresses``: the virtual addresses by address, as far as they were read."""

    domains: Domains
    pools: Mapping[str, Pool]
    own: Sequence[SelfIp]
    units: Units
    addresses: Mapping[str, VirtualAddress]

    def members(self, server: VirtualServer) -> list[str]:
        """Return the addresses of the servers behind a virtual server."""
        pool = self.pools.get(server.pool)
        return [member.address for member in pool.members] if pool else []

    def near(self, servers: Iterable[VirtualServer]) -> list[SelfIp]:
        """Return the self IPs in whose subnets the servers are."""
        members = {address for server in servers for address in self.members(server)}
        return [item for item in self.own if any(item.is_near(address) for address in members)]

    def behind(self, near: SelfIp) -> list[str]:
        """Return the addresses of the servers in the subnet of a self IP."""
        return [
            member.address for pool in self.pools.values() for member in pool.members if near.is_near(member.address)
        ]

    def traffic_group(self, server: VirtualServer) -> str:
        """Return the traffic group of a virtual server's address; empty where it is not known."""
        found = self.addresses.get(server.address(self.domains))
        return found.traffic_group if found else ""

    def is_off(self, server: VirtualServer | Forwarder) -> bool:
        """Report whether a virtual server's address is switched off."""
        found = self.addresses.get(server.address(self.domains))
        return found is not None and not found.enabled

    def switched(self, server: VirtualServer) -> Service:
        """Return the service, disabled where its address is switched off."""
        return replace(server.service, enabled=server.service.enabled and not self.is_off(server))

    def service(self, server: VirtualServer) -> Service:
        """Return the service with its servers."""
        pool = self.pools.get(server.pool)
        group = self.traffic_group(server) if self.units.paired else None
        return replace(
            self.switched(server),
            servers=tuple(
                Server(
                    member.address,
                    member.port or server.service.port,
                    gateways(member.address, self.own, group),
                    member.enabled,
                    member.up,
                )
                for member in (pool.members if pool else ())
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


def choosing(servers: Sequence[VirtualServer], around: Surroundings) -> list[list[VirtualServer]]:
    """Group the virtual servers that serve the same clients at one address; only those between whose servers a client's two ports could be split."""
    groups: dict[object, list[VirtualServer]] = {}
    for server in servers:
        groups.setdefault((server.service.address, server.source), []).append(server)
    return [
        group
        for group in groups.values()
        if (len(group) > 1 or group[0].service.port == ANY_PORT)
        and len(set().union(*(around.members(server) for server in group))) > 1
    ]


def shared_persistence(group: Iterable[VirtualServer]) -> tuple[str, ...]:
    """Return the persistence profiles that all of these have; empty where they have none or differ."""
    profiles = {server.persistence for server in group}
    return next(iter(profiles)) if len(profiles) == 1 else ()


def served_neighbours(server: VirtualServer, around: Surroundings) -> str:
    """Return the subnet of its own servers whose clients a virtual server for few clients serves; empty where there is none.

    Those need the translation: the servers would answer them directly, past the device.
    """
    if server.source is None:
        return ""
    networks = [item.network.cidr for item in around.near([server])]
    networks += [netaddr.IPNetwork(address.partition("%")[0]) for address in around.members(server)]
    return next((str(one) for one in networks if one in server.source or server.source in one), "")


def is_for_others(snat: Snat, near: Iterable[SelfIp]) -> bool:
    """Report whether a global SNAT translates packets of others than the servers."""
    return not all(
        origin.prefixlen > 0 and any(item.domain == _domain(address) and origin in item.network for item in near)
        for address, origin in snat.origins
    )


def _domain(address: str) -> str:
    _host, percent, domain = address.partition("%")
    return percent + domain


def forwards_everything(forwarders: Iterable[Forwarder], version: int) -> bool:
    """Report whether these forward TCP and UDP to every address of an IP version."""
    found = [item for item in forwarders if item.network.version == version]
    return all(
        netaddr.cidr_merge([item.network for item in found if item.protocol in (protocol, "any")])
        == [netaddr.IPNetwork(EVERYTHING[version])]
        for protocol in ("tcp", "udp")
    )


def accepting(forwarders: Iterable[Forwarder], near: SelfIp, around: Surroundings) -> list[Forwarder]:
    """Choose the virtual servers that accept what the servers near this self IP send to be forwarded."""
    servers = around.behind(near)
    return [
        item
        for item in forwarders
        if _domain(item.address(around.domains)) == near.domain
        and not around.is_off(item)
        and (not near.vlan or (near.vlan in item.vlans) is not item.except_vlans)
        and (item.source is None or all(server.partition("%")[0] in item.source for server in servers))
    ]
