# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Snapshots and rollback in whole runs: one run after the other, killed ones, two at a time, and from one AWX job to the next."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import typing as t
from pathlib import Path

import pytest

from harness import COMMANDS, Ansible, Run
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


@pytest.mark.matrix
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


@pytest.mark.matrix
def test_all_goes_back_to_the_first_state_and_strangers_are_skipped(
    run: t.Callable[..., Run], ansible: Ansible, lab: Lab
) -> None:
    lab.write_inventory()  # all platforms
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
    broken = folder / "20200101T000000Z.json"
    broken.write_text('{"format": 2, "taken": "2020-')
    refused = run("rollback", code=2)
    assert f"{broken}: This is not a snapshot" in " ".join(refused.output.split())
    assert lab.settings() == before


# -- from one AWX job to the next


def statistics(run: Run) -> dict[str, t.Any]:
    """Return what a run has published."""
    line = run.output[run.output.index("CUSTOM STATS: ") :].split("RUN: ", 1)[1].splitlines()[0]
    found: dict[str, t.Any] = json.loads(line)
    return found


@pytest.fixture
def job(run: t.Callable[..., Run], ansible: Ansible) -> t.Callable[..., Run]:
    """Run a playbook as a job does, in a folder of its own that is deleted afterwards, with extra variables from a file."""

    def in_job(playbook: str, extra: str = "{}", **options: t.Any) -> Run:
        ansible.folder = ansible.folder / playbook
        ansible.folder.mkdir()
        (ansible.folder / "env.yml").write_text(extra)
        environment = {"ANSIBLE_SHOW_CUSTOM_STATS": "1", "AWX_PRIVATE_DATA_DIR": str(ansible.folder)}
        return run(playbook, "-v", "-e", f"@{ansible.folder / 'env.yml'}", environment=environment, **options)

    return in_job


def redo(lab: Lab) -> None:
    """Make the changes of remediate behind everybody's back."""
    lab.netscaler.config["nsmode"]["usnip"] = True
    for port in (500, 4500):
        lab.netscaler.config["servicegroup"][f"sg_ikev2_{port}"]["usip"] = "YES"
    move_gateway(lab)


def move_gateway(lab: Lab) -> None:
    """Make the load balancer the default gateway of the server, as remediate does before it changes a load balancer."""
    for route in (route for store in lab.rras1.state["routes"].values() for route in store):
        if route["dest"] == "0.0.0.0/0":
            route["next_hop"] = "10.10.0.1"


@pytest.mark.each_core
@pytest.mark.oldest
def test_a_job_hands_its_snapshot_to_the_next(job: t.Callable[..., Run], lab: Lab) -> None:
    lab.rras1.state["sas"] = [{"remote_address": f"198.51.100.{number}"} for number in range(12)]
    before = lab.settings()
    first = job("remediate")
    assert lab.settings() != before
    published = first.output.index('"ikev2_snapshot": "{')
    assert published < first.output.index("PLAY [Change the VPN servers, one by one]")
    assert "is deleted when this AWX job ends. Only its artifact ikev2_snapshot outlives it" in first.output[:published]
    text = statistics(first)["ikev2_snapshot"]
    assert isinstance(text, str)
    assert "198.51.100." not in text
    assert json.loads(text)["finished"]

    # AWX marks the texts of extra variables.
    second = job("rollback", f"ikev2_snapshot: !unsafe '{text}'\nsnapshot: ''\n")
    assert lab.settings() == before
    assert "Rolling back to the variable ikev2_snapshot." in second.output
    assert "ikev2_snapshot" not in statistics(second)
    assert status(second)[0] == "restored"

    # As a dictionary, which YAML has read by its own rules.
    redo(lab)
    assert text.count('"NO"') == 2
    job("rollback", f'{{"snapshot": {text.replace(chr(34) + "NO" + chr(34), "NO")}}}')
    assert lab.settings() == before


@pytest.mark.matrix  # tests/integration/test_runner.py has a job of each kind
def test_a_runner_job_hands_its_snapshot_to_the_next(run: t.Callable[..., Run], tmp_path: Path, lab: Lab) -> None:
    """Two jobs of ansible-runner, which share nothing but what the first has published."""
    before = lab.settings()

    def job(playbook: str, **extra: t.Any) -> dict[str, t.Any]:
        folder = tmp_path / playbook
        variables = {"rras_restart_with_sessions": True, "load_balancer_accept": ["return_path_unverified"], **extra}
        for name, written in (("project/README", ""), ("env/extravars", json.dumps(variables))):
            (folder / name).parent.mkdir(parents=True)
            (folder / name).write_text(written, encoding="utf-8")
        command = [sys.executable, "-m", "ansible_runner", "run", str(folder), "--playbook", f"aovpn.ikev2.{playbook}"]
        environment = {"AWX_PRIVATE_DATA_DIR": str(folder), "PATH": f"{COMMANDS}:{os.environ['PATH']}"}
        done = subprocess.run(
            [*command, "--inventory", str(lab.inventory), "--ident", "job"],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        events = [json.loads(path.read_text()) for path in (folder / "artifacts" / "job" / "job_events").iterdir()]
        (end,) = (event["event_data"] for event in events if event["event"] == "playbook_on_stats")
        shutil.rmtree(folder)
        artifacts: dict[str, t.Any] = end["artifact_data"]
        return artifacts

    published = job("remediate")["ikev2_snapshot"]
    assert isinstance(published, str)
    assert lab.settings() != before
    assert job("rollback", ikev2_snapshot=published)["ikev2_verdict"] == "restored"
    assert lab.settings() == before


@pytest.mark.each_core
def test_nothing_in_a_snapshot_is_a_template(job: t.Callable[..., Run], ansible: Ansible, lab: Lab) -> None:
    proof = ansible.folder / "proof"
    template = f"{{{{ lookup('ansible.builtin.pipe', 'touch {proof}') }}}}"
    of_device = {
        "platform": "netscaler",
        "host": template,
        "services": [{"id": template, "value": "NO"}],
        "device": {},
    }
    raw: dict[str, t.Any] = {
        "format": 2,
        "taken": "2026-01-01T00:00:00Z",
        "playbook": template,
        "finished": None,
        "used": {},
        "load_balancers": {"netscaler": {"snapshot": of_device, "services": []}},
        "servers": {},
    }
    refused = job("rollback", json.dumps({"snapshot": raw, "ikev2_snapshot": json.dumps(raw)}), code=2)
    assert "lookup('ansible.builtin.pipe'" in refused.output
    assert not proof.exists(), refused.output
    assert lab.writing() == []
    stranger = {**raw, "load_balancers": {template: raw["load_balancers"]["netscaler"]}}
    refused = job("rollback", json.dumps({"snapshot": stranger}), code=2)
    assert "which the inventory does not have" in refused.output
    assert not proof.exists(), refused.output
    job("verify", json.dumps({"snapshot": json.dumps(raw)}))
    assert not proof.exists()


# -- one run at a time


def test_two_runs_at_a_time_change_everything_once(run: t.Callable[..., Run], ansible: Ansible, lab: Lab) -> None:
    command = [str(COMMANDS / "ansible-playbook"), "-i", str(lab.inventory), "aovpn.ikev2.remediate", "-e", OPTIONS]
    both = [
        subprocess.Popen(command, cwd=ansible.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        for _number in range(2)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in both]
    assert sorted(process.returncode for process in both) == [0, 2], outputs
    refused = next(output for process, output in zip(both, outputs, strict=True) if process.returncode)
    assert "Another run is changing this site: remediate on " in refused
    assert "since 20" in refused
    assert len([entry for entry in lab.writing() if entry.device == "netscaler"]) <= 5
    assert len(ansible.snapshots()) == 1
    assert not (ansible.folder / "ikev2-snapshots" / ".lock").exists()
    assert run("audit").code == 0


def test_without_a_snapshot_nothing_is_changed(run: t.Callable[..., Run], ansible: Ansible, lab: Lab) -> None:
    """The folder is lost while the devices are read."""
    folder = ansible.folder / "ikev2-snapshots"

    def lose() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not any(entry.device == "netscaler" for entry in lab.netscaler.log):
            time.sleep(0.01)
        shutil.rmtree(folder)
        folder.write_text("no folder")

    losing = threading.Thread(target=lose)
    losing.start()
    refused = run("remediate", code=2)
    losing.join()
    assert lab.writing() == []
    assert status(refused) == ("failed", "The run was refused: no device was changed")
    assert str(folder) in str(refused.report()["verdict"])


def kill(ansible: Ansible, lab: Lab, *arguments: str, when: t.Callable[[], bool]) -> None:
    """Run remediate, and kill it when that is so."""
    command = [str(COMMANDS / "ansible-playbook"), "-i", str(lab.inventory), "aovpn.ikev2.remediate", "-e", OPTIONS]
    with subprocess.Popen(
        [*command, *arguments],
        cwd=ansible.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        deadline = time.monotonic() + 60
        while not when():
            assert time.monotonic() < deadline
            assert process.poll() is None, "the run ended before"
            time.sleep(0.005)
        # A worker has a session of its own, and would finish its task.
        workers = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False).stdout
        os.killpg(process.pid, signal.SIGKILL)
        for worker in workers.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(worker), signal.SIGKILL)


def at(device: str, number: int, *, always: bool = False) -> t.Any:
    """Name one of the requests that change a device; ``always``: in each `make test`, the others in `make test-all`."""
    return pytest.param(device, number, marks=() if always else pytest.mark.matrix, id=f"{device}-{number}")


@pytest.mark.parametrize(
    ("device", "number"),
    [
        *(at("bigip", number) for number in range(1, 6)),
        *(at("netscaler", number, always=number == 2) for number in range(1, 4)),
        *(at("loadmaster", number) for number in range(1, 3)),
        *(at("rras1", number) for number in range(1, 5)),
    ],
)
def test_what_a_killed_run_has_changed_is_rolled_back(
    run: t.Callable[..., Run], ansible: Ansible, lab: Lab, device: str, number: int
) -> None:
    """Killed at each request that changes the device, the saving and the confirmation as well."""
    hosts = {device, "rras1"} if device != "rras1" else PAIR
    lab.write_inventory(without=ALL - hosts)
    before = lab.settings()

    def written() -> bool:
        return len([entry for entry in lab.writing() if entry.device == device and "login" not in entry.path]) >= number

    kill(ansible, lab, "-e", "rras_rollback_timeout=8", when=written)
    (snapshot,) = ansible.snapshots()
    assert content(snapshot)["finished"] is None
    assert (ansible.folder / "ikev2-snapshots" / ".lock").exists()
    back = run("rollback", cut_off=True)
    assert lab.settings() == before
    assert "The lock of a run that was killed is taken over: remediate on " in back.output
    assert f"The run of {snapshot.name} failed, or was killed half-way." in back.output
    assert content(snapshot)["used"].keys() == hosts


@pytest.mark.matrix
@pytest.mark.parametrize("device", ["bigip", pytest.param("netscaler", marks=pytest.mark.matrix)])
def test_what_a_killed_run_has_not_saved_is_saved_by_the_next(
    run: t.Callable[..., Run], ansible: Ansible, lab: Lab, device: str
) -> None:
    """Killed between the change and its save: what runs is right, and a restart of the device would bring the fault back."""
    lab.write_inventory(without=ALL - {device, "rras1"})
    balancer = lab.bigip if device == "bigip" else lab.netscaler

    def kept() -> t.Any:
        return lab.bigip.state["saved"]["virtual"] if device == "bigip" else lab.netscaler.state["saved"]["default"]

    def running() -> t.Any:
        return lab.bigip.state["virtual"] if device == "bigip" else lab.netscaler.config

    save = balancer.fault(lambda entry: entry.path.endswith(("/sys/config", "/nsconfig")), delay=2, reset="before")
    kill(ansible, lab, when=lambda: bool(save.seen))
    assert kept() != running()
    told = run("audit", "-e", "fail_on_drift=true", cut_off=True).report()
    assert told["verdict"]["status"] == "clean"
    assert ("unsaved_change", "warning") in [
        (finding["code"], finding["severity"]) for finding in told["load_balancers"][device]["findings"]
    ]
    wanted = running()
    again = run("remediate", cut_off=True).report()
    assert kept() == running() == wanted
    assert again["changes"] == []
    assert ("unsaved_change", "info") in [
        (finding["code"], finding["severity"]) for finding in again["load_balancers"][device]["findings"]
    ]
    assert len(ansible.snapshots()) == 1
    written = len(lab.writing())
    third = run("remediate", cut_off=True).report()
    assert [entry for entry in lab.writing()[written:] if "log" not in entry.path] == []
    assert "unsaved_change" not in str(third)


# -- of a settled state only


@pytest.mark.matrix
def test_a_snapshot_is_taken_when_an_unfinished_change_has_ended(
    run: t.Callable[..., Run], ansible: Ansible, lab: Lab
) -> None:
    """A run was cancelled with the new gateway in the active store and the old one in the persistent one."""
    before, server = lab.settings(), lab.rras1
    (route,) = (route for route in server.state["routes"]["active"] if route["dest"] == "0.0.0.0/0")
    keys = {"destination": "0.0.0.0/0", "interface_index": route["if_index"], "metric": route["metric"]}
    back = [
        {**keys, "action": action, "store": "ActiveStore", "next_hop": gateway}
        for action, gateway in (("add", "10.10.0.254"), ("remove", "10.10.0.1"))
    ]
    server.arm(back, 6)
    route["next_hop"] = "10.10.0.1"
    assert lab.settings()["rras1"] != before["rras1"]
    remediated = run("remediate")
    assert "rras1: Waiting until another run has confirmed its change of the gateway" in remediated.output
    assert content(ansible.snapshots()[-1])["servers"]["rras1"]["gateway"] == "10.10.0.254"
    run("rollback")
    assert lab.settings() == before


def half_bigip(lab: Lab) -> str:
    """Leave half a pair, as a run that was killed does; return its address."""
    move_gateway(lab)
    lab.bigip.state["virtual"]["/Common/vs_ikev2_500"]["sourceAddressTranslation"] = {"type": "none"}
    return "203.0.113.10"


def half_netscaler(lab: Lab) -> str:
    """See half_bigip."""
    redo(lab)
    lab.netscaler.config["servicegroup"]["sg_ikev2_4500"]["usip"] = "NO"
    return "203.0.113.20"


def half_loadmaster(lab: Lab) -> str:
    """See half_bigip."""
    move_gateway(lab)
    service = next(one for one in lab.loadmaster.state["services"].values() if one["VSPort"] == "4500")
    service["Transparent"] = True
    return "203.0.113.30"


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("device", "halve"),
    [("bigip", half_bigip), ("netscaler", half_netscaler), ("loadmaster", half_loadmaster)],
    ids=["bigip", "netscaler", "loadmaster"],
)
def test_half_a_pair_is_restored_only_where_it_is_named(
    run: t.Callable[..., Run], ansible: Ansible, lab: Lab, device: str, halve: t.Callable[[Lab], str]
) -> None:
    lab.write_inventory(without=ALL - {device, "rras1"})
    address = halve(lab)
    before = lab.settings()
    run("remediate")
    remediated = lab.settings()
    assert remediated != before
    refused = run("rollback", code=2)
    assert (
        f"the snapshot was taken while only one of two services kept the clients' addresses ({address})"
        in refused.output
    )
    assert "-e snapshot=all" in refused.output
    assert lab.settings() == remediated
    (snapshot,) = ansible.snapshots()
    assert content(snapshot)["used"] == {}
    named = run("rollback", "-e", f"snapshot={snapshot.name}")
    assert f"{device}: half a pair at {address} is restored as it was, because this snapshot was named." in named.output
    assert lab.settings() == before


# -- what a rollback needs


@pytest.mark.matrix
def test_a_snat_pool_that_a_clean_up_has_removed(run: t.Callable[..., Run], ansible: Ansible, lab: Lab) -> None:
    """After the change nothing refers to the pool. Check mode fails where the rollback would, with the same remedy."""
    lab.write_inventory(without=ALL - {"bigip", "rras1"})
    before = lab.settings()
    first = run("remediate")
    found = {finding["code"] for finding in first.report()["load_balancers"]["bigip"]["findings"]}
    assert "snat_pool_needed" in found
    remediated, pool = lab.settings(), lab.bigip.state["snatpool"].pop("/Common/sp_ikev2")
    for arguments in (("--check",), ()):
        written = len(lab.writing())
        refused = run("rollback", *arguments, code=2)
        assert "/Common/sp_ikev2 for its Source Address Translation, and this pool does not exist" in refused.output
        assert "Create it again, or put" in refused.output
        assert [entry for entry in lab.writing()[written:] if "login" not in entry.path] == []
        assert lab.settings() == remediated
    (snapshot,) = ansible.snapshots()
    assert content(snapshot)["used"] == {}
    lab.bigip.state["snatpool"]["/Common/sp_ikev2"] = pool
    run("rollback")
    assert lab.settings() == before


# -- a task that dies


@pytest.mark.matrix
def test_a_module_that_is_killed_in_the_middle_of_a_pair(run: t.Callable[..., Run], ansible: Ansible, lab: Lab) -> None:
    """Nothing that the module said is left: the device is read again, what is in effect is reported, and the snapshot is kept."""
    other = ansible.folder / "python"
    other.symlink_to(sys.executable)  # not the controller's own, so that the task runs as a module
    lab.write_inventory(
        {"loadmaster": {"ansible_python_interpreter": str(other)}}, without=ALL - {"loadmaster", "rras1"}
    )
    before = lab.settings()
    service = lab.loadmaster.service

    def die(entry: t.Any) -> None:
        if service("203.0.113.30", 500)["Transparent"] and "modvs" in str((entry.path, entry.body)):
            subprocess.run(["pkill", "-KILL", "-f", "AnsiballZ_loadmaster_transparency"], check=True)

    lab.loadmaster.before.append(die)
    try:
        broken = run("remediate", code=2, cut_off=True)
    finally:
        lab.loadmaster.before.remove(die)
    found = broken.report()["load_balancers"]["loadmaster"]
    now = {f"203.0.113.30:{port}/udp": service("203.0.113.30", port)["Transparent"] for port in (500, 4500)}
    assert now["203.0.113.30:500/udp"]
    assert {one["id"]: one["value"] for one in found["services"]} == now
    assert found["final_state"] in ("changed", "unknown")
    assert "as it was before" not in str(found["failure"])
    assert {change["id"] for change in found["changes"]} == {name for name, value in now.items() if value}
    (snapshot,) = ansible.snapshots()
    assert content(snapshot)["finished"] is None
    run("rollback")
    assert lab.settings() == before
