# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""BIG-IP: the exact requests of each way through, and the parsers."""

from __future__ import annotations

import typing as t

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip import VIRTUAL_SERVER, BigIp, parse_destination
from ansible_collections.aovpn.ikev2.plugins.module_utils._engine import Result, RunFailed, run
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Order, Snapshot
from expectations import ENDPOINT, HOST, Expect, Expecting

TOKEN = "AAAABBBBCCCCDDDD"
WITH_TOKEN = {"X-F5-Auth-Token": TOKEN}
IN_TRANSACTION = {**WITH_TOKEN, "X-F5-REST-Coordination-Id": "17"}
SNAT = {"type": "snat", "pool": "/Common/sp"}
GOOD = {"10.10.0.11": "10.10.0.1"}

LOGIN = Expect(
    "POST",
    "/mgmt/shared/authn/login",
    {"token": {"token": TOKEN, "timeout": 1200}},
    body={"username": "admin", "password": "secret", "loginProviderName": "tmos"},
)
LOGOUT = Expect("DELETE", f"/mgmt/shared/authz/tokens/{TOKEN}", {"token": TOKEN}, headers=WITH_TOKEN)
SAVE = Expect("POST", "/mgmt/tm/sys/config", {"command": "save"}, body={"command": "save"}, headers=WITH_TOKEN)


def virtual(name: str, port: int, translation: t.Any, **more: t.Any) -> dict[str, t.Any]:
    """Give a virtual server as the device shows it."""
    return {
        "name": name,
        "partition": "Common",
        "fullPath": f"/Common/{name}",
        "destination": f"/Common/203.0.113.10:{port}",
        "ipProtocol": "udp",
        "pool": f"/Common/p{port}",
        "sourceAddressTranslation": translation if isinstance(translation, dict) else {"type": translation},
        **more,
    }


def reading(*items: dict[str, t.Any]) -> Expect:
    """Expect the one read of all virtual servers."""
    body = {"kind": "tm:ltm:virtual:virtualcollectionstate", **({"items": list(items)} if items else {})}
    return Expect("GET", f"/mgmt/tm/ltm/virtual?$select={VIRTUAL_SERVER}", body, headers=WITH_TOKEN)


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


def member(address: str, port: int) -> dict[str, t.Any]:
    """Give a pool member named after its node."""
    return {"name": f"rras:{port}", "address": address}


def guards(self_ips: t.Any = None, devices: t.Any = None) -> list[Expect]:
    """Expect the reads that a change is judged by."""
    pools = [
        {"fullPath": f"/Common/p{port}", "membersReference": {"items": [member("10.10.0.11", port)]}}
        for port in (500, 4500)
    ]
    floating = {"address": "10.10.0.1/24", "floating": "enabled", "trafficGroup": "/Common/traffic-group-1"}
    own = {"address": "10.10.0.2/24", "floating": "disabled", "trafficGroup": "/Common/traffic-group-local-only"}
    addresses = [{"address": "203.0.113.10", "trafficGroup": "/Common/traffic-group-1"}]
    device = {"name": "a.example.net", "selfDevice": "true", "failoverState": "active"}
    return [
        Expect("GET", path, {"items": items}, headers=WITH_TOKEN)
        for path, items in (
            ("/mgmt/tm/ltm/pool?expandSubcollections=true", pools),
            ("/mgmt/tm/net/self", self_ips if self_ips is not None else [floating, own]),
            ("/mgmt/tm/ltm/virtual-address", addresses),
            ("/mgmt/tm/cm/device", devices or [device]),
        )
    ]


BROKEN = (virtual("vs500", 500, "automap"), virtual("vs4500", 4500, SNAT))
RIGHT = (virtual("vs500", 500, "none"), virtual("vs4500", 4500, "none"))
OTHERS = (virtual("https", 443, "automap", ipProtocol="tcp"), virtual("dns", 53, "automap"))


def go(order: Order, *, check_mode: bool = False, **options: t.Any) -> Result:
    """Run the engine on a BIG-IP."""
    return run(BigIp(ENDPOINT, username="admin", password="secret", **options), order, check_mode=check_mode)


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
    expecting([LOGIN, reading(*BROKEN, *OTHERS), *guards(), *changes, reading(*RIGHT, *OTHERS), SAVE, LOGOUT])
    result = go(Order(addresses=("203.0.113.10",), return_path=GOOD))
    assert result.changed
    assert [service.value for service in result.before] == ["automap", SNAT]
    assert [(service.value, service.source_preserved) for service in result.services] == [("none", True)] * 2
    assert [server.gateways for service in result.services for server in service.servers] == [("10.10.0.1",)] * 2
    assert result.requests == 13
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
    assert result.findings == []
    assert [service.source_preserved for service in result.services] == [False, False]


def test_one_of_a_pair_needs_no_transaction(expecting: Expecting) -> None:
    before, after = (virtual("vs500", 500, "none"), BROKEN[1]), RIGHT
    expecting(
        [
            LOGIN,
            reading(*before),
            *guards(),
            patch("vs4500", {"type": "none"}, WITH_TOKEN),
            reading(*after),
            SAVE,
            LOGOUT,
        ]
    )
    assert go(Order(return_path=GOOD)).changed


def test_save_is_left_out_on_request(expecting: Expecting) -> None:
    before = (virtual("vs500", 500, "none"), BROKEN[1])
    expecting(
        [LOGIN, reading(*before), *guards(), patch("vs4500", {"type": "none"}, WITH_TOKEN), reading(*RIGHT), LOGOUT]
    )
    assert go(Order(return_path=GOOD), save=False).changed


@pytest.mark.parametrize("check_mode", [False, True])
def test_restored_puts_back_exactly_what_the_snapshot_says(expecting: Expecting, check_mode: bool) -> None:
    snapshot = Snapshot("bigip", HOST, {"/Common/vs500": "automap", "/Common/vs4500": SNAT}, {})
    changes = transaction(patch("vs500", {"type": "automap"}, IN_TRANSACTION), patch("vs4500", SNAT, IN_TRANSACTION))
    writing = [] if check_mode else [*changes, reading(*BROKEN), SAVE]
    expecting([LOGIN, reading(*RIGHT), *guards(), *writing, LOGOUT])
    result = go(Order(state="restored", snapshot=snapshot), check_mode=check_mode)
    assert result.changed
    assert [service.value for service in result.services] == ["automap", SNAT]
    assert [service.source_preserved for service in result.services] == [False, False]


@pytest.mark.parametrize("check_mode", [False, True])
def test_restored_changes_nothing_when_nothing_differs(expecting: Expecting, check_mode: bool) -> None:
    snapshot = Snapshot("bigip", HOST, {"/Common/vs500": "automap", "/Common/vs4500": SNAT}, {})
    expecting([LOGIN, reading(*BROKEN), LOGOUT])
    assert not go(Order(state="restored", snapshot=snapshot), check_mode=check_mode).changed


def test_a_commit_that_fails_changes_nothing(expecting: Expecting) -> None:
    none = {"type": "none"}
    failed = transaction(
        patch("vs500", none, IN_TRANSACTION),
        patch("vs4500", none, IN_TRANSACTION),
        commit_status=400,
        commit={"code": 400, "message": "transaction failed:01070734:3: Configuration error"},
    )
    expecting([LOGIN, reading(*BROKEN), *guards(), *failed, reading(*BROKEN), LOGOUT])
    with pytest.raises(RunFailed, match=r"transaction failed.*Everything is as it was before") as caught:
        go(Order(return_path=GOOD))
    assert caught.value.result.undone is True
    assert not caught.value.result.changed


def test_a_lost_answer_to_a_commit_that_took_effect_is_no_failure(expecting: Expecting) -> None:
    none = {"type": "none"}
    lost = transaction(patch("vs500", none, IN_TRANSACTION), patch("vs4500", none, IN_TRANSACTION))
    lost[-1].answer = requests.exceptions.ConnectionError("Connection aborted.")
    expecting([LOGIN, reading(*BROKEN), *guards(), *lost, reading(*RIGHT), SAVE, LOGOUT])
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
            *guards(),
            *changes,
            reading(*RIGHT),
            refused,
            reading(*RIGHT),
            *back,
            reading(*BROKEN),
            LOGOUT,
        ]
    )
    with pytest.raises(RunFailed, match="disk full") as caught:
        go(Order(return_path=GOOD))
    assert caught.value.result.undone is True


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
        (503, "<html><body>Configuration Utility restarting...</body></html>", "a web page"),
        (200, {"token": {}}, "login token"),
    ],
)
def test_a_login_that_fails_says_why_and_shows_no_password(
    expecting: Expecting, status: int, answer: t.Any, words: str
) -> None:
    expecting([Expect("POST", "/mgmt/shared/authn/login", answer, status, body=LOGIN.body)])
    with pytest.raises(RunFailed, match=words) as caught:
        go(Order())
    assert HOST in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_log_out_that_is_not_answered_is_a_finding_without_the_token(expecting: Expecting) -> None:
    lost = Expect("DELETE", LOGOUT.path, requests.exceptions.ConnectionError(f"Connection aborted at {LOGOUT.path}"))
    expecting([LOGIN, reading(*RIGHT), lost])
    finding = go(Order()).findings[0]
    assert finding.code == "session_left_open"
    assert TOKEN not in str(finding.as_dict())


def test_the_standby_unit_is_a_blocker(expecting: Expecting) -> None:
    devices = [
        {"name": "a.example.net", "selfDevice": "true", "failoverState": "standby"},
        {"name": "b.example.net", "selfDevice": "false", "failoverState": "active"},
    ]
    expecting([LOGIN, reading(*BROKEN), *guards(devices=devices), LOGOUT])
    with pytest.raises(RunFailed, match=r"not_active_unit.*b\.example\.net"):
        go(Order(return_path=GOOD))


def test_without_a_floating_self_ip_a_lone_device_serves_with_its_own(expecting: Expecting) -> None:
    own = {"address": "10.10.0.2/24", "floating": "disabled", "trafficGroup": "/Common/traffic-group-local-only"}
    expecting([LOGIN, reading(*BROKEN), *guards(self_ips=[own]), LOGOUT])
    result = go(Order(state="gathered"))
    assert result.services[0].servers[0].gateways == ("10.10.0.2",)


def test_a_partition_is_asked_for_and_checked_again(expecting: Expecting) -> None:
    listed = reading(*RIGHT, virtual("other", 500, "automap", partition="Elsewhere", fullPath="/Elsewhere/other"))
    listed.path = f"/mgmt/tm/ltm/virtual?$filter=partition eq Common&$select={VIRTUAL_SERVER}"
    expecting([LOGIN, listed, LOGOUT])
    assert [service.id for service in go(Order(), partition="Common").services] == ["/Common/vs500", "/Common/vs4500"]


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
    assert (found.split("%"), found_port) == (
        [str(address) if address.version == 4 else found.split("%")[0], str(domain)],
        port,
    )
    # IPv6 in canonical form, as the standard library writes it too but for IPv4-mapped addresses.
    if address.version == 6 and address.ipv4_mapped is None:
        assert found.split("%")[0] == address.compressed
