# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A lock is held by a process that runs, and by one only."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import typing as t
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ansible_collections.aovpn.ikev2.plugins.plugin_utils import _lock
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._lock import Holder, Locked, release, start_of, take


@pytest.fixture
def holder() -> Holder:
    """Return a run of this process."""
    return replace(Holder.current("remediate"), pid=os.getpid(), started=start_of(os.getpid()))


@pytest.fixture
def other() -> t.Iterator[Holder]:
    """Return a run of another process, which ends with the test."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield replace(Holder.current("workaround"), pid=process.pid, started=start_of(process.pid))


def held(folder: Path) -> dict[str, t.Any]:
    """Read the lock."""
    found: dict[str, t.Any] = json.loads((folder / ".lock").read_text(encoding="utf-8"))
    return found


def ago(time: timedelta) -> str:
    """Return a time."""
    return f"{datetime.now(UTC) - time:{_lock.TIME}}"


def test_a_run_takes_and_releases(tmp_path: Path, holder: Holder, other: Holder) -> None:
    folder = tmp_path / "new" / "snapshots"
    assert take(folder, holder) == ""
    assert held(folder) == vars(holder)
    release(folder, other)
    assert held(folder) == vars(holder)
    release(folder, holder)
    assert list(folder.iterdir()) == []
    release(folder / "gone", holder)


def test_a_second_playbook_of_the_same_command_takes_its_own_lock(tmp_path: Path, holder: Holder) -> None:
    take(tmp_path, holder)
    assert take(tmp_path, replace(holder, playbook="workaround")) == ""
    assert held(tmp_path)["playbook"] == "workaround"


def test_a_second_run_is_refused_with_who_holds_it_and_since_when(
    tmp_path: Path, holder: Holder, other: Holder
) -> None:
    take(tmp_path, other)
    with pytest.raises(Locked, match=rf"workaround on {other.host} \(process {other.pid}\), since {other.since}"):
        take(tmp_path, holder)
    assert held(tmp_path) == vars(other)


def test_the_lock_of_a_process_that_is_gone_is_taken_over(tmp_path: Path, holder: Holder, other: Holder) -> None:
    for gone in (replace(other, pid=2**22 + 1), replace(other, started="before")):
        (tmp_path / ".lock").write_text(json.dumps(vars(gone)), encoding="utf-8")
        assert "The lock of a run that was killed is taken over" in take(tmp_path, holder)
        assert held(tmp_path) == vars(holder)


@pytest.mark.parametrize("change", [{"host": "elsewhere"}, {"space": "pid:[1]"}])
def test_that_of_another_controller_only_after_its_age(
    tmp_path: Path, holder: Holder, other: Holder, change: dict[str, str]
) -> None:
    there = replace(other, pid=1, started="", since=ago(timedelta(hours=11)), **change)
    (tmp_path / ".lock").write_text(json.dumps(vars(there)), encoding="utf-8")
    with pytest.raises(Locked, match="Whether it still runs cannot be seen from here"):
        take(tmp_path, holder)
    old = replace(there, since=ago(timedelta(hours=13)))
    (tmp_path / ".lock").write_text(json.dumps(vars(old)), encoding="utf-8")
    assert "An old lock is taken over" in take(tmp_path, holder)


@pytest.mark.parametrize(("text", "minutes"), [("", 1), ("{}", 12 * 60), ("nonsense", 12 * 60), ("[]", 12 * 60)])
def test_what_cannot_be_read_counts_as_held_for_a_while(
    tmp_path: Path, holder: Holder, text: str, minutes: int
) -> None:
    path = tmp_path / ".lock"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(Locked, match="a run that cannot be identified"):
        take(tmp_path, holder)
    then = datetime.now(UTC).timestamp() - 60 * minutes - 5
    os.utime(path, (then, then))
    assert "An old lock is taken over" in take(tmp_path, holder)


RACER = """
import os, sys, time
from dataclasses import replace
from pathlib import Path
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._lock import Holder, Locked, start_of, take

folder = Path(sys.argv[1])
mine = replace(Holder.current("remediate"), pid=os.getpid(), started=start_of(os.getpid()))
print("ready", flush=True)
while not (folder / "gate").exists():
    time.sleep(0.001)
try:
    take(folder, mine)
    print("taken", flush=True)
except Locked:
    print("refused", flush=True)
sys.stdin.read()  # who has the lock keeps it
"""


@pytest.mark.parametrize("stale", [False, True])
def test_of_those_who_race_one_gets_it(tmp_path: Path, other: Holder, stale: bool) -> None:
    if stale:
        (tmp_path / ".lock").write_text(json.dumps(vars(replace(other, started="before"))), encoding="utf-8")
    with contextlib.ExitStack() as stack:
        racers = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", RACER, str(tmp_path)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _number in range(6)
        ]
        outputs = [racer.stdout for racer in racers if racer.stdout]
        assert [output.readline() for output in outputs] == ["ready\n"] * 6
        (tmp_path / "gate").touch()
        found = sorted(output.readline().strip() for output in outputs)
        for racer in racers:
            racer.communicate()
    assert found == ["refused"] * 5 + ["taken"]
