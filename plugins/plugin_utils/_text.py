# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How messages and the report write values, changes, numbers, lists, and names that come from a device. No input or output."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence


def setting(value: t.Any) -> str:
    """Write a device's setting."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, dict):
        if "type" in value:  # as in "snat /Common/pool"
            return " ".join(str(value[key]) for key in sorted(value, key=lambda key: (key != "type", key)))
        return ", ".join(f"{key} {value[key]}" for key in sorted(value))
    return "absent" if value is None else str(value)


def change_text(change: Mapping[str, t.Any]) -> str:
    """Write a change, as in "/Common/vs_ikev2_500, snat: automap → none"."""
    of = "" if change["scope"] == "device" else f"{change['id']}, "
    return f"{of}{change['setting']}: {setting(change['before'])} → {setting(change['after'])}"


def of_host(host: str, message: str) -> str:
    """Write a message with its host in front, unless it begins with that already."""
    return message if message.startswith(f"{host}: ") else f"{host}: {message}"


def counted(number: int, noun: str, plural: str = "") -> str:
    """Write a number with its noun."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def listed(parts: Sequence[str], most: int = 4) -> str:
    """Write the first ``most`` parts of a list, as in "one, two and 3 more"."""
    shown = [*parts[:most], f"{len(parts) - most} more"] if len(parts) > most else [*parts]
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
