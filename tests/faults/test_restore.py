# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restoring on all three platforms: check mode fails where the run would, and half a pair is named, completed or put back."""

from __future__ import annotations

import contextlib
import typing as t
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from one_device import PORTS, OneDevice

from ansible_collections.aovpn.ikev2.plugins.module_utils._engine import Result, RunFailed
from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Answer, Http
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Snapshot, State
from lab.bigip import BigIp
from lab.direct import directly
from lab.loadmaster import LoadMaster
from lab.netscaler import NetScaler
from mutations import examples


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible_collections.aovpn.ikev2.plugins.module_utils._loadmaster.adapter.SECONDS", 0.0)


@pytest.fixture
def bigip(monkeypatch: pytest.MonkeyPatch) -> OneDevice:
    return OneDevice(directly(BigIp("bigip"), monkeypatch))


@pytest.fixture
def netscaler(monkeypatch: pytest.MonkeyPatch) -> OneDevice:
    return OneDevice(directly(NetScaler("netscaler"), monkeypatch))


@pytest.fixture
def loadmaster(monkeypatch: pytest.MonkeyPatch) -> OneDevice:
    return OneDevice(directly(LoadMaster(), monkeypatch))


@pytest.fixture(params=["bigip", "netscaler", "loadmaster"])
def lab(request: pytest.FixtureRequest) -> OneDevice:
    """Return each platform in turn."""
    found: OneDevice = request.getfixturevalue(request.param)
    return found


# Check mode fails exactly where the run would


TRANSLATION = st.sampled_from(
    [
        {"type": "none"},
        {"type": "automap"},
        {"type": "snat", "pool": "/Common/sp_ikev2"},
        {"type": "snat", "pool": "/Common/sp_other"},
        {"type": "lsn", "pool": "/Common/lsn"},
    ]
)
GONE = st.sets(
    st.sampled_from([("snatpool", "/Common/sp_ikev2"), ("snatpool", "/Common/sp_other"), ("lsn-pool", "/Common/lsn")])
)


@examples(25)
@given(was=st.tuples(TRANSLATION, TRANSLATION), now=st.tuples(TRANSLATION, TRANSLATION), gone=GONE)
def test_a_bigips_snapshot(bigip: OneDevice, was: t.Any, now: t.Any, gone: set[tuple[str, str]]) -> None:
    device = t.cast(BigIp, bigip.device)
    device.reset()
    device.add_snat_pool("/Common/sp_other", out="10.20.0.9")
    device.put("lsn-pool", "/Common/lsn", {"mode": "napt", "members": ["198.51.100.0/24"]})

    def put(values: t.Sequence[dict[str, str]]) -> None:
        for name, value in zip(bigip.names, values, strict=True):
            device.state["virtual"][name]["sourceAddressTranslation"] = dict(value)

    put(was)
    snapshot = bigip.snapshot()
    put(now)
    # The device keeps what something refers to.
    lost = {
        pool for kind, pool in gone if pool not in [value.get("pool") for value in now] and device.state[kind].pop(pool)
    }
    reason = bigip.restores(snapshot)
    wanted = {before.get("pool") for before, present in zip(was, now, strict=True) if before != present}
    assert bool(reason) is bool(lost & wanted)
    for pool in lost & wanted:
        assert str(pool) in reason
    assert bigip.values() == [*(now if reason else was)]


YES_OR_NO = st.sampled_from(["YES", "NO"])
USIP = st.tuples(st.tuples(YES_OR_NO, YES_OR_NO), st.tuples(YES_OR_NO, YES_OR_NO))


@examples(25)
@given(was=USIP, now=USIP, failover=st.booleans(), proxy_port=st.booleans())
def test_a_netscalers_snapshot(netscaler: OneDevice, was: t.Any, now: t.Any, failover: bool, proxy_port: bool) -> None:
    device = t.cast(NetScaler, netscaler.device)
    device.reset()
    more = {"use_proxy_port": True} if proxy_port else {}

    def put(values: t.Any) -> None:
        for name, (usip, useproxyport) in zip(netscaler.names, values, strict=True):
            device.config["servicegroup"][name].update(usip=usip, useproxyport=useproxyport)

    put(was)
    snapshot = netscaler.snapshot(**more)
    put(now)
    if failover:
        device.config["lbvserver"]["lb_vs_ikev2_4500"]["connfailover"] = "STATEFUL"
    reason = netscaler.restores(snapshot)
    pairs = [*zip(was, now, strict=True)]
    held = failover and (was[1][0], now[1][0]) == ("NO", "YES")
    off = proxy_port and any(before[0] == after[0] == "NO" and before[1] != after[1] for before, after in pairs)
    assert ("connection failover" in reason, "only while Use Client IP is on" in reason) == (held, off)


@pytest.mark.parametrize("layer4", ["accepted", "ignored", "refused"])
@pytest.mark.parametrize("was", [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("now", [(False, False), (True, True)])
def test_a_loadmasters_snapshot(
    monkeypatch: pytest.MonkeyPatch, layer4: t.Any, was: tuple[bool, bool], now: tuple[bool, bool]
) -> None:
    """On layer 4 the flag means nothing, and no document says what a device does with it: it is never sent."""
    device = directly(LoadMaster(layer4=layer4), monkeypatch)
    loadmaster = OneDevice(device)
    for values, layer in ((was, 7), (now, 4)):
        snapshot = loadmaster.snapshot() if layer == 4 else None
        for port, value in zip(PORTS, values, strict=True):
            device.service("203.0.113.30", port).update(Transparent=value)
        device.service("203.0.113.30", 4500).update(Layer=layer)
    assert snapshot is not None
    reason = loadmaster.restores(snapshot)
    assert ("203.0.113.30:4500/udp is on layer 4 now" in reason) is (was[1] != now[1])


def remove(lab: OneDevice) -> None:
    """Take away what the snapshot names."""
    device = lab.device
    if isinstance(device, BigIp):
        del device.state["virtual"][lab.names[0]]
    elif isinstance(device, NetScaler):
        for table in ("lbvserver_servicegroup_binding", "servicegroup_servicegroupmember_binding"):
            rows = device.config[table]
            rows[:] = [row for row in rows if row["servicegroupname"] != lab.names[0]]
        del device.config["servicegroup"][lab.names[0]]
    else:
        services = device.state["services"]
        del services[next(index for index, row in services.items() if row["VSPort"] == "500")]


def rename(lab: OneDevice) -> None:
    """Let it have another name: a LoadMaster names services by address and port."""
    device = lab.device
    if isinstance(device, BigIp):
        device.state["virtual"]["/Common/renamed"] = device.state["virtual"].pop(lab.names[0])
    elif isinstance(device, NetScaler):
        groups = device.config["servicegroup"]
        groups["renamed"] = {**groups.pop(lab.names[0]), "servicegroupname": "renamed"}
        for table in ("lbvserver_servicegroup_binding", "servicegroup_servicegroupmember_binding"):
            for row in device.config[table]:
                row.update(servicegroupname="renamed") if row["servicegroupname"] == lab.names[0] else None
    else:
        device.service("203.0.113.30", 500).update(VSAddress="203.0.113.31")


@pytest.mark.parametrize("lose", [remove, rename])
def test_a_service_that_is_gone(lab: OneDevice, lose: Callable[[OneDevice], None]) -> None:
    snapshot = lab.snapshot()
    lab.done("preserved")
    lose(lab)
    predicted, done = (lab.go("restored", snapshot, check_mode=check_mode) for check_mode in (True, False))
    assert isinstance(done, RunFailed)
    assert str(done) == str(predicted)
    assert (lab.device.writing(), done.result.final_state) == ([], "unchanged")
    for said in ("127.0.0.1", lab.names[0], "create it again, or take it out of the snapshot"):
        assert said in str(done)


# Half a pair


class Killed(BaseException):
    """The process is no more."""


NEVER = 99


def writes(method: str, path: str, body: t.Any) -> bool:
    """Report whether a request changes the device. A log-in does not, nor does the one that begins a transaction."""
    if path.startswith("/accessv2"):
        return bool(body["cmd"] == "modvs")
    return method in ("POST", "PUT", "PATCH") and not path.endswith(("/login", "/logout", "/transaction"))


def kill(lab: OneDevice, monkeypatch: pytest.MonkeyPatch, after: int) -> int:
    """Run ``preserved`` in a process that is killed after so many writes. Return how many there were."""
    sent, arrived, dead = Http.send, 0, False

    def send(http: Http, method: str, path: str, **how: t.Any) -> Answer:
        nonlocal arrived, dead
        write = writes(method, path, how.get("body"))
        dead = dead or (write and arrived == after)
        if dead:
            raise Killed
        arrived += write
        return sent(http, method, path, **how)

    # The exception goes through the engine as it is (`raw_faults`), without a rollback: a killed process makes none.
    with monkeypatch.context() as patch:
        patch.setattr(Http, "send", send)
        with pytest.raises(Killed) if after < NEVER else contextlib.nullcontext():
            lab.go("preserved")
    return arrived


def half(result: Result) -> list[tuple[str, str]]:
    return [(finding.severity, finding.object) for finding in result.findings if finding.code == "pair_inconsistent"]


def mixed(netscaler: OneDevice) -> None:
    """Let the second half of the pair have a service for each server: NITRO sets these in a request of their own."""
    device = t.cast(NetScaler, netscaler.device)
    device.add_pair("203.0.113.21", "ikev2_plain", plain=True)
    config = device.config
    for row in config["lbvserver_service_binding"]:
        row["name"] = {"ikev2_plain_4500": "lb_vs_ikev2_4500"}.get(row["name"], row["name"])
    bindings = config["lbvserver_servicegroup_binding"]
    bindings[:] = [row for row in bindings if row["name"] != "lb_vs_ikev2_4500"]
    for name in ("ikev2_plain_500", "ikev2_plain_4500"):
        del config["lbvserver"][name]
    for table in ("lbvserver_service_binding", "lbgroup_lbvserver_binding"):
        config[table][:] = [row for row in config[table] if row.get("vservername", row["name"]) in config["lbvserver"]]


@pytest.mark.parametrize(
    ("platform", "writes", "between"), [("bigip", 4, None), ("netscaler", 4, 2), ("loadmaster", 2, 1)]
)
def test_killed_at_each_write_a_pair_is_completed_or_put_back(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, platform: str, writes: int, between: int | None
) -> None:
    """``between``: after how many writes half of the pair is changed. A BIG-IP changes it in one transaction: all or nothing."""
    lab: OneDevice = request.getfixturevalue(platform)
    if platform == "netscaler":
        mixed(lab)
    snapshot, before = lab.snapshot(), lab.values()
    assert kill(lab, monkeypatch, NEVER) == writes
    after = lab.values()
    assert after != before
    lab.done("restored", snapshot)
    for done in range(writes):
        halves = [("warning", ", ".join(lab.services()))] if done == between else []
        repairs: tuple[tuple[State, Snapshot | None, t.Any], ...] = (
            ("preserved", None, after),
            ("restored", snapshot, before),
        )
        for state, given_back, expected in repairs:
            assert lab.values() == before
            assert kill(lab, monkeypatch, done) == done
            looked = lab.done("gathered")
            assert half(looked) == halves
            assert len({item.source_preserved for item in looked.services}) == (2 if halves else 1)
            repaired = lab.done(state, given_back)
            assert half(repaired) == halves
            assert lab.values() == expected
            assert half(lab.done("gathered")) == []
            lab.done("restored", snapshot)


def test_a_snapshot_of_half_a_pair_says_so(lab: OneDevice) -> None:
    whole = lab.snapshot()
    lab.done("preserved")
    kept = lab.snapshot()
    first = sorted(whole.services)[0]
    split = Snapshot(whole.platform, whole.host, {**kept.services, first: whole.services[first]}, kept.device)
    for check_mode in (True, False):
        result = lab.done("restored", split, check_mode=check_mode)
        (finding,) = [finding for finding in result.findings if finding.code == "pair_inconsistent"]
        assert finding.severity == "warning"
        assert "snapshot holds half a pair" in finding.message
    unchanged = lab.done("restored", split)
    assert (unchanged.changed, len(half(unchanged))) == (False, 1)
    states: tuple[State, ...] = ("gathered", "preserved")
    for state in states:
        result = lab.done(state)
        (finding,) = [finding for finding in result.findings if finding.code == "pair_inconsistent"]
        assert "completes the pair" in finding.remedy
    assert half(lab.done("preserved")) == []


def test_half_a_pair_is_judged_by_its_effect(loadmaster: OneDevice) -> None:
    """On layer 4 a LoadMaster keeps the client's address whatever the flag says."""
    device = t.cast(LoadMaster, loadmaster.device)
    device.service("203.0.113.30", 4500).update(Layer=4)
    assert len(half(loadmaster.done("gathered"))) == 1
    device.service("203.0.113.30", 500).update(Transparent=True)
    assert half(loadmaster.done("gathered")) == []
