# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A change of the default gateway that goes wrong at any step: the server can be reached at the end, and the next run converges.

Each fault has a server of its own, so that all of them are waited for at once.
"""

from __future__ import annotations

import copy
import json
import os
import re
import signal
import subprocess
import threading
import time
import typing as t
from functools import partial
from pathlib import Path

import pytest
import yaml

from harness import COMMANDS, Ansible, Run
from lab.core import Entry
from lab.servers import Servers
from lab.system import find_value
from lab.windows import ADDED_ROUTES, APPLY, MARKER_KEY, ROLLBACK, WindowsHost
from lab.winrm import Fault

OLD, NEW = "10.10.0.254", "10.10.0.1"
STEPS = {
    "gather": ("read_network.ps1", 0),
    "preserve": ("change_routes.ps1", 0),
    "arm": ("arm_rollback.ps1", 0),
    "apply": ("apply_detached.ps1", 0),
    "reconnect": ("read_network.ps1", 1),
    "keep": ("change_routes.ps1", 1),
    "end": ("end_change.ps1", 0),
    "look": ("read_network.ps1", 2),
}
"""The script of each step, and how many runs of the same script come before it."""
TIMEOUT = 45
WANTED = {"gateway": NEW, "preserve_routes": [], "rollback_timeout": TIMEOUT}
ROUTE = {"store": "ActiveStore", "destination": "0.0.0.0/0", "interface_index": 4, "metric": 256}


@pytest.fixture
def started(servers: t.Callable[..., Ansible]) -> t.Callable[..., Ansible]:
    """Start servers of these names; each has a peer that uses the old gateway now, and short time-outs."""

    def start(*names: str, patient: t.Sequence[str] = ()) -> Ansible:
        ansible = servers(*names)
        impatient = {
            "ansible_winrm_operation_timeout_sec": 1,
            "ansible_winrm_read_timeout_sec": 2,
            "ansible_psrp_operation_timeout": 1,
            "ansible_psrp_read_timeout": 2,
            "ansible_psrp_connection_timeout": 2,
        }
        ansible.lab.write_inventory(dict.fromkeys({*names} - {*patient}, impatient))
        for host in ansible.lab.servers:
            host.state["radius_servers"] = ["172.16.0.9"]
        play = {
            "hosts": "rras",
            "gather_facts": False,
            "tasks": [{"aovpn.ikev2.rras_default_gateway": {**WANTED}}],
        }
        (ansible.folder / "play.yml").write_text(yaml.safe_dump([play]), encoding="utf-8")
        return ansible

    return start


def at(step: str) -> dict[str, t.Any]:
    """Return the arguments of a fault that strikes a step."""
    script, before = STEPS[step]
    return {"match": lambda entry: is_run_of(entry, script), "skip": before}


def is_run_of(entry: Entry, script: str) -> bool:
    """Report whether a log's entry is a run of this script."""
    return entry.query.get("script") == script


def play(ansible: Ansible, **options: t.Any) -> Run:
    """Run the task on all servers at once."""
    return ansible.command("ansible-playbook", "play.yml", "--forks", "12", "-v", **options)


def settle(ansible: Ansible) -> None:
    """Wait until no server has a change under way, and see that each can be reached, by one gateway in both stores."""
    end = time.monotonic() + TIMEOUT + 20
    hosts = ansible.lab.servers
    while any(host.is_dark() or host.state["tasks"] for host in hosts) and time.monotonic() < end:
        time.sleep(0.1)
    assert {host.name: (host.is_dark(), host.state["tasks"]) for host in hosts} == {
        host.name: (False, {}) for host in hosts
    }
    for host in hosts:
        assert len(gateways(host)) == 1, (host.name, gateways(host))
        assert not host.files()
        # Whatever happened, it knows exactly the routes that it was given.
        given = [item for item in host.state["routes"]["persistent"] if item["dest"].startswith("172.16.")]
        memory = find_value(host.state, MARKER_KEY, ADDED_ROUTES)
        known = sorted(f"{item['dest']} {item['next_hop']} External" for item in given)
        assert (memory["data"] if memory else []) == known, host.name


CHANGES = [("0.0.0.0/0", OLD, NEW), ("172.16.0.9/32", None, OLD)]


def listed(result: dict[str, t.Any]) -> list[tuple[t.Any, ...]]:
    """Return a result's changes in short."""
    return [(change["id"], change["before"], change["after"]) for change in result["changes"]]


def judge(ansible: Ansible, run: Run, before: dict[str, set[tuple[t.Any, ...]]]) -> None:
    """Check that each result agrees with its server, once that has settled."""
    for host in ansible.lab.servers:
        result, counts = run.results[host.name], run.recap[host.name]
        failed = counts["failed"] + counts["unreachable"] > 0
        state = result["final_state"]
        assert result.get("undone") == (True if failed else None), (host.name, result)
        assert state in (("unchanged", "rolled_back") if failed else ("changed",)), (host.name, result)
        differing = {line[1] for line in table(host) ^ before[host.name]}
        assert {change[0] for change in listed(result)} == differing, host.name
        assert set(CHANGES if differing else []) <= set(listed(result)), host.name


def gateways(host: WindowsHost) -> set[str]:
    """Return the default gateways of both stores; a store without one shows as empty."""
    return {
        ", ".join(route["next_hop"] for route in host.state["routes"][store] if route["dest"] == "0.0.0.0/0")
        for store in ("active", "persistent")
    }


def converge(ansible: Ansible) -> None:
    """Run the task again: every server has the new gateway then, and a further run finds nothing to do."""
    again = play(ansible, cut_off=True)
    assert again.code == 0, again.output
    settle(ansible)
    assert [gateways(host) for host in ansible.lab.servers] == [{NEW} for _host in ansible.lab.servers]
    seen = {host.name: len(host.log) for host in ansible.lab.servers}
    last = play(ansible, cut_off=True)
    assert set(last.changed.values()) == {0}
    # One round trip, which reads; nothing is armed.
    for host in ansible.lab.servers:
        (entry,) = host.log[seen[host.name] :]
        assert entry.query["script"] == "read_network.ps1"
        assert entry.body["parameters"]["Ports"] == sorted({22, 5985, 5986, host.port})


FAULTS: dict[str, dict[str, t.Any]] = {
    "before": {"reset": "before"},
    "after": {"reset": "after"},
    "dark": {"dark": 4.0},
    "long": {"dark": TIMEOUT + 4.0},
}


@pytest.mark.matrix
@pytest.mark.parametrize("kinds", [("after",), pytest.param(("before", "dark", "long"), marks=pytest.mark.matrix)])
def test_a_connection_that_is_lost_at_any_step(started: t.Callable[..., Ansible], kinds: tuple[str, ...]) -> None:
    names = [f"{step}_{kind}" for step in STEPS for kind in kinds]
    ansible = started(*names)
    for host in ansible.lab.servers:
        step, _dummy, kind = host.name.partition("_")
        host.fault(**at(step), **FAULTS[kind])
    before = {host.name: table(host) for host in ansible.lab.servers}
    first = play(ansible, cut_off=True)
    assert set(first.recap) == set(names)
    settle(ansible)
    judge(ansible, first, before)
    found = {host.name: gateways(host) for host in ansible.lab.servers}
    # What is lost before the change is not changed; what is lost for a moment after it goes on.
    for step in ("gather", "preserve", "arm"):
        assert [found[f"{step}_{kind}"] for kind in kinds] == [{OLD}] * len(kinds)
    for name in [
        f"{step}_{kind}" for step in ("reconnect", "keep", "end", "look") for kind in {"before", "after"} & {*kinds}
    ]:
        assert (found[name], first.recap[name]["failed"]) == ({NEW}, 0)
    assert found.get("apply_after", {NEW}) == {NEW}
    # Success is not reported where something is wrong.
    for name, counts in first.recap.items():
        assert (counts["failed"] + counts["unreachable"] == 0) == (found[name] == {NEW}), (name, first.output)
    for host in ansible.lab.servers:
        host.faults.clear()
    converge(ansible)


def reboot_when(host: WindowsHost, fault: Fault) -> None:
    """Restart a server as soon as a fault has struck."""
    end = time.monotonic() + 60
    while not fault.seen and time.monotonic() < end:
        time.sleep(0.02)
    host.reboot(dark=1.0)


HAPPENS: dict[str, tuple[str, dict[str, t.Any]]] = {
    "armless": ("apply", {"delay": TIMEOUT + 1.0}),  # the rollback has run before the change is made
    "slow": ("reconnect", {"dark": 3.0}),
    # What was read from this one arrives only after its rollback has run.
    "stale": ("reconnect", {"delay": 1.0, "dark": TIMEOUT + 1.0}),
    "psrp_reset": ("apply", {"reset": "after"}),
    "psrp_dark": ("reconnect", {"dark": 3.0}),
    # One goes down once the new gateway stands, the other when it has been made persistent; both come up by the old one.
    "rebooted": ("reconnect", {"delay": 0.5}),
    "rebooted_late": ("end", {"delay": 0.5}),
}
STAY_CHANGED = {"kept", "slow", "psrp", "psrp_reset", "psrp_dark"}


@pytest.mark.parametrize(
    "names",
    [
        ("cut_off", "kept", "refused", "slow", "rebooted", "psrp"),
        pytest.param(
            ("armless", "stale", "rebooted_late", "psrp_reset", "psrp_dark", "psrp_cut_off"), marks=pytest.mark.matrix
        ),
    ],
)
def test_what_happens_to_a_server_meanwhile(started: t.Callable[..., Ansible], names: tuple[str, ...]) -> None:
    ansible = started(*names, patient=["stale"])
    hosts = t.cast(Servers, ansible.lab).hosts
    # The port by which this one is managed is not known for one, so that its answers leave by the new gateway, and nobody gets them.
    for name in {"cut_off", "psrp_cut_off"} & {*names}:
        hosts[name].state["sessions"][0] |= {"remote_address": "172.16.0.50", "local_port": 8443}
        hosts[name].state["gateways"][NEW] = []
    # Whereas those of this one go on leaving by the old gateway.
    if "kept" in names:
        hosts["kept"].state["sessions"][0] |= {"remote_address": "172.16.0.50"}
        hosts["kept"].state["gateways"][NEW] = []
        hosts["kept"].state["categories"] = dict.fromkeys(("External", f"External behind {NEW}"), "DomainAuthenticated")
    if "refused" in names:
        hosts["refused"].state["refused_tasks"] = [APPLY, ROLLBACK]
    for name in HAPPENS.keys() & {*names}:
        step, happens = HAPPENS[name]
        fault = hosts[name].fault(**at(step), **happens)
        if name.startswith("rebooted"):
            threading.Thread(target=reboot_when, args=(hosts[name], fault), daemon=True).start()
    before = {name: table(host) for name, host in hosts.items()}
    run = play(ansible, cut_off=True)
    settle(ansible)
    judge(ansible, run, before)
    assert {name for name in names if gateways(hosts[name]) == {NEW}} == STAY_CHANGED & {*names}
    assert {name for name in names if gateways(hosts[name]) == {OLD}} == {*names} - STAY_CHANGED
    assert {name: counts["failed"] for name, counts in run.recap.items()} == {
        name: int(name not in STAY_CHANGED) for name in names
    }
    told = " ".join(run.output.split())
    # Who waits for its own rollback says so, once. (On a slow machine, that of some has run before anybody waits.)
    waiting = r"^(\w+): Waiting until the server has its old gateway again, (\d+) seconds at most\.$"
    lines = re.findall(waiting, run.output, re.MULTILINE)
    assert len(lines) == len(dict(lines))
    assert all(0 < int(seconds) <= TIMEOUT + 90 for _name, seconds in lines)
    if "cut_off" in names:
        assert lines
        assert hosts["cut_off"].state["fired"] == [APPLY, ROLLBACK]
        assert hosts["slow"].state["fired"] == [APPLY]
        assert (
            "cut_off: the server did not answer through the new gateway. The change was not confirmed, and the routes are what they were before."
            in told
        )
        assert "refused: the task that changes the routes ended with 0x1. The change was not confirmed" in told
        assert "kept: Waiting" not in run.output
        # The routes that should keep peers reachable are gone again with it.
        assert not [
            route for route in hosts["cut_off"].state["routes"]["persistent"] if route["dest"] == "172.16.0.9/32"
        ]
    for host in hosts.values():
        host.state["gateways"][NEW] = ["0.0.0.0/0"]
        host.state["refused_tasks"] = []
    converge(ansible)


def kill(process: int) -> None:
    """Kill a process and all that it has started: Ansible's workers have sessions of their own."""
    os.kill(process, signal.SIGSTOP)
    for child in Path(f"/proc/{process}/task/{process}/children").read_text(encoding="utf-8").split():
        kill(int(child))
    os.kill(process, signal.SIGKILL)


@pytest.mark.parametrize(
    "names",
    [
        ("preserve", "apply", "end", "reboot"),
        pytest.param(("gather", "arm", "reconnect", "keep", "look"), marks=pytest.mark.matrix),
    ],
)
def test_ansible_is_killed_at_any_step(started: t.Callable[..., Ansible], names: tuple[str, ...]) -> None:
    ansible = started(*names)
    hosts = t.cast(Servers, ansible.lab).hosts
    faults = {name: hosts[name].fault(**at("reconnect" if name == "reboot" else name), delay=1.0) for name in hosts}
    processes = {
        name: subprocess.Popen(
            [COMMANDS / "ansible-playbook", "-i", ansible.lab.inventory, "play.yml", "--limit", name],
            cwd=ansible.folder,
            env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for name in hosts
    }
    end = time.monotonic() + 60
    left = set(hosts)
    while left and time.monotonic() < end:
        for name in [name for name in left if faults[name].seen]:
            kill(processes[name].pid)
            processes[name].wait()
            left.remove(name)
            if name == "reboot":
                hosts[name].reboot()
        time.sleep(0.02)
    assert not left, "these steps were never reached"
    assert "reboot" not in names or gateways(hosts["reboot"]) == {OLD}
    settle(ansible)
    assert "apply" not in names or hosts["apply"].state["fired"][-1] == ROLLBACK
    converge(ansible)


@pytest.mark.matrix
def test_a_change_under_way_is_reported_and_awaited(started: t.Callable[..., Ansible]) -> None:
    ansible = started("rras1", "stuck")
    hosts = t.cast(Servers, ansible.lab).hosts
    for host in hosts.values():
        host.arm([{**ROUTE, "action": "add", "next_hop": OLD}], 60)
    hosts["stuck"].state["tasks"][ROLLBACK]["due"] = None
    arguments = json.dumps({"state": "gathered"})
    look = ansible.command("ansible", "rras1", "-m", "aovpn.ikev2.rras_default_gateway", "-a", arguments)
    assert "rollback_pending" in look.output
    check = ansible.command("ansible-playbook", "play.yml", "--check")
    assert check.changed == {"rras1": 1, "stuck": 1}
    hosts["rras1"].state["tasks"][ROLLBACK]["due"] = time.time() + 20
    run = play(ansible)
    assert hosts["rras1"].state["fired"] == [ROLLBACK, APPLY]
    assert gateways(hosts["rras1"]) == {NEW}
    assert run.recap["stuck"]["failed"] == 1
    assert "its rollback does not run by itself. Check the scheduled task" in " ".join(run.output.split())
    waits = "rras1: Waiting until another run has confirmed its change of the gateway, or the server has undone it, "
    assert [line for line in run.output.splitlines() if "Waiting" in line and not line.startswith(waits)] == []
    (line,) = [line for line in run.output.splitlines() if line.startswith(waits)]
    assert 0 < int(line.removeprefix(waits).removesuffix(" seconds at most.")) <= 110
    assert gateways(hosts["stuck"]) == {OLD}


@pytest.mark.matrix
def test_a_restoration_is_as_safe_as_a_change(started: t.Callable[..., Ansible]) -> None:
    """One is managed by the old gateway, one by the new one, which is cut off and undone; others are lost for long at a step."""
    lost = {"apply": "apply_detached.ps1", "keep": "change_routes.ps1", "end": "end_change.ps1"}
    ansible = started("old", "new", *lost)
    hosts = t.cast(Servers, ansible.lab).hosts
    before = table(hosts["old"])
    for name, host in hosts.items():
        host.state["sessions"][0] |= {"remote_address": "172.16.0.50", "local_port": 8443 if name == "new" else 5986}
    look: dict[str, t.Any] = {"aovpn.ikev2.rras_default_gateway": {"state": "gathered"}, "register": "seen"}
    write = {
        "ansible.builtin.copy": {"dest": f"{ansible.folder}/before.json", "content": "{{ seen.before }}"},
        "delegate_to": "localhost",
    }
    kept = "{{ lookup('ansible.builtin.file', playbook_dir ~ '/before.json') | from_json }}"
    restore = {"state": "restored", "snapshot": kept, "rollback_timeout": TIMEOUT}
    for file, tasks in {
        "look.yml": [look, {**write, "run_once": True}],
        "back.yml": [{"aovpn.ikev2.rras_default_gateway": restore}],
    }.items():
        frame = {"hosts": "rras", "gather_facts": False, "tasks": tasks}
        (ansible.folder / file).write_text(yaml.safe_dump([frame]), encoding="utf-8")
    assert ansible.command("ansible-playbook", "look.yml").code == 0
    assert set(play(ansible).changed.values()) == {1}
    del hosts["old"].state["gateways"][NEW]
    del hosts["new"].state["gateways"][OLD]
    for name, script in lost.items():
        hosts[name].fault(partial(is_run_of, script=script), dark=TIMEOUT + 4.0)
    there = {name: (table(host), copy.deepcopy(host.state["registry"])) for name, host in hosts.items()}
    run = ansible.command("ansible-playbook", "back.yml", "--forks", "12", cut_off=True)
    assert (run.recap["old"]["failed"], run.recap["new"]["failed"]) == (0, 1), run.output
    assert "The change was not confirmed, and the routes are what they were before." in " ".join(run.output.split())
    settle(ansible)
    assert table(hosts["old"]) == before
    # What was undone stands as it did, and still knows which routes are its own.
    for name in ("new", "apply", "keep"):
        assert (table(hosts[name]), hosts[name].state["registry"]) == there[name]
    assert table(hosts["end"]) in (before, there["end"][0])
    hosts["new"].state["gateways"][OLD] = ["0.0.0.0/0"]
    again = ansible.command("ansible-playbook", "back.yml", "--forks", "12", cut_off=True)
    assert again.code == 0, again.output
    assert again.changed["old"] == 0
    assert [table(host) for host in ansible.lab.servers] == [before] * len(hosts)


def table(host: WindowsHost) -> set[tuple[t.Any, ...]]:
    """Return all routes of both stores."""
    routes = host.state["routes"]
    return {(store, item["dest"], item["next_hop"], item["metric"]) for store in routes for item in routes[store]}


REFUSALS: dict[str, tuple[dict[str, t.Any], dict[str, t.Any], str]] = {
    "nonsense": ({"gateway": "nonsense"}, {}, "'nonsense', which is not an IP address"),
    "ipv6": ({"gateway": "2001:db8::1"}, {}, "Only the IPv4 default gateway is managed"),
    "offlink": ({"gateway": "10.99.0.1"}, {}, "is not in a subnet of this server"),
    "own": ({"gateway": "10.10.0.11"}, {}, "is this server's own address"),
    "alias": ({"gateway": NEW, "interface_alias": "Nothing"}, {}, "No interface matches 'interface_alias' 'Nothing'"),
    "overlap": ({"gateway": NEW, "preserve_routes": ["10.0.0.0/8", "10.1.0.0/16"]}, {}, "which overlap"),
    "hasty": (
        {"gateway": NEW, "rollback_timeout": 1},
        {},
        "'rollback_timeout' is 1. It has to be from 5 to 3600 seconds",
    ),
    "mere_user": ({"gateway": NEW}, {"administrator": False}, "is not an administrator of this server"),
    "no_rras": ({"gateway": NEW}, {"services": {}}, "not an RRAS server: the service RemoteAccess is missing"),
    "linux": ({"gateway": NEW}, {}, "The connection is not one for Windows servers"),
}


def test_gathered_check_mode_and_the_real_run_list_the_same_changes(started: t.Callable[..., Ansible]) -> None:
    """One server needs the change, one is right in the active store alone, one is right, and one refuses the change."""
    ansible = started("old", "active", "right", "mere_user", "psrp")
    hosts = t.cast(Servers, ansible.lab).hosts
    for name, stores in {"active": ["active"], "right": ["active", "persistent"]}.items():
        for store in stores:
            hosts[name].state["routes"][store][-2]["next_hop"] = NEW
    hosts["mere_user"].state["administrator"] = False
    expected = {
        "old": CHANGES,
        "active": [("0.0.0.0/0", OLD, NEW)],
        "right": [],
        "mere_user": CHANGES[:1],
        "psrp": CHANGES,
    }
    for file, options in {"look.yml": {**WANTED, "state": "gathered"}, "bare.yml": {"state": "gathered"}}.items():
        tasks = [{"aovpn.ikev2.rras_default_gateway": options}]
        frame = {"hosts": "rras", "gather_facts": False, "tasks": tasks}
        (ansible.folder / file).write_text(yaml.safe_dump([frame]), encoding="utf-8")
    bare = ansible.command("ansible-playbook", "bare.yml", "-v").results
    assert {name: (result["changes"], result["findings"]) for name, result in bare.items()} == {
        name: ([], []) for name in hosts
    }
    gathered = ansible.command("ansible-playbook", "look.yml", "-v").results
    assert {name: listed(result) for name, result in gathered.items()} == expected
    assert {(result["final_state"], result["changed"]) for result in gathered.values()} == {("unchanged", False)}
    reasons = [(item["code"], item["severity"]) for item in gathered["mere_user"]["findings"]]
    assert reasons == [("change_refused", "blocker")]
    checked = ansible.command("ansible-playbook", "play.yml", "--check", "-v")
    assert ansible.lab.writing() == []
    real = play(ansible)
    for run, state in ((checked, "unchanged"), (real, "changed")):
        results = run.results
        refused = results.pop("mere_user")
        assert (refused["final_state"], refused["undone"], refused["changes"]) == ("unchanged", True, [])
        assert {name: listed(result) for name, result in results.items()} == {name: expected[name] for name in results}
        assert {name: result["final_state"] for name, result in results.items()} == {
            **dict.fromkeys(results, state),
            "right": "unchanged",
        }
    for arguments in ((), ("--check",)):
        again = ansible.command("ansible-playbook", "play.yml", "-v", *arguments).results
        assert {name: result["changes"] for name, result in again.items()} == {name: [] for name in hosts}
        assert {result["changed"] for result in again.values()} == {False}


def test_what_cannot_be_done_is_said_before_anything_changes(started: t.Callable[..., Ansible]) -> None:
    ansible = started(*REFUSALS)
    hosts = t.cast(Servers, ansible.lab).hosts
    variables: dict[str, dict[str, t.Any]] = {"linux": {"ansible_connection": "local"}}
    for name, (options, state, _dummy) in REFUSALS.items():
        hosts[name].state.update(state)
        variables.setdefault(name, {})["options"] = options
    ansible.lab.write_inventory(variables)
    task = {"aovpn.ikev2.rras_default_gateway": "{{ options }}"}
    (ansible.folder / "play.yml").write_text(
        yaml.safe_dump([{"hosts": "rras", "gather_facts": False, "tasks": [task]}]), encoding="utf-8"
    )
    run = play(ansible)
    for name, (_options, _state, words) in REFUSALS.items():
        assert run.recap[name]["failed"] == 1, run.output
        assert any(f"{name}: " in line and words in line for line in run.output.splitlines()), (name, run.output)
    assert ansible.lab.writing() == []
