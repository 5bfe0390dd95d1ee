# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which services a task selects, and what it leaves out, for every platform. No input or output."""

from __future__ import annotations

import difflib
from collections.abc import Container, Iterable, Sequence
from collections.abc import Set as AbstractSet

from ansible_collections.aovpn.ikev2.plugins.module_utils._adapter import unread_findings
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import (
    ANY_PORT,
    Finding,
    InvalidInput,
    Order,
    Reading,
    Service,
    UnexpectedAnswer,
)


class NothingAt(InvalidInput):
    """There is no service at these ``addresses``."""

    def __init__(self, message: str, addresses: Sequence[str]) -> None:
        super().__init__(message)
        self.addresses = tuple(addresses)


def select(services: Sequence[Service], order: Order, label: str) -> tuple[list[Service], list[Finding]]:
    """Select the services that ``order`` names, and report addresses that serve only part of the ports.

    :raises InvalidInput: where something named does not exist, or its name is not unique.
    """
    if order.snapshot is not None:
        return _of_snapshot(services, order, order.snapshot.services, label), []
    candidates = [service for service in services if service.port in order.ports or service.port == ANY_PORT]
    if order.services is not None:
        chosen = _by_name(candidates, services, order.services, label)
    elif order.addresses is not None:
        missing = [
            address for address in order.addresses if not any(_is_at(service, [address]) for service in candidates)
        ]
        if missing:
            raise NothingAt(
                f"{label}: no UDP service on {_ports(order.ports)} at {', '.join(missing)}. {_nearest(missing[0], candidates)}",
                missing,
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


def _of_snapshot(services: Sequence[Service], order: Order, names: Iterable[str], label: str) -> list[Service]:
    """Return the services of a snapshot, which names them by their ids. One with many ports is shown on those of ``order``."""
    found: list[Service] = []
    for name in names:
        of_name = [service for service in services if service.id == name]
        if not of_name:
            raise InvalidInput(
                f"{label}: no UDP service called {name!r}. {_nearest(name, services)}"
                " The snapshot names it: create it again, or take it out of the snapshot."
            )
        found += [service for service in of_name if service.port in order.ports] or of_name
    return found


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
        ", ".join(dict.fromkeys(service.id for service in of_address)),
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
        # What only forwards packets, and does not hide where they come from, does not matter.
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
    """Check that all objects with these names could be read.

    :raises UnexpectedAnswer: where one of them could not.
    """
    for item in reading.unread:
        if names & {item.id, *item.names}:
            raise UnexpectedAnswer(
                f"{label} described {item.id} in a way that is not understood ({item.reason})."
                " Please report this with the device's version."
            )


def left_out(reading: Reading, order: Order, label: str) -> list[Finding]:
    """Report objects that could not be read.

    :raises UnexpectedAnswer: where one of them was asked for.
    """
    # What serves all ports of an address was read: nothing else there can be what was asked for.
    read = {(service.address, service.port) for service in reading.services}
    addresses = [item for item in order.addresses or () if not read.issuperset((item, port) for port in order.ports)]
    asked = {*(order.services or ()), *addresses, *(order.snapshot.services if order.snapshot else ())}
    demand_read(reading, asked, label)
    return unread_findings(reading.unread)


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
    # What has no address of its own may be what is behind the one that was asked for, such as that of content switching.
    found = [spellings[spelling] for spelling in close[:6]] + [one for one in candidates if not one.address][:6]
    # Whole pairs: half of one would be refused next.
    pairs = [
        service
        for near in found
        for service in (near, *(other for other in candidates if other.address == near.address))
    ]
    return f"There are: {', '.join(dict.fromkeys(map(str, pairs)))}."


def _ports(ports: Iterable[int]) -> str:
    return " and ".join(f"UDP {port}" for port in sorted(ports))
