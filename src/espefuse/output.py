# SPDX-License-Identifier: Apache-2.0
"""Where text goes: to esptool's logger, so that `log.set_logger` redirects eFuse commands too."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from esptool.cli.ending import output_is_lost
from esptool.logger import log


def emit(text: str = "") -> None:
    """Print a line (tabs widened to 8 columns) through whatever logger is set now."""
    log.print(text.expandtabs(8))


def warn(text: str) -> None:
    """Print a warning on standard error."""
    log.warning(text)


def ask(question: str) -> bool:
    """Ask on the terminal; True for the word BURN. The end of input is no answer (EOFError)."""
    log.print(question)
    if output_is_lost() or sys.stdin is None:
        raise EOFError  # nobody has read the question, or can answer it
    answer = input().strip() == "BURN"
    if not answer:
        log.print("Aborting.")
    return answer


def deprecated(text: str) -> None:
    """Note an old spelling on standard error."""
    log.warning(f"Deprecated: {text}")


@contextmanager
def hushed() -> Iterator[None]:
    """Nothing but errors is shown meanwhile: what follows is a report for programs."""
    before = getattr(log, "_verbosity", "auto")
    log.set_verbosity("silent")
    try:
        yield
    finally:
        log.set_verbosity(before)
