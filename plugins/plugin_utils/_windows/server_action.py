# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the actions for VPN servers share: running scripts and modules there, lost connections, and results."""

from __future__ import annotations

import abc
import contextlib
import itertools
import json
import time
import typing as t
from collections.abc import Callable, Mapping, Sequence

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import MISSING
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Finding
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.commands import text_of
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.errors import PlanError, outcome
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.facts import ServerFacts
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.network import Network
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.reach import Endpoint, explain

PAUSE = 1.0
"""Seconds between two attempts to reach a server."""

GRACE = 90.0
"""How many seconds a rollback may be overdue until the task gives up; enough for one more attempt."""

LOOK = (
    "Check the scheduled task 'aovpn.ikev2 rollback' on the server. Run it, or delete it if the routes are right,"
    " with: Unregister-ScheduledTask -TaskName 'aovpn.ikev2*'"
)

ALLOW = "Allow the collection's scripts in App Control or AppLocker, or leave this server out."

MANAGEMENT_PORTS = (5985, 5986, 22)

GATEWAY_ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "gateway": {"type": "str"},
    "interface_alias": {"type": "str"},
    "mac": {"type": "str"},
    "preserve_routes": {"type": "list", "elements": "str"},
    "remove_other_defaults": {"type": "bool", "default": False},
    "allow_dhcp": {"type": "bool", "default": False},
    "probe": {"type": "str"},
    "keep_network_category": {"type": "bool", "default": False},
}
"""The options that say which default gateway is wanted."""

Answer = t.TypeVar("Answer")

display = Display()


def _policy(reason: str) -> Finding:
    """Return a language mode that the scripts cannot do with as a finding."""
    code, _separator, message = reason.partition(": ")
    return Finding(code, "blocker", "PowerShell", message, ALLOW)


class Lost(Exception):
    """The server did not answer, so it is not known whether the script or module ran.

    ``remedy`` says what to do. ``unreachable``: there was no connection at all, whatever kind of error the connection plugin made of that.
    """

    def __init__(self, message: str, remedy: str, unreachable: bool) -> None:
        super().__init__(message)
        self.remedy = remedy
        self.unreachable = unreachable


class Unfinished(PlanError):
    """An earlier change of the gateway is neither confirmed nor undone, though the server answers."""


class ServerAction(ActionBase, abc.ABC):
    """An action on a Windows server. It handles check mode itself: what it sends either only reads, or should write."""

    _requires_connection = True

    arguments: Mapping[str, Mapping[str, t.Any]]
    required: Sequence[tuple[str, str, list[str]]] = ()
    gateway: str = ""
    """The gateway that is wanted, which the server asks whether it answers."""

    @abc.abstractmethod
    def change(self, options: Mapping[str, t.Any]) -> dict[str, t.Any]:
        """Do what the task requests, and return its result.

        :raises PlanError: if it is refused, or failed.
        :raises Lost: if the server did not answer, and nothing was changed.
        """

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the task."""
        self._supports_check_mode = True
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        self._task_vars = task_vars or {}
        self._said: set[str] = set()
        try:
            _dummy, options = self.validate_argument_spec(self.arguments, required_if=self.required)
            if "netaddr" in MISSING:
                raise AnsibleActionFail(
                    "The Python library netaddr is missing on the controller. Install it beside ansible-core."
                )
            if not getattr(self._connection._shell, "_IS_WINDOWS", False):
                raise PlanError(
                    "The connection is not one for Windows servers, such as winrm, psrp, or ssh with PowerShell."
                )
            result.update(self.change(options))
        except AnsibleActionFail as error:
            # Not raised again: Ansible would not ask the task's failed_when then.
            result.update(outcome("unchanged"), undone=True, failed=True, msg=f"{self.server}: {error}")
        except Lost as error:
            key = "unreachable" if error.unreachable else "failed"
            message = f"{self.server}: {error}. Nothing was changed. {error.remedy}."
            result.update(outcome("unchanged"), undone=True, msg=message, **{key: True})
        except PlanError as error:
            undone = error.final_state in ("unchanged", "rolled_back")
            result.update({**error.result, **outcome(error.final_state, error.changes)})
            result.update(undone=undone, changed=not undone, failed=True, msg=f"{self.server}: {error}")
        return result

    @property
    def server(self) -> str:
        """Return the server's name in the inventory."""
        return str(self._task_vars.get("inventory_hostname", "The server"))

    def say(self, message: str) -> str:
        """Show a line on the terminal while the task runs, and return it."""
        line = f"{self.server}: {message}"
        display.display(line)
        return line

    def say_waiting(self, what: str, end: float) -> None:
        """Show once that the task waits, for what, and how long at most."""
        if what and what not in self._said:
            self._said.add(what)
            self.say(f"Waiting {what}, {max(1.0, end - time.monotonic()):.0f} seconds at most.")

    def again(self, end: float, ask: Callable[[], Answer], waits: str = "") -> Answer:
        """Repeat ``ask`` until the server answers. It may be carried out twice. ``waits``: see say_waiting.

        :raises Lost: if there was no answer by ``end``.
        """
        while True:
            try:
                return ask()
            except Lost:
                if time.monotonic() + PAUSE > end:
                    raise
            self.say_waiting(waits, end)
            time.sleep(PAUSE)

    def read_network(self) -> Network:
        """Read interfaces, routes and peers, and whether the gateway that is wanted answers; see powershell."""
        asked = {"Gateway": self.gateway} if self.gateway else {}
        return Network.parse(self._read("read_network.ps1", Ports=self._ports(), **asked))

    def settled(self, network: Network) -> Network:
        """Wait until another run's change of the gateway has been confirmed or rolled back, if there is one.

        :raises Unfinished: if that does not happen.
        """
        pending = network.pending
        if not pending or pending.confirmed:
            return network
        end = time.monotonic() + (pending.due_in or 0) + GRACE
        if pending.due_in is not None:
            waits = "until another run has confirmed its change of the gateway, or the server has undone it"
            self.say_waiting(waits, end)
            if found := self.until(end, lambda found: not found.pending, waits):
                return found
        why = "does not run by itself"
        if pending.due_in is not None:
            # If the server does not answer, that is the error.
            found = self.read_network()
            if not found.pending:
                return found
            result = found.pending.result
            why = f"does not run: it ended with {result:#x}" if result else "does not run, although it was due"
        raise Unfinished(
            f"an earlier change of the gateway is unfinished: the server answers, but its rollback {why}. {LOOK}."
        )

    def until(self, end: float, suits: Callable[[Network], bool], waits: str) -> Network | None:
        """Read the server until it is as wanted; None if it was not by ``end``. ``waits``: see say_waiting."""
        for attempt in itertools.count():
            try:
                if suits(found := self.read_network()):
                    return found
                if attempt:  # the first one is usually a moment too early
                    self.say_waiting(waits, end)
            except Lost:
                self.say_waiting(waits, end)
            if time.monotonic() + PAUSE > end:
                break
            time.sleep(PAUSE)
        return None

    def read_vpn(self) -> ServerFacts:
        """Read the limit, the services and the security associations; see powershell."""
        return ServerFacts.parse(self._read("read_vpn.ps1"))

    def _read(self, script: str, **parameters: t.Any) -> t.Any:
        """Run a script that returns JSON, and return what that says; see powershell.

        win_powershell takes 1 ms (in the lab) for each number, list and dictionary of a result, and a server has many routes.
        """
        try:
            return json.loads(str(self.powershell(script, **parameters)))
        except ValueError as error:
            raise PlanError(f"{script} did not return JSON: {error}") from error

    def _ports(self) -> list[int]:
        """Return the ports of management connections, including this connection's own."""
        try:
            port = int(self._option("port"))
        except ValueError:
            port = 0
        return sorted({*MANAGEMENT_PORTS, port} - {0})

    def _option(self, *names: str) -> str:
        """Return the first of the connection's options that has a value, or an empty text."""
        for name in names:
            with contextlib.suppress(KeyError, AnsibleError):
                if value := self._connection.get_option(name):
                    return str(value)
        return ""

    def powershell(self, script: str, **parameters: t.Any) -> t.Any:
        """Run one of the collection's scripts, and return its result.

        :raises PlanError: if it failed.
        :raises Lost: if there was no answer.
        """
        arguments = {"script": text_of(script), "parameters": parameters, "depth": 5}
        return self.module("win_powershell", arguments, f"running {script}").get("result")

    def module(self, name: str, arguments: Mapping[str, t.Any], what: str) -> Mapping[str, t.Any]:
        """Run a module of ansible.windows, and return its result. ``what`` says in messages what it does.

        :raises PlanError: if it failed.
        :raises Lost: if there was no answer; the next call opens a new connection.
        """
        try:
            answer: dict[str, t.Any] = self._execute_module(
                module_name=f"ansible.windows.{name}", module_args={**arguments}, task_vars=self._task_vars
            )
        except Exception as error:  # whatever a connection plugin raises
            unreachable = isinstance(error, AnsibleConnectionFailure)
            raise self._lost(str(error), what, unreachable) from error
        if "module_stdout" in answer or answer.get("unreachable"):
            raise self._lost(str(answer.get("msg", "no reason given")), what)
        if answer.get("failed") or answer.get("error"):
            for record in answer.get("error", []):
                reason = str((record.get("exception") or {}).get("message", ""))
                if reason.startswith("script_policy: "):
                    raise PlanError(f"{reason} {ALLOW}", result={"findings": [_policy(reason).as_dict()]})
            errors = [str(error.get("output", error)).strip() for error in answer.get("error", [])]
            raise PlanError(f"{what} failed: {'; '.join(errors) or answer.get('msg', 'no reason given')}")
        return answer

    def _lost(self, reason: str, what: str, unreachable: bool = False) -> Lost:
        """Drop the connection, and return the failure in our own words."""
        endpoint = Endpoint(
            kind=str(getattr(self._connection, "transport", "")),
            host=self._option("remote_addr", "host"),
            port=self._option("port"),
            scheme=self._option("scheme", "protocol"),
            user=self._option("remote_user"),
        )
        cause = explain(reason, endpoint, what, [self._option("remote_password", "password")])
        unreachable = unreachable or (cause.known and not getattr(self._connection, "connected", True))
        self._hang_up()
        return Lost(cause.message, cause.remedy, unreachable)

    def _hang_up(self) -> None:
        """Drop the connection, so that the next script opens a new one.

        ``close`` is no use: for winrm and psrp, it sends a request first, and waits for a response until it times out. The server ends the session by itself.
        """
        for name in ("protocol", "shell_id", "runspace"):
            if hasattr(self._connection, name):
                setattr(self._connection, name, None)
        self._connection._connected = False
        with contextlib.suppress(Exception):
            self._connection.reset()  # for other connections, such as ssh's master
