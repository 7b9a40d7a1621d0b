# SPDX-License-Identifier: Apache-2.0
"""SPIFFS: images of others are read, ours are equal to theirs, and changes obey its rules."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace

import pytest

from esptool.errors import UsageError
from esptool.storage.changes import Program, apply
from esptool.storage.fs import DamagedError, FullError, Patch, build_image
from esptool.storage.fs.opening import Shape
from esptool.storage.fs.spiffs import Spiffs
from esptool.storage.fs.spiffs_layout import Layout, find_layout
from tests.storage.fs.images import CHIP_IMAGE, sample

SIZE = 0x40000
FILES = {"a.txt": 0, "b.bin": 1, "c/d.txt": 251, "c/e.txt": 252, "f.bin": 40000, "g.bin": 5000}
#: SHA-256 of the images that ESP-IDF's spiffsgen.py makes of FILES, added in this order.
GENERATED = {
    "defaults": (
        Layout(SIZE),
        "1a7e3aea1b449748b90e9e08751aa251faf1e9506084a7260efc778040a9c36e",
    ),
    "arduino-esp8266": (
        Layout(SIZE, block_size=8192, meta_length=0, aligned=True),
        "9acd92b75c80d607c87179e057ff6b5cffb697a297edadb84b80a78d8ccddbb6",
    ),
    "large-pages": (
        Layout(SIZE, page_size=512, block_size=16384),
        "ac6a95f93efa4605b08361d37035bf163782e9292a8ae62e23fe38f9431c4351",
    ),
    "two-lookup-pages": (
        Layout(SIZE, block_size=65536, meta_length=0),
        "664be11681532abdb07c6f7cb1aa984e28765aab216be6be4c56659a5e5bae7a",
    ),
    "no-magic": (
        Layout(SIZE, magic=False),
        "a29ce40e17099e4a949f299df492dfa7960cc47d7b884ede74e49ea86e28c1b7",
    ),
    "magic-without-length": (
        Layout(SIZE, magic_length=False),
        "ffa3db9469cbd7e2f0e75d0850f728cf2a0a28b5bc792eaccf43e78eceabcbba",
    ),
    "long-names": (
        Layout(SIZE, page_size=1024, block_size=65536, name_length=64),
        "a2e2321650a8686c07cba9cfb0b85ede6093ec6d13e49071e30b289657a85cdd",
    ),
}


@pytest.mark.parametrize("name", GENERATED)
def test_an_image_is_that_of_the_public_generator(name: str) -> None:
    layout, digest = GENERATED[name]
    fs = Spiffs.format(layout)
    fs.add_all((path, sample(size)) for path, size in FILES.items())
    image = fs.image()
    assert hashlib.sha256(image).hexdigest() == digest
    if layout.magic:
        found = find_layout(image)
        assert found.table_offset == layout.table_offset
        names: dict[str, object] = {"name_length": 0, "meta_length": 0, "aligned": False}
        assert replace_(found, names) == replace_(layout, names)
    back = Spiffs(image, None if layout.magic else layout)
    assert {e.path: e.size for e in back.entries()} == FILES
    assert all(back.read(path) == sample(size) for path, size in FILES.items())


def replace_(layout: Layout, changed: dict[str, object]) -> Layout:
    return replace(layout, **changed)  # type: ignore[arg-type]


def test_an_image_that_a_chip_has_worked_on_is_read_and_changed() -> None:
    # Written by the C code of SPIFFS: files replaced and appended to until blocks were cleaned.
    fs = Spiffs(CHIP_IMAGE)
    sizes = {"grow": 1400, "log": 900, "t0": 10, "t56": 10}
    assert {e.path: e.size for e in fs.entries()} == sizes
    assert fs.read("log") == bytes([59]) * 900
    assert (
        fs.read("grow")
        == bytes([9]) * 300 + b"".join(bytes([k]) * 70 for k in range(0, 60, 3))[300:]
    )
    before = {path: fs.read(path) for path in sizes}
    for number in range(40):  # far more than fits without cleaning
        fs.write(f"n{number % 3}", bytes([number]) * 2000)
        fs = Spiffs(fs.image())
        assert {path: fs.read(path) for path in sizes} == before
        assert fs.read(f"n{number % 3}") == bytes([number]) * 2000


def test_random_histories_keep_all_files() -> None:
    full = 0
    for seed in range(6):
        r = random.Random(seed)
        block = r.choice((4096, 8192))
        layout = Layout(block * r.choice((8, 20)), block_size=block)
        fs, model = Spiffs.format(layout), dict[str, bytes]()
        image = fs.image()
        for _ in range(40):
            name = f"f{r.randrange(6)}"
            if r.random() < 0.25 and name in model:
                fs.remove(name)
                del model[name]
            else:
                data = r.randbytes(r.choice((0, 1, 251, 252, r.randrange(layout.size // 4))))
                try:
                    fs.write(name, data)
                    model[name] = data
                except FullError:
                    full += 1
                    fs = Spiffs(image, layout)
                    continue
            image = fs.image()
            fs = Spiffs(image, layout)
            assert {e.path: fs.read(e.path) for e in fs.entries()} == model
    assert full


@pytest.mark.parametrize("seed", [2, 39, 41])
def test_cleaning_a_crammed_file_system_ends(seed: int) -> None:
    # Cleaning leaves deleted pages itself; these histories once made it go on for ever.
    r = random.Random(seed)
    layout = Layout(4096 * r.choice((5, 8, 12)))
    fs, refused = Spiffs.format(layout), 0
    for _ in range(60):
        name, image = f"f{r.randrange(5)}", fs.image()
        data = r.randbytes(r.choice((0, 100, 252, 1000, r.randrange(layout.size // 3))))
        try:
            fs.write(name, data)
        except FullError:
            refused += 1
            fs = Spiffs(image, layout)
            continue
        fs = Spiffs(fs.image(), layout)
        assert fs.read(name) == data
    assert 0 < refused < 60


def test_in_a_block_in_use_bits_are_only_cleared_where_nothing_is_cleaned() -> None:
    fs = Spiffs.format(Layout(0x10000))
    fs.write("old", b"x" * 600)
    image = fs.image()
    fs = Spiffs(image)
    fs.write("new", b"y" * 100)
    fs.remove("old")
    steps = fs.steps()
    assert steps
    assert all(isinstance(step, Patch) for step in steps)
    made = bytearray(image)
    for step in steps:
        assert isinstance(step, Patch)
        for program in step.programs:
            apply(made, Program(step.offset + program.offset, program.data))
    assert bytes(made) == fs.image()


def test_one_block_whose_erasing_was_cut_off_is_erased_again() -> None:
    fs = Spiffs.format(Layout(0x10000))
    fs.write("a", b"a" * 300)
    image = bytearray(fs.image())
    image[0x3000:0x4000] = b"\xff" * 0x1000
    fs = Spiffs(bytes(image))
    assert fs.read("a") == b"a" * 300
    image[0x5000:0x6000] = b"\xff" * 0x1000
    with pytest.raises(DamagedError, match="is not a SPIFFS"):
        Spiffs(bytes(image))


def test_a_damaged_file_is_named_and_the_others_are_read() -> None:
    image = bytearray(build_image("spiffs", 0x10000, {"a": b"a" * 600, "b": b"b" * 600}))
    second = image.index(b"/b\0")
    table = second - 13 + Layout(0x10000).table_offset
    image[table : table + 2] = b"\x03\x00"  # a page of another file
    fs = Spiffs(bytes(image))
    assert fs.read("a") == b"a" * 600
    with pytest.raises(DamagedError, match="'b' is damaged: part 0 of its content"):
        fs.read("b")
    with pytest.raises(DamagedError, match="so it is not changed: in 'b'"):
        fs.write("c", b"")


@pytest.mark.parametrize(
    ("layout", "says"),
    [
        (Layout(0x10000, page_size=100), "page of 100 bytes"),
        (Layout(0x10000, page_size=1024, block_size=4096), "block of 4096 bytes"),
        (Layout(0x2000), "not a valid size for SPIFFS"),
        (Layout(0x10001), "not a valid size for SPIFFS"),
        (Layout(0x2000000), "65535 pages"),
        (Layout(0x10000, name_length=300), "do not fit into a page"),
        (Layout(0x80000, block_size=32768), "no room for the magic"),
    ],
)
def test_an_impossible_layout_is_refused(layout: Layout, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Spiffs.format(layout)


def test_names_have_the_length_that_the_chip_can_hold() -> None:
    longest = "x" * 30  # with '/' and NUL: 32
    assert Spiffs(build_image("spiffs", 0x10000, {longest: b"1"})).read(longest) == b"1"
    with pytest.raises(UsageError, match="32 bytes with the leading"):
        build_image("spiffs", 0x10000, {longest + "x": b"1"})
    with pytest.raises(UsageError, match="too long"):
        build_image("spiffs", 0x10000, {"ü" * 16: b"1"}, Shape())
