# SPDX-License-Identifier: Apache-2.0
"""Writing and reading through our stub: its windows, driven over the session's link."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from esptool.chips.nor import SECTOR
from esptool.device.recover import resync
from esptool.protocol.ext import Capability, WriteFlag
from esptool.protocol.packets import BITS_A_BYTE
from esptool.protocol.windows.read import Phase as ReadPhase
from esptool.protocol.windows.read import ReadOrder, ReadWindow
from esptool.protocol.windows.write import BLOCK_OVERHEAD, WriteOrder, WriteWindow
from esptool.protocol.windows.write import Phase as WritePhase

if TYPE_CHECKING:
    from esptool.device import Session
    from esptool.device.link import Link
    from esptool.protocol.windows import Window
    from esptool.transfer.pace import Pacing
    from esptool.transfer.report import Report
    from esptool.transfer.segments import Segment


def pump(link: Link, window: Window, heard: Callable[[], None]) -> None:
    """Send what is due and take in what comes until the window is over.

    `heard` is called after each frame that was taken in.

    Raises:
        LineLossError: the chip or the port is lost.
        ChipResponseError: the chip refused.
    """
    while True:
        for request in window.due(link.now()):
            link.send_request(request.opcode, request.data)
        if window.over:
            return
        link.await_frame(window.deadline())
        for frame in link.arrived():
            window.take(frame, link.now())
            heard()


Sink = Callable[[bytes], object]

#: A rate is too high at which so many frames of a read are damaged, and one of so many.
MANY_AGAIN, SHARE_AGAIN = 3, 8
#: A read that failed, and of which more frames were damaged than came, is begun anew with smaller
#: ones.
FRAMES_SHRINK, SMALLEST_FRAME = 4, 256
#: Bytes of packed data that must be escaped in frames.
ESCAPES = 2 / 256


class WindowedWrite:
    """One write of our stub, of a segment from `start` on."""

    def __init__(
        self,
        session: Session,
        segment: Segment,
        start: int,
        report: Report,
        pace: Pacing,
        block: int,
    ) -> None:
        info = session.ext
        assert info is not None
        self._session = session
        self._report = report
        self._pace = pace
        self._base = start
        self._total = segment.line_bytes
        plain = segment.data[start:]
        packed = segment.packed_from(start)
        flags = WriteFlag.ERASE
        if packed is not None:
            flags |= WriteFlag.DEFLATED
        if segment.encrypted:
            flags |= WriteFlag.ENCRYPTED
        self._order = WriteOrder(
            session=random.getrandbits(32) or 1,
            address=segment.address + start,
            size=len(plain),
            stream=plain if packed is None else packed,
            flags=flags,
            block=min(info.write_block, block),
            window=info.write_window,
            rate=session.link.baud / BITS_A_BYTE,
            round_trip_s=session.round_trip or 0.0,
        )
        self._window = WriteWindow(self._order)
        self._told = 0

    @property
    def sent_bytes(self) -> int:
        """Payload that went over the line, repetitions included."""
        return self._window.sent_bytes

    @property
    def resends(self) -> int:
        """How often blocks had to be sent again."""
        return self._window.resends

    @property
    def certain(self) -> int:
        """Offset in the segment below which all is in flash, at a sector's start."""
        done = self._window.done
        return max(self._base, self._base + done - (self._order.address + done) % SECTOR)

    def run(self) -> bool:
        """Write everything; returns when the stub says that it is in flash.

        False means that the line turned out bad: the rest goes better in small blocks, from
        `certain` on.

        Raises:
            ChipResponseError: flash or stream failed on the chip.
            LineLossError: the chip is lost.
        """
        self._pace.begin_at(self._base, self._line_s(len(self._order.stream)))
        pump(self._session.link, self._window, self._heard)
        if self._window.phase is not WritePhase.CLOSED:
            return False
        self._tell()
        return True

    def _heard(self) -> None:
        if self._window.done != self._told:
            self._tell()

    def _tell(self) -> None:
        order, done = self._order, self._window.done
        self._told = done
        share = done / order.size if order.size else 1.0
        sent = max(0, self._total - round((1 - share) * len(order.stream)))
        passed = len(order.stream) if done == order.size else self._window.accepted_bytes
        left = self._pace.left(self._base + done, self._line_s(len(order.stream) - passed))
        self._report.step("Writing at", order.address + done, sent, self._total, left)

    def _line_s(self, num_bytes: int) -> float:
        """What the line needs for so many bytes of the stream."""
        overhead = 1 + BLOCK_OVERHEAD / self._order.block + ESCAPES
        return num_bytes * overhead / self._order.rate


class WindowedRead:
    """One read of our stub into `sink`, in order.

    Attributes:
        done: bytes that were given to the sink.
        frame: bytes of a frame.
    """

    def __init__(
        self,
        session: Session,
        address: int,
        size: int,
        sink: Sink,
        progress: Callable[[int], None],
        largest_frame: int,
    ) -> None:
        """`progress` is told how many bytes have come."""
        info = session.ext
        assert info is not None
        self.done = 0
        self.frame = min(info.read_frame, largest_frame)
        self._worn = False
        self._session = session
        self._sink = sink
        self._progress = progress
        self._window = ReadWindow(
            ReadOrder(
                session=random.getrandbits(32) or 1,
                address=address,
                size=size,
                frame=self.frame,
                window=info.read_window,
                compress=session.can(Capability.COMPRESSED_READ),
                rate=session.link.baud / BITS_A_BYTE,
                longest_wait_s=session.settings.timeout,
            )
        )

    def run(self) -> bool:
        """Read all of it; False, with `done` bytes, where it goes better at a lower rate.

        Raises:
            ChipResponseError: the stub refused.
            LineLossError: the chip is lost.
        """
        session = self._session
        pump(session.link, self._window, self._heard)
        took = self._window.round_trip_s
        if took is not None:
            session.round_trip = min(took, session.round_trip or took)
        if self._window.phase is ReadPhase.UNHEARD:
            resync(session)
        return not self._worn

    @property
    def fitting_frame(self) -> int:
        """What frames are to hold after a failure: less where hardly any came whole."""
        window = self._window
        streaming = window.phase is ReadPhase.STREAMING
        if not streaming or (window.frames and window.asked_again <= window.frames):
            return self.frame
        return max(SMALLEST_FRAME, self.frame // FRAMES_SHRINK)

    def _heard(self) -> None:
        window = self._window
        again = window.asked_again
        if again >= MANY_AGAIN and again * SHARE_AGAIN > window.frames:
            self._worn = self._session.may_go_slower
            if self._worn:
                window.abandon()
        received = self._window.received()
        for data in received:
            self._sink(data)
            self.done += len(data)
        if received:
            self._progress(self.done)
