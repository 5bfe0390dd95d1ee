# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection's scripts in PowerShell, where one call fails, the server restarts, or two things happen at once."""

from __future__ import annotations

import json
import threading
import time
import typing as t
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import netaddr
import pytest

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows import routes
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.commands import (
    apply_command,
    lines,
    rehearsal_command,
    rollback_command,
)
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.network import Network
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.steps import Plan, Step
from lab import clock
from lab.shell import shell
from lab.system import find_value
from lab.windows import ADDED_ROUTES, APPLY, MARKER_KEY, ROLLBACK, SCRIPTS, TEST, WindowsHost

Result = dict[str, t.Any]

OLD, NEW = "10.10.0.254", "10.10.0.1"
RPC = "The RPC server is unavailable."


@dataclass
class Server:
    """A server whose default gateway is to change, and the plan for that."""

    host: WindowsHost
    plan: Plan

    def run(self, script: str, **parameters: t.Any) -> Result:
        """Run a script, and return win_powershell's result."""
        return self.host.powershell(script, **parameters)

    def does(self, script: str, **parameters: t.Any) -> None:
        """Run a script that has to succeed."""
        done = self.run(script, **parameters)
        if done["failed"]:
            raise RuntimeError(done["error"])

    def arm(self, seconds: int = 60) -> None:
        """Arm the rollback."""
        self.host.arm(plain(self.plan.rollback), seconds)

    def switch(self) -> None:
        """Have the detached task make the change, and wait for that."""
        self.does("apply_detached.ps1", Command=apply_command(self.plan.switch))
        self.host.tasks.run_due()
        if self.gateways("active") != [NEW]:
            raise RuntimeError("the change was not made")

    def fails(self, command: str, kind: str = "error", *, times: int = 1, **more: t.Any) -> None:
        """Let a command fail."""
        self.host.state["cmdlet_faults"].append({"command": command, "kind": kind, "times": times, **more})

    def gateways(self, store: str) -> list[str]:
        """Return the default gateways of a store."""
        return [route["next_hop"] for route in self.host.state["routes"][store] if route["dest"] == "0.0.0.0/0"]

    def roll_back_now(self) -> None:
        """Let the rollback's time come."""
        self.host.state["tasks"][ROLLBACK]["due"] = time.time()
        self.host.tasks.run_due()


def plain(steps: t.Iterable[Step]) -> list[Result]:
    """Return steps as the scripts get them."""
    return [step.as_dict() for step in steps]


def step(action: t.Literal["add", "remove"], store: str, gateway: str) -> str:
    """Return a step of the default gateway."""
    return Step(action, store, "0.0.0.0/0", gateway, 4, 256, "External").line


@pytest.fixture
def server() -> Server:
    """Return a server that has the old gateway."""
    host = WindowsHost("rras1", 1)
    network = Network.parse(host.read("read_network.ps1"))
    return Server(host, routes.plan_default_gateway(network, routes.Wanted(netaddr.IPAddress(NEW))))


@pytest.fixture
def watched(server: Server) -> Iterator[Server]:
    """Return a server whose tasks run by themselves, each in a PowerShell of its own."""
    server.host.own_processes = True
    server.host.tasks.start()
    yield server
    server.host.tasks.stop()


def wait(until: Callable[[], t.Any], seconds: float = 60) -> None:
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not until():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.05)


# What holds


def memory(server: Server) -> t.Any:
    """Return the routes that a server knows as the collection's own."""
    return (find_value(server.host.state, MARKER_KEY, ADDED_ROUTES) or {"data": None})["data"]


@pytest.mark.parametrize("own", [pytest.param(False, marks=pytest.mark.matrix), True], ids=["warm", "own"])
def test_the_registered_command_lines_run(watched: Server, own: bool) -> None:
    """A change is made and rolled back by tasks, and leaves nothing behind; a process of its own does what the warm one does."""
    watched.host.own_processes = own
    watched.does("change_routes.ps1", Steps=[], Remember=["a b c"])
    watched.arm()
    watched.does("apply_detached.ps1", Command=apply_command(watched.plan.switch))
    wait(lambda: watched.gateways("active") == [NEW])
    with watched.host.lock:
        watched.host.state["tasks"][ROLLBACK]["due"] = time.time()
    wait(lambda: not watched.host.state["tasks"] and not watched.host.files())
    assert watched.host.state["fired"] == [APPLY, ROLLBACK]
    assert memory(watched) == []
    assert (watched.gateways("active"), watched.gateways("persistent")) == ([OLD], [OLD])


def test_a_change_is_made_persistent_and_confirmed(server: Server) -> None:
    server.arm()
    server.switch()
    server.does("change_routes.ps1", Steps=lines(server.plan.keep), Remember=["a b c"], Armed=True)
    server.does("end_change.ps1")
    assert (server.gateways("active"), server.gateways("persistent")) == ([NEW], [NEW])
    assert (server.host.state["tasks"], server.host.files()) == ({}, [])


def test_a_restart_undoes_what_was_not_confirmed(server: Server) -> None:
    server.arm()
    server.switch()
    server.host.reboot()
    server.host.tasks.run_due()
    assert (server.gateways("active"), server.gateways("persistent")) == ([OLD], [OLD])
    assert server.host.state["tasks"] == {}


@pytest.mark.parametrize("policy", ["AllSigned", "Restricted"])
def test_a_rollback_runs_whatever_the_execution_policy_is(server: Server, policy: str) -> None:
    server.arm()
    server.does("change_routes.ps1", Steps=lines(server.plan.switch))
    server.host.state["policy"] = {"MachinePolicy": policy}
    server.roll_back_now()
    assert server.gateways("active") == [OLD]


@pytest.mark.parametrize("policy", ["AllSigned", "Restricted"])
def test_a_rollback_runs_where_the_computers_own_policy_forbids_the_modules_of_a_task(
    server: Server, policy: str
) -> None:
    """Ansible's session has a policy of its own, so that the change would be made."""
    server.arm()
    server.does("change_routes.ps1", Steps=lines(server.plan.switch))
    server.host.state |= {"policy": {"LocalMachine": policy}, "policy_stops_modules": True}
    server.roll_back_now()
    assert (server.gateways("active"), server.host.state["tasks"]) == ([OLD], {})


def test_the_triggers_of_a_rollback_have_an_end(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.arm()
    server.does("change_routes.ps1", Steps=lines(server.plan.switch))
    later = time.time() + 86400 + 120
    monkeypatch.setattr(clock, "now", lambda: later)
    server.host.state["tasks"][ROLLBACK]["due"] = None
    server.host.reboot()
    assert server.host.tasks.run_due() == []
    assert server.host.read("read_network.ps1")["pending"]["due_in"] is None


@pytest.mark.parametrize("result", [0, 1])
def test_a_task_tests_whether_a_rollback_could_run(server: Server, result: int) -> None:
    before = json.dumps([server.host.state["routes"], server.host.state["registry"]])
    server.host.state["refused_tasks"] = [TEST] * result
    server.does("try_task.ps1", Command=rehearsal_command())
    assert server.run("try_task.ps1")["result"]["result"] == 267011
    server.host.tasks.run_due()
    assert server.run("try_task.ps1")["result"]["result"] == result
    server.does("try_task.ps1", Remove=True)
    assert server.host.state["tasks"] == {}
    assert json.dumps([server.host.state["routes"], server.host.state["registry"]]) == before


# A query that fails is not one that finds nothing


def test_a_rollback_that_cannot_ask_does_not_end(server: Server) -> None:
    server.arm()
    server.switch()
    server.fails("Get-NetRoute", match={"NextHop": NEW, "PolicyStore": "ActiveStore"})
    server.roll_back_now()
    server.host.state["tasks"].get(ROLLBACK, {})["due"] = time.time()
    server.host.tasks.run_due()
    assert server.gateways("active") == [OLD]
    assert server.host.state["tasks"] == {}


QUERIES = {
    "cards": ("read_network.ps1", "Get-NetAdapter", {}),
    "addresses": ("read_network.ps1", "Get-NetIPAddress", {}),
    "active routes": ("read_network.ps1", "Get-NetRoute", {"PolicyStore": "ActiveStore", "AddressFamily": "IPv4"}),
    "persistent routes": ("read_network.ps1", "Get-NetRoute", {"PolicyStore": "PersistentStore"}),
    "IPv6 defaults": ("read_network.ps1", "Get-NetRoute", {"AddressFamily": "IPv6"}),
    "sessions": ("read_network.ps1", "Get-NetTCPConnection", {}),
    "RADIUS": ("read_network.ps1", "Get-RemoteAccessRadius", {}),
    "networks": ("read_network.ps1", "Get-NetConnectionProfile", {}),
    "service": ("read_network.ps1", "Get-Service", {}),
    "rollback": ("read_network.ps1", "Get-ScheduledTaskInfo", {"TaskName": ROLLBACK}),
    "apply": ("read_network.ps1", "Get-ScheduledTaskInfo", {"TaskName": APPLY}),
    "remembered routes": ("read_network.ps1", "Registry.Get", {}),
    "services": ("read_vpn.ps1", "Get-Service", {"Name": "IKEEXT"}),
    "process": ("read_vpn.ps1", "Get-Process", {}),
    "associations": ("read_vpn.ps1", "Get-NetIPsecMainModeSA", {}),
    "tunnels": ("read_vpn.ps1", "Get-RemoteAccessConnectionStatistics", {}),
    "limit": ("read_vpn.ps1", "Registry.Get", {}),
}


@pytest.mark.parametrize(("script", "command", "match"), QUERIES.values(), ids=QUERIES)
def test_a_reader_says_what_it_could_not_ask(server: Server, script: str, command: str, match: Result) -> None:
    server.arm()
    server.does("apply_detached.ps1", Command=apply_command(server.plan.switch))
    server.host.state["registry"][r"HKLM:\SOFTWARE\aovpn.ikev2"] = {}
    server.fails(command, match=match)
    done = server.run(script)
    if not server.host.state["cmdlet_faults"][0].get("seen"):
        raise RuntimeError("the query was never made")
    assert RPC in json.dumps(done)


@pytest.mark.parametrize("command", ["Get-NetIPInterface", "Get-DnsClientServerAddress", "Get-CimInstance"])
def test_a_reader_fails_where_a_query_without_more_fails(server: Server, command: str) -> None:
    server.fails(command)
    done = server.run("read_network.ps1")
    assert done["failed"]
    assert RPC in json.dumps(done["error"])


def test_who_is_connected_by_remote_desktop_is_a_peer(server: Server) -> None:
    session = {"local_address": "10.10.0.11", "local_port": 3389, "remote_address": "198.51.100.77", "remote_port": 1}
    server.host.state["sessions"].append(session)
    assert "198.51.100.77" in server.host.read("read_network.ps1")["peers"]


# A confirmation that is none


def test_a_change_whose_rollback_cannot_be_removed_is_not_confirmed(server: Server) -> None:
    server.arm()
    server.switch()
    server.fails("Unregister-ScheduledTask", match={"TaskName": ROLLBACK}, times=9)
    done = server.run("end_change.ps1")
    assert ROLLBACK in server.host.state["tasks"]
    assert done["failed"]
    # Nothing that the task needs is gone: when it is due, it restores the old gateway.
    server.roll_back_now()
    assert server.gateways("active") == [OLD]


@pytest.mark.matrix
def test_a_rollback_that_begins_beside_the_confirmation_is_not_confirmed(watched: Server) -> None:
    watched.arm()
    watched.does("change_routes.ps1", Steps=lines(watched.plan.switch))
    watched.fails("Unregister-ScheduledTask", "delay", seconds=8)
    confirming: list[Result] = []
    thread = threading.Thread(target=lambda: confirming.append(watched.run("end_change.ps1")))
    thread.start()
    wait(lambda: watched.host.state["cmdlet_faults"][0].get("seen"))
    with watched.host.lock:
        watched.host.state["tasks"][ROLLBACK]["due"] = time.time()
    thread.join()
    wait(lambda: not watched.host.state["tasks"])
    confirmed = not confirming[0]["failed"]
    assert watched.gateways("active") == [NEW if confirmed else OLD]


# A change that is not undone


@pytest.mark.matrix
def test_a_change_that_starts_beside_the_rollback_is_undone(watched: Server) -> None:
    watched.arm()
    watched.fails("Register-ScheduledTask", "delay", match={"TaskName": APPLY}, seconds=8)
    thread = threading.Thread(
        target=watched.run, args=("apply_detached.ps1",), kwargs={"Command": apply_command(watched.plan.switch)}
    )
    thread.start()
    wait(lambda: watched.host.state["cmdlet_faults"][0].get("seen"))
    with watched.host.lock:
        watched.host.state["tasks"][ROLLBACK]["due"] = time.time()
    wait(lambda: ROLLBACK not in watched.host.state["tasks"])
    thread.join()
    wait(lambda: not any(task["queued"] or task["running"] for task in watched.host.state["tasks"].values()))
    assert watched.gateways("active") == [OLD]
    assert watched.host.state["tasks"] == {}


def test_nothing_is_changed_while_the_rollback_is_queued(server: Server) -> None:
    server.arm()
    server.host.state["tasks"][ROLLBACK]["queued"] = True
    done = server.run("apply_detached.ps1", Command=apply_command(server.plan.switch))
    assert done["failed"]
    assert APPLY not in server.host.state["tasks"]


def test_an_arming_that_fails_leaves_nothing_armed(server: Server) -> None:
    server.fails("Get-ScheduledTaskInfo")
    done = server.run("arm_rollback.ps1", Command=rollback_command(server.plan.rollback, []), Seconds=60)
    assert RPC in json.dumps(done["error"])
    assert server.host.state["tasks"] == {}


# Interfaces have other indexes after a restart


@pytest.mark.parametrize("indexes", [{4: 9}, {4: 7, 7: 4}], ids=["new", "exchanged"])
def test_a_rollback_after_a_restart_with_other_indexes(server: Server, indexes: dict[int, int]) -> None:
    server.arm()
    server.switch()
    server.host.reboot(indexes=indexes)
    server.host.tasks.run_due()
    right = [(OLD, indexes[4])]
    for of_store in server.host.state["routes"].values():
        assert [(each["next_hop"], each["if_index"]) for each in of_store if each["dest"] == "0.0.0.0/0"] == right
    assert server.host.state["tasks"] == {}


# A route that is replaced is never missing


def test_a_script_that_is_called_stops_where_a_cmdlet_fails(server: Server) -> None:
    server.fails("New-NetRoute", times=9)
    steps = [step("add", "both", NEW), step("remove", "ActiveStore", OLD), step("remove", "PersistentStore", OLD)]
    call = "param($File, $Steps)\n& $File -Steps $Steps"
    file = shell().folder / "change_routes.ps1"
    file.write_text((SCRIPTS / "change_routes.ps1").read_text(encoding="utf-8"), encoding="utf-8")
    parameters = {"File": str(file), "Steps": steps}
    done = server.host.module("win_powershell", {"script": call, "parameters": parameters})
    assert RPC in json.dumps(done["error"])
    assert (server.gateways("active"), server.gateways("persistent")) == ([OLD], [OLD])


@pytest.mark.parametrize("kind", ["error", "error after"])
def test_a_route_that_becomes_persistent_is_never_missing(server: Server, kind: str) -> None:
    server.does("change_routes.ps1", Steps=[step("add", "ActiveStore", NEW), step("remove", "ActiveStore", OLD)])
    server.fails("New-NetRoute", kind)
    assert RPC in json.dumps(server.run("change_routes.ps1", Steps=[step("add", "both", NEW)]))
    assert server.gateways("active") == [NEW]


@pytest.mark.parametrize("kind", ["die", pytest.param("die after", marks=pytest.mark.matrix)])
def test_the_rollback_restores_what_a_powershell_that_died_left_missing(server: Server, kind: str) -> None:
    """Windows writes the persistent store only together with the active one, so there is a moment without the route."""
    server.arm()
    server.switch()
    server.fails("New-NetRoute", kind)
    text = (SCRIPTS / "change_routes.ps1").read_text(encoding="utf-8")
    assert shell().module(server.host, {"script": text, "parameters": {"Steps": lines(server.plan.keep)}}).died
    server.roll_back_now()
    assert (server.gateways("active"), server.gateways("persistent")) == ([OLD], [OLD])
    assert server.host.state["tasks"] == {}


@pytest.mark.parametrize(
    "wrong", [step("remove", "both", OLD), step("add", "PersistentStore", NEW)], ids=["remove", "add"]
)
def test_a_step_that_is_not_known_is_refused(server: Server, wrong: str) -> None:
    before = json.dumps(server.host.state["routes"])
    done = server.run("change_routes.ps1", Steps=[wrong])
    assert done["failed"]
    assert json.dumps(server.host.state["routes"]) == before
