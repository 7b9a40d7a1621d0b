# SPDX-License-Identifier: Apache-2.0
"""The processor's clock is raised while the host is on USB-Serial/JTAG, and always put back."""

from __future__ import annotations

import struct

import pytest

from esptool import chips
from esptool.virtual import silicon
from esptool.virtual.emulator import Program
from tests.virtual.stub_client import StubClient

pytest.importorskip("icicle", reason="needs the extra 'emulator'")

RAISING = [k for k in chips.KEYS if chips.get(k).stub.cpu_clock is not None]


def start(chip: str, link: str, extra: str = "") -> tuple[StubClient, Program]:
    """An executed stub that has answered once."""
    client = StubClient(chip, "emulated", f"&link={link}{extra}")
    assert client.plain(0xE0).status == 0
    program = client.board.soc.program
    assert isinstance(program, Program)
    return client, program


@pytest.mark.parametrize("chip", RAISING)
def test_it_is_raised_over_usb_with_the_bus_kept(chip: str) -> None:
    clock = silicon.of(chip).clock
    assert clock is not None
    client, program = start(chip, "usb-jtag")
    assert program.cpu_hz == clock.mhz * 1_000_000
    times = clock.mhz // client.board.soc.crystal_mhz
    assert client.board.soc.bus.read_word(clock.divider.address) & 0xFF == times - 1
    assert client.board.soc.notes == []


@pytest.mark.parametrize("chip", RAISING)
def test_it_stays_as_it_is_over_the_uart(chip: str) -> None:
    clock = chips.get(chip).stub.cpu_clock
    assert clock is not None
    client, program = start(chip, "uart")
    assert program.cpu_hz == client.board.soc.crystal_mhz * 1_000_000
    for register in (clock.select.address, clock.bus_divider):
        assert client.board.soc.bus.read_word(register) == 0


@pytest.mark.parametrize("way", ["run user code", "end of flash", "user code in RAM"])
@pytest.mark.parametrize("chip", RAISING)
def test_it_is_put_back_on_every_way_out(chip: str, way: str) -> None:
    client, program = start(chip, "usb-jtag")
    if way == "run user code":
        client.send(0xD3, b"")
    elif way == "end of flash":
        client.plain(0x02, 0, 0, 0x400, 0, 0)
        client.send(0x04, struct.pack("<I", 0))
    else:
        client.plain(0x05, 0, 0, 0, 0)
        calls = client.board.soc.rom.calls
        assert calls is not None
        client.send(0x06, struct.pack("<II", 0, calls.restart))
    client.listen(0.1)
    assert client.board.soc.program is not program
    assert program.cpu_hz == client.board.soc.crystal_mhz * 1_000_000
    assert client.board.soc.notes == []


@pytest.mark.parametrize("chip", RAISING)
def test_waits_keep_their_length(chip: str) -> None:
    client, _ = start(chip, "usb-jtag", "&timing=virtual")
    before = client.board.clock.now
    waits = struct.pack("<BI", 3, 50_000) * 4
    assert client.sealed(0xE1, data=struct.pack("<HH", 0, 4) + waits).status == 0
    assert 0.2 <= client.board.clock.now - before < 0.25
