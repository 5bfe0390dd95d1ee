# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Citrix ADC (NetScaler) by NITRO: the mode Use Subnet IP, and Use Client IP of service groups and services."""

from __future__ import annotations

import typing as t
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from ansible_collections.aovpn.ikev2.plugins.module_utils._adapter import SAVE_TIMEOUT, Adapter, unread_findings
from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Endpoint
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import (
    Change,
    DeviceError,
    Finding,
    Reading,
    Service,
    Snapshot,
    Unread,
    Value,
)
from ansible_collections.aovpn.ikev2.plugins.module_utils._netscaler import findings as judge
from ansible_collections.aovpn.ikev2.plugins.module_utils._netscaler import joins, objects
from ansible_collections.aovpn.ikev2.plugins.module_utils._netscaler.objects import each
from ansible_collections.aovpn.ikev2.plugins.module_utils._netscaler.session import Session
from ansible_collections.aovpn.ikev2.plugins.module_utils._network import subnet_findings

USNIP = "USNIP"
"""The mode Use Subnet IP."""


class NetScaler(Adapter):
    """A Citrix ADC, or one ``admin_partition`` of it.

    ``nitro_auth_token`` is a session of the caller's: it is used, and left open. With ``username`` and ``password`` beside it,
    a new session replaces it when it has ended. ``subnet_ip_mode``: switch on the mode Use Subnet IP.
    ``use_proxy_port``: whether the client's source port is replaced; None leaves the setting alone.
    ``proxy_port_in_value``: a service's value includes the proxy port. By default it does if ``use_proxy_port`` is given.
    """

    platform = "netscaler"
    title = "NetScaler"
    setting = objects.USIP
    preserving = "YES"

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        username: str | None = None,
        password: str | None = None,
        nitro_auth_token: str | None = None,
        subnet_ip_mode: bool = True,
        use_proxy_port: bool | None = None,
        proxy_port_in_value: bool | None = None,
        admin_partition: str | None = None,
        save: bool = True,
        save_pending: bool = False,
    ) -> None:
        super().__init__(endpoint)
        self._session = Session(
            self._http,
            self.label,
            username=username,
            password=password,
            given=nitro_auth_token,
            admin_partition=admin_partition,
        )
        self._subnet_ip_mode = subnet_ip_mode
        self._wanted: dict[str, Value] = {self.setting: self.preserving}
        if use_proxy_port is not None:
            self._wanted[objects.PROXY_PORT] = "YES" if use_proxy_port else "NO"
        self._proxy_port = use_proxy_port is not None if proxy_port_in_value is None else proxy_port_in_value
        self._save = save
        self.save_pending = save and save_pending
        self._topology: joins.Topology | None = None
        self._carriers: dict[str, objects.Carrier] = {}
        self._groups: dict[objects.Carrier, objects.Group] = {}
        self._sets: tuple[list[t.Any], list[Finding]] | None = None

    @classmethod
    def of(cls, endpoint: Endpoint, options: dict[str, t.Any], snapshot: Snapshot | None) -> t.Self:
        # A snapshot decides which settings are restored, whatever 'use_proxy_port' says.
        held = objects.snapshot_has_proxy_port(snapshot.services.values()) if snapshot else None
        return cls(endpoint, proxy_port_in_value=held, **options)

    @property
    def wanted_device(self) -> Mapping[str, Value]:
        return {USNIP: True} if self._subnet_ip_mode else {}

    def wanted(self, service: Service) -> Mapping[str, Value]:
        return self._wanted

    def settings(self, value: Value) -> Mapping[str, Value]:
        return objects.settings(value)

    @property
    def saves(self) -> bool:
        return self._save

    def open(self) -> None:
        self._session.open()

    def close(self) -> None:
        self._session.close()

    # The engine's way through

    def read(self) -> Reading:
        return self._read(tuple(objects.NAME_KEYS))

    def reread(self, services: Sequence[Service]) -> Reading:
        return self._read(sorted({self._carriers[service.id][0] for service in services}, reverse=True))

    def _read(self, kinds: Sequence[str]) -> Reading:
        modes, unread = self._session.send("GET", "nsmode").parse(objects.modes, "modes")
        findings = judge.mode_findings(modes, self.label) + unread_findings(
            unread, consequence="This collection does not change it."
        )
        if self._topology is None:
            self._topology, not_asked = self._read_topology()
            findings += not_asked
        known = self._topology
        bound = {item.carrier for item in known.listeners}
        for kind in kinds:
            fields = objects.CARRIER[kind] + (f",{objects.PROXY_PORT}" if self._proxy_port else "")
            read = objects.group(kind, bound, proxy_port=self._proxy_port)
            groups, odd = each(self._session.rows(f"{kind}?attrs={fields}"), read, objects.NAME_KEYS[kind])
            self._groups = {carrier: group for carrier, group in self._groups.items() if carrier[0] != kind}
            self._groups |= {group.carrier: group for group in groups if isinstance(group, objects.Group)}
            broken = {**known.broken, **{(kind, item.id): item.reason for item in odd}}
            known = replace(known, broken={carrier: broken[carrier] for carrier in broken if carrier not in groups})
        self._carriers = {carrier[1]: carrier for carrier in self._groups}
        services, left_out = joins.services(known, self._groups)
        return Reading(
            tuple(services),
            {USNIP: modes["usnip"]},
            tuple(findings),
            unread=(*known.unread, *left_out),
            own_addresses=tuple(service.address for service in services),
        )

    def inspect(self, services: Sequence[Service]) -> Sequence[Finding]:
        listeners = self._topology.listeners if self._topology else ()
        unsettled = judge.unsettled_groups(judge.chosen_listeners(services, self._carriers, listeners))
        groups: dict[str, objects.PersistencyGroup | None] = dict.fromkeys(unsettled)
        findings: list[Finding] = []
        if groups:
            consequence = "So it is not known whether both ports of a client reach the same VPN server."
            rows, findings = self._session.ask(
                f"lbgroup?attrs={objects.PERSISTENCY_GROUP}", "persistency groups", consequence
            )
            read, odd = each(rows, objects.persistency_group, "name")
            groups |= {group.name: group for group in read if group.name in groups}
            reasons = {item.id: item for item in odd}
            unknown = [name for name, group in groups.items() if group is None]
            findings = findings or unread_findings(
                [reasons.get(name, Unread(name, "it is not listed")) for name in unknown], consequence=consequence
            )
        return findings + judge.listener_findings(services, self._carriers, listeners, groups)

    def explain(self, addresses: Sequence[str]) -> Sequence[str]:
        asked = {
            resource: self._session.ask(f"{resource}?{query}", "", "")[0]
            for resource, query in (
                ("csvserver", f"attrs={objects.CONTENT_SWITCH}"),
                ("csvserver_lbvserver_binding", "bulkbindings=yes"),
                ("csvserver_cspolicy_binding", "bulkbindings=yes"),
            )
        }
        switches, default, by_policy = asked.values()
        bindings = {"lbvserver": default, "targetlbvserver": by_policy}
        found = joins.switched(addresses, switches, bindings, self._topology or joins.Topology())
        return judge.content_switching(found)

    def guard(self, services: Sequence[Service], *, changing: bool) -> Reading:
        known = self._topology or joins.Topology()
        groups = [self._groups[self._carriers[service.id]] for service in services]
        consequence = "So it is not known which addresses may be the VPN servers' gateways."
        addresses, refused = self._session.ask(f"nsip?attrs={objects.SNIP}", "addresses (nsip)", consequence)
        found, odd = each(addresses, objects.snip, "ipaddress")
        own, not_asked = objects.addresses(addresses, "ipaddress"), {4} if refused else set()
        findings = refused + self._node([item for item in addresses if isinstance(item, dict)])
        if any(":" in member.address for group in groups for member in known.members_of(group)):
            rows, refused = self._session.ask(f"nsip6?attrs={objects.SNIP6}", "addresses (nsip6)", consequence)
            more, odder = each(rows, objects.snip6, "ipv6address")
            found, odd, findings = found + more, odd + odder, findings + refused
            own += objects.addresses(rows, "ipv6address")
            not_asked |= {6} if refused else set()
        findings += unread_findings(odd, consequence="It is not considered as a gateway.")
        snips = [snip for snip in found if snip is not None]
        guarded = tuple(
            joins.with_servers(service, group, known, snips, not_asked)
            for service, group in zip(services, groups, strict=True)
        )
        findings += judge.family_findings(guarded, self._carriers, known.listeners)
        findings += judge.policy_findings(guarded, self._carriers, known.listeners, snips)
        findings += judge.gateway_findings(guarded, snips)
        findings += subnet_findings(guarded, snips)
        sources, refused = self._profile_sources(joins.profiles(services, groups, known))
        return Reading(guarded, findings=(*findings, *refused), own_addresses=(*own, *sources))

    def _profile_sources(self, names: Collection[str]) -> tuple[list[str], list[Finding]]:
        """Read the addresses that these net profiles have as source. Sends no request where there are none."""
        if not names:
            return [], []
        consequence = "So some addresses from which this device sends are not known."
        rows, findings = self._session.ask(f"netprofile?attrs={objects.NET_PROFILE}", "net profiles", consequence)
        profiles, odd = each(rows, objects.net_profile, "name")
        sources = {source for name, source in profiles if name in names and source}
        found = objects.addresses([{"srcip": source} for source in sources], "srcip")
        if len(found) < len(sources):  # the others are IP sets
            reported = self._sets is not None
            rows, refused = self._ip_sets()
            read, odder = each(rows, objects.set_binding, "name")
            found += [address for name, address in read if name in sources]
            if not reported:
                odd, findings = odd + odder, findings + refused
        return found, findings + unread_findings(odd, consequence=consequence)

    def _node(self, addresses: Sequence[objects.Item]) -> list[Finding]:
        """Report whether this node takes changes. A cluster has no high availability of its own."""
        if any(item.get("type") == "CLIP" for item in addresses):
            consequence = "So it is not known whether process-local is on."
            instances, findings = self._session.ask("clusterinstance", "cluster", consequence)
            instances = [item for item in instances if isinstance(item, dict)]
            return findings + judge.cluster_findings(addresses, instances, self.host, self.label)
        try:
            nodes = [item if isinstance(item, dict) else {} for item in self._session.rows("hanode/0")]
        except DeviceError as error:
            return [judge.node_not_asked(error, self.label)]
        return judge.node_findings(nodes, self.label)

    def obstacles(self, changes: Sequence[Change]) -> Sequence[str]:
        listeners, found = self._topology.listeners if self._topology else (), []
        after = {change.id: change.after for change in changes if change.setting == objects.USIP}
        for change in changes:
            carrier = self._carriers.get(change.id, ("", ""))
            mirrored = {item.server.name for item in listeners if item.carrier == carrier and item.server.failover}
            if change.setting == objects.USIP and change.after == "NO" and mirrored:
                found.append(
                    f"Use Client IP of {change.id} cannot be switched off while connection failover is on at"
                    f" {', '.join(sorted(mirrored))}. Switch off connection failover first."
                )
            if change.setting == objects.PROXY_PORT and self.preserving not in (
                after.get(change.id),
                self._groups[carrier].settings[objects.USIP],
            ):
                found.append(
                    f"{change} can be set only while Use Client IP is on. Switch that on first, for example with state 'preserved';"
                    " then restore again."
                )
        return found

    def apply(self, changes: Sequence[Change]) -> None:
        for scope, grouped in groupby(changes, key=lambda change: change.scope):
            if scope == "service":
                self._set(list(grouped))
                continue
            for change in grouped:
                action = "enable" if change.after else "disable"
                self._session.write(
                    "POST", f"nsmode?action={action}", {"nsmode": {"mode": [change.setting]}}, change.setting
                )

    def keep(self) -> None:
        if self._save:
            self._session.write("POST", "nsconfig?action=save", {"nsconfig": {}}, "", patience=SAVE_TIMEOUT)

    def finish(self, services: Sequence[Service], changed: Sequence[Service]) -> Sequence[Finding]:
        return judge.change_findings(self._session.warnings, self.label) + ([self._flows()] if changed else [])

    # What these take

    def _read_topology(self) -> tuple[joins.Topology, list[Finding]]:
        """Join virtual servers, bindings and members. Read once: bindings are never changed here."""
        servers = self._session.rows(f"lbvserver?attrs={objects.VIRTUAL_SERVER}")
        bindings = {
            kind: self._session.rows(f"lbvserver_{kind}_binding?bulkbindings=yes") for kind in objects.NAME_KEYS
        }
        members = self._session.rows("servicegroup_servicegroupmember_binding?bulkbindings=yes")
        known, findings = joins.topology(servers, bindings, members), list[Finding]()
        if any(item.server.ipset for item in known.listeners):
            rows, findings = self._ip_sets()
            known = joins.with_sets(known, rows)
        return known, findings

    def _ip_sets(self) -> tuple[list[t.Any], list[Finding]]:
        """Read what IP sets hold. Read once."""
        if self._sets is None:
            consequence = "So some addresses of virtual servers and net profiles are not known."
            asked = [
                self._session.ask(f"ipset_{kind}_binding?bulkbindings=yes", "IP sets", consequence)
                for kind in ("nsip", "nsip6")
            ]
            self._sets = (
                [row for rows, _findings in asked for row in rows],
                [finding for _rows, findings in asked for finding in findings],
            )
        return self._sets

    def _set(self, changes: Sequence[Change]) -> None:
        """Set services in one request for each kind. The engine rolls back a half-done one: NITRO does not."""
        fields: dict[str, dict[str, t.Any]] = {}
        for change in changes:
            fields.setdefault(change.id, {})[change.setting] = change.after
        left = [(self._carriers[name], objects.steps(settings)) for name, settings in fields.items()]
        while left:
            for kind, key in objects.NAME_KEYS.items():
                items = [{key: name, **steps[0]} for (carried_by, name), steps in left if carried_by == kind]
                if items:
                    named = ", ".join(str(item[key]) for item in items)
                    self._session.write("PUT", kind, {kind: items if len(items) > 1 else items[0]}, named)
            left = [(carrier, steps[1:]) for carrier, steps in left if steps[1:]]
