# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The content of a snapshot file: what it takes to restore every host, and to compare with. No input or output."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Service, Snapshot
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.hosts import NOT_READABLE, Facts
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.site import Site

FORMAT = 1


def snapshot_of(site: Site) -> dict[str, t.Any]:
    """Return the content, as first read, without the time."""
    readings = {host: item.first for host, item in site.load_balancers.items()}
    load_balancers = {host: result for host, result in readings.items() if result and result.snapshot}
    return {
        "load_balancers": {
            host: result.snapshot.as_dict() for host, result in load_balancers.items() if result.snapshot
        },
        "services": {
            host: [service.as_dict() for service in result.services] for host, result in load_balancers.items()
        },
        "own_addresses": {host: sorted(site.load_balancers[host].own_addresses) for host in load_balancers},
        "servers": {host: item.facts for host, item in site.servers.items() if item.read},
    }


def read_snapshot(text: str) -> dict[str, t.Any]:
    """Return each host's part of a snapshot's file: of a load balancer ``snapshot`` and ``services``, of a server its facts.

    :raises ValueError: if it is not such a file.
    """
    try:
        raw = json.loads(text)
        if raw["format"] != FORMAT:
            raise ValueError(f"its format is {raw['format']!r} and not {FORMAT}")
        own = raw.get("own_addresses", {})
        for host, snapshot in raw["load_balancers"].items():
            _read = (Snapshot.parse(snapshot), *map(Service.parse, raw["services"][host]))
        for facts in raw["servers"].values():
            Facts.parse(facts)
        return {
            "taken": str(raw["taken"]),
            "load_balancers": {
                host: {
                    "snapshot": snapshot,
                    "services": list(raw["services"][host]),
                    "own_addresses": list(own.get(host, ())),
                }
                for host, snapshot in raw["load_balancers"].items()
            },
            "servers": {host: dict(facts) for host, facts in raw["servers"].items()},
        }
    except NOT_READABLE as error:
        raise ValueError(f"This is not a snapshot that a playbook of this collection wrote ({error!r}).") from error
