# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports what a built collection archive contains that its users do not need.

usage: archive.py FOLDER        with the one archive that `ansible-galaxy collection build` made there
"""

from __future__ import annotations

import sys
import tarfile
from pathlib import Path, PurePosixPath

# All top-level entries of the archive. For a new one in the checkout, decide whether it belongs here or in galaxy.yml's
# build_ignore.
EXPECTED = {
    "CHANGELOG.md",
    "FILES.json",
    "LICENSE",
    "MANIFEST.json",
    "README.md",
    "changelogs",
    "docs",
    "examples",
    "extensions",
    "meta",
    "playbooks",
    "plugins",
    "roles",
}
RULEBOOKS = {f"extensions/eda/rulebooks/{name}.yml" for name in ("drift", "drift_awx")}
REQUIRED = {
    "CHANGELOG.md",
    "LICENSE",
    "MANIFEST.json",
    "README.md",
    "meta",
    "playbooks",
    "plugins",
    "roles",
} | RULEBOOKS
NOWHERE = {"__pycache__", ".git", ".ansible"}


def complaints(names: list[str]) -> list[str]:
    """Return what is wrong with an archive of these file names."""
    paths = [PurePosixPath(name) for name in names]
    top = {path.parts[0] for path in paths if path.parts}
    unwanted = {f"{path}: does not belong in the archive" for path in paths if NOWHERE & set(path.parts)}
    unwanted |= {f"{name}: does not belong in the archive" for name in top - EXPECTED}
    return sorted(unwanted | {f"{name}: is missing" for name in REQUIRED - top - {*names}})


def main(folder: Path) -> int:
    """Check the archive in `folder`, and return the exit code."""
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        names = tar.getnames()
    found = complaints(names)
    print("\n".join(found) or f"{archive.name}: {len(names)} entries, all of them expected")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
