# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take the syntax of cmdlets out of Microsoft's published reference: names, types, sets and positions, no sentences.

usage: extract.py WINDOWS POWERSHELL > reference.json

WINDOWS and POWERSHELL are git directories of MicrosoftDocs/windows-powershell-docs and MicrosoftDocs/PowerShell-Docs. What is taken is the
reference of Windows Server 2016, the oldest supported, and of Windows PowerShell 5.1.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import typing as t

WINDOWS = "docset/winserver2016-ps"
POWERSHELL = "reference/5.1"
# The modules that have stand-ins, and the cmdlets that PowerShell has everywhere: of those the scripts may use these.
STAND_INS = {
    "NetTCPIP": "Find-NetRoute Get-NetIPAddress Get-NetIPInterface Get-NetNeighbor Get-NetRoute Get-NetTCPConnection New-NetRoute Remove-NetRoute "
    "Test-NetConnection",
    "NetAdapter": "Get-NetAdapter",
    "NetConnection": "Get-NetConnectionProfile Set-NetConnectionProfile",
    "DnsClient": "Get-DnsClientServerAddress",
    "NetSecurity": "Get-NetIPsecMainModeSA Get-NetIPsecQuickModeSA",
    "ScheduledTasks": "Disable-ScheduledTask Enable-ScheduledTask Get-ScheduledTask Get-ScheduledTaskInfo New-ScheduledTaskAction "
    "New-ScheduledTaskPrincipal New-ScheduledTaskSettingsSet New-ScheduledTaskTrigger Register-ScheduledTask Start-ScheduledTask "
    "Stop-ScheduledTask Unregister-ScheduledTask",
    "RemoteAccess": "Get-RemoteAccessConnectionStatistics Get-RemoteAccessRadius Get-VpnServerConfiguration",
    "CimCmdlets": "Get-CimInstance",
    "Microsoft.PowerShell.Management": "Test-Connection",
    "Microsoft.PowerShell.Security": "Get-ExecutionPolicy",
}
EVERYWHERE = {
    "Microsoft.PowerShell.Core": "ForEach-Object Out-Null Set-StrictMode Where-Object",
    "Microsoft.PowerShell.Management": "Get-ChildItem Get-Content Get-Item Get-ItemProperty Get-ItemPropertyValue Get-Process Get-Service "
    "Join-Path New-Item New-ItemProperty "
    "Remove-Item Remove-ItemProperty Set-Content Set-ItemProperty Split-Path Test-Path",
    "Microsoft.PowerShell.Utility": "ConvertFrom-Json ConvertTo-Json Get-Date Get-Variable Group-Object New-Object New-TimeSpan Select-Object "
    "Sort-Object Start-Sleep Write-Error Write-Verbose Write-Warning",
}
COMMON = {"Confirm", "WhatIf", "CommonParameters", "WorkflowCommonParameters"}
TOKEN = re.compile(
    r"\[\[-(?P<optional_positional>\w+)\] <(?P<type1>[^>]+)>\]|\[-(?P<positional>\w+)\] <(?P<type2>[^>]+)>"
    r"|\[-(?P<optional>\w+)(?: <(?P<type3>[^>]+)>)?\]|-(?P<named>\w+)(?: <(?P<type4>[^>]+)>)?|\[<(?P<common>\w+)>\]"
)
Facts = dict[str, t.Any]


def page(repository: str, path: str) -> str:
    """Return a page of a repository as it is in the newest commit there."""
    command = ["git", "-C", repository, "show", f"HEAD:{path}"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout


def sections(text: str, level: int) -> dict[str, str]:
    """Return the parts of a page or of a part by their headings."""
    parts = re.split(rf"^{'#' * level} +(.+?)\s*$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def read_syntax(name: str, text: str) -> tuple[dict[str, list[Facts]], str | None]:
    """Return each parameter set's parameters as the syntax block has them, and the name of the default set."""
    blocks = sections(text, 3) or {"": text}
    sets, default = {}, None
    for heading, block in blocks.items():
        title = re.sub(r" \((?:Default|cdxml)\)", "", heading)
        if "(Default)" in heading:
            default = title
        code = re.search(r"```\w*\n(.*?)```", block, re.DOTALL)
        line = " ".join(code[1].split()) if code else ""
        if not line.startswith(f"{name} "):
            raise ValueError(f"{name}: no syntax in {heading}")
        sets[title] = [token_facts(match) for match in TOKEN.finditer(line, len(name))]
        rest = TOKEN.sub("", line[len(name) :]).strip()
        if rest:
            raise ValueError(f"{name}: not understood in its syntax: {rest}")
    return sets, default


def token_facts(match: re.Match[str]) -> Facts:
    """Return what one parameter in a syntax block shows."""
    found = {key: value for key, value in match.groupdict().items() if value}
    kind, name = next((key, value) for key, value in found.items() if not key.startswith("type"))
    types = [value for key, value in found.items() if key.startswith("type")]
    return {
        "name": name,
        "type": types[0] if types else "SwitchParameter",
        "mandatory": kind in ("positional", "named"),
        "positional": kind in ("positional", "optional_positional"),
    }


def read_blocks(text: str) -> list[dict[str, str]]:
    """Return the tables below a parameter's heading."""
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    return [dict(re.findall(r"^([\w ]+):[ ]*(.*?)\s*$", block, re.MULTILINE)) for block in blocks]


def names(text: str) -> list[str]:
    """Return a list of names."""
    return [word for word in re.split(r",\s*", text) if word and word != "None"]


def read_parameter(name: str, syntax: dict[str, list[Facts]], text: str) -> Facts:
    """Return the facts on one parameter: those of the syntax, with position, aliases and values from its own table."""
    blocks = read_blocks(text)
    if not blocks:
        raise ValueError(f"no table for -{name}")
    facts: Facts = {}
    for title, parameters in syntax.items():
        for token in parameters:
            if token["name"] != name:
                continue
            facts.setdefault("type", token["type"])
            fitting = [b for b in blocks if b["Parameter Sets"] == "(All)" or title in set_names(b)] or blocks
            place = fitting[0].get("Position", "")
            entry: Facts = {"mandatory": True} if token["mandatory"] else {}
            if token["positional"]:
                entry["position"] = int(place) if place.isdigit() else parameters.index(token)
            pipeline = fitting[0].get("Accept pipeline input", "False")
            if pipeline.startswith("True"):
                entry["pipeline"] = [kind for kind in ("ByValue", "ByPropertyName") if kind in pipeline]
            facts.setdefault("sets", {})[title] = entry
    if aliases := names(blocks[0].get("Aliases", "")):
        facts["aliases"] = aliases
    values = blocks[0].get("Accepted values") or blocks[0].get("Accepted Values") or ""
    if listed := names(values):
        facts["values"] = listed
    return facts


def set_names(block: dict[str, str]) -> list[str]:
    return [re.sub(r" \((?:Default|cdxml)\)", "", word) for word in names(block["Parameter Sets"])]


def read_cmdlet(name: str, text: str) -> Facts:
    """Return the facts on one cmdlet from its page."""
    parts = sections(text, 2)
    syntax, default = read_syntax(name, parts["SYNTAX"])
    tables = sections(parts["PARAMETERS"], 3)
    used = sorted({token["name"] for parameters in syntax.values() for token in parameters})
    url = re.search(r"^online version: ([^?\s]+)", text, re.MULTILINE)
    facts: Facts = {"page": url[1] if url else ""}
    if default:
        facts["default_set"] = default
    if "Confirm" in used:
        facts["should_process"] = True
    facts["parameters"] = {
        each: read_parameter(each, syntax, tables[f"-{each}"]) for each in used if each not in COMMON
    }
    return facts


def main(windows: str, powershell: str) -> None:
    """Print the facts on every cmdlet, one parameter a line."""
    found: dict[str, dict[str, Facts]] = {"stand_ins": {}, "everywhere": {}}
    for kind, modules in (("stand_ins", STAND_INS), ("everywhere", EVERYWHERE)):
        for module, cmdlets in modules.items():
            own = module == "CimCmdlets" or module.startswith("Microsoft.PowerShell.")
            repository, folder = (powershell, POWERSHELL) if own else (windows, WINDOWS)
            for name in cmdlets.split():
                found[kind][name] = {
                    "module": module,
                    **read_cmdlet(name, page(repository, f"{folder}/{module}/{name}.md")),
                }
    print(layout(found))


def layout(found: dict[str, dict[str, Facts]]) -> str:
    """Return JSON with a line for each parameter."""
    lines = ["{"]
    for kind, cmdlets in found.items():
        lines.append(f' "{kind}": {{')
        for name, facts in cmdlets.items():
            head = json.dumps({key: value for key, value in facts.items() if key != "parameters"})
            lines.append(f'  "{name}": {head[:-1]}, "parameters": {{')
            parameters = [f'   "{each}": {json.dumps(value)}' for each, value in facts["parameters"].items()]
            lines += [",\n".join(parameters), "  }},"]
        lines[-1] = lines[-1].removesuffix(",")
        lines.append(" },")
    lines[-1] = " }"
    return "\n".join([*lines, "}"])


if __name__ == "__main__":
    main(*sys.argv[1:])
