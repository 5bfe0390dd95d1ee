# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Load balancers and VPN servers as typed values, read from what Ansible has registered of each host. No input or output."""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from ansible_collections.aovpn.ikev2.plugins.module_utils._engine import Result
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import (
    FINAL_STATES,
    NOT_UNDERSTOOD,
    Change,
    FinalState,
    Finding,
    InvalidInput,
    Service,
)
from ansible_collections.aovpn.ikev2.plugins.module_utils._platforms import PLATFORMS, SAVE
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.facts import Facts, bare
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.records import (
    Failure,
    Record,
    Stage,
    Step,
    Variables,
    failure_of,
)
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.limit import DEFAULT_LIMIT

NOT_READABLE: tuple[type[Exception], ...] = (InvalidInput, *NOT_UNDERSTOOD)

DEFAULT_ROUTE = "0.0.0.0/0"

VARIABLES = frozenset(
    {
        "group_names",
        "ansible_host",
        "ikev2_run",
        "ikev2_site",
        "ikev2_kept",
        "ikev2_verified",
        "load_balancer_platform",
        "load_balancer_accept",
        "load_balancer_return_path",
        "load_balancer_result",
        "rras_accept",
        "rras_facts",
        "rras_read",
        "rras_gateway",
        "rras_ike_limit",
        "rras_ike_limit_enabled",
        "rras_gateway_result",
        "rras_restore_result",
        "rras_limit_result",
    }
)
"""The hosts' variables that are read here."""

SERVER_RESULTS = {"rras_gateway_result": "gateway", "rras_restore_result": "gateway", "rras_limit_result": "limit"}
"""What the role rras registers when it changes something, and which half of the server that describes."""


@dataclass(frozen=True)
class Host:
    """What all hosts have in common.

    ``problem``: why its data cannot be understood. ``kept_hosts``: all hosts of the snapshot that was read. ``first``, ``now``: what was
    read first and last.
    """

    host: str
    groups: frozenset[str] = frozenset()
    record: Record = field(default_factory=Record)
    accept: frozenset[str] = frozenset()
    problem: str = ""
    kept_hosts: tuple[str, ...] = ()
    first: Result | Facts | None = None
    now: Result | Facts | None = None

    @property
    def failure(self) -> Failure | None:
        """Return what went wrong."""
        found = failure_of(self.record.steps)
        return found or (Failure("read", self.problem, "unchanged") if self.problem else None)

    @property
    def read(self) -> bool:
        """Report whether anything is known of it."""
        return self.now is not None

    def has(self, code: str) -> bool:
        """Report whether the first reading has a finding."""
        return self.first is not None and any(finding.code == code for finding in self.first.findings)

    @property
    def due(self) -> tuple[Change, ...]:
        """Return the changes that are due."""
        return tuple(self.now.changes) if self.now else ()

    @property
    def in_run(self) -> bool:
        """Report whether this run has asked anything of the host, or knows anything of it."""
        return bool(self.record.steps or self.problem)

    @property
    def changing(self) -> tuple[Step, ...]:
        """Return the steps that changed something, or would in check mode, or may have."""
        return tuple(
            step for step in self.record.steps if step.stage == "change" and (step.result.get("changed") or step.failed)
        )

    @property
    def made(self) -> tuple[Change, ...]:
        """Return the changes that are in effect, or may be; in check mode those that a real run would make."""
        if self.failure and self.failure.final_state in ("unchanged", "rolled_back"):
            return ()
        return tuple(change for step in self.changing for change in step.changes)

    @property
    def final_state(self) -> FinalState:
        """Return the state of the host at the end: the worst that a step reported."""
        if self.failure:
            return self.failure.final_state
        states: list[FinalState] = [step.final_state or "unchanged" for step in self.changing]
        return max(states, key=FINAL_STATES.index, default="unchanged")


@dataclass(frozen=True)
class LoadBalancer(Host):
    """A load balancer. ``first`` and ``now``: the first and the last result that has its services.

    ``unsaved``: the files of snapshots whose runs may have left a change unsaved.
    """

    platform: str = ""
    unsaved: tuple[str, ...] = ()
    return_path: Mapping[str, str] = field(default_factory=dict)
    first: Result | None = None
    now: Result | None = None
    kept: Mapping[str, t.Any] | None = None

    @property
    def services(self) -> tuple[Service, ...]:
        """Return its services as they are now, in check mode as predicted."""
        if self.now is None:
            return ()
        # A module that had nothing to change has not asked for the servers; the first reading has.
        servers = {service.key: service.servers for service in (self.first or self.now).services}
        services = self.now.services or (self.first.services if self.first and self.now.failed else ())
        return tuple(
            service if service.servers else replace(service, servers=servers.get(service.key, ()))
            for service in services
        )

    @property
    def before(self) -> tuple[Service, ...]:
        """Return its services at the first reading."""
        result = self.first or self.now
        return () if result is None else result.services if self.first else result.before

    @property
    def kept_services(self) -> tuple[Service, ...]:
        """Return its services in the snapshot."""
        return tuple(map(Service.parse, (self.kept or {}).get("services", ())))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return what is worth knowing: the last findings, and those of the change that a later reading does not repeat."""
        if self.now is None:
            return ()
        found = list(self.now.findings)
        for step in (step for step in self.record.steps if step.stage == "change"):
            for finding in step.findings:
                if finding.severity != "blocker" and finding not in found:
                    found.append(finding)
        return tuple(found)

    @property
    def due(self) -> tuple[Change, ...]:
        """Return the changes that are due."""
        return () if self.now is None or self.now.changed or self.now.failed else self.now.changes

    @property
    def probes(self) -> tuple[dict[str, t.Any], ...]:
        """Return the last answers to the probe of its virtual addresses."""
        return next((step.answers for step in reversed(self.record.steps) if step.name == "probe"), ())

    @property
    def vips(self) -> frozenset[str]:
        """Return its virtual addresses."""
        return frozenset(service.address for service in self.services) - {""}

    @property
    def offered(self) -> dict[str, set[str]]:
        """Return the addresses that it offers its servers as default gateway, by server."""
        offered: dict[str, set[str]] = {}
        for service in self.services:
            for server in service.servers:
                offered.setdefault(bare(server.address), set()).update(map(bare, server.gateways))
        return offered

    @property
    def own_addresses(self) -> frozenset[str]:
        """Return the addresses from which it may send to the servers: those of the results and of the snapshot."""
        found = {*self.vips, *(gateway for gateways in self.offered.values() for gateway in gateways)}
        for step in self.record.steps:
            found.update(step.own_addresses)
        found.update((self.kept or {}).get("own_addresses", ()))
        return frozenset(map(bare, found))


@dataclass(frozen=True)
class VpnServer(Host):
    """A VPN server.

    ``wanted_gateway`` and ``wanted_limit``: what the inventory asks for. ``address``: how Ansible reaches it. ``kept``: its part of the
    snapshot, ``kept_with``: the load balancers of the snapshot.
    """

    wanted_gateway: str | None = None
    wanted_limit: int | None = None
    address: str = ""
    first: Facts | None = None
    now: Facts | None = None
    facts: Mapping[str, t.Any] = field(default_factory=dict)
    kept: Mapping[str, t.Any] | None = None
    kept_with: tuple[str, ...] = ()

    def due_in(self, scope: str) -> bool:
        """Report whether a change of this scope was due at the first reading."""
        return self.first is not None and any(change.scope == scope for change in self.first.changes)


def parse_hosts(
    variables: Mapping[str, Variables], limit_wanted: bool
) -> tuple[dict[str, LoadBalancer], dict[str, VpnServer]]:
    """Read all hosts. A host's group decides what it is, or else its variables do; other hosts are left out.

    ``limit_wanted``: the playbook raises the limit whatever the inventory says. A host whose data cannot be understood has a
    ``problem``, and counts as not read.
    """
    load_balancers, servers = {}, {}
    for host, of_host in variables.items():
        groups = of_host.get("group_names", ())
        if "ikev2_load_balancers" in groups or "load_balancer_platform" in of_host:
            load_balancers[host] = _understood(LoadBalancer, host, of_host, _load_balancer)
        elif "rras" in groups or {"rras_facts", "rras_gateway", "rras_read"} & of_host.keys():
            servers[host] = _understood(VpnServer, host, of_host, partial(_server, limit_wanted))
    return load_balancers, servers


Parsed = t.TypeVar("Parsed", bound=Host)


def _understood(
    kind: type[Parsed], host: str, variables: Variables, read: Callable[[str, Variables], Parsed]
) -> Parsed:
    try:
        return read(host, variables)
    except NOT_READABLE as error:
        problem = f"{host}: what its tasks registered cannot be understood ({type(error).__name__}: {error})."
        return kind(host, problem=problem)


def _record(variables: Variables, host: str, names: Mapping[str, str]) -> Record:
    """Return the host's record. Where this run of a playbook gave no order, its registered results are all there is.

    An earlier playbook of the same command may have left orders and results: of those of a run, only what it reads itself counts.
    """
    site, run = variables.get("ikev2_site"), run_of(variables)
    verified = variables.get("ikev2_verified")
    if isinstance(verified, Mapping) and verified.get("run", "") != run:
        variables = {name: value for name, value in variables.items() if name != "ikev2_verified"}
    if isinstance(site, Mapping) and "orders" in site and site.get("run", "") == run and host in site["orders"]:
        return Record.parse(site["orders"][host]["record"]).collected(variables)
    record = Record()
    for name, kind in names.items():
        result = variables.get(name)
        if isinstance(result, Mapping) and (not run or kind == "read"):
            changing = result.get("changed") or (result.get("failed") and result.get("before"))
            stage: Stage = "change" if kind == "change" or (kind == "any" and changing) else "read"
            record = Record(stage, (name,), record.steps).collected(variables)
    return record


def run_of(variables: Variables) -> str:
    """Return what identifies the run of a playbook; empty where there is none."""
    run = variables.get("ikev2_run")
    return str(run["started"]) if isinstance(run, Mapping) and "started" in run else ""


def _common(host: str, variables: Variables, prefix: str, record: Record) -> dict[str, t.Any]:
    return {
        "host": host,
        "groups": frozenset(variables.get("group_names", ())),
        "record": record,
        "kept_hosts": (*_kept(variables, "load_balancers"), *_kept(variables, "servers")),
        "accept": frozenset(codes(variables.get(f"{prefix}_accept"))),
    }


def codes(value: t.Any) -> list[str]:
    """Return the codes in a list, or in a text with commas, which an option that is a list takes as well."""
    items = value.split(",") if isinstance(value, str) else value or ()
    return sorted({str(code).strip() for code in items} - {""})


def _load_balancer(host: str, variables: Variables) -> LoadBalancer:
    record = _record(variables, host, {"load_balancer_result": "any"})
    results = [
        (step, Result.parse(step.result))
        for step in record.steps
        if step.name == "load_balancer_result" and "final_state" in step.result
    ]
    read = [result for step, result in results if step.stage in ("read", "verify") and not step.failed]
    known = [result for _step, result in results if result.services or not result.failed]
    platform = variables.get("load_balancer_platform") or next(
        (result.snapshot.platform for _step, result in results if result.snapshot), ""
    )
    return LoadBalancer(
        **_common(host, variables, "load_balancer", record),
        platform=str(platform),
        unsaved=_unsaved(host, variables)
        if platform in PLATFORMS and SAVE.keys() <= PLATFORMS[platform].options.keys()
        else (),
        return_path={
            bare(str(key)): str(value) for key, value in (variables.get("load_balancer_return_path") or {}).items()
        },
        first=read[0] if read else None,
        now=known[-1] if known else None,
        kept=_kept(variables, "load_balancers").get(host),
    )


def _unsaved(host: str, variables: Variables) -> tuple[str, ...]:
    run = variables.get("ikev2_run")
    unsaved = run.get("unsaved") if isinstance(run, Mapping) else None
    return tuple(map(str, (unsaved or {}).get(host, ())))


def _kept(variables: Variables, kind: str) -> Mapping[str, t.Any]:
    """Return the parts of the snapshot that the playbook has read, by host."""
    kept = variables.get("ikev2_kept")
    snapshot = kept.get("snapshot") if isinstance(kept, Mapping) else None
    found: Mapping[str, t.Any] = snapshot[kind] if snapshot else {}
    return found


def _server(limit_wanted: bool, host: str, variables: Variables) -> VpnServer:
    names = {"rras_read": "read", **dict.fromkeys(SERVER_RESULTS, "change")}
    record = _record(variables, host, names)
    parts: dict[str, Mapping[str, t.Any]] = {}
    first: dict[str, t.Any] = {}
    if not run_of(variables) and not any(step.name == "rras_read" and not step.failed for step in record.steps):
        # Only the role's facts are known, and not how they came about.
        first = dict(variables.get("rras_facts") or {})
    facts = first
    for step in record.steps:
        if step.name == "rras_read" and not step.failed:
            parts = {half: step.result[half] for half in ("gateway", "limit")}
        elif step.name in SERVER_RESULTS and "after" in step.result:
            half = SERVER_RESULTS[step.name]
            # What was changed is no longer due.
            parts[half] = {**step.result, "changes": [] if step.result.get("changed") else step.result["changes"]}
        if parts:
            facts = {**facts, **merged(parts)}
            first = first or facts
    gateway, limit = variables.get("rras_gateway"), variables.get("rras_ike_limit")
    wanted = limit_wanted or str(variables.get("rras_ike_limit_enabled")).lower() in ("true", "yes", "1", "on")
    return VpnServer(
        **_common(host, variables, "rras", record),
        wanted_gateway=bare(str(gateway)) if gateway else None,
        wanted_limit=int(limit or DEFAULT_LIMIT) if wanted else None,
        address=bare(str(variables.get("ansible_host") or host)),
        first=Facts.parse(first) if first else None,
        now=Facts.parse(facts) if facts else None,
        facts=facts,
        kept=_kept(variables, "servers").get(host),
        kept_with=tuple(_kept(variables, "load_balancers")),
    )


def merged(parts: Mapping[str, Mapping[str, t.Any]]) -> dict[str, t.Any]:
    """Return ``rras_facts`` of both halves."""
    facts: dict[str, t.Any] = {"findings": [], "changes": []}
    for part in parts.values():
        facts.update(part["after"])
        facts["findings"] += part["findings"]
        facts["changes"] += part["changes"]
    return facts
