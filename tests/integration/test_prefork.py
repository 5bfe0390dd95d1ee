# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run in a fork is the run of the command itself."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness import COMMANDS, inherited, prefork

WHERE = "{{ lookup('pipe', 'pwd') }} {{ ansible_playbook_python }} {{ lookup('env', 'HOME') }}"
RUNS = {
    "good": ("ansible", "localhost", "-m", "debug", "-a", f"msg={WHERE!r}"),
    "failed": ("ansible", "localhost", "-m", "fail"),
    "unknown": ("ansible-playbook", "no-such-playbook.yml"),
    "usage": ("ansible-playbook", "--no-such-option"),
}


@pytest.mark.each_core
@pytest.mark.parametrize("name", RUNS)
def test_a_fork_does_what_the_command_does(name: str, tmp_path: Path) -> None:
    command = [str(COMMANDS / RUNS[name][0]), *RUNS[name][1:]]
    code, output = prefork().run(command, tmp_path, 60)
    itself = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env=inherited(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (code, output) == (itself.returncode, itself.stdout + itself.stderr)
    assert (code == 0) == (name == "good")
    assert (str(tmp_path) in output) == (name == "good")


def test_settings_of_its_own_need_the_command_itself(tmp_path: Path) -> None:
    assert prefork().serves(inherited(), tmp_path)
    assert not prefork().serves({**inherited(), "ANSIBLE_FORKS": "1"}, tmp_path)
    assert not prefork().serves(inherited(), tmp_path, ["ip", "netns", "exec", "other"])
    (tmp_path / "ansible.cfg").write_text("[defaults]\n", encoding="utf-8")
    assert not prefork().serves(inherited(), tmp_path)


def test_a_run_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        prefork().run([str(COMMANDS / "ansible"), "localhost", "-m", "pause", "-a", "seconds=30"], tmp_path, 3)
    assert time.monotonic() - started < 20
    code, _output = prefork().run([str(COMMANDS / "ansible"), "--version"], tmp_path, 60)
    assert code == 0
