# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is missing or contradictory in an inventory, reported before any device is touched.

The options of the device modules and of the roles are checked against their own specifications.
"""

from __future__ import annotations

import copy
import functools
import importlib.util
import shlex
import sys
import typing as t
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.release import __version__
from jinja2 import Environment, TemplateError, Undefined, meta

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import MISSING
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import InvalidInput, Order
from ansible_collections.aovpn.ikev2.plugins.module_utils._module import argument_spec
from ansible_collections.aovpn.ikev2.plugins.module_utils._platforms import PLATFORMS, Spec
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._names import (
    LOAD_BALANCERS,
    SERVERS,
    misspelt,
    place,
    resembling,
)
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._plain import plain
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows import facts, routes
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.errors import PlanError

Variables: t.TypeAlias = "Mapping[str, t.Any]"

ROLES = Path(__file__).resolve().parents[2] / "roles"
CONNECTION = (
    "ansible_host",
    "ansible_connection",
    "ansible_shell_type",
    "ansible_port",
    "ansible_user",
    "ansible_password",
)
NOTHING_SELECTED: t.Final[Mapping[str, t.Any]] = {"addresses": None, "services": None}
TRUE_OR_FALSE = ("true", "false", "yes", "no", "on", "off", "1", "0")
"""What every ansible-core takes for a boolean; with older ones, ``y`` and ``t`` count as false."""
BOOLEANS = ("fail_on_drift", "probe")
"""The variables of the playbooks themselves that are true or false."""
SELECTING = ("load_balancer_addresses", "load_balancer_services")
"""Variables that narrow a change. Left blank by mistake, they would widen it."""
DICTIONARIES = ("load_balancer_connection", "load_balancer_options")
EXTRA = "extra variables"
UNQUOTED = (*CONNECTION, "load_balancer_connection")
"""Variables of which no part is ever shown: even what looks like the name of a variable may be part of a password."""
RENDERED = tuple(map(int, __version__.split(".")[:2])) >= (2, 19)
"""Whether this ansible-core raises an error for a template that cannot be rendered. Older versions leave the text as it is."""
WINDOWS_CONNECTIONS = ("winrm", "psrp")
WINDOWS_SHELLS = ("powershell", "cmd")
LIBRARIES: t.Final[Mapping[str, tuple[str, str]]] = {"winrm": ("winrm", "pywinrm"), "psrp": ("pypsrp", "pypsrp")}
"""What a connection imports, and what pip calls it."""
GROUPS: t.Final[Mapping[str, tuple[str, str]]] = {
    LOAD_BALANCERS: (
        "load balancers",
        "Nothing shows whether a load balancer leads to the VPN servers, so remediate and rollback leave their default gateways"
        " alone, unless rras_accept contains gateway_unverified.",
    ),
    SERVERS: (
        "VPN servers",
        "Their default gateways are not read, so a load balancer is judged by its load_balancer_return_path alone,"
        " and is not changed without it.",
    ),
}
"""The two groups: what their hosts are, and what follows if a run has none."""


@dataclass(frozen=True)
class Inventory:
    """What a run has to go by.

    ``hosts`` are those of this run, ``groups`` all groups of the inventory with all their members, ``extra`` the names of the extra
    variables, and ``transport`` is the default connection.
    """

    hosts: Sequence[str]
    hostvars: Mapping[str, Variables]
    groups: Mapping[str, Sequence[str]]
    extra: frozenset[str] = frozenset()
    transport: str = "ssh"

    def of(self, group: str) -> list[str]:
        """Return the hosts of this run in a group."""
        members = {*self.groups.get(group, ())}
        return [host for host in self.hosts if host in members]


def problems(inventory: Inventory) -> list[str]:
    """Return a sentence for each problem, with where it is. The list is empty if the inventory is valid."""
    found = []
    if missing := " ".join(_missing(inventory)):
        install = f"{shlex.quote(sys.executable)} -m pip install {missing}"
        found = [
            f"Python libraries are missing on the controller: {missing}. Install them beside ansible-core: {install}."
        ]
    if "netaddr" in MISSING:
        return found
    load_balancers, servers = (inventory.groups.get(group, ()) for group in GROUPS)
    found += [
        f"{host}: it is in both groups, {LOAD_BALANCERS} and {SERVERS}." for host in load_balancers if host in servers
    ]
    if not (load_balancers or servers):
        found.append(_without_groups(inventory))
    options = _options()
    extra = [line for name in sorted(inventory.extra) if (line := misspelt(name, options))]
    found += [f"{EXTRA}: {line}" for line in extra]
    places: dict[str, list[str]] = {}
    for host in inventory.hosts:
        for line in _of_host(host, inventory, options):
            places.setdefault(line, []).append(host)
    for line, hosts in places.items():
        # A sentence about a value begins with the variable's name.
        given = line.partition(" ")[0] in inventory.extra
        found.append(f"{EXTRA if given else place(hosts, inventory.hosts, inventory.groups)}: {line}")
    return found


def warnings(inventory: Inventory) -> list[str]:
    """Report that a run has only load balancers, or only servers, and what is checked without the others."""
    if not any(inventory.of(group) for group in GROUPS):
        return []
    return [
        f"This run has no {kind}, because {_absence(inventory, group)}. {consequence}"
        for group, (kind, consequence) in GROUPS.items()
        if not inventory.of(group)
    ]


def _absence(inventory: Inventory, group: str) -> str:
    if inventory.groups.get(group):
        return f"--limit leaves out the group {group}"
    return f"the group {group} is missing or empty{_instead(inventory, group)}"


def _instead(inventory: Inventory, group: str) -> str:
    names = resembling(group, inventory.groups)
    return f" (similar: {', '.join(names)})" if names else ""


def _without_groups(inventory: Inventory) -> str:
    absent = " and ".join(f"{group}{_instead(inventory, group)}" for group in GROUPS)
    return (
        f"The groups {absent} have no hosts: add the load balancers to the first, the VPN servers to the second."
        " Only groups of exactly these names are used."
    )


def _missing(inventory: Inventory) -> list[str]:
    """Return the Python libraries that this run needs and the controller does not have, by their names for pip."""
    missing = {name for name in MISSING if name == "netaddr" or inventory.of(LOAD_BALANCERS)}
    for host in inventory.of(SERVERS):
        variables, _unreadable = _read(inventory.hostvars[host], ["ansible_connection"])
        module, package = LIBRARIES.get(_connection(variables, inventory.transport), ("sys", ""))
        if not _installed(module):
            missing.add(package)
    return sorted(missing)


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ValueError:  # something has barred it from being imported
        return False


def _connection(variables: Variables, transport: str) -> str:
    return str(variables.get("ansible_connection") or transport).rpartition(".")[2]


def _of_host(host: str, inventory: Inventory, options: Collection[str]) -> list[str]:
    hostvars = inventory.hostvars[host]
    # Names that are extra variables too are reported as such, once.
    found = [line for name in hostvars if name not in inventory.extra and (line := misspelt(name, options))]
    variables, unreadable = _read(hostvars, BOOLEANS)
    found += unreadable + [line for name in variables if (line := _not_boolean(name, variables[name]))]
    found += _of_role(hostvars, "report")
    if host in inventory.of(LOAD_BALANCERS):
        found += _of_role(hostvars, "load_balancer", _load_balancer, CONNECTION)
    if host in inventory.of(SERVERS):
        found += _of_role(hostvars, "rras", lambda variables: _server(variables, inventory.transport), CONNECTION)
    return list(dict.fromkeys(found))


def _not_boolean(name: str, value: t.Any) -> str | None:
    if _blank(value) or str(value).lower() in TRUE_OR_FALSE:
        return None
    return f"{name} is {plain(value)!r}, which is neither true nor false."


def _of_role(
    host: Variables,
    role: str,
    judge: Callable[[dict[str, t.Any]], list[str]] = lambda _variables: [],
    others: Sequence[str] = (),
) -> list[str]:
    spec = _role_specs(role)["main"]
    read, unreadable = _read(host, (*spec, *others))
    if unreadable:
        return unreadable
    blank = [
        f"{name} is blank, which would select every pair of the device: name at least one, or leave the variable out."
        for name in SELECTING
        if name in read and _blank(read[name])
    ]
    variables = {name: value for name, value in read.items() if not _blank(value)}
    given = {name: variables[name] for name in spec if name in variables}
    # Checked first, because the specification parses some texts as dictionaries and quotes others in its errors.
    wrong = blank + [
        f"{name} has to be a dictionary, and is of type {_type_name(given[name])}: the role reads single values from it."
        for name in DICTIONARIES
        if name in given and not isinstance(given[name], Mapping)
    ]
    if wrong:
        return wrong
    for name in {*DICTIONARIES} & given.keys():
        given[name] = {key: value for key, value in given[name].items() if not _blank(value)}
    unclear = {
        name: line for name in given if spec[name]["type"] == "bool" and (line := _not_boolean(name, given[name]))
    }
    given = {name: value for name, value in given.items() if name not in unclear}
    # Validating fills in what is inside the specification's own defaults.
    result = ArgumentSpecValidator(copy.deepcopy(spec)).validate(given)
    # Check the values as the role and the module convert them: a text to a list or a number, for example.
    wrong = [_sentence(message) for message in result.error_messages] or judge(
        {**variables, **{name: result.validated_parameters[name] for name in given}}
    )
    return [*unclear.values(), *wrong]


def _blank(value: t.Any) -> bool:
    """Return whether a value means "not given", as an answer of a survey that was left blank."""
    return value is None or (isinstance(value, str) and not value.strip())


def _type_name(value: t.Any) -> str:
    return "text" if isinstance(value, str) else type(value).__name__


def _read(host: Variables, names: Iterable[str]) -> tuple[dict[str, t.Any], list[str]]:
    """Read variables, and report those that refer to undefined ones."""
    variables, unreadable = {}, []
    for name in names:
        try:
            if name in host:
                variables[name] = _plain(host[name])
        except Exception as error:  # which errors templating raises differs between versions
            why = (
                "it contains an invalid template, or refers to a variable that is not defined"
                " (if a password contains literal braces, give it the tag !unsafe)"
                if name in UNQUOTED
                else str(error)
            )
            unreadable.append(f"{name} cannot be read: {_sentence(why)}")
    return variables, unreadable


def _plain(value: t.Any) -> t.Any:
    """Return a copy of a value, and check every part of it.

    What is undefined stays a template up to ansible-core 2.18, and is one of Jinja's undefined values in later versions.
    """
    if isinstance(value, Undefined):
        raise ValueError(str(value) or "it refers to a variable that is not defined")
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    # What is marked as unsafe (by a tag, or because it comes from a vault or a lookup) is not a template, whatever it contains.
    if not RENDERED and isinstance(value, str) and "{{" in value and not hasattr(value, "__UNSAFE__"):
        raise ValueError(_undefined(value))
    return value


def _undefined(template: str) -> str:
    """Return only the names of the variables in a template: the rest may be a secret."""
    try:
        names = meta.find_undeclared_variables(Environment(autoescape=True).parse(template))
    except TemplateError:
        return "it contains an invalid template"
    return f"{', '.join(sorted(names)) or 'a variable'} is not defined"


def _load_balancer(variables: dict[str, t.Any]) -> list[str]:
    platform = PLATFORMS[variables["load_balancer_platform"]]
    given = {
        name: value
        for options in ({"host": variables.get("ansible_host")}, *(variables.get(name, {}) for name in DICTIONARIES))
        for name, value in options.items()
        if value is not None
    }
    result = ArgumentSpecValidator(argument_spec(platform), **platform.rules).validate(given)
    wrong = [
        f"load_balancer_connection, load_balancer_options or the environment: {_sentence(message)}"
        for message in result.error_messages
    ]
    names = NOTHING_SELECTED
    chosen = {name: value for name in names if (value := variables.get(f"load_balancer_{name}")) is not None}
    for part in (
        {"addresses": chosen.get("addresses")},
        {"services": chosen.get("services")},
        chosen if len(chosen) > 1 else {},
    ):
        wrong += _order({**names, **part}, [])
    wrong += _order(names, variables.get("load_balancer_accept", []))
    return list(dict.fromkeys(wrong))


def _order(names: Mapping[str, t.Any], accept: list[str], role: str = "load_balancer") -> list[str]:
    try:
        Order.parse(
            state="gathered",
            addresses=names["addresses"],
            services=names["services"],
            ports=[1],
            snapshot=None,
            return_path=None,
            accept=accept,
        )
    except InvalidInput as error:
        return [str(error).replace("Option '", f"{role} option '").replace("Options '", f"{role} options '")]
    return []


def _server(variables: dict[str, t.Any], transport: str) -> list[str]:
    wrong = _order(NOTHING_SELECTED, variables.get("rras_accept", []), "rras")
    connection = _connection(variables, transport)
    if connection not in WINDOWS_CONNECTIONS and variables.get("ansible_shell_type") not in WINDOWS_SHELLS:
        wrong.append(
            f"ansible_connection is {connection}, and a Windows server needs winrm, psrp, or ssh with ansible_shell_type=powershell."
        )
    if "rras_gateway" in variables:
        try:
            routes.Wanted.parse(
                gateway=str(variables["rras_gateway"]),
                interface_alias=variables.get("rras_interface_alias"),
                mac=variables.get("rras_mac"),
                preserve_routes=variables.get("rras_preserve_routes"),
                remove_other_defaults=False,
                allow_dhcp=False,
                probe=variables.get("rras_gateway_probe"),
            )
        except PlanError as error:
            wrong.append(
                str(error).replace("Option 'probe'", "Option 'gateway_probe'").replace("Option '", "option 'rras_")
            )
    for name, least, most in (
        ("rras_rollback_timeout", routes.SHORTEST_TIMEOUT, routes.LONGEST_TIMEOUT),
        ("rras_ike_limit", 1, facts.LARGEST_DWORD),
    ):
        if name in variables and not least <= variables[name] <= most:
            wrong.append(f"{name} is {variables[name]}. It has to be a number from {least} to {most}.")
    return wrong


@functools.cache
def _role_specs(role: str) -> Mapping[str, Spec]:
    """Read a role's specification of its variables, by entry point."""
    text = (ROLES / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    return {entry: spec["options"] for entry, spec in yaml.safe_load(text)["argument_specs"].items()}


def _options() -> frozenset[str]:
    """Return the variables of all roles."""
    specs = [spec for role in ("load_balancer", "report", "rras") for spec in _role_specs(role).values()]
    return frozenset(name for spec in specs for name in spec)


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text if text.endswith(".") else f"{text}."
