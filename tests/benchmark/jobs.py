# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is measured: our tasks beside others, how time grows, and what distance costs."""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

from benchmark.bigip import BigIpBench
from benchmark.harness import OTHER, Bench, Job
from benchmark.loadmaster import LoadMasterBench
from benchmark.netscaler import NetScalerBench
from lab.core import CertificateAuthority

COMPARED, PAIRS, OTHERS, DEVICES, DISTANCE = (
    "one task beside others",
    "pairs of services",
    "other services on the device",
    "devices, in one play",
    "distance",
)
DEBUG, PEER, MODULES = "ansible.builtin.debug", "f5_modules.bigip_virtual_server", "as modules"
OURS = ("bigip_snat", "netscaler_usip", "loadmaster_transparency")
NETSCALER_ADC = {
    "unchanged": "netscaler.adc 2.18, published: 13 requests",
    "changed": "netscaler.adc 2.18, published: 15 requests",
}
"""Its published figures for one pair and the mode: it is not on PyPI, so not measured here."""


class Jobs:
    """All jobs on one set of stand-ins. ``long``: with the long curves, which take most of an hour."""

    def __init__(self, folder: Path, *, long: bool) -> None:
        authority = CertificateAuthority()
        self.long = long
        self.bigip, self.netscaler = BigIpBench(folder, authority), NetScalerBench(folder, authority)
        self.loadmaster = LoadMasterBench(folder, authority)
        self.benches: list[Bench] = [self.bigip, self.netscaler, self.loadmaster]
        self.environment = {"F5_TELEMETRY_OFF": "true", "SSL_CERT_FILE": str(self.bigip.ca)}

    def stop(self) -> None:
        """Stop the stand-ins."""
        for bench in self.benches:
            bench.device.stop()

    def of(self, parts: Collection[str]) -> list[Job]:
        """Return the jobs of these parts."""
        return [job for name in parts for job in PARTS[name](self)]

    def _ours(
        self, part: str, what: str, bench: Bench, *, pairs: int = 1, others: int = 0, done: bool = True, **more: t.Any
    ) -> Job:
        prepare = _prepare(bench, pairs, others, done, more.pop("delay", 0.0))
        return Job(part, what, bench.module, bench.ours, prepare, bench, **more)

    def _theirs(self, part: str, what: str, *, pairs: int, done: bool, **more: t.Any) -> Job:
        bench = self.bigip
        return Job(part, what, PEER, bench.theirs, _prepare(bench, pairs, 0, done, 0.0), bench, **more)

    def compared(self) -> list[Job]:
        """Return our tasks, their peers, and what a task costs at least."""
        ours, theirs = partial(self._ours, COMPARED), partial(self._theirs, COMPARED)
        jobs = [
            Job(COMPARED, "floor of a task", DEBUG, lambda: [{DEBUG: {"msg": "x"}}]),
            Job(COMPARED, "floor of a module", "ansible.builtin.ping", lambda: [{"ansible.builtin.ping": {}}]),
        ]
        for state in ("unchanged", "changed"):
            done = state == "unchanged"
            jobs += [
                ours(f"1 pair, {state}", self.bigip, done=done),
                theirs(f"1 pair, {state}", pairs=1, done=done),
                ours(f"10 pairs, {state}", self.bigip, pairs=10, done=done),
            ]
            if done or self.long:
                jobs.append(theirs(f"10 pairs, {state}", pairs=10, done=done))
            jobs += [
                ours(f"1 pair, {state}", self.netscaler, done=done, published=NETSCALER_ADC[state]),
                ours(f"1 pair, {state}", self.loadmaster, done=done),
            ]
        return jobs

    def pairs(self) -> list[Job]:
        """Return our tasks with more and more pairs."""
        return [
            self._ours(PAIRS, f"{count}, {state}", bench, pairs=count, done=state == "unchanged")
            for bench in (self.benches if self.long else [self.bigip])
            for state in (("unchanged", "changed") if self.long else ("changed",))
            for count in (1, 10, 100)
        ]

    def others(self) -> list[Job]:
        """Return our tasks with more and more of what they leave alone."""
        return [
            self._ours(OTHERS, f"{count}", bench, others=count)
            for bench in self.benches
            for count in ((0, 200, 500, 1000, 2000) if self.long else (0, 2000))
        ]

    def devices(self) -> list[Job]:
        """Return our task on more and more hosts, with as many and more forks, and as a module."""
        jobs = []
        for forks in (5, 20, 50):
            for count in (1, 10, 50, 200) if self.long or forks == 20 else (200,):
                job = partial(self._ours, DEVICES, f"{count}, {forks} forks", self.loadmaster, hosts=count, forks=forks)
                jobs.append(job(runs=5 if self.long or forks == 20 else 3))
                if count == 200 and (self.long or forks == 20):
                    as_module = job(variables={"ansible_python_interpreter": OTHER}, runs=5 if self.long else 1)
                    as_module.way = MODULES
                    jobs.append(as_module)
        return jobs

    def distance(self) -> list[Job]:
        """Return our tasks on devices that are far away."""
        return [
            self._ours(DISTANCE, f"{delay} ms, {state}", bench, done=state == "unchanged", delay=delay / 1000)
            for bench in self.benches
            for delay in (20, 100)
            for state in ("unchanged", "changed")
        ]


def _prepare(bench: Bench, pairs: int, others: int, done: bool, delay: float) -> Callable[[], None]:
    def prepare() -> None:
        bench.fill(pairs, others)
        bench.set_all(done=done)
        bench.device.delay = delay

    return prepare


PARTS: dict[str, Callable[[Jobs], list[Job]]] = {
    "compared": Jobs.compared,
    "pairs": Jobs.pairs,
    "others": Jobs.others,
    "devices": Jobs.devices,
    "distance": Jobs.distance,
}


def ratios(jobs: list[Job]) -> list[tuple[str, float, str]]:
    """Return what has to hold, as ratios of medians, each with its bound, as far as it was measured."""
    found = {(job.part, job.what, job.way): job for job in jobs}
    rows: list[tuple[str, float, str]] = []

    def ratio(name: str, figure: str, upper: tuple[str, str, str], lower: tuple[str, str, str], bound: str) -> None:
        if upper in found and lower in found:
            rows.append((name, found[upper].of(figure) / found[lower].of(figure), bound))

    for count, bound in (("1 pair", "0.40"), ("10 pairs", "0.10")):
        ours, theirs = ((COMPARED, f"{count}, unchanged", way) for way in ("bigip_snat", PEER))
        ratio(f"BIG-IP, {count}, unchanged: requests, ours / f5_modules", "requests", ours, theirs, "0.125")
        ratio(f"BIG-IP, {count}, unchanged: seconds, ours / f5_modules", "wall", ours, theirs, bound)
    floor = (COMPARED, "floor of a task", DEBUG)
    for way in OURS:
        ours = (COMPARED, "1 pair, unchanged", way)
        ratio(f"{way}, one task: seconds, with its round trips / debug's", "wall", ours, floor, "1.15 + round trips")
        ratio(f"{way}, one task: processor seconds / debug's", "cpu", ours, floor, "1.15 + round trips")
        if (far := found.get((DISTANCE, "100 ms, unchanged", way))) and floor in found:
            # A request takes one round trip, and a connection and its TLS two.
            beside = far.of("wall") - 0.1 * (far.of("requests") + 2)
            rows.append(
                (
                    f"{way}, 100 ms away: seconds beside the round trips / debug's",
                    beside / found[floor].of("wall"),
                    "1.15 + the stand-in's answers",
                )
            )
    ours, theirs = ((DEVICES, "200, 20 forks", way) for way in ("loadmaster_transparency", MODULES))
    ratio("200 devices: seconds, in process / as modules", "wall", ours, theirs, "0.125")
    ratio("200 devices: processor seconds, in process / as modules", "cpu", ours, theirs, "0.125")
    for way in OURS:
        many, none = ((OTHERS, count, way) for count in ("2000", "0"))
        ratio(f"{way}: seconds, with 2,000 others / with none", "wall", many, none, "1.20 + reading")
    return rows
