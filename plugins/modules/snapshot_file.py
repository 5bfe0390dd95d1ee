#!/usr/bin/python
# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documents the action plugin of the same name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: snapshot_file
short_description: Write a snapshot file, or read one
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
      - V(read) reads one.
    type: str
    choices: [present, read]
    default: present
  directory:
    description: The folder.
    type: path
    required: true
  content:
    description: RV(aovpn.ikev2.site#module:snapshot). Required with O(state=present). If it is empty, nothing is written.
    type: dict
  path:
    description: The file to read, or its name in O(directory). By default the newest.
    type: str
  required:
    description: Whether it is an error if there is no snapshot, or if it has hosts that the inventory does not have.
    type: bool
    default: true
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
"""

EXAMPLES = r"""
- name: Write a snapshot
  aovpn.ikev2.snapshot_file:
    directory: /var/lib/ikev2-snapshots
    content: "{{ ikev2_site.snapshot }}"
  run_once: true

- name: Read the newest snapshot
  aovpn.ikev2.snapshot_file:
    state: read
    directory: /var/lib/ikev2-snapshots
  run_once: true
"""

RETURN = r"""
path:
  description: The file's path; empty if there was nothing to write or to read.
  returned: success
  type: str
  sample: /var/lib/ikev2-snapshots/20261124T201817Z.json
run:
  description: What identifies the run of a playbook that wrote it; see RV(aovpn.ikev2.site#module:run).
  returned: with O(state=present)
  type: str
  sample: "2026-11-24T20:18:17.000001Z"
snapshot:
  description: Its content by host, null if there was none to read.
  returned: with O(state=read)
  type: dict
"""
