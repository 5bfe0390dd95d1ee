# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A session of requests whose every answer ends in time and within bounds, however a device sends it."""

from __future__ import annotations

import threading
import time
import typing as t
import zlib

from ansible_collections.aovpn.ikev2.plugins.module_utils import _libraries as libraries

if t.TYPE_CHECKING:
    from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import requests

CHUNK = 2**16


class Clock(threading.local):
    """The time that the request of this thread may still take, from the connection to the last byte of the answer."""

    def __init__(self) -> None:
        self._end = 0.0

    def start(self, seconds: float) -> None:
        """Allow a request so many seconds."""
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left.

        :raises TimeoutError: where none are.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left


def session(clock: Clock) -> requests.Session:
    """Return a session that ends each request when ``clock`` says so.

    A time-out of requests is one for each read from the socket: a device that sends a byte now and then, in its headers for
    example, or "100 Continue" without end, would hold it forever.
    """
    base = libraries.requests.adapters.HTTPAdapter

    def cert_verify(adapter: t.Any, pool: t.Any, *arguments: t.Any) -> None:
        base.cert_verify(adapter, pool, *arguments)
        # The one method that requests calls with every pool, a proxy's too, before the pool connects.
        if "ConnectionCls" not in vars(pool):
            pool.ConnectionCls = _in_time(pool.ConnectionCls, clock)

    found = libraries.requests.Session()
    found.mount("https://", type("HTTPAdapterInTime", (base,), {"cert_verify": cert_verify})())
    # A body that is not compressed cannot unpack to more than it is.
    found.headers["Accept-Encoding"] = "identity"
    return found


def _in_time(base: t.Any, clock: Clock) -> type:
    """Return a class of connections that wait for the device as long as is left, and no longer."""

    def connect(connection: t.Any) -> None:
        base.connect(connection)
        sock = connection.sock  # which the connection drops before the last read, where the device closes
        sock.recv_into = _before(sock.recv_into, lambda: sock.settimeout(clock.left()))
        sock.sendall = _before(sock.sendall, lambda: sock.settimeout(clock.left()))

    return type(f"{base.__name__}InTime", (base,), {"connect": connect})


def _before(method: t.Callable[..., t.Any], act: t.Callable[[], None]) -> t.Callable[..., t.Any]:
    def both(*arguments: t.Any) -> t.Any:
        act()
        return method(*arguments)

    return both


def body(response: requests.Response, clock: Clock, most: int) -> bytes | None:
    """Read a body, unpacked if the device compressed it unasked; None where it has more than ``most`` bytes.

    :raises requests.exceptions.RequestException: where the connection breaks, the time is over, or the body cannot be unpacked.
    """
    exceptions, low = libraries.requests.exceptions, libraries.urllib3.exceptions
    # Both headers of zlib, which are "gzip" and "deflate". requests would unpack as much at once as a chunk holds.
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 32) if response.headers.get("Content-Encoding") else None
    found = bytearray()
    try:
        for chunk in response.raw.stream(CHUNK, decode_content=False):
            clock.left()
            found += unpack.decompress(chunk, most + 1 - len(found)) if unpack else chunk
            if len(found) > most:
                return None
    except (low.TimeoutError, TimeoutError) as error:
        raise exceptions.ReadTimeout from error
    except zlib.error as error:
        raise exceptions.ContentDecodingError from error
    except low.HTTPError as error:
        raise exceptions.ChunkedEncodingError from error
    return bytes(found)
