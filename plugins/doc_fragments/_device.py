# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation that the device modules share."""

from __future__ import annotations


class ModuleDocFragment:
    """Options and attributes of every device module."""

    DOCUMENTATION = r"""
requirements:
  - requests
  - netaddr
options:
  port:
    description: The TCP port of the device's management API.
    type: int
    default: 443
  validate_certs:
    description: Whether the device's TLS certificate is verified. Leave this on and use O(ca_path) for a private certificate authority.
    type: bool
    default: true
  ca_path:
    description:
      - A file with the certificates (PEM) of the authorities that may have signed the device's certificate.
      - Without it, the authorities that Python knows are trusted.
    type: path
  timeout:
    description: How long to wait for a connection, and for each answer, in seconds.
    type: int
    default: 30
  addresses:
    description:
      - Virtual addresses, IPv4 or IPv6 in any notation. The UDP services of O(ports) at these addresses are meant.
      - An address in another than the default route domain (BIG-IP) or traffic domain (NetScaler) has its number behind it, as in V(203.0.113.10%2).
      - It is an error when one of them has no such service.
      - Excludes O(services). With neither, every IKEv2 pair of the device is meant.
    type: list
    elements: str
  services:
    description:
      - The services meant, by the device's own names.
      - It is an error when one of them is not there; nothing is ever created.
      - Excludes O(addresses).
    type: list
    elements: str
  ports:
    description:
      - The UDP ports that make up a pair. An address that serves only some of them is the finding V(pair_incomplete).
    type: list
    elements: int
    default: [500, 4500]
  state:
    description:
      - With V(preserved), the services keep the client's source address.
      - With V(restored), the services and device settings in O(snapshot) get back what they had; O(addresses) and O(services) do not count then.
      - With V(gathered), nothing is changed and everything is looked at.
    type: str
    choices: [preserved, restored, gathered]
    default: preserved
  snapshot:
    description: What a former run returned as RV(snapshot). Required with O(state=restored), and not taken otherwise.
    type: dict
  return_path:
    description:
      - For each VPN server behind the services, by its address, the address of its default gateway.
      - Where a service starts to keep the client's address, the answers of its servers have to come back through this device, or every client is cut off.
        So each server's gateway has to be one of RV(services[].servers[].gateways).
      - A server that is not named here is the blocker V(return_path_unverified), a wrong gateway the blocker V(return_path_wrong).
      - The role P(aovpn.ikev2.rras#role) reads the gateways from the servers.
    type: dict
  accept:
    description:
      - Codes of findings with severity V(blocker) that a change may go on in spite of.
      - See RV(findings) for what a finding is. An unknown code is an error.
    type: list
    elements: str
    default: []
notes:
  - A pair is changed as a whole. If one of its services cannot be changed, what this run had changed is put back.
  - Existing flows may keep their translated source address until they have been idle; new ones do not.
  - Run it on the controller, with C(connection=local) or C(delegate_to=localhost).
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
    description: Whether a change is saved, so that it survives a reboot. Nothing is saved when nothing was changed.
    type: bool
    default: true
"""
