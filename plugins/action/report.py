# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write a report on the controller: a page and a JSON file, from the moment a run starts."""

from __future__ import annotations

import contextlib
import itertools
import typing as t
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible.utils.unsafe_proxy import wrap_var

from ansible_collections.aovpn.ikev2.plugins.module_utils._model import visible
from ansible_collections.aovpn.ikev2.plugins.plugin_utils import _lock, _snapshots
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._files import create_file
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._lock import Locked
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._plain import plain
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._report.files import MODE, write
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._report.model import HostFinding, Report, summary
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._report.page import render, running
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.hostvars import probed, read_site
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.orders import restored
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._snapshots import SnapshotError

ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "state": {"type": "str", "choices": ["started", "finished"], "default": "finished"},
    "playbook": {"type": "str", "default": ""},
    "name": {"type": "str"},
    "directory": {"type": "path", "required": True},
    "lock": {"type": "path"},
    "run": {"type": "dict"},
    "snapshot": {"type": "dict"},
    "restored": {"type": "dict"},
    "problem": {"type": "str", "default": ""},
    "due": {"type": "bool", "default": False},
    "hosts": {"type": "list", "elements": "str"},
    "findings": {"type": "list", "elements": "dict", "default": []},
}
CHANGING = ("remediate", "workaround", "rollback")

display = Display()


class ActionModule(ActionBase):
    """The action behind the module of the same name, which documents it."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the task, in check mode too: a report is not a change."""
        self._supports_check_mode = True
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _dummy, options = self.validate_argument_spec(ARGUMENTS)
        options = plain(options)
        try:
            act = self._start if options["state"] == "started" else self._finish
            found = act(options, task_vars or {})
        except Locked as error:
            # Not raised: up to ansible-core 2.18, the text of an error is a template.
            found = {"failed": True, "msg": str(error)}
        except OSError as error:
            raise AnsibleActionFail(_unwritten(error)) from None
        return {**result, "changed": False, **wrap_var(found)}

    def _start(self, options: Mapping[str, t.Any], _task_vars: Mapping[str, t.Any]) -> dict[str, t.Any]:
        """Write the page of a run that has just started, and lock out others if it may change anything."""
        now = datetime.now(UTC)
        lock = options["lock"] if options["playbook"] in CHANGING and not self._task.check_mode else None
        if lock:
            self._lock(Path(lock), options["playbook"])
        since = f"{now:%Y-%m-%dT%H:%M:%SZ}"
        page = running(options["playbook"], since)
        base = _reserve(options, now, page)
        site = read_site({"groups": {}, "hostvars": {}}, options["playbook"], check_mode=bool(self._task.check_mode))
        report = Report(site, since).as_dict()
        title = f"Running since {since}: if this is old, the run was killed"
        report["verdict"] = {"status": "unknown", "title": title, "lines": [], "steps": []}
        write(base, page, report)
        unsaved: dict[str, list[str]] = {}
        with contextlib.suppress(SnapshotError):  # who needs the snapshots, reports what is wrong with them
            unsaved = _unsaved(Path(options["lock"])) if options["lock"] else {}
        return {"base": str(base), "started": f"{now:%Y-%m-%dT%H:%M:%S.%fZ}", "lock": lock, "unsaved": unsaved}

    def _lock(self, folder: Path, playbook: str) -> None:
        try:
            said = _lock.take(folder, _lock.Holder.current(playbook))
        except OSError as error:
            raise AnsibleActionFail(
                f"The lock, which keeps two runs from changing the same devices, cannot be written to {folder}: {error.strerror}."
                " Set 'snapshot_directory' to a folder on the controller that this user may write to."
            ) from error
        if said:
            display.display(said)

    def _report(self, options: Mapping[str, t.Any], task_vars: Mapping[str, t.Any]) -> Report:
        site = read_site(
            task_vars, options["playbook"], check_mode=bool(self._task.check_mode), hosts=options["hosts"] or ()
        )
        answers = {host: probed(task_vars, item) for host, item in site.read_load_balancers.items() if not item.probes}
        site = site.with_records({host: site.hosts[host].record.probed(found) for host, found in answers.items()})
        try:
            extra = tuple(map(HostFinding.parse, options["findings"]))
        except (KeyError, ValueError) as error:
            raise AnsibleActionFail(
                f"Option 'findings' holds what is not a finding with a code and a severity ({error!r})."
                " Set 'report_findings' to findings in the format of the modules, with host added."
            ) from error
        return Report(site, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", options["due"], extra, options["problem"])

    def _finish(self, options: Mapping[str, t.Any], task_vars: Mapping[str, t.Any]) -> dict[str, t.Any]:
        """Write both files, and return what the run publishes and shows."""
        report = self._report(options, task_vars)
        page, found = render(report), report.as_dict()
        run = options["run"] or {}
        base = Path(run["base"]) if "base" in run else _reserve(options, datetime.now(UTC), page)
        told, unwritten = summary(report, f"{base}.html"), ""
        try:
            write(base, page, found)
        except OSError as error:
            if "base" not in run:
                raise
            # What the run has done is still shown, and published.
            unwritten = _unwritten(error)
            told = [*summary(report), visible(unwritten)]
        statistics = {
            "ikev2_changes": found["changes"],
            "ikev2_drift": bool(report.drift),
            "ikev2_verdict": found["verdict"]["status"],
            "ikev2_summary": found["verdict"]["title"],
            "ikev2_report": f"{base}.html",
            "ikev2_report_json": f"{base}.json",
        }
        # An earlier playbook of the same command may have written one as well.
        snapshot = options["snapshot"] or {}
        mine = snapshot.get("run") == run.get("started")
        try:
            statistics |= _ended(report, snapshot if mine else {})
            _used_up(report, options["restored"] or {})
            _saved(report)
        except SnapshotError as error:
            display.warning(f"{error} What has been done and reported is not affected.")
        if run.get("lock"):
            _lock.release(Path(run["lock"]), _lock.Holder.current(options["playbook"]))
        return {
            "statistics": statistics,
            "html": f"{base}.html",
            "json": f"{base}.json",
            "summary": told,
            "unwritten": unwritten,
            "verdict": found["verdict"]["status"],
            "title": found["verdict"]["title"],
            "drift": bool(report.drift),
            "changes": found["changes"],
            "acceptable": report.acceptable,
            "failures": report.failures,
        }


def _ended(report: Report, written: Mapping[str, t.Any]) -> dict[str, str]:
    """Remove the snapshot of a run that has changed nothing, else note that the run has finished. Return what is published of it."""
    if report.site.check_mode or not written.get("path"):
        return {}
    path = Path(written["path"])
    if all(item.final_state in ("unchanged", "rolled_back") for item in report.site.hosts.values()):
        path.unlink(missing_ok=True)
        return {}
    if not (report.figures.heeded or report.problem):
        _snapshots.mark(path, finished=True)
    return {"ikev2_snapshot": _snapshots.load(path).as_text()}


def _used_up(report: Report, kept: Mapping[str, t.Any]) -> None:
    """Mark the snapshots that a rollback has restored on all their hosts."""
    if report.site.playbook != "rollback" or not kept.get("snapshot"):
        return
    hosts = {*kept["snapshot"]["load_balancers"], *kept["snapshot"]["servers"]}
    if restored(report.site, hosts):
        for name, of_file in kept["uses"].items():
            _snapshots.mark(Path(name), used=of_file)


def _unsaved(folder: Path) -> dict[str, list[str]]:
    found, _others = _snapshots.history(folder)
    return {host: [str(folder / name) for name in names] for host, names in found.unsaved.items()}


def _saved(report: Report) -> None:
    """Note in the snapshots of runs that were killed that a load balancer is saved, now that it has been changed or at least saved."""
    for host, item in report.site.load_balancers.items():
        if (
            not report.site.check_mode
            and not item.failure
            and any(step.stage == "change" for step in item.record.steps)
        ):
            for name in item.unsaved:
                _snapshots.mark(Path(name), saved=[host])


def _unwritten(error: OSError) -> str:
    return (
        f"The report cannot be written to {error.filename}: {error.strerror}."
        " Set 'report_directory' to a folder on the controller that this user may write to."
    )


def _reserve(options: Mapping[str, t.Any], now: datetime, page: str) -> Path:
    """Return the path of the files without their ending: of this name, or of the playbook and the next free second."""
    folder = Path(options["directory"])
    folder.mkdir(parents=True, exist_ok=True)
    if options["name"]:
        return folder / options["name"]
    for second in itertools.count():
        base = folder / f"{options['playbook'] or 'report'}-{now + timedelta(seconds=second):%Y%m%dT%H%M%SZ}"
        with contextlib.suppress(FileExistsError):
            create_file(base.with_suffix(".html"), page, MODE)
            return base
    raise AssertionError
