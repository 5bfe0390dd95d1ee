# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The main job from end to end: audit and remediate, on three load balancers and two VPN servers."""

from __future__ import annotations

import json
import stat
import typing as t
from itertools import groupby
from pathlib import Path

import pytest

from harness import Ansible
from lab.whole import Lab

DEVICES = {"bigip", "netscaler", "loadmaster", "rras1", "rras2"}
RIGHT = {
    "bigip": {"/Common/vs_ikev2_500": "none", "/Common/vs_ikev2_4500": "none"},
    "netscaler": {"sg_ikev2_500": "YES", "sg_ikev2_4500": "YES"},
    "loadmaster": {"203.0.113.30:500/udp": True, "203.0.113.30:4500/udp": True},
}


def values(report: dict[str, t.Any]) -> dict[str, dict[str, t.Any]]:
    """Return the settings in a report, by device and service."""
    return {
        host: {service["id"]: service["value"] for service in result["services"]}
        for host, result in report["load_balancers"].items()
    }


def gateways(report: dict[str, t.Any]) -> dict[str, str]:
    """Return the servers' default gateways in a report."""
    return {host: facts["gateway"] for host, facts in report["servers"].items()}


def test_the_whole_job(ansible: Ansible, lab: Lab) -> None:
    settings = lab.settings()
    before = ansible.playbook("aovpn.ikev2.audit")
    assert before.code == 0, before.output
    assert lab.writing() == []
    assert gateways(before.report()) == {"rras1": "10.10.0.254", "rras2": "10.10.0.254"}
    drift = before.report()["drift"]
    assert "bigip: /Common/vs_ikev2_500 (203.0.113.10, UDP 500) hides the clients' addresses" in drift
    assert "rras2: the default gateway is 10.10.0.254 and has to be 10.10.0.1" in drift
    assert "netscaler: USNIP is off and has to be on" in drift
    assert all(line in before.output for line in drift)
    due = before.report()["changes"]
    assert len(due) == 9  # two services of each load balancer, the NetScaler's mode, two gateways

    first = ansible.playbook("aovpn.ikev2.remediate")
    assert first.code == 0, first.output
    assert first.changed == dict.fromkeys(DEVICES, 1)
    assert first.report()["changes"] == due
    assert first.report()["drift"] == []
    # One server after the other, and both before the first load balancer.
    order = [device for device, _dummy in groupby(lab.writing(), key=lambda entry: entry.device)]
    assert order[:2] == ["rras1", "rras2"]
    assert sorted(order) == sorted(DEVICES)

    written = len(lab.writing())
    second = ansible.playbook("aovpn.ikev2.remediate")
    assert second.code == 0, second.output
    assert second.changed == dict.fromkeys(DEVICES, 0)
    assert len(lab.writing()) == written
    assert len(ansible.snapshots()) == 1  # the first run's
    assert second.report()["changes"] == []

    third = ansible.playbook("aovpn.ikev2.remediate", "--check", "--diff")
    assert third.code == 0, third.output
    assert third.changed == dict.fromkeys(DEVICES, 0)

    after = ansible.playbook("aovpn.ikev2.audit", "-e", "fail_on_drift=true")
    assert after.code == 0, after.output
    assert after.report()["drift"] == []
    assert values(after.report()) == RIGHT
    assert gateways(after.report()) == {"rras1": "10.10.0.1", "rras2": "10.10.0.1"}

    written = len(lab.writing())
    back = ansible.playbook("aovpn.ikev2.rollback")
    assert back.changed == dict.fromkeys(DEVICES, 1), back.output
    assert lab.settings() == settings
    # The load balancers first: a server that gave up its gateway before would be cut off.
    order = list(dict.fromkeys(entry.device for entry in lab.writing()[written:]))
    assert order == ["bigip", "netscaler", "loadmaster", "rras1", "rras2"]


def test_check_mode_predicts_every_change_and_makes_none(ansible: Ansible, lab: Lab) -> None:
    run = ansible.playbook("aovpn.ikev2.remediate", "--check", "--diff")
    assert run.code == 0, run.output
    assert run.changed == dict.fromkeys(DEVICES, 1)
    assert lab.writing() == []
    assert ansible.snapshots() == []
    assert values(run.report()) == RIGHT
    assert len(run.report()["changes"]) == 9
    assert run.report()["verdict"]["status"] == "drift"
    assert run.report()["verdict"]["title"] == "A real run would make 9 changes"
    assert "Nothing was changed. After a real run:" in run.output
    for line in (
        '-    "/Common/vs_ikev2_500": "automap"',
        '+    "sg_ikev2_500": "YES"',
        "+0.0.0.0/0 via 10.10.0.1 on interface 4",
    ):
        assert line in run.output


def test_a_server_that_fails_stops_everything_before_any_load_balancer(ansible: Ansible, lab: Lab) -> None:
    lab.write_inventory(without={"loadmaster"})
    lab.rras2.state["nics"][0]["dhcp"] = True
    refused = ansible.playbook("aovpn.ikev2.remediate")
    assert refused.code != 0
    assert "change_refused" in refused.output
    assert "rras2: nothing was changed, here or on what depends on it" in refused.output
    assert (lab.writing(), ansible.snapshots()) == ([], [])

    lab.rras2.state["nics"][0]["dhcp"] = False
    fault = lab.rras2.fault(lambda entry: entry.query.get("script") == "arm_rollback.ps1", reset="before")
    run = ansible.playbook("aovpn.ikev2.remediate", cut_off=True)
    assert run.code != 0
    assert fault.seen
    # Nothing was armed on rras2, so there was nothing to roll back.
    assert {entry.device for entry in lab.writing()} == {"rras1"}

    # What is needed to put everything back was written before that.
    (snapshot,) = ansible.snapshots()
    assert stat.S_IMODE(snapshot.stat().st_mode) == 0o600
    text = snapshot.read_text(encoding="utf-8")
    assert [secret for secret in lab.secrets() if secret in text] == []
    written = json.loads(text)
    assert written["load_balancers"]["bigip"]["snapshot"]["services"] == [
        {"id": "/Common/vs_ikev2_4500", "value": {"type": "snat", "pool": "/Common/sp_ikev2"}},
        {"id": "/Common/vs_ikev2_500", "value": "automap"},
    ]
    assert written["load_balancers"]["netscaler"]["snapshot"]["device"] == {"usnip": False}
    assert written["servers"]["rras1"]["gateway"] == "10.10.0.254"

    lab.rras2.faults.clear()
    lab.rras2.go_dark(0, forget_shells=True)  # a server ends by itself the sessions that were cut off
    again = ansible.playbook("aovpn.ikev2.remediate")
    assert again.code == 0, again.output
    assert again.changed == {**dict.fromkeys(DEVICES - {"loadmaster"}, 1), "rras1": 0}


def test_a_load_balancer_that_cannot_be_read_stops_everything_before_any_change(ansible: Ansible, lab: Lab) -> None:
    lab.write_inventory({"netscaler": {"load_balancer_addresses": ["203.0.113.99"]}}, without={"loadmaster"})
    run = ansible.playbook("aovpn.ikev2.remediate")
    assert run.code != 0
    assert "no UDP service on UDP 500 and UDP 4500 at 203.0.113.99" in run.output
    assert lab.writing() == []


@pytest.mark.matrix
def test_a_server_whose_internal_networks_nobody_named_stops_everything(ansible: Ansible, lab: Lab) -> None:
    lab.write_inventory({"rras1": {"rras_preserve_routes": None}}, without={"netscaler", "loadmaster"})
    for arguments in (("--check",), ()):
        run = ansible.playbook("aovpn.ikev2.remediate", *arguments)
        assert run.code == 2, run.output
        assert (
            "rras1: nothing was changed, here or on what depends on it, because of internal_routes_lost: " in run.output
        )
    assert (lab.writing(), ansible.snapshots()) == ([], [])


def test_without_the_right_gateway_no_load_balancer_is_touched(ansible: Ansible, lab: Lab) -> None:
    wrong = {"rras_gateway": "10.10.0.2"}
    lab.write_inventory({"rras1": wrong, "rras2": wrong}, without={"netscaler", "loadmaster"})
    run = ansible.playbook("aovpn.ikev2.remediate")
    assert run.code != 0
    assert (
        "return_path_wrong at 10.10.0.11: 'rras_gateway' is 10.10.0.2 for this server, whose default gateway is"
        in run.output
    )
    assert "10.10.0.254 now" in run.output
    assert "default gateway is 10.10.0.2," not in run.output
    assert "Set 'rras_gateway' to one of 10.10.0.1" in run.output
    assert lab.writing() == []


@pytest.mark.matrix
def test_the_workaround_sets_the_limit_and_restarts_the_service_once(ansible: Ansible, lab: Lab) -> None:
    options = "rras_ike_limit_enabled=true rras_restart_with_sessions=true rras_accept=gateway_unverified"
    arguments = ("aovpn.ikev2.remediate", "--limit", "rras", "-e", options)
    assert lab.rras1.state["services"]["IKEEXT"]["ike_limit"] is None
    first = ansible.playbook(*arguments)
    assert first.code == 0, first.output
    assert first.changed == {"rras1": 2, "rras2": 2}  # gateway, and limit with its restart
    for server in lab.servers:
        assert server.state["services"]["IKEEXT"]["ike_limit"] == 50000
        assert server.state["services"]["IKEEXT"]["starts"] == 2
    second = ansible.playbook(*arguments)
    assert second.changed == {"rras1": 0, "rras2": 0}
    assert lab.rras1.state["services"]["IKEEXT"]["starts"] == 2
    assert second.report()["servers"]["rras1"]["ike_limit"] == 50000


def test_a_limit_that_the_registry_cannot_hold_is_refused_before_anything_changes(ansible: Ansible, lab: Lab) -> None:
    limits = ("-e", "rras_ike_limit_enabled=true rras_ike_limit=4294967296")
    run = ansible.playbook("aovpn.ikev2.remediate", "--limit", "rras", *limits)
    assert run.code != 0
    assert "rras_ike_limit is 4294967296. It has to be a number from 1 to 4294967295" in run.output
    assert lab.writing() == []


def test_no_secret_is_shown_with_the_highest_verbosity(ansible: Ansible) -> None:
    run = ansible.playbook(
        "aovpn.ikev2.remediate",
        "-vvvv",
        "--diff",
        environment={"ANSIBLE_INJECT_INVOCATION": "1", "ANSIBLE_PIPELINING": "0"},
    )
    assert run.code == 0, run.output
    assert "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER" in run.output


@pytest.mark.each_core
@pytest.mark.oldest
def test_only_the_built_archive_is_needed(ansible: Ansible, tmp_path: Path) -> None:
    alone = ansible.install(ansible.build(tmp_path / "build"), tmp_path / "elsewhere" / "collections")
    playbook = tmp_path / "elsewhere" / "site.yml"
    playbook.write_text(
        "- name: Everything\n  ansible.builtin.import_playbook: aovpn.ikev2.remediate\n", encoding="utf-8"
    )
    run = ansible.playbook(str(playbook), environment=alone)
    assert run.code == 0, run.output
    assert run.changed == dict.fromkeys(DEVICES, 1)
    assert values(run.report()) == RIGHT
