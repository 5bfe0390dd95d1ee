# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The snapshots of a site in the order of time: which one a rollback takes, and what stays changed. No input or output."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.snapshot import SiteSnapshot
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._text import counted, listed

SHOWN = 6
"""How many snapshots are listed."""


@dataclass(frozen=True)
class Entry:
    """A snapshot, and the name of its file."""

    name: str
    snapshot: SiteSnapshot

    def used(self, times: Mapping[str, str]) -> Entry:
        """Return the entry with one more restoration of these hosts."""
        return replace(self, snapshot=self.snapshot.restored(times))


@dataclass(frozen=True)
class Choice:
    """What is restored. ``uses``: the hosts that it restores to the state before each file, by name. ``named``: the user has named it."""

    snapshot: SiteSnapshot
    uses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    named: bool = False

    def as_dict(self) -> dict[str, t.Any]:
        """Return the snapshot as the site reads it. ``halves``: addresses of half pairs that are not to be restored."""
        plain = self.snapshot.as_dict()
        for host, part in self.snapshot.load_balancers.items():
            plain["load_balancers"][host]["halves"] = [] if self.named else list(part.halves)
        return plain


class History:
    """All snapshots of a folder, the oldest first."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = sorted(entries, key=lambda entry: (entry.snapshot.moment, entry.name))
        self._unused = self._follow()

    def _follow(self) -> dict[str, tuple[Entry, ...]]:
        """Return by host the snapshots of the changes that are in effect, by following all changes and rollbacks.

        A rollback leaves in effect what was in effect when its snapshot was taken.
        """
        ranks = [*enumerate(self.entries)]
        events = [(entry.snapshot.moment, 1, rank, host) for rank, entry in ranks for host in entry.snapshot.hosts]
        # Several that were used at the same time went back to the oldest.
        events += [
            (time, 0, -rank, host)
            for rank, entry in ranks
            for host, times in entry.snapshot.used.items()
            for time in times
        ]
        in_effect: dict[str, tuple[Entry, ...]] = {}
        before: dict[tuple[str, int], tuple[Entry, ...]] = {}
        for _time, taken, rank, host in sorted(events):
            if taken:
                before[host, rank] = in_effect.get(host, ())
                in_effect[host] = (*before[host, rank], self.entries[rank])
            else:
                in_effect[host] = before.get((host, -rank), ())
        return in_effect

    @property
    def unused(self) -> list[Entry]:
        """Return the snapshots of the changes that are in effect."""
        names = {entry.name for entries in self._unused.values() for entry in entries}
        return [entry for entry in self.entries if entry.name in names]

    def _hosts_of(self, entry: Entry) -> tuple[str, ...]:
        """Return the hosts on which the change after a snapshot is in effect."""
        return tuple(host for host in entry.snapshot.hosts if entry in self._unused[host])

    def newest_unused(self) -> Choice | None:
        """Return the newest snapshot that no rollback has used; None if all are used."""
        if not self.unused:
            return None
        last = self.unused[-1]
        hosts = self._hosts_of(last)
        return Choice(last.snapshot.only(hosts), {last.name: hosts})

    @property
    def unsaved(self) -> dict[str, tuple[str, ...]]:
        """Return the load balancers that a run may have left with an unsaved change, with the names of their snapshots."""
        found: dict[str, tuple[str, ...]] = {}
        for entry in self.entries:
            snapshot = entry.snapshot
            if snapshot.finished is None:
                for host in snapshot.load_balancers.keys() - snapshot.saved.keys() - snapshot.used.keys():
                    found[host] = (*found.get(host, ()), entry.name)
        return found

    def before_all(self) -> Choice | None:
        """Return the state before the first change that is in effect, by host; None if none is."""
        unused = self.unused
        if not unused:
            return None
        first = {host: entries[0].snapshot for host, entries in self._unused.items() if entries}
        parts = [
            snapshot.only([host for host, of_host in first.items() if of_host is snapshot])
            for snapshot in {id(snapshot): snapshot for snapshot in first.values()}.values()
        ]
        snapshot = replace(
            unused[0].snapshot,
            load_balancers={host: part for one in parts for host, part in one.load_balancers.items()},
            servers={host: facts for one in parts for host, facts in one.servers.items()},
        )
        return Choice(snapshot, {entry.name: self._hosts_of(entry) for entry in unused})

    def newest(self) -> Choice | None:
        """Return the newest, used or not; None if there is none."""
        return Choice(self.entries[-1].snapshot) if self.entries else None

    def named(self, snapshot: SiteSnapshot, *names: str, named: bool = True) -> Choice:
        """Return the choice of this snapshot, from these files and from those of the folder that hold the same one."""
        key = (snapshot.taken, snapshot.playbook)
        same = [entry.name for entry in self.entries if (entry.snapshot.taken, entry.snapshot.playbook) == key]
        return Choice(snapshot, dict.fromkeys((*names, *same), snapshot.hosts), named)

    def _left(self, choice: Choice) -> list[str]:
        """Return the names of the snapshots of the changes that are still in effect after a rollback."""
        last = "9999"
        entries = [entry.used(dict.fromkeys(choice.uses.get(entry.name, ()), last)) for entry in self.entries]
        if not choice.uses:
            entries.append(Entry("", choice.snapshot).used(dict.fromkeys(choice.snapshot.hosts, last)))
        return [entry.name for entry in History(entries).unused if entry.name]

    def lines(self, choice: Choice | None, source: str) -> list[str]:
        """Report what there is, which one a rollback takes, and what stays changed. ``source``: where the choice is from."""
        unused = [entry.name for entry in self.unused]
        lines = [
            f"  {entry.name}: {_described(entry.snapshot)}{'' if entry.name in unused else '; used'}"
            for entry in reversed(self.entries[-SHOWN:])
        ]
        if len(self.entries) > SHOWN:
            lines.append(f"  and {counted(len(self.entries) - SHOWN, 'older one')}")
        if choice is None:
            return [*lines, "Every snapshot has been used: there is nothing left to roll back."]
        ends = {entry.name: entry.snapshot.finished for entry in self.entries}
        taken = [*(choice.uses or (source,))]
        ends.setdefault(taken[0], choice.snapshot.finished)
        lines.append(f"Rolling back to {'the state before ' if len(taken) > 1 else ''}{listed(taken)}.")
        if broken := [name for name in taken if ends.get(name, "") is None]:
            lines.append(f"The run of {listed(broken)} failed, or was killed half-way.")
        if left := self._left(choice):
            lines.append(f"What was changed after {listed(left)} stays: run rollback again, or with -e snapshot=all.")
        for host, part in choice.snapshot.load_balancers.items():
            if part.halves and choice.named:
                lines.append(
                    f"{host}: half a pair at {listed(part.halves)} is restored as it was, because this snapshot was named."
                )
        return lines


def _described(snapshot: SiteSnapshot) -> str:
    playbook = f"before {snapshot.playbook}" if snapshot.playbook else "of an earlier version"
    unfinished = "; its run did not finish" if snapshot.finished is None else ""
    return f"{playbook}, {snapshot.taken}, {listed(snapshot.hosts) or 'no host'}{unfinished}"
