# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter cross_check."""

from __future__ import annotations

import typing as t

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._audit import cross_check
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._untrusted import untrusted

DOCUMENTATION = r"""
name: cross_check
short_description: Check whether load balancers and VPN servers fit together
version_added: 0.1.0
author:
  - The aovpn.ikev2 authors (@aovpn)
description:
  - Finds the VPN servers that several load balancers lead to, and those that none leads to.
positional: servers
options:
  _input:
    description: What the device modules returned with O(aovpn.ikev2.bigip_snat#module:state=gathered), by host.
    type: dict
    required: true
  servers:
    description: What the role P(aovpn.ikev2.rras#role) set as C(rras_facts), by host.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show what does not fit
  ansible.builtin.debug:
    msg: "{{ {'bigip': load_balancer_result} | aovpn.ikev2.cross_check({'rras1': rras_facts}) }}"
"""

RETURN = r"""
_value:
  description: The findings C(server_shared) and C(server_not_served), in the form that the device modules use.
  type: list
  elements: dict
"""


class FilterModule:
    """Offers the filter."""

    def filters(self) -> dict[str, t.Any]:
        """Return it by name."""
        return {"cross_check": untrusted(cross_check)}
