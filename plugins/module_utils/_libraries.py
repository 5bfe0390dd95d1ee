# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The two libraries beyond ansible-core, and the one place that knows how to say that they are missing."""

from __future__ import annotations

import importlib
import importlib.util
import traceback
import typing as t

if t.TYPE_CHECKING:
    import netaddr
    import requests
    import urllib3

    MISSING: dict[str, str] = {}
else:
    # Ansible loads this file also where the libraries are not installed (to show documentation, say): it must not fail then.
    MISSING = {}
    try:
        import netaddr
    except ImportError:
        netaddr = None
        MISSING["netaddr"] = traceback.format_exc()
    if importlib.util.find_spec("requests") is None:
        MISSING["requests"] = "No module named 'requests'"

    def __getattr__(name):
        # Importing requests takes longer than all else that a task imports: only who asks for it pays.
        if name in ("requests", "urllib3"):  # the second comes with the first
            return importlib.import_module(name)
        raise AttributeError(name)


__all__ = ("MISSING", "netaddr", "requests", "urllib3")
