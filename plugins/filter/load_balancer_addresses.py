# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter load_balancer_addresses."""

from __future__ import annotations

import typing as t

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._audit import load_balancer_addresses
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._untrusted import untrusted

DOCUMENTATION = r"""
name: load_balancer_addresses
short_description: List the addresses of load balancers
version_added: 0.1.0
author:
  - The aovpn.ikev2 authors (@aovpn)
description:
  - Returns the virtual addresses of the IKEv2 services, and the addresses that serve as the VPN servers' gateway.
options:
  _input:
    description: Results of the device modules, by host.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the load balancers' addresses
  ansible.builtin.debug:
    msg: "{{ {'bigip': load_balancer_result} | aovpn.ikev2.load_balancer_addresses }}"
"""

RETURN = r"""
_value:
  description: The addresses, in order, each once.
  type: list
  elements: str
"""


class FilterModule:
    """Offers the filter."""

    def filters(self) -> dict[str, t.Any]:
        """Return it by name."""
        return {"load_balancer_addresses": untrusted(load_balancer_addresses)}
