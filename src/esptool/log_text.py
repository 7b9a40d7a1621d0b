# SPDX-License-Identifier: Apache-2.0
"""How the logger fits text to a stream: what a bar has room for, and what an encoding can hold."""

from __future__ import annotations

import math

TYPE_CHECKING = False  # as in `typing`, whose import would be a good part of the start-up time
if TYPE_CHECKING:
    from typing import Any, TextIO

#: Columns that a bar takes at least where its text is whole, and where there is little room.
_SHORTEST_BAR, _SHORTER_BAR = 8, 4


def fitting(tail: str, when: str, room: int) -> str:
    """What is said behind a bar, beside which a piece of the bar has to fit, too."""
    texts = [tail]
    if when:
        texts = [f"{tail}, {when}" if tail else f" {when}", f" {when}", *texts]
    for text in texts:
        if len(text) + _SHORTEST_BAR <= room:
            return text
    short = f" {when.split()[0]}" if when else ""
    return short if len(short) + _SHORTER_BAR <= room else ""


def clock(seconds: float) -> str:
    """'0:07', '12:34', '1:02:03': whole seconds, the last one counted until it is over."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def is_terminal(stream: Any) -> bool:
    """Whether `stream` is a terminal; replacements may lack `isatty` or fail in it."""
    try:
        return bool(stream.isatty())
    except (AttributeError, OSError, ValueError):
        return False


def write(stream: TextIO, text: str) -> None:
    """Write, replacing what the stream's encoding cannot hold."""
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = getattr(stream, "encoding", None) or "ascii"
        stream.write(text.encode(encoding, "replace").decode(encoding))


def flush(stream: Any) -> None:
    """Flush, where the stream knows how."""
    flush = getattr(stream, "flush", None)
    if flush is not None:
        flush()
