# SPDX-License-Identifier: Apache-2.0
"""The chain of callers of a RISC-V program that failed, out of its registers and its stack.

RISC-V keeps no chain of frames, so ESP-IDF prints registers and stack memory; the compiler's rules
for unwinding, which are in the ELF file, tell where each function has kept its return address.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from esptool.monitor.dump import Dump
from esptool.monitor.dwarf.frames import FrameTable, Rules
from esptool.monitor.prologue import rules_of
from esptool.monitor.symbols import Program

#: Names of registers in panic dumps by number (RISC-V ELF psABI, integer register convention).
_NAMES = (
    *("ZERO", "RA", "SP", "GP", "TP", "T0", "T1", "T2", "S0/FP", "S1"),
    *(f"A{i}" for i in range(8)),
    *(f"S{i}" for i in range(2, 12)),
    *(f"T{i}" for i in range(3, 7)),
)
_RA, _SP = 1, 2
_MOST_FRAMES = 128


@lru_cache(maxsize=8)
def _table(program: Program) -> FrameTable:
    return FrameTable(program.elf)


def _guessed(program: Program, pc: int) -> Rules | None:
    symbol = program.elf.function_at(pc)
    code = program.elf.read(symbol.address, pc - symbol.address) if symbol is not None else None
    return None if code is None else rules_of(code, len(code))


def unwind(dump: Dump, program_at: Callable[[int], Program | None]) -> list[int]:
    """Addresses of the functions that were running, the innermost first.

    All but the first are those of the call, not of the instruction behind it.

    Args:
        dump: what the chip has printed, with "MEPC" among the registers.
        program_at: the program whose code an address is.
    """
    values: dict[int, int] = {
        number: dump.registers[name] for number, name in enumerate(_NAMES) if name in dump.registers
    }
    pc = dump.registers["MEPC"]
    out = [pc]
    interrupted = True
    if program_at(pc) is None and _RA in values:
        # It jumped to nowhere: the return address tells where from.
        pc, interrupted = values[_RA] - 1, False
        out.append(pc)
    while len(out) < _MOST_FRAMES:
        program = program_at(pc)
        if program is None:
            if len(out) > 1:
                out.pop()
            break
        rules = _table(program).rules(pc) or _guessed(program, pc)
        if rules is None:
            # No rules: a function that calls none, if it is the innermost one.
            if not interrupted:
                break
            back, above = values.get(_RA), values.get(_SP)
        else:
            base = values.get(rules.register)
            if base is None:
                break
            above = base + rules.offset & 0xFFFFFFFF
            kept = {reg: dump.word(above + at & 0xFFFFFFFF) for reg, at in rules.saved.items()}
            if rules.return_register in kept:
                back = kept[rules.return_register]
            else:
                back = values.get(_RA) if interrupted else None
            for register, value in kept.items():
                if value is None:
                    values.pop(register, None)
                else:
                    values[register] = value
        if back is None or not back or above is None:
            break
        if not interrupted and above <= values.get(_SP, 0):
            break
        values[_SP] = above
        pc, interrupted = back - 1, False
        out.append(pc)
    return out
