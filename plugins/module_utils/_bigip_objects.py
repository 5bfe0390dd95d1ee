# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""F5 BIG-IP objects as iControl REST shows them: how they are read, and what is to be said about them. No input or output."""

from __future__ import annotations

import contextlib
import re
import typing as t
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import (
    ANY_PORT,
    Finding,
    Server,
    Service,
    Value,
    canonical_address,
)

Item: t.TypeAlias = "Mapping[str, t.Any]"

NONE = "none"
"""The type of source address translation that leaves the client's address alone."""

NAMED_PORTS = {"any": 0, "isakmp": 500, "ipsec-nat-t": 4500, "ipsec-msft": 4500}
"""How tmsh writes ports; REST is seen to give numbers, and both are read."""

NAMED_DESTINATION = re.compile(r"(/.+)[:.][\w-]+")
"""A destination that may have the name of a virtual address in place of an address."""

ANY_ADDRESS = {"any": "0.0.0.0", "any6": "::"}

VIRTUAL_SERVER = (
    "name,partition,fullPath,destination,ipProtocol,disabled,pool,sourceAddressTranslation,translateAddress,nat64,mirror,"
    "persist,rules,appService,securityNatPolicy,trafficMatchingCriteria"
)
"""The fields of a virtual server that matter here, for ``$select``."""

ATTACHED = "profilesReference,policiesReference"
"""What tells the attached LTM policies where subcollections are expanded; a profile, which each has, shows that they are."""

SNAT_IN_RULE = re.compile(r"(?<![\w-])snat(pool)?\s+(?!none\b)")
"""An iRule's commands ``snat`` and ``snatpool``, but for ``snat none``."""

COMMENT_IN_RULE = re.compile(r"(^|;)\s*#.*$", re.MULTILINE)
"""A comment of Tcl, which begins where a command could."""


@dataclass(frozen=True)
class Page:
    """A part of a collection: ``total``: how many objects there are, 0 where that was not told; ``following``: the next part's path."""

    items: Sequence[Item]
    total: int
    following: str


@dataclass(frozen=True)
class VirtualServer:
    """A UDP virtual server: the service, and what else about it matters.

    ``lists`` names what it takes addresses and ports from, where it has none of its own: it serves no address and any port then.
    ``policies``: the full paths of the attached LTM policies; None where the reading does not show them.
    """

    service: Service
    lists: str
    pool: str
    persistence: tuple[str, ...]
    rules: tuple[str, ...]
    application: str
    nat64: bool
    translates_destination: bool
    mirrored: bool
    nat_policy: bool
    policies: frozenset[str] | None

    @property
    def folder(self) -> tuple[str, str]:
        """Give partition and folder; the folder is empty for what stands in the partition itself."""
        partition, _slash, folder = self.service.id[1:].rpartition("/")[0].partition("/")
        return partition, folder

    @property
    def is_in_folder(self) -> bool:
        """Say whether this stands in a folder, as what AS3 declares does; an iApp's folder is its own matter."""
        return bool(self.folder[1]) and not self.application


@dataclass(frozen=True)
class Pool:
    """A pool. ``allows_snat`` off keeps the source address whatever the virtual server says."""

    members: tuple[tuple[str, int], ...]
    allows_snat: bool


@dataclass(frozen=True)
class SelfIp:
    """A self IP: ``network`` is its subnet, ``domain`` its route domain as written (empty for the default one)."""

    address: str
    network: netaddr.IPNetwork
    domain: str
    floating: bool
    traffic_group: str

    def is_near(self, address: str) -> bool:
        """Say whether ``address`` is in this self IP's subnet and route domain."""
        host, percent, domain = address.partition("%")
        return self.domain == percent + domain and netaddr.IPAddress(host) in self.network


def rest_name(full_path: str) -> str:
    """Write a full path as iControl REST names it: ``/Common/vs500`` -> ``~Common~vs500``."""
    return full_path.replace("/", "~")


def page(body: Item) -> Page:
    """Read a page of a collection."""
    following = urlsplit(str(body.get("nextLink", "")))  # on 'localhost', whatever the device is called
    return Page(
        [dict(item) for item in body.get("items", [])],
        int(body.get("totalItems", 0)),
        f"{following.path}?{following.query}" if following.query else "",
    )


class ForeignPort(ValueError):
    """A port that goes by a name which none of IKE's has, such as ``domain``."""


def parse_destination(destination: str, addresses: Mapping[str, str] | None = None) -> tuple[str, int]:
    """Split a virtual server's destination into canonical address and port (0 for any port).

    ``/Common/1.1.1.1%2:80``, and for IPv6 a dot before the port: ``/Common/2001:db8::6%2.80``. In place of the address there may be
    the full path of a virtual address with a name of its own; ``addresses`` are theirs.

    :raises ForeignPort: where the port has a name that is not known.
    :raises ValueError: where it is no destination otherwise.
    """
    text = destination.rpartition("/")[2]
    # IPv4 has one colon, before the port; IPv6 has several and a dot there. A name such as 'any6' may stand for the address.
    address, port = _split_port(text, "." if text.count(":") > 1 or text.startswith("any6") else ":")
    named = (addresses or {}).get(f"{destination.rpartition('/')[0]}/{address}")
    return named or _address(address), port


def names_an_address(item: Item) -> bool:
    """Say whether a UDP virtual server's destination has the name of a virtual address in place of an address."""
    if item.get("ipProtocol") != "udp" or item.get("trafficMatchingCriteria", NONE) != NONE:
        return False
    destination = str(item.get("destination"))
    try:
        parse_destination(destination)
    except ForeignPort:
        return False
    except ValueError:
        return NAMED_DESTINATION.fullmatch(destination) is not None
    return False


def virtual_servers(items: Iterable[Item], addresses: Mapping[str, str]) -> list[VirtualServer]:
    """Read the UDP virtual servers, but for those on a port that is none of IKE's by its name.

    ``addresses``: those of virtual addresses, by full path.
    """
    found = []
    for item in items:
        if item.get("ipProtocol") == "udp":
            with contextlib.suppress(ForeignPort):
                found.append(_virtual_server(item, addresses))
    return found


def _virtual_server(item: Item, addresses: Mapping[str, str]) -> VirtualServer:
    translation = item["sourceAddressTranslation"]
    kind, pool = str(translation["type"]), str(translation.get("pool", NONE))
    value: Value = kind if pool in ("", NONE) else {"type": kind, "pool": pool}
    criteria = str(item.get("trafficMatchingCriteria", NONE))
    lists = "" if criteria == NONE else criteria
    address, port = "", ANY_PORT
    if not lists:
        try:
            address, port = parse_destination(str(item["destination"]), addresses)
        except ForeignPort:
            raise
        except ValueError:
            if not names_an_address(item):
                raise
            lists = str(item["destination"])  # a name that no virtual address has is as good as a list
    service = Service(
        id=str(item["fullPath"]),
        address=address,
        port=port,
        value=value,
        source_preserved=kind == NONE,
        enabled=not item.get("disabled", False),
        names=(str(item["name"]),),
    )
    return VirtualServer(
        service,
        lists=lists,
        pool=str(item.get("pool", "")),
        persistence=tuple(_full_path(profile) for profile in item.get("persist", [])),
        rules=tuple(str(rule) for rule in item.get("rules", [])),
        application=str(item.get("appService", "")),
        nat64=item.get("nat64") == "enabled",
        translates_destination=item.get("translateAddress", "enabled") == "enabled",
        mirrored=item.get("mirror") == "enabled",
        # Shown with both flags at "no" where there is none.
        nat_policy=any(
            value not in ("no", NONE, "")
            for key, value in item.get("securityNatPolicy", {}).items()
            if "Reference" not in key
        ),
        policies=(
            frozenset(full_paths(item.get("policiesReference", {})))
            if full_paths(item.get("profilesReference", {}))
            else None
        ),
    )


def _full_path(reference: Item) -> str:
    parts = (reference["partition"], reference.get("subPath"), reference["name"])
    return "".join(f"/{part}" for part in parts if part)


def pools(body: Item, wanted: Container[str]) -> dict[str, Pool]:
    """Read the pools that are wanted with their members (``expandSubcollections``), by full path.

    A member by domain name has no address; those that it resolves to are members of their own.
    """
    return {
        str(pool["fullPath"]): Pool(
            tuple(
                # A member's name may be its node's, so the address is its own field; the port stands only in the name.
                (canonical_address(member["address"]), _member_port(str(member["name"])))
                for member in pool.get("membersReference", {}).get("items", [])
                if member["address"] not in ANY_ADDRESS
            ),
            pool.get("allowSnat", "yes") == "yes",
        )
        for pool in body.get("items", [])
        if pool["fullPath"] in wanted
    }


def self_ips(body: Item) -> list[SelfIp]:
    """Read self IPs."""
    return [_self_ip(item) for item in body.get("items", [])]


def _self_ip(item: Item) -> SelfIp:
    address, _dummy, length = str(item["address"]).partition("/")
    host, percent, domain = address.partition("%")
    network = netaddr.IPNetwork(f"{host}/{length}")
    return SelfIp(
        canonical_address(address), network, percent + domain, item["floating"] == "enabled", str(item["trafficGroup"])
    )


def devices(body: Item) -> list[Item]:
    """Read the devices of the trust domain."""
    return [dict(item) for item in body.get("items", [])]


def addresses(body: Item) -> dict[str, str]:
    """Read the addresses of virtual addresses, by full path."""
    return {str(item["fullPath"]): _address(str(item["address"])) for item in body.get("items", [])}


def traffic_groups(body: Item) -> dict[str, str]:
    """Read the traffic groups of virtual addresses."""
    return {_address(str(item["address"])): str(item["trafficGroup"]) for item in body.get("items", [])}


def match_across_services(body: Item) -> dict[str, bool]:
    """Read source address persistence profiles: which of them match across services, by full path."""
    return {str(item["fullPath"]): item["matchAcrossServices"] == "enabled" for item in body.get("items", [])}


def full_paths(body: Item) -> set[str]:
    """Read the full paths of a collection's objects."""
    return {str(item["fullPath"]) for item in body.get("items", [])}


def translating_policies(body: Item) -> set[str]:
    """Read LTM policies down to their actions (``expandSubcollections``): the full paths of those that translate the source."""
    return {
        str(policy["fullPath"])
        for policy in body.get("items", [])
        for rule in policy.get("rulesReference", {}).get("items", [])
        for action in rule.get("actionsReference", {}).get("items", [])
        if _translates(action)
    }


def _translates(action: Item) -> bool:
    # Public clients have 'snat' and 'snatpool' with a word or a name; flags such as 'snatAutomap' are read as well.
    return any(
        key.lower().startswith("snat") and key != "snatNone" and value not in (None, False, "", NONE)
        for key, value in action.items()
    )


def member_addresses(server: VirtualServer, known: Mapping[str, Pool]) -> set[str]:
    """Give the addresses of the servers behind a virtual server."""
    pool = known.get(server.pool)
    return {address for address, _port in pool.members} if pool else set()


def server_networks(servers: Iterable[VirtualServer], known: Mapping[str, Pool], own: Sequence[SelfIp]) -> list[SelfIp]:
    """Choose the self IPs in whose subnets the servers are."""
    members = {address for server in servers for address in member_addresses(server, known)}
    return [item for item in own if any(item.is_near(address) for address in members)]


def choosing(servers: Sequence[VirtualServer], known: Mapping[str, Pool]) -> list[list[VirtualServer]]:
    """Group the virtual servers by address; only those between whose servers a client's two ports could be split."""
    groups = [
        [server for server in servers if server.service.address == address]
        for address in dict.fromkeys(server.service.address for server in servers)
    ]
    return [
        group
        for group in groups
        if (len(group) > 1 or group[0].service.port == ANY_PORT)
        and len(set().union(*(member_addresses(server, known) for server in group))) > 1
    ]


def shared_persistence(group: Iterable[VirtualServer]) -> tuple[str, ...]:
    """Give the persistence profiles that all of these have; empty where they have none or differ."""
    profiles = {server.persistence for server in group}
    return next(iter(profiles)) if len(profiles) == 1 else ()


def sync_status(body: Item) -> str:
    """Read the one status that all device groups come to."""
    (entry,) = body["entries"].values()
    return str(entry["nestedStats"]["entries"]["status"]["description"])


def declared(body: Item) -> set[tuple[str, str]]:
    """Read which tenants and applications an AS3 declaration holds."""
    tenants = body.get("declaration", body)
    return {
        (name, application)
        for name, tenant in tenants.items()
        if isinstance(tenant, dict)
        for application, content in tenant.items()
        if isinstance(content, dict)
    }


def with_servers(
    server: VirtualServer, known: Mapping[str, Pool], own: Sequence[SelfIp], traffic_group: str | None
) -> Service:
    """Give the service with its servers; ``traffic_group`` None is a device without a partner."""
    pool = known.get(server.pool)
    return replace(
        server.service,
        servers=tuple(
            Server(address, port or server.service.port, gateways(address, own, traffic_group))
            for address, port in (pool.members if pool else ())
        ),
    )


def gateways(server: str, own: Sequence[SelfIp], traffic_group: str | None) -> tuple[str, ...]:
    """Choose the self IPs that may be a server's default gateway.

    That is the floating one in its subnet which moves to the other unit together with the virtual address, by its
    traffic group. A device without a partner (None) may have none that floats, and any self IP serves there.
    """
    near = [item for item in own if item.is_near(server)]
    floating = [item.address for item in near if item.floating and traffic_group in (None, item.traffic_group)]
    return tuple(floating or ([item.address for item in near] if traffic_group is None else []))


# Findings


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
    # selfDevice is the string "true".
    mine: Item = next((device for device in devices if str(device.get("selfDevice")).lower() == "true"), {})
    state = str(mine.get("failoverState", "unknown"))
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


def subnet_findings(services: Iterable[Service], own: Sequence[SelfIp]) -> list[Finding]:
    """Tell virtual addresses in a server's own subnet: clients there would be answered directly."""
    findings: dict[str, Finding] = {}
    for service in services:
        for item in own:
            if (
                service.address
                and item.is_near(service.address)
                and any(item.is_near(server.address) for server in service.servers)
            ):
                findings[service.address] = Finding(
                    "client_in_server_subnet",
                    "warning",
                    service.address,
                    f"The virtual address is in the servers' own subnet {item.network.cidr}."
                    " A client in that subnet would be answered directly, past this device, and could not connect.",
                    "Let no client of the VPN be in that subnet.",
                )
    return list(findings.values())


def _address(text: str) -> str:
    host, percent, domain = text.partition("%")
    return canonical_address(ANY_ADDRESS.get(host, host) + percent + domain)


def _split_port(text: str, separator: str) -> tuple[str, int]:
    address, _dummy, port = text.rpartition(separator)
    if address and port not in NAMED_PORTS and re.fullmatch(r"[a-z][a-z0-9-]*", port):
        raise ForeignPort(f"the port {port!r} is not known")
    return address, NAMED_PORTS[port] if port in NAMED_PORTS else int(port)


def _member_port(name: str) -> int:
    return _split_port(name, "." if name.count(":") > 1 else ":")[1]
