# SPDX-License-Identifier: Apache-2.0
"""The program `esp_station` and its commands."""

from __future__ import annotations

import sys

from esptool.cli.common import Entry, Group, call, machine_options

PROG = "esp_station"
ENTRIES = {
    "check": Entry("esp_station.cli.check", "Check a job and its data without a board."),
    "run": Entry("esp_station.cli.run", "Do a job on every board that is plugged in."),
    "report": Entry("esp_station.cli.report", "Show yield, times and causes of failures."),
    "show": Entry("esp_station.cli.show", "Show what is on record of a board."),
    "export": Entry("esp_station.cli.export", "Write the records as CSV or JSON lines."),
    "reprint": Entry("esp_station.cli.reprint", "Print the label of a finished board again."),
}

command = Group(
    PROG,
    entries=ENTRIES,
    help="Flash, provision and test many boards, and keep every one of them on record.",
    no_args_is_help=True,
    params=machine_options(),
)


def main(argv: list[str] | None = None) -> None:
    """See `esp_station.main`."""
    call(command, sys.argv[1:] if argv is None else argv, PROG)
