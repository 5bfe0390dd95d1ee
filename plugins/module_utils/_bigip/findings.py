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
    if not server.translates_destination:
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


def standby_findings(devices: Sequence[Item], label: str) -> list[Finding]:
    """Report that this unit is not the active one."""
    state = str(own_device(devices).get("failoverState", "unknown"))
    if state == "active":
        return []
    active = [str(device.get("name")) for device in devices if device.get("failoverState") == "active"]
    return [
        Finding(
            "not_active_unit",
            "blocker",
            label,
            f"This unit's failover state is {state}; the active unit is {', '.join(active) or 'not known'}.",
            "Make the change on the active unit, and sync from there.",
        )
    ]


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


def pool_findings(server: VirtualServer, known: Mapping[str, Pool]) -> list[Finding]:
    """Report a pool that keeps the source address whatever the virtual server says."""
    pool = known.get(server.pool)
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
        if SNAT_IN_RULE.search(COMMENT_IN_RULE.sub("", texts.get(name, "")))
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


def snat_findings(body: Item, near: Sequence[SelfIp], label: str) -> list[Finding]:
    """Report global SNAT objects whose origins go beyond the servers' own subnets. ``near``: the self IPs there."""
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
                f"This global SNAT translates packets from {', '.join(origins)}{where}, even where the virtual server does not.",
                f"Narrow its origins to the servers' own subnets, or limit its VLANs. Otherwise {label} keeps hiding clients.",
            )
        )
    return findings


def _is_inside(origin: str, near: Sequence[SelfIp]) -> bool:
    """Report whether an origin is within a subnet of the servers, for their own outbound traffic."""
    host, slash, length = origin.partition("/")
    address, percent, domain = host.partition("%")
    network = netaddr.IPNetwork(address + slash + length)
    return network.prefixlen > 0 and any(item.domain == percent + domain and network in item.network for item in near)


def owner_findings(
    server: VirtualServer, strict: Mapping[str, bool], declared: set[tuple[str, str]] | None
) -> list[Finding]:
    """Report what owns a virtual server and would undo a change. ``declared`` is None where AS3 could not be asked."""
    name, (tenant, application) = server.service.id, server.folder
    if server.application:
        updates = "on" if strict[server.application] else "off"
        return [
            Finding(
                "managed_elsewhere",
                "blocker" if strict[server.application] else "warning",
                name,
                f"This virtual server belongs to the application service {server.application} (strict updates are {updates}).",
                "Set SNAT in the iApp's own form. Otherwise the next reconfiguration undoes the change.",
            )
        ]
    if server.is_in_folder and declared is None:
        return [
            Finding(
                "managed_elsewhere",
                "blocker",
                name,
                f"This virtual server is in a folder, and this user may not ask AS3 whether it owns {tenant}/{application}.",
                "Check the declaration. If it holds this virtual server, it would undo the change; if not, accept 'managed_elsewhere'.",
            )
        ]
    if server.is_in_folder and (tenant, application) in (declared or ()):
        return [
            Finding(
                "managed_elsewhere",
                "blocker",
                name,
                f"An AS3 declaration owns this virtual server (tenant {tenant}, application {application}), and would undo the change.",
                'Set "snat": "none" for the service in the declaration, and post it.',
            )
        ]
    return []


def persistence_findings(groups: Iterable[Sequence[VirtualServer]], across: Mapping[str, bool]) -> list[Finding]:
    """Report virtual servers of one address whose persistence does not keep a client's two ports on one server.

    ``across``: which persistence profiles match across services.
    """
    findings = []
    for group in groups:
        shared = shared_persistence(group)
        if shared and (len(group) == 1 or all(across.get(name, False) for name in shared)):
            continue  # one virtual server for both ports only needs persistence as such
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
