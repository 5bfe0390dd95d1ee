# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Without PowerShell, a test that would have needed it is skipped, which the summary says; with CI=true it fails."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

from lab.shell import find_powershell, obstacle, refused


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Skip what has failed after a script could not be run, because there is no PowerShell."""
    report = yield
    if report.failed and refused.is_set() and not os.environ.get("CI"):
        report.outcome = "skipped"
        report.longrepr = (str(item.path), item.location[1] or 0, f"Skipped: {obstacle()}")
    if call.when == "teardown":
        refused.clear()
    return report


@pytest.fixture(scope="session")
def pwsh() -> str:
    """Return PowerShell, for tests that start it themselves."""
    if reason := obstacle():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return str(find_powershell())
