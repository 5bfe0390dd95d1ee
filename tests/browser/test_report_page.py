# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report's page in a real browser: read by its accessibility tree, on paper, on a telephone, and with hostile names in it."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import typing as t
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import pytest
from selenium import webdriver

from ansible_collections.aovpn.ikev2.plugins.plugin_utils._report.page import render, running
from report_examples import GATEWAY, HOSTILE, Raw, clean, drifted, failed, named, partial, report_of, site


def many() -> Raw:
    """Return a site of many clients, whose servers still see some of them by the load balancer's address."""
    return site(True, GATEWAY, {**{f"2001:db8::{n:x}": 500 - n for n in range(500)}, GATEWAY: 200})


EXAMPLES: dict[str, Callable[[], Raw]] = {
    "drift": drifted,
    "clean": clean,
    "failed": failed,
    "partial": partial,
    "many": many,
    "empty": dict,
}
SCHEMES = ("light", "dark")
AXE = (files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]


@dataclass
class Browser:
    """A headless Chromium that notes every request and every word on its console."""

    driver: webdriver.Chrome
    folder: Path

    def cdp(self, command: str, **arguments: t.Any) -> t.Any:
        """Send a command of the browser's own protocol."""
        return self.driver.execute_cdp_cmd(command, arguments)

    def show(self, page: str, *, scheme: str = "light", width: int = 1200, media: str = "") -> str:
        """Open a page, and give its address."""
        self.cdp(
            "Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": scheme}]
        )
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        path = self.folder / "page.html"
        path.write_text(page, encoding="utf-8")
        self.requests()
        self.driver.get_log("browser")
        self.driver.get(path.as_uri())
        return path.as_uri()

    def requests(self) -> list[str]:
        """Return the addresses of all requests since the last time this was asked, refused ones too."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]

    def ask(self, script: str) -> t.Any:
        """Ask the page something."""
        return self.driver.execute_script(f"return {script}")

    def tree(self) -> list[dict[str, t.Any]]:
        """Return the accessibility tree, as what reads a page aloud gets it: role, name and properties in order."""
        nodes = self.cdp("Accessibility.getFullAXTree")["nodes"]
        return [
            {
                "role": node["role"]["value"],
                "name": node.get("name", {}).get("value", ""),
                "description": node.get("description", {}).get("value", ""),
                **{item["name"]: item["value"].get("value") for item in node.get("properties", [])},
            }
            for node in nodes
            if not node["ignored"]
        ]

    def complaints(self) -> list[str]:
        """Let axe-core look for barriers, and give what it finds."""
        self.driver.execute_script(AXE)
        options = {"runOnly": {"type": "tag", "values": RULES}}
        found = self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1]; axe.run(document, arguments[0]).then(done)", options
        )
        assert found["passes"], "axe-core has looked at nothing"
        return [
            f"{item['id']}: {node['html'][:160]}: {node['failureSummary']}"
            for item in found["violations"]
            for node in item["nodes"]
        ]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Start the browser once."""
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not chromedriver:
        missing = "Chromium and its driver are not installed: apt-get install chromium chromium-driver"
        if os.environ.get("CI") and not os.environ.get("NO_BROWSER"):  # .ci/run says where none can be had
            pytest.fail(missing)
        pytest.skip(missing)
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    options.add_argument("--headless=new")
    options.add_argument("--disable-dev-shm-usage")
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # it does not start as root otherwise
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=chromedriver))
    driver.set_page_load_timeout(30)
    driver.set_script_timeout(60)
    try:
        yield Browser(driver, tmp_path_factory.mktemp("page"))
    finally:
        driver.quit()


def page(raw: Raw) -> str:
    """Write the page of a site."""
    return render(report_of(raw))


def test_what_the_tests_look_for_would_be_seen(browser: Browser) -> None:
    control = (
        "<title>before</title><img src='http://127.0.0.1:9/a' onerror=document.title='owned'><p style='width:900px'>x"
    )
    address = browser.show(control, width=400)
    assert browser.requests() == [address, "http://127.0.0.1:9/a"]
    assert browser.ask("document.title") == "owned"
    assert browser.ask("document.documentElement.scrollWidth") > 400
    assert [complaint for complaint in browser.complaints() if complaint.startswith("image-alt")]


@pytest.mark.parametrize(
    ("scheme", "width"),
    [
        ("light", 1200),
        ("dark", 400),
        pytest.param("light", 400, marks=pytest.mark.matrix),
        pytest.param("dark", 1200, marks=pytest.mark.matrix),
    ],
)
@pytest.mark.parametrize("name", EXAMPLES)
def test_nobody_is_kept_out(browser: Browser, name: str, scheme: str, width: int) -> None:
    address = browser.show(page(EXAMPLES[name]()), scheme=scheme, width=width)
    assert browser.complaints() == []
    assert browser.requests() == [address]
    assert browser.driver.get_log("browser") == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_page_of_a_run_that_has_not_ended(browser: Browser, scheme: str) -> None:
    for width in (1200, 320):
        address = browser.show(running("remediate", "2026-11-24T20:18:17Z"), scheme=scheme, width=width)
        assert browser.complaints() == []
        assert browser.requests() == [address]
        assert browser.ask("document.documentElement.scrollWidth") <= width
    headings = [node["name"] for node in browser.tree() if node["role"] == "heading"]
    assert headings == ["Running since 2026-11-24 20:18:17 UTC"]
    assert "If this page is old, the run was killed" in browser.ask("document.body.innerText")


@pytest.mark.parametrize("name", ["drift", "clean", "failed", "partial"])
def test_the_first_screen_says_what_is_and_what_to_do(browser: Browser, name: str) -> None:
    raw = EXAMPLES[name]()
    browser.show(page(raw))
    verdict = report_of(raw).verdict
    shown = browser.ask("document.querySelector('.verdict').innerText")
    for text in (
        verdict.title,
        *verdict.lines,
        *(part for step in verdict.steps for part in (step.text, step.command)),
    ):
        assert text in shown
    (steps,) = [node for node in browser.tree() if node["role"] == "list" and node["name"] == "What to do next"]
    assert steps
    assert browser.ask("document.querySelectorAll('.verdict ol li').length") == len(verdict.steps) > 0
    assert browser.ask("document.querySelector('.verdict ol').getBoundingClientRect().bottom") <= 900


def test_failed_devices_come_first(browser: Browser) -> None:
    raw = failed()
    raw["servers"] = {"a-server": raw["servers"]["rras1"], "rras2": raw["servers"]["rras2"]}
    browser.show(page(raw))
    rows = browser.ask("[...document.querySelectorAll('section')][0].querySelector('tbody').innerText")
    assert re.findall(r"^(bigip|a-server|rras2)$", rows, re.MULTILINE) == ["bigip", "rras2", "a-server"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_nothing_runs_over_the_edge_of_a_telephone(browser: Browser, name: str) -> None:
    for width in (400, 320):
        browser.show(page(EXAMPLES[name]()), width=width)
        assert browser.ask("document.documentElement.scrollWidth") <= width


def test_the_accessibility_tree_tells_the_whole_report(browser: Browser) -> None:
    browser.show(page(failed()))
    tree = browser.tree()
    roles = [node["role"] for node in tree]
    assert [roles.count(role) for role in ("banner", "main", "contentinfo")] == [1, 1, 1]

    headings = [(node["level"], node["name"]) for node in tree if node["role"] == "heading"]
    assert headings[0] == (1, "The run failed on bigip and rras2")
    assert [name for level, name in headings if level == 2] == [
        "What was done, device by device",
        "Packet paths",
        "Services of the load balancers",
        "VPN servers",
        "Findings",
    ]
    assert all(after <= before + 1 for (before, _dummy), (after, _also) in pairwise(headings))

    (picture,) = [node for node in tree if node["role"] in ("image", "img")]
    assert picture["name"] == "Path of 203.0.113.10 through bigip"
    assert picture["description"] == (
        "Clients reach 203.0.113.10 on UDP 500 and 4500 of bigip (F5 BIG-IP), which hides their addresses."
        " rras1 at 10.10.0.11: gateway 10.10.0.1, gateway leads back, sees its clients' own addresses."
        " A server that was not read, at 10.10.0.12: return path unknown, what it sees is unknown."
    )

    names = {node["name"] for node in tree if node["role"] == "columnheader"}
    assert {"Device", "Outcome", "Service", "Setting", "Client's address", "Remote address", "Associations"} <= names
    assert {node["name"].split()[0] for node in tree if node["role"] == "rowheader"} >= {"bigip", "rras1", "rras2"}
    read = " ".join(node["name"] for node in tree if node["role"] == "StaticText")
    for text in ("rras2: no answer on port 5986", "Everything on it is as it was before.", "198.51.100.7", "undone"):
        assert text in read


def test_tables_stay_tables_on_a_telephone(browser: Browser) -> None:
    browser.show(page(clean()), width=400)
    roles = [node["role"] for node in browser.tree()]
    assert roles.count("table") == 4
    assert roles.count("rowheader") == 2 + 3 + 4  # services, devices, two addresses of each server
    assert roles.count("image") + roles.count("img") == 1


def test_light_and_dark_and_paper(browser: Browser) -> None:
    def background(scheme: str, media: str = "") -> list[int]:
        browser.show(page(drifted()), scheme=scheme, media=media)
        colour = browser.ask("getComputedStyle(document.body).backgroundColor")
        return [int(part) for part in re.findall(r"\d+", colour)]

    assert min(background(scheme="light")) > 240
    assert max(background(scheme="dark")) < 40
    assert background(scheme="dark", media="print") == [255, 255, 255]


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_prints(browser: Browser, name: str) -> None:
    browser.show(page(EXAMPLES[name]()), scheme="dark")
    paper = base64.b64decode(
        browser.cdp("Page.printToPDF", printBackground=True, paperWidth=8.27, paperHeight=11.69)["data"]
    )
    assert paper.startswith(b"%PDF-")
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", paper)) <= 6


@pytest.fixture(scope="module")
def elements(browser: Browser) -> int:
    """Return how many elements the page with harmless names has."""
    browser.show(page(named("harmless")))
    return t.cast(int, browser.ask("document.querySelectorAll('*').length"))


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_harmless(browser: Browser, elements: int, name: str) -> None:
    text = page(named(HOSTILE[name]))
    for width in (1200, 400):
        address = browser.show(text, width=width)
        assert browser.requests() == [address]
        assert browser.driver.get_log("browser") == []
        assert browser.ask("document.title").startswith("Failed: The run failed on ")
        assert browser.ask("document.querySelectorAll('*').length") == elements
        assert browser.ask("document.querySelectorAll('script, img, iframe, a, [onload], [onerror]').length") == 0
        assert browser.ask("document.documentElement.scrollWidth") <= width
    assert browser.complaints() == []
