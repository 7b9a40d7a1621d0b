# SPDX-License-Identifier: Apache-2.0
"""A chip behind a debugger: found, reset, given our stub, and left as it was asked for.

No ROM loader takes part, so that this works where download mode is fused off or no line is left.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esptool import chips
from esptool.chips._index import ROM_WORDS
from esptool.chips.spec import Arch, ChipSpec, Op, Step
from esptool.device.facts import Facts
from esptool.device.flash import Flash
from esptool.device.link import Link
from esptool.device.mailbox import MailboxPort
from esptool.device.power import Power
from esptool.device.requests import Requester
from esptool.device.spi_bus import SpiBus
from esptool.errors import (
    ConnectError,
    FatalError,
    LineLossError,
    LinkTimeoutError,
    NoAnswerError,
    NotSupportedError,
    PortError,
    UsageError,
)
from esptool.events import Level, Listener
from esptool.stubs import mailbox
from esptool.transport import gdb as transport
from esptool.transport.gdb import GdbClient, TargetError

if TYPE_CHECKING:
    from esptool.transport.openocd import OpenOcd
    from esptool.transport.settings import Settings

BEFORE = ("default-reset", "usb-reset", "no-reset", "no-reset-no-sync", "attach")
GREETING = b"OHAI"
GREETING_S = 5.0
#: Where processors stand behind a reset: at these addresses nothing was executed yet.
RESET_VECTORS = {
    Arch.RISCV: frozenset({0x40000000, 0x4FC00000, 0x2F800000}),
    Arch.XTENSA: frozenset({0x40000400}),
    Arch.LX106: frozenset({0x40000080}),
}
#: The program counter's number, where the server does not describe its registers.
PC_REGISTER = {Arch.RISCV: 32, Arch.XTENSA: 0, Arch.LX106: 0}
#: Commands that reset a target, by the servers that know them: OpenOCD and others, QEMU.
RESET_AND_HALT = ("reset halt", "system_reset")
RESET_AND_RUN = ("reset run", "system_reset")
_REFUSALS = ("unknown", "invalid command", "not found", "unrecognized", "unsupported")
#: Of the SPI controller: all but the command, the address and the data.
_SPI_KEPT = range(0x08, 0x40, 4)
RETRY_S = 0.2
#: A ROM has set its variables within this time, and is not far into a program yet. It is given
#: so many turns to show that.
ROM_BEGINS_S, ROM_TURNS = 0.01, 12


class DebuggerGoneError(PortError):
    """The server did not come back in time, or has ended: to wait longer would not help."""


class _ByMemory(Requester):
    """Registers through the debugger, before a stub runs."""

    def __init__(
        self, spec: ChipSpec, link: Link, settings: Settings, listener: Listener, client: GdbClient
    ) -> None:
        super().__init__(spec, link, settings, listener)
        self._client = client

    def read_reg(self, address: int, timeout_s: float | None = None) -> int:
        return self._client.read_word(address)

    def run_steps(self, steps: Sequence[Step]) -> None:
        client = self._client
        for step in steps:
            match step.op:
                case Op.WRITE:
                    client.write_word(step.address, step.value)
                case Op.SET_BITS:
                    client.write_word(step.address, client.read_word(step.address) | step.value)
                case Op.CLEAR_BITS:
                    client.write_word(step.address, client.read_word(step.address) & ~step.value)
                case Op.SLEEP:
                    time.sleep(step.value / 1e6)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a program that was only paused had."""

    registers: bytes
    memory: tuple[tuple[int, bytes], ...]
    controller: tuple[tuple[int, int], ...]


class Debugger:
    """The way to one chip through one GDB server.

    Attributes:
        spec: the chip.
        link: frames through its memory.
        client: the debugger.
    """

    def __init__(
        self,
        url: str,
        settings: Settings,
        listener: Listener,
        trace: Callable[[str], None] | None,
        *,
        before: str,
        chip: ChipSpec | None,
    ) -> None:
        if before not in BEFORE:
            raise UsageError(f"'{before}' is not for a debugger: choose of {', '.join(BEFORE)}.")
        self._settings, self._listener = settings, listener
        self._before = before
        self._server: OpenOcd | None = None
        self._kept: _Kept | None = None
        self._mac: dict[int, int] = {}
        self._left = False
        host, port = self._endpoint(url, chip, trace)
        self.client = GdbClient(host, port, trace)
        self.port = MailboxPort(url, self.client, 0)
        self.port.let_go = self.close
        self.link = Link(self.port, trace)
        try:
            self.client.open()
            self._halt()
            self.spec = self._identify(chip)
            self.port.pc_register = self._pc_register()
        except BaseException:
            self.close()
            raise

    def _endpoint(
        self, url: str, chip: ChipSpec | None, trace: Callable[[str], None] | None
    ) -> tuple[str, int]:
        if url.startswith(transport.SCHEME):
            return transport.parse_url(url)
        from esptool.transport.openocd import start

        self._server = start(url, None if chip is None else chip.key, trace)
        return self._server.host, self._server.port

    # --- finding out -----------------------------------------------------------------------------

    def _halt(self) -> None:
        if self.client.running:
            self.client.interrupt()

    def _identify(self, expected: ChipSpec | None) -> ChipSpec:
        """The chip, by a word of its ROM.

        Raises:
            ConnectError: another one than expected, or none that is known.
        """
        found, seen = None, []
        for address, values in ROM_WORDS.items():
            known = None if expected is None else expected.debug
            if known is not None and address != known.rom_word:
                continue
            try:
                word = self.client.read_word(address)
            except TargetError:
                seen.append(f"nothing at {address:#x}")
                continue
            seen.append(f"{word:#010x} at {address:#x}")
            if word in values:
                found = chips.get(values[word])
                break
        if found is not None and expected is not None and found is not expected:
            raise ConnectError(
                f"This chip is {found.name}, not {expected.name}. Wrong chip argument?",
                code="wrong_chip",
            )
        chip = found or expected
        if chip is None:
            raise ConnectError(
                f"The debugger's target is not a chip that is known ({', '.join(seen)}).",
                remedy="Name it with --chip, if its ROM is a newer one.",
            )
        return chip

    def _pc_register(self) -> int:
        with contextlib.suppress(NoAnswerError, IndexError):
            return self.register_numbers(("pc",))[0]
        return PC_REGISTER[self.spec.arch]

    def register_numbers(self, names: Sequence[str]) -> tuple[int, ...]:
        """Numbers of these registers, as the server describes them.

        Raises:
            IndexError: it does not describe one of them.
        """
        from esptool.protocol.gdb import parse_registers

        known = {r.name: r.number for r in parse_registers(self.client.description())}
        if not known.keys() >= set(names):
            raise IndexError(f"no registers {', '.join(names)}")
        return tuple(known[name] for name in names)

    def on_server_text(self, told: Callable[[bytes], None]) -> None:
        """Hand on what a program says through a server of our own."""
        if self._server is not None:
            self._server.on_text = told

    def _requester(self) -> _ByMemory:
        return _ByMemory(self.spec, self.link, self._settings, self._listener, self.client)

    # --- into the stub ---------------------------------------------------------------------------

    def begin(self) -> None:
        """Bring the chip to where our stub runs and has greeted.

        Raises:
            NotSupportedError: there is no stub for this chip.
            TargetError: the debugger cannot write there.
            LinkTimeoutError: the stub does not answer.
        """
        rules = self.spec.stub
        if not rules.available:
            raise NotSupportedError(f"There is no stub for {self.spec.name}: nothing can be done.")
        requests = self._requester()
        facts = Facts(requests)
        if self._before in ("default-reset", "usb-reset"):
            self._reset_and_halt(requests)
        if self._at_reset():
            self._let_rom_begin()
        self._same_chip(facts)
        name = self.spec.key
        for revision, variant in reversed(rules.variants):
            if facts.revision < revision:
                name = variant
        stub = mailbox.load(name)
        if self._before == "attach" and self._kept is None:
            self._kept = self._keep(stub)
        if self._before != "default-reset":
            self.port.thread = self._one_thread()
        self._prepare(requests, facts)
        requests.note("Uploading stub flasher through the debugger...", Level.INFO)
        for address, data in stub.pieces:
            self.client.write(address, data)
        requests.note("Running stub flasher...", Level.INFO)
        self.link.reattach()
        self.port.start(stub)
        self._greet()
        requests.note("Stub flasher running.", Level.INFO)

    def _one_thread(self) -> str | None:
        """Of several processors, the one that is to run while the others stand."""
        threads = self.client.threads()
        if len(threads) < 2 or b"c" not in self.client.request(b"vCont?").split(b";"):
            return None
        return threads[0]

    def _greet(self) -> None:
        try:
            if self.link.read_frame(GREETING_S) == GREETING:
                return
        except NoAnswerError:
            pass
        at = ""
        with contextlib.suppress(FatalError):
            self.client.interrupt()
            at = f" The processor is at {self.client.read_register(self.port.pc_register):#010x}."
        raise LinkTimeoutError(
            f"The stub flasher does not answer in the target's memory.{at}",
            remedy="Reset the chip, or let the debugger do so (--before default-reset).",
        )

    def _prepare(self, requests: Requester, facts: Facts) -> None:
        """Quiet the watchdogs, which go on while the processor stands; supply the flash."""
        requests.run_steps(self.quiet_steps)
        bus = SpiBus(requests)
        Power(requests, facts, Flash(requests, bus)).prepare()

    @property
    def quiet_steps(self) -> tuple[Step, ...]:
        """What stops all watchdogs."""
        debug = self.spec.debug
        return (
            *(debug.quiet_watchdogs if debug is not None else ()),
            *self.spec.reset.quiet_watchdogs,
        )

    def _same_chip(self, facts: Facts) -> None:
        """Remember the MAC address, or see that it is the same as before.

        Raises:
            ConnectError: it is another chip's.
        """
        facts.remember_mac()
        mac = facts.known_mac_words() or {}
        if self._mac and mac != self._mac:
            raise ConnectError(
                "Another chip answers than the one that was lost: one with another MAC address.",
                remedy="Plug the first one in again, and start again.",
            )
        self._mac = mac

    def _at_reset(self) -> bool:
        pc = self.client.read_register(self.port.pc_register)
        return pc in RESET_VECTORS[self.spec.arch]

    def _reset_and_halt(self, requests: Requester) -> None:
        if self._at_reset():
            return
        if not self.command(RESET_AND_HALT):
            requests.note(
                "The debugger does not know how to reset its target: it is taken as it stands.",
                Level.WARNING,
            )
        self._halt()

    def _let_rom_begin(self) -> None:
        """Functions of the ROM that the stub calls need the ROM's variables: it sets them first.

        Then it sets the UART, by which it is seen to be so far. An emulator may take its time to
        begin at all.
        """
        divider = self.spec.uart.clkdiv_reg
        before = self.client.read_word(divider)
        for turn in range(ROM_TURNS):
            self.client.resume()
            if self.client.wait(ROM_BEGINS_S) is not None:
                return
            self._halt()
            if self.client.read_word(divider) != before:
                return
            if turn >= ROM_TURNS // 3 and self._at_reset():
                return

    def command(self, choice: Sequence[str]) -> bool:
        """One of these commands was understood."""
        for text in choice:
            said = self.client.command(text)
            if said is not None and not any(word in said.lower() for word in _REFUSALS):
                return True
        return False

    # --- a program that was paused ---------------------------------------------------------------

    def _keep(self, stub: mailbox.MailboxStub) -> _Kept:
        client, spi = self.client, self.spec.spi.base
        return _Kept(
            client.read_registers(),
            tuple((part.start, client.read(part.start, len(part))) for part in stub.ram),
            tuple((spi + at, client.read_word(spi + at)) for at in _SPI_KEPT),
        )

    def _put_back(self, kept: _Kept) -> None:
        client = self.client
        for address, word in kept.controller:
            client.write_word(address, word)
        for address, data in kept.memory:
            client.write(address, data)
        client.write_registers(kept.registers)

    # --- lost and left ---------------------------------------------------------------------------

    def take_up(self) -> None:
        """Bring a chip that was lost back to where the stub runs.

        Raises:
            PortError: the server did not come back.
            ConnectError: another chip is there.
            LineLossError: it was lost again.
        """
        client = self.client
        try:
            if client.is_open:
                self._halt()
        except LineLossError:
            client.close()
        if not client.is_open:
            self._connect_again()
        self.port.halted()
        self._identify(self.spec)
        self.begin()

    def _connect_again(self) -> None:
        if self._server is not None and not self._server.is_alive:
            raise DebuggerGoneError("OpenOCD has ended.", remedy=self._server.advice())
        deadline = time.monotonic() + self._settings.reappear_timeout
        while True:
            try:
                self.client.open()
                self._halt()
                return
            except LineLossError as e:
                self.client.close()
                if time.monotonic() > deadline:
                    raise DebuggerGoneError(
                        f"The debugger did not come back within "
                        f"{self._settings.reappear_timeout:g} s: {e.message}"
                    ) from e
                time.sleep(RETRY_S)

    def reset(self, note: Callable[[str], None]) -> bool:
        """Let the chip start anew; False where the debugger cannot. That is the last word to it."""
        if not self.client.is_open:
            note("The debugger is gone: the chip is left as it is.")
            self._leave(detach=False)
            return False
        self._halt()
        if self._kept is not None:
            return self.go_on(note)
        self.port.halted()
        note("Hard resetting through the debugger...")
        done = self.command(RESET_AND_RUN)
        recipe = self.spec.reset.watchdog
        if not done and recipe is not None:
            self._requester().run_steps(recipe.steps)
            done = True
        if not done:
            note("The debugger does not know how to reset its target: it stands.")
        self._leave(detach=done)
        return done

    def go_on(self, note: Callable[[str], None]) -> bool:
        """Put back the program that was paused, and let it go on; False where there is none."""
        if self._kept is None:
            return False
        self._halt()
        self.port.halted()
        note("Putting back the program that was paused...")
        self._put_back(self._kept)
        self._kept = None
        self._leave(detach=True)
        return True

    def run_program(self, segments: Sequence[tuple[int, bytes]], entry: int) -> None:
        """Put a program into RAM, where the stub may be too, and let it run.

        Args:
            segments: address and bytes of each part.
            entry: where it starts, with the stub's stack.
        """
        self._halt()
        self.port.halted()
        self._kept = None
        for address, data in segments:
            self.client.write(address, data + bytes(-len(data) % 4))
        self.client.write_register(self.port.pc_register, entry)
        self._leave(detach=True)

    def stand(self) -> None:
        """Leave the chip standing, with the stub in it or with the program that was paused."""
        self._halt()
        if self._kept is not None:
            self.port.halted()
            self._put_back(self._kept)
            self._kept = None
        self._leave(detach=False)

    def _leave(self, *, detach: bool) -> None:
        self._left = True
        if detach:
            self.client.detach()
        self.close()

    def close(self) -> None:
        """Leave the debugger; a paused program is put back, if that was not done."""
        if self._kept is not None and self.client.is_open:
            with contextlib.suppress(FatalError):
                self.go_on(lambda _text: None)
        self.port.close()
        if self._server is not None:
            self._server.stop()
