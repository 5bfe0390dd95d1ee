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
from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Answer, Endpoint, understood
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import (
    ANY_PORT,
    IKE_PORTS,
    AccessDenied,
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

BUSY = ("There is an active asynchronous task executing", "Configuration Utility restarting")
"""The two transient answers (HTTP 503). The request was not carried out, so sending it again is safe."""
PAUSES = (1, 2, 4)
"""How long to wait before the next try then, in seconds."""

LEAST_TOKEN_LIFE = 300
"""A token that lives shorter is lengthened to this, in seconds; BIG-IP's default is 1200."""
COMMIT_POLLS, COMMIT_PAUSE = 30, 2
"""How often to ask for a transaction whose commit was not answered, and the seconds in between."""
SYNC_POLLS, SYNC_PAUSE = 60, 2
"""How often to look whether a sync has arrived, and the seconds in between."""

ROLE_REFUSAL = "Authorization failed: user="
"""What the message of a 401 begins with that is about the user's role and not about the token."""

NOT_PERMITTED = "01070822"
"""What mcpd's 'Access Denied' begins with, which comes with HTTP 400."""


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
        self._username = username
        self._password = password
        self._login_provider = login_provider
        self._partition = partition
        self._save = save
        self._sync_group = sync_group
        self._clear_connections = clear_connections
        self._token: str | None = None
        self._tokens: list[str] = []
        self._basic = False
        self._servers: dict[str, objects.VirtualServer] = {}
        self._addresses: dict[str, str] = {}
        self._listed = 0

    def wanted(self, service: Service) -> Mapping[str, Value]:
        return {} if service.source_preserved else {self.setting: objects.NONE}

    def preserves(self, service: Service, settings: Mapping[str, Value]) -> bool:
        return settings[self.setting] == objects.NONE

    # Session

    def open(self) -> None:
        answer = self._patient(
            "POST",
            "/mgmt/shared/authn/login",
            {"username": self._username, "password": self._password, "loginProviderName": self._login_provider},
            {},
        )
        if answer.status == 404:
            # A device without the log-in service still knows its local users.
            self._basic = True
            return
        if answer.status == 401:
            raise AccessDenied(f"{self.label} refused user {self._username!r}. Check 'username' and 'password'.")
        if "maximum active login tokens" in answer.text:
            raise AccessDenied(
                f"{self.label}: user {self._username!r} has as many open logins as the device allows."
                " They end by themselves within 20 minutes; an account of its own for Ansible avoids this."
            )
        self._accepted(answer, "logging in")
        self._token, life = answer.parse(
            lambda body: (str(body["token"]["token"]), int(body["token"]["timeout"])), "login token"
        )
        self._tokens.append(self._token)
        if life < LEAST_TOKEN_LIFE:
            # Not everybody may, and the token may well live long enough.
            with contextlib.suppress(DeviceError):
                self._patient("PATCH", self._token_path(self._token), {"timeout": LEAST_TOKEN_LIFE}, {})

    def close(self) -> None:
        try:
            if self._token:
                self._accepted(self._patient("DELETE", self._token_path(self._token), None, {}), "logging out")
        finally:
            self._token = None
            self._http.close()

    # The engine's way through

    def read(self) -> Reading:
        return self._reading(self._list())

    def reread(self, services: Sequence[Service]) -> Reading:
        if self._listed > FEW and len(services) <= SINGLES:
            return self._reading([item for service in services if (item := self._item(service.id))])
        if self._listed <= FEW:
            # Where the device does not give the listing like this, the plain one will do.
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
            self._addresses = self._get("/mgmt/tm/ltm/virtual-address").parse(objects.addresses, "virtual addresses")
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
        pools = self._get("/mgmt/tm/ltm/pool?expandSubcollections=true").parse(
            lambda body: objects.pools(body, names), "pools"
        )
        own = self._get("/mgmt/tm/net/self").parse(objects.self_ips, "self IPs")
        devices = self._get("/mgmt/tm/cm/device").parse(objects.devices, "devices")
        findings = judge.standby_findings(devices, self.label)
        groups: dict[str, str] | None = None
        if len(devices) > 1:
            groups = self._get("/mgmt/tm/ltm/virtual-address").parse(objects.traffic_groups, "virtual addresses")
        if groups is not None or self._sync_group:
            findings += judge.sync_findings(self._sync_status(), self.label, syncing=self._sync_group is not None)
        findings += self._get("/mgmt/tm/ltm/snat").parse(
            lambda body: judge.snat_findings(body, objects.server_networks(servers, pools, own), self.label),
            "SNAT objects",
        )
        if not changing:  # a change looks afterwards, when the last reading has shown what is attached
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
            # A device that keeps a SNAT pool's name with type none may refuse the one for the other's sake.
            pools = [change.before["pool"] for change in changes if isinstance(change.before, dict)]
            if not any(pool in str(error) for pool in pools):
                raise
            self._write(changes, drop_pool=True)

    def keep(self) -> None:
        if self._save:
            # Saving twice is the same as saving once.
            self._send("POST", "/mgmt/tm/sys/config", {"command": "save"}, repeat=True, patience=SAVE_TIMEOUT).json()

    def finish(self, services: Sequence[Service], changed: Sequence[Service]) -> Sequence[Finding]:
        if self._sync_group:
            self._sync(self._sync_group)
        findings = (
            self._clear(changed)
            if self._clear_connections
            else [
                self._flows("They go on as they are until they have been idle, which keepalives may put off for long.")
            ]
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
            page = self._get(path).parse(objects.page, "virtual servers")
            path = page.following
            if path and not items and page.total > 3 * PAGE:
                path = f"{listing}&$top={-(-(page.total - PAGE) // 2)}&$skip={PAGE}"
            items += page.items
        self._listed = len(items)
        return items

    def _item(self, name: str) -> objects.Item | None:
        """Read one virtual server with what is attached to it; None where it is not there any more."""
        answer = self._exchange("GET", f"{self._path(name)}?$select={objects.VIRTUAL_SERVER}{ATTACHED}")
        return None if answer.status == 404 else self._accepted(answer, f"GET {name}").json()

    @staticmethod
    def _path(name: str, collection: str = "ltm/virtual") -> str:
        return f"/mgmt/tm/{collection}/{quote(objects.rest_name(name), safe='~')}"

    def _write(self, changes: Sequence[Change], *, drop_pool: bool) -> None:
        if len(changes) == 1:
            self._translate(changes[0], {}, drop_pool=drop_pool)
            return
        transaction = self._send("POST", "/mgmt/tm/transaction", {}).parse(
            lambda body: int(body["transId"]), "transaction"
        )
        for change in changes:
            self._translate(change, {"X-F5-REST-Coordination-Id": str(transaction)}, drop_pool=drop_pool)
        path = f"/mgmt/tm/transaction/{transaction}"
        try:
            self._send("PATCH", path, {"state": "VALIDATING"})
        except Unreachable:
            if not self._is_committed(path):
                raise

    def _is_committed(self, path: str) -> bool:
        """Wait for the end of a transaction that may still be under way, lest it takes effect after it was told as failed."""
        for _poll in range(COMMIT_POLLS):
            try:
                state = self._get(path).parse(lambda body: str(body["state"]), "transaction")
            except DeviceError:
                return False  # forgotten, or out of reach: what stands decides
            if state != "VALIDATING":
                return state == "COMPLETED"
            time.sleep(COMMIT_PAUSE)
        return False

    def _translate(self, change: Change, headers: dict[str, str], *, drop_pool: bool) -> None:
        setting: dict[str, t.Any] = change.after if isinstance(change.after, dict) else {"type": change.after}
        left_over = isinstance(change.before, dict) and change.before["type"] == change.after
        if "pool" not in setting and (left_over or (drop_pool and isinstance(change.before, dict))):
            setting = {**setting, "pool": objects.NONE}
        self._send("PATCH", self._path(change.id), {"sourceAddressTranslation": setting}, headers)

    def _clear(self, services: Sequence[Service]) -> list[Finding]:
        try:
            for service in services:
                if service.address in ("", *objects.ANY_ADDRESS.values()):
                    return [
                        self._flows(f"They are not cleared: {service.id} has no address of its own to choose them by.")
                    ]
                for port in IKE_PORTS if service.port == ANY_PORT else (service.port,):
                    options = f"cs-server-addr {service.address} cs-server-port {port} protocol udp"
                    self._send("DELETE", f"/mgmt/tm/sys/connection?options={quote_plus(options)}")
        except DeviceError as error:
            return [self._flows(f"They could not be cleared: {error}")]
        return []

    def _persistence_findings(
        self, servers: Sequence[objects.VirtualServer], pools: Mapping[str, objects.Pool]
    ) -> list[Finding]:
        choosing = objects.choosing(servers, pools)
        across: dict[str, bool] = {}
        if any(len(group) > 1 and objects.shared_persistence(group) for group in choosing):
            answer = self._get("/mgmt/tm/ltm/persistence/source-addr")
            across = answer.parse(objects.match_across_services, "persistence profiles")
        return judge.persistence_findings(choosing, across)

    def _rule(self, name: str) -> str:
        answer = self._get(self._path(name, "ltm/rule"))
        return answer.parse(lambda body: str(body.get("apiAnonymous", "")), "iRule")

    def _policy_findings(self, servers: Sequence[objects.VirtualServer]) -> list[Finding]:
        """Tell attached LTM policies that translate; where none is known to be attached, nothing is asked for."""
        findings: list[Finding] = []
        if all(server.policies == frozenset() for server in servers):
            return findings
        translating = self._get("/mgmt/tm/ltm/policy?expandSubcollections=true").parse(
            objects.translating_policies, "LTM policies"
        )
        for server in servers if translating else ():
            attached = server.policies
            if attached is None:
                answer = self._get(f"{self._path(server.service.id)}/policies")
                attached = frozenset(answer.parse(objects.full_paths, "policies of a virtual server"))
            findings += judge.policy_findings(server, attached & translating)
        return findings

    def _owners(self, servers: Sequence[objects.VirtualServer]) -> list[Finding]:
        """Tell virtual servers that an iApp or an AS3 declaration owns. Asks only where there may be one."""
        strict = {name: self._is_strict(name) for name in sorted({server.application for server in servers} - {""})}
        declared: set[tuple[str, str]] | None = set()
        if any(server.is_in_folder for server in servers):
            answer = self._exchange("GET", "/mgmt/shared/appsvcs/declare")
            if answer.status == 200:
                declared = answer.parse(objects.declared, "AS3 declaration")
            elif answer.status not in (204, 404):  # nothing declared, or no AS3 on the device
                declared = None
        return [finding for server in servers for finding in judge.owner_findings(server, strict, declared)]

    def _is_strict(self, application: str) -> bool:
        answer = self._get(self._path(application, "sys/application/service"))
        return answer.parse(lambda body: bool(body.get("strictUpdates", "enabled") == "enabled"), "application service")

    def _sync_status(self) -> str:
        return self._get("/mgmt/tm/cm/sync-status").parse(objects.sync_status, "sync status")

    def _sync(self, group: str) -> None:
        self._send("POST", "/mgmt/tm/cm", {"command": "run", "utilCmdArgs": f"config-sync to-group {group}"}).json()
        status = ""
        for poll in range(SYNC_POLLS):
            former, status = status, self._sync_status()
            if status != former:
                self.progress.append(f"Sync to {group}: {status} after {poll * SYNC_PAUSE} s.")
            if status == "In Sync":
                return
            time.sleep(SYNC_PAUSE)
        raise Refused(
            f"{self.label}: the sync to {group} has not arrived after {SYNC_POLLS * SYNC_PAUSE} s; the status is {status!r}."
            " Look at the device group, and sync by hand."
        )

    def _flows(self, message: str) -> Finding:
        return Finding(
            "existing_flows",
            "info",
            self.label,
            f"Flows that exist keep the source address with which they began. {message}",
            "Option 'clear_connections' ends them, so that clients come back with their own addresses.",
        )

    # Requests

    def _get(self, path: str) -> Answer:
        return self._send("GET", path)

    def _send(
        self, method: str, path: str, body: t.Any = None, headers: dict[str, str] | None = None, **how: t.Any
    ) -> Answer:
        return self._accepted(self._exchange(method, path, body, headers, **how), f"{method} {path.partition('?')[0]}")

    def _exchange(
        self, method: str, path: str, body: t.Any = None, headers: dict[str, str] | None = None, **how: t.Any
    ) -> Answer:
        """Ask, and once more with a new token where the token has expired: nothing was done then."""
        answer = self._patient(method, path, body, headers or {}, **how)
        if answer.status == 401 and self._token and ROLE_REFUSAL not in answer.text:
            former, self._token = self._token, None
            try:
                self.open()
            except DeviceError:
                self._token = former  # to be ended, if it is not
                raise
            with contextlib.suppress(DeviceError):
                self._patient("DELETE", self._token_path(former), None, {})
            answer = self._patient(method, path, body, headers or {}, **how)
        return answer

    def _patient(self, method: str, path: str, body: t.Any, headers: dict[str, str], **how: t.Any) -> Answer:
        for pause in (*PAUSES, 0):
            answer = self._http.send(method, path, body=body, **how, **self._credentials(headers))
            if answer.status != 503 or not any(words in answer.text for words in BUSY) or not pause:
                break
            self.progress.append(
                f"Busy at {self._shown(f'{method} {path}'.partition('?')[0])}: asked again after {pause} s."
            )
            time.sleep(pause)
        return answer

    @staticmethod
    def _token_path(token: str) -> str:
        return f"/mgmt/shared/authz/tokens/{quote(token, safe='')}"

    def _credentials(self, headers: dict[str, str]) -> dict[str, t.Any]:
        if self._basic:
            return {"headers": headers, "auth": (self._username, self._password)}
        return {"headers": {**headers, "X-F5-Auth-Token": self._token} if self._token else headers}

    def _accepted(self, answer: Answer, doing: str) -> Answer:
        if answer.status < 300:
            return answer
        if answer.status in (401, 403) or NOT_PERMITTED in answer.text:
            raise AccessDenied(
                f"{self.label} does not let user {self._username!r} do this ({self._shown(doing)})."
                " Changes take the role Manager or above; to look takes Guest."
            )
        message = str(answer.json().get("message", "no reason given"))
        raise Refused(f"{self.label} refused {self._shown(doing)}: {self._shown(message)}", status=answer.status)

    def _shown(self, text: str) -> str:
        """Show a text without any token: paths have them, and the device repeats paths in its messages."""
        for token in self._tokens:
            text = text.replace(token, "…")
        return text
