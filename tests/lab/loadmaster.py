# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Progress Kemp LoadMaster: API v1 (``/access/<command>``, XML) and v2 (``/accessv2``, JSON).

Sources: the vendor's "RESTful API" of June 2022 (parameters, ranges, errors, interfaces, HA), answers captured from
appliances in public clients (records and their typing in both versions), notes of runs against 7.2.54 and 7.2.63, the
vendor's PowerShell SDK. What no source tells, or two tell differently, is an option of the constructor, or said to be
assumed where it stands. Of the commands that write, ``modvs`` and ``set`` are carried out.
"""

from __future__ import annotations

import ipaddress
import json
import re
import time
import typing as t
import xml.etree.ElementTree as ET
from collections import deque
from pathlib import Path

from flask import Request, Response, request
from werkzeug.exceptions import HTTPException

from .core import Device, State, copied

Record = dict[str, t.Any]
Api = t.Literal["v1", "v2"]
Policy = t.Literal["accepted", "ignored", "refused"]
Encoding = t.Literal["ISO-8859-1", "UTF-8"]

URL_LIMIT = 1024  # documented; longer ones were seen to end in a reset connection
AUTHORITY = ("cmd", "apikey", "apiuser", "apipass")  # of v2; v1 knows apikey alone
READS = ("list", "show", "get")
FLAGS = {"y": True, "n": False, "1": True, "0": False}

PERSIST = (
    "none", "ssl", "cookie", "active-cookie", "cookie-src", "active-cook-src", "cookie-hash", "cookie-hash-src", "url",
    "query-hash", "host", "header", "super", "super-src", "src", "rdp", "rdp-src", "rdp-sb", "rdp-sb-src", "udpsip",
)  # fmt: skip
SCHEDULE = ("rr", "wrr", "lc", "wlc", "fixed", "adaptive", "sh", "dl", "sdn-adaptive", "uhash")
CHECK = ("tcp", "icmp", "https", "http", "smtp", "nntp", "ftp", "telnet", "pop3", "imap", "rdp", "ldap", "none")

# What ``modvs`` takes beside the identity: a flag, an enumeration, a range, an address, a port, a text.
SETTINGS: dict[str, tuple[t.Any, ...]] = {
    **dict.fromkeys((
        "Enable", "Transparent", "SubnetOriginating", "ForceL4", "ForceL7", "UseforSnat", "RefreshPersist", "Cache",
        "SSLAcceleration", "SSLReencrypt", "SSLReverse", "MultiConnect", "Compress", "EspEnabled", "Intercept",
    ), ("flag",)),
    **dict.fromkeys(("NickName", "Cookie", "QueryTag", "CheckUrl", "CheckHost", "CertFile"), ("text",)),
    "ExtraPorts": ("ports",),
    **dict.fromkeys(("VSAddress", "AltAddress", "DefaultGW", "StandbyAddr"), ("address",)),
    **dict.fromkeys(("VSPort", "StandbyPort"), ("port",)),
    "Persist": ("one of", *PERSIST),
    "Schedule": ("one of", *SCHEDULE),
    "CheckType": ("one of", *CHECK),
    "VStype": ("one of", "gen", "http", "http2", "ts", "tls", "log"),
    "PersistTimeout": ("range", 0, 2419200),
    "Idletime": ("range", 0, 86400),
    "FollowVSID": ("range", 0, 65530),
    "CheckPort": ("range", 0, 65530),
    "ServerInit": ("range", 0, 6),
    "AddVia": ("range", 0, 6),
}  # fmt: skip
TEXT_NUMBERS = ("VSPort", "PersistTimeout", "CheckPort", "StandbyPort")  # numbers that v2 gives as texts

MOST_PORTS = 510  # of ExtraPorts

# A service as captured: v2 has these types, v1 Y, N and texts. Empty optional fields are left out. A new one is subnet originating.
_OPTS = ["opnormal", "auditnone", "reqdatadisable", "resdatadisable"]
SERVICE: Record = {
    "Status": "Up", "Index": 0, "VSAddress": "", "VSPort": "0", "Layer": 7, "NickName": "", "Enable": True,
    "ExtraPorts": "", "AltAddress": "", "LocalBindAddrs": "",
    "SSLReverse": False, "SSLReencrypt": False, "InterceptMode": 0, "Intercept": False, "InterceptOpts": _OPTS,
    "AlertThreshold": 0, "OwaspOpts": _OPTS, "Transactionlimit": 0, "Transparent": False, "SubnetOriginating": True,
    "ServerInit": 0, "StartTLSMode": 0, "Idletime": 660, "Cache": False, "Compress": False, "Verify": 0,
    "UseforSnat": False, "ForceL4": False, "ForceL7": True, "MultiConnect": False, "ClientCert": 0, "ErrorCode": "0",
    "CheckUse1.1": False, "MatchLen": 0, "CheckUseGet": 0, "SSLRewrite": "0", "VStype": "gen", "FollowVSID": 0,
    "Protocol": "udp", "Schedule": "rr", "CheckType": "icmp", "Persist": "", "PersistTimeout": "0", "CheckPort": "0",
    "NRules": 0, "EspEnabled": False, "InputAuthMode": 0, "OutputAuthMode": 0, "MasterVS": 0, "MasterVSID": 0,
    "IsTransparent": 2, "AddVia": 0, "QoS": 0, "TlsType": "0", "NeedHostName": False, "Bandwidth": 0,
    "RefreshPersist": False, "EnhancedHealthChecks": False, "RsMinimum": 0, "NumberOfRSs": 0, "Rs": [], "SubVS": [],
}  # fmt: skip
REAL_SERVER: Record = {
    "Status": "Up", "VSIndex": 0, "RsIndex": 0, "Addr": "", "Port": 0, "DnsName": "", "Forward": "nat", "Weight": 1000,
    "Limit": 0, "RateLimit": 0, "Follow": 0, "Enable": True, "Critical": False, "Nrules": 0,
}  # fmt: skip
PARAMETERS: Record = {
    "version": "7.2.63.0.22776.RELEASE", "serialnumber": "1234567", "hostname": "lb100", "boottime": "1700000000",
    "activetime": "1700000000", "enableapi": True, "sessioncontrol": True, "dfltgw": "203.0.113.1", "snat": True,
    "multigw": False, "nonlocalrs": False, "onlydefaultroutes": False, "subnetoriginating": False, "transparent": True,
    "keepalive": True, "routefilter": False, "hamode": 0, "hastatus": "HA not configured", "conntimeout": 660,
}  # fmt: skip
READ_ONLY = ("version", "serialnumber", "boottime", "activetime", "hastatus")
YES_NO = {*PARAMETERS, "DefaultInterface"}  # flags that v1 gives as yes and no

# Commands: what they take, with the type that names what is missing.
IDENTITY = {"vs": "Address", "port": "Integer", "prot": "String"}
COMMANDS: dict[str, tuple[str, ...]] = {
    "listvs": (),
    "showvs": tuple(IDENTITY),
    "modvs": (*IDENTITY, *(name.lower() for name in SETTINGS)),
    "showrs": (*IDENTITY, "rs", "rsport"),
    "showiface": ("interface", "iface"),  # the document says interface, the SDK and seen requests iface
    "get": ("param",),
    "getall": (),
    "set": ("param", "value", "val"),
    "listapi": (),
}


class Refusal(Exception):
    """A command that the appliance refuses."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code)
        self.code, self.message = code, message


class LoadMaster(Device):
    """The stand-in.

    ``apis``: the versions that the firmware has. ``api_off``: the status where the API is switched off (the state's
    parameter ``enableapi``). ``v2_errors``: whether the HTTP status of v2 is the error's, or 200 with the code inside.
    ``v2_unauthorized``: whether v2 answers a wrong login in JSON or, as v1 does, in HTML. ``v2_flags``: whether v2
    takes JSON booleans alone or also what v1 takes. ``unknown_parameters``: documented as ignored; refused, they are
    not missed. ``layer4``: what ``modvs Transparent`` on a layer-4 service meets; ``unsupported``: the same in a
    cluster and with real servers that are not local. ``list_real_servers``: whether ``listvs`` carries them.
    ``off_is_empty``: whether v2 gives a parameter that is off as an empty text. ``calls_per_3s``: more calls in three
    seconds cut the connection (documented: 30; 0: no limit). ``layers``: ``Layer`` beside both flags, as captured, or
    ``ForceL7`` in its place, as in the vendor's published answers. ``encoding``: what v1 declares, and ``charset``
    whether its HTTP header says so, too. ``ranges``: whether a service with a range as its port is found by that.
    """

    platform = "loadmaster"

    def __init__(
        self,
        name: str = "loadmaster",
        *,
        apis: t.Collection[Api] = ("v1", "v2"),
        api_off: t.Literal[404, 401] = 404,
        v2_errors: t.Literal["status", "inside"] = "status",
        v2_unauthorized: t.Literal["json", "html"] = "json",
        v2_flags: t.Literal["boolean", "any"] = "boolean",
        unknown_parameters: t.Literal["refused", "ignored"] = "refused",
        layer4: Policy = "ignored",
        unsupported: Policy = "accepted",
        list_real_servers: bool = True,
        off_is_empty: bool = False,
        calls_per_3s: int = 0,
        layers: t.Literal["captured", "published"] = "captured",
        encoding: Encoding = "ISO-8859-1",
        charset: bool = True,
        ranges: bool = True,
    ) -> None:
        self.apis, self.api_off, self.v2_errors, self.v2_unauthorized = apis, api_off, v2_errors, v2_unauthorized
        self.v2_flags, self.unknown_parameters, self.layer4, self.unsupported = (
            v2_flags, unknown_parameters, layer4, unsupported
        )  # fmt: skip
        self.list_real_servers, self.off_is_empty, self.calls_per_3s = list_real_servers, off_is_empty, calls_per_3s
        self.layers, self.encoding, self.charset, self.ranges = layers, encoding, charset, ranges
        self._calls: deque[float] = deque()
        super().__init__(name)
        self.app.add_url_rule("/access/<path:command>", view_func=self._v1, methods=["GET", "POST"])
        for rule in ("/accessv2", "/accessv2/<path:rest>"):  # what follows is ignored, as documented
            self.app.add_url_rule(rule, view_func=self._v2, methods=["POST"])
        self.app.register_error_handler(HTTPException, lambda error: self.page(error.code or 404))

    # The state, and what tests do with it

    def initial(self) -> State:
        """Return the article's broken appliance: layer 7, not transparent."""
        port = {"Mtu": 1500, "InterfaceType": "Port", "GeoTrafficEnable": True}
        self.state = {
            "users": {
                "bal": {"password": "lab-loadmaster-secret-1", "writes": True},
                "auditor": {"password": "lab-loadmaster-secret-2", "writes": False},
            },
            "apikeys": {"lab-loadmaster-apikey-1": "bal"},
            "parameters": copied(PARAMETERS),
            "interfaces": [
                {"Id": 0, "IPAddress": "203.0.113.3/24", **port, "DefaultInterface": True},
                {"Id": 1, "IPAddress": "10.10.0.1/24", **port},
            ],
            "services": {},
        }
        self.add_pair("203.0.113.30", "ikev2")
        tcp = {"Protocol": "tcp", "VStype": "http", "CheckType": "https", "Transparent": False}
        portal = self.add_service("203.0.113.30", 443, (), NickName="portal", **tcp)
        for number, server in enumerate(("10.10.0.21", "10.10.0.22"), 1):
            sub = self.add_service("", 0, (server,), NickName=f"portal-{number}", MasterVSID=portal["Index"], **tcp)
            entry = {"Status": "Up", "VSIndex": sub["Index"], "RsIndex": number, "Name": sub["NickName"]}
            portal["SubVS"].append({**entry, "Forward": "nat", "Weight": 1000, "Enable": True, "Critical": False})
        portal["MasterVS"] = portal["NumberOfRSs"] = len(portal["SubVS"])
        self.add_service("203.0.113.30", 53, ("10.10.0.53",), NickName="dns", Layer=4)
        return self.state

    def add_service(self, address: str, port: int | str, servers: t.Sequence[str], **own: t.Any) -> Record:
        """Add a virtual service and give its record, the state's own; ``own``: its fields."""
        index = len(self.state["services"]) + 1
        record: Record = {**copied(SERVICE), "Index": index, "VSAddress": address, "VSPort": str(port), **own}
        record.update(ForceL4=record["Layer"] == 4, ForceL7=record["Layer"] == 7, NumberOfRSs=len(servers))
        record["Rs"] = [
            {
                **REAL_SERVER,
                "VSIndex": index,
                "RsIndex": number,
                "Addr": server,
                "Port": port if isinstance(port, int) and port else 443,
            }
            for number, server in enumerate(servers, 1)
        ]
        self.state["services"][str(index)] = record
        return record

    def add_pair(
        self, vip: str, name: str, servers: t.Sequence[str] = ("10.10.0.11", "10.10.0.12"), **own: t.Any
    ) -> list[Record]:
        """Add UDP 500 and 4500, the second following the first, by source address; ``own``: fields of both."""
        source = {"Persist": "src", "PersistTimeout": "3600", **own}
        first = self.add_service(vip, 500, servers, NickName=f"{name}-500", **source)
        second = self.add_service(
            vip, 4500, servers, NickName=f"{name}-4500", **{"FollowVSID": first["Index"], **source}
        )
        return [first, second]

    def service(self, address: str, port: int | str, protocol: str = "udp") -> Record:
        """Return a service's record, the state's own."""
        wanted = (address, str(port), protocol)
        records: t.Iterable[Record] = self.state["services"].values()
        return next(row for row in records if (row["VSAddress"], row["VSPort"], row["Protocol"]) == wanted)

    def set_ha(self, mode: int, status: str = "Active", **shared: str) -> None:
        """Make it a unit of an HA pair (1, 2) or of a cluster (4); ``shared``: ``eth1="10.10.0.3"`` and the like."""
        self.state["parameters"].update(hamode=mode, hastatus=status)
        for interface in self.state["interfaces"]:
            if f"eth{interface['Id']}" in shared:
                interface["SharedIPAddress"] = shared[f"eth{interface['Id']}"]

    def variables(self, ca: Path) -> dict[str, t.Any]:
        """Return the inventory variables."""
        login = {"username": "bal", "password": "lab-loadmaster-secret-1"}
        return {
            "load_balancer_platform": self.platform,
            "load_balancer_addresses": ["203.0.113.30"],
            "load_balancer_connection": {"host": "127.0.0.1", "port": self.port, **login, "ca_path": str(ca)},
        }

    def writes(self, request: Request) -> bool:
        """Report by its command whether a request is meant to change something: all but list, show and get."""
        if request.path.startswith("/accessv2"):
            body = request.get_json(force=True, silent=True)
            command = str(body.get("cmd", "")) if isinstance(body, dict) else ""
        else:
            command = request.path.removeprefix("/access/")
        return bool(command) and not command.lower().startswith(READS)

    # Answers, also for faults

    @staticmethod
    def page(status: int) -> Response:
        """Return an answer in HTML, as the web server in front of the API gives it."""
        title = {401: "401 Unauthorized", 404: "404 Not Found", 405: "405 Method Not Allowed"}.get(status, str(status))
        headers = {"WWW-Authenticate": 'Basic realm="LoadMaster"'} if status == 401 else {}
        body = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
        return Response(body, status, headers, content_type="text/html")

    @classmethod
    def failure(cls, api: Api, code: int, message: str, status: int | None = None) -> Response:
        """Return the answer to a refused command; ``status``: the HTTP status where it is not the error's code."""
        if api == "v2":
            return cls._json({"code": code, "message": message, "status": "fail"}, status or code)
        root = ET.Element("Response", stat=str(code), code="fail")
        ET.SubElement(root, "Error").text = message
        return _xml(root, status or code)

    def success(self, api: Api, data: Record | str) -> Response:
        """Return the answer to a command: a record, or a text where there is nothing to give."""
        if api == "v2":
            body = {"message": data} if isinstance(data, str) else data
            return self._json({"code": 200, **body, "status": "ok"})
        root = ET.Element("Response", stat="200", code="ok")
        success = ET.SubElement(root, "Success")
        if isinstance(data, str):
            success.text = data
        else:
            _fill(ET.SubElement(success, "Data"), data)
        return _xml(root, encoding=self.encoding, charset=self.charset)

    @staticmethod
    def _json(body: Record, status: int = 200) -> Response:
        return Response(json.dumps(body), status, content_type="application/json")

    # One request

    def _v1(self, command: str) -> Response:
        if request.method == "GET" and len(request.full_path) > URL_LIMIT:
            self._cut()
        given = {key.lower(): value for key, value in (*request.args.items(), *request.form.items())}
        login = request.authorization
        credentials = (given.pop("apikey", None), login and login.username, login and login.password)
        return self._answer("v1", credentials, command.lower(), given)

    def _v2(self, rest: str = "") -> Response:
        body = request.get_json(force=True, silent=True)
        body = body if isinstance(body, dict) else {}
        given = {key.lower(): value for key, value in body.items() if key not in AUTHORITY}
        return self._answer("v2", [body.get(key) for key in AUTHORITY[1:]], str(body.get("cmd", "")).lower(), given)

    def _user(self, apikey: t.Any, username: t.Any, password: t.Any) -> str | None:
        """Return the user whose key or password this is; a key comes first, and is not made up for by a password."""
        if apikey is not None:
            return t.cast("str | None", self.state["apikeys"].get(str(apikey)))
        user = self.state["users"].get(str(username))
        return str(username) if user and user["password"] == password else None

    def _answer(self, api: Api, credentials: t.Sequence[t.Any], command: str, given: Record) -> Response:
        with self.lock:
            self._throttle()
            if api not in self.apis:
                return self.page(404)
            if not self.state["parameters"]["enableapi"]:
                return self.page(self.api_off)
            inside = 200 if api == "v2" and self.v2_errors == "inside" else None
            user = self._user(*credentials)
            if user is None:
                html = api == "v1" or self.v2_unauthorized == "html"
                return self.page(401) if html else self.failure(api, 401, "Unauthorized", inside)
            try:
                self._check(user, command, given)
                return self.success(api, getattr(self, f"_do_{command}")(api, given))
            except Refusal as refusal:
                return self.failure(api, refusal.code, refusal.message, inside)

    def _check(self, user: str, command: str, given: Record) -> None:
        _needed({"cmd": command}, "cmd", "String")
        if command not in COMMANDS:
            raise Refusal(405, "Unknown command")
        if not command.startswith(READS) and not self.state["users"][user]["writes"]:
            raise Refusal(403, "Permission denied")  # the text is assumed
        for name in given:
            if name not in COMMANDS[command] and self.unknown_parameters == "refused":
                raise Refusal(422, f"Unknown parameter {name}")  # the text is assumed

    def _throttle(self) -> None:
        now = time.monotonic()
        self._calls.append(now)
        while now - self._calls[0] > 3:
            self._calls.popleft()
        if self.calls_per_3s and len(self._calls) > self.calls_per_3s:
            self._cut()

    # The commands

    def _do_listvs(self, _api: Api, _given: Record) -> Record:
        return {"VS": [self._shown(record, self.list_real_servers) for record in self.state["services"].values()]}

    def _do_showvs(self, _api: Api, given: Record) -> Record:
        return self._shown(self._service(given))

    def _do_showrs(self, _api: Api, given: Record) -> Record:
        service, wanted = self._service(given), _needed(given, "rs", "String")
        for row in service["Rs"]:
            same = _same(row["Addr"], wanted) and str(row["Port"]) == str(given.get("rsport", row["Port"]))
            if wanted == f"!{row['RsIndex']}" or same:
                return {"Rs": [row]}
        raise Refusal(422, "Unknown RS")

    def _do_showiface(self, _api: Api, given: Record) -> Record:
        wanted = given.get("interface", given.get("iface"))
        rows = [row for row in self.state["interfaces"] if wanted is None or str(row["Id"]) == str(wanted)]
        if not rows:
            raise Refusal(422, "Unknown interface")  # the text is assumed
        return {"Interface": rows}

    def _do_get(self, api: Api, given: Record) -> Record:
        name = str(_needed(given, "param", "String")).lower()
        if name not in self.state["parameters"]:
            raise Refusal(422, "Unknown parameter value")
        return {name: self._do_getall(api, given)[name]}

    def _do_getall(self, api: Api, _given: Record) -> Record:
        empty = api == "v2" and self.off_is_empty
        return {name: "" if empty and value is False else value for name, value in self.state["parameters"].items()}

    def _do_set(self, api: Api, given: Record) -> str:
        name = str(_needed(given, "param", "String")).lower()
        value = given.get("value", given.get("val"))
        if name not in self.state["parameters"]:
            raise Refusal(422, "Unknown parameter value")
        if value is None:
            raise Refusal(400, "value: String Value missing")
        if name in READ_ONLY:
            raise Refusal(422, "Parameter is read-only")
        old = self.state["parameters"][name]
        if isinstance(old, bool):
            value = {"yes": True, "no": False}.get(str(value).lower(), value)
            value = value if isinstance(value, bool) else self._value(api, name, ("flag",), value)
        self.state["parameters"][name] = type(old)(value)
        return "Command completed ok"

    def _do_listapi(self, _api: Api, _given: Record) -> Record:
        return {"version": self.state["parameters"]["version"], "cmd": sorted(COMMANDS)}  # v2's form is assumed

    def _do_modvs(self, api: Api, given: Record) -> Record:
        service, names = self._service(given), {name.lower(): name for name in SETTINGS}
        change = {
            names[key]: self._value(api, names[key], SETTINGS[names[key]], value)
            for key, value in given.items()
            if key in names
        }
        if "Transparent" in change:
            policy = self._policy(service)
            if policy == "refused":
                raise Refusal(422, "Transparent cannot be set")  # the text is assumed
            if policy == "ignored":
                del change["Transparent"]
        self._rename(service, change)
        service.update(change)
        if "ForceL4" in change or "ForceL7" in change:
            service["Layer"] = 4 if change.get("ForceL4") or change.get("ForceL7") is False else 7
            service.update(ForceL4=service["Layer"] == 4, ForceL7=service["Layer"] == 7)
        if "PersistTimeout" in change:  # whole minutes; alone, it switches persistence on and off
            minutes = int(change["PersistTimeout"]) // 60
            service.update(PersistTimeout=str(60 * minutes), Persist=(service["Persist"] or "src") if minutes else "")
        if service["Persist"] == "none":
            service.update(Persist="", PersistTimeout="0")
        return self._shown(service)

    # Helpers of the commands

    def _service(self, given: Record) -> Record:
        """Find a service by address, port and protocol, or by its index in place of the address."""
        vs = str(_needed(given, "vs", IDENTITY["vs"]))
        services: dict[str, Record] = self.state["services"]
        if vs.isdigit():
            found = services.get(vs)
        else:
            port, protocol = (str(_needed(given, key, IDENTITY[key])).lower() for key in ("port", "prot"))
            if "-" in port and not self.ranges:
                raise Refusal(422, "Unknown VS")
            rows = (row for row in services.values() if (row["VSPort"], row["Protocol"]) == (port, protocol))
            found = next((row for row in rows if _same(row["VSAddress"], vs)), None)
        if found is None:
            raise Refusal(422, "Unknown VS")
        return found

    def _policy(self, service: Record) -> Policy:
        """Report what a change of transparency meets."""
        if service["Layer"] == 4:
            return self.layer4
        local = [
            ipaddress.ip_interface(row["IPAddress"]).network
            for row in self.state["interfaces"]
            if "/" in row["IPAddress"]
        ]
        known = [ipaddress.ip_address(row["Addr"]) for row in service["Rs"] if _same(row["Addr"] or "", row["Addr"])]
        far = [address for address in known if not any(address in net for net in local)]
        return self.unsupported if far or self.state["parameters"]["hamode"] == 4 else "accepted"

    def _rename(self, service: Record, change: Record) -> None:
        new = [{**service, **change}[key] for key in ("VSAddress", "VSPort", "Protocol")]
        rows = (row for row in self.state["services"].values() if row is not service and row["VSAddress"])
        if any([row["VSAddress"], row["VSPort"], row["Protocol"]] == new for row in rows):
            raise Refusal(422, "Virtual Service already exists")

    def _value(self, api: Api, name: str, kind: tuple[t.Any, ...], value: t.Any) -> t.Any:
        """Return the value that the appliance keeps for what was sent; the text of the refusal is one that was seen."""
        text = str(value)
        match kind[0]:
            case "flag" if api == "v2" and isinstance(value, bool):
                return value
            case "flag" if (api == "v1" or self.v2_flags == "any") and text.lower() in FLAGS:
                return FLAGS[text.lower()]
            case "one of" if value in kind[1:]:
                return value
            case "text" if isinstance(value, str):
                return value
            case "address" if _same(text, text):
                return str(ipaddress.ip_address(text))
            case "ports" if isinstance(value, str) and extra_ports(value):
                return value
            case "port" if text == "*" or (text.isdigit() and 3 <= int(text) <= 65530):
                return text
            case "range" if text.isdigit() and kind[1] <= int(text) <= kind[2]:
                return text if name in TEXT_NUMBERS else int(text)
        raise Refusal(422, "Invalid value")

    def _shown(self, record: Record, real_servers: bool = True) -> Record:
        """Return a record without what is empty."""
        left_out = [] if real_servers else ["Rs"]
        left_out += ["Layer", "ForceL4"] if self.layers == "published" else []
        return {key: value for key, value in record.items() if key not in left_out and value not in ("", [])}


def _xml(root: ET.Element, status: int = 200, encoding: Encoding = "ISO-8859-1", charset: bool = True) -> Response:
    response = Response(ET.tostring(root, encoding=encoding, xml_declaration=True), status)
    response.headers["Content-Type"] = f"text/xml; charset={encoding}" if charset else "text/xml"
    return response


def _needed(given: Record, name: str, kind: str) -> t.Any:
    if given.get(name) in (None, ""):
        raise Refusal(400, f"{name}: {kind} Value missing")
    return given[name]


def extra_ports(text: str) -> bool:
    """Report whether this is a list of ports and ranges of ports, with a comma or a blank between them."""
    if not re.fullmatch(r"(\d+(-\d+)?([ ,]+|$))*", text):
        return False
    ranges = [tuple(map(int, part.split("-"))) for part in text.replace(",", " ").split()]
    return (
        all(3 <= ports[0] <= ports[-1] <= 65530 for ports in ranges)
        and sum(ports[-1] - ports[0] + 1 for ports in ranges) <= MOST_PORTS
    )


def _same(one: str, other: t.Any) -> bool:
    """Report whether these are the same IP address, in whatever form."""
    try:
        return ipaddress.ip_address(one) == ipaddress.ip_address(str(other))
    except ValueError:
        return False


def _fill(parent: ET.Element, data: Record) -> None:
    """Write a record as v1 does: an element a field, lists repeated, options in an element of their own."""
    for key, value in data.items():
        rows = value if isinstance(value, list) else [value]
        if key.endswith("Opts"):
            parent_of, name = ET.SubElement(parent, key), "Opt"
        else:
            parent_of, name = parent, key
        for row in rows:
            element = ET.SubElement(parent_of, name)
            if isinstance(row, dict):
                _fill(element, row)
            elif isinstance(row, bool):
                element.text = ("yes" if row else "no") if key in YES_NO else ("Y" if row else "N")
            else:
                element.text = str(row)
