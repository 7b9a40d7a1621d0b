# SPDX-License-Identifier: Apache-2.0
"""Where text goes: to esptool's logger, so that `log.set_logger` redirects eFuse commands too."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from esptool.cli import machine
from esptool.cli.ending import output_is_lost
from esptool.logger import log

Sink = Callable[[str], object]

#: Takes text in place of the logger, for whatever runs in this context (each thread has its own).
_sink: ContextVar[Sink | None] = ContextVar("espefuse sink", default=None)


def emit(text: str = "") -> None:
    """Print a line (tabs widened to 8 columns) through whatever logger is set now."""
    sink = _sink.get()
    (log.print if sink is None else sink)(text.expandtabs(8))


def result(**values: Any) -> None:
    """What a program wants to know of the outcome, by the names of the schema of `--json`."""
    machine.result(values)


def warn(text: str) -> None:
    """Print a warning on standard error."""
    sink = _sink.get()
    (log.warning if sink is None else sink)(text)


@contextmanager
def redirected(sink: Sink) -> Iterator[None]:
    """Text of this context goes to `sink` meanwhile, a line a call, without its end."""
    token = _sink.set(sink)
    try:
        yield
    finally:
        _sink.reset(token)


def silence(_text: str) -> None:
    """A sink for `redirected` that drops everything."""


def ask(question: str) -> bool:
    """Ask on the terminal; True for the word BURN. The end of input is no answer (EOFError)."""
    machine.show_question(question)
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
