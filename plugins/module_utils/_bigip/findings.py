# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is worth knowing about a BIG-IP and its virtual servers. No input or output."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.joins import (
    Surroundings,
    accepting,
    forwards_everything,
    is_for_others,
    served_neighbours,
    shared_persistence,
)
from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.objects import Forwarder, VirtualServer, network
from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.surroundings import SelfIp, Snat, Units, device_name
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import DeviceError, Finding, Service, Severity

SNAT_IN_RULE = re.compile(r"(^|[;{\[])\s*snat(pool)?\s+(?!none\b)", re.MULTILINE)
"""An iRule's commands ``snat`` and ``snatpool``, but for ``snat none``, where a command can begin."""

TEXT_IN_RULE = re.compile(r'(^|;)\s*#[^\n]*|"(\\.|[^"\\])*"', re.MULTILINE | re.DOTALL)
"""A comment of Tcl, which begins where a command could, or a quoted string."""


def list_findings(servers: Iterable[VirtualServer], *, chosen: bool) -> list[Finding]:
    """Report virtual servers that take addresses and ports from lists. Those ``chosen`` must not be changed."""
    return [
        Finding(
            "unsupported_mode",
            "blocker" if chosen else "warning",
            server.service.id,
            f"This virtual server takes its addresses and ports from lists ({server.lists}), which are not read.",
            "If it serves IKEv2, set its Source Address Translation by hand, or create separate virtual servers for UDP 500 and 4500.",
        )
        for server in servers
        if server.lists
    ]


def virtual_server_findings(server: VirtualServer) -> list[Finding]:
    """Report what a virtual server's own properties say."""
    name, findings = server.service.id, list_findings([server], chosen=True)
    if server.service.forwards:
        findings.append(
            Finding(
                "unsupported_mode",
                "blocker",
                name,
                f"This is a forwarding virtual server for {server.service.address or server.lists}: it has no pool, and forwards"
                " packets to whatever they are addressed to.",
                "Its Source Address Translation hides all that it forwards. If clients reach VPN servers through it, set that to None"
                " by hand, or create virtual servers for UDP 500 and 4500.",
            )
        )
    elif not server.translates_destination:
        findings.append(
            Finding(
                "unsupported_mode",
                "blocker",
                name,
                "Address translation is disabled (nPath routing), so the servers reply to clients directly.",
                "In this design the source is not translated for the VPN. Leave it as it is.",
            )
        )
    if server.nat64 or server.nat_policy:
        what = "NAT64 translates" if server.nat64 else "A network address translation policy may translate"
        findings.append(
            Finding(
                "hidden_translation",
                "warning",
                name,
                f"{what} the clients' addresses, whatever Source Address Translation says.",
                "Remove it from this virtual server, so that the VPN servers see their clients.",
            )
        )
    if server.mirrored:
        findings.append(
            Finding(
                "connection_mirroring",
                "info",
                name,
                "Connections are mirrored, so existing flows stay translated on the standby unit, too.",
                "No action needed: they keep their translation until they have been idle.",
            )
        )
    return findings


def domain_findings(partitions: Iterable[str]) -> list[Finding]:
    """Report partitions whose default route domain the device does not show, on which the servers' gateways depend."""
    return [
        Finding(
            "return_path_unverified",
            "blocker",
            f"/{partition}",
            "The default route domain of this partition is not known. If it is not 0, its servers need a gateway other than those named here.",
            "Check the partition, and the servers' gateways. Accept 'return_path_unverified' if they are right.",
        )
        for partition in sorted(partitions)
    ]


def standby_findings(units: Units, label: str) -> list[Finding]:
    """Report that this unit is not the active one."""
    state = str(units.own.get("failoverState", "unknown"))
    if state == "active":
        return []
    return [
        Finding(
            "not_active_unit",
            "blocker",
            label,
            f"This unit's failover state is {state}; the active unit is {', '.join(units.active) or 'not known'}.",
            "Make the change on the active unit, and sync from there.",
        )
    ]


def traffic_group_findings(
    servers: Iterable[VirtualServer], around: Surroundings, active: Mapping[str, set[str]]
) -> list[Finding]:
    """Report virtual servers whose address is active on another unit, or may be. ``active``: where each traffic group is."""
    own = device_name(around.units.own)
    findings = []
    for server in servers:
        group = around.traffic_group(server)
        where = active.get(group.rpartition("/")[2], set())
        if own not in where:
            findings.append(
                Finding(
                    "not_active_unit",
                    "blocker",
                    server.service.id,
                    f"Both units are active. The traffic group of this virtual server's address, {group or 'not known'}, is active on "
                    + (f"{', '.join(sorted(where))}." if where else "a unit that could not be read."),
                    "Make the change on the unit where the address is active.",
                )
            )
    return findings


def sync_findings(status: str, label: str, *, syncing: bool) -> list[Finding]:
    """Report pending changes. A sync would push them, whoever made them."""
    if status in ("In Sync", "Standalone"):
        return []
    return [
        Finding(
            "unsynced_changes",
            "blocker" if syncing else "warning",
            label,
            f"The device group's sync status is {status!r}"
            + (", and a sync would push those changes as well." if syncing else "."),
            "Find out who made them, and sync or discard them first.",
        )
    ]


def left_behind(units: Units, label: str, *, changed: bool) -> list[Finding]:
    """Report a change that the other unit does not take over by itself. ``changed``: it has been made already."""
    if not units.group or units.follows:
        return []
    names = ", ".join(units.others)
    return [
        Finding(
            "unsynced_changes",
            "warning",
            label,
            f"The device group {units.group} does not sync automatically, so {names} "
            + ("does" if changed else "will")
            + " not have the change. After a failover, clients are hidden again.",
            f"Sync the group to {names}."
            if changed
            else "Give the group as 'sync_group', or sync it after the change.",
        )
    ]


def not_read(what: str, label: str, reason: DeviceError) -> list[Finding]:
    """Report something that could not be asked for, and that no change depends on."""
    return [
        Finding(
            "not_read",
            "warning",
            label,
            f"What follows from {what} is not known, because that could not be read: {reason}",
            "Read it again with state 'gathered', or check it by hand.",
        )
    ]


def forwarding_findings(
    services: Iterable[Service],
    forwarders: Sequence[Forwarder],
    around: Surroundings | None,
    label: str,
    partition: str | None,
) -> list[Finding]:
    """Report that the device does not forward what the VPN servers send by themselves.

    The list of virtual servers may show that nothing is forwarded at all; whether the servers' packets are accepted is known
    only when their subnets are, from ``around``. ``partition``: the only one that was read.
    """
    versions = {int(network(service.address).version) for service in services if service.address} or {4}
    lost: dict[str, list[Forwarder]] = {}
    if not any(forwards_everything(forwarders, version) for version in versions):
        if around is None:
            lost["the VPN servers"] = [item for item in forwarders if int(item.network.version) in versions]
    elif around is not None:
        for item in around.own:
            accepted = accepting(forwarders, item, around)
            if around.behind(item) and not forwards_everything(accepted, int(item.network.version)):
                on = f", VLAN {item.vlan}" if item.vlan else ""
                lost[f"the VPN servers in {item.network.cidr}{item.domain}{on}"] = accepted
    return [
        Finding(
            "forwarding_mode",
            "warning" if partition is None else "info",
            label,
            (
                f"Only a part of what {whom} send by themselves is forwarded, by {', '.join(item.id for item in partly)}."
                if partly
                else f"No enabled forwarding virtual server accepts what {whom} send by themselves."
            )
            + ("" if partition is None else f" Only the partition {partition} was read; another may have one.")
            + " With this device as their default gateway, that is lost: revocation lists, RADIUS, domain controllers, and what clients"
            " send through the VPN.",
            "Create a forwarding virtual server (IP) for all addresses, ports and protocols, enabled on the servers' VLAN.",
        )
        for whom, partly in lost.items()
    ]


def source_findings(server: VirtualServer, around: Surroundings) -> list[Finding]:
    """Report a virtual server for clients next to its own servers, which the translation brings the replies back for."""
    subnet = served_neighbours(server, around)
    if not subnet:
        return []
    return [
        Finding(
            "client_in_server_subnet",
            "warning" if server.service.source_preserved else "blocker",
            server.service.id,
            f"This virtual server is for clients in {server.source}, and its servers are in {subnet}. Without translation of the"
            " source, the servers answer clients there directly, past this device, and cut them off.",
            "Leave it out: name the virtual servers for other clients in 'services'.",
        )
    ]


def needed_pool_findings(services: Iterable[Service]) -> list[Finding]:
    """Report the pools that nothing may refer to any more after a change, and that a rollback needs."""
    users: dict[str, dict[str, None]] = {}
    for service in services:
        if isinstance(service.value, dict) and not service.source_preserved:
            users.setdefault(service.value["pool"], {})[service.id] = None
    return [
        Finding(
            "snat_pool_needed",
            "info",
            pool,
            f"{', '.join(names)} translate{'s' if len(names) == 1 else ''} with this pool, which a change takes off. A rollback needs it.",
            "Do not delete this pool as long as you may want to roll back.",
        )
        for pool, names in users.items()
    ]


def pool_findings(server: VirtualServer, around: Surroundings) -> list[Finding]:
    """Report a pool that keeps the source address whatever the virtual server says."""
    pool = around.pools.get(server.pool)
    if pool is None or pool.allows_snat:
        return []
    return [
        Finding(
            "hidden_translation",
            "info",
            server.service.id,
            f"The pool {server.pool} does not allow SNAT, so the clients' addresses are kept already.",
            "If the VPN servers still do not see their clients, look for another cause.",
        )
    ]


def rule_findings(server: VirtualServer, texts: Mapping[str, str]) -> list[Finding]:
    """Report attached iRules that translate."""
    return [
        Finding(
            "hidden_translation",
            "warning",
            server.service.id,
            f"The attached iRule {name} has the command snat or snatpool, which may translate the clients' addresses.",
            "Read the iRule. Remove the command, or detach the iRule from this virtual server.",
        )
        for name in server.rules
        if SNAT_IN_RULE.search(TEXT_IN_RULE.sub("", texts.get(name, "")))
    ]


def policy_findings(server: VirtualServer, translating: Iterable[str]) -> list[Finding]:
    """Report attached LTM policies that translate."""
    return [
        Finding(
            "hidden_translation",
            "warning",
            server.service.id,
            f"The attached LTM policy {name} has an action with SNAT, which may translate the clients' addresses.",
            "Read the policy. Remove the action, or detach the policy from this virtual server.",
        )
        for name in sorted(translating)
    ]


def unread_policies(label: str, reason: str) -> Finding:
    """Report that it is not known whether attached LTM policies translate."""
    return Finding(
        "hidden_translation",
        "warning",
        label,
        f"Whether an attached LTM policy translates the clients' addresses could not be read: {reason}",
        "Read it again with state 'gathered'.",
    )


def snat_findings(snats: Iterable[Snat], near: Sequence[SelfIp], label: str) -> list[Finding]:
    """Report global SNAT objects whose origins go beyond the servers' own subnets. ``near``: the self IPs there."""
    return [
        Finding(
            "hidden_translation",
            "warning",
            snat.name,
            f"This global SNAT translates packets from {', '.join(snat.shown)}{f' on {snat.vlans}' if snat.vlans else ''},"
            " even where the virtual server does not.",
            f"Narrow its origins to the servers' own subnets, or limit its VLANs. Otherwise {label} keeps hiding clients.",
        )
        for snat in snats
        if is_for_others(snat, near)
    ]


def owner_findings(
    server: VirtualServer, strict: Mapping[str, bool | None], declared: set[tuple[str, str]] | str
) -> list[Finding]:
    """Report what owns a virtual server and would undo a change.

    ``strict``: whether application services have strict updates on, None where that could not be read. ``declared`` is the reason
    where AS3 could not be asked.
    """
    (tenant, application), updates = server.folder, strict.get(server.application)
    if server.application:
        severity: Severity = "warning" if updates is False else "blocker"
        known = "cannot be read" if updates is None else "are on" if updates else "are off"
        message = (
            f"This virtual server belongs to the application service {server.application} (strict updates {known})."
        )
        remedy = "Set SNAT in the iApp's own form. Otherwise the next reconfiguration undoes the change."
    elif server.is_in_folder and isinstance(declared, str):
        severity = "blocker"
        message = f"This virtual server is in a folder, and whether AS3 owns {tenant}/{application} could not be read: {declared}"
        remedy = "Check the declaration. If it holds this virtual server, it would undo the change; if not, accept 'managed_elsewhere'."
    elif server.is_in_folder and (tenant, application) in declared:
        severity = "blocker"
        message = f"An AS3 declaration owns this virtual server (tenant {tenant}, application {application}), and would undo the change."
        remedy = 'Set "snat": "none" for the service in the declaration, and post it.'
    else:
        return []
    return [Finding("managed_elsewhere", severity, server.service.id, message, remedy)]


def persistence_findings(groups: Iterable[Sequence[VirtualServer]], across: Mapping[str, bool]) -> list[Finding]:
    """Report virtual servers of one address whose persistence does not keep a client's two ports on one server.

    ``across``: the source address persistence profiles, and which of them match across services.
    """
    findings = []
    for group in groups:
        shared = shared_persistence(group)
        # One virtual server for both ports only needs persistence as such.
        if shared and (len(group) == 1 or all(across.get(name, False) for name in shared)):
            continue
        others = [name for name in shared if name not in across]
        reason = (
            f"These virtual servers share {', '.join(others)}, which is no source address persistence"
            if others
            else f"These virtual servers share {', '.join(shared)}, which does not match across services"
            if shared
            else "These virtual servers have different persistence profiles"
            if any(server.persistence for server in group)
            else "There is no persistence"
        )
        findings.append(
            Finding(
                "persistence_split",
                "warning",
                ", ".join(server.service.id for server in group),
                f"{reason}, so a client's UDP 500 and UDP 4500 may reach different VPN servers.",
                "Give both the same source address persistence profile with Match Across Services.",
            )
        )
    return findings
