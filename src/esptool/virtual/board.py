# SPDX-License-Identifier: Apache-2.0
"""A board: a chip, its flash, its reset circuit and the line to the host, with time and faults.

It works while the host reads and writes, without a thread of its own, so that runs repeat.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from esptool.errors import PortError
from esptool.locking import FileLock
from esptool.virtual import bootimage, bootlog, silicon
from esptool.virtual.cable import Cable
from esptool.virtual.clock import Clock, Timing
from esptool.virtual.lines import AutoReset, UsbJtagReset
from esptool.virtual.nor import BrownoutError, Nor
from esptool.virtual.options import Options, parse_url
from esptool.virtual.parts import find
from esptool.virtual.program import Silent
from esptool.virtual.restless import LOOPS, Restless
from esptool.virtual.rom import RomLoader
from esptool.virtual.soc import Soc
from esptool.virtual.state import hold_state, save_state
from esptool.virtual.watchdog import Watchdog

#: Boards opened by name, shared within the process.
NAMED: dict[str, Board] = {}
#: Names of boards that go by another one since their link was cut.
GONE: set[str] = set()


class LinkLostError(Exception):
    """The link was cut on purpose."""


class Board:
    """What hangs at the other end of the cable.

    Attributes:
        soc, nor, clock, options: its parts.
        held: EN is low.
        moved: bytes over the line so far, both directions.
    """

    def __init__(self, options: Options, *, slow_lines_s: float = 0.0) -> None:
        self.options = options
        self.clock = Clock(options.timing)
        self.silicon = silicon.of(options.chip)
        self.nor = Nor(
            find(options.part, options.flash),
            self.clock,
            options.faults,
            max_times=options.max_times,
        )
        self.soc = Soc(self.silicon, options, self.nor, self.clock, self._emit)
        self.soc.on_run_flash = self._run_flash
        self.soc.on_reboot = self._reboot
        self.soc.on_run_ram = self._run_ram
        self.soc.on_crash = self._crashed
        self.cable = Cable(options, self.clock, lambda: self.soc.baud)
        self.held = False
        self.lost = False
        #: Told, where no time is charged, that bytes have left; the chip may still be computing.
        self.on_output: Callable[[], None] | None = None
        self._strapped = False
        self.moved = 0
        self._drops = sorted(options.faults.drop_at)
        self._resets = sorted(options.faults.reset_at)
        self._lost_at = 0.0
        #: Why there is no emulator, in place of what is usual, for messages.
        self.no_emulator: str | None = None
        #: The URL under which the host finds it, where it was opened by one.
        self.url: str | None = None
        self.soc.line = self
        circuit = UsbJtagReset if options.link == "usb-jtag" else AutoReset
        self.lines = circuit(self._boot_by_strap, self._hold, slow_lines_s, self.moment)
        self.watchdog: Watchdog | None = None
        if self.silicon.watchdog is not None:
            self.watchdog = Watchdog(
                self.silicon.watchdog,
                self._watchdog_bites,
                self.moment,
                guards=options.link == "usb-jtag",
            )
            self.watchdog.attach(self.soc.bus)
        #: Keeps the state file for this board.
        self._state: FileLock | None = None
        self.hold_state()
        self._boot_by_strap(False)

    def replug(self) -> None:
        """The host opens the port again.

        Raises:
            PortError: a link that was cut is not back yet.
        """
        if self.lost:
            if self.away_s() > 0:
                raise PortError("The device is not there.")
            self.lost = False

    def away_s(self) -> float:
        """Seconds until a link that was cut is back."""
        if not self.lost:
            return 0.0
        return max(0.0, self._lost_at + self.options.faults.away_s - self.moment())

    def _lose(self) -> None:
        """The cable is pulled, or the hub starts anew."""
        self.lost = True
        self._lost_at = self.moment()
        name = self.options.name
        if not self.options.faults.rename or name is None or NAMED.get(name) is not self:
            return
        GONE.add(name)
        stem, _, number = name.partition("+")
        self.options.name = f"{stem}+{int(number or 1) + 1}"
        NAMED[self.options.name] = NAMED.pop(name)
        if self.url is not None:
            self.url = _renamed(self.url, self.options.name)

    # --- reset -------------------------------------------------------------------------------

    def _hold(self) -> None:
        self.held = True
        self._reset_chip()

    def _reset_chip(self) -> None:
        self.soc.reset()
        if self.watchdog is not None:
            self.watchdog.reset()

    def _settle(self) -> None:
        """Let happen what is due by now: EN has risen, the watchdog bites."""
        self.lines.settle()
        if isinstance(program := self.soc.program, Restless) and program.pending_s() <= 0:
            self._boot(self._strap(False), program.cause)
        if self.watchdog is not None:
            self.watchdog.settle()

    def _pending_s(self) -> float:
        waits = min(self.lines.pending_s(), self.soc.program.pending_s())
        return waits if self.watchdog is None else min(waits, self.watchdog.pending_s())

    def _boot_by_strap(self, io0_low: bool) -> None:
        self._strapped = self._strap(io0_low)
        self._boot(self._strapped, bootlog.POWER_ON)

    def _strap(self, io0_low: bool) -> bool:
        """What the chip sees on IO0."""
        faults = self.options.faults.board
        if "strap-high" in faults:
            return False
        return io0_low or self.options.boot == "download" or "strap-low" in faults

    def _boot(self, download: bool, cause: bootlog.Cause) -> None:
        self.held = False
        self._reset_chip()
        self.clock.advance_to(self.clock.host_now())
        if self.options.rom:
            from esptool.virtual.genuine.program import start

            start(self.soc, cause.told(self.silicon), download)
            return
        download = download and not self.soc.download_disabled
        self.soc.set_baud(bootlog.baud(self.soc))
        self._emit(bootlog.banner(self.soc, cause, download))
        if download:
            self.soc.start_loader()
            # The loader measures the host's rate from the first bytes that it gets.
            self.soc.baud = 0
        else:
            self._start_application()

    def _start_application(self) -> None:
        verdict = bootimage.load(self.soc)
        for fault, (text, cause) in LOOPS.items():
            if fault in self.options.faults.board:
                self.soc.program = Restless(self.moment, cause)
                self._emit(verdict.text + text)
                return
        self.soc.program = Restless(self.moment) if verdict.again else Silent()
        self._emit(verdict.text)
        if self.options.execute and verdict.runs:
            from esptool.virtual.ramcode import start_from_flash

            start_from_flash(self)

    def _run_flash(self) -> None:
        self._boot(False, bootlog.SOFTWARE)

    def _reboot(self) -> None:
        self._boot(self._strapped, bootlog.SOFTWARE)

    def _run_ram(self, entry: int) -> None:
        from esptool.virtual.ramcode import start

        if "no-stub" in self.options.faults.board:
            self.soc.program = Silent()
            return
        start(self, entry)

    def _crashed(self, text: bytes) -> None:
        """The ROM tells of an exception and waits for the watchdog."""
        self._emit(text)
        if self.options.execute:
            # It would crash again at once, for ever and in no time.
            self.soc.program = Restless(self.moment)
        else:
            self._watchdog_bites()

    def _watchdog_bites(self) -> None:
        # A system reset: the strap is sampled anew.
        self._strapped = self.options.boot == "download"
        self._boot(self._strapped, bootlog.WATCHDOG)

    # --- lines -------------------------------------------------------------------------------

    def set_lines(self, dtr: bool, rts: bool) -> None:
        """The host has set DTR and RTS (True is asserted)."""
        self._run_to(self.clock.host_now())
        faults = self.options.faults.board
        if "no-lines" not in faults:
            self.lines.change(dtr, rts and "no-reset" not in faults)

    # --- host to chip ------------------------------------------------------------------------

    def host_write(self, data: bytes) -> None:
        """Bytes leave the host.

        Raises:
            LinkLostError: the link breaks here, by a fault that was asked for.
        """
        self._count(len(data))
        self._settle()
        if "deaf" in self.options.faults.board:
            return
        if not self.clock.charged:
            self._arrive(self.cable.through(data), self.cable.host_baud)
            self._work_off()
            return
        self._run_to(self.clock.host_now())
        self.cable.put(data)

    def _run_to(self, horizon: float, *, until_output: bool = False) -> None:
        """Let happen what happens on the board up to a moment, or until bytes reach the host.

        The host can do nothing new before that, so the board may run ahead of its clock so far.
        """
        if not self.clock.charged:
            return
        while True:
            program = self.soc.program
            limit = horizon
            if until_output:
                limit = min(limit, self.cable.next_output())
            works_at = program.next_work()
            if takes_bytes := program.takes_bytes:
                comes_at = self.cable.inbound.next_bytes()
            else:
                comes_at = self.cable.inbound.next_frame()
            first = min(works_at, comes_at)
            if first > limit or first == math.inf:
                return
            self.clock.advance_to(first)
            try:
                if comes_at <= max(works_at, self.clock.now) and not takes_bytes:
                    self._arrive(*self.cable.inbound.take_frame())
                else:
                    program.work(limit)
            except BrownoutError:
                self._boot_after_brownout()
            if self.soc.program.cut:
                return

    def _work_off(self) -> None:
        """Where no time passes, a program does all its work at once."""
        while self.soc.program.next_work() < math.inf:
            try:
                self.soc.program.work(math.inf)
            except BrownoutError:
                self._boot_after_brownout()

    def incoming(self) -> bytes:
        """For programs that take bytes as they come: what has arrived by the chip's clock."""
        chunks = self.cable.inbound.take_bytes(self.clock.now)
        if not chunks:
            return b""
        return b"".join(self.cable.as_received(data, baud) for data, baud in chunks)

    def next_arrival(self) -> float:
        """When the next bytes worth waking for will have arrived."""
        return self.cable.inbound.next_bytes()

    def next_byte(self) -> float:
        """When the next byte will have arrived."""
        return self.cable.inbound.next_byte()

    def leaves(self, data: bytes, moment: float) -> float:
        """See `Cable.leaves`."""
        return self.cable.leaves(data, moment)

    def _arrive(self, data: bytes, baud: int) -> None:
        """Hand what has arrived over to the program that runs."""
        if self.held or not data:
            return
        if self.options.link == "uart" and self.soc.baud == 0:
            self.soc.set_baud(baud)
        self.soc.program.hears(data, baud)
        data = self.cable.as_received(data, baud)
        try:
            self.soc.program.receive(data)
        except BrownoutError:
            self._boot_after_brownout()

    def _boot_after_brownout(self) -> None:
        self._strapped = self.options.boot == "download"
        self._boot(self._strapped, bootlog.BROWNOUT)

    # --- chip to host ------------------------------------------------------------------------

    def _emit(self, data: bytes) -> None:
        if not data:
            return
        self.cable.send(data)
        if self.on_output is not None and not self.clock.charged:
            self.on_output()

    def moment(self) -> float:
        """The clock by which bytes arrive and resets happen, in seconds."""
        return self.clock.host_now() if self.clock.charged else time.monotonic()

    def take(self) -> bytes:
        """All bytes that have reached the host by now.

        Raises:
            LinkLostError: the link breaks here, by a fault that was asked for.
        """
        self._settle()
        now = self.moment()
        if self.clock.charged:
            # What has come is handed out first: a program may take its time to start.
            if self.cable.next_output() > now:
                self._run_to(now)
        elif self.cable.next_output() == math.inf:
            self.soc.program.resume()
        return self.arrived()

    def arrived(self) -> bytes:
        """The same without letting anything else happen on the board.

        Raises:
            LinkLostError: the link breaks here, by a fault that was asked for.
        """
        data = self.cable.arrived(self.moment())
        self._count(len(data))
        return data

    def pass_time(self, seconds: float) -> None:
        """The host sleeps: what is due meanwhile happens at its own moment."""
        end = self.moment() + seconds
        while (pending := self._pending_s()) < end - self.moment():
            self.clock.host_reaches(self.moment() + max(0.0, pending))
            self._settle()
        self.clock.host_reaches(end)
        self._settle()

    def sleep_s(self) -> float:
        """Real seconds until `take` can give more, or until the board must be looked at."""
        if not self.clock.charged:
            return max(0.0, self._unhurried_s())
        if self.soc.program.cut:
            return 0.0
        due = min(self._next_event(), self.moment() + max(0.0, self._pending_s()))
        return max(0.0, self.clock.host_reaches(due)) if due < math.inf else math.inf

    def due_s(self, within: float | None = None) -> float:
        """Seconds by the host's clock until the next bytes arrive, if that is `within` so many;
        else until something else happens on the board, or infinity."""
        if self.clock.timing is Timing.VIRTUAL:
            horizon = math.inf if within is None else self.moment() + within
            horizon = min(horizon, self.moment() + max(0.0, self._pending_s()))
            self._run_to(horizon, until_output=True)
        if not self.clock.charged:
            return self._unhurried_s()
        if self.soc.program.cut:
            return 0.0
        return min(self._next_event() - self.moment(), self._pending_s())

    def _unhurried_s(self) -> float:
        """Where no time is charged: seconds until bytes that are held back reach the host, else
        until something happens on the board."""
        due = self.cable.next_output()
        return due - self.moment() if due < math.inf else self._pending_s()

    def _next_event(self) -> float:
        """When the next bytes reach the host; in real time, also when the board must go on."""
        due = self.cable.next_output()
        if self.clock.timing is Timing.VIRTUAL:
            return due
        return min(due, self.cable.inbound.next_bytes(), self.soc.program.next_work())

    def discard_input(self) -> None:
        """The host throws away what it has received so far."""
        self._settle()
        self._run_to(self.clock.host_now())
        self.cable.arrived(self.moment())

    def _count(self, count: int) -> None:
        self.moved += count
        if self._drops and self.moved > self._drops[0] and not self.lost:
            self._drops = [at for at in self._drops if at >= self.moved]
            self._lose()
        if self.lost:
            raise LinkLostError
        if self._resets and self.moved > self._resets[0]:
            self._resets = [at for at in self._resets if at >= self.moved]
            self._boot_after_brownout()

    # --- state -------------------------------------------------------------------------------

    @property
    def in_loader(self) -> bool:
        """The ROM's loader is listening."""
        return isinstance(self.soc.program, RomLoader)

    def hold_state(self) -> None:
        """Keep the state file for this board, and take flash and eFuses from it.

        Raises:
            FatalError: another board has it, it cannot be written, or is none of this chip.
        """
        if self.options.state and self._state is None:
            self._state = hold_state(self, Path(self.options.state))

    def release(self) -> None:
        """Save, and let others have the state file."""
        try:
            self.save()
        finally:
            if self._state is not None:
                self._state.release()
                self._state = None

    def save(self) -> None:
        """Write flash and eFuses to the state file, when there is one."""
        if self.options.state:
            save_state(self, Path(self.options.state))

    def report(self) -> str:
        """One line on the time that was charged, empty where none was."""
        if self.options.timing is Timing.FAST:
            return ""
        return (
            f"virtual {self.silicon.name}: {self.clock.elapsed:.3f} s of "
            f"{self.options.timing.value} time, {self.nor.log['erase']} erases, "
            f"{self.nor.log['program']} pages"
        )


def open_board(url: str) -> Board:
    """The board behind a URL: a new one, or the one of that name.

    Raises:
        UsageError: the URL says something that is not understood.
        PortError: the board's link was cut, and is not back under this name.
    """
    options = parse_url(url)
    if options.name is None:
        return Board(options)
    if options.name in GONE:
        raise PortError("The device is gone, it has another name now.")
    found = NAMED.get(options.name)
    if found is None or found.options.chip != options.chip:
        found = NAMED[options.name] = Board(options)
        found.url = url
    found.replug()
    return found


def _renamed(url: str, name: str) -> str:
    """The URL with another name in its query."""
    parts = urlsplit(url)
    query = [(k, name if k == "name" else v) for k, v in parse_qsl(parts.query, True)]
    return urlunsplit(parts._replace(query=urlencode(query, safe="/:,")))
