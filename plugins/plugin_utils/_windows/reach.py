# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why a server could not be asked, in one sentence instead of the libraries' words. No input or output."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

TITLES = {"winrm": "WinRM", "psrp": "PSRP", "ssh": "SSH"}
LONGEST = 200

REASONS: tuple[tuple[str, str, str], ...] = (
    (
        r"certificate.?verify.?failed|certificate verify|hostname .* doesn't match|self.signed certificate",
        "has a certificate that the controller does not trust",
        "Make its issuer known with 'ansible_winrm_ca_trust_path' or 'ansible_psrp_ca_cert', or replace the certificate",
    ),
    (
        r"SSLError|SSLEOFError|\[SSL\b|handshake|wrong.?version.?number",
        "does not complete the TLS handshake",
        "Check that the port is the one for HTTPS",
    ),
    (
        r"credentials were rejected|\b401\b|unauthori[sz]ed|failed to authenticate|authentication fail|permission denied|access is denied",
        "rejected the user name or the password",
        "Check 'ansible_user' and 'ansible_password', and whether the user may log in remotely",
    ),
    (
        r"connection refused|actively refused|\b(111|10061)\b.*refused",
        "refused the connection",
        "Check that the server listens on this port, and that no firewall rejects it",
    ),
    (
        r"name or service not known|name resolution|nodename nor servname|getaddrinfo|could not resolve",
        "is a name that the controller cannot resolve",
        "Correct 'ansible_host'",
    ),
    (
        r"no route to host|network is unreachable|host is unreachable",
        "cannot be reached: there is no route to it",
        "Check that the server is up, and 'ansible_host'",
    ),
    (
        r"timed?.?out",
        "did not answer in time",
        "Check that the server is up, and that no firewall drops the connection",
    ),
    (
        r"connection aborted|connection reset|remote ?disconnected|without response|broken pipe|connection closed|EOF occurred",
        "ended the connection",
        "Run this again",
    ),
)
"""What libraries say, the same as a predicate of the server, and what to do."""


@dataclass(frozen=True)
class Endpoint:
    """Where a connection goes, as far as its options say: texts, empty where one is not set."""

    kind: str
    host: str
    port: str
    scheme: str
    user: str

    @property
    def place(self) -> str:
        """Return host and port."""
        port = self.port or {"winrm": "5986", "psrp": "5986", "ssh": "22"}.get(self.kind, "")
        return f"{self.host or 'the server'}{f', port {port},' if port else ''}"

    @property
    def tried(self) -> str:
        """Return how it was asked, and as which user."""
        title = TITLES.get(self.kind, f"connection {self.kind}")
        scheme = ""
        if self.kind in ("winrm", "psrp"):
            scheme = f" over {self.scheme or ('http' if self.port == '5985' else 'https')}"
        return f"{title}{scheme}{f' as user {self.user}' if self.user else ''}"


@dataclass(frozen=True)
class Cause:
    """What happened, as a sentence without its end, and what to do. ``known``: it is one of REASONS."""

    message: str
    remedy: str
    known: bool


def explain(reason: str, endpoint: Endpoint, what: str, secrets: Iterable[str]) -> Cause:
    """Return why a server did not answer. ``reason`` has the libraries' words, ``what`` was being done; ``secrets`` are never shown."""
    for pattern, predicate, remedy in REASONS:
        if re.search(pattern, reason, re.IGNORECASE):
            return Cause(f"{endpoint.place} {predicate} ({endpoint.tried}; {what})", remedy, True)
    for secret in filter(None, secrets):
        reason = reason.replace(secret, "********")
    words = " ".join(reason.split())[:LONGEST].rstrip(". ")
    return Cause(f"{endpoint.place} could not be asked ({endpoint.tried}; {what}): {words}", "Run this again", False)
