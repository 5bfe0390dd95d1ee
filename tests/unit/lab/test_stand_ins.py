# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stand-in modules are those that the reference makes, and PowerShell refuses with them what it refuses with the real ones."""

from __future__ import annotations

import copy
import typing as t

import pytest

from lab import cmdlets
from lab.powershell import extract, generate
from lab.windows import WindowsHost

# Runs each text on its own, and returns its output, and the id and the message of its first error.
EACH = """
param([string[]]$Commands)
$Ansible.Changed = $false
$Ansible.Result = @(foreach ($text in $Commands) {
    try { $found = @(& ([scriptblock]::Create($text)) 2>&1) } catch { $found = @($_) }
    $failed = @($found | Where-Object { $_ -is [System.Management.Automation.ErrorRecord] })
    @{
        text = $text
        output = @($found | Where-Object { $_ -notin $failed } | ForEach-Object { [string]$_ })
        id = if ($failed) { ($failed[0].FullyQualifiedErrorId -split ',')[0] } else { '' }
        message = if ($failed) { [string]$failed[0] } else { '' }
    }
})
"""
ACTION = "New-ScheduledTaskAction -Execute powershell.exe"
REFUSED = {
    "Get-NetRoute -Store ActiveStore": "NamedParameterNotFound",
    "Get-NetIPsecMainModeSA -RemoteEndpoint 198.51.100.7": "NamedParameterNotFound",
    "Test-Connection -TargetName 10.10.0.254": "NamedParameterNotFound",  # which PowerShell 7 has
    "Get-NetRoute 0.0.0.0/0 ActiveStore": "PositionalParameterNotFound",
    "Get-NetRoute -PolicyStore": "MissingArgument",
    "Get-NetRoute -AddressFamily IPv5": "ParameterArgumentTransformationError",
    "Get-NetRoute -InterfaceIndex External": "ParameterArgumentTransformationError",
    "Get-NetRoute -DestinationPrefix $null": "ParameterArgumentValidationError",
    "New-NetRoute 10.99.0.0/16 -InterfaceIndex 4 -RouteMetric 70000": "ParameterArgumentTransformationError",
    "New-NetRoute 10.99.0.0/16 -InterfaceIndex 4 -InterfaceAlias External": "AmbiguousParameterSet",
    "New-NetRoute -InterfaceIndex 4 -NextHop 10.10.0.1": "RuntimeException",
    "New-ScheduledTaskTrigger -AtStartup -RepetitionInterval 0:1": "AmbiguousParameterSet",
    "New-ScheduledTaskTrigger -Once -At never": "ParameterArgumentTransformationError",
    "New-ScheduledTaskPrincipal -UserId SYSTEM -LogonType Local": "ParameterArgumentTransformationError",
    "Register-ScheduledTask -TaskName new -Action powershell.exe": "MismatchedPSTypeName",
    "Register-ScheduledTask -TaskName new -Action (New-ScheduledTaskTrigger -AtStartup)": "MismatchedPSTypeName",
    "Get-NetAdapter | Unregister-ScheduledTask -Confirm:$false": "InputObjectNotBound",
    "Set-NetConnectionProfile -InterfaceAlias External -NetworkCategory Home": "ParameterArgumentTransformationError",
    "Get-RemoteAccessRadius -Purpose Vpn": "ParameterArgumentValidationError",
}


def outcomes(host: WindowsHost, *commands: str) -> list[dict[str, t.Any]]:
    """Run commands in one session without a user, and return what each gave."""
    answer = host.module("win_powershell", {"script": EACH, "parameters": {"Commands": list(commands)}, "depth": 4})
    assert not answer["error"], answer
    result = answer["result"]
    return t.cast("list[dict[str, t.Any]]", result if isinstance(result, list) else [result])


@pytest.fixture(scope="module")
def host() -> t.Iterator[WindowsHost]:
    """Return a host whose commands change nothing here."""
    yield (made := WindowsHost("stand-ins", 1))
    made.stop()


def test_the_modules_are_those_that_the_reference_makes() -> None:
    folder = generate.HERE / "Modules"
    written = {
        str(path.relative_to(generate.HERE)): path.read_text(encoding="utf-8") for path in folder.rglob("*.ps*1")
    }
    written["Types.cs"] = (generate.HERE / "Types.cs").read_text(encoding="utf-8")
    assert {path: text for path, text in written.items() if "/Lab/" not in path} == generate.files()


def test_every_cmdlet_names_its_page_and_does_something() -> None:
    stand_ins = generate.reference()["stand_ins"]
    assert {
        name for name, facts in stand_ins.items() if not facts["page"].startswith("https://learn.microsoft.com/")
    } == set()
    assert set(stand_ins) == set(cmdlets.COMMANDS)


def test_a_page_is_read_for_its_syntax() -> None:
    table = "```yaml\nType: {}\nParameter Sets: {}\nAliases: {}\n\nRequired: {}\nPosition: {}\nAccept pipeline input: {}\n```\n"
    text = (
        "online version: https://learn.example/get-a?view=x\n## SYNTAX\n\n### One (Default)\n```\n"
        "Get-A [[-Name] <String[]>] [-Wait]\n -Kind <Kind> [-WhatIf] [-Confirm] [<CommonParameters>]\n```\n"
        "### Two (cdxml)\n```\nGet-A [-InputObject] <CimInstance> [<CommonParameters>]\n```\n## PARAMETERS\n"
        f"### -Name\nWords.\n{table.format('String[]', 'One', 'N', False, 0, 'True (ByPropertyName)')}"
        f"### -Wait\n{table.format('SwitchParameter', 'One', '', False, 'Named', False)}"
        f"### -Kind\n{table.format('Kind', '(All)', 'None', True, 'Named', False).replace('Required', 'Accepted values: A, B' + chr(10) + 'Required')}"
        f"### -InputObject\n{table.format('CimInstance', 'Two (cdxml)', '', True, 0, 'True (ByValue)')}"
    )
    assert extract.read_cmdlet("Get-A", text) == {
        "page": "https://learn.example/get-a",
        "default_set": "One",
        "should_process": True,
        "parameters": {
            "InputObject": {
                "type": "CimInstance",
                "sets": {"Two": {"mandatory": True, "position": 0, "pipeline": ["ByValue"]}},
            },
            "Kind": {"type": "Kind", "sets": {"One": {"mandatory": True}}, "values": ["A", "B"]},
            "Name": {
                "type": "String[]",
                "sets": {"One": {"position": 0, "pipeline": ["ByPropertyName"]}},
                "aliases": ["N"],
            },
            "Wait": {"type": "SwitchParameter", "sets": {"One": {}}},
        },
    }
    with pytest.raises(ValueError, match="not understood"):
        extract.read_cmdlet("Get-A", text.replace("[-Wait]", "[-Wait"))


def test_parameters_are_refused_as_windows_refuses_them(host: WindowsHost) -> None:
    before = copy.deepcopy(host.state)
    found = outcomes(host, *REFUSED)
    assert {each["text"]: each["id"] for each in found} == REFUSED
    assert host.state == before


def test_what_asks_stops_in_a_session_without_a_user(host: WindowsHost) -> None:
    outcomes(host, f"Register-ScheduledTask -TaskName kept -Action ({ACTION}) -User SYSTEM")
    before = copy.deepcopy(host.state)
    asking = (
        "Remove-NetRoute -DestinationPrefix 0.0.0.0/0 -PolicyStore ActiveStore",
        "Unregister-ScheduledTask -TaskName kept",
    )
    for each in outcomes(host, *asking):
        assert "NonInteractive mode" in each["message"]
    what_if = [f"{command} -WhatIf" for command in (*asking, "New-NetRoute 10.99.0.0/16 -InterfaceIndex 4")]
    assert [each["output"] for each in outcomes(host, *what_if)] == [[], [], []]
    assert host.state == before
    told = [f"{command} -Confirm:$false" for command in asking]
    assert [each["output"] for each in outcomes(host, *told)] == [[], []]
    assert (host.state["tasks"], len(host.state["routes"]["active"])) == ({}, len(before["routes"]["active"]) - 1)
    host.reset()


def test_objects_go_through_pipelines(host: WindowsHost) -> None:
    found = outcomes(
        host,
        "Get-NetRoute -DestinationPrefix 0.0.0.0/0 | Get-NetIPInterface | ForEach-Object InterfaceAlias",
        "Get-NetAdapter | Get-NetIPAddress -AddressFamily IPv4 | ForEach-Object IPAddress",
        "(Get-NetRoute 0.0.0.0/0 -PolicyStore PersistentStore).NextHop",
        "Get-ScheduledTask | Unregister-ScheduledTask -Confirm:$false",
    )
    assert [each["output"] for each in found] == [["External"], ["10.10.0.11", "192.168.10.11"], ["10.10.0.254"], []]


def test_a_cdxml_cmdlet_does_not_see_the_preference_of_a_scripts_scope(host: WindowsHost) -> None:
    preference = "$ErrorActionPreference = 'Stop'; "
    found = outcomes(
        host,
        preference + "Get-NetRoute -DestinationPrefix 10.99.0.0/16 2>$null; 'went on'",
        preference + "Get-NetRoute -DestinationPrefix 10.99.0.0/16 -ErrorAction Stop; 'went on'",
        preference + "Get-Service -Name none; 'went on'",
        preference + "Get-CimInstance -ClassName Win32_Service -Filter 'none'; 'went on'",
    )
    assert found[0]["output"] == ["went on"]
    assert [each["id"] for each in found[1:]] == [
        "CmdletizationQuery_NotFound_DestinationPrefix",
        "NoServiceFoundForGivenName",
        "HRESULT 0x80041017",
    ]
