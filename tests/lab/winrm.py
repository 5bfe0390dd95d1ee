# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The WinRM side of a simulated Windows host: what Ansible's own ``winrm`` connection talks to.

Facts: the six operations are MS-WSMV's as pywinrm 0.5 sends and reads them; fault codes are winerror.h's
``ERROR_WSMAN_*``; the payloads are what ansible-core 2.16, 2.19, 2.20 and 2.21 were seen to send (see its
executor/powershell/module_manifest.py and plugins/connection/winrm.py).
"""

from __future__ import annotations

import abc
import base64
import binascii
import hashlib
import hmac
import itertools
import json
import re
import select
import threading
import time
import traceback
import typing as t
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from flask import Request, Response, g, request

from lab import core

Element = ElementTree.Element

NAMESPACES = {
    "s": "http://www.w3.org/2003/05/soap-envelope",
    "a": "http://schemas.xmlsoap.org/ws/2004/08/addressing",
    "x": "http://schemas.xmlsoap.org/ws/2004/09/transfer",
    "w": "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd",
    "rsp": "http://schemas.microsoft.com/wbem/wsman/1/windows/shell",
    "f": "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault",
}
FAULT = "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault"
SHELL_ID = "s:Header/w:SelectorSet/w:Selector[@Name='ShellId']"
STDIN_IS_CONSOLE = "s:Header/w:OptionSet/w:Option[@Name='WINRS_CONSOLEMODE_STDIN']"
SPLITS_INPUT = "`0`0`0`0"  # how PowerShell writes the four null bytes by which every core's bootstrap splits its input
PLAYED = {"async_wrapper", "async_watchdog", "module_powershell_wrapper", "module_wrapper"}  # the steps of a payload
CHANGED = "_lab_changed"  # in a module's result: whether it changed the host, for the log alone
REWRITTEN = {"copy", "file", "ping", "stat"}  # what Ansible itself asks for by these names is win_copy and so on


@dataclass
class Fault(core.Fault):
    """A fault that strikes a run: ``match`` sees the log's entries, such as ``MODULE win_service``.

    ``reset`` cuts the connection that waits for the answer, ``before`` the module took effect (then it never does) or
    ``after``. ``dark``: from then on the host answers nobody for so many seconds; a request whose client gives up
    meanwhile has no effect. ``last``: the run is answered, and as long as the fault is armed nobody gets a new shell.
    """

    dark: float = 0.0
    last: bool = False

    def __post_init__(self) -> None:
        if self.answer is not None:
            raise ValueError("a module's run has no HTTP answer to replace")


class Died(Exception):
    """The process that ran a module is gone, without an answer."""


class WSManFault(Exception):
    """A fault as the WS-Management service reports it."""

    def __init__(self, code: int, subcode: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.subcode = subcode

    def body(self) -> str:
        """Return the SOAP body that pywinrm turns into a WSManFaultError."""
        reason = escape(str(self))
        return (
            f"<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>{self.subcode}</s:Value></s:Subcode>"
            f'</s:Code><s:Reason><s:Text xml:lang="en-US">{reason}</s:Text></s:Reason><s:Detail>'
            f'<f:WSManFault Code="{self.code}" Machine="127.0.0.1"><f:Message>{reason}</f:Message></f:WSManFault>'
            "</s:Detail></s:Fault>"
        )


@dataclass(frozen=True)
class Work:
    """What a command wants done: MODULE with its name, PUT with the file's path, or RAW with the command's text."""

    method: t.Literal["MODULE", "PUT", "RAW"]
    path: str
    arguments: dict[str, t.Any] = field(default_factory=dict)
    data: bytes = b""
    job: tuple[str, str] | None = None  # for a background job: the id that Ansible drew, and the folder of its result
    numbers: bool = False  # core 2.16 says started 1 and finished 0, later ones true and false
    line: str = field(default="", compare=False)  # the command as it came, with its input
    stdin: bytes = field(default=b"", compare=False, repr=False)

    @property
    def check(self) -> bool:
        """Report whether this is check mode."""
        return bool(self.arguments.get("_ansible_check_mode"))


@dataclass
class Output:
    """What a command leaves behind; ``cut``: nobody gets to read it, the connection breaks instead."""

    rc: int = 0
    stdout: str = ""
    stderr: str = ""
    cut: bool = False


@dataclass
class Command:
    """A command in a shell. It runs in a thread of its own once its input is complete."""

    line: str
    stdin: bytearray = field(default_factory=bytearray)
    done: threading.Event = field(default_factory=threading.Event)
    output: Output = field(default_factory=Output)


def parse(body: bytes) -> Element:
    """Read a SOAP envelope. SOAP forbids document types, so none is read: no entity is ever expanded."""
    try:
        text = body.decode("utf-8")
        if "<!" in text:
            raise ValueError("document types are not allowed")
        return ElementTree.fromstring(text)
    except (ValueError, ElementTree.ParseError) as error:
        raise WSManFault(2150858819, "w:SchemaValidationError", f"The request contains invalid XML: {error}") from error


def find(element: Element, path: str) -> Element:
    """Find what a message must contain."""
    if (found := element.find(path, NAMESPACES)) is None:
        raise WSManFault(2150858817, "w:SchemaValidationError", f"The SOAP message does not contain {path}.")
    return found


def text_of(element: Element, path: str) -> str:
    """Return the text of what a message must contain."""
    return find(element, path).text or ""


def from_lines(data: bytes) -> bytes:
    """Join the base64 lines of a file's content."""
    return b"".join(base64.b64decode(line, validate=True) for line in data.split())


def decode(line: str, stdin: bytes) -> Work:
    """Report what a command line and its input want. Core 2.16 wraps a module's command line in a second one."""
    script = line
    while encoded := re.fullmatch(r"PowerShell(?:\.exe)?\s.*-EncodedCommand\s+(\S+)\s*", script, re.IGNORECASE):
        script = base64.b64decode(encoded[1], validate=True).decode("utf-16-le")
    if "[System.IO.File]::Create($path)" in script and (path := re.search(r"(?m)^\$path = '(.*)'$", script)):
        return Work("PUT", path[1].replace("''", "'"), data=from_lines(stdin))  # put_file of core 2.16
    if SPLITS_INPUT not in script:
        return Work("RAW", script.strip())
    wrapper, manifest_text, *rest = stdin.split(b"\0\0\0\0")
    manifest = json.loads(manifest_text)
    numbers = "module_args" in manifest  # core 2.16, whose wrapper is PowerShell; later ones' is JSON
    if numbers:
        steps: dict[str, t.Any] = dict.fromkeys(manifest["actions"])
        arguments, environment = manifest["module_args"], manifest["environment"]
        job = (manifest["async_jid"], environment["ANSIBLE_ASYNC_DIR"]) if "async_wrapper" in steps else None
    else:
        if json.loads(wrapper)["name"] != "exec_wrapper":
            raise ValueError("the payload is not for exec_wrapper")
        steps = {action["name"].removesuffix(".ps1"): action["params"] for action in manifest["actions"]}
        if "winrm_put_file" in steps:
            return Work("PUT", steps["winrm_put_file"]["Path"], data=from_lines(rest[0]))
        variables = {variable["Name"]: variable["Value"] for variable in steps["module_wrapper"]["Variables"]}
        arguments = variables["complex_args"]
        background = steps.get("async_wrapper")
        job = (background["AsyncJid"], background["AsyncDir"]) if background else None
    if unknown := sorted(set(steps) - PLAYED):
        raise ValueError(f"the lab does not play {', '.join(unknown)}")
    name = str(arguments["_ansible_module_name"]).rpartition(".")[2]
    name = f"win_{name}" if name in REWRITTEN else name
    return Work("MODULE", name, arguments, job=job, numbers=numbers)


class WinRMHost(core.Device):
    """A host behind ``/wsman``. ``log`` has each module, upload and raw command, ``http_log`` each request.

    An entry of ``log``: method and path as in Work, body the module's arguments, status the exit code, note
    ``check_mode`` where that is on, and ``writes`` if it changed the host.
    """

    username = "ansible"
    password = "lab-windows-secret-1"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.http_log: list[core.Entry] = []
        self.jobs: dict[str, dict[str, t.Any]] = {}  # the background jobs' result files, by path
        self._shells: dict[str, dict[str, Command]] = {}
        self._dark_until = 0.0
        self._process_ids = itertools.count(4000, 4)
        shells: dict[str, Callable[[Element], str]] = {
            f"{NAMESPACES['x']}/Create": self._create,
            f"{NAMESPACES['x']}/Delete": self._delete,
            f"{NAMESPACES['rsp']}/Command": self._command,
            f"{NAMESPACES['rsp']}/Send": self._send,
            f"{NAMESPACES['rsp']}/Receive": self._receive,
            f"{NAMESPACES['rsp']}/Signal": self._signal,
        }
        self._operations = {f"{NAMESPACES['rsp']}/cmd": shells}
        self.app.add_url_rule("/wsman", view_func=self._wsman, methods=["POST"])

    # What a host provides

    @abc.abstractmethod
    def module(self, name: str, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        """Run a module and give its result."""

    @abc.abstractmethod
    def raw(self, command: str) -> Output:
        """Run a command that is no module."""

    @abc.abstractmethod
    def upload(self, path: str, data: bytes) -> None:
        """Keep a file."""

    def executes(self, work: Work) -> bool:
        """Report whether this is executed for real, and not at one go."""
        return False

    def execute(self, work: Work) -> tuple[Output, bool] | None:
        """Execute a command as it came, and say whether that changed the host; None: run its module alone."""
        return None

    def labels(self, work: Work) -> dict[str, str]:
        """Return what the log is to note as the entry's ``query``."""
        return {}

    # The life of the host

    def writes(self, request: Request) -> bool:
        """Return False: what a module changed is known when it has run, not by an HTTP request."""
        return False

    def open_sessions(self) -> list[str]:
        """Name the shells that nobody deleted."""
        return list(self._shells)

    def reset(self) -> None:
        """Become a fresh host again."""
        with self.lock:
            super().reset()
            for forget in (self.http_log, self.jobs, self._shells):
                forget.clear()
            self._dark_until = 0.0

    def fault(self, match: Callable[[core.Entry], bool] = lambda _entry: True, **how: t.Any) -> Fault:
        """Arm a fault; see Fault."""
        made = Fault(match, **how)
        self.faults.append(made)
        return made

    def go_dark(self, seconds: float, forget_shells: bool = False) -> None:
        """Answer no connection for so long, and, as a reboot does, forget the shells."""
        self._dark_until = time.monotonic() + seconds
        if forget_shells:
            self._shells.clear()

    def is_dark(self) -> bool:
        """Report whether nobody reaches the host now."""
        return time.monotonic() < self._dark_until

    def _stay_dark(self) -> None:
        """Wait until it is bright again. A client that still waits is answered then: TCP sends again what was lost."""
        if not self.is_dark():
            return
        request.get_data()  # else what is still to be read looks like more to come
        gone = False
        while self.is_dark() and not gone:
            gone = bool(select.select([request.environ["werkzeug.socket"]], [], [], 0.05)[0])  # the client said goodbye
        if gone:
            self._cut()

    # Each HTTP request

    def _arrive(self) -> Response | None:
        g.entry = core.Entry(self.name, request.method, request.path, request.args.to_dict(), "")
        with self.lock:
            self.http_log.append(g.entry)
        self._stay_dark()
        given = request.authorization
        credentials = f"{given.username}:{given.password}" if given and given.type == "basic" else ""
        if hmac.compare_digest(credentials.encode(), f"{self.username}:{self.password}".encode()):
            return None
        return Response(
            status=401, headers={"WWW-Authenticate": 'Basic realm="WSMAN"', "Server": "Microsoft-HTTPAPI/2.0"}
        )

    def _leave(self, response: Response) -> Response:
        g.entry.status = response.status_code
        return response

    def _wsman(self) -> Response:
        if request.mimetype != "application/soap+xml":
            return Response(status=415)
        message, action, status = "", FAULT, 200
        try:
            envelope = parse(request.get_data())
            message, wanted = text_of(envelope, "s:Header/a:MessageID"), text_of(envelope, "s:Header/a:Action")
            g.entry.body = wanted.rpartition("/")[2]
            resource = text_of(envelope, "s:Header/w:ResourceURI")
            if resource not in self._operations:
                raise WSManFault(2150858811, "a:DestinationUnreachable", f"The resource URI {resource} is not known.")
            if wanted not in self._operations[resource]:
                raise WSManFault(2150858801, "a:ActionNotSupported", f"The action {wanted} is not supported.")
            body, action = self._operations[resource][wanted](envelope), f"{wanted}Response"
        except WSManFault as fault:
            body, status = fault.body(), 500
        spaces = " ".join(f"xmlns:{prefix}={quoteattr(uri)}" for prefix, uri in NAMESPACES.items())
        answer = (
            f'<s:Envelope xml:lang="en-US" {spaces}><s:Header><a:Action>{escape(action)}</a:Action>'
            f"<a:MessageID>uuid:{uuid.uuid4()}</a:MessageID><a:RelatesTo>{escape(message)}</a:RelatesTo></s:Header>"
            f"<s:Body>{body}</s:Body></s:Envelope>"
        )
        return Response(answer, status, content_type="application/soap+xml;charset=UTF-8")

    def _shell(self, envelope: Element) -> dict[str, Command]:
        shell_id = text_of(envelope, SHELL_ID)
        if (shell := self._shells.get(shell_id)) is None:
            raise WSManFault(
                2150858843,
                "w:InvalidSelectors",
                f"The request for the Windows Remote Shell with ShellId {shell_id} failed because the shell was not "
                "found on the server. Possible causes are: the specified ShellId is incorrect or the shell no longer "
                "exists on the server. Provide the correct ShellId or create a new shell and retry the operation.",
            )
        return shell

    def _find_command(self, envelope: Element, path: str) -> tuple[str, Command]:
        command_id = find(envelope, path).get("CommandId", "")
        if (command := self._shell(envelope).get(command_id)) is None:
            raise WSManFault(2150858813, "w:InvalidSelectors", f"The shell has no command with the id {command_id}.")
        return command_id, command

    def _create(self, envelope: Element) -> str:
        find(envelope, "s:Body/rsp:Shell")
        if any(isinstance(fault, Fault) and fault.last and fault.seen for fault in self.faults):
            self._cut()
        shell_id = str(uuid.uuid4()).upper()
        self._shells[shell_id] = {}
        return (
            f"<x:ResourceCreated><a:Address>{escape(request.url)}</a:Address><a:ReferenceParameters><w:SelectorSet>"
            f'<w:Selector Name="ShellId">{shell_id}</w:Selector></w:SelectorSet></a:ReferenceParameters>'
            "</x:ResourceCreated>"
        )

    def _delete(self, envelope: Element) -> str:
        self._shell(envelope)
        del self._shells[text_of(envelope, SHELL_ID)]
        return ""

    def _command(self, envelope: Element) -> str:
        parts = [text_of(envelope, "s:Body/rsp:CommandLine/rsp:Command")]
        parts += [part.text or "" for part in envelope.findall("s:Body/rsp:CommandLine/rsp:Arguments", NAMESPACES)]
        command_id, command = str(uuid.uuid4()).upper(), Command(" ".join(parts))
        self._shell(envelope)[command_id] = command
        if text_of(envelope, STDIN_IS_CONSOLE) == "TRUE":  # no input will come
            self._execute(command)
        return f"<rsp:CommandResponse><rsp:CommandId>{command_id}</rsp:CommandId></rsp:CommandResponse>"

    def _send(self, envelope: Element) -> str:
        _dummy, command = self._find_command(envelope, "s:Body/rsp:Send/rsp:Stream")
        stream = find(envelope, "s:Body/rsp:Send/rsp:Stream")
        try:
            command.stdin += base64.b64decode(stream.text or "", validate=True)
        except binascii.Error as error:
            raise WSManFault(2150858838, "w:SchemaValidationError", f"The stream is not base64: {error}.") from error
        if stream.get("End") == "true":
            self._execute(command)
        return "<rsp:SendResponse/>"

    def _receive(self, envelope: Element) -> str:
        command_id, _dummy = self._find_command(envelope, "s:Body/rsp:Receive/rsp:DesiredStream")
        output = self._wait_for(envelope)
        streams = "".join(
            f'<rsp:Stream Name="{name}" CommandId="{command_id}">'
            f"{base64.b64encode(text.encode()).decode()}</rsp:Stream>"
            for name, text in (("stdout", output.stdout), ("stderr", output.stderr))
            if text
        )
        return (
            f'<rsp:ReceiveResponse>{streams}<rsp:CommandState CommandId="{command_id}" '
            f'State="{NAMESPACES["rsp"]}/CommandState/Done"><rsp:ExitCode>{output.rc}</rsp:ExitCode></rsp:CommandState>'
            "</rsp:ReceiveResponse>"
        )

    def _wait_for(self, envelope: Element) -> Output:
        """Wait for a command's output, as long as the request for it says."""
        _dummy, command = self._find_command(envelope, "s:Body/rsp:Receive/rsp:DesiredStream")
        limit = re.fullmatch(r"PT(\d+(?:\.\d+)?)S", text_of(envelope, "s:Header/w:OperationTimeout"))
        if not command.done.wait(float(limit[1]) if limit else 60.0):
            reason = (
                "The WS-Management service cannot complete the operation within the time specified in OperationTimeout."
            )
            raise WSManFault(2150858793, "w:TimedOut", reason)  # the client asks again then
        if command.output.cut or text_of(envelope, SHELL_ID) not in self._shells:
            self._cut()
        self._stay_dark()
        return command.output

    def _signal(self, envelope: Element) -> str:
        command_id, _dummy = self._find_command(envelope, "s:Body/rsp:Signal")
        self._shell(envelope).pop(command_id)
        return "<rsp:SignalResponse/>"

    # What a command does

    def _execute(self, command: Command) -> None:
        threading.Thread(target=self._perform, args=(command,), daemon=True, name=f"{self.name} command").start()

    def _perform(self, command: Command) -> None:
        try:
            try:
                work = replace(
                    decode(command.line, bytes(command.stdin)), line=command.line, stdin=bytes(command.stdin)
                )
            except (ValueError, KeyError, IndexError, TypeError) as error:
                command.output = Output(1, stderr=f"invalid payload: {error!r}")
            else:
                command.output = self._start_job(work, *work.job) if work.job else self._run(work)
        except Exception:  # a mistake of the lab's own: say it on both sides
            traceback.print_exc()
            command.output = Output(1, stderr=traceback.format_exc())
        finally:
            command.done.set()

    def _start_job(self, work: Work, drawn: str, folder: str) -> Output:
        """Start a background job as async_wrapper does: its result file says started now, and at the end the result."""
        process_id = next(self._process_ids)
        job = f"{drawn}.{process_id}"
        path = f"{folder}\\{job}"
        yes, no = (1, 0) if work.numbers else (True, False)
        result = {"started": yes, "finished": no, "results_file": path, "ansible_job_id": job}
        result |= {"_ansible_suppress_tmpdir_delete": True, "ansible_async_watchdog_pid": process_id}
        self.jobs[path] = result

        def finish() -> None:
            if answer := self._run(work).stdout:
                self.jobs[path] = result | json.loads(answer) | {"finished": yes}

        threading.Thread(target=finish, daemon=True, name=f"{self.name} job").start()
        return Output(stdout=json.dumps(result))

    def _run(self, work: Work) -> Output:
        """Do the work, with its entry in the log, and a fault where one is due."""
        body = {key: value for key, value in work.arguments.items() if not key.startswith("_ansible_")}
        note = "check_mode" if work.check else ""
        entry = core.Entry(self.name, work.method, work.path, self.labels(work), body, note=note)
        with self.lock:
            self.log.append(entry)
            fault = next((fault for fault in self.faults if isinstance(fault, Fault) and fault.due(entry)), Fault())
        time.sleep(fault.delay)
        output = Output()
        if fault.reset != "before":
            for hook in self.before:
                hook(entry)
            output, entry.writes = self._take_effect(work)
            with self.lock:
                entry.status = output.rc
                if self.logfile:
                    with self.logfile.open("a", encoding="utf-8") as out:
                        out.write(json.dumps(vars(entry), ensure_ascii=False) + "\n")
            self.tell(entry)
        if fault.dark:
            self.go_dark(fault.dark)
        output.cut = bool(fault.reset)
        return output

    def _take_effect(self, work: Work) -> tuple[Output, bool]:
        """Do the work, and say whether that changed the host."""
        if self.executes(work):  # what it does to the host, it does step by step, and others beside it
            if (untouched := self.execute(work)) is None:
                return self._effect(work)
            return untouched
        with self.lock:
            before = core.copied(self.state)
            output, changed = self._effect(work)
            return output, changed or self.state != before

    def _effect(self, work: Work) -> tuple[Output, bool]:
        """Do the work, and say whether it reports a change that it made itself."""
        if work.method == "RAW":
            return self.raw(work.path), False
        if work.method == "PUT":
            self.upload(work.path, work.data)
            return Output(stdout=json.dumps({"sha1": hashlib.sha1(work.data).hexdigest()})), True
        try:
            result = self.module(work.path, work.arguments)
        except Died as death:
            return Output(1, stderr=str(death)), True
        # What async_status reports is the job's change, not its own.
        changed = bool(result.get("changed")) and not work.check and work.path != "async_status"
        changed = result.pop(CHANGED, False) or changed
        return Output(int(bool(result.get("failed"))), json.dumps(result) + "\r\n"), changed
