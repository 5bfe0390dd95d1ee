# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A VPN server's facts: its limit, whether a restart is pending, its clients. No input or output."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping
from dataclasses import dataclass

from ansible_collections.aovpn.ikev2.plugins.module_utils._model import NOT_UNDERSTOOD, Finding, canonical_address
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.errors import PlanError

LARGEST_DWORD = 0xFFFFFFFF


@dataclass(frozen=True)
class ServerFacts:
    """What was read from a VPN server.

    ``ike_limit`` is None if the default of Windows applies. ``restart_owed``: IKEEXT has not read the limit yet;
    ``restart_marked``: the server's registry marks a pending restart. ``sas`` counts IKEv2 security associations by
    remote address, ``sas_unclear`` those that may be IKEv2 or not, and ``sas_other`` is the number of all others.
    ``tunnels`` and ``ikev2_ports`` are None if the server's RemoteAccess cmdlets failed. ``unread``: what could not be asked, with the
    reason; without ``sas_read``, there is nothing in ``sas`` for that reason.
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
    sas_read: bool = True
    unread: tuple[str, ...] = ()

    @classmethod
    def parse(cls, vpn: t.Any) -> ServerFacts:
        """Read what read_vpn.ps1 returns.

        :raises PlanError: if it is something else.
        """
        try:
            limit, started, marked = vpn["ike_limit"], vpn["ikeext_started"], vpn["restart_owed_since"]
            # PowerShell reads a DWORD as a signed number.
            number = None if limit is None else int(limit) & LARGEST_DWORD
            found: dict[str, dict[str, int]] = {"ikev2": {}, "unclear": {}, "other": {}}
            for item in sorted(vpn["associations"], key=lambda item: str(item["remote_address"])):
                if _is_address(address := str(item["remote_address"])):
                    counts = found[key_module(item["key_module"], item["key_module_name"])]
                    counts[address] = counts.get(address, 0) + int(item["count"])
            return cls(
                # A string is not a DWORD, and has to be replaced.
                ike_limit=number if isinstance(limit, int) else None,
                # Both are UTC in the same format, so they compare as strings. With a mark, a stopped service was stopped by a restart that failed half-way.
                restart_owed=marked is not None and (started is None or str(marked) >= str(started)),
                restart_marked=marked is not None,
                now=str(vpn["now"]),
                ikeext_started=None if started is None else str(started),
                sas=found["ikev2"],
                sas_unclear=found["unclear"],
                sas_other=sum(found["other"].values()),
                tunnels=None if vpn["tunnels"] is None else int(vpn["tunnels"]),
                ikev2_ports=None if vpn["ikev2_ports"] is None else int(vpn["ikev2_ports"]),
                ikev2_fragmentation=bool(vpn["fragmentation"]),
                services={
                    str(name): {
                        "state": str(service["state"]),
                        "start": str(service["start"]),
                        "dependents": list(map(str, service["dependents"])),
                    }
                    for name, service in vpn["services"].items()
                },
                administrator=bool(vpn["administrator"]),
                sas_read=bool(vpn.get("associations_read", True)),
                unread=tuple(map(str, vpn.get("unread", ()))),
            )
        except NOT_UNDERSTOOD as error:
            raise PlanError(f"the server's facts cannot be read ({type(error).__name__}: {error}).") from error

    @property
    def sessions(self) -> int | None:
        """Return how many tunnels are up; if the RemoteAccess cmdlets failed, how many security associations there are; None if neither is known."""
        if self.tunnels is not None or not self.sas_read:
            return self.tunnels
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
                    f"{self.tunnels} connections are up, and RRAS has {self.ikev2_ports} ports for IKEv2: further clients get error 809, too.",
                    "Add ports to WAN Miniport (IKEv2).",
                )
            )
        if not self.ikev2_fragmentation:
            findings.append(
                Finding(
                    "fragmentation_off",
                    "info",
                    server,
                    "IKEv2 fragmentation is off, so large IKE_AUTH messages depend on IP fragments, which many networks drop (this also causes error 809).",
                    "Set EnableServerFragmentation (Windows Server 1803 or newer) if clients with long certificates fail.",
                )
            )
        return tuple(findings)


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


def _is_address(text: str) -> bool:
    """Report whether this is an address. An association that is still being negotiated may not have one yet."""
    try:
        canonical_address(text.partition("%")[0])
    except ValueError:
        return False
    return True
