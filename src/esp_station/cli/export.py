# SPDX-License-Identifier: Apache-2.0
"""`esp_station export`."""

from __future__ import annotations

import sys

import click

from esp_station.cli.common import opened, records_options
from esp_station.export import csv_lines, json_lines
from esp_station.records import RESULTS, Query
from esptool.cli.common import Command
from esptool.files import atomic_writer


def _run(
    records: str | None, job: str | None, output: str | None, form: str, result: str | None
) -> None:
    with opened(records, job) as book:
        attempts = book.find(Query(result=result, latest_first=False))
        lines = csv_lines(attempts) if form == "csv" else json_lines(attempts)
        if output is not None:
            with atomic_writer(output) as file:
                for line in lines:
                    file.write(line.encode())
        elif sys.stdout is not None:
            for line in lines:
                sys.stdout.write(line)


command = Command(
    "export",
    callback=_run,
    help="Write all attempts, the oldest first, as CSV or as lines of JSON (these with logs).",
    params=[
        *records_options(),
        click.Option(["--output", "-o"], metavar="FILE", help="Write to a file."),
        click.Option(
            ["--format", "form"],
            type=click.Choice(["csv", "json"]),
            default="csv",
            help="The form.",
        ),
        click.Option(["--result"], type=click.Choice(RESULTS), help="Only such attempts."),
    ],
)
