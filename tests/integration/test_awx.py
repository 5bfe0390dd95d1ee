# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""examples/awx sets up an AWX: its playbook, with the modules of awx.awx, against a stand-in of the API."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from harness import REPOSITORY, Ansible, Run
from lab.awx import TOKEN, Awx

PROJECT = REPOSITORY / "examples" / "awx"
ACCOUNTS = ("smtp", "rras", "bigip", "netscaler")
SECRETS = {
    "vault_loadmaster_api_key": "awx-secret-key",
    **{f"vault_{account}_username": f"{account}-user" for account in ACCOUNTS},
    **{f"vault_{account}_password": f"awx-secret-{account}" for account in ACCOUNTS},
}


@pytest.fixture
def awx() -> Iterator[Awx]:
    """Return an AWX that is running, and has the project's playbooks."""
    running = Awx({path.name for path in PROJECT.glob("*.yml")})
    running.start()
    yield running
    running.stop()


def apply(ansible: Ansible, awx: Awx, *arguments: str) -> Run:
    """Run the playbook that sets everything up."""
    environment = {"CONTROLLER_HOST": awx.url, "CONTROLLER_OAUTH_TOKEN": TOKEN}
    command = (str(PROJECT / "setup" / "apply.yml"), "-e", json.dumps(SECRETS), *arguments)
    run = ansible.command("ansible-playbook", *command, environment=environment, inventory=False)
    assert run.code == 0, run.output
    assert [secret for secret in (*SECRETS.values(), TOKEN) if "secret" in secret and secret in run.output] == []
    return run


@pytest.mark.parametrize(
    "platforms", [["bigip"], pytest.param(["bigip", "netscaler", "loadmaster"], marks=pytest.mark.matrix)]
)
def test_a_second_run_changes_nothing(ansible: Ansible, awx: Awx, platforms: list[str]) -> None:
    only = ("-e", json.dumps({"ikev2_platforms": platforms}))
    apply(ansible, awx, *only)
    written = awx.writes
    again = apply(ansible, awx, *only)
    assert (again.changed, awx.writes) == ({"localhost": 0}, written)

    for template in awx.objects["job_templates"].values():
        attached = [awx.objects["credentials"][one] for one in awx.links[template["id"], "credentials"]]
        assert len({one["credential_type"] for one in attached}) == len(attached) == 1 + len(platforms)
        assert (template["allow_simultaneous"], template["job_slice_count"], template["job_type"]) == (False, 1, "run")
    assert not awx.named("job_templates", "IKEv2 remediate")["ask_limit_on_launch"]
    assert not awx.named("job_templates", "IKEv2 rollback")["ask_limit_on_launch"]
    assert awx.named("job_templates", "IKEv2 rollback")["ask_variables_on_launch"]
    assert awx.named("schedules", "IKEv2 nightly audit")["extra_data"] == {"fail_on_drift": "true"}

    def next_of(node: str, link: str) -> list[str]:
        number = awx.named("workflow_job_template_nodes", node)["id"]
        ids = awx.links.get((number, f"{link}_nodes"), [])
        return [awx.objects["workflow_job_template_nodes"][one]["identifier"] for one in ids]

    links = {
        (node, link): followers
        for node in ("audit", "approve", "remediate", "verify", "rollback")
        for link in ("success", "failure", "always")
        if (followers := next_of(node, link))
    }
    assert links == {
        ("audit", "failure"): ["approve"],
        ("approve", "success"): ["remediate"],
        ("remediate", "success"): ["verify"],
        ("remediate", "failure"): ["rollback"],
    }
    assert awx.named("workflow_approval_templates", "IKEv2 remediate?")["timeout"] > 0


@pytest.mark.matrix
def test_what_somebody_has_changed_is_set_right(ansible: Ansible, awx: Awx) -> None:
    apply(ansible, awx)
    template = awx.named("job_templates", "IKEv2 remediate")
    template["allow_simultaneous"] = True
    awx.named("credentials", "IKEv2 BIG-IP")["inputs"]["password"] = "changed by hand"
    previewed = awx.writes
    assert apply(ansible, awx, "--check").changed["localhost"] == 1
    assert awx.writes == previewed
    assert apply(ansible, awx).changed["localhost"] == 1
    assert not template["allow_simultaneous"]
    credential = awx.named("credentials", "IKEv2 BIG-IP")
    assert credential["inputs"]["password"] == "changed by hand"
    apply(ansible, awx, "-e", "ikev2_update_secrets=true")
    assert credential["inputs"]["password"] == SECRETS["vault_bigip_password"]
