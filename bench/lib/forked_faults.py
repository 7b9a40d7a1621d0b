# SPDX-License-Identifier: Apache-2.0
"""Each byte on a virtual board's line damaged once, from one run without faults.

Where a byte is about to be looked at, the process is copied: the copy damages the byte and goes on
to the end, the original goes on with the byte as it was. So a fault costs what comes behind it, and
code that the emulator has translated once is there in each copy.
"""

from __future__ import annotations

import gc
import json
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import NoReturn

from esptool.virtual.board import Board
from esptool.virtual.inbound import Inbound

#: Processor time, in seconds, after which a run counts as hung.
HUNG_S = 120


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to the byte at one offset of what one side sends: "lose", "flip" or "repeat"."""

    kind: str
    at: int

    def damaged(self, byte: int) -> bytes:
        """What arrives in its place."""
        match self.kind:
            case "lose":
                return b""
            case "flip":
                return bytes((byte ^ 1 << self.at % 8,))
            case "repeat":
                return bytes((byte, byte))
        raise ValueError(self.kind)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended: in words, at what moment of the virtual clock."""

    fault: Fault
    how: str
    seconds: float


class OneFault:
    """Damages one byte of what it is given, counted from the first; in a board's place for noise.

    Attributes:
        seen: bytes that have passed.
    """

    def __init__(self, fault: Fault | None = None, seen: int = 0) -> None:
        self._fault = fault
        self.seen = seen

    def apply(self, data: bytes) -> tuple[bytes, bool]:
        """The bytes that come through; none is late."""
        fault, start = self._fault, self.seen
        self.seen += len(data)
        if fault is None or not start <= fault.at < self.seen:
            return data, False
        index = fault.at - start
        return data[:index] + fault.damaged(data[index]) + data[index + 1 :], False


class Copies:
    """Copies of this process, one for each fault, so many at once.

    Attributes:
        fault: the one that this copy has; None in the original.
    """

    def __init__(
        self,
        offsets: Sequence[int],
        kinds: Sequence[str],
        jobs: int,
        tell: Callable[[Ending], None] = lambda _: None,
    ) -> None:
        self.fault: Fault | None = None
        self._offsets = list(reversed(offsets))
        self._kinds, self._jobs, self._tell = kinds, jobs, tell
        self._running: dict[int, Fault] = {}
        self._endings: list[Ending] = []
        self._text = b""
        self._from_copies, self._to_original = os.pipe()
        os.set_blocking(self._from_copies, False)

    def up_to(self, end: int) -> Fault | None:
        """Make the copies for all offsets below this one; in a copy, its fault."""
        while self._offsets and self._offsets[-1] < end and self.fault is None:
            at = self._offsets.pop()
            for kind in self._kinds:
                if self._copy(Fault(kind, at)):
                    return self.fault
        return None

    def _copy(self, fault: Fault) -> bool:
        """True in the copy."""
        while len(self._running) >= self._jobs:
            self._wait()
        gc.disable()
        gc.freeze()
        pid = os.fork()
        if pid:
            self._running[pid] = fault
            return False
        self.fault = fault
        signal.signal(signal.SIGPROF, lambda *_: self.end("unclear: hung", 0.0))
        signal.setitimer(signal.ITIMER_PROF, HUNG_S)
        return True

    def end(self, how: str, seconds: float) -> NoReturn:
        """This copy's run is over."""
        assert self.fault is not None
        told = {**asdict(self.fault), "how": how[:400], "seconds": seconds}
        os.write(self._to_original, json.dumps(told).encode() + b"\n")
        os._exit(0)

    def _wait(self) -> None:
        pid, status = os.wait()
        fault = self._running.pop(pid)
        try:
            self._text += os.read(self._from_copies, 1 << 16)
        except BlockingIOError:
            pass
        *lines, self._text = self._text.split(b"\n")
        for line in lines:
            told = json.loads(line)
            ended = Fault(told["kind"], told["at"])
            self._add(Ending(ended, told["how"], told["seconds"]))
        if status:
            self._add(Ending(fault, f"unclear: the process died ({status})", 0.0))

    def _add(self, ending: Ending) -> None:
        self._endings.append(ending)
        self._tell(ending)

    def endings(self) -> list[Ending]:
        """How all have ended that have been made."""
        while self._running:
            self._wait()
        gc.unfreeze()
        gc.enable()
        os.close(self._from_copies)
        os.close(self._to_original)
        return self._endings


def watch(board: Board, way: str, copies: Copies) -> None:
    """Have a copy made for each byte that goes "to chip", or "to host", from now on."""
    if way == "to host":
        board.cable.noise_out = _Outbound(copies)  # type: ignore[assignment]
    else:
        board.cable.inbound = _Watched(board, copies)


class _Outbound(OneFault):
    """The way to the host: what the chip sends goes out frame by frame."""

    def __init__(self, copies: Copies) -> None:
        super().__init__()
        self._copies = copies

    def apply(self, data: bytes) -> tuple[bytes, bool]:
        """See `OneFault.apply`."""
        self._fault = self._copies.up_to(self.seen + len(data)) or self._fault
        return super().apply(data)


@dataclass(slots=True)
class _Write:
    """What the host has sent at once: `number` bytes had been sent before."""

    number: int
    now: float
    start: float
    byte_s: float
    data: bytes
    baud: int


class _Line(Inbound):
    """Bytes on their way, that can be counted and skipped."""

    def of_frame(self) -> int:
        """Bytes that are left of the next chunk."""
        return len(self._chunks[0].data) - self._chunks[0].taken if self._chunks else 0

    def there(self, now: float) -> int:
        """Bytes that will have arrived by then."""
        return sum(
            max(0, min(len(chunk.data), chunk.there(now)) - chunk.taken) for chunk in self._chunks
        )

    def skip(self, count: int) -> None:
        """The first ones have been taken."""
        while count >= self.of_frame() > 0:
            count -= self.of_frame()
            self._chunks.popleft()
        if count:
            self._chunks[0].taken += count


class _Watched(Inbound):
    """The way to the chip: bytes on their way, which it looks at by and by."""

    def __init__(self, board: Board, copies: Copies) -> None:
        super().__init__()
        self._board, self._copies = board, copies
        self._line = _Line()
        self._writes: list[_Write] = []
        self._sent = self._taken = 0

    @property
    def size(self) -> int:
        """Bytes that have been sent."""
        return self._sent

    def put(self, start: float, byte_s: float, data: bytes, baud: int) -> float:
        """See `Inbound.put`."""
        now = self._board.clock.host_now()
        self._writes = [w for w in self._writes if w.number + len(w.data) > self._taken]
        self._writes.append(_Write(self._sent, now, start, byte_s, data, baud))
        self._sent += len(data)
        return self._line.put(start, byte_s, data, baud)

    def next_frame(self) -> float:
        """See `Inbound.next_frame`."""
        return self._with(self._line.of_frame()).next_frame()

    def next_bytes(self) -> float:
        """See `Inbound.next_bytes`."""
        return self._with(min(self._line.of_frame(), self.WAKE)).next_bytes()

    def next_byte(self) -> float:
        """See `Inbound.next_byte`."""
        return self._with(min(self._line.of_frame(), 1)).next_byte()

    def take_frame(self) -> tuple[bytes, int]:
        """See `Inbound.take_frame`."""
        count = self._line.of_frame()
        taken = self._with(count).take_frame()
        self._taken += count
        return taken

    def take_bytes(self, now: float) -> list[tuple[bytes, int]]:
        """See `Inbound.take_bytes`."""
        count = self._line.there(now)
        taken = self._with(count).take_bytes(now) if count else []
        self._taken += count
        return taken

    def _with(self, count: int) -> Inbound:
        """Who knows, in this process, what comes, when so many bytes are looked at."""
        fault = self._copies.up_to(self._taken + count)
        if fault is None:
            return self._line
        cable = self._board.cable
        cable.inbound, cable.in_free = self._damaged(fault)
        return cable.inbound

    def _damaged(self, fault: Fault) -> tuple[Inbound, float]:
        """What is still on its way, with this fault, and when the line is free then."""
        out, free = _Line(), self._board.cable.in_free
        latency = self._board.options.latency_s
        changed = False
        for write in self._writes:
            done = self._taken - write.number
            data, start = write.data, write.start
            if done >= len(data):
                continue
            if changed:
                start = max(write.now, free) + latency
            elif fault.at < write.number + len(data):
                data, _ = OneFault(fault, write.number).apply(data)
                changed = True
            free = out.put(start, write.byte_s, data, write.baud) - latency
            out.skip(max(0, done))
        return out, free
