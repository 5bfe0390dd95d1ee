# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PowerShell for the lab's Windows hosts: one warm process, which is started when the first script comes, and what its commands are answered.

The warm process runs what Ansible sends, one call after the other. A scheduled task may have a process of its own, which reaches its host by the same socket.
"""

from __future__ import annotations

import atexit
import fnmatch
import functools
import hashlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import typing as t
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import ansible

from lab import cmdlets, system
from lab.core import State, copied
from lab.errors import CmdletError

Message = dict[str, t.Any]

PROJECT = Path(__file__).resolve().parents[2]
STAND_INS = Path(__file__).resolve().parent / "powershell"
SETTINGS = ("-SettingsFile", str(STAND_INS / "powershell.config.json"))
"""Keeps PowerShell from writing to this machine's system log, which took a fifth of a script's time."""
MODULE_UTILS = Path(ansible.__file__).parent / "module_utils"
COMPILE_FAST = {"DOTNET_TieredCompilation": "0", "DOTNET_JITMinOpts": "1"}
"""Makes .NET compile once, and fast: in so short a life, better code costs more than it brings."""
UNAVAILABLE = {"message": "The RPC server is unavailable.", "category": "ConnectionError", "id": "HRESULT 0x800706ba"}
"""The error of a fault that says nothing else."""

EARLIEST = (3, 6, 1)
"""The first ansible.windows whose win_powershell runs outside Windows."""


refused = threading.Event()
"""Whether a script could not be run, since this was cleared."""


class NoPowerShell(Exception):
    """There is no PowerShell here, or nothing for it to run."""


def find_powershell() -> str | None:
    """Return the pwsh from PATH, else the one beside the project."""
    beside = PROJECT.parent / "shared" / "pwsh" / "pwsh"
    if found := shutil.which("pwsh"):
        return os.path.abspath(found)
    return str(beside) if beside.exists() else None


def obstacle() -> str | None:
    """Return in one line what to install before scripts can run, None where they can."""
    if not find_powershell():
        return "PowerShell 7 is missing. Install Microsoft's package powershell, so that pwsh is on the PATH."
    try:
        ansible_windows()
    except NoPowerShell as error:
        return str(error)
    return None


def ansible_windows() -> Path:
    """Return the folder of an ansible.windows whose win_powershell runs here; LAB_COLLECTIONS names the collections root of one."""
    places = [os.environ.get("LAB_COLLECTIONS", ""), *os.environ.get("ANSIBLE_COLLECTIONS_PATH", "").split(os.pathsep)]
    for place in filter(None, places):
        folder = Path(place) / "ansible_collections" / "ansible" / "windows"
        if (folder / "MANIFEST.json").exists():
            about = json.loads((folder / "MANIFEST.json").read_text(encoding="utf-8"))
            if tuple(map(int, about["collection_info"]["version"].split("."))) >= EARLIEST:
                return folder.absolute()
    wanted = ".".join(map(str, EARLIEST))
    raise NoPowerShell(
        f"The lab needs ansible.windows {wanted} or later. LAB_COLLECTIONS has to name its collections root."
    )


class Machine(t.Protocol):
    """What a PowerShell needs of the host that it is on."""

    id: str
    lock: threading.RLock
    state: State

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment variables of that host."""


@dataclass
class Done:
    """How a call ended; ``died``: PowerShell itself did. ``changed``: it changed the host."""

    code: int = 0
    output: str = ""
    errors: str = ""
    died: bool = False
    changed: bool = False


@dataclass
class Line:
    """A connection of a PowerShell."""

    connection: socket.socket

    def __post_init__(self) -> None:
        self._reader = self.connection.makefile("r", encoding="utf-8")

    def read(self) -> Message | None:
        """Return the next message, None where there is no more."""
        try:
            line = self._reader.readline()
        except ConnectionResetError:  # it was killed before it had read its answer
            line = ""
        return t.cast(Message, json.loads(line)) if line else None

    def write(self, message: Mapping[str, t.Any]) -> None:
        """Send a message. Where the other side is gone, the next to be read is None."""
        with suppress(BrokenPipeError):
            self.connection.sendall(json.dumps(message).encode() + b"\n")

    def close(self) -> None:
        """End the connection; the other side ends with it."""
        self._reader.close()
        self.connection.close()


class Shell:
    """The PowerShells of this Python process."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="lab-"))
        self.socket = self.folder / "socket"
        self.started = 0
        self._machines: dict[str, Machine] = {}
        self._calls = threading.Lock()
        self._warm: tuple[subprocess.Popen[bytes], Line] | None = None
        self._ready = threading.Event()
        self._ready_line: Line | None = None
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.socket))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True, name="lab PowerShell").start()
        atexit.register(self.stop)

    def stop(self) -> None:
        """End the warm process."""
        self._end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def environment(self, machine: Machine) -> dict[str, str]:
        """Return the environment of a PowerShell on a host."""
        self._machines[machine.id] = machine
        return {**machine.environment, "LAB_HOST": machine.id}

    def common(self) -> dict[str, str]:
        """Return the environment of every PowerShell."""
        if reason := obstacle():
            refused.set()
            raise NoPowerShell(reason)
        compiled = (
            STAND_INS / "Link.cs",
            STAND_INS / "Types.cs",
            MODULE_UTILS / "csharp" / "Ansible.Basic.cs",
            MODULE_UTILS / "powershell" / "Ansible.ModuleUtils.AddType.psm1",
            ansible_windows() / "plugins" / "modules" / "win_powershell.ps1",
        )
        types = self.folder.parent / f"lab-types-{os.getuid()}-{_digest(*compiled)}"
        return {
            **os.environ,
            "LAB_SOCKET": str(self.socket),
            "LAB_TYPES": str(types),
            "LAB_PWSH": str(find_powershell()),
            "PSModulePath": str(STAND_INS / "Modules"),
            "PSModuleAnalysisCachePath": str(self.folder / "modules"),
            "TMPDIR": str(self.folder),  # killed processes leave their pipes here
            "XDG_DATA_HOME": str(self.folder / "data"),  # the user's own modules are none of a host's
            "POWERSHELL_TELEMETRY_OPTOUT": "1",
            "POWERSHELL_UPDATECHECK": "Off",
            **COMPILE_FAST,
        }

    # The warm process

    def module(self, machine: Machine, arguments: Mapping[str, t.Any]) -> Done:
        """Run Ansible's win_powershell with these arguments."""
        return self._call(machine, {"module": arguments})

    def file(self, machine: Machine, path: str, arguments: str) -> Done:
        """Run a script's file as powershell.exe -File does."""
        return self._call(machine, {"file": path, "arguments": arguments})

    def _call(self, machine: Machine, call: Message) -> Done:
        environment = self.environment(machine)
        changed = False
        with self._calls:
            _process, line = self._warm or self._start()
            line.write({**call, "host": machine.id, "environment": environment})
            while message := line.read():
                if "done" in message:
                    return Done(message["code"], message["output"], message["errors"], changed=changed)
                answer, wrote = self._answer(message)
                changed = changed or wrote
                if answer is None:
                    break
                line.write(answer)
            self._end()
            return Done(1, errors="PowerShell has died", died=True, changed=changed)

    def _end(self) -> None:
        if self._warm:
            process, line = self._warm
            process.kill()
            process.wait()
            line.close()
            self._warm = None

    def _start(self) -> tuple[subprocess.Popen[bytes], Line]:
        environment = self.common()
        self._ready.clear()
        self.started += 1
        command = [environment["LAB_PWSH"], *SETTINGS, "-NoProfile", "-NonInteractive"]
        command += ["-File", str(STAND_INS / "warm.ps1")]
        command += ["-ModuleUtils", str(MODULE_UTILS), "-Collection", str(ansible_windows())]
        with (self.folder / "warm.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                env=environment,
                cwd="/",  # each session looks up its folder from the root
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + 120
        while not self._ready.wait(0.1):
            if process.poll() is not None or time.monotonic() > end:
                process.kill()
                raise NoPowerShell(
                    f"PowerShell did not start: {(self.folder / 'warm.log').read_text(encoding='utf-8')}"
                )
        assert self._ready_line is not None
        self._warm = process, self._ready_line
        return self._warm

    # What its commands are answered

    def _accept(self) -> None:
        while True:
            connection, _dummy = self._listener.accept()
            threading.Thread(target=self._serve, args=(Line(connection),), daemon=True, name="lab PowerShell").start()

    def _serve(self, line: Line) -> None:
        while message := line.read():
            if "ready" in message:
                self._ready_line = line
                self._ready.set()
                return
            answer, _dummy = self._answer(message)
            if answer is None:
                break
            line.write(answer)
        line.close()

    def _answer(self, message: Message) -> tuple[Message | None, bool]:
        """Return the answer to a command, None where its process is to die, and whether it changed the host."""
        machine, command, parameters = self._machines[message["host"]], message["command"], message["parameters"]
        with machine.lock:
            fault = _fault(machine.state, command, parameters)
        kind = fault.get("kind", "")
        if kind == "delay":
            time.sleep(fault["seconds"])
        elif kind == "die":
            return None, False
        answer: Message = {"output": [], "error": None}
        changed = False
        if kind not in ("error", "nothing"):
            with machine.lock:
                before = copied(machine.state)
                try:
                    answer["output"] = run(machine.state, command, parameters, message["set"])
                except CmdletError as error:
                    answer["error"] = _record(str(error), error.category, error.id, error.target)
                changed = before != machine.state
        if kind == "die after":
            return None, changed
        if kind in ("error", "error after"):
            record = {key: fault.get(key, usual) for key, usual in UNAVAILABLE.items()}
            answer = {"output": [], "error": {**record, "target": None}}
        return answer, changed


def run(state: State, command: str, parameters: Mapping[str, t.Any], set_name: str) -> list[t.Any]:
    """Carry out a command on a host's state, and return its objects."""
    if command in system.COMMANDS:
        return system.COMMANDS[command](state, parameters)
    return cmdlets.run(state, command, parameters, set_name)


def _record(message: str, category: str, id: str, target: t.Any) -> Message:
    return {"message": message, "category": category, "id": id, "target": target}


def _fault(state: State, command: str, parameters: Mapping[str, t.Any]) -> Mapping[str, t.Any]:
    """Return the fault that strikes this command, if there is one, and count it.

    A fault: ``{"command": pattern, "match": {parameter: value}, "kind": ..., "skip": n, "times": n}``. The kinds: ``error`` and ``error after`` the work
    (with message, category, id), ``delay`` by so many seconds, ``nothing`` done and no error, ``die`` and ``die after``.
    """
    for fault in state["cmdlet_faults"]:
        matches = all(_is(parameters.get(key), value) for key, value in fault.get("match", {}).items())
        if not matches or not fnmatch.fnmatchcase(command.lower(), fault["command"].lower()):
            continue
        if fault.get("skip", 0):
            fault["skip"] -= 1
        elif fault.get("times", 1) > fault.get("seen", 0):
            fault["seen"] = fault.get("seen", 0) + 1
            return t.cast("Mapping[str, t.Any]", fault)
    return {}


def _is(given: t.Any, wanted: t.Any) -> bool:
    """Report whether a parameter has a value, perhaps as one of several; the case of a text does not matter."""
    return str(wanted).lower() in (str(item).lower() for item in (given if isinstance(given, list) else [given]))


@functools.cache
def _digest(*files: Path) -> str:
    """Return a name for what is compiled from these files."""
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


@functools.cache
def shell() -> Shell:
    """Return the PowerShells of this process."""
    return Shell()
