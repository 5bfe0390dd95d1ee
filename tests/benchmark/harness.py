# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every benchmark shares: a stand-in with so many pairs among so many others, and whole runs of ansible-playbook.

No figure counts unless the job was done: every pair ends as it has to.
"""

from __future__ import annotations

import abc
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import typing as t
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from lab.core import CertificateAuthority, Device

COMMANDS = Path(sys.executable).parent
OWN = "{{ ansible_playbook_python }}"
OTHER = f"{{{{ ['{COMMANDS}/python', '{COMMANDS}/python3'] | reject('eq', ansible_playbook_python) | first }}}}"
"""The controller's Python, and the same one by another name, with which tasks run as modules."""
GATEWAYS = {"10.10.0.11": "10.10.0.1", "10.10.0.12": "10.10.0.1"}

Tasks: t.TypeAlias = "list[dict[str, t.Any]]"


class Bench(abc.ABC):
    """One vendor's stand-in, and our task on it."""

    module: t.ClassVar[str]

    def __init__(self, device: Device, folder: Path, authority: CertificateAuthority) -> None:
        self.device = device
        self.ca = folder / "ca.pem"
        authority.write(self.ca)
        device.start(authority)

    @property
    def connection(self) -> dict[str, t.Any]:
        """Return the options that reach the stand-in."""
        options: dict[str, t.Any] = self.device.variables(self.ca)["load_balancer_connection"]
        return options

    def ours(self) -> Tasks:
        """Return our task, which sees to every pair at once."""
        return [{f"aovpn.ikev2.{self.module}": {**self.connection, "return_path": GATEWAYS}}]

    @abc.abstractmethod
    def fill(self, pairs: int, others: int) -> None:
        """Have exactly so many pairs, and so many other services."""

    @abc.abstractmethod
    def set_all(self, *, done: bool) -> None:
        """Set every pair, past the API: as the job leaves it, or as it finds it."""

    @abc.abstractmethod
    def not_done(self) -> list[str]:
        """Name what does not stand as the job has to leave it."""


@dataclass(frozen=True)
class Sample:
    """What one run cost: requests, seconds, seconds of processor time on the controller, and the most MiB that ansible-playbook itself had."""

    requests: int
    wall: float
    cpu: float
    memory: float


@dataclass
class Job:
    """Something to measure: the ``way`` in which ``what`` is done, how many ``runs`` there are, and ``published`` figures of others."""

    part: str
    what: str
    way: str
    tasks: Callable[[], Tasks] = list
    prepare: Callable[[], None] = lambda: None
    bench: Bench | None = None
    hosts: int = 1
    forks: int = 5
    variables: t.Mapping[str, str] = field(default_factory=dict)
    runs: int = 5
    published: str = ""
    samples: list[Sample] = field(default_factory=list)

    def of(self, name: str) -> float:
        """Return the median of a figure."""
        return median(getattr(sample, name) for sample in self.samples)

    def spread(self, name: str) -> tuple[float, float]:
        """Return the smallest and the largest of a figure."""
        values = [getattr(sample, name) for sample in self.samples]
        return min(values), max(values)

    def as_dict(self) -> dict[str, t.Any]:
        """Return the row for the JSON file."""
        figures = ("requests", "wall", "cpu", "memory")
        measured = {name: {"median": self.of(name), "spread": self.spread(name)} for name in figures if self.samples}
        return {"part": self.part, "what": self.what, "way": self.way, "runs": len(self.samples), **measured} | (
            {"published": self.published} if self.published else {}
        )

    def run(self, folder: Path, environment: t.Mapping[str, str]) -> None:
        """Run the tasks in one play, see that the job is done, and note what it has cost."""
        self.prepare()
        hosts: dict[str, dict[str, str]] = {f"host{number}": {} for number in range(self.hosts)}
        variables = {"ansible_connection": "local", "ansible_python_interpreter": OWN, **self.variables}
        inventory, playbook = folder / "inventory.json", folder / "play.json"
        inventory.write_text(json.dumps({"all": {"hosts": hosts, "vars": variables}}), encoding="utf-8")
        play = {"hosts": "all", "gather_facts": False, "tasks": self.tasks()}
        playbook.write_text(json.dumps([play]), encoding="utf-8")
        log = self.bench.device.log if self.bench else []
        log.clear()
        with tempfile.TemporaryFile() as output, ThreadPoolExecutor(1) as pool:
            started = time.monotonic()
            command = [
                sys.executable,
                str(COMMANDS / "ansible-playbook"),
                "-i",
                str(inventory),
                "-f",
                str(self.forks),
                str(playbook),
            ]
            process = subprocess.Popen(
                command,
                env={**os.environ, "ANSIBLE_PIPELINING": "1", **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
            memory = pool.submit(_peak, process.pid)
            # With what its workers and modules used.
            _pid, status, used = os.wait4(process.pid, 0)
            wall = time.monotonic() - started
            process.returncode = os.waitstatus_to_exitcode(status)
            left = self.bench.not_done() if self.bench else []
            if process.returncode or left:
                output.seek(0)
                raise SystemExit(f"{self.way} has not done its job ({left[:3]}):\n{output.read().decode()[-3000:]}")
        self.samples.append(Sample(len(log), wall, used.ru_utime + used.ru_stime, memory.result()))


def _peak(number: int) -> float:
    """Return the most MiB that a process has had when it ends. (``ru_maxrss`` counts what its parent had when it was started.)"""
    peak = 0.0
    with contextlib.suppress(OSError, IndexError):
        while True:
            status = Path(f"/proc/{number}/status").read_text(encoding="utf-8")
            peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
            time.sleep(0.05)
    return peak


def addresses(count: int, first: int) -> list[str]:
    """Return so many addresses, from 203.0.<first>.1 on."""
    return [f"203.0.{first + number // 250}.{number % 250 + 1}" for number in range(count)]


def measure(jobs: Sequence[Job], folder: Path, environment: t.Mapping[str, str], tell: Callable[[Job], None]) -> None:
    """Run the jobs of each part in turn, so that what disturbs one disturbs all."""
    for part in dict.fromkeys(job.part for job in jobs):
        of_part = [job for job in jobs if job.part == part]
        for turn in range(max(job.runs for job in of_part)):
            for job in of_part:
                if turn < job.runs:
                    job.run(folder, environment)
                    tell(job)
