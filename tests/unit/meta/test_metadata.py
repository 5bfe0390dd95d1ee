# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection's metadata agree with its contents."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import yaml

from ansible_collections.aovpn.ikev2.plugins.doc_fragments._device import ModuleDocFragment
from ansible_collections.aovpn.ikev2.plugins.module_utils._platforms import PLATFORMS

REPOSITORY = Path(__file__).parents[3]
MODULES = sorted(path.stem for path in (REPOSITORY / "plugins" / "modules").glob("*.py"))
IN_PROCESS = {*(platform.module for platform in PLATFORMS.values()), "ikev2_probe"}
ACTIONS = sorted({path.stem for path in (REPOSITORY / "plugins" / "action").glob("*.py")} - IN_PROCESS)


def fragment(name: str) -> str:
    """Return the attribute of ModuleDocFragment that a module calls by this name."""
    return name.removeprefix("aovpn.ikev2._device").removeprefix(".").upper() or "DOCUMENTATION"


@pytest.mark.parametrize("name", MODULES)
def test_every_module_documents_check_and_diff_mode(name: str) -> None:
    module = importlib.import_module(f"ansible_collections.aovpn.ikev2.plugins.modules.{name}")
    documentation = yaml.safe_load(module.DOCUMENTATION)
    assert documentation["module"] == name
    shared = {"aovpn.ikev2._device", "aovpn.ikev2._device.server"}
    assert "attributes" in documentation or shared & {*documentation["extends_documentation_fragment"]}
    assert yaml.safe_load(module.EXAMPLES)
    assert yaml.safe_load(module.RETURN)


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_plugin_takes_the_options_that_its_module_documents(name: str) -> None:
    action = importlib.import_module(f"ansible_collections.aovpn.ikev2.plugins.action.{name}")
    module = importlib.import_module(f"ansible_collections.aovpn.ikev2.plugins.modules.{name}")
    documentation = yaml.safe_load(module.DOCUMENTATION)
    texts = [
        getattr(ModuleDocFragment, fragment(name)) for name in documentation.get("extends_documentation_fragment", [])
    ]
    documented = documentation["options"]
    for shared in map(yaml.safe_load, texts):
        documented |= shared.get("options", {})
    assert {
        name: {key: value for key, value in option.items() if key != "description"}
        for name, option in documented.items()
    } == action.ARGUMENTS


@pytest.mark.parametrize("name", sorted(IN_PROCESS))
def test_an_action_runs_the_module_of_its_name(name: str) -> None:
    action = importlib.import_module(f"ansible_collections.aovpn.ikev2.plugins.action.{name}")
    module = importlib.import_module(f"ansible_collections.aovpn.ikev2.plugins.modules.{name}")
    assert action.ActionModule.main is module.main


@pytest.mark.parametrize("role", ["load_balancer", "report", "rras"])
def test_a_roles_defaults_are_those_of_its_specification(role: str) -> None:
    folder = REPOSITORY / "roles" / role
    specified = yaml.safe_load((folder / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"][
        "main"
    ]["options"]
    file = folder / "defaults" / "main.yml"
    defaults = yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else {}
    assert {name: option["default"] for name, option in specified.items() if "default" in option} == {
        name: value for name, value in defaults.items() if "{{" not in str(value)
    }
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert [name for name in specified if f"`{name}`" not in readme] == []
