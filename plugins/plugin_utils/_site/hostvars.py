# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The only reader of ``hostvars``: the site out of the variables of all hosts, and the answers of its virtual addresses."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping

from ansible.errors import AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from jinja2.exceptions import UndefinedError

from ansible_collections.aovpn.ikev2.plugins.module_utils._probe import probe
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._plain import plain
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.hosts import VARIABLES, LoadBalancer
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.site import Selected, Site


def read_site(task_vars: Mapping[str, t.Any], playbook: str, *, check_mode: bool, hosts: Iterable[str] = ()) -> Site:
    """Read the variables of all hosts of both groups, or of ``hosts``. Only this function reads ``hostvars``."""
    groups, hostvars = task_vars["groups"], task_vars["hostvars"]
    names = dict.fromkeys(hosts or (*groups.get("ikev2_load_balancers", ()), *groups.get("rras", ())))
    variables = {host: _read(hostvars[host]) for host in names if host in hostvars}
    run, skip = set(task_vars.get("ansible_run_tags", ["all"])), set(task_vars.get("ansible_skip_tags", ()))

    def selected(*tags: str) -> bool:
        return bool(run & {"all", "tagged", *tags}) and not skip & {"tagged", *tags}

    chosen = Selected(
        gateways=selected("servers", "rras_gateway"),
        limits=selected("servers", "rras_ike_limit"),
        load_balancers=selected("load_balancers"),
    )
    return Site.parse(variables, playbook, check_mode=check_mode, selected=chosen)


def _read(variables: Mapping[str, t.Any]) -> dict[str, t.Any]:
    found = {}
    for name in VARIABLES:
        try:
            if name in variables:
                found[name] = plain(variables[name])
        except (AnsibleError, UndefinedError):
            # It refers to a variable that is not defined. What needed it has failed, and the report is written in any case.
            continue
    return found


def probed(task_vars: Mapping[str, t.Any], item: LoadBalancer) -> list[dict[str, t.Any]]:
    """Send an IKE_SA_INIT to each virtual address, if the run asks for it, and return the answers.

    One in a route domain or a traffic domain (203.0.113.10%2) means something only to the device; a network is no address.
    """
    addresses = sorted(address for address in item.vips if not {"%", "/"} & set(address))
    if not addresses or not boolean(task_vars.get("probe") or False, strict=False):
        return []
    return probe(addresses)
