# SPDX-License-Identifier: Apache-2.0
"""The first stage on the chip, spoken to: requests, the way back to its rate, blocks, the start."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from esptool.device.link import Link
from esptool.errors import LinkTimeoutError, NotSupportedError, ProtocolError
from esptool.protocol import slip, stage
from esptool.protocol.packets import BITS_A_BYTE
from esptool.protocol.stage import StageAnswer, StageInfo, StageOp, StageStatus
from esptool.protocol.windows.blocks import BlockWindow
from esptool.stubs.first import Image

#: Blocks on their way at once.
WINDOW = 8
#: The stage answers at once; a bridge may take as long as this.
ANSWER_S = 0.1
ATTEMPTS = 3
#: What unpacking and checking may take on a slow processor.
START_S = 0.3
#: So many bytes without a good frame make the stage give up a rate that it was not heard at, and so
#: many one that had been proven.
GARBAGE_ON_TRIAL, GARBAGE = 256, 8192
FILLER = b"\x55"
#: A frame beside its fields, and what escaping may add.
_OVERHEAD = 16


class FirstStageLink:
    """A first stage that runs.

    Attributes:
        info: what it says of itself.
        base: the rate at which it was started: it comes back to that by itself.
        resent: blocks that had to be sent again so far.
    """

    def __init__(self, link: Link, info: StageInfo) -> None:
        self.link = link
        self.info = info
        self.base = link.baud
        self.resent = 0
        self._number = 0

    # --- requests --------------------------------------------------------------------------------

    def next_number(self) -> int:
        """A number that no request has had lately."""
        self._number = (self._number + 1) & 0xFFFF
        return self._number

    def ask(
        self,
        op: StageOp,
        fields: bytes = b"",
        *,
        attempts: int = ATTEMPTS,
        wait_s: float = ANSWER_S,
    ) -> StageAnswer:
        """Send a request, again where nothing whole comes back, and return its answer.

        Every request may be repeated without harm.

        Args:
            wait_s: for the answer each time, besides what the line needs.

        Raises:
            LinkTimeoutError: no answer.
            NotSupportedError: the stage does not know the operation.
        """
        number = self.next_number()
        frame = stage.request(op, number, fields)
        for _ in range(attempts):
            self.link.send_frame(frame)
            # That something came damaged need not be about this one.
            for payload in self._within(wait_s + self.line_s(len(frame))):
                answer = stage.parse(payload)
                if answer is None or (answer.op, answer.number) != (op, number):
                    continue
                if answer.status == StageStatus.UNKNOWN:
                    raise NotSupportedError("The first stage does not know this request.")
                return answer
        raise LinkTimeoutError("The first stage of the stub does not answer.")

    def line_s(self, size: int) -> float:
        """How long a frame with so many bytes of fields, and one like it back, take on the line."""
        return 2 * (size + _OVERHEAD) * BITS_A_BYTE / max(1, self.link.baud)

    def hello(self, attempts: int = ATTEMPTS, wait_s: float = ANSWER_S) -> bool:
        """The stage answers at the present rate."""
        try:
            answer = self.ask(StageOp.HELLO, attempts=attempts, wait_s=wait_s)
        except LinkTimeoutError:
            return False
        self.info = stage.parse_info(answer) or self.info
        return True

    # --- rates -----------------------------------------------------------------------------------

    def back_to_base(self, garbage: int = GARBAGE) -> None:
        """Let the chip give up its rate, and follow it.

        Raises:
            LinkTimeoutError: it is not to be heard there either.
        """
        self.link.set_baud(self.base)
        for _ in range(ATTEMPTS):
            if self.hello(1):
                return
            self.unheard(garbage)
            self.link.discard_input()
            garbage = GARBAGE
        if not self.hello():
            raise LinkTimeoutError("The first stage of the stub is lost.")

    def unheard(self, bytes_: int = GARBAGE_ON_TRIAL) -> None:
        """Send so many bytes that are no frame, by which the chip gives up another rate."""
        self.link.port.send(FILLER * bytes_ + slip.END)
        self.link.sleep(bytes_ * BITS_A_BYTE / self.link.baud)

    # --- the stub --------------------------------------------------------------------------------

    def send(
        self,
        *parts: tuple[int, bytes],
        worn: Callable[[int, int], bool] = lambda _again, _blocks: False,
    ) -> None:
        """Write to RAM, (address, bytes) of words: in blocks that are sent until acknowledged.

        `worn` is told how many blocks were sent again since it last did something about the rate,
        and how many there are; it returns whether it does.

        Raises:
            LinkTimeoutError: the stage does not answer any more, at `base` either.
        """
        size = self.info.longest - 4
        blocks = [
            struct.pack("<I", address + at) + data[at : at + size]
            for address, data in parts
            for at in range(0, len(data), size)
        ]
        frames = [
            stage.request(StageOp.WRITE, number, block + bytes(-len(block) % 4))
            for number, block in enumerate(blocks)
        ]
        window = BlockWindow(len(frames), WINDOW)
        before = 0
        while not window.over:
            due = window.due()
            if due:
                self.link.port.send(b"".join(slip.encode(frames[n]) for n in due))
            wait = ANSWER_S + window.on_way * self.line_s(size) / 2
            came = False
            for payload in self.link.frames_within(wait):
                answer = stage.parse(payload)
                if answer is not None:
                    window.take(answer)
                    came = True
            if not came:
                self._silent(window)
            if worn(window.resent - before, len(frames)):
                # What was on its way is lost with the change.
                before = window.resent + window.on_way
        self.resent += window.resent

    def _silent(self, window: BlockWindow) -> None:
        try:
            window.silence()
        except LinkTimeoutError:
            if self.link.baud == self.base:
                raise
            self.back_to_base()

    def start(self, image: Image, greeting: bytes) -> bool:
        """Unpack what was sent, place it and start it; True where its greeting has come already.

        Raises:
            ProtocolError: what arrived is not what was sent.
        """
        frame = stage.request(StageOp.START, 0, image.order())
        for _ in range(ATTEMPTS):
            self.link.send_frame(frame)
            for payload in self._within(ANSWER_S + START_S + self.line_s(len(frame))):
                if payload == greeting:
                    return True
                answer = stage.parse(payload)
                if answer is None or answer.op not in (StageOp.START, StageOp.DAMAGED):
                    continue
                if answer.op == StageOp.DAMAGED:
                    break
                if answer.status != StageStatus.GOOD:
                    raise ProtocolError("The stub did not arrive whole.")
                return False
        # The answers are lost, or the stub runs and takes no such request.
        return False

    def _within(self, timeout_s: float) -> Iterator[bytes]:
        """Frames until the time is up."""
        deadline = self.link.now() + timeout_s
        while (left := deadline - self.link.now()) > 0:
            yield from self.link.frames_within(left)


def greeted(link: Link, timeout_s: float) -> FirstStageLink | None:
    """The first stage, once it greets; None where nothing is heard of it."""
    deadline = link.now() + timeout_s
    while (left := deadline - link.now()) > 0:
        for payload in link.frames_within(left):
            answer = stage.parse(payload)
            info = stage.parse_info(answer) if answer is not None else None
            if info is not None:
                return FirstStageLink(link, info)
    return None


def called(link: Link) -> FirstStageLink | None:
    """A first stage whose greeting was lost: it is called."""
    here = FirstStageLink(link, StageInfo(0, 0, 0, 0))
    return here if here.hello() and here.info.longest else None
