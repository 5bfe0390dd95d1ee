# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Ansible sends is executed as it came: its bootstrap, its wrapper and the module. The results are those of the lab's shorter way."""

from __future__ import annotations

import json
import typing as t

import pytest
import yaml

from harness import Ansible
from lab.shell import ansible_windows
from lab.system import find_value
from lab.windows import MARKER_KEY, SCRIPTS

CHANGING = """[CmdletBinding(SupportsShouldProcess)]
param([string[]]$Names)
if ($PSCmdlet.ShouldProcess('the registry')) {
    $null = New-Item -Path 'HKLM:\\SOFTWARE\\aovpn.ikev2' -Force
    $null = New-ItemProperty -LiteralPath 'HKLM:\\SOFTWARE\\aovpn.ikev2' -Name AddedRoutes -PropertyType MultiString -Value $Names
}
Get-NetRoute -DestinationPrefix 0.0.0.0/1
$Ansible.Result = @{ names = $Names; deep = @{ deeper = @{ deepest = @{ list = 1, 2 } } } }
$Ansible.Diff = @{ before = ''; after = "$Names" }
"""
TASKS: dict[str, dict[str, t.Any]] = {
    "vpn": {"script": (SCRIPTS / "read_vpn.ps1").read_text(encoding="utf-8"), "depth": 5},
    "change": {"script": CHANGING, "parameters": {"Names": ["a", "b c"]}},
}
VARYING = ("now", "script_stack_trace", "output")


def steady(value: t.Any) -> t.Any:
    """Return a result without times, and without where a script was called from."""
    if isinstance(value, dict):
        return {key: steady(item) for key, item in value.items() if key not in VARYING}
    return [steady(item) for item in value] if isinstance(value, list) else value


@pytest.mark.matrix
@pytest.mark.each_core
def test_the_payload_as_it_came_gives_the_same_results(servers: t.Callable[..., Ansible]) -> None:
    ansible = servers("rras1", "psrp1")
    tasks = [
        {"ansible.windows.win_powershell": arguments, "diff": True, "register": name, "when": f"'{name}' in wanted"}
        for name, arguments in TASKS.items()
    ]
    kept = {
        "dest": f"{ansible.folder}/{{{{ inventory_hostname }}}}.json",
        "content": "{{ {'vpn': vpn, 'change': change} | to_json }}",
    }
    keep = {"ansible.builtin.copy": kept, "delegate_to": "localhost"}
    play = {"hosts": "rras", "gather_facts": False, "tasks": [*tasks, keep]}
    (ansible.folder / "play.yml").write_text(yaml.safe_dump([play], width=1000), encoding="utf-8")
    ansible.lab.write_inventory({"rras1": {"wanted": [*TASKS]}, "psrp1": {"wanted": ["change"]}})
    # Of the same ansible.windows as the lab's, whichever goes with this core.
    environment = {"ANSIBLE_COLLECTIONS_PATH": str(ansible_windows().parents[2])}
    results: dict[bool, dict[str, dict[str, t.Any]]] = {}
    for untouched in (False, True):
        for host in ansible.lab.servers:
            host.reset()
            host.untouched = untouched
        run = ansible.command("ansible-playbook", "play.yml", environment=environment)
        assert run.code == 0, run.output
        results[untouched] = {
            host.name: json.loads((ansible.folder / f"{host.name}.json").read_text(encoding="utf-8"))
            for host in ansible.lab.servers
        }
        read = results[untouched]["rras1"]["vpn"]
        read["result"] = json.loads(read["result"])
        made = {"name": "AddedRoutes", "type": "multistring", "data": ["a", "b c"]}
        assert [find_value(host.state, MARKER_KEY, "AddedRoutes") for host in ansible.lab.servers] == [made, made]
    assert steady(results[True]) == steady(results[False])
    shown = results[True]["rras1"]
    assert shown["vpn"]["result"]["associations"][0]["count"] == 12
    assert shown["vpn"]["result"]["ikeext_started"] == "2026-01-05T06:00:20.0000000Z"
    assert shown["change"]["diff"] == {"before": "", "after": "a b c"}
    assert shown["change"]["error"][0]["fully_qualified_error_id"].startswith("CmdletizationQuery_NotFound")
