# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole runs of the device modules: what they show of a session at -vvvv, and what they leave unchanged.

That no password, token or session id is in any output is checked after every run, by the harness.
"""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.aovpn.ikev2.plugins.module_utils._platforms import PLATFORMS
from harness import Ansible
from lab.core import Device
from lab.whole import Lab

MODULES = {platform.name: platform.module for platform in PLATFORMS.values()}
RETURN_PATH = {"10.10.0.11": "10.10.0.1", "10.10.0.12": "10.10.0.1"}
LOUD = {"ANSIBLE_INJECT_INVOCATION": "1"}


def options(lab: Lab, device: Device) -> dict[str, t.Any]:
    """Return the options that reach a load balancer and allow a change."""
    connection: dict[str, t.Any] = device.variables(lab.ca)["load_balancer_connection"]
    return {**connection, "return_path": RETURN_PATH}


@pytest.mark.parametrize("name", MODULES)
def test_nothing_of_a_session_is_shown_at_vvvv(ansible: Ansible, lab: Lab, name: str) -> None:
    device = next(device for device in lab.load_balancers if device.name == name)
    issued = len(device.issued)
    run = ansible.module(MODULES[name], options(lab, device), "-vvvv", "--diff", environment=LOUD)
    assert run.code == 0, run.output
    assert device.writing()
    # The harness has looked for these; a LoadMaster has no sessions, and its password goes with each request.
    assert len(device.issued) == issued + (name != "loadmaster")
    assert set(device.issued) <= set(lab.secrets())


ROLE = """
- name: Read every load balancer
  hosts: ikev2_load_balancers
  gather_facts: false
  roles:
    - role: aovpn.ikev2.load_balancer
      vars:
        load_balancer_state: gathered
        load_balancer_options: {partition: Common, subnet_ip_mode: false, use_proxy_port: true, api_version: "1"}
"""


@pytest.mark.each_core
def test_the_role_gives_each_platform_its_own_options_and_shows_no_key(ansible: Ansible, lab: Lab) -> None:
    key = "lab-loadmaster-apikey-1"
    port = str(lab.bigip.port)
    connections = {device.name: device.variables(lab.ca)["load_balancer_connection"] for device in lab.load_balancers}
    by_key = {name: value for name, value in connections["loadmaster"].items() if name not in ("username", "password")}
    # What is not given is left out, so that the environment may give it.
    by_environment = {name: value for name, value in connections["bigip"].items() if name == "ca_path"}
    environment = {"F5_SERVER_PORT": port, "F5_USER": "admin", "F5_PASSWORD": connections["bigip"]["password"]}
    lab.write_inventory(
        {
            "bigip": {"ansible_host": "127.0.0.1", "load_balancer_connection": by_environment},
            "loadmaster": {"load_balancer_connection": {**by_key, "api_key": key}},
        }
    )
    playbook = ansible.folder / "role.yml"
    playbook.write_text(ROLE, encoding="utf-8")
    run = ansible.playbook(str(playbook), "-vvvv", environment={**LOUD, **environment})
    assert run.code == 0, run.output
    assert {host: counts["skipped"] for host, counts in run.recap.items()} == dict.fromkeys(connections, 0)
    assert key not in run.output
    assert "WARNING" not in run.output
    assert run.output.count("runs in the controller's process") == len(connections)
    assert '"useproxyport": ' in run.output
    assert all(entry.path.startswith("/access/") for entry in lab.loadmaster.log)
    assert lab.bigip.log
    assert lab.writing() == []


@pytest.mark.parametrize("way", ["option", "environment"])
def test_a_callers_session_is_used_left_open_and_not_shown(ansible: Ansible, lab: Lab, way: str) -> None:
    adc = lab.netscaler
    login = {"username": "nsroot", "password": adc.state["users"]["nsroot"]["password"]}
    answer = adc.app.test_client().post("/nitro/v1/config/login", json={"login": login})
    token = answer.get_json()["sessionid"]
    adc.log.clear()
    given = {key: value for key, value in options(lab, adc).items() if key not in login}
    environment = {**LOUD, **({"NETSCALER_NITRO_AUTH_TOKEN": token} if way == "environment" else {})}
    given |= {"nitro_auth_token": token} if way == "option" else {}
    run = ansible.module("netscaler_usip", given, "-vvvv", environment=environment, cut_off=True)
    assert run.code == 0, run.output
    assert "login" not in {entry.path.rpartition("/")[2] for entry in adc.log}
    assert adc.open_sessions() == [token]
    assert {group["usip"] for name, group in adc.config["servicegroup"].items() if "ikev2" in name} == {"YES"}


def test_a_login_is_required_without_a_session(ansible: Ansible, lab: Lab) -> None:
    given = {key: value for key, value in options(lab, lab.netscaler).items() if key not in ("username", "password")}
    run = ansible.module("netscaler_usip", given)
    assert run.code != 0
    assert "one of the following is required: nitro_auth_token, username" in run.output


def test_a_group_that_an_operator_has_disabled_stays_disabled(ansible: Ansible, lab: Lab) -> None:
    groups = lab.netscaler.config["servicegroup"]
    groups["sg_ikev2_4500"]["state"] = "DISABLED"
    others = {name: dict(group) for name, group in groups.items()}
    run = ansible.module("netscaler_usip", options(lab, lab.netscaler))
    assert run.code == 0, run.output
    assert "disabled_service" in run.output
    changed = {name for name, group in groups.items() if group != others[name]}
    assert changed == {"sg_ikev2_500", "sg_ikev2_4500"}
    assert {name: {**groups[name], "usip": "NO"} for name in changed} == {name: others[name] for name in changed}
    assert [entry.body for entry in lab.netscaler.writing() if entry.method == "PUT"] == [
        {"servicegroup": [{"servicegroupname": name, "usip": "YES"} for name in ("sg_ikev2_500", "sg_ikev2_4500")]}
    ]
    assert not [entry for entry in lab.netscaler.writing() if entry.query.get("action") in ("disable", "unset")]
    assert [
        entry.path.rpartition("/")[2] for entry in lab.netscaler.writing() if entry.query.get("action") == "enable"
    ] == ["nsmode"]
