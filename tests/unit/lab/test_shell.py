# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's PowerShell: what it replaces, what its faults do, and what is said without it."""

from __future__ import annotations

import ipaddress
import json
import re
import socket
import tempfile
import typing as t
from pathlib import Path

import pytest

from lab import shell as lab_shell
from lab.shell import Line, ansible_windows, obstacle, shell
from lab.windows import WindowsHost
from lab.winrm import Died


def test_the_session_of_win_powershell_is_made_in_one_place(pwsh: str) -> None:
    """Link.cs replaces the class of this expression, so that a session has the registry; see Lab.Session."""
    text = (ansible_windows() / "plugins" / "modules" / "win_powershell.ps1").read_text(encoding="utf-8")
    assert text.count("[InitialSessionState]::CreateDefault2()") == 1
    assert text.count("InitialSessionState") == 1


def run(host: WindowsHost, script: str) -> dict[str, t.Any]:
    """Run a script."""
    return host.module("win_powershell", {"script": script})


@pytest.mark.parametrize(
    ("fault", "stands", "failed"),
    [
        ({"kind": "error"}, False, True),
        ({"kind": "error after", "message": "late", "category": "PermissionDenied"}, True, True),
        ({"kind": "delay", "seconds": 0.1}, True, False),
        ({"kind": "error", "match": {"Name": "Another"}}, True, False),
        ({"kind": "error", "skip": 1}, True, False),
        ({"kind": "error", "times": 0}, True, False),
    ],
)
def test_a_fault_strikes_one_call(fault: dict[str, t.Any], stands: bool, failed: bool) -> None:
    host = WindowsHost("rras1", 1)
    host.state["cmdlet_faults"] = [{"command": "Remove-NetRoute", **fault}]
    done = run(host, "Remove-NetRoute -DestinationPrefix 0.0.0.0/0 -PolicyStore ActiveStore -Confirm:$false")
    gone = not [route for route in host.state["routes"]["active"] if route["dest"] == "0.0.0.0/0"]
    assert (gone, bool(done["error"])) == (stands, failed)
    if failed:
        expected = fault.get("message", "The RPC server is unavailable."), fault.get("category", "ConnectionError")
        (error,) = done["error"]
        assert (error["exception"]["message"], error["category_info"]["category"]) == expected


@pytest.mark.parametrize(("kind", "gone"), [pytest.param("die", False, marks=pytest.mark.matrix), ("die after", True)])
def test_powershell_dies_and_the_next_call_starts_another(kind: str, gone: bool) -> None:
    host = WindowsHost("rras1", 1)
    host.state["cmdlet_faults"] = [{"command": "Remove-NetRoute", "kind": kind}]
    script = "Remove-NetRoute -DestinationPrefix 0.0.0.0/0 -PolicyStore ActiveStore -Confirm:$false"
    with pytest.raises(Died):
        run(host, script)
    assert (not [route for route in host.state["routes"]["active"] if route["dest"] == "0.0.0.0/0"]) is gone
    started = shell().started
    assert run(host, "'here'")["output"] == ["here"]
    assert shell().started == started + 1


def test_the_next_process_loads_what_this_one_has_compiled_for_ansible() -> None:
    host = WindowsHost("rras1", 1)
    run(host, "1")
    types = Path(shell().common()["LAB_TYPES"])
    another = lab_shell.Shell()
    done = another.module(host, {"script": "[Ansible.Basic.AnsibleModule].Assembly.Location"})
    another.stop()
    (location,) = json.loads(done.output)["output"]
    assert location.startswith(f"{types}-")


def test_a_powershell_killed_before_it_reads_its_answer_has_nothing_more_to_say() -> None:
    ours, theirs = socket.socketpair()
    line = Line(ours)
    line.write({"answer": 1})
    theirs.close()
    assert line.read() is None
    line.write({"answer": 2})
    assert line.read() is None
    line.close()


def test_hosts_do_not_see_each_other() -> None:
    first, second = WindowsHost("rras1", 1), WindowsHost("rras1", 2)
    names = [
        run(host, "(Get-CimInstance -ClassName Win32_ComputerSystem).Name; $env:COMPUTERNAME")["output"]
        for host in (first, second)
    ]
    assert names == [["RRAS1"] * 2, ["RRAS2"] * 2]


def test_a_key_is_seen_as_soon_as_it_is_there_and_no_longer() -> None:
    """Whether a key exists is remembered for a moment, until something is written."""
    key = "HKLM:\\SOFTWARE\\Lab"
    test = f"Test-Path -LiteralPath {key}"
    steps = f"{test}; $null = New-Item -Path {key}; {test}; Remove-Item -LiteralPath {key} -Recurse; {test}"
    one, other = WindowsHost("rras1", 1), WindowsHost("rras2", 2)
    assert run(one, steps)["output"] == [False, True, False]
    one.state["registry"][key] = {}
    assert [run(host, test)["output"] for host in (one, other, one)] == [[True], [False], [True]]


def test_a_host_has_neither_this_machines_programs_nor_its_users_modules() -> None:
    host = WindowsHost("rras1", 1)
    assert run(host, "Get-Command -Name sh, ls -ErrorAction Ignore")["output"] == []
    places = run(host, "$env:PSModulePath -split [IO.Path]::PathSeparator")["output"]
    assert not [place for place in places if Path(place).is_relative_to(Path.home()) and Path(place).exists()]


def test_what_is_shown_has_powershells_own_format() -> None:
    """The formats are read once, for all sessions."""
    (shown,) = run(WindowsHost("rras1", 1), "New-TimeSpan -Seconds 90 | Out-String")["output"]
    assert re.search(r"^TotalSeconds +: 90$", shown, re.MULTILINE)


def test_a_killed_process_leaves_nothing_among_temporary_files() -> None:
    host = WindowsHost("rras1", 1)
    (number,) = run(host, "$PID")["output"]
    host.state["cmdlet_faults"] = [{"command": "Get-NetRoute", "kind": "die"}]
    with pytest.raises(Died):
        run(host, "Get-NetRoute")
    started, names = shell().socket.lstat().st_mtime, f"*[-.]{number}[-.]*"
    assert list(shell().folder.glob(names)), "its files go with the shell's folder"
    assert [path for path in Path(tempfile.gettempdir()).glob(names) if path.lstat().st_mtime >= started] == []


def test_a_script_cannot_change_what_sessions_share_about_formats() -> None:
    (error,) = run(WindowsHost("rras1", 1), "Update-FormatData")["error"]
    assert error["fully_qualified_error_id"].startswith("CannotUpdateSharedFormatTable")


def test_a_script_cannot_change_what_sessions_share_about_types() -> None:
    host = WindowsHost("rras1", 1)
    add = "Update-TypeData -TypeName System.Int32 -MemberType NoteProperty -MemberName Lab -Value 1"
    (error,) = run(host, add)["error"]
    assert error["fully_qualified_error_id"].startswith("CannotUpdateSharedTypeTable")
    assert run(host, "[bool](1).PSObject.Properties['Lab']")["output"] == [False]


def test_who_is_reached_follows_from_routes_and_routers() -> None:
    host = WindowsHost("rras1", 1)
    beyond, near = ipaddress.IPv4Address("172.16.0.50"), ipaddress.IPv4Address("10.10.0.99")
    assert host.reaches(beyond)
    host.state["gateways"]["10.10.0.254"] = ["198.51.100.0/24"]
    assert not host.reaches(beyond)
    del host.state["gateways"]["10.10.0.254"]
    assert not host.reaches(ipaddress.IPv4Address("198.51.100.7"))
    assert host.reaches(near)
    host.state["routes"]["active"] = []
    assert not host.reaches(near)


def test_without_powershell_a_script_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(lab_shell, "PROJECT", tmp_path / "nowhere" / "project")
    reason = obstacle()
    assert reason is not None
    assert "Install Microsoft's package powershell" in reason
    assert "\n" not in reason


def test_an_ansible_windows_that_is_too_old_is_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "ansible_collections" / "ansible" / "windows"
    folder.mkdir(parents=True)
    about = {"collection_info": {"version": "3.3.0"}}
    (folder / "MANIFEST.json").write_text(json.dumps(about), encoding="utf-8")
    monkeypatch.setenv("LAB_COLLECTIONS", str(tmp_path))
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", str(tmp_path))
    with pytest.raises(lab_shell.NoPowerShell, match=r"ansible\.windows 3\.6\.1 or later"):
        ansible_windows()
