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
  - Once a load balancer keeps the clients' source addresses, a VPN server sends its answers to those addresses by its default gateway. They have to pass
    through the load balancer, or every client is cut off. This module makes an address of the load balancer the server's IPv4 default gateway.
  - Reads the server's interfaces and routes, plans on the controller, and changes only what differs.
  - What uses the old default route now and has to keep it (management connections, DNS servers, domain controllers, RADIUS servers, and
    O(preserve_routes)) gets a route of its own by the old gateway first.
  - Before the change, the server gets a scheduled task that restores the old routes after O(rollback_timeout) and at the next start, and tries again every
    minute where that fails. The change is made by a second task, in the active store only, and becomes persistent when Ansible has reached the server
    again. Only then is the first task removed. So a lost connection, a controller that dies at any moment, and a cancelled job leave a server that can
    be reached.
  - Where the new gateway is not confirmed, the task fails, and RV(final_state) says what stands.
  - With O(state=restored), the routes become what they were when O(snapshot) was taken, in the same way. This covers all IPv4 default routes, of both
    stores, and of the other routes exactly those that this module has added since. The server remembers those in its registry, so that a route that
    somebody else has made is never removed.
  - If an interrupted run has left a change that has not ended, the module waits for its rollback.
requirements:
  - netaddr (on the controller)
  - the collection ansible.windows
options:
  gateway:
    description:
      - The new default gateway, an IPv4 address in a subnet of the server. Required with O(state=present).
      - With O(state=gathered), RV(changes) lists what O(state=present) would change to reach it.
    type: str
  interface_alias:
    description: The alias of the interface that the gateway is on. By default, the one interface whose subnet holds it.
    type: str
  mac:
    description: The MAC address of that interface, in any notation.
    type: str
  preserve_routes:
    description: IPv4 prefixes that stay reachable by the default gateway that is replaced.
    type: list
    elements: str
    default: []
  remove_other_defaults:
    description: Whether default routes on other interfaces are removed. Otherwise they are reported as the finding V(other_default_route).
    type: bool
    default: false
  allow_dhcp:
    description: Whether an interface that has its configuration from DHCP may be changed.
    type: bool
    default: false
  snapshot:
    description:
      - What RV(before) or RV(after) was. Required with O(state=restored).
      - A server that had no default route then, or several, has that again. One that was taken from another server is refused.
    type: dict
  rollback_timeout:
    description:
      - After how many seconds the server restores the old default gateway by itself, from 5 to 3600. It has to be confirmed within three quarters of that.
      - Give it time for the connection's own time-outs. Those of winrm are about a minute.
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
  - The user has to be an administrator. Works over the connections winrm, psrp and ssh; it has been tried here with winrm and psrp, against a stand-in.
  - The registry key C(HKLM:\SOFTWARE\aovpn.ikev2) holds which routes were added, as destination, gateway and interface.
  - Scheduled tasks C(aovpn.ikev2 rollback) and C(aovpn.ikev2 apply) and the folder C(aovpn.ikev2) below C(%ProgramFiles%) exist while a change is under way.
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying the server.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
    support: full
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second invocation indicates no change.
    support: full
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

- name: Send answers through the load balancer
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
    gateway:
      description: The default gateway that packets take, or V(null) where there is none.
      type: str
      sample: 10.10.0.254
    default_routes:
      description: All default routes, the one that packets take first. Each with C(gateway), C(interface), C(metric) and C(persistent).
      type: list
      elements: dict
    default_routes_ipv6:
      description: All IPv6 default routes. Each with C(gateway), C(interface) and C(metric).
      type: list
      elements: dict
    routes:
      description:
        - All default routes, and the others by a gateway, of both stores. Each with C(store), C(destination), C(next_hop), C(interface) and C(metric).
        - This is what O(state=restored) needs, beside C(addresses).
      type: list
      elements: dict
    networks:
      description: The server's own IPv4 addresses with their prefix lengths.
      type: list
      elements: str
      sample: [10.10.0.11/24, 192.168.10.11/24]
    administrator:
      description: Whether the connection's user is an administrator of the server.
      type: bool
    addresses:
      description: The server's own IPv4 addresses.
      type: list
      elements: str
      sample: [10.10.0.11, 192.168.10.11]
after:
  description: The server as it is after the run; in check mode, as it would be. The same fields as RV(before).
  returned: success
  type: dict
plan:
  description: The steps that were taken, or would be in check mode, in their order. Empty when there is nothing to change.
  returned: success
  type: list
  elements: dict
  contains:
    action:
      description: Either V(add) or V(remove).
      type: str
      sample: add
    store:
      description: Where the route is changed, one of V(ActiveStore), V(PersistentStore) and V(both).
      type: str
      sample: ActiveStore
    destination:
      description: The route's prefix.
      type: str
      sample: 0.0.0.0/0
    next_hop:
      description: The route's gateway.
      type: str
      sample: 10.10.0.1
    interface_index:
      description: The index of the route's interface.
      type: int
      sample: 4
    metric:
      description: The metric of a route that is added.
      type: int
      sample: 256
findings:
  description:
    - What is worth knowing, as the device modules return it.
    - Where O(state=present) would refuse the change, O(state=gathered) returns the reason as the blocker V(change_refused).
  returned: success
  type: list
  elements: dict
changes:
  description:
    - What was changed. In check mode and with O(state=gathered), what would be changed. After a failure, what stands changed, or may where
      RV(final_state=unknown).
    - The default gateway of an interface is one entry, whichever stores it is in. Each route that keeps something on the old gateway is another one.
      V(null) stands for no route. Where only a metric differs, C(setting) is V(RouteMetric).
  returned: always
  type: list
  elements: dict
  sample: [{id: 0.0.0.0/0, scope: route, setting: NextHop, before: 10.10.0.254, after: 10.10.0.1}]
final_state:
  description:
    - What is true of the server when the task ends, one of V(unchanged), V(rolled_back), V(changed) and V(unknown).
    - V(unknown) means that the server did not answer any more. Its scheduled task restores the old routes.
  returned: always
  type: str
  sample: changed
undone:
  description: Whether the server is as it was, which is so with RV(final_state=unchanged) and RV(final_state=rolled_back).
  returned: failure
  type: bool
rolled_back:
  description: Whether the old routes were restored because the new ones were not confirmed. The task has failed then.
  returned: success, and when a change was not confirmed
  type: bool
  sample: false
"""
