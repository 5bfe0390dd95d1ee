#!/usr/bin/python
# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documents the action plugin of the same name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: report
short_description: Report what was found and done, as an HTML page and a JSON file
version_added: 0.1.0
author:
  - The aovpn.ikev2 authors (@aovpn)
description:
  - Writes the report of the role P(aovpn.ikev2.report#role), which is the way to use it. Each file replaces an older one of the same name in one
    step, and is copied to C(latest.html) or C(latest.json).
  - Never reports a change, and writes in check mode, too.
options:
  state:
    description:
      - V(started) writes a page that says that the run has not ended.
      - V(finished) writes the report.
    type: str
    choices: [started, finished]
    default: finished
  playbook:
    description: What runs. The verdict answers the question of that playbook.
    type: str
    default: ""
  name:
    description: The files' name, without C(.html) and C(.json). By default O(playbook) and the time.
    type: str
  directory:
    description: The folder, which is created if it is missing.
    type: path
    required: true
  lock:
    description:
      - With O(state=started), the folder of the snapshots, in which a run that may change anything locks out others until its report is finished.
      - A lock is taken over if the process that holds it has ended, or if it belongs to another controller and is more than 12 hours old.
    type: path
  run:
    description: The result of O(state=started). Its files are replaced.
    type: dict
  snapshot:
    description:
      - The result of M(aovpn.ikev2.snapshot_file) that wrote the run's snapshot. The file is removed if the run has changed nothing; otherwise, it is
        noted in it whether the run has finished.
    type: dict
  restored:
    description: The result of M(aovpn.ikev2.snapshot_file) that read what a rollback restores. If everything was restored, the file is marked as used.
    type: dict
  problem:
    description: What stopped the run before any device was touched.
    type: str
    default: ""
  due:
    description: Whether to list the changes that are due, not those made.
    type: bool
    default: false
  hosts:
    description: The hosts in the report. By default those of the groups C(ikev2_load_balancers) and C(rras).
    type: list
    elements: str
  findings:
    description: Further findings in the format of the modules, with C(host) added.
    type: list
    elements: dict
    default: []
attributes:
  check_mode:
    description: Can run in C(check_mode). The files are written there, too.
    support: full
  diff_mode:
    description: Will return details on what has changed, when in diff mode.
    support: none
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second invocation indicates no change.
    support: full
"""

EXAMPLES = r"""
- name: Write the page and the JSON file
  aovpn.ikev2.report:
    playbook: audit
    directory: /srv/reports
    due: true
  run_once: true
"""

RETURN = r"""
statistics:
  description: What the run publishes with M(ansible.builtin.set_stats).
  returned: with O(state=finished)
  type: dict
html:
  description: The page's path.
  returned: with O(state=finished)
  type: str
  sample: /srv/reports/audit-20261124T201817Z.html
json:
  description: The JSON file's path.
  returned: with O(state=finished)
  type: str
  sample: /srv/reports/audit-20261124T201817Z.json
summary:
  description: The report in at most 20 lines.
  returned: with O(state=finished)
  type: list
  elements: str
unwritten:
  description: Why the files could not be written at the end of a run that had begun them; empty if they were.
  returned: with O(state=finished)
  type: str
verdict:
  description: The verdict.
  returned: with O(state=finished)
  type: str
  sample: drift
title:
  description: The verdict in one sentence.
  returned: with O(state=finished)
  type: str
  sample: The VPN servers do not see their clients' own addresses
acceptable:
  description: Whether the verdict is none that C(fail_on_drift) makes an error.
  returned: with O(state=finished)
  type: bool
drift:
  description: Whether anything is not as required.
  returned: with O(state=finished)
  type: bool
changes:
  description: The changes, each with its C(host).
  returned: with O(state=finished)
  type: list
  elements: dict
failures:
  description: Why hosts failed, by host; only the failures that are errors of this playbook.
  returned: with O(state=finished)
  type: dict
base:
  description: The files' path without their ending.
  returned: with O(state=started)
  type: str
  sample: /srv/reports/audit-20261124T201817Z
lock:
  description: The folder that is locked, null if none is.
  returned: with O(state=started)
  type: str
started:
  description: The time, in UTC, which identifies the run.
  returned: with O(state=started)
  type: str
  sample: "2026-11-24T20:18:17.000001Z"
"""
