# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run says that it changes, on devices in every state: the same when looking, in check mode and for real."""

from __future__ import annotations

import typing as t
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.aovpn.ikev2.plugins.module_utils._adapter import Adapter
from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.adapter import BigIp as BigIpAdapter
from ansible_collections.aovpn.ikev2.plugins.module_utils._engine import Result, run
from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Endpoint
from ansible_collections.aovpn.ikev2.plugins.module_utils._loadmaster.adapter import LoadMaster as LoadMasterAdapter
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Order, Snapshot, State
from ansible_collections.aovpn.ikev2.plugins.module_utils._netscaler.adapter import NetScaler as NetScalerAdapter
from lab.bigip import BigIp
from lab.direct import directly
from lab.loadmaster import LoadMaster
from lab.netscaler import NetScaler
from mutations import examples

GOOD = {"10.10.0.11": "10.10.0.1", "10.10.0.12": "10.10.0.1"}
PORTS = (500, 4500)
Change = tuple[str, str, str, t.Any, t.Any]
Make = Callable[[], Adapter]


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible_collections.aovpn.ikev2.plugins.module_utils._loadmaster.adapter.SECONDS", 0.0)


@pytest.fixture
def bigip(monkeypatch: pytest.MonkeyPatch) -> BigIp:
    return directly(BigIp("bigip"), monkeypatch)


@pytest.fixture
def netscaler(monkeypatch: pytest.MonkeyPatch) -> NetScaler:
    return directly(NetScaler("netscaler"), monkeypatch)


@pytest.fixture
def loadmaster(monkeypatch: pytest.MonkeyPatch) -> LoadMaster:
    return directly(LoadMaster(), monkeypatch)


def go(make: Make, state: State, *, check_mode: bool = False, snapshot: Snapshot | None = None) -> Result:
    return run(make(), Order(state=state, return_path=GOOD, snapshot=snapshot), check_mode=check_mode)


def changes(result: Result) -> set[Change]:
    """Return the entries as they are returned, each once."""
    found = [
        (item["scope"], item["id"], item["setting"], str(item["before"]), str(item["after"]))
        for item in result.as_dict()["changes"]
    ]
    assert len(found) == len(set(found))
    return set(found)


def holds(make: Make, expected: set[Change]) -> None:
    """Look, predict, change, look again, and go back."""
    looked = go(make, "gathered")
    assert changes(looked) == expected
    assert (looked.changed, looked.final_state) == (False, "unchanged")
    predicted = go(make, "preserved", check_mode=True)
    assert changes(predicted) == expected
    assert (predicted.changed, predicted.final_state) == (bool(expected), "unchanged")
    done = go(make, "preserved")
    assert changes(done) == expected
    assert (done.changed, done.final_state) == (bool(expected), "changed" if expected else "unchanged")
    assert [service.value for service in predicted.services] == [service.value for service in done.services]
    assert predicted.diff() == done.diff()
    for state in ("gathered", "preserved"):
        assert changes(go(make, state)) == set()
    back = {(scope, name, setting, after, before) for scope, name, setting, before, after in expected}
    assert changes(go(make, "restored", snapshot=done.snapshot, check_mode=True)) == back
    assert changes(go(make, "restored", snapshot=done.snapshot)) == back
    assert changes(go(make, "gathered")) == expected


SNAT = st.sampled_from([{"type": "none"}, {"type": "automap"}, {"type": "snat", "pool": "/Common/sp_ikev2"}])


@examples(25)
@given(values=st.tuples(SNAT, SNAT))
def test_bigip(bigip: BigIp, values: tuple[dict[str, str], ...]) -> None:
    bigip.reset()
    names = [f"/Common/vs_ikev2_{port}" for port in PORTS]
    for name, value in zip(names, values, strict=True):
        bigip.state["virtual"][name]["sourceAddressTranslation"] = value

    def make() -> Adapter:
        password = bigip.state["users"]["admin"]["password"]
        return BigIpAdapter(Endpoint("127.0.0.1"), username="admin", password=password)

    expected = {
        ("service", name, "snat", str(value if "pool" in value else value["type"]), "none")
        for name, value in zip(names, values, strict=True)
        if value["type"] != "none"
    }
    holds(make, expected)


YES_OR_NO = st.sampled_from(["YES", "NO"])


@examples(25)
@given(
    usnip=st.booleans(),
    groups=st.tuples(st.tuples(YES_OR_NO, YES_OR_NO), st.tuples(YES_OR_NO, YES_OR_NO)),
    subnet_ip_mode=st.booleans(),
    use_proxy_port=st.sampled_from([None, True, False]),
)
def test_netscaler(
    netscaler: NetScaler,
    usnip: bool,
    groups: tuple[tuple[str, str], ...],
    subnet_ip_mode: bool,
    use_proxy_port: bool | None,
) -> None:
    netscaler.reset()
    netscaler.config["nsmode"]["usnip"] = usnip
    names = [f"sg_ikev2_{port}" for port in PORTS]
    expected = {("device", "127.0.0.1", "USNIP", "False", "True")} if subnet_ip_mode and not usnip else set()
    proxy_port = None if use_proxy_port is None else "YES" if use_proxy_port else "NO"
    for name, (usip, useproxyport) in zip(names, groups, strict=True):
        netscaler.config["servicegroup"][name] |= {"usip": usip, "useproxyport": useproxyport}
        if usip == "NO":
            expected.add(("service", name, "usip", "NO", "YES"))
        if proxy_port not in (None, useproxyport):
            expected.add(("service", name, "useproxyport", useproxyport, str(proxy_port)))

    def make() -> Adapter:
        return NetScalerAdapter(
            Endpoint("127.0.0.1"),
            username="nsroot",
            password=netscaler.state["users"]["nsroot"]["password"],
            subnet_ip_mode=subnet_ip_mode,
            use_proxy_port=use_proxy_port,
        )

    holds(make, expected)


@examples(25)
@given(
    version=st.sampled_from([1, 2]), services=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=2)
)
def test_loadmaster(loadmaster: LoadMaster, version: int, services: list[tuple[bool, bool]]) -> None:
    loadmaster.reset()
    expected = set()
    for port, (transparent, layer_4) in zip(PORTS, services, strict=True):
        loadmaster.service("203.0.113.30", port).update(Transparent=transparent, Layer=4 if layer_4 else 7)
        if not (transparent or layer_4):
            expected.add(("service", f"203.0.113.30:{port}/udp", "Transparent", "False", "True"))

    def make() -> Adapter:
        return LoadMasterAdapter(
            Endpoint("127.0.0.1"),
            username="bal",
            password="lab-loadmaster-secret-1",
            api_version=version,
        )

    holds(make, expected)
