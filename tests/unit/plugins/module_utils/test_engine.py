# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The engine, with a device that lives in memory and fails on demand."""

from __future__ import annotations

import itertools
import typing as t
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.aovpn.ikev2.plugins.module_utils._adapter import Adapter
from ansible_collections.aovpn.ikev2.plugins.module_utils._engine import Result, RunFailed, run
from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Endpoint
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import (
    Change,
    DeviceError,
    InvalidInput,
    Order,
    Reading,
    Refused,
    Server,
    Service,
    Snapshot,
    Unreachable,
)
from ansible_collections.aovpn.ikev2.plugins.module_utils._plan import select, server_findings

GATEWAY = "10.10.0.1"
GOOD = {"10.10.0.11": GATEWAY, "10.10.0.12": GATEWAY}


def pair(address: str = "203.0.113.10", value: str = "hidden") -> list[Service]:
    """Return a pair of services, with their servers."""
    servers = tuple(Server(f"10.10.0.1{number}", 500, (GATEWAY,)) for number in (1, 2))
    return [
        Service(
            f"{address}-{port}",
            address,
            port,
            {"snat": value},
            value == "kept",
            servers=servers,
            names=(f"name-{address}-{port}",),
        )
        for port in (500, 4500)
    ]


class Memory(Adapter):
    """A device in memory. ``failures`` holds what each writing step raises, in order: before it takes effect, or after."""

    platform = "memory"
    title = "Memory"
    setting = "snat"

    def __init__(
        self, services: Sequence[Service], failures: Sequence[tuple[str, DeviceError] | None] = (), **device: t.Any
    ) -> None:
        super().__init__(Endpoint("memory.example.net"))
        self.services = {service.id: service for service in services}
        self.device = dict(device)
        self.failures = list(failures)
        self.calls: list[str] = []
        self.kept: list[t.Any] | None = None

    @property
    def wanted_device(self) -> dict[str, t.Any]:
        return {"mode": True} if "mode" in self.device else {}

    def wanted(self, service: Service) -> dict[str, t.Any]:
        return {} if service.source_preserved else {"snat": "kept"}

    def preserves(self, service: Service, settings: Mapping[str, t.Any]) -> bool:
        return bool(settings["snat"] == "kept")

    def open(self) -> None:
        self.calls.append("open")

    def close(self) -> None:
        self.calls.append("close")

    def read(self) -> Reading:
        self.calls.append("read")
        return Reading(tuple(replace(service, servers=()) for service in self.services.values()), dict(self.device))

    def guard(self, services: Sequence[Service], *, changing: bool) -> Reading:
        self.calls.append("guard for a change" if changing else "guard")
        return Reading(tuple(replace(service, servers=self.services[service.id].servers) for service in services))

    def apply(self, changes: Sequence[Change]) -> None:
        self.calls.append("apply")
        for change in changes:
            self._step(change)

    def keep(self) -> None:
        self.calls.append("keep")
        self._step(None)

    def _step(self, change: Change | None) -> None:
        failure = self.failures.pop(0) if self.failures else None
        if failure and failure[0] == "before":
            raise failure[1]
        if change and change.scope == "device":
            self.device[change.setting] = change.after
        elif change:
            self.services[change.id] = replace(
                self.services[change.id], settings={"snat": str(change.after)}, source_preserved=change.after == "kept"
            )
        elif not (failure and isinstance(failure[1], Refused)):  # who refuses to keep does not
            self.kept = self.values()
        if failure:
            raise failure[1]

    def values(self) -> list[t.Any]:
        """Return what is in effect on the device."""
        return [*self.device.values(), *(service.value for service in self.services.values())]


def go(memory: Memory, order: Order | None = None, *, check_mode: bool = False) -> Result:
    """Run the engine."""
    return run(memory, order or Order(return_path=GOOD), check_mode=check_mode)


def outcome(memory: Memory) -> Result | RunFailed:
    """Run the engine, and give what came of it."""
    try:
        return go(memory)
    except RunFailed as error:
        return error


def test_the_way_through() -> None:
    memory = Memory(pair(), mode=False)
    result = go(memory)
    assert memory.calls == ["open", "read", "guard for a change", "apply", "read", "keep", "close"]
    assert memory.values() == [True, "kept", "kept"]
    assert result.snapshot is not None
    assert result.snapshot.device == {"mode": False}


def test_a_second_run_changes_nothing() -> None:
    memory = Memory(pair(), mode=False)
    go(memory)
    memory.calls.clear()
    assert not go(memory).changed
    assert memory.calls == ["open", "read", "close"]


def test_what_the_snapshot_says_is_put_back_exactly() -> None:
    memory = Memory([*pair(), *pair("203.0.113.11", "other")], mode=False)
    before = memory.values()
    snapshot = go(memory).snapshot
    assert memory.values() != before
    assert go(memory, Order(state="restored", snapshot=snapshot)).changed
    assert memory.values() == before


@pytest.mark.parametrize(
    ("return_path", "code"),
    [
        (None, "return_path_unverified"),
        ({}, "return_path_unverified"),
        ({"10.10.0.11": GATEWAY}, "return_path_unverified"),
        ({**GOOD, "10.10.0.12": "10.10.0.254"}, "return_path_wrong"),
    ],
)
def test_a_change_needs_the_return_path(return_path: dict[str, str] | None, code: str) -> None:
    for check_mode in (False, True):
        memory = Memory(pair())
        with pytest.raises(RunFailed, match=f"nothing was changed, because of {code}") as caught:
            go(memory, Order(return_path=return_path), check_mode=check_mode)
        assert caught.value.result.undone is True
        assert caught.value.result.snapshot is not None
        assert memory.calls == ["open", "read", "guard" if check_mode else "guard for a change", "close"]
        assert go(memory, Order(return_path=return_path, accept=frozenset({code})), check_mode=check_mode).changed


def test_a_service_without_servers_is_unverified() -> None:
    memory = Memory([replace(service, servers=()) for service in pair()])
    with pytest.raises(RunFailed, match="names no server behind this service"):
        go(memory)


def test_gathered_judges_a_return_path_that_is_given_and_asks_for_none() -> None:
    assert go(Memory(pair(value="kept")), Order(state="gathered")).findings == []
    wrong = go(Memory(pair(value="kept")), Order(state="gathered", return_path={**GOOD, "10.10.0.12": "10.10.0.254"}))
    assert [(finding.code, finding.object) for finding in wrong.findings] == [("return_path_wrong", "10.10.0.12")]


def test_gathered_tells_a_device_setting_that_does_not_fit() -> None:
    assert [finding.code for finding in go(Memory(pair(), mode=False), Order(state="gathered")).findings] == [
        "device_setting"
    ]


def test_a_snapshot_of_another_device_is_refused_unless_accepted() -> None:
    for snapshot in (
        Snapshot("memory", "elsewhere", {}, {"mode": True}),
        Snapshot("bigip", "memory.example.net", {}, {"mode": True}),
    ):
        memory = Memory(pair(), mode=False)
        assert not go(
            memory, Order(state="restored", snapshot=snapshot)
        ).changed  # it names no service, so nothing is meant
    foreign = Snapshot("memory", "elsewhere", {"203.0.113.10-500": "other"}, {})
    with pytest.raises(RunFailed, match="other_device"):
        go(Memory(pair()), Order(state="restored", snapshot=foreign))
    assert go(Memory(pair()), Order(state="restored", snapshot=foreign, accept=frozenset({"other_device"}))).changed


FAILURES = [
    None,
    ("before", Refused("no")),
    ("after", Refused("no")),
    ("before", Unreachable("lost")),
    ("after", Unreachable("lost")),
]


@pytest.mark.parametrize("failures", list(itertools.product(FAILURES, repeat=4)))
def test_both_or_neither_or_said_plainly(failures: Sequence[tuple[str, DeviceError] | None]) -> None:
    memory = Memory(pair(), failures, mode=False)
    came = outcome(memory)
    if isinstance(came, RunFailed):
        untouched = memory.values() == [False, "hidden", "hidden"]
        # What is reported as undone is undone. What is not may be undone as well, if it could not be read.
        kept = memory.kept in (None, [False, "hidden", "hidden"])
        assert (untouched and kept) or came.result.undone is False
        assert came.result.changed is (not came.result.undone)
        assert ("as it was before" in str(came)) is came.result.undone
        # Nothing here keeps the device from being read, so the result reports the present state.
        assert [service.value for service in came.result.services] == memory.values()[1:]
        assert [service.value for service in came.result.before] == ["hidden", "hidden"]
    else:
        assert came.changed
        assert memory.values() == memory.kept == [True, "kept", "kept"]
    assert memory.calls[-1] == "close"
    memory.failures.clear()
    go(memory)
    assert memory.values() == [True, "kept", "kept"]


def test_what_cannot_be_read_is_not_reported_as_changed() -> None:
    class Gone(Memory):
        def apply(self, changes: Sequence[Change]) -> None:
            super().apply(changes)
            raise Unreachable("lost")

        def read(self) -> Reading:
            if "apply" in self.calls:
                raise Unreachable("gone")
            return super().read()

    with pytest.raises(
        RunFailed, match=r"Not known to be as before: snat of 203\.0\.113\.10-500, snat of 203\.0\.113\.10-4500"
    ) as caught:
        go(Gone(pair()))
    result = caught.value.result
    assert (result.undone, result.changed) == (False, True)
    assert result.services == ()
    assert [service.value for service in result.before] == ["hidden", "hidden"]
    assert result.snapshot is not None


def test_what_is_rolled_back_without_an_answer_is_still_rolled_back() -> None:
    memory = Memory(pair(), [None, ("before", Refused("no")), ("after", Unreachable("lost"))])
    with pytest.raises(RunFailed, match="Everything is as it was before") as caught:
        go(memory)
    assert caught.value.result.undone is True
    assert memory.values() == ["hidden", "hidden"]


def test_what_may_have_been_kept_after_all_is_said() -> None:
    memory = Memory(pair(), [None, None, ("after", Unreachable("lost")), None, None, ("before", Refused("no"))])
    with pytest.raises(
        RunFailed, match="lost The rollback failed too: no The running configuration is rolled back"
    ) as caught:
        go(memory)
    assert caught.value.result.undone is False
    assert (memory.values(), memory.kept) == (["hidden", "hidden"], ["kept", "kept"])


def test_a_device_that_only_says_yes_is_found_out() -> None:
    class Liar(Memory):
        def _step(self, change: Change | None) -> None:
            pass

    memory = Liar(pair())
    with pytest.raises(
        RunFailed, match=r"accepted the change without an error, but snat of 203.0.113.10-500 is 'hidden'"
    ) as caught:
        go(memory)
    assert caught.value.result.undone is True
    assert "keep" not in memory.calls


def test_a_failing_log_out_is_reported_and_does_not_hide_the_first_error() -> None:
    class Stuck(Memory):
        def close(self) -> None:
            raise Unreachable("no answer to the log-out")

    assert [finding.code for finding in go(Stuck(pair(value="kept"))).findings] == ["session_left_open"]
    with pytest.raises(RunFailed, match="no UDP service"):
        go(Stuck(pair()), Order(addresses=("192.0.2.1",)))


def test_a_missing_address_is_an_error_in_every_state_that_names_what_there_is() -> None:
    states: tuple[t.Literal["preserved", "gathered"], ...] = ("preserved", "gathered")
    for state in states:
        with pytest.raises(
            RunFailed, match=r"no UDP service on UDP 500 and UDP 4500 at 203\.0\.113\.11.*203\.0\.113\.10-500"
        ):
            go(Memory(pair()), Order(state=state, addresses=("203.0.113.11",)))


@pytest.mark.parametrize("name", ["203.0.113.10-50", "vs", ""])
def test_a_missing_name_is_an_error_that_lists_the_nearest(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"no UDP service called .* There are: 203\.0\.113\.10-500"):
        select(pair(), Order(services=(name,)), "Memory")


def test_a_name_that_may_be_several_is_refused() -> None:
    twins = [replace(service, names=("twin",)) for service in pair()]
    with pytest.raises(InvalidInput, match="'twin' matches each of"):
        select(twins, Order(services=("twin",)), "Memory")


def test_half_a_pair_that_was_asked_for_is_a_blocker_and_names_the_other_half() -> None:
    memory = Memory(pair())
    with pytest.raises(RunFailed, match=r"pair_incomplete.*Name also 203\.0\.113\.10-4500"):
        go(memory, Order(services=("203.0.113.10-500",), return_path=GOOD))
    with pytest.raises(RunFailed, match=r"pair_incomplete.*Create the UDP service on UDP 4500"):
        go(Memory(pair()[:1]), Order(addresses=("203.0.113.10",), return_path=GOOD))


def test_half_a_pair_that_was_not_requested_is_reported_and_left_alone() -> None:
    memory = Memory([*pair(), pair("203.0.113.11")[0]])
    result = go(memory)
    assert [(finding.code, finding.severity) for finding in result.findings] == [("pair_incomplete", "warning")]
    assert memory.values() == ["kept", "kept", "hidden"]


@given(st.permutations([*pair(), *pair("203.0.113.11"), *pair("2001:db8::1")]), st.sets(st.integers(0, 5)))
def test_no_order_of_the_services_changes_what_is_chosen(services: list[Service], left_out: set[int]) -> None:
    kept = [service for number, service in enumerate(services) if number not in left_out]
    chosen, findings = select(kept, Order(), "Memory")
    by_address: dict[str, set[int]] = {}
    for service in kept:
        by_address.setdefault(service.address, set()).add(service.port)
    whole = {address for address, ports in by_address.items() if ports == {500, 4500}}
    assert [(service.address, service.port) for service in chosen] == [
        (address, port) for address in sorted(whole) for port in (500, 4500)
    ]
    assert len(findings) == len(by_address) - len(whole)


def test_services_of_one_port_lead_to_servers_together() -> None:
    def one(name: str, port: int, *servers: str) -> Service:
        own = tuple(Server(server, port) for server in servers)
        return Service(name, "203.0.113.20", port, {"snat": "kept"}, True, servers=own)

    alone = [one(f"{server}-{port}", port, server) for port in (500, 4500) for server in ("10.0.0.1", "10.0.0.2")]
    assert server_findings(alone) == []
    (finding,) = server_findings(alone[:-1])
    assert finding.code == "server_sets_differ"


def test_a_service_that_preserves_and_does_not_suit_is_changed_without_a_return_path() -> None:
    class Choosy(Memory):
        def wanted(self, service: Service) -> dict[str, t.Any]:
            return {"snat": "kept"}

    left = [replace(service, settings={"snat": "kept otherwise"}, source_preserved=True) for service in pair()]
    memory = Choosy(left)
    assert run(memory, Order(), check_mode=False).changed
    assert memory.values() == ["kept", "kept"]
