# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Default routes that something else makes again: the RRAS console, or an adapter's own settings; the scripts are executed."""

from __future__ import annotations

import typing as t

import pytest
from one_server import Driven, starter

from ansible_collections.aovpn.ikev2.plugins.action import rras_default_gateway, rras_facts
from lab.cmdlets_network import settings_key

OLD, NEW, INSIDE = "10.10.0.254", "10.10.0.1", "192.168.10.1"
WANTED: dict[str, t.Any] = {"gateway": NEW, "preserve_routes": []}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Driven:
    """Return a server."""
    return starter(monkeypatch)()


def others(server: Driven) -> list[tuple[str, str]]:
    """Return the other default routes that are reported: the interface, and the message."""
    found = server.run(rras_facts, **WANTED)["gateway"]["findings"]
    return [(one["object"], one["message"]) for one in found if one["code"] == "other_default_route"]


@pytest.mark.matrix
def test_a_static_route_of_the_console_comes_back_with_the_service(server: Driven) -> None:
    state = server.host.state
    state["routes"]["persistent"] = [item for item in state["routes"]["persistent"] if item["dest"] != "0.0.0.0/0"]
    state["console_routes"] = [
        {"dest": "0.0.0.0/0", "next_hop": OLD, "if_index": 4, "metric": 256, "protocol": "NetMgmt"}
    ]
    ((interface, message),) = others(server)
    assert (interface, f"The default route via {OLD} is in use and not persistent" in message) == ("External", True)
    assert server.run(rras_default_gateway, rollback_timeout=10, **WANTED)["final_state"] == "changed"
    assert others(server) == []
    server.host.reboot()
    assert others(server) == [(interface, message)]


def test_a_gateway_in_the_settings_of_an_adapter_comes_back_with_the_card(server: Driven) -> None:
    settings = server.host.state["registry"]
    for index, hop in ((4, OLD), (7, INSIDE)):
        settings[settings_key(index)] = {"DefaultGateway": {"type": "multistring", "data": [hop]}}
    # That of the external card is the same as the persistent route, with which it goes.
    ((interface, message),) = others(server)
    assert (interface, f"have the default gateway {INSIDE}" in message) == ("Internal", True)
    assert server.run(rras_default_gateway, rollback_timeout=10, **WANTED)["final_state"] == "changed"
    assert [name for name, _message in others(server)] == ["Internal"]
    assert settings[settings_key(4)]["DefaultGateway"]["data"] == []
    server.host.reboot()
    ((interface, message),) = others(server)
    assert f"There is another default route via {INSIDE}" in message
