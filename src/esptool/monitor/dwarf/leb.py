# SPDX-License-Identifier: Apache-2.0
"""Numbers of variable length, and strings that end with a zero. DWARF 5, section 7.6."""

from __future__ import annotations


def uleb(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned number at `at`, and the place behind it."""
    byte = data[at]
    at += 1
    if byte < 0x80:
        return byte, at
    value, shift = byte & 0x7F, 7
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def sleb(data: bytes, at: int) -> tuple[int, int]:
    """A signed number at `at`, and the place behind it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return (value - (1 << shift) if byte & 0x40 else value), at


def text(data: bytes, at: int) -> tuple[str, int]:
    """The string at `at`, and the place behind its zero."""
    end = data.index(b"\0", at)
    return data[at:end].decode("utf-8", "replace"), end + 1
