# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Windows server's network as it was read: interfaces, routes, peers, and an unfinished change. No input or output."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import NOT_UNDERSTOOD, Finding
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.errors import PlanError

DEFAULT = "0.0.0.0/0"
ACTIVE, PERSISTENT = "ActiveStore", "PersistentStore"
ON_LINK = "0.0.0.0"
"""The next hop of a route without a gateway."""

STATES_OF_TASKS = range(0x41300, 0x41400)
"""Results of a scheduled task that are states, such as queued or running (SCHED_S_...)."""

TERMINATED = 0x41306
"""The one of them that is a failure."""

DOUBTFUL_POLICIES = ("AllSigned", "Restricted")
"""Execution policies that may keep a task from loading the modules of its cmdlets."""


Key: t.TypeAlias = "tuple[str, str, int]"
"""Destination, next hop and interface index of a route."""


@dataclass(frozen=True)
class Interface:
    """A network interface. ``networks`` are its addresses with their prefix lengths, ``gateways`` those in the adapter's own settings."""

    index: int
    alias: str
    mac: str
    metric: int
    dhcp: bool
    networks: tuple[netaddr.IPNetwork, ...]
    gateways: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.alias} ({self.mac}, {', '.join(map(str, self.networks)) or 'no address'})"


@dataclass(frozen=True)
class Route:
    """A route in one of the stores."""

    store: str
    destination: netaddr.IPNetwork
    next_hop: str
    interface_index: int
    metric: int

    @property
    def is_default(self) -> bool:
        """Report whether this is a default route."""
        return self.key[0] == DEFAULT

    @cached_property
    def key(self) -> Key:
        """Return what identifies the route, whatever its store and its metric."""
        return str(self.destination), self.next_hop, self.interface_index


def result_of(raw: t.Any) -> int | None:
    """Return the result of a scheduled task, None while it has none."""
    result = None if raw is None else int(raw)
    return None if result in STATES_OF_TASKS and result != TERMINATED else result


@dataclass(frozen=True)
class Pending:
    """The scheduled tasks of an unfinished change. ``due_in``: seconds until the rollback runs; None if it runs only at the next start.

    ``applied``: the result of the task that makes the change, 0 for success, None while it has none.
    ``confirmed``: the change is complete, and only the tasks are left. The run that confirmed it was interrupted.
    ``result``: with what the rollback ended the last time, None if it has not ended yet.
    """

    due_in: float | None
    applied: int | None
    confirmed: bool = False
    result: int | None = None

    @classmethod
    def parse(cls, raw: Mapping[str, t.Any]) -> Pending:
        """Read what read_network.ps1 returns."""
        return cls(
            None if raw["due_in"] is None else float(raw["due_in"]),
            result_of(raw["applied"]),
            raw.get("state") == "disabled",
            result_of(raw.get("result")),
        )


@dataclass(frozen=True)
class Network:
    """What was read from a server.

    ``peers`` are the addresses that have to stay reachable: management sessions, DNS, domain controllers, RADIUS.
    ``remote_access`` is the start type of the service RemoteAccess, None if there is no such service. ``remembered``: the
    routes other than default routes that this collection has added, as the server keeps them in its registry; see Network.line.
    ``former``: the gateways that it had, in the same place; see preserve.Former. ``sessions``: the peers that manage the server
    now; ``configured``: the peers that the server knows by its own settings; ``connections``: all that are connected to it.
    ``categories``: the index of each interface that has a network, and that one's category for the firewall.
    ``unread``: what could not be asked, with the reason. ``answering``: the indexes of the interfaces on which the gateway that is wanted
    has a link-layer address, None if it was not asked for. ``policy``: the execution policy that Group Policy sets, if it does.
    """

    interfaces: tuple[Interface, ...]
    routes: tuple[Route, ...]
    peers: tuple[netaddr.IPAddress, ...]
    ipv6_defaults: tuple[tuple[str, int, int], ...] = ()
    administrator: bool = True
    remote_access: str | None = "automatic"
    pending: Pending | None = None
    remembered: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    answering: tuple[int, ...] | None = None
    former: tuple[str, ...] = ()
    sessions: tuple[netaddr.IPAddress, ...] = ()
    connections: tuple[netaddr.IPAddress, ...] = ()
    categories: tuple[tuple[int, str], ...] = ()
    policy: str = ""
    configured: tuple[netaddr.IPAddress, ...] = ()

    @classmethod
    def parse(cls, raw: t.Any) -> Network:
        """Read what read_network.ps1 returns.

        :raises PlanError: if it is something else.
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
                        tuple(map(str, item.get("gateways", ()))),
                    )
                    for item in raw["interfaces"]
                ),
                tuple(
                    Route(
                        str(item["store"]),
                        netaddr.IPNetwork(item["destination"]).cidr,
                        str(netaddr.IPAddress(str(item["next_hop"]))),
                        int(item["interface_index"]),
                        int(item["metric"]),
                    )
                    for item in raw["routes"]
                ),
                _addresses(raw["peers"]),
                tuple(
                    (str(item["next_hop"]), int(item["interface_index"]), int(item["metric"]))
                    for item in raw["ipv6_defaults"]
                ),
                bool(raw["administrator"]),
                None if raw["remote_access"] is None else str(raw["remote_access"]),
                None if raw["pending"] is None else Pending.parse(raw["pending"]),
                tuple(sorted(map(str, raw["remembered"]))),
                tuple(map(str, raw.get("unread", ()))),
                None
                if raw.get("neighbors") is None
                else tuple(int(item["interface_index"]) for item in raw["neighbors"] if _is_alive(item)),
                tuple(map(str, raw.get("former", ()))),
                _addresses(raw.get("sessions", ())),
                _addresses(raw.get("connections", ())),
                tuple((int(item["interface_index"]), str(item["category"])) for item in raw.get("networks", ())),
                str(raw.get("policy", "")),
                _addresses(raw.get("configured", ())),
            )
        except NOT_UNDERSTOOD as error:
            raise PlanError(f"The server's network cannot be read ({type(error).__name__}: {error}).") from error

    def ordered(self, routes: Iterable[Route]) -> list[Route]:
        """Return routes in order of preference: by the sum of their own metric and the interface's."""
        metrics = {interface.index: interface.metric for interface in self.interfaces}
        return sorted(
            routes,
            key=lambda route: (
                route.metric + metrics.get(route.interface_index, 0),
                route.interface_index,
                route.next_hop,
            ),
        )

    def defaults(self, store: str = ACTIVE) -> list[Route]:
        """Return a store's default routes, the preferred one first."""
        return self.ordered(route for route in self.routes if route.store == store and route.is_default)

    @property
    def gateway(self) -> str | None:
        """Return the preferred default gateway, or None."""
        return next((route.next_hop for route in self.defaults()), None)

    def route_to(self, prefix: netaddr.IPNetwork) -> Route | None:
        """Return the active route for all of ``prefix``: the longest that contains it, then the lowest metric."""
        matching = [route for route in self.routes if route.store == ACTIVE and prefix in route.destination]
        return min(self.ordered(matching), key=lambda route: -route.destination.prefixlen, default=None)

    def alias(self, index: int) -> str:
        """Return an interface's name: an index means nothing to a user, and may belong to another interface after a restart."""
        return next((interface.alias for interface in self.interfaces if interface.index == index), str(index))

    def is_private(self, interface: Interface) -> bool:
        """Report whether an interface has a network that somebody once called private, and that is not a domain's."""
        return (interface.index, "Private") in self.categories

    def renumbered(self, before: Network) -> Network:
        """Return the network with the interface indexes of an earlier reading. After a restart, an interface may have another one."""
        then = {interface.alias: interface.index for interface in before.interfaces}
        indexes = {interface.index: then.get(interface.alias, interface.index) for interface in self.interfaces}
        return replace(
            self,
            interfaces=tuple(replace(each, index=indexes[each.index]) for each in self.interfaces),
            routes=tuple(
                replace(route, interface_index=indexes.get(route.interface_index, route.interface_index))
                for route in self.routes
            ),
        )

    def line(self, key: Key) -> str:
        """Return a route as the server's registry holds it."""
        destination, next_hop, index = key
        return f"{destination} {next_hop} {self.alias(index)}"

    def by_gateway(self) -> list[Route]:
        """Return configured routes: on-link ones depend on addresses, and those of RRAS's own interfaces on clients."""
        known = {interface.index for interface in self.interfaces}
        found = [
            route
            for route in self.routes
            if route.is_default or (route.next_hop != ON_LINK and route.interface_index in known)
        ]
        return sorted(found, key=lambda route: (route.destination, route.interface_index, route.next_hop, route.store))

    def pending_findings(self) -> tuple[Finding, ...]:
        """Report an unfinished change, and what could not be read."""
        unread = tuple(
            Finding(
                "not_read",
                "warning",
                "peers",
                f"What a change has to keep is not fully known: {reason}",
                "Give the prefixes of these servers in 'preserve_routes'.",
            )
            for reason in self.unread
        )
        if not self.pending or self.pending.confirmed:
            return unread
        due = self.pending.due_in
        when = f"in {due:.0f} s" if due is not None else "at the next start"
        return (
            Finding(
                "rollback_pending",
                "warning",
                "aovpn.ikev2 rollback",
                f"The default gateway is being changed, or that run was interrupted: the old gateway comes back {when} unless the change is confirmed.",
                "Wait. The next change of the gateway waits, too.",
            ),
            *unread,
        )

    def policy_findings(self) -> tuple[Finding, ...]:
        """Report an execution policy that might prevent the rollback, which is tested before the change."""
        if self.policy not in DOUBTFUL_POLICIES:
            return ()
        return (
            Finding(
                "script_policy",
                "info",
                "aovpn.ikev2 rollback",
                f"Group Policy sets the execution policy {self.policy}. The rollback runs no file, but it needs modules of Windows, which are files.",
                "No action needed: before anything changes, a scheduled task tests whether the rollback could run.",
            ),
        )

    def as_dict(self) -> dict[str, t.Any]:
        """Return what a user wants to know, and what restores the routes: see plan_restoration."""
        persistent = {(route.next_hop, route.interface_index) for route in self.defaults(PERSISTENT)}
        return {
            "gateway": self.gateway,
            "default_routes": [
                {
                    "gateway": route.next_hop,
                    "interface": self.alias(route.interface_index),
                    "metric": route.metric,
                    "persistent": (route.next_hop, route.interface_index) in persistent,
                }
                for route in self.defaults()
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


def _addresses(texts: Iterable[str]) -> tuple[netaddr.IPAddress, ...]:
    """Return those of IPv4."""
    return tuple(netaddr.IPAddress(text) for text in texts if ":" not in text)


def _is_alive(neighbor: Mapping[str, t.Any]) -> bool:
    """Report whether a neighbour has answered: the server knows its link-layer address."""
    return neighbor["state"] not in ("Unreachable", "Incomplete") and bool(str(neighbor["mac"]).strip("0:-"))
