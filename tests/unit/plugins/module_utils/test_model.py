# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The words: addresses, snapshots, and what a task may ask for."""

from __future__ import annotations

import json
import re
import typing as t
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.aovpn.ikev2.plugins.module_utils._model import (
    FINDING_CODES,
    InvalidInput,
    Order,
    Refused,
    Service,
    Snapshot,
    canonical_address,
)

REPOSITORY = Path(__file__).parents[4]

OPTIONS: dict[str, t.Any] = {
    "state": "preserved",
    "addresses": None,
    "services": None,
    "ports": [500, 4500],
    "snapshot": None,
    "return_path": None,
    "accept": [],
}


@given(st.ip_addresses(v=4), st.integers(0, 65534))
def test_a_route_domain_stays_unless_it_is_the_default_one(address: IPv4Address, domain: int) -> None:
    assert canonical_address(f" {address}%{domain} ") == (f"{address}%{domain}" if domain else str(address))


@given(st.ip_addresses(v=6))
def test_every_notation_of_an_ipv6_address_is_the_same(address: IPv6Address) -> None:
    spellings = {address.exploded, address.exploded.upper(), address.compressed, f"[{address.compressed}]"}
    assert len({canonical_address(spelling) for spelling in spellings}) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "10.1",
        "1.2.3.4.5",
        "01.2.3.4",
        "0x7f.1",
        "1.2.3.4/24",
        "1.2.3.4%",
        "1.2.3.4%x",
        "1.2.3.4%-1",
        "::1::",
        "7",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an IP address"):
        canonical_address(text)


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("addresses", [], "'addresses' is an empty list"),
        ("services", [], "'services' is an empty list"),
        ("services", ["a", " "], "'services' holds an empty name"),
        ("ports", [], "'ports' is an empty list"),
        ("ports", [500, 0], "'ports' holds 0"),
        ("ports", [65536], "'ports' holds 65536"),
        ("addresses", ["vpn.example.net"], "'addresses' holds 'vpn.example.net'"),
        ("return_path", {"rras1": "10.0.0.1"}, "'return_path' holds 'rras1'"),
        ("return_path", {"10.0.0.1": None}, "'return_path' holds None"),
        ("accept", ["return_path_rwong"], "unknown code 'return_path_rwong'"),
        ("state", "restored", "'snapshot' and state 'restored' go together"),
        ("snapshot", {"platform": "bigip"}, "'snapshot' and state 'restored' go together"),
    ],
)
def test_bad_options_are_named(option: str, value: t.Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(words)):
        Order.parse(**{**OPTIONS, option: value})


def test_addresses_and_services_exclude_each_other() -> None:
    with pytest.raises(InvalidInput, match="exclude each other"):
        Order.parse(**{**OPTIONS, "addresses": ["192.0.2.1"], "services": ["vs"]})


def test_an_order_is_in_canonical_form() -> None:
    order = Order.parse(
        **{
            **OPTIONS,
            "addresses": ["2001:DB8::0:1"],
            "ports": [4500, 500, 500],
            "return_path": {"10.0.0.2": "010.0.0.1"[1:]},
        }
    )
    assert order.addresses == ("2001:db8::1",)
    assert order.ports == (500, 4500)
    assert order.return_path == {"10.0.0.2": "10.0.0.1"}


values = st.text() | st.booleans() | st.dictionaries(st.text(), st.text())


@given(st.dictionaries(st.text(), values), st.dictionaries(st.text(), values))
def test_a_snapshot_survives_json(services: dict[str, t.Any], device: dict[str, t.Any]) -> None:
    snapshot = Snapshot("bigip", "host", services, device)
    assert Snapshot.parse(json.loads(json.dumps(snapshot.as_dict()))) == snapshot
    assert snapshot.as_dict() == Snapshot("bigip", "host", dict(reversed(services.items())), device).as_dict()


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"platform": "bigip"},
        {"platform": "x", "host": "y", "services": {}, "device": []},
        {"services": [1]},
        {"services": None},
    ],
)
def test_what_is_not_a_snapshot_is_refused(raw: t.Any) -> None:
    with pytest.raises(InvalidInput, match="Option 'snapshot' is not what an earlier run returned"):
        Order.parse(**{**OPTIONS, "state": "restored", "snapshot": raw})


@pytest.mark.parametrize("value", [1, None, ["automap"], {"type": 1}])
def test_a_snapshot_with_a_value_that_no_device_has_is_refused(value: t.Any) -> None:
    with pytest.raises(InvalidInput, match="Option 'snapshot'"):
        Snapshot.parse({"platform": "bigip", "host": "x", "services": [{"id": "vs", "value": value}], "device": {}})


def test_a_service_shows_the_documented_keys_only() -> None:
    keys = {"id", "address", "port", "protocol", "enabled", "source_preserved", "value", "servers"}
    assert set(Service("id", "192.0.2.1", 500, {"snat": "none"}, True, names=("other",)).as_dict()) == keys


def test_the_table_of_findings_names_every_code() -> None:
    table = (REPOSITORY / "docs" / "findings.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == sorted(FINDING_CODES)


def test_what_a_device_says_cannot_pass_for_something_else() -> None:
    """Control characters would move the cursor of a terminal, or begin a line of their own."""
    forged = "no.\r\nPLAY RECAP\x1b[2J\u202e"
    assert str(Refused(forged)) == "no.  PLAY RECAP<U+001B>[2J<U+202E>"
