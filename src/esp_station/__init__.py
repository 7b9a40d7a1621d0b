# SPDX-License-Identifier: Apache-2.0
"""esp_station: flashes, provisions and tests many boards, and keeps every one of them on record."""

from __future__ import annotations


def main(argv: list[str] | None = None) -> None:
    """Run the program's command line.

    Args:
        argv: the words after the program's name; None takes those of the process.

    Raises:
        FatalError: the job is wrong, or the records cannot be used.
        SystemExit: with code 2, the command line is wrong, or a board failed.
    """
    from esp_station.cli.main import main as run

    run(argv)


def _main() -> None:
    from esptool import _start

    _start(main)
