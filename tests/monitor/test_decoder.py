# SPDX-License-Identifier: Apache-2.0
"""Names, backtraces of Xtensa, stacks of ESP8266, and addresses of a ROM."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from esptool.monitor.builds import Builds
from esptool.monitor.decoder import Decoder
from esptool.monitor.elfdata import ElfData
from esptool.monitor.names import readable
from esptool.monitor.symbols import Program
from tests.monitor.test_unwind import address_of


@pytest.mark.parametrize(
    ("mangled", "shown"),
    [
        ("_ZN6shapes7CounterpLEi", "shapes::Counter::operator+=(int)"),
        (
            "_ZNSt6vectorIiSaIiEE9push_backERKi",
            "std::vector<int, std::allocator<int>>::push_back(int const&)",
        ),
        ("_ZN12_GLOBAL__N_16middleEi.constprop.0", "(anonymous namespace)::middle(int)"),
        ("_ZN4core9panicking5panic17h0123456789abcdefE", "core::panicking::panic"),
        (
            "_ZN4core3ptr29drop_in_place$LT$$LP$$RP$$GT$17h0123456789abcdefE",
            "core::ptr::drop_in_place<()>",
        ),
        ("_RNvCs1234_7mycrate3foo", "mycrate::foo"),
        (
            "_RNvMs0_NtCs5l0EXMQXRMU_4core3fmtNtB5_9Formatter9write_str",
            "<core::fmt::Formatter>::write_str",
        ),
        ("app_main", "app_main"),
        ("_Zgarbage", "_Zgarbage"),
        ("_R", "_R"),
    ],
)
def test_names_are_shown_as_people_write_them(mangled: str, shown: str) -> None:
    assert readable(mangled) == shown


def test_each_address_of_a_backtrace_is_named(build: Callable[[str], Path]) -> None:
    path = build("xtensa-c")
    nearest, spread = address_of(path, "nearest") + 4, address_of(path, "spread") + 3
    decoder = Decoder(Builds([str(path)]))
    line = f"Backtrace: 0x{nearest:08x}:0x3ffb4f70 0x{spread:08x}:0x3ffb4f90 |<-CORRUPTED"
    (note,) = decoder.feed(line)
    assert note.kind == "backtrace"
    functions = [row["frames"][-1]["function"] for row in note.data["backtrace"]]
    assert functions == ["nearest", "spread"]
    assert note.data["corrupted"] is True
    assert "damaged" in note.lines[-1]
    assert f"programs/shapes.c:{note.data['backtrace'][0]['frames'][0]['line']}" in note.lines[0]
    # The older form has no space, and what follows is no part of it.
    (again,) = decoder.feed(f"Backtrace:0x{spread:08x}:0x3ffb4f90 |<-CONTINUES")
    assert [row["frames"][-1]["function"] for row in again.data["backtrace"]] == ["spread"]


def test_return_addresses_are_found_on_the_stack_of_an_esp8266(
    build: Callable[[str], Path],
) -> None:
    path = build("xtensa-c")
    inside = address_of(path, "big_3") + 6
    decoder = Decoder(Builds([str(path)]))
    lines = [
        "Exception (28):",
        f"epc1=0x{inside:08x} epc2=0x00000000 epc3=0x00000000 excvaddr=0x00000004 depc=0x00000000",
        ">>>stack>>>",
        f"3ffffdc0:  00000001 {inside:08x} 3ffe8304 {inside + 3:08x}",
        "<<<stack<<<",
        f"after {inside:08x}",
    ]
    notes = [decoder.feed(line) for line in lines]
    assert [note.kind for note in notes[0]] == ["panic"]
    assert [note.kind for note in notes[1]] == ["address", "hint"]
    assert [note.data["address"] for note in notes[3]] == [inside, inside + 3]
    assert notes[4] == notes[5] == []


def test_lines_of_the_boot_log_are_not_of_the_program(build: Callable[[str], Path]) -> None:
    path = build("crash")
    entry = ElfData.load(path).entry
    decoder = Decoder(Builds([str(path)]))
    assert decoder.feed(f"load:0x{entry:08x},len:0x100") == []
    assert decoder.feed(f"entry 0x{entry:08x}") == []
    assert decoder.feed(f"RA      : 0x{entry:08x}")


def test_a_rom_is_looked_at_behind_the_program(build: Callable[[str], Path]) -> None:
    program, rom = build("crash"), build("xtensa-c")
    decoder = Decoder(Builds([str(program)]), [Program(ElfData.load(rom))])
    first, second = ElfData.load(program).entry, address_of(rom, "nearest")
    notes = decoder.feed(f"called 0x{first:08x} and 0x{second:08x} and 0x50000000")
    assert [n.data["frames"][0]["function"] for n in notes] == ["entry", "nearest"]
