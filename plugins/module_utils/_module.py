# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the three device modules share: their options, and the way from AnsibleModule through the engine and back."""

from __future__ import annotations

import typing as t
from collections.abc import Callable

from ansible.module_utils.basic import AnsibleModule, env_fallback, missing_required_lib

from ansible_collections.aovpn.ikev2.plugins.module_utils._adapter import Adapter
from ansible_collections.aovpn.ikev2.plugins.module_utils._engine import Result, RunFailed, run
from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Endpoint
from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import MISSING
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import IKE_PORTS, InvalidInput, Order

Spec: t.TypeAlias = "dict[str, dict[str, t.Any]]"
Rules: t.TypeAlias = "dict[str, t.Any]"
"""Limits between options, as AnsibleModule takes them: ``required_one_of`` and the like."""

COMMON: Spec = {
    "port": {"type": "int", "default": 443},
    "validate_certs": {"type": "bool", "default": True},
    "ca_path": {"type": "path"},
    "timeout": {"type": "int", "default": 30},
    "addresses": {"type": "list", "elements": "str"},
    "services": {"type": "list", "elements": "str"},
    "ports": {"type": "list", "elements": "int", "default": [*IKE_PORTS]},
    "state": {"type": "str", "choices": ["preserved", "restored", "gathered"], "default": "preserved"},
    "snapshot": {"type": "dict"},
    "return_path": {"type": "dict"},
    "accept": {"type": "list", "elements": "str", "default": []},
}

SAVE: Spec = {"save": {"type": "bool", "default": True}}


def credential(
    *variables: str, aliases: t.Sequence[str] = (), required: bool = True, secret: bool = False, **more: t.Any
) -> dict[str, t.Any]:
    """Specify an option that the environment may give, so that an AWX credential can."""
    spec = {"type": "str", "fallback": (env_fallback, list(variables)), **more}
    if aliases:
        spec["aliases"] = list(aliases)
    if required:
        spec["required"] = True
    if secret:
        spec["no_log"] = True
    return spec


def run_module(spec: Spec, make_adapter: Callable[[Endpoint, dict[str, t.Any]], Adapter], **limits: t.Any) -> None:
    """Be a device module: read the options, run the engine, and leave with its result."""
    module = AnsibleModule(argument_spec={**COMMON, **spec}, supports_check_mode=True, **limits)
    for library, error in MISSING.items():
        module.fail_json(msg=missing_required_lib(library), exception=error)
    options = module.params
    host = options["host"]
    try:
        for option, least, most in (("port", 1, 65535), ("timeout", 1, 3600)):
            if not least <= options[option] <= most:
                raise InvalidInput(
                    f"Option '{option}' is {options[option]}, and has to be a number from {least} to {most}."
                )
        endpoint = Endpoint(**{name: options[name] for name in Endpoint.__dataclass_fields__ if name in options})
        order = Order.parse(**{name: options[name] for name in Order.__dataclass_fields__})
        adapter = make_adapter(endpoint, options)
    except InvalidInput as error:
        module.fail_json(msg=f"{host}: {error}", **Result(failed=True).as_dict())
    try:
        result = run(adapter, order, check_mode=module.check_mode)
    except RunFailed as error:
        module.fail_json(msg=str(error), **error.result.as_dict())
    diff = {"diff": result.diff()} if module._diff else {}
    module.exit_json(**result.as_dict(), **diff)
