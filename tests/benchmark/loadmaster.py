# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""LoadMaster: `loadmaster_transparency` on the stand-in, over both versions of the API. No other Ansible module for it was found.

These are whole runs of ansible-playbook, so the wall time holds its start. Requests are those that the stand-in has
counted. It cuts connections at more than 30 calls in 3 s, as the vendor documents, so many changed pairs take time.
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
from lab.loadmaster import LoadMaster

GATEWAYS = {"10.10.0.11": "10.10.0.1", "10.10.0.12": "10.10.0.1"}


class Bench:
    """A stand-in with so many pairs among so many others."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = folder / "ca.pem"
        self.device = LoadMaster(calls_per_3s=30)
        authority = CertificateAuthority()
        authority.write(self.ca)
        self.device.start(authority)
        self.addresses: list[str] = []

    def fill(self, pairs: int, others: int, *, transparent: bool) -> None:
        """Have exactly so many pairs, and so many other virtual services."""
        self.device.reset()
        self.device.state["services"].clear()
        self.addresses = [f"203.0.{113 + number // 250}.{number % 250 + 1}" for number in range(pairs)]
        for number, address in enumerate(self.addresses):
            self.device.add_pair(address, f"ike{number}", Transparent=transparent)
        for number in range(others):
            address = f"198.51.{number // 250}.{number % 250 + 1}"
            self.device.add_service(address, 443, ("10.10.0.80",), NickName=f"web{number}", Protocol="tcp")

    def run(self, version: str) -> tuple[int, float]:
        """Run our task on every pair at once, see that it ends where it has to, and give requests and seconds."""
        connection = self.device.variables(self.ca)["load_balancer_connection"]
        task = {**connection, "api_version": version, "return_path": GATEWAYS}
        play = {
            "hosts": "localhost",
            "gather_facts": False,
            "tasks": [{"aovpn.ikev2.loadmaster_transparency": task}],
        }
        playbook = self.folder / "play.json"
        playbook.write_text(json.dumps([play]), encoding="utf-8")
        started = time.monotonic()
        command = [str(Path(sys.executable).parent / "ansible-playbook"), str(playbook)]
        done = subprocess.run(
            command,
            env={**os.environ, "ANSIBLE_PIPELINING": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - started
        wrong = [
            address
            for address in self.addresses
            for port in (500, 4500)
            if not self.device.service(address, port)["Transparent"]
        ]
        if done.returncode or wrong:
            raise SystemExit(f"the job was not done ({wrong[:3]}):\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return len(self.device.log), seconds


def main() -> None:
    """Run every combination, and print a row as soon as it is known."""
    parser = argparse.ArgumentParser(prog="benchmark.loadmaster", description=__doc__)
    parser.add_argument("--pairs", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--others", type=int, nargs="+", default=[0, 500])
    arguments = parser.parse_args()
    console = Console(width=110)
    table = Table(title="LoadMaster: requests and seconds (no other Ansible module was found)", title_justify="left")
    for column in ("pairs", "others", "run", "version 1", "", "version 2", ""):
        table.add_column(column, justify="left" if column == "run" else "right")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for pairs in arguments.pairs:
            for others in arguments.others:
                for name, transparent in (("unchanged", True), ("changed", False)):
                    costs = []
                    for version in ("1", "2"):
                        bench.fill(pairs, others, transparent=transparent)
                        requests, seconds = bench.run(version)
                        costs += [str(requests), f"{seconds:.1f} s"]
                    table.add_row(str(pairs), str(others), name, *costs)
                    console.print(f"{pairs} pairs, {others} others, {name}: {', '.join(costs)}")
        bench.device.stop()
    console.print(table)


if __name__ == "__main__":
    main()
