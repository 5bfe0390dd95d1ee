# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter sources."""

from __future__ import annotations

import typing as t

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._audit import sources
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._untrusted import untrusted

DOCUMENTATION = r"""
name: sources
short_description: Report whether a VPN server sees its clients' own addresses
version_added: 0.1.0
author:
  - The aovpn.ikev2 authors (@aovpn)
description:
  - Judges by the remote addresses of the server's IKE security associations. A client that comes from the load balancer is hidden; many
    clients behind the address of one office are not.
positional: load_balancer_addresses
options:
  _input:
    description: What the role P(aovpn.ikev2.rras#role) set as C(rras_facts).
    type: dict
    required: true
  load_balancer_addresses:
    description: The load balancer's own addresses, as P(aovpn.ikev2.load_balancer_addresses#filter) returns them.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Show what the server sees
  ansible.builtin.debug:
    msg: "{{ (rras_facts | aovpn.ikev2.sources(['10.10.0.1'])).message }}"
"""

RETURN = r"""
_value:
  description: The verdict, with counts and shares.
  type: dict
  contains:
    verdict:
      description: One of V(hidden), V(partly), V(seen), and V(none) without any association.
      type: str
    sas:
      description: How many IKE security associations there are.
      type: int
    addresses:
      description: From how many remote addresses.
      type: int
    hidden:
      description: How many of the associations come from the load balancer.
      type: int
    top:
      description: The remote address with most associations, with their C(count) and their C(share) of all, from 0 to 1. V(null) without any.
      type: dict
    message:
      description: The same in words.
      type: str
"""


class FilterModule:
    """Offers the filter."""

    def filters(self) -> dict[str, t.Any]:
        """Return it by name."""
        return {"sources": untrusted(sources)}
