# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one table of platforms: modules, inventory check and report read it, and tests hold the role and the documents to it.

It knows no adapter, so reading it costs nothing: each module brings that of its own platform.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

if t.TYPE_CHECKING:
    from collections.abc import Mapping

Spec: t.TypeAlias = "dict[str, dict[str, t.Any]]"
"""Options as AnsibleModule takes them, and with ``env``: the environment variables that stand in for one that is not given."""


@dataclass(frozen=True)
class Platform:
    """One kind of load balancer.

    ``title`` is what users call it, ``options`` are those that its module has beside the common ones, and ``rules`` the limits
    between them, as AnsibleModule takes them.
    """

    name: str
    title: str
    module: str
    options: Spec
    rules: Mapping[str, t.Any] = field(default_factory=dict)


SECRET: t.Final = {"type": "str", "no_log": True}
SAVE: Spec = {"save": {"type": "bool", "default": True}, "save_pending": {"type": "bool", "default": False}}


def _tls(prefix: str) -> Spec:
    return {
        "validate_certs": {"type": "bool", "default": True, "env": [f"{prefix}_VALIDATE_CERTS"]},
        "ca_path": {"type": "path", "env": [f"{prefix}_CA_PATH"]},
    }


BIGIP: Spec = {
    "host": {"type": "str", "required": True, "aliases": ["server"], "env": ["F5_SERVER"]},
    "port": {"type": "int", "default": 443, "aliases": ["server_port"], "env": ["F5_SERVER_PORT"]},
    **_tls("F5"),
    "username": {"type": "str", "required": True, "aliases": ["user"], "env": ["F5_USER"]},
    "password": {**SECRET, "required": True, "env": ["F5_PASSWORD"]},
    "login_provider": {"type": "str", "default": "tmos"},
    "partition": {"type": "str"},
    "sync_group": {"type": "str"},
    "clear_connections": {"type": "bool", "default": False},
    **SAVE,
}
NETSCALER: Spec = {
    "host": {"type": "str", "required": True, "aliases": ["nsip"], "env": ["NETSCALER_NSIP"]},
    "port": {"type": "int", "default": 443, "env": ["NETSCALER_PORT"]},
    **_tls("NETSCALER"),
    "username": {"type": "str", "aliases": ["nitro_user"], "env": ["NETSCALER_NITRO_USER"]},
    "password": {**SECRET, "aliases": ["nitro_pass"], "env": ["NETSCALER_NITRO_PASS"]},
    "nitro_auth_token": {**SECRET, "env": ["NETSCALER_NITRO_AUTH_TOKEN"]},
    "subnet_ip_mode": {"type": "bool", "default": True},
    "use_proxy_port": {"type": "bool"},
    "admin_partition": {"type": "str"},
    **SAVE,
}
NETSCALER_RULES: t.Final = {
    "required_one_of": [("nitro_auth_token", "username")],
    "required_together": [("username", "password")],
}
LOADMASTER: Spec = {
    "host": {"type": "str", "required": True, "env": ["LOADMASTER_HOST"]},
    "port": {"type": "int", "default": 443, "env": ["LOADMASTER_PORT"]},
    **_tls("LOADMASTER"),
    "username": {"type": "str", "env": ["LOADMASTER_USERNAME"]},
    "password": {**SECRET, "env": ["LOADMASTER_PASSWORD"]},
    "api_key": {**SECRET, "env": ["LOADMASTER_API_KEY"]},
    "api_version": {"type": "str", "choices": ["auto", "1", "2"], "default": "auto"},
    "client_cert": {"type": "path"},
    "client_key": {"type": "path"},
    "gateway": {"type": "str"},
}
LOADMASTER_RULES: t.Final = {
    "required_one_of": [("api_key", "username", "client_cert")],
    "required_together": [("username", "password")],
    "required_by": {"client_key": "client_cert"},
}

PLATFORMS: t.Final[Mapping[str, Platform]] = {
    platform.name: platform
    for platform in (
        Platform("bigip", "F5 BIG-IP", "bigip_snat", BIGIP),
        Platform("netscaler", "Citrix ADC (NetScaler)", "netscaler_usip", NETSCALER, NETSCALER_RULES),
        Platform("loadmaster", "Kemp LoadMaster", "loadmaster_transparency", LOADMASTER, LOADMASTER_RULES),
    )
}


def title(name: str) -> str:
    """Return what users call a platform; a report may be about one that this version does not know."""
    return PLATFORMS[name].title if name in PLATFORMS else "load balancer"
