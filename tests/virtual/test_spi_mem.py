# SPDX-License-Identifier: Apache-2.0
"""The SPI controller of a virtual chip: what reaches the flash is what its registers say."""

from __future__ import annotations

import pytest

from esptool import chips
from esptool.virtual import silicon
from esptool.virtual.clock import Clock, Timing
from esptool.virtual.faults import FaultPlan
from esptool.virtual.nor import Nor
from esptool.virtual.parts import find
from esptool.virtual.spi_mem import SpiController

_COMMAND, _ADDRESS, _DUMMY, _IN, _OUT = (1 << bit for bit in (31, 30, 29, 28, 27))
_DUAL = 1 << 13 | 1 << 14
_HOLD = {"esp32": 1 << 30, "esp32s3": 1 << 10, "esp32c3": 1 << 10}


class Bus:
    """A controller with its flash, worked by its registers."""

    def __init__(self, chip: str) -> None:
        self.lay = chips.get(chip).spi
        self.nor = Nor(find("W25Q32JV", None), Clock(Timing.FAST), FaultPlan())
        self.spi = SpiController(silicon.of(chip).spi, self.nor)
        self.hold = _HOLD[chip]

    def go(
        self,
        command: int | None,
        address: int | None = None,
        out: bytes = b"",
        want: int = 0,
        *,
        hold: bool = False,
        dual: bool = False,
    ) -> bytes:
        """One transaction."""
        lay, write = self.lay, self.spi.write
        user = (_COMMAND if command is not None else 0) | (_ADDRESS if address is not None else 0)
        user |= (_OUT if out else 0) | (_IN if want else 0) | (_DUMMY if dual else 0)
        write(lay.usr_offs, user)
        write(lay.usr1_offs, 23 << 26 | (7 if dual else 0))
        write(lay.usr2_offs, 7 << 28 | (command or 0))
        assert lay.mosi_dlen_offs is not None
        assert lay.miso_dlen_offs is not None
        write(lay.mosi_dlen_offs, max(0, 8 * len(out) - 1))
        write(lay.miso_dlen_offs, max(0, 8 * want - 1))
        write(8, _DUAL if dual else 0)
        write(0x34, self.hold if hold else 0)
        write(4, (address or 0) << (8 if lay.addr_msb else 0))
        for at in range(0, len(out), 4):
            write(lay.w0_offs + at, int.from_bytes(out[at : at + 4], "little"))
        write(0, 1 << 18)
        words = (self.spi.read(lay.w0_offs + at) for at in range(0, want, 4))
        return b"".join(word.to_bytes(4, "little") for word in words)[:want]


@pytest.mark.parametrize("chip", _HOLD)
def test_a_page_reaches_the_flash_as_one_command_while_it_stays_selected(chip: str) -> None:
    bus = Bus(chip)
    page = bytes(range(256))
    bus.go(0x06)
    for at in range(0, 256, 64):
        first = at == 0
        bus.go(
            0x02 if first else None,
            0x1000 if first else None,
            page[at : at + 64],
            hold=at < 192,
        )
    assert bus.nor.cells.read(0x1000, 256) == page
    assert bus.nor.log["program"] == 1


@pytest.mark.parametrize("chip", _HOLD)
def test_bytes_without_a_command_are_lost_on_a_flash_that_was_let_go(chip: str) -> None:
    bus = Bus(chip)
    bus.go(0x06)
    bus.go(0x02, 0x1000, b"\x11" * 64)
    bus.go(None, None, b"\x22" * 64)
    assert bus.nor.cells.read(0x1000, 128) == b"\x11" * 64 + b"\xff" * 64


@pytest.mark.parametrize("chip", _HOLD)
def test_reading_goes_on_where_it_was_while_the_flash_stays_selected(chip: str) -> None:
    bus = Bus(chip)
    bus.nor.cells.program(0x2000, bytes(range(128)))
    first = bus.go(0x03, 0x2000, want=64, hold=True)
    assert first + bus.go(None, want=64) == bytes(range(128))
    assert bus.go(0x9F, want=1, hold=True) + bus.go(None, want=2) == bus.nor.part.jedec


@pytest.mark.parametrize("chip", _HOLD)
def test_two_lines_need_a_command_that_answers_on_both(chip: str) -> None:
    bus = Bus(chip)
    bus.nor.cells.program(0, bytes(range(64)))
    assert bus.go(0x3B, 0, want=64, dual=True) == bytes(range(64))
    assert bus.go(0x03, 0, want=64, dual=True) != bytes(range(64))
    assert bus.go(0x3B, 0, want=64) != bytes(range(64))


#: Where the ready-made command that reads the status leaves it, from the controller's base.
_STATUS = {"esp8266": 0x10, "esp32": 0x10, "esp32s2": 0x2C, "esp32s3": 0x2C, "esp32c3": 0x2C}


@pytest.mark.parametrize("chip", _STATUS)
def test_the_status_comes_to_a_register_of_its_own(chip: str) -> None:
    nor = Nor(find("W25Q32JV", None), Clock(Timing.FAST), FaultPlan())
    spi = SpiController(silicon.of(chip).spi, nor)
    nor.transfer(0x06, None, 0, b"", 0)
    spi.write(0, 1 << 27)
    assert spi.read(_STATUS[chip]) == 2
    assert spi.read(0) == 0


@pytest.mark.parametrize("chip", chips.KEYS)
def test_a_reset_prepares_commands_of_eight_bits_and_addresses_of_24(chip: str) -> None:
    layout = silicon.of(chip).spi
    spi = SpiController(layout, Nor(find("W25Q32JV", None), Clock(Timing.FAST), FaultPlan()))
    registers = [layout.user - layout.base, layout.user1 - layout.base, layout.user2 - layout.base]
    for register in registers:
        spi.write(register, 0xFFFFFFFF)
    spi.reset()
    user, user1, user2 = map(spi.read, registers)
    assert user == 1 << 31
    assert (user1 >> 26, user1 & 0x3F) == (23, 7)
    assert user2 >> 28 == 7
