# SPDX-License-Identifier: Apache-2.0
"""Calls of a program to its debugger: what stands at such a stop, and what an answer is.

Numbers and arguments are those of Arm's "Semihosting for AArch32 and AArch64", which the RISC-V
Semihosting specification takes over; Xtensa programs of ESP-IDF stop at `break 1,14` for it.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

#: `slli x0, x0, 0x1f`; `ebreak`; `srai x0, x0, 7`: only together are they a call.
RISCV_CALL = b"".join(word.to_bytes(4, "little") for word in (0x01F01013, 0x00100073, 0x40705013))
#: `break 1,14`
XTENSA_CALL = bytes.fromhex("e04100")
REFUSED = 0xFFFFFFFF
CONSOLE = b":tt"
#: A text without an end is not text.
LONGEST = 1 << 16
_PIECE = 64
_STDIN, _STDOUT, _STDERR = 1, 2, 3
#: Modes of SYS_OPEN: of reading, writing, appending four each.
_HANDLES = (_STDIN, _STDOUT, _STDERR)


class Call(IntEnum):
    """Calls that are known."""

    OPEN = 0x01
    CLOSE = 0x02
    WRITEC = 0x03
    WRITE0 = 0x04
    WRITE = 0x05
    READ = 0x06
    ISERROR = 0x08
    ISTTY = 0x09
    ERRNO = 0x13
    EXIT = 0x18
    EXIT_EXTENDED = 0x20


Read = Callable[[int, int], bytes]


def text_at(read: Read, address: int) -> bytes:
    """A text with a zero at its end; no more is read than the pieces it is in."""
    out = bytearray()
    while len(out) < LONGEST:
        at = address + len(out)
        piece = read(at, _PIECE - at % _PIECE)
        text, zero, _ = piece.partition(b"\0")
        out += text
        if zero:
            break
    return bytes(out)


def serve(number: int, argument: int, read: Read) -> tuple[int | None, bytes]:
    """The answer to a call, and what it prints; None for one that ends the program.

    Only the console is served: files of the host are none of the target's.
    """

    def words(count: int) -> list[int]:
        data = read(argument, 4 * count)
        return [int.from_bytes(data[4 * i : 4 * i + 4], "little") for i in range(count)]

    match number:
        case Call.WRITEC:
            return 0, read(argument, 1)
        case Call.WRITE0:
            return 0, text_at(read, argument)
        case Call.WRITE:
            handle, address, size = words(3)
            if handle not in (_STDOUT, _STDERR):
                return size, b""
            size = min(size, LONGEST)
            return words(3)[2] - size, read(address, size) if size else b""
        case Call.READ:
            return words(3)[2], b""  # nothing was read
        case Call.OPEN:
            address, mode, size = words(3)
            console = size == len(CONSOLE) and read(address, size) == CONSOLE
            return (_HANDLES[mode // 4] if console and mode < 12 else REFUSED), b""
        case Call.ISTTY:
            return 1, b""
        case Call.ISERROR:
            return int(words(1)[0] >> 31), b""
        case Call.CLOSE | Call.ERRNO:
            return 0, b""
        case Call.EXIT | Call.EXIT_EXTENDED:
            return None, b""
    return REFUSED, b""
