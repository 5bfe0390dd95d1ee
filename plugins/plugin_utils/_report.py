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
    service_key,
    text,
    truth,
)
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._report_text import counted, listed, setting, visible

SCHEMA = "urn:aovpn:ikev2:report:1"
"""Names the schema in docs/report.schema.json; another number when a key goes or changes its meaning."""

SUMMARY_LINES = 20


def build(raw: Mapping[str, t.Any]) -> Json:
    """Make the report; docs/report.schema.json says what it holds.

    ``raw``: ``playbook``, ``check_mode``, ``generated`` (UTC, ISO 8601), ``findings`` (those of a cross-check), and by host
    ``load_balancers``: ``{platform, accept, result, before, failure, probe}`` with results of a device module, now and at first, and
    ``servers``: ``{facts, before, failure, gateway, ike_limit}`` with ``rras_facts``, now and at first, and what is wanted.
    Whatever is missing counts as not read.
    """
    raw = plain(raw)
    check_mode = truth(raw.get("check_mode"))
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
    for host, item in load_balancers.items():
        first_look = mapping(mapping(mapping(raw.get("load_balancers"))[host]).get("before"))
        item["changes"] = _load_balancer_changes(host, item, first_look, check_mode)
    for host, item in servers.items():
        item["changes"] = _server_changes(host, item, check_mode)
    for item in (*load_balancers.values(), *servers.values()):
        item["outcome"] = _outcome(item)

    gateways = {host: item["wanted_gateway"] for host, item in servers.items() if item["wanted_gateway"]}
    # Sentences are for people, wherever they are shown; the data beside them is as the devices gave it.
    limits = {host: item["wanted_ike_limit"] for host, item in servers.items() if item["wanted_ike_limit"] is not None}
    accepted = {host: item["accepted"] for host, item in load_balancers.items()}
    drift = [visible(line) for line in _audit.drift(read_load_balancers, read_servers, gateways, limits, accepted)]
    report: Json = {
        "schema": SCHEMA,
        "playbook": text(raw.get("playbook")),
        "check_mode": check_mode,
        "generated": text(raw.get("generated")),
        "verdict": {},
        "load_balancers": load_balancers,
        "servers": servers,
        "paths": [path for host, item in load_balancers.items() for path in _paths(host, item, read_servers)],
        "drift": drift,
        "findings": _findings(load_balancers, servers, items(raw.get("findings")), check_mode),
        "changes": [line for item in (*servers.values(), *load_balancers.values()) for line in item["changes"]],
    }
    report["verdict"] = _verdict(report)
    return report


def summary(report: Mapping[str, t.Any], page: str = "") -> list[str]:
    """Say the report in at most 20 lines, for the terminal. ``page`` is the path of the HTML page."""
    report = plain(report)
    verdict, devices = report["verdict"], _devices(report)
    head = "Nothing was changed. After a real run:" if report["check_mode"] else "Now:"
    lines = [
        f"{report['playbook']}, {report['generated']}. {head}",
        f"{verdict['status'].upper()}: {verdict['title']}",
    ]
    body = [f"{host}: {failure_in_words(item)}" for host, item in devices.items() if item["failure"]]
    body += report["drift"]
    foot = []
    if report["changes"]:
        foot.append(
            f"{counted(len(report['changes']), 'change')} {'would be' if report['check_mode'] else 'were'} made."
        )
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
    # Those about failures stand above, at length.
    lines_left = verdict["lines"][len(count(report)["failed"]) :]
    body += lines_left[: max(0, room - len(body))]
    if len(body) > room:
        body = [*body[: room - 1], f"... and {len(body) - room + 1} more, in the report."]
    return [visible(line) for line in (*lines, *body, *foot)]


def failure_in_words(item: Json) -> str:
    """Say what went wrong on a device, and in what state it is now."""
    message = item["failure"]["msg"].strip()
    return f"{message}{'' if message.endswith(('.', '!', '?')) else '.'} {left(item)}"


def left(item: Json) -> str:
    """Say in what state a failure has left a device."""
    stage, undone = item["failure"]["stage"], item["failure"]["undone"]
    if stage == "read":
        return "It could not be read, and nothing was changed on it."
    if stage == "check":
        return "Nothing was changed on it."
    if undone is True:
        return "Everything on it is as it was before."
    if undone is False:
        return "It was changed, and not put back: look at it, then run the playbook again, or rollback."
    if stage == "verify":
        return "What was changed on it stands, and could not be looked at afterwards."
    return "In what state it is, is not known: run the playbook audit."


def _devices(report: Mapping[str, t.Any]) -> Json:
    return {**report["load_balancers"], **report["servers"]}


def _sources(item: Json, known: Sequence[str]) -> list[Json]:
    """List the remote addresses of a server's associations, most first, each with whether it is the load balancer's."""
    return [
        {
            "address": address,
            "count": count,
            "load_balancer": _audit.sources({**item, "sas": {address: count}}, known)["hidden"] > 0,
        }
        for address, count in sorted(item["sas"].items(), key=lambda pair: (-pair[1], pair[0]))
    ]


def _limit(item: Json) -> str:
    return "the default of Windows" if item["ike_limit"] is None else str(item["ike_limit"])


def _changed(host: str, what: str, change: tuple[t.Any, t.Any], check_mode: bool) -> str:
    before, after = change
    return visible(f"{host}: {what} {'would change' if check_mode else 'changed'} from {before} to {after}")


def _load_balancer_changes(host: str, item: Json, first_look: Json, check_mode: bool) -> list[str]:
    due = [text(one.get("message")) for one in items(first_look.get("findings")) if one.get("code") == "device_setting"]
    first = {service_key(service): service for service in item["before"]}
    lines = [
        _changed(
            host,
            f"{service['id']} ({service['address']}, UDP {service['port']})",
            (setting(first[key]["value"]), setting(service["value"])),
            check_mode,
        )
        for service in item["services"]
        if (key := service_key(service)) in first and first[key]["value"] != service["value"]
    ]
    device = item["device"]
    lines += [
        _changed(host, f"the device's setting {key}", (setting(value), setting(device["after"][key])), check_mode)
        for key, value in device["before"].items()
        if key in device["after"] and device["after"][key] != value
    ]
    if item["changed"]:
        # A result that changed something knows the device's settings as they were, so only the first look tells which were due.
        form = "would change" if check_mode else "changed"
        lines += [visible(f"{host}: a setting of the device {form}. Before: {message}") for message in due]
    return lines


def _server_changes(host: str, item: Json, check_mode: bool) -> list[str]:
    first = item["before"]
    if first is None or not item["read"]:
        return []
    lines = []
    if first["gateway"] != item["gateway"]:
        gateways = (first["gateway"] or "none", item["gateway"] or "none")
        lines.append(_changed(host, "the default gateway", gateways, check_mode))
    if first["ike_limit"] != item["ike_limit"]:
        limits = (_limit(first), _limit(item))
        lines.append(_changed(host, "the limit of IKE security associations from one address", limits, check_mode))
    return lines


def _outcome(item: Json) -> str:
    """Say what became of a device: failed, undone, not read, changed, unchanged."""
    if item["failure"]:
        changed_first = item["failure"]["stage"] not in ("read", "check")
        return "undone" if item["failure"]["undone"] is True and changed_first else "failed"
    if not item["read"]:
        return "not read"
    return "changed" if item["changes"] or item.get("changed") else "unchanged"


def _paths(host: str, item: Json, servers: Mapping[str, Json]) -> list[Json]:
    """Give the way of the packets for each virtual address: its services, its servers, and what each of these sees."""
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
    """Give all findings, the worst first, each once."""
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
            "message": f"It could not be read, so nothing is known of it: {item['failure']['msg']}",
            "remedy": "See that it is up and can be reached from the controller, and that the account is right; then run the playbook again.",
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
                "message": f"The load balancers keep the clients' addresses, and yet {item['sees']['message']}.",
                "remedy": "Flows from before a change go on as they began until they have been idle: run the playbook verify later."
                " If it stays so, something else on the way translates the addresses.",
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
    """Conclude: ``failed`` before all else, then ``partial`` or ``drift``, then ``unknown``, and only then ``clean``."""
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
            title = f"{listed(figures['past'])} {'answers' if figures['servers_past'] == 1 else 'answer'} past the load balancer"
        else:
            title = f"{counted(len(drift), 'setting')} not as it has to be"
    elif figures["not_read"] or figures["unverified"] or not figures["services"] or not servers:
        status = "unknown"
        title = "It cannot be said whether the VPN servers see their clients' own addresses"
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
    """Say whether the workaround works on a server: a limit is set, the one that is wanted, and IKEEXT knows it."""
    limit = item["ike_limit"]
    return limit is not None and not item["restart_owed"] and item["wanted_ike_limit"] in (None, limit)


def count(report: Mapping[str, t.Any]) -> Json:
    """Count what the verdict and the page's head speak of."""
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
        # Where this is accepted, somebody knows better, and nobody is going to read the server.
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
            which = f"All {whole} {noun}s" if whole > 1 else f"The {noun}"
        verb = f"would {verbs[1]}" if would else verbs[part > 1]
        return f"{which} {verb} {end}"

    has = ("has", "have")
    if figures["strangers"]:
        whose = (
            "is the address of no VPN server" if len(figures["strangers"]) == 1 else "are addresses of no VPN server"
        )
        lines.append(f"{listed(figures['strangers'])} behind the load balancers {whose} that was read.")
    hiding, services, behind = figures["services_hiding"], figures["services"], figures["servers_behind"]
    if not services:
        lines.append("No IKEv2 service of a load balancer was read.")
    elif hiding:
        lines.append(line(hiding, services, "IKEv2 service", ("hides", "hide"), "the clients' addresses."))
    else:
        lines.append(line(services, services, "IKEv2 service", ("keeps", "keep"), "the clients' addresses."))
    if not servers:
        lines.append("No VPN server was read, so nobody knows whether answers come back through the load balancer.")
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
        lines.append("No IKE security association stands, so what the servers see was not proved.")
    if limited:
        lines.append(
            f"The limit of associations from one address is raised on {limited} of {counted(len(servers), 'VPN server')}:"
            " it lets more clients in and shows nobody's own address."
        )
    for path in report["paths"]:
        if path["probe"] is not None:
            said = "answers" if path["probe"]["answered"] else "does not answer"
            lines.append(f"{path['vip']} {said} a first IKE message.")
    return lines
