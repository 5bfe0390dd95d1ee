# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files are whole or not there."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._files import create_file, replace_file


def test_a_file_is_replaced_and_open_to_those_who_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("old", encoding="utf-8")
    replace_file(path, "new", 0o644)
    assert (path.read_text(encoding="utf-8"), stat.S_IMODE(path.stat().st_mode)) == ("new", 0o644)
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_there_is_not_replaced_by_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.json"
    create_file(path, "first", 0o600)
    with pytest.raises(FileExistsError, match=str(path)):
        create_file(path, "second", 0o600)
    assert (path.read_text(encoding="utf-8"), stat.S_IMODE(path.stat().st_mode)) == ("first", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_nothing_and_the_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "chmod", refuse)
    path = tmp_path / "report.json"
    with pytest.raises(OSError, match="No space left on device") as told:
        replace_file(path, "new", 0o644)
    assert told.value.filename == str(path)
    assert list(tmp_path.iterdir()) == []


def test_two_writers_of_one_file_do_not_disturb_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, replace = tmp_path / "report.json", os.replace

    def meet(new: str, old: Path) -> None:
        monkeypatch.setattr(os, "replace", replace)
        replace_file(path, "theirs", 0o644)
        replace(new, old)

    monkeypatch.setattr(os, "replace", meet)
    replace_file(path, "ours", 0o644)
    assert path.read_text(encoding="utf-8") == "ours"
    assert list(tmp_path.iterdir()) == [path]
