# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The probe against sockets on loopback: who answers, who does not, and what is passed over."""

from __future__ import annotations

import json
import socket
import struct
import threading
import typing as t
from collections.abc import Callable, Iterator

import pytest
from ansible.module_utils import basic

from ansible_collections.aovpn.ikev2.plugins.modules import ikev2_probe

Answers = Callable[[bytes, t.Any], list[bytes]]


def refusal(request: bytes) -> bytes:
    """Return NO_PROPOSAL_CHOSEN in response to a request."""
    body = struct.pack("!BBHBBH", 0, 0, 8, 0, 0, 14)
    return request[:8] + bytes(8) + bytes([41, 0x20, 34, 0x20]) + struct.pack("!II", 0, 28 + len(body)) + body


class Responder:
    """A UDP socket on loopback that gives the ``answers`` to each request and its sender. ``requests``: what has come."""

    def __init__(self, answers: Answers, address: str = "127.0.0.1", port: int = 0) -> None:
        self.answers, self.requests = answers, list[bytes]()
        self.socket = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, port))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            data, place = self.socket.recvfrom(65535)
            if data == b"end":
                return
            self.requests.append(data)
            for answer in self.answers(data, place):
                self.socket.sendto(answer, place)

    def close(self) -> None:
        """End the thread, then the socket."""
        with socket.socket(self.socket.family, socket.SOCK_DGRAM) as other:
            other.sendto(b"end", self.socket.getsockname())
        self.thread.join(5)
        self.socket.close()


@pytest.fixture
def responder() -> Iterator[Callable[..., Responder]]:
    """Make responders, and close them."""
    made: list[Responder] = []

    def make(*arguments: t.Any, **options: t.Any) -> Responder:
        made.append(Responder(*arguments, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, t.Any]]:
    """Run the module with options, and give its result."""

    def run(check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        arguments = {"ANSIBLE_MODULE_ARGS": {**options, "_ansible_check_mode": check}}
        monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps(arguments).encode())
        monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
        with pytest.raises(SystemExit):
            ikev2_probe.main()
        return t.cast(dict[str, t.Any], json.loads(capsys.readouterr().out))

    return run


def free_port() -> int:
    """Return a port that is not listening."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.parametrize("check", [False, True])
def test_an_answer(run: t.Any, responder: t.Any, check: bool) -> None:
    server = responder(lambda request, _sender: [refusal(request)])
    result = run(addresses=["127.0.0.1"], port=server.port, check=check)
    (probe,) = result["answers"]
    assert (probe["address"], probe["answered"], probe["detail"]) == ("127.0.0.1", True, "NO_PROPOSAL_CHOSEN")
    assert 0 <= probe["ms"] < 2000
    assert result["changed"] is False
    assert len(server.requests) == 1


def test_ipv6_is_asked_too(run: t.Any, responder: t.Any) -> None:
    server = responder(lambda request, _sender: [refusal(request)], "::1")
    (probe,) = run(addresses=["0::1"], port=server.port)["answers"]
    assert (probe["address"], probe["answered"]) == ("0::1", True)


def test_on_4500_the_marker_stands_before_both(run: t.Any, responder: t.Any) -> None:
    server = responder(
        lambda request, _sender: [refusal(request[4:]), bytes(4) + refusal(request[4:])], "127.0.0.9", 4500
    )
    (probe,) = run(addresses=["127.0.0.9"], port=4500)["answers"]
    assert probe["answered"]
    assert server.requests[0][:4] == bytes(4)


def test_a_request_that_got_lost_is_sent_again_unchanged(run: t.Any, responder: t.Any) -> None:
    server: Responder = responder(lambda request, _sender: [refusal(request)] if len(server.requests) == 2 else [])
    (probe,) = run(addresses=["127.0.0.1"], port=server.port, timeout=1, attempts=2)["answers"]
    assert probe["answered"]
    assert len(server.requests) == 2
    assert len(set(server.requests)) == 1


def test_nobody_answers_and_the_others_do(run: t.Any, responder: t.Any) -> None:
    server = responder(lambda request, _sender: [refusal(request)])
    silent = responder(lambda _request, _sender: [b"", b"noise", refusal(bytes(28))], "127.0.0.2", server.port)
    asked = ["127.0.0.2", "127.0.0.1", "127.0.0.3"]
    probes = run(addresses=asked, port=server.port, timeout=1, attempts=1)["answers"]
    assert [probe["address"] for probe in probes] == asked
    assert [probe["detail"] for probe in probes] == [
        "no answer",
        "NO_PROPOSAL_CHOSEN",
        "no answer: Connection refused",
    ]
    assert [probe["ms"] is None for probe in probes] == [True, False, True]
    assert len(silent.requests) == 1


def test_an_answer_from_another_address_is_none(run: t.Any, responder: t.Any) -> None:
    stranger = responder(lambda _request, _sender: [], "127.0.0.5")

    def past(request: bytes, sender: t.Any) -> list[bytes]:
        stranger.socket.sendto(refusal(request), sender)
        return []

    server = responder(past)
    (probe,) = run(addresses=["127.0.0.1"], port=server.port, timeout=1, attempts=1)["answers"]
    assert server.requests
    assert (probe["answered"], probe["detail"]) == (False, "no answer")


def test_an_immediate_network_error_is_reported(run: t.Any) -> None:
    (probe,) = run(addresses=["255.255.255.255"], port=free_port(), timeout=0.1)["answers"]
    assert (probe["answered"], probe["detail"]) == (False, "no answer: Permission denied")


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"addresses": ["vpn.example.net"]}, "'vpn.example.net', which is not an IPv4 or IPv6 address"),
        ({"addresses": ["fe80::1%nowhere"]}, "'fe80::1%nowhere', which is not"),
        ({"addresses": ["127.0.0.1"], "port": 0}, "Option 'port' is 0. It has to be a number from 1 to 65535."),
        ({"addresses": ["127.0.0.1"], "timeout": 0}, "Option 'timeout' is 0.0. It has to be a number from 0.1 to 60."),
        ({"addresses": ["127.0.0.1"], "attempts": 11}, "Option 'attempts' is 11. It has to be"),
    ],
)
def test_bad_input(run: t.Any, options: dict[str, t.Any], wanted: str) -> None:
    result = run(**options)
    assert result["failed"]
    assert wanted in result["msg"]
