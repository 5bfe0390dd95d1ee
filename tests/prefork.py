# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starts Ansible's commands in forks of a process that has imported what they import: that costs more than a short run.

A fork runs the real command, in its own folder, with its own standard streams, in the same process group, and ends as Python
does. ansible-core reads its settings as it is imported, so a run whose settings may differ has to start the command itself.
Ansible compiles a collection's code for every run, so this collection's is imported as well, by Ansible's own loader.
It also compiles each template again in each worker, so compiled templates are kept in files that all forks share.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import typing as t
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

IMPORTED = ("ansible.cli.adhoc", "ansible.cli.playbook", "ansible.plugins.cache.memory", "requests", "winrm")
KINDS = ("filter", "inventory", "strategy", "test", "vars")
"""The kinds of ansible-core's plugins that are imported; of filters and tests, only what they import is shared."""
READ = ("become", "callback", "connection", "shell")
"""The kinds of which every playbook's run loads all, and reads which settings they have."""
COLLECTION = Path(__file__).resolve().parents[1]


class Prefork:
    """A process that is ready to run commands in this environment, one at a time; ``within``: started by this command."""

    def __init__(self, environment: t.Mapping[str, str], within: t.Sequence[str] = ()) -> None:
        self.environment = dict(environment)
        self.within = within
        self.channel, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                [*within, sys.executable, __file__, str(theirs.fileno())],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def serves(self, environment: t.Mapping[str, str], folder: Path, within: t.Sequence[str] = ()) -> bool:
        """Report whether a run in this folder would be where the process is, and read the settings that it has read."""
        return within == self.within and environment == self.environment and not (folder / "ansible.cfg").exists()

    def end(self) -> None:
        """End the process, so that nothing of it holds its network namespace."""
        self.channel.close()
        self.process.wait()

    def run(self, command: t.Sequence[str], folder: Path, timeout: float) -> tuple[int, str]:
        """Run a command. Return its exit code, and what it has put out: standard output, then standard error."""
        self.channel.settimeout(timeout)
        pipes = [os.pipe(), os.pipe()]
        socket.send_fds(
            self.channel, [json.dumps([str(folder), *command]).encode()], [writing for _dummy, writing in pipes]
        )
        for _dummy, writing in pipes:
            os.close(writing)
        number = int(self.channel.recv(64))
        with ThreadPoolExecutor(2) as pool:
            reading = [pool.submit(_read, pipe) for pipe, _dummy in pipes]
            try:
                code = int(self.channel.recv(64))
            except TimeoutError:
                os.kill(number, signal.SIGKILL)
                self.channel.recv(64)
                raise
            return code, "".join(one.result() for one in reading)


def _read(pipe: int) -> str:
    with open(pipe, encoding="utf-8") as file:
        return file.read()


def forks(channel: socket.socket, compiled: str) -> list[str]:
    """Fork for every command that comes. Return it in the fork; the process itself ends with the channel, and removes this folder."""
    while True:
        message, streams, _dummy, _dummy = socket.recv_fds(channel, 65536, 2)
        if not message:
            shutil.rmtree(compiled, ignore_errors=True)
            os._exit(0)
        if number := os.fork():
            for stream in streams:
                os.close(stream)
            channel.send(str(number).encode())
            channel.send(str(os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])).encode())
            continue
        channel.close()
        for target, stream in enumerate(streams, start=1):
            os.dup2(stream, target)
            os.close(stream)
        folder, *command = json.loads(message)
        os.chdir(folder)
        return command


def import_all() -> None:
    """Import ansible-core, libraries, and with Ansible's loader this collection and the one that it needs."""
    for name in IMPORTED:
        importlib.import_module(name)
    for kind in KINDS:
        package = importlib.import_module(f"ansible.plugins.{kind}")
        for plugin in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(plugin.name)
    loader: t.Any = importlib.import_module("ansible.plugins.loader")
    loader.init_plugin_loader()
    for kind in READ:
        list(getattr(loader, f"{kind}_loader").all(class_only=True))
    warnings.filterwarnings("ignore", "AnsibleCollectionFinder has already been configured")
    importlib.import_module("ansible_collections.ansible.windows.plugins")
    for path in sorted(
        [*COLLECTION.glob("plugins/action/*.py"), *COLLECTION.glob("plugins/module_utils/_*/adapter.py")]
    ):
        name = ".".join(path.relative_to(COLLECTION).with_suffix("").parts)
        importlib.import_module(f"ansible_collections.aovpn.ikev2.{name}")
    manifest: t.Any = importlib.import_module("ansible.executor.powershell.module_manifest")
    manifest.PSModuleDepFinder()  # compiles its regular expressions
    page: t.Any = importlib.import_module("ansible_collections.aovpn.ikev2.plugins.plugin_utils._report.page")
    for path in COLLECTION.glob("plugins/plugin_utils/_report/*.j2"):
        page.templates().get_template(path.name)


def keep_compiled(folder: str) -> None:
    """Keep compiled templates in this folder, so that a fork reuses what another has compiled with the same settings."""
    jinja2: t.Any = importlib.import_module("jinja2")
    cache = jinja2.FileSystemBytecodeCache(folder)
    compile_itself = jinja2.Environment.compile

    def compile_once(environment: t.Any, source: t.Any, name: str | None = None, filename: str | None = None) -> t.Any:
        # An expression arrives already parsed. Where Jinja optimizes, as in ansible-core 2.16, code contains results of filters.
        # And whether a backslash is escaped is not a setting of the environment in newer versions.
        if not isinstance(source, str) or environment.optimized or "\\" in source:
            return compile_itself(environment, source, name, filename)
        settings = {key: value for key, value in vars(environment).items() if isinstance(value, int | str | None)}
        key = repr((type(environment), settings, name, filename, str(source)))
        bucket = cache.get_bucket(environment, key, None, key)
        if not bucket.code:
            bucket.code = compile_itself(environment, source, name, filename)
            cache.set_bucket(bucket)
        return bucket.code

    jinja2.Environment.compile = compile_once


def main() -> None:
    """Import, wait for commands, and become one in each fork."""
    # As the command has it; and no folder of the tests hides a package.
    sys.path[0] = str(Path(sys.executable).parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import_all()
    constants: t.Any = importlib.import_module("ansible.constants")
    paths: t.Any = importlib.import_module("ansible.utils.path")
    # The folder for temporary files was made with the settings. Every run has its own.
    paths.cleanup_tmp_file(constants.DEFAULT_LOCAL_TMP)
    atexit.unregister(paths.cleanup_tmp_file)
    compiled = tempfile.mkdtemp(prefix="templates-")
    keep_compiled(compiled)
    gc.freeze()  # what is shared is not copied
    gc.set_threshold(50_000, 20, 20)  # a run ends before its garbage matters
    sys.argv = forks(socket.socket(fileno=int(sys.argv[1])), compiled)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    constants.DEFAULT_LOCAL_TMP = constants.config.get_config_value("DEFAULT_LOCAL_TMP")
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
