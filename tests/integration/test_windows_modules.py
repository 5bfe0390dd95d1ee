# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible's own winrm connection and ansible.windows' own modules drive the lab's Windows host."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml

from lab.core import CertificateAuthority
from lab.windows import IKE_LIMIT, IKEEXT_KEY, WindowsHost

Result = dict[str, t.Any]

SCRIPT = """# Adds to a number in the host's files.
[CmdletBinding(SupportsShouldProcess = $true)]
param([int]$By)
$Ansible.Result = @{ sum = 1 }
"""
PLAIN = "param($Unused)\n$Ansible.Changed = $false\n"
PUT = """
from ansible.plugins.action import ActionBase

class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        self._connection.put_file(self._task.args["src"], self._task.args["dest"])
        return {"changed": True}
"""


def add(state: Result, parameters: Result, check_mode: bool) -> Result:
    """Play SCRIPT."""
    before = state["files"].get("sum", 0)
    if not check_mode:
        state["files"]["sum"] = before + parameters["By"]
    nested = {"one": {"two": {"three": 3}}}
    return {"result": {"sum": before + parameters["By"], **nested}, "changed": True, "diff": {"before": str(before)}}


class Controller:
    """Runs playbooks against one host."""

    def __init__(self, folder: Path, host: WindowsHost, ca: Path) -> None:
        self.folder = folder
        self.host = host
        self.variables = host.variables(ca) | {"ansible_winrm_operation_timeout_sec": 2, "ansible_winrm_read_timeout_sec": 3}

    def play(self, tasks: list[Result], **variables: t.Any) -> tuple[subprocess.CompletedProcess[str], dict[str, Result]]:
        """Run tasks, and give the run and the results by the tasks' names."""
        results = self.folder / "results.json"
        results.unlink(missing_ok=True)
        for number, task in enumerate(tasks):
            if "meta" not in task:
                task["register"] = f"result_{number}"
        registered = {task["name"]: f"{{{{ result_{number} }}}}" for number, task in enumerate(tasks) if "register" in task}
        keep = {
            "name": "Keep the results",
            "ansible.builtin.copy": {"content": "{{ registered | to_json }}", "dest": str(results)},
            "vars": {"registered": registered},
            "delegate_to": "localhost",
        }
        inventory = self.folder / "inventory.yml"
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        hosts = {"rras1": self.variables | variables, "localhost": local}
        inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts}}), encoding="utf-8")
        play = {"hosts": "rras1", "gather_facts": False, "tasks": [*tasks, keep]}
        playbook = self.folder / "play.yml"
        playbook.write_text(yaml.safe_dump([play], sort_keys=False, width=1000), encoding="utf-8")
        run = subprocess.run(
            [Path(sys.executable).with_name("ansible-playbook"), "-i", inventory, playbook],
            env={**os.environ, "ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_LOCAL_TEMP": str(self.folder / "tmp")},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return run, json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Controller]:
    """Start a host that plays two scripts."""
    folder = tmp_path_factory.mktemp("windows")
    scripts = folder / "scripts"
    scripts.mkdir()
    (scripts / "add.ps1").write_text(SCRIPT.replace("\n", "\r\n"), encoding="utf-8", newline="")
    (scripts / "plain.ps1").write_text(PLAIN, encoding="utf-8")
    (folder / "action_plugins").mkdir()
    (folder / "action_plugins" / "lab_put.py").write_text(PUT, encoding="utf-8")
    ca, path = CertificateAuthority(), folder / "ca.pem"
    ca.write(path)
    host = WindowsHost("rras1", 1, {"add.ps1": add, "plain.ps1": lambda *_: {"changed": False}}, scripts)
    host.start(ca)
    yield Controller(folder, host, path)
    host.stop()


LIMIT = {"path": IKEEXT_KEY, "name": IKE_LIMIT, "data": 50000, "type": "dword"}
TASKS: list[Result] = [
    {"name": "ping", "ansible.windows.win_ping": {}},
    {"name": "facts", "ansible.builtin.setup": {}},
    {"name": "limit check", "ansible.windows.win_regedit": LIMIT, "check_mode": True, "diff": True},
    {"name": "limit absent", "ansible.windows.win_reg_stat": {"path": IKEEXT_KEY, "name": IKE_LIMIT}},
    {"name": "limit set", "ansible.windows.win_regedit": LIMIT},
    {"name": "limit again", "ansible.windows.win_regedit": LIMIT},
    {"name": "limit stat", "ansible.windows.win_reg_stat": {"path": IKEEXT_KEY.lower(), "name": IKE_LIMIT.upper()}},
    {"name": "restart check", "ansible.windows.win_service": {"name": "IKEEXT", "state": "restarted"}, "check_mode": True},
    {"name": "restart", "ansible.windows.win_service": {"name": "IKEEXT", "state": "restarted"}},
    {"name": "started", "ansible.windows.win_service": {"name": "IKEEXT", "state": "started"}},
    {"name": "stopped", "ansible.windows.win_service": {"name": "PolicyAgent", "state": "stopped"}},
    {"name": "info", "ansible.windows.win_service_info": {"name": "IKEEXT"}},
    {"name": "value gone", "ansible.windows.win_regedit": {"path": IKEEXT_KEY, "name": IKE_LIMIT, "state": "absent"}},
    {"name": "script", "ansible.windows.win_powershell": {"script": SCRIPT, "parameters": {"By": 2}}, "diff": True},
    {
        "name": "script check",
        "ansible.windows.win_powershell": {"script": SCRIPT, "parameters": {"By": 2}, "depth": 5},
        "check_mode": True,
    },
    {"name": "plain", "ansible.windows.win_powershell": {"script": PLAIN}},
    {"name": "plain check", "ansible.windows.win_powershell": {"script": PLAIN}, "check_mode": True},
    {"name": "unknown script", "ansible.windows.win_powershell": {"script": "Get-Date"}, "ignore_errors": True},
    {"name": "unknown service", "ansible.windows.win_service": {"name": "nope", "state": "started"}, "ignore_errors": True},
    {"name": "unknown option", "ansible.windows.win_ping": {"dta": 1}, "ignore_errors": True},
    {"name": "unknown module", "ansible.windows.win_whoami": {}, "ignore_errors": True},
    {"name": "raw", "ansible.builtin.raw": "hostname"},
    {"name": "unknown raw", "ansible.builtin.raw": "Remove-Item C:\\", "ignore_errors": True},
    {"name": "put", "lab_put": {"src": "{{ playbook_dir }}/scripts/plain.ps1", "dest": "C:\\Temp\\it's.ps1"}},
    {"name": "job", "ansible.windows.win_service": {"name": "PolicyAgent", "state": "started"}, "async": 20, "poll": 1},
    {"name": "later", "ansible.windows.win_ping": {"data": "later"}, "async": 20, "poll": 0},
    {
        "name": "later status",
        "ansible.builtin.async_status": {"jid": "{{ result_25.ansible_job_id }}"},
        "until": "later_status is finished",
        "retries": 20,
        "delay": 1,
    },
    {"name": "reset", "meta": "reset_connection"},
    {"name": "wait", "ansible.builtin.wait_for_connection": {"timeout": 10}},
]


@pytest.fixture(scope="module")
def results(controller: Controller) -> dict[str, Result]:
    run, found = controller.play([dict(t) for t in TASKS])
    print(run.stdout, run.stderr)
    assert found, run.stdout+run.stderr
    return found

def test_x(results):
    for k,v in results.items():
        print(k, json.dumps(v)[:600])
    assert 0
