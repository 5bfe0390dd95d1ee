#!/usr/bin/python
# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documents the action plugin of the same name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: snapshot_file
short_description: Write a snapshot file, or remove it
version_added: 0.1.0
author:
  - The aovpn.ikev2 authors (@aovpn)
description:
  - Writes what is needed to restore load balancers and servers to a file on the controller, named after the time, as in C(20261124T201817Z.json).
  - Only its owner can read it. It never overwrites another file. A missing folder is created, for its owner only.
  - Never reports a change.
options:
  state:
    description:
      - V(present) writes a snapshot.
      - V(absent) removes one, such as that of a run that changed nothing. A file that is not a snapshot is an error, and is not removed.
    type: str
    choices: [present, absent]
    default: present
  directory:
    description: The folder. Required with O(state=present), as are O(load_balancers) and O(servers).
    type: path
  load_balancers:
    description: The results of the device modules with O(aovpn.ikev2.bigip_snat#module:state=gathered), by host.
    type: dict
  servers:
    description: The fact C(rras_facts) of the role P(aovpn.ikev2.rras#role), by host.
    type: dict
  path:
    description: The file to remove. Required with O(state=absent).
    type: path
attributes:
  check_mode:
    description: Can run in C(check_mode). Nothing is written or removed there.
    support: full
  diff_mode:
    description: Will return details on what has changed, when in diff mode.
    support: none
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second invocation indicates no change.
    support: full
seealso:
  - plugin: aovpn.ikev2.read_snapshot
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Write a snapshot
  aovpn.ikev2.snapshot_file:
    directory: /var/lib/ikev2-snapshots
    load_balancers: "{{ groups['ikev2_load_balancers'] | aovpn.ikev2.collected(hostvars, 'load_balancer_result') }}"
    servers: "{{ groups['rras'] | aovpn.ikev2.collected(hostvars, 'rras_facts') }}"
  run_once: true
  register: snapshot

- name: Remove it, because nothing was changed
  aovpn.ikev2.snapshot_file:
    state: absent
    path: "{{ snapshot.path }}"
  run_once: true
"""

RETURN = r"""
path:
  description: The file's path.
  returned: success
  type: str
  sample: /var/lib/ikev2-snapshots/20261124T201817Z.json
"""
