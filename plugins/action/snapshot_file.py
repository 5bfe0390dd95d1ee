# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write a snapshot on the controller, or read one."""

from __future__ import annotations

import contextlib
import itertools
import json
import typing as t
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.unsafe_proxy import wrap_var

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._files import create_file
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._plain import plain
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.hosts import run_of
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.snapshot import FORMAT, read_snapshot

ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "state": {"type": "str", "choices": ["present", "read"], "default": "present"},
    "directory": {"type": "path", "required": True},
    "content": {"type": "dict"},
    "path": {"type": "str"},
    "required": {"type": "bool", "default": True},
}
REQUIRED_IF = [("state", "present", ("content",))]
NAME = "%Y%m%dT%H%M%SZ.json"


class ActionModule(ActionBase):
    """The action behind the module of the same name, which documents it."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the task; in check mode it writes nothing."""
        self._supports_check_mode = True
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _dummy, options = self.validate_argument_spec(ARGUMENTS, required_if=REQUIRED_IF)
        options = plain(options)
        if options["state"] == "present":
            path = str(self._write(options)) if options["content"] else ""
            run = run_of(plain({"ikev2_run": (task_vars or {}).get("ikev2_run")}))
            return {**result, "changed": False, "path": path, "run": run}
        groups = (task_vars or {}).get("groups", {})
        known = {*groups.get("ikev2_load_balancers", ()), *groups.get("rras", ())}
        return {**result, "changed": False, **wrap_var(_read(options, known))}

    def _write(self, options: Mapping[str, t.Any]) -> Path:
        """Write the file, named after the time; if that name is taken, after the next free second."""
        now = datetime.now(UTC)
        content = {"format": FORMAT, "taken": f"{now:%Y-%m-%dT%H:%M:%SZ}", **options["content"]}
        folder = Path(options["directory"])
        if self._task.check_mode:
            return folder / f"{now:{NAME}}"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for second in itertools.count():
                path = folder / f"{now + timedelta(seconds=second):{NAME}}"
                with contextlib.suppress(FileExistsError):
                    create_file(path, json.dumps(content, indent=4, sort_keys=True) + "\n", 0o600)
                    break
        except OSError as error:
            raise AnsibleActionFail(
                f"The snapshot cannot be written to {error.filename}: {error.strerror}."
                " Set 'snapshot_directory' to a folder on the controller that this user may write to."
            ) from error
        return path


def _read(options: Mapping[str, t.Any], known: set[str]) -> dict[str, t.Any]:
    """Read the file that is named, or the newest."""
    folder, name = Path(options["directory"]), options["path"]
    there = sorted(folder.glob("*.json"))
    named = [Path(name).expanduser(), folder / name] if name else there[-1:]
    path = next((path for path in named if path.is_file()), None)
    if path is None:
        if not options["required"] and not name:
            return {"path": "", "snapshot": None}
        raise AnsibleActionFail(
            f"There is no snapshot {name or f'in {folder}'}. Name a file with -e snapshot=... Snapshots in {folder}:"
            f" {', '.join(item.name for item in there) or 'none'}."
        )
    try:
        snapshot = read_snapshot(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AnsibleActionFail(f"{path}: {error}") from error
    strangers = sorted({*snapshot["load_balancers"], *snapshot["servers"]} - known)
    if strangers and options["required"]:
        raise AnsibleActionFail(
            f"{path} also contains {', '.join(strangers)}, which the inventory does not have. Restoring only the others could leave"
            " an inconsistent state. Add these hosts to the inventory under the same names, or remove them from the file."
        )
    return {"path": str(path), "snapshot": snapshot}
