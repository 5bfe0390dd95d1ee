# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The addresses that a load balancer has itself, and the subnets that it shares with VPN servers. No input or output."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Finding, Server, Service

ANSWERED_DIRECTLY = (
    "A client in that subnet would be answered directly, past this device, and could not connect.",
    "Keep the VPN's clients out of that subnet.",
)


@dataclass(frozen=True)
class OwnAddress:
    """An address of the device in its subnet. ``domain``: the route or traffic domain as it is written behind an address, such as ``%2``."""

    address: str
    network: netaddr.IPNetwork
    domain: str

    def is_near(self, address: str) -> bool:
        """Report whether ``address`` is in this address's subnet and domain; of a network, its first address counts."""
        host, percent, domain = address.partition("/")[0].partition("%")
        return self.domain == percent + domain and netaddr.IPAddress(host) in self.network


def plain_addresses(shown: Iterable[str]) -> tuple[str, ...]:
    """Return addresses in order, each once, without route domain. Networks and empty texts are left out."""
    return tuple(sorted({address.partition("%")[0] for address in shown if address and "/" not in address}))


def addresses_near(own: Iterable[OwnAddress], address: str) -> tuple[str, ...]:
    """Return the device's own addresses in the subnet of ``address``."""
    return tuple(item.address for item in own if item.is_near(address))


def subnet_findings(
    services: Iterable[Service], own: Sequence[OwnAddress], consequence: tuple[str, str] = ANSWERED_DIRECTLY
) -> list[Finding]:
    """Report virtual addresses in a VPN server's own subnet. ``consequence``: what that does to clients there, and the remedy."""
    message, remedy = consequence
    findings: dict[str, Finding] = {}
    for service in services:
        for item in own:
            if service.address and item.is_near(service.address) and has_server(service.servers, item):
                findings[service.address] = Finding(
                    "client_in_server_subnet",
                    "warning",
                    service.address,
                    f"The virtual address is in the servers' own subnet {item.network.cidr}. {message}",
                    remedy,
                )
    return list(findings.values())


def has_server(servers: Iterable[Server], item: OwnAddress) -> bool:
    """Report whether one of ``servers`` is in the subnet of ``item``."""
    return any(item.is_near(server.address) for server in servers)
