# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was asked of a host, what came of it, and that all of it survives the way through Ansible's variables and files."""

from __future__ import annotations

import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.aovpn.ikev2.plugins.module_utils._engine import Result
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import (
    FINAL_STATES,
    SEVERITIES,
    Change,
    Finding,
    Scope,
    Server,
    Service,
    Snapshot,
)
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.records import STAGES, Record, Step, failure_of
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.site import Site
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.snapshot import FORMAT, SiteSnapshot, snapshot_of
from report_examples import (
    GATEWAY,
    clean,
    drifted,
    facts,
    finding,
    gateway_change,
    result,
    server_read,
    site_of,
    translations,
    variables,
)

CHANGED = {"changed": True, "final_state": "changed"}
READ = {"changed": False, "final_state": "unchanged"}
UNREACHED = {"unreachable": True, "msg": "no route to host\n", "changed": False}


def failed(message: str, state: str, **more: t.Any) -> dict[str, t.Any]:
    """Return the result of a task that failed."""
    return {"failed": True, "msg": message, "final_state": state, **more}


def steps(*pairs: tuple[str, dict[str, t.Any]]) -> list[Step]:
    """Return steps of these stages, with these results."""
    return [Step.parse({"stage": stage, "name": "load_balancer_result", "result": one}) for stage, one in pairs]


# -- failures


@pytest.mark.parametrize(
    ("pairs", "stage", "message", "state"),
    [
        # What fails while reading has changed nothing.
        ([("read", UNREACHED)], "read", "no route to host", "unchanged"),
        ([("read", {"failed": True, "msg": "Traceback"})], "read", "Traceback", "unchanged"),
        ([("read", READ), ("check", failed("blocked", "unchanged"))], "check", "blocked", "unchanged"),
        ([("read", READ), ("change", failed("refused", "rolled_back"))], "change", "refused", "rolled_back"),
        # What the first task changed stands.
        ([("change", CHANGED), ("change", failed("refused", "rolled_back"))], "change", "refused", "changed"),
        ([("change", CHANGED), ("change", failed("refused", "unknown"))], "change", "refused", "unknown"),
        # A module that was killed, or a connection that was lost, reports nothing.
        ([("change", {"failed": True, "msg": "MODULE FAILURE"})], "change", "MODULE FAILURE", "unknown"),
        ([("change", UNREACHED)], "change", "no route to host", "unknown"),
        ([("change", {"failed": True, "msg": ""})], "change", "no reason was given", "unknown"),
        # A reading after a change says nothing of the change.
        ([("change", CHANGED), ("verify", failed("refused", "unchanged"))], "verify", "refused", "unknown"),
        ([("change", READ), ("verify", failed("refused", "unchanged"))], "verify", "refused", "unchanged"),
        ([("verify", UNREACHED)], "verify", "no route to host", "unchanged"),
    ],
)
def test_what_failed_and_what_it_left(
    pairs: list[tuple[str, dict[str, t.Any]]], stage: str, message: str, state: str
) -> None:
    failure = failure_of(steps(*pairs))
    assert failure is not None
    assert (failure.stage, failure.msg, failure.final_state) == (stage, message, state)


def test_a_change_that_was_rolled_back_is_as_before_unless_the_rollback_failed() -> None:
    silent = Step("verify", "probe", failed("203.0.113.10 no longer answers.", "changed", answers=[]))
    before = [*steps(("read", READ), ("change", CHANGED)), silent]
    for restored, state, message in (
        (CHANGED, "rolled_back", silent.message),
        (failed("refused", "rolled_back"), "changed", f"{silent.message} The rollback failed: refused"),
        (failed("refused", "unknown"), "unknown", f"{silent.message} The rollback failed: refused"),
        (UNREACHED, "unknown", f"{silent.message} The rollback failed: no route to host"),
    ):
        failure = failure_of([*before, *steps(("restore", restored))])
        assert failure is not None
        assert (failure.stage, failure.final_state, failure.msg) == ("verify", state, message)
    failure = failure_of(before)
    assert failure is not None
    assert failure.final_state == "changed"


def test_nothing_failed() -> None:
    assert failure_of([]) is None
    assert failure_of(steps(("read", READ), ("change", CHANGED), ("verify", READ))) is None


# -- what is collected


def test_what_was_asked_is_collected_once_and_nothing_else() -> None:
    asked = Record("change", ("rras_gateway_result", "rras_limit_result", "rras_restore_result"))
    variables = {
        "rras_gateway_result": CHANGED,
        "rras_limit_result": {"changed": False, "skipped": True},
        "rras_read": READ,  # of an earlier step
    }
    record = asked.collected(variables)
    assert [(step.stage, step.name) for step in record.steps] == [("change", "rras_gateway_result")]
    assert record.collected(variables) == record


def test_the_answers_after_a_change_belong_to_it() -> None:
    answers = [{"address": "203.0.113.10", "answered": True, "detail": "answered in 3 ms", "ms": 3.1}]
    variables = {"load_balancer_result": CHANGED, "ikev2_verified": {"changed": False, "answers": answers}}
    record = Record("change", ("load_balancer_result",)).collected(variables)
    assert [(step.stage, step.name) for step in record.steps] == [
        ("change", "load_balancer_result"),
        ("verify", "probe"),
    ]
    # Without a change in this order, they are those of an earlier one.
    assert [step.name for step in Record("read", ("load_balancer_result",)).collected(variables).steps] == [
        "load_balancer_result"
    ]
    assert Record("change", ("other",)).collected(variables).steps == ()
    assert record.steps[-1].answers == ({"address": "203.0.113.10", "answered": True, "detail": "answered in 3 ms"},)
    assert record.probed([]) == record


@pytest.mark.parametrize(
    "raw",
    [
        {"stage": "breakfast", "name": "x", "result": {}},
        {"stage": "read", "name": "x", "result": []},
        {"stage": "read", "name": "x", "result": {"changes": [{"id": "x"}]}},
        {"stage": "read", "name": "x", "result": {"findings": [finding(severity="grave")]}},
        {"stage": "read", "name": "x", "result": {"answers": [{"address": "x"}]}},
    ],
)
def test_what_cannot_be_understood_is_refused_at_once(raw: dict[str, t.Any]) -> None:
    with pytest.raises((AttributeError, KeyError, TypeError, ValueError)):
        Step.parse(raw)


def test_a_host_whose_data_cannot_be_understood_counts_as_not_read_and_the_others_are_read() -> None:
    raw = drifted()
    raw["load_balancers"]["bigip"]["result"]["services"][0]["port"] = "many"
    site = site_of(raw)
    assert not site.load_balancers["bigip"].read
    failure = site.load_balancers["bigip"].failure
    assert failure is not None
    assert (failure.stage, failure.final_state) == ("read", "unchanged")
    assert "what its tasks registered cannot be understood (ValueError: " in failure.msg
    assert set(site.read_servers) == {"rras1", "rras2"}


# -- what the roles leave by themselves


def test_a_host_is_what_its_group_or_its_variables_say() -> None:
    site = Site.parse(
        {
            "bigip": {"group_names": ["ikev2_load_balancers"]},
            "kemp": {"load_balancer_platform": "loadmaster", "load_balancer_result": result(False)},
            "rras1": {"group_names": ["rras"]},
            "rras2": {"rras_facts": facts("rras2")},
            "rras3": {"rras_gateway": GATEWAY},
            "web": {"group_names": ["web"]},
        }
    )
    assert {host: item.read for host, item in site.hosts.items()} == {
        "bigip": False,
        "kemp": True,
        "rras1": False,
        "rras2": True,
        "rras3": False,
    }
    assert site.servers["rras3"].wanted_gateway == GATEWAY
    assert len(site.load_balancers["kemp"].due) == 2


def test_a_result_alone_is_a_reading_or_a_change() -> None:
    def stages(variables: dict[str, t.Any]) -> list[str]:
        (item,) = Site.parse({"host": variables}).hosts.values()
        return [step.stage for step in item.record.steps]

    balancer = {"load_balancer_platform": "bigip"}
    assert stages({**balancer, "load_balancer_result": result(False)}) == ["read"]
    assert stages({**balancer, "load_balancer_result": result(True, changed=True)}) == ["change"]
    assert stages({**balancer, "load_balancer_result": result(False, **failed("no", "rolled_back"))}) == ["change"]
    assert stages(
        {**balancer, "load_balancer_result": result(False, before=[], services=[], **failed("no", "unchanged"))}
    ) == ["read"]
    read = server_read(facts())
    assert stages({"rras_read": read, "rras_gateway_result": CHANGED}) == ["read", "change"]


def test_what_an_earlier_playbook_of_the_same_command_left_is_not_of_this_run() -> None:
    raw = clean()
    hosts = variables(raw)
    for host in hosts.values():
        host["ikev2_site"]["run"] = "09:00"
        host["ikev2_run"] = {"started": "09:00"}
    assert {host: item.read for host, item in Site.parse(hosts).hosts.items()} == dict.fromkeys(hosts, True)
    for host in hosts.values():
        host["ikev2_run"] = {"started": "09:01"}
    hosts["bigip"]["load_balancer_result"] = result(True, changed=True, final_state="changed")
    hosts["rras1"]["rras_gateway_result"] = {**CHANGED, "changes": [gateway_change()]}
    hosts["rras1"]["rras_read"] = server_read(facts())
    hosts["rras2"]["rras_facts"] = facts("rras2")
    site = Site.parse(hosts)
    assert {host: item.read for host, item in site.hosts.items()} == {"bigip": False, "rras1": True, "rras2": False}
    assert not any(item.changing for item in site.hosts.values())


def test_what_was_changed_on_a_server_is_no_longer_due_there() -> None:
    before = facts("rras1", "10.10.0.254", changes=[gateway_change()])
    after = {"gateway": GATEWAY, "addresses": ["10.10.0.11"]}
    made = {**CHANGED, "changes": [gateway_change()], "findings": [], "after": after}
    hosts = {"rras1": {"rras_read": server_read(before), "rras_gateway_result": made}}
    (server,) = Site.parse(hosts).servers.values()
    assert server.first is not None
    assert server.now is not None
    assert (server.first.gateway, server.now.gateway) == ("10.10.0.254", GATEWAY)
    assert (server.due, [one.setting for one in server.made]) == ((), ["NextHop"])
    assert server.now.sas == server.first.sas  # of the other half


# -- there and back

TEXT = st.text(max_size=6)
VALUE = TEXT | st.booleans() | st.dictionaries(TEXT, TEXT, max_size=2)
ADDRESS = st.ip_addresses().map(str)
SERVERS = st.builds(Server, ADDRESS, st.integers(0, 65535), st.lists(ADDRESS, max_size=2).map(tuple))
SERVICES = st.builds(
    Service,
    TEXT,
    ADDRESS,
    st.integers(0, 65535),
    st.dictionaries(TEXT, VALUE, min_size=1, max_size=1),
    st.booleans(),
    servers=st.lists(SERVERS, max_size=2).map(tuple),
)
FINDINGS = st.builds(Finding, TEXT, st.sampled_from(SEVERITIES), TEXT, TEXT, TEXT)
CHANGES = st.builds(
    Change,
    TEXT,
    TEXT,
    VALUE | st.integers() | st.none(),
    VALUE | st.integers() | st.none(),
    st.sampled_from(t.get_args(Scope)),
)
SNAPSHOTS = st.builds(
    Snapshot, TEXT, TEXT, st.dictionaries(TEXT, VALUE, max_size=2), st.dictionaries(TEXT, VALUE, max_size=2)
)
RESULTS = st.builds(
    Result,
    changed=st.booleans(),
    before=st.lists(SERVICES, max_size=2).map(tuple),
    services=st.lists(SERVICES, max_size=2).map(tuple),
    changes=st.lists(CHANGES, max_size=2).map(tuple),
    final_state=st.sampled_from(FINAL_STATES),
    findings=st.lists(FINDINGS, max_size=2),
    own_addresses=st.lists(ADDRESS, max_size=2).map(tuple),
    snapshot=st.none() | SNAPSHOTS,
    version=TEXT,
    requests=st.integers(0, 99),
    progress=st.lists(TEXT, max_size=2).map(tuple),
    failed=st.booleans(),
)
STEPS = st.builds(Step, st.sampled_from(STAGES), TEXT, RESULTS.map(Result.as_dict))
RECORDS = st.builds(
    Record, st.sampled_from(STAGES), st.lists(TEXT, max_size=2).map(tuple), st.lists(STEPS, max_size=2).map(tuple)
)


def through_json(plain: t.Any) -> t.Any:
    """Return what a file, or a variable of Ansible's, makes of plain values."""
    return json.loads(json.dumps(plain))


@given(st.one_of(FINDINGS, CHANGES, SERVERS, SNAPSHOTS, STEPS, RECORDS))
def test_what_is_written_is_read_as_it_was(value: t.Any) -> None:
    assert type(value).parse(through_json(value.as_dict())) == value


@given(st.one_of(SERVICES, RESULTS))
def test_services_are_read_without_the_name_of_their_setting(value: t.Any) -> None:
    plain = through_json(value.as_dict())
    assert type(value).parse(plain).as_dict() == plain


def test_a_snapshot_is_read_as_it_was_taken() -> None:
    raw = drifted()
    taken = raw["load_balancers"]["bigip"]["result"]
    taken["snapshot"]["services"] = [{"id": one["id"], "value": one["before"]} for one in reversed(translations())]
    raw["load_balancers"]["unread"] = {"failure": {"stage": "read", "msg": "refused", "final_state": "unchanged"}}
    site = site_of(raw)
    times: dict[str, t.Any] = {"taken": "2026-11-24T20:18:17Z", "finished": None, "used": {}}
    kept = SiteSnapshot.of_text(json.dumps({"format": FORMAT, **times, **snapshot_of(site)})).as_dict()
    assert {name: kept[name] for name in times} == times
    assert kept["load_balancers"] == {
        "bigip": {
            "snapshot": taken["snapshot"],
            "services": taken["services"],
            "own_addresses": ["10.10.0.1", "203.0.113.10"],
        }
    }
    assert kept["servers"] == {host: item.facts for host, item in site.servers.items()}
    again = site_of({**drifted(), "kept": kept})
    assert [service.as_dict() for service in again.load_balancers["bigip"].kept_services] == taken["services"]
    assert again.servers["rras1"].kept == kept["servers"]["rras1"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        '{"format": 2}',
        '{"format": 1, "taken": "now"}',
        "<html>",
        '{"format": 1, "taken": "now", "services": {}, "load_balancers": {"lb": {}}, "servers": {}}',
        '{"format": 1, "taken": "now", "services": {}, "load_balancers": {}, "servers": {"rras1": {"gateway": "x"}}}',
    ],
)
def test_a_file_that_is_not_a_snapshot_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a snapshot that a playbook of this collection wrote"):
        SiteSnapshot.of_text(text)


def test_a_verification_of_an_earlier_playbook_does_not_count() -> None:
    """The change has been asked for, and this run has verified nothing yet."""
    changed = {"changed": True, "final_state": "changed", "undone": None}
    record = {"stage": "change", "asked": ["load_balancer_result"], "steps": []}
    answers = [{"address": "203.0.113.10", "answered": True, "detail": ""}]
    of_host = {
        "load_balancer_platform": "bigip",
        "ikev2_run": {"started": "now"},
        "ikev2_site": {"run": "now", "orders": {"bigip": {"record": record}}},
        "load_balancer_result": {**result(True), **changed},
    }
    for run, names in (("now", ["load_balancer_result", "probe"]), ("before", ["load_balancer_result"])):
        site = Site.parse({"bigip": {**of_host, "ikev2_verified": {"run": run, "answers": answers}}})
        assert [step.name for step in site.load_balancers["bigip"].record.steps] == names
