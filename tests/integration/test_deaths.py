# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A task that ends in the middle of a change, by its time limit, with its worker or with the controller: nothing is half done without a word.

Each is a play with one task, in Ansible's own worker, and a process gets a signal when the stand-in gets a certain write. What is tried is
counted, and shows in the output of `pytest -rP`.
"""

from __future__ import annotations

import contextlib
import html
import json
import os
import select
import signal
import subprocess
import typing as t
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from one_device import GOOD, OneDevice

from ansible_collections.aovpn.ikev2.plugins.module_utils._platforms import PLATFORMS
from harness import REPOSITORY, Ansible, Run, prefork
from lab.core import Device, Entry, Fault
from lab.direct import directly
from lab.whole import Lab

DEATHS: dict[str, tuple[t.Literal["worker", "controller"], signal.Signals]] = {
    "time limit": ("worker", signal.SIGALRM),
    "worker ended": ("worker", signal.SIGTERM),
    "worker interrupted": ("worker", signal.SIGINT),
    "worker killed": ("worker", signal.SIGKILL),
    "controller ended": ("controller", signal.SIGTERM),
    "controller interrupted": ("controller", signal.SIGINT),
    "controller killed": ("controller", signal.SIGKILL),
}
SOME = ("worker ended", "worker killed", "controller killed")
"""These run in each `make test`, at one write: the time limit and Ctrl-C do in tests/integration/test_in_process.py."""
MOMENTS = ("before", "after")
"""The signal comes before the write takes effect, or after that and before its answer."""


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [*map(int, found.stdout.split())]


class Strike:
    """Sends a signal to the worker of the present run, or to its controller, when a device gets the write number ``at``, and waits for the worker."""

    def __init__(self, device: Device, at: int, moment: str, death: str) -> None:
        self.device, self.at, self.hooks = device, at, getattr(device, moment)
        self.victim, self.signal = DEATHS[death]
        self.number = 0
        self.then: Callable[[], None] = lambda: None
        self.worker = -1

    def __call__(self, entry: Entry | None) -> None:
        """Strike at the right request."""
        if entry is None or not entry.writes:
            return
        self.number += 1
        if self.number - 1 != self.at:
            return
        (controller,) = children(prefork().process.pid)
        (worker,) = children(controller)
        self.worker = os.pidfd_open(worker)
        self.then()
        os.kill({"worker": worker, "controller": controller}[self.victim], self.signal)

    @contextlib.contextmanager
    def armed(self) -> Iterator[None]:
        """Strike in the run within, and return when its worker has ended."""
        self.hooks.append(self)
        try:
            yield
            assert self.worker >= 0, "the run has made fewer writes"
            assert select.select([self.worker], [], [], 60)[0], "the worker has not ended"
        finally:
            self.hooks.remove(self)
            if self.worker >= 0:
                os.close(self.worker)


class Trial:
    """A platform, and what comes of ending its task."""

    def __init__(self, ansible: Ansible, lab: Lab, one: OneDevice) -> None:
        self.ansible, self.one, self.device = ansible, one, one.device
        self.counts: Counter[str] = Counter()
        connection: dict[str, t.Any] = self.device.variables(lab.ca)["load_balancer_connection"]
        task = {
            f"aovpn.ikev2.{PLATFORMS[self.device.platform].module}": {**connection, "return_path": GOOD},
            "timeout": 600,
        }
        self.play = ansible.folder / "play.json"
        self.play.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
        self.before = one.values()
        one.done("preserved")
        self.wanted, self.writes = one.values(), len(self.device.writing())
        assert self.wanted != self.before

    def end(self, death: str, at: int, moment: str) -> None:
        """End a task, and check everything that has to be true then."""
        self.device.reset()
        with Strike(self.device, at, moment, death).armed():
            run = self.ansible.command("ansible-playbook", str(self.play), "-v", inventory=False, cut_off=True)
        self.counts["tried"] += 1
        now, kept = self.one.values(), self.one.values(saved=True)
        where = f"{self.device.platform}, {death} {moment} write {at}: {now}, saved {kept}\n{run.output}"
        if death == "time limit":
            self._told(run, now, where)
        else:
            assert run.code != 0, where
        if death == "worker killed":
            self._found(now, where)
            return
        # Whoever is left has rolled everything back, or finished: it is whole, saved as it is, and logged out.
        assert now in (self.before, self.wanted), f"half done and not reported: {where}"
        assert kept == now, f"not saved and not reported: {where}"
        assert self.device.open_sessions() == [], f"a session was left open: {where}"
        self.counts["finished" if now == self.wanted else "rolled back"] += 1

    def _told(self, run: Run, now: t.Any, where: str) -> None:
        """The controller lives, so there is a result, and it is true."""
        result = run.results["localhost"]
        assert ("timedout" in result) is (run.code != 0), where
        assert (result["final_state"] == "changed") is (now != self.before), where

    def _found(self, now: t.Any, where: str) -> None:
        """Nobody was left to roll back: the next run reports what differs, half a pair as such, and completes it."""
        looked = self.one.done("gathered")
        assert bool(looked.changes) is (now != self.wanted), where
        half = len({service.source_preserved for service in looked.services}) > 1
        assert ("pair_inconsistent" in {finding.code for finding in looked.findings}) is half, where
        pending: dict[str, t.Any] = (
            {"save_pending": True} if "save_pending" in PLATFORMS[self.device.platform].options else {}
        )
        self.one.done("preserved", **pending)
        assert self.one.values() == self.one.values(saved=True) == self.wanted, where
        self.counts["half a pair, reported and completed" if half else "completed"] += 1


@pytest.fixture
def trial(
    request: pytest.FixtureRequest, ansible: Ansible, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Trial]:
    """Return a trial of a platform, and print its counts at the end."""
    monkeypatch.setattr("ansible_collections.aovpn.ikev2.plugins.module_utils._loadmaster.adapter.SECONDS", 0.0)
    # Runs of Ansible come by the network; what this process asks of the device does not.
    devices = (lab.bigip, lab.netscaler, lab.loadmaster)
    (one,) = (OneDevice(directly(device, monkeypatch)) for device in devices if device.platform == request.param)
    made = Trial(ansible, lab, one)
    yield made
    print(f"{request.param}: " + ", ".join(f"{count} {name}" for name, count in sorted(made.counts.items())))


@pytest.mark.each_core
@pytest.mark.parametrize("death", SOME)
@pytest.mark.parametrize("trial", PLATFORMS, indirect=True)
def test_a_task_that_ends_in_the_middle_of_a_change(trial: Trial, death: str) -> None:
    trial.end(death, trial.writes // 2, "after")


@pytest.mark.matrix
@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("trial", PLATFORMS, indirect=True)
def test_a_task_that_ends_at_each_write_of_a_change(trial: Trial, death: str) -> None:
    for at in range(trial.writes):
        for moment in MOMENTS:
            trial.end(death, at, moment)


def test_what_an_interrupted_task_has_left_is_in_the_report(ansible: Ansible, lab: Lab) -> None:
    """Ctrl-C, and the device is gone before it can be rolled back. Ansible shows no result of that task."""
    device = lab.loadmaster
    others = {item.name for item in lab.devices} - {device.name}
    lab.write_inventory({device.name: {"load_balancer_return_path": GOOD}}, without=others)
    strike = Strike(device, 1, "after", "controller interrupted")

    def go_away() -> None:
        device.faults.append(Fault(times=99, reset="before"))
        device.stop()

    strike.then = go_away
    try:
        with strike.armed():
            run = ansible.playbook("aovpn.ikev2.remediate", cut_off=True)
    finally:
        device.start(lab.authority)
    assert run.code != 0
    found = run.report()
    schema = json.loads((REPOSITORY / "docs" / "report.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(found)
    assert found["verdict"]["title"].startswith("Running since ")
    (line,) = found["verdict"]["lines"]
    assert "The rollback failed too" in line
    changes = "Transparent of 203.0.113.30:500/udp, Transparent of 203.0.113.30:4500/udp"
    assert f"Not known to be as before: {changes}." in line
    for path in (ansible.folder / "report.html", ansible.folder / "latest.html"):
        assert line in html.unescape(path.read_text(encoding="utf-8"))
        assert path.stat().st_mode & 0o777 == 0o640
    assert json.loads(Path(ansible.folder / "latest.json").read_text(encoding="utf-8")) == found
