# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every fault at every step of the two modules for VPN servers: each result agrees with the server."""

from __future__ import annotations

import types
import typing as t

import pytest
from one_server import LASTING, Driven, Starter, starter

from ansible_collections.aovpn.ikev2.plugins.action import rras_default_gateway, rras_ike_limit
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows import server_action
from lab.system import find_value
from lab.windows import APPLY, IKE_LIMIT, IKEEXT_KEY, MARKER_KEY, ROLLBACK, TEST, VERSION_KEY
from lab.winrm import Died

OLD, NEW, PEER = "10.10.0.254", "10.10.0.1", "172.16.0.9"
TIMEOUT = 10
GATEWAY: dict[str, t.Any] = {"gateway": NEW, "preserve_routes": [], "rollback_timeout": TIMEOUT}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Starter:
    """Return what makes a server without connections: one with a peer by the old gateway, and without tunnels."""
    return starter(monkeypatch)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read a server that does not become what it should only now and then, and give it up soon. Needs PATIENT."""
    for module in (rras_default_gateway, server_action):
        monkeypatch.setattr(module, "GRACE", 20.0)
    monkeypatch.setattr(server_action, "PAUSE", 15.0)


PATIENT: dict[str, t.Any] = {**GATEWAY, "rollback_timeout": 120}


FAULTS = ("before", "after", "refused", *LASTING)
CHANGES = {("0.0.0.0/0", OLD, NEW), (f"{PEER}/32", None, OLD)}


def listed(result: dict[str, t.Any]) -> set[tuple[t.Any, ...]]:
    """Return a result's changes in short."""
    return {(change["id"], change["before"], change["after"]) for change in result["changes"]}


def judge(server: Driven, result: dict[str, t.Any], before: t.Any, now: t.Any) -> bool:
    """Check that a result agrees with the server; return whether the state is known."""
    failed = bool(result.get("failed") or result.get("unreachable"))
    state = result["final_state"]
    assert result.get("undone") == (state in ("unchanged", "rolled_back") if failed else None)
    if failed:
        assert str(result["msg"]).startswith("rras1: ")
    if state == "unknown":
        assert failed
        assert not server.looked
        return False
    assert (state == "changed") == (now != before), result
    assert state != "rolled_back" or result["rolled_back"]
    return True


def cases(calls: int, everyday: str) -> list[t.Any]:
    """Return each fault at each call; all but one kind of fault at every third call are for the whole matrix."""
    return [
        pytest.param(fault, at, marks=() if fault == everyday and at % 3 == 1 else pytest.mark.matrix)
        for at in range(calls)
        for fault in FAULTS
    ]


@pytest.mark.parametrize(("fault", "at"), cases(10, "gone"))
def test_a_gateway(started: Starter, fault: str, at: int) -> None:
    server = started(fault, at)
    before = server.table()
    result = server.run(rras_default_gateway, **GATEWAY)
    now = server.table()
    if not judge(server, result, before, now):
        assert listed(result) == CHANGES
    elif result["final_state"] == "changed":
        differing = {line[1] for line in before ^ now}
        assert {change[0] for change in listed(result)} == differing
        assert listed(result) <= CHANGES
    else:
        assert result["changes"] == []
    assert "failed" in result or "unreachable" in result or listed(result) == CHANGES
    assert fault in LASTING or listed(result) in (set(), CHANGES)
    if at >= len(server.calls):
        assert result["final_state"] == "changed"

    # Sooner or later, the server has one gateway in both stores, and the next run converges.
    server.clock.sleep(TIMEOUT + 60)
    hops = {line[:3:2] for line in server.table() if line[1] == "0.0.0.0/0"}
    assert hops in ({("active", hop), ("persistent", hop)} for hop in (OLD, NEW))
    again = started(host=server.host)
    assert again.run(rras_default_gateway, **GATEWAY)["final_state"] in ("changed", "unchanged")
    last = started(host=server.host)
    result = last.run(rras_default_gateway, **GATEWAY)
    assert (result["final_state"], result["changes"], last.calls) == ("unchanged", [], ["read_network.ps1"])


@pytest.mark.matrix
def test_a_rollback_that_does_not_end_is_reported(started: Starter) -> None:
    """The task that changes the routes and the rollback are both refused."""
    server = started()
    server.host.state["cmdlet_faults"] = [{"command": "Remove-NetRoute", "kind": "error", "times": 99}]
    server.host.state["refused_tasks"] = [APPLY]
    before = server.table()
    result = server.run(rras_default_gateway, **GATEWAY)
    assert judge(server, result, before, server.table())
    assert "its rollback is unfinished. Check the scheduled task" in result["msg"]
    assert listed(result) == {(f"{PEER}/32", None, OLD)}


NOT_RUN = "the server answers, but its rollback does not run"


@pytest.mark.parametrize(
    "stops",
    [pytest.param(False, marks=pytest.mark.matrix), True],
    ids=["modules load", "modules are forbidden"],
)
@pytest.mark.parametrize("policy", ["AllSigned", pytest.param("Restricted", marks=pytest.mark.matrix)])
def test_a_policy_that_would_stop_the_rollback_is_found_before_anything_changes(
    started: Starter, policy: str, stops: bool
) -> None:
    server = started()
    server.host.state |= {"policy": {"MachinePolicy": policy}, "policy_stops_modules": stops}
    before = server.table()
    check = server.run(rras_default_gateway, check_mode=True, **GATEWAY)
    assert [(item["code"], item["severity"]) for item in check["findings"]] == [("script_policy", "info")]
    assert server.calls == ["read_network.ps1"]
    result = server.run(rras_default_gateway, **GATEWAY)
    assert server.host.state["tasks"] == {}
    if not stops:
        assert (result["final_state"], server.host.state["fired"]) == ("changed", [TEST, APPLY])
        return
    assert "script_policy: The rollback could not run on this server" in result["msg"]
    assert f"ended with 0x1. Group Policy sets the execution policy {policy}" in result["msg"]
    assert [(item["code"], item["severity"]) for item in result["findings"]] == [("script_policy", "blocker")]
    assert (result["final_state"], result["changes"], server.table()) == ("unchanged", [], before)
    assert "change_routes.ps1" not in server.calls
    # Accepted, the change fails as the rollback would, and is undone over the connection.
    result = server.run(rras_default_gateway, accept=["script_policy"], **GATEWAY)
    assert (result["final_state"], server.table(), server.host.state["tasks"]) == ("rolled_back", before, {})


@pytest.mark.matrix
@pytest.mark.usefixtures("impatient")
def test_an_earlier_rollback_that_does_not_run_is_not_taken_for_a_server_that_does_not_answer(started: Starter) -> None:
    server = started()
    server.host.arm(
        [{"action": "add", "next_hop": OLD, "destination": "0.0.0.0/0", "interface_index": 4, "store": "ActiveStore"}],
        5,
    )
    server.host.state["refused_tasks"] = [ROLLBACK]
    result = server.run(rras_default_gateway, **PATIENT)
    assert f"{NOT_RUN}: it ended with 0x1. Check the scheduled task" in result["msg"]
    assert "Unregister-ScheduledTask -TaskName 'aovpn.ikev2*'" in result["msg"]
    assert (result["final_state"], result["changes"]) == ("unchanged", [])
    gone = started("gone", 3, host=server.host)
    result = gone.run(rras_default_gateway, **PATIENT)
    assert NOT_RUN not in result["msg"]
    assert result["unreachable"]


@pytest.mark.matrix
@pytest.mark.usefixtures("impatient")
def test_a_rollback_that_leaves_its_tasks_is_reported(started: Starter) -> None:
    """The routes are restored over the connection, and the tasks cannot be removed."""
    server = started()
    faults = [{"command": "Unregister-ScheduledTask", "kind": "error", "times": 999, "match": {"TaskName": ROLLBACK}}]
    server.host.state |= {"cmdlet_faults": faults, "refused_tasks": [APPLY, ROLLBACK]}
    before = server.table()
    result = server.run(rras_default_gateway, **PATIENT)
    assert judge(server, result, before, server.table())
    assert result["final_state"] == "rolled_back"
    assert "its scheduled tasks are still registered, and its rollback does not run. Check" in result["msg"]


@pytest.mark.matrix
@pytest.mark.usefixtures("impatient")
def test_a_change_that_does_not_begin_is_not_taken_for_a_server_that_does_not_answer(started: Starter) -> None:
    server = started()
    server.host.state["cmdlet_faults"] = [{"command": "Start-ScheduledTask", "kind": "nothing", "times": 9}]
    result = server.run(rras_default_gateway, **PATIENT)
    assert "the server answers, but its task that changes the routes does not run" in result["msg"]
    assert (result["final_state"], server.host.state["tasks"]) == ("rolled_back", {})


@pytest.mark.parametrize("check_mode", [False, True])
def test_a_gateway_that_does_not_answer_is_refused_before_anything_changes(started: Starter, check_mode: bool) -> None:
    server = started()
    before = server.table()
    result = server.run(rras_default_gateway, check_mode, gateway="10.10.0.99", preserve_routes=[])
    assert "gateway_not_answering: Nobody answers for 10.10.0.99 on the interface External" in result["msg"]
    assert (result["final_state"], result["changes"], server.calls) == ("unchanged", [], ["read_network.ps1"])
    assert server.table() == before
    assert [finding["code"] for finding in result["findings"]] == ["gateway_not_answering"]
    if not check_mode:
        accepted: dict[str, t.Any] = {
            "gateway": "10.10.0.99",
            "preserve_routes": [],
            "rollback_timeout": TIMEOUT,
            "accept": ["gateway_not_answering"],
        }
        assert server.run(rras_default_gateway, False, **accepted)["final_state"] == "changed"


def test_a_gateway_that_goes_between_switch_and_confirmation_is_not_confirmed(started: Starter) -> None:
    """The controller has a way of its own, so that it would not notice."""
    server = started()
    before = server.table()

    def passes() -> None:
        if server.host.tasks.run_due():
            server.host.state["gateways"].pop(NEW, None)

    server.clock.passes = passes
    result = server.run(rras_default_gateway, **GATEWAY)
    assert "gateway_not_answering" in result["msg"]
    assert (result["final_state"], server.table(), server.host.state["tasks"]) == ("rolled_back", before, {})


def test_a_code_that_does_not_exist_cannot_be_accepted(started: Starter) -> None:
    result = started().run(rras_default_gateway, accept=["gateway_not_there"], **GATEWAY)
    assert "Option 'accept' contains gateway_not_there" in result["msg"]


@pytest.mark.matrix
def test_a_confirmation_that_was_interrupted_is_finished(started: Starter) -> None:
    """The rollback was disabled and not removed: the change is complete, and only its tasks are left."""
    server = started()
    assert server.run(rras_default_gateway, **GATEWAY)["final_state"] == "changed"
    back = {"destination": "0.0.0.0/0", "interface_index": 4, "metric": 256, "store": "ActiveStore"}
    server.host.arm([{**back, "action": "add", "next_hop": OLD}, {**back, "action": "remove", "next_hop": NEW}], 5)
    server.host.state["cmdlet_faults"] = [{"command": "Unregister-ScheduledTask", "kind": "die"}]
    with pytest.raises(Died):
        server.host.powershell("end_change.ps1")
    before = server.table()
    server.host.reboot()
    server.clock.sleep(60)
    assert server.table() == before
    again = started(host=server.host)
    assert again.run(rras_default_gateway, check_mode=True, **GATEWAY)["findings"] == []
    assert again.run(rras_default_gateway, **GATEWAY)["final_state"] == "unchanged"
    assert (server.host.state["tasks"], server.table()) == ({}, before)


@pytest.mark.parametrize("limit", [None, 10])
@pytest.mark.parametrize(("fault", "at"), cases(7, "after"))
def test_a_limit(started: Starter, fault: str, at: int, limit: int | None) -> None:
    server = started(fault, at)
    if limit is not None:
        server.host.state["registry"][IKEEXT_KEY][IKE_LIMIT] = {"type": "dword", "data": limit}
    before = server.limit()
    result = server.run(rras_ike_limit, limit=50000)
    now = server.limit()
    if judge(server, result, before, now):
        assert listed(result) == ({("IKEEXT", limit, 50000)} if now[0] == 50000 else set())
    else:
        assert listed(result) <= {("IKEEXT", limit, 50000)}
        assert now[0] == before[0] or result["changes"]
    if at >= len(server.calls):
        assert now == (50000, 50000, 2, "running")
    # Never the value without its mark, until IKEEXT has read it.
    marked = find_value(server.host.state, MARKER_KEY, "IkeextRestartOwedSince")
    assert now[0] == now[1] or marked or (limit and now == before)

    again = started(host=server.host)
    again.run(rras_ike_limit, limit=50000)
    assert again.limit()[:2] == (50000, 50000)
    last = started(host=server.host)
    result = last.run(rras_ike_limit, limit=50000)
    assert (result["final_state"], result["changes"], last.calls) == ("unchanged", [], ["read_vpn.ps1"])
    assert not find_value(server.host.state, MARKER_KEY, "IkeextRestartOwedSince")


def test_a_server_without_the_fix_of_ikeext_is_reported(started: Starter) -> None:
    server = started()
    values = {"CurrentBuildNumber": {"type": "string", "data": "20348"}, "UBR": {"type": "dword", "data": 5019}}
    server.host.state["registry"][VERSION_KEY] = values
    found = server.run(rras_ike_limit, state="gathered")
    assert [item["code"] for item in found["findings"]] == ["ikeext_unpatched", "fragmentation_off"]
    assert found["after"]["build"] == "20348.5019"


@pytest.mark.parametrize("check_mode", [False, True])
@pytest.mark.parametrize(
    ("plugin", "options"),
    [(rras_default_gateway, GATEWAY), (rras_ike_limit, {"limit": 50000})],
    ids=["gateway", "limit"],
)
def test_app_control_is_named_before_anything_is_read(
    started: Starter, plugin: types.ModuleType, options: dict[str, t.Any], check_mode: bool
) -> None:
    server = started()
    server.host.state["language"] = "ConstrainedLanguage"
    result = server.run(plugin, check_mode, **options)
    words = "rras1: script_policy: PowerShell runs scripts in ConstrainedLanguage on this server"
    assert result["msg"].startswith(words)
    assert [(item["code"], item["severity"]) for item in result["findings"]] == [("script_policy", "blocker")]
    assert (result["failed"], result["final_state"], result["changes"], len(server.calls)) == (True, "unchanged", [], 1)


@pytest.mark.parametrize("at", [pytest.param(at, marks=() if at % 3 == 2 else pytest.mark.matrix) for at in range(9)])
def test_an_error_beside_a_result_is_an_error(started: Starter, at: int) -> None:
    """win_powershell does not fail for an error that does not end a script."""
    server = started("told", at)
    before = server.table()
    result = server.run(rras_default_gateway, **GATEWAY)
    assert judge(server, result, before, server.table())
    if at < 6:  # until the confirmation
        assert result["failed"]
        assert "the lab tells an error beside a result" in result["msg"]
    else:
        # It is read again, and was confirmed.
        assert result["final_state"] == "changed"


STALE = {"external": "198.51.100.9", "tunnel_type": "Ikev2"}
SSTP = {"external": "198.51.100.9", "tunnel_type": "Sstp"}
DIRECT = {"external": "198.51.100.9", "tunnel_type": "", "connection_type": "DirectAccess"}
L2TP = {"external": "198.51.100.9", "tunnel_type": "L2tp"}


@pytest.mark.parametrize(
    ("others", "associations", "restarts"),
    [([SSTP, DIRECT, STALE], 0, True), ([STALE], 1, False), ([L2TP], 0, False), ([SSTP] * 127, 3, False)],
    ids=["other types", "one tunnel", "L2TP", "three tunnels"],
)
def test_ikeext_waits_for_tunnels_that_it_serves(
    started: Starter, others: list[dict[str, t.Any]], associations: int, restarts: bool
) -> None:
    server = started()
    server.host.state |= {"other_tunnels": others, "sas": [{"remote_address": "198.51.100.7"}] * associations}
    result = server.run(rras_ike_limit, limit=50000)
    assert (result["restarted"], server.limit()[2]) == ((True, 2) if restarts else (False, 1))
    assert "ports_exhausted" not in [finding["code"] for finding in result["findings"]]
    assert restarts or f"{max(1, associations)} tunnel" in result["msg"]


def test_ikeext_is_not_restarted_where_nothing_about_tunnels_could_be_read(started: Starter) -> None:
    server = started()
    server.host.state["remote_access_cmdlets"] = False
    server.host.state["cmdlet_faults"] = [{"command": "Get-NetIPsecMainModeSA", "kind": "error", "times": 99}]
    result = server.run(rras_ike_limit, limit=50000)
    assert (result["restarted"], result["restart_pending"], server.limit()[2]) == (False, True, 1)
    assert "it is not known whether tunnels are up" in result["msg"]
    assert [finding["code"] for finding in result["findings"]].count("not_read") == 3


@pytest.mark.parametrize("plugin", [rras_default_gateway, rras_ike_limit])
@pytest.mark.parametrize(
    ("options", "words"),
    [({"state": "present"}, "state is present but"), ({"state": "gathered", "x": 1}, "Unsupported parameters")],
)
def test_what_is_refused_before_anything_is_sent(
    started: Starter, plugin: types.ModuleType, options: dict[str, t.Any], words: str
) -> None:
    server = started()
    result = server.run(plugin, **options)
    assert words in result["msg"]
    assert (result["final_state"], result["undone"], result["changes"], server.calls) == ("unchanged", True, [], [])


def test_a_gateway_that_is_null_is_not_taken_for_one_that_is_set(started: Starter) -> None:
    server = started()
    result = server.run(rras_default_gateway, gateway=None)
    assert "Option 'gateway' is null." in result["msg"]
    assert (result["failed"], server.calls) == (True, [])
