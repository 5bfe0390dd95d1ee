# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a report can be made of: results and facts as modules and roles leave them, for units and for the browser."""

from __future__ import annotations

import typing as t

Raw: t.TypeAlias = "dict[str, t.Any]"

SERVERS = {"rras1": "10.10.0.11", "rras2": "10.10.0.12"}
GATEWAY, ROUTER = "10.10.0.1", "10.10.0.254"
HIDDEN, OWN = {GATEWAY: 12}, {"198.51.100.7": 3, "198.51.100.8": 2}


def finding(code: str = "return_path_wrong", severity: str = "blocker", **more: str) -> dict[str, str]:
    """Give a finding as modules return it."""
    return {
        "code": code,
        "severity": severity,
        "object": "10.10.0.11",
        "message": "This server's default gateway is 10.10.0.254.",
        "remedy": "Make it 10.10.0.1, with the role rras.",
        **more,
    }


def services(preserved: bool, value: t.Any = None) -> list[Raw]:
    """Give the pair of a BIG-IP as its module returns it."""
    return [
        {
            "id": f"/Common/vs_ikev2_{port}",
            "address": "203.0.113.10",
            "port": port,
            "protocol": "udp",
            "enabled": True,
            "source_preserved": preserved,
            "value": value or ("none" if preserved else "automap"),
            "servers": [{"address": item, "port": port, "gateways": [GATEWAY]} for item in SERVERS.values()],
        }
        for port in (500, 4500)
    ]


def result(preserved: bool, **more: t.Any) -> Raw:
    """Give a result of bigip_snat."""
    return {
        "changed": False,
        "failed": False,
        "services": services(preserved),
        "before": services(preserved),
        "findings": [],
        "snapshot": {"platform": "bigip", "host": "bigip.example.net", "services": [], "device": {}},
        "requests": 8,
        **more,
    }


def facts(host: str = "rras1", gateway: str | None = GATEWAY, sas: Raw | None = None, **more: t.Any) -> Raw:
    """Give ``rras_facts``."""
    running = {"state": "running", "start": "automatic", "dependents": []}
    return {
        "gateway": gateway,
        "default_routes": [{"gateway": gateway, "interface": "External", "metric": 256, "persistent": True}],
        "default_routes_ipv6": [],
        "addresses": [SERVERS[host]],
        "networks": [f"{SERVERS[host]}/24"],
        "ike_limit": None,
        "restart_owed": False,
        "sas": OWN if sas is None else sas,
        "tunnels": 5,
        "ikev2_ports": 128,
        "ikev2_fragmentation": True,
        "services": {"IKEEXT": running, "RemoteAccess": running},
        "findings": [],
        **more,
    }


def site(preserved: bool, gateway: str, sas: Raw, **more: t.Any) -> Raw:
    """Give what a report of one BIG-IP and two VPN servers is made of."""
    return {
        "playbook": "audit",
        "check_mode": False,
        "generated": "2026-11-24T20:18:17Z",
        "load_balancers": {"bigip": {"platform": "bigip", "result": result(preserved)}},
        "servers": {host: {"facts": facts(host, gateway, sas), "gateway": GATEWAY} for host in SERVERS},
        "findings": [],
        **more,
    }


def drifted() -> Raw:
    """Give a site in the article's broken state."""
    raw = site(False, ROUTER, HIDDEN)
    raw["load_balancers"]["bigip"]["result"]["findings"] = [
        finding(),
        finding(object="10.10.0.12"),
        finding("server_nat", "warning", object="bigip", message="Server NAT is off.", remedy="Switch it on."),
    ]
    return raw


def clean() -> Raw:
    """Give the same site after it was made right: what was before is there, and the VIP was probed."""
    raw, before = site(True, GATEWAY, OWN, playbook="remediate"), drifted()
    bigip = raw["load_balancers"]["bigip"]
    bigip["before"] = before["load_balancers"]["bigip"]["result"]
    bigip["probe"] = [{"address": "203.0.113.10", "answered": True, "detail": "answered in 3 ms"}]
    for host, item in raw["servers"].items():
        item["before"] = before["servers"][host]["facts"]
    return raw


def failed() -> Raw:
    """Give a run in which the change of the load balancer was put back, and one server was never reached."""
    raw = clean()
    raw["load_balancers"]["bigip"]["result"] = result(False, failed=True, msg="bigip: refused.", undone=True)
    raw["load_balancers"]["bigip"]["failure"] = {"stage": "change", "msg": "bigip: refused.", "undone": True}
    raw["servers"]["rras2"] = {
        "gateway": GATEWAY,
        "failure": {"stage": "read", "msg": "rras2: no answer on port 5986", "undone": None},
    }
    return raw


def partial() -> Raw:
    """Give the broken site with the workaround on both servers."""
    raw = drifted()
    for item in raw["servers"].values():
        item["facts"]["ike_limit"] = item["ike_limit"] = 50000
    return raw


HOSTILE = {
    "script": "<script>document.title='owned'</script>",
    "image": '"><img src=x onerror="document.title=\'owned\'">',
    "attribute": "' onmouseover='document.title=1' style='background:url(http://203.0.113.99/a)",
    "cdata": "]]></style></svg><svg onload=document.title='owned'>",
    "template": "{{ 7 * 7 }}{% raw %}{# #}",
    "entity": "&lt;b&gt;&#0;&amp;",
    "control": "a\x00\x1b[31mred\x07\r\nb",
    "direction": "vs\u202egnp.exe\u2066\u200b",
    "surrogate": "\ud800",
    "long": "x" * 5000,
}


def named(text: str) -> Raw:
    """Give a site in which everything that has a name has this one, and a failure has it as its message."""
    raw = failed()
    bigip = raw["load_balancers"].pop("bigip")
    for look in (bigip["result"], bigip["before"]):
        look["findings"] = [finding(text, "warning", object=text, message=text, remedy=text)]
        for key in ("services", "before"):
            for index, service in enumerate(look[key]):
                service.update(id=f"{text}{index}", value={"type": text, "pool": text})
                service["servers"].append({"address": text, "port": 500, "gateways": [text]})
    bigip.update(platform=text, failure={"stage": text, "msg": text, "undone": None})
    bigip["probe"] = [{"address": "203.0.113.10", "answered": False, "detail": text}]
    raw["load_balancers"][text] = bigip
    server = raw["servers"].pop("rras1")
    server["facts"].update(addresses=[SERVERS["rras1"], text], sas={**HIDDEN, text: 3}, gateway=text)
    server["facts"]["services"] = {text: {"state": text, "start": text}}
    server.update(gateway=text)
    raw["servers"][f"{text}1"] = server
    return {**raw, "playbook": text, "generated": text, "findings": [finding(host=text)]}
