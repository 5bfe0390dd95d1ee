# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every benchmark shares: a stand-in with so many pairs among so many others, whole runs of ansible-playbook, and one table.

Wall times hold the start of ansible-playbook. Requests are those that the stand-in has counted. No figure counts unless the
job was done: every pair ends as it has to.
"""

from __future__ import annotations

import abc
import json
import os
import subprocess
import sys
import time
import typing as t
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lab.core import CertificateAuthority, Device

Tasks: t.TypeAlias = "list[dict[str, t.Any]]"

GATEWAYS = {"10.10.0.11": "10.10.0.1", "10.10.0.12": "10.10.0.1"}
LONGEST = 3600
"""How many seconds a run may take at most."""


class Bench(abc.ABC):
    """One vendor's stand-in, and the ways to the same end on it."""

    title: t.ClassVar[str]
    others: t.ClassVar[Sequence[int]] = (0, 500, 2000)
    published: t.ClassVar[t.Mapping[str, int]] = {}
    """Requests of a peer that is not run here, for one pair, unchanged and changed."""

    def __init__(self, device: Device, folder: Path) -> None:
        self.device = device
        self.folder = folder
        self.ca = folder / "ca.pem"
        self.environment: dict[str, str] = {}
        authority = CertificateAuthority()
        authority.write(self.ca)
        device.start(authority)

    @property
    def connection(self) -> dict[str, t.Any]:
        """Return the options that reach the stand-in."""
        options: dict[str, t.Any] = self.device.variables(self.ca)["load_balancer_connection"]
        return options

    @property
    @abc.abstractmethod
    def ways(self) -> dict[str, Callable[[], Tasks]]:
        """Return what is compared: a name, and what makes the tasks that do the job."""

    @abc.abstractmethod
    def fill(self, pairs: int, others: int) -> None:
        """Have exactly so many pairs, and so many other services."""

    @abc.abstractmethod
    def set_all(self, *, done: bool) -> None:
        """Set every pair, past the API: as the job leaves it, or as it finds it."""

    @abc.abstractmethod
    def not_done(self) -> list[str]:
        """Name what does not stand as the job has to leave it."""

    def run(self, tasks: Tasks) -> tuple[int, float]:
        """Run tasks in one play, see that the job is done, and give requests and seconds."""
        playbook = self.folder / "play.json"
        play = {"hosts": "localhost", "gather_facts": False, "tasks": tasks}
        playbook.write_text(json.dumps([play]), encoding="utf-8")
        self.device.log.clear()
        started = time.monotonic()
        done = subprocess.run(
            [str(Path(sys.executable).parent / "ansible-playbook"), str(playbook)],
            env={**os.environ, "ANSIBLE_PIPELINING": "1", **self.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST,
        )
        seconds = time.monotonic() - started
        if done.returncode or self.not_done():
            raise SystemExit(
                f"the job was not done ({self.not_done()[:3]}):\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
            )
        return len(self.device.log), seconds


def addresses(count: int, first: int) -> list[str]:
    """Return so many addresses, from 203.0.<first>.1 on."""
    return [f"203.0.{first + number // 250}.{number % 250 + 1}" for number in range(count)]


def measure(bench: Bench, pairs: Sequence[int], others: Sequence[int]) -> None:
    """Run every combination, print a row as soon as it is known, and the table at the end."""
    console = Console(width=130)
    table = Table(title=f"{bench.title}: requests and seconds", title_justify="left")
    columns = [title for way in bench.ways for title in (way, "")]
    columns += ["published, not measured here"] if bench.published else []
    for column in ("pairs", "others", "run", *columns):
        table.add_column(column, justify="left" if column == "run" else "right")
    for count in pairs:
        for among in others:
            bench.fill(count, among)
            for name in ("unchanged", "changed"):
                costs: list[str] = []
                for tasks in bench.ways.values():
                    bench.set_all(done=name == "unchanged")
                    requests, seconds = bench.run(tasks())
                    costs += [str(requests), f"{seconds:.1f} s"]
                if bench.published:
                    costs.append(f"{bench.published[name] * count} in {count} jobs")
                table.add_row(str(count), str(among), name, *costs)
                console.print(f"{bench.title}: {count} pairs, {among} others, {name}: {', '.join(costs)}")
    console.print(table)
