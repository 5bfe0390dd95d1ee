# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The site: load balancers and VPN servers together, and what follows from them. No input or output."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Finding
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.facts import Facts, bare
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.hosts import LoadBalancer, VpnServer, parse_hosts
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.records import Record, Variables
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.sources import Sources, judge, suspects

AnyHost: t.TypeAlias = "LoadBalancer | VpnServer"

Kind = t.TypeVar("Kind", LoadBalancer, VpnServer)

COMMON_GROUPS = frozenset({"all", "ungrouped", "ikev2_load_balancers", "rras"})


@dataclass(frozen=True)
class Selected:
    """What the run's tags select for changes."""

    gateways: bool = True
    limits: bool = True
    load_balancers: bool = True


@dataclass(frozen=True)
class Site:
    """Everything that one run knows. ``playbook`` is empty where the role report is used by itself."""

    load_balancers: Mapping[str, LoadBalancer]
    servers: Mapping[str, VpnServer]
    playbook: str = ""
    check_mode: bool = False
    selected: Selected = field(default_factory=Selected)

    @classmethod
    def parse(
        cls,
        variables: Mapping[str, Variables],
        playbook: str = "",
        *,
        check_mode: bool = False,
        selected: Selected = Selected(),
    ) -> Site:
        """Read the hosts' variables, by host."""
        load_balancers, servers = parse_hosts(variables, playbook == "workaround")
        return cls(load_balancers, servers, playbook, check_mode, selected)

    def with_records(self, records: Mapping[str, Record]) -> Site:
        """Return the site with these records of hosts."""

        def updated(items: Mapping[str, Kind]) -> dict[str, Kind]:
            return {host: replace(item, record=records.get(host, item.record)) for host, item in items.items()}

        return replace(self, load_balancers=updated(self.load_balancers), servers=updated(self.servers))

    @cached_property
    def hosts(self) -> dict[str, AnyHost]:
        """Return all hosts, load balancers first."""
        return {**self.load_balancers, **self.servers}

    @cached_property
    def read_load_balancers(self) -> dict[str, LoadBalancer]:
        """Return the load balancers that were read."""
        return {host: item for host, item in self.load_balancers.items() if item.read}

    @cached_property
    def read_servers(self) -> dict[str, tuple[VpnServer, Facts]]:
        """Return the VPN servers that were read, with their facts."""
        return {host: (item, item.now) for host, item in self.servers.items() if item.now}

    # -- who belongs to whom

    def leading_to(self, server: VpnServer) -> list[str]:
        """Return the load balancers that were read and lead to a server."""
        addresses = set(server.now.addresses) if server.now else {server.address}
        return [host for host, item in self.read_load_balancers.items() if addresses & item.offered.keys()]

    def partner(self, host: str) -> str:
        """Return the active unit whose standby unit ``host`` is; empty where there is none."""
        item = self.load_balancers[host]
        if not item.vips or not item.has("not_active_unit"):
            return ""
        return next(
            (
                name
                for name, other in self.read_load_balancers.items()
                if other.vips == item.vips and not other.has("not_active_unit")
            ),
            "",
        )

    @cached_property
    def together(self) -> dict[str, frozenset[str]]:
        """Return for each host of the run all hosts whose changes depend on one another, itself included."""
        groups = {host: {host} for host, item in self.hosts.items() if item.in_run or item.read}
        for one, other in self._links():
            if one in groups and other in groups and groups[one] is not groups[other]:
                joined = groups[one] | groups[other]
                groups.update(dict.fromkeys(joined, joined))
        return {host: frozenset(group) for host, group in groups.items()}

    def _links(self) -> Iterable[tuple[str, str]]:
        offers = {
            gateway
            for item in self.read_load_balancers.values()
            for every in item.offered.values()
            for gateway in every
        }
        for host, server in self.servers.items():
            leading = self.leading_to(server)
            if not leading and not server.read:
                # Its addresses were not read: it belongs to the load balancer that is its gateway, or else to any of them;
                # where several are left, to those with which it shares an inventory group.
                leading = [
                    name
                    for name, item in self.read_load_balancers.items()
                    if any(server.wanted_gateway in gateways for gateways in item.offered.values())
                ] or list(self.read_load_balancers)
                own = server.groups - COMMON_GROUPS
                leading = [name for name in leading if own & self.load_balancers[name].groups] or leading
            yield from ((host, name) for name in leading)
        for host, item in self.load_balancers.items():
            if item.read:
                yield from ((host, name) for name, other in self.read_load_balancers.items() if other.vips & item.vips)
                continue
            near = [name for name, other in self.hosts.items() if other.groups & item.groups - COMMON_GROUPS]
            theirs = [
                name
                for name, server in self.servers.items()
                if (server.wanted_gateway or (server.now and server.now.gateway)) not in offers
            ]
            yield from ((host, name) for name in near + theirs or self.servers)

    # -- return paths

    @cached_property
    def gateways(self) -> dict[str, str]:
        """Return each server's default gateway, by each of its addresses."""
        return {
            address: facts.gateway
            for _item, facts in self.read_servers.values()
            if facts.gateway
            for address in facts.addresses
        }

    @cached_property
    def planned_gateways(self) -> dict[str, str]:
        """Return the same after this run has changed those that it is asked to change."""
        planned = {
            address: item.wanted_gateway
            for item, facts in self.read_servers.values()
            if item.wanted_gateway and self.playbook == "remediate" and self.selected.gateways
            for address in facts.addresses
        }
        return {**self.gateways, **planned}

    def return_path(self, host: str, *, planned: bool = False) -> dict[str, str]:
        """Return what a load balancer is given as the servers' gateways: those read, before those that the inventory names."""
        return {**self.load_balancers[host].return_path, **(self.planned_gateways if planned else self.gateways)}

    def keeps_gateway(self, server: VpnServer) -> bool:
        """Report whether a server's gateway is its own matter: it is behind load balancers, and none offers itself as gateway.

        That is so with direct server return, where the server replies to clients by its own gateway.
        """
        addresses = server.now.addresses if server.now else ()
        offers = [
            gateways
            for item in self.read_load_balancers.values()
            for address, gateways in item.offered.items()
            if address in addresses
        ]
        return bool(offers) and not any(offers)

    # -- what forbids a change

    def left_alone(self, host: str) -> str:
        """Return why this run does not change a load balancer; empty where it may.

        A standby unit is left to its partner. A load balancer that still translates is left as it is where another one is its
        servers' default gateway: a server has only one.
        """
        item = self.load_balancers[host]
        if partner := self.partner(host):
            return f"it is not the active unit, and is left to {partner}, which serves the same virtual addresses"
        wrong = {
            bare(finding.object)
            for finding in (item.first.findings if item.first else ())
            if finding.code == "return_path_wrong"
        }
        if not wrong or any(service.source_preserved for service in item.before):
            return ""
        for name, other in self.read_load_balancers.items():
            if name != host and all(
                self.planned_gateways.get(server) in other.offered.get(server, ()) for server in wrong
            ):
                return (
                    f"{name} leads to the same servers and is their default gateway. A server has only one,"
                    f" so {host} has to go on translating"
                )
        return ""

    def findings_of(self, host: str) -> tuple[Finding, ...]:
        """Return a load balancer's findings. Those that were read with a planned gateway name what plans it."""
        return tuple(map(self._explained, self.load_balancers[host].findings))

    def _explained(self, finding: Finding) -> Finding:
        server = bare(finding.object)
        planned, now = self.planned_gateways.get(server), self.gateways.get(server)
        if finding.code != "return_path_wrong" or planned == now:
            return finding
        offered = sorted(
            {gateway for item in self.read_load_balancers.values() for gateway in item.offered.get(server, ())}
        )
        return replace(
            finding,
            message=f"'rras_gateway' is {planned} for this server, whose default gateway is {now} now. With {planned}, its replies to"
            " clients would not come back through this device.",
            remedy=f"Set 'rras_gateway' to one of {', '.join(offered)}; or accept 'return_path_wrong' if its replies come back some other way.",
        )

    def obstacles(self, host: str) -> list[str]:
        """Return as sentences what blocks the changes that are due on a load balancer, or those of its servers' gateways.

        A server whose gateway is not known only because it could not be read has failed itself: the load balancer waits for it.
        """
        item = self.load_balancers[host]
        if item.first is None or self.left_alone(host):
            return []
        found = [
            finding
            for finding in map(self._explained, item.first.findings)
            if finding.severity == "blocker"
            and finding.code not in item.accept
            and (item.first.changes or finding.code == "return_path_wrong")
        ]
        unverified = {bare(finding.object) for finding in found if finding.code == "return_path_unverified"}
        if len(unverified) <= len(self.not_read_with(host, self.servers)):
            found = [finding for finding in found if finding.code != "return_path_unverified"]
        return [f"{finding.code} at {finding.object}: {finding.message} {finding.remedy}" for finding in found]

    def not_read_with(self, host: str, among: Iterable[str]) -> list[str]:
        """Return the hosts that a host depends on, and that could not be read."""
        together = self.together.get(host, ())
        return [name for name in among if name in together and self.hosts[name].failure and not self.hosts[name].read]

    def unverified_gateway(self, server: VpnServer) -> Finding | None:
        """Return the blocker of a server that no load balancer leads to which was read."""
        if "gateway_unverified" in server.accept or self.leading_to(server):
            return None
        read = ", ".join(self.read_load_balancers) or "none"
        return Finding(
            "gateway_unverified",
            "blocker",
            server.host,
            f"No load balancer that leads to this server was read (read: {read}), so it is not known whether clients would still"
            " be answered through another default gateway.",
            "Add its load balancer to the group ikev2_load_balancers, or to --limit. Where that is not possible, set"
            " rras_accept: [gateway_unverified] for this server.",
        )

    def cut_off(self, server: VpnServer, gateway: str | None, leading: Iterable[str] = ()) -> list[str]:
        """Return as sentences why ``gateway`` would cut a server off from its clients.

        That is each load balancer that keeps clients' addresses and that would not get the replies, and each of ``leading`` that
        was not read.
        """
        addresses = server.now.addresses if server.now else ()
        return [f"{host} was not read" for host in leading if host not in self.read_load_balancers] + [
            f"{host} keeps the clients' addresses at {service.id}, and expects the replies of {behind.address}"
            f" at {', '.join(behind.gateways)}, not at {gateway or 'no default gateway'}"
            for host, item in self.read_load_balancers.items()
            for service in item.services
            for behind in service.servers
            if service.source_preserved
            and bare(behind.address) in addresses
            and behind.gateways
            and gateway not in set(map(bare, behind.gateways))
        ]

    # -- what is worth knowing

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """Return what concerns several hosts: ``object`` is the host."""
        return (*self._choices(), *self._cross_checks(), *self._unverified())

    def _choices(self) -> Iterable[Finding]:
        for host, item in self.load_balancers.items():
            if reason := self.left_alone(host):
                yield Finding(
                    "not_active_unit" if item.has("not_active_unit") else "server_shared",
                    "info",
                    host,
                    f"This load balancer is not changed in this run: {reason}.",
                    "No action needed, if that is intended. docs/troubleshooting.md describes both cases.",
                )
        for host, server in self.servers.items():
            if self.keeps_gateway(server) and server.due_in("route"):
                yield Finding(
                    "unsupported_mode",
                    "info",
                    host,
                    "No load balancer offers itself as this server's default gateway (direct server return, for example), so its gateway is left alone.",
                    "Remove 'rras_gateway' for this server.",
                )

    def _cross_checks(self) -> Iterable[Finding]:
        for host, (server, _facts) in self.read_servers.items():
            names = self.leading_to(server)
            if sum(not self.partner(name) for name in names) > 1:
                yield Finding(
                    "server_shared",
                    "info",
                    host,
                    f"Several load balancers lead to this server: {', '.join(names)}. It has one default gateway, so its replies go back through one of them.",
                    "Let them share that address, as the units of a cluster do, or give each its own servers.",
                )
            if self.read_load_balancers and not names:
                yield Finding(
                    "server_not_served",
                    "warning",
                    host,
                    f"None of these load balancers leads to an address of this server: {', '.join(self.read_load_balancers)}.",
                    "Take it out of the group rras, or make it a member of the services of UDP 500 and UDP 4500.",
                )

    def _unverified(self) -> Iterable[Finding]:
        if self.playbook in ("audit", "remediate"):
            for server, _facts in self.read_servers.values():
                if server.due_in("route") and (finding := self.unverified_gateway(server)):
                    yield finding

    # -- what the servers see

    @cached_property
    def sources(self) -> dict[str, Sources]:
        """Return what each server's associations prove, by host."""
        known = {address for item in self.load_balancers.values() for address in item.own_addresses}
        suspicious = suspects(facts for _item, facts in self.read_servers.values())
        return {host: judge(facts, known, suspicious) for host, (_item, facts) in self.read_servers.items()}
