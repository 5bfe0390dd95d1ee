# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role report by itself: whatever the hosts' variables hold or lack, both files are written, and nothing in them is run."""

from __future__ import annotations

import json
import re
import stat
import typing as t
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from markupsafe import escape

from harness import REPOSITORY, Ansible, Run
from lab.whole import Lab
from report_examples import (
    GATEWAY,
    HIDDEN,
    HOSTILE,
    ROUTER,
    clean,
    drifted,
    facts,
    failed,
    gateway_change,
    limit_change,
    named,
    result,
    server_read,
    translations,
    variables,
)

NAMED = {"report_directory": ".", "report_name": "report"}
SCHEMA = json.loads((REPOSITORY / "docs" / "report.schema.json").read_text(encoding="utf-8"))


class Template(str):
    """A text that is a template: what the inventory's author wrote."""


UNDEFINED = Template("{{ nowhere_defined }}")


class Unsafe(str):
    """A text that must not be used as a template: what a device has said."""


yaml.SafeDumper.add_representer(Unsafe, lambda dumper, text: dumper.represent_scalar("!unsafe", str(text), style='"'))


def unsafe(value: t.Any) -> t.Any:
    """Mark all texts as Ansible marks those that modules return."""
    if isinstance(value, dict):
        return {key: unsafe(item) for key, item in value.items()}
    if isinstance(value, list):
        return [unsafe(item) for item in value]
    if isinstance(value, Template):
        return str(value)
    return Unsafe(value) if isinstance(value, str) else value


def report(
    ansible: Ansible, hosts: dict[str, dict[str, t.Any]], *arguments: str, options: dict[str, t.Any] | None = None
) -> Run:
    """Run the role in a play of these hosts."""
    local = {
        host: {
            "ansible_connection": "local",
            **{name: unsafe(value) for name, value in item.items() if name != "group_names"},
        }
        for host, item in hosts.items()
    }
    groups: dict[str, t.Any] = {
        name: {"hosts": {host: {} for host, item in hosts.items() if name in item.get("group_names", ())}}
        for name in ("ikev2_load_balancers", "rras")
    }
    inventory = {"all": {"hosts": local, "children": groups}}
    play = {
        "hosts": "all",
        "gather_facts": False,
        "roles": [{"role": "aovpn.ikev2.report", "vars": {**NAMED, **(options or {})}}],
    }
    (ansible.folder / "hosts.yml").write_text(yaml.safe_dump(inventory), encoding="utf-8")
    (ansible.folder / "play.yml").write_text(yaml.safe_dump([play]), encoding="utf-8")
    return ansible.command("ansible-playbook", "play.yml", "-i", "hosts.yml", *arguments, inventory=False)


def written(run: Run) -> dict[str, t.Any]:
    """Return the report, which keeps to its schema."""
    found = run.report()
    Draft202012Validator(SCHEMA).validate(found)
    return found


@pytest.mark.each_core
def test_both_files_are_written_and_the_verdict_is_published(ansible: Ansible) -> None:
    raw = drifted()
    raw["load_balancers"]["bigip"]["accept"] = "return_path_wrong"  # a text for a list, as an INI inventory has it
    run = report(
        ansible,
        variables(raw),
        "--diff",
        options={"report_playbook": "audit", "report_findings": [{"code": "odd", "host": "rras1", "severity": "info"}]},
    )
    assert run.code == 0, run.output
    assert set(run.changed.values()) == {0}
    found = written(run)
    assert (found["playbook"], found["check_mode"], found["verdict"]["status"]) == ("audit", False, "drift")
    assert [item["code"] for item in found["findings"]] == ["return_path_wrong"] * 2 + ["server_nat", "odd"]
    assert not any("return_path_wrong" in line for line in found["drift"])
    assert found["generated"].endswith("Z")
    for name in ("report.html", "report.json", "latest.html", "latest.json"):
        assert stat.S_IMODE((ansible.folder / name).stat().st_mode) == 0o640
    page = (ansible.folder / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert page.endswith("</html>\n")
    assert f"<h1>{escape(found['verdict']['title'])}</h1>" in page
    assert "DRIFT: The VPN servers do not see their clients' own addresses" in run.output
    assert f"Report: {ansible.folder}/report.html" in run.output
    # --diff would show both files in full.
    assert "<style>" not in run.output


def test_reports_are_named_by_playbook_and_time_and_the_latest_is_copied(ansible: Ansible) -> None:
    names = {"report_name": "", "report_directory": "", "report_playbook": "audit"}
    for sas in (HIDDEN, {"198.51.100.7": 1}):
        raw = drifted()
        raw["servers"]["rras1"]["facts"]["sas"] = sas
        assert report(ansible, variables(raw), options=names).code == 0
    folder = ansible.folder / "ikev2-reports"
    written = sorted(path.name for path in folder.iterdir())
    assert written[-2:] == ["latest.html", "latest.json"]
    assert all(re.fullmatch(r"audit-\d{8}T\d{6}Z\.(html|json)", name) for name in written[:-2])
    assert len(written) == 2 * 2 + 2
    for ending in ("html", "json"):
        newest = max(folder.glob(f"audit-*.{ending}"))
        assert newest.read_bytes() == (folder / f"latest.{ending}").read_bytes()
        assert stat.S_IMODE(newest.stat().st_mode) == 0o640


def test_the_roles_leave_what_the_report_needs(ansible: Ansible) -> None:
    before = facts("rras1", ROUTER, HIDDEN)
    after = {
        **server_read(facts())["gateway"],
        "changed": True,
        "final_state": "changed",
        "changes": [gateway_change()],
    }
    made = result(True, changed=True, final_state="changed", changes=translations())
    hosts: dict[str, dict[str, t.Any]] = {
        "bigip": {"load_balancer_platform": "bigip", "load_balancer_result": made},
        "rras1": {"rras_read": server_read(before), "rras_facts": before, "rras_gateway_result": after},
        "rras2": {"rras_facts": facts("rras2")},
    }
    run = report(ansible, hosts)
    assert run.code == 0, run.output
    found = written(run)
    assert [(change["host"], change["setting"]) for change in found["changes"]] == [
        ("rras1", "NextHop"),
        ("bigip", "snat"),
        ("bigip", "snat"),
    ]
    assert {host: item["outcome"] for host, item in found["servers"].items()} == {
        "rras1": "changed",
        "rras2": "unchanged",
    }
    assert [server["return_path_ok"] for server in found["paths"][0]["servers"]] == [True, True]
    assert found["verdict"]["status"] == "clean"


def test_findings_that_are_none_are_refused_by_name(ansible: Ansible) -> None:
    for odd in ({"code": "odd"}, {"code": "odd", "severity": "grave"}):
        run = report(ansible, variables(clean()), options={"report_findings": [odd]})
        assert run.code == 2
        assert "Set 'report_findings' to findings in the format of the modules" in run.output


def test_the_statistics_are_of_types_that_awx_keeps(ansible: Ansible) -> None:
    run = ansible.playbook("aovpn.ikev2.audit", environment={"ANSIBLE_SHOW_CUSTOM_STATS": "1"})
    assert run.code == 0, run.output
    stats = json.loads(run.output[run.output.index("CUSTOM STATS: ") :].split("RUN: ", 1)[1].splitlines()[0])
    assert stats["ikev2_verdict"] == "drift"
    assert stats["ikev2_drift"] is True
    assert stats["ikev2_summary"] == "The VPN servers do not see their clients' own addresses"
    changes = json.loads((ansible.folder / "report.json").read_text(encoding="utf-8"))["changes"]
    assert stats["ikev2_changes"] == changes
    assert {change["setting"] for change in changes} >= {"snat", "usip", "USNIP", "Transparent"}
    assert stats["ikev2_report"] == f"{ansible.folder}/report.html"
    assert stats["ikev2_report_json"] == f"{ansible.folder}/report.json"


@pytest.mark.matrix
def test_a_second_playbook_of_the_same_command_begins_by_itself(ansible: Ansible, lab: Lab) -> None:
    lab.write_inventory(without={"netscaler", "loadmaster"})
    names = ("-e", f"report_directory={ansible.folder} report_name=report")
    run = ansible.command("ansible-playbook", "aovpn.ikev2.remediate", "aovpn.ikev2.verify", *names)
    assert run.code == 0, run.output
    found = written(run)
    assert (found["playbook"], found["changes"]) == ("verify", [])
    remedied = lab.settings()
    run = ansible.command("ansible-playbook", "aovpn.ikev2.rollback", "aovpn.ikev2.remediate", *names)
    assert run.code == 0, run.output
    assert lab.settings() == remedied
    assert len(written(run)["changes"]) == 4


def test_check_mode_writes_the_report_as_well(ansible: Ansible) -> None:
    run = report(ansible, variables(clean()), "--check")
    assert run.code == 0, run.output
    assert set(run.changed.values()) == {0}
    found = written(run)
    assert found["check_mode"] is True
    assert "Nothing was changed. After a real run:" in run.output
    assert "Check mode: nothing was changed." in (ansible.folder / "report.html").read_text(encoding="utf-8")


def test_hosts_without_anything_are_in_the_report(ansible: Ansible) -> None:
    run = report(
        ansible,
        {
            "bigip": {"load_balancer_platform": "bigip"},
            "rras1": {"rras_gateway": GATEWAY},
            "rras2": {"rras_gateway": UNDEFINED, "rras_facts": facts("rras2")},
            "web": {},
        },
    )
    assert run.code == 0, run.output
    found = written(run)
    assert found["verdict"]["status"] == "unknown"
    assert found["load_balancers"]["bigip"]["outcome"] == found["servers"]["rras1"]["outcome"] == "not read"
    assert found["servers"]["rras2"]["wanted_gateway"] is None
    assert set(found["servers"]) == {"rras1", "rras2"}


def test_a_run_that_has_not_ended_has_a_page_and_a_file(ansible: Ansible) -> None:
    run = ansible.module("report", {"state": "started", "playbook": "remediate", "directory": str(ansible.folder)})
    assert run.code == 0, run.output
    (page,) = ansible.folder.glob("remediate-*.html")
    for path in (page, ansible.folder / "latest.html"):
        assert "If this page is old, the run was killed" in path.read_text(encoding="utf-8")
        found = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        Draft202012Validator(SCHEMA).validate(found)
        assert found["verdict"]["title"].startswith("Running since ")
        assert found["verdict"]["steps"] == []


def test_a_folder_that_cannot_be_written_is_said(ansible: Ansible, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    run = report(ansible, variables(clean()), "-e", f"report_directory={tmp_path / 'file' / 'folder'}")
    assert run.code == 2
    assert "The report cannot be written to" in run.output
    assert "Not a directory. Set 'report_directory' to a folder" in run.output


def test_a_failure_is_reported_and_does_not_fail_the_report(ansible: Ansible) -> None:
    run = report(ansible, variables(failed()))
    assert run.code == 0, run.output
    assert written(run)["verdict"]["status"] == "failed"
    assert "FAILED: The run failed on bigip and rras2" in run.output


def test_a_limit_that_is_wanted_is_drift_where_it_is_not(ansible: Ansible) -> None:
    raw = clean()
    raw["servers"]["rras1"]["ike_limit"] = 50000
    raw["servers"]["rras1"]["facts"]["changes"] = [limit_change()]
    run = report(ansible, variables(raw), "-e", '{"report_fail_on_drift": true}')
    assert run.code == 2
    assert "rras1: the limit of IKE security associations" in run.output
    assert written(run)["servers"]["rras1"]["wanted_ike_limit"] == 50000
    assert written(run)["servers"]["rras2"]["wanted_ike_limit"] is None


@pytest.mark.each_core
@pytest.mark.parametrize("name", ["script", "control", "direction", "template"])
def test_what_a_device_has_said_is_never_run(ansible: Ansible, tmp_path: Path, name: str) -> None:
    proof = tmp_path / "proof"
    text = HOSTILE[name]
    if name == "template":
        text = f"{{{{ lookup('ansible.builtin.pipe', 'touch {proof}') }}}}"
    raw = named(text)
    # Hosts are named by the inventory's author.
    raw["load_balancers"] = {"bigip": {**raw["load_balancers"][text], "platform": "bigip"}}
    raw["servers"] = {"rras1": raw["servers"][f"{text}1"], "rras2": raw["servers"]["rras2"]}
    run = report(ansible, variables(raw), options={"report_fail_on_drift": True})
    assert run.code == 2, run.output
    found = written(run)
    assert found["load_balancers"]["bigip"]["failure"]["msg"] == text
    assert text in [one["message"] for one in found["findings"]]
    assert not proof.exists()
    assert "\x1b[31m" not in run.output
    assert "\u202e" not in run.output
