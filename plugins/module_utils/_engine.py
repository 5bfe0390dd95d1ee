# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one way through, for every load balancer: read, inspect, plan, guard, apply, verify, keep, finish, and always close."""

from __future__ import annotations

import traceback
import typing as t
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ansible_collections.aovpn.ikev2.plugins.module_utils import _plan as plan
from ansible_collections.aovpn.ikev2.plugins.module_utils import _select as select
from ansible_collections.aovpn.ikev2.plugins.module_utils._adapter import Adapter
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import (
    FINAL_STATES,
    Blocked,
    Change,
    DeviceError,
    FinalState,
    Finding,
    InvalidInput,
    Order,
    Reading,
    Service,
    Snapshot,
    UnexpectedAnswer,
    Unreachable,
    Value,
    visible,
)
from ansible_collections.aovpn.ikev2.plugins.module_utils._network import plain_addresses


@dataclass
class Result:
    """What a run found and did, as far as it got.

    ``services`` are as on the device; empty where a change failed and the device could not be read again. ``changes`` are those made,
    or due in check mode and with ``gathered``; after a failure, those that are still in effect or may be. ``own_addresses``: from which
    the device may send to the servers, as far as was read. ``progress``: what the run waited for.
    """

    changed: bool = False
    before: tuple[Service, ...] = ()
    services: tuple[Service, ...] = ()
    changes: tuple[Change, ...] = ()
    final_state: FinalState = "unchanged"
    findings: list[Finding] = field(default_factory=list)
    own_addresses: tuple[str, ...] = ()
    snapshot: Snapshot | None = None
    after: Snapshot | None = None
    version: str = ""
    requests: int = 0
    progress: tuple[str, ...] = ()
    failed: bool = False

    @property
    def undone(self) -> bool | None:
        """Report after a failure whether everything is as it was before; None where nothing failed."""
        return self.final_state in ("unchanged", "rolled_back") if self.failed else None

    def as_dict(self) -> dict[str, t.Any]:
        """Return the keys that users see."""
        result: dict[str, t.Any] = {
            "changed": self.changed,
            "before": [service.as_dict() for service in self.before],
            "services": [service.as_dict() for service in self.services],
            "changes": [change.as_dict() for change in self.changes],
            "final_state": self.final_state,
            "findings": [finding.as_dict() for finding in self.findings],
            "own_addresses": [*self.own_addresses],
            "requests": self.requests,
        }
        if self.snapshot is not None:
            result["snapshot"] = self.snapshot.as_dict()
        if self.version:
            result["version"] = self.version
        if self.progress:
            result["progress"] = [*self.progress]
        if self.undone is not None:
            result["undone"] = self.undone
        return result

    @classmethod
    def parse(cls, raw: Mapping[str, t.Any]) -> Result:
        """Read what ``as_dict`` returned."""
        final_state = raw["final_state"]
        if final_state not in FINAL_STATES:
            raise ValueError(f"the final state {final_state!r}")
        return cls(
            changed=bool(raw["changed"]),
            before=tuple(map(Service.parse, raw["before"])),
            services=tuple(map(Service.parse, raw["services"])),
            changes=tuple(map(Change.parse, raw["changes"])),
            final_state=final_state,
            findings=[*map(Finding.parse, raw["findings"])],
            own_addresses=tuple(map(str, raw.get("own_addresses", ()))),
            snapshot=Snapshot.parse(raw["snapshot"]) if "snapshot" in raw else None,
            version=str(raw.get("version", "")),
            requests=int(raw["requests"]),
            progress=tuple(map(str, raw.get("progress", ()))),
            failed="undone" in raw,
        )

    def diff(self) -> dict[str, dict[str, Value]]:
        """Return the values before and after, by object; only those that differ."""
        before = _values(self.snapshot)
        after = {name: value for name, value in _values(self.after).items() if before.get(name) != value}
        return {"before": {name: before[name] for name in after}, "after": after}


def _values(snapshot: Snapshot | None) -> dict[str, Value]:
    return dict(sorted({**snapshot.services, **snapshot.device}.items())) if snapshot else {}


class RunFailed(Exception):
    """A run failed; ``result`` holds what was known and done by then."""

    def __init__(self, error: DeviceError, result: Result) -> None:
        super().__init__(str(error))
        self.result = result


def run(adapter: Adapter, order: Order, *, check_mode: bool) -> Result:
    """Carry out ``order`` on the device behind ``adapter``.

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
            result.progress = tuple(map(visible, adapter.progress))
    except BaseException as error:
        # A time-out and Ctrl-C, too: who ends the run otherwise would not know what is true of the device.
        result.failed = True
        result.changed = not result.undone
        raise RunFailed(_reported(error, adapter.label), result) from error
    return result


def _reported(error: BaseException, label: str) -> DeviceError:
    """Return the error as users see it. A fault's own words stay out, since they may hold anything."""
    if isinstance(error, DeviceError):
        return error
    kind = type(error).__name__
    if not isinstance(error, Exception):
        return DeviceError(f"{label}: the task was interrupted ({kind}), so run it again.")
    place = traceback.extract_tb(error.__traceback__)[-1]
    file = place.filename.rpartition("/")[2]
    return DeviceError(
        f"{label}: internal error ({kind} in {file}, line {place.lineno}). Please report this with the device's version."
    )


def _close(adapter: Adapter, result: Result) -> None:
    adapter.shield()
    try:
        adapter.close()
    except DeviceError as error:
        # What was done is in effect, and the device ends the session by itself: worth a finding, no reason to fail.
        result.findings.append(
            Finding(
                "session_left_open",
                "warning",
                adapter.label,
                str(error),
                "No action needed: the session ends when it has been idle.",
            )
        )


def _run(adapter: Adapter, order: Order, result: Result, *, check_mode: bool) -> None:
    gathering = order.state == "gathered"
    reading = adapter.read()
    result.own_addresses = plain_addresses(reading.own_addresses)
    result.findings.extend(reading.findings)
    result.findings.extend(select.left_out(reading, order, adapter.label))
    try:
        selected, findings = select.select(reading.services, order, adapter.label)
    except select.NothingAt as error:
        raise InvalidInput(" ".join((str(error), *adapter.explain(error.addresses)))) from None
    result.findings.extend(findings)
    result.findings.extend(adapter.inspect(selected))
    result.before = result.services = tuple(selected)
    result.snapshot = result.after = Snapshot.of(adapter.platform, adapter.host, selected, reading.device)

    changes = plan.changes(adapter, order, reading, selected)
    if gathering:
        result.findings.extend(plan.device_findings(changes, adapter.label))
    if changes:
        result.findings.extend(plan.snapshot_findings(adapter, order.snapshot))
    if changes or (selected and gathering):
        guarded = adapter.guard(selected, changing=bool(changes) and not (check_mode or gathering))
        result.findings.extend(guarded.findings)
        result.version = guarded.version
        result.own_addresses = plain_addresses((*reading.own_addresses, *guarded.own_addresses))
        result.before = result.services = guarded.services
        # The servers may show that a service is right as it is.
        changes = plan.changes(adapter, order, reading, guarded.services)
        result.findings.extend(plan.server_findings(guarded.services))
        result.findings.extend(plan.family_findings(guarded.services, changes, order, adapter))
        result.findings.extend(plan.return_path_findings(guarded.services, changes, order, adapter))
    result.findings.extend(plan.pair_findings(result.before, changes, order, adapter))
    saving = adapter.save_pending and not (check_mode or gathering)
    if adapter.save_pending:
        result.findings.append(plan.unsaved_finding(adapter.label, saved=saving))
    if not changes or gathering:
        result.changes = tuple(changes)
        if saving:
            _keep(adapter)
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
    # Not blockers: accepting them would not help.
    if obstacles := adapter.obstacles(changes):
        raise Blocked(f"{adapter.label}: nothing was changed. {' '.join(obstacles)}")
    result.changes = tuple(changes)
    if check_mode:
        # The guard may have learned more about the services, such as that their address is switched off.
        after = plan.reading_after(replace(reading, services=result.before), changes, adapter)
    else:
        # Not known until the device has been read again.
        result.services, result.final_state = (), "unknown"
        after = _change(adapter, order, changes, selected, reading, result)
        result.final_state = "changed"
    result.changed = True
    result.services = _as_selected(result.before, after)
    result.after = Snapshot.of(adapter.platform, adapter.host, result.services, after.device)
    changed = {change.id for change in changes if change.scope == "service"}
    # A service that has several addresses is reported once.
    result.findings.extend(dict.fromkeys(plan.disabled(item for item in result.before if item.id in changed)))
    if not check_mode:
        try:
            of_changes = [service for service in result.services if service.id in changed]
            result.findings.extend(adapter.finish(result.services, of_changes))
        except BaseException as error:
            raise DeviceError(f"{_reported(error, adapter.label)} The change itself is in effect and saved.") from error


def _as_selected(selected: Sequence[Service], after: Reading) -> tuple[Service, ...]:
    """Return what a later reading says of the selected services; their servers are not read again."""
    now = {(service.id, service.address, service.port): service for service in after.services}
    return tuple(
        replace(now[key], servers=service.servers)
        for service in selected
        if (key := (service.id, service.address, service.port)) in now
    )


def _change(
    adapter: Adapter,
    order: Order,
    changes: Sequence[Change],
    selected: Sequence[Service],
    reading: Reading,
    result: Result,
) -> Reading:
    """Apply, verify and keep. Roll back where one of these fails, and note in ``result`` what is in effect then.

    :raises DeviceError: saying so.
    """
    keeping = False
    try:
        after = _settle(adapter, changes, selected)
        _verify(after, changes, adapter.label)
        _verify(after, _appeared(adapter, order, selected, reading, after), adapter.label)
        keeping = True
        _keep(adapter)
    except BaseException as raised:
        reported = _reported(raised, adapter.label)
        left = _undo(adapter, changes, selected, result)
        answered = isinstance(raised, DeviceError) and not isinstance(raised, (UnexpectedAnswer, Unreachable))
        if left is None and keeping and not answered:
            left = _keep_again(adapter, result)
        if left is None:
            raise DeviceError(f"{reported} Everything is as it was before.") from raised
        if adapter.saves and result.changes:
            left += (
                " What of this is saved is not known: save it when it is right."
                if keeping and not answered
                else " None of this is saved: a restart of the device brings back the configuration from before the change."
            )
        raise DeviceError(f"{reported} The rollback failed too: {left}") from raised
    return after


def _settle(adapter: Adapter, changes: Sequence[Change], selected: Sequence[Service]) -> Reading:
    """Apply, and again what the device has not taken because it was busy, lost the answer or took a part. The device decides what is in effect.

    :raises DeviceError: where it refuses, and where it stays busy.
    """
    left = changes
    for pause in adapter.pauses:
        busy = None
        try:
            adapter.apply(left)
        except DeviceError as error:
            if not (error.transient or isinstance(error, Unreachable)):
                raise
            busy = error
        after = _reread(adapter, selected)
        left = _standing(after, changes if busy else left, only_in_part=not busy)
        if not left:
            return after
        if pause is None or (busy and not busy.transient):
            break
        if busy:
            adapter.pause(pause, f"The change was not taken, so it was sent again after {pause} s: {busy}")
    if busy:
        raise busy
    return after


def _keep(adapter: Adapter) -> None:
    """Save, and again while the device is busy: saving twice is the same as saving once."""
    for pause in adapter.pauses:
        try:
            adapter.keep()
        except DeviceError as error:
            if not error.transient or pause is None:
                raise
            adapter.pause(pause, f"Saving was tried again after {pause} s: {error}")
        else:
            return


def _reread(adapter: Adapter, selected: Sequence[Service]) -> Reading:
    """Read the selected services again. What cannot be read now is not known, which is not the same as gone."""
    reading = adapter.reread(selected)
    select.demand_read(reading, {service.id for service in selected}, adapter.label)
    return reading


def _keep_again(adapter: Adapter, result: Result) -> str | None:
    """Save again after a rollback, since the save that got no answer may have saved the change. Return what is left to do."""
    try:
        _keep(adapter)
    except BaseException as error:
        result.final_state = "unknown"
        return (
            f"{_reported(error, adapter.label)} The running configuration is rolled back, and the saved one may still hold the change:"
            " save it by hand, or a restart brings the change back."
        )
    return None


def _standing(after: Reading, changes: Sequence[Change], *, only_in_part: bool) -> list[Change]:
    """List the changes that the device has not taken, or ``only_in_part``: so that a value is neither as before nor as wanted."""
    return [
        replace(change, before=standing)
        for change in changes
        if (standing := after.value(change)) not in (None, change.after)
        and not (only_in_part and standing == change.before)
    ]


def _verify(after: Reading, changes: Sequence[Change], label: str) -> None:
    wrong = [change for change in changes if after.value(change) != change.after]
    if wrong:
        raise DeviceError(
            f"{label} accepted the change without an error, but "
            + ", ".join(f"{change} is {after.value(change)!r} and not {change.after!r}" for change in wrong)
            + "."
        )


def _appeared(
    adapter: Adapter, order: Order, selected: Sequence[Service], before: Reading, after: Reading
) -> list[Change]:
    """List what was right before the change and is not any more: somebody else has changed the other half of a pair, for example."""
    now = _as_selected(selected, after)
    if len(now) != len(selected):
        return []
    known = {(change.id, change.setting) for change in plan.changes(adapter, order, before, selected)}
    return [change for change in plan.changes(adapter, order, after, now) if (change.id, change.setting) not in known]


def _undo(adapter: Adapter, changes: Sequence[Change], selected: Sequence[Service], result: Result) -> str | None:
    """Roll back whatever is changed, note in ``result`` what is in effect then, and return what could not be rolled back."""
    adapter.shield()
    problem = ""
    try:
        now = _reread(adapter, selected)
        back = [
            change.reversed(standing)
            for change in reversed(changes)
            if (standing := now.value(change)) is not None and standing != change.before
        ]
        if back:
            try:
                now = _settle(adapter, back, selected)
            except Exception as error:
                problem = f"{_reported(error, adapter.label)} "  # the device decides here, too
                now = _reread(adapter, selected)
    except BaseException as error:
        named = ", ".join(map(str, changes))
        return f"{problem}{_reported(error, adapter.label)} Not known to be as before: {named}. Run the task again, or check the device."
    result.services = _as_selected(result.before, now)
    left = [(change, now.value(change)) for change in changes if now.value(change) != change.before]
    result.changes = tuple(replace(change, after=standing) for change, standing in left)
    result.final_state = "changed" if left else "rolled_back" if back else "unchanged"
    if not left:
        return None
    named = ", ".join(f"{change} is {standing!r} and was {change.before!r}" for change, standing in left)
    return f"{problem}{named}. Set it back by hand."
