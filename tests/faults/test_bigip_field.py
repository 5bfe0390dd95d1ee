# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""BIG-IP: configurations as they are in the field, against the stand-in: gathered, in check mode, and changed."""

from __future__ import annotations

import re
import typing as t
from dataclasses import replace

import pytest

from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.adapter import BigIp as Adapter
from ansible_collections.aovpn.ikev2.plugins.module_utils._engine import Result, RunFailed, run
from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Endpoint
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Order, State
from lab.bigip import AUTOMAP, BigIp, Properties, forwarding, mcp, props, self_ip
from lab.direct import directly

IKE, NAT_T = NAMES = ("/Common/vs_ikev2_500", "/Common/vs_ikev2_4500")
PAIR = ", ".join(NAMES)
GOOD = {"10.10.0.11": "10.10.0.1", "10.10.0.12": "10.10.0.1"}
ORDER = Order(return_path=GOOD)
NONE = {"type": "none"}
STATES: tuple[tuple[State, bool], ...] = (("gathered", False), ("preserved", True), ("preserved", False))
"""Looking, in check mode, for real."""


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> BigIp:
    return directly(BigIp(), monkeypatch)


def go(device: BigIp, order: Order = ORDER, *, check_mode: bool = False, **options: t.Any) -> Result:
    device.log.clear()
    adapter = Adapter(Endpoint("bigip"), username="admin", password="lab-bigip-secret-1", **options)
    return run(adapter, order, check_mode=check_mode)


def found(result: Result, code: str) -> list[tuple[str, str]]:
    return [(finding.severity, finding.object) for finding in result.findings if finding.code == code]


def snat(device: BigIp, *names: str) -> list[t.Any]:
    return [device.state["virtual"][name]["sourceAddressTranslation"]["type"] for name in names]


def change(device: BigIp, order: Order = ORDER, **options: t.Any) -> list[Result]:
    """Look, predict and change; all three name the same changes, and a second run makes none."""
    results = []
    for state, check_mode in STATES:
        results.append(go(device, replace(order, state=state), check_mode=check_mode, **options))
        assert bool(device.state["saves"]) is (state == "preserved" and not check_mode)
    looked, predicted, changed = (result.as_dict()["changes"] for result in results)
    assert looked == predicted == changed != []
    assert not go(device, order, **options).changed
    return results


def blocked(device: BigIp, match: str, order: Order = ORDER, **options: t.Any) -> Result:
    """Look, and be refused in check mode and for real; nothing is written."""
    before = repr(device.state["virtual"])
    result = go(device, replace(order, state="gathered"), **options)
    for check_mode in (True, False):
        with pytest.raises(RunFailed, match=match) as caught:
            go(device, order, check_mode=check_mode, **options)
        assert caught.value.result.final_state == "unchanged"
    assert repr(device.state["virtual"]) == before
    return result


# IP versions


@pytest.mark.parametrize(
    ("address", "servers"),
    [
        ("2001:db8::60", ["10.10.0.11", "10.10.0.12"]),
        ("203.0.113.60", ["2001:db8::11"]),
        ("203.0.113.60", ["10.10.0.11", "2001:db8::11"]),
        ("2001:db8::60%2", ["10.10.0.11%2"]),
    ],
)
def test_a_virtual_server_that_joins_two_ip_versions_is_left_alone(
    device: BigIp, address: str, servers: list[str]
) -> None:
    nodes = {f"rras{number}": server for number, server in enumerate(servers)}
    names = device.add_pair("/Common/joins", address, servers=nodes)
    order = Order(addresses=(address,), return_path=dict.fromkeys(servers, "10.10.0.1"))
    looked = blocked(device, r"unsupported_mode at /Common/joins_500: .* are not of one IP version", order)
    assert found(looked, "unsupported_mode") == [("blocker", name) for name in names]


# Virtual servers that differ by source


@pytest.fixture
def inside(device: BigIp) -> list[str]:
    """Return the pair of the same address for the servers' own subnet, which automap brings the replies back for."""
    own = {"source": "10.10.0.0/24", "sourceAddressTranslation": AUTOMAP}
    names = ["/Common/inside_500", "/Common/inside_4500"]
    for name, other in zip(names, NAMES, strict=True):
        device.put("virtual", name, device.state["virtual"][other] | own)
    return names


@pytest.mark.parametrize("named", ["address", "services", "nothing"])
def test_virtual_servers_for_the_servers_own_subnet_are_blocked(device: BigIp, inside: list[str], named: str) -> None:
    order = {
        "address": replace(ORDER, addresses=("203.0.113.10",)),
        "services": replace(ORDER, services=tuple(inside)),
        "nothing": ORDER,
    }[named]
    looked = blocked(device, r"client_in_server_subnet at /Common/inside_500: .* 10\.10\.0\.0/24", order)
    assert sorted(found(looked, "client_in_server_subnet")) == [("blocker", name) for name in sorted(inside)]


def test_those_for_other_clients_are_changed_and_the_others_kept(device: BigIp, inside: list[str]) -> None:
    results = change(device, replace(ORDER, services=NAMES))
    assert (snat(device, *NAMES), snat(device, *inside)) == (["none"] * 2, ["automap"] * 2)
    for result in results:
        assert found(result, "client_in_server_subnet") == []
        assert sorted(name for _severity, name in found(result, "not_selected")) == sorted(inside)


def test_connections_of_virtual_servers_at_one_address_cannot_be_told_apart(device: BigIp, inside: list[str]) -> None:
    for port in (500, 4500):
        device.add_connection("198.51.100.7", "203.0.113.10", port)
    *_looked, changed = change(device, replace(ORDER, services=NAMES), clear_connections=True)
    assert len(device.state["connections"]) == 2
    assert "/Common/inside_500 has the address and the port of /Common/vs_ikev2_500" in str(changed.findings)


@pytest.mark.parametrize(
    ("source", "near"),
    [
        ("10.0.0.0/8", True),
        ("10.10.0.64/26", True),
        ("10.10.0.0%0/24", True),
        ("10.10.1.0/24", False),
        ("0.0.0.0%0/0", False),
    ],
)
def test_a_source_is_near_where_it_overlaps(device: BigIp, source: str, near: bool) -> None:
    for name in NAMES:
        device.state["virtual"][name]["source"] = source
    if near:
        blocked(device, "client_in_server_subnet")
    else:
        change(device)
    # One that keeps the source already is reported, and stops nothing.
    for name in NAMES:
        device.state["virtual"][name]["sourceAddressTranslation"] = NONE
    looked = go(device, replace(ORDER, state="gathered"))
    assert found(looked, "client_in_server_subnet") == [("warning", name) for name in NAMES if near]


# What the servers send by themselves


def forward(device: BigIp, *ways: Properties) -> None:
    """Let nothing but this forward."""
    del device.state["virtual"]["/Common/vs_forward"]
    for number, way in enumerate(ways):
        device.put("virtual", f"/Common/forward{number}", way)


ROUTERS = forwarding() | {"pool": "/Common/p_web"}
del ROUTERS["ipForward"]
INTERNAL = ["/Common/internal"]


@pytest.mark.parametrize(
    "ways",
    [
        [forwarding()],
        [forwarding(vlansEnabled=True, vlans=INTERNAL)],
        [forwarding(source="10.10.0.0/16")],
        [forwarding(ipProtocol="tcp"), forwarding(ipProtocol="udp")],
        [forwarding("0.0.0.0", "128.0.0.0"), forwarding("128.0.0.0", "128.0.0.0")],
        [forwarding(snat=AUTOMAP)],
        [ROUTERS],
        [forwarding() | props("trafficMatchingCriteria=/Common/criteria")],
        [forwarding() | props("destination=/Common/every.net:0")],
    ],
)
def test_a_device_that_forwards_for_its_servers(device: BigIp, ways: list[Properties]) -> None:
    forward(device, *ways)
    assert [found(result, "forwarding_mode") for result in change(device)] == [[]] * 3


@pytest.mark.parametrize(
    ("ways", "words"),
    [
        ([], "No enabled forwarding virtual server accepts what the VPN servers send"),
        ([forwarding(enabled=False, disabled=True)], "No enabled"),
        ([forwarding(mask="255.0.0.0", address="10.0.0.0")], "Only a part .* by /Common/forward0"),
        ([forwarding(ipProtocol="tcp")], "Only a part .* by /Common/forward0"),
        ([forwarding("::", "any6")], "No enabled"),
        ([ROUTERS | {"destination": "/Common/0.0.0.0:443"}], "No enabled"),
        ([ROUTERS | {"translateAddress": "enabled"}], "No enabled"),
        ([ROUTERS | props("trafficMatchingCriteria=/Common/criteria")], "No enabled"),
        ([forwarding(vlansEnabled=True, vlans=["/Common/external"])], r"in 10\.10\.0\.0/24, VLAN /Common/internal"),
        ([forwarding(vlansDisabled=True, vlans=INTERNAL)], r"in 10\.10\.0\.0/24"),
        ([forwarding(source="10.20.0.0/16")], r"in 10\.10\.0\.0/24"),
        ([forwarding("0.0.0.0%2")], r"in 10\.10\.0\.0/24"),
    ],
)
def test_a_device_that_forwards_nothing(device: BigIp, ways: list[Properties], words: str) -> None:
    forward(device, *ways)
    for result in change(device):
        ((severity, _object),) = found(result, "forwarding_mode")
        assert severity == "warning"
        (message,) = [finding.message for finding in result.findings if finding.code == "forwarding_mode"]
        assert re.search(words, message)


@pytest.mark.parametrize("units", [1, 2])
def test_a_forwarding_virtual_server_whose_address_is_off_forwards_nothing(device: BigIp, units: int) -> None:
    if units == 2:
        device.add_peer(auto_sync=True)
    device.put("virtual-address", "/Common/0.0.0.0", props("address=any enabled=no trafficGroup=/Common/none"))
    *looked, changed = change(device)
    for result in looked:
        assert found(result, "forwarding_mode") == [("warning", "BIG-IP bigip")]
    # A change to a lone device does without the addresses.
    assert len(found(changed, "forwarding_mode")) == units - 1


def test_it_is_reported_in_every_state_from_the_list_that_is_read_anyway(device: BigIp) -> None:
    snapshot = go(device).snapshot
    forward(device)
    unchanged = go(device)
    assert (len(found(unchanged, "forwarding_mode")), unchanged.requests) == (1, 3)
    restored = go(device, Order(state="restored", snapshot=snapshot))
    assert (len(found(restored, "forwarding_mode")), restored.changed) == (1, True)
    # Another partition may have one that was not read.
    device.filter_includes_common = False
    device.add_pair("/Tenant/ike", "203.0.113.70", NONE)
    ((severity, _object),) = found(go(device, partition="Tenant"), "forwarding_mode")
    assert severity == "info"
    device.filter_includes_common = True
    device.put("virtual", "/Common/vs_forward", forwarding())
    for state, check_mode in STATES:
        assert (
            found(go(device, replace(ORDER, state=state), check_mode=check_mode, partition="Tenant"), "forwarding_mode")
            == []
        )


# What carries UDP


@pytest.mark.parametrize("order", [ORDER, replace(ORDER, addresses=("203.0.113.10",)), replace(ORDER, services=NAMES)])
def test_any_protocol_on_both_ports_is_a_pair(device: BigIp, order: Order) -> None:
    for name in NAMES:
        device.state["virtual"][name]["ipProtocol"] = "any"
    for result in change(device, order):
        assert [service.id for service in result.services] == list(NAMES)
        assert found(result, "not_selected") == []
    assert snat(device, *NAMES) == ["none", "none"]


def test_any_protocol_on_one_port_belongs_to_the_other(device: BigIp) -> None:
    device.state["virtual"][NAT_T]["ipProtocol"] = "any"
    change(device)
    assert snat(device, *NAMES) == ["none", "none"]


def test_any_protocol_on_any_port_is_changed_when_it_is_named(device: BigIp) -> None:
    device.add_virtual("/Common/all", "203.0.113.40", 0, ipProtocol="any")
    for result in change(device):
        assert found(result, "not_selected") == [("warning", "/Common/all")]
    assert snat(device, "/Common/all") == ["automap"]
    change_of_all = replace(ORDER, services=("all",))
    device.state["saves"] = 0
    assert [service.id for service in change(device, change_of_all)[0].services] == ["/Common/all"]
    assert snat(device, "/Common/all") == ["none"]
    # Beside a pair at its address, it carries neither port.
    device.add_pair("/Common/pair", "203.0.113.40", NONE)
    assert found(go(device), "not_selected") == []


@pytest.mark.parametrize("protocol", ["udp", "any"])
def test_lists_of_addresses_and_ports_are_reported_whatever_the_protocol(device: BigIp, protocol: str) -> None:
    lists = device.add_virtual("/Common/lists", "203.0.113.41", 0, ipProtocol=protocol)
    lists |= props("trafficMatchingCriteria=/Common/criteria destination=/Common/0.0.0.0:0")
    for result in change(device):
        assert found(result, "not_selected") == [("warning", "/Common/lists")]
        assert found(result, "unsupported_mode") == [("warning", "/Common/lists")]
    blocked(device, "unsupported_mode at /Common/lists: .* from lists", replace(ORDER, services=("lists",)))


# Partitions with a route domain of their own


@pytest.fixture(params=[True, False], ids=["the domain is left out", "the domain is shown"])
def tenant(device: BigIp, request: pytest.FixtureRequest) -> list[str]:
    """Return a pair in a partition whose default route domain has the same subnet as domain 0."""
    device.hides_domain = request.param
    device.put("partition", "vpn", {"defaultRouteDomain": 2})
    device.put("self", "/Common/vpn_float", self_ip("10.10.0.7%2/24", "vpn", floating=True))
    servers = {"rras1": "10.10.0.11%2"}
    device.put("virtual", "/Common/vpn_forward", forwarding("0.0.0.0%2"))
    return device.add_pair("/vpn/ike", "203.0.113.80%2", servers=servers)


def test_the_gateway_is_of_the_partitions_route_domain(device: BigIp, tenant: list[str]) -> None:
    order = Order(services=tuple(tenant), return_path={"10.10.0.11": "10.10.0.7"})
    for result in change(device, order, clear_connections=True):
        servers = [server for service in result.services for server in service.servers]
        assert [(server.address, server.gateways) for server in servers] == [("10.10.0.11%2", ("10.10.0.7%2",))] * 2
        assert found(result, "forwarding_mode") == []


def test_the_gateway_of_the_other_route_domain_is_wrong(device: BigIp, tenant: list[str]) -> None:
    order = Order(services=tuple(tenant), return_path={"10.10.0.11": "10.10.0.1"})
    blocked(device, r"return_path_wrong at 10\.10\.0\.11%2: .* Make it one of 10\.10\.0\.7%2", order)


def test_the_partition_is_asked_for_only_where_it_may_matter(device: BigIp, tenant: list[str]) -> None:
    def asked() -> int:
        return sum(entry.path == "/mgmt/tm/auth/partition" for entry in device.log)

    go(device, replace(ORDER, services=NAMES, state="gathered"))
    assert asked() == 0
    looked = go(device, replace(ORDER, services=NAMES))
    assert (asked(), looked.requests) == (0, 14)
    changed = go(device, Order(services=tuple(tenant), return_path={"10.10.0.11": "10.10.0.7"}))
    assert asked() == 1
    assert changed.requests <= 15


def test_a_partition_that_is_not_shown_leaves_the_gateway_open(device: BigIp, tenant: list[str]) -> None:
    del device.state["partition"]["vpn"]
    order = Order(
        services=tuple(tenant), return_path={"10.10.0.11": "10.10.0.1"}, accept=frozenset({"return_path_wrong"})
    )
    blocked(device, "return_path_unverified at /vpn: The default route domain", order)


# Forwarding virtual servers


@pytest.fixture
def routed(device: BigIp) -> list[str]:
    """Return virtual servers that forward to the network of VPN servers with addresses of their own, and translate."""
    names = ["/Common/routed_500", "/Common/routed_4500"]
    for name, port in zip(names, (500, 4500), strict=True):
        made = forwarding("10.60.9.0", "255.255.255.0", AUTOMAP, ipProtocol="udp")
        device.put("virtual", name, made | {"destination": f"/Common/10.60.9.0:{port}"})
    return names


def test_a_forwarding_virtual_server_is_reported_as_what_it_is(device: BigIp, routed: list[str]) -> None:
    for result in change(device):
        assert sorted(found(result, "not_selected")) == sorted(("info", name) for name in routed)
    for order in (replace(ORDER, services=tuple(routed)), replace(ORDER, addresses=("10.60.9.0",))):
        looked = blocked(
            device,
            r"unsupported_mode at /Common/routed_500: This is a forwarding virtual server for 10\.60\.9\.0/24",
            order,
        )
        assert [service.address for service in looked.services] == ["10.60.9.0/24"] * 2
        assert "nPath" not in str(looked.findings)


def test_connections_are_never_cleared_by_the_first_address_of_a_network(device: BigIp, routed: list[str]) -> None:
    device.add_connection("198.51.100.7", "10.60.9.0", 500)
    accept = frozenset({"unsupported_mode", "return_path_unverified"})
    order = Order(services=tuple(routed), accept=accept)
    results = change(device, order, clear_connections=True)
    assert len(device.state["connections"]) == 1
    assert "/Common/routed_500 (10.60.9.0/24, udp 500) has no address of its own" in str(results[-1].findings)


def test_a_network_before_a_pool_is_changed_and_shown_with_its_mask(device: BigIp) -> None:
    names = device.add_pair("/Common/network", "10.60.9.0", mask="255.255.255.0")
    device.add_connection("198.51.100.7", "10.60.9.0", 500)
    results = change(device, replace(ORDER, services=tuple(names)), clear_connections=True)
    assert [service.address for service in results[0].services] == ["10.60.9.0/24"] * 2
    assert len(device.state["connections"]) == 1


def test_a_wildcard_that_translates_what_servers_send_is_reported_in_passing(device: BigIp) -> None:
    forward(device, forwarding(snat=AUTOMAP))
    for result in change(device):
        assert found(result, "not_selected") == [("info", "/Common/forward0")]


# Members out of service


def put(device: BigIp, port: int, node: str, text: str) -> None:
    device.state["pool"][f"/Common/p_ikev2_{port}"]["members"][f"/Common/{node}:{port}"] |= props(text)


RETIRED = ["session=user-disabled state=user-down", "session=user-disabled state=up"]
DOWN = "session=monitor-enabled state=down"


@pytest.mark.parametrize("text", [*RETIRED, DOWN])
def test_a_server_out_of_service_on_one_port_is_reported(device: BigIp, text: str) -> None:
    put(device, 500, "rras2", text)
    for result in change(device):
        assert found(result, "server_sets_differ") == [("warning", PAIR)]


@pytest.mark.parametrize("text", RETIRED)
def test_a_retired_server_does_not_block(device: BigIp, text: str) -> None:
    for port in (500, 4500):
        put(device, port, "rras2", text)
    for result in change(device, Order(return_path={"10.10.0.11": "10.10.0.1"})):
        assert found(result, "return_path_unverified") == [("info", "10.10.0.12")]
        assert found(result, "server_sets_differ") == []


def test_one_that_its_monitor_took_out_counts_as_in_service(device: BigIp) -> None:
    for port in (500, 4500):
        put(device, port, "rras2", DOWN)
    looked = blocked(device, r"return_path_unverified at 10\.10\.0\.12", Order(return_path={"10.10.0.11": "10.10.0.1"}))
    assert found(looked, "server_sets_differ") == []


# False statements


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        (props("matchAcrossServices=disabled matchAcrossVirtuals=enabled"), ""),
        (props("matchAcrossServices=enabled matchAcrossVirtuals=disabled"), ""),
        (props("matchAcrossServices=disabled matchAcrossVirtuals=disabled"), "does not match across services"),
        (None, "is no source address persistence"),
    ],
)
def test_persistence_that_matches_across_more_is_sufficient(
    device: BigIp, profile: Properties | None, words: str
) -> None:
    if profile is not None:
        device.state["source-addr"]["/Common/sa_ikev2"] |= profile
    else:
        for name in NAMES:
            device.state["virtual"][name]["persist"] = [props("name=dest_addr partition=Common tmDefault=yes")]
    for result in change(device):
        assert found(result, "persistence_split") == ([("warning", PAIR)] if words else [])
        assert words in str(result.findings)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('when CLIENT_ACCEPTED { log local0. "no snat automap here" }', 0),
        ('when CLIENT_ACCEPTED { log local0. "first; snat automap" }', 0),
        ('when CLIENT_ACCEPTED { log local0. "a \\" snat automap" }', 0),
        ("when CLIENT_ACCEPTED { set snat automap }", 0),
        ('# he said "\nwhen CLIENT_ACCEPTED { snat automap }\n# and "', 1),
        ("when CLIENT_ACCEPTED { if { 1 } {snat automap} }", 1),
        ('when CLIENT_ACCEPTED { log local0. "x"\n\tsnatpool sp }', 1),
    ],
)
def test_an_irule_that_only_mentions_snat(device: BigIp, text: str, expected: int) -> None:
    device.put("rule", "/Common/r", {"apiAnonymous": text})
    device.state["virtual"][IKE]["rules"] = ["/Common/r"]
    for result in change(device):
        assert found(result, "hidden_translation") == [("warning", IKE)] * expected


@pytest.mark.parametrize("units", [1, 2])
def test_a_virtual_address_that_is_off(device: BigIp, units: int) -> None:
    """A change to a lone device is made without asking for it, which would be one request more, and shows the virtual server's own setting."""
    if units == 2:
        device.add_peer(auto_sync=True)
    device.state["virtual-address"]["/Common/203.0.113.10"]["enabled"] = "no"
    device.state["virtual"][IKE] |= {"disabled": True}
    del device.state["virtual"][IKE]["enabled"]
    *expected, changed = change(device)
    shown = [[service.enabled for service in result.services] for result in (*expected, changed)]
    assert shown == [[False, False], [False, False], [False, units == 1]]
    assert (changed.requests == 14) is (units == 1)
    assert [len(found(result, "disabled_service")) for result in (*expected, changed)] == [0, 2, units]


# Two units


def test_devices_that_share_policies_alone_are_no_pair(device: BigIp) -> None:
    device.add_peer("/Common/shared", kind="sync-only")
    for name in ("int_float", "ext_float"):
        del device.state["self"][f"/Common/{name}"]
    order = Order(return_path=dict.fromkeys(GOOD, "10.10.0.2"))
    for result in change(device, order):
        assert {server.gateways for service in result.services for server in service.servers} == {("10.10.0.2",)}
        assert found(result, "unsynced_changes") == []


def test_a_third_device_that_shares_policies_alone_is_no_partner(device: BigIp) -> None:
    device.add_peer()
    devices = device.state["device-group"]["/Common/dg_failover"]["devices"]
    devices["/Common/bigip3.example.com"] = devices.pop("/Common/bigip1.example.com")
    for result in change(device):
        assert found(result, "unsynced_changes") == []


@pytest.mark.parametrize("auto_sync", [True, False])
def test_a_change_that_the_other_unit_does_not_take_over_is_reported_before_and_after(
    device: BigIp, auto_sync: bool
) -> None:
    device.add_peer(auto_sync=auto_sync)
    results = change(device)
    assert [found(result, "unsynced_changes") for result in results] == [
        [] if auto_sync else [("warning", "BIG-IP bigip")]
    ] * 3
    assert ("does not have the change" in str(results[-1].findings)) is not auto_sync
    assert ("will not have the change" in str(results[0].findings)) is not auto_sync
    # With nothing to change there is nothing to say, but that changes are pending.
    device.state["sync"]["status"] = "In Sync"
    assert found(go(device, replace(ORDER, state="gathered")), "unsynced_changes") == []


def test_with_a_group_to_sync_to_the_other_unit_has_the_change(device: BigIp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.adapter.SYNC_PAUSE", 0)
    device.add_peer()
    for result in change(device, sync_group="/Common/dg_failover"):
        assert found(result, "unsynced_changes") == []


def test_both_units_are_active_and_the_pairs_traffic_group_is_here(device: BigIp) -> None:
    device.add_peer(both=True, auto_sync=True)
    for result in change(device):
        assert found(result, "not_active_unit") == []


def test_both_units_are_active_and_the_pairs_traffic_group_is_on_the_other(device: BigIp) -> None:
    device.add_peer(active=False, both=True)
    looked = blocked(device, r"not_active_unit at /Common/vs_ikev2_500: .* is active on bigip2\.example\.com")
    assert found(looked, "not_active_unit") == [("blocker", name) for name in NAMES]
    # For another address it may be this one.
    address = device.state["virtual-address"]["/Common/203.0.113.10"]
    address["trafficGroup"] = "/Common/traffic-group-2"
    for name in ("int_float", "ext_float"):
        device.state["self"][f"/Common/{name}"]["trafficGroup"] = "/Common/traffic-group-2"
    change(device)


def test_where_a_traffic_group_is_active_has_to_be_known(device: BigIp) -> None:
    device.add_peer(both=True)
    device.state["active"].clear()
    blocked(device, "not_active_unit .* a unit that could not be read")


def test_traffic_groups_are_asked_for_only_where_both_units_are_active(device: BigIp) -> None:
    for both in (False, True):
        device.reset()
        device.add_peer(both=both, auto_sync=True)
        result = go(device)
        assert result.requests == 17 + both
        assert any(entry.path.endswith("/traffic-group/stats") for entry in device.log) is both


# The device's own addresses

SELF_IPS = ["10.10.0.1", "10.10.0.2", "203.0.113.1", "203.0.113.2"]
VIRTUAL = "203.0.113.10"


def test_the_addresses_from_which_the_device_may_send_are_returned(device: BigIp) -> None:
    device.add_snat_pool("/Common/sp_named", out="10.20.0.9%3", in6="2001:db8::9")
    device.put("snat", "/Common/all", props("translation=/Common/10.10.0.7", origins=[{"name": "10.10.0.0/24"}]))
    looked, predicted, changed = (result.as_dict()["own_addresses"] for result in change(device))
    assert looked == predicted == sorted([VIRTUAL, *SELF_IPS, "10.10.0.5", "10.10.0.7", "10.20.0.9", "2001:db8::9"])
    # A change costs no request for what does not decide about it.
    assert changed == sorted([VIRTUAL, *SELF_IPS, "10.10.0.7"])
    assert go(device).as_dict()["own_addresses"] == [VIRTUAL]


def test_snat_pools_are_asked_for_where_one_is_used_or_restored(device: BigIp) -> None:
    def asked() -> list[str]:
        found = [entry.path.rpartition("/")[2] for entry in device.log if "/ltm/snat" in entry.path]
        return [name for name in found if name != "snat"]

    snapshot = go(device, replace(ORDER, state="gathered")).snapshot
    assert asked() == ["snatpool"]  # its member is called by its address
    go(device, check_mode=True)
    assert asked() == ["snatpool"]
    assert go(device).requests == 14
    assert asked() == []
    looked = go(device, replace(ORDER, state="gathered"))
    assert (asked(), looked.own_addresses) == ([], tuple(sorted([VIRTUAL, *SELF_IPS])))
    adapter = Adapter.of(Endpoint("bigip"), {"username": "admin", "password": "lab-bigip-secret-1"}, snapshot)
    device.log.clear()
    restored = run(adapter, Order(state="restored", snapshot=snapshot), check_mode=True)
    assert (asked(), "10.10.0.5" in restored.own_addresses) == (["snatpool"], True)


@pytest.mark.parametrize("what", ["snatpool", "snat-translation"])
def test_snat_pools_that_cannot_be_read_are_a_finding(device: BigIp, what: str) -> None:
    device.add_snat_pool("/Common/sp_named", out="10.20.0.9")
    device.put("snatpool", "/Common/odd", {"members": "/Common/10.10.0.6"})
    looked = go(device, replace(ORDER, state="gathered"))
    assert found(looked, "not_read") == [("warning", "/Common/odd")]
    assert {"10.10.0.5", "10.20.0.9"} <= {*looked.own_addresses}
    device.fault(lambda entry: entry.path.endswith(f"/{what}"), answer=mcp(403, "Forbidden").response, times=9)
    looked = go(device, replace(ORDER, state="gathered"))
    assert ("warning", "BIG-IP bigip") in found(looked, "not_read")
    assert ("10.10.0.5" in looked.own_addresses) is (what == "snat-translation")
    assert {*SELF_IPS, VIRTUAL} <= {*looked.own_addresses}
