# SPDX-License-Identifier: Apache-2.0
"""Intel HEX: the same text and the same data as `intelhex`, and clear words for damaged files."""

from __future__ import annotations

import io
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intelhex import IntelHex

from esptool.errors import FatalError, ImageError
from esptool.image.hexfile import HexError, looks_like_hex, read_hex, write_hex
from esptool.image.regions import Region, join_adjacent
from esptool.image.sources import hex_regions, open_source, split_regions

STARTS = st.sampled_from([0, 1, 0x1000, 0xFFF0, 0xFFFF, 0x10000, 0x7FFF5, 0x3FFF0000])
SIZES = st.sampled_from([1, 2, 15, 16, 17, 255, 4000, 65536, 70001])
GAPS = st.sampled_from([0, 1, 7, 16, 4096, 70000])


@st.composite
def layouts(draw: st.DrawFn) -> list[Region]:
    """One to four regions in rising order, some of which touch."""
    at = draw(STARTS)
    regions = []
    for _ in range(draw(st.integers(1, 4))):
        seed, size = draw(st.integers(0, 255)), draw(SIZES)
        regions.append(Region(at, bytes((seed + i * 3 + i // 256) & 0xFF for i in range(size))))
        at += size + draw(GAPS)
    return regions


def text_of(regions: list[Region]) -> bytes:
    return b"".join(write_hex(regions))


@settings(deadline=None, max_examples=40)
@given(layouts())
def test_the_text_is_that_of_intelhex_and_reads_back_as_the_same_regions(
    regions: list[Region],
) -> None:
    other = IntelHex()
    for region in regions:
        other.frombytes(region.data, region.address)
    expected = io.StringIO()
    other.write_hex_file(expected)
    text = text_of(regions)
    assert text.decode() == expected.getvalue()
    assert read_hex(text) == join_adjacent(regions)
    assert read_hex(text.replace(b"\n", b"\r\n")) == join_adjacent(regions)


@pytest.mark.parametrize("byte_count", [1, 8, 32, 255])
def test_records_of_any_length_are_read(byte_count: int) -> None:
    data = bytes(i * 11 & 0xFF for i in range(70000))
    other = IntelHex()
    other.frombytes(data, 0x1230)
    text = io.StringIO()
    other.write_hex_file(text, byte_count=byte_count)
    assert read_hex(text.getvalue().encode()) == [Region(0x1230, data)]


def test_segment_addresses_start_records_blank_lines_and_order_are_understood() -> None:
    text = (
        b":020000021000EC\n:0400000001020304F2\n\n:0400000300003800C1\n"
        b":020000040001F9\r\n:02FFFE00AABB9C\n:00000001FF\nthis is not read"
    )
    assert read_hex(text) == [Region(0x10000, b"\1\2\3\4"), Region(0x1FFFE, b"\xaa\xbb")]


def test_bytes_given_twice_are_refused() -> None:
    text = text_of([Region(0, bytes(32))])
    again = text.split(b"\n")[1] + b"\n"
    with pytest.raises(ImageError, match="0x10 to 0x1f are given twice"):
        read_hex(text.replace(b":00000001FF", again + b":00000001FF"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.replace(b"07", b"08", 1), "check sum"),
        (lambda t: t.replace(b":10", b":11", 1), "length"),
        (lambda t: t.replace(b":10", b"10", 1), "':'"),
        (lambda t: t.replace(b"0F", b"ZF", 1), "hexadecimal"),
        (lambda t: t.replace(b"0F", b" F", 1), "hexadecimal"),
        (lambda t: t[:69], "length"),
        (lambda t: t[: t.index(b":00000001FF")], "end record"),
        (lambda t: t + t, "behind the end record"),
        (lambda t: b"; made by hand\n" + t, "':'"),
        (lambda t: t.replace(b":00000001FF", b":00000009F7"), "type 9"),
        (lambda t: t.replace(b":00000001FF", b":0100000400FB"), "address record"),
    ],
)
def test_a_damaged_line_is_named(change: object, says: str) -> None:
    text = text_of([Region(0, bytes(range(64)))])
    assert callable(change)
    with pytest.raises(HexError, match=says) as error:
        read_hex(change(text))
    assert error.value.line >= 1


@pytest.mark.parametrize("where", [0, 3000, 5000, 8190])
def test_one_wrong_digit_among_thousands_of_records_is_found(where: int) -> None:
    lines = text_of([Region(0, bytes(16 * 8192))]).split(b"\n")
    index = 1 + where + (1 + where // 4096 if where >= 4096 else 0) - (where >= 4096)
    lines[index] = lines[index][:20] + b"1" + lines[index][21:]
    with pytest.raises(HexError, match="check sum") as error:
        read_hex(b"\n".join(lines))
    assert error.value.line == index + 1


def test_a_file_of_nothing_but_gaps_is_read_in_linear_time() -> None:
    def took(count: int) -> float:
        regions = [Region(i * 0x20, b"x" * 16) for i in range(count)]
        text = text_of(regions)
        started = time.process_time()
        assert read_hex(text) == regions
        return time.process_time() - started

    # Ten times as many would take a hundred times as long. The best of some, as a machine that has
    # other work gives now more and now less in a second.
    assert min(took(5000) for _ in range(2)) < 40 * min(took(500) for _ in range(3))


@pytest.mark.parametrize(
    "data", [b"", b":", b":x", b":00", b"\xe9:", b":hello world\n", b":\xff\n", b"00:00:00:00:00"]
)
def test_what_merely_begins_with_a_colon_is_not_hex(data: bytes) -> None:
    assert not looks_like_hex(data)


def test_regions_that_overlap_cannot_be_written() -> None:
    with pytest.raises(ImageError, match="overlaps"):
        text_of([Region(0, bytes(20)), Region(10, bytes(20))])
    with pytest.raises(ImageError, match="32-bit"):
        text_of([Region(0xFFFFFFF0, bytes(17))])


def test_regions_come_out_sorted_and_apart() -> None:
    regions = [Region(0x20000, b"b"), Region(0, b"a"), Region(1, b"c")]
    found = read_hex(text_of(regions))
    assert found == [Region(0, b"ac"), Region(0x20000, b"b")]
    assert all(a.end < b.address for a, b in pairwise(found))


GOOD = text_of([Region(0x1000, bytes(range(64))), Region(0x20000, b"tail")])
REGIONS = read_hex(GOOD)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r", b" \t\n", b"\n\n", b"\n  \n", b"\r\r\n"])
def test_marks_line_ends_and_blank_lines_make_no_difference(mark: bytes, ending: bytes) -> None:
    text = mark + ending + GOOD.replace(b"\n", ending)
    assert looks_like_hex(text)
    assert read_hex(text) == REGIONS
    found = hex_regions(text, "any.bin")
    assert found is not None
    assert [(r.address, r.data) for r in found] == [(r.address, r.data) for r in REGIONS]


@pytest.mark.parametrize(
    "damage",
    [
        lambda t: t.replace(b"F", b"E", 1),  # in the first line
        lambda t: t[1:],
        lambda t: t[:5] + t[7:],
        lambda t: b"\xef\xbb\xbf" + t.replace(b"1", b"2", 1),
        lambda t: t.replace(b"F", b"E", 1).replace(b"\n", b"\r"),
        lambda t: t.replace(b"\n", b" "),
        lambda t: t[:-13],
        lambda t: t.decode().encode("utf-16"),
        lambda t: t.decode().encode("utf-16-le"),
        lambda t: b"# a comment\n" + t,
        lambda t: b"",
        lambda t: b":00000001FF\n",
        lambda t: b"\x00\x01 raw data",
    ],
)
@pytest.mark.parametrize("name", ["x.hex", "X.HEX", "y.ihx"])
def test_a_damaged_file_is_an_error_and_never_raw_data(damage: object, name: str) -> None:
    assert callable(damage)
    with pytest.raises(FatalError, match=name) as error:
        split_regions(damage(GOOD), 0, name)
    assert "\0" not in str(error.value)


@pytest.mark.parametrize(
    "damage",
    [
        lambda t: t.replace(b"F", b"E", 1),
        lambda t: t.replace(b"\n", b"\r").replace(b"F", b"E", 1),
        lambda t: b"\n" + t[:40] + t[41:],
        lambda t: b"\xef\xbb\xbf" + t[:-13],
    ],
)
def test_hex_text_under_any_name_is_not_taken_for_raw_data(damage: object) -> None:
    assert callable(damage)
    for name in (None, "x.bin", "x.txt"):
        with pytest.raises(FatalError, match="line"):
            split_regions(damage(GOOD), 0, name)


def test_a_large_file_is_judged_as_a_small_one_is(tmp_path: Path) -> None:
    path = tmp_path / "large.hex"
    path.write_bytes(b"\r\n" + text_of([Region(0, bytes(0x200000))]))
    data, name = open_source(path)
    assert isinstance(data, bytes)
    assert split_regions(data, 0, name)[0].data == bytes(0x200000)
