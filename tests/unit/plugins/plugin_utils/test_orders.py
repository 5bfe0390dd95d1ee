# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each host does next, by playbook: what is changed, what is left alone, what waits, and what is restored."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site import orders
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.site import Selected, Site
from report_examples import (
    GATEWAY,
    HIDDEN,
    OWN,
    ROUTER,
    Raw,
    change,
    drifted,
    facts,
    finding,
    gateway_change,
    limit_change,
    result,
    services,
    site,
    site_of,
    step,
    variables,
)

ALL = {"bigip", "rras1", "rras2"}


def found(playbook: str = "remediate", **more: t.Any) -> Raw:
    """Return the broken site, as first read by a playbook, with nothing in the way."""
    raw = {**drifted(), "playbook": playbook, **more}
    raw["load_balancers"]["bigip"]["result"]["findings"] = []
    return raw


def snapshot() -> Raw:
    """Return a snapshot of the broken site."""
    part = {"snapshot": result(False)["snapshot"], "services": services(False), "own_addresses": []}
    return {
        "taken": "now",
        "load_balancers": {"bigip": part},
        "servers": {host: facts(host, ROUTER, HIDDEN) for host in ("rras1", "rras2")},
    }


def remedied(playbook: str = "rollback") -> Raw:
    """Return the remedied site, as first read by a playbook, with the snapshot of before."""
    return site(True, GATEWAY, OWN, playbook=playbook, kept=snapshot())


def given(raw: Raw, **options: t.Any) -> dict[str, orders.Order]:
    """Return the orders for the changes."""
    found = site_of(raw, **options)
    return orders.to_change(found, found.hosts)


def entries(raw: Raw, **options: t.Any) -> dict[str, str]:
    """Return what is going to be changed on each host that is."""
    return {host: order.entry for host, order in given(raw, **options).items() if order.go}


def judged(raw: Raw) -> Site:
    """Return the site as judged before the first change."""
    found = site_of(raw)
    return found.with_records({host: order.record for host, order in orders.judged(found).items()})


def after(raw: Raw, host: str, name: str, registered: Raw) -> Site:
    """Return the site after one more result of a change."""
    hosts = variables(raw)
    hosts[host]["ikev2_site"]["orders"][host]["record"]["steps"].append(step("change", name, registered))
    return Site.parse(hosts, raw["playbook"])


BROKEN: Raw = {"failure": {"stage": "read", "msg": "no answer", "final_state": "unchanged"}}
UNDONE: Raw = {"failed": True, "msg": "refused", "final_state": "rolled_back"}


# -- reading


def test_everything_is_read_at_first_with_the_gateways_that_are_planned() -> None:
    raw = found()
    del raw["load_balancers"]["bigip"]["result"]
    order = orders.to_read(site_of(raw), ["bigip", "elsewhere"])
    assert set(order) == {"bigip"}
    assert (order["bigip"].go, order["bigip"].record.stage, order["bigip"].record.asked) == (
        True,
        "read",
        ("load_balancer_result",),
    )
    assert order["bigip"].return_path == {"10.10.0.11": GATEWAY, "10.10.0.12": GATEWAY}


def test_everything_is_verified_after_changes_with_the_gateways_that_were_read() -> None:
    changed = after(found(), "rras1", "rras_gateway_result", {"changed": True, "final_state": "changed"})
    order = orders.to_read(changed, ["bigip", "rras1"])
    assert {one.record.stage for one in order.values()} == {"verify"}
    assert order["bigip"].return_path == {"10.10.0.11": ROUTER, "10.10.0.12": ROUTER}
    assert order["rras1"].record.asked == ("rras_read",)


def test_what_failed_is_not_read_again() -> None:
    order = orders.to_read(after(found(), "bigip", "load_balancer_result", {**result(False), **UNDONE}), ["bigip"])
    assert (order["bigip"].go, order["bigip"].why_not) == (False, "it has failed")


# -- remediate, workaround


def test_remediate_changes_what_is_due_and_a_second_run_nothing() -> None:
    assert entries(found()) == {"rras1": "gateway", "rras2": "gateway", "bigip": ""}
    order = given(found())["bigip"]
    assert (order.record.stage, order.record.asked) == ("change", ("load_balancer_result",))
    assert order.return_path == {"10.10.0.11": ROUTER, "10.10.0.12": ROUTER}
    clean = site(True, GATEWAY, OWN, playbook="remediate")
    assert entries(clean) == {}
    assert {one.why_not for one in given(clean).values()} == {"no change is due"}
    assert orders.due_hosts(site_of(clean)) == {"servers": [], "load_balancers": []}


@pytest.mark.parametrize(
    ("gateway", "limit", "pending", "remediate", "workaround"),
    [
        (True, True, False, "main", "ike_limit"),
        (True, False, False, "gateway", None),
        (False, True, False, "ike_limit", "ike_limit"),
        (False, False, True, "ike_limit", "ike_limit"),
        (False, False, False, None, None),
    ],
)
def test_the_halves_of_a_server(
    gateway: bool, limit: bool, pending: bool, remediate: str | None, workaround: str | None
) -> None:
    for playbook, expected in (("remediate", remediate), ("workaround", workaround)):
        raw = found(playbook)
        due = [gateway_change()] * gateway + [limit_change()] * limit
        read = facts("rras1", ROUTER if gateway else GATEWAY, restart_owed=pending, changes=due)
        raw["servers"]["rras1"] = {"facts": read, "gateway": GATEWAY, "ike_limit": 50000}
        assert entries(raw).get("rras1") == expected


def test_a_rollback_that_is_pending_makes_a_gateway_due_where_one_is_wanted() -> None:
    raw = site(True, GATEWAY, OWN, playbook="remediate")
    raw["servers"]["rras1"]["facts"]["findings"] = [finding("rollback_pending", "warning")]
    raw["servers"]["rras2"]["facts"]["findings"] = [finding("rollback_pending", "warning")]
    del raw["servers"]["rras2"]["gateway"]
    assert entries(raw) == {"rras1": "gateway"}


def test_tags_select_what_is_changed() -> None:
    raw = found()
    raw["servers"]["rras1"]["facts"]["changes"].append(limit_change())
    raw["servers"]["rras1"]["ike_limit"] = 50000
    assert entries(raw, selected=Selected(gateways=False, load_balancers=False)) == {"rras1": "ike_limit"}
    assert entries(raw, selected=Selected(limits=False, load_balancers=False)) == {
        "rras1": "gateway",
        "rras2": "gateway",
    }
    assert entries(raw, selected=Selected(gateways=False, limits=False)) == {"bigip": ""}


def test_an_obstacle_ends_a_remediation_before_its_first_change() -> None:
    raw = found()
    raw["load_balancers"]["bigip"]["result"]["findings"] = [finding("not_active_unit", object="bigip")]
    site = judged(raw)
    failure = site.hosts["bigip"].failure
    assert failure is not None
    assert (failure.stage, failure.final_state) == ("check", "unchanged")
    assert failure.msg.startswith(
        "bigip: nothing was changed, here or on what depends on it, because of not_active_unit at bigip: "
    )
    assert {host: order.go for host, order in orders.to_change(site, site.hosts).items()} == dict.fromkeys(ALL, False)
    assert orders.to_change(site, ["rras1"])["rras1"].why_not == "bigip has failed"
    # For the others it is no question.
    for playbook in ("workaround", "rollback", "audit", "verify"):
        assert judged({**raw, "playbook": playbook}).hosts["bigip"].failure is None


def test_a_gateway_that_no_load_balancer_was_read_for_is_not_changed_and_the_others_are() -> None:
    raw = found()
    raw["servers"]["rras2"]["facts"]["addresses"] = ["10.30.0.12"]
    site = judged(raw)
    failure = site.hosts["rras2"].failure
    assert failure is not None
    assert "gateway_unverified: No load balancer that leads to this server was read (read: bigip)" in failure.msg
    assert {host for host, order in orders.to_change(site, site.hosts).items() if order.go} == {"bigip", "rras1"}


def test_what_a_server_refuses_is_found_before_anything_is_changed() -> None:
    raw = found()
    raw["servers"]["rras1"]["facts"]["findings"] = [finding("change_refused", object="rras1", message="DHCP.")]
    failure = judged(raw).hosts["rras1"].failure
    assert failure is not None
    assert failure.msg.startswith(
        "rras1: nothing was changed, here or on what depends on it, because of change_refused: DHCP."
    )


def test_what_blocks_a_gateway_is_found_before_anything_is_changed_and_does_not_block_a_limit() -> None:
    raw = found()
    raw["servers"]["rras1"]["facts"]["findings"] = [
        finding("internal_routes_lost", object="10.10.0.254", message="All.")
    ]
    failure = judged(raw).hosts["rras1"].failure
    assert failure is not None
    assert "because of internal_routes_lost: All." in failure.msg
    raw["servers"]["rras1"]["facts"]["changes"] = []
    assert judged(raw).hosts["rras1"].failure is None


def test_the_first_failure_ends_the_changes_of_all_that_depend_on_it() -> None:
    raw = found()
    failed = after(raw, "rras1", "rras_gateway_result", UNDONE)
    order = orders.to_change(failed, ["rras1", "rras2", "bigip"])
    assert {host: one.why_not for host, one in order.items()} == {
        "rras1": "it has failed",
        "rras2": "rras1 has failed",
        "bigip": "rras1 has failed",
    }
    other = services(False)
    for one in other:
        one.update(address="203.0.113.20", servers=[{"address": "10.20.0.11", "port": 500, "gateways": ["10.20.0.1"]}])
    raw["load_balancers"]["south"] = {"result": result(False, services=other, before=other)}
    raw["servers"]["s1"] = {"facts": facts("rras1", ROUTER, addresses=["10.20.0.11"]), "gateway": "10.20.0.1"}
    failed = after(raw, "rras1", "rras_gateway_result", UNDONE)
    assert {host for host, one in orders.to_change(failed, failed.hosts).items() if one.go} == {"south", "s1"}


def test_the_workaround_does_not_need_the_load_balancers() -> None:
    raw = found("workaround")
    raw["load_balancers"]["bigip"] = BROKEN
    for item in raw["servers"].values():
        item["facts"]["changes"].append(limit_change())
    assert entries(raw) == {"rras1": "ike_limit", "rras2": "ike_limit"}
    raw["servers"]["rras2"] = BROKEN
    assert given(raw)["rras1"].why_not == "rras2 has failed"


def test_a_load_balancer_that_is_left_alone_says_why() -> None:
    raw = found()
    raw["load_balancers"]["standby"] = {
        "result": result(False, findings=[finding("not_active_unit", object="standby")])
    }
    order = given(raw)["standby"]
    assert not order.go
    assert "left to bigip" in order.why_not


# -- rollback


def test_a_rollback_restores_what_the_snapshot_contains() -> None:
    raw = remedied()
    order = given(raw)
    assert order["bigip"].snapshot == raw["kept"]["load_balancers"]["bigip"]["snapshot"]
    # The servers can only follow.
    assert [order[host].go for host in ("rras1", "rras2")] == [False, False]
    assert order["rras1"].why_not.startswith(
        "rras1: the server was not changed, because bigip keeps the clients' addresses at /Common/vs_ikev2_500"
    )
    assert orders.due_hosts(site_of(raw)) == {"servers": ["rras1", "rras2"], "load_balancers": ["bigip"]}
    restored = after(raw, "bigip", "load_balancer_result", result(False, changed=True, final_state="changed"))
    order = orders.to_change(restored, ["rras1"])
    assert (order["rras1"].go, order["rras1"].entry) == (True, "restore")
    assert order["rras1"].snapshot == raw["kept"]["servers"]["rras1"]
    assert order["rras1"].record.asked == ("rras_restore_result", "rras_limit_result")
    del raw["kept"]["load_balancers"]["bigip"], raw["kept"]["servers"]["rras1"]
    assert given(raw)["bigip"].why_not == given(raw)["rras1"].why_not == "the snapshot does not contain it"


def test_a_rollback_does_not_move_a_gateway_past_what_was_not_read() -> None:
    raw = remedied()
    raw["load_balancers"] = {}
    assert "bigip was not read" in given(raw)["rras1"].why_not
    raw["load_balancers"] = {"bigip": {"platform": "bigip"}}
    assert "bigip was not read" in given(raw)["rras1"].why_not
    # Where the gateway is the same already, nothing can be cut off.
    raw = {**site(False, ROUTER, OWN, playbook="rollback"), "kept": snapshot(), "load_balancers": {}}
    assert given(raw)["rras1"].go
    # The limit alone cuts nobody off.
    assert entries(remedied(), selected=Selected(gateways=False, load_balancers=False)) == {
        "rras1": "restore_ike_limit",
        "rras2": "restore_ike_limit",
    }


# -- check mode


@pytest.mark.parametrize("raw", [found(), found("workaround"), remedied()])
def test_check_mode_gives_the_same_orders_and_reads_nothing_again(raw: Raw) -> None:
    for item in raw["servers"].values():
        item["facts"]["changes"].append(limit_change())
    real, predicted = site_of(raw), site_of({**raw, "check_mode": True})
    assert orders.to_change(predicted, predicted.hosts) == orders.to_change(real, real.hosts)
    due = orders.due_hosts(real)
    assert due == orders.due_hosts(predicted)
    assert any(due.values())
    assert orders.to_read_again(real, due) == {"servers": ["rras1", "rras2"], "load_balancers": ["bigip"]}
    assert orders.to_read_again(predicted, due) == {"servers": [], "load_balancers": []}
    assert orders.to_read_again(real, {"servers": [], "load_balancers": []}) == {"servers": [], "load_balancers": []}


# -- probes


def probes(answered: bool) -> list[Raw]:
    """Return the answers of the virtual address."""
    return [{"address": "203.0.113.10", "answered": answered, "detail": ""}]


def test_an_address_that_falls_silent_after_a_change_is_rolled_back() -> None:
    raw = found()
    raw["load_balancers"]["bigip"]["probe"] = probes(True)
    made = result(True, changed=True, final_state="changed")
    changed = after(raw, "bigip", "load_balancer_result", made)
    item = changed.load_balancers["bigip"]
    assert orders.silent_addresses(item, probes(False)) == ["203.0.113.10"]
    assert orders.silent_addresses(item, []) == ["203.0.113.10"]
    assert orders.silent_addresses(item, probes(True)) == []
    order = orders.to_undo(changed, "bigip")
    assert (order.go, order.record.stage, order.snapshot) == (True, "restore", made["snapshot"])
    # One that was silent before, or that nothing was changed for, is not.
    raw["load_balancers"]["bigip"]["probe"] = probes(False)
    item = after(raw, "bigip", "load_balancer_result", made).load_balancers["bigip"]
    assert orders.silent_addresses(item, probes(False)) == []
    raw["load_balancers"]["bigip"]["probe"] = probes(True)
    item = after(raw, "bigip", "load_balancer_result", result(True)).load_balancers["bigip"]
    assert orders.silent_addresses(item, probes(False)) == []


def test_an_order_is_plain_values() -> None:
    raw = found()
    raw["load_balancers"]["bigip"]["result"]["changes"] = [change("vs", "snat", "automap", "none")]
    order = given(raw)["bigip"].as_dict()
    assert order["record"]["asked"] == ["load_balancer_result"]
    assert set(order) == {"go", "why_not", "entry", "return_path", "snapshot", "save_pending", "record"}
