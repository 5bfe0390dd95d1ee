# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One run at a time: a lock in the folder of snapshots, which is held by a process and not only by a file."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import subprocess
import typing as t
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._files import create_file

NAME = ".lock"
UNWRITTEN = timedelta(minutes=1)
"""How long a lock may be empty: a run that was killed while it took the lock leaves it so."""
LONGEST = timedelta(hours=12)
"""How old another controller's lock is believed to be at most: no run takes that long."""
TIME = "%Y-%m-%dT%H:%M:%SZ"


class Locked(Exception):
    """Another run holds the lock. The message says which, and since when."""


@dataclass(frozen=True)
class Holder:
    """A run that holds a lock.

    ``started`` is the start time of its process, since the number of a process that has ended is used again. ``space``: where this number
    means something, which two containers with one host name do not share.
    """

    host: str
    space: str
    pid: int
    started: str
    playbook: str
    since: str

    @classmethod
    def current(cls, playbook: str) -> Holder:
        """Return this run, which is the parent of the worker that asks."""
        pid = os.getppid()
        return cls(platform.node(), _space(), pid, start_of(pid), playbook, f"{datetime.now(UTC):{TIME}}")

    @classmethod
    def parse(cls, raw: Mapping[str, t.Any]) -> Holder:
        """Read what a lock holds."""
        datetime.strptime(raw["since"], TIME)
        texts = {name: str(raw[name]) for name in ("host", "space", "started", "playbook", "since")}
        return cls(pid=int(raw["pid"]), **texts)

    def is_run(self, other: Holder) -> bool:
        """Report whether this is the same run."""
        mine, theirs = ((one.host, one.space, one.pid, one.started) for one in (self, other))
        return mine == theirs

    def __str__(self) -> str:
        return f"{self.playbook} on {self.host} (process {self.pid}), since {self.since}"


def _space() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def start_of(pid: int) -> str:
    """Return when a process started; empty if there is no such process."""
    try:
        # The name of the program, in brackets, may hold anything. The start is the 22nd field, in ticks since the system started.
        ticks = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text(encoding='utf-8').strip()} {ticks}"
    except (OSError, IndexError):
        if Path("/proc/self/stat").exists():
            return ""
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def take(folder: Path, holder: Holder) -> str:
    """Take the lock, and return what is worth knowing: whose lock was taken over, for example; empty if nothing is.

    :raises Locked: if another run holds it.
    :raises OSError: if the folder cannot be written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path, text = folder / NAME, json.dumps(vars(holder)) + "\n"
    with _alone(folder):
        try:
            create_file(path, text, 0o644)
        except FileExistsError:
            pass
        else:
            return ""
        said = _over(path, _read(path), holder)
        path.unlink(missing_ok=True)
        try:
            create_file(path, text, 0o644)
        except FileExistsError:
            raise Locked(f"Another run has just taken the lock {path}. Run this one again when it has ended.") from None
        return said


def _over(path: Path, found: Holder | None, holder: Holder) -> str:
    """Return why a lock may be taken over.

    :raises Locked: if it may not.
    """
    longest = LONGEST
    if found is None:
        state = path.stat()
        longest = LONGEST if state.st_size else UNWRITTEN
        since = datetime.fromtimestamp(state.st_mtime, UTC)
        who = f"a run that cannot be identified, since {since:{TIME}}"
    else:
        since, who = datetime.strptime(found.since, TIME).replace(tzinfo=UTC), str(found)
        if found.is_run(holder):
            return ""  # an earlier playbook of the same command
        if (found.host, found.space) == (holder.host, holder.space):
            if start_of(found.pid) != found.started:
                return f"The lock of a run that was killed is taken over: {who}."
            raise Locked(
                f"Another run is changing this site: {who}. Nothing was changed. Wait until it has ended, or end it. (Its lock is {path}.)"
            )
    if datetime.now(UTC) - since > longest:
        return f"An old lock is taken over: {who}."
    raise Locked(
        f"Another run may be changing this site: {who}. Nothing was changed. Whether it still runs cannot be seen from here: wait until it"
        f" has ended. If it was killed, remove {path}."
    )


def release(folder: Path, holder: Holder) -> None:
    """Release the lock, if this run holds it."""
    path = folder / NAME
    with contextlib.suppress(OSError), _alone(folder):
        found = _read(path) if path.exists() else None
        if found and found.is_run(holder):
            path.unlink(missing_ok=True)


def _read(path: Path) -> Holder | None:
    """Return who holds a lock, None if that cannot be read."""
    try:
        return Holder.parse(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other runs on this controller from looking at the lock in the meantime, as far as the file system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
