# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter collected."""

from __future__ import annotations

import typing as t

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._audit import collected
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._untrusted import untrusted

DOCUMENTATION = r"""
name: collected
short_description: Collect one variable of several hosts
version_added: 0.1.0
author:
  - The aovpn.ikev2 authors (@aovpn)
description:
  - Returns the values of a variable by host. A host without it, because it was unreachable for instance, is left out.
positional: hostvars, name
options:
  _input:
    description: The hosts.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variable C(hostvars).
    type: dict
    required: true
  name:
    description: The variable's name.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show what was read from the VPN servers
  ansible.builtin.debug:
    msg: "{{ groups['rras'] | aovpn.ikev2.collected(hostvars, 'rras_facts') }}"
"""

RETURN = r"""
_value:
  description: The values, by host.
  type: dict
"""


class FilterModule:
    """Offers the filter."""

    def filters(self) -> dict[str, t.Any]:
        """Return it by name."""
        return {"collected": untrusted(collected)}
