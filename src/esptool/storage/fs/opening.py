# SPDX-License-Identifier: Apache-2.0
"""Which file system an image holds, and what the systems on the chips make of their own accord.

Defaults as public sources have them: ESP-IDF (`Kconfig` of SPIFFS, FATFS and wear levelling; the
`joltwallet/littlefs` component), Arduino for the ESP32 and for the ESP8266, MicroPython.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from esptool.errors import UsageError
from esptool.nearest import checks_keywords
from esptool.records import dataclass
from esptool.storage.changes import SECTOR
from esptool.storage.fs.blocks import Image
from esptool.storage.fs.model import (
    DamagedError,
    FileSystem,
    FullError,
    OtherKindError,
    clean,
    parents,
)

if TYPE_CHECKING:
    from esptool.storage.fs.littlefs import Parameters
    from esptool.storage.fs.spiffs_layout import Layout

KINDS = ("littlefs", "fat", "spiffs")
PRESETS = ("esp-idf", "arduino", "esp8266", "micropython")

#: LittleFS: longest name, minor version of the disk, prog size, cache size, lookahead.
_LITTLEFS = {
    "esp-idf": (64, 1, 128, 512, 128),
    "arduino": (64, 0, 128, 512, 128),
    "esp8266": (32, 0, 64, 64, 64),
    "micropython": (255, 0, 32, 128, 32),
}
#: SPIFFS: metadata length, aligned tables.
_SPIFFS = {"esp-idf": (4, False), "arduino": (4, False), "esp8266": (0, True)}
#: Arduino for the ESP8266 takes larger blocks from this size of the file system on.
_LARGE_BLOCKS = 512 * 1024


@dataclass(frozen=True, slots=True)
class Shape:
    """Parameters of a file system that is made, or of one that cannot be found out. None is what
    the preset has; sizes are in bytes.

    Attributes:
        preset: whose defaults count: one of `PRESETS`.
        block_size: LittleFS and SPIFFS.
        name_length: LittleFS: longest name. SPIFFS: longest path and its final NUL.
        version: LittleFS: minor version of the disk format, 0 or 1.
        page_size: SPIFFS.
        meta_length: SPIFFS: metadata of a file.
        aligned: SPIFFS: tables of index pages begin at even offsets.
        magic: SPIFFS: blocks are marked.
        magic_length: SPIFFS: the mark depends on the size.
        wear: FAT: 'none', 'plain' (sectors of 4096 bytes), 'perf' or 'safe' (of 512).
        sector_size: FAT.
        cluster_sectors: FAT: sectors of a cluster.
        fats: FAT: number of tables.
        root_entries: FAT: entries of the root folder.
    """

    preset: str = "esp-idf"
    block_size: int | None = None
    name_length: int | None = None
    version: int | None = None
    page_size: int | None = None
    meta_length: int | None = None
    aligned: bool | None = None
    magic: bool = True
    magic_length: bool = True
    wear: str | None = None
    sector_size: int | None = None
    cluster_sectors: int = 1
    fats: int = 2
    root_entries: int = 512

    def littlefs(self, size: int) -> Parameters:
        """Parameters of a LittleFS of `size` bytes."""
        from esptool.storage.fs.littlefs import Parameters

        name, minor, prog, cache, lookahead = _LITTLEFS[self.preset]
        return Parameters(
            block_size=self._block(size),
            version=0x20000 | (minor if self.version is None else self.version),
            name_max=name if self.name_length is None else self.name_length,
            prog_size=prog,
            cache_size=cache,
            lookahead=lookahead,
        )

    def spiffs(self, size: int) -> Layout:
        """Layout of a SPIFFS of `size` bytes."""
        from esptool.storage.fs.spiffs_layout import Layout

        if self.preset not in _SPIFFS:
            raise UsageError(f"There is no SPIFFS in {self.preset}.")
        meta, aligned = _SPIFFS[self.preset]
        return Layout(
            size=size,
            page_size=self.page_size or 256,
            block_size=self._block(size),
            name_length=32 if self.name_length is None else self.name_length,
            meta_length=meta if self.meta_length is None else self.meta_length,
            aligned=aligned if self.aligned is None else self.aligned,
            magic=self.magic,
            magic_length=self.magic_length,
        )

    @property
    def tells_spiffs(self) -> bool:
        """Whether the layout of a SPIFFS is told here, so that it need not be found."""
        told = (self.block_size, self.page_size, self.name_length, self.meta_length, self.aligned)
        return not (self.magic and self.magic_length) or any(v is not None for v in told)

    def _block(self, size: int) -> int:
        if self.block_size is not None:
            return self.block_size
        large = self.preset == "esp8266" and size >= _LARGE_BLOCKS and size % 8192 == 0
        return 8192 if large else 4096


@checks_keywords()
def detect(image: bytes | Image) -> str | None:
    """Which file system an image holds, one of `KINDS`; None if it is none of them."""
    held = image if isinstance(image, Image) else Image.of(image)
    from esptool.storage.fs.fat_layout import find_volume
    from esptool.storage.fs.littlefs import find_superblock
    from esptool.storage.fs.spiffs_layout import looks_like_spiffs
    from esptool.storage.fs.wear import find_wear

    def found(look: Callable[[Image], object]) -> bool:
        try:
            return bool(look(held))
        except OtherKindError:
            return False
        except DamagedError:
            return True

    if found(find_superblock):
        return "littlefs"
    if found(find_wear) or found(find_volume):
        return "fat"
    return "spiffs" if looks_like_spiffs(held) else None


@checks_keywords()
def open_image(
    image: bytes | Image, kind: str | None = None, shape: Shape | None = None
) -> FileSystem:
    """The file system that an image holds.

    Args:
        image: all bytes of its partition; an `Image` reads them as they are needed.
        kind: one of `KINDS`; found out where it is not given.
        shape: what cannot be found out: the parameters of a SPIFFS without magic numbers, and
            whose LittleFS code will read what is written.

    Raises:
        DamagedError: it holds none, or a damaged one.

    Where the library for LittleFS is not installed, one is opened to be read alone.
    """
    held = image if isinstance(image, Image) else Image.of(image)
    kind = kind or detect(held)
    if kind == "littlefs":
        from esptool.storage.fs.littlefs import Littlefs, has_library

        if not has_library():
            from esptool.storage.fs.littlefs_reading import ReadLittlefs

            return ReadLittlefs(held)
        return Littlefs(held, shape.littlefs(len(held)) if shape else None)
    if kind == "fat":
        from esptool.storage.fs.fat import Fat

        return Fat(held)
    if kind == "spiffs":
        from esptool.storage.fs.spiffs import Spiffs

        told = shape is not None and shape.tells_spiffs
        return Spiffs(held, shape.spiffs(len(held)) if shape and told else None)
    raise DamagedError(
        "There is no file system (LittleFS, FAT, SPIFFS) in it.",
        remedy="Make one with `esptool fs build`. A SPIFFS without magic numbers needs --type "
        "spiffs --no-magic.",
    )


@checks_keywords()
def build_image(
    kind: str,
    size: int,
    files: Mapping[str, bytes | None],
    shape: Shape | None = None,
) -> bytes:
    """A new image with these files: path -> content, or None for a folder.

    The same files give the same bytes. SPIFFS images are those of ESP-IDF's generator, and so are
    FAT images but for the names of long files.

    Raises:
        UsageError: a name, size or parameter is not possible.
        FullError: the files do not fit.
    """
    shape = shape or Shape()
    wanted = {clean(path): data for path, data in files.items()}
    try:
        if kind == "littlefs":
            return _littlefs(size, wanted, shape)
        if kind == "fat":
            return _fat(size, wanted, shape)
        if kind == "spiffs":
            return _spiffs(size, wanted, shape)
    except FullError as e:
        raise FullError(f"In {size:#x} bytes: {e.message}", remedy=e.remedy) from None
    raise UsageError(f"'{kind}' is not a file system: {', '.join(KINDS)}.")


def _fill(fs: FileSystem, files: Mapping[str, bytes | None]) -> None:
    for path in sorted(files):
        data = files[path]
        if data is None:
            fs.make_folder(path)
        else:
            for folder in parents(path):
                if folder not in files:
                    fs.make_folder(folder)
            fs.write(path, data)


def _littlefs(size: int, files: Mapping[str, bytes | None], shape: Shape) -> bytes:
    from esptool.storage.fs.littlefs import Littlefs

    fs = Littlefs.format(size, shape.littlefs(size))
    _fill(fs, files)
    return fs.image()


def _spiffs(size: int, files: Mapping[str, bytes | None], shape: Shape) -> bytes:
    from esptool.storage.fs.spiffs import Spiffs

    fs = Spiffs.format(shape.spiffs(size))
    fs.add_all((path, data) for path, data in sorted(files.items()) if data is not None)
    return fs.image()


def _fat(size: int, files: Mapping[str, bytes | None], shape: Shape) -> bytes:
    from esptool.storage.fs import wear
    from esptool.storage.fs.fat import Fat
    from esptool.storage.fs.fat_layout import new_volume

    mode = shape.wear or ("none" if shape.preset in ("micropython", "esp8266") else "plain")
    if mode not in ("none", "plain", "perf", "safe"):
        raise UsageError(f"'{mode}' is not a kind of wear levelling: none, plain, perf or safe.")
    sector = shape.sector_size or (512 if mode in ("perf", "safe") else 4096)
    if mode != "none" and sector != (4096 if mode == "plain" else 512):
        raise UsageError(f"Wear levelling '{mode}' has other sectors than of {sector} bytes.")
    room = size if mode == "none" else wear.disk_sectors(size) * SECTOR
    room -= 2 * SECTOR if mode == "safe" else 0
    volume = new_volume(room, sector, shape.cluster_sectors, shape.fats, shape.root_entries)
    # Numbers that are random elsewhere; here the same files give the same image.
    number = 0
    for path, data in sorted(files.items()):
        number = zlib.crc32(path.encode("utf-8", "surrogatepass") + b"\0" + (data or b""), number)
    fs = Fat(Fat.format(volume, room, number))
    _fill(fs, files)
    disk = fs.image()
    return disk if mode == "none" else wear.new_partition(disk, size, number)
