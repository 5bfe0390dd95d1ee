# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A snapshot of a site: what it takes to restore every host, and to compare with. No input or output."""

from __future__ import annotations

import json
import typing as t
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Service, Snapshot
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.facts import Facts, bare
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.hosts import NOT_READABLE
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.site import Site

REFUSED: tuple[type[Exception], ...] = (*NOT_READABLE, RecursionError)

FORMAT = 2
TIME = "%Y-%m-%dT%H:%M:%SZ"
TO_RESTORE = ("gateway", "addresses", "routes", "ike_limit", "restart_owed")
"""What of a server's facts a restoration needs. The others, such as the clients' addresses, are not published."""
NO_SERVERS: t.Final[Mapping[str, t.Any]] = {"protocol": "udp", "enabled": True, "servers": ()}
"""What is not published of a service, since nothing is restored by it."""


@dataclass(frozen=True)
class Part:
    """A load balancer's part. ``own_addresses``: those from which it may send to the servers."""

    snapshot: Snapshot
    services: tuple[Service, ...] = ()
    own_addresses: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, t.Any]:
        """Return plain values."""
        return {
            "snapshot": self.snapshot.as_dict(),
            "services": [service.as_dict() for service in self.services],
            "own_addresses": list(self.own_addresses),
        }

    @classmethod
    def parse(cls, raw: Mapping[str, t.Any]) -> Part:
        """Read what ``as_dict`` or ``SiteSnapshot.as_text`` returned."""
        platform = raw["snapshot"]["platform"]
        values = [
            {"id": _name(item["id"]), "value": _value(platform, item["value"])} for item in raw["snapshot"]["services"]
        ]
        snapshot = Snapshot.parse({**raw["snapshot"], "services": values})
        services = []
        for service in raw["services"]:
            key = _name(service["id"])
            value = _value(platform, service["value"]) if "value" in service else snapshot.services[key]
            services.append(Service.parse({**NO_SERVERS, **service, "id": key, "value": value}))
        return cls(snapshot, tuple(services), tuple(map(bare, raw.get("own_addresses", ()))))

    @property
    def halves(self) -> tuple[str, ...]:
        """Return the addresses of half pairs: one service keeps the clients' addresses, the other does not."""
        found: dict[str, set[bool]] = {}
        for service in self.services:
            found.setdefault(service.address, set()).add(service.source_preserved)
        return tuple(address for address, kept in found.items() if len(kept) > 1)


def _name(raw: t.Any) -> str:
    """Return a name. YAML makes a number of ``500``, which still means only that; of ``no`` it makes what many names may mean."""
    if isinstance(raw, str) or (isinstance(raw, int) and not isinstance(raw, bool)):
        return str(raw)
    raise _mangled("a name", raw)


def _value(platform: str, raw: t.Any) -> t.Any:
    """Return the value of a service, also where YAML has read it by its own rules, if that leaves no doubt."""
    if platform == "netscaler":
        if isinstance(raw, Mapping):
            return {str(name): _value(platform, item) for name, item in raw.items()}
        if isinstance(raw, bool):
            return "YES" if raw else "NO"
    if platform == "bigip" and raw is None:
        return "none"
    if isinstance(raw, bool) is (platform == "loadmaster") and isinstance(raw, (str, bool, Mapping)):
        return raw
    raise _mangled("the value of a service", raw)


def _mangled(what: str, raw: t.Any) -> ValueError:
    return ValueError(f"{what} is {raw!r}, as YAML reads several texts: pass the snapshot on as one JSON text")


def _time(raw: t.Any) -> str:
    """Return a time in our own notation. YAML makes an object of it, which has another one."""
    moment = datetime.fromisoformat(str(raw))
    return f"{moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC):{TIME}}"


def _facts(raw: Mapping[str, t.Any]) -> dict[str, t.Any]:
    facts = {"gateway": None, **raw}
    if not isinstance(facts.get("ike_limit"), int | None) or isinstance(facts.get("ike_limit"), bool):
        raise _mangled("the limit of a server", facts["ike_limit"])
    if "routes" in facts:
        facts["routes"] = [{**route, "interface": _name(route["interface"])} for route in facts["routes"]]
    Facts.parse(facts)
    return facts


@dataclass(frozen=True)
class SiteSnapshot:
    """A snapshot, with the times at which it was taken, at which its run finished, and at which each host was restored.

    ``finished`` is None where the run failed or was killed, and empty where this is not known. ``saved``: when a later run saved a
    load balancer, on which the run may have left a change unsaved. ``servers`` holds ``rras_facts``.
    """

    taken: str
    playbook: str = ""
    finished: str | None = None
    used: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    saved: Mapping[str, str] = field(default_factory=dict)
    load_balancers: Mapping[str, Part] = field(default_factory=dict)
    servers: Mapping[str, Mapping[str, t.Any]] = field(default_factory=dict)

    @property
    def moment(self) -> str:
        """Return the time for sorting. What is no time, which format 1 did not rule out, counts as the oldest."""
        return self.taken if self.taken[:1].isdigit() else ""

    @property
    def hosts(self) -> tuple[str, ...]:
        """Return the hosts that it has, load balancers first."""
        return (*self.load_balancers, *self.servers)

    def only(self, hosts: Collection[str]) -> SiteSnapshot:
        """Return the snapshot of these hosts alone."""
        load_balancers = {host: part for host, part in self.load_balancers.items() if host in hosts}
        return replace(
            self,
            load_balancers=load_balancers,
            servers={host: facts for host, facts in self.servers.items() if host in hosts},
        )

    def restored(self, times: Mapping[str, str]) -> SiteSnapshot:
        """Return the snapshot with one more restoration of these hosts."""
        return replace(
            self, used={**self.used, **{host: (*self.used.get(host, ()), time) for host, time in times.items()}}
        )

    def as_dict(self) -> dict[str, t.Any]:
        """Return plain values."""
        plain = {
            **vars(self),
            "format": FORMAT,
            "used": {host: list(times) for host, times in self.used.items()},
            "saved": dict(self.saved),
            "load_balancers": {host: part.as_dict() for host, part in self.load_balancers.items()},
            "servers": {host: dict(facts) for host, facts in self.servers.items()},
        }
        if not self.saved:  # as the first files of this format have it
            del plain["saved"]
        return plain

    def as_text(self) -> str:
        """Return what restores it, and nothing else, as one short JSON text in which no template can begin."""
        plain = self.as_dict()
        for part in plain["load_balancers"].values():
            part["services"] = [
                {key: value for key, value in service.items() if key != "value" and key not in NO_SERVERS}
                for service in part["services"]
            ]
        for host, facts in plain["servers"].items():
            plain["servers"][host] = {key: facts[key] for key in TO_RESTORE if key in facts}
        text = json.dumps(plain, separators=(",", ":"), sort_keys=True)
        for second in "{%#":
            # JSON has these two characters side by side only within a text.
            text = text.replace("{" + second, "{" + f"\\u{ord(second):04x}")
        return text

    @classmethod
    def parse(cls, raw: t.Any) -> SiteSnapshot:
        """Read what ``as_dict`` has returned, in this version or an earlier one, or a person's JSON or YAML of it.

        :raises ValueError: if it is something else.
        """
        try:
            if raw["format"] == 1:
                return cls._parse_first(raw)
            if raw["format"] != FORMAT:
                raise ValueError(f"its format is {raw['format']!r}, and this version reads 1 and {FORMAT}")
            finished = raw["finished"] and _time(raw["finished"])
            used = {str(host): tuple(map(_time, times)) for host, times in raw["used"].items()}
            parts = {str(host): Part.parse(part) for host, part in raw["load_balancers"].items()}
            servers = {str(host): _facts(facts) for host, facts in raw["servers"].items()}
            saved = {str(host): _time(time) for host, time in raw.get("saved", {}).items()}
            return cls(_time(raw["taken"]), str(raw["playbook"]), finished, used, saved, parts, servers)
        except REFUSED as error:
            raise ValueError(
                f"This is not a snapshot that a playbook of this collection wrote ({type(error).__name__}: {error})."
            ) from error

    @classmethod
    def _parse_first(cls, raw: t.Any) -> SiteSnapshot:
        """Read format 1, in which the parts of a load balancer had a dictionary each, and nothing told how the run ended."""
        own = raw.get("own_addresses", {})
        return cls(
            str(raw["taken"]),
            finished="",
            load_balancers={
                str(host): Part.parse(
                    {"snapshot": snapshot, "services": raw["services"][host], "own_addresses": own.get(host, ())}
                )
                for host, snapshot in raw["load_balancers"].items()
            },
            servers={str(host): _facts(facts) for host, facts in raw["servers"].items()},
        )

    @classmethod
    def of_text(cls, text: str) -> SiteSnapshot:
        """Read a file's text.

        :raises ValueError: if it is not a snapshot.
        """
        try:
            raw = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"This is not a snapshot that a playbook of this collection wrote ({error}).") from error
        return cls.parse(raw)


def snapshot_of(site: Site) -> dict[str, t.Any]:
    """Return the snapshot of a site as first read, as plain values and without the times."""
    read = {host: (item, item.first) for host, item in site.load_balancers.items()}
    parts = {
        host: Part(result.snapshot, tuple(result.services), tuple(sorted(item.own_addresses)))
        for host, (item, result) in read.items()
        if result and result.snapshot
    }
    servers = {host: item.facts for host, item in site.servers.items() if item.read}
    return {
        "playbook": site.playbook,
        "load_balancers": {host: part.as_dict() for host, part in parts.items()},
        "servers": servers,
    }


@dataclass(frozen=True)
class Given:
    """What a run was told to take: a file's name, or the snapshot itself, and the variable that has it; empty if nothing."""

    variable: str = ""
    name: str = ""
    snapshot: SiteSnapshot | None = None

    @classmethod
    def parse(cls, extra: Mapping[str, t.Any]) -> Given:
        """Read the extra variables ``snapshot`` and ``ikev2_snapshot``; the first wins.

        :raises ValueError: if a value cannot be understood.
        """
        for variable in ("snapshot", "ikev2_snapshot"):
            raw = extra.get(variable)
            if raw is None or (isinstance(raw, str) and not raw.strip()):
                continue
            try:
                if isinstance(raw, Mapping):
                    return cls(variable, snapshot=SiteSnapshot.parse(raw))
                if isinstance(raw, str) and raw.lstrip().startswith("{"):
                    return cls(variable, snapshot=SiteSnapshot.of_text(raw))
            except ValueError as error:
                raise ValueError(f"The variable {variable} cannot be used: {error}") from error
            if variable == "snapshot" and isinstance(raw, (str, int)):
                return cls(variable, str(raw).strip())
            raise ValueError(f"The variable {variable} is {raw!r}. It has to be a dictionary, or its JSON text.")
        return cls()
