# SPDX-License-Identifier: Apache-2.0
"""Frames of the first stage as bytes and values (docs/serial-protocol.md, "The first stage").

A payload is a header of 4 bytes (operation, status, number), fields, and the CRC-32 of both.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum

_HEAD = struct.Struct("<BBH")
_CRC = struct.Struct("<I")
#: What a request is made up to: shorter ones are refused as damaged.
_LEAST_FIELDS = 4
_WHOLE_BITS = 20


class StageOp(IntEnum):
    """Operations of the first stage."""

    HELLO = 0xA0
    RATE = 0xA1
    WRITE = 0xA2
    ECHO = 0xA3
    START = 0xA4
    #: Only in answers: a frame came damaged.
    DAMAGED = 0xAF


class StageStatus(IntEnum):
    """How it went."""

    GOOD = 0
    UNKNOWN = 1
    BAD_STREAM = 2
    BAD_IMAGE = 3


@dataclass(frozen=True, slots=True)
class StageAnswer:
    """What an answer carries."""

    op: int
    status: int
    number: int
    fields: bytes


@dataclass(frozen=True, slots=True)
class StageInfo:
    """What the first stage says of itself.

    Attributes:
        longest: bytes of fields that a frame may have.
        fraction_bits: bits of the divider's fraction, above its whole part of 20 bits.
        divider: the UART's divider register.
    """

    longest: int
    version: int
    fraction_bits: int
    divider: int


def request(op: StageOp, number: int, fields: bytes = b"") -> bytes:
    """Payload of a request."""
    body = _HEAD.pack(op, 0, number) + fields.ljust(_LEAST_FIELDS, b"\0")
    return body + _CRC.pack(zlib.crc32(body))


def parse(payload: bytes) -> StageAnswer | None:
    """The answer in a frame; None where it is damaged, or something else."""
    body, crc = payload[: -_CRC.size], payload[-_CRC.size :]
    if len(body) < _HEAD.size or crc != _CRC.pack(zlib.crc32(body)):
        return None
    op, status, number = _HEAD.unpack_from(body)
    return StageAnswer(op, status, number, body[_HEAD.size :])


def parse_info(answer: StageAnswer) -> StageInfo | None:
    """What an answer to HELLO says, or the greeting; None where it is another one."""
    if answer.op != StageOp.HELLO or len(answer.fields) < 8:
        return None
    longest, version, fraction_bits, divider = struct.unpack_from("<HBBI", answer.fields)
    return StageInfo(longest, version, fraction_bits, divider)


def divider_for(info: StageInfo, present: int, wanted: int) -> int:
    """The divider register's word for the rate `wanted`, where it stands for `present` now.

    Raises:
        ValueError: the UART cannot go so fast.
    """
    whole = info.divider & ((1 << _WHOLE_BITS) - 1)
    steps = 1 << info.fraction_bits
    fraction = info.divider >> _WHOLE_BITS & (steps - 1)
    divider = ((whole * steps + fraction) * present + wanted // 2) // wanted
    if divider < steps or divider >> info.fraction_bits >> _WHOLE_BITS:
        raise ValueError(f"no divider gives {wanted} baud")
    return divider // steps | divider % steps << _WHOLE_BITS
