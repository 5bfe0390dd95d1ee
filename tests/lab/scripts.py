# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the collection's PowerShell scripts do to a simulated Windows host. They are played here, not run: their own mistakes stay hidden.

The cmdlets' refusals follow the NetTCPIP module: New-NetRoute fails for a route that stands already and writes to the active store or to both,
Remove-NetRoute fails for one that does not stand.
"""

from __future__ import annotations

import json
import time
import typing as t
from collections import Counter
from datetime import UTC, datetime

from lab.core import State
from lab.windows import (
    IKE_LIMIT,
    IKEEXT_KEY,
    SCRIPTS,
    CmdletError,
    Handler,
    Result,
    find_key,
    find_value,
    now,
    register_task,
)

MARKER_KEY = r"HKLM:\SOFTWARE\aovpn.ikev2"
FOLDER = r"C:\Program Files\aovpn.ikev2"
ADDED_ROUTES = "AddedRoutes"
ROLLBACK, APPLY = "aovpn.ikev2 rollback", "aovpn.ikev2 apply"
START_OF_POWERSHELL, EVERY_MINUTE = 0.3, 60.0  # seconds
IKEV2_KEY = r"HKLM:\SYSTEM\CurrentControlSet\Services\RemoteAccess\Parameters\Ikev2"
STORES = {"ActiveStore": "active", "PersistentStore": "persistent"}


def read_network(state: State, parameters: dict[str, t.Any], check_mode: bool) -> Result:
    """Play read_network.ps1."""
    if unknown := set(parameters) - {"Ports"}:
        raise CmdletError(f"A parameter cannot be found that matches parameter name '{next(iter(unknown))}'.")
    ports = parameters.get("Ports", [5985, 5986, 22])
    services, rollback = state["services"], state["tasks"].get(ROLLBACK)
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
        "ipv6_defaults": [
            {"next_hop": route["next_hop"], "interface_index": route["if_index"], "metric": route["metric"]}
            for route in state["ipv6_defaults"]
        ],
        "peers": sorted(
            {session["remote_address"] for session in state["sessions"] if session["local_port"] in ports}.union(
                state["dns_servers"], state["domain_controllers"], state["radius_servers"]
            )
        ),
        "administrator": state["administrator"],
        "remote_access": _start_type(services["RemoteAccess"]) if "RemoteAccess" in services else None,
        "pending": None
        if rollback is None
        else {
            "due_in": None if rollback["due"] is None else max(0.0, rollback["due"] - time.time()),
            "applied": state["tasks"][APPLY]["result"] if APPLY in state["tasks"] else None,
        },
        "remembered": list((find_value(state, MARKER_KEY, ADDED_ROUTES) or {"data": []})["data"]),
    }
    return {"result": result, "changed": False}


def read_vpn(state: State, parameters: dict[str, t.Any], check_mode: bool) -> Result:
    """Play read_vpn.ps1. ``state["remote_access_cmdlets"]``: whether the RemoteAccess module answers. See also _association."""
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
                "start": _start_type(services[name]),
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
        "associations": [
            {"remote_address": address, "key_module": number, "key_module_name": name, "count": count}
            for (address, number, name), count in Counter(map(_association, state["sas"])).items()
        ],
        "administrator": state["administrator"],
    }
    return {"result": result, "changed": False}


def _association(association: Result) -> tuple[str, int | None, str | None]:
    """Return an association's address, and its key module as number and as text; ``key_module`` is either, or None if the server shows neither."""
    shown = association.get("key_module", "IKEv2")
    number = shown if isinstance(shown, int) else None
    return association["remote_address"], number, None if shown is None else str(shown)


def _start_type(service: Result) -> str:
    return str(service["start_mode"]).replace("auto", "automatic").replace("delayed", "automatic")


def _as_dotnet(value: dict[str, t.Any]) -> t.Any:
    """Return a registry value as .NET does: a DWORD is a signed number."""
    signed = value["type"] == "dword" and value["data"] > 0x7FFFFFFF
    return value["data"] - 0x100000000 if signed else value["data"]


def _utc(time: str) -> str:
    """Write a time of the state as the scripts write times."""
    return datetime.fromisoformat(time).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


def change_routes(state: State, parameters: dict[str, t.Any], check_mode: bool) -> Result:
    """Play change_routes.ps1."""
    if "Path" in parameters and len(parameters) == 1:
        steps = json.loads(_file(state, parameters["Path"]))["steps"]
    elif "Steps" in parameters and set(parameters) <= {"Steps", "Remember", "Armed"}:
        steps = parameters["Steps"]
    else:
        raise CmdletError("Parameter set cannot be resolved using the specified named parameters.")
    if parameters.get("Armed") and ROLLBACK not in state["tasks"]:
        raise CmdletError(f"No MSFT_ScheduledTask objects found with property 'TaskName' equal to '{ROLLBACK}'.")
    if "Remember" in parameters:
        remembered = {"type": "multistring", "data": list(parameters["Remember"])}
        state["registry"].setdefault(find_key(state, MARKER_KEY) or MARKER_KEY, {})[ADDED_ROUTES] = remembered
    for step in steps:
        route = {"dest": step["destination"], "next_hop": step["next_hop"], "if_index": step["interface_index"]}
        made = {**route, "metric": step["metric"], "protocol": "NetMgmt"}
        active, kept = (_find(state, route, store) for store in ("active", "persistent"))
        if step["action"] == "remove":
            if _find(state, route, STORES[step["store"]]):
                _remove_net_route(state, route, STORES[step["store"]])
        elif step["store"] == "both" and not kept:
            if active:
                _remove_net_route(state, route, "active")
            _new_net_route(state, made, "active", "persistent")
        elif not active:
            _new_net_route(state, made, "active")
    return {}


def _new_net_route(state: State, route: dict[str, t.Any], *stores: str) -> None:
    if route["if_index"] not in {nic["if_index"] for nic in state["nics"]}:
        raise CmdletError(f"The interface with index {route['if_index']} does not exist.")
    if any(_find(state, route, store) for store in stores):
        raise CmdletError("Instance MSFT_NetRoute already exists.")
    for store in stores:
        state["routes"][store].append(dict(route))


def _remove_net_route(state: State, route: dict[str, t.Any], store: str) -> None:
    found = _find(state, route, store)
    if not found:
        raise CmdletError(
            f"No matching MSFT_NetRoute objects found by CIM query for {route['dest']} in the {store} store."
        )
    state["routes"][store].remove(found)


def _find(state: State, route: dict[str, t.Any], store: str) -> dict[str, t.Any] | None:
    keys = ("dest", "next_hop", "if_index")
    return next((known for known in state["routes"][store] if all(known[key] == route[key] for key in keys)), None)


def arm_rollback(state: State, parameters: dict[str, t.Any], check_mode: bool) -> Result:
    """Play arm_rollback.ps1."""
    if set(parameters) != {"Steps", "Remember", "Seconds", "ChangeScript", "EndScript"}:
        raise CmdletError("Cannot process command because of one or more missing mandatory parameters.")
    files = {"change_routes.ps1": parameters["ChangeScript"], "end_change.ps1": parameters["EndScript"]}
    for name, text in files.items():
        if text != (SCRIPTS / name).read_text(encoding="utf-8"):
            raise CmdletError(f"the lab plays {name}, and was given another text for it")
    files["rollback.json"] = json.dumps({"steps": parameters["Steps"], "remember": parameters["Remember"]})
    state["files"] |= {f"{FOLDER}\\{name}": text for name, text in files.items()}
    when = {"seconds": parameters["Seconds"], "at_startup": True, "every": EVERY_MINUTE}
    register_task(state, ROLLBACK, "end_change.ps1", {"RollBack": True}, **when)
    return {}


def apply_detached(state: State, parameters: dict[str, t.Any], check_mode: bool) -> Result:
    """Play apply_detached.ps1."""
    if set(parameters) != {"Steps"}:
        raise CmdletError("Cannot process command because of one or more missing mandatory parameters: Steps.")
    if ROLLBACK not in state["tasks"]:
        raise CmdletError(f"No MSFT_ScheduledTask objects found with property 'TaskName' equal to '{ROLLBACK}'.")
    path = f"{FOLDER}\\apply.json"
    state["files"][path] = json.dumps({"steps": parameters["Steps"]})
    register_task(state, APPLY, "change_routes.ps1", {"Path": path}, seconds=START_OF_POWERSHELL)
    return {}


def end_change(state: State, parameters: dict[str, t.Any], check_mode: bool) -> Result:
    """Play end_change.ps1."""
    if not set(parameters) <= {"RollBack"}:
        raise CmdletError("A parameter cannot be found.")
    if parameters.get("RollBack"):
        state["tasks"].get(APPLY, {}).update(due=None)
        _file(state, f"{FOLDER}\\change_routes.ps1")
        plan = f"{FOLDER}\\rollback.json"
        change_routes(state, {"Path": plan}, check_mode)
        change_routes(state, {"Steps": [], "Remember": json.loads(_file(state, plan))["remember"]}, check_mode)
    for name in (APPLY, ROLLBACK):
        state["tasks"].pop(name, None)
    state["files"] = {path: text for path, text in state["files"].items() if not path.startswith(f"{FOLDER}\\")}
    return {}


def _file(state: State, path: str) -> str:
    if path not in state["files"]:
        raise CmdletError(f"Cannot find path '{path}' because it does not exist.")
    return str(state["files"][path])


HANDLERS: dict[str, Handler] = {
    "read_network.ps1": read_network,
    "read_vpn.ps1": read_vpn,
    "change_routes.ps1": change_routes,
    "arm_rollback.ps1": arm_rollback,
    "apply_detached.ps1": apply_detached,
    "end_change.ps1": end_change,
}
