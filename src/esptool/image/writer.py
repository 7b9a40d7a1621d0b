# SPDX-License-Identifier: Apache-2.0
"""Puts headers, segments and checksum of an image one after the other. Knows no chip's layout."""

from __future__ import annotations

import struct

from esptool.errors import ImageError
from esptool.image.header import (
    CHECKSUM_SEED,
    DIGEST_LEN,
    SEGMENT_HEADER_LEN,
    SEGMENT_LIMIT,
    xor_checksum,
)
from esptool.records import dataclass


@dataclass(frozen=True, slots=True)
class ElfDigest:
    """The SHA-256 of the ELF file, and the image offset where it replaces 32 zero bytes."""

    sha256: bytes
    offset: int


class ImageWriter:
    """An image that grows at its end.

    Attributes:
        out: the bytes so far.
        count: segments written.
        elf_digest_placed: a segment held the place of the ELF digest.
    """

    def __init__(self, elf_digest: ElfDigest | None = None) -> None:
        self.out = bytearray()
        self.count = 0
        self.elf_digest_placed = False
        self._checksum = CHECKSUM_SEED
        self._elf_digest = elf_digest

    def __len__(self) -> int:
        return len(self.out)

    def raw(self, data: bytes) -> None:
        """Append bytes as they are."""
        self.out += data

    def segment(self, addr: int, data: bytes, name: str = "", *, checksummed: bool = True) -> None:
        """Append a segment; `name` is for messages.

        Raises:
            ImageError: not a whole number of words, 16 MB or longer, or the ELF digest does not
                fit the zeros in it.
        """
        data = self._with_elf_digest(data)
        if len(data) % 4:
            raise ImageError(
                f"Invalid {name} segment length {len(data):#x}. It has to be multiple of 4."
            )
        if len(data) >= SEGMENT_LIMIT:
            raise ImageError(
                f"Invalid {name} segment length {len(data):#x}. The 16 MB limit has been exceeded."
            )
        if not 0 <= addr <= 0xFFFFFFFF:
            raise ImageError(f"Invalid {name} segment address {addr:#x}: it needs over 32 bits.")
        self.out += struct.pack("<II", addr, len(data))
        self.out += data
        self.count += 1
        if checksummed:
            self._checksum = xor_checksum(data, self._checksum)

    def padding(self, size: int, name: str = "", *, checksummed: bool = True) -> None:
        """Append a segment of zeros for address 0, which the boot loaders skip."""
        self.segment(0, bytes(size), name, checksummed=checksummed)

    def checksum(self) -> None:
        """Close the current 16-byte line with the checksum in its last byte."""
        self.out += bytes(15 - len(self.out) % 16)
        self.out.append(self._checksum)

    def _with_elf_digest(self, data: bytes) -> bytes:
        want = self._elf_digest
        start = len(self.out)
        # The header counts to the reach at the front, not at the end, as in the public tool.
        if want is None or not start <= want.offset < start + len(data):
            return data
        at = want.offset - start
        if at < SEGMENT_HEADER_LEN or at + DIGEST_LEN > len(data):
            raise ImageError(
                "Cannot place SHA256 digest on segment boundary "
                f"(elf_sha256_offset={want.offset}, file_pos={start}, segment_size={len(data)})"
            )
        at -= SEGMENT_HEADER_LEN
        if any(data[at : at + DIGEST_LEN]):
            raise ImageError(
                f"Contents of segment at SHA256 digest offset {want.offset:#x} are not zero. "
                "Refusing to overwrite."
            )
        self.elf_digest_placed = True
        return data[:at] + want.sha256 + data[at + DIGEST_LEN :]
