# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the engine asks of every load balancer: the interface that each vendor's adapter implements."""

from __future__ import annotations

import abc
import typing as t
from collections.abc import Iterable, Mapping, Sequence

from ansible_collections.aovpn.ikev2.plugins.module_utils import _http
from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Endpoint, Http
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import (
    Change,
    Finding,
    Reading,
    Service,
    Snapshot,
    Unread,
    Value,
)

SAVE_TIMEOUT = 180
"""How long a large device may take to save its configuration, in seconds."""


class Adapter(abc.ABC):
    """One vendor's words and requests. Takes and returns plain values, raises DeviceError, and decides nothing.

    An adapter remembers what the device showed, never how far a run has come.
    """

    platform: t.ClassVar[str]
    title: t.ClassVar[str]
    """What messages call a device of this kind."""
    setting: t.ClassVar[str]
    """The device's own name of the setting that keeps the client's address."""
    preserving: t.ClassVar[Value]
    """The value of this setting with which it does."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.host = endpoint.host
        self.label = f"{self.title} {endpoint.host}"
        self._http = Http(endpoint, self.label)
        self.save_pending = False
        """Whether an earlier run may have left a change unsaved."""
        self.progress = self._http.progress
        """What the task waited for, and what the device reported meanwhile."""

    @classmethod
    def of(cls, endpoint: Endpoint, options: dict[str, t.Any], snapshot: Snapshot | None) -> t.Self:
        """Return the adapter that a module's options describe, without those of the endpoint. ``snapshot``: what is restored."""
        return cls(endpoint, **options)

    @property
    def requests(self) -> int:
        """Count the HTTP requests so far."""
        return self._http.requests

    @property
    def pauses(self) -> tuple[float | None, ...]:
        """Return how many seconds to wait after each try; None after the last one."""
        return (*_http.PAUSES, None)

    def pause(self, seconds: float, note: str) -> None:
        """Wait, and note why."""
        self._http.pause(seconds, note)

    def shield(self) -> None:
        """Let no interruption come between this and the end, as for a rollback and the log-out."""
        self._http.shield()

    @property
    def saves(self) -> bool:
        """Report whether ``keep`` saves anything."""
        return False

    # What is wanted, in the device's own settings

    @property
    def wanted_device(self) -> Mapping[str, Value]:
        """Return the settings of the whole device that keeping the client's address needs."""
        return {}

    def wanted(self, service: Service) -> Mapping[str, Value]:
        """Return the settings that state ``preserved`` gives ``service``; empty where it is right as it is."""
        return {} if service.source_preserved else {self.setting: self.preserving}

    def preserves(self, service: Service, settings: Mapping[str, Value]) -> bool:
        """Report whether ``service`` would keep the client's address with these settings."""
        return settings[self.setting] == self.preserving

    def settings(self, value: Value) -> Mapping[str, Value]:
        """Return the settings that a service's ``value`` in a snapshot stands for."""
        return {self.setting: value}

    # The way through

    @abc.abstractmethod
    def open(self) -> None:
        """Log in."""

    def close(self) -> None:
        """Log out, and close the connection."""
        self._http.close()

    @abc.abstractmethod
    def read(self) -> Reading:
        """Read every UDP service in as few requests as the device allows."""

    def reread(self, services: Sequence[Service]) -> Reading:
        """Read these services again, by name, and the device's settings. More may be returned, if that costs nothing."""
        return self.read()

    def inspect(self, services: Sequence[Service]) -> Sequence[Finding]:
        """Report what the last reading shows about ``services``, with another request only where it leaves a question open."""
        return ()

    def explain(self, addresses: Sequence[str]) -> Sequence[str]:
        """Report what else has these addresses, where no service was found. Called just before the run ends with an error."""
        return ()

    @abc.abstractmethod
    def guard(self, services: Sequence[Service], *, changing: bool) -> Reading:
        """Read what a change to ``services`` depends on: return them with their servers, and further findings.

        ``changing``: the change follows at once, so what does not bear on it need not cost a request.
        """

    def obstacles(self, changes: Sequence[Change]) -> Sequence[str]:
        """Report why the device would refuse ``changes``, as far as it has shown that by now. Sends no request."""
        return ()

    @abc.abstractmethod
    def apply(self, changes: Sequence[Change]) -> None:
        """Make these changes, in this order, and no others."""

    @abc.abstractmethod
    def keep(self) -> None:
        """Make what was changed survive a reboot, where the device does not do so by itself and ``save`` is on."""

    def finish(self, services: Sequence[Service], changed: Sequence[Service]) -> Sequence[Finding]:
        """Do what follows a change that was made and kept, and report what is left to know.

        ``changed`` are those of ``services`` that were changed. A failure here does not undo the change.
        """
        return ()

    def _flows(
        self,
        note: str = "They keep it until they have been idle, which keepalives may delay for long.",
        remedy: str = "Let clients reconnect where it matters.",
    ) -> Finding:
        """Report that a change does not reach existing flows."""
        message = f"Existing flows keep the source address with which they began. {note}"
        return Finding("existing_flows", "info", self.label, message, remedy)


def unread_findings(
    unread: Iterable[Unread], *, kind: str = "object", of: str = "", consequence: str = "It was left out."
) -> list[Finding]:
    """Report objects of this kind that cannot be read. ``of``: what they belong to."""
    return [
        Finding(
            "not_read",
            "warning",
            f"{item.id} of {of}" if of else item.id,
            f"This {kind} is described in a way that is not understood ({item.reason}). {consequence}",
            "Check by hand whether the VPN depends on it. Please report this with the device's version.",
        )
        for item in unread
    ]
