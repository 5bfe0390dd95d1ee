# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan for the limit of IKE security associations from one address, which IKEEXT reads when it starts. No input or output."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ansible_collections.aovpn.ikev2.plugins.module_utils._model import NOT_UNDERSTOOD, Change, Finding
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.errors import PlanError
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.facts import LARGEST_DWORD, ServerFacts

SERVICE = "IKEEXT"
DEFAULT_LIMIT = 50000
"""What the role sets where no other limit is given."""

SETTING = "IkeNumEstablishedForInitialQuery"
VALUE = {"path": r"HKLM:\SYSTEM\CurrentControlSet\Services\IKEEXT\Parameters", "name": SETTING}
MARK = {"path": r"HKLM:\SOFTWARE\aovpn.ikev2", "name": "IkeextRestartOwedSince"}
"""Marks a pending restart until it has taken place, with the time at which the limit was changed."""


@dataclass(frozen=True)
class Wanted:
    """What a task asks for, checked. ``limit`` is None if the value should be absent."""

    limit: int | None
    restart_with_sessions: bool = False

    @classmethod
    def of_options(cls, options: Mapping[str, t.Any]) -> Wanted | None:
        """Read a task's options; None if no limit is wanted.

        :raises PlanError: with the option and its valid values.
        """
        return (
            None
            if options["limit"] is None
            else cls.parse(options["limit"], options.get("restart_with_sessions", False))
        )

    @classmethod
    def parse(cls, limit: t.Any, restart_with_sessions: bool) -> Wanted:
        """Check the options of state ``present``.

        :raises PlanError: with the option and its valid values.
        """
        if not 1 <= limit <= LARGEST_DWORD:
            raise PlanError(f"Option 'limit' is {limit}. It has to be a number from 1 to {LARGEST_DWORD}.")
        return cls(limit, restart_with_sessions)

    @classmethod
    def of_snapshot(cls, snapshot: Mapping[str, t.Any], restart_with_sessions: bool) -> Wanted:
        """Read what should be restored.

        :raises PlanError: if it is not a snapshot.
        """
        try:
            limit = None if snapshot["ike_limit"] is None else int(snapshot["ike_limit"])
            if not 0 <= (limit or 0) <= LARGEST_DWORD:
                raise ValueError(f"the limit {limit}")
        except NOT_UNDERSTOOD as error:
            raise PlanError(
                f"Option 'snapshot' is not what this module returns as 'before' or 'after' ({type(error).__name__}: {error})."
            ) from error
        return cls(limit, restart_with_sessions)


@dataclass(frozen=True)
class Step:
    """A module of ansible.windows that makes one part of the change. ``what`` says in messages what it does."""

    what: str
    module: str
    arguments: Mapping[str, t.Any]

    @property
    def sets_limit(self) -> bool:
        """Report whether this step changes the limit."""
        return self.arguments["name"] == SETTING


@dataclass(frozen=True)
class Plan:
    """Steps in a safe order, and the facts after them. ``restarts``: whether IKEEXT is restarted."""

    after: ServerFacts
    steps: tuple[Step, ...] = ()
    changes: tuple[Change, ...] = ()
    restarts: bool = False

    @property
    def changed(self) -> bool:
        """Report whether this changes anything but the mark of a restart that has taken place."""
        return bool(self.changes) or self.restarts


def plan_limit(facts: ServerFacts, wanted: Wanted) -> Plan:
    """Plan how to set the limit, and have IKEEXT read it.

    :raises PlanError: if the server should not be changed.
    """
    changes = changes_between(facts, replace(facts, ike_limit=wanted.limit))
    runs = facts.services.get(SERVICE, {}).get("state") == "running"
    pending = facts.restart_owed or (bool(changes) and runs)
    if (changes or pending) and (reasons := obstacles(facts)):
        raise PlanError(f"the limit was not changed. {' '.join(reasons)}")
    restarts = pending and (wanted.restart_with_sessions or facts.sessions == 0)
    steps = []
    if changes and pending:
        # Before the value: if the run is interrupted, the next one knows that IKEEXT has not read it. A stopped IKEEXT reads it when it starts.
        steps.append(Step("marking the restart of IKEEXT as pending", "win_regedit", {**MARK, "data": facts.now}))
    if changes:
        value = {"state": "absent"} if wanted.limit is None else {"data": wanted.limit, "type": "dword"}
        steps.append(Step(f"setting {SETTING}", "win_regedit", {**VALUE, **value}))
    if restarts:
        steps.append(Step(f"restarting {SERVICE}", "win_service", {"name": SERVICE, "state": "restarted"}))
    if restarts or (facts.restart_marked and not pending):
        steps.append(Step("removing the mark of the pending restart", "win_regedit", {**MARK, "state": "absent"}))
    left = pending and not restarts
    after = replace(facts, ike_limit=wanted.limit, restart_owed=left, restart_marked=left)
    return Plan(after, tuple(steps), changes, restarts)


def obstacles(facts: ServerFacts) -> list[str]:
    """Return as sentences why the limit would have no effect on this server, or IKEEXT could not be restarted."""
    reasons = []
    for name in ("RemoteAccess", SERVICE):
        start = facts.services.get(name, {}).get("start")
        if start is None or (name == "RemoteAccess" and start == "disabled"):
            why = "disabled" if start else "missing"
            reasons.append(f"This is not an RRAS server: the service {name} is {why}. Remove it from the group.")
    if not facts.administrator:
        reasons.append("The user of the connection is not an administrator of this server.")
    if dependents := facts.services.get(SERVICE, {}).get("dependents"):
        reasons.append(
            f"These running services depend on {SERVICE} and would be stopped with it: {', '.join(dependents)}. Stop them first."
        )
    return reasons


def survey_limit(
    facts: ServerFacts, wanted: Wanted | None, server: str
) -> tuple[tuple[Change, ...], tuple[Finding, ...]]:
    """Report what plan_limit would change, and as a finding why it refuses."""
    if wanted is None:
        return (), ()
    changes = changes_between(facts, replace(facts, ike_limit=wanted.limit))
    try:
        plan_limit(facts, wanted)
    except PlanError as error:
        remedy = "Correct this first. Until then, the limit is not changed."
        return changes, (Finding("change_refused", "blocker", server, str(error), remedy),)
    return changes, ()


def changes_between(before: ServerFacts, after: ServerFacts) -> tuple[Change, ...]:
    """Return the difference between two readings of a server. A restart is not a change."""
    if before.ike_limit == after.ike_limit:
        return ()
    return (Change(SERVICE, SETTING, before.ike_limit, after.ike_limit, "limit"),)


def shown(limit: int | None) -> str:
    """Return a limit as messages show it."""
    return "absent" if limit is None else str(limit)
