# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""BIG-IP: objects and answers that are not as expected. One odd object never takes the device away."""

from __future__ import annotations

import copy
import json
import typing as t
from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask import Response
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.adapter import BigIp as Adapter
from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.objects import VIRTUAL_SERVER, page
from ansible_collections.aovpn.ikev2.plugins.module_utils._engine import Result, RunFailed, run
from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Answer, Endpoint, Http
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Order, State, Unreachable
from lab.bigip import BigIp, forwarding, garbage, mcp, props
from lab.direct import directly
from mutations import examples, mutated

NAMES = ("/Common/vs_ikev2_500", "/Common/vs_ikev2_4500")
ORDER = Order(return_path={"10.10.0.11": "10.10.0.1", "10.10.0.12": "10.10.0.1"})
STATES: tuple[tuple[State, bool], ...] = (("gathered", False), ("preserved", True), ("preserved", False))
"""Looking, in check mode, for real."""


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> BigIp:
    return directly(BigIp(), monkeypatch)


def go(order: Order = ORDER, *, check_mode: bool = False, **options: t.Any) -> Result:
    adapter = Adapter(Endpoint("bigip"), username="admin", password="lab-bigip-secret-1", **options)
    return run(adapter, order, check_mode=check_mode)


def change(order: Order = ORDER, **options: t.Any) -> list[Result]:
    """Look, predict and change."""
    results = [go(replace(order, state=state), check_mode=check_mode, **options) for state, check_mode in STATES]
    assert [result.changed for result in results] == [False, True, True]
    return results


def found(result: Result, code: str) -> list[tuple[str, str]]:
    return [(finding.severity, finding.object) for finding in result.findings if finding.code == code]


# Objects that are not selected


@pytest.mark.parametrize("origin", ["any", "any6", "any/any", "0.0.0.0/0"])
def test_a_global_snat_for_everybody(device: BigIp, origin: str) -> None:
    device.put("snat", "/Common/all", props("automap=true vlansDisabled=true", origins=[{"name": origin}]))
    for result in change():
        assert found(result, "hidden_translation") == [("warning", "/Common/all")]


def test_a_virtual_server_without_translation_is_left_out(device: BigIp) -> None:
    odd = device.add_virtual("/Common/odd", "203.0.113.90", 500)
    del odd["sourceAddressTranslation"]
    for result in change():
        assert found(result, "not_read") == [("warning", "/Common/odd")]
    for order in (replace(ORDER, services=("odd",)), replace(ORDER, addresses=("203.0.113.90",))):
        for state, check_mode in STATES:
            with pytest.raises(RunFailed, match="BIG-IP bigip described /Common/odd in a way that is not understood"):
                go(replace(order, state=state), check_mode=check_mode)


@pytest.mark.parametrize("service", ["isakmp", "ipsec-nat-t", "l2tp"])
def test_a_member_by_service_name(device: BigIp, service: str) -> None:
    members = device.state["pool"]["/Common/p_ikev2_500"]["members"]
    members[f"/Common/rras1:{service}"] = members.pop("/Common/rras1:500")
    for result in change():
        assert [server.address for server in result.services[0].servers] == ["10.10.0.11", "10.10.0.12"]
        assert result.findings == [] or found(result, "server_sets_differ") == []


def test_a_self_ip_that_cannot_be_read_is_named(device: BigIp) -> None:
    device.state["self"]["/Common/ext_self"]["address"] = 5
    for result in change():
        assert found(result, "not_read") == [("warning", "/Common/ext_self")]


# AS3


@pytest.mark.parametrize("declaration", [[{"class": "ADC"}], {"declaration": 5}, ["x"]])
def test_an_as3_answer_that_is_not_understood_blocks_what_it_may_own(device: BigIp, declaration: t.Any) -> None:
    device.state["as3"] = declaration
    names = device.add_pair("/T/A/ike", "203.0.113.91")
    looked = go(replace(ORDER, state="gathered"))
    assert sorted(found(looked, "managed_elsewhere")) == sorted(("blocker", name) for name in names)
    for check_mode in (True, False):
        with pytest.raises(RunFailed, match=r"managed_elsewhere at /T/A/ike_500: .* could not be read: BIG-IP bigip"):
            go(check_mode=check_mode)
    change(replace(ORDER, addresses=("203.0.113.10",)))


# Requests that only serve findings


SERVING_FINDINGS = {
    "/mgmt/tm/ltm/snat": "not_read",
    "/mgmt/tm/ltm/snatpool": "not_read",
    "/mgmt/tm/ltm/policy": "hidden_translation",
    "/mgmt/tm/ltm/persistence/source-addr": "not_read",
    "/mgmt/tm/ltm/rule/~Common~r": "not_read",
    "/mgmt/tm/ltm/virtual-address": "not_read",
}


@pytest.mark.parametrize("path", SERVING_FINDINGS)
@pytest.mark.parametrize(
    "answer", [mcp(403, "Forbidden").response, mcp(500, "no").response, garbage(), Response("[]", 200)]
)
def test_a_request_that_only_serves_findings_never_ends_the_run(device: BigIp, path: str, answer: Response) -> None:
    device.put("rule", "/Common/r", {"apiAnonymous": "when CLIENT_ACCEPTED { snat automap }"})
    device.state["virtual"][NAMES[0]]["rules"] = ["/Common/r"]
    device.add_policy("/Common/p", {"snat": "automap"}, NAMES[0])
    device.fault(lambda entry: entry.path == path, answer=answer, times=99)
    *looked, changed = change()
    for result in looked:
        assert ("warning", "BIG-IP bigip") in found(result, SERVING_FINDINGS[path])
    if not path.endswith(("virtual-address", "snatpool")):  # which a change does not ask for
        assert ("warning", "BIG-IP bigip") in found(changed, SERVING_FINDINGS[path])


def test_nor_does_one_without_an_answer(device: BigIp, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Http.send

    def send(http: Http, method: str, path: str, **how: t.Any) -> Answer:
        if path == "/mgmt/tm/ltm/snat":
            raise Unreachable("gone")
        return sent(http, method, path, **how)

    monkeypatch.setattr(Http, "send", send)
    for result in change():
        assert found(result, "not_read") == [("warning", "BIG-IP bigip")]


def test_an_application_service_that_cannot_be_read_blocks(device: BigIp) -> None:
    for name in NAMES:
        device.state["virtual"][name]["appService"] = "/Common/gone.app/gone"
    assert len(found(go(replace(ORDER, state="gathered")), "managed_elsewhere")) == 2
    with pytest.raises(RunFailed, match=r"managed_elsewhere .*strict updates cannot be read"):
        go()


@pytest.mark.parametrize("path", ["/mgmt/tm/cm/device-group", "/mgmt/tm/cm/sync-status"])
def test_what_is_not_known_of_the_other_unit_is_not_taken_for_granted(device: BigIp, path: str) -> None:
    device.add_peer(auto_sync=True)
    device.fault(lambda entry: entry.path == path, answer=mcp(403, "Forbidden").response, times=99)
    for result in change():
        # Still one of a pair: a gateway of this unit alone will not do.
        assert {server.gateways for service in result.services for server in service.servers} == {("10.10.0.1",)}
        code = "not_read" if path.endswith("group") else "unsynced_changes"
        assert found(result, code) == [("warning", "BIG-IP bigip")]


def test_a_sync_needs_a_status_that_can_be_read(device: BigIp) -> None:
    device.add_peer()
    device.fault(lambda entry: entry.path.endswith("sync-status"), answer=mcp(403, "Forbidden").response, times=99)
    with pytest.raises(RunFailed, match=r"unsynced_changes .*not known"):
        go(sync_group="/Common/dg_failover")


# Older firmware, and what it is asked


@pytest.mark.parametrize("refuses", [True, False])
@pytest.mark.parametrize("others", [0, 200])
def test_a_firmware_that_does_not_know_a_property(device: BigIp, refuses: bool, others: int) -> None:
    device.lacks, device.refuses_lacking = {"trafficMatchingCriteria"}, refuses
    for number in range(others):
        device.add_virtual(f"/Common/web{number}", f"198.51.{number // 250}.{number % 250 + 1}", 443, protocol="tcp")
    changed = change()[-1]
    assert changed.requests == 14 + refuses + bool(others)
    assert go().requests == 3 + refuses


def test_a_refusal_for_another_reason_is_an_error(device: BigIp) -> None:
    device.fault(lambda entry: entry.path.endswith("/virtual"), answer=mcp(400, "01070734:3: no.").response, times=2)
    with pytest.raises(RunFailed, match="01070734:3: no"):
        go()


@pytest.mark.parametrize("needed", [True, False])
def test_a_filter_has_its_value_in_quotes(device: BigIp, needed: bool) -> None:
    device.quotes_needed = needed
    change(partition="Common")
    queries = {entry.query.get("$filter") for entry in device.log if entry.path == "/mgmt/tm/ltm/virtual"}
    assert queries == {"partition eq 'Common'"}
    with pytest.raises(RunFailed, match="refused GET /mgmt/tm/ltm/virtual"):
        go(partition="x' or partition eq 'y")


# Links that the device hands out

LISTING = "/mgmt/tm/ltm/virtual"


@pytest.mark.parametrize(
    "link",
    [
        "https://localhost/mgmt/tm/ltm/virtual?$top=1&$skip=1",
        "https://user:secret@evil.example.net:8443/mgmt/tm/ltm/virtual?$top=1&$skip=1",
        "//evil.example.net/mgmt/tm/ltm/../ltm/virtual?$top=1&$skip=1#fragment",
        "/mgmt/tm/ltm/%2e%2e/ltm/virtual/?$top=1&$skip=1",
    ],
)
def test_of_a_link_only_the_query_is_taken(link: str) -> None:
    assert page({"items": [], "nextLink": link}, LISTING).following == f"{LISTING}?$top=1&$skip=1"


@pytest.mark.parametrize(
    "link",
    [
        "@evil.example.net/mgmt/tm/ltm/virtual?$skip=1",
        "evil.example.net/mgmt/tm/ltm/virtual?$skip=1",
        "https://localhost/mgmt/../tmui/login.jsp?$skip=1",
        "https://localhost/mgmt/tm/ltm/virtual/%2e%2e/%2e%2e/sys?$skip=1",
        "https://localhost/mgmt/tm/ltm/virtual/%252e%252e?$skip=1",
        "https://localhost/mgmt/shared/authn/login?$skip=1",
        "https://localhost//mgmt/tm/ltm/virtual?$skip=1",
        "https://localhost?$skip=1",
        5,
        ["https://localhost/mgmt/tm/ltm/virtual?$skip=1"],
    ],
)
def test_a_link_that_leads_elsewhere_is_an_error_in_words(
    device: BigIp, link: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    arrive = Http.send

    def send(http: Http, method: str, path: str, **how: t.Any) -> Answer:
        sent.append(path)
        answer = arrive(http, method, path, **how)
        if path.startswith(LISTING):
            return Answer(200, json.dumps(answer.json() | {"nextLink": link}), http.device)
        return answer

    monkeypatch.setattr(Http, "send", send)
    for state, check_mode in STATES:
        sent.clear()
        with pytest.raises(RunFailed, match="BIG-IP bigip described its virtual servers in a way"):
            go(replace(ORDER, state=state), check_mode=check_mode)
        assert len(sent) == 3
    assert VIRTUAL_SERVER in sent[1]


def test_pages_without_end_are_an_error_in_words(device: BigIp, monkeypatch: pytest.MonkeyPatch) -> None:
    arrive, sent = Http.send, 0

    def send(http: Http, method: str, path: str, **how: t.Any) -> Answer:
        nonlocal sent
        answer = arrive(http, method, path.partition("&$skip=")[0], **how)
        if not path.startswith(LISTING):
            return answer
        sent += 1
        link = {"nextLink": f"https://localhost{LISTING}?$top=1&$skip={sent}"}
        return Answer(200, json.dumps(answer.json() | link), http.device)

    monkeypatch.setattr(Http, "send", send)
    with pytest.raises(RunFailed, match="BIG-IP bigip lists its virtual servers on more than 50 pages"):
        go()
    assert sent == 51


# Every key of every object


def spoilt(body: t.Any, path: tuple[t.Any, ...] = ()) -> Iterator[tuple[tuple[t.Any, ...], t.Any]]:
    """Return an answer with each of its keys deleted and with each other kind of value, and where that is."""
    where = body
    for step in path:
        where = where[step]
    for key in where if isinstance(where, dict) else range(len(where)):
        place = (*path, key)
        if isinstance(where[key], (dict, list)):
            yield from spoilt(body, place)
        if isinstance(where, dict):
            for wrong in (..., None, 5, [1], {"x": 1}, "text", "\x00\n\x1b[31m"):
                made = copy.deepcopy(body)
                target = made
                for step in path:
                    target = target[step]
                if wrong is ...:
                    del target[key]
                else:
                    target[key] = wrong
                yield place, made


CHOSEN = ("/vpn/app/ike_500", "/vpn/app/ike_4500")
WRITTEN = {"token": {"token": "AAAA", "timeout": 1200}, "transId": 1}


@pytest.fixture
def answers(device: BigIp, monkeypatch: pytest.MonkeyPatch) -> dict[str, t.Any]:
    """Return everything that a device with all that there may be answers, by path; later runs are answered from it."""
    for name in ("vs_sstp", "vs_web", *(name.rpartition("/")[2] for name in NAMES)):
        del device.state["virtual"][f"/Common/{name}"]
    device.add_peer(both=True, auto_sync=True)
    device.put("partition", "vpn", {"defaultRouteDomain": 2})
    device.state["self"] = {
        "/Common/own": device.state["self"]["/Common/int_float"] | {"address": "10.10.0.1%2/24"},
        "/Common/other": device.state["self"]["/Common/ext_self"],
    }
    device.add_pair("/vpn/app/ike", "203.0.113.80%2", servers={"rras1": "10.10.0.11%2", "rras2": "10.10.0.12%2"})
    device.add_snat_pool("/Common/sp", out="10.10.0.9%2")
    device.state["virtual"][CHOSEN[1]]["sourceAddressTranslation"] = {"type": "snat", "pool": "/Common/sp"}
    device.add_virtual("/Common/other", "203.0.113.10", 500)
    for name in (*CHOSEN, "/Common/other"):
        device.state["virtual"][name]["rules"] = ["/Common/r"]
    device.put("virtual", "/Common/forward2", forwarding("0.0.0.0%2", vlansEnabled=True, vlans=["/Common/internal"]))
    device.put("rule", "/Common/r", {"apiAnonymous": "when CLIENT_ACCEPTED { snat automap }"})
    device.put(
        "snat", "/Common/all", props("automap=true", origins=[{"name": "any"}], vlansEnabled=True, vlans=["/Common/v"])
    )
    device.add_policy("/Common/p", {"snat": "automap"}, *CHOSEN)
    device.state["as3"] = {"class": "ADC", "vpn": {"class": "Tenant", "app": {"class": "Application"}}}
    good: dict[str, t.Any] = {}
    arrive = Http.send

    def record(http: Http, method: str, path: str, **how: t.Any) -> Answer:
        answer = arrive(http, method, path, **how)
        if method == "GET":
            good[path] = answer.json()
        return answer

    monkeypatch.setattr(Http, "send", record)
    looked = go(GATHERING)
    assert {finding.code for finding in looked.findings} == {
        "hidden_translation",
        "managed_elsewhere",
        "not_selected",
        "snat_pool_needed",
    }

    def repeat(http: Http, method: str, path: str, **_how: t.Any) -> Answer:
        if method == "GET" and path not in good:  # an odd name of another object
            return Answer(404, '{"code": 404, "message": "not found"}', http.device)
        return Answer(200, json.dumps(good[path] if method == "GET" else WRITTEN), http.device)

    monkeypatch.setattr(Http, "send", repeat)
    return good


GATHERING = Order(state="gathered", services=CHOSEN)


def is_chosen(path: str, body: t.Any, place: tuple[t.Any, ...]) -> bool:
    """Report whether the chosen services depend on an object at this place: on themselves, their pools, or what holds all objects."""
    if path.startswith(("/mgmt/tm/ltm/virtual?", "/mgmt/tm/ltm/pool?")):
        return len(place) < 3 or "ike" in body["items"][place[1]]["fullPath"]
    return len(place) < 3 and path.startswith(
        ("/mgmt/tm/net", "/mgmt/tm/cm/device", "/mgmt/tm/auth", "/mgmt/tm/ltm/virtual-a")
    )


def outcome(order: Order) -> Result | RunFailed:
    try:
        return go(order)
    except RunFailed as error:
        return error


@pytest.mark.parametrize("nth", [5, pytest.param(1, marks=pytest.mark.matrix)])
def test_no_odd_value_takes_the_device_away(answers: dict[str, t.Any], nth: int) -> None:
    runs = 0
    for path, body in [*answers.items()]:
        for place, odd in [*spoilt(body)][::nth]:
            answers[path] = odd
            runs += 1
            came = outcome(GATHERING)
            if isinstance(came, Result):
                assert {service.id for service in came.services} == {*CHOSEN}
            else:
                assert is_chosen(path, body, place), f"{path} {place}: {came}"
                assert str(came).startswith("BIG-IP bigip")
        answers[path] = body
    assert runs > 1000 // nth


@examples(100)
@given(st.data())
def test_several_odd_values_end_in_a_result_or_an_error_in_words(
    answers: dict[str, t.Any], data: st.DataObject
) -> None:
    odd = data.draw(st.sets(st.sampled_from(sorted(answers)), min_size=1, max_size=3))
    kept = {path: answers[path] for path in odd}
    answers.update({path: data.draw(mutated(body)) for path, body in kept.items()})
    try:
        came = outcome(data.draw(st.sampled_from([GATHERING, Order(state="gathered")])))
    finally:
        answers.update(kept)
    assert isinstance(came, Result) or str(came).startswith("BIG-IP bigip")


def test_nor_does_one_that_is_read_after_a_change(
    answers: dict[str, t.Any], device: BigIp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    (path,) = [path for path in answers if path.startswith(f"{LISTING}?")]
    before, repeat = answers[path], Http.send
    after = copy.deepcopy(before)
    for item in after["items"]:
        if item["fullPath"] in CHOSEN:
            item["sourceAddressTranslation"] = {"type": "none"}
    order = replace(ORDER, services=CHOSEN, accept=frozenset({"managed_elsewhere"}))
    written: list[str] = []

    def send(http: Http, method: str, path_: str, **how: t.Any) -> Answer:
        written.append(method)
        if path_.startswith(f"{LISTING}?"):
            answers[path] = odd if "PATCH" in written else before
            path_ = path
        return repeat(http, method, path_, **how)

    monkeypatch.setattr(Http, "send", send)
    states = set()
    for number, item in enumerate(after["items"]):
        for place, odd_item in spoilt(item) if item["fullPath"] == CHOSEN[0] else ():
            odd = {**after, "items": [*after["items"][:number], odd_item, *after["items"][number + 1 :]]}
            written.clear()
            came = outcome(order)
            result = came.result if isinstance(came, RunFailed) else came
            assert isinstance(came, Result) or str(came).startswith("BIG-IP bigip"), place
            states.add(result.final_state)
    assert states == {"changed", "unknown"}
