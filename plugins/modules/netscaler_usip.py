#!/usr/bin/python
# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Thin: carries options to the engine and its result back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: netscaler_usip
short_description: Keep the clients' source address on Citrix ADC (NetScaler) service groups for IKEv2
version_added: 0.1.0
author:
  - The aovpn.ikev2 authors (@aovpn)
description:
  - Switches on Use Client IP (C(usip)) on the service groups and services that serve UDP 500 and UDP 4500 of Always On VPN, and the mode
    Use Subnet IP (USNIP), so that the Windows RRAS servers see each client's own address.
  - Without Use Client IP, Windows sees all clients as one address, and its limit of IPsec security associations per address makes new
    connections fail with error 809.
  - Finds the service groups through the virtual servers that they are bound to. The number of requests does not grow with the number of service groups.
  - Further addresses of a virtual server (a range, an IP set) count like its first. What is behind content switching, or a backup virtual server, is
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
      - The id of a session that was opened before, such as by C(netscaler.adc.login). It is used in place of a log-in, and left open.
      - If not given, the environment variable E(NETSCALER_NITRO_AUTH_TOKEN) is used.
      - With O(username) and O(password) beside it, one session of the module's own takes its place when it has ended.
      - Excludes O(admin_partition), because the session would be left in another partition than it was in.
    type: str
  services:
    description:
      - The service groups or services meant, by name. One that is bound to no virtual server is meant only when it is named here.
      - It is an error when one of them is not there; nothing is ever created.
      - Excludes O(addresses).
    type: list
    elements: str
  subnet_ip_mode:
    description: Whether to switch on the mode Use Subnet IP (USNIP) where it is off. It is never switched off, except to put back what O(snapshot) says.
    type: bool
    default: true
  use_proxy_port:
    description:
      - Whether the device may replace the client's source port (C(useproxyport)) on the services meant. If not given, that setting is left alone.
      - The device takes it only where Use Client IP is on.
      - If given, RV(services[].value) is a dictionary with C(usip) and C(useproxyport), so that RV(snapshot) puts back both.
    type: bool
  admin_partition:
    description:
      - The admin partition to work in. If not given, it is the one that the user logs in to.
      - Excludes O(nitro_auth_token).
    type: str
extends_documentation_fragment:
  - aovpn.ikev2._device
  - aovpn.ikev2._device.save
seealso:
  - module: aovpn.ikev2.bigip_snat
  - module: aovpn.ikev2.loadmaster_transparency
"""

EXAMPLES = r"""
- name: Look at every IKEv2 pair of a Citrix ADC
  aovpn.ikev2.netscaler_usip:
    host: adc.example.net
    username: auditor
    password: "{{ adc_auditor_password }}"
    state: gathered
  register: adc

- name: Keep the clients' addresses, where the servers' answers come back through the Citrix ADC
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

- name: Do the same in a session that another task has opened, and will close
  aovpn.ikev2.netscaler_usip:
    host: adc.example.net
    nitro_auth_token: "{{ adc_login.sessionid }}"
    return_path:
      10.10.0.11: 10.10.0.1
      10.10.0.12: 10.10.0.1

- name: Put back what the task before has changed
  aovpn.ikev2.netscaler_usip:
    host: adc.example.net
    username: nsroot
    password: "{{ adc_password }}"
    state: restored
    snapshot: "{{ adc.snapshot }}"
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
      description: The name of the service group or service that carries the setting.
      type: str
      sample: sg_ikev2_500
    address:
      description: The virtual address of the virtual server. Empty for a service group that is bound to none.
      type: str
      sample: 203.0.113.10
    port:
      description: The UDP port.
      type: int
      sample: 500
    protocol:
      description: The protocol, V(udp) or V(any).
      type: str
      sample: udp
    enabled:
      description: Whether the service group or service and its virtual server are enabled. That is never changed.
      type: bool
    source_preserved:
      description: Whether the VPN servers see the client's own address.
      type: bool
    value:
      description: Use Client IP (C(usip)), V(YES) or V(NO); with O(use_proxy_port), a dictionary with C(usip) and C(useproxyport).
      type: raw
      sample: "NO"
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
          description: Subnet addresses (SNIPs) of which one has to be the server's default gateway; only those that are enabled and answer ARP.
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
  description: How many HTTP requests were sent to the device.
  returned: always
  type: int
  sample: 3
progress:
  description:
    - What the device was waited for, such as a save while another was in progress.
    - A module can tell that only at its end.
  returned: when the device was waited for
  type: list
  elements: str
  sample:
    - "Save: another is in progress, tried again after 1 s."
undone:
  description:
    - Whether everything on the device is as it was before the run, because nothing had been changed yet or because it was put back.
  returned: on failure
  type: bool
  sample: true
"""

import typing as t

from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Endpoint
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Snapshot
from ansible_collections.aovpn.ikev2.plugins.module_utils._module import SAVE, Rules, Spec, credential, run_module
from ansible_collections.aovpn.ikev2.plugins.module_utils._netscaler.adapter import NetScaler
from ansible_collections.aovpn.ikev2.plugins.module_utils._netscaler.objects import snapshot_has_proxy_port

SPEC: Spec = {
    "host": credential("NETSCALER_NSIP", aliases=["nsip"]),
    "username": credential("NETSCALER_NITRO_USER", aliases=["nitro_user"], required=False),
    "password": credential("NETSCALER_NITRO_PASS", aliases=["nitro_pass"], required=False, secret=True),
    "nitro_auth_token": credential("NETSCALER_NITRO_AUTH_TOKEN", required=False, secret=True),
    "subnet_ip_mode": {"type": "bool", "default": True},
    "use_proxy_port": {"type": "bool"},
    "admin_partition": {"type": "str"},
    **SAVE,
}
RULES: Rules = {
    "required_one_of": [("nitro_auth_token", "username")],
    "required_together": [("username", "password")],
}


def main() -> None:
    """Run the module."""
    run_module(
        SPEC,
        _adapter,
        **RULES,
    )


def _adapter(endpoint: Endpoint, options: dict[str, t.Any]) -> NetScaler:
    names = (
        "username",
        "password",
        "nitro_auth_token",
        "subnet_ip_mode",
        "use_proxy_port",
        "admin_partition",
        "save",
    )
    # What is put back is what the snapshot holds, whatever the other options say.
    snapshot = options["snapshot"] and Snapshot.parse(options["snapshot"]).services.values()
    held = snapshot_has_proxy_port(snapshot) if snapshot else None
    return NetScaler(endpoint, proxy_port_in_value=held, **{name: options[name] for name in names})


if __name__ == "__main__":
    main()
