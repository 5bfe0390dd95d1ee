# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the collection's PowerShell scripts do to a simulated Windows host. They are played here, not run: their own mistakes stay hidden.

The cmdlets' refusals follow the NetTCPIP module: New-NetRoute fails for a route that stands already and does not take PersistentStore,
Remove-NetRoute fails for one that does not stand.
"""

from __future__ import annotations

import typing as t
from collections import Counter
from datetime import UTC, datetime

from lab.core import State
from lab.windows import IKE_LIMIT, IKEEXT_KEY, CmdletError, Handler, Result, find_value, now

MARKER_KEY = r"HKLM:\SOFTWARE\aovpn.ikev2"
IKEV2_KEY = r"HKLM:\SYSTEM\CurrentControlSet\Services\RemoteAccess\Parameters\Ikev2"
STORES = {"ActiveStore": "active", "PersistentStore": "persistent"}


def read_network(state: State, parameters: dict[str, t.Any], check_mode: bool) -> Result:
    """Play read_network.ps1."""
    if parameters:
        raise CmdletError(f"A parameter cannot be found that matches parameter name '{next(iter(parameters))}'.")
    result = {
        "interfaces": [
            {
                "index": nic["if_index"],
                "alias": nic["alias"],
                "mac": nic["mac"],
                "metric": nic["metric"],
                "dhcp": nic["dhcp"],
                "addresses": [nic["address"]],
            }
            for nic in state["nics"]
        ],
        "routes": [
            {
                "store": store,
                "destination": route["dest"],
                "next_hop": route["next_hop"],
                "interface_index": route["if_index"],
                "metric": route["metric"],
            }
            for store, key in STORES.items()
            for route in state["routes"][key]
        ],
        "peers": sorted({session["remote_address"] for session in state["sessions"]} | set(state["dns_servers"])),
    }
    return {"result": result, "changed": False}


def read_vpn(state: State, parameters: dict[str, t.Any], check_mode: bool) -> Result:
    """Play read_vpn.ps1. ``state["remote_access_cmdlets"]``: whether the RemoteAccess module answers."""
    if parameters:
        raise CmdletError(f"A parameter cannot be found that matches parameter name '{next(iter(parameters))}'.")
    services, answers = state["services"], state["remote_access_cmdlets"]
    ikeext = services.get("IKEEXT", {"state": "stopped"})

    def registry(path: str, name: str) -> t.Any:
        value = find_value(state, path, name)
        return value and _as_dotnet(value)

    result = {
        "now": _utc(now()),
        "services": {
            name: {
                "state": services[name]["state"],
                "start": services[name]["start_mode"].replace("auto", "automatic"),
                "dependents": [
                    other for other in services[name]["dependents"] if services.get(other, {}).get("state") == "running"
                ],
            }
            for name in ("IKEEXT", "RemoteAccess")
            if name in services
        },
        "ikeext_started": _utc(ikeext["started_at"]) if ikeext["state"] == "running" else None,
        "ike_limit": registry(IKEEXT_KEY, IKE_LIMIT),
        "restart_owed_since": registry(MARKER_KEY, "IkeextRestartOwedSince"),
        "fragmentation": registry(IKEV2_KEY, "EnableServerFragmentation"),
        "ikev2_ports": state["ikev2_ports"] if answers else None,
        "tunnels": len(state["sas"]) if answers else None,
        "associations": dict(Counter(association["remote_address"] for association in state["sas"])),
    }
    return {"result": result, "changed": False}


def _as_dotnet(value: dict[str, t.Any]) -> t.Any:
    """Give a registry value as .NET does: a DWORD is a signed number."""
    signed = value["type"] == "dword" and value["data"] > 0x7FFFFFFF
    return value["data"] - 0x100000000 if signed else value["data"]


def _utc(time: str) -> str:
    """Write a time of the state as the scripts write times."""
    return datetime.fromisoformat(time).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


def change_routes(state: State, parameters: dict[str, t.Any], check_mode: bool) -> Result:
    """Play change_routes.ps1."""
    if set(parameters) != {"Steps"}:
        raise CmdletError("Cannot process command because of one or more missing mandatory parameters: Steps.")
    for step in parameters["Steps"]:
        route = {"dest": step["destination"], "next_hop": step["next_hop"], "if_index": step["interface_index"]}
        if step["action"] == "add":
            _new_net_route(state, {**route, "metric": step["metric"], "protocol": "NetMgmt"}, step["store"])
        else:
            _remove_net_route(state, route, step["store"])
    return {"changed": bool(parameters["Steps"])}


def _new_net_route(state: State, route: dict[str, t.Any], store: str) -> None:
    if store == "PersistentStore":
        raise CmdletError("The parameter is incorrect: PolicyStore.")
    if route["if_index"] not in {nic["if_index"] for nic in state["nics"]}:
        raise CmdletError(f"The interface with index {route['if_index']} does not exist.")
    targets = ("active", "persistent") if store == "both" else ("active",)
    if any(_find(state, route, target) for target in targets):
        raise CmdletError("Instance MSFT_NetRoute already exists.")
    for target in targets:
        state["routes"][target].append(dict(route))


def _remove_net_route(state: State, route: dict[str, t.Any], store: str) -> None:
    found = _find(state, route, STORES[store])
    if not found:
        raise CmdletError(f"No matching MSFT_NetRoute objects found by CIM query for {route['dest']} in the {store}.")
    state["routes"][STORES[store]].remove(found)


def _find(state: State, route: dict[str, t.Any], store: str) -> dict[str, t.Any] | None:
    keys = ("dest", "next_hop", "if_index")
    return next((known for known in state["routes"][store] if all(known[key] == route[key] for key in keys)), None)


HANDLERS: dict[str, Handler] = {
    "read_network.ps1": read_network,
    "read_vpn.ps1": read_vpn,
    "change_routes.ps1": change_routes,
}
