# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""strongSwan's daemon, driven over VICI: as clients, and as the responder that stands for RRAS."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
import time
import typing as t
from pathlib import Path

import vici

from lab.dataplane import network
from lab.dataplane.network import Namespace, PlaneError, find

SECRET = "lab-ikev2-psk"
IDENTITY = "vpn.example.net"
IKE, ESP = "aes256-sha256-modp2048", "aes256-sha256"

# ESP by kernel-libipsec, in the process: it needs nothing of the kernel but a tun device, and always goes in UDP.
# Half-open negotiations are neither counted nor blocked: what limits the servers here is in `plane`.
CONFIGURATION = """
charon {{
  load_modular = no
  load = random nonce openssl hmac kdf aes sha1 sha2 kernel-libipsec kernel-netlink socket-default vici attr
  threads = {threads}
  cookie_threshold = 100000
  cookie_threshold_ip = 100000
  block_threshold = 100000
  half_open_timeout = 10
  retransmit_timeout = 0.4
  retransmit_base = 1.4
  retransmit_tries = 3
  reuse_ikesa = no
  ikesa_table_size = 256
  ikesa_table_segments = 8
  plugins {{ vici {{ socket = "unix://{folder}/vici" }} }}
  filelog {{ log {{ path = "{log}"
    default = 1
    time_format = %T
    ike_name = yes
    flush_line = yes }} }}
}}
"""


class Charon:
    """A daemon in a namespace. ``log`` is its log file; ``threads``: one is taken for as long as somebody connects."""

    def __init__(self, namespace: Namespace, log: Path, threads: int = 16) -> None:
        self.namespace, self.log, self.threads = namespace, log, threads
        self.folder = network.RUN / namespace.name
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it can be asked."""
        self.folder.mkdir()
        configuration = self.folder / "strongswan.conf"
        text = CONFIGURATION.format(threads=self.threads, folder=self.folder, log=self.log)
        configuration.write_text(text, encoding="utf-8")
        # A copy: where AppArmor confines the daemon, it does so by its path, to files and sockets of the system's own VPN.
        program = shutil.copy(find("charon-systemd") or "charon-systemd", self.folder / "charon")
        # If this process is killed, so is the daemon, which could not be reached any more.
        command = ["env", f"STRONGSWAN_CONF={configuration}", "setpriv", "--pdeathsig", "KILL", str(program)]
        self._process = subprocess.Popen(
            self.namespace.command(*command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 15
        while True:
            try:
                with self.session() as session:
                    session.version()
                    return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise PlaneError(f"strongSwan does not start in {self.namespace.name}; see {self.log}.") from None
                time.sleep(0.02)

    def stop(self) -> None:
        """End it."""
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    @contextlib.contextmanager
    def session(self) -> t.Iterator[vici.Session]:
        """Return a session of its own: a session carries out one command at a time."""
        with socket.socket(socket.AF_UNIX) as opened:
            opened.connect(str(self.folder / "vici"))
            yield vici.Session(opened)

    def load(self, connections: dict[str, t.Any], pools: dict[str, t.Any] | None = None) -> None:
        """Load connections with their common secret, and pools of addresses."""
        with self.session() as session:
            session.load_shared({"id": "psk", "type": "IKE", "data": SECRET, "owners": []})
            for name, pool in (pools or {}).items():
                session.load_pool({name: pool})
            for name, connection in connections.items():
                session.load_conn({name: connection})

    def initiate(self, connection: str) -> str:
        """Connect, wait for what comes of it, and give the error, if there is one."""
        with self.session() as session:
            try:
                for _dummy in session.initiate(
                    {"ike": connection, "child": "net", "timeout": "15000", "loglevel": "-1"}
                ):
                    pass
            except vici.exception.CommandException as error:
                return str(error)
        return ""

    def associations(self) -> list[dict[str, t.Any]]:
        """Return the established IKE security associations."""
        with self.session() as session:
            return [one for one in _all(session) if one["state"] == "ESTABLISHED"]

    def drop(self, connections: t.Collection[str] | None = None) -> None:
        """End the security associations of these connections, or all, also those that are not yet established. The peers are notified once."""
        with self.session() as session:
            for one in _all(session):
                if connections is None or one["name"] in connections:
                    with contextlib.suppress(vici.exception.CommandException):  # it has just ended by itself
                        for _dummy in session.terminate({"ike-id": one["uniqueid"], "force": "yes", "timeout": "-1"}):
                            pass

    def listen(self, events: t.Sequence[str], stopped: threading.Event) -> t.Iterator[str]:
        """Return the names of these events as they come, until ``stopped`` is set."""
        with (
            self.session() as session,
            contextlib.closing(session.listen(list(events), timeout=0.2)) as found,
        ):
            for name, _dummy in found:
                if stopped.is_set():
                    return
                if name:
                    yield _text(name)


def _all(session: vici.Session) -> list[dict[str, t.Any]]:
    return [{"name": name, **_text(one)} for found in session.list_sas() for name, one in found.items()]


def _text(value: t.Any) -> t.Any:
    """Return VICI's bytes as text."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, dict):
        return {key: _text(one) for key, one in value.items()}
    return [_text(one) for one in value] if isinstance(value, list) else value
