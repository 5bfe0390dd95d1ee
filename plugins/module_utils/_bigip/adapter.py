# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""F5 BIG-IP by iControl REST: source address translation of UDP virtual servers."""

from __future__ import annotations

import contextlib
import re
import time
import typing as t
from collections.abc import Mapping, Sequence
from urllib.parse import quote, quote_plus

from ansible_collections.aovpn.ikev2.plugins.module_utils._adapter import SAVE_TIMEOUT, Adapter
from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip import findings as judge
from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip import objects
from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.session import Session
from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Endpoint, understood
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import (
    ANY_PORT,
    IKE_PORTS,
    Change,
    DeviceError,
    Finding,
    InvalidInput,
    Reading,
    Refused,
    Service,
    UnexpectedAnswer,
    Unreachable,
    Value,
)
from ansible_collections.aovpn.ikev2.plugins.module_utils._network import subnet_findings

PAGE = 1000
"""How many virtual servers are asked for at first; what is left then, in two pages at most."""

FEW = 100
"""Up to how many virtual servers are listed with what is attached to them, which costs the device a look at each."""

SINGLES = 4
"""Up to how many virtual servers are read one by one where there are more than few."""

ATTACHED = f",{objects.ATTACHED}&expandSubcollections=true"

COMMIT_POLLS, COMMIT_PAUSE = 30, 2
"""How often to ask for a transaction whose commit was not answered, and the seconds in between."""
SYNC_POLLS, SYNC_PAUSE = 60, 2
"""How often to check whether a sync has arrived, and the seconds in between."""


class BigIp(Adapter):
    """A BIG-IP, or one ``partition`` of it. ``sync_group``: the device group to sync to after a change."""

    platform = "bigip"
    title = "BIG-IP"
    setting = objects.SNAT

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        username: str,
        password: str,
        login_provider: str = "tmos",
        partition: str | None = None,
        save: bool = True,
        sync_group: str | None = None,
        clear_connections: bool = False,
    ) -> None:
        super().__init__(endpoint)
        # The name becomes part of a command line on the device.
        if sync_group is not None and not re.fullmatch(r"[\w./-]+", sync_group):
            raise InvalidInput(f"Option 'sync_group' is {sync_group!r}, which is not the name of a device group.")
        self._api = Session(self._http, self.progress, username, password, login_provider)
        self._partition = partition
        self._save = save
        self._sync_group = sync_group
        self._clear_connections = clear_connections
        self._servers: dict[str, objects.VirtualServer] = {}
        self._addresses: dict[str, str] = {}
        self._listed = 0

    def wanted(self, service: Service) -> Mapping[str, Value]:
        return {} if service.source_preserved else {self.setting: objects.NONE}

    def preserves(self, service: Service, settings: Mapping[str, Value]) -> bool:
        return settings[self.setting] == objects.NONE

    def open(self) -> None:
        self._api.open()

    def close(self) -> None:
        self._api.close()

    # The engine's way through

    def read(self) -> Reading:
        return self._reading(self._list())

    def reread(self, services: Sequence[Service]) -> Reading:
        if self._listed > FEW and len(services) <= SINGLES:
            return self._reading([item for service in services if (item := self._item(service.id))])
        if self._listed <= FEW:
            # If the device does not return the listing like this, the plain one will do.
            with contextlib.suppress(Refused, UnexpectedAnswer):
                reading = self._reading(self._list(ATTACHED))
                if {service.id for service in services} <= {found.id for found in reading.services}:
                    return reading
        return self.read()

    def _reading(self, items: Sequence[objects.Item]) -> Reading:
        with understood(self.label, "virtual servers"):
            # $filter lets through what other partitions show to this one.
            items = [item for item in items if self._partition in (None, item.get("partition"))]
            named = not self._addresses and any(objects.names_an_address(item) for item in items)
        if named:
            self._addresses = self._api.get("/mgmt/tm/ltm/virtual-address").parse(
                objects.addresses, "virtual addresses"
            )
        with understood(self.label, "virtual servers"):
            found = objects.virtual_servers(items, self._addresses)
        findings = judge.list_findings(found, chosen=False)
        self._servers = {server.service.id: server for server in found}
        return Reading(tuple(server.service for server in found), findings=tuple(findings))

    def inspect(self, services: Sequence[Service]) -> Sequence[Finding]:
        return [finding for service in services for finding in judge.virtual_server_findings(self._servers[service.id])]

    def guard(self, services: Sequence[Service], *, changing: bool) -> Reading:
        servers = [self._servers[service.id] for service in services]
        names = {server.pool for server in servers}
        pools = self._api.get("/mgmt/tm/ltm/pool?expandSubcollections=true").parse(
            lambda body: objects.pools(body, names), "pools"
        )
        own = self._api.get("/mgmt/tm/net/self").parse(objects.self_ips, "self IPs")
        devices = self._api.get("/mgmt/tm/cm/device").parse(objects.devices, "devices")
        findings = judge.standby_findings(devices, self.label)
        groups: dict[str, str] | None = None
        if len(devices) > 1:
            groups = self._api.get("/mgmt/tm/ltm/virtual-address").parse(objects.traffic_groups, "virtual addresses")
        if groups is not None or self._sync_group:
            findings += judge.sync_findings(self._sync_status(), self.label, syncing=self._sync_group is not None)
        findings += self._api.get("/mgmt/tm/ltm/snat").parse(
            lambda body: judge.snat_findings(body, objects.server_networks(servers, pools, own), self.label),
            "SNAT objects",
        )
        if not changing:  # after a change, the last reading has shown what is attached
            findings += self._policy_findings(servers)
        findings += self._persistence_findings(servers, pools)
        texts = {name: self._rule(name) for name in sorted({name for server in servers for name in server.rules})}
        for server in servers:
            findings += judge.pool_findings(server, pools) + judge.rule_findings(server, texts)
        findings += self._owners(servers)
        guarded = tuple(
            objects.with_servers(server, pools, own, None if groups is None else groups.get(server.service.address, ""))
            for server in servers
        )
        return Reading(
            guarded,
            findings=(*findings, *subnet_findings(guarded, own)),
            version=str(objects.own_device(devices).get("version", "")),
        )

    def apply(self, changes: Sequence[Change]) -> None:
        try:
            self._write(changes, drop_pool=False)
        except Refused as error:
            # A device that keeps a SNAT pool's name beside type none may refuse the type because of the pool.
            pools = [change.before["pool"] for change in changes if isinstance(change.before, dict)]
            if not any(pool in str(error) for pool in pools):
                raise
            self._write(changes, drop_pool=True)

    def keep(self) -> None:
        if self._save:
            # Saving twice is the same as saving once.
            self._api.send(
                "POST", "/mgmt/tm/sys/config", {"command": "save"}, repeat=True, patience=SAVE_TIMEOUT
            ).json()

    def finish(self, services: Sequence[Service], changed: Sequence[Service]) -> Sequence[Finding]:
        if self._sync_group:
            self._sync(self._sync_group)
        findings = (
            self._clear(changed)
            if self._clear_connections
            else [self._flows("They keep it until they have been idle, which keepalives may delay for long.")]
        )
        try:
            findings += self._policy_findings([self._servers[service.id] for service in services])
        except DeviceError as error:
            findings.append(judge.unread_policies(self.label, str(error)))
        return findings

    # What these take

    def _list(self, more: str = "") -> list[objects.Item]:
        """Read all virtual servers: the first page, and what is left in two more at most."""
        partition = "" if self._partition is None else f"$filter=partition eq {quote(self._partition)}&"
        listing = f"/mgmt/tm/ltm/virtual?{partition}$select={objects.VIRTUAL_SERVER}{more}"
        items: list[objects.Item] = []
        path = f"{listing}&$top={PAGE}"
        asked = set()
        while path and path not in asked:
            asked.add(path)
            page = self._api.get(path).parse(objects.page, "virtual servers")
            path = page.following
            if path and not items and page.total > 3 * PAGE:
                path = f"{listing}&$top={-(-(page.total - PAGE) // 2)}&$skip={PAGE}"
            items += page.items
        self._listed = len(items)
        return items

    def _item(self, name: str) -> objects.Item | None:
        """Read one virtual server with what is attached to it; None where it is not there any more."""
        answer = self._api.exchange("GET", f"{self._path(name)}?$select={objects.VIRTUAL_SERVER}{ATTACHED}")
        return None if answer.status == 404 else self._api.accepted(answer, f"GET {name}").json()

    @staticmethod
    def _path(name: str, collection: str = "ltm/virtual") -> str:
        return f"/mgmt/tm/{collection}/{quote(objects.rest_name(name), safe='~')}"

    def _write(self, changes: Sequence[Change], *, drop_pool: bool) -> None:
        if len(changes) == 1:
            self._translate(changes[0], {}, drop_pool=drop_pool)
            return
        transaction = self._api.send("POST", "/mgmt/tm/transaction", {}).parse(
            lambda body: int(body["transId"]), "transaction"
        )
        for change in changes:
            self._translate(change, {"X-F5-REST-Coordination-Id": str(transaction)}, drop_pool=drop_pool)
        path = f"/mgmt/tm/transaction/{transaction}"
        try:
            self._api.send("PATCH", path, {"state": "VALIDATING"})
        except Unreachable:
            if not self._is_committed(path):
                raise

    def _is_committed(self, path: str) -> bool:
        """Wait for a transaction that may still be running, so that it cannot take effect after it was reported as failed."""
        for _poll in range(COMMIT_POLLS):
            try:
                state = self._api.get(path).parse(lambda body: str(body["state"]), "transaction")
            except DeviceError:
                return False  # forgotten, or out of reach: the next reading decides
            if state != "VALIDATING":
                return state == "COMPLETED"
            time.sleep(COMMIT_PAUSE)
        return False

    def _translate(self, change: Change, headers: dict[str, str], *, drop_pool: bool) -> None:
        setting: dict[str, t.Any] = change.after if isinstance(change.after, dict) else {"type": change.after}
        left_over = isinstance(change.before, dict) and change.before["type"] == change.after
        if "pool" not in setting and (left_over or (drop_pool and isinstance(change.before, dict))):
            setting = {**setting, "pool": objects.NONE}
        self._api.send("PATCH", self._path(change.id), {"sourceAddressTranslation": setting}, headers)

    def _clear(self, services: Sequence[Service]) -> list[Finding]:
        try:
            for service in services:
                if service.address in ("", *objects.ANY_ADDRESS.values()):
                    return [
                        self._flows(f"They are not cleared: {service.id} has no address of its own to select them by.")
                    ]
                for port in IKE_PORTS if service.port == ANY_PORT else (service.port,):
                    options = f"cs-server-addr {service.address} cs-server-port {port} protocol udp"
                    self._api.send("DELETE", f"/mgmt/tm/sys/connection?options={quote_plus(options)}")
        except DeviceError as error:
            return [self._flows(f"They could not be cleared: {error}")]
        return []

    def _persistence_findings(
        self, servers: Sequence[objects.VirtualServer], pools: Mapping[str, objects.Pool]
    ) -> list[Finding]:
        choosing = objects.choosing(servers, pools)
        across: dict[str, bool] = {}
        if any(len(group) > 1 and objects.shared_persistence(group) for group in choosing):
            answer = self._api.get("/mgmt/tm/ltm/persistence/source-addr")
            across = answer.parse(objects.match_across_services, "persistence profiles")
        return judge.persistence_findings(choosing, across)

    def _rule(self, name: str) -> str:
        answer = self._api.get(self._path(name, "ltm/rule"))
        return answer.parse(lambda body: str(body.get("apiAnonymous", "")), "iRule")

    def _policy_findings(self, servers: Sequence[objects.VirtualServer]) -> list[Finding]:
        """Report attached LTM policies that translate. Sends no request where none is attached."""
        findings: list[Finding] = []
        if all(server.policies == frozenset() for server in servers):
            return findings
        translating = self._api.get("/mgmt/tm/ltm/policy?expandSubcollections=true").parse(
            objects.translating_policies, "LTM policies"
        )
        for server in servers if translating else ():
            attached = server.policies
            if attached is None:
                answer = self._api.get(f"{self._path(server.service.id)}/policies")
                attached = frozenset(answer.parse(objects.full_paths, "policies of a virtual server"))
            findings += judge.policy_findings(server, attached & translating)
        return findings

    def _owners(self, servers: Sequence[objects.VirtualServer]) -> list[Finding]:
        """Report virtual servers that an iApp or an AS3 declaration owns. Sends requests only where there may be one."""
        strict = {name: self._is_strict(name) for name in sorted({server.application for server in servers} - {""})}
        declared: set[tuple[str, str]] | None = set()
        if any(server.is_in_folder for server in servers):
            answer = self._api.exchange("GET", "/mgmt/shared/appsvcs/declare")
            if answer.status == 200:
                declared = answer.parse(objects.declared, "AS3 declaration")
            elif answer.status not in (204, 404):  # nothing declared, or no AS3 on the device
                declared = None
        return [finding for server in servers for finding in judge.owner_findings(server, strict, declared)]

    def _is_strict(self, application: str) -> bool:
        answer = self._api.get(self._path(application, "sys/application/service"))
        return answer.parse(lambda body: bool(body.get("strictUpdates", "enabled") == "enabled"), "application service")

    def _sync_status(self) -> str:
        return self._api.get("/mgmt/tm/cm/sync-status").parse(objects.sync_status, "sync status")

    def _sync(self, group: str) -> None:
        self._api.send("POST", "/mgmt/tm/cm", {"command": "run", "utilCmdArgs": f"config-sync to-group {group}"}).json()
        status = ""
        for poll in range(SYNC_POLLS):
            former, status = status, self._sync_status()
            if status != former:
                self.progress.append(f"Sync to {group}: {status} after {poll * SYNC_PAUSE} s.")
            if status == "In Sync":
                return
            time.sleep(SYNC_PAUSE)
        raise Refused(
            f"{self.label}: the sync to {group} has not finished after {SYNC_POLLS * SYNC_PAUSE} s; the status is {status!r}."
            " Check the device group, and sync by hand."
        )

    def _flows(self, message: str) -> Finding:
        return Finding(
            "existing_flows",
            "info",
            self.label,
            f"Existing flows keep the source address with which they began. {message}",
            "Option 'clear_connections' ends them, so that clients reconnect with their own addresses.",
        )
