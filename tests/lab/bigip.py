# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A strict F5 BIG-IP: iControl REST as far as a client that sets source address translation can see it.

Facts are from captures of devices, 11.6 to 17.1, in public repositories (F5Networks/f5-ansible's fixtures,
f5-common-python's device_configs and functional tests, f5-telemetry-streaming, zongzw/f5-bigip-rest, genieparser) and from
DevCentral's "Demystifying iControl REST". What no source settles is an option of `BigIp`, or is refused where a device
might well let it pass: unknown properties, query options and words are errors here, never ignored.
"""

from __future__ import annotations

import functools
import ipaddress
import itertools
import json
import re
import secrets
import time
import typing as t
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlencode

from flask import Request, Response, request

from lab.core import Device, State, copied

VERSION = "16.1.4"
LOCALHOST = "https://localhost/mgmt"  # how a device calls itself in every link
TOKENS = "shared/authz/tokens"
WRITERS = ("admin", "resource-admin", "manager")
PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17}
Properties = dict[str, t.Any]

# -- answers -----------------------------------------------------------------------------------------------------------

_operations = itertools.count(6686954)


def answer(code: int, body: t.Any) -> Response:
    """Return a JSON answer."""
    return Response(json.dumps(body), code, content_type="application/json; charset=UTF-8")


class Refusal(Exception):
    """An error answer."""

    def __init__(self, response: Response, message: str = "") -> None:
        super().__init__(message)
        self.response, self.message = response, message


def mcp(code: int, message: str, api_error: int = 3) -> Refusal:
    """Refuse as icrd does: 3 for what mcpd said, 1 and 26214401 for what icrd found itself, 2 for a transaction."""
    body = {"code": code, "message": message, "errorStack": [], "apiError": api_error}
    return Refusal(answer(code, body), message)


def rest(code: int, message: str, **more: t.Any) -> Refusal:
    """Refuse as restjavad does, before icrd is asked."""
    head = {"code": code, "message": message, **more, "referer": "127.0.0.1", "restOperationId": next(_operations)}
    return Refusal(answer(code, {**head, "kind": ":resterrorresponse"}), message)


def _page(status: str, title: str, text: str) -> Response:
    html = f"<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{title}</h1><p>{text}</p></body></html>"
    return Response(html, status, content_type="text/html; charset=iso-8859-1")


def html_unauthorized() -> Response:
    """Return Apache's 401: no credentials, or wrong ones with basic authentication."""
    text = "This server could not verify that you are authorized to access the document requested."
    page = _page("401 F5 Authorization Required", "Authorization Required", text)
    page.headers["WWW-Authenticate"] = 'Basic realm="Enterprise Manager"'
    return page


def expired_token() -> Response:
    """Return the 401 for a token whose time is up."""
    return rest(401, "X-F5-Auth-Token has expired.").response


def busy() -> Response:
    """Return the 503 while another task holds the configuration."""
    return mcp(503, "There is an active asynchronous task executing.", 32964609).response


def restarting() -> Response:
    """Return Apache's 503 page while the management daemons come up."""
    return _page("503 Service Unavailable", "BIG-IP", "Configuration Utility restarting...")


def garbage() -> Response:
    """Return a page with status 200, as a proxy in between does."""
    return _page("200 OK", "It works!", "This is not iControl REST.")


# -- resources ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ref:
    """A property that names objects of this collection; it is shown with a `<property>Reference` beside it."""

    path: str


# What a property may be: a type, one of a tuple's words, a Ref, [a list of it], {a nested schema}; None: only shown.
Schema = dict[str, t.Any]


def shown(text: str) -> Schema:
    """Make a schema of properties that can only be read; `name>path` is one that names objects."""
    words = [word.partition(">") for word in text.split()]
    return {name: Ref(path) if path else None for name, _dummy, path in words}


@dataclass(frozen=True)
class Resource:
    """A collection under /mgmt/tm: its path, mcpd's word for its objects, their properties and subcollections."""

    path: str
    label: str
    schema: Schema
    subs: dict[str, Resource] = field(default_factory=dict)

    def kind(self, ending: str) -> str:
        """Name the kind of its objects (`state`) or of itself (`collectionstate`)."""
        parts = [part for part in self.path.split("/") if part != "*"]
        return f"tm:{':'.join(parts)}:{parts[-1]}{ending}"


READ_ONLY = ("kind", "name", "partition", "subPath", "fullPath", "generation", "selfLink")  # ignored when sent back
ABLE = ("enabled", "disabled")
TRANSLATION_POOLS = {"snat": "snatpool", "lsn": "lsn-pool"}
WRITABLE: Schema = {  # of a virtual server
    "addressStatus": ("yes", "no"),
    "autoLasthop": ("default", *ABLE),
    "connectionLimit": int,
    "description": str,
    "disabled": bool,
    "enabled": bool,
    "metadata": [{"name": str, "persist": ("true", "false"), "value": str}],
    "mirror": ABLE,
    "nat64": ABLE,
    "pool": Ref("ltm/pool"),
    "rules": [Ref("ltm/rule")],
    # A null type is what f5-common-python's functional test of lsn pools takes translation off with.
    "sourceAddressTranslation": {"type": ("none", "automap", "snat", "lsn", None), "pool": str},
    "sourcePort": ("preserve", "preserve-strict", "change"),
    "translateAddress": ABLE,
    "translatePort": ABLE,
}
PROFILES = {"client-ssl": "clientssl", "fastl4": "fastL4", "server-ssl": "serverssl"} | {
    name: name for name in ("dhcpv4", "dhcpv6", "diameter", "fasthttp", "http", "sip", "tcp", "udp")
}
TABLE = """
ltm/virtual | Virtual Server | appService cmpEnabled destination evictionProtected fallbackPersistence gtmScore \
    ipForward ipProtocol mask mobileAppTunnel persist rateLimit rateLimitDstMask rateLimitMode rateLimitSrcMask \
    securityNatPolicy serversslUseSni serviceDownImmediateAction source synCookieStatus trafficMatchingCriteria \
    vlans>net/vlan vlansDisabled vlansEnabled vsIndex
ltm/virtual/*/profiles | profile | context nameReference
ltm/virtual/*/policies | policy | nameReference
ltm/pool | Pool | allowNat allowSnat description loadBalancingMode monitor serviceDownAction
ltm/pool/*/members | Pool Member | address connectionLimit fqdn monitor priorityGroup ratio session state
ltm/snat | SNAT | automap description mirror origins snatpool>ltm/snatpool sourcePort \
    translation>ltm/snat-translation vlans>net/vlan vlansDisabled vlansEnabled
ltm/snatpool | snat pool | members>ltm/snat-translation
ltm/snat-translation | SNAT translation | address arp connectionLimit enabled inheritedTrafficGroup ipIdleTimeout \
    tcpIdleTimeout trafficGroup>cm/traffic-group udpIdleTimeout unit
ltm/lsn-pool | LSN Pool | members mode
ltm/rule | iRule | apiAnonymous
ltm/policy | Policy | controls requires status strategy
ltm/policy/*/rules | rule | ordinal
ltm/policy/*/rules/*/actions | action | code request response select snat snatAutomap snatNone \
    snatpool>ltm/snatpool
ltm/policy/*/rules/*/conditions | condition | code request response values
ltm/virtual-address | Virtual Address | address arp enabled floating inheritedTrafficGroup mask \
    trafficGroup>cm/traffic-group unit
ltm/persistence/dest-addr | persistence profile | defaultsFrom>ltm/persistence/dest-addr mask matchAcrossPools \
    matchAcrossServices matchAcrossVirtuals mirror timeout
ltm/persistence/source-addr | persistence profile | defaultsFrom>ltm/persistence/source-addr mask matchAcrossPools \
    matchAcrossServices matchAcrossVirtuals mirror timeout
ltm/message-routing/sip/profile/session | profile |
net/self | Self IP | address addressSource allowService floating inheritedTrafficGroup trafficGroup>cm/traffic-group \
    unit vlan>net/vlan
auth/partition | partition | defaultRouteDomain description
cm/traffic-group | traffic group | haLoadFactor isFloating mac unitId
cm/device | device | configsyncIp failoverState hostname managementIp selfDevice version
cm/device-group | device group | autoSync fullLoadOnSync networkFailover saveOnAutoSync type
cm/device-group/*/devices | device |
sys/application/service | application service | strictUpdates template
sys/provision | module | level
""" + "".join(f"ltm/profile/{kind} | profile |\n" for kind in PROFILES)


def _resources() -> dict[str, Resource]:
    """Read the table; collections go by the name that they have in `state`: the last part, or `profile/` and a type."""
    found: dict[str, Resource] = {}
    for line in filter(None, TABLE.splitlines()):
        path, label, text = (part.strip() for part in line.split("|"))
        found[path] = Resource(path, label, shown(text))
        if "*" in path:
            above, _dummy, last = path.rpartition("/*/")
            found[above].subs[last] = found[path]
    found["ltm/virtual"].schema.update(WRITABLE, persist=[shown("name>ltm/persistence/source-addr")])
    stores = {path: path[path.find("profile/") :] if "profile/" in path else path.rpartition("/")[2] for path in found}
    return {stores[path]: resource for path, resource in found.items() if "*" not in path}


RESOURCES = _resources()


def checked(schema: Schema, body: t.Any, required: t.Iterable[str] = ()) -> Properties:
    """Return what a body wants set; refuse unknown properties, wrong types and unknown words."""
    if not isinstance(body, dict):
        raise mcp(400, "Found invalid JSON body in the request.", 1)
    ignored = [name for name in body if name not in schema and (name in READ_ONLY or name.endswith("Reference"))]
    wanted = {name: value for name, value in body.items() if name not in ignored}
    for name, value in wanted.items():
        if name not in schema:
            raise mcp(400, f'"{name}" unknown property', 26214401)
        if not _fits(schema[name], value):
            raise mcp(400, f'invalid property value "{name}":{json.dumps(value)}', 26214401)
    if missing := [name for name in required if name not in wanted]:
        raise mcp(400, f'missing property "{missing[0]}"', 26214401)
    return wanted


def _fits(spec: t.Any, value: t.Any) -> bool:
    if isinstance(spec, tuple):
        return value in spec
    if spec is bool or spec is int:
        return isinstance(value, spec) and isinstance(value, bool) is (spec is bool)
    if isinstance(spec, dict):
        return isinstance(value, dict) and bool(checked(spec, value))
    if value is None:  # takes the property away
        return True
    if isinstance(spec, list):
        return isinstance(value, list) and all(_fits(spec[0], one) for one in value)
    return isinstance(value, str)


def _qualified(name: str, partition: str = "Common") -> str:
    return name if name.startswith("/") else f"/{partition}/{name}"


@functools.cache
def _path(collection: str, name: str) -> str:
    return f"{collection}/{quote(name.replace('/', '~'), safe='~:')}"


def _link(path: str, query: t.Mapping[str, str] | None = None) -> str:
    asked = f"{urlencode(query)}&" if query else ""
    return f"{LOCALHOST}/tm/{path}?{asked}ver={VERSION}"


def _address(text: str) -> str:
    plain, _dummy, domain = text.partition("%")
    return f"{ipaddress.ip_address(plain)}%{domain or 0}"


# -- objects, as 16.1 devices show them --------------------------------------------------------------------------------


def props(text: str, **more: t.Any) -> Properties:
    """Make properties from `name=value` words."""
    return dict(word.split("=", 1) for word in text.split()) | more


def virtual(address: str, port: int, protocol: str, snat: Properties, pool: str, **more: t.Any) -> Properties:
    """Make a virtual server; before the port of an IPv6 address stands a dot."""
    mask, source, mark = (
        ("ffff:" * 7 + "ffff", "::/0", ".") if ":" in address else ("255.255.255.255", "0.0.0.0/0", ":")
    )
    text = (
        f"addressStatus=yes autoLasthop=default cmpEnabled=yes evictionProtected=disabled ipProtocol={protocol}"
        f" mask={mask} mirror=disabled mobileAppTunnel=disabled nat64=disabled rateLimit=disabled rateLimitMode=object"
        f" serversslUseSni=disabled serviceDownImmediateAction=none source={source} sourcePort=preserve"
        " synCookieStatus=not-activated translateAddress=enabled translatePort=enabled"
    )
    link = _link(_path(f"ltm/profile/{protocol}", f"/Common/{protocol}"))
    profiles = {f"/Common/{protocol}": {"context": "all", "nameReference": {"link": link}}}
    more |= {"destination": f"{_qualified(address)}{mark}{port}", "pool": pool, "sourceAddressTranslation": dict(snat)}
    more |= dict.fromkeys(("connectionLimit", "gtmScore", "rateLimitDstMask", "rateLimitSrcMask"), 0)
    return props(text, enabled=True, vlansDisabled=True, profiles=profiles, **copied(more))


def pool(port: int, servers: dict[str, str], partition: str = "Common") -> Properties:
    """Make a pool; its members are named after their nodes, not after their addresses."""
    member = props("monitor=default session=monitor-enabled state=up", connectionLimit=0, ratio=1)
    members = {f"/{partition}/{node}:{port}": {"address": address, **member} for node, address in servers.items()}
    return props("allowNat=yes allowSnat=yes loadBalancingMode=round-robin serviceDownAction=none", members=members)


def self_ip(address: str, vlan: str, *, floating: bool = False) -> Properties:
    """Make a self IP: the device's own, or floating with traffic-group-1."""
    text = "floating=disabled trafficGroup=/Common/traffic-group-local-only"
    if floating:
        text = "floating=enabled trafficGroup=/Common/traffic-group-1"
    return props(f"address={address} addressSource=from-user {text} vlan=/Common/{vlan}", unit=int(floating))


def virtual_address(address: str) -> Properties:
    """Make a virtual address in traffic-group-1."""
    text = f"address={address} arp=enabled enabled=yes floating=enabled trafficGroup=/Common/traffic-group-1"
    return props(text, unit=1)


def translation(address: str) -> Properties:
    """Make a translation address, as a SNAT pool makes one of each member that is given by its address."""
    text = f"address={address} arp=enabled inheritedTrafficGroup=true trafficGroup=/Common/traffic-group-1"
    return props(text, enabled=True, connectionLimit=0, unit=1)


def forwarding(
    address: str = "0.0.0.0", mask: str = "any", snat: Properties | None = None, **more: t.Any
) -> Properties:
    """Make a virtual server that forwards whatever is addressed to a network, as for a gateway of servers (f5-ansible 671)."""
    made = virtual(address, 0, "any", snat or {"type": "none"}, "", ipForward=True, mask=mask)
    del made["pool"]
    fastl4 = {
        "/Common/fastL4": {"context": "all", "nameReference": {"link": _link("ltm/profile/fastl4/~Common~fastL4")}}
    }
    return made | props("translateAddress=disabled translatePort=disabled", profiles=fastl4) | more


def device(name: str, own: str, failover: str) -> Properties:
    """Make a device of the trust domain; `own` is a word on devices, not a boolean."""
    return props(f"failoverState={failover} hostname={name} selfDevice={own} version={VERSION}")


SERVERS = {"rras1": "10.10.0.11", "rras2": "10.10.0.12"}
PERSIST = [props("name=sa_ikev2 partition=Common tmDefault=yes")]
AUTOMAP = {"type": "automap"}


class BigIp(Device):
    """The stand-in. Its options give the answers that no public source settles, or that differ:

    `leftover_pool`: what happens to a SNAT pool when the type alone is set to none or automap: "dropped", "kept" (and
    shown; CIS-C's known issues say that a virtual server set to automap goes on referring to its pool) or "refused".
    `role_refusal`: 401 from restjavad (seen), 400 from mcpd (seen with the role operator) or 403.
    `readers_end_tokens`: whether users who may only read may touch their own token.
    `filter_includes_common`: whether a filter for another partition lets /Common through.
    `selects_expanded`: whether `expandSubcollections` works beside a `$select`.
    `lacks`: properties of virtual servers that this firmware does not have; `refuses_lacking`: whether it refuses a `$select` of them.
    `quotes_needed`: whether a value in a `$filter` has to be in single quotes.
    `hides_domain`: whether a partition's objects show the route domain that is its default one.
    `separators`: what separates the words of `options` (a comma and a blank are both seen in use).
    `sync_polls`: how often the sync status is still the old one after a sync was asked for.
    """

    platform = "bigip"

    def __init__(
        self,
        name: str = "bigip",
        *,
        leftover_pool: t.Literal["dropped", "kept", "refused"] = "dropped",
        role_refusal: t.Literal[400, 401, 403] = 401,
        readers_end_tokens: bool = True,
        filter_includes_common: bool = True,
        selects_expanded: bool = True,
        lacks: t.Collection[str] = (),
        refuses_lacking: bool = True,
        quotes_needed: bool = False,
        hides_domain: bool = True,
        separators: str = ", ",
        sync_polls: int = 1,
        token_limit: int = 100,
        token_timeout: int = 1200,
        transaction_timeout: int = 120,
    ) -> None:
        super().__init__(name)
        self.leftover_pool, self.role_refusal, self.separators = leftover_pool, role_refusal, separators
        self.readers_end_tokens, self.filter_includes_common = readers_end_tokens, filter_includes_common
        self.selects_expanded, self.lacks, self.refuses_lacking = selects_expanded, {*lacks}, refuses_lacking
        self.quotes_needed, self.hides_domain = quotes_needed, hides_domain
        self.sync_polls, self.token_limit = sync_polls, token_limit
        self.token_timeout, self.transaction_timeout = token_timeout, transaction_timeout
        methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
        self.app.url_map.merge_slashes = False
        self.app.add_url_rule("/<path:path>", "any", self._serve, methods=methods, provide_automatic_options=False)

    # What the lab asks for

    def initial(self) -> State:
        """Return the article's BIG-IP: one half of the pair on automap, the other on a SNAT pool."""
        ike = ("203.0.113.10", 500, "udp", AUTOMAP, "/Common/p_ikev2_500")
        nat_t = ("203.0.113.10", 4500, "udp", props("type=snat pool=/Common/sp_ikev2"), "/Common/p_ikev2_4500")
        shared = "mask=none matchAcrossPools=disabled matchAcrossVirtuals=disabled mirror=disabled timeout=180"
        trust = {"/Common/bigip1.example.com": props("")}
        objects: dict[str, dict[str, Properties]] = {
            "virtual": {
                "vs_ikev2_500": virtual(*ike, persist=PERSIST),
                "vs_ikev2_4500": virtual(*nat_t, persist=PERSIST),
                "vs_sstp": virtual("203.0.113.10", 443, "tcp", AUTOMAP, "/Common/p_sstp"),
                "vs_web": virtual("203.0.113.20", 443, "tcp", AUTOMAP, "/Common/p_web"),
                "vs_forward": forwarding(),
            },
            "pool": {
                "p_ikev2_500": pool(500, SERVERS),
                "p_ikev2_4500": pool(4500, SERVERS),
                "p_sstp": pool(443, SERVERS),
                "p_web": pool(443, {"web1": "10.10.0.21"}),
            },
            "self": {
                "int_self": self_ip("10.10.0.2/24", "internal"),
                "int_float": self_ip("10.10.0.1/24", "internal", floating=True),
                "ext_self": self_ip("203.0.113.2/24", "external"),
                "ext_float": self_ip("203.0.113.1/24", "external", floating=True),
            },
            "virtual-address": {address: virtual_address(address) for address in ("203.0.113.10", "203.0.113.20")},
            "snatpool": {"sp_ikev2": {"members": ["/Common/10.10.0.5"]}},
            "snat-translation": {"10.10.0.5": translation("10.10.0.5")},
            "source-addr": {
                "source_addr": props(f"{shared} matchAcrossServices=disabled"),
                "sa_ikev2": props(f"defaultsFrom=/Common/source_addr {shared} matchAcrossServices=enabled"),
            },
            "dest-addr": {"dest_addr": props(f"{shared} matchAcrossServices=disabled")},
            "partition": {"Common": {"defaultRouteDomain": 0}},
            "traffic-group": {f"traffic-group-{number}": props("isFloating=true", unitId=number) for number in (1, 2)},
            "device": {"bigip1.example.com": device("bigip1.example.com", "true", "active")},
            "device-group": {"device_trust_group": props("autoSync=enabled type=sync-only", devices=trust)},
            "profile/session": {"sipsession": {}},
            **{f"profile/{kind}": {name: {}} for kind, name in PROFILES.items()},
        }
        config: dict[str, dict[str, Properties]] = {
            store: {
                name if store == "partition" else _qualified(name): one for name, one in objects.get(store, {}).items()
            }
            for store in RESOURCES
        }
        config["provision"] = {"afm": props("level=none"), "asm": props("level=none"), "ltm": props("level=nominal")}
        return {
            **config,
            "saved": copied(config),
            "saves": 0,
            "generation": 1,
            "users": {
                "admin": props("password=lab-bigip-secret-1 role=admin provider=tmos"),
                "auditor": props("password=lab-bigip-secret-2 role=guest provider=tmos"),
            },
            "tokens": {},
            "transactions": {},
            "connections": [],
            "sync": props("mode=standalone status=Standalone color=green", polls=0, runs=[]),
            "active": {
                "/Common/traffic-group-1": "bigip1.example.com",
                "/Common/traffic-group-2": "bigip1.example.com",
            },
            "as3": None,  # AS3's declaration; {}: AS3 is installed and has none
        }

    def writes(self, request: Request) -> bool:
        """Report whether a request is to change the device: all but reading, logging in and handling tokens."""
        session = request.path.startswith(("/mgmt/shared/authn/login", f"/mgmt/{TOKENS}"))
        return request.method not in ("GET", "HEAD") and not session

    def open_sessions(self) -> list[str]:
        """Name the tokens that were not deleted and are not past their time."""
        return [name for name, token in self.state["tokens"].items() if token["expires"] > time.time()]

    def variables(self, ca: Path) -> dict[str, t.Any]:
        """Return the inventory variables of this host."""
        login = {"username": "admin", "password": self.state["users"]["admin"]["password"], "ca_path": str(ca)}
        return {
            "load_balancer_platform": "bigip",
            "load_balancer_addresses": ["203.0.113.10"],
            "load_balancer_connection": {"host": "127.0.0.1", "port": self.port, **login},
        }

    # What a test asks for

    def put(self, store: str, key: str, properties: Properties) -> Properties:
        """Add or replace an object, running and saved; give the running one. Editing `state` changes what runs."""
        self.state["saved"][store][key] = copied(properties)
        self.state[store][key] = copied(properties)
        return t.cast(Properties, self.state[store][key])

    def add_virtual(
        self, key: str, address: str, port: int, snat: Properties | None = None, *, protocol: str = "udp", **more: t.Any
    ) -> Properties:
        """Add a virtual server with a pool of its own (`servers`) and its virtual address; `%n` is a route domain."""
        folder, _dummy, name = key.rpartition("/")
        if key.split("/")[1] not in self.state["partition"]:
            self.put("partition", key.split("/")[1], {"defaultRouteDomain": 0})
        self.put("pool", f"{folder}/p_{name}", pool(port, more.pop("servers", SERVERS), key.split("/")[1]))
        destination = _qualified(address, key.split("/")[1])
        if destination not in self.state["virtual-address"]:
            self.put("virtual-address", destination, virtual_address(address))
        more = {"pool": f"{folder}/p_{name}", "persist": PERSIST, **more}
        return self.put("virtual", key, virtual(destination, port, protocol, snat or AUTOMAP, **more))

    def add_pair(self, stem: str, address: str, snat: Properties | None = None, **more: t.Any) -> list[str]:
        """Add the virtual servers `<stem>_500` and `<stem>_4500`; give their names."""
        for port in (500, 4500):
            self.add_virtual(f"{stem}_{port}", address, port, snat, **more)
        return [f"{stem}_500", f"{stem}_4500"]

    def add_snat_pool(self, key: str, **members: str) -> None:
        """Add a SNAT pool; ``members``: the addresses of its translation addresses, by name."""
        for name, address in members.items():
            self.put("snat-translation", _qualified(name), translation(address))
        self.put("snatpool", key, {"members": [_qualified(name) for name in members]})

    def add_policy(self, key: str, action: Properties, *virtuals: str) -> None:
        """Add an LTM policy with one rule and one action, and attach it to virtual servers."""
        rules: dict[str, Properties] = {
            "always": {"ordinal": 0, "actions": {"0": {"code": 0, "request": True, **action}}}
        }
        self.put("policy", key, props("status=published strategy=/Common/first-match", rules=rules))
        for virtual_server in virtuals:
            for config in (self.state, self.state["saved"]):
                config["virtual"][virtual_server].setdefault("policies", {})[key] = {}

    def add_connection(
        self, client: str, server: str, port: int, *, member: str = "10.10.0.11", udp: bool = True
    ) -> None:
        """Add a flow from `client` to a virtual server, which the member sees coming from 10.10.0.1."""
        flow = props(f"csClientAddr={client} csServerAddr={server} ssClientAddr=10.10.0.1 ssServerAddr={member}")
        ports = dict.fromkeys(("csClientPort", "csServerPort", "ssClientPort", "ssServerPort"), port)
        self.state["connections"].append({**flow, **ports, "protocol": PROTOCOLS["udp" if udp else "tcp"]})

    def add_peer(
        self,
        group: str = "/Common/dg_failover",
        *,
        active: bool = True,
        both: bool = False,
        auto_sync: bool = False,
        kind: t.Literal["sync-failover", "sync-only"] = "sync-failover",
    ) -> None:
        """Make the device one of two in a group, in sync.

        This one is active or standing by; with `both`, each is active for a traffic group: this one for the first, the other for the
        second, or the other way round. Devices in a group for syncing alone do not know of each other's traffic groups.
        """
        own, peer = "bigip1.example.com", "bigip2.example.com"
        alone = kind == "sync-only"
        roles = ("active", "standby") if active else ("standby", "active")
        if both or alone:
            roles = ("active", "active")
        self.put("device", f"/Common/{own}", device(own, "true", roles[0]))
        self.put("device", f"/Common/{peer}", device(peer, "false", roles[1]))
        devices: dict[str, Properties] = {f"/Common/{own}": {}, f"/Common/{peer}": {}}
        text = f"autoSync={'enabled' if auto_sync else 'disabled'} type={kind}"
        self.put("device-group", group, props(text, devices=devices))
        first, second = (own, peer) if active else (peer, own)
        if not alone:
            self.state["active"] = {
                "/Common/traffic-group-1": first,
                "/Common/traffic-group-2": second if both else first,
            }
        mode = "sync-only" if alone else "high-availability"
        self.state["sync"] |= {"mode": mode, "status": "In Sync", "color": "green"}

    def expire_tokens(self) -> None:
        """Let the time of every token be up."""
        for token in self.state["tokens"].values():
            token["expires"] = 0

    def expire_transactions(self) -> None:
        """Let the time of every transaction be up: the device forgets them without a word."""
        self.state["transactions"].clear()

    def reboot(self) -> None:
        """Start again with the saved configuration."""
        self.state |= copied(self.state["saved"]) | {"connections": [], "tokens": {}, "transactions": {}}

    # Requests

    def _serve(self, path: str) -> Response:
        with self.lock:
            try:
                if not path.startswith("mgmt/"):
                    raise rest(404, f"Public URI path not registered: /{path}")
                result = self._dispatch(path.removeprefix("mgmt/").rstrip("/"))
            except Refusal as refusal:
                return refusal.response
        return result if isinstance(result, Response) else answer(200, result)

    def _dispatch(self, path: str) -> t.Any:
        if path == "shared/authn/login" and request.method == "POST":
            return self._login()
        user = self._user()
        if path.startswith(f"{TOKENS}/"):
            return self._token(user, path.removeprefix(f"{TOKENS}/"))
        role = self.state["users"][user]["role"]
        if role == "no-access" or (request.method != "GET" and role not in WRITERS):
            raise self._denied(user, path)
        coordination = request.headers.get("X-F5-REST-Coordination-Id")
        if coordination and request.method != "GET":
            return self._queue(coordination, path)
        special: dict[str, dict[str, t.Callable[[], t.Any]]] = {
            "tm/sys": {"GET": self._sys},
            "tm/sys/config": {"POST": self._save},
            "tm/sys/connection": {"GET": self._connections, "DELETE": self._clear},
            "tm/cm": {"POST": self._sync},
            "tm/cm/sync-status": {"GET": self._sync_status},
            "tm/cm/traffic-group/stats": {"GET": self._traffic_groups},
            "tm/transaction": {"GET": self._transactions, "POST": self._begin},
        }
        if self.state["as3"] is not None:
            special["shared/appsvcs/declare"] = {"GET": lambda: self.state["as3"] or Response(status=204)}
        if path in special:
            return special[path].get(request.method, self._not_allowed)()
        if path.startswith("tm/transaction/"):
            return self._transaction(path.split("/")[2:])
        store, keys = self._resource(path)
        if request.method == "GET":
            return self._read(RESOURCES[store], self.state[store], RESOURCES[store].path, keys)
        if (request.method, store, len(keys)) != ("PATCH", "virtual", 1):
            self._not_allowed()
        self._query()
        self._patch(self.state["virtual"], keys[0], self._json())
        self._changed()
        return self._show(RESOURCES["virtual"], "ltm/virtual", keys[0], self.state["virtual"][keys[0]], {})

    @staticmethod
    def _resource(path: str) -> tuple[str, list[str]]:
        """Find the collection that a path leads to or into, and what the path says beyond it."""
        for store, resource in RESOURCES.items():
            if f"{path}/".startswith(f"tm/{resource.path}/"):
                beyond = path.removeprefix(f"tm/{resource.path}").split("/")[1:]
                return store, [part.replace("~", "/") for part in beyond]
        raise rest(404, f"Public URI path not registered: /{path}")

    @staticmethod
    def _not_allowed() -> t.NoReturn:
        raise mcp(405, f"The method {request.method} is not supported for {request.path}", 1)

    @staticmethod
    def _json() -> t.Any:
        if request.mimetype != "application/json":
            raise mcp(415, "Found invalid content-type. The content-type must be application/json", 1)
        return request.get_json(silent=True)

    @staticmethod
    def _query(*allowed: str) -> dict[str, str]:
        for name in request.args:
            if name not in (*allowed, "ver"):
                raise mcp(400, f"The query option {name} is not supported for {request.path}", 1)
        return {name: value for name, value in request.args.items() if name != "ver"}

    # Session

    def _login(self) -> Properties:
        body = checked(dict.fromkeys(("username", "password", "loginProviderName"), str), self._json())
        name, provider = body.get("username"), body.get("loginProviderName", "tmos")
        user = self.state["users"].get(name)
        said = json.dumps({"username": name, "loginProviderName": provider, "generation": 0, "lastUpdateMicros": 0})
        if not user or (user["password"], user["provider"]) != (body.get("password"), provider):
            raise rest(401, "Authentication failed.", originalRequestBody=said)
        if sum(self.state["tokens"][key]["user"] == name for key in self.open_sessions()) >= self.token_limit:
            who = uuid.uuid5(uuid.NAMESPACE_DNS, str(name))
            raise rest(400, f"user {who} has reached maximum active login tokens", originalRequestBody=said)
        key = secrets.token_hex(13).upper()
        self.issued.append(key)
        self.state["tokens"][key] = {"user": name, "provider": provider}
        self._lengthen(key, self.token_timeout)
        head = {"username": name, "loginProviderName": provider, "token": self._show_token(key)}
        return {**head, "generation": 0, "lastUpdateMicros": 0}

    def _lengthen(self, key: str, timeout: int) -> None:
        self.state["tokens"][key] |= {"timeout": timeout, "started": time.time(), "expires": time.time() + timeout}

    def _show_token(self, key: str) -> Properties:
        token = self.state["tokens"][key]
        times = {"lastUpdateMicros": int(token["started"] * 1e6), "expirationMicros": int(token["expires"] * 1e6)}
        head = {"token": key, "name": key, "userName": token["user"], "authProviderName": token["provider"]}
        tail = props(f"partition=[All] kind=shared:authz:tokens:authtokenitemstate selfLink={LOCALHOST}/{TOKENS}/{key}")
        return {**head, "timeout": token["timeout"], "generation": 1, **times, **tail}

    def _user(self) -> str:
        if key := request.headers.get("X-F5-Auth-Token"):
            if key not in self.state["tokens"]:
                raise rest(401, "X-F5-Auth-Token does not exist.")
            if key not in self.open_sessions():
                raise Refusal(expired_token())
            return str(self.state["tokens"][key]["user"])
        if (basic := request.authorization) and basic.type == "basic":
            user = self.state["users"].get(basic.username)
            if user and user["provider"] == "tmos" and user["password"] == basic.password:
                return str(basic.username)
        raise Refusal(html_unauthorized())

    def _token(self, user: str, key: str) -> Properties:
        own = self.state["tokens"].get(key, {}).get("user") == user
        if self.state["users"][user]["role"] != "admin" and not (own and self.readers_end_tokens):
            raise self._denied(user, f"{TOKENS}/{key}")
        if key not in self.state["tokens"]:
            raise rest(404, f"Object not found - {LOCALHOST}/{TOKENS}/{key}")
        if request.method == "PATCH":
            timeout = checked({"timeout": int}, self._json(), ["timeout"])["timeout"]
            if not 0 < timeout <= 36000:
                raise rest(400, f"Token timeout {timeout} is out of range: 1 to 36000")
            self._lengthen(key, timeout)
        elif request.method not in ("GET", "DELETE"):
            self._not_allowed()
        token = self._show_token(key)
        if request.method == "DELETE":
            del self.state["tokens"][key]
        return token

    def _denied(self, user: str, path: str) -> Refusal:
        if self.role_refusal != 401:
            message = f"01070822:3: Access Denied: user ({user}) does not have modify access to object"
            return mcp(self.role_refusal, message)
        where = f"resource=/mgmt/{path} verb={request.method} uri:http://localhost:8100/mgmt/{path}"
        who = f"user={LOCALHOST}/shared/authz/users/{user}"
        return rest(401, f"Authorization failed: {who} {where} referrer:127.0.0.1 sender:127.0.0.1")

    # Reading

    def _read(self, resource: Resource, objects: dict[str, Properties], path: str, keys: list[str]) -> Properties:
        if keys and keys[0] not in objects:
            if path == resource.path:
                raise mcp(404, f"01020036:3: The requested {resource.label} ({keys[0]}) was not found.")
            raise mcp(404, f"Object not found - {keys[0]}", 1)
        if len(keys) > 1:
            if keys[1] not in resource.subs:
                raise rest(404, f"Public URI path not registered: {request.path.removeprefix('/mgmt')}")
            below = f"{_path(path, keys[0])}/{keys[1]}"
            return self._read(resource.subs[keys[1]], objects[keys[0]].get(keys[1], {}), below, keys[2:])
        query = self._query("$select", "expandSubcollections", *(() if keys else ("$filter", "$top", "$skip")))
        if query.get("expandSubcollections") not in (None, "true", "false"):
            raise mcp(400, "The query option expandSubcollections must be true or false", 1)
        known = {*READ_ONLY, *resource.schema, *(f"{name}Reference" for name in {**resource.schema, **resource.subs})}
        if "$select" in query and (unknown := set(query["$select"].split(",")) - known):
            raise mcp(400, f"The query option $select names unknown properties: {', '.join(sorted(unknown))}", 1)
        if self.refuses_lacking and self.lacks & set(query.get("$select", "").split(",")):
            raise mcp(400, f"The query option $select names unknown properties: {', '.join(sorted(self.lacks))}", 1)
        if "$select" in query and not self.selects_expanded:
            query.pop("expandSubcollections", None)
        if keys:
            return self._show(resource, path, keys[0], objects[keys[0]], query)
        return self._list(resource, path, self._filtered(objects, query.get("$filter")), query)

    def _filtered(self, objects: dict[str, Properties], wanted: str | None) -> list[tuple[str, Properties]]:
        partitions = None
        if wanted is not None:
            match = re.fullmatch(r"partition eq ('?)([\w.-]+)\1", wanted)
            if not match or (self.quotes_needed and not match[1]):
                raise mcp(400, f"The query option $filter is not supported: {wanted}", 1)
            partitions = {match[2], *(["Common"] if self.filter_includes_common else [])}
        found = sorted(objects.items())
        return [one for one in found if partitions is None or f"{one[0]}/".split("/")[1] in partitions]

    def _list(
        self, resource: Resource, path: str, objects: list[tuple[str, Properties]], query: dict[str, str]
    ) -> Properties:
        """Return a collection: without `items` when it is empty; of the page data, clients are seen to use `nextLink`."""
        result: Properties = {"kind": resource.kind("collectionstate"), "selfLink": _link(path, query)}
        page: Properties = {}
        if "$top" in query or "$skip" in query:
            total = len(objects)
            skip, top = query.get("$skip", "0"), query.get("$top", str(total or 1))
            if not (skip.isdecimal() and top.isdecimal() and int(top)):
                raise mcp(400, "The query options $top and $skip must be numbers", 1)
            first, size = int(skip), int(top)
            objects = objects[first : first + size]
            page = {"currentItemCount": len(objects), "itemsPerPage": size, "pageIndex": first // size + 1}
            page |= {"startIndex": first + 1, "totalItems": total, "totalPages": -(-total // size)}
            if first + size < total:
                page["nextLink"] = _link(path, {**query, "$top": top, "$skip": str(first + size)})
            if first:
                page["previousLink"] = _link(path, {**query, "$top": top, "$skip": str(max(first - size, 0))})
        if objects:
            result["items"] = [self._show(resource, path, key, one, query, alone=False) for key, one in objects]
        return result | page

    def _show(
        self, resource: Resource, path: str, key: str, stored: Properties, query: dict[str, str], *, alone: bool = True
    ) -> Properties:
        """Return an object; of a `$select`, what it names with its references, but no kind and no selfLink (13.1)."""
        own = _path(path, key)
        folder = dict(zip(("partition", "subPath"), key.rpartition("/")[0][1:].split("/", 1), strict=False))
        full: Properties = {"kind": resource.kind("state"), "name": key.rpartition("/")[2]}
        full |= {name: value for name, value in folder.items() if value}
        full |= {"fullPath": key, "generation": stored.get("generation", 1)}
        full["selfLink"] = _link(own, query if alone else None)
        full |= self._linked(resource.schema, {n: v for n, v in stored.items() if n not in resource.subs})
        for name, sub in resource.subs.items():
            reference: Properties = {"link": _link(f"{own}/{name}"), "isSubcollection": True}
            if query.get("expandSubcollections") == "true" and (below := stored.get(name)):
                inner = {"expandSubcollections": "true"}
                reference["items"] = [
                    self._show(sub, f"{own}/{name}", one, below[one], inner, alone=False) for one in sorted(below)
                ]
            full[f"{name}Reference"] = reference
        full = {name: value for name, value in full.items() if name not in self.lacks}
        domain = self.state["partition"].get(folder.get("partition"), {}).get("defaultRouteDomain", 0)
        for one in ("address", "destination", "source") if domain and self.hides_domain else ():
            if one in full:
                full[one] = full[one].replace(f"%{domain}", "")
        if "$select" in query:
            names = {one for name in query["$select"].split(",") for one in (name, f"{name}Reference")}
            return {name: value for name, value in full.items() if name in names}
        return full

    def _linked(self, schema: Schema, stored: Properties) -> Properties:
        """Return properties, with links beside those that name objects."""
        result: Properties = {}
        for name, value in stored.items():
            spec = schema.get(name)
            if isinstance(spec, list):
                spec = spec[0]
            if isinstance(spec, dict) and isinstance(value, list):
                value = [self._linked(spec, one) for one in value]
            if name == "sourceAddressTranslation" and "pool" in value:
                collection = RESOURCES[TRANSLATION_POOLS.get(value["type"], "snatpool")].path
                value = {**value, "poolReference": {"link": _link(_path(collection, value["pool"]))}}
            result[name] = value
            if isinstance(spec, Ref):
                partition = stored.get("partition", "Common")
                named = [_qualified(one, partition) for one in (value if isinstance(value, list) else [value])]
                links = [{"link": _link(_path(spec.path, one))} for one in named]
                result[f"{name}Reference"] = links if isinstance(value, list) else links[0]
        return result

    # Changing a virtual server

    def _patch(self, virtuals: dict[str, Properties], key: str, body: t.Any) -> None:
        if key not in virtuals:
            raise mcp(404, f"01020036:3: The requested Virtual Server ({key}) was not found.")
        new = copied(virtuals[key])
        service = self.state["service"].get(new.get("appService"), {})
        if "appService" in new and service.get("strictUpdates") != "disabled":
            message = "The application service must be updated using an application management interface"
            raise mcp(400, message, 26214401)
        changes = checked(WRITABLE, body)
        if not changes:
            raise mcp(400, "one or more properties must be specified", 26214401)
        flags = {changes[name] == (name == "enabled") for name in ABLE if name in changes}
        if len(flags) > 1:
            raise mcp(400, "enabled and disabled contradict each other", 26214401)
        for name, value in changes.items():
            if name == "sourceAddressTranslation":
                new[name] = self._translation(key, new[name], value)
            elif value in (None, "none"):
                new.pop(name, None)
            else:
                new[name] = self._found(WRITABLE[name], key, value)
        if flags:
            new = {name: value for name, value in new.items() if name not in ABLE} | {ABLE[not flags.pop()]: True}
        self.state["generation"] += 1
        virtuals[key] = new | {"generation": self.state["generation"]}

    def _found(self, spec: t.Any, key: str, value: t.Any) -> t.Any:
        """Return a value, the objects that it names by their full paths; refuse those that do not exist."""
        if isinstance(value, list):
            return [self._found(spec[0], key, one) for one in value]
        if not isinstance(spec, Ref):
            return value
        store, _dummy = self._resource(f"tm/{spec.path}")
        if (full := _qualified(value, key.split("/")[1])) not in self.state[store]:
            raise mcp(404, f"01020036:3: The requested {RESOURCES[store].label} ({full}) was not found.")
        return full

    def _translation(self, key: str, old: Properties, change: Properties) -> Properties:
        """Merge as `tmsh modify` does: what is not named stays, but for the pool that a type has no use for."""
        kind = {**old, **change}["type"] or "none"
        named = None if change.get("pool") in (None, "none") else _qualified(change["pool"], key.split("/")[1])
        pool = named if "pool" in change else old.get("pool")
        if kind in TRANSLATION_POOLS:
            if pool not in self.state[TRANSLATION_POOLS[kind]]:
                what = f"Virtual Server {key} references non-existent snatpool {pool or '<no name>'}."
                raise mcp(400, f"01071811:3: {what}")
            return {"type": kind, "pool": pool}
        if named or (pool and self.leftover_pool == "refused"):
            what = f"Virtual Server {key} cannot have the pool {pool} with source address translation {kind}."
            raise mcp(400, f"01070734:3: Configuration error: {what}")
        return {"type": kind, "pool": pool} if pool and self.leftover_pool == "kept" else {"type": kind}

    def _changed(self) -> None:
        groups = self.state["device-group"].values()
        followed = any(one["type"] == "sync-failover" and one["autoSync"] == "enabled" for one in groups)
        if self.state["sync"]["mode"] == "high-availability" and not followed:
            self.state["sync"] |= {"status": "Changes Pending", "color": "yellow", "polls": 0}

    # Transactions

    def _begin(self) -> Properties:
        checked({}, self._json())
        key = str(time.time_ns() // 1000)
        expires = time.time() + self.transaction_timeout
        one = {"state": "STARTED", "validateOnly": False, "failureReason": "", "commands": [], "expires": expires}
        self.state["transactions"][key] = one
        return self._show_transaction(key, one)

    def _alive(self) -> dict[str, Properties]:
        alive = {key: one for key, one in self.state["transactions"].items() if one["expires"] > time.time()}
        self.state["transactions"] = alive
        return alive

    def _of(self, key: str) -> Properties:
        if key not in self._alive():
            raise mcp(404, f"Object not found - {key}", 1)
        return t.cast(Properties, self.state["transactions"][key])

    def _show_transaction(self, key: str, one: Properties) -> Properties:
        head: Properties = {"transId": int(key), "timeoutSeconds": self.transaction_timeout, "asyncExecution": False}
        head |= {"executionTimeout": 300, "executionTime": 0, "kind": "tm:transactionstate"}
        said = {name: one[name] for name in ("state", "validateOnly", "failureReason")}
        return {**head, **said, "selfLink": _link(f"transaction/{key}")}

    def _transactions(self) -> Properties:
        items = [self._show_transaction(key, one) for key, one in self._alive().items()]
        return {"items": items, "kind": "tm:transactioncollectionstate", "selfLink": _link("transaction")}

    def _queue(self, key: str, path: str) -> Properties:
        """Note a command; it is judged when it is committed, and not before (seen in CIS)."""
        one = self._of(key)
        if one["state"] != "STARTED":
            raise mcp(400, f"The transaction {key} is {one['state']}", 1)
        self._resource(path)
        number = len(one["commands"]) + 1
        command = {"method": request.method, "uri": f"{LOCALHOST}/{path}", "body": self._json()}
        command |= {"evalOrder": number, "commandId": number, "kind": "tm:transaction:commandsstate"}
        one["commands"].append({**command, "selfLink": _link(f"transaction/{key}/commands/{number}")})
        one["expires"] = time.time() + self.transaction_timeout
        return t.cast(Properties, one["commands"][-1])

    def _transaction(self, keys: list[str]) -> Properties:
        one = self._of(keys[0])
        if keys[1:] == ["commands"] and request.method == "GET":
            head = {"items": one["commands"], "kind": "tm:transaction:commandscollectionstate"}
            return {**head, "selfLink": _link(f"transaction/{keys[0]}/commands")}
        if len(keys) > 1 or request.method not in ("GET", "PATCH", "DELETE"):
            self._not_allowed()
        if request.method == "PATCH":
            self._commit(keys[0], one)
        if request.method == "DELETE":
            del self.state["transactions"][keys[0]]
        return self._show_transaction(keys[0], one)

    def _commit(self, key: str, one: Properties) -> None:
        body = checked({"state": ("VALIDATING",), "validateOnly": bool}, self._json(), ["state"])
        if one["state"] != "STARTED" or not one["commands"]:
            raise mcp(400, f"transaction failed:{key} is {one['state']} and has {len(one['commands'])} commands", 2)
        one["validateOnly"] = body.get("validateOnly", False)
        virtuals = dict(self.state["virtual"])
        try:
            for command in one["commands"]:
                store, keys = self._resource(command["uri"].removeprefix(f"{LOCALHOST}/"))
                if (command["method"], store, len(keys)) != ("PATCH", "virtual", 1):
                    raise mcp(405, f"The method {command['method']} is not supported for {command['uri']}", 1)
                self._patch(virtuals, keys[0], command["body"])
        except Refusal as refusal:
            one |= {"state": "FAILED", "failureReason": refusal.message}
            raise mcp(refusal.response.status_code, f"transaction failed:{refusal.message}", 2) from refusal
        one["state"] = "COMPLETED"
        if not one["validateOnly"]:
            self.state["virtual"] = virtuals
            self._changed()

    # The system

    def _sys(self) -> Properties:
        self._query()
        items = [{"reference": {"link": _link(f"sys/{name}")}} for name in ("config", "connection", "provision")]
        return {"kind": "tm:sys:syscollectionstate", "selfLink": _link("sys"), "items": items}

    def _save(self) -> Properties:
        body = checked({"command": ("save",)}, self._json(), ["command"])
        self.state["saved"] = copied({store: self.state[store] for store in RESOURCES})
        self.state["saves"] += 1
        return {"kind": "tm:sys:config:savestate", **body}

    def _matching(self) -> list[Properties]:
        """Return the connections that `options` describe in tmsh's words; cs-server-addr is the virtual server's."""
        text = self._query("options").get("options", "")
        words = [word for word in re.split(f"[{re.escape(self.separators)}]", text) if word]
        found: list[Properties] = self.state["connections"]
        for option, value in itertools.zip_longest(words[::2], words[1::2]):
            if not re.fullmatch("(cs|ss)-(client|server)-(addr|port)|protocol", option) or value is None:
                raise mcp(400, f'Syntax Error: unexpected argument "{option}"', 26214401)
            name = re.sub("-(.)", lambda match: match[1].upper(), option)
            try:
                if option.endswith("addr"):
                    found = [one for one in found if _address(one[name]) == _address(value)]
                else:
                    number = PROTOCOLS[value] if option == "protocol" else int(value)
                    found = [one for one in found if one[name] == number]
            except (KeyError, ValueError) as error:
                raise mcp(400, f'Syntax Error: "{value}" is not a value of {option}', 26214401) from error
        return found

    def _connections(self) -> Properties:
        """Return the connection table (genieparser's capture of 14.1)."""
        query = {name: value for name, value in request.args.items() if name != "ver"}
        head = {"kind": "tm:sys:connection:connectionstats", "selfLink": _link("sys/connection", query)}
        entries = {
            f"{LOCALHOST}/tm/sys/connection/{index}": {
                "nestedStats": {
                    "entries": {n: {"description" if isinstance(v, str) else "value": v} for n, v in one.items()}
                }
            }
            for index, one in enumerate(self._matching())
        }
        return {**head, "entries": entries} if entries else head

    def _clear(self) -> Response:
        gone = self._matching()
        if not request.args.get("options", "").strip(self.separators):
            raise mcp(400, "Deleting connections needs options that say which", 26214401)
        self.state["connections"] = [one for one in self.state["connections"] if one not in gone]
        return Response(status=200)

    def _sync(self) -> Properties:
        schema = {"command": ("run",), "utilCmdArgs": str}
        body = checked(schema, self._json(), schema)
        match = re.fullmatch(r"config-sync to-group (\S+)", body["utilCmdArgs"] or "")
        if not match:
            raise mcp(400, f'Syntax Error: unexpected argument "{body["utilCmdArgs"]}"', 26214401)
        if _qualified(match[1]) not in self.state["device-group"]:
            what = f"Device group ({match[1]}) not found in device group sync"
            raise mcp(400, f"01070734:3: Configuration error: {what}")
        self.state["sync"]["runs"].append(match[1])
        self.state["sync"]["polls"] = self.sync_polls + 1
        return {"kind": "tm:cm:runstate", **body}

    def _sync_status(self) -> Properties:
        """Return the status in the shape of f5-common-python's cm_sync_status_GET.json, `syncStatus` included."""
        sync = self.state["sync"]
        if sync["polls"] == 1:
            sync |= {"status": "In Sync", "color": "green"}
        sync["polls"] = max(sync["polls"] - 1, 0)

        def nested(link: str, entries: Properties) -> Properties:
            return {f"{LOCALHOST}/tm/cm/{link}": {"nestedStats": {"entries": entries}}}

        text = {"details": {"description": "Optional action: Add a device to the trust domain"}}
        details = nested("syncStatus/0/details", nested("syncStatus/0/details/0", text))
        status = {name: {"description": sync[name]} for name in ("color", "mode", "status")}
        entries = nested("sync-status/0", {**status, "summary": {"description": " "}, **details})
        head = {"kind": "tm:cm:sync-status:sync-statusstats", "selfLink": _link("cm/sync-status")}
        return {**head, "entries": entries}

    def _traffic_groups(self) -> Properties:
        """Return where each traffic group is active, for each device of its failover group."""
        self._query()
        entries = {}
        for group, active in self.state["active"].items():
            for key in self.state["device"]:
                name = key.rpartition("/")[2]
                text = {
                    "deviceName": key,
                    "failoverState": "active" if name == active else "standby",
                    "trafficGroup": group,
                }
                link = f"{LOCALHOST}/tm/cm/traffic-group/{group.replace('/', '~')}:{key.replace('/', '~')}/stats"
                entries[link] = {"nestedStats": {"entries": {n: {"description": one} for n, one in text.items()}}}
        return {
            "kind": "tm:cm:traffic-group:traffic-groupcollectionstats",
            "selfLink": _link("cm/traffic-group/stats"),
            "entries": entries,
        }
