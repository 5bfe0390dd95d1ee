# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter report_html."""

from __future__ import annotations

import typing as t

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._report_page import render
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._untrusted import untrusted

DOCUMENTATION = r"""
name: report_html
short_description: Write a report as one page of HTML
version_added: 0.1.0
author:
  - The aovpn.ikev2 authors (@aovpn)
description:
  - Gives one page that needs nothing else, neither network nor scripts. Whatever devices have said is escaped.
options:
  _input:
    description: The report, as P(aovpn.ikev2.report#filter) gives it.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Write the page
  ansible.builtin.copy:
    dest: /tmp/report.html
    content: "{{ ansible_play_hosts_all | aovpn.ikev2.report(hostvars) | aovpn.ikev2.report_html }}"
    mode: "0644"
"""

RETURN = r"""
_value:
  description: The page.
  type: str
"""


class FilterModule:
    """Offers the filter."""

    def filters(self) -> dict[str, t.Any]:
        """Name it."""
        return {"report_html": untrusted(render)}
