# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The engine on one stand-in of each platform in turn, in the test's own process."""

from __future__ import annotations

import copy
import typing as t

from ansible_collections.aovpn.ikev2.plugins.module_utils._adapter import Adapter
from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.adapter import BigIp as BigIpAdapter
from ansible_collections.aovpn.ikev2.plugins.module_utils._engine import Result, RunFailed, run
from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Endpoint
from ansible_collections.aovpn.ikev2.plugins.module_utils._loadmaster.adapter import LoadMaster as LoadMasterAdapter
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Order, Snapshot, State
from ansible_collections.aovpn.ikev2.plugins.module_utils._netscaler.adapter import NetScaler as NetScalerAdapter
from lab.bigip import BigIp
from lab.loadmaster import LoadMaster
from lab.netscaler import NetScaler

GOOD = {"10.10.0.11": "10.10.0.1", "10.10.0.12": "10.10.0.1"}
PORTS = (500, 4500)

ADAPTERS: dict[str, tuple[type[Adapter], dict[str, str]]] = {
    "bigip": (BigIpAdapter, {"username": "admin", "password": "lab-bigip-secret-1"}),
    "netscaler": (NetScalerAdapter, {"username": "nsroot", "password": "lab-netscaler-secret-1"}),
    "loadmaster": (
        LoadMasterAdapter,
        {"username": "bal", "password": "lab-loadmaster-secret-1", "api_version": "2"},
    ),
}


class OneDevice:
    """A stand-in, what a run on it takes, and the part of its state that a run may change."""

    def __init__(self, device: BigIp | NetScaler | LoadMaster) -> None:
        self.device = device
        self.names: list[str] = {
            "bigip": [f"/Common/vs_ikev2_{port}" for port in PORTS],
            "netscaler": [f"sg_ikev2_{port}" for port in PORTS],
            "loadmaster": [f"203.0.113.30:{port}/udp" for port in PORTS],
        }[device.platform]

    def go(
        self, state: State, snapshot: Snapshot | None = None, *, check_mode: bool = False, **more: t.Any
    ) -> Result | RunFailed:
        """Run the engine."""
        self.device.log.clear()
        adapter, options = ADAPTERS[self.device.platform]
        order = Order(state=state, return_path=GOOD, snapshot=snapshot)
        try:
            made = adapter.of(Endpoint("127.0.0.1"), {**options, **more}, snapshot)
            return run(made, order, check_mode=check_mode)
        except RunFailed as error:
            return error

    def done(self, state: State, snapshot: Snapshot | None = None, **more: t.Any) -> Result:
        """Run the engine, which has to succeed."""
        came = self.go(state, snapshot, **more)
        assert isinstance(came, Result), str(came)
        return came

    def snapshot(self, **more: t.Any) -> Snapshot:
        """Return a snapshot of the device as it is."""
        found = self.done("gathered", **more).snapshot
        assert found is not None
        return found

    def services(self) -> list[str]:
        """Return the pair, as a finding names it."""
        return [*dict.fromkeys(item.id for item in self.done("gathered").services)]

    def values(self, *, saved: bool = False) -> t.Any:
        """Return what is in effect on the device, or would be after a restart."""
        device = self.device
        if isinstance(device, BigIp):
            state = device.state["saved"] if saved else device.state
            return [copy.deepcopy(state["virtual"][name]["sourceAddressTranslation"]) for name in self.names]
        if isinstance(device, NetScaler):
            config = device.state["saved"]["default"] if saved else device.config
            carriers = {**config["servicegroup"], **config["service"]}
            values = {name: (item["usip"], item["useproxyport"]) for name, item in carriers.items() if "ikev2" in name}
            return config["nsmode"]["usnip"], values
        return [device.service("203.0.113.30", port)["Transparent"] for port in PORTS]

    def restores(self, snapshot: Snapshot, **more: t.Any) -> str:
        """Restore, first in check mode: both succeed and name the same changes, or both fail before a write. Return the reason."""
        before = self.values()
        predicted = self.go("restored", snapshot, check_mode=True, **more)
        assert self.device.writing() == []
        done = self.go("restored", snapshot, **more)
        if isinstance(predicted, Result):
            assert isinstance(done, Result), f"check mode did not foresee: {done}"
            assert done.changes == predicted.changes
            return ""
        assert isinstance(done, RunFailed), f"only check mode failed: {predicted}"
        assert (str(done), self.device.writing(), self.values()) == (str(predicted), [], before)
        for failed in (predicted, done):
            assert (failed.result.final_state, failed.result.changes) == ("unchanged", ())
        return str(done)
