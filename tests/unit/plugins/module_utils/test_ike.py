# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The first message of IKEv2, and what answers it. That a real daemon takes the message is seen in tests/ikev2."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.aovpn.ikev2.plugins.module_utils._ike import read_answer, sa_init

SPI = bytes.fromhex("0123456789abcdef")
SA, KE, NONCE, NOTIFY, VENDOR = 33, 34, 40, 41, 43


def message(*payloads: tuple[int, bytes], spi: bytes = SPI, flags: int = 0x20, head: bytes = b"\x20\x22") -> bytes:
    """Make a message of payloads; ``head``: version and exchange."""
    kinds = [kind for kind, _dummy in payloads] + [0]
    body = b"".join(
        struct.pack("!BBH", following, 0, 4 + len(content)) + content
        for following, (_dummy, content) in zip(kinds[1:], payloads, strict=True)
    )
    return spi + bytes(range(8)) + bytes([kinds[0], *head, flags]) + struct.pack("!II", 0, 28 + len(body)) + body


def note(number: int, data: bytes = b"", spi: bytes = b"") -> tuple[int, bytes]:
    """Make a notification."""
    return NOTIFY, struct.pack("!BBH", 0, len(spi), number) + spi + data


RESPONSE = ((SA, bytes(44)), (KE, bytes(260)), (NONCE, bytes(32)))
DETECTION = (note(16388, bytes(20)), note(16389, bytes(20)))  # NAT_DETECTION_SOURCE_IP and DESTINATION_IP


def test_the_request_is_what_the_rfc_says() -> None:
    request = sa_init(SPI)
    assert request[:16] == SPI + bytes(8)
    following, version, exchange, flags, number, length = struct.unpack_from("!BBBBII", request, 16)
    assert (version, exchange, flags, number, length) == (0x20, 34, 0x08, 0, len(request))
    start, contents = 28, {}
    while following:
        after, critical, length = struct.unpack_from("!BBH", request, start)
        assert critical == 0
        contents[following] = request[start + 4 : start + length]
        following, start = after, start + length
    assert start == len(request)
    assert list(contents) == [SA, KE, NONCE]

    sa = contents[SA]
    last, _dummy, length, number, protocol, spi_size, count = struct.unpack_from("!BBHBBBB", sa)
    assert (last, length, number, protocol, spi_size) == (0, len(sa), 1, 1, 0)
    start, kinds = 8, []
    for index in range(count):
        more, _dummy, length, kind, _dummy, number = struct.unpack_from("!BBHBBH", sa, start)
        assert more == (3 if index < count - 1 else 0)
        assert length == (12 if (kind, number) == (1, 12) else 8)  # AES has a key length
        kinds.append((kind, number))
        start += length
    assert start == len(sa)
    assert {kind for kind, _dummy in kinds} == {1, 2, 3, 4}
    assert (4, 14) in kinds

    assert contents[KE][:4] == struct.pack("!HH", 14, 0)
    public = int.from_bytes(contents[KE][4:], "big")
    assert len(contents[KE]) == 260
    assert 1 < public < 2**2048 - 2**1984
    assert 16 <= len(contents[NONCE]) <= 256


def test_the_prime_of_group_14_is_the_one_of_rfc_3526() -> None:
    # Section 3: 2^2048 - 2^1984 - 1 + 2^64 * ( [2^1918 pi] + 124476 ); the test computes pi, the code carries the digits.
    from decimal import Decimal, getcontext

    from ansible_collections.aovpn.ikev2.plugins.module_utils import _ike

    getcontext().prec = 700

    def arctan(inverse: int) -> Decimal:
        power, total, number, sign = Decimal(1) / inverse, Decimal(0), 1, 1
        while abs(power) > Decimal(10) ** -690:
            total += sign * power / number
            power, number, sign = power / (inverse * inverse), number + 2, -sign
        return total

    pi = 4 * (4 * arctan(5) - arctan(239))
    assert 2**2048 - 2**1984 - 1 + 2**64 * (int(pi * 2**1918) + 124476) == _ike._PRIME


def test_two_requests_share_no_secrets() -> None:
    assert sa_init(SPI)[28:] != sa_init(SPI)[28:]


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (message(*RESPONSE), "IKE_SA_INIT"),
        (message(*RESPONSE, *DETECTION, (VENDOR, b"strange")), "IKE_SA_INIT"),
        (message(note(14)), "NO_PROPOSAL_CHOSEN"),
        (message(note(14, spi=bytes(8))), "NO_PROPOSAL_CHOSEN"),
        (message(note(16390, bytes(24))), "COOKIE"),
        (message(*DETECTION, note(17, b"\x00\x13")), "INVALID_KE_PAYLOAD (group 19 is wanted)"),
        (message(note(17)), "INVALID_KE_PAYLOAD"),
        (message(note(8191)), "notification 8191"),
        (message((NOTIFY, b"")), "a notification that cannot be read"),
    ],
)
def test_answers(data: bytes, wanted: str) -> None:
    assert read_answer(data, SPI) == wanted


@pytest.mark.parametrize(
    "data",
    [
        b"",
        message(*RESPONSE)[:27],
        message(*RESPONSE)[:-1],
        message(*RESPONSE) + b"\x00",
        message(*RESPONSE, spi=SPI[::-1]),  # to somebody else
        message(*RESPONSE, flags=0x08),  # a request
        message(*RESPONSE, head=b"\x20\x23"),  # IKE_AUTH
        message(*RESPONSE, head=b"\x10\x22"),  # IKEv1
        message(*RESPONSE[:2]),
        message(*DETECTION),
        message(),
        message((SA, b""))[:-2] + b"\x00\x03",  # shorter than its own head
        message((SA, b""))[:-2] + b"\x00\x05",  # longer than the message
    ],
)
def test_what_is_not_an_answer(data: bytes) -> None:
    assert read_answer(data, SPI) is None


def test_our_own_request_is_not_an_answer() -> None:
    assert read_answer(sa_init(SPI), SPI) is None


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    assert read_answer(data, SPI) is None or data[:8] == SPI


@given(st.binary(max_size=400), st.integers(0, 255))
def test_nothing_behind_a_good_head_breaks_the_reader(body: bytes, following: int) -> None:
    head = SPI + bytes(8) + bytes([following, 0x20, 34, 0x20]) + struct.pack("!II", 0, 28 + len(body))
    answer = read_answer(head + body, SPI)
    assert answer is None or answer


@given(st.integers(0, 400), st.binary(min_size=1, max_size=3))
def test_no_damage_breaks_the_reader(place: int, damage: bytes) -> None:
    whole = bytearray(message(*RESPONSE, *DETECTION, note(17, b"\x00\x13")))
    whole[place : place + len(damage)] = damage
    answer = read_answer(bytes(whole), SPI)
    assert answer is None or answer
