# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Progress Kemp LoadMaster, API v1 (XML) and v2 (JSON): transparency of UDP virtual services."""

from __future__ import annotations

import time
import typing as t
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ansible_collections.aovpn.ikev2.plugins.module_utils._adapter import Adapter, unread_findings
from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Answer, Auth, Endpoint, understood
from ansible_collections.aovpn.ikev2.plugins.module_utils._loadmaster import findings as judge
from ansible_collections.aovpn.ikev2.plugins.module_utils._loadmaster import objects
from ansible_collections.aovpn.ikev2.plugins.module_utils._loadmaster.decode import (
    Fields,
    NotUnderstood,
    decode_json,
    decode_xml,
)
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import (
    AccessDenied,
    Change,
    Finding,
    InvalidInput,
    Reading,
    Refused,
    Service,
    Snapshot,
    Value,
    canonical_address,
)

NOT_HERE = (404, 405)
"""What the web server answers where the API, or this version of it, does not exist or is off."""

CALLS, SECONDS = 25, 3.0
"""How many calls are made in so many seconds. The LoadMaster drops the connection at more than 30 in 3, whoever makes them."""


class _NotHere(Refused):
    """This version of the API does not answer at all."""


class LoadMaster(Adapter):
    """A LoadMaster. ``api_version``: 1, 2, or None to find out. ``api_key`` takes precedence over user and password.

    ``gateway``: the servers' default gateway where the device names no address of its own in their subnet.
    """

    platform = "loadmaster"
    title = "LoadMaster"
    setting = objects.TRANSPARENT
    preserving = True

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        username: str | None = None,
        password: str | None = None,
        api_key: str | None = None,
        api_version: int | None = None,
        gateway: str | None = None,
    ) -> None:
        super().__init__(endpoint)
        if endpoint.client_cert:
            if api_version == 2:
                raise InvalidInput(
                    "Option 'client_cert' needs version 1 of the API: version 2 has no client certificates."
                )
            api_version = 1
        try:
            self._gateway = canonical_address(gateway) if gateway else None
        except ValueError as error:
            raise InvalidInput(f"Option 'gateway' is {gateway!r}, which is not an IP address.") from error
        self._username = username or ""
        self._password = password or ""
        self._api_key = api_key
        self._version = api_version
        self._calls: deque[float] = deque(maxlen=CALLS)
        self._services: dict[str, objects.VirtualService] = {}
        self._asked: dict[str, objects.RealServers] = {}

    @classmethod
    def of(cls, endpoint: Endpoint, options: dict[str, t.Any], snapshot: Snapshot | None) -> t.Self:
        version = options.pop("api_version")
        return cls(endpoint, api_version=None if version == "auto" else int(version), **options)

    def preserves(self, service: Service, settings: Mapping[str, Value]) -> bool:
        return self._services[service.id].preserves(settings[self.setting] is True)

    def open(self) -> None:
        """No log-in: each request carries its own credentials."""

    # The engine's way through

    def read(self) -> Reading:
        fields = self._ask("listvs")
        with understood(self.label, "virtual services"):
            found, unread = objects.virtual_services(fields)
        # What a single service was asked for once is not asked for again.
        found = [
            virtual.with_real(self._asked.get(virtual.service.id)) if virtual.real is None else virtual
            for virtual in found
        ]
        self._services = {virtual.service.id: virtual for virtual in found}
        services = tuple(service for virtual in found for service in virtual.services)
        own = [address for virtual in found for address in virtual.sources]
        own += [service.address for service in services]
        return Reading(services, unread=tuple(unread), own_addresses=tuple(own))

    def inspect(self, services: Sequence[Service]) -> Sequence[Finding]:
        virtuals = self._virtuals(services)
        findings = [finding for virtual in virtuals for finding in judge.service_findings(virtual)]
        for name, virtual in self._services.items():
            findings += unread_findings((virtual.real or objects.RealServers()).unread, of=name)
            findings += unread_findings(virtual.unread_sources, of=name)
        findings += judge.originating_findings(virtuals, self.label)
        return findings + judge.persistence_findings(services, self._services)

    def guard(self, services: Sequence[Service], *, changing: bool) -> Reading:
        fields = self._ask("getall")
        with understood(self.label, "settings"):
            device = objects.settings(fields)
        fields = self._ask("showiface")
        with understood(self.label, "interfaces"):
            own, unread = objects.interfaces(fields)
        findings = unread_findings(unread, of=self.label)
        for virtual in self._virtuals(services):
            if virtual.real is None:
                findings += self._ask_servers(virtual)
        findings += judge.device_findings(device, self._virtuals(services), self.label)
        with understood(self.label, "subnets"):
            guarded = tuple(self._guarded(service, own, device) for service in services)
            layer_7 = [service for service in guarded if self._services[service.id].layer != objects.LAYER_4]
            findings += judge.network_findings(layer_7, own, device)
        findings += judge.direct_findings(guarded) + judge.alternate_findings(guarded, self._services)
        addresses = tuple(address for item in own for address in (item.address, item.shared))
        return Reading(guarded, findings=tuple(findings), version=device.version, own_addresses=addresses)

    def _guarded(self, service: Service, own: Sequence[objects.Interface], device: objects.Settings) -> Service:
        virtual = self._services[service.id]
        real = virtual.real or objects.RealServers()
        return replace(
            service,
            source_preserved=virtual.service.source_preserved,
            servers=objects.with_gateways(real.servers, own, device, self._gateway),
            unresolved=real.unresolved,
        )

    def obstacles(self, changes: Sequence[Change]) -> Sequence[str]:
        return [
            f"{change.id} is on layer 4 now, where it always keeps the client's address, so {change} cannot be restored."
            " Put it back on layer 7 first, or take it out of the snapshot."
            for change in changes
            if self._services[change.id].layer == objects.LAYER_4
        ]

    def apply(self, changes: Sequence[Change]) -> None:
        for change in changes:
            # Identity and the one key: nothing else in the record may be written back.
            self._ask("modvs", {**self._services[change.id].identity, change.setting: change.after})

    def keep(self) -> None:
        """No save: a LoadMaster keeps each change at once."""

    def finish(self, services: Sequence[Service], changed: Sequence[Service]) -> Sequence[Finding]:
        return [self._flows()]

    def _virtuals(self, services: Sequence[Service]) -> list[objects.VirtualService]:
        return [self._services[name] for name in dict.fromkeys(service.id for service in services)]

    def _ask_servers(self, virtual: objects.VirtualService) -> list[Finding]:
        """Ask for a service's real servers, which some firmware may list only for a single service: one request more for each."""
        name, fields = virtual.service.id, self._ask("showvs", virtual.identity)
        with understood(self.label, f"real servers of {name}"):
            self._asked[name] = objects.real_servers(fields)
        self._services[name] = virtual.with_real(self._asked[name])
        return unread_findings(self._asked[name].unread, of=name)

    # Requests

    def _ask(self, command: str, parameters: Fields | None = None) -> Fields:
        """Send a command over the API version that the device has. The first answer decides which."""
        if self._version is None:
            try:
                fields = self._ask_version(2, command, parameters or {})
            except _NotHere:
                # Refused before the credentials were checked, so they are not tried twice.
                self._version = 1
            else:
                self._version = 2
                return fields
        return self._ask_version(self._version, command, parameters or {})

    def _ask_version(self, version: int, command: str, parameters: Fields) -> Fields:
        answer = (self._send_v2 if version == 2 else self._send_v1)(command, parameters)
        page = answer.text.lstrip()[:1] != "{" if version == 2 else "<Response" not in answer.text
        if page and answer.status in NOT_HERE:
            raise _NotHere(
                f"{self.label} refused {command}: it does not answer to version {version} of the API (status {answer.status})."
                " Either the API is off, and then an administrator has to enable it in the LoadMaster's own interface"
                " (Certificates & Security, Remote Access), or this firmware does not have this version.",
                status=answer.status,
            )
        if page and answer.status in (401, 403):
            raise self._denied(command, answer.status)
        try:
            outcome = decode_json(answer.text) if version == 2 else decode_xml(answer.body, answer.charset)
        except NotUnderstood as error:
            raise answer.unexpected(str(error)) from error
        # The HTTP status may be 200 despite an error inside, so both have to be good.
        code = max(outcome.code, answer.status)
        if code in (401, 403):
            raise self._denied(command, code)
        if code >= 400:
            meant = ", ".join(f"{key}={value}" for key, value in parameters.items())
            raise Refused(
                f"{self.label} refused {command}{f' ({meant})' if meant else ''}:"
                f" {outcome.message or 'no reason given'} (status {code}).",
                status=code,
            )
        return outcome.fields

    def _send_v2(self, command: str, parameters: Fields) -> Answer:
        credentials = (
            {"apikey": self._api_key} if self._api_key else {"apiuser": self._username, "apipass": self._password}
        )
        return self._send(command, "/accessv2", body={"cmd": command, **credentials, **parameters})

    def _send_v1(self, command: str, parameters: Fields) -> Answer:
        # As a form, since URLs end up in logs. Flags are Y and N here.
        form = {
            key: ("Y" if value else "N") if isinstance(value, bool) else str(value) for key, value in parameters.items()
        }
        if self._api_key:
            form["apikey"] = self._api_key
        auth: Auth = (self._username, self._password) if self._username and not self._api_key else None
        return self._send(command, f"/access/{command}", form=form, auth=auth)

    def _send(self, command: str, path: str, **how: t.Any) -> Answer:
        if len(self._calls) == CALLS and (early := self._calls[0] + SECONDS - time.monotonic()) > 0:
            time.sleep(early)
        self._calls.append(time.monotonic())
        # A write is not repeated before it was checked. A read is, once earlier calls of anyone no longer count.
        return self._http.send("POST", path, repeat=command != "modvs", pause=SECONDS, **how)

    def _denied(self, command: str, status: int) -> AccessDenied:
        who = (
            "the API key"
            if self._api_key
            else f"user {self._username!r}"
            if self._username
            else "the client certificate"
        )
        if status == 403:
            advice = "Give the user the permission Virtual Services."
        else:
            advice = "Check the credentials, and that the API is enabled."
            if self._version is None:
                advice += " If this firmware has version 1 of the API only, set 'api_version' to 1."
        return AccessDenied(f"{self.label} does not let {who} do this ({command}, status {status}). {advice}")
