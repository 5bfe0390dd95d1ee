# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the stand-ins of CDXML cmdlets share: instances, and the query by which such a cmdlet finds them.

Facts: a query of several properties that finds nothing is one error, a query of one property is an error for each value without a match, and neither
is an error where the value has wildcards (PowerShell's clientSideQuery.cs). The lab reports the first of several errors.
"""

from __future__ import annotations

import fnmatch
import typing as t
from collections.abc import Callable, Mapping

from lab.core import State
from lab.errors import CmdletError

Object = dict[str, t.Any]  # {"type", "namespace", "bases", "properties", "cim"}
Parameters = dict[str, t.Any]
Command = Callable[
    [State, Parameters, str], list[t.Any]
]  # (state, parameters, parameter set) -> objects, or plain values
STANDARD = "root/StandardCimv2"


def instance(
    kind: str, namespace: str, properties: Mapping[str, t.Any], *bases: str, cim: Mapping[str, t.Any] | None = None
) -> Object:
    """Return an instance of a CIM class. ``cim``: the raw values of properties that PowerShell shows otherwise."""
    made: Object = {"type": kind, "namespace": namespace, "properties": dict(properties)}
    if bases:
        made["bases"] = list(bases)
    if cim:
        made["cim"] = dict(cim)
    return made


def refuse(words: str) -> CmdletError:
    """Return the error for what the lab would have to guess."""
    return CmdletError(f"The lab {words}.", "NotImplemented", "LabDoesNotPlay")


def only(parameters: Parameters, *played: str) -> None:
    """Refuse the parameters that the real cmdlet has, and the lab does not play."""
    if unplayed := sorted(set(parameters) - set(played)):
        raise refuse(f"does not play the parameter {', '.join(unplayed)}")


def require_administrator(state: State, error_id: str) -> None:
    """Fail as Windows does where the user may not do something."""
    if not state["administrator"]:
        raise CmdletError("Access is denied.", "PermissionDenied", error_id)


def windows_error(number: int, message: str, category: str, target: str) -> CmdletError:
    """Return an error that the network's CIM provider reports."""
    return CmdletError(message, category, f"Windows System Error {number}", target)


def task_error(code: int, message: str, category: str) -> CmdletError:
    """Return an error that the Task Scheduler's CIM provider reports."""
    return CmdletError(message, category, f"HRESULT 0x{code:08x}", "PS_ScheduledTask")


def as_list(value: t.Any) -> list[t.Any]:
    """Return a parameter's values."""
    return value if isinstance(value, list) else [value]


def matches(shown: t.Any, wanted: t.Any) -> bool:
    """Report whether a property has a value. A text may have wildcards, and its case does not matter."""
    if isinstance(wanted, str):
        return fnmatch.fnmatchcase(str(shown).lower(), wanted.lower())
    return bool(shown == wanted)


def has_wildcard(value: t.Any) -> bool:
    return isinstance(value, str) and any(sign in value for sign in "*?[")


def query(kind: str, objects: list[Object], parameters: Parameters, properties: Mapping[str, str]) -> list[Object]:
    """Return the instances of a class that fit. ``properties``: by which properties the parameters select; a parameter that is missing there is refused."""
    only(parameters, *properties)
    filters = {properties[name]: as_list(value) for name, value in parameters.items()}
    found = [
        each
        for each in objects
        if all(
            any(matches(each["properties"].get(name), value) for value in values) for name, values in filters.items()
        )
    ]
    if len(filters) == 1:
        ((name, values),) = filters.items()
        for value in values:
            if not has_wildcard(value) and not any(matches(each["properties"].get(name), value) for each in objects):
                message = f"No {kind} objects found with property '{name}' equal to '{value}'.  Verify the value of the property and retry."
                raise CmdletError(message, "ObjectNotFound", f"CmdletizationQuery_NotFound_{name}", value)
    elif filters and not found and not all(has_wildcard(value) for values in filters.values() for value in values):
        conditions = " AND ".join(
            f"({' OR '.join(f'({name} = {value!r})' for value in values)})" for name, values in filters.items()
        )
        message = f"No matching {kind} objects found by CIM query: SELECT * FROM {kind} WHERE {conditions}. Verify query parameters and retry."
        raise CmdletError(message, "ObjectNotFound", "CmdletizationQuery_NotFound")
    return found
