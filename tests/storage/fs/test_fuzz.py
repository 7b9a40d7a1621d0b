# SPDX-License-Identifier: Apache-2.0
"""Any bytes give a file system or one error: in time, in bounded memory, and nothing ends the
process."""

from __future__ import annotations

import random
import time
import tracemalloc

import pytest

from esptool.errors import FatalError
from esptool.storage.fs import build_image, open_image
from esptool.storage.fs.opening import KINDS, Shape
from tests.storage.fs.hostile import mutated

SIZE = 0x20000
FILES: dict[str, bytes | None] = {
    **{f"a{n}": bytes([n]) * (n * 700) for n in range(8)},
    **{f"d/e/f{n}": bytes([n]) * (n * 50) for n in range(8)},
}
IMAGES = {
    "littlefs": build_image("littlefs", SIZE, FILES),
    "fat": build_image("fat", SIZE, FILES, Shape(fats=1, root_entries=128)),
    "fat-512": build_image("fat", SIZE, FILES, Shape(wear="safe")),
    "fat-raw": build_image("fat", SIZE, FILES, Shape(wear="none", root_entries=128)),
    "spiffs": build_image("spiffs", SIZE, FILES),
}


def use(image: bytes, kind: str | None) -> None:
    """All that is done with images; what fails is a `FatalError`."""
    try:
        fs = open_image(image, kind)
        entries = fs.entries()
        fs.usage()
        fs.details()
    except FatalError:
        return
    total = 0
    for entry in entries:
        try:
            total += 0 if entry.is_dir else len(fs.read(entry.path))
        except FatalError:
            continue
    assert total <= 64 * len(image)
    try:
        fs.write("d/new", bytes(3000))
        fs.remove("a3")
        fs.steps()
        after = open_image(fs.image(), kind)
    except FatalError:
        return
    assert after.read("d/new") == bytes(3000)


def damaged(image: bytes, r: random.Random) -> bytes:
    changed = bytearray(image)
    for _ in range(r.choice((1, 2, 10, 60))):
        at = r.choice((r.randrange(len(changed)), r.randrange(0x5000), r.randrange(600)))
        how = r.randrange(4)
        if how == 0:
            changed[at] ^= 1 << r.randrange(8)
        elif how == 1:
            changed[at] = r.choice((0, 1, 0xE5, 0xF8, 0xFF))
        elif how == 2:
            changed[at : at + 4] = r.randbytes(4)
        else:
            size, start = r.randrange(2000), r.randrange(len(changed) - 2000)
            changed[at : at + size] = changed[start : start + size]
    return bytes(changed[: len(image)])


@pytest.mark.parametrize("name", IMAGES)
def test_damaged_images(name: str) -> None:
    kind = name.partition("-")[0]
    tracemalloc.start()
    start = time.process_time()
    for seed in range(25):
        r = random.Random(f"{name} {seed}")
        use(damaged(IMAGES[name], r), r.choice((kind, None)))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 256 * SIZE
    assert time.process_time() - start < 60


@pytest.mark.parametrize("kind", KINDS)
def test_noise_and_short_images(kind: str) -> None:
    r = random.Random(kind)
    for size in (0, 1, 511, 512, 4096, 4097, 0x5000, 0x10000):
        for image in (bytes(size), b"\xff" * size, r.randbytes(size), IMAGES[kind][:size]):
            with pytest.raises(FatalError):
                open_image(image, kind).read("a7")


def test_littlefs_that_lies_under_right_checksums() -> None:
    for seed in range(120):
        use(mutated(IMAGES["littlefs"], random.Random(seed)), "littlefs")
