# SPDX-License-Identifier: Apache-2.0
"""Where the bytes for flash come from: sources as `esptool.image` reads them, made regions."""

from __future__ import annotations

from collections.abc import Sequence

from esptool.chips.nor import SECTOR
from esptool.errors import UsageError
from esptool.image import sources
from esptool.image.content import joined as one_behind_the_other
from esptool.image.sources import ImageSource
from esptool.ops.model import Region

__all__ = ["ImageSource", "first_segment", "load_regions", "load_source"]


def load_source(source: ImageSource) -> tuple[bytes, str | None]:
    """The bytes of a path, of bytes, or of an open file; and the file name where there is one.

    Raises:
        ImageError: the file cannot be read.
    """
    return sources.read_source(source)


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
        data, name = sources.open_source(source)
        if not isinstance(data, bytes):
            regions.append(Region(address, data, name, encrypted))
            continue
        pieces = sources.split_regions(data, address, name)
        regions += _share_sectors([Region(p.address, p.data, name, encrypted) for p in pieces])
    return regions


def first_segment(data: bytes, name: str | None = None) -> bytes:
    """The bytes themselves, or what the first segment of an Intel HEX text holds."""
    pieces = sources.split_regions(data, 0, name)
    return pieces[0].data if pieces else b""


def _share_sectors(pieces: list[Region]) -> list[Region]:
    """Join the pieces of one file that stand in a common sector, 0xFF in between."""
    joined: list[Region] = []
    for piece in sorted(pieces, key=lambda p: p.address):
        last = joined[-1] if joined else None
        if last and last.data and piece.address // SECTOR <= (last.end - 1) // SECTOR:
            gap = b"\xff" * (piece.address - last.end)
            data = one_behind_the_other(last.data, gap, piece.data)
            joined[-1] = Region(last.address, data, last.name, last.encrypted)
        else:
            joined.append(piece)
    return joined
