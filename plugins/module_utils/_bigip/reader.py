# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a BIG-IP is asked for, and what is worth knowing of its answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from urllib.parse import quote

from ansible_collections.aovpn.ikev2.plugins.module_utils._adapter import unread_findings
from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip import findings as judge
from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip import joins, objects, surroundings
from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.objects import Domains, Item, VirtualServer
from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.session import Session
from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.surroundings import Snat
from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Answer
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import (
    DeviceError,
    Finding,
    Refused,
    UnexpectedAnswer,
    Unread,
)

LISTING = "/mgmt/tm/ltm/virtual"

EXPANDED = "expandSubcollections=true"

PAGE = 1000
"""How many virtual servers are asked for at first; what is left then, in two pages at most."""
MOST_PAGES = 50
"""A device may make smaller pages than it is asked for, but not without end."""


class Reader:
    """Reads over ``api``, from one ``partition`` or all of them. Remembers what it need not ask for twice."""

    def __init__(self, api: Session, label: str, partition: str | None) -> None:
        self._api = api
        self._label = label
        self._filter = (
            [] if partition is None else ["$filter=partition eq " + quote("'" + partition.replace("'", "''") + "'")]
        )
        self._fields = objects.VIRTUAL_SERVER
        self._addresses: Answer | None = None

    @staticmethod
    def path(name: str, collection: str = "ltm/virtual") -> str:
        """Return the path of an object by its full path."""
        return f"/mgmt/tm/{collection}/{quote(objects.rest_name(name), safe='~')}"

    # Virtual servers

    def virtual_servers(self, *, attached: bool = False) -> list[Item]:
        """Read all virtual servers: the first page, and what is left in two more at most."""
        try:
            return self._pages(attached=attached)
        except Refused as error:
            if attached or error.status != 400 or not self._fields:
                raise
            # An older firmware may refuse a property that it does not know; without names it shows all that it has.
            self._fields = ""
            return self._pages(attached=False)

    def _pages(self, *, attached: bool) -> list[Item]:
        query = [*self._filter, *self._query(attached=attached)]
        items: list[Item] = []
        path = self._address([*query, f"$top={PAGE}"])
        asked = set()
        while path and path not in asked:
            asked.add(path)
            page = self._api.get(path).parse(lambda body: objects.page(body, LISTING), "virtual servers")
            path = page.following
            if len(asked) > MOST_PAGES:
                raise UnexpectedAnswer(
                    f"{self._label} lists its virtual servers on more than {MOST_PAGES} pages, which cannot be right."
                    " Check whether its management API answers as it should."
                )
            if path and not items and page.total > 3 * PAGE:
                path = self._address([*query, f"$top={-(-(page.total - PAGE) // 2)}", f"$skip={PAGE}"])
            items += page.items
        return items

    def virtual_server(self, name: str) -> Item | None:
        """Read one virtual server with what is attached to it; None if it does not exist any more."""
        answer = self._api.exchange("GET", self._address(self._query(attached=True), self.path(name)))
        return None if answer.status == 404 else self._api.accepted(answer, f"GET {name}").json()

    def _query(self, *, attached: bool) -> list[str]:
        fields = [*filter(None, [self._fields]), *([objects.ATTACHED] if attached else [])]
        select = [f"$select={','.join(fields)}"] if self._fields else []
        return [*select, *([EXPANDED] if attached else [])]

    @staticmethod
    def _address(query: Sequence[str], path: str = LISTING) -> str:
        return f"{path}?{'&'.join(query)}"

    def virtual_addresses(self, domains: Domains) -> tuple[list[surroundings.VirtualAddress], list[Unread]]:
        """Read the virtual addresses."""
        if self._addresses is None:
            self._addresses = self._api.get("/mgmt/tm/ltm/virtual-address")
        return self._addresses.parse(lambda body: surroundings.virtual_addresses(body, domains), "virtual addresses")

    # The objects around them

    def surroundings(
        self, servers: Sequence[VirtualServer], *, changing: bool, syncing: bool
    ) -> tuple[joins.Surroundings, list[Finding]]:
        """Read what the path of the replies depends on, and what takes part in failover.

        ``changing``: a change follows at once. ``syncing``: it will be synced.
        """
        domains: Domains = {}
        partitions = {server.folder[0] for server in servers} - {objects.COMMON}
        if partitions:
            domains = self._api.get("/mgmt/tm/auth/partition").parse(surroundings.route_domains, "partitions")
        names = {server.pool for server in servers}
        pools = self._api.get(f"/mgmt/tm/ltm/pool?{EXPANDED}").parse(
            lambda body: surroundings.pools(body, names, domains), "pools"
        )
        own, unread = self._api.get("/mgmt/tm/net/self").parse(
            lambda body: surroundings.self_ips(body, domains), "self IPs"
        )
        findings = judge.domain_findings(partitions - set(domains)) + unread_findings(unread, kind="self IP")
        units = self._api.get("/mgmt/tm/cm/device").parse(surroundings.units, "devices")
        if units.others:
            try:
                group, follows = self._api.get(f"/mgmt/tm/cm/device-group?{EXPANDED}").parse(
                    lambda body: surroundings.failover_group(body, surroundings.device_name(units.own)), "device groups"
                )
                units = replace(units, group=group, follows=follows)
            except DeviceError as error:
                units = replace(units, group=None)
                findings += judge.not_read("the device groups", self._label, error)
        findings += judge.standby_findings(units, self._label)
        around = joins.Surroundings(domains, pools, own, units, {})
        if units.paired or not changing or self._addresses:
            try:
                found, unread = self.virtual_addresses(domains)
                around = replace(around, addresses={item.address: item for item in found})
                findings += unread_findings(unread, kind="virtual address")
            except DeviceError as error:
                if units.paired:
                    raise  # the gateways depend on their traffic groups
                findings += judge.not_read("the virtual addresses", self._label, error)
        if units.paired and units.active and units.own.get("failoverState") == "active":
            findings += judge.traffic_group_findings(servers, around, self._active_units())
        if units.paired or syncing:
            findings += judge.sync_findings(self._status(), self._label, syncing=syncing)
        return around, findings

    def _active_units(self) -> dict[str, set[str]]:
        try:
            return self._api.get("/mgmt/tm/cm/traffic-group/stats").parse(surroundings.active_units, "traffic groups")
        except DeviceError:
            return {}  # not known of any

    def _status(self) -> str:
        try:
            return self.sync_status()
        except DeviceError as error:
            return f"not known ({error})"

    def sync_status(self) -> str:
        """Read the sync status."""
        return self._api.get("/mgmt/tm/cm/sync-status").parse(surroundings.sync_status, "sync status")

    # What is only worth knowing: none of these requests ends the run

    def _tolerant(self, what: str, ask: Callable[[], list[Finding]]) -> list[Finding]:
        try:
            return ask()
        except DeviceError as error:
            return judge.not_read(what, self._label, error)

    def global_snats(self, domains: Domains) -> tuple[list[Snat], list[Finding]]:
        """Read the global SNAT objects."""
        try:
            snats, unread = self._api.get("/mgmt/tm/ltm/snat").parse(
                lambda body: surroundings.snats(body, domains), "SNAT objects"
            )
        except DeviceError as error:
            return [], judge.not_read("the global SNAT objects", self._label, error)
        return snats, unread_findings(unread, kind="global SNAT")

    def snat_pools(self, kind: str) -> tuple[dict[str, list[str]] | None, list[Finding]]:
        """Read the members of all pools of this kind (``snatpool``, ``lsn-pool``) by full path; None where they cannot be read."""
        try:
            pools, unread = self._api.get(f"/mgmt/tm/ltm/{kind}?$select=fullPath,members").parse(
                surroundings.snat_pools, "SNAT pools"
            )
        except DeviceError as error:
            return None, judge.not_read("the SNAT pools", self._label, error)
        return pools | {item.id: [] for item in unread}, unread_findings(unread, kind="SNAT pool")

    def translation_addresses(self, full_paths: Sequence[str]) -> tuple[list[str], list[Finding]]:
        """Return these translation addresses. Sends a request only where one is not called by its address."""
        addresses = {path: surroundings.named_address(path) for path in full_paths}
        findings: list[Finding] = []
        if not all(addresses.values()):
            try:
                named, unread = self._api.get("/mgmt/tm/ltm/snat-translation?$select=fullPath,address").parse(
                    surroundings.translation_addresses, "translation addresses"
                )
                addresses = {path: address or named.get(path, "") for path, address in addresses.items()}
                findings = unread_findings(unread, kind="translation address")
            except DeviceError as error:
                findings = judge.not_read("the translation addresses", self._label, error)
        return [*filter(None, addresses.values())], findings

    def persistence_findings(self, servers: Sequence[VirtualServer], around: joins.Surroundings) -> list[Finding]:
        """Report persistence that does not hold a client's two ports together."""
        choosing = joins.choosing(servers, around)

        def ask() -> list[Finding]:
            across: dict[str, bool] = {}
            findings = []
            if any(len(group) > 1 and joins.shared_persistence(group) for group in choosing):
                across, unread = self._api.get("/mgmt/tm/ltm/persistence/source-addr").parse(
                    surroundings.persistence_profiles, "persistence profiles"
                )
                across |= {item.id: True for item in unread}  # nothing is known about these
                findings = unread_findings(unread, kind="persistence profile")
            return findings + judge.persistence_findings(choosing, across)

        return self._tolerant("the persistence profiles", ask)

    def rule_findings(self, servers: Sequence[VirtualServer]) -> list[Finding]:
        """Report attached iRules that translate."""
        texts, findings = {}, []
        for name in sorted({name for server in servers for name in server.rules}):
            try:
                texts[name] = self._api.get(self.path(name, "ltm/rule")).parse(surroundings.rule_text, "iRule")
            except DeviceError as error:
                findings += judge.not_read(f"the iRule {name}", self._label, error)
        return findings + [finding for server in servers for finding in judge.rule_findings(server, texts)]

    def policy_findings(self, servers: Sequence[VirtualServer]) -> list[Finding]:
        """Report attached LTM policies that translate. Sends no request where none is attached."""
        findings: list[Finding] = []
        if all(server.policies == frozenset() for server in servers):
            return findings
        try:
            translating, unread = self._api.get(f"/mgmt/tm/ltm/policy?{EXPANDED}").parse(
                surroundings.translating_policies, "LTM policies"
            )
            findings += unread_findings(unread, kind="LTM policy")
            for server in servers if translating else ():
                attached = server.policies
                if attached is None:
                    answer = self._api.get(f"{self.path(server.service.id)}/policies")
                    attached = answer.parse(objects.full_paths, "policies of a virtual server")
                findings += judge.policy_findings(server, attached & translating)
        except DeviceError as error:
            findings.append(judge.unread_policies(self._label, str(error)))
        return findings

    def owner_findings(self, servers: Sequence[VirtualServer]) -> list[Finding]:
        """Report virtual servers that an iApp or an AS3 declaration owns. Sends requests only where there may be one."""
        strict = {name: self._is_strict(name) for name in sorted({server.application for server in servers} - {""})}
        declared = self._declared() if any(server.is_in_folder for server in servers) else set()
        return [finding for server in servers for finding in judge.owner_findings(server, strict, declared)]

    def _is_strict(self, application: str) -> bool | None:
        try:
            return self._api.get(self.path(application, "sys/application/service")).parse(
                lambda body: bool(body.get("strictUpdates", "enabled") == "enabled"), "application service"
            )
        except DeviceError:
            return None

    def _declared(self) -> set[tuple[str, str]] | str:
        try:
            answer = self._api.exchange("GET", "/mgmt/shared/appsvcs/declare")
            if answer.status in (204, 404):  # nothing declared, or no AS3 on the device
                return set()
            if answer.status != 200:
                self._api.accepted(answer, "GET /mgmt/shared/appsvcs/declare")
                raise answer.unexpected("a declaration")
            return answer.parse(surroundings.declared, "AS3 declaration")
        except DeviceError as error:
            return str(error)
