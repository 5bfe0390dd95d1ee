# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has to change on the selected services, and what is worth knowing about it, for every platform. No input or output."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ansible_collections.aovpn.ikev2.plugins.module_utils._adapter import Adapter
from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import (
    Change,
    Finding,
    Order,
    Reading,
    Server,
    Service,
    Snapshot,
    Value,
)


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


def unsaved_finding(label: str, *, saved: bool) -> Finding:
    """Report that an earlier run may have left a change unsaved."""
    message = "A run that changed this device has not finished, and may have left the change unsaved."
    if saved:
        return Finding(
            "unsaved_change", "info", label, f"{message} The configuration is saved now.", "No action needed."
        )
    return Finding(
        "unsaved_change",
        "warning",
        label,
        f"{message} A reboot would undo it.",
        "The next task that may change this device saves it, even if nothing else is left to do. Or save it by hand.",
    )


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
    sets = {
        address: {
            ", ".join(service.id for service in of_port): frozenset(
                server.address for service in of_port for server in service.servers if server.enabled and server.up
            ).union(*(service.unresolved for service in of_port))
            for of_port in by_port.values()
        }
        for address, by_port in _by_port(services).items()
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


def _by_port(services: Iterable[Service]) -> dict[str, dict[int, list[Service]]]:
    """Return the services by address and port. Several may share one port, such as one for each server: they count together."""
    ports: dict[str, dict[int, list[Service]]] = {}
    for service in services:
        ports.setdefault(service.address, {}).setdefault(service.port, []).append(service)
    return ports


def pair_findings(
    services: Sequence[Service], changes: Sequence[Change], order: Order, adapter: Adapter
) -> list[Finding]:
    """Report pairs of which one half keeps the client's address and the other does not, and those that a snapshot leaves like that."""
    now, then = _halves(services), _halves(services_after(services, changes, adapter))
    held = then if order.snapshot else {}
    return [
        Finding(
            "pair_inconsistent",
            "warning",
            ", ".join(names),
            f"{'The snapshot holds half a pair' if names in held else 'Half of this pair is changed'}: {half}, as after an interrupted run.",
            "State 'preserved' completes the pair, and a snapshot from before that run puts both back.",
        )
        for names, half in {**now, **held}.items()
    ]


def _halves(services: Iterable[Service]) -> dict[tuple[str, ...], str]:
    """Return the pairs whose ports differ in keeping the client's address: their services, and which do and do not."""
    found = {}
    for by_port in _by_port(services).values():
        if len({frozenset(service.source_preserved for service in of_port) for of_port in by_port.values()}) > 1:
            kept = {service.id: service.source_preserved for of_port in by_port.values() for service in of_port}
            keeping, hiding = (", ".join(name for name in kept if kept[name] is is_kept) for is_kept in (True, False))
            found[(*kept,)] = f"the client's address is kept by {keeping}, and not by {hiding}"
    return found


def disabled(changed: Iterable[Service]) -> list[Finding]:
    """Report services that were changed and are disabled."""
    return [
        Finding(
            "disabled_service",
            "info",
            name,
            "This service is disabled. Its setting is changed like the others', and it stays disabled.",
            "No action needed.",
        )
        for name in dict.fromkeys(service.id for service in changed if not service.enabled)
    ]


def return_path_findings(
    services: Iterable[Service], changes: Sequence[Change], order: Order, adapter: Adapter
) -> list[Finding]:
    """Judge whether the replies of each service's servers come back through this device.

    A change that makes a service keep the client's address is always judged. With ``gathered``, every service is judged,
    and only where the gateways were given, or the device's own addresses could not be read.
    """
    affected = _affected(services, changes, adapter)
    gathering = order.state == "gathered"
    asked = not gathering or bool(order.return_path)
    findings: dict[tuple[str, str], Finding] = {}
    for service in services:
        if not gathering and service.id not in affected:
            continue
        for name in service.unresolved if asked else ():
            findings.setdefault(
                ("", name),
                Finding(
                    "return_path_unverified",
                    "blocker",
                    name,
                    "The device shows no address for this server, so the path of its replies cannot be checked.",
                    "Enter it by its address, or accept 'return_path_unverified' if you know that its replies come back through this device.",
                ),
            )
        if asked and not service.servers and not service.unresolved:
            findings[service.id, ""] = Finding(
                "return_path_unverified",
                "blocker",
                service.id,
                "The device names no server behind this service, so the path of the replies cannot be checked.",
                "Add the servers, or accept 'return_path_unverified' if you know that their replies come back through this device.",
            )
        for server in service.servers:
            judged = not server.direct and (asked or not server.gateways_known)
            finding = _judge(server, order.return_path or {}) if judged else None
            former = findings.get(("", server.address))
            # Once for each server, and as in service where it is so behind one of the services.
            if finding and (former is None or former.severity != "blocker"):
                findings["", server.address] = finding
    return list(findings.values())


def _judge(server: Server, return_path: Mapping[str, str]) -> Finding | None:
    if not server.gateways_known:
        return Finding(
            "return_path_unverified",
            "blocker" if server.enabled else "info",
            server.address,
            "The device's own addresses could not be read, so it is not known whether this server's default gateway is one of them.",
            "Allow the user to read them, or accept 'return_path_unverified' if you know that its replies come back through this device.",
        )
    gateways = server.gateways
    if gateways:
        expected = f"one of {', '.join(gateways)}"
    elif server.unshared:
        expected = (
            "an address in the server's subnet that both units of this device share, and it names none;"
            f" {', '.join(server.unshared)} does not move to the other unit"
        )
    else:
        expected = "an address of this device in the server's subnet, and it has none there"
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
    findings = [
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
    return list(dict.fromkeys(findings))  # a service on several ports is in the list once for each


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


def services_after(services: Iterable[Service], changes: Sequence[Change], adapter: Adapter) -> tuple[Service, ...]:
    """Predict the services once ``changes`` are made."""
    after = settings_after(changes)

    def predict(service: Service) -> Service:
        if service.id not in after:
            return service
        settings = {**service.settings, **after[service.id]}
        return replace(service, settings=settings, source_preserved=adapter.preserves(service, settings))

    return tuple(map(predict, services))


def reading_after(reading: Reading, changes: Sequence[Change], adapter: Adapter) -> Reading:
    """Predict what will be read once ``changes`` are made."""
    device = {
        change.setting: change.after for change in changes if change.scope == "device" and change.after is not None
    }
    return replace(
        reading, services=services_after(reading.services, changes, adapter), device={**reading.device, **device}
    )
