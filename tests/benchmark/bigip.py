# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""BIG-IP: `bigip_snat` beside `bigip_virtual_server` of f5networks.f5_modules, on the same stand-in.

The peer is at its fastest: telemetry and checks off, one play, one task that loops over the virtual servers.
"""

from __future__ import annotations

from pathlib import Path

from benchmark.harness import Bench, Tasks, addresses
from lab.bigip import BigIp
from lab.core import CertificateAuthority

AUTOMAP, NONE = {"type": "automap"}, {"type": "none"}


class BigIpBench(Bench):
    """Pairs of virtual servers."""

    module = "bigip_snat"

    def __init__(self, folder: Path, authority: CertificateAuthority) -> None:
        self.bigip = BigIp()
        super().__init__(self.bigip, folder, authority)
        self.names: list[str] = []

    def fill(self, pairs: int, others: int) -> None:
        self.bigip.reset()
        for store in ("virtual", "virtual-address"):
            self.bigip.state[store].clear()
        made = [
            self.bigip.add_pair(f"/Common/ike{number}", address) for number, address in enumerate(addresses(pairs, 113))
        ]
        self.names = [name for pair in made for name in pair]
        for number, address in enumerate(addresses(others, 130)):
            self.bigip.add_virtual(f"/Common/web{number}", address, 443, protocol="tcp")

    def set_all(self, *, done: bool) -> None:
        for name in self.names:
            self.bigip.state["virtual"][name]["sourceAddressTranslation"] = dict(NONE if done else AUTOMAP)

    def not_done(self) -> list[str]:
        virtual = self.bigip.state["virtual"]
        return [name for name in self.names if virtual[name]["sourceAddressTranslation"] != NONE]

    def theirs(self) -> Tasks:
        """Return the peer's task: one virtual server after the other."""
        provider = {
            "server": self.connection["host"],
            "server_port": self.connection["port"],
            "user": self.connection["username"],
            "password": self.connection["password"],
            "no_f5_teem": True,
        }
        options = {"name": "{{ item }}", "snat": "None", "provider": provider, "bypass_module_checks": True}
        names = [name.rpartition("/")[2] for name in self.names]
        return [{"f5networks.f5_modules.bigip_virtual_server": options, "loop": names}]
