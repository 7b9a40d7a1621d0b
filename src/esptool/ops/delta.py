# SPDX-License-Identifier: Apache-2.0
"""Finding out which sectors of a segment are in flash already, by hashes made on the chip."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from esptool.chips.nor import SECTOR
from esptool.device import ext
from esptool.errors import FatalError
from esptool.protocol.ext import Capability, Ext, HashKind, hash_of, seal, unseal
from esptool.protocol.packets import BITS_A_BYTE, words
from esptool.transfer.flash_time import flash_seconds
from esptool.transfer.segments import Segment

if TYPE_CHECKING:
    from esptool.device import Session

#: Up to so many sectors all are hashed at once; with more, a few first.
FEW = 16
#: Sectors hashed first, and where they begin: at the start, the middle and the end. The numbers
#: are unlike, so that answers tell apart.
SAMPLES: dict[int, Callable[[int], int]] = {
    4: lambda _count: 0,
    3: lambda count: count // 2,
    2: lambda count: count - 2,
}
#: Equal sectors between two changed ones that are sent along, since a new write costs more.
BRIDGE = 2
#: What each write costs besides: beginning, ending, waiting for the last page.
SECONDS_A_WRITE = 0.02


def possible(session: Session) -> bool:
    """The running stub can hash sectors and write."""
    return session.can(Capability.HASHES | Capability.WRITE)


def changed(session: Session, whole: Segment) -> list[Segment] | None:
    """The parts of an aligned segment that must be sent; None when asking on does not pay.

    An empty list means that all of it is in flash.
    """
    kind = ext.hash_kind(session)
    wanted = sector_hashes(whole.data, kind)
    count = len(wanted)
    found = _samples(session, whole.address, count, kind) if count > FEW else {}
    if found and not any(wanted[at] == have for at, have in found.items()):
        return None
    have = _all_hashes(session, whole.address, count, kind, found)
    differs = [there != want for there, want in zip(have, wanted, strict=True)]
    runs = _runs(differs)
    parts = [
        Segment(
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


def _seconds(segment: Segment, baud: int) -> float:
    """About how long it takes to send a segment and to bring it into flash."""
    line = segment.line_bytes * BITS_A_BYTE / baud
    return max(line, flash_seconds(segment)) + SECONDS_A_WRITE


def sector_hashes(data: bytes, kind: HashKind) -> list[bytes]:
    """The hash of each sector of some whole ones."""
    view = memoryview(data)
    return [hash_of(kind, view[at : at + SECTOR]) for at in range(0, len(data), SECTOR)]


def stands(session: Session, part: Segment) -> bool:
    """Whole sectors are in flash as they should be, by hashes made on the chip."""
    kind = HashKind.MD5_8
    found = ext.hashes(session, part.address, len(part.data), kind=kind)
    return found == sector_hashes(part.data, kind)


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


def _samples(session: Session, address: int, count: int, kind: HashKind) -> dict[int, bytes]:
    """The hashes of a few sectors, by number; none where the line was bad.

    The questions go out together, and none is asked again: hashing everything is the safe answer.
    """
    asked = {size: place(count) for size, place in SAMPLES.items()}
    for size, first in asked.items():
        fields = words(address + first * SECTOR, size * SECTOR, SECTOR, kind)
        session.link.send_request(Ext.HASHES, seal(Ext.HASHES, fields))
    found: dict[int, bytes] = {}
    whole = True
    for _ in asked:
        try:
            response = session.link.read_response(Ext.HASHES, session.settings.timeout)
        except FatalError:
            session.link.discard_input()
            return {}
        answer = unseal(response)
        if answer is None or answer.status or answer.value not in asked:
            whole = False
            continue
        first = asked[answer.value]
        found.update(enumerate(ext.split_hashes(answer, kind), first))
    return found if whole else {}


def _all_hashes(
    session: Session, address: int, count: int, kind: HashKind, known: dict[int, bytes]
) -> list[bytes]:
    """The hashes of all sectors, of which some are known."""
    found = dict(known)
    at = 0
    while at < count:
        end = next((n for n in range(at, count) if n in known), count)
        if end > at:
            asked = ext.hashes(session, address + at * SECTOR, (end - at) * SECTOR, kind=kind)
            found.update(enumerate(asked, at))
        at = end
        while at in known:
            at += 1
    return [found[n] for n in range(count)]
