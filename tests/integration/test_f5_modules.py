# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real client checks the BIG-IP stand-in: bigip_virtual_server of f5networks.f5_modules, run by ansible-playbook."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.aovpn.ikev2.plugins.module_utils._bigip.adapter import BigIp as Adapter
from ansible_collections.aovpn.ikev2.plugins.module_utils._engine import run
from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Endpoint
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Order
from lab.bigip import BigIp
from lab.core import CertificateAuthority

COLLECTION = Path("ansible_collections", "f5networks", "f5_modules")
IKE, NAT_T = "vs_ikev2_500", "vs_ikev2_4500"


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[BigIp, Path]]:
    ca, path = CertificateAuthority(), tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.write(path)
    device = BigIp()
    device.start(ca)
    yield device, path
    device.stop()


class Peer:
    """Sets SNAT by way of ansible-playbook and f5_modules."""

    def __init__(self, device: BigIp, ca: Path, folder: Path) -> None:
        self.device, self.ca, self.folder = device, ca, folder

    def run(self, *tasks: tuple[str, str], check: bool = False, user: str = "admin") -> list[dict[str, t.Any]]:
        """Run one task for each virtual server and SNAT, in one play; give the tasks' results."""
        password = self.device.state["users"][user]["password"]
        where = {"server": "127.0.0.1", "server_port": self.device.port, "validate_certs": True}
        provider = {**where, "user": user, "password": password, "no_f5_teem": True}
        results = self.folder / "results.json"
        steps: list[dict[str, t.Any]] = [
            {
                "f5networks.f5_modules.bigip_virtual_server": {"name": name, "snat": snat, "provider": provider},
                "register": f"result_{number}",
                "ignore_errors": True,
            }
            for number, (name, snat) in enumerate(tasks)
        ]
        names = ", ".join(step["register"] for step in steps)
        told = {"content": "{{ [" + names + "] | to_json }}", "dest": str(results), "mode": "0600"}
        steps.append({"ansible.builtin.copy": told, "check_mode": False})
        play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": steps}
        play["vars"] = {"ansible_python_interpreter": sys.executable}
        (self.folder / "play.json").write_text(json.dumps([play]), encoding="utf-8")
        command = [str(Path(sys.executable).with_name("ansible-playbook")), str(self.folder / "play.json")]
        env = os.environ | {"F5_TELEMETRY_OFF": "true", "SSL_CERT_FILE": str(self.ca), "HOME": str(self.folder)}
        done = subprocess.run(
            [*command, *(["--check"] if check else [])],
            env=env,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return t.cast(list[dict[str, t.Any]], json.loads(results.read_text(encoding="utf-8")))

    def changes(self, *tasks: tuple[str, str], check: bool = False) -> list[bool]:
        """Report for each task whether it changed something; all must have succeeded and logged out."""
        results = self.run(*tasks, check=check)
        assert [one.get("msg") for one in results if one.get("failed")] == []
        assert self.device.open_sessions() == []
        return [one["changed"] for one in results]


@pytest.fixture
def peer(started: tuple[BigIp, Path], tmp_path: Path) -> Peer:
    roots = [Path(root) for root in os.environ.get("ANSIBLE_COLLECTIONS_PATH", "").split(":") if root]
    if not any((root / COLLECTION).is_dir() for root in roots):
        pytest.fail(f"no {COLLECTION} below ANSIBLE_COLLECTIONS_PATH, {roots}: tests/tools/pypi_collections.py gets it")
    device, ca = started
    device.reset()
    return Peer(device, ca, tmp_path)


def test_it_reads_what_is_set(peer: Peer) -> None:
    assert peer.changes((IKE, "automap"), (NAT_T, "sp_ikev2")) == [False, False]
    assert peer.device.writing() == []


@pytest.mark.matrix
def test_it_sets_each_kind_once(peer: Peer) -> None:
    before = copy.deepcopy(peer.device.state["virtual"])
    none, automap, pool = {"type": "none"}, {"type": "automap"}, {"type": "snat", "pool": "/Common/sp_ikev2"}
    steps: list[tuple[str, str, dict[str, str] | None]] = [
        (IKE, "None", none),
        (NAT_T, "None", none),
        (IKE, "None", None),
        (NAT_T, "None", None),
        (IKE, "Automap", automap),
        (NAT_T, "Automap", automap),
        (IKE, "Automap", None),
        (NAT_T, "sp_ikev2", pool),
    ]
    assert peer.changes(*((name, snat) for name, snat, _dummy in steps)) == [
        sent is not None for _dummy, _dummy, sent in steps
    ]
    written = [(entry.path, entry.body["sourceAddressTranslation"], entry.status) for entry in peer.device.writing()]
    assert written == [(f"/mgmt/tm/ltm/virtual/~Common~{name}", sent, 200) for name, _dummy, sent in steps if sent]
    assert [one["sourceAddressTranslation"] for one in peer.device.state["virtual"].values()] == [
        one["sourceAddressTranslation"] for one in before.values()
    ]
    others = ("/Common/vs_sstp", "/Common/vs_web")
    assert [peer.device.state["virtual"][key] for key in others] == [before[key] for key in others]


def test_check_mode_writes_nothing(peer: Peer) -> None:
    before = copy.deepcopy(peer.device.state["virtual"])
    assert peer.changes((IKE, "None"), (NAT_T, "None"), check=True) == [True, True]
    assert peer.device.writing() == []
    assert peer.device.state["virtual"] == before


@pytest.mark.matrix
def test_it_is_refused_what_the_device_refuses(peer: Peer) -> None:
    before = copy.deepcopy(peer.device.state["virtual"])
    (missing,) = peer.run((IKE, "no_such_pool"))
    (guest,) = peer.run((IKE, "None"), user="auditor")
    assert "non-existent snatpool /Common/no_such_pool" in missing["msg"]
    assert "Authorization failed" in guest["msg"]
    assert peer.device.state["virtual"] == before
    assert peer.device.open_sessions() == []


@pytest.mark.matrix
def test_it_sees_what_this_collection_has_set(peer: Peer) -> None:
    password = peer.device.state["users"]["admin"]["password"]
    endpoint = Endpoint("127.0.0.1", peer.device.port, ca_path=str(peer.ca))
    adapter = Adapter(endpoint, username="admin", password=password)
    gateways = {"10.10.0.11": "10.10.0.1", "10.10.0.12": "10.10.0.1"}
    assert run(adapter, Order(return_path=gateways), check_mode=False).changed
    peer.device.log.clear()
    assert peer.changes((IKE, "None"), (NAT_T, "None")) == [False, False]
    assert peer.device.writing() == []
