# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a VPN server's figures say."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.errors import PlanError
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.facts import ServerFacts, key_module

STARTED, LATER = "2026-01-05T06:00:20.0000000Z", "2026-01-05T06:00:20.0000001Z"


def association(address: str, name: t.Any = "IKEv2", number: t.Any = None, count: t.Any = 1) -> dict[str, t.Any]:
    """Return associations as read_vpn.ps1 counts them."""
    return {"remote_address": address, "key_module": number, "key_module_name": name, "count": count}


def connections(count: int, tunnel: str, connection: str = "Vpn") -> dict[str, t.Any]:
    """Return connections as read_vpn.ps1 counts them."""
    return {"connection_type": connection, "tunnel_type": tunnel, "count": count}


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
        "tunnels": [connections(2, "Ikev2")],
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


@pytest.mark.parametrize(
    ("marked", "wanted"),
    [
        ("2026-01-05T06.00.20.0000001Z", True),
        ("2026-01-05T05.59.59.0000000Z", False),
        ("2569-01-05T05:00:00.0000000Z", True),  # the Buddhist calendar: it is not known when that was
        ("1447-07-16T05:00:00.0000000Z", True),
    ],
)
def test_a_mark_that_an_earlier_version_wrote_in_another_culture(marked: str, wanted: bool) -> None:
    assert read(restart_owed_since=marked)["restart_owed"] is wanted
    # Once the service has been restarted, the mark is removed, so that it is restarted once.
    assert read(restart_owed_since=marked)["restart_marked"] is True


def test_other_causes_of_error_809_are_reported() -> None:
    full = {"tunnels": [connections(128, "Ikev2")], "associations": [association("198.51.100.7", count=128)]}
    assert codes(fragmentation=None, **full) == ["ports_exhausted", "fragmentation_off"]
    assert "is absent, and IKEEXT has not been restarted" in str(
        ServerFacts.parse(raw(restart_owed_since=LATER)).findings("rras1")
    )
    assert codes(tunnels=None, ikev2_ports=None) == []
    assert read(tunnels=None, ikev2_ports=None)["tunnels"] is None


@pytest.mark.parametrize(
    "vpn",
    [
        None,
        [],
        {},
        raw(services=[]),
        raw(tunnels=[{"tunnel_type": "Ikev2"}]),
        raw(build="a", revision=1),
        raw(associations=[association("198.51.100.7", count="x")]),
        raw(ike_limit="many"),
    ],
)
def test_other_answers_are_refused(vpn: t.Any) -> None:
    with pytest.raises(PlanError, match=r"the server's facts cannot be read"):
        ServerFacts.parse(vpn)


SSTP, DIRECT = connections(100, "Sstp"), connections(27, "", "DirectAccess")


@pytest.mark.parametrize(
    ("listed", "associations", "tunnels", "sessions", "other", "stale"),
    [
        ([SSTP, DIRECT, connections(3, "Ikev2")], 3, 3, 3, {"Sstp": 100, "DirectAccess": 27}, 0),
        ([SSTP], 0, 0, 0, {"Sstp": 100}, 0),
        # RRAS still lists connections that have ended.
        ([connections(130, "IKEv2")], 3, 3, 3, {}, 127),
        ([connections(2, "Ikev2")], 0, 0, 0, {}, 2),
        # More associations than connections: one is being negotiated.
        ([connections(2, "Ikev2")], 3, 2, 2, {}, 0),
        # A restart would drop these, too.
        ([connections(2, "L2tp")], 0, 0, 2, {"L2tp": 2}, 0),
        ([connections(1, ""), connections(1, "Unknown"), connections(1, "Ikev2", "")], 9, 3, 3, {}, 0),
        # Where the associations are not known, all that are listed count.
        ([connections(5, "Ikev2"), SSTP], None, 5, 5, {"Sstp": 100}, 0),
        ([], 0, 0, 0, {}, 0),
    ],
)
def test_connections_are_counted_by_their_type(
    listed: list[t.Any], associations: int | None, tunnels: int, sessions: int, other: dict[str, int], stale: int
) -> None:
    counted = [association("198.51.100.7", count=associations)] if associations else []
    facts = ServerFacts.parse(raw(tunnels=listed, associations=counted, associations_read=associations is not None))
    assert (facts.tunnels, facts.sessions, facts.tunnels_other, facts.tunnels_stale) == (
        tunnels,
        sessions,
        other,
        stale,
    )
    assert [each.code for each in facts.findings("rras1")] == []


def test_ports_are_exhausted_by_ikev2_alone() -> None:
    full = raw(tunnels=[connections(128, "Ikev2"), SSTP], associations=[association("198.51.100.7", count=128)])
    (finding,) = ServerFacts.parse(full).findings("rras1")
    assert finding.code == "ports_exhausted"
    assert "128 IKEv2 connections" in finding.message


OLD_BUILDS = [("14393", 9059), ("17763", 8643), ("20348", 5019), ("25398", 2273), ("26100", 32689)]


@pytest.mark.parametrize(("build", "revision"), OLD_BUILDS)
def test_a_build_without_the_fix_is_reported_even_with_fragmentation(build: str, revision: int) -> None:
    found = ServerFacts.parse(raw(build=build, revision=revision)).findings("rras1")
    assert found[0].code == "ikeext_unpatched"
    assert f"build {build}.{revision} does not have the fix of CVE-2026-33824" in found[0].message
    assert "ikeext_unpatched" not in codes(build=build, revision=revision + 1)


@pytest.mark.parametrize(
    ("build", "revision", "words"),
    [
        ("20348", 5020, "This server's build 20348.5020 has it."),
        ("20348", 5019, "This server's build 20348.5019 does not have it."),
        ("29000", 1, "Whether this server has it is not known."),
        ("20348", None, "Whether this server has it is not known."),
        (None, 1, "Whether this server has it is not known."),
    ],
)
def test_without_fragmentation_the_advice_is_to_patch_first(
    build: str | None, revision: int | None, words: str
) -> None:
    finding = ServerFacts.parse(raw(build=build, revision=revision, fragmentation=None)).findings("rras1")[-1]
    assert finding.code == "fragmentation_off"
    assert finding.remedy.startswith("Install the fix of CVE-2026-33824 first")
    assert words in finding.remedy
    assert finding.remedy.endswith("set EnableServerFragmentation to 1 and restart the server.")


@pytest.mark.parametrize("value", [None, 0, 1])
def test_windows_server_2016_has_no_fragmentation_whatever_its_value(value: int | None) -> None:
    facts = ServerFacts.parse(raw(build="14393", revision=9060, fragmentation=value))
    assert (facts.ikev2_fragmentation, facts.build) == (False, "14393.9060")
    (finding,) = facts.findings("rras1")
    assert finding.code == "fragmentation_off"
    assert "older than Windows Server 1803" in finding.message
    assert "EnableServerFragmentation" not in finding.remedy


def test_windows_server_1803_has_fragmentation() -> None:
    assert read(build="17134", revision=1)["ikev2_fragmentation"] is True


def test_what_could_not_be_asked_is_not_nobody() -> None:
    facts = ServerFacts.parse(
        raw(tunnels=None, associations=[], associations_read=False, unread=["the associations: no RPC"])
    )
    assert facts.sessions is None
    assert "the associations: no RPC" in facts.findings("rras1")[0].message
    assert ServerFacts.parse(raw(tunnels=None)).sessions == 2
