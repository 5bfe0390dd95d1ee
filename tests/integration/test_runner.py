# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The project of examples/awx in ansible-runner, as AWX runs it: accounts from credentials, nothing shared but artifacts, and cancelled jobs."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import typing as t
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import ansible_runner
import pytest
import yaml

from harness import COMMANDS, REPOSITORY
from lab import awx
from lab.whole import Lab

PROJECT = REPOSITORY / "examples" / "awx"
SNAPSHOT = "Write a snapshot before anything changes"
ACCOUNT = {"username", "password", "ca_path"}
NO_TIME_OUT = {"rras_restart_with_sessions": True, "load_balancer_accept": ["return_path_unverified"]}
"""The other server is not in the inventory."""


@dataclass
class Job:
    """A job that has ended. ``folder`` is deleted in AWX."""

    folder: Path
    status: str
    events: list[dict[str, t.Any]]

    @property
    def artifacts(self) -> dict[str, t.Any]:
        """Return what AWX keeps of the job's statistics: nothing without the event at its end."""
        ends = [event["event_data"] for event in self.events if event["event"] == "playbook_on_stats"]
        return ends[0].get("artifact_data", {}) if ends else {}

    def snapshot(self) -> str:
        """Return the snapshot out of the event of the task that wrote it."""
        (event,) = (
            event["event_data"]
            for event in self.events
            if event["event"] == "runner_on_ok" and event["event_data"]["task"] == SNAPSHOT
        )
        found: str = event["res"]["ansible_stats"]["data"]["ikev2_snapshot"]
        return found

    def places(self, secrets: t.Iterable[str]) -> list[str]:
        """Return the files of the job that hold a secret, in any form; not those with which runner was started."""
        forms = {form for secret in secrets for form in written(secret)}
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        private = {self.folder / "env", *self.folder.glob("artifacts/*/command")}
        return [
            str(path.relative_to(self.folder))
            for path in files
            if not private & {path, path.parent}
            if any(form in path.read_bytes() for form in forms)
        ]


def written(secret: str) -> set[bytes]:
    """Return a secret in the forms in which it may be found; of base64 what does not depend on what is around it."""
    found = {secret.encode(), quote(secret, safe="").encode()}
    for raw in (secret.encode(), secret.encode("utf-16-le")):
        for before in range(3):
            encoded = base64.b64encode(b" " * before + raw)
            found.add(encoded[4 if before else 0 : len(encoded) // 4 * 4 - 4])
    return found


@pytest.fixture
def launch(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., Job]:
    """Run a wrapper, or a playbook by name, with the accounts of credentials, on a NetScaler and a VPN server."""
    monkeypatch.setenv("PATH", str(COMMANDS), prepend=":")
    monkeypatch.setenv("ANSIBLE_PIPELINING", "1")
    balancer = lab.netscaler.variables(lab.ca)
    account = {name: balancer["load_balancer_connection"].pop(name) for name in ACCOUNT}
    server = lab.rras1.variables(lab.ca)
    user, password = server.pop("ansible_user"), server.pop("ansible_password")
    hosts = {"ikev2_load_balancers": {"netscaler": balancer}, "rras": {"rras1": server}}
    inventory = {"all": {"children": {group: {"hosts": members} for group, members in hosts.items()}}}
    types = awx.load(PROJECT / "setup" / "objects" / "credentials.yml")["ikev2_credential_types"]
    (of_netscaler,) = (one for one in types if one["for"] == "netscaler")

    def run(playbook: str, *, check: bool = False, cancel: t.Callable[[], bool] | None = None, **extra: t.Any) -> Job:
        folder = tmp_path / f"job-{len([*tmp_path.glob('job-*')])}"
        shutil.copytree(PROJECT, folder / "project")
        for name in ("env", "inventory"):
            (folder / name).mkdir()
        (folder / "inventory" / "hosts.yml").write_text(yaml.safe_dump(inventory), encoding="utf-8")
        inputs = {**account, "ca_certificate": lab.ca.read_text(encoding="utf-8"), "skip_verification": False}
        environment, files = awx.inject(of_netscaler, inputs, str(folder / "env"))
        for path, text in files.items():
            Path(path).write_text(text, encoding="utf-8")
        ended = ansible_runner.run(
            private_data_dir=str(folder),
            ident="job",
            playbook=playbook,
            envvars={**environment, "AWX_PRIVATE_DATA_DIR": str(folder), "JOB_ID": "1"},
            cmdline=f"-u {user} --ask-pass{' --check' if check else ''}",
            passwords={"^SSH password:\\s*?$": password},
            extravars={**NO_TIME_OUT, **extra},
            verbosity=4,
            quiet=True,
            cancel_callback=cancel,
            settings={"pexpect_timeout": 0.05},
        )
        job = Job(folder, ended.status, list(ended.events))
        assert job.places(["203.0.113.20"]), "what is shown is found"
        assert job.places([*lab.secrets(), password, account["password"]]) == []
        with ended.stdout as terminal:
            agrees(job, terminal.read())
        return job

    return run


def agrees(job: Job, terminal: str) -> None:
    """Hold the terminal, the page and the JSON file of a job to its artifacts."""
    if not job.artifacts:
        return
    found = json.loads(Path(job.artifacts["ikev2_report_json"]).read_text(encoding="utf-8"))
    page = Path(job.artifacts["ikev2_report"]).read_text(encoding="utf-8")
    verdict, number = job.artifacts["ikev2_verdict"], len(job.artifacts["ikev2_changes"])
    assert (found["verdict"]["status"], found["verdict"]["title"]) == (verdict, job.artifacts["ikev2_summary"])
    assert found["changes"] == job.artifacts["ikev2_changes"]
    assert f"{verdict.upper()}: {job.artifacts['ikev2_summary']}" in terminal
    assert re.findall(r"\b(\d+) changes? (?:is|are|was|were|would be) (?:due|made)\.", terminal)[:1] == (
        [str(number)] if number else []
    )
    assert re.findall(r"<dt>changes? [^<]*</dt><dd>(\d+)</dd>", page) == [str(number)]


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
def test_a_secret_is_found_in_each_form(tmp_path: Path, before: str) -> None:
    text = f"{before}canary/1+2 %{before}"
    forms = (
        text.encode(),
        quote(text, safe="").encode(),
        *map(base64.b64encode, (text.encode(), text.encode("utf-16-le"))),
    )
    for number, form in enumerate(forms):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "stdout").write_bytes(b"..." + form + b"...")
        assert Job(folder, "", []).places(["canary/1+2 %"]) == ["stdout"]


@pytest.mark.matrix
def test_a_workflow_hands_its_artifacts_on(launch: t.Callable[..., Job], lab: Lab) -> None:
    before = lab.settings()
    audit = launch("audit.yml", fail_on_drift="true", probe="false", report_name="")
    assert (audit.status, audit.artifacts["ikev2_drift"]) == ("failed", True)
    preview = launch("remediate.yml", check=True, fail_on_drift="true")
    assert (preview.status, preview.artifacts["ikev2_changes"]) == ("failed", audit.artifacts["ikev2_changes"])
    assert lab.settings() == before
    remediate = launch("remediate.yml", **audit.artifacts, fail_on_drift="false")
    assert (remediate.status, remediate.artifacts["ikev2_verdict"]) == ("successful", "clean")
    assert remediate.artifacts["ikev2_changes"] == audit.artifacts["ikev2_changes"]
    assert lab.settings() != before
    shutil.rmtree(remediate.folder)
    rollback = launch("rollback.yml", **remediate.artifacts, snapshot="", snapshot_directory="ikev2-snapshots")
    assert (rollback.status, rollback.artifacts["ikev2_verdict"]) == ("successful", "restored")
    assert lab.settings() == before


@pytest.mark.matrix
def test_a_cancelled_job_is_rolled_back_from_its_event(launch: t.Callable[..., Job], lab: Lab) -> None:
    """As AWX cancels: runner kills the process group, so there are no statistics."""
    before = lab.settings()
    # The answer to the second half of the change takes longer than runner needs to see that it should cancel.
    lab.netscaler.fault(lambda entry: entry.writes and entry.path.endswith("servicegroup"), delay=3)

    def changing() -> bool:
        return any(entry.path.endswith("servicegroup") for entry in lab.netscaler.writing())

    cancelled = launch("remediate.yml", cancel=changing)
    assert (cancelled.status, cancelled.artifacts) == ("canceled", {})
    left = launch("rollback.yml", snapshot="", snapshot_directory="ikev2-snapshots")
    assert left.status == "failed"
    assert f"from the event of its task '{SNAPSHOT}' into the variable snapshot" in json.dumps(left.events)
    snapshot = cancelled.snapshot()
    assert lab.settings() != before
    assert launch("rollback.yml", snapshot=snapshot).artifacts["ikev2_verdict"] == "restored"
    assert lab.settings() == before
    assert launch("remediate.yml").artifacts["ikev2_verdict"] == "clean"


def workers() -> list[int]:
    """Return the workers of the job that is running."""

    def children(parent: int, *more: str) -> list[int]:
        command = ["pgrep", "-P", str(parent), *more]
        return [*map(int, subprocess.run(command, capture_output=True, text=True, check=False).stdout.split())]

    return [worker for job in children(os.getpid(), "--full", "ansible-playbook") for worker in children(job)]


@pytest.mark.matrix
def test_a_job_that_is_cancelled_while_a_gateway_changes(launch: t.Callable[..., Job], lab: Lab) -> None:
    """The container is gone with all that is in it. The server restores its gateway by itself, and the next job waits for that."""
    before = lab.settings()

    def changing() -> bool:
        switched = lab.settings()["rras1"] != before["rras1"]
        # Runner kills a process group. A worker has one of its own, and would go on.
        for worker in workers() if switched else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        return switched

    cancelled = launch("remediate.yml", cancel=changing, rras_rollback_timeout=10)
    assert (cancelled.status, cancelled.artifacts) == ("canceled", {})
    assert lab.rras1.state["tasks"], "the rollback waits"
    assert lab.settings() != before
    back = launch("rollback.yml", snapshot=cancelled.snapshot())
    assert back.artifacts["ikev2_verdict"] == "restored"
    assert (lab.settings(), lab.rras1.state["tasks"]) == (before, {})
    fresh = launch("remediate.yml")
    assert (fresh.status, fresh.artifacts["ikev2_verdict"]) == ("successful", "clean")
    assert lab.settings() != before


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("form", "variable"), [("{}.yml", "snapshot"), ("aovpn.ikev2.{}", "ikev2_snapshot")], ids=["wrapper", "by name"]
)
def test_a_rollback_runs_as_a_job(launch: t.Callable[..., Job], lab: Lab, form: str, variable: str) -> None:
    """With a snapshot that somebody pastes: as the answer to the survey's question, or among the variables that the template prompts for."""
    before = lab.settings()
    remediated = launch("remediate.yml")
    after, pasted = lab.settings(), {"snapshot": "", variable: remediated.artifacts["ikev2_snapshot"]}
    previewed = launch(form.format("rollback"), check=True, fail_on_drift="true", **pasted)
    assert (previewed.status, previewed.artifacts["ikev2_verdict"]) == ("failed", "drift")
    assert lab.settings() == after
    back = launch(form.format("rollback"), **pasted)
    assert (back.status, back.artifacts["ikev2_verdict"]) == ("successful", "restored")
    assert back.artifacts["ikev2_changes"] == previewed.artifacts["ikev2_changes"]
    assert lab.settings() == before


@pytest.mark.matrix
@pytest.mark.parametrize("form", ["{}.yml", "aovpn.ikev2.{}"], ids=["wrapper", "by name"])
@pytest.mark.parametrize("playbook", ["audit", "remediate", "verify", "workaround"])
def test_each_playbook_runs_as_a_job(launch: t.Callable[..., Job], lab: Lab, playbook: str, form: str) -> None:
    before = lab.settings()
    previewed = launch(form.format(playbook), check=True, fail_on_drift="true")
    assert lab.settings() == before
    assert previewed.status == "failed"
    ran = launch(form.format(playbook))
    assert ran.status == "successful"
    if playbook in ("remediate", "workaround"):
        assert ran.artifacts["ikev2_changes"] == previewed.artifacts["ikev2_changes"]
        assert lab.settings() != before
