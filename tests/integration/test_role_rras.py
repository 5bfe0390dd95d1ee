# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role rras: a pending restart of IKEEXT, what prevents it, and the rollback."""

from __future__ import annotations

import copy
import json
import typing as t
from pathlib import Path

import pytest
import yaml

from harness import Ansible
from lab.system import find_value
from lab.whole import Lab
from lab.windows import IKE_LIMIT, IKEEXT_KEY, stop_service

LIMIT = {"rras_ike_limit_enabled": True}


def play(folder: Path, *entries: tuple[str, dict[str, t.Any]], more: t.Sequence[dict[str, t.Any]] = ()) -> str:
    """Write a play of entry points of the role, and give its path."""
    tasks = [
        {"ansible.builtin.import_role": {"name": "aovpn.ikev2.rras", "tasks_from": entry}, "vars": variables}
        for entry, variables in entries
    ]
    path = folder / "play.yml"
    path.write_text(
        yaml.safe_dump([{"hosts": "rras", "gather_facts": False, "tasks": [*tasks, *more]}]), encoding="utf-8"
    )
    return str(path)


def starts(lab: Lab) -> list[int]:
    """Count IKEEXT's starts, server by server."""
    return [server.state["services"]["IKEEXT"]["starts"] for server in lab.servers]


def limits(lab: Lab) -> list[tuple[int | None, int | None]]:
    """Return the limit in the registry, and the one that IKEEXT has read."""
    return [
        ((find_value(state, IKEEXT_KEY, IKE_LIMIT) or {}).get("data"), state["services"]["IKEEXT"]["ike_limit"])
        for state in (server.state for server in lab.servers)
    ]


@pytest.mark.matrix
def test_a_pending_restart_is_made_once(servers: t.Callable[..., Ansible], tmp_path: Path) -> None:
    """One server has tunnels, another is rebooted with them; then the play dies around the value and the restart; on the last, IKEEXT is stopped."""
    ansible = servers("tunnels", "rebooted", "no_value", "no_restart", "no_start", "stopped")
    hosts = {host.name: host for host in ansible.lab.servers}
    stop_service(hosts["stopped"].state, "IKEEXT")
    for name in ("no_value", "no_restart", "no_start"):
        hosts[name].state["sas"] = []
    hosts["no_value"].fault(lambda entry: entry.path == "win_regedit", reset="before", skip=1)
    for name in ("no_restart", "no_start"):
        hosts[name].fault(lambda entry: entry.path == "win_service", reset="before")
    limit = play(tmp_path, ("ike_limit", LIMIT))
    first = ansible.playbook(limit, cut_off=True)
    assert {name: counts["failed"] for name, counts in first.recap.items() if counts["failed"]} == {
        "no_value": 1,
        "no_restart": 1,
        "no_start": 1,
    }
    assert "tunnels: IKEEXT has not been restarted, because 12 tunnels are up" in first.output
    assert limits(ansible.lab) == [(50000, None), (50000, None), (None, None), *[(50000, None)] * 3]
    assert starts(ansible.lab) == [1] * 6
    for host in hosts.values():
        host.go_dark(0, forget_shells=True)  # a server ends by itself the sessions that were cut off
    stop_service(hosts["no_start"].state, "IKEEXT")
    hosts["rebooted"].reboot()

    # The value is right by now, and still all know.
    pending = {"tunnels": 0, "rebooted": 0, "no_value": 1, "no_restart": 1, "no_start": 1, "stopped": 0}
    assert ansible.playbook(limit, "--check").changed == pending
    assert ansible.playbook(limit).changed == pending
    assert limits(ansible.lab) == [(50000, None), *[(50000, 50000)] * 4, (50000, None)]
    assert starts(ansible.lab) == [1, 2, 2, 2, 2, 1]
    assert told_facts(ansible, tmp_path, "tunnels")["restart_owed"] is True

    limit = play(tmp_path, ("ike_limit", {**LIMIT, "rras_restart_with_sessions": True}))
    assert ansible.playbook(limit).changed == {**dict.fromkeys(pending, 0), "tunnels": 1}
    assert limits(ansible.lab) == [*[(50000, 50000)] * 5, (50000, None)]
    written = len(ansible.lab.writing())
    assert ansible.playbook(limit).changed == dict.fromkeys(pending, 0)
    assert starts(ansible.lab) == [*[2] * 5, 1]
    assert hosts["stopped"].state["services"]["IKEEXT"]["state"] == "stopped"
    assert len(ansible.lab.writing()) == written

    # Back, with the restart that this needs, too.
    before = {**told_facts(ansible, tmp_path, "tunnels"), "ike_limit": None}
    back = play(tmp_path, ("restore", {"rras_snapshot": "{{ before }}"}))
    given = ("-e", json.dumps({"before": before}), "--limit", "tunnels")
    assert ansible.playbook(back, *given).changed == {"tunnels": 1}
    assert limits(ansible.lab)[0] == (None, None)
    assert starts(ansible.lab)[0] == 3
    assert ansible.playbook(back, *given).changed == {"tunnels": 0}


def told_facts(ansible: Ansible, folder: Path, host: str = "rras1") -> dict[str, t.Any]:
    """Read a server, and give its facts as a file of JSON keeps them."""
    keep = {"dest": f"{folder}/facts.json", "content": "{{ rras_facts | to_json }}"}
    task = {"ansible.builtin.copy": keep, "delegate_to": "localhost"}
    run = ansible.playbook(play(folder, ("facts", {}), more=[task]), "--limit", host)
    assert run.code == 0, run.output
    facts: dict[str, t.Any] = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    return facts


@pytest.mark.matrix
def test_a_restoration_restores_exactly_the_old_routes(ansible: Ansible, lab: Lab, tmp_path: Path) -> None:
    """Two default routes with different metrics, peers beyond the old one; and, since, a route of somebody else's."""
    state = lab.rras1.state
    other = {"dest": "0.0.0.0/0", "next_hop": "192.168.10.1", "if_index": 7, "metric": 900, "protocol": "NetMgmt"}
    state["routes"]["active"].append(other)
    state["radius_servers"] = ["172.16.0.9"]
    before, kept = copy.deepcopy(state["routes"]), told_facts(ansible, tmp_path)
    options = {"rras_remove_other_defaults": True, "rras_preserve_routes": ["172.20.0.0/16"]}
    assert ansible.playbook(play(tmp_path, ("gateway", options)), "--limit", "rras1").changed == {"rras1": 1}
    assert {"172.16.0.9/32", "172.20.0.0/16"} <= {route["dest"] for route in state["routes"]["persistent"]}
    theirs = {"dest": "172.30.0.0/16", "next_hop": "10.10.0.254", "if_index": 4, "metric": 256, "protocol": "NetMgmt"}
    for routes in (*state["routes"].values(), *before.values()):
        routes.append(theirs)

    back = play(tmp_path, ("restore", {"rras_snapshot": "{{ kept }}"}))
    given = ("--limit", "rras1", "-e", json.dumps({"kept": kept}))
    checked = ansible.playbook(back, *given, "--check", "--diff")
    assert checked.changed == {"rras1": 1}
    assert "+0.0.0.0/0 via 10.10.0.254 on interface 4" in checked.output
    assert "-172.16.0.9/32 via 10.10.0.254 on interface 4" in checked.output
    run = ansible.playbook(back, *given)
    assert run.changed == {"rras1": 1}, run.output
    assert "172.30.0.0/16 via 10.10.0.254 was added" in run.output

    def table(routes: dict[str, list[dict[str, t.Any]]]) -> set[tuple[t.Any, ...]]:
        return {(store, item["dest"], item["next_hop"], item["metric"]) for store in routes for item in routes[store]}

    assert table(state["routes"]) == table(before)
    assert find_value(state, r"HKLM:\SOFTWARE\aovpn.ikev2", "AddedRoutes") == {
        "name": "AddedRoutes",
        "type": "multistring",
        "data": [],
    }
    written = len(lab.writing())
    assert ansible.playbook(back, *given).changed == {"rras1": 0}
    assert len(lab.writing()) == written


def test_what_is_in_effect_in_the_way_is_said_before_anything_changes(
    ansible: Ansible, lab: Lab, tmp_path: Path
) -> None:
    lab.rras1.state["services"]["IKEEXT"]["dependents"] = ["PolicyAgent"]
    lab.rras1.state["administrator"] = False
    lab.rras2.state["services"]["RemoteAccess"]["start_mode"] = "disabled"
    run = ansible.playbook(play(tmp_path, ("ike_limit", LIMIT)))
    assert run.code == 2
    assert "is not an administrator of this server. These running services depend on IKEEXT" in run.output
    assert "rras2: the limit was not changed. This is not an RRAS server" in run.output
    lab.write_inventory({"rras1": {"rras_ike_limit": 0}, "rras2": {"rras_ike_limit": "many"}})
    run = ansible.playbook(play(tmp_path, ("main", LIMIT)))
    assert "rras1: Option 'limit' is 0. It has to be a number from 1 to 4294967295" in run.output
    assert "rras_ike_limit" in run.output.partition("rras2")[2]
    assert {host: counts["failed"] for host, counts in run.recap.items()} == {"rras1": 1, "rras2": 1}
    assert lab.writing() == []


BLANK = dict.fromkeys(("rras_interface_alias", "rras_mac", "rras_preserve_routes", "rras_remove_other_defaults"))
BLANK |= dict.fromkeys(("rras_allow_dhcp", "rras_rollback_timeout", "rras_ike_limit", "rras_restart_with_sessions"))


@pytest.mark.matrix
@pytest.mark.each_core
def test_a_good_run_shows_the_actions_alone(ansible: Ansible, lab: Lab, tmp_path: Path) -> None:
    """With null, and with empty texts where a playbook has checked them before. Both mean that nothing is given."""
    entries: list[tuple[str, dict[str, t.Any]]] = [
        ("facts", {}),
        ("main", {}),
        ("restore", {"rras_snapshot": "{{ rras_facts }}"}),
    ]
    for state in (lab.rras1.state, lab.rras2.state):
        state["sas"] = []
    for blanks in (BLANK, dict.fromkeys(BLANK, "")):
        path = play(tmp_path, *entries)
        tasks = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        for task in tasks[0]["tasks"]:
            task["ansible.builtin.import_role"]["rolespec_validate"] = None in blanks.values()
            task["vars"] |= {**blanks, **LIMIT, "rras_accept": ["internal_routes_lost"]}
        Path(path).write_text(yaml.safe_dump(tasks), encoding="utf-8")
        run = ansible.playbook(path)
        assert run.code == 0, run.output
        assert {host: (counts["changed"], counts["skipped"]) for host, counts in run.recap.items()} == {
            "rras1": (4, 0),
            "rras2": (4, 0),
        }
        assert limits(lab) == [(None, None)] * 2
    refused = ansible.playbook(play(tmp_path, ("main", {"rras_gateway": "", "rras_ike_limit_enabled": None})))
    assert (refused.code, refused.changed) == (0, {"rras1": 0, "rras2": 0})


CARRY_ON = {"ikev2_carry_on": True}


@pytest.mark.each_core
def test_a_failure_is_kept_as_a_result_where_the_play_carries_on(ansible: Ansible, lab: Lab, tmp_path: Path) -> None:
    """On one server the gateway is refused, from the other nobody answers: neither tries its second half, and the play goes on."""
    lab.rras1.state["administrator"] = False
    lab.write_inventory({"rras2": {"ansible_port": 1}})
    names = ("rras_gateway_result", "rras_limit_result", "rras_restore_result")
    shown = "{{ {" + ", ".join(f"'{name}': {name} | default('none')" for name in names) + "} | to_json }}"
    keep = {"dest": f"{tmp_path}/{{{{ inventory_hostname }}}}.json", "content": shown}
    last = {"ansible.builtin.copy": keep, "delegate_to": "localhost"}
    for entry, name, given in (
        ("main", "rras_gateway_result", LIMIT),
        ("restore", "rras_restore_result", {"rras_snapshot": {"routes": [], "addresses": [], "ike_limit": 1}}),
    ):
        path = play(tmp_path, (entry, {**given, **CARRY_ON}), more=[last])
        tasks = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        tasks[0]["ignore_unreachable"] = True
        Path(path).write_text(yaml.safe_dump(tasks), encoding="utf-8")
        run = ansible.playbook(path)
        assert run.code == 0, run.output
        for host in ("rras1", "rras2"):
            results = json.loads((tmp_path / f"{host}.json").read_text(encoding="utf-8"))
            assert results[name]["undone"] is True
            assert results[name]["msg"].startswith(f"{host}: ")
            assert results["rras_limit_result"]["skipped"] is True
            assert results[name].get("unreachable", False) is (host == "rras2")
    assert lab.writing() == []


@pytest.mark.matrix
@pytest.mark.each_core
def test_one_half_is_chosen_by_its_tag(ansible: Ansible, lab: Lab, tmp_path: Path) -> None:
    both = play(tmp_path, ("main", {**LIMIT, "rras_restart_with_sessions": True}))
    assert ansible.playbook(both, "--tags", "rras_ike_limit").changed == {"rras1": 1, "rras2": 1}
    assert lab.rras1.state["fired"] == []
    assert ansible.playbook(both, "--tags", "rras_gateway").changed == {"rras1": 1, "rras2": 1}
    assert starts(lab) == [2, 2]
