# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the audit concludes."""

from __future__ import annotations

import typing as t

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._audit import collected, drift, return_path

RRAS1 = {"gateway": "10.10.0.1", "addresses": ["10.10.0.11", "192.168.10.11"]}
LOST = {"gateway": None, "addresses": ["10.10.0.12"]}


def service(preserved: bool) -> dict[str, t.Any]:
    """Give a service as the modules return it."""
    return {"id": "vs500", "address": "203.0.113.10", "port": 500, "source_preserved": preserved}


def finding(code: str, severity: str) -> dict[str, str]:
    """Give a finding as the modules return it."""
    return {"code": code, "severity": severity, "object": "vs500", "message": "So it is.", "remedy": ""}


def test_the_return_path_names_every_address_of_a_server_that_has_a_gateway() -> None:
    assert return_path({"rras1": RRAS1, "rras2": LOST}) == {"10.10.0.11": "10.10.0.1", "192.168.10.11": "10.10.0.1"}


def test_a_host_without_the_variable_is_left_out() -> None:
    assert collected(["a", "b"], {"a": {"x": 1}, "b": {}}, "x") == {"a": 1}


def test_all_is_well() -> None:
    result = {"services": [service(True)], "findings": [finding("existing", "warning"), finding("note", "info")]}
    assert drift({"lb": result}, {"rras1": RRAS1, "rras2": LOST}, {"rras1": "10.10.0.1"}) == []


def test_every_drift_is_a_sentence() -> None:
    result = {
        "services": [service(False), service(True)],
        "findings": [finding("not_active_unit", "blocker"), finding("device_setting", "warning")],
    }
    assert drift({"lb": result}, {"rras1": RRAS1, "rras2": LOST}, {"rras1": "10.10.0.9", "rras2": "10.10.0.1"}) == [
        "lb: vs500 (203.0.113.10, UDP 500) hides the clients' addresses",
        "lb: not_active_unit at vs500: So it is.",
        "lb: device_setting at vs500: So it is.",
        "rras1: the default gateway is 10.10.0.1 and has to be 10.10.0.9",
        "rras2: the default gateway is missing and has to be 10.10.0.1",
    ]
