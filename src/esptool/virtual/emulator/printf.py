# SPDX-License-Identifier: Apache-2.0
"""What a ROM's printf makes of its arguments: the conversions that small programs use."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

#: A longer text is none.
_LONGEST = 1024
_CONVERSION = re.compile(rb"%(0?)(-?\d*)l{0,2}([%a-zA-Z])")


def render(text: bytes, values: Iterable[int], string_at: Callable[[int], bytes]) -> bytes:
    """`text` with its conversions filled in; lines end as on a terminal.

    Args:
        values: machine words, in order; where they run out, zeros follow.
        string_at: reads the string at an address, for %s.
    """
    words = iter(values)

    def fill(match: re.Match[bytes]) -> bytes:
        zeros, width, kind = match[1], match[2], match[3]
        if kind == b"%":
            return b"%"
        word = next(words, 0)
        if kind in b"di":
            shown = b"%d" % (word - (word >> 31 << 32))
        elif kind == b"u":
            shown = b"%d" % word
        elif kind in b"xp":
            shown = b"%x" % word
        elif kind == b"X":
            shown = b"%X" % word
        elif kind == b"c":
            shown = bytes((word & 0xFF,))
        elif kind == b"s":
            shown = string_at(word)
        else:
            return match[0]
        size = int(width or b"0")
        if size < 0:
            return shown.ljust(-size)
        return shown.rjust(size, b"0" if zeros else b" ")

    return _CONVERSION.sub(fill, text).replace(b"\n", b"\r\n")


def string_at(
    address: int, memory: Callable[[int, int], bytes], other: Callable[[int, int], bytes]
) -> bytes:
    """The string at an address of a processor's memory, or of what `other` reads; the head of one
    that is longer than any that is meant to be printed."""
    out = bytearray()
    while len(out) < _LONGEST:
        at = address + len(out)
        try:
            piece = memory(at, 64 - at % 64)
        except Exception:  # each engine has its own for what is not its memory
            piece = other(at, 64 - at % 64)
        end = piece.find(b"\0")
        if end >= 0:
            return bytes(out + piece[:end])
        out += piece
    return bytes(out)
