#!/usr/bin/python
# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Thin: carries options to the engine and its result back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bigip_snat
short_description: Keep the clients' source address on F5 BIG-IP virtual servers for IKEv2
version_added: 0.1.0
author:
  - The aovpn.ikev2 authors (@aovpn)
description:
  - Sets Source Address Translation to None on the UDP 500 and UDP 4500 virtual servers of Always On VPN, so that the Windows RRAS servers see
    each client's own address.
  - With address translation of the source (automap, SNAT pool), Windows sees all clients as one address, and its limit of IPsec security
    associations per address makes new connections fail with error 809.
  - Reads all virtual servers in one request, changes only those that differ, and sends only the one property that changes.
  - An unchanged device takes three requests, a change of a pair fourteen with all that it is judged by. One of two devices takes three more, for its
    failover group, its traffic group and its sync status, and a fourth where both are active. Each attached LTM policy, iRule or application service, a
    partition other than Common, and a destination that goes by a name take one.
  - A virtual server of any protocol carries UDP, too. One on any port, or that only forwards packets, is changed only when it is named.
options:
  host:
    description: The BIG-IP's management address or host name. If not given, the environment variable E(F5_SERVER) is used.
    type: str
    required: true
    aliases: [server]
  port:
    description: The TCP port of the management API. If not given, the environment variable E(F5_SERVER_PORT) is used.
    type: int
    default: 443
    aliases: [server_port]
  username:
    description: The user. If not given, the environment variable E(F5_USER) is used.
    type: str
    required: true
    aliases: [user]
  password:
    description: The user's password. If not given, the environment variable E(F5_PASSWORD) is used.
    type: str
    required: true
  services:
    description:
      - The virtual servers meant, by full path (V(/Common/vs_ikev2_500)) or by name where only one has it.
      - It is an error when one of them is not there; nothing is ever created.
      - Excludes O(addresses).
    type: list
    elements: str
  login_provider:
    description: The device's authentication provider that knows the user.
    type: str
    default: tmos
  partition:
    description: Look at this partition only. By default at all of them.
    type: str
  sync_group:
    description:
      - The device group to sync to after a change, and to wait for until it is in sync, for two minutes at most.
      - What the status was meanwhile is told in RV(progress).
      - Where changes are pending before, whosever they are, they are the blocker V(unsynced_changes), because a sync would push them too.
    type: str
  clear_connections:
    description:
      - Whether to end the existing connections of the changed virtual servers, by virtual address, port and protocol.
      - That interrupts these tunnels, and the clients come back with their own addresses. Without it, existing flows keep their translated address until
        they have been idle, which is the finding V(existing_flows).
    type: bool
    default: false
extends_documentation_fragment:
  - aovpn.ikev2._device
  - aovpn.ikev2._device.save
seealso:
  - module: aovpn.ikev2.netscaler_usip
  - module: aovpn.ikev2.loadmaster_transparency
"""

EXAMPLES = r"""
- name: Look at every IKEv2 pair of a BIG-IP
  aovpn.ikev2.bigip_snat:
    host: bigip.example.net
    username: auditor
    password: "{{ bigip_auditor_password }}"
    state: gathered
  register: bigip

- name: Keep the clients' addresses, where the servers' answers come back through the BIG-IP
  aovpn.ikev2.bigip_snat:
    host: bigip.example.net
    username: admin
    password: "{{ bigip_password }}"
    addresses:
      - 203.0.113.10
    return_path:
      10.10.0.11: 10.10.0.1
      10.10.0.12: 10.10.0.1
  register: bigip

- name: Put back what the task before has changed
  aovpn.ikev2.bigip_snat:
    host: bigip.example.net
    username: admin
    password: "{{ bigip_password }}"
    state: restored
    snapshot: "{{ bigip.snapshot }}"
"""

RETURN = r"""
before:
  description: The services as they were.
  returned: always
  type: list
  elements: dict
  sample: []
services:
  description:
    - The services meant, as they are after the run; in check mode, as they would be.
    - After a change that failed, as they stand; empty where nobody could read that any more.
    - Sorted by address and port.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: The virtual server's full path.
      type: str
      sample: /Common/vs_ikev2_500
    address:
      description: The virtual address, with its route domain (V(%2)) where that is shown; a network with its mask (V(10.60.9.0/24)).
      type: str
      sample: 203.0.113.10
    port:
      description: The UDP port.
      type: int
      sample: 500
    protocol:
      description: The protocol.
      type: str
      sample: udp
    enabled:
      description: Whether the service is enabled. That is never changed.
      type: bool
    source_preserved:
      description: Whether the VPN servers see the client's own address.
      type: bool
    value:
      description: Source address translation, as V(none), V(automap), or a dictionary with C(type) and C(pool).
      type: raw
      sample: automap
    servers:
      description:
        - The VPN servers behind the service.
        - Read with O(state=gathered) and when there is something to change; otherwise the list is empty, which saves requests.
      type: list
      elements: dict
      contains:
        address:
          description: The server's address.
          type: str
          sample: 10.10.0.11
        port:
          description: The server's UDP port.
          type: int
          sample: 500
        gateways:
          description: Addresses of this device of which one has to be the server's default gateway.
          type: list
          elements: str
          sample: [10.10.0.1]
findings:
  description:
    - What is worth knowing about the services and the device. Empty when there is nothing.
    - A finding with severity V(blocker) stops a change, unless its code stands in O(accept).
  returned: always
  type: list
  elements: dict
  contains:
    code:
      description: What kind of finding it is. C(docs/findings.md) lists the codes.
      type: str
      sample: return_path_wrong
    severity:
      description: One of V(blocker), V(warning) and V(info).
      type: str
      sample: blocker
    object:
      description: What it is about, a service, a server or the device.
      type: str
      sample: 10.10.0.11
    message:
      description: What was found.
      type: str
      sample: This server's default gateway is 10.10.0.254, so its answers to clients would not come back through this device.
    remedy:
      description: What to do about it.
      type: str
      sample: Make it one of 10.10.0.1, with the role rras.
snapshot:
  description: What O(state=restored) needs to put everything back as it was before this run. Holds no secrets.
  returned: when the device could be read
  type: dict
  sample:
    platform: bigip
    host: bigip.example.net
    services:
      - id: /Common/vs_ikev2_4500
        value:
          type: snat
          pool: /Common/sp_ikev2
      - id: /Common/vs_ikev2_500
        value: automap
    device: {}
requests:
  description: How many HTTP requests were sent to the device.
  returned: always
  type: int
  sample: 3
progress:
  description:
    - What the device was waited for, and what it said meanwhile, as with O(sync_group) or when it was busy.
    - A module can tell that only at its end.
  returned: when the device was waited for
  type: list
  elements: str
  sample:
    - "Sync to /Common/dg_failover: Changes Pending after 0 s."
    - "Sync to /Common/dg_failover: In Sync after 6 s."
undone:
  description:
    - Whether everything on the device is as it was before the run, because nothing had been changed yet or because it was put back.
  returned: on failure
  type: bool
  sample: true
"""

from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.adapter import BigIp
from ansible_collections.aovpn.ikev2.plugins.module_utils._module import SAVE, Spec, credential, run_module

OPTIONS = ("username", "password", "login_provider", "partition", "save", "sync_group", "clear_connections")


SPEC: Spec = {
    "host": credential("F5_SERVER", aliases=["server"]),
    "port": credential("F5_SERVER_PORT", aliases=["server_port"], required=False, type="int", default=443),
    "username": credential("F5_USER", aliases=["user"]),
    "password": credential("F5_PASSWORD", secret=True),
    "login_provider": {"type": "str", "default": "tmos"},
    "partition": {"type": "str"},
    "sync_group": {"type": "str"},
    "clear_connections": {"type": "bool", "default": False},
    **SAVE,
}


def main() -> None:
    """Run the module."""
    run_module(
        SPEC,
        lambda endpoint, options: BigIp(endpoint, **{name: options[name] for name in OPTIONS}),
    )


if __name__ == "__main__":
    main()
