# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter read_snapshot."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._audit import read_snapshot
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._untrusted import untrusted

DOCUMENTATION = r"""
name: read_snapshot
short_description: Read the file of a snapshot
version_added: 0.1.0
author:
  - The aovpn.ikev2 authors (@aovpn)
description:
  - Returns each host's part of what M(aovpn.ikev2.snapshot_file) has written.
options:
  _input:
    description: The file's text.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show what a server was like
  ansible.builtin.debug:
    msg: "{{ (lookup('ansible.builtin.file', 'snapshot.json') | aovpn.ikev2.read_snapshot).servers.rras1 }}"
"""

RETURN = r"""
_value:
  description: When it was C(taken), and by host C(load_balancers), each with C(snapshot) and C(services), and C(servers), each as C(rras_facts).
  type: dict
"""


def _read_snapshot(text: str) -> dict[str, t.Any]:
    try:
        return read_snapshot(text)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Offers the filter."""

    def filters(self) -> dict[str, t.Any]:
        """Return it by name."""
        return {"read_snapshot": untrusted(_read_snapshot)}
