# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bad input: a clear error that names device and option, an exit code, no change, no traceback, no secret."""

from __future__ import annotations

import json
import re
import socket
import typing as t

import pytest

from ansible_collections.aovpn.ikev2.plugins.module_utils._platforms import PLATFORMS
from harness import Ansible
from lab.core import CertificateAuthority
from lab.whole import Lab

MODULES = {platform.name: platform.module for platform in PLATFORMS.values()}


def connection(lab: Lab, name: str) -> dict[str, t.Any]:
    """Return the options that reach a load balancer."""
    device = next(device for device in lab.load_balancers if device.name == name)
    options: dict[str, t.Any] = device.variables(lab.ca)["load_balancer_connection"]
    return options


def refused(ansible: Ansible, name: str, options: dict[str, t.Any], *words: str) -> None:
    """Check that a module refuses these options, with these words in its message."""
    run = ansible.module(MODULES[name], {**connection(ansible.lab, name), **options})
    assert run.code != 0
    for word in words:
        assert word in run.output
    assert ansible.lab.writing() == []


@pytest.mark.parametrize("name", MODULES)
def test_a_wrong_password(ansible: Ansible, name: str) -> None:
    options = {**connection(ansible.lab, name), "password": "not-the-pass-word"}
    run = ansible.module(MODULES[name], options, "-vvvv", environment={"ANSIBLE_INJECT_INVOCATION": "1"})
    assert run.code != 0
    assert "127.0.0.1" in run.output
    assert f"user '{options['username']}'" in run.output
    assert "not-the-pass-word" not in run.output
    assert ansible.lab.writing() == []


@pytest.mark.parametrize("name", MODULES)
def test_an_untrusted_certificate(ansible: Ansible, name: str) -> None:
    CertificateAuthority().write(ansible.folder / "other.pem")
    refused(
        ansible,
        name,
        {"ca_path": str(ansible.folder / "other.pem")},
        "127.0.0.1",
        "certificate was not accepted",
        "'ca_path'",
    )


@pytest.mark.parametrize("name", MODULES)
def test_a_pair_that_does_not_exist(ansible: Ansible, name: str) -> None:
    refused(
        ansible,
        name,
        {"addresses": ["198.51.100.1"]},
        "127.0.0.1",
        "no UDP service on UDP 500 and UDP 4500 at 198.51.100.1",
        "There are: ",
    )


REFUSED: list[tuple[dict[str, t.Any], str]] = [
    ({"addresses": ["203.0.113.10"], "services": ["vs"]}, "'addresses' and 'services' exclude each other"),
    ({"addresses": []}, "'addresses' is an empty list"),
    ({"services": []}, "'services' is an empty list"),
    ({"services": ["vs_ikev2_50"]}, "no UDP service called 'vs_ikev2_50'. There are: /Common/vs_ikev2_500"),
    ({"addresses": ["vpn.example.net"]}, "'addresses' holds 'vpn.example.net', which is not an IP address"),
    ({"ports": [500, 70000]}, "'ports' holds 70000"),
    ({"port": 0}, "'port' is 0"),
    ({"accept": ["everything"]}, "unknown code 'everything'"),
    ({"state": "restored"}, "'snapshot' and state 'restored' go together"),
    ({"return_path": {"10.10.0.11": "10.10.0.1"}}, "return_path_unverified at 10.10.0.12"),
]


def test_options_that_are_refused(ansible: Ansible) -> None:
    tasks = [
        {"aovpn.ikev2.bigip_snat": {**connection(ansible.lab, "bigip"), **options}, "ignore_errors": number > 0}
        for number, (options, _words) in reversed(list(enumerate(REFUSED)))
    ]
    playbook = ansible.folder / "refused.json"
    playbook.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]), encoding="utf-8")
    run = ansible.playbook(str(playbook))
    assert run.code == 2
    assert run.recap["localhost"]["ignored"] == len(REFUSED) - 1
    messages = re.findall(r'"msg": "([^"]*127\.0\.0\.1[^"]*)"', run.output)
    assert len(messages) == len(REFUSED)
    for (_options, words), message in zip(REFUSED, reversed(messages), strict=True):
        assert words in message
    assert ansible.lab.writing() == []


def test_a_refused_connection(ansible: Ansible) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        refused(
            ansible,
            "bigip",
            {"port": bound.getsockname()[1]},
            "BIG-IP 127.0.0.1",
            "the connection was refused",
            "'port'",
        )


def test_an_unknown_platform(ansible: Ansible, lab: Lab) -> None:
    lab.write_inventory({"bigip": {"load_balancer_platform": "bigiron"}})
    run = ansible.playbook("aovpn.ikev2.remediate", "--limit", "bigip")
    assert run.code != 0
    assert "load_balancer_platform" in run.output
    assert "bigiron" in run.output
    assert lab.writing() == []


@pytest.mark.parametrize(
    "playbook",
    [
        "audit",
        *(pytest.param(name, marks=pytest.mark.matrix) for name in ("remediate", "verify", "workaround", "rollback")),
    ],
)
def test_a_file_of_variables_that_is_not_yaml_ends_with_4(ansible: Ansible, playbook: str) -> None:
    (ansible.folder / "variables.yml").write_text("fail_on_drift: [true", encoding="utf-8")
    run = ansible.playbook(f"aovpn.ikev2.{playbook}", "-e", "@variables.yml")
    assert run.code == 4, run.output
    assert not (ansible.folder / "report.json").exists()


@pytest.mark.parametrize("blank", [None, ""])
def test_blank_addresses_select_nothing_in_a_play_of_somebody_else_either(
    ansible: Ansible, lab: Lab, blank: str | None
) -> None:
    gateways = {"10.10.0.11": "10.10.0.1", "10.10.0.12": "10.10.0.1"}
    lab.write_inventory({"bigip": {"load_balancer_addresses": blank, "load_balancer_return_path": gateways}})
    play = [{"hosts": "bigip", "gather_facts": False, "roles": ["aovpn.ikev2.load_balancer"]}]
    (ansible.folder / "play.yml").write_text(json.dumps(play), encoding="utf-8")
    run = ansible.command("ansible-playbook", "play.yml")
    assert (run.code, lab.writing()) == (2, []), run.output
    assert "Option 'addresses' is an empty list: name at least one" in run.output


def test_the_environment_gives_what_the_task_does_not(ansible: Ansible, lab: Lab) -> None:
    options = connection(lab, "bigip")
    environment = {
        "F5_SERVER": "127.0.0.1",
        "F5_SERVER_PORT": str(options["port"]),
        "F5_USER": options["username"],
        "F5_PASSWORD": options["password"],
    }
    run = ansible.module("bigip_snat", {"state": "gathered", "ca_path": str(lab.ca)}, environment=environment)
    assert run.code == 0, run.output
    assert "/Common/vs_ikev2_500" in run.output


def test_an_action_group_gives_defaults_to_its_modules(ansible: Ansible, lab: Lab) -> None:
    playbook = ansible.folder / "group.yml"
    playbook.write_text(
        """
- name: Defaults of a group
  hosts: localhost
  gather_facts: false
  module_defaults:
    group/aovpn.ikev2.bigip: "{{ hostvars.bigip.load_balancer_connection }}"
  tasks:
    - name: Read
      aovpn.ikev2.bigip_snat:
        state: gathered
""",
        encoding="utf-8",
    )
    run = ansible.playbook(str(playbook))
    assert run.code == 0, run.output
    assert [str(entry) for entry in lab.bigip.log][:2] == ["POST /mgmt/shared/authn/login", "GET /mgmt/tm/ltm/virtual"]


def test_an_unchanged_pair_takes_three_requests(ansible: Ansible, lab: Lab) -> None:
    options = {
        **connection(lab, "bigip"),
        "addresses": ["203.0.113.10"],
        "return_path": {"10.10.0.11": "10.10.0.1", "10.10.0.12": "10.10.0.1"},
    }
    assert ansible.module("bigip_snat", options).code == 0
    lab.bigip.log.clear()
    run = ansible.module("bigip_snat", options)
    assert run.code == 0
    login, look, logout = map(str, lab.bigip.log)
    assert (login, look) == ("POST /mgmt/shared/authn/login", "GET /mgmt/tm/ltm/virtual")
    assert logout.startswith("DELETE /mgmt/shared/authz/tokens/")
    assert '"requests": 3' in run.output
