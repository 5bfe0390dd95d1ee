#!/usr/bin/python
# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation and a short main: the work is done in module_utils."""

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
  - With source address translation (automap or a SNAT pool), Windows sees all clients as one address, and its limit of IPsec security
    associations per address makes new connections fail with error 809.
  - Reads all virtual servers in one request, changes only those that differ, and sends only the one property that changes.
  - An unchanged device takes three requests, a changed pair fourteen, including all checks; one more if the device has more than a hundred virtual servers.
    A device in a high-availability pair takes three more, for its failover group, its traffic group and its sync status, and a fourth if both units are
    active. Each attached LTM policy, iRule or application service, each partition other than Common, and each destination given by name, takes one more.
    So do SNAT pools, with O(state=gathered) and in check mode, and where O(snapshot) names one that no virtual server uses now. If that one does not
    exist any more, nothing is changed, in check mode as well.
  - A virtual server for any protocol carries UDP, too. One on any port, or one that only forwards packets, is changed only when it is named.
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
  validate_certs:
    description:
      - Whether to verify the device's TLS certificate. Leave this on, and use O(ca_path) for a private certificate authority.
      - If not given, the environment variable E(F5_VALIDATE_CERTS) is used.
    type: bool
    default: true
  ca_path:
    description:
      - A file with the certificates (PEM) of the authorities to trust. If not given, the environment variable E(F5_CA_PATH) is used.
      - With neither, the authorities that Python trusts are used.
    type: path
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
      - The virtual servers to select, by full path (V(/Common/vs_ikev2_500)), or by name if it is unique.
      - It is an error if one of them does not exist; nothing is ever created.
      - Mutually exclusive with O(addresses).
    type: list
    elements: str
  login_provider:
    description: The device's authentication provider for the user.
    type: str
    default: tmos
  partition:
    description: The only partition to read. By default, all partitions are read.
    type: str
  sync_group:
    description:
      - The device group to sync to after a change. The task waits until the group is in sync, for two minutes at most.
      - RV(progress) lists the sync status along the way.
      - Changes that are already pending, whoever made them, are the blocker V(unsynced_changes), because a sync would push them too.
    type: str
  clear_connections:
    description:
      - Whether to delete the existing connections of the changed virtual servers, by virtual address, port and protocol.
      - This interrupts their tunnels, and the clients reconnect with their own addresses. Without it, existing flows keep their translated address
        until they time out, which is the finding V(existing_flows).
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
- name: Read every IKEv2 pair of a BIG-IP
  aovpn.ikev2.bigip_snat:
    host: bigip.example.net
    username: auditor
    password: "{{ bigip_auditor_password }}"
    state: gathered
  register: bigip

- name: Keep the clients' addresses
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

- name: Restore what the previous task changed
  aovpn.ikev2.bigip_snat:
    host: bigip.example.net
    username: admin
    password: "{{ bigip_password }}"
    state: restored
    snapshot: "{{ bigip.snapshot }}"
"""

RETURN = r"""
before:
  description: The selected services as they were.
  returned: always
  type: list
  elements: dict
services:
  description:
    - The selected services as they are after the run; in check mode, as they would be.
    - After a failed change, as they are now; empty if they could not be read again.
    - Sorted by address and port.
  returned: always
  type: list
  elements: dict
  contains:
    id: {description: The virtual server's full path., type: str, sample: /Common/vs_ikev2_500}
    address: {description: "The virtual address, with its route domain (V(%2)) if shown; a network with its mask.", type: str, sample: 203.0.113.10}
    port: {description: The UDP port., type: int}
    protocol: {description: The protocol., type: str}
    enabled:
      description:
        - Whether the virtual server is enabled. This is never changed.
        - With O(state=gathered), in check mode and on one of two units, also whether its virtual address is switched on. A change to a lone
          device does not read that.
      type: bool
    source_preserved: {description: Whether the VPN servers see the client's own address., type: bool}
    value: {description: "Source address translation, as V(none), V(automap), or a dictionary with C(type) and C(pool).", type: raw, sample: automap}
    servers:
      description:
        - The VPN servers behind the service, each with C(address), C(port) and C(gateways), the addresses of this device of which one has to be the
          server's default gateway.
        - Read with O(state=gathered) and when there is something to change. Otherwise the list is empty, which saves requests.
      type: list
      elements: dict
      sample: [{address: 10.10.0.11, port: 500, gateways: [10.10.0.1]}]
changes:
  description:
    - What was changed, one entry for each setting. In check mode, what would change. With O(state=gathered), what V(preserved) would change.
    - After a failure, what is still changed, or may be if RV(final_state) is V(unknown).
    - C(id) is the virtual server's full path, C(setting) is C(snat).
  returned: always
  type: list
  elements: dict
  sample:
    - id: /Common/vs_ikev2_500
      scope: service
      setting: snat
      before: automap
      after: none
final_state:
  description:
    - The state of the device when the task ends, V(unchanged), V(changed), V(rolled_back) after a failed change, or V(unknown) if it could not be read again.
    - In check mode and with O(state=gathered), it is V(unchanged).
  returned: always
  type: str
  sample: changed
findings:
  description:
    - What an administrator should know about the services and the device, each with C(code), C(severity), C(object), C(message) and C(remedy).
      C(docs/findings.md) lists the codes.
    - The severity is V(blocker), V(warning) or V(info). A blocker stops a change, unless O(accept) lists its code.
  returned: always
  type: list
  elements: dict
own_addresses:
  description:
    - The addresses from which the device itself may send packets to the VPN servers, as far as the run read them, sorted, without route or traffic domains.
    - The addresses of the UDP virtual servers, the self IPs, and the translation addresses of global SNATs. If a selected virtual server has a SNAT pool,
      or O(snapshot) restores one, the members of all SNAT pools as well, with O(state=gathered) and in check mode.
    - If nothing has to change and O(state) is not V(gathered), only the addresses of the virtual servers are read.
  returned: always
  type: list
  elements: str
  sample: [10.10.0.1, 10.10.0.5, 203.0.113.10]
snapshot:
  description: What O(state=restored) needs to restore the state before this run. It holds no secrets.
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
  description: The number of HTTP requests sent to the device.
  returned: always
  type: int
  sample: 3
progress:
  description:
    - What the task waited for, and what the device reported in the meantime, as with O(sync_group) or while it was busy.
  returned: when the task had to wait
  type: list
  elements: str
  sample:
    - "Sync to /Common/dg_failover: Changes Pending after 0 s."
    - "Sync to /Common/dg_failover: In Sync after 6 s."
undone:
  description: Whether RV(final_state) is V(unchanged) or V(rolled_back).
  returned: on failure
  type: bool
version:
  description: The device's software version.
  returned: when it was read along with something else, as with O(state=gathered) and when there is something to change
  type: str
  sample: 17.1.1
"""

from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.adapter import BigIp
from ansible_collections.aovpn.ikev2.plugins.module_utils._module import run_module


def main() -> None:
    """Run the module."""
    run_module(BigIp)


if __name__ == "__main__":
    main()
