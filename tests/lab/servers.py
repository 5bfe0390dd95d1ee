# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Any number of VPN servers, without load balancers."""

from __future__ import annotations

from pathlib import Path

from lab.core import Device
from lab.psrp import PsrpHost
from lab.whole import Lab
from lab.windows import WindowsHost


class Servers(Lab):
    """VPN servers and nothing else; one whose name begins with psrp is reached by that."""

    def __init__(self, folder: Path, *names: str) -> None:
        super().__init__(folder)
        # With short routing tables: for each route, reading takes 10 ms.
        kinds = {name: PsrpHost if name.startswith("psrp") else WindowsHost for name in names}
        self.hosts = {name: kind(name, 1, short_table=True) for name, kind in kinds.items()}

    @property
    def load_balancers(self) -> list[Device]:
        """Return none."""
        return []

    @property
    def servers(self) -> list[WindowsHost]:
        """Return the servers."""
        return list(self.hosts.values())
