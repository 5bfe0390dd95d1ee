# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Citrix ADC: `netscaler_usip` on the stand-in, beside the published costs of netscaler.adc 2.18.

The peer is not run here: its 13 requests unchanged and 15 changed for one pair and the mode are published figures,
and one job a pair is what they are multiplied by. Ours are whole runs of ansible-playbook, so the wall time holds its start.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lab.core import CertificateAuthority
from lab.netscaler import NetScaler

GATEWAYS = {"10.10.0.11": "10.10.0.1", "10.10.0.12": "10.10.0.1"}
PUBLISHED = {"unchanged": 13, "changed": 15}
"""Requests of netscaler.adc 2.18 for one pair and the mode; published, not measured here."""


class Bench:
    """A stand-in with so many pairs among so many other service groups."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = folder / "ca.pem"
        self.device = NetScaler("netscaler")
        authority = CertificateAuthority()
        authority.write(self.ca)
        self.device.start(authority)
        self.names: list[str] = []

    def fill(self, pairs: int, others: int) -> None:
        """Have exactly so many pairs, and so many other service groups, bound like them to virtual servers."""
        self.device.reset()
        config = self.device.config
        self.names = []
        portal, server = config["servicegroup"]["sg_portal"], config["lbvserver"]["lb_vs_portal"]
        for name in ("lbvserver", "servicegroup", "lbgroup"):
            config[name].clear()
        for name in [name for name in config if name.endswith("_binding")]:
            config[name].clear()
        for number in range(pairs):
            self.names += self.device.add_pair(f"203.0.{113 + number // 250}.{number % 250 + 1}", f"ike{number}")
        for number in range(others):
            config["servicegroup"][f"web{number}"] = {**portal, "servicegroupname": f"web{number}"}
            config["lbvserver"][f"lb{number}"] = {**server, "name": f"lb{number}"}
            config["lbvserver_servicegroup_binding"].append({"name": f"lb{number}", "servicegroupname": f"web{number}"})
            config["servicegroup_servicegroupmember_binding"].append(
                {"servicegroupname": f"web{number}", "ip": "10.10.0.21", "port": 443}
            )

    def set_all(self, done: bool) -> None:
        """Set every pair and the mode, past the API."""
        self.device.config["nsmode"]["usnip"] = done
        for name in self.names:
            self.device.config["servicegroup"][name]["usip"] = "YES" if done else "NO"

    def run(self) -> tuple[int, float]:
        """Run our task, every pair at once, see that it ends where it has to, and give requests and seconds."""
        connection = self.device.variables(self.ca)["load_balancer_connection"]
        task = {"aovpn.ikev2.netscaler_usip": {**connection, "return_path": GATEWAYS}}
        playbook = self.folder / "play.json"
        play = {"hosts": "localhost", "gather_facts": False, "tasks": [task]}
        playbook.write_text(json.dumps([play]), encoding="utf-8")
        self.device.log.clear()
        started = time.monotonic()
        done = subprocess.run(
            [str(Path(sys.executable).parent / "ansible-playbook"), str(playbook)],
            env={**os.environ, "ANSIBLE_PIPELINING": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - started
        wrong = [name for name in self.names if self.device.config["servicegroup"][name]["usip"] != "YES"]
        if done.returncode or wrong:
            raise SystemExit(f"the job was not done ({wrong[:3]}):\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return len(self.device.log), seconds


def main() -> None:
    """Run every combination, and print a row as soon as it is known."""
    parser = argparse.ArgumentParser(prog="benchmark.netscaler", description=__doc__)
    parser.add_argument("--pairs", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--others", type=int, nargs="+", default=[0, 500, 2000])
    arguments = parser.parse_args()
    console = Console(width=110)
    table = Table(title="Citrix ADC: requests and seconds", title_justify="left")
    for column in ("pairs", "others", "run", "netscaler_usip", "", "netscaler.adc (published, not measured here)"):
        table.add_column(column, justify="left" if column == "run" else "right")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for pairs in arguments.pairs:
            for others in arguments.others:
                bench.fill(pairs, others)
                for name, published in PUBLISHED.items():
                    bench.set_all(name == "unchanged")
                    requests, seconds = bench.run()
                    costs = [str(requests), f"{seconds:.1f} s", f"{published * pairs} in {pairs} jobs"]
                    table.add_row(str(pairs), str(others), name, *costs)
                    console.print(f"{pairs} pairs, {others} others, {name}: {', '.join(costs)}")
        bench.device.stop()
    console.print(table)


if __name__ == "__main__":
    main()
