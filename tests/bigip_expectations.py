# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a BIG-IP is asked and answers, request by request."""

from __future__ import annotations

import typing as t

from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.adapter import BigIp
from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.objects import ATTACHED, VIRTUAL_SERVER
from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.reader import PAGE
from ansible_collections.aovpn.ikev2.plugins.module_utils._engine import Result, run
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Finding, Order
from expectations import ENDPOINT, Expect

TOKEN = "AAAABBBBCCCCDDDD"
WITH_TOKEN = {"X-F5-Auth-Token": TOKEN}
IN_TRANSACTION = {**WITH_TOKEN, "X-F5-REST-Coordination-Id": "17"}
SNAT = {"type": "snat", "pool": "/Common/sp"}
GOOD = {"10.10.0.11": "10.10.0.1", "10.10.0.12": "10.10.0.1"}

LOGIN = Expect(
    "POST",
    "/mgmt/shared/authn/login",
    {"token": {"token": TOKEN, "timeout": 1200}},
    body={"username": "admin", "password": "secret", "loginProviderName": "tmos"},
)
LOGOUT = Expect("DELETE", f"/mgmt/shared/authz/tokens/{TOKEN}", {"token": TOKEN}, headers=WITH_TOKEN)
SAVE = Expect("POST", "/mgmt/tm/sys/config", {"command": "save"}, body={"command": "save"}, headers=WITH_TOKEN)


def virtual(name: str, port: int, translation: t.Any, **more: t.Any) -> dict[str, t.Any]:
    """Return a virtual server as the device shows it."""
    return {
        "name": name,
        "partition": "Common",
        "fullPath": f"/Common/{name}",
        "destination": f"/Common/203.0.113.10:{port}",
        "ipProtocol": "udp",
        "pool": f"/Common/p{port}",
        "persist": [{"name": "ike", "partition": "Common", "tmDefault": "yes"}],
        "sourceAddressTranslation": translation if isinstance(translation, dict) else {"type": translation},
        **more,
    }


FORWARDING = {
    "name": "forward",
    "partition": "Common",
    "fullPath": "/Common/forward",
    "destination": "/Common/0.0.0.0:0",
    "mask": "any",
    "source": "0.0.0.0/0",
    "ipProtocol": "any",
    "ipForward": True,
    "translateAddress": "disabled",
    "sourceAddressTranslation": {"type": "none"},
}
"""What the servers' own packets need, where this device is their default gateway."""


def reading(*items: dict[str, t.Any]) -> Expect:
    """Expect the one read of all virtual servers; where there are any, one of them forwards."""
    listed = [*items, FORWARDING] if items else []
    body = {"kind": "tm:ltm:virtual:virtualcollectionstate", **({"items": listed} if items else {})}
    return Expect("GET", f"/mgmt/tm/ltm/virtual?$select={VIRTUAL_SERVER}&$top={PAGE}", body, headers=WITH_TOKEN)


def attached(item: dict[str, t.Any], policies: t.Sequence[str] = ()) -> dict[str, t.Any]:
    """Return a virtual server with the LTM policies that are attached to it."""
    return {
        **item,
        "profilesReference": {"items": [{"name": "udp", "fullPath": "/Common/udp"}]},
        "policiesReference": {"items": [{"fullPath": policy} for policy in policies]} if policies else {"link": "…"},
    }


EXPANDED = f"$select={VIRTUAL_SERVER},{ATTACHED}&expandSubcollections=true"


def reread(*items: dict[str, t.Any], policies: t.Sequence[str] = ()) -> Expect:
    """Expect the read of all virtual servers with what is attached to each."""
    listed = [attached(item, policies) for item in (*items, FORWARDING)]
    return Expect("GET", f"/mgmt/tm/ltm/virtual?{EXPANDED}&$top={PAGE}", {"items": listed}, headers=WITH_TOKEN)


def single(item: dict[str, t.Any], status: int = 200) -> Expect:
    """Expect the read of one virtual server by its name."""
    answer = attached(item) if status == 200 else {"code": status, "message": "01020036:3: not found."}
    path = f"/mgmt/tm/ltm/virtual/~Common~{item['name']}?{EXPANDED}"
    return Expect("GET", path, answer, status, headers=WITH_TOKEN)


def patch(name: str, translation: t.Any, headers: dict[str, str], **more: t.Any) -> Expect:
    """Expect the change of one virtual server, with no other key in the body."""
    return Expect(
        "PATCH",
        f"/mgmt/tm/ltm/virtual/~Common~{name}",
        {},
        body={"sourceAddressTranslation": translation},
        headers=headers,
        **more,
    )


def transaction(*patches: Expect, commit_status: int = 200, commit: t.Any = None) -> list[Expect]:
    """Expect a transaction around these changes."""
    return [
        Expect("POST", "/mgmt/tm/transaction", {"transId": 17, "state": "STARTED"}, body={}, headers=WITH_TOKEN),
        *patches,
        Expect(
            "PATCH",
            "/mgmt/tm/transaction/17",
            commit or {},
            commit_status,
            body={"state": "VALIDATING"},
            headers=WITH_TOKEN,
        ),
    ]


GROUP = "/Common/traffic-group-1"
FLOATING = {"address": "10.10.0.1/24", "floating": "enabled", "trafficGroup": GROUP}
OWN = {"address": "10.10.0.2/24", "floating": "disabled", "trafficGroup": "/Common/traffic-group-local-only"}
ACTIVE = {"name": "a.example.net", "selfDevice": "true", "failoverState": "active"}
PARTNER = {"name": "b.example.net", "selfDevice": "false", "failoverState": "standby"}
GROUP_OF_UNITS = {
    "fullPath": "/Common/units",
    "type": "sync-failover",
    "autoSync": "enabled",
    "devicesReference": {"items": [{"name": "a.example.net"}, {"name": "b.example.net"}]},
}
SNAT_POOLS = Expect(
    "GET",
    "/mgmt/tm/ltm/snatpool?$select=fullPath,members",
    {"items": [{"fullPath": "/Common/sp", "members": ["/Common/10.10.0.5"]}]},
    headers=WITH_TOKEN,
)
PERSISTENCE = {"fullPath": "/Common/ike", "matchAcrossServices": "enabled"}


def get(path: str, *items: dict[str, t.Any], **more: t.Any) -> Expect:
    """Expect the read of a collection."""
    return Expect("GET", f"/mgmt/tm/{path}", {**({"items": list(items)} if items else {}), **more}, headers=WITH_TOKEN)


def status(text: str) -> Expect:
    """Expect the read of the sync status."""
    entries = {"status": {"description": text}}
    return get(
        "cm/sync-status", entries={"https://localhost/mgmt/tm/cm/sync-status/0": {"nestedStats": {"entries": entries}}}
    )


def pool(port: int, *addresses: str, **more: t.Any) -> dict[str, t.Any]:
    """Return a pool whose members are named after their nodes."""
    members = [{"name": f"rras:{port}", "address": address} for address in addresses]
    return {"fullPath": f"/Common/p{port}", "membersReference": {"items": members}, **more}


POOLS = (pool(500, "10.10.0.11", "10.10.0.12"), pool(4500, "10.10.0.11", "10.10.0.12"))


LONE = (pool(500, "10.10.0.11"), pool(4500, "10.10.0.11"))


def guards(
    self_ips: t.Sequence[dict[str, t.Any]] = (FLOATING, OWN),
    devices: t.Sequence[dict[str, t.Any]] = (ACTIVE,),
    pools: t.Sequence[dict[str, t.Any]] = POOLS,
    snats: t.Sequence[dict[str, t.Any]] = (),
    policies: t.Sequence[dict[str, t.Any]] = (),
    more: t.Sequence[Expect] | None = None,
    sync: str = "In Sync",
    changing: bool = False,
    group: str = GROUP,
    units: t.Mapping[str, t.Any] | None = None,
    addresses: bool = True,
    before: t.Sequence[Expect] = (),
    pooled: bool = True,
    pools_there: t.Sequence[Expect] | None = None,
) -> list[Expect]:
    """Expect the reads that a change is judged by; those of a pair of devices only where there is one.

    A change that follows looks at LTM policies when it is made, and a lone device is not asked for its virtual addresses then, nor for
    SNAT pools. ``addresses``: off where these were asked for already. ``pooled``: whether a virtual server has a SNAT pool.
    ``pools_there``: the reads of pools where a snapshot names some.
    """
    if more is None:
        more = [get("ltm/persistence/source-addr", PERSISTENCE)]
    pair = len(devices) > 1
    address = {"address": "203.0.113.10", "trafficGroup": group}
    return [
        *before,
        get("ltm/pool?expandSubcollections=true", *pools),
        get("net/self", *self_ips),
        get("cm/device", *devices),
        *([get("cm/device-group?expandSubcollections=true", dict(units or GROUP_OF_UNITS))] if pair else []),
        *([get("ltm/virtual-address", address)] if addresses and (pair or not changing) else []),
        *([status(sync)] if pair else []),
        get("ltm/snat", *snats),
        *(([] if changing or not pooled else [SNAT_POOLS]) if pools_there is None else pools_there),
        *([] if changing else [get("ltm/policy?expandSubcollections=true", *policies)]),
        *more,
    ]


BROKEN = (virtual("vs500", 500, "automap"), virtual("vs4500", 4500, SNAT))
RIGHT = (virtual("vs500", 500, "none"), virtual("vs4500", 4500, "none"))
OTHERS = (
    virtual("https", 443, "automap", ipProtocol="tcp"),
    virtual("tcp500", 500, "automap", ipProtocol="tcp"),
    virtual("dns", 53, "automap"),
)
TO_NONE = transaction(
    *(patch(name, {"type": "none"}, IN_TRANSACTION) for name in ("vs500", "vs4500")),
)
EXPIRED = {"code": 401, "message": "X-F5-Auth-Token has expired."}


def go(order: Order, *, check_mode: bool = False, **options: t.Any) -> Result:
    """Run the engine on a BIG-IP."""
    adapter = BigIp.of(ENDPOINT, {"username": "admin", "password": "secret", **options}, order.snapshot)
    return run(adapter, order, check_mode=check_mode)


def noted(result: Result) -> list[Finding]:
    """Return the findings, except that a rollback needs the SNAT pool of `BROKEN`: tests of their own are about that."""
    return [finding for finding in result.findings if finding.code != "snat_pool_needed"]
