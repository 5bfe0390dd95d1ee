# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter cut_off."""

from __future__ import annotations

import typing as t

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._audit import cut_off
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._untrusted import untrusted

DOCUMENTATION = r"""
name: cut_off
short_description: Check whether a default gateway would cut off the VPN
version_added: 0.1.0
author:
  - The aovpn.ikev2 authors (@aovpn)
description:
  - Lists the load balancers that keep the clients' addresses and would not get the replies of a VPN server with this default gateway.
positional: gateway, load_balancers, leading
options:
  _input:
    description: What the role P(aovpn.ikev2.rras#role) set as C(rras_facts).
    type: dict
    required: true
  gateway:
    description: The default gateway that the server is going to have.
    type: str
    required: true
  load_balancers:
    description: Results of the device modules, by host.
    type: dict
    required: true
  leading:
    description: Load balancers that should have been read. One without a result is listed, too.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Refuse what would cut off the VPN
  ansible.builtin.assert:
    that: not ikev2_reasons
  vars:
    ikev2_reasons: "{{ rras_facts | aovpn.ikev2.cut_off('10.10.0.254', {'bigip': load_balancer_result}) }}"
"""

RETURN = r"""
_value:
  description: A sentence for each; empty if the gateway can be set.
  type: list
  elements: str
"""


class FilterModule:
    """Offers the filter."""

    def filters(self) -> dict[str, t.Any]:
        """Return it by name."""
        return {"cut_off": untrusted(cut_off)}
