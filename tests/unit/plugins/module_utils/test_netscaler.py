# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Citrix ADC: the exact requests of each way through, and what NITRO answers."""

from __future__ import annotations

import typing as t

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.aovpn.ikev2.plugins.module_utils import _http
from ansible_collections.aovpn.ikev2.plugins.module_utils._engine import Result, RunFailed, run
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import InvalidInput, Order, Snapshot, State
from ansible_collections.aovpn.ikev2.plugins.module_utils._netscaler import findings as judge
from ansible_collections.aovpn.ikev2.plugins.module_utils._netscaler import joins, objects
from ansible_collections.aovpn.ikev2.plugins.module_utils._netscaler.adapter import NetScaler
from ansible_collections.aovpn.ikev2.plugins.module_utils._netscaler.session import PROPAGATION
from expectations import ENDPOINT, HOST, Expect, Expecting

BASE = "/nitro/v1/config/"
SESSION = "%23%23ABCDEF"
COOKIE = {"Cookie": f"NITRO_AUTH_TOKEN={SESSION}"}
DONE = {"errorcode": 0, "message": "Done", "severity": "NONE"}
VIRTUAL_SERVER = (
    "name,ipv46,range,ipset,port,servicetype,curstate,m,connfailover,processlocal,persistencetype,groupname,backupvserver,"
    "netprofile,listenpolicy,td"
)
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
    """Expect the reads that say what is bound to what."""
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
        get("servicegroup?attrs=servicegroupname,servicetype,usip,state,netprofile,td", servicegroup=groups),
        get("service?attrs=name,servicetype,usip,svrstate,ipaddress,port,netprofile,td"),
    ]


def again(usip500: str, usip4500: str) -> list[Expect]:
    """Expect the reads after a change: only of the kind that was changed."""
    return settings(usip500, usip4500)[:1]


def guards(state: str = "Primary", **node: str) -> list[Expect]:
    """Expect the reads that a change is judged by."""
    addresses = [
        {"ipaddress": "192.0.2.20", "netmask": "255.255.255.0", "type": "NSIP"},
        {"ipaddress": "10.10.0.1", "netmask": "255.255.255.0", "type": "SNIP"},
    ]
    return [
        get("nsip?attrs=ipaddress,netmask,type,iptype,state,arp,ownernode,td", nsip=addresses),
        get("hanode/0", hanode=[{"id": "0", "state": state, **node}]),
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


@pytest.mark.parametrize("check_mode", [False, True])
def test_restored_changes_nothing_when_nothing_differs(expecting: Expecting, check_mode: bool) -> None:
    snapshot = Snapshot("netscaler", HOST, {"sg4500": "NO", "sg500": "NO"}, {"usnip": False})
    expecting([LOGIN, modes(usnip=False), *topology(), *settings("NO", "NO"), LOGOUT])
    assert not go(Order(state="restored", snapshot=snapshot), check_mode=check_mode).changed


@pytest.mark.parametrize("check_mode", [False, True])
def test_restored_is_refused_where_the_device_would_refuse_it(expecting: Expecting, check_mode: bool) -> None:
    """Neither asks for more than before: the first reading has shown it."""
    snapshot = Snapshot("netscaler", HOST, {"sg4500": "NO", "sg500": "NO"}, {"usnip": False})
    mirrored = topology(virtual={"connfailover": "STATEFUL"})
    expecting([LOGIN, modes(), *mirrored, *settings("YES", "YES"), *guards(), LOGOUT])
    with pytest.raises(RunFailed, match=r"nothing was changed.*sg4500 .*failover is on at lb4500.*sg500 ") as caught:
        go(Order(state="restored", snapshot=snapshot), check_mode=check_mode)
    assert (caught.value.result.final_state, caught.value.result.changes) == ("unchanged", ())


@pytest.mark.parametrize(
    ("state", "check_mode", "after"),
    [("gathered", False, "NO"), ("preserved", True, "YES"), ("preserved", False, "YES")],
)
def test_half_a_pair_is_reported(expecting: Expecting, state: State, check_mode: bool, after: str) -> None:
    real = state == "preserved" and not check_mode
    writing = [usip(("sg4500", "YES")), modes(), *again("YES", "YES"), SAVE] if real else []
    expecting([LOGIN, modes(), *topology(), *settings("YES", "NO"), *guards(), *writing, LOGOUT])
    result = go(Order(state=state, return_path=GOOD), check_mode=check_mode)
    assert ("pair_inconsistent", "warning") in codes(result)
    assert [service.value for service in result.services] == ["YES", after]


@pytest.mark.parametrize("check_mode", [False, True])
def test_gathered_looks_at_everything_and_changes_nothing(expecting: Expecting, check_mode: bool) -> None:
    expecting([LOGIN, modes(usnip=False), *topology(), *settings("NO", "NO"), *guards(), LOGOUT])
    result = go(Order(state="gathered"), check_mode=check_mode)
    assert not result.changed
    assert codes(result) == [("device_setting", "warning")]
    assert [service.source_preserved for service in result.services] == [False, False]


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
    with pytest.raises(RunFailed, match="Not known to be as before: usip of sg500, usip of sg4500") as caught:
        go(Order(return_path=GOOD))
    assert caught.value.result.undone is False
    assert caught.value.result.changed


def test_a_group_that_is_bound_to_nothing_is_selected_only_by_name(expecting: Expecting) -> None:
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
        (401, 1244, "accepts no basic authentication.*Allow user 'nsroot'"),
        (401, 2138, "does not let user 'nsroot'"),
        (599, 1, "refused POST login"),
    ],
)
def test_a_login_that_fails_says_why_and_shows_no_password(
    expecting: Expecting, status: int, code: int, words: str
) -> None:
    answer = {"errorcode": code, "message": "No.", "severity": "ERROR"}
    tries = 4 if status == 503 else 1
    expecting([Expect("POST", f"{BASE}login", answer, status, body=LOGIN.body)] * tries)
    with pytest.raises(RunFailed, match=words) as caught:
        go(Order())
    assert HOST in str(caught.value)
    assert "secret" not in str(caught.value)


def with_token(token: str, order: Order, *, check_mode: bool = False, **login: t.Any) -> Result:
    """Run the engine in a session of the caller's."""
    return run(NetScaler(ENDPOINT, nitro_auth_token=token, **login), order, check_mode=check_mode)


@pytest.mark.parametrize("check_mode", [False, True])
@pytest.mark.parametrize("token", ["##ABCDEF", "%23%23ABCDEF"])
def test_a_callers_session_is_used_and_not_logged_out(expecting: Expecting, check_mode: bool, token: str) -> None:
    expecting([modes(), *topology(), *settings("YES", "YES")])
    assert with_token(token, Order(return_path=GOOD), check_mode=check_mode).requests == 7


def test_a_callers_session_that_has_ended_is_said(expecting: Expecting) -> None:
    ended = get("nsmode")
    ended.status, ended.answer = 401, {"errorcode": 444, "message": "Session expired", "severity": "ERROR"}
    expecting([ended])
    with pytest.raises(RunFailed, match="does not know the session of 'nitro_auth_token', or it has ended") as caught:
        with_token("##ABCDEF", Order())
    assert "ABCDEF" not in str(caught.value)


def test_where_there_are_credentials_one_of_our_own_takes_its_place_and_is_logged_out(expecting: Expecting) -> None:
    ended = get("nsmode")
    ended.headers = {"Cookie": "NITRO_AUTH_TOKEN=%23%23OLD"}
    ended.status, ended.answer = 401, {"errorcode": 1027, "message": "Not logged in", "severity": "ERROR"}
    expecting([ended, LOGIN, modes(), *topology(), *settings("YES", "YES"), LOGOUT])
    assert not with_token("##OLD", Order(), username="nsroot", password="secret").changed


def test_a_callers_session_stays_in_its_partition() -> None:
    with pytest.raises(InvalidInput, match="'nitro_auth_token' and 'admin_partition' exclude each other"):
        NetScaler(ENDPOINT, nitro_auth_token="##ABCDEF", admin_partition="vpn")


@pytest.mark.parametrize("code", PROPAGATION)
def test_a_change_that_does_not_reach_the_other_node_is_reported(expecting: Expecting, code: int) -> None:
    warning = {"errorcode": code, "message": "Not propagated", "severity": "WARNING"}
    writing = [usip(("sg500", "YES"), ("sg4500", "YES"), status=209, answer=warning), modes(), *again("YES", "YES")]
    expecting([LOGIN, modes(), *topology(), *settings("NO", "NO"), *guards(), *writing, SAVE, LOGOUT])
    result = go(Order(return_path=GOOD))
    assert ("unsynced_changes", "warning") in codes(result)
    assert f"NITRO error {code}" in next(item.message for item in result.findings if item.code == "unsynced_changes")


@pytest.mark.parametrize("code", PROPAGATION)
def test_a_change_that_is_refused_for_the_other_nodes_sake_is_put_back(expecting: Expecting, code: int) -> None:
    error = {"errorcode": code, "message": "Not propagated", "severity": "ERROR"}
    writing = [usip(("sg500", "YES"), ("sg4500", "YES"), status=599, answer=error), modes(), *again("NO", "NO")]
    expecting([LOGIN, modes(), *topology(), *settings("NO", "NO"), *guards(), *writing, LOGOUT])
    with pytest.raises(RunFailed, match="Make changes on the primary node") as caught:
        go(Order(return_path=GOOD))
    assert caught.value.result.undone is True
    assert [service.value for service in caught.value.result.services] == ["NO", "NO"]


def test_a_save_that_has_to_wait_is_reported(expecting: Expecting, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    monkeypatch.setattr(_http, "PAUSES", (1, 2, 4))
    busy = Expect("POST", SAVE.path, {"errorcode": 293, "message": "In progress"}, 599, body=SAVE.body)
    writing = [usip(("sg500", "YES"), ("sg4500", "YES")), modes(), *again("YES", "YES"), busy, busy, SAVE]
    expecting([LOGIN, modes(), *topology(), *settings("NO", "NO"), *guards(), *writing, LOGOUT])
    again_after_1_s, again_after_2_s = go(Order(return_path=GOOD)).progress
    assert again_after_1_s.startswith("Saving was tried again after 1 s: ")
    assert again_after_2_s.startswith("Saving was tried again after 2 s: ")
    assert "In progress (NITRO error 293)" in again_after_2_s
    assert pauses == [1, 2]


def test_traffic_domains_follow_addresses(expecting: Expecting) -> None:
    reads = topology(virtual={"td": 7})
    expecting([LOGIN, modes(), *reads, *settings("YES", "YES"), LOGOUT])
    assert {service.address for service in go(Order(addresses=("203.0.113.20%7",))).services} == {"203.0.113.20%7"}
    expecting([LOGIN, modes(), *reads, *settings("YES", "YES"), LOGOUT])
    with pytest.raises(RunFailed, match=r"no UDP service .* at 203\.0\.113\.20\."):
        go(Order(addresses=("203.0.113.20",)))


def codes(result: Result) -> list[tuple[str, str]]:
    """Return the findings' codes and severities."""
    return sorted((finding.code, finding.severity) for finding in result.findings)


@pytest.mark.parametrize(
    ("virtual", "code"),
    [
        ({"m": "MAC"}, "unsupported_mode"),
        ({"processlocal": "ENABLED"}, "unsupported_mode"),
        ({"connfailover": "STATEFUL"}, "connection_mirroring"),
        ({"groupname": ""}, "persistence_split"),
        ({"groupname": "", "persistencetype": "NONE"}, "persistence_split"),
    ],
)
def test_what_virtual_servers_show_is_a_warning(expecting: Expecting, virtual: dict[str, str], code: str) -> None:
    expecting([LOGIN, modes(), *topology(virtual=virtual), *settings("YES", "YES"), LOGOUT])
    assert set(codes(go(Order()))) == {(code, "warning")}


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([{"name": "pg", "persistencetype": "NONE"}], {("persistence_split", "warning")}),
        ([{"name": "pg", "persistencetype": "SOURCEIP"}, {"name": "other"}], set()),
        ([{"name": "other", "persistencetype": "SOURCEIP"}], {("not_read", "warning")}),
        ([{"name": "pg"}, {"name": "pg", "persistencetype": None}], {("persistence_split", "warning")}),
    ],
)
def test_a_persistency_group_is_asked_for_where_its_virtual_servers_do_not_show_its_type(
    expecting: Expecting, groups: list[dict[str, t.Any]], expected: set[tuple[str, str]]
) -> None:
    asked = get("lbgroup?attrs=name,persistencetype,usevserverpersistency", lbgroup=groups)
    expecting([LOGIN, modes(), *topology(virtual={"persistencetype": "NONE"}), *settings("YES", "YES"), asked, LOGOUT])
    assert set(codes(go(Order()))) == expected


def test_servers_of_another_ip_version_are_a_blocker(expecting: Expecting) -> None:
    other = {"servicegroupname": "sg500", "ip": "2001:db8:0::b", "port": 500}
    six = get(
        "nsip6?attrs=ipv6address,type,iptype,state,nd,ownernode,td",
        nsip6=[{"ipv6address": "2001:db8::1/64", "type": "SNIP"}, {"ipv6address": "2001:db8::2/64", "type": "VIP"}],
    )
    reads = [modes(), *topology(members=[other]), *settings("NO", "NO"), *guards(), six]
    expecting([LOGIN, *reads, LOGOUT])
    with pytest.raises(RunFailed, match=r"unsupported_mode at sg500: .* are not of one IP version") as caught:
        go(Order(return_path={**GOOD, "2001:db8::b": "2001:db8::1"}))
    assert [server.gateways for server in caught.value.result.services[0].servers] == [("10.10.0.1",), ("2001:db8::1",)]


def test_inc_mode_is_a_warning(expecting: Expecting) -> None:
    expecting([LOGIN, modes(), *topology(), *settings("YES", "YES"), *guards(inc="ENABLED"), LOGOUT])
    assert codes(go(Order(state="gathered"))) == [("gateway_not_shared", "warning")]


def test_a_clusters_node_is_a_blocker_where_the_cluster_is_selected() -> None:
    addresses = [{"ipaddress": "192.0.2.20", "type": "NSIP"}, {"ipaddress": "192.0.2.30", "type": "CLIP"}]
    (finding,) = judge.cluster_findings(addresses, [], "192.0.2.20", "ADC")
    assert (finding.code, finding.severity) == ("not_active_unit", "blocker")
    assert "192.0.2.30" in finding.remedy
    assert judge.cluster_findings(addresses, [], "192.0.2.30", "ADC") == []
    for process_local, words in (("ENABLED", "do not steer"), ("DISABLED", "does not work then")):
        (finding,) = judge.cluster_findings(addresses, [{"processlocal": process_local}], "192.0.2.30", "ADC")
        assert (finding.code, finding.severity) == ("unsupported_mode", "warning")
        assert words in finding.message


def test_modes_that_do_not_fit_are_warnings() -> None:
    found = judge.mode_findings({"usnip": True, "usip": False, "l3": False, "mbf": True}, "ADC")
    assert [(finding.code, finding.severity) for finding in found] == [("forwarding_mode", "warning")] * 2


def test_an_expired_session_is_renewed_once(expecting: Expecting) -> None:
    expired = get("nsmode")
    expired.answer, expired.status = {"errorcode": 444, "message": "Session expired", "severity": "ERROR"}, 401
    expecting([LOGIN, expired, LOGIN, expired, LOGOUT])
    with pytest.raises(RunFailed, match="444"):
        go(Order())


SERVERS = st.dictionaries(st.text(min_size=1, max_size=4), st.tuples(st.booleans(), st.booleans()), max_size=5)


@given(SERVERS, st.lists(st.tuples(st.text(min_size=1, max_size=4), st.text(min_size=1, max_size=4)), max_size=12))
def test_the_join_loses_and_invents_nothing(
    servers: dict[str, tuple[bool, bool]], loose: list[tuple[str, str]]
) -> None:
    """Each binding of a UDP virtual server to a known carrier is one service; each other carrier one for each port."""
    read = [
        objects.virtual_server(
            {
                "name": name,
                "ipv46": "203.0.113.20" if addressed else "0.0.0.0",
                "port": "500",
                "servicetype": "UDP" if udp else "SSL",
            }
        )
        for name, (udp, addressed) in servers.items()
    ]
    bindings = [(name, ("servicegroup", group)) for name, group in loose]
    bindings += [(name, ("servicegroup", f"sg {name}/")) for name in servers]
    listeners = joins.join(read, bindings)
    assert [(item.server.name, item.carrier) for item in listeners] == [
        (name, carrier) for name, carrier in bindings if servers.get(name, (False, False))[0]
    ]
    groups = {carrier: udp_group(carrier[1]) for _dummy, carrier in bindings[::2]}
    members = {carrier: [objects.Member("10.0.0.1", port) for port in (500, 4500)] for carrier in groups}
    found, _unread = joins.services(joins.Topology(listeners, members), groups)
    reached = [item.carrier[1] for item in listeners if item.server.address and item.carrier in groups]
    assert [service.id for service in found if service.address] == reached
    bare = [(service.id, service.port) for service in found if not service.address]
    assert bare == [(name, port) for _kind, name in groups if name not in reached for port in (500, 4500)]


def udp_group(name: str) -> objects.Group:
    """Read a service group."""
    read = objects.group("servicegroup", (), proxy_port=False)(
        {"servicegroupname": name, "usip": "NO", "servicetype": "UDP"}
    )
    assert isinstance(read, objects.Group)
    return read


def test_a_shared_group_is_reported() -> None:
    def listener(name: str, port: int) -> joins.Listener:
        read = objects.virtual_server({"name": name, "ipv46": "203.0.113.20", "port": port, "servicetype": "UDP"})
        assert read is not None
        return joins.Listener(read, ("servicegroup", "sg"))

    listeners = (listener("lb500", 500), listener("dns", 53))
    services, _unread = joins.services(joins.Topology(listeners), {("servicegroup", "sg"): udp_group("sg")})
    chosen = services[:1]
    (finding,) = judge.listener_findings(chosen, {"sg": ("servicegroup", "sg")}, listeners, {})
    assert (finding.code, finding.severity, finding.object) == ("shared_service_group", "warning", "sg")
    assert "dns" in finding.message
