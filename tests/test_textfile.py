# SPDX-License-Identifier: Apache-2.0
"""Text files are UTF-8 with or without a byte order mark and any line ends, or a clear error."""

from __future__ import annotations

from pathlib import Path

import pytest

from esptool.errors import FatalError
from esptool.textfile import decode_text, read_text

TEXT = "one, größe\ntwo\n"


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
def test_marks_and_line_ends_make_no_difference(tmp_path: Path, mark: bytes, ending: bytes) -> None:
    (tmp_path / "t").write_bytes(mark + TEXT.encode().replace(b"\n", ending))
    assert read_text(tmp_path / "t") == TEXT


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (TEXT.encode("utf-16"), "UTF-16"),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), "UTF-16"),
        (TEXT.encode("utf-32"), "UTF-32"),
        ("plain".encode("utf-16-le"), "zero byte"),
        (b"one\ngr\xf6\xdfe", "0xf6 in line 2"),
        (b"\x7fELF\x01\x00", "zero byte"),
    ],
)
def test_other_encodings_are_an_error_that_says_which(data: bytes, reason: str) -> None:
    with pytest.raises(FatalError, match=f"The table 'x.csv' is .*{reason}"):
        decode_text(data, "The table 'x.csv'")


@pytest.mark.parametrize("name", ["absent", ".", "a\0b"])
def test_what_cannot_be_read_is_an_error_with_its_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(FatalError, match=r"Cannot read the table .*: .") as found:
        read_text(f"{tmp_path}/{name}", "table")
    assert "\0" not in str(found.value)


def test_a_file_without_end_is_refused() -> None:
    with pytest.raises(FatalError, match="larger than 0 MB"):
        read_text("/dev/zero", "table", largest=1000)
