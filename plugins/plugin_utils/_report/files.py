# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The two files of a report, and their copies."""

from __future__ import annotations

import json
import typing as t
from collections.abc import Mapping
from pathlib import Path

from ansible_collections.aovpn.ikev2.plugins.module_utils._model import visible
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._files import replace_file
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._report.page import running

MODE = 0o640


def write(base: Path, page: str, report: Mapping[str, t.Any]) -> None:
    """Write both files, and their copies.

    :raises OSError: with the path that cannot be written.
    """
    text = json.dumps(report, indent=4, ensure_ascii=False) + "\n"
    for name in (base.name, "latest"):
        replace_file(base.with_name(f"{name}.json"), text, MODE)
        replace_file(base.with_name(f"{name}.html"), page, MODE)


def add_line(base: str, line: str) -> None:
    """Add a line to the report of a run that has not ended, and is about to end without another one. One that has ended is left alone.

    :raises OSError: if a file cannot be read or written.
    :raises Exception: one of NOT_UNDERSTOOD, if the file holds something else.
    """
    report = json.loads(Path(f"{base}.json").read_text(encoding="utf-8"))
    if report["verdict"]["steps"]:
        return
    lines = report["verdict"]["lines"]
    lines.append(visible(line))
    write(Path(base), running(report["playbook"], report["generated"], lines), report)
