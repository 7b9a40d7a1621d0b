# SPDX-License-Identifier: Apache-2.0
"""`esptool version`."""

from __future__ import annotations

from esptool._version import __version__
from esptool.cli.common import Command
from esptool.logger import log


def _run() -> None:
    log.print(__version__)


command = Command("version", callback=_run, help="Show the version.")
