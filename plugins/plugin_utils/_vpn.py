# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a VPN server's own figures say: its limit, whether a restart is owed, its clients. No input or output."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Finding, canonical_address

LARGEST_DWORD = 0xFFFFFFFF


def server_facts(server: str, network: Mapping[str, t.Any], vpn: t.Any) -> dict[str, t.Any]:
    """Give ``rras_facts`` of a server: ``network`` is what rras_default_gateway returns, ``vpn`` what read_vpn.ps1 gives.

    ``sas`` counts IKE security associations by remote address, ``tunnels`` and ``ikev2_ports`` are None where the server's
    RemoteAccess cmdlets did not answer, ``ike_limit`` is None where the system's own default counts.

    :raises ValueError: where ``vpn`` is something else.
    """
    try:
        limit, started, owed = vpn["ike_limit"], vpn["ikeext_started"], vpn["restart_owed_since"]
        services = {
            name: {
                "state": str(service["state"]),
                "start": str(service["start"]),
                "dependents": list(map(str, service["dependents"])),
            }
            for name, service in vpn["services"].items()
        }
        facts = {
            **network,
            # PowerShell reads a DWORD as a signed number.
            "ike_limit": None if limit is None else int(limit) & LARGEST_DWORD,
            # Both are UTC in one format, so they compare as texts. With a mark, a service that does not run was stopped by a restart that ended half done.
            "restart_owed": owed is not None and (started is None or str(owed) >= str(started)),
            "restart_marked": owed is not None,
            "now": str(vpn["now"]),
            "sas": {
                str(address): int(count)
                for address, count in sorted(vpn["associations"].items())
                if _is_address(str(address))
            },
            "tunnels": None if vpn["tunnels"] is None else int(vpn["tunnels"]),
            "ikev2_ports": None if vpn["ikev2_ports"] is None else int(vpn["ikev2_ports"]),
            "ikev2_fragmentation": bool(vpn["fragmentation"]),
            "services": services,
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{server}: the VPN server's figures are not understood ({type(error).__name__}: {error})"
        ) from error
    findings = [*network.get("findings", []), *(finding.as_dict() for finding in _findings(server, facts))]
    return {**facts, "findings": findings}


def _is_address(text: str) -> bool:
    """Say whether an association is somebody's: one that is only half made may not name anybody yet."""
    try:
        canonical_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def _in_words(limit: int | None) -> str:
    return "is absent" if limit is None else f"is {limit}"


def _findings(server: str, facts: Mapping[str, t.Any]) -> list[Finding]:
    """Tell a restart that is owed, and other causes of error 809 than a hidden source address."""
    findings = []
    if facts["restart_owed"]:
        findings.append(
            Finding(
                "restart_owed",
                "warning",
                server,
                f"IkeNumEstablishedForInitialQuery {_in_words(facts['ike_limit'])}, and IKEEXT has not been restarted since that was changed.",
                "Restart IKEEXT when no tunnel is in use, or run the role with 'rras_restart_with_sessions'.",
            )
        )
    ports, tunnels = facts["ikev2_ports"], facts["tunnels"]
    if ports is not None and tunnels is not None and tunnels >= ports:
        findings.append(
            Finding(
                "ports_exhausted",
                "warning",
                server,
                f"{tunnels} connections are up, and RRAS has {ports} ports for IKEv2: further clients are refused with error 809, too.",
                "Give WAN Miniport (IKEv2) more ports.",
            )
        )
    if not facts["ikev2_fragmentation"]:
        findings.append(
            Finding(
                "fragmentation_off",
                "info",
                server,
                "IKEv2 fragmentation is off, so large packets of IKE_AUTH depend on IP fragments, which many networks drop (error 809, too).",
                "Set EnableServerFragmentation (Windows Server 1803 or newer) if clients with long certificates fail.",
            )
        )
    return findings
