# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""LoadMaster: the exact requests of each way through, over both versions of the API, and the decoders."""

from __future__ import annotations

import typing as t
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest
import requests

from ansible_collections.aovpn.ikev2.plugins.module_utils._engine import Result, RunFailed, run
from ansible_collections.aovpn.ikev2.plugins.module_utils._loadmaster import LoadMaster
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Order, Snapshot
from expectations import ENDPOINT, HOST, Expect, Expecting

GOOD = {"10.10.0.11": "10.10.0.1"}
IDS = ["203.0.113.30:500/udp", "203.0.113.30:4500/udp"]
BASIC = {"Authorization": "Basic YmFsOnNlY3JldA=="}


class Api:
    """Says the same thing in one of the two versions."""

    def __init__(self, version: int) -> None:
        self.version = version

    def expect(self, command: str, answer: dict[str, t.Any], **parameters: t.Any) -> Expect:
        """Expect a command, with these parameters and no others."""
        if self.version == 2:
            body: t.Any = {"cmd": command, "apiuser": "bal", "apipass": "secret", **parameters}
            return Expect("POST", "/accessv2", {"code": 200, **answer, "status": "ok"}, body=body)
        form = {key: ("Y" if value else "N") if isinstance(value, bool) else value for key, value in parameters.items()}
        return Expect("POST", f"/access/{command}", self.xml(answer), body=urlencode(form) or None, headers=BASIC)

    @staticmethod
    def xml(answer: dict[str, t.Any]) -> str:
        """Write an answer as version 1 has it: flags Y and N, a list as repeated elements."""

        def fill(parent: ElementTree.Element, fields: dict[str, t.Any]) -> None:
            for key, value in fields.items():
                for item in value if isinstance(value, list) else [value]:
                    child = ElementTree.SubElement(parent, key)
                    if isinstance(item, dict):
                        fill(child, item)
                    else:
                        child.text = ("Y" if item else "N") if isinstance(item, bool) else str(item)

        root = ElementTree.Element("Response", stat="200", code="ok")
        fill(ElementTree.SubElement(ElementTree.SubElement(root, "Success"), "Data"), answer)
        return ElementTree.tostring(root, encoding="unicode")

    def refusal(self, command: str, status: int, message: str, **parameters: t.Any) -> Expect:
        """Expect a command that the device declines; version 2 says so under HTTP status 200."""
        expected = self.expect(command, {}, **parameters)
        if self.version == 2:
            expected.answer = {"code": status, "message": message, "status": "fail"}
        else:
            expected.answer = f'<Response stat="{status}" code="fail"><Error>{message}</Error></Response>'
            expected.status = status
        return expected

    def go(self, order: Order, *, check_mode: bool = False) -> Result:
        """Run the engine on a LoadMaster."""
        adapter = LoadMaster(ENDPOINT, username="bal", password="secret", api_version=self.version)
        return run(adapter, order, check_mode=check_mode)


@pytest.fixture(params=[1, 2], ids=["v1", "v2"])
def api(request: pytest.FixtureRequest) -> Api:
    """Give each version in turn."""
    return Api(request.param)


def service(index: int, port: int, transparent: bool, **more: t.Any) -> dict[str, t.Any]:
    """Give a virtual service as the device shows it."""
    return {
        "Status": "Up",
        "Index": index,
        "VSAddress": "203.0.113.30",
        "VSPort": str(port),
        "Layer": 7,
        "Enable": True,
        "Protocol": "udp",
        "Transparent": transparent,
        "MasterVSID": 0,
        "NumberOfRSs": 1,
        "Rs": [{"Status": "Up", "Addr": "10.10.0.11", "Port": port, "Enable": True}],
        **more,
    }


def listing(api: Api, t500: bool, t4500: bool, *more: dict[str, t.Any]) -> Expect:
    """Expect the one read of all virtual services; SubVS entries and TCP stand among them."""
    subvs = {
        "Status": "Up",
        "Index": 9,
        "VSPort": "0",
        "Layer": 7,
        "Enable": True,
        "Protocol": "udp",
        "Transparent": False,
        "MasterVSID": 8,
    }
    web = service(8, 443, False, Protocol="tcp")
    return api.expect("listvs", {"VS": [service(1, 500, t500), web, subvs, service(2, 4500, t4500), *more]})


def settings(api: Api, **more: t.Any) -> Expect:
    """Expect the read of the settings of the whole device, as the version writes flags there."""
    fields = {"version": "7.2.63.2.1", "hamode": 0, "hastatus": "HA not configured", **more}
    if api.version == 1:
        fields = {
            key: ("yes" if value else "no") if isinstance(value, bool) else value for key, value in fields.items()
        }
    return api.expect("getall", fields)


def guards(api: Api, *more: dict[str, t.Any], inside: dict[str, t.Any] | None = None, **device: t.Any) -> list[Expect]:
    """Expect what a change is judged by: the settings, and the interfaces; ``more`` interfaces, ``inside``: more of the servers' own."""
    own = [{"Id": 0, "IPAddress": "203.0.113.3/24"}, {"Id": 1, "IPAddress": "10.10.0.1/24", **(inside or {})}, *more]
    return [settings(api, **device), api.expect("showiface", {"Interface": own})]


def codes(result: Result) -> list[tuple[str, str]]:
    """Give the findings, briefly; flows that go on are told with every change."""
    return [(finding.code, finding.severity) for finding in result.findings if finding.code != "existing_flows"]


def change(api: Api, port: int, value: bool) -> Expect:
    """Expect the change of one service: its identity and the one key."""
    parameters = {"vs": "203.0.113.30", "port": str(port), "prot": "udp", "Transparent": value}
    return api.expect("modvs", service(1, port, value), **parameters)


@pytest.mark.parametrize("check_mode", [False, True])
def test_unchanged_takes_one_request(expecting: Expecting, api: Api, check_mode: bool) -> None:
    expecting([listing(api, True, True)])
    result = api.go(Order(return_path=GOOD), check_mode=check_mode)
    assert not result.changed
    assert result.requests == 1
    assert [service.id for service in result.services] == IDS


def test_changed_sends_identity_and_one_key(expecting: Expecting, api: Api) -> None:
    expecting(
        [
            listing(api, False, False),
            *guards(api),
            change(api, 500, True),
            change(api, 4500, True),
            listing(api, True, True),
        ]
    )
    result = api.go(Order(addresses=("203.0.113.30",), return_path=GOOD))
    assert result.changed
    assert [(service.value, service.source_preserved) for service in result.services] == [(True, True)] * 2
    assert result.services[0].servers[0].gateways == ("10.10.0.1",)
    assert result.diff() == {"before": dict.fromkeys(sorted(IDS), False), "after": dict.fromkeys(sorted(IDS), True)}


def test_changed_in_check_mode_reads_only(expecting: Expecting, api: Api) -> None:
    expecting([listing(api, False, False), *guards(api)])
    assert api.go(Order(return_path=GOOD), check_mode=True).changed


@pytest.mark.parametrize("check_mode", [False, True])
def test_restored(expecting: Expecting, api: Api, check_mode: bool) -> None:
    snapshot = Snapshot("loadmaster", HOST, dict.fromkeys(sorted(IDS), False), {})
    writing = [change(api, 4500, False), change(api, 500, False), listing(api, False, False)]
    expecting([listing(api, True, True), *guards(api), *([] if check_mode else writing)])
    assert api.go(Order(state="restored", snapshot=snapshot), check_mode=check_mode).changed


def test_layer_4_keeps_the_address_whatever_its_flag_says(expecting: Expecting, api: Api) -> None:
    expecting([api.expect("listvs", {"VS": [service(1, 500, False, Layer=4), service(2, 4500, False, Layer=4)]})])
    result = api.go(Order())
    assert not result.changed
    assert [(service.value, service.source_preserved) for service in result.services] == [(False, True)] * 2


def test_real_servers_are_asked_for_where_the_list_has_none(expecting: Expecting, api: Api) -> None:
    bare = [
        {key: value for key, value in service(index, port, False).items() if key != "Rs"}
        for index, port in ((1, 500), (2, 4500))
    ]
    shown = [
        api.expect("showvs", service(index, port, False), vs="203.0.113.30", port=str(port), prot="udp")
        for index, port in ((1, 500), (2, 4500))
    ]
    expecting([api.expect("listvs", {"VS": bare}), *guards(api), *shown])
    result = api.go(Order(state="gathered"))
    assert [server.address for service in result.services for server in service.servers] == ["10.10.0.11"] * 2


def test_in_a_pair_the_shared_address_is_the_gateway(expecting: Expecting, api: Api) -> None:
    expecting(
        [listing(api, False, False), *guards(api, inside={"SharedIPAddress": "10.10.0.9"}, hamode=1, hastatus="Active")]
    )
    assert api.go(Order(state="gathered")).services[0].servers[0].gateways == ("10.10.0.9",)


def test_a_single_record_needs_no_list(expecting: Expecting, api: Api) -> None:
    expecting([api.expect("listvs", {"VS": service(1, 500, True)})])
    result = api.go(Order(state="gathered"))
    assert [finding.code for finding in result.findings] == ["pair_incomplete"]


def test_a_refused_second_half_puts_back_the_first(expecting: Expecting, api: Api) -> None:
    parameters = {"vs": "203.0.113.30", "port": "4500", "prot": "udp", "Transparent": True}
    refused = api.refusal("modvs", 422, "Invalid operation", **parameters)
    back = [listing(api, True, False), change(api, 500, False), listing(api, False, False)]
    expecting([listing(api, False, False), *guards(api), change(api, 500, True), refused, *back])
    with pytest.raises(RunFailed, match=r"Invalid operation \(status 422\).*as it was before") as caught:
        api.go(Order(return_path=GOOD))
    assert caught.value.result.undone is True


def test_a_lost_answer_to_a_write_is_looked_up_and_not_repeated(expecting: Expecting, api: Api) -> None:
    lost = change(api, 4500, True)
    lost.answer = requests.exceptions.ConnectionError("Connection aborted.")
    expecting([listing(api, False, False), *guards(api), change(api, 500, True), lost, listing(api, True, True)])
    assert api.go(Order(return_path=GOOD)).changed


def test_auto_takes_version_2_with_one_request(expecting: Expecting) -> None:
    expecting([listing(Api(2), True, True)])
    adapter = LoadMaster(ENDPOINT, username="bal", password="secret")
    assert run(adapter, Order(), check_mode=False).requests == 1


def test_auto_falls_back_to_version_1(expecting: Expecting) -> None:
    absent = Expect(
        "POST",
        "/accessv2",
        "<html>Not Found</html>",
        404,
        body={"cmd": "listvs", "apiuser": "bal", "apipass": "secret"},
    )
    expecting([absent, listing(Api(1), True, True)])
    adapter = LoadMaster(ENDPOINT, username="bal", password="secret")
    assert run(adapter, Order(), check_mode=False).requests == 2


def test_auto_does_not_try_a_wrong_password_twice(expecting: Expecting) -> None:
    expecting(
        [
            Expect(
                "POST",
                "/accessv2",
                "<html>Unauthorized</html>",
                401,
                body={"cmd": "listvs", "apiuser": "bal", "apipass": "secret"},
            )
        ]
    )
    with pytest.raises(RunFailed, match="does not let user 'bal'") as caught:
        run(LoadMaster(ENDPOINT, username="bal", password="secret"), Order(), check_mode=False)
    assert "secret" not in str(caught.value)


def test_an_explicit_version_never_falls_back(expecting: Expecting) -> None:
    expecting(
        [
            Expect(
                "POST",
                "/accessv2",
                "<html>Not Found</html>",
                404,
                body={"cmd": "listvs", "apiuser": "bal", "apipass": "secret"},
            )
        ]
    )
    with pytest.raises(RunFailed, match="the API is off"):
        Api(2).go(Order())


@pytest.mark.parametrize("version", [1, 2])
def test_an_api_key_goes_before_user_and_password(expecting: Expecting, version: int) -> None:
    expected = Api(version).expect("listvs", {"VS": [service(1, 500, True), service(2, 4500, True)]})
    expected.body = {"cmd": "listvs", "apikey": "key"} if version == 2 else "apikey=key"
    expected.headers = None
    expecting([expected])
    adapter = LoadMaster(ENDPOINT, username="bal", password="secret", api_key="key", api_version=version)
    assert not run(adapter, Order(), check_mode=False).changed


@pytest.mark.parametrize(
    "document",
    [
        '<!DOCTYPE x [<!ENTITY a "b">]><Response stat="200" code="ok"><Success><Data>&a;</Data></Success></Response>',
        "<Response",
        "<Other/>",
        "",
        "plain text",
    ],
)
def test_xml_that_is_no_answer_is_an_error_in_words(expecting: Expecting, document: str) -> None:
    expecting([Expect("POST", "/access/listvs", document, headers=BASIC)])
    with pytest.raises(RunFailed, match="where an XML document"):
        Api(1).go(Order())


@pytest.mark.parametrize("field", ["VSAddress", "VSPort", "Transparent", "Layer"])
def test_a_field_that_is_not_understood_is_an_error_in_words(expecting: Expecting, api: Api, field: str) -> None:
    expecting([api.expect("listvs", {"VS": [service(1, 500, False, **{field: "what"})]})])
    with pytest.raises(RunFailed, match="virtual services in a way that is not understood"):
        api.go(Order())
