# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the stand-ins of Windows' cmdlets do to a server's state, and what they refuse as the real ones do."""

from __future__ import annotations

import copy
import typing as t
from datetime import datetime, timedelta

import pytest

from lab import clock, cmdlets, cmdlets_tasks
from lab.core import State
from lab.errors import CmdletError
from lab.windows import WindowsHost

Properties = dict[str, t.Any]
ROUTE: Properties = {"DestinationPrefix": "10.99.0.0/16", "NextHop": "10.10.0.1", "InterfaceIndex": 4}
NOT_FOUND = "CmdletizationQuery_NotFound"


@pytest.fixture
def state() -> State:
    """Return the state of a server that is as the article finds it."""
    return copy.deepcopy(WindowsHost("rras1", 1).state)


def run(state: State, command: str, set_name: str = "", /, **parameters: t.Any) -> list[Properties]:
    """Run a command, and return its objects' properties."""
    return [each["properties"] for each in cmdlets.run(state, command, parameters, set_name)]


def refused(state: State, command: str, set_name: str = "", /, **parameters: t.Any) -> tuple[str, str]:
    """Run a command that is refused; return category and id of its error. Nothing has changed then."""
    before = copy.deepcopy(state)
    with pytest.raises(CmdletError) as caught:
        cmdlets.run(state, command, parameters, set_name)
    assert state == before
    return caught.value.category, caught.value.id


def stores(state: State, prefix: str = "10.99.0.0/16") -> list[str]:
    """Return in which stores a route is."""
    return [store for store, routes in state["routes"].items() if any(route["dest"] == prefix for route in routes)]


# Queries


def test_a_query_of_one_property_names_what_it_did_not_find(state: State) -> None:
    assert refused(state, "Get-NetRoute", DestinationPrefix=["10.99.0.0/16"]) == (
        "ObjectNotFound",
        f"{NOT_FOUND}_DestinationPrefix",
    )
    assert refused(state, "Get-NetAdapter", InterfaceIndex=[1]) == ("ObjectNotFound", f"{NOT_FOUND}_InterfaceIndex")
    assert refused(state, "Get-ScheduledTask", TaskName=["none"]) == ("ObjectNotFound", f"{NOT_FOUND}_TaskName")
    # One of two that is missing is an error, too.
    with pytest.raises(CmdletError, match="'InterfaceIndex' equal to '99'"):
        run(state, "Get-NetAdapter", InterfaceIndex=[4, 99])


def test_a_query_of_several_properties_that_finds_nothing_is_one_error(state: State) -> None:
    assert refused(state, "Get-NetRoute", "", **{name: [value] for name, value in ROUTE.items()}) == (
        "ObjectNotFound",
        NOT_FOUND,
    )
    assert refused(state, "Get-NetTCPConnection", State=["Established"], LocalPort=[22]) == (
        "ObjectNotFound",
        NOT_FOUND,
    )


def test_a_query_with_wildcards_or_without_any_property_may_find_nothing(state: State) -> None:
    assert run(state, "Get-ScheduledTask", TaskName=["no*"]) == []
    assert run(state, "Get-ScheduledTask") == []
    state["sas"] = []
    assert run(state, "Get-NetIPsecMainModeSA", "GetAll") == []


def test_case_does_not_matter_and_values_are_alternatives(state: State) -> None:
    assert [nic["Name"] for nic in run(state, "Get-NetAdapter", Name=["external", "inter*"])] == [
        "External",
        "Internal",
    ]


@pytest.mark.parametrize(
    ("command", "parameters"),
    [
        ("Get-NetRoute", {"CompartmentId": [1]}),
        ("Get-NetTCPConnection", {"AppliedSetting": ["Internet"]}),
        ("Get-NetRoute", {"CimSession": ["other"]}),
        ("Get-RemoteAccessRadius", {"ComputerName": "other"}),
        ("Get-NetRoute", {"AsJob": True}),
        ("Get-CimInstance", {"ClassName": "Win32_Process"}),
        ("Get-CimInstance", {"ClassName": "Win32_Service", "Namespace": "root/other"}),
        ("Get-CimInstance", {"ClassName": "Win32_Service", "Filter": "Nane='IKEEXT'"}),
        ("Restart-Computer", {}),
        ("Test-Connection", {"ComputerName": ["dc1"]}),
        ("Test-NetConnection", {"ComputerName": "dc1", "Port": 443}),
        ("New-NetRoute", {**ROUTE, "Publish": "Yes"}),
        ("New-NetRoute", {**ROUTE, "DestinationPrefix": "2001:db8::/32"}),
    ],
)
def test_what_the_lab_would_have_to_guess_is_refused(state: State, command: str, parameters: Properties) -> None:
    assert refused(state, command, **parameters) == ("NotImplemented", "LabDoesNotPlay")


# Routes


def test_a_new_route_is_in_both_stores_unless_the_active_one_is_named(state: State) -> None:
    assert [route["Store"] for route in run(state, "New-NetRoute", **ROUTE)] == ["ActiveStore", "PersistentStore"]
    assert stores(state) == ["active", "persistent"]
    other = {**ROUTE, "DestinationPrefix": "10.98.0.0/16"}
    (made,) = run(state, "New-NetRoute", **other, PolicyStore="activestore", RouteMetric=5)
    assert (made["RouteMetric"], made["InterfaceAlias"], made["Protocol"]) == (5, "External", "NetMgmt")
    assert stores(state, "10.98.0.0/16") == ["active"]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"PolicyStore": "PersistentStore"}, ("InvalidArgument", "Windows System Error 87")),
        ({"PolicyStore": "Other"}, ("InvalidArgument", "Windows System Error 87")),
        ({"DestinationPrefix": "10.99.0.1/16"}, ("InvalidArgument", "Windows System Error 87")),
        ({"DestinationPrefix": "10.99.0.0"}, ("InvalidArgument", "Windows System Error 87")),
        ({"NextHop": "10.10.0.256"}, ("InvalidArgument", "Windows System Error 87")),
        ({"InterfaceIndex": 99}, ("ObjectNotFound", "Windows System Error 1168")),
        ({"InterfaceAlias": "None"}, ("InvalidArgument", "Windows System Error 87")),
    ],
)
def test_a_wrong_route_is_refused(state: State, parameters: Properties, expected: tuple[str, str]) -> None:
    assert refused(state, "New-NetRoute", **{**ROUTE, **parameters}) == expected


@pytest.mark.parametrize("present", ["active", "persistent"])
@pytest.mark.parametrize("named", [{}, {"PolicyStore": "ActiveStore"}])
def test_a_route_that_exists_in_a_store_that_would_be_written_is_refused(
    state: State, present: str, named: Properties
) -> None:
    route = {"dest": "10.99.0.0/16", "next_hop": "10.10.0.1", "if_index": 4, "metric": 256}
    state["routes"][present].append(route)
    if named and present == "persistent":
        run(state, "New-NetRoute", **ROUTE, **named)
        assert stores(state) == ["active", "persistent"]
    else:
        expected = ("InvalidArgument", "Windows System Error 87")
        assert refused(state, "New-NetRoute", **ROUTE, **named) == expected


def test_a_removal_takes_what_fits_from_the_store_that_is_named_or_from_both(state: State) -> None:
    query = {name: [value] for name, value in ROUTE.items()}
    run(state, "New-NetRoute", **ROUTE)
    assert run(state, "Remove-NetRoute", "ByName", **query, PolicyStore="PersistentStore") == []
    assert stores(state) == ["active"]
    # It is in one of the two stores: found.
    run(state, "Remove-NetRoute", "ByName", **query)
    assert stores(state) == []
    assert refused(state, "Remove-NetRoute", "ByName", **query) == ("ObjectNotFound", NOT_FOUND)


def test_a_removal_by_object_removes_that_one_and_fails_where_it_is_gone(state: State) -> None:
    found = cmdlets.run(state, "Get-NetRoute", {"DestinationPrefix": ["0.0.0.0/0"]}, "")
    cmdlets.run(state, "Remove-NetRoute", {"InputObject": found}, "InputObject")
    assert stores(state, "0.0.0.0/0") == ["persistent"]
    assert refused(state, "Remove-NetRoute", "InputObject", InputObject=found) == (
        "ObjectNotFound",
        "Windows System Error 1168",
    )


def test_without_anything_a_removal_would_remove_every_route(state: State) -> None:
    run(state, "Remove-NetRoute", "ByName", AddressFamily=["IPv4"])
    assert state["routes"] == {"active": [], "persistent": []}


def test_the_way_to_an_address_is_the_longest_prefix(state: State) -> None:
    address, route = run(state, "Find-NetRoute", RemoteIPAddress="198.51.100.7")
    assert (address["IPAddress"], route["NextHop"]) == ("10.10.0.11", "10.10.0.254")
    assert run(state, "Find-NetRoute", RemoteIPAddress="192.168.7.7")[1]["NextHop"] == "192.168.10.1"
    state["routes"]["active"] = []
    assert refused(state, "Find-NetRoute", RemoteIPAddress="198.51.100.7")[1] == "Windows System Error 1232"


def test_a_gateway_that_lives_answers_and_forwards(state: State) -> None:
    assert cmdlets.run(state, "Test-Connection", {"ComputerName": ["198.51.100.7"], "Quiet": True}, "Quiet") == [True]
    (neighbor,) = run(state, "Get-NetNeighbor", IPAddress=["10.10.0.254"])
    assert (neighbor["State"], neighbor["InterfaceIndex"]) == ("Reachable", 4)
    del state["gateways"]["10.10.0.254"]
    assert cmdlets.run(state, "Test-Connection", {"ComputerName": ["198.51.100.7"], "Quiet": True}, "Quiet") == [False]
    assert refused(state, "Test-Connection", ComputerName=["198.51.100.7"]) == (
        "ResourceUnavailable",
        "TestConnectionException",
    )
    (neighbor,) = run(state, "Get-NetNeighbor", IPAddress=["10.10.0.254"])
    assert (neighbor["State"], neighbor["LinkLayerAddress"]) == ("Unreachable", "00-00-00-00-00-00")


def test_a_tcp_connection_goes_through_a_gateway_that_lives(state: State) -> None:
    def accepted(**more: t.Any) -> list[t.Any]:
        given = {"ComputerName": "198.51.100.7", "Port": 443, "InformationLevel": "Quiet", **more}
        return cmdlets.run(state, "Test-NetConnection", given, "RemotePort")

    assert accepted() == [True]
    (result,) = run(state, "Test-NetConnection", "RemotePort", ComputerName="198.51.100.7", Port=443)
    assert (result["TcpTestSucceeded"], result["PingSucceeded"]) == (True, True)
    state["closed_ports"] = ["198.51.100.7:443"]
    assert (accepted(), accepted(Port=80)) == ([False], [True])
    del state["gateways"]["10.10.0.254"]
    assert accepted(Port=80) == [False]


# Scheduled tasks


def task(state: State, name: str = "a task", /, at: timedelta = timedelta(seconds=90), **more: t.Any) -> Properties:
    """Register a task with a trigger for a time, repeated every minute for a day, and one for the start."""
    (action,) = cmdlets.run(state, "New-ScheduledTaskAction", {"Execute": "powershell.exe", "Argument": "-File x"}, "")
    once = {
        "Once": True,
        "At": {"$": "datetime", "v": (datetime.now() + at).astimezone().isoformat()},
        "RepetitionInterval": {"$": "timespan", "v": 60},
        "RepetitionDuration": {"$": "timespan", "v": 86400},
    }
    triggers = [
        *cmdlets.run(state, "New-ScheduledTaskTrigger", once, "Once"),
        *cmdlets.run(state, "New-ScheduledTaskTrigger", {"AtStartup": True}, "Startup"),
    ]
    account = {"UserId": "SYSTEM", "LogonType": "ServiceAccount", "RunLevel": "Highest"}
    (principal,) = cmdlets.run(state, "New-ScheduledTaskPrincipal", account, "User")
    given = {"Action": [action], "Trigger": triggers, "Principal": principal, **more}
    return run(state, "Register-ScheduledTask", "Principal", TaskName=name, **given)[0]


def test_a_task_is_kept_as_it_was_registered(state: State) -> None:
    shown = task(state)
    kept = state["tasks"]["a task"]
    assert (shown["State"], shown["TaskPath"]) == ("Ready", "\\")
    assert (kept["execute"], kept["argument"], kept["user"]) == ("powershell.exe", "-File x", "SYSTEM")
    assert [trigger["kind"] for trigger in kept["triggers"]] == ["once", "startup"]
    assert (kept["triggers"][0]["every"], kept["triggers"][0]["duration"]) == (60, 86400)
    assert kept["due"] == pytest.approx(clock.now() + 90, abs=5)
    (info,) = run(state, "Get-ScheduledTaskInfo", "Name", TaskName="A TASK")
    assert info["LastTaskResult"] == 267011
    assert info["LastRunTime"] == {"date": "1999-11-30T00:00:00"}
    due = datetime.fromisoformat(info["NextRunTime"]["date"])
    assert due - datetime.now().astimezone() == pytest.approx(timedelta(seconds=90), abs=timedelta(seconds=5))


def test_a_time_that_has_passed_is_due_at_its_next_repetition(state: State) -> None:
    task(state, at=timedelta(seconds=-30))
    assert state["tasks"]["a task"]["due"] == pytest.approx(clock.now() + 30, abs=5)
    task(state, at=timedelta(days=-2), Force=True)
    assert state["tasks"]["a task"]["due"] is None
    assert run(state, "Get-ScheduledTaskInfo", "Name", TaskName="a task")[0]["NextRunTime"] is None


def test_a_trigger_ends_at_its_end_boundary(state: State) -> None:
    once = {"Once": True, "At": "2026-01-05T06:00:00+00:00", "RepetitionInterval": 60}
    (trigger,) = cmdlets.run(state, "New-ScheduledTaskTrigger", once, "Once")
    task(state, "goes on", Trigger=[trigger])
    assert state["tasks"]["goes on"]["due"] == pytest.approx(clock.now() + 30, abs=31)
    trigger["properties"]["EndBoundary"] = "2026-01-05T07:00:00+00:00"
    task(state, "has ended", Trigger=[trigger])
    assert state["tasks"]["has ended"]["due"] is None


def test_a_task_of_the_same_name_is_replaced_only_by_force(state: State) -> None:
    task(state)
    with pytest.raises(CmdletError, match="already exists") as caught:
        task(state, "A Task")
    assert (caught.value.category, caught.value.id) == ("ResourceExists", "HRESULT 0x800700b7")
    task(state, "A Task", Force=True)
    assert list(state["tasks"]) == ["A Task"]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"Principal": {"properties": {"UserId": "SYSTEME"}}}, "HRESULT 0x80070534"),
        ({"Principal": {"properties": {"UserId": None}}}, "LabDoesNotPlay"),
        ({"Action": []}, "LabDoesNotPlay"),
        ({"Password": "secret"}, "LabDoesNotPlay"),
    ],
)
def test_a_task_that_cannot_be_registered(state: State, more: Properties, expected: str) -> None:
    with pytest.raises(CmdletError) as caught:
        task(state, **more)
    assert (caught.value.id, state["tasks"]) == (expected, {})


def test_a_task_that_deletes_itself_when_it_expires_needs_an_end(state: State) -> None:
    (settings,) = cmdlets.run(state, "New-ScheduledTaskSettingsSet", {"DeleteExpiredTaskAfter": 60}, "")
    with pytest.raises(CmdletError, match="EndBoundary"):
        task(state, Settings=settings)


def test_a_repetition_is_a_minute_at_least(state: State) -> None:
    once = {"Once": True, "At": "2026-01-05T06:00:00+00:00", "RepetitionInterval": 30}
    (trigger,) = cmdlets.run(state, "New-ScheduledTaskTrigger", once, "Once")
    assert trigger["properties"]["Repetition"]["properties"]["Interval"] == "PT30S"
    with pytest.raises(CmdletError, match="Interval:PT30S"):
        task(state, Trigger=[trigger])


@pytest.mark.parametrize(
    "command", ["Get-ScheduledTaskInfo", "Start-ScheduledTask", "Stop-ScheduledTask", "Disable-ScheduledTask"]
)
def test_a_command_for_one_task_does_not_find_another(state: State, command: str) -> None:
    task(state)
    assert refused(state, command, "Name", TaskName="a*") == ("ObjectNotFound", "HRESULT 0x80070002")
    assert refused(state, command, "Name", TaskName="a task", TaskPath="\\other\\")[1] == "HRESULT 0x80070002"


def test_a_start_queues_a_stop_takes_it_back_and_a_disabled_task_does_neither(state: State) -> None:
    task(state)

    def shown() -> str:
        return str(run(state, "Get-ScheduledTask", TaskName=["a task"])[0]["State"])

    run(state, "Start-ScheduledTask", "Path", TaskName="a task")
    assert shown() == "Queued"
    run(state, "Stop-ScheduledTask", "Path", TaskName="a task")
    assert shown() == "Ready"
    state["tasks"]["a task"]["running"] = 1
    run(state, "Start-ScheduledTask", "Path", TaskName="a task")
    assert (shown(), state["tasks"]["a task"]["queued"]) == ("Running", False)
    run(state, "Stop-ScheduledTask", "Path", TaskName="a task")
    assert state["tasks"]["a task"]["stop"]
    state["tasks"]["a task"]["running"] = 0
    run(state, "Disable-ScheduledTask", "Name", TaskName="a task")
    assert (shown(), state["tasks"]["a task"]["due"]) == ("Disabled", None)
    assert refused(state, "Start-ScheduledTask", "Path", TaskName="a task") == (
        "InvalidOperation",
        "HRESULT 0x80041326",
    )
    run(state, "Enable-ScheduledTask", "Name", TaskName="a task")
    assert state["tasks"]["a task"]["due"] is not None


def test_a_task_is_unregistered_by_name_by_pattern_and_by_object(state: State) -> None:
    for name in ("one", "two", "three", "four"):
        task(state, name)
    run(state, "Unregister-ScheduledTask", "ByPath", TaskName=["one"])
    run(state, "Unregister-ScheduledTask", "ByPath", TaskName=["t*"])
    assert list(state["tasks"]) == ["four"]
    assert refused(state, "Unregister-ScheduledTask", "ByPath", TaskName=["one"]) == (
        "ObjectNotFound",
        f"{NOT_FOUND}_TaskName",
    )
    found = cmdlets.run(state, "Get-ScheduledTask", {"TaskName": ["four"]}, "")
    cmdlets.run(state, "Unregister-ScheduledTask", {"InputObject": found}, "InputObject")
    assert state["tasks"] == {}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("PT0S", 0), ("PT1M", 60), ("P1D", 86400), ("P1DT2H3M4S", 93784), ("PT1.5S", 1.5), ("PT72H", 259200)],
)
def test_time_spans_of_tasks(text: str, seconds: float) -> None:
    assert cmdlets_tasks.seconds(text) == seconds


@pytest.mark.parametrize("text", ["P", "PT", "1M", "PT1X"])
def test_what_is_no_time_span_is_refused(text: str) -> None:
    with pytest.raises(CmdletError):
        cmdlets_tasks.seconds(text)


# Who may


@pytest.mark.parametrize(
    ("command", "set_name", "parameters"),
    [
        ("New-NetRoute", "", ROUTE),
        ("Remove-NetRoute", "ByName", {"DestinationPrefix": ["0.0.0.0/0"]}),
        ("Set-NetConnectionProfile", "Query", {"InterfaceAlias": ["External"], "NetworkCategory": "Public"}),
        ("Start-ScheduledTask", "Path", {"TaskName": "a task"}),
        ("Stop-ScheduledTask", "Path", {"TaskName": "a task"}),
        ("Disable-ScheduledTask", "Name", {"TaskName": "a task"}),
        ("Unregister-ScheduledTask", "ByPath", {"TaskName": ["a task"]}),
        ("Register-ScheduledTask", "Principal", {"TaskName": "new", "Action": []}),
    ],
)
def test_only_an_administrator_may_change_something(
    state: State, command: str, set_name: str, parameters: Properties
) -> None:
    task(state)
    state["administrator"] = False
    assert refused(state, command, set_name, **parameters)[0] == "PermissionDenied"


# What is read


def test_an_association_shows_its_key_module_as_the_server_does(state: State) -> None:
    state["sas"] = [{"remote_address": "198.51.100.7", "key_module": shown} for shown in ("IKEv1", 3, None)]
    text, number, none = cmdlets.run(state, "Get-NetIPsecMainModeSA", {}, "GetAll")
    assert (text["properties"]["KeyModule"], text["cim"]["KeyModule"]) == ("IKEv1", None)
    assert (number["properties"]["KeyModule"], number["cim"]["KeyModule"]) == ("3", 3)
    assert "KeyModule" not in none["properties"]
    assert none["properties"]["RemoteEndpoint"] == "198.51.100.7"
    assert len(run(state, "Get-NetIPsecQuickModeSA", "GetAll", All=True)) == 6


def test_connections_are_of_any_type(state: State) -> None:
    state["other_tunnels"] = [{"external": "198.51.100.9", "tunnel_type": "Sstp"}]
    found = run(state, "Get-RemoteAccessConnectionStatistics", "ActiveStatistics")
    assert [each["TunnelType"] for each in found] == ["Ikev2"] * 12 + ["Sstp"]


@pytest.mark.parametrize(
    "command", ["Get-RemoteAccessConnectionStatistics", "Get-RemoteAccessRadius", "Get-VpnServerConfiguration"]
)
def test_without_the_role_its_cmdlets_fail(state: State, command: str) -> None:
    run(state, command)
    state["remote_access_cmdlets"] = False
    assert refused(state, command)[0] == "InvalidOperation"


def test_radius_servers_are_listed_by_purpose(state: State) -> None:
    state["radius_servers"] = ["192.168.10.9"]
    assert [each["ServerName"] for each in run(state, "Get-RemoteAccessRadius")] == ["192.168.10.9"]
    assert run(state, "Get-RemoteAccessRadius", Purpose="Accounting") == []


def test_addresses_interfaces_and_name_servers(state: State) -> None:
    state["nics"][0]["dhcp"] = True
    found = run(state, "Get-NetIPAddress", InterfaceIndex=[4], AddressFamily=["IPv4"])
    assert [(each["IPAddress"], each["PrefixLength"], each["PrefixOrigin"]) for each in found] == [
        ("10.10.0.11", 24, "Dhcp")
    ]
    found = run(state, "Get-NetIPInterface", "ByName", AddressFamily=["IPv4"])
    assert [(each["InterfaceIndex"], each["Dhcp"]) for each in found] == [
        (4, "Enabled"),
        (7, "Disabled"),
        (1, "Disabled"),
    ]
    found = run(state, "Get-DnsClientServerAddress", AddressFamily=["IPv4"])
    assert [each["ServerAddresses"] for each in found] == [[], ["192.168.10.2"], []]
    state["ipv6_defaults"] = [{"next_hop": "fe80::1", "if_index": 4, "metric": 256}]
    (route,) = run(state, "Get-NetRoute", DestinationPrefix=["::/0"], AddressFamily=["IPv6"], PolicyStore="ActiveStore")
    assert (route["NextHop"], route["AddressFamily"]) == ("fe80::1", "IPv6")


def test_a_network_has_a_category_which_can_be_set_unless_it_is_a_domains(state: State) -> None:
    run(state, "Set-NetConnectionProfile", "Query", InterfaceAlias=["External"], NetworkCategory="Public")
    found = run(state, "Get-NetConnectionProfile")
    assert [each["NetworkCategory"] for each in found] == ["Public", "Private"]
    expected = ("InvalidArgument", "MI RESULT 4")
    assert refused(state, "Set-NetConnectionProfile", "Query", NetworkCategory="DomainAuthenticated") == expected
    state["categories"] = {"Internal": "DomainAuthenticated"}
    (domain,) = cmdlets.run(state, "Get-NetConnectionProfile", {"InterfaceAlias": ["Internal"]}, "")
    expected = ("PermissionDenied", "MI RESULT 2")
    given = {"InputObject": [domain], "NetworkCategory": "Private"}
    assert refused(state, "Set-NetConnectionProfile", "InputObject", **given) == expected


def test_cim_classes_are_read_and_filtered(state: State) -> None:
    (service,) = run(state, "Get-CimInstance", ClassName="Win32_Service", Filter="name='ikeext'")
    assert (service["ProcessId"], service["State"], service["StartMode"]) == (1180, "Running", "Auto")
    assert run(state, "Get-CimInstance", ClassName="win32_service", Filter="Name='other'") == []
    assert refused(state, "Get-CimInstance", ClassName="Win32_Service", Filter="Name LIKE 'I%'")[0] == "InvalidArgument"
    assert run(state, "Get-CimInstance", ClassName="Win32_ComputerSystem")[0]["PartOfDomain"] is False
    state["domain_controllers"] = ["192.168.10.2"]
    assert run(state, "Get-CimInstance", ClassName="Win32_ComputerSystem")[0]["Domain"] == "corp.example.net"
    assert run(state, "Get-CimInstance", ClassName="Win32_OperatingSystem")[0]["BuildNumber"] == "20348"


def test_the_execution_policy_is_the_first_that_is_set(state: State) -> None:
    def policy(**given: t.Any) -> list[t.Any]:
        return cmdlets.run(state, "Get-ExecutionPolicy", given, "")

    assert policy() == ["RemoteSigned"]
    state["policy"] = {"MachinePolicy": "AllSigned"}
    assert (policy(), policy(Scope="LocalMachine")) == (["AllSigned"], ["RemoteSigned"])
    assert next(each["properties"]["Scope"] for each in policy(List=True)) == "MachinePolicy"
