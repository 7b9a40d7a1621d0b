# SPDX-License-Identifier: Apache-2.0
"""Places in flash: the same bytes by name on a device, in a dump, a state file, or a partition."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import serial

from esptool import ops
from esptool.errors import FatalError
from esptool.ops.places import DeviceFlash, Flash, TableSource, opened_file
from esptool.storage import dump
from esptool.storage.partitions import PartitionTable
from esptool.virtual import state
from tests.ops.support import Log, board, firmware, session, url

CSV = """\
nvs,data,nvs,,24K
otadata,data,ota,,8K
factory,app,factory,,64K
storage,data,littlefs,,64K
"""
TABLE = PartitionTable.from_csv(CSV)
KINDS = ("stub", "rom", "public", "dump", "state")


def image() -> bytes:
    """A flash of 256 KiB in which every byte is known."""
    flash = bytearray(firmware(0x40000))
    flash[:0x1000] = b"\xff" * 0x1000
    flash[0x8000:0x9000] = TABLE.to_bytes().ljust(0x1000, b"\xff")
    return bytes(flash)


@contextmanager
def opened(kind: str, folder: Path, content: bytes, **source: object) -> Iterator[Flash]:
    """That content as a flash of the kind; what it holds at the end is in `folder/after`."""
    after = folder / "after"
    where = TableSource(**source)  # type: ignore[arg-type]
    if kind in ("dump", "state"):
        path = folder / "flash"
        if kind == "dump":
            path.write_bytes(content)
        else:
            with serial.serial_for_url(f"virtual://esp32s3?state={path}") as port:
                port.board.nor.cells.load(content)  # type: ignore[attr-defined]
        head = b"" if kind == "dump" else path.read_bytes()[: dump.STATE_HEADER]
        with opened_file(str(path), where) as flash:
            yield flash
        assert path.read_bytes().startswith(head)
        after.write_bytes(path.read_bytes()[len(head) :])
        return
    place = url("esp32s3", stub="public" if kind == "public" else "model")
    with session("esp32s3", stub=kind != "rom", place=place) as s:
        cells = board(place.partition("name=")[2].partition("&")[0]).nor.cells
        cells.load(content)
        ops.attach_flash(s)
        yield DeviceFlash(s, where, listener=Log())
        after.write_bytes(cells.read(0, len(content)))


@pytest.mark.parametrize("kind", KINDS)
def test_reads_and_writes_change_what_they_should_and_nothing_else(
    kind: str, tmp_path: Path
) -> None:
    content = image()
    wanted = bytearray(content)
    with opened(kind, tmp_path, content) as flash:
        assert flash.table == TABLE
        assert flash.table_offset == 0x8000
        nvs = flash.place("nvs")
        assert (nvs.offset, nvs.size) == (0x9000, 0x6000)
        assert nvs.read() == content[0x9000:0xF000]
        assert nvs.write(0x1FFE, b"abcd") == 2
        assert nvs.write(0x1FFE, b"abcd") == 0
        assert (
            nvs.read(0x1FFC, 8)
            == content[0x9000 + 0x1FFC : 0x9000 + 0x1FFE]
            + b"abcd"
            + (content[0x9000 + 0x2002 : 0x9000 + 0x2004])
        )
        tail = flash.place("storage[-4:]")
        assert tail.write(0, b"tail") == 1
        wanted[0x9000 + 0x1FFE : 0x9000 + 0x2002] = b"abcd"
        end = TABLE["storage"].end
        wanted[end - 4 : end] = b"tail"
        for offset, size in ((0x5FFF, 2), (-1, 1), (0x7000, 0)):
            with pytest.raises(FatalError, match="not within partition 'nvs'"):
                nvs.write(offset, bytes(size or 1))
        with pytest.raises(FatalError, match="Did you mean 'storage'"):
            flash.place("storge")
    assert (tmp_path / "after").read_bytes()[: len(wanted)] == wanted


@pytest.mark.parametrize("kind", ["stub", "rom", "dump"])
@pytest.mark.parametrize("offset", [0x9000, 0x10000, 0x20000])
def test_a_table_is_found_wherever_it_is(kind: str, offset: int, tmp_path: Path) -> None:
    content = bytearray(b"\xff" * 0x40000)
    table = PartitionTable.from_csv("nvs,data,nvs,,24K", table_offset=offset)
    content[offset : offset + 0xC00] = table.to_bytes()
    with opened(kind, tmp_path, bytes(content)) as flash:
        assert (flash.table_offset, flash.table) == (offset, table)


@pytest.mark.parametrize("kind", ["stub", "dump"])
def test_the_usual_place_comes_first_and_then_a_table_with_md5(kind: str, tmp_path: Path) -> None:
    content = bytearray(b"\xff" * 0x40000)
    plain = TABLE.to_bytes(md5=False)
    content[0xA000 : 0xA000 + 0xC00] = plain
    content[0xC000 : 0xC000 + 0xC00] = TABLE.to_bytes()
    with opened(kind, tmp_path, bytes(content)) as flash:
        assert flash.table_offset == 0xC000
    content[0x8000 : 0x8000 + 0xC00] = plain
    with opened(kind, tmp_path, bytes(content)) as flash:
        assert flash.table_offset == 0x8000


@pytest.mark.parametrize("kind", ["stub", "dump"])
def test_a_table_from_a_file_comes_first(kind: str, tmp_path: Path) -> None:
    csv = tmp_path / "own.csv"
    csv.write_text("here,data,fat,0x30000,4K\n")
    with opened(kind, tmp_path, image(), file=str(csv)) as flash:
        assert flash.place("here").read() == image()[0x30000:0x31000]


@pytest.mark.parametrize("kind", ["stub", "rom", "dump"])
@pytest.mark.parametrize(
    ("content", "source", "words"),
    [
        (b"\xff" * 0x40000, {}, "no partition table from 0x8000 to 0x20000"),
        (b"\0" * 0x40000, {}, "no partition table from 0x8000 to 0x20000"),
        (b"\xff" * 0x40000, {"offset": 0xA000}, "partition table"),
        (image()[:0x8005] + b"\0" + image()[0x8006:], {"offset": 0x8000}, "MD5"),
    ],
)
def test_no_table_is_one_clear_error(
    kind: str, content: bytes, source: dict[str, int], words: str, tmp_path: Path
) -> None:
    with opened(kind, tmp_path, content, **source) as flash:
        with pytest.raises(FatalError, match=words):
            _ = flash.table
        assert flash.read(0, 4) == content[:4]


def test_a_file_of_one_partition_goes_by_any_name(tmp_path: Path) -> None:
    path = tmp_path / "nvs.bin"
    path.write_bytes(bytes(0x3000))
    with opened_file(str(path)) as flash:
        for name in ("", "nvs"):
            place = flash.place(name)
            assert (place.offset, place.size) == (0, 0x3000)
        assert flash.place("nvs").write(1, b"\1") == 1
    assert path.read_bytes() == b"\0\1" + bytes(0x2FFE)


def test_the_format_of_state_files_is_the_one_that_the_virtual_chip_writes() -> None:
    assert (state._FORMAT, state._HEADER) == (dump.STATE_FORMAT, dump.STATE_HEADER)
