# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps of a change of a Windows server's routes: what they come to, and what undoes them. No input or output."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Change, Finding
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.network import (
    ACTIVE,
    DEFAULT,
    PERSISTENT,
    Key,
    Network,
    Route,
)

BOTH = "both"
NEW_ROUTE_METRIC = 256
"""What Windows gives a route that nobody gave a metric."""


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
        """Return what distinguishes the route from others."""
        return self.destination, self.next_hop, self.interface_index

    def __str__(self) -> str:
        return f"{self.action} {self.destination} by {self.next_hop} in {self.store}"

    def as_dict(self) -> dict[str, t.Any]:
        """Return plain values, as change_routes.ps1 takes them."""
        return dict(vars(self))


@dataclass(frozen=True)
class Plan:
    """Steps in the order in which they are safe.

    ``preserve`` only adds; ``switch`` changes what packets take, in the active store alone, so that a reboot would undo it;
    ``keep`` makes it persistent, once it is seen to work. ``rollback`` restores what was, wherever the change ended.
    ``remember``: which of the routes that stand then were added by this collection.
    """

    preserve: tuple[Step, ...] = ()
    switch: tuple[Step, ...] = ()
    keep: tuple[Step, ...] = ()
    rollback: tuple[Step, ...] = ()
    remember: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    changes: tuple[Change, ...] = ()

    @classmethod
    def of(
        cls,
        network: Network,
        preserve: Sequence[Step],
        switch: Sequence[Step],
        keep: Sequence[Step],
        findings: Iterable[Finding],
    ) -> Plan:
        """Add to the steps their rollback, what is to be remembered, and what they change."""
        steps = [*preserve, *switch, *keep]
        after = predict(network, steps)
        standing = {network.line(route.key) for route in after.routes if route.store == ACTIVE}
        added = {network.line(step.key) for step in preserve}
        return cls(
            tuple(preserve),
            tuple(switch),
            tuple(keep),
            tuple(_rollback(network, steps)),
            tuple(sorted(standing & (added | {*network.remembered}))),
            (*network.pending_findings(), *findings),
            changes_between(network, after, steps),
        )

    @property
    def steps(self) -> tuple[Step, ...]:
        """Return all steps of the change."""
        return self.preserve + self.switch + self.keep


def predict(network: Network, steps: Iterable[Step]) -> Network:
    """Return the network as it will be when ``steps`` are carried out, as change_routes.ps1 does it."""
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
    """Report whether all that ``steps`` would do is done."""
    return set(predict(network, steps).routes) == set(network.routes)


def changes_between(before: Network, after: Network, steps: Iterable[Step]) -> tuple[Change, ...]:
    """Return what differs between two readings of a server, of the prefixes and interfaces that ``steps`` touch.

    That is one next hop each, whichever stores it is in. Where only a metric differs, it is the metric.
    """
    found = []
    for destination, index in {(step.destination, step.interface_index) for step in steps}:
        was, now = (_metrics(network, destination, index) for network in (before, after))
        gone, new = ([place for place in one if place not in other] for one, other in ((was, now), (now, was)))
        if gone or new:
            hops = [[hop for _store, hop in places] for places in (gone, new)]
            if destination == DEFAULT and not all(hops):  # beside one that stays
                hops = [hops[0] or _others(was, hops[1]), hops[1] or _others(now, hops[0])]
            old, hop = (next(iter(each), None) for each in hops)
            found.append((index, Change(destination, "NextHop", old, hop, "route")))
        elif metric := next((place for place in was if was[place] != now[place]), None):
            found.append((index, Change(destination, "RouteMetric", was[metric], now[metric], "route")))
    ordered = sorted(found, key=lambda item: (netaddr.IPNetwork(item[1].id), item[1].after is None, item[0]))
    return tuple(change for _index, change in ordered)


def _metrics(network: Network, destination: str, index: int) -> dict[tuple[str, str], int]:
    """Return the metrics of the routes of a prefix on an interface by store and next hop, the preferred ones first."""
    mine = [route for route in network.routes if (route.key[0], route.interface_index) == (destination, index)]
    ordered = sorted(network.ordered(mine), key=lambda route: route.store)
    return {(route.store, route.next_hop): route.metric for route in ordered}


def _others(places: Iterable[tuple[str, str]], hops: Sequence[str]) -> list[str]:
    return [hop for _store, hop in places if hop not in hops]


def _rollback(network: Network, steps: Sequence[Step]) -> list[Step]:
    """Return the steps after which the routes that ``steps`` touch stand as they do now, however many of them were done."""
    restore, gone = [], []
    for key in dict.fromkeys(step.key for step in steps):
        found = stores(network.routes, key)
        metrics = {*found.values(), *(step.metric for step in steps if step.key == key and step.action == "add")}
        if found and len(metrics) > 1:  # nobody knows with which of them it is found
            restore += [remove(key, ACTIVE), remove(key, PERSISTENT)]
        restore += make(key, found)
        gone += [remove(key, store) for store in (ACTIVE, PERSISTENT) if store not in found]
    return restore + gone


def make(key: Key, wanted: Mapping[str, int]) -> list[Step]:
    """Return the steps that make a route in these stores with their metrics, where it does not stand in the persistent one."""
    if PERSISTENT not in wanted:
        return [add(key, ACTIVE, wanted[ACTIVE])] if wanted else []
    # Windows writes to the persistent store only together with the active one.
    made = [add(key, BOTH, wanted[PERSISTENT])]
    if wanted.get(ACTIVE) != wanted[PERSISTENT]:
        made.append(remove(key, ACTIVE))
        made += [add(key, ACTIVE, wanted[ACTIVE])] if ACTIVE in wanted else []
    return made


def add(key: Key, store: str, metric: int) -> Step:
    """Return the step that adds a route."""
    return Step("add", store, *key, metric)


def remove(key: Key, store: str) -> Step:
    """Return the step that removes a route."""
    return Step("remove", store, *key)


def stores(routes: Iterable[Route], key: Key) -> dict[str, int]:
    """Return in which stores a route stands, the active one first, and with which metric."""
    return dict(sorted((route.store, route.metric) for route in routes if route.key == key))
