# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stand-in that is asked in the test's own process, without a network: for tests that ask often."""

from __future__ import annotations

import io
import json
import sys
import typing as t
from base64 import b64encode
from urllib.parse import unquote, urlencode, urlsplit

import pytest
from requests.utils import requote_uri
from werkzeug.http import parse_options_header
from werkzeug.test import run_wsgi_app

from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Answer, Http
from lab.core import Device

AnyDevice = t.TypeVar("AnyDevice", bound=Device)


def directly(device: AnyDevice, monkeypatch: pytest.MonkeyPatch) -> AnyDevice:
    """Let whatever is sent arrive at ``device``, and give it."""

    def send(http: Http, method: str, path: str, _timeout: int, _interruptible: bool, **how: t.Any) -> Answer:
        http.requests += 1
        cookies = http._session.cookies
        chunks, status, headers = run_wsgi_app(device.app, _environ(method, path, cookies, **how))
        for cookie in headers.getlist("Set-Cookie"):
            name, _dummy, value = cookie.partition(";")[0].partition("=")
            cookies.set(name, value)
        charset = parse_options_header(headers.get("Content-Type"))[1].get("charset", "")
        content = b"".join(chunks)
        return Answer(int(status.split()[0]), content.decode(), http.device, content, charset)

    monkeypatch.setattr(Http, "_send", send)
    return device


def _environ(
    method: str,
    path: str,
    cookies: t.Mapping[str, str],
    *,
    body: t.Any = None,
    form: t.Mapping[str, str] | None = None,
    headers: t.Mapping[str, str] | None = None,
    auth: tuple[str, str] | None = None,
    masked: bool = True,
) -> dict[str, t.Any]:
    """Return a WSGI environment with a request as Http sends it. Flask's test client takes longer to make one than the stand-in takes to answer it."""
    url = urlsplit(requote_uri(path))
    content = b"" if body is None else json.dumps(body, allow_nan=False).encode()
    kind = "" if body is None else "application/json"
    if form:
        content, kind = urlencode(form).encode(), "application/x-www-form-urlencoded"
    sent = dict(headers or {})
    if auth:
        sent["Authorization"] = f"Basic {b64encode(':'.join(auth).encode()).decode()}"
    assert "Content-Type" not in sent, "not played here"
    if cookies:
        sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
    return {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(url.path, "latin-1"),
        "QUERY_STRING": url.query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": kind,
        "CONTENT_LENGTH": str(len(content)),
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(content),
        "wsgi.errors": sys.stderr,
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in sent.items()},
    }
