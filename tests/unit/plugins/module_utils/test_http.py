# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HTTP session: TLS, lost connections, and what messages say, against a real server."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Response, request
from werkzeug import Request

from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Endpoint, Http
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import UnexpectedAnswer, Unreachable
from lab.core import CertificateAuthority, Device, State


class Echo(Device):
    """Answers with what it was sent."""

    def initial(self) -> State:
        return {}

    def writes(self, request: Request) -> bool:
        return request.method != "GET"

    def variables(self, ca: Path) -> dict[str, t.Any]:
        return {}


@pytest.fixture
def echo() -> Iterator[Echo]:
    """Serve."""
    device = Echo("echo")

    @device.app.route("/<path:path>", methods=["GET", "POST"])
    def answer(path: str) -> dict[str, t.Any]:
        return {
            "path": path,
            "authorization": request.headers.get("Authorization"),
            "body": request.get_data(as_text=True),
        }

    @device.app.get("/elsewhere")
    def elsewhere() -> Response:
        return Response(status=302, headers={"Location": "/here"})

    authority = CertificateAuthority()
    device.start(authority)
    device.ca = authority  # type: ignore[attr-defined]
    yield device
    device.stop()


@pytest.fixture
def ca(echo: Echo, tmp_path: Path) -> str:
    """Return the certificate authority's file."""
    echo.ca.write(tmp_path / "ca.pem")  # type: ignore[attr-defined]
    return str(tmp_path / "ca.pem")


def session(echo: Echo, ca: str | None, **more: t.Any) -> Http:
    """Open a session."""
    return Http(Endpoint("127.0.0.1", echo.port, ca_path=ca, **more), "Echo 127.0.0.1")


def test_a_private_authority_is_trusted_by_ca_path_and_not_otherwise(
    echo: Echo, ca: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert session(echo, ca).send("GET", "/a").json()["path"] == "a"
    with pytest.raises(
        Unreachable, match=f"Echo 127.0.0.1, port {echo.port}: the TLS certificate was not accepted.*ca_path"
    ):
        session(echo, None).send("GET", "/a")
    # A bundle in the environment does not take the place of what the task says.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", ca)
    other = CertificateAuthority()
    other.write(Path(ca).with_name("other.pem"))
    with pytest.raises(Unreachable, match="certificate"):
        session(echo, str(Path(ca).with_name("other.pem"))).send("GET", "/a")


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_verification_can_be_switched_off(echo: Echo) -> None:
    assert session(echo, None, validate_certs=False).send("GET", "/a").status == 200


def test_the_users_netrc_is_not_used(echo: Echo, ca: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password else\n", encoding="utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    assert session(echo, ca).send("GET", "/a").json()["authorization"] is None
    http = session(echo, ca)
    answer = http.send("GET", "/a", auth=("user", "password"), masked=False)
    assert answer.json()["authorization"] == "Basic dXNlcjpwYXNzd29yZA=="
    assert http.send("GET", "/a", auth=("user", "password")).json()["authorization"] == "Basic …"


def test_a_redirect_is_not_followed(echo: Echo, ca: str) -> None:
    assert session(echo, ca).send("GET", "/elsewhere").status == 302
    assert [entry.path for entry in echo.log] == ["/elsewhere"]


def test_a_dropped_read_is_repeated_and_a_dropped_write_never(echo: Echo, ca: str) -> None:
    http = session(echo, ca)
    echo.fault(reset="before", times=1)
    assert http.send("GET", "/a").status == 200
    assert http.requests == len(echo.log) == 2
    echo.fault(reset="after", times=4)
    with pytest.raises(Unreachable, match="the connection was lost"):
        http.send("GET", "/a")
    echo.log.clear()
    echo.fault(reset="after", times=1)
    with pytest.raises(Unreachable, match="the connection was lost"):
        http.send("POST", "/a", body={})
    assert len(echo.log) == 1


def test_a_slow_device_is_given_up_in_words(echo: Echo, ca: str) -> None:
    echo.fault(delay=2)
    with pytest.raises(Unreachable, match=r"no answer within 1 s. Raise 'timeout'"):
        session(echo, ca, timeout=1).send("GET", "/a")


def test_a_refused_connection_and_an_unknown_host_are_reported_apart() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
    with pytest.raises(Unreachable, match=f"Device, port {port}: the connection was refused"):
        Http(Endpoint("127.0.0.1", port), "Device").send("GET", "/")
    for host in ("no.such.host.invalid", "a b", "[::", "x" * 300):
        with pytest.raises(Unreachable, match="'host'"):
            Http(Endpoint(host), "Device").send("GET", "/")


def test_a_missing_ca_file_is_an_error_in_words(echo: Echo) -> None:
    with pytest.raises(Unreachable, match="'ca_path'"):
        session(echo, "/does/not/exist.pem").send("GET", "/a")


def test_no_message_shows_what_a_url_contains(echo: Echo, ca: str) -> None:
    echo.fault(reset="before", times=9)
    with pytest.raises(Unreachable) as caught:
        session(echo, ca).send("DELETE", "/tokens/SECRETTOKEN")
    assert "SECRETTOKEN" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("<html>x</html>", "a web page where a JSON object"),
        ("", "something else"),
        ("[1]", "something else"),
        ("{", "something else"),
    ],
)
def test_what_is_no_json_object_is_an_error_in_words(echo: Echo, ca: str, body: str, words: str) -> None:
    echo.fault(answer=Response(body, 503), times=4)
    with pytest.raises(UnexpectedAnswer, match=f"HTTP status 503 and {words}"):
        session(echo, ca).send("GET", "/a").json()


def test_a_server_that_talks_no_tls_is_an_error_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            connection, _dummy = server.accept()
            connection.sendall(b"SSH-2.0-OpenSSH\r\n")
            connection.close()

        threading.Thread(target=hang_up, daemon=True).start()
        with pytest.raises(Unreachable, match=r"no TLS connection|connection was lost"):
            Http(Endpoint("127.0.0.1", server.getsockname()[1]), "Device").send("POST", "/")


def _old_version(context: ssl.SSLContext) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("NULL-SHA256:@SECLEVEL=0")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        (_old_version, "no version or cipher of TLS in common"),
        (lambda _context: None, "TLS certificate was not accepted"),
    ],
    ids=["cipher", "certificate"],
)
def test_a_tls_version_and_a_certificate_are_reported_apart(
    setting: t.Callable[[ssl.SSLContext], None], words: str
) -> None:
    context = CertificateAuthority().context()
    setting(context)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def shake() -> None:
            with contextlib.suppress(OSError):
                context.wrap_socket(server.accept()[0], server_side=True).close()

        threading.Thread(target=shake, daemon=True).start()
        with pytest.raises(Unreachable, match=words):
            Http(Endpoint("127.0.0.1", server.getsockname()[1]), "Device").send("GET", "/")


def test_what_is_hidden_is_hidden_however_it_is_written(echo: Echo, ca: str) -> None:
    http = session(echo, ca)
    http.hide("##4A/B==")
    echo.fault(answer=Response("in ##4A/B== and %23%234A%2FB%3D%3D"))
    assert http.send("GET", "/a").text == "in … and …"
    assert http.masked("POST /a/%23%234A%2FB%3D%3D") == "POST /a/…"
    cookie = {"Set-Cookie": "SESSION=abcdef0123; Secure"}
    echo.fault(answer=Response("you have abcdef0123", headers=cookie))
    assert http.send("GET", "/a").text == "you have …"


def test_an_answer_without_end_is_not_read_to_its_end(echo: Echo, ca: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible_collections.aovpn.ikev2.plugins.module_utils._http.LARGEST", 2**16)

    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 2**14

    echo.fault(answer=Response(endless()))
    with pytest.raises(UnexpectedAnswer, match="answered with more than 65536 bytes"):
        session(echo, ca).send("GET", "/a")


@pytest.mark.parametrize(
    ("content_type", "raw"), [("text/plain; charset=latin-1", b"\xe9"), ("text/plain; charset=none", b"\xc3\xa9")]
)
def test_an_answer_is_read_in_its_encoding(echo: Echo, ca: str, content_type: str, raw: bytes) -> None:
    echo.fault(answer=Response(raw, content_type=content_type))
    assert session(echo, ca).send("GET", "/a").text == "\xe9"


@pytest.mark.parametrize(
    ("content_type", "raw", "charset"),
    [
        ("text/xml", "\xe9".encode(), ""),
        ("text/xml", b"\xe9", ""),
        ("text/xml; charset=UTF-8", "\xe9".encode(), "utf-8"),
        ('text/xml; charset="ISO-8859-1"', b"\xe9", "iso-8859-1"),
        ("text/xml; charset=rot13", "\xe9".encode(), ""),
        ("application/json", b"\xe9", ""),
    ],
)
def test_an_encoding_that_the_header_does_not_name_is_left_to_who_reads_the_bytes(
    echo: Echo, ca: str, content_type: str, raw: bytes, charset: str
) -> None:
    response = Response(raw)
    response.headers["Content-Type"] = content_type
    echo.fault(answer=response)
    answer = session(echo, ca).send("GET", "/a")
    assert (answer.text, answer.body, answer.charset) == ("\xe9", raw, charset)


def test_json_that_is_nested_without_end_is_no_object(echo: Echo, ca: str) -> None:
    echo.fault(answer=Response("[" * 100000))
    with pytest.raises(UnexpectedAnswer, match="where a JSON object was expected"):
        session(echo, ca).send("GET", "/a").json()


@pytest.mark.parametrize(("cert", "key"), [("none.pem", None), ("ca.pem", "none.key")])
def test_a_client_certificate_that_is_missing(echo: Echo, ca: str, tmp_path: Path, cert: str, key: str | None) -> None:
    files = {"client_cert": str(tmp_path / cert), "client_key": key and str(tmp_path / key)}
    with pytest.raises(Unreachable, match="'client_cert', 'client_key' or 'ca_path' is not usable"):
        session(echo, ca, **files).send("GET", "/a")


def test_a_client_certificate_is_shown(ca: str, tmp_path: Path) -> None:
    authority = CertificateAuthority()
    own = authority._ca.issue_cert("client.example.net")
    own.private_key_pem.write_to_path(str(tmp_path / "client.key"))
    own.cert_chain_pems[0].write_to_path(str(tmp_path / "client.pem"))
    own.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    authority.write(tmp_path / "other.pem")
    context = authority.context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(tmp_path / "other.pem")

    class Strict(CertificateAuthority):
        def context(self) -> ssl.SSLContext:
            return context

    device = Echo("strict")
    device.app.get("/a")(lambda: {"path": "a"})
    device.start(Strict())
    try:
        for cert, key in (("client.pem", "client.key"), ("both.pem", None)):
            files = {"client_cert": str(tmp_path / cert), "client_key": key and str(tmp_path / key)}
            assert session(device, str(tmp_path / "other.pem"), **files).send("GET", "/a").json() == {"path": "a"}
        with pytest.raises(Unreachable):
            session(device, str(tmp_path / "other.pem")).send("GET", "/a")
    finally:
        device.stop()
