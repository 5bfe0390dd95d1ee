# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read a Windows server's default gateway, limit, services and security associations."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping

from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Change, Finding
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows import limit, routes
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.errors import outcome
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.server_action import GATEWAY_ARGUMENTS, ServerAction

ARGUMENTS: dict[str, dict[str, t.Any]] = {
    **GATEWAY_ARGUMENTS,
    "limit": {"type": "int"},
    "settled": {"type": "bool", "default": False},
}


class ActionModule(ServerAction):
    """The action behind the module of the same name, which documents it. Sends two scripts, which only read."""

    arguments = ARGUMENTS

    def change(self, options: Mapping[str, t.Any]) -> dict[str, t.Any]:
        """Read everything, and survey what is wanted; see ServerAction."""
        gateway = routes.Wanted.of_options(options)
        wanted = limit.Wanted.of_options(options)
        self.gateway = str(gateway.gateway) if gateway else ""
        network = self.read_network()
        if options["settled"] and not self._task.check_mode:
            network = self.settled(network)
        vpn = self.read_vpn()
        plan = routes.survey_default_gateway(network, gateway)
        changes, refused = limit.survey_limit(vpn, wanted, self.server)
        halves = {
            "gateway": _half(network.as_dict(), plan.findings, plan.changes),
            "limit": _half(vpn.as_dict(), (*vpn.findings(self.server), *refused), changes),
        }
        both = {key: [item for half in halves.values() for item in half[key]] for key in ("findings", "changes")}
        facts = {**network.as_dict(), **vpn.as_dict(), **both}
        return {**outcome("unchanged", (*plan.changes, *changes)), "changed": False, "facts": facts, **halves}


def _half(after: dict[str, t.Any], findings: Iterable[Finding], changes: Iterable[Change]) -> dict[str, t.Any]:
    return {
        "after": after,
        "findings": [finding.as_dict() for finding in findings],
        "changes": [change.as_dict() for change in changes],
    }
