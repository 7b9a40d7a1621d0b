# SPDX-License-Identifier: Apache-2.0
"""Core files in ELF: reading those of ESP-IDF, and writing what GDB reads.

Source: System V ABI, "Program Header" and "Note Section"; GDB's `riscv-tdep` and `xtensa-tdep` for
the registers of a task (`prstatus`); ESP-IDF `core_dump_elf.c` for notes of its own.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from esptool.errors import ImageError
from esptool.monitor.coredump.model import (
    RISCV_REGISTERS,
    XTENSA_REGISTERS,
    Core,
    CoreDumpError,
    Memory,
    Task,
)
from esptool.monitor.elfdata import RISCV, XTENSA, ElfData

_CORE, _LOAD, _NOTE = 4, 1, 4
_PRSTATUS = 1
_INFO, _PANIC, _TASK, _EXTRA = 8266, 679, 678, 677
_PID_AT, _REGISTERS_AT = 24, 72
#: Words of registers in `prstatus`, and bytes of all of it.
_REGISTER_WORDS = {RISCV: 32, XTENSA: 129}
_TAIL = {RISCV: 4, XTENSA: 0}
_HEADER = struct.Struct("<16sHHIIIIIHHHHHH")
_SEGMENT = struct.Struct("<8I")
_TASK_INFO = struct.Struct("<5I16s")
#: Numbers of registers in the note about the failed task of Xtensa chips.
_EXTRA_NAMES = {
    0: "EXCCAUSE",
    1: "EXCVADDR",
    **{177 + i: f"EPC{i + 1}" for i in range(7)},
    **{194 + i: f"EPS{i + 2}" for i in range(6)},
}
_XTENSA_INTERRUPT_AT = 37
_DAMAGED = 3

Note = tuple[str, int, bytes]


def read_core(
    data: bytes,
    *,
    chip: str | None = None,
    version: int = 0,
    checksum: str = "none",
    revision: int | None = None,
) -> Core:
    """Read a core file.

    Raises:
        CoreDumpError: it is no core file, or a damaged one.
    """
    try:
        elf = ElfData(data, "The core dump")
        if elf.type != _CORE or elf.machine not in _REGISTER_WORDS:
            raise CoreDumpError("This ELF file is not a core dump of a chip of Espressif.")
        return _read(elf, chip, version, checksum, revision)
    except ImageError as e:
        raise CoreDumpError(e.message) from e
    except (struct.error, ValueError, IndexError) as e:
        raise CoreDumpError(f"The core dump is damaged: {e}.") from e


def _read(
    elf: ElfData, chip: str | None, version: int, checksum: str, revision: int | None
) -> Core:
    held: list[tuple[int, bytes]] = []
    notes: list[Note] = []
    for kind, address, offset, size in elf.segments():
        raw = elf.data[offset : offset + size]
        if kind == _LOAD and raw:
            held.append((address, raw))
        elif kind == _NOTE:
            notes += _notes(raw)
    infos = [_TASK_INFO.unpack_from(d) for _, k, d in notes if k == _TASK]
    named = {info[2]: info for info in infos}
    extra = next((_words(d) for _, k, d in notes if k == _EXTRA), [])
    said = next((d for n, k, d in notes if k == _INFO and n == "ESP_CORE_DUMP_INFO"), b"")
    reason = next((d for _, k, d in notes if k == _PANIC), b"")
    interrupt_at = 1 if elf.machine == RISCV else _XTENSA_INTERRUPT_AT
    return Core(
        chip=chip,
        machine=elf.machine,
        version=version,
        layout="elf",
        checksum=checksum,
        revision=revision,
        tasks=tuple(_tasks(elf.machine, notes, named, held)),
        memory=Memory(held),
        crashed=extra[0] if extra else 0,
        in_interrupt=len(extra) > interrupt_at and bool(extra[interrupt_at]),
        reason=_text(reason),
        extra=_extra(extra) if elf.machine == XTENSA else {},
        app_sha256=_text(said[4:68]),
        raw=elf.data,
    )


def _tasks(
    machine: int,
    notes: list[Note],
    named: dict[int, tuple[int, int, int, int, int, bytes]],
    held: list[tuple[int, bytes]],
) -> Iterator[Task]:
    for name, kind, raw in notes:
        if name != "CORE" or kind != _PRSTATUS:
            continue
        (tcb,) = struct.unpack_from("<I", raw, _PID_AT)
        registers = _registers(machine, raw)
        info = named.get(tcb)
        stack = _stack(registers, machine, held)
        yield Task(
            tcb,
            _text(info[5]) if info else "",
            registers,
            stack,
            damaged=bool(info and info[1] & _DAMAGED),
        )


def _stack(
    registers: dict[str, int], machine: int, held: list[tuple[int, bytes]]
) -> tuple[int, int]:
    """The piece of memory that the stack pointer is in."""
    pointer = registers["SP" if machine == RISCV else "A1"]
    for address, data in held:
        if address <= pointer < address + len(data):
            return pointer, address + len(data)
    return 0, 0


def _registers(machine: int, raw: bytes) -> dict[str, int]:
    count = min(_REGISTER_WORDS[machine], (len(raw) - _REGISTERS_AT) // 4)
    words = struct.unpack_from(f"<{count}I", raw, _REGISTERS_AT)
    if machine == RISCV:
        return dict(zip(RISCV_REGISTERS, words, strict=False))
    return {name: words[at] for name, at in XTENSA_REGISTERS.items() if at < count}


def _extra(words: Sequence[int]) -> dict[str, int]:
    """(number, value) pairs behind the control block of the failed task."""
    found: dict[str, int] = {}
    for number, value in zip(words[1::2], words[2::2], strict=False):
        if number in _EXTRA_NAMES:
            found.setdefault(_EXTRA_NAMES[number], value)
    return found


def _words(data: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(data) // 4}I", data[: len(data) // 4 * 4]))


def _text(raw: bytes) -> str:
    text = raw.partition(b"\0")[0].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _notes(raw: bytes) -> Iterator[Note]:
    at = 0
    while at + 12 <= len(raw):
        name_size, size, kind = struct.unpack_from("<III", raw, at)
        at += 12
        name = raw[at : at + name_size].partition(b"\0")[0].decode("latin-1")
        at += -(-name_size // 4) * 4
        if at + size > len(raw):
            raise ValueError("a note is cut")
        yield name, kind, raw[at : at + size]
        at += -(-size // 4) * 4


# --- writing ---------------------------------------------------------------------------------


def core_file(
    machine: int,
    tasks: Sequence[tuple[str, dict[str, int]]],
    memory: Sequence[tuple[int, bytes]],
    *,
    ids: Sequence[int] = (),
) -> bytes:
    """A core file that GDB reads.

    Args:
        machine: number of the instruction set.
        tasks: (name, registers) of each, the one to look at first in front.
        memory: pairs of address and contents.
        ids: numbers for the tasks, such as the addresses of their control blocks.
    """
    numbers = [*ids, *range(1 + len(ids), 1 + len(tasks))]
    notes = b"".join(
        _note("CORE", _PRSTATUS, _prstatus(machine, number, registers))
        for number, (_, registers) in zip(numbers, tasks, strict=True)
    )
    notes += b"".join(
        _note("TASK_INFO", _TASK, _TASK_INFO.pack(i, 0, number, 0, 0, name.encode()[:15]))
        for i, (number, (name, _)) in enumerate(zip(numbers, tasks, strict=True))
    )
    segments = [(_NOTE, 0, notes), *((_LOAD, address, data) for address, data in memory)]
    identity = b"\x7fELF\1\1\1".ljust(16, b"\0")
    count = len(segments)
    head = _HEADER.pack(
        *(identity, _CORE, machine, 1, 0, _HEADER.size, 0, 0),
        *(_HEADER.size, _SEGMENT.size, count, 0, 0, 0),
    )
    offset = len(head) + count * _SEGMENT.size
    table, body = b"", b""
    for kind, address, data in segments:
        flags = 6 if kind == _LOAD else 0
        size = len(data)
        table += _SEGMENT.pack(kind, offset + len(body), address, address, size, size, flags, 0)
        body += _words_of(data)
    return head + table + body


def _prstatus(machine: int, number: int, registers: dict[str, int]) -> bytes:
    words = [0] * _REGISTER_WORDS[machine]
    if machine == RISCV:
        for at, name in enumerate(RISCV_REGISTERS):
            words[at] = registers.get(name, 0)
    else:
        for name, at in XTENSA_REGISTERS.items():
            words[at] = registers.get(name, 0)
    head = bytearray(_REGISTERS_AT)
    struct.pack_into("<I", head, _PID_AT, number)
    return bytes(head) + struct.pack(f"<{len(words)}I", *words) + bytes(_TAIL[machine])


def _note(name: str, kind: int, data: bytes) -> bytes:
    text = name.encode() + b"\0"
    return struct.pack("<III", len(text), len(data), kind) + _words_of(text) + _words_of(data)


def _words_of(data: bytes) -> bytes:
    """Padded to whole words."""
    return data.ljust(-(-len(data) // 4) * 4, b"\0")
