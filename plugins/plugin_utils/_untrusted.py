# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What devices return is never a template. Up to ansible-core 2.18, a filter has to mark its results accordingly."""

from __future__ import annotations

import functools
import typing as t
from collections.abc import Callable

from ansible.utils.unsafe_proxy import wrap_var

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._plain import plain

Parameters = t.ParamSpec("Parameters")


def untrusted(function: Callable[Parameters, t.Any]) -> Callable[Parameters, t.Any]:
    """Return a filter whose results Ansible never treats as templates."""

    @functools.wraps(function)
    def wrapped(*arguments: Parameters.args, **options: Parameters.kwargs) -> t.Any:
        return wrap_var(plain(function(*arguments, **options)))

    return wrapped
