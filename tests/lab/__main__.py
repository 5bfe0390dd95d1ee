# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starts and stops the lab, and runs the demo: ``python -m lab up|down|demo``; ``ikev2`` and ``demo-ikev2``: on the data plane, as root."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

from lab.alwayson import watch
from lab.dataplane.network import PlaneError, forbidden, install, missing
from lab.dataplane.plane import Plane
from lab.demo import demo
from lab.shell import obstacle
from lab.whole import Lab

IKEV2 = ("ikev2", "demo-ikev2", "packages")  # `packages` installs what the two others need


class Interrupted(Exception):
    """Somebody pressed Ctrl-C, or ended the lab."""


def _interrupt(*_dummy: t.Any) -> t.NoReturn:
    raise Interrupted


def serve(folder: Path) -> None:
    """Be the lab, until a signal says otherwise."""
    lab = Lab(folder)
    pid = folder / "pid"
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(Interrupted):
        try:
            lab.start()
            lab.leave_out_what_cannot_run()
            pid.write_text(str(os.getpid()), encoding="utf-8")
            while True:
                time.sleep(3600)
        finally:
            pid.unlink(missing_ok=True)
            lab.stop()


def running(folder: Path) -> int | None:
    """Return the process of the lab in ``folder``, if one is up."""
    try:
        pid = int((folder / "pid").read_text(encoding="utf-8"))
        os.kill(pid, 0)
    except (OSError, ValueError):
        return None
    return pid


def up(folder: Path) -> int:
    """Start the lab in the background and say how to use it."""
    if not running(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lab.log").open("w", encoding="utf-8") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "lab", "--dir", str(folder), "serve"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 30
        while not running(folder):
            if process.poll() is not None or time.monotonic() > deadline:
                print(f"The lab did not start; {log.name} says why.", file=sys.stderr)
                return 1
            time.sleep(0.1)
    if missing := obstacle():
        print(f"{missing} The VPN servers are left out until then.")
    collections, commands = os.environ.get("ANSIBLE_COLLECTIONS_PATH", ""), Path(sys.executable).parent
    print(
        f"The lab is up: three load balancers{'' if missing else ' and two VPN servers'}, each as broken as in the field.\n"
        f"  inventory    {folder / 'inventory.yml'}\n"
        f"  request log  {folder / 'requests.jsonl'}\n"
        f"Try:\n"
        f"  export ANSIBLE_COLLECTIONS_PATH={collections}\n"
        f"  {commands / 'ansible-playbook'} -i {folder / 'inventory.yml'} aovpn.ikev2.audit\n"
        f"End it with: make lab-down"
    )
    return 0


def down(folder: Path) -> int:
    """Stop the lab that ``up`` started."""
    pid = running(folder)
    if pid is None:
        print("No lab is up.")
        return 0
    os.kill(pid, signal.SIGTERM)
    for _dummy in range(100):
        if not running(folder):
            print("The lab is down.")
            return 0
        time.sleep(0.1)
    print(f"The lab, process {pid}, does not end.", file=sys.stderr)
    return 1


def on_plane(command: str, folder: Path) -> int:
    """Carry out a command that needs the data plane, or say what is missing."""
    try:
        if forbidden():  # before anything is installed for nothing
            raise PlaneError(f"The data plane cannot be made here: {'; '.join(missing())}.")
        install()
        if command == "ikev2":
            watch(folder / "ikev2")
        if command == "demo-ikev2":
            return demo(folder / "demo-ikev2", Plane(folder / "demo-ikev2-plane"))
    except PlaneError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="lab", description=__doc__)
    parser.add_argument("--dir", type=Path, default=Path(".lab"), help="where inventory, certificate and log go")
    parser.add_argument("command", choices=["up", "down", "serve", "demo", *IKEV2])
    arguments = parser.parse_args()
    folder: Path = arguments.dir.resolve()
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    if arguments.command == "serve":
        serve(folder)
        return 0
    if arguments.command in ("demo", *IKEV2):
        try:
            return demo(folder / "demo") if arguments.command == "demo" else on_plane(arguments.command, folder)
        except Interrupted:
            print("\nInterrupted; the lab is down.", file=sys.stderr)
            return 130
    return {"up": up, "down": down}[arguments.command](folder)


if __name__ == "__main__":
    sys.exit(main())
