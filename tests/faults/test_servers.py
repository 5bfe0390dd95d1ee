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
from lab.system import find_value
from lab.windows import APPLY, IKE_LIMIT, IKEEXT_KEY, MARKER_KEY
from lab.winrm import Died

OLD, NEW, PEER = "10.10.0.254", "10.10.0.1", "172.16.0.9"
TIMEOUT = 10
GATEWAY: dict[str, t.Any] = {"gateway": NEW, "preserve_routes": [], "rollback_timeout": TIMEOUT}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Starter:
    """Return what makes a server without connections: one with a peer by the old gateway, and without tunnels."""
    return starter(monkeypatch)


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
    """Return each fault at each call; all but one kind of fault are for the whole matrix."""
    return [
        pytest.param(fault, at, marks=() if fault == everyday else pytest.mark.matrix)
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
