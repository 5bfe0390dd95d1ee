# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is worth knowing about a NetScaler, its modes and its virtual servers. No input or output."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Finding, Service
from ansible_collections.aovpn.ikev2.plugins.module_utils._netscaler.joins import Listener, named_subnets
from ansible_collections.aovpn.ikev2.plugins.module_utils._netscaler.objects import (
    Carrier,
    Item,
    PersistencyGroup,
    Snip,
    VirtualServer,
)


def not_asked(what: str, error: Exception, consequence: str) -> Finding:
    """Report a list that could not be read, and that only findings depend on."""
    return Finding(
        "not_read", "warning", what, f"{error} {consequence}", "Check it by hand, or allow the user to read it."
    )


def mode_findings(found: Mapping[str, bool], label: str) -> list[Finding]:
    """Report modes of the whole device that do not fit."""
    findings = []
    if found.get("usip", False):
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
                "MAC-based forwarding is on, which can hide that replies and requests take different paths.",
                "Check the routes, too. Working flows do not prove that they are right.",
            )
        )
    return findings


def listener_findings(
    chosen: Sequence[Service],
    carriers: Mapping[str, Carrier],
    listeners: Sequence[Listener],
    groups: Mapping[str, PersistencyGroup | None],
) -> list[Finding]:
    """Report what virtual servers and bindings show about the selected services.

    ``groups``: the persistency groups whose type matters; None for one whose type is not known.
    """
    mine = chosen_listeners(chosen, carriers, listeners)
    selected = {carriers[service.id] for service in chosen}
    findings: list[Finding] = []
    for server in dict.fromkeys(item.server for item in mine):
        findings += _server_findings(server) + _backups(server, selected, listeners)
    return findings + _shared(mine, listeners) + _persistence(mine, groups)


def chosen_listeners(
    chosen: Sequence[Service], carriers: Mapping[str, Carrier], listeners: Sequence[Listener]
) -> list[Listener]:
    """Return the virtual servers of the selected services, with what is bound to them."""
    wanted = {(carriers[service.id], service.address, service.port) for service in chosen}
    return [
        item
        for item in listeners
        if any((item.carrier, address, item.server.port) in wanted for address in item.server.addresses)
    ]


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


def _backups(server: VirtualServer, chosen: Collection[Carrier], listeners: Sequence[Listener]) -> list[Finding]:
    """Report what takes over for a virtual server that is down, and its own backup in turn."""
    findings, seen, name = [], {server.name}, server.backup
    while name and name not in seen:
        seen.add(name)
        behind = [item for item in listeners if item.server.name == name]
        left_out = [item.carrier[1] for item in behind if item.carrier not in chosen]
        if left_out:
            findings.append(
                Finding(
                    "not_selected",
                    "warning",
                    server.name,
                    f"While it is down, its backup virtual server {name} takes the clients, and {', '.join(left_out)}"
                    " behind that was not selected.",
                    "Name it in 'services' if the backup serves the VPN.",
                )
            )
        name = behind[0].server.backup if behind else ""
    return findings


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


def unsettled_groups(mine: Iterable[Listener]) -> list[str]:
    """Return the persistency groups whose type decides, since what their virtual servers show does not suffice."""
    return [group for servers in _by_address(mine) if (group := _joining(servers)) and not _by_source(servers)]


def _by_address(mine: Iterable[Listener]) -> list[tuple[VirtualServer, ...]]:
    """Return the virtual servers of each address that has several; those with different listen policies serve different clients."""
    by_address: dict[str, dict[VirtualServer, None]] = {}
    for item in mine:
        for address in item.server.addresses:
            by_address.setdefault(address, {})[item.server] = None
    grouped: list[tuple[VirtualServer, ...]] = []
    for servers in by_address.values():
        by_policy: dict[str, list[VirtualServer]] = {}
        # Two on one port: their listen policies tell them apart.
        told_apart = len({server.port for server in servers}) < len(servers)
        for server in servers:
            by_policy.setdefault(server.policy if told_apart else "", []).append(server)
        grouped += map(tuple, by_policy.values())
    return [*dict.fromkeys(servers for servers in grouped if len(servers) > 1)]


def _joining(servers: Iterable[VirtualServer]) -> str:
    """Return the one persistency group of all these virtual servers, if there is one."""
    groups = {server.group for server in servers}
    return groups.pop() if len(groups) == 1 else ""


def _by_source(servers: Iterable[VirtualServer]) -> bool:
    return all(server.persistence == "SOURCEIP" for server in servers)


def _persistence(mine: Iterable[Listener], groups: Mapping[str, PersistencyGroup | None]) -> list[Finding]:
    findings = []
    for servers in _by_address(mine):
        name = _joining(servers)
        group = groups.get(name)
        # The group's type overrides that of its virtual servers. Whether NITRO shows it as theirs, too, is not known.
        suits = group is not None and group.persistence == "SOURCEIP" and not group.own
        if name and (_by_source(servers) or suits or (name in groups and group is None)):
            continue
        findings.append(
            Finding(
                "persistence_split",
                "warning",
                ", ".join(server.name for server in servers),
                "No persistency group by source address joins these virtual servers, so a client's UDP 500 and UDP 4500"
                " may reach different VPN servers.",
                "Put both into one persistency group (lbgroup) with the type SOURCEIP.",
            )
        )
    return findings


def node_findings(nodes: Sequence[Item], label: str) -> list[Finding]:
    """Report a node that does not accept changes, and a partner that has other gateways or does not get the change."""
    findings = []
    node = nodes[0] if nodes else {}
    state = node.get("state", "not shown")
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
    if node.get("inc") == "ENABLED":
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
    off = [name for name in ("haprop", "hasync") if node.get(name) == "DISABLED"]
    if off:
        findings.append(
            Finding(
                "unsynced_changes",
                "warning",
                label,
                "High-availability propagation is off (haProp), so the other node does not get changes that are made here:"
                " after a failover, it does what it did before."
                if "haprop" in off
                else "High-availability synchronization is off (haSync): a node that is down during a change does not get it afterwards.",
                f"Switch on {' and '.join(off)} on both nodes and synchronize them ('force ha sync'), or make the change on each node.",
            )
        )
    return findings


def node_not_asked(error: Exception, label: str) -> Finding:
    """Report that it is not known whether this node accepts changes."""
    return Finding(
        "not_active_unit",
        "blocker",
        label,
        f"{error} So it is not known whether this node takes changes.",
        "Allow the user to read it ('show ha node'), or accept 'not_active_unit' if this is the primary node.",
    )


def family_findings(
    services: Iterable[Service], carriers: Mapping[str, Carrier], listeners: Sequence[Listener]
) -> list[Finding]:
    """Report addresses that were not selected, have the same servers, and are of another IP version than these."""
    findings = {}
    selected = {service.address for service in services}
    for service in services:
        addresses = [
            address
            for item in listeners
            if item.carrier == carriers[service.id]
            for address in item.server.addresses
            if address not in selected
            and any((":" in address) != (":" in server.address) for server in service.servers)
        ]
        if addresses and not service.source_preserved:
            findings[service.id] = Finding(
                "unsupported_mode",
                "blocker",
                service.id,
                f"It also serves {', '.join(addresses)}, and its servers are of another IP version. With Use Client IP, no client"
                " could reach them there; the device refuses such a mixture (NITRO error 3894).",
                "Give these addresses servers of their own IP version.",
            )
    return [*findings.values()]


def policy_findings(
    services: Sequence[Service], carriers: Mapping[str, Carrier], listeners: Sequence[Listener], snips: Sequence[Snip]
) -> list[Finding]:
    """Report virtual servers whose listen policy chooses their clients, who may be next to the VPN servers.

    Those need the translation: the servers would answer them directly, past the device. Such a policy is not evaluated. A change is
    blocked where it names the servers' subnet, and does not negate anything.
    """
    findings = []
    for server in dict.fromkeys(item.server for item in chosen_listeners(services, carriers, listeners)):
        if not server.policy:
            continue
        bound = {item.carrier for item in listeners if item.server == server}
        mine = [service for service in services if carriers[service.id] in bound]
        inside = named_subnets(server, mine, snips)
        negated = "!" in server.policy or "NOT" in server.policy.upper()
        blocks = inside and not negated and not all(service.source_preserved for service in mine)
        findings.append(
            Finding(
                "client_in_server_subnet",
                "blocker" if blocks else "warning",
                server.name,
                f"This virtual server is for the clients that its listen policy chooses, {server.policy}, which is not evaluated."
                + (f" The policy names an address in the servers' subnet {', '.join(inside)}." if inside else "")
                + " With Use Client IP, the servers answer clients in their own subnet directly, past this device, and cut them off.",
                "If it is for such clients, leave it out: name the service groups of the others in 'services'.",
            )
        )
    return findings


def content_switching(found: Mapping[str, Sequence[str]]) -> list[str]:
    """Report which service groups or services are behind content switching virtual servers, by their names."""
    return [
        f"The address belongs to the content switching virtual server {name}, which has no service group of its own. "
        + (
            f"Name what it leads to in 'services': {', '.join(dict.fromkeys(carriers))}."
            if carriers
            else "Name the service groups behind it in 'services'."
        )
        for name, carriers in found.items()
    ]


def gateway_findings(services: Iterable[Service], snips: Sequence[Snip]) -> list[Finding]:
    """Report subnet addresses beside the VPN servers that cannot be their gateway, or only while one node of a cluster is up."""
    servers = {server.address for service in services for server in service.servers if not server.direct}
    findings = []
    for item in snips:
        near = {address for address in servers if item.is_near(address)}
        beside = [other for other in snips if not other.off and any(other.is_near(address) for address in near)]
        if near and item.off and not beside:
            findings.append(
                Finding(
                    "return_path_wrong",
                    "warning",
                    item.address,
                    "This subnet address (SNIP) is disabled or does not answer ARP, so it cannot be the VPN servers' gateway,"
                    " and there is no other in their subnet.",
                    "Enable it, or add another one.",
                )
            )
        elif near and not item.off and item.node is not None:
            shared = [other.address for other in beside if other.node is None]
            findings.append(
                Finding(
                    "gateway_not_shared",
                    "info" if shared else "warning",
                    item.address,
                    f"This subnet address (SNIP) belongs to node {item.node} of the cluster alone: while that node is down, it is gone.",
                    f"As the VPN servers' gateway, use {', '.join(shared)}, which every node answers for."
                    if shared
                    else "Add a subnet address that every node answers for (a striped SNIP), and make it the VPN servers' gateway.",
                )
            )
    return findings


def cluster_findings(addresses: Sequence[Item], instances: Sequence[Item], host: str, label: str) -> list[Finding]:
    """Report a node that was asked in place of its cluster, and a cluster that does not steer packets."""
    shared = [str(item.get("ipaddress")) for item in addresses if item.get("type") == "CLIP"]
    own = [item.get("ipaddress") for item in addresses if item.get("type") == "NSIP"]
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


def change_findings(warnings: Iterable[str], label: str) -> list[Finding]:
    """Report what the device said of the propagation of a change."""
    return [
        Finding(
            "unsynced_changes",
            "warning",
            label,
            f"The device took the change with a warning: {warning}",
            "Check that the other node has the change ('show ha node'), and synchronize the nodes.",
        )
        for warning in dict.fromkeys(warnings)
    ]
