# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What version 0.1.0 left on a server. Its scripts are in previous/, as they were; its tasks ran their files."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from faults import test_servers
from faults.test_servers import NEW, OLD, PATIENT, PEER
from one_server import Driven, Starter

from ansible_collections.aovpn.ikev2.plugins.action import rras_default_gateway, rras_facts, rras_ike_limit
from lab.system import find_value
from lab.windows import ADDED_ROUTES, APPLY, IKE_LIMIT, IKEEXT_KEY, MARKER_KEY, ROLLBACK

PREVIOUS = Path(__file__).parent / "previous"
started, impatient = test_servers.started, test_servers.impatient
pytestmark = pytest.mark.usefixtures("impatient")
EXTERNAL = {"destination": "0.0.0.0/0", "interface_index": 4, "metric": 256, "interface": "External"}
SWITCH = [
    {"action": "add", "store": "ActiveStore", "next_hop": NEW, **EXTERNAL},
    {"action": "remove", "store": "ActiveStore", "next_hop": OLD, **EXTERNAL},
]
PRESERVED = {**EXTERNAL, "destination": f"{PEER}/32", "next_hop": OLD}
BACK = [
    {"action": "add", "store": "both", "next_hop": OLD, **EXTERNAL},
    *(
        {"action": "remove", "store": store, "next_hop": NEW, **EXTERNAL}
        for store in ("ActiveStore", "PersistentStore")
    ),
    *({"action": "remove", "store": store, **PRESERVED} for store in ("ActiveStore", "PersistentStore")),
]


DAMAGED = "its files are damaged"


def text(script: str) -> str:
    """Return one of the scripts of version 0.1.0."""
    return (PREVIOUS / script).read_text(encoding="utf-8")


def does(server: Driven, script: str, **parameters: t.Any) -> None:
    """Run a script of version 0.1.0."""
    done = server.host.module("win_powershell", {"script": text(script), "parameters": parameters, "depth": 5})
    if done["failed"]:
        raise RuntimeError(done["error"])


def interrupted(server: Driven, seconds: int = 5) -> None:
    """Leave the server as a run of version 0.1.0 that was killed after the switch."""
    line = f"{PEER}/32 {OLD} External"
    does(server, "change_routes.ps1", Steps=[{"action": "add", "store": "both", **PRESERVED}], Remember=[line])
    scripts = {"ChangeScript": text("change_routes.ps1"), "EndScript": text("end_change.ps1")}
    does(server, "arm_rollback.ps1", Steps=BACK, Remember=[], Seconds=seconds, **scripts)
    does(server, "apply_detached.ps1", Steps=SWITCH)
    server.host.tasks.run_due()
    hops = {line[:3:2] for line in server.table() if line[1] == "0.0.0.0/0"}
    if hops != {("active", NEW), ("persistent", OLD)} or len(server.host.files()) != 4:
        raise RuntimeError("the change was not made")


def remembered(server: Driven) -> t.Any:
    """Return the routes that a server knows as the collection's own."""
    return (find_value(server.host.state, MARKER_KEY, ADDED_ROUTES) or {"data": None})["data"]


def converged(server: Driven) -> bool:
    """Report whether the new gateway is in both stores, the peer's route is known, and nothing is left of a change."""
    hops = {line[:3:2] for line in server.table() if line[1] == "0.0.0.0/0"}
    left = (server.host.state["tasks"], server.host.files(), remembered(server))
    return hops == {("active", NEW), ("persistent", NEW)} and left == ({}, [], [f"{PEER}/32 {OLD} External"])


def test_its_rollback_is_awaited_and_runs(started: Starter) -> None:
    server = started()
    interrupted(server)
    check = server.run(rras_default_gateway, check_mode=True, **PATIENT)
    assert [finding["code"] for finding in check["findings"]] == ["rollback_pending"]
    result = server.run(rras_default_gateway, **PATIENT)
    assert (result["final_state"], server.host.state["fired"]) == ("changed", [APPLY, ROLLBACK, APPLY])
    assert converged(server)


@pytest.mark.matrix
@pytest.mark.parametrize(
    "why", ["a policy", *(pytest.param(why, marks=pytest.mark.matrix) for why in (DAMAGED, "its triggers have ended"))]
)
def test_its_rollback_is_carried_out_where_its_files_cannot_run(started: Starter, why: str) -> None:
    server = started()
    interrupted(server)
    if why == "a policy":
        server.host.state["policy"] = {"MachinePolicy": "AllSigned"}
    elif why == "its triggers have ended":
        server.host.state["tasks"][ROLLBACK] |= {"due": None, "triggers": []}
    else:
        (server.host.drive / "Program Files" / "aovpn.ikev2" / "end_change.ps1").unlink()
    before = server.run(rras_facts, settled=True)
    assert "the server answers, but its rollback does not run" in before["msg"]
    result = server.run(rras_default_gateway, **PATIENT)
    assert result["final_state"] == "changed", result
    assert converged(server)


@pytest.mark.matrix
@pytest.mark.parametrize(
    "content", ["[]", pytest.param('{"steps": [{"action": "add"}], "remember": []}', marks=pytest.mark.matrix)]
)
def test_a_rollback_that_cannot_be_read_is_left_alone(started: Starter, content: str) -> None:
    server = started()
    interrupted(server)
    server.host.state["policy"] = {"MachinePolicy": "AllSigned"}
    before = server.table()
    (server.host.drive / "Program Files" / "aovpn.ikev2" / "rollback.json").write_text(content, encoding="utf-8")
    result = server.run(rras_default_gateway, **PATIENT)
    assert "rollback.json, cannot be read" in result["msg"]
    assert (result["final_state"], server.table(), ROLLBACK in server.host.state["tasks"]) == (
        "unchanged",
        before,
        True,
    )


@pytest.mark.matrix
def test_a_rollback_for_other_indexes_is_left_alone(started: Starter) -> None:
    server = started()
    interrupted(server, 99)
    server.host.state["policy"] = {"MachinePolicy": "AllSigned"}
    server.host.reboot(indexes={4: 7, 7: 4})
    before = server.table()
    result = server.run(rras_default_gateway, **PATIENT)
    assert "is for another order of the network interfaces" in result["msg"]
    assert (result["final_state"], server.table()) == ("unchanged", before)


def test_its_routes_are_taken_away_by_a_restoration(started: Starter) -> None:
    server = started()
    first = server.run(rras_default_gateway, state="gathered")["before"]
    before = server.table()
    interrupted(server)
    does(server, "change_routes.ps1", Steps=[{**SWITCH[0], "store": "both"}, {**SWITCH[1], "store": "PersistentStore"}])
    does(server, "end_change.ps1")
    assert remembered(server) == [f"{PEER}/32 {OLD} External"]
    result = server.run(rras_default_gateway, state="restored", snapshot=first, rollback_timeout=120)
    assert result["final_state"] == "changed", result
    assert (server.table(), remembered(server)) == (before, [])


@pytest.mark.parametrize("since", ["2026-01-05T06.00.20.0000001Z", "2569-01-05T07:00:00.0000000Z"])
def test_its_mark_of_a_pending_restart_is_understood_once(started: Starter, since: str) -> None:
    server = started()
    registry = server.host.state["registry"]
    registry[IKEEXT_KEY][IKE_LIMIT] = {"type": "dword", "data": 50000}
    registry[MARKER_KEY] = {"IkeextRestartOwedSince": {"type": "string", "data": since}}
    result = server.run(rras_ike_limit, limit=50000)
    assert (result["restarted"], result["changes"], result["restart_pending"]) == (True, [], False)
    assert json.dumps(registry).count("IkeextRestartOwedSince") == 0
    assert server.run(rras_ike_limit, limit=50000)["restarted"] is False
