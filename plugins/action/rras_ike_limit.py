# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Set the limit of IKE security associations from one address on a Windows server, and restart IKEEXT while nobody is connected."""

from __future__ import annotations

import time
import typing as t
from collections.abc import Iterable, Mapping

from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Change, FinalState, Finding
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows import limit
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.errors import PlanError, outcome
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.facts import ServerFacts
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.server_action import Lost, ServerAction

PATIENCE = 30.0
"""For how many seconds to try to read a server that has stopped answering."""

ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "limit": {"type": "int"},
    "restart_with_sessions": {"type": "bool", "default": False},
    "snapshot": {"type": "dict"},
    "state": {"type": "str", "choices": ["present", "restored", "gathered"], "default": "present"},
}


class ActionModule(ServerAction):
    """The action behind the module of the same name, which documents it. Sends one script when there is nothing to change."""

    arguments = ARGUMENTS
    required = (("state", "present", ["limit"]), ("state", "restored", ["snapshot"]))

    def change(self, options: Mapping[str, t.Any]) -> dict[str, t.Any]:
        """Read, plan and change; see ServerAction."""
        if options["state"] == "restored":
            wanted: limit.Wanted | None = limit.Wanted.of_snapshot(
                options["snapshot"], options["restart_with_sessions"]
            )
        else:
            wanted = limit.Wanted.of_options(options)
        before = self.read_vpn()
        if options["state"] == "gathered" or wanted is None:
            changes, refused = limit.survey_limit(before, wanted, self.server)
            return self._result(before, before, changes, refused)
        plan = limit.plan_limit(before, wanted)
        writes = bool(plan.steps) and not self._task.check_mode
        after = self._carry_out(before, plan) if writes else plan.after
        state: FinalState = "changed" if writes and plan.changed else "unchanged"
        result = self._result(before, after, plan.changes, final_state=state)
        result |= {"changed": plan.changed, "restarted": plan.restarts}
        if after.restart_owed:
            tunnels = "1 tunnel is up" if before.sessions == 1 else f"{before.sessions} tunnels are up"
            if before.sessions is None:
                tunnels = "it is not known whether tunnels are up"
            result["msg"] = self.say(
                f"IKEEXT has not been restarted, because {tunnels}, which a restart would probably drop. Until it is restarted,"
                " it does not use the new limit. Run this again when nobody is connected, or with 'restart_with_sessions'."
            )
        return result

    def _carry_out(self, before: ServerFacts, plan: limit.Plan) -> ServerFacts:
        """Carry out the steps, and read the server again.

        :raises PlanError: if a step failed, or the limit is not what was set, with the present state.
        """
        possible: tuple[Change, ...] = ()
        try:
            for step in plan.steps:
                possible = plan.changes if step.sets_limit else possible
                self.module(step.module, step.arguments, step.what)
            after = self._read_again()
            if after.ike_limit != plan.after.ike_limit:
                raise PlanError("no error was reported, but the limit was not set")
        except (Lost, PlanError) as error:
            raise self._failure(str(error), before, possible) from error
        return after

    def _failure(self, reason: str, before: ServerFacts, possible: Iterable[Change]) -> PlanError:
        """Read the server, and report its state with the failure. ``possible`` is what may have been changed."""
        try:
            now = self._read_again()
        except (Lost, PlanError) as error:
            return PlanError(f"{reason}. The present state is not known: {error}. Run this again.", "unknown", possible)
        changes = limit.changes_between(before, now)
        restarted = now.ikeext_started != before.ikeext_started
        present = f"{limit.SETTING} is {limit.shown(now.ike_limit)}"
        present += f" and was {limit.shown(before.ike_limit)}" if changes else " as before"
        present += ", and a restart of IKEEXT is pending" if now.restart_owed else ""
        return PlanError(
            f"{reason}. {present}. Run this again.",
            "changed" if changes or restarted else "unchanged",
            changes,
            {**self._result(before, now, changes), "restarted": restarted},
        )

    def _read_again(self) -> ServerFacts:
        return self.again(time.monotonic() + PATIENCE, self.read_vpn)

    def _result(
        self,
        before: ServerFacts,
        after: ServerFacts,
        changes: Iterable[Change],
        findings: Iterable[Finding] = (),
        final_state: FinalState = "unchanged",
    ) -> dict[str, t.Any]:
        return {
            **outcome(final_state, changes),
            "changed": False,
            "before": before.as_dict(),
            "after": after.as_dict(),
            "restarted": False,
            "restart_pending": after.restart_owed,
            "findings": [finding.as_dict() for finding in (*after.findings(self.server), *findings)],
            "diff": {
                moment: {limit.SETTING: facts.ike_limit, "restart_pending": facts.restart_owed}
                for moment, facts in (("before", before), ("after", after))
            },
        }
