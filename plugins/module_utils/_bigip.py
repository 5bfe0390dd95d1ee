# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""F5 BIG-IP by iControl REST: source address translation of UDP virtual servers."""

from __future__ import annotations

import typing as t
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

from ansible_collections.aovpn.ikev2.plugins.module_utils._engine import Adapter
from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Answer, Endpoint, Http
from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import (
    AccessDenied,
    Change,
    Finding,
    Reading,
    Refused,
    Server,
    Service,
    Value,
    canonical_address,
)

NAMED_PORTS = {"any": 0, "isakmp": 500, "ipsec-nat-t": 4500, "ipsec-msft": 4500}
"""How tmsh writes ports; REST is seen to give numbers, and both are read."""

ANY_ADDRESS = {"any": "0.0.0.0", "any6": "::"}

VIRTUAL_SERVER = "name,partition,fullPath,destination,ipProtocol,disabled,pool,sourceAddressTranslation"


@dataclass(frozen=True)
class _SelfIp:
    """A self IP: ``network`` is its subnet, ``domain`` its route domain as written (empty for the default one)."""

    address: str
    network: netaddr.IPNetwork
    domain: str
    floating: bool
    traffic_group: str


class BigIp(Adapter):
    """A BIG-IP, or one ``partition`` of it."""

    platform = "bigip"
    preserving = "none"

    def __init__(
        self, endpoint: Endpoint, *, username: str, password: str, partition: str | None = None, save: bool = True
    ) -> None:
        self.host = endpoint.host
        self.label = f"BIG-IP {endpoint.host}"
        self._http = Http(endpoint, self.label)
        self._username = username
        self._password = password
        self._partition = partition
        self._save = save
        self._token: str | None = None
        self._pools: dict[str, str] = {}

    @property
    def requests(self) -> int:
        return self._http.requests

    def open(self) -> None:
        answer = self._http.send(
            "POST",
            "/mgmt/shared/authn/login",
            body={"username": self._username, "password": self._password, "loginProviderName": "tmos"},
        )
        if answer.status == 401:
            raise AccessDenied(f"{self.label} refused user {self._username!r}. Check 'username' and 'password'.")
        if "maximum active login tokens" in answer.text:
            raise AccessDenied(
                f"{self.label}: user {self._username!r} has as many open logins as the device allows."
                " They end by themselves within 20 minutes; an account of its own for Ansible avoids this."
            )
        self._accepted(answer, "logging in")
        self._token = answer.parse(lambda body: str(body["token"]["token"]), "login token")

    def close(self) -> None:
        try:
            if self._token:
                token, self._token = self._token, None
                self._accepted(
                    self._http.send(
                        "DELETE",
                        f"/mgmt/shared/authz/tokens/{quote(token, safe='')}",
                        headers={"X-F5-Auth-Token": token},
                    ),
                    "logging out",
                )
        finally:
            self._http.close()

    def read(self) -> Reading:
        partition = "" if self._partition is None else f"$filter=partition eq {quote(self._partition)}&"
        answer = self._send("GET", f"/mgmt/tm/ltm/virtual?{partition}$select={VIRTUAL_SERVER}")
        # $filter lets other partitions' objects through, and $select lets some fields through that were not asked for.
        items = answer.parse(
            lambda body: [
                item for item in body.get("items", []) if item["partition"] == (self._partition or item["partition"])
            ],
            "virtual servers",
        )
        self._pools = {item["fullPath"]: item.get("pool", "") for item in items}
        return Reading(
            answer.parse(
                lambda _body: tuple(_service(item) for item in items if item.get("ipProtocol") == "udp"),
                "virtual servers",
            )
        )

    def guard(self, services: Sequence[Service]) -> Reading:
        members = self._send("GET", "/mgmt/tm/ltm/pool?expandSubcollections=true").parse(_pool_members, "pools")
        self_ips = self._send("GET", "/mgmt/tm/net/self").parse(
            lambda body: [_self_ip(item) for item in body.get("items", [])], "self IPs"
        )
        groups = self._send("GET", "/mgmt/tm/ltm/virtual-address").parse(_traffic_groups, "virtual addresses")
        devices: list[dict[str, t.Any]] = self._send("GET", "/mgmt/tm/cm/device").parse(
            lambda body: list(body.get("items", [])), "devices"
        )
        guarded = tuple(
            replace(
                service,
                servers=tuple(
                    Server(
                        address,
                        port,
                        _gateways(address, self_ips, groups.get(service.address, ""), standalone=len(devices) < 2),
                    )
                    for address, port in members.get(self._pools[service.id], [])
                ),
            )
            for service in services
        )
        return Reading(guarded, findings=tuple(_standby(devices, self.label)))

    def apply(self, changes: Sequence[Change]) -> None:
        if len(changes) == 1:
            self._translate(changes[0], {})
            return
        transaction = self._send("POST", "/mgmt/tm/transaction", {}).parse(
            lambda body: int(body["transId"]), "transaction"
        )
        for change in changes:
            self._translate(change, {"X-F5-REST-Coordination-Id": str(transaction)})
        self._send("PATCH", f"/mgmt/tm/transaction/{transaction}", {"state": "VALIDATING"})

    def keep(self) -> None:
        if self._save:
            self._send("POST", "/mgmt/tm/sys/config", {"command": "save"})

    def _translate(self, change: Change, headers: dict[str, str]) -> None:
        setting = change.after if isinstance(change.after, dict) else {"type": change.after}
        self._send(
            "PATCH", f"/mgmt/tm/ltm/virtual/{_rest_name(change.id)}", {"sourceAddressTranslation": setting}, headers
        )

    def _send(self, method: str, path: str, body: t.Any = None, headers: dict[str, str] | None = None) -> Answer:
        answer = self._http.send(
            method, path, body=body, headers={"X-F5-Auth-Token": self._token or "", **(headers or {})}
        )
        return self._accepted(answer, f"{method} {path.partition('?')[0]}")

    def _accepted(self, answer: Answer, doing: str) -> Answer:
        if answer.status < 400:
            return answer
        error = answer.json()
        message = str(error.get("message", "no reason given"))
        if answer.status in (401, 403):
            raise AccessDenied(f"{self.label} does not let user {self._username!r} do this ({doing}): {message}")
        raise Refused(f"{self.label} refused {doing}: {message}", status=answer.status)


def _rest_name(full_path: str) -> str:
    """Write a full path as iControl REST has it in URLs: ``/Common/a b`` -> ``~Common~a%20b``."""
    return quote(full_path.replace("/", "~"), safe="~")


def parse_destination(destination: str) -> tuple[str, int]:
    """Split a virtual server's destination into canonical address and port (0 for any port).

    ``/Common/1.1.1.1%2:80``, and for IPv6 a dot before the port: ``/Common/2001:db8::6%2.80``.

    :raises ValueError: where it is neither.
    """
    text = destination.rpartition("/")[2]
    # IPv4 has one colon, before the port; IPv6 has several and a dot there. A name such as 'any6' may stand for the address.
    separator = "." if text.count(":") > 1 or text.startswith("any6") else ":"
    address, _, port = text.rpartition(separator)
    host, percent, domain = address.partition("%")
    return canonical_address(ANY_ADDRESS.get(host, host) + percent + domain), NAMED_PORTS[
        port
    ] if port in NAMED_PORTS else int(port)


def _service(item: dict[str, t.Any]) -> Service:
    translation = item["sourceAddressTranslation"]
    kind = str(translation["type"])
    value: Value = (
        {"type": kind, "pool": str(translation["pool"])} if kind != "none" and translation.get("pool") else kind
    )
    address, port = parse_destination(item["destination"])
    return Service(
        id=str(item["fullPath"]),
        address=address,
        port=port,
        value=value,
        source_preserved=value == BigIp.preserving,
        enabled=not item.get("disabled", False),
        names=(str(item["name"]),),
    )


def _pool_members(body: dict[str, t.Any]) -> dict[str, list[tuple[str, int]]]:
    return {
        pool["fullPath"]: [
            # A member's name may be its node's, so the address is its own field; the port stands only in the name.
            (canonical_address(member["address"]), _member_port(member["name"]))
            for member in pool.get("membersReference", {}).get("items", [])
        ]
        for pool in body.get("items", [])
    }


def _member_port(name: str) -> int:
    port = name.rpartition("." if name.count(":") > 1 else ":")[2]
    return NAMED_PORTS[port] if port in NAMED_PORTS else int(port)


def _self_ip(item: dict[str, t.Any]) -> _SelfIp:
    address, _, length = str(item["address"]).partition("/")
    host, percent, domain = address.partition("%")
    return _SelfIp(
        canonical_address(address),
        netaddr.IPNetwork(f"{host}/{length}"),
        percent + domain,
        item["floating"] == "enabled",
        str(item["trafficGroup"]),
    )


def _traffic_groups(body: dict[str, t.Any]) -> dict[str, str]:
    return {
        canonical_address(ANY_ADDRESS.get(item["address"], item["address"])): str(item["trafficGroup"])
        for item in body.get("items", [])
    }


def _gateways(server: str, self_ips: Sequence[_SelfIp], traffic_group: str, *, standalone: bool) -> tuple[str, ...]:
    """Choose the self IPs that may be a server's default gateway.

    That is the floating one in its subnet, which moves to the other unit together with the virtual address. A device
    without a partner may have none that floats, and any self IP serves there.
    """
    host, percent, domain = server.partition("%")
    near = [item for item in self_ips if item.domain == percent + domain and netaddr.IPAddress(host) in item.network]
    floating = [item.address for item in near if item.floating and item.traffic_group == traffic_group]
    return tuple(floating or ([item.address for item in near] if standalone else []))


def _standby(devices: Sequence[dict[str, t.Any]], label: str) -> list[Finding]:
    # selfDevice is the string "true".
    mine = next((device for device in devices if str(device.get("selfDevice")).lower() == "true"), {})
    state = str(mine.get("failoverState", "unknown"))
    if state == "active":
        return []
    active = (
        ", ".join(str(device.get("name")) for device in devices if device.get("failoverState") == "active")
        or "none that is known"
    )
    return [
        Finding(
            "not_active_unit",
            "blocker",
            label,
            f"This unit's failover state is {state}; the active unit is {active}.",
            "Make the change on the active unit, and sync from there.",
        )
    ]
