# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan for a Windows server's IPv4 default gateway: from what was read to the steps that change it. No input or output."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Finding

DEFAULT = "0.0.0.0/0"
ACTIVE, PERSISTENT, BOTH = "ActiveStore", "PersistentStore", "both"
NEW_ROUTE_METRIC = 256
"""What Windows gives a route that nobody gave a metric."""


class PlanError(Exception):
    """There is no safe plan; the text says why and what to give instead."""


@dataclass(frozen=True)
class Interface:
    """A network interface. ``networks`` are its addresses with their prefix lengths."""

    index: int
    alias: str
    mac: str
    metric: int
    dhcp: bool
    networks: tuple[netaddr.IPNetwork, ...]

    def __str__(self) -> str:
        return f"{self.alias} ({self.mac}, {', '.join(map(str, self.networks)) or 'no address'})"


@dataclass(frozen=True)
class Route:
    """A route as it stands in one store."""

    store: str
    destination: netaddr.IPNetwork
    next_hop: str
    interface_index: int
    metric: int

    @property
    def is_default(self) -> bool:
        """Say whether this is a default route."""
        return str(self.destination) == DEFAULT


@dataclass(frozen=True)
class Network:
    """What was read from a server. ``peers`` are addresses that it has to go on reaching: management sessions and DNS servers."""

    interfaces: tuple[Interface, ...]
    routes: tuple[Route, ...]
    peers: tuple[netaddr.IPAddress, ...]

    @classmethod
    def parse(cls, raw: t.Any) -> Network:
        """Read what read_network.ps1 gives.

        :raises PlanError: where it is something else.
        """
        try:
            return cls(
                tuple(
                    Interface(
                        int(item["index"]),
                        str(item["alias"]),
                        str(item["mac"]),
                        int(item["metric"]),
                        bool(item["dhcp"]),
                        tuple(netaddr.IPNetwork(address) for address in item["addresses"]),
                    )
                    for item in raw["interfaces"]
                ),
                tuple(
                    Route(
                        str(item["store"]),
                        netaddr.IPNetwork(item["destination"]).cidr,
                        str(item["next_hop"]),
                        int(item["interface_index"]),
                        int(item["metric"]),
                    )
                    for item in raw["routes"]
                ),
                tuple(peer for text in raw["peers"] if (peer := netaddr.IPAddress(text)).version == 4),
            )
        except (KeyError, TypeError, ValueError, netaddr.AddrFormatError) as error:
            raise PlanError(
                f"The server described its network in a way that is not understood ({type(error).__name__}: {error})."
            ) from error

    def defaults(self, store: str = ACTIVE) -> list[Route]:
        """List a store's default routes, the one that packets take first."""
        metrics = {interface.index: interface.metric for interface in self.interfaces}
        found = [route for route in self.routes if route.store == store and route.is_default]
        return sorted(
            found,
            key=lambda route: (
                route.metric + metrics.get(route.interface_index, 0),
                route.interface_index,
                route.next_hop,
            ),
        )

    def route_to(self, address: netaddr.IPAddress) -> Route | None:
        """Give the active route that a packet to ``address`` takes: the longest prefix, then the lowest metric."""
        metrics = {interface.index: interface.metric for interface in self.interfaces}
        matching = [route for route in self.routes if route.store == ACTIVE and address in route.destination]
        return min(
            matching,
            key=lambda route: (-route.destination.prefixlen, route.metric + metrics.get(route.interface_index, 0)),
            default=None,
        )

    def as_dict(self) -> dict[str, t.Any]:
        """Give what a user wants to know: the effective default gateway, all default routes, and the server's addresses."""
        defaults = self.defaults()
        aliases = {interface.index: interface.alias for interface in self.interfaces}
        persistent = {(route.next_hop, route.interface_index) for route in self.defaults(PERSISTENT)}
        return {
            "gateway": defaults[0].next_hop if defaults else None,
            "default_routes": [
                {
                    "gateway": route.next_hop,
                    "interface": aliases.get(route.interface_index, str(route.interface_index)),
                    "metric": route.metric,
                    "persistent": (route.next_hop, route.interface_index) in persistent,
                }
                for route in defaults
            ],
            "addresses": [str(network.ip) for interface in self.interfaces for network in interface.networks],
            "networks": [str(network) for interface in self.interfaces for network in interface.networks],
        }


@dataclass(frozen=True)
class Wanted:
    """What a task asks for, checked."""

    gateway: netaddr.IPAddress
    interface_alias: str | None = None
    mac: str | None = None
    preserve_routes: tuple[netaddr.IPNetwork, ...] = ()
    remove_other_defaults: bool = False
    allow_dhcp: bool = False

    @classmethod
    def parse(
        cls,
        *,
        gateway: str,
        interface_alias: str | None,
        mac: str | None,
        preserve_routes: Sequence[str],
        remove_other_defaults: bool,
        allow_dhcp: bool,
    ) -> Wanted:
        """Check a task's options.

        :raises PlanError: naming the option, and what it takes instead.
        """
        try:
            address = netaddr.IPAddress(gateway, flags=netaddr.INET_PTON)
        except (ValueError, netaddr.AddrFormatError):
            raise PlanError(f"Option 'gateway' is {gateway!r}, which is not an IP address.") from None
        if address.version != 4:
            raise PlanError(f"Option 'gateway' is {gateway}: only the IPv4 default gateway is managed.")
        prefixes = []
        for text in preserve_routes:
            try:
                prefix = netaddr.IPNetwork(text)
            except (ValueError, netaddr.AddrFormatError):
                raise PlanError(
                    f"Option 'preserve_routes' holds {text!r}, which is not a prefix such as 192.0.2.0/24."
                ) from None
            if prefix.version != 4 or prefix.prefixlen == 0 or prefix.ip != prefix.network:
                raise PlanError(
                    f"Option 'preserve_routes' holds {text!r}; it takes IPv4 prefixes such as 192.0.2.0/24, and not the default route."
                )
            prefixes.append(prefix)
        return cls(address, interface_alias, mac, tuple(prefixes), remove_other_defaults, allow_dhcp)


@dataclass(frozen=True)
class Step:
    """One route to add to, or remove from, a store."""

    action: t.Literal["add", "remove"]
    store: str
    destination: str
    next_hop: str
    interface_index: int
    metric: int = NEW_ROUTE_METRIC

    def as_dict(self) -> dict[str, t.Any]:
        """Give plain values, as change_routes.ps1 takes them."""
        return dict(vars(self))


@dataclass(frozen=True)
class Plan:
    """Steps in the order in which they are safe.

    ``preserve`` only adds; ``switch`` changes what packets take, in the active store alone, so that a reboot would undo it;
    ``keep`` makes it persistent, once it is seen to work.
    """

    preserve: tuple[Step, ...] = ()
    switch: tuple[Step, ...] = ()
    keep: tuple[Step, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """Give all steps."""
        return self.preserve + self.switch + self.keep


def plan_default_gateway(network: Network, wanted: Wanted) -> Plan:
    """Plan how ``wanted.gateway`` becomes the server's one default gateway on its interface.

    :raises PlanError: where no plan is safe.
    """
    interface = choose_interface(network.interfaces, wanted)
    gateway = str(wanted.gateway)
    if wanted.gateway in {item.ip for each in network.interfaces for item in each.networks}:
        raise PlanError(f"Option 'gateway' is {gateway}, which is an address of this server itself.")
    if interface.dhcp and not wanted.allow_dhcp:
        raise PlanError(
            f"Interface {interface} has its configuration from DHCP, which would bring the old gateway back."
            " Give it a fixed address, or set 'allow_dhcp' if the DHCP server hands out the new gateway."
        )

    def replaced(route: Route) -> bool:
        here = route.interface_index == interface.index
        return route.next_hop != gateway if here else wanted.remove_other_defaults

    old = [route for route in network.defaults() if replaced(route)]
    old_persistent = [route for route in network.defaults(PERSISTENT) if replaced(route)]
    is_active = _has(network.defaults(), gateway, interface)
    is_persistent = _has(network.defaults(PERSISTENT), gateway, interface)
    here_before = [route for route in old if route.interface_index == interface.index]
    metric = here_before[0].metric if here_before else NEW_ROUTE_METRIC

    preserve = _preserve(network, wanted, old)
    switch, keep = [], []
    if not is_active:
        switch.append(Step("add", ACTIVE, DEFAULT, gateway, interface.index, metric))
    switch += [Step("remove", ACTIVE, DEFAULT, route.next_hop, route.interface_index) for route in old]
    if not is_persistent:
        # Windows can write to the persistent store only together with the active one, where the route stands by now.
        keep.append(Step("remove", ACTIVE, DEFAULT, gateway, interface.index))
        keep.append(Step("add", BOTH, DEFAULT, gateway, interface.index, metric))
    keep += [Step("remove", PERSISTENT, DEFAULT, route.next_hop, route.interface_index) for route in old_persistent]
    return Plan(tuple(preserve), tuple(switch), tuple(keep), tuple(_other_defaults(network, interface, wanted)))


def foretell(network: Network, plan: Plan) -> Network:
    """Give the network as it will be when ``plan`` is carried out."""
    routes = list(network.routes)
    for step in plan.steps:
        stores = (ACTIVE, PERSISTENT) if step.store == BOTH else (step.store,)
        for store in stores:
            key = (store, step.destination, step.next_hop, step.interface_index)
            routes = [
                route
                for route in routes
                if (route.store, str(route.destination), route.next_hop, route.interface_index) != key
            ]
            if step.action == "add":
                routes.append(
                    Route(store, netaddr.IPNetwork(step.destination), step.next_hop, step.interface_index, step.metric)
                )
    return Network(network.interfaces, tuple(routes), network.peers)


def choose_interface(interfaces: Iterable[Interface], wanted: Wanted) -> Interface:
    """Choose by alias, by MAC address, or the one interface whose subnet holds the gateway.

    :raises PlanError: with the list of interfaces, where that is none or several.
    """
    known = list(interfaces)
    listed = f"Interfaces are: {'; '.join(map(str, known)) or 'none'}."
    chosen = known
    if wanted.interface_alias is not None:
        chosen = [item for item in chosen if item.alias.casefold() == wanted.interface_alias.casefold()]
    if wanted.mac is not None:
        chosen = [item for item in chosen if _hex(item.mac) == _hex(wanted.mac)]
    if not chosen:
        raise PlanError(
            f"No interface has the alias {wanted.interface_alias!r} and the MAC address {wanted.mac!r} that were asked for. {listed}"
        )
    on_link = [item for item in chosen if any(wanted.gateway in network for network in item.networks)]
    if not on_link:
        raise PlanError(
            f"The gateway {wanted.gateway} is in no subnet of this server's interfaces, so it cannot be reached directly. {listed}"
        )
    if len(on_link) > 1:
        raise PlanError(
            f"The gateway {wanted.gateway} is in a subnet of several interfaces: name one by 'interface_alias' or 'mac'. {listed}"
        )
    return on_link[0]


def _has(routes: Iterable[Route], gateway: str, interface: Interface) -> bool:
    return any((route.next_hop, route.interface_index) == (gateway, interface.index) for route in routes)


def _preserve(network: Network, wanted: Wanted, old: Sequence[Route]) -> list[Step]:
    """Keep what uses a default route that will be gone on that route: declared prefixes, management peers and DNS servers."""
    steps = {}
    for prefix in [*wanted.preserve_routes, *(netaddr.IPNetwork(peer) for peer in network.peers)]:
        route = network.route_to(prefix.ip)
        if route is not None and route in old:
            steps[str(prefix)] = Step("add", BOTH, str(prefix), route.next_hop, route.interface_index)
    return list(steps.values())


def _other_defaults(network: Network, interface: Interface, wanted: Wanted) -> list[Finding]:
    if wanted.remove_other_defaults:
        return []
    aliases = {item.index: item.alias for item in network.interfaces}
    return [
        Finding(
            "other_default_route",
            "warning",
            aliases.get(route.interface_index, str(route.interface_index)),
            f"There is another default route, by {route.next_hop}; with the lower metric, it would take the answers to clients.",
            "Give internal networks static routes and remove it, which 'remove_other_defaults' does.",
        )
        for route in network.defaults()
        if route.interface_index != interface.index
    ]


def _hex(mac: str) -> str:
    return "".join(character for character in mac if character.isalnum()).casefold()
