# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is worth knowing about a LoadMaster and its virtual services. No input or output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ansible_collections.aovpn.ikev2.plugins.module_utils._adapter import unread_findings
from ansible_collections.aovpn.ikev2.plugins.module_utils._loadmaster.objects import (
    CLUSTER,
    LAYER_4,
    Interface,
    Settings,
    VirtualService,
)
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import ANY_PORT, Finding, Service
from ansible_collections.aovpn.ikev2.plugins.module_utils._network import subnet_findings

NOT_TRANSPARENT = (
    "For clients in the servers' subnet, the LoadMaster silently leaves out transparency, whatever the flag says.",
    "Keep the VPN's clients out of that subnet, and do not translate their traffic to an address of it.",
)


def service_findings(virtual: VirtualService) -> list[Finding]:
    """Report what a service's own record says."""
    findings = []
    if virtual.parts:
        findings.append(
            Finding(
                "unsupported_mode",
                "warning",
                virtual.service.id,
                "This virtual service has SubVSs. Their real servers and their own settings are not read, so it is not known whether the"
                " servers see the clients' own addresses, and where their replies go.",
                "Check the SubVSs by hand. A change of this service needs 'return_path_unverified' accepted, if the servers'"
                " replies come back through this device.",
            )
        )
    if virtual.layer == LAYER_4 or not virtual.reencrypts:
        return findings
    return [
        *findings,
        Finding(
            "unsupported_mode",
            "blocker",
            virtual.service.id,
            "SSL re-encryption is on. With it, the LoadMaster accepts the flag Transparent and ignores it.",
            "Switch re-encryption off: IKEv2 is not SSL.",
        ),
    ]


def originating_findings(virtuals: Sequence[VirtualService], label: str) -> list[Finding]:
    """Report Subnet Originating Requests, which is on by default."""
    named = [virtual.service.id for virtual in virtuals if virtual.layer != LAYER_4 and virtual.subnet_originating]
    return _originating(label, f"of {', '.join(named)}") if named else []


def _originating(label: str, whose: str) -> list[Finding]:
    return [
        Finding(
            "subnet_originating",
            "info",
            label,
            f"The option Subnet Originating Requests {whose} is on. The vendor's documents disagree on whether transparency"
            " takes precedence. If it does not, the servers see an address of the LoadMaster.",
            "Switch it off if the VPN servers do not see the clients' own addresses. This collection never changes it.",
        )
    ]


def persistence_findings(services: Sequence[Service], virtuals: Mapping[str, VirtualService]) -> list[Finding]:
    """Report services of one address that do not keep a client's two ports on one server.

    That needs source address persistence on both, and one that follows the other's port. A single server needs neither, and one
    service on both ports follows no other.
    """
    findings = []
    for address in dict.fromkeys(service.address for service in services):
        ports = {service.port for service in services if service.address == address}
        names = dict.fromkeys(service.id for service in services if service.address == address)
        pair = [virtuals[name] for name in names]
        if (len(ports) < 2 and ANY_PORT not in ports) or all(_has_one_server(virtual) for virtual in pair):
            continue
        indices = {virtual.index for virtual in pair}
        alone = len(pair) == 1
        lacks = [
            reason
            for reason, lacking in (
                (
                    "it does not persist by source address" if alone else "not all persist by source address",
                    any(virtual.persistence != "src" for virtual in pair),
                ),
                (
                    "none follows another's port",
                    not alone and not any(virtual.follows in indices for virtual in pair),
                ),
            )
            if lacking
        ]
        if lacks:
            findings.append(
                Finding(
                    "persistence_split",
                    "warning",
                    ", ".join(names),
                    f"Of {'this virtual service' if alone else 'these virtual services'}, {' and '.join(lacks)},"
                    " so a client's UDP 500 and UDP 4500 may reach different VPN servers.",
                    "Set the persistence to Source IP Address, with a time-out."
                    if alone
                    else "Set the persistence of both to Source IP Address, and let one follow the other's port (Port Following).",
                )
            )
    return list(dict.fromkeys(findings))


def _has_one_server(virtual: VirtualService) -> bool:
    return virtual.real is not None and len(virtual.real.servers) + len(virtual.real.unread) < 2


def direct_findings(services: Sequence[Service]) -> list[Finding]:
    """Report servers with direct server return, whose gateways must stay as they are."""
    findings: dict[str, Finding] = {}
    # The worst of a server's services comes last.
    for service in sorted(services, key=lambda service: not service.source_preserved):
        for server in service.servers:
            if not server.direct:
                continue
            blocks = server.enabled and not service.source_preserved
            findings[server.address] = Finding(
                "unsupported_mode",
                "blocker" if blocks else "warning",
                server.address,
                f"{service.id} uses this real server with direct server return (its forwarding method is route): it replies to clients"
                " past the LoadMaster, through a default gateway of its own.",
                "Leave its default gateway as it is."
                + (
                    " Give this service real servers of one kind only, or leave it out: not all of its servers are like this."
                    if blocks
                    else ""
                ),
            )
    return list(findings.values())


def alternate_findings(services: Sequence[Service], virtuals: Mapping[str, VirtualService]) -> list[Finding]:
    """Report services that a change would also reach at an address of another IP version than their servers'."""
    findings = []
    for name in dict.fromkeys(service.id for service in services if not service.source_preserved):
        chosen = {service.address for service in services if service.id == name}
        servers = next(service.servers for service in services if service.id == name)
        others = dict.fromkeys(address for address, _port in virtuals[name].places if address not in chosen)
        findings += [
            Finding(
                "unsupported_mode",
                "blocker",
                name,
                f"This service has the address {address}, too, which is not of the IP version of all of its servers."
                " There, without translation of the source, no client could reach them.",
                "Give the VPN a separate virtual service for each IP version, with servers of that version only.",
            )
            for address in others
            if any((":" in address) != (":" in server.address) for server in servers)
        ]
    return findings


def device_findings(device: Settings, virtuals: Sequence[VirtualService], label: str) -> list[Finding]:
    """Report what the settings of the whole device say."""
    findings = _unit_findings(device, label)
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
        if device.subnet_originating and not originating_findings(virtuals, label):
            findings += _originating(label, "of the whole device")
        if device.transparent is False:
            findings.append(
                Finding(
                    "hidden_translation",
                    "warning",
                    label,
                    "The layer 7 setting transparent of the whole device is off, which may override the services' own.",
                    "Check it if the VPN servers do not see the clients' own addresses. This collection never changes it.",
                )
            )
    if device.server_nat is not None:
        findings.append(
            Finding(
                "server_nat",
                "info",
                label,
                "Server NAT is on for the whole device: the VPN servers' own outbound traffic leaves with the LoadMaster's address."
                if device.server_nat
                else "Server NAT is off for the whole device: the VPN servers' own outbound traffic leaves with their own addresses,"
                " so the routers beyond this device need a route back to them.",
                "No action needed for the VPN's clients: it does not apply to them.",
            )
        )
    return findings + _server_nat_findings(device, virtuals, label) + unread_findings(device.unread, of=label)


def _server_nat_findings(device: Settings, virtuals: Sequence[VirtualService], label: str) -> list[Finding]:
    """Report what one of the vendor's documents wants for transparency, and another does not."""
    layer_7 = [virtual for virtual in virtuals if virtual.layer != LAYER_4]
    unused = [virtual.service.id for virtual in layer_7 if virtual.use_for_snat is False]
    lacks = [f"Use Address for Server NAT is off for {', '.join(unused)}"] if unused else []
    if device.server_nat is False and any(virtual.subnet_originating for virtual in layer_7):
        lacks.append("server NAT of the whole device is off, while Subnet Originating Requests is on")
    if not lacks:
        return []
    return [
        Finding(
            "server_nat",
            "info",
            label,
            f"With transparency, the vendor's description of routing wants this otherwise, and its description of transparency does not:"
            f" {'; '.join(lacks)}.",
            "No action needed while the VPN servers see the clients' own addresses. If they do not, switch it on.",
        )
    ]


def _unit_findings(device: Settings, label: str) -> list[Finding]:
    if device.ha_mode in (0, CLUSTER) or device.ha_status.strip().lower() == "active":
        return []
    return [
        Finding(
            "not_active_unit",
            "blocker",
            label,
            f"This unit of a high-availability pair is not the active one; its status is {device.ha_status or 'not known'}.",
            "Give the shared address as 'host', which leads to the active unit.",
        )
    ]


def network_findings(services: Sequence[Service], own: Sequence[Interface], device: Settings) -> list[Finding]:
    """Report where transparency does not work. ``services`` are those on layer 7, with their servers."""
    findings: dict[tuple[str, str], Finding] = {}
    for service in services:
        for server in service.servers:
            if server.direct:
                continue
            near = [item for item in own if item.is_near(server.address)]
            if not near:
                findings["far", server.address] = Finding(
                    "unsupported_mode",
                    "blocker" if server.enabled and not service.source_preserved else "warning",
                    server.address,
                    "This real server is in no subnet that the LoadMaster names as its own, and transparency is not available"
                    " with servers that are not local.",
                    "Move it to one of the LoadMaster's subnets. If the LoadMaster does have an address there,"
                    " give that as 'gateway' and accept 'unsupported_mode'.",
                )
            for item in near:
                if device.shares_addresses and not item.shared:
                    findings["shared", item.address] = Finding(
                        "return_path_unverified",
                        "warning",
                        item.address,
                        "This unit of a high-availability pair names no shared address in the servers' subnet,"
                        " and its own address does not move to the other unit.",
                        "Give the shared address as 'gateway'.",
                    )
                overlapping = next((other for other in own if _overlap(other, item)), None)
                if overlapping:
                    message, remedy = NOT_TRANSPARENT
                    findings["subnet", service.address] = Finding(
                        "client_in_server_subnet",
                        "warning",
                        service.address,
                        f"The servers' subnet {item.network.cidr} overlaps with {overlapping.network.cidr}. {message}",
                        remedy,
                    )
    behind = [
        replace(service, servers=tuple(server for server in service.servers if not server.direct))
        for service in services
    ]
    near_servers = {("subnet", found.object): found for found in subnet_findings(behind, own, NOT_TRANSPARENT)}
    return [*(findings | near_servers).values()]


def _overlap(one: Interface, other: Interface) -> bool:
    """Report whether the subnets of two addresses overlap; one interface may have several addresses in a subnet."""
    if one.name == other.name and one.network.cidr == other.network.cidr:
        return False
    return one.network in other.network or other.network in one.network
