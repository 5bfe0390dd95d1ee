# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan for a Windows server's IPv4 default gateway: from what was read to the steps that change it. No input or output."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Finding

DEFAULT = "0.0.0.0/0"
ACTIVE, PERSISTENT, BOTH = "ActiveStore", "PersistentStore", "both"
NEW_ROUTE_METRIC = 256
"""What Windows gives a route that nobody gave a metric."""

UNDECIDED = (None, 267008, 267009, 267011)
"""Results of a scheduled task that has not ended (SCHED_S_TASK_READY, _RUNNING, _HAS_NOT_RUN)."""


SHORTEST_TIMEOUT, LONGEST_TIMEOUT = 5, 3600
"""What ``rollback_timeout`` may be, in seconds."""


class PlanError(Exception):
    """There is no safe plan, or it failed; the text says why and what to do. ``result``: what else the task returns."""

    def __init__(self, message: str, result: Mapping[str, t.Any] | None = None) -> None:
        super().__init__(message)
        self.result = dict(result or {})


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
class Pending:
    """The scheduled tasks of a change that has not ended. ``due_in``: seconds until the old gateway comes back by itself.

    None is a task that only waits for the next start. ``applied``: what the task that makes the change ended with, 0 for
    success, None while there is nothing to be told.
    """

    due_in: float | None
    applied: int | None


@dataclass(frozen=True)
class Network:
    """What was read from a server.

    ``peers`` are addresses that it has to go on reaching: management sessions, DNS, domain controllers, RADIUS.
    ``remote_access`` is the start type of the service RemoteAccess, None where there is no such service.
    """

    interfaces: tuple[Interface, ...]
    routes: tuple[Route, ...]
    peers: tuple[netaddr.IPAddress, ...]
    ipv6_defaults: tuple[tuple[str, int, int], ...] = ()
    administrator: bool = True
    remote_access: str | None = "automatic"
    pending: Pending | None = None

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
                tuple(netaddr.IPAddress(text) for text in raw["peers"] if ":" not in text),
                tuple(
                    (str(item["next_hop"]), int(item["interface_index"]), int(item["metric"]))
                    for item in raw["ipv6_defaults"]
                ),
                bool(raw["administrator"]),
                None if raw["remote_access"] is None else str(raw["remote_access"]),
                None
                if raw["pending"] is None
                else Pending(
                    None if raw["pending"]["due_in"] is None else float(raw["pending"]["due_in"]),
                    None if raw["pending"]["applied"] in UNDECIDED else int(raw["pending"]["applied"]),
                ),
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

    def route_to(self, prefix: netaddr.IPNetwork) -> Route | None:
        """Give the active route that counts for all of ``prefix``: the longest that holds it, then the lowest metric."""
        metrics = {interface.index: interface.metric for interface in self.interfaces}
        matching = [route for route in self.routes if route.store == ACTIVE and prefix in route.destination]
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
            "default_routes_ipv6": [
                {"gateway": next_hop, "interface": aliases.get(index, str(index)), "metric": metric}
                for next_hop, index, metric in self.ipv6_defaults
            ],
            "addresses": [str(network.ip) for interface in self.interfaces for network in interface.networks],
            "administrator": self.administrator,
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
        prefixes: list[netaddr.IPNetwork] = []
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
            for other in prefixes:
                if prefix in other or other in prefix:
                    raise PlanError(
                        f"Option 'preserve_routes' holds {prefix} and {other}, which overlap: give one of them."
                    )
            prefixes.append(prefix)
        return cls(address, interface_alias, mac, tuple(prefixes), remove_other_defaults, allow_dhcp)


@dataclass(frozen=True)
class Step:
    """One route that is to stand in a store, or not to. A step whose work is done already does nothing."""

    action: t.Literal["add", "remove"]
    store: str
    destination: str
    next_hop: str
    interface_index: int
    metric: int = NEW_ROUTE_METRIC

    def __str__(self) -> str:
        return f"{self.action} {self.destination} by {self.next_hop} in {self.store}"

    def as_dict(self) -> dict[str, t.Any]:
        """Give plain values, as change_routes.ps1 takes them."""
        return dict(vars(self))


@dataclass(frozen=True)
class Plan:
    """Steps in the order in which they are safe.

    ``preserve`` only adds; ``switch`` changes what packets take, in the active store alone, so that a reboot would undo it;
    ``keep`` makes it persistent, once it is seen to work. ``rollback`` brings back what was, wherever in between the change ended.
    """

    preserve: tuple[Step, ...] = ()
    switch: tuple[Step, ...] = ()
    keep: tuple[Step, ...] = ()
    rollback: tuple[Step, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """Give all steps of the change."""
        return self.preserve + self.switch + self.keep


def plan_default_gateway(network: Network, wanted: Wanted) -> Plan:
    """Plan how ``wanted.gateway`` becomes the server's one default gateway on its interface.

    :raises PlanError: where no plan is safe.
    """
    if not network.administrator:
        raise PlanError(
            "The user of the connection is no administrator of this server, and could not change its routes."
        )
    if network.remote_access in (None, "disabled"):
        raise PlanError(
            "This is no RRAS server: the service RemoteAccess is "
            + ("disabled." if network.remote_access else "not there.")
            + " Take it out of the group, or set up Routing and Remote Access first."
        )
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
        keep.append(Step("add", BOTH, DEFAULT, gateway, interface.index, metric))
    keep += [Step("remove", PERSISTENT, DEFAULT, route.next_hop, route.interface_index) for route in old_persistent]

    return Plan(
        tuple(preserve),
        tuple(switch),
        tuple(keep),
        tuple(_way_back(network, (*preserve, *switch, *keep))),
        (*pending_findings(network), *_default_findings(network, interface, wanted)),
    )


def _way_back(network: Network, steps: Sequence[Step]) -> list[Step]:
    """Give the steps after which the routes that ``steps`` touch stand as they do now, however many of them were done."""
    restore, remove = [], []
    for destination, next_hop, index in dict.fromkeys(
        (step.destination, step.next_hop, step.interface_index) for step in steps
    ):
        found = {
            route.store: route.metric
            for route in network.routes
            if (str(route.destination), route.next_hop, route.interface_index) == (destination, next_hop, index)
        }
        if found:
            store = BOTH if PERSISTENT in found else ACTIVE
            metric = found.get(ACTIVE, found.get(PERSISTENT, NEW_ROUTE_METRIC))
            restore.append(Step("add", store, destination, next_hop, index, metric))
        remove += [
            Step("remove", store, destination, next_hop, index) for store in (ACTIVE, PERSISTENT) if store not in found
        ]
    return restore + remove


def foretell(network: Network, steps: Iterable[Step]) -> Network:
    """Give the network as it will be when ``steps`` are carried out, as change_routes.ps1 does it."""
    routes = {
        (route.store, str(route.destination), route.next_hop, route.interface_index): route for route in network.routes
    }
    for step in steps:
        stores = (ACTIVE, PERSISTENT) if step.store == BOTH else (step.store,)
        keys = [(store, step.destination, step.next_hop, step.interface_index) for store in stores]
        if step.action == "remove":
            for key in keys:
                routes.pop(key, None)
        elif keys[-1] not in routes:
            # Where it is to be persistent and is not, the active one is made anew with it.
            for key in keys:
                routes[key] = Route(
                    key[0], netaddr.IPNetwork(step.destination), step.next_hop, step.interface_index, step.metric
                )
        else:
            routes.setdefault(keys[0], replace(routes[keys[-1]], store=keys[0][0]))
    return replace(network, routes=tuple(routes.values()))


def stands(network: Network, steps: Iterable[Step]) -> bool:
    """Say whether all that ``steps`` would do is done."""
    return set(foretell(network, steps).routes) == set(network.routes)


def pending_findings(network: Network) -> tuple[Finding, ...]:
    """Tell a change that has not ended."""
    if not network.pending:
        return ()
    due = network.pending.due_in
    when = f"in {due:.0f} s" if due is not None else "at the next start"
    return (
        Finding(
            "rollback_pending",
            "warning",
            "aovpn.ikev2 rollback",
            f"A change of the default gateway is under way, or its run was interrupted: the old gateway comes back {when} unless it is confirmed.",
            "Wait for that. The next change of the gateway waits, too.",
        ),
    )


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
        route = network.route_to(prefix)
        if route is not None and route in old:
            steps[str(prefix)] = Step("add", BOTH, str(prefix), route.next_hop, route.interface_index)
    return list(steps.values())


def _default_findings(network: Network, interface: Interface, wanted: Wanted) -> list[Finding]:
    aliases = {item.index: item.alias for item in network.interfaces}
    findings = [
        Finding(
            "ipv6_default_route",
            "info",
            aliases.get(index, str(index)),
            f"There is an IPv6 default route, by {next_hop}, which is left alone: only IPv4 is managed.",
            "If clients connect over IPv6, see that their answers go back through the load balancer, too.",
        )
        for next_hop, index, _metric in network.ipv6_defaults
    ]
    if wanted.remove_other_defaults:
        return findings
    return findings + [
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
