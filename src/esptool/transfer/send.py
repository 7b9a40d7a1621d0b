# SPDX-License-Identifier: Apache-2.0
"""Sending segments to flash: erased, written, and begun anew where the chip or the line was lost.

What is too large to be held in memory goes in chunks, each a write of its own. While one chunk is
on its way the next is read and deflated, so two are in memory at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from esptool.chips.nor import SECTOR
from esptool.device import ext
from esptool.device.requests import LOSSES
from esptool.errors import FatalError, LinkTimeoutError, PortError
from esptool.protocol.ext import Capability, hash_of
from esptool.protocol.packets import BITS_A_BYTE
from esptool.protocol.windows.write import LARGE_BLOCK, SMALL_BLOCK
from esptool.transfer.blocks import BlockWrite
from esptool.transfer.pace import Pacing, WritePace
from esptool.transfer.recovery import Recovery
from esptool.transfer.report import Report
from esptool.transfer.segments import (
    AnySegment,
    LargeSegment,
    Segment,
    begin_deflating,
    forget_deflated,
)
from esptool.transfer.windowed import WindowedWrite

if TYPE_CHECKING:
    from esptool.device import Session


@dataclass(slots=True)
class Sent:
    """What went over the line for a segment.

    Attributes:
        payload: bytes, repetitions included.
        restarts: how often the work was taken up again.
        damaged: blocks that the chip said arrived damaged.
        line_bytes: bytes that had to go over the line, once.
        deflated: they, or some of them, were deflated.
    """

    payload: int = 0
    restarts: int = 0
    damaged: int = 0
    line_bytes: int = 0
    deflated: bool = False

    @property
    def harmed(self) -> bool:
        """The line damaged or lost some of it on the way."""
        return self.restarts + self.damaged > 0

    def add(self, more: Sent) -> None:
        """Count what was sent behind it in."""
        self.payload += more.payload
        self.restarts += more.restarts
        self.damaged += more.damaged
        self.line_bytes += more.line_bytes
        self.deflated = self.deflated or more.deflated


def send(
    session: Session,
    segment: AnySegment,
    report: Report,
    recovery: Recovery,
    after_s: float = 0.0,
) -> Sent:
    """Erase the sectors of a segment and write it.

    Args:
        recovery: how often in a row it may fail without getting any further.
        after_s: how long what comes behind it will take, for the progress.

    Raises:
        FatalError: the chip refused, or did not answer any more; names the offset reached.
        ImageError: the file changed meanwhile.
    """
    numbered = session.can(Capability.WRITE)
    if numbered:
        segment = segment.for_stub()
    pace = WritePace.of(session, segment, after_s)
    if isinstance(segment, Segment) or not (numbered or segment.pack):
        # Blocks that go out as they are can be read one by one.
        return _send_one(session, segment, report, recovery, pace, segment.end)
    whole = Sent()
    upcoming = segment.chunks()
    chunk = next(upcoming, None)
    place = _Place(session, segment, report, pace)
    while chunk is not None:
        following = next(upcoming, None)
        if following is not None and following.pack:
            begin_deflating(following.data)
        place.enter(chunk)
        whole.add(_send_one(session, chunk, place, recovery, place, segment.end))
        forget_deflated(chunk.data)
        chunk = following
    return whole


def _send_one(
    session: Session,
    segment: AnySegment,
    report: Report,
    recovery: Recovery,
    pace: Pacing,
    end: int,
) -> Sent:
    """Write a segment; `end` is that of the whole that it is a chunk of."""
    done, block = 0, session.flash.chosen_write_size() or LARGE_BLOCK
    sent = Sent(line_bytes=segment.line_bytes, deflated=segment.deflated)
    while True:
        write: WindowedWrite | BlockWrite
        if isinstance(segment, Segment) and session.can(Capability.WRITE):
            write = WindowedWrite(session, segment, done, report, pace, block)
        else:
            write = BlockWrite(session, segment, done, report, pace)
        failure: FatalError | None = None
        try:
            whole = write.run()
        except LOSSES as e:
            failure, whole = e, False
        sent.payload += write.sent_bytes
        sent.damaged += 0 if failure else write.resends
        if whole:
            recovery.advanced()
            return sent
        if write.certain > done:
            recovery.advanced()
        done = write.certain
        if failure is None:
            if not session.go_slower():
                block = SMALL_BLOCK
            continue
        sent.restarts += 1
        pace.stop()
        recovery.smaller_blocks()
        try:
            where = f"at {segment.address + done:#010x}"
            recovery.after(failure, where, took_some=write.sent_bytes > 0)
            done = recovery.persist("verifying", partial(_still_good, session, segment, done))
        except FatalError as e:
            raise _stopped(segment, done, end, e) from failure


def _still_good(session: Session, segment: AnySegment, done: int) -> int:
    """How much of what was written is in flash by its hashes, in whole sectors.

    A chip that lost its supply may have lost a sector with it, and what came back need not be
    what was there.
    """
    if not done or segment.encrypted or not session.can(Capability.HASHES):
        return done
    head = segment.address % SECTOR
    start, size = segment.address - head, (head + done) // SECTOR * SECTOR
    kind = ext.hash_kind(session)
    for at, found in enumerate(ext.hashes(session, start, size, kind=kind)):
        low, high = at * SECTOR - head, (at + 1) * SECTOR - head
        wanted = b"\xff" * max(0, -low) + segment.data[max(0, low) : high]
        if hash_of(kind, wanted) != found:
            return max(0, low)
    return done


def _stopped(segment: AnySegment, done: int, end: int, e: FatalError) -> FatalError:
    """The failure with what is and what is not in flash."""
    where = segment.address + done
    text = (
        f"Writing stopped at {where:#010x}: {e.message} "
        f"Flash from {where:#010x} to {end:#010x} is not written, or only in part."
    )
    kind = type(e) if type(e) in (LinkTimeoutError, PortError) else FatalError
    operands = {**e.operands, "address": where, "size": end - where}
    return kind(text, remedy=e.remedy, code=e.error_code, operands=operands)


class _Place(Report):
    """Where in the whole a chunk stands: its progress and its pace in terms of the whole."""

    def __init__(
        self, session: Session, segment: LargeSegment, report: Report, pace: WritePace
    ) -> None:
        super().__init__(session, report.listener)
        self._whole = segment
        self._of_whole = pace
        self._byte_s = BITS_A_BYTE / session.link.baud
        self._before = 0
        self._size = 0
        self._line_bytes = 0
        self._rest_s: float | None = None

    def enter(self, chunk: Segment) -> None:
        """The next chunk begins."""
        self._before = chunk.address - self._whole.address
        self._size = len(chunk.data)
        self._line_bytes += chunk.line_bytes
        used = self._of_whole.used
        pages = used[min(len(used) - 1, -(-(self._before + self._size) // SECTOR))]
        # What is to come packs as what was packed so far.
        line_bytes = (used[-1] - pages) * self._line_bytes / max(1, pages)
        rest_s = line_bytes * self._byte_s
        if self._rest_s is not None:
            self._of_whole.revise(chunk.line_bytes * self._byte_s + rest_s - self._rest_s)
        self._rest_s = rest_s

    def step(
        self,
        action: str,
        address: int | None,
        done: int,
        total: int,
        seconds_left: float | None,
    ) -> None:
        """A step in the chunk, told as one in the plain bytes of the whole."""
        reached = self._before + (self._size * done // total if total else self._size)
        super().step(action, address, reached, len(self._whole.data), seconds_left)

    # --- the pace of the whole -------------------------------------------------------------------

    def begin_at(self, done: int, line_left_s: float) -> None:
        """See `WritePace`."""
        self._of_whole.begin_at(self._before + done, line_left_s + (self._rest_s or 0.0))

    def left(self, done: int, line_left_s: float) -> float | None:
        """See `WritePace`."""
        return self._of_whole.left(self._before + done, line_left_s + (self._rest_s or 0.0))

    def stop(self) -> None:
        """See `WritePace`."""
        self._of_whole.stop()
