# SPDX-License-Identifier: Apache-2.0
"""Core dumps as ESP-IDF writes them, of every version, for one RISC-V task and an idle one."""

from __future__ import annotations

import base64
import hashlib
import struct
import zlib

from esptool.monitor.coredump.corefile import core_file
from esptool.monitor.coredump.model import RISCV_REGISTERS

C3 = 5
RISCV = 243
TCB, IDLE_TCB = 0x3FC8EC30, 0x3FC8F38C
TCB_SIZE = 340
VERSIONS = [(0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (1, 3), (1, 4)]
REVISION = 4


def dump(
    version: tuple[int, int],
    registers: dict[str, int],
    stack: bytes,
    *,
    chip: int = C3,
    reason: str = "",
    sha256: str = "",
) -> bytes:
    """A dump as it lies in flash; `stack` begins at the stack pointer."""
    body = _binary(registers, stack) if version[0] == 0 else _elf(registers, stack, reason, sha256)
    word = chip << 16 | version[0] << 8 | version[1]
    words = {
        (0, 1): [2, TCB_SIZE],
        (0, 2): [2, TCB_SIZE, 1],
        (0, 3): [2, TCB_SIZE, 1, REVISION],
        (1, 0): [2, TCB_SIZE, 0],
        (1, 1): [2, TCB_SIZE, 0],
        (1, 2): [2, TCB_SIZE, 0, REVISION],
        (1, 3): [2, TCB_SIZE, 0, REVISION],
        (1, 4): [REVISION],
    }[version]
    strong = version in ((1, 1), (1, 3), (1, 4))
    size = 8 + 4 * len(words) + len(body) + (32 if strong else 4)
    covered = struct.pack(f"<II{len(words)}I", size, word, *words) + body
    if strong:
        return covered + hashlib.sha256(covered).digest()
    return covered + struct.pack("<I", zlib.crc32(covered))


def as_console(data: bytes, width: int = 48) -> str:
    """What the console shows, each piece in base64 of its own."""
    lines = [base64.b64encode(data[at : at + width]).decode() for at in range(0, len(data), width)]
    frame = "================= CORE DUMP {} ================="
    return "\r\n".join([frame.format("START"), *lines, frame.format("END"), ""])


def _binary(registers: dict[str, int], stack: bytes) -> bytes:
    """Tasks with their registers on top of the stack, then a piece of memory from version 0.2."""
    out = b""
    idle = {"MEPC": registers["MEPC"], "SP": 0x3FC80100}
    for tcb, values, kept in ((TCB, registers, stack), (IDLE_TCB, idle, bytes(32))):
        saved = struct.pack("<32I", *(values.get(name, 0) for name in RISCV_REGISTERS))
        top = values["SP"] - len(saved)
        out += struct.pack("<III", tcb, top, top + len(saved) + len(kept))
        out += bytes(TCB_SIZE) + saved + kept
    return out + struct.pack("<II", 0x3FC88000, 8) + b"memory!\0"


def _note(name: str, kind: int, data: bytes) -> bytes:
    text = name.encode() + b"\0"
    text += bytes(-len(text) % 4)
    return struct.pack("<III", len(name) + 1, len(data), kind) + text + data + bytes(-len(data) % 4)


def _elf(registers: dict[str, int], stack: bytes, reason: str, sha256: str) -> bytes:
    """A core file with ESP-IDF's own notes in a second segment."""
    pieces = [(registers["SP"] & -4, stack), (0x3FC80100, bytes(32))]
    idle = {"MEPC": registers["MEPC"], "SP": 0x3FC80100}
    core = bytearray(
        core_file(RISCV, [("main", registers), ("IDLE", idle)], pieces, ids=[TCB, IDLE_TCB])
    )
    notes = _note("ESP_CORE_DUMP_INFO", 8266, struct.pack("<I64s", 0x102, sha256.encode()))
    notes += _note("EXTRA_INFO", 677, struct.pack("<II", TCB, 0))
    if reason:
        notes += _note("PANIC_DETAILS", 679, reason.encode())
    # One more row of the table: what is behind it moves on.
    count = struct.unpack_from("<H", core, 44)[0]
    table_end = 52 + 32 * count
    for i in range(count):
        at = 52 + 32 * i + 4
        struct.pack_into("<I", core, at, struct.unpack_from("<I", core, at)[0] + 32)
    row = struct.pack("<8I", 4, len(core) + 32, 0, 0, len(notes), len(notes), 0, 0)
    core[table_end:table_end] = row
    struct.pack_into("<H", core, 44, count + 1)
    return bytes(core) + notes
