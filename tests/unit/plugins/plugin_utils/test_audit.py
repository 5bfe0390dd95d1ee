# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What follows from what was read."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._audit import (
    choices,
    collected,
    cross_check,
    cut_off,
    drift,
    failure,
    keeps_gateway,
    left_alone,
    obstacles,
    read_snapshot,
    return_path,
    take_snapshot,
)
from report_examples import change

RRAS1: dict[str, t.Any] = {
    "gateway": "10.10.0.1",
    "addresses": ["10.10.0.11", "192.168.10.11"],
    "ike_limit": 50000,
    "restart_owed": False,
    "changes": [],
}
LOST: dict[str, t.Any] = {**RRAS1, "gateway": None, "addresses": ["10.10.0.12"], "ike_limit": None}
PROXY_PORT = change("vs500", "useproxyport", "YES", "NO")


def service(preserved: bool, *servers: str) -> dict[str, t.Any]:
    """Return a service as the modules return it, with servers that are to reply through 10.10.0.1."""
    return {
        "id": "vs500",
        "address": "203.0.113.10",
        "port": 500,
        "source_preserved": preserved,
        "servers": [{"address": server, "port": 500, "gateways": ["10.10.0.1"]} for server in servers],
    }


def result(
    *services: dict[str, t.Any], changes: t.Sequence[dict[str, t.Any]] = (), findings: t.Sequence[dict[str, str]] = ()
) -> dict[str, t.Any]:
    """Return a result as the modules return it with state gathered."""
    return {"services": list(services), "changes": list(changes), "findings": list(findings)}


def finding(code: str, severity: str) -> dict[str, str]:
    """Return a finding as the modules return it."""
    return {"code": code, "severity": severity, "object": "vs500", "message": "So it is.", "remedy": ""}


def test_the_return_path_names_every_address_of_a_server_that_has_a_gateway() -> None:
    assert return_path({"rras1": RRAS1, "rras2": LOST}) == {"10.10.0.11": "10.10.0.1", "192.168.10.11": "10.10.0.1"}


def test_a_host_without_the_variable_is_left_out() -> None:
    assert collected(["a", "b"], {"a": {"x": 1}, "b": {}}, "x") == {"a": 1}


def test_nothing_is_due() -> None:
    good = result(service(True), findings=[finding("existing", "warning"), finding("note", "info")])
    assert drift({"lb": good}, {"rras1": RRAS1, "rras2": LOST}) == []


def test_every_drift_is_a_sentence() -> None:
    balancer = result(
        service(False),
        service(True),
        changes=[
            change("lb", "USNIP", False, True, "device"),
            change("vs500", "usip", "NO", "YES"),
            PROXY_PORT,
            change("vs4500", "snat", {"type": "snat", "pool": "/Common/sp"}, "none"),
        ],
        findings=[finding("not_active_unit", "blocker"), finding("device_setting", "warning")],
    )
    default, kept = "0.0.0.0/0", "172.16.0.9/32"
    rras1 = [
        change(default, "NextHop", "10.10.0.1", "10.10.0.9", "route"),
        change(default, "NextHop", "192.168.10.1", None, "route"),
        change(kept, "NextHop", None, "10.10.0.254", "route"),
        change(kept, "RouteMetric", 256, 1, "route"),
    ]
    rras2 = [change(default, "NextHop", None, "10.10.0.1", "route")]
    assert drift({"lb": balancer}, {"rras1": {**RRAS1, "changes": rras1}, "rras2": {**LOST, "changes": rras2}}) == [
        "lb: vs500 (203.0.113.10, UDP 500) hides the clients' addresses",
        "lb: USNIP is off and has to be on",
        "lb: useproxyport of vs500 is YES and has to be NO",
        "lb: snat of vs4500 is snat /Common/sp and has to be none",
        "lb: not_active_unit at vs500: So it is.",
        "rras1: the default gateway is 10.10.0.1 and has to be 10.10.0.9",
        "rras1: the route 0.0.0.0/0 via 192.168.10.1 has to be removed",
        "rras1: the gateway of 172.16.0.9/32 is missing and has to be 10.10.0.254",
        "rras1: RouteMetric of 172.16.0.9/32 is 256 and has to be 1",
        "rras2: the default gateway is missing and has to be 10.10.0.1",
    ]


def test_an_accepted_blocker_does_not_count_as_drift_where_it_is_accepted() -> None:
    balancer = result(
        service(True),
        changes=[change("lb", "USNIP", False, True, "device")],
        findings=[finding("not_active_unit", "blocker")],
    )
    codes = ["not_active_unit", "device_setting"]
    assert drift({"lb": balancer, "other": balancer}, {}, accepted={"lb": codes}) == [
        "lb: USNIP is off and has to be on",
        "other: USNIP is off and has to be on",
        "other: not_active_unit at vs500: So it is.",
    ]


def test_a_planned_gateway_takes_precedence_over_the_present_one() -> None:
    assert return_path({"rras1": RRAS1, "rras2": LOST}, {"rras1": "10.10.0.2", "rras2": "10.10.0.3"}) == {
        "10.10.0.11": "10.10.0.2",
        "192.168.10.11": "10.10.0.2",
        "10.10.0.12": "10.10.0.3",
    }


@pytest.mark.parametrize(
    ("changes", "findings", "accept", "codes"),
    [
        ([PROXY_PORT], [finding("not_active_unit", "blocker"), finding("note", "info")], [], ["not_active_unit"]),
        ([PROXY_PORT], [finding("not_active_unit", "blocker")], ["not_active_unit"], []),
        # Where no change is due, nothing can be forbidden, except the change of a server's gateway.
        ([], [finding("not_active_unit", "blocker"), finding("return_path_unverified", "blocker")], [], []),
        ([], [finding("return_path_wrong", "blocker")], [], ["return_path_wrong"]),
        (
            [change("lb", "USNIP", False, True, "device")],
            [finding("device_setting", "warning"), finding("unsynced_changes", "blocker")],
            [],
            ["unsynced_changes"],
        ),
    ],
)
def test_what_forbids_a_change(
    changes: list[dict[str, t.Any]], findings: list[dict[str, str]], accept: list[str], codes: list[str]
) -> None:
    found = obstacles("lb", {"lb": result(service(True), changes=changes, findings=findings)}, accept, {})
    assert [line.partition(" ")[0] for line in found] == codes


def test_a_server_behind_two_load_balancers_is_reported_and_so_is_one_behind_none() -> None:
    load_balancers = {"a": result(service(True, "10.10.0.11%2")), "b": result(service(False, "192.168.10.11"))}
    found = cross_check(load_balancers, {"rras1": RRAS1, "rras2": LOST})
    assert [(one["code"], one["object"], one["severity"]) for one in found] == [
        ("server_shared", "rras1", "info"),
        ("server_not_served", "rras2", "warning"),
    ]
    assert "a, b" in found[0]["message"]
    assert cross_check({"a": result(service(True, "10.10.0.11"))}, {"rras1": RRAS1}) == []
    assert cross_check({}, {"rras1": RRAS1}) == []


@pytest.mark.parametrize(
    ("preserved", "gateway", "hosts"),
    [(True, "10.10.0.254", ["a"]), (True, None, ["a"]), (True, "10.10.0.1", []), (False, "10.10.0.254", [])],
)
def test_a_gateway_that_would_cut_off_the_vpn(preserved: bool, gateway: str | None, hosts: list[str]) -> None:
    load_balancers = {"a": result(service(preserved, "10.10.0.11", "10.10.0.12"))}
    assert [line.partition(" ")[0] for line in cut_off(RRAS1, gateway, load_balancers)] == hosts


def test_a_load_balancer_that_was_not_read_counts_against_a_gateway() -> None:
    load_balancers = {"a": result(service(False, "10.10.0.11"))}
    assert cut_off(RRAS1, "10.10.0.254", load_balancers, ["a", "b"]) == ["b was not read"]


CHANGED = {"changed": True, "final_state": "changed"}
UNREACHED = {"unreachable": True, "msg": "no route to host\n", "changed": False}
READ = {"changed": False, "final_state": "unchanged"}


def failed(message: str, state: str, **more: t.Any) -> dict[str, t.Any]:
    """Return the result of a module that failed."""
    return {"failed": True, "msg": message, "final_state": state, **more}


def test_what_fails_after_a_change_says_nothing_of_the_change() -> None:
    refused = failed("refused", "unchanged")  # by the reading, which changed nothing
    noted = {"stage": "verify", "msg": "refused", "final_state": "unknown"}
    assert failure([CHANGED, refused], "verify", refused) == noted


@pytest.mark.parametrize("result", [UNREACHED, {"failed": True, "msg": "Traceback"}])
def test_what_fails_while_reading_has_changed_nothing(result: dict[str, t.Any]) -> None:
    assert failure([result], "read", result)["final_state"] == "unchanged"


@pytest.mark.parametrize(
    ("results", "broken", "message", "state"),
    [
        ([{}, READ], {"msg": "wrong password"}, "wrong password", "unchanged"),
        ([CHANGED], {"msg": "the service does not start"}, "the service does not start", "changed"),
        ([READ], failed("refused", "rolled_back", changed=True), "refused", "rolled_back"),
        # What the first task changed stands.
        ([CHANGED], failed("refused", "rolled_back"), "refused", "changed"),
        ([CHANGED], failed("refused", "unknown"), "refused", "unknown"),
        # A module that was killed reports nothing.
        ([{"failed": True, "module_stdout": ""}], {"msg": "MODULE FAILURE"}, "MODULE FAILURE", "unknown"),
        # A lost connection does not fail a play that ignores it; what fails is the next task, which needs its result.
        ([UNREACHED], {"msg": "'dict object' has no attribute 'after'"}, "no route to host", "unknown"),
        ([], {}, "no reason was given", "unchanged"),
    ],
)
def test_what_failed_and_what_it_left(
    results: list[dict[str, t.Any]], broken: dict[str, t.Any], message: str, state: str
) -> None:
    assert failure(results, "change", broken) == {"stage": "change", "msg": message, "final_state": state}


def test_a_limit_is_drift_where_one_is_wanted_and_so_is_a_pending_restart() -> None:
    owing = {**RRAS1, "restart_owed": True}
    due = change("IKEEXT", "IkeNumEstablishedForInitialQuery", None, 50000, "limit")
    servers = {"rras1": owing, "rras2": {**LOST, "restart_owed": True, "changes": [due]}}
    assert drift({}, {"rras1": owing, "rras2": LOST}) == []
    assert drift({}, servers, ["rras1", "rras2", "rras3"]) == [
        "rras1: IKEEXT does not use the limit 50000 until it is restarted",
        "rras2: the limit of IKE security associations from one address is the default of Windows and has to be 50000",
    ]


def test_a_snapshot_is_read_as_it_was_taken() -> None:
    taken = {"platform": "bigip", "host": "h", "services": [{"id": "vs500", "value": "automap"}], "device": {}}
    services = [service(False, "10.10.0.11")]
    unread = {"msg": "refused"}
    text = json.dumps(
        take_snapshot("now", {"a": {"snapshot": taken, "services": services}, "b": unread}, {"rras1": RRAS1})
    )
    assert read_snapshot(text) == {
        "taken": "now",
        "load_balancers": {"a": {"snapshot": taken, "services": services, "findings": []}},
        "servers": {"rras1": RRAS1},
    }


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"format": 2}', '{"format": 1, "taken": "now"}', "<html>"])
def test_a_file_that_is_not_a_snapshot_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a snapshot that a playbook of this collection wrote"):
        read_snapshot(text)


def at(vip: str, *services: dict[str, t.Any], **more: t.Any) -> dict[str, t.Any]:
    """Return the result of a load balancer with this virtual address."""
    return result(*({**one, "address": vip} for one in services), **more)


def test_a_standby_unit_is_left_to_its_partner_and_to_nobody_else() -> None:
    standby, due = finding("not_active_unit", "blocker"), [change("vs500", "snat", "automap", "none")]
    mine = at("203.0.113.10", service(False, "10.10.0.11"), changes=due, findings=[standby])
    partner = at("203.0.113.10", service(False, "10.10.0.11"), changes=due)
    both = {"a": partner, "b": mine}
    assert "left to a, which serves the same virtual addresses" in left_alone("b", both, {})
    assert left_alone("a", both, {}) == ""
    assert obstacles("b", both, [], {}) == []
    (told,) = choices(both, {"rras1": RRAS1}, {})
    assert (told["code"], told["severity"], told["host"]) == ("not_active_unit", "info", "b")
    # Two units of a pair are one load balancer for their servers.
    assert cross_check(both, {"rras1": RRAS1}) == []
    for other in (
        at("203.0.113.99", service(False, "10.10.0.11")),  # another pair
        at("203.0.113.10", service(False, "10.10.0.11"), findings=[standby]),  # standby, too
    ):
        assert left_alone("b", {"a": other, "b": mine}, {}) == ""
        assert obstacles("b", {"a": other, "b": mine}, [], {}) != []
    nowhere = result({**service(False), "address": ""}, findings=[standby])
    assert left_alone("b", {"a": result({**service(False), "address": ""}), "b": nowhere}, {}) == ""
    assert left_alone("unread", both, {}) == ""


def test_of_two_load_balancers_before_the_same_servers_the_one_that_is_not_their_gateway_goes_on_translating() -> None:
    def behind(preserved: bool, gateway: str) -> dict[str, t.Any]:
        one = service(preserved, "10.10.0.11")
        return {**one, "servers": [{**one["servers"][0], "gateways": [gateway]}]}

    wrong = {**finding("return_path_wrong", "blocker"), "object": "10.10.0.11"}
    due = [change("vs500", "snat", "automap", "none")]
    old = at("203.0.113.20", behind(False, "10.10.0.2"), changes=due, findings=[wrong])
    new = at("203.0.113.10", behind(False, "10.10.0.1"), changes=due)
    gateways = {"10.10.0.11": "10.10.0.1"}
    both = {"new": new, "old": old}
    assert "old has to go on translating" in left_alone("old", both, gateways)
    assert (left_alone("new", both, gateways), obstacles("old", both, [], gateways)) == ("", [])
    assert [one["code"] for one in choices(both, {"rras1": RRAS1}, gateways)] == ["server_shared"]
    # One that keeps the addresses already would be cut off by the new gateway.
    keeps = at("203.0.113.20", behind(True, "10.10.0.2"), findings=[wrong])
    assert len(obstacles("old", {"new": new, "old": keeps}, [], gateways)) == 1
    # A gateway that is nobody's is wrong for both.
    assert len(obstacles("old", both, [], {"10.10.0.11": "10.10.0.254"})) == 1


def test_a_server_to_which_no_load_balancer_offers_itself_keeps_its_gateway() -> None:
    direct = {**service(True), "servers": [{"address": "10.10.0.11", "port": 500, "gateways": []}]}
    addresses = RRAS1["addresses"]
    assert keeps_gateway(addresses, {"a": result(direct)})
    assert not keeps_gateway(addresses, {"a": result(direct), "b": result(service(True, "192.168.10.11"))})
    assert not keeps_gateway(["10.10.0.12"], {"a": result(direct)})
    due = {**RRAS1, "changes": [change("0.0.0.0/0", "NextHop", "10.10.0.254", "10.10.0.1", "route")]}
    assert [one["code"] for one in choices({"a": result(direct)}, {"rras1": due}, {})] == ["unsupported_mode"]
    assert choices({"a": result(direct)}, {"rras1": RRAS1}, {}) == []
