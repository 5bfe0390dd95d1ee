# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Validate the inventory of a run on the controller, before any device is touched."""

from __future__ import annotations

import typing as t

from ansible import context
from ansible.plugins.action import ActionBase
from ansible.utils.vars import load_extra_vars

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._inventory import Inventory, problems, warnings

ARGUMENTS: dict[str, dict[str, t.Any]] = {}


class ActionModule(ActionBase):
    """The action behind the module of the same name, which documents it."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the task, in check mode too: it changes nothing."""
        self._supports_check_mode = True
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        self.validate_argument_spec(ARGUMENTS)
        variables = task_vars or {}
        inventory = Inventory(
            hosts=variables["ansible_play_hosts_all"],
            hostvars=variables["hostvars"],
            groups=variables["groups"],
            extra=frozenset(load_extra_vars(self._loader)),
            transport=context.CLIARGS["connection"],
        )
        found = problems(inventory)
        failure = {"failed": True, "msg": f"The inventory is invalid. Nothing was changed: {' '.join(found)}"}
        return {
            **result,
            "changed": False,
            "problems": found,
            "warnings": warnings(inventory),
            **(failure if found else {}),
        }
