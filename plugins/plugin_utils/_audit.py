# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What follows from what the roles have read. No input or output."""

from __future__ import annotations

import json
import typing as t
from collections.abc import Collection, Iterable, Mapping

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import FinalState, Finding, canonical_address
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._report_text import counted, setting

Facts: t.TypeAlias = "Mapping[str, t.Any]"

SNAPSHOT_FORMAT = 1

FINAL_STATES: t.Final[tuple[FinalState, ...]] = t.get_args(FinalState)
"""What a task can leave behind, the worst last."""

HIDING = frozenset({"snat", "usip", "Transparent"})
"""The settings that hide the clients' addresses."""

DEFAULT_ROUTE = "0.0.0.0/0"

ABSENT = {"limit": "the default of Windows", "route": "missing"}
"""What a missing value means, by scope."""


def collected(hosts: Iterable[str], hostvars: Mapping[str, Facts], name: str) -> dict[str, t.Any]:
    """Collect one variable of several hosts, by host; hosts without it are left out."""
    return {host: hostvars[host][name] for host in hosts if name in hostvars[host]}


def return_path(servers: Mapping[str, Facts], planned: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the default gateway of each server by each of its addresses, as the device modules take it.

    ``servers`` are facts of the role rras, ``planned`` the planned default gateways, both by host.
    A server that has neither is left out.
    """
    gateways = {host: (planned or {}).get(host) or facts["gateway"] for host, facts in servers.items()}
    return {
        address: gateways[host] for host, facts in servers.items() for address in facts["addresses"] if gateways[host]
    }


def obstacles(result: Facts, accept: Collection[str]) -> list[str]:
    """Return as sentences what blocks a change that is due on a load balancer, or a change of its servers' gateways.

    ``result`` is what the device module returned with ``gathered`` and the planned gateways.
    """
    return [
        f"{finding['code']} at {finding['object']}: {finding['message']} {finding['remedy']}"
        for finding in result["findings"]
        if finding["severity"] == "blocker"
        and finding["code"] not in accept
        and (result["changes"] or finding["code"] == "return_path_wrong")
    ]


def cross_check(load_balancers: Mapping[str, Facts], servers: Mapping[str, Facts]) -> list[dict[str, str]]:
    """Report the servers that several load balancers lead to, and those that none leads to, as findings.

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
                    f"Several load balancers lead to this server: {', '.join(names)}. It has one default gateway, so its replies go back through one of them.",
                    "Let them share that address, as the units of a cluster do, or give each its own servers.",
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


def final_state(results: Iterable[Facts]) -> FinalState:
    """Return the state of a device after several tasks: the worst that one of them reported, or unknown if one reported none."""
    known: list[FinalState] = ["unchanged"]
    for result in results:
        if (state := result.get("final_state")) in FINAL_STATES:
            known.append(state)
        elif result.get("failed") or result.get("unreachable"):
            known.append("unknown")
    return max(known, key=FINAL_STATES.index)


def failure(results: Iterable[Facts], stage: str, failed: Facts) -> dict[str, t.Any]:
    """Report what failed on a host, and the state that this left it in.

    ``results`` are what its tasks registered so far, ``failed`` is the result of the one that failed, ``stage`` what was being done.
    """
    known = [result for result in results if result]
    unreached = next((result for result in known if result.get("unreachable")), None)
    if stage == "read":
        state: FinalState = "unchanged"
    elif stage == "verify":
        state = "unknown"  # a failure after a change does not report the state of the change
    else:
        state = final_state([*known, failed] if "final_state" in failed else known)
    message = str((unreached or failed).get("msg") or "no reason was given").strip()
    return {"stage": stage, "msg": message, "final_state": state}


def cut_off(
    facts: Facts, gateway: str | None, load_balancers: Mapping[str, Facts], leading: Iterable[str] = ()
) -> list[str]:
    """Return as sentences why ``gateway`` would cut a server off from its clients.

    That is each load balancer that keeps clients' addresses and that would not get the replies, and each of ``leading`` that was
    not read. ``facts`` are the server's, ``load_balancers`` results of the device modules by host.
    """
    lines = [f"{host} was not read" for host in leading if host not in load_balancers]
    return lines + [
        f"{host} keeps the clients' addresses at {service['id']}, and expects the replies of {server['address']}"
        f" at {', '.join(server['gateways'])}, not at {gateway or 'no default gateway'}"
        for host, result in sorted(load_balancers.items())
        for service in result["services"]
        for server in service["servers"]
        if service["source_preserved"]
        and server["address"].partition("%")[0] in facts["addresses"]
        and server["gateways"]
        and gateway not in {address.partition("%")[0] for address in server["gateways"]}
    ]


def take_snapshot(taken: str, load_balancers: Mapping[str, Facts], servers: Mapping[str, Facts]) -> dict[str, t.Any]:
    """Return the content of a snapshot file: what is needed to restore everything, and to compare with.

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
    """Return each host's part of a snapshot's file: of a load balancer ``snapshot`` and ``services``, of a server its facts.

    :raises ValueError: if it is not such a file.
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
        raise ValueError(f"This is not a snapshot that a playbook of this collection wrote ({error!r}).") from error


def drift(
    load_balancers: Mapping[str, Facts],
    servers: Mapping[str, Facts],
    limited: Collection[str] = (),
    accepted: Mapping[str, Collection[str]] | None = None,
) -> list[str]:
    """Return as sentences, host by host, what is not as required; empty if everything is.

    ``load_balancers`` are results of the device modules with ``gathered``, ``servers`` facts of the role rras, both by host, each with
    the ``changes`` that are due. ``limited`` are the servers that should have the limit; only there does a pending restart count.
    ``accepted`` are the codes of accepted blockers by load balancer.
    """
    lines = []
    for host, result in sorted(load_balancers.items()):
        hiding = [service for service in result["services"] if not service["source_preserved"]]
        lines += [
            f"{host}: {service['id']} ({service['address']}, UDP {service['port']}) hides the clients' addresses"
            for service in hiding
        ]
        reported = {(service["id"], name) for service in hiding for name in HIDING}
        lines += [
            f"{host}: {_due(change)}"
            for change in result["changes"]
            if (change["id"], change["setting"]) not in reported
        ]
        lines += [
            f"{host}: {finding['code']} at {finding['object']}: {finding['message']}"
            for finding in result["findings"]
            if finding["severity"] == "blocker" and finding["code"] not in (accepted or {}).get(host, ())
        ]
    for host, facts in sorted(servers.items()):
        lines += [f"{host}: {_due(change)}" for change in facts["changes"]]
        if facts["restart_owed"] and host in limited and not any(one["scope"] == "limit" for one in facts["changes"]):
            lines.append(f"{host}: IKEEXT does not use the limit {facts['ike_limit']} until it is restarted")
    return lines


def _due(change: Facts) -> str:
    scope, of, name = change["scope"], change["id"], change["setting"]
    before = ABSENT.get(scope, "not set") if change["before"] is None else setting(change["before"])
    what = f"{name} of {of}"
    if scope == "device":
        what = name
    elif scope == "limit":
        what = "the limit of IKE security associations from one address"
    elif name == "NextHop":
        what = "the default gateway" if of == DEFAULT_ROUTE else f"the gateway of {of}"
        if change["after"] is None:
            return f"the route {of} via {before} has to be removed"
    return f"{what} is {before} and has to be {setting(change['after'])}"


def sources(server: Facts, load_balancer_addresses: Iterable[str]) -> dict[str, t.Any]:
    """Judge by a server's IKE security associations whether it sees its clients' own addresses.

    ``server`` are facts of the role rras. A client is hidden if it comes from an address of the load balancer, or from the network of
    the server's gateway, where there are no VPN clients; an office behind one public address is not hidden. ``verdict``: ``hidden``
    (at least half of all associations), ``partly`` (some), ``seen``, or ``none`` without any association.
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
            "message": "there is no IKE security association to judge by",
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
        f"{hidden} of {counted(total, 'IKE security association')} come from the load balancer, "
        f"{counted(len(counts), 'remote address', 'remote addresses')} in all, {most} from {top} ({100 * most // total} %)"
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
    """Return the addresses of load balancers: their virtual addresses, and those that serve as gateways."""
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
