# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One HTTPS session with one device: TLS, time-outs, one retry for reads, counting, and no secret in any message."""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import signal
import time
import typing as t
from dataclasses import dataclass
from email.message import Message
from urllib.parse import quote, unquote

from ansible_collections.aovpn.ikev2.plugins.module_utils import _libraries as libraries
from ansible_collections.aovpn.ikev2.plugins.module_utils import _transport as transport
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import (
    NOT_UNDERSTOOD,
    TRANSIENT,
    UnexpectedAnswer,
    Unreachable,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import requests

Parsed = t.TypeVar("Parsed")
Auth: t.TypeAlias = "tuple[str, str] | None"

INTERRUPTIONS = {signal.SIGALRM, signal.SIGINT, signal.SIGTERM}
"""The signals of a task's time limit, and of Ctrl-C and the end of the controller."""

LET_THROUGH: set[signal.Signals] = set()
"""The signals that are not held back any more: a second Ctrl-C ends the task at once."""

LARGEST = 32 * 2**20
"""How many bytes of an answer are read at most; the largest that devices send have a few million."""

NO_COMMON_TLS = ("PROTOCOL", "VERSION", "CIPHER", "HANDSHAKE_FAILURE", "DH_KEY_TOO_SMALL", "EE_KEY_TOO_SMALL")
"""What OpenSSL's reasons contain where the certificate is not what is wrong."""

HIDDEN = "…"
"""What stands in place of a secret."""

PAUSES = (1, 2, 4)
"""How many seconds to wait before the next try, where a device is busy or has lost the connection."""

LONGEST, LONGER = 1800, 600
"""How many seconds all requests of a task may take, and how many a rollback and the log-out have at least."""


@contextlib.contextmanager
def understood(device: str, what: str) -> Iterator[None]:
    """Read ``what`` from a device's answer.

    :raises UnexpectedAnswer: where a field is missing, or not of the type that the reader expects.
    """
    try:
        yield
    except NOT_UNDERSTOOD as error:
        raise UnexpectedAnswer(
            f"{device} described its {what} in a way that is not understood ({type(error).__name__}: {error})."
            " Please report this with the device's version."
        ) from error


@dataclass(frozen=True)
class Endpoint:
    """Where a device's management API listens and how far its certificate is trusted. ``timeout`` is in seconds.

    ``client_cert`` and ``client_key`` are files with our own certificate and its key, which one file may hold both.
    """

    host: str
    port: int = 443
    validate_certs: bool = True
    ca_path: str | None = None
    timeout: int = 30
    client_cert: str | None = None
    client_key: str | None = None


@dataclass(frozen=True)
class Answer:
    """What a device answered. ``charset``: the encoding of ``body`` that its HTTP header names, empty where it names none that is known."""

    status: int
    text: str
    device: str
    body: bytes = b""
    charset: str = ""

    def json(self) -> dict[str, t.Any]:
        """Read the body as a JSON object.

        :raises UnexpectedAnswer: where it is not one.
        """
        try:
            body = json.loads(self.text)
            json.dumps(
                body, ensure_ascii=False
            ).encode()  # half a character can be read, but neither shown nor sent back
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise self.unexpected("a JSON object")
        return body

    def parse(self, read: t.Callable[[dict[str, t.Any]], Parsed], what: str) -> Parsed:
        """Read ``what`` out of a JSON object.

        :raises UnexpectedAnswer: where a field is missing, or not of the type that ``read`` expects.
        """
        body = self.json()
        with understood(self.device, what):
            return read(body)

    def unexpected(self, expected: str) -> UnexpectedAnswer:
        """Return the error for an answer that should have been ``expected``."""
        kind = "a web page" if "<html" in self.text[:2000].lower() else "something else"
        return UnexpectedAnswer(
            f"{self.device} answered with HTTP status {self.status} and {kind} where {expected} was expected."
            " Is this the address and port of its management API, and has the device finished starting?",
            transient=self.status in TRANSIENT,
        )


def _untouched(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Send a request without credentials: with no authentication at all, requests would look for some in ~/.netrc."""
    return request


@contextlib.contextmanager
def _interruptible(allowed: bool) -> Iterator[None]:
    """Let interruptions through, if they are ``allowed``, where a module holds them back."""
    former = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        # One that has been waiting is raised here.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTIONS if allowed else ())
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former - LET_THROUGH)


class Http:
    """A session with one device, named ``device`` in messages. ``requests`` counts every request that was sent, repeated ones too."""

    def __init__(self, endpoint: Endpoint, device: str) -> None:
        self.device = device
        self.requests = 0
        self.progress: list[str] = []
        """What the task waited for."""
        self.shielded = False
        """Whether interruptions have to wait until the module ends, because a rollback or the log-out is under way."""
        self._secrets: set[str] = set()
        self._endpoint = endpoint
        self._clock = transport.Clock()
        self._end = time.monotonic() + LONGEST
        host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
        self._base = f"https://{host}:{endpoint.port}"

    @functools.cached_property
    def _session(self) -> requests.Session:
        session = transport.session(self._clock)
        session.auth = _untouched
        cert, key = self._endpoint.client_cert, self._endpoint.client_key
        session.cert = (cert, key) if cert and key else cert
        return session

    def send(
        self,
        method: str,
        path: str,
        *,
        repeat: bool | None = None,
        idle: t.Callable[[Answer], bool] = lambda _answer: False,
        pause: float = 0.0,
        patience: int = 0,
        **content: t.Any,
    ) -> Answer:
        """Send one request, and again where the device is busy or has lost the connection; ``content`` is as of ``_send``.

        ``repeat``: whether it may be sent again whatever happened to it; by default that is so for GET alone. ``idle``: whether an answer
        of a busy device says that nothing was done, so that anything may be sent again. ``pause``: how many seconds to wait
        at least. ``patience``: how many seconds the answer may take, if that is more than the endpoint's time-out.
        An interruption comes through before the request, and while a read waits for its answer. What a write has done is never left open.

        :raises Unreachable: where there is no answer, or no whole one within the time-out.
        :raises UnexpectedAnswer: where it is larger than any of a management API.
        """
        repeat = method == "GET" if repeat is None else repeat
        for wait in (*PAUSES, None):
            try:
                answer = self._send(
                    method, path, max(self._endpoint.timeout, patience), repeat and not patience, **content
                )
            except Unreachable as error:
                if not (error.transient and repeat) or wait is None:
                    raise
            else:
                if answer.status not in TRANSIENT or not (repeat or idle(answer)) or wait is None:
                    return answer
                where = self.masked(f"{method} {path}".partition("?")[0])
                self.progress.append(f"Busy at {where}: asked again after {max(wait, pause):g} s.")
            with _interruptible(repeat and not self.shielded):
                time.sleep(max(wait, pause))
        return answer

    def _send(
        self,
        method: str,
        path: str,
        timeout: int,
        interruptible: bool,
        *,
        body: t.Any = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: Auth = None,
        masked: bool = True,
    ) -> Answer:
        """Send one request; ``body`` goes as JSON, ``form`` as a form. ``masked``: whether the answer comes without what is hidden."""
        with _interruptible(not self.shielded):
            pass
        if time.monotonic() > self._end:
            raise Unreachable(
                f"{self.device}: the task has taken more than {LONGEST} s, and was ended. Check whether the device is overloaded."
            )
        if auth:
            self.hide(base64.b64encode(":".join(auth).encode()).decode())
        self.requests += 1
        self._clock.start(timeout)
        try:
            with (
                _interruptible(interruptible and not self.shielded),
                self._session.request(
                    method,
                    self._base + path,
                    json=body,
                    data=form,
                    headers=headers,
                    auth=auth,
                    timeout=(self._endpoint.timeout, timeout),
                    # Given here and not on the session, where REQUESTS_CA_BUNDLE would have the last word over ca_path.
                    verify=(self._endpoint.ca_path or True) if self._endpoint.validate_certs else False,
                    allow_redirects=False,
                    stream=True,
                ) as response,
            ):
                content, charset = transport.body(response, self._clock, LARGEST), _charset(response)
                if content is None:
                    raise UnexpectedAnswer(
                        f"{self.device} answered with more than {LARGEST} bytes, which cannot be an answer of its management API."
                        " Check options 'host' and 'port'."
                    )
                self.hide(*filter(None, (cookie.value for cookie in self._session.cookies)))
                # Devices repeat what they were sent, in their messages above all.
                for secret in self._secrets if masked else ():
                    content = content.replace(secret.encode(), HIDDEN.encode())
                return Answer(response.status_code, _text(content, charset), self.device, content, charset)
        except libraries.requests.exceptions.RequestException as error:
            raise self._unreachable(error, timeout) from None
        except (OSError, ValueError):
            # requests raises these bare for a missing ca_path, and for an invalid host name.
            raise Unreachable(
                f"{self.device} cannot be asked: option 'host' or {self._files()} is not usable (no such file, or not a host name)."
            ) from None

    def pause(self, seconds: float, note: str) -> None:
        """Wait, and note why in ``progress``."""
        self.progress.append(note)
        time.sleep(seconds)

    def hide(self, *secrets: str) -> None:
        """Never show these, such as the id of a session, whatever the device answers. Each is hidden with and without percent-encoding."""
        self._secrets.update(form for secret in secrets for form in (secret, quote(secret, safe=""), unquote(secret)))

    def masked(self, text: str) -> str:
        """Return a text without what is hidden."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text

    def shield(self) -> None:
        """Let no interruption through from now on, and leave enough time for what is under way."""
        self.shielded = True
        self._end = max(self._end, time.monotonic() + LONGER)

    def remember(self, name: str, value: str) -> None:
        """Send a cookie from now on, and never show it."""
        self.hide(value)
        self._session.cookies.set(name, value)

    def forget(self) -> None:
        """Forget the device's cookies."""
        self._session.cookies.clear()

    def close(self) -> None:
        """Close the connection."""
        if "_session" in vars(self):
            self._session.close()

    def _files(self) -> str:
        return "'client_cert', 'client_key' or 'ca_path'" if self._endpoint.client_cert else "'ca_path'"

    def _unreachable(self, error: requests.exceptions.RequestException, timeout: int) -> Unreachable:
        # The library's own words stay out: they hold the URL, and a URL may hold a token.
        exceptions = libraries.requests.exceptions
        where = f"{self.device}, port {self._endpoint.port}"
        if isinstance(error, exceptions.SSLError) and any(reason in repr(error) for reason in NO_COMMON_TLS):
            return Unreachable(
                f"{where}: no TLS connection, since the device and this controller have no version or cipher of TLS in common,"
                " or the device does not speak TLS at this port. Check option 'port', the device's TLS settings and OpenSSL's on the controller."
            )
        if isinstance(error, exceptions.SSLError):
            return Unreachable(
                f"{where}: the TLS certificate was not accepted. Give the certificate authority that signed it as 'ca_path'"
                " and the name it was made out to as 'host'."
                + (" Or 'client_cert' and 'client_key' do not fit each other." if self._endpoint.client_cert else "")
            )
        if isinstance(error, exceptions.ConnectTimeout):
            return Unreachable(
                f"{where}: no connection within {self._endpoint.timeout} s. Check address, port and firewalls."
            )
        if isinstance(error, exceptions.Timeout):
            return Unreachable(f"{where}: no answer within {timeout} s. Raise 'timeout' if the device is busy.")
        if isinstance(error, exceptions.ProxyError):
            return Unreachable(f"{where}: the proxy that the environment names could not be used.")
        if isinstance(error, exceptions.InvalidURL):
            return Unreachable(f"{where}: option 'host' is not a host name or an address.")
        text = repr(error)
        if "NameResolutionError" in text or "getaddrinfo" in text:
            return Unreachable(f"{where}: the host name is not known. Check option 'host'.")
        if "refused" in text:
            return Unreachable(
                f"{where}: the connection was refused. Check option 'port', and that the management API is on."
            )
        return Unreachable(f"{where}: the connection was lost ({type(error).__name__}).", dropped=_dropped(error))


def _charset(response: requests.Response) -> str:
    header = Message()
    header["Content-Type"] = response.headers.get("Content-Type", "")
    try:
        charset = header.get_content_charset("")
        bytes(4).decode(charset)
    except (LookupError, ValueError):  # not known here, or no encoding of text
        return ""
    return charset


def _text(body: bytes, charset: str) -> str:
    """Return a body as text. Without a charset it is UTF-8, as JSON always is, unless it cannot be."""
    try:
        return body.decode(charset or "utf-8")
    except ValueError:
        return body.decode("latin-1")


def _dropped(error: requests.exceptions.RequestException) -> bool:
    """Report whether an established connection broke, which a second try may cure."""
    exceptions = libraries.requests.exceptions
    if isinstance(error, (exceptions.SSLError, exceptions.Timeout, exceptions.ProxyError)):
        return False
    text = repr(error)
    return isinstance(error, exceptions.ChunkedEncodingError) or "Connection aborted" in text or "reset" in text
