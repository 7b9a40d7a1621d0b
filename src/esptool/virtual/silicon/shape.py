# SPDX-License-Identifier: Apache-2.0
"""The part of the schema for chips whose own ROM is executed: what a processor meets beside the
rest of the silicon. As `spec.py` it has no I/O, no algorithms, and nothing of `esptool.chips`.
"""

from __future__ import annotations

from enum import Enum

from esptool.records import dataclass


class UartKind(Enum):
    """How the UART's registers lie."""

    ESP32 = "esp32"
    S2 = "s2"
    C3 = "c3"
    C6 = "c6"
    ESP8266 = "esp8266"


class IntcKind(Enum):
    """Which interrupt controller the processor has."""

    C2 = "c2"
    C3 = "c3"
    PLIC = "plic"
    CLIC = "clic"
    XTENSA = "xtensa"


@dataclass(frozen=True, slots=True)
class Ram:
    """RAM of whole pages: its places; the first one is the one that others are copies of."""

    size: int
    places: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """A register that is not modelled: it shows `value` in the bits of `mask`, what was written
    in the others. With `when` it shows zeros there unless one of those bits was written."""

    address: int
    value: int
    mask: int
    when: int = 0


@dataclass(frozen=True, slots=True)
class Mmu:
    """The table that puts pages of flash into the address space.

    Attributes:
        at: the table, or 256 bytes of registers by which it is reached.
        items: it is reached by number.
        number: bits of an entry that are the number of a page.
        flag, valid: the bit of an entry that tells whether it counts, and which way.
        pages: size of a page in bytes, by the code that the register `page_size` has at `shift`.
        windows: (start, end, entry of the first page) of the address space; empty where the entry
            is the number of the page in the ranges of flash.
    """

    at: int
    items: bool
    entries: int
    number: int
    flag: int
    valid: bool
    pages: tuple[int, ...]
    page_size: int = 0
    shift: int = 0
    windows: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Shape:
    """What a processor that executes the ROM meets beside the rest of the silicon.

    Attributes:
        rom: (start, end) of the ROM's places.
        intmtx: base of the interrupt matrix, which maps sources to lines of the processor.
        intc: base of the controller of these lines.
        uart_source, usb_source: numbers of the sources.
        strap: the register of the strapping pins, and what it shows with IO0 low and high.
        cause: the register that tells why the chip has started, with its shift and width.
        resets: (register, bits) that reset the chip when they are written.
        sha: base of the accelerator, 0 where the loader is not known to use it.
        random: registers that show another random word each time.
        blocks: (base, name) of the peripherals as the manual names them, by address.
        registers: (address, name) of registers that ROMs touch and that are only storage.
    """

    ram: tuple[Ram, ...]
    rom: tuple[tuple[int, int], ...]
    uart: UartKind
    intc_kind: IntcKind
    intmtx: int
    intc: int
    uart_source: int
    usb_source: int | None
    strap: int
    strap_download: int
    strap_flash: int
    cause: tuple[int, int, int]
    resets: tuple[tuple[int, int], ...]
    answers: tuple[Answer, ...] = ()
    peripherals: tuple[int, int] = (0x60000000, 0x60100000)
    blocks: tuple[tuple[int, str], ...] = ()
    mmu: Mmu | None = None
    sha: int = 0
    random: tuple[int, ...] = ()
    registers: tuple[tuple[int, str], ...] = ()
