# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A gateway that answers for its address and forwards nothing: something beyond it has to accept a connection; the scripts are executed."""

from __future__ import annotations

import typing as t

import pytest
from one_server import Driven, starter

from ansible_collections.aovpn.ikev2.plugins.action import rras_default_gateway, rras_facts

OLD, NEW = "10.10.0.254", "10.10.0.1"
BEYOND = "203.0.113.80"
WANTED: dict[str, t.Any] = {"gateway": NEW, "rollback_timeout": 60, "preserve_routes": ["172.16.0.0/12"]}
PROBED = {**WANTED, "probe": f"{BEYOND}:443"}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Driven:
    """Return a server."""
    return starter(monkeypatch)()


@pytest.mark.parametrize("probe", [f"{BEYOND}:443", "probe.example.net:443"])
def test_a_gateway_that_leads_to_the_probe_is_confirmed(server: Driven, probe: str) -> None:
    server.host.state["names"]["probe.example.net"] = [BEYOND]
    result = server.run(rras_default_gateway, **{**PROBED, "probe": probe})
    assert result["final_state"] == "changed"
    assert server.calls.count("test_connection.ps1") == 1
    assert server.calls.index("test_connection.ps1") > server.calls.index("apply_detached.ps1")
    again = len(server.calls)
    assert server.run(rras_default_gateway, **PROBED)["changes"] == []
    assert server.calls[again:] == ["read_network.ps1"]


@pytest.mark.matrix
def test_a_gateway_that_forwards_nothing_is_not_confirmed(server: Driven) -> None:
    """The controller has a way of its own, and the gateway answers for its address: without a probe, nobody would notice."""
    server.host.state["gateways"][NEW] = []
    before = server.table()
    result = server.run(rras_default_gateway, **PROBED)
    assert f"gateway_not_answering: {BEYOND}:443 did not accept a connection through {NEW}" in result["msg"]
    assert (result["final_state"], server.table(), server.host.state["tasks"]) == ("rolled_back", before, {})
    accepted = server.run(rras_default_gateway, **PROBED, accept=["gateway_not_answering"])
    assert accepted["final_state"] == "changed"


def test_a_gateway_that_needs_a_moment_is_confirmed(server: Driven) -> None:
    server.host.state["closed_ports"] = [f"{BEYOND}:443"]

    def passes() -> None:
        server.host.tasks.run_due()
        if server.calls.count("test_connection.ps1") > 2:
            server.host.state["closed_ports"] = []

    server.clock.passes = passes
    assert server.run(rras_default_gateway, **PROBED)["final_state"] == "changed"


@pytest.mark.matrix
def test_a_gateway_that_is_already_in_use_is_tried_before_it_is_made_persistent(server: Driven) -> None:
    server.host.state["routes"]["active"][-2]["next_hop"] = NEW
    server.host.state["gateways"][NEW] = []
    result = server.run(rras_default_gateway, **PROBED)
    assert "gateway_not_answering" in result["msg"]
    assert "apply_detached.ps1" not in server.calls


@pytest.mark.parametrize("probe", ["172.16.0.9:1812", "10.10.0.77:443"])
@pytest.mark.parametrize("check_mode", [False, True])
def test_a_probe_that_is_not_beyond_the_gateway_proves_nothing(server: Driven, probe: str, check_mode: bool) -> None:
    result = server.run(rras_default_gateway, check_mode, **{**PROBED, "probe": probe})
    assert "gateway_not_answering: " in result["msg"]
    assert f"The way to {probe} is not through {NEW}, but " in result["msg"]
    assert (result["final_state"], server.calls) == ("unchanged", ["read_network.ps1"])
    told = server.run(rras_facts, **{name: PROBED[name] for name in ("gateway", "preserve_routes")}, probe=probe)
    assert "gateway_not_answering" in [finding["code"] for finding in told["gateway"]["findings"]]


@pytest.mark.matrix
def test_a_name_that_leads_elsewhere_or_nowhere_proves_nothing(server: Driven) -> None:
    server.host.state["names"]["inside.example.net"] = ["172.16.0.80"]
    for name, words in (
        (
            "inside.example.net",
            f"The way to inside.example.net:443 (172.16.0.80) is not through {NEW}, but through {OLD}",
        ),
        ("no.example.net", 'Exception calling "GetHostAddresses"'),
    ):
        result = server.run(rras_default_gateway, **{**PROBED, "probe": f"{name}:443"})
        assert (words in result["msg"], result["final_state"]) == (True, "rolled_back"), result["msg"]


@pytest.mark.parametrize(
    "probe",
    [
        "203.0.113.80",
        "203.0.113.80:0",
        ":443",
        "a b:443",
        "203.0.113.80:https",
        "[2001:db8::1]:443",
        "999.1.1.1:443",
        "1.2.3:443",
    ],
)
def test_what_is_no_probe_is_refused(server: Driven, probe: str) -> None:
    result = server.run(rras_default_gateway, **{**PROBED, "probe": probe})
    assert f"Option 'probe' is {probe!r}" in result["msg"]
    assert server.calls == []
