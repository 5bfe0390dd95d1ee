# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make an address the default gateway of a Windows server, in a way that a lost connection, or a lost controller, undoes by itself."""

from __future__ import annotations

import contextlib
import time
import typing as t
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import MISSING
from ansible_collections.aovpn.ikev2.plugins.plugin_utils import _routes

POWERSHELL = Path(_routes.__file__).parent / "powershell"

PAUSE = 1.0
"""Seconds between two looks at a server."""
GRACE = 90.0
"""How many seconds after its time the way back may take until the server is given up; time for it to be tried once more."""

ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "gateway": {"type": "str"},
    "interface_alias": {"type": "str"},
    "mac": {"type": "str"},
    "preserve_routes": {"type": "list", "elements": "str", "default": []},
    "remove_other_defaults": {"type": "bool", "default": False},
    "allow_dhcp": {"type": "bool", "default": False},
    "rollback_timeout": {"type": "int", "default": 180},
    "snapshot": {"type": "dict"},
    "state": {"type": "str", "choices": ["present", "restored", "gathered"], "default": "present"},
}
REQUIRED = [("state", "present", ["gateway"]), ("state", "restored", ["snapshot"])]
MANAGEMENT_PORTS = (5985, 5986, 22)

Planner: t.TypeAlias = "Callable[[_routes.Network], _routes.Plan]"

Answer = t.TypeVar("Answer")


class Lost(Exception):
    """There was no answer from the server, so nobody knows whether the script ran."""


class ActionModule(ActionBase):
    """The action behind the module of the same name, which documents it."""

    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the task. Sends one script when there is nothing to change."""
        self._supports_check_mode = True
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _dummy, options = self.validate_argument_spec(ARGUMENTS, required_if=REQUIRED)
        if "netaddr" in MISSING:
            raise AnsibleActionFail(
                "The Python library netaddr is missing on the controller. Install it beside ansible-core."
            )
        self._task_vars = task_vars or {}
        try:
            result.update(self._run(options))
        except Lost as error:
            if isinstance(error.__cause__, AnsibleConnectionFailure):
                raise AnsibleConnectionFailure(f"{error}. The default gateway was not changed.") from error
            raise AnsibleActionFail(f"{error}. The default gateway was not changed; run this again.") from None
        except _routes.PlanError as error:
            result.update(failed=True, msg=f"{self._task_vars.get('inventory_hostname', 'The server')}: {error}")
            result.update(error.result)
        return result

    def _run(self, options: Mapping[str, t.Any]) -> dict[str, t.Any]:
        if not getattr(self._connection._shell, "_IS_WINDOWS", False):
            raise _routes.PlanError(
                "The connection is not one to a Windows server, such as winrm, psrp or ssh with PowerShell."
            )
        if options["state"] == "gathered":
            network = self._gather()
            return _result(network, network, _routes.Plan(findings=_routes.pending_findings(network)))
        plan_for = _planner(options)
        if not _routes.SHORTEST_TIMEOUT <= options["rollback_timeout"] <= _routes.LONGEST_TIMEOUT:
            raise _routes.PlanError(
                f"Option 'rollback_timeout' is {options['rollback_timeout']}; it takes {_routes.SHORTEST_TIMEOUT} to {_routes.LONGEST_TIMEOUT} seconds."
            )
        network = self._gather()
        plan = plan_for(network)
        if self._task.check_mode or not (plan.steps or network.pending):
            return _result(network, _routes.foretell(network, plan.steps), plan)
        if network.pending:
            network = self._wait_for_the_end_of(network.pending)
            plan = plan_for(network)
            if not plan.steps:
                return _result(network, network, plan)
        return _result(network, self._change(network, plan, plan_for, options["rollback_timeout"]), plan)

    def _wait_for_the_end_of(self, pending: _routes.Pending) -> _routes.Network:
        """Wait until a change of another run has ended, by its own hand or by the way back that it has armed."""
        end = time.monotonic() + (pending.due_in or 0) + GRACE
        if pending.due_in is not None and (network := self._until(end, lambda found: not found.pending)):
            return network
        why = "does not run by itself" if pending.due_in is None else "was due, and has not been gone"
        raise _routes.PlanError(
            f"an earlier change of the gateway has not ended, and its way back {why}."
            " Look at the scheduled task 'aovpn.ikev2 rollback' on the server: run it, or delete it if the routes are right."
        )

    # The change: preserve, arm, apply, reconnect, confirm; or the way back

    def _change(self, network: _routes.Network, plan: _routes.Plan, plan_for: Planner, timeout: int) -> _routes.Network:
        if plan.preserve:
            self._powershell("change_routes.ps1", Steps=_plain(plan.preserve), Remember=[*plan.remember])
        # Whoever runs out of time has to leave the server alone: the last quarter belongs to the way back: what is not confirmed by then is left to it.
        end = time.monotonic() + 0.75 * timeout
        self._powershell(
            "arm_rollback.ps1",
            Steps=_plain(plan.rollback),
            Remember=[*network.remembered],
            Seconds=timeout,
            ChangeScript=_text("change_routes.ps1"),
            EndScript=_text("end_change.ps1"),
        )
        due = time.monotonic() + timeout

        def has_switched(found: _routes.Network) -> bool:
            if time.monotonic() > end:  # the answer may have been long on its way
                raise _routes.PlanError("the server was reached by the new gateway too late")
            if found.pending and found.pending.applied:
                raise _routes.PlanError(f"the task that changes the routes ended with {found.pending.applied:#x}")
            if not found.pending:
                raise _routes.PlanError("the way back was gone before the new gateway was seen to work")
            return _routes.stands(found, plan.switch)

        try:
            if plan.switch:
                with contextlib.suppress(Lost):
                    self._powershell("apply_detached.ps1", Steps=_plain(plan.switch))
                if not self._until(end, has_switched):
                    raise _routes.PlanError("the server was not reached by the new gateway")
            if plan.keep or plan.remember != network.remembered:
                kept = {"Steps": _plain(plan.keep), "Remember": [*plan.remember], "Armed": True}
                self._again(end, lambda: self._powershell("change_routes.ps1", **kept))
            self._again(end, lambda: self._powershell("end_change.ps1"))
            after = self._again(end, self._gather)
        except (_routes.PlanError, Lost) as error:
            return self._undone(str(error), due, network, plan, plan_for)
        if left := plan_for(after).steps:
            reason = (
                f"the routes were changed without an error, and yet these steps are left: {'; '.join(map(str, left))}"
            )
            return self._undone(reason, due, network, plan, plan_for)
        return after

    def _undone(
        self, reason: str, due: float, before: _routes.Network, plan: _routes.Plan, plan_for: Planner
    ) -> _routes.Network:
        """Go the way back if the server answers, else wait until it has gone it by itself, and say what stands.

        Gives the network where the change turns out to have been confirmed, and only the answer was lost.

        :raises PlanError: in all other cases.
        """
        with contextlib.suppress(Lost, _routes.PlanError):
            if self._gather().pending:
                self._powershell("end_change.ps1", RollBack=True)
        after = self._until(due + GRACE, lambda found: not found.pending)
        if after is None:
            raise _routes.PlanError(
                f"{reason}. The server does not answer. It was told to take its old default gateway back {GRACE:.0f} s ago,"
                " and does so at its next start in any case. Look at it from its console."
            )
        if not plan_for(after).steps:
            return after
        back = _routes.stands(after, plan.rollback)
        stands = (
            "the routes are what they were before"
            if back
            else "the routes are neither the old nor the new ones: look at them"
        )
        raise _routes.PlanError(
            f"{reason}. The change was not confirmed, and {stands}.",
            {**_result(before, after, _routes.Plan()), "rolled_back": back, "changed": not back},
        )

    # Looking, and asking again

    def _gather(self) -> _routes.Network:
        return _routes.Network.parse(self._powershell("read_network.ps1", Ports=self._ports()))

    def _ports(self) -> list[int]:
        """Give the ports by which servers are managed, with the one that this connection was told to use."""
        try:
            port = int(self._connection.get_option("port") or 0)
        except (KeyError, TypeError, ValueError, AnsibleError):
            port = 0
        return sorted({*MANAGEMENT_PORTS, port} - {0})

    def _until(self, end: float, suits: Callable[[_routes.Network], bool]) -> _routes.Network | None:
        """Look at the server until what is found suits; None where that was not so by ``end``."""
        while True:
            with contextlib.suppress(Lost):
                if suits(found := self._gather()):
                    return found
            if time.monotonic() + PAUSE > end:
                return None
            time.sleep(PAUSE)

    def _again(self, end: float, ask: Callable[[], Answer]) -> Answer:
        """Ask until there is an answer. What is asked may be done twice."""
        while True:
            try:
                return ask()
            except Lost:
                if time.monotonic() + PAUSE > end:
                    raise
            time.sleep(PAUSE)

    def _powershell(self, script: str, **parameters: t.Any) -> t.Any:
        """Run one of the collection's scripts.

        :raises PlanError: where it failed.
        :raises Lost: where there was no answer, once the connection is known to be needed anew.
        """
        try:
            answer = self._execute_module(
                module_name="ansible.windows.win_powershell",
                module_args={"script": _text(script), "parameters": parameters, "depth": 5},
                task_vars=self._task_vars,
            )
        except Exception as error:  # whatever a connection plugin raises
            self._hang_up()
            raise Lost(f"the server did not answer to {script} ({error})") from error
        if "module_stdout" in answer or answer.get("unreachable"):
            self._hang_up()
            raise Lost(f"the server did not answer to {script} ({answer.get('msg', 'no reason given')})")
        if answer.get("failed") or answer.get("error"):
            errors = [str(error.get("output", error)).strip() for error in answer.get("error", [])]
            raise _routes.PlanError(
                f"the script {script} failed: {'; '.join(errors) or answer.get('msg', 'no reason given')}"
            )
        return answer.get("result")

    def _hang_up(self) -> None:
        """Forget the connection, so that the next script makes a new one.

        Not by ``close``, which for winrm and psrp says goodbye first, and waits a time-out long for an answer. The server ends such a session by itself.
        """
        for name in ("protocol", "shell_id", "runspace"):
            if hasattr(self._connection, name):
                setattr(self._connection, name, None)
        self._connection._connected = False
        with contextlib.suppress(Exception):
            self._connection.reset()  # what else there is, such as ssh's master


def _planner(options: Mapping[str, t.Any]) -> Planner:
    """Check the options that say what is wanted, and give what plans it.

    :raises PlanError: naming the option.
    """
    if options["state"] == "restored":
        return lambda network: _routes.plan_restoration(network, options["snapshot"], options["allow_dhcp"])
    wanted = _routes.Wanted.parse(**{name: options[name] for name in _routes.Wanted.__dataclass_fields__})
    return lambda network: _routes.plan_default_gateway(network, wanted)


def _text(script: str) -> str:
    return (POWERSHELL / script).read_text(encoding="utf-8")


def _plain(steps: Sequence[_routes.Step]) -> list[dict[str, t.Any]]:
    return [step.as_dict() for step in steps]


def _result(before: _routes.Network, after: _routes.Network, plan: _routes.Plan) -> dict[str, t.Any]:
    return {
        "changed": bool(plan.steps),
        "before": before.as_dict(),
        "after": after.as_dict(),
        "plan": _plain(plan.steps),
        "findings": [finding.as_dict() for finding in plan.findings],
        "rolled_back": False,
        "diff": {"before": _table(before), "after": _table(after)},
    }


def _table(network: _routes.Network) -> str:
    """Write the routes that matter as lines that Ansible's diff compares."""
    lines = {
        f"{route.destination} by {route.next_hop} on interface {route.interface_index}, metric {route.metric}, {route.store}\n"
        for route in network.by_gateway()
    }
    return "".join(sorted(lines))
