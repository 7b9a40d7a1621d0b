# SPDX-License-Identifier: Apache-2.0
"""`esp_station report`."""

from __future__ import annotations

import click

from esp_station.cli.common import opened, percent, rate, records_options
from esp_station.clock import stamp_before
from esp_station.records import Query, Summary, summarize
from esptool.cli import machine
from esptool.cli.common import Command
from esptool.cli.params import FiniteRange
from esptool.logger import log


def _run(records: str | None, job: str | None, station: str | None, hours: float | None) -> None:
    since = None if hours is None else stamp_before(hours * 3600)
    query = Query(station=station, since=since, latest_first=False)
    with opened(records, job) as book:
        found = summarize(book.find(query))
    machine.result(found.to_json())
    if machine.active() is None:
        _show(found)


def _show(found: Summary) -> None:
    results = ", ".join(f"{count} {result}" for result, count in sorted(found.attempts.items()))
    log.print(f"Boards:          {found.boards}, {found.good} good")
    log.print(f"Yield:           {percent(found.yield_)}")
    first = found.first_time / found.boards if found.boards else None
    log.print(f"At first try:    {percent(first)}")
    log.print(f"Attempts:        {results or 'none'}")
    log.print(f"Boards an hour:  {rate(found.boards_an_hour)}")
    if found.seconds is not None:
        log.print(f"A good board:    {found.seconds:.1f} s (median)")
        steps = ", ".join(f"{name} {value:.1f} s" for name, value in found.step_seconds.items())
        log.print(f"Steps:           {steps}")
    if found.failures:
        log.print("Causes of failures:")
        for reason, count in found.failures:
            log.print(f"  {count:4} x {reason.splitlines()[0]}")


command = Command(
    "report",
    callback=_run,
    help="Show yield, boards an hour, the times of steps and the causes of failures. A board "
    "counts by its last attempt.",
    params=[
        *records_options(),
        click.Option(["--station"], metavar="NAME", help="Only attempts of this station."),
        click.Option(
            ["--hours"],
            type=FiniteRange(0, min_open=True),
            help="Only the last so many hours.",
        ),
    ],
)
