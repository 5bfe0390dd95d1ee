# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The folder of snapshots: files are private and whole, and what cannot be read is an error and not "no snapshot"."""

from __future__ import annotations

import errno
import json
import os
import stat
import typing as t
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Snapshot
from ansible_collections.aovpn.ikev2.plugins.plugin_utils import _snapshots
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.snapshot import Part, SiteSnapshot
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._snapshots import SnapshotError

NOW = datetime(2026, 1, 31, 2, 0, 0, tzinfo=UTC)
SNAPSHOT = SiteSnapshot(
    "2026-01-31T02:00:00Z", "remediate", servers={"rras1": {"gateway": None}, "rras2": {"gateway": None}}
)


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o022])
def test_a_file_is_its_owners_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        path = _snapshots.write(tmp_path / "new", SNAPSHOT, NOW)
        _snapshots.mark(path, finished=True)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) & 0o077 == 0
    assert [one.name for one in path.parent.iterdir()] == ["20260131T020000Z.json"]


def test_marks_add_to_one_another(tmp_path: Path) -> None:
    path = _snapshots.write(tmp_path, SNAPSHOT, NOW)
    _snapshots.mark(path, finished=True)
    _snapshots.mark(path, used=["rras1"])
    _snapshots.mark(path, used=["rras1", "rras2"])
    found = _snapshots.load(path)
    assert found.finished
    assert {host: len(times) for host, times in found.used.items()} == {"rras1": 2, "rras2": 1}
    assert found.servers == SNAPSHOT.servers


def test_a_snapshot_of_the_first_format_can_be_marked(tmp_path: Path) -> None:
    path = tmp_path / "20260131T020000Z.json"
    path.write_text(
        '{"format": 1, "taken": "2026-01-31T02:00:00Z", "services": {}, "load_balancers": {}, "servers": {"rras1": {}}}'
    )
    _snapshots.mark(path, used=["rras1"])
    assert json.loads(path.read_text(encoding="utf-8"))["format"] == 2
    assert [*_snapshots.load(path).used] == ["rras1"]


def test_strangers_are_named_and_skipped(tmp_path: Path) -> None:
    kept = _snapshots.write(tmp_path, SNAPSHOT, NOW)
    renamed = tmp_path / "before the migration.json"
    renamed.write_bytes(kept.read_bytes())
    for name, text in (("notes.json", "[]"), ("README", ""), (".lock", ""), (".20260131T020000Z.json.x", "{")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "folder.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    history, others = _snapshots.history(tmp_path)
    assert [one.name for one in history.entries] == [kept.name, renamed.name]
    assert others == ["README", "folder.json", "notes.json", "pipe.json"]
    assert _snapshots.history(tmp_path / "missing")[0].entries == []


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"format": 3}'])
def test_what_is_named_like_a_snapshot_and_is_none_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "20260131T020000Z.json").write_bytes(content)
    with pytest.raises(SnapshotError, match=r"20260131T020000Z\.json: .*Move it out of the folder"):
        _snapshots.history(tmp_path)
    with pytest.raises(SnapshotError, match=r"20260131T020000Z\.json: "):
        _snapshots.load(tmp_path / "20260131T020000Z.json")


@pytest.mark.parametrize("name", ["20260131T020000Z.json", "renamed.json"])
def test_a_file_of_another_user_is_not_overlooked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / name).touch()

    def refuse(path: Path, *_arguments: t.Any, **_options: t.Any) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    for read in (lambda: _snapshots.history(tmp_path), lambda: _snapshots.load(tmp_path / name)):
        with pytest.raises(
            SnapshotError, match=rf"{name} cannot be read: Permission denied\. Only its owner may read it"
        ):
            read()
    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(SnapshotError, match="cannot be read: Permission denied"):
        _snapshots.find(tmp_path, name)
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(SnapshotError, match=rf"{tmp_path} cannot be read: Permission denied"):
        _snapshots.history(tmp_path)


def test_a_name_is_looked_for_here_and_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _snapshots.write(tmp_path / "snapshots", SNAPSHOT, NOW)
    monkeypatch.chdir(tmp_path)
    assert _snapshots.find(path.parent, path.name) == path
    assert _snapshots.find(tmp_path, f"snapshots/{path.name}").resolve() == path
    with pytest.raises(SnapshotError, match=f"There is no snapshot gone.json.*: {path.name}"):
        _snapshots.find(path.parent, "gone.json")


def test_where_nothing_can_be_written_the_error_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SnapshotError, match="Set 'snapshot_directory' to a folder"):
        _snapshots.write(tmp_path / "file", SNAPSHOT, NOW)


def test_what_a_run_may_have_left_unsaved(tmp_path: Path) -> None:
    part = Part(Snapshot("bigip", "192.0.2.1", {"/Common/vs": "automap"}, {}))
    broken = replace(SNAPSHOT, finished=None, used={}, load_balancers={"one": part, "two": part})
    first = _snapshots.write(tmp_path, broken, NOW)
    second = _snapshots.write(tmp_path, broken, NOW)
    _snapshots.write(tmp_path, replace(broken, finished="2026-01-01T00:00:00Z"), NOW)
    assert _snapshots.history(tmp_path)[0].unsaved == {
        "one": (first.name, second.name),
        "two": (first.name, second.name),
    }
    _snapshots.mark(first, saved=["one"])
    _snapshots.mark(second, used=["two"])
    assert _snapshots.history(tmp_path)[0].unsaved == {"one": (second.name,), "two": (first.name,)}
    assert SiteSnapshot.of_text(first.read_text()).saved.keys() == {"one"}
    _snapshots.mark(first, saved=["two"])
    _snapshots.mark(second, saved=["one"])
    assert _snapshots.history(tmp_path)[0].unsaved == {}
