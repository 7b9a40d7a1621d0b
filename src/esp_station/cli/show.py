# SPDX-License-Identifier: Apache-2.0
"""`esp_station show`."""

from __future__ import annotations

import click

from esp_station.cli.common import lines_of, opened, records_options
from esp_station.records import Attempt, Query
from esptool.cli import machine
from esptool.cli.common import Command
from esptool.errors import UsageError
from esptool.logger import log


def _run(board: str, records: str | None, job: str | None, with_log: bool) -> None:
    with opened(records, job) as book:
        found = list(book.find(Query(text=board, latest_first=False)))
    if not found:
        raise UsageError(
            f"Nothing is on record of '{board}'.",
            remedy="Give a part of its MAC address, or of the key of its row.",
        )
    machine.result({"attempts": [attempt.to_json() for attempt in found]})
    if machine.active() is not None:
        return
    for attempt in found:
        _show(attempt, with_log)


def _show(a: Attempt, with_log: bool) -> None:
    log.print(f"Attempt {a.id}: {a.result}, {a.started} on {a.station}, slot {a.slot} ({a.port})")
    chip = " ".join(filter(None, (a.chip, a.revision, a.flash_size)))
    log.print(f"  board     {a.mac or 'unknown'} {chip}".rstrip())
    if a.row_key is not None:
        more = ", ".join(f"{k} {v}" for k, v in a.row_data.items())
        log.print(f"  row       {a.row_key}{f' ({more})' if more else ''}")
    log.print(f"  job       {a.product}, {a.job_hash[:16]} ({a.job}), esptool {a.tool}")
    for step in a.steps:
        detail = f"  {step['detail']}" if step.get("detail") else ""
        log.print(f"  {step['seconds']:8.2f} s {step['step']}: {step['result']}{detail}")
    for name, value in a.measured.items():
        log.print(f"  value     {name} = {value}")
    if a.fuses:
        log.print(f"  fuses     {', '.join(a.fuses)}")
    for name, digest in {**a.images, **a.digests}.items():
        log.print(f"  sha256    {digest[:16]} {name}")
    if a.reason:
        where = f"{a.failed_step}: " if a.failed_step else ""
        log.print(f"  reason    {where}{a.reason}")
    if a.remedy:
        log.print(f"  remedy    {a.remedy}")
    if with_log:
        for line in lines_of(a.log):
            log.print(line)


command = Command(
    "show",
    callback=_run,
    help="Show every attempt on the board that BOARD means: its MAC address or the key of its "
    "row, or a part of one.",
    params=[
        click.Argument(["board"]),
        *records_options(),
        click.Option(["--log", "with_log"], is_flag=True, help="Show the log of each attempt."),
    ],
)
