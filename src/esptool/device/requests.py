# SPDX-License-Identifier: Apache-2.0
"""Requests to one chip: status checked, errors in words, registers read and written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING

from esptool.chips.spec import ChipSpec, FieldPart, Op, Step
from esptool.device.link import Link, Reply
from esptool.errors import (
    ChipResponseError,
    DamagedRequestError,
    LineLossError,
    NoAnswerError,
    ProtocolError,
    UnsupportedCommandError,
)
from esptool.events import Level, Listener, Message
from esptool.protocol import packets, status
from esptool.protocol.ext import Capability, ExtInfo
from esptool.protocol.opcodes import Cmd, name_of
from esptool.protocol.packets import failure
from esptool.transport.settings import Settings

if TYPE_CHECKING:
    from esptool.device.debugger import Debugger

#: A ROM that does not know a command says so as often as it has answered the request before: after
#: SYNC eight times. They come one behind the other.
REFUSALS = 8
REFUSAL_GAP_S = 0.05
#: Registers of one WRITE_REG.
STEPS_AT_ONCE = 8
STUB_STATUS_BYTES = 2
#: Blocks of a transfer that the ROM let begin: refused with reason 5 they came damaged.
BLOCKS = frozenset({Cmd.MEM_DATA, Cmd.FLASH_DATA, Cmd.FLASH_DEFL_DATA})

#: What all ROMs know, and forbid in secure download mode at most.
KNOWN_TO_ROMS = frozenset(
    {Cmd.MEM_BEGIN, Cmd.MEM_END, Cmd.READ_REG, Cmd.WRITE_REG, Cmd.FLASH_BEGIN}
)


#: What a bad line or a lost chip looks like; `Recovery` tells which of them another try can mend.
#: A ROM says "unknown command" of a damaged one too.
LOSSES = (LineLossError, ChipResponseError, UnsupportedCommandError)

#: What is taken of a budget: by taking lost work up again, and by sending one request again.
TRY, RESEND = 4, 1
#: How often a request may still be sent again where the budget is used up.
SPARE = 4


class Tries:
    """One budget for all that is done once more in a job, so that tries do not multiply.

    Requests, blocks, uploads and the recovery of a lost chip all take from it. What gets through in
    the end costs nothing; `esptool.transfer.recovery` says when a job got further.

    Attributes:
        left: what is left of it; a little less than nothing where the spare is in use.
        job: it is that of a job, not of single requests, each of which stands for itself.
    """

    def __init__(self, retries: int, *, job: bool = True) -> None:
        """For `retries` losses in a row."""
        self._full = self._renewed = TRY * retries
        self.left = self._full
        self.job = job

    def renew(self) -> None:
        """The job got further: what single steps took comes back."""
        self.left = self._renewed

    def restore(self) -> None:
        """Part of the job is done and proved: the budget is whole again."""
        self.left = self._renewed = self._full

    def spend(self, cost: int = TRY) -> bool:
        """Take a try from what is left; False where there is none."""
        if self.left < cost:
            return False
        self.left -= cost
        return True

    def sink(self) -> bool:
        """Take a try that only `restore` gives back; False where there is none."""
        if not self.spend():
            return False
        self._renewed -= TRY
        return True

    def resend(self) -> bool:
        """Take what one request costs; False where nothing is left, the spare included."""
        if self.left <= -SPARE * RESEND:
            return False
        self.left -= RESEND
        return True

    def got_through(self, before: int) -> None:
        """What began with `before` left got through: what it took is forgotten."""
        self.left = before if self.job else self._full


class StubKind(Enum):
    """What answers on the link."""

    NONE = "rom"
    PUBLIC = "public"
    OURS = "ours"


class Requester:
    """One chip as a receiver of requests, and what is known of who answers.

    Attributes:
        spec: the chip's data.
        link: the frames underneath.
        settings: timeouts and retries.
        listener: where remarks for a person go.
        stub_kind: what answers: the ROM, a public stub, or ours.
        secure_download: the ROM is in secure download mode: registers and RAM are closed.
        ext: what our stub can do beyond the public protocol, None without it.
        late_missing: the build of a stub of ours that runs without its late part; else 0.
        batch_number: that of the last batch; None while it is unknown what the stub did before.
        read_many: reads several registers in one round trip, where the other side can.
        round_trip: the shortest time in which a request was answered, in seconds; 0 before.
        sync_stub_detected: a stub was already running when the connection was made.
        has_left: a reset has taken the chip out of its loader.
        tries: the budget of the present job.
        debugger: the way to the chip where that is no line; None where it is one.
    """

    debugger: Debugger | None = None

    def __init__(self, spec: ChipSpec, link: Link, settings: Settings, listener: Listener) -> None:
        self.spec = spec
        self.link = link
        self.settings = settings
        self.listener = listener
        self.stub_kind = StubKind.NONE
        self.secure_download = False
        self.ext: ExtInfo | None = None
        self.late_missing = 0
        self.batch_number: int | None = None
        self.read_many: Callable[[Sequence[int]], list[int]] | None = None
        self.round_trip = 0.0
        self.sync_stub_detected = False
        self.has_left = False
        self.tries = Tries(settings.retries, job=False)

    @contextmanager
    def one_job(self) -> Iterator[Tries]:
        """The budget of the present job; where there is none, what is done here is one."""
        outside = self.tries
        if not outside.job:
            self.tries = Tries(self.settings.retries)
        try:
            yield self.tries
        finally:
            self.tries = outside

    @property
    def is_stub(self) -> bool:
        """A stub answers, not the ROM."""
        return self.stub_kind is not StubKind.NONE

    def can(self, capability: Capability) -> bool:
        """Our stub runs, and offers this extension."""
        return self.ext is not None and self.ext.has(capability)

    @property
    def may_batch(self) -> bool:
        """Several accesses may go out as one request."""
        # A trace is read by people and by scripts: it shows each register access by itself.
        return self.link.trace is None and self.can(Capability.BATCH)

    def left_stub(self) -> None:
        """The ROM (or an application) answers again."""
        self.stub_kind = StubKind.NONE
        self.ext = None
        self.late_missing = 0
        self.read_many = None
        self.sync_stub_detected = False

    @property
    def status_bytes(self) -> int:
        """Length of the status at the end of each answer."""
        return STUB_STATUS_BYTES if self.is_stub else self.spec.rom.status_bytes

    def note(self, text: str, level: Level = Level.NOTE) -> None:
        """Tell the listener."""
        self.listener(Message(text, level))

    # --- requests ------------------------------------------------------------------------------

    def command(
        self,
        opcode: int,
        data: bytes = b"",
        check: int = 0,
        timeout_s: float | None = None,
        wait: bool = True,
    ) -> tuple[int, bytes]:
        """Send a request; return the value field and the data with its status, unchecked.

        With `wait=False` nothing is read and (0, b"") comes back.
        """
        if not wait:
            self.link.send_request(opcode, data, check)
            return 0, b""
        timeout_s = min(
            self.settings.timeout if timeout_s is None else timeout_s, self.settings.max_timeout
        )
        response = self.link.command(opcode, data, check, timeout_s)
        return response.value, response.data

    def request(
        self,
        what: str,
        opcode: int,
        data: bytes = b"",
        check: int = 0,
        timeout_s: float | None = None,
        attempts: int = 1,
        size: int | None = None,
    ) -> Reply:
        """Send a request, check its status and return value and data.

        Args:
            what: the request in words, for an error: "write to target RAM".
            attempts: how often to send it at most, for requests that do no harm when done twice.
            size: bytes of data that a good answer has, where that is known: its status is right
                behind them, and what follows does not count.

        Raises:
            ChipResponseError: the chip refused it.
            UnsupportedCommandError: the ROM does not know it.
            LinkTimeoutError, ProtocolError: no whole answer came.
        """
        doubts = 0 if self.secure_download else int(opcode in KNOWN_TO_ROMS)
        budget = self.tries.left
        while True:
            attempts -= 1
            try:
                value, body = self.command(opcode, data, check, timeout_s)
                reply = Reply(value, self.checked(what, opcode, body, size))
                self.tries.got_through(budget)
                return reply
            except NoAnswerError:
                if attempts <= 0 or not self.tries.resend():
                    raise
                self.link.discard_input()
            except UnsupportedCommandError:
                # A ROM says so of a damaged request, too; what it refused it has not done.
                if not doubts or not self.tries.resend():
                    raise
                doubts -= 1
            except DamagedRequestError:
                if attempts <= 0 or not self.tries.resend():
                    raise

    def checked(self, what: str, opcode: int, body: bytes, size: int | None = None) -> bytes:
        """The data of an answer whose status is good; see `request` for what is raised."""
        length = self.status_bytes
        if size is not None and len(body) >= size + STUB_STATUS_BYTES:
            length = len(body) - size
        if len(body) < length:
            # A ROM with 4 status bytes and one with 2 begin alike.
            if len(body) < STUB_STATUS_BYTES:
                raise ProtocolError(f"Failed to {what}. Only got {len(body)} byte status response.")
            length = STUB_STATUS_BYTES
        end = len(body) - length
        failed, reason = body[end], body[end + 1]
        if not failed:
            return body[:end]
        if not self.is_stub and reason == status.ROM_INVALID_MESSAGE and opcode not in BLOCKS:
            self.drain_refusals()
            raise UnsupportedCommandError(
                f"Failed to {what}: the ROM loader does not know this command "
                f"({name_of(opcode)}) or forbids it."
            )
        raise failure(what, opcode, (failed << 8) | reason)

    def drain_refusals(self) -> None:
        """Take in the repetitions of a refusal of which the first has come."""
        for _ in range(REFUSALS - 1):
            try:
                self.link.read_frame(REFUSAL_GAP_S)
            except ProtocolError:
                continue
            except NoAnswerError:
                break
        self.link.discard_input()

    # --- registers -----------------------------------------------------------------------------

    def read_reg(self, address: int, timeout_s: float | None = None) -> int:
        """The 32-bit word at `address`."""
        what = f"read register address 0x{address:08x}"
        data = packets.words(address)
        return self.request(what, Cmd.READ_REG, data, timeout_s=timeout_s, attempts=3).value

    def read_regs(self, addresses: Sequence[int]) -> list[int]:
        """The words at `addresses`, in one request where the other side can."""
        if len(addresses) > 1 and self.read_many is not None and self.may_batch:
            return self.read_many(addresses)
        return [self.read_reg(a) for a in addresses]

    def write_reg(
        self,
        address: int,
        value: int,
        mask: int = 0xFFFFFFFF,
        delay_us: int = 0,
        delay_after_us: int = 0,
    ) -> None:
        """Write `value` where `mask` has ones, wait `delay_us`.

        A `delay_after_us` is made on the chip too, by a second write to the UART date register,
        where it does nothing.
        """
        data = packets.words(address, value, mask, delay_us)
        if delay_after_us > 0:
            data += packets.words(self.spec.uart.date_reg, 0, 0, delay_after_us)
        self.request(f"write target memory at 0x{address:08x}", Cmd.WRITE_REG, data)

    def update_reg(self, address: int, mask: int, value: int) -> None:
        """Replace the bits of `mask` by those of `value`, which counts from the mask's low bit."""
        shift = (mask & -mask).bit_length() - 1
        word = self.read_reg(address) & ~mask
        self.write_reg(address, word | ((value << shift) & mask))

    def read_field(self, parts: Sequence[FieldPart]) -> int:
        """The value assembled from parts of registers."""
        words = self.read_regs([p.address for p in parts])
        return assemble(parts, dict(zip([p.address for p in parts], words, strict=True)))

    def run_steps(self, steps: Sequence[Step]) -> None:
        """Execute a register recipe of the chip's data, several writes in one request."""
        waiting: list[bytes] = []

        def flush() -> None:
            if waiting:
                self.request("write registers", Cmd.WRITE_REG, b"".join(waiting))
                waiting.clear()

        for step in steps:
            match step.op:
                case Op.WRITE:
                    waiting.append(packets.words(step.address, step.value, 0xFFFFFFFF, 0))
                case Op.SET_BITS:
                    waiting.append(packets.words(step.address, step.value, step.value, 0))
                case Op.CLEAR_BITS:
                    waiting.append(packets.words(step.address, 0, step.value, 0))
                case Op.SLEEP:
                    flush()
                    self.link.sleep(step.value / 1e6)
            if len(waiting) == STEPS_AT_ONCE:
                flush()
        flush()


def assemble(parts: Sequence[FieldPart], words: dict[int, int]) -> int:
    """Put the parts of a field together; `words` holds the registers by address."""
    value = 0
    for p in parts:
        value |= ((words[p.address] >> p.shift) & ((1 << p.width) - 1)) << p.out_shift
    return value
