# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write a snapshot on the controller, or choose one and read it."""

from __future__ import annotations

import contextlib
import os
import typing as t
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible.utils.unsafe_proxy import wrap_var
from ansible.utils.vars import load_extra_vars

from ansible_collections.aovpn.ikev2.plugins.plugin_utils import _snapshots
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._plain import plain
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.history import Choice, History
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.hosts import run_of
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.snapshot import FORMAT, TIME, Given, SiteSnapshot
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._snapshots import SnapshotError

ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "state": {"type": "str", "choices": ["present", "read"], "default": "present"},
    "directory": {"type": "path", "required": True},
    "content": {"type": "dict"},
    "restoring": {"type": "bool", "default": True},
}
REQUIRED_IF = [("state", "present", ("content",))]

display = Display()


class ActionModule(ActionBase):
    """The action behind the module of the same name, which documents it."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the task; in check mode it writes nothing."""
        self._supports_check_mode = True
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _dummy, options = self.validate_argument_spec(ARGUMENTS, required_if=REQUIRED_IF)
        options = plain(options)
        folder = Path(options["directory"])
        try:
            if options["state"] == "present":
                found = self._write(folder, options["content"])
            else:
                # Read as they are: what arrives with -e is data, and never a template.
                given = Given.parse(plain(load_extra_vars(self._loader)))
                groups = (task_vars or {}).get("groups", {})
                known = {*groups.get("ikev2_load_balancers", ()), *groups.get("rras", ())}
                found = _restoring(folder, given, known) if options["restoring"] else _newest(folder, given)
        except (SnapshotError, ValueError) as error:
            # Not raised: up to ansible-core 2.18, the text of an error is a template.
            found = {"failed": True, "msg": str(error)}
        run = run_of(plain({"ikev2_run": (task_vars or {}).get("ikev2_run")}))
        return {**result, "changed": False, "run": run, **wrap_var(found)}

    def _write(self, folder: Path, content: Mapping[str, t.Any]) -> dict[str, t.Any]:
        """Write the file, and publish it for a job that does not see this folder."""
        if not content:
            return {"path": ""}
        now = datetime.now(UTC)
        times: dict[str, t.Any] = {"taken": f"{now:{TIME}}", "finished": None, "used": {}}
        snapshot = SiteSnapshot.parse({"playbook": "", **content, **times, "format": FORMAT})
        if self._task.check_mode:
            return {"path": str(folder / f"{now:{_snapshots.NAME}}")}
        path = _snapshots.write(folder, snapshot, now)
        job = os.environ.get("AWX_PRIVATE_DATA_DIR")
        if job and path.resolve().is_relative_to(Path(job).resolve()):
            display.display(
                f"{folder} is deleted when this AWX job ends. Only its artifact ikev2_snapshot outlives it: pass that on to rollback."
            )
        data = {"ikev2_snapshot": snapshot.as_text()}
        return {"path": str(path), "ansible_stats": {"data": data, "aggregate": False, "per_host": False}}


def _newest(folder: Path, given: Given) -> dict[str, t.Any]:
    """Return what to compare with: the snapshot that was given, or the newest."""
    choice, _source, _found = _chosen(folder, given, History.newest)
    return {"snapshot": None} if choice is None else _result(folder, choice)


def _restoring(folder: Path, given: Given, known: set[str]) -> dict[str, t.Any]:
    """Return what to restore, and show what there is and what stays changed."""
    choice, source, found = _chosen(folder, given, History.newest_unused)
    if choice is None and not found.entries:
        raise SnapshotError(
            f"There is no snapshot in {folder}, so nothing was changed. Name a file with -e snapshot=... In AWX, pass on the artifact"
            " ikev2_snapshot. A job that was cancelled has no artifacts: copy ikev2_snapshot from the event of its task"
            " 'Write a snapshot before anything changes' into the variable snapshot."
        )
    for line in found.lines(choice, source):
        display.display(line)
    choice = choice or Choice(SiteSnapshot(""))
    if strangers := sorted({*choice.snapshot.hosts} - known):
        raise SnapshotError(
            f"{source} also contains {', '.join(strangers)}, which the inventory does not have. Restoring only the others could leave"
            " an inconsistent state. Add these hosts to the inventory under the same names, or remove them from the file."
        )
    return _result(folder, choice)


def _chosen(
    folder: Path, given: Given, default: t.Callable[[History], Choice | None]
) -> tuple[Choice | None, str, History]:
    """Return the choice, where it is from, and all that there is."""
    if not given.variable or given.name == "all":
        found, others = _snapshots.history(folder)
        if others:
            display.warning(f"Skipped, since it is not {_snapshots.OURS}: {', '.join(others)}", formatted=True)
        choice = History.before_all(found) if given.name else default(found)
        source = ", ".join(str(folder / name) for name in choice.uses) if choice else str(folder)
        return choice, source, found
    found = History(())
    with contextlib.suppress(SnapshotError):  # the one that was given counts, whatever else is there
        found, _others = _snapshots.history(folder)
    named = given.variable == "snapshot"
    if given.snapshot:
        return found.named(given.snapshot, named=named), f"the variable {given.variable}", found
    path = _snapshots.find(folder, given.name)
    return found.named(_snapshots.load(path), os.path.relpath(path, folder)), str(path), found


def _result(folder: Path, choice: Choice) -> dict[str, t.Any]:
    return {
        "uses": {str(folder / name): list(hosts) for name, hosts in choice.uses.items()},
        "snapshot": choice.as_dict(),
    }
