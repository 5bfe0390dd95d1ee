# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stand-ins of ScheduledTasks. They keep what is registered; what runs it when it is due is elsewhere.

A task of the state: ``path``, ``description``, ``execute``, ``argument``, ``user``, ``settings`` (as the cmdlet shows them), ``enabled``, ``triggers``
(``{"kind": "once", "at", "every", "duration", "end"}`` or ``{"kind": "startup", "end"}``, times of the lab's clock in seconds), ``due``, ``last_run``,
``result``, ``queued``, ``running``, ``stop``.
"""

from __future__ import annotations

import re
import typing as t
from datetime import datetime

from lab import clock
from lab.cim import (
    Command,
    Object,
    Parameters,
    as_list,
    instance,
    only,
    query,
    refuse,
    require_administrator,
    task_error,
)
from lab.core import State
from lab.errors import CmdletError

NAMESPACE = "Root/Microsoft/Windows/TaskScheduler"
HAS_NOT_RUN = 267011
NEVER = "1999-11-30T00:00:00"  # what LastRunTime shows before the first run
ACCOUNTS = ("SYSTEM", r"NT AUTHORITY\SYSTEM", "S-1-5-18")
DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")


def duration(seconds: float) -> str:
    """Return a time span as the Task Scheduler writes it, PT1M for example."""
    days, rest = divmod(seconds, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    clock_part = "".join(f"{value:g}{sign}" for value, sign in ((hours, "H"), (minutes, "M"), (rest, "S")) if value)
    return f"P{f'{days:g}D' if days else ''}{f'T{clock_part}' if clock_part or not days else ''}" if seconds else "PT0S"


def seconds(text: str) -> float:
    """Return the seconds of such a time span."""
    found = DURATION.fullmatch(text)
    if not found or text.rstrip("T") == "P":
        raise task_error(
            0x80041318,
            f"The task XML contains a value which is incorrectly formatted or out of range. {text}",
            "InvalidArgument",
        )
    return sum(float(value or 0) * unit for value, unit in zip(found.groups(), (86400, 3600, 60, 1), strict=True))


def new_action(state: State, parameters: Parameters, set_name: str) -> list[Object]:
    """Return an action."""
    properties = {
        "Id": parameters.get("Id"),
        "Execute": parameters["Execute"],
        "Arguments": parameters.get("Argument"),
        "WorkingDirectory": parameters.get("WorkingDirectory"),
    }
    return [instance("MSFT_TaskExecAction", NAMESPACE, properties, "MSFT_TaskAction")]


def new_trigger(state: State, parameters: Parameters, set_name: str) -> list[Object]:
    """Return a trigger: once, perhaps repeated, or at the start of the server."""
    only(parameters, "Once", "At", "RepetitionInterval", "RepetitionDuration", "AtStartup")
    every, lasting = parameters.get("RepetitionInterval"), parameters.get("RepetitionDuration")
    pattern = {
        "Interval": None if every is None else duration(every),
        "Duration": None if lasting is None else duration(lasting),
        "StopAtDurationEnd": False,
    }
    if set_name not in ("Once", "Startup") or not (parameters.get("Once") or parameters.get("AtStartup")):
        raise CmdletError(
            "Parameter set cannot be resolved using the specified named parameters.",
            "InvalidArgument",
            "AmbiguousParameterSet",
        )
    if lasting is not None and every is None:
        raise CmdletError("The RepetitionInterval parameter is missing.", "InvalidArgument", "RepetitionInterval")
    properties = {
        "Enabled": True,
        "StartBoundary": parameters.get("At"),
        "EndBoundary": None,
        "ExecutionTimeLimit": None,
        "Id": None,
        "Repetition": instance("MSFT_TaskRepetitionPattern", NAMESPACE, pattern),
    }
    kind = "MSFT_TaskTimeTrigger" if set_name == "Once" else "MSFT_TaskBootTrigger"
    return [instance(kind, NAMESPACE, properties, "MSFT_TaskTrigger")]


def new_principal(state: State, parameters: Parameters, set_name: str) -> list[Object]:
    """Return the account that a task runs as."""
    only(parameters, "UserId", "LogonType", "RunLevel", "Id")
    properties = {
        "Id": parameters.get("Id"),
        "UserId": parameters["UserId"],
        "LogonType": parameters.get("LogonType", "None"),
        "RunLevel": parameters.get("RunLevel", "Limited"),
        "GroupId": None,
    }
    return [instance("MSFT_TaskPrincipal2", NAMESPACE, properties, "MSFT_TaskPrincipal")]


def new_settings(state: State, parameters: Parameters, set_name: str) -> list[Object]:
    """Return settings, with the defaults of the Task Scheduler."""
    only(
        parameters,
        *(
            "AllowStartIfOnBatteries",
            "DontStopIfGoingOnBatteries",
            "StartWhenAvailable",
            "ExecutionTimeLimit",
            "MultipleInstances",
        ),
        *("RestartCount", "RestartInterval", "Priority", "Hidden", "Disable", "DeleteExpiredTaskAfter", "WakeToRun"),
    )
    spans = {name: parameters.get(name) for name in ("RestartInterval", "DeleteExpiredTaskAfter")}
    properties = {
        "Enabled": not parameters.get("Disable"),
        "AllowDemandStart": True,
        "DisallowStartIfOnBatteries": not parameters.get("AllowStartIfOnBatteries"),
        "StopIfGoingOnBatteries": not parameters.get("DontStopIfGoingOnBatteries"),
        "StartWhenAvailable": bool(parameters.get("StartWhenAvailable")),
        "ExecutionTimeLimit": duration(parameters.get("ExecutionTimeLimit", 3 * 86400)),
        "MultipleInstances": parameters.get("MultipleInstances", "IgnoreNew"),
        "RestartCount": parameters.get("RestartCount", 0),
        "RestartInterval": None if spans["RestartInterval"] is None else duration(spans["RestartInterval"]),
        "DeleteExpiredTaskAfter": None
        if spans["DeleteExpiredTaskAfter"] is None
        else duration(spans["DeleteExpiredTaskAfter"]),
        "Priority": parameters.get("Priority", 7),
        "Hidden": bool(parameters.get("Hidden")),
        "WakeToRun": bool(parameters.get("WakeToRun")),
    }
    return [instance("MSFT_TaskSettings3", NAMESPACE, properties, "MSFT_TaskSettings")]


def _trigger(shown: Object) -> dict[str, t.Any]:
    """Return a trigger as the state has it."""
    properties = shown["properties"]
    if shown["type"] == "MSFT_TaskBootTrigger":
        return {"kind": "startup", "end": _time(properties["EndBoundary"]) if properties.get("EndBoundary") else None}
    pattern = (properties.get("Repetition") or {"properties": {}})["properties"]
    every, lasting = pattern.get("Interval"), pattern.get("Duration")
    if every and seconds(every) < 60:
        raise task_error(
            0x80041318,
            f"The task XML contains a value which is incorrectly formatted or out of range. Interval:{every}",
            "InvalidArgument",
        )
    return {
        "kind": "once",
        "at": _time(properties["StartBoundary"]),
        "every": seconds(every) if every else None,
        "duration": seconds(lasting) if lasting else None,
        "end": _time(properties["EndBoundary"]) if properties.get("EndBoundary") else None,
    }


def _time(text: str) -> float:
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise task_error(
            0x80041318,
            f"The task XML contains a value which is incorrectly formatted or out of range. {text}",
            "InvalidArgument",
        ) from error
    return clock.from_datetime(when.astimezone())


def next_run(task: dict[str, t.Any], after: float) -> float | None:
    """Return when a task is due next, later than ``after``; its triggers at the start of the server do not count."""
    if not task["enabled"]:
        return None
    found = []
    for trigger in task["triggers"]:
        if trigger["kind"] != "once":
            continue
        when = trigger["at"]
        if when <= after and trigger["every"]:
            when += (int((after - when) // trigger["every"]) + 1) * trigger["every"]
        last = min(
            trigger["end"] if trigger["end"] is not None else float("inf"),
            trigger["at"] + trigger["duration"]
            if trigger["every"] and trigger["duration"] is not None
            else float("inf"),
        )
        if after < when <= last:
            found.append(when)
    return min(found, default=None)


def register(state: State, parameters: Parameters, set_name: str) -> list[Object]:
    """Register a task; one of the same name is replaced only with -Force."""
    only(
        parameters,
        "TaskName",
        "TaskPath",
        "Action",
        "Trigger",
        "Principal",
        "Settings",
        "Description",
        "Force",
        "User",
        "RunLevel",
    )
    require_administrator(state, "HRESULT 0x80070005")
    name = str(parameters["TaskName"])
    if re.search(r'[\\/:*?"<>|]', name):
        raise task_error(
            0x8007007B, "The filename, directory name, or volume label syntax is incorrect.", "NotSpecified"
        )
    if _find(state, name) and not parameters.get("Force"):
        raise task_error(0x800700B7, "Cannot create a file when that file already exists.", "ResourceExists")
    actions = as_list(parameters["Action"])
    if len(actions) != 1:
        raise refuse("plays tasks of one action")
    principal = parameters.get("Principal", {}).get("properties", {"UserId": parameters.get("User")})
    if principal["UserId"] is None:
        raise refuse("plays no tasks of the user who registers them")
    if str(principal["UserId"]).upper() not in ACCOUNTS:
        raise task_error(0x80070534, "No mapping between account names and security IDs was done.", "NotSpecified")
    settings = parameters.get("Settings", new_settings(state, {}, "")[0])["properties"]
    triggers = [_trigger(shown) for shown in as_list(parameters.get("Trigger", []))]
    if settings.get("DeleteExpiredTaskAfter") and not any(trigger.get("end") for trigger in triggers):
        raise task_error(
            0x80041319, "The task XML is missing a required element or attribute. EndBoundary", "InvalidArgument"
        )
    task = {
        "path": parameters.get("TaskPath", "\\"),
        "description": parameters.get("Description"),
        "execute": actions[0]["properties"]["Execute"],
        "argument": actions[0]["properties"]["Arguments"],
        "triggers": triggers,
        "user": principal["UserId"],
        "settings": settings,
        "enabled": settings["Enabled"],
        "last_run": None,
        "result": HAS_NOT_RUN,
        "queued": False,
        "running": 0,
    }
    state["tasks"].pop(_find(state, name) or name, None)
    state["tasks"][name] = {**task, "due": next_run(task, clock.now())}
    return [_task(name, state["tasks"][name])]


def _find(state: State, name: str) -> str | None:
    """Return a task's name as it was registered: case does not matter."""
    return next((known for known in state["tasks"] if known.lower() == name.lower()), None)


def _state_of(task: dict[str, t.Any]) -> str:
    if task["running"]:
        return "Running"
    if task["queued"]:
        return "Queued"
    return "Ready" if task["enabled"] else "Disabled"


def _task(name: str, task: dict[str, t.Any]) -> Object:
    action = {"Execute": task["execute"], "Arguments": task["argument"]}
    triggers = [
        instance(
            "MSFT_TaskBootTrigger" if trigger["kind"] == "startup" else "MSFT_TaskTimeTrigger",
            NAMESPACE,
            _boundaries(trigger),
            "MSFT_TaskTrigger",
        )
        for trigger in task["triggers"]
    ]
    properties = {
        "TaskName": name,
        "TaskPath": task["path"],
        "URI": task["path"] + name,
        "Description": task["description"],
        "State": _state_of(task),
        "Actions": [instance("MSFT_TaskExecAction", NAMESPACE, action, "MSFT_TaskAction")],
        "Triggers": triggers,
        "Principal": instance("MSFT_TaskPrincipal2", NAMESPACE, {"UserId": task["user"]}, "MSFT_TaskPrincipal"),
        "Settings": instance("MSFT_TaskSettings3", NAMESPACE, task["settings"], "MSFT_TaskSettings"),
    }
    return instance("MSFT_ScheduledTask", NAMESPACE, properties)


def _boundaries(trigger: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return what a trigger of the state shows."""
    if trigger["kind"] == "startup":
        end = None if trigger.get("end") is None else clock.to_datetime(trigger["end"]).isoformat()
        return {"Enabled": True, "StartBoundary": None, "EndBoundary": end}
    pattern = {
        name: trigger[key] and duration(trigger[key]) for name, key in (("Interval", "every"), ("Duration", "duration"))
    }
    return {
        "Enabled": True,
        "StartBoundary": clock.to_datetime(trigger["at"]).isoformat(),
        "EndBoundary": None if trigger["end"] is None else clock.to_datetime(trigger["end"]).isoformat(),
        "Repetition": instance("MSFT_TaskRepetitionPattern", NAMESPACE, pattern),
    }


def get_task(state: State, parameters: Parameters, set_name: str) -> list[Object]:
    """List tasks."""
    found = [_task(name, task) for name, task in state["tasks"].items()]
    return query("MSFT_ScheduledTask", found, parameters, {"TaskName": "TaskName", "TaskPath": "TaskPath"})


def _one(state: State, parameters: Parameters, *more: str) -> str:
    """Return the name of the one task that a cmdlet names, which is not a query: it takes no wildcards."""
    only(parameters, "TaskName", "TaskPath", "InputObject", *more)
    shown = parameters["InputObject"]["properties"] if "InputObject" in parameters else parameters
    name, path = _find(state, str(shown["TaskName"]).removeprefix("\\")), shown.get("TaskPath", "\\")
    if not name or state["tasks"][name]["path"] != path:
        raise task_error(0x80070002, "The system cannot find the file specified.", "ObjectNotFound")
    return name


def get_info(state: State, parameters: Parameters, set_name: str) -> list[Object]:
    """Return when a task ran, with what result, and when it is due next."""
    name = _one(state, parameters)
    task = state["tasks"][name]
    properties = {
        "TaskName": name,
        "TaskPath": task["path"],
        "LastRunTime": {"date": NEVER if task["last_run"] is None else clock.to_datetime(task["last_run"]).isoformat()},
        "LastTaskResult": task["result"],
        "NextRunTime": None if task["due"] is None else {"date": clock.to_datetime(task["due"]).isoformat()},
        "NumberOfMissedRuns": 0,
    }
    return [instance("MSFT_TaskDynamicInfo", NAMESPACE, properties)]


def start(state: State, parameters: Parameters, set_name: str) -> list[Object]:
    """Ask for a run. Where one is running already, nothing more happens unless the settings allow several."""
    require_administrator(state, "HRESULT 0x80070005")
    task = state["tasks"][_one(state, parameters)]
    if not task["enabled"]:
        raise task_error(0x80041326, "The task is disabled.", "InvalidOperation")
    if not task["running"]:
        task["queued"] = True
    elif task["settings"]["MultipleInstances"] != "IgnoreNew":
        raise refuse(f"does not play MultipleInstances {task['settings']['MultipleInstances']}")
    return []


def stop(state: State, parameters: Parameters, set_name: str) -> list[Object]:
    """End the runs of a task. It does not fail where there is none."""
    require_administrator(state, "HRESULT 0x80070005")
    task = state["tasks"][_one(state, parameters)]
    task["queued"] = False
    if task["running"]:
        task["stop"] = True
    return []


def enable(state: State, parameters: Parameters, set_name: str) -> list[Object]:
    """Let a task's triggers start it again."""
    return _set_enabled(state, parameters, True)


def disable(state: State, parameters: Parameters, set_name: str) -> list[Object]:
    """Keep a task's triggers, and requests, from starting it; a run goes on."""
    return _set_enabled(state, parameters, False)


def _set_enabled(state: State, parameters: Parameters, enabled: bool) -> list[Object]:
    require_administrator(state, "HRESULT 0x80070005")
    name = _one(state, parameters)
    task = state["tasks"][name]
    task["enabled"] = enabled
    task["due"] = next_run(task, clock.now())
    return [_task(name, task)]


def unregister(state: State, parameters: Parameters, set_name: str) -> list[Object]:
    """Remove tasks. A run goes on."""
    require_administrator(state, "HRESULT 0x80070005")
    parameters.pop("PassThru", None)
    if set_name == "InputObject":
        names = [_one(state, {"InputObject": each}) for each in as_list(parameters["InputObject"])]
    else:
        names = [each["properties"]["TaskName"] for each in get_task(state, parameters, "")]
    for name in names:
        del state["tasks"][name]
    return []


COMMANDS: dict[str, Command] = {
    "New-ScheduledTaskAction": new_action,
    "New-ScheduledTaskTrigger": new_trigger,
    "New-ScheduledTaskPrincipal": new_principal,
    "New-ScheduledTaskSettingsSet": new_settings,
    "Register-ScheduledTask": register,
    "Get-ScheduledTask": get_task,
    "Get-ScheduledTaskInfo": get_info,
    "Start-ScheduledTask": start,
    "Stop-ScheduledTask": stop,
    "Enable-ScheduledTask": enable,
    "Disable-ScheduledTask": disable,
    "Unregister-ScheduledTask": unregister,
}
