# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All problems of an inventory are reported at once, for every host."""

from __future__ import annotations

import sys
import typing as t
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest
import yaml
from jinja2 import StrictUndefined, Undefined

from ansible_collections.aovpn.ikev2.plugins.module_utils._libraries import MISSING
from ansible_collections.aovpn.ikev2.plugins.plugin_utils import _inventory
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._inventory import Inventory, problems, warnings

REPOSITORY = Path(__file__).parents[4]
CONNECTION = {"host": "bigip.example.net", "username": "admin", "password": "secret"}
BIGIP: dict[str, t.Any] = {"load_balancer_platform": "bigip", "load_balancer_connection": CONNECTION}
SERVER: dict[str, t.Any] = {"ansible_connection": "winrm", "rras_gateway": "10.10.0.1"}


def judged(load_balancer: Mapping[str, t.Any] | None = None, server: Mapping[str, t.Any] | None = None) -> list[str]:
    """Judge an inventory of at most one host of each kind."""
    hosts = {"lb": load_balancer, "rras": server}
    return problems(inventory({name: variables for name, variables in hosts.items() if variables is not None}))


def inventory(
    hosts: Mapping[str, Mapping[str, t.Any]],
    others: Mapping[str, t.Sequence[str]] | None = None,
    extra: Mapping[str, t.Any] | None = None,
    limit: Iterable[str] | None = None,
) -> Inventory:
    """Return an inventory in which a host's name begins with lb or rras, or it is in neither of our groups."""
    groups: dict[str, t.Sequence[str]] = {"all": [*hosts], "ungrouped": [], **(others or {})}
    for group, beginning in (("ikev2_load_balancers", "lb"), ("rras", "rras")):
        groups[group] = [name for name in hosts if name.startswith(beginning)]
    hostvars = {name: Variables(variables, extra or {}) for name, variables in hosts.items()}
    return Inventory([*(hosts if limit is None else limit)], hostvars, groups, frozenset(extra or ()))


class Variables(Mapping[str, t.Any]):
    """A host's variables. Extra variables win."""

    def __init__(self, host: Mapping[str, t.Any], extra: Mapping[str, t.Any]) -> None:
        self._host, self._extra = host, extra

    def __getitem__(self, name: str) -> t.Any:
        return self._extra[name] if name in self._extra else self._host[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**dict.fromkeys(self._host), **dict.fromkeys(self._extra)})

    def __contains__(self, name: object) -> bool:
        return name in self._extra or name in self._host

    def __len__(self) -> int:
        return len({*self._host, *self._extra})


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what the environment might give."""
    for name in ("F5_SERVER", "F5_USER", "F5_PASSWORD", "LOADMASTER_API_KEY", "LOADMASTER_USERNAME"):
        monkeypatch.delenv(name, raising=False)


def test_an_inventory_that_can_be_used() -> None:
    assert judged(BIGIP, SERVER) == []
    assert judged(BIGIP) == []
    assert judged(None, {"ansible_connection": "ssh", "ansible_shell_type": "powershell"}) == []
    assert judged(None, {"ansible_connection": "ansible.builtin.winrm", "rras_ike_limit_enabled": "yes"}) == []


def test_a_text_is_what_the_role_and_the_module_make_of_it() -> None:
    load_balancer = {
        **BIGIP,
        "load_balancer_addresses": "203.0.113.10,2001:db8::10",
        "load_balancer_accept": "return_path_unverified",
    }
    server = {
        **SERVER,
        "rras_preserve_routes": "192.168.0.0/16",
        "rras_ike_limit": "60000",
        "rras_rollback_timeout": "240",
    }
    assert judged(load_balancer, server) == []
    for options in ("load_balancer_addresses", "load_balancer_accept"):
        (line,) = judged({**BIGIP, options: "x,y"})
        assert "'x'" in line


def test_an_inventory_without_either_group() -> None:
    (line,) = problems(inventory({"localhost": {}}))
    assert "ikev2_load_balancers" in line
    assert "rras" in line


def test_a_host_in_both_groups() -> None:
    both = Inventory([], {}, {"ikev2_load_balancers": ["a"], "rras": ["a"]})
    assert problems(both) == ["a: it is in both groups, ikev2_load_balancers and rras."]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"load_balancer_platform": "bigiron"}, "bigiron"),
        ({"load_balancer_platform": None}, "load_balancer_platform"),
        ({"load_balancer_connection": {"host": "h"}}, "missing required arguments: password, username"),
        ({"load_balancer_connection": {**CONNECTION, "pasword": "x"}}, "pasword"),
        ({"load_balancer_connection": {**CONNECTION, "port": "https"}}, "port"),
        ({"load_balancer_connection": {**CONNECTION, "api_key": "k"}}, "api_key"),
        ({"load_balancer_options": {"subnet_ip_mode": True}}, "subnet_ip_mode"),
        (
            {"load_balancer_platform": "loadmaster", "load_balancer_connection": {"host": "h"}},
            "api_key, username, client_cert",
        ),
        ({"load_balancer_addresses": []}, "'addresses' is an empty list"),
        ({"load_balancer_addresses": ["vpn.example.net"]}, "vpn.example.net"),
        ({"load_balancer_addresses": ["203.0.113.10"], "load_balancer_services": ["vs"]}, "exclude each other"),
        ({"load_balancer_accept": ["everything"]}, "everything"),
        (
            {"load_balancer_connection": '{"host": "bigip.example.net", "password": "secret"'},
            "load_balancer_connection has to be a dictionary, and is of type text",
        ),
        ({"load_balancer_connection": "host=bigip password=secret"}, "has to be a dictionary"),
        ({"load_balancer_options": ["save"]}, "load_balancer_options has to be a dictionary, and is of type list"),
    ],
)
def test_a_load_balancer_that_is_refused(changes: dict[str, t.Any], words: str) -> None:
    lines = judged({key: value for key, value in {**BIGIP, **changes}.items() if value is not None})
    assert len(lines) == 1
    assert lines[0].startswith("lb: ")
    assert words in lines[0]
    assert "secret" not in lines[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ansible_connection": "ssh"}, "ansible_connection is ssh"),
        ({"rras_gateway": "gateway.example.net"}, "'rras_gateway' is 'gateway.example.net'"),
        ({"rras_gateway": "2001:db8::1"}, "Only the IPv4 default gateway"),
        ({"rras_preserve_routes": ["10.0.0.0/8", "10.1.0.0/16"]}, "which overlap"),
        ({"rras_rollback_timeout": 1}, "rras_rollback_timeout is 1"),
        ({"rras_rollback_timeout": "soon"}, "rras_rollback_timeout"),
        ({"rras_ike_limit": 2**32}, "rras_ike_limit is 4294967296"),
        ({"rras_ike_limit": "5e14"}, "rras_ike_limit"),
        ({"rras_accept": ["gateway_unverifed"]}, "rras option 'accept' holds the unknown code 'gateway_unverifed'"),
        ({"rras_ike_limit_enabled": "ture"}, "rras_ike_limit_enabled"),
    ],
)
def test_a_server_that_is_refused(changes: dict[str, t.Any], words: str) -> None:
    lines = judged(None, {**SERVER, **changes})
    assert len(lines) == 1
    assert lines[0].startswith("rras: ")
    assert words in lines[0]


def test_everything_is_reported_at_once() -> None:
    load_balancer = {
        **BIGIP,
        "load_balancer_addresses": ["x"],
        "load_balancer_accept": ["y"],
        "load_balancer_connection": {},
    }
    lines = judged(load_balancer, {"rras_gateway": "x", "rras_ike_limit": 0})
    assert [line.partition(":")[0] for line in lines] == ["lb", "lb", "lb", "rras", "rras", "rras"]


def test_what_the_environment_gives_is_not_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("F5_USER", "admin")
    monkeypatch.setenv("F5_PASSWORD", "secret")
    assert judged({"load_balancer_platform": "bigip", "ansible_host": "bigip.example.net"}) == []


class Broken(dict[str, t.Any]):
    """Variables one of which cannot be templated, as ansible-core 2.19 and newer show them."""

    def __getitem__(self, name: str) -> t.Any:
        if name == "rras_gateway":
            raise KeyError("'vault_gateway' is undefined")
        return super().__getitem__(name)


def test_a_variable_that_refers_to_an_undefined_one() -> None:
    (line,) = judged(None, Broken(SERVER))
    assert line.startswith("rras: rras_gateway cannot be read")
    assert "vault_gateway" in line


class Marked(str):
    """A text that is not a template, as ansible-core up to 2.18 marks it."""

    __UNSAFE__ = True


@pytest.mark.parametrize("text", ["pa{{geheim w0rd}}x", "pa{{geheim}}x", "{{ geheim }}", "pa{{w0rd", "{%{{w0rd"])
def test_no_part_of_a_password_is_shown(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def hosts(password: str) -> list[str]:
        connection = {**CONNECTION, "password": password}
        return judged({**BIGIP, "load_balancer_connection": connection}, {**SERVER, "ansible_password": password})

    monkeypatch.setattr(_inventory, "RENDERED", False)
    lines = hosts(text)
    assert [line.partition(" cannot be read: ")[0] for line in lines] == [
        "lb: load_balancer_connection",
        "rras: ansible_password",
    ]
    assert "geheim" not in "".join(lines)
    assert "w0rd" not in "".join(lines)
    # Marked, or from a version that has rendered every template, it is a password like any other.
    assert hosts(Marked(text)) == []
    monkeypatch.setattr(_inventory, "RENDERED", True)
    assert hosts(text) == []


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ vault_gateway }}", "vault_gateway is not defined."),
        ("{{ 'geheim' ~ }}", "it contains an invalid template."),
    ],
)
def test_an_older_core_leaves_what_it_cannot_render(template: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_inventory, "RENDERED", False)
    assert judged(None, {**SERVER, "rras_gateway": template}) == [f"rras: rras_gateway cannot be read: {words}"]


def test_an_error_in_rendering_a_password_does_not_show_it() -> None:
    class Failing(dict[str, t.Any]):
        def __getitem__(self, name: str) -> t.Any:
            if name == "ansible_password":
                raise ValueError("Syntax error in template: expected token 'end of print statement', got 'w0rd'")
            return super().__getitem__(name)

    (line,) = judged(None, Failing({**SERVER, "ansible_password": "pa{{geheim w0rd}}x"}))
    assert line.startswith("rras: ansible_password cannot be read")
    assert "w0rd" not in line


def test_missing_libraries_are_reported_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MISSING, "netaddr", "Traceback")
    monkeypatch.setitem(MISSING, "requests", "Traceback")
    (line,) = judged({**BIGIP, "load_balancer_addresses": ["x"]}, SERVER)
    assert "netaddr requests" in line
    assert "pip install" in line


@pytest.mark.parametrize("kind", [Undefined, StrictUndefined])
def test_a_variable_that_jinja_does_not_know(kind: type[Undefined]) -> None:
    value = {"password": [kind(name="vault_password")]}
    (line,) = judged({**BIGIP, "load_balancer_connection": value})
    assert line.startswith("lb: load_balancer_connection cannot be read")


def test_only_the_hosts_of_the_run_are_judged() -> None:
    assert problems(inventory({"lb": BIGIP, "rras": {"rras_gatway": 1}}, limit=["lb"])) == []


@pytest.mark.parametrize("blank", [None, "", "  "])
def test_blank_means_not_given(blank: str | None) -> None:
    connection = {**CONNECTION, "port": blank, "validate_certs": blank}
    load_balancer = dict.fromkeys(("load_balancer_accept", "load_balancer_options", "load_balancer_return_path"), blank)
    server = dict.fromkeys(("rras_gateway", "rras_ike_limit", "rras_preserve_routes", "rras_accept"), blank)
    playbooks = dict.fromkeys(("fail_on_drift", "probe", "report_name", "report_due", "snapshot"), blank)
    assert judged({**BIGIP, **load_balancer, "load_balancer_connection": connection}, {**SERVER, **server}) == []
    assert problems(inventory({"lb": BIGIP, "rras": SERVER}, extra={**load_balancer, **server, **playbooks})) == []
    (line,) = judged({**BIGIP, "load_balancer_platform": blank})
    assert "missing required arguments: load_balancer_platform" in line
    (line,) = judged({**BIGIP, "load_balancer_connection": {**CONNECTION, "password": blank}})
    assert "missing required arguments: password" in line


@pytest.mark.parametrize("name", ["load_balancer_addresses", "load_balancer_services"])
@pytest.mark.parametrize("value", [None, "", " ", []])
def test_what_selects_services_is_never_blank(name: str, value: t.Any) -> None:
    (line,) = problems(inventory({"lb": BIGIP}, extra={name: value}))
    assert name.removeprefix("load_balancer_") in line
    assert "every pair" in line if value != [] else "empty list" in line


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ({"load_balancers": ["a"], "RRAS": ["b"]}, ["(similar: load_balancers)", "(similar: RRAS)"]),
        ({"ikev2_loadbalancers": ["a"], "rras-servers": ["b"]}, ["ikev2_loadbalancers", "rras-servers"]),
        ({"ikev2-load-balancers": ["a"], "vpn_servers": ["b"]}, ["ikev2-load-balancers", "vpn_servers"]),
        ({"lb": ["a"], "vpnservers": ["b"]}, ["lb", "vpnservers"]),
    ],
)
def test_an_inventory_with_misspelt_groups(groups: dict[str, list[str]], words: list[str]) -> None:
    more = {"web_servers": ["c"], "kemp": ["d"], "rras_old": []}
    (line,) = problems(inventory({"localhost": {}}, {**groups, **more}))
    assert all(word in line for word in words), line
    assert not any(name in line for name in more), line


def test_a_run_with_one_kind_of_host_says_what_is_checked_without_the_other() -> None:
    both = {"lb": BIGIP, "rras": SERVER}
    assert warnings(inventory(both)) == []
    (line,) = warnings(inventory({"rras": SERVER, "a": {}}, {"load_balancers": ["a"]}, limit=["rras"]))
    assert line.startswith(
        "This run has no load balancers, because the group ikev2_load_balancers is missing or empty (similar: load_balancers)."
    )
    assert "gateway_unverified" in line
    (line,) = warnings(inventory(both, limit=["rras"]))
    assert "This run has no load balancers, because --limit leaves out the group ikev2_load_balancers." in line
    (line,) = warnings(inventory({"lb": BIGIP}))
    assert line.startswith("This run has no VPN servers, because the group rras is missing or empty. ")
    assert "load_balancer_return_path" in line
    assert problems(inventory({"rras": SERVER})) == problems(inventory({"lb": BIGIP})) == []


def test_a_misspelt_variable_is_reported_once_with_where_it_is() -> None:
    hosts: dict[str, t.Any] = {"lb1": BIGIP, "lb2": BIGIP, "rras1": SERVER, "rras2": SERVER, "localhost": {}}

    def reported(extra: dict[str, t.Any], **variables: dict[str, t.Any]) -> list[str]:
        changed = {name: {**hosts[name], **variables.get(name, {})} for name in hosts}
        lines = problems(inventory(changed, {"first": ["lb1", "rras1"]}, extra))
        return [line.partition(" The nearest")[0] for line in lines]

    wrong = {"rras_gatway": "10.10.0.2"}
    assert reported({}, rras1=wrong) == ["rras1: there is no variable rras_gatway."]
    assert reported({}, rras1=wrong, rras2=wrong) == ["group rras: there is no variable rras_gatway."]
    assert reported({}, rras1=wrong, lb1=wrong) == ["group first: there is no variable rras_gatway."]
    assert reported({}, rras2=wrong, lb1=wrong) == ["lb1, rras2: there is no variable rras_gatway."]
    assert reported({}, **dict.fromkeys(hosts, wrong)) == ["every host: there is no variable rras_gatway."]
    everywhere = {name: wrong for name in hosts if name != "localhost"}
    assert reported({}, **everywhere) == ["every host: there is no variable rras_gatway."]
    assert reported(wrong, rras1=wrong) == ["extra variables: there is no variable rras_gatway."]
    assert reported({}, localhost=wrong) == ["localhost: there is no variable rras_gatway."]


@pytest.mark.parametrize("name", ["fail_on_drift", "probe", "report_due", "report_fail_on_drift", "rras_allow_dhcp"])
def test_what_is_neither_true_nor_false(name: str) -> None:
    values: tuple[t.Any, ...] = (True, False, "true", "No", "0", 1)
    for value in values:
        assert problems(inventory({"lb": BIGIP, "rras": SERVER}, extra={name: value})) == []
    values = ("ture", "y", 2, ["yes"])
    for value in values:
        (line,) = problems(inventory({"lb": BIGIP, "rras1": SERVER, "rras2": SERVER}, extra={name: value}))
        assert f"{name} is {value!r}, which is neither true nor false." in line


@pytest.mark.parametrize(("connection", "package"), [("winrm", "pywinrm"), ("psrp", "pypsrp")])
def test_a_missing_library_for_the_connection_is_reported_once(
    connection: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = {"ansible_connection": f"ansible.builtin.{connection}"}
    monkeypatch.setitem(sys.modules, {"pywinrm": "winrm"}.get(package, package), None)
    (line,) = judged(BIGIP, server)
    assert line.endswith(f": {sys.executable} -m pip install {package}.")
    assert problems(inventory({"lb": BIGIP, "rras": server}, limit=["lb"])) == []
    assert judged(BIGIP, {"ansible_connection": "ssh", "ansible_shell_type": "powershell"}) == []


def set_by(tasks: t.Any) -> Iterator[str]:
    """Return what tasks register or set as facts, at any depth."""
    if isinstance(tasks, list):
        for task in tasks:
            yield from set_by(task)
    elif isinstance(tasks, dict):
        yield from [tasks["register"]] if "register" in tasks else []
        yield from tasks.get("ansible.builtin.set_fact", {})
        for value in tasks.values():
            yield from set_by(value)


def test_what_roles_and_playbooks_set_is_known() -> None:
    """A second playbook of the same run finds it on the hosts."""
    files = [*REPOSITORY.glob("roles/*/tasks/*.yml"), *REPOSITORY.glob("playbooks/**/*.yml")]
    names = {name for path in files for name in set_by(yaml.safe_load(path.read_text(encoding="utf-8")))}
    assert {"rras_facts", "load_balancer_result"} <= names
    assert judged(BIGIP, {**SERVER, **{name: {} for name in names}}) == []
