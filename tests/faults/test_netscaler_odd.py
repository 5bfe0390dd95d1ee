# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Citrix ADC: answers in which something is odd. Each ends in a result or in an error of our own, never in another exception."""

from __future__ import annotations

import copy
import json
import typing as t
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.aovpn.ikev2.plugins.module_utils._engine import Result, RunFailed, run
from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Answer, Http
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Order
from ansible_collections.aovpn.ikev2.plugins.module_utils._netscaler.adapter import NetScaler as Adapter
from expectations import ENDPOINT, HOST
from lab.netscaler import TEMPLATES, NetScaler
from mutations import examples, mutated

BASE = "/nitro/v1/config/"
VIP = "203.0.113.20"
GOOD = {"10.10.0.11": "10.10.0.1", "10.10.0.12": "10.10.0.1", "2001:db8:a::11": "2001:db8:a::1"}
ROOT = {"X-NITRO-USER": "nsroot", "X-NITRO-PASS": "lab-netscaler-secret-1"}

DELETED = object()
ODD: list[t.Any] = [DELETED, None, 7, ["x"], {"x": 1}, "x", "\x00\x1b\n\x7f"]


@pytest.fixture(scope="module")
def device() -> NetScaler:
    """Return a device with something of everything: pairs of groups, of services, of IPv6, backups, IP sets, a cluster."""
    device = NetScaler(group_persistence="own")
    device.add_pair("203.0.113.41", "plain", ["10.10.0.11"], plain=True)
    device.add_pair("2001:db8::20", "six", ["2001:db8:a::11"])
    device.add_content_switching("203.0.113.50", "cs", ["10.10.0.12"])
    device.add_backup("lb_vs_dns", "spare", ["10.10.0.54"])
    config = device.config
    for name in ("plain_500", "plain_4500"):
        config["lbvserver"][name]["ipset"] = "more"
    config["ipset_nsip_binding"].append({"name": "more", "ipaddress": "198.51.100.7"})
    config["ipset_nsip6_binding"].append({"name": "other", "ipaddress": "2001:db8::7"})
    device.add_net_profile("np", "more", config["lbvserver"]["lb_vs_ikev2_500"])
    config["nsip6"]["six"] = {**TEMPLATES["nsip6"], "ipv6address": "2001:db8:a::1/64"}
    return device


class Played:
    """The device's answers, kept, with at most one thing in them changed."""

    def __init__(self, device: NetScaler) -> None:
        self.http = device.app.test_client()
        self.answers: dict[str, dict[str, t.Any]] = {"login": {"errorcode": 0}, "logout": {"errorcode": 0}}
        self.texts: dict[str, str] = {}
        self.spoilt = ""

    def __call__(self, http: Http, path: str) -> Answer:
        """Answer in place of the device."""
        http.requests += 1
        key = path.removeprefix(BASE)
        if key not in self.answers:
            self.answers[key] = self.http.get(path, headers=ROOT).get_json()
        if key == self.spoilt or key not in self.texts:
            self.texts[key] = json.dumps(self.answers[key])
        return Answer(200, self.texts[key], http.device)


@pytest.fixture
def played(device: NetScaler, monkeypatch: pytest.MonkeyPatch) -> Played:
    played = Played(device)
    monkeypatch.setattr(Http, "send", lambda http, _method, path, **_how: played(http, path))
    return played


def go(order: Order) -> Result | RunFailed:
    """Run the engine; nothing but an error of our own may come out of it."""
    try:
        return run(Adapter(ENDPOINT, username="nsroot", password="secret"), order, check_mode=True)
    except RunFailed as error:
        return error


def places(answers: dict[str, dict[str, t.Any]]) -> Iterator[tuple[str, dict[str, t.Any], str]]:
    """Return every key of every object of every answer."""
    for path, body in answers.items():
        objects = [body, *(item for part in body.values() for item in (part if isinstance(part, list) else [part]))]
        for item in objects:
            if isinstance(item, dict):
                yield from ((path, item, key) for key in [*item])


def spoilt(item: dict[str, t.Any], key: str) -> Iterator[t.Any]:
    """Make each odd thing of a key in turn."""
    kept = copy.copy(item)
    for odd in ODD:
        if odd is DELETED:
            del item[key]
        else:
            item[key] = odd
        yield odd
        item.clear()
        item.update(kept)


NAMES = ("name", "servicegroupname", "servicename", "vservername", "ipaddress", "ipv6address")
ALL = Order(return_path=GOOD)
ONE = Order(return_path=GOOD, addresses=(VIP,))
CHOSEN = {"lb_vs_ikev2_500", "lb_vs_ikev2_4500", "sg_ikev2_500", "sg_ikev2_4500", "pg_ikev2", "10.10.0.1"}


@pytest.mark.parametrize("nth", [5, pytest.param(1, marks=pytest.mark.matrix)])
def test_whatever_is_odd_ends_in_a_result_or_an_error_of_our_own_and_in_a_result_where_it_is_not_chosen(
    played: Played, nth: int
) -> None:
    every, one = go(ALL), go(ONE)
    assert isinstance(every, Result)
    assert isinstance(one, Result)
    tried = dict.fromkeys((True, False), 0)
    for path, item, key in [*places(played.answers)][::nth]:
        names = {str(item[name]) for name in NAMES if name in item}
        dispensable = bool(names) and not names & CHOSEN and path != "hanode/0"
        played.texts.pop(played.spoilt, None)
        played.spoilt = path
        for odd in spoilt(item, key):
            came = go(ONE if dispensable else ALL)
            where = f"{path} {names} {key} {odd!r}: {came}"
            tried[dispensable] += 1
            if isinstance(came, RunFailed):
                assert not dispensable, where
                assert HOST in str(came), where
                assert came.result.undone is True, where
            elif dispensable:
                assert (came.services, came.changes) == (one.services, one.changes), where
    assert min(tried.values()) > 1000 // nth


@examples(100)
@given(st.data())
def test_several_odd_things_end_in_a_result_or_an_error_of_our_own(played: Played, data: st.DataObject) -> None:
    go(ALL)
    kept = played.answers
    odd = {
        path: data.draw(mutated(kept[path])) for path in data.draw(st.sets(st.sampled_from(sorted(kept)), min_size=1))
    }
    played.answers, played.texts = kept | odd, {}
    try:
        came = go(data.draw(st.sampled_from([ALL, ONE, replace(ALL, state="gathered")])))
    finally:
        played.answers, played.texts = kept, {}
    if isinstance(came, RunFailed):
        assert HOST in str(came)
        assert came.result.undone is True


@pytest.mark.parametrize("odd", [None, 7, "x", [], ["x"]])
def test_rows_that_are_no_objects(played: Played, odd: t.Any) -> None:
    first = go(ONE)
    assert isinstance(first, Result)
    for path, body in played.answers.items():
        played.texts.clear()
        played.spoilt = path
        for key, rows in body.items():
            if isinstance(rows, list) and not path.startswith("hanode"):
                rows.append(odd)
                came = go(ONE)
                rows.pop()
                assert isinstance(came, Result), (path, key, str(came))
                assert came.services == first.services, (path, key)
