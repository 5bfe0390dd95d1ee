# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a change of the gateway can end in, whatever happens at whichever step: the table in docs/windows.md."""

from __future__ import annotations

import ipaddress
import typing as t
from dataclasses import dataclass

import pytest
from ansible.errors import AnsibleConnectionFailure
from faults import test_servers
from faults.test_servers import GATEWAY, NEW, OLD, PEER, TIMEOUT, judge
from one_server import Driven, Starter

from ansible_collections.aovpn.ikev2.plugins.action import rras_default_gateway
from lab.winrm import Died, Work

started = test_servers.started
MANAGER = "172.16.0.50"
KINDS = (
    *("killed before", "killed after", "restarts before", "restarts after", "dies", "dies after"),
    *("refused", "broken"),
)
CALLS = 10


class Killed(BaseException):
    """The run ends here, and nothing catches it."""


@dataclass
class Beyond(Driven):
    """A server that is managed from beyond its gateways, so that it answers only where its routes lead there."""

    def execute(self, module_name: str, module_args: dict[str, t.Any], **_dummy: t.Any) -> dict[str, t.Any]:
        """Run a module, and let happen what happens."""
        number, name = len(self.calls), module_name.rpartition(".")[2]
        self.calls.append(self.host.labels(Work("MODULE", name, module_args)).get("script", name))
        self.clock.sleep(0.1)
        struck = number == self.at
        lost = AnsibleConnectionFailure("the lab does not answer")
        self.looked = False
        if self.host.is_dark():
            self.clock.sleep(2)
            raise lost
        if (struck and self.fault == "refused") or (number >= self.at >= 0 and self.fault == "broken"):
            return {"failed": True, "msg": "the lab refuses this"}
        if struck and self.fault == "killed before":
            raise Killed
        if struck and self.fault == "restarts before":
            self.restart()
            raise lost
        if struck and self.fault.startswith("dies"):
            after = " after" if self.fault == "dies after" else ""
            self.host.state["cmdlet_faults"] = [{"command": "*-*", "kind": f"die{after}", "skip": 2}]
        frame = {"_ansible_check_mode": False, "_ansible_module_name": module_name, "_ansible_inject_invocation": False}
        try:
            answer = self.host.module(name, {**frame, **module_args})
        except Died:
            return {"module_stdout": "", "msg": "PowerShell has died"}
        finally:
            self.host.state["cmdlet_faults"] = []
        self.looked = True
        if struck and self.fault == "killed after":
            raise Killed
        if struck and self.fault == "restarts after":
            self.restart()
            self.looked = False
            raise lost
        return answer

    def restart(self) -> None:
        """Restart the server, whose external card has another index then."""
        new = max(nic["if_index"] for nic in self.host.state["nics"]) + 2
        self.host.reboot(indexes={self.host.state["nics"][0]["if_index"]: new})
        self.clock.passes()

    def gateways(self) -> set[tuple[str, str]]:
        """Return the default gateways of both stores."""
        return {(line[0], line[2]) for line in self.table() if line[1] == "0.0.0.0/0"}


def beyond(started: Starter, fault: str = "", at: int = -1, host: t.Any = None) -> Beyond:
    """Return such a server."""
    server = started(fault, at, host)
    server.host.state["sessions"][0] |= {"remote_address": MANAGER}
    return Beyond(server.host, server.clock, fault, at)


STEPS = [
    pytest.param(kind, at, marks=() if kind == "restarts after" and at % 5 == 3 else pytest.mark.matrix)
    for at in range(CALLS)
    for kind in KINDS
]


@pytest.mark.parametrize(("kind", "at"), STEPS)
def test_no_step_locks_out_lies_reverts_or_leaves_anything(started: Starter, kind: str, at: int) -> None:
    server = beyond(started, kind, at)
    before = server.table()
    try:
        result = server.run(rras_default_gateway, **GATEWAY)
    except Killed:
        result = {}
    if result:
        judge(server, result, before, server.table())
    # What was not confirmed is undone by now.
    server.clock.sleep(TIMEOUT + 70)
    assert not server.host.is_dark(), "locked out"
    assert server.host.state["tasks"] == {}, "tasks left"
    assert server.gateways() in ({("active", hop), ("persistent", hop)} for hop in (OLD, NEW)), "no default route"
    if result.get("final_state") == "changed" and not result.get("failed"):
        assert server.gateways() == {("active", NEW), ("persistent", NEW)}
        for address in (PEER, MANAGER):
            assert server.host.reaches(ipaddress.IPv4Address(address)), "cut off by a confirmed change"
    elif result.get("final_state") in ("unchanged", "rolled_back"):
        assert server.gateways() == {("active", OLD), ("persistent", OLD)}, "failed, and still changed"
    settled = server.table()
    server.restart()
    server.clock.sleep(70)
    assert server.table() == settled, "reverts unasked"
    # The next run converges.
    again = beyond(started, host=server.host)
    assert again.run(rras_default_gateway, **GATEWAY)["final_state"] in ("changed", "unchanged")
    last = beyond(started, host=server.host)
    result = last.run(rras_default_gateway, **GATEWAY)
    assert (result["final_state"], result["changes"], last.calls) == ("unchanged", [], ["read_network.ps1"])
