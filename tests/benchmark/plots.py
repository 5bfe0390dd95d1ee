# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plot what is in a JSON file of the benchmarks: python -m benchmark.plots FROM.json TO.svg"""

from __future__ import annotations

import json
import re
import sys
import typing as t
from collections import defaultdict
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.jobs import COMPARED, DEVICES, DISTANCE, OTHERS, PAIRS, PEER

Row: t.TypeAlias = "dict[str, t.Any]"


def curves(rows: list[Row], *parts: str) -> dict[str, list[tuple[int, float, float, float]]]:
    """Return the points of each curve: the number that ``what`` begins with, the median, the smallest and the largest time."""
    found = defaultdict(list)
    for row in rows:
        if row["part"] in parts and (number := re.match(r"(\d+)(?: pairs?| ms)?(?:, (.*))?$", row["what"])):
            name = ", ".join(filter(None, (row["way"], number[2])))
            found[name].append((int(number[1]), row["wall"]["median"], *row["wall"]["spread"]))
    return {name: sorted(points) for name, points in found.items()}


def bars(axes: Axes, rows: list[Row], figure: str, unit: str) -> None:
    """Draw a bar for each way to do one task on one pair, with its spread."""
    chosen = [row for row in rows if row["part"] == COMPARED and figure in row and "10 pairs" not in row["what"]]
    names = [f"{row['way']}, {row['what'].removeprefix('1 pair, ')}" for row in chosen]
    medians = [row[figure]["median"] for row in chosen]
    spread = [[abs(row[figure]["spread"][side] - row[figure]["median"]) for row in chosen] for side in (0, 1)]
    axes.barh(names, medians, xerr=spread, height=0.6, error_kw={"elinewidth": 0.8})
    axes.invert_yaxis()
    axes.set(xlabel=unit)
    axes.grid(axis="x", alpha=0.3)


def lines(axes: Axes, found: dict[str, list[tuple[int, float, float, float]]], unit: str) -> None:
    """Draw the curves, with the spread as a band. A single point is a cross."""
    for name, points in found.items():
        xs, medians, least, most = zip(*points, strict=True)
        axes.plot(xs, medians, marker="o" if len(xs) > 1 else "x", markersize=3 if len(xs) > 1 else 6, label=name)
        axes.fill_between(xs, least, most, alpha=0.15)
    axes.set(xlabel=unit, ylabel="seconds")
    axes.set_ylim(bottom=0)
    if found:
        axes.legend(fontsize=7)
    axes.grid(alpha=0.3)


def main(source: Path, target: Path) -> None:
    """Draw one panel for each part, and one for memory."""
    rows = json.loads(source.read_text(encoding="utf-8"))["rows"]
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "aovpn", "font.size": 9})
    figure = Figure(figsize=(13, 11), layout="constrained")
    task, memory, pairs, others, devices, distance = figure.subplots(3, 2).flat
    task.set_title("one task, one pair")
    bars(task, rows, "wall", "seconds")
    memory.set_title("memory of ansible-playbook")
    bars(memory, rows, "memory", "MiB")
    pairs.set_title("more pairs of services")
    theirs = [row for row in rows if row["part"] == COMPARED and row["way"] == PEER]
    lines(pairs, curves([*theirs, *(row for row in rows if row["part"] == PAIRS)], COMPARED, PAIRS), "pairs")
    others.set_title("more of what is left alone, unchanged")
    lines(others, curves(rows, OTHERS), "other services on the device")
    devices.set_title("more devices, unchanged, in one play")
    lines(devices, curves(rows, DEVICES), "devices")
    distance.set_title("more distance, one pair")
    lines(distance, curves(rows, DISTANCE), "milliseconds of a round trip")
    figure.savefig(target, metadata={"Date": None})


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
