# SPDX-License-Identifier: Apache-2.0
"""The transfer engine with our stub's extensions: windows, delta, smart erase, lost lines."""

from __future__ import annotations

import io
import random
import zlib
from typing import Any

import pytest

from esptool import ops
from esptool.chips.nor import SECTOR
from esptool.device import Session
from esptool.device.requests import StubKind
from esptool.errors import FatalError
from tests.ops.support import Log, board, firmware, session

KB = 1024


@pytest.fixture(params=["esp32s3", "esp32c3", "esp32", "esp8266"])
def chip(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def write(s: Session, address: int, data: bytes, **options: Any) -> ops.WriteResult:
    """Write one region and give its result."""
    [result] = ops.write_flash(s, [ops.Region(address, data)], ops.WriteOptions(**options))
    return result


@pytest.mark.parametrize("compress", [True, False])
def test_data_are_written_and_read_back_through_windows(chip: str, compress: bool) -> None:
    data = firmware(300 * KB) + b"\xff" * 40 * KB + bytes(7)
    with session(chip, stub=True, flash="4MB") as s:
        assert s.stub_kind is StubKind.OURS
        ops.attach_flash(s)
        assert write(s, 0x10000, data, compress=compress).verified
        assert ops.read_flash(s, 0x10000, len(data)) == data
        assert ops.read_flash(s, 0x10003, 5000) == data[3:5003]


def test_few_requests_go_before_the_first_data_block() -> None:
    with session("esp32s3", stub=True, flash="4MB") as s:
        ops.attach_flash(s)
        ops.show_flash_info(s)
        identified = s.link.requests
        write(s, 0x10000, b"data", delta=False)
        # begin, one block, end, and the hash that verifies
        assert s.link.requests - 4 <= 20
        assert identified <= 16


@pytest.mark.parametrize("changed", [0, 1, 10, 100])
def test_only_changed_sectors_are_sent_without_an_old_file(changed: int) -> None:
    old = firmware(256 * SECTOR)
    new = bytearray(old)
    step = 256 // max(changed, 1)
    for sector in range(0, changed * step, step):
        new[sector * SECTOR + 99] ^= 0x55
    with session("esp32s3", stub=True, flash="4MB") as s:
        ops.attach_flash(s)
        full = write(s, 0, old).sent
        result = write(s, 0, bytes(new))
        assert result.verified
        assert ops.read_flash(s, 0, len(new)) == bytes(new)
        assert result.action == "delta" if changed <= 10 else True
        if changed <= 10:
            assert result.sent <= full * (changed + 1) // 40
        assert write(s, 0, bytes(new)).sent == 0


def test_a_different_file_is_sent_whole_after_a_few_samples() -> None:
    log = Log()
    with session("esp32s3", stub=True, flash="4MB", log=log) as s:
        ops.attach_flash(s)
        write(s, 0, firmware(64 * SECTOR, 1))
        result = write(s, 0, firmware(64 * SECTOR, 2))
        assert result.action == "written"
        assert ops.read_flash(s, 0, 64 * SECTOR) == firmware(64 * SECTOR, 2)
    assert "Compressed 262144 bytes to" in log.text


def test_a_sector_that_holds_its_own_checksum_is_seen_to_have_changed(chip: str) -> None:
    """As records in flash do: all such sectors have the same CRC-32."""

    def record(seed: int) -> bytes:
        body = random.Random(seed).randbytes(SECTOR - 4)
        return body + zlib.crc32(body).to_bytes(4, "little")

    old, new = record(1), record(2)
    assert zlib.crc32(old) == zlib.crc32(new)
    rest = firmware(20 * SECTOR)
    with session(chip, stub=True, flash="4MB") as s:
        ops.attach_flash(s)
        write(s, 0x10000, rest + old)
        result = write(s, 0x10000, rest + new)
        assert result.action == "delta"
        assert 0 < result.sent < 2 * SECTOR
        assert s.link.port.serial.board.nor.read(0x10000, 21 * SECTOR) == rest + new  # type: ignore[attr-defined]


def test_no_delta_sends_everything_again() -> None:
    data = firmware(20 * SECTOR)
    with session("esp32s3", stub=True, flash="4MB") as s:
        ops.attach_flash(s)
        assert write(s, 0, data).sent == write(s, 0, data, delta=False).sent


def test_the_bytes_around_an_unaligned_region_are_erased_with_and_without_delta() -> None:
    with session("esp32s3", stub=True, flash="4MB") as s:
        ops.attach_flash(s)
        for delta in (True, False):
            write(s, 0, bytes(3 * SECTOR))
            write(s, 0x104, b"hello!!!", delta=delta)
            found = ops.read_flash(s, 0, 2 * SECTOR)
            assert found == b"\xff" * 0x104 + b"hello!!!" + b"\xff" * (SECTOR - 0x10C) + bytes(
                SECTOR
            )


def test_only_used_sectors_are_erased() -> None:
    name = "ops-erase"
    with session("esp32s3", stub=True, flash="4MB", name=name) as s:
        ops.attach_flash(s)
        write(s, 0x20000, firmware(3 * SECTOR))
        before = board(name).nor.log["erase"]
        ops.erase_flash(s)
        assert board(name).nor.log["erase"] - before <= 4
        assert ops.read_flash(s, 0x20000, SECTOR) == b"\xff" * SECTOR


def test_a_read_goes_into_an_open_file_as_it_comes() -> None:
    data = firmware(3 * SECTOR)
    with session("esp32s3", stub=True, flash="4MB") as s:
        ops.attach_flash(s)
        write(s, 0x1000, data)
        target = io.BytesIO()
        assert ops.read_flash(s, 0x1000, len(data), target) is None
        assert target.getvalue() == data


@pytest.mark.parametrize("fault", ["lose:2e-4", "flip:2e-4", "repeat:2e-4", "drop:60000"])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_bad_line_costs_time_and_nothing_else(fault: str, seed: int) -> None:
    data = firmware(100 * KB)
    with session("esp32s3", stub=True, flash="4MB", fault=fault, seed=seed) as s:
        ops.attach_flash(s)
        assert write(s, 0x10000, data).verified
        assert ops.read_flash(s, 0x10000, len(data)) == data


def test_a_chip_that_resets_in_the_middle_is_taken_up_again() -> None:
    data = firmware(100 * KB)
    log = Log()
    with session("esp32c3", stub=True, flash="4MB", fault="brownout:0x1c000", log=log) as s:
        ops.attach_flash(s)
        assert write(s, 0x10000, data).verified
        assert s.stub_kind is StubKind.OURS
        assert ops.read_flash(s, 0x10000, len(data)) == data
    assert "connecting to it again" in log.text


def test_flash_that_cannot_be_programmed_is_named() -> None:
    with session("esp32s3", stub=True, flash="4MB", fault="program:0x13010") as s:
        ops.attach_flash(s)
        with pytest.raises(FatalError, match="0x00013000"):
            write(s, 0x10000, firmware(40 * KB))
