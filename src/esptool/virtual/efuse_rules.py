# SPDX-License-Identifier: Apache-2.0
"""Rules of the eFuse controllers: which bits protect which, check bits, error registers.

The data is in `efuse_rules.json`, made with the eFuse tables once.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from esptool.virtual.efuse_map import MAPS, EfuseMap

RS_DATA_BYTES = 32
RS_CHECK_BYTES = 12
CODING_SCHEME = (0, 6, 0, 2)
_CHUNK = 6


@dataclass(frozen=True, slots=True)
class Rules:
    """One controller's rules. Masks are over the bits of block 0; offsets from the base.

    Attributes:
        locks: (bit of WR_DIS, bits of block 0 that it locks).
        hides: (bit of RD_DIS, bits of block 0 that it hides).
        coded: blocks from 1 on carry Reed-Solomon check bytes.
        errors: rows of block, register, fail bit, count mask, count shift, fail register.
    """

    locks: tuple[tuple[int, int], ...]
    hides: tuple[tuple[int, int], ...]
    coded: bool
    check_offset: int
    error_registers: tuple[int, ...]
    errors: tuple[tuple[int, int, int | None, int, int, int], ...]
    decode_status: int | None

    def locked(self, wr_dis: int) -> int:
        """The bits of block 0 that cannot be burned."""
        mask = 0
        for bit, bits in self.locks:
            if wr_dis >> bit & 1:
                mask |= bits
        return mask

    def without_hidden(self, data: bytearray, rd_dis: int) -> bytearray:
        """Block 0 with the fields that software may not see as zeros."""
        value = int.from_bytes(data, "little")
        for bit, bits in self.hides:
            if rd_dis >> bit & 1:
                value &= ~bits
        return bytearray(value.to_bytes(len(data), "little"))

    def no_errors(self) -> dict[int, int]:
        """All error registers at zero."""
        registers = [*self.error_registers, *(row[1] for row in self.errors)]
        registers += [row[5] for row in self.errors]
        if self.decode_status is not None:
            registers.append(self.decode_status)
        return dict.fromkeys(registers, 0)

    def block_error(self, block: int, count: int, fail: bool) -> dict[int, int]:
        """Register bits that tell of a block's errors."""
        out: dict[int, int] = {}
        for index, register, fail_bit, mask, shift, fail_register in self.errors:
            if index == block:
                out[register] = (count & mask) << shift
                if fail and fail_bit is not None:
                    out[fail_register] = out.get(fail_register, 0) | 1 << fail_bit
        return out

    def decode_error(self, block: int) -> dict[int, int]:
        """ESP32: the decoder's status, four bits a block."""
        return {} if self.decode_status is None else {self.decode_status: 0xF << 4 * (block - 1)}


def of(layout: EfuseMap) -> Rules:
    """The rules of the chip whose map this is (maps of two chips may hold the same numbers)."""
    for chip, candidate in MAPS.items():
        if candidate is layout:
            return _of_chip(chip)
    raise KeyError(f"no eFuse rules for the controller at 0x{layout.base:08x}")


@functools.cache
def _of_chip(chip: str) -> Rules:
    return _build(json.loads((Path(__file__).parent / "efuse_rules.json").read_bytes())[chip])


def _build(raw: dict[str, Any]) -> Rules:
    errors = []
    for block, register, fail_bit, mask, shift, *rest in raw["block_errors"]:
        fail_register = int(rest[0] if rest else register, 16)
        errors.append((block, int(register, 16), fail_bit, mask or 0, shift or 0, fail_register))
    status = raw["decode_status"]
    return Rules(
        locks=tuple((bit, int(mask, 16)) for bit, mask in raw["locks"]),
        hides=tuple((bit, int(mask, 16)) for bit, mask in raw["hides"]),
        coded=raw["coded"],
        check_offset=int(raw["check"] or "0", 16),
        error_registers=tuple(int(offset, 16) for offset in raw["block0_errors"]),
        errors=tuple(errors),
        decode_status=None if status is None else int(status, 16),
    )


def rs_check(data: bytes) -> bytes:
    """The check bytes that a sound block carries."""
    if not any(data):
        return bytes(RS_CHECK_BYTES)
    from reedsolo import RSCodec

    return bytes(RSCodec(RS_CHECK_BYTES).encode(data.ljust(RS_DATA_BYTES, b"\0"))[RS_DATA_BYTES:])


def decode_rs(data: bytes, check: bytes) -> tuple[bytes, int, bool]:
    """(data with up to 6 wrong bytes corrected, count of wrong bytes, too many to correct)."""
    if not any(data) and not any(check):
        return data, 0, False
    from reedsolo import ReedSolomonError, RSCodec

    word = data.ljust(RS_DATA_BYTES, b"\0") + check
    try:
        plain, _whole, wrong = RSCodec(RS_CHECK_BYTES).decode(word)
    except ReedSolomonError:
        return data, 0, True
    return bytes(plain)[: len(data)], len(wrong), False


def decode_3_4(coded: bytes) -> tuple[bytes, bool]:
    """(data of an ESP32's 3/4 coded block, whether any chunk's check bytes are wrong)."""
    plain = bytearray()
    fail = False
    for at in range(0, len(coded), _CHUNK + 2):
        chunk = coded[at : at + _CHUNK]
        xor = functools.reduce(lambda a, b: a ^ b, chunk, 0)
        weight = sum((i + 1) * byte.bit_count() for i, byte in enumerate(chunk)) & 0xFF
        fail = fail or coded[at + _CHUNK : at + _CHUNK + 2] != bytes([xor, weight])
        plain += chunk
    return bytes(plain), fail
