# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each host is to do next, and what it is not to do, and why. No input or output."""

from __future__ import annotations

import typing as t
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.hosts import LoadBalancer, VpnServer
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.records import Record, Stage
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.site import AnyHost, Site
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._text import listed

LOAD_BALANCER_RESULT = ("load_balancer_result",)
SERVER_RESULTS = {
    "main": ("rras_gateway_result", "rras_limit_result"),
    "gateway": ("rras_gateway_result",),
    "ike_limit": ("rras_limit_result",),
    "restore": ("rras_restore_result", "rras_limit_result"),
    "restore_gateway": ("rras_restore_result",),
    "restore_ike_limit": ("rras_limit_result",),
}
"""What each entry point of the role rras registers."""


@dataclass(frozen=True)
class Order:
    """What one host is to do. ``go``: whether to do it at all, or ``why_not``. ``entry``: of the role rras.

    ``save_pending``: an earlier run may have left a change unsaved.
    """

    record: Record
    go: bool = False
    why_not: str = ""
    entry: str = ""
    return_path: Mapping[str, str] = field(default_factory=dict)
    snapshot: Mapping[str, t.Any] = field(default_factory=dict)
    save_pending: bool = False

    def as_dict(self) -> dict[str, t.Any]:
        """Return plain values."""
        return {**vars(self), "record": self.record.as_dict()}


def to_read(site: Site, hosts: Iterable[str]) -> dict[str, Order]:
    """Order hosts to be read: for the first time, or again."""
    return {host: _reading(site, site.hosts[host]) for host in hosts if host in site.hosts}


def _reading(site: Site, item: AnyHost) -> Order:
    again = any(step.stage == "change" for every in site.hosts.values() for step in every.record.steps)
    if item.failure:
        return Order(item.record, why_not="it has failed")
    stage: Stage = "verify" if again else "read"
    if isinstance(item, LoadBalancer):
        path = site.return_path(item.host, planned=not again)
        pending = bool(item.unsaved) and not again
        return Order(
            Record(stage, LOAD_BALANCER_RESULT, item.record.steps), go=True, return_path=path, save_pending=pending
        )
    return Order(Record(stage, ("rras_read",), item.record.steps), go=True)


def judged(site: Site) -> dict[str, Order]:
    """Order nothing yet: record what would make a change fail, or cut off clients, before anything is changed."""
    return {host: Order(_refusal(site, item)) for host, item in site.hosts.items() if item.in_run}


def _refusal(site: Site, item: AnyHost) -> Record:
    if site.playbook != "remediate" or item.failure:
        return item.record
    if isinstance(item, LoadBalancer):
        # The limit is a server's own matter.
        reasons = site.obstacles(item.host) if site.selected.load_balancers or site.selected.gateways else []
    else:
        reasons = _server_obstacles(site, item)
    if not reasons:
        return item.record
    return item.record.refused(
        f"{item.host}: nothing was changed, here or on what depends on it, because of {'; '.join(reasons)}"
    )


def _server_obstacles(site: Site, item: VpnServer) -> list[str]:
    found = []
    # Where the load balancer could not be read, the server waits for it.
    waits = site.not_read_with(item.host, site.load_balancers)
    if _gateway_due(site, item) and not waits and (finding := site.unverified_gateway(item)):
        found.append(finding.told)
    halves = {"gateway": site.selected.gateways, "limit": site.selected.limits}
    if item.first and any(halves.values()) and not site.keeps_gateway(item):
        gateway = _gateway_due(site, item)
        found += [
            finding.told
            for finding in item.first.findings
            if finding.severity == "blocker"
            and (gateway or finding.code == "change_refused")
            and finding.code not in item.accept
        ]
    return found


def _gateway_due(site: Site, item: VpnServer) -> bool:
    due = item.due_in("route") or (item.wanted_gateway is not None and item.has("rollback_pending"))
    return site.selected.gateways and due and not site.keeps_gateway(item)


def _limit_due(site: Site, item: VpnServer) -> bool:
    pending = item.wanted_limit is not None and item.first is not None and item.first.restart_owed
    return site.selected.limits and (item.due_in("limit") or pending)


def to_change(site: Site, hosts: Iterable[str]) -> dict[str, Order]:
    """Order hosts to be changed. The first failure among the hosts that depend on one another ends their changes."""
    return {host: _changing(site, site.hosts[host]) for host in hosts if host in site.hosts}


def _changing(site: Site, item: AnyHost) -> Order:
    if item.failure:
        return Order(item.record, why_not="it has failed")
    if waits := waits_for(site, item.host):
        return Order(item.record, why_not=f"{waits} has failed")
    if site.playbook == "rollback":
        return _restoring(site, item)
    if isinstance(item, LoadBalancer):
        due = item.first and (item.first.changes or (item.unsaved and site.playbook == "remediate"))
        if not due or not site.selected.load_balancers:
            return Order(item.record, why_not="no change is due")
        if reason := site.left_alone(item.host):
            return Order(item.record, why_not=reason)
        record = Record("change", LOAD_BALANCER_RESULT, item.record.steps)
        return Order(record, go=True, return_path=site.return_path(item.host), save_pending=bool(item.unsaved))
    gateway = _gateway_due(site, item) and site.playbook == "remediate"
    limit = _limit_due(site, item)
    entry = {(True, True): "main", (True, False): "gateway", (False, True): "ike_limit"}.get((gateway, limit), "")
    if not entry:
        return Order(item.record, why_not="no change is due")
    return Order(Record("change", SERVER_RESULTS[entry], item.record.steps), go=True, entry=entry)


def _restoring(site: Site, item: AnyHost) -> Order:
    if isinstance(item, LoadBalancer):
        if item.kept is None or not site.selected.load_balancers:
            return Order(item.record, why_not="the snapshot does not contain it")
        if halves := item.kept.get("halves"):
            message = f"{item.host}: it was not changed, because {half_pair(halves)}"
            return Order(item.record.refused(message), why_not=message)
        record = Record("change", LOAD_BALANCER_RESULT, item.record.steps)
        return Order(
            record,
            go=True,
            return_path=site.return_path(item.host),
            snapshot=item.kept["snapshot"],
            save_pending=bool(item.unsaved),
        )
    if item.kept is None or not (site.selected.gateways or site.selected.limits):
        return Order(item.record, why_not="the snapshot does not contain it")
    gateway = item.kept["gateway"]
    moved = item.now is None or item.now.gateway != gateway
    if site.selected.gateways and moved:
        reasons = site.cut_off(item, gateway, item.kept_with)
        if not reasons and (finding := site.unverified_gateway(item)):
            reasons = [finding.told]
        if reasons:
            message = f"{item.host}: the server was not changed, because {'; '.join(reasons)}. Restore the load balancers first."
            return Order(item.record.refused(message), why_not=message)
    # The play's own tag, always, is that of the role's tasks as well: which half is restored is decided here alone.
    entry = "restore"
    if not (site.selected.gateways and site.selected.limits):
        entry = "restore_gateway" if site.selected.gateways else "restore_ike_limit"
    return Order(Record("change", SERVER_RESULTS[entry], item.record.steps), go=True, entry=entry, snapshot=item.kept)


def half_pair(addresses: Sequence[str]) -> str:
    """Report what is wrong with a snapshot of half pairs, and what to do."""
    return (
        f"the snapshot was taken while only one of two services kept the clients' addresses ({listed(addresses)}), probably after a"
        " run that was killed. Go back to the state before that run with -e snapshot=all, or name this snapshot to restore it as it is."
    )


def restored(site: Site, hosts: Collection[str]) -> bool:
    """Report whether this run has restored all these hosts, and everything on them."""
    whole = site.selected.gateways and site.selected.limits and site.selected.load_balancers
    items = [site.hosts.get(host) for host in hosts]
    return bool(whole and not site.check_mode and items) and all(
        item and not item.failure and any(step.stage == "change" for step in item.record.steps) for item in items
    )


def waits_for(site: Site, host: str) -> str:
    """Return the first host that failed and that this one depends on; empty if none did.

    The workaround is for the servers alone: there, the load balancers' failures do not count.
    """
    heeded = site.servers if site.playbook == "workaround" else site.hosts
    if host not in heeded:
        return ""
    return next(
        (
            name
            for name, item in heeded.items()
            if item.failure and name != host and name in site.together.get(host, ())
        ),
        "",
    )


def due_hosts(site: Site) -> dict[str, list[str]]:
    """Return the hosts that a run changes, as far as is known before it begins."""
    orders = to_change(site, site.hosts)
    return {
        "servers": [host for host in site.servers if _worth_a_try(orders[host], site.servers[host])],
        "load_balancers": [
            host for host in site.load_balancers if _worth_a_try(orders[host], site.load_balancers[host])
        ],
    }


def to_read_again(site: Site, due: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Return the hosts to read again at the end: all that were read, if anything is changed at all."""
    again = any(due.values()) and not site.check_mode
    return {
        "servers": [host for host, item in site.servers.items() if again and item.read],
        "load_balancers": [host for host, item in site.load_balancers.items() if again and item.read],
    }


def _worth_a_try(order: Order, item: AnyHost) -> bool:
    # A refusal before the first change may not hold any more once the load balancers are restored.
    return order.go or (item.failure is None and any(step.stage == "check" for step in order.record.steps))


def silent_addresses(item: LoadBalancer, answers: Iterable[Mapping[str, t.Any]]) -> list[str]:
    """Return the virtual addresses that answered a probe before a load balancer was changed, and no longer do."""
    answered = {
        answer["address"]
        for step in item.record.steps
        if step.name == "probe"
        for answer in step.answers
        if answer["answered"]
    }
    changed = any(step.result.get("changed") for step in item.changing)
    return sorted(answered - {answer["address"] for answer in answers if answer["answered"]}) if changed else []


def to_undo(site: Site, host: str) -> Order:
    """Order a load balancer to be restored after its change failed the verification."""
    item = site.load_balancers[host]
    (change,) = item.changing[-1:]
    record = Record("restore", LOAD_BALANCER_RESULT, item.record.steps)
    return Order(record, go=True, return_path=site.return_path(host), snapshot=change.result["snapshot"])
