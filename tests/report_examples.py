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
    """Return a finding as modules return it."""
    return {
        "code": code,
        "severity": severity,
        "object": "10.10.0.11",
        "message": "This server's default gateway is 10.10.0.254.",
        "remedy": "Make it 10.10.0.1, with the role rras.",
        **more,
    }


def change(name: str, setting: str, before: t.Any, after: t.Any, scope: str = "service") -> Raw:
    """Return a change as modules return it."""
    return {"id": name, "scope": scope, "setting": setting, "before": before, "after": after}


def translations(before: t.Any = "automap") -> list[Raw]:
    """Return the changes of a BIG-IP's pair."""
    return [change(f"/Common/vs_ikev2_{port}", "snat", before, "none") for port in (500, 4500)]


def gateway_change() -> Raw:
    """Return the change of a server's default gateway."""
    return change("0.0.0.0/0", "NextHop", ROUTER, GATEWAY, "route")


def limit_change() -> Raw:
    """Return the change of a server's limit."""
    return change("IKEEXT", "IkeNumEstablishedForInitialQuery", None, 50000, "limit")


def services(preserved: bool, value: t.Any = None) -> list[Raw]:
    """Return the pair of a BIG-IP as its module returns it."""
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
    """Return a result of bigip_snat with state gathered."""
    return {
        "changed": False,
        "failed": False,
        "changes": [] if preserved else translations(),
        "final_state": "unchanged",
        "services": services(preserved),
        "before": services(preserved),
        "findings": [],
        "snapshot": {"platform": "bigip", "host": "bigip.example.net", "services": [], "device": {}},
        "requests": 8,
        **more,
    }


def facts(host: str = "rras1", gateway: str | None = GATEWAY, sas: Raw | None = None, **more: t.Any) -> Raw:
    """Return ``rras_facts`` of a server that should have GATEWAY."""
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
        "changes": [] if gateway == GATEWAY else [{**gateway_change(), "before": gateway}],
        **more,
    }


def site(preserved: bool, gateway: str, sas: Raw, **more: t.Any) -> Raw:
    """Return what a report of one BIG-IP and two VPN servers is made of."""
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
    """Return a site in the article's broken state."""
    raw = site(False, ROUTER, HIDDEN)
    raw["load_balancers"]["bigip"]["result"]["findings"] = [
        finding(),
        finding(object="10.10.0.12"),
        finding("server_nat", "warning", object="bigip", message="Server NAT is off.", remedy="Switch it on."),
    ]
    return raw


def clean() -> Raw:
    """Return the same site after remediation, with what was before and what was changed; the VIP was probed."""
    raw, before = site(True, GATEWAY, OWN, playbook="remediate"), drifted()
    bigip = raw["load_balancers"]["bigip"]
    bigip["before"] = before["load_balancers"]["bigip"]["result"]
    bigip["made"] = result(True, changed=True, changes=translations(), final_state="changed")
    bigip["probe"] = [{"address": "203.0.113.10", "answered": True, "detail": "answered in 3 ms"}]
    for host, item in raw["servers"].items():
        item["before"] = before["servers"][host]["facts"]
        item["gateway_result"] = {"changed": True, "changes": [gateway_change()], "final_state": "changed"}
    return raw


def failed() -> Raw:
    """Return a run in which the change of the load balancer was rolled back, and one server was never reached."""
    raw, refused = clean(), {"msg": "bigip: refused.", "final_state": "rolled_back"}
    bigip = raw["load_balancers"]["bigip"]
    del bigip["made"]
    bigip["result"] = result(False, failed=True, changes=[], **refused)
    bigip["failure"] = {"stage": "change", **refused}
    raw["servers"]["rras2"] = {
        "gateway": GATEWAY,
        "failure": {"stage": "read", "msg": "rras2: no answer on port 5986", "final_state": "unchanged"},
    }
    return raw


def partial() -> Raw:
    """Return the broken site with the workaround on both servers."""
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
    """Return a site in which everything that has a name has this one, and a failure has it as its message."""
    raw = failed()
    bigip = raw["load_balancers"].pop("bigip")
    for look in (bigip["result"], bigip["before"]):
        look["findings"] = [finding(text, "warning", object=text, message=text, remedy=text)]
        for key in ("services", "before"):
            for index, service in enumerate(look[key]):
                service.update(id=f"{text}{index}", value={"type": text, "pool": text})
                service["servers"].append({"address": text, "port": 500, "gateways": [text]})
    bigip.update(platform=text, failure={"stage": text, "msg": text, "final_state": text})
    bigip["made"] = {"changed": True, "changes": [change(text, text, text, {text: text}, text)]}
    bigip["probe"] = [{"address": "203.0.113.10", "answered": False, "detail": text}]
    raw["load_balancers"][text] = bigip
    server = raw["servers"].pop("rras1")
    server["facts"].update(addresses=[SERVERS["rras1"], text], sas={**HIDDEN, text: 3}, gateway=text)
    server["facts"]["services"] = {text: {"state": text, "start": text}}
    server["facts"]["changes"] = [change(text, text, text, None, text)]
    server.update(gateway=text)
    raw["servers"][f"{text}1"] = server
    return {**raw, "playbook": text, "generated": text, "findings": [finding(host=text)]}
