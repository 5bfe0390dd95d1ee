# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is worth knowing about a NetScaler, its modes and its virtual servers. No input or output."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Finding, Service
from ansible_collections.aovpn.ikev2.plugins.module_utils._netscaler.objects import (
    Carrier,
    Item,
    Listener,
    Member,
    VirtualServer,
)


def mode_findings(found: Mapping[str, bool], label: str) -> list[Finding]:
    """Report modes of the whole device that do not fit."""
    findings = []
    if found["usip"]:
        findings.append(
            Finding(
                "global_client_ip",
                "warning",
                label,
                "The mode Use Source IP (USIP) is on, so every service created from now on keeps the client's address, wanted or not.",
                "Switch it off unless it is intended. Service groups keep their own setting. This collection never changes it.",
            )
        )
    if not found.get("l3", True):
        findings.append(
            Finding(
                "forwarding_mode",
                "warning",
                label,
                "Layer 3 mode is off, so the VPN servers' own outbound traffic is not forwarded.",
                "Switch on L3 mode if this device is the VPN servers' default gateway.",
            )
        )
    if found.get("mbf", False):
        findings.append(
            Finding(
                "forwarding_mode",
                "warning",
                label,
                "MAC-based forwarding is on, which can hide that replies take another path than requests.",
                "Check the routes, too. Working flows do not prove that they are right.",
            )
        )
    return findings


def listener_findings(
    chosen: Sequence[Service],
    carriers: Mapping[str, Carrier],
    listeners: Sequence[Listener],
    members: Mapping[Carrier, Sequence[Member]],
) -> list[Finding]:
    """Report what virtual servers and bindings show about the selected services."""
    findings: list[Finding] = []
    wanted = {(carriers[service.id], service.address, service.port) for service in chosen}
    mine = [item for item in listeners if (item.carrier, item.server.address, item.server.port) in wanted]
    for server in dict.fromkeys(item.server for item in mine):
        findings += _server_findings(server)
    for item in mine:
        families = {netaddr.IPAddress(address).version for address, _dummy in members.get(item.carrier, ())}
        if families - {netaddr.IPAddress(item.server.address.partition("%")[0]).version}:
            findings.append(
                Finding(
                    "unsupported_mode",
                    "blocker",
                    item.carrier[1],
                    f"The virtual server {item.server.name} at {item.server.address} and its servers are not of one IP version,"
                    " and Use Client IP is refused there (NITRO error 3894).",
                    "Give this virtual address servers of its own IP version.",
                )
            )
    return findings + _shared(mine, listeners) + _persistence(mine)


def _server_findings(server: VirtualServer) -> list[Finding]:
    findings = []
    if server.forwarding != "IP":
        findings.append(
            Finding(
                "unsupported_mode",
                "warning",
                server.name,
                f"The virtual server forwards by {server.forwarding} (direct server return), so the servers reply to clients directly.",
                "Such servers do not use this device as their gateway. Leave them as they are if the VPN works.",
            )
        )
    if server.failover:
        findings.append(
            Finding(
                "connection_mirroring",
                "warning",
                server.name,
                "Connection failover is on: existing flows stay translated on the other node, too. While it is on,"
                " Use Client IP cannot be switched off again (NITRO error 1289).",
                "Switch off connection failover before a rollback.",
            )
        )
    if server.local:
        findings.append(_process_local(server.name, on=True))
    return findings


def _process_local(name: str, *, on: bool) -> Finding:
    return Finding(
        "unsupported_mode",
        "warning",
        name,
        "Process-local is on: cluster nodes do not steer packets to each other, so replies have to reach the node that took the request."
        if on
        else "Process-local is off in this cluster, and the vendor's page on USIP in a cluster says that it does not work then.",
        "Make sure that the upstream router sends both directions to one node."
        if on
        else "Read that page for this release, and check on the VPN servers that the clients' own addresses arrive.",
    )


def _shared(mine: Sequence[Listener], listeners: Iterable[Listener]) -> list[Finding]:
    others: dict[Carrier, list[str]] = {item.carrier: [] for item in mine}
    chosen = set(mine)
    for item in listeners:
        if item.carrier in others and item not in chosen:
            others[item.carrier].append(item.server.name)
    return [
        Finding(
            "shared_service_group",
            "warning",
            carrier[1],
            f"It also serves {', '.join(names)}, to which the setting then applies as well.",
            "Give the VPN a separate service group if that is not intended.",
        )
        for carrier, names in others.items()
        if names
    ]


def _persistence(mine: Iterable[Listener]) -> list[Finding]:
    by_address: dict[str, dict[str, VirtualServer]] = {}
    for item in mine:
        by_address.setdefault(item.server.address, {})[item.server.name] = item.server
    findings = []
    for servers in by_address.values():
        groups = {server.group for server in servers.values()}
        by_source = all(server.persistence == "SOURCEIP" for server in servers.values())
        if len(servers) < 2 or (len(groups) == 1 and "" not in groups and by_source):
            continue
        findings.append(
            Finding(
                "persistence_split",
                "warning",
                ", ".join(servers),
                "No persistency group by source address joins these virtual servers, so a client's UDP 500 and UDP 4500"
                " may reach different VPN servers.",
                "Put both into one persistency group (lbgroup) with the type SOURCEIP.",
            )
        )
    return findings


def node_findings(nodes: Sequence[Item], label: str) -> list[Finding]:
    """Report a node that does not accept changes, and a partner that has other gateways."""
    findings = []
    state = str(nodes[0].get("state", "")) if nodes else "Primary"
    if state != "Primary":
        findings.append(
            Finding(
                "not_active_unit",
                "blocker",
                label,
                f"This node's high-availability state is {state!r}, not Primary.",
                "Make the change on the primary node, which propagates it to the secondary.",
            )
        )
    if nodes and nodes[0].get("inc") == "ENABLED":
        findings.append(
            Finding(
                "gateway_not_shared",
                "warning",
                label,
                "High availability works in INC mode, in which subnet addresses (SNIPs) are not synchronised: after a failover,"
                " the VPN servers' default gateway is gone.",
                "Make sure that the VPN servers' gateway moves to the other node, too.",
            )
        )
    return findings


def cluster_findings(addresses: Sequence[Item], instances: Sequence[Item], host: str, label: str) -> list[Finding]:
    """Report a node that was asked in place of its cluster, and a cluster that does not steer packets."""
    shared = [str(item["ipaddress"]) for item in addresses if item["type"] == "CLIP"]
    own = [str(item["ipaddress"]) for item in addresses if item["type"] == "NSIP"]
    findings = []
    if shared and host in own:
        findings.append(
            Finding(
                "not_active_unit",
                "blocker",
                label,
                f"{host} is the address of one node (NSIP) of a cluster, which accepts no changes.",
                f"Give the cluster's address (CLIP) as 'host': {', '.join(shared)}.",
            )
        )
    return findings + [_process_local(label, on=item.get("processlocal") == "ENABLED") for item in instances]


def change_findings(warnings: Iterable[str], label: str, *, flows: bool) -> list[Finding]:
    """Report what is worth knowing after a change. ``warnings``: what the device said of its propagation."""
    findings = [
        Finding(
            "unsynced_changes",
            "warning",
            label,
            f"The device took the change with a warning: {warning}",
            "Check that the other node has the change ('show ha node'), and synchronize the nodes.",
        )
        for warning in dict.fromkeys(warnings)
    ]
    if flows:
        findings.append(
            Finding(
                "existing_flows",
                "info",
                label,
                "Existing flows may keep the source address with which they began, until they have been idle.",
                "No action needed; new flows show the setting.",
            )
        )
    return findings
