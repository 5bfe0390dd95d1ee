# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table of outcomes in docs/windows.md: each cell names its tests, and each of these exists."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
TEXT = (REPOSITORY / "docs" / "windows.md").read_text(encoding="utf-8").partition("## What a change of the gateway")[2]
TESTS = dict(re.findall(r"^- (\w): `(\S+)`$", TEXT, re.MULTILINE))
ROWS = [[cell.strip() for cell in line.strip("| ").split("|")] for line in TEXT.splitlines() if line.startswith("| ")]


def test_each_cell_has_its_test() -> None:
    header, _rule, *rows = ROWS
    assert len(header) == 6
    assert len(rows) > 20
    named = [re.fullmatch(r".+ \((\w(?:, \w)*)\)", cell) for row in rows for cell in row[1:]]
    assert all(named)
    assert {letter for match in named if match for letter in match[1].split(", ")} == set(TESTS)


def test_each_of_these_tests_exists() -> None:
    for path, name in (test.split("::") for test in TESTS.values()):
        assert f"\ndef {name}(" in (REPOSITORY / path).read_text(encoding="utf-8"), name
