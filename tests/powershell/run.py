# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the Pester tests on Linux: in PowerShell 7, on a server of the lab, with its stand-ins for the cmdlets of Windows.

Without PowerShell or Pester it says what is missing, and does nothing; with CI=true that is a failure.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lab.shell import SETTINGS, STAND_INS, find_powershell, shell
from lab.windows import WindowsHost

FOLDER = Path(__file__).resolve().parent
MISSING = {
    "PowerShell": "Install Microsoft's package powershell, so that pwsh is on the PATH.",
    "Pester": "Install it with: pwsh -Command Install-Module -Name Pester -MinimumVersion 5.5 -Scope CurrentUser",
}


def missing(what: str) -> int:
    """Report what is missing, and return the exit code."""
    print(f"LEFT OUT: the Pester tests. {what} is missing. {MISSING[what]}", file=sys.stderr)
    return 1 if os.environ.get("CI") else 0


def main() -> int:
    """Run the tests, and return how many failed."""
    if not find_powershell():
        return missing("PowerShell")
    host = WindowsHost("pester", 1)
    host.state["sas"][0]["key_module"] = 3
    environment = {**shell().common(), **shell().environment(host)}
    pwsh = [environment["LAB_PWSH"], *SETTINGS, "-NoProfile", "-NonInteractive", "-Command"]
    found = subprocess.run(
        [*pwsh, "exit [int](-not (Get-Module -ListAvailable -Name Pester))"], env=environment, check=False
    )
    if found.returncode:
        return missing("Pester")
    command = f". '{STAND_INS / 'start.ps1'}'; & '{FOLDER / 'run.ps1'}' -Whole; exit $LASTEXITCODE"
    return subprocess.run([*pwsh, command], env=environment, stdin=subprocess.DEVNULL, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
