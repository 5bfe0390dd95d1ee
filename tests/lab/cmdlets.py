# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the stand-ins of Windows' cmdlets do: they read and change the state of a simulated server.

A parameter that the real cmdlet does not have has been refused by PowerShell before; one that the lab would have to guess about is refused here,
as is a command without an entry. docs/not-yet-confirmed.md lists what has not been seen on a server.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t
from collections.abc import Mapping

from lab import cmdlets_network, cmdlets_tasks
from lab.cim import STANDARD, Command, Object, Parameters, instance, only, query, refuse
from lab.core import State
from lab.errors import CmdletError

REMOTE_ACCESS = "Root/Microsoft/Windows/RemoteAccess"
CIMV2 = "root/cimv2"


def run(state: State, command: str, parameters: Mapping[str, t.Any], set_name: str) -> list[t.Any]:
    """Run a stand-in's command. A CmdletError is the error that it writes, and nothing has been done then."""
    if command not in COMMANDS:
        raise refuse(f"has no command {command}")
    for name in ("CimSession", "AsJob", "ComputerName"):
        if parameters.get(name) and command not in ("Test-Connection", "Test-NetConnection"):
            raise refuse(f"does not play {command} -{name}")
    handed = {
        name: untagged(value)
        for name, value in parameters.items()
        if name not in ("CimSession", "AsJob", "ThrottleLimit")
    }
    return COMMANDS[command](state, handed, set_name)


def untagged(value: t.Any) -> t.Any:
    """Return a date as ISO text and a time span in seconds, which come with a tag: JSON has neither."""
    return value["v"] if isinstance(value, dict) and "$" in value else value


def _endpoints(state: State) -> str:
    return str(state["nics"][0]["address"].split("/")[0])


def get_main_mode(state: State, parameters: Parameters, set_name: str) -> list[Object]:
    """List IKE security associations. An SA's ``key_module`` is the text that shows, a number, or None where nothing shows."""
    found = []
    for number, association in enumerate(state["sas"], 1):
        shown = association.get("key_module", "IKEv2")
        properties = {
            "Name": str(number),
            "LocalEndpoint": _endpoints(state),
            "RemoteEndpoint": association["remote_address"],
        }
        raw: dict[str, t.Any] = {}
        if shown is not None:
            properties["KeyModule"] = str(shown)
            raw["KeyModule"] = shown if isinstance(shown, int) else None
        found.append(instance("MSFT_NetMainModeSA", STANDARD, properties, cim=raw))
    return query(
        "MSFT_NetMainModeSA", found, {key: value for key, value in parameters.items() if key != "All"}, {"Name": "Name"}
    )


def get_quick_mode(state: State, parameters: Parameters, set_name: str) -> list[Object]:
    """List IPsec security associations: two of each IKE association."""
    found = [
        instance(
            "MSFT_NetQuickModeSA",
            STANDARD,
            {
                "Name": f"{number}{direction[0]}",
                "LocalEndpoint": _endpoints(state),
                "RemoteEndpoint": association["remote_address"],
                "Direction": direction,
                "IdleDurationSeconds": 300,
                "LifetimeSeconds": 3600,
            },
        )
        for number, association in enumerate(state["sas"], 1)
        for direction in ("Inbound", "Outbound")
    ]
    return query(
        "MSFT_NetQuickModeSA",
        found,
        {key: value for key, value in parameters.items() if key != "All"},
        {"Name": "Name"},
    )


def _need_remote_access(state: State) -> None:
    if not state["remote_access_cmdlets"]:
        raise CmdletError(
            "The Remote Access role is not installed, or its configuration cannot be read.",
            "InvalidOperation",
            "RemoteAccess 5",
        )


def get_connections(state: State, parameters: Parameters, set_name: str) -> list[Object]:
    """List the VPN connections: one for each IKE association, and those in ``state["other_tunnels"]``, of any type."""
    only(parameters)
    _need_remote_access(state)
    tunnels = [{"external": each["remote_address"], "tunnel_type": "Ikev2"} for each in state["sas"]]
    return [
        instance(
            "RemoteAccessConnection",
            REMOTE_ACCESS,
            {
                "UserName": [rf"CORP\user{number}"],
                "ClientIPv4Address": {"$": "ip", "v": f"10.20.{number // 250}.{number % 250 + 1}"},
                "ClientExternalAddress": {"$": "ip", "v": tunnel["external"]},
                "ConnectionDuration": tunnel.get("seconds", 600),
                "TunnelType": tunnel["tunnel_type"],
                "ConnectionType": tunnel.get("connection_type", "Vpn"),
                "UserActivityState": "Active",
            },
        )
        for number, tunnel in enumerate([*tunnels, *state.get("other_tunnels", [])])
    ]


def get_radius(state: State, parameters: Parameters, set_name: str) -> list[Object]:
    """List the RADIUS servers."""
    _need_remote_access(state)
    found = [
        instance(
            "RemoteAccessRadiusServer",
            REMOTE_ACCESS,
            {"ServerName": name, "Purpose": "Authentication", "Score": 30, "Timeout": 5, "Port": 1812},
        )
        for name in state["radius_servers"]
    ]
    only(parameters, "Purpose")
    return [each for each in found if parameters.get("Purpose", "Authentication") == each["properties"]["Purpose"]]


def get_vpn_configuration(state: State, parameters: Parameters, set_name: str) -> list[Object]:
    """Return the configuration of the VPN server."""
    only(parameters)
    _need_remote_access(state)
    properties = {
        "Ikev2Ports": state["ikev2_ports"],
        "SstpPorts": 128,
        "L2tpPorts": 128,
        "GrePorts": 128,
        "IdleDisconnect": 300,
    }
    return [instance("VpnServerIPsecConfiguration", REMOTE_ACCESS, properties)]


# CimCmdlets: compiled, so that an error about the class, for example, is no query that found nothing


def get_cim_instance(state: State, parameters: Parameters, set_name: str) -> list[Object]:
    """List the instances of the classes that are played; a filter compares one property with a text."""
    only(parameters, "ClassName", "Filter", "Namespace", "OperationTimeoutSec", "Property")
    name, text = str(parameters.get("ClassName", "")), parameters.get("Filter")
    if parameters.get("Namespace", CIMV2).replace("\\", "/").lower() != CIMV2 or name.lower() not in CLASSES:
        raise refuse(f"does not play the class {name}")
    found = CLASSES[name.lower()](state)
    if text is None:
        return found
    condition = re.fullmatch(r"\s*(\w+)\s*=\s*(['\"])(.*)\2\s*", text)
    if not condition:
        raise CmdletError(
            "Invalid query ",
            "InvalidArgument",
            "HRESULT 0x80041017,Microsoft.Management.Infrastructure.CimCmdlets.GetCimInstanceCommand",
        )
    wanted, _quote, value = condition.groups()
    for each in found:
        if wanted.lower() not in {known.lower() for known in each["properties"]}:
            raise refuse(f"does not know the property {wanted} of {name}")
    return [
        each
        for each in found
        if {k.lower(): str(v).lower() for k, v in each["properties"].items()}[wanted.lower()] == value.lower()
    ]


def _services(state: State) -> list[Object]:
    modes = {"auto": "Auto", "delayed": "Auto", "manual": "Manual", "disabled": "Disabled"}
    return [
        instance(
            "Win32_Service",
            CIMV2,
            {
                "Name": name,
                "DisplayName": service["display_name"],
                "ProcessId": service["process_id"],
                "State": str(service["state"]).capitalize(),
                "Started": service["state"] == "running",
                "StartMode": modes[service["start_mode"]],
                "DelayedAutoStart": service["start_mode"] == "delayed",
                "StartName": service["username"],
                "PathName": service["path"],
            },
        )
        for name, service in state["services"].items()
    ]


def _computer(state: State) -> list[Object]:
    member = bool(state["domain_controllers"])
    properties = {"Name": state["computer_name"], "PartOfDomain": member}
    domain = state.get("domain", "corp.example.net") if member else "WORKGROUP"
    return [instance("Win32_ComputerSystem", CIMV2, {**properties, "Domain": domain, "DomainRole": 3 if member else 2})]


def _system(state: State) -> list[Object]:
    version = state.get("version", "10.0.20348")
    properties = {
        "Caption": "Microsoft Windows Server 2022 Datacenter",
        "Version": version,
        "BuildNumber": version.rpartition(".")[2],
        "ProductType": 3,
        "LastBootUpTime": {"date": state["booted_at"]},
    }
    return [instance("Win32_OperatingSystem", CIMV2, properties)]


CLASSES: dict[str, t.Callable[[State], list[Object]]] = {
    "win32_service": _services,
    "win32_computersystem": _computer,
    "win32_operatingsystem": _system,
}


# What PowerShell has itself


def get_execution_policy(state: State, parameters: Parameters, set_name: str) -> list[t.Any]:
    """Return the execution policy: the first that is set, from Group Policy's to the machine's. Simulated."""
    only(parameters, "List", "Scope")
    scopes = {
        **dict.fromkeys(("MachinePolicy", "UserPolicy", "Process", "CurrentUser"), "Undefined"),
        "LocalMachine": "RemoteSigned",
        **state.get("policy", {}),
    }
    if parameters.get("List"):
        return [
            {"type": "System.Management.Automation.PSCustomObject", "properties": {"Scope": k, "ExecutionPolicy": v}}
            for k, v in scopes.items()
        ]
    if "Scope" in parameters:
        return [scopes[parameters["Scope"]]]
    return [next((policy for policy in scopes.values() if policy != "Undefined"), "Restricted")]


def test_connection(state: State, parameters: Parameters, set_name: str) -> list[t.Any]:
    """Send echo requests."""
    only(parameters, "ComputerName", "Count", "Quiet", "BufferSize", "Delay", "TimeToLive")
    results = []
    for name in parameters["ComputerName"]:
        try:
            address = ipaddress.IPv4Address(name)
        except ValueError as error:
            raise refuse("resolves no name in Test-Connection") from error
        results.append((name, cmdlets_network.answers(state, address)))
    if parameters.get("Quiet"):
        return [all(answered for _name, answered in results)]
    for name, answered in results:
        if not answered:
            message = f"Testing connection to computer '{name}' failed: Error due to lack of resources"
            raise CmdletError(message, "ResourceUnavailable", "TestConnectionException", name)
    return [
        instance("Win32_PingStatus", CIMV2, {"Address": name, "StatusCode": 0, "ResponseTime": 1})
        for name, _answered in results
        for _dummy in range(parameters.get("Count", 4))
    ]


def test_net_connection(state: State, parameters: Parameters, set_name: str) -> list[t.Any]:
    """Test a connection: an echo request, and a TCP connection that every host accepts, except at ``state["closed_ports"]`` ("address:port")."""
    only(parameters, "ComputerName", "Port", "InformationLevel")
    try:
        address = ipaddress.IPv4Address(parameters["ComputerName"])
    except (KeyError, ValueError) as error:
        raise refuse("tests connections to IPv4 addresses") from error
    answered, port = cmdlets_network.answers(state, address), parameters.get("Port")
    accepted = answered and f"{address}:{port}" not in state.get("closed_ports", [])
    if parameters.get("InformationLevel") == "Quiet":
        return [answered if port is None else accepted]
    properties = {
        "ComputerName": str(address),
        "RemoteAddress": {"$": "ip", "v": str(address)},
        "PingSucceeded": answered,
    }
    more = {} if port is None else {"RemotePort": port, "TcpTestSucceeded": accepted}
    return [{"type": "TestNetConnectionResult", "properties": {**properties, **more}}]


COMMANDS: dict[str, Command] = {
    **cmdlets_network.COMMANDS,
    **cmdlets_tasks.COMMANDS,
    "Get-NetIPsecMainModeSA": get_main_mode,
    "Get-NetIPsecQuickModeSA": get_quick_mode,
    "Get-RemoteAccessConnectionStatistics": get_connections,
    "Get-RemoteAccessRadius": get_radius,
    "Get-VpnServerConfiguration": get_vpn_configuration,
    "Get-CimInstance": get_cim_instance,
    "Get-ExecutionPolicy": get_execution_policy,
    "Test-Connection": test_connection,
    "Test-NetConnection": test_net_connection,
}
