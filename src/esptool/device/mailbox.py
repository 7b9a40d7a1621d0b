# SPDX-License-Identifier: Apache-2.0
"""A port that is no line: the buffers in RAM of a stub that a debugger runs.

What is sent is kept until something is to be received. Then it is put into the target's RAM, the
target runs until it stops by itself, and what it has left there is what was received.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from esptool.errors import PortError, ProtocolError
from esptool.protocol import packets
from esptool.transport.gdb import GdbClient, TargetError
from esptool.transport.port import NoLinesError, PortClosedError, PortInfo

if TYPE_CHECKING:
    from collections.abc import Callable

    from serial import Serial

    from esptool.events import Message
    from esptool.stubs.mailbox import MailboxStub

#: What is read with the counts, as long as nothing more is known of answers.
LEAST_LOOK = 256
#: How many times longer than for a line a target is waited for that runs.
PATIENCE = 10.0
#: Data for the stub that wait here; more is for a stub that does not take any.
MOST_WAITING = 1 << 22


class Handle:
    """What programs hold in place of a serial port: it has a name, and can be closed."""

    def __init__(self, port: MailboxPort) -> None:
        self._port = port
        self.port = self.name = self.portstr = port.url

    @property
    def baudrate(self) -> int:
        """Of no meaning here."""
        return self._port.baud

    @property
    def is_open(self) -> bool:
        """The debugger is connected."""
        return self._port.is_open

    def close(self) -> None:
        """Leave the debugger for good."""
        self._port.let_go()


class MailboxPort:
    """A `Port` over a debugger.

    Attributes:
        client: the debugger.
        stub: what runs in the target; None before it does.
        thread: the one that runs, where others are to stand; None lets all of them run.
        stops: how often the target has stopped, for measurements.
        let_go: ends all that belongs to the debugger.
        baud: of no meaning here; kept, as with any port.
    """

    def __init__(self, url: str, client: GdbClient, pc_register: int) -> None:
        self._url = url
        self.client = client
        self.pc_register = pc_register
        self.stub: MailboxStub | None = None
        self.thread: str | None = None
        self.let_go: Callable[[], None] = self.close
        self.stops = 0
        self.baud = 115200
        self._received = bytearray()
        self._waiting = bytearray()
        #: Bytes in the target's buffer that the stub has not taken.
        self._untaken = 0
        self._idle = True
        self._count = 0
        self._look = LEAST_LOOK
        self._by_address = True
        self._closed = False
        self._worked = 0.0

    # --- a stub ----------------------------------------------------------------------------------

    def start(self, stub: MailboxStub) -> None:
        """Begin with a stub that stands in the target's RAM, at its first instruction.

        Raises:
            TargetError: the debugger refuses.
            PortError: it is gone.
        """
        client = self.client
        self._received.clear()
        self._waiting.clear()
        self.stub, self._untaken, self._count = stub, 0, 0
        self._idle = False
        client.write(stub.counts, packets.words(stub.room, 0, 0, 0))
        client.set_breakpoint(stub.stop, size=stub.resume - stub.stop)
        client.write_register(self.pc_register, stub.entry)
        client.resume(thread=self.thread)

    def halted(self) -> None:
        """Somebody else has the target now: nothing of the stub counts any more."""
        stub, self.stub = self.stub, None
        self._waiting.clear()
        self._received.clear()
        if stub is not None and self.client.is_open and not self.client.running:
            self.client.clear_breakpoint(stub.stop)

    # --- opening ---------------------------------------------------------------------------------

    @property
    def serial(self) -> Serial:
        """There is none, but something that programs can close."""
        return cast("Serial", Handle(self))

    @property
    def url(self) -> str:
        """As it was named."""
        return self._url

    @property
    def is_open(self) -> bool:
        """The debugger is connected."""
        return self.client.is_open

    def open(self, url: str | None = None) -> None:
        """Connect to the debugger again; the target stops by that."""
        if self._closed:
            raise PortClosedError(f"{self._url} was closed.")
        self.stub = None
        self.client.open()

    def release(self) -> None:
        """Leave the debugger for the moment."""
        self.client.close()

    def close(self) -> None:
        """Leave the debugger for good."""
        self._closed = True
        self.client.close()

    # --- bytes -----------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Keep it for the next stop."""
        if not self.client.is_open:
            raise PortError(f"The connection to {self.client.where} is lost.")
        if len(self._waiting) > MOST_WAITING:
            raise PortError("The stub in the target takes no data any more.")
        self._waiting += data

    def receive(self, timeout_s: float) -> bytes:
        """What the stub has left, after as many stops as that takes within the time."""
        deadline = self.now() + timeout_s
        try:
            while not self._received:
                left = max(0.0, deadline - self.now())
                if self.client.running:
                    if not self._await_stop(left * PATIENCE):
                        break
                elif self._waiting or not self._idle:
                    self._go_on()
                else:
                    # It waits for us, so that nothing can come.
                    time.sleep(left)
                    break
        except TargetError as e:
            raise ProtocolError(e.message) from e
        data = bytes(self._received)
        self._received.clear()
        return data

    def _running_stub(self) -> MailboxStub:
        if self.stub is None:
            raise ProtocolError("No stub runs in the target.")
        return self.stub

    def _go_on(self) -> None:
        """Give the stub what is there for it and has room, and let it run."""
        stub, client = self._running_stub(), self.client
        if self._untaken:
            client.write(stub.counts + 4, packets.words(0))
        else:
            data = bytes(self._waiting[: stub.room])
            del self._waiting[: len(data)]
            at = stub.room - len(data)
            client.write(stub.start + at, data + packets.words(at, 0))
        self._idle = False
        self._resume(stub)

    def _resume(self, stub: MailboxStub) -> None:
        client = self.client
        by_address = self._by_address and self.thread is None
        if not by_address:
            client.write_register(self.pc_register, stub.resume)
        client.resume(stub.resume if by_address else None, thread=self.thread)

    def _await_stop(self, timeout_s: float) -> bool:
        """Wait for the target, and take in what it has left; False where it still runs."""
        stub, client = self._running_stub(), self.client
        began = time.monotonic()
        try:
            if client.wait(timeout_s) is None:
                return False
        finally:
            self._worked += time.monotonic() - began
        self.stops += 1
        look = min(self._look, stub.answers)
        seen = client.read(stub.counts, 16 + look)
        taken, length, count, idle = (
            int.from_bytes(seen[at : at + 4], "little") for at in range(0, 16, 4)
        )
        if count == self._count:
            self._not_at_a_stop(stub)
            return True
        if count != self._count + 1 or taken > stub.room or length > stub.answers:
            raise self._elsewhere()
        self._count = count
        answer = seen[16 : 16 + length]
        if length > look:
            answer += client.read(stub.counts + 16 + look, length - look)
        self._look = max(LEAST_LOOK, length)
        self._untaken = stub.room - taken
        self._idle = bool(idle)
        self._received += answer
        return True

    def _not_at_a_stop(self, stub: MailboxStub) -> None:
        """It has stopped without the stub's doing: where a debugger does not go on behind its own
        breakpoint, by being set there; else something has happened to it."""
        if not self._by_address or self.client.read_register(self.pc_register) != stub.stop:
            raise self._elsewhere()
        self._by_address = False
        self._resume(stub)

    def _elsewhere(self) -> ProtocolError:
        at = self.client.read_register(self.pc_register)
        return ProtocolError(
            f"The target has stopped at {at:#010x}, where the stub does not stop: it was reset, or "
            "another debugger has stopped it."
        )

    def discard_received(self) -> None:
        """Forget what has come."""
        self._received.clear()

    def limit_sending(self, seconds: float) -> None:
        """Sending never waits."""

    # --- what it has not -------------------------------------------------------------------------

    @property
    def lines(self) -> tuple[bool, bool]:
        """There are none."""
        return False, False

    def set_dtr(self, on: bool) -> None:
        """There is none."""
        raise NoLinesError("A debugger has no control lines.")

    def set_rts(self, on: bool) -> None:
        """There is none."""
        raise NoLinesError("A debugger has no control lines.")

    def set_lines(self, dtr: bool, rts: bool) -> None:
        """There are none."""
        raise NoLinesError("A debugger has no control lines.")

    def now(self) -> float:
        """The clock of deadlines: slow while the target runs, as it is at work then, and no line
        can have lost anything."""
        return time.monotonic() - self._worked * (1 - 1 / PATIENCE)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    @property
    def usb(self) -> PortInfo | None:
        """The debugger's adapter is none of ours."""
        return None

    @property
    def remarks(self) -> tuple[Message, ...]:
        """None."""
        return ()
