# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hosts of a site as one: mistakes cut nobody off, check mode predicts the real run, and the verdict is true."""

from __future__ import annotations

import copy
import json
import shutil
import typing as t
from pathlib import Path

import pytest
import yaml

from harness import REPOSITORY, Ansible, Run
from lab.core import Entry
from lab.whole import Lab

ALL = {"bigip", "netscaler", "loadmaster", "rras1", "rras2"}
PAIR = {"netscaler", "rras1"}
"""One load balancer, with a setting of the whole device, and one server: what takes least time."""
LIMIT = "rras_ike_limit_enabled=true rras_restart_with_sessions=true load_balancer_accept=return_path_unverified"
"""The other server is not in the inventory."""


def changes(run: Run) -> list[tuple[t.Any, ...]]:
    """Return what a run has changed, or would."""
    return sorted(
        (one["host"], one["id"], one["setting"], str(one["before"]), str(one["after"]))
        for one in run.report()["changes"]
    )


def redirect(lab: Lab, gateway: str, *names: str) -> None:
    """Set this default gateway on servers, behind everybody's back."""
    for server in (server for server in lab.servers if server.name in names):
        for route in (route for store in server.state["routes"].values() for route in store):
            if route["dest"] == "0.0.0.0/0":
                route["next_hop"] = gateway


def keep_addresses(lab: Lab) -> None:
    """Make the NetScaler keep the clients' addresses, behind everybody's back."""
    lab.netscaler.config["nsmode"]["usnip"] = True
    for port in (500, 4500):
        lab.netscaler.config["servicegroup"][f"sg_ikev2_{port}"]["usip"] = "YES"


def see(lab: Lab, *addresses: str, **more: t.Any) -> None:
    """Put one association on both servers from each of these addresses."""
    for server in lab.servers:
        server.state["sas"] = [{"remote_address": address, **more} for address in addresses]


# -- what could cut clients off


def test_a_misspelt_group_moves_no_gateway(ansible: Ansible, lab: Lab) -> None:
    lab.write_inventory(without=ALL - PAIR)
    inventory = yaml.safe_load(lab.inventory.read_text(encoding="utf-8"))
    children = inventory["all"]["children"]
    children["load_balancers"] = children.pop("ikev2_load_balancers")
    lab.inventory.write_text(yaml.safe_dump(inventory), encoding="utf-8")
    run = ansible.playbook("aovpn.ikev2.remediate")
    assert run.code == 2, run.output
    assert lab.writing() == []
    assert "gateway_unverified: No load balancer that leads to this server was read" in run.output
    assert "load_balancers" in run.output
    assert "rras_accept: [gateway_unverified]" in run.output
    (found,) = [one for one in run.report()["findings"] if one["code"] == "gateway_unverified"]
    assert (found["host"], found["severity"]) == ("rras1", "blocker")


def test_a_server_that_no_load_balancer_leads_to_stops_nobody_else(ansible: Ansible, lab: Lab) -> None:
    lab.write_inventory(without=ALL - {"loadmaster", "rras1", "rras2"})
    for port in (500, 4500):
        servers = lab.loadmaster.service("203.0.113.30", port)["Rs"]
        servers[:] = [server for server in servers if server["Addr"] == "10.10.0.11"]
    run = ansible.playbook("aovpn.ikev2.remediate")
    assert run.code == 2, run.output
    assert run.changed == {"loadmaster": 1, "rras1": 1, "rras2": 0}
    assert {host: one["failure"] is not None for host, one in run.report()["servers"].items()} == {
        "rras1": False,
        "rras2": True,
    }


def test_a_failure_at_one_site_does_not_stop_the_other(ansible: Ansible, lab: Lab) -> None:
    """The NetScaler leads to rras1 and is the standby unit of a pair; the LoadMaster leads to rras2."""
    lab.write_inventory(without={"bigip"})
    for port in (500, 4500):
        members = lab.netscaler.config["servicegroup_servicegroupmember_binding"]
        members[:] = [member for member in members if member["ip"] == "10.10.0.11"]
        servers = lab.loadmaster.service("203.0.113.30", port)["Rs"]
        servers[:] = [server for server in servers if server["Addr"] == "10.10.0.12"]
    lab.netscaler.state["hanode"]["0"]["state"] = "Secondary"
    run = ansible.playbook("aovpn.ikev2.remediate")
    assert run.code == 2, run.output
    assert run.changed == {"netscaler": 0, "loadmaster": 1, "rras1": 0, "rras2": 1}, run.output
    report = run.report()
    outcomes = {host: one["outcome"] for host, one in {**report["load_balancers"], **report["servers"]}.items()}
    assert outcomes == {"netscaler": "failed", "loadmaster": "changed", "rras1": "waiting", "rras2": "changed"}
    assert report["servers"]["rras1"]["waits_for"] == "netscaler"
    assert report["verdict"]["title"] == "The run failed on netscaler"


@pytest.mark.parametrize(
    ("playbook", "given"),
    [
        ("audit", {"load_balancer_state": "preserved"}),
        ("remediate", {"load_balancer_return_path": {"10.10.0.11": "10.10.0.1", "10.10.0.12": "10.10.0.1"}}),
    ],
)
def test_an_extra_variable_for_a_role_does_not_replace_what_a_playbook_decides(
    ansible: Ansible, lab: Lab, playbook: str, given: dict[str, t.Any]
) -> None:
    """An audit changes nothing, and the gateways that were read precede those that somebody has named."""
    lab.write_inventory({"rras1": {"rras_gateway": ""}}, without=ALL - PAIR)
    redirect(lab, "10.10.0.1" if playbook == "audit" else "10.10.0.254", "rras1")
    accept = {"load_balancer_accept": ["return_path_unverified"]}
    run = ansible.playbook(f"aovpn.ikev2.{playbook}", "-e", json.dumps(given | accept))
    assert lab.writing() == [], run.output
    assert run.code == (0 if playbook == "audit" else 2)
    assert run.report()["verdict"]["status"] == ("drift" if playbook == "audit" else "failed")


def test_restoring_the_limit_alone_moves_no_gateway(ansible: Ansible, lab: Lab) -> None:
    """The load balancer goes on keeping the clients' addresses."""
    lab.write_inventory(without=ALL - PAIR)
    write_snapshot(ansible.folder / "ikev2-snapshots" / "20260101T000000Z.json", lab)
    redirect(lab, "10.10.0.1", "rras1")
    keep_addresses(lab)
    before = lab.settings()
    run = ansible.playbook("aovpn.ikev2.rollback", "--tags", "rras_ike_limit")
    assert (run.code, run.changed) == (0, {"netscaler": 0, "rras1": 0}), run.output
    assert run.report()["verdict"]["title"].startswith("The selected part of the snapshot is restored")
    assert lab.settings() == before


# -- check mode predicts


@pytest.mark.parametrize(
    ("state", "way"),
    [
        ("found", "remediate"),
        ("found", "rollback"),
        pytest.param("found", "workaround", marks=pytest.mark.matrix),
        pytest.param("half", "remediate", marks=pytest.mark.matrix),
        pytest.param("half", "rollback", marks=pytest.mark.matrix),
        pytest.param("half", "workaround", marks=pytest.mark.matrix),
        pytest.param("remediated", "remediate", marks=pytest.mark.matrix),
        pytest.param("remediated", "rollback", marks=pytest.mark.matrix),
        pytest.param("remediated", "workaround", marks=pytest.mark.matrix),
    ],
)
def test_check_mode_predicts_the_real_run(ansible: Ansible, lab: Lab, state: str, way: str) -> None:
    """From the state as found in the field, from half a remediation, and from a whole one; with a snapshot of the first."""
    lab.write_inventory(without=ALL - PAIR)
    folder = ansible.folder / "ikev2-snapshots"
    if state != "found":
        write_snapshot(folder / "20260101T000000Z.json", lab)
        redirect(lab, "10.10.0.1", "rras1")
    if state == "remediated":
        keep_addresses(lab)
    arguments = ("-e", LIMIT)
    checked = ansible.playbook(f"aovpn.ikev2.{way}", "--check", *arguments)
    if state == "found" and way == "rollback":
        assert "There is no snapshot in" in checked.output
        assert ansible.playbook(f"aovpn.ikev2.{way}", *arguments).code == checked.code == 2
        return
    predicted, verdict = (changes(checked), checked.changed), checked.report()["verdict"]["status"]
    real = ansible.playbook(f"aovpn.ikev2.{way}", *arguments)
    assert (changes(real), real.changed, real.code) == (*predicted, checked.code), checked.output + real.output
    verdicts = {
        "remediate": "clean",
        "rollback": "restored",
        "workaround": "partial" if state != "remediated" else "clean",
    }
    assert real.report()["verdict"]["status"] == verdicts[way]
    assert verdict == ("drift" if predicted[0] else verdicts[way])


def write_snapshot(path: Path, lab: Lab) -> None:
    """Write a snapshot of the state as found, in the first format, as a run of remediate has left it."""
    connection = lab.netscaler.variables(lab.ca)["load_balancer_connection"]
    values = [{"id": f"sg_ikev2_{port}", "value": "NO"} for port in (500, 4500)]
    services: list[dict[str, t.Any]] = [
        {
            "id": f"sg_ikev2_{port}",
            "address": "203.0.113.20",
            "port": port,
            "protocol": "udp",
            "enabled": True,
            "source_preserved": False,
            "value": "NO",
            "servers": [],
        }
        for port in (500, 4500)
    ]
    routes = [
        {"store": store, "destination": "0.0.0.0/0", "next_hop": "10.10.0.254", "interface": "External", "metric": 256}
        for store in ("ActiveStore", "PersistentStore")
    ]
    device = {"platform": "netscaler", "host": connection["host"], "services": values, "device": {"usnip": False}}
    server = {
        "gateway": "10.10.0.254",
        "addresses": ["10.10.0.11", "192.168.10.11"],
        "routes": routes,
        "ike_limit": None,
    }
    content = {
        "format": 1,
        "taken": "2026-01-01T00:00:00Z",
        "load_balancers": {"netscaler": device},
        "services": {"netscaler": services},
        "servers": {"rras1": server},
    }
    path.parent.mkdir()
    path.write_text(json.dumps(content), encoding="utf-8")


# -- what is true


@pytest.mark.parametrize(
    ("addresses", "more", "words"),
    [
        (["10.99.0.200"] * 12, {}, "24 of 24 IKE security associations come from the load balancer"),
        (["10.99.0.1"] * 12, {}, "12 from 10.99.0.1 (100 %): a private address with nearly all of them proves nothing"),
        pytest.param(
            ["198.51.100.1", "198.51.100.2"],
            {"key_module": "AuthIP"},
            "no IKEv2 security association to judge by",
            marks=pytest.mark.matrix,
        ),
        pytest.param(
            ["198.51.100.1", "198.51.100.2"],
            {"key_module": 2},
            "Windows does not tell whether they are IKEv2",
            marks=pytest.mark.matrix,
        ),
    ],
)
def test_only_clients_own_addresses_are_proof(
    ansible: Ansible, lab: Lab, addresses: list[str], more: dict[str, t.Any], words: str
) -> None:
    lab.write_inventory(without=ALL - {"bigip", "rras1", "rras2"})
    redirect(lab, "10.10.0.1", "rras1", "rras2")
    for virtual in lab.bigip.state["virtual"].values():
        virtual["sourceAddressTranslation"] = {"type": "none"}
    folder = ansible.folder / "ikev2-snapshots"
    folder.mkdir()
    pool = {"load_balancers": {"bigip": {"platform": "bigip", "host": "x", "services": [], "device": {}}}}
    content = {"format": 1, "taken": "then", "services": {"bigip": []}, "servers": {}, **pool}
    (folder / "1.json").write_text(json.dumps({**content, "own_addresses": {"bigip": ["10.99.0.200"]}}))
    see(lab, *addresses, **more)
    run = ansible.playbook("aovpn.ikev2.verify", "-e", "fail_on_drift=true")
    assert run.code == 2, run.output
    report = run.report()
    assert (report["verdict"]["status"], report["changes"]) == ("unverified", [])
    assert words in " ".join(
        [*report["verdict"]["lines"], *(one["sees"]["message"] for one in report["servers"].values())]
    )


def test_blank_answers_of_a_survey_mean_not_given(ansible: Ansible, lab: Lab) -> None:
    lab.write_inventory(without=ALL - PAIR)
    blank = dict.fromkeys(("snapshot", "snapshot_directory", "report_directory", "rras_preserve_routes"))
    more = {"report_name": "", "fail_on_drift": "", "probe": None, "load_balancer_options": None, "rras_mac": ""}
    run = ansible.command("ansible-playbook", "aovpn.ikev2.verify", "-e", json.dumps({**blank, **more}))
    assert run.code == 0, run.output
    folder = ansible.folder / "ikev2-reports"
    (page,) = folder.glob("verify-20*Z.html")
    assert (folder / "latest.html").read_bytes() == page.read_bytes()
    assert (folder / "latest.json").exists()
    assert not (ansible.folder / "None").exists()


@pytest.mark.parametrize("blank", [pytest.param(None, marks=pytest.mark.matrix), ""])
def test_every_variable_of_the_roles_may_be_left_blank(ansible: Ansible, lab: Lab, blank: str | None) -> None:
    """All but those that must be given, and those that would widen a change."""
    lab.write_inventory({"rras1": {"rras_gateway": "10.10.0.1"}}, without=ALL - PAIR)
    needed = ("load_balancer_platform", "load_balancer_connection", "rras_gateway", "report_directory", "report_name")
    names = {
        name
        for role in ("load_balancer", "rras", "report")
        for entry in yaml.safe_load((REPOSITORY / "roles" / role / "meta" / "argument_specs.yml").read_text())[
            "argument_specs"
        ].values()
        for name in entry["options"]
    } - {*needed, "load_balancer_addresses", "load_balancer_services"}
    expected = ansible.playbook("aovpn.ikev2.audit").report()
    run = ansible.playbook("aovpn.ikev2.audit", "-e", json.dumps(dict.fromkeys(names, blank)))
    assert run.code == 0, run.output
    assert [run.report()[key] for key in ("verdict", "changes", "due")] == [
        expected[key] for key in ("verdict", "changes", "due")
    ]


def test_a_server_that_refuses_the_connection_is_said_once(ansible: Ansible, lab: Lab) -> None:
    lab.write_inventory({"rras1": {"ansible_port": 1}}, without=ALL - PAIR)
    run = ansible.playbook("aovpn.ikev2.audit")
    assert run.code == 0, run.output
    report = run.report()
    failure = report["servers"]["rras1"]["failure"]
    assert failure["stage"] == "read"
    assert failure["msg"].count("refused the connection") == 1
    assert "port 1" in failure["msg"]
    assert "has no attribute" not in run.output
    assert report["verdict"]["steps"][0]["text"].count("refused the connection") == 1
    # Where something would be changed, it is the cause, and the load balancer only waits for it.
    lab.write_inventory({"rras1": {"ansible_port": 1}}, without=ALL - PAIR - {"rras2"})
    run = ansible.playbook("aovpn.ikev2.remediate")
    report = run.report()
    assert (run.code, report["verdict"]["title"]) == (2, "The run failed on rras1"), run.output
    assert "refused the connection" in report["verdict"]["steps"][0]["text"]


def test_a_refused_inventory_leaves_a_page(ansible: Ansible, lab: Lab) -> None:
    lab.write_inventory({"rras1": {"rras_gatway": "10.10.0.1"}}, without=ALL - PAIR)
    run = ansible.playbook("aovpn.ikev2.remediate")
    assert run.code == 2
    assert "rras_gateway" in run.output
    assert run.report()["verdict"]["status"] == "failed"
    assert "The run was refused" in (ansible.folder / "report.html").read_text(encoding="utf-8")
    assert [entry for device in lab.devices for entry in device.log] == []


def test_a_report_that_cannot_be_written_at_the_end_is_shown(ansible: Ansible, lab: Lab) -> None:
    lab.write_inventory(without=ALL - PAIR)
    folder = ansible.folder / "reports"

    def replace(entry: Entry | None) -> None:
        if entry and entry.writes and folder.is_dir():
            shutil.rmtree(folder)
            folder.write_text("", encoding="utf-8")

    lab.netscaler.after.append(replace)
    try:
        given = ("-e", f"report_directory={folder}", "-e", "load_balancer_accept=return_path_unverified")
        run = ansible.playbook("aovpn.ikev2.remediate", *given)
    finally:
        lab.netscaler.after.remove(replace)
    assert run.code == 2, run.output
    assert "4 changes were made." in run.output
    assert f"The report cannot be written to {folder}/report.json: Not a directory." in run.output


def test_a_run_says_little_and_skips_nothing_in_vain(ansible: Ansible, lab: Lab) -> None:
    """On three load balancers and two servers: at most 150 lines for a change, and fewer for none."""
    before = copy.deepcopy(lab.settings())
    first = ansible.playbook("aovpn.ikev2.remediate")
    assert lab.settings() != before
    second = ansible.playbook("aovpn.ikev2.remediate")
    for run, most in ((first, 150), (second, 90)):
        assert run.code == 0, run.output
        assert run.output.count("\n") <= most, run.output
        assert "skipping: [" not in run.output
    assert set(second.changed.values()) == {0}
