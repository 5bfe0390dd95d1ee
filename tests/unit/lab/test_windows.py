# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The simulated Windows host, by pywinrm and without Ansible."""

from __future__ import annotations

import base64
import json
import threading
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import winrm.exceptions
from hypothesis import given, settings
from hypothesis import strategies as st
from winrm.protocol import Protocol

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.network import Network
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._windows.steps import Step, predict
from lab.core import CertificateAuthority
from lab.system import find_key, find_value
from lab.windows import IKE_LIMIT, IKEEXT_KEY, ROLLBACK, WindowsHost, stop_service
from lab.winrm import Work, decode

Result = dict[str, t.Any]
LIMIT = {"path": IKEEXT_KEY, "name": IKE_LIMIT, "data": 50000, "type": "dword"}
SCRIPT = """[CmdletBinding(SupportsShouldProcess)]
param([int]$By)
if (-not $By) { throw 'no By' }
if ($PSCmdlet.ShouldProcess('the count')) { $null = New-ItemProperty -LiteralPath HKLM:\\SOFTWARE -Name Count -PropertyType DWord -Value $By -Force }
$Ansible.Result = @{ By = $By }
$Ansible.Diff = @{ before = 1; after = 2 }
"""


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> tuple[CertificateAuthority, Path]:
    """Return a private certificate authority, and its certificate."""
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority = CertificateAuthority()
    authority.write(path)
    return authority, path


@pytest.fixture
def host(ca: tuple[CertificateAuthority, Path]) -> Iterator[WindowsHost]:
    """Start a host."""
    made = WindowsHost("rras1", 1)
    made.start(ca[0])
    yield made
    made.stop()


def connect(host: WindowsHost, ca: Path, password: str = WindowsHost.password) -> Protocol:
    """Connect as Ansible does, with short time-outs."""
    return Protocol(
        f"https://127.0.0.1:{host.port}/wsman",
        transport="basic",
        username=host.username,
        password=password,
        ca_trust_path=str(ca),
        operation_timeout_sec=1,
        read_timeout_sec=5,
    )


@pytest.fixture
def client(host: WindowsHost, ca: tuple[CertificateAuthority, Path]) -> Protocol:
    """Connect to the host."""
    return connect(host, ca[1])


def powershell(script: str) -> str:
    """Return the command line that runs a script."""
    return (
        f"PowerShell -NoProfile -NonInteractive -EncodedCommand {base64.b64encode(script.encode('utf-16-le')).decode()}"
    )


BOOTSTRAP = powershell('$input.Split(@("`0`0`0`0"), 2)')


def new_payload(*actions: Result, rest: bytes = b"", wrapper: str = "exec_wrapper") -> bytes:
    """Return the payload of ansible-core 2.19 and later."""
    boot, manifest = (
        {"name": wrapper, "script": "", "params": {}},
        {"scripts": {}, "actions": actions, "signed_hashlist": []},
    )
    return f"{json.dumps(boot)}\n\0\0\0\0\n{json.dumps(manifest)}".encode() + rest


def module_action(wanted: str, /, **arguments: t.Any) -> Result:
    """Return the last action of a payload."""
    value = {"_ansible_module_name": f"ansible.windows.{wanted}", **arguments}
    return {"name": "module_wrapper.ps1", "params": {"Variables": [{"Name": "complex_args", "Value": value}]}}


def old_payload(actions: list[str], name: str, **manifest: t.Any) -> bytes:
    """Return the payload of ansible-core 2.16."""
    arguments = {"_ansible_module_name": name}
    return b"begin {}\0\0\0\0" + json.dumps({"actions": actions, "module_args": arguments, **manifest}).encode()


def run(client: Protocol, wanted: str, /, **arguments: t.Any) -> Result:
    """Run a module as Ansible does."""
    shell = client.open_shell(codepage=65001)
    command = client.run_command(shell, BOOTSTRAP, console_mode_stdin=False)
    payload = new_payload(module_action(wanted, **arguments))
    client.send_command_input(shell, command, payload[:50])
    client.send_command_input(shell, command, payload[50:], end=True)
    try:
        stdout, stderr, code = client.get_command_output(shell, command)
    finally:
        client.cleanup_command(shell, command)
        client.close_shell(shell, close_session=False)
    result: Result = json.loads(stdout)
    assert (stderr, code) == (b"", int(result.get("failed", False)))
    return result


def module(host: WindowsHost, wanted: str, /, **arguments: t.Any) -> Result:
    """Run a module without WinRM."""
    full = {"_ansible_module_name": f"ansible.windows.{wanted}", "_ansible_inject_invocation": False, **arguments}
    return host.module(wanted, full)


# What Ansible sends


def test_decode_takes_apart_each_layout() -> None:
    """The payloads of all supported cores are understood, the job's among them."""
    ping = {"_ansible_module_name": "ansible.windows.win_ping"}
    assert decode(BOOTSTRAP, new_payload(module_action("win_ping"))) == Work("MODULE", "win_ping", ping)
    background = {"name": "async_wrapper.ps1", "params": {"AsyncJid": "j1", "AsyncDir": "C:\\jobs"}}
    watchdog = {"name": "async_watchdog.ps1", "params": {"Timeout": 9}}
    job = decode(BOOTSTRAP, new_payload(background, watchdog, module_action("win_ping")))
    assert job == Work("MODULE", "win_ping", ping, job=("j1", "C:\\jobs"))
    old = old_payload(["module_powershell_wrapper"], "ansible.legacy.ping", environment={})
    assert decode(powershell(BOOTSTRAP), old).path == "win_ping"
    steps = ["async_wrapper", "async_watchdog", "module_powershell_wrapper"]
    old = old_payload(steps, "win_ping", environment={"ANSIBLE_ASYNC_DIR": "C:\\jobs"}, async_jid="j2")
    work = decode(BOOTSTRAP, old)
    assert (work.job, work.numbers) == (("j2", "C:\\jobs"), True)


def test_decode_takes_apart_uploads() -> None:
    """Both ways to put a file are understood."""
    lines = base64.b64encode(b"one ") + b"\r\n" + base64.b64encode(b"two") + b"\r\n"
    put = {"name": "winrm_put_file.ps1", "params": {"Path": "C:\\a b"}}
    assert decode(BOOTSTRAP, new_payload(put, rest=b"\n\0\0\0\0\n" + lines)) == Work("PUT", "C:\\a b", data=b"one two")
    script = "begin {\n$path = 'C:\\it''s'\n$fd = [System.IO.File]::Create($path)\n}"
    assert decode(powershell(script), lines) == Work("PUT", "C:\\it's", data=b"one two")


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"begin {}\0\0\0\0{",
        new_payload(module_action("win_ping"), wrapper="other"),
        new_payload({"name": "become_wrapper.ps1", "params": {}}, module_action("win_ping")),
        old_payload(["become_wrapper", "module_powershell_wrapper"], "win_ping", environment={}),
    ],
)
def test_decode_refuses_what_it_does_not_know(payload: bytes) -> None:
    """Half a payload, and steps that the lab does not play, are errors."""
    with pytest.raises(ValueError, match=r"."):
        decode(BOOTSTRAP, payload)


# WinRM


def test_session(host: WindowsHost, client: Protocol, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module runs, its certificate trusted whatever the environment says; the log has it once, the shell is gone."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    assert run(client, "win_regedit", **LIMIT)["changed"]
    assert [(str(entry), entry.body, entry.writes, entry.status) for entry in host.log] == [
        ("MODULE win_regedit", LIMIT, True, 0)
    ]
    operations = [entry.body for entry in host.http_log]
    assert operations == ["Create", "Command", "Send", "Send", "Receive", "Signal", "Delete"]
    assert host.writing() == host.log
    assert host.open_sessions() == []
    host.reset()
    assert (host.log, host.http_log, find_value(host.state, IKEEXT_KEY, IKE_LIMIT)) == ([], [], None)


def test_raw(host: WindowsHost, client: Protocol) -> None:
    """A known command is answered, another refused; an open shell is seen."""
    shell = client.open_shell()
    answers = [
        client.get_command_output(shell, client.run_command(shell, line)) for line in ("hostname", "dir", BOOTSTRAP)
    ]
    assert answers[0] == (b"RRAS1\r\n", b"", 0)
    assert answers[1][2] == 1
    assert b"does not know the command: dir" in answers[1][1]
    assert b"invalid payload" in answers[2][1]
    assert host.open_sessions() == [shell]


def test_wrong_password(host: WindowsHost, ca: tuple[CertificateAuthority, Path]) -> None:
    """A wrong password is a 401."""
    with pytest.raises(winrm.exceptions.InvalidCredentialsError):
        connect(host, ca[1], "wrong").open_shell()
    assert host.open_sessions() == []


def test_unknown_ids(host: WindowsHost, client: Protocol) -> None:
    """Unknown shells and commands are WinRM's own faults."""
    with pytest.raises(winrm.exceptions.WSManFaultError) as caught:
        client.run_command("nope", "hostname")
    assert (caught.value.wsman_fault_code, caught.value.fault_subcode) == (2150858843, "w:InvalidSelectors")
    assert "the shell was not found on the server" in caught.value.reason
    with pytest.raises(winrm.exceptions.WSManFaultError) as caught:
        client.cleanup_command(client.open_shell(), "nope")
    assert caught.value.wsman_fault_code == 2150858813


HEADER = (
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
    'xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
    'xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"><s:Header>'
    "<a:MessageID>uuid:{}</a:MessageID><a:Action>{}</a:Action><w:ResourceURI>{}</w:ResourceURI></s:Header><s:Body/></s:Envelope>"
)
CREATE = "http://schemas.xmlsoap.org/ws/2004/09/transfer/Create"
CMD = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/cmd"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("no XML", 2150858819),
        ('<!DOCTYPE e [<!ENTITY e "e">]><e>&e;</e>', 2150858819),
        ("<e/>", 2150858817),
        (HEADER.format("1", "http://other/Action", CMD), 2150858801),
        (HEADER.format("1", CREATE, "http://other/resource"), 2150858811),
        (HEADER.format("1", CREATE, CMD), 2150858817),
    ],
)
def test_bad_messages(body: str, code: int) -> None:
    """What is no message of WinRM's is a fault with its code, and relates to the message it came in."""
    client = WindowsHost("rras1", 1).app.test_client()
    credentials = (WindowsHost.username, WindowsHost.password)
    answer = client.post("/wsman", data=body, auth=credentials, content_type="application/soap+xml")
    assert (answer.status_code, f'Code="{code}"' in answer.text) == (500, True)
    assert f"<a:RelatesTo>{'uuid:1' if 'uuid:1' in body else ''}</a:RelatesTo>" in answer.text
    assert client.post("/wsman", data=body, auth=credentials).status_code == 415
    assert client.post("/wsman", data=body).status_code == 401


# Faults


def test_cut(host: WindowsHost, client: Protocol) -> None:
    """The connection is cut before or after the module took effect."""
    before, after = host.fault(reset="before"), host.fault(reset="after")
    for _dummy in range(2):
        with pytest.raises(requests.ConnectionError):
            run(client, "win_regedit", **LIMIT)
        assert bool(find_value(host.state, IKEEXT_KEY, IKE_LIMIT)) == bool(after.seen)
    assert (before.seen, after.seen) == (host.log[:1], host.log[1:])
    assert [entry.writes for entry in host.log] == [False, True]


def test_slow_module(host: WindowsHost, client: Protocol) -> None:
    """A module that takes longer than the operation time-out needs more than one Receive."""
    host.fault(lambda entry: entry.path == "win_ping", delay=1.3)
    assert run(client, "win_ping")["ping"] == "pong"
    assert [entry.status for entry in host.http_log if entry.body == "Receive"] == [500, 200]


def test_dark(host: WindowsHost, client: Protocol) -> None:
    """A dark host keeps everyone waiting; then it answers."""
    host.fault(dark=0.7)
    started = time.monotonic()
    assert run(client, "win_ping")["ping"] == "pong"
    assert time.monotonic() - started >= 0.7
    with pytest.raises(ValueError, match="no HTTP answer"):
        host.fault(answer=object())


def test_job(host: WindowsHost) -> None:
    """A background job has its entry in the log; its result is merged with what was said at the start."""
    host.fault(delay=0.2)
    work = decode(BOOTSTRAP, new_payload(module_action("win_ping")))
    answer = json.loads(host._start_job(work, "j1", "C:\\jobs").stdout)
    status = {"jid": answer["ansible_job_id"], "_async_dir": "C:\\jobs"}
    assert not module(host, "async_status", **status)["finished"]
    for thread in threading.enumerate():
        if thread.name == "rras1 job":
            thread.join()
    found = module(host, "async_status", **status)
    assert (found["finished"], found["ping"], found["results_file"]) == (True, "pong", answer["results_file"])
    assert module(host, "async_status", **status, mode="cleanup")["erased"] == answer["results_file"]
    assert module(host, "async_status", **status)["failed"]


# Options


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("win_ping", {"b": 1, "a": 1}, "Unsupported parameters for (ansible.windows.win_ping) module: a, b. "),
        ("win_regedit", {}, "missing required arguments: path"),
        ("win_regedit", {"key": "x", "delete_key": "si"}, "The value 'si' is not a valid boolean."),
        (
            "win_regedit",
            {"path": "x", "state": "there"},
            "value of state must be one of: present, absent. Got no match",
        ),
        ("win_regedit", {"path": "x", "hive": "y"}, "does not play the option hive"),
        ("win_regedit", {"path": "HKLM:\\x", "name": "y", "type": "binary"}, "does not play the type binary"),
        ("win_regedit", {"path": "HKEY_LOCAL_MACHINE\\x"}, "is not a valid powershell path"),
        ("win_regedit", LIMIT | {"data": 2**32}, "data cannot be larger than 0xffffffff when type is dword"),
        ("win_regedit", LIMIT | {"data": 1.5}, "cannot be a decimal or float value with a remainder"),
        ("win_regedit", LIMIT | {"data": "many"}, 'Cannot convert value "many" to type "System.UInt64"'),
        ("win_regedit", LIMIT | {"data": [1]}, 'value of type "System.Object[]" to type "System.Int32"'),
        ("win_reg_stat", {"path": "x"}, "path: x is not a valid registry path"),
        ("win_service", {"name": "x", "start_mode": "auto"}, "Service 'x' is not installed"),
        ("win_service", {"name": "IKEEXT", "state": "absent"}, "does not remove services"),
        ("win_service", {"name": "IKEEXT", "state": "paused"}, "The service does not support pausing"),
        (
            "win_powershell",
            {"script": SCRIPT, "depth": "deep"},
            "argument for depth is of type System.String and we were",
        ),
        (
            "win_powershell",
            {"script": SCRIPT, "parameters": [1]},
            "is of type System.Object[] and we were unable to convert",
        ),
        (
            "win_powershell",
            {"script": "Get-Date", "unknown": 1},
            "Unsupported parameters for (ansible.windows.win_powershell) module",
        ),
        ("win_shell", {}, "does not know the module win_shell"),
    ],
)
def test_refusals(host: WindowsHost, name: str, arguments: Result, message: str) -> None:
    """Wrong options are refused in the real modules' words, and change nothing."""
    before = json.dumps(host.state)
    result = module(host, name, **arguments)
    assert result["failed"]
    assert message in result["msg"]
    assert json.dumps(host.state) == before


def test_frame(host: WindowsHost) -> None:
    """Invocation and diff come when they are asked for, as the cores ask."""
    plain = host.module("win_regedit", {"_ansible_module_name": "win_regedit", "_ansible_check_mode": True, **LIMIT})
    assert plain["invocation"]["module_args"]["delete_key"] is True
    assert "diff" not in plain
    assert set(module(host, "win_regedit", _ansible_diff=True, **LIMIT)["diff"]) == {"before", "after"}


# Modules


def test_regedit(host: WindowsHost) -> None:
    """Keys, values and types are made, compared and removed; check mode says the same and does nothing."""
    path = "HKLM:\\SOFTWARE\\Lab"
    assert module(host, "win_regedit", path=path, _ansible_check_mode=True)["changed"]
    assert find_key(host.state, path) is None
    assert [module(host, "win_regedit", path=path)["changed"] for _dummy in range(2)] == [True, False]
    assert module(host, "win_regedit", path=path, name="a", data="1")["changed"]
    other = module(host, "win_regedit", path=path.upper(), name="A", data="0x2", type="dword")
    assert (other["data_changed"], other["data_type_changed"]) == (True, True)
    assert host.state["registry"][path] == {"a": {"type": "dword", "data": 2}}
    stat = module(host, "win_reg_stat", path="HKLM:\\SOFTWARE")
    assert (stat["exists"], stat["properties"], stat["sub_keys"]) == (True, {}, ["Lab"])
    properties = {"a": {"type": "REG_DWORD", "value": 2, "raw_value": 2}}
    assert module(host, "win_reg_stat", path=path)["properties"] == properties
    gone: Result = {"path": path, "name": "a", "state": "absent"}
    assert [module(host, "win_regedit", **gone)["changed"] for _dummy in range(2)] == [True, False]
    gone = {"path": "HKLM:\\SOFTWARE", "state": "absent"}
    assert module(host, "win_regedit", **gone, _ansible_check_mode=True)["changed"]
    assert [module(host, "win_regedit", **gone)["changed"] for _dummy in range(2)] == [True, False]
    assert not module(host, "win_reg_stat", path=path)["exists"]
    assert module(host, "win_regedit", path=path, type="dword")["warnings"]


def test_find_key_knows_both_forms(host: WindowsHost) -> None:
    """Case and the form of the hive's name do not matter."""
    assert find_key(host.state, IKEEXT_KEY.lower().replace("hklm:", "hkey_local_machine") + "\\") == IKEEXT_KEY
    assert find_key(host.state, "HKLM:\\Nope") is None


def test_service(host: WindowsHost) -> None:
    """A service starts, stops and restarts; IKEEXT reads its limit then, and its tunnels are gone."""
    ikeext = host.state["services"]["IKEEXT"]
    module(host, "win_regedit", **LIMIT)
    assert not module(host, "win_service", name="ikeext", state="started")["changed"]
    assert module(host, "win_service", name="IKEEXT", state="restarted", _ansible_check_mode=True)["changed"]
    assert (ikeext["ike_limit"], ikeext["starts"], len(host.state["sas"])) == (None, 1, 12)
    result = module(host, "win_service", name=ikeext["display_name"], state="restarted")
    assert (result["changed"], result["state"], result["username"], result["depended_by"]) == (
        True,
        "running",
        "LocalSystem",
        [],
    )
    assert (ikeext["ike_limit"], ikeext["starts"], host.state["sas"]) == (50000, 2, [])
    assert module(host, "win_service", name="IKEEXT", state="stopped", start_mode="disabled")["state"] == "stopped"
    assert "cannot be started" in module(host, "win_service", name="IKEEXT", state="started")["msg"]
    assert module(host, "win_service", name="nope") == {"changed": False, "exists": False}


def test_dependents(host: WindowsHost) -> None:
    """What other running services depend on is stopped by force only, and they with it."""
    host.state["stop_drops_sas"] = False
    services = host.state["services"]
    services["IKEEXT"]["dependents"] = ["RemoteAccess"]
    restart = {"name": "IKEEXT", "state": "restarted"}
    assert "because it has dependent services" in module(host, "win_service", **restart)["msg"]
    assert services["IKEEXT"]["starts"] == 1
    module(host, "win_service", **restart, force_dependent_services=True)
    assert [services[name]["starts"] for name in services] == [2, 2, 1]
    assert len(host.state["sas"]) == 12
    stop_service(host.state, "RemoteAccess")
    module(host, "win_service", **restart)
    assert [services[name]["state"] for name in services] == ["running", "stopped", "running"]


def test_service_info(host: WindowsHost) -> None:
    """Services are described one by one, by wildcard, and all."""
    assert [len(module(host, "win_service_info", name=name)["services"]) for name in ("ikeext", "*e*", "x")] == [
        1,
        3,
        0,
    ]
    service = module(host, "win_service_info")["services"][0]
    assert {"name": "IKEEXT", "state": "started", "start_mode": "auto", "dependency_of": []}.items() <= service.items()


def test_powershell(host: WindowsHost) -> None:
    """A script runs, a throw is an error record, and check mode reaches only who declares it."""

    def count() -> t.Any:
        value = find_value(host.state, "HKLM:\\SOFTWARE", "Count")
        return value and value["data"]

    ran = module(host, "win_powershell", script=SCRIPT, parameters={"By": 3}, _ansible_diff=True)
    assert (ran["result"], ran["changed"], ran["failed"], ran["diff"]) == (
        {"By": 3},
        True,
        False,
        {"before": 1, "after": 2},
    )
    assert count() == 3
    module(host, "win_powershell", script=SCRIPT, parameters='{"By": 4}', _ansible_check_mode=True)
    assert count() == 3
    thrown = module(host, "win_powershell", script=SCRIPT.strip())
    assert (thrown["failed"], thrown["error"][0]["exception"]["message"]) == (True, "no By")
    skipped = module(host, "win_powershell", script="Get-Item\r\n", _ansible_check_mode=True)
    assert (skipped["changed"], skipped["msg"]) == (True, "skipped, running in check mode")


def test_facts(host: WindowsHost) -> None:
    """The facts show the state."""
    facts = module(host, "setup", gather_subset=["!all"], anything=1)["ansible_facts"]
    assert (facts["ansible_hostname"], facts["ansible_os_family"]) == ("RRAS1", "Windows")
    assert facts["ansible_interfaces"][0]["default_gateway"] == "10.10.0.254"


def test_reboot(host: WindowsHost) -> None:
    """A reboot leaves what is persistent, and starts what starts by itself."""
    host.state["routes"]["active"].clear()
    host.state["services"]["PolicyAgent"]["start_mode"] = "manual"
    module(host, "win_regedit", **LIMIT)
    host.reboot()
    fresh = host.initial()
    assert host.state["routes"] == fresh["routes"]
    assert [service["state"] for service in host.state["services"].values()] == ["running", "running", "stopped"]
    assert host.state["services"]["IKEEXT"]["ike_limit"] == 50000


def test_reboot_ends_sessions(host: WindowsHost, client: Protocol) -> None:
    """A shell does not survive a reboot."""
    shell = client.open_shell()
    host.reboot(dark=0.3)
    started = time.monotonic()
    with pytest.raises(winrm.exceptions.WSManFaultError):
        client.run_command(shell, "hostname")
    assert time.monotonic() - started >= 0.2
    assert host.open_sessions() == []


def test_second_host() -> None:
    """The second server has its own names and addresses."""
    state = WindowsHost("rras2", 2).state
    assert (state["computer_name"], state["nics"][0]["address"]) == ("RRAS2", "10.10.0.12/24")
    assert state["nics"][0]["mac"] == "00-15-5D-0A-00-12"
    assert json.loads(json.dumps(state)) == state


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(["add", "remove"]),
        st.sampled_from(["ActiveStore", "PersistentStore", "both"]),
        st.sampled_from(["0.0.0.0/0", "172.16.0.0/12"]),
        st.sampled_from(["10.10.0.254", "10.10.0.1"]),
        st.just(4),
        st.integers(1, 3),
    ).filter(lambda step: step.store != ("PersistentStore" if step.action == "add" else "both")),
    max_size=12,
)


def look(host: WindowsHost) -> Network:
    """Read a host's network by the collection's script."""
    return Network.parse(host.read("read_network.ps1"))


def change(host: WindowsHost, steps: list[Result]) -> None:
    """Change a host's routes by the collection's script."""
    done = host.powershell("change_routes.ps1", Steps=[step.line for step in host.named(steps)])
    assert not done["failed"], done


@settings(max_examples=max(5, settings().max_examples // 20))  # each runs PowerShell several times
@given(STEPS)
def test_routes_change_as_the_plan_predicts(steps: list[Step]) -> None:
    """What the plan predicts is what the script does."""
    host = WindowsHost("rras1", 1)
    before = look(host)
    change(host, [step.as_dict() for step in steps])
    after = look(host)
    assert set(predict(before, steps).routes) == set(after.routes)


def test_a_rollback_that_fails_is_tried_again(ca: tuple[CertificateAuthority, Path]) -> None:
    """It also is at the next start, and it removes itself once it has succeeded."""
    host = WindowsHost("rras1", 1)
    host.start(ca[0])

    def wait(until: t.Callable[[], t.Any]) -> None:
        end = time.monotonic() + 30
        while not until():
            assert time.monotonic() < end
            time.sleep(0.02)

    try:
        before = look(host)
        old = Step("add", "ActiveStore", "0.0.0.0/0", "10.10.0.254", 4).as_dict()
        new = Step("remove", "ActiveStore", "0.0.0.0/0", "10.10.0.1", 4).as_dict()
        host.state["refused_tasks"] = [ROLLBACK]
        host.arm([old, new], 1)
        undo = [{**old, "action": "remove"}, {**new, "action": "add"}]
        change(host, undo)
        wait(lambda: host.state["tasks"][ROLLBACK]["result"] == 1)
        assert 50 < host.state["tasks"][ROLLBACK]["due"] - time.time() <= 60
        host.reboot()
        wait(lambda: host.state["fired"] == [ROLLBACK] * 2)
        change(host, undo)
        host.state["refused_tasks"] = []
        host.state["tasks"][ROLLBACK]["due"] = time.time()
        wait(lambda: not host.state["tasks"])
        after = look(host)
        assert set(after.routes) == set(before.routes)
    finally:
        host.stop()
