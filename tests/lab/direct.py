# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stand-in that is asked in the test's own process, without a network: for tests that ask often."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Answer, Http
from lab.core import Device

AnyDevice = t.TypeVar("AnyDevice", bound=Device)


def directly(device: AnyDevice, monkeypatch: pytest.MonkeyPatch) -> AnyDevice:
    """Let whatever is sent arrive at ``device``, and give it."""
    client = device.app.test_client()

    def send(http: Http, method: str, path: str, _timeout: int, _interruptible: bool, **how: t.Any) -> Answer:
        http.requests += 1
        body, form, headers, auth = (how.get(name) for name in ("body", "form", "headers", "auth"))
        came = client.open(path, method=method, json=body, data=form, headers=headers, auth=auth)
        charset = came.mimetype_params.get("charset", "")
        return Answer(came.status_code, came.get_data(as_text=True), http.device, came.get_data(), charset)

    monkeypatch.setattr(Http, "_send", send)
    return device
