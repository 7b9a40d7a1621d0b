# SPDX-License-Identifier: Apache-2.0
"""The schema of a chip as silicon: where its registers, memories and ROM functions are, what its
eFuse controller locks and hides, and what its ROM prints. No I/O, no algorithms.

It is written from other sources than `esptool.chips`, and shares nothing with it, so that the
virtual chip cannot believe what the tool believes. Addresses are absolute bus addresses, offsets of
an eFuse controller are from its base, and a revision is `major * 100 + minor`.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import TypeVar

from esptool.records import dataclass
from esptool.virtual.silicon.shape import Shape


class Arch(Enum):
    """The instruction set of the processor that runs the loader."""

    LX106 = "lx106"
    XTENSA = "xtensa"
    RISCV = "riscv"


class Loads(Enum):
    """How a ROM tells of the program that it finds in the flash."""

    #: Not known: its segments and the entry are listed.
    UNKNOWN = ""
    ESP8266 = "esp8266"
    ESP32 = "esp32"
    #: The pin for write protection on a line of its own.
    WITH_WP = "with-wp"
    SPI_MODE = "spi-mode"
    #: The same; an assertion ends it.
    ASSERTS = "asserts"


class LoaderBaud(Enum):
    """What the ROM believes of the crystal when it is asked for another rate."""

    EXACT = "exact"
    ESP32_MEASURED = "esp32-measured"
    C2_26MHZ = "c2-26mhz"
    C5_40_OR_48MHZ = "c5-40-or-48mhz"


class FlashKey(Enum):
    """Where the flash encryption block finds its key."""

    NONE = "none"
    ESP32_BLOCK1 = "esp32-block1"
    C2_BLOCK3 = "c2-block3"
    PURPOSES = "purposes"


class MacPlace(Enum):
    """How the factory burns the MAC address."""

    ESP8266_OTP = "esp8266-otp"
    ESP32_CRC = "esp32-crc"
    MAC48 = "mac48"
    #: Followed by FF FE, of which a 64-bit address is made.
    MAC48_EXT = "mac48-ext"


@dataclass(frozen=True, slots=True)
class Range:
    """Addresses from `start` on, `end` not included. Kinds: "iram", "dram", "rom", "flash"."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class Bit:
    """Some bits of a register."""

    address: int
    shift: int
    width: int


@dataclass(frozen=True, slots=True)
class Uart:
    """UART0. `fifo` are all addresses under which its FIFO is seen; the clock that it divides is
    the crystal times `clock_multiplier`."""

    base: int
    fifo: tuple[int, ...]
    clkdiv: int
    status: int
    date: int
    clock_multiplier: int


@dataclass(frozen=True, slots=True)
class Spi:
    """The controller of the flash.

    Attributes:
        status: where the ready-made command that reads the flash's status leaves it.
        mosi_dlen, miso_dlen: None where USER1 holds the lengths.
        hold: the bit that keeps the flash selected behind a transaction.
        short_address_on_top: an address of less than 32 bits stands in the upper bits of ADDR.
    """

    base: int
    user: int
    user1: int
    user2: int
    w0: int
    status: int
    mosi_dlen: int | None
    miso_dlen: int | None
    hold: Bit | None
    short_address_on_top: bool


@dataclass(frozen=True, slots=True)
class GpSpi:
    """The general-purpose controller, to which a second flash may be wired.

    Attributes:
        in_select: register of input signal 0 in the GPIO matrix, `in_select_bit` the bit that takes
            the matrix in place of the pad's own function.
        out_select: register of GPIO 0.
        signals: numbers of CLK, Q, D, HD, WP and CS in the matrix.
    """

    base: int
    in_select: int
    in_select_bit: int
    out_select: int
    signals: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Watchdog:
    """The RTC (or LP) watchdog, and the super watchdog beside it.

    Configuration counts only while `wprotect` holds `key`; that of the super watchdog
    (`swd_conf`) while `swd_wprotect` holds `swd_key`.
    """

    config0: int
    config1: int
    feed: int
    wprotect: int
    key: int
    enable: Bit
    swd_conf: int | None
    swd_wprotect: int | None
    swd_key: int | None
    swd_auto_feed: Bit | None


@dataclass(frozen=True, slots=True)
class ClockTree:
    """Registers of the root clock: `select` shows `pll` when the processor runs from the PLL at
    `mhz`; `divider` is that of the bus, less one; a write to `update` makes both hold."""

    select: Bit
    pll: int
    mhz: int
    divider: Bit
    update: Bit


@dataclass(frozen=True, slots=True)
class RomCalls:
    """Addresses of functions in the ROM; 0 where it has none.

    Attributes:
        attach: connect the SPI controller to the flash's pins (pins, legacy).
        restart: software reset.
        delay: wait so many microseconds.
        encrypt: program through the flash encryption (address, data, length).
        security: copies the security information to its third argument.
        printf: prints to the console (format, up to three values).
        quiet: without an effect here, answered with 0.
    """

    attach: int
    restart: int
    delay: int
    encrypt: int
    security: int
    printf: int
    quiet: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class BootTexts:
    """What the ROM says when it starts.

    Attributes:
        tag: what stands behind "ESP-ROM:"; empty where the ROM begins with "ets".
        build: date of the build, with the time where the ROM tells it.
        download: the name of download mode.
        causes: (number, name) of the reasons to start.
        loads: how it tells of the program that it loads.
        tries: how often it looks for a header; 0 where it goes on until the watchdog bites.
        stops: its last words where it does not start a program; lines end with a line feed.
        no_program: what it says where there is no header, if not that it is invalid.
        cut: its last words where a segment does not end below 4 GiB.
        refusal: what it says of a program that secure boot does not let it start.
    """

    tag: str
    build: str
    download: str
    causes: tuple[tuple[int, str], ...]
    loads: Loads = Loads.UNKNOWN
    tries: int = 0
    stops: str = ""
    no_program: str = ""
    cut: str = ""
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Rom:
    """One ROM, from a chip revision on.

    Attributes:
        eco: the version that it tells in the security information.
        spare_purpose: what stands there behind the purposes of the keys that there are.
        unasked_data: with which reason it refuses a block for the flash that nothing has
            announced; 0 where it takes it.
    """

    since: int
    calls: RomCalls | None
    boot: BootTexts
    eco: int
    spare_purpose: int
    unasked_data: int = 5


@dataclass(frozen=True, slots=True)
class Loader:
    """The serial loader.

    Attributes:
        status_bytes: length of the status at the end of an answer.
        flash_commands: it has MD5, deflate, SPI attach and parameters.
        security_info: it answers GET_SECURITY_INFO; `security_info_chip_id` with the chip's id.
        encrypted_begin: FLASH_BEGIN takes a fifth word.
        baud: what it believes of the crystal; `crystal_field` says so where it is asked.
        magic: the word at 0x40001000, where it tells chips apart.
        bootloader_offset: where it looks for a program in the flash.
        extended_header: program images have 16 bytes more in front.
        refuses_ram: with secure boot on, MEM_END resets instead of starting what is in RAM.
        read_pointer: a word in RAM that holds another function to read flash with, or 0.
    """

    status_bytes: int
    flash_commands: bool
    security_info: bool
    security_info_chip_id: bool
    encrypted_begin: bool
    baud: LoaderBaud
    crystal_field: Bit | None
    magic: int | None
    bootloader_offset: int
    extended_header: bool
    refuses_ram: bool = False
    read_pointer: int | None = None


#: (block, position from bit 0 of the block, length, shift of these bits in the value)
Piece = tuple[int, int, int, int]
Field = tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """One eFuse block. `write` is its own program window, None where all share that at `window`.

    `write_disable` is a bit of WR_DIS, `read_disable` are bits of RD_DIS, each for a part.
    """

    index: int
    read: int
    words: int
    write: int | None
    write_disable: int | None
    read_disable: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Locks:
    """From a revision on: (bit of WR_DIS, mask over BLOCK0 that it locks), and of RD_DIS likewise
    (bit, mask that it hides)."""

    since: int
    write: tuple[tuple[int, int], ...]
    hide: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class BlockError:
    """Where a block's errors are told: `fail` and the count of wrong bytes."""

    block: int
    register: int
    count_mask: int
    count_shift: int
    fail_register: int
    fail: int | None


@dataclass(frozen=True, slots=True)
class Efuse:
    """The eFuse controller. `fields` are those that the ROM or the hardware look at, and those that
    the factory burns; `purposes` are the key purposes, from the first key block on; `xts_256` tells
    that two of the keys may be one of 512 bits."""

    base: int
    command: int
    config: int
    write_code: int
    read_code: int
    window: int
    check: int | None
    blocks: tuple[Block, ...]
    first_key: int
    locks: tuple[Locks, ...]
    block0_errors: tuple[int, ...]
    block_errors: tuple[BlockError, ...]
    decode_status: int | None
    fields: dict[str, Field]
    purposes: tuple[Field, ...]
    xts_256: bool


@dataclass(frozen=True, slots=True)
class Factory:
    """What a board with this chip has when nothing else was asked for.

    Attributes:
        mac: how the MAC address is burned.
        revision: the chip's revision; `major_codes` are (code that is burned, major revision).
        fields: (name, value) of more fields that are burned.
        calibration: register that holds what the ROM measured of the crystal.
        revision_bit: the highest bit of the major code, where that is no eFuse.
    """

    mac: MacPlace
    crystal_mhz: int
    revision: int
    major_codes: tuple[tuple[int, int], ...] = ()
    fields: tuple[tuple[str, int], ...] = ()
    calibration: Bit | None = None
    revision_bit: Bit | None = None


@dataclass(frozen=True, slots=True)
class Silicon:
    """One SoC.

    Attributes:
        usb_jtag: base of USB-Serial/JTAG; `otg_product` is the product id of the ROM's USB-OTG.
        otp: base of ESP8266's factory-set words.
        stubs: where the vendor's flasher stubs begin.
        shape: what it takes to execute its own ROM, None where that is not known.
    """

    key: str
    name: str
    arch: Arch
    chip_id: int | None
    memory: tuple[Range, ...]
    uart: Uart
    spi: Spi
    gpspi: GpSpi | None
    usb_jtag: int | None
    otg_product: int | None
    watchdog: Watchdog | None
    clock: ClockTree | None
    otp: int | None
    stubs: tuple[int, ...]
    loader: Loader
    roms: tuple[Rom, ...]
    flash_key: FlashKey
    efuse: Efuse | None
    factory: Factory
    shape: Shape | None

    def rom(self, revision: int) -> Rom:
        """The ROM of that revision."""
        return _latest(self.roms, revision)


def locks(efuse: Efuse, revision: int) -> Locks:
    """The controller's rules in that revision."""
    return _latest(efuse.locks, revision)


_T = TypeVar("_T", Rom, Locks)


def _latest(entries: Iterable[_T], revision: int) -> _T:
    return max((e for e in entries if e.since <= revision), key=lambda e: e.since)
