# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make an address the default gateway of a Windows server. If the connection or the controller is lost, the server rolls back by itself."""

from __future__ import annotations

import contextlib
import time
import typing as t
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ansible_collections.aovpn.ikev2.plugins.module_utils._model import FINDING_CODES, FinalState
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows import routes
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.commands import (
    apply_command,
    lines,
    rehearsal_command,
    rollback_command,
)
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.errors import PlanError, outcome
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.gateway_findings import (
    identified_after,
    rollback_impossible,
)
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.network import (
    ACTIVE,
    DOUBTFUL_POLICIES,
    Network,
    result_of,
)
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.probe import Probe
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.server_action import (
    GATEWAY_ARGUMENTS,
    GRACE,
    LOOK,
    PAUSE,
    Lost,
    ServerAction,
    Unfinished,
)
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.steps import (
    BOTH,
    Plan,
    Step,
    changes_between,
    former_rollback,
    predict,
    stands,
)

ARGUMENTS: dict[str, dict[str, t.Any]] = {
    **GATEWAY_ARGUMENTS,
    "rollback_timeout": {"type": "int", "default": 180},
    "accept": {"type": "list", "elements": "str", "default": []},
    "snapshot": {"type": "dict"},
    "state": {"type": "str", "choices": ["present", "restored", "gathered"], "default": "present"},
}
UNFINISHED = f"the server answers, but its rollback does not run: its rollback is unfinished. {LOOK}"
OLD_GATEWAY = "until the server has its old gateway again"
"""What a failed change waits for; see ServerAction.say_waiting."""

REHEARSAL = 60.0
"""For how many seconds to wait for the test of a rollback."""

Planner: t.TypeAlias = Callable[[Network], Plan]


class ActionModule(ServerAction):
    """The action behind the module of the same name, which documents it. Sends one script when there is nothing to change."""

    probe: Probe | None = None
    arguments = ARGUMENTS
    required = (("state", "present", ["gateway"]), ("state", "restored", ["snapshot"]))

    def change(self, options: Mapping[str, t.Any]) -> dict[str, t.Any]:
        """Read, plan and change; see ServerAction."""
        wanted = routes.Wanted.of_options(options) if options["state"] != "restored" else None
        if options["state"] == "present" and wanted is None:  # null counts as given
            raise PlanError("Option 'gateway' is null. It is required with state present.")
        plan_for = _planner(options, wanted)
        timeout = options["rollback_timeout"]
        if not routes.SHORTEST_TIMEOUT <= timeout <= routes.LONGEST_TIMEOUT:
            raise PlanError(
                f"Option 'rollback_timeout' is {timeout}. It has to be from {routes.SHORTEST_TIMEOUT} to {routes.LONGEST_TIMEOUT} seconds."
            )
        if unknown := sorted({*options["accept"]} - {*FINDING_CODES}):
            raise PlanError(f"Option 'accept' contains {', '.join(unknown)}, which is no code of a finding.")
        self.gateway = str(wanted.gateway) if wanted else ""
        self.probe = wanted.probe if wanted and "gateway_not_answering" not in options["accept"] else None
        network = self.read_network()
        plan = plan_for(network)
        left_alone = [finding.message for finding in plan.findings if finding.code == "routes_differ"]
        said = {"msg": self.say(" ".join(left_alone))} if left_alone else {}
        if options["state"] == "gathered":
            return _result(network, network, plan)
        _stop_at_blockers(plan, options["accept"])
        _commands(network, plan, options)  # in check mode, too: there may be too many routes for them
        if self._task.check_mode or not (plan.steps or network.pending):
            return {**_result(network, predict(network, plan.steps), plan), **said}
        if network.pending:
            try:
                network = self.settled(network)
            except Unfinished as error:
                network = self._finished(network, error)
            if network.pending:
                self.powershell("end_change.ps1")
                network = self.read_network()
            plan = plan_for(network)
            _stop_at_blockers(plan, options["accept"])
            if not plan.steps:
                return {**_result(network, network, plan), **said}
        return {**_result(network, self._change(network, plan, plan_for, options), plan, "changed"), **said}

    def _finished(self, network: Network, error: Unfinished) -> Network:
        """Carry out the rollback that an earlier version armed, which may not be allowed to run its files.

        :raises Unfinished: if there is no such rollback.
        """
        raw = self.powershell("read_former.ps1")["rollback"]
        if raw is None:
            raise error
        self.say("Carrying out the rollback that an earlier version of the collection has armed.")
        steps, remember = former_rollback(raw, network)
        self.powershell("change_routes.ps1", Steps=lines(steps), Remember=remember, RollBack=True)
        self.powershell("end_change.ps1", RollBack=True)
        return self.read_network()

    # The change: arm, preserve, apply, reconnect, confirm; or roll back

    def _change(self, network: Network, plan: Plan, plan_for: Planner, options: Mapping[str, t.Any]) -> Network:
        timeout, unproven, looked = options["rollback_timeout"], "", -PAUSE
        due = time.monotonic() + timeout

        def has_switched(found: Network) -> bool:
            nonlocal unproven, looked
            if time.monotonic() > end:  # the answer may have been slow
                raise PlanError("the server answered through the new gateway too late")
            if found.pending and found.pending.applied:
                raise PlanError(f"the task that changes the routes ended with {found.pending.applied:#x}")
            if not found.pending:
                raise PlanError("the rollback ran before the new gateway was confirmed")
            if not stands(found, plan.switch):
                looked = time.monotonic()
                return False
            _stop_at_blockers(plan_for(found), options["accept"])
            unproven = self._unproven(found)
            return not unproven

        if network.policy in DOUBTFUL_POLICIES and "script_policy" not in options["accept"]:
            self._rehearse(network)
        armed, applied = _commands(network, plan, options)
        public = any(finding.code == "firewall_profile" for finding in plan.findings)
        try:
            # The last quarter of the time is left to the rollback.
            end = time.monotonic() + 0.75 * timeout
            self.powershell("arm_rollback.ps1", Command=armed, Seconds=timeout)
            due = time.monotonic() + timeout
            if plan.preserve:
                # In the active store, as everything is until it is confirmed.
                first = [replace(step, store=ACTIVE) for step in plan.preserve]
                self.powershell("change_routes.ps1", Steps=lines(first), Remember=[*plan.remember], Armed=True)
            if plan.switch:
                with contextlib.suppress(Lost):
                    self.powershell("apply_detached.ps1", Command=applied)
                if public:  # the firewall shuts the controller out only then
                    pause = identified_after(timeout)
                    self.say_waiting("until Windows knows the network behind the new gateway", time.monotonic() + pause)
                    time.sleep(pause)
            tried = plan.switch or (plan.keep and self.probe)
            if tried and not self.until(end, has_switched, "until the server answers through the new gateway"):
                if time.monotonic() - looked < PAUSE:
                    raise PlanError("the server answers, but its task that changes the routes does not run")
                cause = " (perhaps its network became a public one, see the finding firewall_profile)" if public else ""
                raise PlanError(unproven or f"the server did not answer through the new gateway{cause}")
            lasting = [*(step for step in plan.preserve if step.store == BOTH), *plan.keep]
            kept: dict[str, t.Any] = {"Steps": lines(lasting), "Remember": [*plan.remember], "Armed": True}
            if plan.former != network.former:
                kept["Former"] = [*plan.former]
            if lasting or (plan.remember, plan.former) != (network.remembered, network.former):
                self.again(end, lambda: self.powershell("change_routes.ps1", **kept))
            self.again(end, lambda: self.powershell("end_change.ps1"))
            after = self.again(end, self.read_network)
            if left := plan_for(after).steps:
                raise PlanError(
                    f"no error was reported, but these steps were not carried out: {'; '.join(map(str, left))}"
                )
        except (PlanError, Lost) as error:
            return self._undone(str(error), due, network, plan)
        return after

    def _unproven(self, found: Network) -> str:
        """Return why the connection through the new gateway is no proof yet; empty if it was accepted, or none is wanted.

        :raises PlanError: if it cannot become one.
        """
        if not self.probe:
            return ""
        tried = self.powershell("test_connection.ps1", HostName=self.probe.host, Port=self.probe.port)
        if elsewhere := self.probe.elsewhere(found, self.gateway, str(tried["address"])):
            raise PlanError(elsewhere.told)
        return "" if tried["accepted"] else self.probe.refused(self.gateway).told

    def _rehearse(self, network: Network) -> None:
        """Have a scheduled task do what the rollback needs, before anything changes.

        :raises PlanError: if that task does not run.
        """
        ended: list[int | None] = [None]

        def has_ended(_found: Network) -> bool:
            ended[0] = result_of(self.powershell("try_task.ps1")["result"])
            return ended[0] is not None

        self.powershell("try_task.ps1", Command=rehearsal_command())
        try:
            self.until(time.monotonic() + REHEARSAL, has_ended, "until a test of the rollback has ended")
        finally:
            with contextlib.suppress(Lost, PlanError):
                self.powershell("try_task.ps1", Remove=True)
        if ended[0] != 0:
            finding = rollback_impossible(ended[0], network.policy)
            raise PlanError(finding.told, result={"findings": [finding.as_dict()]})

    def _undone(self, reason: str, due: float, before: Network, plan: Plan) -> Network:
        """Roll back if the server answers, else wait until it has rolled back by itself, and report the present state.

        Returns the network where the change turns out to have been confirmed, and only the answer was lost.

        :raises PlanError: in all other cases.
        """

        def roll_back() -> None:
            found = self.read_network().renumbered(before)
            memory = (found.remembered, found.former)
            undone = stands(found, plan.rollback) and memory == (before.remembered, before.former)
            if not found.pending and (undone or stands(found, plan.steps)):
                return
            restored = {"Steps": lines(plan.rollback), "Remember": [*before.remembered], **_forgotten(before, plan)}
            self.powershell("change_routes.ps1", **restored, RollBack=True)
            self.powershell("end_change.ps1", RollBack=True)

        with contextlib.suppress(Lost, PlanError):
            self.again(due + GRACE, roll_back, OLD_GATEWAY)
        try:
            ended = self.until(due + GRACE, lambda found: not found.pending, OLD_GATEWAY)
            after = (ended or self.read_network()).renumbered(before)
        except (PlanError, Lost) as error:
            raise PlanError(
                f"{reason}. The present state is not known: {error}. The server itself undoes a gateway that was not confirmed,"
                " at its next start at the latest. Check the server from its console.",
                "unknown",
                plan.changes,
            ) from error
        if ended and stands(after, plan.steps):
            return after
        back = stands(after, plan.rollback)
        present = (
            "the routes are what they were before"
            if back
            else "the routes are neither the old nor the new ones. Check them"
            if ended
            else UNFINISHED
        )
        if back and not ended:
            present += f", but its scheduled tasks are still registered, and its rollback does not run. {LOOK}"
        raise PlanError(
            f"{reason}. The change was not confirmed, and {present}.",
            "rolled_back" if back else "changed",
            changes_between(before, after, plan.steps),
            {**_result(before, after, Plan()), "rolled_back": back},
        )


def _planner(options: Mapping[str, t.Any], wanted: routes.Wanted | None) -> Planner:
    """Return the function that plans what is requested."""
    if options["state"] == "restored":
        return lambda network: routes.plan_restoration(network, options["snapshot"], options["allow_dhcp"])
    if options["state"] == "gathered" or wanted is None:
        return lambda network: routes.survey_default_gateway(network, wanted)
    return lambda network: routes.plan_default_gateway(network, wanted)


def _stop_at_blockers(plan: Plan, accept: Sequence[str]) -> None:
    """Refuse a plan with a blocker that is not accepted.

    :raises PlanError: with all of them.
    """
    blockers = [each for each in plan.findings if each.severity == "blocker" and each.code not in accept]
    if plan.steps and blockers:
        raise PlanError(
            " ".join(blocker.told for blocker in blockers),
            result={"findings": [each.as_dict() for each in plan.findings]},
        )


def _commands(network: Network, plan: Plan, options: Mapping[str, t.Any]) -> tuple[str, str]:
    """Return the texts of the two tasks: the rollback, and the change of the default routes.

    :raises PlanError: if there are too many routes.
    """
    armed = rollback_command(plan.rollback, network.remembered, _forgotten(network, plan))
    changing = {step.interface for step in plan.switch if step.action == "add"}
    private = [each.alias for each in network.interfaces if each.alias in changing and network.is_private(each)]
    return armed, apply_command(plan.switch, private[0] if private and options["keep_network_category"] else "")


def _forgotten(before: Network, plan: Plan) -> dict[str, list[str]]:
    """Return what a rollback makes of the memory of former gateways: nothing if the change does not touch it."""
    return {"Former": [*before.former]} if plan.former != before.former else {}


def _plain(steps: Sequence[Step]) -> list[dict[str, t.Any]]:
    return [step.as_dict() for step in steps]


def _result(before: Network, after: Network, plan: Plan, final_state: FinalState = "unchanged") -> dict[str, t.Any]:
    return {
        **outcome(final_state, plan.changes),
        "changed": bool(plan.steps),
        "before": before.as_dict(),
        "after": after.as_dict(),
        "plan": _plain(plan.steps),
        "findings": [finding.as_dict() for finding in plan.findings],
        "rolled_back": False,
        "diff": {"before": _table(before), "after": _table(after)},
    }


def _table(network: Network) -> str:
    """Return the routes as lines for Ansible's diff."""
    lines = {
        f"{route.destination} via {route.next_hop} on interface {route.interface_index}, metric {route.metric}, {route.store}\n"
        for route in network.by_gateway()
    }
    return "".join(sorted(lines))
