# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter report_summary."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._untrusted import untrusted

DOCUMENTATION = r"""
name: report_summary
short_description: Return a report in 20 lines
version_added: 0.1.0
author:
  - The aovpn.ikev2 authors (@aovpn)
description:
  - Returns the verdict, failures, what is not as required, and what was changed, in at most 20 lines for the terminal.
  - Control characters in names and messages of devices are made visible.
positional: page
options:
  _input:
    description: The report, as P(aovpn.ikev2.report#filter) returns it.
    type: dict
    required: true
  page:
    description: The path of the report's page, for the last line.
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Show it
  ansible.builtin.debug:
    msg: "{{ ansible_play_hosts_all | aovpn.ikev2.report(hostvars) | aovpn.ikev2.report_summary }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""


def _summary(report: Mapping[str, t.Any], page: str = "") -> list[str]:
    # Ansible loads all filters of the collection in each process that uses one of them; only this one needs so much.
    from ansible_collections.aovpn.ikev2.plugins.plugin_utils._report import summary

    return summary(report, page)


class FilterModule:
    """Offers the filter."""

    def filters(self) -> dict[str, t.Any]:
        """Return it by name."""
        return {"report_summary": untrusted(_summary)}
