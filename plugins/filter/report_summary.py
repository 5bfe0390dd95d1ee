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
short_description: Say a report in 20 lines
version_added: 0.1.0
author:
  - The aovpn.ikev2 authors (@aovpn)
description:
  - Gives the verdict, failures, what is not as it has to be, and how much was changed, in at most 20 lines for the terminal.
  - Control characters in what devices have said are made visible.
positional: page
options:
  _input:
    description: The report, as P(aovpn.ikev2.report#filter) gives it.
    type: dict
    required: true
  page:
    description: The path of the report's page, to be named in the last line.
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Say it
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
    # Ansible loads every filter of the collection in each process that uses one of them; this much is for this one.
    from ansible_collections.aovpn.ikev2.plugins.plugin_utils._report import summary

    return summary(report, page)


class FilterModule:
    """Offers the filter."""

    def filters(self) -> dict[str, t.Any]:
        """Name it."""
        return {"report_summary": untrusted(_summary)}
