# SPDX-License-Identifier: Apache-2.0
"""The one reader of text: configuration, tables, plans, argument files, Intel HEX.

Text is UTF-8, with or without a byte order mark; lines end as on any system. Everything else is
an error that says so, as guessing an encoding gives wrong names and values.
"""

from __future__ import annotations

import os

from esptool.errors import FileError

#: Larger than any file that a person writes, and small enough to be read whole.
LARGEST = 16 << 20

_UTF8_MARK = b"\xef\xbb\xbf"
#: Longer marks first: that of UTF-32 starts with that of UTF-16.
_OTHER_MARKS = (
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)


def read_text(path: str | os.PathLike[str], what: str = "file", *, largest: int = LARGEST) -> str:
    """The text of a file, with '\\n' at the ends of lines and no byte order mark.

    Args:
        path: the file; a pipe will do.
        what: what it is, for errors, e.g. "argument file".
        largest: the size in bytes from which on it is no such file.

    Raises:
        FatalError: it cannot be read, is too large, or is not UTF-8.
    """
    name = os.fspath(path)
    try:
        with open(name, "rb") as file:
            data = file.read(largest + 1)
    except (OSError, ValueError) as e:
        reason = e.strerror if isinstance(e, OSError) and e.strerror else str(e)
        shown = name.replace("\0", "\\0")
        raise FileError(f"Cannot read the {what} '{shown}': {reason}.") from e
    if len(data) > largest:
        raise FileError(
            f"Cannot read the {what} '{name}': it is larger than {largest >> 20} MB, so it is "
            f"hardly a {what}."
        )
    return decode_text(data, f"The {what} '{name}'")


def decode_text(data: bytes, what: str) -> str:
    """The text that `data` are, with '\\n' at the ends of lines and no byte order mark.

    Args:
        data: UTF-8, with or without a byte order mark.
        what: the beginning of an error, e.g. "The table 'fields.csv'".

    Raises:
        FatalError: not UTF-8, or not text at all.
    """
    data = without_mark(data, what)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as e:
        line = data.count(b"\n", 0, e.start) + 1
        raise FileError(
            f"{what} is not UTF-8 text: byte {data[e.start]:#04x} in line {line}.",
            remedy="Save it as UTF-8.",
        ) from e
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise FileError(f"{what} is not text: it holds a zero byte in line {line}.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def without_mark(data: bytes, what: str) -> bytes:
    """`data` without the byte order mark of UTF-8.

    Raises:
        FatalError: they start with that of another encoding.
    """
    for mark, encoding in _OTHER_MARKS:
        if data.startswith(mark):
            raise FileError(f"{what} is {encoding} text, not UTF-8.", remedy="Save it as UTF-8.")
    return data[len(_UTF8_MARK) :] if data.startswith(_UTF8_MARK) else data
