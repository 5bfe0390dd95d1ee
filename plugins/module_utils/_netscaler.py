# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Citrix ADC (NetScaler) by NITRO: the mode Use Subnet IP, and Use Client IP of service groups and services."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

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

NITRO = "/nitro/v1/config/"

PROTOCOLS = {"UDP": "udp", "ANY": "any"}
"""The service types that carry UDP 500 and 4500."""

NAME_KEYS = {"servicegroup": "servicegroupname", "service": "name"}
"""The two kinds of object that carry ``usip``, and what NITRO calls their names."""

ATTRIBUTES = {
    "servicegroup": "servicegroupname,servicetype,usip,state",
    "service": "name,servicetype,usip,svrstate,ipaddress,port",
}

OUT_OF_SERVICE = ("DISABLED", "OUT OF SERVICE")
"""How a service group's ``state`` and a service's ``svrstate`` say that an operator has disabled it."""

NO_SESSION_LEFT = (445, 446)
WRONG_CREDENTIALS = (354, 355)
NOT_AUTHORIZED = 2138

Member: t.TypeAlias = "tuple[str, int]"


@dataclass(frozen=True)
class _Listener:
    """A virtual server that leads to a service group or service (``kind``, ``name``)."""

    address: str
    port: int
    protocol: str
    kind: str
    name: str


class NetScaler(Adapter):
    """A Citrix ADC. ``subnet_ip_mode``: the mode Use Subnet IP is to be on."""

    platform = "netscaler"
    preserving = "YES"

    def __init__(
        self, endpoint: Endpoint, *, username: str, password: str, subnet_ip_mode: bool = True, save: bool = True
    ) -> None:
        self.host = endpoint.host
        self.label = f"NetScaler {endpoint.host}"
        self._http = Http(endpoint, self.label)
        self._username = username
        self._password = password
        self._subnet_ip_mode = subnet_ip_mode
        self._save = save
        self._logged_in = False
        self._listeners: tuple[_Listener, ...] | None = None
        self._members: dict[tuple[str, str], list[Member]] = {}
        self._kinds: dict[str, str] = {}

    @property
    def requests(self) -> int:
        return self._http.requests

    @property
    def preserving_device(self) -> Mapping[str, Value]:
        return {"usnip": True} if self._subnet_ip_mode else {}

    def open(self) -> None:
        # The session's id comes back as a cookie, which the HTTP session keeps to itself.
        self._send("POST", "login", {"login": {"username": self._username, "password": self._password}})
        self._logged_in = True

    def close(self) -> None:
        try:
            if self._logged_in:
                self._logged_in = False
                self._send("POST", "logout", {"logout": {}})
        finally:
            self._http.close()

    def read(self) -> Reading:
        modes = self._send("GET", "nsmode").parse(_modes, "modes")
        if self._listeners is None:
            self._listeners, self._members = self._topology()
        carriers = dict(self._carriers())
        self._kinds = {name: kind for kind, name in carriers}
        services = [
            _service(carriers[listener.kind, listener.name], listener)
            for listener in self._listeners
            if (listener.kind, listener.name) in carriers
        ]
        bound = {(listener.kind, listener.name) for listener in self._listeners}
        for (kind, name), item in carriers.items():
            if (kind, name) not in bound and item["servicetype"] in PROTOCOLS:
                ports = {port for _dummy, port in self._members.get((kind, name), [])}
                services += [
                    _service(item, _Listener("", port, PROTOCOLS[item["servicetype"]], kind, name))
                    for port in sorted(ports)
                ]
        return Reading(tuple(services), {"usnip": modes["usnip"]}, tuple(_global_client_ip(modes, self.label)))

    def guard(self, services: Sequence[Service]) -> Reading:
        snips = self._list("nsip?attrs=ipaddress,netmask,type", "addresses", _snip)
        nodes = self._list("hanode/0", "high-availability state", lambda item: str(item.get("state", "")))
        guarded = tuple(
            replace(
                service,
                servers=tuple(
                    Server(address, port, _gateways(address, [snip for snip in snips if snip is not None]))
                    for address, port in self._members.get((self._kinds[service.id], service.id), [])
                ),
            )
            for service in services
        )
        return Reading(guarded, findings=tuple(_standby(nodes, self.label)))

    def apply(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.of == "device":
                action = "enable" if change.after else "disable"
                self._send("POST", f"nsmode?action={action}", {"nsmode": {"mode": [change.id.upper()]}})
            else:
                kind = self._kinds[change.id]
                self._send("PUT", kind, {kind: {NAME_KEYS[kind]: change.id, "usip": change.after}})

    def keep(self) -> None:
        if self._save:
            self._send("POST", "nsconfig?action=save", {"nsconfig": {}})

    def _topology(self) -> tuple[tuple[_Listener, ...], dict[tuple[str, str], list[Member]]]:
        """Join virtual servers, bindings and members. Read once: what hangs on what is not ours to change."""
        virtual = dict(
            item
            for item in self._list("lbvserver?attrs=name,ipv46,port,servicetype", "virtual servers", _virtual_server)
            if item is not None
        )
        listeners = []
        for kind in NAME_KEYS:
            for vserver, name in self._list(f"lbvserver_{kind}_binding?bulkbindings=yes", "bindings", _binding(kind)):
                if vserver in virtual:
                    address, port, protocol = virtual[vserver]
                    listeners.append(_Listener(address, port, protocol, kind, name))
        members: dict[tuple[str, str], list[Member]] = {}
        for name, member in self._list(
            "servicegroup_servicegroupmember_binding?bulkbindings=yes", "service group members", _member
        ):
            members.setdefault(("servicegroup", name), []).append(member)
        return tuple(listeners), members

    def _carriers(self) -> Iterator[tuple[tuple[str, str], dict[str, t.Any]]]:
        for kind, key in NAME_KEYS.items():
            for item in self._list(f"{kind}?attrs={ATTRIBUTES[kind]}", f"{kind}s", dict):
                name = str(item[key])
                if kind == "service":
                    self._members[kind, name] = [(canonical_address(item["ipaddress"]), int(item["port"]))]
                yield (kind, name), item

    def _list(self, resource: str, what: str, read: t.Callable[[dict[str, t.Any]], t.Any]) -> list[t.Any]:
        """Read a list; one with nothing in it is an absent key, and one item may stand without its array."""
        key = resource.partition("?")[0].partition("/")[0]

        def items(body: dict[str, t.Any]) -> list[t.Any]:
            found = body.get(key, [])
            return [read(item) for item in (found if isinstance(found, list) else [found])]

        return self._send("GET", resource).parse(items, what)

    def _send(self, method: str, resource: str, body: t.Any = None) -> Answer:
        answer = self._http.send(method, NITRO + resource, body=body)
        if answer.status < 300 and not answer.text.strip():
            return answer
        error = answer.json()
        code = int(error.get("errorcode", 0))
        if answer.status < 400 and code == 0:
            return answer
        message = f"{error.get('message', 'no reason given')} (NITRO error {code})"
        if code in WRONG_CREDENTIALS:
            raise AccessDenied(
                f"{self.label} refused user {self._username!r}. Check 'username' and 'password'. {message}"
            )
        if code in NO_SESSION_LEFT:
            raise AccessDenied(
                f"{self.label}: user {self._username!r} has as many sessions as the device allows."
                f" End some, or use an account of its own for Ansible. {message}"
            )
        if code == NOT_AUTHORIZED or answer.status in (401, 403):
            raise AccessDenied(
                f"{self.label} does not let user {self._username!r} do this ({method} {resource.partition('?')[0]}): {message}"
            )
        raise Refused(
            f"{self.label} refused {method} {resource.partition('?')[0]}: {message}", status=answer.status, code=code
        )


def _modes(body: dict[str, t.Any]) -> dict[str, bool]:
    modes = body["nsmode"]
    modes = modes[0] if isinstance(modes, list) else modes
    return {name: _flag(modes[name]) for name in ("usnip", "usip")}


def _flag(value: t.Any) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError(f"{value!r} is not a boolean")


def _virtual_server(item: dict[str, t.Any]) -> tuple[str, tuple[str, int, str]] | None:
    protocol = PROTOCOLS.get(item["servicetype"])
    address = str(item.get("ipv46", "0.0.0.0"))
    if protocol is None or address == "0.0.0.0":  # another protocol, or a virtual server that no client can address
        return None
    return str(item["name"]), (canonical_address(address), int(item["port"]), protocol)


def _binding(kind: str) -> t.Callable[[dict[str, t.Any]], tuple[str, str]]:
    # A bound service is called servicename, a bound service group servicegroupname; the virtual server is name in both.
    return lambda item: (str(item["name"]), str(item[f"{kind}name"]))


def _member(item: dict[str, t.Any]) -> tuple[str, Member]:
    return str(item["servicegroupname"]), (canonical_address(item["ip"]), int(item["port"]))


def _service(item: dict[str, t.Any], listener: _Listener) -> Service:
    value = str(item["usip"])
    return Service(
        id=listener.name,
        address=listener.address,
        port=listener.port,
        value=value,
        source_preserved=value == NetScaler.preserving,
        protocol=listener.protocol,
        enabled=item.get("state", item.get("svrstate")) not in OUT_OF_SERVICE,
    )


def _snip(item: dict[str, t.Any]) -> tuple[str, netaddr.IPNetwork] | None:
    if item["type"] != "SNIP":
        return None
    return canonical_address(item["ipaddress"]), netaddr.IPNetwork(f"{item['ipaddress']}/{item['netmask']}")


def _gateways(server: str, snips: Sequence[tuple[str, netaddr.IPNetwork]]) -> tuple[str, ...]:
    return tuple(address for address, network in snips if netaddr.IPAddress(server) in network)


def _global_client_ip(modes: Mapping[str, bool], label: str) -> list[Finding]:
    if not modes["usip"]:
        return []
    return [
        Finding(
            "global_client_ip",
            "warning",
            label,
            "The mode Use Source IP (USIP) is on, so every service made from now on keeps the client's address, wanted or not.",
            "Switch it off if that is not meant; the service groups keep their own setting. This collection never touches it.",
        )
    ]


def _standby(states: Sequence[str], label: str) -> list[Finding]:
    if not states or states[0] == "Primary":
        return []
    return [
        Finding(
            "not_active_unit",
            "blocker",
            label,
            f"This node's high-availability state is {states[0]!r}, not Primary.",
            "Make the change on the primary node, whose changes go to the secondary by themselves.",
        )
    ]
