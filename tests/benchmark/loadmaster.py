# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""LoadMaster: `loadmaster_transparency`. No other Ansible module for it was found."""

from __future__ import annotations

from pathlib import Path

from benchmark.harness import Bench, addresses
from lab.core import CertificateAuthority
from lab.loadmaster import LoadMaster


class LoadMasterBench(Bench):
    """Pairs of virtual services."""

    module = "loadmaster_transparency"

    def __init__(self, folder: Path, authority: CertificateAuthority) -> None:
        self.loadmaster = LoadMaster()
        super().__init__(self.loadmaster, folder, authority)
        self.addresses: list[str] = []

    def fill(self, pairs: int, others: int) -> None:
        self.loadmaster.reset()
        self.loadmaster.state["services"].clear()
        self.addresses = addresses(pairs, 113)
        for number, address in enumerate(self.addresses):
            self.loadmaster.add_pair(address, f"ike{number}")
        for number, address in enumerate(addresses(others, 130)):
            self.loadmaster.add_service(address, 443, ("10.10.0.80",), NickName=f"web{number}", Protocol="tcp")

    def set_all(self, *, done: bool) -> None:
        for address in self.addresses:
            for port in (500, 4500):
                self.loadmaster.service(address, port)["Transparent"] = done

    def not_done(self) -> list[str]:
        return [
            f"{address}:{port}"
            for address in self.addresses
            for port in (500, 4500)
            if not self.loadmaster.service(address, port)["Transparent"]
        ]
