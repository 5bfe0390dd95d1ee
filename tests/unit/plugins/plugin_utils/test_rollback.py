# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a rollback restores, and when it has used its snapshot up."""

from __future__ import annotations

import copy
import typing as t

import pytest

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.history import Choice
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.orders import restored, to_change
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.site import Selected, Site
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.snapshot import SiteSnapshot
from report_examples import Raw, facts, result, site_of, translations

MARKS: Raw = {"playbook": "remediate", "finished": None, "used": {}}
SERVICES = result(False)["services"]


def whole(
    more: Raw | None = None, *, named: bool = False, half: bool = False, check_mode: bool = False, **options: t.Any
) -> Site:
    """Return a load balancer and a server in the middle of a rollback."""
    services = copy.deepcopy(SERVICES)
    services[0]["source_preserved"] = half
    of_device = {"platform": "bigip", "host": "bigip.example.net", "services": [], "device": {}}
    parts = {
        "load_balancers": {"bigip": {"snapshot": of_device, "services": services, "own_addresses": []}},
        "servers": {"rras1": facts("rras1")},
    }
    snapshot = SiteSnapshot.parse({"format": 2, "taken": "2026-01-31T02:00:00Z", **MARKS, **parts})
    kept = Choice(snapshot, named=named).as_dict()
    balancer = {"platform": "bigip", "result": result(False), **(more or {})}
    raw = {
        "load_balancers": {"bigip": balancer},
        "servers": {"rras1": {"facts": facts("rras1")}},
        "kept": kept,
        "playbook": "rollback",
    }
    return site_of({**raw, "check_mode": check_mode}, **options)


@pytest.mark.parametrize(("half", "named", "go"), [(False, False, True), (True, False, False), (True, True, True)])
def test_half_a_pair_is_restored_only_where_the_snapshot_is_named(half: bool, named: bool, go: bool) -> None:
    order = to_change(whole(half=half, named=named), ["bigip"])["bigip"]
    assert order.go is go
    assert ("-e snapshot=all" in order.why_not) is not go
    if not go:
        assert order.record.steps[-1].final_state == "unchanged"
        assert order.record.steps[-1].failed


MADE: Raw = {"made": result(False, changed=True, changes=translations())}


@pytest.mark.parametrize(
    ("more", "hosts", "options", "used"),
    [
        (MADE, ["bigip"], {}, True),
        (MADE, ["bigip", "rras1"], {}, False),  # the server was left out
        (MADE, ["bigip", "rras9"], {}, False),  # --limit
        ({}, ["bigip"], {}, False),
        (MADE, ["bigip"], {"check_mode": True}, False),
        (MADE, ["bigip"], {"selected": Selected(gateways=False)}, False),
        (MADE, ["bigip"], {"selected": Selected(limits=False)}, False),
        (MADE, ["bigip"], {"selected": Selected(load_balancers=False)}, False),
        (MADE, [], {}, False),
        ({"failure": {"stage": "change", "msg": "refused", "final_state": "rolled_back"}}, ["bigip"], {}, False),
    ],
)
def test_a_snapshot_is_used_up_where_everything_in_it_was_restored(
    more: Raw, hosts: list[str], options: dict[str, t.Any], used: bool
) -> None:
    assert restored(whole(more, **options), hosts) is used
