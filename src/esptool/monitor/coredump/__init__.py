# SPDX-License-Identifier: Apache-2.0
"""Core dumps of ESP-IDF: what was in memory when a program failed.

`load` takes a file of a flash partition, an ELF core file, or the base64 that a console printed.
"""

from __future__ import annotations

from esptool.monitor.coredump.binary import read_binary
from esptool.monitor.coredump.container import from_text, unwrap
from esptool.monitor.coredump.corefile import core_file, read_core
from esptool.monitor.coredump.model import CHIPS, machine_of
from esptool.monitor.coredump.model import Core as Core
from esptool.monitor.coredump.model import CoreDumpError as CoreDumpError
from esptool.monitor.coredump.model import Task as Task
from esptool.monitor.coredump.report import Report as Report
from esptool.monitor.coredump.stacks import callers as callers


def load(data: bytes) -> Core:
    """Read a core dump, whatever it is in.

    Raises:
        CoreDumpError: it is none, it is cut, or its checksum is wrong.
    """
    if data.startswith(b"\x7fELF"):
        return read_core(data)
    text = from_text(data)
    if text is not None:
        data = text
        if data.startswith(b"\x7fELF"):
            return read_core(data)
    container = unwrap(data, of_console=text is not None)
    machine_of(container.chip_id)
    if not container.is_elf:
        return read_binary(container)
    return read_core(
        container.body,
        chip=CHIPS[container.chip_id],
        version=container.version[0] << 8 | container.version[1],
        checksum=container.checksum,
        revision=container.revision,
    )


def to_elf(core: Core) -> bytes:
    """A core file for GDB: the tasks, the one that failed in front, and all memory.

    A dump that holds such a file gives it as it is.
    """
    if core.raw:
        return core.raw
    tasks = sorted(core.tasks, key=lambda task: task is not core.failed)
    return core_file(
        core.machine,
        [(task.name, task.registers) for task in tasks],
        core.memory.segments,
        ids=[task.tcb for task in tasks],
    )
