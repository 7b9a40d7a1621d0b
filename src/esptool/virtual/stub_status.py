# SPDX-License-Identifier: Apache-2.0
"""What a modelled stub answers where it refuses: status bytes, and an exception for them."""

from __future__ import annotations

import struct

BAD_LENGTH, BAD_CHECKSUM, BAD_BLOCK_SIZE, BAD_COMMAND, SPI_FAILED, LOCKED = range(0xC0, 0xC6)
NOT_WRITING, INFLATE_FAILED, TOO_LITTLE, TOO_MUCH = range(0xC6, 0xCA)
PROGRAM_FAILED, ERASE_FAILED = 0xCA, 0xCB
NOT_LOADED = 0xCD
NOT_IMPLEMENTED = 0xFF


class StubError(Exception):
    """A request fails with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def words(data: bytes, count: int) -> tuple[int, ...]:
    """The first `count` 32-bit words of a request.

    Raises:
        StubError: the request is shorter.
    """
    if len(data) < 4 * count:
        raise StubError(BAD_LENGTH)
    return struct.unpack_from(f"<{count}I", data)
