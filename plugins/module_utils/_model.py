# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The terms of this collection: services, findings, changes, snapshots, and the errors that users see. No input or output."""

from __future__ import annotations

import typing as t
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import MISSING, netaddr

Value: t.TypeAlias = "str | bool | int | dict[str, str]"
Scope: t.TypeAlias = t.Literal["service", "device", "route", "limit"]
FinalState: t.TypeAlias = t.Literal["unchanged", "rolled_back", "changed", "unknown"]
"""What is true of a device when the task ends; ``unknown`` where it could not be read any more."""
Severity: t.TypeAlias = t.Literal["blocker", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = t.get_args(Severity)
FINAL_STATES: tuple[FinalState, ...] = t.get_args(FinalState)
"""The worst last."""
State: t.TypeAlias = t.Literal["preserved", "restored", "gathered"]

IKE_PORTS = (500, 4500)

ANY_PORT = 0
"""The port of a service that listens on every port."""

FINDING_CODES: t.Final[Mapping[str, str]] = {
    "change_refused": "A VPN server cannot take the gateway or the limit that is asked for.",
    "client_in_server_subnet": "Clients in the VPN server's own subnet would be answered past the load balancer.",
    "connection_mirroring": "The service's connections are mirrored to the standby unit.",
    "device_setting": "A setting of the whole device does not fit.",
    "disabled_service": "A service that was changed is disabled.",
    "existing_flows": "Existing flows keep the translation with which they began.",
    "firewall_profile": "Behind another gateway, a VPN server's firewall may shut out those who manage it.",
    "forwarding_mode": "The device does not forward what the VPN servers send by themselves, or can hide a wrong return path.",
    "fragmentation_off": "A VPN server does not fragment IKEv2, another cause of error 809.",
    "gateway_not_answering": "Nobody answers for the address that should become a VPN server's gateway.",
    "gateway_not_shared": "After a failover, the other node is not the VPN servers' gateway.",
    "gateway_unverified": "No load balancer that leads to this server was read.",
    "global_client_ip": "The mode Use Source IP is on for the whole NetScaler.",
    "hidden_translation": "Something other than the service's own setting translates the source address, or keeps it.",
    "ikeext_unpatched": "A VPN server's build lacks the fix of CVE-2026-33824.",
    "internal_routes_lost": "A VPN server's default route goes, and nothing says what else uses it.",
    "ipv6_default_route": "A VPN server has an IPv6 default route, which is not managed.",
    "managed_elsewhere": "The service belongs to a declaration or an application service, which would undo the change.",
    "not_active_unit": "This unit of a high-availability pair is not the one that takes changes.",
    "not_read": "A device, or an object on it, could not be read.",
    "not_selected": "Something carries UDP 500 or UDP 4500 and was not selected.",
    "other_default_route": "A VPN server has a second default route.",
    "other_device": "The snapshot was taken from another device.",
    "pair_incomplete": "An address serves only one of UDP 500 and UDP 4500.",
    "pair_inconsistent": "One half of a pair keeps the client's address, and the other does not.",
    "persistence_split": "A client's UDP 500 and UDP 4500 may reach different servers.",
    "ports_exhausted": "A VPN server has no port left for IKEv2, another cause of error 809.",
    "restart_owed": "A VPN server's IKEEXT has not been restarted since its limit was changed.",
    "return_path_unverified": "The VPN server's default gateway is not known.",
    "return_path_wrong": "The VPN server's default gateway is not an address of this load balancer.",
    "rollback_pending": "A change of a VPN server's gateway is still in progress.",
    "routes_differ": "Since the snapshot, somebody else has changed a VPN server's routes.",
    "script_policy": "A policy may keep the rollback of a VPN server's gateway from running.",
    "server_nat": "A setting of the whole device decides whether the VPN servers' own outbound traffic is translated.",
    "server_not_served": "A VPN server is behind none of the load balancers.",
    "server_sets_differ": "The services of one address have different servers.",
    "server_shared": "A VPN server is behind several load balancers.",
    "session_left_open": "The device did not answer the log-out.",
    "shared_service_group": "A service group also serves other virtual servers.",
    "snat_pool_needed": "A rollback needs a SNAT pool that nothing else may refer to after the change.",
    "subnet_originating": "The load balancer may send from an address of its own in the servers' subnet.",
    "unsupported_mode": "The service works in a mode in which this setting cannot keep the source address.",
    "unsaved_change": "A run that was killed may have left a change unsaved, which a reboot would undo.",
    "unsynced_changes": "The other unit does not have all changes.",
}
"""Every code that a finding can have, and that ``accept`` takes. The table in docs/findings.md says the same at length."""


NOT_UNDERSTOOD: tuple[type[Exception], ...] = (
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    # Ansible loads this file where the library is not installed, too.
    *([] if "netaddr" in MISSING else [netaddr.AddrFormatError]),
)
"""What reading an object raises if its fields are missing, or not of the expected type."""


_BLANK = {"\n", "\r", "\t"}
_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def visible(value: str) -> str:
    """Write control characters, and those that change the direction of writing, as their number, so that no text can hide or mislead."""
    return "".join(
        " " if sign in _BLANK else f"<U+{ord(sign):04X}>" if unicodedata.category(sign) in _INVISIBLE else sign
        for sign in value
    )


TRANSIENT = frozenset({429, 500, 502, 503, 504})
"""The HTTP statuses of a device that is busy, or about to restart: the same request may succeed a moment later."""


class DeviceError(Exception):
    """An error that an administrator sees. Its text names the device, the object, and what to do next.

    ``transient``: the same request may succeed a moment later.
    """

    def __init__(self, message: str, *, transient: bool = False) -> None:
        super().__init__(visible(message))
        self.transient = transient


class InvalidInput(DeviceError):
    """The options are wrong or contradict each other."""


class Unreachable(DeviceError):
    """There was no answer, so the request may or may not have taken effect. ``dropped``: because the connection was lost."""

    def __init__(self, message: str, *, dropped: bool = False) -> None:
        super().__init__(message, transient=dropped)


class AccessDenied(DeviceError):
    """The device refused the credentials, or these credentials may not do this."""


class Refused(DeviceError):
    """The device understood the request and declined it.

    ``status`` is the HTTP status, ``code`` the device's own error code (0 if it gave none).
    """

    def __init__(self, message: str, *, status: int = 0, code: int = 0, transient: bool = False) -> None:
        super().__init__(message, transient=transient or status in TRANSIENT)
        self.status = status
        self.code = code


class UnexpectedAnswer(DeviceError):
    """The device answered with something that is not understood."""


class Blocked(DeviceError):
    """A finding forbids the change; nothing was changed."""


def canonical_address(text: str) -> str:
    """Return an IP address in canonical form. A route domain (``%2``) is kept, unless it is the default one, 0.

    :raises ValueError: where ``text`` is not an IP address.
    """
    address, percent, domain = text.strip().partition("%")
    if percent and not domain.isdecimal():
        raise ValueError(f"{text!r} is not an IP address")
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    try:
        # INET_PTON: four decimal numbers and no leading zeros, where the library's older default also takes '10.1' and octal.
        canonical = str(netaddr.IPAddress(address, flags=netaddr.INET_PTON))
    except (netaddr.AddrFormatError, ValueError) as error:
        raise ValueError(f"{text!r} is not an IP address") from error
    return f"{canonical}%{int(domain)}" if percent and int(domain) else canonical


@dataclass(frozen=True, order=True)
class Server:
    """A VPN server behind a service.

    ``gateways``: addresses on the device that may be this server's default gateway. ``unshared``: addresses there that cannot, since
    they do not move to the other unit. ``gateways_known``: the device's addresses could be read. ``enabled``: no administrator took it
    out of service. ``up``: no monitor did. ``direct``: it replies to clients past the device (direct server return), by a gateway of
    its own.
    """

    address: str
    port: int
    gateways: tuple[str, ...] = ()
    enabled: bool = True
    up: bool = True
    direct: bool = False
    unshared: tuple[str, ...] = ()
    gateways_known: bool = True

    def as_dict(self) -> dict[str, t.Any]:
        """Return plain values."""
        return {"address": self.address, "port": self.port, "gateways": list(self.gateways)}

    @classmethod
    def parse(cls, raw: Mapping[str, t.Any]) -> Server:
        """Read what ``as_dict`` returned."""
        return cls(str(raw["address"]), int(raw["port"]), tuple(map(str, raw["gateways"])))


@dataclass(frozen=True)
class Service:
    """One UDP listener of a load balancer.

    ``id`` is what the device calls the object that carries the settings, ``names`` whatever else a user may call it. ``settings`` are
    those that are managed, by the device's own names, ``source_preserved`` is their effect. ``servers`` is filled in once the
    device was asked for them, and ``unresolved`` with the names of those that it shows no address for. ``address`` may be a network
    (``10.60.9.0/24``). ``forwards``: it has no servers, and forwards packets to whatever they are addressed to.
    """

    id: str
    address: str
    port: int
    settings: Mapping[str, Value]
    source_preserved: bool
    protocol: str = "udp"
    enabled: bool = True
    forwards: bool = False
    servers: tuple[Server, ...] = ()
    unresolved: tuple[str, ...] = ()
    names: tuple[str, ...] = field(default=(), compare=False)

    @property
    def value(self) -> Value:
        """Return the value of the one setting, or all of them by name where several are managed."""
        if len(self.settings) == 1:
            return next(iter(self.settings.values()))
        return {name: str(value) for name, value in self.settings.items()}

    def as_dict(self) -> dict[str, t.Any]:
        """Return plain values, with the keys that users see."""
        return {
            "id": self.id,
            "address": self.address,
            "port": self.port,
            "protocol": self.protocol,
            "enabled": self.enabled,
            "source_preserved": self.source_preserved,
            "value": self.value,
            "servers": [server.as_dict() for server in self.servers],
        }

    @classmethod
    def parse(cls, raw: Mapping[str, t.Any]) -> Service:
        """Read what ``as_dict`` returned. The settings have no names there, so they are one, with the same ``value``."""
        return cls(
            id=str(raw["id"]),
            address=str(raw["address"]),
            port=int(raw["port"]),
            settings={"value": _value(raw["value"])},
            source_preserved=bool(raw["source_preserved"]),
            protocol=str(raw["protocol"]),
            enabled=bool(raw["enabled"]),
            servers=tuple(map(Server.parse, raw["servers"])),
        )

    @property
    def key(self) -> tuple[str, str, int]:
        """Return what makes this the same service in two readings."""
        return self.id, self.address, self.port

    def __str__(self) -> str:
        return f"{self.id} ({self.address or 'no address'}, {self.protocol} {self.port})"


@dataclass(frozen=True)
class Finding:
    """Something worth knowing about ``object``. A blocker stops a change unless its code is accepted."""

    code: str
    severity: Severity
    object: str
    message: str
    remedy: str

    @property
    def told(self) -> str:
        """Return it as a part of an error message."""
        return f"{self.code}: {self.message} {self.remedy}"

    def as_dict(self) -> dict[str, str]:
        """Return plain values."""
        return dict(vars(self))

    @classmethod
    def parse(cls, raw: Mapping[str, t.Any]) -> Finding:
        """Read what ``as_dict`` returned."""
        severity = raw["severity"]
        if severity not in SEVERITIES:
            raise ValueError(f"the severity {severity!r}")
        return cls(str(raw["code"]), severity, *(str(raw[name]) for name in ("object", "message", "remedy")))


@dataclass(frozen=True)
class Change:
    """One setting of one object.

    ``scope`` says what ``id`` names: a service, the device (its host), a route (its prefix), or a limit (the Windows service).
    ``setting`` is the device's own name for it. None as a value: it is missing, like a registry value that was never set.
    """

    id: str
    setting: str
    before: Value | None
    after: Value | None
    scope: Scope = "service"

    def as_dict(self) -> dict[str, t.Any]:
        """Return plain values, with the keys that users see."""
        return {
            "id": self.id,
            "scope": self.scope,
            "setting": self.setting,
            "before": self.before,
            "after": self.after,
        }

    @classmethod
    def parse(cls, raw: Mapping[str, t.Any]) -> Change:
        """Read what ``as_dict`` returned."""
        scope = raw["scope"]
        if scope not in t.get_args(Scope):
            raise ValueError(f"the scope {scope!r}")
        before, after = (
            raw[name] if raw[name] is None or isinstance(raw[name], int) else _value(raw[name])
            for name in ("before", "after")
        )
        return cls(str(raw["id"]), str(raw["setting"]), before, after, scope)

    def __str__(self) -> str:
        return f"{self.setting} of {self.id}"

    def reversed(self, standing: Value | None) -> Change:
        """Return the change from the present value back to the one before."""
        return replace(self, before=standing, after=self.before)


@dataclass(frozen=True)
class Unread:
    """An object that may be a UDP service and could not be read. ``names``: whatever a user may call it, its address included."""

    id: str
    reason: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """What was read from a device: UDP services, settings of the whole device, and what is worth knowing about them.

    ``own_addresses``: those from which the device itself may send to the VPN servers, as far as the reading shows them.
    """

    services: tuple[Service, ...]
    device: Mapping[str, Value] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    version: str = ""
    unread: tuple[Unread, ...] = ()
    own_addresses: tuple[str, ...] = ()

    def value(self, change: Change) -> Value | None:
        """Return the present value of what ``change`` changes; None if that no longer exists."""
        if change.scope == "device":
            return self.device.get(change.setting)
        return next(
            (service.settings.get(change.setting) for service in self.services if service.id == change.id), None
        )


@dataclass(frozen=True)
class Snapshot:
    """What it takes to restore a device: the values of its services by id, and its own settings by name in lower case."""

    platform: str
    host: str
    services: Mapping[str, Value]
    device: Mapping[str, Value]

    @classmethod
    def of(cls, platform: str, host: str, services: Iterable[Service], device: Mapping[str, Value]) -> Snapshot:
        """Take a snapshot of a reading."""
        values = {service.id: service.value for service in services}
        return cls(platform, host, values, {name.lower(): value for name, value in device.items()})

    def as_dict(self) -> dict[str, t.Any]:
        """Return plain values in a stable order."""
        return {
            "platform": self.platform,
            "host": self.host,
            "services": [{"id": key, "value": self.services[key]} for key in sorted(self.services)],
            "device": {key: self.device[key] for key in sorted(self.device)},
        }

    @classmethod
    def parse(cls, raw: t.Any) -> Snapshot:
        """Read what ``as_dict`` gave.

        :raises InvalidInput: where it is not a snapshot.
        """
        try:
            services = {str(item["id"]): _value(item["value"]) for item in raw["services"]}
            device = {str(key): _value(value) for key, value in raw["device"].items()}
            platform, host = str(raw["platform"]), str(raw["host"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InvalidInput(
                "Option 'snapshot' is not what an earlier run returned as 'snapshot'"
                " (a dictionary with platform, host, services and device). Pass it on unchanged."
            ) from error
        return cls(platform, host, services, device)


def _value(raw: t.Any) -> Value:
    if isinstance(raw, (str, bool)):
        return raw
    if isinstance(raw, dict) and all(isinstance(item, str) for pair in raw.items() for item in pair):
        return raw
    raise ValueError(raw)


@dataclass(frozen=True)
class Order:
    """The options of a task, validated. ``return_path``: server address -> its default gateway."""

    state: State = "preserved"
    addresses: tuple[str, ...] | None = None
    services: tuple[str, ...] | None = None
    ports: tuple[int, ...] = IKE_PORTS
    snapshot: Snapshot | None = None
    return_path: Mapping[str, str] | None = None
    accept: frozenset[str] = frozenset()

    @classmethod
    def parse(
        cls,
        *,
        state: State,
        addresses: Sequence[str] | None,
        services: Sequence[str] | None,
        ports: Sequence[int],
        snapshot: t.Any,
        return_path: Mapping[str, t.Any] | None,
        accept: Sequence[str],
    ) -> Order:
        """Validate the options that all platforms share.

        :raises InvalidInput: naming the option, and what it accepts.
        """
        if addresses is not None and services is not None:
            raise InvalidInput("Options 'addresses' and 'services' exclude each other: use one of them.")
        for option, names in (("addresses", addresses), ("services", services), ("ports", ports)):
            if names is not None and not names:
                raise InvalidInput(f"Option '{option}' is an empty list: name at least one, or leave the option out.")
        if any(not name.strip() for name in services or ()):
            raise InvalidInput("Option 'services' holds an empty name.")
        for port in ports:
            if not 1 <= port <= 65535:
                raise InvalidInput(f"Option 'ports' holds {port}, and a UDP port is a number from 1 to 65535.")
        for code in accept:
            if code not in FINDING_CODES:
                raise InvalidInput(
                    f"Option 'accept' holds the unknown code {code!r}. Known are: {', '.join(sorted(FINDING_CODES))}."
                )
        if (state == "restored") != (snapshot is not None):
            raise InvalidInput("Option 'snapshot' and state 'restored' go together: one was given without the other.")
        return cls(
            state=state,
            addresses=None if addresses is None else tuple(_checked("addresses", item) for item in addresses),
            services=None if services is None else tuple(services),
            ports=tuple(sorted(set(ports))),
            snapshot=None if snapshot is None else Snapshot.parse(snapshot),
            return_path=None
            if return_path is None
            else {_checked("return_path", key): _checked("return_path", value) for key, value in return_path.items()},
            accept=frozenset(accept),
        )


def _checked(option: str, text: t.Any) -> str:
    try:
        return canonical_address(str(text))
    except ValueError as error:
        raise InvalidInput(f"Option '{option}' holds {text!r}, which is not an IP address.") from error
