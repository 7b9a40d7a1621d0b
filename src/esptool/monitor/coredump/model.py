# SPDX-License-Identifier: Apache-2.0
"""What a core dump of ESP-IDF holds: tasks with their registers, segments of memory, and why."""

from __future__ import annotations

from bisect import bisect_right

from esptool.errors import FatalError
from esptool.monitor.elfdata import RISCV, XTENSA
from esptool.records import dataclass

#: Chip ids of the first word's upper half -> key of the chip (ESP-IDF, `esp_chip_info.h`).
CHIPS = {
    0: "esp32",
    2: "esp32s2",
    5: "esp32c3",
    9: "esp32s3",
    12: "esp32c2",
    13: "esp32c6",
    16: "esp32h2",
    18: "esp32p4",
    20: "esp32c61",
    23: "esp32c5",
    25: "esp32h21",
    28: "esp32h4",
    32: "esp32s31",
}
_ON_XTENSA = frozenset({0, 2, 9})
#: Where registers of Xtensa stand in `xtensa_elf_gregset_t` of GDB; a0 and all behind it at 64.
XTENSA_REGISTERS = {
    "PC": 0,
    "PS": 1,
    "LBEG": 2,
    "LEND": 3,
    "LCOUNT": 4,
    "SAR": 5,
    **{f"A{i}": 64 + i for i in range(16)},
}
#: Registers of RISC-V by number, by the names of panic dumps; the place of x0 is the PC's.
RISCV_REGISTERS = (
    *("MEPC", "RA", "SP", "GP", "TP", "T0", "T1", "T2", "S0/FP", "S1"),
    *(f"A{i}" for i in range(8)),
    *(f"S{i}" for i in range(2, 12)),
    *(f"T{i}" for i in range(3, 7)),
)


class CoreDumpError(FatalError):
    """It is not a core dump, or a damaged one."""

    error_code = "image"


@dataclass(frozen=True, slots=True)
class Task:
    """A task of FreeRTOS.

    Attributes:
        tcb: address of its control block.
        name: as the dump has it, empty where it does not say.
        registers: by the names of a panic dump ("MEPC" or "PC" is the program counter).
        stack: (start, end) of what was kept of its stack; equal where nothing was.
        damaged: its control block or its stack was overwritten.
    """

    tcb: int
    name: str
    registers: dict[str, int]
    stack: tuple[int, int] = (0, 0)
    damaged: bool = False

    @property
    def pc(self) -> int:
        """The instruction that was next."""
        return self.registers.get("MEPC", self.registers.get("PC", 0))


class Memory:
    """Segments of memory as they were."""

    def __init__(self, segments: list[tuple[int, bytes]]) -> None:
        self.segments = sorted(segments, key=lambda segment: segment[0])
        self._starts = [start for start, _ in self.segments]

    def read(self, address: int, size: int) -> bytes | None:
        """So many bytes, None where not all of them are known."""
        at = bisect_right(self._starts, address) - 1
        while at >= 0:
            start, data = self.segments[at]
            if address + size <= start + len(data):
                return data[address - start : address - start + size]
            if address - start > 1 << 24:
                break
            at -= 1
        return None

    def word(self, address: int) -> int | None:
        """The word at an address."""
        data = self.read(address, 4)
        return None if data is None else int.from_bytes(data, "little")


@dataclass(frozen=True, slots=True)
class Core:
    """A core dump.

    Attributes:
        chip: key of the chip, None where the file does not say (a core file made by others).
        machine: number of the instruction set in ELF files.
        version: of the format: major * 256 + minor, 0 for an ELF file without header.
        layout: "elf" or "binary".
        checksum: "crc32", "sha256" or "none".
        revision: of the chip, major * 100 + minor, where it is said.
        tasks: in the order of the dump.
        memory: what was kept.
        crashed: control block of the task that failed, 0 where it is not known.
        in_interrupt: it failed in an interrupt handler.
        reason: what the panic handler has noted, empty where it has not.
        extra: further registers of the failed task, by name.
        app_sha256: the beginning of the SHA-256 of the application's ELF file, in hex.
        raw: the core file, where the dump holds one.
    """

    chip: str | None
    machine: int
    version: int
    layout: str
    checksum: str
    tasks: tuple[Task, ...]
    memory: Memory
    revision: int | None = None
    crashed: int = 0
    in_interrupt: bool = False
    reason: str = ""
    extra: dict[str, int] | None = None
    app_sha256: str = ""
    raw: bytes = b""

    @property
    def failed(self) -> Task | None:
        """The task that failed: the one that is named, else the first."""
        named = next((task for task in self.tasks if task.tcb == self.crashed), None)
        return named or (self.tasks[0] if self.tasks else None)


def machine_of(chip_id: int) -> int:
    """The instruction set of a chip.

    Raises:
        CoreDumpError: no such chip is known.
    """
    if chip_id not in CHIPS:
        raise CoreDumpError(
            f"The core dump is of an unknown chip ({chip_id}).",
            remedy="Is it a core dump? A newer version may know the chip.",
        )
    return XTENSA if chip_id in _ON_XTENSA else RISCV
