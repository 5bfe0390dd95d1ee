# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fresh lab for each test, started once for all."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import Ansible
from lab.servers import Servers
from lab.whole import Lab

LONGEST = (
    "test_runner",
    "test_awx",
    "test_main_job",
    "test_playbooks",
    "test_role_rras",
    "test_gateway",
    "test_limit",
    "test_snapshots",
    "test_in_process",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the files that take long first: what is left for the end is short, and keeps no processor waiting."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


@pytest.fixture(scope="session")
def started_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Start the lab once for all tests of a process."""
    lab = Lab(tmp_path_factory.mktemp("lab"))
    lab.start()
    yield lab
    lab.stop()


@pytest.fixture
def lab(started_lab: Lab) -> Lab:
    """Return a fresh lab."""
    started_lab.reset()
    started_lab.write_inventory()
    return started_lab


@pytest.fixture
def ansible(lab: Lab, tmp_path: Path) -> Ansible:
    """Return Ansible's commands."""
    return Ansible(lab, tmp_path)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[t.Callable[..., Ansible]]:
    """Start VPN servers of these names, so that many things happen in one run, and give Ansible's commands for them."""
    running: list[Servers] = []

    def start(*names: str) -> Ansible:
        running.append(Servers(tmp_path / "lab", *names))
        running[-1].start()
        return Ansible(running[-1], tmp_path)

    yield start
    for lab in running:
        lab.stop()
