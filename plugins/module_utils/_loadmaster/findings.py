# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is worth knowing about a LoadMaster and its virtual services. No input or output."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.aovpn.ikev2.plugins.module_utils._loadmaster.objects import (
    CLUSTER,
    LAYER_4,
    Interface,
    Settings,
    VirtualService,
)
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Finding, Service
from ansible_collections.aovpn.ikev2.plugins.module_utils._network import subnet_findings

NOT_TRANSPARENT = (
    "For clients in the servers' subnet, the LoadMaster silently leaves out transparency, whatever the flag says.",
    "Keep the VPN's clients out of that subnet, and do not translate their traffic to an address of it.",
)


def service_findings(virtual: VirtualService) -> list[Finding]:
    """Report what a service's own record says."""
    name, findings = virtual.service.id, []
    if virtual.layer != LAYER_4 and virtual.reencrypts:
        findings.append(
            Finding(
                "unsupported_mode",
                "blocker",
                name,
                "SSL re-encryption is on. With it, the LoadMaster accepts the flag Transparent and ignores it.",
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
        f"{what}, so the servers may see an address of the LoadMaster in place of the clients'."
        " The vendor's documents disagree on whether transparency takes precedence.",
        "Switch it off, and check on the VPN servers that the clients' own addresses arrive.",
    )


def persistence_findings(virtuals: Sequence[VirtualService]) -> list[Finding]:
    """Report services of one address that do not keep a client's two ports on one server.

    That needs source address persistence on both, and one that follows the other's port. A single server needs neither.
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
                    "Set the persistence of both to Source IP Address, and let one follow the other's port (Port Following).",
                )
            )
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
    return findings


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
            near = [item for item in own if item.is_near(server.address)]
            if not near:
                findings["far", server.address] = Finding(
                    "unsupported_mode",
                    "blocker",
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
    near_servers = {("subnet", found.object): found for found in subnet_findings(services, own, NOT_TRANSPARENT)}
    return [*(findings | near_servers).values()]


def _overlap(one: Interface, other: Interface) -> bool:
    """Report whether the subnets of two addresses overlap; one interface may have several addresses in a subnet."""
    if one.name == other.name and one.network.cidr == other.network.cidr:
        return False
    return one.network in other.network or other.network in one.network


def flow_findings(services: Sequence[Service], label: str) -> list[Finding]:
    """Report that existing flows keep their source address."""
    return [
        Finding(
            "existing_flows",
            "info",
            label,
            f"Existing flows through {', '.join(service.id for service in services)} keep the source address with which they began"
            " until they have been idle, which keepalives may delay for long.",
            "Let clients reconnect where it matters.",
        )
    ]
