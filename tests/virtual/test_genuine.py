# SPDX-License-Identifier: Apache-2.0
"""The processor that executes a chip's own ROM, and how such a ROM is chosen.

The ROMs themselves are not here: `make test-roms` runs them where they are installed. These tests
run a ROM of a few instructions, and random ones that another engine has executed too.
"""

from __future__ import annotations

import hashlib
import random
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from esptool.virtual import silicon
from esptool.virtual.genuine.cache import Window
from esptool.virtual.genuine.core import Trap
from esptool.virtual.genuine.machine import Machine
from esptool.virtual.genuine.memory import Memory
from esptool.virtual.genuine.report import missing, register_name
from esptool.virtual.genuine.riscv import RiscV

BASE, RAM = 0x40000000, 0x3FC80000
UART = 0x60000000


class Nothing:
    """There are no peripherals."""

    def load(self, address: int, size: int, pc: int) -> int:
        raise AssertionError(f"load of {address:#x}")

    def store(self, address: int, size: int, value: int, pc: int) -> None:
        raise AssertionError(f"store to {address:#x}")

    def watched(self, address: int, size: int, pc: int) -> None:
        raise AssertionError(f"store to {address:#x}")

    def trapped(self, trap: Trap) -> None:
        raise AssertionError(trap)


def machine(code: bytes) -> RiscV:
    memory = Memory()
    memory.add(BASE, memoryview(bytearray(0x1000)), writable=False)
    memory.add(RAM, memoryview(bytearray(0x1000)), writable=True)
    memory.write(BASE, code)
    core = RiscV(memory, Nothing())
    core.restart(BASE)
    return core


def _program(rng: random.Random) -> bytes:
    """Straight on: arithmetic on a0-a7, loads and stores around sp."""
    out = []
    for _ in range(40):
        rd, rs1, rs2 = (rng.randrange(10, 18) for _ in range(3))
        kind = rng.randrange(8)
        pick = rng.randrange(5)
        if pick == 0:
            top = rng.choice((0, 1, 0x20 if kind in (0, 5) else 0))
            out.append(top << 25 | rs2 << 20 | rs1 << 15 | kind << 12 | rd << 7 | 0x33)
        elif pick == 1:
            imm = rng.randrange(32) if kind in (1, 5) else rng.randrange(4096)
            imm |= 0x400 if kind == 5 and rng.randrange(2) else 0
            out.append(imm << 20 | rs1 << 15 | kind << 12 | rd << 7 | 0x13)
        elif pick == 2:
            out.append(rng.randrange(1 << 20) << 12 | rd << 7 | rng.choice((0x37, 0x17)))
        elif pick == 3:
            kind = rng.choice((0, 1, 2, 4, 5))
            out.append(
                rng.randrange(-64, 60) << 20 & 0xFFF00000 | 2 << 15 | kind << 12 | rd << 7 | 3
            )
        else:
            imm = rng.randrange(-64, 60) & 0xFFF
            low, high = imm & 31, imm >> 5
            out.append(high << 25 | rs2 << 20 | 2 << 15 | rng.randrange(3) << 12 | low << 7 | 0x23)
    return struct.pack(f"<{len(out)}I", *out)


@pytest.mark.parametrize("seed", range(30))
def test_instructions_do_what_another_engine_does(seed: int) -> None:
    unicorn = pytest.importorskip("unicorn")
    consts = pytest.importorskip("unicorn.riscv_const")
    rng = random.Random(seed)
    code = _program(rng)
    start = [rng.choice((0, 1, 0x80000000, 0xFFFFFFFF, rng.getrandbits(32))) for _ in range(8)]
    core = machine(code + struct.pack("<I", 0x0000006F))
    other = unicorn.Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV32)
    other.mem_map(BASE, 0x1000)
    other.mem_map(RAM, 0x1000)
    other.mem_write(BASE, code)
    core.regs[2] = RAM + 0x800
    other.reg_write(consts.UC_RISCV_REG_SP, RAM + 0x800)
    for i, value in enumerate(start):
        core.regs[10 + i] = value
        other.reg_write(consts.UC_RISCV_REG_A0 + i, value)
    other.emu_start(BASE, BASE + len(code))
    core.run(60, waiting=lambda: False)
    assert core.regs[10:18] == [
        other.reg_read(consts.UC_RISCV_REG_A0 + i) & 0xFFFFFFFF for i in range(8)
    ]
    assert core.memory.read(RAM, 0x1000) == bytes(other.mem_read(RAM, 0x1000))


def test_an_instruction_in_ram_may_lie_on_two_pages() -> None:
    core = machine(b"")
    core.memory.add(RAM + 0x1000, memoryview(bytearray(0x1000)), writable=True)
    core.memory.write(RAM + 0xFFE, struct.pack("<II", 0x02A00513, 0x0000006F))  # li a0, 42; j .
    core.restart(RAM + 0xFFE)
    core.run(50, waiting=lambda: False)
    assert core.regs[10] == 42


def test_filling_memory_is_no_wait() -> None:
    code = (
        0x3FC80537,  # lui  a0, RAM
        0x000075B7,  # lui  a1, 7
        0x00050023,  # sb   zero, 0(a0)
        0xFFF58593,  # addi a1, a1, -1
        0xFE059CE3,  # bnez a1, -8
        0x0000006F,  # j    .
    )
    core = machine(struct.pack("<6I", *code))
    core.run(500_000, waiting=lambda: True)
    assert core.idle
    assert core.pc == BASE + 20
    assert core.regs[11] == 0


def elf(code: bytes, texts: bytes) -> bytes:
    """A file of one segment: code, and what it says at 0x800."""
    image = code.ljust(0x800, b"\0") + texts.ljust(0x800, b"\0")
    head = struct.pack(
        "<16sHHIIIIIHHHHHH",
        b"\x7fELF\x01\x01\x01", 2, 0xF3, 1, BASE, 52, 84, 0, 52, 32, 1, 40, 2, 1,
    )  # fmt: skip
    program = struct.pack("<8I", 1, 0x1000, BASE, BASE, len(image), len(image), 5, 4)
    sections = bytes(40) + struct.pack("<10I", 1, 3, 0, 0, 0x200, 16, 0, 0, 1, 0)
    file = (head + program + sections).ljust(0x200, b"\0") + b"\0.shstrtab\0".ljust(16, b"\0")
    return file.ljust(0x1000, b"\0") + image


#: Prints the byte at 0x800, then echoes: `lui t0, UART; lui t1, BASE; lbu t2, 0x7FF(t1+1)...`.
ECHO = struct.pack(
    "<11I",
    0x600002B7,  # lui  t0, 0x60000
    0x40001337,  # lui  t1, 0x40001
    0x80034383,  # lbu  t2, -0x800(t1)
    0x00728023,  # sb   t2, 0(t0)
    0x01C2A383,  # lw   t2, 0x1C(t0)   status
    0x3FF3F393,  # andi t2, t2, 0x3FF
    0xFE038CE3,  # beqz t2, -8
    0x0002A383,  # lw   t2, 0(t0)      fetch
    0x00138393,  # addi t2, t2, 1
    0x0072A023,  # sw   t2, 0(t0)
    0xFE9FF06F,  # j    -24
)


@pytest.fixture
def rom(tmp_path: Path) -> Path:
    path = tmp_path / "esp32c3_rev3_rom.elf"
    path.write_bytes(elf(ECHO, b"R\0esp32c3-api1-20210207\0"))
    return path


def test_a_rom_file_is_executed_from_its_entry(rom: Path) -> None:
    with serial.serial_for_url(f"virtual://esp32c3?rom={rom}", timeout=1) as port:
        port.baudrate = 115200
        port.board.soc.baud = 115200  # type: ignore[attr-defined]
        assert port.read(1) == b"R"
        port.write(b"HAL")
        assert port.read(3) == b"IBM"
        machine = port.board.soc.machine  # type: ignore[attr-defined]
        assert machine.core.idle


def test_a_chip_that_resets_itself_at_once_goes_on_doing_so(rom: Path) -> None:
    code = ECHO[:16] + struct.pack(
        "<4I",
        0x60008E37,  # lui  t3, RTC_CNTL
        0x80000EB7,  # lui  t4, 0x80000
        0x01DE2023,  # sw   t4, 0(t3)
        0x0000006F,  # j    .
    )
    rom.write_bytes(elf(code, b"R\0esp32c3-api1-20210207\0"))
    with serial.serial_for_url(f"virtual://esp32c3?rom={rom}", timeout=30) as port:
        assert port.read(30) == b"R" * 30


def test_what_was_sent_before_another_rate_was_sent_at_the_one_before(rom: Path) -> None:
    code = ECHO[:12] + struct.pack(
        "<7I",
        0x15B00E13,  # li   t3, 347
        0x01C2AA23,  # sw   t3, 0x14(t0)    divider
        0x00728023,  # sb   t2, 0(t0)
        0x05600E13,  # li   t3, 86
        0x01C2AA23,  # sw   t3, 0x14(t0)
        0x00728023,  # sb   t2, 0(t0)
        0x0000006F,  # j    .
    )
    rom.write_bytes(elf(code, b"R\0esp32c3-api1-20210207\0"))
    with serial.serial_for_url(f"virtual://esp32c3?rom={rom}", baudrate=115200) as port:
        heard = port.board.take()  # type: ignore[attr-defined]
    assert heard[:1] == b"R"
    assert heard[1:]
    assert b"R" not in heard[1:]


#: Looks for a host over USB-Serial/JTAG: throws away what is there, pauses, and echoes a byte.
PAUSES = struct.pack(
    "<20I",
    0x600432B7,  # lui   t0, USB_SERIAL_JTAG
    0x0042A383,  # lw    t2, 4(t0)      is there a byte
    0x0043F393,  # andi  t2, t2, 4
    0x00038663,  # beqz  t2, +12
    0x0002A383,  # lw    t2, 0(t0)
    0xFF1FF06F,  # j     -16
    0xC0002E73,  # csrr  t3, cycle
    0x0000AEB7,  # lui   t4, 10
    0xC0002F73,  # csrr  t5, cycle
    0x41CF0F33,  # sub   t5, t5, t3
    0xFFDF6CE3,  # bltu  t5, t4, -8
    0x0042A383,  # lw    t2, 4(t0)
    0x0043F393,  # andi  t2, t2, 4
    0xFC0388E3,  # beqz  t2, -48
    0x0002A383,  # lw    t2, 0(t0)
    0x00138393,  # addi  t2, t2, 1
    0x0072A023,  # sw    t2, 0(t0)
    0x00100393,  # li    t2, 1
    0x0072A223,  # sw    t2, 4(t0)      send the packet
    0xFB9FF06F,  # j     -72
)


def test_bytes_over_usb_come_while_a_loader_pauses(rom: Path) -> None:
    rom.write_bytes(elf(PAUSES, b"R\0esp32c3-api1-20210207\0"))
    with serial.serial_for_url(f"virtual://esp32c3?rom={rom}&link=usb-jtag", timeout=30) as port:
        for byte in b"HAL":
            port.write(bytes((byte,)))
            assert port.read(1) == bytes((byte + 1,))


MISSES = struct.pack(
    "<12I",
    0x600002B7,  # lui  t0, UART
    0x600C0337,  # lui  t1, SYSTEM
    0x01032383,  # lw   t2, 0x10(t1)
    0x01C2A383,  # lw   t2, 0x1C(t0), which is modelled
    0x00732023,  # sw   t2, 0(t1)
    0x00430313,  # addi t1, t1, 4
    0x00837E13,  # andi t3, t1, 8
    0xFE0E0AE3,  # beqz t3, -12
    0x0002A023,  # sw   zero, 0(t0)
    0x0002A023,  # sw   zero, 0(t0)
    0x0002A023,  # sw   zero, 0(t0)
    0x0000006F,  # j    .
)


def test_registers_that_are_only_storage_are_named(rom: Path) -> None:
    rom.write_bytes(elf(MISSES, b"R\0esp32c3-api1-20210207\0"))
    with serial.serial_for_url(f"virtual://esp32c3?rom={rom}") as port:
        rows = [re.split("  +", row) for row in missing(port.board.soc.machine)]  # type: ignore[attr-defined]
    assert rows == [
        ["address", "register", "loads", "stores", "functions"],
        [
            "0x600c0000 to 0x600c0004",
            "SYSTEM_CPU_PERI_CLK_EN to SYSTEM_CPU_PERI_RST_EN",
            "0",
            "1",
            f"{BASE + 16:#x}",
        ],
        ["0x600c0010", "SYSTEM_PERIP_CLK_EN0", "1", "0", f"{BASE + 8:#x}"],
    ]
    shape = silicon.of("esp32c3").shape
    assert shape is not None
    # One that no ROM has touched so far is named by its block.
    assert register_name(shape, 0x600C0FF0) == "SYSTEM+0xff0"
    assert register_name(shape, 0x70000000) == ""


def test_registers_are_named_when_a_served_chip_ends(rom: Path) -> None:
    rom.write_bytes(elf(MISSES, b"R\0esp32c3-api1-20210207\0"))
    done = subprocess.run(
        [sys.executable, "-m", "esptool.cli.virtual_chip", "esp32c3", f"rom={rom}", "--missing",
         "--pty", "fault=drop:2"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "only storage here:" in done.stdout
    assert re.search(r"0x600c0010 +SYSTEM_PERIP_CLK_EN0 +1 +0 ", done.stdout)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("rev=v1.1", "is the ROM of ESP32-C3 from v0.3 on, and no longer that of v1.1"),
        ("rev=v0.2", "is the ROM of ESP32-C3 from v0.3 on, not of v0.2"),
        ("timing=virtual", "knows no timing but 'fast'"),
    ],
)
def test_a_rom_has_to_fit_the_board(rom: Path, query: str, said: str) -> None:
    with pytest.raises(serial.SerialException) as caught:
        serial.serial_for_url(f"virtual://esp32c3?rom={rom}&{query}")
    assert said in str(caught.value)


def test_a_rom_of_another_chip_and_files_that_are_none_are_refused(
    rom: Path, tmp_path: Path
) -> None:
    junk = tmp_path / "junk.elf"
    junk.write_bytes(b"\x7fELF" + bytes(30))
    text = tmp_path / "text"
    text.write_text("no ROM")
    for url, said in (
        (f"virtual://esp32c6?rom={rom}", "is a ROM of esp32c3, not of esp32c6"),
        (f"virtual://esp32c3?rom={junk}", "is a damaged ELF file"),
        (f"virtual://esp32c3?rom={text}", "neither an ELF file nor an image"),
        (f"virtual://esp32c3?rom={tmp_path / 'none'}", "cannot be read"),
        (f"virtual://esp32h4?rom={rom}", "cannot run its own ROM"),
    ):
        with pytest.raises(serial.SerialException) as caught:
            serial.serial_for_url(url)
        assert said in str(caught.value)


def test_auto_looks_in_the_named_folder_and_in_the_tools_folder(
    rom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESPTOOL_ROM_DIR", str(rom.parent))
    with serial.serial_for_url("virtual://esp32c3?rom=auto") as port:
        assert port.board.soc.machine.rom.path == rom  # type: ignore[attr-defined]
    monkeypatch.delenv("ESPTOOL_ROM_DIR")
    tools = tmp_path / "tools" / "esp-rom-elfs" / "20241011"
    tools.mkdir(parents=True)
    monkeypatch.setenv("IDF_TOOLS_PATH", str(tmp_path))
    with pytest.raises(serial.SerialException, match=r"No ROM of ESP32-C3 v0\.4"):
        serial.serial_for_url("virtual://esp32c3?rom=auto")
    moved = tools / rom.name
    rom.rename(moved)
    with serial.serial_for_url("virtual://esp32c3?rom=auto") as port:
        assert port.board.soc.machine.rom.path == moved  # type: ignore[attr-defined]


def _store(machine: Machine, address: int, *values: int) -> None:
    for i, value in enumerate(values):
        machine.store(address + 4 * i, 4, value, BASE)


@pytest.fixture
def c3(rom: Path) -> Iterator[Machine]:
    with serial.serial_for_url(f"virtual://esp32c3?rom={rom}") as port:
        port.board.nor.cells.load(bytes(0x10000) + b"\x11\x22\x33\x44")  # type: ignore[attr-defined]
        yield port.board.soc.machine  # type: ignore[attr-defined]


def test_flash_is_seen_through_the_pages_that_are_mapped(c3: Machine) -> None:
    _store(c3, 0x600C5000, 0x100, 0, 1)
    assert c3.load(0x3C020001, 2, BASE) == 0x3322
    assert c3.load(0x42020000, 4, BASE) == 0x44332211
    assert c3.load(0x3C010000, 4, BASE) == 0
    # The entry says that nothing is there.
    _store(c3, 0x600C5000, 0x101)
    assert c3.load(0x3C000000, 4, BASE) == 0
    assert not [note for note in c3.soc.notes if "where nothing is" in note]


def test_entries_of_a_table_that_is_reached_by_number_and_smaller_pages() -> None:
    shape = silicon.of("esp32c6").shape
    assert shape is not None
    assert shape.mmu is not None
    size = [0]
    window = Window(
        shape.mmu,
        [(0x42000000, 0x43000000)],
        lambda _: size[0],
        lambda at, count: bytes([at >> 12]) * count,
    )
    window.table.write(0x80, 3)
    window.table.write(0x7C, 0x202)
    assert window.table.read(0x7C) == 0x202
    assert window.load(0x42030000, 1) == 0x20
    size[0] = 2 << 3
    assert window.load(0x4200C000, 1) == 0x8
    assert window.load(0x42030000, 1) == 0
    assert window.load(0x40000000, 1) is None


def test_a_window_begins_at_an_entry_of_its_own() -> None:
    shape = silicon.of("esp32").shape
    assert shape is not None
    assert shape.mmu is not None
    window = Window(shape.mmu, [], lambda _: 0, lambda at, count: bytes([at >> 16]) * count)
    for entry, page in ((1, 5), (77, 6)):
        window.table.write(4 * entry, page)
    assert window.load(0x3F410000, 1) == 5
    assert window.load(0x400D0004, 1) == 6
    # Entries of 0x100 and more show nothing.
    window.table.write(4, 0x105)
    assert window.load(0x3F410000, 1) == 0
    assert window.load(0x3F000000, 1) is None


def test_random_words_differ_and_repeat_with_the_seed(rom: Path) -> None:
    found = []
    for seed in (1, 1, 2):
        with serial.serial_for_url(f"virtual://esp32c3?rom={rom}&seed={seed}") as port:
            machine = port.board.soc.machine  # type: ignore[attr-defined]
            found.append([machine.load(0x600260B0, 4, BASE) for _ in range(8)])
            assert 0x600260B0 not in machine.missing
    assert len(set(found[0])) == 8
    assert found[0] == found[1] != found[2]


def test_a_frozen_cache_is_done_as_long_as_it_is_frozen(c3: Machine) -> None:
    _store(c3, 0x600C40CC, 1)
    assert c3.load(0x600C40CC, 4, BASE) == 5
    _store(c3, 0x600C40CC, 0)
    assert c3.load(0x600C40CC, 4, BASE) == 0


@pytest.mark.parametrize("mode", ["sha1", "sha224", "sha256"])
def test_the_accelerator_computes_hashes(c3: Machine, mode: str) -> None:
    message = bytes(range(150))
    padded = message + b"\x80" + bytes(-(len(message) + 9) % 64)
    padded += struct.pack(">Q", 8 * len(message))
    sha = 0x6003B000
    _store(c3, sha, ("sha1", "sha224", "sha256").index(mode))
    for at in range(0, len(padded), 64):
        _store(c3, sha + 0x80, *struct.unpack_from("<16I", padded, at))
        _store(c3, sha + (0x14 if at else 0x10), 1)
    expected = hashlib.new(mode, message).digest()
    found = [c3.load(sha + 0x40 + at, 4, BASE) for at in range(0, len(expected), 4)]
    assert struct.pack(f"<{len(found)}I", *found) == expected
