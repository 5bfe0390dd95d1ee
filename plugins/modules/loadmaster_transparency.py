#!/usr/bin/python
# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Thin: carries options to the engine and its result back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: loadmaster_transparency
short_description: Keep the clients' source address on Progress Kemp LoadMaster virtual services for IKEv2
version_added: 0.1.0
author:
  - The aovpn.ikev2 authors (@aovpn)
description:
  - Switches on Transparency on the UDP 500 and UDP 4500 virtual services of Always On VPN, so that the Windows RRAS servers see each
    client's own address.
  - Without it, Windows sees all clients as one address, and its limit of IPsec security associations per address makes new connections
    fail with error 809.
  - A virtual service on layer 4 keeps the client's address already, whatever its flag says, and is left alone.
  - The LoadMaster's API has to be enabled; that is never done here.
  - The LoadMaster drops connections when it is asked too often, so no more than 25 requests are made in three seconds. That is noticed
    only where many pairs are changed at once.
options:
  host:
    description: The LoadMaster's management address or host name. If not given, the environment variable E(LOADMASTER_HOST) is used.
    type: str
    required: true
  username:
    description: The user. If not given, the environment variable E(LOADMASTER_USERNAME) is used.
    type: str
  password:
    description: The user's password. If not given, the environment variable E(LOADMASTER_PASSWORD) is used.
    type: str
  api_key:
    description:
      - An API key, instead of O(username) and O(password); it goes before them where both are given.
      - If not given, the environment variable E(LOADMASTER_API_KEY) is used.
    type: str
  api_version:
    description:
      - Which version of the API to use.
      - With V(auto), V(2) is tried, and V(1) used where the device does not have it. That may take one more request.
      - Version V(1) takes O(client_cert), and is used wherever that is given.
    type: str
    choices: [auto, "1", "2"]
    default: auto
  client_cert:
    description:
      - A file with a client certificate in PEM format, instead of O(username) and O(password) or beside them.
      - Only version V(1) of the API knows client certificates.
    type: path
  client_key:
    description: A file with the key of O(client_cert), where that does not hold it itself.
    type: path
  gateway:
    description:
      - The LoadMaster's address that is the servers' default gateway.
      - Only used for servers in whose subnet the LoadMaster names no address, and in a high-availability pair no shared address.
    type: str
  services:
    description:
      - The virtual services meant, each as V(address:port/udp) (an IPv6 address in brackets), by its index, or by its nickname where only one has it.
      - A service on several ports or addresses is found by each of them; results and snapshots name it by the first.
      - An index is better not written down, since the LoadMaster may number its services anew.
      - It is an error when one of them is not there; nothing is ever created.
      - Excludes O(addresses).
    type: list
    elements: str
extends_documentation_fragment:
  - aovpn.ikev2._device
seealso:
  - module: aovpn.ikev2.bigip_snat
  - module: aovpn.ikev2.netscaler_usip
"""

EXAMPLES = r"""
- name: Look at every IKEv2 pair of a LoadMaster
  aovpn.ikev2.loadmaster_transparency:
    host: loadmaster.example.net
    api_key: "{{ loadmaster_api_key }}"
    state: gathered
  register: loadmaster

- name: Keep the clients' addresses, where the servers' answers come back through the LoadMaster
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

- name: The same with a client certificate
  aovpn.ikev2.loadmaster_transparency:
    host: loadmaster.example.net
    client_cert: /etc/ansible/loadmaster.pem
    client_key: /etc/ansible/loadmaster.key
    addresses:
      - 203.0.113.30
    return_path:
      10.10.0.11: 10.10.0.1
      10.10.0.12: 10.10.0.1

- name: Put back what the task before has changed
  aovpn.ikev2.loadmaster_transparency:
    host: loadmaster.example.net
    username: bal
    password: "{{ loadmaster_password }}"
    state: restored
    snapshot: "{{ loadmaster.snapshot }}"
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
      description: The virtual service's address, port and protocol.
      type: str
      sample: 203.0.113.30:500/udp
    address:
      description: The virtual address.
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
      description: Whether the VPN servers see the client's own address, by the flag or because the service is on layer 4.
      type: bool
    value:
      description: Transparency, as the flag says.
      type: raw
      sample: false
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
    platform: loadmaster
    host: loadmaster.example.net
    services:
      - id: 203.0.113.30:4500/udp
        value: false
      - id: 203.0.113.30:500/udp
        value: false
    device: {}
requests:
  description: How many HTTP requests were sent to the device.
  returned: always
  type: int
  sample: 6
undone:
  description:
    - Whether everything on the device is as it was before the run, because nothing had been changed yet or because it was put back.
  returned: on failure
  type: bool
  sample: true
"""

from ansible_collections.aovpn.ikev2.plugins.module_utils._loadmaster.adapter import LoadMaster
from ansible_collections.aovpn.ikev2.plugins.module_utils._module import Rules, Spec, credential, run_module

SPEC: Spec = {
    "host": credential("LOADMASTER_HOST"),
    "username": credential("LOADMASTER_USERNAME", required=False),
    "password": credential("LOADMASTER_PASSWORD", required=False, secret=True),
    "api_key": credential("LOADMASTER_API_KEY", required=False, secret=True),
    "api_version": {"type": "str", "choices": ["auto", "1", "2"], "default": "auto"},
    "client_cert": {"type": "path"},
    "client_key": {"type": "path"},
    "gateway": {"type": "str"},
}
RULES: Rules = {
    "required_one_of": [("api_key", "username", "client_cert")],
    "required_together": [("username", "password")],
    "required_by": {"client_key": "client_cert"},
}


def main() -> None:
    """Run the module."""
    run_module(
        SPEC,
        lambda endpoint, options: LoadMaster(
            endpoint,
            **{name: options[name] for name in ("username", "password", "api_key", "gateway")},
            api_version=None if options["api_version"] == "auto" else int(options["api_version"]),
        ),
        **RULES,
    )


if __name__ == "__main__":
    main()
