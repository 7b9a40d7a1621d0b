# SPDX-License-Identifier: Apache-2.0
"""What a core dump tells: for people in lines, for programs in records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from esptool.monitor.coredump.model import Core, Task
from esptool.monitor.coredump.stacks import callers
from esptool.monitor.coredump.tasks import TaskFacts, task_facts
from esptool.monitor.reasons import ABORT, Reason, cause, reasons_in
from esptool.monitor.symbols import Symbolizer, described, shown

_REGISTERS_A_LINE = 4


class Report:
    """A core dump, looked at with the ELF files of its program.

    Attributes:
        core: the dump.
        reason: why the program failed, None where that is not told.
        matches: an ELF file at hand is that of the program; None where the dump does not say.
    """

    def __init__(self, core: Core, symbols: Symbolizer) -> None:
        self.core = core
        self._symbols = symbols
        program = next(
            (p for p in symbols.programs if p.elf.function_named("vTaskSwitchContext")), None
        )
        self._facts = task_facts(core, program)
        self.reason = _reason(core)
        if not core.reason and self._aborted():
            self.reason = ABORT
        self.matches: bool | None = None
        if core.app_sha256:
            wanted = core.app_sha256
            self.matches = any(p.elf.sha256.startswith(wanted) for p in symbols.programs)

    def _aborted(self) -> bool:
        """ESP-IDF ends a program by an illegal instruction of its own."""
        failed = self.core.failed
        frames = self._symbols.frames(failed.pc) if failed is not None else ()
        return any(frame.symbol == "panic_abort" for frame in frames)

    def backtrace(self, task: Task) -> list[int]:
        """Addresses of the functions that a task was in, the innermost first."""
        return callers(self.core, task, self._symbols.program_at)

    def facts(self, task: Task) -> TaskFacts:
        """Name and priority of a task."""
        return self._facts[task.tcb]

    # --- for people ----------------------------------------------------------------------------

    def title(self) -> str:
        """What it is, in a line."""
        core = self.core
        chip = core.chip or "unknown chip"
        revision = ""
        if core.revision is not None:
            revision = f" revision v{core.revision // 100}.{core.revision % 100}"
        version = f"version {core.version >> 8}.{core.version & 0xFF}, " if core.version else ""
        proof = f"{core.checksum.upper()} is right" if core.checksum != "none" else "no checksum"
        return f"Core dump of {chip}{revision}: {version}{core.layout} layout, {proof}."

    def why(self) -> list[str]:
        """Why the program failed, as far as it is told."""
        lines = [f"Reason: {self.core.reason}"] if self.core.reason else []
        if self.reason is not None:
            lines += [self.reason.words, self.reason.help]
        return lines

    def registers(self, task: Task) -> list[str]:
        """Registers, several a line; those of an exception last."""
        pairs = list({**task.registers, **self._extra(task)}.items())
        return [
            "  ".join(f"{name:<8}: 0x{value:08x}" for name, value in pairs[i : i + 4])
            for i in range(0, len(pairs), _REGISTERS_A_LINE)
        ]

    def chain(self, task: Task) -> list[str]:
        """The functions that a task was in."""
        lines = []
        for address in self.backtrace(task):
            frames = self._symbols.frames(address)
            lines += shown(frames, address) if frames else [f"0x{address:08x}: ??"]
        return lines

    def heading(self, task: Task) -> str:
        """A task in a line."""
        facts = self.facts(task)
        parts = [f"Task '{facts.name}'" if facts.name else "Task", f"(TCB 0x{task.tcb:08x})"]
        if facts.priority is not None:
            parts.append(f"priority {facts.priority}")
        if task is self.core.failed:
            parts.append("failed" + (" in an interrupt handler" if self.core.in_interrupt else ""))
        if task.damaged:
            parts.append("is damaged")
        return " ".join(parts)

    # --- for programs --------------------------------------------------------------------------

    def record(self) -> dict[str, Any]:
        """All of it."""
        core, reason = self.core, self.reason
        return {
            "chip": core.chip,
            "revision": core.revision,
            "version": f"{core.version >> 8}.{core.version & 0xFF}" if core.version else None,
            "layout": core.layout,
            "checksum": core.checksum,
            "elf_sha256": core.app_sha256 or None,
            "matches": self.matches,
            "panic": core.reason or None,
            "failure": None if reason is None else reason.record(),
            "in_interrupt": core.in_interrupt,
            "tasks": [self._task(task) for task in self._ordered()],
        }

    def _task(self, task: Task) -> dict[str, Any]:
        facts = self.facts(task)
        return {
            "tcb": task.tcb,
            "name": facts.name or None,
            "priority": facts.priority,
            "failed": task is self.core.failed,
            "damaged": task.damaged,
            "stack_start": task.stack[0],
            "stack_end": task.stack[1],
            "registers": {**task.registers, **self._extra(task)},
            "backtrace": [
                {"address": address, "frames": described(self._symbols.frames(address))}
                for address in self.backtrace(task)
            ],
        }

    def tasks(self) -> Sequence[Task]:
        """The task that failed, and then the others."""
        return self._ordered()

    def _ordered(self) -> list[Task]:
        return sorted(self.core.tasks, key=lambda task: task is not self.core.failed)

    def _extra(self, task: Task) -> dict[str, int]:
        return dict(self.core.extra or {}) if task is self.core.failed else {}


def _reason(core: Core) -> Reason | None:
    found = next(reasons_in(core.reason), None) if core.reason else None
    if found is None and core.extra and "EXCCAUSE" in core.extra:
        return cause(core.extra["EXCCAUSE"])
    return found
