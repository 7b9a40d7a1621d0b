# SPDX-License-Identifier: Apache-2.0
"""The chain of callers of each task of a core dump, without a debugger."""

from __future__ import annotations

from collections.abc import Callable

from esptool.monitor.coredump.model import Core, Task
from esptool.monitor.dump import Dump
from esptool.monitor.elfdata import RISCV
from esptool.monitor.symbols import Program
from esptool.monitor.unwind import unwind

_MOST_FRAMES = 100
#: A return address keeps the size of the register window in its upper bits (Xtensa ISA, CALLn).
_WINDOW, _REGION = 0xC0000000, 0x40000000
#: Length of the call in front of a return address.
_CALL = 3


def callers(core: Core, task: Task, program_at: Callable[[int], Program | None]) -> list[int]:
    """Addresses of the functions that were running, the innermost first.

    All but the first are those of calls.

    Args:
        core: the dump.
        task: one of its tasks.
        program_at: the program whose code an address is.
    """
    if not task.registers:
        return []
    if core.machine == RISCV:
        dump = Dump()
        dump.registers = dict(task.registers)
        for address, data in core.memory.segments:
            dump.add_memory(address, data)
        return unwind(dump, program_at)
    return _windowed(core, task)


def _windowed(core: Core, task: Task) -> list[int]:
    """Xtensa: a0 and a1 of each caller lie below the stack pointer of the function it called."""
    registers = task.registers
    out = [_code(registers.get("PC", 0))]
    back, pointer = registers.get("A0", 0), registers.get("A1", 0)
    while back and len(out) < _MOST_FRAMES:
        out.append(_code(back) - _CALL)
        saved_back = core.memory.word(pointer - 16)
        saved_pointer = core.memory.word(pointer - 12)
        if saved_back is None or saved_pointer is None or saved_pointer <= pointer:
            break
        back, pointer = saved_back, saved_pointer
    return out


def _code(address: int) -> int:
    return address & ~_WINDOW | _REGION
