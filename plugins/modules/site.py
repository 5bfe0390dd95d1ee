#!/usr/bin/python
# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documents the action plugin of the same name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: site
short_description: Decide what each host of a site does next
version_added: 0.1.0
author:
  - The aovpn.ikev2 authors (@aovpn)
description:
  - For the playbooks of this collection. Reads what the roles P(aovpn.ikev2.load_balancer#role) and P(aovpn.ikev2.rras#role) have
    registered on all hosts of the groups C(ikev2_load_balancers) and C(rras), and returns an order for each host.
  - Its result has to be registered as C(ikev2_site). Each order carries what is known so far to the next call.
  - Changes nothing. With the variable C(probe), it sends an IKE_SA_INIT to the virtual addresses.
options:
  playbook:
    description: The playbook that runs.
    type: str
    required: true
  step:
    description:
      - V(read), before the load balancers are read, gives each the servers' default gateways.
      - V(judge), before the first change, finds what would make a change fail or cut off clients.
      - V(change), before a host is changed, decides whether it is.
      - V(verify), after a load balancer was changed, fails if it has to be rolled back; V(undo) orders that.
    type: str
    choices: [read, judge, change, verify, undo]
    required: true
attributes:
  check_mode:
    description: Can run in C(check_mode).
    support: full
  diff_mode:
    description: Will return details on what has changed, when in diff mode.
    support: none
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second invocation indicates no change.
    support: full
"""

EXAMPLES = r"""
- name: Decide what to change
  aovpn.ikev2.site:
    playbook: remediate
    step: judge
  register: ikev2_site
  run_once: true
"""

RETURN = r"""
orders:
  description:
    - By host, what it does next; C(go) says whether it does anything, or C(why_not).
    - C(entry) is the entry point of the role P(aovpn.ikev2.rras#role), C(return_path) and C(snapshot) are for the task, and C(record) is for the
      next call.
  returned: success
  type: dict
  sample: {rras1: {go: true, why_not: "", entry: gateway, return_path: {}, snapshot: {}, record: {}}}
run:
  description: What identifies the run of a playbook, so that orders of an earlier one are not taken for its own.
  returned: success
  type: str
  sample: "2026-11-24T20:18:17.000001Z"
due:
  description: The C(servers) and the C(load_balancers) that the run changes.
  returned: with O(step=judge) and after it
  type: dict
  sample: {servers: [rras1], load_balancers: []}
again:
  description: The C(servers) and the C(load_balancers) that are read once more at the end.
  returned: with O(step=judge) and after it
  type: dict
  sample: {servers: [rras1], load_balancers: [bigip]}
answers:
  description: The answers of the virtual addresses.
  returned: with O(step=verify)
  type: list
  elements: dict
snapshot:
  description: What it takes to restore everything, for M(aovpn.ikev2.snapshot_file); empty if nothing is going to be changed.
  returned: with O(step=judge)
  type: dict
"""
