# SPDX-License-Identifier: Apache-2.0
"""Resets and baud rates: how a session leaves the loader, and how it goes faster."""

from __future__ import annotations

import contextlib

from esptool.chips.spec import OtgReset, RomBaud
from esptool.device.flash import FlashRequests
from esptool.errors import (
    DamagedRequestError,
    FatalError,
    NoAnswerError,
    NotSupportedError,
)
from esptool.events import Level
from esptool.protocol import packets
from esptool.protocol.opcodes import Cmd
from esptool.transport import reset

#: After a change of rate the chip's UART needs a moment; what comes before is garbage.
BAUD_SETTLE_S = 0.05
RATE_ATTEMPTS = 3


class Power(FlashRequests):
    """Resetting the chip and changing the line's speed. Mixed into a session, which has facts."""

    def change_baud(self, baud: int) -> None:
        """Set chip and port to `baud`.

        Raises:
            NotSupportedError: this ROM has no such command.
        """
        if not self.is_stub and not self.spec.rom.flash_ops:
            raise NotSupportedError(f"The {self.spec.name} ROM cannot change the baud rate.")
        self.note(f"Changing baud rate to {baud}...", Level.INFO)
        self._switch_rate(baud if self.is_stub else self._rom_baud(baud), baud)
        self.note("Changed.", Level.INFO)
        self.link.sleep(BAUD_SETTLE_S)
        self.link.discard_input()

    def _switch_rate(self, sent: int, baud: int) -> None:
        """Have the chip change its rate, and follow it.

        A request that was refused as damaged is sent again. Where the answer was lost, the chip
        may be at either rate: it is called at both.
        """
        old = self.link.baud
        data = packets.words(sent, old if self.is_stub else 0)
        for left in reversed(range(RATE_ATTEMPTS)):
            try:
                self.request("change baud rate", Cmd.CHANGE_BAUDRATE, data)
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
            self.link.set_baud(baud)
            return

    def _answers_at(self, baud: int) -> bool:
        self.link.set_baud(baud)
        for _ in range(RATE_ATTEMPTS):
            self.link.sleep(BAUD_SETTLE_S)
            self.link.discard_input()
            with contextlib.suppress(NoAnswerError):
                self.link.sync_once(self.settings.sync_timeout * 3)
                return True
        return False

    def _rom_baud(self, baud: int) -> int:
        """What to ask the ROM for, so that its wrong idea of the crystal gives `baud`."""
        match self.spec.rom.baud:
            case RomBaud.ESP32_MEASURED:
                believed = self._rc_crystal_hz()
                real = 40_000_000 if believed > 33_000_000 else 26_000_000
                return int(baud * believed // real)
            case RomBaud.C2_26MHZ:
                if self.secure_download:
                    raise NotSupportedError(
                        "ESP32-C2 in secure download mode cannot change its baud rate.",
                        remedy="Use --baud 115200.",
                    )
                return baud * 40 // 26 if self._crystal_mhz() == 26 else baud
            case RomBaud.C5_40_OR_48MHZ:
                return baud if self.secure_download else self._c5_baud(baud)
            case RomBaud.EXACT:
                return baud

    def _c5_baud(self, baud: int) -> int:
        piece = self.spec.crystal.rom_field
        assert piece is not None
        believed, real = self.read_field([piece]), self._crystal_mhz()
        if believed and believed != real:
            return baud * believed // real
        return baud

    def _rc_crystal_hz(self) -> float:
        raise NotImplementedError

    def _crystal_mhz(self) -> int:
        raise NotImplementedError

    def _usb_mode(self) -> str:
        raise NotImplementedError

    def _strapped_low(self) -> bool:
        raise NotImplementedError

    # --- resets --------------------------------------------------------------------------------

    def hard_reset(self, uses_usb: bool | None = None) -> bool:
        """Reset into the application over the control lines, or as the chip's USB needs it.

        `uses_usb` holds the line longer; None asks the chip's data. False where the port has no
        lines, so that nothing was done; a note says so.
        """
        rules = self.spec.reset
        mode = self._usb_mode()
        if rules.before_hard and not self.secure_download:
            try:
                self.run_steps(rules.before_hard)
            except FatalError:
                # A chip that does not answer is reset as well.
                self.link.discard_input()
        if mode == "usb_otg" and self._otg_needs_watchdog():
            self.watchdog_reset()
            return True
        if uses_usb is None:
            uses_usb = rules.usb_delay == mode
        self.note("Hard resetting via RTS pin...", Level.INFO)
        custom = self.settings.custom_hard_reset_sequence
        if custom:
            sequence = reset.parse_custom(custom)
        elif reset.flow_control_bridge(self.link.port):
            sequence = reset.hard_flow_control()
        else:
            sequence = reset.hard(uses_usb)
        try:
            reset.play(self.link.port, sequence, sleep=self.link.sleep)
        except reset.NoLinesError as e:
            self.note(e.message)
            return False
        return True

    def _otg_needs_watchdog(self) -> bool:
        if self.spec.reset.watchdog is None:
            return False
        match self.spec.reset.otg:
            case OtgReset.NEVER:
                return False
            case OtgReset.ALWAYS:
                return True
            case OtgReset.UNLESS_SECURE_DOWNLOAD:
                return not self.secure_download
            case OtgReset.WHEN_STRAPPED:
                return not self.secure_download and self._strapped_low()

    def watchdog_reset(self) -> None:
        """Let the RTC watchdog reset the chip: it starts with its straps read anew.

        Raises:
            NotSupportedError: this chip has no such recipe.
        """
        recipe = self.spec.reset.watchdog
        if recipe is None:
            raise NotSupportedError(
                f"Watchdog hard reset is not supported on {self.spec.name}.",
                remedy="Use --after hard-reset.",
            )
        self.note("Hard resetting with a watchdog...", Level.INFO)
        self.run_steps(recipe.steps)
        self.link.sleep(recipe.wait_s)

    def soft_reset(self, stay_in_bootloader: bool) -> None:
        """Start the application, or the ROM loader anew, without a reset line.

        Raises:
            NotSupportedError: a stub can only start an application on ESP8266.
        """
        if self.is_stub:
            if stay_in_bootloader:
                self.flash_begin(0, 0)
                self.flash_finish(reboot=True)
            elif self.spec.rom.flash_ops:
                raise NotSupportedError(
                    "Soft resetting is currently only supported on ESP8266.",
                    remedy="Use --after hard-reset, or --no-stub.",
                )
            else:
                self.command(Cmd.RUN_USER_CODE, wait=False)
        elif not stay_in_bootloader:
            self.flash_begin(0, 0)
            self.flash_finish(reboot=False)
