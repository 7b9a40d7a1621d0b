# SPDX-License-Identifier: Apache-2.0
"""The binary layout of core dumps: tasks with control block and stack, then segments of memory.

The registers of a task lie at the top of its stack, as FreeRTOS has saved them: on RISC-V 32 words
(`RvExcFrame`), on Xtensa a frame of an interrupt, or the short one of a task that gave the
processor away (`XtExcFrame` and `XtSolFrame` of ESP-IDF's `xtensa_context.h`).
"""

from __future__ import annotations

import struct

from esptool.monitor.coredump.container import Container
from esptool.monitor.coredump.model import (
    CHIPS,
    RISCV_REGISTERS,
    Core,
    CoreDumpError,
    Memory,
    Task,
    machine_of,
)
from esptool.monitor.elfdata import RISCV

_TASK = struct.Struct("<III")
_PIECE = struct.Struct("<II")
_EXCEPTION_WORDS = 25
_WINDOWED, _EXCEPTION_MODE = 1 << 18, 1 << 4
#: Addresses that stand for what was found damaged.
_FAKE = range(0x20000000, 0x30000000)
_LARGEST_STACK = 1 << 20


def read_binary(container: Container) -> Core:
    """Read the body of a core dump of version 0.x.

    Raises:
        CoreDumpError: it is damaged.
    """
    machine = machine_of(container.chip_id)
    body, at = container.body, 0
    tasks: list[Task] = []
    segments: list[tuple[int, bytes]] = []
    extra: dict[str, int] = {}
    try:
        for number in range(container.task_count):
            tcb, top, end = _TASK.unpack_from(body, at)
            at += _TASK.size
            control, at = _taken(body, at, container.tcb_size)
            start, stop = min(top, end), max(top, end)
            if stop - start > _LARGEST_STACK:
                raise CoreDumpError(f"The stack of task {number} cannot have {stop - start} bytes.")
            stack, at = _taken(body, at, stop - start)
            damaged = tcb in _FAKE or start in _FAKE
            registers, more = _saved(machine, stack, start)
            if number == 0:
                extra = more
            tasks.append(Task(tcb, "", registers, (start, stop), damaged))
            if tcb not in _FAKE:
                segments.append((tcb, control))
            segments.append((start, stack))
        for _ in range(container.segment_count):
            address, size = _PIECE.unpack_from(body, at)
            data, at = _taken(body, at + _PIECE.size, size)
            segments.append((address, data))
    except struct.error as e:
        raise CoreDumpError(f"The core dump ends within a task: {e}.") from e
    return Core(
        chip=CHIPS[container.chip_id],
        machine=machine,
        version=container.version[0] << 8 | container.version[1],
        layout="binary",
        checksum=container.checksum,
        revision=container.revision,
        tasks=tuple(tasks),
        memory=Memory(segments),
        crashed=tasks[0].tcb if tasks else 0,
        extra=extra,
    )


def _taken(body: bytes, at: int, size: int) -> tuple[bytes, int]:
    if at + size > len(body):
        raise CoreDumpError("The core dump ends within a task or a segment of memory.")
    return body[at : at + size], at + -(-size // 4) * 4


def _saved(machine: int, stack: bytes, start: int) -> tuple[dict[str, int], dict[str, int]]:
    """Registers of a task, and what is known of its exception."""
    words = struct.unpack(f"<{len(stack) // 4}I", stack[: len(stack) // 4 * 4])
    if machine == RISCV:
        return dict(zip(RISCV_REGISTERS, words, strict=False)), {}
    if len(words) < _EXCEPTION_WORDS:
        return {}, {}
    names = ("PC", "PS")
    if words[0] == 0:
        registers = dict(zip((*names, *()), words[1:3], strict=True))
        return registers | {f"A{i}": words[4 + i] for i in range(4)}, {}
    registers = dict(zip(names, words[1:3], strict=True))
    registers |= {f"A{i}": words[3 + i] for i in range(16)}
    registers |= dict(zip(("SAR",), words[19:20], strict=True))
    registers |= dict(zip(("LBEG", "LEND", "LCOUNT"), words[22:25], strict=True))
    if registers["PS"] & 1 << 5:
        # GDB takes a frame with this bit for one without register windows.
        registers["PS"] &= ~_EXCEPTION_MODE
    return registers, {"EXCCAUSE": words[20], "EXCVADDR": words[21]}
