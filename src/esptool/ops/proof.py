# SPDX-License-Identifier: Apache-2.0
"""Looking at flash without the loader's help, where its own word is missing or doubtful.

A read command on the flash bus, made through the controller's registers, works with every ROM. It
is slow, so only a few bytes are looked at.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esptool.chips.nor import BAD_IDS
from esptool.errors import NotSupportedError
from esptool.image.content import Data, cut, md5
from esptool.transfer.receive import flash_md5

if TYPE_CHECKING:
    from esptool.device import Session
    from esptool.transfer.recovery import Recovery

READ = 0x03
WORD = 4
#: Bytes that are read on the bus to judge a hash.
CHUNK = 64
#: Words that are compared where there is no hash.
SAMPLES = 16


@dataclass(frozen=True, slots=True)
class Sampled:
    """What a look at some words gave.

    Attributes:
        equal: how many are in flash as they should be.
        wrong: the first address where another one is, None where all are equal.
    """

    equal: int
    wrong: int | None

    @property
    def readable(self) -> bool:
        """The flash can be read on the bus: where no word is right, it probably cannot."""
        return self.equal > 0


def read_on_bus(session: Session, address: int, size: int) -> bytes:
    """A few bytes of flash below 16 MB, read by commands on the flash bus.

    Raises:
        NotSupportedError: nothing drives the bus.
    """
    found = bytearray()
    while len(found) < size:
        bits = 8 * min(WORD, size - len(found))
        word = session.bus.command(READ, b"", bits, address + len(found), 24)
        found += word.to_bytes(WORD, "little")[: bits // 8]
    return bytes(found)


def hash_is_wrong(session: Session, address: int, content: Data, recovery: Recovery) -> int | None:
    """Where the loader's hash says that flash is not `content`, though it is.

    The first `CHUNK` bytes that it calls different are read on the bus. None where they differ
    indeed, and where nothing answers on the bus. Only for a range with another hash.
    """
    if session.flash.id() in BAD_IDS:
        return None
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
    with contextlib.suppress(NotSupportedError):
        if read_on_bus(session, address + low, len(wanted_bytes)) == wanted_bytes:
            return address + low
    return None


def first_difference(session: Session, address: int, content: Data) -> Sampled:
    """Compare `SAMPLES` words of `content`, its last one among them, with flash."""
    count = len(content) // WORD
    step = max(1, count // SAMPLES)
    places: list[int] = sorted({*range(0, count, step), count - 1}) if count else []
    equal, wrong = 0, None
    for number in places:
        at = number * WORD
        try:
            found = read_on_bus(session, address + at, WORD)
        except NotSupportedError:
            return Sampled(0, address)
        if found == bytes(cut(content, at, at + WORD)):
            equal += 1
        elif wrong is None:
            wrong = address + at
    return Sampled(equal, wrong)
