# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write a snapshot on the controller."""

from __future__ import annotations

import json
import typing as t
from datetime import UTC, datetime
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._audit import take_snapshot
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._files import replace_file
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._plain import plain

ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "directory": {"type": "path", "required": True},
    "load_balancers": {"type": "dict", "required": True},
    "servers": {"type": "dict", "required": True},
}


class ActionModule(ActionBase):
    """The action behind the module of the same name, which documents it."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the task; in check mode it writes nothing."""
        self._supports_check_mode = True
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _dummy, options = self.validate_argument_spec(ARGUMENTS)
        now = datetime.now(UTC)
        snapshot = take_snapshot(f"{now:%Y-%m-%dT%H:%M:%SZ}", options["load_balancers"], options["servers"])
        path = Path(options["directory"]) / f"{now:%Y%m%dT%H%M%SZ}.json"
        if not self._task.check_mode:
            try:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                replace_file(path, json.dumps(plain(snapshot), indent=4, sort_keys=True) + "\n", 0o600)
            except OSError as error:
                raise AnsibleActionFail(
                    f"The snapshot cannot be written to {error.filename}: {error.strerror}."
                    " Give 'snapshot_directory' a folder of the controller's in which this user may write."
                ) from error
        return {**result, "changed": False, "path": str(path)}
