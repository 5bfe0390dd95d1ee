# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter failure."""

from __future__ import annotations

import typing as t

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._audit import failure
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._untrusted import untrusted

DOCUMENTATION = r"""
name: failure
short_description: Report what failed on a host, and in what state the host is
version_added: 0.1.0
author:
  - The aovpn.ikev2 authors (@aovpn)
description:
  - Used in a C(rescue), also where C(ignore_unreachable) let a lost connection fail a later task.
positional: stage, failed
options:
  _input:
    description: Results that the host's tasks registered so far.
    type: list
    elements: dict
    required: true
  stage:
    description: What was being done. V(read) changes nothing; what fails in V(verify) does not report the state that a change left.
    type: str
    required: true
  failed:
    description: The result of the task that failed.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Try
  block:
    - name: Read the server
      ansible.builtin.import_role:
        name: aovpn.ikev2.rras
        tasks_from: facts
  rescue:
    - name: Record what failed
      ansible.builtin.set_fact:
        failure: "{{ [rras_gateway_result | default({})] | aovpn.ikev2.failure('read', ansible_failed_result) }}"
"""

RETURN = r"""
_value:
  description: What is known of the failure.
  type: dict
  contains:
    stage:
      description: What was being done.
      type: str
    msg:
      description: The reason.
      type: str
    final_state:
      description: What is true of the host, as the modules reported it. One of V(unchanged), V(rolled_back), V(changed), V(unknown).
      type: str
"""


class FilterModule:
    """Offers the filter."""

    def filters(self) -> dict[str, t.Any]:
        """Return it by name."""
        return {"failure": untrusted(failure)}
