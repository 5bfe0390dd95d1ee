#!/usr/bin/python
# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documents the action plugin of the same name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rras_default_gateway
short_description: Make a load balancer the default gateway of a Windows RRAS server
version_added: 0.1.0
author:
  - The aovpn.ikev2 authors (@aovpn)
description:
  - Once a load balancer keeps the clients' source addresses, the VPN servers' replies have to go back through it, or every client is cut off.
    This module makes an address of the load balancer the server's IPv4 default gateway.
  - Management connections (Remote Desktop among them) that are established at that moment, DNS servers, domain controllers, RADIUS servers and
    O(preserve_routes) that use the old default route first get a route of their own via the old gateway. Execution nodes and jump hosts that are not
    connected then belong in O(preserve_routes). The route to a public address that is only known from such a connection is not made persistent.
  - Before the change, a scheduled task is created on the server that restores the old routes after O(rollback_timeout) and at the next start, and retries
    every minute if that fails. Then routes are changed in the active store only, the default routes by a second task. They become persistent, and the
    first task is removed, once Ansible has reached the server again. So if the connection or the controller is lost, or the job is cancelled, the server
    becomes reachable again.
  - A peer or a prefix that has no such route later, because it is new, gets one in the next run.
  - The new gateway has to answer for its address, which the server asks for on that interface before the change and again before it is confirmed. It is not
    tested whether the gateway forwards anything, unless O(probe) is given.
  - If the new gateway is not confirmed, the task fails, and RV(final_state) is the state of the server.
  - O(state=restored) works in the same way. It restores all IPv4 default routes of both stores, and of the other routes only those that this module
    has added since, so other people's routes are never removed.
  - If Group Policy sets an execution policy that might stop the rollback, a scheduled task C(aovpn.ikev2 test) tests it before anything changes
    (finding V(script_policy)).
  - If an interrupted run has left an unfinished change, the module waits for its rollback. If the server answers, but that rollback does not run, the task
    fails and says how to clean up; one of version 0.1.0 is carried out instead. Whenever it waits, it says on the terminal for what, and how long
    at most.
options:
  gateway:
    description:
      - The new default gateway, an IPv4 address in a subnet of the server. Required with O(state=present).
      - With O(state=gathered), RV(changes) lists what O(state=present) would change to reach it.
    type: str
  accept:
    description: Codes of blockers to override, such as V(internal_routes_lost).
    type: list
    elements: str
    default: []
  snapshot:
    description:
      - The RV(before) or RV(after) of an earlier run on the same server. Required with O(state=restored).
      - If the server had no default route or several, that is restored, too.
    type: dict
  rollback_timeout:
    description:
      - After how many seconds the server restores the old default gateway by itself, from 5 to 3600. The new one has to be confirmed in three quarters of
        that time.
      - Allow for the connection's own time-outs. With winrm, they are about a minute.
    type: int
    default: 180
  state:
    description:
      - V(present) sets the default gateway. V(restored) restores the routes of O(snapshot). V(gathered) only reads.
    type: str
    choices: [present, restored, gathered]
    default: present
notes:
  - Change one server at a time, with C(serial=1).
  - Only IPv4 is managed. IPv6 default routes are reported as the finding V(ipv6_default_route).
  - The user has to be an administrator. Works with the connections winrm, psrp and ssh. Only winrm and psrp have been tested, with a stand-in for Windows.
  - The registry key C(HKLM:\SOFTWARE\aovpn.ikev2) lists the added routes by destination, gateway and interface, and the gateways that were replaced.
  - The scheduled tasks C(aovpn.ikev2 rollback) and C(aovpn.ikev2 apply) exist only during a change, and C(aovpn.ikev2 test) only during a test.
    They carry their own text and run no file.
extends_documentation_fragment:
  - aovpn.ikev2._device.server
  - aovpn.ikev2._device.gateway
seealso:
  - module: ansible.windows.win_route
  - module: aovpn.ikev2.rras_ike_limit
  - module: aovpn.ikev2.bigip_snat
  - module: aovpn.ikev2.netscaler_usip
  - module: aovpn.ikev2.loadmaster_transparency
"""

EXAMPLES = r"""
- name: Read the default gateway
  aovpn.ikev2.rras_default_gateway:
    state: gathered
  register: gateway

- name: Send replies through the load balancer
  aovpn.ikev2.rras_default_gateway:
    gateway: 10.10.0.1
    preserve_routes:
      - 192.168.0.0/16
  register: gateway

- name: Restore the routes
  aovpn.ikev2.rras_default_gateway:
    state: restored
    snapshot: "{{ gateway.before }}"
"""

RETURN = r"""
before:
  description: The server as it was.
  returned: success
  type: dict
  contains:
    gateway: {description: "The preferred default gateway, V(null) if there is none.", type: str, sample: 10.10.0.254}
    default_routes:
      description: All default routes, the preferred one first, each with C(gateway), C(interface), C(metric) and C(persistent).
      type: list
      elements: dict
    default_routes_ipv6: {description: "All IPv6 default routes, each with C(gateway), C(interface) and C(metric).", type: list, elements: dict}
    routes:
      description:
        - All default routes, and the others via a gateway, of both stores, each with C(store), C(destination), C(next_hop), C(interface) and C(metric).
        - Together with C(addresses), this is what O(state=restored) needs.
      type: list
      elements: dict
    addresses: {description: The server's own IPv4 addresses., type: list, elements: str, sample: [10.10.0.11, 192.168.10.11]}
    networks: {description: The same with their prefix lengths., type: list, elements: str, sample: [10.10.0.11/24, 192.168.10.11/24]}
    administrator: {description: Whether the connection's user is an administrator of the server., type: bool}
after:
  description: The server as it is after the run; in check mode, as it would be. The same keys as in RV(before).
  returned: success
  type: dict
plan:
  description:
    - The steps in order, as carried out; in check mode, as they would be. Empty if there is nothing to change.
    - C(action) is V(add) or V(remove), C(store) is V(ActiveStore), V(PersistentStore) or V(both).
  returned: success
  type: list
  elements: dict
  sample: [{action: add, store: ActiveStore, destination: 0.0.0.0/0, next_hop: 10.10.0.1, interface_index: 4, metric: 256}]
findings:
  description:
    - What an administrator should know, in the format of the device modules.
    - If O(state=present) would refuse the change, O(state=gathered) returns the reason as the blocker V(change_refused).
  returned: success
  type: list
  elements: dict
changes:
  description:
    - What was changed. In check mode and with O(state=gathered), what would change. After a failure, what is still changed, or may be if
      RV(final_state) is V(unknown).
    - The default gateway of an interface is one entry, whichever stores it is in. Each route that keeps something on the old gateway is another one.
    - C(id) is the route's prefix, C(setting) is V(NextHop), or V(RouteMetric) if only that differs. A missing route has the value V(null).
  returned: always
  type: list
  elements: dict
  sample: [{id: 0.0.0.0/0, scope: route, setting: NextHop, before: 10.10.0.254, after: 10.10.0.1}]
final_state:
  description:
    - The state of the server when the task ends, V(unchanged), V(rolled_back), V(changed), or V(unknown) if the server no longer answered.
      In that case, its scheduled task restores the old routes.
  returned: always
  type: str
  sample: changed
undone:
  description: Whether RV(final_state) is V(unchanged) or V(rolled_back).
  returned: failure
  type: bool
msg:
  description: Which routes O(state=restored) leaves alone, because others have changed them, which is shown on the terminal as well; or why the task failed.
  returned: when there are such routes, and on failure
  type: str
rolled_back:
  description: Whether the old routes were restored because the new ones were not confirmed. The task has failed then.
  returned: success, and when a change was not confirmed
  type: bool
  sample: false
"""
