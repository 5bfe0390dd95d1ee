#!/usr/bin/python
# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sends the first message of IKEv2 to addresses, and reports which of them answer."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ikev2_probe
short_description: Probe addresses for IKEv2
version_added: 0.1.0
author:
  - The aovpn.ikev2 authors (@aovpn)
description:
  - Sends an C(IKE_SA_INIT) request, the first message of IKEv2, over UDP to each address, and waits for a response. No tunnel is established.
  - A response, even a refusal such as C(NO_PROPOSAL_CHOSEN), shows that the request reached an IKE daemon, and that the reply came back from the
    probed address. If the VPN servers' replies bypass the load balancer, there is no response.
  - Run it where a client could be. From behind the load balancer or in the servers' own subnet, it proves nothing about clients.
  - A missing response does not fail the task. Check RV(answers).
options:
  addresses:
    description: The IPv4 and IPv6 addresses to probe, all at the same time.
    type: list
    elements: str
    required: true
  port:
    description: The UDP port to probe. On port 4500, the request is preceded by the marker that distinguishes IKE from ESP.
    type: int
    default: 500
  timeout:
    description: How many seconds to wait for a response to each request, up to 60.
    type: float
    default: 2
  attempts:
    description: How often to send the request to an address that has not responded, up to 10. UDP packets get lost.
    type: int
    default: 3
notes:
  - Each response leaves an unfinished negotiation on the server for about 30 seconds. It never becomes a security association.
  - A VPN server may stop responding to an address that has sent too many requests.
  - The source port is any free port, so no privileges are needed.
attributes:
  check_mode:
    description: Never changes anything, and does the same in C(check_mode).
    support: full
  diff_mode:
    description: Changes nothing, so there is nothing to show.
    support: N/A
  idempotent:
    description: Never reports a change.
    support: full
seealso:
  - module: aovpn.ikev2.bigip_snat
  - module: aovpn.ikev2.netscaler_usip
  - module: aovpn.ikev2.loadmaster_transparency
"""

EXAMPLES = r"""
- name: Probe the VPN's address on both ports
  aovpn.ikev2.ikev2_probe:
    addresses:
      - 203.0.113.10
    port: "{{ item }}"
  loop: [500, 4500]
  register: probe
  delegate_to: localhost

- name: Stop if an address does not respond
  ansible.builtin.assert:
    that: probe.results | map(attribute='answers') | flatten | rejectattr('answered') | length == 0
"""

RETURN = r"""
answers:
  description: The result for each address, in the given order.
  returned: success
  type: list
  elements: dict
  contains:
    address: {description: The probed address., type: str, sample: 203.0.113.10}
    answered: {description: "Whether an IKEv2 daemon responded, whatever the response.", type: bool}
    detail:
      description:
        - The response, C(IKE_SA_INIT) if the negotiation could continue, or the name of a notification such as C(NO_PROPOSAL_CHOSEN),
          C(COOKIE) or C(INVALID_KE_PAYLOAD).
        - Without a response, the reason if there is one, such as an ICMP error, or C(no answer).
      type: str
      sample: IKE_SA_INIT
    ms: {description: Milliseconds from the last request to the response; V(null) without one., type: float, sample: 12.3}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.aovpn.ikev2.plugins.module_utils._probe import ask, find


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "addresses": {"type": "list", "elements": "str", "required": True},
            "port": {"type": "int", "default": 500},
            "timeout": {"type": "float", "default": 2},
            "attempts": {"type": "int", "default": 3},
        },
        supports_check_mode=True,
    )
    options = module.params
    for option, least, most in (("port", 1, 65535), ("timeout", 0.1, 60), ("attempts", 1, 10)):
        if not least <= options[option] <= most:
            problem = f"is {options[option]}. It has to be a number from {least} to {most}"
            module.fail_json(msg=f"Option '{option}' {problem}.")
    try:
        probes = [find(address, options["port"]) for address in options["addresses"]]
    except ValueError as error:
        module.fail_json(msg=str(error))
    ask(probes, options["timeout"], options["attempts"])
    module.exit_json(changed=False, answers=[probe.as_dict() for probe in probes])


if __name__ == "__main__":
    main()
