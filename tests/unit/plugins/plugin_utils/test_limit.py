# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan for the limit of IKE security associations."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.errors import PlanError
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.facts import ServerFacts
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.limit import (
    Plan,
    Step,
    Wanted,
    plan_limit,
    survey_limit,
)

MARK = {"path": r"HKLM:\SOFTWARE\aovpn.ikev2", "name": "IkeextRestartOwedSince"}
VALUE = {
    "path": r"HKLM:\SYSTEM\CurrentControlSet\Services\IKEEXT\Parameters",
    "name": "IkeNumEstablishedForInitialQuery",
}
NOW = "2026-01-05T07:00:00.0000000Z"
RUNNING: dict[str, t.Any] = {"state": "running", "start": "automatic", "dependents": []}
IDLE = ServerFacts.parse(
    {
        "now": NOW,
        "services": {"IKEEXT": RUNNING, "RemoteAccess": RUNNING},
        "ikeext_started": "2026-01-05T06:00:20.0000000Z",
        "ike_limit": None,
        "restart_owed_since": None,
        "fragmentation": 1,
        "ikev2_ports": 128,
        "tunnels": [],
        "associations": [],
        "administrator": True,
    }
)
BUSY = replace(IDLE, tunnels=12)
STOPPED = replace(IDLE, services={**IDLE.services, "IKEEXT": {**RUNNING, "state": "stopped"}}, ikeext_started=None)


def modules(plan: Plan) -> list[tuple[str, dict[str, t.Any]]]:
    """List the modules that a plan runs, with their arguments."""
    return [(step.module, dict(step.arguments)) for step in plan.steps]


MARKS = ("win_regedit", {**MARK, "data": NOW})
SETS = ("win_regedit", {**VALUE, "data": 50000, "type": "dword"})
UNSETS = ("win_regedit", {**VALUE, "state": "absent"})
RESTARTS = ("win_service", {"name": "IKEEXT", "state": "restarted"})
UNMARKS = ("win_regedit", {**MARK, "state": "absent"})
PENDING: dict[str, t.Any] = {"restart_owed": True, "restart_marked": True}


@pytest.mark.parametrize(
    ("facts", "wanted", "steps"),
    [
        (IDLE, Wanted(50000), [MARKS, SETS, RESTARTS, UNMARKS]),
        (BUSY, Wanted(50000), [MARKS, SETS]),
        (BUSY, Wanted(50000, True), [MARKS, SETS, RESTARTS, UNMARKS]),
        (replace(IDLE, ike_limit=50000), Wanted(50000), []),
        (replace(IDLE, ike_limit=10), Wanted(50000), [MARKS, SETS, RESTARTS, UNMARKS]),
        # It reads the value when it starts.
        (STOPPED, Wanted(50000), [SETS]),
        # A restart that an earlier run has left: made when nobody is connected, and by the time the value is right.
        (replace(IDLE, ike_limit=50000, **PENDING), Wanted(50000), [RESTARTS, UNMARKS]),
        (replace(BUSY, ike_limit=50000, **PENDING), Wanted(50000), []),
        (replace(STOPPED, ike_limit=50000, **PENDING), Wanted(50000), [RESTARTS, UNMARKS]),
        (replace(STOPPED, **PENDING), Wanted(50000), [MARKS, SETS, RESTARTS, UNMARKS]),
        # One that has happened since.
        (replace(IDLE, ike_limit=50000, restart_marked=True), Wanted(50000), [UNMARKS]),
        # Back to the system's own default, and to a number that somebody else has set.
        (replace(IDLE, ike_limit=50000), Wanted(None), [MARKS, UNSETS, RESTARTS, UNMARKS]),
        (IDLE, Wanted(None), []),
        (IDLE, Wanted(0), [MARKS, ("win_regedit", {**SETS[1], "data": 0}), RESTARTS, UNMARKS]),
        # Where RemoteAccess cannot be asked, security associations count.
        (replace(IDLE, tunnels=None, sas={"198.51.100.7": 1}), Wanted(50000), [MARKS, SETS]),
    ],
)
def test_the_steps(facts: ServerFacts, wanted: Wanted, steps: list[tuple[str, dict[str, t.Any]]]) -> None:
    assert modules(plan_limit(facts, wanted)) == steps


def test_a_restart_alone_is_not_a_change_of_a_setting() -> None:
    plan = plan_limit(replace(IDLE, ike_limit=50000, **PENDING), Wanted(50000))
    assert (plan.changes, plan.restarts, plan.changed) == ((), True, True)
    unmark = plan_limit(replace(IDLE, ike_limit=50000, restart_marked=True), Wanted(50000))
    assert (unmark.changes, unmark.restarts, unmark.changed) == ((), False, False)


def test_the_change_is_listed_with_the_registrys_own_name() -> None:
    (change,) = plan_limit(BUSY, Wanted(50000)).changes
    assert change.as_dict() == {
        "id": "IKEEXT",
        "scope": "limit",
        "setting": "IkeNumEstablishedForInitialQuery",
        "before": None,
        "after": 50000,
    }


WITHOUT_RRAS = {"IKEEXT": RUNNING}
REFUSED: list[tuple[ServerFacts, str]] = [
    (replace(IDLE, services=WITHOUT_RRAS), "not an RRAS server: the service RemoteAccess is missing"),
    (replace(IDLE, services={"RemoteAccess": RUNNING}), "not an RRAS server: the service IKEEXT is missing"),
    (
        replace(IDLE, services={**IDLE.services, "RemoteAccess": {**RUNNING, "start": "disabled"}}),
        "not an RRAS server: the service RemoteAccess is disabled",
    ),
    (replace(IDLE, administrator=False), "is not an administrator of this server"),
    (
        replace(IDLE, services={**IDLE.services, "IKEEXT": {**RUNNING, "dependents": ["PolicyAgent", "Other"]}}),
        "depend on IKEEXT and would be stopped with it: PolicyAgent, Other. Stop them first",
    ),
]


@pytest.mark.parametrize(("facts", "words"), REFUSED)
def test_what_is_refused(facts: ServerFacts, words: str) -> None:
    for refused in (facts, replace(facts, ike_limit=50000, **PENDING)):
        with pytest.raises(PlanError, match=words) as failure:
            plan_limit(refused, Wanted(50000))
        assert (failure.value.final_state, failure.value.changes) == ("unchanged", ())
    # Where nothing would be done, nothing is in the way of it.
    assert plan_limit(replace(facts, ike_limit=50000), Wanted(50000)).steps == ()
    changes, (finding,) = survey_limit(facts, Wanted(50000), "rras1")
    assert [change.after for change in changes] == [50000]
    assert (finding.code, finding.severity, finding.object) == ("change_refused", "blocker", "rras1")
    assert words in finding.message


@pytest.mark.parametrize("limit", [0, -1, 4294967296])
def test_a_limit_that_the_registry_cannot_hold(limit: int) -> None:
    with pytest.raises(PlanError, match=rf"'limit' is {limit}. It has to be a number from 1 to 4294967295"):
        Wanted.parse(limit, False)


def test_the_limits_limits() -> None:
    assert [Wanted.parse(limit, True) for limit in (1, 4294967295)] == [Wanted(1, True), Wanted(4294967295, True)]


@pytest.mark.parametrize("snapshot", [{}, {"ike_limit": "many"}, {"ike_limit": -1}, {"ike_limit": 4294967296}])
def test_a_snapshot_that_is_none(snapshot: dict[str, t.Any]) -> None:
    with pytest.raises(PlanError, match="'snapshot' is not what this module returns"):
        Wanted.of_snapshot(snapshot, False)


@pytest.mark.parametrize(("kept", "wanted"), [(None, None), (0, 0), (50000, 50000), ("50000", 50000)])
def test_a_snapshot(kept: t.Any, wanted: int | None) -> None:
    assert Wanted.of_snapshot({"ike_limit": kept, "gateway": "10.10.0.1"}, True) == Wanted(wanted, True)


# A server that the steps are carried out on, by rules of its own: what IKEEXT has read, and what the registry holds


@dataclass
class Server:
    """A server's registry and its service IKEEXT. Times are numbers, which read_vpn.ps1 writes as texts."""

    limit: int | None
    read: int | None
    running: bool
    mark: int | None
    started: int
    tunnels: int
    clock: int = 100

    def facts(self) -> ServerFacts:
        """Return what is read of it."""
        state = "running" if self.running else "stopped"
        return ServerFacts.parse(
            {
                "now": f"{self.clock:06}",
                "services": {"IKEEXT": {**RUNNING, "state": state}, "RemoteAccess": RUNNING},
                "ikeext_started": f"{self.started:06}" if self.running else None,
                "ike_limit": self.limit,
                "restart_owed_since": None if self.mark is None else f"{self.mark:06}",
                "fragmentation": 1,
                "ikev2_ports": 128,
                "tunnels": [{"connection_type": "Vpn", "tunnel_type": "Ikev2", "count": self.tunnels}],
                "associations": [
                    {
                        "remote_address": "198.51.100.7",
                        "key_module": None,
                        "key_module_name": "IKEv2",
                        "count": self.tunnels,
                    }
                ],
                "administrator": True,
            }
        )

    def take(self, step: Step) -> None:
        """Carry out a step, a second later."""
        self.clock += 1
        arguments = step.arguments
        if step.module == "win_service":
            self.start()
        elif arguments["name"] == MARK["name"]:
            self.mark = None if arguments.get("state") == "absent" else int(arguments["data"])
        else:
            self.limit = None if arguments.get("state") == "absent" else arguments["data"]

    def start(self) -> None:
        """Start IKEEXT, which reads the limit then."""
        self.read, self.started, self.running = self.limit, self.clock, True


LIMITS = st.sampled_from([None, 10, 50000])
SERVERS = st.builds(
    Server,
    limit=LIMITS,
    read=LIMITS,
    running=st.booleans(),
    mark=st.sampled_from([None, 40, 50, 60]),
    started=st.just(50),
    tunnels=st.sampled_from([0, 12]),
).filter(lambda server: server.read == server.limit or (server.running and server.facts().restart_owed))
ASKED = st.builds(Wanted, LIMITS, st.booleans())


@given(SERVERS, ASKED)
def test_the_result_of_the_steps_is_as_predicted(server: Server, wanted: Wanted) -> None:
    plan = plan_limit(server.facts(), wanted)
    was_running, tunnels_matter = server.running, server.tunnels and not wanted.restart_with_sessions
    for step in plan.steps:
        server.take(step)
    after = server.facts()
    assert server.limit == wanted.limit
    assert (after.restart_owed, after.restart_marked) == (plan.after.restart_owed, plan.after.restart_marked)
    if server.running:
        assert after.restart_owed or server.read == wanted.limit
    if tunnels_matter:
        assert server.started == 50
    assert server.running or not was_running
    again = plan_limit(after, wanted)
    assert (again.steps, again.changes) == ((), ())


@given(SERVERS, ASKED, st.integers(0, 3), st.booleans())
def test_wherever_a_run_ends_the_next_one_makes_it_right(
    server: Server, wanted: Wanted, done: int, rebooted: bool
) -> None:
    for step in plan_limit(server.facts(), wanted).steps[:done]:
        server.take(step)
        # Never the value without its mark: a service that runs and has not read it is known to need a restart.
        assert not server.running or server.read == server.limit or server.facts().restart_owed
    if rebooted:
        server.clock += 1
        server.start()
    server.tunnels = 0
    for step in plan_limit(server.facts(), wanted).steps:
        server.take(step)
    assert server.limit == wanted.limit
    assert not server.running or server.read == wanted.limit
    assert plan_limit(server.facts(), wanted).steps == ()


@given(SERVERS, ASKED)
def test_gathered_lists_what_present_changes(server: Server, wanted: Wanted) -> None:
    changes, findings = survey_limit(server.facts(), wanted, "rras1")
    assert changes == plan_limit(server.facts(), wanted).changes
    assert findings == ()


def test_a_service_is_not_restarted_where_it_is_not_known_who_is_connected() -> None:
    unknown = replace(IDLE, tunnels=None, sas_read=False)
    plan = plan_limit(unknown, Wanted(50000))
    assert (plan.restarts, plan.after.restart_owed) == (False, True)
    assert plan_limit(unknown, Wanted(50000, restart_with_sessions=True)).restarts
