# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every place that has to know a platform knows all of those in the table, and no other."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from jinja2.nativetypes import NativeEnvironment

from ansible_collections.aovpn.ikev2.plugins.doc_fragments._device import ModuleDocFragment
from ansible_collections.aovpn.ikev2.plugins.module_utils._adapter import Adapter
from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Endpoint
from ansible_collections.aovpn.ikev2.plugins.module_utils._module import COMMON, argument_spec
from ansible_collections.aovpn.ikev2.plugins.module_utils._platforms import PLATFORMS, Platform, title
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._inventory import Inventory, problems
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._report.picture import words
from lab.whole import Lab

REPOSITORY = Path(__file__).parents[3]
ROLE = REPOSITORY / "roles" / "load_balancer"
MODULE_UTILS = "ansible_collections.aovpn.ikev2.plugins.module_utils"
FRAGMENT = "aovpn.ikev2._device"
NOT_SPECIFIED = ("description", "env")
each = pytest.mark.parametrize("platform", PLATFORMS.values(), ids=list(PLATFORMS))


def read(*path: str) -> str:
    """Return the text of a file."""
    return REPOSITORY.joinpath(*path).read_text(encoding="utf-8")


def documentation(module: str) -> dict[str, t.Any]:
    """Return what a module documents of itself."""
    found = importlib.import_module(f"ansible_collections.aovpn.ikev2.plugins.modules.{module}")
    parsed: dict[str, t.Any] = yaml.safe_load(found.DOCUMENTATION)
    return parsed


def role_options() -> dict[str, t.Any]:
    """Return the role's specification of its variables."""
    specified = yaml.safe_load(read("roles", "load_balancer", "meta", "argument_specs.yml"))
    options: dict[str, t.Any] = specified["argument_specs"]["main"]["options"]
    return options


def without(option: dict[str, t.Any], *keys: str) -> dict[str, t.Any]:
    """Leave keys out."""
    return {key: value for key, value in option.items() if key not in keys}


def test_reading_the_table_imports_no_adapter_and_no_library() -> None:
    program = (
        "import sys; from ansible_collections.aovpn.ikev2.plugins.module_utils._platforms import PLATFORMS;"
        " print([name for name in sys.modules if 'requests' in name or 'netaddr' in name or 'adapter' in name])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def adapter_of(platform: Platform) -> type[Adapter]:
    """Return the platform's adapter, from the package with its name."""
    module = importlib.import_module(f"{MODULE_UTILS}._{platform.name}.adapter")
    (found,) = [
        item
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, Adapter) and item is not Adapter
    ]
    return found


@each
def test_the_options_make_an_adapter(platform: Platform) -> None:
    given = {"host": "device.example.net", "username": "admin", "password": "secret"}
    result = ArgumentSpecValidator(argument_spec(platform), **platform.rules).validate(given)
    assert result.error_messages == []
    own = {name: result.validated_parameters[name] for name in platform.options if name not in ("host", "port")}
    reach = Endpoint.__dataclass_fields__
    adapter = adapter_of(platform).of(
        Endpoint("device.example.net"), {name: value for name, value in own.items() if name not in reach}, None
    )
    assert adapter.platform == platform.name
    assert adapter.host == "device.example.net"


def test_the_device_modules_are_those_of_the_table() -> None:
    modules = [path.stem for path in (REPOSITORY / "plugins" / "modules").glob("*.py")]
    sharing = {name for name in modules if FRAGMENT in documentation(name).get("extends_documentation_fragment", [])}
    assert sharing == {platform.module for platform in PLATFORMS.values()}


@each
def test_a_module_runs_its_platform(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(f"ansible_collections.aovpn.ikev2.plugins.modules.{platform.module}")
    ran: list[type[Adapter]] = []
    monkeypatch.setattr(module, "run_module", ran.append)
    module.main()
    assert ran == [adapter_of(platform)]
    assert ran[0].platform == platform.name


@each
def test_a_module_documents_its_options(platform: Platform) -> None:
    parsed = documentation(platform.module)
    fragments = {FRAGMENT: ModuleDocFragment.DOCUMENTATION, f"{FRAGMENT}.save": ModuleDocFragment.SAVE}
    documented: dict[str, t.Any] = {}
    for name in parsed["extends_documentation_fragment"]:
        documented |= yaml.safe_load(fragments[name])["options"]
    documented |= parsed["options"]
    assert {name: without(option, *NOT_SPECIFIED) for name, option in documented.items()} == {
        name: without(option, "env", "no_log") for name, option in {**COMMON, **platform.options}.items()
    }
    for name, option in platform.options.items():
        said = re.findall(r"E\((\w+)\)", str(documented[name]["description"]))
        assert said == option.get("env", []), name


def test_every_platform_has_an_action_group() -> None:
    groups = yaml.safe_load(read("meta", "runtime.yml"))["action_groups"]
    modules = {platform.name: [platform.module] for platform in PLATFORMS.values()}
    assert {name: groups.get(name) for name in PLATFORMS} == modules
    assert {name for members in groups.values() for name in members} == {name for (name,) in modules.values()}


def test_the_role_takes_every_platform_and_its_options() -> None:
    specified = role_options()
    assert specified["load_balancer_platform"]["choices"] == list(PLATFORMS)
    own = {name: option for platform in PLATFORMS.values() for name, option in platform.options.items()}
    connection = specified["load_balancer_connection"]["options"]
    options = specified["load_balancer_options"]["options"]
    assert not connection.keys() & options.keys()
    assert {*connection, *options} == {*own, "validate_certs", "ca_path", "timeout"}
    # What has a default in the module has none in the role: left out, it is the module's, or the environment's.
    for name, option in {**connection, **options}.items():
        of_module = without({**COMMON, **own}[name], "default", "required", "aliases", "env")
        assert without(option, "description") == of_module, name


def rendered(platform: Platform, given: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the arguments that the role's task has with these variables, without those that it omits."""
    (task,) = yaml.safe_load(read("roles", "load_balancer", "tasks", "main.yml"))
    variables = {"load_balancer_platform": platform.name, "omit": "OMITTED", **given}

    def render(texts: dict[str, t.Any]) -> dict[str, t.Any]:
        made = {name: text for name, text in texts.items() if not isinstance(text, str)}
        templates = {name: NativeEnvironment().from_string(text) for name, text in texts.items() if name not in made}
        return made | {name: template.render(variables) for name, template in templates.items()}

    variables |= render(task["vars"])
    values = render({**task["args"], "action": task["action"]})
    return {name: value for name, value in values.items() if value != "OMITTED"}


@each
def test_the_role_passes_on_what_a_module_takes(platform: Platform) -> None:
    specified = role_options()
    given: dict[str, t.Any] = {name: name for name in specified if name != "load_balancer_platform"}
    for variable in ("load_balancer_connection", "load_balancer_options"):
        given[variable] = {name: f"{variable}.{name}" for name in specified[variable]["options"]}
    own = {**given["load_balancer_connection"], **given["load_balancer_options"]}
    passed = rendered(platform, given)
    assert passed.pop("action") == f"aovpn.ikev2.{platform.module}"
    assert passed == {
        name: own.get(name, f"load_balancer_{name}") for name in argument_spec(platform) if name != "ports"
    }


@each
def test_the_role_leaves_out_what_is_not_given(platform: Platform) -> None:
    empty: dict[str, t.Any] = {"load_balancer_connection": {}, "load_balancer_options": {}}
    given = {"load_balancer_state": "gathered", "load_balancer_accept": [], **empty}
    assert rendered(platform, given).keys() == {"action", "state", "accept"}


@each
def test_the_inventory_check_judges_by_its_options(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    for option in platform.options.values():
        for name in option.get("env", []):
            monkeypatch.delenv(name, raising=False)
    connection = {"username": "admin", "password": "secret"}
    variables: dict[str, t.Any] = {"load_balancer_platform": platform.name, "load_balancer_connection": connection}
    groups = {"ikev2_load_balancers": ["lb"]}
    (line,) = problems(Inventory(["lb"], {"lb": variables}, groups))
    assert "missing required arguments: host" in line
    assert problems(Inventory(["lb"], {"lb": {**variables, "ansible_host": "device.example.net"}}, groups)) == []


@each
def test_the_report_calls_it_by_its_title(platform: Platform) -> None:
    path = {"device": "lb", "platform": platform.name, "vip": "", "services": [], "preserved": True, "servers": []}
    assert f"lb ({platform.title})" in words(path)
    assert title("of a later version") == "load balancer"


@each
def test_the_documents_tell_of_it(platform: Platform) -> None:
    for path in (("README.md",), ("docs", "accounts.md"), ("docs", "not-yet-confirmed.md")):
        cells = {line.split("|")[1].strip() for line in read(*path).splitlines() if line.startswith("| ")}
        assert any(cell in platform.title or platform.title in cell for cell in cells if cell), path
    assert f"`{platform.module}`" in read("README.md")
    assert f"group/aovpn.ikev2.{platform.name}`" in read("README.md")
    assert f"_{platform.name}" in read("docs", "design.md")
    for word in (platform.name, platform.module):
        assert f"`{word}`" in read("roles", "load_balancer", "README.md")
    for option in platform.options:
        assert f"`{option}`" in read("roles", "load_balancer", "README.md")
    secrets = [name for option in platform.options.values() if "no_log" in option for name in option["env"]]
    assert [name for name in secrets if f"`{name}`" not in read("docs", "accounts.md")] == []
    assert platform.name in read("docs", "report.schema.json")
    assert re.search(
        rf"load_balancer_platform: .*\b{platform.name}\b",
        read("examples", "inventory", "group_vars", "ikev2_load_balancers.yml"),
    )


def test_every_platform_has_a_stand_in(tmp_path: Path) -> None:
    assert [device.platform for device in Lab(tmp_path).load_balancers] == list(PLATFORMS)
