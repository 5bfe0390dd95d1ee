# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Citrix ADC (NetScaler) that speaks NITRO over ``/nitro/v1/config``.

Sources: Citrix' NITRO documentation (error handling, bulk bindings, the pages of the resources), its Java SDK and the
resource map of its collection netscaler.adc (fields, values, what may be set), captured answers in public clients
(typing, messages). What no source tells is an option of the constructor, or said to be assumed where it stands.
Objects are read, set, unset, enabled and disabled here; they are neither added nor deleted.
"""

from __future__ import annotations

import ipaddress
import json
import secrets
import typing as t
from pathlib import Path
from urllib.parse import unquote

from flask import Request, Response, request
from werkzeug.exceptions import HTTPException

from .core import Device, State, copied

Record = dict[str, t.Any]
Table = dict[str, Record]
Warned = tuple[int, str] | None

BASE = "/nitro/v1/config"
YES, ON, ENABLED = ("YES", "NO"), ("ON", "OFF"), ("ENABLED", "DISABLED")
SERVERS = ("10.10.0.11", "10.10.0.12")

# Code -> HTTP status and message. The texts are the SDK's; the status of 293, 445, 1028, 1289 and 3894 is assumed.
ERRORS: dict[int, tuple[int, str]] = {
    257: (403, "Operation not permitted"),
    258: (404, "No such resource"),
    278: (599, "Invalid argument"),
    293: (599, "Operation already in progress"),
    344: (404, "No Service"),
    347: (599, "Command propagation failed"),
    354: (401, "Invalid username or password"),
    444: (401, "Session expired or killed. Please login again"),
    445: (599, "Session limit exceeded"),
    1027: (401, "Not logged in or connection timed out"),
    1028: (599, "You are connected to a secondary node; configuration changes made in this session will not be "
                "propagated to, or saved on, other nodes"),
    1067: (400, "Feature(s) not enabled"),
    1088: (400, "No such command"),
    1090: (400, "No such argument"),
    1092: (400, "Arguments cannot both be specified"),
    1093: (400, "Argument pre-requisite missing"),
    1095: (400, "Required argument missing"),
    1097: (400, "Invalid argument value"),
    1243: (207, "Bulk operation failed"),
    1244: (401, "Authentication Failed: Use of Basic Authentication is Disabled."),
    1289: (599, "Use Source IP is needed by a vserver with connection failover"),
    2138: (403, "Not authorized to execute this command"),
    3894: (599, "USIP is not allowed in a mixed IPv4 and IPv6 topology"),
}  # fmt: skip
REASONS = {207: "Multi Status", 209: "X-NITRO-WARNING", 599: "Netscaler specific error"}

# Modes: the key in the answer -> the names that ``action=enable`` takes; the first is the one in the list ``mode``.
MODES = {names.split()[0].lower(): names.split() for names in (
    "FR FastRamp", "L2 L2mode", "USIP UseSourceIP", "CKA ClientKeepAlive", "TCPB TCPBuffering",
    "MBF MACbasedforwarding", "Edge", "USNIP", "L3 L3mode", "PMTUD", "SRADV", "DRADV", "IRADV", "SRADV6", "DRADV6",
    "BridgeBPDUs", "ULFD",
)}  # fmt: skip

# What a new object looks like; the mixture of numbers and texts is the device's.
_BACKEND: Record = {
    "numofconnections": 0, "servicetype": "UDP", "port": 0, "cachetype": "SERVER", "maxclient": "0", "maxreq": "0",
    "cacheable": "NO", "cip": "DISABLED", "usip": "NO", "useproxyport": "YES", "pathmonitor": "NO", "sp": "OFF",
    "rtspsessionidremap": "OFF", "clttimeout": 120, "svrtimeout": 120, "cka": "NO", "tcpb": "NO", "cmp": "NO",
    "maxbandwidth": "0", "svrstate": "UP", "monthreshold": "0", "monconnectionclose": "NONE", "delay": 0,
    "downstateflush": "ENABLED", "healthmonitor": "YES", "appflowlog": "ENABLED", "graceful": "NO", "td": "0",
}  # fmt: skip
TEMPLATES: dict[str, Record] = {
    "lbvserver": {
        "ipv46": "0.0.0.0", "ippattern": "0.0.0.0", "port": 0, "range": "1", "servicetype": "UDP", "type": "ADDRESS",
        "curstate": "UP", "effectivestate": "UP", "status": 1, "clttimeout": "120", "lbmethod": "LEASTCONNECTION",
        "health": "100", "m": "IP", "tosid": "0", "persistencetype": "NONE", "timeout": 2, "sessionless": "DISABLED",
        "connfailover": "DISABLED", "downstateflush": "ENABLED", "totalservices": "2", "activeservices": "2",
        "l2conn": "OFF", "macmoderetainvlan": "DISABLED", "processlocal": "DISABLED", "isgslb": False, "td": "0",
    },
    "servicegroup": {
        **_BACKEND, "ip": "0.0.0.0", "servicegroupeffectivestate": "UP", "serviceconftype": True, "memberport": 0,
        "state": "ENABLED", "autoscale": "DISABLED", "autodelayedtrofs": "NO", "groupcount": "2",
    },
    "service": {
        **_BACKEND, "ipaddress": "0.0.0.0", "servername": "", "processlocal": "DISABLED", "accessdown": "NO",
    },
    "nsip": {
        "ipaddress": "", "td": "0", "type": "SNIP", "netmask": "255.255.255.0", "flags": "40", "arp": "ENABLED",
        "icmp": "ENABLED", "vserver": "DISABLED", "telnet": "ENABLED", "ssh": "ENABLED", "mgmtaccess": "DISABLED",
        "dynamicrouting": "DISABLED", "hostroute": "DISABLED", "metric": 0, "state": "ENABLED", "iptype": ["SNIP"],
        "ownernode": "255",
    },
    "nsip6": {
        "ipv6address": "", "scope": "global", "type": "SNIP", "vlan": "0", "nd": "ENABLED", "icmp": "ENABLED",
        "vserver": "DISABLED", "mgmtaccess": "DISABLED", "state": "ENABLED", "td": "0", "iptype": ["SNIP"],
    },
    "hanode": {
        "id": "0", "ipaddress": "192.0.2.20", "flags": "0", "hastatus": "UP", "state": "Primary", "hasync": "ENABLED",
        "haprop": "ENABLED", "netmask": "255.255.255.0", "hellointerval": "200", "deadinterval": "3",
        "failsafe": "OFF", "maxflips": "0", "maxfliptime": "0",
    },
}  # fmt: skip
# Fields that a record carries only when they hold something; ``attrs`` may still ask for them.
_TEXTS = ("comment", "netprofile", "cipheader", "tcpprofilename", "httpprofilename")
OPTIONAL: dict[str, tuple[str, ...]] = {
    "lbvserver": (
        "name", "comment", "groupname", "listenpolicy", "netprofile", "backupvserver", "ngname", "redirurl", "ipset",
    ),
    "servicegroup": ("servicegroupname", *_TEXTS),
    "service": ("name", "customserverid", *_TEXTS),
    "nsip6": ("ownernode", "map", "vrid6"),
    "nsip": ("hostrtgw", "hostrtgwact", "vrid", "tag", "networkroute", "vserverrhilevel", "vipvsercount"),
    "hanode": ("name", "inc", "routemonitor", "syncvlan", "syncstatusstrictmode", "masterstatetime", "curflips"),
}  # fmt: skip

# What firmware of 2013 does not show: by resource, and in general. It writes ports as texts, too.
_YOUNG = ("td", "iptype", "ownernode", "ipset", "processlocal")
YOUNG: dict[str, tuple[str, ...]] = {"servicegroup_servicegroupmember_binding": ("state", *_YOUNG)}

# Resource -> its key, the key's name in messages, and the code for one that does not exist.
KINDS: dict[str, tuple[str, str, int]] = {
    "lbvserver": ("name", "name", 258),
    "servicegroup": ("servicegroupname", "serviceGroupName", 258),
    "service": ("name", "name", 344),
    "lbgroup": ("name", "name", 258),
    "csvserver": ("name", "name", 258),
    "netprofile": ("name", "name", 258),
    "ipset": ("name", "name", 258),
    "nsip": ("ipaddress", "IPAddress", 258),
    "nsip6": ("ipv6address", "IPv6Address", 258),
    "hanode": ("id", "id", 258),
    "nspartition": ("partitionname", "partitionName", 258),
    "clusterinstance": ("clid", "clId", 258),
    "clusternode": ("nodeid", "nodeId", 258),
}
GLOBAL = ("hanode", "nspartition", "clusterinstance", "clusternode")  # the device's own, whatever the partition
BINDINGS = {  # binding -> the kind whose objects it lists
    "lbvserver_servicegroup_binding": "lbvserver",
    "lbvserver_service_binding": "lbvserver",
    "servicegroup_servicegroupmember_binding": "servicegroup",
    "lbgroup_lbvserver_binding": "lbgroup",
    "csvserver_lbvserver_binding": "csvserver",
    "csvserver_cspolicy_binding": "csvserver",
    "ipset_nsip_binding": "ipset",
    "ipset_nsip6_binding": "ipset",
}
SINGLES = ("nsmode", "nsfeature", "nsversion")

# What PUT and ``action=unset`` take: allowed values, or the type.
_SETTABLE: dict[str, tuple[str, ...] | type] = {
    **dict.fromkeys(("usip", "useproxyport", "healthmonitor", "cka", "tcpb", "cmp", "cacheable", "pathmonitor"), YES),
    **dict.fromkeys(("sp", "rtspsessionidremap"), ON),
    **dict.fromkeys(("cip", "appflowlog", "downstateflush"), ENABLED),
    **dict.fromkeys(("maxclient", "maxreq", "maxbandwidth", "clttimeout", "svrtimeout", "monthreshold"), int),
    **dict.fromkeys(_TEXTS, str),
    "monconnectionclose": ("RESET", "FIN"),
}
SETTABLE: dict[str, dict[str, tuple[str, ...] | type]] = {
    "servicegroup": {**_SETTABLE, "autodelayedtrofs": YES},
    "service": {**_SETTABLE, "accessdown": YES, "processlocal": ENABLED, "customserverid": str},
}
# What ``action=enable`` and ``action=disable`` make of an object.
STATES = {
    "lbvserver": ("curstate", {"enable": "UP", "disable": "OUT OF SERVICE"}),
    "servicegroup": ("state", {"enable": "ENABLED", "disable": "DISABLED"}),
    "service": ("svrstate", {"enable": "UP", "disable": "OUT OF SERVICE"}),
}
# Verb (PUT is "set") -> the resources that know it here.
VERBS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("set", "unset"), tuple(SETTABLE)),
    **dict.fromkeys(("enable", "disable"), (*STATES, "nsmode")),
    "save": ("nsconfig",),
}


class Refusal(Exception):
    """A command that the device refuses."""

    def __init__(self, code: int, detail: str = "", status: int | None = None) -> None:
        super().__init__(code)
        self.code, self.detail, self.status = code, detail, status


class NetScaler(Device):
    """The stand-in.

    ``nsmode_shape``: what GET nsmode gives (documents and SDK differ). ``basic_auth``: whether credentials may come
    with each request. ``session_limit``: sessions a user may have. ``expired_code``: what a dead session gets.
    ``on_secondary``: whether a secondary node warns of a change or refuses it. ``switch_status``, ``logout_status``:
    documents name 200 and 201. ``group_persistence``: whether a virtual server shows its persistency group's type or
    its own. ``old``: the firmware is one of 2013, and refuses or ignores fields in ``attrs`` that it does not know.
    """

    platform = "netscaler"

    def __init__(
        self,
        name: str = "netscaler",
        *,
        nsmode_shape: t.Literal["object", "array"] = "object",
        basic_auth: bool = True,
        session_limit: int = 20,
        expired_code: t.Literal[444, 1027] = 444,
        on_secondary: t.Literal["warning", "error"] = "warning",
        switch_status: t.Literal[200, 201] = 200,
        logout_status: t.Literal[200, 201] = 201,
        group_persistence: t.Literal["shown", "own"] = "shown",
        old: t.Literal["", "refuses", "ignores"] = "",
    ) -> None:
        self.nsmode_shape, self.basic_auth, self.session_limit = nsmode_shape, basic_auth, session_limit
        self.expired_code, self.on_secondary = expired_code, on_secondary
        self.switch_status, self.logout_status = switch_status, logout_status
        self.group_persistence: t.Literal["shown", "own"] = group_persistence
        self.old: t.Literal["", "refuses", "ignores"] = old
        super().__init__(name)
        for rule in (f"{BASE}/<resource>", f"{BASE}/<resource>/<key>"):
            self.app.add_url_rule(rule, view_func=self._serve, methods=["GET", "POST", "PUT", "DELETE"])
        self.app.register_error_handler(HTTPException, lambda error: self.error(1088, request.path, error.code))

    # The state, and what tests do with it

    def initial(self) -> State:
        """Return the article's broken device: USNIP off, no group keeps the client's address."""
        config = _blank()
        for own in (
            {"ipaddress": "192.0.2.20", "type": "NSIP", "iptype": ["NSIP"]},
            {"ipaddress": "10.10.0.1"},
            {"ipaddress": "203.0.113.5"},
            {"ipaddress": "203.0.113.20", "type": "VIP", "iptype": ["VIP"], "netmask": "255.255.255.255"},
        ):
            config["nsip"][own["ipaddress"]] = {**TEMPLATES["nsip"], **own}
        vip = "203.0.113.20"
        for port in (500, 4500):
            _listen(config, f"lb_vs_ikev2_{port}", vip, port, f"sg_ikev2_{port}", SERVERS)
        _persist(config, "pg_ikev2", ["lb_vs_ikev2_500", "lb_vs_ikev2_4500"])
        _listen(config, "lb_vs_portal", vip, 443, "sg_portal", ("10.10.0.21",), servicetype="SSL")
        _listen(config, "lb_vs_dns", vip, 53, "sg_dns", ("10.10.0.53",))
        return {
            "running": {"default": config},
            "saved": {"default": copied(config)},
            "saves": 0,
            "sessions": {},
            "users": {
                "nsroot": {"password": "lab-netscaler-secret-1", "writes": True},
                "auditor": {"password": "lab-netscaler-secret-2", "writes": False},
            },
            "nsversion": {"version": "NetScaler NS14.1: Build 25.56.nc, Date: Jun 20 2024, 11:04:32", "mode": "0"},
            **{kind: {} for kind in GLOBAL},
            "hanode": {"0": dict(TEMPLATES["hanode"])},
        }

    @property
    def config(self) -> Record:
        """The running configuration of the default partition."""
        return t.cast(Record, self.state["running"]["default"])

    def add_pair(
        self, vip: str, name: str, servers: t.Sequence[str] = SERVERS, partition: str = "default", **own: t.Any
    ) -> list[str]:
        """Add virtual servers ``<name>_500`` and ``<name>_4500``, saved; give the names of what carries their ``usip``.

        ``own``: ``plain=True`` for services in place of a service group, ``servicetype``, ``usip``.
        """
        config = self.state["running"][partition]
        made = [
            group
            for port in (500, 4500)
            for group in _listen(config, f"{name}_{port}", vip, port, f"sg_{name}_{port}", servers, **own)
        ]
        _persist(config, f"pg_{name}", [f"{name}_500", f"{name}_4500"])
        self.state["saved"][partition] = copied(config)
        return made

    def add_content_switching(
        self, vip: str, name: str, servers: t.Sequence[str] = SERVERS, *, policy: str = ""
    ) -> list[str]:
        """Add a pair like ``add_pair`` whose virtual servers have no address, behind content switching at ``vip``.

        They are the default ones, or those of a policy.
        """
        made = self.add_pair(vip, name, servers)
        for port in (500, 4500):
            inner, outer = f"{name}_{port}", f"cs_{name}_{port}"
            self.config["lbvserver"][inner].update(ipv46="0.0.0.0", port=0)
            self.config["csvserver"][outer] = {
                "name": outer, "ipv46": vip, "port": port, "servicetype": "UDP", "range": "1", "curstate": "UP", "td": "0",
            }  # fmt: skip
            if policy:
                row = {"name": outer, "policyname": policy, "targetlbvserver": inner, "priority": "100"}
                self.config["csvserver_cspolicy_binding"].append(row)
            else:
                self.config["csvserver_lbvserver_binding"].append({"name": outer, "lbvserver": inner})
        return made

    def add_listen_policy(self, pair: str, name: str, policy: str, servers: t.Sequence[str] = SERVERS) -> list[str]:
        """Add a pair at the address of another (``pair``) that differs from it by its listen policy alone."""
        made = self.add_pair(self.config["lbvserver"][f"{pair}_500"]["ipv46"], name, servers)
        for port in (500, 4500):
            self.config["lbvserver"][f"{name}_{port}"].update(listenpolicy=policy, listenpriority="10")
        return made

    def add_backup(self, vserver: str, name: str, servers: t.Sequence[str] = SERVERS) -> list[str]:
        """Add a virtual server without an address that takes over while ``vserver`` is down."""
        port = self.config["lbvserver"][vserver]["port"]
        made = _listen(self.config, name, "0.0.0.0", port, f"sg_{name}", servers)
        self.config["lbvserver"][name]["port"] = 0
        self.config["lbvserver"][vserver]["backupvserver"] = name
        return made

    def add_net_profile(self, name: str, source: str, *users: Record) -> None:
        """Add a net profile with an address or an IP set as its source, and let these records use it."""
        # As NITRO's reference lists it (netprofile); it is shown without what is not set.
        self.config["netprofile"][name] = {
            "name": name, "td": "0", "srcip": source, "srcippersistency": "DISABLED", "overridelsn": "DISABLED",
        }  # fmt: skip
        for record in users:
            record["netprofile"] = name

    def member(self, group: str, address: str) -> Record:
        """Return the record of a service group's member."""
        rows: list[Record] = self.config["servicegroup_servicegroupmember_binding"]
        return next(row for row in rows if (row["servicegroupname"], row.get("ip")) == (group, address))

    def add_partition(self, name: str) -> Record:
        """Add an empty admin partition and give its configuration."""
        self.state["nspartition"][name] = {"partitionname": name, "partitionid": "1"}
        self.state["running"][name], self.state["saved"][name] = _blank(), _blank()
        return t.cast(Record, self.state["running"][name])

    def expire_sessions(self) -> None:
        """Let every session die, as idleness or ``kill system session`` does."""
        self.state["sessions"].clear()

    def reboot(self) -> None:
        """Come up with the saved configuration and without sessions."""
        self.state["running"] = copied(self.state["saved"])
        self.expire_sessions()

    def open_sessions(self) -> list[str]:
        """Name the sessions that were not logged out."""
        return list(self.state["sessions"])

    def variables(self, ca: Path) -> dict[str, t.Any]:
        """Return the inventory variables."""
        login = {"username": "nsroot", "password": "lab-netscaler-secret-1"}
        return {
            "load_balancer_platform": self.platform,
            "load_balancer_addresses": ["203.0.113.20"],
            "load_balancer_connection": {"host": "127.0.0.1", "port": self.port, **login, "ca_path": str(ca)},
        }

    def writes(self, request: Request) -> bool:
        """Report whether a request is meant to change something: all but GET, logging in and out, switching partitions."""
        resource = request.path.removeprefix(BASE).strip("/").split("/")[0]
        session = resource in ("login", "logout") or (resource, request.args.get("action")) == ("nspartition", "Switch")
        return request.method not in ("GET", "HEAD") and not session

    # Answers, also for faults

    @staticmethod
    def answer(body: Record, status: int = 200, headers: dict[str, str] | None = None) -> Response:
        """Return an answer of NITRO's."""
        line = f"{status} {REASONS[status]}" if status in REASONS else status
        return Response(json.dumps(body), line, headers, content_type="application/json; charset=utf-8")

    @classmethod
    def error(cls, code: int, detail: str = "", status: int | None = None) -> Response:
        """Return the answer to a refused command."""
        return cls.answer(_verdict(code, detail), status or ERRORS[code][0])

    @classmethod
    def warning(cls, code: int, detail: str = "", body: Record | None = None) -> Response:
        """Return the answer to a command that was carried out with a warning, as ``?warning=yes`` shows it."""
        verdict = {**_verdict(code, detail), "severity": "WARNING"}
        return cls.answer({**verdict, **(body or {})}, 209, {"X-NITRO-WARNING": f"{code} - {verdict['message']}"})

    @classmethod
    def bulk_failed(cls, responses: list[Record]) -> Response:
        """Return the answer to a bulk operation of which a part failed."""
        return cls.answer({**_verdict(1243), "response": responses}, 207)

    # One request

    def _serve(self, resource: str, key: str | None = None) -> Response:
        key = key and unquote(key)  # known clients encode names twice
        with self.lock:
            try:
                if resource == "login":
                    return self._login()
                user, session = self._authenticate()
                if resource == "logout":
                    self._item("logout", ())
                    self.state["sessions"].pop(session, None)
                    return self.answer(_verdict(0), self.logout_status)
                if (resource, request.args.get("action")) == ("nspartition", "Switch"):
                    return self._switch(session)
                partition = self.state["sessions"].get(session, {}).get("partition", "default")
                if request.method == "GET":
                    return self._read(resource, key, self.state["running"][partition])
                return self._write(resource, key, user, partition)
            except Refusal as refusal:
                return self.error(refusal.code, refusal.detail, refusal.status)

    def _login(self) -> Response:
        item = self._item("login", ("username", "password", "timeout"))
        for key in ("username", "password"):
            if not isinstance(item.get(key), str):
                raise Refusal(1095, key)
        if not str(item.get("timeout", 1800)).isdigit():
            raise Refusal(1097, "timeout")
        user = self._check(item["username"], item["password"])
        if sum(session["user"] == user for session in self.state["sessions"].values()) >= self.session_limit:
            raise Refusal(445)
        token = "##" + secrets.token_hex(41).upper()
        self.issued.append(token.removeprefix("##"))
        self.state["sessions"][token] = {"user": user, "partition": "default"}
        answer = self._done({"sessionid": token}, 201, self._warned(changes=True))
        answer.headers.add("Set-Cookie", "SESSID=deleted; path=/")
        answer.headers.add("Set-Cookie", f"NITRO_AUTH_TOKEN={token.replace('#', '%23')}; path=/nitro/v1")
        return answer

    def _check(self, username: str | None, password: str | None) -> str:
        user = self.state["users"].get(username)
        if username is None or user is None or user["password"] != password:
            raise Refusal(354)
        return username

    def _authenticate(self) -> tuple[str, str]:
        """Return the user and the session's token, empty where the credentials came with the request."""
        cookie = unquote(request.cookies.get("NITRO_AUTH_TOKEN", ""))
        given = (request.headers.get("X-NITRO-USER"), request.headers.get("X-NITRO-PASS"))
        if request.authorization:
            given = (request.authorization.username, request.authorization.password)
        if cookie and any(given):
            raise Refusal(1092, "NITRO_AUTH_TOKEN, X-NITRO-USER")  # documented as not to be done; the code is assumed
        if cookie and cookie not in self.state["sessions"]:
            raise Refusal(self.expired_code)
        if cookie:
            return self.state["sessions"][cookie]["user"], cookie
        if not any(given):
            raise Refusal(1027)
        if not self.basic_auth:
            raise Refusal(1244)
        return self._check(*given), ""

    def _switch(self, session: str) -> Response:
        name = self._item("nspartition", ("partitionname", "force", "save")).get("partitionname")
        if name not in self.state["running"]:
            raise Refusal(258, f"partitionName, {name}") if name else Refusal(1095, "partitionName")
        if session:
            self.state["sessions"][session]["partition"] = name
        return self._done({}, self.switch_status)

    def _warned(self, changes: bool = False, resource: str = "") -> Warned:
        """Return the warning that the device has about this request; it is reported only where ``?warning=yes`` asks."""
        if changes and self.state["hanode"]["0"]["state"] == "Secondary":
            return 1028, ""
        return (1067, "LB") if resource.startswith("lb") and not self.config["nsfeature"]["lb"] else None

    def _done(self, body: Record, status: int = 200, warned: Warned = None) -> Response:
        if warned and request.args.get("warning") == "yes":
            return self.warning(*warned, body)
        return self.answer({**_verdict(0), **body}, status)

    # Reading

    def _read(self, resource: str, key: str | None, config: Record) -> Response:
        if resource in SINGLES and key is None:
            self._query()
            return self._done({resource: self._single(resource, config)})
        if resource in BINDINGS:
            self._query("bulkbindings")
            kind = BINDINGS[resource]
            if key is not None:
                _find(config[kind], kind, key)
            elif request.args.get("bulkbindings") != "yes":
                raise Refusal(1095, KINDS[kind][1])
            rows = self._aged(resource, [row for row in config[resource] if key in (None, row[KINDS[kind][0]])])
        elif resource in KINDS:
            self._query("attrs")
            table: Table = (self.state if resource in GLOBAL else config)[resource]
            listed = list(table.values()) if key is None else [_find(table, resource, key)]
            if resource == "lbvserver" and self.group_persistence == "shown":
                listed = [_with_group(row, config["lbgroup"]) for row in listed]
            rows = _selected(resource, self._aged(resource, listed), self.old)
        else:
            raise Refusal(1088, resource)  # how the device names an unknown resource is assumed
        return self._done({resource: rows} if rows else {}, warned=self._warned(resource=resource))

    def _aged(self, resource: str, rows: list[Record]) -> list[Record]:
        """Return objects as the device's firmware shows them."""
        if not self.old:
            return rows
        hidden = YOUNG.get(resource, _YOUNG)
        return [
            {key: str(value) if key == "port" else value for key, value in row.items() if key not in hidden}
            for row in rows
        ]

    def _single(self, resource: str, config: Record) -> Record | list[Record]:
        if resource == "nsversion":
            return t.cast(Record, self.state["nsversion"])
        flags: dict[str, bool] = config[resource]
        listed = [MODES[key][0] if resource == "nsmode" else key.upper() for key, on in flags.items() if on]
        record: Record = {**({resource.removeprefix("ns"): listed} if listed else {}), **flags}
        return [record] if resource == "nsmode" and self.nsmode_shape == "array" else record

    @staticmethod
    def _query(*known: str) -> None:
        """Refuse what is not known in the query; that the device does so is assumed."""
        for argument, value in request.args.items():
            if argument not in (*known, "warning"):
                raise Refusal(1090, argument)
            if argument in ("warning", "bulkbindings") and value not in ("yes", "no"):
                raise Refusal(1097, argument)

    # Writing

    def _write(self, resource: str, key: str | None, user: str, partition: str) -> Response:
        self._query(*(("action",) if request.method == "POST" else ()))
        verb = request.args.get("action", "add") if request.method == "POST" else request.method.lower()
        verb = {"put": "set", "delete": "rm"}.get(verb, verb)
        if resource not in (*KINDS, *BINDINGS, *SINGLES, "nsconfig"):
            raise Refusal(1088, resource)
        if resource not in VERBS.get(verb, ()):
            raise Refusal(257, f"{verb} {resource}")  # where the device could do it, this is the lab's limit
        if not self.state["users"][user]["writes"]:
            raise Refusal(2138, f"{verb} {resource}")
        warned = self._warned(changes=True)
        if warned and self.on_secondary == "error":
            raise Refusal(*warned)
        payload = _payload(resource)
        if isinstance(payload, list):
            return self._bulk(payload, verb, resource, partition, warned)
        if key is not None and payload.setdefault(KINDS[resource][0], key) != key:
            raise Refusal(278, KINDS[resource][1])
        self._run(verb, resource, payload, partition)
        return self._done({}, warned=warned)

    def _bulk(self, items: list[Record], verb: str, resource: str, partition: str, warned: Warned) -> Response:
        """Carry out one after the other; what was set before an error stays set, also with ``rollback``."""
        on_error = request.headers.get("X-NITRO-ONERROR", "exit").lower()
        if on_error not in ("exit", "continue", "rollback"):
            raise Refusal(1097, "X-NITRO-ONERROR")
        responses = []
        for item in items:
            try:
                self._run(verb, resource, item, partition)
                responses.append(_verdict(0))
            except Refusal as refusal:
                responses.append(_verdict(refusal.code, refusal.detail))
                if on_error != "continue":
                    return self.bulk_failed(responses[-1:])  # documented: only the failed operation is shown
        failed = any(response["errorcode"] for response in responses)
        return self.bulk_failed(responses) if failed else self._done({}, warned=warned)

    def _run(self, verb: str, resource: str, item: Record, partition: str) -> None:
        config = self.state["running"][partition]
        if verb == "save":
            _known(item, "all")
            self.state["saved"][partition] = copied(config)
            self.state["saves"] += 1
        elif resource == "nsmode":
            _turn_modes(config["nsmode"], item, verb == "enable")
        elif verb in ("enable", "disable"):
            _known(item, KINDS[resource][0], "delay", "graceful")  # members are not switched here
            field, states = STATES[resource]
            _target(resource, item, config)[field] = states[verb]
        else:
            _change(resource, item, config, verb)

    @staticmethod
    def _item(resource: str, known: t.Sequence[str]) -> Record:
        """Return the one object of a POST's payload."""
        if request.method != "POST":
            raise Refusal(257, request.method, 405)
        item = _payload(resource)
        if isinstance(item, list):
            raise Refusal(1097, resource)
        _known(item, *known)
        return item


def _verdict(code: int, detail: str = "") -> Record:
    if code == 0:
        return {"errorcode": 0, "message": "Done", "severity": "NONE"}
    return {"errorcode": code, "message": ERRORS[code][1] + (f" [{detail}]" if detail else ""), "severity": "ERROR"}


def _find(table: Table, kind: str, key: str) -> Record:
    if key not in table:
        _own, shown, missing = KINDS[kind]
        raise Refusal(missing, f"{shown}, {key}" if missing == 258 else "")
    return table[key]


def _target(resource: str, item: Record, config: Record) -> Record:
    own, shown, _missing = KINDS[resource]
    name = item.get(own)
    if not isinstance(name, str) or not name:
        raise Refusal(1095, shown)
    return _find(config[resource], resource, name)


def _known(item: Record, *known: str) -> None:
    for argument in item:
        if argument not in known:
            raise Refusal(1090, argument)


def _payload(resource: str) -> Record | list[Record]:
    body = request.get_json(silent=True)
    if not isinstance(body, dict):
        raise Refusal(278, "Invalid JSON input", 400)  # the text is the device's; code and status are assumed
    _known(body, resource)
    items = body.get(resource)
    if isinstance(items, dict) or (isinstance(items, list) and items and all(isinstance(item, dict) for item in items)):
        return items
    raise Refusal(1095, resource)


def _selected(kind: str, rows: list[Record], old: str = "") -> list[Record]:
    """Keep the fields that ``attrs`` names."""
    if "attrs" not in request.args:
        return rows
    wanted = request.args["attrs"].split(",")
    known = {*TEMPLATES.get(kind, ()), *OPTIONAL.get(kind, ()), *(key for row in rows for key in row)}
    if old != "ignores":
        _known(dict.fromkeys(wanted if known else ()), *(known.difference(_YOUNG) if old else known))
    return [{key: row[key] for key in wanted if key in row} for row in rows]


def _with_group(row: Record, groups: Table) -> Record:
    """Return a virtual server with the persistence of its group, unless that leaves it to its members."""
    group = groups.get(row.get("groupname", ""))
    if group is None or group["usevserverpersistency"] == "ENABLED":
        return row
    return {**row, "persistencetype": group["persistencetype"]}


def _turn_modes(modes: dict[str, bool], item: Record, on: bool) -> None:
    _known(item, "mode")
    keys = {name: key for key, names in MODES.items() for name in names}
    wanted = item.get("mode")
    if not isinstance(wanted, list) or not wanted or any(name not in keys for name in wanted):
        raise Refusal(1095 if wanted is None else 1097, "mode")
    modes.update({keys[name]: on for name in wanted})


def _change(resource: str, item: Record, config: Record, verb: str) -> None:
    """Set or unset fields of a service group or service: all of them or, where one is refused, none."""
    record, template = _target(resource, item, config), TEMPLATES[resource]
    change: Record = {}
    for argument, value in item.items():
        if argument == KINDS[resource][0]:
            continue
        if argument not in SETTABLE[resource]:
            raise Refusal(278 if argument in (*template, *OPTIONAL[resource]) else 1090, argument)
        allowed = SETTABLE[resource][argument]
        if verb == "unset" and value is True:
            change[argument] = template.get(argument)
        elif verb == "set" and allowed is int and not isinstance(value, bool) and str(value).isdigit():
            change[argument] = type(template[argument])(value)
        elif verb == "set" and (
            value in allowed if isinstance(allowed, tuple) else allowed is str and isinstance(value, str)
        ):
            change[argument] = value
        else:
            raise Refusal(1097, argument)
    usip: str = {**record, **change}["usip"]
    if verb == "set" and "useproxyport" in change and usip != "YES":
        raise Refusal(1093, "useproxyport, usip==YES")
    if "usip" in change:
        _check_topology(resource, record, usip, config)
    record.update(change)
    for argument in [argument for argument, value in record.items() if value is None]:
        del record[argument]


_NONE = (None, "", "0.0.0.0")
"""The address of a server by name that is not resolved, and of a virtual server that has none."""


def _check_topology(resource: str, record: Record, usip: str, config: Record) -> None:
    """Refuse USIP across address families, and its end under connection failover."""
    name = record[KINDS[resource][0]]
    field = "servicename" if resource == "service" else "servicegroupname"
    bound = [row["name"] for row in config[f"lbvserver_{resource}_binding"] if row[field] == name]
    vservers = [config["lbvserver"][vserver] for vserver in bound]
    if usip == "NO" and any(vserver["connfailover"] != "DISABLED" for vserver in vservers):
        raise Refusal(1289)
    members = [
        row.get("ip") for row in config["servicegroup_servicegroupmember_binding"] if row["servicegroupname"] == name
    ]
    backends = members if resource == "servicegroup" else [record.get("ipaddress")]
    versions = {ipaddress.ip_address(address).version for address in backends if address not in _NONE}
    served = {ipaddress.ip_address(row["ipv46"]).version for row in vservers if row["ipv46"] not in _NONE}
    if usip == "YES" and versions and served - versions:
        raise Refusal(3894)


def _blank() -> Record:
    """Return the configuration of an empty partition."""
    config: Record = {kind: {} for kind in KINDS if kind not in GLOBAL}
    config["nsmode"] = {mode: mode in ("fr", "edge", "l3", "pmtud", "ulfd") for mode in MODES}
    config["nsfeature"] = {"lb": True, "ssl": True, "cs": False, "cmp": False}
    return {**config, **{binding: [] for binding in BINDINGS}}


def _listen(
    config: Record,
    name: str,
    vip: str,
    port: int,
    group: str,
    servers: t.Sequence[str],
    plain: bool = False,
    **own: str,
) -> list[str]:
    """Put a virtual server with a service group or, ``plain``, with services into a configuration; name these."""
    protocol = {"servicetype": own.get("servicetype", "UDP")}
    config["lbvserver"][name] = {"name": name, **TEMPLATES["lbvserver"], "ipv46": vip, "port": port, **protocol}
    if not plain:
        record = {"servicegroupname": group, **TEMPLATES["servicegroup"], "groupcount": str(len(servers)), **own}
        config["servicegroup"][group] = record
        config["lbvserver_servicegroup_binding"].append(
            {"name": name, "servicegroupname": group, "stateflag": "536936464", "servicename": group}
        )
        config["servicegroup_servicegroupmember_binding"] += [
            {
                "servicegroupname": group, "ip": server, "port": port, "svrstate": "UP", "weight": "1", "delay": 0,
                "servername": server, "customserverid": "None", "serverid": "0", "state": "ENABLED", "hashid": "0",
                "graceful": "NO",
            }
            for server in servers
        ]  # fmt: skip
        return [group]
    made = {f"{group}_{server}": server for server in servers}
    for service, server in made.items():
        address = {"ipaddress": server, "servername": server, "port": port}
        config["service"][service] = {"name": service, **TEMPLATES["service"], **address, **own}
        config["lbvserver_service_binding"].append(
            {
                "name": name, "servicename": service, "stateflag": "536936451", "ipv46": server, "port": port,
                **protocol, "curstate": "UP", "weight": "1", "dynamicweight": "0", "cookieipport": "",
                "vserverid": name, "vsvrbindsvcip": server, "vsvrbindsvcport": port, "preferredlocation": "",
            }
        )  # fmt: skip
    return list(made)


def _persist(config: Record, name: str, vservers: list[str]) -> None:
    """Put a persistency group by source address over virtual servers."""
    own = {"persistencetype": "SOURCEIP", "persistencebackup": "NONE", "persistmask": "255.255.255.255", "timeout": 2}
    config["lbgroup"][name] = {"name": name, **own, "usevserverpersistency": "DISABLED", "td": "0"}
    for vserver in vservers:
        config["lbvserver"][vserver]["groupname"] = name
        config["lbgroup_lbvserver_binding"].append({"name": name, "vservername": vserver})
