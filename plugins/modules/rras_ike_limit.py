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
  - Where a load balancer hides the clients' source addresses, all of them count as one address, and Windows refuses new connections from it beyond a limit.
    This sets the registry value C(IkeNumEstablishedForInitialQuery), for those who cannot keep the clients' addresses.
  - The service IKEEXT reads the value when it starts. It is restarted when it does not know of the value, also where an earlier run ended before the restart.
    While tunnels are up, it is not restarted unless O(restart_with_sessions) is true. The restart is pending then, and the next run that may makes it.
  - An IKEEXT that is stopped stays stopped, unless a restart by this module failed half-way.
  - Refuses a server on which Routing and Remote Access is not set up, and one on which running services depend on IKEEXT, which would stop with it.
requirements:
  - netaddr (on the controller)
  - the collection ansible.windows
options:
  limit:
    description:
      - The limit, a number from 1 to 4294967295. Required with O(state=present).
      - With O(state=gathered), RV(changes) lists what O(state=present) would change to reach it.
    type: int
  restart_with_sessions:
    description: Whether IKEEXT is restarted while tunnels are up, which is expected to drop them.
    type: bool
    default: false
  snapshot:
    description:
      - What RV(before) or RV(after) was. Required with O(state=restored).
      - Only its C(ike_limit) is used. A value that was absent becomes absent again.
    type: dict
  state:
    description:
      - V(present) sets the limit. V(restored) restores that of O(snapshot). V(gathered) only reads.
    type: str
    choices: [present, restored, gathered]
    default: present
notes:
  - Change one server at a time, with C(serial=1).
  - The user has to be an administrator. Works over the connections winrm, psrp and ssh; it has been tried here with winrm and psrp, against a stand-in.
  - The registry value C(IkeextRestartOwedSince) of the key C(HKLM:\SOFTWARE\aovpn.ikev2) marks a pending restart, from before the limit is set until IKEEXT
    has been restarted.
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying the server.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
    support: full
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second invocation indicates no change.
    details: A restart that is pending is made as soon as no tunnel is up, and is a change then.
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
  description:
    - The server as it was.
    - C(ike_limit) is the limit as set, V(null) where the system's own default counts. C(restart_owed) says whether IKEEXT does not know of it because it has
      not been restarted since; C(restart_marked), whether the registry marks that. C(now) and C(ikeext_started) are times, in UTC.
    - C(sas) counts IKE security associations by remote address. C(tunnels) and C(ikev2_ports) are active VPN connections and ports for IKEv2, V(null) where
      RemoteAccess could not be asked. C(ikev2_fragmentation) says whether RRAS fragments IKEv2.
    - C(services) has C(IKEEXT) and C(RemoteAccess), each with C(state), C(start) and running C(dependents). C(administrator) says whether the user is one.
  returned: success, and on failure where the server could be read again
  type: dict
  sample: {ike_limit: 50000, restart_owed: false, tunnels: 12, sas: {198.51.100.7: 12}}
after:
  description: The server as it is after the run; in check mode, as it would be. The same fields as RV(before).
  returned: success, and on failure where the server could be read again
  type: dict
restarted:
  description: Whether IKEEXT was restarted, or would be in check mode.
  returned: success, and on failure where the server could be read again
  type: bool
restart_pending:
  description: Whether IKEEXT does not know of the limit when the task ends, or would not in check mode.
  returned: success, and on failure where the server could be read again
  type: bool
msg:
  description: Why IKEEXT was not restarted, or why the task failed.
  returned: where a restart is pending after the run, and on failure
  type: str
findings:
  description:
    - What is worth knowing, as the device modules return it. A pending restart is V(restart_owed).
    - Where O(state=present) would refuse the change, O(state=gathered) returns the reason as the blocker V(change_refused).
  returned: success, and on failure where the server could be read again
  type: list
  elements: dict
changes:
  description:
    - What was changed. In check mode and with O(state=gathered), what would be changed. After a failure, what stands changed, or may where
      RV(final_state=unknown).
    - At most one entry, with V(null) where the value was or is absent. A restart of IKEEXT is not a change in this list, so a task that only makes a
      pending restart is changed and has none.
  returned: always
  type: list
  elements: dict
  sample: [{id: IKEEXT, scope: limit, setting: IkeNumEstablishedForInitialQuery, before: null, after: 50000}]
final_state:
  description:
    - What is true of the server when the task ends, one of V(unchanged), V(changed) and V(unknown).
    - V(unknown) means that the server did not answer any more.
  returned: always
  type: str
  sample: changed
undone:
  description: Whether the server is as it was, which is so with RV(final_state=unchanged).
  returned: failure
  type: bool
"""
