# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What keeps the old gateway when a server's default gateway changes, at once and later; the scripts are executed."""

from __future__ import annotations

import typing as t

import pytest
from one_server import Driven, Starter, starter

from ansible_collections.aovpn.ikev2.plugins.action import rras_default_gateway, rras_facts
from lab.system import find_value
from lab.windows import ADDED_ROUTES, MARKER_KEY

OLD, NEW, INSIDE = "10.10.0.254", "10.10.0.1", "192.168.10.1"
WANTED: dict[str, t.Any] = {"gateway": NEW, "rollback_timeout": 10}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Driven:
    """Return a server without peers beyond the old gateway."""
    server = starter(monkeypatch)()
    server.host.state["radius_servers"] = []
    return server


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Starter:
    """Return what makes a server."""
    return starter(monkeypatch)


def connect(server: Driven, address: str, port: int, remote_port: int = 50000) -> None:
    """Let an address be connected."""
    session = {
        "local_address": "10.10.0.11",
        "local_port": port,
        "remote_address": address,
        "remote_port": remote_port,
    }
    server.host.state["sessions"].append(session)


def hop(server: Driven, prefix: str, store: str = "active") -> str | None:
    """Return the next hop of a prefix in a store."""
    return next((item["next_hop"] for item in server.host.state["routes"][store] if item["dest"] == prefix), None)


def codes(result: dict[str, t.Any]) -> list[tuple[str, str]]:
    """Return the codes of a result's findings, with their severity."""
    return [(finding["code"], finding["severity"]) for finding in result["findings"]]


def single_card(server: Driven) -> None:
    """Take the internal card away: everything internal goes through the one default gateway."""
    state = server.host.state
    state["nics"] = state["nics"][:1]
    for store in state["routes"]:
        state["routes"][store] = [item for item in state["routes"][store] if item["if_index"] != 7]
    state["sessions"][0] |= {"local_address": "10.10.0.11", "remote_address": "10.10.0.5"}
    state["dns_servers"] = ["172.16.1.2"]


# Nobody said what has to keep the old gateway


@pytest.mark.parametrize("check_mode", [False, True])
def test_one_card_whose_internal_networks_nobody_named_is_not_changed(server: Driven, check_mode: bool) -> None:
    single_card(server)
    for number, address in enumerate(("172.16.5.9", "172.16.5.10", "172.20.0.7", "10.10.0.77")):
        connect(server, address, 50000 + number, 443)
    before = server.table()
    result = server.run(rras_default_gateway, check_mode, **WANTED)
    assert (result["final_state"], result["changes"], server.calls) == ("unchanged", [], ["read_network.ps1"])
    assert server.table() == before
    assert codes(result) == [("internal_routes_lost", "blocker")]
    assert result["findings"][0]["object"] == OLD
    assert f"internal_routes_lost: {NEW} replaces the default route by {OLD} on External" in result["msg"]
    assert (
        "172.16.1.0/24 (172.16.1.2), 172.16.5.0/24 (172.16.5.9, 172.16.5.10), 172.20.0.0/24 (172.20.0.7)."
        in result["msg"]
    )
    assert "10.10.0.77" not in result["msg"]


def test_internal_networks_are_listed_before_the_clients_of_other_services(server: Driven) -> None:
    single_card(server)
    for number in range(20):
        connect(server, f"9.9.{number}.7", 443, 50000 + number)
    message = server.run(rras_default_gateway, check_mode=True, **WANTED)["msg"]
    assert "Connected through it now: 172.16.1.0/24 (172.16.1.2), 9.9.0.0/24 (9.9.0.7), " in message
    assert " and 11 more subnets." in message


def test_two_cards_whose_inner_default_route_would_be_removed_are_not_changed(server: Driven) -> None:
    for store in server.host.state["routes"].values():
        store.append({"dest": "0.0.0.0/0", "next_hop": INSIDE, "if_index": 7, "metric": 1, "protocol": "NetMgmt"})
    result = server.run(rras_default_gateway, **WANTED, remove_other_defaults=True)
    assert f"{NEW} replaces the default route by {INSIDE} on Internal and {OLD} on External" in result["msg"]
    assert "Nobody is connected through it now." in result["msg"]
    assert result["final_state"] == "unchanged"


@pytest.mark.matrix
@pytest.mark.parametrize("answer", [{"preserve_routes": []}, {"accept": ["internal_routes_lost"]}])
def test_an_administrator_says_that_nothing_has_to_keep_it(server: Driven, answer: dict[str, t.Any]) -> None:
    single_card(server)
    assert server.run(rras_default_gateway, check_mode=True, **WANTED, **answer)["changed"] is True
    result = server.run(rras_default_gateway, **WANTED, **answer)
    assert result["final_state"] == "changed"
    assert hop(server, "0.0.0.0/0", "persistent") == NEW
    # DNS has a route in any case.
    assert hop(server, "172.16.1.2/32", "persistent") == OLD


def test_the_facts_have_what_blocks_the_change(server: Driven) -> None:
    single_card(server)
    result = server.run(rras_facts, gateway="10.10.0.99")
    assert [pair for pair in codes(result["gateway"]) if pair[1] == "blocker"] == [
        ("gateway_not_answering", "blocker"),
        ("internal_routes_lost", "blocker"),
    ]
    assert [change["id"] for change in result["changes"]] == ["0.0.0.0/0", "172.16.1.2/32"]


def test_a_route_that_takes_over_from_one_that_stays_takes_its_traffic_as_well(server: Driven) -> None:
    for store in server.host.state["routes"].values():
        store[:] = [item for item in store if item["dest"] != "0.0.0.0/0"]
        store.append({"dest": "0.0.0.0/0", "next_hop": INSIDE, "if_index": 7, "metric": 900, "protocol": "NetMgmt"})
    server.host.state["radius_servers"] = ["172.16.0.9"]
    assert "internal_routes_lost" in server.run(rras_default_gateway, **WANTED)["msg"]
    assert server.run(rras_default_gateway, **WANTED, preserve_routes=[])["final_state"] == "changed"
    assert hop(server, "172.16.0.9/32") == INSIDE


# Later


def test_what_is_declared_later_is_made_later(started: Starter) -> None:
    """A prefix, a domain controller, a DNS server, a RADIUS server and a second execution node, after the change."""
    server = started()
    server.host.state["radius_servers"] = []
    assert server.run(rras_default_gateway, **WANTED, preserve_routes=[])["final_state"] == "changed"
    server.host.reboot()
    server.host.state |= {
        "radius_servers": ["172.16.0.9"],
        "dns_servers": ["172.16.1.2"],
        "domain_controllers": ["172.17.0.3"],
    }
    connect(server, "172.18.0.4", 5986)
    later = {**WANTED, "preserve_routes": ["100.64.0.0/10"]}
    due = {f"{address}/32" for address in ("172.16.0.9", "172.16.1.2", "172.17.0.3", "172.18.0.4")} | {"100.64.0.0/10"}
    told = server.run(rras_facts, gateway=NEW, preserve_routes=["100.64.0.0/10"])
    assert {(change["id"], change["after"]) for change in told["changes"]} == {(prefix, OLD) for prefix in due}
    assert server.run(rras_default_gateway, check_mode=True, **later)["changes"] == told["changes"]
    result = server.run(rras_default_gateway, **later)
    assert (result["final_state"], result["changes"]) == ("changed", told["changes"])
    assert {hop(server, prefix, store) for prefix in due for store in ("active", "persistent")} == {OLD}
    again = started(host=server.host)
    assert again.run(rras_default_gateway, **later)["changes"] == []
    assert again.calls == ["read_network.ps1"]


@pytest.mark.matrix
def test_the_gateway_that_is_remembered_is_the_one_before_the_first_load_balancer(started: Starter) -> None:
    """During a migration, one load balancer replaces the other; and after a restoration, nothing is remembered."""
    server = started()
    server.host.state["radius_servers"] = []
    server.host.state["gateways"]["10.10.0.2"] = ["0.0.0.0/0"]
    snapshot = server.run(rras_default_gateway, state="gathered")["before"]
    options: dict[str, t.Any] = {"rollback_timeout": 10, "preserve_routes": []}
    for gateway in (NEW, "10.10.0.2"):
        assert server.run(rras_default_gateway, gateway=gateway, **options)["final_state"] == "changed"
    options["preserve_routes"] = ["100.64.0.0/10"]
    assert server.run(rras_default_gateway, gateway="10.10.0.2", **options)["final_state"] == "changed"
    assert hop(server, "100.64.0.0/10") == OLD
    back = server.run(rras_default_gateway, state="restored", snapshot=snapshot, rollback_timeout=10)
    assert back["final_state"] == "changed"
    assert [
        (find_value(server.host.state, MARKER_KEY, name) or {})["data"] for name in (ADDED_ROUTES, "FormerGateways")
    ] == [[], []]


def test_nothing_stays_on_the_load_balancer_where_the_gateway_before_it_is_set_again(started: Starter) -> None:
    server = started()
    server.host.state["radius_servers"] = []
    server.host.state["gateways"]["10.10.0.2"] = ["0.0.0.0/0"]
    for gateway in (NEW, "10.10.0.2"):
        options: dict[str, t.Any] = {"gateway": gateway, "rollback_timeout": 10, "preserve_routes": []}
        assert server.run(rras_default_gateway, **options)["final_state"] == "changed"
    server.host.state["radius_servers"] = ["172.16.0.9"]
    back: dict[str, t.Any] = {"gateway": OLD, "rollback_timeout": 10, "preserve_routes": ["100.64.0.0/10"]}
    result = server.run(rras_default_gateway, **back)
    assert [(change["id"], change["after"]) for change in result["changes"]] == [("0.0.0.0/0", OLD)]
    server.host.state["radius_servers"] += ["172.16.0.10"]
    assert server.run(rras_default_gateway, **back)["changes"] == []
    # The next load balancer replaces it as the first one did.
    assert server.run(rras_default_gateway, **WANTED, preserve_routes=["100.64.0.0/10"])["final_state"] == "changed"
    assert {hop(server, prefix) for prefix in ("100.64.0.0/10", "172.16.0.9/32", "172.16.0.10/32")} == {OLD}


def test_a_version_that_did_not_remember_has_left_routes_that_name_the_gateway(started: Starter) -> None:
    server = started()
    assert server.run(rras_default_gateway, **WANTED, preserve_routes=[])["final_state"] == "changed"
    del server.host.state["registry"][MARKER_KEY]["FormerGateways"]
    server.host.state["registry"][MARKER_KEY][ADDED_ROUTES]["data"] += ["", "nonsense"]
    server.run(rras_default_gateway, **WANTED, preserve_routes=["100.64.0.0/10"])
    assert hop(server, "100.64.0.0/10", "persistent") == OLD


def test_what_cannot_be_made_is_reported(server: Driven) -> None:
    """The load balancer has always been the gateway, and nothing says which other one there is."""
    for store in server.host.state["routes"].values():
        for item in store:
            item["next_hop"] = item["next_hop"].replace(OLD, NEW)
    result = server.run(rras_default_gateway, **WANTED, preserve_routes=["100.64.0.0/10"])
    assert (result["changed"], codes(result)) == (False, [("internal_routes_lost", "warning")])
    assert "100.64.0.0/10" in result["findings"][0]["message"]
    server.host.state["radius_servers"] = ["172.16.0.9"]
    assert codes(server.run(rras_default_gateway, **WANTED)) == [("internal_routes_lost", "info")]


@pytest.mark.matrix
def test_a_former_gateway_that_is_gone_is_not_used(started: Starter) -> None:
    server = started()
    server.host.state["radius_servers"] = []
    assert server.run(rras_default_gateway, **WANTED, preserve_routes=[])["final_state"] == "changed"
    server.host.state["registry"][MARKER_KEY]["FormerGateways"]["data"] = [f"10.99.0.1 {NEW} External", "nonsense"]
    result = server.run(rras_default_gateway, **WANTED, preserve_routes=["100.64.0.0/10"])
    assert (result["changed"], codes(result)) == (False, [("internal_routes_lost", "warning")])


@pytest.mark.matrix
def test_a_route_of_ours_that_a_restart_took_away_is_made_again(started: Starter) -> None:
    server = started()
    options = {**WANTED, "preserve_routes": ["100.64.0.0/10"]}
    assert server.run(rras_default_gateway, **options)["final_state"] == "changed"
    persistent = server.host.state["routes"]["persistent"]
    persistent[:] = [item for item in persistent if item["dest"] != "100.64.0.0/10"]
    for _dummy in range(2):
        assert server.run(rras_default_gateway, **options)["final_state"] == "changed"
        assert hop(server, "100.64.0.0/10", "persistent") == OLD
        server.host.reboot()
        active = server.host.state["routes"]["active"]
        active[:] = [item for item in active if item["dest"] != "100.64.0.0/10"]


# In the active store first, and not for ever


def test_nothing_is_persistent_before_the_new_gateway_is_confirmed(server: Driven) -> None:
    """Whatever happens before that, a restart undoes it, the routes that keep peers reachable as well."""
    server.host.state["radius_servers"] = ["172.16.0.9"]
    seen: list[list[str]] = []

    def passes() -> None:
        server.host.tasks.run_due()
        if server.calls.count("change_routes.ps1") < 2:
            seen.append([item["dest"] for item in server.host.state["routes"]["persistent"]])

    server.clock.passes = passes
    assert server.run(rras_default_gateway, **WANTED, preserve_routes=["100.64.0.0/10"])["final_state"] == "changed"
    assert server.calls[:4] == ["read_network.ps1", "arm_rollback.ps1", "change_routes.ps1", "apply_detached.ps1"]
    assert {tuple(each) for each in seen} == {("0.0.0.0/0", "192.168.0.0/16")}


def test_a_restart_before_the_confirmation_leaves_nothing(started: Starter) -> None:
    server = started("gone", at=4)
    before = server.table()
    server.run(rras_default_gateway, **WANTED, preserve_routes=["100.64.0.0/10"])
    server.host.reboot()
    server.clock.sleep(90)
    assert (server.table(), server.host.state["tasks"]) == (before, {})


@pytest.mark.parametrize("port", [3389, pytest.param(5986, marks=pytest.mark.matrix)])
def test_a_public_address_that_is_only_connected_is_kept_until_the_next_restart(started: Starter, port: int) -> None:
    server = started()
    connect(server, "198.51.100.77", port)
    options = {**WANTED, "preserve_routes": []}
    result = server.run(rras_default_gateway, **options)
    assert result["final_state"] == "changed"
    assert codes(result) == [("firewall_profile", "warning"), ("internal_routes_lost", "warning")]
    assert "that keeps 198.51.100.77/32 on the old gateway is not made persistent" in result["findings"][1]["message"]
    assert ("198.51.100.77/32", OLD) in {(change["id"], change["after"]) for change in result["changes"]}
    assert [hop(server, "198.51.100.77/32", store) for store in ("active", "persistent")] == [OLD, None]
    assert [hop(server, "172.16.0.9/32", store) for store in ("active", "persistent")] == [OLD, OLD]
    again = server.run(rras_default_gateway, **options)
    assert (again["changes"], codes(again)) == ([], [])
    server.host.reboot()
    assert hop(server, "198.51.100.77/32") is None
    # Whoever is connected later has come by the new gateway.
    assert server.run(rras_default_gateway, **options)["changes"] == []


def test_a_public_address_that_is_configured_is_kept_for_good(server: Driven) -> None:
    """Also if it is connected at that moment, as a domain controller from which somebody works."""
    server.host.state["dns_servers"] = ["198.51.100.53"]
    connect(server, "198.51.100.53", 3389)
    assert server.run(rras_default_gateway, **WANTED, preserve_routes=[])["final_state"] == "changed"
    assert hop(server, "198.51.100.53/32", "persistent") == OLD


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (
            [f"172.17.{site}.{host}" for site in range(4) for host in range(1, 51)],
            {f"172.17.{site}.0/24" for site in range(4)},
        ),
        ([f"172.{16 + site % 10}.{site}.5" for site in range(200)], {f"172.{16 + site}.0.0/16" for site in range(10)}),
        ([f"10.{site}.1.5" for site in range(20, 220)], {"10.0.0.0/8"}),
        ([f"172.17.1.{host}" for host in range(1, 17)], {f"172.17.1.{host}/32" for host in range(1, 17)}),
    ],
    ids=["subnets", "sites", "all", "few"],
)
def test_a_domain_with_hundreds_of_controllers_needs_few_routes(
    server: Driven, addresses: list[str], expected: set[str]
) -> None:
    server.host.state["domain_controllers"] = addresses
    count = {"command": "Get-NetRoute", "kind": "delay", "seconds": 0, "times": 999}
    server.host.state["cmdlet_faults"] = [count]
    result = server.run(rras_default_gateway, **WANTED, preserve_routes=[])
    assert result["final_state"] == "changed"
    assert {change["id"] for change in result["changes"]} == {"0.0.0.0/0", *expected}
    # Each script reads each store once, and the reader IPv6 as well.
    assert t.cast("int", count["seen"]) == sum(
        {"read_network.ps1": 3, "change_routes.ps1": 2, "apply_detached.ps1": 2}.get(call, 0) for call in server.calls
    )
    assert server.run(rras_default_gateway, **WANTED, preserve_routes=[])["changes"] == []


def test_a_peer_within_a_declared_prefix_needs_no_route_of_its_own(server: Driven) -> None:
    server.host.state["radius_servers"] = ["172.16.0.9"]
    result = server.run(rras_default_gateway, **WANTED, preserve_routes=["172.16.0.0/12"])
    assert {change["id"] for change in result["changes"]} == {"0.0.0.0/0", "172.16.0.0/12"}


@pytest.mark.parametrize("check_mode", [True, False])
def test_more_prefixes_than_a_task_can_take_are_refused_in_check_mode_too(server: Driven, check_mode: bool) -> None:
    before = server.table()
    result = server.run(
        rras_default_gateway, check_mode, **WANTED, preserve_routes=[f"172.{n}.0.0/24" for n in range(100)]
    )
    assert "the change has too many routes for one scheduled task" in result["msg"]
    assert (result["final_state"], server.table(), server.calls) == ("unchanged", before, ["read_network.ps1"])
