# SPDX-License-Identifier: Apache-2.0
"""Explains what a chip prints: addresses, backtraces, panics and their reasons, line by line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from esptool.monitor.builds import Builds
from esptool.monitor.dump import Dump
from esptool.monitor.reasons import (
    CORE_DUMP_BEGIN,
    CORE_DUMP_END,
    LOAD,
    STORE,
    Reason,
    reasons_in,
)
from esptool.monitor.symbols import Symbolizer, described, shown
from esptool.records import dataclass

_ADDRESS = re.compile(r"0x([0-9a-fA-F]{8})\b")
_WORD = re.compile(r"\b([0-9a-f]{8})\b")
_BACKTRACE = re.compile(r"Backtrace: ?((?:0x[0-9a-fA-F]{8}:0x[0-9a-fA-F]{8} ?)+)(.*)")
_PAIR = re.compile(r"0x([0-9a-fA-F]{8}):0x[0-9a-fA-F]{8}")
_DIGEST = re.compile(r"ELF file SHA256: +([0-9a-f]{8,64})")
_REGISTER = re.compile(r"\b([A-Z][A-Z0-9]{1,7}(?:/FP)?) *: 0x([0-9a-fA-F]{8})")
_STACK_ROW = re.compile(r"^([0-9a-f]{8}): ((?:0x[0-9a-f]{8} ?)+)$")
_FAULT_ADDRESS = re.compile(
    r"(?:EXCVADDR|MTVAL) *: 0x([0-9a-f]{8})|(?:excvaddr|mtval)=0x([0-9a-f]+)"
)
#: What the ROM says of another program than the one whose ELF file is given.
_NOT_OURS = re.compile(r"^(?:load:0x|entry 0x|SPIWP:|ho \d)")
_NEAR_ZERO = 0x1000
#: A core dump of this many lines would be larger than any memory.
_MOST_LINES = 1_000_000
#: So many lines behind registers the stack must have begun.
_PATIENCE = 8


@dataclass(frozen=True, slots=True)
class Note:
    """An explanation of what was just printed.

    Attributes:
        kind: "address", "backtrace", "panic", "hint", "build" or "core-dump".
        lines: for people.
        data: the same for programs.
    """

    kind: str
    lines: tuple[str, ...]
    data: dict[str, Any]


class Decoder:
    """Takes lines in and gives explanations out.

    Attributes:
        panicked: the reason of the latest failure that ends a program, None before one.
        failures: each kind of failure that was told of, as records for programs.
    """

    def __init__(self, builds: Builds, roms: Iterable[Any] = ()) -> None:
        self._builds = builds
        self._symbols = Symbolizer([*builds.programs, *roms])
        self._digests: set[str] = set()
        self._dump: Dump | None = None
        self._words = False
        self._reason: Reason | None = None
        self._latest: Reason | None = None
        self._told: set[str] = set()
        self._patience = 0
        self._text: list[str] | None = None
        self.panicked: Reason | None = None
        self.failures: list[dict[str, Any]] = []

    @property
    def listening(self) -> bool:
        """The next line may belong to what was begun, whatever it holds."""
        return self._dump is not None or self._words or self._text is not None

    @property
    def muted(self) -> bool:
        """What comes is for programs: a core dump in base64."""
        return self._text is not None

    def feed(self, line: str) -> list[Note]:
        """What there is to say of a line, which comes without colours and the end of line."""
        notes: list[Note] = []
        if self._text is not None:
            return self._collect(line)
        if CORE_DUMP_BEGIN in line:
            self._text = []
            return notes
        if self._dump is not None:
            if row := _STACK_ROW.match(line.strip()):
                self._dump.add_row(int(row[1], 16), _values(row[2]))
                return notes
            if self._dump.rows:
                notes += self._unwound()
            else:
                self._patience -= 1
                if self._patience <= 0:
                    self._dump = None
        if self._words or ">>>stack>>>" in line:
            self._words = "<<<stack<<<" not in line
            return notes + self._on_stack(line)
        if found := _DIGEST.search(line):
            notes += self._build(found[1])
        if found := _BACKTRACE.search(line):
            addresses = [int(pair, 16) for pair in _PAIR.findall(found[1])]
            return notes + self._backtrace(addresses, found[2].strip())
        notes += [self._failed(reason) for reason in reasons_in(line)]
        self._take_registers(line)
        if not _NOT_OURS.match(line):
            notes += self._addresses(int(text, 16) for text in _ADDRESS.findall(line))
        notes += self._pointer(line)
        return notes

    def end(self) -> list[Note]:
        """What is left to say when nothing more comes for a while."""
        if self._dump is not None and self._dump.rows:
            return self._unwound()
        return []

    # --- addresses ---------------------------------------------------------------------------

    def _addresses(self, addresses: Iterable[int]) -> list[Note]:
        notes = []
        for address in dict.fromkeys(addresses):
            frames = self._symbols.frames(address) if self._symbols else ()
            if frames:
                data = {"address": address, "frames": described(frames)}
                notes.append(Note("address", tuple(shown(frames, address)), data))
        return notes

    def _on_stack(self, line: str) -> list[Note]:
        """ESP8266 shows its stack as words; those that are code may be return addresses."""
        return self._addresses(int(text, 16) for text in _WORD.findall(line.partition(":")[2]))

    def _backtrace(self, addresses: Sequence[int], ending: str = "") -> list[Note]:
        lines: list[str] = []
        rows = []
        for address in addresses:
            frames = self._symbols.frames(address)
            rows.append({"address": address, "frames": described(frames)})
            lines += shown(frames, address) if frames else []
        if "CORRUPTED" in ending:
            lines.append("The stack is damaged behind this: the rest is not known.")
        if not lines:
            return []
        data = {"backtrace": rows, "corrupted": "CORRUPTED" in ending}
        return [Note("backtrace", tuple(lines), data)]

    # --- panics ------------------------------------------------------------------------------

    def _failed(self, reason: Reason) -> Note:
        lines: tuple[str, ...] = (reason.words, reason.help)
        if reason.code in self._told:
            # A chip that starts again and again is not explained each time.
            lines = () if reason is self._latest else (reason.words,)
        self._told.add(reason.code)
        self._reason = self._latest = reason
        if reason.fatal:
            self.panicked = reason
        data = reason.record()
        if data not in self.failures:
            self.failures.append(data)
        return Note("panic", lines, data)

    def _pointer(self, line: str) -> list[Note]:
        found = _FAULT_ADDRESS.search(line)
        if self._reason not in (LOAD, STORE) or found is None:
            return []
        address = int(found[1] or found[2], 16)
        if address >= _NEAR_ZERO:
            return []
        self._reason = None
        text = f"The address was 0x{address:08x}: a null pointer" + (
            "." if address == 0 else f", and {address} bytes behind it."
        )
        return [Note("hint", (text,), {"hint": "null-pointer", "address": address})]

    def _take_registers(self, line: str) -> None:
        found = _REGISTER.findall(line)
        if not found:
            return
        if self._dump is None or (found[0][0] == "MEPC" and self._dump.registers):
            self._dump = Dump()
        self._patience = _PATIENCE
        for name, value in found:
            self._dump.registers[name] = int(value, 16)

    def _unwound(self) -> list[Note]:
        dump, self._dump = self._dump, None
        if dump is None or "MEPC" not in dump.registers:
            return []
        from esptool.monitor.unwind import unwind

        return self._backtrace(unwind(dump, self._symbols.program_at))

    def _collect(self, line: str) -> list[Note]:
        """A line of a core dump that the console shows."""
        assert self._text is not None
        if CORE_DUMP_END not in line and len(self._text) < _MOST_LINES:
            self._text.append(line)
            return []
        text, self._text = "\n".join(self._text), None
        from esptool.monitor import coredump

        try:
            report = coredump.Report(coredump.load(text.encode()), self._symbols)
        except coredump.CoreDumpError as e:
            return [Note("core-dump", (e.message,), {"problem": e.message, "core_dump": None})]
        lines = [report.title(), *report.why()]
        for task in report.tasks():
            lines += [report.heading(task), *report.chain(task)]
        data = {"problem": None, "core_dump": report.record()}
        return [Note("core-dump", tuple(lines), data)]

    # --- builds ------------------------------------------------------------------------------

    def _build(self, digest: str) -> list[Note]:
        if digest in self._digests:
            return []
        self._digests.add(digest)
        found = self._builds.find(digest) if digest.strip("0") else None
        if found is not None:
            if found in self._builds.programs:
                return []
            self._symbols.add(found, first=True)
            text = f"Addresses are looked up in {found.elf.name}."
            data = {"elf_sha256": digest, "matches": True, "files": [found.elf.name]}
            return [Note("build", (text,), data)]
        if not self._builds.programs and not self._builds.searches:
            return []
        names = [program.elf.name for program in self._builds.programs]
        data = {"elf_sha256": digest, "matches": False, "files": names}
        if names:
            text = (
                f"{', '.join(names)}: not the file of the program that runs (its SHA-256 begins "
                f"with {digest}). Places may be wrong; give the .elf of that build."
            )
        else:
            text = f"No ELF file whose SHA-256 begins with {digest} is in the folders named."
        return [Note("build", (text,), data)]


def _values(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]
