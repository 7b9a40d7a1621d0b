# SPDX-License-Identifier: Apache-2.0
"""Names and priorities of tasks, out of their control blocks.

Where a member lies in the control block depends on how FreeRTOS was configured; the application's
debug information says it.
"""

from __future__ import annotations

from esptool.monitor.coredump.model import Core, Task
from esptool.monitor.dwarf.types import member_offsets
from esptool.monitor.symbols import Program
from esptool.records import dataclass

_UNIT = "vTaskSwitchContext"
_STRUCTURES = ("tskTaskControlBlock", "tskTCB")
_LONGEST = 32


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """What the control block of a task says.

    Attributes:
        name: empty where it is not known.
        priority, base_priority: None where they are not known.
    """

    name: str
    priority: int | None = None
    base_priority: int | None = None


def task_facts(core: Core, program: Program | None) -> dict[int, TaskFacts]:
    """Facts of each task, by the address of its control block."""
    offsets: dict[str, int] = {}
    address = program.elf.function_named(_UNIT) if program is not None else None
    if program is not None and address is not None:
        for structure in _STRUCTURES:
            offsets = offsets or member_offsets(program.debug, address, structure)
    return {task.tcb: _facts(core, task, offsets) for task in core.tasks}


def _facts(core: Core, task: Task, offsets: dict[str, int]) -> TaskFacts:
    name = task.name
    if not name and "pcTaskName" in offsets and not task.damaged:
        name = _name(core, task.tcb + offsets["pcTaskName"])
    return TaskFacts(
        name,
        _number(core, task, offsets.get("uxPriority")),
        _number(core, task, offsets.get("uxBasePriority")),
    )


def _number(core: Core, task: Task, offset: int | None) -> int | None:
    return None if offset is None or task.damaged else core.memory.word(task.tcb + offset)


def _name(core: Core, address: int) -> str:
    out = b""
    while len(out) < _LONGEST:
        byte = core.memory.read(address + len(out), 1)
        if byte is None or byte == b"\0":
            break
        out += byte
    text = out.decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
