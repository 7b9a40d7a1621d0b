# SPDX-License-Identifier: Apache-2.0
"""The built stub of every chip, executed: loaded through the virtual ROM, it does its work."""

from __future__ import annotations

import hashlib
import random
import zlib

import pytest

from esptool import chips, stubs
from esptool.chips.spec import Arch
from esptool.device import Session, connect
from esptool.virtual.board import NAMED
from esptool.virtual.emulator.program import ENGINE_VARIABLE

pytest.importorskip("icicle", reason="needs the extra 'emulator'")

STUBS = [
    (name, spec.key)
    for spec in map(chips.get, chips.KEYS)
    if spec.stub.available
    for name in spec.stub.layouts
]
#: Revisions that get another stub than the newest.
REVISIONS = {"esp32p4-rev1": "1.0", "esp32p4": "3.1"}


#: (stub, chip, engine): RISC-V runs on both.
RUNS = [
    (name, chip, engine)
    for name, chip in STUBS
    for engine in ("icicle", "unicorn")
    if engine == "icicle" or chips.get(chip).arch is Arch.RISCV
]
_BLOCK_PROTECT = 0x04


def start(name: str, chip: str, extra: str = "") -> Session:
    """A session with the stub running on an emulated processor."""
    revision = f"&rev={REVISIONS[name]}" if name in REVISIONS else ""
    board = f"firmware-{name}-{random.getrandbits(32)}"
    session = connect(
        f"virtual://{chip}?stub=emulated&boot=download&name={board}{revision}{extra}",
        chip=chip,
        before="no-reset",
    )
    session.run_stub()
    assert not any("model" in note for note in NAMED[board].soc.notes)
    return session


def sample(size: int) -> bytes:
    """Bytes that compress about as firmware does."""
    maker = random.Random(size)
    words = [maker.randbytes(maker.randrange(2, 9)) for _ in range(300)]
    out = bytearray()
    while len(out) < size:
        out += maker.choice(words) + maker.randbytes(2)
    return bytes(out[:size])


@pytest.mark.parametrize(("name", "chip", "engine"), RUNS, ids=[f"{r[0]}-{r[2]}" for r in RUNS])
def test_the_stub_of_every_chip_does_the_work(
    name: str, chip: str, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(engine)
    monkeypatch.setenv(ENGINE_VARIABLE, engine)
    with start(name, chip) as session:
        assert session.flash.id() & 0xFF == 0x20
        session.power.change_baud(921600)
        assert session.bus.read_sfdp(0, 32) == int.from_bytes(b"SFDP", "little")
        session.bus.write_status(_BLOCK_PROTECT, 1)
        assert session.bus.read_status(1) & _BLOCK_PROTECT
        session.bus.write_status(0, 1)
        assert not session.bus.read_status(1) & _BLOCK_PROTECT
        data = sample(0x5000)
        packed = zlib.compress(data, 9)
        block = session.flash.write_size
        for number in range(session.flash.begin_deflated(len(data), len(packed), 0x10000)):
            session.flash.deflated_block(packed[number * block : (number + 1) * block], number)
        session.flash.finish_deflated()
        assert session.flash.md5(0x10000, len(data)) == hashlib.md5(data).hexdigest()
        assert session.flash.read_by_stub(0x10000, len(data)) == data
        plain = data[:0x1800]
        for number in range(session.flash.begin(len(plain), 0x14000)):
            session.flash.block(plain.ljust(block, b"\xff"), number)
        session.flash.finish()
        assert session.flash.read_by_stub(0x14000, len(plain)) == plain
        assert session.flash.read_by_stub(0x10000, 0x4000) == data[:0x4000]
        session.flash.erase_region(0x10000, 0x2000)
        expected = b"\xff" * 0x2000 + data[0x2000:0x4000]
        assert session.flash.md5(0x10000, 0x4000) == hashlib.md5(expected).hexdigest()
        session.flash.erase_all()
        assert session.flash.md5(0x14000, 0x1000) == hashlib.md5(b"\xff" * 0x1000).hexdigest()
        session.power.change_baud(115200)
        assert session.flash.read_by_stub(0, 0x400) == b"\xff" * 0x400


@pytest.mark.parametrize(
    "chip", [c for c in chips.KEYS if chips.get(c).usb.serial_jtag and chips.get(c).stub.available]
)
def test_usb_serial_jtag_also_ends_a_frame_on_a_full_packet(chip: str) -> None:
    with start(chip, chip, "&link=usb-jtag") as session:
        for size in (62, 61, 126, 64, 1):
            assert session.flash.read_by_stub(0x1000, size) == b"\xff" * size


@pytest.mark.parametrize(
    "chip", [c for c in chips.KEYS if chips.get(c).flash.addr32 and chips.get(c).stub.available]
)
def test_addresses_above_16_mb(chip: str) -> None:
    with start(chip, chip, "&flash=32MB") as session:
        data = sample(0x1000)
        session.flash.set_size(32 << 20)
        for number in range(session.flash.begin(len(data), 0x1800000)):
            session.flash.block(data.ljust(session.flash.write_size, b"\xff"), number)
        session.flash.finish()
        assert session.flash.read_by_stub(0x1800000, len(data)) == data
        assert session.flash.read_by_stub(0x800000, 0x100) == b"\xff" * 0x100
        session.flash.erase_region(0x1800000, 0x1000)
        assert session.flash.read_by_stub(0x1800000, 0x100) == b"\xff" * 0x100


@pytest.mark.parametrize("revision", ["0.1", "0.3", "0.4", "1.1"])
def test_security_info_comes_from_the_rom_that_the_revision_has(revision: str) -> None:
    with start("esp32c3", "esp32c3", f"&rev={revision}") as session:
        assert session.facts.security_info.chip_id == chips.get("esp32c3").image_chip_id


def test_every_chip_that_has_room_has_a_stub() -> None:
    built = {path.stem for path in stubs.DATA.glob("*.json")} - {"manifest"}
    assert built == {name for name, _ in STUBS}
