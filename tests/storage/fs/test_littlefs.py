# SPDX-License-Identifier: Apache-2.0
"""LittleFS: mounted by the library with the parameters of each system, changed piece by piece."""

from __future__ import annotations

import littlefs
import pytest

from esptool.errors import UsageError
from esptool.storage.changes import Erase, Program, apply
from esptool.storage.fs import DamagedError, FullError, Image, Patch, build_image, open_image
from esptool.storage.fs.opening import PRESETS, Shape
from tests.storage.fs.hostile import with_superblock

SIZE = 0x40000
FILES: dict[str, bytes | None] = {
    "index.html": b"<html>" * 3000,
    "conf/wifi.json": b"{}",
    "conf/deep/er/x": bytes(300),
    "empty": b"",
    "größe": b"x" * 64,
    "folder": None,
}
#: What the code on the chip mounts with: block, read and prog, cache, lookahead, name, version.
#: ESP-IDF: Kconfig of joltwallet/littlefs. Arduino ESP8266: LittleFS.h. MicroPython: vfs_lfsx.c.
CHIPS = {
    "esp-idf": (4096, 128, 512, 128, 255, 1),
    "arduino": (4096, 128, 512, 128, 255, 1),
    "esp8266": (4096, 64, 64, 64, 32, 0),
    "micropython": (4096, 32, 128, 32, 255, 0),
}


def on_chip(preset: str, image: bytes) -> littlefs.LittleFS:
    block, step, cache, lookahead, name, minor = CHIPS[preset]
    context = littlefs.UserContext(buffer=bytearray(image))
    fs = littlefs.LittleFS(
        context,
        mount=False,
        block_size=block,
        block_count=len(image) // block,
        read_size=step,
        prog_size=step,
        cache_size=cache,
        lookahead_size=lookahead,
        name_max=name,
        disk_version=0x20000 | minor,
    )
    fs.mount()
    return fs


@pytest.mark.parametrize("preset", PRESETS)
def test_the_code_of_each_system_mounts_it_reads_it_and_is_read(preset: str) -> None:
    image = build_image("littlefs", SIZE, FILES, Shape(preset))
    fs = on_chip(preset, image)
    for path, data in FILES.items():
        if data is None:
            assert fs.listdir(path) == []
        else:
            with fs.open(path, "rb") as file:
                assert file.read() == data
    with fs.open("conf/made on the chip", "wb") as file:
        file.write(b"y" * 5000)
    fs.remove("empty")
    ours = open_image(bytes(fs.context.buffer))
    assert ours.read("conf/made on the chip") == b"y" * 5000
    assert "empty" not in [e.path for e in ours.entries()]
    # What is put into it is read by the chip again, and its version stays.
    ours.write("conf/wifi.json", b"z" * 500)
    fs = on_chip(preset, ours.image())
    with fs.open("conf/wifi.json", "rb") as file:
        assert file.read() == b"z" * 500
    assert fs.fs_stat().disk_version == 0x20000 | CHIPS[preset][5]


def test_large_blocks_on_the_esp8266() -> None:
    image = build_image("littlefs", 0x100000, {"a": b"1"}, Shape("esp8266"))
    assert open_image(image).details()["block_size"] == 8192
    assert open_image(build_image("littlefs", 0x2F000, {}, Shape("esp8266"))).entries() == []


def test_the_same_files_give_the_same_image() -> None:
    assert build_image("littlefs", SIZE, FILES) == build_image(
        "littlefs", SIZE, dict(reversed(FILES.items()))
    )


def test_a_small_change_reads_and_writes_little() -> None:
    files: dict[str, bytes | None] = {f"d{n % 3}/f{n}": bytes([n]) * 9000 for n in range(60)}
    image = build_image("littlefs", 0x100000, files)
    read = 0

    def reader(offset: int, size: int) -> bytes:
        nonlocal read
        read += size
        return image[offset : offset + size]

    fs = open_image(Image(len(image), reader))
    fs.write("d1/f1", b"n" * 1024)
    steps = fs.steps()
    assert read < 0x10000
    assert len(steps) == 2
    assert isinstance(steps[-1], Patch)  # the folder's block is appended to, not rewritten


@pytest.mark.parametrize("old", [None, 10, 3000])
def test_a_power_cut_at_any_point_leaves_the_old_or_the_new_file(old: int | None) -> None:
    files = dict(FILES)
    if old is not None:
        files["conf/x"] = b"o" * old
    image = build_image("littlefs", SIZE, files)
    new = b"n" * 9000
    fs = open_image(image)
    fs.write("conf/x", new)
    changes: list[Erase | Program] = []
    for step in fs.steps():
        if isinstance(step, Patch):
            changes += (Program(step.offset + p.offset, p.data) for p in step.programs)
            continue
        for at in range(0, len(step.data), 4096):
            changes.append(Erase(step.offset + at))
            changes += (
                Program(step.offset + n, step.data[n : n + 256]) for n in range(at, at + 4096, 256)
            )
    made = bytearray(image)
    seen = set()
    for change in changes:
        # Half of a change, then all of it.
        if isinstance(change, Program):
            half = len(change.data) // 2
            torn = bytearray(made)
            apply(torn, Program(change.offset, change.data[:half]))
            seen.add(_state(bytes(torn), files, old, new))
        apply(made, change)
        seen.add(_state(bytes(made), files, old, new))
    assert bytes(made) == fs.image()
    assert seen == {"old", "new"}


def _state(image: bytes, files: dict[str, bytes | None], old: int | None, new: bytes) -> str:
    fs = open_image(image, "littlefs")
    there = {e.path for e in fs.entries()}
    for path, data in files.items():
        if path != "conf/x" and data is not None:
            assert fs.read(path) == data
    if "conf/x" not in there:
        assert old is None
        return "old"
    content = fs.read("conf/x")
    if content == new:
        return "new"
    # A new file is there, and empty, before its content is.
    assert content == b"o" * (old or 0)
    return "old"


@pytest.mark.parametrize(
    ("act", "error", "says"),
    [
        (lambda fs: fs.read("nothing"), UsageError, "There is no 'nothing'"),
        (lambda fs: fs.read("conf"), UsageError, "'conf' is a folder"),
        (lambda fs: fs.write("conf", b""), UsageError, "'conf' is a folder"),
        (lambda fs: fs.write("index.html/x", b""), UsageError, "'index.html' is a file"),
        (lambda fs: fs.write("n" * 65, b""), UsageError, "more than 64 bytes"),
        (lambda fs: fs.write("big", bytes(SIZE)), FullError, "'big' does not fit"),
        (lambda fs: fs.remove("conf"), UsageError, "'conf' is not empty"),
        (lambda fs: fs.remove("no"), UsageError, "There is no 'no'"),
        (lambda fs: fs.make_folder("../out"), UsageError, "not a path inside"),
        (lambda fs: fs.make_folder("index.html"), UsageError, "'index.html' is a file|is a folder"),
    ],
)
def test_what_cannot_be_done_is_one_clear_error(act: object, error: type, says: str) -> None:
    fs = open_image(build_image("littlefs", SIZE, FILES))
    with pytest.raises(error, match=says):
        act(fs)  # type: ignore[operator]


@pytest.mark.parametrize("block", [0, 1])
def test_one_of_the_two_first_blocks_is_enough(block: int) -> None:
    # Both have held the superblock once it was written a second time.
    fs = open_image(build_image("littlefs", SIZE, FILES))
    for number in range(300):
        fs.write("empty", bytes([number & 0xFF]) * 100)
    image = bytearray(fs.image())
    image[block * 4096 : (block + 1) * 4096] = b"\xff" * 4096
    fs = open_image(bytes(image))
    assert fs.read("index.html") == FILES["index.html"]


def test_other_versions_and_sizes_are_said() -> None:
    image = build_image("littlefs", SIZE, FILES)
    for says, change in {
        "version 3.0 is not known": {"version": 0x30000},
        "tells of 4294967295 blocks": {"count": 0xFFFFFFFF},
        "blocks of 0 bytes": {"block": 0},
    }.items():
        with pytest.raises(DamagedError, match=says):
            open_image(with_superblock(image, **change), "littlefs")
    with pytest.raises(DamagedError, match="Give the whole partition"):
        open_image(image[:0x20000])
