# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Something odd anywhere in nested data, for whatever reads data that others have written. Also the settings of properties that run on the lab."""

from __future__ import annotations

import copy
import typing as t

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["10.10.0.1", "::1%2", "0.0.0.0/0", "1" * 5000]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)

Way: t.TypeAlias = "tuple[t.Any, ...]"


def places(value: t.Any, path: Way = ()) -> list[Way]:
    """List every place in nested dictionaries and lists."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in pairs for place in places(item, (*path, key)))]


def spoil(draw: t.Callable[[st.SearchStrategy[t.Any]], t.Any], value: t.Any, ways: list[Way]) -> None:
    """Delete what is at one of these places, or put something odd there."""
    *way, last = draw(st.sampled_from(ways))
    for key in way:
        value = value[key]
    if isinstance(value, dict) and draw(st.booleans()):
        del value[last]
    else:
        value[last] = draw(ODD)


@st.composite
def mutated(draw: st.DrawFn, good: t.Any) -> t.Any:
    """Return a copy with something odd at one to three places."""
    made = copy.deepcopy(good)
    for _again in range(draw(st.integers(1, 3))):
        if ways := [way for way in places(made) if way]:
            spoil(draw, made, ways)
    return made


def examples(number: int) -> settings:
    """Return the settings of a property whose examples are slow, because each drives an adapter: so many of them, in every profile."""
    slow = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(max_examples=number, deadline=None, suppress_health_check=slow)
