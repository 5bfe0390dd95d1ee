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

from ansible_collections.aovpn.ikev2.plugins.module_utils import _engine
from ansible_collections.aovpn.ikev2.plugins.module_utils._adapter import Adapter
from ansible_collections.aovpn.ikev2.plugins.module_utils._engine import Result, RunFailed, run
from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Endpoint
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import (
    Change,
    DeviceError,
    Finding,
    InvalidInput,
    Order,
    Reading,
    Refused,
    Server,
    Service,
    Snapshot,
    State,
    Unreachable,
    Unread,
)
from ansible_collections.aovpn.ikev2.plugins.module_utils._plan import pair_findings, server_findings
from ansible_collections.aovpn.ikev2.plugins.module_utils._select import select

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
        self, services: Sequence[Service], failures: Sequence[tuple[str, BaseException] | None] = (), **device: t.Any
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


def test_what_carries_the_ports_and_is_left_out_is_named() -> None:
    whole, asked = pair("203.0.113.11"), pair()
    unbound = replace(pair("")[0], id="unbound")
    any_port = replace(asked[0], id="any", port=0)
    alone = replace(asked[0], id="alone", address="0.0.0.0", port=0)
    memory = Memory([*asked, *whole, unbound, any_port, alone])
    for order in (Order(addresses=("203.0.113.10",)), Order(services=tuple(service.id for service in asked)), Order()):
        _chosen, findings = select(memory.read().services, order, "Memory")
        assert [(finding.code, finding.object) for finding in findings] == [
            ("not_selected", "unbound"),
            ("not_selected", "alone"),
        ]
    # A second service on the port of one that was named: its clients are left out.
    twin = replace(asked[0], id="twin")
    _chosen, findings = select([*asked, twin], Order(services=tuple(service.id for service in asked)), "Memory")
    assert [(finding.code, finding.object) for finding in findings] == [("not_selected", "twin")]


@pytest.mark.parametrize("named", [{"services": ("odd",)}, {"addresses": ("203.0.113.66",)}])
def test_an_object_that_cannot_be_read_ends_the_run_only_where_it_was_asked_for(named: dict[str, t.Any]) -> None:
    class Odd(Memory):
        def read(self) -> Reading:
            return replace(super().read(), unread=(Unread("odd", "no port", ("203.0.113.66",)),))

    result = go(Odd(pair()))
    assert [(finding.code, finding.object) for finding in result.findings] == [("not_read", "odd")]
    assert [service.value for service in result.services] == ["kept", "kept"]
    with pytest.raises(RunFailed, match=r"described odd in a way that is not understood \(no port\)"):
        go(Odd(pair()), Order(return_path=GOOD, **named))


def test_the_nearest_names_are_whole_pairs() -> None:
    with pytest.raises(InvalidInput, match=r"There are: 203\.0\.113\.10-500 .*, 203\.0\.113\.10-4500 "):
        select(pair(), Order(services=("203.0.113.10-50",)), "Memory")
    # The nearest first, in whatever order the device lists them.
    with pytest.raises(InvalidInput, match=r"There are: 203\.0\.113\.10-500 .*, 203\.0\.113\.10-4500 "):
        select(pair()[::-1], Order(services=("203.0.113.10-50",)), "Memory")
    behind = [replace(service, id=f"behind-{service.port}", names=()) for service in pair("")]
    with pytest.raises(InvalidInput, match=r"at 198\.51\.100\.7\. There are: .*, behind-500 .*, behind-4500 "):
        select([*pair(), *behind], Order(addresses=("198.51.100.7",)), "Memory")


@pytest.mark.parametrize(
    ("address", "servers"),
    [
        ("2001:db8::60", ["10.10.0.11"]),
        ("203.0.113.10", ["2001:db8::11"]),
        ("203.0.113.10", ["10.10.0.11", "2001:db8::11"]),
    ],
)
def test_services_that_join_two_ip_versions_are_left_alone(address: str, servers: list[str]) -> None:
    behind = tuple(Server(server, 500, (GATEWAY,)) for server in servers)
    services = [replace(service, servers=behind) for service in pair(address)]
    memory, order = Memory(services), Order(return_path=dict.fromkeys(servers, GATEWAY))
    for check_mode in (True, False):
        with pytest.raises(RunFailed, match=r"unsupported_mode at .* are not of one IP version"):
            go(memory, order, check_mode=check_mode)
    looked = go(memory, replace(order, state="gathered"))
    assert [finding.severity for finding in looked.findings if finding.code == "unsupported_mode"] == ["blocker"] * 2
    # Where the translation was taken off by somebody else, going back to it is not blocked.
    kept = Memory([replace(service, settings={"snat": "kept"}, source_preserved=True) for service in services])
    before = Snapshot("memory", "memory.example.net", {service.id: "hidden" for service in services}, {})
    assert go(kept, Order(state="restored", snapshot=before)).changed


def test_servers_out_of_service_do_not_block_and_do_not_count() -> None:
    def behind(**second: t.Any) -> tuple[Server, ...]:
        return Server("10.10.0.11", 500, (GATEWAY,)), Server("10.10.0.12", 500, (GATEWAY,), **second)

    retired = [replace(service, servers=behind(enabled=False)) for service in pair()]
    result = go(Memory(retired), Order(return_path={"10.10.0.11": GATEWAY}))
    (finding,) = result.findings
    assert (finding.code, finding.severity, finding.object) == ("return_path_unverified", "info", "10.10.0.12")
    assert GATEWAY in finding.remedy
    # Its monitor alone takes a server out for a while only.
    down = [replace(service, servers=behind(up=False)) for service in pair()]
    with pytest.raises(RunFailed, match=r"return_path_unverified at 10\.10\.0\.12"):
        go(Memory(down), Order(return_path={"10.10.0.11": GATEWAY}))
    one_port = [retired[0], replace(pair()[1], servers=behind())]
    (finding,) = go(Memory(one_port), Order(state="gathered")).findings
    assert finding.code == "server_sets_differ"
    direct = [replace(service, servers=behind(direct=True)) for service in pair()]
    assert go(Memory(direct), Order(return_path={"10.10.0.11": GATEWAY})).findings == []
    # In service on one port, it is judged like any other.
    with pytest.raises(RunFailed, match=r"return_path_unverified at 10\.10\.0\.12"):
        go(Memory(one_port), Order(return_path={"10.10.0.11": GATEWAY}))


def test_a_server_without_an_address_stops_a_change_and_is_a_server_anyway() -> None:
    named = [replace(service, unresolved=("rras2.example.net",)) for service in pair()]
    memory = Memory(named)
    for check_mode in (True, False):
        with pytest.raises(
            RunFailed, match=r"return_path_unverified at rras2\.example\.net: The device shows no address"
        ):
            go(memory, Order(return_path=GOOD), check_mode=check_mode)
    assert memory.values() == ["hidden", "hidden"]
    (finding,) = go(memory, Order(state="gathered", return_path=GOOD)).findings
    assert (finding.code, finding.severity, finding.object) == (
        "return_path_unverified",
        "blocker",
        "rras2.example.net",
    )
    assert go(memory, Order(state="gathered")).findings == []
    assert go(memory, Order(return_path=GOOD, accept=frozenset({"return_path_unverified"}))).changed
    (finding,) = server_findings([named[0], pair()[1]])
    assert finding.code == "server_sets_differ"
    assert "rras2.example.net" in finding.message


def several(address: str = "203.0.113.10", ports: Sequence[int] = (80, 500, 4500), **more: t.Any) -> list[Service]:
    """Return one service on several ports, as the list of services has it."""
    spelled = tuple(f"{address}-{port}" for port in ports)
    return [replace(pair()[0], id="several", address=address, port=port, names=spelled, **more) for port in ports]


class Several(Memory):
    """A device with one service on several ports, and perhaps several addresses."""

    def __init__(self, entries: Sequence[Service], failures: Sequence[tuple[str, DeviceError] | None] = ()) -> None:
        super().__init__(entries, failures)
        self.entries = entries

    def read(self) -> Reading:
        now = self.services["several"]
        return Reading(
            tuple(
                replace(entry, servers=(), settings=now.settings, source_preserved=now.source_preserved)
                for entry in self.entries
            )
        )


@pytest.mark.parametrize("named", [{}, {"addresses": ("203.0.113.10",)}, {"services": ("203.0.113.10-4500",)}])
def test_one_service_on_both_ports_is_a_pair_with_one_change(named: dict[str, t.Any]) -> None:
    memory, order = Several(several(enabled=False)), Order(return_path=GOOD, **named)
    predicted = go(memory, order, check_mode=True)
    done = go(memory, order)
    for result in (predicted, done):
        assert [(service.id, service.port) for service in result.services] == [("several", 500), ("several", 4500)]
        assert [change.as_dict() for change in result.changes] == [
            {"id": "several", "scope": "service", "setting": "snat", "before": "hidden", "after": "kept"}
        ]
        assert [(finding.code, finding.object) for finding in result.findings] == [("disabled_service", "several")]
    assert memory.calls.count("apply") == 1
    back = go(memory, Order(state="restored", snapshot=done.snapshot))
    assert memory.values() == ["hidden"]
    assert [service.port for service in back.services] == [500, 4500]


def test_a_snapshot_names_services_by_their_ids_alone() -> None:
    snapshot = Snapshot("memory", "memory.example.net", {"203.0.113.10-500": "hidden"}, {})
    with pytest.raises(RunFailed, match=r"no UDP service called '203\.0\.113\.10-500'\. There are: several"):
        go(Several(several()), Order(state="restored", snapshot=snapshot))
    other_ports = Several(several(ports=(80,)))
    snapshot = Snapshot("memory", "memory.example.net", {"several": "kept"}, {})
    assert [service.port for service in go(other_ports, Order(state="gathered", snapshot=snapshot)).services] == [80]


def test_a_service_on_several_ports_is_named_once() -> None:
    _chosen, (half,) = select(several(ports=(500, 4500)), Order(ports=(500, 1701, 4500)), "Memory")
    assert (half.code, half.object) == ("pair_incomplete", "several")
    memory = Several(several("2001:db8::60"))
    (finding,) = go(memory, Order(state="gathered")).findings
    assert (finding.code, finding.object) == ("unsupported_mode", "several")


def test_what_cannot_be_read_at_an_address_that_serves_all_ports_is_not_what_was_asked_for() -> None:
    class Odd(Memory):
        def read(self) -> Reading:
            return replace(super().read(), unread=(Unread("odd", "no port", ("203.0.113.10",)),))

    order = Order(addresses=("203.0.113.10",), return_path=GOOD)
    result = go(Odd(pair()), order)
    assert result.changed
    assert [(finding.code, finding.object) for finding in result.findings] == [("not_read", "odd")]
    with pytest.raises(RunFailed, match="described odd in a way that is not understood"):
        go(Odd(pair()[:1]), order)


def test_a_service_whose_servers_show_that_it_is_right_is_not_changed() -> None:
    class Direct(Memory):
        def guard(self, services: Sequence[Service], *, changing: bool) -> Reading:
            guarded = super().guard(services, changing=changing).services
            return Reading((replace(guarded[0], source_preserved=True), *guarded[1:]))

    for state, check_mode in (("gathered", False), ("preserved", True), ("preserved", False)):
        result = go(Direct(pair()), Order(state=t.cast("t.Any", state), return_path=GOOD), check_mode=check_mode)
        assert [change.id for change in result.changes] == ["203.0.113.10-4500"]


def test_an_address_that_does_not_move_to_the_other_unit_is_no_gateway() -> None:
    behind = (Server("10.10.0.11", 500, unshared=(GATEWAY,)),)
    memory = Memory([replace(service, servers=behind) for service in pair()])
    with pytest.raises(RunFailed, match=rf"return_path_wrong.* that both units .* share, and it names none; {GATEWAY}"):
        go(memory, Order(return_path=GOOD))


NETWORK = "10.60.9.0/24"


def test_a_network_is_named_by_its_first_address_and_changed_like_any_service() -> None:
    memory = Memory(pair(NETWORK))
    looked = go(memory, Order(state="gathered", addresses=("10.60.9.0",)))
    assert [str(service) for service in looked.services] == [
        f"{NETWORK}-{port} ({NETWORK}, udp {port})" for port in (500, 4500)
    ]
    assert go(memory, Order(return_path=GOOD, addresses=("10.60.9.0",)), check_mode=True).changed
    with pytest.raises(RunFailed, match=r"no UDP service .* at 10\.60\.9\.7\..*\(10\.60\.9\.0/24, udp 500\)"):
        go(memory, Order(addresses=("10.60.9.7",)))
    assert go(memory).changed
    assert memory.values() == ["kept", "kept"]


def test_what_only_forwards_packets_is_changed_when_it_is_named_and_told_where_it_translates() -> None:
    forwarding = [replace(service, forwards=True, servers=()) for service in pair(NETWORK)]
    everything = replace(forwarding[0], id="everything", address="0.0.0.0/0", port=0)
    harmless = replace(everything, id="harmless", settings={"snat": "kept"}, source_preserved=True)
    memory = Memory([*pair(), *forwarding, everything, harmless])
    result = go(memory)
    assert [(finding.code, finding.severity, finding.object) for finding in result.findings] == [
        ("not_selected", "info", name) for name in (f"{NETWORK}-500", f"{NETWORK}-4500", "everything")
    ]
    assert memory.values() == ["kept", "kept", "hidden", "hidden", "hidden", "kept"]
    with pytest.raises(RunFailed, match="names no server behind this service"):
        go(memory, Order(services=("everything",), return_path=GOOD))
    assert not go(memory, Order(services=("harmless",))).changed


def test_check_mode_shows_what_the_guard_has_learned() -> None:
    class Off(Memory):
        def guard(self, services: Sequence[Service], *, changing: bool) -> Reading:
            guarded = super().guard(services, changing=changing).services
            return Reading(tuple(replace(service, enabled=False) for service in guarded))

    result = go(Off(pair()), check_mode=True)
    assert [(service.enabled, service.value) for service in result.services] == [(False, "kept")] * 2


def test_a_service_that_cannot_be_read_after_the_change_is_not_known_to_be_changed() -> None:
    class Odd(Memory):
        def read(self) -> Reading:
            found = super().read()
            if "apply" not in self.calls:
                return found
            return replace(found, services=found.services[1:], unread=(Unread(found.services[0].id, "no port"),))

    with pytest.raises(RunFailed, match=r"Not known to be as before: snat of 203\.0\.113\.10-500") as caught:
        go(Odd(pair()))
    assert caught.value.result.final_state == "unknown"


HIDDEN, KEPT = {"snat": "hidden"}, {"snat": "kept"}


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ([(500, KEPT), (4500, HIDDEN)], ["500, 4500"]),
        ([(500, KEPT), (4500, KEPT)], []),
        # A service for each server: one server's pair may be whole, the other's too.
        ([(500, KEPT), (500, HIDDEN), (4500, KEPT), (4500, HIDDEN)], []),
        ([(500, KEPT), (500, KEPT), (4500, KEPT), (4500, HIDDEN)], ["500, 500, 4500, 4500"]),
        ([(500, KEPT)], []),
    ],
)
@pytest.mark.parametrize("address", ["203.0.113.10", ""])
def test_half_a_pair_is_one_whose_ports_differ(
    ports: list[tuple[int, dict[str, str]]], expected: list[str], address: str
) -> None:
    services = [
        Service(f"{number}-{port}", address, port, settings, settings == KEPT)
        for number, (port, settings) in enumerate(ports)
    ]
    order = Order(services=tuple(service.id for service in services))
    findings = pair_findings(services, [], order, Memory(services))
    assert [item.code for item in findings] == ["pair_inconsistent"] * len(expected)
    assert [", ".join(name.partition("-")[2] for name in item.object.split(", ")) for item in findings] == expected


class Own(Memory):
    """A device that shows addresses of its own, on every reading and to the guard."""

    def read(self) -> Reading:
        return replace(super().read(), own_addresses=("203.0.113.10%2", "", "203.0.113.0/24", "2001:db8::9"))

    def guard(self, services: Sequence[Service], *, changing: bool) -> Reading:
        return replace(super().guard(services, changing=changing), own_addresses=("10.10.0.5", "203.0.113.10"))


@pytest.mark.parametrize("order", [Order(state="gathered"), Order(return_path=GOOD), Order()])
@pytest.mark.parametrize("check_mode", [False, True])
def test_the_devices_own_addresses_are_returned_as_far_as_they_were_read(order: Order, check_mode: bool) -> None:
    try:
        result = go(Own(pair()), order, check_mode=check_mode)
    except RunFailed as refused:  # no return path is given
        result = refused.result
    assert result.as_dict()["own_addresses"] == ["10.10.0.5", "2001:db8::9", "203.0.113.10"]


def test_without_a_change_only_the_first_reading_shows_own_addresses() -> None:
    assert go(Own(pair(value="kept"))).as_dict()["own_addresses"] == ["2001:db8::9", "203.0.113.10"]
    assert Result(failed=True).as_dict()["own_addresses"] == []


class Explaining(Memory):
    """A device that knows what else has an address."""

    def explain(self, addresses: Sequence[str]) -> Sequence[str]:
        self.calls.append("explain")
        return [f"Something else has {address}." for address in addresses]


@pytest.mark.parametrize("state", ["gathered", "preserved"])
def test_an_address_without_a_service_is_explained(state: State) -> None:
    memory = Explaining(pair())
    with pytest.raises(
        RunFailed, match=r"no UDP service .* at 203\.0\.113\.9.*There are: .* Something else has 203\.0\.113\.9\."
    ):
        go(memory, Order(state=state, addresses=("203.0.113.9", "203.0.113.10"), return_path=GOOD))
    assert memory.calls == ["open", "read", "explain", "close"]


def test_gateways_that_are_not_known_are_unverified() -> None:
    servers = tuple(Server(f"10.10.0.1{number}", 500, gateways_known=False, enabled=number == 1) for number in (1, 2))
    services = [replace(service, servers=servers) for service in pair()]
    expected = [("return_path_unverified", "blocker", "10.10.0.11"), ("return_path_unverified", "info", "10.10.0.12")]
    for order in (Order(state="gathered"), Order(state="gathered", return_path=GOOD)):
        result = go(Memory(services), order)
        assert [(item.code, item.severity, item.object) for item in result.findings] == expected
    with pytest.raises(
        RunFailed, match=r"return_path_unverified at 10\.10\.0\.11: The device's own addresses could not"
    ):
        go(Memory(services))
    assert go(Memory(services), Order(accept=frozenset({"return_path_unverified"}))).changed


REPORTED = _engine._reported


class TaskTimeoutError(BaseException):
    """What ansible-core raises in the middle of anything, where a task has a time limit."""


class Struck(Memory):
    """A device in memory. At these moments of a run, counted from 0, something happens that no adapter expects."""

    def __init__(self, error: type[BaseException], *moments: int) -> None:
        super().__init__(pair(), mode=False)
        self.error, self.moments, self.moment = error, moments, -1

    def _strike(self) -> None:
        self.moment += 1
        if self.moment in self.moments:
            raise self.error("token-of-a-session")

    def open(self) -> None:
        super().open()
        self._strike()

    def read(self) -> Reading:
        self._strike()
        return super().read()

    def guard(self, services: Sequence[Service], *, changing: bool) -> Reading:
        self._strike()
        return super().guard(services, changing=changing)

    def _step(self, change: Change | None) -> None:
        self._strike()
        super()._step(change)
        self._strike()

    def finish(self, services: Sequence[Service], changed: Sequence[Service]) -> Sequence[Finding]:
        self._strike()
        return super().finish(services, changed)

    def close(self) -> None:
        super().close()
        self._strike()


MOMENTS = [
    *("open", "read", "guard"),
    *(f"{place} write {number}" for number in (1, 2, 3) for place in ("before", "after")),
    *("read again", "before keep", "after keep", "finish", "close"),
]
BEFORE, AFTER = [False, "hidden", "hidden"], [True, "kept", "kept"]


@pytest.fixture
def reporting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Report faults as users get them."""
    monkeypatch.setattr(_engine, "_reported", REPORTED)


@pytest.mark.usefixtures("reporting")
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt, SystemExit, TaskTimeoutError])
def test_a_fault_or_an_interruption_at_any_moment_ends_in_a_true_result(
    error: type[BaseException], moment: str
) -> None:
    memory = Struck(error, MOMENTS.index(moment))
    with pytest.raises(RunFailed) as caught:
        go(memory)
    result = caught.value.result
    untouched = ("open", "read", "guard", "before write 1")
    if moment in ("finish", "close"):
        state, standing = "changed", AFTER
    else:
        state, standing = "unchanged" if moment in untouched else "rolled_back", BEFORE
    assert (result.final_state, memory.values()) == (state, standing)
    assert (result.changed, bool(result.changes)) == (state == "changed", state == "changed")
    assert memory.calls.count("close") == 1
    assert memory.kept in (None, standing)  # a save that was interrupted is made again, after the rollback
    expected = "internal error (KeyError in test_engine.py, line" if error is KeyError else f"({error.__name__})"
    assert expected in str(caught.value)
    assert "token" not in str(caught.value)


@pytest.mark.usefixtures("reporting")
@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
def test_interrupted_while_rolling_back_it_is_not_known_what_is_true(error: type[BaseException]) -> None:
    memory = Struck(error, 6, 7)
    with pytest.raises(
        RunFailed, match=r"rollback failed too: .*Not known to be as before: mode of .*Run the task again"
    ) as caught:
        go(memory)
    assert caught.value.result.final_state == "unknown"
    assert caught.value.result.changes
    assert memory.calls[-1] == "close"
