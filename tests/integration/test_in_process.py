# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The device modules and the probe in the controller's process, and as modules: when which, with equal results, and interrupted."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.aovpn.ikev2.plugins.module_utils._platforms import PLATFORMS
from harness import COMMANDS, Ansible
from lab.core import Device
from lab.whole import Lab

MODULES = {platform.name: platform.module for platform in PLATFORMS.values()}
RETURN_PATH = {"10.10.0.11": "10.10.0.1", "10.10.0.12": "10.10.0.1"}
IN_PROCESS = "runs in the controller's process"
OWN = "{{ ansible_playbook_python }}"
OTHER = f"{{{{ ['{COMMANDS}/python', '{COMMANDS}/python3'] | reject('eq', ansible_playbook_python) | first }}}}"
"""The controller's Python, and the same one by another name."""

Task: t.TypeAlias = "dict[str, t.Any]"


def task(name: str, options: t.Any, **keywords: t.Any) -> Task:
    """Return a task that may fail."""
    return {f"aovpn.ikev2.{name}": options, "ignore_errors": True, **keywords}


def play(ansible: Ansible, *tasks: Task, **keywords: t.Any) -> Path:
    """Write a playbook for the controller."""
    path = ansible.folder / "play.json"
    whole = {"hosts": "localhost", "gather_facts": False, "tasks": tasks, **keywords}
    path.write_text(json.dumps([whole]), encoding="utf-8")
    return path


def connection(lab: Lab, device: Device) -> dict[str, t.Any]:
    """Return the options that reach a load balancer."""
    options: dict[str, t.Any] = device.variables(lab.ca)["load_balancer_connection"]
    return options


def tasks_for_both(lab: Lab) -> list[Task]:
    """Return tasks that use whatever differs between an action and a module."""
    reach = connection(lab, lab.bigip)
    without = {name: value for name, value in reach.items() if name not in ("username", "password")}
    by_key = {name: value for name, value in connection(lab, lab.loadmaster).items() if name != "username"}
    wanted = {**reach, "return_path": RETURN_PATH}
    odd: list[dict[str, t.Any]] = [
        {},
        {"addresses": ["203.0.113.10"], "services": ["vs"]},
        {"port": "many"},
        {"porrt": 1},
        {"state": "somehow"},
        {"server": "127.0.0.1", "host": "127.0.0.1"},  # the option and its alias: a warning
        {"services": [reach["password"]]},  # a secret where none is expected
        {"services": "a,b", "partition": "{{ omit }}"},
        {"password": "wrong"},
        {"ca_path": "no-such-file.pem"},
        {"ca_path": "beside-the-play.pem"},
        {"timeout": 0},
        {"return_path": {"10.10.0.11": "10.10.0.254"}},
    ]
    probes: list[Task] = [
        {"addresses": ["127.0.0.1"], "port": 1, "timeout": 0.1, "attempts": 1},
        {"addresses": "x"},
        {"addresses": [], "timeout": 100},
        {},
    ]
    return [
        *(task("bigip_snat", {**reach, "state": "gathered", **options}) for options in odd),
        task("bigip_snat", {**without, "state": "gathered"}),  # the user is set in the environment, but empty
        task(
            "bigip_snat",
            {"ca_path": reach["ca_path"], "state": "gathered"},
            module_defaults=[
                {"group/aovpn.ikev2.bigip": {name: reach[name] for name in ("host", "port", "username", "password")}}
            ],
        ),
        task("bigip_snat", {**wanted, "services": ["{{ item }}"], "server": "127.0.0.1"}, loop=["vs_1", "vs_2"]),
        task("bigip_snat", wanted, check_mode=True),
        task("bigip_snat", wanted, diff=True),
        task("bigip_snat", wanted, no_log=True),
        task("netscaler_usip", {**connection(lab, lab.netscaler), "return_path": RETURN_PATH}, diff=True),
        task("netscaler_usip", {"host": "127.0.0.1", "username": "nsroot"}),
        task("loadmaster_transparency", by_key),
        task(
            "loadmaster_transparency", {**connection(lab, lab.loadmaster), "state": "gathered"}, delegate_to="localhost"
        ),
        task("loadmaster_transparency", {**connection(lab, lab.loadmaster), "return_path": RETURN_PATH}),
        *(task("ikev2_probe", options) for options in probes),
    ]


@pytest.mark.matrix
@pytest.mark.each_core
def test_both_ways_give_the_same_results(ansible: Ansible, lab: Lab) -> None:
    tasks = tasks_for_both(lab)
    (ansible.folder / "beside-the-play.pem").write_bytes(lab.ca.read_bytes())
    named = [{**one, "register": f"result_{number}"} for number, one in enumerate(tasks)]
    results = ", ".join(one["register"] for one in named)
    dest = ansible.folder / "results.json"
    told = {"content": "{{ [" + results + "] | to_json }}", "dest": str(dest), "mode": "0600"}
    write = {"ansible.builtin.copy": told, "check_mode": False, "vars": {"ansible_python_interpreter": OWN}}
    environment = {"ANSIBLE_INJECT_INVOCATION": "1", "F5_USER": "", "F5_PASSWORD": "", "LOADMASTER_USERNAME": "bal"}
    came: list[list[dict[str, t.Any]]] = []
    for python in (OWN, OTHER):
        path = play(ansible, *named, write, vars={"ansible_python_interpreter": python})
        run = ansible.command("ansible-playbook", str(path), "-vvv", inventory=False, environment=environment)
        assert run.code == 0, run.output
        assert run.output.count(IN_PROCESS) == (len(tasks) + 1 if python == OWN else 0)
        came.append(json.loads(dest.read_text(encoding="utf-8")))
        lab.reset()
    for one, here, module in zip(tasks, *came, strict=True):
        for result in (here, module):
            # Up to ansible-core 2.18, -vvv adds where in the code the failure was raised.
            for part in (result, *result.get("results", ())):
                part.pop("exception", None)
        assert here == module, one
    assert sum(result["failed"] for result in came[0]) > 15
    assert sum(result["changed"] for result in came[0]) == 4
    assert "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER" in json.dumps(came[0])


PROBE = {"addresses": ["127.0.0.1"], "port": 1, "timeout": 0.1, "attempts": 1}


@pytest.mark.each_core
def test_what_is_not_plainly_local_runs_as_a_module(ansible: Ansible) -> None:
    python = "ansible_python_interpreter"
    playbook = play(
        ansible,
        task("ikev2_probe", PROBE),
        task("ikev2_probe", PROBE, vars={python: "auto_silent"}),
        task("ikev2_probe", PROBE, vars={python: OWN}),
        task("ikev2_probe", PROBE, loop=[1, 2], environment={}),
        task("ikev2_probe", PROBE, environment={"A": "b"}),
        task("ikev2_probe", PROBE, vars={python: OTHER}),
        task("ikev2_probe", PROBE, **{"async": 20, "poll": 1}),
        task("ikev2_probe", PROBE, become=True),
    )
    environment = {"ANSIBLE_ASYNC_DIR": str(ansible.folder)}
    run = ansible.command("ansible-playbook", str(playbook), "-vvv", inventory=False, environment=environment)
    assert run.recap["localhost"]["ok"] == 8, run.output
    assert run.recap["localhost"]["ignored"] == 0, run.output
    assert run.output.count(IN_PROCESS) == 5
    for reason in (
        "it has an environment",
        f"its Python is {COMMANDS}/python",
        "it is asynchronous",
        "it becomes another user",
    ):
        assert run.output.count(f"runs as a module: {reason}") == 1


@pytest.mark.each_core
@pytest.mark.parametrize("name", MODULES)
def test_a_time_limit_between_two_writes_ends_in_a_rollback(ansible: Ansible, lab: Lab, name: str) -> None:
    (device,) = (device for device in lab.load_balancers if device.name == name)
    before = lab.settings()[name]
    # A BIG-IP changes nothing before the transaction's end.
    fault = device.fault(lambda entry: entry.writes, skip=3 if name == "bigip" else 1, delay=2.0)
    options = {**connection(lab, device), "return_path": RETURN_PATH}
    run = ansible.command(
        "ansible-playbook", str(play(ansible, task(MODULES[name], options, timeout=1))), "-v", inventory=False
    )
    assert len(fault.seen) == 1
    result = run.results["localhost"]
    assert result["timedout"] == {"period": 1}
    assert "was interrupted (TaskTimeoutError), so run it again. Everything is as it was before." in result["msg"]
    assert (result["final_state"], result["undone"], result["changes"]) == ("rolled_back", True, [])
    # What the device was doing when the time was up counts, too.
    assert lab.settings()[name] == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_between_two_writes_ends_in_a_rollback(ansible: Ansible, lab: Lab, number: signal.Signals) -> None:
    before = lab.settings()["netscaler"]
    fault = lab.netscaler.fault(lambda entry: entry.writes, skip=1, delay=2.0)
    options = {**connection(lab, lab.netscaler), "return_path": RETURN_PATH}
    process = subprocess.Popen(
        [str(COMMANDS / "ansible-playbook"), str(play(ansible, task("netscaler_usip", options)))],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        end = time.monotonic() + 20
        while not fault.seen and time.monotonic() < end:
            time.sleep(0.02)
        # As a terminal does: to all processes that are still in its group.
        os.killpg(process.pid, number)
        output, _dummy = process.communicate(timeout=30)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode != 0, output
    # The worker may outlive the playbook by what the rollback takes.
    end = time.monotonic() + 20
    while lab.netscaler.open_sessions() and time.monotonic() < end:
        time.sleep(0.05)
    assert lab.netscaler.open_sessions() == []
    assert lab.settings()["netscaler"] == before
    assert len(lab.netscaler.writing()) > 2
