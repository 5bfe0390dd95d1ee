# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Progress Kemp LoadMaster, API v1 (XML) and v2 (JSON): transparency of UDP virtual services."""

from __future__ import annotations

import typing as t
from collections.abc import Sequence
from dataclasses import replace
from xml.etree import ElementTree

from ansible_collections.aovpn.ikev2.plugins.module_utils._engine import Adapter
from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Answer, Endpoint, Http, understood
from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import (
    AccessDenied,
    Change,
    Reading,
    Refused,
    Server,
    Service,
    Value,
    canonical_address,
)

LAYER_4 = 4
"""The layer on which the LoadMaster always keeps the client's address, whatever the flag says."""

NOT_HERE = (404, 405)
"""What a firmware answers that does not have the API, or not this version of it."""

Fields: t.TypeAlias = "dict[str, t.Any]"


class LoadMaster(Adapter):
    """A LoadMaster. ``api_version``: 1, 2, or None to find out. ``api_key`` goes before user and password."""

    platform = "loadmaster"
    preserving = True

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        username: str | None = None,
        password: str | None = None,
        api_key: str | None = None,
        api_version: int | None = None,
    ) -> None:
        self.host = endpoint.host
        self.label = f"LoadMaster {endpoint.host}"
        self._http = Http(endpoint, self.label)
        self._username = username or ""
        self._password = password or ""
        self._api_key = api_key
        self._version = api_version
        self._records: dict[str, Fields] = {}

    @property
    def requests(self) -> int:
        return self._http.requests

    def preserves(self, service: Service, value: Value) -> bool:
        always = service.source_preserved and not service.value
        return bool(value) or always

    def open(self) -> None:
        """Do nothing: each request carries its own credentials."""

    def close(self) -> None:
        self._http.close()

    def read(self) -> Reading:
        listed = self._ask("listvs")
        with understood(self.label, "virtual services"):
            found = [(_service(record), record) for record in _list(listed, "VS") if _is_udp_service(record)]
        self._records = {service.id: record for service, record in found}
        return Reading(tuple(service for service, _dummy in found))

    def guard(self, services: Sequence[Service]) -> Reading:
        interfaces = self._ask("showiface")
        with understood(self.label, "interfaces"):
            networks = [_network(item) for item in _list(interfaces, "Interface") if item.get("IPAddress")]
        return Reading(tuple(replace(service, servers=self._servers(service, networks)) for service in services))

    def apply(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self._ask("modvs", {**_identity(self._records[change.id]), "Transparent": change.after})

    def keep(self) -> None:
        """Do nothing: a LoadMaster keeps each change at once."""

    def _servers(self, service: Service, networks: Sequence[tuple[str, netaddr.IPNetwork]]) -> tuple[Server, ...]:
        record = self._records[service.id]
        if "Rs" not in record:  # some firmware lists the real servers only when asked for one service
            record = self._ask("showvs", _identity(record))
        with understood(self.label, f"real servers of {service.id}"):
            return tuple(
                Server(
                    address,
                    int(item["Port"]),
                    tuple(own for own, network in networks if netaddr.IPAddress(address) in network),
                )
                for item in _list(record, "Rs")
                if (address := canonical_address(str(item["Addr"])))
            )

    def _ask(self, command: str, parameters: Fields | None = None) -> Fields:
        """Send a command over the API version that the device has; the first answer decides which."""
        repeat = command.startswith(("list", "show", "get"))
        if self._version != 1:
            try:
                fields = self._ask_v2(command, parameters or {}, repeat=repeat)
            except Refused as error:
                if self._version == 2 or error.status not in NOT_HERE:
                    raise
            else:
                self._version = 2
                return fields
        self._version = 1
        return self._ask_v1(command, parameters or {}, repeat=repeat)

    def _ask_v2(self, command: str, parameters: Fields, *, repeat: bool) -> Fields:
        credentials = (
            {"apikey": self._api_key} if self._api_key else {"apiuser": self._username, "apipass": self._password}
        )
        answer = self._http.send("POST", "/accessv2", body={"cmd": command, **credentials, **parameters}, repeat=repeat)
        if answer.status in NOT_HERE and not answer.text.lstrip().startswith("{"):
            raise self._refusal(command, answer.status, "")
        if answer.status in (401, 403):
            raise self._denied(command, answer)
        fields = answer.json()
        code = int(fields.get("code", answer.status))
        # The HTTP status may be 200 all the same. 'Status' with a capital is the service's health and says nothing here.
        if code >= 400 or str(fields.get("status", "ok")) != "ok":
            if code in (401, 403):
                raise self._denied(command, answer)
            raise self._refusal(command, code, str(fields.get("message", "")))
        return fields

    def _ask_v1(self, command: str, parameters: Fields, *, repeat: bool) -> Fields:
        # As a form, since what stands in a URL stands in logs; and flags are Y and N here.
        form = {
            key: ("Y" if value else "N") if isinstance(value, bool) else str(value) for key, value in parameters.items()
        }
        if self._api_key:
            form["apikey"] = self._api_key
        auth = None if self._api_key else (self._username, self._password)
        answer = self._http.send("POST", f"/access/{command}", form=form, auth=auth, repeat=repeat)
        if answer.status in (401, 403):
            raise self._denied(command, answer)
        if answer.status in NOT_HERE and "<Response" not in answer.text:
            raise self._refusal(command, answer.status, "")
        response = _parse_xml(answer)
        if response.get("code") != "ok":
            raise self._refusal(command, int(response.get("stat", answer.status)), response.findtext("Error") or "")
        data = response.find("Success/Data")
        return {} if data is None else _fields(data)

    def _denied(self, command: str, answer: Answer) -> AccessDenied:
        who = "the API key" if self._api_key else f"user {self._username!r}"
        return AccessDenied(
            f"{self.label} does not let {who} do this ({command}, status {answer.status})."
            " Check the credentials, the user's permissions, and that the API is enabled."
        )

    def _refusal(self, command: str, status: int, message: str) -> Refused:
        reason = message or (
            "the API is off, or this firmware does not know it" if status in NOT_HERE else "no reason given"
        )
        advice = (
            " Enable it in the LoadMaster's own interface (Certificates & Security, Remote Access)."
            if status == 404 and not message
            else ""
        )
        return Refused(f"{self.label} refused {command}: {reason} (status {status}).{advice}", status=status)


class _NoDoctype(ElementTree.TreeBuilder):
    """Builds a tree of a document without a document type: with none, there are no entities to expand."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Refuse."""
        raise ElementTree.ParseError("a document type")


def _parse_xml(answer: Answer) -> ElementTree.Element:
    try:
        root = ElementTree.fromstring(answer.text, ElementTree.XMLParser(target=_NoDoctype()))
    except ElementTree.ParseError as error:
        raise answer.unexpected("an XML document") from error
    if root.tag != "Response":
        raise answer.unexpected("an XML document with the element Response")
    return root


def _fields(element: ElementTree.Element) -> Fields:
    """Turn an element's children into fields, as the JSON of API v2 has them; what repeats becomes a list."""
    fields: Fields = {}
    for child in element:
        value: t.Any = _fields(child) if len(child) else (child.text or "").strip()
        if child.tag in fields:
            there = fields[child.tag]
            fields[child.tag] = [*(there if isinstance(there, list) else [there]), value]
        else:
            fields[child.tag] = value
    return fields


def _list(fields: Fields, key: str) -> list[Fields]:
    """Give a list of records: absent when empty, and one alone may stand without its list."""
    found = fields.get(key) or []
    return found if isinstance(found, list) else [found]


def _flag(value: t.Any) -> bool:
    if value in (True, "Y", "1", 1):
        return True
    if value in (False, "N", "0", 0):
        return False
    raise ValueError(f"{value!r} is neither yes nor no")


def _is_udp_service(record: Fields) -> bool:
    """Tell virtual services from SubVS entries, which have no address of their own."""
    return record.get("Protocol") == "udp" and bool(record.get("VSAddress")) and int(record.get("MasterVSID") or 0) == 0


def _service(record: Fields) -> Service:
    address, port = canonical_address(str(record["VSAddress"])), int(record["VSPort"])
    transparent = _flag(record.get("Transparent", False))
    shown = f"[{address}]" if ":" in address else address
    nickname = str(record.get("NickName") or "")
    return Service(
        id=f"{shown}:{port}/udp",
        address=address,
        port=port,
        value=transparent,
        source_preserved=transparent or int(record.get("Layer") or 0) == LAYER_4,
        enabled=_flag(record.get("Enable", True)),
        names=(str(record["Index"]), *([nickname] if nickname else [])),
    )


def _identity(record: Fields) -> Fields:
    return {"vs": record["VSAddress"], "port": str(record["VSPort"]), "prot": "udp"}


def _network(item: Fields) -> tuple[str, netaddr.IPNetwork]:
    """Read an interface: in a high-availability pair the shared address is the one that stays."""
    address, _dummy, length = str(item["IPAddress"]).partition("/")
    own = str(item.get("SharedIPAddress") or address).partition("/")[0]
    return canonical_address(own), netaddr.IPNetwork(f"{address}/{length}")
