# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plain values of what Ansible hands over, which marks texts and templates containers late. No input or output."""

from __future__ import annotations

import math
import typing as t
from collections.abc import Mapping, Set


def plain(value: t.Any) -> t.Any:
    """Make plain values, as JSON knows them, of whatever Ansible hands over."""
    if value is None or isinstance(value, bool):
        return value
    # Of a subclass (Ansible marks what it hands over), these make the plain type.
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str.__str__(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Set):
        return sorted((plain(item) for item in value), key=str)
    return str.__str__(str(value))
