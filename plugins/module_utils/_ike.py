# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The first message of IKEv2 and the answer to it, as packets: RFC 7296, sections 1.2, 2.6 and 3. No input or output.

Names and numbers are those of IANA's registry "Internet Key Exchange Version 2 (IKEv2) Parameters".
"""

from __future__ import annotations

import secrets
import struct
import typing as t
from collections.abc import Iterator

IKE_PORT = 500
NAT_T_PORT = 4500
NON_ESP_MARKER = bytes(4)
"""Precedes IKE on UDP 4500, to tell it from ESP (RFC 3948, section 2.2)."""

_HEADER = struct.Struct("!8s8sBBBBII")  # SPIs, next payload, version, exchange, flags, message ID, length
_PAYLOAD = struct.Struct("!BBH")  # next payload, critical, length
_VERSION, _INITIATOR, _RESPONSE = 0x20, 0x08, 0x20
_IKE_SA_INIT = 34
_SA, _KE, _NONCE, _NOTIFY = 33, 34, 40, 41

# RFC 3526, section 3. Its generator is 2.
_GROUP, _GROUP_BYTES = 14, 256
_PRIME = int(
    "FFFFFFFF FFFFFFFF C90FDAA2 2168C234 C4C6628B 80DC1CD1 29024E08 8A67CC74 020BBEA6 3B139B22 514A0879 8E3404DD"
    "EF9519B3 CD3A431B 302B0A6D F25F1437 4FE1356D 6D51C245 E485B576 625E7EC6 F44C42E9 A637ED6B 0BFF5CB6 F406B7ED"
    "EE386BFB 5A899FA5 AE9F2411 7C4B1FE6 49286651 ECE45B3D C2007CB8 A163BF05 98DA4836 1C55D39A 69163FA8 FD24CF5F"
    "83655D23 DCA3AD96 1C62F356 208552BB 9ED52907 7096966D 670C354E 4ABC9804 F1746C08 CA18217C 32905E46 2E36CE3B"
    "E39E772C 180E8603 9B2783A2 EC07A28F B5C55DF0 6F4C52C9 DE2BCBF6 95581718 3995497C EA956AE5 15D22618 98FA0510"
    "15728E5A 8AACAA68 FFFFFFFF FFFFFFFF".replace(" ", ""),
    16,
)

# Transforms as (type, ID, key length in bits or 0). Nothing is ever encrypted with them, because the exchange ends with the first answer. So what a
# server with the defaults of Windows wants (3DES, group 2) is offered as well, last, so that it answers, too.
_ENCR, _PRF, _INTEG, _DH = 1, 2, 3, 4
_OFFER: tuple[tuple[int, int, int], ...] = (
    (_ENCR, 12, 256),  # AES-CBC
    (_ENCR, 12, 128),
    (_ENCR, 3, 0),  # 3DES
    (_PRF, 5, 0),  # HMAC with SHA2-256
    (_PRF, 6, 0),  # SHA2-384
    (_PRF, 2, 0),  # SHA1
    (_INTEG, 12, 0),  # HMAC with SHA2-256, 128 bits of it
    (_INTEG, 13, 0),  # SHA2-384, 192 bits
    (_INTEG, 2, 0),  # SHA1, 96 bits
    (_DH, _GROUP, 0),  # 2048-bit MODP, and the one of which the public value is sent along
    (_DH, 19, 0),  # 256-bit random ECP
    (_DH, 20, 0),  # 384-bit random ECP
    (_DH, 2, 0),  # 1024-bit MODP
)

NOTIFICATIONS: t.Final[dict[int, str]] = {
    1: "UNSUPPORTED_CRITICAL_PAYLOAD",
    4: "INVALID_IKE_SPI",
    5: "INVALID_MAJOR_VERSION",
    7: "INVALID_SYNTAX",
    9: "INVALID_MESSAGE_ID",
    14: "NO_PROPOSAL_CHOSEN",
    17: "INVALID_KE_PAYLOAD",
    24: "AUTHENTICATION_FAILED",
    43: "TEMPORARY_FAILURE",
    16390: "COOKIE",
    16407: "REDIRECT",
}
"""The notifications that answer an IKE_SA_INIT request in place of a response. Types below 16384 are errors."""


def sa_init(spi: bytes) -> bytes:
    """Make an IKE_SA_INIT request with this SPI of 8 bytes, a fresh nonce and a fresh public value of group 14."""
    public = pow(2, secrets.randbits(8 * _GROUP_BYTES - 1) | 1, _PRIME).to_bytes(_GROUP_BYTES, "big")
    transforms = [_transform(*one, last=one is _OFFER[-1]) for one in _OFFER]
    # One proposal, number 1, for IKE, without an SPI: RFC 7296, section 3.3.1.
    proposal = struct.pack("!BBHBBBB", 0, 0, 8 + sum(map(len, transforms)), 1, 1, 0, len(transforms))
    payloads = (
        (_SA, proposal + b"".join(transforms)),
        (_KE, struct.pack("!HH", _GROUP, 0) + public),
        (_NONCE, secrets.token_bytes(32)),
    )
    following = [kind for kind, _dummy in payloads[1:]] + [0]
    body = b"".join(
        _PAYLOAD.pack(after, 0, _PAYLOAD.size + len(content)) + content
        for after, (_dummy, content) in zip(following, payloads, strict=True)
    )
    head = _HEADER.pack(spi, bytes(8), payloads[0][0], _VERSION, _IKE_SA_INIT, _INITIATOR, 0, _HEADER.size + len(body))
    return head + body


def _transform(kind: int, number: int, bits: int, *, last: bool) -> bytes:
    key_length = struct.pack("!HH", 0x800E, bits) if bits else b""
    return struct.pack("!BBHBBH", 0 if last else 3, 0, 8 + len(key_length), kind, 0, number) + key_length


def read_answer(data: bytes, spi: bytes) -> str | None:
    """Report what answers the request with this SPI: ``IKE_SA_INIT``, or a notification. None: this is not an answer to it."""
    if len(data) < _HEADER.size:
        return None
    initiator, _responder, following, version, exchange, flags, number, length = _HEADER.unpack_from(data)
    if (initiator, version >> 4, exchange, number) != (spi, 2, _IKE_SA_INIT, 0):
        return None
    if length != len(data) or flags & (_RESPONSE | _INITIATOR) != _RESPONSE:
        return None
    payloads = list(_payloads(data, following))
    kinds = [kind for kind, _dummy in payloads]
    if None in kinds:
        return None
    notes = [_notification(content) for kind, content in payloads if kind == _NOTIFY]
    telling = [name for number, name in notes if number < 16384 or number in NOTIFICATIONS]
    if telling:
        return telling[0]
    return "IKE_SA_INIT" if {_SA, _KE, _NONCE} <= set(kinds) else None


def _payloads(data: bytes, following: int) -> Iterator[tuple[int | None, bytes]]:
    """Return the payloads as (type, content); type None: what follows cannot be read."""
    start = _HEADER.size
    while following:
        if start + _PAYLOAD.size > len(data):
            yield None, b""
            return
        after, _critical, length = _PAYLOAD.unpack_from(data, start)
        if length < _PAYLOAD.size or start + length > len(data):
            yield None, b""
            return
        yield following, data[start + _PAYLOAD.size : start + length]
        following, start = after, start + length


def _notification(content: bytes) -> tuple[int, str]:
    """Return a notification's type and what to call it."""
    if len(content) < 4:
        return 0, "a notification that cannot be read"
    _protocol, spi_size, number = struct.unpack_from("!BBH", content)
    name = NOTIFICATIONS.get(number, f"notification {number}")
    beyond = content[4 + spi_size :]
    if number == 17 and len(beyond) == 2:
        name += f" (group {int.from_bytes(beyond, 'big')} is wanted)"
    return number, name
