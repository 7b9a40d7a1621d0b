# SPDX-License-Identifier: Apache-2.0
"""Code loaded into RAM: executed, imitated when it is a stub, or a program that says nothing."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from esptool import stubs
from esptool.errors import UsageError
from esptool.stubs.first import first_stage
from esptool.virtual.program import Program, Silent

if TYPE_CHECKING:
    from esptool.virtual.board import Board
    from esptool.virtual.options import Options
    from esptool.virtual.soc import Soc

#: What runs code in RAM where the board's options leave it open: "emulated" or "model".
VARIABLE = "ESPTOOL_VIRTUAL_STUB"
_STUB_REACH = 0x10000
_GREETING = b"OHAI"
NO_EMULATOR = 'no emulator is installed (pip install "esptool[emulator]")'


def start(board: Board, entry: int) -> None:
    """Jump to `entry`: by emulation where that is possible and wanted, else by a model."""
    stub = first_at(board.soc, entry)
    if stub is not None:
        board.soc.loaded += [(part.start, len(part)) for part in stubs.memory(stub)]
    wanted = _wanted(board.options)
    if wanted in ("auto", "emulated") and _emulate(board, entry):
        return
    soc = board.soc
    if stub is None and not looks_like_stub(board, entry):
        soc.remark(
            f"The program at {entry:#x} in the virtual chip's RAM is not executed{_why(board)}."
        )
        soc.program = Silent()
        return
    from esptool.virtual.stage_model import StageModel
    from esptool.virtual.stub_model import StubModel

    if wanted == "model" or board.options.stub == "public":
        text = f"The virtual chip imitates the flasher stub by a model{_why(board)}."
        if text not in soc.notes:
            soc.notes.append(text)
    elif stub is None and not is_ours(soc, entry):
        # By its place alone: it may be another program, which would then not run.
        soc.remark(
            f"The virtual chip takes the program at {entry:#x} for a flasher stub and imitates it "
            f"by a model{_why(board)}.",
            once=True,
        )
    else:
        soc.remark(
            f"The virtual chip imitates the flasher stub by a model{_why(board)}.", once=True
        )
    public = board.options.stub == "public"
    program = (
        StageModel(soc)
        if stub is not None
        else StubModel(
            soc, extensions=not public, missing_at=None if public else _missing_at(soc, entry)
        )
    )
    soc.program = program
    program.greet()


def start_from_flash(board: Board) -> None:
    """Execute the program that the ROM starts, if it lies in RAM with all its segments.

    So do small programs without a boot loader. Others stay silent, as the code of a boot loader
    needs more of a chip than is modelled here.
    """
    from esptool.virtual.emulator import can_run, engines

    soc = board.soc
    loader = board.silicon.loader
    head = soc.nor.read(loader.bootloader_offset, 8)
    entry = int.from_bytes(head[4:8], "little")
    at = loader.bootloader_offset + (24 if loader.extended_header else 8)
    segments = []
    for _ in range(head[1]):
        address, length = struct.unpack("<II", soc.nor.read(at, 8))
        if not _in_ram(board, address, length):
            return
        segments.append((address, soc.nor.read(at + 8, length)))
        at += 8 + length
    for address, data in segments:
        soc.bus.write(address, data)
        soc.loaded.append((address, len(data)))
    if not engines() or not can_run(soc):
        soc.remark(
            f"The program in the virtual chip's flash is not executed{_why(board)}.", once=True
        )
        return
    soc.program = _Starting(board, entry, ours=False)


def _in_ram(board: Board, start: int, length: int) -> bool:
    parts = [m for m in board.silicon.memory if m.kind in ("iram", "dram")]
    return any(m.start <= start and start + length <= m.end for m in parts)


def _wanted(options: Options) -> str:
    return os.environ.get(VARIABLE, "auto") if options.stub == "auto" else options.stub


def warning(options: Options) -> str | None:
    """What a person should know before such a board is used: that code will not be executed."""
    from esptool.virtual.emulator import engines

    if _wanted(options) != "auto" or engines():
        return None
    return f"The virtual chip imitates the flasher stub by a model{_why()}."


def _why(board: Board | None = None) -> str:
    """Why code is not executed, and what may be done about it."""
    from esptool.virtual.emulator import engines

    if engines():
        return ": the emulator does not run this code"
    reason = None if board is None else board.no_emulator
    return f": {reason or NO_EMULATOR}"


def looks_like_stub(board: Board, entry: int) -> bool:
    """The entry lies where stubs for this chip are loaded, or what was loaded can greet."""
    if any(start <= entry < start + _STUB_REACH for start in board.silicon.stubs):
        return True
    bus = board.soc.bus
    return any(_GREETING in bus.read(start, size) for start, size in board.soc.loaded)


def _emulate(board: Board, entry: int) -> bool:
    """Start the emulator on the code in RAM; False where there is none for this code."""
    from esptool.virtual.emulator import can_run, engines

    soc = board.soc
    stub = first_at(soc, entry)
    first = None if stub is None else first_stage(stub)
    ours = is_ours(soc, entry) or first is not None
    if not ours and (looks_like_stub(board, entry) or not can_run(soc)):
        return False
    if not engines():
        if board.options.stub == "emulated":
            raise UsageError(
                "There is no emulator to run the stub.", remedy='pip install "esptool[emulator]"'
            )
        return False
    if first is not None:
        # The emulators know no register windows.
        soc.program = _Starting(board, first.plain, ours=False)
    else:
        soc.program = _Starting(board, entry, ours)
    return True


def first_at(soc: Soc, entry: int) -> stubs.Stub | None:
    """The stub of this package whose first stage lies in RAM at `entry`, if one does."""
    for stub in _stubs(soc):
        first = first_stage(stub)
        if (
            first is not None
            and first.entry == entry
            and soc.bus.read(first.text_start, len(first.text)) == first.text
        ):
            return stub
    return None


def _stubs(soc: Soc) -> Iterator[stubs.Stub]:
    key = soc.silicon.key
    for path in (stubs.DATA / f"{key}.json", *sorted(stubs.DATA.glob(f"{key}-*.json"))):
        if path.is_file():
            yield replace(stubs.load_file(path), ours=True)


def is_ours(soc: Soc, entry: int) -> bool:
    """The code in RAM at `entry` is a stub of this package."""
    return _stub_at(soc, entry) is not None


def _stub_at(soc: Soc, entry: int) -> stubs.Stub | None:
    """The stub of this package that is entered there; its late part may be missing."""
    for stub in _stubs(soc):
        first = first_stage(stub)
        entries = [stub.entry] if first is None else [stub.entry, first.image.entry]
        text = stub.text if first is None else stub.text[: first.image.pieces[0][1]]
        if entry in entries and soc.bus.read(stub.text_start, len(text)) == text:
            return stub
    return None


def _missing_at(soc: Soc, entry: int) -> int | None:
    """The word in which the stub there notes that its late part is missing."""
    stub = _stub_at(soc, entry)
    first = None if stub is None else first_stage(stub)
    return None if first is None else first.late_missing_at


class _Starting(Program):
    """A program about to start: making an engine takes longer than hosts wait for the loader's
    last answer, which must leave first."""

    def __init__(self, board: Board, entry: int, ours: bool) -> None:
        self._board, self._entry, self._ours = board, entry, ours

    def receive(self, data: bytes) -> None:
        """Start, then take the bytes in."""
        self.resume()
        self._board.soc.program.receive(data)

    def next_work(self) -> float:
        """At once, where time passes."""
        clock = self._board.clock
        return clock.now if clock.charged else math.inf

    def work(self, limit: float) -> None:
        """Start."""
        self.resume()

    def resume(self) -> None:
        """The loader's answer has been read: run to where the program waits for the host."""
        from esptool.virtual.emulator import EngineError
        from esptool.virtual.emulator import Program as Emulated

        soc = self._board.soc
        try:
            soc.program = program = Emulated(soc, self._entry, skip_shim=self._ours)
            program.begin()
        except EngineError as e:
            soc.remark(str(e))
            soc.program = Silent()
