# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab on its data plane, up until it is interrupted: clients that connect again and again, as Always On VPN does."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from lab.dataplane.plane import IDLE, Plane
from lab.driven import DrivenLab

CLIENTS = 6  # of each load balancer
PAUSE = 1.0  # seconds between two looks
RETRY = 2.0 + IDLE["nf_conntrack_udp_timeout"]
"""After so many seconds a client that failed tries again. Did it try earlier, it would keep its old flow alive, translated as it was."""


def watch(folder: Path) -> None:
    """Be the lab, and say what the clients and the servers see, whenever that changes."""
    plane = Plane(folder / "plane", clients=3 * CLIENTS)
    lab = DrivenLab(folder, plane)
    plane.start()
    try:
        lab.start()
        print(_welcome(lab), flush=True)
        shown, failed = "", dict[int, float]()
        while True:
            _connect(lab, failed)
            if (now := _seen(lab)) != shown:
                print(f"{time.strftime('%H:%M:%S')}\n{now}", flush=True)
                shown = now
            time.sleep(PAUSE)
    finally:
        lab.stop()
        plane.stop()


def _welcome(lab: DrivenLab) -> str:
    commands = Path(sys.executable).parent
    return (
        "The lab is up, on real IKEv2: three load balancers and two VPN servers, each as broken as in the field.\n"
        f"  inventory    {lab.inventory}\n"
        f"  request log  {lab.logfile}\n"
        f"  daemons' logs  {lab.plane.folder}\n"
        "Try, in another terminal as root:\n"
        f"  export ANSIBLE_COLLECTIONS_PATH={os.environ.get('ANSIBLE_COLLECTIONS_PATH', '')}\n"
        f"  {commands / 'ansible-playbook'} -i {lab.inventory} aovpn.ikev2.remediate\n"
        "The same from a controller on the clients' side, which can probe the VPN's addresses:\n"
        f"  ip netns exec {lab.plane.controller.name} {commands / 'ansible-playbook'} -i {lab.inventory} aovpn.ikev2.remediate -e probe=true\n"
        "End it with Ctrl-C."
    )


def _vips(lab: DrivenLab) -> list[tuple[str, str, range]]:
    """Return each load balancer's name and address, and its clients."""
    return [
        (balancer.name, *balancer.variables(lab.ca)["load_balancer_addresses"], range(first, first + CLIENTS))
        for first, balancer in zip(range(0, 3 * CLIENTS, CLIENTS), lab.load_balancers, strict=True)
    ]


def _connect(lab: DrivenLab, failed: dict[int, float]) -> None:
    """Let those connect that are not connected, unless they have just ``failed``, at these times."""
    for _dummy, vip, clients in _vips(lab):
        connected, now = lab.plane.connected(vip), time.monotonic()
        trying = [one for one in clients if one not in connected and now - failed.get(one, -RETRY) >= RETRY]
        made = lab.plane.connect(vip, trying)
        failed.update(dict.fromkeys(set(trying) - set(made), time.monotonic()))


def _seen(lab: DrivenLab) -> str:
    """Report who is connected, and whom the servers see."""
    lines = [
        f"  {name} {vip}: {len(lab.plane.connected(vip))} of {CLIENTS} clients are connected"
        for name, vip, _dummy in _vips(lab)
    ]
    for host in lab.servers:
        server = lab.plane.servers[lab.address(host)]
        gateway = server.is_set.routes.get("0.0.0.0/0", "none")
        limit = lab.plane.system_limit if server.is_set.limit is None else server.is_set.limit
        seen = ", ".join(f"{source}: {count}" for source, count in sorted(lab.plane.sources(server.address).items()))
        lines.append(f"  {host.name} (gateway {gateway}, limit {limit} an address) sees {seen or 'nobody'}")
    return "\n".join(lines)
