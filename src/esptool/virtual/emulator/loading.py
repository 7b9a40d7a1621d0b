# SPDX-License-Identifier: Apache-2.0
"""What of a chip an engine executes, and whether it can; what the ROM prints when code crashes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esptool.virtual.emulator.cpu import PAGE, CrashError
from esptool.virtual.silicon.spec import Arch

if TYPE_CHECKING:
    from esptool.virtual.soc import Soc

#: `retw` and `retw.n`.
_WINDOW_RETURNS = (b"\x90\0\0", b"\x1d\xf0")
#: Where the peripherals of both architectures lie.
_PORTS, _PORTS_END = 0x20000000, 0x70000000


def code_spans(soc: Soc) -> list[tuple[int, int]]:
    """(start, end) of RAM in whole pages, apart from one another, by address."""
    done: list[tuple[int, int]] = []
    parts = [(m.start, m.end) for m in soc.silicon.memory if m.kind in ("iram", "dram")]
    # Some code lies where the chip's map knows a cache.
    parts += [(start, start + size) for start, size in soc.loaded]
    for part in sorted(parts):
        start = max(part[0] & -PAGE, done[-1][1] if done else 0)
        end = (part[1] + PAGE - 1) & -PAGE
        if start < end:
            done.append((start, end))
    return done


def gaps(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """(start, size) of the peripherals' part of the address space that no RAM takes."""
    out, at = [], _PORTS
    for start, end in sorted(spans):
        if start > at:
            out.append((at, start - at))
        at = max(at, end)
    out.append((at, _PORTS_END - at))
    return out


def exception_text(arch: Arch, crashed: CrashError) -> bytes:
    """What the ROM's exception handler prints."""
    if arch is Arch.RISCV:
        text = f"mcause={crashed.cause}, mepc=0x{crashed.pc:08x}, mtval=0x{crashed.address:08x}"
    else:
        text = (
            f"epc1=0x{crashed.pc:08x}, epc2=0x00000000, epc3=0x00000000, "
            f"excvaddr=0x{crashed.address:08x}, depc=0x00000000"
        )
    return f"Fatal exception ({crashed.cause}): {crashed.name}\r\n{text}\r\n".encode()


def can_run(soc: Soc) -> bool:
    """The code in RAM can be executed: it does not return from a register window.

    The engines know no windows. ROM functions have their own here, so that a program without
    windowed functions that return, as one that only prints, is right nevertheless.
    """
    if soc.silicon.arch is not Arch.XTENSA:
        return True
    loaded = b"".join(soc.bus.read(start, size) for start, size in soc.loaded)
    return not any(ending in loaded for ending in _WINDOW_RETURNS)
