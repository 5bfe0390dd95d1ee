# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The path of the packets for each virtual address: its services, its servers, and what each of these sees. No input or output."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping
from dataclasses import dataclass

from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Service
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.facts import bare
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.hosts import LoadBalancer
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.site import Site
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.sources import Judgement


@dataclass(frozen=True)
class Behind:
    """A server behind a virtual address. ``host`` is None where no VPN server that was read has this address.

    ``return_path_ok``: whether its default gateway is one of ``gateways``; None where this is not known.
    """

    host: str | None
    address: str
    gateway: str | None
    gateways: tuple[str, ...]
    return_path_ok: bool | None
    sees: Judgement | None


@dataclass(frozen=True)
class Path:
    """A virtual address of a load balancer. ``probe``: the answer of the address, None if it was not probed."""

    vip: str
    load_balancer: LoadBalancer
    services: tuple[Service, ...]
    servers: tuple[Behind, ...]
    probe: Mapping[str, t.Any] | None

    @property
    def preserved(self) -> bool:
        """Report whether all its services keep the clients' addresses."""
        return all(service.source_preserved for service in self.services)


def paths_of(site: Site) -> tuple[Path, ...]:
    """Return the paths of all load balancers."""
    return tuple(path for item in site.load_balancers.values() for path in _paths(site, item))


def _paths(site: Site, item: LoadBalancer) -> list[Path]:
    by_address = {address: host for host, (_item, facts) in site.read_servers.items() for address in facts.addresses}
    probes = {bare(probe["address"]): probe for probe in item.probes}
    paths = []
    for vip in dict.fromkeys(service.address for service in item.services):
        services = tuple(service for service in item.services if service.address == vip)
        gateways: dict[str, set[str]] = {}
        for service in services:
            for server in service.servers:
                gateways.setdefault(bare(server.address), set()).update(map(bare, server.gateways))
        behind = tuple(
            _behind(site, by_address.get(address), address, gateways[address]) for address in sorted(gateways)
        )
        paths.append(Path(vip, item, services, behind, probes.get(bare(vip))))
    return paths


def _behind(site: Site, host: str | None, address: str, gateways: set[str]) -> Behind:
    gateway = site.read_servers[host][1].gateway if host else None
    judged = gateway in gateways if host and gateways else None
    return Behind(host, address, gateway, tuple(sorted(gateways)), judged, site.sources[host].verdict if host else None)
