# SPDX-License-Identifier: Apache-2.0
"""Files too large to be held in memory: written, compared and refused as small ones are."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from esptool import ops
from esptool.chips.nor import SECTOR
from esptool.device import Session
from esptool.errors import FatalError, ImageError
from esptool.events import Event, Progress
from esptool.image.app import patch_flash_params
from esptool.image.content import CHUNK, FileContent
from esptool.transfer import segments as segments_module
from tests.image.test_image_info import small_image
from tests.ops.support import Log, board, firmware, placeholder, session, url

KB = 1024
SIZE = CHUNK + 300 * KB + 6
WORDS = firmware(SIZE, 5)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large.bin"
    path.write_bytes(WORDS)
    return path


def write(
    s: Session, source: Any, address: int = 0x20000, log: Log | None = None, **options: Any
) -> ops.WriteResult:
    regions = ops.load_regions([(address, source)])
    [result] = ops.write_flash(s, regions, ops.WriteOptions(**options), listener=log)
    return result


def flash(name: str, address: int, size: int) -> bytes:
    return bytes(board(name).nor.cells.read(address, size))


@pytest.mark.parametrize("side", ["model", "public", "rom"])
@pytest.mark.parametrize(
    ("address", "compress"), [(0x20000, True), (0x20104, True), (0x20000, False)]
)
def test_a_large_file_is_written_a_chunk_at_a_time(
    side: str,
    address: int,
    compress: bool,
    large: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads: list[int] = []
    kept: list[int] = []
    read = FileContent.read

    def spy(content: FileContent, start: int, size: int) -> bytes:
        reads.append(size)
        kept.append(sum(len(data) for data in segments_module._results))
        return read(content, start, size)

    monkeypatch.setattr(FileContent, "read", spy)
    log = Log()
    name = f"large-{side}-{address}-{compress}"
    place = url("esp32s3", stub="public" if side == "public" else "model", flash="8MB", name=name)
    with session("esp32s3", stub=side != "rom", place=place) as s:
        ops.attach_flash(s)
        params = ops.FlashParams(size="8MB")
        result = write(s, str(large), address, log, compress=compress, params=params)
        assert result.verified
        assert flash(name, address, SIZE) == WORDS
    assert max(reads) <= CHUNK
    assert max(kept) <= 2 * CHUNK
    assert "Hash of data verified." in log.text
    # In whole words; a ROM erases and writes from a sector's start.
    padded = SIZE + 2 + (address % SECTOR if side == "rom" else 0)
    if compress:
        told = re.search(rf"Compressed {padded} bytes to (\d+)\.\.\.", log.text)
        assert told
        assert int(told[1]) == result.sent
        assert f"Wrote {padded} bytes ({told[1]} compressed) at {address:#010x} in" in log.text
    else:
        assert f"Wrote {padded} bytes at {address:#010x} in" in log.text


def test_only_what_changed_in_a_large_file_is_sent(large: Path) -> None:
    changed = bytearray(WORDS)
    changed[CHUNK + 99] ^= 0x55
    changed[5 * SECTOR] ^= 0x55
    with session("esp32s3", stub=True, flash="8MB", name="large-delta") as s:
        ops.attach_flash(s)
        write(s, str(large))
        large.write_bytes(changed)
        regions = ops.load_regions([(0x20000, str(large))])
        plan = ops.decide_plan(s, ops.plan_write(s, regions))
        log = Log()
        result = write(s, str(large), log=log)
        assert result.action == "delta"
        assert 0 < result.sent <= 4 * SECTOR
        assert plan.line_bytes == result.sent
        assert "1098 of 1100 sectors are in flash already." in log.text
        assert flash("large-delta", 0x20000, SIZE) == changed
        assert write(s, str(large)).sent == 0
        ops.verify_flash(s, regions)


def test_a_dry_run_of_a_large_file_counts_what_a_write_sends(large: Path) -> None:
    with session("esp32s3", stub=True, flash="8MB") as s:
        ops.attach_flash(s)
        regions = ops.load_regions([(0x20000, str(large))])
        plan = ops.decide_plan(s, ops.plan_write(s, regions))
        assert plan.to_json()["line_bytes"] == write(s, str(large)).sent


def test_a_lost_link_in_a_later_chunk_is_taken_up_again(large: Path) -> None:
    log = Log()
    fault = f"brownout:{0x20000 + CHUNK + 0x9000:#x}"
    with session("esp32s3", stub=True, flash="8MB", name="large-lost", fault=fault) as s:
        ops.attach_flash(s)
        assert write(s, str(large), log=log).verified
        assert flash("large-lost", 0x20000, SIZE) == WORDS
    assert "connecting to it again" in log.text


def test_an_error_in_a_chunk_says_that_all_behind_it_is_not_written(large: Path) -> None:
    with session("esp32s3", stub=True, flash="8MB", fault="brownout:0x20010") as s:
        ops.attach_flash(s)
        end = 0x20000 + SIZE + 2
        with pytest.raises(FatalError, match=f"to {end:#010x} is not written"):
            write(s, str(large), retries=0)


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def truncate(path: Path) -> None:
    os.truncate(path, CHUNK // 2)


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(CHUNK + 5)
        file.write(b"else")


@pytest.mark.parametrize("change", [grow, truncate, overwrite])
def test_a_file_that_changes_while_it_is_written_is_one_clear_error(
    change: Callable[[Path], None], large: Path
) -> None:
    def listen(event: Event) -> None:
        if isinstance(event, Progress) and event.done and not done:
            done.append(True)
            change(large)

    done: list[bool] = []
    with session("esp32s3", stub=True, flash="8MB") as s:
        ops.attach_flash(s)
        regions = ops.load_regions([(0x20000, str(large))])
        with pytest.raises(ImageError, match=r"large\.bin' changed while it was in use"):
            ops.write_flash(s, regions, listener=listen)


def test_a_file_may_be_replaced_while_it_is_written(large: Path) -> None:
    with session("esp32s3", stub=True, flash="8MB", name="large-replaced") as s:
        ops.attach_flash(s)
        regions = ops.load_regions([(0x20000, str(large))])
        other = large.with_suffix(".new")
        other.write_bytes(b"other")
        other.replace(large)
        ops.write_flash(s, regions)
        assert flash("large-replaced", 0x20000, SIZE) == WORDS


def test_an_open_file_is_written_from_where_it_stands_though_its_owner_closes_it(
    large: Path,
) -> None:
    with session("esp32s3", stub=True, flash="8MB", name="large-open") as s:
        ops.attach_flash(s)
        with large.open("rb") as file:
            file.seek(4096)
            regions = ops.load_regions([(0x20000, file)])
            assert file.tell() == 4096
        ops.write_flash(s, regions)
        assert flash("large-open", 0x20000, SIZE - 4096) == WORDS[4096:]
        # What is not a file is written as well.
        write(s, io.BytesIO(WORDS))
        write(s, WORDS)
        assert flash("large-open", 0x20000, SIZE) == WORDS


def test_flash_parameters_are_set_in_a_large_image_of_the_whole_flash(large: Path) -> None:
    image = small_image("esp32s3", flash_size="4MB")
    whole = image + WORDS[len(image) :]
    large.write_bytes(whole)
    params = ops.FlashParams(size="8MB", mode="dio")
    with session("esp32s3", stub=True, flash="8MB", name="large-params") as s:
        ops.attach_flash(s)
        log = Log()
        write(s, str(large), 0, log, params=params)
        wanted = patch_flash_params(whole, "esp32s3", "dio", "keep", "8MB")
        assert wanted != whole
        assert flash("large-params", 0, SIZE) == wanted
        ops.verify_flash(s, ops.load_regions([(0, str(large))]), params)
    assert "Flash parameters set to" in log.text
    assert "SHA digest in image updated." in log.text


def test_progress_of_a_large_file_counts_its_bytes_and_tells_the_time_left(large: Path) -> None:
    seen: list[tuple[float, Progress]] = []

    with session("esp32s3", timing="virtual", latency="1ms", part="W25Q64JV") as s:
        s.run_stub(placeholder(s.spec))
        s.power.change_baud(921600)
        ops.attach_flash(s)

        def listen(event: Event) -> None:
            if isinstance(event, Progress):
                seen.append((s.link.now(), event))

        ops.write_flash(s, ops.load_regions([(0x20000, str(large))]), listener=listen)
        end = s.link.now()
    done = [event.done for _, event in seen]
    assert done == sorted(done)
    assert done[-1] == seen[-1][1].total == SIZE + 2
    for share in (0.1, 0.5, 0.9):
        at, event = next((at, e) for at, e in seen if e.done >= share * SIZE)
        assert event.seconds_left == pytest.approx(end - at, rel=0.1, abs=0.2)
