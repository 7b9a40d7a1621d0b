# SPDX-License-Identifier: Apache-2.0
"""Numbers of bytes as people write them."""

from __future__ import annotations

import pytest

from esptool.errors import UsageError
from esptool.sizes import byte_count, counted, flash_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096", 4096),
        ("0x1000", 4096),
        ("0x1B", 27),
        ("0x1b", 27),
        ("0b11", 3),
        ("007", 7),
        ("1_000", 1000),
        ("64k", 65536),
        ("64K", 65536),
        ("2M", 2 << 20),
        ("0x10k", 16384),
        ("512KB", 512 << 10),
        ("8mb", 8 << 20),
        ("100B", 100),
        (" 4M ", 4 << 20),
        ("-1", -1),
    ],
)
def test_counts(text: str, size: int) -> None:
    assert byte_count(text) == size


@pytest.mark.parametrize("text", ["", "k", "KB", "x", "4GB", "1.5M", "4 4", "0x", "--1"])
def test_what_is_no_count_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        byte_count(text)


def test_sizes_of_flash_have_a_unit() -> None:
    found = [flash_size(t) for t in ("256KB", "4MB", "2MB-c1", "16 MB")]
    assert found == [256 << 10, 4 << 20, 2 << 20, 16 << 20]
    for wrong in ("keep", "4", "MB", "4GB", "4MBx", "-4MB", "", "\u0664MB"):
        with pytest.raises(UsageError, match="Unknown size"):
            flash_size(wrong)


@pytest.mark.parametrize(
    ("count", "words", "said"),
    [
        (0, ("bit",), "0 bits"),
        (1, ("bit",), "1 bit"),
        (2, ("bit",), "2 bits"),
        (1, ("entry", "entries"), "1 entry"),
        (2, ("entry", "entries"), "2 entries"),
    ],
)
def test_things_are_counted_in_words(count: int, words: tuple[str, ...], said: str) -> None:
    assert counted(count, *words) == said
