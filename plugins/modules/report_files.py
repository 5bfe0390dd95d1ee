#!/usr/bin/python
# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documents the action plugin of the same name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: report_files
short_description: Write a report as one page and one JSON file
version_added: 0.1.0
author:
  - The aovpn.ikev2 authors (@aovpn)
description:
  - Writes a report as an HTML page and a JSON file on the controller, in check mode, too. Never reports a change.
  - Each file is replaced as a whole. A missing folder is created.
options:
  report:
    description: The report that P(aovpn.ikev2.report#filter) returns.
    type: dict
    required: true
  path:
    description: The path of both files, without C(.html) and C(.json).
    type: path
    required: true
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
seealso:
  - plugin: aovpn.ikev2.report
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Write a report
  aovpn.ikev2.report_files:
    report: "{{ ansible_play_hosts_all | aovpn.ikev2.report(hostvars, playbook='mine') }}"
    path: /var/www/reports/mine
  run_once: true
"""

RETURN = r"""
html:
  description: The path of the page.
  returned: success
  type: str
  sample: /var/www/reports/mine.html
json:
  description: The path of the JSON file.
  returned: success
  type: str
  sample: /var/www/reports/mine.json
summary:
  description: The verdict, failures, drift and changes, in at most 20 lines for the terminal.
  returned: success
  type: list
  elements: str
"""
