# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's clock, which tests may replace, and what a PowerShell of the lab sees of it: its own clock goes on as always."""

from __future__ import annotations

import time
from datetime import datetime


def now() -> float:
    """Return the lab's time in seconds."""
    return time.time()


def to_datetime(when: float) -> datetime:
    """Return the time of PowerShell's clock that is as far away as a time of the lab's."""
    return datetime.fromtimestamp(datetime.now().timestamp() + when - now()).astimezone()


def from_datetime(when: datetime) -> float:
    """Return the lab's time that is as far away as a time of PowerShell's clock."""
    return now() + (when - datetime.now(when.tzinfo)).total_seconds()
