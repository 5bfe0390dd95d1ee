# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever is odd in what a server, a file or a module has given, it is read, or refused with an error of our own."""

from __future__ import annotations

import contextlib
import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.aovpn.ikev2.plugins.module_utils._model import InvalidInput, Snapshot
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.snapshot import SiteSnapshot, snapshot_of
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.errors import PlanError
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.facts import ServerFacts
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.network import Network
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.routes import Wanted, plan_default_gateway
from mutations import mutated
from report_examples import drifted, report_of


def route(destination: str, next_hop: str, **more: t.Any) -> dict[str, t.Any]:
    """Return a route as read_network.ps1 shows it."""
    return {
        "store": "ActiveStore",
        "destination": destination,
        "next_hop": next_hop,
        "interface_index": 4,
        "metric": 256,
        **more,
    }


NETWORK = {
    "interfaces": [
        {
            "index": 4,
            "alias": "External",
            "mac": "00-15-5D-00-00-01",
            "metric": 15,
            "dhcp": False,
            "addresses": ["10.10.0.11/24"],
        }
    ],
    "routes": [
        route("10.10.0.0/24", "0.0.0.0"),
        route("0.0.0.0/0", "10.10.0.254"),
        route("0.0.0.0/0", "10.10.0.254", store="PersistentStore"),
    ],
    "peers": ["172.16.0.9", "2001:db8::9"],
    "ipv6_defaults": [{"next_hop": "fe80::1", "interface_index": 4, "metric": 256}],
    "administrator": True,
    "remote_access": "automatic",
    "pending": {"due_in": 100.5, "applied": 0, "state": "ready"},
    "remembered": ["172.16.0.9/32 10.10.0.254 External"],
    "unread": ["Get-DnsClientServerAddress: no"],
    "neighbors": [{"interface_index": 4, "mac": "00-15-5D-00-00-09", "state": "Reachable"}],
}
RUNNING = {"state": "running", "start": "automatic", "dependents": ["RaMgmtSvc"]}
VPN = {
    "now": "2026-01-05T07:00:00.0000000Z",
    "services": {"IKEEXT": RUNNING, "RemoteAccess": RUNNING},
    "ikeext_started": "2026-01-05T06:00:20.0000000Z",
    "ike_limit": 50000,
    "restart_owed_since": "2026-01-05T06:00:00.0000000Z",
    "fragmentation": 1,
    "ikev2_ports": 128,
    "tunnels": [{"connection_type": "Vpn", "tunnel_type": "Ikev2", "count": 2}],
    "associations": [
        {"remote_address": "198.51.100.7", "key_module": None, "key_module_name": "IKEv2", "count": 1},
        {"remote_address": "198.51.100.8", "key_module": 3, "key_module_name": None, "count": 2},
    ],
    "associations_read": True,
    "unread": [],
    "administrator": True,
}
DEVICE = {
    "platform": "bigip",
    "host": "bigip.example.net",
    "services": [
        {"id": "/Common/vs_ikev2_500", "value": {"type": "snat", "pool": "/Common/sp"}},
        {"id": "/Common/vs_ikev2_4500", "value": "automap"},
    ],
    "device": {"usnip": "NO"},
}


def plan(raw: t.Any) -> t.Any:
    """Plan a change of the gateway on a server whose network was read like this."""
    network = Network.parse(raw)
    wanted = Wanted.parse(
        gateway="10.10.0.1", interface_alias=None, mac=None, preserve_routes=[], remove_other_defaults=True, allow_dhcp=True
    )  # fmt: skip
    with contextlib.suppress(PlanError):
        plan_default_gateway(network, wanted)
    return network.as_dict()


def facts(raw: t.Any) -> t.Any:
    """Read a server's facts, and judge them."""
    read = ServerFacts.parse(raw)
    return read.as_dict(), [finding.as_dict() for finding in read.findings("rras1")], read.sessions


def of_site(raw: t.Any) -> t.Any:
    """Read a snapshot of a site, and write it in both of its forms."""
    read = SiteSnapshot.parse(raw)
    return read.as_dict(), read.as_text()


TIMES = {
    "format": 2,
    "taken": "2026-01-05T07:00:00.000000Z",
    "finished": "2026-01-05T07:00:09.000000Z",
    "used": {"bigip": ["2026-01-05T08:00:00.000000Z"]},
    "saved": {"bigip": "2026-01-05T09:00:00.000000Z"},
}
SITE = {**snapshot_of(report_of(drifted()).site), **TIMES, "playbook": "remediate"}
DECODERS: dict[str, tuple[t.Any, t.Callable[[t.Any], t.Any], type[Exception]]] = {
    "read_network.ps1": (NETWORK, plan, PlanError),
    "read_vpn.ps1": (VPN, facts, PlanError),
    "a device's snapshot": (DEVICE, lambda raw: Snapshot.parse(raw).as_dict(), InvalidInput),
    "a site's snapshot": (SITE, of_site, ValueError),
}


@pytest.mark.parametrize("name", DECODERS)
def test_what_is_good_is_read(name: str) -> None:
    good, parse, _refused = DECODERS[name]
    assert json.dumps(parse(json.loads(json.dumps(good))))


@pytest.mark.parametrize("name", DECODERS)
@given(st.data())
def test_what_is_odd_is_read_or_refused(name: str, data: st.DataObject) -> None:
    good, parse, refused = DECODERS[name]
    with contextlib.suppress(refused):
        json.dumps(parse(data.draw(mutated(good))))
