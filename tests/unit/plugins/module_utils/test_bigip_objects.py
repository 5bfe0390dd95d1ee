# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""BIG-IP: names and destinations."""

from __future__ import annotations

import json
import typing as t
from unittest.mock import patch as patched
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.objects import parse_destination
from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Answer, Http
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Order
from bigip_expectations import TOKEN, go, virtual

PATHS = st.lists(st.text("abAB09 %-_.+&?#äß", min_size=1, max_size=6), min_size=2, max_size=4).map(
    lambda parts: "/" + "/".join(parts)
)


@given(st.lists(PATHS, min_size=2, max_size=5, unique=True), st.integers(0, 3))
def test_whatever_a_virtual_server_is_called_it_alone_is_changed(paths: list[str], which: int) -> None:
    """By full path, and by the bare name where no other has it; the other of the pair stands as it should."""
    named = paths[which % len(paths)]
    items = [
        virtual(path.rpartition("/")[2], 500, "none") | {"fullPath": path, "partition": path.split("/")[1]}
        for path in paths
    ]
    items[paths.index(named)]["sourceAddressTranslation"] = {"type": "automap"}
    changed = []

    def answer(_http: Http, method: str, path: str, *, body: t.Any = None, **_how: t.Any) -> Answer:
        given_back: dict[str, t.Any] = {"token": {"token": TOKEN, "timeout": 1200}}
        if path.startswith("/mgmt/tm/ltm/virtual?"):
            given_back = {"items": items}
        if method == "PATCH":
            changed.append(unquote(path.removeprefix("/mgmt/tm/ltm/virtual/")).replace("~", "/"))
            assert not set(path) & set(" ?#&ä")
            items[paths.index(changed[-1])] |= body
        return Answer(200, json.dumps(given_back), "BIG-IP")

    bare = named.rpartition("/")[2]
    alone = [path.rpartition("/")[2] for path in paths].count(bare) == 1
    accept = frozenset({"return_path_unverified", "not_active_unit", "pair_incomplete", "managed_elsewhere"})
    with patched.object(Http, "send", answer):
        for name in (named, *([bare] if alone and bare not in paths else [])):
            items[paths.index(named)]["sourceAddressTranslation"] = {"type": "automap"}
            assert go(Order(services=(name,), accept=accept)).changed
            assert changed.pop() == named
    assert changed == []


@pytest.mark.parametrize(
    ("destination", "expected"),
    [
        ("/Common/1.1.1.1:500", ("1.1.1.1", 500)),
        ("/Common/1.1.1.1%2:4500", ("1.1.1.1%2", 4500)),
        ("/Common/1.1.1.1%0:isakmp", ("1.1.1.1", 500)),
        ("/Common/1.1.1.1:ipsec-nat-t", ("1.1.1.1", 4500)),
        ("/Common/2001:db8::6.500", ("2001:db8::6", 500)),
        ("/Common/2001:db8::6%2.any", ("2001:db8::6%2", 0)),
        ("/Common/any6.500", ("::", 500)),
        ("/Common/any:500", ("0.0.0.0", 500)),
        ("/Tenant/App/198.51.100.1:500", ("198.51.100.1", 500)),
    ],
)
def test_destinations(destination: str, expected: tuple[str, int]) -> None:
    assert parse_destination(destination) == expected


@pytest.mark.parametrize(
    "destination", ["", "/Common/", "/Common/1.1.1.1", "/Common/1.1.1.1:nothing", "/Common/name:500"]
)
def test_what_is_no_destination_is_a_value_error(destination: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_destination(destination)


@given(
    st.ip_addresses(),
    st.integers(1, 65534),
    st.integers(0, 65535),
    st.lists(st.text("abcXYZ 09-_.", min_size=1), min_size=1, max_size=3),
)
def test_every_destination_that_can_be_written_is_read_back(
    address: t.Any, domain: int, port: int, folders: list[str]
) -> None:
    separator = "." if address.version == 6 else ":"
    found, found_port = parse_destination(f"/{'/'.join(folders)}/{address}%{domain}{separator}{port}")
    host, _percent, found_domain = found.partition("%")
    assert (found_domain, found_port) == (str(domain), port)
    # The standard library writes all but IPv4-mapped addresses in the same canonical form.
    if address.version == 4 or address.ipv4_mapped is None:
        assert host == address.compressed
