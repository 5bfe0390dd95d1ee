#!/usr/bin/python
# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documents the action plugin of the same name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rras_ike_limit
short_description: Set how many IKE security associations a Windows RRAS server accepts from one address
version_added: 0.1.0
author:
  - The aovpn.ikev2 authors (@aovpn)
description:
  - If a load balancer hides the clients' source addresses, Windows counts all clients as one address, and refuses new connections above a limit.
    This module sets that limit, the registry value C(IkeNumEstablishedForInitialQuery), for sites that cannot keep the clients' addresses.
  - The service IKEEXT reads the value only when it starts, so it is restarted if it has not read it yet, even if that was left over from an earlier run.
    While tunnels of IKEv2 or L2TP are up, it is restarted only with O(restart_with_sessions). Otherwise the restart stays pending until a later run.
    If it is not known whether tunnels are up, it is not restarted either.
  - A stopped IKEEXT stays stopped, unless a restart by this module failed half-way.
  - Refuses to change a server that is not set up for Routing and Remote Access, or on which running services depend on IKEEXT, because a restart would
    stop them.
options:
  limit:
    description:
      - The limit, a number from 1 to 4294967295. Required with O(state=present).
      - With O(state=gathered), RV(changes) lists what O(state=present) would change to reach it.
    type: int
  restart_with_sessions:
    description: Whether to restart IKEEXT even while tunnels are up, which will probably drop them.
    type: bool
    default: false
  snapshot:
    description:
      - The RV(before) or RV(after) of an earlier run. Required with O(state=restored).
      - Only its C(ike_limit) is used. If the value was absent, it is removed.
    type: dict
  state:
    description:
      - V(present) sets the limit. V(restored) restores the limit of O(snapshot). V(gathered) only reads.
    type: str
    choices: [present, restored, gathered]
    default: present
notes:
  - Change one server at a time, with C(serial=1).
  - The user has to be an administrator. Works with the connections winrm, psrp and ssh. Only winrm and psrp have been tested, with a stand-in for Windows.
  - The registry value C(IkeextRestartOwedSince) in the key C(HKLM:\SOFTWARE\aovpn.ikev2) marks a pending restart.
extends_documentation_fragment:
  - aovpn.ikev2._device.server
attributes:
  idempotent:
    details: A pending restart takes place as soon as no tunnel is up, and is reported as a change.
    support: full
seealso:
  - module: ansible.windows.win_regedit
  - module: ansible.windows.win_service
  - module: aovpn.ikev2.rras_default_gateway
"""

EXAMPLES = r"""
- name: Read the limit, the services and the security associations
  aovpn.ikev2.rras_ike_limit:
    state: gathered
  register: limit

- name: Raise the limit
  aovpn.ikev2.rras_ike_limit:
    limit: 50000
  register: limit

- name: Restore the limit
  aovpn.ikev2.rras_ike_limit:
    state: restored
    snapshot: "{{ limit.before }}"
"""

RETURN = r"""
before:
  description: The server as it was.
  returned: success, and on failure if the server could be read again
  type: dict
  contains:
    ike_limit: {description: "The limit as set, V(null) if the default of Windows applies.", type: int, sample: 50000}
    restart_owed: {description: "Whether a restart of IKEEXT is pending, because the limit has changed since it started.", type: bool}
    restart_marked:
      description: Whether the registry marks a pending restart. The next run removes the mark of one that has taken place.
      type: bool
    now: {description: "The server's time, in UTC.", type: str, sample: "2026-01-05T07:00:00.0000000Z"}
    ikeext_started: {description: "When IKEEXT started, V(null) if it is not running.", type: str, sample: "2026-01-05T06:00:20.0000000Z"}
    sas: {description: The number of IKEv2 security associations by remote address., type: dict, sample: {198.51.100.7: 1}}
    sas_unclear: {description: The same for associations of which the server does not show whether they are IKEv2., type: dict, sample: {}}
    sas_other: {description: "The number of other IKE security associations, of IKEv1 and AuthIP.", type: int, sample: 0}
    tunnels: {description: "The number of IKEv2 connections that are up, V(null) if the RemoteAccess cmdlets failed.", type: int, sample: 12}
    tunnels_other:
      description: The number of connections of other types, by type. Only those of L2TP keep IKEEXT from being restarted, because it serves them as well.
      type: dict
      sample: {Sstp: 3}
    tunnels_stale: {description: "The number of IKEv2 connections that RRAS lists without an IKE security association.", type: int, sample: 0}
    ikev2_ports: {description: "The number of ports for IKEv2, V(null) if the RemoteAccess cmdlets failed.", type: int, sample: 128}
    ikev2_fragmentation:
      description: Whether RRAS fragments IKEv2 messages. Before Windows Server 1803 it never does.
      type: bool
    build: {description: "The build of Windows, V(null) if it could not be read.", type: str, sample: "20348.5020"}
    services: {description: "The services C(IKEEXT) and C(RemoteAccess), each with C(state), C(start) and the running C(dependents).", type: dict}
    administrator: {description: Whether the connection's user is an administrator of the server., type: bool}
after:
  description: The server as it is after the run; in check mode, as it would be. The same keys as in RV(before).
  returned: success, and on failure if the server could be read again
  type: dict
restarted:
  description: Whether IKEEXT was restarted; in check mode, whether it would be.
  returned: success, and on failure if the server could be read again
  type: bool
restart_pending:
  description: Whether a restart of IKEEXT is pending when the task ends; in check mode, whether it would be.
  returned: success, and on failure if the server could be read again
  type: bool
msg:
  description: Why IKEEXT was not restarted, which is shown on the terminal as well; or why the task failed.
  returned: when a restart is pending, and on failure
  type: str
findings:
  description:
    - What an administrator should know, in the format of the device modules. A pending restart is V(restart_owed).
    - If O(state=present) would refuse the change, O(state=gathered) returns the reason as the blocker V(change_refused).
  returned: success, and on failure if the server could be read again
  type: list
  elements: dict
changes:
  description:
    - What was changed. In check mode and with O(state=gathered), what would change. After a failure, what is still changed, or may be if
      RV(final_state) is V(unknown).
    - At most one entry. An absent limit is V(null). A restart of IKEEXT is not in this list.
  returned: always
  type: list
  elements: dict
  sample: [{id: IKEEXT, scope: limit, setting: IkeNumEstablishedForInitialQuery, before: null, after: 50000}]
final_state:
  description: The state of the server when the task ends, V(unchanged), V(changed), or V(unknown) if the server no longer answered.
  returned: always
  type: str
  sample: changed
undone:
  description: Whether RV(final_state) is V(unchanged).
  returned: failure
  type: bool
"""
