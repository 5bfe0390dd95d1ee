# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the rulebooks give to `remediate` leaves the VPN servers alone, and no load balancer is changed that would need them changed."""

from __future__ import annotations

import json

import yaml

from harness import REPOSITORY, Ansible
from lab.whole import Lab

RULEBOOK = REPOSITORY / "extensions" / "eda" / "rulebooks" / "drift.yml"


def variables() -> list[str]:
    """Return the extra variables of a correction that leaves the servers alone."""
    (ruleset,) = yaml.safe_load(RULEBOOK.read_text(encoding="utf-8"))
    (rule,) = (one for one in ruleset["rules"] if one["name"] == "Correct the load balancers")
    given = rule["actions"][0]["run_playbook"]["extra_vars"]
    return ["-e", json.dumps({name: value for name, value in given.items() if "{{" not in str(value)})]


def test_servers_with_a_wrong_gateway_keep_it_and_their_load_balancer_stays_as_it_is(
    ansible: Ansible, lab: Lab
) -> None:
    lab.write_inventory({"rras1": {"rras_ike_limit_enabled": True}}, without=["netscaler", "loadmaster", "rras2"])
    before = lab.settings()
    run = ansible.playbook("aovpn.ikev2.remediate", *variables())
    assert run.code == 2
    assert (lab.settings(), lab.bigip.writing(), ansible.snapshots()) == (before, [], [])
    assert "return_path_wrong" in {finding["code"] for finding in run.report()["findings"]}
    assert run.report()["verdict"]["status"] == "failed"
