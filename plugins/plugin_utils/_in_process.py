# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a module in the controller's process, where the task is local. Everything that a result says is the module's own doing."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import typing as t
from collections.abc import Callable, Mapping

from ansible import constants as C
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils import basic
from ansible.module_utils.common import warnings
from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible.utils.display import Display
from ansible.utils.unsafe_proxy import wrap_var

from ansible_collections.aovpn.ikev2.plugins.module_utils import _libraries as libraries
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import NOT_UNDERSTOOD
from ansible_collections.aovpn.ikev2.plugins.module_utils._module import KEEPING
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._plain import plain

GLOBALS = ("_ANSIBLE_ARGS", "_ANSIBLE_PROFILE", "_PARSED_MODULE_ARGS")
"""Where ansible-core hands a module its arguments; the last two in newer versions only."""


def share_imports() -> None:
    """Import requests now. Ansible loads an action before it starts the workers that use it: so it is imported once, not by each."""
    if "requests" not in libraries.MISSING:
        _dummy = libraries.requests


def why_module(
    *, connection: str, become: bool, asynchronous: bool, environment: bool, interpreter: str | None, complete: bool
) -> str:
    """Return why a task has to run as an ordinary module; empty if it may run in the controller's process.

    ``connection`` is the connection plugin's full name, ``environment`` whether the task sets any variable, ``interpreter`` the
    configured Python, and ``complete`` whether the controller has the libraries.
    """
    discovered = not interpreter or interpreter.startswith("auto")
    reasons = {
        f"the connection is {connection}": connection != "ansible.builtin.local",
        "it becomes another user": become,
        "it is asynchronous": asynchronous,
        "it has an environment": environment,
        f"its Python is {interpreter}": not discovered and interpreter != sys.executable,
        "the controller lacks libraries": not complete,
    }
    return next((reason for reason, applies in reasons.items() if applies), "")


def run_main(main: Callable[[], None], arguments: Mapping[str, t.Any]) -> tuple[dict[str, t.Any], bool]:
    """Run a module's ``main`` with these arguments. Return its result, and whether the task's time limit ended it."""
    before = {name: getattr(basic, name, None) for name in GLOBALS}
    output, late = io.StringIO(), False
    basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": plain(arguments)}).encode()
    basic._ANSIBLE_PROFILE = "legacy"
    try:
        with contextlib.redirect_stdout(output):
            main()
    except SystemExit as end:
        late = _timed_out(end)
    finally:
        for name, value in before.items():
            setattr(basic, name, value)
        # Up to ansible-core 2.18, the next item of a loop would repeat them. Later versions have displayed them already.
        warnings._global_warnings.clear()
        warnings._global_deprecations.clear()
    try:
        result: dict[str, t.Any] = json.loads(output.getvalue())
    except ValueError as error:
        raise AnsibleActionFail("The module ended without a result. Please report this.") from error
    return result, late


@contextlib.contextmanager
def kept_in_report(base: str) -> t.Iterator[None]:
    """Keep in the report of the run what no result will carry. ``base``: its path without the ending, empty where there is none."""

    def keep(message: str) -> None:
        # Rarely needed, and much to import.
        from ansible_collections.aovpn.ikev2.plugins.plugin_utils._report.files import add_line

        # In a full folder as well, the task ends as it would without.
        with contextlib.suppress(OSError, *NOT_UNDERSTOOD):
            add_line(base, message)

    KEEPING[:] = [keep] if base else []
    try:
        yield
    finally:
        KEEPING.clear()


def _timed_out(error: BaseException | None) -> bool:
    """Report whether ansible-core's own time-out of tasks is what an error goes back to."""
    return error is not None and (
        type(error).__name__ == "TaskTimeoutError" or _timed_out(error.__cause__ or error.__context__)
    )


class InProcessAction(NormalAction):
    """An action that runs the module of its name: in this process where the task is local, as Ansible does elsewhere."""

    main: Callable[[], None]
    """The module's own ``main``."""

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the task."""
        variables = task_vars or {}
        if why := self._why_module(variables):
            Display().vvv(f"{self._task.action} runs as a module: {why}.")
            return t.cast("dict[str, t.Any]", super().run(tmp, task_vars))
        Display().vvv(f"{self._task.action} runs in the controller's process.")
        arguments = dict(self._task.args)
        self._update_module_args(self._task.action, arguments, variables)
        # A local module runs where the playbook is: relative paths start there.
        run = variables.get("ikev2_run")
        base = str(run.get("base", "")) if isinstance(run, Mapping) else ""
        with contextlib.chdir(self._loader.get_basedir()), kept_in_report(base):
            result, late = run_main(type(self).main, arguments)
        if late:
            result["timedout"] = {"period": self._task.timeout}
        return t.cast("dict[str, t.Any]", wrap_var(result))

    def _why_module(self, variables: Mapping[str, t.Any]) -> str:
        host = self._task.delegate_to
        of_host = variables.get("ansible_delegated_vars", {}).get(host, {}) if host else variables
        try:
            interpreter = C.config.get_config_value("INTERPRETER_PYTHON", variables=of_host)
            return why_module(
                connection=str(self._connection.ansible_name),
                become=bool(self._connection.become),
                asynchronous=bool(self._task.async_val),
                environment=any(self._task.environment or ()),
                interpreter=str(self._templar.template(interpreter) or "").strip(),
                complete=not libraries.MISSING,
            )
        except AnsibleError as error:
            return str(error)
