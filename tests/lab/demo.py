# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The demo: audit, remediate, remediate again, audit, on the lab; then one table of before and after."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import typing as t
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lab.whole import Lab

STEPS = (
    ("audit", "before", "Look at everything, change nothing"),
    ("remediate", "remediate", "Make it right: first the servers' gateways, one by one, then the load balancers"),
    ("remediate", "again", "Once more: there is nothing left to change"),
    ("audit", "after", "Look again"),
)


def ansible_playbook(lab: Lab, *arguments: str) -> list[str]:
    """Give the command line of ansible-playbook in this Python's environment, with the lab's inventory."""
    return [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(lab.inventory), *arguments]


def demo(folder: Path) -> int:
    """Run the demo in ``folder``, and give 0 when it showed what it promises."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    shutil.rmtree(folder, ignore_errors=True)
    lab = Lab(folder)
    started = time.monotonic()
    changed = {}
    try:
        lab.start()
        for number, (playbook, name, title) in enumerate(STEPS, 1):
            console.rule(f"[bold]{number} of {len(STEPS)}: aovpn.ikev2.{playbook}[/bold]", align="left")
            console.print(title)
            code, changed[name] = _run(lab, console, playbook, name)
            if code:
                console.print(f"[red]{playbook} ended with exit code {code}[/red]")
                return code
        reports = {
            name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in ("before", "after")
        }
    finally:
        lab.stop()
    console.print(_services(reports["before"], reports["after"]))
    console.print(_servers(reports["before"], reports["after"]))
    console.print(
        f"Drift: {len(reports['before']['drift'])} before, {len(reports['after']['drift'])} after."
        f" Changed: {changed['remediate']} by the first remediate, {changed['again']} by the second."
        f" {time.monotonic() - started:.0f} s. Reports: {folder}"
    )
    shown = (
        reports["before"]["drift"] and changed["remediate"] and not changed["again"] and not reports["after"]["drift"]
    )
    if not shown:
        console.print("[red]That is not what this demo promises to show.[/red]")
    return 0 if shown else 1


def _run(lab: Lab, console: Console, playbook: str, name: str) -> tuple[int, int]:
    """Run a playbook, show its output as it comes, and give its exit code and the number of changes in its recap."""
    command = ansible_playbook(
        lab,
        f"aovpn.ikev2.{playbook}",
        "-e",
        f"report_directory={lab.folder} report_name={name} snapshot_directory={lab.folder / 'snapshots'}",
    )
    environment = {**os.environ, "ANSIBLE_FORCE_COLOR": "1" if console.is_terminal else "0", "PYTHONUNBUFFERED": "1"}
    # In the foreground's process group: Ctrl-C reaches Ansible too, and nothing is left behind.
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        changes = 0
        try:
            for line in process.stdout:
                sys.stdout.write(line)
                sys.stdout.flush()
                changes += sum(int(number) for number in re.findall(r"changed=(\d+)", line))
        except BaseException:
            process.terminate()
            raise
    return process.returncode, changes


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
    table = Table(title="VPN servers: which way answers take", title_justify="left")
    for column in ("server", "addresses", "default gateway"):
        table.add_column(column, overflow="fold")
    for host, facts in before["servers"].items():
        table.add_row(host, ", ".join(facts["addresses"]), _arrow(facts["gateway"], after["servers"][host]["gateway"]))
    return table


def _setting(value: t.Any) -> str:
    return " ".join(map(str, value.values())) if isinstance(value, dict) else str(value)


def _seen(service: dict[str, t.Any]) -> str:
    return "kept" if service["source_preserved"] else "hidden"


def _arrow(before: t.Any, after: t.Any) -> str:
    return f"{before}" if before == after else f"{before} → {after}"
