# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why a server could not be asked: the libraries' words, and ours."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.reach import Endpoint, explain

ENDPOINT = Endpoint("winrm", "10.10.0.11", "5986", "https", "vpnadmin")
POOL = "HTTPSConnectionPool(host='10.10.0.11', port=5986): "
RETRIES = f"ssl: {POOL}Max retries exceeded with url: /wsman (Caused by "


@pytest.mark.parametrize(
    ("reason", "predicate"),
    [
        (f"{RETRIES}NewConnectionError('<x>: Failed to establish a new connection: [Errno 111] Connection refused'))", "refused the connection"),
        (f"{RETRIES}SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed')))", "has a certificate that"),
        (f"{RETRIES}SSLError(SSLError(1, '[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1028)')))", "does not complete the TLS handshake"),
        (f"{RETRIES}ConnectTimeoutError(<x>, 'Connection to 10.10.0.11 timed out. (connect timeout=30)'))", "did not answer in time"),
        (f"{POOL}Read timed out. (read timeout=30)", "did not answer in time"),
        ("the connection attempt timed out", "did not answer in time"),
        (f"{RETRIES}NameResolutionError(\"<x>: Failed to resolve 'srv' ([Errno -2] Name or service not known)\"))", "cannot resolve"),
        (f"{RETRIES}NewConnectionError('<x>: [Errno 113] No route to host'))", "there is no route to it"),
        ("basic: the specified credentials were rejected by the server", "rejected the user name or the password"),
        ("failed to authenticate with the server: Failed to authenticate the user vpnadmin with basic", "rejected the user name or the password"),
        ("('Connection aborted.', RemoteDisconnected('Remote end closed connection without response'))", "ended the connection"),
    ],
)  # fmt: skip
def test_the_libraries_words(reason: str, predicate: str) -> None:
    cause = explain(reason, ENDPOINT, "running read_vpn.ps1", ["secret"])
    assert cause.known
    assert cause.message.startswith("10.10.0.11, port 5986, ")
    assert predicate in cause.message
    assert cause.message.endswith(" (WinRM over https as user vpnadmin; running read_vpn.ps1)")
    assert cause.remedy


def test_other_words_are_shown_in_short_and_without_secrets() -> None:
    cause = explain(f"something with se.cret\nand more {'x' * 500}.", ENDPOINT, "setting it", ["", "se.cret"])
    assert not cause.known
    words = "10.10.0.11, port 5986, could not be asked (WinRM over https as user vpnadmin; setting it): something with ******** and more xxx"
    assert cause.message.startswith(words)
    assert len(cause.message) < 320


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        (Endpoint("winrm", "srv", "5985", "", ""), "srv, port 5985, refused the connection (WinRM over http; x)"),
        (Endpoint("psrp", "srv", "", "", "u"), "srv, port 5986, refused the connection (PSRP over https as user u; x)"),
        (replace(ENDPOINT, kind="ssh", port=""), "10.10.0.11, port 22, refused the connection (SSH as user vpnadmin; x)"),
        (Endpoint("odd", "", "", "", ""), "the server refused the connection (connection odd; x)"),
    ],
)  # fmt: skip
def test_an_endpoint_whose_options_are_not_all_set(endpoint: Endpoint, words: str) -> None:
    assert explain("Connection refused", endpoint, "x", []).message == words
