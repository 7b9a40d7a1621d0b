# SPDX-License-Identifier: Apache-2.0
"""Status codes of ROM loaders and stubs, in words, with what to try where that helps."""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """Status byte and reason byte of a failed answer as one number.

    Status byte 1 is that of a ROM loader; a stub gives the cause in the status byte itself.
    """

    UNDEFINED = 0x0100
    BAD_PARAMETER = 0x0101
    OUT_OF_MEMORY = 0x0102
    SEND_FAILED = 0x0103
    RECEIVE_FAILED = 0x0104
    INVALID_MESSAGE = 0x0105
    FAILED = 0x0106
    BAD_ROM_CHECKSUM = 0x0107
    FLASH_WRITE_FAILED = 0x0108
    FLASH_READ_FAILED = 0x0109
    BAD_READ_LENGTH = 0x010A
    DEFLATE_DAMAGED = 0x010B
    BAD_ADLER32 = 0x010C
    BAD_DEFLATE_PARAMETER = 0x010D
    BAD_RAM_SIZE = 0x010E
    BAD_RAM_ADDRESS = 0x010F
    PARAMETER = 0x0164
    FORMAT = 0x0165
    DESCRIPTION_TOO_LONG = 0x0166
    DESCRIPTION_ENCODING = 0x0167
    NO_STORAGE = 0x0169
    BAD_LENGTH = 0xC000
    BAD_CHECKSUM = 0xC100
    BAD_BLOCK_SIZE = 0xC200
    UNKNOWN_COMMAND = 0xC300
    SPI_FAILED = 0xC400
    UNLOCK_FAILED = 0xC500
    NOT_WRITING = 0xC600
    INFLATE_FAILED = 0xC700
    TOO_LITTLE = 0xC800
    TOO_MUCH = 0xC900
    NAND_PROGRAM_FAILED = 0xCA00
    NAND_ERASE_FAILED = 0xCB00
    PAGE_NOT_TAKEN = 0xCC00
    NOT_LOADED = 0xCD00
    NOT_IMPLEMENTED = 0xFF00


#: The reason byte of a ROM that does not know a command.
ROM_INVALID_MESSAGE = Status.INVALID_MESSAGE & 0xFF

#: "The line damaged this": nothing was done, and the request may simply be sent again. A read is
#: never asked for with a wrong length.
LINE_DAMAGE = frozenset(
    {
        Status.BAD_ROM_CHECKSUM,
        Status.BAD_CHECKSUM,
        Status.BAD_LENGTH,
        Status.INVALID_MESSAGE,
        Status.BAD_READ_LENGTH,
    }
)
#: The blocks of a write did not arrive as a whole, or did not come out as they were sent. Begun
#: anew, the write may go well.
TRANSFER_BROKEN = frozenset(
    {
        Status.DEFLATE_DAMAGED,
        Status.BAD_ADLER32,
        Status.BAD_DEFLATE_PARAMETER,
        Status.NOT_WRITING,
        Status.INFLATE_FAILED,
        Status.TOO_LITTLE,
        Status.TOO_MUCH,
        Status.PAGE_NOT_TAKEN,
    }
)
#: A ROM says so of what it cannot do, and of a request whose parameters were damaged on the way,
#: since its requests carry no checksum: said twice of the same request, it is meant.
DOUBTFUL = frozenset({Status.FAILED, Status.FLASH_READ_FAILED})

_MEANING: dict[int, str] = {
    Status.UNDEFINED: "undefined error",
    Status.BAD_PARAMETER: "an input parameter is invalid",
    Status.OUT_OF_MEMORY: "out of memory",
    Status.SEND_FAILED: "sending failed",
    Status.RECEIVE_FAILED: "receiving failed",
    Status.INVALID_MESSAGE: "the command or its format is not known here",
    Status.FAILED: "the result is wrong",
    Status.BAD_ROM_CHECKSUM: "checksum error",
    Status.FLASH_WRITE_FAILED: "writing the flash failed: read back data differs",
    Status.FLASH_READ_FAILED: "reading the flash failed",
    Status.BAD_READ_LENGTH: "wrong length for a flash read",
    Status.DEFLATE_DAMAGED: "the compressed stream is damaged",
    Status.BAD_ADLER32: "the compressed stream fails its Adler-32 check",
    Status.BAD_DEFLATE_PARAMETER: "a parameter of the compressed stream is wrong",
    Status.BAD_RAM_SIZE: "the RAM size is wrong",
    Status.BAD_RAM_ADDRESS: "the RAM address is wrong",
    Status.PARAMETER: "a parameter is wrong",
    Status.FORMAT: "the format is wrong",
    Status.DESCRIPTION_TOO_LONG: "the description is too long",
    Status.DESCRIPTION_ENCODING: "the description's encoding is bad",
    Status.NO_STORAGE: "not enough storage",
    Status.BAD_LENGTH: "the data length does not match",
    Status.BAD_CHECKSUM: "the data checksum does not match",
    Status.BAD_BLOCK_SIZE: "the block size is wrong",
    Status.UNKNOWN_COMMAND: "the command is not known",
    Status.SPI_FAILED: "a SPI flash operation failed",
    Status.UNLOCK_FAILED: "the SPI flash could not be unlocked",
    Status.NOT_WRITING: "not in flash mode",
    Status.INFLATE_FAILED: "the compressed stream is damaged",
    Status.TOO_LITTLE: "not enough data",
    Status.TOO_MUCH: "too much data",
    Status.NAND_PROGRAM_FAILED: "NAND program failed",
    Status.NAND_ERASE_FAILED: "NAND erase failed",
    Status.PAGE_NOT_TAKEN: "a page was not programmed as it was sent, and must be written again",
    Status.NOT_LOADED: "the part of the stub that does this was not loaded",
    Status.NOT_IMPLEMENTED: "the command is not implemented",
}

_REMEDY: dict[int, str] = {
    Status.BAD_ROM_CHECKSUM: "Try a lower baud rate or a shorter cable.",
    Status.BAD_CHECKSUM: "Try a lower baud rate or a shorter cable.",
    Status.FLASH_WRITE_FAILED: "The flash may be write protected or worn out.",
    Status.SPI_FAILED: "The flash may be write protected, badly connected or badly powered.",
    Status.UNLOCK_FAILED: "The flash is write protected.",
    Status.NOT_LOADED: "Reset the chip, so that the stub is loaded anew.",
}


def describe(code: int) -> str:
    """`code` (status byte, reason byte) in words."""
    return _MEANING.get(code, "unknown error code")


def known(code: int) -> bool:
    """A loader or a stub gives this code."""
    return code in _MEANING


def remedy(code: int) -> str | None:
    """What a person could try, where something is known to help."""
    return _REMEDY.get(code)
