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


def obstacles(
    host: str, load_balancers: Mapping[str, Facts], accept: Collection[str], gateways: Mapping[str, str]
) -> list[str]:
    """Return as sentences what blocks a change that is due on a load balancer, or a change of its servers' gateways.

    ``load_balancers`` are results of the device modules with ``gathered`` and the planned gateways, which are ``gateways`` (by the
    servers' addresses). A load balancer that is left alone needs no change, so it has no obstacles.
    """
    result = load_balancers[host]
    if left_alone(host, load_balancers, gateways):
        return []
    return [
        f"{finding['code']} at {finding['object']}: {finding['message']} {finding['remedy']}"
        for finding in result["findings"]
        if finding["severity"] == "blocker"
        and finding["code"] not in accept
        and (result["changes"] or finding["code"] == "return_path_wrong")
    ]


def left_alone(host: str, load_balancers: Mapping[str, Facts], gateways: Mapping[str, str]) -> str:
    """Return why this run does not change a load balancer; empty where it may.

    A standby unit is left to its partner, the active unit with the same virtual addresses. A load balancer that still translates
    is left as it is where another one is its servers' default gateway: a server has only one.
    """
    if host not in load_balancers:
        return ""
    if partner := _partner(host, load_balancers):
        return f"it is not the active unit, and is left to {partner}, which serves the same virtual addresses"
    result = load_balancers[host]
    wrong = {
        finding["object"].partition("%")[0] for finding in result["findings"] if finding["code"] == "return_path_wrong"
    }
    if not wrong or any(service["source_preserved"] for service in result["services"]):
        return ""
    for name, other in sorted(load_balancers.items()):
        offered = _offered(other)
        if name != host and all(gateways.get(server) in offered.get(server, ()) for server in wrong):
            return (
                f"{name} leads to the same servers and is their default gateway. A server has only one,"
                f" so {host} has to go on translating"
            )
    return ""


def _partner(host: str, load_balancers: Mapping[str, Facts]) -> str:
    """Return the active unit whose standby unit ``host`` is; empty where there is none."""
    result = load_balancers[host]
    vips = _vips(result)
    if not vips or not _has(result, "not_active_unit"):
        return ""
    active = (name for name, other in sorted(load_balancers.items()) if not _has(other, "not_active_unit"))
    return next((name for name in active if _vips(load_balancers[name]) == vips), "")


def _has(result: Facts, code: str) -> bool:
    return any(finding["code"] == code for finding in result["findings"])


def _vips(result: Facts) -> set[str]:
    return {service["address"] for service in result["services"]} - {""}


def _offered(result: Facts) -> dict[str, set[str]]:
    """Return the addresses that a load balancer offers its servers as default gateway, by server."""
    offered: dict[str, set[str]] = {}
    for service in result["services"]:
        for server in service["servers"]:
            bare = {gateway.partition("%")[0] for gateway in server["gateways"]}
            offered.setdefault(server["address"].partition("%")[0], set()).update(bare)
    return offered


def keeps_gateway(addresses: Collection[str], load_balancers: Mapping[str, Facts]) -> bool:
    """Report whether a server's default gateway is its own matter: it is behind load balancers, and none offers itself as gateway.

    That is so with direct server return, where the server replies to clients by its own gateway.
    """
    offers = [
        gateways
        for result in load_balancers.values()
        for server, gateways in _offered(result).items()
        if server in addresses
    ]
    return bool(offers) and not any(offers)


def choices(
    load_balancers: Mapping[str, Facts], servers: Mapping[str, Facts], gateways: Mapping[str, str]
) -> list[dict[str, str]]:
    """Report as findings which hosts a run leaves alone, and why."""
    findings = [
        Finding(
            "not_active_unit" if _has(load_balancers[host], "not_active_unit") else "server_shared",
            "info",
            host,
            f"This load balancer is not changed in this run: {reason}.",
            "No action needed, if that is intended. docs/troubleshooting.md describes both cases.",
        )
        for host in sorted(load_balancers)
        if (reason := left_alone(host, load_balancers, gateways))
    ]
    findings += [
        Finding(
            "unsupported_mode",
            "info",
            host,
            "No load balancer offers itself as this server's default gateway (direct server return, for example), so its gateway is left alone.",
            "Remove 'rras_gateway' for this server.",
        )
        for host, facts in sorted(servers.items())
        if keeps_gateway(facts["addresses"], load_balancers) and _gateway_due(facts)
    ]
    return [{**finding.as_dict(), "host": finding.object} for finding in findings]


def _gateway_due(facts: Facts) -> bool:
    return any(change["id"] == DEFAULT_ROUTE for change in facts.get("changes", ()))


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
        if sum(not _partner(name, load_balancers) for name in names) > 1:
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
            if finding["severity"] == "blocker"
            and finding["code"] not in (accepted or {}).get(host, ())
            and not (finding["code"] == "not_active_unit" and _partner(host, load_balancers))
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
