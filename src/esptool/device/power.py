# SPDX-License-Identifier: Apache-2.0
"""Resets and baud rates: how a session leaves the loader, and how it goes faster."""

from __future__ import annotations

import contextlib

from esptool.chips.spec import OtgReset, RomBaud
from esptool.device import ext
from esptool.device.facts import Facts
from esptool.device.flash import Flash
from esptool.device.requests import Requester
from esptool.errors import (
    ChipResponseError,
    DamagedRequestError,
    FatalError,
    NoAnswerError,
    NotSupportedError,
    PortError,
    RateError,
    UnsupportedCommandError,
)
from esptool.events import Level
from esptool.protocol import packets
from esptool.protocol.ext import Capability
from esptool.protocol.opcodes import Cmd
from esptool.transport import reset
from esptool.transport.port import check_baud

#: After a change of rate UARTs need a moment: mostly the first is enough.
RATE_SETTLE_S, BAUD_SETTLE_S = 0.005, 0.05
#: Of so many patterns one must pass.
PATTERNS = 4
#: How many SYNC tell whether a line bears a rate, and the share of their answers that must come.
SYNCS, GOOD_ANSWERS = 4, 0.7
#: Eight answers to SYNC.
SYNC_ANSWERS_BITS = 8 * 16 * packets.BITS_A_BYTE
RATE_ATTEMPTS = 3


class Power:
    """Resetting the chip, changing the line's speed, supplying the flash."""

    def __init__(self, requests: Requester, facts: Facts, flash: Flash) -> None:
        self._r = requests
        self._facts = facts
        self._flash = flash

    # --- after connecting, and supply ----------------------------------------------------------

    def prepare(self) -> None:
        """What a chip needs right after connecting: quiet watchdogs, powered flash."""
        if self._r.is_stub or self._r.secure_download:
            return
        quiet = self._r.spec.reset.quiet_watchdogs
        if quiet and self._facts.usb_mode == "usb_serial_jtag":
            self._r.run_steps(quiet)
        self._power_flash()

    def _power_flash(self) -> None:
        power = self._r.spec.flash_power_on
        if power is None or self._facts.revision not in power.revisions:
            return
        if self._facts.revision == power.skip_revision:
            bits = power.skip_when_all_set
            if self._r.read_reg(bits.address) & bits.mask == bits.mask:
                # What holds the flash on is one switch of several bits: half of it is not ours.
                steps = power.skip_steps
                if all(self._r.read_reg(s.address) & s.value == s.value for s in steps):
                    self._r.run_steps(steps)
                return
        self._r.run_steps(power.steps)

    def set_flash_voltage(self, choice: str) -> None:
        """ESP32: override VDD_SDIO until the next reset: "1.8V", "1.9V" or "OFF".

        Raises:
            NotSupportedError: not this chip.
        """
        v, r = self._r.spec.voltage, self._r.spec.registers
        if v is None or not v.override or v.rtc_reg is None:
            raise NotSupportedError(f"{self._r.spec.name} cannot override VDD_SDIO.")
        if choice not in ("1.8V", "1.9V", "OFF"):
            raise FatalError(f"Unknown flash voltage '{choice}'. Use 1.8V, 1.9V or OFF.")
        word = r["RTC_CNTL_SDIO_FORCE"] | r["RTC_CNTL_SDIO_PD_EN"]
        if choice != "OFF":
            word |= r["RTC_CNTL_XPD_SDIO_REG"]
        if choice == "1.9V":
            names = ("RTC_CNTL_DREFH_SDIO_M", "RTC_CNTL_DREFM_SDIO_M", "RTC_CNTL_DREFL_SDIO_M")
            for name in names:
                word |= r[name]
        self._r.write_reg(v.rtc_reg, word)
        self._facts.forget_flash_voltage()
        self._r.note(f"VDDSDIO regulator set to {choice}.", Level.INFO)

    # --- rates ---------------------------------------------------------------------------------

    def change_baud(self, baud: int, *, told: bool = True) -> None:
        """Set chip and port to `baud`, and see whether the line bears it.

        Args:
            told: say so.

        Raises:
            UsageError: it is not a rate; nothing was sent.
            NotSupportedError: this ROM has no such command.
            RateError: port or line cannot go so fast.
        """
        check_baud(baud)
        if not self._r.is_stub and not self._r.spec.rom.flash_ops:
            raise NotSupportedError(f"The {self._r.spec.name} ROM cannot change the baud rate.")
        old = self._r.link.baud
        if told:
            self._r.note(f"Changing baud rate to {baud}...", Level.INFO)
        self._try_port(baud, old)
        wait = self._r.settings.sync_timeout
        usual = 0 if self._r.can(Capability.BATCH) else self._synchronise(wait)
        self._switch_rate(self._as_asked(baud), baud)
        if not self._bears(usual, wait):
            lost = not self._go_back(baud, old)
            raise RateError(f"The line does not bear {baud} baud.", lost=lost)
        if told:
            self._r.note("Changed.", Level.INFO)

    def _as_asked(self, baud: int) -> int:
        """The number that makes who answers now go at `baud`."""
        return baud if self._r.is_stub else self._rom_baud(baud)

    def _try_port(self, baud: int, old: int) -> None:
        """Find out whether the port knows a rate before the chip is told of it."""
        link = self._r.link
        try:
            link.set_baud(baud)
        except PortError as e:
            raise RateError(f"The port cannot be set to {baud} baud.") from e
        finally:
            link.set_baud(old)

    def _bears(self, usual: int, wait_s: float) -> bool:
        """What is sent at the present rate arrives, but for what a transfer can mend.

        Args:
            usual: answers that one SYNC gets, where there is no better way to find out.
        """
        link = self._r.link
        link.sleep(RATE_SETTLE_S)
        if not self._r.can(Capability.BATCH):
            return self._synchronises_well(usual, wait_s)
        for _ in range(PATTERNS):
            link.discard_input()
            if ext.pattern_passes(self._r, wait_s):
                return True
            link.sleep(BAUD_SETTLE_S)
        return False

    def _synchronises_well(self, usual: int, wait_s: float) -> bool:
        """Nobody checks more of a SYNC than its first bytes, so that several must be answered."""
        came, lost = 0, 0
        for tries in range(1, SYNCS + 1):
            answers = self._synchronise(wait_s)
            came += answers
            if tries == 2 and not lost and came >= 2 * usual:
                return True
            if not answers:
                lost += 1
                self._r.link.sleep(BAUD_SETTLE_S)
        return lost <= 1 and came >= GOOD_ANSWERS * SYNCS * usual

    def _synchronise(self, wait_s: float) -> int:
        """Send SYNC; how many of its answers came whole."""
        link = self._r.link
        link.discard_input()
        try:
            first = link.sync_once(wait_s)
        except NoAnswerError:
            return 0
        link.sleep(SYNC_ANSWERS_BITS / link.baud + RATE_SETTLE_S)
        while link.pump(0):
            pass
        count = 1
        for frame in link.frames_within(0.0):
            answer = packets.parse_response(frame)
            count += answer is not None and answer == first
        link.discard_input()
        return count

    def _go_back(self, baud: int, old: int) -> bool:
        """Ask for the old rate on a line that hardly bears the new one; it answers there again."""
        link = self._r.link
        data = packets.words(self._as_asked(old), baud if self._r.is_stub else 0)
        wait = self._r.settings.sync_timeout
        for _ in range(RATE_ATTEMPTS):
            link.set_baud(baud)
            with contextlib.suppress(NoAnswerError, ChipResponseError, UnsupportedCommandError):
                self._r.request("change baud rate", Cmd.CHANGE_BAUDRATE, data, timeout_s=wait)
            link.set_baud(old)
            link.sleep(RATE_SETTLE_S)
            link.discard_input()
            if self._synchronise(wait):
                return True
        return False

    def _switch_rate(self, sent: int, baud: int) -> None:
        """Have the chip change its rate, and follow it.

        A request that was refused as damaged is sent again. Where the answer was lost, the chip
        may be at either rate: it is called at both.
        """
        old = self._r.link.baud
        data = packets.words(sent, old if self._r.is_stub else 0)
        for left in reversed(range(RATE_ATTEMPTS)):
            try:
                self._r.request("change baud rate", Cmd.CHANGE_BAUDRATE, data)
            except DamagedRequestError:
                if not left:
                    raise
                continue
            except NoAnswerError:
                if self._answers_at(baud):
                    return
                if not left or not self._answers_at(old):
                    raise
                continue
            self._r.link.set_baud(baud)
            return

    def _answers_at(self, baud: int) -> bool:
        self._r.link.set_baud(baud)
        for _ in range(RATE_ATTEMPTS):
            self._r.link.sleep(BAUD_SETTLE_S)
            self._r.link.discard_input()
            with contextlib.suppress(NoAnswerError):
                self._r.link.sync_once(self._r.settings.sync_timeout * 3)
                return True
        return False

    def _rom_baud(self, baud: int) -> int:
        """What to ask the ROM for, so that its wrong idea of the crystal gives `baud`."""
        match self._r.spec.rom.baud:
            case RomBaud.ESP32_MEASURED:
                believed = self._facts.rc_crystal_hz
                real = 40_000_000 if believed > 33_000_000 else 26_000_000
                return int(baud * believed // real)
            case RomBaud.C2_26MHZ:
                if self._r.secure_download:
                    raise NotSupportedError(
                        "ESP32-C2 in secure download mode cannot change its baud rate.",
                        remedy="Use --baud 115200.",
                    )
                return baud * 40 // 26 if self._facts.crystal_mhz == 26 else baud
            case RomBaud.C5_40_OR_48MHZ:
                return baud if self._r.secure_download else self._c5_baud(baud)
            case RomBaud.EXACT:
                return baud

    def _c5_baud(self, baud: int) -> int:
        part = self._r.spec.crystal.rom_field
        assert part is not None
        believed, real = self._r.read_field([part]), self._facts.crystal_mhz
        if believed and believed != real:
            return baud * believed // real
        return baud

    # --- resets --------------------------------------------------------------------------------

    def hard_reset(self, uses_usb: bool | None = None) -> bool:
        """Reset into the application over the control lines, or as the chip's USB needs it.

        `uses_usb` holds the line longer; None asks the chip's data. False where the port has no
        lines, so that nothing was done; a note says so.
        """
        if self._r.debugger is not None:
            done = self._r.debugger.reset(lambda text: self._r.note(text, Level.INFO))
            self._left()
            return done
        rules = self._r.spec.reset
        mode = self._facts.usb_mode
        if rules.before_hard and not self._r.secure_download:
            try:
                self._r.run_steps(rules.before_hard)
            except FatalError:
                # A chip that does not answer is reset as well.
                self._r.link.discard_input()
        if mode == "usb_otg" and self._otg_needs_watchdog():
            self.watchdog_reset()
            return True
        if uses_usb is None:
            uses_usb = rules.usb_delay == mode
        self._r.note("Hard resetting via RTS pin...", Level.INFO)
        port = self._r.link.port
        sequence = reset.hard_strategy(port, self._r.settings, uses_usb)
        try:
            reset.play(port, sequence, sleep=self._r.link.sleep)
        except reset.NoLinesError as e:
            self._r.note(e.message)
            return False
        self._left()
        return True

    def _left(self) -> None:
        self._r.left_stub()
        self._r.has_left = True

    def _otg_needs_watchdog(self) -> bool:
        if self._r.spec.reset.watchdog is None:
            return False
        match self._r.spec.reset.otg:
            case OtgReset.NEVER:
                return False
            case OtgReset.ALWAYS:
                return True
            case OtgReset.UNLESS_SECURE_DOWNLOAD:
                return not self._r.secure_download
            case OtgReset.WHEN_STRAPPED:
                return not self._r.secure_download and self._facts.reset_strapped_low

    def watchdog_reset(self) -> None:
        """Let the RTC watchdog reset the chip: it starts with its straps read anew.

        Raises:
            NotSupportedError: this chip has no such recipe.
        """
        recipe = self._r.spec.reset.watchdog
        if recipe is None:
            raise NotSupportedError(
                f"Watchdog hard reset is not supported on {self._r.spec.name}.",
                remedy="Use --after hard-reset.",
            )
        self._r.note("Hard resetting with a watchdog...", Level.INFO)
        self._r.run_steps(recipe.steps)
        self._r.link.sleep(recipe.wait_s)
        self._left()

    def soft_reset(self, stay_in_bootloader: bool) -> None:
        """Start the application, or the ROM loader anew, without a reset line.

        Afterwards the ROM or the application answers.

        Raises:
            NotSupportedError: a stub can only start an application on ESP8266.
        """
        if self._r.is_stub:
            if stay_in_bootloader:
                self._flash.begin(0, 0)
                self._flash.finish(reboot=True)
            elif self._r.spec.rom.flash_ops:
                raise NotSupportedError(
                    "Soft resetting is currently only supported on ESP8266.",
                    remedy="Use --after hard-reset, or --no-stub.",
                )
            else:
                self._r.command(Cmd.RUN_USER_CODE, wait=False)
        elif not stay_in_bootloader:
            self._flash.begin(0, 0)
            self._flash.finish(reboot=False)
        self._r.left_stub()
