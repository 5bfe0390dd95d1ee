# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole course with real IKEv2: the problem, the workaround, the fix and its caveat, the rollback; for each load balancer.

A playbook acts on all three load balancers, as one run on one site; each test then looks at one of them. ``TEN`` clients come one after the
other, so a server takes exactly as many from one address as its limit says.
"""

from __future__ import annotations

import ipaddress
import json
import time
import typing as t

import pytest
from ikev2.conftest import PLATFORMS, Site

from lab.dataplane.plane import SERVERS, SYSTEM_LIMIT, WRONG_GATEWAY
from lab.dataplane.rules import INSIDE

TEN, FIFTY = range(10), range(50)
RIGHT = dict.fromkeys(SERVERS, "10.10.0.1")
WRONG = dict.fromkeys(SERVERS, WRONG_GATEWAY)

each_platform = pytest.mark.parametrize(
    "platform", [PLATFORMS[0], *(pytest.param(name, marks=pytest.mark.matrix) for name in PLATFORMS[1:])]
)


def connect(site: Site, platform: str, numbers: t.Iterable[int]) -> dict[int, str]:
    """Let clients connect to a platform, nobody else being connected; give those that did, with whom their servers see."""
    site.plane.disconnect()
    made = site.plane.connect(site.vip(platform), numbers)
    seen = site.plane.connected(site.vip(platform))
    assert list(seen) == made
    return seen


def own_addresses(site: Site, numbers: t.Iterable[int]) -> dict[int, str]:
    """Return the clients with their own addresses."""
    return {number: site.plane.addresses[number] for number in numbers}


def see_full_nat(site: Site, platform: str) -> None:
    """See the fault: the servers see one address, and the clients beyond its limit fail, while those that are connected go on."""
    seen = connect(site, platform, TEN)
    (address,) = set(seen.values())
    assert ipaddress.ip_address(address) in INSIDE
    assert site.sources() == [{address: SYSTEM_LIMIT}, {address: SYSTEM_LIMIT}]
    assert len(seen) == 2 * SYSTEM_LIMIT < len(TEN)
    assert all(site.plane.pings(site.vip(platform), number) for number in seen)


def wait_until_seen(site: Site, platform: str, wanted: dict[int, str], seconds: float = 15.0) -> None:
    """Wait until the servers see clients by these addresses. A client asks every two seconds whether its server is there."""
    deadline = time.monotonic() + seconds
    while (seen := site.plane.connected(site.vip(platform))) != wanted and time.monotonic() < deadline:
        time.sleep(0.2)
    assert seen == wanted


@each_platform
def test_full_nat_shows_one_address_and_its_limit_refuses_clients(broken: Site, platform: str) -> None:
    see_full_nat(broken, platform)


@each_platform
def test_of_fifty_clients_no_more_get_through(site: Site, platform: str) -> None:
    if site.stage:
        site.break_everything()
    assert len(connect(site, platform, FIFTY)) == 2 * SYSTEM_LIMIT


@each_platform
def test_after_the_workaround_all_connect_from_one_address(site: Site, platform: str) -> None:
    run = site.after("workaround", "-e", "rras_restart_with_sessions=true")
    assert run.code == 0, run.output
    assert run.report("workaround")["verdict"]["status"] == "partial"
    seen = connect(site, platform, FIFTY)
    assert list(seen) == list(FIFTY)
    assert len(set(seen.values())) == 1
    assert ipaddress.ip_address(seen[0]) in INSIDE


@each_platform
def test_remediate_leaves_flows_that_exist_as_they_are(site: Site, platform: str) -> None:
    run = site.after("remediate")
    assert run.code == 0, run.output
    vip, client = site.vip(platform), site.existing[platform]
    (seen,) = site.plane.connected(vip).values()
    assert ipaddress.ip_address(seen) in INSIDE
    assert site.plane.pings(vip, client)
    # Once the device has forgotten them, here by the administrator's hand, they come from where they are.
    site.plane.forget(site.plane.flows(vip))
    wait_until_seen(site, platform, own_addresses(site, [client]))
    assert site.plane.pings(vip, client)


@each_platform
def test_after_remediate_every_client_connects_from_its_own_address(site: Site, platform: str) -> None:
    run = site.after("remediate")
    assert run.code == 0, run.output
    assert connect(site, platform, TEN) == own_addresses(site, TEN)
    assert all(site.plane.pings(site.vip(platform), number) for number in TEN)


@each_platform
def test_after_remediate_fifty_clients_connect(site: Site, platform: str) -> None:
    site.after("remediate")
    assert connect(site, platform, FIFTY) == own_addresses(site, FIFTY)
    assert all(max(counts.values()) == 1 for counts in site.sources())


def test_verify_says_so(site: Site) -> None:
    site.after("remediate")
    site.plane.disconnect()
    for number, platform in enumerate(PLATFORMS):
        site.plane.connect(site.vip(platform), range(4 * number, 4 * number + 4))
    run = site.playbook("verify")
    assert run.code == 0, run.output
    report = run.report("verify")
    assert report["verdict"]["status"] == "clean"
    assert [server["sas"] for server in report["servers"].values()] == site.sources()
    assert {server["sees"]["verdict"] for server in report["servers"].values()} == {"seen"}


@each_platform
def test_after_rollback_the_fault_is_back(site: Site, platform: str) -> None:
    if site.stage != "rollback":
        site.after("remediate")
        site.run = site.playbook("rollback")
        site.stage = "rollback"
    assert site.run is not None
    assert site.run.code == 0, site.run.output
    see_full_nat(site, platform)


@each_platform
def test_a_wrong_gateway_is_refused_and_would_cut_off_everybody(broken: Site, platform: str) -> None:
    refused = broken.module(platform, state="preserved", return_path=WRONG)
    assert refused["undone"]
    assert WRONG_GATEWAY in refused["msg"]
    assert "return_path_wrong" in [finding["code"] for finding in refused["findings"]]
    assert connect(broken, platform, [0, 3])

    forced = broken.module(platform, state="preserved", return_path=WRONG, accept=["return_path_wrong"])
    assert forced["changed"]
    assert connect(broken, platform, TEN) == {}

    host = broken.lab.rras1
    for route in host.state["routes"]["active"]:
        if route["next_hop"] == WRONG_GATEWAY:
            route["next_hop"] = "10.10.0.1"
    host.tell(None)
    seen = connect(broken, platform, TEN)
    assert [sorted(counts) for counts in broken.sources()] == [sorted(seen.values()), []]
    assert 0 < len(seen) < len(TEN)


def test_a_load_balancer_after_whose_change_nobody_answers_is_put_back(broken: Site) -> None:
    before = connect(broken, "bigip", [0])
    assert ipaddress.ip_address(before[0]) in INSIDE
    blind = {"probe": True, "load_balancer_accept": ["return_path_wrong"]}
    # Only the load balancer: the servers' gateway stays the wrong one.
    arguments = ("--tags", "load_balancers", "--limit", "bigip,rras", "-e", json.dumps(blind))
    run = broken.playbook("remediate", *arguments)
    assert run.code != 0
    assert "answered IKE_SA_INIT before the change, but no longer does" in run.output
    report = run.report("remediate")["load_balancers"]["bigip"]
    assert report["outcome"] == "undone"
    assert [service["source_preserved"] for service in report["services"]] == [False, False]
    assert connect(broken, "bigip", [0]) == before


def test_clear_connections_moves_a_client_that_is_connected(broken: Site) -> None:
    vip, other = broken.vip("bigip"), broken.vip("netscaler")
    for host in broken.lab.servers:
        for route in host.state["routes"]["active"]:
            if route["next_hop"] == WRONG_GATEWAY:
                route["next_hop"] = "10.10.0.1"
        host.tell(None)
    assert broken.plane.connect(vip, [0, 3]) == [0, 3]
    assert broken.plane.connect(other, [1]) == [1]
    result = broken.module("bigip", state="preserved", return_path=RIGHT, clear_connections=True)
    assert result["changed"]
    wait_until_seen(broken, "bigip", own_addresses(broken, [0, 3]))
    assert broken.plane.pings(vip, 0)
    assert broken.plane.pings(vip, 3)
    (kept,) = broken.plane.connected(other).values()
    assert ipaddress.ip_address(kept) in INSIDE
    assert broken.plane.pings(other, 1)
