# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What examples/awx asks and hands on is what playbooks, roles and modules take; and AWX would accept it."""

from __future__ import annotations

import copy
import re
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.aovpn.ikev2.plugins.module_utils._module import argument_spec
from ansible_collections.aovpn.ikev2.plugins.module_utils._platforms import PLATFORMS, Platform
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._inventory import BOOLEANS
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._names import OF_PLAYBOOKS
from lab import awx

REPOSITORY = Path(__file__).parents[3]
PROJECT = REPOSITORY / "examples" / "awx"
PLAYBOOKS = ("audit", "remediate", "rollback", "verify", "workaround")
OF_SITE = ("report_directory", "snapshot_directory")
"""Where files are kept is decided once, in the templates' own variables."""
HANDED_ON = ("ikev2_snapshot",)
"""Comes from an earlier job, or is pasted."""
each = pytest.mark.parametrize("platform", PLATFORMS.values(), ids=list(PLATFORMS))


def read(*path: str) -> t.Any:
    """Read a file of the project."""
    return awx.load(PROJECT.joinpath(*path))


def templates() -> dict[str, dict[str, t.Any]]:
    """Return the job templates by playbook."""
    found = read("setup", "objects", "templates.yml")["ikev2_job_templates"]
    return {one["playbook"].removesuffix(".yml"): one for one in found}


def credential_type(platform: Platform) -> dict[str, t.Any]:
    """Return the credential type of a platform."""
    (found,) = (
        one
        for one in read("setup", "objects", "credentials.yml")["ikev2_credential_types"]
        if one["for"] == platform.name
    )
    return {**found, "kind": "net"}


def test_each_playbook_has_a_wrapper_and_a_template() -> None:
    wrappers = {path.stem: read(path.name) for path in PROJECT.glob("*.yml") if path.stem != "execution-environment"}
    assert sorted(wrappers) == sorted(templates()) == [*PLAYBOOKS]
    for name, plays in wrappers.items():
        assert [play["ansible.builtin.import_playbook"] for play in plays] == [f"aovpn.ikev2.{name}"]


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_a_survey_asks_for_everything_that_holds_for_the_whole_run_and_nothing_else(playbook: str) -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| ([^|]*) \|", (REPOSITORY / "docs" / "playbooks.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    takes = {
        name
        for name, of in rows
        if name in OF_PLAYBOOKS and (f"`{playbook}`" in of if not of.startswith("all") else f"`{playbook}`" not in of)
    }
    assert {name for name, _of in rows} >= {*OF_PLAYBOOKS}
    asked = {question["variable"]: question for question in templates()[playbook]["questions"]}
    assert asked.keys() == takes - {*OF_SITE, *HANDED_ON}
    awx.check_survey({"name": "", "description": "", "spec": [*asked.values()]})
    spec = yaml.safe_load((REPOSITORY / "roles" / "report" / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    options = spec["argument_specs"]["main"]["options"]
    for name, question in asked.items():
        assert "min" not in question, "a minimum makes an optional question mandatory"
        if name in BOOLEANS:
            answers = (question["type"], question["choices"], question["default"], question["required"])
            assert answers == ("multiplechoice", ["false", "true"], "false", True)
        else:
            assert (question["type"] in ("text", "textarea"), question["default"], question["required"]) == (
                True,
                "",
                False,
            )
        for option in (f"report_{name}", name):
            if option in options:
                described = re.sub(r"C\((.*?)\)", r"\1", options[option]["description"])
                assert described.startswith(question["question_description"])


def test_no_template_lets_a_run_be_cut_into_parts() -> None:
    found = templates()
    assert [name for name, one in found.items() if one["ask_limit_on_launch"]] == ["audit", "verify", "workaround"]
    assert [name for name, one in found.items() if one["ask_variables_on_launch"]] == ["rollback"]


@each
def test_a_credential_gives_a_module_what_it_reads_from_the_environment(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    for option in argument_spec(platform).values():
        for name in option.get("fallback", (None, []))[1]:
            monkeypatch.delenv(name, raising=False)
    record = credential_type(platform)
    awx.check_credential_type(record)
    known = {name: option for option, spec in platform.options.items() for name in spec.get("env", [])}
    assert record["injectors"]["env"].keys() <= known.keys()

    def of(inputs: dict[str, t.Any]) -> tuple[dict[str, t.Any], dict[str, str]]:
        env, files = awx.inject(record, inputs, "/runner/env")
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        result = ArgumentSpecValidator(copy.deepcopy(argument_spec(platform)), **platform.rules).validate(
            {"host": "device.example.net"}
        )
        assert result.error_messages == []
        return result.validated_parameters, files

    full, files = of(
        {"username": "ikev2", "password": "secret", "ca_certificate": "-----BEGIN", "skip_verification": True}
    )
    assert (full["username"], full["password"], full["validate_certs"]) == ("ikev2", "secret", False)
    assert files == {full["ca_path"]: "-----BEGIN"}
    # A form with blank fields, and a credential that was made without them.
    for blank in ({"ca_certificate": "", "skip_verification": False, "api_key": ""}, {}):
        bare, _files = of({"username": "ikev2", "password": "secret", **blank})
        assert (bare["validate_certs"], bare["ca_path"], bare.get("api_key")) == (True, None, None)


def test_only_the_accounts_of_its_own_platforms_have_to_be_defined() -> None:
    """Up to ansible-core 2.18, a template anywhere in a list is evaluated with the list."""
    objects = read("setup", "objects", "credentials.yml")
    assert "{{" not in str(objects["ikev2_credentials"])
    for one in objects["ikev2_credentials"]:
        account = objects[f"ikev2_account_{one['for']}"]
        prefix = "rras" if one["for"] == "servers" else one["for"]
        assert account == {field: f"{{{{ vault_{prefix}_{field} }}}}" for field in account}


@each
def test_secret_fields_are_secret(platform: Platform) -> None:
    record = credential_type(platform)
    masked = {one["id"] for one in record["inputs"]["fields"] if one.get("secret")}
    assert masked == {name for name, one in platform.options.items() if one.get("no_log")} - {"nitro_auth_token"}


def test_the_inventory_leaves_the_accounts_to_the_credentials() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (PROJECT / "inventory").rglob("*.yml")]
    lines = [line for text in texts for line in text.splitlines() if not line.lstrip().startswith("#")]
    assert lines
    assert [line for line in lines if re.search("user|password", line)] == []


def test_the_notification_names_only_what_awx_knows() -> None:
    messages = read("setup", "objects", "templates.yml")["ikev2_messages"]
    awx.check_messages(messages)
    job = {"id": 7, "name": "IKEv2 audit", "status": "failed", "artifacts": {"ikev2_summary": "Two changes are due."}}
    assert awx.render(messages["error"]["message"], {"job": job, "url": ""}) == "IKEv2 audit #7: Two changes are due."


TYPE: t.Final[dict[str, t.Any]] = {
    "kind": "net",
    "inputs": {"fields": [{"id": "username", "label": "User", "type": "string"}]},
    "injectors": {"env": {"F5_USER": "{{ username }}"}},
}
QUESTION: t.Final = {"type": "text", "question_name": "Name", "variable": "name", "required": False}


@pytest.mark.parametrize(
    "part",
    [
        {"injectors": {"env": {"ANSIBLE_HOST_KEY_CHECKING": "false"}}},
        {"injectors": {"env": {"PATH": "/bin"}}},
        {"injectors": {"env": {"F5_USER": "{{ user }}"}}},
        {"injectors": {"env": {"F5_CA_PATH": "{{ tower.filename.ca }}"}}},
        {"injectors": {"env": {"F5_USER": "Jörg"}}},
        {"inputs": {"fields": [{"id": "flag", "label": "Flag", "type": "boolean", "secret": True}]}, "injectors": {}},
        {"inputs": {"fields": [{"id": "tower", "label": "Tower"}]}, "injectors": {}},
        {"kind": "cloudy"},
    ],
)
def test_awx_refuses_a_credential_type(part: dict[str, t.Any]) -> None:
    awx.check_credential_type(copy.deepcopy(TYPE))
    with pytest.raises(awx.Refused):
        awx.check_credential_type({**copy.deepcopy(TYPE), **part})


@pytest.mark.parametrize(
    "part",
    [{"type": "boolean"}, {"type": "multiplechoice"}, {"min": "1"}, {"default": 5}, {"required": "no"}],
)
def test_awx_refuses_a_question(part: dict[str, t.Any]) -> None:
    awx.check_survey({"name": "", "description": "", "spec": [QUESTION]})
    with pytest.raises(awx.Refused):
        awx.check_survey({"name": "", "description": "", "spec": [{**QUESTION, **part}]})


@pytest.mark.parametrize(
    "rule",
    [
        "RRULE:FREQ=DAILY;INTERVAL=1",
        "DTSTART:20260101T020000 RRULE:FREQ=DAILY;INTERVAL=1",
        "DTSTART:20260101T020000Z RRULE:FREQ=DAILY",
        "DTSTART:20260101T020000Z RRULE:FREQ=SECONDLY;INTERVAL=1",
        "DTSTART:20260101T020000Z RRULE:FREQ=MONTHLY;INTERVAL=1;BYDAY=1MO",
        "DTSTART:20260101T020000Z RRULE:FREQ=DAILY;INTERVAL=1;COUNT=1000",
    ],
)
def test_awx_refuses_a_schedule(rule: str) -> None:
    awx.check_rrule(read("setup", "site.yml")["ikev2_schedule"])
    with pytest.raises(awx.Refused):
        awx.check_rrule(rule)
