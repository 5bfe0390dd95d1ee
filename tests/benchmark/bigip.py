# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""BIG-IP: `bigip_snat` beside `bigip_virtual_server` of f5networks.f5_modules, on the same stand-in.

The peer is at its fastest: telemetry off, one play, one task that loops over the virtual servers. Both are whole runs
of ansible-playbook, so both wall times hold its start. Requests are those that the stand-in has counted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lab.bigip import BigIp
from lab.core import CertificateAuthority

AUTOMAP, NONE = {"type": "automap"}, {"type": "none"}
GATEWAYS = {"10.10.0.11": "10.10.0.1", "10.10.0.12": "10.10.0.1"}


class Bench:
    """A stand-in with so many pairs among so many others, and the two ways to the same end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = folder / "ca.pem"
        self.device = BigIp("bigip")
        authority = CertificateAuthority()
        authority.write(self.ca)
        self.device.start(authority)
        self.names: list[str] = []

    def fill(self, pairs: int, others: int) -> None:
        """Have exactly so many pairs, and so many other virtual servers."""
        self.device.reset()
        for store in ("virtual", "virtual-address"):
            self.device.state[store].clear()
        self.names = []
        for number in range(pairs):
            self.names += self.device.add_pair(
                f"/Common/ike{number}", f"203.0.{113 + number // 250}.{number % 250 + 1}"
            )
        for number in range(others):
            self.device.add_virtual(
                f"/Common/web{number}", f"198.51.{number // 250}.{number % 250 + 1}", 443, protocol="tcp"
            )

    def set_all(self, translation: dict[str, str]) -> None:
        """Set every pair, past the API, and forget what was asked."""
        for name in self.names:
            self.device.state["virtual"][name]["sourceAddressTranslation"] = dict(translation)
        self.device.log.clear()

    def ours(self) -> list[dict[str, t.Any]]:
        """Give our task: every pair at once."""
        connection = self.device.variables(self.ca)["load_balancer_connection"]
        return [{"aovpn.ikev2.bigip_snat": {**connection, "return_path": GATEWAYS}}]

    def theirs(self) -> list[dict[str, t.Any]]:
        """Give the peer's task: one virtual server after the other."""
        connection = self.device.variables(self.ca)["load_balancer_connection"]
        provider = {
            "server": connection["host"],
            "server_port": connection["port"],
            "user": connection["username"],
            "password": connection["password"],
            "no_f5_teem": True,
        }
        options = {"name": "{{ item }}", "snat": "None", "provider": provider}
        names = [name.rpartition("/")[2] for name in self.names]
        return [{"f5networks.f5_modules.bigip_virtual_server": options, "loop": names}]

    def run(self, tasks: list[dict[str, t.Any]]) -> tuple[int, float]:
        """Run tasks, see that they end where they have to, and give requests and seconds."""
        play = {"hosts": "localhost", "gather_facts": False, "tasks": tasks}
        playbook = self.folder / "play.json"
        playbook.write_text(json.dumps([play]), encoding="utf-8")
        environment = {
            **os.environ,
            "F5_TELEMETRY_OFF": "true",
            "SSL_CERT_FILE": str(self.ca),
            "ANSIBLE_PIPELINING": "1",
        }
        self.device.log.clear()
        started = time.monotonic()
        command = [str(Path(sys.executable).parent / "ansible-playbook"), str(playbook)]
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        seconds = time.monotonic() - started
        wrong = [name for name in self.names if self.device.state["virtual"][name]["sourceAddressTranslation"] != NONE]
        if done.returncode or wrong:
            raise SystemExit(f"the job was not done ({wrong[:3]}):\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return len(self.device.log), seconds


def main() -> None:
    """Run every combination, and print a row as soon as it is known."""
    parser = argparse.ArgumentParser(prog="benchmark.bigip", description=__doc__)
    parser.add_argument("--pairs", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--others", type=int, nargs="+", default=[0, 500, 2000])
    arguments = parser.parse_args()
    console = Console(width=110)
    table = Table(title="BIG-IP: requests and seconds", title_justify="left")
    for column in ("pairs", "others", "run", "bigip_snat", "", "bigip_virtual_server", ""):
        table.add_column(column, justify="left" if column == "run" else "right")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for pairs in arguments.pairs:
            for others in arguments.others:
                bench.fill(pairs, others)
                for name, before in (("unchanged", NONE), ("changed", AUTOMAP)):
                    costs = []
                    for tasks in (bench.ours(), bench.theirs()):
                        bench.set_all(before)
                        requests, seconds = bench.run(tasks)
                        costs += [str(requests), f"{seconds:.1f} s"]
                    table.add_row(str(pairs), str(others), name, *costs)
                    console.print(f"{pairs} pairs, {others} others, {name}: {', '.join(costs)}")
        bench.device.stop()
    console.print(table)


if __name__ == "__main__":
    main()
