# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""LoadMaster: every fault at every step, against the stand-in. Both or neither, or said plainly; the next run converges."""

from __future__ import annotations

import json
import typing as t
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from combinations import a_third
from flask import Response

from ansible_collections.aovpn.ikev2.plugins.module_utils._engine import Result, RunFailed, run
from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Endpoint
from ansible_collections.aovpn.ikev2.plugins.module_utils._loadmaster.adapter import LoadMaster as Adapter
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Order, State
from lab.core import CertificateAuthority
from lab.loadmaster import Api, LoadMaster

VIP = "203.0.113.30"
ORDER = Order(addresses=(VIP,), return_path={"10.10.0.11": "10.10.0.1", "10.10.0.12": "10.10.0.1"})
STEPS = ["listvs", "getall", "showiface", "modvs", "modvs", "listvs"]
"""The requests of a changed pair: the bound that the project promises."""
VERSIONS: list[Api] = ["v1", "v2"]
SECRETS = ("lab-loadmaster-secret-1", "lab-loadmaster-apikey-1")


@pytest.fixture(scope="module")
def started(authority: CertificateAuthority) -> Iterator[LoadMaster]:
    device = LoadMaster()
    device.start(authority)
    yield device
    device.stop()


@pytest.fixture
def device(started: LoadMaster) -> LoadMaster:
    """Return a fresh device."""
    started.reset()
    return started


@pytest.fixture(params=VERSIONS)
def api(request: pytest.FixtureRequest) -> Api:
    """Return each version in turn."""
    version: Api = request.param
    return version


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make runs without pauses: a window without length is never full."""
    monkeypatch.setattr("ansible_collections.aovpn.ikev2.plugins.module_utils._loadmaster.adapter.SECONDS", 0.0)


STATES: tuple[tuple[State, bool], ...] = (("gathered", False), ("preserved", True), ("preserved", False))
"""Looking, in check mode, for real."""


def go(
    device: LoadMaster, ca: str, api: Api | None, order: Order = ORDER, *, check_mode: bool = False, **options: t.Any
) -> Result | RunFailed:
    """Run the engine on the stand-in, and give what came of it; no secret is in it, nor in what the stand-in was asked by address."""
    login = options or {"username": "bal", "password": SECRETS[0]}
    version = None if api is None else int(api[1])
    adapter = Adapter(Endpoint("127.0.0.1", device.port, ca_path=ca, timeout=5), api_version=version, **login)
    came: Result | RunFailed
    try:
        came = run(adapter, order, check_mode=check_mode)
    except RunFailed as error:
        came = error
    told = str(came) + json.dumps((came.result if isinstance(came, RunFailed) else came).as_dict())
    asked = "".join(entry.path + json.dumps(entry.query) for entry in device.log)
    assert [secret for secret in SECRETS if secret in told + asked] == []
    return came


def flags(device: LoadMaster) -> list[bool]:
    """Return what is in effect on the device."""
    return [device.service(VIP, port)["Transparent"] for port in (500, 4500)]


def commands(device: LoadMaster) -> list[str]:
    """Return the commands that came."""
    return [
        entry.body["cmd"] if entry.path == "/accessv2" else entry.path.removeprefix("/access/") for entry in device.log
    ]


def bomb(body: str) -> Response:
    """Return an XML document that would become large, or read a file, when its entities were expanded."""
    return Response(
        f'<?xml version="1.0"?><!DOCTYPE a [{body}]><Response stat="200" code="ok"><Success><Data>'
        "<VS>&c;</VS></Data></Success></Response>",
        content_type="text/xml",
    )


LAUGHS = '<!ENTITY a "' + "ha" * 500 + '"><!ENTITY b "' + "&a;" * 500 + '"><!ENTITY c "' + "&b;" * 500 + '">'

FAULTS: dict[str, Callable[[Api], dict[str, t.Any]]] = {
    "html 401": lambda api: {"answer": LoadMaster.page(401)},
    "html 404": lambda api: {"answer": LoadMaster.page(404)},
    "html 405": lambda api: {"answer": LoadMaster.page(405)},
    "html 200": lambda api: {"answer": LoadMaster.page(200)},
    "422": lambda api: {"answer": LoadMaster.failure(api, 422, "Invalid operation")},
    "422 inside 200": lambda api: {"answer": LoadMaster.failure(api, 422, "Invalid operation", 200)},
    "401 inside 200": lambda api: {"answer": LoadMaster.failure(api, 401, "Unauthorized", 200)},
    "reset before": lambda api: {"reset": "before"},
    "reset after": lambda api: {"reset": "after"},
    "reset for good": lambda api: {"reset": "before", "times": 99},
    "cut off": lambda api: {
        "answer": Response('<Response stat="200" code="ok"><Success>' if api == "v1" else '{"VS": [')
    },
    "nested": lambda api: {"answer": Response("<a>" * 100000 if api == "v1" else "[" * 100000)},
    "entities": lambda api: {"answer": bomb(LAUGHS)},
    "a file": lambda api: {"answer": bomb('<!ENTITY c SYSTEM "file:///etc/passwd">')},
}


CASES: list[tuple[Api, str]] = [
    (api, kind) for api in VERSIONS for kind in FAULTS if api == "v1" or kind not in ("entities", "a file")
]


@pytest.mark.parametrize(("case", "step"), a_third(CASES, range(len(STEPS))))
def test_every_fault_at_every_step(device: LoadMaster, ca: str, case: tuple[Api, str], step: int) -> None:
    api, kind = case
    fault = device.fault(skip=step, **FAULTS[kind](api))
    came = go(device, ca, api)
    assert fault.seen, "the fault did not strike"
    if isinstance(came, RunFailed):
        assert "LoadMaster 127.0.0.1" in str(came)
        assert flags(device) == [False, False] or came.result.undone is False
        assert came.result.changed is (not came.result.undone)
        assert [service.value for service in came.result.services] in ([], flags(device))
        # What goes wrong once can be put back; only who is gone for good cannot be asked.
        assert came.result.undone or kind == "reset for good"
    else:
        assert kind in ("reset before", "reset after")
        assert flags(device) == [True, True]
    device.faults.clear()
    assert isinstance(go(device, ca, api), Result)
    assert flags(device) == [True, True]


def test_a_changed_pair_takes_six_requests_with_every_guard(device: LoadMaster, ca: str, api: Api) -> None:
    result = go(device, ca, api)
    assert isinstance(result, Result)
    assert result.requests == 6
    assert commands(device) == STEPS
    assert flags(device) == [True, True]
    writes = [{**entry.body} for entry in device.writing()]
    for body in writes:
        for key in ("cmd", "apiuser", "apipass"):
            body.pop(key, None)
    on: t.Any = "Y" if api == "v1" else True
    assert writes == [{"vs": VIP, "port": port, "prot": "udp", "Transparent": on} for port in ("500", "4500")]


def test_check_mode_writes_nothing_and_the_second_run_takes_one_request(device: LoadMaster, ca: str, api: Api) -> None:
    predicted = go(device, ca, api, check_mode=True)
    assert device.writing() == []
    done = go(device, ca, api)
    assert isinstance(predicted, Result)
    assert isinstance(done, Result)
    assert predicted.services == done.services
    device.log.clear()
    again = go(device, ca, api)
    assert isinstance(again, Result)
    assert not again.changed
    assert commands(device) == ["listvs"]


def test_what_was_not_meant_is_as_it_was_and_all_is_put_back(device: LoadMaster, ca: str, api: Api) -> None:
    device.state["interfaces"].append({"Id": 2, "IPAddress": "2001:db8:a::1/64"})
    device.add_pair("2001:db8::30", "six", ("2001:db8:a::11",))
    device.add_pair("203.0.113.31", "other")
    before = json.dumps(device.state["services"])
    done = go(device, ca, api, Order(addresses=("2001:db8::30",), return_path={"2001:db8:a::11": "2001:db8:a::1"}))
    assert isinstance(done, Result)
    changed = {index for index, record in device.state["services"].items() if record["Transparent"]}
    assert changed == {str(device.service("2001:db8::30", port)["Index"]) for port in (500, 4500)}
    assert isinstance(go(device, ca, api, Order(state="restored", snapshot=done.snapshot)), Result)
    assert json.dumps(device.state["services"]) == before


@pytest.mark.parametrize("layer4", ["accepted", "ignored", "refused"])
def test_a_pair_on_layer_4_is_left_alone_in_any_case(
    authority: CertificateAuthority, ca: str, api: Api, layer4: t.Any
) -> None:
    device = LoadMaster(layer4=layer4)
    device.start(authority)
    try:
        for port in (500, 4500):
            device.service(VIP, port).update(Layer=4)
        result = go(device, ca, api)
        assert isinstance(result, Result)
        assert not result.changed
        assert [service.source_preserved for service in result.services] == [True, True]
        assert device.writing() == []
    finally:
        device.stop()


@pytest.mark.parametrize(
    "options",
    [
        {"v2_errors": "inside"},
        {"v2_unauthorized": "html"},
        {"list_real_servers": False},
        {"off_is_empty": True},
        {"unknown_parameters": "ignored"},
    ],
    ids=str,
)
def test_whatever_the_device_does_where_it_is_not_known(
    authority: CertificateAuthority, ca: str, api: Api, options: dict[str, t.Any]
) -> None:
    device = LoadMaster(**options)
    device.start(authority)
    try:
        result = go(device, ca, api)
        assert isinstance(result, Result)
        # Where the list names no real servers, each service is asked for its own: a request more for each.
        assert result.requests == (8 if "list_real_servers" in options else 6)
        assert [server.address for server in result.services[0].servers] == ["10.10.0.11", "10.10.0.12"]
        assert flags(device) == [True, True]
        device.log.clear()
        wrong = go(device, ca, api, username="bal", password="wrong")
        assert isinstance(wrong, RunFailed)
        assert "does not let user 'bal' do this (listvs, status 401)" in str(wrong)
        assert len(device.log) == 1
    finally:
        device.stop()


def test_a_change_that_is_ignored_is_seen(authority: CertificateAuthority, ca: str, api: Api) -> None:
    device = LoadMaster(unsupported="ignored")
    device.start(authority)
    try:
        device.set_ha(4)
        blocked = go(device, ca, api)
        assert isinstance(blocked, RunFailed)
        assert "unsupported_mode" in str(blocked)
        assert device.writing() == []
        order = Order(return_path=ORDER.return_path, accept=frozenset({"unsupported_mode"}))
        came = go(device, ca, api, order)
        assert isinstance(came, RunFailed)
        assert "accepted the change without an error, but" in str(came)
        assert came.result.undone is True
    finally:
        device.stop()


@pytest.mark.parametrize("off", [404, 401])
@pytest.mark.parametrize("version", [None, "v1", "v2"])
def test_an_api_that_is_off_is_said_and_stays_off(
    authority: CertificateAuthority, ca: str, version: Api | None, off: t.Any
) -> None:
    device = LoadMaster(api_off=off)
    device.start(authority)
    try:
        device.state["parameters"]["enableapi"] = False
        came = go(device, ca, version)
        assert isinstance(came, RunFailed)
        assert "the API is off" in str(came) if off == 404 else "that the API is enabled" in str(came)
        assert device.writing() == []
        assert len(device.log) == (2 if version is None and off == 404 else 1)
    finally:
        device.stop()


def test_auto_finds_the_older_version_once(authority: CertificateAuthority, ca: str) -> None:
    old: Api = "v1"
    device = LoadMaster(apis=(old,))
    device.start(authority)
    try:
        changed = go(device, ca, None)
        assert isinstance(changed, Result)
        assert changed.requests == 7
        assert [entry.path for entry in device.log].count("/accessv2") == 1
        unchanged = go(device, ca, None)
        assert isinstance(unchanged, Result)
        assert unchanged.requests == 2
        explicit = go(device, ca, "v2")
        assert isinstance(explicit, RunFailed)
        device.log.clear()
        assert isinstance(go(device, ca, None, api_key="wrong"), RunFailed)
        assert commands(device) == ["listvs", "listvs"]
    finally:
        device.stop()


def test_a_key_that_is_wrong_is_tried_once(device: LoadMaster, ca: str) -> None:
    assert isinstance(go(device, ca, None, api_key="wrong", username="bal", password=SECRETS[0]), RunFailed)
    assert len(device.log) == 1


def test_an_api_key_will_do(device: LoadMaster, ca: str, api: Api) -> None:
    assert isinstance(go(device, ca, api, api_key=SECRETS[1]), Result)
    assert flags(device) == [True, True]


def test_who_may_only_look_changes_nothing(device: LoadMaster, ca: str, api: Api) -> None:
    login: dict[str, t.Any] = {"username": "auditor", "password": "lab-loadmaster-secret-2"}
    assert isinstance(go(device, ca, api, Order(state="gathered"), **login), Result)
    came = go(device, ca, api, **login)
    assert isinstance(came, RunFailed)
    assert "Give the user the permission Virtual Services" in str(came)
    assert came.result.undone is True


@pytest.mark.parametrize(("pairs", "others"), [(1, 0), (10, 500), (100, 500)])
def test_an_unchanged_run_takes_one_request_for_any_number(
    device: LoadMaster, ca: str, api: Api, pairs: int, others: int
) -> None:
    device.state["services"].clear()
    for number in range(pairs):
        device.add_pair(f"203.0.{113 + number // 250}.{number % 250 + 1}", f"ike{number}", Transparent=True)
    for number in range(others):
        device.add_service(f"198.51.{number // 250}.{number % 250 + 1}", 443, ("10.10.0.80",), Protocol="tcp")
    result = go(device, ca, api, Order())
    assert isinstance(result, Result)
    assert not result.changed
    assert len(result.services) == 2 * pairs
    assert result.requests == 1


def test_many_pairs_stay_below_the_limit_on_calls(
    authority: CertificateAuthority, ca: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    device = LoadMaster(calls_per_3s=30)
    device.start(authority)
    try:
        for number in range(15):
            device.add_pair(f"198.51.100.{number + 1}", f"ike{number}")
        result = go(device, ca, "v2", Order(return_path=ORDER.return_path))
        assert isinstance(result, Result)
        assert result.requests == 4 + 32
    finally:
        device.stop()


def test_the_calls_of_somebody_else_are_waited_for(
    authority: CertificateAuthority, ca: str, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    device = LoadMaster(calls_per_3s=30)
    device.start(authority)
    try:
        # So many that the device drops one in the middle of the change.
        for _dummy in range(27):
            assert isinstance(go(device, ca, api, Order(state="gathered", services=("vs",))), RunFailed)
        result = go(device, ca, api)
        assert isinstance(result, Result), str(result)
        assert flags(device) == [True, True]
    finally:
        device.stop()


def test_a_huge_answer_is_not_read_to_its_end(
    device: LoadMaster, ca: str, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ansible_collections.aovpn.ikev2.plugins.module_utils._http.LARGEST", 2**20)
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield b'<Response stat="200" code="ok"><Success><Data>' if api == "v1" else b'{"VS": ["'
        while True:
            sent += 1
            yield b"x" * 2**16

    for step, command in enumerate(STEPS):
        device.reset()
        device.fault(skip=step, answer=Response(endless()))
        came = go(device, ca, api)
        assert isinstance(came, RunFailed), command
        assert "more than 1048576 bytes" in str(came)
        assert came.result.undone is True
        assert flags(device) == [False, False]
    assert sent < 1000 * len(STEPS)


@pytest.mark.parametrize("charset", [True, False])
@pytest.mark.parametrize("encoding", ["ISO-8859-1", "UTF-8"])
def test_a_service_with_an_umlaut_in_its_name_is_found(
    device: LoadMaster, ca: str, api: Api, encoding: t.Any, charset: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "encoding", encoding)
    monkeypatch.setattr(device, "charset", charset)
    names = ("Büro-500", "Büro-4500")
    for port, name in zip((500, 4500), names, strict=True):
        device.service(VIP, port)["NickName"] = name
    order = Order(services=names, return_path=ORDER.return_path)
    for state, check_mode in STATES:
        result = go(device, ca, api, replace(order, state=state), check_mode=check_mode)
        assert isinstance(result, Result)
        assert [service.port for service in result.services] == [500, 4500]
        assert len(result.changes) == 2
    assert flags(device) == [True, True]
    came = go(device, ca, api, Order(services=("Büro-50",)))
    assert isinstance(came, RunFailed)
    assert "no UDP service called 'Büro-50'" in str(came)
