# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run in a fork is the run of the command itself."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness import COMMANDS, inherited, prefork

WHERE = "{{ lookup('pipe', 'pwd') }} {{ ansible_playbook_python }} {{ lookup('env', 'HOME') }}"
TEMPLATES = {
    "usual": "<< 6 * 7 >> {{ 6 * 7 }}",
    "unusual": "#jinja2:variable_start_string:'<<',variable_end_string:'>>'\n<< 6 * 7 >> {{ 6 * 7 }}",
    "escaped": r"{{ 'C:\temp' }}",
}
RUNS = {
    "good": ("ansible", "localhost", "-m", "debug", "-a", f"msg={WHERE!r}"),
    "templates": (
        *("ansible", "localhost", "-e", json.dumps(TEMPLATES)),
        *("-m", "debug", "-a", "msg={{ [usual, unusual, escaped, lookup('template', 'escaped.j2')] | join(', ') }}"),
    ),
    "played": ("ansible-playbook", "play.yml"),
    "failed": ("ansible", "localhost", "-m", "fail"),
    "unknown": ("ansible-playbook", "no-such-playbook.yml"),
    "usage": ("ansible-playbook", "--no-such-option"),
}


@pytest.mark.each_core
@pytest.mark.parametrize("name", RUNS)
def test_a_fork_does_what_the_command_does(name: str, tmp_path: Path) -> None:
    command = [str(COMMANDS / RUNS[name][0]), *RUNS[name][1:]]
    (tmp_path / "escaped.j2").write_text(TEMPLATES["escaped"], encoding="utf-8")  # where no backslash is escaped
    (tmp_path / "play.yml").write_text("- hosts: localhost\n  tasks: [{debug: {msg: played}}]\n", encoding="utf-8")
    code, output = prefork().run(command, tmp_path, 60)
    again = prefork().run(command, tmp_path, 60)  # with the templates that the first fork has compiled
    itself = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env=inherited(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (code, output) == again == (itself.returncode, itself.stdout + itself.stderr)
    assert (code == 0) == (name in ("good", "templates", "played"))
    assert (str(tmp_path) in output) == (name == "good")
    assert ("<< 6 * 7 >> 42, 42 {{ 6 * 7 }}, C:" in output) == (name == "templates")


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
