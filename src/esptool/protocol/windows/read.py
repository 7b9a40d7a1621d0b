# SPDX-License-Identifier: Apache-2.0
"""A windowed read: numbered frames, packed on the chip, any of which can be asked for again.

What arrived is handed on in order, so little is held.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from esptool.errors import LinkTimeoutError
from esptool.protocol.ext import Ext, Sealed, read_frame, seal, unseal
from esptool.protocol.packets import failure, parse_response, words
from esptool.protocol.windows import MAX_QUESTIONS, MAX_STILL_S, Request

#: Silence after which the next frame is asked for; grows while the stub stays silent.
SILENCE_S = 0.15
MAX_SILENCE_S = 2.0
#: How often a read is begun, and how long the first answer may take; each next one twice as long.
BEGINS = 5
FIRST_WAIT_S = 0.5
#: Frames that one acknowledgement can ask for again.
MAX_ASKED_AGAIN = 32
#: Bytes around a frame on the line.
FRAME_OVERHEAD = 32
FIRST_ROUND_TRIP_S = 0.01


class Phase(Enum):
    """Where a read stands."""

    NEW = auto()
    #: The begin has been sent.
    OPENING = auto()
    STREAMING = auto()
    #: All has come, and the stub is told so.
    CLOSING = auto()
    #: The stub knows: it serves other requests.
    CLOSED = auto()
    #: All that is wanted has come, but the stub did not say that it knows.
    UNHEARD = auto()


class Event(Enum):
    """What moves a read from phase to phase."""

    START = auto()
    SILENCE = auto()
    #: The begin was answered, or a frame of this read came.
    BEGUN = auto()
    #: The last frame that was missing came.
    COMPLETE = auto()
    #: The last acknowledgement was answered.
    ENDED = auto()
    #: It was not, after many tries.
    GIVEN_UP = auto()
    #: The reader goes on in another way.
    ABANDONED = auto()


#: Pairs that are not here change nothing.
TRANSITIONS: dict[tuple[Phase, Event], Phase] = {
    (Phase.NEW, Event.START): Phase.OPENING,
    (Phase.OPENING, Event.SILENCE): Phase.OPENING,
    (Phase.OPENING, Event.BEGUN): Phase.STREAMING,
    (Phase.STREAMING, Event.SILENCE): Phase.STREAMING,
    (Phase.STREAMING, Event.COMPLETE): Phase.CLOSING,
    (Phase.STREAMING, Event.ABANDONED): Phase.UNHEARD,
    (Phase.CLOSING, Event.SILENCE): Phase.CLOSING,
    (Phase.CLOSING, Event.ENDED): Phase.CLOSED,
    (Phase.CLOSING, Event.GIVEN_UP): Phase.UNHEARD,
}
_RECEIVING = frozenset({Phase.OPENING, Phase.STREAMING})


@dataclass(frozen=True, slots=True)
class ReadOrder:
    """What is to be read, and what is known of the line.

    Attributes:
        session: number of this read, not 0 and new for each.
        address: flash offset of the first byte.
        size: bytes.
        frame: plain bytes of each frame but the last.
        window: frames that may be unacknowledged.
        compress: the stub may pack frames.
        rate: bytes a second that the line carries.
        longest_wait_s: how long the answer to the begin may take at most.
    """

    session: int
    address: int
    size: int
    frame: int
    window: int
    compress: bool
    rate: float
    longest_wait_s: float = 3.0


class ReadWindow:
    """One read; see `Window` for how it is driven, and `received` for what it gives.

    Attributes:
        phase: where it stands.
        done: bytes that have come, all in order from the start.
        round_trip_s: what the answer to the begin took; None where it was not measured.
        asked_again: how many were asked for again.
    """

    def __init__(self, order: ReadOrder) -> None:
        self.order = order
        self.phase = Phase.NEW
        self.done = 0
        self.round_trip_s: float | None = None
        self.asked_again = 0
        self._count = -(-order.size // order.frame)
        self._next = 0
        self._highest = -1
        self._held: dict[int, bytes] = {}
        self._ready: list[bytes] = []
        self._acked = 0
        self._asked: dict[int, float] = {}
        self._out: list[Request] = []
        self._questions = 0
        self._round_trip = FIRST_ROUND_TRIP_S
        self._begun_at = self._started_at = self._heard_at = self._advanced_at = 0.0

    @property
    def over(self) -> bool:
        """All has come, and nothing more is to be said."""
        return self.phase in (Phase.CLOSED, Phase.UNHEARD)

    @property
    def frames(self) -> int:
        """Frames that have come in order."""
        return self._next

    def abandon(self) -> None:
        """No more of it is wanted, as it goes better in another way; `received` has what came."""
        self._goes(Event.ABANDONED)

    def received(self) -> list[bytes]:
        """What came in order since this was asked last."""
        ready, self._ready = self._ready, []
        return ready

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
        if self._goes(Event.START):
            self._begin(now)
        elif not self.over and now >= self.deadline():
            self._silence(now)
        out, self._out = self._out, []
        return out

    def deadline(self) -> float:
        """See `Window.deadline`."""
        return self._heard_at + self._patience()

    def _patience(self) -> float:
        if self.phase is Phase.OPENING:
            return min(self.order.longest_wait_s, FIRST_WAIT_S * 2.0**self._questions)
        quiet = SILENCE_S + 2 * self._round_trip
        if self.phase is Phase.CLOSING:
            return quiet
        quiet += (self.order.frame + FRAME_OVERHEAD) / self.order.rate
        return min(max(quiet, MAX_SILENCE_S), quiet * 1.5**self._questions)

    def _begin(self, now: float) -> None:
        order = self.order
        fields = words(
            order.session,
            order.address,
            order.size,
            order.frame,
            order.window,
            int(order.compress),
        )
        self._out.append(Request(Ext.READ_BEGIN, seal(Ext.READ_BEGIN, fields)))
        self._begun_at = self._heard_at = self._advanced_at = now

    def _silence(self, now: float) -> None:
        """Nothing came in time."""
        self._questions += 1
        most = BEGINS - 1 if self.phase is Phase.OPENING else MAX_QUESTIONS
        if self._questions >= MAX_QUESTIONS and self._goes(Event.GIVEN_UP):
            return
        if self._questions > most:
            raise LinkTimeoutError("The stub does not answer any more.")
        self._heard_at = now
        self._goes(Event.SILENCE)
        if self.phase is Phase.OPENING:
            self._begin(now)
        else:
            self._acknowledge([] if self.phase is Phase.CLOSING else [self._next])

    def _acknowledge(self, missing: list[int]) -> None:
        fields = words(self.order.session, self._next, len(missing), *missing)
        self._out.append(Request(Ext.READ_ACK, seal(Ext.READ_ACK, fields)))
        self._acked = self._next

    # --- answers ---------------------------------------------------------------------------------

    def take(self, frame: bytes, now: float) -> None:
        """See `Window.take`."""
        response = parse_response(frame)
        answer = None if self.over or response is None else unseal(response)
        if answer is None:
            return
        if answer.opcode == Ext.READ_BEGIN:
            self._begin_answered(answer, now)
        elif answer.opcode == Ext.READ_ACK:
            if not answer.status and answer.value == self._count:
                self._goes(Event.ENDED)
        elif answer.opcode == Ext.READ_FRAME and not answer.status:
            self._frame(answer, now)

    def _begin_answered(self, answer: Sealed, now: float) -> None:
        if self.phase is not Phase.OPENING:
            return
        if answer.damaged:
            self._silence(now)
        elif answer.status:
            what = f"begin to read at {self.order.address:#010x}"
            raise failure(what, answer.opcode, answer.status, sealed=True)
        elif answer.value == self._count:
            self.round_trip_s = now - self._begun_at
            self._begun(now)

    def _begun(self, now: float) -> None:
        if not self._goes(Event.BEGUN):
            return
        self._started_at = self._heard_at = self._advanced_at = now
        self._questions = 0
        self._round_trip = max(0.002, now - self._begun_at)
        self._complete()

    def _frame(self, answer: Sealed, now: float) -> None:
        order = self.order
        if self.phase not in _RECEIVING:
            return
        frame = read_frame(answer)
        if frame is None or frame.session != order.session:
            return
        number = frame.number
        # The stub never sends beyond the window, so what lies there is of something else.
        if not number < min(self._count, self._next + order.window):
            return
        if len(frame.data) != min(order.frame, order.size - number * order.frame):
            return
        self._begun(now)
        self._heard_at, self._questions = now, 0
        if number < self._next or number in self._held:
            if now - self._advanced_at > MAX_STILL_S:
                raise LinkTimeoutError("The stub answers, but its work does not advance.")
            return
        self._advanced_at = now
        self._held[number] = frame.data
        self._highest = max(self._highest, number)
        while (data := self._held.pop(self._next, None)) is not None:
            self._asked.pop(self._next, None)
            self._ready.append(data)
            self.done += len(data)
            self._next += 1
        if not self._complete():
            self._react(now)

    def _complete(self) -> bool:
        if self._next < self._count or not self._goes(Event.COMPLETE):
            return False
        self._acknowledge([])
        return True

    def _react(self, now: float) -> None:
        """Acknowledge in good time, and ask again for what was passed over."""
        frame_s = (now - self._started_at) / max(1, self._highest)
        patience = 2 * self._round_trip + 1.5 * frame_s * self.order.window
        missing: list[int] = []
        for number in range(self._next, self._highest):
            if len(missing) == MAX_ASKED_AGAIN:
                break
            if number not in self._held and now - self._asked.get(number, -1e9) > patience:
                self._asked[number] = now
                self.asked_again += 1
                missing.append(number)
        if missing or self._next - self._acked >= max(1, self.order.window // 4):
            self._acknowledge(missing)
