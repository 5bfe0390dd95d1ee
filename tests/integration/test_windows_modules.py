# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible's own winrm connection and ansible.windows' own modules drive the lab's Windows host."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml

from lab.core import CertificateAuthority, Entry
from lab.system import find_value
from lab.windows import IKE_LIMIT, IKEEXT_KEY, WindowsHost

Result = dict[str, t.Any]

SCRIPT = """# Adds to a number in the host's registry.
[CmdletBinding(SupportsShouldProcess = $true)]
param([int]$By)
if (-not $By) { throw 'no By' }
$before = [int](Get-Item -LiteralPath HKLM:\\SOFTWARE\\Lab -ErrorAction SilentlyContinue | ForEach-Object { $_.GetValue('Sum') })
if ($PSCmdlet.ShouldProcess('the sum')) {
    $null = New-Item -Path HKLM:\\SOFTWARE\\Lab -Force
    $null = New-ItemProperty -LiteralPath HKLM:\\SOFTWARE\\Lab -Name Sum -PropertyType DWord -Value ($before + $By)
}
$Ansible.Result = @{ sum = $before + $By; deep = @{ deeper = @{ list = 1, 2 } } }
$Ansible.Diff.before = "$before"
"""
PLAIN = "param($Unused)\n$Ansible.Changed = $false\n"
PLACE = "C:\\Temp\\it's.ps1"
PLUGIN = """
import json, pathlib
from ansible.plugins.action import ActionBase

class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        {body}
        return {{"changed": True}}
"""
PLUGINS = {
    "lab_put.py": 'self._connection.put_file(self._task.args["src"], self._task.args["dest"])',
    "lab_keep.py": 'pathlib.Path(self._task.args["dest"]).write_text(json.dumps(self._task.args["results"]))',
}


class Controller:
    """Runs playbooks against one host."""

    def __init__(self, folder: Path, host: WindowsHost, ca: Path) -> None:
        self.folder = folder
        self.host = host
        self.variables = host.variables(ca) | {
            "ansible_winrm_operation_timeout_sec": 1,
            "ansible_winrm_read_timeout_sec": 3,
        }

    def play(self, tasks: list[Result], **variables: t.Any) -> tuple[str, dict[str, Result]]:
        """Run tasks; give the output, and the results by the tasks' names."""
        tasks = [task if "meta" in task else {**task, "register": task["name"]} for task in tasks]
        results = self.folder / "results.json"
        results.unlink(missing_ok=True)
        kept = {name: f"{{{{ {name} }}}}" for name in (task.get("register") for task in tasks) if name}
        keep = {"name": "Keep the results", "lab_keep": {"results": kept, "dest": str(results)}}
        files = {
            "inventory.yml": {"all": {"hosts": {"rras1": self.variables | variables}}},
            "play.yml": [{"hosts": "rras1", "gather_facts": False, "tasks": [*tasks, keep]}],
        }
        for name, content in files.items():
            (self.folder / name).write_text(yaml.safe_dump(content, sort_keys=False, width=1000), encoding="utf-8")
        run = subprocess.run(
            [Path(sys.executable).with_name("ansible-playbook"), "-i", *(self.folder / name for name in files)],
            env={**os.environ, "ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_LOCAL_TEMP": str(self.folder / "tmp")},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return run.stdout + run.stderr, json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Controller]:
    """Start a host."""
    folder = tmp_path_factory.mktemp("windows")
    scripts = folder / "scripts"
    scripts.mkdir()
    (scripts / "plain.ps1").write_text(PLAIN, encoding="utf-8")
    (folder / "action_plugins").mkdir()
    for name, body in PLUGINS.items():
        (folder / "action_plugins" / name).write_text(PLUGIN.format(body=body), encoding="utf-8")
    ca, path = CertificateAuthority(), folder / "ca.pem"
    ca.write(path)
    host = WindowsHost("rras1", 1)
    host.start(ca)
    yield Controller(folder, host, path)
    host.stop()


LIMIT = {"path": IKEEXT_KEY, "name": IKE_LIMIT, "data": 50000, "type": "dword"}
STAT = {"path": IKEEXT_KEY.lower(), "name": IKE_LIMIT.upper()}
RESTART = {"name": "IKEEXT", "state": "restarted"}
ADD = {"script": SCRIPT, "parameters": {"By": 2}}
HEX = {"type": "DWord", "value": "0x0000c350"}
SKIPPED = {"changed": True, "msg": "skipped, running in check mode", "result": {}}

# name, module, arguments, the task's other keywords, what the result must contain
TASKS: list[tuple[str, str, t.Any, Result, Result]] = [
    ("ping", "ansible.windows.win_ping", {}, {}, {"ping": "pong", "changed": False}),
    ("facts", "ansible.builtin.setup", {}, {}, {"ansible_facts": {"ansible_hostname": "RRAS1"}}),
    ("gathered", "ansible.builtin.gather_facts", {}, {}, {"ansible_facts": {"ansible_os_family": "Windows"}}),
    (
        "limit_check",
        "ansible.windows.win_regedit",
        LIMIT,
        {"check_mode": True, "diff": True},
        {"changed": True, "diff": {"before": {IKEEXT_KEY: {}}, "after": {IKEEXT_KEY: {IKE_LIMIT: HEX}}}},
    ),
    ("limit_stat_before", "ansible.windows.win_reg_stat", STAT, {}, {"exists": False, "changed": False}),
    ("limit", "ansible.windows.win_regedit", LIMIT, {}, {"changed": True, "data_changed": False}),
    ("limit_again", "ansible.windows.win_regedit", LIMIT, {}, {"changed": False, "data_changed": False}),
    ("limit_stat", "ansible.windows.win_reg_stat", STAT, {}, {"exists": True, "type": "REG_DWORD", "value": 50000}),
    (
        "restart_check",
        "ansible.windows.win_service",
        RESTART,
        {"check_mode": True},
        {"changed": True, "state": "running"},
    ),
    ("restart", "ansible.windows.win_service", RESTART, {}, {"changed": True, "state": "running", "exists": True}),
    ("start", "ansible.windows.win_service", {"name": "IKEEXT", "state": "started"}, {}, {"changed": False}),
    ("stop", "ansible.windows.win_service", {"name": "PolicyAgent", "state": "stopped"}, {}, {"state": "stopped"}),
    ("info", "ansible.windows.win_service_info", {"name": "IKEEXT"}, {}, {"exists": True}),
    ("limit_gone", "ansible.windows.win_regedit", {**STAT, "state": "absent"}, {}, {"changed": True}),
    (
        "script",
        "ansible.windows.win_powershell",
        ADD,
        {"diff": True},
        {
            "changed": True,
            "result": {"sum": 2, "deep": {"deeper": {"list": "1 2"}}},
            "diff": {"before": "0"},
            "output": [],
        },
    ),
    (
        "script_check",
        "ansible.windows.win_powershell",
        {**ADD, "depth": 4},
        {"check_mode": True},
        {"changed": True, "result": {"sum": 4, "deep": {"deeper": {"list": [1, 2]}}}},
    ),
    (
        "script_throws",
        "ansible.windows.win_powershell",
        {"script": SCRIPT},
        {},
        {"error": [{"exception": {"message": "no By"}}]},
    ),
    ("plain", "ansible.windows.win_powershell", {"script": PLAIN}, {}, {"changed": False, "failed": False}),
    ("plain_check", "ansible.windows.win_powershell", {"script": PLAIN}, {"check_mode": True}, SKIPPED),
    ("no_cmdlet", "ansible.windows.win_powershell", {"script": "Get-Nothing"}, {}, {"failed": False}),
    (
        "no_service",
        "ansible.windows.win_service",
        {"name": "x", "state": "started"},
        {},
        {"failed": True, "exists": False},
    ),
    ("bad_option", "ansible.windows.win_ping", {"dta": 1}, {}, {"failed": True}),
    ("bad_choice", "ansible.windows.win_service", {"name": "IKEEXT", "state": "up"}, {}, {"failed": True}),
    ("no_module", "ansible.windows.win_whoami", {}, {}, {"failed": True}),
    ("raw", "ansible.builtin.raw", "hostname", {}, {"rc": 0, "stdout": "RRAS1\r\n"}),
    ("no_raw", "ansible.builtin.raw", "Remove-Item C:\\", {}, {"rc": 1, "failed": True}),
    ("put", "lab_put", {"src": "{{ playbook_dir }}/scripts/plain.ps1", "dest": PLACE}, {}, {"changed": True}),
    (
        "job",
        "ansible.windows.win_service",
        {"name": "PolicyAgent", "state": "started"},
        {"async": 20, "poll": 1},
        {"changed": True, "state": "running", "finished": 1},
    ),
    ("later", "ansible.windows.win_ping", {"data": "later"}, {"async": 20, "poll": 0}, {"started": 1}),
    (
        "later_status",
        "ansible.builtin.async_status",
        {"jid": "{{ later.ansible_job_id }}"},
        {"until": "later_status is finished", "delay": 1},
        {"finished": 1, "ping": "later"},
    ),
    ("no_job", "ansible.builtin.async_status", {"jid": "j1.1"}, {}, {"failed": True}),
]


def contains(found: t.Any, wanted: t.Any) -> bool:
    """Report whether ``found`` has everything that ``wanted`` has."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(contains(found.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(contains, found, wanted))
    return bool(found == wanted)


class Whole(t.NamedTuple):
    """One run with all tasks, and what it left on the host."""

    results: dict[str, Result]
    log: list[Entry]
    state: Result
    sessions: list[str]


@pytest.fixture(scope="module")
def whole(controller: Controller) -> Whole:
    """Run all tasks once."""
    controller.host.reset()
    tasks = [
        {"name": name, module: args, **other, "ignore_errors": True} for name, module, args, other, _dummy in TASKS
    ]
    output, results = controller.play(tasks)
    assert results, output
    host = controller.host
    return Whole(results, list(host.log), copy.deepcopy(host.state), host.open_sessions())


needs_powershell = pytest.mark.usefixtures("pwsh")
SCRIPTED = {task[0] for task in TASKS if task[1].endswith(".win_powershell")}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [(task[0], task[4]) for task in TASKS],
)
def test_result(whole: Whole, name: str, wanted: Result, request: pytest.FixtureRequest) -> None:
    """Each module answers as the real one does."""
    if name in SCRIPTED:
        request.getfixturevalue("pwsh")
    assert contains(whole.results[name], wanted), whole.results[name]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_service", "Service 'x' is not installed, need to set 'path' to create a new service"),
        ("bad_option", "Unsupported parameters for (ansible.windows.win_ping) module: dta."),
        (
            "bad_choice",
            "value of state must be one of: started, stopped, restarted, absent, paused. Got no match for: up",
        ),
        ("no_module", "does not know the module win_whoami"),
        ("no_job", "could not find job"),
    ],
)
def test_refusal(whole: Whole, name: str, message: str) -> None:
    """What is not known is refused with a message."""
    assert message in whole.results[name]["msg"]


@needs_powershell
def test_log(whole: Whole) -> None:
    """The log has an entry for each module, and says which ones wrote."""
    writing = [(str(entry), entry.note) for entry in whole.log if entry.writes]
    assert writing == [
        ("MODULE win_regedit", ""),
        ("MODULE win_service", ""),
        ("MODULE win_service", ""),
        ("MODULE win_regedit", ""),
        ("MODULE win_powershell", ""),
        ("MODULE win_powershell", ""),  # the one that throws: what it changed until then is not known
        ("MODULE win_powershell", ""),  # and one that says nothing
        (f"PUT {PLACE}", ""),
        ("MODULE win_service", ""),
    ]
    assert [entry.note for entry in whole.log if entry.path == "win_regedit"] == ["check_mode", "", "", ""]
    assert next(entry.body for entry in whole.log if entry.path == "win_regedit") == LIMIT


@needs_powershell
def test_state(whole: Whole) -> None:
    """The host is as the modules made it; IKEEXT keeps the limit that it read when it started."""
    ikeext = whole.state["services"]["IKEEXT"]
    assert (ikeext["starts"], ikeext["ike_limit"], ikeext["state"]) == (2, 50000, "running")
    assert IKE_LIMIT not in whole.state["registry"][IKEEXT_KEY]
    assert whole.state["sas"] == []
    assert whole.state["files"] == {PLACE: PLAIN}
    assert find_value(whole.state, "HKLM:\\SOFTWARE\\Lab", "Sum") == {"name": "Sum", "type": "dword", "data": 2}
    service = whole.results["info"]["services"][0]
    assert (service["state"], service["process_id"]) == ("started", ikeext["process_id"])


def test_no_shell_is_left(whole: Whole) -> None:
    """Ansible closes what it opens."""
    assert whole.sessions == []


PING: Result = {"name": "ping", "ansible.windows.win_ping": {}}


def test_wrong_password(controller: Controller) -> None:
    """A wrong password is a 401, and nothing runs."""
    controller.host.reset()
    output, _dummy = controller.play([PING], ansible_password="wrong")
    assert "the specified credentials were rejected by the server" in output
    assert [entry.status for entry in controller.host.http_log] == [401]
    assert controller.host.log == []


def test_untrusted_certificate(controller: Controller, tmp_path: Path) -> None:
    """Another private CA than the host's is refused."""
    CertificateAuthority().write(tmp_path / "other.pem")
    output, _dummy = controller.play([PING], ansible_winrm_ca_trust_path=str(tmp_path / "other.pem"))
    assert "CERTIFICATE_VERIFY_FAILED" in output


@pytest.mark.parametrize(("reset", "starts"), [("before", 1), ("after", 2)])
def test_cut(controller: Controller, reset: str, starts: int) -> None:
    """A connection that is cut fails the task, whether the module ran or not."""
    controller.host.reset()
    controller.host.fault(lambda entry: entry.path == "win_service", reset=reset)
    output, results = controller.play([{"name": "restart", "ansible.windows.win_service": RESTART}])
    assert not results
    assert "FAILED!" in output
    assert controller.host.state["services"]["IKEEXT"]["starts"] == starts
    assert controller.host.open_sessions() == []


def test_slow_module(controller: Controller) -> None:
    """A module that takes longer than an operation may is asked for again."""
    controller.host.reset()
    controller.host.fault(delay=1.5)
    _dummy, results = controller.play([PING])
    assert results["ping"]["ping"] == "pong"
    assert [entry.status for entry in controller.host.http_log if entry.body == "Receive"] == [500, 200]


def test_black_hole(controller: Controller) -> None:
    """A host that answers nobody for longer than Ansible reads is unreachable."""
    controller.host.reset()
    controller.host.fault(dark=5)
    _dummy, results = controller.play([{**PING, "ignore_unreachable": True}])
    assert results["ping"]["unreachable"]


def test_lost_by_a_job(controller: Controller) -> None:
    """What a background job brings down is awaited."""
    controller.host.reset()
    controller.host.fault(delay=1, dark=4)
    wait = {"name": "wait", "ansible.builtin.wait_for_connection": {"delay": 2, "timeout": 20, "sleep": 1}}
    tasks: list[Result] = [{**PING, "async": 20, "poll": 0}, {"meta": "reset_connection"}, wait]
    _dummy, results = controller.play(tasks)
    assert results["wait"]["elapsed"] >= 4
    assert [entry.path for entry in controller.host.log] == ["win_ping", "win_ping"]
