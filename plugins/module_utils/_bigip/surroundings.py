# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The objects around a BIG-IP's virtual servers, as iControl REST shows them, and how they are read. No input or output."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.objects import (
    NONE,
    Domains,
    ForeignPort,
    Item,
    as_list,
    as_text,
    collection,
    each,
    located,
    network,
    none_or,
    partition_of,
    split_port,
)
from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import ANY_PORT, Unread, canonical_address
from ansible_collections.aovpn.ikev2.plugins.module_utils._network import OwnAddress

SYNC_ONLY = "sync-only"
"""The type of a device group whose members share policies or settings, and do not take over from each other."""


@dataclass(frozen=True)
class Member:
    """A pool member. ``enabled``: no administrator took it out of service; ``up``: no monitor did."""

    address: str
    port: int
    enabled: bool
    up: bool


@dataclass(frozen=True)
class Pool:
    """A pool. ``allows_snat`` off keeps the source address whatever the virtual server says."""

    members: tuple[Member, ...]
    allows_snat: bool


@dataclass(frozen=True)
class SelfIp(OwnAddress):
    """A self IP. ``domain`` is its route domain."""

    floating: bool
    traffic_group: str
    vlan: str


@dataclass(frozen=True)
class VirtualAddress:
    """A virtual address. Where it is switched off, its virtual servers receive nothing."""

    name: str
    shown: str
    address: str
    traffic_group: str
    enabled: bool


@dataclass(frozen=True)
class Snat:
    """A global SNAT object: it translates packets from ``origins``, first addresses and networks; ``shown`` as the device has them.

    ``translation``: the full path of the one address that it translates to, if there is one.
    """

    name: str
    shown: tuple[str, ...]
    origins: tuple[tuple[str, netaddr.IPNetwork], ...]
    vlans: str
    translation: str


@dataclass(frozen=True)
class Units:
    """This device and those that it trusts: ``others``, and which of them are ``active`` for some traffic group.

    ``group``: the failover group that this device is in; empty for a device without a partner, None where that is not known.
    ``follows``: whether the others take over its changes by themselves, as far as known.
    """

    own: Item
    others: tuple[str, ...] = ()
    active: tuple[str, ...] = ()
    group: str | None = ""
    follows: bool | None = None

    @property
    def paired(self) -> bool:
        """Report whether another device may take over from this one."""
        return self.group != ""


def route_domains(body: Item) -> Domains:
    """Read the default route domains of partitions."""
    found, _unread = each(body, lambda item: (str(item["name"]), int(item.get("defaultRouteDomain", 0))))
    return dict(found)


def pools(body: Item, wanted: AbstractSet[str], domains: Domains) -> dict[str, Pool]:
    """Read the pools that are wanted with their members (``expandSubcollections``), by full path.

    A member by domain name has no address; those that it resolves to are members of their own.
    """
    return {
        name: Pool(
            tuple(
                _member(member, partition_of(member) or partition_of(item), domains)
                for member in collection(item.get("membersReference", {}))
                if not _is_by_name(member)
            ),
            item.get("allowSnat", "yes") == "yes",
        )
        for item in collection(body)
        if isinstance(name := item.get("fullPath"), str) and name in wanted
    }


def _is_by_name(member: Item) -> bool:
    return member["address"] in ("any", "any6")


def _member(member: Item, partition: str, domains: Domains) -> Member:
    # A member's name may be its node's, so the address is its own field; the port stands only in the name.
    name, state = str(member["name"]), str(member.get("state"))
    try:
        port = split_port(name, "." if name.count(":") > 1 else ":")[1]
    except ForeignPort:
        port = ANY_PORT  # a service's name that is none of IKE's
    return Member(
        located(member["address"], partition, domains),
        port,
        enabled=not str(member.get("session")).endswith("disabled") and state != "user-down",
        up=not state.endswith("down"),
    )


def self_ips(body: Item, domains: Domains) -> tuple[list[SelfIp], list[Unread]]:
    """Read self IPs."""

    def read(item: Item) -> SelfIp:
        shown, _slash, length = item["address"].partition("/")
        address = located(shown, partition_of(item), domains)
        host, percent, domain = address.partition("%")
        return SelfIp(
            address,
            netaddr.IPNetwork(f"{host}/{length}"),
            percent + domain,
            item["floating"] == "enabled",
            str(item["trafficGroup"]),
            str(item.get("vlan", "")),
        )

    return each(body, read)


def virtual_addresses(body: Item, domains: Domains) -> tuple[list[VirtualAddress], list[Unread]]:
    """Read virtual addresses."""

    def read(item: Item) -> VirtualAddress:
        return VirtualAddress(
            str(item.get("fullPath", "")),
            item["address"],
            located(item["address"], partition_of(item), domains),
            str(item["trafficGroup"]),
            item.get("enabled", "yes") != "no",
        )

    return each(body, read)


def snats(body: Item, domains: Domains) -> tuple[list[Snat], list[Unread]]:
    """Read global SNAT objects."""

    def read(item: Item) -> Snat:
        origins = tuple(str(origin["name"]) for origin in item.get("origins", []))
        return Snat(
            str(item["fullPath"]),
            origins,
            tuple(
                (located(origin.partition("/")[0], partition_of(item), domains), network(origin)) for origin in origins
            ),
            ", ".join(map(str, item["vlans"])) if item.get("vlans") and item.get("vlansEnabled") else "",
            none_or(item.get("translation")),
        )

    return each(body, read)


def snat_pools(body: Item) -> tuple[dict[str, list[str]], list[Unread]]:
    """Read the members of pools by the pools' full paths. Those of SNAT pools are full paths of translation addresses."""
    found, unread = each(
        body, lambda item: (as_text(item["fullPath"]), [as_text(name) for name in as_list(item, "members")])
    )
    return dict(found), unread


def translation_addresses(body: Item) -> tuple[dict[str, str], list[Unread]]:
    """Read translation addresses, by full path."""
    found, unread = each(body, lambda item: (as_text(item["fullPath"]), canonical_address(as_text(item["address"]))))
    return dict(found), unread


def named_address(full_path: str) -> str:
    """Return the address that an object has as its name; empty where it has another name."""
    try:
        return canonical_address(full_path.rpartition("/")[2])
    except ValueError:
        return ""


def units(body: Item) -> Units:
    """Read the devices of the trust domain."""
    devices = collection(body)
    # selfDevice is the string "true".
    own = next((device for device in devices if str(device.get("selfDevice")).lower() == "true"), {})
    others = [device for device in devices if device is not own]
    active = [device for device in others if device.get("failoverState") == "active"]
    return Units(own, tuple(map(device_name, others)), tuple(map(device_name, active)))


def device_name(device: Item) -> str:
    """Return what a device of the trust domain is called."""
    return str(device.get("name"))


def failover_group(body: Item, own: str) -> tuple[str, bool]:
    """Read the failover group that the device ``own`` is in, if any, and whether its members follow each other's changes."""
    for group in collection(body):
        if group["type"] == SYNC_ONLY:
            continue
        members = group.get("devicesReference", {}).get("items")
        if members is None or own in {_last(member["name"]) for member in members}:
            return str(group["fullPath"]), group.get("autoSync") == "enabled"
    return "", False


def active_units(body: Item) -> dict[str, set[str]]:
    """Read on which devices each traffic group is active."""
    found: dict[str, set[str]] = {}
    for link, entry in body["entries"].items():
        shown = {name: value["description"] for name, value in entry["nestedStats"]["entries"].items()}
        # The link names both as well: …/~Common~traffic-group-1:~Common~bigip1.example.net/stats
        group, _colon, device = link.rpartition("/stats")[0].rpartition("/")[2].replace("~", "/").partition(":")
        names = found.setdefault(_last(shown.get("trafficGroup", group)), set())
        if shown["failoverState"] == "active":
            names.add(_last(shown.get("deviceName", device)))
    return found


def _last(full_path: str) -> str:
    """Return a name without the partition, which traffic groups and devices are shown with and without."""
    return full_path.rpartition("/")[2]


def persistence_profiles(body: Item) -> tuple[dict[str, bool], list[Unread]]:
    """Read source address persistence profiles, by full path: which of them match across services, or across more."""
    found, unread = each(
        body,
        lambda item: (
            str(item["fullPath"]),
            "enabled" in (item["matchAcrossServices"], item.get("matchAcrossVirtuals")),
        ),
    )
    return dict(found), unread


def rule_text(body: Item) -> str:
    """Read an iRule."""
    text = body.get("apiAnonymous", "")
    if not isinstance(text, str):
        raise TypeError(f"apiAnonymous is {text!r}")
    return text


def translating_policies(body: Item) -> tuple[set[str], list[Unread]]:
    """Read LTM policies down to their actions (``expandSubcollections``): the full paths of those that translate the source."""

    def read(policy: Item) -> tuple[str, bool]:
        actions = [
            action
            for rule in collection(policy.get("rulesReference", {}))
            for action in collection(rule.get("actionsReference", {}))
        ]
        return str(policy["fullPath"]), any(map(_translates, actions))

    found, unread = each(body, read)
    return {name for name, translates in found if translates}, unread


def _translates(action: Item) -> bool:
    # Public clients have 'snat' and 'snatpool' with a word or a name; flags such as 'snatAutomap' are read as well.
    return any(
        key.lower().startswith("snat") and key != "snatNone" and value not in (None, False, "", NONE)
        for key, value in action.items()
    )


def sync_status(body: Item) -> str:
    """Read the one status that all device groups come to."""
    (entry,) = body["entries"].values()
    return str(entry["nestedStats"]["entries"]["status"]["description"])


def declared(body: Item) -> set[tuple[str, str]]:
    """Read which tenants and applications an AS3 declaration holds."""
    tenants = body.get("declaration", body)
    return {
        (name, application) for name, tenant in tenants.items() if isinstance(tenant, dict) for application in tenant
    }
