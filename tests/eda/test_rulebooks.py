# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rulebooks in ansible-rulebook, as an administrator starts them, against a BIG-IP of the lab."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import typing as t
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
import yaml

from harness import COMMANDS, LONGEST, inherited
from lab import jobs
from lab.bigip import mcp
from lab.whole import Lab

GATEWAY = "10.10.0.1"
IKEV2 = ("/Common/vs_ikev2_500", "/Common/vs_ikev2_4500")
HIDDEN, KEPT = {"type": "automap"}, {"type": "none"}
FLOOD = 1000
NEVER = 86400
SHORTEST = 5
"""The shortest time between two audits that the rulebook takes, in seconds."""


@pytest.fixture
def lab(tmp_path: Path, pwsh: str) -> Iterator[Lab]:
    """Return a BIG-IP that keeps the clients' addresses, with a server that replies through it. The other server is not read, to save time."""
    made = Lab(tmp_path / "lab")
    made.start()
    unread = {"load_balancer_return_path": {"10.10.0.12": GATEWAY}, "load_balancer_accept": ["return_path_unverified"]}
    made.write_inventory({"bigip": unread}, without=["netscaler", "loadmaster", "rras2"])
    routes = made.rras1.state["routes"]
    for route in (*routes["active"], *routes["persistent"]):
        if route["dest"] == "0.0.0.0/0":
            route["next_hop"] = GATEWAY
    somebody_sets(made, KEPT)
    yield made
    made.stop()


def somebody_sets(lab: Lab, value: dict[str, str]) -> None:
    """Set source address translation by hand."""
    with lab.bigip.lock:
        for name in IKEV2:
            lab.bigip.state["virtual"][name]["sourceAddressTranslation"] = dict(value)


def is_set(lab: Lab) -> list[str]:
    """Return the source address translation of the two services."""
    return [lab.bigip.state["virtual"][name]["sourceAddressTranslation"]["type"] for name in IKEV2]


def wait_until(so: t.Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + LONGEST
    while not so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def descendants(pid: int) -> list[int]:
    """Return the processes that a process has started, and those that they have."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text("utf-8").rpartition(")")[2].split()
            if int(fields[1]) == pid:
                found += [int(path.parent.name), *descendants(int(path.parent.name))]
    return found


class Rulebook:
    """A rulebook that runs, with a webhook of its own."""

    def __init__(
        self,
        lab: Lab,
        folder: Path,
        name: str,
        access: t.Mapping[str, str],
        variables: t.Mapping[str, t.Any],
        with_token: bool,
    ) -> None:
        self.folder = folder
        self.temporary = (
            tempfile.mkdtemp()
        )  # a run that is killed leaves its inventory there; short, for ansible-core's sockets
        self.token = f"t{secrets.token_hex(16)}"  # not to be read as a number
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/"
        given = {
            "ikev2_webhook_port": port,
            "report_directory": str(folder / "reports"),
            "snapshot_directory": str(folder / "snapshots"),
            **variables,
        }
        (folder / "vars.yml").write_text(yaml.safe_dump(given), encoding="utf-8")
        self.log = folder / "output"
        environment = {
            **inherited(),
            "PATH": f"{COMMANDS}:{os.environ['PATH']}",
            "TMPDIR": self.temporary,
            "ikev2_webhook_token": self.token,
            "EDA_JOB_TEMPLATE_REFRESH_DELAY": "0.1",
            **access,
        }
        command = [str(COMMANDS / "ansible-rulebook"), "--rulebook", f"aovpn.ikev2.{name}", "-i", str(lab.inventory)]
        command += ["--vars", str(folder / "vars.yml"), *(["--env-vars", "ikev2_webhook_token"] if with_token else [])]
        with self.log.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def stop(self) -> None:
        """End it, and the playbook that it may be running, which would go on by itself."""
        below = descendants(self.process.pid)
        self.process.kill()
        self.process.wait()
        for pid in below:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.temporary, ignore_errors=True)

    @property
    def output(self) -> str:
        """Return what it has printed."""
        return self.log.read_text(encoding="utf-8")

    def count(self, message: str) -> int:
        """Count how often it has printed a message."""
        return self.output.count(message)

    def wait(self, message: str, times: int = 1, longest: float = LONGEST) -> None:
        """Wait until it has printed a message so many times."""
        deadline = time.monotonic() + longest
        while self.count(message) < times:
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, f"{message!r} was not printed {times} times:\n{self.output}"
            time.sleep(0.05)

    def started(self, playbook: str) -> int:
        """Count the runs of a playbook, with one that has not ended."""
        return len([*(self.folder / "reports").glob(f"{playbook}-*.json")])

    def runs(self, playbook: str) -> int:
        """Count the runs of a playbook that have ended."""
        reports = [json.loads(path.read_text("utf-8")) for path in (self.folder / "reports").glob(f"{playbook}-*.json")]
        return sum(not report["verdict"]["title"].startswith("Running since") for report in reports)

    def post(self, body: t.Any = None, path: str = "alert", **headers: str) -> int:
        """Send an alert, and return the status of the answer."""
        return requests.post(self.url + path, json=body, headers=headers, timeout=LONGEST).status_code

    @property
    def bearer(self) -> dict[str, str]:
        """Return the header that the webhook wants."""
        return {"Authorization": f"Bearer {self.token}"}

    def flood(self, alerts: t.Sequence[t.Any]) -> list[int]:
        """Send alerts over several connections, and return the statuses."""
        sessions = threading.local()

        def send(body: t.Any) -> int:
            if not hasattr(sessions, "one"):
                sessions.one = requests.Session()
            answer = sessions.one.post(self.url + "alert", data=json.dumps(body), headers=self.bearer, timeout=LONGEST)
            return int(answer.status_code)

        with ThreadPoolExecutor(4) as pool:
            return [*pool.map(send, alerts)]


@pytest.fixture
def start(lab: Lab, tmp_path: Path) -> Iterator[t.Callable[..., Rulebook]]:
    """Start rulebooks that end with the test."""
    if not shutil.which("java"):
        (pytest.fail if os.environ.get("CI") else pytest.skip)("Java is missing, in which rulebooks are evaluated.")
    running: list[Rulebook] = []

    def started(
        name: str = "drift", access: t.Mapping[str, str] | None = None, with_token: bool = True, **variables: t.Any
    ) -> Rulebook:
        folder = tmp_path / f"rulebook-{len(running)}"
        folder.mkdir()
        running.append(Rulebook(lab, folder, name, access or {}, variables, with_token))
        return running[-1]

    yield started
    for one in running:
        one.stop()
        assert [secret for secret in (*lab.secrets(), one.token) if secret in one.output] == []
        assert "Traceback" not in one.output, one.output


def hostile(mark: Path) -> list[t.Any]:
    """Return alerts that would do something if anything in them were evaluated, or taken for an event of the rulebook's own."""
    command = f"touch {mark}"
    template = f"{{{{ lookup('ansible.builtin.pipe', '{command}') }}}}"
    code = f"{{{{ cycler.__init__.__globals__.os.system('{command}') }}}}"
    own = {"ikev2_tick": 0, "ikev2_wanted": template, "ikev2_correct": "everything", "ikev2_verdict": "drift"}
    return [
        {"alert": "error 809", "host": template, code: code, "rras_gateway": "192.0.2.1"},
        {**own, "ikev2_may_change": "everything", "ikev2_fact": "permission", "meta": {"hosts": template}},
        [own, template],
        template,
        None,
        809,
        json.loads('{"a":' * 200 + "1" + "}" * 200),
    ]


def test_drift_is_seen_and_corrected_once(lab: Lab, start: t.Callable[..., Rulebook], tmp_path: Path) -> None:
    rulebook = start(ikev2_audit_every=NEVER, ikev2_auto_remediate=True)
    rulebook.wait("the audit is clean")
    assert (rulebook.runs("audit"), lab.writing()) == (1, [])

    body = {"alert": "error 809"}
    wrong: list[dict[str, str]] = [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {rulebook.token}"},
        {"Authorization": ""},
    ]
    assert [rulebook.post(body, **headers) for headers in wrong] == [401] * len(wrong)
    assert [rulebook.post(body, path=f"?token={rulebook.token}")] == [401]

    mark = tmp_path / "evaluated"
    alerts = hostile(mark)
    alerts += [{"alert": "error 809", "number": number} for number in range(FLOOD - len(alerts))]
    somebody_sets(lab, HIDDEN)
    changed = time.monotonic()
    corrected = []

    def watch() -> None:
        while is_set(lab) != ["none", "none"] and time.monotonic() < changed + LONGEST:
            time.sleep(0.01)
        corrected.append(time.monotonic())

    watching = threading.Thread(target=watch)
    watching.start()
    assert rulebook.flood(alerts) == [200] * FLOOD
    flooded = time.monotonic()
    watching.join()
    rulebook.wait("the audit is clean", times=2)
    print(
        f"From the change on the device to its correction: {corrected[0] - changed:.1f} s. "
        f"{FLOOD} alerts were taken in {flooded - changed:.1f} s."
    )
    assert is_set(lab) == ["none", "none"]

    time.sleep(4)  # a further audit that had been asked for would have begun
    assert rulebook.count("an alert, so an audit") == 1
    assert (rulebook.started("audit"), rulebook.started("remediate")) == (3, 1), rulebook.output
    assert rulebook.count("drift, which is corrected now") == 1
    assert not mark.exists()
    assert "lookup(" not in rulebook.output


@pytest.mark.matrix
def test_a_device_that_refuses_is_tried_once_until_an_audit_is_clean(
    lab: Lab, start: t.Callable[..., Rulebook]
) -> None:
    refusal = mcp(403, "The configuration is locked.").response
    fault = lab.bigip.fault(lambda entry: entry.writes and "/ltm/virtual" in entry.path, answer=refusal, times=NEVER)
    somebody_sets(lab, HIDDEN)
    rulebook = start(ikev2_audit_every=SHORTEST, ikev2_auto_remediate=True)
    rulebook.wait("there is drift after the correction")
    tried = len(lab.bigip.writing())
    assert tried
    audits = rulebook.runs("audit")
    wait_until(lambda: rulebook.runs("audit") > audits)
    assert (rulebook.runs("remediate"), len(lab.bigip.writing())) == (1, tried)
    assert rulebook.count("there is drift after the correction") == 1, rulebook.output
    assert rulebook.count("which is corrected now") == 1

    # Somebody corrects it by hand, and that is seen; the next drift is corrected again.
    lab.bigip.faults.remove(fault)
    somebody_sets(lab, KEPT)
    rulebook.wait("the audit is clean")
    somebody_sets(lab, HIDDEN)
    wait_until(lambda: rulebook.runs("remediate") == 2)
    assert is_set(lab) == ["none", "none"]
    assert rulebook.count("there is drift after the correction") == 1, rulebook.output


@pytest.mark.matrix
def test_by_default_it_only_reports(lab: Lab, start: t.Callable[..., Rulebook]) -> None:
    somebody_sets(lab, HIDDEN)
    rulebook = start(ikev2_audit_every=NEVER)
    rulebook.wait("nothing is changed, since ikev2_auto_remediate is not true")
    assert (rulebook.runs("audit"), rulebook.runs("remediate"), lab.writing()) == (1, 0, [])


@pytest.mark.matrix
def test_with_awx_job_templates_are_launched(lab: Lab, start: t.Callable[..., Rulebook]) -> None:
    def run(template: str) -> jobs.Job:
        if template != "IKEv2 audit":
            somebody_sets(lab, KEPT)
            return "successful", {}
        drift = is_set(lab) != ["none", "none"]
        summary = "2 settings are not as required" if drift else "Everything is set"
        return "successful", {"ikev2_verdict": "drift" if drift else "clean", "ikev2_summary": summary}

    awx = jobs.Jobs(["IKEv2 audit", "IKEv2 remediate", "IKEv2 remediate load balancers"], run)
    awx.start()
    try:
        somebody_sets(lab, HIDDEN)
        access = {"EDA_CONTROLLER_URL": awx.url, "EDA_CONTROLLER_TOKEN": jobs.TOKEN}
        allowed = {"ikev2_auto_remediate": True, "ikev2_auto_gateways": True}
        rulebook = start("drift_awx", access, ikev2_audit_every=NEVER, ikev2_organization=jobs.ORGANIZATION, **allowed)
        rulebook.wait("the audit is clean")
        assert [name for name, _given in awx.launched] == ["IKEv2 audit", "IKEv2 remediate", "IKEv2 audit"]
        # What AWX does not ask for at launch it ignores, so a limit or an event that is sent has no effect.
        assert [given["extra_vars"] for _name, given in awx.launched] == [{}, {}, {}]
        assert jobs.TOKEN not in rulebook.output
    finally:
        awx.stop()


def test_without_a_token_there_is_no_webhook(lab: Lab, tmp_path: Path, start: t.Callable[..., Rulebook]) -> None:
    rulebook = start(with_token=False, ikev2_audit_every=NEVER)
    assert rulebook.process.wait(LONGEST) == 1
    assert "'ikev2_webhook_token' is undefined" in rulebook.output
