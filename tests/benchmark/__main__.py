# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the benchmarks: every vendor, or those named."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmark.bigip import BigIpBench
from benchmark.harness import Bench, measure
from benchmark.loadmaster import LoadMasterBench
from benchmark.netscaler import NetScalerBench

BENCHES: dict[str, type[BigIpBench] | type[NetScalerBench] | type[LoadMasterBench]] = {
    "netscaler": NetScalerBench,
    "loadmaster": LoadMasterBench,
    "bigip": BigIpBench,  # the longest last
}


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(prog="benchmark", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=BENCHES, default=[*BENCHES])
    parser.add_argument("--pairs", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument(
        "--others", type=int, nargs="+", help="how many other services there are; by default as each table has it"
    )
    arguments = parser.parse_args()
    for name in arguments.only:
        with tempfile.TemporaryDirectory() as folder:
            bench: Bench = BENCHES[name](Path(folder))
            try:
                measure(bench, arguments.pairs, arguments.others or bench.others)
            finally:
                bench.device.stop()


if __name__ == "__main__":
    main()
