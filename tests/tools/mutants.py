# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Do the tests notice a mistake? Plant a sample of small mistakes in the pure code, one at a time, and run the tests of that file.

The scripts for the servers come first; see mutants_powershell.py. In Python, cosmic-ray makes the mistakes:
another comparison, a condition turned round, a break for a continue, another number. Type annotations are left alone.
Works in the checkout in which it is started, which has to be a copy; every file is put back.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import itertools
import random
import sys
import typing as t
from collections.abc import Callable, Iterator
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast_from_path
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

from lab.shell import find_powershell
from tools import mutants_powershell

UTILS = Path("plugins/module_utils")
UNITS, FAULTS = Path("tests/unit/plugins/module_utils"), Path("tests/faults")
TESTS: dict[Path, list[Path]] = {
    UTILS / "_engine.py": [UNITS / "test_engine.py", FAULTS / "test_matrix.py"],
    UTILS / "_plan.py": [UNITS / "test_engine.py", FAULTS / "test_restore.py"],
    UTILS / "_select.py": [UNITS / "test_engine.py"],
    UTILS / "_http.py": [UNITS / "test_http.py", FAULTS / "test_hostile.py", FAULTS / "test_matrix.py"],
    UTILS / "_transport.py": [UNITS / "test_http.py", FAULTS / "test_hostile.py"],
    UTILS / "_model.py": [UNITS / "test_model.py", UNITS / "test_engine.py"],
    UTILS / "_bigip/objects.py": [
        UNITS / "test_bigip.py",
        UNITS / "test_bigip_findings.py",
        UNITS / "test_bigip_objects.py",
        FAULTS / "test_bigip_odd.py",
        FAULTS / "test_bigip_field.py",
    ],
    UTILS / "_netscaler/joins.py": [UNITS / "test_netscaler.py", FAULTS / "test_netscaler_field.py"],
    UTILS / "_loadmaster/objects.py": [
        UNITS / "test_loadmaster.py",
        FAULTS / "test_loadmaster_field.py",
        FAULTS / "test_loadmaster_odd.py",
    ],
}
LONGEST = 300  # seconds: a mistake may make a loop endless, and then it is noticed as well


class Mutant(t.NamedTuple):
    """A file with one mistake."""

    path: Path
    operator: str
    code: str

    def __str__(self) -> str:
        before = self.path.read_text(encoding="utf-8").splitlines()
        lines = itertools.zip_longest(before, self.code.splitlines(), fillvalue="")
        number, (old, new) = next((place, pair) for place, pair in enumerate(lines, 1) if pair[0] != pair[1])
        return f"{self.path}:{number}: {old.strip()}  ->  {new.strip()}"


def meaning(code: str) -> str:
    """Return what the code does, without its annotations."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        for name in ("annotation", "returns"):
            if hasattr(node, name):
                setattr(node, name, ast.Constant(None))
        if isinstance(node, ast.Assign) and "TypeAlias" in ast.dump(node):
            node.value = ast.Constant(None)
    return ast.dump(tree)


def places(path: Path) -> Iterator[tuple[Path, str, int]]:
    """Return where cosmic-ray can make a mistake: the file, the kind of mistake, and which of the places for it."""
    nodes = [*ast_nodes(get_ast_from_path(path))]
    for name in operator_names():
        if get_operator(name).arguments():
            continue  # it replaces a variable that has to be named
        operator = get_operator(name)()
        for number, _position in enumerate(place for node in nodes for place in operator.mutation_positions(node)):
            yield path, name, number


def mutant(path: Path, name: str, number: int) -> Mutant | None:
    """Make a mistake; None where the code means the same as before, or nothing."""
    code = path.read_text(encoding="utf-8")
    # cosmic-ray takes every asterisk for a multiplication, and fails at exceptions with a dotted name.
    with contextlib.suppress(SyntaxError, AttributeError):
        changed = mutate_code(code, get_operator(name)(), number)
        if changed and meaning(changed) != meaning(code):
            return Mutant(path, name, changed)
    return None


def noticed(paths: list[Path]) -> bool:
    """Run these tests, and report whether one failed."""
    options = ["-q", "-x", "-m", "not matrix", "-p", "no:cacheprovider"]
    return mutants_powershell.fails([sys.executable, "-m", "pytest", *options, *map(str, paths)], LONGEST)


class Planted(t.Protocol):
    """A file with one mistake; see Mutant and mutants_powershell.Mistake."""

    @property
    def path(self) -> Path:
        """Return the file."""

    @property
    def code(self) -> str:
        """Return what it contains with the mistake."""


Mistake = t.TypeVar("Mistake", bound=Planted)


def try_all(sample: list[Mistake], possible: int, seed: int, noticed: Callable[[Mistake], bool]) -> None:
    """Plant one mistake after the other, and report the score and the survivors. Every file is put back."""
    survivors = []
    for number, one in enumerate(sample, 1):
        told = str(one)
        original = one.path.read_bytes()
        try:
            one.path.write_text(one.code, encoding="utf-8")
            killed = noticed(one)
        finally:
            one.path.write_bytes(original)
        survivors += [] if killed else [told]
        print(f"{number}/{len(sample)} {'noticed ' if killed else 'SURVIVED'} {told}", flush=True)
    print(f"{len(sample) - len(survivors)} of {len(sample)} noticed (of {possible} possible, seed {seed}).")
    for told in survivors:
        print(f"  survived: {told}")


def try_powershell(seed: int, count: int) -> None:
    """Try a sample of mistakes in the scripts for the servers."""
    pwsh = find_powershell()
    if not pwsh:
        print("LEFT OUT: the mistakes in the PowerShell scripts, because PowerShell is missing.", file=sys.stderr)
        return
    everything = mutants_powershell.mistakes(pwsh)
    sample = mutants_powershell.sample(everything, seed, count)
    try_all(sample, len(everything), seed, lambda _one: mutants_powershell.noticed())


def try_python(seed: int, count: int) -> None:
    """Try a sample of mistakes in the pure code."""
    everything = [place for path in TESTS for place in places(path)]
    random.Random(seed).shuffle(everything)
    sample = [*itertools.islice(filter(None, itertools.starmap(mutant, everything)), count)]
    try_all(sample, len(everything), seed, lambda one: noticed(TESTS[one.path]))


def main() -> None:
    """Try a sample of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--only", choices=["python", "powershell"])
    arguments = parser.parse_args()
    if arguments.only != "python":
        try_powershell(arguments.seed, arguments.count)
    if arguments.only != "powershell":
        try_python(arguments.seed, arguments.count)


if __name__ == "__main__":
    main()
