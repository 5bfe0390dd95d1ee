# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report: its verdicts, its schema, and that nothing which a device says does harm in it."""

from __future__ import annotations

import copy
import html
import json
import typing as t
import unicodedata
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ansible_collections.aovpn.ikev2.plugins.module_utils._model import FINAL_STATES
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._report.model import SCHEMA, SUMMARY_LINES, Report, summary
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._report.page import SOURCES_SHOWN, render
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.orders import due_hosts
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.site import Site
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._site.snapshot import snapshot_of
from mutations import places, spoil
from report_examples import (
    GATEWAY,
    HIDDEN,
    HOSTILE,
    OWN,
    ROUTER,
    SERVERS,
    STAGES,
    Raw,
    change,
    clean,
    drifted,
    facts,
    failed,
    finding,
    gateway_change,
    limit_change,
    named,
    partial,
    report_of,
    result,
    services,
    site,
    translations,
    variables,
)

REPOSITORY = Path(__file__).parents[4]
PUBLISHED: dict[str, t.Any] = json.loads((REPOSITORY / "docs" / "report.schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(PUBLISHED)
EXAMPLES: dict[str, Callable[[], Raw]] = {"drift": drifted, "clean": clean, "failed": failed, "partial": partial}
# A byte order mark and the like count as well: all that has no width or is no character.
INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def made(raw: Raw) -> dict[str, t.Any]:
    """Make a report, hold it to what all have in common, and return its plain values."""
    plain: dict[str, t.Any] = json.loads(json.dumps(report_of(raw).as_dict(), allow_nan=False))
    VALIDATOR.validate(plain)
    told(raw)
    return plain


def told(raw: Raw) -> list[str]:
    """Return a report's summary, held to what all have in common."""
    lines = summary(report_of(raw), "/reports/report.html")
    assert 3 <= len(lines) <= SUMMARY_LINES
    assert not [sign for line in lines for sign in line if unicodedata.category(sign) in INVISIBLE]
    return lines


def page_of(raw: Raw) -> str:
    """Return a report's page."""
    return render(report_of(raw))


class Page(HTMLParser):
    """What a page is made of, as an HTML parser sees it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _value in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


# -- verdicts ----------------------------------------------------------------------------------------------------------


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(PUBLISHED)
    assert PUBLISHED["$id"] == SCHEMA == PUBLISHED["properties"]["schema"]["const"]
    assert list(VALIDATOR.iter_errors({**made(clean()), "more": 1}))


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_site_has_its_verdict(name: str) -> None:
    assert made(EXAMPLES[name]())["verdict"]["status"] == name


def test_clean_is_said_of_servers_that_were_seen_to_see_their_clients() -> None:
    verdict = made(clean())["verdict"]
    assert verdict["title"] == "Every VPN server sees its clients' own addresses"
    assert verdict["lines"] == [
        "Both IKEv2 services keep the clients' addresses.",
        "Both VPN servers have the load balancer as default gateway.",
        "0 of 10 IKE security associations come from the load balancer.",
        "203.0.113.10 answers a first IKE message.",
    ]


def test_without_associations_nothing_is_said_to_be_seen() -> None:
    verdict = made(site(True, GATEWAY, {}))["verdict"]
    assert (verdict["status"], verdict["title"]) == (
        "clean",
        "Everything is set for the VPN servers to see their clients' own addresses",
    )
    assert "There is no IKE security association, so what the servers see is not proved." in verdict["lines"]


def test_connections_from_before_the_change_are_reported() -> None:
    report = made(site(True, GATEWAY, HIDDEN))
    assert report["verdict"]["status"] == "clean"
    assert report["verdict"]["title"] == "Everything is set, and connections still come from the load balancer"
    assert [(one["host"], one["code"], one["severity"]) for one in report["findings"]] == [
        ("rras1", "existing_flows", "warning"),
        ("rras2", "existing_flows", "warning"),
    ]
    assert made(site(True, GATEWAY, HIDDEN, check_mode=True))["verdict"] == report["verdict"]
    predicted = {**clean(), "check_mode": True}
    for item in predicted["servers"].values():
        item["facts"]["sas"] = HIDDEN
    assert made(predicted)["findings"] == []


def test_hidden_services_are_what_drift_is_called_after() -> None:
    report = made(drifted())
    assert report["verdict"]["title"] == "The VPN servers do not see their clients' own addresses"
    assert report["verdict"]["lines"][:2] == [
        "Both IKEv2 services hide the clients' addresses.",
        "Both VPN servers have another default gateway than the load balancer.",
    ]
    assert "bigip: /Common/vs_ikev2_500 (203.0.113.10, UDP 500) hides the clients' addresses" in report["drift"]
    assert "rras2: the default gateway is 10.10.0.254 and has to be 10.10.0.1" in report["drift"]


def test_a_wrong_gateway_alone_is_drift_too() -> None:
    raw = site(True, GATEWAY, OWN)
    raw["servers"]["rras2"]["facts"] = facts("rras2", ROUTER, OWN)
    report = made(raw)
    assert report["verdict"]["status"] == "drift"
    assert report["verdict"]["title"] == "Replies of rras2 bypass the load balancer"
    assert [item["return_path_ok"] for item in report["paths"][0]["servers"]] == [True, False]


def test_the_workaround_is_partial_only_where_every_server_has_it_and_knows_it() -> None:
    raw = partial()
    assert "lets more clients in" in made(raw)["verdict"]["lines"][-1]
    raw["servers"]["rras2"]["facts"]["restart_owed"] = True
    assert made(raw)["verdict"]["status"] == "drift"
    raw = partial()
    raw["servers"]["rras2"]["facts"]["ike_limit"] = None
    raw["servers"]["rras2"]["facts"]["changes"].append(limit_change())
    report = made(raw)
    assert report["verdict"]["status"] == "drift"
    assert report["drift"][-1] == (
        "rras2: the limit of IKE security associations from one address is the default of Windows and has to be 50000"
    )


def test_a_failure_comes_before_all_else_and_says_what_is_left() -> None:
    raw = failed()
    report = made(raw)
    assert report["verdict"]["title"] == "The run failed on bigip and rras2"
    assert report["verdict"]["lines"][:2] == [
        "bigip: Everything on it is as it was before.",
        "rras2: It could not be read, and nothing was changed on it.",
    ]
    assert report["load_balancers"]["bigip"]["outcome"] == "undone"
    assert {host: item["outcome"] for host, item in report["servers"].items()} == {
        "rras1": "changed",
        "rras2": "failed",
    }
    assert "rras2: no answer on port 5986. It could not be read, and nothing was changed on it." in told(raw)


@pytest.mark.parametrize(
    ("stage", "state", "outcome", "words"),
    [
        ("read", "unchanged", "failed", "It could not be read, and nothing was changed on it."),
        ("check", "unchanged", "failed", "Nothing was changed on it."),
        ("change", "unchanged", "undone", "Nothing was changed on it."),
        ("change", "rolled_back", "undone", "Everything on it is as it was before."),
        ("change", "changed", "failed", "It was changed, and not rolled back: check it"),
        ("change", "unknown", "failed", "Its state is not known"),
        ("verify", "unchanged", "failed", "It was changed, and could not be read afterwards."),
        ("restore", "unknown", "failed", "Its state is not known"),
    ],
)
def test_every_failure_says_in_what_state_the_device_is(stage: str, state: str, outcome: str, words: str) -> None:
    raw = clean()
    if stage in ("check", "change"):
        del raw["servers"]["rras1"]["gateway_result"]
    raw["servers"]["rras1"]["failure"] = {"stage": stage, "msg": "It broke.", "final_state": state}
    report = made(raw)
    assert report["verdict"]["status"] == "failed"
    assert report["servers"]["rras1"]["outcome"] == outcome
    assert report["servers"]["rras1"]["final_state"] == ("unknown" if stage == "verify" else state)
    assert words in report["verdict"]["lines"][0]
    assert words in Page(page_of(raw)).text


@pytest.mark.parametrize(("state", "standing"), [("unchanged", 0), ("rolled_back", 0), ("changed", 2), ("unknown", 2)])
def test_after_a_failure_the_changes_are_those_that_stand(state: str, standing: int) -> None:
    raw = clean()
    bigip = raw["load_balancers"]["bigip"]
    del bigip["result"]
    stands = translations() if standing else []
    bigip["failure"] = {
        **bigip.pop("made"),
        "stage": "change",
        "msg": "It broke.",
        "final_state": state,
        "changes": stands,
    }
    assert len(made(raw)["load_balancers"]["bigip"]["changes"]) == standing


def test_what_was_read_first_is_still_in_the_report_of_a_device_that_was_lost() -> None:
    raw = clean()
    del raw["load_balancers"]["bigip"]["made"], raw["load_balancers"]["bigip"]["result"]
    raw["load_balancers"]["bigip"]["failure"] = {"stage": "verify", "msg": "bigip: gone.", "final_state": "unchanged"}
    report = made(raw)
    assert report["verdict"]["status"] == "failed"
    assert report["load_balancers"]["bigip"]["final_state"] == "unchanged"
    assert [service["source_preserved"] for service in report["load_balancers"]["bigip"]["services"]] == [False, False]


def test_what_was_not_read_leaves_the_verdict_open() -> None:
    assert made({})["verdict"]["status"] == "unknown"
    raw = clean()
    raw["servers"]["rras2"] = {"gateway": GATEWAY}
    report = made(raw)
    assert report["verdict"]["status"] == "unknown"
    assert "rras2: not read." in report["verdict"]["lines"]
    assert (
        "10.10.0.12 behind the load balancers does not belong to any VPN server that was read."
        in report["verdict"]["lines"]
    )
    assert report["servers"]["rras2"]["outcome"] == "not read"
    assert report["paths"][0]["servers"][1] == {
        "host": None,
        "address": "10.10.0.12",
        "gateway": None,
        "gateways": [GATEWAY],
        "return_path_ok": None,
        "sees": None,
    }
    del raw["servers"]["rras2"]
    assert made(raw)["verdict"]["status"] == "unknown"
    assert made({**clean(), "servers": {}})["verdict"]["status"] == "unknown"
    assert made({**clean(), "load_balancers": {}})["verdict"]["status"] == "unknown"


def test_an_accepted_blocker_is_reported_and_does_not_count_as_drift() -> None:
    raw = clean()
    del raw["servers"]["rras2"]
    bigip = raw["load_balancers"]["bigip"]
    bigip["result"]["findings"] = [finding("return_path_unverified", object="10.10.0.12")]
    assert made(raw)["verdict"]["status"] == "drift"
    for accept in (["return_path_unverified"], "not_active_unit, return_path_unverified"):
        bigip["accept"] = accept
        report = made(raw)
        assert report["drift"] == []
        assert report["verdict"]["status"] == "clean"
        assert "10.10.0.12" in " ".join(report["verdict"]["lines"])
        # The server that was not read was not seen.
        assert report["verdict"]["title"] == "Everything is set for the VPN servers to see their clients' own addresses"
        assert [(item["code"], item["severity"]) for item in report["findings"]] == [
            ("return_path_unverified", "blocker")
        ]
        assert "return_path_unverified" in report["load_balancers"]["bigip"]["accepted"]
    bigip["accept"] = ["not_active_unit"]
    assert made(raw)["verdict"]["status"] == "drift"


# -- changes, paths, findings ------------------------------------------------------------------------------------------


def test_changes_are_reported_with_what_was_before() -> None:
    raw = clean()
    raw["servers"]["rras1"]["limit_result"] = {"changed": True, "changes": [limit_change()], "final_state": "changed"}
    mode, pool = change("bigip", "USNIP", False, True, "device"), {"type": "snat", "pool": "/Common/sp"}
    raw["load_balancers"]["bigip"]["made"]["changes"] = [mode, *translations(pool)]
    report = made(raw)
    assert report["changes"] == [
        {"host": "rras1", **gateway_change()},
        {"host": "rras1", **limit_change()},
        {"host": "rras2", **gateway_change()},
        {"host": "bigip", **mode},
        *({"host": "bigip", **one} for one in translations(pool)),
    ]
    assert report["changes"][3:] == report["load_balancers"]["bigip"]["changes"]
    assert {item["final_state"] for item in (*report["load_balancers"].values(), *report["servers"].values())} == {
        "changed"
    }
    lines = told(raw)
    assert "6 changes were made." in lines
    assert "rras1: 0.0.0.0/0, NextHop: 10.10.0.254 → 10.10.0.1" in lines
    page = Page(page_of(raw)).text
    for words in (
        "0.0.0.0/0, NextHop: 10.10.0.254 → 10.10.0.1",
        "IKEEXT, IkeNumEstablishedForInitialQuery: absent → 50000",
        "USNIP: off → on",
        "/Common/vs_ikev2_500, snat: snat /Common/sp → none",
    ):
        assert words in page
    for item in (*raw["servers"].values(), *raw["load_balancers"].values()):
        for name in ("gateway_result", "limit_result", "made"):
            item.get(name, {}).update(final_state="unchanged")  # as in check mode
    predicted = made({**raw, "check_mode": True})
    assert predicted["changes"] == report["changes"]
    assert predicted["load_balancers"]["bigip"]["final_state"] == "unchanged"
    assert "Nothing was changed. After a real run:" in told({**raw, "check_mode": True})[0]
    assert "6 changes would be made." in told({**raw, "check_mode": True})


def test_what_an_audit_lists_is_due_and_was_not_made() -> None:
    raw = {**drifted(), "due": True}
    raw["load_balancers"]["bigip"]["result"]["changes"].append(change("vs", "useproxyport", "YES", "NO"))
    report = made(raw)
    assert report["changes"] == [
        {"host": "rras1", **gateway_change()},
        {"host": "rras2", **gateway_change()},
        *({"host": "bigip", **one} for one in [*translations(), change("vs", "useproxyport", "YES", "NO")]),
    ]
    assert report["drift"][2] == "bigip: useproxyport of vs is YES and has to be NO"
    assert "5 changes are due." in told(raw)
    assert "vs, useproxyport: YES → NO" in Page(page_of(raw)).text
    assert {item["outcome"] for item in report["servers"].values()} == {"unchanged"}
    only = site(True, GATEWAY, OWN)
    only["load_balancers"]["bigip"]["result"]["changes"] = [change("vs", "useproxyport", "YES", "NO")]
    verdict = made(only)["verdict"]
    assert (verdict["status"], verdict["title"]) == ("drift", "One setting is not as required")


def test_what_was_found_while_changing_is_still_reported_after_a_later_reading() -> None:
    raw = clean()
    raw["load_balancers"]["bigip"]["made"]["findings"] = [
        finding("unsynced_changes", "warning"),
        finding("return_path_wrong", "blocker"),  # accepted then; the reading has it, if it is still so
    ]
    assert [one["code"] for one in made(raw)["findings"]] == ["unsynced_changes"]


def test_a_restart_does_not_change_a_setting() -> None:
    raw = site(True, GATEWAY, OWN)
    raw["servers"]["rras1"]["limit_result"] = {"changed": True, "changes": [], "final_state": "changed"}
    report = made(raw)
    assert (report["servers"]["rras1"]["outcome"], report["changes"]) == ("changed", [])
    assert "such as a restart of IKEEXT" in Page(page_of(raw)).text


def test_what_servers_see_now_is_no_prediction() -> None:
    page = Page(page_of({**clean(), "check_mode": True})).text
    assert "now sees its clients' own addresses" in page
    assert "own addresses, as of now" in page


def test_a_run_that_changes_nothing_says_so_of_every_device() -> None:
    report = made(drifted())
    assert report["changes"] == []
    assert {item["outcome"] for item in (*report["load_balancers"].values(), *report["servers"].values())} == {
        "unchanged"
    }


def test_a_second_run_knows_the_servers_from_its_first_reading() -> None:
    raw = clean()
    raw["load_balancers"]["bigip"]["before"] = result(True)
    for service in raw["load_balancers"]["bigip"]["result"]["services"]:
        service["servers"] = []
    report = made(raw)
    assert [item["host"] for item in report["paths"][0]["servers"]] == ["rras1", "rras2"]


def test_a_path_for_every_virtual_address() -> None:
    raw = clean()
    raw["servers"]["rras2"]["facts"]["sas"] = {**OWN, GATEWAY: 1}
    more = services(False)
    for service in more:
        service.update(address="203.0.113.11", id=f"{service['id']}_b", servers=[])
    raw["load_balancers"]["bigip"]["result"]["services"] += more
    first, second = made(raw)["paths"]
    assert (first["vip"], first["preserved"], first["probe"]["answered"]) == ("203.0.113.10", True, True)
    assert (second["vip"], second["preserved"], second["probe"], second["servers"]) == ("203.0.113.11", False, None, [])
    assert [service["port"] for service in first["services"]] == [500, 4500]
    assert [server["sees"] for server in first["servers"]] == ["seen", "partly"]


def test_addresses_of_ipv6_and_route_domains_find_their_server() -> None:
    raw = clean()
    for service in raw["load_balancers"]["bigip"]["result"]["services"]:
        service["servers"] = [{"address": "2001:DB8::11%1", "port": 500, "gateways": ["2001:db8:0::1%1"]}]
    raw["servers"]["rras1"]["facts"].update(addresses=["2001:db8::11"], gateway="2001:DB8::1")
    (server,) = made(raw)["paths"][0]["servers"]
    assert (server["host"], server["return_path_ok"]) == ("rras1", True)


def test_findings_are_sorted_and_reported_once() -> None:
    raw = drifted()
    raw["servers"]["rras1"]["facts"]["findings"] = [finding("fragmentation_off", "info")]
    raw["findings"] = [finding("shared_server", "warning", host="rras2"), finding("odd", "warning", host="")]
    raw["load_balancers"]["bigip"]["result"]["findings"].append(finding())
    report = made(raw)
    assert [(one["severity"], one["code"], one["host"]) for one in report["findings"]] == [
        ("blocker", "return_path_wrong", "bigip"),
        ("blocker", "return_path_wrong", "bigip"),
        ("warning", "odd", ""),
        ("warning", "server_nat", "bigip"),
        ("warning", "shared_server", "rras2"),
        ("info", "fragmentation_off", "rras1"),
    ]
    assert "Findings: 2 blockers, 3 warnings and 1 note, each with its remedy in the report." in told(raw)
    # The page puts together what is the same at several places.
    assert page_of(raw).count("Make it 10.10.0.1, with the role rras.") == 4


def test_the_summary_never_runs_on() -> None:
    raw = drifted()
    raw["load_balancers"]["bigip"]["result"]["findings"] = [finding(object=f"10.10.0.{n}") for n in range(60)]
    lines = told(raw)
    assert len(lines) == SUMMARY_LINES
    assert lines[-4].endswith("more, in the report.")
    assert lines[-3].startswith("Next: See what would be changed.")
    assert lines[-1] == "Report: /reports/report.html"


# -- gathering ---------------------------------------------------------------------------------------------------------


def test_who_could_not_be_read_is_a_finding_like_the_others() -> None:
    raw = clean()
    raw["servers"]["rras2"] = {
        "failure": {"stage": "read", "msg": "no answer on port 5986", "final_state": "unchanged"}
    }
    report = made(raw)
    (finding,) = [one for one in report["findings"] if one["code"] == "not_read"]
    assert (finding["host"], finding["severity"]) == ("rras2", "warning")
    assert "no answer on port 5986" in finding["message"]
    assert finding["message"] in html.unescape(page_of(raw))


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("state", FINAL_STATES)
def test_a_failure_at_any_stage_has_a_page(stage: str, state: str) -> None:
    raw = failed()
    raw["load_balancers"]["bigip"]["failure"] = {"stage": stage, "msg": "It went wrong", "final_state": state}
    report = made(raw)
    assert "It went wrong" in page_of(raw)
    undone = report["load_balancers"]["bigip"]["final_state"] in ("unchanged", "rolled_back")
    assert report["load_balancers"]["bigip"]["outcome"] == (
        "undone" if undone and stage not in ("read", "check") else "failed"
    )


# -- the page ----------------------------------------------------------------------------------------------------------


def test_the_page_holds_what_the_report_says() -> None:
    raw = failed()
    report = made(raw)
    page = Page(page_of(raw))
    for text in (
        report["verdict"]["title"],
        "203.0.113.10",
        "rras2: no answer on port 5986",
        "gateway leads back",
        "sees its clients",
    ):
        assert text in page.text
    assert not page.tags & {"script", "link", "img", "iframe", "object", "form", "a"}


def test_many_addresses_are_summed_up() -> None:
    raw = site(True, GATEWAY, {**{f"198.51.{n // 250}.{n % 250 + 1}": 500 - n for n in range(500)}, GATEWAY: 1})
    text = page_of(raw)
    page = Page(text).text
    # Of each server; that of the load balancer, alone at the end, is shown as well.
    assert text.count('<th scope="row"><bdi class="mono">198.51.') == 2 * SOURCES_SHOWN
    assert text.count(f'<th scope="row"><bdi class="mono">{GATEWAY}<') == 2
    assert "492 further addresses" in page
    assert f"{sum(range(1, 501)) + 1} IKE security associations from 501 remote addresses" in page


def test_an_address_that_proves_nothing_is_not_called_a_clients_own() -> None:
    raw = site(True, GATEWAY, {"10.99.0.1": 24})
    raw["servers"]["rras2"]["facts"].update(sas={"198.51.100.7": 2}, sas_unclear={"198.51.100.9": 3}, sas_other=4)
    report = made(raw)
    assert [source["kind"] for host in SERVERS for source in report["servers"][host]["sources"]] == [
        "single",
        "unclear",
        "client",
    ]
    page = Page(page_of(raw)).text
    for words in ("one address with nearly all of them", "associations that may not be IKEv2", "2 of 29"):
        assert words in page


def test_many_servers_are_not_all_drawn() -> None:
    raw = clean()
    for service in raw["load_balancers"]["bigip"]["result"]["services"]:
        service["servers"] = [{"address": f"10.10.0.{n}", "port": 500, "gateways": [GATEWAY]} for n in range(11, 41)]
    assert "and 24 servers more, in the JSON file" in Page(page_of(raw)).text


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text(name: str) -> None:
    usual, page = Page(page_of(named("harmless"))), page_of(named(HOSTILE[name]))
    seen = Page(page)
    assert seen.tags == usual.tags
    assert seen.attributes == usual.attributes
    assert not [sign for sign in page if unicodedata.category(sign) in INVISIBLE and sign != "\n"]
    page.encode("utf-8")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("template", "{{ 7 * 7 }}{% raw %}{# #}"),
        ("direction", "vs<U+202E>gnp.exe<U+2066><U+200B>"),
        ("control", "a<U+0000><U+001B>[31mred<U+0007>  b"),
        ("script", "<script>document.title='owned'</script>"),
        ("long", "(cut here; the JSON file has all of it)"),
    ],
)
def test_hostile_names_can_be_read(name: str, shown: str) -> None:
    assert shown in Page(page_of(named(HOSTILE[name]))).text


# -- anything at all ---------------------------------------------------------------------------------------------------


@given(st.data())
def test_whatever_is_somewhere_else_than_expected_the_report_is_written(data: st.DataObject) -> None:
    raw = data.draw(st.sampled_from([*EXAMPLES.values()]))()
    hosts = copy.deepcopy(variables(raw))
    for _again in range(data.draw(st.integers(1, 3))):
        host = hosts[data.draw(st.sampled_from(sorted(hosts)))]
        # A first change may have left nothing to change.
        ways = [way for way in places(host) if way[1:] and way[0] != "group_names"] or [("ikev2_site",)]
        spoil(data.draw, host, ways)
    read = Site.parse(hosts, raw["playbook"])
    json.dumps(snapshot_of(read))
    assert {host for due in due_hosts(read).values() for host in due} <= set(hosts)
    report = Report(read, raw["generated"])
    plain = json.loads(json.dumps(report.as_dict()))
    assert {*plain["load_balancers"], *plain["servers"]} == set(hosts)
    lines, page = summary(report), Page(render(report))
    assert all(name in page.text for name in hosts)
    for name, item in report.site.hosts.items():
        if item.problem:
            assert any(line.startswith(f"{name}: ") for line in lines)
            assert item.failure is not None
            assert item.failure.stage == "read"
