# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report: what was found and done on every device, and one verdict. No input or output."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from ansible_collections.aovpn.ikev2.plugins.module_utils._model import SEVERITIES, Change, Finding, visible
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.facts import Facts
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.hosts import LoadBalancer, VpnServer
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.orders import waits_for
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.paths import Path
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.site import AnyHost, Site
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.sources import Sources
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.verdict import (
    Figures,
    Verdict,
    drift_of,
    left,
    refused,
    verdict_of,
)
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._text import change_text, counted, listed, of_host

Json: t.TypeAlias = "dict[str, t.Any]"
Outcome: t.TypeAlias = t.Literal["unchanged", "changed", "failed", "undone", "waiting", "not read"]

SCHEMA = "urn:aovpn:ikev2:report:2"
"""Names the schema in docs/report.schema.json; its number changes when a key is removed or changes its meaning."""

SUMMARY_LINES = 20
TOLD = (
    "nothing was changed",
    "everything is as it was before",
    "the server was not changed",
    "was not changed, because",
)
"""How messages of failures say that nothing is in effect, which the report then does not say again."""
TOLD_AGAIN = ("nothing was changed on it.", "Nothing was changed on it.", "Everything on it is as it was before.")


@dataclass(frozen=True)
class HostFinding:
    """A finding, and the host that it is about."""

    host: str
    finding: Finding

    def as_dict(self) -> dict[str, str]:
        """Return plain values."""
        return {"host": self.host, **self.finding.as_dict()}

    @classmethod
    def parse(cls, raw: Mapping[str, t.Any]) -> HostFinding:
        """Read what ``as_dict`` returned. Only the code and the severity are required."""
        empty = dict.fromkeys(("object", "message", "remedy"), "")
        return cls(str(raw.get("host", "")), Finding.parse({**empty, **raw}))


@dataclass(frozen=True)
class Report:
    """A site, and the run that it comes from.

    ``due``: what ran only reads, so the changes are those that are due. ``generated``: UTC, ISO 8601. ``extra``: findings from elsewhere.
    ``problem``: what stopped the run before any device was touched.
    """

    site: Site
    generated: str
    due: bool = False
    extra: tuple[HostFinding, ...] = ()
    problem: str = ""

    @cached_property
    def figures(self) -> Figures:
        """Return what the head of the page counts."""
        return Figures(self.site)

    @cached_property
    def drift(self) -> tuple[str, ...]:
        """Return what is not as required; after a rollback, that is no question."""
        return () if self.site.playbook == "rollback" else drift_of(self.site)

    @cached_property
    def verdict(self) -> Verdict:
        """Return the verdict."""
        return refused(self.site, self.problem) if self.problem else verdict_of(self.site, self.figures, self.drift)

    @property
    def acceptable(self) -> bool:
        """Report whether ``fail_on_drift`` lets the verdict pass. A partial cure is all that the workaround can be."""
        fine = ("clean", "restored", "partial") if self.site.playbook == "workaround" else ("clean", "restored")
        return self.verdict.status in fine

    @property
    def failures(self) -> dict[str, str]:
        """Return why hosts failed, as far as that is an error: audit and verify report what they could not read."""
        heeded = {} if self.site.playbook in ("audit", "verify") else self.figures.heeded
        return {host: visible(failure.msg) for host, failure in heeded.items()}

    def changes_of(self, item: AnyHost) -> tuple[Change, ...]:
        """Return a host's changes: due, made, or in check mode such as a real run would make."""
        return item.due if self.due else item.made

    @cached_property
    def changes(self) -> tuple[tuple[str, Change], ...]:
        """Return all changes with their hosts, those of the VPN servers first."""
        hosts: tuple[AnyHost, ...] = (*self.site.servers.values(), *self.site.load_balancers.values())
        return tuple((item.host, change) for item in hosts for change in self.changes_of(item))

    def outcome(self, item: AnyHost) -> Outcome:
        """Return what happened to a host."""
        if item.failure:
            began = item.failure.stage not in ("read", "check")
            return "undone" if began and item.failure.final_state in ("unchanged", "rolled_back") else "failed"
        if not item.read:
            return "not read"
        if item.changing:
            return "changed"
        return "waiting" if self.waits_for(item) else "unchanged"

    def waits_for(self, item: AnyHost) -> str:
        """Return the host whose failure kept this one from being changed; empty if none did."""
        playbooks = ("remediate", "workaround", "rollback")
        return waits_for(self.site, item.host) if self.site.playbook in playbooks and not item.changing else ""

    @cached_property
    def findings(self) -> tuple[HostFinding, ...]:
        """Return all findings, the worst first, each once."""
        site = self.site
        found = [HostFinding(host, one) for host in site.load_balancers for one in site.findings_of(host)]
        found += [
            HostFinding(host, one) for host, (_item, facts) in site.read_servers.items() for one in facts.findings
        ]
        found += [*self.extra, *(HostFinding(one.object, one) for one in site.findings)]
        remedy = "Check that it is up, that the controller can reach it, and that the account is right. Then run the playbook again."
        for host, item in site.hosts.items():
            if item.failure and item.failure.stage == "read":
                message = f"It could not be read: {item.failure.msg}"
                found.append(HostFinding(host, Finding("not_read", "warning", host, message, remedy)))
        found += self._existing_flows({(one.host, one.finding.code) for one in found})
        return tuple(
            sorted(
                dict.fromkeys(found),
                key=lambda one: (
                    SEVERITIES.index(one.finding.severity),
                    one.finding.code,
                    one.host,
                    one.finding.object,
                    one.finding.message,
                ),
            )
        )

    def _existing_flows(self, told: set[tuple[str, str]]) -> Iterable[HostFinding]:
        if self.figures.hiding or not self.figures.services or self.figures.predicted:
            return
        for host, sources in self.site.sources.items():
            if sources.hidden and (host, "existing_flows") not in told:
                message = f"The load balancers keep the clients' addresses, but {sources.message}."
                remedy = (
                    "Flows that existed before a change keep their translated address until they have been idle: run the playbook"
                    " verify later. If it stays like this, something else on the path translates the addresses."
                )
                yield HostFinding(host, Finding("existing_flows", "warning", host, message, remedy))

    # -- plain values

    def as_dict(self) -> Json:
        """Return the report as docs/report.schema.json describes it."""
        verdict = self.verdict
        return {
            "schema": SCHEMA,
            "playbook": self.site.playbook,
            "check_mode": self.site.check_mode,
            "due": self.due,
            "generated": self.generated,
            # Sentences are for people, wherever they are shown; the data beside them is as the devices gave it.
            "verdict": {
                "status": verdict.status,
                "title": visible(verdict.title),
                "lines": [visible(line) for line in verdict.lines],
                "steps": [{"text": visible(step.text), "command": visible(step.command)} for step in verdict.steps],
            },
            "load_balancers": {host: self._load_balancer(item) for host, item in self.site.load_balancers.items()},
            "servers": {host: self._server(item) for host, item in self.site.servers.items()},
            "paths": [_path(path) for path in self.figures.paths],
            "drift": [visible(line) for line in self.drift],
            "findings": [one.as_dict() for one in self.findings],
            "changes": [{"host": host, **change.as_dict()} for host, change in self.changes],
        }

    def _common(self, item: AnyHost) -> Json:
        failure = item.failure
        return {
            "failure": {"stage": failure.stage, "msg": failure.msg} if failure else None,
            "waits_for": self.waits_for(item),
            "final_state": "unchanged" if self.site.check_mode and not failure else item.final_state,
            "changes": [{"host": item.host, **change.as_dict()} for change in self.changes_of(item)],
            "outcome": self.outcome(item),
        }

    def _load_balancer(self, item: LoadBalancer) -> Json:
        services = item.before
        if self.site.playbook == "verify" and item.kept:
            services = item.kept_services
        return {
            "platform": item.platform,
            "read": item.read,
            "services": [service.as_dict() for service in item.services],
            "before": [service.as_dict() for service in services],
            "findings": [HostFinding(item.host, one).as_dict() for one in self.site.findings_of(item.host)],
            "accepted": sorted(item.accept),
            "requests": item.now.requests if item.now else 0,
            "probe": list(item.probes),
            **self._common(item),
        }

    def _server(self, item: VpnServer) -> Json:
        facts, first = item.now or Facts.parse({}), item.first
        if self.site.playbook == "verify" and item.kept:
            first = Facts.parse(item.kept)
        sources = self.site.sources.get(item.host)
        return {
            "read": item.read,
            **_state(facts),
            "wanted_gateway": item.wanted_gateway,
            "wanted_ike_limit": item.wanted_limit,
            "sources": _sources(sources),
            "sees": _sees(facts, sources),
            "sas_other": facts.sas_other,
            "sas_unclear": dict(facts.sas_unclear),
            "addresses": list(facts.addresses),
            "networks": list(map(str, facts.networks)),
            "default_routes": list(facts.default_routes),
            "default_routes_ipv6": list(facts.default_routes_ipv6),
            "tunnels": facts.tunnels,
            "tunnels_other": dict(facts.tunnels_other),
            "ikev2_ports": facts.ikev2_ports,
            "ikev2_fragmentation": facts.ikev2_fragmentation,
            "services": dict(facts.services),
            "findings": [HostFinding(item.host, one).as_dict() for one in facts.findings],
            "before": _state(first) if first else None,
            **self._common(item),
        }


def _state(facts: Facts) -> Json:
    """Return what a run may change."""
    return {
        "gateway": facts.gateway,
        "ike_limit": facts.ike_limit,
        "restart_owed": facts.restart_owed,
        "sas": dict(facts.sas),
    }


def _sources(sources: Sources | None) -> list[Json]:
    return [] if sources is None else [{**vars(source), "load_balancer": source.hides} for source in sources.sources]


def _sees(facts: Facts, sources: Sources | None) -> Json | None:
    if sources is None:
        return None
    top = max(facts.sas.items(), key=lambda pair: (pair[1], pair[0]), default=None)
    total = sum(facts.sas.values())
    return {
        "verdict": sources.verdict,
        "sas": total,
        "addresses": len(facts.sas),
        "hidden": sources.hidden,
        "top": {"address": top[0], "count": top[1], "share": round(top[1] / total, 3)} if top else None,
        "message": sources.message,
    }


def _path(path: Path) -> Json:
    keys = ("id", "port", "enabled", "source_preserved", "value")
    return {
        "vip": path.vip,
        "device": path.load_balancer.host,
        "platform": path.load_balancer.platform,
        "services": [{key: service.as_dict()[key] for key in keys} for service in path.services],
        "preserved": path.preserved,
        "servers": [{**vars(server), "gateways": list(server.gateways)} for server in path.servers],
        "probe": dict(path.probe) if path.probe else None,
    }


def summary(report: Report, page: str = "") -> list[str]:
    """Return the report in at most 20 lines, for the terminal. ``page`` is the path of the HTML page."""
    verdict, check_mode = report.verdict, report.site.check_mode
    head = "Now:"
    if check_mode:
        head = "Nothing was changed." + ("" if report.problem else " After a real run:")
    lines = [
        f"{report.site.playbook or 'Report'}, {report.generated}. {head}",
        f"{verdict.status.upper()}: {verdict.title}",
    ]
    failed = {host: item.failure for host, item in report.site.hosts.items() if item.failure}
    body = [of_host(host, failure_text(failure.msg, left(failure))) for host, failure in failed.items()]
    waiting = [host for host, item in report.site.hosts.items() if report.outcome(item) == "waiting"]
    if waiting:
        body.append(f"{listed(waiting)}: not changed, because of that.")
    body += report.drift
    # What failed is above, in full.
    foot = [
        f"Next: {'Solve what failed.' if report.figures.heeded and not report.problem else step.text} {step.command}"
        for step in verdict.steps[:1]
    ]
    if report.changes:
        one = len(report.changes) == 1
        made = "would be made" if check_mode else "was made" if one else "were made"
        due = "is due" if one else "are due"
        foot.append(f"{counted(len(report.changes), 'change')} {due if report.due else made}.")
    counts = [
        counted(number, name)
        for severity, name in (("blocker", "blocker"), ("warning", "warning"), ("info", "note"))
        if (number := sum(one.finding.severity == severity for one in report.findings))
    ]
    if counts:
        foot.append(f"Findings: {listed(counts)}, each with its remedy in the report.")
    if page:
        foot.append(f"Report: {page}")
    room = SUMMARY_LINES - len(lines) - len(foot)
    if len(body) == room + 1 and verdict.steps:
        # Without the next step, all that is not as required can be shown.
        foot, room = foot[1:], room + 1
    # The lines about failures are above, in full.
    more = [*verdict.lines[len(report.figures.heeded) :]]
    if not report.due:  # else they are the drift
        more += [f"{host}: {change_text(change.as_dict())}" for host, change in report.changes]
    body += more[: max(0, room - len(body))]
    if len(body) > room:
        body = [*body[: room - 1], f"... and {len(body) - room + 1} more, in the report."]
    return [visible(line) for line in (*lines, *body, *foot)]


def failure_text(message: str, left_in: str) -> str:
    """Report what went wrong on a device, and in what state it is now."""
    whole = f"{message}{'' if message.endswith(('.', '!', '?')) else '.'}"
    # Most messages say it themselves.
    told = any(words in message.lower() for words in TOLD) and left_in.endswith(TOLD_AGAIN)
    return whole if told else f"{whole} {left_in}"
