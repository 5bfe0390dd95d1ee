# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection's own metadata agree with what it holds."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[3]
MODULES = sorted(path.stem for path in (REPOSITORY / "plugins" / "modules").glob("*.py"))
ACTIONS = sorted(path.stem for path in (REPOSITORY / "plugins" / "action").glob("*.py"))
DEVICE_MODULES = [name for name in MODULES if not name.startswith(("rras", "ikev2", "report", "snapshot"))]


def test_every_device_module_stands_in_one_action_group() -> None:
    groups = yaml.safe_load((REPOSITORY / "meta" / "runtime.yml").read_text(encoding="utf-8"))["action_groups"]
    assert sorted(name for members in groups.values() for name in members) == DEVICE_MODULES
    assert all(members[0].startswith(group) for group, members in groups.items())


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_check_and_diff_mode_do(name: str) -> None:
    module = importlib.import_module(f"ansible_collections.aovpn.ikev2.plugins.modules.{name}")
    documentation = yaml.safe_load(module.DOCUMENTATION)
    assert documentation["module"] == name
    assert "attributes" in documentation or "aovpn.ikev2._device" in documentation["extends_documentation_fragment"]
    assert yaml.safe_load(module.EXAMPLES)
    assert yaml.safe_load(module.RETURN)


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_plugin_takes_the_options_that_its_module_documents(name: str) -> None:
    action = importlib.import_module(f"ansible_collections.aovpn.ikev2.plugins.action.{name}")
    module = importlib.import_module(f"ansible_collections.aovpn.ikev2.plugins.modules.{name}")
    documented = yaml.safe_load(module.DOCUMENTATION)["options"]
    assert {
        name: {key: value for key, value in option.items() if key != "description"}
        for name, option in documented.items()
    } == action.ARGUMENTS


@pytest.mark.parametrize("role", ["load_balancer", "report", "rras"])
def test_every_roles_defaults_are_what_its_specification_says(role: str) -> None:
    folder = REPOSITORY / "roles" / role
    specified = yaml.safe_load((folder / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"][
        "main"
    ]["options"]
    defaults = yaml.safe_load((folder / "defaults" / "main.yml").read_text(encoding="utf-8"))
    assert {name: option["default"] for name, option in specified.items() if "default" in option} == {
        name: value for name, value in defaults.items() if "{{" not in str(value)
    }
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert [name for name in specified if f"`{name}`" not in readme] == []


def test_the_role_passes_on_every_option_that_a_module_has_of_its_own() -> None:
    own = {"save"}
    for name in DEVICE_MODULES:
        module = importlib.import_module(f"ansible_collections.aovpn.ikev2.plugins.modules.{name}")
        own |= set(yaml.safe_load(module.DOCUMENTATION)["options"])
    folder = REPOSITORY / "roles" / "load_balancer"
    specified = yaml.safe_load((folder / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    options = specified["argument_specs"]["main"]["options"]
    connection = set(options["load_balancer_connection"]["options"])
    assert set(options["load_balancer_options"]["options"]) == own - connection - {"services"}
    tasks = "".join(path.read_text(encoding="utf-8") for path in sorted((folder / "tasks").glob("*.yml")))
    assert [name for name in own | connection if f"    {name}: " not in tasks] == []
