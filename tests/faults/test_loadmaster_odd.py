# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""LoadMaster: whatever single thing in an answer is odd, there is a result or a clear error."""

from __future__ import annotations

import copy
import json
import typing as t
from collections.abc import Iterator
from dataclasses import replace
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.aovpn.ikev2.plugins.module_utils._engine import Result, RunFailed, run
from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Answer, Endpoint, Http
from ansible_collections.aovpn.ikev2.plugins.module_utils._loadmaster import decode, objects
from ansible_collections.aovpn.ikev2.plugins.module_utils._loadmaster.adapter import LoadMaster
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Order
from mutations import examples, mutated

VIP = "203.0.113.30"
ORDER = Order(addresses=(VIP,), return_path={"10.10.0.11": "10.10.0.3", "10.10.0.12": "10.10.0.3"})
Body = dict[str, t.Any]
Path = tuple[t.Any, ...]


def service(index: int, address: str, port: str, **more: t.Any) -> Body:
    """Return a virtual service as the device shows it, with every field that is read."""
    servers = [
        {"Status": "Up", "RsIndex": number, "Addr": f"10.10.0.1{number}", "Port": int(port), "DnsName": "", "Forward": "nat", "Enable": True}
        for number in (1, 2)
    ]  # fmt: skip
    return {
        "Status": "Up", "Index": index, "VSAddress": address, "VSPort": port, "ExtraPorts": "8000", "AltAddress": address.replace("203.0.113", "198.51.100"),
        "NickName": f"vs{index}", "Layer": 7, "ForceL4": False, "ForceL7": True, "Enable": True, "Protocol": "udp",
        "Transparent": False, "SubnetOriginating": True, "SSLReencrypt": False, "UseforSnat": False, "Persist": "src",
        "PersistTimeout": "3600", "FollowVSID": 1, "MasterVS": 0, "MasterVSID": 0, "NumberOfRSs": 2, "Rs": servers, **more,
    }  # fmt: skip


CHOSEN = (0, 1)
"""The position of the pair in the list."""
ANSWERS: dict[str, Body] = {
    "listvs": {
        "VS": [
            service(1, VIP, "500"),
            service(2, VIP, "4500"),
            service(3, VIP, "53", Layer=4, Rs=[{"Addr": "", "DnsName": "dns.example.net", "Port": 53}]),
            service(4, VIP, "443", Protocol="tcp", Rs=[], SubVS=[{"VSIndex": 5, "Name": "sub"}]),
            service(5, "", "0", MasterVSID=4, Rs=[]),
            service(6, "203.0.113.31", "4500", VSPort="500", Rs=[{"Addr": "10.10.0.13", "Port": 500, "Forward": "route"}]),
        ]
    },
    "getall": {
        "version": "7.2.63.0", "hamode": 1, "hastatus": "Active", "snat": True, "subnetoriginating": False,
        "transparent": True,
    },
    "showiface": {
        "Interface": [
            {"Id": 0, "IPAddress": "203.0.113.3/24", "AdditionalAddresses": {"IPaddress": ["203.0.113.4/24"]}},
            {"Id": 1, "IPAddress": "10.10.0.1/24", "SharedIPAddress": "10.10.0.3"},
        ]
    },
}  # fmt: skip
DELETED = object()
ODD = [DELETED, None, 7, "", "what", "\x00\x07\x1b\x7f", ["what", 7], {"what": "what"}]


def paths(value: t.Any, path: Path = ()) -> Iterator[Path]:
    """Name every key of every object, and every item of every list."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*path, key)
        yield from paths(item, (*path, key))


def spoilt(body: Body, path: Path, odd: t.Any) -> Body:
    """Return a body with one thing changed in it."""
    made = copy.deepcopy(body)
    place: t.Any = made
    for step in path[:-1]:
        place = place[step]
    if odd is DELETED:
        del place[path[-1]]
    else:
        place[path[-1]] = odd
    return made


def xml(value: t.Any) -> str:
    """Write fields as version 1 has them, also where they are none."""
    if isinstance(value, dict):
        return "".join(
            f"<{key}>{xml(item)}</{key}>" for key, items in value.items() for item in (items if isinstance(items, list) else [items])
        )  # fmt: skip
    return {True: "Y", False: "N", None: ""}[value] if value is None or isinstance(value, bool) else escape(str(value))


class Canned:
    """Answers as told, without a connection. ``odd``: the command whose answer has something odd in it, and that answer."""

    def __init__(self, version: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.version = version
        self.bodies = {**ANSWERS, "showvs": service(1, VIP, "500")}
        monkeypatch.setattr(Http, "send", self.send)
        monkeypatch.setattr("ansible_collections.aovpn.ikev2.plugins.module_utils._loadmaster.adapter.SECONDS", 0.0)

    def send(self, _method: str, path: str, **how: t.Any) -> Answer:
        command = how["body"]["cmd"] if self.version == 2 else path.rpartition("/")[2]
        body = self.bodies[command]
        if self.version == 2:
            text = json.dumps({"code": 200, **body, "status": "ok"})
        else:
            text = f'<Response stat="200" code="ok"><Success><Data>{xml(body)}</Data></Success></Response>'
        return Answer(200, text, "LoadMaster lb.example.net", text.encode())

    def go(self, order: Order) -> Result | RunFailed:
        """Look, or predict a change; the outcome can be shown, and an error is a clear sentence."""
        adapter = LoadMaster(Endpoint("lb.example.net"), username="bal", password="secret", api_version=self.version)
        try:
            came: Result | RunFailed = run(adapter, order, check_mode=True)
        except RunFailed as error:
            came = error
        assert isinstance(came, Result) or "LoadMaster lb.example.net" in str(came)
        result = came.result if isinstance(came, RunFailed) else came
        json.dumps(result.as_dict(), ensure_ascii=False).encode()
        assert (result.changed, result.final_state) == (
            isinstance(came, Result) and bool(result.changes) and order.state != "gathered",
            "unchanged",
        )
        return came


@pytest.fixture(params=[1, 2], ids=["v1", "v2"])
def canned(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Canned:
    """Answer in each version in turn."""
    return Canned(request.param, monkeypatch)


def test_the_answers_are_good(canned: Canned) -> None:
    for order in (ORDER, replace(ORDER, addresses=None)):
        came = canned.go(order)
        assert isinstance(came, Result), str(came)
        assert [change.id for change in came.changes] == [f"{VIP}:500/udp", f"{VIP}:4500/udp"]


FINDINGS_ONLY = ("version", "snat", "subnetoriginating", "transparent")


@pytest.mark.parametrize("nth", [5, pytest.param(1, marks=pytest.mark.matrix)])
@pytest.mark.parametrize("command", ANSWERS)
def test_one_odd_thing_gives_a_result_or_an_error_in_words(canned: Canned, command: str, nth: int) -> None:
    for path in [*paths(ANSWERS[command])][::nth]:
        chosen = command != "listvs" or len(path) < 2 or path[1] in CHOSEN
        for odd in ODD:
            canned.bodies[command] = spoilt(ANSWERS[command], path, odd)
            for order in (
                (ORDER, replace(ORDER, state="gathered")) if chosen else (ORDER, replace(ORDER, addresses=None))
            ):
                came = canned.go(order)
                if chosen and path[0] not in FINDINGS_ONLY:
                    continue
                assert isinstance(came, Result), f"{path} {odd!r}: {came}"
                assert {f"{VIP}:500/udp", f"{VIP}:4500/udp"} <= {service.id for service in came.services}, (path, odd)


@examples(100)
@given(
    st.fixed_dictionaries({command: st.one_of(st.just(body), mutated(body)) for command, body in ANSWERS.items()}),
    st.sampled_from([ORDER, replace(ORDER, state="gathered"), replace(ORDER, addresses=None)]),
)
def test_several_odd_things_give_a_result_or_an_error_in_words(canned: Canned, bodies: Body, order: Order) -> None:
    canned.bodies |= bodies
    canned.go(order)


@pytest.mark.parametrize("path", [path for path in paths(service(1, VIP, "500")) if path[0] in ("Rs", "NumberOfRSs")])
def test_one_odd_thing_in_a_single_service_gives_a_result_or_an_error_in_words(canned: Canned, path: Path) -> None:
    listed = [{key: value for key, value in item.items() if key != "Rs"} for item in ANSWERS["listvs"]["VS"]]
    canned.bodies["listvs"] = {"VS": listed}
    for odd in ODD:
        canned.bodies["showvs"] = spoilt(service(1, VIP, "500"), path, odd)
        canned.go(ORDER)
        # Who looks is reported of what cannot be read, and gets the rest.
        assert isinstance(canned.go(replace(ORDER, state="gathered")), Result)


@pytest.mark.parametrize("body", [[], ["what"], None, 7, "what", {"VS": "what"}, {"VS": ["what", 7]}])
def test_an_answer_that_is_something_else_is_an_error_in_words(body: t.Any) -> None:
    for text in (json.dumps(body), json.dumps({**body, "status": "ok"} if isinstance(body, dict) else [])):
        with pytest.raises(ValueError, match=r"JSON object|no list of records"):
            objects.virtual_services(decode.decode_json(text).fields)


@pytest.mark.parametrize(
    "shown",
    ["1" * 5000, "\u0664\u0665\u0660\u0660", "4_500", "+4500", " 4500", "4500-", "-4500", "500--4500", "0", "65536"],
)
def test_what_looks_like_a_port_and_is_none(shown: str) -> None:
    found, unread = objects.virtual_services({"VS": [service(1, VIP, "500", ExtraPorts=shown)]})
    expected = [500, 4500] if shown == " 4500" else []
    assert [item.port for virtual in found for item in virtual.services if item.address == VIP] == expected
    assert len(unread) == (not expected)


def test_half_a_character_is_not_an_answer() -> None:
    with pytest.raises(decode.NotUnderstood):
        decode.decode_json('{"status": "ok", "VS": [{"NickName": "\\ud800"}]}')


@pytest.mark.parametrize(
    ("declared", "charset", "raw"),
    [
        ("ISO-8859-1", "", b"B\xfcro"),
        ("ISO-8859-1", "iso-8859-1", b"B\xfcro"),
        ("UTF-8", "", "Büro".encode()),
        ("UTF-8", "utf-8", "Büro".encode()),
        # The header counts before the document (RFC 7303).
        ("ISO-8859-1", "utf-8", "Büro".encode()),
        ("UTF-8", "iso-8859-1", b"B\xfcro"),
        ("", "", "Büro".encode()),
        ("", "", b"\xef\xbb\xbf" + "Büro".encode()),
    ],
)
def test_xml_is_read_in_the_encoding_that_counts(declared: str, charset: str, raw: bytes) -> None:
    mark, raw = (raw[:3], raw[3:]) if raw.startswith(b"\xef\xbb\xbf") else (b"", raw)
    start = f'<?xml version="1.0" encoding="{declared}"?>'.encode() if declared else b""
    body = b'<Response stat="200" code="ok"><Success><Data><NickName>%s</NickName></Data></Success></Response>' % raw
    assert decode.decode_xml(mark + start + body, charset).fields == {"NickName": "Büro"}
