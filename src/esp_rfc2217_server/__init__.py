# SPDX-License-Identifier: Apache-2.0
"""esp_rfc2217_server: lends a local (or virtual) serial port to another machine."""

from __future__ import annotations


def main(argv: list[str] | None = None) -> None:
    """Run the program's command line.

    Raises:
        FatalError: the port is busy or absent, or the address is taken.
        SystemExit: with code 2, the command line is wrong.
    """
    from esp_rfc2217_server.cli import main as run

    run(argv)


def _main() -> None:
    from esptool import _start

    _start(main)


def _main_py() -> None:
    from esptool import _start

    _start(main, old="esp_rfc2217_server.py")
