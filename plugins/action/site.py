# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read what all hosts have registered, and return what each of them does next."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible.plugins.action import ActionBase
from ansible.utils.unsafe_proxy import wrap_var

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._plain import plain
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site import orders
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.hostvars import probed, read_site
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.site import Site
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.snapshot import snapshot_of

ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "playbook": {"type": "str", "required": True},
    "step": {"type": "str", "choices": ["read", "judge", "change", "verify", "undo"], "required": True},
}


class ActionModule(ActionBase):
    """The action behind the module of the same name, which documents it."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the task; it changes nothing."""
        self._supports_check_mode = True
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _dummy, options = self.validate_argument_spec(ARGUMENTS)
        self._variables = task_vars or {}
        site = read_site(self._variables, options["playbook"], check_mode=bool(self._task.check_mode))
        found = getattr(self, f"_{options['step']}")(site)
        # The orders hold all that is known, so that -v would show it once more each time.
        return {**result, "changed": False, "_ansible_verbose_override": True, **wrap_var(found)}

    @property
    def _batch(self) -> list[str]:
        """Return the hosts that this call gives orders to."""
        if self._task.run_once:
            return list(self._variables["ansible_play_batch"])
        return [self._variables["inventory_hostname"]]

    def _read(self, site: Site) -> dict[str, t.Any]:
        return _orders(orders.to_read(site, self._batch))

    def _judge(self, site: Site) -> dict[str, t.Any]:
        """Probe the virtual addresses, and judge all hosts."""
        answers = {host: probed(self._variables, item) for host, item in site.read_load_balancers.items()}
        site = site.with_records({host: site.hosts[host].record.probed(found) for host, found in answers.items()})
        given = orders.judged(site)
        site = site.with_records({host: order.record for host, order in given.items()})
        due = orders.due_hosts(site)
        again = orders.to_read_again(site, due)
        return {
            **_orders(given),
            "due": due,
            "again": again,
            "snapshot": snapshot_of(site) if any(due.values()) and site.playbook != "rollback" else {},
        }

    def _change(self, site: Site) -> dict[str, t.Any]:
        return self._carried() | _orders(orders.to_change(site, self._batch))

    def _verify(self, site: Site) -> dict[str, t.Any]:
        """Check after its change that a load balancer's virtual addresses still answer."""
        (host,) = self._batch
        answers = probed(self._variables, site.load_balancers[host])
        silent = orders.silent_addresses(site.load_balancers[host], answers) if not site.check_mode else []
        if not silent:
            return {"answers": answers}
        message = f"{host}: {', '.join(silent)} answered IKE_SA_INIT before the change, but no longer does."
        return {"answers": answers, "failed": True, "final_state": "changed", "msg": message}

    def _undo(self, site: Site) -> dict[str, t.Any]:
        (host,) = self._batch
        return self._carried() | _orders({host: orders.to_undo(site, host)})

    def _carried(self) -> dict[str, t.Any]:
        """Return what the judgement before the first change holds for later plays."""
        judgement = plain(self._variables["ikev2_site"])
        return {name: judgement[name] for name in ("due", "again")}


def _orders(given: Mapping[str, orders.Order]) -> dict[str, t.Any]:
    return {"orders": {host: order.as_dict() for host, order in given.items()}}
