# SPDX-License-Identifier: Apache-2.0
"""`--baud auto` on lines that bear a rate and no more: the right rate, and the time to find it.

    python -m bench.rates [--runs 100] [--first SEED] [--code] [--chips CHIP,...] [--workers N]

Each run takes chip, latency and (for the half of them with errors at the edge) the chance of damage
above the limit from its seed, between 1 in 1000 bytes and 1 in 10. The stub is loaded on a virtual
clock, by a model of its first stage or, with --code, by its machine code.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

from bench.loop import names
from esptool.device import connect
from esptool.device.line_rate import LineRate
from esptool.errors import FatalError

TOPS = (115_200, 460_800, 921_600, 2_000_000, 3_000_000)
ENOUGH, MOST_S = 0.99, 0.3


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run: what the line bears, what was found, and the seconds of probing."""

    seed: int
    top: int
    edge: float
    chip: str
    found: int
    probing_s: float
    error: str = ""


def one(
    seed: int, top: int, edges: bool, code: bool = False, chips: tuple[str, ...] = ()
) -> Outcome:
    """Load a stub with `--baud auto` on a line that bears `top`."""
    rng = random.Random(f"{seed}/{top}/{edges}")
    chip = rng.choice(chips or tuple(names()))
    edge = 10 ** rng.uniform(-3, -1) if edges else 0.0
    latency = rng.choice((1, 1, 2, 4))
    fault = f"baud:{top}" + (f",edge:{edge:.5f}" if edge else "")
    url = (
        f"virtual://{chip}?stub={'emulated' if code else 'model'}&timing=virtual"
        f"&latency={latency}ms&fault={fault}&seed={seed}"
    )
    spent: list[float] = []
    found = 0
    try:
        with connect(url, chip=chip) as session, _timed(spent):
            session.run_stub(baud="auto")
            found = session.link.baud
    except FatalError as e:
        return Outcome(seed, top, edge, chip, found, sum(spent), str(e))
    return Outcome(seed, top, edge, chip, found, sum(spent))


class _timed:  # noqa: N801 - reads as a part of the statement that it stands in
    """Adds to a list what each search for a rate takes."""

    def __init__(self, spent: list[float]) -> None:
        self._spent = spent
        self._find = LineRate.find

    def __enter__(self) -> None:
        find, spent = self._find, self._spent

        def timed(rate: LineRate, remembered: int | None, **more: bool) -> None:
            began = rate.link.now()
            find(rate, remembered, **more)
            spent.append(rate.link.now() - began)

        LineRate.find = timed  # type: ignore[assignment,method-assign]

    def __exit__(self, *_exc: object) -> None:
        LineRate.find = self._find  # type: ignore[method-assign]


def run(
    runs: int, first: int, code: bool, chips: tuple[str, ...], workers: int
) -> Iterator[Outcome]:
    """All runs of all lines."""
    work = [
        (first + number, top, edges) for top in TOPS for edges in (False, True)
        for number in range(runs)
    ]  # fmt: skip
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(partial(_numbered, code=code, chips=chips), work, chunksize=4)


def _numbered(of: tuple[int, int, bool], code: bool, chips: tuple[str, ...]) -> Outcome:
    os.environ["ESPTOOL_ADAPTERS"] = "off"  # nothing is to be known before
    return one(*of, code, chips)


def main() -> None:
    """Run, print a line for each kind of line, and fail where one is found too seldom or late."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=100, help="of each of the ten kinds of lines")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--code", action="store_true", help="machine code, not a model")
    parser.add_argument("--chips", default="")
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    start = time.monotonic()
    rows: dict[tuple[int, bool], list[Outcome]] = defaultdict(list)
    chips = tuple(filter(None, args.chips.split(",")))
    for outcome in run(args.runs, args.first, args.code, chips, args.workers):
        rows[outcome.top, bool(outcome.edge)].append(outcome)
        if outcome.found != outcome.top:
            print(outcome, flush=True)
    bad = False
    print(f"{'bears':>9} {'edge':>7} {'right':>10} {'probing, mean':>14} {'at most':>8}")
    for (top, edges), outcomes in rows.items():
        right = sum(o.found == top for o in outcomes)
        most = max(o.probing_s for o in outcomes)
        mean = sum(o.probing_s for o in outcomes) / len(outcomes)
        bad = bad or right < ENOUGH * len(outcomes) or most > MOST_S
        kind = "errors" if edges else "sharp"
        print(f"{top:>9} {kind:>7} {right:>4} of {len(outcomes):<4} {mean:>12.3f} s {most:>6.3f} s")
    print(f"{sum(map(len, rows.values()))} runs in {time.monotonic() - start:.0f} s")
    sys.exit(bad)


if __name__ == "__main__":
    main()
