# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The demo: the five playbooks on the lab; then one table of before and after, and where the reports are."""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import subprocess
import sys
import time
import typing as t
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lab.dataplane.plane import Plane
from lab.driven import DrivenLab
from lab.whole import Lab

ON_SERVERS = "workaround"  # the playbook that changes nothing but VPN servers
CLIENTS = 10  # of each load balancer, where the demo runs on the data plane
STEPS = (  # playbook, name of its report, the verdicts that it may have, what it is shown for, further variables
    ("audit", "audit", ("drift",), "Read everything, change nothing", ""),
    (
        "workaround",
        "workaround",
        ("partial",),
        "For those who cannot keep the addresses: a higher limit on the servers, which is a partial cure",
        "rras_restart_with_sessions=true",
    ),
    (
        "remediate",
        "remediate",
        ("clean",),
        "Make it right: first the servers' gateways, one by one, then the load balancers",
        "",
    ),
    ("remediate", "remediate-again", ("clean",), "Once more: there is nothing left to change", ""),
    ("audit", "audit-again", ("clean",), "Audit again: nothing is due any more", ""),
    ("verify", "verify", ("clean", "unverified"), "Do the servers see the clients' own addresses?", ""),
    ("rollback", "rollback", ("restored",), "And back: first the load balancers, then the servers", ""),
)


def ansible_playbook(lab: Lab, *arguments: str) -> list[str]:
    """Return the command line of ansible-playbook in this Python's environment, with the lab's inventory."""
    return [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(lab.inventory), *arguments]


def demo(folder: Path, plane: Plane | None = None) -> int:
    """Run the demo in ``folder``, with ``plane`` on real IKEv2, and return 0 when it showed what it promises."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    shutil.rmtree(folder, ignore_errors=True)
    lab = DrivenLab(folder, plane) if plane else Lab(folder)
    started = time.monotonic()
    reports, traffic = {}, {}
    try:
        if plane:
            plane.start()
        lab.start()
        left_out = lab.leave_out_what_cannot_run()
        if left_out:
            console.print(f"[yellow]{left_out}[/yellow]")
            if plane or os.environ.get("CI"):
                return 1
        if isinstance(lab, DrivenLab):
            traffic["audit"] = _traffic(lab)
        steps = [step for step in STEPS if not (left_out and step[0] == ON_SERVERS)]
        for number, (playbook, name, _verdicts, title, variables) in enumerate(steps, 1):
            console.rule(f"[bold]{number} of {len(steps)}: aovpn.ikev2.{playbook}[/bold]", align="left")
            console.print(title)
            code = _run(lab, console, playbook, name, variables)
            if code:
                console.print(f"[red]{playbook} ended with exit code {code}[/red]")
                return code
            reports[name] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
            if isinstance(lab, DrivenLab) and name in ("workaround", "remediate-again"):
                traffic[name] = _traffic(lab)
    finally:
        lab.stop()
        if plane:
            plane.stop()
    console.print(_services(reports["audit"], reports["verify"]))
    if not left_out:
        console.print(_servers(reports["audit"], reports["verify"]))
    if plane:
        console.print(_clients(list(traffic.values())))
    console.print(_runs(reports))
    if left_out:
        console.print(f"[yellow]Not shown: the VPN servers, and so the playbook {ON_SERVERS}. {left_out}[/yellow]")
    console.print(f"{time.monotonic() - started:.0f} s. The report of each, to look at: {folder}/*.html")
    connected = [all(row[0] == CLIENTS for row in measured.values()) for measured in traffic.values()]
    shown = [
        reports[name]["verdict"]["status"] in (*verdicts, *(["unknown"] if left_out and "clean" in verdicts else []))
        for _playbook, name, verdicts, _title, _more in steps
    ]
    if (
        all(shown)
        and reports["remediate"]["changes"]
        and not reports["remediate-again"]["changes"]
        and (not plane or connected == [False, True, True])
    ):
        return 0
    console.print("[red]That is not what this demo promises to show.[/red]")
    return 1


def _run(lab: Lab, console: Console, playbook: str, name: str, variables: str) -> int:
    """Run a playbook, and return its exit code."""
    command = ansible_playbook(
        lab,
        f"aovpn.ikev2.{playbook}",
        "-e",
        f"report_directory={lab.folder} report_name={name} snapshot_directory={lab.folder / 'snapshots'} {variables}",
    )
    environment = {**os.environ, "ANSIBLE_FORCE_COLOR": "1" if console.is_terminal else "0"}
    sys.stdout.flush()  # what Ansible writes follows
    # In the foreground's process group: Ctrl-C reaches Ansible too, and nothing is left behind.
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment) as process:
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            raise


def _runs(reports: dict[str, dict[str, t.Any]]) -> Table:
    table = Table(title="The playbooks, one after the other", title_justify="left")
    for column in ("run", "changes", "verdict", ""):
        table.add_column(column, overflow="fold")
    for name, report in reports.items():
        changes = f"{len(report['changes'])}{' due' if report['due'] else ''}"
        table.add_row(name, changes, report["verdict"]["status"], report["verdict"]["title"])
    return table


def _services(before: dict[str, t.Any], after: dict[str, t.Any]) -> Table:
    table = Table(title="Load balancers: do the VPN servers see the clients' own addresses?", title_justify="left")
    for column in ("device", "service", "address", "UDP", "setting", "client's address"):
        table.add_column(column, overflow="fold")
    for host, result in before["load_balancers"].items():
        later = {service["id"]: service for service in after["load_balancers"][host]["services"]}
        for service in result["services"]:
            now = later[service["id"]]
            table.add_row(
                host,
                service["id"],
                service["address"],
                str(service["port"]),
                _arrow(_setting(service["value"]), _setting(now["value"])),
                _arrow(_seen(service), _seen(now)),
            )
    return table


def _servers(before: dict[str, t.Any], after: dict[str, t.Any]) -> Table:
    table = Table(title="VPN servers: their default gateway", title_justify="left")
    for column in ("server", "addresses", "default gateway"):
        table.add_column(column, overflow="fold")
    for host, facts in before["servers"].items():
        table.add_row(host, ", ".join(facts["addresses"]), _arrow(facts["gateway"], after["servers"][host]["gateway"]))
    return table


def _traffic(lab: DrivenLab) -> dict[str, tuple[int, list[str]]]:
    """Let clients connect to one load balancer after the other, and give how many did, and whom each VPN server sees."""
    measured = {}
    for balancer in lab.load_balancers:
        (vip,) = balancer.variables(lab.ca)["load_balancer_addresses"]
        lab.plane.disconnect()
        made = lab.plane.connect(vip, range(CLIENTS))
        seen = [sorted(lab.plane.sources(address), key=ipaddress.ip_address) for address in lab.plane.servers]
        measured[balancer.name] = (len(made), [", ".join(one) or "nobody" for one in seen])
    return measured


def _clients(traffic: list[dict[str, tuple[int, list[str]]]]) -> Table:
    title = (
        f"IKEv2: how many of {CLIENTS} clients connect, and whom the VPN servers see: before → workaround → remediate"
    )
    table = Table(title=title, title_justify="left")
    for column in ("load balancer", "connected", "rras1 sees", "rras2 sees"):
        table.add_column(column, overflow="fold")
    for host in traffic[0]:
        counts, seen = zip(*(measured[host] for measured in traffic), strict=True)
        table.add_row(host, " → ".join(map(str, counts)), *(" → ".join(one) for one in zip(*seen, strict=True)))
    return table


def _setting(value: t.Any) -> str:
    return " ".join(map(str, value.values())) if isinstance(value, dict) else str(value)


def _seen(service: dict[str, t.Any]) -> str:
    return "kept" if service["source_preserved"] else "hidden"


def _arrow(before: t.Any, after: t.Any) -> str:
    return f"{before}" if before == after else f"{before} → {after}"
