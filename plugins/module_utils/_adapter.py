# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the engine asks of every load balancer: the interface that each vendor's adapter has."""

from __future__ import annotations

import abc
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Change, Finding, Reading, Service, Value

SAVE_TIMEOUT = 180
"""How long the configuration of a large device may take to be saved, in seconds."""


class Adapter(abc.ABC):
    """One vendor's words and requests. Takes and gives plain values, raises DeviceError, decides nothing."""

    platform: t.ClassVar[str]
    preserving: Value
    """The service setting that keeps the client's address."""

    host: str
    label: str
    """What messages call the device."""

    @property
    @abc.abstractmethod
    def requests(self) -> int:
        """Count the HTTP requests so far."""

    @property
    def progress(self) -> Sequence[str]:
        """Tell what the device was waited for, and what it said meanwhile."""
        return ()

    @property
    def preserving_device(self) -> Mapping[str, Value]:
        """Give the device settings that keeping the client's address needs."""
        return {}

    def preserves(self, service: Service, value: Value) -> bool:
        """Say whether ``service`` would keep the client's address with this value."""
        return value == self.preserving

    def suits(self, service: Service) -> bool:
        """Say whether ``service`` stands as state 'preserved' wants it."""
        return service.source_preserved

    @abc.abstractmethod
    def open(self) -> None:
        """Log in."""

    @abc.abstractmethod
    def close(self) -> None:
        """Log out, and let go of the connection."""

    @abc.abstractmethod
    def read(self) -> Reading:
        """Read every UDP service in as few requests as the device allows."""

    def inspect(self, services: Sequence[Service]) -> Sequence[Finding]:
        """Tell what the reading itself shows about ``services``, without another request."""
        return ()

    @abc.abstractmethod
    def guard(self, services: Sequence[Service], *, changing: bool) -> Reading:
        """Read what a change to ``services`` has to be judged by: give them back with their servers, and add findings.

        ``changing``: the change follows at once, and what has no bearing on it need not cost it a request.
        """

    @abc.abstractmethod
    def apply(self, changes: Sequence[Change]) -> None:
        """Make these changes, in this order, and no others."""

    @abc.abstractmethod
    def keep(self) -> None:
        """Make what was changed survive a reboot, where the device does not do so by itself and ``save`` is on."""

    def finish(self, services: Sequence[Service]) -> Sequence[Finding]:
        """Do what follows a change to ``services`` that stands and is kept, and tell what is left to know.

        What fails here is no reason to undo the change.
        """
        return ()
