# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter report."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping

from ansible.errors import AnsibleError
from jinja2.exceptions import UndefinedError

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._plain import plain
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._untrusted import untrusted

DOCUMENTATION = r"""
name: report
short_description: Make one report of load balancers and VPN servers
version_added: 0.1.0
author:
  - The aovpn.ikev2 authors (@aovpn)
description:
  - Reads what roles and playbooks have left in the variables of the hosts, and concludes whether the VPN servers see their clients'
    own addresses. A host about which nothing is known is in the report as not read.
  - The role P(aovpn.ikev2.report#role) writes it to files.
positional: hostvars
options:
  _input:
    description: The hosts.
    type: list
    elements: str
    required: true
  hostvars:
    description:
      - The variable C(hostvars). Of each host these are used, where they are defined.
      - Of a load balancer, C(load_balancer_platform), C(load_balancer_accept) (codes of blockers that do not count as drift), C(load_balancer_result),
        C(ikev2_made) (the result of the task that changed it, if it was read again), C(ikev2_before) (the first result),
        C(ikev2_failure) (a dictionary of C(stage), C(msg), C(final_state)), C(ikev2_probe) (a list of dictionaries of C(address), C(answered), C(detail)).
      - Of a VPN server, C(rras_facts), C(ikev2_before) (the first facts), C(ikev2_failure), C(rras_gateway), C(ikev2_limit),
        C(rras_gateway_result), C(rras_restore_result), C(rras_limit_result).
    type: dict
    required: true
  playbook:
    description: What ran.
    type: str
    default: ''
  check_mode:
    description: Whether it ran in check mode, so that the last results are predictions.
    type: bool
    default: false
  due:
    description: Whether what ran changes nothing, so that the report's changes are those that are due.
    type: bool
    default: false
  generated:
    description: When, in UTC, as in V(2026-11-24T20:18:17Z).
    type: str
    default: ''
  findings:
    description: Further findings, such as those of a check across devices, each a dictionary like those of the modules, with C(host) as well.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Show the verdict
  ansible.builtin.debug:
    msg: "{{ (ansible_play_hosts_all | aovpn.ikev2.report(hostvars, playbook='audit')).verdict.title }}"
"""

RETURN = r"""
_value:
  description: The report. The collection's file C(docs/report.schema.json) describes it.
  type: dict
"""


def _variables(variables: Mapping[str, t.Any], names: Iterable[str]) -> dict[str, t.Any]:
    found = {}
    for name in names:
        try:
            if name in variables:
                found[name] = plain(variables[name])
        except (AnsibleError, UndefinedError):
            # It refers to an undefined variable. The play that needed it has failed, and the report is still written.
            continue
    return found


def _report(hosts: Iterable[str], hostvars: Mapping[str, t.Any], **more: t.Any) -> t.Any:
    # Ansible loads all filters of the collection in each process that uses one of them; only this one needs so much.
    from ansible_collections.aovpn.ikev2.plugins.plugin_utils._report import build
    from ansible_collections.aovpn.ikev2.plugins.plugin_utils._report_input import VARIABLES, gather

    hosts = list(hosts)
    raw = gather(hosts, {host: _variables(hostvars[host], VARIABLES) for host in hosts if host in hostvars})
    return build({**more, **raw})


class FilterModule:
    """Offers the filter."""

    def filters(self) -> dict[str, t.Any]:
        """Return it by name."""
        return {"report": untrusted(_report)}
