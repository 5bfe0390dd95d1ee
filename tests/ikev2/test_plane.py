# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The data plane itself: packets follow the settings of the devices. And the probe, against real strongSwan."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
import typing as t
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from ikev2.conftest import PLATFORMS, Site

from lab.dataplane.network import leftovers, run
from lab.dataplane.plane import SYSTEM_LIMIT, WRONG_GATEWAY, Plane, PlaneError
from lab.dataplane.strongswan import IKE
from lab.windows import IKE_LIMIT, IKEEXT_KEY, WindowsHost

DEFAULT = "0.0.0.0/0"


def gateway(site: Site, host: WindowsHost) -> str:
    """Return the gateway by which a server's answers leave, as its kernel says."""
    routes = site.plane.servers[site.lab.address(host)].namespace.call("ip", "-json", "route", "show", "default")
    (route,) = json.loads(routes)
    return str(route["gateway"])


def windows_module(site: Site, host: WindowsHost, module: str, /, **options: t.Any) -> None:
    """Run a module of ansible.windows on a server."""
    done = site.ansible.command("ansible", host.name, "-m", f"ansible.windows.{module}", "-a", json.dumps(options))
    assert done.code == 0, done.output


@contextlib.contextmanager
def proposals(site: Site, wanted: list[str]) -> Iterator[None]:
    """Let both servers accept these proposals only."""
    for each, own in ((True, wanted), (False, [IKE])):
        for server in site.plane.servers.values():
            server.charon.load({"clients": {**server.connection, "proposals": own}})
        if each:
            yield


@pytest.mark.parametrize("port", [500, 4500])
def test_the_probe_asks_real_ikev2(broken: Site, port: int) -> None:
    addresses = [broken.vip(platform) for platform in PLATFORMS]
    answers = broken.result(broken.ansible.module("ikev2_probe", {"addresses": addresses, "port": port}))["answers"]
    assert [answer["address"] for answer in answers] == addresses
    assert [(answer["answered"], answer["detail"]) for answer in answers] == [(True, "IKE_SA_INIT")] * 3
    assert all(0 < answer["ms"] < 2000 for answer in answers)
    assert broken.sources() == [{}, {}]  # nothing came of it


def test_the_probe_knows_refusals(broken: Site) -> None:
    with proposals(broken, ["aes256-sha256-modp4096"]):
        assert broken.probe("bigip")["detail"] == "NO_PROPOSAL_CHOSEN"
    with proposals(broken, ["aes256-sha256-ecp256"]):
        assert broken.probe("bigip")["detail"] == "INVALID_KE_PAYLOAD (group 19 is wanted)"
    assert broken.probe("bigip")["detail"] == "IKE_SA_INIT"


def test_the_probe_asks_by_ipv6(broken: Site) -> None:
    server = next(iter(broken.plane.servers.values()))
    inside = replace(broken.ansible, within=server.namespace.command("env"))
    done = inside.module("ikev2_probe", {"addresses": ["::1", "fd00::1"], "timeout": 0.5, "attempts": 1})
    assert '"detail": "IKE_SA_INIT"' in done.output
    assert '"detail": "no answer: Network is unreachable"' in done.output


def test_the_probe_gets_no_answer_where_the_address_is_full(broken: Site) -> None:
    vip = broken.vip("netscaler")
    assert len(broken.plane.connect(vip, range(10))) == 2 * SYSTEM_LIMIT
    assert broken.probe("netscaler", timeout=1, attempts=2)["detail"] == "no answer"


def test_the_limit_counts_when_ikeext_has_started_with_it(broken: Site) -> None:
    host = broken.lab.rras1
    server, vip = broken.plane.servers[broken.lab.address(host)], broken.vip("netscaler")
    assert broken.plane.connect(vip, [3, 6, 7]) == [3, 6, 7]  # these come to the first server
    assert broken.plane.sources(server.address) == {"10.10.0.1": 3}
    windows_module(broken, host, "win_regedit", path=IKEEXT_KEY, name=IKE_LIMIT, data=50000, type="dword")
    assert server.is_set.limit is None
    assert server.full == {"10.10.0.1"}
    windows_module(broken, host, "win_service", name="IKEEXT", state="restarted")
    assert server.is_set.limit == 50000
    assert not server.full
    assert broken.plane.sources(server.address) == {}


def test_where_a_restart_keeps_tunnels_they_stay(broken: Site) -> None:
    host = broken.lab.rras1
    host.state["stop_drops_sas"] = False
    assert broken.plane.connect(broken.vip("netscaler"), [3]) == [3]
    windows_module(broken, host, "win_service", name="IKEEXT", state="restarted")
    assert broken.plane.sources(broken.lab.address(host)) == {"10.10.0.1": 1}


def test_a_server_whose_ikeext_is_stopped_is_silent(broken: Site) -> None:
    for host in broken.lab.servers:
        windows_module(broken, host, "win_service", name="IKEEXT", state="stopped")
    assert not broken.probe("bigip", timeout=1, attempts=1)["answered"]
    for host in broken.lab.servers:
        windows_module(broken, host, "win_service", name="IKEEXT", state="started")
    assert broken.probe("bigip")["answered"]


def test_the_dead_mans_switch_moves_the_real_route_and_moves_it_back(broken: Site) -> None:
    host = broken.lab.rras1
    # It is managed from where its answers reach nobody by the new gateway, which forwards nothing, and that is not declared.
    host.state["sessions"][0] |= {"remote_address": "172.16.0.50", "local_port": 8443}
    host.state["gateways"]["10.10.0.1"] = []
    impatient = {"ansible_winrm_operation_timeout_sec": 1, "ansible_winrm_read_timeout_sec": 2}
    options = {"gateway": "10.10.0.1", "preserve_routes": [], "rollback_timeout": 6}
    task = ("rras1", "-m", "aovpn.ikev2.rras_default_gateway", "-a", json.dumps(options), "-e", json.dumps(impatient))
    seen = [gateway(broken, host)]
    with ThreadPoolExecutor(max_workers=1) as pool:
        running = pool.submit(broken.ansible.command, "ansible", *task, cut_off=True)
        while not running.done():
            if (now := gateway(broken, host)) != seen[-1]:
                seen.append(now)
            time.sleep(0.1)
    assert running.result().code != 0
    assert "the routes are what they were before" in running.result().output
    assert seen == [WRONG_GATEWAY, "10.10.0.1", WRONG_GATEWAY]


def test_a_reboot_forgets_what_was_not_made_persistent(broken: Site) -> None:
    host = broken.lab.rras1
    for route in host.state["routes"]["active"]:
        if route["dest"] == DEFAULT:
            route["next_hop"] = "10.10.0.1"
    host.tell(None)
    assert gateway(broken, host) == "10.10.0.1"
    host.reboot()
    assert gateway(broken, host) == WRONG_GATEWAY


def test_the_bigips_table_of_connections_is_the_planes(broken: Site) -> None:
    bigip, other = broken.vip("bigip"), broken.vip("netscaler")
    assert broken.plane.connect(bigip, [0]) == [0]
    assert broken.plane.connect(other, [1]) == [1]
    before = broken.plane.flows()
    assert {(flow.client, flow.vip, flow.port) for flow in before} == {
        (broken.plane.addresses[number], vip, port) for number, vip in ((0, bigip), (1, other)) for port in (500, 4500)
    }
    broken.module("bigip", state="preserved", return_path=dict.fromkeys(broken.plane.servers, "10.10.0.1"))
    assert {flow.source for flow in broken.plane.flows(bigip)} == {"10.10.0.1", "10.10.0.5"}


def test_a_second_plane_leaves_the_first_alone(broken: Site) -> None:
    there = leftovers()
    second = Plane(broken.ansible.folder / "second")
    with pytest.raises(PlaneError, match="Another data plane is up on this machine, that of process "):
        second.start()
    second.stop()
    assert leftovers() == there
    assert broken.probe("bigip")["answered"]


OTHER = """
import sys, time
from pathlib import Path
from lab.dataplane import network
from lab.dataplane.plane import Plane
network.PREFIX, network.RUN = "aovpn-killed-", Path("/run/aovpn-killed-lab")
plane = Plane(Path(sys.argv[1]), clients=2)
plane.start()
print("up", flush=True)
time.sleep(float(sys.argv[2]))
plane.stop()
"""


def named(prefix: str) -> list[str]:
    """Name the network namespaces that have such a name."""
    return [line.split()[0] for line in run("ip", "netns", "list").splitlines() if line.startswith(prefix)]


def test_what_a_killed_one_has_left_is_removed_by_the_next(broken: Site, tmp_path: Path) -> None:
    ours = leftovers()
    command = [sys.executable, "-c", OTHER, str(tmp_path)]
    with subprocess.Popen([*command, "60"], stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "up\n"
        left = named("aovpn-killed-")
        daemons = [pid for name in left for pid in run("ip", "netns", "pids", name).split()]
        assert len(daemons) == 3
        killed.kill()
    deadline = time.monotonic() + 5
    while any(run("ip", "netns", "pids", name).split() for name in left) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [run("ip", "netns", "pids", name) for name in left] == [""] * len(left)
    assert named("aovpn-killed-") == left

    done = subprocess.run([*command, "0"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "up\n"), done.stderr
    assert named("aovpn-killed-") == []
    assert not Path("/run/aovpn-killed-lab").exists()
    assert leftovers() == ours
    assert broken.plane.connect(broken.vip("bigip"), [0]) == [0]
