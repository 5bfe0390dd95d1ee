# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""F5 BIG-IP by iControl REST: source address translation of UDP virtual servers."""

from __future__ import annotations

import contextlib
import re
import time
import typing as t
from collections.abc import Collection, Sequence
from dataclasses import replace
from urllib.parse import quote_plus

from ansible_collections.aovpn.ikev2.plugins.module_utils._adapter import SAVE_TIMEOUT, Adapter
from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip import findings as judge
from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip import joins, objects
from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.reader import Reader
from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.session import Session
from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.surroundings import Units
from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Endpoint
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
    Snapshot,
    UnexpectedAnswer,
    Unreachable,
    Value,
)
from ansible_collections.aovpn.ikev2.plugins.module_utils._network import subnet_findings

FEW = 100
"""Up to how many virtual servers are listed with what is attached to them, which costs the device a look at each."""

CLEARING = "Option 'clear_connections' ends them, so that clients reconnect with their own addresses."

SINGLES = 4
"""Up to how many virtual servers are read one by one where there are more than few."""

COMMIT_POLLS, COMMIT_PAUSE = 30, 2
"""How often to ask for a transaction whose commit was not answered, and the seconds in between."""
SYNC_POLLS, SYNC_PAUSE = 60, 2
"""How often to check whether a sync has arrived, and the seconds in between."""


class BigIp(Adapter):
    """A BIG-IP, or one ``partition`` of it.

    ``sync_group``: the device group to sync to after a change. ``restores``: the values of services that a snapshot restores.
    """

    platform = "bigip"
    title = "BIG-IP"
    setting = objects.SNAT
    preserving = objects.NONE

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        username: str,
        password: str,
        login_provider: str = "tmos",
        partition: str | None = None,
        save: bool = True,
        save_pending: bool = False,
        sync_group: str | None = None,
        clear_connections: bool = False,
        restores: Collection[Value] = (),
    ) -> None:
        super().__init__(endpoint)
        # The name becomes part of a command line on the device.
        if sync_group is not None and not re.fullmatch(r"[\w./-]+", sync_group):
            raise InvalidInput(f"Option 'sync_group' is {sync_group!r}, which is not the name of a device group.")
        self._api = Session(self._http, username, password, login_provider)
        self._partition = partition
        self._save = save
        self.save_pending = save and save_pending
        self._sync_group = sync_group
        self._clear_connections = clear_connections
        self._restores = restores
        self._pools: dict[str, dict[str, list[str]] | None] = {}
        self._reader = Reader(self._api, self.label, partition)
        self._servers: dict[str, objects.VirtualServer] = {}
        self._forwarders: Sequence[objects.Forwarder] = ()
        self._around = joins.Surroundings({}, {}, (), Units({}), {})
        self._listed = 0

    @classmethod
    def of(cls, endpoint: Endpoint, options: dict[str, t.Any], snapshot: Snapshot | None) -> t.Self:
        return cls(endpoint, restores=snapshot.services.values() if snapshot else (), **options)

    @property
    def saves(self) -> bool:
        return self._save

    def open(self) -> None:
        self._api.open()

    def close(self) -> None:
        self._api.close()

    # The engine's way through

    def read(self) -> Reading:
        return self._reading(self._list())

    def reread(self, services: Sequence[Service]) -> Reading:
        if self._listed > FEW and len(services) <= SINGLES:
            return self._reading([item for service in services if (item := self._reader.virtual_server(service.id))])
        if self._listed <= FEW:
            # If the device does not return the listing like this, the plain one will do.
            with contextlib.suppress(Refused, UnexpectedAnswer):
                reading = self._reading(self._list(attached=True))
                if {service.id for service in services} <= {found.id for found in reading.services}:
                    return reading
        return self.read()

    def _list(self, *, attached: bool = False) -> list[objects.Item]:
        items = self._reader.virtual_servers(attached=attached)
        self._listed = len(items)
        return items

    def _reading(self, items: Sequence[objects.Item]) -> Reading:
        names: dict[str, str] = {}
        # $filter lets through what other partitions show to this one.
        mine = [item for item in items if self._partition in (None, objects.partition_of(item))]
        if any(map(objects.names_an_address, mine)):
            named, _unread = self._reader.virtual_addresses({})
            names = {item.name: item.shown for item in named}
        found, unread = objects.virtual_servers(mine, names)
        self._forwarders = objects.forwarders(items)
        self._servers = {server.service.id: server for server in found}
        return Reading(
            tuple(map(self._around.switched, found)),
            findings=tuple(judge.list_findings(found, chosen=False)),
            unread=tuple(unread),
            own_addresses=tuple(server.service.address for server in found),
        )

    def inspect(self, services: Sequence[Service]) -> Sequence[Finding]:
        findings = [
            finding for service in services for finding in judge.virtual_server_findings(self._servers[service.id])
        ]
        return [*findings, *self._forwarding_findings(services, None)]

    def _forwarding_findings(self, services: Sequence[Service], around: joins.Surroundings | None) -> list[Finding]:
        if not services:
            return []
        return judge.forwarding_findings(services, self._forwarders, around, self.label, self._partition)

    def guard(self, services: Sequence[Service], *, changing: bool) -> Reading:
        servers, reader = [self._servers[service.id] for service in services], self._reader
        around, findings = reader.surroundings(servers, changing=changing, syncing=self._sync_group is not None)
        self._around = around
        snats, not_read = reader.global_snats(around.domains)
        findings += not_read + judge.snat_findings(snats, around.near(servers), self.label)
        translations = [snat.translation for snat in snats if snat.translation]
        for kind in self._pool_kinds(services, changing=changing):
            self._pools[kind], not_read = reader.snat_pools(kind)
            findings += not_read
        if not changing:  # after a change, the last reading has shown what is attached
            translations += [name for names in (self._pools.get(objects.SNAT_POOL) or {}).values() for name in names]
            findings += reader.policy_findings(servers)
            if not self._sync_group and not all(service.source_preserved for service in services):
                findings += judge.left_behind(around.units, self.label, changed=False)
        if not self._restores:
            findings += judge.needed_pool_findings(services)
        findings += reader.persistence_findings(servers, around) + reader.rule_findings(servers)
        for server in servers:
            findings += judge.source_findings(server, around) + judge.pool_findings(server, around)
        findings += reader.owner_findings(servers) + self._forwarding_findings(services, around)
        guarded = tuple(map(around.service, servers))
        at = [
            replace(service, address=server.address(around.domains))
            for service, server in zip(guarded, servers, strict=True)
        ]
        findings += subnet_findings(at, around.own)
        own, not_read = reader.translation_addresses(translations)
        return Reading(
            guarded,
            findings=(*findings, *not_read),
            version=str(around.units.own.get("version", "")),
            own_addresses=(*own, *(item.address for item in around.own)),
        )

    def _pool_kinds(self, services: Sequence[Service], *, changing: bool) -> list[str]:
        """Return the kinds of pools to read: those of which a snapshot restores one that no virtual server uses now."""
        held = [server.service.value for server in self._servers.values()]
        kinds = {objects.pool_kind(value) for value in self._restores if value not in held}
        values = () if changing else (*self._restores, *(service.value for service in services))
        # The members are addresses from which the device sends. A pool for large scale NAT has none.
        return sorted({*kinds, *({objects.SNAT_POOL} & set(map(objects.pool_kind, values)))} - {""})

    def obstacles(self, changes: Sequence[Change]) -> Sequence[str]:
        return [
            f"{change.id} had the pool {change.after.get('pool')} for its Source Address Translation, and this pool does not exist any more."
            ' Create it again, or put "automap" in its place in the snapshot.'
            for change in changes
            if isinstance(change.after, dict)
            and (pools := self._pools.get(objects.pool_kind(change.after))) is not None
            and change.after.get("pool") not in pools
        ]

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
        findings: list[Finding] = []
        if self._sync_group:
            self._sync(self._sync_group)
        else:
            findings += judge.left_behind(self._around.units, self.label, changed=True)
        findings += self._clear(changed) if self._clear_connections else [self._flows(remedy=CLEARING)]
        return findings + self._reader.policy_findings([self._servers[service.id] for service in services])

    # What these take

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
            self.shield()  # it may still take effect, so nothing may cut the wait short
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
        self._api.send("PATCH", self._reader.path(change.id), {"sourceAddressTranslation": setting}, headers)

    def _clear(self, services: Sequence[Service]) -> list[Finding]:
        """End connections by address, port and protocol. What is not of these services alone is left."""
        changed = {service.id for service in services}
        others = {
            (server.service.address, server.service.port): name
            for name, server in self._servers.items()
            if name not in changed
        }
        left = []
        try:
            for service in services:
                if not service.address or "/" in service.address:
                    left.append(f"{service} has no address of its own to select them by.")
                    continue
                address = self._servers[service.id].address(self._around.domains)
                for port in IKE_PORTS if service.port == ANY_PORT else (service.port,):
                    if other := others.get((service.address, port)):
                        left.append(f"{other} has the address and the port of {service.id}.")
                        continue
                    options = f"cs-server-addr {address} cs-server-port {port} protocol udp"
                    self._api.send("DELETE", f"/mgmt/tm/sys/connection?options={quote_plus(options)}")
        except DeviceError as error:
            return [self._flows(f"They could not be cleared: {error}", CLEARING)]
        return [self._flows(f"Some are not cleared: {' '.join(left)}", CLEARING)] if left else []

    def _sync(self, group: str) -> None:
        self._api.send("POST", "/mgmt/tm/cm", {"command": "run", "utilCmdArgs": f"config-sync to-group {group}"}).json()
        status = ""
        for poll in range(SYNC_POLLS):
            former, status = status, self._reader.sync_status()
            if status != former:
                self.progress.append(f"Sync to {group}: {status} after {poll * SYNC_PAUSE} s.")
            if status == "In Sync":
                return
            time.sleep(SYNC_PAUSE)
        raise Refused(
            f"{self.label}: the sync to {group} has not finished after {SYNC_POLLS * SYNC_PAUSE} s; the status is {status!r}."
            " Check the device group, and sync by hand."
        )
