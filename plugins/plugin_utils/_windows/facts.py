# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A VPN server's facts: its limit, whether a restart is pending, its clients. No input or output."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping
from dataclasses import dataclass

from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Finding, canonical_address
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.errors import PlanError

LARGEST_DWORD = 0xFFFFFFFF


@dataclass(frozen=True)
class ServerFacts:
    """What was read from a VPN server.

    ``ike_limit`` is None if the default of Windows applies. ``restart_owed``: IKEEXT has not read the limit yet;
    ``restart_marked``: the server's registry marks a pending restart. ``sas`` counts IKE security associations by
    remote address. ``tunnels`` and ``ikev2_ports`` are None if the server's RemoteAccess cmdlets failed.
    ``now`` is the server's time, and ``ikeext_started`` the time at which IKEEXT started, None if it is not running.
    """

    ike_limit: int | None
    restart_owed: bool
    restart_marked: bool
    now: str
    ikeext_started: str | None
    sas: Mapping[str, int]
    tunnels: int | None
    ikev2_ports: int | None
    ikev2_fragmentation: bool
    services: Mapping[str, Mapping[str, t.Any]]
    administrator: bool

    @classmethod
    def parse(cls, vpn: t.Any) -> ServerFacts:
        """Read what read_vpn.ps1 returns.

        :raises PlanError: if it is something else.
        """
        try:
            limit, started, marked = vpn["ike_limit"], vpn["ikeext_started"], vpn["restart_owed_since"]
            # PowerShell reads a DWORD as a signed number.
            number = None if limit is None else int(limit) & LARGEST_DWORD
            return cls(
                # A string is not a DWORD, and has to be replaced.
                ike_limit=number if isinstance(limit, int) else None,
                # Both are UTC in the same format, so they compare as strings. With a mark, a stopped service was stopped by a restart that failed half-way.
                restart_owed=marked is not None and (started is None or str(marked) >= str(started)),
                restart_marked=marked is not None,
                now=str(vpn["now"]),
                ikeext_started=None if started is None else str(started),
                sas={
                    str(address): int(count)
                    for address, count in sorted(vpn["associations"].items())
                    if _is_address(str(address))
                },
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
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise PlanError(f"the server's facts cannot be read ({type(error).__name__}: {error}).") from error

    @property
    def sessions(self) -> int:
        """Return how many tunnels are up; if the RemoteAccess cmdlets failed, how many security associations there are."""
        return sum(self.sas.values()) if self.tunnels is None else self.tunnels

    def as_dict(self) -> dict[str, t.Any]:
        """Return plain values, with the keys that users see."""
        return dict(vars(self))

    def findings(self, server: str) -> tuple[Finding, ...]:
        """Report a pending restart, and other causes of error 809 than a hidden source address."""
        findings = []
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


def _is_address(text: str) -> bool:
    """Report whether this is an address. An association that is still being negotiated may not have one yet."""
    try:
        canonical_address(text.partition("%")[0])
    except ValueError:
        return False
    return True
