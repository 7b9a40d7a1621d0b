# SPDX-License-Identifier: Apache-2.0
"""Function, file and line of addresses, compared with the addr2line of each toolchain."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from esptool.errors import ImageError
from esptool.monitor.elfdata import ElfData
from esptool.monitor.symbols import Program

Place = tuple[str | None, str | None, int]

#: Program -> the tool that is asked, and how many addresses of it.
CASES = {
    "riscv-c": "riscv64-unknown-elf-addr2line",
    "riscv-c-O0": "riscv64-unknown-elf-addr2line",
    "riscv-c-dwarf4": "riscv64-unknown-elf-addr2line",
    "riscv-c++": "riscv64-unknown-elf-addr2line",
    "riscv-c++-clang": "llvm-addr2line",
    "xtensa-c": "xtensa-lx106-elf-addr2line",
    "xtensa-c-dwarf3": "xtensa-lx106-elf-addr2line",
    "xtensa-c++": "xtensa-lx106-elf-addr2line",
    "host-c++": "addr2line",
}


def theirs(tool: str, path: Path, addresses: list[int]) -> list[list[Place]]:
    """What an addr2line says of each address, the innermost function first."""
    words = "".join(f"{address:#x}\n" for address in addresses)
    done = subprocess.run(
        [tool, "-a", "-f", "-i", "-e", str(path)],
        input=words,
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[list[str]] = []
    for line in done.stdout.splitlines():
        if line.startswith("0x"):
            found.append([])
        elif line:
            found[-1].append(line)
    return [
        [_place(name, where) for name, where in zip(rows[::2], rows[1::2], strict=True)]
        for rows in found
    ]


def _place(name: str, where: str) -> Place:
    path, _, line = where.partition(" (")[0].rpartition(":")
    return (
        None if name == "??" else name,
        None if path == "??" else os.path.normpath(path),
        0 if line == "?" else int(line),
    )


def ours(program: Program, address: int) -> list[Place]:
    return [
        (f.symbol or None, os.path.normpath(f.file) if f.file else None, f.line)
        for f in program.frames(address)
    ]


def compiled_code(program: Program) -> list[int]:
    """Addresses in functions of the program's own source, without the gaps between them."""
    return [
        address
        for start, end in program.elf.code
        for address in range(start, end)
        if (places := program.debug.places(address)) and places[0].function
    ]


@pytest.mark.parametrize("name", CASES)
def test_a_thousand_addresses_are_what_addr2line_says(
    name: str, build: Callable[[str], Path]
) -> None:
    path = build(name)
    program = Program(ElfData.load(path))
    there = compiled_code(program)
    addresses = sorted(random.Random(name).sample(there, min(1000, len(there))))
    assert len(addresses) > 300
    expected = theirs(CASES[name], path, addresses)
    inlined = 0
    for address, wanted in zip(addresses, expected, strict=True):
        found = ours(program, address)
        inlined += len(found) > 1
        assert [place[1:] for place in found] == [place[1:] for place in wanted], hex(address)
        for (mine, _, _), (other, _, _) in zip(found, wanted, strict=True):
            # binutils calls a function that was inlined, and has no name for the linker, by the
            # name of the one that it was inlined into.
            assert other in (mine, found[-1][0]) or _same_function(mine, other), hex(address)
    assert inlined or name.endswith("O0")


def _same_function(mine: str | None, other: str | None) -> bool:
    """One tool has the name for the linker, the other the one in the source."""
    return mine is not None and other is not None and (other in mine or mine in other)


@pytest.mark.parametrize("name", ["riscv-c++", "xtensa-c++", "riscv-c++-clang", "host-c++"])
def test_functions_have_the_names_that_llvm_gives_them(
    name: str, build: Callable[[str], Path]
) -> None:
    path = build(name)
    program = Program(ElfData.load(path))
    addresses = compiled_code(program)[::3]
    for address, wanted in zip(addresses, theirs("llvm-addr2line", path, addresses), strict=True):
        assert [p[0] for p in ours(program, address)] == [p[0] for p in wanted], hex(address)


def test_names_of_cpp_are_shown_as_people_write_them(build: Callable[[str], Path]) -> None:
    program = Program(ElfData.load(build("riscv-c++")))
    names = {f.function for a in compiled_code(program) for f in program.frames(a)}
    assert "shapes::Vector<int>::sum(int) const" in names
    assert "shapes::Vector<long long>::clamp(long long)" in names
    assert "shapes::Counter::operator+=(int)" in names
    assert "(anonymous namespace)::middle(int)" in names


def test_a_file_without_debug_information_gives_functions_alone(
    build: Callable[[str], Path], tmp_path: Path
) -> None:
    path = tmp_path / "stripped.elf"
    subprocess.run(
        ["riscv64-unknown-elf-objcopy", "--strip-debug", str(build("riscv-c")), str(path)],
        check=True,
    )
    program = Program(ElfData.load(path))
    frames = program.frames(program.elf.entry)
    assert [(f.function, f.file) for f in frames] == [("entry", None)]


def test_addresses_outside_of_the_code_have_no_function(build: Callable[[str], Path]) -> None:
    program = Program(ElfData.load(build("riscv-c")))
    for address in (0, 0x40370000, 0x3FC90000, 0x4FFFFFFF, 0xFFFFFFFF):
        assert program.frames(address) == []


@pytest.mark.parametrize("keep", [4, 60, 400, 3000])
def test_a_truncated_file_is_refused_or_says_less(keep: int, build: Callable[[str], Path]) -> None:
    data = build("riscv-c").read_bytes()[:keep]
    with pytest.raises(ImageError):
        Program(ElfData(data, "cut.elf")).frames(0x40380000)


def test_damaged_debug_information_never_raises(build: Callable[[str], Path]) -> None:
    whole = build("riscv-c").read_bytes()
    elf = ElfData(whole)
    spots = [s for s in elf.sections if s.name.startswith(".debug")]
    code = elf.code[0][0]
    generator = random.Random(18)
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(20):
            section = generator.choice(spots)
            data[section.offset + generator.randrange(section.size)] = generator.randrange(256)
        program = Program(ElfData(bytes(data)))
        for address in range(code, code + 200, 40):
            program.frames(address)
