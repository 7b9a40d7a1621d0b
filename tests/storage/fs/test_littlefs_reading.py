# SPDX-License-Identifier: Apache-2.0
"""LittleFS read in Python alone, beside the library: whatever was changed, moved, cut short or
damaged."""

from __future__ import annotations

import sys
from random import Random
from typing import Any

import littlefs
import pytest

from esptool.errors import FatalError, UsageError
from esptool.storage.fs import DamagedError, Image, build_image, open_image
from esptool.storage.fs.littlefs import Littlefs
from esptool.storage.fs.littlefs_reading import ReadLittlefs
from esptool.storage.fs.opening import PRESETS, Shape

SIZE = 0x80000
SIZES = (0, 1, 60, 64, 500, 4096, 9000, 40000)


def read(image: bytes) -> ReadLittlefs:
    return ReadLittlefs(Image.of(image))


def compared(image: bytes) -> None:
    """Both readers find the same."""
    ours, theirs = read(image), Littlefs(image)
    assert ours.entries() == theirs.entries()
    assert ours.usage() == theirs.usage()
    assert ours.details() == theirs.details()
    for entry in theirs.entries():
        if not entry.is_dir:
            assert ours.read(entry.path) == theirs.read(entry.path), entry.path


@pytest.mark.parametrize("seed", range(6))
def test_what_was_written_changed_and_removed_is_read_as_the_library_does(seed: int) -> None:
    random = Random(seed)
    files: dict[str, bytes | None] = {}
    for number in range(random.randint(5, 40)):
        folders = [random.choice("ab") + str(random.randint(0, 2)) for _ in range(number % 3)]
        files["/".join((*folders, f"f{number}"))] = random.randbytes(random.choice(SIZES) // 4)
    fs = open_image(build_image("littlefs", SIZE, files, Shape(random.choice(PRESETS))))
    compared(fs.image())
    for _ in range(80):
        name = random.choice(list(files))
        if random.random() < 0.3:
            if any(entry.path == name for entry in fs.entries()):
                fs.remove(name)
        else:
            fs.write(name, random.randbytes(random.choice(SIZES)))
    compared(fs.image())


def mended(image: bytes) -> bytes:
    """As the library leaves it before its next change: what was broken off is ended. Until then it
    passes over an entry too much when it lists the folder that a file is being moved from."""
    fs = Littlefs(image)
    fs.make_folder("mended")
    fs.remove("mended")
    return fs.image()


def test_a_move_that_is_cut_short_at_any_write_is_read_as_the_library_ends_it() -> None:
    image = build_image("littlefs", 0x20000, {f"a/{n}": bytes([n]) * 300 for n in range(5)})
    states = [image]

    class Watched(littlefs.UserContext):
        def prog(self, cfg: Any, block: int, off: int, data: bytes) -> int:
            result: int = super().prog(cfg, block, off, data)
            states.append(bytes(self.buffer))
            return result

    fs = littlefs.LittleFS(
        Watched(buffer=bytearray(image)), mount=False, block_size=4096, block_count=32
    )
    fs.mount()
    fs.mkdir("/b")
    fs.rename("/a/2", "/b/moved")
    found = [[e.path for e in read(state).entries()] for state in states]
    assert found == [[e.path for e in Littlefs(mended(state)).entries()] for state in states]
    # Between the two commits of the move the file is in both folders, and counts once.
    assert found[-2] == found[-1] == ["a", "a/0", "a/1", "a/3", "a/4", "b", "b/moved"]


def test_damage_anywhere_is_told_or_harmless() -> None:
    random = Random(3)
    image = build_image("littlefs", 0x20000, {"a/b": bytes(9000), "c": b"text"})
    used = [at for at in range(len(image)) if image[at] != 0xFF]
    for _ in range(400):
        damaged = bytearray(image)
        for _ in range(random.randint(1, 3)):
            damaged[random.choice(used)] ^= 1 << random.randrange(8)
        try:
            fs = read(bytes(damaged))
            for entry in fs.entries():
                if not entry.is_dir:
                    fs.read(entry.path)
            fs.usage()
        except DamagedError:
            continue


def test_without_the_library_all_is_read_and_changes_name_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = build_image("littlefs", SIZE, {"conf/x": b"1", "big": bytes(range(256)) * 100})
    monkeypatch.setitem(sys.modules, "littlefs", None)
    fs = open_image(image)
    assert fs.read("conf/x") == b"1"
    assert fs.read("big") == bytes(range(256)) * 100
    for act in (lambda: fs.write("new", b""), lambda: build_image("littlefs", SIZE, {})):
        with pytest.raises(FatalError, match="littlefs-python") as caught:
            act()
        assert caught.value.remedy == 'Install it with: pip install "esptool[fs]"'
    with pytest.raises(UsageError, match="'conf' is a folder"):
        fs.read("conf")
    with pytest.raises(UsageError, match="There is no 'no'"):
        fs.read("no")
