# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the stand-ins' certificates need, for each vendor's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from expectations import no_pauses, raw_faults
from lab.core import CertificateAuthority

__all__ = ("no_pauses", "raw_faults")


@pytest.fixture(scope="module")
def authority() -> CertificateAuthority:
    """Return the authority that signs for the stand-ins."""
    return CertificateAuthority()


@pytest.fixture(scope="module")
def ca(authority: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the file with the authority's certificate."""
    path: Path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.write(path)
    return str(path)
