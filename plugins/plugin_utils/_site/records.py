# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a playbook has asked of a host, and what came of it. No input or output."""

from __future__ import annotations

import typing as t
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from ansible_collections.aovpn.ikev2.plugins.module_utils._model import FINAL_STATES, Change, FinalState, Finding

Stage: t.TypeAlias = t.Literal["check", "read", "change", "verify", "restore"]
STAGES: tuple[Stage, ...] = t.get_args(Stage)

Variables: t.TypeAlias = Mapping[str, t.Any]


@dataclass(frozen=True)
class Step:
    """A result that Ansible registered: at which stage, under which name."""

    stage: Stage
    name: str
    result: Mapping[str, t.Any]

    def as_dict(self) -> dict[str, t.Any]:
        """Return plain values."""
        return dict(vars(self))

    @classmethod
    def parse(cls, raw: Variables) -> Step:
        """Read what ``as_dict`` returned. What cannot be understood is an error here, and not where it is asked for."""
        step = cls(raw["stage"], str(raw["name"]), raw["result"])
        if step.stage not in STAGES:
            raise ValueError(f"the stage {step.stage!r}")
        _read = (step.changes, step.findings, step.answers, step.own_addresses)
        return step

    @property
    def changes(self) -> tuple[Change, ...]:
        """Return the changes that the task reported."""
        return tuple(map(Change.parse, self.result.get("changes", ())))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return the findings that the task reported."""
        return tuple(map(Finding.parse, self.result.get("findings", ())))

    @property
    def answers(self) -> tuple[dict[str, t.Any], ...]:
        """Return the answers of virtual addresses to a probe."""
        return tuple(
            {"address": str(raw["address"]), "answered": bool(raw["answered"]), "detail": str(raw["detail"])}
            for raw in self.result.get("answers", ())
        )

    @property
    def own_addresses(self) -> tuple[str, ...]:
        """Return the addresses from which a load balancer may send to the servers."""
        return tuple(map(str, self.result.get("own_addresses", ())))

    @property
    def failed(self) -> bool:
        """Report whether the task failed, or did not reach the host.

        The playbooks carry on after a failure, so that Ansible has set ``failed`` to false. Every failure of ours has ``undone``, and a
        task that broke down has no ``final_state``.
        """
        ours = self.name != "probe"
        broken = ours and ("undone" in self.result or "final_state" not in self.result)
        return bool(broken or self.result.get("failed") or self.result.get("unreachable"))

    @property
    def message(self) -> str:
        """Return why it failed."""
        return str(self.result.get("msg") or "no reason was given").strip()

    @property
    def final_state(self) -> FinalState | None:
        """Return the state in which the task left the host, None if it reported none."""
        state = self.result.get("final_state")
        return state if state in FINAL_STATES else None


@dataclass(frozen=True)
class Record:
    """What a playbook has asked of a host, and what came of it. Each order carries it to the next call of the action ``site``.

    ``asked``: the stage, and the variables that will hold the results.
    """

    stage: Stage = "read"
    asked: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()

    def as_dict(self) -> dict[str, t.Any]:
        """Return plain values."""
        return {"stage": self.stage, "asked": list(self.asked), "steps": [step.as_dict() for step in self.steps]}

    @classmethod
    def parse(cls, raw: Variables) -> Record:
        """Read what ``as_dict`` returned."""
        return cls(raw["stage"], tuple(raw["asked"]), tuple(map(Step.parse, raw["steps"])))

    def collected(self, variables: Variables) -> Record:
        """Return the record with the results of what was asked. A task that was skipped has none."""
        found = tuple(
            Step.parse({"stage": self.stage, "name": name, "result": variables[name]})
            for name in self.asked
            if isinstance(variables.get(name), Mapping) and not variables[name].get("skipped")
        )
        verified = variables.get("ikev2_verified")
        if self.stage == "change" and found and isinstance(verified, Mapping) and "answers" in verified:
            found += (Step.parse({"stage": "verify", "name": "probe", "result": verified}),)
        return Record(self.stage, (), self.steps + found)

    def probed(self, answers: Iterable[Mapping[str, t.Any]]) -> Record:
        """Return the record with the answers of the virtual addresses to a probe, if there are any."""
        found = list(answers)
        if not found:
            return self
        return replace(self, steps=(*self.steps, Step("verify", "probe", {"answers": found})))

    def refused(self, message: str) -> Record:
        """Return the record with the reason why nothing was asked of the host."""
        result = {"failed": True, "msg": message, "final_state": "unchanged"}
        return Record(self.stage, (), (*self.steps, Step("check", "order", result)))


@dataclass(frozen=True)
class Failure:
    """What went wrong on a host, and the state that this left it in."""

    stage: Stage
    msg: str
    final_state: FinalState


def failure_of(steps: Collection[Step]) -> Failure | None:
    """Return the first failure, with the state after the last step."""
    first: Step | None = None
    states: list[FinalState] = []
    restored: Step | None = None
    for step in steps:
        if step.failed:
            first = first or step
        if step.stage == "restore":
            restored = step
        elif step.stage in ("change", "check") or step.failed:
            states.append(step.final_state or ("unknown" if step.failed else "unchanged"))
    if first is None:
        return None
    if restored is not None:
        both = f"{first.message} The rollback failed: {restored.message}" if restored.failed else first.message
        left: FinalState = "unknown" if restored.final_state in (None, "unknown") else "changed"
        return Failure(first.stage, both, left if restored.failed else "rolled_back")
    if first.stage == "read":
        return Failure("read", first.message, "unchanged")
    if first.stage == "verify" and first.name != "probe":
        # A reading that failed does not report what was changed before it.
        changed = any(step.stage == "change" and step.result.get("changed") for step in steps)
        return Failure("verify", first.message, "unknown" if changed else "unchanged")
    return Failure(first.stage, first.message, max(states, key=FINAL_STATES.index))
