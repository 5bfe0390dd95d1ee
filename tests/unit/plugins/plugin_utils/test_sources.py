# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a server's security associations prove, and what they do not."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.sources import Sources
from report_examples import GATEWAY, SERVERS, Raw, clean, facts, result, site, site_of


def seen_by(*sas: Raw, kept: tuple[str, ...] = (), own: tuple[str, ...] = (), **more: t.Any) -> list[Sources]:
    """Return what servers with these associations see; ``kept``, ``own``: of the load balancer, in the snapshot and now."""
    raw = clean()
    for look in (raw["load_balancers"]["bigip"]["result"], raw["load_balancers"]["bigip"]["before"]):
        look["own_addresses"] = [*own]
    raw["servers"] = {
        host: {"facts": facts(host, GATEWAY, counts, **more)} for host, counts in zip(SERVERS, sas, strict=False)
    }
    part = {"snapshot": {}, "services": [], "own_addresses": [*kept]}
    raw["kept"] = {"taken": "now", "load_balancers": {"bigip": part}, "servers": {}}
    return [*site_of(raw).sources.values()]


def test_clients_own_addresses_are_seen() -> None:
    (one,) = seen_by({"198.51.100.7": 3, "2001:db8::7": 2})
    assert (one.verdict, one.own, one.hidden, one.total) == ("seen", 5, 0, 5)
    assert {source.kind for source in one.sources} == {"client"}


@pytest.mark.parametrize(
    ("counts", "verdict", "hidden"),
    [
        ({GATEWAY: 12}, "hidden", 12),
        ({GATEWAY: 1, "198.51.100.7": 1}, "hidden", 1),
        ({GATEWAY: 1, "198.51.100.7": 2}, "partly", 1),
        ({"203.0.113.10": 3}, "hidden", 3),  # the virtual address
        ({"192.168.10.30": 4, "198.51.100.8": 1}, "seen", 0),  # an inner host's own IPsec
        ({"::ffff:198.51.100.7": 1, "fe80::1%4": 2}, "seen", 0),
        ({"::ffff:10.10.0.1": 1, "fe80::1%4": 2}, "partly", 1),  # the load balancer, in another form
        ({"10.10.0.77": 12}, "hidden", 12),  # the network of the server's gateway, where there are no clients
        # The load balancer is named rather than what else has most of them.
        ({GATEWAY: 1, "10.99.0.1": 40}, "partly", 1),
    ],
)
def test_the_load_balancer_hides_clients(counts: dict[str, int], verdict: str, hidden: int) -> None:
    (one,) = seen_by(counts, networks=["10.10.0.11/24", "192.168.10.11/24"])
    assert (one.verdict, one.hidden, one.total) == (verdict, hidden, sum(counts.values()))


def test_a_judgement_in_words() -> None:
    (one,) = seen_by({GATEWAY: 3, "198.51.100.7": 1})
    assert one.message == (
        "3 of 4 IKE security associations come from the load balancer, 2 remote addresses in all, 3 from 10.10.0.1 (75 %)"
    )


def test_a_server_without_a_gateway_can_be_judged() -> None:
    raw = site(True, GATEWAY, {"198.51.100.7": 1})
    for item in raw["servers"].values():
        item["facts"].update(gateway=None, networks=[])
    assert {one.verdict for one in site_of(raw).sources.values()} == {"seen"}


@given(st.dictionaries(st.ip_addresses(v=4).map(str), st.integers(1, 1000), min_size=1))
def test_clients_addresses_are_never_taken_for_the_load_balancers(sas: dict[str, int]) -> None:
    raw = site(True, GATEWAY, sas)
    raw["load_balancers"] = {}
    for item in raw["servers"].values():
        item["facts"]["networks"] = []
    for one in site_of(raw).sources.values():
        assert one.verdict in ("seen", "single")
        assert (one.hidden, one.total, len(one.sources)) == (0, sum(sas.values()), len(sas))
        assert [source.count for source in one.sources] == sorted(sas.values(), reverse=True)


@pytest.mark.parametrize("where", [{"own": ("10.99.0.200",)}, {"kept": ("10.99.0.200",)}])
def test_a_member_of_a_snat_pool_is_the_load_balancer_also_where_only_the_snapshot_knows_it(where: t.Any) -> None:
    (one,) = seen_by({"10.99.0.200": 24}, **where)
    assert (one.verdict, one.hidden, one.own) == ("hidden", 24, 0)
    assert one.sources[0].kind == "load_balancer"
    assert one.message.startswith("24 of 24 IKE security associations come from the load balancer")


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({"10.99.0.1": 24}, "24 from 10.99.0.1 (100 %): a private address with nearly all of them proves nothing"),
        ({"198.51.100.1": 12}, "12 from 198.51.100.1 (100 %): one address with nearly all of them proves nothing"),
        ({"10.99.0.1": 18, "198.51.100.7": 2}, "18 from 10.99.0.1 (90 %): a private address with nearly all"),
    ],
)
def test_one_address_with_nearly_all_of_a_dozen_is_named_and_is_no_proof(counts: dict[str, int], words: str) -> None:
    (one,) = seen_by(counts)
    assert one.verdict == "single"
    assert words in one.message
    assert one.own == sum(count for address, count in counts.items() if address == "198.51.100.7")


@pytest.mark.parametrize("counts", [{"198.51.100.1": 11}, {"10.99.0.1": 17, "198.51.100.7": 3}])
def test_an_office_behind_one_address_is_no_suspect(counts: dict[str, int]) -> None:
    (one,) = seen_by(counts)
    assert one.verdict == "seen"


def test_two_servers_share_a_suspect() -> None:
    both = seen_by({"10.99.0.1": 6}, {"10.99.0.1": 6})
    assert [one.verdict for one in both] == ["single", "single"]
    # With others beside it on one server, it is no longer nearly all.
    assert [one.verdict for one in seen_by({"10.99.0.1": 6}, {"198.51.100.7": 3})] == ["seen", "seen"]


def test_other_kinds_of_associations_prove_nothing() -> None:
    (one,) = seen_by({}, sas_other=12)
    assert (one.verdict, one.total) == ("none", 0)
    assert (
        one.message
        == "there is no IKEv2 security association to judge by; 12 associations of other kinds (AuthIP, IKEv1)"
    )
    (one,) = seen_by({})
    assert (one.verdict, one.message) == ("none", "there is no IKEv2 security association to judge by")


def test_what_windows_does_not_tell_apart_proves_nothing() -> None:
    (one,) = seen_by({"198.51.100.7": 4}, sas_unclear={"198.51.100.8": 3})
    assert (one.verdict, one.own) == ("unclear", 4)
    assert [source.kind for source in one.sources] == ["client", "unclear"]
    assert one.message.endswith("; 3 associations of which Windows does not tell whether they are IKEv2")
    (one,) = seen_by({}, sas_unclear={"198.51.100.8": 3})
    assert one.verdict == "unclear"


def test_addresses_are_compared_in_any_form() -> None:
    raw = site(True, GATEWAY, {"FE80:0:0:0:0:0:0:1%4": 2})
    raw["load_balancers"]["bigip"]["result"] = result(True, own_addresses=["fe80::1%2"])
    assert {one.verdict for one in site_of(raw).sources.values()} == {"hidden"}
