# SPDX-License-Identifier: Apache-2.0
"""The rules of a NOR flash, as data sheets give them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esptool.virtual.clock import Clock, Timing
from esptool.virtual.faults import FaultPlan
from esptool.virtual.nor import WEL, WIP, BrownoutError, Nor
from esptool.virtual.parts import find

WREN, PP, SE, BE32, BE64, CE, RDSR, WRSR = 0x06, 0x02, 0x20, 0x52, 0xD8, 0xC7, 0x05, 0x01


def make(part: str = "W25Q16JV", timing: Timing = Timing.FAST, faults: str = "") -> Nor:
    plan = FaultPlan()
    plan.add(faults)
    return Nor(find(part, None), Clock(timing), plan)


def program(nor: Nor, address: int, data: bytes) -> None:
    nor.transfer(WREN, None, 0, b"", 0)
    nor.transfer(PP, address, 3, data, 0)


def status(nor: Nor) -> int:
    return nor.transfer(RDSR, None, 0, b"", 1)[0]


@given(st.lists(st.binary(min_size=1, max_size=600), min_size=1, max_size=5), st.integers(0, 5000))
@settings(max_examples=60, deadline=None)
def test_what_is_written_without_erasing_is_the_and_of_all(blocks: list[bytes], at: int) -> None:
    nor = make()
    expected = bytearray(b"\xff" * 600)
    for block in blocks:
        nor.program(at, block)
        for i, byte in enumerate(block):
            expected[i] &= byte
    assert nor.read(at, 600) == expected


def test_programming_wraps_inside_its_page() -> None:
    nor = make()
    program(nor, 0x1F0, bytes(range(32)))
    assert nor.read(0x1F0, 16) == bytes(range(16))
    assert nor.read(0x100, 16) == bytes(range(16, 32))
    assert nor.read(0x200, 16) == b"\xff" * 16


def test_nothing_changes_without_write_enable_and_the_latch_falls_after_each_operation() -> None:
    nor = make()
    nor.transfer(PP, 0, 3, b"\0", 0)
    assert nor.read(0, 1) == b"\xff"
    nor.transfer(WREN, None, 0, b"", 0)
    assert status(nor) & WEL
    nor.transfer(PP, 0, 3, b"\0", 0)
    assert not status(nor) & WEL
    nor.transfer(SE, 0, 3, b"", 0)
    assert nor.read(0, 1) == b"\0"


@pytest.mark.parametrize(("command", "size"), [(SE, 0x1000), (BE32, 0x8000), (BE64, 0x10000)])
def test_an_erase_takes_the_aligned_block_around_its_address(command: int, size: int) -> None:
    nor = make()
    nor.program(0, bytes(0x40000))
    nor.transfer(WREN, None, 0, b"", 0)
    nor.transfer(command, 0x20000 + size - 1, 3, b"", 0)
    assert nor.read(0x20000, size) == b"\xff" * size
    assert nor.read(0x20000 + size, 0x40000 - 0x20000 - size) == bytes(0x20000 - size)
    assert nor.read(0, 0x20000) == bytes(0x20000)


def test_a_busy_flash_answers_its_status_only() -> None:
    nor = make(timing=Timing.VIRTUAL)
    program(nor, 0, b"\x12")
    assert nor.transfer(0x9F, None, 0, b"", 3) == b"\xff\xff\xff"
    assert status(nor) & WIP
    # Who does nothing but look is spared most of the looks.
    assert sum(status(nor) & WIP for _ in range(10)) < 3
    assert nor.transfer(0x9F, None, 0, b"", 3) == bytes.fromhex("ef4015")


def test_looks_with_work_in_between_take_no_time_of_the_flash() -> None:
    nor = make(timing=Timing.VIRTUAL)
    program(nor, 0, bytes(256))
    clock = nor._clock
    began = clock.now
    for _ in range(5):
        clock.spend(50e-6)
        assert status(nor) & WIP
    assert clock.now - began < 0.3e-3


@pytest.mark.parametrize(
    ("command", "time"), [(SE, "sector"), (BE32, "block32"), (BE64, "block64"), (CE, "chip")]
)
def test_an_operation_takes_the_typical_time_of_the_data_sheet(command: int, time: str) -> None:
    nor = make(timing=Timing.VIRTUAL)
    nor.transfer(WREN, None, 0, b"", 0)
    start = nor._clock.now
    nor.transfer(command, 0, 3, b"", 0)
    nor.wait_ready()
    assert nor._clock.now - start == pytest.approx(getattr(nor.part.times, time)[0], rel=0.01)


def test_protected_blocks_ignore_program_and_erase() -> None:
    nor = make()
    nor.transfer(WREN, None, 0, b"", 0)
    nor.transfer(WRSR, None, 0, b"\x04", 0)  # level 1: the top 1/64 of 2 MB is 32 KiB
    top = 0x200000 - 0x8000
    program(nor, top, b"\0")
    program(nor, top - 1, b"\0")
    assert nor.read(top, 1) == b"\xff"
    assert nor.read(top - 1, 1) == b"\0"
    nor.transfer(WREN, None, 0, b"", 0)
    nor.transfer(CE, None, 0, b"", 0)
    assert nor.read(top - 1, 1) == b"\0"


def test_stuck_protection_cannot_be_cleared() -> None:
    nor = make(faults="protect")
    nor.transfer(WREN, None, 0, b"", 0)
    nor.transfer(WRSR, None, 0, b"\0\0", 0)
    assert status(nor) & 0x1C
    nor.program(0, b"\0")
    assert nor.read(0, 1) == b"\xff"


def test_faulty_cells_keep_their_contents() -> None:
    nor = make(faults="erase:0x2010,program:0x5000")
    nor.program(0, bytes(0x10000))
    assert nor.read(0x5000, 0x100) == b"\xff" * 0x100
    nor.erase(0, 0x10000)
    assert nor.read(0, 0x10000).count(0) == 0x1000
    assert nor.read(0x2000, 0x1000) == bytes(0x1000)


def test_a_brown_out_leaves_a_page_half_written_once() -> None:
    nor = make(faults="brownout:0x180")
    with pytest.raises(BrownoutError):
        nor.program(0, bytes(0x400))
    assert nor.read(0, 0x200) == bytes(0x180) + b"\xff" * 0x80
    nor.program(0, bytes(0x400))
    assert nor.read(0, 0x400) == bytes(0x400)


def test_reading_goes_round_at_the_end() -> None:
    nor = make()
    nor.program(0, b"start")
    nor.program(0x1FFFFE, b"ab")
    assert nor.transfer(0x03, 0x1FFFFE, 3, b"", 7) == b"abstart"


def test_large_parts_take_four_byte_addresses() -> None:
    nor = make("W25Q256JV")
    nor.transfer(WREN, None, 0, b"", 0)
    nor.transfer(0x12, 0x1800000, 4, b"far", 0)
    assert nor.transfer(0x13, 0x1800000, 4, b"", 3) == b"far"
    nor.transfer(WREN, None, 0, b"", 0)
    nor.transfer(0x21, 0x1800000, 4, b"", 0)
    assert nor.read(0x1800000, 3) == b"\xff\xff\xff"


def test_a_sleeping_flash_wakes_by_release_only() -> None:
    nor = make()
    nor.transfer(0xB9, None, 0, b"", 0)
    assert nor.transfer(0x9F, None, 0, b"", 3) == b"\xff\xff\xff"
    nor.transfer(0xAB, None, 0, b"", 0)
    assert nor.transfer(0x9F, None, 0, b"", 3) == bytes.fromhex("ef4015")
