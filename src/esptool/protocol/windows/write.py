# SPDX-License-Identifier: Apache-2.0
"""A windowed write: numbered blocks, several on their way, each written once.

The stub says how far it is (`expected`, `limit`, `done`). The window keeps the line busy and
answers loss: it goes back where asked to, and asks after a silence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto

from esptool.errors import LinkTimeoutError
from esptool.protocol.ext import Ext, Sealed, WriteFlag, WriteState, seal, unseal, write_state
from esptool.protocol.packets import failure, parse_response, words
from esptool.protocol.status import Status
from esptool.protocol.windows import MAX_QUESTIONS, MAX_STILL_S, Request

#: Bytes around a block on the line: header, session, number, seal, frame marks.
BLOCK_OVERHEAD = 22
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
#: Assumed before the first answer has come.
FIRST_ROUND_TRIP_S = 0.005

_ANSWERS = frozenset({Ext.WRITE_BEGIN, Ext.WRITE_DATA, Ext.WRITE_STATUS, Ext.WRITE_END})


class Phase(Enum):
    """Where a write stands."""

    NEW = auto()
    #: The begin has been sent, and blocks behind it; nothing is known of either.
    OPENING = auto()
    #: A block sent ahead was refused, so the begin was lost and has been sent again.
    REOPENING = auto()
    STREAMING = auto()
    #: The stub has been asked how far it is: blocks that it did not have by then are lost.
    ASKING = auto()
    #: The stub says that everything is in flash.
    CLOSED = auto()
    #: The line turned out bad: what is not in flash yet goes better in small blocks.
    SHRUNK = auto()


class Event(Enum):
    """What moves a write from phase to phase."""

    START = auto()
    SILENCE = auto()
    #: The begin was answered.
    BEGUN = auto()
    #: A block was refused because no write is open. Behind the answer to the begin it may be one
    #: that was sent ahead of it.
    REFUSED = auto()
    #: The question was answered.
    ANSWERED = auto()
    #: The end was answered, and nothing is missing.
    ENDED = auto()
    #: Blocks had to be sent again, and many are left.
    BAD_LINE = auto()


#: Pairs that are not here change nothing.
TRANSITIONS: dict[tuple[Phase, Event], Phase] = {
    (Phase.NEW, Event.START): Phase.OPENING,
    (Phase.OPENING, Event.BEGUN): Phase.STREAMING,
    (Phase.OPENING, Event.REFUSED): Phase.REOPENING,
    (Phase.OPENING, Event.SILENCE): Phase.OPENING,
    (Phase.REOPENING, Event.BEGUN): Phase.STREAMING,
    (Phase.REOPENING, Event.SILENCE): Phase.OPENING,
    (Phase.STREAMING, Event.SILENCE): Phase.ASKING,
    (Phase.STREAMING, Event.REFUSED): Phase.ASKING,
    (Phase.STREAMING, Event.BAD_LINE): Phase.SHRUNK,
    (Phase.STREAMING, Event.ENDED): Phase.CLOSED,
    (Phase.ASKING, Event.SILENCE): Phase.ASKING,
    (Phase.ASKING, Event.ANSWERED): Phase.STREAMING,
    (Phase.ASKING, Event.BAD_LINE): Phase.SHRUNK,
    (Phase.ASKING, Event.ENDED): Phase.CLOSED,
}
_UNCONFIRMED = frozenset({Phase.OPENING, Phase.REOPENING})


@dataclass(frozen=True, slots=True)
class WriteOrder:
    """What is to be written, and what is known of the line.

    Attributes:
        session: number of this write, not 0 and new for each.
        address: flash offset of the first byte.
        size: plain bytes.
        stream: what goes over the line, deflated where the flags say so.
        block: bytes of each block but the last.
        window: blocks that the stub can hold.
        rate: bytes a second that the line carries.
        round_trip_s: what an answer took lately, or 0 where none has come yet.
    """

    session: int
    address: int
    size: int
    stream: bytes
    flags: WriteFlag
    block: int
    window: int
    rate: float
    round_trip_s: float = 0.0


class WriteWindow:
    """One write; see `Window` for how it is driven.

    Attributes:
        phase: where it stands.
        done: plain bytes that the stub says are in flash.
        sent_bytes: payload that was sent, repetitions included.
        resends: how often blocks had to be sent again.
    """

    def __init__(self, order: WriteOrder) -> None:
        self.order = order
        self.phase = Phase.NEW
        self.done = 0
        self.sent_bytes = 0
        self.resends = 0
        self._count = -(-len(order.stream) // order.block)
        self._state = WriteState(0, order.window, 0, False, 0)
        #: Number of what is sent next: behind the last block comes the end of the write.
        self._next = 0
        #: Ends that were sent and not answered yet.
        self._ends = 0
        self._out: list[Request] = []
        #: Questions since something was heard, and since the work got on.
        self._questions = self._idle_questions = 0
        self._heard_at = self._begun_at = self._advanced_at = 0.0
        self._round_trip = order.round_trip_s or FIRST_ROUND_TRIP_S
        self._rate = order.rate
        self._measured = (0.0, 0)

    @property
    def over(self) -> bool:
        """Everything is in flash, or goes better in small blocks."""
        return self.phase in (Phase.CLOSED, Phase.SHRUNK)

    @property
    def accepted_bytes(self) -> int:
        """Bytes of the stream that the stub has taken."""
        return min(len(self.order.stream), self._state.expected * self.order.block)

    def _goes(self, event: Event) -> bool:
        """Follow an event; False where it means nothing in the present phase."""
        after = TRANSITIONS.get((self.phase, event))
        if after is None:
            return False
        self.phase = after
        return True

    # --- sending ---------------------------------------------------------------------------------

    def due(self, now: float) -> list[Request]:
        """See `Window.due`."""
        if self.over:
            return []
        if self._goes(Event.START):
            self._heard_at = self._advanced_at = now
            self._measured = (now, 0)
            self._begin(now)
        elif now >= self.deadline():
            self._silence(now)
        if self._should_shrink() and self._goes(Event.BAD_LINE):
            return []
        self._fill(now)
        out, self._out = self._out, []
        return out

    def deadline(self) -> float:
        """See `Window.deadline`: what is on its way has to pass the line first."""
        quiet = (END_SILENCE_S if self._end_sent else SILENCE_S) + 2 * self._round_trip
        if self._questions:
            return self._heard_at + min(MAX_SILENCE_S, quiet * 1.5**self._questions)
        blocks = min(self._next, self._count) - self._state.expected
        flying = blocks * (self.order.block + BLOCK_OVERHEAD)
        return self._heard_at + quiet + 1.2 * flying / max(self._rate, self.order.rate)

    @property
    def _end_sent(self) -> bool:
        return self._next > self._count

    def _send(self, opcode: Ext, fields: bytes) -> None:
        self._out.append(Request(opcode, seal(opcode, fields)))

    def _begin(self, now: float) -> None:
        order = self.order
        fields = words(
            order.session, order.address, order.size, len(order.stream), order.block, order.flags
        )
        self._send(Ext.WRITE_BEGIN, fields)
        self._begun_at = now

    def _silence(self, now: float) -> None:
        """Nothing came in time."""
        self._questions += 1
        self._idle_questions += 1
        if self._questions > MAX_QUESTIONS:
            raise LinkTimeoutError("The stub does not answer any more.")
        self._heard_at = now
        self._ends = 0
        self._goes(Event.SILENCE)
        if self.phase in _UNCONFIRMED:
            self._begin(now)
            return
        self._ask_state()
        if self._end_sent and (self._idle_questions > 1 or self.done >= self.order.size):
            # The answer to the end may have been lost; it is given once.
            self._next = self._count

    def _ask_state(self) -> None:
        self._send(Ext.WRITE_STATUS, words(self.order.session))

    def _should_shrink(self) -> bool:
        left = (self._count - self._state.expected) * self.order.block
        return (
            self.order.block > SMALL_BLOCK
            and self.resends >= RESENDS_TO_SHRINK
            and left > WORTH_SHRINKING
        )

    def _fill(self, now: float) -> None:
        """Send what the stub has room for, but not more than keeps the line busy.

        Blocks behind a damaged one are sent in vain, so few are kept on their way.
        """
        self._measure(now)
        order = self.order
        end = min(self._state.limit, self._count, self._state.expected + self._flight())
        while self._next < end:
            block = order.stream[self._next * order.block : (self._next + 1) * order.block]
            self._send(Ext.WRITE_DATA, words(order.session, self._next) + block)
            self.sent_bytes += len(block)
            self._next += 1
        if self._next == self._count:
            # Right behind the last block, so that the line is not waited for once more.
            self._send(Ext.WRITE_END, words(order.session))
            self._next += 1
            self._ends += 1

    def _flight(self) -> int:
        """Blocks that may be on their way: what one round trip holds, and one more.

        As long as that many do not fill the line, the rate measured grows with them, and so they
        grow; on a full line they stay.
        """
        return 1 + max(1, math.ceil(1.25 * self._rate * self._round_trip / self.order.block))

    def _measure(self, now: float) -> None:
        """Keep the best rate at which blocks were accepted lately, in bytes a second."""
        since, blocks = self._measured
        if now - since >= max(0.02, 2 * self._round_trip):
            rate = (self._state.expected - blocks) * self.order.block / (now - since)
            self._rate = max(rate, 0.8 * self._rate)
            self._measured = (now, self._state.expected)

    # --- answers ---------------------------------------------------------------------------------

    def take(self, frame: bytes, now: float) -> None:
        """See `Window.take`."""
        response = parse_response(frame)
        if self.over or response is None or response.opcode not in _ANSWERS:
            return
        answer = unseal(response)
        if answer is None:
            return
        self._heard_at, self._questions = now, 0
        before = (self._state.expected, self.done)
        self._answer(answer, now)
        if (self._state.expected, self.done) != before:
            self._advanced_at, self._idle_questions = now, 0
        elif now - self._advanced_at > MAX_STILL_S:
            raise LinkTimeoutError("The stub answers, but its work does not advance.")

    def _answer(self, answer: Sealed, now: float) -> None:
        if self.phase in _UNCONFIRMED:
            if answer.damaged or answer.opcode != Ext.WRITE_BEGIN:
                # Of a write before this one, or the refusal of a block sent ahead.
                refused = answer.status in (Status.BAD_CHECKSUM, Status.NOT_WRITING)
                if refused and self._goes(Event.REFUSED):
                    self._begin(now)
                return
            self._confirmed(now)
        if answer.damaged:
            return
        if answer.opcode == Ext.WRITE_END:
            self._ends = max(0, self._ends - 1)
            if answer.status == Status.TOO_LITTLE:
                if not self._ends:
                    # No end is on its way behind blocks that were sent again meanwhile.
                    self._next = min(self._next, self._count)
                    self._go_back(answer.value)
                return
        if answer.status == Status.NOT_WRITING and answer.opcode != Ext.WRITE_STATUS:
            if self._goes(Event.REFUSED):
                self._ask_state()
            return
        self._follow(answer)
        if answer.opcode == Ext.WRITE_END:
            if answer.value >= self._count and self.done >= self.order.size:
                self._goes(Event.ENDED)
        elif answer.opcode == Ext.WRITE_STATUS and self._goes(Event.ANSWERED):
            self._go_back(self._state.expected)

    def _confirmed(self, now: float) -> None:
        if self.phase is Phase.REOPENING:
            # What was sent ahead of a begin that was lost was not taken.
            self._next = 0
        self._goes(Event.BEGUN)
        self._round_trip = max(0.001, now - self._begun_at)

    def _follow(self, answer: Sealed) -> None:
        """Take in how far the stub is; answers may be older than those before."""
        state = write_state(answer)
        if state is None:
            return
        if state.status:
            self.done = max(self.done, min(state.done, self.order.size))
            where = self.order.address + state.done
            what = f"write flash at {where:#010x}"
            raise failure(what, answer.opcode, state.status, sealed=True)
        if state.expected < self._state.expected:
            return
        limit = max(state.limit, self._state.limit)
        self._state = WriteState(state.expected, limit, state.done, state.resend, state.status)
        self.done = max(self.done, min(state.done, self.order.size))
        if state.resend:
            self._go_back(self._state.expected)

    def _go_back(self, expected: int) -> None:
        """Send again from the block that the stub waits for, where some were sent in vain."""
        if min(self._next, self._count) > expected:
            self.resends += 1
            self._next = expected
