# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the device modules share: their options, and the way from AnsibleModule through the engine and back."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.common.parameters import AnsibleFallbackNotFound, remove_values

from ansible_collections.aovpn.ikev2.plugins.module_utils._adapter import Adapter
from ansible_collections.aovpn.ikev2.plugins.module_utils._engine import Result, RunFailed, run
from ansible_collections.aovpn.ikev2.plugins.module_utils._http import INTERRUPTIONS, LET_THROUGH, Endpoint
from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import MISSING
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import IKE_PORTS, InvalidInput, Order
from ansible_collections.aovpn.ikev2.plugins.module_utils._platforms import PLATFORMS, Platform, Spec

COMMON: Spec = {
    "timeout": {"type": "int", "default": 30},
    "addresses": {"type": "list", "elements": "str"},
    "services": {"type": "list", "elements": "str"},
    "ports": {"type": "list", "elements": "int", "default": [*IKE_PORTS]},
    "state": {"type": "str", "choices": ["preserved", "restored", "gathered"], "default": "preserved"},
    "snapshot": {"type": "dict"},
    "return_path": {"type": "dict"},
    "accept": {"type": "list", "elements": "str", "default": []},
}


ENDED = "Interrupted twice, so the task ended at once: what is in effect on the device is not known. Run the playbook again."

KEEPING: list[t.Callable[[str], None]] = []
"""What keeps a message that no result will carry, because a signal ends the process. Ansible's own workers have no terminal."""


def argument_spec(platform: Platform) -> Spec:
    """Return the options of a platform's module as AnsibleModule takes them."""
    return {name: _option(**option) for name, option in {**COMMON, **platform.options}.items()}


def _option(env: list[str] | None = None, **option: t.Any) -> dict[str, t.Any]:
    return {**option, "fallback": (_from_environment, env)} if env else option


def _from_environment(*names: str) -> str:
    """Return the first of these environment variables that has a value: credentials of AWX set those that are not filled in, too."""
    for name in names:
        if value := os.environ.get(name):
            return value
    raise AnsibleFallbackNotFound


def carry_out(adapter_class: type[Adapter], options: t.Mapping[str, t.Any], *, check_mode: bool) -> Result:
    """Carry out a task with these options, as validated by the platform's ``argument_spec``.

    :raises RunFailed: with what was known by then.
    """
    platform = PLATFORMS[adapter_class.platform]
    try:
        for option, least, most in (("port", 1, 65535), ("timeout", 1, 3600)):
            if not least <= options[option] <= most:
                raise InvalidInput(
                    f"Option '{option}' is {options[option]}, and has to be a number from {least} to {most}."
                )
        reach = Endpoint.__dataclass_fields__
        endpoint = Endpoint(**{name: options[name] for name in reach if name in options})
        order = Order.parse(**{name: options[name] for name in Order.__dataclass_fields__})
        own = {name: options[name] for name in platform.options if name not in reach}
        adapter = adapter_class.of(endpoint, own, order.snapshot)
    except InvalidInput as error:
        raise RunFailed(InvalidInput(f"{options['host']}: {error}"), Result(failed=True)) from error
    return run(adapter, order, check_mode=check_mode)


def _keep(message: str) -> None:
    for keep in KEEPING:
        keep(message)


@contextlib.contextmanager
def interruptions_held() -> t.Iterator[t.Callable[[], bool]]:
    """Hold interruptions back, except where ``Http`` lets them through: there, they raise an exception, and the engine rolls back.

    Ansible ends its worker at once on SIGINT or SIGTERM, so these are handed on to it in the end, when everything else is done.
    A second Ctrl-C ends the process at once, in the middle of a rollback as well. Yields whether a signal will end the process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    received: list[int] = []

    def note(number: int, _frame: t.Any) -> None:
        if number == signal.SIGINT and number in LET_THROUGH:
            try:
                os.write(2, f"{ENDED}\n".encode())
                _keep(ENDED)
            finally:
                os._exit(128 + number)
        received.append(number)
        if number == signal.SIGINT:
            LET_THROUGH.add(signal.SIGINT)
        if len(received) == 1:
            raise KeyboardInterrupt

    former = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTIONS)
    try:
        yield lambda: bool(received or signal.sigpending() & {*former})
    finally:
        # There is a result. A time limit that is reached from now on has nothing left to end.
        signal.alarm(0)
        signal.sigtimedwait([signal.SIGALRM], 0)
        LET_THROUGH.clear()
        for handled, handler in former.items():
            signal.signal(handled, handler)
        if received:
            sys.stdout.flush()
            signal.raise_signal(received[0])
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def run_module(adapter_class: type[Adapter]) -> None:
    """Run the device module of a platform: read the options, run the engine, and leave with its result."""
    platform = PLATFORMS[adapter_class.platform]
    with interruptions_held() as interrupted:
        module = AnsibleModule(argument_spec=argument_spec(platform), supports_check_mode=True, **platform.rules)
        for library, lacking in MISSING.items():
            module.fail_json(msg=missing_required_lib(library), exception=lacking)
        try:
            result = carry_out(adapter_class, module.params, check_mode=module.check_mode)
        except RunFailed as error:
            if interrupted() and not error.result.undone:
                _keep(remove_values(str(error), module.no_log_values))
            module.fail_json(msg=str(error), **error.result.as_dict())
        diff = {"diff": result.diff()} if module._diff else {}
        module.exit_json(**result.as_dict(), **diff)
