# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A simulated Windows RRAS server, and what Ansible's modules do to it.

PowerShell is not simulated: a script runs in a real one, in which cmdlets, registry and so on are stand-ins over this host's state (see shell.py).

Facts: options, results and messages are those in the sources of ansible.windows 2.5.0, 3.3.0 and 3.8.0 and of
ansible-core's Ansible.Basic.cs; stopping and starting services follows PowerShell's own cmdlets.
Assumptions: IKEEXT reads its limit when it starts; its stop drops all SAs (``stop_drops_sas`` plays the other answer);
no service depends on it (``dependents``, for tests to fill); an SA's key module shows as the
text IKEv2 (``key_module`` plays another text, a number, or None); the loopback routes and the services' descriptions.
Stricter than Windows: win_reg_stat and async_status refuse unknown options, too, and what the lab would have to guess
(an option, a type, a module, a script) is an error that says so.
"""

from __future__ import annotations

import fnmatch
import functools
import ipaddress
import itertools
import json
import re
import shutil
import typing as t
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.commands import rollback_command
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.steps import Step
from lab.cmdlets_network import category_of, settings_key
from lab.core import CertificateAuthority, State, copied
from lab.errors import CmdletError
from lab.shell import STAND_INS, NoPowerShell, shell
from lab.system import find_key, find_value, keys_under
from lab.tasks import TaskScheduler
from lab.winrm import CHANGED, Died, Output, WinRMHost, Work

Result = dict[str, t.Any]

SCRIPTS = Path(__file__).resolve().parents[2] / "plugins" / "plugin_utils" / "powershell"
IKEEXT_KEY = r"HKLM:\SYSTEM\CurrentControlSet\Services\IKEEXT\Parameters"
VERSION_KEY = r"HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion"
IKE_LIMIT = "IkeNumEstablishedForInitialQuery"
SYSTEM = r"NT AUTHORITY\SYSTEM"
# What the collection keeps on a server.
MARKER_KEY, ADDED_ROUTES = r"HKLM:\SOFTWARE\aovpn.ikev2", "AddedRoutes"
ROLLBACK, APPLY, TEST = "aovpn.ikev2 rollback", "aovpn.ikev2 apply", "aovpn.ikev2 test"
# fmt: off
KINDS = {  # win_regedit's name of it: .NET's, win_reg_stat's
    "string": ("String", "REG_SZ"), "expandstring": ("ExpandString", "REG_EXPAND_SZ"),
    "multistring": ("MultiString", "REG_MULTI_SZ"), "dword": ("DWord", "REG_DWORD"), "qword": ("QWord", "REG_QWORD"),
}
BITS = {"dword": 32, "qword": 64}
BOOLEANS = {
    **dict.fromkeys(("y", "yes", "on", "1", "true", "t", "1.0"), True),
    **dict.fromkeys(("n", "no", "off", "0", "false", "f", "0.0"), False),
}
DOTNET = {
    str: "System.String", bool: "System.Boolean", int: "System.Int32", float: "System.Decimal", list: "System.Object[]",
}
SERVICES: dict[str, Result] = {
    "IKEEXT": {
        "display_name": "IKE and AuthIP IPsec Keying Modules", "path": r"C:\Windows\System32\svchost.exe -k netsvcs -p",
        "dependencies": ["BFE"], "username": SYSTEM, "process_id": 1180,
    },
    "RemoteAccess": {
        "display_name": "Routing and Remote Access", "path": r"C:\Windows\System32\svchost.exe -k netsvcs",
        "dependencies": ["RasMan", "Bfe"], "username": SYSTEM, "process_id": 2264,
    },
    "PolicyAgent": {
        "display_name": "IPsec Policy Agent", "dependencies": ["Tcpip", "bfe"], "process_id": 1504,
        "path": r"C:\Windows\System32\svchost.exe -k NetworkServiceNetworkRestricted -p",
        "username": r"NT AUTHORITY\NetworkService",
    },
}
EVERY_SERVICE: Result = {  # what win_service and win_service_info say of each of the lab's services
    "desktop_interact": False, "error_control": "normal", "failure_actions": [], "failure_command": None,
    "failure_actions_on_non_crash_failure": False, "failure_reboot_msg": None, "failure_reset_period_sec": 0,
    "load_order_group": "", "pre_shutdown_timeout_ms": 180000, "required_privileges": [], "sid_info": "unrestricted",
    "service_type": "win32_share_process",
}
EVERY_SERVICE_INFO: Result = {  # and what win_service_info alone says
    "checkpoint": 0, "controls_accepted": ["stop", "shutdown"], "launch_protection": "none", "preferred_node": None,
    "service_exit_code": 0, "service_flags": [], "triggers": [], "wait_hint_ms": 0, "win32_exit_code": 0,
}
EVERY_FACT: Result = {
    "system": "Win32NT", "os_family": "Windows", "distribution": "Microsoft Windows Server 2022 Datacenter",
    "distribution_version": "10.0.20348.0", "distribution_major_version": "10", "os_product_type": "server",
    "os_name": "Microsoft Windows Server 2022 Datacenter", "os_installation_type": "Server", "kernel": "10.0.20348.0",
    "architecture": "64-bit", "architecture2": "x86_64", "powershell_version": 5, "reboot_pending": False, "domain": "",
    "windows_domain": "WORKGROUP", "windows_domain_member": False,
}
EVERY_INTERFACE: Result = {
    "interface_name": "Microsoft Hyper-V Network Adapter", "dns_domain": None, "ipv6": None, "mtu": 1500,
    "speed": 10000,
}
# fmt: on


class ModuleFailure(Exception):
    """A module gives up in an orderly way: FailJson."""


# The state: plain values, which tests read and edit


def now() -> str:
    """Return the time as the state has it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def on_link_routes(nics: list[Result], short: bool = False) -> list[Result]:
    """Return the routes that Windows makes by itself, in the active store only; ``short``: those to the subnets of its cards alone."""
    if short:
        subnets = [(str(ipaddress.IPv4Interface(nic["address"]).network), nic["if_index"]) for nic in nics]
        local = {"next_hop": "0.0.0.0", "metric": 256, "protocol": "Local"}
        return [{"dest": subnet, "if_index": index, **local} for subnet, index in subnets]
    routes = []
    for nic in [{"if_index": 1, "address": "127.0.0.1/8"}, *nics]:
        own = ipaddress.IPv4Interface(nic["address"])
        for dest in (own.network, own.ip, own.network.broadcast_address, "224.0.0.0/4", "255.255.255.255/32"):
            route = {"dest": str(ipaddress.IPv4Network(dest)), "next_hop": "0.0.0.0", "if_index": nic["if_index"]}
            routes.append(route | {"metric": 256, "protocol": "Local"})
    return routes


def stop_service(state: State, name: str, force: bool = False) -> list[str]:
    """Stop a service and, with ``force``, the running ones that depend on it; name what was stopped."""
    services = state["services"]
    dependents = [other for other in services[name]["dependents"] if services.get(other, {}).get("state") == "running"]
    if dependents and not force:
        raise CmdletError(
            f"Cannot stop service '{services[name]['display_name']} ({name})' because it has dependent services. "
            "It can only be stopped if the Force flag is set."
        )
    for stopped in (*dependents, name):
        services[stopped] |= {"state": "stopped", "process_id": 0}
    if name == "IKEEXT" and state["stop_drops_sas"]:
        state["sas"] = []
    return [name, *dependents]


def start_service(state: State, name: str) -> None:
    """Start a service. IKEEXT reads its limit now, and only now."""
    service = state["services"][name]
    if service["start_mode"] == "disabled":
        raise CmdletError(
            f"Service '{service['display_name']} ({name})' cannot be started due to the following error: "
            f"Cannot start service {name} on computer '.'."
        )
    state["last_process_id"] += 4
    service |= {"state": "running", "starts": service["starts"] + 1}
    service |= {"started_at": now(), "process_id": state["last_process_id"]}
    if name == "RemoteAccess":
        # Static routes of its console, which are in no store, come back with it.
        active = state["routes"]["active"]
        active += [{**route} for route in state.get("console_routes", []) if route not in active]
    if name == "IKEEXT":
        limit = find_value(state, IKEEXT_KEY, IKE_LIMIT)
        service["ike_limit"] = limit["data"] if limit else None


# Options, as Ansible.Basic reads them


@dataclass(frozen=True)
class Option:
    """An option of a module; not ``played``: the real module has it, the lab would have to guess what it does."""

    type: str = "str"
    default: t.Any = None
    required: bool = False
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    played: bool = True


def unplayed(names: str) -> dict[str, Option]:
    """Return options that are not played."""
    return {name: Option("raw", played=False) for name in names.split()}


SPECS: dict[str, dict[str, Option]] = {
    "win_ping": {"data": Option(default="pong")},
    "win_regedit": {
        "path": Option(required=True, aliases=("key",)),
        "name": Option(aliases=("entry", "value")),
        "data": Option("raw"),
        "type": Option(default="string", choices=("none", "binary", *KINDS), aliases=("datatype",)),
        "state": Option(default="present", choices=("present", "absent")),
        "delete_key": Option("bool", default=True),
        **unplayed("hive"),
    },
    "win_reg_stat": {"path": Option(required=True, aliases=("key",)), "name": Option(aliases=("entry", "value"))},
    "win_service": {
        "name": Option(required=True),
        "state": Option(choices=("started", "stopped", "restarted", "absent", "paused")),
        "start_mode": Option(choices=("auto", "manual", "disabled", "delayed")),
        "force_dependent_services": Option("bool", default=False),
        **unplayed(
            "dependencies dependency_action description desktop_interact display_name error_control failure_actions "
            "failure_actions_on_non_crash_failure failure_command failure_reboot_msg failure_reset_period "
            "failure_reset_period_sec load_order_group password path pre_shutdown_timeout pre_shutdown_timeout_ms "
            "required_privileges service_type sid_info update_password username"
        ),
    },
    "win_service_info": {"name": Option()},
    "async_status": {
        "jid": Option(required=True),
        "mode": Option(default="status", choices=("status", "cleanup")),
        "_async_dir": Option(required=True),
    },
}


def dotnet(value: t.Any) -> str:
    """Name a value's .NET type."""
    return DOTNET.get(type(value), "System.Collections.Hashtable")


def text(value: t.Any) -> str:
    """Return what .NET's ToString gives."""
    return str(value) if isinstance(value, (str, int, float)) else dotnet(value)


def convert(kind: str, value: t.Any) -> t.Any:
    """Convert an argument; a ValueError has the words of .NET or Ansible.Basic."""
    if kind == "str":
        return text(value)
    if kind == "bool":
        word = text(value).lower().strip()
        if word not in BOOLEANS:
            raise ValueError(
                f"The value '{word}' is not a valid boolean. Valid booleans include: {', '.join(BOOLEANS)}"
            )
        return BOOLEANS[word]
    if kind == "int":
        if not re.fullmatch(r"\s*[+-]?\d+\s*", text(value)):
            raise ValueError("Input string was not in a correct format.")
        return int(text(value))
    if kind == "dict" and not isinstance(value, dict):
        if isinstance(value, str) and value.startswith("{"):
            return json.loads(value)
        raise ValueError("string cannot be converted to a dict, must either be a JSON string or in the key=value form")
    return value


def check_arguments(module: str, spec: dict[str, Option], given: Result) -> Result:
    """Check a module's arguments, and give all its parameters."""
    aliases = {alias: key for key, option in spec.items() for alias in option.aliases}
    legal = {key.lower(): key for key in (*spec, *aliases)}
    if unknown := sorted(key for key in given if key.lower() not in legal):
        supported = f"Supported parameters include: {', '.join(sorted(legal.values()))}"
        raise ModuleFailure(f"Unsupported parameters for ({module}) module: {', '.join(unknown)}. {supported}")
    params = {key: option.default for key, option in spec.items() if option.default is not None}
    for key, value in given.items():
        params[aliases.get(legal[key.lower()], legal[key.lower()])] = value
    if missing := [key for key, option in spec.items() if option.required and key not in params]:
        raise ModuleFailure(f"missing required arguments: {', '.join(missing)}")
    for key, option in spec.items():
        value = params.setdefault(key, None)
        if value is None:
            continue
        if not option.played:
            raise ModuleFailure(f"the lab's {module} does not play the option {key}")
        try:
            params[key] = convert(option.type, value)
        except ValueError as error:
            problem = f"is of type {dotnet(value)} and we were unable to convert to {option.type}: {error}"
            raise ModuleFailure(f"argument for {key} {problem}") from error
        if option.choices:
            params[key] = params[key].lower()
            if params[key] not in option.choices:
                choices = ", ".join(option.choices)
                raise ModuleFailure(f"value of {key} must be one of: {choices}. Got no match for: {text(value)}")
    return params


# What modules make of values


def registry_data(kind: str, data: t.Any, named: bool) -> t.Any:
    """Convert data as win_regedit does; None: the key is made, but no value."""
    if kind == "multistring":
        return [text(item) for item in data] if isinstance(data, list) else [] if data is None else [text(data)]
    if kind not in BITS:
        return text(data) if data is not None else "" if named else None
    number = 0 if data is None else data
    if isinstance(number, str):
        if not re.fullmatch(r"\d+|0[xX][0-9a-fA-F]+", number.strip()):
            reason = "Input string was not in a correct format."
            raise CmdletError(f'Cannot convert value "{data}" to type "System.UInt64". Error: "{reason}"')
        number = int(number, 16 if "x" in number.lower() else 10)
    if not isinstance(number, (int, float)):
        raise CmdletError(f'Cannot convert the "{text(data)}" value of type "{dotnet(data)}" to type "System.Int32".')
    if number % 1:
        problem = "cannot be a decimal or float value with a remainder when type is dword or qword"
        raise ModuleFailure(f"data '{data}' {problem}")
    if number >= 1 << BITS[kind]:
        raise ModuleFailure(f"data cannot be larger than 0x{'f' * (BITS[kind] // 4)} when type is {kind}")
    return int(number) % (1 << BITS[kind])


def registry_diff(value: Result) -> Result:
    """Show a registry value as win_regedit's diff does."""
    kind, data = value["type"], value["data"]
    return {"type": KINDS[kind][0], "value": f"0x{data:0{BITS[kind] // 4}x}" if kind in BITS else data}


def registry_stat(value: Result) -> Result:
    """Show a registry value as win_reg_stat does."""
    return {"type": KINDS[value["type"]][1], "value": value["data"], "raw_value": value["data"]}


def check_path(path: str, what: str) -> None:
    """Refuse what the registry modules refuse, HKEY_LOCAL_MACHINE among it."""
    if not re.match(r"HK(CC|CR|CU|LM|U):\\", path, re.IGNORECASE):
        raise ModuleFailure(f"path: {path} is not a valid {what} path, see module documentation for examples.")


def describe_service(name: str, service: Result) -> Result:
    """Show a service as win_service's diff and win_service_info do."""
    shown = {key: service[key] for key in ("dependencies", "display_name", "path", "start_mode", "username")}
    state = "started" if service["state"] == "running" else service["state"]
    return {**EVERY_SERVICE, **shown, "name": name, "description": service["display_name"], "state": state}


def normal(script: str) -> str:
    """Return a script without what ``lookup`` or an editor may change: line endings, and the end of the last line."""
    return script.replace("\r\n", "\n").rstrip()


@dataclass
class Call:
    """A module's run: what it is given and what it gives."""

    params: Result
    check: bool
    result: Result = field(default_factory=lambda: {"changed": False})
    diff: Result = field(default_factory=dict)


_numbers = itertools.count(1)


@functools.cache
def scripts() -> dict[str, str]:
    """Return the names of the collection's scripts by their texts."""
    return {normal(path.read_text(encoding="utf-8")): path.name for path in sorted(SCRIPTS.glob("*.ps1"))}


class WindowsHost(WinRMHost):
    """RRAS server number 1 or 2. ``own_processes``: a scheduled task has a PowerShell of its own, else it runs in the warm one, which is faster.

    The log notes which of the collection's scripts a ``win_powershell`` ran in its entry's ``query["script"]``.
    """

    platform = "windows"
    own_processes = False
    untouched = False  # whether what runs PowerShell is executed as it came, with Ansible's own wrappers, in a process of its own

    def __init__(self, name: str, number: int, short_table: bool = False) -> None:
        self.number = number
        self.short_table = short_table
        self.id = f"{name}-{next(_numbers)}"
        self.tasks = TaskScheduler(self)
        super().__init__(name)

    def initial(self) -> State:
        """Return the article's broken server: its answers leave by the wrong router, its limit is the system's own."""
        n = self.number
        # fmt: off
        nics: list[Result] = [
            {"alias": "External", "if_index": 4, "mac": f"00-15-5D-0A-00-1{n}", "address": f"10.10.0.1{n}/24"},
            {"alias": "Internal", "if_index": 7, "mac": f"00-15-5D-0A-01-1{n}", "address": f"192.168.10.1{n}/24"},
        ]
        persistent: list[Result] = [
            {"dest": "0.0.0.0/0", "next_hop": "10.10.0.254", "if_index": 4, "metric": 256, "protocol": "NetMgmt"},
            {"dest": "192.168.0.0/16", "next_hop": "192.168.10.1", "if_index": 7, "metric": 256, "protocol": "NetMgmt"},
        ]
        session: Result = {
            "local_address": f"192.168.10.1{n}", "local_port": 5986,
            "remote_address": "192.168.10.5", "remote_port": 51515,
        }
        running = {
            "state": "running", "start_mode": "auto", "starts": 1, "started_at": "2026-01-05T06:00:20.000000+00:00",
            "dependents": [],
        }
        # fmt: on
        services: Result = {name: copied({**service, **running}) for name, service in SERVICES.items()}
        services["IKEEXT"]["ike_limit"] = None
        return {
            "computer_name": f"RRAS{n}",
            "booted_at": "2026-01-05T06:00:00.000000+00:00",
            "last_process_id": 5000,
            "nics": [{**nic, "dhcp": False, "metric": 15} for nic in nics],
            "routes": {
                "active": on_link_routes(nics, self.short_table) + copied(persistent),
                "persistent": persistent,
            },
            "ipv6_defaults": [],
            "dns_servers": ["192.168.10.2"],
            "domain_controllers": [],
            "radius_servers": [],
            "domain": "corp.example.net",  # of which it is a member where it has domain controllers
            "names": {},  # further names, and their addresses
            "administrator": True,
            # The routers that live, and what they forward to: an answer that leaves by another one reaches nobody.
            "gateways": {"10.10.0.254": ["0.0.0.0/0"], "10.10.0.1": ["0.0.0.0/0"], "192.168.10.1": ["192.168.0.0/16"]},
            "sessions": [session],  # the first is Ansible's own
            "services": services,
            "registry": {
                IKEEXT_KEY: {"ServiceDll": {"type": "expandstring", "data": r"%SystemRoot%\System32\ikeext.dll"}}
            },
            "language": "FullLanguage",  # in which win_powershell runs a script; another one plays App Control
            "sas": [{"remote_address": "10.10.0.1"} for _dummy in range(12)],
            "stop_drops_sas": True,
            "remote_access_cmdlets": True,
            "ikev2_ports": 128,
            "tasks": {},
            "policy_stops_modules": False,  # whether AllSigned and Restricted forbid the files of modules as well
            "refused_tasks": [],  # what an execution policy forbids, say: these end with an error, and nothing done
            "cmdlet_faults": [],  # see shell.py
            "fired": [],
            "files": {},
        }

    def variables(self, ca: Path) -> dict[str, t.Any]:
        """Return the inventory variables with which this host is reached."""
        return {
            "ansible_host": "127.0.0.1",
            "ansible_port": self.port,
            "ansible_connection": "winrm",
            "ansible_winrm_transport": "basic",
            "ansible_winrm_scheme": "https",
            "ansible_winrm_ca_trust_path": str(ca),
            "ansible_user": self.username,
            "ansible_password": self.password,
            "rras_gateway": "10.10.0.1",
            "rras_preserve_routes": [],  # internal networks have a route of their own
        }

    def start(self, ca: CertificateAuthority) -> None:
        """Serve, and let scheduled tasks run."""
        super().start(ca)
        self.tasks.start()

    def stop(self) -> None:
        """Stop serving, and scheduled tasks."""
        self.tasks.stop()
        super().stop()

    def reset(self) -> None:
        """Become a fresh host again, without files."""
        shutil.rmtree(self.drive, ignore_errors=True)
        super().reset()

    @property
    def drive(self) -> Path:
        """Return the folder that is this host's drive C:."""
        return shell().folder / self.id

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment variables that name folders of this host."""
        folders = {"ProgramFiles": "Program Files", "SystemRoot": "Windows", "TEMP": "Temp"}
        for folder in folders.values():
            (self.drive / folder).mkdir(parents=True, exist_ok=True)
        paths = {name: str(self.drive / folder) for name, folder in folders.items()}
        return {**paths, "COMPUTERNAME": self.state["computer_name"]}

    def files(self) -> list[str]:
        """Return the files that scripts have written, as paths on drive C:."""
        return [
            str(path.relative_to(self.drive))
            for path in sorted(self.drive.glob("Program Files/**/*"))
            if path.is_file()
        ]

    def is_dark(self) -> bool:
        """Report whether nobody reaches the host now: for a while, or because its answers leave by a dead gateway, or by none."""
        manager = ipaddress.IPv4Address(self.state["sessions"][0]["remote_address"])
        return super().is_dark() or not self.reaches(manager) or self.is_shut_out(manager)

    def is_shut_out(self, address: ipaddress.IPv4Address) -> bool:
        """Report whether the firewall keeps an address from WinRM: on a card whose network is public, only the local subnet may use it."""
        local = self.state["sessions"][0]["local_address"]
        for nic in self.state["nics"]:
            card = ipaddress.IPv4Interface(nic["address"])
            if str(card.ip) == local and category_of(self.state, nic) == "Public":
                return address not in card.network
        return False

    def reaches(self, address: ipaddress.IPv4Address) -> bool:
        """Report whether packets to an address get there: by a subnet of the host, or by a router that lives and forwards them."""
        hop = self.way_to(address)
        forwards = self.state["gateways"].get(hop, [])
        return hop == "0.0.0.0" or any(address in ipaddress.IPv4Network(prefix) for prefix in forwards)

    def way_to(self, address: ipaddress.IPv4Address) -> str | None:
        """Return the next hop by which packets to an address leave, 0.0.0.0 where that is on a subnet of the host; None where there is none."""
        metrics = {nic["if_index"]: nic["metric"] for nic in self.state["nics"]}
        routes = [
            (ipaddress.IPv4Network(route["dest"]), route)
            for route in self.state["routes"]["active"]
            if route["if_index"] in metrics or route["next_hop"] == "0.0.0.0"
        ]
        best = min(
            (
                (-network.prefixlen, route["metric"] + metrics.get(route["if_index"], 0), route["next_hop"])
                for network, route in routes
                if address in network
            ),
            default=None,
        )
        return best[2] if best else None

    def reboot(self, dark: float = 0.0, indexes: Mapping[int, int] | None = None) -> None:
        """Restart the server, which is ``dark`` for so many seconds: what stood in the active store alone is gone.

        ``indexes``: interfaces that have another index afterwards; what is persistent follows them.
        """
        with self.lock:
            self.go_dark(dark, forget_shells=True)
            state = self.state
            state["booted_at"] = now()
            for item in (*state["nics"], *state["routes"]["persistent"]):
                item["if_index"] = (indexes or {}).get(item["if_index"], item["if_index"])
            local = on_link_routes(state["nics"], self.short_table)
            for nic in state["nics"]:
                value = state["registry"].get(settings_key(nic["if_index"]), {}).get("DefaultGateway", {"data": []})
                own = {"dest": "0.0.0.0/0", "if_index": nic["if_index"], "metric": 256, "protocol": "NetMgmt"}
                made = [{**own, "next_hop": hop} for hop in value["data"]]
                state["routes"]["persistent"] += [route for route in made if route not in state["routes"]["persistent"]]
            state["routes"]["active"] = local + copied(state["routes"]["persistent"])
            for name in state["services"]:
                stop_service(state, name, force=True)
            for name, service in state["services"].items():
                if service["start_mode"] in ("auto", "delayed"):
                    start_service(state, name)
            self.tasks.restarted()
        self.tell(None)

    # What WinRM hands over

    def raw(self, command: str) -> Output:
        """Answer the commands that the lab knows."""
        name = self.state["computer_name"]
        answers = {"hostname": name, "whoami": f"{name}\\{self.username}".lower()}
        if command not in answers:
            return Output(1, stderr=f"the lab's Windows host does not know the command: {command}\r\n")
        return Output(stdout=f"{answers[command]}\r\n")

    def upload(self, path: str, data: bytes) -> None:
        """Keep a file as text."""
        self.state["files"][path] = data.decode("utf-8", "backslashreplace")

    def executes(self, work: Work) -> bool:
        """Report whether PowerShell runs this."""
        return (work.method, work.path) == ("MODULE", "win_powershell")

    def execute(self, work: Work) -> tuple[Output, bool] | None:
        """Execute a command as it came, if that is wanted."""
        if not self.untouched:
            return None
        before = copied(self.state)
        done = self.tasks.process(work.line, work.stdin)
        return Output(done.returncode, done.stdout.decode(), done.stderr.decode()), self.state != before

    def labels(self, work: Work) -> dict[str, str]:
        """Note which script is run."""
        script = scripts().get(normal(str(work.arguments.get("script"))))
        return {"script": script} if script else {}

    def module(self, name: str, arguments: Result) -> Result:
        """Run a module in the frame that Ansible.Basic and module_wrapper give it; win_powershell is Ansible's own."""
        if name == "win_powershell":
            return self._win_powershell(arguments)
        internal = {key.removeprefix("_ansible_"): arguments[key] for key in arguments if key.startswith("_ansible_")}
        given = {key: value for key, value in arguments.items() if not key.startswith("_ansible_")}
        call = Call(given, bool(internal.get("check_mode")))
        try:
            if name != "setup":  # which takes any option
                if name not in SPECS:
                    raise ModuleFailure(f"the lab's Windows host does not know the module {name}")
                call.params = check_arguments(internal["module_name"], SPECS[name], given)
            getattr(self, f"_{name}")(call)
        except ModuleFailure as failure:
            call.result |= {"failed": True, "msg": str(failure)}
        except CmdletError as error:
            message = f"Unhandled exception while executing module: {error}"
            return {"failed": True, "msg": message, "exception": str(error)}
        if call.diff and internal.get("diff"):
            call.result["diff"] = call.diff
        if internal.get("inject_invocation", True):
            call.result["invocation"] = {"module_args": call.params}
        return call.result

    def _win_ping(self, call: Call) -> None:
        if call.params["data"] == "crash":
            raise CmdletError("boom")
        call.result["ping"] = call.params["data"]

    def _win_regedit(self, call: Call) -> None:
        path, name, kind = call.params["path"], call.params["name"] or "", call.params["type"]
        call.result |= {"data_changed": False, "data_type_changed": False}
        call.diff = {"before": "", "after": ""}
        if call.params["name"] is None and kind != "string":
            kind = "string"
            warning = "the data type when name is not specified can only be 'string'"
            call.result["warnings"] = [f"{warning}, the type has automatically been converted"]
        check_path(path, "powershell")
        if kind not in KINDS:
            raise ModuleFailure(f"the lab's win_regedit does not play the type {kind}")
        wanted = {"type": kind, "data": registry_data(kind, call.params["data"], named=bool(name))}
        key, old = find_key(self.state, path), find_value(self.state, path, name)
        registry = self.state["registry"]
        if call.params["state"] == "present":
            self._set_value(call, key, old, name, wanted)
        elif key and not name and call.params["delete_key"]:
            call.result["changed"] = True
            call.diff = {"before": {path: {}}, "after": {}}
            for known in () if call.check else keys_under(self.state, key):
                del registry[known]
        elif key and old:
            call.result["changed"] = True
            call.diff = {"before": {path: {name: registry_diff(old)}}, "after": {path: {}}}
            if not call.check:
                del registry[key][old["name"]]

    def _set_value(self, call: Call, key: str | None, old: Result | None, name: str, wanted: Result) -> None:
        path, registry = call.params["path"], self.state["registry"]
        before: Result = {path: {}} if key else {}
        after: Result = {path: {}}
        call.diff = {"before": before, "after": after}
        if not key:
            call.result["changed"] = True
            if call.check:
                return
            key = path.rstrip("\\")
            registry[key] = {}
        if wanted["data"] is None:
            return
        after[path][name] = registry_diff(wanted)
        if old:
            before[path][name] = registry_diff(old)
            call.result["data_type_changed"] = old["type"] != wanted["type"]
            call.result["data_changed"] = old["data"] != wanted["data"]
        if not old or call.result["data_type_changed"] or call.result["data_changed"]:
            call.result["changed"] = True
            if not call.check:
                registry.setdefault(key, {})[old["name"] if old else name] = wanted

    def _win_reg_stat(self, call: Call) -> None:
        path, name = call.params["path"], call.params["name"]
        check_path(path, "registry")
        key, value = find_key(self.state, path), find_value(self.state, path, name or "")
        if name is not None:
            call.result |= {"exists": True, **registry_stat(value)} if value else {"exists": False}
        elif not key:
            call.result["exists"] = False
        else:
            values = self.state["registry"].get(key, {})
            deeper = [known[len(key) + 1 :].split("\\")[0] for known in keys_under(self.state, key)]
            call.result |= {
                "exists": True,
                "properties": {known: registry_stat(stored) for known, stored in values.items()},
                "sub_keys": sorted(set(filter(None, deeper))),
            }

    def _win_service(self, call: Call) -> None:
        wanted, services = call.params["state"], self.state["services"]
        asked = call.params["name"].lower()
        name = next((key for key in services if asked in (key.lower(), services[key]["display_name"].lower())), None)
        call.result["exists"] = name is not None
        if name is None:
            if wanted not in (None, "absent") or call.params["start_mode"]:
                problem = "is not installed, need to set 'path' to create a new service"
                raise ModuleFailure(f"Service '{call.params['name']}' {problem}")
            return
        if wanted == "absent":
            raise ModuleFailure("the lab's win_service does not remove services")
        if wanted == "paused":
            raise ModuleFailure(f"failed to pause service {name}: The service does not support pausing")
        service = services[name]
        before = describe_service(name, service) | {"password": "REDACTED"}
        after = before | {key: call.params[key] for key in ("state", "start_mode") if call.params[key]}
        call.diff = {"before": before, "after": after}
        call.result["changed"] = before != after
        if not call.check:
            service["start_mode"] = after["start_mode"]
            starting = [name] if wanted == "started" and service["state"] != "running" else []
            if wanted == "restarted" or (wanted == "stopped" and service["state"] != "stopped"):
                stopped = stop_service(self.state, name, call.params["force_dependent_services"])
                starting = stopped if wanted == "restarted" else []
            for each in starting:
                start_service(self.state, each)
        shown = ("dependencies", "description", "desktop_interact", "display_name", "name", "path", "start_mode")
        call.result |= {key: after[key] for key in shown} | {
            "username": "LocalSystem" if service["username"] == SYSTEM else service["username"],
            "state": "stopped" if after["state"] == "stopped" else "running",
            "depended_by": service["dependents"],
            "can_pause_and_continue": False,
        }

    def _win_service_info(self, call: Call) -> None:
        wanted, services = (call.params["name"] or "*").lower(), self.state["services"]
        found = [name for name in services if fnmatch.fnmatchcase(name.lower(), wanted)]
        call.result["exists"] = bool(found)
        call.result["services"] = [
            EVERY_SERVICE_INFO
            | describe_service(name, services[name])
            | {"dependency_of": services[name]["dependents"], "process_id": services[name]["process_id"]}
            for name in found
        ]

    def _win_powershell(self, arguments: Result) -> Result:
        if self.state["language"] != "FullLanguage":
            modules = f"Import-Module -Name (Get-ChildItem -Path '{STAND_INS}/Modules').FullName"
            mode = f"{modules}\n$ExecutionContext.SessionState.LanguageMode = '{self.state['language']}'"
            strict = "Set-StrictMode -Version 3"
            arguments = {**arguments, "script": arguments["script"].replace(strict, f"{mode}\n{strict}", 1)}
        try:
            done = shell().module(self, arguments)
        except NoPowerShell as error:
            return {"failed": True, "msg": str(error)}
        if done.died or not done.output:
            raise Died(done.errors)
        return {**json.loads(done.output), CHANGED: done.changed}

    def powershell(self, script: str, **parameters: t.Any) -> Result:
        """Run one of the collection's scripts as Ansible does, and return win_powershell's result."""
        text = (SCRIPTS / script).read_text(encoding="utf-8")
        return self.module("win_powershell", {"script": text, "parameters": parameters, "depth": 5})

    def read(self, script: str, **parameters: t.Any) -> Result:
        """Run one of the collection's scripts that return JSON, and return what that says."""
        told: Result = json.loads(self.powershell(script, **parameters)["result"])
        return told

    def named(self, steps: list[Result]) -> list[Step]:
        """Return plain steps with the names of their interfaces."""
        aliases = {nic["if_index"]: nic["alias"] for nic in self.state["nics"]}
        return [Step(**{**step, "interface": aliases[step["interface_index"]]}) for step in steps]

    def arm(self, steps: list[Result], seconds: int) -> None:
        """Arm a rollback, as a run of the collection does."""
        done = self.powershell("arm_rollback.ps1", Command=rollback_command(self.named(steps), []), Seconds=seconds)
        assert not done["failed"], done

    def _async_status(self, call: Call) -> None:
        job, folder = call.params["jid"], call.params["_async_dir"]
        path = f"{folder}\\{job}"
        if path not in self.jobs:
            call.result |= {"ansible_job_id": job, "started": 1, "finished": 1}
            raise ModuleFailure(f"could not find job at '{folder}'")
        if call.params["mode"] == "cleanup":
            del self.jobs[path]
            call.result = {"ansible_job_id": job, "erased": path}
        else:
            call.result = dict(self.jobs[path])

    def _setup(self, call: Call) -> None:
        """Return the facts that a playbook is likely to use, whatever subset is asked for."""
        state = self.state
        defaults = {r["if_index"]: r["next_hop"] for r in state["routes"]["active"] if r["dest"] == "0.0.0.0/0"}
        facts = EVERY_FACT | {
            **dict.fromkeys(("hostname", "fqdn", "nodename", "netbios_name"), state["computer_name"]),
            "date_time": {"iso8601": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"},
            "env": {"COMPUTERNAME": state["computer_name"], "SystemRoot": r"C:\Windows", "USERNAME": self.username},
            "interfaces": [
                EVERY_INTERFACE
                | {"connection_name": nic["alias"], "interface_index": nic["if_index"]}
                | {"macaddress": nic["mac"].replace("-", ":"), "default_gateway": defaults.get(nic["if_index"])}
                | {"ipv4": dict(zip(("address", "prefix"), nic["address"].split("/"), strict=True))}
                for nic in state["nics"]
            ],
            "ip_addresses": [nic["address"].split("/")[0] for nic in state["nics"]],
            "lastboot": state["booted_at"],
            "user_id": self.username,
        }
        call.result["ansible_facts"] = {f"ansible_{key}": value for key, value in facts.items()}
        call.result["ansible_facts"]["module_setup"] = True
