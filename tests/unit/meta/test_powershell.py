# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The PowerShell scripts can be parsed, also where there is no PowerShell, and follow the rules for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import tree_sitter_powershell
from tree_sitter import Language, Node, Parser

REPOSITORY = Path(__file__).parents[3]
SCRIPTS = sorted((REPOSITORY / "plugins" / "plugin_utils" / "powershell").glob("*.ps1"))
TESTS = sorted((REPOSITORY / "tests" / "powershell").glob("*.ps1"))


def mistakes(node: Node) -> Iterator[str]:
    """Return where the parser failed."""
    if node.is_error or node.is_missing:
        yield f"line {node.start_point.row + 1}: {(node.text or b'')[:60]!r}"
    for child in node.children:
        yield from mistakes(child)


def parse(text: str) -> list[str]:
    """Parse a script, and return its syntax errors."""
    return list(mistakes(Parser(Language(tree_sitter_powershell.language())).parse(text.encode()).root_node))


@pytest.mark.parametrize("path", [*SCRIPTS, *TESTS], ids=lambda path: path.name)
def test_a_script_can_be_parsed(path: Path) -> None:
    assert parse(path.read_text(encoding="utf-8")) == []


def test_the_parser_sees_mistakes() -> None:
    assert parse("foreach ($step in $Steps { $step }")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_strict_short_and_builds_no_commands(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "\nSet-StrictMode -Version 3\n$ErrorActionPreference = 'Stop'\n" in text
    assert "Invoke-Expression" not in text
    assert len(text.splitlines()) < 120
