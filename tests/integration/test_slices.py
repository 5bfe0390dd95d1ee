# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An audit in slices: two workers of ansible-runner, as on AWX's execution nodes, and one report made of theirs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from harness import COMMANDS, REPOSITORY, Ansible
from lab.whole import Lab

SLICES = {"first": {"bigip", "rras1"}, "second": {"netscaler", "loadmaster", "rras2"}}
MERGE = REPOSITORY / "docs" / "merge-reports.jq"
JQ = shutil.which("jq")
SCHEMA = json.loads((REPOSITORY / "docs" / "report.schema.json").read_text(encoding="utf-8"))


def runner(*arguments: str, given: bytes = b"") -> bytes:
    """Run ansible-runner, and return what it puts out."""
    done = subprocess.run(
        [sys.executable, "-m", "ansible_runner", *arguments],
        env={**os.environ, "PATH": f"{COMMANDS}:{os.environ['PATH']}"},
        input=given,
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def audit(folder: Path, name: str, inventory: dict[str, t.Any]) -> Path:
    """Audit a slice: pack it here, run it in a worker's own folder, and return the report that came back."""
    job, worker, back = (folder / name / part for part in ("job", "worker", "back"))
    extra = {"report_directory": f"../artifacts/{name}", "report_name": "report"}
    for path, written in (
        (job / "project" / "README", ""),
        (job / "inventory" / "hosts.yml", yaml.safe_dump(inventory)),
        (job / "env" / "extravars", json.dumps(extra)),
    ):
        path.parent.mkdir(parents=True)
        path.write_text(written, encoding="utf-8")
    worker.mkdir()
    packed = runner("transmit", str(job), "--ident", name, "--playbook", "aovpn.ikev2.audit")
    answers = runner("worker", "--private-data-dir", str(worker), given=packed)
    runner("process", str(back), "--ident", name, given=answers)
    return back / "artifacts" / name / "report.json"


@pytest.fixture
def jq() -> None:
    """Leave out what needs jq where it is missing, and fail in CI."""
    if JQ is None:
        missing = "jq, which merges reports, is not installed: apt-get install jq"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)


@pytest.mark.matrix
@pytest.mark.usefixtures("jq")
def test_the_reports_of_two_workers_are_merged(ansible: Ansible, lab: Lab, tmp_path: Path) -> None:
    whole = ansible.playbook("aovpn.ikev2.audit").report()
    inventories = {}
    for name, hosts in SLICES.items():
        lab.write_inventory(without={device.name for device in lab.devices} - hosts)
        inventories[name] = yaml.safe_load(lab.inventory.read_text(encoding="utf-8"))
    with ThreadPoolExecutor(2) as pool:
        reports = [*pool.map(lambda name: audit(tmp_path, name, inventories[name]), SLICES)]
    assert lab.writing() == []

    merged = json.loads(merge(*reports))
    Draft202012Validator(SCHEMA).validate(merged)
    for part in ("load_balancers", "servers"):
        assert {*merged[part]} == {*whole[part]}
    assert sorted(map(str, merged["changes"])) == sorted(map(str, whole["changes"]))
    # The slices part each load balancer from one of its servers, whose gateway it cannot know then.
    assert (unverified(whole), unverified(merged)) == (0, 3)
    assert {*merged["drift"]} > {line for line in whole["drift"] if "return_path_wrong" not in line}
    assert merged["verdict"]["status"] == whole["verdict"]["status"] == "drift"
    assert merged["verdict"]["title"] == "2 reports: 2 drift"

    assert "In more than one report: bigip, rras1. Slices must not share hosts." in merge(*reports, reports[0], code=5)
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**whole, "playbook": "verify", "load_balancers": {}, "servers": {}}), encoding="utf-8")
    assert "These reports are not of the same playbook." in merge(*reports, other, code=5)


def unverified(report: dict[str, t.Any]) -> int:
    """Count the servers whose gateway a load balancer does not know."""
    return sum("return_path_unverified" in line for line in report["drift"])


def merge(*reports: Path, code: int = 0) -> str:
    """Run the documented command, and return what it puts out."""
    command = "jq --slurp --from-file docs/merge-reports.jq"
    assert command in (REPOSITORY / "docs" / "performance.md").read_text(encoding="utf-8")
    done = subprocess.run(
        [*command.replace("docs/merge-reports.jq", str(MERGE)).split(), *map(str, reports)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout
    return done.stdout
