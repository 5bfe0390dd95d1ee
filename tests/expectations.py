# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Strict, ordered expectations of HTTP requests: every one has to come, in this order, with exactly this body, and no other."""

from __future__ import annotations

import json
import typing as t
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote

import pytest
import requests
import responses
from responses.registries import OrderedRegistry

from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Endpoint
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import DeviceError

HOST = "device.example.net"
ENDPOINT = Endpoint(HOST)


@dataclass
class Expect:
    """A request as it has to come, and what to answer: an object (as JSON), text, or an exception instead of an answer.

    ``path`` is compared unquoted. ``body`` is a JSON object, or text; ``headers`` have to be among those sent.
    """

    method: str
    path: str
    answer: t.Any = None
    status: int = 200
    body: t.Any = None
    headers: dict[str, str] | None = None
    answer_headers: dict[str, str] | None = None

    def matches(self, request: requests.PreparedRequest) -> tuple[bool, str]:
        """Compare, for responses."""
        sent = request.body.decode() if isinstance(request.body, bytes) else request.body
        if sent and request.headers.get("Content-Type") == "application/json":
            sent = json.loads(sent)
        found = (request.method, unquote(request.path_url), sent)
        wanted = (self.method, self.path, self.body)
        missing = {key: value for key, value in (self.headers or {}).items() if request.headers.get(key) != value}
        return (
            found == wanted and not missing,
            f"wanted {wanted} with {self.headers}, got {found}, other headers {missing}",
        )


@pytest.fixture(autouse=True, scope="session")
def no_pauses() -> Iterator[None]:
    """Ask a busy device again at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ansible_collections.aovpn.ikev2.plugins.module_utils._http.PAUSES", (0.001, 0.001, 0.001))
        yield


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Collect the pauses instead of making them."""
    made: list[float] = []
    monkeypatch.setattr("time.sleep", made.append)
    monkeypatch.setattr("ansible_collections.aovpn.ikev2.plugins.module_utils._http.PAUSES", (1, 2, 4))
    return made


Expecting = Callable[[list[Expect]], None]


@pytest.fixture
def expecting() -> Iterator[Expecting]:
    """Return a function that takes the expectations; that all of them were met is checked at the end."""
    with responses.RequestsMock(registry=OrderedRegistry, assert_all_requests_are_fired=True) as mock:

        def expect(expectations: list[Expect]) -> None:
            for item in expectations:
                url = f"https://{HOST}:443{item.path.partition('?')[0].replace(' ', '%20')}"
                common: dict[str, t.Any] = {
                    "match": [item.matches],
                    "headers": item.answer_headers,
                    "status": item.status,
                }
                if isinstance(item.answer, Exception):
                    mock.add(item.method, url, body=item.answer, match=[item.matches])
                elif isinstance(item.answer, str):
                    mock.add(item.method, url, body=item.answer, **common)
                else:
                    mock.add(item.method, url, json=item.answer, **common)

        yield expect


@pytest.fixture(autouse=True)
def raw_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a fault of our own code through as it is: users get it as a failure like any other, a test must not."""

    def reported(error: BaseException, _label: str) -> DeviceError:
        if isinstance(error, DeviceError):
            return error
        raise error

    monkeypatch.setattr("ansible_collections.aovpn.ikev2.plugins.module_utils._engine._reported", reported)
