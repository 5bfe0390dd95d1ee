# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The connection that has to be accepted through a new gateway. No input or output."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import netaddr
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Finding
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.errors import PlanError
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.network import ON_LINK, Network


@dataclass(frozen=True)
class Probe:
    """What has to accept a TCP connection. ``host``: an IPv4 address, or a name that the server resolves."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Probe:
        """Read ``host:port``.

        :raises PlanError: if it is something else.
        """
        found = re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9.-]*):(\d{1,5})", text)
        # A host that has only numbers is an address, and has to have all its parts.
        number = found is not None and re.fullmatch(r"[\d.]+", found[1]) is not None
        if (
            not found
            or not 1 <= int(found[2]) <= 65535
            or (number and not netaddr.valid_ipv4(found[1], netaddr.INET_PTON))
        ):
            raise PlanError(
                f"Option 'probe' is {text!r}. It takes a host and a TCP port beyond the gateway, such as 192.0.2.7:443."
            )
        return cls(found[1], int(found[2]))

    def elsewhere(self, network: Network, gateway: str, address: str = "") -> Finding | None:
        """Report that the way to ``address``, by default to the host if that is an address, is not through the gateway."""
        try:
            prefix = netaddr.IPNetwork(netaddr.IPAddress(address or self.host, flags=netaddr.INET_PTON))
        except (ValueError, netaddr.AddrFormatError):
            return None  # a name
        route = network.route_to(prefix)
        if route is not None and route.is_default and route.next_hop == gateway:
            return None
        way = (
            "there is none"
            if route is None
            else f"directly on {network.alias(route.interface_index)}"
            if route.next_hop == ON_LINK
            else f"through {route.next_hop}"
        )
        shown = f"{self} ({address})" if address and address != self.host else str(self)
        return self._finding(
            gateway,
            f"The way to {shown} is not through {gateway}, but {way}, so a connection to it proves nothing.",
            "Give a 'probe' that is beyond the gateway, and in none of 'preserve_routes'.",
        )

    def refused(self, gateway: str) -> Finding:
        """Report that no connection was accepted."""
        return self._finding(
            gateway,
            f"{self} did not accept a connection through {gateway}.",
            "Check that the load balancer forwards what the servers send, and that the host of 'probe' is up. Or add the code to 'accept'.",
        )

    def _finding(self, gateway: str, message: str, remedy: str) -> Finding:
        return Finding("gateway_not_answering", "blocker", gateway, message, remedy)
