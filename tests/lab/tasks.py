# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the scheduled tasks of a Windows host when they are due: the command line that was registered, in PowerShell.

A task of the state: see cmdlets.py, which registers it. Simulated: an execution policy, which forbids a script's file; that of Group Policy does so whatever
-ExecutionPolicy says. ``policy_stops_modules`` plays that it forbids the files of modules as well, so that a text without a file fails, too.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import threading
import typing as t
from base64 import b64decode, b64encode
from pathlib import Path

from lab import clock
from lab.core import Entry, State
from lab.shell import SETTINGS, STAND_INS, Machine, shell

POWERSHELL = "Windows/System32/WindowsPowerShell/v1.0"
FORBIDS_FILES = ("AllSigned", "Restricted")
FILE_NOT_FOUND, FILE_MISSING, TERMINATED = 0x80070002, 0xFFFD0000, 0x41306
FILE = re.compile(r'^(?P<options>.*)-File\s+"?(?P<path>[^"]+?)"?(?:\s+(?P<arguments>-.*))?$', re.IGNORECASE)

POLICY = re.compile(r"-ExecutionPolicy\s+(?P<policy>\w+)", re.IGNORECASE)
ENCODED = re.compile(r"^.*-EncodedCommand\s+(?P<text>[A-Za-z0-9+/=]+)$", re.IGNORECASE)


class Scheduling(Machine, t.Protocol):
    """A host with scheduled tasks."""

    own_processes: bool
    name: str

    @property
    def drive(self) -> Path:
        """Return the folder that is its drive C:."""

    def tell(self, entry: Entry | None) -> None:
        """Notify subscribers that the host has changed by itself."""


class TaskScheduler:
    """The service that runs a host's tasks."""

    def __init__(self, host: Scheduling) -> None:
        self._host = host
        self._stopped = threading.Event()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def _tasks(self) -> State:
        return t.cast(State, self._host.state["tasks"])

    def start(self) -> None:
        """Run tasks when they are due, each in a thread of its own, until ``stop``."""
        self._stopped.clear()
        threading.Thread(target=self._watch, daemon=True, name=f"{self._host.name} tasks").start()

    def stop(self) -> None:
        """Start no more tasks, and end those that run in processes of their own."""
        self._stopped.set()
        for process in list(self._processes.values()):
            process.kill()

    def restarted(self) -> None:
        """The server has restarted: what ran is gone, and the tasks for its start are due."""
        for name, process in list(self._processes.items()):
            process.kill()
            self._processes.pop(name, None)
        for task in self._tasks.values():
            task["running"] = 0
            triggers = [trigger for trigger in task["triggers"] if trigger["kind"] == "startup"]
            waiting = any(trigger.get("end") is None or clock.now() <= trigger["end"] for trigger in triggers)
            task["queued"] = waiting and task["enabled"]

    def run_due(self) -> list[str]:
        """Run the tasks that are due, one after the other, and name them."""
        names = []
        while name := self._next():
            names.append(name)
            self._perform(name)
        return names

    def _watch(self) -> None:
        while not self._stopped.wait(0.05):
            while name := self._next():
                thread = threading.Thread(
                    target=self._perform, args=(name,), daemon=True, name=f"{self._host.name} task"
                )
                thread.start()
            with self._host.lock:
                ended = [name for name, task in self._tasks.items() if task.pop("stop", False) and task["running"]]
            for name in ended:
                if process := self._processes.get(name):
                    process.kill()

    def _next(self) -> str | None:
        """Take a task that is due, and which does not run yet."""
        with self._host.lock:
            for name, task in self._tasks.items():
                on_time = task["due"] is not None and task["due"] <= clock.now()
                if not task["enabled"] or not (task["queued"] or on_time):
                    continue
                if on_time:
                    task["due"] = _next_time(task)
                task["queued"] = False
                if task["running"]:
                    continue  # a new instance is ignored
                task |= {"running": 1, "last_run": clock.now()}
                self._host.state["fired"].append(name)
                return str(name)
        return None

    def _perform(self, name: str) -> None:
        with self._host.lock:
            task = self._tasks.get(name)
            if task is None:
                return
            execute, argument, refused = task["execute"], task["argument"], name in self._host.state["refused_tasks"]
        result = 1 if refused else self._command(name, execute, argument)
        with self._host.lock:
            task |= {"running": 0, "result": result}
        self._host.tell(None)

    def _command(self, name: str, execute: str, argument: str) -> int:
        """Run a command line, and return its exit code."""
        program = Path(execute.replace("\\", "/"))
        if program != self._host.drive / POWERSHELL / "powershell.exe":
            return FILE_NOT_FOUND
        file, text = FILE.match(argument), ENCODED.match(argument)
        if file and not Path(file["path"]).exists():
            return FILE_MISSING
        if self._forbids_files(argument) and (file or self._host.state["policy_stops_modules"]):
            return 1
        if file and not self._host.own_processes:
            return shell().file(self._host, file["path"], file["arguments"] or "").code
        if text and not self._host.own_processes:
            script = shell().folder / f"{self._host.id}.{name}.ps1"
            script.write_text(b64decode(text["text"]).decode("utf-16-le"), encoding="utf-8")
            return shell().file(self._host, str(script), "").code
        process = self._start(f"{program} {argument}", subprocess.DEVNULL)
        self._processes[name] = process
        code = process.wait()
        self._processes.pop(name, None)
        return code if code >= 0 else TERMINATED

    def _forbids_files(self, argument: str) -> bool:
        """Report whether the execution policy forbids files: the first that is set, from Group Policy's to the machine's."""
        given = POLICY.search(argument)
        scopes = {"LocalMachine": "RemoteSigned", **self._host.state.get("policy", {})}
        if given:
            scopes["Process"] = given["policy"]
        order = ("MachinePolicy", "UserPolicy", "Process", "CurrentUser", "LocalMachine")
        policies = (scopes.get(scope, "Undefined") for scope in order)
        return next((policy for policy in policies if policy != "Undefined"), "Restricted") in FORBIDS_FILES

    def process(self, line: str, stdin: bytes) -> subprocess.CompletedProcess[bytes]:
        """Run a command line with this input, as a shell of the host does; a script, which psrp sends, is wrapped in one."""
        if not line.lower().startswith("powershell"):
            line = f"powershell.exe -NoProfile -NonInteractive -EncodedCommand {b64encode(line.encode('utf-16-le')).decode()}"
        process = self._start(line, subprocess.PIPE)
        stdout, stderr = process.communicate(stdin)
        return subprocess.CompletedProcess(line, process.returncode, stdout, stderr)

    def _start(self, line: str, pipe: int) -> subprocess.Popen[bytes]:
        folder = self._host.drive / POWERSHELL
        make_powershell(folder)
        environment = {**shell().common(), **shell().environment(self._host)}
        # One text, which is taken apart there.
        return subprocess.Popen(
            ["/bin/sh", "-c", f"exec {line}"],
            env=environment | {"PATH": f"{folder}:{environment['PATH']}"},
            cwd=self._host.drive,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
        )


def _next_time(task: State) -> float | None:
    """Return when a task is due again by its triggers that repeat."""
    times = []
    for trigger in task["triggers"]:
        if trigger["kind"] == "once" and trigger.get("every"):
            passed = max(0.0, clock.now() - trigger["at"]) // trigger["every"] + 1
            due = trigger["at"] + passed * trigger["every"]
            ends = [trigger["at"] + trigger["duration"]] if trigger.get("duration") else []
            ends += [trigger["end"]] if trigger.get("end") else []
            if all(due <= end for end in ends):
                times.append(due)
    return min(times, default=None)


def make_powershell(folder: Path) -> None:
    """Write a program that is a host's PowerShell: pwsh with the stand-ins, which a profile loads, and otherwise with the same arguments."""
    if folder.exists():
        return
    config = folder / "config" / "powershell"
    config.mkdir(parents=True)
    (config / "profile.ps1").write_text(f". '{STAND_INS}/start.ps1'\n", encoding="utf-8")
    program = folder / "powershell.exe"
    program.write_text(
        "#!/bin/sh\n"
        f'export XDG_CONFIG_HOME="{config.parent}"\n'
        'for argument; do shift; [ "$argument" = -NoProfile ] || set -- "$@" "$argument"; done\n'
        f'exec "$LAB_PWSH" {shlex.join(SETTINGS)} "$@"\n',
        encoding="utf-8",
    )
    program.chmod(0o755)
    for name in ("powershell", "PowerShell", "PowerShell.exe"):
        (folder / name).symlink_to(program)
