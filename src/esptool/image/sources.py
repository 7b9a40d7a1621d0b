# SPDX-License-Identifier: Apache-2.0
"""Turns what a caller names as input (path, bytes, open file) into bytes and regions."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Sequence
from typing import IO

from esptool.chips.nor import SECTOR
from esptool.errors import ImageError, UsageError
from esptool.files import is_open_file, name_of
from esptool.image.content import Data, FileContent, large_rest, open_large
from esptool.image.content import joined as joined_data
from esptool.image.regions import Region, in_order
from esptool.records import replace

ImageSource = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes]


#: HEX text of the largest flash (128 MB) has about three times its size; debug data may be more.
LARGEST = 512 << 20
LARGEST_FLASH = 128 << 20
_HEAD = 64


def _shown(name: str) -> str:
    return name.replace("\0", "\\0")


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
        name = name_of(source)
        with contextlib.suppress(OSError, ValueError):
            large = large_rest(source.fileno(), source.tell(), name)
    # Intel HEX is text that has to be understood as a whole.
    if large is None or may_be_hex(large[:64], name):
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
                head = file.read(_HEAD)
                # Not even read, where a look says that it is nothing for a flash.
                if os.fstat(file.fileno()).st_size > LARGEST_FLASH and not _may_be_larger(
                    head, name
                ):
                    raise ImageError(_too_large(name, LARGEST_FLASH))
                data = head + file.read(LARGEST + 1 - len(head))
        except (OSError, ValueError) as e:
            reason = e.strerror if isinstance(e, OSError) and e.strerror else str(e)
            raise ImageError(
                f"Cannot read '{_shown(name)}': {reason}.",
                remedy="Check its name, and that you may read it.",
            ) from e
        if len(data) > LARGEST:
            raise ImageError(_too_large(name, LARGEST))
        return data, name
    if is_open_file(source):
        return _read_open_file(source)
    raise ImageError(f"Invalid input type {type(source)}")


def _may_be_larger(head: bytes, name: str) -> bool:
    """Text of HEX is larger than what it stands for, and ELF files hold debug data."""
    return may_be_hex(head, name) or head[:4] == b"\x7fELF"


def _too_large(name: str, limit: int) -> str:
    return f"'{name}' is larger than {limit >> 20} MB: no flash holds that much."


def _read_open_file(file: IO[bytes]) -> tuple[bytes, str | None]:
    name = name_of(file)
    try:
        position = file.tell()
        data = file.read()
        file.seek(position)
    except (OSError, ValueError) as e:
        raise ImageError(f"Cannot read {name or 'the given file'}: {e}.") from e
    if not isinstance(data, bytes):
        raise ImageError(f"{name or 'The given file'} must be opened in binary mode.")
    return data, name


def hex_regions(data: bytes, source: str | None = None) -> list[Region] | None:
    """The regions of an Intel HEX file; None when it is none, by its name and its content.

    Raises:
        ImageError: a HEX file is damaged, or empty.
    """
    if not may_be_hex(data[:64], source):
        return None
    from esptool.image.hexfile import HexError, looks_like_hex, read_hex

    named = _named_hex(source)
    if not named and not looks_like_hex(data):
        return None
    try:
        regions = read_hex(data, source)
    except HexError as e:
        remedy = None
        if named and not looks_like_hex(data):
            remedy = "By its name it is Intel HEX; if it holds raw data, give it another name."
        raise ImageError(f"'{source}': {e.message}" if source else e.message, remedy=remedy) from e
    if not regions:
        raise ImageError(f"'{source}' holds no data." if source else "Intel HEX holds no data.")
    return regions


def may_be_hex(start: bytes, name: str | None) -> bool:
    """A quick look that spares loading the reader of Intel HEX."""
    return _named_hex(name) or start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b":"


def _named_hex(name: str | None) -> bool:
    return name is not None and name.lower().endswith((".hex", ".ihx", ".ihex"))


def split_regions(data: bytes, address: int, source: str | None = None) -> list[Region]:
    """Raw data as one region at `address`; Intel HEX as the regions that it names itself.

    Raises:
        ImageError: a HEX file is damaged, or empty.
    """
    regions = hex_regions(data, source)
    return [Region(address, data, source)] if regions is None else regions


def load_regions(
    addr_data: Sequence[tuple[int, ImageSource]], *, encrypted: bool = False
) -> list[Region]:
    """Load (offset, source) pairs as regions of flash.

    An Intel HEX source carries its own addresses: it becomes a region for each of its segments,
    and the offset beside it is not used. Segments in one sector become one region, since a
    sector can only be erased once; what lies between them stays erased. The data of a large file
    are read as they are needed (`esptool.image.content`).

    Raises:
        ImageError: a file cannot be read, or is damaged HEX.
        UsageError: a negative offset.
    """
    regions: list[Region] = []
    for address, source in addr_data:
        if address < 0:
            raise UsageError(f"Flash address {address} is negative.")
        data, name = open_source(source)
        if not isinstance(data, bytes):
            regions.append(Region(address, data, name, encrypted))
            continue
        parts = split_regions(data, address, name)
        regions += _share_sectors([replace(part, encrypted=encrypted) for part in parts])
    return regions


def first_segment(data: bytes, name: str | None = None) -> bytes:
    """The bytes themselves, or what the first segment of an Intel HEX text holds."""
    parts = split_regions(data, 0, name)
    return bytes(parts[0].data) if parts else b""


def _share_sectors(parts: list[Region]) -> list[Region]:
    """Join the parts of one file that stand in a common sector, 0xFF in between."""
    joined: list[Region] = []
    for part in in_order(parts):
        last = joined[-1] if joined else None
        if last and last.data and part.address // SECTOR <= (last.end - 1) // SECTOR:
            gap = b"\xff" * (part.address - last.end)
            data = joined_data(last.data, gap, part.data)
            joined[-1] = Region(last.address, data, last.name, last.encrypted)
        else:
            joined.append(part)
    return joined


def refuse_container(data: Data, name: str | None, way_out: str = "") -> None:
    """Refuse firmware in a form that flash cannot use: it would be written, verified, and not run.

    What a program gives as bytes, without a name, is taken as it is.

    Args:
        data: what is to go to flash.
        name: the file's name, None where the data came from memory.
        way_out: a sentence on how to do it anyway, for the remedy.

    Raises:
        UsageError: an ELF or UF2 file.
    """
    kinds = {
        b"\x7fELF": (
            "an ELF file",
            "Use 'esptool flash', or make an image of it with elf2image and write that.",
        ),
        b"UF2\n": ("a UF2 file, which is for USB drives", "Write the files it was made of."),
    }
    kind, remedy = kinds.get(bytes(data[:4]), ("", ""))
    if kind and name is not None:
        raise UsageError(
            f"'{name}' is {kind}, not an image.",
            remedy=f"{remedy} {way_out}".rstrip(),
        )
