# SPDX-License-Identifier: Apache-2.0
"""The main job on every chip, through its ROM loader: write, verify, read back, erase."""

from __future__ import annotations

import pytest

from esptool import chips, ops
from esptool.errors import FatalError, UnsupportedCommandError, UsageError, VerifyError
from tests.ops.support import Log, firmware, session

MB = 1 << 20
DATA = firmware(MB)


@pytest.mark.parametrize("chip", chips.KEYS)
def test_a_megabyte_is_written_verified_read_back_and_erased(chip: str) -> None:
    log = Log()
    with session(chip, log=log, flash="4MB") as s:
        ops.attach_flash(s)
        assert ops.show_flash_info(s).size == "4MB"
        assert len(ops.read_mac(s).base) == 6
        ops.write_flash(s, [ops.Region(0x10000, DATA, "app.bin")])
        assert "Wrote 1048576 bytes at 0x00010000 in " in log.text
        if not s.spec.rom.flash_ops:
            with pytest.raises(FatalError, match="ROM does not support"):
                ops.verify_flash(s, [ops.Region(0x10000, DATA)])
            return
        assert log.text.count("Hash of data verified.") == 1
        ops.verify_flash(s, [ops.Region(0x10000, DATA)])
        assert ops.read_flash(s, 0x10000, 0x4000) == DATA[:0x4000]
        ops.erase_region(s, 0x10000, 0x2000)
        assert ops.read_flash(s, 0x11F00, 0x200) == b"\xff" * 0x100 + DATA[0x2000:0x2100]
        with pytest.raises(VerifyError, match="Verification failed"):
            ops.verify_flash(s, [ops.Region(0x10000, DATA)])
        with pytest.raises(UnsupportedCommandError, match="erase-region"):
            ops.erase_flash(s)


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize(
    ("address", "size"), [(0x1, 1), (0xFFF, 2), (0x1004, 4096), (0x2000, 4095)]
)
def test_unaligned_writes_erase_whole_sectors_and_say_so(
    address: int, size: int, compress: bool
) -> None:
    log = Log()
    with session("esp32c3", log=log, flash="4MB") as s:
        ops.attach_flash(s)
        ops.write_flash(s, [ops.Region(0, bytes(0x4000))])
        data = firmware(size, 9)
        ops.write_flash(s, [ops.Region(address, data)], ops.WriteOptions(compress=compress))
        found = ops.read_flash(s, 0, 0x4000)
    assert found is not None
    start, end = address // 0x1000 * 0x1000, -(-(address + size) // 0x1000) * 0x1000
    expected = bytearray(0x4000)
    expected[start:end] = b"\xff" * (end - start)
    expected[address : address + size] = data
    assert found == expected
    assert f"Flash will be erased from {start:#010x} to {end - 1:#010x}..." in log.text
    if address % 0x1000:
        assert (
            f"Flash address {address:#010x} is not aligned to a 0x1000 byte flash sector. "
            f"{address % 0x1000:#x} bytes before this address will be erased." in log.text
        )


def test_preserve_puts_back_the_neighbours_in_partly_written_sectors() -> None:
    before = firmware(0x4000, 3)
    with session("esp32c3", flash="4MB") as s:
        ops.attach_flash(s)
        ops.write_flash(s, [ops.Region(0, before)])
        options = ops.WriteOptions(preserve=True)
        ops.write_flash(s, [ops.Region(0x1101, b"hello")], options)
        assert ops.read_flash(s, 0, 0x4000) == before[:0x1101] + b"hello" + before[0x1106:]


def test_a_file_past_the_end_is_refused_before_anything_is_sent() -> None:
    with session("esp32s3", flash="4MB") as s:
        ops.attach_flash(s)
        sent = s.link.requests
        with pytest.raises(UsageError, match="will not fit in 4194304 bytes of flash"):
            ops.write_flash(s, [ops.Region(0x3FFFFF, b"ab", "a.bin")])
        assert ops.read_flash(s, 0x3FFF00, 0x100) == b"\xff" * 0x100
        assert s.link.requests - sent < 30


def test_a_protected_chip_fails_the_verification_with_the_place_named() -> None:
    with session("esp32s3", flash="4MB", fault="protect") as s:
        ops.attach_flash(s)
        with pytest.raises(FatalError, match="0x00010000"):
            ops.write_flash(s, [ops.Region(0x10000, b"data", "a.bin")])


def test_what_is_in_flash_already_is_skipped_when_asked() -> None:
    log = Log()
    with session("esp32s3", log=log, flash="4MB") as s:
        ops.attach_flash(s)
        region = ops.Region(0x7998, firmware(1000), "one.bin")
        options = ops.WriteOptions(skip_flashed=True)
        assert [r.action for r in ops.write_flash(s, [region], options)] == ["written"]
        assert [r.action for r in ops.write_flash(s, [region], options)] == ["skipped"]
    assert "'one.bin' at 0x00007998 already in flash, skipping write." in log.text


def test_only_sectors_that_differ_from_the_old_file_are_sent() -> None:
    log = Log()
    old = firmware(0x8000)
    new = bytearray(old)
    new[0x2010] ^= 1
    new[0x5010] ^= 1
    with session("esp32s3", log=log, flash="4MB") as s:
        ops.attach_flash(s)
        ops.write_flash(s, [ops.Region(0x10000, old)])
        options = ops.WriteOptions(diff_with=(old,))
        [result] = ops.write_flash(s, [ops.Region(0x10000, bytes(new))], options)
        assert (result.action, result.sent, result.verified) == ("delta", 0x2000, True)
        assert ops.read_flash(s, 0x10000, 0x8000) == bytes(new)
        # The old file is not what is in flash: found out at the end, and put right.
        wrong = ops.WriteOptions(diff_with=(bytes(new[:0x7000]) + bytes(0x1000),))
        third = bytes(0x1000) + bytes(new[0x1000:])
        ops.write_flash(s, [ops.Region(0x10000, third)], wrong)
        assert ops.read_flash(s, 0x10000, 0x8000) == third
    assert "Reflashing 1 changed sector at 0x00012000..." in log.text


def test_the_first_differences_are_shown_on_request() -> None:
    log = Log()
    with session("esp32s3", log=log, flash="4MB") as s:
        ops.attach_flash(s)
        ops.write_flash(s, [ops.Region(0x6000, bytes(100))])
        wanted = bytearray(100)
        wanted[5], wanted[50] = 0x12, 0x34
        with pytest.raises(VerifyError):
            ops.verify_flash(s, [ops.Region(0x6000, bytes(wanted))], diff=True)
    assert "Verification failed: 2 differences, first at 0x00006005:" in log.text
    assert "   0x00006032 00 34" in log.text
