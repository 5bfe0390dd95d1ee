# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is missing or contradictory in an inventory, reported before any device is touched.

The options of the device modules and of the roles are checked against their own specifications.
"""

from __future__ import annotations

import sys
import typing as t
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.release import __version__
from jinja2 import Environment, TemplateError, Undefined, meta

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import MISSING
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import InvalidInput, Order
from ansible_collections.aovpn.ikev2.plugins.module_utils._module import argument_spec
from ansible_collections.aovpn.ikev2.plugins.module_utils._platforms import PLATFORMS, Spec
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
DICTIONARIES = ("load_balancer_connection", "load_balancer_options")
UNQUOTED = (*CONNECTION, "load_balancer_connection")
"""Variables of which no part is ever shown: even what looks like the name of a variable may be part of a password."""
RENDERED = tuple(map(int, __version__.split(".")[:2])) >= (2, 19)
"""Whether this ansible-core raises an error for a template that cannot be rendered. Older versions leave the text as it is."""
WINDOWS_CONNECTIONS = ("winrm", "psrp")
WINDOWS_SHELLS = ("powershell", "cmd")


def problems(
    hosts: Iterable[str],
    hostvars: Mapping[str, Variables],
    load_balancers: Iterable[str],
    servers: Iterable[str],
    transport: str,
) -> list[str]:
    """Return a sentence for each problem, host by host. The list is empty if the inventory is valid.

    ``hosts`` are those of this run, ``load_balancers`` and ``servers`` all members of the two groups, and ``transport`` is the
    default connection.
    """
    if "netaddr" in MISSING:
        missing = " ".join(sorted(MISSING))
        return [
            f"Python libraries are missing on the controller: {missing}. Install them beside ansible-core: {sys.executable} -m pip install {missing}."
        ]
    load_balancers, servers = list(load_balancers), list(servers)
    if not (load_balancers or servers):
        return [
            "The groups ikev2_load_balancers and rras have no hosts: add the load balancers to the first, the VPN servers to the second."
        ]
    found = [
        f"{host}: it is in both groups, ikev2_load_balancers and rras." for host in load_balancers if host in servers
    ]
    for host in hosts:
        for members, spec, judge in (
            (load_balancers, _role_spec("load_balancer"), _load_balancer),
            (servers, _role_spec("rras"), lambda variables: _server(variables, transport)),
        ):
            if host in members:
                found += [f"{host}: {line}" for line in _of_host(hostvars[host], spec, judge)]
    return found


def _of_host(host: Variables, spec: Spec, judge: Callable[[dict[str, t.Any]], list[str]]) -> list[str]:
    variables, unreadable = _read(host, (*spec, *CONNECTION))
    if unreadable:
        return unreadable
    given = {name: variables[name] for name in spec if name in variables}
    # Checked first, because the specification parses some texts as dictionaries and quotes others in its errors.
    wrong = [
        f"{name} has to be a dictionary, and is of type {_type_name(given[name])}: the role reads single values from it."
        for name in DICTIONARIES
        if name in given and not isinstance(given[name], Mapping)
    ]
    if wrong:
        return wrong
    result = ArgumentSpecValidator(spec).validate(given)
    # Check the values as the role and the module convert them: a text to a list or a number, for example.
    return [_sentence(message) for message in result.error_messages] or judge(
        {**variables, **{name: result.validated_parameters[name] for name in given}}
    )


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
    names: dict[str, t.Any] = dict.fromkeys(("addresses", "services"))
    chosen = {name: value for name in names if (value := variables.get(f"load_balancer_{name}")) is not None}
    for part in (
        {"addresses": chosen.get("addresses")},
        {"services": chosen.get("services")},
        chosen if len(chosen) > 1 else {},
    ):
        wrong += _order({**names, **part}, [])
    wrong += _order(names, variables.get("load_balancer_accept", []))
    return list(dict.fromkeys(wrong))


def _order(names: Mapping[str, t.Any], accept: list[str]) -> list[str]:
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
        return [
            str(error).replace("Option '", "load_balancer option '").replace("Options '", "load_balancer options '")
        ]
    return []


def _server(variables: dict[str, t.Any], transport: str) -> list[str]:
    wrong = []
    connection = str(variables.get("ansible_connection", transport)).rpartition(".")[2]
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
                preserve_routes=variables.get("rras_preserve_routes", []),
                remove_other_defaults=False,
                allow_dhcp=False,
            )
        except PlanError as error:
            wrong.append(str(error).replace("Option '", "option 'rras_"))
    for name, least, most in (
        ("rras_rollback_timeout", routes.SHORTEST_TIMEOUT, routes.LONGEST_TIMEOUT),
        ("rras_ike_limit", 1, facts.LARGEST_DWORD),
    ):
        if name in variables and not least <= variables[name] <= most:
            wrong.append(f"{name} is {variables[name]}. It has to be a number from {least} to {most}.")
    return wrong


def _role_spec(role: str) -> Spec:
    """Read the role's specification of its variables."""
    text = (ROLES / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    spec: Spec = yaml.safe_load(text)["argument_specs"]["main"]["options"]
    return spec


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text if text.endswith(".") else f"{text}."
