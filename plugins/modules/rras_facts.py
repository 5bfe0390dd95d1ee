#!/usr/bin/python
# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documents the action plugin of the same name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rras_facts
short_description: Read a Windows RRAS server
version_added: 0.1.0
author:
  - The aovpn.ikev2 authors (@aovpn)
description:
  - Reads the default gateway, the routes, the limit of IKE security associations from one address, the services and the security associations of a
    VPN server in one task. Changes nothing.
  - With the options of M(aovpn.ikev2.rras_default_gateway) and M(aovpn.ikev2.rras_ike_limit), it lists what these modules would change.
options:
  gateway:
    description: The wanted default gateway. Without it, no change of the gateway is listed.
    type: str
  limit:
    description: The wanted limit, a number from 1 to 4294967295. Without it, no change of the limit is listed.
    type: int
  settled:
    description:
      - Whether to wait, as M(aovpn.ikev2.rras_default_gateway) does, until an unfinished change of the gateway has been confirmed or rolled back, so
        that what is read is no state in between. In check mode, the task never waits.
    type: bool
    default: false
notes:
  - Works with the connections winrm, psrp and ssh. Only winrm and psrp have been tested, with a stand-in for Windows.
extends_documentation_fragment:
  - aovpn.ikev2._device.server
  - aovpn.ikev2._device.gateway
seealso:
  - module: aovpn.ikev2.rras_default_gateway
  - module: aovpn.ikev2.rras_ike_limit
"""

EXAMPLES = r"""
- name: Read the server, and list what is missing to make the load balancer its default gateway
  aovpn.ikev2.rras_facts:
    gateway: 10.10.0.1
  register: server
"""

RETURN = r"""
facts:
  description:
    - RV(gateway.after) and RV(limit.after) together, with C(findings) and C(changes) of both.
    - M(aovpn.ikev2.rras_default_gateway) and M(aovpn.ikev2.rras_ike_limit) take it as their option C(snapshot).
  returned: success
  type: dict
gateway:
  description: What concerns the routes.
  returned: success
  type: dict
  contains:
    after: {description: The same as RV(aovpn.ikev2.rras_default_gateway#module:after)., type: dict}
    findings: {description: What an administrator should know., type: list, elements: dict}
    changes: {description: What M(aovpn.ikev2.rras_default_gateway) would change., type: list, elements: dict}
limit:
  description: What concerns the limit, the services and the clients.
  returned: success
  type: dict
  contains:
    after: {description: The same as RV(aovpn.ikev2.rras_ike_limit#module:after)., type: dict}
    findings: {description: What an administrator should know., type: list, elements: dict}
    changes: {description: What M(aovpn.ikev2.rras_ike_limit) would change., type: list, elements: dict}
changes:
  description: The changes of both. Empty on failure.
  returned: always
  type: list
  elements: dict
  sample: [{id: 0.0.0.0/0, scope: route, setting: NextHop, before: 10.10.0.254, after: 10.10.0.1}]
final_state:
  description: Always V(unchanged).
  returned: always
  type: str
  sample: unchanged
undone:
  description: Always V(true).
  returned: failure
  type: bool
"""
