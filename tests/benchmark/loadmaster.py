# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""LoadMaster: `loadmaster_transparency` over both versions of the API. No other Ansible module for it was found.

The stand-in cuts connections at more than 30 calls in 3 s, as the vendor documents, so many changed pairs take time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from benchmark.harness import GATEWAYS, Bench, Tasks, addresses
from lab.loadmaster import LoadMaster


class LoadMasterBench(Bench):
    """Pairs of virtual services."""

    title = "LoadMaster"
    others = (0, 500)

    def __init__(self, folder: Path) -> None:
        self.loadmaster = LoadMaster(calls_per_3s=30)
        super().__init__(self.loadmaster, folder)
        self.addresses: list[str] = []

    @property
    def ways(self) -> dict[str, Callable[[], Tasks]]:
        return {"version 1": lambda: self._tasks("1"), "version 2": lambda: self._tasks("2")}

    def fill(self, pairs: int, others: int) -> None:
        self.loadmaster.reset()
        self.loadmaster.state["services"].clear()
        self.addresses = addresses(pairs, 113)
        for number, address in enumerate(self.addresses):
            self.loadmaster.add_pair(address, f"ike{number}")
        for number, address in enumerate(addresses(others, 130)):
            self.loadmaster.add_service(address, 443, ("10.10.0.80",), NickName=f"web{number}", Protocol="tcp")

    def set_all(self, *, done: bool) -> None:
        time.sleep(3)  # so that the calls of the run before do not count
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

    def _tasks(self, version: str) -> Tasks:
        options = {**self.connection, "api_version": version, "return_path": GATEWAYS}
        return [{"aovpn.ikev2.loadmaster_transparency": options}]
