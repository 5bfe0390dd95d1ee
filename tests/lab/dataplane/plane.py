# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The data plane as one: clients, a router of the Internet's, a load balancer, two VPN servers and a wrong gateway."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import shutil
import threading
import time
import typing as t
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from lab.dataplane.network import Lock, Namespace, PlaneError, leftovers, missing, remove
from lab.dataplane.rules import IKE_PORTS, INSIDE, Server, Service, balancer_rules
from lab.dataplane.strongswan import ESP, IDENTITY, IKE, Charon

VIPS = ("203.0.113.10", "203.0.113.20", "203.0.113.30")
SERVERS = ("10.10.0.11", "10.10.0.12")
GATEWAY, WRONG_GATEWAY, SNAT_POOL = "10.10.0.1", "10.10.0.254", "10.10.0.5"
CONTROLLER = "192.0.2.2"
"""Whom the load balancer sees when Ansible, run in the namespace ``controller``, probes from outside."""

SYSTEM_LIMIT = 3
"""What stands for the system's own limit of security associations per address. Windows' own figure is not confirmed."""

IDLE = {"nf_conntrack_udp_timeout": 10, "nf_conntrack_udp_timeout_stream": 60}
"""Seconds until the load balancer forgets a flow: one that was never answered, and one that was (the default of a BIG-IP's UDP profile)."""

DEAD_PEER = "2s"  # after so long without a packet, a client asks whether its server is still there
PATIENCE = 3.0  # seconds until a client of which nothing is seen no longer keeps the next one waiting

ROUTER_RULES = """
table ip router {
  chain forward { type filter hook forward priority filter; policy accept;
    ip saddr 10.0.0.0/8 counter drop comment "private addresses are not routed on the Internet"
    ip daddr 10.0.0.0/8 counter drop
  }
}
"""
CLIENT_RULES = """
table ip firewall {
  chain input { type filter hook input priority filter; policy drop;
    iifname "lo" accept
    iifname "ipsec*" accept
    ct state established,related accept
    counter drop comment "unsolicited, such as a reply from another address"
  }
}
"""
BALANCER_RULES = """
table ip balancer {
  chain services { type nat hook prerouting priority dstnat; }
  chain translation { type nat hook postrouting priority srcnat; }
  chain forward { type filter hook forward priority filter; policy drop;
    ct state established,related accept
    ct status dnat accept
    iifname "inside" ct state new accept
  }
}
"""
OTHER_RULES = """
table ip other {
  chain translation { type nat hook postrouting priority srcnat; oifname "outside" masquerade; }
}
"""
# A full address gets no new negotiation: neither its first message nor, where the load balancer sends that from another
# address, a new flow on 4500. Security associations that exist go on.
SERVER_RULES = """
table ip ike {
  set full { type ipv4_addr; }
  chain input { type filter hook input priority filter; policy accept;
    ip saddr @full udp dport 500 counter drop
    ip saddr @full udp dport 4500 ct state new counter drop
  }
  chain stopped { type filter hook input priority filter + 1; policy accept; }
}
"""


@dataclass
class VpnServer:
    """A VPN server: its namespace and daemon, what it is set to, the addresses that have reached its limit, and what its daemon has loaded."""

    address: str
    namespace: Namespace
    charon: Charon
    is_set: Server
    full: frozenset[str] = frozenset()
    connection: dict[str, t.Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Flow:
    """A UDP flow through the load balancer; ``source``: whom the server sees."""

    client: str
    client_port: int
    vip: str
    port: int
    server: str
    source: str
    source_port: int


class Plane:
    """The data plane, with ``clients`` clients, each of which may connect to each of the load balancer's addresses.

    ``folder`` takes the daemons' logs. ``system_limit``: what a server allows per address where nothing is set.
    """

    def __init__(self, folder: Path, clients: int = 10, system_limit: int = SYSTEM_LIMIT) -> None:
        self.folder, self.system_limit = folder, system_limit
        self.addresses = [f"198.51.100.{number}" for number in range(2, clients + 2)]
        self.router, self.balancer, self.inside = Namespace("router"), Namespace("balancer"), Namespace("inside")
        self.other, self.outside = Namespace("other"), Namespace("clients")
        self.controller = Namespace("controller")
        threads = 3 * clients + 16
        self.clients = Charon(self.outside, folder / "clients.log", threads)
        self.servers: dict[str, VpnServer] = {}
        for number, address in enumerate(SERVERS, 1):
            namespace = Namespace(f"server{number}")
            charon = Charon(namespace, folder / f"server{number}.log", threads=32)
            self.servers[address] = VpnServer(address, namespace, charon, Server({}, None, True))
        self._lock, self._rules, self._changing = Lock(), "", threading.RLock()
        self._services: list[Service] = []
        self._counters: list[threading.Thread] = []
        self._stopped = threading.Event()

    # Its life

    def start(self, wait: float = 0.0) -> None:
        """Make it, after removing what one that was killed has left. ``wait``: how many seconds another one may take to end."""
        if problems := missing():
            raise PlaneError(f"The data plane cannot be made here: {'; '.join(problems)}.")
        self._lock.take(wait)
        try:
            remove()
            self.folder.mkdir(parents=True, exist_ok=True)
            for name in [one.folder for one in self._daemons()]:
                shutil.rmtree(name, ignore_errors=True)
            self._build()
            for charon in self._daemons():
                charon.start()
            self._load()
            self._stopped.clear()
            for server in self.servers.values():
                thread = threading.Thread(target=self._count_on_events, args=(server,), daemon=True)
                thread.start()
                self._counters.append(thread)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Remove it, and nothing else: without the lock, it belongs to another lab."""
        if not self._lock.is_held():
            return
        self._stopped.set()
        for thread in self._counters:
            thread.join(5)
        self._counters.clear()
        for charon in self._daemons():
            charon.stop()
        remove()
        self._lock.release()
        self._rules = ""

    def _daemons(self) -> list[Charon]:
        return [*(server.charon for server in self.servers.values()), self.clients]

    def _build(self) -> None:
        machines = [server.namespace for server in self.servers.values()]
        own = (self.router, self.balancer, self.inside, self.other, self.outside, self.controller)
        for namespace in (*own, *machines):
            namespace.make()
        for namespace in (self.router, self.balancer, self.other):
            namespace.forward()
        _link(self.outside, "outside", self.router, "clients")
        _link(self.controller, "outside", self.router, "controller")
        _link(self.router, "balancer", self.balancer, "outside")
        _link(self.router, "other", self.other, "outside")
        self.inside.ip("link add bridge type bridge", "link set bridge up")
        for number, namespace in enumerate((self.balancer, self.other, *machines)):
            _link(namespace, "inside", self.inside, f"port{number}")
            self.inside.ip(f"link set port{number} master bridge")
        self.router.ip(
            "address add 198.51.100.1/24 dev clients",
            "address add 192.0.2.1/24 dev controller",
            "address add 203.0.113.1/25 dev balancer",
            "address add 203.0.113.129/25 dev other",
        )
        self.balancer.ip(
            "address add 203.0.113.2/25 dev outside",
            *(f"address add {vip}/32 dev outside" for vip in VIPS),
            f"address add {GATEWAY}/24 dev inside",
            f"address add {SNAT_POOL}/24 dev inside",
            "route add default via 203.0.113.1",
        )
        self.other.ip(
            "address add 203.0.113.130/25 dev outside",
            f"address add {WRONG_GATEWAY}/24 dev inside",
            "route add default via 203.0.113.129",
        )
        for number, server in enumerate(self.servers.values(), 1):
            server.namespace.ip(
                f"address add {server.address}/24 dev inside", f"address add {_target(number)}/32 dev lo"
            )
            server.namespace.nft(SERVER_RULES)
        self.outside.ip(
            *(f"address add {address}/24 dev outside" for address in self.addresses),
            "route add default via 198.51.100.1",
        )
        self.controller.ip(f"address add {CONTROLLER}/24 dev outside", "route add default via 192.0.2.1")
        self.router.nft(ROUTER_RULES)
        for namespace in (self.outside, self.controller):
            namespace.nft(CLIENT_RULES)
        self.balancer.nft(BALANCER_RULES)
        for name, seconds in IDLE.items():
            self.balancer.call("sh", "-c", f"echo {seconds} > /proc/sys/net/netfilter/{name}")
        self.other.nft(OTHER_RULES)

    def _load(self) -> None:
        common = {"version": "2", "proposals": [IKE], "encap": "yes", "mobike": "no", "unique": "never"}
        for number, server in enumerate(self.servers.values(), 1):
            child = {"local_ts": [f"{_target(number)}/32"], "esp_proposals": [ESP]}
            server.connection = {
                **common,
                "local_addrs": ["%any"],
                "remote_addrs": ["%any"],
                "pools": ["clients"],
                "local": {"auth": "psk", "id": IDENTITY},
                "remote": {"auth": "psk", "id": "%any"},
                "children": {"net": child},
            }
            network = _target(number).rpartition(".")[0]
            server.charon.load({"clients": server.connection}, {"clients": {"addrs": f"{network}.1-{network}.250"}})
        self.clients.load(
            {
                _connection(vip, number): {
                    **common,
                    "local_addrs": [address],
                    "remote_addrs": [vip],
                    "vips": ["0.0.0.0"],
                    "keyingtries": "1",
                    "dpd_delay": DEAD_PEER,
                    "local": {"auth": "psk", "id": f"client{number}"},
                    "remote": {"auth": "psk", "id": IDENTITY},
                    "children": {"net": {"remote_ts": ["172.30.0.0/16"], "esp_proposals": [ESP]}},
                }
                for vip in VIPS
                for number, address in enumerate(self.addresses)
            }
        )

    # What the devices are reported to do

    def set_services(self, services: t.Iterable[Service]) -> None:
        """Make these the services of the load balancer. Existing flows go on as they are."""
        with self._changing:
            self._services = [one for one in services if one.address in VIPS]
            rules = balancer_rules(self._services)
            if rules != self._rules:
                self.balancer.nft(rules)
                self._rules = rules

    def set_server(self, address: str, wanted: Server) -> None:
        """Set a VPN server's routes and limit, and whether it answers at all."""
        with self._changing:
            server, before = self.servers[address], self.servers[address].is_set
            server.is_set = wanted
            if wanted.routes != before.routes:
                own = {dest: hop for dest, hop in wanted.routes.items() if ipaddress.IPv4Network(dest) != INSIDE}
                server.namespace.ip(
                    *(f"route replace {dest} via {hop} onlink dev inside" for dest, hop in own.items()),
                    *(f"route del {dest} via {hop}" for dest, hop in before.routes.items() if dest not in own),
                )
            if wanted.answers != before.answers:
                rule = (
                    ""
                    if wanted.answers
                    else f"add rule ip ike stopped udp dport {{ {', '.join(map(str, IKE_PORTS))} }} drop"
                )
                server.namespace.nft(f"flush chain ip ike stopped\n{rule}\n")
            self.count(server)

    def drop(self, address: str) -> None:
        """End all security associations of a VPN server."""
        self.servers[address].charon.drop()
        self.count(self.servers[address])

    def sources(self, address: str) -> dict[str, int]:
        """Count a VPN server's security associations by the address that it sees."""
        return dict(Counter(one["remote-host"] for one in self.servers[address].charon.associations()))

    def count(self, server: VpnServer) -> None:
        """Count again which addresses have reached the server's limit."""
        with self._changing:
            limit = self.system_limit if server.is_set.limit is None else server.is_set.limit
            full = frozenset(one for one, number in self.sources(server.address).items() if number >= limit)
            lines = [f"add element ip ike full {{ {one} }}" for one in full - server.full]
            lines += [f"delete element ip ike full {{ {one} }}" for one in server.full - full]
            if lines:
                server.namespace.nft("\n".join(lines))
                server.full = full

    def _count_on_events(self, server: VpnServer) -> None:
        for _dummy in server.charon.listen(("ike-updown", "ike-rekey", "ike-update"), self._stopped):
            self.count(server)

    # The load balancer's table of connections

    def flows(self, vip: str | None = None) -> list[Flow]:
        """Return the UDP flows through the load balancer."""
        wanted = ("--orig-dst", vip) if vip else ()
        listed = self.balancer.call("conntrack", "-L", "-p", "udp", *wanted)
        found = []
        for line in listed.splitlines():
            values = re.findall(r"\b(src|dst|sport|dport)=(\S+)", line)
            if len(values) == 8:
                (client, address, port, service), (server, source, _dummy, source_port) = (
                    [value for _dummy, value in values[:4]],
                    [value for _dummy, value in values[4:]],
                )
                if address in VIPS:
                    found.append(Flow(client, int(port), address, int(service), server, source, int(source_port)))
        return found

    def forget(self, flows: t.Iterable[Flow]) -> None:
        """Take flows out of the table: what comes next of them is translated as the services are set now."""
        for one in flows:
            names = {"--orig-src": one.client, "--orig-dst": one.vip}
            ports = {"--orig-port-src": str(one.client_port), "--orig-port-dst": str(one.port)}
            words = [word for pair in (names | ports).items() for word in pair]
            self.balancer.call("conntrack", "-D", "-p", "udp", *words, check=False)  # it may have ended by itself

    # The clients

    def connect(self, vip: str, numbers: t.Iterable[int] | None = None) -> list[int]:
        """Let these clients, or all, connect to an address, and give those that did. What fails takes three seconds.

        Where the servers see one address, one comes after the other, so that a server's limit is kept exactly. All at once where they
        see the clients' own, or where that one address is full on each server.
        """
        wanted = list(range(len(self.addresses))) if numbers is None else list(numbers)
        sources = {one.translation for one in self._services if one.address == vip and one.port == 4500}
        with ThreadPoolExecutor(max_workers=max(1, len(wanted))) as pool:
            started: dict[int, Future[str]] = {}
            for number in wanted:
                started[number] = pool.submit(self.clients.initiate, _connection(vip, number))
                if sources != {None} and not all(sources <= server.full for server in self.servers.values()):
                    self._settle(vip, number, started[number])
            return [number for number in wanted if not started[number].result()]

    def _settle(self, vip: str, number: int, attempt: Future[str]) -> None:
        """Wait until a client is connected and counted, or is seen to be refused."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                attempt.result(0.1)
                break
            flows = [flow for flow in self.flows(vip) if flow.client == self.addresses[number]]
            if any(flow.source in self.servers[flow.server].full for flow in flows):
                return
        for server in self.servers.values():
            self.count(server)

    def connected(self, vip: str) -> dict[int, str]:
        """Return the clients that are connected to an address, each with the address that its server sees."""
        seen = {
            one["remote-id"]: one["remote-host"]
            for server in self.servers.values()
            for one in server.charon.associations()
        }
        prefix = _connection(vip, "")
        numbers = (
            int(one["name"][len(prefix) :]) for one in self.clients.associations() if one["name"].startswith(prefix)
        )
        return {number: seen.get(f"client{number}", "") for number in sorted(numbers)}

    def disconnect(self, vip: str | None = None) -> None:
        """Let all clients of an address, or all, disconnect, and every flow and negotiation with them end."""
        names = None if vip is None else {_connection(vip, number) for number in range(len(self.addresses))}
        self.clients.drop(names)
        if vip is None:
            for server in self.servers.values():
                server.charon.drop()
        self._until(lambda: not [one for one in self.clients.associations() if names is None or one["name"] in names])
        self.forget(self.flows(vip))
        if vip is None:
            for namespace in (
                self.other,
                self.outside,
                self.controller,
                *(server.namespace for server in self.servers.values()),
            ):
                namespace.call("conntrack", "-F")
        for server in self.servers.values():
            self.count(server)

    def pings(self, vip: str, number: int) -> bool:
        """Report whether a packet in ESP gets from a client through its tunnel to its server's inside, and back."""
        for one in self.clients.associations():
            if one["name"] == _connection(vip, number):
                own = one["local-vips"][0]
                target = f"{own.rpartition('.')[0]}.254"
                return " 0% packet loss" in self.outside.call("ping", "-I", own, "-c1", "-W2", target, check=False)
        raise PlaneError(f"client {number} is not connected to {vip}")

    def _until(self, holds: t.Callable[[], bool], seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                raise PlaneError("The data plane did not settle in time.")
            time.sleep(0.05)


def _target(number: int) -> str:
    """Return the address behind a server that its clients reach through the tunnel."""
    return f"172.30.{number}.254"


def _connection(vip: str, number: int | str) -> str:
    return f"{vip}-{number}"


def _link(one: Namespace, name: str, other: Namespace, other_name: str) -> None:
    one.ip(f"link add {name} type veth peer name {other_name} netns {other.name}", f"link set {name} up")
    other.ip(f"link set {other_name} up")


__all__ = ("GATEWAY", "SERVERS", "VIPS", "WRONG_GATEWAY", "Flow", "Plane", "PlaneError", "leftovers", "missing")
