# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""LoadMaster: the exact requests of each way through, over both versions of the API, and the decoders."""

from __future__ import annotations

import contextlib
import json
import typing as t
from dataclasses import replace
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.aovpn.ikev2.plugins.module_utils._engine import Result, RunFailed, run
from ansible_collections.aovpn.ikev2.plugins.module_utils._loadmaster import decode, objects
from ansible_collections.aovpn.ikev2.plugins.module_utils._loadmaster import findings as judge
from ansible_collections.aovpn.ikev2.plugins.module_utils._loadmaster.adapter import LoadMaster
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Finding, InvalidInput, Order, Snapshot, State
from expectations import ENDPOINT, HOST, Expect, Expecting

pytestmark = pytest.mark.usefixtures("pauses")

GOOD = {"10.10.0.11": "10.10.0.1"}
IDS = ["203.0.113.30:500/udp", "203.0.113.30:4500/udp"]
BASIC = {"Authorization": "Basic YmFsOnNlY3JldA=="}


class Api:
    """Sends the same in one of the two versions."""

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
    """Return each version in turn."""
    return Api(request.param)


def service(index: int, port: int, transparent: bool, **more: t.Any) -> dict[str, t.Any]:
    """Return a virtual service as the device shows it."""
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
    """Return the findings, briefly; flows that go on are reported with every change."""
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


@pytest.mark.parametrize("check_mode", [False, True])
def test_restored_changes_nothing_when_nothing_differs(expecting: Expecting, api: Api, check_mode: bool) -> None:
    snapshot = Snapshot("loadmaster", HOST, dict.fromkeys(sorted(IDS), False), {})
    expecting([listing(api, False, False)])
    assert not api.go(Order(state="restored", snapshot=snapshot), check_mode=check_mode).changed


@pytest.mark.parametrize("check_mode", [False, True])
def test_restored_is_refused_where_the_flag_means_nothing_any_more(
    expecting: Expecting, api: Api, check_mode: bool
) -> None:
    snapshot = Snapshot("loadmaster", HOST, dict.fromkeys(sorted(IDS), False), {})
    listed = api.expect("listvs", {"VS": [service(1, 500, True), service(2, 4500, True, Layer=4)]})
    expecting([listed, *guards(api)])
    with pytest.raises(RunFailed, match=r"nothing was changed.*:4500/udp is on layer 4 now") as caught:
        api.go(Order(state="restored", snapshot=snapshot), check_mode=check_mode)
    assert (caught.value.result.final_state, caught.value.result.changes) == ("unchanged", ())


@pytest.mark.parametrize(
    ("state", "check_mode", "after"),
    [("gathered", False, False), ("preserved", True, True), ("preserved", False, True)],
)
def test_half_a_pair_is_reported(expecting: Expecting, api: Api, state: State, check_mode: bool, after: bool) -> None:
    real = state == "preserved" and not check_mode
    writing = [change(api, 4500, True), listing(api, True, True)] if real else []
    expecting([listing(api, True, False), *guards(api), *writing])
    result = api.go(Order(state=state, return_path=GOOD), check_mode=check_mode)
    assert ("pair_inconsistent", "warning") in [(finding.code, finding.severity) for finding in result.findings]
    assert [service.value for service in result.services] == [True, after]


@pytest.mark.parametrize("check_mode", [False, True])
def test_gathered_looks_at_everything_and_changes_nothing(expecting: Expecting, api: Api, check_mode: bool) -> None:
    expecting([listing(api, False, False), *guards(api)])
    result = api.go(Order(state="gathered"), check_mode=check_mode)
    assert not result.changed
    assert result.findings == []
    assert [service.source_preserved for service in result.services] == [False, False]


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
    seen = listing(api, True, True)
    expecting([listing(api, False, False), *guards(api), change(api, 500, True), lost, seen])
    assert api.go(Order(return_path=GOOD)).changed


def test_a_write_that_was_dropped_is_repeated_when_it_was_looked_up(expecting: Expecting, api: Api) -> None:
    lost = change(api, 4500, True)
    lost.answer = requests.exceptions.ConnectionError("Connection aborted.")
    seen, after = listing(api, True, False), listing(api, True, True)
    writing = [change(api, 500, True), lost, seen, change(api, 4500, True), after]
    expecting([listing(api, False, False), *guards(api), *writing])
    assert api.go(Order(return_path=GOOD)).changed


def test_a_write_that_is_dropped_again_and_again_is_put_back(expecting: Expecting, api: Api) -> None:
    lost = change(api, 4500, True)
    lost.answer = requests.exceptions.ConnectionError("Connection aborted.")
    seen, before = listing(api, True, False), listing(api, False, False)
    writing = [change(api, 500, True), *[lost, seen] * 4, seen, change(api, 500, False), before]
    expecting([listing(api, False, False), *guards(api), *writing])
    with pytest.raises(RunFailed, match="Everything is as it was before") as caught:
        api.go(Order(return_path=GOOD))
    assert caught.value.result.undone is True
    assert [service.value for service in caught.value.result.services] == [False, False]


def test_a_read_that_was_dropped_is_repeated_when_no_calls_are_counted_any_more(
    expecting: Expecting, api: Api, pauses: list[float]
) -> None:
    dropped = listing(api, True, True)
    dropped.answer = requests.exceptions.ConnectionError("Connection aborted.")
    expecting([dropped, listing(api, True, True)])
    assert api.go(Order()).requests == 2
    assert pauses == [3.0]


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
def test_an_api_key_takes_precedence_over_user_and_password(expecting: Expecting, version: int) -> None:
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
def test_xml_that_is_not_an_answer_is_an_error_in_words(expecting: Expecting, document: str) -> None:
    expecting([Expect("POST", "/access/listvs", document, headers=BASIC)])
    with pytest.raises(RunFailed, match="where an XML document"):
        Api(1).go(Order())


@pytest.mark.parametrize("field", ["VSAddress", "VSPort", "Transparent", "Layer"])
def test_a_field_that_is_not_understood_is_an_error_in_words(expecting: Expecting, api: Api, field: str) -> None:
    expecting([api.expect("listvs", {"VS": [service(1, 500, False, **{field: "what"})]})])
    with pytest.raises(RunFailed, match="in a way that is not understood"):
        api.go(Order(services=("1",)))


# Findings


@pytest.mark.parametrize(
    ("of_services", "of_device", "inside", "expected"),
    [
        ({}, {}, {}, []),
        ({"SSLReencrypt": True}, {}, {}, [("unsupported_mode", "blocker")] * 2),
        ({"SubnetOriginating": True}, {}, {}, [("subnet_originating", "info")]),
        ({"SubnetOriginating": True}, {"subnetoriginating": True}, {}, [("subnet_originating", "info")]),
        ({}, {"subnetoriginating": True}, {}, [("subnet_originating", "info")]),
        ({}, {"transparent": False}, {}, [("hidden_translation", "warning")]),
        ({}, {"transparent": True, "subnetoriginating": False}, {}, []),
        ({}, {"snat": True}, {}, [("server_nat", "info")]),
        ({}, {"snat": False}, {}, [("server_nat", "info")]),
        ({}, {"hamode": 4}, {}, [("unsupported_mode", "blocker")]),
        ({}, {"hamode": 1, "hastatus": "Active"}, {"SharedIPAddress": "10.10.0.9"}, []),
        ({}, {"hamode": 1, "hastatus": "Active"}, {}, [("return_path_unverified", "warning")]),
        ({}, {"hamode": 2, "hastatus": "Standby"}, {"SharedIPAddress": "10.10.0.9"}, [("not_active_unit", "blocker")]),
        ({}, {"hamode": 3, "hastatus": "Passive"}, {}, [("not_active_unit", "blocker")]),
        ({}, {"version": "7.2.59.0.22007.RELEASE"}, {}, []),
        ({}, {}, {"IPAddress": "10.20.0.1/24"}, [("unsupported_mode", "blocker")]),
        ({}, {}, {"IPAddress": "0.0.0.1/0"}, [("client_in_server_subnet", "warning")]),
        # On layer 4, what transparency on layer 7 does not work with is irrelevant.
        ({"Layer": 4, "SSLReencrypt": True, "SubnetOriginating": True}, {"hamode": 4, "transparent": False}, {}, []),
        ({"Layer": 4}, {}, {"IPAddress": "10.20.0.1/24"}, []),
    ],
)
def test_findings(
    expecting: Expecting,
    api: Api,
    of_services: dict[str, t.Any],
    of_device: dict[str, t.Any],
    inside: dict[str, t.Any],
    expected: list[tuple[str, str]],
) -> None:
    services = [service(index, port, False, **of_services) for index, port in ((1, 500), (2, 4500))]
    expecting([api.expect("listvs", {"VS": services}), *guards(api, inside=inside, **of_device)])
    assert codes(api.go(Order(state="gathered"))) == expected


@pytest.mark.parametrize(
    ("first", "second", "split"),
    [
        ({"Persist": "src"}, {"Persist": "src", "FollowVSID": 1}, False),
        ({"Persist": "src", "FollowVSID": 2}, {"Persist": "src"}, False),
        ({"Persist": "src"}, {"Persist": "src"}, True),
        ({"Persist": "src"}, {"Persist": "src", "FollowVSID": 7}, True),
        ({}, {"FollowVSID": 1}, True),
        ({"Persist": "src"}, {"Persist": "udpsip", "FollowVSID": 1}, True),
    ],
)
def test_persistence_has_to_hold_the_two_ports_together(
    expecting: Expecting, api: Api, first: dict[str, t.Any], second: dict[str, t.Any], split: bool
) -> None:
    servers = [{"Addr": f"10.10.0.{number}", "Port": 500} for number in (11, 12)]
    services = [
        service(index, port, True, Rs=servers, **more) for index, port, more in ((1, 500, first), (2, 4500, second))
    ]
    expecting([api.expect("listvs", {"VS": services})])
    assert codes(api.go(Order())) == ([("persistence_split", "warning")] if split else [])


@pytest.mark.parametrize(("port", "servers"), [(500, "10.10.0.11"), (4500, "10.10.0.12")])
def test_different_real_servers(expecting: Expecting, api: Api, port: int, servers: str) -> None:
    other = service(2, 4500, False, Rs={"Addr": "10.10.0.12", "Port": 4500})
    expecting([api.expect("listvs", {"VS": [service(1, 500, False), other]}), *guards(api)])
    result = api.go(Order(state="gathered"))
    assert codes(result) == [("server_sets_differ", "warning")]
    assert [server.address for service in result.services for server in service.servers if service.port == port] == [
        servers
    ]


def test_a_subnet_that_overlaps_is_reported(expecting: Expecting, api: Api) -> None:
    expecting([listing(api, False, False), *guards(api, {"Id": 2, "IPAddress": "10.0.0.1/8"})])
    assert codes(api.go(Order(state="gathered"))) == [("client_in_server_subnet", "warning")]


@pytest.mark.parametrize("addresses", ["10.20.0.1/24", ["10.20.0.1/24", "10.10.0.2/24"]])
def test_additional_addresses_of_an_interface_are_its_own(expecting: Expecting, api: Api, addresses: t.Any) -> None:
    servers = [{"Addr": "10.20.0.11", "Port": 500}]
    services = [service(index, port, False, Rs=servers) for index, port in ((1, 500), (2, 4500))]
    inside = {"AdditionalAddresses": {"IPaddress": addresses}}
    expecting([api.expect("listvs", {"VS": services}), *guards(api, inside=inside)])
    result = api.go(Order(state="gathered"))
    assert codes(result) == []
    assert result.services[0].servers[0].gateways == ("10.20.0.1",)


def test_server_nat_says_what_follows(expecting: Expecting, api: Api) -> None:
    expecting([listing(api, False, False), *guards(api, snat=False)])
    assert "need a route back" in api.go(Order(state="gathered")).findings[0].message


def test_flows_that_exist_are_reported_after_a_change(expecting: Expecting, api: Api) -> None:
    changes = [change(api, 500, True), change(api, 4500, True), listing(api, True, True)]
    expecting([listing(api, False, False), *guards(api), *changes])
    findings = api.go(Order(return_path=GOOD)).findings
    assert [(finding.code, finding.severity) for finding in findings] == [("existing_flows", "info")]


# Gateways


@pytest.mark.parametrize(
    ("inside", "device", "expected"),
    [
        ({}, {}, ("10.10.0.1",)),
        ({"SharedIPAddress": "10.10.0.9"}, {"hamode": 1, "hastatus": "Active"}, ("10.10.0.9",)),
        ({}, {"hamode": 1, "hastatus": "Active"}, ("10.10.0.7",)),
        ({}, {"hamode": 3, "hastatus": "Active"}, ("10.10.0.1",)),
        ({"IPAddress": "10.20.0.1/24"}, {}, ("10.10.0.7",)),
    ],
    ids=["own", "shared", "not shown in a pair", "in a cloud", "not there"],
)
def test_gateway_is_what_the_device_tells_and_else_the_option(
    expecting: Expecting, api: Api, inside: dict[str, t.Any], device: dict[str, t.Any], expected: tuple[str, ...]
) -> None:
    expecting([listing(api, False, False), *guards(api, inside=inside, **device)])
    adapter = LoadMaster(ENDPOINT, username="bal", password="secret", api_version=api.version, gateway="10.10.0.7")
    result = run(adapter, Order(state="gathered"), check_mode=False)
    assert result.services[0].servers[0].gateways == expected


def test_a_gateway_that_is_none(api: Api) -> None:
    with pytest.raises(InvalidInput, match="Option 'gateway' is 'inside', which is not an IP address"):
        LoadMaster(ENDPOINT, username="bal", password="secret", api_version=api.version, gateway="inside")


# Selection


def test_nicknames_and_indices_name_services_and_ambiguous_ones_are_refused(expecting: Expecting, api: Api) -> None:
    named = [service(1, 500, True, NickName="ike"), service(2, 4500, True, NickName="natt")]
    twice = [service(1, 500, True, NickName="vpn"), service(2, 4500, True, NickName="vpn")]
    reads = [api.expect("listvs", {"VS": services}) for services in (named, named, twice)]
    expecting(reads)
    assert [service.id for service in api.go(Order(services=("ike", "2"))).services] == IDS
    with pytest.raises(RunFailed, match="no UDP service called 'ik'"):
        api.go(Order(services=("ik", "natt")))
    with pytest.raises(RunFailed, match="'vpn' matches each of"):
        api.go(Order(services=("vpn",)))


def test_ipv6_is_named_as_the_device_writes_it(expecting: Expecting, api: Api) -> None:
    address, server = "2001:DB8:0:0:0:0:0:30", {"Status": "Up", "Addr": "2001:db8:a::11", "Enable": True}
    services = [
        service(index, port, False, VSAddress=address, Rs=[{**server, "Port": port}])
        for index, port in ((1, 500), (2, 4500))
    ]
    own = {"Id": 2, "IPAddress": "2001:db8:a::1/64"}
    after = [{**item, "Transparent": True} for item in services]
    writes = [
        api.expect("modvs", item, vs=address, port=item["VSPort"], prot="udp", Transparent=True) for item in services
    ]
    reads = [api.expect("listvs", {"VS": items}) for items in (services, after)]
    expecting([reads[0], *guards(api, own), *writes, reads[1]])
    result = api.go(Order(addresses=("2001:db8::30",), return_path={"2001:db8:a::11": "2001:db8:a::1"}))
    assert [service.id for service in result.services] == ["[2001:db8::30]:500/udp", "[2001:db8::30]:4500/udp"]


def test_a_service_on_all_ports_does_not_disturb(expecting: Expecting, api: Api) -> None:
    expecting([listing(api, True, True, service(3, 0, False, VSPort="*"))])
    assert [service.id for service in api.go(Order()).services] == IDS


def test_absent_optional_fields(expecting: Expecting, api: Api) -> None:
    least = [
        {
            "Index": index,
            "VSAddress": "203.0.113.30",
            "VSPort": str(port),
            "Protocol": "udp",
            "Layer": 7,
            "Transparent": True,
        }
        for index, port in ((1, 500), (2, 4500))
    ]
    expecting([api.expect("listvs", {"VS": least})])
    assert [service.id for service in api.go(Order()).services] == IDS


@pytest.mark.parametrize("field", ["Index", "VSPort", "Layer"])
def test_a_needed_field_that_is_absent_is_an_error_in_words(expecting: Expecting, api: Api, field: str) -> None:
    record = {key: value for key, value in service(1, 500, False).items() if key != field}
    expecting([api.expect("listvs", {"VS": [record]})])
    with pytest.raises(RunFailed, match=f"not understood \\(.*{field}"):
        api.go(Order(addresses=("203.0.113.30",)))


# Client certificates


def test_a_client_certificate_takes_version_1_and_needs_no_user(expecting: Expecting) -> None:
    expected = listing(Api(1), True, True)
    expected.headers = None
    expecting([expected])
    adapter = LoadMaster(replace(ENDPOINT, client_cert="/etc/client.pem", client_key="/etc/client.key"))
    assert run(adapter, Order(), check_mode=False).requests == 1


def test_a_client_certificate_and_version_2_exclude_each_other() -> None:
    with pytest.raises(InvalidInput, match="needs version 1 of the API"):
        LoadMaster(replace(ENDPOINT, client_cert="/etc/client.pem"), api_version=2)


# The decoders

TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_categories=["Cc", "Cs"]), max_size=12)
RECORDS = st.fixed_dictionaries(
    {
        "Index": st.integers(1, 9999),
        "VSAddress": st.ip_addresses().map(str),
        "VSPort": st.one_of(st.integers(3, 65530).map(str), st.just("*")),
        "Layer": st.sampled_from([4, 7]),
        "Protocol": st.sampled_from(["udp", "udp", "tcp"]),
    },
    optional={
        "NickName": TEXT,
        "Enable": st.booleans(),
        "Transparent": st.booleans(),
        "SubnetOriginating": st.booleans(),
        "SSLReencrypt": st.booleans(),
        "MasterVSID": st.integers(0, 3),
        "FollowVSID": st.integers(0, 9),
        "Persist": st.sampled_from(["", "src", "udpsip"]),
        "NumberOfRSs": st.integers(0, 3),
        "Rs": st.lists(
            st.fixed_dictionaries({"Addr": st.ip_addresses(v=4).map(str), "Port": st.integers(0, 65535)}), min_size=1
        ),
    },
)


def persistence(virtuals: list[objects.VirtualService]) -> list[Finding]:
    """Judge all of these services together."""
    services = [service for virtual in virtuals for service in virtual.services]
    return judge.persistence_findings(services, {virtual.service.id: virtual for virtual in virtuals})


@given(st.lists(RECORDS, max_size=4))
def test_the_two_decoders_give_equal_services(records: list[dict[str, t.Any]]) -> None:
    from_json = decode.decode_json(json.dumps({"code": 200, "VS": records, "status": "ok"}))
    from_xml = decode.decode_xml(Api.xml({"VS": records}).encode())
    (one, odd), (other, more) = (objects.virtual_services(outcome.fields) for outcome in (from_json, from_xml))
    assert one == other
    assert (odd, more) == ([], [])
    assert [virtual.service.names for virtual in one] == [virtual.service.names for virtual in other]
    assert persistence(one) == persistence(other)


@given(
    st.fixed_dictionaries(
        {"version": st.sampled_from(["7.2.63.2", "7.1.30", ""]), "hamode": st.integers(0, 4), "hastatus": TEXT},
        optional=dict.fromkeys(("snat", "subnetoriginating", "transparent"), st.booleans()),
    )
)
def test_the_two_decoders_give_equal_settings(fields: dict[str, t.Any]) -> None:
    fields = {**fields, "hastatus": fields["hastatus"].strip()}
    texts = {key: ("yes" if value else "no") if isinstance(value, bool) else value for key, value in fields.items()}
    from_json = decode.decode_json(json.dumps({"code": 200, **fields, "status": "ok"}))
    assert objects.settings(from_json.fields) == objects.settings(decode.decode_xml(Api.xml(texts).encode()).fields)


@pytest.mark.parametrize(
    ("shown", "unresolved"),
    [
        ({"Status": "Up"}, ("rras1",)),
        ({"Status": "Disabled"}, ()),
        ({"Enable": "N"}, ()),
        ({"Forward": "route"}, ()),
    ],
)
def test_a_server_without_an_address_matters_if_it_may_receive_clients_behind_the_device(
    shown: dict[str, t.Any], unresolved: tuple[str, ...]
) -> None:
    found = objects.real_servers({"Rs": [{"Addr": "", "DnsName": "rras1", "Port": 500, **shown}]})
    assert (found.unresolved, [item.id for item in found.unread]) == (unresolved, ["rras1"])


@pytest.mark.parametrize(("extra", "ports"), [("1000-1509", 511), ("1000-1510", 1)])
def test_a_service_has_its_port_and_as_many_as_the_vendor_allows(extra: str, ports: int) -> None:
    """Of more, only those of IKEv2 are read."""
    virtual = objects.virtual_service(service(1, 500, False, ExtraPorts=extra))
    assert virtual is not None
    assert len(virtual.places) == ports


@given(st.one_of(st.text(max_size=40), st.binary(max_size=40).map(lambda raw: raw.decode("latin-1"))))
def test_no_text_breaks_a_decoder(text: str) -> None:
    with contextlib.suppress(decode.NotUnderstood):
        decode.decode_json(text)
    with contextlib.suppress(decode.NotUnderstood):
        decode.decode_xml(text.encode())


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"code": 200, "status": "ok"}', 200),
        ('{"status": "ok"}', 200),
        ('{"code": 422, "status": "fail"}', 422),
        ('{"code": 200, "status": "fail"}', 400),
        ('{"code": "x", "status": "fail"}', 400),
        ('{"code": 422, "status": "ok"}', 422),
        ('<Response stat="200" code="ok"><Success/></Response>', 200),
        ('<Response stat="422" code="fail"><Error/></Response>', 422),
        ('<Response stat="200" code="fail"><Error/></Response>', 400),
        ('<Response stat="422" code="ok"><Error/></Response>', 422),
        ("<Response><Error/></Response>", 400),
    ],
)
def test_what_an_answer_comes_to(text: str, code: int) -> None:
    outcome = decode.decode_json(text) if text.startswith("{") else decode.decode_xml(text.encode())
    assert outcome.code == code


@pytest.mark.parametrize("text", ["{}", "[]", '{"Status": "Up"}', "1", "null", "<html></html>", "[" * 100000])
def test_json_that_is_not_an_answer_is_not_understood(text: str) -> None:
    with pytest.raises(decode.NotUnderstood):
        decode.decode_json(text)
