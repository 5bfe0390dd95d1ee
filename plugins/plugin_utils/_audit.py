# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the audit concludes from what the roles have read. No input or output."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import canonical_address

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


def sources(server: Facts, load_balancer_addresses: Iterable[str]) -> dict[str, t.Any]:
    """Judge by a server's IKE security associations whether it sees its clients' own addresses.

    ``server`` are facts of the role rras. Hidden is what comes from an address of the load balancer, or from the network in
    which the server's gateway is, where no client of a VPN is; one office behind one public address is not that. ``verdict``:
    ``hidden`` (at least half of all associations), ``partly`` (some), ``seen``, or ``none`` without any association.
    """
    counts: dict[str, int] = {}
    for address, count in server.get("sas", {}).items():
        bare = canonical_address(address.partition("%")[0])
        counts[bare] = counts.get(bare, 0) + count
    total = sum(counts.values())
    if not total:
        return {
            "verdict": "none",
            "sas": 0,
            "addresses": 0,
            "hidden": 0,
            "top": None,
            "message": "no IKE security association stands, so nothing can be said",
        }
    known = {canonical_address(address) for address in load_balancer_addresses}
    networks = [netaddr.IPNetwork(network) for network in server["networks"]]
    outside = [network for network in networks if server["gateway"] and server["gateway"] in network]
    hidden = sum(
        count for address, count in counts.items() if address in known or any(address in network for network in outside)
    )
    top, most = max(counts.items(), key=lambda item: (item[1], item[0]))
    verdict = "hidden" if 2 * hidden >= total else "partly" if hidden else "seen"
    message = (
        f"{hidden} of {total} IKE security associations come from the load balancer, "
        f"{len(counts)} remote addresses in all, {most} from {top} ({100 * most // total} %)"
    )
    return {
        "verdict": verdict,
        "sas": total,
        "addresses": len(counts),
        "hidden": hidden,
        "top": {"address": top, "count": most, "share": round(most / total, 3)},
        "message": message,
    }


def load_balancer_addresses(load_balancers: Mapping[str, Facts]) -> list[str]:
    """List the addresses under which load balancers are known: their virtual addresses, and the ones that serve as gateways."""
    found = {
        address.partition("%")[0]
        for result in load_balancers.values()
        for service in result["services"]
        for address in (
            service["address"],
            *(gateway for server in service["servers"] for gateway in server["gateways"]),
        )
    }
    return sorted(found - {""})
