# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What keeps using the gateway that a server had before, and which gateway that was. No input or output."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.network import (
    ACTIVE,
    PERSISTENT,
    Network,
    Route,
)
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.steps import (
    BOTH,
    Step,
    predict,
    stores,
)

PRIVATE = ("10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
"""Addresses that belong to a network of one's own; any other one may be a stranger's tomorrow."""

MOST = 16
"""How many peers have a route of their own; more than that share shorter prefixes."""


@dataclass(frozen=True)
class Former:
    """A gateway that another one has replaced, as the server's registry holds it: ``<gateway> <its successor> <interface>``."""

    next_hop: str
    successor: str
    interface: str

    def __str__(self) -> str:
        return f"{self.next_hop} {self.successor} {self.interface}"

    @classmethod
    def parse(cls, line: str) -> Former | None:
        """Read a line of the registry; None if it is something else."""
        parts = line.split(" ", 2)
        return cls(*parts) if len(parts) == 3 else None


def formers(network: Network, gateway: str, lost: Sequence[Route]) -> tuple[Former, ...]:
    """Return the gateways that ``gateway`` replaces or has replaced, the preferred one first.

    ``lost``: the default routes in use that will not be used any more. Where one of them leads to a gateway that this collection has set
    itself, what counts is the one before that.
    """
    lines = [line for text in network.former if (line := Former.parse(text))]
    ours = {line.successor for line in lines}
    replaced = [_former(network, route, gateway) for route in lost]
    successors = {gateway, *(line.next_hop for line in replaced)}
    own = _successors(network, gateway)
    found = [line for line in replaced if line.next_hop not in ours]
    found += [replace(line, successor=gateway) for line in lines if line.successor in successors]
    if usable := [line for line in dict.fromkeys(found) if _leads(network, line)] or [
        line for line in replaced if line.next_hop not in own
    ]:
        return tuple(usable)
    # Versions that did not remember the gateway have left routes that name it.
    remembered = (text.split(" ", 2) for text in network.remembered)
    guesses = {Former(parts[1], gateway, parts[2]) for parts in remembered if len(parts) == 3}
    guessed = [line for line in guesses if _leads(network, line)]
    return tuple(guessed) if len(guessed) == 1 else ()


def _successors(network: Network, gateway: str) -> set[str]:
    """Return the gateways that have replaced ``gateway``. Whoever uses one of them used ``gateway`` before."""
    lines = map(Former.parse, network.former)
    return {line.successor for line in lines if line and line.next_hop == gateway}


def _former(network: Network, route: Route, gateway: str) -> Former:
    return Former(route.next_hop, gateway, network.alias(route.interface_index))


def _leads(network: Network, line: Former) -> bool:
    """Report whether a former gateway is still in a subnet of its interface, and not its own successor."""
    return line.next_hop != line.successor and any(
        line.next_hop in item for each in network.interfaces if each.alias == line.interface for item in each.networks
    )


def preserve(
    network: Network,
    switch: Iterable[Step],
    gateway: str,
    declared: Sequence[netaddr.IPNetwork],
    former: Sequence[Former],
) -> tuple[list[Step], list[netaddr.IPNetwork]]:
    """Return the routes that keep declared prefixes and peers on the gateway that they had, and those for which none is known.

    ``switch``: the steps that change the default routes. A route that is missing is added whenever that is seen, also long after the change.
    A public address that is only connected now is kept while the gateway changes, and not made persistent: tomorrow, it may be somebody else's.
    """
    after = predict(network, switch)
    ours = {line.successor for text in network.former if (line := Former.parse(text))}
    own = _successors(network, gateway)
    made: list[Step] = []
    unknown = []
    for prefix in dict.fromkeys([*declared, *(netaddr.IPNetwork(peer) for peer in network.peers)]):
        now, then = network.route_to(prefix), after.route_to(prefix)
        lasting = prefix in declared or not _is_passing(network, prefix)
        if then is not None and not then.is_default:
            if lasting and then.destination == prefix and _is_half(network, then):
                made.append(Step("add", BOTH, *then.key, then.metric))
            continue
        if then is not None and then == now and (then.next_hop != gateway or not lasting):
            continue  # by another default route, which stays; or somebody passes by who came by this way
        hop, index = (now.next_hop, now.interface_index) if now else (gateway, 0)
        if former and hop in {gateway, *ours}:
            hop = former[0].next_hop
            index = next(each.index for each in network.interfaces if each.alias == former[0].interface)
        if hop in {gateway, *own}:
            unknown.append(prefix)
        elif not any(prefix in netaddr.IPNetwork(step.destination) for step in made):
            made.append(Step("add", BOTH if lasting else ACTIVE, str(prefix), hop, index))
    return _fewer(made, {str(prefix) for prefix in declared}), unknown


def _fewer(steps: Sequence[Step], declared: Container[str]) -> list[Step]:
    """Return routes to private networks in place of those to single peers, where these are too many: a domain's name may have hundreds of addresses."""
    others = [step for step in steps if step.destination in declared or step.store != BOTH or not _block(step)]
    single = [step for step in steps if step not in others]
    for length in (24, 16, 0):
        if len(single) <= MOST:
            break
        wider = {str(_shortened(step, length)): step for step in single}
        single = [replace(step, destination=prefix) for prefix, step in wider.items()]
    return [*others, *single]


def _block(step: Step) -> netaddr.IPNetwork | None:
    """Return the private addresses that a route is a part of."""
    return next(
        (block for block in map(netaddr.IPNetwork, PRIVATE) if netaddr.IPNetwork(step.destination) in block), None
    )


def _shortened(step: Step, length: int) -> netaddr.IPNetwork:
    """Return the network of this prefix length around a route, within the private addresses that it is a part of."""
    block = _block(step)
    around = netaddr.IPNetwork(step.destination)
    around.prefixlen = max(length, block.prefixlen if block else length)
    return around.cidr


def is_private(address: netaddr.IPAddress) -> bool:
    """Report whether an address belongs to a network of one's own."""
    return any(address in netaddr.IPNetwork(block) for block in PRIVATE)


def _is_passing(network: Network, peer: netaddr.IPNetwork) -> bool:
    """Report whether a peer is only known because it is connected now, and has a public address."""
    known_now = peer.ip in network.sessions and peer.ip not in network.configured
    return known_now and not is_private(peer.ip)


def _is_half(network: Network, route: Route) -> bool:
    """Report whether a route of this collection is missing in the persistent store."""
    return PERSISTENT not in stores(network.routes, route.key) and network.line(route.key) in network.remembered
