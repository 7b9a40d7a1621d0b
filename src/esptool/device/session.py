# SPDX-License-Identifier: Apache-2.0
"""A live chip on a port: everything that can be asked of it, with what is known about it."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from esptool.chips.spec import ChipSpec
from esptool.device import flash_id, stub_loader
from esptool.device.facts import Facts
from esptool.device.flash import FlashRequests
from esptool.device.link import Link
from esptool.device.power import Power
from esptool.device.ram import RamLoader
from esptool.device.requests import StubKind
from esptool.device.spi_bus import SpiBus, Transaction
from esptool.errors import (
    FatalError,
    LineLossError,
    NotSupportedError,
)
from esptool.events import Level, Listener, ignore
from esptool.protocol.ext import Capability
from esptool.transport.settings import Settings

if TYPE_CHECKING:
    from esptool.protocol.ext import ExtInfo
    from esptool.stubs import Stub
    from esptool.transport.discovery import PortInfo

__all__ = ["Session", "StubKind"]


class Session(Power, FlashRequests, RamLoader, SpiBus):
    """One chip on one port, from connecting to closing. Not shared between threads.

    Attributes:
        facts: what is known about the chip, read on demand and kept.
        ext: what our stub can do beyond the public protocol, None without it.
        batch_number: that of the last batch; None while it is unknown what the stub did before.
        recognised: the chip that answered when the connection was made, None where it was not
            known or not looked at.
        sync_stub_detected: a stub was already running when the connection was made.
        stub_disabled: no stub may be started on this chip.
        has_left: a reset has taken the chip out of its loader.
        loaded_stub: what `run_stub` uploaded last.
        recovering: it is being taken up again after a loss.
        may_reset: the chip may be reset to take it up again when it is lost.
    """

    def __init__(
        self,
        spec: ChipSpec,
        link: Link,
        settings: Settings | None = None,
        listener: Listener = ignore,
    ) -> None:
        super().__init__(spec, link, settings or Settings(), listener)
        self.facts = Facts(self)
        self.ext: ExtInfo | None = None
        self.batch_number: int | None = None
        #: The shortest time in which a request of ours was answered, in seconds; 0 before.
        self.round_trip = 0.0
        self.recognised: ChipSpec | None = None
        self.sync_stub_detected = False
        self.stub_disabled = False
        self.may_reset = True
        self.has_left = False
        self.recovering = False
        self.loaded_stub: Stub | None = None
        self._jedec_id: int | None = None
        self._usb_place: PortInfo | None = None
        self._port_seen = False

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the port. The chip is left as it is."""
        self.link.port.close()

    def remember(self) -> None:
        """Note which chip this is and on which USB device.

        So it is found again should its port vanish, and told from another board there.
        """
        from esptool.device.recover import usb_place

        if not self._port_seen:
            self._usb_place = usb_place(self.link.port.url)
            self._port_seen = True
        if not self.secure_download:
            self.facts.remember_mac()
        elif self.spec.rom.security_info:
            _ = self.facts.security_info

    @property
    def usb_place(self) -> PortInfo | None:
        """See `remember`."""
        return self._usb_place

    # --- after connecting ----------------------------------------------------------------------

    def prepare(self) -> None:
        """What a chip needs right after connecting: quiet watchdogs, powered flash."""
        if self.is_stub or self.secure_download:
            return
        quiet = self.spec.reset.quiet_watchdogs
        if quiet and self.facts.usb_mode == "usb_serial_jtag":
            self.run_steps(quiet)
        self._power_flash()

    def _power_flash(self) -> None:
        power = self.spec.flash_power_on
        if power is None or self.facts.revision not in power.revisions:
            return
        if self.facts.revision == power.skip_revision:
            bits = power.skip_when_all_set
            if self.read_reg(bits.address) & bits.mask == bits.mask:
                self.run_steps(power.skip_steps)
                return
        self.run_steps(power.steps)

    # --- stub ----------------------------------------------------------------------------------

    def run_stub(self, stub: Stub | None = None) -> None:
        """Upload and start a stub (ours, unless one is given), and ask what it can do.

        Where none may run, `stub_disabled` is set and a note is made.
        """
        if self.sync_stub_detected or self.is_stub:
            self.note("Stub flasher is already running. No upload is necessary.", Level.INFO)
            self.adopt_stub()
            return
        reason = stub_loader.why_no_stub(self)
        if reason is not None:
            self.stub_disabled = True
            self.note(
                f"Stub flasher is {reason}, it has been disabled. "
                "Set --no-stub to suppress this warning.",
                Level.WARNING,
            )
            return
        if stub is None:
            from esptool import stubs

            try:
                stub = stubs.load(stub_loader.stub_name(self))
            except FatalError as e:
                self.stub_disabled = True
                self.note(f"Stub flasher is not used: {e.message}", Level.WARNING)
                return
        self.note("Uploading stub flasher...", Level.INFO)
        self._jedec_id = None
        self.loaded_stub = stub
        self._upload(stub)
        self.note("Running stub flasher...", Level.INFO)
        self.adopt_stub()
        # This one has done no batch yet.
        self.batch_number = 0
        self.note("Stub flasher running.", Level.INFO)
        for remark in self.link.port.remarks:  # what a virtual chip has to say
            self.note(remark, Level.DEBUG)

    def _upload(self, stub: Stub) -> None:
        """Upload and greet; from the start again where the line or the chip was lost."""
        from esptool.device import recover

        if self.recovering:
            stub_loader.upload(self, stub)
            return
        self.remember()
        for left in reversed(range(self.settings.retries + 1)):
            try:
                stub_loader.upload(self, stub)
                return
            except LineLossError as e:
                if not left or not self.may_reset:
                    raise
                self.note(f"The upload was cut short ({e.message}) Trying again...")
                recover.recover(self)

    def adopt_stub(self) -> None:
        """From now on a stub answers; find out which."""
        from esptool.device import ext

        self.stub_kind = StubKind.PUBLIC
        self.batch_number = None
        self.ext = ext.probe(self)
        if self.ext is not None:
            self.stub_kind = StubKind.OURS

    def can(self, capability: Capability) -> bool:
        """Our stub runs, and offers this extension."""
        return self.ext is not None and self.ext.has(capability)

    @property
    def may_batch(self) -> bool:
        """Several accesses may go out as one request."""
        # A trace is read by people and by scripts: it shows each register access by itself.
        return self.link.trace is None and self.can(Capability.BATCH)

    def read_regs(self, addresses: Sequence[int]) -> list[int]:
        """The words at `addresses`; our stub reads many in one round trip."""
        if len(addresses) > 1 and self.ext is not None and self.may_batch:
            from esptool.device import ext

            return ext.read_regs(self, addresses, self.ext)
        return super().read_regs(addresses)

    def _run(self, t: Transaction) -> int:
        if self.may_batch and (not t.addr_bits or t.addr_bits in (24, 32)):
            from esptool.device import ext

            return ext.spi_command(self, t)
        return super()._run(t)

    def soft_reset(self, stay_in_bootloader: bool) -> None:
        """See `Power.soft_reset`; afterwards the ROM (or the application) answers."""
        super().soft_reset(stay_in_bootloader)
        self.left_stub()

    def hard_reset(self, uses_usb: bool | None = None) -> bool:
        """See `Power.hard_reset`."""
        done = super().hard_reset(uses_usb)
        if done:
            self.left_stub()
            self.has_left = True
        return done

    def watchdog_reset(self) -> None:
        """See `Power.watchdog_reset`."""
        super().watchdog_reset()
        self.left_stub()
        self.has_left = True

    def left_stub(self) -> None:
        """The ROM (or an application) answers again."""
        self.stub_kind = StubKind.NONE
        self.ext = None
        self.sync_stub_detected = False

    # --- flash id --------------------------------------------------------------------------------

    def flash_id(self, cache: bool = True) -> int:
        """The flash's JEDEC id (see `SpiBus.read_jedec_id`), read once unless `cache` is off."""
        if self._jedec_id is None or not cache:
            self._jedec_id = self.read_jedec_id()
        return self._jedec_id

    def require_inside(self, offset: int, size: int) -> None:
        """See `FlashRequests.require_inside`; a stub that was not told the size is told it."""
        if size and self.flash_size is None and self.is_stub and not self.secure_download:
            detected = flash_id.bytes_of(self.flash_id())
            if detected is not None:
                self.set_flash_params(detected)
        super().require_inside(offset, size)

    def spi_attach(self, pins: int = 0) -> None:
        """See `FlashRequests.spi_attach`; another flash may answer now, or one at all."""
        super().spi_attach(pins)
        self._jedec_id = None

    @property
    def known_flash_id(self) -> int | None:
        """The id that was read and is kept, None where none is."""
        return self._jedec_id

    def remember_flash_id(self, flash_id: int | None) -> None:
        """Keep an id that was read by other means; None has it read anew."""
        self._jedec_id = flash_id

    def set_flash_voltage(self, choice: str) -> None:
        """ESP32: override VDD_SDIO until the next reset: "1.8V", "1.9V" or "OFF".

        Raises:
            NotSupportedError: not this chip.
        """
        v, r = self.spec.voltage, self.spec.registers
        if v is None or not v.override or v.rtc_reg is None:
            raise NotSupportedError(f"{self.spec.name} cannot override VDD_SDIO.")
        if choice not in ("1.8V", "1.9V", "OFF"):
            raise FatalError(f"Unknown flash voltage '{choice}'. Use 1.8V, 1.9V or OFF.")
        word = r["RTC_CNTL_SDIO_FORCE"] | r["RTC_CNTL_SDIO_PD_EN"]
        if choice != "OFF":
            word |= r["RTC_CNTL_XPD_SDIO_REG"]
        if choice == "1.9V":
            names = ("RTC_CNTL_DREFH_SDIO_M", "RTC_CNTL_DREFM_SDIO_M", "RTC_CNTL_DREFL_SDIO_M")
            for name in names:
                word |= r[name]
        self.write_reg(v.rtc_reg, word)
        self.facts.forget_flash_voltage()
        self.note(f"VDDSDIO regulator set to {choice}.", Level.INFO)

    # --- what the mixins ask for -----------------------------------------------------------------

    def _rc_crystal_hz(self) -> float:
        return self.facts.rc_crystal_hz

    def _crystal_mhz(self) -> int:
        return self.facts.crystal_mhz

    def _usb_mode(self) -> str:
        return self.facts.usb_mode

    def _strapped_low(self) -> bool:
        return self.facts.reset_strapped_low
