#!/usr/bin/python
# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sends the first message of IKEv2 to addresses, and tells who answers."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ikev2_probe
short_description: Ask addresses for IKEv2, and see whether they answer
version_added: 0.1.0
author:
  - The aovpn.ikev2 authors (@aovpn)
description:
  - Sends an C(IKE_SA_INIT) request, the first message of IKEv2, by UDP to each address, and waits for what comes back. Nobody is authenticated, no
    tunnel is made.
  - An answer, also a refusal such as C(NO_PROPOSAL_CHOSEN), shows that the request reached an IKE daemon, and that the answer found its way back
    from the address that was asked. A load balancer whose VPN servers answer past it gives no answer.
  - It asks from the host that the task runs on, so that host has to be where a client could be. From a network behind the load balancer, or from
    the servers' own subnet, it proves nothing about clients.
  - No answer does not fail the task. Judge RV(answers).
options:
  addresses:
    description: The IPv4 and IPv6 addresses to ask. All are asked at the same time.
    type: list
    elements: str
    required: true
  port:
    description:
      - The UDP port to ask.
      - On port 4500, the request stands behind the marker that tells IKE from ESP there. Most servers answer on it as they do on 500.
    type: int
    default: 500
  timeout:
    description: How many seconds to wait for an answer, each time, up to 60.
    type: float
    default: 2
  attempts:
    description: How often to send the request to an address that has not answered, up to 10. UDP gets lost.
    type: int
    default: 3
notes:
  - Each answered probe leaves an unfinished negotiation on its server for as long as that waits for the next message, some 30 seconds. It
    never becomes a security association.
  - A VPN server may keep silent towards addresses of which it has had too many requests. That is what the probe is to show.
  - The source port is any free one, not 500, so no privileges are needed.
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
- name: Ask the VPN's address for IKEv2, on both ports
  aovpn.ikev2.ikev2_probe:
    addresses:
      - 203.0.113.10
    port: "{{ item }}"
  loop: [500, 4500]
  register: probe
  delegate_to: localhost

- name: Stop where nobody answers
  ansible.builtin.assert:
    that: probe.results | map(attribute='answers') | flatten | rejectattr('answered') | length == 0
"""

RETURN = r"""
answers:
  description: What came of each address, in the order in which they were given.
  returned: success
  type: list
  elements: dict
  contains:
    address:
      description: The address that was asked.
      type: str
      sample: 203.0.113.10
    answered:
      description: Whether an IKEv2 daemon answered, with whatever it said.
      type: bool
    detail:
      description:
        - What the answer was, C(IKE_SA_INIT) where the negotiation could go on, or the name of a notification such as C(NO_PROPOSAL_CHOSEN),
          C(COOKIE) or C(INVALID_KE_PAYLOAD).
        - Without an answer, what came instead, such as an ICMP error, or C(no answer).
      type: str
      sample: IKE_SA_INIT
    ms:
      description: Milliseconds from the last request that was sent to the answer; V(null) without one.
      type: float
      sample: 12.3
"""

import contextlib
import ipaddress
import os
import selectors
import socket
import time
import typing as t
from dataclasses import dataclass, field

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.aovpn.ikev2.plugins.module_utils._ike import NAT_T_PORT, NON_ESP_MARKER, read_answer, sa_init


@dataclass
class Probe:
    """One address that is asked, at ``place`` as sockets have it. ``ms`` is set by the answer."""

    address: str
    family: int
    place: tuple[t.Any, ...]
    detail: str = "no answer"
    ms: float | None = None
    spi: bytes = field(default_factory=lambda: os.urandom(8))

    def open(self) -> bool:
        """Connect, so that only the address that was asked can answer, and ICMP errors are heard."""
        self.marker = NON_ESP_MARKER if self.place[1] == NAT_T_PORT else b""
        self.request = self.marker + sa_init(self.spi)
        self.socket = socket.socket(self.family, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        return self._attempt(self.socket.connect, self.place) is not OSError

    def send(self) -> None:
        """Send the request, the same each time, as the protocol wants it."""
        self.sent = time.monotonic()
        self._attempt(self.socket.send, self.request)

    def receive(self) -> bool:
        """Take what has come, and say whether it was the answer."""
        data = self._attempt(self.socket.recv, 65535)
        ours = isinstance(data, bytes) and data.startswith(self.marker)
        if ours and (said := read_answer(data[len(self.marker) :], self.spi)):
            self.detail, self.ms = said, round(1000 * (time.monotonic() - self.sent), 1)
        return self.ms is not None

    def _attempt(self, action: t.Callable[[t.Any], t.Any], argument: t.Any) -> t.Any:
        """Do something with the socket; OSError: the network says no, which is noted."""
        try:
            return action(argument)
        except BlockingIOError:
            return None
        except OSError as error:
            self.detail = f"no answer: {error.strerror}"
            return OSError

    def as_dict(self) -> dict[str, t.Any]:
        """Give what the module returns of it."""
        return {"address": self.address, "answered": self.ms is not None, "detail": self.detail, "ms": self.ms}


def find(address: str, port: int) -> Probe:
    """Make the probe of an address; ValueError: it is not one."""
    try:
        plain = str(ipaddress.ip_address(address.strip()))
        place = socket.getaddrinfo(plain, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)[0]
    except (ValueError, OSError) as error:
        raise ValueError(
            f"Option 'addresses' has '{address}', which is not an IPv4 or IPv6 address of this host's networks."
        ) from error
    return Probe(address, place[0], place[4])


def ask(probes: list[Probe], timeout: float, attempts: int) -> None:
    """Ask all at the same time, ``attempts`` times, each time those that have not answered."""
    with selectors.DefaultSelector() as waiting, contextlib.ExitStack() as opened:
        for probe in probes:
            connected = probe.open()
            opened.enter_context(probe.socket)
            if connected:
                waiting.register(probe.socket, selectors.EVENT_READ, probe)
        for _dummy in range(attempts):
            for key in waiting.get_map().values():
                key.data.send()
            deadline = time.monotonic() + timeout
            while waiting.get_map() and (left := deadline - time.monotonic()) > 0:
                for key, _dummy in waiting.select(left):
                    if key.data.receive():
                        waiting.unregister(key.fileobj)


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
            problem = f"is {options[option]}, and has to be a number from {least} to {most}"
            module.fail_json(msg=f"Option '{option}' {problem}.")
    try:
        probes = [find(address, options["port"]) for address in options["addresses"]]
    except ValueError as error:
        module.fail_json(msg=str(error))
    ask(probes, options["timeout"], options["attempts"])
    module.exit_json(changed=False, answers=[probe.as_dict() for probe in probes])


if __name__ == "__main__":
    main()
