# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What scripts see of a Windows host beside its cmdlets: the registry, services, processes, the user, and names."""

from __future__ import annotations

import fnmatch
import ipaddress
import typing as t
from collections.abc import Callable, Mapping
from datetime import datetime

from lab.core import State
from lab.errors import CmdletError

Parameters = Mapping[str, t.Any]
Objects = list[t.Any]

HIVES = {
    "HKEY_LOCAL_MACHINE": "HKLM:",
    "HKEY_CURRENT_USER": "HKCU:",
    "HKEY_CLASSES_ROOT": "HKCR:",
    "HKEY_USERS": "HKU:",
    "HKEY_CURRENT_CONFIG": "HKCC:",
}
KINDS = ("string", "expandstring", "multistring", "dword", "qword")
ALWAYS = ("HKLM:", r"HKLM:\SOFTWARE", r"HKLM:\SYSTEM")
"""Keys that every Windows has."""


# The registry of the state: {key: {name: {"type", "data"}}}


def normal_key(path: str) -> str:
    """Return a key's path as the state has it: HKLM: is HKEY_LOCAL_MACHINE."""
    hive, *parts = filter(None, path.split("\\"))
    return "\\".join([HIVES.get(hive.upper(), hive), *parts])


def keys_under(state: State, key: str) -> list[str]:
    """Return the registry keys that lie under this one, and itself."""
    return [known for known in state["registry"] if f"{known}\\".lower().startswith(f"{key}\\".lower())]


def find_key(state: State, path: str) -> str | None:
    """Find a registry key: case does not matter, and a key's parents exist."""
    wanted = normal_key(path)
    under = keys_under(state, wanted)
    return next((key for key in under if len(key) == len(wanted)), wanted if under else None)


def find_value(state: State, path: str, name: str) -> dict[str, t.Any] | None:
    """Find a registry value, as ``{"name", "type", "data"}``."""
    values = state["registry"].get(find_key(state, path), {})
    return next(({"name": known, **value} for known, value in values.items() if known.lower() == name.lower()), None)


def _exists(state: State, path: str) -> bool:
    wanted = normal_key(path)
    return find_key(state, path) is not None or wanted.lower() in map(str.lower, ALWAYS)


def _shown(state: State, path: str) -> dict[str, t.Any]:
    """Show a key to the registry provider."""
    key = find_key(state, path) or normal_key(path)
    deeper = {known[len(key) + 1 :].split("\\")[0] for known in keys_under(state, key)}
    values = [{"name": name, "data": as_dotnet(value)} for name, value in state["registry"].get(key, {}).items()]
    return {
        "name": key.replace("HKLM:", "HKEY_LOCAL_MACHINE", 1),
        "values": values,
        "keys": sorted(filter(None, deeper)),
    }


def as_dotnet(value: Mapping[str, t.Any]) -> t.Any:
    """Return a registry value as .NET does: a DWORD is a signed number."""
    bits = {"dword": 32, "qword": 64}.get(value["type"])
    return value["data"] - (1 << bits) if bits and value["data"] >= 1 << (bits - 1) else value["data"]


def registry_exists(state: State, parameters: Parameters) -> Objects:
    """Report whether a key exists."""
    return [_exists(state, parameters["path"])]


def registry_get(state: State, parameters: Parameters) -> Objects:
    """Return a key."""
    return [_shown(state, parameters["path"])]


def registry_new(state: State, parameters: Parameters) -> Objects:
    """Make a key; with force, its parents and one that exists, which loses its values."""
    path = parameters["path"]
    if _exists(state, path) and not parameters["force"]:
        raise CmdletError("A key in this path already exists.", "ResourceExists", "System.IO.IOException")
    if not _exists(state, path.rpartition("\\")[0]) and not parameters["force"]:
        raise CmdletError(
            "The registry key at the specified path does not exist.", "InvalidArgument", "System.ArgumentException"
        )
    state["registry"][find_key(state, path) or normal_key(path)] = {}
    return [_shown(state, path)]


def registry_remove(state: State, parameters: Parameters) -> Objects:
    """Remove a key and what lies under it."""
    for key in keys_under(state, normal_key(parameters["path"])):
        del state["registry"][key]
    return []


def registry_set(state: State, parameters: Parameters) -> Objects:
    """Set a value; without force, only one that does not exist."""
    path, name, data = parameters["path"], parameters["name"], parameters["value"]
    old = find_value(state, path, name)
    if old and not parameters["force"]:
        raise CmdletError("The property already exists.", "ResourceExists", "System.IO.IOException")
    kind = str(parameters.get("type") or (old or {}).get("type") or "string").lower()
    if kind not in KINDS:
        raise CmdletError(f"the lab's registry does not play the type {kind}", "NotImplemented", "Lab")
    if kind == "multistring":
        data = [str(item) for item in data] if isinstance(data, list) else [str(data)]
    elif kind in ("dword", "qword"):
        data = int(data) % (1 << (32 if kind == "dword" else 64))
    else:
        data = str(data)
    key = find_key(state, path) or normal_key(path)
    state["registry"].setdefault(key, {})[old["name"] if old else name] = {"type": kind, "data": data}
    return [True]


def registry_remove_value(state: State, parameters: Parameters) -> Objects:
    """Remove a value."""
    if old := find_value(state, parameters["path"], parameters["name"]):
        del state["registry"][find_key(state, parameters["path"])][old["name"]]
        return []
    message = f"Property {parameters['name']} does not exist at path {parameters['path']}."
    raise CmdletError(message, "InvalidArgument", "System.Management.Automation.PSArgumentException")


# Services and processes


def start_type(service: Mapping[str, t.Any]) -> str:
    """Return a service's start type as .NET names it."""
    return {"auto": "Automatic", "delayed": "Automatic", "manual": "Manual", "disabled": "Disabled"}[
        service["start_mode"]
    ]


def _service(state: State, name: str, deep: bool = True) -> dict[str, t.Any]:
    service = state["services"][name]
    dependents = [_service(state, other, deep=False) for other in service["dependents"] if other in state["services"]]
    properties = {
        "Name": name,
        "ServiceName": name,
        "DisplayName": service["display_name"],
        "Status": str(service["state"]).capitalize(),
        "StartType": start_type(service),
        **({"DependentServices": dependents} if deep else {}),
    }
    return {"type": "System.Service.ServiceController", "properties": properties}


def get_service(state: State, parameters: Parameters) -> Objects:
    """Return services by name; a name without wildcards has to exist."""
    if unknown := set(parameters) - {"Name"}:
        raise CmdletError(f"the lab's Get-Service does not play {', '.join(sorted(unknown))}", "NotImplemented", "Lab")
    found: Objects = []
    for wanted in parameters.get("Name", ["*"]):
        matching = [name for name in state["services"] if fnmatch.fnmatchcase(name.lower(), wanted.lower())]
        found += [_service(state, name) for name in matching]
        if not matching and not set(wanted) & set("*?["):
            message = f"Cannot find any service with service name '{wanted}'."
            id = "NoServiceFoundForGivenName"
            raise CmdletError(message, "ObjectNotFound", id, target=wanted)
    return found


def get_process(state: State, parameters: Parameters) -> Objects:
    """Return the services' processes by their ids."""
    if set(parameters) != {"Id"}:
        raise CmdletError("the lab's Get-Process plays Id alone", "NotImplemented", "Lab")
    found: Objects = []
    for wanted in parameters["Id"]:
        names = [
            name
            for name, service in state["services"].items()
            if service["process_id"] == wanted and service["state"] == "running"
        ]
        if not names:
            message = f"Cannot find a process with the process identifier {wanted}."
            id = "NoProcessFoundForGivenId"
            raise CmdletError(message, "ObjectNotFound", id, target=wanted)
        started = datetime.fromisoformat(state["services"][names[0]]["started_at"])
        properties = {"Id": wanted, "ProcessName": "svchost", "StartTime": {"date": started.isoformat()}}
        found.append({"type": "System.Diagnostics.Process", "properties": properties})
    return found


# The user, and names


def identity(state: State, _dummy: Parameters) -> Objects:
    """Return who runs a script."""
    return [{"name": rf"{state['computer_name']}\ansible", "administrator": state["administrator"]}]


def dns(state: State, parameters: Parameters) -> Objects:
    """Return the addresses of a name: an address is its own, the domain's are its controllers'."""
    name = str(parameters["name"])
    names = {state["domain"]: state["domain_controllers"], **state["names"]}
    try:
        return [str(ipaddress.ip_address(name))]
    except ValueError:
        if not names.get(name):
            raise CmdletError("No such host is known.", "NotSpecified", "SocketException") from None
        return list(names[name])


COMMANDS: dict[str, Callable[[State, Parameters], Objects]] = {
    "Registry.Exists": registry_exists,
    "Registry.Get": registry_get,
    "Registry.New": registry_new,
    "Registry.Remove": registry_remove,
    "Registry.Set": registry_set,
    "Registry.RemoveValue": registry_remove_value,
    "Get-Service": get_service,
    "Get-Process": get_process,
    "Identity": identity,
    "Dns": dns,
}
