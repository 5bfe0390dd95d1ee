# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a VPN server's IKE security associations prove: whether it sees its clients' own addresses. No input or output."""

from __future__ import annotations

import typing as t
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.facts import Facts, bare
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._text import counted

Judgement: t.TypeAlias = t.Literal["seen", "partly", "hidden", "single", "unclear", "none"]
Kind: t.TypeAlias = t.Literal["client", "load_balancer", "server_network", "single", "unclear"]

MANY = 12
"""From how many associations on one address that has nearly all of them is suspicious: a dozen clients rarely share one."""
NEARLY_ALL = 0.9
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")


@dataclass(frozen=True)
class Source:
    """A remote address, how many associations come from it, and whose it is."""

    address: str
    count: int
    kind: Kind

    @property
    def hides(self) -> bool:
        """Report whether this is no client, but what hides clients."""
        return self.kind in ("load_balancer", "server_network")


@dataclass(frozen=True)
class Sources:
    """The judgement on one server.

    ``hidden``: at least half of the associations come from the load balancer or from the servers' own network, ``partly``: some
    do, ``single``: nearly all of at least a dozen come from one address, which proves nothing, ``unclear``: for some, Windows does
    not tell whether they are IKEv2, ``none``: there is no IKEv2 association, ``seen``: all are from clients' own addresses.
    """

    verdict: Judgement
    sources: tuple[Source, ...]
    message: str

    @property
    def total(self) -> int:
        """Return the number of associations that count."""
        return sum(source.count for source in self.sources)

    @property
    def hidden(self) -> int:
        """Return how many of them come from the load balancer."""
        return sum(source.count for source in self.sources if source.hides)

    @property
    def own(self) -> int:
        """Return how many of them are proof: they come from clients' own addresses."""
        return sum(source.count for source in self.sources if source.kind == "client")


def suspects(servers: Iterable[Facts]) -> frozenset[str]:
    """Return the addresses that nearly all associations come from, of one server or of all of them together."""
    each = [Counter(facts.sas) for facts in servers]
    return frozenset(
        address
        for counts in (*each, sum(each, Counter()))
        for address, count in counts.items()
        if counts.total() >= MANY and count >= NEARLY_ALL * counts.total()
    )


def judge(facts: Facts, load_balancers: Collection[str], suspicious: Collection[str]) -> Sources:
    """Judge a server by its associations.

    ``load_balancers``: all addresses from which load balancers may send to it, ``suspicious``: see ``suspects``.

    A client is hidden if it comes from one of them, or from the network of the server's gateway, where there are no VPN clients;
    an office behind one public address is not hidden.
    """
    outside = [network for network in facts.networks if facts.gateway and facts.gateway in network]
    counts: Mapping[str, int] = facts.sas
    total = sum(counts.values())

    def kind(address: str) -> Kind:
        if bare(address) in load_balancers:
            return "load_balancer"
        if any(address in network for network in outside):
            return "server_network"
        return "single" if address in suspicious else "client"

    found = [Source(address, count, kind(address)) for address, count in counts.items()]
    unclear = [Source(address, count, "unclear") for address, count in facts.sas_unclear.items()]
    sources = tuple(sorted((*found, *unclear), key=lambda source: (-source.count, source.address)))
    hidden = sum(source.count for source in found if source.hides)
    return Sources(_verdict(found, hidden, total, bool(unclear)), sources, _message(facts, found, hidden, total))


def _verdict(found: Collection[Source], hidden: int, total: int, unclear: bool) -> Judgement:
    if hidden:
        return "hidden" if 2 * hidden >= total else "partly"
    if any(source.kind == "single" for source in found):
        return "single"
    if unclear:
        return "unclear"
    return "seen" if total else "none"


def _message(facts: Facts, found: Collection[Source], hidden: int, total: int) -> str:
    others = f"; {counted(facts.sas_other, 'association')} of other kinds (AuthIP, IKEv1)" if facts.sas_other else ""
    if facts.sas_unclear:
        number = sum(facts.sas_unclear.values())
        others += f"; {counted(number, 'association')} of which Windows does not tell whether they are IKEv2"
    if not total:
        return f"there is no IKEv2 security association to judge by{others}"
    top = max(found, key=lambda source: (source.count, source.address))
    where = counted(len(found), "remote address", "remote addresses")
    message = (
        f"{hidden} of {counted(total, 'IKE security association')} come from the load balancer,"
        f" {where} in all, {top.count} from {top.address} ({100 * top.count // total} %)"
    )
    if top.kind == "single":
        private = (
            "a private address"
            if any(top.address in netaddr.IPNetwork(network) for network in PRIVATE)
            else "one address"
        )
        message += f": {private} with nearly all of them proves nothing, something else on the path may translate"
    return message + others
