# SPDX-License-Identifier: Apache-2.0
"""The callers of a RISC-V program that crashed in the emulator, out of what it prints."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from esptool.monitor.builds import Builds
from esptool.monitor.decoder import Decoder, Note
from esptool.monitor.elfdata import ElfData
from esptool.monitor.symbols import Program
from tests.monitor.crashes import crashed

#: Argument of `run` -> the functions that are running, the innermost first, inlined ones too.
STACKS = {
    0: [
        *("fail_inlined", "leaf", "keeps_registers", "large_frame", "variable_frame"),
        *["recursive"] * 5,
        *("middle", "run"),
    ],
    1: ["gives_up", "calls_last", "middle", "run"],
    2: ["jumps_to_zero", "middle", "run"],
    3: ["fail_inlined", "leaf", "middle", "run"],
}


def address_of(path: Path, name: str) -> int:
    elf = ElfData.load(path)
    start, end = elf.code[0]
    symbols = (elf.function_at(at) for at in range(start, end, 2))
    return next(s.address for s in symbols if s is not None and s.name == name)


def explained(path: Path, text: str) -> list[Note]:
    decoder = Decoder(Builds([str(path)]))
    notes = [note for line in text.splitlines() for note in decoder.feed(line)]
    return [note for note in notes + decoder.end() if note.kind == "backtrace"]


@pytest.mark.parametrize("name", ["crash", "crash-O2", "crash-O0", "crash-eh"])
@pytest.mark.parametrize("kind", STACKS)
def test_the_known_stack_is_found_in_registers_and_memory(
    name: str, kind: int, build: Callable[[str], Path]
) -> None:
    pytest.importorskip("icicle")
    path = build(name)
    crash = crashed(path, address_of(path, "run"), kind)
    (note,) = explained(path, crash.panic())
    found = [frame["function"] for row in note.data["backtrace"] for frame in row["frames"]]
    assert found == STACKS[kind]
    # The line of each call, not of what follows it.
    source = (Path(__file__).parent / "programs/crash.c").read_text().splitlines()
    frames = [frame for row in note.data["backtrace"] for frame in row["frames"]]
    for frame, callee in zip(frames[1:], frames, strict=False):
        text = source[frame["line"] - 1]
        called = "nowhere" if frame["function"] == "jumps_to_zero" else callee["function"]
        assert called + "(" in text, (frame, callee)


@pytest.mark.parametrize("kind", STACKS)
def test_gdb_finds_the_same(kind: int, build: Callable[[str], Path], tmp_path: Path) -> None:
    """From the same registers and memory, as a core file."""
    from esptool.monitor.coredump.corefile import core_file

    pytest.importorskip("icicle")
    gdb = shutil.which("gdb-multiarch")
    assert gdb is not None, "apt-get install gdb-multiarch"
    path = build("crash-O2")
    crash = crashed(path, address_of(path, "run"), kind)
    core = tmp_path / "core.elf"
    core.write_bytes(
        core_file(243, [("main", crash.registers)], [(crash.registers["SP"] & -4, crash.stack)])
    )
    done = subprocess.run(
        [gdb, "-batch", "-nx", "-ex", "bt -frame-arguments none", str(path), str(core)],
        capture_output=True,
        text=True,
        check=True,
    )
    # The frame that is current is shown first, and once more in the chain.
    chain = done.stdout[done.stdout.rindex("\n#0 ") :]
    theirs = re.findall(r"^#\d+ +(?:0x[0-9a-f]+ in )?(\w+) \(", chain, re.MULTILINE)
    assert theirs == STACKS[kind]


@pytest.mark.parametrize("name", ["crash-O2", "crash"])
@pytest.mark.parametrize("kind", [1, 2, 3])
def test_a_file_without_rules_is_unwound_by_its_code(
    name: str, kind: int, build: Callable[[str], Path], tmp_path: Path
) -> None:
    pytest.importorskip("icicle")
    path = build(name)
    bare = tmp_path / "bare.elf"
    subprocess.run(
        ["riscv64-unknown-elf-objcopy", "--strip-debug", "-R", ".eh_frame", str(path), str(bare)],
        check=True,
    )
    crash = crashed(path, address_of(path, "run"), kind)
    (note,) = explained(bare, crash.panic())
    found = [frame["function"] for row in note.data["backtrace"] for frame in row["frames"]]
    assert found == [name for name in STACKS[kind] if name != "fail_inlined"]


def test_a_stack_that_is_cut_gives_what_is_there(build: Callable[[str], Path]) -> None:
    pytest.importorskip("icicle")
    path = build("crash-O2")
    crash = crashed(path, address_of(path, "run"), 0)
    (note,) = explained(path, crash.panic(1248))
    found = [frame["function"] for row in note.data["backtrace"] for frame in row["frames"]]
    assert 1 < len(found) < len(STACKS[0])
    assert found == STACKS[0][: len(found)]


def test_without_the_elf_file_nothing_is_said_of_the_stack() -> None:
    decoder = Decoder(Builds([]))
    text = "MEPC    : 0x42001234  SP      : 0x3fc90000\n3fc90000: 0x00000000 0x42001234\n\n"
    assert [n for line in text.splitlines() for n in decoder.feed(line)] + decoder.end() == []


def test_frames_without_rules_end_the_chain(build: Callable[[str], Path]) -> None:
    program = Program(ElfData.load(build("crash-O2")))
    assert program.frames(0x12345678) == []
