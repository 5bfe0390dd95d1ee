# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter inventory_problems."""

from __future__ import annotations

import typing as t

DOCUMENTATION = r"""
name: inventory_problems
short_description: List what is missing or contradictory in an inventory
version_added: 0.1.0
author:
  - The aovpn.ikev2 authors (@aovpn)
description:
  - Checks the variables of all load balancers and VPN servers before any of them is touched.
  - Takes the specifications of the device modules and of the roles, so credentials from the environment count as well.
positional: hostvars, load_balancers, servers, transport
options:
  _input:
    description: The hosts of this run.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variable C(hostvars).
    type: dict
    required: true
  load_balancers:
    description: All members of the group C(ikev2_load_balancers).
    type: list
    elements: str
    required: true
  servers:
    description: All members of the group C(rras).
    type: list
    elements: str
    required: true
  transport:
    description: The connection of hosts that name none.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show what is wrong
  ansible.builtin.debug:
    msg: "{{ ansible_play_hosts_all | aovpn.ikev2.inventory_problems(hostvars, groups['ikev2_load_balancers'], groups['rras'], 'ssh') }}"
"""

RETURN = r"""
_value:
  description: A sentence for each problem; empty when there is none.
  type: list
  elements: str
"""


def _problems(*given: t.Any) -> list[str]:
    # Ansible loads all filters of the collection in each process that uses one of them; only this one needs so much.
    from ansible_collections.aovpn.ikev2.plugins.plugin_utils._inventory import problems

    return problems(*given)


class FilterModule:
    """Offers the filter."""

    def filters(self) -> dict[str, t.Any]:
        """Return it by name."""
        return {"inventory_problems": _problems}
