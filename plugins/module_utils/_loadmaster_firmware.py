# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Published holes in the LoadMaster's management interface and API, by firmware version. Data, and one function that looks it up."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

Version: t.TypeAlias = "tuple[int, ...]"

RECORD = "https://github.com/CVEProject/cvelistV5/blob/main/cves"


@dataclass(frozen=True)
class Hole:
    """A published hole. ``affected``: the first version that has it, and the first that has it no more, by release line."""

    name: str
    what: str
    affected: tuple[tuple[str, str], ...]
    source: str


# CVE-2024-8755 names the long-term lines; the record of CVE-2024-7591 names 7.2.60.1 alone, and they are taken to be the same.
LONG_TERM = (("7.2.49.0", "7.2.54.13"), ("7.2.55.0", "7.2.60.2"))

# CVE-2024-2448 and -2449, which were published together.
MARCH_2024 = (
    ("7.1.35.10", "7.1.35.11"),
    ("7.2.48.10", "7.2.48.11"),
    ("7.2.49.0", "7.2.54.9"),
    ("7.2.55.0", "7.2.59.3"),
)

HOLES: t.Final = (
    Hole(
        "CVE-2018-9091",
        "commands without a login, by session management",
        (("6.0.44", "7.1.35.5"), ("7.2", "7.2.41.3")),
        f"{RECORD}/2018/9xxx/CVE-2018-9091.json",
    ),
    Hole(
        "CVE-2024-1212",
        "commands without a login, by the API",
        (("7.2.48.1", "7.2.48.10"), ("7.2.54.0", "7.2.54.8"), ("7.2.55.0", "7.2.59.2")),
        f"{RECORD}/2024/1xxx/CVE-2024-1212.json",
    ),
    Hole(
        "CVE-2024-2448",
        "commands by any user of the web interface",
        MARCH_2024,
        f"{RECORD}/2024/2xxx/CVE-2024-2448.json",
    ),
    Hole(
        "CVE-2024-2449",
        "an administrator's browser sends what another site wants",
        MARCH_2024,
        f"{RECORD}/2024/2xxx/CVE-2024-2449.json",
    ),
    Hole(
        "CVE-2024-6658",
        "commands by any user",
        (("0", "7.2.48.13"), ("7.2.49.0", "7.2.54.12"), ("7.2.55.0", "7.2.60.1")),
        f"{RECORD}/2024/6xxx/CVE-2024-6658.json",
    ),
    Hole(
        "CVE-2024-7591",
        "commands without a login, unless the vendor's add-on package is installed",
        (("7.2.40.0", "7.2.48.13"), LONG_TERM[0], ("7.2.55.0", "7.2.60.1")),
        f"{RECORD}/2024/7xxx/CVE-2024-7591.json",
    ),
    Hole(
        "CVE-2024-8755",
        "commands by any user",
        (("0", "7.2.48.13"), *LONG_TERM),
        f"{RECORD}/2024/8xxx/CVE-2024-8755.json",
    ),
    Hole(
        "CVE-2024-56133",
        "commands by any user",
        (("7.1.35.0", "7.2.48.13"), *LONG_TERM),
        f"{RECORD}/2024/56xxx/CVE-2024-56133.json",
    ),
    *(
        Hole(
            name,
            "commands by whoever may administer users, by the API",
            (("7.2.50.0", "7.2.54.16"), ("7.2.55.0", "7.2.62.2")),
            f"{RECORD}/2025/13xxx/{name}.json",
        )
        for name in ("CVE-2025-13444", "CVE-2025-13447")
    ),
    Hole(
        "CVE-2026-8037",
        "commands without a login, by the API",
        (("7.2.45.12", "7.2.54.18"), ("7.2.60.0", "7.2.63.2")),
        f"{RECORD}/2026/8xxx/CVE-2026-8037.json",
    ),
)


def holes(version: str) -> list[Hole]:
    """Give the published holes of a firmware version, such as ``7.2.63.0.22776.RELEASE``."""
    own = _numbers(version)
    return [
        hole
        for hole in HOLES
        if own and any(_numbers(first) <= own < _numbers(fixed) for first, fixed in hole.affected)
    ]


def _numbers(version: str) -> Version:
    """Read the release's numbers; what follows the fourth is the build's, and no two releases differ by it alone."""
    found = re.match(r"\d+(\.\d+)*", version.strip())
    return tuple(int(part) for part in found.group().split("."))[:4] if found else ()
