# SPDX-License-Identifier: Apache-2.0
"""Status codes of ROM loaders and stubs, in words, with what to try where that helps."""

from __future__ import annotations

#: The reason byte of a ROM that does not know a command.
ROM_INVALID_MESSAGE = 0x05

_MEANING: dict[int, str] = {
    0x0100: "undefined error",
    0x0101: "an input parameter is invalid",
    0x0102: "out of memory",
    0x0103: "sending failed",
    0x0104: "receiving failed",
    0x0105: "the command or its format is not known here",
    0x0106: "the result is wrong",
    0x0107: "checksum error",
    0x0108: "writing the flash failed: read back data differs",
    0x0109: "reading the flash failed",
    0x010A: "wrong length for a flash read",
    0x010B: "the compressed stream is damaged",
    0x010C: "the compressed stream fails its Adler-32 check",
    0x010D: "a parameter of the compressed stream is wrong",
    0x010E: "the RAM size is wrong",
    0x010F: "the RAM address is wrong",
    0x0164: "a parameter is wrong",
    0x0165: "the format is wrong",
    0x0166: "the description is too long",
    0x0167: "the description's encoding is bad",
    0x0169: "not enough storage",
    0xC000: "the data length does not match",
    0xC100: "the data checksum does not match",
    0xC200: "the block size is wrong",
    0xC300: "the command is not known",
    0xC400: "a SPI flash operation failed",
    0xC500: "the SPI flash could not be unlocked",
    0xC600: "not in flash mode",
    0xC700: "the compressed stream is damaged",
    0xC800: "not enough data",
    0xC900: "too much data",
    0xCA00: "NAND program failed",
    0xCB00: "NAND erase failed",
    0xCC00: "a page was not programmed as it was sent, and must be written again",
    0xFF00: "the command is not implemented",
}

_REMEDY: dict[int, str] = {
    0x0107: "Try a lower baud rate or a shorter cable.",
    0xC100: "Try a lower baud rate or a shorter cable.",
    0x0108: "The flash may be write protected or worn out.",
    0xC400: "The flash may be write protected, badly connected or badly powered.",
    0xC500: "The flash is write protected.",
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
