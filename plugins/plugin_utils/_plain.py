# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plain values from what Ansible passes: tagged strings, and containers that are templated late. No input or output."""

from __future__ import annotations

import math
import typing as t
from collections.abc import Mapping, Set


def plain(value: t.Any) -> t.Any:
    """Return plain values, as in JSON, for whatever Ansible passes."""
    if value is None or isinstance(value, bool):
        return value
    # Ansible's tagged values are of subclasses. These calls return the plain type.
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
