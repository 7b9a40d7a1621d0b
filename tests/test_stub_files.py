# SPDX-License-Identifier: Apache-2.0
"""Stub files that are not what they should be: one clear error, before anything is sent."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from esptool.errors import FatalError
from esptool.loader import StubFlasher
from esptool.stubs import load_file

CODE = base64.b64encode(bytes(64)).decode()
GOOD: dict[str, Any] = {
    "entry": 0x40380000,
    "text": CODE,
    "text_start": 0x40380000,
    "data": CODE,
    "data_start": 0x3FC80000,
    "bss_start": 0x3FC81000,
    "plugin_table_offset": 16,
    "plugin_first_opcode": 0xD5,
    "plugins": {
        "nand": {"text": CODE, "text_start": 0x40390000, "bss_size": 16, "handlers": {"D5": 4}}
    },
}


def test_both_generations_of_stubs_lie_where_programs_look() -> None:
    for generation in StubFlasher.STUB_SUBDIRS:
        assert (Path(StubFlasher.STUB_DIR) / generation / "esp32c3.json").is_file()


def written(folder: Path, content: Any) -> Path:
    path = folder / "esp32c3.json"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_good_file_is_read_with_its_plugins(mark: bytes, tmp_path: Path) -> None:
    stub = load_file(written(tmp_path, mark + json.dumps(GOOD).encode()))
    linked = stub.with_plugins(["nand"])
    assert linked.data[16:20] == (0x40390004).to_bytes(4, "little")


@pytest.mark.parametrize(
    "key", ["entry", "text_start", "data_start", "bss_start", "plugin_table_offset"]
)
@pytest.mark.parametrize("value", [-1, 1 << 32, 1.5, "4", True, [], 10**30])
def test_a_number_that_is_none_is_refused(key: str, value: object, tmp_path: Path) -> None:
    with pytest.raises(FatalError, match=f"damaged: '{key}' is .*not a number from 0"):
        load_file(written(tmp_path, {**GOOD, key: value}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("text_start", -1),
        ("bss_size", -1),
        ("bss_size", 1 << 40),
        ("handlers", {"D5": -4}),
        ("handlers", {"xx": 4}),
        ("handlers", 7),
        ("text", 7),
    ],
)
def test_a_plugin_that_is_none_is_refused(key: str, value: object, tmp_path: Path) -> None:
    plugin = {**GOOD["plugins"]["nand"], key: value}
    with pytest.raises(FatalError, match="is damaged"):
        load_file(written(tmp_path, {**GOOD, "plugins": {"nand": plugin}}))


@pytest.mark.parametrize("opcode", ["0", "FF", "FFFFFFFF"])
def test_a_handler_outside_of_the_table_is_refused(opcode: str, tmp_path: Path) -> None:
    plugin = {**GOOD["plugins"]["nand"], "handlers": {opcode: 4}}
    stub = load_file(written(tmp_path, {**GOOD, "plugins": {"nand": plugin}}))
    with pytest.raises(FatalError, match="no place for command"):
        stub.with_plugins(["nand"])


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"7", b"{}", b"[" * 100_000, b"\xff\xfe{}", b'{"entry": 1}', b"\0" * 10],
)
def test_a_file_that_is_none_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(FatalError, match="stub file"):
        load_file(written(tmp_path, content))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ([], "it holds no object of names and values"),
        (5, "it holds no object of names and values"),
        ({"entry": 1}, "it has no 'text'"),
        ({**GOOD, "text": 5}, "'text' is 5, not base64"),
        ({**GOOD, "text": "!!"}, "'text' is '!!', not base64"),
        ({**GOOD, "text": ""}, "'text' holds no code"),
        ({**GOOD, "data": ["x"]}, "'data' is .*, not base64"),
        ({**GOOD, "plugins": {"nand": {}}}, "it has no 'handlers'"),
    ],
)
def test_what_is_no_stub_is_refused_in_words(content: object, why: str, tmp_path: Path) -> None:
    with pytest.raises(FatalError, match=f"is damaged: {why}"):
        load_file(written(tmp_path, content))
