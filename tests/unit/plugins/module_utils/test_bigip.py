# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""BIG-IP: the exact requests of each way through, and the parsers."""

from __future__ import annotations

import json
import typing as t
from dataclasses import replace
from unittest.mock import patch as patched
from urllib.parse import unquote

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.aovpn.ikev2.plugins.module_utils import _http
from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.adapter import BigIp
from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.objects import (
    ATTACHED,
    VIRTUAL_SERVER,
    parse_destination,
)
from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.reader import PAGE
from ansible_collections.aovpn.ikev2.plugins.module_utils._engine import Result, RunFailed, run
from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Answer, Http
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import (
    FINDING_CODES,
    Finding,
    InvalidInput,
    Order,
    Snapshot,
    State,
    Value,
)
from expectations import ENDPOINT, HOST, Expect, Expecting

TOKEN = "AAAABBBBCCCCDDDD"
WITH_TOKEN = {"X-F5-Auth-Token": TOKEN}
IN_TRANSACTION = {**WITH_TOKEN, "X-F5-REST-Coordination-Id": "17"}
SNAT = {"type": "snat", "pool": "/Common/sp"}
GOOD = {"10.10.0.11": "10.10.0.1", "10.10.0.12": "10.10.0.1"}

LOGIN = Expect(
    "POST",
    "/mgmt/shared/authn/login",
    {"token": {"token": TOKEN, "timeout": 1200}},
    body={"username": "admin", "password": "secret", "loginProviderName": "tmos"},
)
LOGOUT = Expect("DELETE", f"/mgmt/shared/authz/tokens/{TOKEN}", {"token": TOKEN}, headers=WITH_TOKEN)
SAVE = Expect("POST", "/mgmt/tm/sys/config", {"command": "save"}, body={"command": "save"}, headers=WITH_TOKEN)


def virtual(name: str, port: int, translation: t.Any, **more: t.Any) -> dict[str, t.Any]:
    """Return a virtual server as the device shows it."""
    return {
        "name": name,
        "partition": "Common",
        "fullPath": f"/Common/{name}",
        "destination": f"/Common/203.0.113.10:{port}",
        "ipProtocol": "udp",
        "pool": f"/Common/p{port}",
        "persist": [{"name": "ike", "partition": "Common", "tmDefault": "yes"}],
        "sourceAddressTranslation": translation if isinstance(translation, dict) else {"type": translation},
        **more,
    }


FORWARDING = {
    "name": "forward",
    "partition": "Common",
    "fullPath": "/Common/forward",
    "destination": "/Common/0.0.0.0:0",
    "mask": "any",
    "source": "0.0.0.0/0",
    "ipProtocol": "any",
    "ipForward": True,
    "translateAddress": "disabled",
    "sourceAddressTranslation": {"type": "none"},
}
"""What the servers' own packets need, where this device is their default gateway."""


def reading(*items: dict[str, t.Any]) -> Expect:
    """Expect the one read of all virtual servers; where there are any, one of them forwards."""
    listed = [*items, FORWARDING] if items else []
    body = {"kind": "tm:ltm:virtual:virtualcollectionstate", **({"items": listed} if items else {})}
    return Expect("GET", f"/mgmt/tm/ltm/virtual?$select={VIRTUAL_SERVER}&$top={PAGE}", body, headers=WITH_TOKEN)


def attached(item: dict[str, t.Any], policies: t.Sequence[str] = ()) -> dict[str, t.Any]:
    """Return a virtual server with the LTM policies that are attached to it."""
    return {
        **item,
        "profilesReference": {"items": [{"name": "udp", "fullPath": "/Common/udp"}]},
        "policiesReference": {"items": [{"fullPath": policy} for policy in policies]} if policies else {"link": "…"},
    }


EXPANDED = f"$select={VIRTUAL_SERVER},{ATTACHED}&expandSubcollections=true"


def reread(*items: dict[str, t.Any], policies: t.Sequence[str] = ()) -> Expect:
    """Expect the read of all virtual servers with what is attached to each."""
    listed = [attached(item, policies) for item in (*items, FORWARDING)]
    return Expect("GET", f"/mgmt/tm/ltm/virtual?{EXPANDED}&$top={PAGE}", {"items": listed}, headers=WITH_TOKEN)


def single(item: dict[str, t.Any], status: int = 200) -> Expect:
    """Expect the read of one virtual server by its name."""
    answer = attached(item) if status == 200 else {"code": status, "message": "01020036:3: not found."}
    path = f"/mgmt/tm/ltm/virtual/~Common~{item['name']}?{EXPANDED}"
    return Expect("GET", path, answer, status, headers=WITH_TOKEN)


def patch(name: str, translation: t.Any, headers: dict[str, str], **more: t.Any) -> Expect:
    """Expect the change of one virtual server, with no other key in the body."""
    return Expect(
        "PATCH",
        f"/mgmt/tm/ltm/virtual/~Common~{name}",
        {},
        body={"sourceAddressTranslation": translation},
        headers=headers,
        **more,
    )


def transaction(*patches: Expect, commit_status: int = 200, commit: t.Any = None) -> list[Expect]:
    """Expect a transaction around these changes."""
    return [
        Expect("POST", "/mgmt/tm/transaction", {"transId": 17, "state": "STARTED"}, body={}, headers=WITH_TOKEN),
        *patches,
        Expect(
            "PATCH",
            "/mgmt/tm/transaction/17",
            commit or {},
            commit_status,
            body={"state": "VALIDATING"},
            headers=WITH_TOKEN,
        ),
    ]


GROUP = "/Common/traffic-group-1"
FLOATING = {"address": "10.10.0.1/24", "floating": "enabled", "trafficGroup": GROUP}
OWN = {"address": "10.10.0.2/24", "floating": "disabled", "trafficGroup": "/Common/traffic-group-local-only"}
ACTIVE = {"name": "a.example.net", "selfDevice": "true", "failoverState": "active"}
PARTNER = {"name": "b.example.net", "selfDevice": "false", "failoverState": "standby"}
GROUP_OF_UNITS = {
    "fullPath": "/Common/units",
    "type": "sync-failover",
    "autoSync": "enabled",
    "devicesReference": {"items": [{"name": "a.example.net"}, {"name": "b.example.net"}]},
}
SNAT_POOLS = Expect(
    "GET",
    "/mgmt/tm/ltm/snatpool?$select=fullPath,members",
    {"items": [{"fullPath": "/Common/sp", "members": ["/Common/10.10.0.5"]}]},
    headers=WITH_TOKEN,
)
PERSISTENCE = {"fullPath": "/Common/ike", "matchAcrossServices": "enabled"}


def get(path: str, *items: dict[str, t.Any], **more: t.Any) -> Expect:
    """Expect the read of a collection."""
    return Expect("GET", f"/mgmt/tm/{path}", {**({"items": list(items)} if items else {}), **more}, headers=WITH_TOKEN)


def status(text: str) -> Expect:
    """Expect the read of the sync status."""
    entries = {"status": {"description": text}}
    return get(
        "cm/sync-status", entries={"https://localhost/mgmt/tm/cm/sync-status/0": {"nestedStats": {"entries": entries}}}
    )


def pool(port: int, *addresses: str, **more: t.Any) -> dict[str, t.Any]:
    """Return a pool whose members are named after their nodes."""
    members = [{"name": f"rras:{port}", "address": address} for address in addresses]
    return {"fullPath": f"/Common/p{port}", "membersReference": {"items": members}, **more}


POOLS = (pool(500, "10.10.0.11", "10.10.0.12"), pool(4500, "10.10.0.11", "10.10.0.12"))


LONE = (pool(500, "10.10.0.11"), pool(4500, "10.10.0.11"))


def guards(
    self_ips: t.Sequence[dict[str, t.Any]] = (FLOATING, OWN),
    devices: t.Sequence[dict[str, t.Any]] = (ACTIVE,),
    pools: t.Sequence[dict[str, t.Any]] = POOLS,
    snats: t.Sequence[dict[str, t.Any]] = (),
    policies: t.Sequence[dict[str, t.Any]] = (),
    more: t.Sequence[Expect] | None = None,
    sync: str = "In Sync",
    changing: bool = False,
    group: str = GROUP,
    units: t.Mapping[str, t.Any] | None = None,
    addresses: bool = True,
    before: t.Sequence[Expect] = (),
    pooled: bool = True,
    pools_there: t.Sequence[Expect] | None = None,
) -> list[Expect]:
    """Expect the reads that a change is judged by; those of a pair of devices only where there is one.

    A change that follows looks at LTM policies when it is made, and a lone device is not asked for its virtual addresses then, nor for
    SNAT pools. ``addresses``: off where these were asked for already. ``pooled``: whether a virtual server has a SNAT pool.
    ``pools_there``: the reads of pools where a snapshot names some.
    """
    if more is None:
        more = [get("ltm/persistence/source-addr", PERSISTENCE)]
    pair = len(devices) > 1
    address = {"address": "203.0.113.10", "trafficGroup": group}
    return [
        *before,
        get("ltm/pool?expandSubcollections=true", *pools),
        get("net/self", *self_ips),
        get("cm/device", *devices),
        *([get("cm/device-group?expandSubcollections=true", dict(units or GROUP_OF_UNITS))] if pair else []),
        *([get("ltm/virtual-address", address)] if addresses and (pair or not changing) else []),
        *([status(sync)] if pair else []),
        get("ltm/snat", *snats),
        *(([] if changing or not pooled else [SNAT_POOLS]) if pools_there is None else pools_there),
        *([] if changing else [get("ltm/policy?expandSubcollections=true", *policies)]),
        *more,
    ]


BROKEN = (virtual("vs500", 500, "automap"), virtual("vs4500", 4500, SNAT))
RIGHT = (virtual("vs500", 500, "none"), virtual("vs4500", 4500, "none"))
OTHERS = (
    virtual("https", 443, "automap", ipProtocol="tcp"),
    virtual("tcp500", 500, "automap", ipProtocol="tcp"),
    virtual("dns", 53, "automap"),
)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Collect the pauses instead of making them."""
    made: list[float] = []
    monkeypatch.setattr("time.sleep", made.append)
    monkeypatch.setattr(_http, "PAUSES", (1, 2, 4))
    return made


def go(order: Order, *, check_mode: bool = False, **options: t.Any) -> Result:
    """Run the engine on a BIG-IP."""
    adapter = BigIp.of(ENDPOINT, {"username": "admin", "password": "secret", **options}, order.snapshot)
    return run(adapter, order, check_mode=check_mode)


def noted(result: Result) -> list[Finding]:
    """Return the findings, except that a rollback needs the SNAT pool of `BROKEN`: tests of their own are about that."""
    return [finding for finding in result.findings if finding.code != "snat_pool_needed"]


@pytest.mark.parametrize("check_mode", [False, True])
def test_unchanged_takes_three_requests(expecting: Expecting, check_mode: bool) -> None:
    expecting([LOGIN, reading(*RIGHT, *OTHERS), LOGOUT])
    result = go(Order(return_path=GOOD), check_mode=check_mode)
    assert not result.changed
    assert result.requests == 3
    assert [service.id for service in result.services] == ["/Common/vs500", "/Common/vs4500"]
    assert result.diff() == {"before": {}, "after": {}}


def test_changed(expecting: Expecting) -> None:
    none = {"type": "none"}
    changes = transaction(patch("vs500", none, IN_TRANSACTION), patch("vs4500", none, IN_TRANSACTION))
    expecting(
        [LOGIN, reading(*BROKEN, *OTHERS), *guards(changing=True), *changes, reread(*RIGHT, *OTHERS), SAVE, LOGOUT]
    )
    result = go(Order(addresses=("203.0.113.10",), return_path=GOOD))
    assert result.changed
    assert [service.value for service in result.before] == ["automap", SNAT]
    assert [(service.value, service.source_preserved) for service in result.services] == [("none", True)] * 2
    assert [server.gateways for service in result.services for server in service.servers] == [("10.10.0.1",)] * 4
    assert result.requests == 14
    assert result.diff() == {
        "before": {"/Common/vs4500": SNAT, "/Common/vs500": "automap"},
        "after": {"/Common/vs4500": "none", "/Common/vs500": "none"},
    }


def test_changed_in_check_mode_reads_only(expecting: Expecting) -> None:
    expecting([LOGIN, reading(*BROKEN), *guards(), LOGOUT])
    result = go(Order(return_path=GOOD), check_mode=True)
    assert result.changed
    assert [(service.value, service.source_preserved) for service in result.services] == [("none", True)] * 2


@pytest.mark.parametrize("check_mode", [False, True])
def test_gathered_looks_at_everything_and_changes_nothing(expecting: Expecting, check_mode: bool) -> None:
    expecting([LOGIN, reading(*BROKEN), *guards(), LOGOUT])
    result = go(Order(state="gathered"), check_mode=check_mode)
    assert not result.changed
    assert noted(result) == []
    assert [service.source_preserved for service in result.services] == [False, False]


def test_one_of_a_pair_needs_no_transaction(expecting: Expecting) -> None:
    before, after = (virtual("vs500", 500, "none"), BROKEN[1]), RIGHT
    expecting(
        [
            LOGIN,
            reading(*before),
            *guards(changing=True),
            patch("vs4500", {"type": "none"}, WITH_TOKEN),
            reread(*after),
            SAVE,
            LOGOUT,
        ]
    )
    assert go(Order(return_path=GOOD)).changed


def test_save_is_left_out_on_request(expecting: Expecting) -> None:
    before = (virtual("vs500", 500, "none"), BROKEN[1])
    expecting(
        [
            LOGIN,
            reading(*before),
            *guards(changing=True),
            patch("vs4500", {"type": "none"}, WITH_TOKEN),
            reread(*RIGHT),
            LOGOUT,
        ]
    )
    assert go(Order(return_path=GOOD), save=False).changed


@pytest.mark.parametrize("check_mode", [False, True])
def test_restored_puts_back_exactly_what_the_snapshot_says(expecting: Expecting, check_mode: bool) -> None:
    snapshot = Snapshot("bigip", HOST, {"/Common/vs500": "automap", "/Common/vs4500": SNAT}, {})
    changes = transaction(patch("vs500", {"type": "automap"}, IN_TRANSACTION), patch("vs4500", SNAT, IN_TRANSACTION))
    writing = [] if check_mode else [*changes, reread(*BROKEN), SAVE]
    expecting([LOGIN, reading(*RIGHT), *guards(changing=not check_mode, pools_there=[SNAT_POOLS]), *writing, LOGOUT])
    result = go(Order(state="restored", snapshot=snapshot), check_mode=check_mode)
    assert result.changed
    assert [service.value for service in result.services] == ["automap", SNAT]
    assert [service.source_preserved for service in result.services] == [False, False]


@pytest.mark.parametrize("check_mode", [False, True])
def test_restored_changes_nothing_when_nothing_differs(expecting: Expecting, check_mode: bool) -> None:
    snapshot = Snapshot("bigip", HOST, {"/Common/vs500": "automap", "/Common/vs4500": SNAT}, {})
    expecting([LOGIN, reading(*BROKEN), LOGOUT])
    assert not go(Order(state="restored", snapshot=snapshot), check_mode=check_mode).changed


LSN = {"type": "lsn", "pool": "/Common/lsn"}
GONE: t.Any = get("ltm/snatpool?$select=fullPath,members", {"fullPath": "/Common/other", "members": []})
ODD: t.Any = get("ltm/snatpool?$select=fullPath,members", {"fullPath": "/Common/sp", "members": 5})


@pytest.mark.parametrize("check_mode", [False, True])
@pytest.mark.parametrize(
    ("value", "there"),
    [
        (SNAT, GONE),
        (LSN, get("ltm/lsn-pool?$select=fullPath,members")),
        ({"type": "snat"}, GONE),
    ],
)
def test_a_snapshot_whose_pool_is_gone_is_refused_before_anything_is_written(
    expecting: Expecting, value: Value, there: Expect, check_mode: bool
) -> None:
    snapshot = Snapshot("bigip", HOST, {"/Common/vs500": "automap", "/Common/vs4500": value}, {})
    expecting([LOGIN, reading(*RIGHT), *guards(changing=not check_mode, pools_there=[there]), LOGOUT])
    with pytest.raises(RunFailed) as caught:
        go(Order(state="restored", snapshot=snapshot, accept=frozenset(FINDING_CODES)), check_mode=check_mode)
    assert caught.value.result.final_state == "unchanged"
    assert caught.value.result.changes == ()
    pool = value.get("pool") if isinstance(value, dict) else None
    for said in (f"BIG-IP {HOST}: nothing was changed", "/Common/vs4500", str(pool), "Create it again", '"automap"'):
        assert said in str(caught.value)


@pytest.mark.parametrize("check_mode", [False, True])
def test_a_pool_that_a_virtual_server_uses_now_is_not_asked_for(expecting: Expecting, check_mode: bool) -> None:
    """In check mode it is, for the addresses from which the device sends."""
    other = virtual("dns", 53, SNAT)
    snapshot = Snapshot("bigip", HOST, {"/Common/vs500": SNAT, "/Common/vs4500": SNAT}, {})
    changes = transaction(patch("vs500", SNAT, IN_TRANSACTION), patch("vs4500", SNAT, IN_TRANSACTION))
    restored = (virtual("vs500", 500, SNAT), virtual("vs4500", 4500, SNAT), other)
    writing = [] if check_mode else [*changes, reread(*restored), SAVE]
    there = [SNAT_POOLS] if check_mode else []
    guarding = guards(changing=not check_mode, pools_there=there)
    expecting([LOGIN, reading(*RIGHT, other), *guarding, *writing, LOGOUT])
    assert go(Order(state="restored", snapshot=snapshot), check_mode=check_mode).changed


@pytest.mark.parametrize("check_mode", [False, True])
@pytest.mark.parametrize(
    "there", [ODD, Expect("GET", SNAT_POOLS.path, {"message": "no"}, 400, headers=WITH_TOKEN)], ids=["odd", "refused"]
)
def test_pools_that_cannot_be_read_do_not_forbid_a_restore(
    expecting: Expecting, there: Expect, check_mode: bool
) -> None:
    snapshot = Snapshot("bigip", HOST, {"/Common/vs500": "automap", "/Common/vs4500": SNAT}, {})
    changes = transaction(patch("vs500", {"type": "automap"}, IN_TRANSACTION), patch("vs4500", SNAT, IN_TRANSACTION))
    writing = [] if check_mode else [*changes, reread(*BROKEN), SAVE]
    expecting([LOGIN, reading(*RIGHT), *guards(changing=not check_mode, pools_there=[there]), *writing, LOGOUT])
    result = go(Order(state="restored", snapshot=snapshot), check_mode=check_mode)
    assert result.changed
    assert "not_read" in [finding.code for finding in result.findings]


@pytest.mark.parametrize("check_mode", [False, True])
def test_a_snapshot_whose_virtual_server_is_gone_is_refused(expecting: Expecting, check_mode: bool) -> None:
    snapshot = Snapshot("bigip", HOST, {"/Common/vs500": "automap", "/Common/renamed": "automap"}, {})
    expecting([LOGIN, reading(*RIGHT), LOGOUT])
    with pytest.raises(RunFailed, match=r"no UDP service called '/Common/renamed'.* create it again") as caught:
        go(Order(state="restored", snapshot=snapshot), check_mode=check_mode)
    assert caught.value.result.final_state == "unchanged"


NEEDED = [("info", "/Common/sp")]


def needed(result: Result) -> list[tuple[str, str]]:
    """Return the pools that a rollback needs."""
    return [(finding.severity, finding.object) for finding in result.findings if finding.code == "snat_pool_needed"]


@pytest.mark.parametrize(("state", "check_mode"), [("gathered", False), ("preserved", True), ("preserved", False)])
def test_a_change_says_that_its_pool_has_to_stay(expecting: Expecting, state: State, check_mode: bool) -> None:
    none = {"type": "none"}
    changing = state == "preserved" and not check_mode
    changes = transaction(patch("vs500", none, IN_TRANSACTION), patch("vs4500", none, IN_TRANSACTION))
    writing = [*changes, reread(*RIGHT), SAVE] if changing else []
    expecting([LOGIN, reading(*BROKEN), *guards(changing=changing), *writing, LOGOUT])
    result = go(Order(state=state, return_path=GOOD), check_mode=check_mode)
    assert needed(result) == NEEDED


@pytest.mark.parametrize("state", ["gathered", "preserved"])
def test_without_a_change_no_pool_is_needed(expecting: Expecting, state: State) -> None:
    """A name that stayed behind is none that a rollback needs."""
    left = (virtual("vs500", 500, {"type": "none", "pool": "/Common/sp"}), RIGHT[1])
    guarding = guards(pooled=True) if state == "gathered" else []
    expecting([LOGIN, reading(*left), *guarding, LOGOUT])
    result = go(Order(state=state, return_path=GOOD))
    assert (result.changed, needed(result)) == (False, [])


def test_a_commit_that_fails_changes_nothing(expecting: Expecting) -> None:
    none = {"type": "none"}
    failed = transaction(
        patch("vs500", none, IN_TRANSACTION),
        patch("vs4500", none, IN_TRANSACTION),
        commit_status=400,
        commit={"code": 400, "message": "transaction failed:01070734:3: Configuration error"},
    )
    expecting([LOGIN, reading(*BROKEN), *guards(changing=True), *failed, reread(*BROKEN), LOGOUT])
    with pytest.raises(RunFailed, match=r"transaction failed.*Everything is as it was before") as caught:
        go(Order(return_path=GOOD))
    assert caught.value.result.undone is True
    assert not caught.value.result.changed


def test_a_lost_answer_to_a_commit_that_took_effect_is_no_failure(expecting: Expecting) -> None:
    none = {"type": "none"}
    lost = transaction(patch("vs500", none, IN_TRANSACTION), patch("vs4500", none, IN_TRANSACTION))
    lost[-1].answer = requests.exceptions.ConnectionError("Connection aborted.")
    lost += [get("transaction/17", state="VALIDATING"), get("transaction/17", state="COMPLETED")]
    expecting([LOGIN, reading(*BROKEN), *guards(changing=True), *lost, reread(*RIGHT), SAVE, LOGOUT])
    assert go(Order(return_path=GOOD)).changed


def test_a_save_that_fails_puts_everything_back(expecting: Expecting) -> None:
    none = {"type": "none"}
    changes = transaction(patch("vs500", none, IN_TRANSACTION), patch("vs4500", none, IN_TRANSACTION))
    back = transaction(patch("vs4500", SNAT, IN_TRANSACTION), patch("vs500", {"type": "automap"}, IN_TRANSACTION))
    refused = Expect(
        "POST", "/mgmt/tm/sys/config", {"code": 400, "message": "disk full"}, 400, body={"command": "save"}
    )
    expecting(
        [
            LOGIN,
            reading(*BROKEN),
            *guards(changing=True),
            *changes,
            reread(*RIGHT),
            refused,
            reread(*RIGHT),
            *back,
            reread(*BROKEN),
            LOGOUT,
        ]
    )
    with pytest.raises(RunFailed, match="disk full") as caught:
        go(Order(return_path=GOOD))
    assert caught.value.result.undone is True


@pytest.mark.parametrize("again", [SAVE, None])
def test_a_save_whose_answer_is_lost_is_repeated_for_what_was_put_back(
    expecting: Expecting, again: Expect | None
) -> None:
    """The device may have saved the change, and a restart would bring that back."""
    slow = Expect("POST", SAVE.path, requests.exceptions.ReadTimeout("slow"), body=SAVE.body)
    back = transaction(patch("vs4500", SNAT, IN_TRANSACTION), patch("vs500", {"type": "automap"}, IN_TRANSACTION))
    undo = [reread(*RIGHT), *back, reread(*BROKEN)]
    expecting(
        [LOGIN, reading(*BROKEN), *guards(changing=True), *TO_NONE, reread(*RIGHT), slow, *undo, again or slow, LOGOUT]
    )
    with pytest.raises(RunFailed, match="no answer within 180 s") as caught:
        go(Order(return_path=GOOD))
    assert caught.value.result.undone is (again is not None)
    assert ("save it by hand" in str(caught.value)) is (again is None)


def test_a_web_page_in_answer_to_a_save_says_nothing_of_what_is_saved(expecting: Expecting) -> None:
    page = Expect("POST", SAVE.path, "<html>Please wait</html>", body=SAVE.body)
    back = transaction(patch("vs4500", SNAT, IN_TRANSACTION), patch("vs500", {"type": "automap"}, IN_TRANSACTION))
    undo = [reread(*RIGHT), *back, reread(*BROKEN)]
    expecting([LOGIN, reading(*BROKEN), *guards(changing=True), *TO_NONE, reread(*RIGHT), page, *undo, SAVE, LOGOUT])
    with pytest.raises(RunFailed, match=r"a web page.*Everything is as it was before"):
        go(Order(return_path=GOOD))


@pytest.mark.parametrize("state", ["FAILED", "STARTED"])
def test_a_commit_without_an_answer_is_asked_for_before_it_is_reported_as_undone(
    expecting: Expecting, state: str
) -> None:
    none = {"type": "none"}
    lost = transaction(patch("vs500", none, IN_TRANSACTION), patch("vs4500", none, IN_TRANSACTION))
    lost[-1].answer = requests.exceptions.ReadTimeout("slow")
    asked = [get("transaction/17", state="VALIDATING"), get("transaction/17", state=state)]
    expecting([LOGIN, reading(*BROKEN), *guards(changing=True), *lost, *asked, *[reread(*BROKEN)] * 2, LOGOUT])
    with pytest.raises(RunFailed, match="Everything is as it was before"):
        go(Order(return_path=GOOD))


def test_a_device_without_ikev2_services_gathers_an_empty_list(expecting: Expecting) -> None:
    expecting([LOGIN, reading(), LOGOUT])
    assert go(Order(state="gathered")).services == ()


def test_a_dropped_read_is_survived_and_counted(expecting: Expecting) -> None:
    dropped = reading()
    dropped.answer = requests.exceptions.ConnectionError("Connection aborted.")
    expecting([LOGIN, dropped, reading(*RIGHT), LOGOUT])
    assert go(Order()).requests == 4


@pytest.mark.parametrize(
    ("status", "answer", "words"),
    [
        (401, {"code": 401, "message": "Authentication failed."}, "refused user 'admin'"),
        (400, {"code": 400, "message": "user x has reached maximum active login tokens"}, "as many open logins"),
        (502, "<html><body>Bad Gateway</body></html>", "a web page"),
        (200, {"token": {}}, "login token"),
    ],
)
def test_a_login_that_fails_says_why_and_shows_no_password(
    expecting: Expecting, status: int, answer: t.Any, words: str
) -> None:
    tries = 4 if status == 502 else 1
    expecting([Expect("POST", "/mgmt/shared/authn/login", answer, status, body=LOGIN.body)] * tries)
    with pytest.raises(RunFailed, match=words) as caught:
        go(Order())
    assert HOST in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_log_out_that_is_not_answered_is_a_finding_without_the_token(expecting: Expecting) -> None:
    lost = Expect("DELETE", LOGOUT.path, requests.exceptions.ConnectionError(f"Connection aborted at {LOGOUT.path}"))
    expecting([LOGIN, reading(*RIGHT), *[lost] * 4])
    finding = go(Order()).findings[0]
    assert finding.code == "session_left_open"
    assert TOKEN not in str(finding.as_dict())


def test_the_standby_unit_is_a_blocker(expecting: Expecting) -> None:
    devices = [{**ACTIVE, "failoverState": "standby"}, {**PARTNER, "failoverState": "active"}]
    expecting([LOGIN, reading(*BROKEN), *guards(changing=True, devices=devices), LOGOUT])
    with pytest.raises(RunFailed, match=r"not_active_unit.*b\.example\.net"):
        go(Order(return_path=GOOD))


def test_without_a_floating_self_ip_a_lone_device_serves_with_its_own(expecting: Expecting) -> None:
    expecting([LOGIN, reading(*BROKEN), *guards(self_ips=[OWN]), LOGOUT])
    result = go(Order(state="gathered"))
    assert result.services[0].servers[0].gateways == ("10.10.0.2",)


def test_a_partition_is_asked_for_and_checked_again(expecting: Expecting) -> None:
    listed = reading(*RIGHT, virtual("other", 500, "automap", partition="Elsewhere", fullPath="/Elsewhere/other"))
    listed.path = f"/mgmt/tm/ltm/virtual?$filter=partition eq 'Common'&$select={VIRTUAL_SERVER}&$top={PAGE}"
    expecting([LOGIN, listed, LOGOUT])
    assert [service.id for service in go(Order(), partition="Common").services] == ["/Common/vs500", "/Common/vs4500"]


def test_the_pair_of_devices_adds_traffic_group_and_sync_status(expecting: Expecting) -> None:
    others = {**FLOATING, "address": "10.10.0.9/24", "trafficGroup": "/Common/traffic-group-2"}
    expecting([LOGIN, reading(*BROKEN), *guards(self_ips=[others, FLOATING, OWN], devices=[ACTIVE, PARTNER]), LOGOUT])
    result = go(Order(state="gathered"))
    assert result.services[0].servers[0].gateways == ("10.10.0.1",)
    assert noted(result) == []


@pytest.mark.parametrize(("pools", "more", "requests"), [(LONE, [], 16), (POOLS, None, 17)])
def test_one_of_a_pair_of_devices_is_asked_for_its_traffic_group_and_its_sync_status_before_a_change(
    expecting: Expecting, pools: t.Any, more: list[Expect] | None, requests: int
) -> None:
    given: dict[str, t.Any] = {"changing": True, "devices": [ACTIVE, PARTNER], "pools": pools, "more": more}
    expecting([LOGIN, reading(*BROKEN), *guards(**given), *TO_NONE, reread(*RIGHT), SAVE, LOGOUT])
    result = go(Order(return_path=GOOD))
    assert result.requests == requests
    assert {server.gateways for service in result.services for server in service.servers} == {("10.10.0.1",)}

    expecting([LOGIN, reading(*BROKEN), *guards(**given, group="/Common/traffic-group-2"), LOGOUT])
    with pytest.raises(RunFailed, match="return_path_wrong"):
        go(Order(return_path=GOOD))


def test_pending_changes_are_reported(expecting: Expecting) -> None:
    expecting([LOGIN, reading(*BROKEN), *guards(devices=[ACTIVE, PARTNER], sync="Changes Pending"), LOGOUT])
    findings = noted(go(Order(state="gathered")))
    assert [(finding.code, finding.severity) for finding in findings] == [("unsynced_changes", "warning")]


def test_pending_changes_are_not_synced_with_ours(expecting: Expecting) -> None:
    expecting(
        [
            LOGIN,
            reading(*BROKEN),
            *guards(changing=True, devices=[ACTIVE, PARTNER], sync="Changes Pending"),
            LOGOUT,
        ]
    )
    with pytest.raises(RunFailed, match="unsynced_changes"):
        go(Order(return_path=GOOD), sync_group="/Common/group")


SYNC = Expect(
    "POST",
    "/mgmt/tm/cm",
    {},
    body={"command": "run", "utilCmdArgs": "config-sync to-group /Common/group"},
    headers=WITH_TOKEN,
)
TO_NONE = transaction(
    *(patch(name, {"type": "none"}, IN_TRANSACTION) for name in ("vs500", "vs4500")),
)


def test_a_change_is_synced_to_exactly_the_group_and_waited_for(expecting: Expecting, pauses: list[float]) -> None:
    reads = [LOGIN, reading(*BROKEN), *guards(changing=True, devices=[ACTIVE, PARTNER])]
    waiting = [*[status("Changes Pending")] * 2, status("In Sync")]
    expecting([*reads, *TO_NONE, reread(*RIGHT), SAVE, SYNC, *waiting, LOGOUT])
    result = go(Order(return_path=GOOD), sync_group="/Common/group")
    assert result.changed
    assert pauses == [2, 2]
    assert result.as_dict()["progress"] == [
        "Sync to /Common/group: Changes Pending after 0 s.",
        "Sync to /Common/group: In Sync after 4 s.",
    ]


def test_unchanged_takes_three_requests_with_a_group_to_sync_to(expecting: Expecting) -> None:
    expecting([LOGIN, reading(*RIGHT), LOGOUT])
    assert go(Order(return_path=GOOD), sync_group="/Common/group").requests == 3


def test_a_sync_that_does_not_arrive_is_said_and_the_change_stands(expecting: Expecting, pauses: list[float]) -> None:
    reads = [LOGIN, reading(*BROKEN), *guards(changing=True, devices=[ACTIVE, PARTNER])]
    expecting([*reads, *TO_NONE, reread(*RIGHT), SAVE, SYNC, *[status("Disconnected")] * 60, LOGOUT])
    with pytest.raises(RunFailed, match=r"'Disconnected'.*The change itself is in effect and saved") as caught:
        go(Order(return_path=GOOD), sync_group="/Common/group")
    assert caught.value.result.undone is False
    assert caught.value.result.changed
    assert len(pauses) == 60
    assert caught.value.result.progress == ("Sync to /Common/group: Disconnected after 0 s.",)
    assert [service.value for service in caught.value.result.services] == ["none", "none"]


def test_a_group_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'sync_group'"):
        BigIp(ENDPOINT, username="admin", password="secret", sync_group="group; reboot")


def clearing(port: int, answer_status: int = 200) -> Expect:
    """Expect the connections of one service to be cleared, never unfiltered."""
    path = f"/mgmt/tm/sys/connection?options=cs-server-addr+203.0.113.10+cs-server-port+{port}+protocol+udp"
    return Expect("DELETE", path, {"code": answer_status, "message": "No."}, answer_status, headers=WITH_TOKEN)


def test_connections_of_the_changed_services_alone_are_cleared_on_request(expecting: Expecting) -> None:
    before = (virtual("vs500", 500, "none"), BROKEN[1])
    writing = [patch("vs4500", {"type": "none"}, WITH_TOKEN), reread(*RIGHT), SAVE]
    expecting([LOGIN, reading(*before), *guards(changing=True), *writing, clearing(4500), LOGOUT])
    findings = noted(go(Order(return_path=GOOD), clear_connections=True))
    assert [finding.code for finding in findings] == ["pair_inconsistent"]


def test_connections_that_cannot_be_cleared_are_reported_and_the_change_stands(expecting: Expecting) -> None:
    expecting(
        [LOGIN, reading(*BROKEN), *guards(changing=True), *TO_NONE, reread(*RIGHT), SAVE, clearing(500, 400), LOGOUT]
    )
    result = go(Order(return_path=GOOD), clear_connections=True)
    assert result.changed
    assert [(finding.code, finding.severity) for finding in noted(result)] == [("existing_flows", "info")]
    assert "could not be cleared" in noted(result)[0].message


def test_existing_flows_are_reported_when_they_are_left_alone(expecting: Expecting) -> None:
    expecting([LOGIN, reading(*BROKEN), *guards(changing=True), *TO_NONE, reread(*RIGHT), SAVE, LOGOUT])
    assert [finding.code for finding in noted(go(Order(return_path=GOOD)))] == ["existing_flows"]


LEFT_OVER = virtual("vs4500", 4500, {"type": "none", "pool": "/Common/sp"})


def test_a_pool_that_stays_behind_is_taken_off_by_a_second_change(expecting: Expecting) -> None:
    again = [patch("vs4500", {"type": "none", "pool": "none"}, WITH_TOKEN), reread(*RIGHT), SAVE]
    expecting([LOGIN, reading(*BROKEN), *guards(changing=True), *TO_NONE, reread(RIGHT[0], LEFT_OVER), *again, LOGOUT])
    assert [service.value for service in go(Order(return_path=GOOD)).services] == ["none", "none"]


def test_a_pool_that_cannot_be_taken_off_is_a_failure_and_put_back(expecting: Expecting) -> None:
    stays = [patch("vs4500", {"type": "none", "pool": "none"}, WITH_TOKEN), reread(RIGHT[0], LEFT_OVER)]
    back = transaction(patch("vs4500", SNAT, IN_TRANSACTION), patch("vs500", {"type": "automap"}, IN_TRANSACTION))
    undo = [reread(RIGHT[0], LEFT_OVER), *back, reread(*BROKEN)]
    expecting(
        [LOGIN, reading(*BROKEN), *guards(changing=True), *TO_NONE, reread(RIGHT[0], LEFT_OVER), *stays, *undo, LOGOUT]
    )
    with pytest.raises(RunFailed, match="without an error, but snat of /Common/vs4500 is") as caught:
        go(Order(return_path=GOOD))
    assert caught.value.result.undone is True


def test_a_device_that_refuses_for_the_pools_sake_is_reported_to_drop_it(expecting: Expecting) -> None:
    message = "transaction failed:01070320:3: Snatpool /Common/sp is still referenced by a virtual server"
    refused = transaction(
        *(patch(name, {"type": "none"}, IN_TRANSACTION) for name in ("vs500", "vs4500")),
        commit_status=400,
        commit={"code": 400, "message": message},
    )
    again = transaction(
        patch("vs500", {"type": "none"}, IN_TRANSACTION),
        patch("vs4500", {"type": "none", "pool": "none"}, IN_TRANSACTION),
    )
    expecting([LOGIN, reading(*BROKEN), *guards(changing=True), *refused, *again, reread(*RIGHT), SAVE, LOGOUT])
    assert go(Order(return_path=GOOD)).changed


def test_a_pool_left_over_from_before_hides_nobody(expecting: Expecting) -> None:
    expecting([LOGIN, reading(RIGHT[0], LEFT_OVER), LOGOUT])
    assert not go(Order(return_path=GOOD)).changed


def test_pages_are_read_to_the_end(expecting: Expecting) -> None:
    first = reading(BROKEN[0], *OTHERS)
    link = f"https://localhost/mgmt/tm/ltm/virtual?$select={VIRTUAL_SERVER}&$top={PAGE}&$skip={PAGE}"
    first.answer["nextLink"] = link
    second = Expect("GET", link.removeprefix("https://localhost"), {"items": [BROKEN[1]]}, headers=WITH_TOKEN)
    expecting([LOGIN, first, second, *guards(), LOGOUT])
    assert len(go(Order(state="gathered")).services) == 2


def test_thousands_of_virtual_servers_take_two_pages_more_at_most_and_a_pair_is_read_again_by_name(
    expecting: Expecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"reader.PAGE": 1, "adapter.FEW": 3}.items():
        monkeypatch.setattr(f"ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.{name}", value)
    listing = f"/mgmt/tm/ltm/virtual?$select={VIRTUAL_SERVER}&$top="

    def page(query: str, *items: dict[str, t.Any], following: str = "") -> Expect:
        more = {"nextLink": f"https://localhost{listing}{following}"} if following else {}
        return Expect("GET", f"{listing}{query}", {"items": list(items), "totalItems": 4, **more}, headers=WITH_TOKEN)

    def pages(*items: dict[str, t.Any]) -> list[Expect]:
        return [
            page("1", items[0], following="1&$skip=1"),
            page("2&$skip=1", *OTHERS[:2], following="2&$skip=3"),
            page("2&$skip=3", items[1]),
        ]

    # In the order of the services: by address, then port.
    again = [single(RIGHT[0]), single(RIGHT[1])]
    expecting([LOGIN, *pages(*BROKEN), *guards(changing=True), *TO_NONE, *again, SAVE, LOGOUT])
    assert go(Order(return_path=GOOD)).requests == 17

    # More services than that are looked up in the listing, and what is attached to them is asked for afterwards.
    monkeypatch.setattr("ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.adapter.SINGLES", 1)
    policies = get("ltm/policy?expandSubcollections=true")
    expecting([LOGIN, *pages(*BROKEN), *guards(changing=True), *TO_NONE, *pages(*RIGHT), SAVE, policies, LOGOUT])
    assert go(Order(return_path=GOOD)).requests == 19


def test_what_is_in_another_place_of_the_listing_meanwhile_is_found(expecting: Expecting) -> None:
    moved = reread(OTHERS[0], *RIGHT)  # one more virtual server is before them
    expecting([LOGIN, reading(*BROKEN), *guards(changing=True), *TO_NONE, moved, SAVE, LOGOUT])
    assert [service.value for service in go(Order(return_path=GOOD)).services] == ["none", "none"]


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        (400, {"code": 400, "message": "Query parameters are not supported together."}),
        (200, {"items": [{"fullPath": [1]}]}),
        (200, {"items": [{**RIGHT[0], "destination": 5}, RIGHT[1]]}),
        (200, {"items": "none"}),
    ],
)
def test_a_device_that_does_not_give_the_pair_alone_is_read_as_a_whole(
    expecting: Expecting, code: int, answer: dict[str, t.Any]
) -> None:
    odd = reread(*RIGHT)
    odd.answer, odd.status = answer, code
    policies = get("ltm/policy?expandSubcollections=true")
    writing = [*TO_NONE, odd, reading(*RIGHT), SAVE, policies]
    expecting([LOGIN, reading(*BROKEN), *guards(changing=True), *writing, LOGOUT])
    assert go(Order(return_path=GOOD)).changed


def test_what_somebody_deletes_meanwhile_is_reported_and_the_other_is_put_back(expecting: Expecting) -> None:
    gone = [reread(RIGHT[0]), reading(RIGHT[0])] * 2
    back = [patch("vs500", {"type": "automap"}, WITH_TOKEN), reread(BROKEN[0]), reading(BROKEN[0])]
    expecting([LOGIN, reading(*BROKEN), *guards(changing=True), *TO_NONE, *gone, *back, LOGOUT])
    with pytest.raises(RunFailed, match="The rollback failed too: snat of /Common/vs4500 is None and was") as caught:
        go(Order(return_path=GOOD))
    assert caught.value.result.undone is False


EXPIRED = {"code": 401, "message": "X-F5-Auth-Token has expired."}


def test_an_expired_token_is_renewed_once_and_the_request_repeated(expecting: Expecting) -> None:
    gone = reading(*RIGHT)
    gone.answer, gone.status = EXPIRED, 401
    expecting([LOGIN, gone, LOGIN, LOGOUT, reading(*RIGHT), LOGOUT])
    assert not go(Order()).changed


def test_a_token_that_expires_twice_is_an_error_in_words(expecting: Expecting) -> None:
    gone = reading(*RIGHT)
    gone.answer, gone.status = "<html>F5 Authorization Required</html>", 401
    expecting([LOGIN, gone, LOGIN, LOGOUT, gone, LOGOUT])
    with pytest.raises(RunFailed, match=r"does not let user 'admin' do this \(GET /mgmt/tm/ltm/virtual\)"):
        go(Order())


@pytest.mark.parametrize(
    "answer",
    [
        {"code": 503, "message": "There is an active asynchronous task executing.", "apiError": 32964609},
        "<html><body>Configuration Utility restarting...</body></html>",
    ],
)
def test_a_busy_device_takes_time(expecting: Expecting, pauses: list[float], answer: t.Any) -> None:
    busy = reading(*RIGHT)
    busy.answer, busy.status = answer, 503
    login = Expect("POST", LOGIN.path, answer, 503, body=LOGIN.body)
    expecting([login, LOGIN, busy, busy, reading(*RIGHT), LOGOUT])
    result = go(Order())
    assert result.requests == 6
    assert pauses == [1, 1, 2]
    assert result.progress == (
        "Busy at POST /mgmt/shared/authn/login: asked again after 1 s.",
        "Busy at GET /mgmt/tm/ltm/virtual: asked again after 1 s.",
        "Busy at GET /mgmt/tm/ltm/virtual: asked again after 2 s.",
    )


@pytest.mark.parametrize("answer", [{"code": 503, "message": "Something else."}, "<html>Service Unavailable</html>"])
def test_what_else_comes_with_503_is_repeated_for_a_read_alone(
    expecting: Expecting, pauses: list[float], answer: t.Any
) -> None:
    other = reading(*RIGHT)
    other.answer, other.status = answer, 503
    expecting([LOGIN, *[other] * 4, LOGOUT])
    with pytest.raises(RunFailed, match=f"BIG-IP {HOST}"):
        go(Order())
    assert pauses == [1, 2, 4]
    pauses.clear()
    # A write may have been carried out: the device is read before it is sent again.
    patched = patch("vs4500", {"type": "none"}, WITH_TOKEN)
    refused = replace(patched, answer=answer, status=503)
    half = (RIGHT[0], BROKEN[1])
    expecting(
        [LOGIN, reading(*half), *guards(changing=True), refused, reread(*half), patched, reread(*RIGHT), SAVE, LOGOUT]
    )
    assert go(Order(return_path=GOOD)).changed
    assert pauses == [1]


def test_a_device_that_stays_busy_is_given_up(expecting: Expecting, pauses: list[float]) -> None:
    answer = {"code": 503, "message": "There is an active asynchronous task executing."}
    expecting([Expect("POST", LOGIN.path, answer, 503, body=LOGIN.body)] * 4)
    with pytest.raises(RunFailed, match="refused logging in: There is an active asynchronous task"):
        go(Order())
    assert pauses == [1, 2, 4]


def test_a_short_lived_token_is_lengthened(expecting: Expecting) -> None:
    short = Expect("POST", LOGIN.path, {"token": {"token": TOKEN, "timeout": 60}}, body=LOGIN.body)
    longer = Expect("PATCH", f"/mgmt/shared/authz/tokens/{TOKEN}", {}, body={"timeout": 300}, headers=WITH_TOKEN)
    expecting([short, longer, reading(*RIGHT), LOGOUT])
    assert not go(Order()).changed


def test_a_user_who_may_not_lengthen_a_token_goes_on_with_it(expecting: Expecting) -> None:
    short = Expect("POST", LOGIN.path, {"token": {"token": TOKEN, "timeout": 60}}, body=LOGIN.body)
    refusal = {"code": 401, "message": "Authorization failed: user=https://localhost/mgmt/shared/authz/users/a"}
    longer = Expect("PATCH", f"/mgmt/shared/authz/tokens/{TOKEN}", refusal, 401, body={"timeout": 300})
    expecting([short, longer, reading(*RIGHT), LOGOUT])
    assert not go(Order()).changed


def test_a_log_out_waits_for_a_busy_device_and_shows_no_token(expecting: Expecting) -> None:
    busy = Expect(
        "DELETE", LOGOUT.path, {"code": 503, "message": "There is an active asynchronous task executing."}, 503
    )
    expecting([LOGIN, reading(*RIGHT), busy, LOGOUT])
    assert go(Order()).findings == []
    refused = Expect("DELETE", LOGOUT.path, {"code": 500, "message": f"failed: uri:http://localhost{LOGOUT.path}"}, 500)
    expecting([LOGIN, reading(*RIGHT), *[refused] * 4])
    (finding,) = go(Order()).findings
    assert finding.code == "session_left_open"
    assert TOKEN not in str(finding.as_dict())


def test_a_token_that_cannot_be_renewed_is_ended(expecting: Expecting) -> None:
    gone = reading(*RIGHT)
    gone.answer, gone.status = EXPIRED, 401
    full = Expect("POST", LOGIN.path, {"code": 400, "message": "user x has reached maximum active login tokens"}, 400)
    full.body = LOGIN.body
    expecting([LOGIN, gone, full, LOGOUT])
    with pytest.raises(RunFailed, match="as many open logins"):
        go(Order())


def test_without_a_login_service_local_users_are_asked_by_basic_authentication(expecting: Expecting) -> None:
    absent = Expect(
        "POST", LOGIN.path, {"code": 404, "message": "Public URI path not registered"}, 404, body=LOGIN.body
    )
    basic = reading(*RIGHT)
    basic.headers = {"Authorization": "Basic YWRtaW46c2VjcmV0"}
    expecting([absent, basic])
    assert not go(Order()).changed


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        (401, {"code": 401, "message": "Authorization failed: user=https://localhost/mgmt/shared/authz/users/a"}),
        (403, {"code": 403, "message": "Forbidden"}),
        (400, {"code": 400, "message": "01070822:3: Access Denied: User (a) may not modify"}),
    ],
)
def test_a_role_that_may_not_write_is_reported_so(expecting: Expecting, code: int, answer: t.Any) -> None:
    before = (virtual("vs500", 500, "none"), BROKEN[1])
    refused = patch("vs4500", {"type": "none"}, WITH_TOKEN, status=code)
    refused.answer = answer
    expecting([LOGIN, reading(*before), *guards(changing=True), refused, reread(*before), LOGOUT])
    with pytest.raises(RunFailed, match=r"does not let user 'admin' do this.*Changes need the role Manager") as caught:
        go(Order(return_path=GOOD))
    assert caught.value.result.undone is True


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


def test_a_disabled_virtual_server_is_changed_stays_disabled_and_is_reported(expecting: Expecting) -> None:
    before = (virtual("vs500", 500, "none"), virtual("vs4500", 4500, "automap", disabled=True))
    after = (before[0], virtual("vs4500", 4500, "none", disabled=True))
    writing = [patch("vs4500", {"type": "none"}, WITH_TOKEN), reread(*after), SAVE]
    expecting([LOGIN, reading(*before), *guards(changing=True), *writing, LOGOUT])
    result = go(Order(return_path=GOOD))
    assert [finding.code for finding in result.findings] == [
        "pair_inconsistent",
        "disabled_service",
        "existing_flows",
    ]
    assert [service.enabled for service in result.services] == [True, False]


def test_a_server_in_another_route_domain_is_not_near(expecting: Expecting) -> None:
    elsewhere = [pool(500, "10.10.0.11%2"), pool(4500, "10.10.0.11%2")]
    expecting([LOGIN, reading(*BROKEN), *guards(pools=elsewhere, more=[]), LOGOUT])
    assert go(Order(state="gathered")).services[0].servers[0].gateways == ()


def test_a_server_that_is_on_no_connected_subnet_stops_a_change(expecting: Expecting) -> None:
    far = [pool(500, "192.0.2.11"), pool(4500, "192.0.2.11")]
    expecting([LOGIN, reading(*BROKEN), *guards(changing=True, pools=far, more=[]), LOGOUT])
    with pytest.raises(RunFailed, match=r"return_path_wrong at 192\.0\.2\.11.*and it has none there"):
        go(Order(return_path={"192.0.2.11": "10.10.0.1"}))


def test_any_port_is_selected_only_when_its_address_is_named(expecting: Expecting) -> None:
    anything = virtual("any", 0, "automap", destination="/Common/203.0.113.10:any", pool="/Common/p500")
    expecting([LOGIN, reading(anything), LOGOUT, LOGIN, reading(anything), *guards(more=[], pooled=False), LOGOUT])
    assert go(Order()).services == ()
    assert go(Order(addresses=("203.0.113.10",), return_path=GOOD), check_mode=True).changed


@pytest.mark.parametrize(
    "broken",
    [
        {"destination": "nonsense"},
        {"destination": None},
        {"fullPath": None, "destination": 5},
        {"sourceAddressTranslation": {}},
        {"sourceAddressTranslation": "automap"},
        {"persist": "ike"},
        {"persist": [{"name": "ike"}]},
        {"rules": 5},
    ],
)
def test_a_virtual_server_that_is_not_understood_is_a_clear_error_where_it_is_asked_for(
    expecting: Expecting, broken: dict[str, t.Any]
) -> None:
    listed = [reading(virtual("vs500", 500, "automap", **broken)), LOGOUT]
    expecting([LOGIN, *listed])
    with pytest.raises(RunFailed, match=f"BIG-IP {HOST} described /Common/vs500 in a way that is not understood"):
        go(Order(services=("vs500",)))
    expecting([LOGIN, *listed])
    assert [(finding.code, finding.object) for finding in go(Order()).findings] == [("not_read", "/Common/vs500")]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("ltm/virtual", '{"items": [], "totalItems": 1e999}'),
        ("ltm/virtual", '{"items": [{"name": "\\ud800"}]}'),
        ("cm/device", '{"items": ["x"]}'),
        ("cm/device", '{"items": [null]}'),
    ],
)
def test_nonsense_is_an_error_in_words(expecting: Expecting, path: str, text: str) -> None:
    reads = [LOGIN, reading(*BROKEN), *guards(changing=True)]
    (place,) = [place for place, one in enumerate(reads) if one.path.partition("?")[0] == f"/mgmt/tm/{path}"]
    reads[place].answer = text
    expecting([*reads[: place + 1], LOGOUT])
    with pytest.raises(RunFailed, match=f"BIG-IP {HOST}"):
        go(Order(return_path=GOOD))


def test_a_listing_that_leads_back_to_itself_ends(expecting: Expecting) -> None:
    round_and_round = reading(*RIGHT)
    round_and_round.answer["nextLink"] = f"https://localhost{round_and_round.path}"
    expecting([LOGIN, round_and_round, LOGOUT])
    assert not go(Order()).changed


def test_what_it_is_not_known_yet_does_no_harm(expecting: Expecting) -> None:
    expecting([LOGIN, reading(*(dict(server, invented={"a": [1]}) for server in RIGHT)), LOGOUT])
    assert not go(Order()).changed


PATHS = st.lists(st.text("abAB09 %-_.+&?#äß", min_size=1, max_size=6), min_size=2, max_size=4).map(
    lambda parts: "/" + "/".join(parts)
)


@given(st.lists(PATHS, min_size=2, max_size=5, unique=True), st.integers(0, 3))
def test_whatever_a_virtual_server_is_called_it_alone_is_changed(paths: list[str], which: int) -> None:
    """By full path, and by the bare name where no other has it; the other of the pair stands as it should."""
    named = paths[which % len(paths)]
    items = [
        virtual(path.rpartition("/")[2], 500, "none") | {"fullPath": path, "partition": path.split("/")[1]}
        for path in paths
    ]
    items[paths.index(named)]["sourceAddressTranslation"] = {"type": "automap"}
    changed = []

    def answer(_http: Http, method: str, path: str, *, body: t.Any = None, **_how: t.Any) -> Answer:
        given_back: dict[str, t.Any] = {"token": {"token": TOKEN, "timeout": 1200}}
        if path.startswith("/mgmt/tm/ltm/virtual?"):
            given_back = {"items": items}
        if method == "PATCH":
            changed.append(unquote(path.removeprefix("/mgmt/tm/ltm/virtual/")).replace("~", "/"))
            assert not set(path) & set(" ?#&ä")
            items[paths.index(changed[-1])] |= body
        return Answer(200, json.dumps(given_back), "BIG-IP")

    bare = named.rpartition("/")[2]
    alone = [path.rpartition("/")[2] for path in paths].count(bare) == 1
    accept = frozenset({"return_path_unverified", "not_active_unit", "pair_incomplete", "managed_elsewhere"})
    with patched.object(Http, "send", answer):
        for name in (named, *([bare] if alone and bare not in paths else [])):
            items[paths.index(named)]["sourceAddressTranslation"] = {"type": "automap"}
            assert go(Order(services=(name,), accept=accept)).changed
            assert changed.pop() == named
    assert changed == []


@pytest.mark.parametrize(
    ("destination", "expected"),
    [
        ("/Common/1.1.1.1:500", ("1.1.1.1", 500)),
        ("/Common/1.1.1.1%2:4500", ("1.1.1.1%2", 4500)),
        ("/Common/1.1.1.1%0:isakmp", ("1.1.1.1", 500)),
        ("/Common/1.1.1.1:ipsec-nat-t", ("1.1.1.1", 4500)),
        ("/Common/2001:db8::6.500", ("2001:db8::6", 500)),
        ("/Common/2001:db8::6%2.any", ("2001:db8::6%2", 0)),
        ("/Common/any6.500", ("::", 500)),
        ("/Common/any:500", ("0.0.0.0", 500)),
        ("/Tenant/App/198.51.100.1:500", ("198.51.100.1", 500)),
    ],
)
def test_destinations(destination: str, expected: tuple[str, int]) -> None:
    assert parse_destination(destination) == expected


@pytest.mark.parametrize(
    "destination", ["", "/Common/", "/Common/1.1.1.1", "/Common/1.1.1.1:nothing", "/Common/name:500"]
)
def test_what_is_no_destination_is_a_value_error(destination: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_destination(destination)


@given(
    st.ip_addresses(),
    st.integers(1, 65534),
    st.integers(0, 65535),
    st.lists(st.text("abcXYZ 09-_.", min_size=1), min_size=1, max_size=3),
)
def test_every_destination_that_can_be_written_is_read_back(
    address: t.Any, domain: int, port: int, folders: list[str]
) -> None:
    separator = "." if address.version == 6 else ":"
    found, found_port = parse_destination(f"/{'/'.join(folders)}/{address}%{domain}{separator}{port}")
    host, _percent, found_domain = found.partition("%")
    assert (found_domain, found_port) == (str(domain), port)
    # The standard library writes all but IPv4-mapped addresses in the same canonical form.
    if address.version == 4 or address.ipv4_mapped is None:
        assert host == address.compressed
