# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the audit concludes from what the roles have read. No input or output."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping

Facts: t.TypeAlias = "Mapping[str, t.Any]"


def collected(hosts: Iterable[str], hostvars: Mapping[str, Facts], name: str) -> dict[str, t.Any]:
    """Collect one variable of several hosts, by host; one that does not have it (it was unreachable, say) is left out."""
    return {host: hostvars[host][name] for host in hosts if name in hostvars[host]}


def return_path(servers: Mapping[str, Facts]) -> dict[str, str]:
    """Tell for each address of each server its default gateway, as the device modules take it.

    ``servers`` are facts as the role rras sets them, by host; a server without a default gateway is left out.
    """
    return {
        address: facts["gateway"] for facts in servers.values() for address in facts["addresses"] if facts["gateway"]
    }


def drift(load_balancers: Mapping[str, Facts], servers: Mapping[str, Facts], gateways: Mapping[str, str]) -> list[str]:
    """List in words, host by host, what is not as it has to be; empty when all is well.

    ``load_balancers`` are results of the device modules, ``servers`` facts of the role rras, both by host;
    ``gateways`` is the default gateway that each server is to have.
    """
    lines = [
        f"{host}: {service['id']} ({service['address']}, UDP {service['port']}) hides the clients' addresses"
        for host, result in sorted(load_balancers.items())
        for service in result["services"]
        if not service["source_preserved"]
    ]
    lines += [
        f"{host}: {finding['code']} at {finding['object']}: {finding['message']}"
        for host, result in sorted(load_balancers.items())
        for finding in result["findings"]
        if finding["severity"] == "blocker" or finding["code"] == "device_setting"
    ]
    lines += [
        f"{host}: the default gateway is {facts['gateway'] or 'missing'} and has to be {gateways[host]}"
        for host, facts in sorted(servers.items())
        if host in gateways and facts["gateway"] != gateways[host]
    ]
    return lines
