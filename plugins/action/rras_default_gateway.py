# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make an address the default gateway of a Windows server: gather, plan on the controller, apply, confirm."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import MISSING
from ansible_collections.aovpn.ikev2.plugins.plugin_utils import _routes

POWERSHELL = Path(_routes.__file__).parent / "powershell"

ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "gateway": {"type": "str"},
    "interface_alias": {"type": "str"},
    "mac": {"type": "str"},
    "preserve_routes": {"type": "list", "elements": "str", "default": []},
    "remove_other_defaults": {"type": "bool", "default": False},
    "allow_dhcp": {"type": "bool", "default": False},
    "state": {"type": "str", "choices": ["present", "gathered"], "default": "present"},
}


class ActionModule(ActionBase):
    """The action behind the module of the same name, which documents it."""

    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the task. Sends one script when there is nothing to change."""
        self._supports_check_mode = True
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _dummy, options = self.validate_argument_spec(ARGUMENTS, required_if=[("state", "present", ["gateway"])])
        if "netaddr" in MISSING:
            raise AnsibleActionFail(
                "The Python library netaddr is missing on the controller. Install it beside ansible-core."
            )
        self._task_vars = task_vars or {}
        try:
            result.update(self._run(options))
        except _routes.PlanError as error:
            result.update(failed=True, msg=f"{self._task_vars.get('inventory_hostname', 'The server')}: {error}")
        return result

    def _run(self, options: Mapping[str, t.Any]) -> dict[str, t.Any]:
        network = self._gather()
        if options["state"] == "gathered":
            return _result(network, network, _routes.Plan())
        wanted = _routes.Wanted.parse(**{name: options[name] for name in _routes.Wanted.__dataclass_fields__})
        plan = _routes.plan_default_gateway(network, wanted)
        if not plan.steps or self._task.check_mode:
            return _result(network, _routes.foretell(network, plan), plan)
        # Whatever is lost on the way, a reboot brings the old gateway back until the last of these steps.
        for steps in (plan.preserve, plan.switch, plan.keep):
            self._change(steps)
        after = self._gather()
        left = _routes.plan_default_gateway(after, wanted)
        if left.steps:
            raise _routes.PlanError(
                "the routes were changed without an error, and yet these steps are left: "
                + "; ".join(
                    f"{step.action} {step.destination} by {step.next_hop} in {step.store}" for step in left.steps
                )
                + ". Look at the server's routes."
            )
        return _result(network, after, plan)

    def _gather(self) -> _routes.Network:
        return _routes.Network.parse(self._powershell("read_network.ps1", {}))

    def _change(self, steps: Sequence[_routes.Step]) -> None:
        if steps:
            self._powershell("change_routes.ps1", {"Steps": [step.as_dict() for step in steps]})

    def _powershell(self, script: str, parameters: dict[str, t.Any]) -> t.Any:
        answer = self._execute_module(
            module_name="ansible.windows.win_powershell",
            module_args={
                "script": (POWERSHELL / script).read_text(encoding="utf-8"),
                "parameters": parameters,
                "depth": 5,
            },
            task_vars=self._task_vars,
        )
        if answer.get("failed") or answer.get("error"):
            errors = [str(error.get("output", error)).strip() for error in answer.get("error", [])]
            raise _routes.PlanError(
                f"the script {script} failed: {'; '.join(errors) or answer.get('msg', 'no reason given')}"
            )
        return answer.get("result")


def _result(before: _routes.Network, after: _routes.Network, plan: _routes.Plan) -> dict[str, t.Any]:
    return {
        "changed": bool(plan.steps),
        "before": before.as_dict(),
        "after": after.as_dict(),
        "plan": [step.as_dict() for step in plan.steps],
        "findings": [finding.as_dict() for finding in plan.findings],
        "rolled_back": False,
        "diff": {"before": _table(before), "after": _table(after)},
    }


def _table(network: _routes.Network) -> str:
    """Write the routes that matter as lines that Ansible's diff compares."""
    lines = {
        f"{route.destination} by {route.next_hop} on interface {route.interface_index}, metric {route.metric}, {route.store}\n"
        for route in network.routes
        if route.next_hop != "0.0.0.0"  # on-link routes come and go with the addresses
    }
    return "".join(sorted(lines))
