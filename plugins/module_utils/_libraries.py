# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The two libraries beyond ansible-core, and the one place that knows how to say that they are missing."""

from __future__ import annotations

import traceback
import typing as t

if t.TYPE_CHECKING:
    import netaddr
    import requests

    MISSING: dict[str, str] = {}
else:
    # Ansible loads this file also where the libraries are not installed (to show documentation, say): it must not fail then.
    MISSING = {}
    try:
        import netaddr
    except ImportError:
        netaddr = None
        MISSING["netaddr"] = traceback.format_exc()
    try:
        import requests
    except ImportError:
        requests = None
        MISSING["requests"] = traceback.format_exc()

__all__ = ("MISSING", "netaddr", "requests")
