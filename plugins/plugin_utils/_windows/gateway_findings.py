# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is worth knowing about a change of the default gateway. No input or output."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Finding
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.network import (
    DEFAULT,
    ON_LINK,
    PERSISTENT,
    Interface,
    Network,
    Route,
)
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.preserve import is_private

LISTED = 10
"""How many subnets a message lists."""

IDENTIFIED = 60
"""Within how many seconds Windows is assumed to know which network is behind another gateway; see docs/not-yet-confirmed.md."""


def identified_after(rollback_timeout: int) -> float:
    """Return how many seconds to wait before a gateway is confirmed behind which the network may become public."""
    return min(IDENTIFIED, rollback_timeout / 3)


def rollback_impossible(ended: int | None, policy: str) -> Finding:
    """Report that the test of a rollback has failed. ``ended``: the result of its task, None if it has not ended."""
    how = "has not ended" if ended is None else f"ended with {ended:#x}"
    return Finding(
        "script_policy",
        "blocker",
        "aovpn.ikev2 rollback",
        f"The rollback could not run on this server: a scheduled task that tests it {how}. Group Policy sets the execution policy {policy}.",
        "Let scheduled tasks of SYSTEM load the modules of Windows, by another execution policy or by trusting Microsoft's signature for the computer.",
    )


def answers(network: Network, interface: Interface) -> bool:
    """Report whether the gateway that is wanted answers on an interface, or was not asked."""
    return network.answering is None or interface.index in network.answering


def not_answering(gateway: str, interface: Interface) -> Finding:
    """Report that nobody answers for the gateway that is wanted."""
    return Finding(
        "gateway_not_answering",
        "blocker",
        gateway,
        f"Nobody answers for {gateway} on the interface {interface.alias}: the server asked for its link-layer address and got none.",
        "Check the address of the load balancer, and that it is up. Or add the code to 'accept'.",
    )


def firewall_profile(network: Network, interface: Interface) -> list[Finding]:
    """Report who manages the server through an interface whose network may count as a public one behind another gateway."""
    managed = [
        str(session)
        for session in network.sessions
        if (route := network.route_to(netaddr.IPNetwork(session))) is not None
        and route.interface_index == interface.index
        and route.next_hop != ON_LINK
    ]
    if not managed or not network.is_private(interface):
        return []
    return [
        Finding(
            "firewall_profile",
            "warning",
            interface.alias,
            f"The network on {interface.alias} is private. Windows knows a network by its gateway's MAC address, so that it may treat this one as another,"
            f" public network. The firewall then lets only the local subnet reach WinRM, which would cut off {', '.join(managed[:LISTED])}; the change is"
            " rolled back in that case.",
            "Set 'keep_network_category', or make the firewall's rule for WinRM apply to public networks, from the addresses of the controllers.",
        )
    ]


def default_routes(network: Network, interface: Interface, gateway: str, removed: bool) -> list[Finding]:
    """Report the default routes beside the wanted one. ``removed``: those of IPv4 that are in use are removed."""
    findings = [
        Finding(
            "ipv6_default_route",
            "info",
            network.alias(index),
            f"There is an IPv6 default route via {next_hop}. It is left alone, because only IPv4 is managed.",
            "If clients connect over IPv6, make sure that replies to them also go through the load balancer.",
        )
        for next_hop, index, _metric in network.ipv6_defaults
    ]
    halves: dict[tuple[str, int], set[str]] = {}
    for route in network.routes:
        if route.destination.prefixlen == 1:
            halves.setdefault((route.next_hop, route.interface_index), set()).add(str(route.destination))
    findings += [
        Finding(
            "other_default_route",
            "warning",
            network.alias(index),
            f"The routes 0.0.0.0/1 and 128.0.0.0/1 via {next_hop} together take all replies to clients, whatever the default route is.",
            "Remove them, unless that is the load balancer.",
        )
        for (next_hop, index), found in halves.items()
        if len(found) == 2 and next_hop != gateway
    ]
    findings += _made_elsewhere(network, gateway)
    if removed:
        return findings
    active, known = network.defaults(), {each.index for each in network.interfaces}
    keys = {route.key for route in active}
    others = [*active, *(route for route in network.defaults(PERSISTENT) if route.key not in keys)]
    return findings + [
        Finding(
            "other_default_route",
            "warning",
            network.alias(route.interface_index),
            f"There is another default route via {route.next_hop}"
            + (
                ", in the persistent store only: it may be in use after the next restart"
                if route.key not in keys
                else ""
            )
            + (", on an interface that does not exist now" if route.interface_index not in known else "")
            + ". If its metric is lower, replies to clients take it.",
            "Add static routes for internal networks, then remove it, for example with 'remove_other_defaults'.",
        )
        for route in others
        if route.interface_index != interface.index
    ]


def _made_elsewhere(network: Network, gateway: str) -> list[Finding]:
    """Report the default routes that something else makes than the persistent store: an adapter's own settings, or the RRAS console."""
    persistent = {route.key for route in network.defaults(PERSISTENT)}
    cards = {each.index: each for each in network.interfaces}
    adapters = [
        (each, hop)
        for each in network.interfaces
        for hop in each.gateways
        if hop not in ("", ON_LINK, gateway) and (DEFAULT, hop, each.index) not in persistent
    ]
    console = [
        (cards[route.interface_index], route.next_hop)
        for route in network.defaults()
        if route.next_hop != gateway
        and route.key not in persistent
        and route.interface_index in cards
        and not cards[route.interface_index].dhcp
    ]
    return [
        Finding(
            "other_default_route",
            "warning",
            card.alias,
            f"The settings of the adapter {card.alias} have the default gateway {hop}, which is not among the persistent routes. It may come into"
            " use at the next restart, or when the card is enabled again.",
            "Remove it in the properties of the adapter.",
        )
        for card, hop in adapters
    ] + [
        Finding(
            "other_default_route",
            "warning",
            card.alias,
            f"The default route via {hop} is in use and not persistent, so something else may make it again: a static route of the RRAS console,"
            " for example, comes back with the service RemoteAccess.",
            "Look at the static routes in the RRAS console, or with 'netsh routing ip show persistentroutes', and remove it there.",
        )
        for card, hop in console
    ]


def unknown_gateway(
    prefixes: Sequence[netaddr.IPNetwork], declared: Sequence[netaddr.IPNetwork], gateway: str
) -> Finding:
    """Report what uses the wanted gateway, and should have kept another one."""
    return Finding(
        "internal_routes_lost",
        "warning" if {*prefixes} & {*declared} else "info",
        gateway,
        f"Through {gateway} go {', '.join(map(str, prefixes))}: there is no route of their own, and the server does not remember a gateway"
        " that it had before.",
        "If they should use another gateway, add the routes by hand.",
    )


def passing(prefixes: Sequence[str], gateway: str) -> Finding:
    """Report who manages the server from a public address, which keeps its way to the server only until the next restart."""
    return Finding(
        "internal_routes_lost",
        "warning",
        gateway,
        f"The route that keeps {', '.join(prefixes[:LISTED])}{', ...' if prefixes[LISTED:] else ''} on the old gateway is not made persistent, since a"
        f" public address may be somebody else's tomorrow. After the next restart of the server, replies go through {gateway}, and whoever comes by the"
        " old gateway does not reach the server any more.",
        "Give the addresses from which the server is managed in 'preserve_routes', that of the controller above all.",
    )


def lost_routes(network: Network, lost: Sequence[Route], gateway: str) -> Finding:
    """Report that default routes go, although nobody said what has to keep them, with those that use them now."""
    hops = " and ".join(f"{route.next_hop} on {network.alias(route.interface_index)}" for route in lost)
    subnets: dict[str, list[str]] = {}
    # The private ones first: clients of SSTP, for example, have public ones, and are many.
    for address in sorted(
        {*network.connections, *network.peers}, key=lambda address: (not is_private(address), address)
    ):
        if network.route_to(netaddr.IPNetwork(address)) in lost:
            subnets.setdefault(str(netaddr.IPNetwork(f"{address}/24").cidr), []).append(str(address))
    listed = [
        f"{subnet} ({', '.join(addresses[:3])}{', ...' if addresses[3:] else ''})"
        for subnet, addresses in list(subnets.items())[:LISTED]
    ]
    more = f" and {len(subnets) - LISTED} more subnets" if len(subnets) > LISTED else ""
    use = f"Connected through it now: {', '.join(listed)}{more}." if listed else "Nobody is connected through it now."
    return Finding(
        "internal_routes_lost",
        "blocker",
        ", ".join(route.next_hop for route in lost),
        f"{gateway} replaces the default route by {hops}, and 'preserve_routes' does not say what has to go on using that: CRL and OCSP"
        f" servers, time, updates, monitoring, backup, or networks of the VPN's users. {use}",
        "Give the prefixes of internal networks in 'preserve_routes', or [] if there are none. Or add the code to 'accept'.",
    )
