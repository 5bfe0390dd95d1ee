# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's Citrix ADC: strict, and in the shapes that NITRO documents."""

from __future__ import annotations

import json
import time
import typing as t
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from lab.core import CertificateAuthority
from lab.netscaler import NetScaler

BASE = "/nitro/v1/config/"
ROOT = {"X-NITRO-USER": "nsroot", "X-NITRO-PASS": "lab-netscaler-secret-1"}
AUDITOR = {"X-NITRO-USER": "auditor", "X-NITRO-PASS": "lab-netscaler-secret-2"}
LOGIN = {"login": {"username": "nsroot", "password": "lab-netscaler-secret-1"}}
USNIP = {"nsmode": {"mode": ["USNIP"]}}


class Caller:
    """A client with the credentials in each request."""

    def __init__(self, device: NetScaler) -> None:
        self.device = device
        self.http: FlaskClient = device.app.test_client()

    def __call__(self, method: str, path: str, body: t.Any = None, **headers: str) -> TestResponse:
        given = {**ROOT, **{key.replace("_", "-"): value for key, value in headers.items()}}
        return self.http.open(BASE + path, method=method, json=body, headers=given)

    def get(self, path: str) -> t.Any:
        answer = self("GET", path)
        assert (answer.status_code, answer.get_json()["errorcode"]) == (200, 0), answer.text
        return answer.get_json().get(path.partition("?")[0].partition("/")[0])


@pytest.fixture
def device() -> NetScaler:
    return NetScaler()


@pytest.fixture
def call(device: NetScaler) -> Caller:
    return Caller(device)


def code(answer: TestResponse) -> tuple[int, int]:
    assert answer.get_json()["severity"] == "ERROR"
    return answer.status_code, answer.get_json()["errorcode"]


def put(call: Caller, group: str = "sg_ikev2_500", **fields: t.Any) -> TestResponse:
    return call("PUT", "servicegroup", {"servicegroup": {"servicegroupname": group, **fields}})


# Sessions


def test_login_gives_a_session_whose_cookie_is_percent_encoded(device: NetScaler) -> None:
    http = device.app.test_client(use_cookies=False)
    answer = http.post(BASE + "login", json=LOGIN)
    token = answer.get_json()["sessionid"]
    assert (answer.status_code, answer.get_json()["message"], token[:2]) == (201, "Done", "##")
    cookies = answer.headers.getlist("Set-Cookie")
    assert f"NITRO_AUTH_TOKEN=%23%23{token[2:]}; path=/nitro/v1" in cookies
    for cookie in (token, quote(token)):
        assert http.get(BASE + "nsmode", headers={"Cookie": f"NITRO_AUTH_TOKEN={cookie}"}).status_code == 200
    assert device.open_sessions() == [token]
    assert http.post(BASE + "logout", json={"logout": {}}, headers={"Cookie": f"NITRO_AUTH_TOKEN={token}"}).json == {
        "errorcode": 0,
        "message": "Done",
        "severity": "NONE",
    }
    assert device.open_sessions() == []
    assert device.writing() == []


@pytest.mark.parametrize(
    ("login", "expected"),
    [
        ({"username": "nsroot", "password": "wrong"}, (401, 354)),
        ({"username": "nobody", "password": "x"}, (401, 354)),
        ({"username": "nsroot"}, (400, 1095)),
        ({"username": "nsroot", "password": "x", "domain": "y"}, (400, 1090)),
        ({"username": "nsroot", "password": "x", "timeout": "soon"}, (400, 1097)),
    ],
)
def test_bad_logins(call: Caller, login: dict[str, str], expected: tuple[int, int]) -> None:
    assert code(call.http.post(BASE + "login", json={"login": login})) == expected


def test_wrong_password_in_the_documented_words(call: Caller) -> None:
    wrong = {"login": {"username": "nsroot", "password": "wrong"}}
    assert call.http.post(BASE + "login", json=wrong).json == {
        "errorcode": 354,
        "message": "Invalid username or password",
        "severity": "ERROR",
    }


def test_session_limit_is_a_user_s_own() -> None:
    device = NetScaler(session_limit=2)
    http = device.app.test_client(use_cookies=False)
    auditor = {"login": {"username": "auditor", "password": "lab-netscaler-secret-2"}}
    assert [http.post(BASE + "login", json=LOGIN).status_code for _dummy in range(2)] == [201, 201]
    assert code(http.post(BASE + "login", json=LOGIN)) == (599, 445)
    assert http.post(BASE + "login", json=auditor).status_code == 201


@pytest.mark.parametrize("expired", [444, 1027])
def test_expired_sessions(expired: t.Literal[444, 1027]) -> None:
    device = NetScaler(expired_code=expired)
    http = device.app.test_client()
    http.post(BASE + "login", json=LOGIN)
    assert http.get(BASE + "nsmode").status_code == 200
    device.expire_sessions()
    assert code(http.get(BASE + "nsmode")) == (401, expired)


def test_credentials_with_each_request(call: Caller) -> None:
    assert call("GET", "nsmode").status_code == 200
    assert code(call.http.get(BASE + "nsmode")) == (401, 1027)
    assert code(call.http.get(BASE + "nsmode", headers={**ROOT, "X-NITRO-PASS": "x"})) == (401, 354)
    assert call.http.get(BASE + "nsmode", auth=("nsroot", "lab-netscaler-secret-1")).status_code == 200
    call.http.post(BASE + "login", json=LOGIN)
    assert code(call("GET", "nsmode")) == (400, 1092)
    assert code(Caller(NetScaler(basic_auth=False))("GET", "nsmode")) == (401, 1244)


# Reading


@pytest.mark.parametrize("shape", ["object", "array"])
def test_modes(shape: t.Literal["object", "array"]) -> None:
    modes = Caller(NetScaler(nsmode_shape=shape)).get("nsmode")
    modes = modes[0] if shape == "array" else modes
    assert (modes["usnip"], modes["usip"], modes["l3"]) == (False, False, True)
    assert modes["mode"] == ["FR", "Edge", "L3", "PMTUD", "ULFD"]


def test_a_list_with_nothing_in_it_is_an_absent_key(device: NetScaler, call: Caller) -> None:
    assert call("GET", "service").json == {"errorcode": 0, "message": "Done", "severity": "NONE"}
    assert call.get("lbvserver_service_binding?bulkbindings=yes") is None
    assert call.get("lbvserver_service_binding/lb_vs_ikev2_500") is None
    assert call.get("clusterinstance") is None
    device.config["nsmode"] = dict.fromkeys(device.config["nsmode"], False)
    assert "mode" not in call.get("nsmode")


def test_typing_is_mixed_and_a_group_s_own_port_is_0(call: Caller) -> None:
    (group,) = call.get("servicegroup/sg_ikev2_500")
    assert (group["port"], group["clttimeout"], group["maxclient"], group["td"]) == (0, 120, "0", "0")
    (vserver,) = call.get("lbvserver/lb_vs_ikev2_4500")
    assert (vserver["port"], vserver["clttimeout"], vserver["servicetype"]) == (4500, "120", "UDP")


def test_the_fresh_device_is_the_article_s(call: Caller) -> None:
    vservers = {row["name"]: (row["ipv46"], row["port"], row["servicetype"]) for row in call.get("lbvserver")}
    vip = "203.0.113.20"
    assert vservers == {
        "lb_vs_ikev2_500": (vip, 500, "UDP"),
        "lb_vs_ikev2_4500": (vip, 4500, "UDP"),
        "lb_vs_portal": (vip, 443, "SSL"),
        "lb_vs_dns": (vip, 53, "UDP"),
    }
    assert {row["usip"] for row in call.get("servicegroup?attrs=usip")} == {"NO"}
    assert [(row["ipaddress"], row["type"]) for row in call.get("nsip")] == [
        ("192.0.2.20", "NSIP"),
        ("10.10.0.1", "SNIP"),
        ("203.0.113.5", "SNIP"),
        (vip, "VIP"),
    ]
    assert call.get("hanode/0")[0]["state"] == "Primary"
    assert call.get("lbgroup/pg_ikev2")[0]["persistencetype"] == "SOURCEIP"


def test_bindings_in_bulk_and_by_name(call: Caller) -> None:
    members = call.get("servicegroup_servicegroupmember_binding?bulkbindings=yes")
    assert {(row["ip"], row["port"]) for row in members if row["servicegroupname"] == "sg_ikev2_4500"} == {
        ("10.10.0.11", 4500),
        ("10.10.0.12", 4500),
    }
    assert call.get("servicegroup_servicegroupmember_binding/sg_ikev2_500") == members[:2]
    assert len(call.get("lbvserver_servicegroup_binding?bulkbindings=yes")) == 4
    assert call.get("lbvserver_servicegroup_binding/lb_vs_dns")[0] == {
        "name": "lb_vs_dns",
        "servicegroupname": "sg_dns",
        "stateflag": "536936464",
        "servicename": "sg_dns",
    }
    assert [row["vservername"] for row in call.get("lbgroup_lbvserver_binding?bulkbindings=yes")] == [
        "lb_vs_ikev2_500",
        "lb_vs_ikev2_4500",
    ]


def test_attrs_gives_these_fields_and_no_others(call: Caller) -> None:
    rows = call.get("lbvserver?attrs=name,port,comment,groupname")
    assert rows[0] == {"name": "lb_vs_ikev2_500", "port": 500, "groupname": "pg_ikev2"}
    assert rows[2] == {"name": "lb_vs_portal", "port": 443}


@pytest.mark.parametrize("name", ["my group", "a/b", "süd & Söhne", "50%"])
def test_names_are_encoded_twice(device: NetScaler, call: Caller, name: str) -> None:
    device.add_pair("203.0.113.21", name)
    path = quote(quote(f"sg_{name}_500", safe=""), safe="")
    assert call.get(f"servicegroup/{path}")[0]["servicegroupname"] == f"sg_{name}_500"
    assert call("PUT", f"servicegroup/{path}", {"servicegroup": {"usip": "YES"}}).status_code == 200
    assert device.config["servicegroup"][f"sg_{name}_500"]["usip"] == "YES"
    assert call("GET", "servicegroup/" + quote("sg_a/b_500", safe="")).status_code == 404


@pytest.mark.parametrize(
    ("path", "expected", "message"),
    [
        ("lbvserver/x", (404, 258), "No such resource [name, x]"),
        ("servicegroup/x", (404, 258), "No such resource [serviceGroupName, x]"),
        ("service/x", (404, 344), "No Service"),
        ("lbvserver_servicegroup_binding/x", (404, 258), "No such resource [name, x]"),
        ("lbvserver_servicegroup_binding", (400, 1095), "Required argument missing [name]"),
        ("lbvserver?attrs=name,colour", (400, 1090), "No such argument [colour]"),
        ("lbvserver?colour=red", (400, 1090), "No such argument [colour]"),
        ("lbvserver?warning=maybe", (400, 1097), "Invalid argument value [warning]"),
        ("nonsense", (400, 1088), "No such command [nonsense]"),
        ("a/b/c", (404, 1088), "No such command [/nitro/v1/config/a/b/c]"),
    ],
)
def test_reads_refused(call: Caller, path: str, expected: tuple[int, int], message: str) -> None:
    answer = call("GET", path)
    assert (code(answer), answer.get_json()["message"]) == (expected, message)


# Writing


def test_partial_update_changes_the_field_and_nothing_else(device: NetScaler, call: Caller) -> None:
    before = json.loads(json.dumps(device.config))
    assert put(call, usip="YES").json == {"errorcode": 0, "message": "Done", "severity": "NONE"}
    before["servicegroup"]["sg_ikev2_500"]["usip"] = "YES"
    assert device.config == before
    assert put(call, usip="YES", useproxyport="NO", maxclient=7).status_code == 200
    assert device.config["servicegroup"]["sg_ikev2_500"]["maxclient"] == "7"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"usip": "yes"}, (400, 1097)),
        ({"usip": True}, (400, 1097)),
        ({"usip": ["YES"]}, (400, 1097)),
        ({"maxclient": "many"}, (400, 1097)),
        ({"maxclient": True}, (400, 1097)),
        ({"colour": "red"}, (400, 1090)),
        ({"servicetype": "TCP"}, (599, 278)),
        ({"state": "DISABLED"}, (599, 278)),
        ({"useproxyport": "NO"}, (400, 1093)),
        ({"usip": "YES", "colour": "red"}, (400, 1090)),
    ],
)
def test_updates_refused_change_nothing(
    device: NetScaler, call: Caller, fields: dict[str, t.Any], expected: tuple[int, int]
) -> None:
    before = json.dumps(device.config)
    assert code(put(call, **fields)) == expected
    assert json.dumps(device.config) == before
    assert len(device.writing()) == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("PUT", "servicegroup", {"servicegroup": {"usip": "YES"}}, (400, 1095)),
        ("PUT", "servicegroup", {"servicegroup": {"servicegroupname": "x", "usip": "YES"}}, (404, 258)),
        ("PUT", "service", {"service": {"name": "x", "usip": "YES"}}, (404, 344)),
        ("PUT", "servicegroup/sg_dns", {"servicegroup": {"servicegroupname": "sg_portal", "usip": "YES"}}, (599, 278)),
        ("PUT", "servicegroup", {"service": {}}, (400, 1090)),
        ("PUT", "servicegroup", {"servicegroup": []}, (400, 1095)),
        ("PUT", "servicegroup", ["x"], (400, 278)),
        ("PUT", "nsmode", USNIP, (403, 257)),
        ("PUT", "nonsense", {"nonsense": {}}, (400, 1088)),
        ("POST", "nsmode", USNIP, (403, 257)),
        ("POST", "nsmode?action=toggle", USNIP, (403, 257)),
        ("POST", "nsmode?action=enable", {"nsmode": {"mode": ["USNIP", "WARP"]}}, (400, 1097)),
        ("POST", "nsmode?action=enable", {"nsmode": {"mode": "USNIP"}}, (400, 1097)),
        ("POST", "nsmode?action=enable", {"nsmode": {}}, (400, 1095)),
        ("POST", "nsconfig?action=save", {"nsconfig": {"force": True}}, (400, 1090)),
        (
            "POST",
            "servicegroup?action=unset",
            {"servicegroup": {"servicegroupname": "sg_dns", "usip": "NO"}},
            (400, 1097),
        ),
        ("DELETE", "servicegroup/sg_dns", None, (403, 257)),
    ],
)
def test_writes_refused(call: Caller, method: str, path: str, body: t.Any, expected: tuple[int, int]) -> None:
    before = json.dumps(call.device.state)
    assert code(call(method, path, body)) == expected
    assert json.dumps(call.device.state) == before
    assert [str(entry) for entry in call.device.writing()] == [f"{method} {BASE}{path.partition('?')[0]}"]


def test_modes_are_switched(device: NetScaler, call: Caller) -> None:
    assert call("POST", "nsmode?action=enable", USNIP).status_code == 200
    assert "USNIP" in call.get("nsmode")["mode"]
    assert call("POST", "nsmode?action=disable", {"nsmode": {"mode": ["USNIP", "L3mode"]}}).status_code == 200
    assert (device.config["nsmode"]["usnip"], device.config["nsmode"]["l3"]) == (False, False)


def test_unset_enable_and_disable(device: NetScaler, call: Caller) -> None:
    group = device.config["servicegroup"]["sg_dns"]
    put(call, "sg_dns", usip="YES", comment="mine")
    unset = {"servicegroup": {"servicegroupname": "sg_dns", "usip": True, "comment": True}}
    assert call("POST", "servicegroup?action=unset", unset).status_code == 200
    assert (group["usip"], "comment" in group) == ("NO", False)
    for action, state in (("disable", "DISABLED"), ("enable", "ENABLED")):
        assert (
            call("POST", f"servicegroup?action={action}", {"servicegroup": {"servicegroupname": "sg_dns"}}).status_code
            == 200
        )
        assert group["state"] == state
    assert [entry.writes for entry in device.log] == [True] * 4


def test_usip_on_plain_services(device: NetScaler, call: Caller) -> None:
    names = device.add_pair("203.0.113.21", "plain", plain=True)
    assert len(names) == 4
    assert call("PUT", "service", {"service": {"name": names[0], "usip": "YES"}}).status_code == 200
    assert [row["usip"] for row in call.get("service?attrs=usip")] == ["YES", "NO", "NO", "NO"]
    assert {row["servicename"] for row in call.get("lbvserver_service_binding?bulkbindings=yes")} == set(names)


def test_usip_and_the_topology(device: NetScaler, call: Caller) -> None:
    device.add_pair("2001:db8::20", "mixed")
    assert code(put(call, "sg_mixed_500", usip="YES")) == (599, 3894)
    device.add_pair("2001:db8::21", "six", servers=["2001:db8:1::11"])
    assert put(call, "sg_six_500", usip="YES").status_code == 200
    device.config["lbvserver"]["six_500"]["connfailover"] = "STATEFUL"
    assert code(put(call, "sg_six_500", usip="NO")) == (599, 1289)


@pytest.mark.parametrize(
    ("on_error", "responses", "second"),
    [("exit", [258], "NO"), ("rollback", [258], "NO"), ("continue", [0, 258, 0], "YES")],
)
def test_a_bulk_that_fails_stays_half_applied(
    device: NetScaler, call: Caller, on_error: str, responses: list[int], second: str
) -> None:
    items = [{"servicegroupname": name, "usip": "YES"} for name in ("sg_ikev2_500", "gone", "sg_ikev2_4500")]
    answer = call("PUT", "servicegroup", {"servicegroup": items}, X_NITRO_ONERROR=on_error)
    assert (answer.status, code(answer)) == ("207 Multi Status", (207, 1243))
    assert [row["errorcode"] for row in answer.get_json()["response"]] == responses
    groups = device.config["servicegroup"]
    assert (groups["sg_ikev2_500"]["usip"], groups["sg_ikev2_4500"]["usip"]) == ("YES", second)


def test_a_bulk_that_succeeds(device: NetScaler, call: Caller) -> None:
    items = [{"servicegroupname": f"sg_ikev2_{port}", "usip": "YES"} for port in (500, 4500)]
    assert call("PUT", "servicegroup", {"servicegroup": items}).get_json()["errorcode"] == 0
    assert code(call("PUT", "servicegroup", {"servicegroup": items}, X_NITRO_ONERROR="perhaps")) == (400, 1097)
    assert [group["usip"] for group in device.config["servicegroup"].values()] == ["YES", "YES", "NO", "NO"]


def test_what_is_not_saved_is_lost(device: NetScaler, call: Caller) -> None:
    put(call, usip="YES")
    device.reboot()
    assert device.config["servicegroup"]["sg_ikev2_500"]["usip"] == "NO"
    put(call, usip="YES")
    assert call("POST", "nsconfig?action=save", {"nsconfig": {}}).status_code == 200
    device.reboot()
    assert (device.config["servicegroup"]["sg_ikev2_500"]["usip"], device.state["saves"]) == ("YES", 1)


def test_a_save_in_progress(device: NetScaler, call: Caller) -> None:
    device.fault(lambda entry: entry.path.endswith("nsconfig"), answer=device.error(293))
    assert code(call("POST", "nsconfig?action=save", {"nsconfig": {}})) == (599, 293)
    assert call("POST", "nsconfig?action=save", {"nsconfig": {}}).status_code == 200
    assert device.state["saves"] == 1


def test_read_only_users(device: NetScaler, call: Caller) -> None:
    answer = call("PUT", "servicegroup", {"servicegroup": {"servicegroupname": "sg_dns", "usip": "YES"}}, **AUDITOR)
    assert code(answer) == (403, 2138)
    assert answer.get_json()["message"] == "Not authorized to execute this command [set servicegroup]"
    assert call("GET", "servicegroup", **AUDITOR).status_code == 200
    assert device.config["servicegroup"]["sg_dns"]["usip"] == "NO"


def test_a_secondary_node_warns_or_refuses(device: NetScaler, call: Caller) -> None:
    device.state["hanode"]["0"]["state"] = "Secondary"
    assert put(call, usip="YES").json == {"errorcode": 0, "message": "Done", "severity": "NONE"}
    answer = call("POST", "nsmode?action=enable&warning=yes", USNIP)
    assert (answer.status, answer.get_json()["errorcode"], answer.get_json()["severity"]) == (
        "209 X-NITRO-WARNING",
        1028,
        "WARNING",
    )
    assert answer.headers["X-NITRO-WARNING"].startswith("1028 - You are connected to a secondary node")
    assert device.config["nsmode"]["usnip"]
    strict = NetScaler(on_secondary="error")
    strict.state["hanode"]["0"]["state"] = "Secondary"
    assert code(put(Caller(strict), usip="YES")) == (599, 1028)
    assert strict.config["servicegroup"]["sg_ikev2_500"]["usip"] == "NO"


def test_a_feature_that_is_off_is_a_warning(device: NetScaler, call: Caller) -> None:
    assert call.get("nsfeature")["feature"] == ["LB", "SSL"]
    device.config["nsfeature"]["lb"] = False
    answer = call("GET", "lbvserver?warning=yes")
    assert (answer.status_code, answer.headers["X-NITRO-WARNING"]) == (209, "1067 - Feature(s) not enabled [LB]")
    assert len(answer.get_json()["lbvserver"]) == 4
    assert call("GET", "lbvserver").status_code == 200


def test_partitions_are_the_session_s(device: NetScaler) -> None:
    device.add_partition("vpn")
    device.add_pair("203.0.113.40", "part", partition="vpn")
    http = device.app.test_client()
    http.post(BASE + "login", json=LOGIN)
    assert code(http.post(BASE + "nspartition?action=Switch", json={"nspartition": {"partitionname": "x"}})) == (
        404,
        258,
    )
    switch = http.post(BASE + "nspartition?action=Switch", json={"nspartition": {"partitionname": "vpn"}})
    assert (switch.status_code, device.writing()) == (200, [])
    names = [row["servicegroupname"] for row in http.get(BASE + "servicegroup").get_json()["servicegroup"]]
    assert names == ["sg_part_500", "sg_part_4500"]
    assert len(Caller(device).get("servicegroup")) == 4


def test_reset_and_variables(device: NetScaler, call: Caller) -> None:
    fresh = json.dumps(device.state)
    put(call, usip="YES")
    device.reset()
    assert json.dumps(device.state) == fresh
    assert device.variables(Path("/ca.pem")) == {
        "load_balancer_platform": "netscaler",
        "load_balancer_addresses": ["203.0.113.20"],
        "load_balancer_connection": {
            "host": "127.0.0.1",
            "port": 0,
            "username": "nsroot",
            "password": "lab-netscaler-secret-1",
            "ca_path": "/ca.pem",
        },
    }


def test_over_tls_with_a_cookie_jar(device: NetScaler, tmp_path: Path) -> None:
    authority = CertificateAuthority()
    authority.write(tmp_path / "ca.pem")
    device.start(authority)
    try:
        with requests.Session() as session:
            session.verify, session.trust_env = str(tmp_path / "ca.pem"), False
            base = f"https://127.0.0.1:{device.port}{BASE}"
            assert session.post(base + "login", json=LOGIN, timeout=5).status_code == 201
            path = quote(quote("sg_ikev2_500", safe=""), safe="")
            body = {"servicegroup": {"servicegroupname": "sg_ikev2_500", "usip": "YES"}}
            assert session.put(f"{base}servicegroup/{path}", json=body, timeout=5).status_code == 200
            device.fault(reset="before")
            with pytest.raises(requests.ConnectionError):
                session.get(base + "nsmode", timeout=5)
            assert session.post(base + "logout", json={"logout": {}}, timeout=5).status_code == 201
    finally:
        device.stop()
    assert (device.open_sessions(), [entry.body for entry in device.writing()]) == ([], [body])


# Shapes from the field


def test_a_persistency_group_s_type_is_shown_at_its_virtual_servers_or_not(device: NetScaler, call: Caller) -> None:
    def shown() -> set[str]:
        return {row["persistencetype"] for row in call.get("lbvserver") if row.get("groupname") == "pg_ikev2"}

    assert shown() == {"SOURCEIP"}
    device.config["lbgroup"]["pg_ikev2"]["usevserverpersistency"] = "ENABLED"
    assert shown() == {"NONE"}
    device.config["lbgroup"]["pg_ikev2"]["usevserverpersistency"] = "DISABLED"
    device.group_persistence = "own"
    assert shown() == {"NONE"}


@pytest.mark.parametrize("old", ["refuses", "ignores"])
def test_old_firmware_shows_less_and_refuses_or_ignores_what_it_does_not_know(
    old: t.Literal["refuses", "ignores"],
) -> None:
    call = Caller(NetScaler(old=old))
    member = call.get("servicegroup_servicegroupmember_binding/sg_ikev2_500")[0]
    assert (member["port"], member["svrstate"], "state" in member) == ("500", "UP", False)
    assert not {"td", "iptype", "ownernode"} & {*call.get("nsip/10.10.0.1")[0]}
    answer = call("GET", "nsip?attrs=ipaddress,iptype")
    if old == "refuses":
        assert code(answer) == (400, 1090)
    else:
        assert answer.get_json()["nsip"][1] == {"ipaddress": "10.10.0.1"}


def test_content_switching_backups_and_ip_sets(device: NetScaler, call: Caller) -> None:
    names = device.add_content_switching("203.0.113.50", "cs")
    device.add_backup("lb_vs_dns", "spare")
    device.config["ipset_nsip_binding"].append({"name": "more", "ipaddress": "198.51.100.7"})
    assert names == ["sg_cs_500", "sg_cs_4500"]
    for inner in ("cs_500", "spare"):
        (row,) = call.get(f"lbvserver/{inner}?attrs=ipv46,port,ipset")
        assert row == {"ipv46": "0.0.0.0", "port": 0}
    assert [(row["ipv46"], row["port"]) for row in call.get("csvserver")] == [
        ("203.0.113.50", 500),
        ("203.0.113.50", 4500),
    ]
    assert call.get("csvserver_lbvserver_binding?bulkbindings=yes")[0] == {"name": "cs_cs_500", "lbvserver": "cs_500"}
    assert call.get("lbvserver/lb_vs_dns?attrs=backupvserver") == [{"backupvserver": "spare"}]
    assert call.get("ipset_nsip_binding?bulkbindings=yes") == [{"name": "more", "ipaddress": "198.51.100.7"}]
    assert call.get("ipset_nsip6_binding?bulkbindings=yes") is None


def test_usip_goes_by_the_servers_whose_address_is_known(device: NetScaler, call: Caller) -> None:
    device.add_pair("2001:db8::20", "six", ["2001:db8:a::11", "10.10.0.12"])
    device.member("sg_six_500", "10.10.0.12").update(ip="0.0.0.0", servername="rras2.example.net")
    assert put(call, "sg_six_500", usip="YES").status_code == 200
    assert put(call, "sg_six_4500", usip="YES").status_code == 200
    device.member("sg_six_4500", "2001:db8:a::11").update(ip="0.0.0.0")
    assert code(put(call, "sg_six_4500", usip="YES")) == (599, 3894)


def test_connections_are_kept_and_distance_costs_each_request_one_round_trip(device: NetScaler, tmp_path: Path) -> None:
    authority = CertificateAuthority()
    authority.write(tmp_path / "ca.pem")
    device.start(authority)
    device.delay = 0.05
    taken = []
    try:
        with requests.Session() as session:
            for _attempt in range(3):
                started = time.monotonic()
                url = f"https://127.0.0.1:{device.port}{BASE}nsmode"
                assert session.get(url, headers=ROOT, verify=str(tmp_path / "ca.pem"), timeout=10).ok
                taken.append(time.monotonic() - started)
    finally:
        device.stop()
    # A new connection takes two more. (A slow machine takes longer, but not with each of two.)
    assert taken[0] >= 0.15
    assert 0.05 <= min(taken[1:]) < 0.15
