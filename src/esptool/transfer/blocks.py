# SPDX-License-Identifier: Apache-2.0
"""Writing through a ROM loader or a public stub: one block is under way at a time.

Neither side numbers what it has written, so a block whose answer was lost may or may not stand in
flash: the work is then taken up again at the sector where that is certain, never by sending the
block twice.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from esptool.chips.nor import SECTOR
from esptool.errors import DamagedRequestError, UnsupportedCommandError
from esptool.image.content import Data, cut
from esptool.protocol.packets import BITS_A_BYTE
from esptool.transfer.pace import Pacing
from esptool.transfer.report import Report, Stopwatch
from esptool.transfer.segments import AnySegment

if TYPE_CHECKING:
    from esptool.device import Session

#: A stub may still be writing the two blocks that it has acknowledged; a ROM answers when done.
_UNSURE_BLOCKS = 2


class BlockWrite:
    """Writes a segment from `start` on, a block at a time.

    Attributes:
        certain: offset in the segment below which all stands in flash.
        sent_bytes: payload that was acknowledged.
        resends: blocks that were sent again because they arrived damaged.
    """

    def __init__(
        self, session: Session, segment: AnySegment, start: int, report: Report, pace: Pacing
    ) -> None:
        self.session = session
        self.report = report
        self.pace = pace
        self.segment = segment
        self.sent_bytes = 0
        self.resends = 0
        self.start = start
        self.certain = start
        self.block = session.flash.write_size
        self._ends: list[int] = []

    def run(self) -> bool:
        """Erase and write; returns True when the last block was acknowledged."""
        segment = self.segment
        data = cut(segment.data, self.start)
        packed = segment.packed_from(self.start)
        if packed is not None:
            self._deflated(len(data), packed)
        else:
            self._plain(data)
        return True

    def _plain(self, data: Data) -> None:
        session, segment = self.session, self.segment
        address = segment.address + self.start
        watch = Stopwatch(session)
        count = session.flash.begin(len(data), address, segment.encrypted)
        self._begun(watch, len(data))
        for seq in range(count):
            part = data[seq * self.block : (seq + 1) * self.block]
            reached = self.start + seq * self.block + len(part)
            self._tell(reached, reached, len(segment.data), seq * self.block, len(data))
            padded = part + b"\xff" * (self.block - len(part))
            self._block(padded, seq, deflated=False, produced=len(padded))
            self.sent_bytes += len(part)
            self._acknowledged(seq * self.block + len(part))
        if session.is_stub:
            session.flash.finish()

    def _deflated(self, size: int, packed: bytes) -> None:
        session, address = self.session, self.segment.address + self.start
        watch = Stopwatch(session)
        count = session.flash.begin_deflated(size, len(packed), address, self.segment.encrypted)
        self._begun(watch, len(packed))
        inflater = zlib.decompressobj()
        produced = 0
        for seq in range(count):
            part = packed[seq * self.block : (seq + 1) * self.block]
            output = len(inflater.decompress(part))
            before, produced = produced, produced + output
            done_packed = seq * self.block + len(part)
            self._tell(self.start + produced, done_packed, len(packed), before, len(packed))
            self._block(part, seq, deflated=True, produced=output)
            self.sent_bytes += len(part)
            self._acknowledged(produced)
        if session.is_stub:
            session.flash.finish_deflated()

    def _tell(self, reached: int, done: int, total: int, written: int, stream: int) -> None:
        """A block is about to be sent, up to the offset `reached` in the segment.

        Of the stream's bytes those before it have passed; `written` plain ones are in flash.
        """
        left = self.pace.left(self.start + written, self._line_s(stream - self.sent_bytes))
        self.report.step("Writing at", self.segment.address + reached, done, total, left)

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
        send = session.flash.deflated_block if deflated else session.flash.block
        budget = session.tries.left
        for left in reversed(range(max(1, attempts))):
            try:
                send(data, seq, timeout)
                session.tries.got_through(budget)
                return
            except (DamagedRequestError, UnsupportedCommandError):
                # What a stub does not know arrived damaged, too.
                if not left or not session.tries.resend():
                    raise
            self.resends += 1

    def _acknowledged(self, produced: int) -> None:
        self._ends.append(self.start + produced)
        unsure = _UNSURE_BLOCKS if self.session.is_stub else 0
        if len(self._ends) > unsure:
            # A sector that is begun anew is erased, so only whole ones before it count.
            end = self.segment.address + self._ends[-1 - unsure]
            self.certain = max(self.start, end - end % SECTOR - self.segment.address)

    def _line_s(self, num_bytes: int) -> float:
        return num_bytes * BITS_A_BYTE / self.session.link.baud

    def _begun(self, watch: Stopwatch, stream: int) -> None:
        self.pace.begin_at(self.start, self._line_s(stream))
        if not self.session.is_stub:
            self.report.line(f"Took {watch.seconds:.2f}s to erase flash block.")
