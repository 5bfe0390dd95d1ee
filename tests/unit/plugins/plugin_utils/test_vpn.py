# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a VPN server's figures say, and whose addresses it sees."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._audit import load_balancer_addresses, sources
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.errors import PlanError
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.facts import ServerFacts, key_module

NETWORK = {"gateway": "10.10.0.1", "networks": ["10.10.0.11/24", "192.168.10.11/24"]}
STARTED, LATER = "2026-01-05T06:00:20.0000000Z", "2026-01-05T06:00:20.0000001Z"


def association(address: str, name: t.Any = "IKEv2", number: t.Any = None, count: t.Any = 1) -> dict[str, t.Any]:
    """Return associations as read_vpn.ps1 counts them."""
    return {"remote_address": address, "key_module": number, "key_module_name": name, "count": count}


def raw(**changes: t.Any) -> dict[str, t.Any]:
    """Return what read_vpn.ps1 gives of a healthy server."""
    running = {"state": "running", "start": "automatic", "dependents": []}
    return {
        "now": "2026-01-05T07:00:00.0000000Z",
        "services": {"IKEEXT": running, "RemoteAccess": running},
        "ikeext_started": STARTED,
        "ike_limit": None,
        "restart_owed_since": None,
        "fragmentation": 1,
        "ikev2_ports": 128,
        "tunnels": 2,
        "associations": [association("198.51.100.7"), association("198.51.100.8")],
        "administrator": True,
        **changes,
    }


def read(**changes: t.Any) -> dict[str, t.Any]:
    """Return the facts of a server."""
    return ServerFacts.parse(raw(**changes)).as_dict()


def codes(**changes: t.Any) -> list[str]:
    """List the findings' codes."""
    return [finding.code for finding in ServerFacts.parse(raw(**changes)).findings("rras1")]


def test_a_healthy_server() -> None:
    facts = read()
    assert codes() == []
    assert (facts["ike_limit"], facts["restart_owed"]) == (None, False)
    assert facts["sas"] == {"198.51.100.7": 1, "198.51.100.8": 1}


def test_an_association_that_names_nobody_is_left_out() -> None:
    facts = read(associations=[association(""), association("198.51.100.7", count=2), association("fe80::1%4")])
    assert facts["sas"] == {"198.51.100.7": 2, "fe80::1%4": 1}


@pytest.mark.parametrize(
    ("name", "number", "kind"),
    [
        ("IKEv2", 3, "ikev2"),
        ("IKEv2", 2, "ikev2"),
        ("ikev2", None, "ikev2"),
        ("IKE, AuthIP, IKEv2", 7, "ikev2"),
        ("AuthIP", 3, "other"),
        ("IKEv1", None, "other"),
        ("IKE", 0, "other"),
        ("Default", 0, "other"),
        ("1", 1, "other"),
        ("3", 3, "ikev2"),
        ("3", None, "ikev2"),
        ("2", 2, "unclear"),
        ("Default", None, "unclear"),
        ("IKEEXT", 9, "unclear"),
        ("", None, "unclear"),
        (None, None, "unclear"),
        (None, 3, "ikev2"),
    ],
)
def test_only_ikev2_counts_as_a_client(name: str | None, number: int | None, kind: str) -> None:
    facts = read(associations=[association("198.51.100.7", name, number, 4)])
    assert key_module(number, name) == kind
    assert facts["sas"] == ({"198.51.100.7": 4} if kind == "ikev2" else {})
    assert facts["sas_unclear"] == ({"198.51.100.7": 4} if kind == "unclear" else {})
    assert facts["sas_other"] == (4 if kind == "other" else 0)


def test_key_modules_of_one_address_are_told_apart() -> None:
    mixed = [association("198.51.100.7"), association("198.51.100.7", "2", 2, 3), association("198.51.100.7", "AuthIP")]
    facts = ServerFacts.parse(raw(associations=[*mixed, association("198.51.100.7", "IKEv2", 3)], tunnels=None))
    assert (facts.sas, facts.sas_unclear, facts.sas_other) == ({"198.51.100.7": 2}, {"198.51.100.7": 3}, 1)
    # A restart may drop any of them.
    assert facts.sessions == 6


def test_a_dword_is_read_without_its_sign() -> None:
    assert read(ike_limit=-1)["ike_limit"] == 4294967295


def test_a_text_in_the_registry_is_no_limit() -> None:
    assert read(ike_limit="50000")["ike_limit"] is None


@pytest.mark.parametrize(
    ("marked", "started", "wanted"),
    [
        (None, STARTED, False),
        (LATER, STARTED, True),
        (STARTED, STARTED, True),  # in doubt, once more
        (STARTED, LATER, False),
        (LATER, None, True),  # it was stopped by a restart that ended half done
        (None, None, False),
    ],
)
def test_a_restart_is_pending_until_the_service_has_started_again(
    marked: str | None, started: str | None, wanted: bool
) -> None:
    given = {"ike_limit": 50000, "restart_owed_since": marked, "ikeext_started": started}
    facts = read(**given)
    assert facts["restart_owed"] is wanted
    assert ("restart_owed" in codes(**given)) is wanted
    assert facts["restart_marked"] is (marked is not None)


def test_other_causes_of_error_809_are_reported() -> None:
    assert codes(fragmentation=None, tunnels=128) == ["ports_exhausted", "fragmentation_off"]
    assert "is absent, and IKEEXT has not been restarted" in str(
        ServerFacts.parse(raw(restart_owed_since=LATER)).findings("rras1")
    )
    assert codes(tunnels=None, ikev2_ports=None) == []
    assert read(tunnels=None, ikev2_ports=None)["tunnels"] is None


@pytest.mark.parametrize(
    "vpn",
    [None, [], {}, raw(services=[]), raw(associations=[association("198.51.100.7", count="x")]), raw(ike_limit="many")],
)
def test_other_answers_are_refused(vpn: t.Any) -> None:
    with pytest.raises(PlanError, match=r"the server's facts cannot be read"):
        ServerFacts.parse(vpn)


@pytest.mark.parametrize(
    ("sas", "verdict", "hidden"),
    [
        ({}, "none", 0),
        ({"10.10.0.1": 12}, "hidden", 12),
        ({"10.10.0.77": 12}, "hidden", 12),  # a SNAT pool's address, in the subnet of the gateway
        ({"203.0.113.10": 3}, "hidden", 3),
        ({"10.10.0.1": 1, "198.51.100.7": 1}, "hidden", 1),
        ({"10.10.0.1": 1, "198.51.100.7": 2}, "partly", 1),
        ({"198.51.100.7": 500, "198.51.100.8": 1}, "seen", 0),  # one office behind one address
        ({"192.168.10.30": 4, "198.51.100.8": 1}, "seen", 0),  # an inner host's own IPsec
        ({"::ffff:10.10.0.1": 1, "fe80::1%4": 2}, "seen", 0),
    ],
)
def test_sources(sas: dict[str, int], verdict: str, hidden: int) -> None:
    found = sources({**NETWORK, "sas": sas}, ["10.10.0.1", "203.0.113.10"])
    assert (found["verdict"], found["hidden"], found["sas"]) == (verdict, hidden, sum(sas.values()))


def test_sources_in_words() -> None:
    found = sources({**NETWORK, "sas": {"10.10.0.1": 3, "198.51.100.7": 1}}, ["10.10.0.1"])
    assert found["top"] == {"address": "10.10.0.1", "count": 3, "share": 0.75}
    assert found["message"] == (
        "3 of 4 IKE security associations come from the load balancer, 2 remote addresses in all, 3 from 10.10.0.1 (75 %)"
    )


def test_a_server_without_a_gateway_can_be_judged() -> None:
    assert sources({"gateway": None, "networks": [], "sas": {"198.51.100.7": 1}}, [])["verdict"] == "seen"


@given(st.dictionaries(st.ip_addresses(v=4).map(str), st.integers(1, 1000), min_size=1))
def test_clients_addresses_are_never_taken_for_the_load_balancers(sas: dict[str, int]) -> None:
    found = sources({"gateway": "10.10.0.1", "networks": [], "sas": sas}, [])
    assert found["verdict"] == "seen"
    assert found["top"]["count"] == max(sas.values())
    assert found["addresses"] == len(sas)


def test_addresses_of_load_balancers() -> None:
    servers = [{"gateways": ["10.10.0.1%1"]}, {"gateways": []}]
    services = [{"address": "203.0.113.10%1", "servers": servers}, {"address": "", "servers": []}]
    assert load_balancer_addresses({"bigip": {"services": services}}) == ["10.10.0.1", "203.0.113.10"]
