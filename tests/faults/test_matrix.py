# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every fault at every request of every platform and state: what a run says about the device is true, whatever happens.

What is tried is generated. Each row counts what was tried and what must never be: it shows in the output of `pytest -rP`.
"""

from __future__ import annotations

import itertools
import json
import typing as t
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from one_device import OneDevice

from ansible_collections.aovpn.ikev2.plugins.module_utils._engine import Result, RunFailed
from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Answer, Http
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Snapshot, Unreachable
from lab.bigip import BigIp
from lab.core import copied
from lab.direct import directly
from lab.loadmaster import LoadMaster
from lab.netscaler import NetScaler

Send = Callable[..., Answer]
Kind = Callable[[Http, Callable[[], Answer]], Answer]
STATES = ("preserved", "restored", "gathered")
MAKE: dict[str, Callable[[], t.Any]] = {
    "bigip": lambda: BigIp("bigip"),
    "netscaler": lambda: NetScaler("netscaler"),
    "loadmaster": LoadMaster,
}


def status(code: int, text: str = '{"message": "no"}') -> Kind:
    """Answer with a status, and do nothing."""

    def answer(http: Http, _ask: Callable[[], Answer]) -> Answer:
        http.requests += 1
        return Answer(code, text, http.device, text.encode())

    return answer


def lost(http: Http, ask: Callable[[], Answer]) -> Answer:
    """Do it, and lose the answer."""
    ask()
    raise Unreachable(f"{http.device}: the connection was lost.", dropped=True)


def cut(http: Http, _ask: Callable[[], Answer]) -> Answer:
    """Lose the request."""
    http.requests += 1
    raise Unreachable(f"{http.device}: the connection was lost.", dropped=True)


def silent(http: Http, ask: Callable[[], Answer]) -> Answer:
    """Do it, and never answer."""
    ask()
    raise Unreachable(f"{http.device}: no answer within 30 s.")


def ending(error: type[BaseException], *, after: bool) -> Kind:
    """End the task, by Ctrl-C for example, before or after the request."""

    def end(_http: Http, ask: Callable[[], Answer]) -> Answer:
        if after:
            ask()
        raise error

    return end


SURVIVED: dict[str, Kind] = {
    "429": status(429),
    "500": status(500, "<html>Internal Server Error</html>"),
    "503": status(503, "<html>Service Unavailable</html>"),
    "answer lost": lost,
    "request lost": cut,
}
"""Twice in a row."""
FATAL: dict[str, Kind] = {
    "400": status(400, '{"code": 400, "message": "no", "errorcode": 1097, "status": "fail"}'),
    "403": status(403, "<html>Forbidden</html>"),
    "404": status(404, "<html>Not Found</html>"),
    "garbage": status(200, "\x00\x1b[2Jgarbage"),
    "no answer": silent,
    "Ctrl-C before": ending(KeyboardInterrupt, after=False),
    "Ctrl-C after": ending(KeyboardInterrupt, after=True),
    "end of the process": ending(SystemExit, after=True),
    "fault of our own": ending(ZeroDivisionError, after=True),
}
"""Once."""
KINDS = {**{f"{name} twice": kind for name, kind in SURVIVED.items()}, **FATAL}


@dataclass
class Wire:
    """Sends the requests of one run, and spoils those from number ``at`` on: ``times`` of them, and those of a second fault."""

    send: Send
    faults: list[tuple[int, int, Kind]] = field(default_factory=list)
    number: int = 0
    sent: list[str] = field(default_factory=list)

    def __call__(self, http: Http, method: str, path: str, *arguments: t.Any, **how: t.Any) -> Answer:
        number, self.number = self.number, self.number + 1
        self.sent.append(f"{method} {path}")
        for at, times, kind in self.faults:
            if at <= number < at + times:
                return kind(http, lambda: self.send(http, method, path, *arguments, **how))
        return self.send(http, method, path, *arguments, **how)


@pytest.fixture(autouse=True)
def raw_faults() -> None:
    """Let faults be reported as users see them, other than elsewhere."""


@pytest.fixture
def wired(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[OneDevice, Wire]]:
    """Return a device of a platform, and what its requests go through."""

    def wire(platform: str) -> tuple[OneDevice, Wire]:
        monkeypatch.setattr("ansible_collections.aovpn.ikev2.plugins.module_utils._loadmaster.adapter.SECONDS", 0.0)
        one = OneDevice(directly(MAKE[platform](), monkeypatch))
        found = Wire(Http._send)

        def send(http: Http, *arguments: t.Any, **how: t.Any) -> Answer:
            return found(http, *arguments, **how)

        monkeypatch.setattr(Http, "_send", send)
        return one, found

    return wire


@dataclass
class Row:
    """A platform and a state, and what was counted."""

    one: OneDevice
    wire: Wire
    state: t.Any
    check_mode: bool
    counts: Counter[str] = field(default_factory=Counter)
    snapshot: Snapshot | None = None

    def __post_init__(self) -> None:
        """Make a device that has something to do."""
        if self.state == "restored":
            self.snapshot = self.one.done("preserved").snapshot
        self.found = copied(self.one.device.state)

    def prepare(self) -> None:
        """Return to that device."""
        self.one.device.state = copied(self.found)
        self.one.device.issued.clear()

    def run(self, *faults: tuple[int, int, Kind]) -> Result | RunFailed:
        """Run with these faults."""
        self.wire.faults, self.wire.number, self.wire.sent = [*faults], 0, []
        try:
            return self.one.go(self.state, self.snapshot, check_mode=self.check_mode)
        finally:
            self.wire.faults = []

    def tries(self, kind: Kind, times: int, at: int, *more: tuple[int, int, Kind]) -> Result | RunFailed | None:
        """Run with a fault, and check everything that has to be true then. Return what came, None if the fault did not strike."""
        self.prepare()
        before = self.one.values()
        assert self.one.values(saved=True) == before
        came = self.run((at, times, kind), *more)
        if self.wire.number <= at:
            return None
        self.counts["tried"] += 1
        now, kept = self.one.values(), self.one.values(saved=True)
        result = came if isinstance(came, Result) else came.result
        where = f"{self.state} at {at}, {self.wire.sent[at]}: {came}"
        if isinstance(came, Result):
            assert kept == now, where
            assert (now != before) is (came.final_state == "changed"), where
        elif result.undone:
            assert now == before, f"half done and not reported: {where}"
            assert kept == before, f"saved and not reported: {where}"
        elif result.final_state == "changed":
            assert now != before or kept != before, where
        shown = str(came) + json.dumps(result.as_dict()) + repr(result.progress)
        assert not [secret for secret in self.secrets() if secret in shown], where
        assert "Traceback" not in shown, where
        assert "\x1b" not in str(came), where
        # A log-in whose answer is lost leaves a session whose id is lost, and a log-out that is refused for good leaves it open.
        struck = [
            *self.wire.sent[at : at + times],
            *(item for n, m, _kind in more for item in self.wire.sent[n : n + m]),
        ]
        excused = ("login",) if isinstance(came, Result) and times > 1 else ("login", "tokens", "logout")
        if not any(word in item for item in struck for word in excused):
            assert self.one.device.open_sessions() == [], where
        if self.check_mode or self.state == "gathered":
            assert now == before, where
        return came

    def secrets(self) -> list[str]:
        """Return what must never be seen."""
        return ["-secret-1", *self.one.device.issued]


ROWS = [
    pytest.param(
        (platform, state, check_mode),
        id=f"{platform}-{state}{'-check' if check_mode else ''}",
        marks=pytest.mark.matrix if state == "restored" or check_mode else (),
    )
    for platform in MAKE
    for state, check_mode in [*itertools.product(STATES[:2], (False, True)), ("gathered", False)]
]


@pytest.fixture
def row(wired: Callable[[str], tuple[OneDevice, Wire]], request: pytest.FixtureRequest) -> Iterator[Row]:
    """Return a row, and print its counts at the end."""
    platform, state, check_mode = request.param
    made = Row(*wired(platform), state, check_mode)
    yield made
    counted = ", ".join(f"{count} {name}" for name, count in made.counts.items())
    print(f"{platform}, {state}{', check mode' if check_mode else ''}: {counted}")


@pytest.mark.parametrize("row", ROWS, indirect=True)
def test_what_a_run_says_is_true_whatever_happens(row: Row) -> None:
    for name, kind in KINDS.items():
        for at in itertools.count():
            came = row.tries(kind, 2 if name.endswith("twice") else 1, at)
            if came is None:
                break
            if name.endswith("twice"):
                assert isinstance(came, Result), f"{name} at {at}, {row.wire.sent[at]}: {came}"
                row.counts["survived"] += 1
            else:
                row.counts["failed" if isinstance(came, RunFailed) else "went on"] += 1


CHANGING = [param for param in ROWS if not str(param.id).endswith(("-gathered", "-check"))]


@pytest.mark.parametrize("row", CHANGING, indirect=True)
@pytest.mark.parametrize(
    "second", [pytest.param(name, marks=() if name == "400" else pytest.mark.matrix) for name in FATAL]
)
@pytest.mark.parametrize(
    "first", [pytest.param(name, marks=() if name == "Ctrl-C after" else pytest.mark.matrix) for name in FATAL]
)
def test_what_a_rollback_says_is_true_whatever_happens(row: Row, first: str, second: str) -> None:
    """The second fault strikes one of the requests after the first, which are the rollback's and the log-out."""
    for at in itertools.count():
        for later in itertools.count(1):
            came = row.tries(FATAL[first], 1, at, (at + later, 1, FATAL[second]))
            if came is None or row.wire.number <= at + later:
                break
            row.counts["not undone" if isinstance(came, RunFailed) and not came.result.undone else "others"] += 1
        if came is None:
            break


@pytest.mark.parametrize("row", CHANGING, indirect=True)
@pytest.mark.parametrize(
    "again", [pytest.param(name, marks=() if name == "503" else pytest.mark.matrix) for name in SURVIVED]
)
def test_a_rollback_survives_two_refusals_in_a_row(row: Row, again: str) -> None:
    for at in itertools.count():
        if row.tries(FATAL["400"], 1, at) is None:
            break
        for later in range(at + 1, row.wire.number):
            came = row.tries(FATAL["400"], 1, at, (later, 2, SURVIVED[again]))
            assert isinstance(came, Result) or (came and came.result.undone), f"{at}, {later}, {row.wire.sent}: {came}"
            row.counts["survived"] += 1
