# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""BIG-IP: every fault at every step, against the stand-in. Both or neither, or said plainly; the next run converges."""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Iterator

import pytest
from combinations import a_third

from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.adapter import BigIp as Adapter
from ansible_collections.aovpn.ikev2.plugins.module_utils._engine import Result, RunFailed, run
from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Endpoint
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Order
from lab import bigip
from lab.bigip import BigIp
from lab.core import CertificateAuthority, Entry

NAMES = ("/Common/vs_ikev2_500", "/Common/vs_ikev2_4500")
BEFORE = [{"type": "automap"}, {"type": "snat", "pool": "/Common/sp_ikev2"}]
AFTER = [{"type": "none"}, {"type": "none"}]
ORDER = Order(return_path={"10.10.0.11": "10.10.0.1", "10.10.0.12": "10.10.0.1"})
STEPS = 14
"""How many requests a changed pair takes: the bound that the project promises."""


@pytest.fixture(scope="module")
def started(authority: CertificateAuthority) -> Iterator[BigIp]:
    device = BigIp("bigip")
    device.start(authority)
    yield device
    device.stop()


@pytest.fixture
def device(started: BigIp) -> BigIp:
    """Return a fresh device."""
    started.reset()
    return started


def go(device: BigIp, ca: str, user: str = "admin", order: Order = ORDER, **options: t.Any) -> Result | RunFailed:
    """Run the engine on the stand-in, and give what came of it."""
    password = device.state["users"][user]["password"]
    adapter = Adapter(
        Endpoint("127.0.0.1", device.port, ca_path=ca, timeout=5), username=user, password=password, **options
    )
    try:
        return run(adapter, order, check_mode=False)
    except RunFailed as error:
        return error


def translations(device: BigIp) -> list[t.Any]:
    """Return what is in effect on the device."""
    return [device.state["virtual"][name]["sourceAddressTranslation"] for name in NAMES]


def saved(device: BigIp) -> list[t.Any]:
    """Return what is in effect after a restart."""
    return [device.state["saved"]["virtual"][name]["sourceAddressTranslation"] for name in NAMES]


def told(result: Result) -> list[t.Any]:
    """Return what a result says that stands; nothing where it could not be read."""
    return [service.value for service in result.services]


def test_a_changed_pair_takes_the_promised_requests(device: BigIp, ca: str) -> None:
    result = go(device, ca)
    assert isinstance(result, Result)
    assert result.requests == len(device.log) == STEPS
    assert translations(device) == AFTER
    assert device.state["saves"] == 1


def expire(device: BigIp, step: int) -> Callable[[Entry], bool]:
    """Expire all tokens when the step comes, and let the request meet that."""
    left = iter(range(step))

    def match(_entry: Entry) -> bool:
        if next(left, None) is not None:
            return False
        device.expire_tokens()
        return True

    return match


FAULTS: dict[str, Callable[[], dict[str, t.Any]]] = {
    "expired": dict,
    "html 401": lambda: {"answer": bigip.html_unauthorized()},
    "busy": lambda: {"answer": bigip.busy(), "times": 2},
    "restarting for long": lambda: {"answer": bigip.restarting(), "times": 3},
    "garbage": lambda: {"answer": bigip.garbage()},
    "refused": lambda: {"answer": bigip.mcp(400, "01070734:3: Configuration error: no.").response},
    "busy for good": lambda: {"answer": bigip.busy(), "times": 99},
    "reset before": lambda: {"reset": "before"},
    "reset after": lambda: {"reset": "after"},
    "reset for good": lambda: {"reset": "before", "times": 99},
}


@pytest.mark.parametrize(("kind", "step"), a_third(FAULTS, range(STEPS)))
def test_every_fault_at_every_step(device: BigIp, ca: str, kind: str, step: int) -> None:
    how = {} if kind == "expired" else {"skip": step, **FAULTS[kind]()}
    match = expire(device, step) if kind == "expired" else lambda _entry: True
    fault = device.fault(match, **how)
    came = go(device, ca)
    assert fault.seen, "the fault did not strike"
    if isinstance(came, RunFailed):
        assert "BIG-IP 127.0.0.1" in str(came)
        assert translations(device) == BEFORE or came.result.undone is False
        assert came.result.changed is (not came.result.undone)
        assert told(came.result) in ([], [item if len(item) > 1 else item["type"] for item in translations(device)])
        assert saved(device) == BEFORE or came.result.undone is False
    else:
        assert translations(device) == saved(device) == AFTER
    # A log-in whose answer was lost left a token that it is not known, and a log-out that was refused or lost left it open.
    struck = {str(entry).rpartition("/")[0] for entry in fault.seen}
    if not struck & {"POST /mgmt/shared/authn", "DELETE /mgmt/shared/authz/tokens"}:
        assert device.open_sessions() == []
    device.faults.clear()
    assert isinstance(go(device, ca), Result)
    assert translations(device) == AFTER


ALL_STEPS = 23
"""How many requests the rollback takes with everything that there can be."""


@pytest.fixture
def go_back(device: BigIp, ca: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result | RunFailed]:
    """Return the rollback on one of two devices, with a sync, an LTM policy, and connections to clear."""
    monkeypatch.setattr("ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.adapter.SYNC_PAUSE", 0.001)
    there = go(device, ca)
    assert isinstance(there, Result)
    device.add_peer()
    device.add_policy("/Common/hides", {"snat": "automap"}, NAMES[0])
    device.add_connection("198.51.100.7", "203.0.113.10", 500)
    device.log.clear()
    order = Order(state="restored", snapshot=there.snapshot)
    return lambda **options: go(device, ca, order=order, clear_connections=True, **options)


def test_the_rollback_with_everything(device: BigIp, go_back: Callable[..., Result | RunFailed]) -> None:
    result = go_back(sync_group="/Common/dg_failover")
    assert isinstance(result, Result), str(result)
    assert (translations(device), saved(device), device.state["sync"]["status"]) == (BEFORE, BEFORE, "In Sync")
    assert [finding.code for finding in result.findings] == ["hidden_translation"]
    assert device.state["connections"] == []
    assert len(device.log) == ALL_STEPS


@pytest.mark.parametrize(("kind", "step"), a_third(["expired", "garbage", "refused", "reset after"], range(ALL_STEPS)))
def test_every_fault_at_every_step_of_the_rollback(
    device: BigIp, go_back: Callable[..., Result | RunFailed], kind: str, step: int
) -> None:
    how = {} if kind == "expired" else {"skip": step, **FAULTS[kind]()}
    fault = device.fault(expire(device, step) if kind == "expired" else lambda _entry: True, **how)
    came = go_back(sync_group="/Common/dg_failover")
    assert fault.seen, "the fault did not strike"
    if isinstance(came, RunFailed):
        assert translations(device) == saved(device) == AFTER or came.result.undone is False
        assert told(came.result) in ([], [item if len(item) > 1 else item["type"] for item in translations(device)])
    else:
        assert translations(device) == saved(device) == BEFORE
    device.faults.clear()
    assert isinstance(go_back(), Result)  # without a sync: pending changes would forbid it
    assert translations(device) == BEFORE


def test_an_expired_transaction_changes_nothing(device: BigIp, ca: str) -> None:
    def match(entry: Entry) -> bool:
        if entry.method == "PATCH" and "/transaction/" in entry.path:
            device.expire_transactions()
        return False

    device.fault(match)
    came = go(device, ca)
    assert isinstance(came, RunFailed)
    assert came.result.undone is True
    assert translations(device) == BEFORE
    assert device.open_sessions() == []


@pytest.mark.parametrize("behaviour", ["dropped", "kept", "refused"])
def test_a_left_over_pool_is_gone_whatever_the_device_does(
    authority: CertificateAuthority, ca: str, behaviour: t.Any
) -> None:
    device = BigIp("bigip", leftover_pool=behaviour)
    device.start(authority)
    try:
        result = go(device, ca)
        assert isinstance(result, Result)
        assert translations(device) == AFTER
        assert [service.value for service in result.services] == ["none", "none"]
        restored = go(device, ca, order=Order(state="restored", snapshot=result.snapshot))
        assert isinstance(restored, Result)
        assert translations(device) == BEFORE
        assert device.open_sessions() == []
    finally:
        device.stop()


@pytest.mark.parametrize("behaviour", ["dropped", "kept", "refused"])
def test_a_pool_for_large_scale_nat_is_taken_off_and_put_back(
    authority: CertificateAuthority, ca: str, behaviour: t.Any
) -> None:
    device = BigIp("bigip", leftover_pool=behaviour)
    device.put("lsn-pool", "/Common/lsn", {"mode": "napt", "members": ["198.51.100.0/24"]})
    lsn = {"type": "lsn", "pool": "/Common/lsn"}
    device.start(authority)
    try:
        for name in NAMES:
            device.state["virtual"][name]["sourceAddressTranslation"] = dict(lsn)
        result = go(device, ca)
        assert isinstance(result, Result), str(result)
        assert translations(device) == AFTER
        restored = go(device, ca, order=Order(state="restored", snapshot=result.snapshot))
        assert isinstance(restored, Result)
        assert translations(device) == [lsn, lsn]
    finally:
        device.stop()


@pytest.mark.parametrize("pairs", [10, 100])
def test_any_number_of_pairs_is_read_at_once(device: BigIp, ca: str, pairs: int) -> None:
    for number in range(pairs - 1):
        device.add_pair(f"/Common/ike{number}", f"198.51.100.{number + 1}", {"type": "none"})
    go(device, ca)
    result = go(device, ca)
    assert isinstance(result, Result)
    assert (result.changed, len(result.services), result.requests) == (False, 2 * pairs, 3)


def test_a_guest_may_look_and_not_change(device: BigIp, ca: str) -> None:
    assert isinstance(go(device, ca, "auditor", Order(state="gathered")), Result)
    came = go(device, ca, "auditor")
    assert isinstance(came, RunFailed)
    assert "Changes need the role Manager or above" in str(came)
    assert translations(device) == BEFORE


@pytest.mark.parametrize(("others", "pages"), [(0, 1), (900, 1), (1500, 2), (2500, 3), (4500, 3)])
def test_three_requests_unchanged_and_fourteen_changed_and_two_pages_more_at_most(
    device: BigIp, ca: str, others: int, pages: int
) -> None:
    """Among more than a hundred virtual servers, the pair is read again by name: one request more."""
    for number in range(others):
        device.add_virtual(f"/Common/web{number}", f"198.51.{number // 250}.{number % 250 + 1}", 443, protocol="tcp")
    changed = go(device, ca)
    assert isinstance(changed, Result)
    assert changed.requests == STEPS + pages - 1 + (others > 100)
    unchanged = go(device, ca)
    assert isinstance(unchanged, Result)
    assert not unchanged.changed
    assert unchanged.requests == 2 + pages


@pytest.mark.parametrize("persistent", [False, True])
def test_one_of_two_devices_is_asked_for_its_failover_group_its_traffic_group_and_its_sync_status_as_well(
    device: BigIp, ca: str, persistent: bool
) -> None:
    """Where the two services do not share a persistence profile, there is none to look at."""
    device.add_peer()
    for name in NAMES if not persistent else ():
        del device.state["virtual"][name]["persist"]
    changed = go(device, ca)
    assert isinstance(changed, Result)
    assert changed.requests == STEPS + 2 + persistent


def test_a_short_token_of_a_user_who_may_not_lengthen_it_is_used_as_it_is(
    authority: CertificateAuthority, ca: str
) -> None:
    device = BigIp("bigip", readers_end_tokens=False, token_timeout=60)
    device.start(authority)
    try:
        result = go(device, ca, "auditor", Order(state="gathered"))
        assert isinstance(result, Result), str(result)
        assert len(device.state["tokens"]) == 1  # which this user may not end either
    finally:
        device.stop()


@pytest.mark.parametrize("selects_expanded", [True, False])
@pytest.mark.parametrize("action", [{"snat": "automap"}, {"snatpool": "/Common/sp_ikev2"}, {"snatAutomap": True}])
def test_an_attached_ltm_policy_is_reported_with_a_change(
    device: BigIp, ca: str, action: dict[str, t.Any], selects_expanded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "selects_expanded", selects_expanded)
    device.add_policy("/Common/hides", action, NAMES[0])
    device.add_policy("/Common/forwards", {"forward": True, "pool": "/Common/p_web"}, *NAMES)
    result = go(device, ca)
    assert isinstance(result, Result)
    assert [finding.object for finding in result.findings if finding.code == "hidden_translation"] == [NAMES[0]]
    assert translations(device) == AFTER


def test_only_the_changed_services_connections_are_cleared(device: BigIp, ca: str) -> None:
    for port in (500, 4500, 443):
        device.add_connection("198.51.100.7", "203.0.113.10", port, udp=port != 443)
    result = go(device, ca, clear_connections=True)
    assert isinstance(result, Result)
    assert [finding.code for finding in result.findings] == ["snat_pool_needed"]
    assert [connection["csServerPort"] for connection in device.state["connections"]] == [443]


@pytest.mark.parametrize("name", ["a b", "50%", "a%2Fb", "grün", "a+b", "a&b=c", "a.b-c_d", "a?b#c"])
def test_any_name_reaches_its_own_virtual_server(device: BigIp, ca: str, name: str) -> None:
    device.add_pair(f"/Common/{name}", "203.0.113.77")
    result = go(device, ca, order=Order(addresses=("203.0.113.77",), return_path=ORDER.return_path))
    assert isinstance(result, Result), str(result)
    changed = {key for key, server in device.state["virtual"].items() if server["sourceAddressTranslation"] == AFTER[0]}
    assert changed == {f"/Common/{name}_500", f"/Common/{name}_4500", "/Common/vs_forward"}  # which is as it was
