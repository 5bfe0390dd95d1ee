# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report: what was found and done on every device, and one verdict. No input or output."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping, Sequence

from ansible_collections.aovpn.ikev2.plugins.plugin_utils import _audit
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._plain import plain
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._report_input import (
    SEVERITIES,
    Json,
    bare,
    finding,
    is_address,
    items,
    load_balancer,
    mapping,
    server,
    text,
    truth,
)
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._report_text import change_text, counted, listed, visible

SCHEMA = "urn:aovpn:ikev2:report:2"
"""Names the schema in docs/report.schema.json; its number changes when a key is removed or changes its meaning."""

SUMMARY_LINES = 20


def build(raw: Mapping[str, t.Any]) -> Json:
    """Return the report; docs/report.schema.json describes it.

    ``raw``: ``playbook``, ``check_mode``, ``due`` (what ran only reads), ``generated`` (UTC, ISO 8601), ``findings`` (those of a
    cross-check), and by host ``load_balancers``: ``{platform, accept, result, made, before, failure, probe}`` with results of a device
    module (the last one, the one that changed the device, the first one), and ``servers``: ``{facts, before, failure, gateway, ike_limit,
    gateway_result, restore_result, limit_result}`` with the last and the first ``rras_facts``, and what is wanted.
    Whatever is missing counts as not read.
    """
    raw = plain(raw)
    check_mode, due = truth(raw.get("check_mode")), truth(raw.get("due"))
    load_balancers = {
        host: load_balancer(host, item) for host, item in sorted(mapping(raw.get("load_balancers")).items())
    }
    servers = {host: server(host, item) for host, item in sorted(mapping(raw.get("servers")).items())}
    read_load_balancers = {host: item for host, item in load_balancers.items() if item["read"]}
    read_servers = {host: item for host, item in servers.items() if item["read"]}

    known = [address for address in _audit.load_balancer_addresses(read_load_balancers) if is_address(address)]
    for item in servers.values():
        item["sees"] = _audit.sources(item, known) if item["read"] else None
        item["sources"] = _sources(item, known)
    drift = _audit.drift(
        {host: {**item, "changes": item["due"]} for host, item in read_load_balancers.items()},
        {host: {**item, "changes": item["due"]} for host, item in read_servers.items()},
        [host for host, item in servers.items() if item["wanted_ike_limit"] is not None],
        {host: item["accepted"] for host, item in load_balancers.items()},
    )
    for item in (*load_balancers.values(), *servers.values()):
        item["outcome"] = _outcome(item, item.pop("changed"))
        of_run, left_to_do = item.pop("made"), item.pop("due")
        item["changes"] = left_to_do if due else of_run
    report: Json = {
        "schema": SCHEMA,
        "playbook": text(raw.get("playbook")),
        "check_mode": check_mode,
        "due": due,
        "generated": text(raw.get("generated")),
        "verdict": {},
        "load_balancers": load_balancers,
        "servers": servers,
        "paths": [path for host, item in load_balancers.items() for path in _paths(host, item, read_servers)],
        # Sentences are for people, wherever they are shown; the data beside them is as the devices gave it.
        "drift": [visible(line) for line in drift],
        "findings": _findings(load_balancers, servers, items(raw.get("findings")), check_mode),
        "changes": [change for item in (*servers.values(), *load_balancers.values()) for change in item["changes"]],
    }
    report["verdict"] = _verdict(report)
    return report


def summary(report: Mapping[str, t.Any], page: str = "") -> list[str]:
    """Return the report in at most 20 lines, for the terminal. ``page`` is the path of the HTML page."""
    report = plain(report)
    verdict, devices = report["verdict"], _devices(report)
    head = "Nothing was changed. After a real run:" if report["check_mode"] else "Now:"
    lines = [
        f"{report['playbook']}, {report['generated']}. {head}",
        f"{verdict['status'].upper()}: {verdict['title']}",
    ]
    body = [f"{host}: {failure_text(item)}" for host, item in devices.items() if item["failure"]]
    body += report["drift"]
    foot = []
    if report["changes"]:
        one = len(report["changes"]) == 1
        made = "would be made" if report["check_mode"] else "was made" if one else "were made"
        due = "is due" if one else "are due"
        foot.append(f"{counted(len(report['changes']), 'change')} {due if report['due'] else made}.")
    counts = [
        counted(number_of, name)
        for severity, name in (("blocker", "blocker"), ("warning", "warning"), ("info", "note"))
        if (number_of := sum(item["severity"] == severity for item in report["findings"]))
    ]
    if counts:
        foot.append(f"Findings: {listed(counts)}, each with its remedy in the report.")
    if page:
        foot.append(f"Report: {page}")
    room = SUMMARY_LINES - len(lines) - len(foot)
    # The lines about failures are above, in full.
    more = verdict["lines"][len(count(report)["failed"]) :]
    if not report["due"]:  # else they are the drift
        more += [f"{change['host']}: {change_text(change)}" for change in report["changes"]]
    body += more[: max(0, room - len(body))]
    if len(body) > room:
        body = [*body[: room - 1], f"... and {len(body) - room + 1} more, in the report."]
    return [visible(line) for line in (*lines, *body, *foot)]


def failure_text(item: Json) -> str:
    """Report what went wrong on a device, and in what state it is now."""
    message = item["failure"]["msg"].strip()
    return f"{message}{'' if message.endswith(('.', '!', '?')) else '.'} {left(item)}"


def left(item: Json) -> str:
    """Report the state in which a failure left a device."""
    stage, state = item["failure"]["stage"], item["final_state"]
    if state == "unchanged":
        return f"{'It could not be read, and nothing' if stage == 'read' else 'Nothing'} was changed on it."
    if state == "rolled_back":
        return "Everything on it is as it was before."
    if state == "changed":
        return "It was changed, and not rolled back: check it, then run the playbook again, or rollback."
    if stage == "verify":
        return "It was changed, and could not be read afterwards."
    return "Its state is not known: run the playbook audit."


def _devices(report: Mapping[str, t.Any]) -> Json:
    return {**report["load_balancers"], **report["servers"]}


def _sources(item: Json, known: Sequence[str]) -> list[Json]:
    """List the remote addresses of a server's associations, most first, and whether each is the load balancer's."""
    return [
        {
            "address": address,
            "count": count,
            "load_balancer": _audit.sources({**item, "sas": {address: count}}, known)["hidden"] > 0,
        }
        for address, count in sorted(item["sas"].items(), key=lambda pair: (-pair[1], pair[0]))
    ]


def _outcome(item: Json, changed: bool) -> str:
    """Return the outcome for a device: failed, undone, not read, changed, unchanged."""
    if item["failure"]:
        began = item["failure"]["stage"] not in ("read", "check")
        return "undone" if began and item["final_state"] in ("unchanged", "rolled_back") else "failed"
    if not item["read"]:
        return "not read"
    return "changed" if changed else "unchanged"


def _paths(host: str, item: Json, servers: Mapping[str, Json]) -> list[Json]:
    """Return the path of the packets for each virtual address: its services, its servers, and what each of these sees."""
    by_address = {address: name for name, facts in servers.items() for address in facts["addresses"]}
    probes = {bare(probe["address"]): probe for probe in item["probe"]}
    paths = []
    for vip in dict.fromkeys(service["address"] for service in item["services"]):
        of_vip = [service for service in item["services"] if service["address"] == vip]
        gateways: dict[str, set[str]] = {}
        for service in of_vip:
            for behind in service["servers"]:
                gateways.setdefault(bare(behind["address"]), set()).update(map(bare, behind["gateways"]))
        paths.append(
            {
                "vip": vip,
                "device": host,
                "platform": item["platform"],
                "services": [
                    {key: service[key] for key in ("id", "port", "enabled", "source_preserved", "value")}
                    for service in of_vip
                ],
                "preserved": all(service["source_preserved"] for service in of_vip),
                "servers": [
                    _behind(address, gateways[address], by_address.get(address), servers)
                    for address in sorted(gateways)
                ],
                "probe": probes.get(bare(vip)),
            }
        )
    return paths


def _behind(address: str, gateways: set[str], host: str | None, servers: Mapping[str, Json]) -> Json:
    facts = None if host is None else servers[host]
    judged = facts is not None and bool(gateways)
    return {
        "host": host,
        "address": address,
        "gateway": facts and facts["gateway"],
        "gateways": sorted(gateways),
        "return_path_ok": bare(facts["gateway"] or "") in gateways if facts is not None and judged else None,
        "sees": facts and facts["sees"]["verdict"],
    }


def _findings(
    load_balancers: Mapping[str, Json], servers: Mapping[str, Json], extra: Iterable[Json], check_mode: bool
) -> list[Json]:
    """Return all findings, the worst first, each once."""
    found = [
        *(one for item in (*load_balancers.values(), *servers.values()) for one in item["findings"]),
        *(finding(item, "") for item in extra),
    ]
    found += [
        {
            "host": host,
            "code": "not_read",
            "severity": "warning",
            "object": host,
            "message": f"It could not be read: {item['failure']['msg']}",
            "remedy": "Check that it is up, that the controller can reach it, and that the account is right. Then run the playbook again.",
        }
        for host, item in (*load_balancers.items(), *servers.items())
        if item["failure"] and item["failure"]["stage"] == "read"
    ]
    told = {(one["host"], one["code"]) for one in found}
    preserved = [service["source_preserved"] for item in load_balancers.values() for service in item["services"]]
    # In check mode, the services are what they would be, and the associations what they are.
    if preserved and all(preserved) and not check_mode:
        found += [
            {
                "host": host,
                "code": "existing_flows",
                "severity": "warning",
                "object": host,
                "message": f"The load balancers keep the clients' addresses, but {item['sees']['message']}.",
                "remedy": "Flows that existed before a change keep their translated address until they have been idle: run the playbook"
                " verify later. If it stays like this, something else on the path translates the addresses.",
            }
            for host, item in servers.items()
            if item["sees"] and item["sees"]["hidden"] and (host, "existing_flows") not in told
        ]
    unique = {tuple(one.values()): one for one in found}.values()
    return sorted(
        unique,
        key=lambda one: (SEVERITIES.index(one["severity"]), one["code"], one["host"], one["object"], one["message"]),
    )


def _verdict(report: Json) -> Json:
    """Return the verdict: ``failed`` before all else, then ``partial`` or ``drift``, then ``unknown``, and only then ``clean``."""
    figures = count(report)
    drift, check_mode = report["drift"], report["check_mode"]
    servers = [item for item in report["servers"].values() if item["read"]]
    limited = [item for item in servers if _has_limit(item)]
    lines = _verdict_lines(report, figures, len(limited))
    if figures["failed"]:
        status, title = "failed", f"The run failed on {listed(figures['failed'])}"
    elif drift and figures["services_hiding"] and servers and len(limited) == len(servers):
        status = "partial"
        title = "A partial cure: the limit is raised, and the clients' addresses stay hidden"
    elif drift:
        status = "drift"
        if figures["services_hiding"]:
            some = "do not see" if figures["services_hiding"] == figures["services"] else "do not always see"
            title = f"The VPN servers {some} their clients' own addresses"
        elif figures["servers_past"]:
            title = f"Replies of {listed(figures['past'])} bypass the load balancer"
        elif len(drift) == 1:
            title = "One setting is not as required"
        else:
            title = f"{len(drift)} settings are not as required"
    elif figures["not_read"] or figures["unverified"] or not figures["services"] or not servers:
        status = "unknown"
        title = "It is not known whether the VPN servers see their clients' own addresses"
    else:
        status = "clean"
        if check_mode:
            title = "Everything would be set for the VPN servers to see their clients' own addresses"
        elif figures["sas_hidden"]:
            title = "Everything is set, and connections still come from the load balancer"
        elif figures["sas"] and not figures["strangers"] and all(item["sees"]["verdict"] == "seen" for item in servers):
            title = "Every VPN server sees its clients' own addresses"
        else:
            title = "Everything is set for the VPN servers to see their clients' own addresses"
    return {"status": status, "title": visible(title), "lines": [visible(line) for line in lines]}


def _has_limit(item: Json) -> bool:
    """Report whether the workaround works on a server: the wanted limit is set, and IKEEXT uses it."""
    limit = item["ike_limit"]
    return limit is not None and not item["restart_owed"] and item["wanted_ike_limit"] in (None, limit)


def count(report: Mapping[str, t.Any]) -> Json:
    """Count what the verdict and the head of the page report."""
    servers = [item for item in report["servers"].values() if item["read"]]
    services = [service for item in report["load_balancers"].values() for service in item["services"]]
    behind = {item["host"]: True for path in report["paths"] for item in path["servers"] if item["host"]}
    for path in report["paths"]:
        for item in path["servers"]:
            if item["host"] and item["return_path_ok"] is not True:
                behind[item["host"]] = behind[item["host"]] and item["return_path_ok"]
    devices = _devices(report)
    strangers = [
        (path["device"], item["address"]) for path in report["paths"] for item in path["servers"] if not item["host"]
    ]
    return {
        "services": len(services),
        "services_hiding": sum(not service["source_preserved"] for service in services),
        "servers_behind": len(behind),
        "servers_past": sum(ok is False for ok in behind.values()),
        "past": [host for host, ok in behind.items() if ok is False],
        "strangers": sorted({address for _dummy, address in strangers}),
        # Where this is accepted, the server is not going to be read.
        "unverified": sorted(
            {
                address
                for host, address in strangers
                if "return_path_unverified" not in report["load_balancers"][host]["accepted"]
            }
        ),
        "servers_back": sum(ok is True for ok in behind.values()),
        "sas": sum(item["sees"]["sas"] for item in servers),
        "sas_hidden": sum(item["sees"]["hidden"] for item in servers),
        "failed": [host for host, item in devices.items() if item["failure"]],
        "not_read": [host for host, item in devices.items() if item["outcome"] == "not read"],
    }


def _verdict_lines(report: Json, figures: Json, limited: int) -> list[str]:
    would, servers = report["check_mode"], [item for item in report["servers"].values() if item["read"]]
    lines = [f"{host}: {left(_devices(report)[host])}" for host in figures["failed"]]
    lines += [f"{listed(figures['not_read'])}: not read."] if figures["not_read"] else []

    def line(part: int, whole: int, noun: str, verbs: tuple[str, str], end: str) -> str:
        which = f"{part} of {counted(whole, noun)}"
        if part == whole:
            which = {1: f"The {noun}", 2: f"Both {noun}s"}.get(whole, f"All {whole} {noun}s")
        verb = f"would {verbs[1]}" if would else verbs[part > 1]
        return f"{which} {verb} {end}"

    has = ("has", "have")
    if figures["strangers"]:
        do = "does" if len(figures["strangers"]) == 1 else "do"
        lines.append(
            f"{listed(figures['strangers'])} behind the load balancers {do} not belong to any VPN server that was read."
        )
    hiding, services, behind = figures["services_hiding"], figures["services"], figures["servers_behind"]
    if not services:
        lines.append("No IKEv2 service of a load balancer was read.")
    elif hiding:
        lines.append(line(hiding, services, "IKEv2 service", ("hides", "hide"), "the clients' addresses."))
    else:
        lines.append(line(services, services, "IKEv2 service", ("keeps", "keep"), "the clients' addresses."))
    if not servers:
        lines.append("No VPN server was read, so it is not known whether replies come back through the load balancer.")
    elif figures["servers_past"]:
        lines.append(
            line(figures["servers_past"], behind, "VPN server", has, "another default gateway than the load balancer.")
        )
    elif behind and figures["servers_back"] == behind:
        lines.append(line(behind, behind, "VPN server", has, "the load balancer as default gateway."))
    if figures["sas"]:
        lines.append(
            f"{figures['sas_hidden']} of {counted(figures['sas'], 'IKE security association')}"
            f" come from the load balancer{' now' if would else ''}."
        )
    elif servers:
        lines.append("There is no IKE security association, so what the servers see is not proved.")
    if limited:
        lines.append(
            f"The limit of associations from one address is raised on {limited} of {counted(len(servers), 'VPN server')}:"
            " it lets more clients in, and shows no client's own address."
        )
    for path in report["paths"]:
        if path["probe"] is not None:
            said = "answers" if path["probe"]["answered"] else "does not answer"
            lines.append(f"{path['vip']} {said} a first IKE message.")
    return lines
