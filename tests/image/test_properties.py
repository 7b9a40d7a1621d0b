# SPDX-License-Identifier: Apache-2.0
"""What holds for all images and ELF files: they read back as built, and no bytes crash a reader."""

from __future__ import annotations

import resource
import time
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from esptool import chips
from esptool.errors import FatalError
from esptool.image import esp32, esp8266
from esptool.image.convert import ElfOptions, convert_elf
from esptool.image.elf import read_elf
from esptool.image.header import ExtendedHeader, Header, xor_checksum
from esptool.image.info import examine, find_images
from esptool.image.model import Segment
from esptool.image.reader import read_image, scan_image
from esptool.image.sources import hex_regions
from tests.image.elfmaker import XTENSA, Elf, Part, pattern

U8, U16, U32 = st.integers(0, 255), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
NIBBLE = st.integers(0, 15)
WORDS = st.binary(max_size=200).map(lambda b: b + bytes(-len(b) % 4))
FAMILY = st.sampled_from([chips.get(k) for k in chips.KEYS if k != "esp8266"])
HEADERS = st.builds(Header, st.just(0), U8, U8, U32)
EXTENDED = st.builds(
    ExtendedHeader,
    chip_id=U16,
    min_rev=U8,
    min_rev_full=U16,
    max_rev_full=U16,
    wp_pin=U8,
    clk_drv=NIBBLE,
    q_drv=NIBBLE,
    d_drv=NIBBLE,
    cs_drv=NIBBLE,
    hd_drv=NIBBLE,
    wp_drv=NIBBLE,
    reserved=st.binary(min_size=4, max_size=4),
)
quick = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


@given(st.binary(max_size=9000), U8)
def test_the_folded_checksum_is_the_exclusive_or_of_all_bytes(data: bytes, seed: int) -> None:
    expected = seed
    for byte in data:
        expected ^= byte
    assert xor_checksum(data, seed) == expected


@given(HEADERS, EXTENDED, st.integers(0, 1))
def test_headers_read_back_as_packed(header: Header, extended: ExtendedHeader, digest: int) -> None:
    extended = replace(extended, append_digest=digest)
    data = header.pack() + extended.pack()
    assert Header.unpack(data) == header
    assert ExtendedHeader.unpack(data) == extended


@quick
@given(FAMILY, HEADERS, EXTENDED, st.data())
def test_an_image_reads_back_as_built(
    chip: chips.ChipSpec, header: Header, extended: ExtendedHeader, data: st.DataObject
) -> None:
    """Every byte of every segment is in the image once, at its address, in order of address."""
    page = data.draw(st.sampled_from(chip.image.mmu_page_sizes or (0x10000,)))
    low = chip.image.irom[0] & -page
    flash = [
        Segment(low + n * page + data.draw(st.integers(0, page // 8)) * 4, data.draw(WORDS))
        for n in data.draw(st.sets(st.integers(1, 4), max_size=3))
    ]
    ram = [
        Segment(0x10000000 + n * 0x1000, data.draw(WORDS))
        for n in data.draw(st.sets(st.integers(0, 8), max_size=3))
    ]
    layout = esp32.Esp32Layout(page=page, append_digest=data.draw(st.booleans()))
    image = esp32.build_esp32([*flash, *ram], chip, header, extended, layout)
    found = read_image(image, chip)
    assert found.checksum == found.calculate_checksum()
    assert found.stored_digest == found.calculated_digest
    assert found.length == len(image)
    assert replace(found.header, segment_count=0) == header
    assert found.extended == replace(extended, append_digest=int(layout.append_digest))

    memory: dict[int, int] = {}
    for segment in found.segments:
        if esp32.is_flash_mapped(chip, segment.addr):
            assert segment.file_offset is not None
            assert (segment.file_offset + 8 - segment.addr) % page == 0
        if segment.addr:
            memory.update(enumerate(segment.data, segment.addr))
    for segment in (*flash, *ram):
        held = bytes(memory.pop(a) for a in range(segment.addr, segment.end))
        assert held == segment.data
    assert not any(memory.values())  # what is left is the guard at the end of a page


@quick
@given(HEADERS, st.lists(WORDS, max_size=5), st.none() | st.binary(min_size=1, max_size=90))
def test_esp8266_images_read_back_as_built(
    header: Header, contents: list[bytes], irom: bytes | None
) -> None:
    chip = chips.get("esp8266")
    loaded = [Segment(0x40100000 + i * 0x400, c) for i, c in enumerate(contents)]
    flash = [] if irom is None else [Segment(0x40210000, irom + bytes(-len(irom) % 4))]
    one = esp8266.build_v1([*loaded, *flash], chip, header)
    found = read_image(one.main, chip)
    assert [(s.addr, s.data) for s in found.segments] == [(s.addr, s.data) for s in loaded]
    assert found.checksum == found.calculate_checksum()
    assert one.irom == (flash[0].data if flash else None)
    if flash:
        two = read_image(esp8266.build_v2([*loaded, *flash], chip, header), chip)
        assert two.segments[0].data.rstrip(b"\0") == flash[0].data.rstrip(b"\0")
        assert [s.data for s in two.segments[1:]] == contents
        assert two.checksum == two.calculate_checksum()


# --- hostile input -----------------------------------------------------------------------------


def _real_elf() -> bytes:
    return Elf(
        [
            Part(".iram0.text", 0x40080000, pattern(300)),
            Part(".dram0.data", 0x3FFB0000, pattern(500)),
            Part(".flash.rodata", 0x3F400020, pattern(900)),
            Part(".flash.text", 0x400D0020, pattern(700)),
        ],
        XTENSA,
    ).build()


ELF = _real_elf()
IMAGE = convert_elf(ELF, "esp32").data
IMAGE_V2 = convert_elf(
    Elf([Part(".i", 0x40210000, pattern(90)), Part(".t", 0x40100000, pattern(90))]).build(),
    "esp8266",
    ElfOptions(version=2),
).data


@st.composite
def mutated(draw: st.DrawFn, original: bytes) -> bytes:
    """The original with some bytes or words changed, cut off, repeated or put in."""
    data = bytearray(original)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        what = draw(st.integers(0, 4))
        if what == 0:
            data[at : at + 1] = bytes((draw(U8),))
        elif what == 1:
            word = draw(st.sampled_from([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFF8, 0x10000]))
            data[at & ~3 : (at & ~3) + 4] = word.to_bytes(4, "little")
        elif what == 2:
            del data[at:]
        elif what == 3:
            data[at:at] = data[at : at + draw(st.integers(0, 64))]
        else:
            data[at:at] = draw(st.binary(max_size=16))
    return bytes(data)


@settings(deadline=None, max_examples=250)
@given(mutated(ELF), st.sampled_from(["esp32", "esp32c6", "esp8266"]), st.booleans())
def test_any_bytes_give_an_image_of_an_elf_or_a_fatal_error(
    data: bytes, chip: str, segments: bool
) -> None:
    try:
        image = convert_elf(data, chip, ElfOptions(use_segments=segments)).data
    except FatalError:
        pass
    else:
        assert len(image) < 64 * (len(data) + 0x10000)


@settings(deadline=None, max_examples=250)
@given(mutated(IMAGE) | mutated(IMAGE_V2) | st.binary(max_size=300))
def test_any_bytes_give_a_description_of_an_image_or_a_fatal_error(data: bytes) -> None:
    for chip in (None, "esp32", "esp8266"):
        try:
            info = examine(data, chip)
        except FatalError:
            pass
        else:
            assert sum(len(s.data) for s in info.image.segments) <= len(data) + 4 * 255
    find_images(data)


@settings(deadline=None, max_examples=100)
@given(mutated(b":0400000001020304F2\n:02FFFE00AABB9C\n:00000001FF\n") | st.binary(max_size=100))
def test_any_bytes_give_regions_of_a_hex_file_or_a_fatal_error(data: bytes) -> None:
    try:
        regions = hex_regions(data)
    except FatalError:
        pass
    else:
        assert sum(len(r.data) for r in regions or ()) <= len(data)


def test_claims_of_gigabytes_cost_neither_time_nor_memory() -> None:
    image = IMAGE[:28] + b"\xff\xff\xff\xff" + IMAGE[32:]
    elf = Elf([Part(".a", 0x3FFB0000, b"1234", claimed=0xFFFFFFF0)]).build()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    assert scan_image(image, "esp32").fault is not None
    assert len(read_elf(elf).sections[0].data) < len(elf)
    assert time.process_time() - started < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_sixty_thousand_section_headers_do_not_take_their_square_in_time() -> None:
    elf = Elf([Part(f".s{i}", 0x3FFB0000 + i * 8, b"12345678") for i in range(3)]).build()
    header = bytearray(elf)
    table = int.from_bytes(elf[32:36], "little")
    row = elf[table + 40 : table + 80]

    def took(count: int) -> float:
        header[48:50] = count.to_bytes(2, "little")
        data = bytes(header) + row * count
        started = time.process_time()
        with pytest.raises(FatalError, match="segment count"):
            convert_elf(data, "esp32")
        return time.process_time() - started

    # Ten times as many would take a hundred times as long. The best of some, as a machine that has
    # other work gives now more and now less in a second.
    assert min(took(60000) for _ in range(2)) < 40 * min(took(6000) for _ in range(3))
