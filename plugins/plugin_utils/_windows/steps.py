# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps that change a Windows server's routes, what results from them, and what undoes them. No input or output."""

from __future__ import annotations

import json
import typing as t
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import NOT_UNDERSTOOD, Change, Finding
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.errors import PlanError
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
"""The metric that Windows gives a route by default."""


@dataclass(frozen=True)
class Step:
    """Adds a route to a store, or removes it. Does nothing if that is already so.

    ``interface`` is the alias by which the server finds the interface, since its index may be another one after a restart.
    """

    action: t.Literal["add", "remove"]
    store: str
    destination: str
    next_hop: str
    interface_index: int
    metric: int = NEW_ROUTE_METRIC
    interface: str = field(default="", compare=False)

    @property
    def key(self) -> Key:
        """Return what identifies the route."""
        return self.destination, self.next_hop, self.interface_index

    def __str__(self) -> str:
        return f"{self.action} {self.destination} via {self.next_hop} in {self.store}"

    def as_dict(self) -> dict[str, t.Any]:
        """Return plain values."""
        return dict(vars(self))

    @property
    def line(self) -> str:
        """Return the step as change_routes.ps1 takes it."""
        return f"{self.action} {self.store} {self.destination} {self.next_hop} {self.metric} {self.interface}"


@dataclass(frozen=True)
class Plan:
    """Steps in a safe order.

    ``preserve`` only adds; ``switch`` changes the routes in use, in the active store only, so that a reboot undoes it;
    ``keep`` makes them persistent once they have been seen to work. ``rollback`` restores the old routes, wherever the change ended.
    ``remember``: the routes of this collection once the steps are done; ``former``: the gateways that were replaced, see preserve.Former.
    """

    preserve: tuple[Step, ...] = ()
    switch: tuple[Step, ...] = ()
    keep: tuple[Step, ...] = ()
    rollback: tuple[Step, ...] = ()
    remember: tuple[str, ...] = ()
    former: tuple[str, ...] = ()
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
        former: Iterable[str] = (),
    ) -> Plan:
        """Add to the steps their rollback, the routes to remember, what they change, and the names of their interfaces."""

        def named(some: Iterable[Step]) -> tuple[Step, ...]:
            return tuple(replace(step, interface=network.alias(step.interface_index)) for step in some)

        steps = [*preserve, *switch, *keep]
        after = predict(network, steps)
        active = {network.line(route.key) for route in after.routes if route.store == ACTIVE}
        added = {network.line(step.key) for step in preserve}
        return cls(
            named(preserve),
            named(switch),
            named(keep),
            named(_rollback(network, steps)),
            tuple(sorted(active & (added | {*network.remembered}))),
            tuple(former) if steps else network.former,
            (*network.pending_findings(), *(network.policy_findings() if steps else ()), *findings),
            changes_between(network, after, steps),
        )

    @property
    def steps(self) -> tuple[Step, ...]:
        """Return all steps of the change."""
        return self.preserve + self.switch + self.keep


def predict(network: Network, steps: Iterable[Step]) -> Network:
    """Return the network as it will be after ``steps``, as change_routes.ps1 carries them out."""
    routes = {(route.store, *route.key): route for route in network.routes}
    for step in steps:
        if step.action == "remove":
            routes.pop((step.store, *step.key), None)
            continue
        made = Route(ACTIVE, netaddr.IPNetwork(step.destination), step.next_hop, step.interface_index, step.metric)
        if step.store == BOTH and (PERSISTENT, *step.key) not in routes:
            # The active one is replaced with it.
            routes[PERSISTENT, *step.key] = replace(made, store=PERSISTENT)
            routes[ACTIVE, *step.key] = made
        routes.setdefault((ACTIVE, *step.key), made)
    return replace(network, routes=tuple(routes.values()))


def stands(network: Network, steps: Iterable[Step]) -> bool:
    """Report whether ``steps`` have nothing left to do."""
    return set(predict(network, steps).routes) == set(network.routes)


def changes_between(before: Network, after: Network, steps: Iterable[Step]) -> tuple[Change, ...]:
    """Return the difference between two readings of a server, limited to the prefixes and interfaces that ``steps`` touch.

    It is one next hop each, whichever stores it is in, or the metric if only that differs.
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


def former_rollback(raw: t.Any, network: Network) -> tuple[list[Step], list[str]]:
    """Return the steps of a rollback that version 0.1.0 left in a file, and the routes to remember.

    It knew interfaces by their indexes, which another one may have since a restart: an index counts if the next hop is in a subnet of that interface.

    :raises PlanError: if it cannot be read, or not be carried out.
    """
    try:
        plan = json.loads(raw)
        steps = [
            Step(
                item["action"],
                str(item["store"]),
                str(item["destination"]),
                str(item["next_hop"]),
                int(item["interface_index"]),
                int(item.get("metric", NEW_ROUTE_METRIC)),
                network.alias(int(item["interface_index"])),
            )
            for item in plan["steps"]
        ]
        remember = [*map(str, plan["remember"])]
    except NOT_UNDERSTOOD as error:
        raise PlanError(
            rf"the rollback of an earlier version, C:\Program Files\aovpn.ikev2\rollback.json, cannot be read ({type(error).__name__}: {error})."
        ) from error
    networks = {item.index: item.networks for item in network.interfaces}
    for step in steps:
        if step.action == "add" and not any(step.next_hop in each for each in networks.get(step.interface_index, ())):
            raise PlanError(
                f"the rollback of an earlier version is for another order of the network interfaces: {step} on interface {step.interface} is not possible now."
                " Correct the routes on the server, then remove its scheduled tasks with: Unregister-ScheduledTask -TaskName 'aovpn.ikev2*'"
            )
    return steps, remember


def _rollback(network: Network, steps: Sequence[Step]) -> list[Step]:
    """Return the steps that restore the present state of the routes that ``steps`` touch, however many of those were done."""
    restore, gone = [], []
    for key in dict.fromkeys(step.key for step in steps):
        found = stores(network.routes, key)
        metrics = {*found.values(), *(step.metric for step in steps if step.key == key and step.action == "add")}
        if found and len(metrics) > 1:  # it may have any of them by then
            restore += [remove(key, ACTIVE), remove(key, PERSISTENT)]
        restore += make(key, found)
        gone += [remove(key, store) for store in (ACTIVE, PERSISTENT) if store not in found]
    return restore + gone


def make(key: Key, wanted: Mapping[str, int]) -> list[Step]:
    """Return the steps that add a route to these stores with their metrics, given that it is not in the persistent store."""
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
    """Return the stores that a route is in, the active one first, with its metric in each."""
    return dict(sorted((route.store, route.metric) for route in routes if route.key == key))
