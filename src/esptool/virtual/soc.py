# SPDX-License-Identifier: Apache-2.0
"""The chip on the board: address space, controllers, and whichever program runs on it.

The host's side of the line (baud, reset lines, faults) belongs to the board.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from esptool.errors import UsageError
from esptool.events import Level, Message
from esptool.virtual import factory
from esptool.virtual.bus import Bus, Registers
from esptool.virtual.clock import Clock
from esptool.virtual.efuse import EfuseController, OtpWords
from esptool.virtual.gpspi import GpSpiController
from esptool.virtual.nand import Nand
from esptool.virtual.nor import Nor
from esptool.virtual.options import Options
from esptool.virtual.program import Program, Silent
from esptool.virtual.rom import RomLoader
from esptool.virtual.silicon.spec import LoaderBaud, Silicon
from esptool.virtual.spi_mem import SpiController
from esptool.virtual.uart import Uart
from esptool.virtual.usb_jtag import UsbSerialJtag

if TYPE_CHECKING:
    from esptool.virtual.genuine.machine import Machine


class Line(Protocol):
    """The chip's end of the wire, byte by byte, for programs that look at their FIFO."""

    def incoming(self) -> bytes:
        """What has arrived by now and was not fetched."""

    def next_arrival(self) -> float:
        """When there will be more worth waking for."""

    def next_byte(self) -> float:
        """When there will be any more."""

    def leaves(self, data: bytes, moment: float) -> float:
        """Bytes of which the last one leaves the UART at `moment`; when the host has them."""


#: Remarks of which one in a process is enough.
_TOLD: set[str] = set()


class Soc:
    """One SoC with its flash.

    Attributes:
        silicon: where everything is on this chip.
        revision: of the chip, major * 100 + minor.
        rom: the ROM of that revision.
        program: what runs now.
        baud: rate of its UART; 0 while the loader still measures the host's.
        nand: a NAND flash on the general-purpose SPI controller, where the board has one.
        loaded: (address, size) of the segments that were loaded into RAM since the reset.
        slice_s: a program that computes is left alone for so long before the board is looked at
            again, or without end when 0.
        busy_s: real seconds that the execution of its own ROM has taken.
        machine: what executes the chip's own ROM, where that was asked for.
        notes: what happened that a person may want to know, oldest first.
        on_crash: told of the text of a processor's exception.
    """

    def __init__(
        self,
        silicon: Silicon,
        options: Options,
        nor: Nor,
        clock: Clock,
        send: Callable[[bytes], None],
    ) -> None:
        self.silicon = silicon
        self.options = options
        asked = options.revision
        self.revision = silicon.factory.revision if asked is None else asked
        self.rom = silicon.rom(self.revision)
        self.nor = nor
        self.clock = clock
        self.send = send
        self.bus = Bus()
        self.uart = Uart(silicon.uart, send)
        self.uart.on_divider = self._divider_set
        self.spi = SpiController(silicon.spi, nor)
        self.nand: Nand | None = None
        self._gpspi: GpSpiController | None = None
        self.efuse: EfuseController | None = None
        self.usb: UsbSerialJtag | None = None
        self.program: Program = Silent()
        self.line: Line | None = None
        self.flash_attached = False
        self.baud = 0
        self.loaded: list[tuple[int, int]] = []
        self.slice_s = 0.0
        self.machine: Machine | None = None
        self.busy_s = 0.0
        self.notes: list[str] = []
        self._given_out = 0
        self._unasked: set[int] = set()
        self.crystal_mhz = options.crystal_mhz or silicon.factory.crystal_mhz
        self._deferred: list[Callable[[], None]] = []
        self._fixed: dict[int, int] = {}
        self._wire()

    def _wire(self) -> None:
        silicon = self.silicon
        self.bus.attach(silicon.uart.base, 0x100, self.uart)
        self.bus.attach(silicon.spi.base, 0x100, self.spi)
        if silicon.usb_jtag is not None:
            self.usb = UsbSerialJtag(self.send)
            self.bus.attach(silicon.usb_jtag, 0x100, self.usb)
        if silicon.efuse is not None:
            self.efuse = EfuseController(silicon.efuse, self.revision)
            self.bus.attach(silicon.efuse.base, 0x200, self.efuse)
        if self.options.nand.part is not None:
            self._wire_nand()
        self.otp: Registers = OtpWords()
        if silicon.otp is not None:
            self.bus.attach(silicon.otp, 0x100, self.otp)
        factory.provision(self)

    def _wire_nand(self) -> None:
        layout, options = self.silicon.gpspi, self.options
        if layout is None:
            raise UsageError(f"The virtual {self.silicon.name} has no controller for NAND flash.")
        nand = Nand(options.nand, self.clock, max_times=options.max_times)
        controller = GpSpiController(layout, nand, self.clock, self.crystal_mhz, options.nand.pins)
        self.nand, self._gpspi = nand, controller
        self.bus.attach(layout.base, 0x100, controller)
        self.bus.attach(*controller.matrix_span, controller.matrix)

    # --- life --------------------------------------------------------------------------------

    def reset(self) -> None:
        """Everything but flash, eFuses and notes goes back to the state after power-on."""
        self.bus.clear()
        self.nor.power_cycle()
        self.nor.watched()
        self.spi.reset()
        self.uart.words.clear()
        if self.nand is not None and self._gpspi is not None:
            self.nand.power_cycle()
            self._gpspi.reset()
        if self.usb is not None:
            self.usb.reset()
        self._deferred.clear()
        self.loaded.clear()
        self.flash_attached = not self.silicon.loader.flash_commands or self.machine is not None
        self.spi.attached = self.flash_attached
        self.program = Silent()
        self.baud = 0
        if self.efuse is not None:
            self.efuse.refresh()
        for address, value in self._fixed.items():
            self.bus.write_word(address, value)

    def set_fixed(self, address: int, value: int) -> None:
        """A register that shows `value` after every reset."""
        self._fixed[address] = value
        self.bus.write_word(address, value)

    def start_loader(self) -> None:
        """Enter download mode."""
        self.program = RomLoader(self)

    def defer(self, action: Callable[[], None]) -> None:
        """Do `action` when the answer to the present request has gone out."""
        self._deferred.append(action)

    def after_answer(self) -> None:
        """Do what was deferred."""
        actions, self._deferred = self._deferred, []
        for action in actions:
            action()

    def run_flash(self) -> None:
        """Leave the loader for the application in flash."""
        self.on_run_flash()

    def run_ram(self, entry: int) -> None:
        """Jump to code that was loaded into RAM."""
        self.on_run_ram(entry)

    def reboot(self) -> None:
        """A software reset: the straps keep what they were at the last hardware reset."""
        self.on_reboot()

    def remark(self, text: str, *, once: bool = False) -> None:
        """Note what a person is told unasked; with `once` only the first time in this process."""
        if not once or text not in _TOLD:
            self._unasked.add(len(self.notes))
        if once:
            _TOLD.add(text)
        self.notes.append(text)

    def take_remarks(self) -> tuple[Message, ...]:
        """The notes that were not given out yet: what a person is told, the rest for debugging."""
        start, self._given_out = self._given_out, len(self.notes)
        return tuple(
            Message(self.notes[i], Level.NOTE if i in self._unasked else Level.DEBUG)
            for i in range(start, len(self.notes))
        )

    # The board replaces these: it owns the boot log and the choice of an emulator.
    on_run_flash: Callable[[], None] = staticmethod(lambda: None)
    on_reboot: Callable[[], None] = staticmethod(lambda: None)
    on_run_ram: Callable[[int], None] = staticmethod(lambda _entry: None)
    on_crash: Callable[[bytes], None] = staticmethod(lambda _text: None)

    # --- line --------------------------------------------------------------------------------

    @property
    def clock_hz(self) -> int:
        """What the UART divides: the crystal, times the ROM's factor."""
        return self.crystal_mhz * 1_000_000 * self.silicon.uart.clock_multiplier

    def set_baud(self, baud: int) -> None:
        """The UART runs at `baud` and its divider shows it."""
        self.baud = baud
        self.uart.set_divider(self.clock_hz, baud)

    def _divider_set(self, whole: int, sixteenths: int) -> None:
        divider = whole * 16 + sixteenths
        if divider:
            self.baud = self.clock_hz * 16 // divider

    def set_rom_baud(self, asked: int) -> None:
        """The loader's own arithmetic, which may believe in another crystal than is fitted."""
        believed = self.crystal_mhz
        loader = self.silicon.loader
        if loader.baud is LoaderBaud.C2_26MHZ:
            believed = 40
        elif loader.crystal_field is not None:
            field = loader.crystal_field
            believed = self.bus.read_word(field.address) >> field.shift & ((1 << field.width) - 1)
            believed = believed or self.crystal_mhz
        self.set_baud(max(1, asked * self.crystal_mhz // believed))

    # --- security ----------------------------------------------------------------------------

    def _bits(self, name: str) -> int:
        if self.efuse is None:
            return 0
        return self.efuse.named(name)

    @property
    def secure_download(self) -> bool:
        """Only a few commands are left to the loader."""
        return bool(self._bits("secure_download"))

    @property
    def download_disabled(self) -> bool:
        """There is no download mode any more."""
        return bool(self._bits("download_off"))

    @property
    def flash_encryption(self) -> bool:
        """An odd number of bits in the count switches encryption on."""
        return self._bits("crypt_count").bit_count() % 2 == 1

    @property
    def secure_boot(self) -> bool:
        """Secure boot is enabled."""
        return bool(self._bits("secure_boot"))

    @property
    def secure_boot_v2(self) -> bool:
        """Version 2 is enabled on ESP32, where the other bit means version 1."""
        return bool(self._bits("secure_boot_v2"))

    def security_info(self) -> bytes:
        """Answer to GET_SECURITY_INFO: flags, count, purposes, and where it exists the chip id."""
        flags = self._bits("secure_boot")
        flags |= self._bits("aggressive_revoke") << 1
        flags |= self._bits("secure_download") << 2
        flags |= self._bits("key_revoke") << 3
        purposes = []
        if self.efuse is not None:
            purposes = [self.efuse.shown(field) for field in self.efuse.layout.purposes]
        spare = bytes((self.rom.spare_purpose,))
        body = struct.pack(
            "<IB7s", flags, self._bits("crypt_count"), bytes(purposes)[:7].ljust(7, spare)
        )
        if not self.silicon.loader.security_info_chip_id:
            return body
        return body + struct.pack("<II", self.silicon.chip_id or 0, self.rom.eco)

    def can_encrypt(self) -> bool:
        """The loader may write encrypted: there is a key and manual encryption is not forbidden."""
        if self.efuse is not None:
            forbid = self.efuse.layout.fields.get("no_manual_encrypt", ())
            if self.efuse.shown(forbid):
                return False
        from esptool.virtual.crypt import find_key

        return find_key(self) is not None

    def encrypt(self, address: int, data: bytes) -> bytes:
        """What the flash gets when `data` is written through the encryption block."""
        from esptool.virtual.crypt import encrypt, find_key

        key = find_key(self)
        if key is None:
            raise UsageError("Encrypted writing without a key.")
        return encrypt(self, key, address, data)

    def read_program(self, address: int, size: int) -> bytes:
        """Flash as the ROM reads a program from it: decrypted where flash encryption is on."""
        if not self.flash_encryption:
            return self.nor.read(address, size)
        from esptool.virtual.crypt import read_decrypted

        return read_decrypted(self, address, size)

    def attach_flash(self) -> None:
        """SPI_ATTACH: the controller's pins lead to the flash."""
        self.flash_attached = True
        self.spi.attached = True
