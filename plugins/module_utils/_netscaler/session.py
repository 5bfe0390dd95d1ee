# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A session with a NetScaler: logging in and out, reading lists, writing, and what its codes mean."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping
from urllib.parse import quote, unquote

from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Answer, Http
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import (
    AccessDenied,
    DeviceError,
    Finding,
    InvalidInput,
    Refused,
)
from ansible_collections.aovpn.ikev2.plugins.module_utils._netscaler import findings as judge

NITRO = "/nitro/v1/config/"

EXPIRED = (444, 1027)
NO_SESSION_LEFT = (445, 446)
WRONG_CREDENTIALS = (354, 355)
BASIC_DISABLED = 1244
NOT_AUTHORIZED = 2138
IN_PROGRESS = 293
UNKNOWN_FIELD = (278, 1090)
"""Codes that an older firmware may have for a field in ``attrs`` that it does not know."""
PROPAGATION = (347, 349, 457, 458, 1028)
"""Codes that say that a change has not reached the other node: a warning or an error, depending on the device."""

ADVICE = {
    **dict.fromkeys(PROPAGATION, "Make changes on the primary node, and make sure that the other node is reachable."),
    IN_PROGRESS: "Somebody else's command is still running; try again later.",
    **dict.fromkeys((1044, 1203), "This is one node of a cluster: use the cluster's address (CLIP) as 'host'."),
    1289: "Switch off connection failover of the virtual server first.",
    3894: "Give this virtual address servers of its own IP version.",
}
"""What to do about a refusal, by NITRO code."""


class Session:
    """Sends requests over ``http``. ``given`` is a session of the caller's: it is used, and left open.

    With ``username`` and ``password`` beside it, a new session replaces it when it has ended. ``warnings``: what the device said
    about the propagation of changes.
    """

    def __init__(
        self,
        http: Http,
        label: str,
        *,
        username: str | None,
        password: str | None,
        given: str | None,
        admin_partition: str | None,
    ) -> None:
        if given and admin_partition is not None:
            # Switching would leave the caller's own session in another partition, and nothing shows in which it was.
            raise InvalidInput(
                "Options 'nitro_auth_token' and 'admin_partition' exclude each other: a session is in one partition."
                " Switch the session yourself, or give 'username' and 'password'."
            )
        self._http = http
        self._label = label
        self._username = username
        self._password = password
        self._given = given
        self._admin_partition = admin_partition
        self._logged_in = False
        self._who = f"user {username!r}"
        self._attrs = True
        self.warnings: list[str] = []

    def open(self) -> None:
        """Log in, or use the session that was given."""
        if self._given:
            # The device writes the id percent-encoded into its cookie; callers have it either way.
            self._http.remember("NITRO_AUTH_TOKEN", quote(unquote(self._given), safe=""))
            self._who = "the session of 'nitro_auth_token'"
            return
        self._log_in()

    def _log_in(self) -> None:
        # The session's id comes back as a cookie, which the HTTP session keeps to itself.
        self._given, self._logged_in, self._who = None, False, f"user {self._username!r}"
        self._http.forget()
        credentials = {"login": {"username": self._username, "password": self._password}}
        self._accepted(self._post("POST", "login", credentials, repeat=True), "POST login")
        self._logged_in = True
        if self._admin_partition is not None:
            body = {"nspartition": {"partitionname": self._admin_partition}}
            answer = self._post("POST", "nspartition?action=Switch", body, repeat=True)  # not send, which may lead here
            self._accepted(answer, f"POST nspartition ({self._admin_partition})")

    def close(self) -> None:
        """Log out, unless the session is the caller's, and close the connection."""
        try:
            if self._logged_in:
                self._logged_in = False
                answer = self._post("POST", "logout", {"logout": {}}, repeat=True)
                if self._code(answer) not in EXPIRED:  # a session that has expired is closed
                    self._accepted(answer, "POST logout")
        finally:
            self._http.close()

    def rows(self, resource: str) -> list[t.Any]:
        """Read a list; one with nothing in it is an absent key, and one item may stand without its array."""
        path, _mark, query = resource.partition("?")
        selecting = query.startswith("attrs=")
        try:
            answer = self.send("GET", resource if self._attrs or not selecting else path)
        except Refused as error:
            if not (selecting and self._attrs and error.code in UNKNOWN_FIELD):
                raise
            self._attrs = False  # an older firmware: it shows what it has, with everything else
            answer = self.send("GET", path)
        found = answer.json().get(path.partition("/")[0], [])
        return found if isinstance(found, list) else [found]

    def ask(self, resource: str, what: str, consequence: str) -> tuple[list[t.Any], list[Finding]]:
        """Read a list that findings alone depend on: where that fails, a finding says what is not known."""
        try:
            return self.rows(resource), []
        except DeviceError as error:
            return [], [judge.not_asked(what, error, consequence)]

    def write(self, method: str, resource: str, body: t.Any, named: str, *, patience: int = 0) -> None:
        """Change something; ``named`` is what. A warning that the change does not reach the other node is kept in ``warnings``."""
        # Without this, a change that does not reach the other node looks as if it had.
        answer = self.send(method, resource + ("&" if "?" in resource else "?") + "warning=yes", body, named, patience)
        if self._code(answer) in PROPAGATION:
            self.warnings.append(_reason(answer.json()))

    def send(self, method: str, resource: str, body: t.Any = None, named: str = "", patience: int = 0) -> Answer:
        """Send one request. Where the session has expired, nothing was done: log in and send it again."""
        answer = self._post(method, resource, body, patience=patience)
        renewable = self._logged_in or (self._given and self._username)
        if renewable and self._code(answer) in EXPIRED:
            self._log_in()
            answer = self._post(method, resource, body, patience=patience)
        doing = f"{method} {resource.partition('?')[0]}"
        return self._accepted(answer, f"{doing} ({named})" if named else doing)

    def _post(self, method: str, resource: str, body: t.Any, **how: t.Any) -> Answer:
        headers = {"X-NITRO-ONERROR": "exit"} if isinstance(body, dict) and _is_bulk(body) else None
        return self._http.send(method, NITRO + resource, body=body, headers=headers, **how)

    @staticmethod
    def _code(answer: Answer) -> int:
        if answer.status < 300 and not answer.text.strip():
            return 0
        return answer.parse(lambda body: int(body.get("errorcode", 0)), "result")

    def _accepted(self, answer: Answer, doing: str) -> Answer:
        code = self._code(answer)
        if answer.status < 400 and code == 0:
            return answer
        body = answer.json()
        if answer.status < 300 and body.get("severity") == "WARNING":
            return answer
        # The code of a bulk says only that a part has failed; the part says why.
        failed = next((item for item in _parts(body) if item.get("errorcode")), body)
        code = answer.parse(lambda _body: int(failed.get("errorcode", 0)), "result")
        message = _reason(failed)
        if code in EXPIRED and self._given:
            raise AccessDenied(
                f"{self._label} does not know {self._who}, or it has ended. Give a new one,"
                f" or 'username' and 'password'. {message}"
            )
        if code in WRONG_CREDENTIALS:
            raise AccessDenied(f"{self._label} refused {self._who}. Check 'username' and 'password'. {message}")
        if code in NO_SESSION_LEFT:
            raise AccessDenied(
                f"{self._label}: {self._who} has as many sessions as the device allows."
                f" End some, or use a separate account for Ansible. {message}"
            )
        if code == BASIC_DISABLED:
            raise AccessDenied(
                f"{self._label} accepts no basic authentication, and refused the login, too. Allow {self._who}"
                f" to use the API. {message}"
            )
        if code == NOT_AUTHORIZED or answer.status in (401, 403):
            raise AccessDenied(f"{self._label} does not let {self._who} do this ({doing}): {message}")
        advice = f" {ADVICE[code]}" if code in ADVICE else ""
        raise Refused(
            f"{self._label} refused {doing}: {message}{advice}",
            status=answer.status,
            code=code,
            transient=code == IN_PROGRESS,
        )


def _is_bulk(body: Mapping[str, t.Any]) -> bool:
    return any(isinstance(item, list) for item in body.values())


def _parts(body: Mapping[str, t.Any]) -> list[Mapping[str, t.Any]]:
    parts = body.get("response", [])
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def _reason(body: Mapping[str, t.Any]) -> str:
    return f"{body.get('message', 'no reason given')} (NITRO error {body.get('errorcode', 0)})."
