# SPDX-License-Identifier: Apache-2.0
"""ESP-IDF's wear levelling below a FAT file system: which sector of flash holds which of the disk.

Facts from the public sources of ESP-IDF (`components/wear_levelling`, `wl_fatfsgen.py`). A
partition is: sectors of data with one dummy sector among them, two copies of the state, and one
sector with the configuration. The dummy sector wanders through the others; each step appends a
record of 16 bytes to both states, and after a whole round `move_count` in their heads goes up.
"""

from __future__ import annotations

import struct
import zlib
from typing import overload

from esptool.errors import UsageError
from esptool.records import dataclass
from esptool.storage.changes import SECTOR
from esptool.storage.fs.blocks import Bytes, Image, MutableBytes
from esptool.storage.fs.model import DamagedError

_HEAD = struct.Struct("<8I28sI")  # state: eight words, reserved, CRC of what is before it
_RECORD = 16
_VERSION = 2
_UPDATE_RATE = 16
_TEMP_BUFFER = 32
_ALL_ONES = 0xFFFFFFFF
#: The mark of a write that was cut off in the 'safe' mode of sectors of 512 bytes.
_RESTORE = 0x12345678


def _crc(data: bytes) -> int:
    return zlib.crc32(data, _ALL_ONES)


def _state_sectors(size: int) -> int:
    return -(-(_HEAD.size + size // SECTOR * _RECORD) // SECTOR)


def disk_sectors(size: int) -> int:
    """Sectors of 4096 bytes that a partition of `size` bytes leaves to the file system.

    Raises:
        UsageError: it is too small, or no multiple of a sector.
    """
    count = size // SECTOR - 2 * _state_sectors(size) - 2
    if size % SECTOR or count < 1:
        raise UsageError(
            f"{size:#x} bytes are not a valid size for wear levelling: it needs whole sectors of "
            "4096 bytes, and four of them for itself."
        )
    return count


@dataclass(frozen=True, slots=True)
class Wear:
    """The state of the wear levelling of a partition.

    Attributes:
        size: of the partition, in bytes.
        position: where the dummy sector is.
        moves: how often it has gone all the way round, modulo the number of sectors.
        device: the random number that marks the records.
    """

    size: int
    position: int
    moves: int
    device: int

    @property
    def sectors(self) -> int:
        """Sectors of the disk that the layer shows."""
        return disk_sectors(self.size)

    def flash_sector(self, sector: int) -> int:
        """Which sector of the partition holds a sector of the disk."""
        place = (self.sectors - self.moves + sector) % self.sectors
        return place if place < self.position else place + 1


class Disk:
    """What wear levelling shows of an image: the same bytes in another order.

    As an `Image`: slices, changes of slices, a length.
    """

    def __init__(self, image: Image, wear: Wear) -> None:
        self._image = image
        self._wear = wear

    def __len__(self) -> int:
        return self._wear.sectors * SECTOR

    @overload
    def __getitem__(self, place: int) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> bytes: ...
    def __getitem__(self, place: int | slice) -> int | bytes:
        if isinstance(place, int):
            return self[place : place + 1][0]
        start, stop, _ = place.indices(len(self))
        found = []
        while start < stop:
            number, at = divmod(start, SECTOR)
            count = min(SECTOR - at, stop - start)
            base = self._wear.flash_sector(number) * SECTOR + at
            found.append(self._image[base : base + count])
            start += count
        return b"".join(found)

    def __setitem__(self, place: slice, value: bytes) -> None:
        start, stop, _ = place.indices(len(self))
        if stop - start != len(value):
            raise ValueError("a disk keeps its size")
        done = 0
        while done < len(value):
            number, at = divmod(start + done, SECTOR)
            count = min(SECTOR - at, len(value) - done)
            base = self._wear.flash_sector(number) * SECTOR + at
            self._image[base : base + count] = value[done : done + count]
            done += count


def find_wear(data: Bytes) -> Wear | None:
    """The state of the wear levelling, or None if neither copy of it is whole.

    Raises:
        DamagedError: the state is whole, but is none of this partition.
    """
    size = len(data)
    if size % SECTOR or size < 5 * SECTOR:
        return None
    length = _state_sectors(size) * SECTOR
    for at in (size - SECTOR - 2 * length, size - SECTOR - length):
        head = data[at : at + _HEAD.size] if at > 0 else b""
        if len(head) == _HEAD.size and _crc(head[:-4]) == int.from_bytes(head[-4:], "little"):
            return _of_state(data[at : at + length], size)
    return None


def _of_state(state: bytes, size: int) -> Wear:
    _, last, moves, _, _, block, version, device, _, _ = _HEAD.unpack_from(state)
    sectors = disk_sectors(size)
    if version != _VERSION or block != SECTOR:
        raise DamagedError(f"Wear levelling of version {version} is not known.")
    if last != sectors + 1 or moves > sectors:
        raise DamagedError(
            f"The wear levelling is that of another partition: it counts {last} sectors, and "
            f"{size:#x} bytes have {sectors + 1}.",
            remedy="Give the whole partition, with the size that the table says.",
        )
    position = 0
    while position < last - 1:
        at = _HEAD.size + position * _RECORD
        if state[at : at + _RECORD] != _record(device, position):
            break
        position += 1
    return Wear(size, position, moves, device)


def _record(device: int, number: int) -> bytes:
    """What is appended to the state when the dummy sector leaves place `number`."""
    words = ((device + number * 4 + n) & _ALL_ONES for n in range(4))
    return b"".join(struct.pack("<I", _crc(struct.pack("<I", word))) for word in words)


def new_partition(disk: bytes, size: int, device: int) -> bytes:
    """A partition around a disk that was never written to, as ESP-IDF's generator makes it.

    Raises:
        UsageError: the partition cannot have this size.
    """
    sectors = disk_sectors(size)
    disk = disk.ljust(sectors * SECTOR, b"\xff")
    head = struct.pack(
        "<8I28x", 0, sectors + 1, 0, 0, _UPDATE_RATE, SECTOR, _VERSION, device & _ALL_ONES
    )
    state = (head + struct.pack("<I", _crc(head))).ljust(_state_sectors(size) * SECTOR, b"\xff")
    config = struct.pack(
        "<8I", 0, size, SECTOR, SECTOR, _UPDATE_RATE, _RECORD, _VERSION, _TEMP_BUFFER
    )
    config = (config + struct.pack("<I12x", _crc(config))).ljust(SECTOR, b"\xff")
    return b"\xff" * SECTOR + disk + 2 * state + config


def finish_write(disk: MutableBytes, used: int) -> None:
    """Finish a write that was cut off in 'safe' mode, as the chip does when it mounts.

    The two sectors behind the file system (its `used` bytes) hold what the write was about: a
    mark with the sector and the part of it that was written, and a copy of the rest.
    """
    mark, copy = len(disk) - 2 * SECTOR, len(disk) - SECTOR
    if used > mark:
        return
    sign, sector, first, count = struct.unpack("<4I", disk[mark : mark + 16])
    if sign != _RESTORE or sector * SECTOR >= mark:
        return
    for part in range(8):
        if not first <= part < first + count:
            here = sector * SECTOR + part * 512
            disk[here : here + 512] = disk[copy + part * 512 : copy + (part + 1) * 512]
    disk[mark : mark + SECTOR] = b"\xff" * SECTOR
