# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The BIG-IP stand-in is as strict as it says."""

from __future__ import annotations

import base64
import typing as t
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from lab import bigip
from lab.bigip import BigIp

IKE, NAT_T = "/mgmt/tm/ltm/virtual/~Common~vs_ikev2_500", "/mgmt/tm/ltm/virtual/~Common~vs_ikev2_4500"
VIRTUALS = "/mgmt/tm/ltm/virtual"
NONE = {"sourceAddressTranslation": {"type": "none"}}
ADMIN, GUEST = ("admin", "lab-bigip-secret-1"), ("auditor", "lab-bigip-secret-2")


class Api:
    """A client without any leniency or cleverness."""

    def __init__(self, device: BigIp) -> None:
        self.device, self.http = device, device.app.test_client()
        self.headers: dict[str, str] = {}

    def __call__(self, method: str, path: str, body: t.Any = None, **headers: str) -> tuple[int, t.Any]:
        sent = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        response = self.http.open(path, method=method, json=body, headers=sent)
        return response.status_code, response.json if response.is_json else response.text

    def login(self, name: str, password: str, **more: str) -> tuple[int, t.Any]:
        return self("POST", "/mgmt/shared/authn/login", {"username": name, "password": password, **more})

    def enter(self, name: str, password: str) -> Api:
        self.headers["X-F5-Auth-Token"] = self.login(name, password, loginProviderName="tmos")[1]["token"]["token"]
        return self

    def snat(self, name: str) -> t.Any:
        return self.device.state["virtual"][f"/Common/{name}"]["sourceAddressTranslation"]

    def begin(self) -> dict[str, str]:
        return {"X_F5_REST_Coordination_Id": str(self("POST", "/mgmt/tm/transaction", {})[1]["transId"])}

    def commit(self, transaction: dict[str, str], **more: t.Any) -> tuple[int, t.Any]:
        path = f"/mgmt/tm/transaction/{transaction['X_F5_REST_Coordination_Id']}"
        return self("PATCH", path, {"state": "VALIDATING", **more})


@pytest.fixture
def device() -> BigIp:
    return BigIp()


@pytest.fixture
def api(device: BigIp) -> Api:
    return Api(device).enter(*ADMIN)


# Session


def test_login_gives_a_token_that_logging_out_ends(device: BigIp) -> None:
    api = Api(device).enter(*ADMIN)
    token = api.headers["X-F5-Auth-Token"]
    path = f"/mgmt/shared/authz/tokens/{token}"
    assert device.open_sessions() == [token]
    assert api("PATCH", path, {"timeout": 3600})[1]["timeout"] == 3600
    assert [api("PATCH", path, {"timeout": value})[0] for value in (36001, 0, "60")] == [400] * 3
    assert api("DELETE", path)[0] == 200
    assert device.open_sessions() == []
    assert api("GET", VIRTUALS)[1]["message"] == "X-F5-Auth-Token does not exist."
    assert device.writing() == []


@pytest.mark.parametrize(
    ("name", "password", "provider"),
    [("admin", "wrong", "tmos"), ("nobody", "lab-bigip-secret-1", "tmos"), (*ADMIN, "elsewhere")],
)
def test_wrong_logins_are_refused(device: BigIp, name: str, password: str, provider: str) -> None:
    code, body = Api(device).login(name, password, loginProviderName=provider)
    assert (code, body["message"], body["kind"]) == (401, "Authentication failed.", ":resterrorresponse")
    assert password not in str(body)
    assert device.open_sessions() == []


def test_expired_token_and_token_limit(device: BigIp, api: Api) -> None:
    device.token_limit = 1
    code, body = api.login(*ADMIN)
    assert code == 400
    assert "has reached maximum active login tokens" in body["message"]
    device.expire_tokens()
    assert api("GET", VIRTUALS)[1]["message"] == "X-F5-Auth-Token has expired."
    assert device.open_sessions() == []
    assert api.login(*ADMIN)[0] == 200


def test_basic_authentication_is_for_local_users(device: BigIp) -> None:
    def basic(name: str, password: str) -> tuple[int, t.Any]:
        word = base64.b64encode(f"{name}:{password}".encode()).decode()
        return Api(device)("GET", VIRTUALS, Authorization=f"Basic {word}")

    device.state["users"]["far"] = bigip.props("password=x role=admin provider=ldap")
    assert basic(*ADMIN)[0] == 200
    for code, page in (basic("admin", "wrong"), basic("far", "x"), Api(device)("GET", VIRTUALS)):
        assert code == 401
        assert "<html>" in page
    assert Api(device).login("far", "x", loginProviderName="ldap")[0] == 200


@pytest.mark.parametrize(("refusal", "says"), [(401, "verb=PATCH"), (400, "01070822:3"), (403, "01070822:3")])
def test_guest_reads_and_writes_nothing(refusal: t.Literal[400, 401, 403], says: str) -> None:
    device = BigIp(role_refusal=refusal)
    before = dict(device.state["virtual"])
    api = Api(device).enter(*GUEST)
    assert api("GET", IKE)[0] == 200
    for method, path, body in (
        ("PATCH", IKE, NONE),
        ("POST", "/mgmt/tm/transaction", {}),
        ("POST", "/mgmt/tm/sys/config", {"command": "save"}),
        ("DELETE", "/mgmt/tm/sys/connection?options=cs-server-port,500", None),
    ):
        assert api(method, path, body)[0] == refusal
    assert says in api("PATCH", IKE, NONE)[1]["message"]
    assert (device.state["virtual"], device.state["saves"]) == (before, 0)
    assert api("DELETE", f"/mgmt/shared/authz/tokens/{device.open_sessions()[0]}")[0] == 200


def test_no_access_and_readers_who_cannot_log_out(device: BigIp) -> None:
    device.readers_end_tokens = False
    device.state["users"]["auditor"]["role"] = "no-access"
    api = Api(device).enter(*GUEST)
    assert api("GET", VIRTUALS)[0] == 401
    assert api("DELETE", f"/mgmt/shared/authz/tokens/{api.headers['X-F5-Auth-Token']}")[0] == 401
    assert len(device.open_sessions()) == 1


# Reading


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/mgmt/tm/ltm/nothing", 404),
        ("GET", "/mgmt/tm/ltm/virtuals", 404),
        ("GET", "/mgmt/nothing", 404),
        ("GET", "/tm/ltm/virtual", 404),
        ("GET", "/mgmt/shared/appsvcs/declare", 404),
        ("GET", "/mgmt/tm/ltm/virtual/~Common~missing", 404),
        ("GET", f"{IKE}/nothing", 404),
        ("GET", "/mgmt/tm/ltm/pool/~Common~p_ikev2_500/members/~Common~10.10.0.11:500", 404),
        ("GET", f"{VIRTUALS}?$select=name,nothing", 400),
        ("GET", f"{VIRTUALS}?$select=sourceAddressTranslation/type", 400),
        ("GET", f"{VIRTUALS}?$select=", 400),
        ("GET", f"{VIRTUALS}?select=name", 400),
        ("GET", f"{VIRTUALS}?$orderby=name", 400),
        ("GET", f"{VIRTUALS}?$filter=name eq vs_web", 400),
        ("GET", f"{VIRTUALS}?$top=0", 400),
        ("GET", f"{VIRTUALS}?$skip=-1", 400),
        ("GET", f"{VIRTUALS}?$top=many", 400),
        ("GET", f"{VIRTUALS}?expandSubcollections=yes", 400),
        ("GET", f"{IKE}?$top=1", 400),
        ("PUT", IKE, 405),
        ("DELETE", IKE, 405),
        ("POST", VIRTUALS, 405),
        ("PATCH", VIRTUALS, 405),
        ("PATCH", "/mgmt/tm/ltm/pool/~Common~p_web", 405),
        ("DELETE", "/mgmt/tm/sys/config", 405),
        ("PUT", "/mgmt/tm/transaction", 405),
        ("GET", "/mgmt/tm/transaction/1", 404),
    ],
)
def test_what_it_does_not_know_is_refused(api: Api, method: str, path: str, code: int) -> None:
    before = dict(api.device.state["virtual"])
    got, body = api(method, path, {} if method != "GET" else None)
    assert (got, body["code"]) == (code, code)
    assert api.device.state["virtual"] == before


def test_an_empty_collection_has_no_items(api: Api) -> None:
    body = api("GET", "/mgmt/tm/ltm/snat")[1]
    assert body == {
        "kind": "tm:ltm:snat:snatcollectionstate",
        "selfLink": "https://localhost/mgmt/tm/ltm/snat?ver=16.1.4",
    }


def test_selected_objects_have_what_was_named_and_its_references(api: Api) -> None:
    api.device.add_virtual("/Tenant/App/service", "203.0.113.30", 500)
    body = api("GET", f"{VIRTUALS}?$select=partition,subPath,fullPath,pool")[1]
    assert set(body) == {"kind", "selfLink", "items"}
    assert body["items"][-1] == {
        "partition": "Tenant",
        "subPath": "App",
        "fullPath": "/Tenant/App/service",
        "pool": "/Tenant/App/p_service",
        "poolReference": {"link": "https://localhost/mgmt/tm/ltm/pool/~Tenant~App~p_service?ver=16.1.4"},
    }
    assert api("GET", f"{VIRTUALS}/~Tenant~App~service")[1]["destination"] == "/Tenant/203.0.113.30:500"


def test_a_partition_filter_lets_common_through_or_not(api: Api) -> None:
    api.device.add_virtual("/Tenant/vs", "203.0.113.30", 500)
    names = [one["fullPath"] for one in api("GET", f"{VIRTUALS}?$filter=partition eq Tenant")[1]["items"]]
    assert {"/Tenant/vs", "/Common/vs_web"} <= set(names)
    api.device.filter_includes_common = False
    assert len(api("GET", f"{VIRTUALS}?$filter=partition+eq+Tenant")[1]["items"]) == 1


def test_quotes_around_a_filters_value_may_be_needed(api: Api) -> None:
    def status(value: str) -> int:
        return api("GET", f"{VIRTUALS}?$filter=partition eq {value}")[0]

    assert [status(value) for value in ("Common", "'Common'", "'Common", "''")] == [200, 200, 400, 400]
    api.device.quotes_needed = True
    assert [status(value) for value in ("Common", "'Common'")] == [400, 200]


def test_older_firmware_lacks_a_property_and_refuses_its_name_or_not(api: Api) -> None:
    api.device.lacks = {"trafficMatchingCriteria"}
    api.device.state["virtual"]["/Common/vs_web"]["trafficMatchingCriteria"] = "/Common/criteria"
    assert api("GET", f"{VIRTUALS}?$select=name,trafficMatchingCriteria")[0] == 400
    assert "trafficMatchingCriteria" not in str(api("GET", VIRTUALS))
    api.device.refuses_lacking = False
    items = api("GET", f"{VIRTUALS}?$select=name,trafficMatchingCriteria")[1]["items"]
    assert {tuple(item) for item in items} == {("name",)}


def test_a_partitions_default_route_domain_is_left_out_or_not(api: Api) -> None:
    api.device.put("partition", "vpn", {"defaultRouteDomain": 2})
    api.device.add_virtual("/vpn/vs", "203.0.113.80%2", 500, servers={"rras1": "10.70.7.21%2"})
    api.device.add_virtual("/Common/vs", "203.0.113.81%2", 500)

    def shown() -> list[str]:
        (member,) = api("GET", "/mgmt/tm/ltm/pool/~vpn~p_vs/members")[1]["items"]
        virtuals = [api("GET", f"{VIRTUALS}/~{partition}~vs")[1]["destination"] for partition in ("vpn", "Common")]
        return [member["address"], *virtuals]

    assert shown() == ["10.70.7.21", "/vpn/203.0.113.80:500", "/Common/203.0.113.81%2:500"]
    api.device.hides_domain = False
    assert shown()[:2] == ["10.70.7.21%2", "/vpn/203.0.113.80%2:500"]
    names = {one["name"]: one.get("defaultRouteDomain") for one in api("GET", "/mgmt/tm/auth/partition")[1]["items"]}
    assert names == {"Common": 0, "vpn": 2}
    assert api("GET", "/mgmt/tm/auth/partition/vpn")[1]["fullPath"] == "vpn"


def test_paging_by_the_links(api: Api) -> None:
    for number in range(7):
        api.device.add_pair(f"/Common/more{number}", f"198.51.100.{number + 1}")
    path, names, pages = f"{VIRTUALS}?$select=fullPath&$top=5", [], 0
    while path:
        body = api("GET", path)[1]
        assert (body["currentItemCount"], body["totalItems"], body["totalPages"]) == (len(body["items"]), 19, 4)
        names += [one["fullPath"] for one in body["items"]]
        pages += 1
        path = urlsplit(body.get("nextLink", ""))._replace(scheme="", netloc="").geturl()
    assert (pages, names) == (4, sorted(api.device.state["virtual"]))
    assert "items" not in api("GET", f"{VIRTUALS}?$top=5&$skip=19")[1]


def test_subcollections_are_links_until_expanded(api: Api) -> None:
    path = "/mgmt/tm/ltm/pool/~Common~p_ikev2_4500"
    assert "items" not in api("GET", path)[1]["membersReference"]
    expanded = api("GET", f"{path}?expandSubcollections=true")[1]["membersReference"]["items"]
    assert [(one["name"], one["address"]) for one in expanded] == [
        ("rras1:4500", "10.10.0.11"),
        ("rras2:4500", "10.10.0.12"),
    ]
    assert api("GET", f"{path}/members")[1]["items"] == expanded
    assert api("GET", f"{path}/members/~Common~rras2:4500")[1]["kind"] == "tm:ltm:pool:members:membersstate"


def test_policies_are_read_down_to_their_actions(api: Api) -> None:
    rule = {"ordinal": 0, "actions": {"0": {"snat": True, "snatAutomap": True}}}
    api.device.put("policy", "/Common/hides", {"strategy": "/Common/first-match", "rules": {"every": rule}})
    body = api("GET", "/mgmt/tm/ltm/policy/~Common~hides/rules?expandSubcollections=true")[1]
    action = body["items"][0]["actionsReference"]["items"][0]
    assert (action["kind"], action["snatAutomap"]) == ("tm:ltm:policy:rules:actions:actionsstate", True)


def test_names_with_blanks_and_percent_signs(api: Api) -> None:
    api.device.add_virtual("/Common/vs a%1", "2001:db8::10%1", 500)
    body = api("GET", f"{VIRTUALS}/~Common~vs%20a%251")[1]
    assert body["destination"] == "/Common/2001:db8::10%1.500"
    assert "/~Common~vs%20a%251?" in body["selfLink"]
    assert api("GET", "/mgmt/tm/ltm/virtual-address/~Common~2001:db8::10%251")[1]["address"] == "2001:db8::10%1"


# Changing a virtual server


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({**NONE, "snat": "none"}, '"snat" unknown property'),
        ({"persist": []}, '"persist" unknown property'),
        ({"sourceAddressTranslation": {"type": "none", "kind": "x"}}, ""),
        ({"sourceAddressTranslation": {"type": "None"}}, 'invalid property value "type":"None"'),
        ({"sourceAddressTranslation": {"type": True}}, 'invalid property value "type":true'),
        ({"sourceAddressTranslation": {"typo": "none"}}, '"typo" unknown property'),
        ({"sourceAddressTranslation": {}}, 'invalid property value "sourceAddressTranslation":{}'),
        ({"sourceAddressTranslation": "none"}, 'invalid property value "sourceAddressTranslation":"none"'),
        ({"sourceAddressTranslation": {"type": "none", "pool": 7}}, 'invalid property value "pool":7'),
        ({"sourceAddressTranslation": {"type": "none", "pool": "sp_ikev2"}}, "/Common/sp_ikev2"),
        ({"sourceAddressTranslation": {"type": "snat"}}, "01071811:3: Virtual Server /Common/vs_ikev2_500 references"),
        ({"sourceAddressTranslation": {"type": "snat", "pool": "/Common/missing"}}, "snatpool /Common/missing"),
        ({"sourceAddressTranslation": {"type": "lsn", "pool": "sp_ikev2"}}, "snatpool /Common/sp_ikev2"),
        ({"connectionLimit": "5"}, 'invalid property value "connectionLimit":"5"'),
        ({"connectionLimit": True}, 'invalid property value "connectionLimit":true'),
        ({"mirror": "yes"}, 'invalid property value "mirror":"yes"'),
        ({"enabled": True, "disabled": True}, "contradict"),
        ({"metadata": [{"name": "a", "value": 1}]}, 'invalid property value "value":1'),
        ({"generation": 34}, "one or more properties must be specified"),
        ({}, "one or more properties must be specified"),
        ([], "Found invalid JSON body"),
    ],
)
def test_bad_bodies_are_refused_and_change_nothing(api: Api, body: t.Any, says: str) -> None:
    before = dict(api.device.state["virtual"])
    if not says:  # `kind` is read-only, and ignored wherever it stands
        assert api("PATCH", IKE, body)[0] == 200
        return
    code, answer = api("PATCH", IKE, body)
    assert code == 400
    assert says in answer["message"]
    assert api.device.state["virtual"] == before


def test_only_json_is_a_body(api: Api) -> None:
    response = api.http.patch(IKE, data="type=none", headers=api.headers)
    assert response.status_code == 415


def test_translation_merges_like_tmsh(api: Api) -> None:
    assert api("PATCH", IKE, NONE)[1]["sourceAddressTranslation"] == {"type": "none"}
    snat = {"type": "snat", "pool": "sp_ikev2"}
    body = api("PATCH", IKE, {"sourceAddressTranslation": snat})[1]
    assert body["sourceAddressTranslation"]["poolReference"]["link"].endswith("/snatpool/~Common~sp_ikev2?ver=16.1.4")
    assert api.snat("vs_ikev2_500") == {"type": "snat", "pool": "/Common/sp_ikev2"}
    assert api("PATCH", IKE, {"sourceAddressTranslation": {"type": None}})[0] == 200
    assert api.snat("vs_ikev2_500") == {"type": "none"}
    assert api("PATCH", IKE, {"pool": "missing"})[0] == 404
    assert api("PATCH", IKE, {"disabled": True, "enabled": False, "pool": "none"})[1]["disabled"] is True
    assert {"enabled", "pool"}.isdisjoint(api("GET", IKE)[1])


def test_left_over_pool_is_dropped_kept_or_refused(device: BigIp, api: Api) -> None:
    kept = {"type": "none", "pool": "/Common/sp_ikev2"}
    device.leftover_pool = "refused"
    code, body = api("PATCH", NAT_T, NONE)
    assert code == 400
    assert "/Common/sp_ikev2" in body["message"]
    assert api("PATCH", NAT_T, {"sourceAddressTranslation": {"type": "none", "pool": "none"}})[0] == 200
    assert api.snat("vs_ikev2_4500") == {"type": "none"}
    device.reset()
    api.enter(*ADMIN)
    device.leftover_pool = "kept"
    assert api("PATCH", NAT_T, NONE)[1]["sourceAddressTranslation"]["pool"] == "/Common/sp_ikev2"
    assert api.snat("vs_ikev2_4500") == kept
    assert api("PATCH", NAT_T, {"sourceAddressTranslation": {"pool": "none"}})[0] == 200
    assert api.snat("vs_ikev2_4500") == {"type": "none"}
    device.reset()
    api.enter(*ADMIN)
    device.leftover_pool = "dropped"
    assert api("PATCH", NAT_T, NONE)[0] == 200
    assert api.snat("vs_ikev2_4500") == {"type": "none"}


def test_a_strict_application_service_refuses(device: BigIp, api: Api) -> None:
    service = "/Common/vpn.app/vpn"
    device.add_virtual("/Common/vpn.app/vs", "203.0.113.30", 500, appService=service)
    path = f"{VIRTUALS}/~Common~vpn.app~vs"
    assert "application management interface" in api("PATCH", path, NONE)[1]["message"]
    device.put("service", service, {"strictUpdates": "disabled"})
    assert api("PATCH", path, NONE)[0] == 200


# Transactions


def test_a_transaction_changes_both_or_neither(device: BigIp, api: Api) -> None:
    before = dict(device.state["virtual"])
    transaction = api.begin()
    queued = api("PATCH", IKE, NONE, **transaction)[1]
    assert (queued["commandId"], queued["kind"]) == (1, "tm:transaction:commandsstate")
    api("PATCH", f"{VIRTUALS}/~Common~missing", NONE, **transaction)
    assert device.state["virtual"] == before
    code, body = api.commit(transaction)
    wrong = "transaction failed:01020036:3: The requested Virtual Server (/Common/missing) was not found."
    assert (code, body["message"], body["apiError"]) == (404, wrong, 2)
    assert device.state["virtual"] == before
    assert api.commit(transaction)[0] == 400

    transaction = api.begin()
    for path in (IKE, NAT_T):
        api("PATCH", path, NONE, **transaction)
    assert api.commit(transaction, validateOnly=True)[1]["state"] == "COMPLETED"
    assert device.state["virtual"] == before

    transaction = api.begin()
    for path in (IKE, NAT_T):
        api("PATCH", path, NONE, **transaction)
    assert api.commit(transaction)[1]["state"] == "COMPLETED"
    assert [api.snat(f"vs_ikev2_{port}") for port in (500, 4500)] == [{"type": "none"}] * 2
    assert [device.state["virtual"][f"/Common/vs_{name}"] for name in ("sstp", "web")] == [
        before[f"/Common/vs_{name}"] for name in ("sstp", "web")
    ]
    assert len(device.writing()) == 3 + 6 + 4  # begun, queued, committed or tried to


def test_a_transaction_checks_bodies_when_it_is_committed(api: Api) -> None:
    transaction = api.begin()
    assert api("PATCH", IKE, {"typo": 1}, **transaction)[0] == 200
    assert api("POST", "/mgmt/tm/sys/config", {"command": "save"}, **transaction)[0] == 404
    number = transaction["X_F5_REST_Coordination_Id"]
    assert len(api("GET", f"/mgmt/tm/transaction/{number}/commands")[1]["items"]) == 1
    assert api.commit(transaction, state="DONE")[0] == 400
    assert api.commit(transaction)[1]["message"] == 'transaction failed:"typo" unknown property'
    assert api("GET", f"/mgmt/tm/transaction/{number}")[1]["state"] == "FAILED"


def test_transactions_expire_and_can_be_thrown_away(device: BigIp, api: Api) -> None:
    transaction = api.begin()
    device.expire_transactions()
    assert api("PATCH", IKE, NONE, **transaction)[0] == 404
    assert api.commit(transaction)[0] == 404
    transaction = api.begin()
    assert api.commit(transaction)[0] == 400  # nothing queued
    assert api("DELETE", f"/mgmt/tm/transaction/{transaction['X_F5_REST_Coordination_Id']}")[0] == 200
    assert api("GET", "/mgmt/tm/transaction")[1]["items"] == []
    assert api("POST", "/mgmt/tm/transaction", {"wish": 1})[0] == 400


# The system


def test_only_what_was_saved_survives_a_reboot(device: BigIp, api: Api) -> None:
    api("PATCH", IKE, NONE)
    assert api("POST", "/mgmt/tm/sys/config", {"command": "load"})[0] == 400
    assert api("POST", "/mgmt/tm/sys/config", {"command": "save", "options": []})[0] == 400
    assert api("POST", "/mgmt/tm/sys/config", {"command": "save"})[0] == 200
    api("PATCH", NAT_T, NONE)
    device.reboot()
    assert (api.snat("vs_ikev2_500")["type"], api.snat("vs_ikev2_4500")["type"]) == ("none", "snat")
    assert (device.state["saves"], device.open_sessions()) == (1, [])


@pytest.mark.parametrize("options", ["cs-server-addr,{0},cs-server-port,500", "cs-server-addr+{0}+cs-server-port+500"])
def test_clearing_connections_wants_a_filter(device: BigIp, api: Api, options: str) -> None:
    for port, server in ((500, "203.0.113.10"), (4500, "203.0.113.10"), (500, "203.0.113.11")):
        device.add_connection("198.51.100.7", server, port)
    path = "/mgmt/tm/sys/connection"
    assert len(api("GET", path)[1]["entries"]) == 3
    for bad in ("", "?options=", "?options=,", "?options=all", "?options=cs-server-addr", "?options=cs-server-port,x"):
        assert api("DELETE", f"{path}{bad}")[0] == 400
    assert len(device.state["connections"]) == 3
    assert api("DELETE", f"{path}?options={options.format('203.0.113.10')}") == (200, "")
    assert [(one["csServerAddr"], one["csServerPort"]) for one in device.state["connections"]] == [
        ("203.0.113.10", 4500),
        ("203.0.113.11", 500),
    ]
    assert api("DELETE", f"{path}?options=protocol,tcp")[0] == 200
    assert len(device.state["connections"]) == 2


def test_config_sync(device: BigIp, api: Api) -> None:
    def status() -> str:
        entries = api("GET", "/mgmt/tm/cm/sync-status")[1]["entries"]["https://localhost/mgmt/tm/cm/sync-status/0"]
        return str(entries["nestedStats"]["entries"]["status"]["description"])

    def sync(words: str) -> int:
        return api("POST", "/mgmt/tm/cm", {"command": "run", "utilCmdArgs": words})[0]

    assert status() == "Standalone"
    device.add_peer(active=False)
    states = {one["selfDevice"]: one["failoverState"] for one in api("GET", "/mgmt/tm/cm/device")[1]["items"]}
    assert (status(), states) == ("In Sync", {"true": "standby", "false": "active"})
    api("PATCH", IKE, NONE)
    assert status() == "Changes Pending"
    assert [sync(words) for words in ("config-sync to-group nobody", "config-sync from-group dg_failover")] == [400] * 2
    assert sync("config-sync to-group dg_failover") == 200
    assert [status() for _dummy in range(3)] == ["Changes Pending", "In Sync", "In Sync"]
    assert device.state["sync"]["runs"] == ["dg_failover"]


def test_where_traffic_groups_are_active(device: BigIp, api: Api) -> None:
    device.add_peer(active=False, both=True)
    entries = api("GET", "/mgmt/tm/cm/traffic-group/stats")[1]["entries"]
    link = "https://localhost/mgmt/tm/cm/traffic-group/~Common~traffic-group-1:~Common~bigip2.example.com/stats"
    assert entries[link]["nestedStats"]["entries"] == {
        "deviceName": {"description": "/Common/bigip2.example.com"},
        "failoverState": {"description": "active"},
        "trafficGroup": {"description": "/Common/traffic-group-1"},
    }
    assert len(entries) == 4
    states = {one["failoverState"] for one in api("GET", "/mgmt/tm/cm/device")[1]["items"]}
    assert states == {"active"}


@pytest.mark.parametrize(
    ("how", "status"),
    [({}, "Changes Pending"), ({"auto_sync": True}, "In Sync"), ({"kind": "sync-only"}, "In Sync")],
)
def test_a_change_is_pending_in_a_failover_group_without_automatic_sync(
    device: BigIp, api: Api, how: dict[str, t.Any], status: str
) -> None:
    device.add_peer(**how)
    api("PATCH", IKE, NONE)
    assert device.state["sync"]["status"] == status


def test_as3_may_be_there(device: BigIp, api: Api) -> None:
    device.state["as3"] = {}
    assert api("GET", "/mgmt/shared/appsvcs/declare")[0] == 204
    device.state["as3"] = {"class": "ADC"}
    assert api("GET", "/mgmt/shared/appsvcs/declare") == (200, {"class": "ADC"})


@pytest.mark.parametrize(
    ("make", "code", "says"),
    [
        (bigip.html_unauthorized, 401, b"Authorization Required"),
        (bigip.expired_token, 401, b"X-F5-Auth-Token has expired."),
        (bigip.busy, 503, b"active asynchronous task"),
        (bigip.restarting, 503, b"Configuration Utility restarting..."),
        (bigip.garbage, 200, b"<html>"),
    ],
)
def test_faults_in_the_vendor_s_words(
    device: BigIp, api: Api, make: t.Callable[[], t.Any], code: int, says: bytes
) -> None:
    device.fault(lambda entry: entry.path == IKE, answer=make(), times=2)
    for _dummy in range(2):
        response = api.http.get(IKE, headers=api.headers)
        assert response.status_code == code
        assert says in response.data
    assert api("GET", IKE)[0] == 200


def test_what_the_lab_asks_for(device: BigIp) -> None:
    variables = device.variables(Path("/ca.pem"))
    assert variables["load_balancer_connection"]["ca_path"] == "/ca.pem"
    device.add_pair("/Common/vs_other", "203.0.113.11")
    device.state["virtual"]["/Common/vs_ikev2_500"]["sourceAddressTranslation"]["type"] = "none"
    types = {key: one["sourceAddressTranslation"]["type"] for key, one in device.state["virtual"].items()}
    assert (types.pop("/Common/vs_ikev2_500"), types.pop("/Common/vs_ikev2_4500")) == ("none", "snat")
    assert types.pop("/Common/vs_forward") == "none"
    assert set(types.values()) == {"automap"}
    device.reset()
    assert len(device.state["virtual"]) == 5
