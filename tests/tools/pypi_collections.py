# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Extracts the collections that the tests need from the PyPI package `ansible`, without Galaxy, and without installing its
60,000 files.

usage: pypi_collections.py CORE ROOT        e.g. pypi_collections.py 2.21 .nox/collections/2.21
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

# The two that the tests use, and those that the f5_modules for core 2.16 import.
NAMES = ("ansible/windows", "f5networks/f5_modules", "ansible/netcommon", "ansible/utils")
# For examples/awx, which the newest cores test. Version 14 of the package does not have it any more.
AWX, AWX_PACKAGE, AWX_SINCE = "awx/awx", "ansible==13.*", 13
# The lab runs this one's win_powershell, ansible.windows 3.8.0, whatever core is tested.
PINNED = {14: "14.5.0"}


def ansible_major(core: str) -> int:
    """Return the major version of the package `ansible` for this ansible-core: 9 for 2.16, 10 for 2.17, and so on."""
    return int(core.split(".")[1]) - 7


def fetch(core: str, root: Path) -> None:
    """Extract the collections for ansible-core `core` to `root`, unless they exist."""
    major = ansible_major(core)
    wanted = {f"ansible=={PINNED.get(major, f'{major}.*')}": [*NAMES]}
    if major >= AWX_SINCE:
        wanted.setdefault(AWX_PACKAGE, []).append(AWX)
    paths = {package: tuple(f"ansible_collections/{name}/" for name in names) for package, names in wanted.items()}
    if all((root / path).exists() for of_package in paths.values() for path in of_package):
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent) as work:
        unpacked = Path(work, "unpacked")
        for package, prefixes in paths.items():
            extract(package, prefixes, Path(work), unpacked)
        shutil.rmtree(root, ignore_errors=True)
        shutil.move(unpacked, root)  # last, so that what exists is complete


def extract(package: str, prefixes: tuple[str, ...], work: Path, target: Path) -> None:
    """Extract the collections with these paths from a package to `target`."""
    print(f"Extracting {', '.join(prefixes)} from the package {package}", flush=True)
    options = ["--quiet", "--no-deps", "--only-binary=:all:", "--python-version=3.13", "--dest", str(work)]
    subprocess.run([sys.executable, "-m", "pip", "download", *options, package], check=True)
    (wheel,) = work.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target, [name for name in archive.namelist() if name.startswith(prefixes)])
    wheel.unlink()


if __name__ == "__main__":
    fetch(sys.argv[1], Path(sys.argv[2]))
