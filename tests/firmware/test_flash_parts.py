# SPDX-License-Identifier: Apache-2.0
"""What host, stub and virtual chip each know of flash parts is the same, wherever they overlap."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from esptool.chips import nor
from esptool.virtual.parts import PARTS, FlashPart

pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")

FLASH_C, FLASH_WRITE_C = (
    (Path(__file__).parents[2] / "firmware/src" / name).read_text(encoding="utf-8")
    for name in ("flash.c", "flash_write.c")
)


def c_function(name: str) -> str:
    """The text of a function without others inside it."""
    found = re.search(rf"^static u32 {name}\(.*?^}}", FLASH_C, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[0]


@pytest.fixture(scope="module")
def size_of_id(tmp_path_factory: pytest.TempPathFactory) -> ctypes._NamedFuncPointer:
    """The stub's own rule, compiled for this machine."""
    folder = tmp_path_factory.mktemp("flash")
    text = "typedef unsigned char u8; typedef unsigned u32;\n" + c_function("size_of_id")
    (folder / "rule.c").write_text(text.replace("static u32", "u32"))
    library = folder / "rule.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, folder / "rule.c"], check=True)
    return ctypes.CDLL(str(library)).size_of_id


def test_host_and_stub_read_the_same_size_from_every_id(
    size_of_id: ctypes._NamedFuncPointer,
) -> None:
    wrong = []
    for make in (nor.ADESTO, 0xEF):
        for low in range(0x10000):
            jedec = bytes((make, low & 0xFF, low >> 8))
            ours = nor.bytes_of(int.from_bytes(jedec, "little")) or 0
            if ours != size_of_id(jedec):
                wrong.append((jedec.hex(), ours, size_of_id(jedec)))
    assert wrong == []


def test_a_bus_without_a_flash_has_no_size(size_of_id: ctypes._NamedFuncPointer) -> None:
    for bad in nor.BAD_IDS:
        assert nor.bytes_of(bad) is None
        assert size_of_id(bad.to_bytes(3, "little")) == 0


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_the_stub_sends_on_four_lines_to_no_part_that_does_not_take_it(part: FlashPart) -> None:
    found = re.search(r"quad_makes\[\] = {([^}]*)}", FLASH_WRITE_C)
    assert found is not None
    makes = {int(word, 0) for word in found[1].split(",")}
    # Makes of which no sheet was read are left out: one line works with every part.
    assert part.jedec[0] not in makes or 0x32 in part.programs
    assert {0xEF, 0xC8, 0x20} <= makes
