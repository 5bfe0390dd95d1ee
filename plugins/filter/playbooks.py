# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the collection's own playbooks and roles ask of plugin_utils. Not for other playbooks: these filters may change at any time."""

from __future__ import annotations

import importlib
import typing as t
from collections.abc import Callable, Iterable, Mapping

from ansible.errors import AnsibleError, AnsibleFilterError
from jinja2.exceptions import UndefinedError

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._plain import plain
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._untrusted import untrusted

UTILITIES = "ansible_collections.aovpn.ikev2.plugins.plugin_utils"

FILTERS = {
    name: f"_audit.{name}"
    for name in (
        "choices",
        "collected",
        "cross_check",
        "cut_off",
        "failure",
        "keeps_gateway",
        "left_alone",
        "obstacles",
        "read_snapshot",
    )
}
"""The functions of plugin_utils, by the name of the filter."""


class FilterModule:
    """Offers the filters."""

    def filters(self) -> dict[str, t.Any]:
        """Return them by name."""
        return {name: _filter(where) for name, where in FILTERS.items()} | {"report": untrusted(_report)}


def _filter(where: str) -> Callable[..., t.Any]:
    module, _dot, name = where.partition(".")

    def call(*arguments: t.Any, **options: t.Any) -> t.Any:
        # Ansible loads all filters of the collection in each process that uses one, so each imports what it needs when it runs.
        function = getattr(importlib.import_module(f"{UTILITIES}.{module}"), name)
        try:
            return function(*arguments, **options)
        except ValueError as error:
            raise AnsibleFilterError(str(error)) from error

    return untrusted(call)


def _report(hosts: Iterable[str], hostvars: Mapping[str, t.Any], **more: t.Any) -> t.Any:
    from ansible_collections.aovpn.ikev2.plugins.plugin_utils._report import build
    from ansible_collections.aovpn.ikev2.plugins.plugin_utils._report_input import VARIABLES, gather

    hosts = list(hosts)
    raw = gather(hosts, {host: _variables(hostvars[host], VARIABLES) for host in hosts if host in hostvars})
    return build({**more, **raw})


def _variables(variables: Mapping[str, t.Any], names: Iterable[str]) -> dict[str, t.Any]:
    found = {}
    for name in names:
        try:
            if name in variables:
                found[name] = plain(variables[name])
        except (AnsibleError, UndefinedError):
            # It refers to a variable that is not defined. The play that needed it has failed; the report is written in any case.
            continue
    return found
