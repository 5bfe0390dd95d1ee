# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a report can be made of: results and facts as modules and roles leave them, for units and for the browser."""

from __future__ import annotations

import typing as t

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._report.model import HostFinding, Report
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.site import Site

Raw: t.TypeAlias = "dict[str, t.Any]"

SERVERS = {"rras1": "10.10.0.11", "rras2": "10.10.0.12"}
GATEWAY, ROUTER = "10.10.0.1", "10.10.0.254"
HIDDEN, OWN = {GATEWAY: 12}, {"198.51.100.7": 3, "198.51.100.8": 2}
STAGES = ("read", "check", "change", "verify", "restore")
OF_LIMIT = (
    "ike_limit",
    "restart_owed",
    "sas",
    "sas_unclear",
    "sas_other",
    "tunnels",
    "ikev2_ports",
    "ikev2_fragmentation",
    "services",
)


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
        "own_addresses": [GATEWAY],
        "snapshot": {"platform": "bigip", "host": "bigip.example.net", "services": [], "device": {}},
        "requests": 8,
        **more,
    }


def facts(host: str = "rras1", gateway: str | None = GATEWAY, sas: Raw | None = None, **more: t.Any) -> Raw:
    """Return the facts of a server that should have GATEWAY."""
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
        "sas_unclear": {},
        "sas_other": 0,
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
    raw = clean()
    bigip = raw["load_balancers"]["bigip"]
    del bigip["made"], bigip["result"]
    bigip["failure"] = {
        "stage": "change",
        **result(False, changes=[]),
        "msg": "bigip: refused.",
        "final_state": "rolled_back",
    }
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
    for look in (bigip["failure"], bigip["before"]):
        look["findings"] = [finding(text, "warning", object=text, message=text, remedy=text)]
        for key in ("services", "before"):
            for index, service in enumerate(look[key]):
                service.update(id=f"{text}{index}", value={"type": text, "pool": text})
                service["servers"].append({"address": text, "port": 500, "gateways": [text]})
    bigip["failure"].update(msg=text, final_state="unknown", changes=[change(text, text, text, {text: text})])
    bigip.update(platform=text, accept=[text])
    bigip["probe"] = [{"address": "203.0.113.10", "answered": False, "detail": text}]
    raw["load_balancers"][text] = bigip
    server = raw["servers"].pop("rras1")
    server["facts"].update(addresses=[SERVERS["rras1"], text], sas={**HIDDEN, "198.51.100.9": 3})
    server["facts"]["default_routes"][0].update(gateway=text, interface=text)
    server["facts"]["services"] = {text: {"state": text, "start": text}}
    server["facts"]["changes"] = [change(text, text, text, None, "route")]
    server.update(gateway=text)
    raw["servers"][f"{text}1"] = server
    return {**raw, "playbook": text, "generated": text, "findings": [finding(host=text)]}


# -- from a description to a report


def variables(raw: Raw) -> dict[str, Raw]:
    """Return the hosts' variables, as the playbooks leave them, of which this report is made."""
    kinds = (("load_balancers", _load_balancer), ("servers", _server))
    hosts = {host: {**make(item), "kind": kind} for kind, make in kinds for host, item in raw.get(kind, {}).items()}
    orders = {
        host: {"record": {"stage": "read", "asked": [], "steps": of_host.pop("steps")}}
        for host, of_host in hosts.items()
    }
    for of_host in hosts.values():
        kind = of_host.pop("kind")
        of_host["ikev2_site"] = {"orders": orders}
        of_host["group_names"] = ["ikev2_load_balancers" if kind == "load_balancers" else "rras"]
        if "kept" in raw:
            of_host["ikev2_kept"] = {"path": "kept.json", "snapshot": raw["kept"]}
    return hosts


def site_of(raw: Raw, **options: t.Any) -> Site:
    """Return the site."""
    return Site.parse(variables(raw), raw.get("playbook", ""), check_mode=raw.get("check_mode", False), **options)


def report_of(raw: Raw) -> Report:
    """Return the report."""
    return Report(
        site_of(raw),
        raw.get("generated", "2026-11-24T20:18:17Z"),
        raw.get("due", False),
        tuple(map(HostFinding.parse, raw.get("findings", ()))),
        raw.get("problem", ""),
    )


def step(stage: str, name: str, registered: Raw) -> Raw:
    """Return a step of a record."""
    return {"stage": stage, "name": name, "result": registered}


def server_read(read: Raw) -> Raw:
    """Return what the role rras registers as ``rras_read`` for these facts."""
    limit_due = [one for one in read["changes"] if one["scope"] == "limit"]
    plain = {key: value for key, value in read.items() if key not in ("findings", "changes")}
    return {
        "changed": False,
        "final_state": "unchanged",
        "changes": read["changes"],
        "facts": read,
        "gateway": {
            "after": {key: value for key, value in plain.items() if key not in OF_LIMIT},
            "findings": read["findings"],
            "changes": [one for one in read["changes"] if one["scope"] != "limit"],
        },
        "limit": {
            "after": {key: value for key, value in plain.items() if key in OF_LIMIT},
            "findings": [],
            "changes": limit_due,
        },
    }


def _failing(item: Raw, names: dict[str, str], **lacking: t.Any) -> list[Raw]:
    if "failure" not in item:
        return []
    failure = {**item["failure"]}
    stage = failure.pop("stage")
    undone = failure["final_state"] in ("unchanged", "rolled_back")
    return [step(stage, names.get(stage, "order"), {**lacking, **failure, "failed": True, "undone": undone})]


def _in_order(steps: list[Raw]) -> list[Raw]:
    return sorted(steps, key=lambda one: STAGES.index(one["stage"]))


def _load_balancer(item: Raw) -> Raw:
    name = "load_balancer_result"
    steps = [step("read", name, item["before"])] if "before" in item else []
    steps += [step("change", name, item["made"])] if "made" in item else []
    steps += [step("verify" if steps else "read", name, item["result"])] if "result" in item else []
    steps += [step("verify", "probe", {"answers": item["probe"]})] if "probe" in item else []
    lacking = {"changed": False, "before": [], "services": [], "changes": [], "findings": [], "requests": 1}
    steps += _failing(item, dict.fromkeys(("read", "change", "verify", "restore"), name), **lacking)
    names = {"platform": "load_balancer_platform", "accept": "load_balancer_accept"}
    return {"steps": _in_order(steps), **{names[key]: item[key] for key in names if key in item}}


def _server(item: Raw) -> Raw:
    steps = [step("read", "rras_read", server_read(item["before"]))] if "before" in item else []
    for half in ("gateway_result", "restore_result", "limit_result"):
        steps += [step("change", f"rras_{half}", item[half])] if half in item else []
    steps += [step("verify" if steps else "read", "rras_read", server_read(item["facts"]))] if "facts" in item else []
    names = {"read": "rras_read", "verify": "rras_read", "change": "rras_gateway_result"}
    steps += _failing(item, names)
    wanted = {"rras_ike_limit": item["ike_limit"], "rras_ike_limit_enabled": True} if "ike_limit" in item else {}
    names = {"gateway": "rras_gateway", "accept": "rras_accept"}
    return {"steps": _in_order(steps), **wanted, **{names[key]: item[key] for key in names if key in item}}
