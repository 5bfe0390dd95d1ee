# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the audit concludes from what the roles have read. No input or output."""

from __future__ import annotations

import json
import typing as t
from collections.abc import Collection, Iterable, Mapping

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Finding, canonical_address

Facts: t.TypeAlias = "Mapping[str, t.Any]"

SNAPSHOT_FORMAT = 1


def collected(hosts: Iterable[str], hostvars: Mapping[str, Facts], name: str) -> dict[str, t.Any]:
    """Collect one variable of several hosts, by host; one that does not have it (it was unreachable, say) is left out."""
    return {host: hostvars[host][name] for host in hosts if name in hostvars[host]}


def return_path(servers: Mapping[str, Facts], planned: Mapping[str, str] | None = None) -> dict[str, str]:
    """Tell for each address of each server its default gateway, as the device modules take it.

    ``servers`` are facts as the role rras sets them, by host; ``planned`` are default gateways that are going to be set, by host.
    A server that has neither is left out.
    """
    gateways = {host: (planned or {}).get(host) or facts["gateway"] for host, facts in servers.items()}
    return {
        address: gateways[host] for host, facts in servers.items() for address in facts["addresses"] if gateways[host]
    }


def is_due(result: Facts) -> bool:
    """Say whether state ``preserved`` would change a device, from what it gave with ``gathered``."""
    return any(not service["source_preserved"] for service in result["services"]) or any(
        finding["code"] == "device_setting" for finding in result["findings"]
    )


def obstacles(result: Facts, accept: Collection[str]) -> list[str]:
    """List in words what forbids a change that is due on a load balancer, or a change of its servers' gateways.

    ``result`` is what the device module gave with ``gathered`` and the gateways that are planned.
    """
    return [
        f"{finding['code']} at {finding['object']}: {finding['message']} {finding['remedy']}"
        for finding in result["findings"]
        if finding["severity"] == "blocker"
        and finding["code"] not in accept
        and (is_due(result) or finding["code"] == "return_path_wrong")
    ]


def cross_check(load_balancers: Mapping[str, Facts], servers: Mapping[str, Facts]) -> list[dict[str, str]]:
    """Tell the servers that several load balancers lead to, and those that none leads to, as findings.

    ``load_balancers`` are results of the device modules with ``gathered``, ``servers`` facts of the role rras, both by host.
    """
    leading = {
        host: [
            name
            for name, result in sorted(load_balancers.items())
            if {server["address"].partition("%")[0] for service in result["services"] for server in service["servers"]}
            & set(facts["addresses"])
        ]
        for host, facts in sorted(servers.items())
    }
    findings = []
    for host, names in leading.items():
        if len(names) > 1:
            findings.append(
                Finding(
                    "server_shared",
                    "info",
                    host,
                    f"Several load balancers lead to this server: {', '.join(names)}. It has one default gateway, so its answers go back through one of them.",
                    "Let them share that address, as the units of one cluster do, or give each its own servers.",
                )
            )
        if load_balancers and not names:
            findings.append(
                Finding(
                    "server_not_served",
                    "warning",
                    host,
                    f"None of these load balancers leads to an address of this server: {', '.join(sorted(load_balancers))}.",
                    "Take it out of the group rras, or make it a member of the services of UDP 500 and UDP 4500.",
                )
            )
    return [{**finding.as_dict(), "host": finding.object} for finding in findings]


def failure(results: Iterable[Facts], stage: str, failed: Facts) -> dict[str, t.Any]:
    """Say what failed on a host, and whether that left it as it was: True, False, or None where nobody knows.

    ``results`` are what its tasks registered so far, ``failed`` is the result of the one that failed, ``stage`` what was being done.
    """
    known = [result for result in results if result]
    unreached = next((result for result in known if result.get("unreachable")), None)
    if unreached or stage == "verify":
        # What fails after a change says nothing of the change itself.
        undone = None
    elif "undone" in failed:
        undone = bool(failed["undone"])
    else:
        undone = not any(result.get("changed") for result in known)
    message = str((unreached or failed).get("msg") or "no reason was given").strip()
    return {"stage": stage, "msg": message, "undone": undone}


def cut_off(
    facts: Facts, gateway: str | None, load_balancers: Mapping[str, Facts], leading: Iterable[str] = ()
) -> list[str]:
    """List in words what says that ``gateway`` would cut a server off from its clients.

    That is each load balancer that keeps clients' addresses and to which it would not lead the answers, and each of ``leading``
    of which nothing is known. ``facts`` are the server's, as the role rras sets them, ``load_balancers`` results of the device
    modules by host.
    """
    lines = [f"{host} was not looked at" for host in leading if host not in load_balancers]
    return lines + [
        f"{host} keeps the clients' addresses at {service['id']}, and expects the answers of {server['address']}"
        f" at {', '.join(server['gateways'])} and not at {gateway or 'no default gateway'}"
        for host, result in sorted(load_balancers.items())
        for service in result["services"]
        for server in service["servers"]
        if service["source_preserved"]
        and server["address"].partition("%")[0] in facts["addresses"]
        and server["gateways"]
        and gateway not in {address.partition("%")[0] for address in server["gateways"]}
    ]


def take_snapshot(taken: str, load_balancers: Mapping[str, Facts], servers: Mapping[str, Facts]) -> dict[str, t.Any]:
    """Put together what the file of a snapshot holds: what it takes to put everything back, and what to compare with.

    ``load_balancers`` are results of the device modules, ``servers`` facts of the role rras, both by host; ``taken`` is a time.
    """
    return {
        "format": SNAPSHOT_FORMAT,
        "taken": taken,
        "load_balancers": {host: result["snapshot"] for host, result in load_balancers.items() if "snapshot" in result},
        "services": {host: result["services"] for host, result in load_balancers.items() if "snapshot" in result},
        "servers": dict(servers),
    }


def read_snapshot(text: str) -> dict[str, t.Any]:
    """Give each host's part of a snapshot's file: of a load balancer ``snapshot`` and ``services``, of a server its facts.

    :raises ValueError: where it is no such file.
    """
    try:
        raw = json.loads(text)
        if raw["format"] != SNAPSHOT_FORMAT:
            raise ValueError(f"its format is {raw['format']!r} and not {SNAPSHOT_FORMAT}")
        return {
            "taken": str(raw["taken"]),
            "load_balancers": {
                host: {"snapshot": snapshot, "services": list(raw["services"][host]), "findings": []}
                for host, snapshot in raw["load_balancers"].items()
            },
            "servers": {host: dict(facts) for host, facts in raw["servers"].items()},
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"This is no snapshot that a playbook of this collection wrote ({error!r}).") from error


def drift(
    load_balancers: Mapping[str, Facts],
    servers: Mapping[str, Facts],
    gateways: Mapping[str, str],
    limits: Mapping[str, int] | None = None,
    accepted: Mapping[str, Collection[str]] | None = None,
) -> list[str]:
    """List in words, host by host, what is not as it has to be; empty when all is well.

    ``load_balancers`` are results of the device modules, ``servers`` facts of the role rras, both by host;
    ``gateways`` is the default gateway that each server is to have, ``limits`` the registry limit. ``accepted`` are codes of
    blockers, by load balancer: what a change is to be made in spite of would stay for ever, and so is no drift.
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
        if finding["code"] == "device_setting"
        or (finding["severity"] == "blocker" and finding["code"] not in (accepted or {}).get(host, ()))
    ]
    lines += [
        f"{host}: the default gateway is {facts['gateway'] or 'missing'} and has to be {gateways[host]}"
        for host, facts in sorted(servers.items())
        if host in gateways and facts["gateway"] != gateways[host]
    ]
    for host, limit in sorted((limits or {}).items()):
        if host not in servers:
            continue
        facts = servers[host]
        if facts["ike_limit"] != int(limit):
            stands = "the default of Windows" if facts["ike_limit"] is None else facts["ike_limit"]
            lines.append(
                f"{host}: the limit of IKE security associations from one address is {stands} and has to be {limit}"
            )
        elif facts["restart_owed"]:
            lines.append(f"{host}: IKEEXT does not know of the limit {facts['ike_limit']} before it is restarted")
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
