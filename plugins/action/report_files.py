# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write a report's two files on the controller."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._files import replace_file
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._plain import plain
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._report import summary
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._report_page import render

ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "report": {"type": "dict", "required": True},
    "path": {"type": "path", "required": True},
}


class ActionModule(ActionBase):
    """The action behind the module of the same name, which documents it."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the task, in check mode too: a report is not a change."""
        self._supports_check_mode = True
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _dummy, options = self.validate_argument_spec(ARGUMENTS)
        report = plain(options["report"])
        files = {
            "json": json.dumps(report, indent=4, ensure_ascii=False) + "\n",
            "html": render(report),
        }
        written = {ending: Path(f"{options['path']}.{ending}") for ending in files}
        try:
            written["json"].parent.mkdir(parents=True, exist_ok=True)
            for ending, path in written.items():
                replace_file(path, files[ending], 0o644)
        except OSError as error:
            raise AnsibleActionFail(
                f"The report cannot be written to {error.filename}: {error.strerror}."
                " Set 'report_directory' to a folder on the controller that this user may write to."
            ) from error
        paths = {ending: str(path) for ending, path in written.items()}
        return {**result, "changed": False, **paths, "summary": summary(report, paths["html"])}
