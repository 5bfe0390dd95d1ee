# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which services are selected, what has to change, and what is worth knowing about it, for every platform. No input or output."""

from __future__ import annotations

import difflib
from collections.abc import Container, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from ansible_collections.aovpn.ikev2.plugins.module_utils._adapter import Adapter
from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import (
    ANY_PORT,
    Change,
    Finding,
    InvalidInput,
    Order,
    Reading,
    Server,
    Service,
    Snapshot,
    UnexpectedAnswer,
    Value,
)


def select(services: Sequence[Service], order: Order, label: str) -> tuple[list[Service], list[Finding]]:
    """Select the services that ``order`` names, and report addresses that serve only part of the ports.

    :raises InvalidInput: where something named does not exist, or its name is not unique.
    """
    if order.snapshot is not None:
        return _by_name(services, services, [*order.snapshot.services], label), []
    candidates = [service for service in services if service.port in order.ports or service.port == ANY_PORT]
    if order.services is not None:
        chosen = _by_name(candidates, services, order.services, label)
    elif order.addresses is not None:
        missing = [
            address for address in order.addresses if not any(_is_at(service, [address]) for service in candidates)
        ]
        if missing:
            raise InvalidInput(
                f"{label}: no UDP service on {_ports(order.ports)} at {', '.join(missing)}. {_nearest(missing[0], candidates)}"
            )
        # A service on any port receives what no other service of the address receives.
        exact = {(service.address, service.port) for service in candidates}
        chosen = [
            service
            for service in candidates
            if _is_at(service, order.addresses)
            and (service.port != ANY_PORT or any((service.address, port) not in exact for port in order.ports))
        ]
    else:
        # A service without a virtual address carries no client's packets, and one on any port or without servers
        # serves more than IKEv2: these are changed only when they are named.
        chosen = [
            service for service in candidates if service.address and service.port != ANY_PORT and not service.forwards
        ]

    asked_for = order.addresses is not None or order.services is not None
    findings = [
        _half_pair(of_address, candidates, order) for of_address in _by_address(chosen) if _missing(of_address, order)
    ]
    if not asked_for:
        halves = [of_address[0].address for of_address in _by_address(chosen) if _missing(of_address, order)]
        chosen = [service for service in chosen if service.address not in halves]
    findings += _not_selected(
        candidates, chosen, order, {name for finding in findings for name in finding.object.split(", ")}
    )
    return sorted(chosen, key=lambda service: (service.address, service.port, service.id)), findings


def _is_at(service: Service, addresses: Container[str]) -> bool:
    """Report whether a service is at one of these addresses; a network is at its first."""
    return service.address.partition("/")[0] in addresses


def _by_address(services: Iterable[Service]) -> list[list[Service]]:
    grouped: dict[str, list[Service]] = {}
    for service in services:
        grouped.setdefault(service.address, []).append(service)
    return [*grouped.values()]


def _missing(of_address: Sequence[Service], order: Order) -> list[int]:
    """Return the ports that the services of one address do not serve."""
    return [port for port in order.ports if not any(service.port in (port, ANY_PORT) for service in of_address)]


def _half_pair(of_address: Sequence[Service], candidates: Iterable[Service], order: Order) -> Finding:
    address, missing = of_address[0].address, _missing(of_address, order)
    elsewhere = [str(service) for service in candidates if service.address == address and service.port in missing]
    return Finding(
        "pair_incomplete",
        "warning" if order.addresses is None and order.services is None else "blocker",
        ", ".join(service.id for service in of_address),
        f"{address or 'This service'} is served here on {_ports({service.port for service in of_address})}"
        f" and not on {_ports(missing)}.",
        f"Name also {', '.join(elsewhere)}."
        if elsewhere
        else f"Create the UDP service on {_ports(missing)}, or leave this one out.",
    )


def _not_selected(
    candidates: Iterable[Service], chosen: Sequence[Service], order: Order, reported: Container[str]
) -> list[Finding]:
    """Report what carries the ports and is left out, except whole pairs at other addresses."""
    asked = {service.address for service in chosen}
    left = [
        service
        for service in candidates
        # What only forwards packets, and does not hide where they come from, is no matter.
        if service not in chosen and not (service.forwards and service.source_preserved)
    ]
    findings = []
    for of_address in _by_address(left):
        address = of_address[0].address
        beside = [
            service for service in (*of_address, *chosen) if service.address == address and service.port != ANY_PORT
        ]
        whole = bool(address) and not _missing(beside, order)
        findings += [
            Finding(
                "not_selected",
                "info" if service.forwards else "warning",
                service.id,
                f"{service} carries {_ports(order.ports) if service.port == ANY_PORT else _ports([service.port])}"
                f"{'' if address else ', has no virtual address of its own'} and was not selected.",
                "It forwards packets, and translates their source. If clients reach VPN servers through it, switch that off by hand."
                if service.forwards
                else "Name it in 'services' if it serves the VPN.",
            )
            for service in of_address
            # With both ports served beside it, a service on any port carries neither.
            if (service.forwards or not (whole and (service.port == ANY_PORT or address not in asked)))
            and service.id not in reported
        ]
    return findings


def demand_read(reading: Reading, names: AbstractSet[str], label: str) -> None:
    """Make sure that none of the objects with these names could not be read.

    :raises UnexpectedAnswer: where one of them could not.
    """
    for item in reading.unread:
        if names & {item.id, *item.names}:
            raise UnexpectedAnswer(
                f"{label} described {item.id} in a way that is not understood ({item.reason})."
                " Please report this with the device's version."
            )


def unread_findings(reading: Reading, order: Order, label: str) -> list[Finding]:
    """Report objects that could not be read.

    :raises UnexpectedAnswer: where one of them was asked for.
    """
    asked = {*(order.services or ()), *(order.addresses or ()), *(order.snapshot.services if order.snapshot else ())}
    demand_read(reading, asked, label)
    return [
        Finding(
            "not_read",
            "warning",
            item.id,
            f"This object is described in a way that is not understood ({item.reason}), so it was left out.",
            "Check by hand whether it serves the VPN. Please report this with the device's version.",
        )
        for item in reading.unread
    ]


def changes(adapter: Adapter, order: Order, reading: Reading, selected: Sequence[Service]) -> list[Change]:
    """List what has to change, device settings first: services depend on them.

    With a snapshot, that is what it takes to restore it. Otherwise it is what state ``preserved`` changes, in every state.
    """
    if not selected:
        return []
    if order.snapshot is None:
        device = adapter.wanted_device
        wanted = {service.id: adapter.wanted(service) for service in selected}
    else:
        device = {
            name: value for name in reading.device if (value := order.snapshot.device.get(name.lower())) is not None
        }
        wanted = {name: adapter.settings(value) for name, value in order.snapshot.services.items()}
    found = [
        Change(adapter.host, name, reading.device[name], value, "device")
        for name, value in device.items()
        if reading.device.get(name) not in (None, value)
    ]
    current = {service.id: service.settings for service in selected}
    return found + [
        Change(service, name, current[service].get(name), value)
        for service, settings in wanted.items()
        for name, value in settings.items()
        if current[service].get(name) != value
    ]


def device_findings(changes: Iterable[Change], label: str) -> list[Finding]:
    """Report the settings of the whole device that have to change."""
    return [
        Finding(
            "device_setting",
            "warning",
            label,
            f"The setting {change.setting} is {change.before!r}. To keep the clients' addresses it has to be {change.after!r}.",
            "State 'preserved' changes it.",
        )
        for change in changes
        if change.scope == "device"
    ]


def snapshot_findings(adapter: Adapter, snapshot: Snapshot | None) -> list[Finding]:
    """Report a snapshot that was taken from another device."""
    if snapshot is None or (snapshot.platform, snapshot.host) == (adapter.platform, adapter.host):
        return []
    return [
        Finding(
            "other_device",
            "blocker",
            adapter.label,
            f"The snapshot is of {snapshot.platform} {snapshot.host}.",
            "Restore it on that device, or accept 'other_device' if this is the same device by another name.",
        )
    ]


def server_findings(services: Iterable[Service]) -> list[Finding]:
    """Report addresses whose services have different servers: a client's UDP 500 and 4500 have to reach the same one.

    Only servers that take new connections count.
    """
    # Several services may share one port, such as one for each server: their servers count together.
    ports: dict[str, dict[int, list[Service]]] = {}
    for service in services:
        ports.setdefault(service.address, {}).setdefault(service.port, []).append(service)
    sets = {
        address: {
            ", ".join(service.id for service in of_port): frozenset(
                server.address for service in of_port for server in service.servers if server.enabled and server.up
            )
            for of_port in by_port.values()
        }
        for address, by_port in ports.items()
    }
    return [
        Finding(
            "server_sets_differ",
            "warning",
            ", ".join(by_service),
            "These services of one address have different servers for new connections: "
            + "; ".join(f"{name} has {', '.join(sorted(servers)) or 'none'}" for name, servers in by_service.items())
            + ".",
            "Give both the same servers, or one client's packets may reach two of them.",
        )
        for by_service in sets.values()
        if len(set(by_service.values())) > 1
    ]


def disabled(changed: Iterable[Service]) -> list[Finding]:
    return [
        Finding(
            "disabled_service",
            "info",
            service.id,
            "This service is disabled. Its setting is changed like the others', and it stays disabled.",
            "No action needed.",
        )
        for service in changed
        if not service.enabled
    ]


def return_path_findings(
    services: Iterable[Service], changes: Sequence[Change], order: Order, adapter: Adapter
) -> list[Finding]:
    """Judge whether the replies of each service's servers come back through this device.

    A change that makes a service keep the client's address is always judged. With ``gathered``, every service is judged,
    and only where the gateways were given.
    """
    affected = _affected(services, changes, adapter)
    gathering = order.state == "gathered"
    if not order.return_path and (gathering or not affected):
        return []
    findings: dict[tuple[str, str], Finding] = {}
    for service in services:
        if not gathering and service.id not in affected:
            continue
        if not service.servers:
            findings[service.id, ""] = Finding(
                "return_path_unverified",
                "blocker",
                service.id,
                "The device names no server behind this service, so the path of the replies cannot be checked.",
                "Add the servers, or accept 'return_path_unverified' if you know that their replies come back through this device.",
            )
        for server in service.servers:
            finding = None if server.direct else _judge(server, order.return_path or {})
            former = findings.get(("", server.address))
            # Once for each server, and as in service where it is so behind one of the services.
            if finding and (former is None or former.severity != "blocker"):
                findings["", server.address] = finding
    return list(findings.values())


def _judge(server: Server, return_path: Mapping[str, str]) -> Finding | None:
    gateways = server.gateways
    expected = (
        f"one of {', '.join(gateways)}"
        if gateways
        else "an address of this device in the server's subnet, and it has none there"
    )
    gateway = return_path.get(server.address, return_path.get(server.address.partition("%")[0]))
    if gateway is not None and gateway.partition("%")[0] in {item.partition("%")[0] for item in gateways}:
        return None
    code = "return_path_unverified" if gateway is None else "return_path_wrong"
    known = "is not known" if gateway is None else f"is {gateway}"
    if not server.enabled:
        return Finding(
            code,
            "info",
            server.address,
            f"An administrator took this server out of service. Its default gateway {known}.",
            f"Before it is enabled again, its default gateway has to be {expected}.",
        )
    if gateway is None:
        return Finding(
            code,
            "blocker",
            server.address,
            "This server's default gateway is not known. With the wrong one, every client is cut off.",
            f"It has to be {expected}. Pass it in 'return_path'; the role rras reads it from the server.",
        )
    return Finding(
        code,
        "blocker",
        server.address,
        f"This server's default gateway is {gateway}, so its replies to clients would not come back through this device.",
        f"Make it {expected}, with the role rras; or accept 'return_path_wrong' if its replies come back some other way.",
    )


def family_findings(
    services: Iterable[Service], changes: Sequence[Change], order: Order, adapter: Adapter
) -> list[Finding]:
    """Report services whose servers are of another IP version than the virtual address.

    There the translation of the source is what joins the two: no packet can carry an IPv6 source to an IPv4 server.
    """
    affected = _affected(services, changes, adapter)
    return [
        Finding(
            "unsupported_mode",
            "blocker" if order.state == "gathered" or service.id in affected else "warning",
            service.id,
            f"The virtual address {service.address} and its servers {', '.join(others)} are not of one IP version."
            " Without translation of the source, no client could reach them.",
            "Give this virtual address servers of its own IP version only.",
        )
        for service in services
        if service.address
        and not service.source_preserved
        and (
            others := [
                server.address for server in service.servers if _version(server.address) != _version(service.address)
            ]
        )
    ]


def _version(address: str) -> int:
    return int(netaddr.IPAddress(address.partition("/")[0].partition("%")[0]).version)


def _affected(services: Iterable[Service], changes: Sequence[Change], adapter: Adapter) -> set[str]:
    """Return the services that ``changes`` make keep the client's address."""
    after = settings_after(changes)
    return {
        service.id
        for service in services
        if service.id in after
        and not service.source_preserved
        and adapter.preserves(service, {**service.settings, **after[service.id]})
    }


def settings_after(changes: Iterable[Change]) -> dict[str, dict[str, Value]]:
    """Return the settings that ``changes`` give to services, by service."""
    after: dict[str, dict[str, Value]] = {}
    for change in changes:
        if change.scope == "service" and change.after is not None:
            after.setdefault(change.id, {})[change.setting] = change.after
    return after


def reading_after(reading: Reading, changes: Sequence[Change], adapter: Adapter) -> Reading:
    """Predict what will be read once ``changes`` are made."""
    after = settings_after(changes)

    def predict(service: Service) -> Service:
        if service.id not in after:
            return service
        settings = {**service.settings, **after[service.id]}
        return replace(service, settings=settings, source_preserved=adapter.preserves(service, settings))

    device = {
        change.setting: change.after for change in changes if change.scope == "device" and change.after is not None
    }
    return replace(reading, services=tuple(map(predict, reading.services)), device={**reading.device, **device})


def _by_name(
    candidates: Sequence[Service], services: Sequence[Service], names: Iterable[str], label: str
) -> list[Service]:
    """Find each name among ``candidates``. ``services`` are all services, to tell a wrong port from a wrong name."""
    chosen: list[Service] = []
    for name in names:
        found = _called(name, candidates)
        if not found:
            others = _called(name, services)
            if others:
                raise InvalidInput(f"{label}: {', '.join(map(str, others))} exists, but serves another port.")
            raise InvalidInput(f"{label}: no UDP service called {name!r}. {_nearest(name, candidates)}")
        if len({service.id for service in found}) > 1:
            raise InvalidInput(
                f"{label}: {name!r} matches each of {', '.join(str(service) for service in found)}. Give the full name."
            )
        chosen += [service for service in found if service not in chosen]
    return chosen


def _called(name: str, services: Sequence[Service]) -> list[Service]:
    exact = [service for service in services if service.id == name]
    return exact or [service for service in services if name in service.names]


def _nearest(wanted: str, candidates: Sequence[Service]) -> str:
    if not candidates:
        return "The device has no UDP service on these ports."
    spellings = {
        spelling: service for service in candidates for spelling in (service.id, service.address, *service.names)
    }
    close = difflib.get_close_matches(wanted, spellings, n=4, cutoff=0.4) or list(spellings)
    found = [spellings[spelling] for spelling in close[:6]]
    # Whole pairs: half of one would be refused next.
    pairs = [service for near in found for service in candidates if service.address == near.address or service is near]
    return f"There are: {', '.join(dict.fromkeys(map(str, pairs)))}."


def _ports(ports: Iterable[int]) -> str:
    return " and ".join(f"UDP {port}" for port in sorted(ports))
