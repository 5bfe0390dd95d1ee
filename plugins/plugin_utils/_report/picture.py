# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The picture of a path, clients to servers and back: what its boxes and arrows say. No input or output."""

from __future__ import annotations

from ansible_collections.aovpn.ikev2.plugins.module_utils._platforms import title
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._report.model import Json
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._text import listed

SERVERS_SHOWN = 6

GOOD, BAD, WARN, OPEN = "good", "bad", "warn", "open"

SEES = {
    "seen": (GOOD, "sees its clients' own addresses"),
    "partly": (WARN, "sees the load balancer for some"),
    "hidden": (BAD, "sees the load balancer only"),
    "single": (WARN, "sees one address for nearly all"),
    "unclear": (OPEN, "associations of unknown kind"),
    "none": (OPEN, "sees nobody: no association"),
    None: (OPEN, "what it sees is unknown"),
}
ANSWERS = {
    True: (GOOD, "gateway leads back"),
    False: (BAD, "gateway bypasses it"),
    None: (OPEN, "return path unknown"),
}


def _sees(server: Json, predicted: bool) -> tuple[str, str]:
    """Return tone and words for what a server sees; in check mode that is what it sees now, not a prediction."""
    tone, said = SEES[server["sees"]]
    return (OPEN, f"now {said}") if predicted and server["sees"] else (tone, said)


def words(path: Json, *, predicted: bool = False) -> str:
    """Return as a text what the picture shows; ``predicted``: in check mode."""
    device = f"{path['device']} ({title(path['platform'])})"
    sentences = [
        f"Clients reach {path['vip'] or 'the services'} on {ports(path)} of {device},"
        f" which {'keeps' if path['preserved'] else 'hides'} their addresses."
    ]
    for server in path["servers"]:
        who = server["host"] or "A server that was not read,"
        gateway = f"gateway {server['gateway']}, " if server["gateway"] else ""
        back, sees = ANSWERS[server["return_path_ok"]][1], _sees(server, predicted)[1]
        sentences.append(f"{who} at {server['address']}: {gateway}{back}, {sees}.")
    if not path["servers"]:
        sentences.append("The servers behind it were not read.")
    return " ".join(sentences)


def lanes(path: Json, *, predicted: bool = False) -> list[Json]:
    """Return the servers that the picture shows, each with tone and words for what it sees and for its return path."""
    source = (GOOD, "from the client") if path["preserved"] else (BAD, "from the load balancer")
    return [
        {**server, "source": source, "back": ANSWERS[server["return_path_ok"]], "sight": _sees(server, predicted)}
        for server in path["servers"][:SERVERS_SHOWN]
    ]


def ports(path: Json) -> str:
    """Return the ports of a path as a text."""
    numbers = dict.fromkeys(item["port"] for item in path["services"])
    return f"UDP {listed([str(number) if number else 'any port' for number in numbers])}"
