# SPDX-License-Identifier: Apache-2.0
"""FAT: equal to ESP-IDF's generator, read and written by FatFs and by us, below wear levelling."""

from __future__ import annotations

import hashlib
import random
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import fatfs
import pytest
from fatfs import wrapper as w

from esptool.errors import UsageError
from esptool.storage.fs import DamagedError, FullError, build_image, open_image, wear
from esptool.storage.fs.blocks import Image
from esptool.storage.fs.fat import Fat
from esptool.storage.fs.fat_layout import new_volume
from esptool.storage.fs.opening import Shape
from tests.storage.fs.images import sample

FILES = {"A.TXT": 0, "B.BIN": 1, "C.TXT": 4096, "D": 4097, "F.BIN": 40000, "G-1.X": 511}
SERIAL, DEVICE, ONES = 0, 0x1234567, 0xFFFFFFFF
#: SHA-256 of what fatfsgen.py and wl_fatfsgen.py of ESP-IDF make of FILES, the volume's serial
#: number set to zero: sector size, size, number of tables, wear levelling.
GENERATED: list[tuple[int, int, int, str | None, str]] = [
    (4096, 0x40000, 2, None, "5baa0de411369346a7f7df7938b36fdbf427d4a8915a6bcf9039205535d7c960"),
    (512, 0x40000, 1, None, "4dada3b8de7259046a6e27c44e6e4f33b9c5a864f7526f5342a6c58dd51072d2"),
    (
        4096,
        0x100000,
        2,
        "plain",
        "e0a336b1c3ce50c46722b10d6cbfc88c9bcff603b341e6e8935951764783122a",
    ),
    (512, 0x100000, 1, "perf", "f4fd01696247c9f325238e2614644d2df7b24503b3292cd789832a3d9217f7d8"),
    (512, 0x300000, 2, "safe", "6bbbab1f2f1f6fd14b5eae0d3cb405fb00ae92975a0182a421aaed1eff48ac93"),
    (512, 0x300000, 2, "perf", "755bdb6a78721689d206b17302fec7f3d2461b80d50e2b7715fa93c69374a0ed"),
]


@pytest.mark.parametrize(("sector", "size", "fats", "mode", "digest"), GENERATED)
def test_an_image_is_that_of_the_public_generator(
    sector: int, size: int, fats: int, mode: str | None, digest: str
) -> None:
    room = wear.disk_sectors(size) * 4096 if mode else size
    room -= 8192 if mode == "safe" else 0
    fs = Fat(Fat.format(new_volume(room, sector, 1, fats, 512), room, SERIAL))
    for path, length in FILES.items():
        fs.write(path, sample(length))
    image = fs.image()
    if mode:
        image = wear.new_partition(image, size, DEVICE)
    assert hashlib.sha256(image).hexdigest() == digest
    back = Fat(image)
    assert (back.wear is not None) == (mode is not None)
    assert {e.path: back.read(e.path) for e in back.entries()} == {
        path: sample(length) for path, length in FILES.items()
    }


# --- FatFs beside ours ---------------------------------------------------------------------------


class Disk(fatfs.RamDisk):  # type: ignore[misc]
    pass


@contextmanager
def mounted(image: bytes, sector: int) -> Iterator[tuple[bytes, bytearray]]:
    storage = bytearray(image)
    partition = w.Partition(Disk(storage, sector_size=sector))
    try:
        partition.mount()
        yield partition.pname, storage
    finally:
        partition.unmount()


def theirs_write(drive: bytes, path: str, data: bytes) -> None:
    handle = w.FIL_Handle()
    flags = w.PY_FA_WRITE | w.PY_FA_CREATE_ALWAYS
    assert w.pyf_open(handle, drive + path.encode(), flags) == 0, path
    w.pyf_write(handle, data or b"")
    assert w.pyf_close(handle) == 0


def theirs_read(drive: bytes, path: str, size: int) -> Any:
    handle = w.FIL_Handle()
    assert w.pyf_open(handle, drive + path.encode(), w.PY_FA_READ) == 0, path
    result, data = w.pyf_read(handle, size + 1)
    assert result == 0
    w.pyf_close(handle)
    return data


NAMES = ("A.TXT", "lower.txt", "MiXed.Case", "a long name, with signs.json", ".hidden", "x" * 60)


@pytest.mark.parametrize("seed", range(4))
def test_fatfs_and_ours_take_turns_on_one_volume(seed: int) -> None:
    r = random.Random(seed)
    sector = r.choice((512, 4096))
    size = sector * r.choice((700, 5000)) if sector == 512 else 0x100000
    root = 512 if sector == 512 else 128
    image = Fat.format(new_volume(size, sector, r.choice((1, 2)), r.choice((1, 2)), root), size, 7)
    model: dict[str, bytes] = {}
    folders: set[str] = set()
    for _ in range(25):
        folder = r.choice(("", "d1/", "d1/Sub Folder/"))
        path = folder + r.choice(NAMES) + str(r.randrange(3))
        data = r.randbytes(r.choice((0, 1, 511, 512, 4096, 9000)))
        ours, action = r.random() < 0.5, r.random()
        if ours:
            fs = Fat(image)
            if action < 0.25 and path in model:
                fs.remove(path)
                del model[path]
            else:
                fs.write(path, data)
                model[path] = data
                folders |= {"d1"} if folder else set()
                folders |= {"d1/Sub Folder"} if "Sub" in folder else set()
            image = fs.image()
        else:
            with mounted(image, sector) as (drive, storage):
                if action < 0.25 and path in model:
                    assert w.pyf_unlink(drive + path.encode()) == 0
                    del model[path]
                else:
                    for made in ("d1", "d1/Sub Folder"):
                        if path.startswith(made + "/") and made not in folders:
                            assert w.pyf_mkdir(drive + made.encode()) == 0
                            folders.add(made)
                    theirs_write(drive, path, data)
                    model[path] = data
                image = bytes(storage)
        fs = Fat(image)
        assert {e.path: fs.read(e.path) for e in fs.entries() if not e.is_dir} == model
        assert {e.path for e in fs.entries() if e.is_dir} == folders
    with mounted(image, sector) as (drive, _):
        for path, data in model.items():
            assert theirs_read(drive, path, len(data)) == data


def test_a_volume_that_fatfs_formatted_is_read_and_changed() -> None:
    storage = bytearray(0x100000)
    partition = w.Partition(Disk(storage, sector_size=4096))
    assert w.pyf_mkfs(partition.pname, n_fat=1, workarea_size=4096) == 0
    partition.mount()
    theirs_write(partition.pname, "boot.py", b"print()\n")
    partition.unmount()
    fs = Fat(bytes(storage))
    assert fs.read("BOOT.PY") == b"print()\n"
    fs.write("main.py", b"1" * 5000)
    with mounted(fs.image(), 4096) as (drive, _):
        assert theirs_read(drive, "main.py", 5000) == b"1" * 5000


# --- wear levelling ------------------------------------------------------------------------------


class Chip:
    """Wear levelling as the chip does it: every 16th erased sector moves the dummy sector on."""

    def __init__(self, image: bytes) -> None:
        self.flash = bytearray(image)
        self.states = -(-(64 + len(image) // 4096 * 16) // 4096)
        self.end = len(image) - 4096 - 2 * self.states * 4096
        self.count = self.end // 4096 - 1
        self.position = self.moves = self.erased = 0

    def place(self, sector: int) -> int:
        number = (self.count - self.moves + sector) % self.count
        return (number if number < self.position else number + 1) * 4096

    def write(self, sector: int, data: bytes) -> None:
        self.erased += 1
        if self.erased % 16 == 0:
            self.step()
        at = self.place(sector)
        self.flash[at : at + 4096] = data

    def read(self, sector: int) -> bytes:
        at = self.place(sector)
        return bytes(self.flash[at : at + 4096])

    def step(self) -> None:
        behind = (self.position + 1) % (self.count + 1)
        here, there = self.position * 4096, behind * 4096
        self.flash[here : here + 4096] = self.flash[there : there + 4096]
        device = struct.unpack_from("<I", self.flash, self.end + 28)[0]
        record = b"".join(
            struct.pack(
                "<I", zlib.crc32(struct.pack("<I", device + self.position * 4 + n), ~0 & 0xFFFFFFFF)
            )
            for n in range(4)
        )
        for copy in range(2):
            at = self.end + copy * self.states * 4096 + 64 + self.position * 16
            self.flash[at : at + 16] = record
        self.position += 1
        if self.position > self.count:
            self.position = 0
            self.moves = (self.moves + 1) % self.count
            head = bytearray(self.flash[self.end : self.end + 60])
            struct.pack_into("<I", head, 8, self.moves)
            head += struct.pack("<I", zlib.crc32(head, ONES))
            for copy in range(2):
                at = self.end + copy * self.states * 4096
                self.flash[at : at + self.states * 4096] = head.ljust(self.states * 4096, b"\xff")


def test_whatever_the_dummy_sector_has_wandered_the_files_are_found() -> None:
    files = {f"f{n}": sample(3000 + n) for n in range(8)}
    image = build_image("fat", 40 * 4096, files, Shape(fats=1, root_entries=128))
    chip = Chip(image)
    seen = set()
    for turn in range(1300):
        sector = turn % chip.count
        chip.write(sector, chip.read(sector))
        if turn % 41:
            continue
        fs = Fat(bytes(chip.flash))
        assert fs.wear is not None
        seen.add((fs.wear.moves, fs.wear.position))
        assert (fs.wear.moves, fs.wear.position) == (chip.moves, chip.position)
        assert {e.path: fs.read(e.path) for e in fs.entries()} == files
        files["f3"] = sample(turn)
        fs.write("f3", files["f3"])
        chip.flash[:] = fs.image()
    assert len({moves for moves, _ in seen}) > 1
    # One copy of the state is enough, and which one is no matter.
    for copy in range(2):
        torn = bytearray(chip.flash)
        at = chip.end + copy * chip.states * 4096
        torn[at : at + 4096] = b"\xff" * 4096
        fs = Fat(bytes(torn))
        assert fs.read("f3") == files["f3"]


def test_a_write_that_was_cut_off_in_safe_mode_is_finished() -> None:
    files = {"a": sample(700), "b": sample(900)}
    image = build_image("fat", 0x40000, files, Shape(wear="safe"))
    state = wear.find_wear(image)
    assert state is not None
    disk = wear.Disk(Image.of(image), state)
    first = Fat(image).volume.cluster_at(2)
    data_sector, part = first // 4096, first % 4096 // 512
    unused = part + 4 if part < 4 else 0  # 'a' and 'b' have two clusters each
    body = disk[data_sector * 4096 : (data_sector + 1) * 4096]
    last = state.sectors - 1
    disk[last * 4096 : (last + 1) * 4096] = body
    disk[(last - 1) * 4096 : (last - 1) * 4096 + 16] = struct.pack(
        "<4I", 0x12345678, data_sector, unused, 1
    )
    disk[data_sector * 4096 : (data_sector + 1) * 4096] = b"\xff" * 4096
    torn = disk._image[:]
    fs = Fat(torn)
    assert {e.path: fs.read(e.path) for e in fs.entries()} == files


# --- names, limits, damage -----------------------------------------------------------------------


def test_names_of_all_kinds_come_back_as_they_were() -> None:
    names = [
        *("README.MD", "readme.md2", "Mixed.txt", "a.b.c.d", "name with spaces", "trailing~1"),
        *("grüße.txt", "页面.html", "emoji 😀", "x" * 255, "UPPER.lower", "lower.UPP", "TRAILI~1"),
    ]
    files: dict[str, bytes | None] = {name: name.encode() for name in names}
    fs = open_image(build_image("fat", 0x100000, files, Shape()))
    assert {e.path: fs.read(e.path) for e in fs.entries()} == files
    assert fs.read("MIXED.TXT") == b"Mixed.txt"


@pytest.mark.parametrize("name", ["a:b", "a?b", "a*", "dot.", "space ", "t\tab", 'q"', "y" * 256])
def test_a_name_that_fat_cannot_hold_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="FAT"):
        build_image("fat", 0x100000, {name: b""}, Shape())


def test_full_volumes_and_root_folders_say_so() -> None:
    shape = Shape(wear="none", root_entries=128)
    with pytest.raises(FullError, match="'big' does not fit: it needs"):
        build_image("fat", 0x40000, {"big": bytes(0x40000)}, shape)
    many: dict[str, bytes | None] = {f"a long name {n}": b"" for n in range(50)}
    with pytest.raises(FullError, match="root folder has no more than 128 entries"):
        build_image("fat", 0x40000, many, shape)
    inside: dict[str, bytes | None] = {f"d/a long name {n}": b"" for n in range(150)}
    fs = open_image(build_image("fat", 0x40000, inside, shape))
    assert len(fs.entries()) == 151


def test_two_names_that_differ_in_case_are_one_file() -> None:
    fs = open_image(
        build_image("fat", 0x40000, {"a.txt": b"1"}, Shape(wear="none", root_entries=128))
    )
    fs.write("A.TXT", b"22")
    assert [(e.path, e.size) for e in fs.entries()] == [("a.txt", 2)]


def test_broken_chains_are_errors_and_nothing_is_changed() -> None:
    files: dict[str, bytes | None] = {"a": b"a" * 9000, "b": b"b" * 9000, "d/c": b"c"}
    image = build_image("fat", 0x40000, files, Shape(wear="none", root_entries=128))
    at = Fat(image).volume.fat_at
    table = bytearray(image)
    table[at + 3 : at + 6] = b"\x02\x40\x00"  # cluster 2 leads to itself, 3 to 4
    fs = Fat(bytes(table))
    with pytest.raises(DamagedError, match="'a' is damaged: the chain of its clusters is a circle"):
        fs.read("a")
    assert fs.read("b") == b"b" * 9000
    with pytest.raises(DamagedError, match="circle"):
        fs.write("new", b"")
    for n in (3, 4, 5):
        cut = bytearray(image)
        cut[at + n] ^= 0xFF
        with pytest.raises(DamagedError, match=r"is damaged|share a cluster"):
            Fat(bytes(cut)).write("new", b"")
