# SPDX-License-Identifier: Apache-2.0
"""Write firmware/chips/*.h: what a stub must know of its chip, as constants.

`python tools/gen_stub_headers.py` makes them anew. What the tool-set knows of a chip comes from
`esptool.chips`; the rest, that only a stub needs (functions in the ROM, the link variables), from
the tables here, taken from the vendor's public linker scripts and register headers.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

from esptool import chips  # noqa: E402
from esptool.chips.spec import Arch, ChipSpec, Op  # noqa: E402


@dataclass(frozen=True)
class Rom:
    """Addresses in the ROM. `encrypt` None: no encrypted writes by the loader."""

    delay: int
    restart: int
    attach: int
    encrypt: int | None = None
    pins: int | None = None
    security: int | None = None
    select: int | None = None


@dataclass(frozen=True)
class Otg:
    """CDC functions of the ROM, its device pointer, and the variable that names the link."""

    fill: int
    count: int
    read: int
    poll: int
    device: int
    link: int
    link_value: int


ROMS = {
    "esp8266": Rom(0x40002ECC, 0x4000264C, 0x40004644, select=0x40003F58),
    "esp32": Rom(0x40008534, 0x4000824C, 0x40062A6C, 0x40062E78, pins=0x40008658),
    "esp32s2": Rom(0x4000D888, 0x40010068, 0x40017004, 0x400177E0, 0x4000E4A0, 0x40012098),
    "esp32s3": Rom(0x40000600, 0x400006D8, 0x40000AEC, 0x4000096C, 0x40001F74, 0x40048174),
    "esp32c3": Rom(0x40000050, 0x40000090, 0x40000164, 0x40000110, 0x4000071C, 0x4004B9DA),
    "esp32c2": Rom(0x40000044, 0x40000088, 0x40000178, 0x40000100, None, 0x400000B0),
    "esp32c5": Rom(0x4000003C, 0x40000094, 0x400001F0, 0x40000124, None, 0x400000C0),
    "esp32c6": Rom(0x40000040, 0x40000090, 0x400001DC, 0x40000114, None, 0x400000BC),
    "esp32c61": Rom(0x4000003C, 0x40000094, 0x400001F0, 0x40000124, None, 0x400000C0),
    "esp32h2": Rom(0x40000040, 0x40000090, 0x400001D4, 0x4000010C, None, 0x400000BC),
    "esp32h21": Rom(0x40000040, 0x40000090, 0x400001D4, 0x4000010C, None, 0x400000BC),
    "esp32h4": Rom(0x4000003C, 0x40000094, 0x400001E4, 0x40000118, None, 0x400000BC),
    "esp32p4": Rom(0x4FC0003C, 0x4FC00094, 0x4FC001E8, 0x4FC0011C, None, 0x4FC000BC),
    "esp32s31": Rom(0x2F80003C, 0x2F800094, 0x2F800200, 0x2F800130, None, 0x2F8000C4),
}

#: By stub name, as P4's two ROMs differ.
OTG = {
    "esp32s2": Otg(0x4001318C, 0x400131EC, 0x40013200, 0x40014980, 0x3FFFFCF8, 0x3FFFFD14, 2),
    "esp32s3": Otg(0x40002628, 0x40002634, 0x40002640, 0x4000291C, 0x3FCEFFBC, 0x3FCEF14C, 3),
    "esp32p4-rev1": Otg(
        0x4FC008DC, 0x4FC008E0, 0x4FC008E4, 0x4FC009D8, 0x4FF3FFD4, 0x4FF3FEC8, 5
    ),
    "esp32p4": Otg(0x4FC008D0, 0x4FC008D4, 0x4FC008D8, 0x4FC009CC, 0x4FFBFFD4, 0x4FFBFEC8, 5),
}

USB_JTAG = {
    "esp32s3": 0x60038000,
    "esp32c3": 0x60043000,
    "esp32c5": 0x6000F000,
    "esp32c6": 0x6000F000,
    "esp32c61": 0x6000F000,
    "esp32h2": 0x6000F000,
    "esp32h21": 0x6000F000,
    "esp32h4": 0x6001D000,
    "esp32p4": 0x500D2000,
    "esp32s31": 0x20391000,
}

#: Register (offset in the UART) and bit that carry the divider over; older UARTs need neither.
UART_UPDATE = {
    **dict.fromkeys(("esp32s3", "esp32c3", "esp32c2"), (0x80, 31)),
    **dict.fromkeys(
        ("esp32c5", "esp32c6", "esp32c61", "esp32h2", "esp32h21", "esp32h4", "esp32p4", "esp32s31"),
        (0x98, 0),
    ),
}

#: Register (offset in the SPI controller) and bit that keep the flash selected behind a
#: transaction: PIN of ESP32's controller, MISC of SPI_MEM. ESP8266 has none.
SPI_HOLD = {
    "esp32": (0x34, 30),
    **dict.fromkeys((key for key in ROMS if key not in ("esp8266", "esp32")), (0x34, 10)),
}

#: The FIFO through the AHB: (read, write). Elsewhere both are the first register.
UART_FIFO = {"esp32": (0x3FF40000, 0x60000000), "esp32s2": (0x60000000, 0x60000000)}

WINDOWED = {"esp32", "esp32s2", "esp32s3"}


def stubs() -> dict[str, ChipSpec]:
    """Every stub that there is, with its chip."""
    return {
        name: spec
        for spec in map(chips.get, chips.KEYS)
        if spec.stub.available
        for name in spec.stub.layouts
    }


def _defines(name: str, spec: ChipSpec) -> list[tuple[str, int | str]]:
    rom, spi, uart = ROMS[spec.key], spec.spi, spec.uart.clkdiv_reg & ~0xFF
    read, write = UART_FIFO.get(spec.key, (uart, uart))
    out: list[tuple[str, int | str]] = [
        ("UART_BASE", uart),
        ("UART_READ_FIFO", read),
        ("UART_WRITE_FIFO", write),
    ]
    if spec.key == "esp8266":
        out.append(("RETURNS_TO_LOADER", 1))
    else:
        out.append(("UART_HAS_FRACTION", 1))
    if spec.key in UART_UPDATE:
        offset, bit = UART_UPDATE[spec.key]
        out += [("UART_UPDATE_REG", uart + offset), ("UART_UPDATE_BIT", 1 << bit)]
    out += [
        ("SPI_BASE", spi.base),
        ("SPI_USER", spi.usr_offs),
        ("SPI_USER1", spi.usr1_offs),
        ("SPI_USER2", spi.usr2_offs),
        ("SPI_W0", spi.w0_offs),
    ]
    if spi.mosi_dlen_offs is None or spi.miso_dlen_offs is None:
        out.append(("SPI_LENGTHS_IN_USER1", 1))
    else:
        out += [("SPI_OUT_LENGTH", spi.mosi_dlen_offs), ("SPI_IN_LENGTH", spi.miso_dlen_offs)]
    if spec.key in SPI_HOLD:
        offset, bit = SPI_HOLD[spec.key]
        out += [("SPI_HOLD_REG", spi.base + offset), ("SPI_HOLD_BIT", 1 << bit)]
    if spi.addr_msb:
        out.append(("SPI_ADDRESS_AT_TOP", 1))
    if spec.key in USB_JTAG:
        out.append(("USB_JTAG_BASE", USB_JTAG[spec.key]))
    out += _clock(spec)
    if spec.arch is not Arch.RISCV:
        out.append(("NEED_DIVIDE", 1))
    if spec.key in WINDOWED:
        out.append(("ROM_IS_WINDOWED", 1))
    out += [
        ("ROM_DELAY_US", rom.delay),
        ("ROM_RESTART", rom.restart),
        ("ROM_SPI_ATTACH", rom.attach),
    ]
    optional = {
        "ROM_SPICONFIG": rom.pins,
        "ROM_SELECT_SPI_PINS": rom.select,
        "ROM_WRITE_ENCRYPTED": rom.encrypt,
        "ROM_SECURITY_INFO": rom.security,
    }
    out += [(key, value) for key, value in optional.items() if value is not None]
    if rom.security is not None:
        out.append(("SECURITY_INFO_BYTES", "12" if spec.key == "esp32s2" else "20"))
    out += _later_security(spec) + _otg(name)
    if spec.flash.encrypted_write_align:
        out.append(("ENCRYPTED_ALIGN", str(spec.flash.encrypted_write_align)))
    return out


def _clock(spec: ChipSpec) -> list[tuple[str, int | str]]:
    """How the processor's clock is raised, where it may be."""
    clock = spec.stub.cpu_clock
    if clock is None:
        return []
    return [
        ("CLOCK_SELECT_REG", clock.select.address),
        ("CLOCK_SELECT_MASK", clock.select.mask),
        ("CLOCK_SELECT_PLL", clock.pll),
        ("CLOCK_BUS_REG", clock.bus_divider),
        ("CLOCK_UPDATE_REG", clock.update.address),
        ("CLOCK_UPDATE_BIT", clock.update.mask),
        ("CLOCK_TIMES", str(clock.times)),
    ]


def _later_security(spec: ChipSpec) -> list[tuple[str, int | str]]:
    """ESP32-C3: the function moved in the ROM of revision 1.1."""
    if spec.key != "esp32c3":
        return []
    low, high = spec.identity.fields["minor"]
    (major,) = spec.identity.fields["major"]
    return [
        ("ROM_SECURITY_INFO_LATER", 0x4004D51E),
        ("ROM_SECURITY_INFO_LATER_FROM", "101"),
        ("REV_MINOR_LOW_REG", low.address),
        ("REV_MINOR_LOW_SHIFT", str(low.shift)),
        ("REV_REG", major.address),
        ("REV_MINOR_HIGH_SHIFT", str(high.shift)),
        ("REV_MAJOR_SHIFT", str(major.shift)),
    ]


def _otg(name: str) -> list[tuple[str, int | str]]:
    otg = OTG.get(name)
    if otg is None:
        return []
    return [
        ("ROM_CDC_FILL", otg.fill),
        ("ROM_CDC_COUNT", otg.count),
        ("ROM_CDC_READ", otg.read),
        ("ROM_USB_POLL", otg.poll),
        ("ROM_CDC_DEVICE", otg.device),
        ("ROM_LINK_VARIABLE", otg.link),
        ("ROM_LINK_USB_OTG", str(otg.link_value)),
    ]


_STEPS = {Op.WRITE: "reg_write", Op.SET_BITS: "reg_set", Op.CLEAR_BITS: "reg_clear"}


def _watchdogs(spec: ChipSpec) -> list[str]:
    steps = spec.reset.quiet_watchdogs
    if not steps:
        return []
    calls = [f"        {_STEPS[s.op]}({s.address:#x}u, {s.value:#x}u);" for s in steps]
    lines = ["#define QUIET_WATCHDOGS()", "    do {", *calls, "    } while (0)"]
    return [f"{line:<78}\\" for line in lines[:-1]] + [lines[-1]]


def header(name: str, spec: ChipSpec) -> str:
    """Text of a chip's header."""
    lines = [
        "/* SPDX-License-Identifier: Apache-2.0 */",
        f"/* {spec.name}, stub {name}. Generated by tools/gen_stub_headers.py; do not edit. */",
        "#ifndef CHIP_H",
        "#define CHIP_H",
        "",
    ]
    for key, value in _defines(name, spec):
        text = value if isinstance(value, str) else "1" if value == 1 else f"0x{value:X}u"
        lines.append(f"#define {key} {text}")
    lines += ["", *_watchdogs(spec), "", "#endif", ""]
    return "\n".join(lines)


def main() -> None:
    """Write all files."""
    folder = ROOT / "firmware" / "chips"
    folder.mkdir(exist_ok=True)
    for name, spec in stubs().items():
        (folder / f"{name}.h").write_text(header(name, spec))


if __name__ == "__main__":
    main()
