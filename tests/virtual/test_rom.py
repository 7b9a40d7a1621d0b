# SPDX-License-Identifier: Apache-2.0
"""The ROM loaders of all chips as seen from the wire, by a client written apart."""

from __future__ import annotations

import hashlib
import random
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esptool import chips
from esptool.protocol import slip
from esptool.virtual.framing import FrameReader, wrap
from tests.virtual.support import Client, frame

ALL = list(chips.KEYS)
WITH_FLASH_OPS = [k for k in ALL if k != "esp8266"]
WITH_SECURITY_INFO = [k for k in ALL if k not in ("esp8266", "esp32")]

# How each chip can be told: by the word at 0x40001000, or by the id in its security info.
MAGIC = {"esp8266": 0xFFF0C101, "esp32": 0x00F01D83, "esp32s2": 0x000007C6}
CHIP_IDS = {
    "esp32s3": 9, "esp32c3": 5, "esp32c2": 12, "esp32c6": 13, "esp32c61": 20, "esp32c5": 23,
    "esp32e22": 31, "esp32h2": 16, "esp32h21": 25, "esp32p4": 18, "esp32h4": 28, "esp32s31": 32,
}  # fmt: skip


def client(chip: str, **options: str) -> Client:
    rest = "".join(f"&{k}={v}" for k, v in options.items())
    return Client(f"virtual://{chip}?boot=download{rest}")


@pytest.mark.parametrize("chip", ALL)
def test_sync_is_answered_eight_times_with_a_value_that_is_not_a_stubs(chip: str) -> None:
    answers = client(chip).sync()
    assert len(answers) == 8
    status = 2 if chip == "esp8266" else 4
    for answer in answers:
        direction, op, length, value = struct.unpack_from("<BBHI", answer)
        assert (direction, op, length) == (1, 0x08, status)
        assert value != 0


@pytest.mark.parametrize("chip", ALL)
def test_a_chip_is_told_by_its_magic_word_or_its_id(chip: str) -> None:
    c = client(chip)
    c.sync()
    if chip in MAGIC:
        assert c.ask(0x0A, 0x40001000)[0] == MAGIC[chip]
    if chip in CHIP_IDS:
        info = c.ask(0x14)[1][:-4]
        assert len(info) == 20
        assert struct.unpack_from("<I", info, 12)[0] == CHIP_IDS[chip]
    if chip == "esp32s2":
        assert len(c.ask(0x14)[1][:-4]) == 12


@pytest.mark.parametrize("chip", ALL)
def test_an_unknown_command_is_refused_eight_times_with_reason_5(chip: str) -> None:
    c = client(chip)
    c.sync()
    answers = c.send(0xE0)
    assert len(answers) == 8
    assert all(a[8] != 0 and a[9] == 0x05 for a in answers)
    assert all(len(frame(a)) == (12 if chip == "esp8266" else 14) for a in answers)


@pytest.mark.parametrize("chip", ALL)
def test_memory_and_registers_keep_what_is_written_with_masks_and_in_chains(chip: str) -> None:
    c = client(chip)
    c.sync()
    base = next(r.start for r in c.board.silicon.memory if r.kind == "dram")
    words = (base, 0x11223344, 0xFFFFFFFF, 0, base, 0xAAAAAAAA, 0x0000FF00, 0)
    assert c.ask(0x09, *words)[1][0] == 0
    assert c.ask(0x0A, base)[0] == 0x1122AA44


@pytest.mark.parametrize("chip", ALL)
def test_flash_is_erased_by_begin_and_written_by_blocks(chip: str) -> None:
    c = client(chip)
    c.prepare_flash()
    c.board.nor.program(0, bytes(0x30000))
    data = random.randbytes(3 * 0x400)
    extra = (0,) if c.board.silicon.loader.encrypted_begin else ()
    assert c.ask(0x02, len(data), 3, 0x400, 0x10000, *extra)[1][0] == 0
    for number in range(3):
        block = data[0x400 * number : 0x400 * (number + 1)]
        assert c.block(0x03, block, number)[0] == 0
    flash = c.board.nor.read(0, 0x30000)
    assert flash[0x10000 : 0x10000 + len(data)] == data
    assert flash[0x10000 + len(data) : 0x11000] == b"\xff" * (0x1000 - len(data))
    assert flash[:0x10000] == bytes(0x10000)
    # ESP8266's ROM erases the sectors up to a block border twice over (its known bug).
    erased = 0x2000 if chip == "esp8266" else 0x1000
    assert flash[0x10000 + erased :] == bytes(0x20000 - erased)


@pytest.mark.parametrize(
    ("start", "sectors"), [(0, 1), (0, 20), (5, 7), (5, 30), (15, 2), (16, 16)]
)
def test_the_published_correction_of_esp8266_erase_sizes_erases_enough(
    start: int, sectors: int
) -> None:
    """Hosts ask for fewer sectors by a published formula; the ROM's bug makes it enough."""
    head = min(sectors, 16 - start % 16)
    asked = (sectors + 1) // 2 if sectors < 2 * head else sectors - head
    c = client("esp8266")
    c.sync()
    c.board.nor.program(0, bytes(0x100000))
    assert c.ask(0x02, asked * 0x1000, 1, 0x400, start * 0x1000)[1][0] == 0
    want = b"\xff" * (sectors * 0x1000)
    assert c.board.nor.read(start * 0x1000, sectors * 0x1000) == want


@pytest.mark.parametrize("chip", WITH_FLASH_OPS)
def test_deflated_data_md5_and_slow_reading(chip: str) -> None:
    c = client(chip)
    c.prepare_flash()
    data = b"firmware" * 3000
    packed = zlib.compress(data, 9)
    extra = (0,) if c.board.silicon.loader.encrypted_begin else ()
    assert c.ask(0x10, len(data), 1, 0x400, 0x1000, *extra)[1][0] == 0
    assert c.block(0x11, packed)[0] == 0
    body = c.ask(0x13, 0x1000, len(data), 0, 0)[1]
    assert body[:-4].decode() == hashlib.md5(data).hexdigest()
    body = c.ask(0x0E, 0x1008, 16)[1]
    assert len(body) == 64 + 4
    assert body[:16] == data[8:24]


@pytest.mark.parametrize("chip", WITH_SECURITY_INFO)
def test_secure_download_mode_leaves_few_commands(chip: str) -> None:
    c = client(chip, secure_download="1")
    assert len(c.sync()) == 8
    assert c.ask(0x14)[1][0] & 4
    for op in (0x0A, 0x09, 0x05, 0x13, 0x10, 0x0E):
        assert c.send(op, bytes(16))[0][8:10] == b"\x01\x05"
    c.prepare_flash()
    assert c.ask(0x02, 0x400, 1, 0x400, 0x1000, 0)[1][0] == 0
    assert c.block(0x03, b"x" * 0x400)[0] == 0
    assert c.board.nor.read(0x1000, 4) == b"xxxx"


def test_damaged_blocks_and_wrong_lengths_are_refused_with_their_reasons() -> None:
    c = client("esp32c3")
    c.prepare_flash()
    assert c.ask(0x03, 4, 0, 0, 0, data=b"abcd", check=0)[1][:2] == b"\x01\x05"
    c.ask(0x02, 0x400, 1, 0x400, 0, 0)
    assert c.ask(0x03, 4, 0, 0, 0, data=b"abcd", check=0)[1][:2] == b"\x01\x07"
    assert c.ask(0x03, 5, 1, 0, 0, data=b"abcd", check=0)[1][:2] == b"\x01\x05"
    assert c.ask(0x02, 0x1000, 4, 0x400, 0x400000, 0)[1][:2] == b"\x01\x06"
    c.ask(0x10, 0x1000, 1, 0x400, 0, 0)
    assert c.block(0x11, b"no zlib")[:2] == b"\x01\x0b"


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("esp32c3", b"\1\5"),
        ("esp32c2", b"\1\x64"),
        ("esp32c6", b"\1\5"),
        ("esp32c61", b"\0\0"),
        ("esp32p4", b"\0\0"),
        ("esp32s31", b"\0\0"),
    ],
)
def test_flash_data_that_nothing_has_announced(url: str, status: bytes) -> None:
    """As each genuine ROM answers; without flash attached nothing is written."""
    c = Client(f"virtual://{url}{'&' if '?' in url else '?'}boot=download")
    c.sync()
    assert c.block(0x03, b"x" * 0x400)[:2] == status
    assert c.board.nor.read(0, 0x400) == b"\xff" * 0x400


@pytest.mark.parametrize("chip", ALL)
def test_a_begin_is_of_just_its_length_and_at_a_sector(chip: str) -> None:
    """As the genuine ROMs of ESP8266, ESP32, S2, S3, C2, C3, C6 and P4 have it."""
    c = client(chip)
    c.sync()
    right = 4 if chip in ("esp8266", "esp32") else 5
    if chip != "esp8266":
        c.prepare_flash()
    for op in (0x02, 0x10) if chip != "esp8266" else (0x02,):
        for count in (3, 4, 5, 6):
            words = (0x400, 1, 0x400, 0x10000, 0, 0)[:count]
            status = c.ask(op, *words)[1][:2]
            assert status[0] == (count != right), count
            assert count == right or status[1] == 5
        for offset in (0x10004, 0x10100, 0x10FFC):
            assert c.ask(op, *(0x400, 1, 0x400, offset, 0)[:right])[1][:2] == b"\1\6"


@pytest.mark.parametrize("chip", ALL)
def test_a_sync_without_data_is_answered_too(chip: str) -> None:
    c = client(chip)
    c.sync()
    assert [answer[8] for answer in c.send(0x08)] == [0] * 8


@pytest.mark.parametrize("chip", ALL)
def test_a_request_that_is_too_short_is_filled_up_by_the_one_before(chip: str) -> None:
    """As all ROMs that could be run answered (`make test-roms`)."""
    c = client(chip)
    c.sync()
    ram = next(r.start for r in c.board.silicon.memory if r.kind == "dram") + 0x10000
    c.ask(0x09, ram, 0x11223344, 0xFFFFFFFF, 0)
    assert c.ask(0x0A, ram)[0] == c.ask(0x0A)[0] == 0x11223344
    assert c.ask(0x08)[0] == ram
    assert c.ask(0x08, data=b"\x07\x07")[0] == ram & ~0xFFFF | 0x0707
    assert c.ask(0x06, 1, 0, 0)[1][:2] == b"\x01\x05"  # too long
    for words in ((1, 0), (0x80, 0), (1,), ()):
        assert c.ask(0x06, *words)[1][0] == 0
        assert c.board.in_loader
    assert c.ask(0x0B, 0, 4 << 20, 0, 0, 0, 0, 0)[1][:2] == b"\x01\x05"
    c.ask(0x0A, 0x40000000)  # its lowest byte is 0: now an end without data does not stay
    c.send(0x06)
    assert not c.board.in_loader


@pytest.mark.parametrize("chip", ALL)
def test_blocks_are_counted_also_when_damaged_as_the_genuine_loader_does(chip: str) -> None:
    """The statuses are those that the ROMs of ESP32 and ESP32-C3 gave under full emulation."""
    c = client(chip)
    c.sync()
    base = next(r.start for r in c.board.silicon.memory if r.kind == "dram")
    assert c.ask(0x05, 8, 2, 4, base)[1][:2] == b"\x00\x00"
    assert c.ask(0x07, 4, 0, 0, 0, data=b"abcd", check=0)[1][:2] == b"\x01\x07"
    assert c.block(0x07, b"abcd", 0)[:2] == b"\x01\x05"  # it counts as having come
    assert c.block(0x07, b"efgh", 1)[:2] == b"\x00\x05"  # good, but the reason stays
    assert c.ask(0x05, 8, 2, 4, base)[1][0] == 0
    assert c.block(0x07, b"abcd", 0)[0] == 0
    assert c.block(0x07, b"abcd", 0)[0] == 1
    assert c.block(0x07, b"efgh", 1)[0] == 0
    assert c.board.soc.bus.read(base, 8) == b"abcdefgh"


def test_an_answer_keeps_what_it_does_not_set_of_the_one_before() -> None:
    c = client("esp32")
    c.sync()
    word, status = c.ask(0x0A, 0x40001000)
    assert (word, status) == (0x00F01D83, bytes(4))
    [refusal] = c.send(0xD0)
    assert refusal[:10] == b"\x01\x0a\x04\x00\x83\x1d\xf0\x00\x01\x05"
    assert c.ask(0x05, 4, 1, 4, 0x3FFD8000) == (word, b"\x00\x05\x00\x00")


def test_requests_are_hardly_checked_as_the_genuine_loaders_do() -> None:
    """Answers of the ROMs of C2, C3, C6 and P4, executed (`make test-roms`)."""
    c = client("esp32c3")
    c.sync()
    base = next(r.start for r in c.board.silicon.memory if r.kind == "dram")
    c.send(0x77)  # a reason that is kept
    assert c.ask(0x08, 0x20120701)[0] == 0x20120701  # any SYNC will do
    assert c.ask(0x09, base, 5, 0xFFFFFFFF, 0) == (0x20120701, bytes(4))
    assert c.ask(0x09, base, 1, 1)[1][:2] == b"\0\0"  # no whole record: nothing is written
    assert c.ask(0x0A, base) == (5, bytes(4))
    assert c.send(0x0A)[0][8] == 0
    c.prepare_flash()
    for op in (0x03, 0x07, 0x11):  # blocks without a begin
        assert c.ask(op, 4, 0, 0, 0, data=b"abcd", check=0)[1][:2] == b"\x01\x05"
    assert c.ask(0x02, 0x400, 1, 0x400, 0, 0)[1][:2] == b"\0\x05"  # the reason is kept
    assert c.ask(0x13, 0, 16, 0, 0)[1][-4:] == bytes(4)  # and forgotten
    assert len(c.ask(0x13, 0x3FFFFF, 16, 0, 0)[1]) == 36
    assert c.ask(0x13, 0x3FFFFF, 16, 0, 0)[1][-4:-2] == b"\x01\x09"
    assert c.ask(0x0E, 0, 65)[1][-4:-2] == b"\x01\x0a"
    # A block may be followed by more than it says.
    c.ask(0x05, 4, 1, 4, base)
    assert c.ask(0x07, 4, 0, 0, 0, data=b"abcdXY", check=0xEF ^ 4)[1][0] == 0
    assert c.board.soc.bus.read(base, 6) == b"abcd\0\0"


@pytest.mark.parametrize(
    ("chip", "rev", "spare", "eco"),
    [("esp32c3", "v0.2", 12, 0), ("esp32c3", "v0.4", 12, 3), ("esp32c3", "v1.1", 12, 7),
     ("esp32c2", "v1.0", 0, 1), ("esp32c61", "v1.0", 16, 3), ("esp32p4", "v3.0", 19, 5),
     ("esp32s3", "v0.2", 12, 0), ("esp32s31", "v0.0", 20, 0)],
)  # fmt: skip
def test_security_information_ends_with_what_the_genuine_rom_says(
    chip: str, rev: str, spare: int, eco: int
) -> None:
    c = client(chip, rev=rev)
    c.sync()
    info = c.ask(0x14)[1]
    assert (info[11], info[16]) == (spare, eco)


def test_esp8266_takes_parameters_of_the_flash_as_its_only_later_command() -> None:
    c = client("esp8266")
    c.sync()
    assert c.ask(0x0B, 0, 4 << 20, 0x10000, 0x1000, 0x100, 0xFFFF)[1][0] == 0
    assert c.ask(0x0B)[1][0] == 1


def test_flash_that_was_not_attached_cannot_be_used() -> None:
    c = client("esp32s3")
    c.sync()
    assert c.ask(0x02, 0x400, 1, 0x400, 0, 0)[1][0] == 1
    c.prepare_flash()
    assert c.ask(0x02, 0x400, 1, 0x400, 0, 0)[1][0] == 0


@given(st.binary(max_size=2000))
@settings(max_examples=50, deadline=None)
def test_any_bytes_leave_a_loader_that_still_syncs(noise: bytes) -> None:
    c = client("esp32c3")
    c.port.timeout = 0
    c.sync()
    c.port.write(noise + b"\xc0\xc0")
    c.port.read(1 << 20)
    assert len(c.sync()) >= 8


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=5), st.integers(1, 50))
@settings(max_examples=100)
def test_the_chips_slip_and_the_hosts_agree_whole_or_in_pieces(
    bodies: list[bytes], step: int
) -> None:
    wire = b"".join(slip.encode(b) for b in bodies)
    assert wire == b"".join(map(wrap, bodies)) == b"".join(map(frame, bodies))
    reader = FrameReader()
    got = [f for at in range(0, len(wire), step) for f in reader.feed(wire[at : at + step])]
    assert got == bodies


@pytest.mark.parametrize(
    ("chip", "download", "flash"),
    [
        ("esp32c3", "boot:0x4 (DOWNLOAD(USB/UART0/1))", "boot:0xc (SPI_FAST_FLASH_BOOT)"),
        ("esp32c5", "boot:0x8 (DOWNLOAD(UART0/USB))", "boot:0x18 (SPI_FAST_FLASH_BOOT)"),
        ("esp32c6", "boot:0x4 (DOWNLOAD(USB/UART0/SDIO_FEI_FEO))", "boot:0xc ("),
        ("esp32s31", "boot:0x8 (DOWNLOAD(USB/UART0/SPI))", "boot:0x18 (SPI_FAST_FLASH_BOOT)"),
    ],
)
def test_the_boot_log_shows_the_straps_as_the_genuine_rom_reads_them(
    chip: str, download: str, flash: str
) -> None:
    for boot, wanted in (("download", download), ("flash", flash)):
        log = client(chip, boot=boot).board.take().decode("latin-1")
        assert wanted in log
