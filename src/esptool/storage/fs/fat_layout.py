# SPDX-License-Identifier: Apache-2.0
"""A FAT volume's boot sector, its table, and the names in its folders.

Facts from Microsoft's FAT specification and from the public sources of FatFs and of ESP-IDF's
`fatfsgen.py`. One difference is kept from FatFs: a volume of 4085 clusters is still FAT12.
"""

from __future__ import annotations

import struct

from esptool.errors import UsageError
from esptool.records import dataclass
from esptool.storage.fs.blocks import Bytes, MutableBytes
from esptool.storage.fs.model import DamagedError, OtherKindError

ENTRY = 32
LONG_NAME, VOLUME_LABEL, FOLDER, ARCHIVE = 0x0F, 0x08, 0x10, 0x20
DELETED, END = 0xE5, 0x00
LOWER_BASE, LOWER_EXT = 0x08, 0x10
#: 1 January 1980, as the generator of ESP-IDF dates files when asked to be reproducible.
DATE = 1 << 5 | 1
_BOOT = struct.Struct("<3s8sHBHBHHBHHHII")
_MAX_12, _MAX_16 = 4085, 65525
_FORBIDDEN = set('"*:<>?|\\/\x7f')
_SHORT_SIGNS = set("!#$%&'()-@^_`{}~")


@dataclass(frozen=True, slots=True)
class Volume:
    """What the boot sector says. Sizes of areas are in sectors."""

    sector_size: int
    cluster_sectors: int
    reserved: int
    fats: int
    root_entries: int
    sectors: int
    fat_sectors: int
    root_cluster: int = 0  # FAT32 alone

    @property
    def root_sectors(self) -> int:
        """Sectors of the root folder, which FAT12 and FAT16 have apart from the clusters."""
        return -(-self.root_entries * ENTRY // self.sector_size)

    @property
    def data_start(self) -> int:
        """The first sector of the clusters."""
        return self.reserved + self.fats * self.fat_sectors + self.root_sectors

    @property
    def clusters(self) -> int:
        """How many clusters the volume has."""
        return max(0, self.sectors - self.data_start) // self.cluster_sectors

    @property
    def cluster_size(self) -> int:
        """Bytes of a cluster."""
        return self.sector_size * self.cluster_sectors

    @property
    def bits(self) -> int:
        """Width of an entry of the table: 12, 16 or 32."""
        if self.clusters <= _MAX_12:
            return 12
        return 16 if self.clusters <= _MAX_16 else 32

    @property
    def fat_at(self) -> int:
        """Offset of the first table, in bytes."""
        return self.reserved * self.sector_size

    @property
    def root_at(self) -> int:
        """Offset of the root folder of FAT12 and FAT16, in bytes."""
        return (self.reserved + self.fats * self.fat_sectors) * self.sector_size

    def cluster_at(self, cluster: int) -> int:
        """Offset of a cluster, in bytes; the first one has number 2."""
        return (self.data_start + (cluster - 2) * self.cluster_sectors) * self.sector_size

    def boot_sector(self, serial: int) -> bytes:
        """The boot sector as ESP-IDF's generator makes it."""
        head = _BOOT.pack(
            b"\xeb\xfe\x90",
            b"MSDOS5.0",
            self.sector_size,
            self.cluster_sectors,
            self.reserved,
            self.fats,
            self.root_entries,
            self.sectors if self.sectors < 0x10000 else 0,
            0xF8,
            self.fat_sectors,
            0x3F,
            0xFF,
            0,
            self.sectors if self.sectors >= 0x10000 else 0,
        )
        head += struct.pack("<BBBI", 0x80, 0, 0x29, serial & 0xFFFFFFFF)
        head += b"Espressif  " + b"FAT     "
        return (head.ljust(510, b"\0") + b"\x55\xaa").ljust(self.sector_size, b"\0")


def find_volume(data: Bytes) -> Volume:
    """The volume that an image holds.

    Raises:
        DamagedError: there is none, or its boot sector contradicts itself or the size.
    """
    if len(data) < 512 or data[510:512] != b"\x55\xaa":
        raise OtherKindError("This is not a FAT file system: it has no boot sector.")
    _, _, size, per, reserved, fats, roots, few, _, short, _, _, _, many = _BOOT.unpack(
        data[: _BOOT.size]
    )
    volume = Volume(
        sector_size=size,
        cluster_sectors=per,
        reserved=reserved,
        fats=fats,
        root_entries=roots,
        sectors=few or many,
        fat_sectors=short or int.from_bytes(data[36:40], "little"),
        root_cluster=0 if short else int.from_bytes(data[44:48], "little"),
    )
    return _checked(volume, len(data))


def _checked(volume: Volume, size: int) -> Volume:
    per, fats = volume.cluster_sectors, volume.fats
    if volume.sector_size not in (512, 1024, 2048, 4096) or not per or per & (per - 1):
        raise OtherKindError("This is not a FAT file system: its boot sector makes no sense.")
    if not volume.reserved or fats not in (1, 2) or not volume.fat_sectors:
        raise DamagedError("The FAT file system is damaged: its boot sector lacks the tables.")
    if volume.sectors * volume.sector_size > size:
        raise DamagedError(
            f"The FAT file system has {volume.sectors * volume.sector_size:#x} bytes, and only "
            f"{size:#x} are there.",
            remedy="Give the whole partition.",
        )
    if volume.clusters < 1:
        raise DamagedError("The FAT file system is damaged: it has no clusters.")
    if (volume.clusters + 2) * volume.bits > volume.fat_sectors * volume.sector_size * 8:
        raise DamagedError("The FAT file system is damaged: its table is too short.")
    if (volume.bits == 32) != (volume.root_entries == 0):
        raise DamagedError("The FAT file system is damaged: its root folder makes no sense.")
    return volume


def new_volume(
    size: int, sector_size: int, cluster_sectors: int, fats: int, root_entries: int
) -> Volume:
    """A volume laid out as ESP-IDF's generator does it.

    Raises:
        UsageError: it cannot be made with these parameters.
    """
    if sector_size not in (512, 1024, 2048, 4096):
        raise UsageError(f"A FAT sector of {sector_size} bytes is not possible: 512 to 4096.")
    if cluster_sectors not in (1, 2, 4, 8, 16, 32, 64, 128) or fats not in (1, 2):
        raise UsageError("A cluster has 1, 2, 4 ... 128 sectors, and there are one or two FATs.")
    if not root_entries or root_entries * ENTRY % sector_size or root_entries > 0xFFFF:
        raise UsageError(
            f"{root_entries} entries of a root folder do not fill whole sectors: "
            f"take a multiple of {sector_size // ENTRY}."
        )
    count = size // sector_size
    narrow = count < _MAX_12
    table = (count * 3 + 1) // 2 + 3 if narrow else count * 2 + 4
    volume = Volume(
        sector_size, cluster_sectors, 1, fats, root_entries, count, -(-table // sector_size)
    )
    if volume.clusters < 1:
        raise UsageError(
            f"{size:#x} bytes are too few for a FAT file system: its tables and its root folder "
            f"alone take {volume.data_start * sector_size:#x}."
        )
    if volume.bits == 32:
        raise UsageError("FAT32 is read, but not built: take larger clusters.")
    return volume


# --- the table -----------------------------------------------------------------------------------


def read_table(image: Bytes, volume: Volume) -> list[int]:
    """All entries of the first table: two that mean nothing, then one a cluster."""
    count = volume.clusters + 2
    data = image[volume.fat_at : volume.fat_at + -(-count * volume.bits // 8) + 1]
    if volume.bits == 16:
        return list(struct.unpack_from(f"<{count}H", data))
    if volume.bits == 32:
        return [word & 0x0FFFFFFF for word in struct.unpack_from(f"<{count}I", data)]
    table = []
    for n in range(count):
        pair = int.from_bytes(data[n * 3 // 2 : n * 3 // 2 + 2], "little")
        table.append(pair >> 4 if n & 1 else pair & 0xFFF)
    return table


def write_entry(data: MutableBytes, volume: Volume, cluster: int, value: int) -> None:
    """Change an entry in every table."""
    for number in range(volume.fats):
        at = volume.fat_at + number * volume.fat_sectors * volume.sector_size
        if volume.bits == 16:
            size, at = 2, at + 2 * cluster
            word = value & 0xFFFF
        elif volume.bits == 32:
            size, at = 4, at + 4 * cluster
            word = int.from_bytes(data[at : at + 4], "little") & 0xF0000000 | value & 0x0FFFFFFF
        else:
            size, at = 2, at + cluster * 3 // 2
            pair = int.from_bytes(data[at : at + 2], "little")
            word = (
                pair & 0xF | (value & 0xFFF) << 4
                if cluster & 1
                else (pair & 0xF000 | value & 0xFFF)
            )
        data[at : at + size] = word.to_bytes(size, "little")


# --- names ---------------------------------------------------------------------------------------


def check_name(name: str) -> None:
    """Refuse a name that FAT cannot hold.

    Raises:
        UsageError: with what is wrong.
    """
    if any(sign in _FORBIDDEN or sign < " " for sign in name) or name[-1:] in (" ", "."):
        raise UsageError(
            f"FAT cannot hold the name '{name}': it has a sign of \" * : < > ? | \\, a control "
            "character, or ends with a space or a dot."
        )
    if len(name.encode("utf-16-le", "surrogatepass")) > 510:
        raise UsageError(f"'{name[:40]}...' is longer than the 255 signs that FAT can hold.")


def short_name(name: str) -> tuple[bytes, int] | None:
    """The 11 bytes and the case flags of a name that needs no long one, else None."""
    base, dot, extension = name.rpartition(".") if "." in name else (name, "", "")
    if not base or len(base) > 8 or len(extension) > 3 or (dot and not extension):
        return None
    flags = 0
    for part, flag in ((base, LOWER_BASE), (extension, LOWER_EXT)):
        if not all(s.isascii() and (s.isalnum() or s in _SHORT_SIGNS) for s in part):
            return None
        if part != part.upper():
            if part != part.lower():
                return None
            flags |= flag
    return f"{base.upper():8}{extension.upper():3}".encode("ascii"), flags


def alias_of(name: str, taken: set[bytes]) -> bytes:
    """The 11 bytes that stand for a long name: its first letters, '~' and a number."""

    def plain(part: str) -> str:
        kept = (s if s.isascii() and (s.isalnum() or s in _SHORT_SIGNS) else "_" for s in part)
        return "".join(kept).upper()

    base, _, extension = name.strip(".").rpartition(".")
    if not base:
        base, extension = extension, ""
    base = plain(base.replace(" ", "").replace(".", "")) or "_"
    extension = plain(extension.replace(" ", ""))[:3]
    for number in range(1, 1_000_000):
        tail = f"~{number:X}"
        alias = f"{base[: 8 - len(tail)]}{tail}".ljust(8) + extension.ljust(3)
        if alias.encode("ascii") not in taken:
            return alias.encode("ascii")
    raise UsageError(f"There are too many names like '{name}' in one folder.")


def checksum(alias: bytes) -> int:
    """What ties the parts of a long name to their short entry."""
    value = 0
    for byte in alias:
        value = ((value & 1) << 7) + (value >> 1) + byte & 0xFF
    return value


def long_entries(name: str, alias: bytes) -> list[bytes]:
    """The entries of a long name, in the order in which they stand before the short one."""
    text = name.encode("utf-16-le", "surrogatepass")
    if len(text) % 26:
        text = (text + b"\0\0").ljust(-(-len(text) // 26) * 26, b"\xff")
    parts = [text[n : n + 26] for n in range(0, len(text), 26)]
    entries = []
    for number, part in enumerate(parts, 1):
        mark = number | (0x40 if number == len(parts) else 0)
        middle = struct.pack("<BBB", LONG_NAME, 0, checksum(alias))
        entries.append(bytes([mark]) + part[:10] + middle + part[10:22] + b"\0\0" + part[22:])
    return entries[::-1]


def short_entry(alias: bytes, flags: int, attributes: int, cluster: int, size: int) -> bytes:
    """An entry of 32 bytes in a folder; `alias` is a name of 8 and 3 characters, padded."""
    return struct.pack(
        "<11sBBBHHHHHHHI",
        *(alias, attributes, flags, 0, 0, DATE, DATE, cluster >> 16, 0, DATE, cluster & 0xFFFF),
        size,
    )


def shown_name(entry: bytes) -> str:
    """The name in a short entry."""
    raw = bytes(entry[:11])
    if raw[0] == 0x05:  # stands for 0xE5, which would mean a deleted entry
        raw = b"\xe5" + raw[1:]
    base, extension = (raw[n:m].decode("cp437").rstrip(" ") for n, m in ((0, 8), (8, 11)))
    if entry[12] & LOWER_BASE:
        base = base.lower()
    if entry[12] & LOWER_EXT:
        extension = extension.lower()
    return f"{base}.{extension}" if extension else base


def long_part(entry: bytes) -> bytes:
    """The 13 UTF-16 signs in an entry of a long name."""
    return bytes(entry[1:11] + entry[14:26] + entry[28:32])


def long_name(parts: list[bytes]) -> str | None:
    """The name of its parts, first part first; None if it is not a name."""
    text = b"".join(parts)
    for n in range(0, len(text), 2):
        if text[n : n + 2] == b"\0\0":
            text = text[:n]
            break
    try:
        return text.decode("utf-16-le") or None
    except UnicodeDecodeError:
        return None
