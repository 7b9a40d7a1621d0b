# SPDX-License-Identifier: Apache-2.0
"""Where text goes: to the listener of the commands that run, else to esptool's logger.

What goes to the logger is redirected by `log.set_logger`, as for esptool's own functions. Logger
and command line are imported where they are used: a page in a browser has neither.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from esptool.events import Level, Listener, Message, Result

#: Is told in place of the logger, for whatever runs in this context (each thread has its own).
_listener: ContextVar[Listener | None] = ContextVar("espefuse listener", default=None)


def emit(text: str = "") -> None:
    """Tell a line (tabs widened to 8 columns): print it, where nobody else listens."""
    listener, text = _listener.get(), text.expandtabs(8)
    if listener is None:
        from esptool.logger import log

        log.print(text)
    else:
        listener(Message(text))


def result(**values: Any) -> None:
    """What a program wants to know of the outcome, by the names of the schema of `--json`."""
    listener = _listener.get()
    if listener is None:
        from esptool.cli import machine

        machine.result(values)
    else:
        listener(Result(values))


def warn(text: str) -> None:
    """Tell a warning: on standard error, where nobody else listens."""
    listener = _listener.get()
    if listener is None:
        from esptool.logger import log

        log.warning(text)
    else:
        listener(Message(text, Level.WARNING))


@contextmanager
def told_to(listener: Listener | None) -> Iterator[None]:
    """What is told in this context goes to `listener` meanwhile; None changes nothing."""
    if listener is None:
        yield
        return
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def ask(question: str) -> bool:
    """Ask on the terminal; True for the word BURN. The end of input is no answer (EOFError)."""
    from esptool.cli import machine
    from esptool.cli.ending import output_is_lost
    from esptool.logger import log

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
    from esptool.logger import log

    log.warning(f"Deprecated: {text}")
