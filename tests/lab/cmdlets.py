"""A stub until the real one is merged."""

from __future__ import annotations

import typing as t

from lab.errors import CmdletError


def run(state: t.Any, command: str, parameters: t.Any, set_name: str) -> list[t.Any]:
    """Refuse."""
    raise CmdletError(f"the lab has no {command}")
