# SPDX-License-Identifier: Apache-2.0
"""Reading flash through our stub: a window of numbered frames, packed on the chip, any of which
can be asked for again. What arrives in order is handed on at once, so memory stays small.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from esptool.device.ext import request
from esptool.device.recover import regain, resync
from esptool.errors import FatalError, LineLossError, LinkTimeoutError
from esptool.ops.report import Report
from esptool.protocol.ext import Capability, Ext, read_frame, seal, unseal
from esptool.protocol.packets import BITS_A_BYTE, parse_response, words

if TYPE_CHECKING:
    from esptool.device import Session

#: Asked for at once; the stub numbers its frames anew for each.
PART = 0x1000000
SILENCE_S = 0.15
MAX_SILENCE_S = 2.0
MAX_QUESTIONS = 6
MAX_ASKED_AGAIN = 32

Sink = Callable[[bytes], object]


def read_range(
    session: Session, address: int, size: int, sink: Sink, report: Report, retries: int
) -> None:
    """Read a range of flash in order into `sink`.

    Raises:
        FatalError: the chip was lost for good; names the offset reached.
    """
    done = stalled = 0
    while done < size:
        part = min(PART, size - done)
        reader = WindowReader(session, address + done, part, sink, report, done, size)
        try:
            reader.run()
            done += part
            stalled = 0
        except LineLossError as e:
            stalled = 0 if reader.delivered else stalled + 1
            done += reader.delivered
            if done == size:
                return
            if stalled > retries:
                raise stopped(address + done, e) from e
            report.note(f"Lost contact at {address + done:#010x} ({e.message}) Trying again...")
            try:
                regain(session, e)
            except FatalError as silent:
                raise stopped(address + done, silent) from e


def stopped(where: int, e: FatalError) -> FatalError:
    """The failure with how far the read came."""
    return FatalError(f"Reading stopped at {where:#010x}: {e.message}")


class WindowReader:
    """One read session of our stub. `delivered` counts the bytes given to the sink."""

    def __init__(
        self,
        session: Session,
        address: int,
        size: int,
        sink: Sink,
        report: Report,
        before: int,
        total: int,
    ) -> None:
        info = session.ext
        assert info is not None
        self.session = session
        self.address = address
        self.size = size
        self.sink = sink
        self.report = report
        self.before = before
        self.total = total
        self.frame = info.read_frame
        self.window = info.read_window
        self.count = -(-size // self.frame)
        self.number = random.getrandbits(32) or 1
        self.compress = session.can(Capability.COMPRESSED_READ)
        self.delivered = 0
        self._next = 0
        self._highest = -1
        self._held: dict[int, bytes] = {}
        self._acked = 0
        self._asked: dict[int, float] = {}
        self._over = False
        self._round_trip = 0.01
        self._started = 0.0

    def run(self) -> None:
        """Read all frames.

        Raises:
            LinkTimeoutError: the chip is lost.
        """
        link = self.session.link
        start = link.now()
        self._begin()
        self._started = link.now()
        self._round_trip = max(0.002, self._started - start)
        questions = 0
        silence = base = SILENCE_S + 2 * self._round_trip + self._frame_s()
        while self._next < self.count:
            if self._listen(silence):
                questions, silence = 0, base
                continue
            questions += 1
            if questions > MAX_QUESTIONS:
                raise LinkTimeoutError("The stub does not answer any more.")
            self._ack([self._next])
            silence = min(MAX_SILENCE_S, silence * 1.5)
        self._finish()

    def _begin(self) -> None:
        fields = words(
            self.number, self.address, self.size, self.frame, self.window, int(self.compress)
        )
        request(
            self.session,
            f"begin to read at {self.address:#010x}",
            Ext.READ_BEGIN,
            fields,
            accept=lambda a: a.value == self.count,
        )

    def _finish(self) -> None:
        """Tell the stub that all has come; it says so too, then serves other requests."""
        for _ in range(MAX_QUESTIONS):
            self._ack([])
            deadline = self.session.link.now() + SILENCE_S + 2 * self._round_trip
            while not self._over and self.session.link.now() < deadline:
                self._listen(deadline - self.session.link.now())
            if self._over:
                return
        resync(self.session)

    # --- frames ----------------------------------------------------------------------------------

    def _listen(self, timeout_s: float) -> bool:
        heard = False
        for frame in self.session.link.frames_within(timeout_s):
            heard = self._take(frame) or heard
        return heard

    def _take(self, raw: bytes) -> bool:
        response = parse_response(raw)
        if response is None:
            return False
        answer = unseal(response)
        if answer is None or answer.status:
            return False
        if answer.opcode == Ext.READ_ACK:
            self._over = self._over or answer.value == self.count
            return False
        frame = read_frame(answer) if answer.opcode == Ext.READ_FRAME else None
        if frame is None or frame.session != self.number:
            return False
        expected = min(self.frame, self.size - frame.number * self.frame)
        if frame.number >= self.count or len(frame.data) != expected:
            return False
        if frame.number < self._next or frame.number in self._held:
            return True
        self._held[frame.number] = frame.data
        self._highest = max(self._highest, frame.number)
        self._deliver()
        self._react()
        return True

    def _deliver(self) -> None:
        before = self.delivered
        while (data := self._held.pop(self._next, None)) is not None:
            self._asked.pop(self._next, None)
            self.sink(data)
            self.delivered += len(data)
            self._next += 1
        if self.delivered != before:
            done = self.before + self.delivered
            self.report.progress("Reading from", self.address + self.delivered, done, self.total)

    def _react(self) -> None:
        """Acknowledge in good time, and ask again for what was passed over."""
        now = self.session.link.now()
        frame_s = (now - self._started) / max(1, self._highest)
        patience = 2 * self._round_trip + 1.5 * frame_s * self.window
        missing: list[int] = []
        for number in range(self._next, self._highest):
            if len(missing) == MAX_ASKED_AGAIN:
                break
            if number not in self._held and now - self._asked.get(number, -1e9) > patience:
                self._asked[number] = now
                missing.append(number)
        due = self._next - self._acked >= max(1, self.window // 4)
        if missing or (due and self._next < self.count):
            self._ack(missing)

    def _ack(self, missing: list[int]) -> None:
        fields = words(self.number, self._next, len(missing), *missing)
        self.session.link.send_request(Ext.READ_ACK, seal(Ext.READ_ACK, fields))
        self._acked = self._next

    def _frame_s(self) -> float:
        return (self.frame + 32) * BITS_A_BYTE / self.session.link.baud
