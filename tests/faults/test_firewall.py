# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A network that is a new, public one behind the new gateway, so that the firewall shuts out the controller; the scripts are executed."""

from __future__ import annotations

import typing as t

import pytest
from one_server import Driven, starter

from ansible_collections.aovpn.ikev2.plugins.action import rras_default_gateway, rras_facts
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows import commands
from lab.cmdlets_network import category_of

NEW = "10.10.0.1"
WANTED: dict[str, t.Any] = {"gateway": NEW, "rollback_timeout": 10, "preserve_routes": []}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Driven:
    """Return a server that is managed through its external card, from another network, and whose network is new behind the new gateway."""
    monkeypatch.setattr(commands, "IDENTIFIED", 1)
    server = starter(monkeypatch)()
    server.host.state["sessions"][0] |= {"local_address": "10.10.0.11", "remote_address": "172.16.0.50"}
    server.host.state["new_networks"] = [NEW]
    return server


def codes(result: dict[str, t.Any]) -> list[str]:
    """Return the codes of a result's findings."""
    return [finding["code"] for finding in result["findings"]]


def test_the_firewall_is_named_before_and_after(server: Driven) -> None:
    before = server.table()
    assert codes(server.run(rras_facts, gateway=NEW, preserve_routes=[])["gateway"]) == ["firewall_profile"]
    assert codes(server.run(rras_default_gateway, check_mode=True, **WANTED)) == ["firewall_profile"]
    result = server.run(rras_default_gateway, **WANTED)
    assert "did not answer through the new gateway (perhaps its network became a public one, see" in result["msg"]
    assert (result["final_state"], server.table()) == ("rolled_back", before)


def test_a_network_keeps_its_category(server: Driven) -> None:
    result = server.run(rras_default_gateway, **WANTED, keep_network_category=True)
    assert (result["final_state"], codes(result)) == ("changed", [])
    assert category_of(server.host.state, server.host.state["nics"][0]) == "Private"


@pytest.mark.parametrize("category", ["DomainAuthenticated", "Public"])
def test_another_category_is_no_reason_to_warn_and_is_left_alone(server: Driven, category: str) -> None:
    state = server.host.state
    state["categories"] = {"External": category, f"External behind {NEW}": category}
    state["sessions"][0]["remote_address"] = "172.16.0.50" if category == "DomainAuthenticated" else "10.10.0.5"
    result = server.run(rras_default_gateway, **WANTED, keep_network_category=True)
    assert (result["final_state"], codes(result)) == ("changed", [])
    assert category_of(state, state["nics"][0]) == category


def test_a_network_that_becomes_public_a_while_later_is_seen_in_time(server: Driven) -> None:
    """Windows takes its time to find out which network that is: nothing is confirmed before."""
    state, due = server.host.state, server.clock.passes
    before, switched = server.table(), list[float]()
    del state["new_networks"]

    def passes() -> None:
        due()
        if "apply_detached.ps1" in server.calls:
            switched.append(server.clock.seconds)
            if server.clock.seconds >= switched[0] + 40:
                state["new_networks"] = [NEW]

    server.clock.passes = passes
    result = server.run(rras_default_gateway, gateway=NEW, preserve_routes=[])
    assert "(perhaps its network became a public one, see" in result["msg"]
    assert (result["final_state"], server.table(), state["tasks"]) == ("rolled_back", before, {})
    assert server.host.is_dark() is False


def test_a_network_that_stays_private_is_confirmed_when_that_is_known(
    server: Driven, capsys: pytest.CaptureFixture[str]
) -> None:
    del server.host.state["new_networks"]
    result = server.run(rras_default_gateway, gateway=NEW, preserve_routes=[])
    assert (result["final_state"], codes(result)) == ("changed", ["firewall_profile"])
    assert (
        "Waiting until Windows knows the network behind the new gateway, 60 seconds at most." in capsys.readouterr().out
    )
    assert server.run(rras_default_gateway, gateway=NEW, preserve_routes=[])["changes"] == []
