# SPDX-License-Identifier: Apache-2.0
"""Plans: what is sent, what is erased, and what is refused before anything happens."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esptool.chips.nor import SECTOR, sector_range
from esptool.errors import SecureModeError, UsageError
from esptool.image.regions import refuse_overlap
from esptool.ops import checks
from esptool.ops.flash_info import decode_flash_id, size_in_bytes, size_word
from esptool.ops.model import Region, WriteOptions
from esptool.ops.plan import changed_runs
from esptool.ops.security import SecurityState
from esptool.transfer.report import readable
from esptool.transfer.segments import deflate, padded

CONTENT = st.binary(max_size=3 * SECTOR)


@given(address=st.integers(0, 1 << 20), old=CONTENT, new=CONTENT)
def test_writing_the_changed_sectors_over_the_old_file_gives_the_new_one(
    address: int, old: bytes, new: bytes
) -> None:
    start, end = sector_range(address, max(len(old), len(new)))
    flash = bytearray(b"\xff" * (end - start))
    flash[address - start : address - start + len(old)] = old
    for at, data in changed_runs(address, old, new):
        assert at % SECTOR == len(data) % SECTOR == 0
        flash[at - start : at - start + len(data)] = data
    assert flash[address - start : address - start + len(new)] == new


@given(address=st.integers(0, 1 << 20), content=CONTENT)
def test_equal_files_have_no_changed_sectors(address: int, content: bytes) -> None:
    assert changed_runs(address, content, content) == []


def test_changed_sectors_that_touch_are_one_run() -> None:
    old = bytes(6 * SECTOR)
    new = bytearray(old)
    for sector in (0, 1, 4):
        new[sector * SECTOR + 7] = 1
    runs = changed_runs(0x10000, old, bytes(new))
    assert [(at, len(data) // SECTOR) for at, data in runs] == [(0x10000, 2), (0x14000, 1)]
    assert sum(len(data) for _, data in runs) == 3 * SECTOR


def test_data_that_do_not_get_smaller_are_not_deflated() -> None:
    packed = deflate(bytes(1000))
    assert packed is not None
    assert zlib.decompress(packed) == bytes(1000)
    assert deflate(b"\x17") is None


@pytest.mark.parametrize(
    ("first", "second", "wrong"),
    [
        ((0x0, 1024), (0x0, 1024), "0x0 "),
        ((0xD00, 1024), (0x1D00, 1024), "0x1d00"),
        ((0x0, 0x1001), (0x1FFF, 1), "0x1fff"),
        ((0x2000, 16), (0x1000, 0x1001), "0x2000"),
        ((0x0, 0x1000), (0x1000, 1), None),
        ((0x1000, 0), (0x1000, 16), None),
    ],
)
def test_two_files_in_one_sector_are_refused_with_both_named(
    first: tuple[int, int], second: tuple[int, int], wrong: str | None
) -> None:
    regions = [
        Region(first[0], bytes(first[1]), "a.bin"),
        Region(second[0], bytes(second[1]), "b.bin"),
    ]
    if wrong is None:
        refuse_overlap(regions, 0x1000, together=False, error=UsageError)
        return
    with pytest.raises(UsageError, match="Detected overlap at address: " + wrong) as e:
        refuse_overlap(regions, 0x1000, together=False, error=UsageError)
    assert "a.bin" in str(e.value)
    assert "b.bin" in str(e.value)


SECURE = [
    ({"flash_encryption": True, "encrypt_disabled": True}, 0x10000, "manual encrypt disabled"),
    ({"secure_boot": True, "secure_boot_v1": True}, 0x7FFF, "Secure Boot V1 detected"),
    ({"flash_encryption": True, "key_manager": True}, 0x1FFF, "Key Manager detected"),
]


@pytest.mark.parametrize(("state", "address", "text"), SECURE)
def test_writes_that_could_lock_up_a_secured_chip_need_force(
    state: dict[str, Any], address: int, text: str
) -> None:
    regions = [Region(address, b"x")]
    with pytest.raises(SecureModeError, match=text):
        checks.refuse_insecure(regions, WriteOptions(), SecurityState(**state))
    checks.refuse_insecure(regions, WriteOptions(force=True), SecurityState(**state))


@pytest.mark.parametrize(
    ("state", "address"),
    [
        ({"flash_encryption": True}, 0x10000),
        ({"secure_boot": True, "secure_boot_v1": True}, 0x8000),
        ({"secure_boot": True}, 0x1000),
        ({"flash_encryption": True, "key_manager": True}, 0x2000),
    ],
)
def test_writes_that_do_no_harm_need_no_force(state: dict[str, Any], address: int) -> None:
    checks.refuse_insecure([Region(address, b"x")], WriteOptions(), SecurityState(**state))


@pytest.mark.parametrize(
    ("raw", "manufacturer", "device", "size"),
    [
        (0x1640C8, 0xC8, 0x4016, "4MB"),
        (0x1840EF, 0xEF, 0x4018, "16MB"),
        (0x3B25C2, 0xC2, 0x253B, None),
        (0x01471F, 0x1F, 0x4701, "4MB"),
        (0xFFFFFF, 0xFF, 0xFFFF, None),
        (0x000000, 0x00, 0x0000, None),
    ],
)
def test_a_jedec_id_gives_manufacturer_device_and_size(
    raw: int, manufacturer: int, device: int, size: str | None
) -> None:
    info = decode_flash_id(raw)
    assert (info.manufacturer, info.device, info.size) == (manufacturer, device, size)


def test_sizes_are_read_and_written_in_the_same_words() -> None:
    for word in ("256KB", "512KB", "1MB", "4MB", "128MB"):
        assert size_word(size_in_bytes(word)) == word
    assert size_in_bytes("4MB-c1") == 4 << 20
    for wrong in ("keep", "4", "MB", "4GB"):
        with pytest.raises(UsageError):
            size_in_bytes(wrong)


def test_amounts_are_shown_in_units_of_1024() -> None:
    assert [readable(n) for n in (0, 985, 1024, 26072, 3 << 20)] == [
        "0B",
        "985B",
        "1.00kB",
        "25.46kB",
        "3.00MB",
    ]
    assert padded(b"abcde", 4) == b"abcde\xff\xff\xff"
