# SPDX-License-Identifier: Apache-2.0
"""Turns what a caller names as input (path, bytes, open file) into bytes and regions."""

from __future__ import annotations

import contextlib
import io
import os
from typing import IO

from esptool.errors import ImageError
from esptool.image.content import Data, FileContent, large_rest, open_large
from esptool.image.regions import Region

ImageSource = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes]


def open_source(source: ImageSource) -> tuple[Data, str | None]:
    """As `read_source`, but a large file is not read yet: see `esptool.image.content`.

    Raises:
        ImageError: the file cannot be read, or `source` is none of the accepted types.
    """
    large: FileContent | None = None
    name: str | None = None
    if isinstance(source, str | os.PathLike):
        name = os.fspath(source)
        large = open_large(name)
    elif isinstance(source, io.BufferedReader | io.FileIO) and not source.writable():
        named = getattr(source, "name", None)
        name = named if isinstance(named, str) else None
        with contextlib.suppress(OSError, ValueError):
            large = large_rest(source.fileno(), source.tell(), name)
    # Intel HEX is text that has to be understood as a whole.
    if large is None or large[0] == ord(":"):
        return read_source(source)
    return large, name


def read_source(source: ImageSource) -> tuple[bytes, str | None]:
    """The bytes of a source, and its name where it has one. An open file keeps its position.

    Raises:
        ImageError: the file cannot be read, or `source` is none of the accepted types.
    """
    if isinstance(source, bytes):
        return source, None
    if isinstance(source, bytearray | memoryview):
        return bytes(source), None
    if isinstance(source, str | os.PathLike):
        name = os.fspath(source)
        try:
            with open(name, "rb") as file:
                return file.read(), name
        except (OSError, ValueError) as e:
            reason = e.strerror if isinstance(e, OSError) and e.strerror else str(e)
            raise ImageError(f"Cannot read '{name}': {reason}.") from e
    if hasattr(source, "read"):
        return _read_open_file(source)
    raise ImageError(f"Invalid input type {type(source)}")


def _read_open_file(file: IO[bytes]) -> tuple[bytes, str | None]:
    name = getattr(file, "name", None)
    try:
        position = file.tell()
        data = file.read()
        file.seek(position)
    except (OSError, ValueError) as e:
        raise ImageError(f"Cannot read {name or 'the given file'}: {e}.") from e
    if not isinstance(data, bytes):
        raise ImageError(f"{name or 'The given file'} must be opened in binary mode.")
    return data, name if isinstance(name, str) else None


def hex_regions(data: bytes, source: str | None = None) -> list[Region] | None:
    """The regions of an Intel HEX file; None when `data` are not HEX but merely begin with ':'.

    Raises:
        ImageError: a HEX file is damaged.
    """
    if not data.startswith(b":"):
        return None
    from esptool.image.hexfile import HexError, looks_like_hex, read_hex

    if not looks_like_hex(data):
        return None
    try:
        return read_hex(data, source)
    except HexError as e:
        raise ImageError(f"'{source}': {e.message}" if source else e.message) from e


def split_regions(data: bytes, address: int, source: str | None = None) -> list[Region]:
    """Raw data as one region at `address`; Intel HEX as the regions that it names itself.

    Raises:
        ImageError: a HEX file is damaged.
    """
    regions = hex_regions(data, source)
    return [Region(address, data, source)] if regions is None else regions
