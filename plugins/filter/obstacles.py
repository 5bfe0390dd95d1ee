# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter obstacles."""

from __future__ import annotations

import typing as t

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._audit import obstacles
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._untrusted import untrusted

DOCUMENTATION = r"""
name: obstacles
short_description: List what forbids a change of a load balancer
version_added: 0.1.0
author:
  - The aovpn.ikev2 authors (@aovpn)
description:
  - Lists the blockers that a device module has found, if a change is due.
  - A wrong return path always counts, because the planned change of a VPN server's gateway would cut off the VPN.
positional: accept
options:
  _input:
    description: What a device module returned with O(aovpn.ikev2.bigip_snat#module:state=gathered) and the planned gateways.
    type: dict
    required: true
  accept:
    description: Codes of blockers that are accepted.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Stop at what forbids the change
  ansible.builtin.assert:
    that: not (load_balancer_result | aovpn.ikev2.obstacles([]))
"""

RETURN = r"""
_value:
  description: A sentence for each; empty if nothing forbids the change.
  type: list
  elements: str
"""


class FilterModule:
    """Offers the filter."""

    def filters(self) -> dict[str, t.Any]:
        """Return it by name."""
        return {"obstacles": untrusted(obstacles)}
