# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One verdict on a run: it answers the question of the playbook that ran. No input or output."""

from __future__ import annotations

import shlex
import typing as t
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Change
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.hosts import DEFAULT_ROUTE, VpnServer
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.paths import Path, paths_of
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.records import Failure
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.site import AnyHost, Site
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._text import counted, listed, of_host, setting

Status: t.TypeAlias = t.Literal["clean", "drift", "partial", "unverified", "restored", "failed", "unknown"]
STATUSES: tuple[Status, ...] = t.get_args(Status)

PLAYBOOKS = ("audit", "remediate", "verify", "workaround", "rollback")
COMMAND = "ansible-playbook -i inventory aovpn.ikev2."
HIDES = "hides the clients' addresses"
ABSENT = {"limit": "the default of Windows", "route": "missing"}
"""What a missing value means, by scope."""


@dataclass(frozen=True)
class NextStep:
    """What to do next, with its command."""

    text: str
    command: str


@dataclass(frozen=True)
class Verdict:
    """``lines`` say at length what ``title`` says in short; ``steps`` say what to do next."""

    status: Status
    title: str
    lines: tuple[str, ...]
    steps: tuple[NextStep, ...]


def drift_of(site: Site) -> tuple[str, ...]:
    """Return as sentences, host by host, what is not as required; empty if everything is."""
    return (*_load_balancer_drift(site), *_server_drift(site))


def _load_balancer_drift(site: Site) -> Iterable[str]:
    for host, item in site.read_load_balancers.items():
        hiding = [service for service in item.services if not service.source_preserved]
        for service in hiding:
            yield f"{host}: {service.id} ({service.address}, UDP {service.port}) {HIDES}"
        told = {service.id for service in hiding}
        for change in item.due:
            # The first setting of a service is the one that hides the clients: that has been reported.
            if change.id in told:
                told.remove(change.id)
            else:
                yield f"{host}: {due_text(change)}"
        for finding in site.findings_of(host):
            left = finding.code == "not_active_unit" and site.partner(host)
            if finding.severity == "blocker" and finding.code not in item.accept and not left:
                yield f"{host}: {finding.code} at {finding.object}: {finding.message}"


def _server_drift(site: Site) -> Iterable[str]:
    for host, (item, facts) in site.read_servers.items():
        yield from (f"{host}: {due_text(change)}" for change in facts.changes)
        if (
            facts.restart_owed
            and item.wanted_limit is not None
            and not any(one.scope == "limit" for one in facts.changes)
        ):
            yield f"{host}: IKEEXT does not use the limit {facts.ike_limit} until it is restarted"


def due_text(change: Change) -> str:
    """Write a change that is due as a sentence."""
    before = ABSENT.get(change.scope, "not set") if change.before is None else setting(change.before)
    what = f"{change.setting} of {change.id}"
    if change.scope == "device":
        what = change.setting
    elif change.scope == "limit":
        what = "the limit of IKE security associations from one address"
    elif change.setting == "NextHop":
        what = "the default gateway" if change.id == DEFAULT_ROUTE else f"the gateway of {change.id}"
        if change.after is None:
            return f"the route {change.id} via {before} has to be removed"
    return f"{what} is {before} and has to be {setting(change.after)}"


class Figures:
    """What the verdict and the head of the page count."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.paths: tuple[Path, ...] = paths_of(site)
        self.services = [service for item in site.load_balancers.values() for service in item.services]
        self.hiding = [service for service in self.services if not service.source_preserved]

    @cached_property
    def heeded(self) -> dict[str, Failure]:
        """Return the failures that count for this playbook: the workaround is for the servers alone."""
        of = self.site.servers if self.site.playbook == "workaround" else self.site.hosts
        return {host: item.failure for host, item in of.items() if item.failure}

    @cached_property
    def not_read(self) -> list[str]:
        """Return the hosts that were not read, and whose failure is not reported as such."""
        return [host for host, item in self.site.hosts.items() if not item.read and host not in self.heeded]

    @cached_property
    def behind(self) -> dict[str, bool | None]:
        """Report for each VPN server behind a load balancer whether its replies come back through it."""
        found: dict[str, bool | None] = {}
        for server in (server for path in self.paths for server in path.servers):
            if server.host is None:
                continue
            ok = found.get(server.host, True)
            found[server.host] = ok if server.return_path_ok is True else ok and server.return_path_ok
        return found

    @cached_property
    def past(self) -> list[str]:
        """Return the servers whose replies bypass their load balancer."""
        return [host for host, ok in self.behind.items() if ok is False]

    @cached_property
    def strangers(self) -> dict[str, bool]:
        """Report for each address behind a load balancer that no read server has whether that is accepted."""
        return {
            server.address: "return_path_unverified" in path.load_balancer.accept
            for path in self.paths
            for server in path.servers
            if not server.host
        }

    @property
    def limited(self) -> list[VpnServer]:
        """Return the servers on which the workaround works: the wanted limit is set, and IKEEXT uses it."""
        return [
            item
            for item, facts in self.site.read_servers.values()
            if facts.ike_limit is not None and not facts.restart_owed and item.wanted_limit in (None, facts.ike_limit)
        ]

    @property
    def to_restart(self) -> list[str]:
        """Return the servers on which the wanted limit is set, and IKEEXT does not use it yet."""
        servers = self.site.read_servers.items()
        return [host for host, (item, facts) in servers if facts.restart_owed and item.wanted_limit is not None]

    @property
    def changes(self) -> int:
        """Return how many changes were made, or would be in check mode."""
        return sum(len(item.made) for item in self.site.hosts.values())

    @property
    def predicted(self) -> bool:
        """Report whether services and gateways are described as they would be. Associations are always the present ones."""
        return self.site.check_mode and bool(self.changes)

    @property
    def associations(self) -> int:
        """Return the number of associations."""
        return sum(sources.total for sources in self.site.sources.values())

    @property
    def hidden(self) -> int:
        """Return how many come from load balancers."""
        return sum(sources.hidden for sources in self.site.sources.values())

    @property
    def own(self) -> int:
        """Return how many come from clients' own addresses."""
        return sum(sources.own for sources in self.site.sources.values())


def verdict_of(site: Site, figures: Figures, drift: tuple[str, ...]) -> Verdict:
    """Return the verdict."""
    status, title = _status(site, figures, drift)
    return Verdict(status, title, tuple(_lines(site, figures)), tuple(_steps(site, figures, status)))


def refused(site: Site, problem: str) -> Verdict:
    """Return the verdict on a run that ended before any device was changed."""
    step = NextStep("Solve this, and run it again.", f"{COMMAND}{_again(site)}")
    return Verdict("failed", "The run was refused: no device was changed", (problem,), (step,))


def _status(site: Site, figures: Figures, drift: tuple[str, ...]) -> tuple[Status, str]:
    if figures.heeded:
        return "failed", f"The run failed on {listed([*figures.heeded])}"
    if figures.predicted:
        return "drift", f"A real run would make {counted(figures.changes, 'change')}"
    if site.playbook == "rollback":
        return "restored", _restored(site, figures)
    if (partial := _partial(site, figures, drift)) is not None:
        return partial
    if site.playbook == "workaround" and figures.to_restart:
        return "drift", f"IKEEXT does not use the limit until it is restarted on {listed(figures.to_restart)}"
    if drift:
        return "drift", _drift_title(figures, drift)
    unverified = [address for address, accepted in figures.strangers.items() if not accepted]
    if figures.not_read or unverified or not figures.services or not site.read_servers:
        return "unknown", "It is not known whether the VPN servers see their clients' own addresses"
    without = [host for host, sources in site.sources.items() if sources.verdict != "seen"]
    if not without and not figures.strangers:
        return "clean", "Every VPN server sees its clients' own addresses"
    if site.playbook == "verify":
        return (
            "unverified",
            f"It is not proved that clients' own addresses are seen by {listed(without or sorted(figures.strangers))}",
        )
    if figures.hidden:
        return "clean", "Everything is set, and connections still come from the load balancer"
    return "clean", "Everything is set for the VPN servers to see their clients' own addresses"


def _restored(site: Site, figures: Figures) -> str:
    hosts: tuple[AnyHost, ...] = (*site.load_balancers.values(), *site.servers.values())
    if not any(item.kept for item in hosts):
        return "There is nothing left to roll back: every snapshot has been used"
    selected = site.selected
    if not (selected.gateways and selected.limits and selected.load_balancers):
        return f"The selected part of the snapshot is restored: {counted(figures.changes, 'change')}"
    done = {item.host for item in hosts if any(step.stage == "change" for step in item.record.steps)}
    if left_out := sorted({host for item in hosts for host in item.kept_hosts} - done):
        return f"The snapshot is restored in part: this run left out {listed(left_out)}"
    if not figures.changes:
        return "Everything is as in the snapshot: nothing had to be restored"
    return f"The snapshot is restored: {counted(figures.changes, 'change')}"


def _partial(site: Site, figures: Figures, drift: tuple[str, ...]) -> tuple[Status, str] | None:
    servers = site.read_servers
    if not servers or len(figures.limited) != len(servers):
        return None
    hides = drift and figures.hiding
    if hides or (site.playbook == "workaround" and (drift or not figures.services)):
        return "partial", "A partial cure: the limit is raised, and the clients' addresses stay hidden"
    return None


def _drift_title(figures: Figures, drift: tuple[str, ...]) -> str:
    if figures.hiding:
        some = "do not see" if len(figures.hiding) == len(figures.services) else "do not always see"
        return f"The VPN servers {some} their clients' own addresses"
    if figures.past:
        return f"Replies of {listed(figures.past)} bypass the load balancer"
    if len(drift) == 1:
        return "One setting is not as required"
    return f"{len(drift)} settings are not as required"


def left(item: Failure) -> str:
    """Report the state in which a failure left a host."""
    if item.final_state == "unchanged":
        return f"{'It could not be read, and nothing' if item.stage == 'read' else 'Nothing'} was changed on it."
    if item.final_state == "rolled_back":
        return "Everything on it is as it was before."
    if item.final_state == "changed":
        return "It was changed, and not rolled back: check it, then run the playbook again, or rollback."
    if item.stage == "verify":
        return "It was changed, and could not be read afterwards."
    return "Its state is not known: run the playbook audit."


def _part(part: int, whole: int, noun: str, verbs: tuple[str, str], end: str, *, would: bool) -> str:
    which = f"{part} of {counted(whole, noun)}"
    if part == whole:
        which = {1: f"The {noun}", 2: f"Both {noun}s"}.get(whole, f"All {whole} {noun}s")
    return f"{which} {f'would {verbs[1]}' if would else verbs[part > 1]} {end}"


def _lines(site: Site, figures: Figures) -> Iterable[str]:
    would, has = figures.predicted, ("has", "have")
    for host, failure in figures.heeded.items():
        yield f"{host}: {left(failure)}"
    if figures.not_read:
        yield f"{listed(figures.not_read)}: not read."
    if figures.strangers:
        do = "does" if len(figures.strangers) == 1 else "do"
        yield f"{listed(sorted(figures.strangers))} behind the load balancers {do} not belong to any VPN server that was read."
    hiding, services, behind = len(figures.hiding), len(figures.services), len(figures.behind)
    if not services:
        yield "No IKEv2 service of a load balancer was read."
    elif hiding:
        yield _part(hiding, services, "IKEv2 service", ("hides", "hide"), "the clients' addresses.", would=would)
    else:
        yield _part(services, services, "IKEv2 service", ("keeps", "keep"), "the clients' addresses.", would=would)
    back = sum(ok is True for ok in figures.behind.values())
    if not site.read_servers:
        yield "No VPN server was read, so it is not known whether replies come back through the load balancer."
    elif figures.past:
        end = "another default gateway than the load balancer."
        yield _part(len(figures.past), behind, "VPN server", has, end, would=would)
    elif behind and back == behind:
        yield _part(behind, behind, "VPN server", has, "the load balancer as default gateway.", would=would)
    yield from _seen(site, figures)
    if figures.limited:
        yield (
            f"The limit of associations from one address is raised on {len(figures.limited)} of"
            f" {counted(len(site.read_servers), 'VPN server')}: it lets more clients in, and shows no client's own address."
        )
    for path in figures.paths:
        if path.probe is not None:
            yield f"{path.vip} {'answers' if path.probe['answered'] else 'does not answer'} a first IKE message."


def _seen(site: Site, figures: Figures) -> Iterable[str]:
    if figures.associations:
        now = " now" if figures.predicted else ""
        total = counted(figures.associations, "IKE security association")
        yield f"{figures.hidden} of {total} come from the load balancer{now}."
    elif any("sas" in item.facts for item, _facts in site.read_servers.values()):
        yield "There is no IKE security association, so what the servers see is not proved."
    elif site.read_servers:
        yield "IKE security associations were not read, so what the servers see is not proved."
    for host, sources in site.sources.items():
        if sources.verdict in ("single", "unclear") or (sources.verdict == "none" and site.playbook == "verify"):
            yield f"{host}: {sources.message}."


def _again(site: Site) -> str:
    return site.playbook if site.playbook in PLAYBOOKS else "audit"


def _steps(site: Site, figures: Figures, status: Status) -> Iterable[NextStep]:
    """Return the next one to three steps."""

    def command(playbook: str, *more: str) -> str:
        return " ".join((f"{COMMAND}{playbook}", *more))

    again = _again(site)
    if status == "failed":
        ((host, failure), *_more) = figures.heeded.items()
        yield NextStep(
            f"Solve what failed. {of_host(host, failure.msg)}", command("audit", "--limit", shlex.quote(host))
        )
        yield NextStep("Then run it again: it continues where it stopped.", command(again))
        if any(item.made for item in site.hosts.values()) and not site.check_mode:
            yield NextStep("Or go back to the state before.", command("rollback"))
    elif figures.predicted and site.playbook in PLAYBOOKS:
        yield NextStep("Make these changes.", command(again))
    elif status == "drift" and site.playbook == "workaround" and figures.to_restart:
        yield NextStep("Run it again when no tunnel is up.", command(again))
        now = "-e rras_restart_with_sessions=true"
        yield NextStep("Or restart IKEEXT now, which ends all tunnels.", command(again, now))
    elif status == "drift":
        blockers = [
            finding
            for host, item in site.read_load_balancers.items()
            for finding in site.findings_of(host)
            if finding.severity == "blocker" and finding.code not in {*item.accept, "return_path_wrong"}
        ]
        blockers += [
            finding
            for _host, (item, facts) in site.read_servers.items()
            for finding in (facts.findings if facts.changes else ())
            if finding.severity == "blocker" and finding.code not in item.accept
        ]
        if blockers:
            yield NextStep(blockers[0].remedy, command("audit"))
        yield NextStep("See what would be changed.", command("remediate", "--check --diff"))
        yield NextStep("Make the changes.", command("remediate"))
    elif status == "partial":
        yield NextStep("Keep the clients' addresses, if that is possible.", command("remediate", "--check --diff"))
    elif status == "unknown":
        yield NextStep("Read what is missing: check --limit, the groups and the accounts.", command("audit"))
    elif status == "unverified" or (status == "clean" and site.playbook == "remediate"):
        yield NextStep("Look again once clients have reconnected.", command("verify"))
    elif status == "restored":
        yield NextStep("See what is set now.", command("audit"))
    else:
        yield NextStep("Check for drift from time to time.", command("audit", "-e fail_on_drift=true"))
