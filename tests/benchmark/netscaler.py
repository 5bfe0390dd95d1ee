# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Citrix ADC: `netscaler_usip`. Its peer, netscaler.adc, is not run here."""

from __future__ import annotations

from pathlib import Path

from benchmark.harness import Bench, addresses
from lab.core import CertificateAuthority
from lab.netscaler import NetScaler


class NetScalerBench(Bench):
    """Pairs of service groups."""

    module = "netscaler_usip"

    def __init__(self, folder: Path, authority: CertificateAuthority) -> None:
        self.adc = NetScaler()
        super().__init__(self.adc, folder, authority)
        self.names: list[str] = []

    def fill(self, pairs: int, others: int) -> None:
        """Others are bound to virtual servers like the pairs."""
        self.adc.reset()
        config = self.adc.config
        portal, server = config["servicegroup"]["sg_portal"], config["lbvserver"]["lb_vs_portal"]
        for name in ("lbvserver", "servicegroup", "lbgroup", *(name for name in config if name.endswith("_binding"))):
            config[name].clear()
        made = [self.adc.add_pair(address, f"ike{number}") for number, address in enumerate(addresses(pairs, 113))]
        self.names = [name for pair in made for name in pair]
        for number in range(others):
            config["servicegroup"][f"web{number}"] = {**portal, "servicegroupname": f"web{number}"}
            config["lbvserver"][f"lb{number}"] = {**server, "name": f"lb{number}"}
            config["lbvserver_servicegroup_binding"].append({"name": f"lb{number}", "servicegroupname": f"web{number}"})
            config["servicegroup_servicegroupmember_binding"].append(
                {"servicegroupname": f"web{number}", "ip": "10.10.0.21", "port": 443}
            )

    def set_all(self, *, done: bool) -> None:
        self.adc.config["nsmode"]["usnip"] = done
        for name in self.names:
            self.adc.config["servicegroup"][name]["usip"] = "YES" if done else "NO"

    def not_done(self) -> list[str]:
        left = [name for name in self.names if self.adc.config["servicegroup"][name]["usip"] != "YES"]
        return left if self.adc.config["nsmode"]["usnip"] else ["usnip", *left]
