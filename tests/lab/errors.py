# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a stand-in of a Windows cmdlet fails."""

from __future__ import annotations

import typing as t


class CmdletError(Exception):
    """A PowerShell error: its message, category and id, and what it is about."""

    def __init__(self, message: str, category: str = "OperationStopped", id: str = "", target: t.Any = None) -> None:
        super().__init__(message)
        self.category = category
        self.id = id
        self.target = target
