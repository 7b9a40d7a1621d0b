# SPDX-License-Identifier: Apache-2.0
"""Looking at flash without the loader's help, where its own word is missing or doubtful.

A read command on the flash bus, made through the controller's registers, works with every ROM. It
is slow, so only a few bytes are looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from esptool.image.content import Data, cut, md5
from esptool.transfer.hashes import flash_md5

if TYPE_CHECKING:
    from esptool.device import Session
    from esptool.transfer.recovery import Recovery

READ = 0x03
WORD = 4
#: Bytes that are read on the bus to judge a hash.
CHUNK = 64
#: Words that are compared where there is no hash.
SAMPLES = 16


def read_on_bus(session: Session, address: int, size: int) -> bytes:
    """A few bytes of flash below 16 MB, read by commands on the flash bus."""
    found = bytearray()
    while len(found) < size:
        bits = 8 * min(WORD, size - len(found))
        word = session.bus.command(READ, b"", bits, address + len(found), 24)
        found += word.to_bytes(WORD, "little")[: bits // 8]
    return bytes(found)


def hash_is_wrong(session: Session, address: int, content: Data, recovery: Recovery) -> int | None:
    """Where the loader's hash says that flash is not `content`, though it is.

    The first `CHUNK` bytes that it calls different are read on the bus. None where they differ
    indeed. Only for a range whose hash was found to be another one.
    """
    low, high = 0, len(content)
    while high - low > CHUNK:
        middle = low + (high - low) // 2 // CHUNK * CHUNK
        middle = middle if middle > low else low + CHUNK
        part = cut(content, low, middle)
        wanted = md5(part)
        if flash_md5(session, address + low, len(part), recovery, wanted) != wanted:
            high = middle
        else:
            low = middle
    wanted_bytes = bytes(cut(content, low, high))
    same = read_on_bus(session, address + low, len(wanted_bytes)) == wanted_bytes
    return address + low if same else None


def first_difference(session: Session, address: int, content: Data) -> int | None:
    """Compare `SAMPLES` words of `content`, its last one among them; the first that differs."""
    count = len(content) // WORD
    step = max(1, count // SAMPLES)
    places: list[int] = sorted({*range(0, count, step), count - 1}) if count else []
    for number in places:
        at = number * WORD
        if read_on_bus(session, address + at, WORD) != bytes(cut(content, at, at + WORD)):
            return address + at
    return None
