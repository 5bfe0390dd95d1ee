#!/usr/bin/python
# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documents the action plugin of the same name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: snapshot_file
short_description: Write a snapshot file, or choose one and read it
version_added: 0.1.0
author:
  - The aovpn.ikev2 authors (@aovpn)
description:
  - Writes what is needed to restore load balancers and servers to a file on the controller, named after the time, as in C(20261124T201817Z.json).
  - Only its owner can read it. It never overwrites another file. A missing folder is created, for its owner only.
  - Publishes what it writes as the statistic C(ikev2_snapshot), one JSON text without any address of a client, which AWX keeps as an artifact.
  - What is read is chosen by the extra variables C(snapshot) (a file, its name in the folder, C(all), or the snapshot itself as a dictionary or
    JSON text) and C(ikev2_snapshot) (the snapshot itself). The first wins. The action reads them itself, and never as templates.
  - Never reports a change.
options:
  state:
    description:
      - V(present) writes a snapshot.
      - V(read) chooses one and reads it.
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
  restoring:
    description:
      - Whether the snapshot is going to be restored. Then the default is the newest that no rollback has used, C(all) goes back to the state
        before the first of these, and the task shows what there is and what stays changed. It is an error if there is no snapshot, or if it has
        hosts that the inventory does not have.
      - Otherwise, the default is the newest.
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

- name: Read the newest snapshot that no rollback has used
  aovpn.ikev2.snapshot_file:
    state: read
    directory: /var/lib/ikev2-snapshots
  run_once: true
"""

RETURN = r"""
path:
  description: The file's path; empty if there was nothing to write.
  returned: with O(state=present)
  type: str
  sample: /var/lib/ikev2-snapshots/20261124T201817Z.json
run:
  description: What identifies the run of a playbook that wrote it; see RV(aovpn.ikev2.site#module:run).
  returned: with O(state=present)
  type: str
  sample: "2026-11-24T20:18:17.000001Z"
snapshot:
  description:
    - What was chosen, null if there was none to read. The C(halves) of a load balancer are addresses at which only one service of a pair kept the
      clients' addresses. They are listed unless the variable C(snapshot) names the snapshot, and nothing is restored on that load balancer then.
  returned: with O(state=read)
  type: dict
uses:
  description: The files that a rollback to it uses up, and the hosts on which it does.
  returned: with O(state=read)
  type: dict
  sample: {/var/lib/ikev2-snapshots/20261124T201817Z.json: [bigip, rras1]}
"""
