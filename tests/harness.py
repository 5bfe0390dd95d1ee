# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs Ansible's commands against the lab, and holds every run to the rules that all have in common."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from lab.whole import Lab
from prefork import Prefork

COMMANDS = Path(sys.executable).parent
REPOSITORY = Path(__file__).resolve().parents[1]
FORKED = [str(COMMANDS / name) for name in ("ansible", "ansible-playbook")]
LONGEST = 300
"""How many seconds a run may take at most."""


def inherited() -> dict[str, str]:
    """Return the environment of every run."""
    of_tests = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    return {**of_tests, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_PIPELINING": "1"}


@functools.cache
def prefork() -> Prefork:
    """Return what starts runs quickly. It ends with the tests."""
    return Prefork(inherited())


@dataclass
class Run:
    """What a run of Ansible gave. ``recap`` counts by host: ok, changed, failed, unreachable and so on."""

    code: int
    output: str
    folder: Path
    recap: dict[str, dict[str, int]] = field(init=False)

    def __post_init__(self) -> None:
        lines = re.findall(r"^(\S+)\s+: (ok=.*)$", self.output, re.MULTILINE)
        self.recap = {
            host: {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", counts)} for host, counts in lines
        }

    @property
    def changed(self) -> dict[str, int]:
        """Count the changes by host."""
        return {host: counts["changed"] for host, counts in self.recap.items()}

    @property
    def results(self) -> dict[str, dict[str, t.Any]]:
        """Return the last result that a run with -v has shown of each host."""
        shown = re.findall(r"^(?:ok|changed|fatal): \[(\S+)\](?:: [A-Z]+!)? => (\{.*\})$", self.output, re.MULTILINE)
        return {host: json.loads(result) for host, result in shown}

    def report(self, name: str = "report") -> dict[str, t.Any]:
        """Read a report that the run has written."""
        report: dict[str, t.Any] = json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))
        return report


@dataclass
class Ansible:
    """Runs Ansible's commands against the lab, and checks after each what holds for all."""

    lab: Lab
    folder: Path
    within: t.Sequence[str] = ()  # a command that runs commands somewhere else, in a network namespace for example
    forks: Prefork = field(default_factory=prefork)

    def command(
        self,
        name: str,
        *arguments: str,
        environment: t.Mapping[str, str] | None = None,
        inventory: bool = True,
        cut_off: bool = False,
    ) -> Run:
        """Run a command; ``inventory`` adds the lab's; ``cut_off``: where a connection was lost, its session may be left open."""
        written = len(self.lab.writing())
        command = [str(COMMANDS / name), *(("-i", str(self.lab.inventory)) if inventory else ()), *arguments]
        run = Run(*self._start(command, environment or {}), self.folder)
        if "--check" in arguments:
            assert self.lab.writing()[written:] == [], "a request that writes was sent in check mode"
        left_open = {device.name: device.open_sessions() for device in self.lab.devices if device.open_sessions()}
        assert cut_off or left_open == {}, "a session was left open"
        assert [secret for secret in self.lab.secrets() if secret in run.output] == [], "a secret was shown"
        assert "Traceback (most recent call last)" not in run.output, run.output
        return run

    def _start(self, command: t.Sequence[str], environment: t.Mapping[str, str]) -> tuple[int, str]:
        """Run a command to its end: in a fork, unless that may make a difference."""
        everything = {**inherited(), **environment}
        if command[0] in FORKED and self.forks.serves(everything, self.folder, self.within):
            return self.forks.run(command, self.folder, LONGEST)
        done = subprocess.run(
            [*self.within, *command],
            cwd=self.folder,
            env=everything,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST,
        )
        return done.returncode, done.stdout + done.stderr

    def playbook(self, name: str, *arguments: str, **options: t.Any) -> Run:
        """Run a playbook, which writes what it writes to the test's folder."""
        return self.command(
            "ansible-playbook", name, "-e", f"report_directory={self.folder} report_name=report", *arguments, **options
        )

    def module(self, name: str, arguments: t.Mapping[str, t.Any], *more: str, **options: t.Any) -> Run:
        """Run one module on the controller."""
        given = ["-m", f"aovpn.ikev2.{name}", "-a", json.dumps(arguments)]
        return self.command("ansible", "localhost", *given, *more, inventory=False, **options)

    def snapshots(self) -> list[Path]:
        """Return the snapshots that were written."""
        return sorted((self.folder / "ikev2-snapshots").glob("*.json"))

    def build(self, folder: Path) -> Path:
        """Build the collection's archive."""
        run = self.command(
            "ansible-galaxy", "collection", "build", str(REPOSITORY), "--output-path", str(folder), inventory=False
        )
        assert run.code == 0, run.output
        (archive,) = folder.glob("*.tar.gz")
        return archive

    def install(self, archive: Path, folder: Path) -> dict[str, str]:
        """Install an archive into a folder that holds ansible.windows only, and give the environment to use it with."""
        peers = Path(os.environ["ANSIBLE_COLLECTIONS_PATH"]) / "ansible_collections"
        (folder / "ansible_collections").mkdir(parents=True)
        (folder / "ansible_collections" / "ansible").symlink_to(peers / "ansible")
        alone = {"ANSIBLE_COLLECTIONS_PATH": str(folder), "PYTHONPATH": ""}
        arguments = ("collection", "install", str(archive), "-p", str(folder), "--offline")
        run = self.command("ansible-galaxy", *arguments, environment=alone, inventory=False)
        assert run.code == 0, run.output
        return alone
