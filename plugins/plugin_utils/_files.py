# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files on the controller."""

from __future__ import annotations

import os
from pathlib import Path


def replace_file(path: Path, text: str, mode: int) -> None:
    """Write a file so that it is whole or not there, whatever becomes of this run, and never open to more than ``mode`` says.

    :raises OSError: where it cannot be written.
    """
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    new.touch(mode)
    new.chmod(mode)
    new.write_text(text, encoding="utf-8")
    os.replace(new, path)
