# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says what a built collection archive holds that its users have no use for.

usage: archive.py FOLDER        with the one archive that `ansible-galaxy collection build` made there
"""

from __future__ import annotations

import sys
import tarfile
from pathlib import Path, PurePosixPath

# The top of the archive in full: a file that is new at the top of the checkout has to be thought about, here and in
# galaxy.yml's build_ignore.
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
REQUIRED = {"CHANGELOG.md", "LICENSE", "MANIFEST.json", "README.md", "meta", "plugins"}
NOWHERE = {"__pycache__", ".git", ".ansible"}


def complaints(names: list[str]) -> list[str]:
    """What is wrong with an archive of these file names."""
    paths = [PurePosixPath(name) for name in names]
    top = {path.parts[0] for path in paths if path.parts}
    unwanted = {f"{path}: does not belong into the archive" for path in paths if NOWHERE & set(path.parts)}
    unwanted |= {f"{name}: does not belong into the archive" for name in top - EXPECTED}
    return sorted(unwanted | {f"{name}: is missing" for name in REQUIRED - top})


def main(folder: Path) -> int:
    """Check the archive in `folder`; gives the exit code."""
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        names = tar.getnames()
    found = complaints(names)
    print("\n".join(found) or f"{archive.name}: {len(names)} entries, none that does not belong there")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
