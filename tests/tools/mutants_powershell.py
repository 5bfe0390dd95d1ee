# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small mistakes in the PowerShell scripts, which tests/powershell/mutants.ps1 finds, and the tests that have to notice them."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import typing as t
from pathlib import Path

SCRIPTS = Path("plugins/plugin_utils/powershell")
PYTEST = [sys.executable, "-m", "pytest", "-q", "-x", "-m", "not matrix", "-p", "no:cacheprovider"]
FAULTS = Path("tests/faults")
TESTS = (
    # The quickest first.
    [sys.executable, "tests/powershell/run.py"],
    [*PYTEST, str(FAULTS / "test_powershell.py"), str(FAULTS / "test_upgrade.py")],
    [*PYTEST, str(FAULTS / "test_servers.py")],
)
LONGEST = 600


class Mistake(t.NamedTuple):
    """A script with one mistake."""

    path: Path
    kind: str
    code: str
    line: int
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.kind}: {self.before}  ->  {self.after}"


def mistakes(pwsh: str) -> list[Mistake]:
    """Return every mistake that can be made."""
    files = ",".join(f"'{path.resolve()}'" for path in sorted(SCRIPTS.glob("*.ps1")))
    command = f"& '{Path('tests/powershell/mutants.ps1').resolve()}' -Path {files}"
    done = subprocess.run([pwsh, "-NoProfile", "-NonInteractive", "-Command", command], capture_output=True, check=True)
    found = []
    for edit in json.loads(done.stdout):
        code = Path(edit["file"]).read_text(encoding="utf-8")
        changed = code[: edit["start"]] + edit["text"] + code[edit["end"] :]
        number = code.count("\n", 0, edit["start"])
        lines = [one.splitlines()[number].strip() for one in (code, changed)]
        found.append(Mistake(SCRIPTS / Path(edit["file"]).name, edit["kind"], changed, number + 1, *lines))
    return found


def sample(everything: list[Mistake], seed: int, count: int) -> list[Mistake]:
    """Return so many of them, of each kind and of each script in turn."""
    shuffled = [*everything]
    random.Random(seed).shuffle(shuffled)
    groups: dict[tuple[str, Path], list[Mistake]] = {}
    for one in shuffled:
        groups.setdefault((one.kind, one.path), []).append(one)
    chosen: list[Mistake] = []
    while len(chosen) < count and groups:
        for key in [*groups]:
            chosen.append(groups[key].pop())
            if not groups[key]:
                del groups[key]
    return chosen[:count]


def noticed() -> bool:
    """Run the tests until one fails, and report whether one did."""
    return any(fails(command, LONGEST) for command in TESTS)


def fails(command: list[str], longest: float) -> bool:
    """Report whether a command fails, or takes longer than this many seconds."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(["tests", os.environ.get("PYTHONPATH", "")])}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=longest)
    except subprocess.TimeoutExpired:
        return True
    return done.returncode != 0
