# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which tasks run in the controller's process, what a module leaves behind there, and when it can be interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import typing as t
from collections.abc import Iterator

import pytest
from ansible.errors import AnsibleActionFail
from ansible.module_utils import basic
from ansible.module_utils.common import warnings
from ansible.module_utils.common.parameters import AnsibleFallbackNotFound

from ansible_collections.aovpn.ikev2.plugins.module_utils._http import INTERRUPTIONS, Http
from ansible_collections.aovpn.ikev2.plugins.module_utils._module import _from_environment, interruptions_held
from ansible_collections.aovpn.ikev2.plugins.modules import loadmaster_transparency
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._in_process import GLOBALS, run_main, why_module
from expectations import ENDPOINT, Expect, Expecting

LOCAL: dict[str, t.Any] = {
    "connection": "ansible.builtin.local",
    "become": False,
    "asynchronous": False,
    "environment": False,
    "interpreter": "",
    "complete": True,
}


@pytest.mark.parametrize("interpreter", ["", None, "auto", "auto_silent", "auto_legacy_silent", sys.executable])
def test_a_local_task_runs_in_process(interpreter: str | None) -> None:
    assert why_module(**{**LOCAL, "interpreter": interpreter}) == ""


@pytest.mark.parametrize(
    ("different", "why"),
    [
        ({"connection": "ansible.builtin.ssh"}, "the connection is ansible.builtin.ssh"),
        ({"connection": "ansible.legacy.local"}, "the connection is ansible.legacy.local"),  # somebody's own plugin
        ({"become": True}, "it becomes another user"),
        ({"asynchronous": True}, "it is asynchronous"),
        ({"environment": True}, "it has an environment"),
        ({"interpreter": f"{sys.executable}9"}, f"its Python is {sys.executable}9"),
        ({"interpreter": "/usr/bin/env python3"}, "its Python is /usr/bin/env python3"),
        ({"complete": False}, "the controller lacks libraries"),
    ],
)
def test_any_other_runs_as_a_module(different: dict[str, t.Any], why: str) -> None:
    assert why_module(**{**LOCAL, **different}) == why


def test_a_module_is_run_with_its_arguments_and_leaves_nothing_behind(capsys: pytest.CaptureFixture[str]) -> None:
    before = {name: getattr(basic, name, None) for name in GLOBALS}
    environment, output = dict(os.environ), sys.stdout
    secret = "a-pass-word"
    given = {"host": secret, "username": "bal", "password": secret, "port": 0, "_ansible_module_name": "name"}
    result, late = run_main(loadmaster_transparency.main, given)
    assert result["msg"] == ("********: Option 'port' is 0, and has to be a number from 1 to 65535.")
    assert (result["failed"], result["final_state"], result["undone"], late) == (True, "unchanged", True, False)
    assert secret not in json.dumps(result)
    assert {name: getattr(basic, name, None) for name in GLOBALS} == before
    assert (dict(os.environ), sys.stdout) == (environment, output)
    assert (len(warnings._global_warnings), len(warnings._global_deprecations)) == (0, 0)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) & INTERRUPTIONS == set()
    assert capsys.readouterr() == ("", "")


def fails() -> None:
    raise RuntimeError("fault")


def test_a_fault_comes_through_and_leaves_nothing_behind() -> None:
    before = {name: getattr(basic, name, None) for name in GLOBALS}
    output = sys.stdout
    with pytest.raises(RuntimeError):
        run_main(fails, {})
    assert {name: getattr(basic, name, None) for name in GLOBALS} == before
    assert sys.stdout is output


@pytest.mark.parametrize("said", ["", "half a res"])
def test_a_module_that_leaves_without_a_result_has_failed(said: str) -> None:
    def main() -> None:
        print(said)
        sys.exit(0)

    with pytest.raises(AnsibleActionFail, match="without a result"):
        run_main(main, {})


class TaskTimeoutError(BaseException):
    """What ansible-core raises where a task has a time limit."""


@pytest.mark.parametrize("error", [TaskTimeoutError, KeyboardInterrupt])
def test_the_time_limit_is_reported(error: type[BaseException]) -> None:
    def main() -> None:
        try:
            try:
                raise error
            except BaseException as raised:
                raise ValueError from raised
        except ValueError:
            print('{"failed": true}')
            sys.exit(1)

    assert run_main(main, {}) == ({"failed": True}, error is TaskTimeoutError)


def test_an_environment_variable_without_a_value_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("F5_USER", "")
    monkeypatch.setenv("F5_OTHER", "admin")
    assert _from_environment("F5_USER", "F5_OTHER") == "admin"
    with pytest.raises(AnsibleFallbackNotFound):
        _from_environment("F5_USER", "F5_MISSING")


@pytest.fixture
def handed_on() -> Iterator[list[int]]:
    """Return the signals that have reached Ansible."""
    received: list[int] = []
    former = signal.signal(signal.SIGTERM, lambda number, _frame: received.append(number))
    yield received
    signal.signal(signal.SIGTERM, former)


def test_an_interruption_waits_for_the_answer_to_a_write(expecting: Expecting, handed_on: list[int]) -> None:
    http = Http(ENDPOINT, "device")
    expecting([Expect("POST", "/write", {}), Expect("GET", "/read", {})])
    with interruptions_held():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            http.send("POST", "/never-sent")
        # Once is enough: what follows is the rollback.
        signal.raise_signal(signal.SIGTERM)
        http.send("POST", "/write")
        http.send("GET", "/read")
        assert handed_on == []
    assert handed_on == [signal.SIGTERM]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) & INTERRUPTIONS == set()


def test_a_rollback_and_the_log_out_are_not_interrupted(expecting: Expecting, handed_on: list[int]) -> None:
    http = Http(ENDPOINT, "device")
    expecting([Expect("GET", "/read", {})])
    with interruptions_held():
        http.shielded = True
        signal.raise_signal(signal.SIGTERM)
        http.send("GET", "/read")
        assert handed_on == []
    assert handed_on == [signal.SIGTERM]


def test_a_second_ctrl_c_ends_a_rollback_at_once() -> None:
    script = """
import signal
import subprocess
from ansible_collections.aovpn.ikev2.plugins.module_utils import _http, _module
with _module.interruptions_held():
    http = _http.Http(_http.Endpoint("192.0.2.1"), "device")
    signal.raise_signal(signal.SIGINT)
    try:
        http.send("POST", "/never-sent")
    except KeyboardInterrupt:
        http.shield()
        print("rolling back", flush=True)
        signal.raise_signal(signal.SIGTERM)
        print("still rolling back", flush=True)
        signal.raise_signal(signal.SIGINT)
        print("rolled back", flush=True)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (130, "rolling back\nstill rolling back\n")
    assert "what is in effect on the device is not known" in done.stderr


def test_a_time_limit_that_is_reached_too_late_ends_nothing() -> None:
    former = signal.signal(signal.SIGALRM, lambda _number, _frame: pytest.fail("the result is lost"))
    try:
        with interruptions_held():
            signal.raise_signal(signal.SIGALRM)
    finally:
        signal.signal(signal.SIGALRM, former)
