# SPDX-License-Identifier: Apache-2.0
"""Warnings and errors for an IDE that listens: JSON over a web socket, where ESP_IDE_WS names one.

The messages are those of the public package `esp-pylib`: `type` ("warning", "error" or
"exception"), `message`, `suggestion`, `file` and `line`. An IDE that is gone, or a missing
`websockets` package, never keeps the tool from its work. Imported only where the variable is set.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import sys
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

VARIABLE = "ESP_IDE_WS"
#: An IDE is on this machine: it answers at once or not at all.
CONNECT_S = 2.0
#: Where messages pass through, and do not come from.
_PASSED = ("logger.py", "log_base.py", "log_ide.py", "render.py", "report.py", "machine.py")


class _Channel:
    connection: ClientConnection | None = None
    broken = False
    muted = False


_channel = _Channel()
_lock = threading.Lock()


def tell(kind: str, message: str, suggestion: str | None = None) -> None:
    """Send a message, with the place in the source that it comes from.

    Args:
        kind: "warning" or "error".
        message: the sentence.
        suggestion: what to do about it.
    """
    if not _channel.muted:
        _send(kind, message, suggestion, *_caller(sys._getframe(1)))


def tell_exception(error: BaseException, *, foreseen: bool) -> None:
    """Send the failure that ends the program.

    Args:
        error: what was raised.
        foreseen: it has a message and a remedy; else its traceback is sent.
    """
    place = _innermost(error.__traceback__)
    if foreseen:
        message = getattr(error, "message", None) or str(error)
        _send("error", message, getattr(error, "remedy", None), *place)
        return
    import traceback

    text = "".join(traceback.format_exception(error)).strip()
    _send("exception", str(error), text or None, *place)


@contextlib.contextmanager
def muted() -> Iterator[None]:
    """What is logged meanwhile has been sent already."""
    before, _channel.muted = _channel.muted, True
    try:
        yield
    finally:
        _channel.muted = before


def close() -> None:
    """Say goodbye, once all has been sent."""
    with _lock:
        connection, _channel.connection = _channel.connection, None
    if connection is not None:
        with contextlib.suppress(Exception):
            connection.close()


def _send(kind: str, message: str, suggestion: str | None, file: str, line: int) -> None:
    text = json.dumps(
        {"type": kind, "file": file, "line": line, "message": message, "suggestion": suggestion}
    )
    with _lock:
        for _ in range(2):  # once more where an old connection has gone
            connection = _connected()
            if connection is None:
                return
            try:
                connection.send(text)
                return
            except Exception:
                _channel.connection = None
        _channel.broken = True


def _connected() -> ClientConnection | None:
    if _channel.connection is not None or _channel.broken:
        return _channel.connection
    try:
        from websockets.sync.client import connect

        _channel.connection = connect(os.environ[VARIABLE], open_timeout=CONNECT_S)
        atexit.register(close)
    except Exception:  # it is a help and nothing more
        _channel.broken = True
    return _channel.connection


def _caller(frame: FrameType | None) -> tuple[str, int]:
    while frame is not None:
        if os.path.basename(frame.f_code.co_filename) not in _PASSED:
            return frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back
    return "<unknown>", 0


def _innermost(traceback: TracebackType | None) -> tuple[str, int]:
    if traceback is None:
        return "<unknown>", 0
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback.tb_frame.f_code.co_filename, traceback.tb_lineno
