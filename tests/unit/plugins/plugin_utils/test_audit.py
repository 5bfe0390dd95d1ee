# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the audit concludes."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._audit import (
    collected,
    cross_check,
    cut_off,
    drift,
    failure,
    obstacles,
    read_snapshot,
    return_path,
    take_snapshot,
)

RRAS1: dict[str, t.Any] = {
    "gateway": "10.10.0.1",
    "addresses": ["10.10.0.11", "192.168.10.11"],
    "ike_limit": 50000,
    "restart_owed": False,
}
LOST: dict[str, t.Any] = {"gateway": None, "addresses": ["10.10.0.12"], "ike_limit": None, "restart_owed": False}


def service(preserved: bool, *servers: str) -> dict[str, t.Any]:
    """Give a service as the modules return it, before servers that are to answer through 10.10.0.1."""
    return {
        "id": "vs500",
        "address": "203.0.113.10",
        "port": 500,
        "source_preserved": preserved,
        "servers": [{"address": server, "port": 500, "gateways": ["10.10.0.1"]} for server in servers],
    }


def result(*services: dict[str, t.Any], findings: t.Sequence[dict[str, str]] = ()) -> dict[str, t.Any]:
    """Give a result as the modules return it."""
    return {"services": list(services), "findings": list(findings)}


def finding(code: str, severity: str) -> dict[str, str]:
    """Give a finding as the modules return it."""
    return {"code": code, "severity": severity, "object": "vs500", "message": "So it is.", "remedy": ""}


def test_the_return_path_names_every_address_of_a_server_that_has_a_gateway() -> None:
    assert return_path({"rras1": RRAS1, "rras2": LOST}) == {"10.10.0.11": "10.10.0.1", "192.168.10.11": "10.10.0.1"}


def test_a_host_without_the_variable_is_left_out() -> None:
    assert collected(["a", "b"], {"a": {"x": 1}, "b": {}}, "x") == {"a": 1}


def test_all_is_well() -> None:
    result = {"services": [service(True)], "findings": [finding("existing", "warning"), finding("note", "info")]}
    assert drift({"lb": result}, {"rras1": RRAS1, "rras2": LOST}, {"rras1": "10.10.0.1"}) == []


def test_every_drift_is_a_sentence() -> None:
    result = {
        "services": [service(False), service(True)],
        "findings": [finding("not_active_unit", "blocker"), finding("device_setting", "warning")],
    }
    assert drift({"lb": result}, {"rras1": RRAS1, "rras2": LOST}, {"rras1": "10.10.0.9", "rras2": "10.10.0.1"}) == [
        "lb: vs500 (203.0.113.10, UDP 500) hides the clients' addresses",
        "lb: not_active_unit at vs500: So it is.",
        "lb: device_setting at vs500: So it is.",
        "rras1: the default gateway is 10.10.0.1 and has to be 10.10.0.9",
        "rras2: the default gateway is missing and has to be 10.10.0.1",
    ]


def test_an_accepted_blocker_is_no_drift_where_it_is_accepted() -> None:
    result = {
        "services": [service(True)],
        "findings": [finding("not_active_unit", "blocker"), finding("device_setting", "warning")],
    }
    codes = ["not_active_unit", "device_setting"]
    assert drift({"lb": result, "other": result}, {}, {}, accepted={"lb": codes}) == [
        "lb: device_setting at vs500: So it is.",
        "other: not_active_unit at vs500: So it is.",
        "other: device_setting at vs500: So it is.",
    ]


def test_a_gateway_that_is_planned_counts_instead_of_the_one_that_is_set() -> None:
    assert return_path({"rras1": RRAS1, "rras2": LOST}, {"rras1": "10.10.0.2", "rras2": "10.10.0.3"}) == {
        "10.10.0.11": "10.10.0.2",
        "192.168.10.11": "10.10.0.2",
        "10.10.0.12": "10.10.0.3",
    }


@pytest.mark.parametrize(
    ("preserved", "findings", "accept", "codes"),
    [
        (False, [finding("not_active_unit", "blocker"), finding("note", "info")], [], ["not_active_unit"]),
        (False, [finding("not_active_unit", "blocker")], ["not_active_unit"], []),
        # Where nothing is to be changed, nothing can be forbidden, but for the change of a server's gateway.
        (True, [finding("not_active_unit", "blocker"), finding("return_path_unverified", "blocker")], [], []),
        (True, [finding("return_path_wrong", "blocker")], [], ["return_path_wrong"]),
        (
            True,
            [finding("device_setting", "warning"), finding("unsynced_changes", "blocker")],
            [],
            ["unsynced_changes"],
        ),
    ],
)
def test_what_forbids_a_change(
    preserved: bool, findings: list[dict[str, str]], accept: list[str], codes: list[str]
) -> None:
    found = obstacles(result(service(preserved), findings=findings), accept)
    assert [line.partition(" ")[0] for line in found] == codes


def test_a_server_behind_two_load_balancers_is_told_and_so_is_one_behind_none() -> None:
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


def test_a_load_balancer_of_which_nothing_is_known_counts_against_a_gateway() -> None:
    load_balancers = {"a": result(service(False, "10.10.0.11"))}
    assert cut_off(RRAS1, "10.10.0.254", load_balancers, ["a", "b"]) == ["b was not looked at"]


def test_what_fails_after_a_change_says_nothing_of_the_change() -> None:
    failed = {"msg": "refused", "undone": True}  # of the look, which had changed nothing
    assert failure([{"changed": True}], "verify", failed) == {"stage": "verify", "msg": "refused", "undone": None}


UNREACHED = {"unreachable": True, "msg": "no route to host\n", "changed": False}


@pytest.mark.parametrize(
    ("results", "failed", "message", "undone"),
    [
        ([{}, {"changed": False}], {"msg": "wrong password"}, "wrong password", True),
        ([{"changed": True}], {"msg": "the service does not start"}, "the service does not start", False),
        ([{"changed": True}], {"msg": "refused", "undone": True}, "refused", True),
        # A lost connection is no failure to a play that ignores it; what fails is the next task, for want of a result.
        ([UNREACHED], {"msg": "'dict object' has no attribute 'after'"}, "no route to host", None),
        ([], {}, "no reason was given", True),
    ],
)
def test_what_failed_and_what_it_left(
    results: list[dict[str, t.Any]], failed: dict[str, t.Any], message: str, undone: bool | None
) -> None:
    assert failure(results, "change", failed) == {"stage": "change", "msg": message, "undone": undone}


def test_a_limit_is_drift_where_one_is_wanted_and_so_is_a_restart_that_is_owed() -> None:
    owing = {**RRAS1, "restart_owed": True}
    assert drift({}, {"rras1": owing, "rras2": LOST}, {}) == []
    assert drift({}, {"rras1": owing, "rras2": LOST}, {}, {"rras1": 50000, "rras2": 50000, "rras3": 1}) == [
        "rras1: IKEEXT does not know of the limit 50000 before it is restarted",
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
def test_a_file_that_is_no_snapshot_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="no snapshot that a playbook of this collection wrote"):
        read_snapshot(text)
