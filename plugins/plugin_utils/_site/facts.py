# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is known of a VPN server, read from what the role rras publishes. No input or output."""

from __future__ import annotations

import typing as t
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Change, Finding, canonical_address
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.records import Variables

ROUTE = ("gateway", "interface", "metric")


def bare(address: str) -> str:
    """Return an address in its canonical form, without zone or route domain; anything else as it is."""
    try:
        return canonical_address(address.partition("%")[0])
    except ValueError:
        return address


@dataclass(frozen=True)
class Facts:
    """What is known of a VPN server, as the role rras publishes it in ``rras_facts``. What a half of it did not report is empty."""

    gateway: str | None
    addresses: tuple[str, ...]
    networks: tuple[netaddr.IPNetwork, ...]
    default_routes: tuple[dict[str, t.Any], ...]
    default_routes_ipv6: tuple[dict[str, t.Any], ...]
    ike_limit: int | None
    restart_owed: bool
    sas: Mapping[str, int]
    sas_unclear: Mapping[str, int]
    sas_other: int
    tunnels: int | None
    tunnels_other: Mapping[str, int]
    ikev2_ports: int | None
    ikev2_fragmentation: bool
    services: Mapping[str, Mapping[str, t.Any]]
    findings: tuple[Finding, ...]
    changes: tuple[Change, ...]

    @classmethod
    def parse(cls, raw: Variables) -> Facts:
        """Read ``rras_facts``."""
        gateway = raw.get("gateway")
        return cls(
            gateway=_address(gateway) if gateway else None,
            addresses=tuple(map(bare, raw.get("addresses", ()))),
            networks=tuple(map(netaddr.IPNetwork, raw.get("networks", ()))),
            default_routes=tuple(_part(route, ROUTE) for route in raw.get("default_routes", ())),
            default_routes_ipv6=tuple(_part(route, ROUTE) for route in raw.get("default_routes_ipv6", ())),
            ike_limit=raw.get("ike_limit"),
            restart_owed=raw.get("restart_owed") is True,
            sas=_counts(raw.get("sas", {})),
            sas_unclear=_counts(raw.get("sas_unclear", {})),
            sas_other=int(raw.get("sas_other", 0)),
            tunnels=raw.get("tunnels"),
            tunnels_other={str(name): int(count) for name, count in raw.get("tunnels_other", {}).items()},
            ikev2_ports=raw.get("ikev2_ports"),
            ikev2_fragmentation=raw.get("ikev2_fragmentation") is True,
            services={name: _part(service, ("state", "start")) for name, service in raw.get("services", {}).items()},
            findings=tuple(map(Finding.parse, raw.get("findings", ()))),
            changes=tuple(map(Change.parse, raw.get("changes", ()))),
        )


def _address(text: str) -> str:
    address = netaddr.IPAddress(canonical_address(text.partition("%")[0]))
    # An IPv4 address in the form of IPv6 (::ffff:192.0.2.1) is still the same one.
    return str(address.ipv4() if address.is_ipv4_mapped() else address)


def _part(raw: Mapping[str, t.Any], names: Iterable[str]) -> dict[str, t.Any]:
    return {name: raw[name] for name in names}


def _counts(raw: Mapping[str, t.Any]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for address, count in raw.items():
        counts[_address(address)] += int(count)
    return dict(+counts)
