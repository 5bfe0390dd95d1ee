# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replaces the get-pip script that ansible-test would download. ansible_test_home.py copies it to get_pip_<version>.py, next to
the wheel of that pip, which installs itself."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

script = Path(__file__)
(wheel,) = script.parent.glob(f"pip-{script.stem.removeprefix('get_pip_').replace('_', '.')}-*.whl")
# The first two are options of get-pip; the rest (pip==..., setuptools==...) is for pip.
wanted = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
packages = [str(wheel) if argument.startswith("pip==") else argument for argument in wanted]

sys.path.insert(0, str(wheel))
sys.argv = ["pip", "install", "--upgrade", "--force-reinstall", *packages]
runpy.run_module("pip", run_name="__main__", alter_sys=True)
