# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Citrix ADC: every fault at every step, against the stand-in. Both or neither, or said plainly; the next run converges."""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Iterator

import pytest
from combinations import a_third
from flask import Response

from ansible_collections.aovpn.ikev2.plugins.module_utils._engine import Result, RunFailed, run
from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Endpoint
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Order
from ansible_collections.aovpn.ikev2.plugins.module_utils._netscaler.adapter import NetScaler as Adapter
from lab.core import CertificateAuthority, Entry
from lab.netscaler import TEMPLATES, NetScaler

GROUPS = ["sg_ikev2_500", "sg_ikev2_4500"]
ORDER = Order(return_path={"10.10.0.11": "10.10.0.1", "10.10.0.12": "10.10.0.1"})
BEFORE, AFTER = (False, "NO", "NO"), (True, "YES", "YES")
STEPS = 16
"""How many requests a changed pair takes: the bound that the project promises."""


@pytest.fixture(scope="module")
def started(authority: CertificateAuthority) -> Iterator[NetScaler]:
    device = NetScaler("netscaler")
    device.start(authority)
    yield device
    device.stop()


@pytest.fixture
def device(started: NetScaler) -> NetScaler:
    """Return a fresh device."""
    started.reset()
    started.expired_code, started.on_secondary, started.session_limit = 444, "warning", 20
    return started


def go(
    device: NetScaler, ca: str, user: str = "nsroot", order: Order = ORDER, check_mode: bool = False, **options: t.Any
) -> Result | RunFailed:
    """Run the engine on the stand-in, and give what came of it."""
    login = {"username": user, "password": device.state["users"][user]["password"]}
    adapter = Adapter(Endpoint("127.0.0.1", device.port, ca_path=ca, timeout=5), **{**login, **options})
    try:
        return run(adapter, order, check_mode=check_mode)
    except RunFailed as error:
        return error


def standing(device: NetScaler) -> tuple[bool, str, str]:
    """Return what is in effect on the device."""
    first, second = (device.config["servicegroup"][name]["usip"] for name in GROUPS)
    return device.config["nsmode"]["usnip"], first, second


def test_a_changed_pair_takes_the_promised_requests_and_leaves_a_disabled_group_disabled(
    device: NetScaler, ca: str
) -> None:
    device.config["servicegroup"][GROUPS[1]]["state"] = "DISABLED"
    result = go(device, ca)
    assert isinstance(result, Result)
    assert result.requests == len(device.log) == STEPS
    assert standing(device) == AFTER
    assert device.config["servicegroup"][GROUPS[1]]["state"] == "DISABLED"
    assert device.state["saves"] == 1
    assert sorted(finding.code for finding in result.findings) == ["disabled_service", "existing_flows"]
    restored = go(device, ca, order=Order(state="restored", snapshot=result.snapshot))
    assert isinstance(restored, Result)
    assert standing(device) == BEFORE


def expire(device: NetScaler, step: int) -> Callable[[Entry], bool]:
    """Expire all sessions when the step comes, and let the request meet that."""
    left = iter(range(step))

    def match(_entry: Entry) -> bool:
        if next(left, None) is not None:
            return False
        device.expire_sessions()
        return True

    return match


FAULTS: dict[str, Callable[[], dict[str, t.Any]]] = {
    "444": dict,
    "1027": dict,
    "445": lambda: {"answer": NetScaler.error(445)},
    "599": lambda: {"answer": NetScaler.error(278)},
    "bulk": lambda: {"answer": NetScaler.bulk_failed([{"errorcode": 1289, "message": "No", "severity": "ERROR"}])},
    "html": lambda: {"answer": Response("<html>Please wait</html>", 503, content_type="text/html")},
    "garbage": lambda: {"answer": Response('{"errorcode":', 200)},
    "reset before": lambda: {"reset": "before"},
    "reset after": lambda: {"reset": "after"},
    "reset for good": lambda: {"reset": "before", "times": 99},
}


@pytest.mark.parametrize(("kind", "step"), a_third(FAULTS, range(STEPS)))
def test_every_fault_at_every_step(device: NetScaler, ca: str, kind: str, step: int) -> None:
    expiry = kind in ("444", "1027")
    if expiry:
        device.expired_code = 444 if kind == "444" else 1027
    how = {} if expiry else {"skip": step, **FAULTS[kind]()}
    fault = device.fault(expire(device, step) if expiry else lambda _entry: True, **how)
    came = go(device, ca)
    assert fault.seen, "the fault did not strike"
    if isinstance(came, RunFailed):
        assert not expiry
        assert "NetScaler 127.0.0.1" in str(came)
        assert standing(device) == BEFORE or came.result.undone is False
        assert came.result.changed is (not came.result.undone)
        assert [service.value for service in came.result.services] in ([], [*standing(device)[1:]])
    else:
        assert standing(device) == AFTER
    # A log-in whose answer was lost left a session that it is not known, and a log-out that was refused or lost left it open.
    if not {str(entry).rpartition("/")[2] for entry in fault.seen} & {"login", "logout"}:
        assert device.open_sessions() == []
    if isinstance(came, RunFailed):
        device.faults.clear()
        assert isinstance(go(device, ca), Result)
        assert standing(device) == AFTER


def test_a_second_set_that_is_refused_leaves_neither(device: NetScaler, ca: str) -> None:
    device.config["lbvserver"]["lb_vs_ikev2_4500"]["ipv46"] = "203.0.113.20"
    members = device.config["servicegroup_servicegroupmember_binding"]

    def match(entry: Entry) -> bool:
        if entry.method == "PUT":  # by now, somebody has added a server of another IP version
            members[:] = [row | ({"ip": "2001:db8::1"} if row["port"] == 4500 else {}) for row in members]
        return False

    device.fault(match)
    came = go(device, ca)
    assert isinstance(came, RunFailed)
    assert "NITRO error 3894" in str(came)
    assert came.result.undone is True
    assert standing(device) == BEFORE


@pytest.mark.parametrize(("times", "saved"), [(3, True), (4, False)])
def test_a_save_in_progress_takes_time_with_a_limit(device: NetScaler, ca: str, times: int, saved: bool) -> None:
    device.fault(lambda entry: entry.path.endswith("nsconfig"), answer=NetScaler.error(293), times=times)
    came = go(device, ca)
    assert isinstance(came, Result if saved else RunFailed)
    assert standing(device) == (AFTER if saved else BEFORE)


@pytest.mark.parametrize("on_secondary", ["warning", "error"])
def test_a_secondary_is_a_blocker_and_accepted_its_warning_is_reported(
    device: NetScaler, ca: str, on_secondary: t.Any
) -> None:
    device.state["hanode"]["0"]["state"] = "Secondary"
    device.on_secondary = on_secondary
    assert "not_active_unit" in str(go(device, ca))
    assert device.writing() == []
    accepted = Order(return_path=ORDER.return_path, accept=frozenset({"not_active_unit"}))
    came = go(device, ca, order=accepted)
    if on_secondary == "error":
        assert isinstance(came, RunFailed)
        assert "NITRO error 1028" in str(came)
        assert standing(device) == BEFORE
    else:
        assert isinstance(came, Result)
        assert "unsynced_changes" in {finding.code for finding in came.findings}
        assert standing(device) == AFTER


def test_an_auditor_may_look_and_not_change(device: NetScaler, ca: str) -> None:
    assert isinstance(go(device, ca, "auditor", Order(state="gathered")), Result)
    came = go(device, ca, "auditor")
    assert isinstance(came, RunFailed)
    assert "does not let user 'auditor' do this" in str(came)
    assert standing(device) == BEFORE


@pytest.mark.parametrize("others", [0, 2000])
def test_an_unchanged_pair_takes_nine_requests_whatever_else_there_is(device: NetScaler, ca: str, others: int) -> None:
    go(device, ca)
    table = device.config["servicegroup"]
    for number in range(others):
        table[f"web {number}/ä"] = {**table["sg_portal"], "servicegroupname": f"web {number}/ä"}
    result = go(device, ca)
    assert isinstance(result, Result)
    assert (result.changed, result.requests) == (False, 9)


def test_plain_services_with_odd_names_in_an_admin_partition(device: NetScaler, ca: str) -> None:
    config = device.add_partition("vpn")
    names = device.add_pair("2001:db8::20", "käse und/oder", ["10.10.0.11"], "vpn", plain=True)
    for row in config["lbvserver"].values():
        row["ipv46"] = "203.0.113.30"
    config["nsip"]["10.10.0.1"] = dict(device.config["nsip"]["10.10.0.1"])
    device.state["saved"]["vpn"].clear()
    result = go(device, ca, admin_partition="vpn")
    assert isinstance(result, Result)
    assert [config["service"][name]["usip"] for name in names] == ["YES", "YES"]
    assert device.state["saved"]["vpn"]
    assert standing(device) == BEFORE
    assert "server_sets_differ" not in {finding.code for finding in result.findings}
    assert "No such resource" in str(go(device, ca, admin_partition="none"))
    assert device.open_sessions() == []


def test_a_pair_in_a_traffic_domain_differs_from_the_one_at_the_same_address(device: NetScaler, ca: str) -> None:
    names = device.add_pair("203.0.113.20", "other", ["10.10.0.11"])
    for port, name in zip((500, 4500), names, strict=True):
        device.config["lbvserver"][f"other_{port}"]["td"] = device.config["servicegroup"][name]["td"] = "7"
    inside = device.config["nsip"]["10.10.0.1"]
    device.config["nsip"]["10.10.0.9"] = {**inside, "ipaddress": "10.10.0.9", "td": "7"}
    assert "return_path_wrong" in str(
        go(device, ca, order=Order(addresses=("203.0.113.20%7",), return_path=ORDER.return_path))
    )
    gateways = {"10.10.0.11": "10.10.0.9"}
    result = go(device, ca, order=Order(addresses=("203.0.113.20%7",), return_path=gateways))
    assert isinstance(result, Result)
    assert [service.id for service in result.services] == names
    assert [server.as_dict() for server in result.services[0].servers] == [
        {"address": "10.10.0.11%7", "port": 500, "gateways": ["10.10.0.9"]}
    ]
    assert [device.config["servicegroup"][name]["usip"] for name in (*names, *GROUPS)] == ["YES", "YES", "NO", "NO"]


def test_a_pair_of_the_protocol_any_and_a_server_that_serves_both_ports(device: NetScaler, ca: str) -> None:
    names = device.add_pair("203.0.113.40", "any", ["10.10.0.11"], servicetype="ANY")
    result = go(device, ca, order=Order(addresses=("203.0.113.40",), return_path=ORDER.return_path))
    assert isinstance(result, Result), str(result)
    assert [service.protocol for service in result.services] == ["any", "any"]
    assert [[(server.address, server.port) for server in service.servers] for service in result.services] == [
        [("10.10.0.11", 500)],
        [("10.10.0.11", 4500)],
    ]
    assert [device.config["servicegroup"][name]["usip"] for name in (*names, *GROUPS)] == ["YES", "YES", "NO", "NO"]


def test_a_pair_of_ipv6(device: NetScaler, ca: str) -> None:
    names = device.add_pair("2001:db8::20", "six", ["2001:db8:a::11", "2001:db8:a::12"])
    for address, kind in (("2001:db8:a::1/64", "SNIP"), ("2001:db8:a::20/128", "VIP")):
        device.config["nsip6"][address] = {**TEMPLATES["nsip6"], "ipv6address": address, "type": kind}
    gateways = {f"2001:db8:a::{number}": "2001:db8:a::1" for number in (11, 12)}
    result = go(device, ca, order=Order(addresses=("2001:db8::20",), return_path=gateways))
    assert isinstance(result, Result), str(result)
    assert [device.config["servicegroup"][name]["usip"] for name in (*names, *GROUPS)] == ["YES", "YES", "NO", "NO"]


NO_LOGIN: dict[str, t.Any] = {"username": None, "password": None}


def token(device: NetScaler) -> str:
    """Open a session, as a task before would."""
    response = device.app.test_client().post(
        "/nitro/v1/config/login", json={"login": {"username": "nsroot", "password": "lab-netscaler-secret-1"}}
    )
    device.log.clear()
    return str(response.get_json()["sessionid"])


@pytest.mark.parametrize("encoded", [False, True])
def test_a_callers_session_is_used_and_left_open(device: NetScaler, ca: str, encoded: bool) -> None:
    given = token(device)
    result = go(device, ca, nitro_auth_token=given.replace("#", "%23") if encoded else given, **NO_LOGIN)
    assert isinstance(result, Result), str(result)
    assert standing(device) == AFTER
    assert result.requests == STEPS - 2
    assert {entry.path.rpartition("/")[2] for entry in device.log} & {"login", "logout"} == set()
    assert device.open_sessions() == [given]
    assert given not in str(result.as_dict())


@pytest.mark.parametrize("code", [444, 1027])
@pytest.mark.parametrize("step", range(STEPS - 2))
def test_a_callers_session_that_ends_is_taken_over_where_there_are_credentials(
    device: NetScaler, ca: str, code: t.Any, step: int
) -> None:
    device.expired_code = code
    given = token(device)
    device.fault(expire(device, step))
    alone = go(device, ca, nitro_auth_token=given, **NO_LOGIN)
    assert isinstance(alone, RunFailed)
    assert "does not know the session of 'nitro_auth_token', or it has ended" in str(alone)
    assert given not in str(alone) + str(alone.result.as_dict())
    assert standing(device) == BEFORE or alone.result.undone is False
    device.faults.clear()
    came = go(device, ca, nitro_auth_token=given)
    assert isinstance(came, Result), str(came)
    assert standing(device) == AFTER
    assert device.open_sessions() == []


@pytest.mark.parametrize("wanted", [True, False])
def test_the_proxy_port_is_set_and_put_back_exactly(device: NetScaler, ca: str, wanted: bool) -> None:
    result = go(device, ca, use_proxy_port=wanted)
    assert isinstance(result, Result)
    text = "YES" if wanted else "NO"
    assert [device.config["servicegroup"][name]["useproxyport"] for name in GROUPS] == [text, text]
    again = go(device, ca, use_proxy_port=wanted)
    assert isinstance(again, Result)
    assert not again.changed
    restore = Order(state="restored", snapshot=result.snapshot)
    assert isinstance(go(device, ca, order=restore, proxy_port_in_value=True), Result)
    assert standing(device) == BEFORE
    assert [device.config["servicegroup"][name]["useproxyport"] for name in GROUPS] == ["YES", "YES"]
