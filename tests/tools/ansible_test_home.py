# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prepares a HOME for ansible-test, so that it works on a machine that reaches only a package index.

ansible-test downloads a get-pip script from a host that many networks do not reach, unless it is in its cache. And it hides
all PIP_* and proxy variables from the pip that it calls, so they are written to a pip.conf.

usage: ansible_test_home.py HOME MINOR      with the Python that has ansible-core installed; MINOR for example 3.13
"""

from __future__ import annotations

import ast
import configparser
import os
import shutil
import subprocess
import sys
from pathlib import Path

from ansible_test._internal.host_configs import VirtualPythonConfig
from ansible_test._internal.python_requirements import get_venv_packages


def provide_get_pip(home: Path, minor: str) -> None:
    """Put our get_pip.py, and the pip that it installs, where ansible-test looks for its download."""
    version = get_venv_packages(VirtualPythonConfig(version=minor))["pip"]
    cache = home / ".ansible/test/cache"
    cache.mkdir(parents=True, exist_ok=True)
    if not list(cache.glob(f"pip-{version}-*.whl")):
        pip("download", "--quiet", "--no-deps", "--dest", str(cache), f"pip=={version}")
    shutil.copyfile(Path(__file__).with_name("get_pip.py"), cache / f"get_pip_{version.replace('.', '_')}.py")


def provide_pip_conf(home: Path) -> None:
    """Write pip's settings, from the user's configuration and the environment, to a pip.conf."""
    config = configparser.RawConfigParser()
    if proxy := os.environ.get("https_proxy") or os.environ.get("HTTPS_PROXY"):
        config["global"] = {"proxy": proxy}
    for line in pip("config", "list").splitlines():
        name, value = line.split("=", 1)
        section, option = name.rsplit(".", 1)
        section = "global" if section == ":env:" else section
        if not config.has_section(section):
            config.add_section(section)
        config.set(section, option, ast.literal_eval(value))
    path = home / ".config/pip/pip.conf"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)  # the URL of an index may contain a password
    with path.open("w") as file:
        config.write(file)


def pip(*arguments: str) -> str:
    """Run this Python's pip, and return its output."""
    command = [sys.executable, "-m", "pip", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    provide_get_pip(Path(sys.argv[1]), sys.argv[2])
    provide_pip_conf(Path(sys.argv[1]))
