# SPDX-License-Identifier: Apache-2.0
"""Sending a stretch of bytes to flash through a ROM loader or a public stub.

One block is under way at a time. Neither side numbers what it has written, so a block whose
answer was lost may or may not stand in flash: the work is then taken up again at the sector where
that is certain, never by sending the block twice.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esptool.device import ext
from esptool.device.recover import LOSSES, regain
from esptool.errors import (
    ChipResponseError,
    DamagedRequestError,
    FatalError,
    LineLossError,
    LinkTimeoutError,
    PortError,
    UnsupportedCommandError,
)
from esptool.image.content import Data, cut
from esptool.ops.healing import LOST
from esptool.ops.model import SECTOR
from esptool.ops.plan import AnyStretch, Stretch
from esptool.ops.report import Report, Stopwatch
from esptool.ops.window_write import LARGE_BLOCK, SMALL_BLOCK, WindowWriter, stub_stretch
from esptool.ops.write_pace import Pacing, WritePace
from esptool.protocol import status
from esptool.protocol.ext import Capability, hash_of
from esptool.protocol.packets import BITS_A_BYTE

if TYPE_CHECKING:
    from esptool.device import Session

#: A stub may still be writing the two blocks that it has acknowledged; a ROM answers when done.
_UNSURE_BLOCKS = 2


@dataclass(slots=True)
class Sent:
    """What went over the line for a stretch.

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

    def add(self, more: Sent) -> None:
        """Count what was sent behind it in."""
        self.payload += more.payload
        self.restarts += more.restarts
        self.damaged += more.damaged
        self.line_bytes += more.line_bytes
        self.deflated = self.deflated or more.deflated


def send_stretch(
    session: Session,
    stretch: AnyStretch,
    report: Report,
    retries: int,
    after_s: float = 0.0,
    *,
    pace: Pacing | None = None,
    end: int | None = None,
) -> Sent:
    """Erase the sectors of a stretch and write it.

    Args:
        retries: how often in a row it may fail without getting any further.
        after_s: how long what comes behind it will take, for the progress.
        pace: that of the whole, and `end` its end, where the stretch is a piece of something.

    Raises:
        FatalError: the chip refused, or did not answer any more; names the offset reached.
    """
    if isinstance(stretch, Stretch) and session.can(Capability.WRITE):
        stretch = stub_stretch(stretch)
    done = stalled = 0
    block = session.chosen_write_size() or LARGE_BLOCK
    pace = pace or WritePace.of(session, stretch, after_s)
    end = stretch.end if end is None else end
    sent = Sent(line_bytes=stretch.line_bytes, deflated=stretch.deflated)
    while True:
        sender = _sender(session, stretch, done, report, pace, block)
        try:
            whole = sender.run()
            sent.payload += sender.sent_bytes
            sent.damaged += sender.resends
            if whole:
                return sent
            done, block = sender.certain, SMALL_BLOCK
        except LOSSES as e:
            sent.payload += sender.sent_bytes
            stalled = 0 if sender.certain > done else stalled + 1
            done = sender.certain
            if stalled > retries or not _worth_retrying(e):
                raise _lost(stretch, done, end, e) from e
            sent.restarts += 1
            pace.stop()
            session.block_limit = min(session.block_limit, SMALL_BLOCK)
            report.note(
                f"Lost contact at {stretch.address + done:#010x} ({e.message}) Trying again..."
            )
            try:
                regain(session, e, lambda: report.note(LOST))
                done = _still_stands(session, stretch, done)
            except FatalError as silent:
                raise _lost(stretch, done, end, silent) from e


def _still_stands(session: Session, stretch: AnyStretch, done: int) -> int:
    """How much of what was written is in flash by its hashes, in whole sectors.

    A chip that lost its supply may have lost a sector with it, and what came back need not be
    what was there.
    """
    if not done or stretch.encrypted or not session.can(Capability.HASHES):
        return done
    head = stretch.address % SECTOR
    start, size = stretch.address - head, (head + done) // SECTOR * SECTOR
    kind = ext.hash_kind(session)
    for at, found in enumerate(ext.hashes(session, start, size, kind=kind)):
        low, high = at * SECTOR - head, (at + 1) * SECTOR - head
        wanted = b"\xff" * max(0, -low) + stretch.data[max(0, low) : high]
        if hash_of(kind, wanted) != found:
            return max(0, low)
    return done


def _sender(
    session: Session, stretch: AnyStretch, start: int, report: Report, pace: Pacing, block: int
) -> WindowWriter | BlockWriter:
    """The best way of sending that the other side has."""
    if isinstance(stretch, Stretch) and session.can(Capability.WRITE):
        return WindowWriter(session, stretch, start, report, pace, block)
    return BlockWriter(session, stretch, start, report, pace)


def _worth_retrying(e: FatalError) -> bool:
    """A refusal of the flash itself (protected, worn out) comes again; a bad line does not."""
    if isinstance(e, LineLossError) or not isinstance(e, ChipResponseError):
        return True
    return e.code in status.TRANSFER_BROKEN or e.code in status.DOUBTFUL


def _lost(stretch: AnyStretch, done: int, end: int, e: FatalError) -> FatalError:
    """The failure with what is and what is not in flash."""
    where = stretch.address + done
    text = (
        f"Writing stopped at {where:#010x}: {e.message} "
        f"Flash from {where:#010x} to {end:#010x} is not written, or only in part."
    )
    return type(e)(text) if type(e) in (LinkTimeoutError, PortError) else FatalError(text)


class BlockWriter:
    """Writes a stretch from `start` on, a block at a time.

    Attributes:
        certain: offset in the stretch below which all stands in flash.
        sent_bytes: payload that was acknowledged.
        resends: blocks that were sent again because they arrived damaged.
    """

    def __init__(
        self, session: Session, stretch: AnyStretch, start: int, report: Report, pace: Pacing
    ) -> None:
        self.session = session
        self.report = report
        self.pace = pace
        self.stretch = stretch
        self.sent_bytes = 0
        self.resends = 0
        self.start = start
        self.certain = start
        self.block = session.flash_write_size
        self._ends: list[int] = []

    def run(self) -> bool:
        """Erase and write; returns True when the last block was acknowledged."""
        stretch = self.stretch
        data = cut(stretch.data, self.start)
        packed = stretch.packed_from(self.start)
        if packed is not None:
            self._deflated(len(data), packed)
        else:
            self._plain(data)
        return True

    def _plain(self, data: Data) -> None:
        session, stretch = self.session, self.stretch
        address = stretch.address + self.start
        watch = Stopwatch(session)
        count = session.flash_begin(len(data), address, stretch.encrypted)
        self._begun(watch, len(data))
        for seq in range(count):
            piece = data[seq * self.block : (seq + 1) * self.block]
            reached = self.start + seq * self.block + len(piece)
            self._tell(reached, reached, len(stretch.data), seq * self.block, len(data))
            padded = piece + b"\xff" * (self.block - len(piece))
            self._block(padded, seq, deflated=False, produced=len(padded))
            self.sent_bytes += len(piece)
            self._acknowledged(seq * self.block + len(piece))
        if session.is_stub:
            session.flash_finish()

    def _deflated(self, size: int, packed: bytes) -> None:
        session, address = self.session, self.stretch.address + self.start
        watch = Stopwatch(session)
        count = session.flash_defl_begin(size, len(packed), address, self.stretch.encrypted)
        self._begun(watch, len(packed))
        inflater = zlib.decompressobj()
        produced = 0
        for seq in range(count):
            piece = packed[seq * self.block : (seq + 1) * self.block]
            output = len(inflater.decompress(piece))
            before, produced = produced, produced + output
            done_packed = seq * self.block + len(piece)
            self._tell(self.start + produced, done_packed, len(packed), before, len(packed))
            self._block(piece, seq, deflated=True, produced=output)
            self.sent_bytes += len(piece)
            self._acknowledged(produced)
        if session.is_stub:
            session.flash_defl_finish()

    def _tell(self, reached: int, done: int, total: int, written: int, stream: int) -> None:
        """A block is about to be sent, up to the offset `reached` in the stretch.

        Of the stream's bytes those before it have passed; `written` plain ones are in flash.
        """
        left = self.pace.left(self.start + written, self._line_s(stream - self.sent_bytes))
        self.report.step("Writing at", self.stretch.address + reached, done, total, left)

    def _block(self, data: bytes, seq: int, *, deflated: bool, produced: int) -> None:
        """Send one block; a stub may get it again where it says that it arrived damaged.

        A ROM counts a damaged block as well and takes no other of its number: what is left is
        begun anew.
        """
        session = self.session
        attempts = session.settings.write_block_attempts if session.is_stub else 1
        timeout = session.settings.scaled(
            session.settings.erase_write_timeout_per_mb, produced + SECTOR
        )
        send = session.flash_defl_block if deflated else session.flash_block
        for left in reversed(range(max(1, attempts))):
            try:
                send(data, seq, timeout)
                return
            except DamagedRequestError:
                if not left:
                    raise
            except UnsupportedCommandError:
                if not left:
                    raise
            self.resends += 1

    def _acknowledged(self, produced: int) -> None:
        self._ends.append(self.start + produced)
        unsure = _UNSURE_BLOCKS if self.session.is_stub else 0
        if len(self._ends) > unsure:
            # A sector that is begun anew is erased, so only whole ones before it count.
            end = self.stretch.address + self._ends[-1 - unsure]
            self.certain = max(self.start, end - end % SECTOR - self.stretch.address)

    def _line_s(self, num_bytes: int) -> float:
        return num_bytes * BITS_A_BYTE / self.session.link.baud

    def _begun(self, watch: Stopwatch, stream: int) -> None:
        self.pace.begin_at(self.start, self._line_s(stream))
        if not self.session.is_stub:
            self.report.line(f"Took {watch.seconds:.2f}s to erase flash block.")
