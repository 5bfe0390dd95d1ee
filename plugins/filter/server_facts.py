# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter server_facts."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible.errors import AnsibleFilterError

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._untrusted import untrusted
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._vpn import server_facts

DOCUMENTATION = r"""
name: server_facts
short_description: Make one description of a VPN server from what was read there
version_added: 0.1.0
author:
  - The aovpn.ikev2 authors (@aovpn)
description:
  - What the role P(aovpn.ikev2.rras#role) sets as C(rras_facts).
positional: network, server
options:
  _input:
    description: The result of the role's script that reads services, limits and security associations.
    type: dict
    required: true
  network:
    description: What M(aovpn.ikev2.rras_default_gateway) returns as RV(aovpn.ikev2.rras_default_gateway#module:after), with C(findings).
    type: dict
    required: true
  server:
    description: The server's name, for findings.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show the server
  ansible.builtin.debug:
    msg: "{{ read.result | aovpn.ikev2.server_facts(gateway.after, inventory_hostname) }}"
"""

RETURN = r"""
_value:
  description: The server's gateway, limit, services, and security associations by remote address.
  type: dict
"""


def _server_facts(vpn: t.Any, network: Mapping[str, t.Any], server: str) -> dict[str, t.Any]:
    try:
        return server_facts(server, network, vpn)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Offers the filter."""

    def filters(self) -> dict[str, t.Any]:
        """Name it."""
        return {"server_facts": untrusted(_server_facts)}
