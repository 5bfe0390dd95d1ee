# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the actions for VPN servers in the test's own process, on a server of the lab whose scripts are executed, with a clock that nobody waits for."""

from __future__ import annotations

import json
import types
import typing as t
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure

from ansible_collections.aovpn.ikev2.plugins.action import rras_default_gateway, rras_ike_limit
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows import server_action
from lab import clock as lab_clock
from lab.system import find_value
from lab.windows import IKE_LIMIT, IKEEXT_KEY, WindowsHost
from lab.winrm import Work

LASTING = ("gone", "gone_after", "broken")
"""The faults that strike every call from then on."""


@dataclass
class Clock:
    """A clock that nobody waits for. It stands in for the module time here, and for the lab's clock."""

    seconds: float = 1_000_000.0
    passes: Callable[[], t.Any] = lambda: None

    def time(self) -> float:
        """Return the time."""
        return self.seconds

    monotonic = time

    def sleep(self, seconds: float) -> None:
        """Let time pass, and whatever happens meanwhile."""
        self.seconds += seconds
        self.passes()


@dataclass
class Driven:
    """A server on which actions run without a connection, and what happens to the calls that reach it. ``fault`` strikes call number ``at``, counted from 0.

    ``looked``: whether the last call that read had an answer.
    """

    host: WindowsHost
    clock: Clock
    fault: str = ""
    at: int = -1
    calls: list[str] = field(default_factory=list)
    looked: bool = False

    def execute(self, module_name: str, module_args: dict[str, t.Any], **_dummy: t.Any) -> dict[str, t.Any]:
        """Run a module as ActionBase does: in a tenth of a second, or two seconds where there is not an answer."""
        number, name = len(self.calls), module_name.rpartition(".")[2]
        self.calls.append(self.host.labels(Work("MODULE", name, module_args)).get("script", name))
        self.clock.sleep(0.1)
        struck = number == self.at or (number > self.at >= 0 and self.fault in LASTING)
        if self.calls[-1].startswith("read"):
            self.looked = not struck
        if struck and self.fault in ("refused", "broken"):
            return {"failed": True, "msg": "the lab refuses this"}
        lost = AnsibleConnectionFailure("the lab does not answer")
        if self.host.is_dark():
            self.looked = False
            self.clock.sleep(2)
            raise lost
        if struck and (self.fault in ("before", "gone") or number > self.at):
            self.clock.sleep(2)
            raise lost
        frame = {"_ansible_check_mode": False, "_ansible_module_name": module_name, "_ansible_inject_invocation": False}
        answer = self.host.module(name, {**frame, **module_args})
        if struck and self.fault == "told":
            return {**answer, "error": [{"output": "the lab tells an error beside a result"}]}
        if struck:
            raise lost
        return answer

    def run(self, plugin: types.ModuleType, check_mode: bool = False, **options: t.Any) -> dict[str, t.Any]:
        """Run an action with these options, and return its result."""
        shell = types.SimpleNamespace(_IS_WINDOWS=True, tmpdir="C:\\Temp")
        connection = types.SimpleNamespace(_shell=shell, get_option=lambda _name: 5986)
        task = types.SimpleNamespace(args=options, check_mode=check_mode, async_val=0, action="test")
        action = plugin.ActionModule(task, connection, None, None, None, None)
        action._execute_module, action._load_name = self.execute, "test"
        try:
            result: dict[str, t.Any] = action.run(task_vars={"inventory_hostname": "rras1"})
        except AnsibleActionFail as error:
            result = {**error.result, "failed": True, "msg": str(error)}
        # Plain values, as they reach the playbook.
        return t.cast("dict[str, t.Any]", json.loads(json.dumps(result)))

    def table(self) -> set[tuple[t.Any, ...]]:
        """Return all routes of both stores."""
        routes = self.host.state["routes"]
        return {(store, item["dest"], item["next_hop"], item["metric"]) for store in routes for item in routes[store]}

    def limit(self) -> tuple[t.Any, ...]:
        """Return the limit in the registry, the one that IKEEXT has read, and how often it was started."""
        value = find_value(self.host.state, IKEEXT_KEY, IKE_LIMIT)
        ikeext = self.host.state["services"]["IKEEXT"]
        return value["data"] if value else None, ikeext["ike_limit"], ikeext["starts"], ikeext["state"]


Starter: t.TypeAlias = "Callable[..., Driven]"


def starter(monkeypatch: pytest.MonkeyPatch) -> Starter:
    """Return what makes a server; see Driven. A host of its own has the peer 172.16.0.9 by the old gateway, and no tunnels."""

    def start(fault: str = "", at: int = -1, host: WindowsHost | None = None) -> Driven:
        clock = Clock()
        for module in (rras_default_gateway, rras_ike_limit, server_action):
            monkeypatch.setattr(module, "time", clock)
        monkeypatch.setattr(lab_clock, "now", clock.time)
        if host is None:
            host = WindowsHost("rras1", 1)
            host.state |= {"radius_servers": ["172.16.0.9"], "sas": []}
        clock.passes = host.tasks.run_due
        return Driven(host, clock, fault, at)

    return start
