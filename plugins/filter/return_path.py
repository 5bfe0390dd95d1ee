# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter return_path."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._untrusted import untrusted

DOCUMENTATION = r"""
name: return_path
short_description: Return each VPN server's default gateway by the server's addresses
version_added: 0.1.0
author:
  - The aovpn.ikev2 authors (@aovpn)
description:
  - Makes the option O(aovpn.ikev2.bigip_snat#module:return_path) of the device modules from what the role P(aovpn.ikev2.rras#role) has read.
positional: planned
options:
  _input:
    description: What the role set as C(rras_facts), by host; each a dictionary with C(gateway) and C(addresses).
    type: dict
    required: true
  planned:
    description: Default gateways that are going to be set, by host. They take precedence over what was read.
    type: dict
"""

EXAMPLES = r"""
- name: Show the gateways that replies take
  ansible.builtin.debug:
    msg: "{{ {inventory_hostname: rras_facts} | aovpn.ikev2.return_path }}"
"""

RETURN = r"""
_value:
  description: Each server's default gateway, by each of its addresses.
  type: dict
  sample:
    10.10.0.11: 10.10.0.1
"""


def return_path(servers: Mapping[str, Mapping[str, t.Any]], planned: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the default gateway of each server by each of its addresses. A server that has none is left out."""
    gateways = {host: (planned or {}).get(host) or facts["gateway"] for host, facts in servers.items()}
    return {
        address: gateways[host] for host, facts in servers.items() for address in facts["addresses"] if gateways[host]
    }


class FilterModule:
    """Offers the filter."""

    def filters(self) -> dict[str, t.Any]:
        """Return it by name."""
        return {"return_path": untrusted(return_path)}
