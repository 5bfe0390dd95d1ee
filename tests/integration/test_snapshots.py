# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way back, as whole runs: one run after the other, killed ones, two at a time, and from one AWX job to the next."""

from __future__ import annotations

import copy
import json
import typing as t
from pathlib import Path

import pytest

from harness import Ansible, Run
from lab.whole import Lab

ALL = {"bigip", "netscaler", "loadmaster", "rras1", "rras2"}
PAIR = {"netscaler", "rras1"}
OPTIONS = "rras_restart_with_sessions=true load_balancer_accept=return_path_unverified"
"""The other server is not in the inventory."""


@pytest.fixture
def run(ansible: Ansible, lab: Lab) -> t.Callable[..., Run]:
    """Run playbooks on one load balancer with a setting of the whole device, and one server."""
    lab.write_inventory(without=ALL - PAIR)

    def of_pair(playbook: str, *arguments: str, code: int = 0, **options: t.Any) -> Run:
        found = ansible.playbook(f"aovpn.ikev2.{playbook}", "-e", OPTIONS, *arguments, **options)
        assert found.code == code, found.output
        return found

    return of_pair


def content(path: Path) -> dict[str, t.Any]:
    """Read a snapshot."""
    found: dict[str, t.Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def status(run: Run) -> tuple[str, str]:
    """Return the verdict of a run."""
    verdict = run.report()["verdict"]
    return verdict["status"], verdict["title"]


# -- a history


@pytest.mark.each_core
def test_each_rollback_goes_one_run_back(run: t.Callable[..., Run], ansible: Ansible, lab: Lab) -> None:
    before = lab.settings()
    run("remediate")
    remediated = lab.settings()
    run("workaround")
    assert lab.settings() != remediated
    first, second = ansible.snapshots()
    assert [content(path)["playbook"] for path in (first, second)] == ["remediate", "workaround"]
    assert all(content(path)["finished"] for path in (first, second))

    # These do not use a snapshot up.
    run("rollback", "--check")
    run("rollback", "--limit", "netscaler")

    back = run("rollback")
    assert lab.settings() == remediated
    assert f"{second.name}: before workaround" in back.output
    assert f"Rolling back to {second.name}." in back.output
    assert f"What was changed after {first.name} stays" in back.output
    assert status(back)[0] == "restored"

    run("rollback")
    assert lab.settings() == before
    assert [content(path)["used"].keys() for path in (first, second)] == [PAIR, PAIR]

    written = len(lab.writing())
    nothing = run("rollback")
    assert len(lab.writing()) == written
    assert status(nothing) == ("restored", "There is nothing left to roll back: every snapshot has been used")
    assert ansible.snapshots() == [first, second]

    # A used one may be named.
    assert f"Rolling back to {first.name}." in run("rollback", "-e", f"snapshot={first.name}").output
    assert lab.settings() == before


def test_all_goes_back_to_the_first_state_and_strangers_are_skipped(
    run: t.Callable[..., Run], ansible: Ansible, lab: Lab
) -> None:
    before = lab.settings()
    run("remediate")
    run("workaround")
    folder = ansible.folder / "ikev2-snapshots"
    (folder / "notes.json").write_text("{}")
    (folder / "README").write_text("ours")
    (folder / "older.json").mkdir()
    back = run("rollback", "-e", "snapshot=all")
    assert lab.settings() == before
    assert "not a snapshot that a playbook of this collection wrote: README, notes.json, older.json" in back.output
    assert status(run("rollback"))[1] == "There is nothing left to roll back: every snapshot has been used"
    broken = folder / "20200101T000000Z.json"
    broken.write_text('{"format": 2, "taken": "2020-')
    refused = run("rollback", code=2)
    assert f"{broken}: This is not a snapshot" in " ".join(refused.output.split())
    assert lab.settings() == before
