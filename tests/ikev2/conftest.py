# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One data plane for all tests of a run, and the lab on top of it. Needs root, and says what else is missing."""

from __future__ import annotations

import json
import typing as t
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness import Ansible, Run, inherited
from lab.core import Device
from lab.dataplane.plane import Plane
from lab.driven import DrivenLab
from lab.shell import refused
from prefork import Prefork

PLATFORMS = ("bigip", "netscaler", "loadmaster")
MODULES = {
    "bigip": "bigip_snat",
    "netscaler": "netscaler_usip",
    "loadmaster": "loadmaster_transparency",
}


@dataclass
class Site:
    """The lab, its data plane and Ansible, which runs in the plane's namespace of the controller.

    ``stage``: the playbook that has been run since everything was broken, with its ``run``; ``existing``: for each platform the client that was
    connected while it ran.
    """

    lab: DrivenLab
    plane: Plane
    ansible: Ansible
    stage: str = ""
    run: Run | None = None
    existing: dict[str, int] = field(default_factory=dict)

    def device(self, platform: str) -> Device:
        """Return the stand-in of a platform."""
        (found,) = [device for device in self.lab.load_balancers if device.platform == platform]
        return found

    def vip(self, platform: str) -> str:
        """Return the address at which a platform's clients connect."""
        (address,) = self.device(platform).variables(self.lab.ca)["load_balancer_addresses"]
        return str(address)

    def break_everything(self) -> None:
        """Become the article's broken site again, with nobody connected."""
        self.lab.reset()
        self.plane.disconnect()
        self.stage, self.run = "", None

    def playbook(self, name: str, *arguments: str) -> Run:
        """Run a playbook of the collection's, with its files in the folder of the tests."""
        variables = f"report_name={name} snapshot_directory={self.ansible.folder / 'snapshots'}"
        return self.ansible.playbook(f"aovpn.ikev2.{name}", "-e", variables, *arguments)

    def after(self, name: str, *arguments: str) -> Run:
        """Be at the stage after this playbook, run on a broken site where one client of each platform is connected."""
        if self.stage != name or self.run is None:
            self.break_everything()
            self.existing = {platform: number for number, platform in enumerate(PLATFORMS)}
            for platform, number in self.existing.items():
                assert self.plane.connect(self.vip(platform), [number]) == [number]
            self.run = self.playbook(name, *arguments)
            # Without PowerShell, each test that asks for a stage is skipped for that reason, not only the first.
            self.stage = "" if refused.is_set() else name
        return self.run

    def module(self, platform: str, **options: t.Any) -> dict[str, t.Any]:
        """Run the module of a platform on its stand-in's pair, and give its result."""
        variables = self.device(platform).variables(self.lab.ca)
        given = {**variables["load_balancer_connection"], "addresses": variables["load_balancer_addresses"], **options}
        return self.result(self.ansible.module(MODULES[platform], given))

    def probe(self, platform: str, **options: t.Any) -> dict[str, t.Any]:
        """Probe a platform's address from the controller, and give the answer."""
        result = self.result(self.ansible.module("ikev2_probe", {"addresses": [self.vip(platform)], **options}))
        (answer,) = result["answers"]
        return t.cast(dict[str, t.Any], answer)

    @staticmethod
    def result(run: Run) -> dict[str, t.Any]:
        """Read what a module that was run by itself has given."""
        return t.cast(
            dict[str, t.Any], json.loads(run.output[run.output.index("=> {") + 3 : run.output.rindex("}") + 1])
        )

    def sources(self) -> list[dict[str, int]]:
        """Count each server's security associations by the address that it sees."""
        return [self.plane.sources(address) for address in self.plane.servers]


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """Make the data plane, with 50 clients, once no other tests have theirs on this machine."""
    made = Plane(tmp_path_factory.mktemp("plane"), clients=50)
    made.start(wait=600)
    yield made
    made.stop()


@pytest.fixture(scope="session")
def site(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Start the lab on the data plane."""
    lab = DrivenLab(tmp_path_factory.mktemp("lab"), plane)
    lab.start()
    folder: Path = tmp_path_factory.mktemp("ansible")
    within = plane.controller.command("env")
    forks = Prefork(inherited(), within)
    yield Site(lab, plane, Ansible(lab, folder, within, forks))
    forks.end()
    lab.stop()


@pytest.fixture
def broken(site: Site) -> Site:
    """Return a site as it is in the field."""
    site.break_everything()
    return site
