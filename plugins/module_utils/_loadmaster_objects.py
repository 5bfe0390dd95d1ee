# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a LoadMaster says, in XML (API v1) or JSON (v2): how it is read, and what is to be said about it. No input or output."""

from __future__ import annotations

import json
import typing as t
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from xml.etree import ElementTree

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.module_utils._loadmaster_firmware import holes
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Finding, Server, Service, canonical_address

Fields: t.TypeAlias = "dict[str, t.Any]"

LAYER_4 = 4
"""The layer on which the LoadMaster always keeps the client's address, whatever the flag says."""

UNITS, CLUSTER = (1, 2), 4
"""The HA modes of the two units of a pair, which share addresses, and of a cluster. 3 is HA in a cloud, without shared addresses."""

ANY_PORT = "*"

DEPTH = 20
"""How deep a document may be nested; the API's own are half as deep."""


# Decoding


class NotUnderstood(ValueError):
    """A body is not an answer of the API; the text says what was expected instead."""


@dataclass(frozen=True)
class Outcome:
    """What an answer comes to. ``code``: the API's own status; 200 and below 400 is fine. ``message``: its reason where it is not."""

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
    """Bring the two ways in which an answer says how it went to one number."""
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
    """Give a list of records: absent when empty, and one alone may stand without its list."""
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
        """Give the parameters that mean this service and no other."""
        return {"vs": self.address, "port": self.port, "prot": "udp"}

    def preserves(self, transparent: bool) -> bool:
        """Say whether the client's address is kept with the flag like this."""
        return self.layer == LAYER_4 or (transparent and not self.reencrypts)


@dataclass(frozen=True)
class Interface:
    """An address of an interface and, in a pair of units, the ``shared`` one that moves to the active unit."""

    name: str
    address: str
    network: netaddr.IPNetwork
    shared: str

    def is_near(self, address: str) -> bool:
        """Say whether ``address`` is in this interface's subnet."""
        return netaddr.IPAddress(address) in self.network


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
        """Say whether this is one of two units, and only the shared addresses stay."""
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
            value=transparent,
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
    return Interface(
        name, canonical_address(address), netaddr.IPNetwork(text), canonical_address(shared) if shared else ""
    )


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
    """Give the servers with what may be their default gateway: this device's address in their subnet, else ``gateway``."""
    return tuple(replace(server, gateways=_gateways(server.address, own, device, gateway)) for server in servers)


def _gateways(server: str, own: Sequence[Interface], device: Settings, gateway: str | None) -> tuple[str, ...]:
    near = [item.shared or ("" if device.shares_addresses else item.address) for item in own if item.is_near(server)]
    told = tuple(address for address in near if address)
    return told or ((gateway,) if gateway else ())


def service_findings(virtual: VirtualService) -> list[Finding]:
    """Tell what a service's own record says."""
    name, findings = virtual.service.id, []
    if virtual.layer != LAYER_4 and virtual.reencrypts:
        findings.append(
            Finding(
                "unsupported_mode",
                "blocker",
                name,
                "SSL re-encryption is on, with which the LoadMaster takes the flag Transparent and does not heed it.",
                "Switch re-encryption off: IKEv2 is not SSL.",
            )
        )
    if virtual.layer != LAYER_4 and virtual.subnet_originating:
        findings.append(_subnet_originating(name, "The option Subnet Originating Requests of this service is on"))
    return findings


def _subnet_originating(name: str, what: str) -> Finding:
    return Finding(
        "subnet_originating",
        "warning",
        name,
        f"{what}, by which the servers may see an address of the LoadMaster in place of the clients'."
        " The vendor's documents disagree on whether transparency goes before it.",
        "Switch it off, and look on the VPN servers whether the clients' own addresses arrive.",
    )


def persistence_findings(virtuals: Sequence[VirtualService]) -> list[Finding]:
    """Tell services of one address that do not hold a client's two ports together.

    That takes source address persistence on both, and one that follows the other's port. One server alone needs neither.
    """
    findings = []
    for address in dict.fromkeys(virtual.service.address for virtual in virtuals):
        pair = [virtual for virtual in virtuals if virtual.service.address == address]
        if len(pair) < 2 or all(virtual.servers is not None and len(virtual.servers) < 2 for virtual in pair):
            continue
        indices = {virtual.index for virtual in pair}
        lacks = [
            reason
            for reason, lacking in (
                ("not all persist by source address", any(virtual.persistence != "src" for virtual in pair)),
                ("none follows another's port", not any(virtual.follows in indices for virtual in pair)),
            )
            if lacking
        ]
        if lacks:
            findings.append(
                Finding(
                    "persistence_split",
                    "warning",
                    ", ".join(virtual.service.id for virtual in pair),
                    f"Of these virtual services, {' and '.join(lacks)},"
                    " so a client's UDP 500 and UDP 4500 may reach different VPN servers.",
                    "Give both the persistence Source IP Address, and one Port Following to the other.",
                )
            )
    return findings


def device_findings(device: Settings, virtuals: Sequence[VirtualService], label: str) -> list[Finding]:
    """Tell what the settings of the whole device say."""
    findings = [*_unit_findings(device, label), *_firmware_findings(device, label)]
    if any(virtual.layer != LAYER_4 for virtual in virtuals):
        if device.ha_mode == CLUSTER:
            findings.append(
                Finding(
                    "unsupported_mode",
                    "blocker",
                    label,
                    "This LoadMaster is in clustering mode, in which transparency on layer 7 is not available.",
                    "Use a pair of units in high availability, or serve the VPN on layer 4.",
                )
            )
        if device.subnet_originating:
            findings.append(
                _subnet_originating(label, "The option Subnet Originating Requests of the whole device is on")
            )
        if device.transparent is False:
            findings.append(
                Finding(
                    "hidden_translation",
                    "warning",
                    label,
                    "The layer 7 setting transparent of the whole device is off, which may outdo the services' own.",
                    "Look at it if the VPN servers do not see the clients' own addresses. It is never changed here.",
                )
            )
    if device.server_nat is not None:
        findings.append(
            Finding(
                "server_nat",
                "info",
                label,
                "Server NAT is on for the whole device: what the VPN servers send on their own account leaves with the LoadMaster's address."
                if device.server_nat
                else "Server NAT is off for the whole device: what the VPN servers send on their own account leaves with their own addresses,"
                " and beyond this device somebody has to know the way back to them.",
                "Nothing is to be done for the VPN's clients, to whom it does not apply.",
            )
        )
    return findings


def _unit_findings(device: Settings, label: str) -> list[Finding]:
    if device.ha_mode in (0, CLUSTER) or device.ha_status.strip().lower() == "active":
        return []
    return [
        Finding(
            "not_active_unit",
            "blocker",
            label,
            f"This unit of a high-availability pair is not the active one; its status is {device.ha_status or 'not told'}.",
            "Give the shared address as 'host', which leads to the active unit.",
        )
    ]


def _firmware_findings(device: Settings, label: str) -> list[Finding]:
    known = holes(device.version)
    if not known:
        return []
    named = ", ".join(f"{hole.name} ({hole.what})" for hole in known)
    return [
        Finding(
            "outdated_firmware",
            "warning",
            label,
            f"Firmware {device.version} has published holes: {named}.",
            f"Update it, and let only administrators reach its management. See {known[-1].source}.",
        )
    ]


def network_findings(
    virtuals: Sequence[VirtualService],
    servers: Mapping[str, Sequence[Server]],
    own: Sequence[Interface],
    device: Settings,
) -> list[Finding]:
    """Tell what transparency on layer 7 does not work with; ``servers`` by service."""
    findings: dict[tuple[str, str], Finding] = {}
    for virtual in virtuals:
        if virtual.layer == LAYER_4:
            continue
        for server in servers[virtual.service.id]:
            near = [item for item in own if item.is_near(server.address)]
            if not near:
                findings["far", server.address] = Finding(
                    "unsupported_mode",
                    "blocker",
                    server.address,
                    "This real server is in no subnet that the LoadMaster names as its own, and transparency is not available"
                    " with servers that are not local.",
                    "Move it to a subnet of the LoadMaster's; or accept 'unsupported_mode' if the LoadMaster has an address there"
                    " all the same, and give that as 'gateway'.",
                )
            for item in near:
                if device.shares_addresses and not item.shared:
                    findings["shared", item.address] = Finding(
                        "return_path_unverified",
                        "warning",
                        item.address,
                        "This unit of a high-availability pair names no shared address in the servers' subnet, and its own does not move with it.",
                        "Give the shared address as 'gateway'.",
                    )
                overlapping = [other for other in own if _overlap(other, item)]
                if item.is_near(virtual.service.address) or overlapping:
                    what = (
                        f"The virtual address is in the servers' own subnet {item.network.cidr}."
                        if item.is_near(virtual.service.address)
                        else f"The servers' subnet {item.network.cidr} overlaps with {overlapping[0].network.cidr}."
                    )
                    findings["subnet", virtual.service.address] = Finding(
                        "client_in_server_subnet",
                        "warning",
                        virtual.service.address,
                        f"{what} For clients in the servers' subnet, the LoadMaster leaves out transparency without a word,"
                        " whatever the flag says.",
                        "Let no client of the VPN be in that subnet, and no client's traffic be translated to an address of it.",
                    )
    return list(findings.values())


def _overlap(one: Interface, other: Interface) -> bool:
    """Say whether the subnets of two addresses overlap; an interface may well have several addresses in one."""
    if one.name == other.name and one.network.cidr == other.network.cidr:
        return False
    return one.network in other.network or other.network in one.network


def flow_findings(services: Sequence[Service], label: str) -> list[Finding]:
    """Tell that flows go on as they began."""
    return [
        Finding(
            "existing_flows",
            "info",
            label,
            f"Flows that exist through {', '.join(service.id for service in services)} keep the source address with which they began"
            " until they have been idle, which keepalives may put off for long.",
            "Let clients reconnect where it matters.",
        )
    ]
