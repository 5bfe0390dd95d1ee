# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images for AWX: ansible-builder reads what is written for it, and takes over what the collection needs. No image is built."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import typing as t
from pathlib import Path

import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

REPOSITORY = Path(__file__).parents[3]
EXAMPLE = REPOSITORY / "examples" / "execution-environment.yml"


def builder(*arguments: str) -> str:
    """Run ansible-builder."""
    done = subprocess.run(
        [sys.executable, "-m", "ansible_builder", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_example_makes_an_image_that_fits(tmp_path: Path) -> None:
    builder("create", "-f", str(EXAMPLE), "-c", str(tmp_path), "--output-filename", "Containerfile")
    made = (tmp_path / "Containerfile").read_text(encoding="utf-8")
    assert 'ARG PYCMD="/usr/bin/python3.12"' in made
    assert 'ARG PYPKG="python3.12"' in made
    assert re.search(r"pip install.*\$ANSIBLE_INSTALL_REFS|ANSIBLE_INSTALL_REFS=.*ansible-core~=2\.\d+\.0", made)
    core = re.search(r"ansible-core~=2\.(\d+)\.0 +ansible-runner>=2\.4\.1", made)
    assert core is not None
    required = yaml.safe_load((REPOSITORY / "meta" / "runtime.yml").read_text(encoding="utf-8"))["requires_ansible"]
    assert int(core[1]) >= int(required.split(".")[1])
    collections = yaml.safe_load((tmp_path / "_build" / "requirements.yml").read_text(encoding="utf-8"))["collections"]
    galaxy = yaml.safe_load((REPOSITORY / "galaxy.yml").read_text(encoding="utf-8"))
    assert {one["name"] for one in collections} == {"aovpn.ikev2", *galaxy["dependencies"]}
    assert "python3.12-devel" in (tmp_path / "_build" / "bindep.txt").read_text(encoding="utf-8")


def test_an_image_gets_what_the_collection_needs(tmp_path: Path) -> None:
    """As in the image: ansible-builder asks the installed collections."""
    installed = tmp_path / "ansible_collections" / "aovpn" / "ikev2"
    installed.parent.mkdir(parents=True)
    installed.symlink_to(REPOSITORY)
    found: dict[str, t.Any] = yaml.safe_load(builder("introspect", str(tmp_path), "--sanitize"))
    python = {re.split(r"[>=\[ ]", line)[0] for line in found["python"]}
    assert python == {"netaddr", "pywinrm", "requests"}
    assert any(line.startswith("pywinrm[kerberos]") for line in found["python"])
    system = [line.partition("#")[0] for line in found["system"]]
    to_run = {line.split()[0] for line in system if "rpm" in line and "compile" not in line}
    to_build = {line.split()[0] for line in system if "rpm" in line and "compile" in line}
    assert to_run == {"krb5-workstation"}
    assert to_build == {"krb5-devel", "gcc"}


def test_an_ansible_core_that_is_too_old_is_named_before_anything_else() -> None:
    """With a real ansible-core 2.15, this is the first task, and the run ends there."""
    (play,) = yaml.safe_load((REPOSITORY / "playbooks" / "_start.yml").read_text(encoding="utf-8"))
    first = play["tasks"][0]["ansible.builtin.assert"]

    def passes(version: str) -> bool:
        expression = f"{{{{ ({first['that']}) | to_json }}}}"
        templar = Templar(loader=DataLoader(), variables={"ansible_version": {"full": version}})
        return bool(json.loads(str(templar.template(_trusted(expression))).lower()))

    assert [passes(version) for version in ("2.9.27", "2.15.13", "2.16.0", "2.21.5")] == [False, False, True, True]
    assert "execution environment of your own" in first["fail_msg"]


def _trusted(text: str) -> str:
    from ansible.template import trust_as_template

    return t.cast(str, trust_as_template(text))
