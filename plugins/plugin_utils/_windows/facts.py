# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A VPN server's facts: its limit, whether a restart is pending, its clients. No input or output."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping
from dataclasses import dataclass, field

from ansible_collections.aovpn.ikev2.plugins.module_utils._model import NOT_UNDERSTOOD, Finding, canonical_address
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.errors import PlanError

LARGEST_DWORD = 0xFFFFFFFF
FIXED = {14393: 9060, 17763: 8644, 20348: 5020, 25398: 2274, 26100: 32690}
"""By release of Windows Server, the first build with the fix of CVE-2026-33824, as its record names it (14 April 2026)."""

FIRST_WITH_FRAGMENTATION = 17134
"""Windows Server 1803, before which EnableServerFragmentation has no effect."""

UNKNOWN_TYPES = ("", "unknown", "none", "notapplicable", "not applicable")


@dataclass(frozen=True)
class ServerFacts:
    """What was read from a VPN server.

    ``ike_limit`` is None if the default of Windows applies. ``restart_owed``: IKEEXT has not read the limit yet;
    ``restart_marked``: the server's registry marks a pending restart. ``sas`` counts IKEv2 security associations by
    remote address, ``sas_unclear`` those that may be IKEv2 or not, and ``sas_other`` is the number of all others.
    ``tunnels`` are the IKEv2 connections, ``tunnels_other`` counts those of other types, and ``tunnels_stale`` are listed as IKEv2 without an
    association. ``tunnels`` and ``ikev2_ports`` are None if the server's RemoteAccess cmdlets failed. ``unread``: what could not be asked,
    with the reason; without ``sas_read``, there is nothing in ``sas`` for that reason.
    ``now`` is the server's time, and ``ikeext_started`` the time at which IKEEXT started, None if it is not running.
    """

    ike_limit: int | None
    restart_owed: bool
    restart_marked: bool
    now: str
    ikeext_started: str | None
    sas: Mapping[str, int]
    sas_unclear: Mapping[str, int]
    sas_other: int
    tunnels: int | None
    ikev2_ports: int | None
    ikev2_fragmentation: bool
    services: Mapping[str, Mapping[str, t.Any]]
    administrator: bool
    build: str | None = None
    tunnels_other: Mapping[str, int] = field(default_factory=dict)
    tunnels_stale: int = 0
    sas_read: bool = True
    unread: tuple[str, ...] = ()

    @classmethod
    def parse(cls, vpn: t.Any) -> ServerFacts:
        """Read what read_vpn.ps1 returns.

        :raises PlanError: if it is something else.
        """
        try:
            limit, started, marked = vpn["ike_limit"], vpn["ikeext_started"], vpn["restart_owed_since"]
            since = None if marked is None else _time(str(marked), str(vpn["now"]))
            # PowerShell reads a DWORD as a signed number.
            number = None if limit is None else int(limit) & LARGEST_DWORD
            found: dict[str, dict[str, int]] = {"ikev2": {}, "unclear": {}, "other": {}}
            for item in sorted(vpn["associations"], key=lambda item: str(item["remote_address"])):
                if _is_address(address := str(item["remote_address"])):
                    counts = found[key_module(item["key_module"], item["key_module_name"])]
                    counts[address] = counts.get(address, 0) + int(item["count"])
            build = _build(vpn.get("build"), vpn.get("revision"))
            sas_read = bool(vpn.get("associations_read", True))
            listed, others = _tunnels(vpn["tunnels"])
            associations = sum(found["ikev2"].values()) + sum(found["unclear"].values())
            # A tunnel of IKEv2 is assumed to have an association as long as it is up. What is listed beyond these is a stale entry.
            stale = max(0, (listed or 0) - associations) if sas_read else 0
            return cls(
                # A string is not a DWORD, and has to be replaced.
                ike_limit=number if isinstance(limit, int) else None,
                # Both are UTC in the same format, so they compare as strings. With a mark, a stopped service was stopped by a restart that failed half-way.
                restart_owed=since is not None and (started is None or since >= str(started)),
                restart_marked=marked is not None,
                now=str(vpn["now"]),
                ikeext_started=None if started is None else str(started),
                sas=found["ikev2"],
                sas_unclear=found["unclear"],
                sas_other=sum(found["other"].values()),
                tunnels=None if listed is None else listed - stale,
                tunnels_other=others,
                tunnels_stale=stale,
                ikev2_ports=None if vpn["ikev2_ports"] is None else int(vpn["ikev2_ports"]),
                ikev2_fragmentation=bool(vpn["fragmentation"]) and not _is_before_fragmentation(build),
                services={
                    str(name): {
                        "state": str(service["state"]),
                        "start": str(service["start"]),
                        "dependents": list(map(str, service["dependents"])),
                    }
                    for name, service in vpn["services"].items()
                },
                administrator=bool(vpn["administrator"]),
                build=build,
                sas_read=sas_read,
                unread=tuple(map(str, vpn.get("unread", ()))),
            )
        except NOT_UNDERSTOOD as error:
            raise PlanError(f"the server's facts cannot be read ({type(error).__name__}: {error}).") from error

    @property
    def sessions(self) -> int | None:
        """Return how many tunnels a restart of IKEEXT would drop; if the RemoteAccess cmdlets failed, how many security associations there are.

        None if neither is known. L2TP needs IKEEXT, too. The other types do not, or set up their connections again by themselves.
        """
        if self.tunnels is not None:
            return self.tunnels + sum(count for name, count in self.tunnels_other.items() if "l2tp" in name.casefold())
        if not self.sas_read:
            return None
        return sum(self.sas.values()) + sum(self.sas_unclear.values()) + self.sas_other

    def as_dict(self) -> dict[str, t.Any]:
        """Return plain values, with the keys that users see."""
        return {name: value for name, value in vars(self).items() if name not in ("sas_read", "unread")}

    def findings(self, server: str) -> tuple[Finding, ...]:
        """Report a pending restart, and other causes of error 809 than a hidden source address."""
        findings = [
            Finding(
                "not_read",
                "warning",
                server,
                f"The server could not say everything: {reason}",
                "Check the server and the rights of the user. Until then, what depends on this is not known.",
            )
            for reason in self.unread
        ]
        if self.restart_owed:
            limit = "is absent" if self.ike_limit is None else f"is {self.ike_limit}"
            findings.append(
                Finding(
                    "restart_owed",
                    "warning",
                    server,
                    f"IkeNumEstablishedForInitialQuery {limit}, and IKEEXT has not been restarted since that changed.",
                    "Restart IKEEXT when no tunnel is in use, or run the role with 'rras_restart_with_sessions'.",
                )
            )
        if self.ikev2_ports is not None and self.tunnels is not None and self.tunnels >= self.ikev2_ports:
            findings.append(
                Finding(
                    "ports_exhausted",
                    "warning",
                    server,
                    f"{self.tunnels} IKEv2 connections are up, and RRAS has {self.ikev2_ports} ports for IKEv2: further clients get error 809, too.",
                    "Add ports to WAN Miniport (IKEv2).",
                )
            )
        fixed = has_fix(self.build)
        if fixed is False:
            findings.append(
                Finding(
                    "ikeext_unpatched",
                    "warning",
                    server,
                    f"This server's build {self.build} does not have the fix of CVE-2026-33824, by which IKEEXT can be taken over without a login, over"
                    " UDP 500 and UDP 4500. It has been exploited since August 2026.",
                    "Install the updates of April 2026 or later before anything else.",
                )
            )
        if not self.ikev2_fragmentation:
            findings.append(self._fragmentation_off(server, fixed))
        return tuple(findings)

    def _fragmentation_off(self, server: str, fixed: bool | None) -> Finding:
        message = "IKEv2 fragmentation is off, so large IKE_AUTH messages depend on IP fragments, which many networks drop (this also causes error 809)."
        if _is_before_fragmentation(self.build):
            message += f" This server's build {self.build} is older than Windows Server 1803, and has no IKEv2 fragmentation, whatever its registry says."
            return Finding(
                "fragmentation_off", "info", server, message, "Shorten the certificates, or upgrade Windows."
            )
        state = {
            True: f"This server's build {self.build} has it.",
            False: f"This server's build {self.build} does not have it.",
            None: "Whether this server has it is not known.",
        }
        return Finding(
            "fragmentation_off",
            "info",
            server,
            message,
            f"Install the fix of CVE-2026-33824 first, which is about the reassembly of these fragments and has been exploited. {state[fixed]}"
            " Then, if clients with long certificates fail, set EnableServerFragmentation to 1 and restart the server.",
        )


def key_module(number: t.Any, name: t.Any) -> t.Literal["ikev2", "other", "unclear"]:
    """Classify an association by what the server shows as its key module.

    The class's page gives a number without its values. Windows has two numberings: Default, IKEv1, AuthIP, IKEv2 (MSFT_NetConSecRule) and
    IKE, AuthIP, IKEv2 (IKEEXT_KEY_MODULE_TYPE), so a 2 alone says nothing.
    """
    text = "" if name is None else str(name).strip().casefold()
    if "ikev2" in text:
        return "ikev2"
    if text == "ike" or "ikev1" in text or "authip" in text:
        return "other"
    known: dict[str, t.Literal["ikev2", "other"]] = {"0": "other", "1": "other", "3": "ikev2"}
    return known.get(text if number is None else str(number), "unclear")


def _time(mark: str, now: str) -> str:
    """Return the time of a mark in the format of now. In another calendar, it is now: in doubt, the restart is pending.

    Version 0.1.0 wrote the time with the separator and the calendar of the server's culture.
    """
    found = re.fullmatch(r"(\d{4})(-\d\d-\d\dT\d\d)\D(\d\d)\D(\d\d\.\d{7}Z)", mark)
    if not found:
        return mark
    year, day, minute, second = found.groups()
    return f"{year}{day}:{minute}:{second}" if abs(int(year) - int(now[:4])) < 100 else now


def _build(number: t.Any, revision: t.Any) -> str | None:
    """Return the build of Windows as it is written, None if a part of it is missing."""
    return None if number is None or revision is None else f"{int(number)}.{int(revision)}"


def has_fix(build: str | None) -> bool | None:
    """Report whether a build has the fix of CVE-2026-33824; None if the build does not tell."""
    number, revision = map(int, build.split(".")) if build else (0, 0)
    return revision >= FIXED[number] if number in FIXED else None


def _is_before_fragmentation(build: str | None) -> bool:
    """Report whether this is a Windows that is known to have no IKEv2 fragmentation."""
    return build is not None and int(build.split(".")[0]) < FIRST_WITH_FRAGMENTATION


def _tunnels(raw: t.Any) -> tuple[int | None, dict[str, int]]:
    """Return how many connections are or may be IKEv2, None if that is not known, and how many there are of each other type.

    What does not say its type counts as IKEv2: a restart of IKEEXT could drop it.
    """
    if raw is None:
        return None, {}
    ikev2, others = 0, dict[str, int]()
    for item in raw:
        connection, tunnel = str(item["connection_type"]).strip(), str(item["tunnel_type"]).strip()
        if connection.casefold() in ("vpn", "") and (
            tunnel.casefold() in UNKNOWN_TYPES or "ikev2" in tunnel.casefold()
        ):
            ikev2 += int(item["count"])
        else:
            name = tunnel if connection.casefold() in ("vpn", "") else connection
            others[name] = others.get(name, 0) + int(item["count"])
    return ikev2, dict(sorted(others.items()))


def _is_address(text: str) -> bool:
    """Report whether this is an address. An association that is still being negotiated may not have one yet."""
    try:
        canonical_address(text.partition("%")[0])
    except ValueError:
        return False
    return True
