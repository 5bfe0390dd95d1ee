# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The scripts run in Windows PowerShell 5.1 and use what is published of it: PowerShell's own parser and the allow-lists say so."""

from __future__ import annotations

import json
import os
import subprocess
import typing as t
from pathlib import Path

from lab.shell import COMPILE_FAST

REPOSITORY = Path(__file__).parents[3]
FOLDER = REPOSITORY / "tests" / "powershell"
SCRIPTS = sorted((REPOSITORY / "plugins" / "plugin_utils" / "powershell").glob("*.ps1"))
# One mistake a line, and the code by which it has to be found. The last ones are none.
PLANTED = {
    "$a = $true ? 1 : 2": "new syntax",
    "$a = $null ?? 1": "new syntax",
    "$a ??= 1": "new syntax",
    "$null = ${a}?.Name": "new syntax",
    "$null = ${a}?[0]": "new syntax",
    "Get-Date && Get-Date": "new syntax",
    "Get-Date || Get-Date": "new syntax",
    "Get-Date &": "new syntax",
    "function Get-Own { end { 1 } clean { 2 } }": "new syntax",
    "$a = 0b101": "new syntax",
    "$a = 10u": "new syntax",
    '$a = "`u{2713}"': "new syntax",
    '$a = "`e[0m$b"': "new syntax",
    "if ($IsLinux) { 1 }": "new variable",
    "foreach ($a in 1..3 { $a }": "syntax",
    "gci -Path x": "alias",
    "Get-Content -Path x | % -Process { 1 }": "alias",
    "Invoke-Expression -Command x": "command",
    "powershell.exe -Command x": "command",
    "Get-Content x": "positional parameter",
    "Join-Path -Path x y": "positional parameter",
    "Get-NetRoute -Store ActiveStore": "parameter",
    "Get-NetRoute -Dest 0.0.0.0/0": "parameter",  # an abbreviation
    "Get-NetRoute -ifIndex 4": "parameter",  # an alias
    "Get-NetRoute -WhatIf": "parameter",
    "Get-Content -Path x -AsByteStream": "parameter",  # of PowerShell 6
    "ConvertFrom-Json -InputObject x -AsHashtable": "parameter",
    "ForEach-Object -Parallel { 1 }": "parameter",
    "Get-NetRoute -AddressFamily IPv5": "value",
    "New-ScheduledTaskPrincipal -UserId SYSTEM -LogonType Service": "value",
    "New-NetRoute -DestinationPrefix x -InterfaceIndex 4 -InterfaceAlias x": "parameter set",
    "New-NetRoute -DestinationPrefix x": "parameter set",
    "Register-ScheduledTask -TaskName x": "parameter set",
    "$b = @{ Name = 1 }; Get-NetRoute @b": "parameter",
    "$b = Get-Date; Get-NetRoute @b": "unknown splat",
    "[System.Net.WebClient]": "type",
    "[semver]'1.0'": "type",
    "[System.Net.Dns]::GetHostAddressesAsync('x')": "member",
    "'x'.Contains('x', 4)": "member",
    "(Get-Date).Nanosecond": "member",
    "New-Item -ItemType Directory -Path x -Force -Confirm:$false -ErrorAction Stop": "",
    "$b = @{ DestinationPrefix = 'x' }; Get-NetRoute @b -AddressFamily ipv4": "",
    "Get-Service -Name x | Where-Object -Property Status -EQ -Value 1": "",
    "& $change -Path x": "",
    '$a = "``e"; $b = 10kb; $c = 1.5d': "",
}


def check(pwsh: str, *paths: Path, syntax_only: bool = False) -> list[dict[str, t.Any]]:
    """Return what the static check finds in these scripts."""
    files = ",".join(f"'{path}'" for path in paths)
    command = f"& '{FOLDER / 'check.ps1'}' -Path {files}{' -SyntaxOnly' if syntax_only else ''}"
    done = subprocess.run(
        [pwsh, "-NoProfile", "-NonInteractive", "-Command", command],
        env={**os.environ, **COMPILE_FAST},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return t.cast("list[dict[str, t.Any]]", json.loads(done.stdout))


def test_the_scripts_are_of_windows_powershell_and_use_what_is_published(pwsh: str) -> None:
    assert check(pwsh, *SCRIPTS) == []


def test_their_tests_run_in_windows_powershell_too(pwsh: str) -> None:
    assert check(pwsh, *FOLDER.glob("*.Tests.ps1"), syntax_only=True) == []


def test_each_kind_of_mistake_is_found(pwsh: str, tmp_path: Path) -> None:
    names = {tmp_path / f"{number}.ps1": text for number, text in enumerate(PLANTED)}
    for path, text in names.items():
        path.write_text(text, encoding="utf-8")
    found: dict[str, set[str]] = {text: set() for text in PLANTED}
    for each in check(pwsh, *names):
        found[names[Path(each["file"])]].add(each["code"])
    missed = {text: codes for text, codes in found.items() if PLANTED[text] not in (codes or {""})}
    assert missed == {}
    # Of a mistake that is syntax, more may be found; of the others, that alone.
    assert {text: codes for text, codes in found.items() if len(codes) > 1 and "syntax" not in codes} == {}


def test_every_entry_of_the_allow_lists_names_its_page() -> None:
    allowed = json.loads((FOLDER / "allowed.json").read_text(encoding="utf-8"))
    pages = {
        name: page for part in ("types", "static", "methods", "properties") for name, page in allowed[part].items()
    }
    assert {name for name, page in pages.items() if not page.startswith("https://learn.microsoft.com/")} == set()
    used = "\n".join(path.read_text(encoding="utf-8") for path in SCRIPTS)
    assert {name for name in (*pages, *allowed["own"]) if name.rpartition("::")[2] not in used} == set()
