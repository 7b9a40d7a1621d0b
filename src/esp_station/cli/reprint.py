# SPDX-License-Identifier: Apache-2.0
"""`esp_station reprint`."""

from __future__ import annotations

import click

from esptool.cli import machine
from esptool.cli.common import Command
from esptool.errors import UsageError
from esptool.logger import log


def _run(job: str, board: str, records: str | None) -> None:
    from esp_station.job import read_job
    from esp_station.records import Records
    from esp_station.reprint import reprint

    checked = read_job(job, records=records)
    book = Records(checked.records)
    try:
        done = reprint(checked, book, board)
    finally:
        book.close()
    if not done:
        raise UsageError("The job has no step 'label'.")
    machine.result({"labels": done})
    for line in done:
        log.print(line)


command = Command(
    "reprint",
    callback=_run,
    help="Make the labels of a board that has passed once more, of what is on record of it and of "
    "its row. BOARD is its MAC address or the key of its row.",
    params=[
        click.Argument(["job"]),
        click.Argument(["board"]),
        click.Option(
            ["--records", "-r"],
            metavar="FILE|URL",
            envvar="ESP_STATION_RECORDS",
            help="The records, in place of what the job says.",
        ),
    ],
)
