# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy of the checkout at ansible_collections/aovpn/ikev2, where ansible-test has to run, and where leftovers of tests do
not reach the checkout."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path


def copy_checkout(checkout: Path, root: Path) -> Path:
    """Update the copy of `checkout` under the collections root `root`, and return its path."""
    copy = root / "ansible_collections" / "aovpn" / "ikev2"
    copy.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (copy / ".git").exists():
            # ansible-test asks git which files belong to the collection. Without a repository here, git would ask the
            # checkout's, which ignores all of them.
            _git(copy, "init", "--quiet")
        files = {path for path in _listed(checkout) if _is_file(checkout / path)}
        for path in _listed(copy) - files:
            (copy / path).unlink(missing_ok=True)
        for path in files:
            _copy_file(checkout / path, copy / path)
        _git(copy, "add", "--all")
    return copy


def link_collections(root: Path, collections: Path) -> None:
    """Link the namespaces of the collections root `collections` into the collections root `root`."""
    target = root / "ansible_collections"
    target.mkdir(parents=True, exist_ok=True)
    for namespace in (collections / "ansible_collections").iterdir():
        link_path(target / namespace.name, namespace)


def link_path(link: Path, target: Path) -> None:
    """Make `link` a relative link to `target`, so that both may be moved together."""
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(os.path.relpath(target, link.parent))


def _copy_file(source: Path, target: Path) -> None:
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    if _is_file(target):
        old, new = target.lstat(), source.lstat()
        if (old.st_mode, old.st_size, old.st_mtime_ns) == (new.st_mode, new.st_size, new.st_mtime_ns):
            return  # rewriting it would invalidate the tools' caches
        target.unlink()
    shutil.copy2(source, target, follow_symlinks=False)


def _is_file(path: Path) -> bool:
    return path.is_symlink() or path.is_file()


def _listed(repository: Path) -> set[str]:
    """Return tracked files, including deleted ones, and new files that are not ignored."""
    return set(filter(None, _git(repository, "ls-files", "-co", "-z", "--exclude-standard").split("\0")))


def _git(repository: Path, *arguments: str) -> str:
    # A git hook that calls make passes on GIT_DIR and the like, which name the wrong repository.
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(repository), *arguments]
    return subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout
