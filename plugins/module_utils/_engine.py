# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one way through, for every load balancer: read, inspect, plan, guard, apply, verify, keep, and always close."""

from __future__ import annotations

import typing as t
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ansible_collections.aovpn.ikev2.plugins.module_utils import _plan as plan
from ansible_collections.aovpn.ikev2.plugins.module_utils._adapter import Adapter
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import (
    Blocked,
    Change,
    ChangeFailed,
    DeviceError,
    Finding,
    Order,
    Reading,
    Service,
    Snapshot,
    UnexpectedAnswer,
    Unreachable,
    Value,
)


@dataclass
class Result:
    """What a run found and did, as far as it came.

    ``services`` is what stands; empty where a change has failed and nobody could read what stands. ``progress``: what the run
    waited for. ``undone`` is set on failures only: everything is as it was, because nothing was changed yet or because it was put back.
    """

    changed: bool = False
    before: tuple[Service, ...] = ()
    services: tuple[Service, ...] = ()
    changes: tuple[Change, ...] = ()
    findings: list[Finding] = field(default_factory=list)
    snapshot: Snapshot | None = None
    requests: int = 0
    progress: tuple[str, ...] = ()
    undone: bool | None = None

    def as_dict(self) -> dict[str, t.Any]:
        """Give the keys that users see."""
        result: dict[str, t.Any] = {
            "changed": self.changed,
            "before": [service.as_dict() for service in self.before],
            "services": [service.as_dict() for service in self.services],
            "findings": [finding.as_dict() for finding in self.findings],
            "requests": self.requests,
        }
        if self.snapshot is not None:
            result["snapshot"] = self.snapshot.as_dict()
        if self.progress:
            result["progress"] = [*self.progress]
        if self.undone is not None:
            result["undone"] = self.undone
        return result

    def diff(self) -> dict[str, dict[str, Value]]:
        """Give the settings before and after, by object; only those that change."""
        ordered = sorted(self.changes, key=lambda change: change.id)
        return {
            "before": {change.id: change.before for change in ordered},
            "after": {change.id: change.after for change in ordered},
        }


class RunFailed(Exception):
    """A run ended early; ``result`` holds what was known and done by then."""

    def __init__(self, error: DeviceError, result: Result) -> None:
        super().__init__(str(error))
        self.result = result


def run(adapter: Adapter, order: Order, *, check_mode: bool) -> Result:
    """Do what ``order`` says to the device behind ``adapter``.

    :raises RunFailed: with what was known by then; its text names the device and what to do next.
    """
    result = Result()
    try:
        try:
            adapter.open()
            _run(adapter, order, result, check_mode=check_mode)
        finally:
            _close(adapter, result)
            result.requests = adapter.requests
            result.progress = tuple(adapter.progress)
    except DeviceError as error:
        result.undone = not (isinstance(error, ChangeFailed) and not error.undone)
        result.changed = not result.undone
        raise RunFailed(error, result) from error
    return result


def _close(adapter: Adapter, result: Result) -> None:
    try:
        adapter.close()
    except DeviceError as error:
        # What was done stands, and the device ends the session by itself: worth saying, no reason to fail.
        result.findings.append(
            Finding(
                "session_left_open",
                "warning",
                adapter.label,
                str(error),
                "Nothing is to be done: the session ends when it has been idle.",
            )
        )


def _run(adapter: Adapter, order: Order, result: Result, *, check_mode: bool) -> None:
    reading = adapter.read()
    result.findings.extend(reading.findings)
    selected, findings = plan.select(reading.services, order, adapter.label)
    result.findings.extend(findings)
    result.findings.extend(adapter.inspect(selected))
    result.before = result.services = tuple(selected)
    result.snapshot = Snapshot.of(adapter.platform, adapter.host, selected, reading.device)

    if selected and order.state == "gathered":
        result.findings.extend(plan.device_settings(adapter, reading))
    changes, findings = plan.changes(adapter, order, reading, selected)
    result.findings.extend(findings)
    if changes or (selected and order.state == "gathered"):
        guarded = adapter.guard(selected, changing=bool(changes) and not check_mode)
        result.findings.extend(guarded.findings)
        result.before = result.services = guarded.services
        result.findings.extend(plan.server_findings(guarded.services))
        result.findings.extend(plan.return_path_findings(guarded.services, changes, order, adapter))
    if not changes:
        return

    blockers = [
        finding for finding in result.findings if finding.severity == "blocker" and finding.code not in order.accept
    ]
    if blockers:
        raise Blocked(
            f"{adapter.label}: nothing was changed, because of "
            + "; ".join(
                f"{finding.code} at {finding.object}: {finding.message} {finding.remedy}" for finding in blockers
            )
        )
    result.changes = tuple(changes)
    if check_mode:
        after = plan.reading_after(reading, changes, adapter)
    else:
        result.services = ()  # not known again before it has been read
        after = _change(adapter, changes, result)
    result.changed = True
    result.services = _as_selected(result.before, after)
    changed = {change.id for change in changes if change.scope == "service"}
    result.findings.extend(plan.disabled(service for service in result.before if service.id in changed))
    if not check_mode:
        try:
            result.findings.extend(adapter.finish([service for service in result.services if service.id in changed]))
        except DeviceError as error:
            raise ChangeFailed(f"{error} The change itself stands and is kept.", undone=False) from error


def _as_selected(selected: Sequence[Service], after: Reading) -> tuple[Service, ...]:
    """Give what a later reading says of the selected services; their servers are not read again."""
    now = {(service.id, service.address, service.port): service for service in after.services}
    return tuple(
        replace(now[key], servers=service.servers)
        for service in selected
        if (key := (service.id, service.address, service.port)) in now
    )


def _change(adapter: Adapter, changes: Sequence[Change], result: Result) -> Reading:
    """Apply, verify and keep; put everything back where one of these fails, and note in ``result`` what stands then.

    :raises ChangeFailed: saying whether everything is as before.
    """
    keeping = False
    try:
        try:
            adapter.apply(changes)
        except Unreachable as error:
            # The answer was lost, the change perhaps not: what stands on the device decides.
            after = adapter.read()
            if any(after.value(change) != change.after for change in changes):
                raise error from None
        else:
            after = adapter.read()
            if partly := _partly(after, changes):
                adapter.apply(partly)
                after = adapter.read()
        _verify(after, changes, adapter.label)
        keeping = True
        adapter.keep()
    except DeviceError as error:
        standing, left = _undo(adapter, changes)
        if standing is not None:
            result.services = _as_selected(result.before, standing)
        if left is None and keeping and isinstance(error, (UnexpectedAnswer, Unreachable)):
            left = _keep_again(adapter)
        if left is None:
            raise ChangeFailed(f"{error} Everything is as it was before.", undone=True) from error
        raise ChangeFailed(f"{error} Putting it back failed too: {left}", undone=False) from error
    return after


def _keep_again(adapter: Adapter) -> str | None:
    """Keep what was put back, because no answer said that the change was not kept; say what is left to do."""
    try:
        adapter.keep()
    except DeviceError as error:
        return f"{error} What runs has been put back, and what is saved perhaps not: save it by hand, lest a restart brings the change back."
    return None


def _partly(after: Reading, changes: Sequence[Change]) -> list[Change]:
    """List what the device took in part, so that it stands neither as before nor as wanted; once more may complete it."""
    return [
        replace(change, before=standing)
        for change in changes
        if (standing := after.value(change)) is not None and standing not in (change.before, change.after)
    ]


def _verify(after: Reading, changes: Sequence[Change], label: str) -> None:
    wrong = [change for change in changes if after.value(change) != change.after]
    if wrong:
        raise DeviceError(
            f"{label} took the change without an error, and yet "
            + ", ".join(f"{change.id} is {after.value(change)!r} and not {change.after!r}" for change in wrong)
            + "."
        )


def _undo(adapter: Adapter, changes: Sequence[Change]) -> tuple[Reading | None, str | None]:
    """Put back whatever stands changed; give what stands then, as far as it could be read, and what could not be put back."""
    problem = ""
    try:
        now = adapter.read()
        back = [
            change.reversed(standing)
            for change in reversed(changes)
            if (standing := now.value(change)) is not None and standing != change.before
        ]
        if back:
            try:
                adapter.apply(back)
            except DeviceError as error:
                problem = f"{error} "  # what stands decides here, too
            now = adapter.read()
    except DeviceError as error:
        named = ", ".join(change.id for change in changes)
        return None, f"{problem}{error} Not known to be as before: {named}. Run the task again, or look at the device."
    left = [
        f"{change.id} is {now.value(change)!r} and was {change.before!r}"
        for change in changes
        if now.value(change) != change.before
    ]
    return now, f"{problem}{', '.join(left)}. Set it back by hand." if left else None
