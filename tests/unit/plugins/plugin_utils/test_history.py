# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which snapshot a rollback takes: after any sequence of runs and rollbacks, every host ends as it was at first."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.history import Choice, Entry, History
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.snapshot import SiteSnapshot

HOSTS = ("rras1", "rras2", "rras3")


def at(second: int) -> str:
    """Return a time."""
    return f"2026-01-01T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"


def entry(
    second: int, *hosts: str, used: int | None = None, finished: bool = True, playbook: str = "remediate"
) -> Entry:
    """Return a snapshot of servers."""
    servers = {host: {"gateway": None, "ike_limit": second} for host in hosts or HOSTS}
    ended, restored = at(second) if finished else None, {} if used is None else dict.fromkeys(servers, (at(used),))
    return Entry(f"{second:04}.json", SiteSnapshot(at(second), playbook, ended, restored, servers=servers))


class World:
    """A folder of snapshots, and hosts whose state is a number. Nothing here knows how a snapshot is chosen."""

    def __init__(self) -> None:
        self.state = dict.fromkeys(HOSTS, 0)
        self.entries: list[Entry] = []
        self.now = 0

    def tick(self) -> int:
        """Let time pass."""
        self.now += 10
        return self.now

    def run(self, hosts: t.Collection[str], changed: t.Collection[str], *, killed: bool) -> None:
        """Change hosts after a snapshot."""
        now = self.tick()
        servers = {host: {"gateway": None, "ike_limit": self.state[host]} for host in hosts}
        finished = None if killed else at(now)
        self.entries.append(Entry(f"{now:06}.json", SiteSnapshot(at(now), "remediate", finished, servers=servers)))
        self.state.update({host: now for host in hosts if host in changed})

    def roll_back(self, choice: Choice | None, *, killed: bool = False) -> bool:
        """Restore a choice; a run that is killed restores its first host, and marks nothing."""
        now = self.tick()
        if choice is None:
            return False
        for host, facts in choice.snapshot.servers.items():
            self.state[host] = facts["ike_limit"]
            if killed:
                return True
        for place, one in enumerate(self.entries):
            if one.name in choice.uses:
                self.entries[place] = one.used(dict.fromkeys(choice.uses[one.name], at(now)))
        return True


SOME = st.sets(st.sampled_from(HOSTS), min_size=1)
EVENTS = st.one_of(
    st.tuples(st.just("run"), SOME, SOME, st.booleans()),
    st.tuples(st.just("back"), st.booleans()),
    st.tuples(st.just("all"), st.booleans()),
    st.tuples(st.just("named"), st.integers(0, 9)),
)


def play(events: t.Iterable[tuple[t.Any, ...]]) -> World:
    """Let things happen."""
    world = World()
    for kind, *more in events:
        history = History(reversed(world.entries))
        if kind == "run":
            world.run(more[0], more[1], killed=more[2])
        elif kind == "back":
            world.roll_back(history.newest_unused(), killed=more[0])
        elif kind == "all":
            world.roll_back(history.before_all(), killed=more[0])
        elif world.entries:
            one = world.entries[more[0] % len(world.entries)]
            world.roll_back(history.named(one.snapshot))
    return world


@given(st.lists(EVENTS, max_size=9))
def test_rolling_back_until_nothing_is_left_ends_at_the_first_state(events: list[tuple[t.Any, ...]]) -> None:
    world = play(events)
    steps = 0
    while world.roll_back(History(world.entries).newest_unused()):
        steps += 1
        assert steps <= len(world.entries)
    assert world.state == dict.fromkeys(HOSTS, 0)


@given(st.lists(EVENTS, max_size=9))
def test_all_ends_at_the_first_state_at_once(events: list[tuple[t.Any, ...]]) -> None:
    world = play(events)
    world.roll_back(History(world.entries).before_all())
    assert world.state == dict.fromkeys(HOSTS, 0)
    assert History(world.entries).newest_unused() is None


def test_each_rollback_takes_the_one_before() -> None:
    entries = [entry(10), entry(20, playbook="workaround")]
    first = History(entries).newest_unused()
    assert first
    assert [*first.uses] == ["0020.json"]
    second = History([entries[0], entry(20, used=30)]).newest_unused()
    assert second
    assert [*second.uses] == ["0010.json"]
    assert History([entry(10, used=40), entry(20, used=30)]).newest_unused() is None


def test_the_newest_goes_by_its_own_time_and_not_by_its_name() -> None:
    old, new = replace(entry(10), name="z.json"), replace(entry(20), name="a.json")
    for history in (History([old, new]), History([new, old])):
        assert [one.name for one in history.entries] == ["z.json", "a.json"]
        choice = history.newest()
        assert choice
        assert choice.snapshot == new.snapshot
    timeless = replace(old, snapshot=replace(old.snapshot, taken="now"))
    assert [one.name for one in History([new, timeless]).entries] == ["z.json", "a.json"]


def test_all_takes_for_each_host_the_first_that_is_not_used() -> None:
    history = History([entry(10, "rras1", used=15), entry(20, "rras1", "rras2"), entry(30)])
    choice = history.before_all()
    assert choice
    assert {host: facts["ike_limit"] for host, facts in choice.snapshot.servers.items()} == {
        "rras1": 20,
        "rras2": 20,
        "rras3": 30,
    }
    assert choice.uses == {"0020.json": ("rras1", "rras2"), "0030.json": HOSTS}


def test_a_change_that_an_older_snapshot_has_undone_is_not_restored_again() -> None:
    """The older one was named, and had only one of the hosts."""
    history = History([entry(10, "rras1", used=30), entry(20, "rras1", "rras2")])
    choice = history.newest_unused()
    assert choice
    assert [*choice.snapshot.servers] == ["rras2"]


@pytest.mark.parametrize(
    ("entries", "shown", "others"),
    [
        (
            [entry(10), entry(20, playbook="workaround", finished=False)],
            [
                "0020.json: before workaround, 2026-01-01T00:00:20Z, rras1, rras2 and rras3; its run did not finish",
                "Rolling back to 0020.json.",
                "The run of 0020.json failed, or was killed half-way.",
                "What was changed after 0010.json stays: run rollback again, or with -e snapshot=all.",
            ],
            ["; used"],
        ),
        (
            [entry(10), entry(20, used=30)],
            ["0020.json: before remediate", "; used", "Rolling back to 0010.json."],
            ["stays"],
        ),
        ([entry(10, used=30)], ["Every snapshot has been used: there is nothing left to roll back."], ["Rolling"]),
        ([entry(number) for number in range(10, 30)], ["and 14 older ones"], ["0010.json:"]),
    ],
)
def test_what_there_is_is_listed(entries: list[Entry], shown: list[str], others: list[str]) -> None:
    history = History(entries)
    lines = history.lines(history.newest_unused(), "the folder")
    assert len(lines) <= 10
    text = "\n".join(lines)
    assert [one for one in shown if one not in text] == []
    assert [one for one in others if one in text] == []


def test_a_newer_change_of_another_host_stays_where_an_older_snapshot_is_named() -> None:
    entries = [entry(10, "rras1"), entry(20, "rras1"), entry(30, "rras2")]
    history = History(entries)
    lines = history.lines(history.named(entries[0].snapshot, entries[0].name), "0010.json")
    assert "What was changed after 0030.json stays: run rollback again, or with -e snapshot=all." in lines


def test_a_snapshot_that_was_handed_over_is_recognised() -> None:
    history = History([entry(10), entry(20)])
    given_one = entry(20).snapshot
    choice = history.named(given_one)
    assert choice == Choice(given_one, {"0020.json": HOSTS}, named=True)
    lines = history.lines(choice, "the variable snapshot")
    assert "Rolling back to 0020.json." in lines
    elsewhere = replace(given_one, taken=at(25), finished=None)
    lines = history.lines(history.named(elsewhere), "the variable snapshot")
    assert "Rolling back to the variable snapshot." in lines
    assert "The run of the variable snapshot failed, or was killed half-way." in lines
    assert "What was changed after 0010.json and 0020.json stays: run rollback again, or with -e snapshot=all." in lines
