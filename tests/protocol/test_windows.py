# SPDX-License-Identifier: Apache-2.0
"""The windows under any fate of any frame: they end, and never claim what was not confirmed.

The other side is a stub of its own here, made from docs/serial-protocol.md, with a line whose every
frame may be lost, doubled, held back or damaged. Time is a number that the test moves.
"""

from __future__ import annotations

import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esptool.errors import ChipResponseError, FatalError, LinkTimeoutError
from esptool.protocol import packets, slip
from esptool.protocol.ext import WriteFlag
from esptool.protocol.windows import Request, Window
from esptool.protocol.windows.read import Phase as ReadPhase
from esptool.protocol.windows.read import ReadOrder, ReadWindow
from esptool.protocol.windows.write import Phase as WritePhase
from esptool.protocol.windows.write import WriteOrder, WriteWindow

#: What becomes of a frame: the fate, and a number that says where it is damaged or cut.
Fate = tuple[str, int]
FATES = st.lists(
    st.tuples(
        st.sampled_from(("pass", "pass", "lose", "double", "hold", "damage", "cut")),
        st.integers(0, 5000),
    ),
    max_size=60,
)
DATA = bytes(range(256)) * 40 + b"end"
BLOCK = 0x400
#: One way, for a frame.
TRIP_S = 0.004


def answer(opcode: int, value: int, fields: bytes, status: int = 0) -> bytes:
    """A sealed response."""
    head, tail = bytes((opcode,)) + struct.pack("<I", value), struct.pack(">H", status)
    crc = struct.pack("<I", zlib.crc32(head + fields + tail))
    body = fields + crc + tail
    return struct.pack("<BBHI", 1, opcode, len(body), value) + body


def fields_of(frame: bytes) -> bytes | None:
    """The fields of a sealed request, None where the seal is broken."""
    data = frame[8:]
    if len(data) < 4 or zlib.crc32(frame[1:2] + data[:-4]) != struct.unpack("<I", data[-4:])[0]:
        return None
    return data[:-4]


@dataclass
class WritingStub:
    """Takes numbered blocks in order; the flash is behind by some of them until the end."""

    session: int = 0
    blocks: int = 0
    size: int = 0
    expected: int = 0
    asked: bool = False
    buffer: list[bytes] = field(default_factory=list)
    flash: bytearray = field(default_factory=bytearray)
    fails_at: int | None = None

    def state(self, opcode: int, status: int = 0, resend: bool = False) -> bytes:
        if self.fails_at is not None and len(self.flash) >= self.fails_at:
            status = 0xC400
        return answer(
            opcode,
            self.expected,
            struct.pack("<3I", self.expected + 6, len(self.flash), resend),
            status,
        )

    def serve(self, frame: bytes) -> Iterable[bytes]:
        opcode, body = frame[1], fields_of(frame)
        if body is None:
            if not self.session:
                return [answer(opcode, 0xFFFFFFFF, b"", 0xC100)]
            return self.again()
        session = struct.unpack_from("<I", body)[0]
        if opcode == 0xE2:
            if session != self.session:
                _, _, self.size, stream, block, _ = struct.unpack("<6I", body)
                self.session, self.blocks = session, -(-stream // block)
            return [self.state(0xE2)]
        if session != self.session:
            return [answer(opcode, 0, b"", 0xC600)]
        if opcode == 0xE3:
            number = struct.unpack_from("<I", body, 4)[0]
            if number > self.expected:
                return self.again()
            if number == self.expected:
                self.expected += 1
                self.asked = False
                self.buffer.append(body[8:])
                self.store(2)
        missing = opcode == 0xE5 and self.expected < self.blocks
        if opcode == 0xE5 and not missing:
            self.store(0)
        return [self.state(opcode, 0xC800 if missing else 0)]

    def store(self, kept: int) -> None:
        while len(self.buffer) > kept:
            self.flash += self.buffer.pop(0)

    def again(self) -> Iterable[bytes]:
        said, self.asked = self.asked, True
        return [self.state(0xE3, resend=not said)]


@dataclass
class ReadingStub:
    """Sends numbered frames of `data`."""

    data: bytes
    session: int = 0
    frame: int = 1
    frames: int = 0
    window: int = 0
    sent: int = 0

    def serve(self, frame: bytes) -> Iterable[bytes]:
        opcode, body = frame[1], fields_of(frame)
        if body is None:
            return [answer(opcode, 0xFFFFFFFF, b"", 0xC100)]
        if opcode == 0xE8:
            self.session, offset, size, self.frame, self.window, _ = struct.unpack("<6I", body)
            assert (offset, size) == (0, len(self.data))
            self.frames, self.sent = -(-size // self.frame), 0
            return [answer(0xE8, self.frames, b""), *self.more(0)]
        session, upto, count, *again = struct.unpack(f"<{len(body) // 4}I", body)
        if session != self.session:
            return []
        assert count == len(again)
        if upto >= self.frames:
            return [answer(0xEA, self.frames, b"")]
        return [*(self.one(n) for n in again), *self.more(upto)]

    def more(self, upto: int) -> Iterable[bytes]:
        first = max(self.sent, upto)
        self.sent = max(first, min(self.frames, upto + self.window))
        return [self.one(n) for n in range(first, self.sent)]

    def one(self, number: int) -> bytes:
        data = self.data[number * self.frame : (number + 1) * self.frame]
        packer = zlib.compressobj(1, zlib.DEFLATED, -15)
        packed = packer.compress(data) + packer.flush()
        method, body = (1, packed) if number % 2 else (0, data)
        return answer(0xE9, number, struct.pack("<3I", self.session, method, len(data)) + body)


class Line:
    """Both directions of a line between a window and a stub, and the time."""

    def __init__(
        self, serve: Callable[[bytes], Iterable[bytes]], fates: list[Fate], step: int | None
    ) -> None:
        self.now = 100.0
        self.serve = serve
        self._fates = list(reversed(fates))
        self._step = step
        self._held: dict[bool, list[bytes]] = {True: [], False: []}
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._decoder = slip.Decoder()

    def send(self, request: Request) -> None:
        for frame in self._fate(packets.request(request.opcode, request.data), out=True):
            for back in self.serve(frame):
                for arrived in self._fate(back, out=False):
                    self._waiting.append((self.now + 2 * TRIP_S, arrived))

    def _fate(self, frame: bytes, out: bool) -> list[bytes]:
        what, at = self._fates.pop() if self._fates else ("pass", 0)
        held, self._held[out] = self._held[out], []
        at %= len(frame)
        match what:
            case "lose":
                return held
            case "double":
                return [frame, frame, *held]
            case "hold":
                self._held[out] = [*held, frame]
                return []
            case "damage":
                # Behind the header, which a request for nothing would not even get through.
                at = max(8, at) if len(frame) > 8 else at
                frame = frame[:at] + bytes((frame[at] ^ 0x41,)) + frame[at + 1 :]
            case "cut":
                frame = frame[: max(8, at)]
        return [frame, *held]

    def receive(self, deadline: float) -> list[bytes]:
        """The next frame, or the deadline."""
        if not self._waiting or self._waiting[0][0] > deadline:
            self.now = max(self.now, deadline)
            return []
        at, frame = self._waiting.popleft()
        self.now = max(self.now, at)
        raw = slip.encode(frame)
        step = self._step or len(raw)
        return [f for i in range(0, len(raw), step) for f in self._decoder.feed(raw[i : i + step])]


#: With fewer bad frames than that, no stub counts as lost: it is asked that often.
FEWEST_TO_LOSE = 5


def _bad(fates: list[Fate]) -> int:
    return sum(what != "pass" for what, _ in fates)


def drive(window: Window, line: Line, check: Callable[[], None]) -> None:
    """As the transfer does it, with a look at every step; it must end."""
    for _ in range(20_000):
        for request in window.due(line.now):
            line.send(request)
        check()
        if window.over:
            return
        for frame in line.receive(window.deadline()):
            window.take(frame, line.now)
            check()
    raise AssertionError("The window does not end.")


def write_order(stream: bytes = DATA, flags: int = 0, block: int = BLOCK) -> WriteOrder:
    return WriteOrder(77, 0x1000, len(DATA), stream, WriteFlag(flags), block, 6, 92_160, 0.005)


def read_order() -> ReadOrder:
    return ReadOrder(99, 0, len(DATA), BLOCK, 8, True, 92_160)


@settings(max_examples=150, deadline=None)
@given(FATES, st.sampled_from([None, 1, 7]))
def test_a_write_ends_and_claims_only_what_the_stub_has(
    fates: list[Fate], step: int | None
) -> None:
    stub = WritingStub()
    window = WriteWindow(write_order())

    def check() -> None:
        assert window.done <= len(stub.flash)
        assert DATA.startswith(stub.flash)

    try:
        drive(window, Line(stub.serve, fates, step), check)
    except LinkTimeoutError:
        assert _bad(fates) >= FEWEST_TO_LOSE
        return
    assert window.phase is WritePhase.CLOSED
    assert bytes(stub.flash) == DATA
    assert window.done == len(DATA)


@settings(max_examples=150, deadline=None)
@given(FATES, st.sampled_from([None, 1, 7]))
def test_a_read_ends_and_gives_the_right_bytes_in_order(
    fates: list[Fate], step: int | None
) -> None:
    window = ReadWindow(read_order())
    found = bytearray()

    def check() -> None:
        for data in window.received():
            found.extend(data)
        assert DATA.startswith(found)
        assert window.done == len(found)

    try:
        drive(window, Line(ReadingStub(DATA).serve, fates, step), check)
    except LinkTimeoutError:
        assert _bad(fates) >= FEWEST_TO_LOSE
        return
    assert window.phase in (ReadPhase.CLOSED, ReadPhase.UNHEARD)
    assert found == DATA


@pytest.mark.parametrize("what", ["lose", "double", "hold", "damage", "cut"])
def test_one_or_two_bad_frames_anywhere_are_made_good(what: str) -> None:
    # A write and a read of so many frames have fewer than 32 messages on a good line.
    for at in range(32):
        for width in (1, 2):
            fates: list[Fate] = [("pass", 0)] * at + [(what, 900)] * width
            stub = WritingStub()
            write = WriteWindow(write_order())
            drive(write, Line(stub.serve, fates, None), lambda: None)
            assert bytes(stub.flash) == DATA
            read = ReadWindow(read_order())
            drive(read, Line(ReadingStub(DATA).serve, fates, None), lambda: None)
            assert b"".join(read.received()) == DATA


def test_a_good_line_takes_each_block_once_and_the_end_behind_it() -> None:
    stub = WritingStub()
    sent: list[int] = []

    def serve(frame: bytes) -> Iterable[bytes]:
        sent.append(frame[1])
        return stub.serve(frame)

    window = WriteWindow(write_order())
    drive(window, Line(serve, [], None), lambda: None)
    count = -(-len(DATA) // BLOCK)
    assert sent == [0xE2, *[0xE3] * count, 0xE5]
    assert (window.sent_bytes, window.resends) == (len(DATA), 0)


@pytest.mark.parametrize(
    "make", [lambda: WriteWindow(write_order()), lambda: ReadWindow(read_order())]
)
def test_a_silent_stub_is_asked_a_few_times_and_then_lost(make: Callable[[], Window]) -> None:
    sent: list[bytes] = []

    def serve(frame: bytes) -> Iterable[bytes]:
        sent.append(frame)
        return []

    line = Line(serve, [], None)
    with pytest.raises(LinkTimeoutError, match="does not answer any more"):
        drive(make(), line, lambda: None)
    assert len(sent) < 20
    assert line.now - 100 < 20


def test_a_stub_that_answers_without_getting_on_is_lost() -> None:
    stub = WritingStub()

    def serve(frame: bytes) -> Iterable[bytes]:
        return stub.serve(frame) if frame[1] == 0xE2 else [stub.state(0xE4)]

    with pytest.raises(LinkTimeoutError, match="does not advance"):
        drive(WriteWindow(write_order()), Line(serve, [], None), lambda: None)


def test_flash_that_fails_ends_the_write_with_how_far_it_came() -> None:
    stub = WritingStub(fails_at=4 * BLOCK)
    window = WriteWindow(write_order())
    with pytest.raises(ChipResponseError, match="c400") as caught:
        drive(window, Line(stub.serve, [], None), lambda: None)
    assert window.done == 4 * BLOCK
    assert f"{0x1000 + 4 * BLOCK:#010x}" in str(caught.value)


def test_a_refused_read_says_so() -> None:
    with pytest.raises(FatalError, match=r"begin to read at 0x0{8}.*c200"):
        drive(
            ReadWindow(read_order()),
            Line(lambda frame: [answer(frame[1], 0, b"", 0xC200)], [], None),
            lambda: None,
        )


def test_an_end_of_another_write_is_no_end_of_this_one() -> None:
    stub = WritingStub()
    window = WriteWindow(write_order())
    window.due(0.0)
    window.take(stub.state(0xE2), 0.01)
    window.take(answer(0xE5, 1000, struct.pack("<3I", 1006, 100, 0)), 0.02)
    assert not window.over
    assert window.done == 100


def test_a_line_that_damages_blocks_calls_for_small_ones() -> None:
    data = bytes(0x40000)
    stub = WritingStub()
    order = WriteOrder(7, 0, len(data), data, WriteFlag(0), 0x1000, 6, 92_160)
    window = WriteWindow(order)
    drive(window, Line(stub.serve, [("pass", 0)] * 20 + [("damage", 900)] * 2, None), lambda: None)
    assert window.phase is WritePhase.SHRUNK
    assert 0 < window.done == len(stub.flash) < len(data)


def test_frames_beyond_the_window_or_of_another_read_are_passed_over() -> None:
    stub = ReadingStub(DATA)
    window = ReadWindow(read_order())
    [begin] = window.due(0.0)
    frames = list(stub.serve(packets.request(begin.opcode, begin.data)))
    stub.session = 98
    window.take(stub.one(0), 0.01)
    stub.session = 99
    window.take(stub.one(8), 0.01)
    assert window.phase is ReadPhase.OPENING
    for frame in frames[2:] + frames[:2]:
        window.take(frame, 0.02)
    assert b"".join(window.received()) == DATA[: 8 * BLOCK]
