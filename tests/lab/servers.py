# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Any number of VPN servers, without load balancers."""

from __future__ import annotations

from ipaddress import IPv4Interface
from pathlib import Path

from lab.core import Device
from lab.psrp import PsrpHost
from lab.whole import Lab
from lab.windows import WindowsHost


class Servers(Lab):
    """VPN servers and nothing else; one whose name begins with psrp is reached by that."""

    def __init__(self, folder: Path, *names: str) -> None:
        super().__init__(folder)
        self.hosts = {name: (PsrpHost if name.startswith("psrp") else WindowsHost)(name, 1) for name in names}
        for host in self.hosts.values():
            # Without the routes that Windows has for multicast, broadcast and itself: for a route, reading takes 10 ms.
            state = host.state
            own = [str(IPv4Interface(nic["address"]).network) for nic in state["nics"]]
            active = [
                route for route in state["routes"]["active"] if route["next_hop"] != "0.0.0.0" or route["dest"] in own
            ]
            state["routes"]["active"] = active

    @property
    def load_balancers(self) -> list[Device]:
        """Return none."""
        return []

    @property
    def servers(self) -> list[WindowsHost]:
        """Return the servers."""
        return list(self.hosts.values())
