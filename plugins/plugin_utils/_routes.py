# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan for a Windows server's IPv4 default gateway: from what was read to the steps that change it. No input or output."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Finding

DEFAULT = "0.0.0.0/0"
ACTIVE, PERSISTENT, BOTH = "ActiveStore", "PersistentStore", "both"
ON_LINK = "0.0.0.0"
"""The next hop of a route without a gateway."""
NEW_ROUTE_METRIC = 256
"""What Windows gives a route that nobody gave a metric."""

UNDECIDED = (None, 267008, 267009, 267011)
"""Results of a scheduled task that has not ended (SCHED_S_TASK_READY, _RUNNING, _HAS_NOT_RUN)."""


SHORTEST_TIMEOUT, LONGEST_TIMEOUT = 5, 3600
"""What ``rollback_timeout`` may be, in seconds."""


Key: t.TypeAlias = "tuple[str, str, int]"
"""Destination, next hop and interface index of a route."""


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
        return self.key[0] == DEFAULT

    @cached_property
    def key(self) -> Key:
        """Give what tells the route from others, whatever its store and its metric."""
        return str(self.destination), self.next_hop, self.interface_index


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
    ``remote_access`` is the start type of the service RemoteAccess, None where there is no such service. ``remembered``: the
    routes beside default ones that this collection has added, as the server keeps them in its registry; see Network.line.
    """

    interfaces: tuple[Interface, ...]
    routes: tuple[Route, ...]
    peers: tuple[netaddr.IPAddress, ...]
    ipv6_defaults: tuple[tuple[str, int, int], ...] = ()
    administrator: bool = True
    remote_access: str | None = "automatic"
    pending: Pending | None = None
    remembered: tuple[str, ...] = ()

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
                tuple(sorted(map(str, raw["remembered"]))),
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

    def alias(self, index: int) -> str:
        """Name an interface: an index means nothing to a user, and another interface may have it after a restart."""
        return next((interface.alias for interface in self.interfaces if interface.index == index), str(index))

    def line(self, route: Route | Step) -> str:
        """Write a route as the server remembers it."""
        return f"{route.destination} {route.next_hop} {self.alias(route.interface_index)}"

    def by_gateway(self) -> list[Route]:
        """List the routes that somebody has set. On-link ones come and go with addresses, and those of RRAS's own interfaces with clients."""
        known = {interface.index for interface in self.interfaces}
        found = [
            route
            for route in self.routes
            if route.is_default or (route.next_hop != ON_LINK and route.interface_index in known)
        ]
        return sorted(found, key=lambda route: (route.destination, route.interface_index, route.next_hop, route.store))

    def as_dict(self) -> dict[str, t.Any]:
        """Give what a user wants to know, and what brings the routes back: see plan_restoration."""
        defaults = self.defaults()
        persistent = {(route.next_hop, route.interface_index) for route in self.defaults(PERSISTENT)}
        return {
            "gateway": defaults[0].next_hop if defaults else None,
            "default_routes": [
                {
                    "gateway": route.next_hop,
                    "interface": self.alias(route.interface_index),
                    "metric": route.metric,
                    "persistent": (route.next_hop, route.interface_index) in persistent,
                }
                for route in defaults
            ],
            "default_routes_ipv6": [
                {"gateway": next_hop, "interface": self.alias(index), "metric": metric}
                for next_hop, index, metric in self.ipv6_defaults
            ],
            "routes": [
                {
                    "store": route.store,
                    "destination": str(route.destination),
                    "next_hop": route.next_hop,
                    "interface": self.alias(route.interface_index),
                    "metric": route.metric,
                }
                for route in self.by_gateway()
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

    @property
    def key(self) -> Key:
        """Give what tells the route from others."""
        return self.destination, self.next_hop, self.interface_index

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
    ``remember``: what of the routes that stand then was added by this collection.
    """

    preserve: tuple[Step, ...] = ()
    switch: tuple[Step, ...] = ()
    keep: tuple[Step, ...] = ()
    rollback: tuple[Step, ...] = ()
    remember: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """Give all steps of the change."""
        return self.preserve + self.switch + self.keep


def plan_default_gateway(network: Network, wanted: Wanted) -> Plan:
    """Plan how ``wanted.gateway`` becomes the server's one default gateway on its interface.

    :raises PlanError: where no plan is safe.
    """
    _refuse_mere_user(network)
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
        raise _dhcp_refusal(interface)

    def replaced(route: Route) -> bool:
        here = route.interface_index == interface.index
        return route.next_hop != gateway if here else wanted.remove_other_defaults

    old = [route for route in network.defaults() if replaced(route)]
    old_persistent = [route for route in network.defaults(PERSISTENT) if replaced(route)]
    stands_in = _stores(network.routes, (DEFAULT, gateway, interface.index))
    # It takes the place of the old one. One that stands already in a store keeps the metric that somebody gave it.
    metrics = [*stands_in.values(), *(route.metric for route in old if route.interface_index == interface.index)]
    metric = metrics[0] if metrics else NEW_ROUTE_METRIC

    preserve = _preserve(network, wanted, old)
    switch, keep = [], []
    if ACTIVE not in stands_in:
        switch.append(Step("add", ACTIVE, DEFAULT, gateway, interface.index, metric))
    switch += [Step("remove", ACTIVE, DEFAULT, route.next_hop, route.interface_index) for route in old]
    if PERSISTENT not in stands_in:
        keep.append(Step("add", BOTH, DEFAULT, gateway, interface.index, metric))
    keep += [Step("remove", PERSISTENT, DEFAULT, route.next_hop, route.interface_index) for route in old_persistent]

    return _plan(
        network, preserve, switch, keep, (*pending_findings(network), *_default_findings(network, interface, wanted))
    )


def plan_restoration(network: Network, snapshot: Mapping[str, t.Any], allow_dhcp: bool = False) -> Plan:
    """Plan how the routes become what they were when ``snapshot`` was taken, which is what Network.as_dict gave then.

    That is all default routes of both stores, and of the other routes those that this collection has added since, by what the server
    remembers. What somebody else has added or removed is left alone.

    :raises PlanError: where no plan is safe.
    """
    _refuse_mere_user(network)
    then = _routes_in(snapshot, network)
    lines = {*network.remembered}
    mine = {route.key for route in [*then, *network.routes] if not route.is_default and network.line(route) in lines}
    default_keys = {route.key for route in [*then, *network.routes] if route.is_default}
    adding, removing, keeping, dropping = [], [], [], []
    for key in sorted(mine) + sorted(default_keys):
        is_in, was_in = _stores(network.routes, key), _stores(then, key)
        if ACTIVE not in was_in:
            removing += [_remove(key, ACTIVE)] if ACTIVE in is_in else []
        elif is_in.get(ACTIVE) != was_in[ACTIVE]:
            adding += [_remove(key, ACTIVE)] if ACTIVE in is_in else []
            adding.append(_add(key, ACTIVE, was_in[ACTIVE]))
        if PERSISTENT not in was_in:
            dropping += [_remove(key, PERSISTENT)] if PERSISTENT in is_in else []
        elif is_in.get(PERSISTENT) != was_in[PERSISTENT]:
            keeping += [_remove(key, PERSISTENT)] if PERSISTENT in is_in else []
            keeping += _make(key, was_in)
    for step in (*adding, *keeping):
        if step.destination == DEFAULT and step.action == "add":
            _check_way(network, step)
    for interface in network.interfaces:
        touched = {step.interface_index for step in (*adding, *removing, *keeping, *dropping)}
        if interface.dhcp and not allow_dhcp and interface.index in touched:
            raise _dhcp_refusal(interface)
    # Routes of peers stand until the default routes that they go back to do.
    switch = [*adding, *reversed(removing)]
    return _plan(
        network, [], switch, [*keeping, *dropping], (*pending_findings(network), *_others(network, then, mine))
    )


def _plan(
    network: Network, preserve: list[Step], switch: list[Step], keep: list[Step], findings: tuple[Finding, ...]
) -> Plan:
    """Add to the steps the way back, and what is to be remembered."""
    steps = [*preserve, *switch, *keep]
    after = {network.line(route) for route in foretell(network, steps).routes if route.store == ACTIVE}
    added = {network.line(step) for step in preserve}
    return Plan(
        tuple(preserve),
        tuple(switch),
        tuple(keep),
        tuple(_way_back(network, steps)),
        tuple(sorted(after & (added | {*network.remembered}))),
        findings,
    )


def _way_back(network: Network, steps: Sequence[Step]) -> list[Step]:
    """Give the steps after which the routes that ``steps`` touch stand as they do now, however many of them were done."""
    restore, remove = [], []
    for key in dict.fromkeys(step.key for step in steps):
        found = _stores(network.routes, key)
        metrics = {*found.values(), *(step.metric for step in steps if step.key == key and step.action == "add")}
        if found and len(metrics) > 1:  # nobody knows with which of them it is found
            restore += [_remove(key, ACTIVE), _remove(key, PERSISTENT)]
        restore += _make(key, found)
        remove += [_remove(key, store) for store in (ACTIVE, PERSISTENT) if store not in found]
    return restore + remove


def _make(key: Key, stores: Mapping[str, int]) -> list[Step]:
    """Give the steps that make a route in these stores with their metrics, where it does not stand in the persistent one."""
    if PERSISTENT not in stores:
        return [_add(key, ACTIVE, stores[ACTIVE])] if stores else []
    # Windows writes to the persistent store only together with the active one.
    made = [_add(key, BOTH, stores[PERSISTENT])]
    if stores.get(ACTIVE) != stores[PERSISTENT]:
        made.append(_remove(key, ACTIVE))
        made += [_add(key, ACTIVE, stores[ACTIVE])] if ACTIVE in stores else []
    return made


def _add(key: Key, store: str, metric: int) -> Step:
    return Step("add", store, *key, metric)


def _remove(key: Key, store: str) -> Step:
    return Step("remove", store, *key)


def _stores(routes: Iterable[Route], key: Key) -> dict[str, int]:
    """Say in which stores a route stands, the active one first, and with which metric."""
    return dict(sorted((route.store, route.metric) for route in routes if route.key == key))


def foretell(network: Network, steps: Iterable[Step]) -> Network:
    """Give the network as it will be when ``steps`` are carried out, as change_routes.ps1 does it."""
    routes = {(route.store, *route.key): route for route in network.routes}
    for step in steps:
        if step.action == "remove":
            routes.pop((step.store, *step.key), None)
            continue
        made = Route(ACTIVE, netaddr.IPNetwork(step.destination), step.next_hop, step.interface_index, step.metric)
        if step.store == BOTH and (PERSISTENT, *step.key) not in routes:
            # The active one is made anew with it.
            routes[PERSISTENT, *step.key] = replace(made, store=PERSISTENT)
            routes[ACTIVE, *step.key] = made
        routes.setdefault((ACTIVE, *step.key), made)
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


def _refuse_mere_user(network: Network) -> None:
    if not network.administrator:
        raise PlanError(
            "The user of the connection is no administrator of this server, and could not change its routes."
        )


def _dhcp_refusal(interface: Interface) -> PlanError:
    return PlanError(
        f"Interface {interface} has its configuration from DHCP, which would undo the change of the gateway."
        " Give it a fixed address, or set 'allow_dhcp' if the DHCP server hands out that gateway."
    )


def _routes_in(snapshot: Mapping[str, t.Any], network: Network) -> list[Route]:
    """Read the routes in a snapshot.

    :raises PlanError: where there are none, or where they are another server's.
    """
    indexes = {interface.alias: interface.index for interface in network.interfaces}
    listed = "; ".join(map(str, network.interfaces)) or "none"
    own = {str(item.ip) for interface in network.interfaces for item in interface.networks}
    try:
        if own.isdisjoint(map(str, snapshot["addresses"])):
            raise PlanError(
                f"Option 'snapshot' was taken from a server with the addresses {', '.join(map(str, snapshot['addresses']))}."
                f" This one has none of them. Interfaces are: {listed}."
            )
        found = []
        for item in snapshot["routes"]:
            alias, store = str(item["interface"]), str(item["store"])
            if alias not in indexes and not alias.isdigit():
                raise PlanError(
                    f"Option 'snapshot' has a route on interface {alias!r}, which is not there. Interfaces are: {listed}."
                )
            if store not in (ACTIVE, PERSISTENT):
                raise ValueError(f"the store {store!r}")
            destination = netaddr.IPNetwork(str(item["destination"])).cidr
            next_hop = str(netaddr.IPAddress(str(item["next_hop"])))
            index = indexes[alias] if alias in indexes else int(alias)
            found.append(Route(store, destination, next_hop, index, int(item["metric"])))
    except (KeyError, TypeError, ValueError, netaddr.AddrFormatError) as error:
        raise PlanError(
            f"Option 'snapshot' is not what this module returns as 'before' or 'after' ({type(error).__name__}: {error})."
        ) from error
    return found


def _check_way(network: Network, step: Step) -> None:
    """Refuse a gateway of the past that could not be reached any more.

    :raises PlanError: saying so.
    """
    networks = {item.index: item.networks for item in network.interfaces}.get(step.interface_index)
    if networks is not None and step.next_hop != ON_LINK and not any(step.next_hop in item for item in networks):
        raise PlanError(
            f"The gateway {step.next_hop} of the snapshot is in no subnet that interface {network.alias(step.interface_index)} has now"
            f" ({', '.join(map(str, networks)) or 'none'}), so it cannot be reached directly."
        )


def _others(network: Network, then: Iterable[Route], mine: set[Key]) -> list[Finding]:
    """Tell static routes that somebody else has added or removed since the snapshot."""

    def lines(routes: Iterable[Route]) -> set[str]:
        return {
            f"{route.destination} by {route.next_hop}"
            for route in routes
            if route.store == PERSISTENT and not route.is_default and route.key not in mine
        }

    was, stands_now = lines(then), lines(network.by_gateway())
    told = [f"{line} was added" for line in sorted(stands_now - was)]
    told += [f"{line} was removed" for line in sorted(was - stands_now)]
    if not told:
        return []
    return [
        Finding(
            "routes_differ",
            "info",
            "routes",
            f"Since the snapshot was taken, somebody else has changed other routes, which are left alone: {'; '.join(told)}.",
            "Nothing, if that was meant.",
        )
    ]


def _preserve(network: Network, wanted: Wanted, old: Sequence[Route]) -> list[Step]:
    """Keep what uses a default route that will be gone on that route: declared prefixes, management peers and DNS servers."""
    steps = {}
    for prefix in [*wanted.preserve_routes, *(netaddr.IPNetwork(peer) for peer in network.peers)]:
        route = network.route_to(prefix)
        if route is not None and route in old:
            steps[str(prefix)] = Step("add", BOTH, str(prefix), route.next_hop, route.interface_index)
    return list(steps.values())


def _default_findings(network: Network, interface: Interface, wanted: Wanted) -> list[Finding]:
    findings = [
        Finding(
            "ipv6_default_route",
            "info",
            network.alias(index),
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
            network.alias(route.interface_index),
            f"There is another default route, by {route.next_hop}; with the lower metric, it would take the answers to clients.",
            "Give internal networks static routes and remove it, which 'remove_other_defaults' does.",
        )
        for route in network.defaults()
        if route.interface_index != interface.index
    ]


def _hex(mac: str) -> str:
    return "".join(character for character in mac if character.isalnum()).casefold()
