# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection's scripts, and the texts that scheduled tasks run: no files, which an execution policy could forbid, and another could change."""

from __future__ import annotations

import base64
import json
import typing as t
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.errors import PlanError
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.gateway_findings import IDENTIFIED
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.steps import Step

POWERSHELL = Path(__file__).parents[1] / "powershell"

LONGEST = 32000
"""How many characters a task's command may have: Windows starts no program with a command line of more than 32767."""


def text_of(script: str) -> str:
    """Return the text of one of the collection's scripts."""
    return (POWERSHELL / script).read_text(encoding="utf-8")


def lines(steps: Iterable[Step]) -> list[str]:
    """Return steps as change_routes.ps1 takes them."""
    return [step.line for step in steps]


def apply_command(switch: Iterable[Step], private: str = "") -> str:
    """Return the command that switches the gateway, and does nothing unless the rollback is armed.

    ``private``: an interface whose network stays private.

    :raises PlanError: if there are too many steps.
    """
    kept = {"Alias": private, "Category": "Private", "Seconds": IDENTIFIED}
    after = _call("keep_network.ps1", kept, "") if private else ""
    return _encoded(_call("change_routes.ps1", {"Steps": lines(switch)}, "-Armed") + after)


def rollback_command(
    steps: Iterable[Step], remember: Iterable[str], more: Mapping[str, t.Any] = MappingProxyType({})
) -> str:
    """Return the command that restores the old routes, and ends the change. ``more``: what else change_routes.ps1 is given.

    :raises PlanError: if there are too many steps.
    """
    restored = {"Steps": lines(steps), "Remember": [*remember], **more}
    return _encoded(_call("change_routes.ps1", restored, "-RollBack") + _call("end_change.ps1", {}, "-RollBack"))


def rehearsal_command() -> str:
    """Return a command that needs what the rollback needs, and changes nothing."""
    return _encoded(_call("change_routes.ps1", {"Steps": []}, "-RollBack"))


def _call(script: str, parameters: dict[str, t.Any], switch: str) -> str:
    """Return a call of a script. What it is given is JSON in ASCII, so that nothing in it can be more than text."""
    code = "\n".join(
        line for line in text_of(script).splitlines() if line.strip() and not line.lstrip().startswith("#")
    )
    plain = json.dumps(parameters, separators=(",", ":")).replace("'", "''")
    given = "".join(f" -{name} $given.{name}" for name in parameters)
    return f"$given = ConvertFrom-Json -InputObject '{plain}'\n& {{\n{code}\n}}{given} {switch}\n"


def _encoded(text: str) -> str:
    # In the global scope, so that an error ends the whole text.
    command = base64.b64encode(f"$ErrorActionPreference = 'Stop'\n{text}".encode("utf-16-le")).decode()
    if len(command) > LONGEST:
        raise PlanError(
            "the change has too many routes for one scheduled task. Give shorter prefixes in 'preserve_routes' that contain the others."
        )
    return command
