# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report as one page of HTML. Reads its template, and nothing else."""

from __future__ import annotations

import functools
import typing as t
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ansible_collections.aovpn.ikev2.plugins.module_utils._model import visible
from ansible_collections.aovpn.ikev2.plugins.module_utils._platforms import title
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._report.model import Json, Report
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._report.picture import (
    SEES,
    SERVERS_SHOWN,
    lanes,
    ports,
    words,
)
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.verdict import left
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._text import (
    change_text,
    counted,
    listed,
    setting,
)

SOURCES_SHOWN = 8
LONGEST = 1200
"""Of a text; an error message can fill a page of its own. The JSON file has all of it."""

STATUSES = {
    "clean": ("good", "✓", "Clean"),
    "drift": ("bad", "✕", "Drift"),
    "partial": ("warn", "!", "Partial"),
    "unverified": ("warn", "?", "Unverified"),
    "restored": ("good", "↺", "Restored"),
    "failed": ("bad", "✕", "Failed"),
    "unknown": ("open", "?", "Unknown"),
}
OUTCOMES = {
    "unchanged": ("open", "="),
    "changed": ("good", "✓"),
    "undone": ("warn", "↺"),
    "failed": ("bad", "✕"),
    "waiting": ("open", "…"),
    "not read": ("open", "?"),
}
MARKS = {"good": "✓", "warn": "!", "bad": "✕", "open": "?"}
SEVERITIES = {"blocker": ("bad", "Blocker"), "warning": ("warn", "Warning"), "info": ("open", "Note")}
KINDS = {  # of the addresses from which associations come
    "client": ("", "clients' own addresses"),
    "load_balancer": ("bad", "the load balancer"),
    "server_network": ("bad", "the servers' own network"),
    "single": ("warn", "one address with nearly all of them"),
    "unclear": ("open", "associations that may not be IKEv2"),
}
STAGES = {
    "read": "while reading",
    "check": "before any change",
    "change": "while changing",
    "verify": "while verifying",
    "restore": "while restoring",
}


HEADINGS = {  # of the devices, of the column beside them, and what the number of changes counts
    "due": ("What has to change, device by device", "Has to change", "due"),
    "predicted": ("What a real run would do, device by device", "Would be changed", "a real run would make"),
    "made": ("What was done, device by device", "What happened", "made in this run"),
}


def render(report: Report) -> str:
    """Return the page. Whatever came from a device is escaped, and its control characters are made visible."""
    plain = report.as_dict()
    template = templates().get_template("report.html.j2")
    return template.render(
        report=plain,
        figures=report.figures,
        paths=_paths(plain),
        services=_services(plain),
        servers={host: {**item, "bars": _bars(item)} for host, item in plain["servers"].items() if item["read"]},
        findings=_grouped(plain["findings"]),
        devices=_devices(report, plain),
        headings=HEADINGS["due" if report.due else "predicted" if report.site.check_mode else "made"],
        statuses=STATUSES,
        outcomes=OUTCOMES,
        severities=SEVERITIES,
        stages=STAGES,
        kinds=KINDS,
        sees=SEES,
        marks=MARKS,
    )


def running(playbook: str, since: str, lines: Sequence[str] = ()) -> str:
    """Return the page that is shown until a run has ended. ``lines``: what an interrupted task has left."""
    return templates().get_template("running.html.j2").render(playbook=playbook, since=since, lines=lines)


@functools.cache
def templates() -> Environment:
    """Return the templates of the pages, each compiled when it is first needed."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(counted=counted, listed=listed, setting=setting, change_text=change_text)
    return environment


def _shown(value: t.Any) -> t.Any:
    """Prepare a value that the template writes; markup of its own stays as it is."""
    if isinstance(value, Markup):
        return value
    if isinstance(value, str):
        return visible(
            value if len(value) <= LONGEST else f"{value[:LONGEST]}… (cut here; the JSON file has all of it)"
        )
    return value


def _paths(report: Mapping[str, t.Any]) -> list[Json]:
    """Return the paths with what their pictures say."""
    predicted = report["check_mode"]
    return [
        {
            **path,
            "title": title(path["platform"]),
            "ports": ports(path),
            "words": words(path, predicted=predicted),
            "lanes": lanes(path, predicted=predicted),
            "more": len(path["servers"]) - SERVERS_SHOWN,
        }
        for path in report["paths"]
    ]


def _devices(report: Report, plain: Json) -> list[Json]:
    """Return all devices, with their kind and the state that a failure left; those that failed come first."""
    kinds = [
        *((host, title(item["platform"]), item) for host, item in plain["load_balancers"].items()),
        *((host, "VPN server", item) for host, item in plain["servers"].items()),
    ]
    failures = {host: item.failure for host, item in report.site.hosts.items() if item.failure}
    devices = [
        {**item, "host": host, "kind": kind, "left": left(failures[host]) if host in failures else ""}
        for host, kind, item in kinds
    ]
    return sorted(devices, key=lambda device: device["host"] not in failures)


def _services(report: Mapping[str, t.Any]) -> list[Json]:
    """Put each service beside what it was at first."""

    def key(service: Json) -> tuple[str, ...]:
        return service["id"], service["address"], service["port"]

    rows = []
    for host, item in report["load_balancers"].items():
        first = {key(service): service for service in item["before"]}
        rows += [
            {"host": host, "now": service, "before": first.get(key(service), service)} for service in item["services"]
        ]
    return rows


def _bars(item: Json) -> list[Json]:
    """Return the bars of a server's chart: the addresses with most associations, and all others as one sum of each kind."""
    most = max((source["count"] for source in item["sources"]), default=0)
    bars = [{**source, "sum": False} for source in item["sources"][:SOURCES_SHOWN]]
    for kind in KINDS:
        rest = [source for source in item["sources"][SOURCES_SHOWN:] if source["kind"] == kind]
        if len(rest) == 1:
            bars.append({**rest[0], "sum": False})
        elif rest:
            bars.append(
                {
                    "address": f"{len(rest)} further addresses",
                    "count": sum(source["count"] for source in rest),
                    "kind": kind,
                    "sum": True,
                }
            )
    # The other bars are not to the scale of a sum: it may fill the full width.
    return [{**one, "width": round(100 * min(1, one["count"] / most), 1)} for one in bars]


def _grouped(findings: list[Json]) -> list[Json]:
    """Group findings of the same text, with all the places where they were found."""
    groups: dict[tuple[str, ...], Json] = {}
    for one in findings:
        key = (one["severity"], one["code"], one["message"], one["remedy"])
        groups.setdefault(key, {**one, "places": []})["places"].append((one["host"], one["object"]))
    return list(groups.values())
