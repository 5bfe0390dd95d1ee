# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verdict by playbook and outcome, as docs/report.md has it in a table, and what to do next."""

from __future__ import annotations

import itertools
import re
import typing as t
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from jinja2 import Environment

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._report.model import Report
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.verdict import PLAYBOOKS
from report_examples import (
    GATEWAY,
    HIDDEN,
    OWN,
    ROUTER,
    Raw,
    change,
    clean,
    drifted,
    failed,
    finding,
    limit_change,
    report_of,
    result,
    services,
    site,
)

DOCUMENT = Path(__file__).parents[4] / "docs" / "report.md"
PLAYBOOKS_FOLDER = Path(__file__).parents[4] / "playbooks"
UNREAD: Raw = {"failure": {"stage": "read", "msg": "no answer", "final_state": "unchanged"}}


def read(preserved: bool, gateway: str, sas: Raw, *, limit: int | None) -> Raw:
    """Return a site on which nothing was changed."""
    raw = site(preserved, gateway, sas)
    for item in raw["servers"].values():
        item["facts"]["ike_limit"] = limit
    return raw


def due() -> Raw:
    """Return the broken site, without the limit."""
    raw = drifted()
    for item in raw["servers"].values():
        item["facts"]["changes"].append(limit_change())
    return raw


def made() -> Raw:
    """Return a site on which something was changed in this run."""
    raw = clean()
    for item in raw["servers"].values():
        item["facts"]["ike_limit"] = 50000
    return raw


def broken() -> Raw:
    """Return a site on which the change of a server failed."""
    raw = drifted()
    raw["servers"]["rras1"]["failure"] = {"stage": "change", "msg": "It broke.", "final_state": "rolled_back"}
    return raw


def without(kind: str) -> Callable[[], Raw]:
    """Return a site without its load balancer, or without a server, in this run."""

    def raw() -> Raw:
        found = read(True, GATEWAY, OWN, limit=50000)
        found[kind].popitem()
        return found

    return raw


def unread(kind: str) -> Callable[[], Raw]:
    """Return a site of which a host of this kind could not be read."""

    def raw() -> Raw:
        found = read(True, GATEWAY, OWN, limit=50000)
        host = list(found[kind])[-1]
        found[kind][host] = UNREAD
        return found

    return raw


OUTCOMES: dict[str, Callable[[], Raw]] = {
    "everything is set, and clients' own addresses are seen": lambda: read(True, GATEWAY, OWN, limit=50000),
    "everything is set, and there is no client": lambda: read(True, GATEWAY, {}, limit=50000),
    "everything is set, and clients are hidden, or one address has nearly all": lambda: read(
        True, GATEWAY, HIDDEN, limit=50000
    ),
    "changes are due": due,
    "clients are hidden, and every server has the raised limit": lambda: read(False, ROUTER, HIDDEN, limit=50000),
    "changes were made, and everything is in order": made,
    "check mode, and changes would be made": lambda: {**made(), "check_mode": True},
    "a change failed": broken,
    "a load balancer could not be read": unread("load_balancers"),
    "a server could not be read": unread("servers"),
    "no load balancer is in the run (`--limit`)": without("load_balancers"),
    "the inventory was refused": lambda: {"problem": "There is no group rras."},
}
ONLY_CHANGING = (
    "changes were made, and everything is in order",
    "check mode, and changes would be made",
    "a change failed",
)


def tables() -> list[dict[str, dict[str, str]]]:
    """Return the two tables of the document that have a column for each playbook.

    By outcome: the verdict, with the exit code if it is not 0. By verdict: the exit code, and if it differs, that with ``fail_on_drift``.
    """
    blocks = re.findall(r"(?:^\|.*\n)+", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    read = [[[cell.strip() for cell in line.split("|")[1:-1]] for line in block.splitlines()] for block in blocks]
    return [
        {row[0]: dict(zip(PLAYBOOKS, row[1:], strict=True)) for row in rows[2:]}
        for rows in read
        if rows[0][1:] == [f"`{name}`" for name in PLAYBOOKS]
    ]


def table() -> dict[str, dict[str, str]]:
    """Return the table by outcome."""
    return tables()[0]


def test_the_document_has_every_outcome() -> None:
    assert list(table()) == list(OUTCOMES)


@pytest.mark.parametrize("playbook", PLAYBOOKS)
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_each_playbook_answers_its_own_question(outcome: str, playbook: str) -> None:
    cell = table()[outcome][playbook]
    if playbook in ("audit", "verify") and outcome in ONLY_CHANGING:
        assert cell == "-"
        return
    report = report_of({**OUTCOMES[outcome](), "playbook": playbook})
    code = ", 2" if report.failures or report.problem else ""
    assert f"`{report.verdict.status}`{code}" == cell
    fine = ("clean", "restored", "partial") if playbook == "workaround" else ("clean", "restored")
    assert report.acceptable is (report.verdict.status in fine)


def playbook_of(name: str) -> t.Any:
    """Read a file of the playbooks."""
    return yaml.safe_load((PLAYBOOKS_FOLDER / name).read_text(encoding="utf-8"))


def exit_code(report: Report, *, fail_on_drift: bool) -> int:
    """Return how the last play ends, by its own conditions: ended, or with a task that fails on some hosts."""
    ((_report, end, fail),) = (play["tasks"] for play in playbook_of("_report.yml"))
    environment = Environment(autoescape=True)
    environment.filters["bool"] = bool
    written = {name: getattr(report, name) for name in ("failures", "acceptable")}

    def holds(condition: str, **more: t.Any) -> bool:
        expression = environment.compile_expression(condition)
        return bool(expression(report_written=written, fail_on_drift=fail_on_drift, **more))

    if holds(end["when"]):
        return 0
    fine = [holds(fail["ansible.builtin.assert"]["that"], inventory_hostname=host) for host in report.site.hosts]
    return 0 if all(fine) else 2


def test_the_document_has_every_exit_code() -> None:
    codes: dict[tuple[str, str], set[str]] = {}
    outcomes = {**OUTCOMES, "no server is in the run": lambda: {**clean(), "servers": {}}}
    for playbook, outcome in itertools.product(PLAYBOOKS, outcomes):
        if playbook in ("audit", "verify") and outcome in ONLY_CHANGING:
            continue
        report = report_of({**outcomes[outcome](), "playbook": playbook})
        if report.problem:
            continue
        code, strict = (exit_code(report, fail_on_drift=on) for on in (False, True))
        assert outcome not in OUTCOMES or table()[outcome][playbook].endswith(", 2") is (code == 2)
        codes.setdefault((playbook, report.verdict.status), set()).add(
            f"{code}" if code == strict else f"{code}, {strict}"
        )
    by_verdict = tables()[1]
    for (playbook, status), found in codes.items():
        assert {by_verdict[f"`{status}`"].pop(playbook)} == found, (playbook, status)
    refused = by_verdict.pop("`failed`, because the inventory was refused")
    assert refused == dict.fromkeys(PLAYBOOKS, "2")
    assert "ansible.builtin.fail" in playbook_of("tasks/refuse.yml")[-1]
    # A whole run has this one: tests/integration/test_bad_input.py.
    assert by_verdict.pop("no verdict: Ansible could not read its input") == dict.fromkeys(PLAYBOOKS, "4")
    assert {cell for row in by_verdict.values() for cell in row.values()} == {"-"}


@pytest.mark.parametrize("playbook", [*PLAYBOOKS, "", "site; rm -rf /"])
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_the_next_steps_are_one_to_three_each_with_a_command(outcome: str, playbook: str) -> None:
    verdict = report_of({**OUTCOMES[outcome](), "playbook": playbook}).verdict
    assert 1 <= len(verdict.steps) <= 3
    for step in verdict.steps:
        assert step.text.strip()
        command = re.fullmatch(r"ansible-playbook -i inventory aovpn\.ikev2\.(\w+)( \S+)*", step.command)
        assert command is not None
        assert command[1] in PLAYBOOKS


def steps(raw: Raw) -> list[str]:
    """Return the commands of the next steps, without what all have in common."""
    return [step.command.partition("aovpn.ikev2.")[2] for step in report_of(raw).verdict.steps]


def test_what_to_do_next() -> None:
    assert steps(drifted()) == ["remediate --check --diff", "remediate"]
    raw = drifted()
    raw["load_balancers"]["bigip"]["result"]["findings"] = [finding("unsynced_changes", remedy="Sync the group.")]
    (first, *_others) = report_of(raw).verdict.steps
    assert (first.text, steps(raw)) == ("Sync the group.", ["audit", "remediate --check --diff", "remediate"])
    raw["load_balancers"]["bigip"]["accept"] = ["unsynced_changes"]
    assert steps(raw) == ["remediate --check --diff", "remediate"]
    raw["servers"]["rras1"]["facts"]["findings"] = [finding("internal_routes_lost", remedy="Give the prefixes.")]
    (first, *_others) = report_of(raw).verdict.steps
    assert (first.text, steps(raw)) == ("Give the prefixes.", ["audit", "remediate --check --diff", "remediate"])
    raw["servers"]["rras1"]["accept"] = ["internal_routes_lost"]
    assert steps(raw) == ["remediate --check --diff", "remediate"]
    assert steps({**clean(), "check_mode": True}) == ["remediate"]
    assert steps({**clean(), "check_mode": True, "playbook": "rollback"}) == ["rollback"]
    # Something stands changed, so there is something to go back to.
    assert steps(failed()) == ["audit --limit bigip", "remediate", "rollback"]
    assert steps(broken()) == ["audit --limit rras1", "audit"]
    assert steps(clean()) == ["verify"]
    assert steps(site(True, GATEWAY, OWN)) == ["audit -e fail_on_drift=true"]


def test_check_mode_counts_what_a_real_run_would_change() -> None:
    verdict = report_of({**clean(), "check_mode": True}).verdict
    assert (verdict.status, verdict.title) == ("drift", "A real run would make 4 changes")
    # Without changes, it judges what is set now.
    for playbook in ("audit", "verify", "remediate"):
        raw = site(True, GATEWAY, OWN, playbook=playbook)
        assert report_of({**raw, "check_mode": True}).verdict == report_of(raw).verdict


def test_a_rollback_counts_what_it_restored_and_does_not_call_it_drift() -> None:
    raw = {**drifted(), "playbook": "rollback"}
    assert report_of(raw).verdict.title == "There is nothing left to roll back: every snapshot has been used"
    part = {"snapshot": result(False)["snapshot"], "services": [], "own_addresses": []}
    raw["kept"] = {"load_balancers": {"bigip": part}, "servers": {}}
    assert report_of(raw).verdict.title == "The snapshot is restored in part: this run left out bigip"
    raw["load_balancers"]["bigip"].update(before=result(False), made=result(False, changes=[]))
    report = report_of(raw)
    assert (report.verdict.title, report.drift) == ("Everything is as in the snapshot: nothing had to be restored", ())
    raw["load_balancers"]["bigip"]["before"] = result(True)
    raw["load_balancers"]["bigip"]["made"] = result(
        False, changed=True, final_state="changed", changes=[change("vs", "snat", "none", "automap")]
    )
    report = report_of(raw)
    assert (report.verdict.title, report.drift) == ("The snapshot is restored: 1 change", ())


def test_verify_names_the_server_without_proof() -> None:
    raw = site(True, GATEWAY, OWN, playbook="verify")
    raw["servers"]["rras2"]["facts"]["sas"] = {}
    verdict = report_of(raw).verdict
    assert (verdict.status, verdict.title) == (
        "unverified",
        "It is not proved that clients' own addresses are seen by rras2",
    )
    assert "rras2: there is no IKEv2 security association to judge by." in verdict.lines
    for sas in ({"10.99.0.1": 24}, {GATEWAY: 24}):
        raw["servers"]["rras2"]["facts"]["sas"] = sas
        assert report_of(raw).verdict.status == "unverified"


def test_verify_names_an_address_whose_server_was_not_read() -> None:
    raw = site(True, GATEWAY, OWN, playbook="verify")
    del raw["servers"]["rras2"]
    raw["load_balancers"]["bigip"]["accept"] = ["return_path_unverified"]
    verdict = report_of(raw).verdict
    assert verdict.title == "It is not proved that clients' own addresses are seen by 10.10.0.12"


@pytest.mark.parametrize(("hiding", "words"), [(2, "do not see"), (1, "do not always see")])
def test_one_hiding_service_of_a_pair_hides_some(hiding: int, words: str) -> None:
    raw = site(True, GATEWAY, OWN)
    raw["load_balancers"]["bigip"]["result"]["services"][:hiding] = services(False)[:hiding]
    assert report_of(raw).verdict.title == f"The VPN servers {words} their clients' own addresses"


def test_hosts_that_only_wait_are_not_called_failed() -> None:
    raw = {**drifted(), "playbook": "remediate"}
    raw["servers"]["rras1"]["failure"] = {"stage": "change", "msg": "It broke.", "final_state": "unchanged"}
    report = report_of(raw)
    assert report.verdict.title == "The run failed on rras1"
    plain: dict[str, t.Any] = report.as_dict()
    hosts = {**plain["load_balancers"], **plain["servers"]}
    assert {host: (item["outcome"], item["waits_for"]) for host, item in hosts.items()} == {
        "bigip": ("waiting", "rras1"),
        "rras1": ("undone", ""),
        "rras2": ("waiting", "rras1"),
    }
    assert report.failures == {"rras1": "It broke."}


def test_the_workaround_says_that_a_restart_is_pending() -> None:
    raw = read(False, GATEWAY, HIDDEN, limit=50000) | {"playbook": "workaround"}
    raw["servers"]["rras1"]["facts"]["restart_owed"] = True
    verdict = report_of(raw).verdict
    assert (verdict.status, verdict.title) == (
        "drift",
        "IKEEXT does not use the limit until it is restarted on rras1",
    )
    assert [step.command.partition("aovpn.ikev2.")[2] for step in verdict.steps] == [
        "workaround",
        "workaround -e rras_restart_with_sessions=true",
    ]


@pytest.mark.parametrize("playbook", ["audit", "verify", ""])
def test_what_changes_nothing_is_not_said_to_make_changes(playbook: str) -> None:
    """In check mode, too."""
    steps = report_of({**due(), "playbook": playbook, "check_mode": True}).verdict.steps
    assert [step.command.partition("aovpn.ikev2.")[2] for step in steps][-1] == "remediate"


def test_associations_that_were_not_read_are_not_said_to_be_missing() -> None:
    raw = read(True, GATEWAY, {}, limit=None)
    assert any(line.startswith("There is no IKE security association") for line in report_of(raw).verdict.lines)
    for item in raw["servers"].values():
        del item["facts"]["sas"]
    assert any(line.startswith("IKE security associations were not read") for line in report_of(raw).verdict.lines)
