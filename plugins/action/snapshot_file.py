# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write a snapshot on the controller, or remove it."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import typing as t
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._audit import read_snapshot, take_snapshot
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._files import create_file
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._plain import plain

ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "directory": {"type": "path"},
    "load_balancers": {"type": "dict"},
    "servers": {"type": "dict"},
    "path": {"type": "path"},
}
REQUIRED_IF = [("state", "present", ("directory", "load_balancers", "servers")), ("state", "absent", ("path",))]
NAME = "%Y%m%dT%H%M%SZ.json"


class ActionModule(ActionBase):
    """The action behind the module of the same name, which documents it."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the task; in check mode it writes and removes nothing."""
        self._supports_check_mode = True
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _dummy, options = self.validate_argument_spec(ARGUMENTS, required_if=REQUIRED_IF)
        act = self._write if options["state"] == "present" else self._remove
        return {**result, "changed": False, "path": str(act(options))}

    def _write(self, options: dict[str, t.Any]) -> Path:
        """Write the file, named after the time; if that name is taken, after the next free second."""
        now = datetime.now(UTC)
        snapshot = take_snapshot(f"{now:%Y-%m-%dT%H:%M:%SZ}", options["load_balancers"], options["servers"])
        text = json.dumps(plain(snapshot), indent=4, sort_keys=True) + "\n"
        folder = Path(options["directory"])
        if self._task.check_mode:
            return folder / f"{now:{NAME}}"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for second in itertools.count():
                path = folder / f"{now + timedelta(seconds=second):{NAME}}"
                with contextlib.suppress(FileExistsError):
                    create_file(path, text, 0o600)
                    break
        except OSError as error:
            raise AnsibleActionFail(
                f"The snapshot cannot be written to {error.filename}: {error.strerror}."
                " Set 'snapshot_directory' to a folder on the controller that this user may write to."
            ) from error
        return path

    def _remove(self, options: dict[str, t.Any]) -> Path:
        """Remove the file, but only if it is a snapshot."""
        path = Path(options["path"])
        try:
            if not re.fullmatch(r"\d{8}T\d{6}Z\.json", path.name):
                raise ValueError("This is not the name of a snapshot.")
            read_snapshot(path.read_text(encoding="utf-8"))
            if not self._task.check_mode:
                path.unlink()
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            raise AnsibleActionFail(f"The snapshot {path} was not removed: {error}") from error
        return path
