# SPDX-License-Identifier: Apache-2.0
"""The monitor at work: a port on one side, screen and keyboard on the other."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from esptool.cli import machine
from esptool.cli.ending import output_is_lost
from esptool.cli.monitor.keyboard import HELP, Keyboard, Keys, Wish
from esptool.cli.monitor.screen import Screen
from esptool.cli.monitor.settings import Settings
from esptool.config import load_settings
from esptool.errors import FatalError, PortError
from esptool.monitor.builds import Builds
from esptool.monitor.console import Console
from esptool.monitor.decoder import Decoder, Note
from esptool.monitor.link import Link
from esptool.monitor.log_lines import Filter
from esptool.monitor.script import Script, Step, expected, sent
from esptool.monitor.symbols import Program

if TYPE_CHECKING:
    from esptool.transport.port import Port

_IDLE_S = 0.05
_QUICK_S = 0.02
#: A program that has failed is listened to for so long, as its backtrace comes behind.
_AFTERMATH_S = 1.5
_ENDINGS = {"CR": "\r", "LF": "\n", "CRLF": "\r\n"}


class _Outcome:
    """How it ends: whether, by what failure, and when at the latest once the program failed."""

    def __init__(self) -> None:
        self.done = False
        self.problem: FatalError | None = None
        self.due: float | None = None


def check(settings: Settings) -> tuple[Builds, list[Program], list[Step], Filter]:
    """Read and judge all that the settings name, before a chip is asked for anything.

    Raises:
        FatalError: a file cannot be read; a pattern or filter is none.
    """
    from esptool.monitor.elfdata import ElfData

    ending = _ENDINGS[settings.ending]
    steps: list[Step] = [
        expected(text) if kind == "expect" else sent(text, ending) for kind, text in settings.script
    ]
    builds = Builds(list(settings.elf))
    roms = [Program(ElfData.load(path)) for path in settings.rom_elf]
    return builds, roms, steps, Filter(settings.filters)


def run_monitor(
    port: Port,
    settings: Settings,
    *,
    flash_again: Callable[[], None] | None = None,
    restart: Callable[[], None] | None = None,
) -> None:
    """Show what the chip says and send what is typed, until the user, the script or time ends it.

    The port is closed afterwards. Nothing is reset unless `settings.reset` says so.

    Args:
        port: open, at whatever rate.
        settings: see `Settings`.
        flash_again: writes the flash and leaves the port closed or open; for Ctrl-T Ctrl-F.
        restart: resets the chip, where that is not done by the port's lines.

    Raises:
        FatalError: something that was expected did not come, or the program failed meanwhile.
    """
    builds, roms, steps, shown = check(settings)
    screen = Screen(timestamps=settings.timestamps, log=settings.log)
    monitor = _Monitor(port, settings, screen, flash_again, restart)
    monitor.prepare(Decoder(builds, roms), steps, shown)
    try:
        monitor.run()
    finally:
        monitor.link.close()
        screen.close()


class _Monitor:
    def __init__(
        self,
        port: Port,
        settings: Settings,
        screen: Screen,
        flash_again: Callable[[], None] | None,
        restart: Callable[[], None] | None,
    ) -> None:
        self._settings, self._screen, self._again = settings, screen, flash_again
        if port.baud != settings.baud:
            port.baud = settings.baud
        self.link = Link(
            port,
            on_lost=self._lost,
            on_back=self._back,
            settings=load_settings(),
            restart=restart,
        )
        self._outcome = _Outcome()

    def prepare(self, decoder: Decoder, steps: list[Step], shown: Filter) -> None:
        """Put the parts together."""
        self._decoder = decoder
        self._script = Script(steps, self.link.send)
        self._console = Console(decoder, _Watched(self._screen, self._script, decoder), shown)
        self._console.lines_wanted = self._screen.by_line or self._script.expects

    def run(self) -> None:
        """Go on until the end."""
        keys = Keyboard(self.link.send, Keys(_ENDINGS[self._settings.ending]))
        where = self.link.port.url
        hint = "; leave with Ctrl-], help with Ctrl-T Ctrl-H" if self._settings.keys else ""
        text = f"Monitor on {where} at {self._settings.baud} baud{hint}."
        self._screen.tell_port(text, "open", where)
        try:
            if self._settings.reset:
                self.link.reset()
            self._script.go()
            if self._settings.keys:
                with keys.listening():
                    self._loop(keys.wishes)
            else:
                self._loop(keys.wishes)
        except KeyboardInterrupt:
            if self._script.waits:
                raise
        self._console.end()
        machine.result({"matched": self._script.matched, "failures": self._decoder.failures})
        if self._outcome.problem is not None:
            raise self._outcome.problem

    def _loop(self, wishes: queue.SimpleQueue[Wish]) -> None:
        link, outcome = self.link, self._outcome
        left = self._settings.timeout_s
        while not outcome.done:
            before = link.now()
            wait = _IDLE_S if left is None else max(0.0, min(left, _IDLE_S))
            data = link.receive(wait)
            if data:
                self._console.feed(data)
                # Nobody would see any of it, nor that it goes on.
                outcome.done = output_is_lost()
            else:
                self._console.idle()
            if not wishes.empty():
                self._grant(wishes.get())
            if left is not None:
                # The clock of a virtual chip begins anew when it is plugged in again.
                left -= max(0.0, link.now() - before)
            self._judge(left)

    def _judge(self, left: float | None) -> None:
        script, outcome = self._script, self._outcome
        if script.expects and not script.waits:
            outcome.done = True
            self._screen.say("All that was expected has come.")
        elif script.waits and (failed := self._decoder.panicked) is not None:
            if outcome.due is None:
                outcome.due = self.link.now() + _AFTERMATH_S
            if self.link.now() >= outcome.due or (left is not None and left <= 0):
                outcome.done = True
                outcome.problem = FatalError(
                    f"The program failed before '{script.next}' came: {failed.words}",
                    remedy=failed.help,
                    code="program_failed",
                    operands={"expected": script.next, "reason": failed.code},
                )
        elif left is not None and left <= 0:
            outcome.done = True
            if script.waits:
                outcome.problem = FatalError(
                    f"'{script.next}' did not come within {self._settings.timeout_s:g} s.",
                    remedy="Allow more by --timeout, or look at what came instead.",
                    code="not_seen",
                    operands={"expected": script.next, "seconds": self._settings.timeout_s},
                )

    # --- wishes --------------------------------------------------------------------------------

    def _grant(self, wish: Wish) -> None:
        screen = self._screen
        try:
            if wish is Wish.EXIT:
                self._outcome.done = True
            elif wish is Wish.RESET:
                screen.say("Reset.")
                self.link.reset()
            elif wish is Wish.BOOT_LOADER:
                self.link.to_boot_loader()
                screen.say("Reset into the boot loader; Ctrl-T Ctrl-R starts the program.")
            elif wish is Wish.FLASH:
                self._flash()
            elif wish is Wish.PAUSE:
                screen.paused = not screen.paused
                screen.say("Paused: Ctrl-T Ctrl-Y goes on." if screen.paused else "Going on.")
            elif wish is Wish.LOG:
                screen.say(screen.toggle_log())
            elif wish is Wish.TIMESTAMPS:
                screen.timestamps = not screen.timestamps
                self._console.lines_wanted = screen.by_line or self._script.expects
                screen.say(f"Times are {'shown' if screen.timestamps else 'not shown'}.")
            elif wish is Wish.HELP:
                for line in HELP:
                    screen.say(line)
            else:
                screen.say("No such key; Ctrl-T Ctrl-H shows which there are.")
        except PortError as e:
            screen.say(str(e))

    def _flash(self) -> None:
        if self._again is None:
            self._screen.say(
                "There is nothing to flash: start the monitor by 'write-flash --monitor ...'."
            )
            return
        try:
            self.link.lend(self._again)
        except FatalError as e:
            self._screen.say(f"Flashing failed: {e}")

    # --- the port ------------------------------------------------------------------------------

    def _lost(self, why: str) -> None:
        text = f"The port is gone ({why.rstrip('.')}); waiting."
        self._screen.tell_port(text, "lost", self.link.port.url)

    def _back(self, name: str) -> None:
        self._screen.tell_port(f"The port is back: {name}.", "back", name)


class _Watched:
    """Shows lines, and lets the script see them."""

    def __init__(self, screen: Screen, script: Script, decoder: Decoder) -> None:
        self._screen, self._script, self._decoder = screen, script, decoder
        self._expected = False
        self._begun = ""

    def text(self, text: str, *, begins: bool) -> None:
        """See `Output`."""
        self._screen.text(text, begins=begins)
        self._begun = text if begins else self._begun + text
        if self._script.waits and not text.endswith("\n"):
            # A prompt is not a whole line.
            self._script.see(self._begun)

    def line(self, line: str, shown: bool) -> None:
        """See `Output`."""
        self._screen.line(line, shown)
        self._expected = self._script.waits and self._script.see(line)

    def notes(self, notes: Sequence[Note]) -> None:
        """See `Output`."""
        self._screen.notes(notes)
        if self._expected:
            # Who waits for a failure is not to be told that the program failed.
            self._decoder.panicked = None
