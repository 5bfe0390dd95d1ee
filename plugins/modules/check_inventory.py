#!/usr/bin/python
# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documents the action plugin of the same name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: check_inventory
short_description: Validate the inventory, before any device is touched
version_added: 0.1.0
author:
  - The aovpn.ikev2 authors (@aovpn)
description:
  - Reports everything at once that is missing, contradictory or misspelt in the variables of the play's hosts, and which Python libraries are
    missing on the controller. Fails if there is a problem. Connects to no host.
  - The load balancers are the hosts of the group C(ikev2_load_balancers), the VPN servers those of the group C(rras). If a run has only one kind,
    a warning says what is checked without the other.
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode), and does the same there.
    support: full
  diff_mode:
    description: Will return details on what has changed, when in diff mode.
    support: none
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second invocation indicates no change.
    support: full
"""

EXAMPLES = r"""
- name: Validate the inventory
  hosts: ikev2_load_balancers:rras:localhost
  gather_facts: false
  any_errors_fatal: true
  tasks:
    - name: Validate the inventory
      aovpn.ikev2.check_inventory:
      run_once: true
      delegate_to: localhost
"""

RETURN = r"""
problems:
  description: A sentence for each problem, with the host, the group, or the extra variables that it is about.
  returned: always
  type: list
  elements: str
  sample: ["group rras: there is no variable rras_gatway. The nearest is rras_gateway."]
"""
