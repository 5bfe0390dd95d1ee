# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's Kemp LoadMaster: strict, and in the shapes of both of its APIs."""

from __future__ import annotations

import json
import typing as t
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import requests
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from lab.core import CertificateAuthority
from lab.loadmaster import Api, LoadMaster, Policy

BAL = ("bal", "lab-loadmaster-secret-1")
AUDITOR = ("auditor", "lab-loadmaster-secret-2")
KEY = "lab-loadmaster-apikey-1"
IKE: dict[str, t.Any] = {"vs": "203.0.113.30", "port": "500", "prot": "udp"}


class Caller:
    """A client of either API; ``code`` gives what the body says."""

    def __init__(self, device: LoadMaster, api: Api) -> None:
        self.device, self.api = device, api
        self.http: FlaskClient = device.app.test_client()

    def __call__(self, cmd: str, user: tuple[str, str] = BAL, **given: t.Any) -> TestResponse:
        if self.api == "v1":
            return self.http.post(f"/access/{cmd}", data=given, auth=user)
        return self.http.post("/accessv2", json={"cmd": cmd, "apiuser": user[0], "apipass": user[1], **given})

    def refused(self, cmd: str, user: tuple[str, str] = BAL, **given: t.Any) -> tuple[int, str]:
        answer = self(cmd, user, **given)
        if self.api == "v2":
            body = answer.get_json()
            assert (body["status"], sorted(body)) == ("fail", ["code", "message", "status"])
            assert answer.status_code == body["code"]
            return body["code"], body["message"]
        root = ET.fromstring(answer.data)
        assert (root.tag, root.get("code"), root.get("stat")) == ("Response", "fail", str(answer.status_code))
        return answer.status_code, root.findtext("Error") or ""

    def flag(self, value: bool) -> t.Any:
        return value if self.api == "v2" else "Y" if value else "N"


@pytest.fixture(params=["v1", "v2"])
def api(request: pytest.FixtureRequest) -> Api:
    return t.cast(Api, request.param)


@pytest.fixture
def device() -> LoadMaster:
    return LoadMaster()


@pytest.fixture
def call(device: LoadMaster, api: Api) -> Caller:
    return Caller(device, api)


# Shapes


def test_v2_gives_records_with_their_types(device: LoadMaster) -> None:
    body = Caller(device, "v2")("listvs").get_json()
    assert (body["code"], body["status"], list(body)) == (200, "ok", ["code", "VS", "status"])
    first = body["VS"][0]
    assert first["Status"] == "Up"
    assert (first["Index"], first["VSPort"], first["Layer"], first["PersistTimeout"]) == (1, "500", 7, "3600")
    assert (first["Transparent"], first["ForceL7"], first["InterceptOpts"][0]) == (False, True, "opnormal")
    assert "SubVS" not in first


def test_v1_gives_texts_in_xml(device: LoadMaster) -> None:
    answer = Caller(device, "v1")("listvs")
    assert answer.data.startswith(b"<?xml version='1.0' encoding='ISO-8859-1'?>")
    root = ET.fromstring(answer.data)
    assert (root.tag, root.attrib) == ("Response", {"stat": "200", "code": "ok"})
    first = root.findall("Success/Data/VS")[0]
    shown = {name: first.findtext(name) for name in ("Index", "VSPort", "Layer", "Transparent", "ForceL7", "Persist")}
    assert shown == {"Index": "1", "VSPort": "500", "Layer": "7", "Transparent": "N", "ForceL7": "Y", "Persist": "src"}
    assert [option.text for option in first.findall("InterceptOpts/Opt")][:2] == ["opnormal", "auditnone"]
    assert [row.findtext("Addr") for row in first.findall("Rs")] == ["10.10.0.11", "10.10.0.12"]


def test_one_service_stands_flat(device: LoadMaster) -> None:
    body = Caller(device, "v2")("showvs", **IKE).get_json()
    assert (body["code"], body["Status"], body["status"], body["NickName"]) == (200, "Up", "ok", "ikev2-500")
    assert [row["Port"] for row in body["Rs"]] == [500, 500]
    root = ET.fromstring(Caller(device, "v1")("showvs", vs="2").data)
    assert root.findtext("Success/Data/VSPort") == "4500"
    assert root.findtext("Success/Data/FollowVSID") == "1"


def test_both_apis_tell_the_same(device: LoadMaster) -> None:
    rows = Caller(device, "v2")("listvs").get_json()["VS"]
    elements = ET.fromstring(Caller(device, "v1")("listvs").data).findall("Success/Data/VS")
    for row, element in zip(rows, elements, strict=True):
        for name, value in row.items():
            if not isinstance(value, list):
                text = {True: "Y", False: "N"}[value] if isinstance(value, bool) else str(value)
                assert element.findtext(name) == text, name


def test_the_fresh_appliance_is_the_article_s(device: LoadMaster) -> None:
    rows = Caller(device, "v2")("listvs").get_json()["VS"]
    shown = [(row.get("VSAddress"), row["VSPort"], row["Protocol"], row["Layer"], row["MasterVSID"]) for row in rows]
    vip = "203.0.113.30"
    assert shown == [
        (vip, "500", "udp", 7, 0),
        (vip, "4500", "udp", 7, 0),
        (vip, "443", "tcp", 7, 0),
        (None, "0", "tcp", 7, 3),
        (None, "0", "tcp", 7, 3),
        (vip, "53", "udp", 4, 0),
    ]
    assert not any(row["Transparent"] for row in rows)
    assert [row["VSIndex"] for row in rows[2]["SubVS"]] == [4, 5]
    assert rows[2]["MasterVS"] == 2


def test_real_servers(device: LoadMaster, call: Caller) -> None:
    named: list[dict[str, t.Any]] = [{"rs": "10.10.0.12", "rsport": "500"}, {"rs": "!2"}]
    for given in named:
        answer = call("showrs", **IKE, **given)
        assert b"10.10.0.12" in answer.data
        assert b"10.10.0.11" not in answer.data
    assert call.refused("showrs", **IKE) == (400, "rs: String Value missing")
    assert call.refused("showrs", **IKE, rs="10.10.0.12", rsport="501") == (422, "Unknown RS")
    assert "Rs" in Caller(device, "v2")("listvs").get_json()["VS"][0]
    bare = Caller(LoadMaster(list_real_servers=False), "v2")
    assert "Rs" not in bare("listvs").get_json()["VS"][0]
    assert "Rs" in bare("showvs", **IKE).get_json()


def test_interfaces(device: LoadMaster, call: Caller) -> None:
    v2 = Caller(device, "v2")
    assert [(row["Id"], row["IPAddress"]) for row in v2("showiface").get_json()["Interface"]] == [
        (0, "203.0.113.3/24"),
        (1, "10.10.0.1/24"),
    ]
    root = ET.fromstring(Caller(device, "v1")("showiface", interface="0").data)
    assert [element.findtext("DefaultInterface") for element in root.findall("Success/Data/Interface")] == ["yes"]
    assert call.refused("showiface", iface="7")[0] == 422
    device.set_ha(1, eth1="10.10.0.3")
    assert v2("showiface", iface=1).get_json()["Interface"][0]["SharedIPAddress"] == "10.10.0.3"
    assert v2("get", param="hastatus").get_json() == {"code": 200, "hastatus": "Active", "status": "ok"}


def test_parameters(device: LoadMaster, call: Caller) -> None:
    v1, v2 = Caller(device, "v1"), Caller(device, "v2")
    assert ET.fromstring(v1("get", param="snat").data).findtext("Success/Data/snat") == "yes"
    assert v2("get", param="HAMode").get_json() == {"code": 200, "hamode": 0, "status": "ok"}
    assert v2("getall").get_json()["multigw"] is False
    assert Caller(LoadMaster(off_is_empty=True), "v2")("getall").get_json()["multigw"] == ""
    assert ET.fromstring(v1("getall").data).findtext("Success/Data/nonlocalrs") == "no"
    assert call.refused("get", param="colour") == (422, "Unknown parameter value")
    assert call.refused("get") == (400, "param: String Value missing")
    assert call.refused("set", param="version", value="8") == (422, "Parameter is read-only")
    assert b"Command completed ok" in call("set", param="multigw", value=call.flag(True)).data
    assert device.state["parameters"]["multigw"] is True


def test_listapi(call: Caller) -> None:
    assert b"modvs" in call("listapi").data


# Shapes from the field


def test_the_published_answers_have_force_l7_in_place_of_the_layer(api: Api) -> None:
    call = Caller(LoadMaster(layers="published"), api)
    if api == "v2":
        first = call("listvs").get_json()["VS"][0]
        assert (first["ForceL7"], "Layer" in first, "ForceL4" in first) == (True, False, False)
    else:
        assert b"<ForceL7>Y</ForceL7>" in call("showvs", **IKE).data
        assert b"Layer>" not in call("showvs", **IKE).data


@pytest.mark.parametrize("encoding", ["ISO-8859-1", "UTF-8"])
@pytest.mark.parametrize("charset", [True, False])
def test_v1_declares_its_encoding_with_or_without_the_header(encoding: t.Any, charset: bool) -> None:
    device = LoadMaster(encoding=encoding, charset=charset)
    device.service("203.0.113.30", 500)["NickName"] = "Büro"
    answer = Caller(device, "v1")("listvs")
    assert answer.headers["Content-Type"] == (f"text/xml; charset={encoding}" if charset else "text/xml")
    assert f"encoding='{encoding}'".encode() in answer.data
    assert "<NickName>Büro<".encode(encoding) in answer.data


@pytest.mark.parametrize("good", ["4500", "4500,1701", "1701 4500-4510", "1701, 4500", "5000-5509", ""])
def test_extra_ports(device: LoadMaster, call: Caller, good: str) -> None:
    assert call("modvs", **IKE, ExtraPorts=good).status_code == 200
    record = device.service("203.0.113.30", 500)
    assert record["ExtraPorts"] == good
    # It is its first port that names the service.
    assert call.refused("showvs", **{**IKE, "port": "1701"}) == (422, "Unknown VS")


@pytest.mark.parametrize("bad", ["4500;1701", "isakmp", "4510-4500", "2", "65531", "5000-5510", "4500-", "1-2-3"])
def test_what_are_no_extra_ports(device: LoadMaster, call: Caller, bad: str) -> None:
    assert call.refused("modvs", **IKE, ExtraPorts=bad) == (422, "Invalid value")
    assert device.service("203.0.113.30", 500)["ExtraPorts"] == ""


@pytest.mark.parametrize("ranges", [True, False])
def test_a_range_names_a_service_or_does_not(api: Api, ranges: bool) -> None:
    call = Caller(LoadMaster(ranges=ranges), api)
    call.device.add_service("203.0.113.40", "490-510", ("10.10.0.11",))
    assert call("showvs", vs="203.0.113.40", port="490-510", prot="udp").status_code == (200 if ranges else 422)
    assert call("showvs", vs="7").status_code == 200


def test_servers_known_by_name_are_neither_local_nor_not(device: LoadMaster, call: Caller) -> None:
    for address in ("", None):
        device.service("203.0.113.30", 500)["Rs"][0].update(Addr=address, DnsName="rras1.example.net")
        assert b"rras1.example.net" in call("listvs").data
        assert call("modvs", **IKE, Transparent=call.flag(True)).status_code == 200


# Authority


@pytest.mark.parametrize("user", [("bal", "wrong"), ("nobody", "x")])
def test_wrong_credentials(device: LoadMaster, user: tuple[str, str]) -> None:
    answer = Caller(device, "v1")("listvs", user)
    assert (answer.status_code, answer.mimetype) == (401, "text/html")
    assert answer.headers["WWW-Authenticate"].startswith("Basic")
    assert Caller(device, "v2").refused("listvs", user) == (401, "Unauthorized")
    assert Caller(LoadMaster(v2_unauthorized="html"), "v2")("listvs", user).mimetype == "text/html"


def test_api_keys_go_before_passwords(device: LoadMaster) -> None:
    http = device.app.test_client()
    assert http.get("/access/listvs", query_string={"apikey": KEY}).status_code == 200
    assert http.post("/access/listvs", data={"apikey": KEY}).status_code == 200
    assert http.post("/access/listvs", data={"apikey": "x"}, auth=BAL).status_code == 401
    assert http.post("/accessv2", json={"cmd": "listvs", "apikey": KEY}).status_code == 200
    assert (
        http.post("/accessv2", json={"cmd": "listvs", "apikey": "x", "apiuser": BAL[0], "apipass": BAL[1]}).status_code
        == 401
    )
    assert http.post("/accessv2", json={"cmd": "listvs", "apikey": ["x"]}).status_code == 401
    assert http.get("/access/listvs").status_code == 401


def test_read_only_users(device: LoadMaster, call: Caller) -> None:
    assert call("listvs", AUDITOR).status_code == 200
    assert call.refused("modvs", AUDITOR, **IKE, Transparent=call.flag(True))[0] == 403
    assert not device.service("203.0.113.30", 500)["Transparent"]


def test_an_api_that_does_not_exist(device: LoadMaster) -> None:
    assert Caller(LoadMaster(apis=["v1"]), "v2")("listvs").status_code == 404
    assert Caller(LoadMaster(apis=["v1"]), "v1")("listvs").status_code == 200
    assert Caller(LoadMaster(apis=["v2"]), "v1")("listvs").status_code == 404
    for off in (device, LoadMaster(api_off=401)):
        off.state["parameters"]["enableapi"] = False
        for api in t.get_args(Api):
            answer = Caller(off, api)("listvs")
            assert (answer.status_code, answer.mimetype) == (off.api_off, "text/html")


# Refusals


@pytest.mark.parametrize(
    ("cmd", "given", "expected"),
    [
        ("frobnicate", {}, (405, "Unknown command")),
        ("showvs", {}, (400, "vs: Address Value missing")),
        ("showvs", {"vs": "203.0.113.30"}, (400, "port: Integer Value missing")),
        ("showvs", {"vs": "203.0.113.30", "port": "500"}, (400, "prot: String Value missing")),
        ("showvs", {**IKE, "port": "501"}, (422, "Unknown VS")),
        ("showvs", {**IKE, "prot": "tcp"}, (422, "Unknown VS")),
        ("showvs", {"vs": "99"}, (422, "Unknown VS")),
        ("showvs", {**IKE, "colour": "red"}, (422, "Unknown parameter colour")),
        ("modvs", {**IKE, "Transparent": "true"}, (422, "Invalid value")),
        ("modvs", {**IKE, "Transparent": "True"}, (422, "Invalid value")),
        ("modvs", {**IKE, "Transparency": "1"}, (422, "Unknown parameter transparency")),
        ("modvs", {**IKE, "Persist": "sometimes"}, (422, "Invalid value")),
        ("modvs", {**IKE, "PersistTimeout": "-1"}, (422, "Invalid value")),
        ("modvs", {**IKE, "VSAddress": "203.0.113"}, (422, "Invalid value")),
        ("modvs", {**IKE, "VSPort": "4500"}, (422, "Virtual Service already exists")),
    ],
)
def test_what_is_refused_changes_nothing(
    call: Caller, cmd: str, given: dict[str, t.Any], expected: tuple[int, str]
) -> None:
    before = json.dumps(call.device.state)
    assert call.refused(cmd, **given) == expected
    assert json.dumps(call.device.state) == before


def test_v2_says_so_with_status_200_too() -> None:
    call = Caller(LoadMaster(v2_errors="inside"), "v2")
    answer = call("showvs", vs="99")
    assert (answer.status_code, answer.get_json()) == (200, {"code": 422, "message": "Unknown VS", "status": "fail"})
    assert call("listvs", ("bal", "x")).get_json()["code"] == 401


def test_v2_wants_a_post_of_a_json_object_with_a_command(device: LoadMaster) -> None:
    http = device.app.test_client()
    assert http.get("/accessv2").status_code == 405
    user = {"apiuser": BAL[0], "apipass": BAL[1]}
    assert http.post("/accessv2", json=user).get_json()["message"] == "cmd: String Value missing"
    assert http.post("/accessv2", data="[]").status_code == 401
    assert http.post("/accessv2/whatever", data=json.dumps({"cmd": "listvs", **user})).status_code == 200
    assert http.get("/elsewhere").status_code == 404


def test_unknown_parameters_can_be_ignored_as_documented(api: Api) -> None:
    call = Caller(LoadMaster(unknown_parameters="ignored"), api)
    assert call("modvs", **IKE, Transparency=call.flag(True)).status_code == 200
    assert not call.device.service("203.0.113.30", 500)["Transparent"]


# Changes


def test_modvs_changes_one_field_and_answers_with_the_record(device: LoadMaster, call: Caller) -> None:
    before = json.loads(json.dumps(device.state))
    answer = call("modvs", **IKE, Transparent=call.flag(True))
    before["services"]["1"]["Transparent"] = True
    assert device.state == before
    if call.api == "v2":
        assert (answer.get_json()["Transparent"], answer.get_json()["VSPort"]) == (True, "500")
    else:
        assert ET.fromstring(answer.data).findtext("Success/Data/Transparent") == "Y"
    (entry,) = device.writing()
    assert {key: entry.body[key] for key in IKE} == IKE


@pytest.mark.parametrize("sent", ["Y", "y", "1", 1])
def test_flags_of_v1(device: LoadMaster, sent: t.Any) -> None:
    assert Caller(device, "v1")("modvs", **IKE, transparent=sent).status_code == 200
    assert device.service("203.0.113.30", 500)["Transparent"] is True
    assert Caller(device, "v2").refused("modvs", **IKE, Transparent=sent) == (422, "Invalid value")
    assert Caller(LoadMaster(v2_flags="any"), "v2")("modvs", **IKE, Transparent=sent).status_code == 200


def test_a_service_is_found_by_its_address_in_any_form_or_its_index(device: LoadMaster, call: Caller) -> None:
    device.add_pair("2001:db8::30", "six")
    named: list[dict[str, t.Any]] = [{"vs": "2001:DB8:0::30", "port": "500", "prot": "UDP"}, {"vs": "7"}]
    for given in named:
        assert b"six-500" in call("showvs", **given).data


def test_vsaddress_and_vsport_rename(device: LoadMaster, call: Caller) -> None:
    assert call("modvs", **IKE, VSAddress="203.0.113.99", VSPort="501").status_code == 200
    record = device.state["services"]["1"]
    assert (record["VSAddress"], record["VSPort"]) == ("203.0.113.99", "501")
    assert call.refused("showvs", **IKE) == (422, "Unknown VS")


@pytest.mark.parametrize(
    ("policy", "status", "kept"), [("ignored", 200, False), ("refused", 422, False), ("accepted", 200, True)]
)
def test_transparency_where_it_has_no_meaning(api: Api, policy: Policy, status: int, kept: bool) -> None:
    call = Caller(LoadMaster(layer4=policy, unsupported=policy), api)
    device = call.device
    assert call("modvs", vs="6", Transparent=call.flag(True)).status_code == status
    assert device.state["services"]["6"]["Transparent"] is kept
    device.add_pair("203.0.113.31", "far", ["198.51.100.11"])
    assert call("modvs", vs="7", Transparent=call.flag(True)).status_code == status
    assert device.state["services"]["7"]["Transparent"] is kept
    device.set_ha(4)
    assert call("modvs", **IKE, Transparent=call.flag(True)).status_code == status
    assert device.service("203.0.113.30", 500)["Transparent"] is kept


def test_force_l4_and_l7_move_the_layer(device: LoadMaster, call: Caller) -> None:
    record = device.service("203.0.113.30", 500)
    call("modvs", **IKE, ForceL4=call.flag(True))
    assert (record["Layer"], record["ForceL4"], record["ForceL7"]) == (4, True, False)
    call("modvs", **IKE, ForceL7=call.flag(True))
    assert (record["Layer"], record["ForceL4"], record["ForceL7"]) == (7, False, True)


def test_the_persistence_timeout_alone_switches_persistence(device: LoadMaster, call: Caller) -> None:
    dns = {**IKE, "port": "53"}
    record = device.service("203.0.113.30", 53)
    call("modvs", **dns, PersistTimeout="130")
    assert (record["Persist"], record["PersistTimeout"]) == ("src", "120")
    call("modvs", **dns, PersistTimeout="59")
    assert (record["Persist"], record["PersistTimeout"]) == ("", "0")
    assert b"Persist<" not in Caller(device, "v1")("showvs", **dns).data


def test_writes_are_reported_by_the_command(device: LoadMaster) -> None:
    for api in t.get_args(Api):
        for command in ("listvs", "showiface", "getall", "modvs", "addvs", "set"):
            Caller(device, api)(command)
    assert [entry.writes for entry in device.log] == [False, False, False, True, True, True] * 2
    assert device.open_sessions() == []


def test_faults_in_the_vendor_s_shape(device: LoadMaster, call: Caller) -> None:
    device.fault(lambda entry: entry.writes, answer=device.failure(call.api, 422, "Busy"))
    assert call.refused("modvs", **IKE, Transparent=call.flag(True)) == (422, "Busy")
    device.fault(answer=device.page(401))
    assert call("listvs").mimetype == "text/html"
    assert call("modvs", **IKE, Transparent=call.flag(True)).status_code == 200


def test_reset_and_variables(device: LoadMaster) -> None:
    fresh = json.dumps(device.state)
    Caller(device, "v2")("modvs", **IKE, Transparent=True)
    device.reset()
    assert json.dumps(device.state) == fresh
    variables = device.variables(Path("/ca.pem"))
    assert variables["load_balancer_platform"] == "loadmaster"
    assert variables["load_balancer_addresses"] == ["203.0.113.30"]
    assert set(variables["load_balancer_connection"]) == {"host", "port", "username", "password", "ca_path"}


def test_over_tls_long_addresses_and_too_many_calls_end_in_a_reset(tmp_path: Path) -> None:
    authority, device = CertificateAuthority(), LoadMaster(calls_per_3s=4)
    authority.write(tmp_path / "ca.pem")
    device.start(authority)
    try:
        with requests.Session() as session:
            session.verify, session.trust_env, session.auth = str(tmp_path / "ca.pem"), False, BAL
            base = f"https://127.0.0.1:{device.port}/access/"
            long = {**IKE, "NickName": "x" * 1024}
            with pytest.raises(requests.ConnectionError):
                session.get(base + "modvs", params=long, timeout=5)
            assert session.post(base + "modvs", data=long, timeout=5).status_code == 200
            assert [session.get(base + "listvs", timeout=5).status_code for _dummy in range(3)] == [200] * 3
            with pytest.raises(requests.ConnectionError):
                session.get(base + "listvs", timeout=5)
    finally:
        device.stop()
