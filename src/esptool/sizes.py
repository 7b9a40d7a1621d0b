# SPDX-License-Identifier: Apache-2.0
"""Numbers as people write them: bytes ('4MB', '512KB', '2MB-c1', '64k', '0x1000'), '2 sectors'."""

from __future__ import annotations

import re

from esptool.errors import UsageError

_FACTORS = {"": 1, "B": 1, "K": 1 << 10, "KB": 1 << 10, "M": 1 << 20, "MB": 1 << 20}
_FLASH_SIZE = re.compile(r"\s*(\d{1,9})\s*(KB|MB)(-c1)?\s*", re.ASCII)
_SUFFIX = re.compile(r"(.*?)([kKmM]?[bB]?)", re.DOTALL)


def counted(count: int, what: str, several: str = "") -> str:
    """A number of things in words: "1 sector", "2 sectors". `several` is an irregular plural."""
    return f"{count} {what if count == 1 else several or what + 's'}"


def flash_size(text: str) -> int:
    """Bytes of a size of flash: a decimal number with KB or MB. '2MB-c1' is 2 MB.

    Raises:
        UsageError: the text is something else, such as 'keep' or 'detect'.
    """
    found = _FLASH_SIZE.fullmatch(text)
    if found is None:
        raise UsageError(f"Unknown size {text}: write a number followed by KB or MB, as in 4MB.")
    return int(found[1]) * _FACTORS[found[2]]


def byte_count(text: str) -> int:
    """Bytes of a number in any base that Python writes, with or without k, KB, M or MB.

    Raises:
        UsageError: the text is something else.
    """
    found = _SUFFIX.fullmatch(text.strip())
    assert found is not None  # it matches everything
    number, suffix = found[1], found[2].upper()
    if suffix == "B" and number[:2].lower() == "0x":  # a digit, as in 0x1B
        number = text.strip()
    for base in (0, 10):  # 10 for leading zeros
        try:
            return int(number, base) * _FACTORS[suffix]
        except ValueError:
            continue
    raise UsageError(f"'{text}' is not a size: write a number, or for instance 64k or 4MB.")
