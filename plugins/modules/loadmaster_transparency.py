#!/usr/bin/python
# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation and a short main: the work is done in module_utils."""

from __future__ import annotations

DOCUMENTATION = r"""
module: loadmaster_transparency
short_description: Keep the clients' source address on Progress Kemp LoadMaster virtual services for IKEv2
version_added: 0.1.0
author:
  - The aovpn.ikev2 authors (@aovpn)
description:
  - Enables Transparency on the UDP 500 and UDP 4500 virtual services of Always On VPN, so that the Windows RRAS servers see each
    client's own address.
  - Without it, Windows sees all clients as one address, and its limit of IPsec security associations per address makes new connections
    fail with error 809.
  - A layer 4 virtual service already keeps the client's address, whatever its flag says, and is left alone.
  - The LoadMaster's API has to be enabled. This module does not enable it.
  - The LoadMaster drops connections if it gets too many requests, so no more than 25 are sent in three seconds. This is noticeable
    only when many pairs are changed at once.
options:
  host:
    description: The LoadMaster's management address or host name. If not given, the environment variable E(LOADMASTER_HOST) is used.
    type: str
    required: true
  port:
    description: The TCP port of the management API. If not given, the environment variable E(LOADMASTER_PORT) is used.
    type: int
    default: 443
  validate_certs:
    description:
      - Whether to verify the device's TLS certificate. Leave this on, and use O(ca_path) for a private certificate authority.
      - If not given, the environment variable E(LOADMASTER_VALIDATE_CERTS) is used.
    type: bool
    default: true
  ca_path:
    description:
      - A file with the certificates (PEM) of the authorities to trust. If not given, the environment variable E(LOADMASTER_CA_PATH) is used.
      - With neither, the authorities that Python trusts are used.
    type: path
  username:
    description: The user. If not given, the environment variable E(LOADMASTER_USERNAME) is used.
    type: str
  password:
    description: The user's password. If not given, the environment variable E(LOADMASTER_PASSWORD) is used.
    type: str
  api_key:
    description:
      - An API key, instead of O(username) and O(password). If both are given, the key is used.
      - If not given, the environment variable E(LOADMASTER_API_KEY) is used.
    type: str
  api_version:
    description:
      - The version of the API to use.
      - With V(auto), V(2) is tried first, and V(1) is used if the device does not have it. This may take one more request.
      - O(client_cert) needs version V(1), which is used whenever it is given.
    type: str
    choices: [auto, "1", "2"]
    default: auto
  client_cert:
    description:
      - A file with a client certificate in PEM format, instead of O(username) and O(password), or in addition to them.
      - Only version V(1) of the API supports client certificates.
    type: path
  client_key:
    description: A file with the key of O(client_cert), if that file does not contain it.
    type: path
  gateway:
    description:
      - The LoadMaster's address that is the servers' default gateway.
      - Used only for servers in whose subnet the LoadMaster reports no address (in a high-availability pair, no shared address).
    type: str
  services:
    description:
      - The virtual services to select, each as V(address:port/udp) (an IPv6 address in brackets), by its index, or by its nickname if it is unique.
      - A service on several ports or addresses is found by each of them. Results and snapshots name it by the first.
      - Avoid the index in files that you keep, because the LoadMaster may renumber its services.
      - It is an error if one of them does not exist; nothing is ever created.
      - Mutually exclusive with O(addresses).
    type: list
    elements: str
notes:
  - RV(version) is not judged here. L(The vendor's support site,https://support.kemptechnologies.com) lists security notices for LoadMaster releases.
extends_documentation_fragment:
  - aovpn.ikev2._device
seealso:
  - module: aovpn.ikev2.bigip_snat
  - module: aovpn.ikev2.netscaler_usip
"""

EXAMPLES = r"""
- name: Read every IKEv2 pair of a LoadMaster
  aovpn.ikev2.loadmaster_transparency:
    host: loadmaster.example.net
    api_key: "{{ loadmaster_api_key }}"
    state: gathered
  register: loadmaster

- name: Keep the clients' addresses
  aovpn.ikev2.loadmaster_transparency:
    host: loadmaster.example.net
    username: bal
    password: "{{ loadmaster_password }}"
    addresses:
      - 203.0.113.30
    return_path:
      10.10.0.11: 10.10.0.1
      10.10.0.12: 10.10.0.1
  register: loadmaster

- name: Do the same with a client certificate
  aovpn.ikev2.loadmaster_transparency:
    host: loadmaster.example.net
    client_cert: /etc/ansible/loadmaster.pem
    client_key: /etc/ansible/loadmaster.key
    return_path: {10.10.0.11: 10.10.0.1, 10.10.0.12: 10.10.0.1}

- name: Restore what the previous task changed
  aovpn.ikev2.loadmaster_transparency:
    host: loadmaster.example.net
    username: bal
    password: "{{ loadmaster_password }}"
    state: restored
    snapshot: "{{ loadmaster.snapshot }}"
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
    id: {description: "The virtual service's address, port and protocol.", type: str, sample: "203.0.113.30:500/udp"}
    address: {description: The virtual address., type: str, sample: 203.0.113.10}
    port: {description: The UDP port., type: int}
    protocol: {description: The protocol., type: str}
    enabled: {description: Whether the service is enabled. This is never changed., type: bool}
    source_preserved:
      description: Whether the VPN servers see the client's own address, because of the flag or because the service works on layer 4.
      type: bool
    value: {description: The Transparency flag., type: raw, sample: false}
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
    - C(id) is the virtual service's address, port and protocol, C(setting) is C(Transparent).
  returned: always
  type: list
  elements: dict
  sample:
    - id: 203.0.113.30:500/udp
      scope: service
      setting: Transparent
      before: false
      after: true
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
    - The addresses and alternate source addresses of the UDP virtual services, and those of all interfaces, additional and shared ones included.
    - If nothing has to change and O(state) is not V(gathered), only those of the virtual services are read.
  returned: always
  type: list
  elements: str
  sample: [10.10.0.1, 203.0.113.3, 203.0.113.30]
snapshot:
  description: What O(state=restored) needs to restore the state before this run. It holds no secrets.
  returned: when the device could be read
  type: dict
  sample:
    platform: loadmaster
    host: loadmaster.example.net
    services:
      - id: 203.0.113.30:4500/udp
        value: false
      - id: 203.0.113.30:500/udp
        value: false
    device: {}
requests:
  description: The number of HTTP requests sent to the device.
  returned: always
  type: int
  sample: 6
undone:
  description: Whether RV(final_state) is V(unchanged) or V(rolled_back).
  returned: on failure
  type: bool
version:
  description: The device's software version.
  returned: when it was read along with something else, as with O(state=gathered) and when there is something to change
  type: str
  sample: 7.2.61.1
"""

from ansible_collections.aovpn.ikev2.plugins.module_utils._loadmaster.adapter import LoadMaster
from ansible_collections.aovpn.ikev2.plugins.module_utils._module import run_module


def main() -> None:
    """Run the module."""
    run_module(LoadMaster)


if __name__ == "__main__":
    main()
