# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation that modules share."""

from __future__ import annotations


class ModuleDocFragment:
    """Options and attributes of the device modules, and of the modules for Windows servers."""

    DOCUMENTATION = r"""
requirements:
  - requests
  - netaddr
options:
  timeout:
    description:
      - How long a request may take in total, from the connection to the last byte of the answer, in seconds. Saving may take 180 seconds in any case.
      - All requests of a task together may take 30 minutes; a rollback and the log-out have 10 minutes more.
    type: int
    default: 30
  addresses:
    description:
      - Virtual addresses, IPv4 or IPv6 in any notation. The UDP services on O(ports) at these addresses are selected.
      - Outside the default route domain (BIG-IP) or traffic domain (NetScaler), append the domain's number, as in V(203.0.113.10%2).
      - It is an error if one of them has no such service.
      - Mutually exclusive with O(services). With neither, every IKEv2 pair on the device is selected.
    type: list
    elements: str
  ports:
    description:
      - The UDP ports that make up a pair. An address that serves only some of them is reported as V(pair_incomplete).
    type: list
    elements: int
    default: [500, 4500]
  state:
    description:
      - With V(preserved), the services keep the client's source address.
      - With V(restored), the services and device settings in O(snapshot) get their values back. O(addresses) and O(services) are ignored.
      - With V(gathered), everything is read and nothing is changed.
    type: str
    choices: [preserved, restored, gathered]
    default: preserved
  snapshot:
    description: The RV(snapshot) of an earlier run. Required with O(state=restored), and an error otherwise.
    type: dict
  return_path:
    description:
      - The default gateway of each VPN server behind the services, by the server's address.
      - When a service starts to keep the client's address, its servers' replies have to come back through this device, or every client is cut off.
        So each server's gateway has to be one of the C(gateways) that RV(services) lists for it.
      - A server that is missing here is the blocker V(return_path_unverified); a wrong gateway is the blocker V(return_path_wrong).
      - The role P(aovpn.ikev2.rras#role) reads the gateways from the servers.
    type: dict
  accept:
    description:
      - Codes of findings with severity V(blocker) to override, see RV(findings).
      - An unknown code is an error.
    type: list
    elements: str
    default: []
notes:
  - A pair is changed as a whole. If one of its services cannot be changed, this run's changes are rolled back.
  - Existing flows may keep their translated source address until they time out. New flows do not.
  - Run it on the controller, with C(connection=local) or C(delegate_to=localhost). It then runs in Ansible's own process, which saves most of the time that
    a task takes, unless the task has C(become), C(async), C(environment) or another Python interpreter.
  - If the task's C(timeout) or Ctrl-C interrupts a change, the change is rolled back first. A second Ctrl-C ends the task at once.
  - A request that a busy device refuses (HTTP status 429, 500, 502, 503 or 504), or whose connection is lost, is sent again up to three times, after 1, 2 and 4
    seconds. Before a change is sent again, the device is read.
  - A change takes a moment, and somebody else may change the same service between the reading and the change. What was read is not read again before the first
    write. After the change, everything that was selected is verified. If somebody else has changed the other half of a pair, this run's half is rolled back.
  - An environment variable without a value counts as not set.
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying the device.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
    support: full
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second invocation indicates no change.
    support: full
"""

    SAVE = r"""
options:
  save:
    description: Whether to save a change, so that it survives a reboot. Nothing is saved if nothing was changed, except with O(save_pending=true).
    type: bool
    default: true
  save_pending:
    description:
      - Whether an earlier run may have been killed between a change and its save. The configuration is then saved even if nothing has to be changed, and the
        finding V(unsaved_change) says so.
      - The playbooks set this where a snapshot says that its run has not finished.
    type: bool
    default: false
"""

    SERVER = r"""
requirements:
  - netaddr (on the controller)
  - the collection ansible.windows
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
"""

    GATEWAY = r"""
options:
  interface_alias:
    description: The alias of the interface that the gateway is on. By default, the one interface whose subnet contains it.
    type: str
  mac:
    description: The MAC address of that interface, in any notation.
    type: str
  preserve_routes:
    description:
      - IPv4 prefixes that keep using the old default gateway, such as those of internal networks. An empty list says that there are none.
      - About 40 of them can get a route in one run, because what undoes it has to fit into one command line of the server.
      - A route that is missing is added whenever that is seen, also if the gateway was changed earlier; the server remembers the gateway that it had.
        If it does not, that is the finding V(internal_routes_lost).
      - Without this option, a change that takes a default route away from what uses it has the blocker V(internal_routes_lost).
    type: list
    elements: str
  probe:
    description:
      - A host and a TCP port beyond the new gateway, such as V(192.0.2.7:443). The host is an IPv4 address, or a name that the server resolves.
      - Before the change is confirmed, the server opens a connection to it, and its route has to be the new default route. If nothing accepts it, the change is
        rolled back (V(gateway_not_answering)). Without this option, only the gateway itself has to answer.
    type: str
  keep_network_category:
    description:
      - Whether a private network on the interface stays private behind the new gateway. Windows knows a network that is not a domain's by its gateway's MAC
        address, and may treat it as a new, public one. The firewall's rule for WinRM then lets only the local subnet in, so that the change is rolled back.
      - Without it, that risk is reported as the finding V(firewall_profile), if somebody manages the server through that interface from another subnet,
        and the change is confirmed a minute later (a third of the time after which it is rolled back, if that is less), when Windows knows the network.
    type: bool
    default: false
  remove_other_defaults:
    description: Whether to remove default routes on other interfaces. Otherwise they are reported as the finding V(other_default_route).
    type: bool
    default: false
  allow_dhcp:
    description: Whether an interface configured by DHCP may be changed.
    type: bool
    default: false
"""
