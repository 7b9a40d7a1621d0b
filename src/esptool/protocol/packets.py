# SPDX-License-Identifier: Apache-2.0
"""Requests and responses: the 8-byte header, the payload checksum, the status at the end."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from esptool.errors import ChipResponseError, DamagedAnswerError, DamagedRequestError, UsageError
from esptool.protocol.status import LINE_DAMAGE, describe, known, remedy

#: Bits on a serial line for one byte: start, eight, stop.
BITS_A_BYTE = 10

CHECKSUM_SEED = 0xEF
REQUEST, RESPONSE = 0, 1
_HEADER = struct.Struct("<BBHI")

#: Payload of SYNC: a fixed greeting, then 0x55, which also lets a ROM measure the baud rate.
SYNC_PAYLOAD = b"\x07\x07\x12\x20" + b"\x55" * 32


def checksum(data: bytes, seed: int = CHECKSUM_SEED) -> int:
    """All bytes of `data` XORed together with `seed` (0 to 255).

    Halving one big integer is about ten times faster than a loop over the bytes.
    """
    value = int.from_bytes(data, "little")
    half = 8
    while half < 8 * len(data):
        half *= 2
    while half > 8:
        half //= 2
        value = (value >> half) ^ (value & ((1 << half) - 1))
    return value ^ seed


def request(opcode: int, data: bytes = b"", check: int = 0) -> bytes:
    """A request, not yet framed. `check` is the checksum of the payload where there is one."""
    return _HEADER.pack(REQUEST, opcode, len(data), check) + data


def words(*values: int) -> bytes:
    """32-bit little-endian words.

    Raises:
        UsageError: a value is negative or does not fit.
    """
    try:
        return struct.pack(f"<{len(values)}I", *values)
    except struct.error:
        wrong = next(v for v in values if not 0 <= v <= 0xFFFFFFFF)
        raise UsageError(f"{wrong:#x} does not fit into 32 bits.") from None


def data_block(data: bytes, seq: int) -> tuple[bytes, int]:
    """The body and the checksum of a FLASH_DATA, MEM_DATA or FLASH_DEFL_DATA request."""
    return words(len(data), seq, 0, 0) + data, checksum(data)


@dataclass(frozen=True, slots=True)
class Response:
    """An answer: the opcode it belongs to, the 32-bit value field, data with status at its end."""

    opcode: int
    value: int
    data: bytes


def parse_response(frame: bytes) -> Response | None:
    """The response in `frame`, or None where it is none (too short, wrong direction)."""
    if len(frame) < _HEADER.size:
        return None
    direction, opcode, _length, value = _HEADER.unpack_from(frame)
    if direction != RESPONSE:
        return None
    return Response(opcode, value, frame[_HEADER.size :])


def failure(what: str, opcode: int, code: int, *, sealed: bool = False) -> ChipResponseError:
    """The error for an answer with the status `code`; `what` is the request in words.

    It is a `DamagedRequestError` where the line damaged the request, and a `DamagedAnswerError`
    where no chip gives such a code. A `sealed` answer is known to be whole.
    """
    kind = ChipResponseError
    if code in LINE_DAMAGE:
        kind = DamagedRequestError
    elif not (sealed or known(code)):
        kind = DamagedAnswerError
    hint = remedy(code)
    return kind(
        f"Failed to {what} (result was {code:04x}: {describe(code)}).{' ' + hint if hint else ''}",
        opcode=opcode,
        status=code >> 8,
        reason=code & 0xFF,
    )
