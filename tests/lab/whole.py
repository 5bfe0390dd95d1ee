# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole lab: three load balancers and two VPN servers, started and stopped as one."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import yaml

from lab.bigip import BigIp
from lab.core import CertificateAuthority, Device, Entry, copied
from lab.loadmaster import LoadMaster
from lab.netscaler import NetScaler
from lab.shell import obstacle
from lab.system import find_value
from lab.windows import IKE_LIMIT, IKEEXT_KEY, WindowsHost


class Lab:
    """The stand-ins, an inventory that reaches them, and their logs. ``folder`` takes everything that is written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bigip = BigIp("bigip")
        self.netscaler = NetScaler("netscaler")
        self.loadmaster = LoadMaster("loadmaster")
        self.rras1 = WindowsHost("rras1", 1)
        self.rras2 = WindowsHost("rras2", 2)

    @property
    def load_balancers(self) -> list[Device]:
        """Return the load balancers."""
        return [self.bigip, self.netscaler, self.loadmaster]

    @property
    def servers(self) -> list[WindowsHost]:
        """Return the VPN servers."""
        return [self.rras1, self.rras2]

    @property
    def devices(self) -> list[Device]:
        """Return all stand-ins."""
        return [*self.load_balancers, *self.servers]

    @property
    def ca(self) -> Path:
        """Return the file with the certificate authority that signed for all of them."""
        return self.folder / "ca.pem"

    @property
    def inventory(self) -> Path:
        """Return the inventory file."""
        return self.folder / "inventory.yml"

    @property
    def logfile(self) -> Path:
        """Return the request log, one JSON object a line."""
        return self.folder / "requests.jsonl"

    def start(self) -> None:
        """Start all stand-ins, and write inventory and certificate."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.logfile.write_text("", encoding="utf-8")
        self.authority = CertificateAuthority()
        self.authority.write(self.ca)
        for device in self.devices:
            device.logfile = self.logfile
            device.start(self.authority)
        self.write_inventory()

    def write_inventory(
        self, changes: t.Mapping[str, t.Mapping[str, t.Any]] | None = None, without: t.Container[str] = ()
    ) -> None:
        """Write the inventory, with ``changes`` to the hosts' variables and ``without`` some hosts."""

        def hosts(devices: t.Iterable[Device]) -> dict[str, t.Any]:
            return {
                "hosts": {
                    item.name: {**item.variables(self.ca), **(changes or {}).get(item.name, {})}
                    for item in devices
                    if item.name not in without
                }
            }

        groups = {"ikev2_load_balancers": hosts(self.load_balancers), "rras": hosts(self.servers)}
        self.inventory.write_text(yaml.safe_dump({"all": {"children": groups}}, sort_keys=False), encoding="utf-8")

    def leave_out_what_cannot_run(self) -> str | None:
        """Without PowerShell, leave the VPN servers out of the inventory, and return in one line what to install."""
        if missing := obstacle():
            # What would be read from the servers is then given by hand.
            gateways = {
                nic["address"].split("/")[0]: "10.10.0.1" for host in self.servers for nic in host.state["nics"][:1]
            }
            given = {device.name: {"load_balancer_return_path": gateways} for device in self.load_balancers}
            self.write_inventory(given, without=[server.name for server in self.servers])
            return f"{missing} The VPN servers are left out until then."
        return None

    def stop(self) -> None:
        """Stop all stand-ins."""
        for device in self.devices:
            device.stop()

    def reset(self) -> None:
        """Become a fresh, broken lab again."""
        for device in self.devices:
            device.reset()

    def settings(self) -> dict[str, t.Any]:
        """Return what the playbooks may change, as the stand-ins have it."""
        return copied(
            {
                "bigip": {name: one["sourceAddressTranslation"] for name, one in self.bigip.state["virtual"].items()},
                "netscaler": self.netscaler.config,
                "loadmaster": self.loadmaster.state,
                **{server.name: _routes(server) for server in self.servers},
                "limits": [find_value(server.state, IKEEXT_KEY, IKE_LIMIT) for server in self.servers],
            }
        )

    def writing(self) -> list[Entry]:
        """Return the requests to all stand-ins that should change something, in the order in which they came."""
        return sorted((entry for device in self.devices for entry in device.writing()), key=lambda entry: entry.number)

    def secrets(self) -> list[str]:
        """Return every password and key of the lab, and every token given out: none may ever be seen in any output."""
        found: list[t.Any] = []
        for device in self.devices:
            variables = device.variables(self.ca)
            found += [variables.get("ansible_password"), *variables.get("load_balancer_connection", {}).values()]
        known = [str(value) for value in found if "-secret-" in str(value) or "-apikey-" in str(value)]
        return known + [token for device in self.devices for token in device.issued]


def _routes(server: WindowsHost) -> dict[str, list[str]]:
    """Return the routes of each store, whose order means nothing."""
    return {
        store: sorted(json.dumps(route, sort_keys=True) for route in of_store)
        for store, of_store in server.state["routes"].items()
    }
