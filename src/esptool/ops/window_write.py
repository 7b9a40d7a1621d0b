# SPDX-License-Identifier: Apache-2.0
"""Sending a stretch through our stub: numbered blocks, several on their way, each written once.

The stub says how far it is (`expected`, `limit`, `done`); this keeps the line busy and answers
loss: go back where asked, ask after a silence, and after a reset begin anew where flash is good.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

from esptool.device.ext import refused
from esptool.errors import LinkTimeoutError
from esptool.ops.model import SECTOR
from esptool.ops.plan import Stretch, padded
from esptool.ops.report import Report
from esptool.ops.write_pace import Pacing
from esptool.protocol.ext import (
    Ext,
    Sealed,
    WriteFlag,
    WriteState,
    seal,
    unseal,
    write_state,
)
from esptool.protocol.packets import BITS_A_BYTE, parse_response, words
from esptool.protocol.status import Status

if TYPE_CHECKING:
    from esptool.device import Session
    from esptool.protocol.ext import ExtInfo

#: Bytes around a block on the line: header, session, number, seal, frame marks.
BLOCK_OVERHEAD = 22
#: Bytes of packed data that must be escaped in frames.
ESCAPES = 2 / 256
#: Large blocks lose little to their headers, small ones little to a damaged byte.
LARGE_BLOCK, SMALL_BLOCK = 0x4000, 0x400
#: Resends after which the rest is sent in small blocks, where there is enough of it.
RESENDS_TO_SHRINK = 1
WORTH_SHRINKING = 0x10000
#: Silence after which the stub is asked how far it is; grows while it stays silent.
SILENCE_S = 0.12
MAX_SILENCE_S = 2.0
#: The same at the end, when the flash may be busy for long.
END_SILENCE_S = 0.4
#: Questions in a row without an answer before the chip counts as lost.
MAX_QUESTIONS = 6
#: Longest time that the state may stand still while the stub answers (a slow chip erase).
MAX_STILL_S = 20.0
_STATES = frozenset({Ext.WRITE_BEGIN, Ext.WRITE_DATA, Ext.WRITE_STATUS, Ext.WRITE_END})
WORD = 4


class WindowWriter:
    """One write session of our stub.

    Attributes:
        done: plain bytes that the stub says are in flash.
        sent_bytes: payload that went over the line, repetitions included.
        resends: how often blocks had to be sent again.
    """

    def __init__(
        self,
        session: Session,
        stretch: Stretch,
        start: int,
        report: Report,
        pace: Pacing,
        block: int = LARGE_BLOCK,
    ) -> None:
        assert session.ext is not None
        self.session = session
        self.report = report
        self.pace = pace
        self.info: ExtInfo = session.ext
        self.address = stretch.address + start
        self.base = start
        data = stretch.data[start:]
        self.size = len(data)
        self.packed = stretch.packed_from(start)
        self.stream = data if self.packed is None else self.packed
        self.total = stretch.line_bytes
        self.number = random.getrandbits(32) or 1
        self.flags = WriteFlag.ERASE
        if self.packed is not None:
            self.flags |= WriteFlag.DEFLATED
        if stretch.encrypted:
            self.flags |= WriteFlag.ENCRYPTED
        self.block = min(self.info.write_block, block)
        self.count = -(-len(self.stream) // self.block)
        self.state = WriteState(0, self.info.write_window, 0, False, 0)
        self.done = 0
        self.sent_bytes = 0
        self.resends = 0
        self._next = 0
        self._round_trip = session.round_trip or 0.005
        self._rate = session.link.baud / BITS_A_BYTE
        self._measured = (0.0, 0)

    @property
    def certain(self) -> int:
        """Offset in the stretch below which all is in flash, at a sector's start."""
        end = self.address + self.done
        return max(self.base, self.base + self.done - end % SECTOR)

    # --- the whole -------------------------------------------------------------------------------

    def run(self) -> bool:
        """Write everything; returns when the stub says that it is in flash.

        False means that the line turned out bad: the rest goes better in small blocks, from
        `certain` on.

        Raises:
            ChipResponseError: flash or stream failed on the chip.
            LinkTimeoutError: the chip is lost.
        """
        self.pace.begin_at(self.base, self._line_s(len(self.stream)))
        self._begin()
        if not self._stream_blocks():
            return False
        self._tell()
        return True

    def _begin(self) -> None:
        """Ask for the session; blocks follow at once, as its answer says nothing new."""
        fields = words(
            self.number, self.address, self.size, len(self.stream), self.block, self.flags
        )
        self._asked_at = self.session.link.now()
        self._refused = False
        self.session.link.send_request(Ext.WRITE_BEGIN, seal(Ext.WRITE_BEGIN, fields))

    def _stream_blocks(self) -> bool:
        link = self.session.link
        questions = 0
        last_heard = last_advance = link.now()
        advance = (0, 0)
        self._measured = (last_heard, 0)
        while not self._ended:
            if self._should_shrink():
                return False
            self._fill()
            patience = self._silence(questions)
            heard = self._listen(max(0.0, last_heard + patience - link.now()))
            now = link.now()
            if heard:
                last_heard, questions = now, 0
                if (self.state.expected, self.done) != advance:
                    advance, last_advance = (self.state.expected, self.done), now
                elif now - last_advance > MAX_STILL_S:
                    raise LinkTimeoutError("The stub answers, but its work does not advance.")
            elif now >= last_heard + patience:
                questions += 1
                if questions > MAX_QUESTIONS:
                    raise LinkTimeoutError("The stub does not answer any more.")
                self._ask(questions)
                last_heard = now
        self.done = self.size
        return True

    def _should_shrink(self) -> bool:
        left = (self.count - self.state.expected) * self.block
        return (
            self.block > SMALL_BLOCK
            and self.resends >= RESENDS_TO_SHRINK
            and left > WORTH_SHRINKING
        )

    # --- sending ---------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Send what the stub has room for, but not more than keeps the line busy.

        Blocks behind a damaged one are sent in vain, so few are kept on their way.
        """
        self._measure()
        end = min(self.state.limit, self.count, self.state.expected + self._flight())
        while self._next < end:
            block = self.stream[self._next * self.block : (self._next + 1) * self.block]
            fields = words(self.number, self._next) + block
            self.session.link.send_request(Ext.WRITE_DATA, seal(Ext.WRITE_DATA, fields))
            self.sent_bytes += len(block)
            self._next += 1
        if self._next == self.count and not self._end_sent:
            # Queued behind the last block, so that the line is not waited for once more.
            self._end_sent = True
            self.session.link.send_request(Ext.WRITE_END, seal(Ext.WRITE_END, words(self.number)))

    def _flight(self) -> int:
        """Blocks that may be on their way: what one round trip holds, and one more.

        As long as that many do not fill the line, the rate measured grows with them, and so they
        grow; on a full line they stay.
        """
        return 1 + max(1, math.ceil(1.25 * self._rate * self._round_trip / self.block))

    def _measure(self) -> None:
        """Keep the best rate at which blocks were accepted lately, in bytes a second."""
        now = self.session.link.now()
        since, blocks = self._measured
        if now - since >= max(0.02, 2 * self._round_trip):
            rate = (self.state.expected - blocks) * self.block / (now - since)
            self._rate = max(rate, 0.8 * self._rate)
            self._measured = (now, self.state.expected)

    def _ask(self, questions: int) -> None:
        if not self._begun:
            self._begin()
            return
        self.session.link.send_request(Ext.WRITE_STATUS, seal(Ext.WRITE_STATUS, words(self.number)))
        # What was sent and not accepted by then is lost: the answer says from where.
        self._asked = True
        if self._end_sent and (questions > 1 or self.done >= self.size):
            # The answer to the end may have been lost; it is given once.
            self._end_sent = False

    # --- listening -------------------------------------------------------------------------------

    _asked = False
    _begun = False
    _refused = False
    _end_sent = False
    _ended = False
    _asked_at = 0.0

    def _listen(self, timeout_s: float) -> bool:
        """Take in states that have come, or come within the time; True if there was any."""
        heard = False
        for frame in self.session.link.frames_within(timeout_s):
            heard = self._frame(frame) or heard
        return heard

    def _frame(self, frame: bytes) -> bool:
        response = parse_response(frame)
        if response is None or response.opcode not in _STATES:
            return False
        answer = unseal(response)
        if answer is None:
            return False
        damaged = answer.damaged
        if not self._begun and (damaged or response.opcode != Ext.WRITE_BEGIN):
            self._before_begin(answer.status in (Status.BAD_CHECKSUM, Status.NOT_WRITING))
            return True
        if damaged:
            return True
        if response.opcode == Ext.WRITE_BEGIN:
            self._confirmed()
        if response.opcode == Ext.WRITE_END and answer.status == Status.TOO_LITTLE:
            # A block before it was lost; the states that follow say which.
            self._end_sent = False
            return True
        self._take(answer)
        if response.opcode == Ext.WRITE_END:
            self._ended = answer.value >= self.count
        if response.opcode == Ext.WRITE_STATUS and self._asked:
            self._asked = False
            if self._next > self.state.expected:
                self._go_back()
        return True

    def _before_begin(self, refused: bool) -> None:
        """An answer ahead of that to the begin: of a write before this one, or a refusal."""
        if refused and not self._refused:
            self._begin()
            self._refused = True

    def _confirmed(self) -> None:
        if self._begun:
            return
        self._begun = True
        self._round_trip = max(0.001, self.session.link.now() - self._asked_at)
        if self._refused:
            # What was sent ahead of a begin that was lost was not taken.
            self._next = 0
            self._end_sent = False

    def _take(self, answer: Sealed) -> None:
        state = write_state(answer)
        if state is None:
            return
        if state.status:
            where = self.address + state.done
            self.done = max(self.done, state.done)
            raise refused(f"write flash at {where:#010x}", answer)
        if state.expected < self.state.expected:
            return
        if state.limit < self.state.limit:
            state = WriteState(
                state.expected, self.state.limit, state.done, state.resend, state.status
            )
        advanced = state.done > self.done
        self.state = state
        self.done = max(self.done, min(state.done, self.size))
        if state.resend and self._next > state.expected:
            self._go_back()
        if advanced:
            self._tell()

    def _go_back(self) -> None:
        self.resends += 1
        self._next = self.state.expected
        self._end_sent = False

    def _silence(self, questions: int) -> float:
        """How long an answer may take: what is on its way has to pass the line first."""
        quiet = END_SILENCE_S if self._end_sent else SILENCE_S
        quiet += 2 * self._round_trip
        if questions:
            return min(MAX_SILENCE_S, quiet * 1.5**questions)
        flying = (self._next - self.state.expected) * (self.block + BLOCK_OVERHEAD)
        rate = max(self._rate, self.session.link.baud / BITS_A_BYTE)
        return quiet + 1.2 * flying / rate

    def _tell(self) -> None:
        share = self.done / self.size if self.size else 1.0
        sent = self.total - round((1 - share) * len(self.stream))
        self.report.step(
            "Writing at", self.address + self.done, max(0, sent), self.total, self._left()
        )

    def _left(self) -> float | None:
        """Seconds until all is in flash and checked."""
        passed = min(len(self.stream), self.state.expected * self.block)
        return self.pace.left(self.base + self.done, self._line_s(len(self.stream) - passed))

    def _line_s(self, num_bytes: int) -> float:
        """What the line needs for so many bytes of the stream."""
        overhead = 1 + BLOCK_OVERHEAD / self.block + ESCAPES
        return num_bytes * overhead * BITS_A_BYTE / self.session.link.baud


def stub_stretch(stretch: Stretch) -> Stretch:
    """A stretch as the stub takes it: from a sector's start, in whole words."""
    head = stretch.address % SECTOR
    if not head and len(stretch.data) % WORD == 0:
        return stretch
    data = padded(b"\xff" * head + stretch.data, WORD)
    return Stretch(stretch.address - head, data, stretch.encrypted, pack=stretch.pack)
