# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files on the controller that are always complete, even if a run is interrupted."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


def replace_file(path: Path, text: str, mode: int) -> None:
    """Write or replace a file. Its permissions never exceed ``mode``.

    :raises OSError: with ``path``, if it cannot be written.
    """
    with _written(path, text, mode) as new:
        os.replace(new, path)


def create_file(path: Path, text: str, mode: int) -> None:
    """Write a new file. Its permissions never exceed ``mode``.

    :raises FileExistsError: if it exists. It is left alone.
    :raises OSError: with ``path``, if it cannot be written.
    """
    with _written(path, text, mode) as new:
        path.touch(mode, exist_ok=False)  # reserves the name, even on file systems without links
        os.replace(new, path)


@contextlib.contextmanager
def _written(path: Path, text: str, mode: int) -> Iterator[str]:
    """Write next to ``path``, under a unique name. The file is removed if it still exists at the end."""
    try:
        descriptor, new = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(new, mode)
            yield new
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(new)
    except OSError as error:
        # The error for a full disk has no file name, and that of a temporary file would mean nothing to a user.
        raise OSError(error.errno, error.strerror, str(path)) from error
