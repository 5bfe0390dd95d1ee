# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter due."""

from __future__ import annotations

import typing as t

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._audit import due
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._untrusted import untrusted

DOCUMENTATION = r"""
name: due
short_description: List the hosts on which there is something to change
version_added: 0.1.0
author:
  - The aovpn.ikev2 authors (@aovpn)
description:
  - Compares what was read from load balancers and VPN servers with what it has to be, and names the hosts that differ.
positional: servers, gateways, limits
options:
  _input:
    description: Results of the device modules, by host.
    type: dict
    required: true
  servers:
    description: What the role P(aovpn.ikev2.rras#role) set as C(rras_facts), by host.
    type: dict
    required: true
  gateways:
    description: The default gateway that each server is to have, by host. A server that is not named is not judged.
    type: dict
    required: true
  limits:
    description: The registry limit that each server is to have, by host. A server that is not named is not judged.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show where a run would change something
  ansible.builtin.debug:
    msg: "{{ {'bigip': load_balancer_result} | aovpn.ikev2.due({'rras1': rras_facts}, {'rras1': '10.10.0.1'}, {}) }}"
"""

RETURN = r"""
_value:
  description: Their names; empty when there is nothing to change.
  type: list
  elements: str
"""


class FilterModule:
    """Offers the filter."""

    def filters(self) -> dict[str, t.Any]:
        """Name it."""
        return {"due": untrusted(due)}
