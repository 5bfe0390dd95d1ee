# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action of the module ``bigip_snat``: runs it in the controller's process where the task is local."""

from __future__ import annotations

from ansible_collections.aovpn.ikev2.plugins.modules.bigip_snat import main
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._in_process import InProcessAction, share_imports

share_imports()


class ActionModule(InProcessAction):
    """The module documents it."""

    main = main
