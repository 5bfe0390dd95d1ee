# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A session with a BIG-IP: log-in, tokens, transient refusals, and clear errors."""

from __future__ import annotations

import contextlib
import typing as t
from urllib.parse import quote

from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Answer, Http
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import AccessDenied, DeviceError, Refused

BUSY = ("There is an active asynchronous task executing", "Configuration Utility restarting")
"""The two transient answers (HTTP 503). The request was not carried out, so sending it again is safe."""
LEAST_TOKEN_LIFE = 300
"""A token with a shorter life is extended to this, in seconds. BIG-IP's default is 1200."""

ROLE_REFUSAL = "Authorization failed: user="
"""What the message of a 401 begins with that is about the user's role and not about the token."""

NOT_PERMITTED = "01070822"
"""What mcpd's 'Access Denied' begins with, which comes with HTTP 400."""


class Session:
    """iControl REST over ``http``."""

    def __init__(self, http: Http, username: str, password: str, login_provider: str) -> None:
        self._http = http
        self._username = username
        self._password = password
        self._login_provider = login_provider
        self._token: str | None = None
        self._basic = False

    def open(self) -> None:
        """Log in. A device without the log-in service gets basic authentication."""
        answer = self._send(
            "POST",
            "/mgmt/shared/authn/login",
            {"username": self._username, "password": self._password, "loginProviderName": self._login_provider},
            {},
            repeat=True,
            masked=False,
        )
        if answer.status == 404:
            # A device without the log-in service still knows its local users.
            self._basic = True
            return
        if answer.status == 401:
            raise AccessDenied(f"{self._http.device} refused user {self._username!r}. Check 'username' and 'password'.")
        if "maximum active login tokens" in answer.text:
            raise AccessDenied(
                f"{self._http.device}: user {self._username!r} has as many open logins as the device allows."
                " They end by themselves within 20 minutes. A separate account for Ansible avoids this."
            )
        self.accepted(answer, "logging in")
        self._token, life = answer.parse(
            lambda body: (str(body["token"]["token"]), int(body["token"]["timeout"])), "login token"
        )
        self._http.hide(self._token)
        if life < LEAST_TOKEN_LIFE:
            # Not every user may do this, and the token may live long enough anyway.
            with contextlib.suppress(DeviceError):
                self._send("PATCH", self._token_path(self._token), {"timeout": LEAST_TOKEN_LIFE}, {})

    def close(self) -> None:
        """Log out, and close the connection."""
        try:
            if self._token:
                answer = self._send("DELETE", self._token_path(self._token), None, {}, repeat=True)
                # The first of two may have been carried out, and a token that has expired is gone.
                if answer.status not in (401, 404):
                    self.accepted(answer, "logging out")
        finally:
            self._token = None
            self._http.close()

    def get(self, path: str) -> Answer:
        """Read."""
        return self.send("GET", path)

    def send(
        self, method: str, path: str, body: t.Any = None, headers: dict[str, str] | None = None, **how: t.Any
    ) -> Answer:
        """Send one request. ``how``: see ``Http.send``.

        :raises AccessDenied: where the user may not do this.
        :raises Refused: where the device declined it.
        """
        return self.accepted(self.exchange(method, path, body, headers, **how), f"{method} {path.partition('?')[0]}")

    def exchange(
        self, method: str, path: str, body: t.Any = None, headers: dict[str, str] | None = None, **how: t.Any
    ) -> Answer:
        """Send one request and return the answer, whatever it is. Where the token has expired, nothing was done: log in and send it again."""
        answer = self._send(method, path, body, headers or {}, **how)
        if answer.status == 401 and self._token and ROLE_REFUSAL not in answer.text:
            former, self._token = self._token, None
            try:
                self.open()
            except DeviceError:
                self._token = former  # it may still have to be logged out
                raise
            with contextlib.suppress(DeviceError):
                self._send("DELETE", self._token_path(former), None, {})
            answer = self._send(method, path, body, headers or {}, **how)
        return answer

    def _send(self, method: str, path: str, body: t.Any, headers: dict[str, str], **how: t.Any) -> Answer:
        return self._http.send(method, path, body=body, idle=_is_busy, **how, **self._credentials(headers))

    @staticmethod
    def _token_path(token: str) -> str:
        return f"/mgmt/shared/authz/tokens/{quote(token, safe='')}"

    def _credentials(self, headers: dict[str, str]) -> dict[str, t.Any]:
        if self._basic:
            return {"headers": headers, "auth": (self._username, self._password)}
        return {"headers": {**headers, "X-F5-Auth-Token": self._token} if self._token else headers}

    def accepted(self, answer: Answer, doing: str) -> Answer:
        """Return the answer, if it is a good one; ``doing`` is what the request was for. Raises as ``send`` does."""
        if answer.status < 300:
            return answer
        if answer.status in (401, 403) or NOT_PERMITTED in answer.text:
            raise AccessDenied(
                f"{self._http.device} does not let user {self._username!r} do this ({self._http.masked(doing)})."
                " Changes need the role Manager or above; reading needs Guest."
            )
        message = str(answer.json().get("message", "no reason given"))
        raise Refused(
            f"{self._http.device} refused {self._http.masked(doing)}: {self._http.masked(message)}",
            status=answer.status,
        )


def _is_busy(answer: Answer) -> bool:
    return any(words in answer.text for words in BUSY)
