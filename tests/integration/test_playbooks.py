# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks as an administrator lives them: what fails, what is interrupted, what is left out, and the rollback."""

from __future__ import annotations

import copy
import json
import os
import signal
import stat
import subprocess
import time
import typing as t
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from flask import Response

from harness import COMMANDS, Ansible, Run
from lab.bigip import BigIp
from lab.core import Entry
from lab.whole import Lab

DEVICES = {"bigip", "netscaler", "loadmaster", "rras1", "rras2"}
SMALL = {"bigip", "rras1", "rras2"}  # a site with one load balancer, where the others would only take time


def failures(run: Run) -> dict[str, int]:
    """Count the failed tasks of each host that has any."""
    return {host: counts["failed"] for host, counts in run.recap.items() if counts["failed"]}


def closed_port(lab: Lab, *names: str) -> dict[str, dict[str, t.Any]]:
    """Return inventory changes after which nobody answers under these hosts' ports."""
    changes: dict[str, dict[str, t.Any]] = {}
    for device in lab.devices:
        variables = device.variables(lab.ca)
        if device.name in names and "load_balancer_connection" in variables:
            changes[device.name] = {"load_balancer_connection": {**variables["load_balancer_connection"], "port": 1}}
        elif device.name in names:
            changes[device.name] = {"ansible_port": 1}
    return changes


@pytest.mark.oldest
@pytest.mark.each_core
def test_there_and_back_again(ansible: Ansible, lab: Lab) -> None:
    lab.write_inventory(without=DEVICES - SMALL)
    before = lab.settings()
    nothing = ansible.playbook("aovpn.ikev2.rollback")
    assert nothing.code != 0
    assert "There is no snapshot in " in nothing.output

    assert ansible.playbook("aovpn.ikev2.remediate").changed == dict.fromkeys(SMALL, 1)
    remedied = lab.settings()
    (snapshot,) = ansible.snapshots()

    # A server alone would be cut off, whether the load balancers are left out or left alone.
    for choice, reason in (
        ("--limit=rras1", "bigip was not read"),
        ("--tags=servers", "bigip keeps the clients'"),
    ):
        alone = ansible.playbook("aovpn.ikev2.rollback", choice)
        assert failures(alone)["rras1"] == 1
        assert reason in alone.output
        assert lab.settings() == remedied

    for server in lab.servers:
        server.state["sas"] = [{"remote_address": f"198.51.100.{number}"} for number in range(10)]
    # What is in a route domain cannot be asked from here.
    for virtual in lab.bigip.state["virtual"].values():
        virtual["destination"] = virtual["destination"].replace("203.0.113.10:", "203.0.113.10%2:")
    lab.write_inventory({"bigip": {"load_balancer_addresses": ["203.0.113.10%2"]}}, without=DEVICES - SMALL)
    verified = ansible.playbook("aovpn.ikev2.verify", "-e", "fail_on_drift=true probe=true")
    assert verified.code == 0, verified.output
    report = verified.report()
    assert report["servers"]["rras1"]["sees"]["verdict"] == "seen"
    assert report["servers"]["rras1"]["before"]["sas"] == {"10.10.0.1": 12}  # of the snapshot
    assert report["changes"] == []
    assert set(verified.changed.values()) == {0}

    checked = ansible.playbook("aovpn.ikev2.rollback", "--check", "--diff")
    assert checked.changed == dict.fromkeys(SMALL, 1), checked.output
    assert lab.settings() == remedied
    back = ansible.playbook("aovpn.ikev2.rollback", "-e", f"snapshot=ikev2-snapshots/{snapshot.name}")
    assert back.changed == dict.fromkeys(SMALL, 1), back.output
    assert lab.settings() == before
    assert ansible.playbook("aovpn.ikev2.rollback").changed == dict.fromkeys(SMALL, 0)
    assert ansible.snapshots() == [snapshot]


def test_a_snapshot_is_its_owners_alone(ansible: Ansible) -> None:
    folder = ansible.folder / "new" / "snapshots"
    content = {"load_balancers": {}, "servers": {"rras1": {"gateway": "10.10.0.254"}}}
    given = {"directory": str(folder), "content": content}
    assert ansible.module("snapshot_file", given).code == 0
    (snapshot,) = folder.iterdir()
    assert (stat.S_IMODE(folder.stat().st_mode), stat.S_IMODE(snapshot.stat().st_mode)) == (0o700, 0o600)
    assert json.loads(snapshot.read_text(encoding="utf-8"))["servers"] == content["servers"]
    # Where the next names are taken, by runs that were quicker, it is the first one after them.
    for second in range(20):
        (folder / f"{datetime.now(UTC) + timedelta(seconds=second):%Y%m%dT%H%M%SZ}.json").touch()
    taken = sorted(folder.iterdir())
    assert ansible.module("snapshot_file", given).code == 0
    (second_one,) = set(folder.iterdir()) - set(taken)
    assert second_one > taken[-1]
    assert snapshot.stat().st_size == second_one.stat().st_size
    second_one.unlink()
    impossible = ansible.module("snapshot_file", {**given, "directory": str(snapshot)})
    assert impossible.code != 0
    assert f"The snapshot cannot be written to {snapshot}" in impossible.output


def test_a_snapshot_that_does_not_fit_is_refused(ansible: Ansible, lab: Lab) -> None:
    folder = ansible.folder / "ikev2-snapshots"
    folder.mkdir()
    (folder / "1.json").write_text(
        '{"format": 1, "taken": "now", "services": {}, "load_balancers": {}, "servers": {"gone": {}}}'
    )
    (folder / "2.json").write_text("{}")
    stranger = ansible.playbook("aovpn.ikev2.rollback", "-e", "snapshot=1.json")
    assert stranger.code != 0
    assert "also contains gone, which the inventory does not have" in stranger.output
    garbage = ansible.playbook("aovpn.ikev2.rollback")
    assert garbage.code != 0
    assert "not a snapshot that a playbook of this collection wrote" in garbage.output
    assert lab.writing() == []


@pytest.mark.matrix
def test_the_workaround_is_for_the_servers_alone(ansible: Ansible, lab: Lab) -> None:
    lab.rras1.state["sas"] = lab.rras2.state["sas"] = []
    # That a load balancer cannot be read is no reason to leave the servers alone.
    lab.write_inventory(closed_port(lab, "bigip"), without=DEVICES - SMALL)
    before = lab.settings()
    # Lost between the reading and the change, the first server keeps the second from being changed.
    lab.rras1.fault(lambda entry: entry.query.get("script") == "read_vpn.ps1", last=True)
    lost = ansible.playbook("aovpn.ikev2.workaround")
    assert failures(lost) == {"rras1": 1}, lost.output
    server = lost.report()["servers"]["rras1"]
    assert (server["failure"]["stage"], server["final_state"]) == ("change", "unchanged")
    assert lab.writing() == []
    assert ansible.snapshots() == []
    lab.rras1.faults.clear()
    checked = ansible.playbook("aovpn.ikev2.workaround", "--check", "--tags", "servers")
    assert checked.changed == {"bigip": 0, "rras1": 1, "rras2": 1}, checked.output
    first = ansible.playbook("aovpn.ikev2.workaround", "--tags", "rras_ike_limit")
    assert first.changed == {"bigip": 0, "rras1": 1, "rras2": 1}, first.output
    assert first.code == 0
    setting = "IkeNumEstablishedForInitialQuery"
    assert [(one["host"], one["setting"], one["after"]) for one in first.report()["changes"]] == [
        ("rras1", setting, 50000),
        ("rras2", setting, 50000),
    ]
    assert checked.report()["changes"] == first.report()["changes"]
    assert first.report()["load_balancers"]["bigip"]["failure"]["stage"] == "read"
    assert {entry.device for entry in lab.writing()} == {"rras1", "rras2"}
    assert [server.state["services"]["IKEEXT"]["ike_limit"] for server in lab.servers] == [50000, 50000]
    assert ansible.playbook("aovpn.ikev2.workaround").changed == dict.fromkeys(SMALL, 0)
    assert len(ansible.snapshots()) == 1
    lab.write_inventory(without=DEVICES - SMALL)
    assert ansible.playbook("aovpn.ikev2.audit").report()["verdict"]["status"] == "partial"
    assert ansible.playbook("aovpn.ikev2.rollback").changed == {"bigip": 0, "rras1": 1, "rras2": 1}
    assert lab.settings() == before


def test_an_audit_goes_on_without_those_who_do_not_answer(ansible: Ansible, lab: Lab) -> None:
    changes = closed_port(lab, "loadmaster", "rras2")
    connection = {**lab.bigip.variables(lab.ca)["load_balancer_connection"], "password": "not-the-pass-word"}
    lab.write_inventory({**changes, "bigip": {"load_balancer_connection": connection}})
    run = ansible.playbook("aovpn.ikev2.audit")
    assert run.code == 0, run.output
    assert list(run.report()["servers"]["rras1"]["sas"]) == ["10.10.0.1"]
    assert [one["source_preserved"] for one in run.report()["load_balancers"]["netscaler"]["services"]] == [False] * 2
    assert "not-the-pass-word" not in run.output
    devices = {**run.report()["load_balancers"], **run.report()["servers"]}
    assert {host for host, one in devices.items() if one["failure"]} == {"loadmaster", "rras2", "bigip"}
    assert {one["failure"]["stage"] for one in devices.values() if one["failure"]} == {"read"}
    failing = ansible.playbook("aovpn.ikev2.audit", "-e", "fail_on_drift=true")
    assert failing.code == 2
    assert "netscaler: sg_ikev2_500 (203.0.113.20, UDP 500) hides the clients' addresses" in failing.output
    lab.write_inventory(closed_port(lab, "rras2"))
    assert ansible.playbook("aovpn.ikev2.remediate").code != 0
    assert lab.writing() == []
    assert ansible.snapshots() == []


@pytest.fixture
def proxy_port(lab: Lab) -> Lab:
    """Return a lab whose NetScaler keeps the clients' addresses, and not in the way that the inventory asks for."""
    lab.write_inventory(
        {"netscaler": {"load_balancer_options": {"use_proxy_port": False}}}, without={"bigip", "loadmaster"}
    )
    lab.netscaler.config["nsmode"]["usnip"] = True
    for port in (500, 4500):
        lab.netscaler.config["servicegroup"][f"sg_ikev2_{port}"].update(usip="YES", useproxyport="YES")
    return lab


def test_whatever_remediation_would_change_is_drift(ansible: Ansible, proxy_port: Lab) -> None:
    for server in proxy_port.servers:
        for route in (route for store in server.state["routes"].values() for route in store):
            if route["dest"] == "0.0.0.0/0":
                route["next_hop"] = "10.10.0.1"
    audit = ansible.playbook("aovpn.ikev2.audit", "-e", "fail_on_drift=true")
    assert audit.code == 2, audit.output
    report = audit.report()
    assert report["verdict"]["status"] == "drift"
    assert report["drift"] == [
        f"netscaler: useproxyport of sg_ikev2_{port} is YES and has to be NO" for port in (500, 4500)
    ]
    due = [
        {
            "host": "netscaler",
            "id": f"sg_ikev2_{port}",
            "scope": "service",
            "setting": "useproxyport",
            "before": "YES",
            "after": "NO",
        }
        for port in (500, 4500)
    ]
    assert (report["due"], report["changes"]) == (True, due)
    assert proxy_port.writing() == []
    remediated = ansible.playbook("aovpn.ikev2.remediate")
    assert remediated.changed == {"netscaler": 1, "rras1": 0, "rras2": 0}, remediated.output
    report = remediated.report()
    assert (report["due"], report["changes"], report["drift"]) == (False, due, [])


def test_what_forbids_the_change_of_a_load_balancer_forbids_that_of_its_servers(
    ansible: Ansible, proxy_port: Lab
) -> None:
    proxy_port.netscaler.state["hanode"]["0"]["state"] = "Secondary"
    run = ansible.playbook("aovpn.ikev2.remediate")
    assert failures(run) == {"netscaler": 1}, run.output
    assert "not_active_unit at NetScaler" in run.output
    assert proxy_port.writing() == []
    assert ansible.snapshots() == []
    assert run.report()["load_balancers"]["netscaler"]["final_state"] == "unchanged"


@pytest.mark.matrix
def test_a_snapshot_is_kept_where_it_is_not_known_what_was_changed(ansible: Ansible, lab: Lab) -> None:
    accepted = {"netscaler": {"load_balancer_accept": ["return_path_wrong"]}}
    lab.write_inventory(accepted, without={"bigip", "loadmaster"})
    writes: list[bool] = []

    def is_gone(entry: Entry) -> bool:
        writes.append(entry.path.endswith("servicegroup") and entry.writes)
        return any(writes)

    lab.netscaler.fault(is_gone, reset="before", times=99)
    lost = ansible.playbook("aovpn.ikev2.remediate", "--tags", "load_balancers", cut_off=True)
    assert failures(lost) == {"netscaler": 1}, lost.output
    netscaler = lost.report()["load_balancers"]["netscaler"]
    assert (netscaler["final_state"], len(netscaler["changes"])) == ("unknown", 3)
    assert len(ansible.snapshots()) == 1
    lab.netscaler.faults.clear()
    lab.netscaler.fault(lambda entry: entry.writes and entry.path.endswith("servicegroup"), answer=Response("no", 400))
    refused = ansible.playbook("aovpn.ikev2.remediate", "--tags", "load_balancers", cut_off=True)
    netscaler = refused.report()["load_balancers"]["netscaler"]
    assert (netscaler["final_state"], netscaler["changes"]) == ("unchanged", [])
    assert len(ansible.snapshots()) == 1


@pytest.mark.matrix
def test_accounts_that_may_read_are_enough_to_look(ansible: Ansible, lab: Lab) -> None:
    changes: dict[str, dict[str, t.Any]] = {}
    for device in lab.load_balancers:
        connection = dict(device.variables(lab.ca)["load_balancer_connection"])
        connection.pop("api_key", None)
        auditor = {"username": "auditor", "password": device.state["users"]["auditor"]["password"]}
        changes[device.name] = {"load_balancer_connection": {**connection, **auditor}}
    lab.write_inventory(changes)
    before = lab.settings()
    report = ansible.playbook("aovpn.ikev2.audit").report()
    assert [one["failure"] for one in report["load_balancers"].values()] == [None] * 3
    assert all(service["servers"] for one in report["load_balancers"].values() for service in one["services"])
    refused = ansible.playbook("aovpn.ikev2.remediate", "--limit", "bigip,rras")
    assert failures(refused) == {"bigip": 1}
    assert refused.report()["load_balancers"]["bigip"]["outcome"] == "undone"
    assert refused.report()["load_balancers"]["bigip"]["final_state"] == "unchanged"
    assert lab.settings()["bigip"] == before["bigip"]


def test_what_fails_on_the_second_load_balancer_is_put_back_and_the_third_is_left_alone(
    ansible: Ansible, lab: Lab
) -> None:
    before = lab.settings()
    lab.netscaler.fault(lambda entry: entry.writes and entry.path.endswith("servicegroup"), answer=Response("no", 400))
    run = ansible.playbook("aovpn.ikev2.remediate")
    assert run.code != 0
    assert failures(run) == {"netscaler": 1}, run.output
    outcomes = {host: one["outcome"] for host, one in run.report()["load_balancers"].items()}
    assert outcomes == {"bigip": "changed", "netscaler": "undone", "loadmaster": "waiting"}
    assert {one["outcome"] for one in run.report()["servers"].values()} == {"changed"}
    states = {host: one["final_state"] for host, one in run.report()["load_balancers"].items()}
    assert states == {"bigip": "changed", "netscaler": "rolled_back", "loadmaster": "unchanged"}
    assert {change["host"] for change in run.report()["changes"]} == {"bigip", "rras1", "rras2"}
    now = lab.settings()
    assert now["bigip"] != before["bigip"]
    assert now["netscaler"] == before["netscaler"]
    assert now["loadmaster"] == before["loadmaster"]
    again = ansible.playbook("aovpn.ikev2.remediate")
    assert again.changed == {**dict.fromkeys(DEVICES, 0), "netscaler": 1, "loadmaster": 1}, again.output


@pytest.mark.matrix
def test_what_cannot_be_read_after_its_change_is_not_called_unchanged(ansible: Ansible, lab: Lab) -> None:
    lab.write_inventory(without=DEVICES - SMALL)
    # The first reading gets the virtual servers once, the change twice.
    lab.bigip.fault(lambda entry: entry.path == "/mgmt/tm/ltm/virtual", answer=Response("no", 403), skip=3, times=9)
    run = ansible.playbook("aovpn.ikev2.remediate")
    assert failures(run) == {"bigip": 1}, run.output
    assert lab.bigip.state["virtual"]["/Common/vs_ikev2_500"]["sourceAddressTranslation"] == {"type": "none"}
    report = run.report()
    bigip = report["load_balancers"]["bigip"]
    assert (bigip["failure"]["stage"], bigip["final_state"]) == ("verify", "unknown")
    assert [change["setting"] for change in bigip["changes"]] == ["snat", "snat"]
    assert bigip["outcome"] == "failed"
    assert "It was changed, and could not be read afterwards." in run.output


@pytest.mark.matrix
@pytest.mark.parametrize("device", ["rras2", "netscaler"])
def test_a_run_that_is_killed_is_run_again(ansible: Ansible, lab: Lab, device: str) -> None:
    """Killed with the second server, or the second load balancer, half done."""
    lab.write_inventory(without=DEVICES - SMALL - {device})
    command = [str(COMMANDS / "ansible-playbook"), "-i", str(lab.inventory), "aovpn.ikev2.remediate"]
    extra = f"report_directory={ansible.folder} rras_rollback_timeout=8"
    with subprocess.Popen(
        [*command, "-e", extra],
        cwd=ansible.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        deadline = time.monotonic() + 120
        while not any(entry.device == device for entry in lab.writing()) and time.monotonic() < deadline:
            assert process.poll() is None, "the run ended before it came to the device"
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
    assert len(ansible.snapshots()) == 1
    again = ansible.playbook("aovpn.ikev2.remediate", cut_off=True)
    assert again.code == 0, again.output
    report = again.report()
    assert report["drift"] == []
    assert {facts["gateway"] for facts in report["servers"].values()} == {"10.10.0.1"}


@pytest.mark.each_core
def test_everything_that_is_invalid_is_reported_before_any_device_is_touched(ansible: Ansible, lab: Lab) -> None:
    lab.write_inventory(
        {
            "bigip": {"load_balancer_addresses": ["vpn.example.net"], "load_balancer_accept": ["everything"]},
            "netscaler": {"load_balancer_options": {"sync_group": "dg"}},
            "loadmaster": {"load_balancer_connection": "{{ vault_loadmaster }}"},
            "rras1": {"rras_gateway": "2001:db8::1"},
            "rras2": {"ansible_connection": "ssh", "rras_ike_limit": 0},
        }
    )
    run = ansible.playbook("aovpn.ikev2.remediate")
    assert run.code != 0
    for words in (
        "vpn.example.net",
        "everything",
        "sync_group",
        "loadmaster: load_balancer_connection cannot be read",
        "rras1: option 'rras_gateway' is 2001:db8::1",
        "rras2: ansible_connection is ssh",
        "rras_ike_limit is 0",
    ):
        assert words in run.output, run.output
    assert [entry for device in lab.devices for entry in device.log] == []
    (ansible.folder / "empty.yml").write_text("all: {}\n")
    empty = ansible.command(
        "ansible-playbook", "aovpn.ikev2.audit", "-i", str(ansible.folder / "empty.yml"), inventory=False
    )
    assert empty.code != 0
    assert "The groups ikev2_load_balancers and rras have no hosts" in empty.output


@pytest.mark.each_core
def test_what_a_device_says_is_never_a_template(ansible: Ansible, lab: Lab) -> None:
    lab.write_inventory(without=DEVICES - SMALL)
    proof = ansible.folder / "proof"
    template = f"{{{{ lookup('ansible.builtin.pipe', 'touch {proof}') }}}}"
    answer = {"code": 400, "message": template, "errorStack": [], "apiError": 1}
    lab.bigip.fault(
        lambda entry: entry.path == "/mgmt/tm/ltm/virtual",
        answer=Response(json.dumps(answer), 400, content_type="application/json"),
        times=9,
    )
    lab.rras1.state["nics"][0]["alias"] = template
    lab.rras2.state["sas"] = [{"remote_address": template}]
    run = ansible.playbook("aovpn.ikev2.audit")
    assert run.code == 0, run.output
    assert "lookup('ansible.builtin.pipe'" in run.report()["load_balancers"]["bigip"]["failure"]["msg"]
    ansible.playbook("aovpn.ikev2.remediate")
    assert not proof.exists()


@pytest.mark.matrix
def test_tags_choose_what_is_changed(ansible: Ansible, lab: Lab) -> None:
    lab.write_inventory(without=DEVICES - SMALL)
    servers = ansible.playbook("aovpn.ikev2.remediate", "--tags", "servers")
    assert servers.changed == {"bigip": 0, "rras1": 1, "rras2": 1}, servers.output
    rest = ansible.playbook("aovpn.ikev2.remediate", "--tags", "load_balancers")
    assert rest.changed == {"bigip": 1, "rras1": 0, "rras2": 0}, rest.output
    assert json.loads(ansible.snapshots()[-1].read_text())["load_balancers"].keys() == {"bigip"}
    assert len(ansible.snapshots()) == 2


@pytest.mark.matrix
def test_there_is_a_snapshot_of_whatever_is_changed(ansible: Ansible, lab: Lab) -> None:
    """What is there to be changed is known only to what changes it: here to the planner of routes."""
    lab.write_inventory(without=DEVICES - {"rras1"})
    arguments = ("-e", "rras_remove_other_defaults=true snapshot_directory=kept rras_accept=gateway_unverified")
    routes = lab.rras1.state["routes"]
    for route in (route for store in routes.values() for route in store if route["dest"] == "0.0.0.0/0"):
        route["next_hop"] = "10.10.0.1"
    other = {"dest": "0.0.0.0/0", "next_hop": "192.168.10.1", "if_index": 7, "metric": 900, "protocol": "NetMgmt"}
    routes["active"].append(other)
    before = lab.settings()
    assert ansible.playbook("aovpn.ikev2.remediate", *arguments).changed == {"rras1": 1}
    assert len(list((ansible.folder / "kept").iterdir())) == 1
    back = ansible.playbook("aovpn.ikev2.rollback", *arguments)
    assert back.changed == {"rras1": 1}, back.output
    assert lab.settings() == before


@pytest.mark.matrix
def test_a_standby_unit_in_the_inventory_is_left_to_its_partner(ansible: Ansible, lab: Lab) -> None:
    standby = BigIp("bigip2")
    standby.logfile = lab.logfile
    standby.start(lab.authority)
    try:
        lab.bigip.add_peer()
        standby.add_peer(active=False)
        lab.write_inventory(without=DEVICES - SMALL)
        inventory = yaml.safe_load(lab.inventory.read_text(encoding="utf-8"))
        inventory["all"]["children"]["ikev2_load_balancers"]["hosts"]["bigip2"] = standby.variables(lab.ca)
        lab.inventory.write_text(yaml.safe_dump(inventory), encoding="utf-8")
        run = ansible.playbook("aovpn.ikev2.remediate")
        assert run.code == 0, run.output
        assert run.changed == {"bigip": 1, "bigip2": 0, "rras1": 1, "rras2": 1}
        assert standby.writing() == []
        report = run.report()
        assert ("not_active_unit", "info", "bigip2") in {
            (one["code"], one["severity"], one["host"]) for one in report["findings"]
        }
        # Nothing has synchronized it: its own drift counts now.
        assert {line.partition(":")[0] for line in report["drift"]} == {"bigip2"}
        standby.state["virtual"] = copy.deepcopy(lab.bigip.state["virtual"])
        again = ansible.playbook("aovpn.ikev2.remediate")
        assert (again.code, set(again.changed.values())) == (0, {0}), again.output
        assert again.report()["drift"] == []
    finally:
        standby.stop()


@pytest.mark.matrix
def test_what_cannot_reply_through_a_load_balancer_is_left_as_it_is(ansible: Ansible, lab: Lab) -> None:
    """A second load balancer before the same servers goes on translating, and a server with direct server return keeps its gateway."""
    lab.write_inventory(without={"bigip"})
    addresses = lab.netscaler.config["nsip"]
    addresses["10.10.0.2"] = {**addresses.pop("10.10.0.1"), "ipaddress": "10.10.0.2"}
    shared = ansible.playbook("aovpn.ikev2.remediate")
    assert shared.code == 0, shared.output
    assert shared.changed == {"netscaler": 0, "loadmaster": 1, "rras1": 1, "rras2": 1}
    assert lab.netscaler.writing() == []
    report = shared.report()
    assert "netscaler has to go on translating" in " ".join(
        one["message"] for one in report["findings"] if one["code"] == "server_shared"
    )
    assert {line.partition(":")[0] for line in report["drift"]} == {"netscaler"}

    lab.reset()
    lab.write_inventory(without={"bigip", "netscaler"})
    for port in (500, 4500):
        for server in lab.loadmaster.service("203.0.113.30", port)["Rs"]:
            server["Forward"] = "route"
    before = lab.settings()
    direct = ansible.playbook("aovpn.ikev2.remediate")
    assert (direct.code, set(direct.changed.values())) == (0, {0}), direct.output
    assert lab.settings() == before
    assert {one["host"] for one in direct.report()["findings"] if "gateway is left alone" in one["message"]} == {
        "rras1",
        "rras2",
    }
