# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plot the curves in a JSON file of the benchmarks: python -m benchmark.plots FROM.json TO.svg"""

from __future__ import annotations

import json
import re
import sys
import typing as t
from collections import defaultdict
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmark.jobs import COMPARED, DEVICES, OTHERS, PAIRS

CURVES = {"one task of each way": COMPARED, PAIRS: PAIRS, OTHERS: OTHERS, DEVICES: DEVICES}


def curves(rows: list[dict[str, t.Any]], part: str) -> dict[str, list[tuple[int, float, float, float]]]:
    """Return the points of each curve: the number that ``what`` begins with, the median, the smallest and the largest time."""
    found = defaultdict(list)
    for row in rows:
        if row["part"] == part and (number := re.match(r"(\d+)(?: pairs?)?(?:, (.*))?$", row["what"])):
            name = ", ".join(filter(None, (row["way"], number[2])))
            found[name].append((int(number[1]), row["wall"]["median"], *row["wall"]["spread"]))
    return {name: sorted(points) for name, points in found.items()}


def main(source: Path, target: Path) -> None:
    """Draw one panel for each part, with the spread as a band."""
    rows = json.loads(source.read_text(encoding="utf-8"))["rows"]
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "aovpn", "font.size": 9})
    figure = Figure(figsize=(10, 8), layout="constrained")
    for axes, (title, part) in zip(figure.subplots(2, 2).flat, CURVES.items(), strict=True):
        for name, points in curves(rows, part).items():
            xs, medians, least, most = zip(*points, strict=True)
            axes.plot(xs, medians, marker="o", markersize=3, label=name)
            axes.fill_between(xs, least, most, alpha=0.15)
        axes.set(title=title, xlabel="pairs" if part == COMPARED else part.split(",")[0], ylabel="seconds")
        axes.set_ylim(bottom=0)
        if axes.has_data():
            axes.legend(fontsize=7)
        axes.grid(alpha=0.3)
    figure.savefig(target, metadata={"Date": None})


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
