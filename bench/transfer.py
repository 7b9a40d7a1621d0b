# SPDX-License-Identifier: Apache-2.0
"""Transfers over an emulated line: times, shares of the limit, and the public tool beside.

    python -m bench.transfer [--only TABLE,...] [--public] [--model] [--chip CHIP] [--jobs N]
                             [--quick] [--json FILE] [--doc docs/performance.md]

Ours is measured on a virtual clock, each row in a process of its own (`bench.lib.simulated`); with
--public, both tools in real time on equal served chips (`bench.lib.realtime`), one at a time.
Rows are added to the JSON file as they come, so that a run may be done in pieces; --doc renews the
page's tables from all that the file holds, and with --only none measures nothing.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.lib import realtime, simulated
from bench.lib.page import renew
from esptool.errors import FatalError

LINES = [(b, ms) for b in (115200, 921600, 2_000_000, 3_000_000) for ms in (1, 16)]
#: A rate that no UART bridge has: that of the chip's own port.
USB_LINES = [(12_000_000, ms, "usb-jtag") for ms in (1, 16)]
#: The public tool would need minutes of real time at 115200 baud.
PUBLIC_LINES = [*LINES[2:], *USB_LINES]
RATES = {0.0: 1, 1e-6: 3, 1e-5: 3, 1e-4: 5}
#: The arguments of each table's rows.
ROWS: dict[str, list[tuple[Any, ...]]] = {
    "requests": [()],
    "lines": [*LINES, *USB_LINES],
    "half": [(921600, 1), (921600, 16), (3_000_000, 1)],
    "delta": [("blank",), ("dirty",), ("0",), ("1",), ("10",), ("100",)],
    "erase": [(0,), (1,), (20,)],
    "faults": [(rate, seed) for rate, seeds in RATES.items() for seed in range(seeds)],
    "public-requests": [("own",), ("public",), ("rom",)],
    "public-lines": PUBLIC_LINES,
    "public-delta": [("dirty",), ("1",)],
    "public-erase": [(0,), (1,), (20,)],
    "fallback": [("public", 1), ("public", 16), ("rom", 1), ("rom", 16)],
}
QUICK: dict[str, list[tuple[Any, ...]]] = ROWS | {
    "lines": [(921600, 1), (921600, 16), (2_000_000, 1), (3_000_000, 1)],
    "half": [(921600, 1)],
    "faults": [(0.0, 0), (1e-5, 0)],
    "public-lines": [(921600, 1), (3_000_000, 1)],
    "public-erase": [(1,)],
    "fallback": [("public", 1), ("rom", 1)],
}


@dataclass(frozen=True, slots=True)
class Job:
    """One row of one table.

    Attributes:
        stub: `code` or `model` on the virtual clock, `real` in real time.
        args: what the row is of.
    """

    table: str
    chip: str
    stub: str
    args: tuple[Any, ...]

    @property
    def key(self) -> str:
        """Its name in the table."""
        return " ".join([self.chip, self.stub, *(f"{a}" for a in self.args)])


def measure(job: Job) -> dict[str, Any]:
    """The row, and the real seconds that it took. A transfer that fails is a row, too."""
    start = time.monotonic()
    try:
        if job.table in realtime.TABLES:
            row = realtime.TABLES[job.table](job.chip, *job.args)
        else:
            row = simulated.TABLES[job.table](job.chip, job.stub == "model", *job.args)
    except FatalError as e:
        row = {"error": str(e)}
    return row | {"took_s": round(time.monotonic() - start, 1)}


def run(jobs: list[Job], workers: int) -> Iterator[tuple[Job, dict[str, Any]]]:
    """All rows as they come: those on a virtual clock side by side, then the others singly."""
    context = multiprocessing.get_context("spawn")
    clocked = [job for job in jobs if job.table in simulated.TABLES]
    with ProcessPoolExecutor(workers, context, max_tasks_per_child=1) as pool:
        running = {pool.submit(measure, job): job for job in clocked}
        for future in as_completed(running):
            yield running[future], future.result()
    for job in jobs:
        if job.table in realtime.TABLES:
            yield job, measure(job)


def _short(row: dict[str, Any]) -> str:
    """A row for people."""
    parts = []
    for name, value in row.items():
        if isinstance(value, dict):
            parts.append(f"{name} ({_short(value)})")
        elif name.endswith("_share"):
            parts.append(f"{name[:-6]} {value:.1%}")
        else:
            parts.append(f"{name} {value:.2f}" if isinstance(value, float) else f"{name} {value}")
    return ", ".join(parts)


def _tables(only: str | None, public: bool) -> list[str]:
    if only == "none":
        return []
    if only is None:
        return [*simulated.TABLES, *(realtime.TABLES if public else ())]
    names = only.split(",")
    if unknown := [name for name in names if name not in ROWS]:
        sys.exit(f"There is no table {unknown[0]}: choose from {', '.join(ROWS)}, or none.")
    return names


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", metavar="TABLE,...", help=f"from {', '.join(ROWS)}; or none")
    parser.add_argument("--public", action="store_true", help="also against the public tool")
    parser.add_argument("--model", action="store_true", help="a model instead of the stub's code")
    parser.add_argument("--chip", default="esp32s3")
    parser.add_argument("--jobs", type=int, default=1, help="rows at a time on the virtual clock")
    parser.add_argument("--quick", action="store_true", help="few rows")
    parser.add_argument("--json", type=Path, help="file to which rows are added")
    parser.add_argument("--doc", type=Path, help="page whose tables are to be renewed")
    args = parser.parse_args()
    names = _tables(args.only, args.public)
    if any(name in realtime.TABLES for name in names) and not realtime.available():
        sys.exit("The public tool is not installed: make oracle.")
    start = time.monotonic()
    figures: dict[str, dict[str, Any]] = {}
    if args.json and args.json.exists():
        figures = json.loads(args.json.read_text())
    kind = "model" if args.model else "code"
    jobs = [
        Job(name, args.chip, "real" if name in realtime.TABLES else kind, row)
        for name in names
        for row in (QUICK if args.quick else ROWS)[name]
    ]
    for job, row in run(jobs, args.jobs):
        print(f"{job.table}: {job.key}: {_short(row)}", flush=True)
        figures.setdefault(job.table, {})[job.key] = row
        if args.json:
            args.json.write_text(json.dumps(figures, indent=1) + "\n")
    print(f"measured in {time.monotonic() - start:.0f} s")
    if args.doc:
        renew(args.doc, figures)


if __name__ == "__main__":
    main()
