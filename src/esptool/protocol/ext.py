# SPDX-License-Identifier: Apache-2.0
"""The stub's extensions as bytes and values (docs/serial-protocol.md, "Extensions"). No port."""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from itertools import accumulate

from esptool.protocol.opcodes import Cmd
from esptool.protocol.packets import Response, words
from esptool.protocol.status import Status

EXT1 = 0x31545845
DAMAGED_VALUE = 0xFFFFFFFF
_INFO = struct.Struct("<HH7I")
#: What the first stubs with extensions say; the rest is 0.
_SHORTEST_INFO = 28
_CRC = struct.Struct("<I")
_STATE = struct.Struct("<3I")
_FRAME = struct.Struct("<3I")


class Ext(IntEnum):
    """Opcodes of the extensions."""

    INFO = 0xE0
    BATCH = 0xE1
    WRITE_BEGIN = 0xE2
    WRITE_DATA = 0xE3
    WRITE_STATUS = 0xE4
    WRITE_END = 0xE5
    HASHES = 0xE6
    BLANK = 0xE7
    READ_BEGIN = 0xE8
    READ_FRAME = 0xE9
    READ_ACK = 0xEA
    ERASE = 0xEB
    LOAD = 0xEC
    CALL = 0xED


#: Requests that a stub without its late part answers with `Status.NOT_LOADED`.
LATE = frozenset(
    {
        *(Cmd.FLASH_BEGIN, Cmd.FLASH_DATA, Cmd.FLASH_END),
        *(Cmd.FLASH_DEFL_BEGIN, Cmd.FLASH_DEFL_DATA, Cmd.FLASH_DEFL_END),
        *(Cmd.SPI_FLASH_MD5, Cmd.ERASE_FLASH, Cmd.ERASE_REGION),
        *(Cmd.READ_FLASH, Cmd.FLASH_ENCRYPT_DATA),
        *(Ext.WRITE_BEGIN, Ext.WRITE_DATA, Ext.WRITE_STATUS, Ext.WRITE_END),
        *(Ext.HASHES, Ext.BLANK, Ext.READ_BEGIN, Ext.READ_ACK, Ext.ERASE),
    }
)


class Capability(IntFlag):
    """What a stub has of them."""

    WRITE = 1 << 0
    HASHES = 1 << 1
    BLANK = 1 << 2
    READ = 1 << 3
    ERASE = 1 << 4
    BATCH = 1 << 5
    DEFLATED_WRITE = 1 << 6
    COMPRESSED_READ = 1 << 7
    CRC32_SUM = 1 << 8

    @classmethod
    def all(cls) -> Capability:
        """What the stub of this version has."""
        return cls(sum(cls))


class WriteFlag(IntFlag):
    """Flags of EXT_WRITE_BEGIN."""

    DEFLATED = 1 << 0
    ERASE = 1 << 1
    ENCRYPTED = 1 << 2


class HashKind(IntEnum):
    """Hashes of EXT_HASHES.

    A CRC-32 alone does not tell data apart that hold their own CRC-32, as records in flash do.
    """

    CRC32 = 0
    MD5_8 = 1
    CRC32_SUM = 2


def hash_of(kind: HashKind, data: bytes | memoryview) -> bytes:
    """What a stub answers for a unit that holds these data, a whole number of words.

    The sum of CRC32_SUM is that of all sums of the first words: w0 + (w0 + w1) + (w0 + w1 + w2)...
    """
    if kind is HashKind.MD5_8:
        return hashlib.md5(data, usedforsecurity=False).digest()[:8]
    if kind is HashKind.CRC32:
        return struct.pack("<I", zlib.crc32(data))
    total = sum(accumulate(struct.unpack(f"<{len(data) // 4}I", data)))
    return struct.pack("<II", zlib.crc32(data), total & 0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class ExtInfo:
    """The answer to EXT_INFO; sizes in bytes. See the protocol document for each field.

    Attributes:
        missing: the build of a stub whose late part is not there; 0 where all of it is.
    """

    version: int
    capabilities: Capability
    write_block: int
    write_window: int
    read_frame: int
    read_window: int
    max_units: int
    max_batch: int
    missing: int = 0

    def has(self, capability: Capability) -> bool:
        """All bits of `capability` are offered."""
        return self.capabilities & capability == capability


def parse_info(value: int, fields: bytes) -> ExtInfo | None:
    """None where the answer is not that of version 1."""
    if value != EXT1 or len(fields) < _SHORTEST_INFO or len(fields) % 4:
        return None
    version, capabilities, *more = _INFO.unpack_from(fields.ljust(_INFO.size, b"\0"))
    if version != 1:
        return None
    return ExtInfo(version, Capability(capabilities), *more)


# --- seals -------------------------------------------------------------------------------------


def seal(opcode: int, fields: bytes) -> bytes:
    """Fields with the CRC-32 of opcode and fields behind them."""
    return fields + _CRC.pack(zlib.crc32(fields, zlib.crc32(bytes((opcode,)))))


@dataclass(frozen=True, slots=True)
class Sealed:
    """A response whose seal was good. `status` is 0 for success, else the code's two bytes."""

    opcode: int
    value: int
    fields: bytes
    status: int

    @property
    def damaged(self) -> bool:
        """It answers a request that did not arrive as it was sent, and that was not done."""
        return self.value == DAMAGED_VALUE and self.status == Status.BAD_CHECKSUM


def unseal(response: Response) -> Sealed | None:
    """The content of a sealed response, None where its seal is broken."""
    data = response.data
    if len(data) < _CRC.size + 2:
        return None
    fields, status = data[:-6], data[-2:]
    (stored,) = _CRC.unpack_from(data, len(data) - 6)
    head = bytes((response.opcode,)) + words(response.value)
    if zlib.crc32(status, zlib.crc32(fields, zlib.crc32(head))) != stored:
        return None
    return Sealed(response.opcode, response.value, fields, status[0] << 8 | status[1])


# --- batches -----------------------------------------------------------------------------------


class Batch:
    """Operations for one round trip. Each adder returns the index of its answer, or None."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._answers: list[int] = []
        self.count = 0

    def __len__(self) -> int:
        """Bytes of fields so far."""
        return 4 + sum(map(len, self._parts))

    @property
    def answer_size(self) -> int:
        """Bytes that the whole answer has."""
        return sum(self._answers)

    def _add(self, part: bytes, answer: int = 0) -> int | None:
        self._parts.append(part)
        self.count += 1
        if not answer:
            return None
        self._answers.append(answer)
        return len(self._answers) - 1

    def read(self, address: int) -> int | None:
        """Read a word."""
        return self._add(struct.pack("<BI", 1, address), 4)

    def write(self, address: int, value: int, mask: int = 0xFFFFFFFF) -> None:
        """Write the bits of `mask` of a word."""
        self._add(struct.pack("<BIII", 2, address, value, mask))

    def wait(self, microseconds: int) -> None:
        """Wait on the chip."""
        self._add(struct.pack("<BI", 3, microseconds))

    def spi(
        self,
        command: int,
        data: bytes = b"",
        read_bytes: int = 0,
        address: int = 0,
        address_bits: int = 0,
        dummy_bits: int = 0,
    ) -> int | None:
        """One transaction on the flash bus."""
        head = struct.pack(
            "<6BI", 4, command, address_bits, dummy_bits, len(data), read_bytes, address
        )
        return self._add(head + data, read_bytes)

    def poll(self, address: int, mask: int, value: int, timeout_us: int) -> int | None:
        """Wait until `word & mask == value`; the answer is the word last read."""
        return self._add(struct.pack("<BIIII", 5, address, mask, value, timeout_us), 4)

    def encode(self, number: int) -> bytes:
        """The fields of the request."""
        return struct.pack("<HH", number, self.count) + b"".join(self._parts)

    def decode(self, fields: bytes) -> list[bytes]:
        """The answers one by one; fewer where the batch ended early."""
        answers = []
        at = 0
        for size in self._answers:
            if at + size > len(fields):
                break
            answers.append(fields[at : at + size])
            at += size
        return answers


# --- writing -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WriteState:
    """How far the stub is: next block wanted, first one not allowed yet, plain bytes in flash."""

    expected: int
    limit: int
    done: int
    resend: bool
    status: int


def write_state(answer: Sealed) -> WriteState | None:
    """The state in an answer; a failed one may come without its fields."""
    if len(answer.fields) < _STATE.size:
        return WriteState(answer.value, 0, 0, False, answer.status) if answer.status else None
    limit, done, flags = _STATE.unpack_from(answer.fields)
    return WriteState(answer.value, limit, done, bool(flags & 1), answer.status)


# --- reading -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReadFrame:
    """A frame of flash content, unpacked."""

    session: int
    number: int
    data: bytes


def read_frame(answer: Sealed) -> ReadFrame | None:
    """The content of a frame, None where it is not what it says."""
    if len(answer.fields) < _FRAME.size:
        return None
    session, method, length = _FRAME.unpack_from(answer.fields)
    body = answer.fields[_FRAME.size :]
    if method == 0:
        data = body
    elif method == 1:
        unpacker = zlib.decompressobj(-15)
        try:
            data = unpacker.decompress(body, length + 1)
        except zlib.error:
            return None
    elif method == 2 and len(body) == 1:
        data = body * length
    else:
        return None
    return ReadFrame(session, answer.value, data) if len(data) == length else None
