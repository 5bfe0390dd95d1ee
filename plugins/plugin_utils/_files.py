# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files on the controller, which are whole or not there, whatever becomes of a run."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


def replace_file(path: Path, text: str, mode: int) -> None:
    """Write a file, in place of one that is there, and never open to more than ``mode`` says.

    :raises OSError: where it cannot be written; it names ``path``.
    """
    with _written(path, text, mode) as new:
        os.replace(new, path)


def create_file(path: Path, text: str, mode: int) -> None:
    """Write a new file, never open to more than ``mode`` says.

    :raises FileExistsError: where there is one, which stays as it is.
    :raises OSError: where it cannot be written; it names ``path``.
    """
    with _written(path, text, mode) as new:
        path.touch(mode, exist_ok=False)  # takes the name, on file systems without links as well
        os.replace(new, path)


@contextlib.contextmanager
def _written(path: Path, text: str, mode: int) -> Iterator[str]:
    """Write beside ``path``, under a name that no other writer has; what is still there in the end is removed."""
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
        # A full disk names no file, and the name of the moment would mean nothing to anybody.
        raise OSError(error.errno, error.strerror, str(path)) from error
