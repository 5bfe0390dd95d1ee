# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the report is made of: the hosts' variables in one shape, whatever is missing. No input or output."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping, Sequence

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Scope, canonical_address
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._audit import FINAL_STATES, final_state

Json: t.TypeAlias = "dict[str, t.Any]"

SEVERITIES = ("blocker", "warning", "info")
STAGES = ("read", "check", "change", "verify", "restore")
SCOPES = t.get_args(Scope)

_LOAD_BALANCER = {
    "platform": "load_balancer_platform",
    "accept": "load_balancer_accept",
    "result": "load_balancer_result",
    "made": "ikev2_made",
    "before": "ikev2_before",
    "failure": "ikev2_failure",
    "probe": "ikev2_probe",
}
_SERVER = {
    "facts": "rras_facts",
    "gateway_result": "rras_gateway_result",
    "restore_result": "rras_restore_result",
    "limit_result": "rras_limit_result",
    "before": "ikev2_before",
    "failure": "ikev2_failure",
    "gateway": "rras_gateway",
    "ike_limit": "ikev2_limit",
}

VARIABLES = frozenset({*_LOAD_BALANCER.values(), *_SERVER.values(), "group_names"})
"""The hosts' variables that ``gather`` reads."""


def gather(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, t.Any]]) -> dict[str, Json]:
    """Collect what ``build`` takes as ``load_balancers`` and ``servers`` from the hosts' variables.

    A host's group decides which it is, or else its variables do. Other hosts are left out.
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
    """Report whether a variable, which may be a text, is true."""
    return str(value).strip().lower() in ("true", "yes", "on", "1", "y", "t")


def text(value: t.Any) -> str:
    """Return a text; empty for nothing."""
    return "" if value is None else value if isinstance(value, str) else str(value)


def number(value: t.Any) -> int | None:
    """Return a number that is not less than 0, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return None
    try:
        found = int(value)
    except ValueError:
        return None
    return found if found >= 0 else None


def mapping(value: t.Any) -> Json:
    """Return a dictionary; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def items(value: t.Any) -> list[Json]:
    """Return the dictionaries in a list; an empty list for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def texts(value: t.Any) -> list[str]:
    """Return the texts in a list; an empty list for anything else."""
    return [text(item) for item in value if item is not None] if isinstance(value, list) else []


def codes(value: t.Any) -> list[str]:
    """Return the codes in a list, or in a text with commas, which an option that is a list takes as well."""
    return sorted({code.strip() for code in (value.split(",") if isinstance(value, str) else texts(value))} - {""})


def finding(raw: Json, host: str) -> dict[str, str]:
    """Return a finding with all its keys, and with ``host``."""
    severity = text(raw.get("severity"))
    return {
        "host": text(raw.get("host")) or host,
        "code": text(raw.get("code")),
        # An unknown severity must not hide a finding.
        "severity": severity if severity in SEVERITIES else "warning",
        "object": text(raw.get("object")),
        "message": text(raw.get("message")),
        "remedy": text(raw.get("remedy")),
    }


def changes(raw: t.Any, host: str) -> list[Json]:
    """Return changes, each with all its keys, and with ``host``."""
    return [
        {
            "host": host,
            "id": text(item.get("id")),
            "scope": item["scope"] if item.get("scope") in SCOPES else "service",
            "setting": text(item.get("setting")),
            "before": value(item.get("before")),
            "after": value(item.get("after")),
        }
        for item in items(raw)
    ]


def value(raw: t.Any) -> t.Any:
    """Return a setting's value; anything that cannot be one as a text."""
    return raw if raw is None or isinstance(raw, (str, bool, int, dict)) else text(raw)


def _done(host: str, failed: t.Any, results: Sequence[Json]) -> Json:
    """Return what happened to a device: its ``failure``, its ``final_state``, and what was ``made`` (in check mode: would be).

    ``failed`` is what a playbook noted of a failure, ``results`` are those of the tasks that changed the device.
    """
    if not failed and (broken := next((result for result in results if result.get("failed") is True), None)):
        failed = {**broken, "stage": "change" if broken.get("before") else "read"}
    noted = failed if isinstance(failed, dict) else {"msg": text(failed)}
    stage, state = text(noted.get("stage")), noted.get("final_state")
    if not failed:
        state = final_state(results)
    elif state not in FINAL_STATES:
        state = "unchanged" if stage in ("read", "check") else "unknown"
    stands = not failed or state in ("changed", "unknown")
    ran = [result for result in results if result.get("changed") is True or result.get("failed") is True]
    return {
        "failure": {
            "stage": stage if stage in STAGES else "unknown",
            "msg": text(noted.get("msg")) or "No message was given.",
        }
        if failed
        else None,
        "final_state": state,
        "changed": stands and bool(ran),
        "made": [change for result in ran for change in changes(result.get("changes"), host)] if stands else [],
    }


def services(raw: t.Any) -> list[Json]:
    """Return a device module's services, each with all its keys."""
    return [
        {
            "id": text(item.get("id")),
            "address": text(item.get("address")),
            "port": number(item.get("port")) or 0,
            "protocol": text(item.get("protocol")) or "udp",
            "enabled": item.get("enabled") is not False,
            "source_preserved": item.get("source_preserved") is True,
            "value": text(given) if (given := value(item.get("value"))) is None else given,
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
    """Return what makes a service the same one in two readings."""
    return service["id"], service["address"], service["port"]


def load_balancer(host: str, raw: t.Any) -> Json:
    """Return what is known of a load balancer, in the report's shape; ``read`` reports whether anything is."""
    raw = mapping(raw)
    result, first = mapping(raw.get("result")), mapping(raw.get("before"))
    changing = mapping(raw.get("made")) or result
    failed = result.get("failed") is True
    before = services(first.get("services")) or services(result.get("before"))
    now = services(result.get("services")) or (before if failed or "services" not in result else [])
    # A module that had nothing to change has not asked for the servers; the first reading has.
    servers = {service_key(service): service["servers"] for service in before}
    for service in now:
        service["servers"] = service["servers"] or servers.get(service_key(service), [])
    findings = [finding(item, host) for item in items(result.get("findings"))]
    # A later reading does not repeat what was found while changing.
    findings += [
        one
        for item in items(changing.get("findings"))
        if (one := finding(item, host))["severity"] != "blocker" and one not in findings
    ]
    return {
        "platform": text(raw.get("platform")) or text(mapping(result.get("snapshot")).get("platform")),
        "read": bool(now) or any(look.get("failed") is not True and "services" in look for look in (result, first)),
        **_done(host, raw.get("failure"), [changing]),
        "services": now,
        "before": before,
        "due": [] if result.get("changed") is True or failed else changes(result.get("changes"), host),
        "findings": findings,
        "accepted": codes(raw.get("accept")),
        "requests": number(result.get("requests")) or 0,
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
    """Return what is known of a VPN server, in the report's shape; ``read`` reports whether anything is."""
    raw = mapping(raw)
    facts, first = mapping(raw.get("facts")), mapping(raw.get("before"))
    wanted = text(raw.get("gateway"))
    return {
        "read": bool(facts),
        **_done(
            host, raw.get("failure"), [mapping(raw.get(f"{name}_result")) for name in ("gateway", "restore", "limit")]
        ),
        **_state(facts),
        "due": changes(facts.get("changes"), host),
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
    }


def _state(facts: Json) -> Json:
    """Return what a run may change."""
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
    """Write an address in its canonical form, without zone or route domain; anything else stays as it is."""
    try:
        return canonical_address(address.partition("%")[0])
    except ValueError:
        return address


def is_address(address: str) -> bool:
    """Report whether this is an IP address, with or without a zone or route domain."""
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
