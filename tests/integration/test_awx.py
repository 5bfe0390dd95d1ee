# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""examples/awx sets up an AWX: its playbook, with the modules of awx.awx, against a stand-in of the API, as the README says."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

from harness import COMMANDS, REPOSITORY, Ansible, Run, inherited
from lab.awx import TOKEN, Awx

PROJECT = REPOSITORY / "examples" / "awx"
VAULT = "awx-secret-of-the-vault"
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


def fine(run: Run) -> Run:
    """Return a run that has succeeded and shown no secret."""
    assert run.code == 0, run.output
    assert [secret for secret in (*SECRETS.values(), TOKEN, VAULT) if "secret" in secret and secret in run.output] == []
    return run


def apply(ansible: Ansible, awx: Awx, project: Path, *arguments: str) -> Run:
    """Run a project's playbook that sets everything up."""
    environment = {"CONTROLLER_HOST": awx.url, "CONTROLLER_OAUTH_TOKEN": TOKEN}
    command = (str(project / "setup" / "apply.yml"), "-e", json.dumps(SECRETS), *arguments)
    return fine(ansible.command("ansible-playbook", *command, environment=environment, inventory=False))


def commands(document: str, title: str) -> list[str]:
    """Return the commands in a section of a document, in their order."""
    text = (REPOSITORY / document).read_text(encoding="utf-8")
    (section,) = (one for one in text.split("\n## ") if one.startswith(f"{title}\n"))
    blocks = re.findall(r"^ *```\n(.*?)^ *```$", section, re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines()]


README, GUIDE = commands("README.md", "In AWX"), commands("docs/awx.md", "Set it up")
BUILD, INSTALL, EXPORT, APPLY = GUIDE
"""Changed below: no image is built, awx.awx is installed already, and the stand-in has another address. The last one is run as it is."""


def test_the_readme_and_the_guide_have_one_command() -> None:
    assert README == [APPLY]


def test_the_image_is_built_from_the_example() -> None:
    """As far as that it is there, with the name that site.yml has; tests/unit/meta reads it with ansible-builder."""
    program, verb, *options = shlex.split(BUILD)
    site = yaml.safe_load((PROJECT / "setup" / "site.yml").read_text(encoding="utf-8"))
    example = "examples/execution-environment.yml"
    assert (program, verb, options) == ("ansible-builder", "build", ["-f", example, "-t", site["ikev2_image"]])
    assert example in (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert f"build -f {Path(example).name} -t {site['ikev2_image']}" in (REPOSITORY / example).read_text("utf-8")


def make_repository(folder: Path, platforms: list[str]) -> None:
    """Make a repository of a copy of examples/awx, fill in setup/site.yml, and write the accounts of these platforms to secrets.yml."""
    shutil.copytree(PROJECT, folder)
    site = folder / "setup" / "site.yml"
    text, filled_in = re.subn(
        r"^ikev2_platforms: .*", f"ikev2_platforms: {platforms}", site.read_text("utf-8"), flags=re.MULTILINE
    )
    assert filled_in == 1
    site.write_text(text, encoding="utf-8")
    named = {
        name for path in (folder / "setup").rglob("*.yml") for name in re.findall(r"\bvault_\w+", path.read_text())
    }
    assert named == SECRETS.keys()
    accounts = {name: value for name, value in SECRETS.items() if name.split("_")[1] in ("smtp", "rras", *platforms)}
    vault = VaultLib([("default", VaultSecret(VAULT.encode()))])
    (folder / "secrets.yml").write_bytes(vault.encrypt(json.dumps(accounts)))
    for command in ("init --quiet", "add .", "-c user.name=a -c user.email=a@example.net commit --quiet -m Project"):
        subprocess.run(["git", *shlex.split(command)], cwd=folder, check=True)


def follow(folder: Path, awx: Awx) -> Run:
    """Run the README's command in a terminal, in the repository, after what the guide says to export."""
    assert subprocess.run(["git", "status", "--porcelain"], cwd=folder, capture_output=True, check=True).stdout == b""
    assert INSTALL == "ansible-galaxy collection install awx.awx"
    name, host, token = (re.sub(r"=.*", "=", word) for word in shlex.split(EXPORT))
    (command,) = README
    script = f"{name} {host}{awx.url} {token}{TOKEN}\n{command}"
    environment = {**inherited(), "PATH": f"{COMMANDS}:{os.environ['PATH']}"}
    terminal = pexpect.spawn("/bin/sh", ["-c", script], cwd=str(folder), env=environment, encoding="utf-8", timeout=300)
    terminal.expect("Vault password: ")
    terminal.sendline(VAULT)
    terminal.expect(pexpect.EOF)
    terminal.close()
    return fine(Run(terminal.exitstatus, terminal.before.replace("\r\n", "\n"), folder))


def set_up(folder: Path, awx: Awx, platforms: list[str]) -> None:
    """Set up everything as the README says, twice: a second run changes nothing."""
    make_repository(folder, platforms)
    follow(folder, awx)
    written = awx.writes
    again = follow(folder, awx)
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
def test_one_platform(tmp_path: Path, awx: Awx) -> None:
    set_up(tmp_path / "ikev2", awx, ["bigip"])


@pytest.mark.matrix
def test_all_platforms_and_what_somebody_has_changed_is_set_right(ansible: Ansible, awx: Awx, tmp_path: Path) -> None:
    project = tmp_path / "ikev2"
    set_up(project, awx, ["bigip", "netscaler", "loadmaster"])
    template = awx.named("job_templates", "IKEv2 remediate")
    template["allow_simultaneous"] = True
    awx.named("credentials", "IKEv2 BIG-IP")["inputs"]["password"] = "changed by hand"
    previewed = awx.writes
    assert apply(ansible, awx, project, "--check").changed["localhost"] == 1
    assert awx.writes == previewed
    assert apply(ansible, awx, project).changed["localhost"] == 1
    assert not template["allow_simultaneous"]
    credential = awx.named("credentials", "IKEv2 BIG-IP")
    assert credential["inputs"]["password"] == "changed by hand"
    apply(ansible, awx, project, "-e", "ikev2_update_secrets=true")
    assert credential["inputs"]["password"] == SECRETS["vault_bigip_password"]
