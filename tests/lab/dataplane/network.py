# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runs here needs, and the network namespaces: made, entered and removed again. Nothing outside of them is touched."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import time
import typing as t
from pathlib import Path

PREFIX = "aovpn-ikev2-"
"""Whatever network namespace has a name that starts like this belongs to the data plane, and is removed when it starts."""

RUN = Path("/run/aovpn-ikev2-lab")
"""The lock, the daemons' sockets and configurations. Short, because the name of a Unix socket may have 107 bytes only."""

CAP_NET_ADMIN = 12

PROGRAMS = {  # what is called: the Debian package that brings it
    "charon-systemd": "charon-systemd",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "nft": "nftables",
    "ping": "iputils-ping",
    "setpriv": "util-linux",
}
PLUGINS = {
    "kernel-libipsec": "libcharon-extra-plugins",
    "openssl": "libstrongswan-standard-plugins",
    "vici": "strongswan-swanctl",
}


class PlaneError(Exception):
    """The data plane cannot be made, or something in it does not work."""


def packages() -> list[str]:
    """Name the Debian packages that are missing."""
    plugins = Path("/usr/lib/ipsec/plugins")
    wanted = {package for program, package in PROGRAMS.items() if not find(program)}
    wanted |= {package for name, package in PLUGINS.items() if not (plugins / f"libstrongswan-{name}.so").exists()}
    return sorted(wanted)


def install() -> None:
    """Install the Debian packages that are missing. The system's own VPN service, which one of them brings, is neither started nor enabled."""
    if not (wanted := packages()):
        return
    if os.geteuid() or not find("apt-get"):
        raise PlaneError(f"Missing, and to be installed by root with the system's package manager: {' '.join(wanted)}.")
    print(f"Installing {' '.join(wanted)}", flush=True)
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists() or "aovpn.ikev2" in policy.read_text(encoding="utf-8")
    if ours:
        # Starting services is forbidden (101) for as long as this process lives, however that ends.
        text = f"#!/bin/sh\n# Of the lab of aovpn.ikev2, removed by it.\nkill -0 {os.getpid()} 2>/dev/null && exit 101\nexit 0\n"
        policy.write_text(text, encoding="utf-8")
        policy.chmod(0o755)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *wanted]):
            subprocess.run([find("apt-get") or "apt-get", *command], env=environment, check=True, timeout=600)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise PlaneError(f"{' '.join(wanted)} cannot be installed: {error}") from error
    finally:
        if ours:
            policy.unlink(missing_ok=True)
    if "charon-systemd" in wanted and Path("/run/systemd/system").exists():
        run("systemctl", "disable", "strongswan.service", check=False)


def forbidden() -> list[str]:
    """Report what this machine does not allow: no package fixes that. In a container, root may not do everything."""
    if os.geteuid():
        return ["it needs root, to make network namespaces"]
    found = []
    # With what is there before anything is installed; making a namespace takes the one capability, using it the other.
    script = "echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter"
    tried = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-c", script], capture_output=True, text=True, check=False, timeout=20
    )
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
    if tried.returncode or not int(status["CapEff"], 16) >> CAP_NET_ADMIN & 1:
        why = f" ({' '.join(tried.stderr.split())})" if tried.stderr.strip() else ""
        found.append(
            f"it needs network namespaces, which take CAP_SYS_ADMIN, CAP_NET_ADMIN and a /proc/sys that can be written{why}"
        )
    if not Path("/dev/net/tun").exists():
        found.append("it needs the device /dev/net/tun")
    return found


def missing() -> list[str]:
    """Report what is missing here."""
    found = forbidden()
    if wanted := packages():
        found.append(f"it needs the Debian packages {' '.join(wanted)}")
    return found


def find(program: str) -> str | None:
    """Find a program, also where the user's PATH leaves out the system's own folders."""
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def run(*command: str, given: str | None = None, check: bool = True) -> str:
    """Run a command, for at most 20 seconds, and give what it says."""
    done = subprocess.run(
        [find(command[0]) or command[0], *command[1:]],
        input=given,
        stdin=subprocess.DEVNULL if given is None else None,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    if check and done.returncode:
        raise PlaneError(f"{' '.join(command)} failed: {done.stderr.strip() or done.stdout.strip()}\n{given or ''}")
    return done.stdout


class Lock:
    """Held by the one data plane of a machine. It goes with its process, however that ends."""

    def __init__(self) -> None:
        self._file: t.TextIO | None = None

    def take(self, wait: float = 0.0) -> None:
        """Take it, after waiting for so many seconds at most, or say who has it."""
        deadline = time.monotonic() + wait
        while not self._try():
            if time.monotonic() > deadline:
                owner = (RUN / "lock").read_text(encoding="utf-8")
                raise PlaneError(f"Another data plane is up on this machine, that of process {owner}.")
            time.sleep(0.5)

    def _try(self) -> bool:
        RUN.mkdir(mode=0o700, exist_ok=True)
        file = (RUN / "lock").open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Else the one before was just about to remove it.
            if os.path.samestat(os.fstat(file.fileno()), os.stat(RUN / "lock")):
                file.truncate(0)
                file.write(str(os.getpid()))
                file.flush()
                self._file = file
        except (BlockingIOError, FileNotFoundError):
            pass
        if not self._file:
            file.close()
        return self._file is not None

    def is_held(self) -> bool:
        """Report whether it has been taken here."""
        return self._file is not None

    def release(self) -> None:
        """Return it, and remove all that was written beside it."""
        if self._file:
            shutil.rmtree(RUN, ignore_errors=True)
            self._file.close()
            self._file = None


class Namespace:
    """A network namespace of ours."""

    def __init__(self, name: str) -> None:
        self.name = PREFIX + name

    def make(self) -> None:
        """Make it, with a loopback interface, and without the router's habits that the host may have."""
        run("ip", "netns", "add", self.name)
        self.ip("link set lo up")
        # As new interfaces inherit it; a path in and another out is what one of the cases is about.
        self.call("sh", "-c", "for name in all default; do echo 0 > /proc/sys/net/ipv4/conf/$name/rp_filter; done")

    def ip(self, *lines: str) -> None:
        """Carry out commands of ``ip``."""
        run("ip", "-n", self.name, "-batch", "-", given="\n".join(lines))

    def nft(self, ruleset: str) -> None:
        """Carry out commands of ``nft``, all of them or, where one is wrong, none."""
        self.call("nft", "-f", "-", given=ruleset)

    def forward(self) -> None:
        """Make it a router."""
        self.call("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")

    @contextlib.contextmanager
    def entered(self) -> t.Iterator[None]:
        """Let this thread be in it. A socket stays where it was made."""
        with open("/proc/thread-self/ns/net", "rb") as own, open(f"/run/netns/{self.name}", "rb") as wanted:
            _enter(wanted)
            try:
                yield
            finally:
                _enter(own)

    def command(self, *command: str) -> list[str]:
        """Return the command line that runs a command in it."""
        return [find("ip") or "ip", "netns", "exec", self.name, find(command[0]) or command[0], *command[1:]]

    def call(self, *command: str, given: str | None = None, check: bool = True) -> str:
        """Run a command in it."""
        return run(*self.command(*command), given=given, check=check)


def _enter(opened: t.IO[bytes]) -> None:
    # os.setns would do it from Python 3.12 on.
    if ctypes.CDLL(None, use_errno=True).setns(opened.fileno(), 0):
        raise PlaneError(f"A network namespace cannot be entered: {os.strerror(ctypes.get_errno())}.")


def leftovers() -> list[str]:
    """Name the namespaces of ours that there are."""
    listed = run("ip", "netns", "list").splitlines()
    return [name for name in (line.split()[0] for line in listed if line.strip()) if name.startswith(PREFIX)]


def remove() -> None:
    """End what runs in namespaces of ours, and remove them."""
    for name in leftovers():
        deadline = time.monotonic() + 10
        while found := run("ip", "netns", "pids", name, check=False).split():
            if time.monotonic() > deadline:
                raise PlaneError(f"The processes {', '.join(found)} in the network namespace {name} do not end.")
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            time.sleep(0.02)
        run("ip", "netns", "delete", name)
