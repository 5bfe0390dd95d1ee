# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The limit of IKE security associations: what gathered, check mode and the real run say, and what it takes."""

from __future__ import annotations

import json
import typing as t
from functools import partial
from pathlib import Path

import pytest
import yaml

from harness import Ansible
from lab.core import CertificateAuthority, Entry
from lab.servers import Servers
from lab.system import find_value
from lab.whole import Lab
from lab.windows import IKE_LIMIT, IKEEXT_KEY, MARKER_KEY, WindowsHost

Results: t.TypeAlias = "dict[str, dict[str, t.Any]]"


def limit_play(ansible: Ansible, name: str, **options: t.Any) -> None:
    """Write a play of the module alone."""
    play = {"hosts": "rras", "gather_facts": False, "tasks": [{"aovpn.ikev2.rras_ike_limit": options}]}
    (ansible.folder / name).write_text(yaml.safe_dump([play]), encoding="utf-8")


def run(ansible: Ansible, name: str, *arguments: str, **options: t.Any) -> Results:
    """Run a play on all servers at once, and return their results."""
    return ansible.command("ansible-playbook", name, "--forks", "8", "-v", *arguments, **options).results


def listed(results: Results) -> dict[str, list[tuple[t.Any, t.Any]]]:
    """Return the changes in results in short."""
    for change in (change for result in results.values() for change in result["changes"]):
        assert (change["id"], change["scope"], change["setting"]) == ("IKEEXT", "limit", IKE_LIMIT)
    return {
        name: [(change["before"], change["after"]) for change in result["changes"]] for name, result in results.items()
    }


def limit(host: WindowsHost) -> tuple[int | None, int | None]:
    """Return the limit in the registry, and the one that IKEEXT has read."""
    value = find_value(host.state, IKEEXT_KEY, IKE_LIMIT)
    return value["data"] if value else None, host.state["services"]["IKEEXT"]["ike_limit"]


def put(host: WindowsHost, kind: str, data: t.Any) -> None:
    """Put a limit into a server's registry."""
    host.state["registry"][IKEEXT_KEY][IKE_LIMIT] = {"type": kind, "data": data}


@pytest.mark.matrix
def test_servers_in_every_condition(servers: t.Callable[..., Ansible]) -> None:
    ansible = servers("idle", "psrp", "busy", "right", "lower", "text", "marked", "refused")
    lab = t.cast(Servers, ansible.lab)
    hosts = lab.hosts
    for name in set(hosts) - {"busy"}:
        hosts[name].state["sas"] = []
    put(hosts["right"], "dword", 50000)
    hosts["right"].state["services"]["IKEEXT"]["ike_limit"] = 50000
    put(hosts["lower"], "dword", 10)
    put(hosts["text"], "string", "50000")
    # As an earlier version of the role leaves it, where a run ended before the restart.
    put(hosts["marked"], "dword", 50000)
    mark = {"type": "string", "data": "2026-01-05T06:30:00.0000000Z"}
    hosts["marked"].state["registry"][MARKER_KEY] = {"IkeextRestartOwedSince": mark}
    hosts["refused"].state["services"]["IKEEXT"]["dependents"] = ["PolicyAgent"]
    due: dict[str, list[tuple[t.Any, t.Any]]] = {name: [(None, 50000)] for name in hosts}
    due |= {"right": [], "lower": [(10, 50000)], "marked": []}
    limit_play(ansible, "look.yml", state="gathered", limit=50000)
    limit_play(ansible, "bare.yml", state="gathered")
    limit_play(ansible, "set.yml", limit=50000)

    bare = run(ansible, "bare.yml")
    assert listed(bare) == {name: [] for name in hosts}
    assert bare["busy"]["before"] == bare["busy"]["after"]
    assert bare["busy"]["after"]["sas"] == {"10.10.0.1": 12}
    looked = run(ansible, "look.yml")
    assert listed(looked) == due
    assert [name for name, result in looked.items() if result["restart_pending"]] == ["marked"]
    blockers = {
        name: [item["code"] for item in result["findings"] if item["severity"] == "blocker"]
        for name, result in looked.items()
    }
    assert blockers == {**{name: [] for name in hosts}, "refused": ["change_refused"]}

    checked = run(ansible, "set.yml", "--check")
    assert lab.writing() == []
    seen = {name: len(host.log) for name, host in hosts.items()}
    real = run(ansible, "set.yml")
    for results, state in ((checked, "unchanged"), (real, "changed")):
        refused = results.pop("refused")
        assert "depend on IKEEXT and would be stopped with it: PolicyAgent. Stop them first." in refused["msg"]
        assert (refused["final_state"], refused["undone"], refused["changes"]) == ("unchanged", True, [])
        assert listed(results) == {name: due[name] for name in results}
        states = {**dict.fromkeys(results, state), "right": "unchanged"}
        assert {name: result["final_state"] for name, result in results.items()} == states
        assert {name for name, result in results.items() if not result["changed"]} == {"right"}
        assert {name for name, result in results.items() if not result["restarted"]} == {"busy", "right"}
        assert {name for name, result in results.items() if result["restart_pending"]} == {"busy"}
        assert "restart_owed" in [item["code"] for item in results["busy"]["findings"]]
        assert {result["after"]["ike_limit"] for result in results.values()} == {50000}
        assert "busy: IKEEXT has not been restarted, because 12 tunnels are up" in results["busy"]["msg"]
    taken = {name: [entry.path for entry in host.log[seen[name] :]] for name, host in hosts.items()}
    change = ["win_powershell", "win_regedit", "win_regedit", "win_service", "win_regedit", "win_powershell"]
    assert taken == {
        **dict.fromkeys(hosts, change),
        "busy": ["win_powershell", "win_regedit", "win_regedit", "win_powershell"],
        "right": ["win_powershell"],
        "marked": ["win_powershell", "win_service", "win_regedit", "win_powershell"],
        "refused": ["win_powershell"],
    }
    assert {name: limit(host) for name, host in hosts.items()} == {
        **dict.fromkeys(hosts, (50000, 50000)),
        "busy": (50000, None),
        "refused": (None, None),
    }

    written = len(lab.writing())
    for arguments in ((), ("--check",)):
        again = run(ansible, "set.yml", *arguments)
        del again["refused"]
        assert {(result["changed"], result["final_state"]) for result in again.values()} == {(False, "unchanged")}
        assert listed(again) == {name: [] for name in again}
    assert len(lab.writing()) == written

    # What was absent becomes absent again, and IKEEXT gets to know of it.
    limit_play(ansible, "back.yml", state="restored", snapshot="{{ kept }}")
    then: dict[str, int | None] = {"idle": None, "lower": 10, "right": 0}
    lab.write_inventory({name: {"kept": {**bare[name]["before"], "ike_limit": then[name]}} for name in then})
    back = partial(run, ansible, "back.yml", "--limit", ",".join(then))
    assert listed(back("--check")) == listed(back()) == {name: [(50000, then[name])] for name in then}
    assert {name: limit(hosts[name]) for name in then} == {name: (then[name], then[name]) for name in then}
    assert listed(back()) == {name: [] for name in then}


LOST: dict[str, tuple[str, int, dict[str, t.Any], tuple[str, bool, int]]] = {
    # the module that is struck, how many runs of it come before, how; and what the result says of the server
    "first": ("win_powershell", 0, {"reset": "before"}, ("unchanged", True, 0)),
    "mark": ("win_regedit", 0, {"reset": "before"}, ("unchanged", True, 0)),
    "value": ("win_regedit", 1, {"reset": "after"}, ("changed", False, 1)),
    "restart": ("win_service", 0, {"dark": 4.0}, ("changed", False, 1)),
    "restarted": ("win_service", 0, {"reset": "after"}, ("changed", False, 1)),
    "psrp": ("win_regedit", 1, {"reset": "before"}, ("unchanged", True, 0)),
    "gone": ("win_regedit", 1, {"dark": 300.0}, ("unknown", False, 1)),
}


def is_run_of(entry: Entry, module: str) -> bool:
    """Report whether a log's entry is a run of this module."""
    return entry.path == module


@pytest.mark.matrix
def test_a_server_that_is_lost_on_the_way(servers: t.Callable[..., Ansible]) -> None:
    ansible = servers(*LOST)
    hosts = t.cast(Servers, ansible.lab).hosts
    impatient = {
        "ansible_winrm_operation_timeout_sec": 1,
        "ansible_winrm_read_timeout_sec": 2,
        "ansible_psrp_operation_timeout": 1,
        "ansible_psrp_read_timeout": 2,
    }
    ansible.lab.write_inventory(dict.fromkeys(hosts, impatient))
    for name, (module, skip, fault, _state) in LOST.items():
        hosts[name].state["sas"] = []
        hosts[name].fault(partial(is_run_of, module=module), skip=skip, **fault)
    limit_play(ansible, "set.yml", limit=50000)
    first = ansible.command("ansible-playbook", "set.yml", "--forks", "8", "-v", cut_off=True)
    assert {counts["failed"] + counts["unreachable"] for counts in first.recap.values()} == {1}
    results = first.results
    assert {
        name: (result["final_state"], result["undone"], len(result["changes"])) for name, result in results.items()
    } == {name: state for name, (*_dummy, state) in LOST.items()}
    assert results["restarted"]["restarted"] is True
    assert "setting IkeNumEstablishedForInitialQuery" in results["gone"]["msg"]
    assert "The present state is not known" in results["gone"]["msg"]
    assert "is 50000 and was absent, and a restart of IKEEXT is pending" in results["value"]["msg"]
    assert [limit(hosts[name])[0] for name in ("first", "mark", "value", "restarted", "psrp")] == [
        None,
        None,
        50000,
        50000,
        None,
    ]
    for host in hosts.values():
        host.faults.clear()
        host.go_dark(0, forget_shells=True)
    again = ansible.command("ansible-playbook", "set.yml", "--forks", "8")
    assert again.code == 0, again.output
    assert {limit(host) for host in hosts.values()} == {(50000, 50000)}


def test_why_a_server_cannot_be_asked_is_one_sentence(servers: t.Callable[..., Ansible]) -> None:
    """By each connection, in our message; the password is not shown (see harness)."""
    kinds = ("closed", "password", "authority", "name", "dark")
    names = [f"{by}{kind}" for by in ("", "psrp_") for kind in kinds]
    ansible = servers(*names)
    hosts = t.cast(Servers, ansible.lab).hosts
    CertificateAuthority().write(ansible.folder / "other.pem")
    other = str(ansible.folder / "other.pem")
    given: dict[str, dict[str, t.Any]] = {
        "closed": {"ansible_port": 1},
        "password": {"ansible_password": "not-the-pass-word"},
        "authority": {"ansible_winrm_ca_trust_path": other, "ansible_psrp_ca_cert": other},
        "name": {"ansible_host": "nowhere.invalid"},
        "dark": dict.fromkeys(("ansible_winrm_operation_timeout_sec", "ansible_psrp_operation_timeout"), 1)
        | dict.fromkeys(
            ("ansible_winrm_read_timeout_sec", "ansible_psrp_read_timeout", "ansible_psrp_connection_timeout"), 2
        ),
    }
    ansible.lab.write_inventory({name: given[name.removeprefix("psrp_")] for name in names})
    for name in ("dark", "psrp_dark"):
        hosts[name].go_dark(60.0)
    reasons = {
        "closed": ("127.0.0.1, port 1, refused the connection", "Check that the server listens on this port"),
        "password": ("rejected the user name or the password", "Check 'ansible_user' and 'ansible_password'"),
        "authority": ("has a certificate that the controller does not trust", "Make its issuer known"),
        "name": ("nowhere.invalid, port ", "Correct 'ansible_host'"),
        "dark": ("did not answer in time", "Check that the server is up"),
    }
    limit_play(ansible, "look.yml", state="gathered")
    results = run(ansible, "look.yml", cut_off=True)
    assert set(results) == set(names)
    for name, result in results.items():
        reason, remedy = reasons[name.removeprefix("psrp_")]
        message = result["msg"]
        assert result["unreachable"] is True
        assert message.startswith(f"{name}: ")
        assert reason in message
        way = "PSRP" if name.startswith("psrp_") else "WinRM"
        assert f" ({way} over https as user ansible; running read_vpn.ps1). Nothing was changed. {remedy}" in message
        assert [
            noise for noise in ("HTTPSConnectionPool", "Errno", "urllib3", "not-the-pass") if noise in message
        ] == []
        assert (result["final_state"], result["undone"], result["changes"]) == ("unchanged", True, [])


@pytest.mark.matrix
@pytest.mark.each_core
def test_facts_say_what_is_due_and_results_what_holds_after_a_change(
    ansible: Ansible, lab: Lab, tmp_path: Path
) -> None:
    """With the workaround asked for; then without it, when nothing is due for a limit that nobody wants."""

    def facts(*entries: str, arguments: t.Sequence[str] = (), **variables: t.Any) -> dict[str, t.Any]:
        roles = [{"ansible.builtin.import_role": {"name": "aovpn.ikev2.rras", "tasks_from": name}} for name in entries]
        results = (
            "(rras_gateway_result | default({})).after | default({})",
            "(rras_limit_result | default({})).after | default({})",
        )
        shown = "{{ rras_facts | default({}) | combine(" + ", ".join(results) + ") | to_json }}"
        keep = {"dest": str(tmp_path / "facts.json"), "content": shown}
        last = {"ansible.builtin.copy": keep, "delegate_to": "localhost", "check_mode": False}
        asked = {"rras_ike_limit_enabled": True, "rras_restart_with_sessions": True, **variables}
        play = {"hosts": "rras", "gather_facts": False, "vars": asked, "tasks": [*roles, last]}
        (tmp_path / "play.yml").write_text(yaml.safe_dump([play]), encoding="utf-8")
        done = ansible.playbook("play.yml", "--limit", "rras1", *arguments)
        assert done.code == 0, done.output
        result: dict[str, t.Any] = json.loads((tmp_path / "facts.json").read_text(encoding="utf-8"))
        return result

    def due(found: dict[str, t.Any]) -> list[tuple[t.Any, ...]]:
        return [(change["scope"], change["before"], change["after"]) for change in found["changes"]]

    changes = [("route", "10.10.0.254", "10.10.0.1"), ("limit", None, 50000)]
    before = facts("facts")
    assert due(before) == changes
    assert due(facts("facts", rras_ike_limit_enabled=False)) == changes[:1]
    predicted = facts("facts", "main", arguments=["--check"])
    assert lab.writing() == []
    after = facts("facts", "main")
    seen = len(lab.rras1.log)
    again = facts("facts", "main")
    scripts = [entry.query.get("script") for entry in lab.rras1.log[seen:]]
    assert scripts == ["read_network.ps1", "read_vpn.ps1"] * 2
    assert due(again) == []
    assert {item["code"] for item in again["findings"]} == {"fragmentation_off"}
    for found in (predicted, after, again):
        assert (found["gateway"], found["ike_limit"], found["restart_owed"]) == ("10.10.0.1", 50000, False)
        assert set(found) == set(before)
    assert after["routes"] == predicted["routes"] == again["routes"]
    # One half alone, and what is pending after it.
    lab.rras1.state["sas"] = [{"remote_address": "198.51.100.7"}]
    pending = facts("ike_limit", "facts", rras_ike_limit=60000, rras_restart_with_sessions=False)
    assert (pending["gateway"], pending["ike_limit"], pending["restart_owed"]) == ("10.10.0.1", 60000, True)
    assert {item["code"] for item in pending["findings"]} == {"fragmentation_off", "restart_owed"}
    assert pending["changes"] == []
    facts("restore", rras_snapshot=before)
    assert limit(lab.rras1) == (None, None)
    assert find_value(lab.rras1.state, MARKER_KEY, "IkeextRestartOwedSince") is None
    assert due(facts("facts")) == changes


@pytest.mark.each_core
def test_one_task_reads_a_server_by_halves(ansible: Ansible, lab: Lab) -> None:
    lab.rras1.state["sas"] = [
        {"remote_address": "198.51.100.7"},
        {"remote_address": "198.51.100.8", "key_module": 3},
        {"remote_address": "198.51.100.9", "key_module": 2},
        {"remote_address": "198.51.100.9", "key_module": None},
        {"remote_address": "10.10.0.5", "key_module": "AuthIP"},
    ]
    lab.rras2.state["administrator"] = False
    wanted = {"gateway": "10.10.0.1", "limit": 50000}
    play = {"hosts": "rras", "gather_facts": False, "tasks": [{"aovpn.ikev2.rras_facts": wanted}]}
    (ansible.folder / "play.yml").write_text(yaml.safe_dump([play]), encoding="utf-8")
    results = run(ansible, "play.yml")
    assert {(result["changed"], result["final_state"]) for result in results.values()} == {(False, "unchanged")}
    for result in results.values():
        gateway, limit_half, facts = (result[key] for key in ("gateway", "limit", "facts"))
        both = {key: gateway[key] + limit_half[key] for key in ("findings", "changes")}
        assert facts == {**gateway["after"], **limit_half["after"], **both}
        assert [change["scope"] for change in facts["changes"]] == ["route", "limit"]
    facts = results["rras1"]["facts"]
    assert facts["sas"] == {"198.51.100.7": 1, "198.51.100.8": 1}
    assert (facts["sas_unclear"], facts["sas_other"]) == ({"198.51.100.9": 2}, 1)
    codes = [item["code"] for item in results["rras2"]["facts"]["findings"]]
    assert codes.count("change_refused") == 2
    (ansible.folder / "bare.yml").write_text(
        yaml.safe_dump([{**play, "tasks": [{"aovpn.ikev2.rras_facts": {}}]}]), encoding="utf-8"
    )
    assert {name: result["changes"] for name, result in run(ansible, "bare.yml").items()} == {"rras1": [], "rras2": []}
