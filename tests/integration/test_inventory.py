# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory is validated as Ansible reads it: groups, templates, extra variables, and warnings on the terminal."""

from __future__ import annotations

import json
import os
import re
import typing as t
from pathlib import Path

import pytest
import yaml

from harness import REPOSITORY, Ansible, Run
from lab.whole import Lab

CHECK = {
    "hosts": "ikev2_load_balancers:rras:localhost",
    "gather_facts": False,
    "any_errors_fatal": True,
    "tasks": [{"aovpn.ikev2.check_inventory": {}, "run_once": True, "delegate_to": "localhost"}],
}
BIGIP = {
    "load_balancer_platform": "bigip",
    "load_balancer_connection": {"host": "bigip.example.net", "username": "admin", "password": "not-shown"},
}
SERVER = {"ansible_connection": "psrp", "rras_gateway": "10.10.0.1"}


def group(**hosts: t.Any) -> dict[str, t.Any]:
    """Return a group of these hosts, with ``group_vars`` for all of them."""
    variables = hosts.pop("group_vars", {})
    return {"hosts": hosts, "vars": variables}


def checked(ansible: Ansible, groups: dict[str, t.Any] | Path, *arguments: str, **options: t.Any) -> Run:
    """Validate an inventory of these groups, or a folder with one."""
    inventory, playbook = ansible.folder / "groups.yml", ansible.folder / "check.yml"
    if isinstance(groups, Path):
        inventory = groups
    else:
        inventory.write_text(yaml.safe_dump({"all": {"children": groups}}), encoding="utf-8")
    playbook.write_text(yaml.safe_dump([CHECK]), encoding="utf-8")
    given = ("-i", str(inventory), str(playbook), *arguments)
    return ansible.command("ansible-playbook", *given, inventory=False, **options)


def problems(run: Run) -> list[str]:
    """Return what the run has reported, also in its message."""
    assert run.code == 2, run.output
    (shown,) = re.findall(r"^fatal: \[.*\]: FAILED! => (\{.*\})$", run.output, re.MULTILINE)
    result = json.loads(shown)
    assert result["msg"] == f"The inventory is invalid. Nothing was changed: {' '.join(result['problems'])}"
    assert result["changed"] is False
    return list(result["problems"])


@pytest.mark.each_core
def test_the_inventory_to_copy_can_be_used(ansible: Ansible) -> None:
    example = REPOSITORY / "examples" / "inventory"
    vault = ("load_balancer_username", "load_balancer_password", "rras_username", "rras_password")
    given = " ".join(f"vault_{name}=x" for name in vault)
    run = checked(ansible, example, "-e", given)
    assert run.code == 0, run.output
    assert "[WARNING]" not in run.output
    lines = problems(checked(ansible, example))
    assert [line.partition(" cannot be read")[0] for line in lines] == [
        "bigip.example.net: load_balancer_connection",
        "group rras: ansible_user",
        "group rras: ansible_password",
    ]
    assert "vault_rras" not in "".join(lines)  # what looks like a variable's name may be part of a password
    # The first host's connection does not matter.
    assert problems(checked(ansible, example, "--limit", "rras")) == lines[1:]


@pytest.mark.each_core
def test_everything_that_is_misspelt(ansible: Ansible) -> None:
    groups = {
        "ikev2_load_balancers": group(lb={**BIGIP, "load_balancer_adresses": ["203.0.113.10"]}),
        "rras": group(
            rras1={"rras_mac": "", "rras_ike_limit": None},
            rras2={},
            group_vars={**SERVER, "rras_gatway": "{{ not_defined }}", "rras_accept": "gateway_unverifed"},
        ),
    }
    extra = ("-e", "fail_on_drift=ture snapshto=x rras_restart_with_session=true rras_ike_limit_enabled=no")
    lines = problems(checked(ansible, groups, *extra))
    assert [line.partition(".")[0] for line in lines[:-1]] == [
        "extra variables: there is no variable rras_restart_with_session",
        "extra variables: there is no variable snapshto",
        "lb: there is no variable load_balancer_adresses",
        "extra variables: fail_on_drift is 'ture', which is neither true nor false",
        "group rras: there is no variable rras_gatway",
    ]
    names = ("rras_restart_with_sessions", "snapshot", "load_balancer_addresses", None, "rras_gateway")
    for line, name in zip(lines, names, strict=False):
        assert name is None or f" The nearest is {name}. " in line
    assert lines[-1].startswith("group rras: rras option 'accept' holds the unknown code 'gateway_unverifed'.")


def test_answers_of_a_survey_are_given_as_text_or_left_blank(ansible: Ansible) -> None:
    groups = {"ikev2_load_balancers": group(lb=BIGIP), "rras": group(rras1=SERVER)}
    blank = dict.fromkeys(("rras_gateway", "snapshot", "report_directory", "fail_on_drift", "load_balancer_accept"), "")
    text = {"probe": "true", "rras_ike_limit": "60000", "rras_accept": "gateway_unverified,return_path_wrong"}
    run = checked(ansible, groups, "-e", json.dumps({**blank, **text, "rras_mac": None}))
    assert run.code == 0, run.output
    (line,) = problems(checked(ansible, groups, "-e", "load_balancer_addresses="))
    assert line.startswith(
        "extra variables: load_balancer_addresses is blank, which would select every pair of the device"
    )


@pytest.mark.each_core
def test_groups_that_are_misspelt_or_left_out(ansible: Ansible) -> None:
    servers = group(rras1=SERVER)
    misspelt = {"load_balancers": group(lb=BIGIP)}
    (line,) = problems(checked(ansible, {**misspelt, "RRAS": servers}))
    assert "The groups ikev2_load_balancers (similar: load_balancers) and rras (similar: RRAS) have no hosts" in line
    run = checked(ansible, {**misspelt, "rras": servers})
    assert run.code == 0, run.output
    words = " ".join(run.output.split())
    assert words.count("This run has no load balancers") == 1
    assert "the group ikev2_load_balancers is missing or empty (similar: load_balancers)." in words
    run = checked(ansible, {"ikev2_load_balancers": group(lb=BIGIP), "rras": servers}, "--limit", "lb")
    assert run.code == 0, run.output
    assert "This run has no VPN servers, because --limit leaves out the group rras." in " ".join(run.output.split())


def test_a_missing_library_is_reported_once(ansible: Ansible) -> None:
    (ansible.folder / "sitecustomize.py").write_text("import sys\nsys.modules['pypsrp'] = None\n", encoding="utf-8")
    groups = {"ikev2_load_balancers": group(lb=BIGIP), "rras": group(rras1=SERVER, rras2=SERVER)}
    environment = {"PYTHONPATH": f"{ansible.folder}:{os.environ['PYTHONPATH']}"}
    (line,) = problems(checked(ansible, groups, environment=environment))
    assert re.search(r": \S*/python\S* -m pip install pypsrp\.$", line), line


def test_a_playbook_stops_before_it_touches_a_device(ansible: Ansible, lab: Lab) -> None:
    lab.write_inventory({"bigip": {"load_balancer_adresses": ["203.0.113.10"]}})
    run = ansible.playbook("aovpn.ikev2.remediate")
    assert run.code == 2
    assert "bigip: there is no variable load_balancer_adresses. The nearest is load_balancer_addresses." in run.output
    assert not any(device.log for device in lab.devices)
