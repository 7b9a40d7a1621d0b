# SPDX-License-Identifier: Apache-2.0
"""Finding out which sectors of a stretch are in flash already, by hashes made on the chip."""

from __future__ import annotations

import hashlib
import zlib
from typing import TYPE_CHECKING

from esptool.device import ext
from esptool.errors import FatalError
from esptool.ops.model import SECTOR
from esptool.ops.plan import Stretch, flash_seconds, padded
from esptool.protocol.ext import Capability, Ext, HashKind, seal, unseal
from esptool.protocol.packets import BITS_A_BYTE, words

if TYPE_CHECKING:
    from esptool.device import Session

#: Up to so many sectors all are hashed at once; with more, a few first.
FEW = 16
#: Sectors hashed at the beginning, the middle and the end; unlike, so that answers tell apart.
SAMPLES = (6, 5, 4)
#: Equal sectors between two changed ones that are sent along, since a new write costs more.
BRIDGE = 2
#: What each write costs besides: beginning, ending, waiting for the last page.
SECONDS_A_WRITE = 0.02


def aligned(stretch: Stretch) -> Stretch:
    """The stretch in whole sectors: what a write leaves erased around it is 0xFF."""
    head = stretch.address % SECTOR
    data = padded(b"\xff" * head + stretch.data, SECTOR)
    return Stretch(stretch.address - head, data, stretch.encrypted, stretch.pack)


def possible(session: Session) -> bool:
    """The running stub can hash sectors and write."""
    return session.can(Capability.HASHES | Capability.WRITE)


def changed(session: Session, whole: Stretch) -> list[Stretch] | None:
    """The parts of an aligned stretch that must be sent; None when asking on does not pay.

    An empty list means that all of it is in flash.
    """
    wanted = [
        zlib.crc32(memoryview(whole.data)[at : at + SECTOR])
        for at in range(0, len(whole.data), SECTOR)
    ]
    count = len(wanted)
    if count > FEW and not _any_equal(session, whole.address, wanted):
        return None
    found = ext.hashes(session, whole.address, count * SECTOR)
    differs = [
        int.from_bytes(have, "little") != want for have, want in zip(found, wanted, strict=True)
    ]
    runs = _runs(differs)
    parts = [
        Stretch(
            whole.address + start * SECTOR,
            whole.data[start * SECTOR : end * SECTOR],
            whole.encrypted,
            whole.pack,
        )
        for start, end in runs
    ]
    if sum(len(part.data) for part in parts) == len(whole.data):
        return None
    baud = session.link.baud
    if count > FEW and sum(_seconds(p, baud) for p in parts) > _seconds(whole, baud):
        # Many small erases take longer than few large ones.
        return None
    return parts


def _seconds(stretch: Stretch, baud: int) -> float:
    """About how long it takes to send a stretch and to bring it into flash."""
    line = stretch.line_bytes * BITS_A_BYTE / baud
    return max(line, flash_seconds(stretch)) + SECONDS_A_WRITE


def sector_digests(data: bytes) -> list[bytes]:
    """The first 8 bytes of the MD5 of each sector."""
    view = memoryview(data)
    return [hashlib.md5(view[at : at + SECTOR]).digest()[:8] for at in range(0, len(data), SECTOR)]


def stands(session: Session, part: Stretch) -> bool:
    """Whole sectors are in flash as they should be, by hashes made on the chip."""
    found = ext.hashes(session, part.address, len(part.data), kind=HashKind.MD5_8)
    return found == sector_digests(part.data)


def _runs(differs: list[bool]) -> list[tuple[int, int]]:
    """Ranges of sectors to send, small gaps between them included."""
    runs: list[tuple[int, int]] = []
    for at, different in enumerate(differs):
        if not different:
            continue
        if runs and at - runs[-1][1] <= BRIDGE:
            runs[-1] = (runs[-1][0], at + 1)
        else:
            runs.append((at, at + 1))
    return runs


def _any_equal(session: Session, address: int, wanted: list[int]) -> bool:
    """One of a few sampled sectors is as wanted. The questions go out together."""
    count = len(wanted)
    places = (0, (count - SAMPLES[1]) // 2, count - SAMPLES[2])
    asked = dict(zip(SAMPLES, places, strict=True))
    for size, place in asked.items():
        fields = words(address + place * SECTOR, size * SECTOR, SECTOR, HashKind.CRC32)
        session.link.send_request(Ext.HASHES, seal(Ext.HASHES, fields))
    equal = False
    for _ in SAMPLES:
        try:
            response = session.link.read_response(Ext.HASHES, session.settings.timeout)
        except FatalError:
            # Not worth asking again: hashing everything is the safe answer.
            session.link.discard_input()
            return True
        answer = unseal(response)
        if answer is None or answer.status or answer.value not in asked:
            equal = True
            continue
        place = asked[answer.value]
        have = [
            int.from_bytes(answer.fields[at : at + 4], "little")
            for at in range(0, 4 * answer.value, 4)
        ]
        wants = wanted[place : place + answer.value]
        equal = equal or any(a == b for a, b in zip(have, wants, strict=False))
    return equal
