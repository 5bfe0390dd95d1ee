#!/usr/bin/python
# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation and a short main: the work is done in module_utils."""

from __future__ import annotations

DOCUMENTATION = r"""
module: netscaler_usip
short_description: Keep the clients' source address on Citrix ADC (NetScaler) service groups for IKEv2
version_added: 0.1.0
author:
  - The aovpn.ikev2 authors (@aovpn)
description:
  - Enables Use Client IP (C(usip)) on the service groups and services for UDP 500 and UDP 4500 of Always On VPN, and the mode
    Use Subnet IP (USNIP), so that the Windows RRAS servers see each client's own address.
  - Without Use Client IP, Windows sees all clients as one address, and its limit of IPsec security associations per address makes new
    connections fail with error 809.
  - Finds the service groups through the virtual servers they are bound to. The number of requests does not grow with the number of service groups.
  - Further addresses of a virtual server (a range, an IP set) count like its first. What is behind content switching, or behind a backup virtual server, is
    changed only when it is named in O(services); a finding reports it.
  - Never touches the global mode Use Source IP (USIP).
options:
  host:
    description:
      - The appliance's management address (NSIP, or the CLIP of a cluster) or host name.
      - If not given, the environment variable E(NETSCALER_NSIP) is used.
    type: str
    required: true
    aliases: [nsip]
  port:
    description: The TCP port of the management API. If not given, the environment variable E(NETSCALER_PORT) is used.
    type: int
    default: 443
  validate_certs:
    description:
      - Whether to verify the device's TLS certificate. Leave this on, and use O(ca_path) for a private certificate authority.
      - If not given, the environment variable E(NETSCALER_VALIDATE_CERTS) is used.
    type: bool
    default: true
  ca_path:
    description:
      - A file with the certificates (PEM) of the authorities to trust. If not given, the environment variable E(NETSCALER_CA_PATH) is used.
      - With neither, the authorities that Python trusts are used.
    type: path
  username:
    description:
      - The user. If not given, the environment variable E(NETSCALER_NITRO_USER) is used.
      - Required, with O(password), unless O(nitro_auth_token) is given.
    type: str
    aliases: [nitro_user]
  password:
    description: The user's password. If not given, the environment variable E(NETSCALER_NITRO_PASS) is used.
    type: str
    aliases: [nitro_pass]
  nitro_auth_token:
    description:
      - The ID of a session that is already open, such as one opened by C(netscaler.adc.login). It is used instead of logging in, and left open.
      - If not given, the environment variable E(NETSCALER_NITRO_AUTH_TOKEN) is used.
      - If O(username) and O(password) are given as well, the module opens a session of its own when this one has expired.
      - Mutually exclusive with O(admin_partition), because the session would be left in a different partition.
    type: str
  services:
    description:
      - The service groups or services to select, by name. One that is not bound to a virtual server is selected only if it is named here.
      - It is an error if one of them does not exist; nothing is ever created.
      - Mutually exclusive with O(addresses).
    type: list
    elements: str
  subnet_ip_mode:
    description: Whether to enable the mode Use Subnet IP (USNIP) if it is off. It is never disabled, except to restore O(snapshot).
    type: bool
    default: true
  use_proxy_port:
    description:
      - Whether the device may replace the client's source port (C(useproxyport)) on the selected services. If not given, that setting is left alone.
      - The device accepts it only while Use Client IP is on.
      - If given, RV(services[].value) is a dictionary with C(usip) and C(useproxyport), so that RV(snapshot) restores both.
    type: bool
  admin_partition:
    description:
      - The admin partition to work in. If not given, it is the one the user logs in to.
      - Mutually exclusive with O(nitro_auth_token).
    type: str
extends_documentation_fragment:
  - aovpn.ikev2._device
  - aovpn.ikev2._device.save
seealso:
  - module: aovpn.ikev2.bigip_snat
  - module: aovpn.ikev2.loadmaster_transparency
"""

EXAMPLES = r"""
- name: Read every IKEv2 pair of a Citrix ADC
  aovpn.ikev2.netscaler_usip:
    host: adc.example.net
    username: auditor
    password: "{{ adc_auditor_password }}"
    state: gathered
  register: adc

- name: Keep the clients' addresses
  aovpn.ikev2.netscaler_usip:
    host: adc.example.net
    username: nsroot
    password: "{{ adc_password }}"
    addresses:
      - 203.0.113.20
    return_path:
      10.10.0.11: 10.10.0.1
      10.10.0.12: 10.10.0.1
  register: adc

- name: Do the same in a session that other tasks open and close
  aovpn.ikev2.netscaler_usip:
    host: adc.example.net
    nitro_auth_token: "{{ adc_login.sessionid }}"
    return_path: {10.10.0.11: 10.10.0.1, 10.10.0.12: 10.10.0.1}

- name: Restore what the previous task changed
  aovpn.ikev2.netscaler_usip:
    host: adc.example.net
    username: nsroot
    password: "{{ adc_password }}"
    state: restored
    snapshot: "{{ adc.snapshot }}"
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
    id: {description: The name of the service group or service that carries the setting., type: str, sample: sg_ikev2_500}
    address: {description: The address of the virtual server. Empty for a service group that is not bound to one., type: str, sample: 203.0.113.10}
    port: {description: The UDP port., type: int}
    protocol: {description: "The protocol, V(udp) or V(any).", type: str}
    enabled: {description: Whether the service group or service and its virtual server are enabled. This is never changed., type: bool}
    source_preserved: {description: Whether the VPN servers see the client's own address., type: bool}
    value:
      description: Use Client IP (C(usip)), V(YES) or V(NO). With O(use_proxy_port), a dictionary with C(usip) and C(useproxyport).
      type: raw
      sample: "NO"
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
    - C(id) is the service group or service and C(setting) is C(usip) or C(useproxyport). With the C(scope) V(device), they are O(host) and C(USNIP).
  returned: always
  type: list
  elements: dict
  sample:
    - id: sg_ikev2_500
      scope: service
      setting: usip
      before: "NO"
      after: "YES"
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
    - The addresses of the UDP virtual servers, of the device itself (V(NSIP), V(SNIP), V(VIP) and others; IPv6 addresses if a server has one), and the
      sources of the net profiles of the selected services and their virtual servers, including those in IP sets.
    - If nothing has to change and O(state) is not V(gathered), only the addresses of the virtual servers are read.
  returned: always
  type: list
  elements: str
  sample: [10.10.0.1, 192.0.2.20, 203.0.113.20]
snapshot:
  description: What O(state=restored) needs to restore the state before this run. It holds no secrets.
  returned: when the device could be read
  type: dict
  sample:
    platform: netscaler
    host: adc.example.net
    services:
      - id: sg_ikev2_4500
        value: "NO"
      - id: sg_ikev2_500
        value: "NO"
    device:
      usnip: false
requests:
  description: The number of HTTP requests sent to the device.
  returned: always
  type: int
  sample: 3
progress:
  description:
    - What the task waited for, such as a save while another one was in progress.
  returned: when the task had to wait
  type: list
  elements: str
  sample:
    - "Save: another is in progress, tried again after 1 s."
undone:
  description: Whether RV(final_state) is V(unchanged) or V(rolled_back).
  returned: on failure
  type: bool
"""

from ansible_collections.aovpn.ikev2.plugins.module_utils._module import run_module
from ansible_collections.aovpn.ikev2.plugins.module_utils._netscaler.adapter import NetScaler


def main() -> None:
    """Run the module."""
    run_module(NetScaler)


if __name__ == "__main__":
    main()
