# SPDX-License-Identifier: Apache-2.0
"""What the commands share: where the records are, and how an attempt is told in a line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import click

from esp_station.records import Attempt, Records
from esptool.errors import UsageError

DEFAULT = "station.db"


def records_options() -> list[click.Parameter]:
    """`--records` and `--job`, for commands that read records."""
    return [
        click.Option(
            ["--records", "-r"],
            metavar="FILE|URL",
            envvar="ESP_STATION_RECORDS",
            help="The records: a SQLite file, or postgresql+psycopg://USER@HOST/NAME.",
        ),
        click.Option(["--job", "-j"], metavar="JOB", help="Take the records that this job names."),
    ]


@contextmanager
def opened(records: str | None, job: str | None) -> Iterator[Records]:
    """The records that the options name, `station.db` without any.

    What a station left unfinished is marked as interrupted first, so that all tell the truth.

    Raises:
        UsageError: there are none.
    """
    from esp_station.database import file_url
    from esp_station.job import records_of

    if records is None and job is not None:
        url = records_of(job)
    else:
        name = records or DEFAULT
        url = name if "://" in name else file_url(name)
    path = url.removeprefix("sqlite:///")
    if url.startswith("sqlite:") and not os.path.isfile(path):
        raise UsageError(
            f"There are no records in '{path}'.", remedy="Name them with --records, or --job JOB."
        )
    book = Records(url)
    try:
        book.settle()
        yield book
    finally:
        book.close()


def board_of(attempt: Attempt) -> str:
    """MAC address and row of a board, as far as they are known."""
    return " ".join(filter(None, (attempt.mac or "unknown board", attempt.row_key)))


def percent(share: float | None) -> str:
    """'97.5 %', or a dash."""
    return "-" if share is None else f"{100 * share:.1f} %"


def rate(value: float | None) -> str:
    """Boards an hour, or a dash."""
    return "-" if value is None else f"{value:.0f}"


def lines_of(text: str, indent: str = "    ") -> Iterator[str]:
    """The lines of a text, indented."""
    for line in text.splitlines():
        yield f"{indent}{line}"
