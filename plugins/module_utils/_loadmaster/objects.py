# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a LoadMaster says, in XML (API v1) or JSON (v2): and how it is read. No input or output."""

from __future__ import annotations

import json
import typing as t
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from xml.etree import ElementTree

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Server, Service, canonical_address
from ansible_collections.aovpn.ikev2.plugins.module_utils._network import OwnAddress

Fields: t.TypeAlias = "dict[str, t.Any]"

LAYER_4 = 4
"""On layer 4 the LoadMaster always keeps the client's address, whatever the flag says."""

UNITS, CLUSTER = (1, 2), 4
"""The HA modes of the two units of a pair, which share addresses, and of a cluster. 3 is HA in a cloud, without shared addresses."""

TRANSPARENT = "Transparent"
"""The flag of a service that keeps the client's address."""

ANY_PORT = "*"

DEPTH = 20
"""How deep a document may be nested; the API's own are half as deep."""


# Decoding


class NotUnderstood(ValueError):
    """A body is not an answer of the API. The text says what was expected instead."""


@dataclass(frozen=True)
class Outcome:
    """An answer. ``code``: the API's own status, good below 400. ``message``: the reason otherwise."""

    code: int
    message: str
    fields: Fields


class _NoDoctype(ElementTree.TreeBuilder):
    """Builds a tree of a document without a document type: with none, there are no entities to expand."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Refuse."""
        raise ElementTree.ParseError("a document type")


def decode_xml(text: str) -> Outcome:
    """Read an answer of API v1.

    :raises NotUnderstood: where it is none.
    """
    try:
        root = ElementTree.fromstring(text, ElementTree.XMLParser(target=_NoDoctype()))
    except (ElementTree.ParseError, ValueError) as error:
        raise NotUnderstood("an XML document") from error
    if root.tag != "Response":
        raise NotUnderstood("an XML document with the element Response")
    code = _code(root.get("stat"), fine=root.get("code") == "ok")
    success = root.find("Success")
    if code < 400 and success is None:
        raise NotUnderstood("an XML document with the element Success")
    data = None if success is None else success.find("Data")
    return Outcome(code, (root.findtext("Error") or "").strip(), {} if data is None else _fields(data, DEPTH))


def decode_json(text: str) -> Outcome:
    """Read an answer of API v2.

    :raises NotUnderstood: where it is none.
    """
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        fields = None
    # 'Status' with a capital is a service's health, and says nothing here.
    if not isinstance(fields, dict) or "status" not in fields:
        raise NotUnderstood("a JSON object with the key status")
    code = _code(fields.get("code"), fine=fields["status"] == "ok")
    return Outcome(
        code,
        str(fields.get("message", "")),
        {key: value for key, value in fields.items() if key not in ("code", "status", "message")},
    )


def _code(given: t.Any, *, fine: bool) -> int:
    """Return one status for the two ways in which an answer gives it."""
    number = int(given) if str(given).isdecimal() else 0
    return number or 200 if fine else max(number, 400)


def _fields(element: ElementTree.Element, depth: int) -> Fields:
    """Turn an element's children into fields, as the JSON of API v2 has them; what repeats becomes a list."""
    if not depth:
        raise NotUnderstood("an XML document that is not nested so deep")
    fields: Fields = {}
    for child in element:
        value: t.Any = _fields(child, depth - 1) if len(child) else (child.text or "").strip()
        fields.setdefault(child.tag, []).append(value)
    return {key: values[0] if len(values) == 1 else values for key, values in fields.items()}


def listed(fields: Fields, key: str) -> list[Fields]:
    """Return a list of records: absent when empty, and one alone may stand without its list."""
    return _list(fields.get(key) or [])


def flag(value: t.Any) -> bool:
    """Read a flag: Y and N or yes and no in v1, true and false in v2, and an empty text for what is off."""
    text = str(value).lower()
    if text in ("true", "y", "yes", "1"):
        return True
    if text in ("false", "n", "no", "0", ""):
        return False
    raise ValueError(f"{value!r} is neither yes nor no")


# Reading


@dataclass(frozen=True)
class VirtualService:
    """A UDP virtual service: the service, and what else about it matters.

    ``address`` and ``port`` are as the device writes them, ``follows`` is the index of the service whose port it follows,
    ``servers`` are None where the device did not say.
    """

    service: Service
    address: str
    port: str
    index: int
    layer: int
    reencrypts: bool
    subnet_originating: bool
    persistence: str
    follows: int
    servers: tuple[Server, ...] | None

    @property
    def identity(self) -> Fields:
        """Return the parameters that mean this service and no other."""
        return {"vs": self.address, "port": self.port, "prot": "udp"}

    def preserves(self, transparent: bool) -> bool:
        """Report whether the client's address is kept with the flag like this."""
        return self.layer == LAYER_4 or (transparent and not self.reencrypts)


@dataclass(frozen=True)
class Interface(OwnAddress):
    """An address of an interface and, in a pair of units, the ``shared`` one that moves to the active unit."""

    name: str
    shared: str


@dataclass(frozen=True)
class Settings:
    """Settings of the whole device; None is one that it does not have."""

    version: str
    ha_mode: int
    ha_status: str
    server_nat: bool | None
    subnet_originating: bool | None
    transparent: bool | None

    @property
    def shares_addresses(self) -> bool:
        """Report whether this is one of two units, and only the shared addresses stay."""
        return self.ha_mode in UNITS


def virtual_services(fields: Fields) -> list[VirtualService]:
    """Read the UDP services. SubVS entries stand among the others, without an address of their own."""
    return [
        virtual_service(record)
        for record in listed(fields, "VS")
        if record.get("Protocol") == "udp" and record.get("VSAddress") and not _number(record.get("MasterVSID"))
    ]


def virtual_service(record: Fields) -> VirtualService:
    """Read one service."""
    written, text = str(record["VSAddress"]), str(record["VSPort"])
    address, port = canonical_address(written), 0 if text == ANY_PORT else int(text)
    transparent = flag(record.get("Transparent", False))
    nickname = str(record.get("NickName") or "").strip()
    found = VirtualService(
        Service(
            id=f"{f'[{address}]' if ':' in address else address}:{port}/udp",
            address=address,
            port=port,
            settings={TRANSPARENT: transparent},
            source_preserved=False,
            enabled=flag(record.get("Enable", True)),
            names=(str(record["Index"]), *([nickname] if nickname else [])),
        ),
        address=written,
        port=text,
        index=int(record["Index"]),
        layer=int(record["Layer"]),
        reencrypts=flag(record.get("SSLReencrypt", False)),
        subnet_originating=flag(record.get("SubnetOriginating", False)),
        persistence=str(record.get("Persist") or ""),
        follows=_number(record.get("FollowVSID")),
        servers=real_servers(record),
    )
    return replace(found, service=replace(found.service, source_preserved=found.preserves(transparent)))


def real_servers(record: Fields) -> tuple[Server, ...] | None:
    """Read a service's real servers; None where the record does not tell. Empty lists are left out, so the count decides."""
    if "Rs" not in record and record.get("NumberOfRSs") not in (0, "0"):
        return None
    return tuple(Server(canonical_address(str(item["Addr"])), int(item["Port"])) for item in listed(record, "Rs"))


def interfaces(fields: Fields) -> list[Interface]:
    """Read the addresses of interfaces: the first of each, with the shared one beside it, and additional ones."""
    return [
        _interface(str(item.get("Id", "")), str(text), str(shared or ""))
        for item in listed(fields, "Interface")
        for text, shared in ((item.get("IPAddress"), item.get("SharedIPAddress")), *_additional(item))
        if text
    ]


def _interface(name: str, text: str, shared: str) -> Interface:
    address = text.partition("/")[0]
    shared = shared.partition("/")[0]
    own = canonical_address(address)
    return Interface(own, netaddr.IPNetwork(text), "", name, canonical_address(shared) if shared else "")


def _additional(item: Fields) -> list[tuple[t.Any, str]]:
    """Read additional addresses. A public client (python-kemptech-api) has them one level down, as ``IPaddress``."""
    found = item.get("AdditionalAddresses") or []
    if isinstance(found, dict):
        found = [
            address for key, addresses in found.items() if key.lower() == "ipaddress" for address in _list(addresses)
        ]
    return [(address, "") for address in _list(found)]


def _list(value: t.Any) -> list[t.Any]:
    return value if isinstance(value, list) else [value]


def settings(fields: Fields) -> Settings:
    """Read the settings of the whole device."""
    return Settings(
        version=str(fields.get("version") or ""),
        ha_mode=_number(fields.get("hamode")),
        ha_status=str(fields.get("hastatus") or ""),
        **{
            name: flag(fields[key]) if key in fields else None
            for name, key in (
                ("server_nat", "snat"),
                ("subnet_originating", "subnetoriginating"),
                ("transparent", "transparent"),
            )
        },
    )


def _number(value: t.Any) -> int:
    return int(value or 0)


# Judging


def with_gateways(
    servers: Iterable[Server], own: Sequence[Interface], device: Settings, gateway: str | None
) -> tuple[Server, ...]:
    """Return the servers with what may be their default gateway: this device's address in their subnet, else ``gateway``."""
    return tuple(replace(server, gateways=_gateways(server.address, own, device, gateway)) for server in servers)


def _gateways(server: str, own: Sequence[Interface], device: Settings, gateway: str | None) -> tuple[str, ...]:
    near = [item.shared or ("" if device.shares_addresses else item.address) for item in own if item.is_near(server)]
    told = tuple(address for address in near if address)
    return told or ((gateway,) if gateway else ())
