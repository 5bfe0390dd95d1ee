# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan for the default gateway."""

from __future__ import annotations

import itertools
import json
import typing as t
from dataclasses import replace

import netaddr
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Change
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.errors import PlanError
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.network import Network, Pending, Route
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.routes import (
    Wanted,
    plan_default_gateway,
    plan_restoration,
    survey_default_gateway,
)
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.steps import Plan, Step, changes_between, predict

OLD, NEW = "10.10.0.254", "10.10.0.1"
EXTERNAL = {
    "index": 4,
    "alias": "External",
    "mac": "00-15-5D-0A-00-11",
    "metric": 15,
    "dhcp": False,
    "addresses": ["10.10.0.11/24"],
}
INTERNAL = {
    "index": 7,
    "alias": "Internal",
    "mac": "00-15-5D-0A-01-11",
    "metric": 15,
    "dhcp": False,
    "addresses": ["192.168.10.11/24"],
}
BOTH = ("ActiveStore", "PersistentStore")


def route(
    destination: str, next_hop: str, index: int, stores: tuple[str, ...] = BOTH, metric: int = 256
) -> list[dict[str, t.Any]]:
    """Return a route in these stores."""
    return [
        {"store": store, "destination": destination, "next_hop": next_hop, "interface_index": index, "metric": metric}
        for store in stores
    ]


def network(
    *routes: list[dict[str, t.Any]],
    interfaces: t.Sequence[dict[str, t.Any]] = (EXTERNAL, INTERNAL),
    peers: t.Sequence[str] = (),
    **more: t.Any,
) -> Network:
    """Return a server's network as it is read."""
    on_link = route("10.10.0.0/24", "0.0.0.0", 4, ("ActiveStore",)) + route(
        "192.168.10.0/24", "0.0.0.0", 7, ("ActiveStore",)
    )
    return Network.parse(
        {
            "interfaces": list(interfaces),
            "routes": [*on_link, *itertools.chain(*routes)],
            "peers": list(peers),
            "ipv6_defaults": [],
            "administrator": True,
            "remote_access": "automatic",
            "pending": None,
            "remembered": [],
            **more,
        }
    )


def wanted(gateway: str = NEW, **options: t.Any) -> Wanted:
    """Return what a task asks for."""
    defaults: dict[str, t.Any] = {
        "interface_alias": None,
        "mac": None,
        "preserve_routes": [],
        "remove_other_defaults": False,
        "allow_dhcp": False,
    }
    return Wanted.parse(gateway=gateway, **{**defaults, **options})


def steps(plan: Plan) -> list[tuple[t.Any, ...]]:
    """Return a plan's steps in short."""
    return [(step.action, step.store, step.destination, step.next_hop, step.interface_index) for step in plan.steps]


DEFAULT = route("0.0.0.0/0", OLD, 4)


def test_the_order_never_leaves_the_server_without_a_default_that_a_reboot_keeps() -> None:
    plan = plan_default_gateway(network(DEFAULT), wanted())
    assert steps(plan) == [
        ("add", "ActiveStore", "0.0.0.0/0", NEW, 4),
        ("remove", "ActiveStore", "0.0.0.0/0", OLD, 4),
        ("add", "both", "0.0.0.0/0", NEW, 4),
        ("remove", "PersistentStore", "0.0.0.0/0", OLD, 4),
    ]
    assert [step.store for step in plan.switch] == ["ActiveStore"] * 2


def test_nothing_is_planned_when_nothing_differs() -> None:
    assert plan_default_gateway(network(route("0.0.0.0/0", NEW, 4)), wanted()) == Plan()


def test_the_stores_are_compared_apart() -> None:
    active_only = plan_default_gateway(network(route("0.0.0.0/0", NEW, 4, ("ActiveStore",))), wanted())
    assert [step.store for step in active_only.steps] == ["both"]
    stale = network(route("0.0.0.0/0", NEW, 4), route("0.0.0.0/0", OLD, 4, ("PersistentStore",)))
    assert steps(plan_default_gateway(stale, wanted())) == [("remove", "PersistentStore", "0.0.0.0/0", OLD, 4)]


def test_the_old_routes_metric_is_kept() -> None:
    plan = plan_default_gateway(network(route("0.0.0.0/0", OLD, 4, metric=5)), wanted())
    assert [step.metric for step in plan.steps if step.action == "add"] == [5, 5]


def test_what_uses_the_old_default_keeps_it() -> None:
    peers = ["192.168.10.5", "172.16.0.9", "172.16.0.9", "10.10.0.77", "2001:db8::53"]
    plan = plan_default_gateway(
        network(DEFAULT, peers=peers), wanted(preserve_routes=["172.20.0.0/16", "192.168.10.0/24"])
    )
    assert plan.preserve == (
        Step("add", "both", "172.20.0.0/16", OLD, 4),
        Step("add", "both", "172.16.0.9/32", OLD, 4),
    )


def test_another_interfaces_default_is_reported_and_removed_only_on_request() -> None:
    two = network(DEFAULT, route("0.0.0.0/0", "192.168.10.1", 7), peers=["172.16.0.9"])
    told = plan_default_gateway(two, wanted())
    assert [(finding.code, finding.object) for finding in told.findings] == [("other_default_route", "Internal")]
    assert not [step for step in told.steps if step.interface_index == 7]
    removed = plan_default_gateway(two, wanted(remove_other_defaults=True))
    assert removed.findings == ()
    assert [(step.action, step.store) for step in removed.steps if step.interface_index == 7] == [
        ("remove", "ActiveStore"),
        ("remove", "PersistentStore"),
    ]


@pytest.mark.parametrize(
    "routes",
    [
        [],
        [DEFAULT],
        [DEFAULT, route("0.0.0.0/0", "192.168.10.1", 7)],
        [route("0.0.0.0/0", NEW, 4, ("PersistentStore",))],
    ],
)
@pytest.mark.parametrize("remove", [False, True])
def test_after_the_plan_there_is_nothing_left_to_plan(routes: list[list[dict[str, t.Any]]], remove: bool) -> None:
    before = network(*routes, peers=["172.16.0.9"])
    ask = wanted(remove_other_defaults=remove, preserve_routes=["172.20.0.0/16"])
    after = predict(before, plan_default_gateway(before, ask).steps)
    assert plan_default_gateway(after, ask).steps == ()
    assert [item.next_hop for item in after.defaults() if item.interface_index == 4] == [NEW]
    assert [item.next_hop for item in after.defaults("PersistentStore") if item.interface_index == 4] == [NEW]


@pytest.mark.parametrize(
    "options", [{}, {"interface_alias": "external"}, {"mac": "00:15:5d:0a:00:11"}, {"mac": "00155D0A0011"}]
)
def test_the_interface_is_found(options: dict[str, str]) -> None:
    assert {step.interface_index for step in plan_default_gateway(network(DEFAULT), wanted(**options)).steps} == {4}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"gateway": "nonsense"}, "'nonsense', which is not an IP address"),
        ({"gateway": "10.10.0"}, "which is not an IP address"),
        ({"gateway": "2001:db8::1"}, "Only the IPv4 default gateway is managed"),
        ({"gateway": "172.16.0.1"}, "is not in a subnet of this server"),
        ({"gateway": "10.10.0.11"}, "is this server's own address"),
        ({"interface_alias": "Nothing"}, "No interface matches 'interface_alias' 'Nothing'.*External.*Internal"),
        ({"mac": "00-00-00-00-00-00"}, "No interface matches .* 'mac' '00-00-00-00-00-00'"),
        ({"interface_alias": "Internal"}, "is not in a subnet"),
        ({"preserve_routes": ["nonsense"]}, "'preserve_routes' contains 'nonsense'"),
        ({"preserve_routes": ["0.0.0.0/0"]}, "not the default route"),
        ({"preserve_routes": ["10.0.0.1/8"]}, "'preserve_routes' contains '10.0.0.1/8'"),
        ({"preserve_routes": ["2001:db8::/32"]}, "IPv4 prefixes"),
        ({"preserve_routes": ["172.16.0.0/12", "172.20.0.0/16"]}, "172.20.0.0/16 and 172.16.0.0/12, which overlap"),
    ],
)
def test_what_cannot_be_planned_is_said(options: dict[str, t.Any], words: str) -> None:
    with pytest.raises(PlanError, match=words):
        plan_default_gateway(network(DEFAULT), wanted(**options))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"administrator": False}, "not an administrator"),
        ({"remote_access": None}, "not an RRAS server: the service RemoteAccess is missing"),
        ({"remote_access": "disabled"}, "not an RRAS server: the service RemoteAccess is disabled"),
    ],
)
def test_a_server_that_must_not_be_changed_is_reported(more: dict[str, t.Any], words: str) -> None:
    with pytest.raises(PlanError, match=words):
        plan_default_gateway(network(DEFAULT, **more), wanted())


def test_ipv6_and_a_change_under_way_are_reported() -> None:
    busy = network(
        DEFAULT,
        ipv6_defaults=[{"next_hop": "fe80::1", "interface_index": 4, "metric": 256}],
        pending={"due_in": 42.0, "applied": 267009},
    )
    plan = plan_default_gateway(busy, wanted())
    assert [finding.code for finding in plan.findings] == ["rollback_pending", "ipv6_default_route"]
    assert "comes back in 42 s" in plan.findings[0].message
    assert busy.pending == Pending(42.0, None)
    assert busy.as_dict()["default_routes_ipv6"] == [{"gateway": "fe80::1", "interface": "External", "metric": 256}]


@pytest.mark.parametrize("gateway", ["10.10.0.0", "10.10.0.255"])
def test_a_network_or_broadcast_address_is_no_gateway(gateway: str) -> None:
    with pytest.raises(PlanError, match=r"is the network or broadcast address of 10\.10\.0\.0/24"):
        plan_default_gateway(network(DEFAULT), wanted(gateway))
    pair = network(DEFAULT, interfaces=[{**EXTERNAL, "addresses": ["10.10.0.0/31"]}])
    assert plan_default_gateway(pair, wanted("10.10.0.1")).steps


def test_a_default_route_that_is_not_in_use_now_is_reported() -> None:
    stored = network(
        DEFAULT, route("0.0.0.0/0", "192.168.10.1", 7, BOTH[1:]), route("0.0.0.0/0", "10.9.9.1", 17, BOTH[1:])
    )
    findings = plan_default_gateway(stored, wanted()).findings
    assert [(finding.code, finding.object) for finding in findings] == [
        ("other_default_route", "17"),
        ("other_default_route", "Internal"),
    ]
    assert "in the persistent store only" in findings[1].message
    assert "on an interface that does not exist now" in findings[0].message


def test_two_halves_are_a_default_route() -> None:
    low, high = (route(prefix, "192.168.10.1", 7) for prefix in ("0.0.0.0/1", "128.0.0.0/1"))
    (finding,) = plan_default_gateway(network(DEFAULT, low, high), wanted(remove_other_defaults=True)).findings
    assert (finding.code, finding.object) == ("other_default_route", "Internal")
    assert plan_default_gateway(network(DEFAULT, low), wanted()).findings == ()


@pytest.mark.parametrize(
    ("state", "mac", "index", "codes"),
    [
        ("Reachable", "00-00-5E-00-53-01", 4, []),
        ("Stale", "00-00-5E-00-53-01", 4, []),
        ("Permanent", "00-00-5E-00-53-01", 4, []),
        ("Unreachable", "00-00-5E-00-53-01", 4, ["gateway_not_answering"]),
        ("Incomplete", "00-00-00-00-00-00", 4, ["gateway_not_answering"]),
        ("Stale", "00-00-00-00-00-00", 4, ["gateway_not_answering"]),
        ("Probe", "", 4, ["gateway_not_answering"]),
        ("Reachable", "00-00-5E-00-53-01", 7, ["gateway_not_answering"]),
    ],
)
def test_a_gateway_has_to_answer_on_its_interface(state: str, mac: str, index: int, codes: list[str]) -> None:
    neighbor = {"interface_index": index, "mac": mac, "state": state}
    plan = plan_default_gateway(network(DEFAULT, neighbors=[neighbor]), wanted())
    assert [finding.code for finding in plan.findings if finding.severity == "blocker"] == codes
    # Where it is the gateway already, there is nothing to stop.
    assert plan_default_gateway(network(route("0.0.0.0/0", NEW, 4), neighbors=[neighbor]), wanted()) == Plan()
    assert [each.code for each in plan_default_gateway(network(DEFAULT, neighbors=[]), wanted()).findings] == [
        "gateway_not_answering"
    ]


def test_a_prefix_is_kept_as_a_whole_beside_a_longer_route() -> None:
    plan = plan_default_gateway(
        network(DEFAULT, route("172.20.1.0/24", "192.168.10.1", 7)), wanted(preserve_routes=["172.20.0.0/16"])
    )
    assert plan.preserve == (Step("add", "both", "172.20.0.0/16", OLD, 4),)


# Any table of routes: what the plan promises, judged by a look-up of its own


def way(routes: t.Iterable[Route], address: str) -> tuple[str, int] | None:
    """Return the next hop and the interface by which a packet leaves."""
    matching = [item for item in routes if item.store == "ActiveStore" and address in item.destination]
    best = max(matching, key=lambda item: (item.destination.prefixlen, -item.metric), default=None)
    return (best.next_hop, best.interface_index) if best else None


STORED = st.sampled_from([BOTH, ("ActiveStore",), ("PersistentStore",)])
HOPS = st.sampled_from([("10.10.0.254", 4), ("10.10.0.253", 4), (NEW, 4), ("192.168.10.1", 7), ("192.168.10.2", 7)])
PREFIXES = ["172.16.0.0/12", "172.20.0.0/16", "172.20.1.0/24", "172.20.1.9/32", "198.18.0.0/15"]


@st.composite
def tables(draw: st.DrawFn) -> Network:
    """Draw a server with any routes; no two have the same metric, so that which one wins is never a matter of chance."""
    keys = st.tuples(st.sampled_from(["0.0.0.0/0", "0.0.0.0/0", *PREFIXES]), HOPS)
    drawn = draw(st.lists(st.tuples(keys, STORED), unique_by=lambda item: item[0], max_size=8))
    routes = [
        route(destination, next_hop, index, (store,), metric=10 + 2 * number + other * draw(st.integers(0, 1)))
        for number, ((destination, (next_hop, index)), stores) in enumerate(drawn)
        for other, store in enumerate(stores)
    ]
    peers = draw(st.lists(st.sampled_from(["172.20.1.9", "172.20.2.2", "198.18.0.1", "192.0.2.1", "10.10.0.77"])))
    return network(*routes, peers=peers)


ASKED = st.builds(
    lambda prefixes, remove: wanted(preserve_routes=prefixes, remove_other_defaults=remove),
    st.lists(st.sampled_from(["172.20.0.0/16", "198.18.0.0/15", "192.0.2.0/24"]), unique=True),
    st.booleans(),
)


@given(tables(), ASKED)
def test_whatever_had_to_stay_reachable_stays_so(before: Network, ask: Wanted) -> None:
    plan = plan_default_gateway(before, ask)
    after = predict(before, plan.steps)
    replaced = {(step.next_hop, step.interface_index) for step in plan.switch if step.action == "remove"}
    kept = [*map(str, before.peers), *(str(prefix[1]) for prefix in ask.preserve_routes or ())]
    for address in kept:
        if way(before.routes, address) in replaced:
            assert way(after.routes, address) == way(before.routes, address)
    for store in BOTH:
        here = [item.next_hop for item in after.defaults(store) if item.interface_index == 4]
        assert here == [NEW]
        if ask.remove_other_defaults:
            assert [item.next_hop for item in after.defaults(store)] == [NEW]
    assert plan_default_gateway(after, ask).steps == ()
    assert {item for item in before.routes if not item.is_default} <= set(after.routes)


def between(network: Network, steps: t.Sequence[Step], done: int, halfway: bool) -> Network:
    """Return the network as it is when a change has ended somewhere in between."""
    found = predict(network, steps[:done])
    if halfway:  # a route that is replaced for the persistent store's sake is gone for a moment
        lost = [step for step in steps[done : done + 1] if step.store == "both"]
        found = predict(found, [replace(step, action="remove", store="ActiveStore") for step in lost])
    return found


@given(tables(), ASKED, st.integers(0, 30), st.booleans())
def test_the_rollback_restores_from_any_point(before: Network, ask: Wanted, done: int, halfway: bool) -> None:
    plan = plan_default_gateway(before, ask)
    found = between(before, plan.steps, done, halfway)
    assert set(predict(found, plan.rollback).routes) == set(before.routes)


@given(tables(), ASKED, ASKED)
def test_a_second_run_finds_nothing_and_a_later_wish_is_met_by_what_is_remembered(
    before: Network, ask: Wanted, later: Wanted
) -> None:
    changed = before
    for wish in (ask, ask, later, later):
        plan = plan_default_gateway(changed, wish)
        changed = replace(predict(changed, plan.steps), remembered=plan.remember, former=plan.former)
    assert plan.steps == ()
    if plan.former and all(item.is_default or item.next_hop != NEW for item in before.routes):
        for prefix in later.preserve_routes or ():
            assert way(changed.routes, str(prefix[1])) != (NEW, 4)


# Back to a snapshot


@given(tables(), ASKED, ASKED)
def test_snapshot_change_and_restoration_give_the_original_table(before: Network, ask: Wanted, then: Wanted) -> None:
    snapshot = json.loads(json.dumps(before.as_dict()))
    changed = before
    for wish in (ask, then):
        plan = plan_default_gateway(changed, wish)
        changed = replace(predict(changed, plan.steps), remembered=plan.remember, former=plan.former)
    back = plan_restoration(changed, snapshot)
    assert back.preserve == ()
    assert {step.store for step in back.switch} <= {"ActiveStore"}  # so that a reboot undoes what was not confirmed
    after = replace(predict(changed, back.steps), remembered=back.remember)
    assert set(after.routes) == set(before.routes)
    assert after.remembered == ()
    assert plan_restoration(after, snapshot).steps == ()
    assert plan_restoration(before, snapshot) == Plan()


@given(tables(), tables(), ASKED, st.integers(0, 30), st.booleans())
def test_a_restoration_touches_default_routes_and_our_own_and_can_itself_be_undone(
    past: Network, before: Network, ask: Wanted, done: int, halfway: bool
) -> None:
    plan = plan_default_gateway(before, ask)
    ours = {step.key for step in plan.preserve}
    changed = replace(predict(before, plan.steps), remembered=plan.remember)
    back = plan_restoration(changed, past.as_dict())
    after = replace(predict(changed, back.steps), remembered=back.remember)
    for store in BOTH:
        assert set(after.defaults(store)) == set(past.defaults(store))
    assert all(step.destination == "0.0.0.0/0" or step.key in ours for step in back.steps)
    assert {item for item in changed.routes if not item.is_default and item.key not in ours} <= set(after.routes)
    assert plan_restoration(after, past.as_dict()).steps == ()
    found = between(changed, back.steps, done, halfway)
    assert set(predict(found, back.rollback).routes) == set(changed.routes)


@given(tables(), ASKED)
def test_peers_keep_the_old_gateway_throughout_a_restoration(before: Network, ask: Wanted) -> None:
    plan = plan_default_gateway(before, ask)
    changed = replace(predict(before, plan.steps), remembered=plan.remember)
    back = plan_restoration(changed, before.as_dict())
    # A default route that stood in the persistent store alone can only be made there by way of the active one.
    alone = len({item.key for item in before.routes if item.is_default}) < 2
    for peer in map(str, before.peers):
        ways = [way(predict(changed, back.steps[:done]).routes, peer) for done in range(len(back.steps) + 1)]
        old = way(before.routes, peer)
        if old is not None and way(changed.routes, peer) == old and alone:
            assert set(ways[: len(back.switch) + 1]) == {old}
            # For the persistent store's sake, the default route may be replaced once more.
            assert set(ways) <= {old, None}


def test_what_was_added_is_taken_away_and_what_somebody_else_made_is_left_and_told() -> None:
    before = network(DEFAULT, peers=["172.16.0.9"])
    plan = plan_default_gateway(before, wanted())
    assert plan.remember == (f"172.16.0.9/32 {OLD} External",)
    theirs = Route("PersistentStore", netaddr.IPNetwork("172.30.0.0/16"), OLD, 4, 256)
    changed = predict(before, plan.steps)
    changed = replace(changed, remembered=plan.remember, routes=(*changed.routes, theirs))
    back = plan_restoration(changed, before.as_dict())
    assert steps(back) == [
        ("add", "ActiveStore", "0.0.0.0/0", OLD, 4),
        ("remove", "ActiveStore", "0.0.0.0/0", NEW, 4),
        ("remove", "ActiveStore", "172.16.0.9/32", OLD, 4),
        ("add", "both", "0.0.0.0/0", OLD, 4),
        ("remove", "PersistentStore", "172.16.0.9/32", OLD, 4),
        ("remove", "PersistentStore", "0.0.0.0/0", NEW, 4),
    ]
    assert [(finding.code, finding.severity) for finding in back.findings] == [("routes_differ", "info")]
    assert "172.30.0.0/16 via 10.10.0.254 was added" in back.findings[0].message
    # A server that has forgotten what is its own keeps it.
    forgetful = plan_restoration(replace(changed, remembered=()), before.as_dict())
    assert {step.destination for step in forgetful.steps} == {"0.0.0.0/0"}


def test_an_interface_is_known_by_its_name_after_a_restart() -> None:
    snapshot = network(DEFAULT).as_dict()
    moved = network(route("0.0.0.0/0", NEW, 12), interfaces=[{**EXTERNAL, "index": 12}])
    assert {step.interface_index for step in plan_restoration(moved, snapshot).steps} == {12}


def test_a_metric_comes_back_too() -> None:
    before = network(route("0.0.0.0/0", OLD, 4, ("ActiveStore",), metric=5), route("0.0.0.0/0", OLD, 4, BOTH[1:], 9))
    plan = plan_restoration(network(DEFAULT), before.as_dict())
    assert set(predict(network(DEFAULT), plan.steps).routes) == set(before.routes)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"addresses": ["10.10.0.12"]}, r"taken from a server with the addresses 10\.10\.0\.12\. This server has none"),
        ({"routes": [{**network(DEFAULT).as_dict()["routes"][0], "interface": "WAN"}]}, "interface 'WAN'.*External"),
        ({"routes": None}, "'snapshot' is not what this module returns"),
        ({"routes": [{"destination": "0.0.0.0/0"}]}, "'snapshot' is not what this module returns.*KeyError"),
        ({"routes": [{**network(DEFAULT).as_dict()["routes"][0], "store": "x"}]}, "the store 'x'"),
        ({"routes": network(route("0.0.0.0/0", "10.99.0.1", 4)).as_dict()["routes"]}, "10.99.0.1 .*is not in a subnet"),
    ],
)
def test_a_snapshot_that_does_not_fit_is_refused(change: dict[str, t.Any], words: str) -> None:
    with pytest.raises(PlanError, match=words):
        plan_restoration(network(DEFAULT), {**network(DEFAULT).as_dict(), **change})


def test_a_restoration_is_for_administrators_and_not_for_dhcp() -> None:
    snapshot = network(DEFAULT).as_dict()
    with pytest.raises(PlanError, match="not an administrator"):
        plan_restoration(network(administrator=False), snapshot)
    leased = network(route("0.0.0.0/0", NEW, 4), interfaces=[{**EXTERNAL, "dhcp": True}])
    with pytest.raises(PlanError, match="configured by DHCP"):
        plan_restoration(leased, snapshot)
    assert plan_restoration(leased, snapshot, allow_dhcp=True).steps
    assert plan_restoration(leased, leased.as_dict()).steps == ()


def test_a_route_of_one_store_keeps_its_metric_in_both() -> None:
    plan = plan_default_gateway(network(route("0.0.0.0/0", NEW, 4, ("ActiveStore",), 7), DEFAULT), wanted())
    assert [step.metric for step in plan.steps if step.action == "add"] == [7]


def test_a_gateway_on_several_interfaces_needs_a_name() -> None:
    twins = network(
        DEFAULT, interfaces=[EXTERNAL, {**EXTERNAL, "index": 5, "alias": "Second", "addresses": ["10.10.0.12/24"]}]
    )
    with pytest.raises(PlanError, match=r"several interfaces.*External.*Second"):
        plan_default_gateway(twins, wanted())
    assert {
        step.interface_index for step in plan_default_gateway(twins, wanted(interface_alias="External")).switch
    } == {4}


def test_dhcp_is_refused_unless_allowed() -> None:
    leased = network(DEFAULT, interfaces=[{**EXTERNAL, "dhcp": True}])
    with pytest.raises(PlanError, match="configured by DHCP"):
        plan_default_gateway(leased, wanted())
    assert plan_default_gateway(leased, wanted(allow_dhcp=True)).steps


@pytest.mark.parametrize(
    "raw",
    [
        None,
        [],
        {},
        {"interfaces": [{}], "routes": [], "peers": []},
        {"interfaces": [], "routes": [], "peers": ["x"]},
        {"interfaces": [], "routes": [], "peers": [["10.0.0.1"]]},
        {"interfaces": [], "routes": [], "peers": [{"address": "10.0.0.1"}]},
    ],
)
def test_an_answer_that_is_not_understood_is_said(raw: t.Any) -> None:
    with pytest.raises(PlanError, match="network cannot be read"):
        Network.parse(raw)


def test_what_users_see() -> None:
    seen = network(DEFAULT, route("0.0.0.0/0", "192.168.10.1", 7, ("ActiveStore",), metric=1)).as_dict()
    assert seen == {
        "gateway": "192.168.10.1",
        "default_routes": [
            {"gateway": "192.168.10.1", "interface": "Internal", "metric": 1, "persistent": False},
            {"gateway": OLD, "interface": "External", "metric": 256, "persistent": True},
        ],
        "addresses": ["10.10.0.11", "192.168.10.11"],
        "networks": ["10.10.0.11/24", "192.168.10.11/24"],
        "default_routes_ipv6": [],
        "routes": [
            {
                "store": "ActiveStore",
                "interface": "External",
                "next_hop": OLD,
                "metric": 256,
                "destination": "0.0.0.0/0",
            },
            {
                "store": "PersistentStore",
                "interface": "External",
                "next_hop": OLD,
                "metric": 256,
                "destination": "0.0.0.0/0",
            },
            {
                "store": "ActiveStore",
                "interface": "Internal",
                "next_hop": "192.168.10.1",
                "metric": 1,
                "destination": "0.0.0.0/0",
            },
        ],
        "administrator": True,
    }
    assert network().as_dict()["gateway"] is None


# What is listed as changed


def listed(changes: t.Iterable[Change]) -> list[tuple[t.Any, ...]]:
    """Return changes in short."""
    return [(change.id, change.setting, change.before, change.after) for change in changes]


ACTIVE_ONLY, PERSISTENT_ONLY = BOTH[:1], BOTH[1:]


@pytest.mark.parametrize(
    ("routes", "before", "after"),
    [
        ([DEFAULT], OLD, NEW),
        ([], None, NEW),
        ([route("0.0.0.0/0", NEW, 4)], None, None),
        # Right in one store alone: still one change.
        ([route("0.0.0.0/0", NEW, 4, ACTIVE_ONLY)], None, NEW),
        ([route("0.0.0.0/0", NEW, 4, PERSISTENT_ONLY)], None, NEW),
        ([route("0.0.0.0/0", NEW, 4, ACTIVE_ONLY), route("0.0.0.0/0", OLD, 4, PERSISTENT_ONLY)], OLD, NEW),
        ([route("0.0.0.0/0", NEW, 4), route("0.0.0.0/0", OLD, 4, PERSISTENT_ONLY)], OLD, NEW),
        ([DEFAULT, route("0.0.0.0/0", "10.10.0.253", 4, metric=1)], "10.10.0.253", NEW),
    ],
)
def test_a_default_gateway_is_one_change(
    routes: list[list[dict[str, t.Any]]], before: str | None, after: str | None
) -> None:
    changes = plan_default_gateway(network(*routes), wanted()).changes
    assert listed(changes) == ([("0.0.0.0/0", "NextHop", before, after)] if after else [])
    assert {change.scope for change in changes} <= {"route"}
    made = predict(network(*routes), plan_default_gateway(network(*routes), wanted()).steps)
    back = plan_restoration(made, network(*routes).as_dict()).changes
    assert listed(back) == ([("0.0.0.0/0", "NextHop", after, before)] if after else [])


def test_routes_that_are_kept_and_another_default_are_changes_of_their_own() -> None:
    before = network(DEFAULT, route("0.0.0.0/0", "192.168.10.1", 7, metric=900), peers=["172.16.0.9"])
    ask = wanted(remove_other_defaults=True, preserve_routes=["172.20.0.0/16"])
    plan = plan_default_gateway(before, ask)
    there = [
        ("0.0.0.0/0", "NextHop", OLD, NEW),
        ("0.0.0.0/0", "NextHop", "192.168.10.1", None),
        ("172.16.0.9/32", "NextHop", None, OLD),
        ("172.20.0.0/16", "NextHop", None, OLD),
    ]
    assert listed(plan.changes) == there
    changed = replace(predict(before, plan.steps), remembered=plan.remember)
    back = plan_restoration(changed, before.as_dict()).changes
    assert sorted(listed(back), key=str) == sorted([(*line[:2], line[3], line[2]) for line in there], key=str)


def test_a_metric_that_comes_back_is_a_change() -> None:
    before = network(route("0.0.0.0/0", OLD, 4, metric=5))
    assert listed(plan_restoration(network(DEFAULT), before.as_dict()).changes) == [
        ("0.0.0.0/0", "RouteMetric", 256, 5)
    ]


def test_what_is_left_of_a_failed_change_is_listed_and_nothing_of_others() -> None:
    before = network(DEFAULT, peers=["172.16.0.9"])
    plan = plan_default_gateway(before, wanted())
    theirs = Route("PersistentStore", netaddr.IPNetwork("172.30.0.0/16"), OLD, 4, 256)
    halfway = predict(before, plan.preserve)
    halfway = replace(halfway, routes=(*halfway.routes, theirs))
    assert listed(changes_between(before, halfway, plan.steps)) == [("172.16.0.9/32", "NextHop", None, OLD)]
    assert changes_between(before, predict(halfway, plan.rollback), plan.steps) == ()


@given(tables(), ASKED)
def test_gathered_lists_what_present_changes(before: Network, ask: Wanted) -> None:
    plan = plan_default_gateway(before, ask)
    surveyed = survey_default_gateway(before, ask)
    assert (surveyed.changes, surveyed.findings) == (plan.changes, plan.findings)
    assert surveyed.steps == ()
    assert bool(plan.changes) == bool(plan.steps)
    after = predict(before, plan.steps)
    gateways = [change for change in plan.changes if change.id == "0.0.0.0/0"]
    assert [change.after for change in gateways if change.after] == [NEW] * any(change.after for change in gateways)
    for change in plan.changes:
        assert change.before != change.after
        assert change.before is None or change.id == "0.0.0.0/0"
        assert change.before in {item.next_hop for item in before.routes} | {None}
        assert change.after in {item.next_hop for item in after.routes} | {None}
    assert survey_default_gateway(after, ask).changes == ()


@pytest.mark.parametrize(
    ("more", "ask", "words"),
    [
        ({"administrator": False}, {}, "not an administrator"),
        ({"remote_access": "disabled"}, {}, "not an RRAS server"),
        ({"interfaces": [{**EXTERNAL, "dhcp": True}]}, {}, "configured by DHCP"),
        ({}, {"gateway": "10.99.0.1"}, "is not in a subnet"),
        ({}, {"gateway": "10.10.0.11"}, "this server's own address"),
        ({}, {"interface_alias": "Nothing"}, "No interface matches 'interface_alias' 'Nothing'"),
    ],
)
def test_gathered_lists_a_change_that_is_refused_with_the_reason(
    more: dict[str, t.Any], ask: dict[str, t.Any], words: str
) -> None:
    ask = {"gateway": NEW, **ask}
    surveyed = survey_default_gateway(network(DEFAULT, **more), wanted(**ask))
    assert listed(surveyed.changes) == [("0.0.0.0/0", "NextHop", OLD, ask["gateway"])]
    (finding,) = surveyed.findings
    assert (finding.code, finding.severity) == ("change_refused", "blocker")
    assert words in finding.message
    # Where the gateway is right, nothing is due.
    right = survey_default_gateway(network(route("0.0.0.0/0", ask["gateway"], 4), **more), wanted(**ask))
    assert right.changes == ()
