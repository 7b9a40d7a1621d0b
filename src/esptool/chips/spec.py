# SPDX-License-Identifier: Apache-2.0
"""The schema of a chip: what differs between SoCs, as frozen values. No I/O, no algorithms.

Conventions: addresses are absolute bus addresses; `*_offset` is from the start of flash; sizes are
bytes; a revision is `major * 100 + minor`. A `Field` is read from registers part by part:
`value |= ((word(address) >> shift) & (2**width - 1)) << out_shift`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from esptool.chips.identity import Field as Field
from esptool.chips.identity import FieldPart as FieldPart
from esptool.chips.identity import Identity as Identity
from esptool.chips.identity import Mac as Mac
from esptool.chips.identity import MacLayout as MacLayout
from esptool.chips.identity import Part as Part
from esptool.chips.identity import RevisionRule as RevisionRule
from esptool.chips.identity import Variant as Variant
from esptool.chips.identity import When as When
from esptool.chips.identity import frozen as frozen
from esptool.records import dataclass, field


class Arch(Enum):
    """The instruction set that a stub or an application is compiled for."""

    LX106 = "lx106"
    XTENSA = "xtensa"
    RISCV = "riscv"


# --- register access ---------------------------------------------------------------------------


class Op(Enum):
    """What a register step does."""

    WRITE = "write"
    SET_BITS = "set"
    CLEAR_BITS = "clear"
    SLEEP = "sleep"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a register recipe. `value` holds the bits; for SLEEP, microseconds."""

    op: Op
    address: int
    value: int


# --- what the ROM loader is like ---------------------------------------------------------------


class RomBaud(Enum):
    """How the ROM turns a requested baud rate into the one that it really uses."""

    EXACT = "exact"
    ESP32_MEASURED = "esp32-measured"  # the ROM guesses the crystal from its RC oscillator
    C2_26MHZ = "c2-26mhz"  # the ROM believes in 40 MHz though the crystal may be 26
    C5_40_OR_48MHZ = "c5-40-or-48mhz"  # the ROM may believe in the other of its two crystals


@dataclass(frozen=True, slots=True)
class Rom:
    """The serial boot loader in ROM.

    Attributes:
        status_bytes: length of the status at the end of an answer.
        magic: value of the word at 0x40001000 where that identifies the chip, else None.
        security_info: answers GET_SECURITY_INFO.
        baud: how its baud-rate command behaves.
        ext_flash_begin: FLASH_BEGIN takes a fifth word (encrypted).
        flash_ops: has MD5, deflate, SPI attach and parameters (all but ESP8266).
    """

    status_bytes: int
    magic: int | None
    security_info: bool
    baud: RomBaud
    ext_flash_begin: bool
    flash_ops: bool


@dataclass(frozen=True, slots=True)
class Uart:
    """UART0: divider register (20-bit field), date register, crystal divider of the ROM's clock."""

    clkdiv_reg: int
    date_reg: int
    xtal_clk_divider: int


@dataclass(frozen=True, slots=True)
class SpiMem:
    """The SPI controller wired to the flash; `*_offs` are from `base`.

    `mosi_dlen_offs` and `miso_dlen_offs` are None on ESP8266, whose lengths sit in USR1.
    `addr_msb` tells whether a short address stands in the top bits of the ADDR register.
    """

    base: int
    usr_offs: int
    usr1_offs: int
    usr2_offs: int
    w0_offs: int
    mosi_dlen_offs: int | None
    miso_dlen_offs: int | None
    addr_msb: bool


@dataclass(frozen=True, slots=True)
class Flash:
    """What the chip and its image header allow for the SPI flash.

    `sizes` and `frequencies` map the command-line words to header nibbles (size in the high one).
    """

    bootloader_offset: int
    sizes: Mapping[str, int]
    frequencies: Mapping[str, int]
    encrypted_write_align: int
    addr32: bool
    custom_pins: bool


@dataclass(frozen=True, slots=True)
class SpiPins:
    """GPIOs that may be wired to an external flash: inclusive ranges and special cases."""

    allowed: tuple[tuple[int, int], ...]
    usb: tuple[int, ...]
    hd_max: int | None


@dataclass(frozen=True, slots=True)
class MemoryRange:
    """A range of the address space, `end` not included. Ranges may overlap on purpose."""

    start: int
    end: int
    kind: str

    def __contains__(self, address: object) -> bool:
        return isinstance(address, int) and self.start <= address < self.end


# --- firmware images ---------------------------------------------------------------------------


class MinRev(Enum):
    """What the one-byte minimum revision of the extended header counts."""

    NONE = "none"
    MAJOR = "major"
    MINOR = "minor"


@dataclass(frozen=True, slots=True)
class ImageRules:
    """How a firmware image for this chip is laid out.

    Attributes:
        extended_header: the 16-byte second header exists.
        irom, drom: address ranges that are mapped from flash through the MMU (end excluded).
        mmu_page_sizes: the page sizes to choose from; empty where it is fixed at 64 KiB.
        min_rev: meaning of the legacy revision byte.
        tail_guard: bytes that must stay free at the end of the last page (ESP32 only).
        secure_pad_v1: secure-boot v1 padding exists (ESP32 only).
    """

    extended_header: bool
    irom: tuple[int, int]
    drom: tuple[int, int]
    mmu_page_sizes: tuple[int, ...]
    min_rev: MinRev
    tail_guard: int
    secure_pad_v1: bool

    segment_align: int = 0x10000


class CrystalMethod(Enum):
    """How the crystal frequency is known."""

    FIXED = "fixed"
    UART_DIVIDER = "uart-divider"


@dataclass(frozen=True, slots=True)
class Crystal:
    """Crystal oscillator; `mhz` only when fixed. `rom_field` is what the ROM believes (C5)."""

    method: CrystalMethod
    mhz: int | None = None
    rom_field: FieldPart | None = None


# --- security ----------------------------------------------------------------------------------


class KeyCheck(Enum):
    """How to see that a flash-encryption key is present."""

    NONE = "none"
    ESP32_BLK1 = "esp32-blk1"
    PURPOSES = "purposes"
    C2_KEY0 = "c2-key0"


@dataclass(frozen=True, slots=True)
class Bits:
    """A mask in a register."""

    address: int
    mask: int


@dataclass(frozen=True, slots=True)
class Security:
    """Secure boot and flash encryption state, as read from eFuses.

    Attributes:
        secure_boot: any set bit means enabled. None where the chip has no secure boot.
        secure_boot_v2: ESP32's second bit, meaningful from revision `secure_boot_v2_min`.
        crypt_cnt: flash encryption is enabled when an odd number of these bits is set.
        no_manual_encrypt: bit that forbids encrypted writes by the loader.
        secure_version: an app's secure version must not be below how many of these bits are set.
        key_check, key_purposes: how a valid key is seen; each tuple of purposes is sufficient.
        purpose_fields: where each key block's purpose stands.
        key_manager: field whose bit `key_manager_xts` says that the key manager holds the key.
    """

    secure_boot: Bits | None = None
    secure_boot_v2: Bits | None = None
    secure_boot_v2_min: int = 0
    crypt_cnt: Bits | None = None
    no_manual_encrypt: Bits | None = None
    secure_version: Bits | None = None
    key_check: KeyCheck = KeyCheck.NONE
    key_purposes: tuple[tuple[int, ...], ...] = ()
    purpose_fields: tuple[FieldPart, ...] = ()
    key_manager: FieldPart | None = None
    key_manager_xts: int = 0


@dataclass(frozen=True, slots=True)
class Efuse:
    """eFuse controller: base of its registers, first read register, BLOCK1, key blocks."""

    base: int
    rd_reg_base: int
    block1: int | None
    max_key: int
    key_purposes: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class FlashVoltage:
    """VDD_SDIO / VDD_SPI: where its setting is read, in order, and how ESP32 overrides it."""

    order: tuple[str, ...]
    efuse_reg: int
    efuse_force: int
    efuse_xpd: int
    efuse_tieh: int
    strap: Bits
    rtc_reg: int | None = None
    override: bool = False


# --- resets and links --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WatchdogReset:
    """Reset by letting the RTC watchdog bite: steps, then wait. Works where RTS cannot reset."""

    steps: tuple[Step, ...]
    wait_s: float = 0.5


class OtgReset(Enum):
    """When a reset over USB-OTG must go through the watchdog instead of RTS."""

    NEVER = "never"
    ALWAYS = "always"
    UNLESS_SECURE_DOWNLOAD = "unless-secure-download"
    WHEN_STRAPPED = "when-strapped"  # strapping pin low and download mode not forced


@dataclass(frozen=True, slots=True)
class QuickReset:
    """What the first attempt to get into download mode waits for, in milliseconds.

    Later attempts wait for longer, as slow adapters and large capacitors at EN need it.

    Attributes:
        low_ms: EN is held low.
        strap_ms: the boot strap is held after EN was let go, unless the chip says earlier that it
            waits for a download.
        arm_ms: between two changes of the lines over USB-Serial/JTAG.
    """

    low_ms: int
    strap_ms: int
    arm_ms: int


@dataclass(frozen=True, slots=True)
class Reset:
    """What a reset needs on this chip.

    Attributes:
        quick: the first attempt to get into download mode.
        watchdog: recipe of the watchdog reset, None where there is none.
        quiet_watchdogs: steps that keep the watchdogs from biting over USB-Serial/JTAG.
        before_hard: steps before any hard reset (S3: forget forced download mode).
        otg: see `OtgReset`; `otg_strap` and `otg_forced` are its two conditions.
        usb_delay: link ("usb_otg", "usb_serial_jtag") on which the reset line is held longer.
    """

    quick: QuickReset
    watchdog: WatchdogReset | None = None
    quiet_watchdogs: tuple[Step, ...] = ()
    before_hard: tuple[Step, ...] = ()
    otg: OtgReset = OtgReset.NEVER
    otg_strap: Bits | None = None
    otg_forced: Bits | None = None
    usb_delay: str | None = None


@dataclass(frozen=True, slots=True)
class Usb:
    """Native USB: the fixed-function USB-Serial/JTAG (PID 0x1001), or OTG (PID = chip id)."""

    serial_jtag: bool
    otg: bool


@dataclass(frozen=True, slots=True)
class Debug:
    """What a debugger finds, that asks no ROM.

    Attributes:
        rom_word: address of a word of the ROM that tells the chip by its values, `rom_values`, one
            or more for each version of the ROM that is known; empty where none is.
        quiet_watchdogs: stops the watchdogs that start with the chip or the ROM, besides those of
            `Reset.quiet_watchdogs`.
    """

    rom_word: int
    rom_values: tuple[int, ...]
    quiet_watchdogs: tuple[Step, ...] = ()


# --- stub --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StubLayout:
    """RAM that the ROM leaves free for a stub: where code, data and zeroed data may start."""

    text_start: int
    data_start: int
    bss_start: int


@dataclass(frozen=True, slots=True)
class PowerOn:
    """ESP32-P4: the recipe that powers the flash for certain revisions."""

    revisions: tuple[int, ...]
    steps: tuple[Step, ...]
    skip_revision: int
    skip_when_all_set: Bits
    skip_steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class CpuClock:
    """How a stub may raise the processor's clock while the PLL runs, with all other clocks kept.

    The bus is divided by `times` as the processor gets that much faster than the crystal; the
    sources of UART and SPI flash are chosen elsewhere.

    Attributes:
        select: the field that chooses the root clock; 0 is the crystal.
        pll: its value for the PLL.
        bus_divider: register whose low byte is the bus's divider less one.
        update: writing this bit lets new settings come into force; it clears itself.
        mhz: the raised clock.
        times: how many times the crystal's it is.
    """

    select: Bits
    pll: int
    bus_divider: int
    update: Bits
    mhz: int
    times: int


@dataclass(frozen=True, slots=True)
class StubRules:
    """Which stub runs, and when none may.

    Attributes:
        available: there is a stub for this chip.
        layouts: by stub name (`esp32p4-rev1` beside `esp32p4`).
        variants: (first revision not covered, stub name) in rising order, then the default name.
        not_with_secure_boot: the ROM refuses unsigned code in RAM when secure boot is on.
        not_for_revision: a revision whose ROM cannot run one (C2 v0.0).
        secure_boot_detour: S3: (address of a ROM function pointer, opcode that calls it).
        cpu_clock: the clock may be raised while the host is on USB-Serial/JTAG.
    """

    available: bool
    layouts: Mapping[str, StubLayout]
    variants: tuple[tuple[int, str], ...] = ()
    not_with_secure_boot: bool = False
    not_for_revision: int | None = None
    secure_boot_detour: tuple[int, int] | None = None
    flash_write_size: int = 0x4000
    cpu_clock: CpuClock | None = None


@dataclass(frozen=True, slots=True)
class ChipSpec:
    """Everything that the tool-set knows about one SoC."""

    key: str
    name: str
    arch: Arch
    image_chip_id: int | None
    uf2_family_id: int
    rom: Rom
    uart: Uart
    spi: SpiMem
    flash: Flash
    memory_map: tuple[MemoryRange, ...]
    image: ImageRules
    identity: Identity
    crystal: Crystal
    security: Security
    efuse: Efuse | None
    reset: Reset
    usb: Usb
    stub: StubRules
    voltage: FlashVoltage | None = None
    octal_flash: Bits | None = None
    spi_pins: SpiPins | None = None
    flash_power_on: PowerOn | None = None
    debug: Debug | None = None
    sdc: bool = False
    registers: Mapping[str, int] = field(default_factory=lambda: frozen({}))

    def memory_kind(self, address: int) -> tuple[str, ...]:
        """The kinds of all memory ranges that hold `address`, in the map's order."""
        return tuple(r.kind for r in self.memory_map if address in r)
