# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write a report on the controller: a page and a JSON file, from the moment a run starts."""

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

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._files import create_file, replace_file
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._plain import plain
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._report.model import HostFinding, Report, summary
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._report.page import render, running
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.hostvars import probed, read_site
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._text import visible

ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "state": {"type": "str", "choices": ["started", "finished"], "default": "finished"},
    "playbook": {"type": "str", "default": ""},
    "name": {"type": "str"},
    "directory": {"type": "path", "required": True},
    "run": {"type": "dict"},
    "snapshot": {"type": "dict"},
    "problem": {"type": "str", "default": ""},
    "due": {"type": "bool", "default": False},
    "hosts": {"type": "list", "elements": "str"},
    "findings": {"type": "list", "elements": "dict", "default": []},
}
MODE = 0o640


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
        except OSError as error:
            raise AnsibleActionFail(_unwritten(error)) from None
        return {**result, "changed": False, **wrap_var(found)}

    def _start(self, options: Mapping[str, t.Any], _task_vars: Mapping[str, t.Any]) -> dict[str, t.Any]:
        """Write the page of a run that has just started."""
        now = datetime.now(UTC)
        since = f"{now:%Y-%m-%dT%H:%M:%SZ}"
        page = running(options["playbook"], since)
        base = _reserve(options, now, page)
        site = read_site({"groups": {}, "hostvars": {}}, options["playbook"], check_mode=bool(self._task.check_mode))
        report = Report(site, since).as_dict()
        title = f"Running since {since}: if this is old, the run was killed"
        report["verdict"] = {"status": "unknown", "title": title, "lines": [], "steps": []}
        _write(base, page, report)
        return {"base": str(base), "started": f"{now:%Y-%m-%dT%H:%M:%S.%fZ}"}

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
        base = Path(run["base"]) if run else _reserve(options, datetime.now(UTC), page)
        told, unwritten = summary(report, f"{base}.html"), ""
        try:
            _write(base, page, found)
        except OSError as error:
            if not run:
                raise
            # What the run has done is still shown, and published.
            unwritten = _unwritten(error)
            told = [*summary(report), visible(unwritten)]
        # An earlier playbook of the same command may have written one as well.
        snapshot = options["snapshot"] or {}
        mine = snapshot.get("path") and snapshot["run"] == run.get("started")
        if mine and all(item.final_state in ("unchanged", "rolled_back") for item in report.site.hosts.values()):
            Path(snapshot["path"]).unlink(missing_ok=True)
        return {
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


def _write(base: Path, page: str, report: Mapping[str, t.Any]) -> None:
    """Write both files, and their copies."""
    text = json.dumps(report, indent=4, ensure_ascii=False) + "\n"
    for name in (base.name, "latest"):
        replace_file(base.with_name(f"{name}.json"), text, MODE)
        replace_file(base.with_name(f"{name}.html"), page, MODE)
