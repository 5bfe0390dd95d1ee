# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Combinations of parameters, and which of them are in `make test`."""

from __future__ import annotations

import itertools
import typing as t

import pytest


def a_third(*axes: t.Iterable[t.Any]) -> list[t.Any]:
    """Return every combination, as parameters: a third of them, with each value of each axis, and the others for `make test-all`."""
    made = []
    for chosen in itertools.product(*map(enumerate, axes)):
        places, values = zip(*chosen, strict=True)
        name = "-".join(map(str, values))
        made.append(pytest.param(*values, id=name, marks=pytest.mark.matrix if sum(places) % 3 else ()))
    return made
