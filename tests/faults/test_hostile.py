# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A device that sends bytes without end, one now and then, or more than anybody can keep: every request ends in time."""

from __future__ import annotations

import itertools
import socket
import ssl
import threading
import time
import tracemalloc
import typing as t
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from ansible_collections.aovpn.ikev2.plugins.module_utils import _http
from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Endpoint, Http
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import DeviceError, UnexpectedAnswer, Unreachable
from lab.core import CertificateAuthority

Chunks = Iterator[bytes]
TIMEOUT = 1
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
GZIPPED = OK + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """Return a chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def dripping(first: bytes, drop: bytes) -> Chunks:
    """Send the start, and then one byte at a time."""
    yield first
    for byte in itertools.cycle(drop):
        time.sleep(0.1)
        yield bytes([byte])


def flood(first: bytes, more: bytes) -> Chunks:
    """Send the start, and then the same for ever."""
    yield first
    while True:
        yield more


def nothing_packed() -> Chunks:
    """Send a gzip stream that goes on and unpacks to nothing."""
    packer = zlib.compressobj(wbits=31)
    yield GZIPPED + chunk(packer.compress(b"") + packer.flush(zlib.Z_SYNC_FLUSH))
    while True:
        yield chunk(packer.flush(zlib.Z_FULL_FLUSH) or b"\x00\x00\x00\xff\xff" * 200)


def bomb() -> Chunks:
    """Send a gzip stream that unpacks to a thousand times its size."""
    packer = zlib.compressobj(9, wbits=31)
    yield GZIPPED
    while True:
        yield chunk(packer.compress(bytes(2**20)) + packer.flush(zlib.Z_SYNC_FLUSH))


SLOW: dict[str, t.Callable[[], Chunks]] = {
    "nothing at all": lambda: flood(b"", b""),
    "status line": lambda: dripping(b"HTTP/1.1 2", b"0"),
    "headers": lambda: dripping(OK, b"X-A: b\r\n"),
    "100 Continue now and then": lambda: dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "100 Continue without end": lambda: flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "chunk size": lambda: dripping(CHUNKED, b"0"),
    "chunks": lambda: dripping(CHUNKED, chunk(b"x")),
    "trailers": lambda: dripping(CHUNKED + b"0\r\n", b"X-A: b\r\n"),
    "body": lambda: dripping(OK + b"Content-Length: 1000\r\n\r\n", b"x"),
    "gzip that unpacks to nothing": nothing_packed,
}
LARGE: dict[str, t.Callable[[], Chunks]] = {
    "body": lambda: flood(OK + b"\r\n", bytes(2**16)),
    "chunks": lambda: flood(CHUNKED, chunk(bytes(2**16))),
    "gzip": bomb,
}


@pytest.fixture(scope="module")
def context(authority: CertificateAuthority) -> ssl.SSLContext:
    """Return what the stand-ins' TLS servers use."""
    return authority.context()


@pytest.fixture
def serve(context: ssl.SSLContext) -> Iterator[t.Callable[[Chunks], int]]:
    """Return a function that serves one connection, and returns its port."""
    with ThreadPoolExecutor(8) as pool:
        stopped = threading.Event()

        def answer(server: socket.socket, chunks: Chunks) -> None:
            with server, server.accept()[0] as plain, context.wrap_socket(plain, server_side=True) as connection:
                connection.recv(2**16)
                for data in chunks:
                    if stopped.is_set():
                        return
                    try:
                        connection.sendall(data)
                    except OSError:
                        return  # the client has had enough
                    if not data:
                        time.sleep(0.05)

        def start(chunks: Chunks) -> int:
            server = socket.create_server(("127.0.0.1", 0))
            pool.submit(answer, server, chunks)
            return int(server.getsockname()[1])

        yield start
        stopped.set()


def ask(port: int, ca: str, method: str = "GET") -> DeviceError:
    """Send a request, and return the error that it has to end with."""
    http = Http(Endpoint("127.0.0.1", port, ca_path=ca, timeout=TIMEOUT), "Device 127.0.0.1")
    try:
        http.send(method, "/")
    except DeviceError as error:
        return error
    finally:
        http.close()
    raise AssertionError("an answer")


@pytest.mark.parametrize(
    ("kind", "method"),
    [*((kind, "GET") for kind in SLOW), ("headers", "PATCH"), ("gzip that unpacks to nothing", "DELETE")],
)
def test_an_answer_has_to_be_whole_in_time(serve: t.Callable[[Chunks], int], ca: str, kind: str, method: str) -> None:
    started = time.monotonic()
    error = ask(serve(SLOW[kind]()), ca, method)
    assert time.monotonic() - started < TIMEOUT + 1
    assert isinstance(error, Unreachable)
    assert "no answer within 1 s" in str(error), error


@pytest.mark.parametrize("kind", LARGE)
def test_no_more_is_kept_of_an_answer_than_there_may_be(
    serve: t.Callable[[Chunks], int], ca: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_http, "LARGEST", 2**21)
    tracemalloc.start()
    try:
        error = ask(serve(LARGE[kind]()), ca)
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(error, UnexpectedAnswer), error
    assert peak < 2**24


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br"])
def test_what_is_compressed_unasked_is_read_where_it_can_be(
    serve: t.Callable[[Chunks], int], ca: str, encoding: bytes
) -> None:
    packer = zlib.compressobj(wbits=31 if encoding == b"gzip" else 15)
    packed = packer.compress(b'{"a": 1}') + packer.flush()
    head = OK + b"Connection: close\r\nContent-Encoding: " + encoding + b"\r\n"

    def answer(data: bytes) -> Http:
        port = serve(iter([head + b"Content-Length: %d\r\n\r\n%s" % (len(data), data)]))
        return Http(Endpoint("127.0.0.1", port, ca_path=ca, timeout=5), "Device 127.0.0.1")

    assert answer(packed).send("POST", "/").json() == {"a": 1}
    with pytest.raises(Unreachable, match="connection was lost"):
        answer(b"what no one can unpack").send("POST", "/")


def test_a_task_has_an_end(serve: t.Callable[[Chunks], int], ca: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rollback and the log-out still have their time then."""
    monkeypatch.setattr(_http, "LONGEST", 0)
    answer = OK + b"Content-Length: 2\r\n\r\n{}"
    http = Http(Endpoint("127.0.0.1", serve(iter([answer])), ca_path=ca), "Device 127.0.0.1")
    with pytest.raises(Unreachable, match="the task has taken more than 0 s"):
        http.send("GET", "/")
    assert http.requests == 0
    http.shield()
    assert http.send("GET", "/").text == "{}"
    http.close()
