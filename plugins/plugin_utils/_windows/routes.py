# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan for a Windows server's IPv4 default gateway: the steps from what was read to what is wanted. No input or output."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import NOT_UNDERSTOOD, Change, Finding
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.errors import PlanError
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.gateway_findings import (
    answers,
    default_routes,
    firewall_profile,
    lost_routes,
    not_answering,
    passing,
    unknown_gateway,
)
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.network import (
    ACTIVE,
    DEFAULT,
    ON_LINK,
    PERSISTENT,
    Interface,
    Key,
    Network,
    Route,
)
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.preserve import (
    Former,
    formers,
    preserve,
)
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.probe import Probe
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.steps import (
    BOTH,
    NEW_ROUTE_METRIC,
    Plan,
    Step,
    add,
    make,
    predict,
    remove,
    stores,
)

SHORTEST_TIMEOUT, LONGEST_TIMEOUT = 5, 3600
"""The range of ``rollback_timeout``, in seconds."""


@dataclass(frozen=True)
class Wanted:
    """What a task asks for, checked. ``preserve_routes`` is None if nobody said what has to keep the old gateway."""

    gateway: netaddr.IPAddress
    interface_alias: str | None = None
    mac: str | None = None
    preserve_routes: tuple[netaddr.IPNetwork, ...] | None = None
    remove_other_defaults: bool = False
    allow_dhcp: bool = False
    probe: Probe | None = None
    keep_network_category: bool = False

    @classmethod
    def of_options(cls, options: Mapping[str, t.Any]) -> Wanted | None:
        """Read a task's options; None if no gateway is wanted.

        :raises PlanError: with the option and its valid values.
        """
        return (
            None
            if options["gateway"] is None
            else cls.parse(**{name: options[name] for name in cls.__dataclass_fields__})
        )

    @classmethod
    def parse(
        cls,
        *,
        gateway: str,
        interface_alias: str | None,
        mac: str | None,
        preserve_routes: Sequence[str] | None,
        remove_other_defaults: bool,
        allow_dhcp: bool,
        probe: str | None = None,
        keep_network_category: bool = False,
    ) -> Wanted:
        """Check a task's options.

        :raises PlanError: with the option and its valid values.
        """
        try:
            address = netaddr.IPAddress(gateway, flags=netaddr.INET_PTON)
        except (ValueError, netaddr.AddrFormatError):
            raise PlanError(f"Option 'gateway' is {gateway!r}, which is not an IP address.") from None
        if address.version != 4:
            raise PlanError(f"Option 'gateway' is {gateway}. Only the IPv4 default gateway is managed.")
        prefixes: list[netaddr.IPNetwork] = []
        for text in preserve_routes or ():
            try:
                prefix = netaddr.IPNetwork(text)
            except (ValueError, netaddr.AddrFormatError):
                raise PlanError(
                    f"Option 'preserve_routes' contains {text!r}, which is not a prefix such as 192.0.2.0/24."
                ) from None
            if prefix.version != 4 or prefix.prefixlen == 0 or prefix.ip != prefix.network:
                raise PlanError(
                    f"Option 'preserve_routes' contains {text!r}. It takes IPv4 prefixes such as 192.0.2.0/24, but not the default route."
                )
            for other in prefixes:
                if prefix in other or other in prefix:
                    raise PlanError(
                        f"Option 'preserve_routes' contains {prefix} and {other}, which overlap. Give one of them."
                    )
            prefixes.append(prefix)
        kept = None if preserve_routes is None else tuple(prefixes)
        beyond = None if probe is None else Probe.parse(probe)
        return cls(
            address, interface_alias, mac, kept, remove_other_defaults, allow_dhcp, beyond, keep_network_category
        )


def plan_default_gateway(network: Network, wanted: Wanted) -> Plan:
    """Plan how to make ``wanted.gateway`` the only default gateway on its interface.

    :raises PlanError: if no plan is safe.
    """
    _require_administrator(network)
    if network.remote_access in (None, "disabled"):
        raise PlanError(
            "This is not an RRAS server: the service RemoteAccess is "
            + ("disabled." if network.remote_access else "missing.")
            + " Remove it from the group, or set up Routing and Remote Access first."
        )
    interface = choose_interface(network.interfaces, wanted)
    gateway = str(wanted.gateway)
    if wanted.gateway in {item.ip for each in network.interfaces for item in each.networks}:
        raise PlanError(f"Option 'gateway' is {gateway}, which is this server's own address.")
    for item in interface.networks:
        # Subnets of one or two addresses have neither.
        if item.prefixlen < 31 and wanted.gateway in (item.network, item.broadcast):
            raise PlanError(f"Option 'gateway' is {gateway}, which is the network or broadcast address of {item.cidr}.")
    if interface.dhcp and not wanted.allow_dhcp:
        raise _dhcp_refusal(interface)

    def replaced(route: Route) -> bool:
        here = route.interface_index == interface.index
        return route.next_hop != gateway if here else wanted.remove_other_defaults

    old = [route for route in network.defaults() if replaced(route)]
    old_persistent = [route for route in network.defaults(PERSISTENT) if replaced(route)]
    present_in = stores(network.routes, (DEFAULT, gateway, interface.index))
    # The new route takes the old one's metric. One that is already in a store keeps its own.
    metrics = [*present_in.values(), *(route.metric for route in old if route.interface_index == interface.index)]
    metric = metrics[0] if metrics else NEW_ROUTE_METRIC

    switch, keep = [], []
    if ACTIVE not in present_in:
        switch.append(Step("add", ACTIVE, DEFAULT, gateway, interface.index, metric))
    switch += [Step("remove", ACTIVE, DEFAULT, route.next_hop, route.interface_index) for route in old]
    if PERSISTENT not in present_in:
        keep.append(Step("add", BOTH, DEFAULT, gateway, interface.index, metric))
    keep += [Step("remove", PERSISTENT, DEFAULT, route.next_hop, route.interface_index) for route in old_persistent]

    lost = _lost(network, switch, gateway)
    former = formers(network, gateway, lost)
    declared = wanted.preserve_routes or ()
    kept, unknown = preserve(network, switch, gateway, declared, former)

    findings = default_routes(network, interface, gateway, wanted.remove_other_defaults)
    if (switch or keep) and not answers(network, interface):
        findings.append(not_answering(gateway, interface))
    elif (switch or keep) and wanted.probe:
        after = predict(network, (*kept, *switch, *keep))
        findings += filter(None, [wanted.probe.elsewhere(after, gateway)])
    if switch and not wanted.keep_network_category:
        findings += firewall_profile(network, interface)
    if lost and wanted.preserve_routes is None:
        findings.append(lost_routes(network, lost, gateway))
    if until_restart := [step.destination for step in kept if step.store == ACTIVE]:
        findings.append(passing(until_restart, gateway))
    if unknown:
        findings.append(unknown_gateway(unknown, declared, gateway))
    return Plan.of(network, kept, switch, keep, findings, map(str, former))


def survey_default_gateway(network: Network, wanted: Wanted | None) -> Plan:
    """Report what plan_default_gateway would change, without steps. Where it refuses, the reason is a finding."""
    if wanted is None:
        return Plan(findings=network.pending_findings())
    try:
        plan = plan_default_gateway(network, wanted)
    except PlanError as error:
        reason = Finding(
            "change_refused",
            "blocker",
            "default gateway",
            str(error),
            "Correct this first. Until then, the default gateway is not changed.",
        )
        change = Change(DEFAULT, "NextHop", network.gateway, str(wanted.gateway), "route")
        return Plan(
            findings=(*network.pending_findings(), reason), changes=(change,) if change.before != change.after else ()
        )
    return Plan(findings=plan.findings, changes=plan.changes)


def plan_restoration(network: Network, snapshot: Mapping[str, t.Any], allow_dhcp: bool = False) -> Plan:
    """Plan how to restore the routes of ``snapshot``, which is what Network.as_dict returned when it was taken.

    These are all default routes of both stores, and of the other routes those that this collection has added since, which the
    server's registry lists. Routes that others have added or removed are left alone.

    :raises PlanError: if no plan is safe.
    """
    _require_administrator(network)
    then = _routes_in(snapshot, network)
    lines = {*network.remembered}
    mine = {
        route.key for route in [*then, *network.routes] if not route.is_default and network.line(route.key) in lines
    }
    default_keys = {route.key for route in [*then, *network.routes] if route.is_default}
    adding, removing, keeping, dropping = [], [], [], []
    for key in sorted(mine) + sorted(default_keys):
        is_in, was_in = stores(network.routes, key), stores(then, key)
        if ACTIVE not in was_in:
            removing += [remove(key, ACTIVE)] if ACTIVE in is_in else []
        elif is_in.get(ACTIVE) != was_in[ACTIVE]:
            adding += [remove(key, ACTIVE)] if ACTIVE in is_in else []
            adding.append(add(key, ACTIVE, was_in[ACTIVE]))
        if PERSISTENT not in was_in:
            dropping += [remove(key, PERSISTENT)] if PERSISTENT in is_in else []
        elif is_in.get(PERSISTENT) != was_in[PERSISTENT]:
            keeping += [remove(key, PERSISTENT)] if PERSISTENT in is_in else []
            keeping += make(key, was_in)
    for step in (*adding, *keeping):
        if step.destination == DEFAULT and step.action == "add":
            _check_reachable(network, step)
    for interface in network.interfaces:
        touched = {step.interface_index for step in (*adding, *removing, *keeping, *dropping)}
        if interface.dhcp and not allow_dhcp and interface.index in touched:
            raise _dhcp_refusal(interface)
    # The peers' routes stay until the default routes that replace them are in effect.
    switch = [*adding, *reversed(removing)]
    back = {route.next_hop for route in then if route.is_default}
    former = [text for text in network.former if (line := Former.parse(text)) and line.successor in back]
    return Plan.of(network, [], switch, [*keeping, *dropping], _others(network, then, mine), former)


def choose_interface(interfaces: Iterable[Interface], wanted: Wanted) -> Interface:
    """Choose by alias, by MAC address, or the one interface whose subnet contains the gateway.

    :raises PlanError: with the list of interfaces, if none or several match.
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
            f"No interface matches 'interface_alias' {wanted.interface_alias!r} and 'mac' {wanted.mac!r}. {listed}"
        )
    on_link = [item for item in chosen if any(wanted.gateway in network for network in item.networks)]
    if not on_link:
        raise PlanError(
            f"The gateway {wanted.gateway} is not in a subnet of this server, so it cannot be reached directly. {listed}"
        )
    if len(on_link) > 1:
        raise PlanError(
            f"The gateway {wanted.gateway} is in a subnet of several interfaces. Choose one with 'interface_alias' or 'mac'. {listed}"
        )
    return on_link[0]


def _require_administrator(network: Network) -> None:
    if not network.administrator:
        raise PlanError(
            "The user of the connection is not an administrator of this server and cannot change its routes."
        )


def _dhcp_refusal(interface: Interface) -> PlanError:
    return PlanError(
        f"Interface {interface} is configured by DHCP, which would undo the change of the gateway."
        " Give it a fixed address, or set 'allow_dhcp' if the DHCP server hands out that gateway."
    )


def _routes_in(snapshot: Mapping[str, t.Any], network: Network) -> list[Route]:
    """Read the routes in a snapshot.

    :raises PlanError: if it has none, or if they are another server's.
    """
    indexes = {interface.alias: interface.index for interface in network.interfaces}
    listed = "; ".join(map(str, network.interfaces)) or "none"
    own = {str(item.ip) for interface in network.interfaces for item in interface.networks}
    try:
        if own.isdisjoint(map(str, snapshot["addresses"])):
            raise PlanError(
                f"Option 'snapshot' was taken from a server with the addresses {', '.join(map(str, snapshot['addresses']))}."
                f" This server has none of them. Interfaces are: {listed}."
            )
        found = []
        for item in snapshot["routes"]:
            alias, store = str(item["interface"]), str(item["store"])
            if alias not in indexes and not alias.isdigit():
                raise PlanError(
                    f"Option 'snapshot' has a route on interface {alias!r}, which does not exist. Interfaces are: {listed}."
                )
            if store not in (ACTIVE, PERSISTENT):
                raise ValueError(f"the store {store!r}")
            destination = netaddr.IPNetwork(str(item["destination"])).cidr
            next_hop = str(netaddr.IPAddress(str(item["next_hop"])))
            index = indexes[alias] if alias in indexes else int(alias)
            found.append(Route(store, destination, next_hop, index, int(item["metric"])))
    except NOT_UNDERSTOOD as error:
        raise PlanError(
            f"Option 'snapshot' is not what this module returns as 'before' or 'after' ({type(error).__name__}: {error})."
        ) from error
    return found


def _check_reachable(network: Network, step: Step) -> None:
    """Check that a gateway of the snapshot can still be reached.

    :raises PlanError: if it cannot.
    """
    networks = {item.index: item.networks for item in network.interfaces}.get(step.interface_index)
    if networks is not None and step.next_hop != ON_LINK and not any(step.next_hop in item for item in networks):
        raise PlanError(
            f"The snapshot's gateway {step.next_hop} is not in a subnet that interface {network.alias(step.interface_index)} has now"
            f" ({', '.join(map(str, networks)) or 'none'}), so it cannot be reached directly."
        )


def _others(network: Network, then: Iterable[Route], mine: set[Key]) -> list[Finding]:
    """Report static routes that others have added or removed since the snapshot."""

    def lines(routes: Iterable[Route]) -> set[str]:
        return {
            f"{route.destination} via {route.next_hop}"
            for route in routes
            if route.store == PERSISTENT and not route.is_default and route.key not in mine
        }

    was, now = lines(then), lines(network.by_gateway())
    differing = [f"{line} was added" for line in sorted(now - was)]
    differing += [f"{line} was removed" for line in sorted(was - now)]
    if not differing:
        return []
    return [
        Finding(
            "routes_differ",
            "info",
            "routes",
            f"Other routes have been changed since the snapshot was taken, not by this collection. They are left alone: {'; '.join(differing)}.",
            "No action needed if this was intended.",
        )
    ]


def _lost(network: Network, switch: Sequence[Step], gateway: str) -> list[Route]:
    """Return the default routes that are removed, and the one in use if the new one is preferred to it, the preferred one first."""
    before, after = network.defaults(), predict(network, switch).defaults()
    return [
        route
        for number, route in enumerate(before)
        if route not in after or (number == 0 and route != after[0] and after[0].next_hop == gateway)
    ]


def _hex(mac: str) -> str:
    return "".join(character for character in mac if character.isalnum()).casefold()
