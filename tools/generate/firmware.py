# SPDX-License-Identifier: Apache-2.0
"""From `facts/<chip>/host.json` to `firmware/chips/<stub>.h` and the linker's `<stub>.ld`.

What the tool knows too (UART, SPI controller, watchdogs, identity, clock) comes from the chip's own
data; what only a stub needs stands under `firmware`, whose keys are the fields of `Firmware`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from esptool.chips.spec import Arch, ChipSpec, Field, Op, Step
from generate import host
from generate.files import FactError, load
from generate.records import build

OUT = Path("firmware/chips")
#: Functions of one ROM lie within this many bytes.
ROM_SIZE = 0x100000
#: Least room for a stub's code, and for its data, zeroed data and stack.
LEAST_TEXT, LEAST_DATA = 0x4000, 0xC000
LEAST_PLUGIN = 0x1000
LEAST_MAILBOX = 0x800
#: The first stage lies at the end of what the stub's code may take, not further behind its start
#: than this; its data and stack lie at the end of the stub's.
STAGE_REACH, STAGE_TEXT, STAGE_DATA = 0x8000, 0x620, 0x1000

#: Values by the first silicon revision that has them, rising; the first is for 0.
ByRevision = tuple[tuple[int, int], ...]
Define = tuple[str, int | str]


@dataclass(frozen=True)
class RomCalls:
    """Functions in the ROM.

    Attributes:
        delay: waits so many microseconds.
        restart: software reset.
        attach: connects the SPI controller to the flash.
        encrypt: programs through the flash encryption; None: the loader cannot.
        pins: tells which pins the flash is on.
        select: chooses the pins of the flash (ESP8266).
        write_back: lets caches write their data to RAM, where what is stored is not seen by the
            fetch of instructions before; its argument names the caches.
    """

    delay: int
    restart: int
    attach: int
    encrypt: int | None = None
    pins: int | None = None
    select: int | None = None
    write_back: int | None = None


@dataclass(frozen=True)
class SecurityInfo:
    """The function of the ROM that tells it, and how many bytes it gives."""

    bytes: int
    function: ByRevision


@dataclass(frozen=True)
class Otg:
    """CDC functions of the ROM, its device pointer, and the variable that names the link."""

    fill: int
    count: int
    read: int
    poll: int
    device: int
    link: ByRevision
    link_value: int


@dataclass(frozen=True)
class Ram:
    """RAM that the ROM leaves to a stub: code; data up to the end of its stack; and code of a
    plug-in, where the chip has one."""

    text: int
    text_size: int
    data: int
    end: int
    mailbox: int
    mailbox_size: int
    plugin: int | None = None
    plugin_size: int = 0


@dataclass(frozen=True)
class NandWiring:
    """The general-purpose SPI controller, and the way from there to the pins of a NAND flash.

    Attributes:
        clock: steps that clock and reset the controller, its source being the crystal.
        io_mux: register of GPIO 0.
        enable, enable1: set the output enable of GPIOs 0 to 31, and from 32 on.
        in_select: register of input signal 0; its bit `in_select_bit` takes the matrix.
        out_select: register of GPIO 0.
        signals: CLK, Q, D, HD, WP and CS.
        pins: CLK, Q, D, HD and CS where the host names none.
    """

    spi: int
    clock: tuple[Step, ...]
    io_mux: int
    enable: int
    in_select: int
    in_select_bit: int
    out_select: int
    signals: tuple[int, int, int, int, int, int]
    pins: tuple[int, int, int, int, int]
    enable1: int | None = None


@dataclass(frozen=True)
class Firmware:
    """What only a stub needs to know of a chip.

    Attributes:
        uart_fifo: where the UART's FIFO is read and written; the same but for ESP32, through AHB.
        uart_update: (offset in the UART, bit) that carries a new divider over.
        spi_hold: (offset in the SPI controller, bit) that keeps the flash selected.
        usb_jtag_base: the USB-Serial/JTAG controller.
        rom_is_windowed: the ROM's functions are called with register windows.
        returns_to_loader: a stub that ends returns to the ROM's loader.
        otg, ram: by stub name.
    """

    uart_fifo: tuple[int, int]
    uart_has_fraction: bool
    rom: RomCalls
    ram: Mapping[str, Ram]
    uart_update: tuple[int, int] | None = None
    spi_hold: tuple[int, int] | None = None
    usb_jtag_base: int | None = None
    rom_is_windowed: bool = False
    returns_to_loader: bool = False
    security_info: SecurityInfo | None = None
    otg: Mapping[str, Otg] | None = None
    nand: NandWiring | None = None


def outputs(facts: Path) -> dict[Path, str]:
    """The generated files, by path from the top of the repository."""
    made: dict[Path, str] = {}
    for chip in host.specs(facts):
        if not chip.stub.available:
            continue
        firmware = read(facts, chip)
        for name in chip.stub.layouts:
            made[OUT / f"{name}.h"] = header(name, chip, firmware)
            made[OUT / f"{name}.ld"] = linker(name, chip, firmware.ram[name])
    return made


def read(facts: Path, chip: ChipSpec) -> Firmware:
    """What a stub must know of `chip`, checked.

    Raises:
        FactError: a value is missing or cannot be.
    """
    where = f"{chip.key}/host.json"
    raw = load(facts, chip.key, "host").get("firmware")
    if raw is None:
        raise FactError(where, "firmware", None, "is missing, though a stub is available")
    firmware: Firmware = build(Firmware, raw, where, "firmware")
    for path, value, text in _problems(chip, firmware):
        raise FactError(where, f"firmware.{path}", value, text)
    return firmware


def _problems(chip: ChipSpec, firmware: Firmware) -> Iterator[tuple[str, object, str]]:
    functions = {f"rom.{k}": v for k, v in vars(firmware.rom).items() if v is not None}
    by_revision: dict[str, ByRevision] = {}
    if firmware.security_info is not None:
        by_revision["security_info.function"] = firmware.security_info.function
    for name, otg in (firmware.otg or {}).items():
        functions |= {f"otg.{name}.{k}": getattr(otg, k) for k in ("fill", "count", "read", "poll")}
        by_revision[f"otg.{name}.link"] = otg.link
        if name not in chip.stub.layouts:
            yield f"otg.{name}", name, "is not a stub of this chip"
        if otg.device % 4 or not any(otg.device in r for r in chip.memory_map):
            yield f"otg.{name}.device", otg.device, "is no variable in RAM"
    for path, rows in by_revision.items():
        revisions = [revision for revision, _ in rows]
        if not revisions or revisions[0] or revisions != sorted(set(revisions)):
            yield path, revisions, "must begin with revision 0 and rise"
    start = min(functions.values())
    if firmware.security_info is not None:
        for _, address in firmware.security_info.function:
            functions[f"security_info.function@{address:#x}"] = address
    for path, address in functions.items():
        if address % 2 and chip.arch is Arch.RISCV:
            yield path, address, "is not an address of an instruction"
        if not 0 <= address - start < ROM_SIZE:
            yield path, address, "lies outside the ROM that the other functions are in"
    if set(firmware.ram) != set(chip.stub.layouts):
        yield "ram", sorted(firmware.ram), "must name the stubs of stub.layouts"
    for name, ram in firmware.ram.items():
        layout = chip.stub.layouts.get(name)
        if layout is not None and chip.rom.security_info and layout.text_start != ram.text:
            yield f"ram.{name}.text", ram.text, f"is {layout.text_start:#x} in stub.layouts"
        if layout is not None and not layout.bss_start <= ram.data < ram.end:
            yield f"ram.{name}.data", ram.data, "lies before the free RAM of stub.layouts"
        if ram.text % 4 or ram.data % 4 or ram.end % 16:
            yield f"ram.{name}", [ram.text, ram.data, ram.end], "is not aligned"
        if ram.text_size < LEAST_TEXT:
            yield f"ram.{name}.text_size", ram.text_size, "is too small for any stub"
        if ram.end - ram.data < LEAST_DATA:
            yield f"ram.{name}.end", ram.end, "leaves no room for data and stack"
        if ram.text < ram.end and ram.data < ram.text + ram.text_size:
            yield f"ram.{name}", [ram.text, ram.data], "code and data overlap"
        yield from _plugin_problems(name, ram, firmware.nand)
        if ram.mailbox % 16 or ram.mailbox_size % 32 or ram.mailbox_size < LEAST_MAILBOX:
            yield f"ram.{name}.mailbox", [ram.mailbox, ram.mailbox_size], "is no room for buffers"
        if not any(
            ram.mailbox in r and ram.mailbox + ram.mailbox_size in r for r in chip.memory_map
        ):
            yield f"ram.{name}.mailbox", ram.mailbox, "is not in RAM"
    if firmware.usb_jtag_base is None and chip.usb.serial_jtag:
        yield "usb_jtag_base", None, "is missing, though the chip has USB-Serial/JTAG"
    if firmware.usb_jtag_base is not None and firmware.usb_jtag_base % 0x1000:
        yield "usb_jtag_base", firmware.usb_jtag_base, "is no base of a peripheral"


def _plugin_problems(
    name: str, ram: Ram, nand: NandWiring | None
) -> Iterator[tuple[str, object, str]]:
    if (ram.plugin is None) != (nand is None):
        yield f"ram.{name}.plugin", ram.plugin, "must be given where 'nand' is, and only there"
    if ram.plugin is None:
        return
    end = ram.plugin + ram.plugin_size
    if ram.plugin % 16 or ram.plugin_size < LEAST_PLUGIN:
        yield f"ram.{name}.plugin", [ram.plugin, ram.plugin_size], "is no room for a plug-in"
    for start, size in ((ram.text, ram.text_size), (ram.data, ram.end - ram.data)):
        if ram.plugin < start + size and start < end:
            yield f"ram.{name}.plugin", ram.plugin, "overlaps the stub's own RAM"


def header(name: str, chip: ChipSpec, firmware: Firmware) -> str:
    """Text of a stub's chip.h."""
    lines = [
        "/* SPDX-License-Identifier: Apache-2.0 */",
        f"/* {chip.name}, stub {name}. Generated by `{host.COMMAND}` from "
        f"`facts/{chip.key}/host.json`; do not edit. */",
        "#ifndef CHIP_H",
        "#define CHIP_H",
        "",
        *(f"#define {key} {_text(value)}" for key, value in _defines(name, chip, firmware)),
        "",
        *_macro("QUIET_WATCHDOGS", chip.reset.quiet_watchdogs),
        *_macro("NAND_CLOCK", firmware.nand.clock if firmware.nand is not None else ()),
        "#endif",
        "",
    ]
    return "\n".join(lines)


def linker(name: str, chip: ChipSpec, ram: Ram) -> str:
    """Text of a stub's chip.ld: what stub.ld needs."""
    return (
        f"/* {chip.name}, stub {name}. Generated by `{host.COMMAND}` from "
        f"`facts/{chip.key}/host.json`; do not edit. */\n"
        f"TEXT_START = {ram.text:#x};\n"
        f"TEXT_SIZE = {ram.text_size:#x};\n"
        f"RAM_START = {ram.data:#x};\n"
        f"RAM_END = {ram.end:#x};\n"
        f"MAILBOX_START = {ram.mailbox:#x};\n"
        f"MAILBOX_SIZE = {ram.mailbox_size:#x};\n"
        f"STAGE_START = {ram.text + min(ram.text_size, STAGE_REACH) - STAGE_TEXT:#x};\n"
        f"STAGE_RAM = {(ram.end & ~15) - STAGE_DATA:#x};\n"
        + (
            f"PLUGIN_START = {ram.plugin:#x};\nPLUGIN_SIZE = {ram.plugin_size:#x};\n"
            if ram.plugin is not None
            else ""
        )
    )


def _text(value: int | str) -> str:
    return value if isinstance(value, str) else "1" if value == 1 else f"0x{value:X}u"


def _defines(name: str, chip: ChipSpec, firmware: Firmware) -> Iterator[Define]:
    yield from _uart(chip, firmware)
    yield from _spi(chip, firmware)
    if firmware.usb_jtag_base is not None:
        yield "USB_JTAG_BASE", firmware.usb_jtag_base
    yield from _clock(chip)
    if chip.arch is not Arch.RISCV:
        yield "NEED_DIVIDE", 1
    if firmware.rom_is_windowed:
        yield "ROM_IS_WINDOWED", 1
    rom = firmware.rom
    yield "ROM_DELAY_US", rom.delay
    yield "ROM_RESTART", rom.restart
    yield "ROM_SPI_ATTACH", rom.attach
    optional = {
        "ROM_SPICONFIG": rom.pins,
        "ROM_SELECT_SPI_PINS": rom.select,
        "ROM_WRITE_ENCRYPTED": rom.encrypt,
        "ROM_CACHE_WRITE_BACK": rom.write_back,
    }
    yield from ((key, value) for key, value in optional.items() if value is not None)
    if firmware.security_info is not None:
        yield "ROM_SECURITY_INFO", _by_revision(chip, firmware.security_info.function)
        yield "SECURITY_INFO_BYTES", str(firmware.security_info.bytes)
    yield from _otg(chip, (firmware.otg or {}).get(name))
    yield from _nand(firmware.nand)
    if chip.flash.encrypted_write_align:
        yield "ENCRYPTED_ALIGN", str(chip.flash.encrypted_write_align)


def _uart(chip: ChipSpec, firmware: Firmware) -> Iterator[Define]:
    base = chip.uart.clkdiv_reg & ~0xFF
    read, write = firmware.uart_fifo
    yield from (("UART_BASE", base), ("UART_READ_FIFO", read), ("UART_WRITE_FIFO", write))
    if firmware.returns_to_loader:
        yield "RETURNS_TO_LOADER", 1
    if firmware.uart_has_fraction:
        yield "UART_HAS_FRACTION", 1
    if firmware.uart_update is not None:
        offset, bit = firmware.uart_update
        yield from (("UART_UPDATE_REG", base + offset), ("UART_UPDATE_BIT", 1 << bit))


def _spi(chip: ChipSpec, firmware: Firmware) -> Iterator[Define]:
    spi = chip.spi
    yield "SPI_BASE", spi.base
    yield "SPI_USER", spi.usr_offs
    yield "SPI_USER1", spi.usr1_offs
    yield "SPI_USER2", spi.usr2_offs
    yield "SPI_W0", spi.w0_offs
    if spi.mosi_dlen_offs is None or spi.miso_dlen_offs is None:
        yield "SPI_LENGTHS_IN_USER1", 1
    else:
        yield from (("SPI_OUT_LENGTH", spi.mosi_dlen_offs), ("SPI_IN_LENGTH", spi.miso_dlen_offs))
    if firmware.spi_hold is not None:
        offset, bit = firmware.spi_hold
        yield from (("SPI_HOLD_REG", spi.base + offset), ("SPI_HOLD_BIT", 1 << bit))
    if spi.addr_msb:
        yield "SPI_ADDRESS_AT_TOP", 1


def _clock(chip: ChipSpec) -> Iterator[Define]:
    """How the processor's clock is raised, where it may be."""
    clock = chip.stub.cpu_clock
    if clock is None:
        return
    yield "CLOCK_SELECT_REG", clock.select.address
    yield "CLOCK_SELECT_MASK", clock.select.mask
    yield "CLOCK_SELECT_PLL", clock.pll
    yield "CLOCK_BUS_REG", clock.bus_divider
    yield "CLOCK_UPDATE_REG", clock.update.address
    yield "CLOCK_UPDATE_BIT", clock.update.mask
    yield "CLOCK_TIMES", str(clock.times)


def _otg(chip: ChipSpec, otg: Otg | None) -> Iterator[Define]:
    if otg is None:
        return
    yield "ROM_CDC_FILL", otg.fill
    yield "ROM_CDC_COUNT", otg.count
    yield "ROM_CDC_READ", otg.read
    yield "ROM_USB_POLL", otg.poll
    yield "ROM_CDC_DEVICE", otg.device
    yield "ROM_LINK_VARIABLE", _by_revision(chip, otg.link)
    yield "ROM_LINK_USB_OTG", str(otg.link_value)


def _nand(nand: NandWiring | None) -> Iterator[Define]:
    if nand is None:
        return
    yield "NAND_SPI_BASE", nand.spi
    yield "NAND_IO_MUX", nand.io_mux
    yield "NAND_ENABLE", nand.enable
    if nand.enable1 is not None:
        yield "NAND_ENABLE1", nand.enable1
    yield "NAND_IN_SELECT", nand.in_select
    yield "NAND_IN_SELECT_BIT", 1 << nand.in_select_bit
    yield "NAND_OUT_SELECT", nand.out_select
    clk, q, d, hd, cs = nand.pins
    yield "NAND_PINS", hd << 24 | cs << 18 | d << 12 | q << 6 | clk
    for name, number in zip(("CLK", "Q", "D", "HD", "WP", "CS"), nand.signals, strict=True):
        yield f"NAND_SIGNAL_{name}", str(number)


def _by_revision(chip: ChipSpec, rows: ByRevision) -> int | str:
    """A constant, or an expression that asks the chip for its revision."""
    if len(rows) == 1:
        return rows[0][1]
    (_, first), *later = rows
    chosen = f"{first:#x}u"
    for revision, value in later:
        chosen = f"revision >= {revision} ? {value:#x}u : {chosen}"
    return f"__extension__({{ u32 revision = {_revision(chip)}; {chosen}; }})"


def _revision(chip: ChipSpec) -> str:
    rule = chip.identity.revision
    assert rule is not None
    assert rule.major is not None
    assert rule.minor is not None
    assert rule.major_map is None
    assert not rule.zero_when
    fields = chip.identity.fields
    return f"({_field(fields[rule.major])}) * 100 + ({_field(fields[rule.minor])})"


def _field(parts: Field) -> str:
    return " | ".join(
        f"(reg_read({p.address:#x}u) >> {p.shift} & {(1 << p.width) - 1:#x}u) << {p.out_shift}"
        for p in parts
    )


_STEPS = {Op.WRITE: "reg_write", Op.SET_BITS: "reg_set", Op.CLEAR_BITS: "reg_clear"}


def _macro(name: str, steps: tuple[Step, ...]) -> list[str]:
    if not steps:
        return []
    calls = [f"        {_STEPS[s.op]}({s.address:#x}u, {s.value:#x}u);" for s in steps]
    lines = [f"#define {name}()", "    do {", *calls, "    } while (0)"]
    return [f"{line:<78}\\" for line in lines[:-1]] + [lines[-1], ""]
