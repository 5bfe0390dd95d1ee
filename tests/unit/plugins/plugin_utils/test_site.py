# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What follows from what was read of all hosts together."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.site import Site
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.verdict import drift_of
from report_examples import Raw, change, facts, finding, gateway_change, limit_change, result, site_of, variables

DUE = [change("vs500", "snat", "automap", "none")]
PROXY_PORT = change("vs500", "useproxyport", "YES", "NO")
STANDBY = finding("not_active_unit", object="vs500")
DOWN: Raw = {"failure": {"stage": "read", "msg": "no answer", "final_state": "unchanged"}}


def service(
    preserved: bool, *servers: str, gateways: t.Sequence[str] = ("10.10.0.1",), vip: str = "203.0.113.10"
) -> Raw:
    """Return a service as the modules return it, with servers that are to reply through these gateways."""
    return {
        "id": "vs500",
        "address": vip,
        "port": 500,
        "protocol": "udp",
        "enabled": True,
        "source_preserved": preserved,
        "value": "none" if preserved else "automap",
        "servers": [{"address": server, "port": 500, "gateways": [*gateways]} for server in servers],
    }


def balancer(*services: Raw, changes: t.Sequence[Raw] = (), findings: t.Sequence[Raw] = (), **more: t.Any) -> Raw:
    """Return a load balancer that was read."""
    read = result(True, services=[*services], before=[*services], changes=[*changes], findings=[*findings])
    return {"result": read, "platform": "bigip", **more}


def server(gateway: str | None, *addresses: str, wanted: str = "", **more: t.Any) -> Raw:
    """Return a VPN server that was read."""
    read = {"facts": facts("rras1", gateway, addresses=[*addresses], **{"changes": [], **more})}
    return {**read, "gateway": wanted} if wanted else read


def whole(load_balancers: Raw, servers: Raw | None = None, playbook: str = "remediate", **more: t.Any) -> Site:
    """Return the site."""
    return site_of({"load_balancers": load_balancers, "servers": servers or {}, "playbook": playbook, **more})


RRAS1 = server("10.10.0.1", "10.10.0.11", "192.168.10.11")
LOST = server(None, "10.10.0.12")


# -- return paths


def test_the_return_path_names_every_address_of_a_server_that_has_a_gateway() -> None:
    site = whole({"lb": balancer(service(True))}, {"rras1": RRAS1, "rras2": LOST})
    assert site.return_path("lb") == {"10.10.0.11": "10.10.0.1", "192.168.10.11": "10.10.0.1"}


def test_what_was_read_takes_precedence_over_what_the_inventory_names() -> None:
    raw = {"load_balancers": {"lb": balancer(service(True))}, "servers": {"rras1": RRAS1}, "playbook": "audit"}
    hosts = variables(raw)
    hosts["lb"]["load_balancer_return_path"] = {"10.10.0.11": "10.10.0.9", "10.10.0.12": "10.10.0.9"}
    found = Site.parse(hosts, "audit").return_path("lb")
    assert (found["10.10.0.11"], found["10.10.0.12"]) == ("10.10.0.1", "10.10.0.9")


def test_a_planned_gateway_takes_precedence_over_the_present_one_where_it_is_going_to_be_set() -> None:
    servers = {
        "rras1": {**RRAS1, "gateway": "10.10.0.2"},
        "rras2": {**LOST, "gateway": "10.10.0.3"},
    }
    planned = {"10.10.0.11": "10.10.0.2", "192.168.10.11": "10.10.0.2", "10.10.0.12": "10.10.0.3"}
    present = {"10.10.0.11": "10.10.0.1", "192.168.10.11": "10.10.0.1"}
    for playbook, expected in (("remediate", planned), ("audit", present), ("rollback", present)):
        site = whole({"lb": balancer(service(True))}, servers, playbook)
        assert site.return_path("lb", planned=True) == expected
        assert site.return_path("lb") == present


# -- what forbids a change


@pytest.mark.parametrize(
    ("changes", "findings", "accept", "codes"),
    [
        ([PROXY_PORT], [STANDBY, finding("note", "info")], [], ["not_active_unit"]),
        ([PROXY_PORT], [STANDBY], ["not_active_unit"], []),
        # Where no change is due, nothing can be forbidden, except the change of a server's gateway.
        ([], [STANDBY, finding("return_path_unverified")], [], []),
        ([], [finding("return_path_wrong")], [], ["return_path_wrong"]),
        (
            [change("lb", "USNIP", False, True, "device")],
            [finding("device_setting", "warning"), finding("unsynced_changes")],
            "not_read, device_setting",  # a text for a list, as an INI inventory has it
            ["unsynced_changes"],
        ),
    ],
)
def test_what_forbids_a_change(changes: list[Raw], findings: list[Raw], accept: t.Any, codes: list[str]) -> None:
    site = whole({"lb": balancer(service(True), changes=changes, findings=findings, accept=accept)})
    assert [line.partition(" ")[0] for line in site.obstacles("lb")] == codes


@pytest.mark.parametrize(
    ("preserved", "gateway", "hosts"),
    [(True, "10.10.0.254", ["a"]), (True, None, ["a"]), (True, "10.10.0.1", []), (False, "10.10.0.254", [])],
)
def test_a_gateway_that_would_cut_off_the_vpn(preserved: bool, gateway: str | None, hosts: list[str]) -> None:
    site = whole({"a": balancer(service(preserved, "10.10.0.11", "10.10.0.12"))}, {"rras1": RRAS1})
    assert [line.partition(" ")[0] for line in site.cut_off(site.servers["rras1"], gateway)] == hosts


def test_a_load_balancer_that_was_not_read_counts_against_a_gateway() -> None:
    site = whole({"a": balancer(service(False, "10.10.0.11")), "b": DOWN}, {"rras1": RRAS1})
    assert site.cut_off(site.servers["rras1"], "10.10.0.254", ["a", "b"]) == ["b was not read"]


@pytest.mark.parametrize(
    ("load_balancers", "accept", "blocked"),
    [
        ({"a": balancer(service(False, "192.168.10.11%3"))}, [], False),
        ({"a": balancer(service(False, "10.10.0.99"))}, [], True),
        ({"a": DOWN}, [], True),
        ({}, [], True),
        ({}, ["gateway_unverified"], False),
    ],
)
def test_a_gateway_is_not_changed_without_a_load_balancer_that_leads_to_the_server(
    load_balancers: Raw, accept: list[str], blocked: bool
) -> None:
    rras1 = {**RRAS1, "facts": {**RRAS1["facts"], "changes": [gateway_change()]}}
    hosts = variables({"load_balancers": load_balancers, "servers": {"rras1": rras1}})
    hosts["rras1"]["rras_accept"] = accept
    for playbook in ("remediate", "audit"):
        site = Site.parse(hosts, playbook)
        found = site.unverified_gateway(site.servers["rras1"])
        assert (found is not None) is blocked
        assert [one.code for one in site.findings if one.severity == "blocker"] == ["gateway_unverified"] * blocked
        if found:
            assert f"(read: {'a' if 'result' in load_balancers.get('a', {}) else 'none'})" in found.message
    assert [one for one in Site.parse(hosts, "verify").findings if one.severity == "blocker"] == []


# -- who belongs to whom


def test_a_standby_unit_is_left_to_its_partner_and_to_nobody_else() -> None:
    mine = balancer(service(False, "10.10.0.11"), changes=DUE, findings=[STANDBY])
    partner = balancer(service(False, "10.10.0.11"), changes=DUE)
    site = whole({"a": partner, "b": mine}, {"rras1": RRAS1})
    assert "left to a, which serves the same virtual addresses" in site.left_alone("b")
    assert site.left_alone("a") == ""
    assert site.obstacles("b") == []
    # Two units of a pair are one load balancer for their servers.
    (told,) = site.findings
    assert (told.code, told.severity, told.object) == ("not_active_unit", "info", "b")
    assert not [line for line in drift_of(site) if "not_active_unit" in line]
    for other in (
        balancer(service(False, "10.10.0.11", vip="203.0.113.99")),  # another pair
        balancer(service(False, "10.10.0.11"), findings=[STANDBY]),  # standby, too
        DOWN,
    ):
        site = whole({"a": other, "b": mine})
        assert site.left_alone("b") == ""
        assert site.obstacles("b") != []
    nowhere = balancer(service(False, vip=""), findings=[STANDBY])
    assert whole({"a": balancer(service(False, vip="")), "b": nowhere}).left_alone("b") == ""


def test_of_two_load_balancers_before_the_same_servers_the_one_that_is_not_their_gateway_goes_on_translating() -> None:
    def behind(preserved: bool, gateway: str, vip: str) -> Raw:
        return service(preserved, "10.10.0.11", gateways=[gateway], vip=vip)

    wrong = finding("return_path_wrong", object="10.10.0.11")
    old = balancer(behind(False, "10.10.0.2", "203.0.113.20"), changes=DUE, findings=[wrong])
    new = balancer(behind(False, "10.10.0.1", "203.0.113.10"), changes=DUE)
    site = whole({"new": new, "old": old}, {"rras1": RRAS1})
    assert "old has to go on translating" in site.left_alone("old")
    assert (site.left_alone("new"), site.obstacles("old")) == ("", [])
    assert [(one.code, one.object) for one in site.findings] == [("server_shared", "old"), ("server_shared", "rras1")]
    # One that keeps the addresses already would be cut off by the new gateway.
    keeps = balancer(behind(True, "10.10.0.2", "203.0.113.20"), findings=[wrong])
    assert len(whole({"new": new, "old": keeps}, {"rras1": RRAS1}).obstacles("old")) == 1
    # A gateway that is nobody's is wrong for both.
    nobody = server("10.10.0.254", "10.10.0.11")
    assert len(whole({"new": new, "old": old}, {"rras1": nobody}).obstacles("old")) == 1


def test_a_server_to_which_no_load_balancer_offers_itself_keeps_its_gateway() -> None:
    direct = balancer(service(True, "10.10.0.11", gateways=[]))
    due = server("10.10.0.254", "10.10.0.11", changes=[{**gateway_change()}])
    site = whole({"a": direct}, {"rras1": due})
    assert site.keeps_gateway(site.servers["rras1"])
    assert [one.code for one in site.findings] == ["unsupported_mode"]
    assert whole({"a": direct}, {"rras1": RRAS1}).findings == ()
    both = whole({"a": direct, "b": balancer(service(True, "192.168.10.11"))}, {"rras1": RRAS1})
    assert not both.keeps_gateway(both.servers["rras1"])
    other = whole({"a": direct}, {"rras2": LOST})
    assert not other.keeps_gateway(other.servers["rras2"])


def test_a_server_behind_two_load_balancers_is_reported_and_so_is_one_behind_none() -> None:
    load_balancers = {
        "a": balancer(service(True, "10.10.0.11%2")),
        "b": balancer(service(False, "192.168.10.11", vip="203.0.113.11")),
    }
    found = whole(load_balancers, {"rras1": RRAS1, "rras2": LOST}).findings
    assert [(one.code, one.object, one.severity) for one in found] == [
        ("server_shared", "rras1", "info"),
        ("server_not_served", "rras2", "warning"),
    ]
    assert "a, b" in found[0].message
    assert whole({"a": balancer(service(True, "10.10.0.11"))}, {"rras1": RRAS1}).findings == ()
    assert whole({}, {"rras1": RRAS1}).findings == ()


NORTH = balancer(service(True, "10.10.0.11", "10.10.0.12"))
SOUTH = balancer(service(True, "10.20.0.11", gateways=["10.20.0.1"], vip="203.0.113.20"))
SERVERS = {
    "n1": server("10.10.0.1", "10.10.0.11"),
    "n2": server("10.10.0.1", "10.10.0.12"),
    "s1": server("10.20.0.1", "10.20.0.11"),
}


def groups(site: Site) -> set[frozenset[str]]:
    """Return the groups of hosts that depend on one another."""
    return set(site.together.values())


def test_two_sites_do_not_depend_on_each_other() -> None:
    site = whole({"north": NORTH, "south": SOUTH}, SERVERS)
    assert groups(site) == {frozenset({"north", "n1", "n2"}), frozenset({"south", "s1"})}


def test_units_of_a_pair_and_servers_of_both_belong_together() -> None:
    shared = balancer(service(True, "10.10.0.12", "10.20.0.11", vip="203.0.113.30"))
    site = whole({"north": NORTH, "south": SOUTH, "third": shared}, SERVERS)
    assert groups(site) == {frozenset({"north", "south", "third", "n1", "n2", "s1"})}
    pair = whole({"north": balancer(service(True)), "other": balancer(service(True)), "south": SOUTH}, SERVERS)
    assert frozenset({"north", "other"}) in groups(pair)


def test_an_unread_server_belongs_to_the_load_balancer_that_is_its_gateway_or_else_to_all() -> None:
    down = {**DOWN, "gateway": "10.20.0.1"}
    site = whole({"north": NORTH, "south": SOUTH}, {**SERVERS, "s2": down})
    assert groups(site) == {frozenset({"north", "n1", "n2"}), frozenset({"south", "s1", "s2"})}
    site = whole({"north": NORTH, "south": SOUTH}, {**SERVERS, "s2": DOWN})
    assert len(groups(site)) == 1
    # Ansible reaches it by an address that a load balancer names.
    hosts = variables({"load_balancers": {"north": NORTH, "south": SOUTH}, "servers": {**SERVERS, "s1": DOWN}})
    hosts["s1"]["ansible_host"] = "10.20.0.11"
    assert frozenset({"south", "s1"}) in groups(Site.parse(hosts, "remediate"))


def test_an_unread_server_belongs_to_the_load_balancers_of_its_own_groups_if_they_share_a_gateway() -> None:
    same = balancer(service(True, "10.20.0.11", gateways=["10.10.0.1"], vip="203.0.113.20"))
    hosts = variables({"load_balancers": {"north": NORTH, "south": same}, "servers": {**SERVERS, "s1": DOWN}})
    hosts["s1"]["rras_gateway"] = "10.10.0.1"
    assert len(groups(Site.parse(hosts, "remediate"))) == 1
    hosts["south"]["group_names"] += ["dc_south"]
    hosts["s1"]["group_names"] += ["dc_south"]
    assert frozenset({"south", "s1"}) in groups(Site.parse(hosts, "remediate"))


def test_an_unread_load_balancer_belongs_to_the_servers_that_no_other_one_is_the_gateway_of() -> None:
    site = whole({"north": NORTH, "south": DOWN}, SERVERS)
    assert groups(site) == {frozenset({"north", "n1", "n2"}), frozenset({"south", "s1"})}
    # Without any, it may belong to all.
    site = whole({"north": NORTH, "south": DOWN}, {"n1": SERVERS["n1"]})
    assert groups(site) == {frozenset({"north", "south", "n1"})}


def test_an_unread_load_balancer_belongs_to_the_hosts_of_its_own_groups() -> None:
    hosts = variables({"load_balancers": {"north": NORTH, "south": DOWN}, "servers": SERVERS})
    hosts["south"]["group_names"] += ["dc_south"]
    hosts["s1"]["group_names"] += ["dc_south"]
    assert frozenset({"south", "s1"}) in groups(Site.parse(hosts, "remediate"))


# -- drift


def test_nothing_is_due() -> None:
    good = balancer(service(True), findings=[finding("existing", "warning"), finding("note", "info")])
    assert drift_of(whole({"lb": good}, {"rras1": RRAS1, "rras2": LOST})) == ()


def test_every_drift_is_a_sentence() -> None:
    lb = balancer(
        service(False),
        {**service(True), "id": "vs4500"},
        changes=[
            change("lb", "USNIP", False, True, "device"),
            change("vs500", "usip", "NO", "YES"),
            PROXY_PORT,
            change("vs4500", "snat", {"type": "snat", "pool": "/Common/sp"}, "none"),
        ],
        findings=[{**STANDBY, "message": "So it is."}, finding("device_setting", "warning")],
    )
    default, kept = "0.0.0.0/0", "172.16.0.9/32"
    rras1 = [
        change(default, "NextHop", "10.10.0.1", "10.10.0.9", "route"),
        change(default, "NextHop", "192.168.10.1", None, "route"),
        change(kept, "NextHop", None, "10.10.0.254", "route"),
        change(kept, "RouteMetric", 256, 1, "route"),
    ]
    rras2 = [change(default, "NextHop", None, "10.10.0.1", "route")]
    servers = {"rras1": server("10.10.0.1", changes=rras1), "rras2": server(None, changes=rras2)}
    assert drift_of(whole({"lb": lb}, servers)) == (
        "lb: vs500 (203.0.113.10, UDP 500) hides the clients' addresses",
        "lb: USNIP is off and has to be on",
        "lb: useproxyport of vs500 is YES and has to be NO",
        "lb: snat of vs4500 is snat /Common/sp and has to be none",
        "lb: not_active_unit at vs500: So it is.",
        "rras1: the default gateway is 10.10.0.1 and has to be 10.10.0.9",
        "rras1: the route 0.0.0.0/0 via 192.168.10.1 has to be removed",
        "rras1: the gateway of 172.16.0.9/32 is missing and has to be 10.10.0.254",
        "rras1: RouteMetric of 172.16.0.9/32 is 256 and has to be 1",
        "rras2: the default gateway is missing and has to be 10.10.0.1",
    )


def test_an_accepted_blocker_does_not_count_as_drift_where_it_is_accepted() -> None:
    mode = [change("lb", "USNIP", False, True, "device")]
    accepted = balancer(service(True), changes=mode, findings=[STANDBY], accept=["not_active_unit", "device_setting"])
    other = balancer(service(True, vip="203.0.113.11"), changes=mode, findings=[STANDBY])
    assert drift_of(whole({"lb": accepted, "other": other})) == (
        "lb: USNIP is off and has to be on",
        "other: USNIP is off and has to be on",
        f"other: not_active_unit at vs500: {STANDBY['message']}",
    )


def test_a_limit_is_drift_where_one_is_wanted_and_so_is_a_pending_restart() -> None:
    pending = server("10.10.0.1", ike_limit=50000, restart_owed=True)
    due = server("10.10.0.1", restart_owed=True, changes=[limit_change()])
    assert drift_of(whole({}, {"rras1": pending})) == ()
    wanted = {"rras1": {**pending, "ike_limit": 50000}, "rras2": {**due, "ike_limit": 50000}}
    assert drift_of(whole({}, wanted)) == (
        "rras1: IKEEXT does not use the limit 50000 until it is restarted",
        "rras2: the limit of IKE security associations from one address is the default of Windows and has to be 50000",
    )
