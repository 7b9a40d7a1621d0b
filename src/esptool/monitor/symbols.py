# SPDX-License-Identifier: Apache-2.0
"""Function, file and line of addresses, out of one or several ELF files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from esptool.monitor.elfdata import ElfData
from esptool.monitor.names import readable
from esptool.records import dataclass

if TYPE_CHECKING:
    from esptool.monitor.dwarf import DebugInfo

_FOR_THE_LINKER = ("_Z", "_R")


@dataclass(frozen=True, slots=True)
class Frame:
    """A function that was running.

    Attributes:
        address: what was looked up.
        function: its name as people write it; "??" where only file and line are known.
        file: path of its source as the compiler was told, None where it is not known.
        line: 0 where it is not known.
        inlined: the next frame of the list is the one that it was inlined into.
        symbol: its name as the linker knows it.
    """

    address: int
    function: str
    file: str | None = None
    line: int = 0
    inlined: bool = False
    symbol: str = ""

    @property
    def place(self) -> str:
        """FILE:LINE, as far as known, or nothing."""
        if self.file is None:
            return ""
        return f"{self.file}:{self.line}" if self.line else self.file


class Program:
    """An ELF file with its debug information."""

    def __init__(self, elf: ElfData) -> None:
        self.elf = elf

    @cached_property
    def debug(self) -> DebugInfo:
        """The file's debug information."""
        from esptool.monitor.dwarf import DebugInfo

        return DebugInfo(self.elf)

    def frames(self, address: int) -> list[Frame]:
        """The functions at an address, the innermost first; empty where none is known."""
        symbol = self.elf.function_at(address)
        found = []
        places = self.debug.places(address)
        for place in places:
            name = place.function
            outermost = place is places[-1]
            # Functions of one unit have no name for the linker in the debug information.
            if symbol is not None and (
                name is None or (outermost and symbol.name.startswith(_FOR_THE_LINKER))
            ):
                name = symbol.name
            found.append(
                Frame(
                    address,
                    readable(name) if name else "??",
                    place.file,
                    place.line,
                    inlined=not outermost,
                    symbol=name or "",
                )
            )
        if not found and symbol is not None:
            found.append(Frame(address, readable(symbol.name), symbol=symbol.name))
        return found


class Symbolizer:
    """Looks addresses up in several files, in their order."""

    def __init__(self, programs: Iterable[Program] = ()) -> None:
        self.programs: list[Program] = list(programs)
        self._known: dict[int, list[Frame]] = {}

    def __bool__(self) -> bool:
        return bool(self.programs)

    def add(self, program: Program, *, first: bool = False) -> None:
        """Look also there; `first` before all others."""
        self.programs.insert(0 if first else len(self.programs), program)
        self._known.clear()

    def program_at(self, address: int) -> Program | None:
        """The first file with code there."""
        return next((p for p in self.programs if p.elf.holds_code(address)), None)

    def frames(self, address: int) -> Sequence[Frame]:
        """The functions at an address, the innermost first; empty where none is known."""
        found = self._known.get(address)
        if found is None:
            found = []
            for program in self.programs:
                if program.elf.holds_code(address) and (found := program.frames(address)):
                    break
            if len(self._known) > _MOST_KNOWN:
                self._known.clear()
            self._known[address] = found
        return found


_MOST_KNOWN = 20_000


def shown(frames: Sequence[Frame], address: int) -> list[str]:
    """Lines for people: where an address is, and into what it was inlined."""
    lines = []
    for number, frame in enumerate(frames):
        head = f"0x{address:08x}: " if number == 0 else "(inlined by) "
        tail = f" at {frame.place}" if frame.place else ""
        lines.append(f"{head}{frame.function}{tail}")
    return lines


def described(frames: Sequence[Frame]) -> list[dict[str, Any]]:
    """Frames as records for programs."""
    return [
        {"function": f.function, "file": f.file, "line": f.line or None, "inlined": f.inlined}
        for f in frames
    ]
