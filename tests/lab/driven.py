# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab on top of the data plane: real packets follow the settings of its stand-ins, and real daemons supply what they report."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

from lab.bigip import PROTOCOLS
from lab.core import Entry
from lab.dataplane.plane import Flow, Plane
from lab.dataplane.rules import SERVICES, bigip_services, server_of
from lab.whole import Lab
from lab.windows import Result, WindowsHost

EXTERNAL = 4  # the interface of the lab's Windows hosts in the plane


class DrivenLab(Lab):
    """The lab with a data plane, which has been started.

    - After each request to a load balancer, the plane has the services that it is set to.
    - After each module on a Windows host, and each scheduled task there, its server has the routes in the active store, and the limit
      that IKEEXT has read; where IKEEXT was stopped, its security associations are gone, unless ``stop_drops_sas`` says otherwise.
    - A Windows host's security associations are those of its server.
    - The BIG-IP's connections are the plane's flows, and those that it deletes are forgotten.

    The stand-ins answer on loopback of the host and, with the same inventory, in the plane's namespace ``controller``, from which the services
    can be reached as clients reach them.
    """

    def __init__(self, folder: Path, plane: Plane) -> None:
        super().__init__(folder)
        self.plane = plane
        self._applying = threading.Lock()
        self._flows: list[tuple[Result, Flow]] = []
        self._starts: dict[str, tuple[int, str]] = {}

    def start(self) -> None:
        """Start the stand-ins, and make the plane what they are."""
        for balancer in self.load_balancers:
            balancer.after.append(self._set_services)
        self.bigip.before.append(self._show_connections)
        self.bigip.after.append(self._forget_connections)
        for host in self.servers:
            host.before.append(partial(self._show_associations, host))
            host.after.append(partial(self._set_server, host))
        super().start()
        with self.plane.controller.entered():
            for device in self.devices:
                device.listen(self.authority)
        self._set_services()
        for host in self.servers:
            self._set_server(host)

    def _set_services(self, _entry: Entry | None = None) -> None:
        with self._applying:
            found = []
            for balancer in self.load_balancers:
                with balancer.lock:
                    found += SERVICES[balancer.platform](balancer.state)
            self.plane.set_services(found)

    def address(self, host: WindowsHost) -> str:
        """Return a server's address in the plane."""
        (nic,) = [nic for nic in host.state["nics"] if nic["if_index"] == EXTERNAL]
        return str(nic["address"].split("/")[0])

    def _set_server(self, host: WindowsHost, _entry: Entry | None = None) -> None:
        with host.lock:
            address, state = self.address(host), host.state
            service = state["services"]["IKEEXT"]
            starts, status = service["starts"], service["state"]
            before, was = self._starts.get(host.name, (starts, status))
            self._starts[host.name] = (starts, status)
            self.plane.set_server(address, server_of(state))
            if state["stop_drops_sas"] and (starts > before or (was, status) == ("running", "stopped")):
                self.plane.drop(address)

    def _show_associations(self, host: WindowsHost, _entry: Entry) -> None:
        with host.lock:
            seen = self.plane.sources(self.address(host))
            host.state["sas"] = [
                {"remote_address": source} for source in sorted(seen) for _dummy in range(seen[source])
            ]

    def _show_connections(self, entry: Entry) -> None:
        if entry.path != "/mgmt/tm/sys/connection":
            return
        with self.bigip.lock:
            own = {service.address for service in bigip_services(self.bigip.state)}
            self._flows = [(_connection(flow), flow) for flow in self.plane.flows() if flow.vip in own]
            self.bigip.state["connections"] = [shown for shown, _dummy in self._flows]

    def _forget_connections(self, entry: Entry | None) -> None:
        if entry is None or (entry.method, entry.path) != ("DELETE", "/mgmt/tm/sys/connection"):
            return
        with self.bigip.lock:
            left = self.bigip.state["connections"]
            self.plane.forget(flow for shown, flow in self._flows if shown not in left)


def _connection(flow: Flow) -> Result:
    """Show a flow as the BIG-IP does: cs is the clients' side, ss the servers'."""
    return {
        "csClientAddr": flow.client,
        "csClientPort": flow.client_port,
        "csServerAddr": flow.vip,
        "csServerPort": flow.port,
        "ssClientAddr": flow.source,
        "ssClientPort": flow.source_port,
        "ssServerAddr": flow.server,
        "ssServerPort": flow.port,
        "protocol": PROTOCOLS["udp"],
    }
