# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The import contracts in pyproject.toml find what they forbid."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ansible_collections.aovpn.ikev2.plugins.module_utils._platforms import PLATFORMS

REPOSITORY = Path(__file__).parents[3]
PLUGINS = "ansible_collections.aovpn.ikev2.plugins"
MODULE_UTILS = REPOSITORY / "plugins" / "module_utils"
CONTRACTS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
    "contracts"
]

PLANTED = [
    ("folders", "module_utils/_model.py", f"from {PLUGINS}.plugin_utils import _plain"),
    ("folders", "plugin_utils/_plain.py", f"from {PLUGINS}.filter import return_path"),
    ("folders", "modules/ikev2_probe.py", f"from {PLUGINS}.action import bigip_snat"),
    ("modules", "modules/ikev2_probe.py", f"from {PLUGINS}.plugin_utils import _plain"),
    ("engine", "module_utils/_model.py", f"def f():\n    from {PLUGINS}.module_utils import _plan"),
    ("engine", "module_utils/_engine.py", f"from {PLUGINS}.module_utils._bigip import adapter"),
    ("engine", "module_utils/_bigip/findings.py", f"from {PLUGINS}.module_utils._netscaler import objects"),
    ("engine", "module_utils/_not_in_any_layer.py", ""),
    ("site", "plugin_utils/_site/site.py", f"from {PLUGINS}.plugin_utils._report import model"),
    ("questions", "plugin_utils/_site/hosts.py", f"from {PLUGINS}.plugin_utils._site import verdict"),
    ("adapters", "module_utils/_loadmaster/adapter.py", f"from {PLUGINS}.module_utils import _plan"),
    ("ansible", "module_utils/_http.py", "from ansible.module_utils.common.text import converters"),
    ("libraries", "plugin_utils/_site/sources.py", "import netaddr"),
    ("libraries", "module_utils/_bigip/adapter.py", "import requests"),
    ("pure", "module_utils/_plan.py", "import time"),
    ("pure", "module_utils/_engine.py", f"from {PLUGINS}.module_utils._http import Http"),
    ("pure", "module_utils/_netscaler/objects.py", "from pathlib import Path"),
    ("pure", "plugin_utils/_report/model.py", f"from {PLUGINS}.plugin_utils import _files"),
]


def lint(root: Path, *contract: str) -> subprocess.CompletedProcess[str]:
    """Check this contract, or all, in the collection below the collections root ``root``."""
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo", *contract],
        cwd=root / "ansible_collections" / "aovpn" / "ikev2",
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a collections root with a copy of the plugins."""
    copy = tmp_path / "ansible_collections" / "aovpn" / "ikev2"
    shutil.copytree(REPOSITORY / "plugins", copy / "plugins", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", copy)
    return tmp_path


def test_nothing_is_found_where_nothing_is_planted(root: Path) -> None:
    done = lint(root)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("contract", "file", "text"), PLANTED)
def test_a_planted_violation_is_found(root: Path, contract: str, file: str, text: str) -> None:
    path = root / "ansible_collections" / "aovpn" / "ikev2" / "plugins" / file
    with path.open("a", encoding="utf-8") as plugin:
        plugin.write(f"\n{text}\n")
    after = lint(root, "--contract", contract)
    assert after.returncode == 1
    assert "BROKEN" in after.stdout


def test_there_is_a_violation_for_each_contract() -> None:
    assert {contract for contract, _file, _text in PLANTED} == {contract["id"] for contract in CONTRACTS}


def test_only_http_takes_requests() -> None:
    # Which names come from _libraries, the contracts cannot see.
    taking = {
        path.name
        for path in (REPOSITORY / "plugins").rglob("*.py")
        if re.search(r"(_libraries import .*|\blibraries\.)\brequests\b", path.read_text(encoding="utf-8"))
    }
    assert taking == {"_http.py", "_in_process.py", "_transport.py"}


@pytest.mark.parametrize("name", PLATFORMS)
def test_a_module_imports_its_own_adapter_and_requests_only_for_a_request(name: str) -> None:
    script = f"""
import importlib, sys
importlib.import_module("{PLUGINS}.modules.{PLATFORMS[name].module}")
from {PLUGINS}.module_utils._http import Endpoint, Http
http = Http(Endpoint("127.0.0.1", 1), "device")
http.close()
print([n.split(".")[-2] for n in sys.modules if n.endswith(".adapter")], "requests" in sys.modules)
try:
    http.send("GET", "/")
except Exception as error:
    print(type(error).__name__, "requests" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"['_{name}'] False\nUnreachable True\n", "")


def test_everything_can_be_imported_without_the_libraries() -> None:
    """Ansible loads the files where they are not installed, too, to show documentation or to say what is missing."""
    modules = [
        f"{PLUGINS}.module_utils.{'.'.join(path.relative_to(MODULE_UTILS).with_suffix('').parts)}"
        for path in sorted(MODULE_UTILS.rglob("*.py"))
    ]
    script = f"""
import importlib, sys
sys.modules.update(netaddr=None, requests=None)
for name in {modules!r}:
    importlib.import_module(name)
from {PLUGINS}.module_utils._libraries import MISSING
print(sorted(MISSING))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("['netaddr', 'requests']\n", "")
