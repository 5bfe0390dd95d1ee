# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""BIG-IP: what else hides the source, or is worth a word."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.aovpn.ikev2.plugins.module_utils._engine import RunFailed
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Order
from bigip_expectations import (
    BROKEN,
    EXPIRED,
    FLOATING,
    GOOD,
    GROUP,
    LOGIN,
    LOGOUT,
    LONE,
    OWN,
    PERSISTENCE,
    POOLS,
    RIGHT,
    SAVE,
    TO_NONE,
    WITH_TOKEN,
    get,
    go,
    guards,
    noted,
    reading,
    reread,
    virtual,
)
from expectations import HOST, Expect, Expecting

pytestmark = pytest.mark.usefixtures("pauses")


def told(expecting: Expecting, *servers: dict[str, t.Any], **guarding: t.Any) -> list[tuple[str, str, str]]:
    """Gather, and give the findings in short."""
    pooled = any("pool" in server["sourceAddressTranslation"] for server in servers)
    expecting([LOGIN, reading(*servers), *guards(**guarding, pooled=pooled), LOGOUT])
    return [(finding.code, finding.severity, finding.object) for finding in noted(go(Order(state="gathered")))]


PAIR = "/Common/vs500, /Common/vs4500"


@pytest.mark.parametrize(
    ("properties", "code", "severity"),
    [
        ({"translateAddress": "disabled"}, "unsupported_mode", "blocker"),
        ({"nat64": "enabled"}, "hidden_translation", "warning"),
        ({"securityNatPolicy": {"policy": "/Common/nat"}}, "hidden_translation", "warning"),
        ({"securityNatPolicy": {"useDevicePolicy": "yes"}}, "hidden_translation", "warning"),
        ({"mirror": "enabled"}, "connection_mirroring", "info"),
    ],
)
def test_what_a_virtual_server_says_itself(
    expecting: Expecting, properties: dict[str, t.Any], code: str, severity: str
) -> None:
    server = virtual("vs500", 500, "automap", **properties)
    assert told(expecting, server, BROKEN[1]) == [(code, severity, "/Common/vs500")]


def test_a_nat_policy_that_is_none_is_not_told(expecting: Expecting) -> None:
    none = {"useDevicePolicy": "no", "useRouteDomainPolicy": "no"}
    assert told(expecting, virtual("vs500", 500, "automap", securityNatPolicy=none), BROKEN[1]) == []


NAMED = [{**server, "destination": f"/Common/vpn.vip:{port}"} for server, port in zip(BROKEN, (500, 4500), strict=True)]
ADDRESSES = get(
    "ltm/virtual-address", {"fullPath": "/Common/vpn.vip", "address": "203.0.113.10", "trafficGroup": GROUP}
)


def test_an_address_that_goes_by_a_name_is_asked_for(expecting: Expecting) -> None:
    right = [{**server, "sourceAddressTranslation": {"type": "none"}} for server in NAMED]
    writing = [*TO_NONE, reread(*right), SAVE]
    expecting([LOGIN, reading(*NAMED), ADDRESSES, *guards(changing=True), *writing, LOGOUT])
    result = go(Order(addresses=("203.0.113.10",), return_path=GOOD))
    assert [service.address for service in result.services] == ["203.0.113.10"] * 2


def test_a_name_that_no_address_has_is_reported_and_a_port_that_is_not_ours_does_not_matter(
    expecting: Expecting,
) -> None:
    strangers = [
        virtual("gone", 500, "automap", destination="/Common/gone:500"),
        virtual("names", 53, "automap", destination="/Common/203.0.113.10:domain"),
    ]
    expecting([LOGIN, reading(*BROKEN, *strangers), ADDRESSES, *guards(addresses=False), LOGOUT])
    found = [(finding.code, finding.object) for finding in noted(go(Order(state="gathered")))]
    assert found == [("unsupported_mode", "/Common/gone"), ("not_selected", "/Common/gone")]


def test_pools_of_others_and_members_by_domain_name_do_no_harm(expecting: Expecting) -> None:
    by_name = {"name": "rras.example.net:500", "address": "any6", "fqdn": {"autopopulate": "enabled"}}
    own = {**POOLS[0], "membersReference": {"items": [by_name, *POOLS[0]["membersReference"]["items"]]}}
    odd = {"fullPath": "/Common/odd", "membersReference": {"items": [{"name": 5}]}}
    assert told(expecting, *BROKEN, pools=[own, POOLS[1], odd]) == []


def test_a_list_of_addresses_and_ports_is_reported_and_left_alone(expecting: Expecting) -> None:
    listed = virtual("listed", 0, "automap", trafficMatchingCriteria="/Common/criteria")
    assert told(expecting, *BROKEN, listed) == [
        ("unsupported_mode", "warning", "/Common/listed"),
        ("not_selected", "warning", "/Common/listed"),
    ]


def test_a_list_of_addresses_and_ports_is_refused_where_it_is_named(expecting: Expecting) -> None:
    listed = virtual("listed", 0, "automap", trafficMatchingCriteria="/Common/criteria", pool="/Common/p500")
    del listed["destination"]
    expecting([LOGIN, reading(*BROKEN, listed), *guards(changing=True, more=[]), LOGOUT])
    with pytest.raises(RunFailed, match=r"unsupported_mode at /Common/listed.*from lists \(/Common/criteria\)"):
        go(Order(services=("listed",), return_path=GOOD))


@pytest.mark.parametrize(
    ("persist", "profiles", "expected"),
    [
        ([{"name": "ike", "partition": "Common"}], [PERSISTENCE], []),
        ([{"name": "ike", "partition": "Common"}], [{**PERSISTENCE, "matchAcrossServices": "disabled"}], [PAIR]),
        ([{"name": "other", "partition": "Common"}], None, [PAIR]),
        ([], None, [PAIR]),
    ],
)
def test_persistence_that_does_not_hold_a_client_together(
    expecting: Expecting, persist: t.Any, profiles: list[dict[str, t.Any]] | None, expected: list[str]
) -> None:
    more = [] if profiles is None else [get("ltm/persistence/source-addr", *profiles)]
    servers = [virtual("vs500", 500, "automap", persist=persist), BROKEN[1]]
    assert told(expecting, *servers, more=more) == [("persistence_split", "warning", name) for name in expected]


def test_a_profile_in_a_folder_is_found_by_its_full_path(expecting: Expecting) -> None:
    persist = [{"name": "ike", "partition": "Common", "subPath": "vpn"}]
    servers = [virtual(f"vs{port}", port, "automap", persist=persist) for port in (500, 4500)]
    more = [get("ltm/persistence/source-addr", {**PERSISTENCE, "fullPath": "/Common/vpn/ike"})]
    assert told(expecting, *servers, more=more) == []


@pytest.mark.parametrize(
    ("persist", "expected"), [([], ["persistence_split"]), ([{"name": "a", "partition": "Common"}], [])]
)
def test_any_port_needs_some_persistence(expecting: Expecting, persist: t.Any, expected: list[str]) -> None:
    both = virtual("any", 0, "automap", destination="/Common/203.0.113.10:any", pool="/Common/p500", persist=persist)
    expecting([LOGIN, reading(both), *guards(more=[], pooled=False), LOGOUT])
    assert [finding.code for finding in go(Order(state="gathered", services=("any",))).findings] == expected


def test_persistence_does_not_matter_where_there_is_one_server(expecting: Expecting) -> None:
    servers = [virtual(f"vs{port}", port, "automap", persist=[]) for port in (500, 4500)]
    assert told(expecting, *servers, pools=LONE, more=[]) == []


def test_no_persistence_at_all_is_reported_without_a_read(expecting: Expecting) -> None:
    servers = [virtual(f"vs{port}", port, "automap", persist=[]) for port in (500, 4500)]
    assert told(expecting, *servers, more=[]) == [("persistence_split", "warning", PAIR)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("when CLIENT_ACCEPTED {\n  snat automap\n}", 1),
        ("when CLIENT_ACCEPTED { snatpool /Common/sp }", 1),
        ("# snat automap\nwhen CLIENT_ACCEPTED { log local0. resnatted }", 0),
        ('when CLIENT_ACCEPTED { log local0. "#1"; snat automap }', 1),
        ("when CLIENT_ACCEPTED { snat none; # not snat automap\n}", 0),
    ],
)
def test_an_irule_that_translates(expecting: Expecting, text: str, expected: int) -> None:
    rule = Expect("GET", "/mgmt/tm/ltm/rule/~Common~r", {"apiAnonymous": text}, headers=WITH_TOKEN)
    more = [get("ltm/persistence/source-addr", PERSISTENCE), rule]
    servers = [virtual("vs500", 500, "automap", rules=["/Common/r"]), BROKEN[1]]
    assert told(expecting, *servers, more=more) == [("hidden_translation", "warning", "/Common/vs500")] * expected


def policy(name: str, **action: t.Any) -> dict[str, t.Any]:
    """Return an LTM policy with one action, expanded."""
    actions = {"items": [{"name": "0", "code": 0, "request": True, **action}]}
    return {"fullPath": f"/Common/{name}", "rulesReference": {"items": [{"name": "r", "actionsReference": actions}]}}


@pytest.mark.parametrize(
    "action",
    [{"forward": True, "select": True, "snat": "automap"}, {"snatpool": "/Common/sp"}, {"snatAutomap": True}],
)
def test_an_ltm_policy_that_translates_and_is_attached(expecting: Expecting, action: dict[str, t.Any]) -> None:
    attached = [get("ltm/virtual/~Common~vs500/policies", {"name": "hides", "fullPath": "/Common/hides"})]
    attached += [get("ltm/virtual/~Common~vs4500/policies", {"name": "other", "fullPath": "/Common/other"})]
    more = [*attached, get("ltm/persistence/source-addr", PERSISTENCE)]
    policies = [policy("hides", **action), policy("other", forward=True, pool="/Common/p")]
    assert told(expecting, *BROKEN, policies=policies, more=more) == [
        ("hidden_translation", "warning", "/Common/vs500")
    ]


def test_a_change_tells_them_once_it_has_seen_what_is_attached(expecting: Expecting) -> None:
    policies = get("ltm/policy?expandSubcollections=true", policy("hides", snat="automap"), policy("other"))
    after = reread(*RIGHT, policies=["/Common/hides", "/Common/other"])
    expecting([LOGIN, reading(*BROKEN), *guards(changing=True), *TO_NONE, after, SAVE, policies, LOGOUT])
    found = [(finding.code, finding.object) for finding in noted(go(Order(return_path=GOOD)))]
    hidden = [("hidden_translation", f"/Common/vs{port}") for port in (500, 4500)]
    assert found == [("existing_flows", f"BIG-IP {HOST}"), *hidden]

    # A device that does not show what is attached is asked for it.
    silent = reread(*RIGHT)
    silent.answer = {"items": list(RIGHT)}
    asked = [get(f"ltm/virtual/~Common~vs{port}/policies", {"fullPath": "/Common/other"}) for port in (500, 4500)]
    expecting([LOGIN, reading(*BROKEN), *guards(changing=True), *TO_NONE, silent, SAVE, policies, *asked, LOGOUT])
    assert [finding.code for finding in noted(go(Order(return_path=GOOD)))] == ["existing_flows"]


def test_policies_that_cannot_be_read_after_a_change_are_reported(expecting: Expecting) -> None:
    refused = get("ltm/policy?expandSubcollections=true")
    refused.answer, refused.status = {"code": 403, "message": "Forbidden"}, 403
    after = reread(*RIGHT, policies=["/Common/hides"])
    expecting([LOGIN, reading(*BROKEN), *guards(changing=True), *TO_NONE, after, SAVE, refused, LOGOUT])
    assert [finding.code for finding in noted(go(Order(return_path=GOOD)))] == [
        "existing_flows",
        "hidden_translation",
    ]


@pytest.mark.parametrize("action", [{"snat": "none"}, {"snatNone": True}, {"snatpool": ""}, {"pool": "/Common/p"}])
def test_ltm_policies_that_do_not_translate_cost_no_further_request(
    expecting: Expecting, action: dict[str, t.Any]
) -> None:
    empty = [{"fullPath": "/Common/empty"}, {"fullPath": "/Common/r", "rulesReference": {"items": [{"name": "r"}]}}]
    assert told(expecting, *BROKEN, policies=[policy("harmless", **action), *empty]) == []


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("0.0.0.0/0", 1),
        ("198.51.100.0/24", 1),
        ("10.10.0.0/24", 0),
        ("10.10.0.11/32", 0),
        ("::/0", 1),
        ("10.10.0.0%1/24", 1),
        ("203.0.113.0/24", 1),
    ],
)
def test_a_global_snat(expecting: Expecting, origin: str, expected: int) -> None:
    item = {"fullPath": "/Common/all", "automap": True, "origins": [{"name": origin}]}
    found = told(expecting, *BROKEN, snats=[item], self_ips=[FLOATING, OWN, {**OWN, "address": "203.0.113.2/24"}])
    assert found == [("hidden_translation", "warning", "/Common/all")] * expected


def test_a_pool_that_allows_no_snat(expecting: Expecting) -> None:
    found = told(expecting, *BROKEN, pools=[{**POOLS[0], "allowSnat": "no"}, POOLS[1]])
    assert found == [("hidden_translation", "info", "/Common/vs500")]


def test_pools_with_different_servers(expecting: Expecting) -> None:
    found = told(expecting, *BROKEN, pools=[POOLS[0], LONE[1]])
    assert found == [("server_sets_differ", "warning", PAIR)]


def test_a_virtual_address_among_the_servers(expecting: Expecting) -> None:
    servers = [virtual(f"vs{port}", port, "automap", destination=f"/Common/10.10.0.100:{port}") for port in (500, 4500)]
    assert told(expecting, *servers) == [("client_in_server_subnet", "warning", "10.10.0.100")]


@pytest.mark.parametrize(("strict", "severity"), [("enabled", "blocker"), ("disabled", "warning")])
def test_an_application_services_own(expecting: Expecting, strict: str, severity: str) -> None:
    service = Expect("GET", "/mgmt/tm/sys/application/service/~Common~vpn.app~vpn", {"strictUpdates": strict})
    more = [get("ltm/persistence/source-addr", PERSISTENCE), service]
    servers = [virtual("vs500", 500, "automap", appService="/Common/vpn.app/vpn"), BROKEN[1]]
    assert told(expecting, *servers, more=more) == [("managed_elsewhere", severity, "/Common/vs500")]


TENANT = get("auth/partition", {"name": "Common"}, {"name": "T", "defaultRouteDomain": 0})


@pytest.mark.parametrize(
    ("code", "answer", "expected"),
    [
        (200, {"class": "ADC", "T": {"class": "Tenant", "A": {"class": "Application"}}}, ["blocker"]),
        (200, {"declaration": {"T": {"A": {}}}}, ["blocker"]),
        (200, {"class": "ADC", "T": {"class": "Tenant", "B": {}}}, []),
        (204, "", []),
        (404, {"code": 404, "message": "Public URI path not registered"}, []),
        (403, {"code": 403, "message": "Forbidden"}, ["blocker"]),
        (202, {"items": []}, ["blocker"]),
    ],
)
def test_a_declarations_own(expecting: Expecting, code: int, answer: t.Any, expected: list[str]) -> None:
    servers = [virtual(f"vs{port}", port, "automap", fullPath=f"/T/A/vs{port}", partition="T") for port in (500, 4500)]
    declaration = Expect("GET", "/mgmt/shared/appsvcs/declare", answer, code, headers=WITH_TOKEN)
    more = [get("ltm/persistence/source-addr", PERSISTENCE), declaration]
    names = ("/T/A/vs500", "/T/A/vs4500")
    found = told(expecting, *servers, more=more, before=[TENANT])
    assert found == [("managed_elsewhere", severity, name) for severity in expected for name in names]


def test_a_declaration_is_asked_for_again_with_a_new_token(expecting: Expecting) -> None:
    servers = [virtual(f"vs{port}", port, "automap", fullPath=f"/T/A/vs{port}", partition="T") for port in (500, 4500)]
    gone = Expect("GET", "/mgmt/shared/appsvcs/declare", EXPIRED, 401, headers=WITH_TOKEN)
    declared = Expect("GET", gone.path, {"class": "ADC", "T": {"A": {}}}, headers=WITH_TOKEN)
    expecting(
        [LOGIN, reading(*servers), *guards(changing=True, before=[TENANT]), gone, LOGIN, LOGOUT, declared, LOGOUT]
    )
    with pytest.raises(RunFailed, match="managed_elsewhere"):
        go(Order(return_path=GOOD))
