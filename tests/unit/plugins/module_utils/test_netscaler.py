# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Citrix ADC: the exact requests of each way through, and what NITRO answers."""

from __future__ import annotations

import typing as t

import pytest
import requests

from ansible_collections.aovpn.ikev2.plugins.module_utils._engine import Result, RunFailed, run
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Order, Snapshot
from ansible_collections.aovpn.ikev2.plugins.module_utils._netscaler import NetScaler
from expectations import ENDPOINT, HOST, Expect, Expecting

BASE = "/nitro/v1/config/"
SESSION = "%23%23ABCDEF"
COOKIE = {"Cookie": f"NITRO_AUTH_TOKEN={SESSION}"}
DONE = {"errorcode": 0, "message": "Done", "severity": "NONE"}
VIRTUAL_SERVER = "name,ipv46,port,servicetype,m,connfailover,processlocal,persistencetype,groupname"
GOOD = {"10.10.0.11": "10.10.0.1"}

LOGIN = Expect(
    "POST",
    f"{BASE}login",
    {**DONE, "sessionid": "##ABCDEF"},
    201,
    body={"login": {"username": "nsroot", "password": "secret"}},
    answer_headers={"Set-Cookie": f"NITRO_AUTH_TOKEN={SESSION}; path=/nitro/v1"},
)
LOGOUT = Expect("POST", f"{BASE}logout", DONE, 201, body={"logout": {}}, headers=COOKIE)
SAVE = Expect("POST", f"{BASE}nsconfig?action=save&warning=yes", DONE, body={"nsconfig": {}}, headers=COOKIE)


def get(resource: str, **answer: t.Any) -> Expect:
    """Expect a read."""
    return Expect("GET", BASE + resource, {**DONE, **answer}, headers=COOKIE)


def modes(usnip: bool = True, usip: bool = False) -> Expect:
    """Expect the read of the modes."""
    return get("nsmode", nsmode={"usnip": usnip, "usip": usip, "mode": ["USNIP"] if usnip else []})


def topology(**more: t.Any) -> list[Expect]:
    """Expect the reads that say what hangs on what."""
    virtual = [
        {
            "name": f"lb{port}",
            "ipv46": "203.0.113.20",
            "port": port,
            "servicetype": "UDP",
            "m": "IP",
            "persistencetype": "SOURCEIP",
            "groupname": "pg",
            **more.get("virtual", {}),
        }
        for port in (500, 4500)
    ]
    virtual.append({"name": "web", "ipv46": "203.0.113.20", "port": 443, "servicetype": "SSL"})
    bindings = [{"name": f"lb{port}", "servicegroupname": f"sg{port}"} for port in (500, 4500)]
    bindings.append({"name": "web", "servicegroupname": "sgweb"})
    members = [
        {"servicegroupname": f"sg{port}", "ip": "10.10.0.11", "port": port, "state": "ENABLED"} for port in (500, 4500)
    ]
    members += more.get("members", [])
    return [
        get(f"lbvserver?attrs={VIRTUAL_SERVER}", lbvserver=virtual),
        get("lbvserver_servicegroup_binding?bulkbindings=yes", lbvserver_servicegroup_binding=bindings),
        get("lbvserver_service_binding?bulkbindings=yes"),
        get(
            "servicegroup_servicegroupmember_binding?bulkbindings=yes", servicegroup_servicegroupmember_binding=members
        ),
    ]


def settings(usip500: str, usip4500: str, *more: dict[str, t.Any]) -> list[Expect]:
    """Expect the reads of what carries the setting."""
    groups: list[dict[str, t.Any]] = [
        {"servicegroupname": "sg500", "servicetype": "UDP", "usip": usip500, "state": "ENABLED"},
        {"servicegroupname": "sg4500", "servicetype": "UDP", "usip": usip4500, "state": "DISABLED"},
        {"servicegroupname": "sgweb", "servicetype": "SSL", "usip": "NO", "state": "ENABLED"},
        *more,
    ]
    return [
        get("servicegroup?attrs=servicegroupname,servicetype,usip,state", servicegroup=groups),
        get("service?attrs=name,servicetype,usip,svrstate,ipaddress,port"),
    ]


def again(usip500: str, usip4500: str) -> list[Expect]:
    """Expect the reads after a change: only of the kind that was changed."""
    return settings(usip500, usip4500)[:1]


def guards(state: str = "Primary") -> list[Expect]:
    """Expect the reads that a change is judged by."""
    addresses = [
        {"ipaddress": "192.0.2.20", "netmask": "255.255.255.0", "type": "NSIP"},
        {"ipaddress": "10.10.0.1", "netmask": "255.255.255.0", "type": "SNIP"},
    ]
    return [
        get("nsip?attrs=ipaddress,netmask,type", nsip=addresses),
        get("hanode/0", hanode=[{"id": "0", "state": state}]),
    ]


def usip(*values: tuple[str, str], status: int = 200, answer: t.Any = None) -> Expect:
    """Expect the change of service groups in one request, with no other key in the body."""
    items = [{"servicegroupname": group, "usip": value} for group, value in values]
    bulk = len(items) > 1
    return Expect(
        "PUT",
        f"{BASE}servicegroup?warning=yes",
        answer or DONE,
        status,
        body={"servicegroup": items if bulk else items[0]},
        headers={**COOKIE, **({"X-NITRO-ONERROR": "exit"} if bulk else {})},
    )


def usnip(action: str) -> Expect:
    """Expect the mode to be switched."""
    return Expect(
        "POST", f"{BASE}nsmode?action={action}&warning=yes", DONE, body={"nsmode": {"mode": ["USNIP"]}}, headers=COOKIE
    )


def go(order: Order, *, check_mode: bool = False, **options: t.Any) -> Result:
    """Run the engine on a NetScaler."""
    return run(NetScaler(ENDPOINT, username="nsroot", password="secret", **options), order, check_mode=check_mode)


@pytest.mark.parametrize("check_mode", [False, True])
def test_unchanged_takes_nine_requests(expecting: Expecting, check_mode: bool) -> None:
    expecting([LOGIN, modes(), *topology(), *settings("YES", "YES"), LOGOUT])
    result = go(Order(return_path=GOOD), check_mode=check_mode)
    assert not result.changed
    assert result.requests == 9
    assert [(service.id, service.address, service.port) for service in result.services] == [
        ("sg500", "203.0.113.20", 500),
        ("sg4500", "203.0.113.20", 4500),
    ]


def test_changed_sends_the_one_key_and_leaves_a_disabled_group_disabled(expecting: Expecting) -> None:
    writing = [usnip("enable"), usip(("sg500", "YES"), ("sg4500", "YES")), modes(), *again("YES", "YES"), SAVE]
    expecting([LOGIN, modes(usnip=False), *topology(), *settings("NO", "NO"), *guards(), *writing, LOGOUT])
    result = go(Order(return_path=GOOD))
    assert result.changed
    assert result.requests == 16
    assert [(service.value, service.source_preserved, service.enabled) for service in result.services] == [
        ("YES", True, True),
        ("YES", True, False),
    ]
    assert result.services[0].servers[0].gateways == ("10.10.0.1",)
    assert result.diff() == {
        "before": {"sg4500": "NO", "sg500": "NO", "usnip": False},
        "after": {"sg4500": "YES", "sg500": "YES", "usnip": True},
    }
    assert result.snapshot is not None
    assert result.snapshot.as_dict()["device"] == {"usnip": False}


def test_changed_in_check_mode_reads_only(expecting: Expecting) -> None:
    expecting([LOGIN, modes(usnip=False), *topology(), *settings("NO", "NO"), *guards(), LOGOUT])
    result = go(Order(return_path=GOOD), check_mode=True)
    assert result.changed
    assert [service.value for service in result.services] == ["YES", "YES"]


def test_the_mode_alone_is_changed_where_only_it_differs(expecting: Expecting) -> None:
    writing = [usnip("enable"), modes(), *again("YES", "YES"), SAVE]
    expecting([LOGIN, modes(usnip=False), *topology(), *settings("YES", "YES"), *guards(), *writing, LOGOUT])
    assert go(Order()).changed  # no service starts to keep the client's address, so nobody asks for the return path


def test_the_mode_is_left_alone_on_request(expecting: Expecting) -> None:
    expecting([LOGIN, modes(usnip=False), *topology(), *settings("YES", "YES"), LOGOUT])
    assert not go(Order(), subnet_ip_mode=False).changed


@pytest.mark.parametrize("check_mode", [False, True])
def test_restored_puts_back_the_mode_too(expecting: Expecting, check_mode: bool) -> None:
    snapshot = Snapshot("netscaler", HOST, {"sg4500": "NO", "sg500": "NO"}, {"usnip": False})
    writing = [
        usnip("disable"),
        usip(("sg4500", "NO"), ("sg500", "NO")),
        modes(usnip=False),
        *again("NO", "NO"),
        SAVE,
    ]
    expecting(
        [LOGIN, modes(), *topology(), *settings("YES", "YES"), *guards(), *([] if check_mode else writing), LOGOUT]
    )
    assert go(Order(state="restored", snapshot=snapshot), check_mode=check_mode).changed


def test_a_refused_second_half_puts_back_the_first_and_the_mode(expecting: Expecting) -> None:
    error = {"errorcode": 1289, "message": "USIP needed", "severity": "ERROR"}
    bulk = {"errorcode": 1243, "message": "Bulk operation failed", "severity": "ERROR", "response": [error]}
    writing = [usnip("enable"), usip(("sg500", "YES"), ("sg4500", "YES"), status=207, answer=bulk)]
    back = [
        modes(),
        *again("YES", "NO"),
        usip(("sg500", "NO")),
        usnip("disable"),
        modes(usnip=False),
        *again("NO", "NO"),
    ]
    expecting([LOGIN, modes(usnip=False), *topology(), *settings("NO", "NO"), *guards(), *writing, *back, LOGOUT])
    with pytest.raises(RunFailed, match=r"USIP needed \(NITRO error 1289\).*as it was before") as caught:
        go(Order(return_path=GOOD))
    assert caught.value.result.undone is True


def test_what_cannot_be_put_back_is_said(expecting: Expecting) -> None:
    aborted = requests.exceptions.ConnectionError("Connection aborted.")
    lost = usip(("sg500", "YES"), ("sg4500", "YES"), answer=aborted)
    refused = get("nsmode")
    refused.answer = requests.exceptions.ConnectionError("refused")
    expecting(
        [
            LOGIN,
            modes(),
            *topology(),
            *settings("NO", "NO"),
            *guards(),
            lost,
            refused,
            refused,
            LOGOUT,
        ]
    )
    with pytest.raises(RunFailed, match="Not known to be as before: sg500, sg4500") as caught:
        go(Order(return_path=GOOD))
    assert caught.value.result.undone is False
    assert caught.value.result.changed


def test_a_group_that_is_bound_to_nothing_is_meant_only_by_name(expecting: Expecting) -> None:
    spare = {"servicegroupname": "spare", "servicetype": "UDP", "usip": "NO", "state": "ENABLED"}
    members = [{"servicegroupname": "spare", "ip": "10.10.0.11", "port": port} for port in (500, 4500)]
    reads = [modes(), *topology(members=members), *settings("YES", "YES", spare)]
    expecting([LOGIN, *reads, LOGOUT, LOGIN, *reads, *guards(), LOGOUT])
    assert not go(Order()).changed
    result = go(Order(services=("spare",), return_path=GOOD), check_mode=True)
    assert result.changed
    assert [(service.id, service.address, service.port) for service in result.services] == [
        ("spare", "", 500),
        ("spare", "", 4500),
    ]


def test_modes_may_come_as_an_array_of_one(expecting: Expecting) -> None:
    listed = modes()
    listed.answer["nsmode"] = [listed.answer["nsmode"]]
    expecting([LOGIN, listed, *topology(), *settings("YES", "YES"), LOGOUT])
    assert not go(Order()).changed


def test_the_global_mode_is_reported_and_left_alone(expecting: Expecting) -> None:
    expecting([LOGIN, modes(usip=True), *topology(), *settings("YES", "YES"), LOGOUT])
    assert [finding.code for finding in go(Order()).findings] == ["global_client_ip"]


def test_the_secondary_node_is_a_blocker(expecting: Expecting) -> None:
    expecting([LOGIN, modes(), *topology(), *settings("NO", "NO"), *guards("Secondary"), LOGOUT])
    with pytest.raises(RunFailed, match="not_active_unit"):
        go(Order(return_path=GOOD))


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (401, 354, "refused user 'nsroot'"),
        (503, 445, "as many sessions"),
        (401, 2138, "does not let user 'nsroot'"),
        (599, 1, "refused POST login"),
    ],
)
def test_a_login_that_fails_says_why_and_shows_no_password(
    expecting: Expecting, status: int, code: int, words: str
) -> None:
    answer = {"errorcode": code, "message": "No.", "severity": "ERROR"}
    expecting([Expect("POST", f"{BASE}login", answer, status, body=LOGIN.body)])
    with pytest.raises(RunFailed, match=words) as caught:
        go(Order())
    assert HOST in str(caught.value)
    assert "secret" not in str(caught.value)
