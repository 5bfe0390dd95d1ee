# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The two rulebooks are one text but for what runs a playbook, and name what exists. tests/eda runs them."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import yaml

from lab import awx

REPOSITORY = Path(__file__).parents[3]
RULEBOOKS = REPOSITORY / "extensions" / "eda" / "rulebooks"
EXAMPLES = REPOSITORY / "examples"
TEMPLATES = REPOSITORY / "examples" / "awx" / "setup" / "objects" / "templates.yml"
DIRECTORIES = ("report_directory", "snapshot_directory")
SOURCES = {"timer": "eda.builtin.generic", "webhook": "eda.builtin.webhook"}
Action: t.TypeAlias = "dict[str, t.Any]"

RUN = re.compile(r"^( *)((?:- )?)run_(?:playbook|job_template):\n(?:\1\2? +.*\n|\1  +.*\n)+", re.MULTILINE)
"""An action that runs a playbook, with its lines."""


def text(name: str) -> str:
    """Return the text of a rulebook without its header."""
    whole = (RULEBOOKS / f"{name}.yml").read_text(encoding="utf-8")
    return whole[whole.index("- name:") :]


def rules(name: str) -> dict[str, dict[str, t.Any]]:
    """Return the rules of a rulebook by name."""
    (ruleset,) = yaml.safe_load((RULEBOOKS / f"{name}.yml").read_text(encoding="utf-8"))
    return {rule["name"]: rule for rule in ruleset["rules"]}


def actions(rule: dict[str, t.Any]) -> list[tuple[str, t.Any]]:
    """Return what a rule does, in order."""
    given = rule["actions"] if "actions" in rule else [rule["action"]]
    return [pair for action in given for pair in action.items()]


def runs(name: str, kind: str) -> dict[str, Action]:
    """Return the actions of a rulebook that run a playbook, by rule."""
    found = {
        rule: options
        for rule, content in rules(name).items()
        for action, options in actions(content)
        if action.startswith("run_")
    }
    assert all(kind in dict(actions(rules(name)[rule])) for rule in found)
    return found


def test_the_texts_differ_only_in_what_runs_a_playbook() -> None:
    plain, of_awx = (RUN.sub(r"\1\2run\n", text(name)) for name in ("drift", "drift_awx"))
    assert plain.count("run\n") == 3
    assert plain.splitlines() == of_awx.splitlines()


def test_a_job_template_is_launched_where_its_playbook_is_run() -> None:
    objects = awx.load(TEMPLATES)
    templates = {one["name"]: one for one in [*objects["ikev2_job_templates"], *objects["ikev2_eda_templates"]]}
    plain, of_awx = runs("drift", "run_playbook"), runs("drift_awx", "run_job_template")
    assert list(plain) == list(of_awx) == ["Audit", "Correct the load balancers", "Correct everything"]
    for rule, options in plain.items():
        launched = of_awx[rule]
        template = templates[launched["name"]]
        assert options["name"] == f"aovpn.ikev2.{template['playbook'].removesuffix('.yml')}"
        assert options.get("post_events", False) == launched.get("post_events", False) == (rule == "Audit")
        assert launched["include_events"] is False
        given = {name: value for name, value in options["extra_vars"].items() if name not in DIRECTORIES}
        asked = {one["variable"]: one["default"] == "true" for one in template["questions"] if one["required"]}
        fixed = {name: asked[name] for name in ("fail_on_drift",) if rule == "Audit"}
        assert given == {**fixed, **template.get("extra_vars", {})}


def test_nothing_that_an_event_says_reaches_a_playbook() -> None:
    for name, kind in (("drift", "run_playbook"), ("drift_awx", "run_job_template")):
        for rule in runs(name, kind):
            # Their events are posted by other rules, with nothing but constants and the rulebook's own variables.
            condition = rules(name)[rule]["condition"]
            event = condition["all"][0] if isinstance(condition, dict) else condition
            assert re.match(r"event\.ikev2_(begin|correct) ", event)
        posted = [
            options["event"]
            for rule in rules(name).values()
            for action, options in actions(rule)
            if action == "post_event"
        ]
        names = ("wanted", "begin", "ended", "correct")
        assert {key for event in posted for key in event} == {f"ikev2_{one}" for one in names}
        for event in posted:
            for value in event.values():
                assert re.findall(r"\bevents?\b", value) == []


def test_servers_are_left_alone_unless_that_is_allowed() -> None:
    found = runs("drift", "run_playbook")
    left = found["Correct the load balancers"]["extra_vars"]
    assert (left["rras_gateway"], left["rras_ike_limit_enabled"]) == ("", False)
    assert "rras_gateway" not in found["Correct everything"]["extra_vars"]


def test_no_event_waits_for_a_fact() -> None:
    """An event that no rule takes at once would wait in the memory of the rules with `all`, and be answered later."""
    values = {
        "ikev2_may_change": {"nothing", "everything", "load_balancers", "tried", "reported"},
        "ikev2_now": {"idle", "busy"},
    }
    answered: dict[tuple[str, str], list[str]] = {}
    for rule in rules("drift").values():
        if isinstance(rule["condition"], dict):
            event, condition = rule["condition"]["all"]
            fact = re.match(r"fact\.(\w+) ", condition)
            assert fact
            answered.setdefault((event.split(" << ")[-1], fact[1]), []).extend(re.findall(r'"(\w+)"', condition))
    assert {event: sorted(found) for event, found in answered.items()} == {
        ('event.ikev2_verdict in ["drift", "partial"]', "ikev2_may_change"): sorted(values["ikev2_may_change"]),
        ('event.ikev2_begin == "audit"', "ikev2_now"): sorted(values["ikev2_now"]),
    }


def test_the_guide_explains_each_rule_and_each_variable() -> None:
    guide = (REPOSITORY / "docs" / "eda.md").read_text(encoding="utf-8")
    assert [name for name in rules("drift") if f"| {name} |" not in guide] == []
    used = {*re.findall(r"\b(ikev2_(?:audit|auto|webhook|organization)\w*)\b", text("drift_awx")), *DIRECTORIES}
    assert [name for name in sorted(used) if f"`{name}`" not in guide] == []
    example = yaml.safe_load((EXAMPLES / "eda" / "vars.yml").read_text(encoding="utf-8"))
    assert {*example} == used - {"ikev2_webhook_token"}


def test_the_sources_are_built_in() -> None:
    (ruleset,) = yaml.safe_load((RULEBOOKS / "drift.yml").read_text(encoding="utf-8"))
    kinds = {source["name"]: next(key for key in source if key != "name") for source in ruleset["sources"]}
    assert kinds == SOURCES
    webhook = next(source for source in ruleset["sources"] if source["name"] == "webhook")["eda.builtin.webhook"]
    assert webhook["token"].endswith("| string }}")
    assert "default" not in webhook["token"], "a webhook without a token takes anybody's alerts"
    assert "127.0.0.1" in webhook["host"]
