# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a snapshot says in every format, what is published of it, and what a stranger's is taken for."""

from __future__ import annotations

import copy
import json
import typing as t

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._plain import plain
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.snapshot import Given, SiteSnapshot

SERVICES = [
    {
        "id": f"sg_{port}",
        "address": "203.0.113.20",
        "port": port,
        "protocol": "udp",
        "enabled": True,
        "source_preserved": False,
        "value": "NO",
        "servers": [{"address": "10.10.0.11", "port": port, "gateways": ["10.10.0.1"]}],
    }
    for port in (500, 4500)
]
OF_DEVICE = {
    "platform": "netscaler",
    "host": "ns.example.net",
    "services": [{"id": "sg_4500", "value": "NO"}, {"id": "sg_500", "value": "NO"}],
    "device": {"usnip": False},
}
ROUTES = [
    {"store": store, "destination": prefix, "next_hop": "10.10.0.254", "interface": "External", "metric": 256}
    for store in ("ActiveStore", "PersistentStore")
    for prefix in ("0.0.0.0/0", "192.168.0.0/16")
]
FACTS = {"gateway": "10.10.0.254", "addresses": ["10.10.0.11"], "routes": ROUTES, "ike_limit": None}
CLIENTS = {"sas": {"198.51.100.7": 3}, "sas_unclear": {"198.51.100.8": 1}, "sas_other": 1, "tunnels": 3}
TAKEN = "2026-01-31T02:00:00Z"

FIRST: dict[str, t.Any] = {
    "format": 1,
    "taken": TAKEN,
    "load_balancers": {"ns": OF_DEVICE},
    "services": {"ns": SERVICES},
    "servers": {"rras1": FACTS},
}
FIRST_WITH_OWN_ADDRESSES: dict[str, t.Any] = {
    **FIRST,
    "own_addresses": {"ns": ["10.10.0.1"]},
    "servers": {"rras1": {**FACTS, **CLIENTS, "restart_owed": False, "changes": [], "findings": []}},
}
SECOND: dict[str, t.Any] = {
    "format": 2,
    "taken": TAKEN,
    "playbook": "remediate",
    "finished": "2026-01-31T02:03:00Z",
    "used": {"ns": ["2026-01-31T03:00:00Z", "2026-01-31T04:00:00Z"]},
    "load_balancers": {"ns": {"snapshot": OF_DEVICE, "services": SERVICES, "own_addresses": ["10.10.0.1"]}},
    "servers": FIRST_WITH_OWN_ADDRESSES["servers"],
}


@pytest.mark.parametrize("written", [FIRST, FIRST_WITH_OWN_ADDRESSES, SECOND], ids=["1", "1, own addresses", "2"])
def test_each_format_that_was_ever_written_is_read(written: dict[str, t.Any]) -> None:
    found = SiteSnapshot.of_text(json.dumps(written))
    assert found.taken == TAKEN
    assert found.hosts == ("ns", "rras1")
    part = found.load_balancers["ns"]
    assert part.snapshot.as_dict() == OF_DEVICE
    assert [service.as_dict() for service in part.services] == SERVICES
    assert part.own_addresses == (() if written is FIRST else ("10.10.0.1",))
    assert {key: found.servers["rras1"][key] for key in FACTS} == FACTS
    assert found.finished == (SECOND["finished"] if written is SECOND else "")
    assert SiteSnapshot.of_text(json.dumps(found.as_dict())) == found


def test_what_is_written_is_the_second_format() -> None:
    assert SiteSnapshot.parse(SECOND).as_dict() == SECOND


def test_a_later_format_is_refused_as_such() -> None:
    with pytest.raises(ValueError, match="its format is 3, and this version reads 1 and 2"):
        SiteSnapshot.parse({**SECOND, "format": 3})


# -- what is published


def test_what_is_published_restores_everything_and_has_no_client() -> None:
    text = SiteSnapshot.parse(SECOND).as_text()
    assert "198.51.100" not in text
    assert "sas" not in text
    found = SiteSnapshot.of_text(text)
    assert found.load_balancers["ns"].snapshot.as_dict() == OF_DEVICE
    assert found.load_balancers["ns"].own_addresses == ("10.10.0.1",)
    assert [
        (one.id, one.address, one.port, one.source_preserved, one.value) for one in found.load_balancers["ns"].services
    ] == [
        ("sg_500", "203.0.113.20", 500, False, "NO"),
        ("sg_4500", "203.0.113.20", 4500, False, "NO"),
    ]
    assert found.servers["rras1"] == {**FACTS, "restart_owed": False}


def test_a_hundred_pairs_stay_below_64_kib() -> None:
    services, values = [], []
    for number in range(100):
        for port in (500, 4500):
            name = f"/Common/vs_always_on_vpn_ikev2_site_{number:03}_{port}"
            value = {"type": "snat", "pool": f"/Common/snat_pool_of_site_{number:03}"}
            services.append({**SERVICES[0], "id": name, "address": f"203.0.113.{number}", "value": value})
            values.append({"id": name, "value": value})
    part = {
        "snapshot": {**OF_DEVICE, "platform": "bigip", "services": values, "device": {}},
        "services": services,
        "own_addresses": [f"203.0.113.{number}" for number in range(200)],
    }
    servers = {f"rras{number}": SECOND["servers"]["rras1"] for number in (1, 2)}
    text = SiteSnapshot.parse({**SECOND, "load_balancers": {"bigip": part}, "servers": servers}).as_text()
    assert len(text.encode()) < 64 * 1024
    assert len(SiteSnapshot.of_text(text).load_balancers["bigip"].services) == 200


@given(st.text('{%#} a"\\', max_size=12))
def test_no_template_begins_in_what_is_published(name: str) -> None:
    raw = copy.deepcopy(SECOND)
    raw["load_balancers"]["ns"]["snapshot"]["services"][0]["id"] = name
    raw["load_balancers"]["ns"]["services"][1]["id"] = name
    raw["servers"][name] = raw["servers"].pop("rras1")
    text = SiteSnapshot.parse(raw).as_text()
    assert not any(sign in text for sign in ("{{", "{%", "{#"))
    found = SiteSnapshot.of_text(text)
    assert name in found.load_balancers["ns"].snapshot.services
    assert [*found.servers] == [name]


# -- what a person or AWX makes of it


def test_what_yaml_makes_of_a_text_is_understood_where_it_means_one_thing() -> None:
    raw = copy.deepcopy(SECOND)
    part = raw["load_balancers"].pop("ns")
    part["snapshot"]["services"] = [{"id": "500", "value": "NO"}, {"id": "sg_4500", "value": "YES"}]
    part["services"][0].update(id="500", value="NO")
    part["services"][1].update(value="YES", source_preserved=True)
    raw["load_balancers"]["500"] = part
    meant = SiteSnapshot.parse(raw)
    for text in ('"500"', '"NO"', '"YES"', f'"{TAKEN}"'):
        assert text in json.dumps(raw)
    # As ansible-core 2.19 and later read single texts in the extra variables of AWX.
    mangled = yaml.safe_load(
        json.dumps(raw)
        .replace('"500"', "500")
        .replace('"NO"', "NO")
        .replace('"YES"', "YES")
        .replace(f'"{TAKEN}"', TAKEN)
    )
    assert mangled["load_balancers"][500]["snapshot"]["services"][0] == {"id": 500, "value": False}
    assert SiteSnapshot.parse(plain(mangled)) == meant


@pytest.mark.parametrize(
    ("platform", "identifier", "value"),
    [
        ("netscaler", False, "NO"),
        ("netscaler", 1.1, "NO"),
        ("netscaler", None, "NO"),
        ("netscaler", "sg", None),
        ("netscaler", "sg", 1),
        ("bigip", "/Common/vs", False),
        ("bigip", "/Common/vs", 500),
        ("bigip", "/Common/vs", {"type": "snat", "pool": 5}),
        ("loadmaster", "203.0.113.30:500/udp", None),
        ("loadmaster", "203.0.113.30:500/udp", "true"),
    ],
)
def test_what_may_mean_several_things_is_refused(platform: str, identifier: t.Any, value: t.Any) -> None:
    raw = copy.deepcopy(SECOND)
    service = {"id": identifier, "value": value}
    raw["load_balancers"]["ns"] = {
        "snapshot": {**OF_DEVICE, "platform": platform, "services": [service]},
        "services": [],
    }
    with pytest.raises(ValueError, match="not a snapshot that a playbook of this collection wrote"):
        SiteSnapshot.parse(raw)


def test_a_null_is_none_on_a_big_ip() -> None:
    raw = copy.deepcopy(SECOND)
    of_device = {**OF_DEVICE, "platform": "bigip", "services": [{"id": "/Common/vs", "value": None}]}
    raw["load_balancers"] = {"f5": {"snapshot": of_device, "services": []}}
    assert SiteSnapshot.parse(raw).load_balancers["f5"].snapshot.services == {"/Common/vs": "none"}


@pytest.mark.parametrize(
    "change",
    [
        {"ike_limit": True},
        {"ike_limit": "50000"},
        {"gateway": "everywhere"},
        {"routes": [{**ROUTES[0], "interface": False}]},
        {"routes": [{}]},
        {"routes": 5},
    ],
)
def test_a_strangers_server_is_refused(change: dict[str, t.Any]) -> None:
    with pytest.raises(ValueError, match="not a snapshot that a playbook of this collection wrote"):
        SiteSnapshot.parse({**SECOND, "servers": {"rras1": {**FACTS, **change}}})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from([*SECOND, "snapshot", "services", "platform", "ns"]), inner)
        ),
    )
)
def test_whatever_else_it_is_the_error_says_so(raw: t.Any) -> None:
    with pytest.raises(ValueError, match="not a snapshot that a playbook of this collection wrote"):
        SiteSnapshot.of_text(json.dumps(raw))


def test_a_text_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match="not a snapshot that a playbook of this collection wrote"):
        SiteSnapshot.of_text('{"format":' * 100_000)


# -- what a run is given


def test_the_variable_snapshot_wins_over_what_awx_hands_on() -> None:
    text = json.dumps(SECOND)
    assert Given.parse({}) == Given.parse({"snapshot": None, "ikev2_snapshot": " "}) == Given()
    assert Given.parse({"snapshot": "", "ikev2_snapshot": text}) == Given(
        "ikev2_snapshot", snapshot=SiteSnapshot.parse(SECOND)
    )
    assert Given.parse({"snapshot": "all", "ikev2_snapshot": text}) == Given("snapshot", "all")
    assert Given.parse({"snapshot": f"  {text}"}) == Given.parse({"snapshot": SECOND})


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"snapshot": "{broken"}, "The variable snapshot cannot be used: This is not a snapshot"),
        ({"snapshot": {"format": 2}}, "The variable snapshot cannot be used: This is not a snapshot"),
        ({"snapshot": ["a", "b"]}, "has to be a dictionary, or its JSON text"),
        ({"ikev2_snapshot": "20260101T000000Z.json"}, "The variable ikev2_snapshot is '20260101T000000Z.json'"),
    ],
)
def test_anything_else_is_refused(extra: dict[str, t.Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Given.parse(extra)


def test_a_pair_of_which_one_half_was_changed_is_half() -> None:
    raw = copy.deepcopy(SECOND)
    assert SiteSnapshot.parse(raw).load_balancers["ns"].halves == ()
    raw["load_balancers"]["ns"]["services"][1].update(source_preserved=True, value="YES")
    assert SiteSnapshot.parse(raw).load_balancers["ns"].halves == ("203.0.113.20",)
