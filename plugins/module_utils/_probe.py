# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Send an IKE_SA_INIT to addresses, and wait for their responses."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import selectors
import socket
import time
import typing as t
from collections.abc import Iterable
from dataclasses import dataclass, field

from ansible_collections.aovpn.ikev2.plugins.module_utils._ike import (
    IKE_PORT,
    NAT_T_PORT,
    NON_ESP_MARKER,
    read_answer,
    sa_init,
)


@dataclass
class Probe:
    """One probed address, with the socket address ``place``. ``ms`` is set by the response."""

    address: str
    family: int
    place: tuple[t.Any, ...]
    detail: str = "no answer"
    ms: float | None = None
    spi: bytes = field(default_factory=lambda: os.urandom(8))

    def open(self) -> bool:
        """Connect, so that only the probed address can respond, and ICMP errors are reported."""
        self.marker = NON_ESP_MARKER if self.place[1] == NAT_T_PORT else b""
        self.request = self.marker + sa_init(self.spi)
        self.socket = socket.socket(self.family, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        return self._attempt(self.socket.connect, self.place) is not OSError

    def send(self) -> None:
        """Send the request, the same each time, as the protocol demands."""
        self.sent = time.monotonic()
        self._attempt(self.socket.send, self.request)

    def receive(self) -> bool:
        """Read a packet, and return whether it was the response."""
        data = self._attempt(self.socket.recv, 65535)
        ours = isinstance(data, bytes) and data.startswith(self.marker)
        if ours and (said := read_answer(data[len(self.marker) :], self.spi)):
            self.detail, self.ms = said, round(1000 * (time.monotonic() - self.sent), 1)
        return self.ms is not None

    def _attempt(self, action: t.Callable[[t.Any], t.Any], argument: t.Any) -> t.Any:
        """Do something with the socket. Return the class OSError if the network refuses, which is noted."""
        try:
            return action(argument)
        except BlockingIOError:
            return None
        except OSError as error:
            self.detail = f"no answer: {error.strerror}"
            return OSError

    def as_dict(self) -> dict[str, t.Any]:
        """Return the result as plain values."""
        return {"address": self.address, "answered": self.ms is not None, "detail": self.detail, "ms": self.ms}


def find(address: str, port: int) -> Probe:
    """Return the probe for an address.

    :raises ValueError: if it is not an IP address.
    """
    try:
        plain = str(ipaddress.ip_address(address.strip()))
        place = socket.getaddrinfo(plain, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)[0]
    except (ValueError, OSError) as error:
        raise ValueError(
            f"Option 'addresses' has '{address}', which is not an IPv4 or IPv6 address of this host's networks."
        ) from error
    return Probe(address, place[0], place[4])


def ask(probes: list[Probe], timeout: float, attempts: int) -> None:
    """Probe all at the same time, ``attempts`` times, each time only those that have not responded."""
    with selectors.DefaultSelector() as waiting, contextlib.ExitStack() as opened:
        for probe in probes:
            connected = probe.open()
            opened.enter_context(probe.socket)
            if connected:
                waiting.register(probe.socket, selectors.EVENT_READ, probe)
        for _dummy in range(attempts):
            for key in waiting.get_map().values():
                key.data.send()
            deadline = time.monotonic() + timeout
            while waiting.get_map() and (left := deadline - time.monotonic()) > 0:
                for key, _dummy in waiting.select(left):
                    if key.data.receive():
                        waiting.unregister(key.fileobj)


def probe(addresses: Iterable[str]) -> list[dict[str, t.Any]]:
    """Probe addresses as the module does by default, and return their answers."""
    probes = [find(address, IKE_PORT) for address in addresses]
    ask(probes, timeout=2, attempts=3)
    return [item.as_dict() for item in probes]
