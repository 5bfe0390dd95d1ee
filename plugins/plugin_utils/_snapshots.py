# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The folder of snapshots on the controller."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._files import create_file, replace_file
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.history import Entry, History
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.snapshot import TIME, SiteSnapshot

MODE = 0o600
NAME = "%Y%m%dT%H%M%SZ.json"
NAMED = re.compile(r"\d{8}T\d{6}Z\.json")
OURS = "a snapshot that a playbook of this collection wrote"


class SnapshotError(Exception):
    """A snapshot cannot be read or written. The message names it, and says what to do."""


def write(folder: Path, snapshot: SiteSnapshot, now: datetime) -> Path:
    """Write a snapshot, named after the time; if that name is taken, after the next free second.

    :raises SnapshotError: if that is not possible.
    """
    with _writable():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for second in itertools.count():
            path = folder / f"{now + timedelta(seconds=second):{NAME}}"
            with contextlib.suppress(FileExistsError):
                create_file(path, _text(snapshot), MODE)
                break
    return path


def mark(path: Path, *, finished: bool = False, used: Collection[str] = (), saved: Collection[str] = ()) -> None:
    """Note in a snapshot that its run has finished, or that these hosts have been restored or saved.

    :raises SnapshotError: if that is not possible.
    """
    now = f"{datetime.now(UTC):{TIME}}"
    snapshot = load(path)
    marked = replace(
        snapshot.restored(dict.fromkeys(used, now)),
        finished=now if finished else snapshot.finished,
        saved={**snapshot.saved, **dict.fromkeys(saved, now)},
    )
    with _writable():
        replace_file(path, _text(marked), MODE)


def _text(snapshot: SiteSnapshot) -> str:
    return json.dumps(snapshot.as_dict(), indent=4, sort_keys=True) + "\n"


@contextlib.contextmanager
def _writable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SnapshotError(
            f"The snapshot cannot be written to {error.filename}: {error.strerror}."
            " Set 'snapshot_directory' to a folder on the controller that this user may write to."
        ) from error


def load(path: Path) -> SiteSnapshot:
    """Read one snapshot.

    :raises SnapshotError: if it cannot be read, or is something else.
    """
    try:
        return SiteSnapshot.of_text(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _unreadable(path, error) from error
    except ValueError as error:
        raise SnapshotError(f"{path}: {error}") from error


def _unreadable(path: Path, error: OSError) -> SnapshotError:
    remedy = (
        " Only its owner may read it: run the playbook as that user, or change the owner."
        if isinstance(error, PermissionError)
        else ""
    )
    return SnapshotError(f"{path} cannot be read: {error.strerror}.{remedy}")


def history(folder: Path) -> tuple[History, list[str]]:
    """Return all snapshots of a folder, and the names of what is not a snapshot.

    :raises SnapshotError: if the folder or a file cannot be read, or if one that is named like a snapshot is something else.
    """
    entries, others = [], []
    try:
        found = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        found = []
    except OSError as error:
        raise _unreadable(folder, error) from error
    for path in found:
        if path.suffix != ".json" or not path.is_file():
            others.append(path.name)
            continue
        try:
            text = path.read_text(encoding="utf-8")
            entries.append(Entry(path.name, SiteSnapshot.of_text(text)))
        except OSError as error:
            raise _unreadable(path, error) from error
        except ValueError as error:
            if NAMED.fullmatch(path.name):
                raise SnapshotError(f"{path}: {error} Move it out of the folder, or name another one.") from error
            others.append(path.name)
    return History(entries), others


def find(folder: Path, name: str) -> Path:
    """Return the file of this name, as it is or in the folder.

    :raises SnapshotError: if there is none.
    """
    for path in (Path(name).expanduser(), folder / name):
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise _unreadable(path, error) from error
        return path
    try:
        there = sorted(path.name for path in folder.glob("*.json"))
    except OSError as error:
        raise _unreadable(folder, error) from error
    raise SnapshotError(
        f"There is no snapshot {name}. Name a file with -e snapshot=... Snapshots in {folder}: {', '.join(there) or 'none'}."
    )
