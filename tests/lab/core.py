# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every stand-in shares: a Flask application behind TLS on a free loopback port, a request log, and faults on demand."""

from __future__ import annotations

import abc
import itertools
import json
import os
import pickle
import socket
import ssl
import struct
import sys
import threading
import time
import typing as t
import weakref
from dataclasses import dataclass, field
from pathlib import Path

import trustme
from flask import Flask, Request, Response, g, request
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.test import run_wsgi_app

State = dict[str, t.Any]
AnyState = t.TypeVar("AnyState")


def copied(state: AnyState) -> AnyState:
    """Return a deep copy of a state: plain values, which pickle copies several times faster than `copy.deepcopy`."""
    return t.cast(AnyState, pickle.loads(pickle.dumps(state, pickle.HIGHEST_PROTOCOL)))


class CertificateAuthority:
    """A private CA; its certificate is what ``ca_path`` and ``ansible_winrm_ca_trust_path`` point at."""

    def __init__(self) -> None:
        self._ca = trustme.CA(organization_name="aovpn.ikev2 lab")

    def write(self, path: Path) -> None:
        """Write the CA's own certificate as PEM."""
        self._ca.cert_pem.write_to_path(str(path))

    def context(self) -> ssl.SSLContext:
        """Return a server context with a certificate for the loopback addresses."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert("127.0.0.1", "localhost").configure_cert(context)
        return context


@dataclass
class Entry:
    """One request as it came in.

    ``body`` is parsed JSON, a form's dictionary, or text; ``writes`` says that it should change something;
    ``number`` counts the requests of all devices of a process, in the order in which they came.
    """

    device: str
    method: str
    path: str
    query: dict[str, str]
    body: t.Any
    writes: bool = False
    status: int = 0
    note: str = ""
    number: int = field(default_factory=itertools.count(1).__next__)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass
class Fault:
    """Make the next ``times`` requests that ``match`` go wrong, after letting ``skip`` of them pass.

    ``answer``: a response to give instead of the real one. ``reset``: cut the connection, ``before`` the request took effect or ``after``.
    ``delay``: seconds to wait before going on.
    """

    match: t.Callable[[Entry], bool] = lambda _entry: True
    answer: Response | None = None
    reset: t.Literal["", "before", "after"] = ""
    delay: float = 0.0
    times: int = 1
    skip: int = 0
    seen: list[Entry] = field(default_factory=list)

    def due(self, entry: Entry) -> bool:
        """Report whether this fault strikes ``entry``, and count it."""
        if len(self.seen) >= self.times or not self.match(entry):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.seen.append(entry)
        return True


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # keep-alive: the clients' reuse of connections is part of what is tested
    disable_nagle_algorithm = (
        True  # head and body are written apart, and the second would wait 40 ms for the first's ACK
    )

    def run_wsgi(self) -> None:
        """Answer one request, and keep the connection: Werkzeug's own would close it after every answer."""
        self.environ = self.make_environ()
        try:
            body, status, headers = run_wsgi_app(self.server.app, self.environ)
            code, _space, reason = status.partition(" ")
            self.send_response(int(code), reason)
            for name, value in headers:
                self.send_header(name, value)
            if "Content-Length" not in headers and code not in ("204", "304"):
                self.send_header("Connection", "close")  # nothing else shows where the answer ends
            self.end_headers()
            for part in body:
                self.wfile.write(part)
        except (ConnectionError, TimeoutError) as error:
            self.connection_dropped(error, self.environ)

    def log(self, type: str, message: str, *args: t.Any) -> None:
        """Keep quiet about requests, which the lab logs itself, and loud about its own mistakes."""
        if type == "error" and "ssl" not in message.lower():
            sys.stderr.write(message % args + "\n")

    def connection_dropped(self, error: BaseException, environ: t.Any = None) -> None:
        """Do not wait for more on a connection that a fault has cut."""
        self.close_connection = True


class Device(abc.ABC):
    """A stand-in. A subclass fills ``self.app`` with routes and ``initial()`` with the state of a fresh device.

    ``self.state`` is all that the device remembers; ``reset()`` puts the fresh state back and forgets log and faults.
    ``open_sessions()`` tells which logins were never logged out, ``issued`` every token and session id that was ever given out.
    """

    platform = ""

    def __init__(self, name: str) -> None:
        self.name = name
        self.app = Flask(name)
        self.app.json.sort_keys = False  # type: ignore[attr-defined]
        self.app.config["PROPAGATE_EXCEPTIONS"] = True
        self.lock = threading.RLock()
        self.log: list[Entry] = []
        self.issued: list[str] = []
        self.faults: list[Fault] = []
        self.state: State = copied(self.initial())
        self.logfile: Path | None = None
        self.before: list[t.Callable[[Entry], None]] = []  # told of each request, before it takes effect
        self.after: list[t.Callable[[Entry | None], None]] = []  # and after it; None: the device changed by itself
        self.port = 0
        self.delay = 0.0
        """How far away the device is: the seconds that a round trip takes."""
        self._travelled: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._servers: list[BaseWSGIServer] = []
        self.app.before_request(self._arrive)
        self.app.after_request(self._leave)

    # What a vendor's stand-in provides

    @abc.abstractmethod
    def initial(self) -> State:
        """Return the state of a fresh device: the article's broken one, full NAT everywhere."""

    @abc.abstractmethod
    def writes(self, request: Request) -> bool:
        """Report whether a request should change the device (logging in and out is not)."""

    def open_sessions(self) -> list[str]:
        """Name the sessions that are still open."""
        return []

    @abc.abstractmethod
    def variables(self, ca: Path) -> dict[str, t.Any]:
        """Return the inventory variables with which this host is reached."""

    # The life of the server

    def start(self, ca: CertificateAuthority) -> None:
        """Serve on a free loopback port until ``stop``."""
        self.listen(ca)

    def listen(self, ca: CertificateAuthority) -> None:
        """Serve on loopback; a second time, on the same port in the network namespace that the caller has entered."""
        server = make_server(
            "127.0.0.1", self.port, self.app, threaded=True, request_handler=_Handler, ssl_context=ca.context()
        )
        # The handshake belongs to the connection's own thread: a client that says nothing must not keep the others waiting.
        server.socket.do_handshake_on_connect = False  # type: ignore[attr-defined]
        self.port = server.server_port
        self._servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True, name=self.name).start()

    def stop(self) -> None:
        """Stop serving."""
        while self._servers:
            server = self._servers.pop()
            server.shutdown()
            server.server_close()

    def reset(self) -> None:
        """Become a fresh device again."""
        with self.lock:
            self.state = copied(self.initial())
            self.log.clear()
            self.faults.clear()
        self.tell(None)

    def tell(self, entry: Entry | None) -> None:
        """Notify subscribers that a request has taken effect, or that the device has changed by itself."""
        for hook in self.after:
            hook(entry)

    def fault(self, match: t.Callable[[Entry], bool] = lambda _entry: True, **how: t.Any) -> Fault:
        """Arm a fault; see Fault."""
        made = Fault(match, **how)
        self.faults.append(made)
        return made

    def writing(self) -> list[Entry]:
        """Return the requests that should change something."""
        return [entry for entry in self.log if entry.writes]

    # Each request

    def _arrive(self) -> Response | None:
        body: t.Any = (
            request.get_json(silent=True)
            if request.is_json
            else (request.form.to_dict() or request.get_data(as_text=True))
        )
        entry = Entry(self.name, request.method, request.path, request.args.to_dict(), body, self.writes(request))
        g.entry = entry
        with self.lock:
            self.log.append(entry)
            fault = next((fault for fault in self.faults if fault.due(entry)), None)
        g.fault = fault
        if self.delay:
            self._travel(request.environ["werkzeug.socket"])
        if fault is not None:
            time.sleep(fault.delay)
            if fault.reset == "before":
                self._cut()
            if fault.answer is not None:
                return fault.answer
        for hook in self.before:
            hook(entry)
        return None

    def _travel(self, connection: socket.socket) -> None:
        """Wait as long as the way there and back takes: once for a request, twice before for a new connection and its TLS."""
        time.sleep(self.delay * (1 if connection in self._travelled else 3))
        self._travelled.add(connection)

    def _leave(self, response: Response) -> Response:
        entry: Entry = g.entry
        entry.status = response.status_code
        self.tell(entry)
        if self.logfile:
            with self.lock, self.logfile.open("a", encoding="utf-8") as out:
                out.write(json.dumps(vars(entry), ensure_ascii=False) + "\n")
        if g.fault is not None and g.fault.reset == "after":
            self._cut()
        return response

    @staticmethod
    def _cut() -> t.NoReturn:
        """Cut the connection with a TCP reset, as a device does that restarts its management daemon."""
        connection: socket.socket = request.environ["werkzeug.socket"]
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(connection.detach())
        raise ConnectionAbortedError
