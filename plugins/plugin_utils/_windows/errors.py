# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a change to a VPN server is refused, or fails. No input or output."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping

from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Change, FinalState


class PlanError(Exception):
    """There is no safe plan, or it failed. The text says why, and what to do.

    ``final_state`` is the state of the server, ``changes`` is what is still changed, or may be, ``result`` is what else the task returns.
    """

    def __init__(
        self,
        message: str,
        final_state: FinalState = "unchanged",
        changes: Iterable[Change] = (),
        result: Mapping[str, t.Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.final_state = final_state
        self.changes = tuple(changes)
        self.result = dict(result or {})


def outcome(final_state: FinalState, changes: Iterable[Change] = ()) -> dict[str, t.Any]:
    """Return the keys that every result has."""
    return {"final_state": final_state, "changes": [change.as_dict() for change in changes]}
