# SPDX-License-Identifier: Apache-2.0
"""Small helpers with the names that callers of the tool know, and its exceptions."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, TypeAlias, TypeVar

from esptool import errors as _errors
from esptool.chips import normalize
from esptool.errors import FatalError as FatalError
from esptool.errors import NANDEraseFailed as NANDEraseFailed
from esptool.errors import NANDProgramFailed as NANDProgramFailed
from esptool.errors import UnsupportedCommandError as UnsupportedCommandError
from esptool.files import is_open_file, name_of
from esptool.lazily import borrowed as borrowed
from esptool.nearest import checks_keywords
from esptool.sizes import flash_size

__all__ = [
    "FatalError",
    "ImageSource",
    "NANDEraseFailed",
    "NANDProgramFailed",
    "NotImplementedInROMError",
    "NotSupportedError",
    "PrintOnce",
    "UnsupportedCommandError",
    "borrowed",
    "byte",
    "div_roundup",
    "expand_chip_name",
    "flash_size_bytes",
    "get_bytes",
    "get_file_size",
    "get_key_from_value",
    "hexify",
    "mask_to_shift",
    "pad_to",
    "sanitize_string",
    "strip_chip_name",
]

#: A path, the bytes themselves, or an open binary file.
ImageSource: TypeAlias = str | bytes | IO[bytes]

NotSupportedError = _errors.NotSupportedError
#: The ROM loader lacks a command that the stub has.
NotImplementedInROMError = _errors.UnsupportedCommandError

_K = TypeVar("_K")
_V = TypeVar("_V")


class PrintOnce:
    """Calls a print function at most once, however often it is asked to."""

    def __init__(self, print_callback: Any) -> None:
        self.print_callback = print_callback
        self.already_printed = False

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        if not self.already_printed:
            self.already_printed = True
            self.print_callback(*args, **kwargs)


def byte(bitstr: bytes, index: int) -> int:
    """The byte at `index`, as a number."""
    return bitstr[index]


def mask_to_shift(mask: int) -> int:
    """Position of the lowest set bit of `mask`."""
    return (mask & -mask).bit_length() - 1


def div_roundup(a: int, b: int) -> int:
    """`a / b`, rounded up."""
    return -(-int(a) // int(b))


@checks_keywords()
def flash_size_bytes(size: str | None) -> int | None:
    """Bytes of a flash size word such as "4MB", "512KB" or "2MB-c1"; None for None.

    Raises:
        FatalError: not a size.
    """
    return None if size is None else flash_size(str(size))


def hexify(s: bytes, uppercase: bool = True) -> str:
    """Two hex digits for every byte."""
    text = bytes(s).hex()
    return text.upper() if uppercase else text


def pad_to(data: bytes, alignment: int, pad_character: bytes = b"\xff") -> bytes:
    """`data` with so much padding that its length is a multiple of `alignment`."""
    return data + pad_character * (-len(data) % alignment)


def expand_chip_name(chip_name: str) -> str:
    """'esp32s3' as people write it: 'ESP32-S3'; other texts come back as they are, upper case."""
    return re.sub(r"^(ESP32)(?!$|-|\()", r"\1-", chip_name.upper())


def strip_chip_name(chip_name: str) -> str:
    """'ESP32-S3' as options write it: 'esp32s3'."""
    return normalize(chip_name)


def get_file_size(path_to_file: str | os.PathLike[str]) -> int:
    """Size of a file in bytes."""
    return os.path.getsize(path_to_file)


def get_key_from_value(dict: Mapping[_K, _V], val: _V) -> _K | None:
    """The first key whose value is `val`, or None."""
    return next((k for k, v in dict.items() if v == val), None)


def get_bytes(input: ImageSource) -> tuple[bytes, str | None]:
    """The bytes of a source, and the file's name where it has one.

    Raises:
        FatalError: not a source, or unreadable.
    """
    if isinstance(input, str | os.PathLike):
        try:
            return Path(input).read_bytes(), os.fspath(input)
        except OSError as e:
            raise FatalError(f"Cannot read '{input}': {e.strerror or e}.") from e
    if isinstance(input, bytes | bytearray | memoryview):
        return bytes(input), None
    if is_open_file(input):
        data = input.read()
        if isinstance(data, bytes):
            return data, name_of(input)
    raise FatalError("Give an image as a path, as bytes, or as a file opened in 'rb' mode.")


def sanitize_string(byte_string: bytes) -> str:
    """The text of a zero-padded field; what is not UTF-8 is replaced."""
    return byte_string.partition(b"\0")[0].decode("utf-8", "replace")
