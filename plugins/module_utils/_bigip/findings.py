# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is worth knowing about a BIG-IP and its virtual servers. No input or output."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.objects import (
    Item,
    Pool,
    SelfIp,
    VirtualServer,
    own_device,
    shared_persistence,
)
from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Finding

SNAT_IN_RULE = re.compile(r"(?<![\w-])snat(pool)?\s+(?!none\b)")
"""An iRule's commands ``snat`` and ``snatpool``, but for ``snat none``."""

COMMENT_IN_RULE = re.compile(r"(^|;)\s*#.*$", re.MULTILINE)
"""A comment of Tcl, which begins where a command could."""


def list_findings(servers: Iterable[VirtualServer], *, chosen: bool) -> list[Finding]:
    """Tell virtual servers that take addresses and ports from lists: those ``chosen`` are not to be changed."""
    return [
        Finding(
            "unsupported_mode",
            "blocker" if chosen else "warning",
            server.service.id,
            f"This virtual server takes addresses and ports from lists ({server.lists}), which are not looked at.",
            "If it serves IKEv2, set its Source Address Translation by hand, or give UDP 500 and 4500 virtual servers of their own.",
        )
        for server in servers
        if server.lists
    ]


def virtual_server_findings(server: VirtualServer) -> list[Finding]:
    """Tell what a virtual server's own properties say."""
    name, findings = server.service.id, list_findings([server], chosen=True)
    if not server.translates_destination:
        findings.append(
            Finding(
                "unsupported_mode",
                "blocker",
                name,
                "Address translation is disabled (nPath routing), so the servers answer clients directly.",
                "This is another design, in which the source is not translated for the VPN; leave it as it is.",
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
                "Take it off this virtual server if the VPN servers are to see their clients.",
            )
        )
    if server.mirrored:
        findings.append(
            Finding(
                "connection_mirroring",
                "info",
                name,
                "Connections are mirrored, so flows that exist stay translated on the standby unit, too.",
                "Expect them to go on as they are until they have been idle.",
            )
        )
    return findings


def standby_findings(devices: Sequence[Item], label: str) -> list[Finding]:
    """Tell that this unit is not the active one."""
    state = str(own_device(devices).get("failoverState", "unknown"))
    if state == "active":
        return []
    active = [str(device.get("name")) for device in devices if device.get("failoverState") == "active"]
    return [
        Finding(
            "not_active_unit",
            "blocker",
            label,
            f"This unit's failover state is {state}; the active unit is {', '.join(active) or 'none that is known'}.",
            "Make the change on the active unit, and sync from there.",
        )
    ]


def sync_findings(status: str, label: str, *, syncing: bool) -> list[Finding]:
    """Tell changes that are pending; to sync would push them, whoever made them."""
    if status in ("In Sync", "Standalone"):
        return []
    return [
        Finding(
            "unsynced_changes",
            "blocker" if syncing else "warning",
            label,
            f"The device group's sync status is {status!r}"
            + (", and a sync would push those changes as well." if syncing else "."),
            "Find out whose changes they are, and sync or discard them first.",
        )
    ]


def pool_findings(server: VirtualServer, known: Mapping[str, Pool]) -> list[Finding]:
    """Tell a pool that keeps the source address by itself."""
    pool = known.get(server.pool)
    if pool is None or pool.allows_snat:
        return []
    return [
        Finding(
            "hidden_translation",
            "info",
            server.service.id,
            f"The pool {server.pool} does not allow SNAT, so the clients' addresses are kept already.",
            "Look for another cause as well, if the VPN servers do not see their clients.",
        )
    ]


def rule_findings(server: VirtualServer, texts: Mapping[str, str]) -> list[Finding]:
    """Tell attached iRules that translate."""
    return [
        Finding(
            "hidden_translation",
            "warning",
            server.service.id,
            f"The attached iRule {name} has the command snat or snatpool, which may translate the clients' addresses.",
            "Read the iRule; take the command out, or the iRule off this virtual server.",
        )
        for name in server.rules
        if SNAT_IN_RULE.search(COMMENT_IN_RULE.sub("", texts.get(name, "")))
    ]


def policy_findings(server: VirtualServer, translating: Iterable[str]) -> list[Finding]:
    """Tell attached LTM policies that translate."""
    return [
        Finding(
            "hidden_translation",
            "warning",
            server.service.id,
            f"The attached LTM policy {name} has an action with SNAT, which may translate the clients' addresses.",
            "Read the policy; take the action out, or the policy off this virtual server.",
        )
        for name in sorted(translating)
    ]


def unread_policies(label: str, reason: str) -> Finding:
    """Tell that nobody knows whether attached LTM policies translate."""
    return Finding(
        "hidden_translation",
        "warning",
        label,
        f"Whether an attached LTM policy translates the clients' addresses could not be read: {reason}",
        "Look again with state 'gathered'.",
    )


def snat_findings(body: Item, near: Sequence[SelfIp], label: str) -> list[Finding]:
    """Tell global SNAT objects that translate others than the servers' own subnets, which those ``near`` them have."""
    findings = []
    for item in body.get("items", []):
        origins = [str(origin["name"]) for origin in item.get("origins", [])]
        if all(_is_inside(origin, near) for origin in origins):
            continue
        where = f" on {', '.join(map(str, item['vlans']))}" if item.get("vlans") and item.get("vlansEnabled") else ""
        findings.append(
            Finding(
                "hidden_translation",
                "warning",
                str(item["fullPath"]),
                f"This global SNAT translates packets from {', '.join(origins)}{where}, also where the virtual server does not.",
                f"Narrow its origins to the servers' own subnets, or its VLANs; {label} would go on hiding clients otherwise.",
            )
        )
    return findings


def _is_inside(origin: str, near: Sequence[SelfIp]) -> bool:
    """Say whether an origin is a subnet of the servers, for what they send outward."""
    host, slash, length = origin.partition("/")
    address, percent, domain = host.partition("%")
    network = netaddr.IPNetwork(address + slash + length)
    return network.prefixlen > 0 and any(item.domain == percent + domain and network in item.network for item in near)


def owner_findings(
    server: VirtualServer, strict: Mapping[str, bool], declared: set[tuple[str, str]] | None
) -> list[Finding]:
    """Tell what owns a virtual server and would undo a change; ``declared`` None is what could not be asked for."""
    name, (tenant, application) = server.service.id, server.folder
    if server.application:
        updates = "on" if strict[server.application] else "off"
        return [
            Finding(
                "managed_elsewhere",
                "blocker" if strict[server.application] else "warning",
                name,
                f"This virtual server belongs to the application service {server.application} (strict updates are {updates}).",
                "Set SNAT in the iApp's own form; the next reconfiguration would undo the change otherwise.",
            )
        ]
    if server.is_in_folder and declared is None:
        return [
            Finding(
                "managed_elsewhere",
                "blocker",
                name,
                f"This virtual server is in a folder, and this user may not ask AS3 whether it owns {tenant}/{application}.",
                "Look at the declaration, which would undo the change if it holds this virtual server; if it does not, accept this.",
            )
        ]
    if server.is_in_folder and (tenant, application) in (declared or ()):
        return [
            Finding(
                "managed_elsewhere",
                "blocker",
                name,
                f"An AS3 declaration owns this virtual server (tenant {tenant}, application {application}), and would undo the change.",
                'Set "snat": "none" at the service in the declaration, and post that.',
            )
        ]
    return []


def persistence_findings(groups: Iterable[Sequence[VirtualServer]], across: Mapping[str, bool]) -> list[Finding]:
    """Tell virtual servers of one address whose persistence does not hold a client's two ports together.

    ``across``: which persistence profiles match across services.
    """
    findings = []
    for group in groups:
        shared = shared_persistence(group)
        if shared and (len(group) == 1 or all(across.get(name, False) for name in shared)):
            continue  # one virtual server for both ports needs no more than some persistence
        reason = (
            f"These virtual servers share {', '.join(shared)}, which does not match across services"
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
