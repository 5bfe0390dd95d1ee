# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Misspelt names of variables and groups. No input or output."""

from __future__ import annotations

import difflib
import functools
import typing as t
from collections.abc import Collection, Iterable, Mapping

LOAD_BALANCERS: t.Final = "ikev2_load_balancers"
SERVERS: t.Final = "rras"

PREFIXES = ("load_balancer_", "rras_", "report_")
"""How the names of the roles' variables begin."""

OF_PLAYBOOKS = (
    "fail_on_drift",
    "ikev2_snapshot",
    "probe",
    "report_directory",
    "report_name",
    "snapshot",
    "snapshot_directory",
)
"""The variables of the playbooks themselves."""


PLANNED = ("rras_gateway_probe",)
"""Options of the roles that are announced, and have no effect yet."""

SET = (
    "load_balancer_result",
    "report_written",
    "rras_facts",
    "rras_gateway_result",
    "rras_limit_result",
    "rras_read",
    "rras_restore_result",
)
"""What roles and playbooks set on hosts, which a second playbook of the same run finds there."""

RESEMBLING: t.Final[Mapping[str, tuple[str, ...]]] = {
    LOAD_BALANCERS: (LOAD_BALANCERS, "load_balancers", "ikev2_lbs", "lb", "lbs"),
    SERVERS: (SERVERS, "rras_servers", "ikev2_servers", "vpn_servers", "vpn", "ras_servers"),
}
"""What else the two groups are called."""
PARTS: t.Final[Mapping[str, str]] = {LOAD_BALANCERS: "balancer", SERVERS: "rras"}


def misspelt(name: str, options: Collection[str]) -> str | None:
    """Report a variable that is not one of ``options`` and looks as if it were meant for one of them."""
    return None if name in SET else _misspelt(name, frozenset({*options, *PLANNED, *OF_PLAYBOOKS}))


@functools.cache
def _misspelt(name: str, options: frozenset[str]) -> str | None:
    if name in options:
        return None

    def distance(option: str) -> tuple[bool, bool, int]:
        apart = _letters_apart(name, option)
        # After a slip of one letter, what the name abbreviates, as report_dir does.
        return apart > 1, not option.startswith(name.lower()), apart

    near = min(sorted(options), key=distance)
    prefix = next((prefix for prefix in PREFIXES if name.lower().startswith(prefix)), None)
    if _letters_apart(name, near) > _tolerance(near):
        if not prefix:
            return None
        if not near.startswith(name.lower()):
            near = max(sorted(options), key=lambda option: difflib.SequenceMatcher(None, name.lower(), option).ratio())
    rename = f"so that it does not begin with {prefix}" if prefix else "to something that is less like it"
    return (
        f"there is no variable {name}. The nearest is {near}."
        f" If {name} belongs to another role, rename it {rename}: it cannot be distinguished from a misspelling."
    )


def _letters_apart(name: str, option: str) -> int:
    """Return how many letters were changed, added or left out; two that were swapped count as one."""
    name = name.lower()
    shared = difflib.SequenceMatcher(None, name, option, autojunk=False).get_matching_blocks()
    return max(len(name), len(option)) - sum(block.size for block in shared)


def _tolerance(option: str) -> int:
    """Return how many letters may be wrong: in a short name one, since with two ``proxy`` would be a ``probe``."""
    return 2 if len(option) >= len("snapshot") else 1


def resembling(wanted: str, groups: Mapping[str, Collection[str]]) -> list[str]:
    """Return the groups with hosts whose names resemble that of one of our two groups."""
    return sorted(
        name
        for name, members in groups.items()
        if members
        and name not in ("all", "ungrouped", *RESEMBLING)
        and (
            PARTS[wanted] in (plain := name.lower().replace("-", "_"))
            or difflib.get_close_matches(plain, RESEMBLING[wanted], n=1, cutoff=0.8)
        )
    )


def place(found: Collection[str], hosts: Iterable[str], groups: Mapping[str, Collection[str]]) -> str:
    """Return what to call these hosts of the run: the host, a group, or every host."""
    if len(found) == 1:
        return next(iter(found))
    run = {*hosts}
    members = {
        name: {*groups.get(name, ())} & run for name in (LOAD_BALANCERS, SERVERS, *sorted(groups)) if name != "all"
    }
    if {*found} >= members[LOAD_BALANCERS] | members[SERVERS] and members[LOAD_BALANCERS] and members[SERVERS]:
        return "every host"
    return next((f"group {name}" for name in members if members[name] == {*found}), ", ".join(found))
