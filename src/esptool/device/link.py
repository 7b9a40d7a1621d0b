# SPDX-License-Identifier: Apache-2.0
"""Frames over a port with deadlines: one request out, its answer in. Knows no chip."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esptool.errors import LinkTimeoutError, ProtocolError
from esptool.protocol import packets, slip, status
from esptool.protocol.opcodes import Cmd, name_of

if TYPE_CHECKING:
    from esptool.transport.port import Port

#: Called with text about the traffic; None when nobody listens, so that no text is made.
Trace = Callable[[str], None]

#: Frames that may stand in the way of an answer before it is given up.
MAX_STRANGE_FRAMES = 100
#: No answer is longer; more of a frame gets no more time.
LONGEST_FRAME = 0x10000
BITS_A_BYTE = 10
#: Below this, what is sent may take longer than timeouts allow for.
SLOW_BAUD = 9600
#: Bytes of one frame do not stand apart for longer.
GAP_S = 0.1
#: A line that carries a frame at half its rate is still waited for.
SLACK = 2.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What an answer carries: the 32-bit value field and the data without the status bytes."""

    value: int
    data: bytes


class Link:
    """A port that speaks in frames.

    Attributes:
        port: the port underneath.
        requests: how many requests were sent, for measurements.
    """

    def __init__(self, port: Port, trace: Trace | None = None) -> None:
        self.port = port
        self.trace = trace
        self.requests = 0
        #: Told of each opcode before its request goes out: it may have something sent before.
        self.before: Callable[[int], None] = lambda _opcode: None
        self._decoder = slip.Decoder()
        self._frames: deque[bytes] = deque()
        #: The clock of deadlines and rates; a virtual line has its own.
        self.now: Callable[[], float] = port.now
        #: Waits by that clock, so that a virtual line need not be sat out.
        self.sleep: Callable[[float], None] = port.sleep
        self._started = self.now()

    def reattach(self) -> None:
        """The port was opened anew: forget what was under way on the old one."""
        self._decoder = slip.Decoder()
        self._frames.clear()

    # --- bytes ---------------------------------------------------------------------------------

    def send_frame(self, payload: bytes) -> None:
        """Send one frame.

        Raises:
            PortError: the port is gone or does not take data.
        """
        if self.trace is not None:
            self._note(f"Write {len(payload)} bytes", payload)
        self.port.send(slip.encode(payload))

    def discard_input(self) -> None:
        """Forget everything received so far, here and in the operating system."""
        self._frames.clear()
        self._decoder.reset()
        self.port.discard_received()

    def pump(self, timeout_s: float) -> bool:
        """Take in what has arrived, waiting up to `timeout_s` for the first byte; True if any.

        Raises:
            PortError: the port is gone.
        """
        data = self.port.receive(timeout_s)
        if not data:
            return False
        if self.trace is not None:
            self._note(f"Read {len(data)} bytes", data)
        self._frames.extend(self._decoder.feed(data))
        return True

    def await_frame(self, deadline: float) -> bool:
        """Wait for a frame, whole or damaged; False at `deadline`, however much else still comes.

        A frame that has begun may take as long as its bytes need at the line's rate.

        Raises:
            PortError: the port is gone.
        """
        while not self._frames:
            damaged = self._decoder.malformed
            left = deadline - self.now()
            overtime = left <= 0
            if overtime:
                left = min(GAP_S, left + self._still_needed_s())
            came = self.pump(max(0.0, left))
            if self._frames or self._decoder.malformed != damaged:
                return True
            if overtime and not came:
                return False
            if self.now() - deadline >= max(self._still_needed_s(), 1e-9):
                return False
        return True

    def _still_needed_s(self) -> float:
        """How long the bytes of the present frame may have taken on the line."""
        size = min(self._decoder.size, LONGEST_FRAME)
        return SLACK * size * BITS_A_BYTE / max(1, self.baud)

    def frames_within(self, timeout_s: float) -> Iterator[bytes]:
        """The frames that have come; where there are none, those that come first in time."""
        deadline = self.now() + timeout_s
        while not self._frames:
            if not self.await_frame(deadline):
                return
        yield from self.arrived()

    def arrived(self) -> Iterator[bytes]:
        """The frames that have come, without waiting."""
        while self._frames:
            yield self._frames.popleft()

    def read_frame(self, timeout_s: float) -> bytes:
        """The next frame.

        Raises:
            LinkTimeoutError: none was complete within `timeout_s`.
            ProtocolError: what came was damaged.
            PortError: the port is gone.
        """
        return self._taken(self.await_frame(self.now() + timeout_s))

    def _taken(self, came: bool) -> bytes:
        """The frame that was waited for; see `read_frame`."""
        if not came:
            raise self._silence()
        if not self._frames:
            raise ProtocolError("A damaged packet was received (invalid SLIP escape).")
        frame = self._frames.popleft()
        if self.trace is not None:
            self._note("Received full packet", frame)
        return frame

    @property
    def stray(self) -> bytes:
        """The latest bytes outside of frames: a boot log, a console, noise."""
        return self._decoder.stray

    @property
    def baud(self) -> int:
        """The port's rate in bits a second."""
        return self.port.baud

    def set_baud(self, baud: int) -> None:
        """Set the port's rate.

        Raises:
            PortError: the driver refuses it.
        """
        self.port.baud = baud

    # --- requests ------------------------------------------------------------------------------

    def send_request(self, opcode: int, data: bytes = b"", check: int = 0) -> None:
        """Send a request without waiting for its answer."""
        self.before(opcode)
        self.requests += 1
        if self.trace is not None:
            self._note(
                f"--- Cmd {name_of(opcode)} (0x{opcode:02x}) | data_len {len(data)} "
                f"| checksum 0x{check:02x} ---"
            )
        self.send_frame(packets.request(opcode, data, check))

    def read_response(self, opcode: int | None, timeout_s: float) -> packets.Response:
        """The next response to `opcode` (any, when None); other frames are dropped.

        Raises:
            LinkTimeoutError, ProtocolError, PortError: see `read_frame`.
        """
        deadline = self.now() + timeout_s
        for _ in range(MAX_STRANGE_FRAMES):
            response = packets.parse_response(self._taken(self.await_frame(deadline)))
            if response is None:
                continue
            if opcode is None or response.opcode == opcode or _is_refusal(response):
                return response
        raise ProtocolError(
            f"No answer to {name_of(opcode or 0)} among {MAX_STRANGE_FRAMES} packets: "
            "the chip and the tool are out of step."
        )

    def command(
        self, opcode: int, data: bytes = b"", check: int = 0, timeout_s: float = 3.0
    ) -> packets.Response:
        """Send a request and return its answer."""
        self.send_request(opcode, data, check)
        return self.read_response(opcode, timeout_s)

    def sync_once(self, timeout_s: float) -> packets.Response:
        """Send SYNC and return the first answer; the chip sends up to seven more."""
        return self.command(Cmd.SYNC, packets.SYNC_PAYLOAD, timeout_s=timeout_s)

    # --- diagnosis -----------------------------------------------------------------------------

    def _silence(self) -> LinkTimeoutError:
        if self._decoder.mid_frame:
            return LinkTimeoutError("Packet content transfer stopped: the rest did not come.")
        if self.stray:
            return LinkTimeoutError(
                "Invalid head of packet: the chip sends something else than the protocol "
                "(possible serial noise or corruption)."
            )
        if self.baud < SLOW_BAUD:
            return LinkTimeoutError(
                "No serial data received.",
                remedy=f"At {self.baud} baud requests take longer than answers are waited for. "
                "Use a higher --baud.",
            )
        return LinkTimeoutError("No serial data received.")

    def _note(self, text: str, payload: bytes | None = None) -> None:
        assert self.trace is not None
        at = self.now() - self._started
        body = "" if payload is None else ": " + payload[:64].hex()
        more = "" if payload is None or len(payload) <= 64 else "..."
        self.trace(f"TRACE +{at:.3f}   {text}{body}{more}")


def _is_refusal(response: packets.Response) -> bool:
    """A ROM answers a command that it does not know under an opcode other than the request's."""
    data = response.data
    return len(data) >= 2 and data[0] != 0 and data[1] == status.ROM_INVALID_MESSAGE
