# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The terminal, the page and the JSON file say the same: one verdict, and one number of changes. Statistics are values of the JSON file."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from ansible_collections.aovpn.ikev2.plugins.module_utils._module import KEEPING
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._in_process import kept_in_report
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._report.files import write
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._report.model import SCHEMA, summary
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._report.page import STATUSES, render, running
from report_examples import Raw, clean, drifted, failed, partial, report_of

REPOSITORY = Path(__file__).parents[4]
KEPT = sorted((REPOSITORY / "tests" / "reports").glob("*.json"))
"""Reports as each version of the schema had them; never edited."""
PLAYBOOKS = ("audit", "remediate", "verify", "workaround", "rollback")


def refused() -> Raw:
    """Return a run that was refused."""
    return {**clean(), "problem": "The inventory is invalid."}


@pytest.mark.parametrize("check_mode", [False, True], ids=["run", "check"])
@pytest.mark.parametrize("playbook", PLAYBOOKS)
@pytest.mark.parametrize("example", [clean, drifted, failed, partial, refused])
def test_terminal_page_and_file_agree(example: Callable[[], Raw], playbook: str, check_mode: bool) -> None:
    report = report_of({**example(), "playbook": playbook, "due": playbook == "audit", "check_mode": check_mode})
    plain = report.as_dict()
    verdict, number = plain["verdict"], len(plain["changes"])
    terminal = summary(report)
    assert terminal[1] == f"{verdict['status'].upper()}: {verdict['title']}"
    counts = re.findall(
        r"^(\d+) changes? (?:is due|are due|would be made|was made|were made)\.$", "\n".join(terminal), re.M
    )
    assert [*map(int, counts)] == ([number] if number else [])
    page = html.unescape(render(report))
    assert f"<h1>{verdict['title']}</h1>" in page
    assert f"<title>{STATUSES[verdict['status']][2]}: " in page
    assert re.findall(r"<dt>changes? [^<]*</dt><dd>(\d+)</dd>", page) == [str(number)]
    of_devices = [*plain["load_balancers"].values(), *plain["servers"].values()]
    assert sum(len(device["changes"]) for device in of_devices) == number


def test_a_line_is_added_to_a_report_until_its_run_has_ended(tmp_path: Path) -> None:
    base = tmp_path / "remediate-20261124T201817Z"
    begun = report_of({**clean(), "playbook": "remediate"}).as_dict()
    begun["verdict"] |= {"title": "Running since 2026-11-24T20:18:17Z", "lines": [], "steps": []}
    write(base, running("remediate", begun["generated"]), begun)
    with kept_in_report(str(base)):
        for keep in KEEPING:
            keep("<b>It\x1b was left.")
    assert KEEPING == []
    for path in (base, tmp_path / "latest"):
        found = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        Draft202012Validator(json.loads((REPOSITORY / "docs" / "report.schema.json").read_text("utf-8"))).validate(
            found
        )
        assert found["verdict"]["lines"] == ["<b>It<U+001B> was left."]
        page = path.with_suffix(".html").read_text(encoding="utf-8")
        assert "<li>&lt;b&gt;It&lt;U+001B&gt; was left.</li>" in page
        assert "Running since" in page
    ended = report_of(clean())
    write(base, render(ended), ended.as_dict())
    before = base.with_suffix(".json").read_bytes(), base.with_suffix(".html").read_bytes()
    with kept_in_report(str(base)):
        KEEPING[0]("Too late.")
    assert (base.with_suffix(".json").read_bytes(), base.with_suffix(".html").read_bytes()) == before
    # Without a report, or where it cannot be written or is none, nothing happens.
    for text in ("", "[]", '{"verdict": {"steps": [], "lines": null}}'):
        base.with_suffix(".json").write_text(text, encoding="utf-8")
        with kept_in_report(str(base)):
            KEEPING[0]("Nowhere.")
    with kept_in_report(str(tmp_path / "no" / "report")):
        KEEPING[0]("Nowhere.")
    with kept_in_report(""):
        assert KEEPING == []


def test_there_is_a_report_of_each_version() -> None:
    assert [path.stem for path in KEPT] == [str(number) for number in range(1, int(SCHEMA.rpartition(":")[2]) + 1)]


@pytest.mark.parametrize("kept", KEPT, ids=lambda path: path.stem)
def test_a_report_of_each_version_keeps_to_its_schema(kept: Path) -> None:
    """Within a version, a key that is removed, or required from now on, is refused here."""
    former = kept.parent / "schemas" / kept.name
    published = REPOSITORY / "docs" / "report.schema.json"
    schema = json.loads((former if former.exists() else published).read_text(encoding="utf-8"))
    assert schema["$id"] == f"urn:aovpn:ikev2:report:{kept.stem}"
    reports = json.loads(kept.read_text(encoding="utf-8"))
    assert {report["verdict"]["status"] for report in reports} == {"clean", "drift", "failed", "partial"}
    for report in reports:
        assert report["schema"] == schema["$id"]
        Draft202012Validator(schema).validate(report)
