# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter take_snapshot."""

from __future__ import annotations

import typing as t

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._audit import take_snapshot
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._untrusted import untrusted

DOCUMENTATION = r"""
name: take_snapshot
short_description: Put together what it takes to put everything back
version_added: 0.1.0
author:
  - The aovpn.ikev2 authors (@aovpn)
description:
  - Gives what the playbooks write to the file of a snapshot before anything changes.
positional: load_balancers, servers
options:
  _input:
    description: When it is taken.
    type: str
    required: true
  load_balancers:
    description: Results of the device modules, by host.
    type: dict
    required: true
  servers:
    description: What the role P(aovpn.ikev2.rras#role) set as C(rras_facts), by host.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Write a snapshot
  ansible.builtin.copy:
    dest: snapshot.json
    content: "{{ '2026-01-01T00:00:00Z' | aovpn.ikev2.take_snapshot({'bigip': load_balancer_result}, {'rras1': rras_facts}) | to_nice_json }}"
    mode: "0600"
"""

RETURN = r"""
_value:
  description: The snapshot, with C(format), C(taken), and by host C(load_balancers), C(services) and C(servers).
  type: dict
"""


class FilterModule:
    """Offers the filter."""

    def filters(self) -> dict[str, t.Any]:
        """Name it."""
        return {"take_snapshot": untrusted(take_snapshot)}
