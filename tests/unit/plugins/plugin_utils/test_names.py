# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A misspelt variable is found, and answered with the right one."""

from __future__ import annotations

import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._inventory import _options
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._names import OF_PLAYBOOKS, SET, misspelt

OPTIONS = _options()
KNOWN = sorted({*OPTIONS, *OF_PLAYBOOKS})


@st.composite
def misspellings(draw: st.DrawFn) -> tuple[str, str]:
    """Return a known name, and the same with one letter changed, left out, added, or swapped with the next."""
    name = draw(st.sampled_from(KNOWN))
    at = draw(st.integers(0, len(name) - 1))
    letter = draw(st.sampled_from(string.ascii_letters + string.digits + "_"))
    wrong = draw(
        st.sampled_from(
            [
                name[:at] + letter + name[at + 1 :],
                name[:at] + name[at + 1 :],
                name[:at] + letter + name[at:],
                name[:at] + name[at : at + 2][::-1] + name[at + 2 :],
            ]
        )
    )
    assume(wrong not in (*KNOWN, *SET))
    return name, wrong


@given(misspellings())
def test_a_misspelling_is_answered_with_the_right_name(pair: tuple[str, str]) -> None:
    name, wrong = pair
    line = misspelt(wrong, OPTIONS)
    assert line
    assert line.startswith(f"there is no variable {wrong}. The nearest is {name}. ")


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("load_balancer_adresses", "load_balancer_addresses"),
        ("rras_gatway", "rras_gateway"),
        ("load_balancer_acept", "load_balancer_accept"),
        ("load_balancer_address", "load_balancer_addresses"),
        ("rras_limit", "rras_ike_limit"),
        ("rras_gw", "rras_gateway"),
        ("load_balancer_username", "load_balancer_services"),
        ("report_dir", "report_directory"),
        ("loadbalancer_addresses", "load_balancer_addresses"),
        ("RRAS_gateway", "rras_gateway"),
        ("snapshots", "snapshot"),
        ("snpshto", "snapshot"),
        ("fail_on_dirft", "fail_on_drift"),
        ("porbe", "probe"),
    ],
)
def test_a_name_that_is_not_known(wrong: str, nearest: str) -> None:
    line = misspelt(wrong, OPTIONS)
    assert line
    assert f" The nearest is {nearest}. " in line


@pytest.mark.parametrize(
    "name",
    [
        *KNOWN,
        *SET,
        "rras_gateway_probe",
        "ikev2_snapshot",
        "ikev2_verdict",
        "ikev2_report_json",
        "vault_rras_password",
        "ansible_password",
        "awx_job_id",
        "proxy",
        "snapshot_retention",
        "group_names",
        "reports",
        "load_balancer",
        "rras",
    ],
)
def test_a_name_that_is_not_complained_about(name: str) -> None:
    assert misspelt(name, OPTIONS) is None
