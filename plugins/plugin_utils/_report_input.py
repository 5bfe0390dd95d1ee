# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the report is made of: the hosts' variables, brought into one shape whatever of them is missing. No input or output."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import canonical_address

Json: t.TypeAlias = "dict[str, t.Any]"

SEVERITIES = ("blocker", "warning", "info")
STAGES = ("read", "check", "change", "verify", "restore")

_LOAD_BALANCER = {
    "platform": "load_balancer_platform",
    "accept": "load_balancer_accept",
    "result": "load_balancer_result",
    "before": "ikev2_before",
    "failure": "ikev2_failure",
    "probe": "ikev2_probe",
}
_SERVER = {
    "facts": "rras_facts",
    "before": "ikev2_before",
    "failure": "ikev2_failure",
    "gateway": "rras_gateway",
    "ike_limit": "ikev2_limit",
}

VARIABLES = frozenset({*_LOAD_BALANCER.values(), *_SERVER.values(), "group_names"})
"""The hosts' variables that ``gather`` looks at."""


def gather(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, t.Any]]) -> dict[str, Json]:
    """Collect what ``build`` takes as ``load_balancers`` and ``servers`` from the hosts' variables.

    A host is what its group says, or what its variables do. One that is neither is left out.
    """
    load_balancers, servers = {}, {}
    for host in hosts:
        if host not in hostvars:
            continue
        variables = hostvars[host]
        groups = variables.get("group_names", ())
        if "ikev2_load_balancers" in groups or "load_balancer_platform" in variables:
            load_balancers[host] = {key: variables[name] for key, name in _LOAD_BALANCER.items() if name in variables}
        elif "rras" in groups or "rras_facts" in variables or "rras_gateway" in variables:
            servers[host] = {key: variables[name] for key, name in _SERVER.items() if name in variables}
    return {"load_balancers": load_balancers, "servers": servers}


def truth(value: t.Any) -> bool:
    """Say whether a variable, which may be a text, is true."""
    return str(value).strip().lower() in ("true", "yes", "on", "1", "y", "t")


def text(value: t.Any) -> str:
    """Give a text; empty for nothing."""
    return "" if value is None else value if isinstance(value, str) else str(value)


def number(value: t.Any) -> int | None:
    """Give a number that is no less than 0, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return None
    try:
        found = int(value)
    except ValueError:
        return None
    return found if found >= 0 else None


def mapping(value: t.Any) -> Json:
    """Give a dictionary; an empty one for what is none."""
    return value if isinstance(value, dict) else {}


def items(value: t.Any) -> list[Json]:
    """Give the dictionaries in a list; an empty list for what is none."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def texts(value: t.Any) -> list[str]:
    """Give the texts in a list; an empty list for what is none."""
    return [text(item) for item in value if item is not None] if isinstance(value, list) else []


def codes(value: t.Any) -> list[str]:
    """Give the codes in a list, or in a text with commas, as an option that is a list takes it."""
    return sorted({code.strip() for code in (value.split(",") if isinstance(value, str) else texts(value))} - {""})


def finding(raw: Json, host: str) -> dict[str, str]:
    """Give a finding with all its keys, and with ``host``."""
    severity = text(raw.get("severity"))
    return {
        "host": text(raw.get("host")) or host,
        "code": text(raw.get("code")),
        # What is not understood is no reason to be quiet.
        "severity": severity if severity in SEVERITIES else "warning",
        "object": text(raw.get("object")),
        "message": text(raw.get("message")),
        "remedy": text(raw.get("remedy")),
    }


def failure(raw: t.Any, result: Json) -> Json | None:
    """Give ``{stage, msg, undone}``, from what a playbook noted or, failing that, from a module's result that failed."""
    if raw:
        noted = raw if isinstance(raw, dict) else {"msg": text(raw)}
    elif result.get("failed") is True:
        noted = {**result, "stage": "change" if result.get("before") else "read"}
    else:
        return None
    stage, undone = text(noted.get("stage")), noted.get("undone")
    return {
        "stage": stage if stage in STAGES else "unknown",
        "msg": text(noted.get("msg")) or "No message was given.",
        "undone": undone if isinstance(undone, bool) else None,
    }


def services(raw: t.Any) -> list[Json]:
    """Give a device module's services, each with all its keys."""
    return [
        {
            "id": text(item.get("id")),
            "address": text(item.get("address")),
            "port": number(item.get("port")) or 0,
            "protocol": text(item.get("protocol")) or "udp",
            "enabled": item.get("enabled") is not False,
            "source_preserved": item.get("source_preserved") is True,
            "value": item["value"] if isinstance(item.get("value"), (str, bool, dict)) else text(item.get("value")),
            "servers": [
                {
                    "address": text(server.get("address")),
                    "port": number(server.get("port")) or 0,
                    "gateways": texts(server.get("gateways")),
                }
                for server in items(item.get("servers"))
            ],
        }
        for item in items(raw)
    ]


def service_key(service: Json) -> tuple[str, str, int]:
    """Give what makes a service the same one in two looks."""
    return service["id"], service["address"], service["port"]


def load_balancer(host: str, raw: t.Any) -> Json:
    """Give what is known of a load balancer, in the report's shape; ``read`` says whether anything is."""
    raw = mapping(raw)
    result, first = mapping(raw.get("result")), mapping(raw.get("before"))
    failed = result.get("failed") is True
    before = services(first.get("services")) or services(result.get("before"))
    now = services(result.get("services")) or (before if failed or "services" not in result else [])
    # A module that had nothing to change has not asked for the servers; the first look has.
    servers = {service_key(service): service["servers"] for service in before}
    for service in now:
        service["servers"] = service["servers"] or servers.get(service_key(service), [])
    snapshots = [mapping(mapping(look.get("snapshot")).get("device")) for look in (first or result, result)]
    return {
        "platform": text(raw.get("platform")) or text(mapping(result.get("snapshot")).get("platform")),
        "read": bool(now) or any(look.get("failed") is not True and "services" in look for look in (result, first)),
        "changed": result.get("changed") is True,
        "services": now,
        "before": before,
        "device": {
            "before": {key: value for key, value in snapshots[0].items() if isinstance(value, (str, bool, dict))},
            "after": {key: value for key, value in snapshots[1].items() if isinstance(value, (str, bool, dict))},
        },
        "findings": [finding(item, host) for item in items(result.get("findings"))],
        "accepted": codes(raw.get("accept")),
        "requests": number(result.get("requests")) or 0,
        "failure": failure(raw.get("failure"), result),
        "probe": [
            {
                "address": text(item.get("address")),
                "answered": item.get("answered") is True,
                "detail": text(item.get("detail")),
            }
            for item in items(raw.get("probe"))
        ],
    }


def server(host: str, raw: t.Any) -> Json:
    """Give what is known of a VPN server, in the report's shape; ``read`` says whether anything is."""
    raw = mapping(raw)
    facts, first = mapping(raw.get("facts")), mapping(raw.get("before"))
    wanted = text(raw.get("gateway"))
    return {
        "read": bool(facts),
        **_state(facts),
        "wanted_gateway": wanted if is_address(wanted) else None,
        "wanted_ike_limit": number(raw.get("ike_limit")),
        "addresses": [bare(address) for address in texts(facts.get("addresses"))],
        "networks": [network for network in texts(facts.get("networks")) if _is_network(network)],
        "default_routes": _routes(facts.get("default_routes")),
        "default_routes_ipv6": _routes(facts.get("default_routes_ipv6")),
        "tunnels": number(facts.get("tunnels")),
        "ikev2_ports": number(facts.get("ikev2_ports")),
        "ikev2_fragmentation": facts.get("ikev2_fragmentation") is True,
        "services": {
            name: {"state": text(mapping(service).get("state")), "start": text(mapping(service).get("start"))}
            for name, service in mapping(facts.get("services")).items()
        },
        "findings": [finding(item, host) for item in items(facts.get("findings"))],
        "before": _state(first) if first else None,
        "failure": failure(raw.get("failure"), {}),
    }


def _state(facts: Json) -> Json:
    """Give what can be another after a run."""
    gateway = text(facts.get("gateway"))
    return {
        "gateway": bare(gateway) if is_address(gateway) else None,
        "ike_limit": number(facts.get("ike_limit")),
        "restart_owed": facts.get("restart_owed") is True,
        "sas": {
            bare(address): count
            for address, raw in mapping(facts.get("sas")).items()
            if (count := number(raw)) and is_address(address)
        },
    }


def _routes(raw: t.Any) -> list[Json]:
    return [
        {
            "gateway": text(item.get("gateway")),
            "interface": text(item.get("interface")),
            "metric": number(item.get("metric")),
        }
        for item in items(raw)
    ]


def bare(address: str) -> str:
    """Write an address in its one form, without zone or route domain; what is no address stays as it is."""
    try:
        return canonical_address(address.partition("%")[0])
    except ValueError:
        return address


def is_address(address: str) -> bool:
    """Say whether this is an IP address, with or without a zone or route domain."""
    try:
        canonical_address(address.partition("%")[0])
    except ValueError:
        return False
    return True


def _is_network(network: str) -> bool:
    try:
        netaddr.IPNetwork(network)
    except (netaddr.AddrFormatError, ValueError):
        return False
    return True
