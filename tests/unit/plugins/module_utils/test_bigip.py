# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""BIG-IP: the exact requests of each way through."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest
import requests

from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.adapter import BigIp
from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.objects import VIRTUAL_SERVER
from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.reader import PAGE
from ansible_collections.aovpn.ikev2.plugins.module_utils._engine import Result, RunFailed
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import (
    FINDING_CODES,
    InvalidInput,
    Order,
    Snapshot,
    State,
    Value,
)
from bigip_expectations import (
    ACTIVE,
    BROKEN,
    EXPIRED,
    FLOATING,
    GOOD,
    IN_TRANSACTION,
    LOGIN,
    LOGOUT,
    LONE,
    OTHERS,
    OWN,
    PARTNER,
    POOLS,
    RIGHT,
    SAVE,
    SNAT,
    SNAT_POOLS,
    TO_NONE,
    TOKEN,
    WITH_TOKEN,
    get,
    go,
    guards,
    noted,
    patch,
    pool,
    reading,
    reread,
    single,
    status,
    transaction,
    virtual,
)
from expectations import ENDPOINT, HOST, Expect, Expecting

pytestmark = pytest.mark.usefixtures("pauses")


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
