# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the benchmarks, and print one table and the ratios that have to hold."""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmark.harness import Job, measure
from benchmark.jobs import PARTS, Jobs, ratios


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(prog="benchmark", description=__doc__)
    parser.add_argument("--long", action="store_true", help="all curves, and everything five times: most of an hour")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=[*PARTS], help="parts of it")
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    arguments = parser.parse_args()
    console = Console(width=150)

    def tell(job: Job) -> None:
        sample = job.samples[-1]
        console.print(f"{job.part}: {job.what}, {job.way}: {sample.wall:.2f} s", highlight=False)

    with tempfile.TemporaryDirectory() as folder:
        jobs = Jobs(Path(folder), long=arguments.long)
        try:
            of_all = jobs.of(arguments.only)
            load = os.getloadavg()[0]
            measure(of_all, Path(folder), jobs.environment, tell)
        finally:
            jobs.stop()
    machine = f"{os.cpu_count()} processors, {load:.1f} of them busy before; Python {platform.python_version()}"
    console.print(_table(of_all, machine))
    for name, value, bound in ratios(of_all):
        console.print(f"{name}: {value:.3f} (at most {bound})", highlight=False)
    if arguments.json:
        rows = [job.as_dict() for job in of_all]
        held = [{"ratio": name, "value": value, "bound": bound} for name, value, bound in ratios(of_all)]
        content = {"machine": machine, "rows": rows, "ratios": held}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _table(jobs: list[Job], machine: str) -> Table:
    title = f"Medians, with the smallest and the largest. {machine}."
    table = Table(title=title, title_justify="left")
    for column in ("what", "way", "runs", "requests", "seconds", "processor seconds", "MiB"):
        table.add_column(column, justify="left" if column in ("what", "way") else "right")
    part = ""
    for job in jobs:
        if job.part != part:
            table.add_section()
            table.add_row(f"[bold]{job.part}")
            part = job.part
        cells = [f"{job.of('requests'):.0f}"]
        for name in ("wall", "cpu"):
            least, most = job.spread(name)
            cells.append(f"{job.of(name):.2f} ({least:.2f}-{most:.2f})")
        table.add_row(job.what, job.way, str(len(job.samples)), *cells, f"{job.of('memory'):.0f}")
        if job.published:
            table.add_row("", f"[dim]{job.published}")
    return table


if __name__ == "__main__":
    main()
