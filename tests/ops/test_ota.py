# SPDX-License-Identifier: Apache-2.0
"""OTA: what boots, the next slot written and chosen; a board boots whatever is cut short."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from esptool import ops
from esptool.device import connect
from esptool.errors import FatalError
from esptool.ops.ota import find_slot, ota_boot, ota_erase, ota_status, ota_write
from esptool.ops.places import DeviceFlash, Flash, opened_file
from esptool.storage.otadata import OtaData
from esptool.storage.partitions import PartitionTable
from esptool.transport.settings import Settings
from esptool.virtual.board import NAMED
from tests.ops.support import Log, placeholder, session, url
from tests.support.apps import app

WITH_FACTORY = "otadata,data,ota,,8K\nfactory,app,factory,,64K\nota_0,app,ota_0,,64K\n"
WITH_FACTORY += "ota_1,app,ota_1,,64K\nota_2,app,ota_2,,64K"
WITHOUT = "otadata,data,ota,,8K\nota_0,app,ota_0,,64K\nota_1,app,ota_1,,64K"
THREE = f"{WITHOUT}\nota_2,app,ota_2,,64K"
OLD, NEW = app(version="old"), app(version="new", size=12000)


def flash_of(csv: str, apps: dict[str, bytes], otadata: OtaData | None = None) -> bytes:
    """The content of a flash with these applications."""
    table = PartitionTable.from_csv(csv)
    content = bytearray(b"\xff" * 0x80000)
    content[0x8000 : 0x8000 + 0xC00] = table.to_bytes()
    where = table.otadata
    if where is not None and otadata is not None:
        content[where.offset : where.end] = otadata.to_bytes()
    for name, image in apps.items():
        content[table[name].offset :][: len(image)] = image
        content[table[name].offset : table[name].offset + len(image)] = image
    return bytes(content)


def selecting(slot: int, slots: int, times: int = 1) -> OtaData:
    """OTA data after so many switches, the last one to `slot`."""
    data = OtaData.blank()
    for left in reversed(range(times)):
        data = data.switched((slot - left) % slots, slots)
    return data


def booted(csv: str, content: bytes) -> bytes | None:
    """What a boot loader starts without falling back: None where its first choice is not whole.

    Made of the rules of ESP-IDF's boot loader, not of the tool's code.
    """
    table = {p.name: p for p in PartitionTable.from_csv(csv)}
    data = content[table["otadata"].offset :]
    best = 0
    for at in (0, 0x1000):
        number, state, crc = struct.unpack_from("<I20xII", data, at)
        good = crc == zlib.crc32(struct.pack("<I", number), 0xFFFFFFFF)
        if good and number != 0xFFFFFFFF and state not in (3, 4):
            best = max(best, number)
    slots = sorted(name for name in table if name.startswith("ota_"))
    first = slots[(best - 1) % len(slots)] if best else "factory"
    place = table.get(first, table["ota_0"])
    stored = content[place.offset : place.end]
    return next((image for image in (OLD, NEW) if stored.startswith(image)), None)


@contextmanager
def opened(kind: str, content: bytes, folder: Path, **options: object) -> Iterator[Flash]:
    """That content on a device or in a dump; what it holds at the end is in `folder/after`."""
    if kind == "dump":
        path = folder / "after"
        path.write_bytes(content)
        with opened_file(str(path)) as flash:
            yield flash
        return
    stub = "public" if kind == "public" else "model"
    place = url("esp32s3", stub=stub, **options)
    with session("esp32s3", stub=kind != "rom", place=place) as s:
        cells = NAMED[place.partition("name=")[2].partition("&")[0]].nor.cells
        cells.load(content)
        ops.attach_flash(s)
        try:
            yield DeviceFlash(s, listener=Log())
        finally:
            (folder / "after").write_bytes(cells.read(0, len(content)))


KINDS = ("stub", "rom", "public", "dump")


@pytest.mark.parametrize("kind", KINDS)
def test_updates_take_one_slot_after_the_other(kind: str, tmp_path: Path) -> None:
    content = flash_of(WITH_FACTORY, {"factory": OLD})
    with opened(kind, content, tmp_path) as flash:
        assert [s.partition.name for s in ota_status(flash).slots if s.boots] == ["factory"]
        for number, slot in enumerate(("ota_0", "ota_1", "ota_2", "ota_0")):
            image = app(version=f"v{number}")
            assert ota_write(flash, image).name == slot
            status = ota_status(flash)
            assert status.boots is not None
            assert status.boots.partition.name == slot
            assert status.boots.content.app is not None
            assert status.boots.content.app.version == f"v{number}"
            assert flash.place(slot).read(0, len(image)) == image
    after = (tmp_path / "after").read_bytes()
    table = PartitionTable.from_csv(WITH_FACTORY)
    otadata = table["otadata"]
    wanted = OtaData.blank()
    for slot_number in (0, 1, 2, 0):
        wanted = wanted.switched(slot_number, 3)
    assert after[otadata.offset : otadata.end] == wanted.to_bytes()
    assert (
        after[table["factory"].offset : table["factory"].end]
        == content[table["factory"].offset : table["factory"].end]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_slot_is_chosen_by_name_or_number_and_the_choice_taken_back(
    kind: str, tmp_path: Path
) -> None:
    content = flash_of(WITH_FACTORY, {"factory": OLD, "ota_0": OLD, "ota_1": NEW})
    with opened(kind, content, tmp_path) as flash:
        for slot, name in (("ota_1", "ota_1"), ("0", "ota_0"), ("factory", "factory")):
            ota_boot(flash, slot)
            status = ota_status(flash).boots
            assert status is not None
            assert status.partition.name == name
        ota_boot(flash, "1")
        ota_erase(flash)
    after = (tmp_path / "after").read_bytes()
    assert after == content


def test_without_a_factory_app_the_slot_that_boots_is_not_the_next_one(tmp_path: Path) -> None:
    with opened("dump", flash_of(WITHOUT, {"ota_0": OLD}), tmp_path) as flash:
        assert ota_write(flash, NEW).name == "ota_1"


def test_the_slot_after_the_one_that_boots_in_fact_is_taken(tmp_path: Path) -> None:
    content = flash_of(WITHOUT, {"ota_0": OLD}, selecting(1, 2))
    with opened("dump", content, tmp_path) as flash:
        status = ota_status(flash)
        assert status.boots is not None
        assert status.boots.partition.name == "ota_0"
        assert "goes on to 'ota_0'" in status.why
        assert ota_write(flash, NEW).name == "ota_1"


def test_a_slot_can_be_written_without_a_switch(tmp_path: Path) -> None:
    content = flash_of(WITH_FACTORY, {"factory": OLD})
    with opened("dump", content, tmp_path) as flash:
        ota_write(flash, NEW, slot="2", switch=False)
        status = ota_status(flash)
    assert status.boots is not None
    assert status.boots.partition.name == "factory"
    assert [s.content.kind for s in status.slots] == ["image", "blank", "blank", "image"]


GOOD = flash_of(WITHOUT, {"ota_0": OLD})


def broken(at: int) -> bytes:
    image = bytearray(NEW)
    image[at] ^= 1
    return bytes(image)


WRONG_IMAGES: list[tuple[bytes, dict[str, Any], str]] = [
    (app("esp32c3"), {}, "is for ESP32-C3, this is an ESP32-S3"),
    (app(min_rev=300), {"rev": "v0.2"}, "requires chip revision v3.0 or higher"),
    (app(secure_version=1), {"efuse": "0x6000703c:0xc000"}, "secure version 1, .* none below 2"),
    (app(), {"efuse": "secure_boot:1"}, "is not signed, and secure boot is on"),
    (broken(5000), {}, "its checksum is wrong"),
    (broken(-1), {}, "its SHA-256 digest is wrong"),
    (NEW[:5000], {}, "is damaged: End of file"),
    (b"\x7fELF" + bytes(100), {}, "not a valid image"),
    (b"", {}, "empty"),
    (app(size=0x10000), {}, r"does not fit 'ota_1', which has 65536"),
]


@pytest.mark.parametrize(("image", "options", "words"), WRONG_IMAGES)
def test_an_image_that_would_not_boot_is_refused_before_anything_is_written(
    image: bytes, options: dict[str, Any], words: str, tmp_path: Path
) -> None:
    kind = "rom" if "secure_boot" in str(options) else "stub"
    with opened(kind, GOOD, tmp_path, **options) as flash, pytest.raises(FatalError, match=words):
        ota_write(flash, image, name="app.bin")
    assert (tmp_path / "after").read_bytes() == GOOD


def test_a_secure_version_that_is_high_enough_is_taken(tmp_path: Path) -> None:
    with opened("stub", GOOD, tmp_path, efuse="0x6000703c:0xc000") as flash:
        ota_write(flash, app(secure_version=2))


@pytest.mark.parametrize("image", [app("esp32c3"), app(min_rev=300)])
def test_force_writes_what_does_not_suit(image: bytes, tmp_path: Path) -> None:
    with opened("stub", GOOD, tmp_path, rev="v0.2") as flash:
        assert ota_write(flash, image, force=True).name == "ota_1"


WRONG_JOBS: list[tuple[str, dict[str, bytes], str, str]] = [
    ("factory,app,factory,,64K", {}, "write", "no partition for OTA data"),
    ("otadata,data,ota,,8K\nfactory,app,factory,,64K", {}, "write", "has no OTA slots"),
    ("otadata,data,ota,,4K\nota_0,app,ota_0,,64K", {}, "write", "too small for OTA data"),
    ("otadata,data,ota,,8K\nota_0,app,ota_0,,64K", {"ota_0": OLD}, "write", "slot that boots"),
    (WITHOUT, {"ota_0": OLD}, "write 0", "is the slot that boots"),
    (WITHOUT, {"ota_0": OLD}, "write 7", "no slot '7'.*There are: ota_0, ota_1"),
    (WITH_FACTORY, {"factory": OLD}, "write factory", "is not an OTA slot"),
    (WITHOUT, {"ota_0": OLD}, "boot 1", "no application to boot in 'ota_1': it is blank"),
    (WITHOUT, {"ota_1": app("esp32c3")}, "boot 1", "the image is for ESP32-C3"),
    (WITHOUT, {"ota_1": b"text"}, "boot 1", "there is something else"),
    (WITHOUT, {"ota_0": OLD}, "boot factory", "no slot 'factory'"),
    (
        "otadata,data,ota,,8K\nota_0,app,ota_0,,64K\nota_2,app,ota_2,,64K",
        {"ota_2": OLD},
        "boot 2",
        "counts 2 slots, so it never starts 'ota_2'",
    ),
]


@pytest.mark.parametrize(("csv", "apps", "job", "words"), WRONG_JOBS)
def test_a_job_that_cannot_be_done_safely_is_refused(
    csv: str, apps: dict[str, bytes], job: str, words: str, tmp_path: Path
) -> None:
    content = flash_of(csv, apps)
    verb, _, slot = job.partition(" ")
    with opened("stub", content, tmp_path) as flash:
        run: dict[str, Callable[[], object]] = {
            "write": lambda: ota_write(flash, NEW, slot=slot or None)
        }
        with pytest.raises(FatalError, match=f"(?s){words}"):
            run.get(verb, lambda: ota_boot(flash, slot))()
    assert (tmp_path / "after").read_bytes() == content


def test_encrypted_ota_data_are_called_that(tmp_path: Path) -> None:
    match = "'otadata' is encrypted by the chip"
    options = {"efuse": "crypt_count:1"}
    with opened("stub", GOOD, tmp_path, **options) as flash, pytest.raises(FatalError, match=match):
        ota_status(flash)


def test_the_name_of_a_partition_comes_before_that_of_its_subtype() -> None:
    table = PartitionTable.from_csv("ota_1,app,ota_0,,64K\nother,app,ota_1,,64K")
    assert find_slot(table, "ota_1").ota_slot == 0
    assert find_slot(table, "1").ota_slot == 1


def test_an_app_that_is_still_on_trial_is_noted(tmp_path: Path) -> None:
    trial = bytearray(selecting(0, 2).to_bytes())
    trial[24:28] = struct.pack("<I", 1)
    content = flash_of(WITHOUT, {"ota_0": OLD}, OtaData.from_bytes(bytes(trial)))
    log = Log()
    with opened("dump", content, tmp_path) as flash:
        assert "goes back from it" in ota_status(flash).why
        ota_write(flash, NEW, listener=log)
    assert "PENDING_VERIFY" in log.text


def test_names_of_slots_are_found_by_label_subtype_and_number() -> None:
    table = PartitionTable.from_csv("app0,app,ota_0,,64K\napp1,app,ota_1,,64K")
    assert [find_slot(table, t).name for t in ("app1", "ota_1", "1")] == ["app1"] * 3


# --- cut short -----------------------------------------------------------------------------------

#: Every step, not one of twenty, where this is set: two minutes.
WHOLE_SWEEP = bool(os.environ.get("ESPTOOL_OTA_SWEEP"))
ONCE = Settings(timeout=0.3, sync_timeout=0.05, retries=0, reappear_timeout=0.1)
Job = Callable[[Flash], object]


def update(flash: Flash) -> object:
    return ota_write(flash, NEW)


#: What is in flash, what is done, and what boots when that is done.
STARTS: dict[str, tuple[str, bytes, Job, bytes]] = {
    "factory": (WITH_FACTORY, flash_of(WITH_FACTORY, {"factory": OLD}), update, NEW),
    "first of two": (WITHOUT, flash_of(WITHOUT, {"ota_0": OLD}), update, NEW),
    "second of two": (
        *(WITHOUT, flash_of(WITHOUT, {"ota_1": OLD}, selecting(1, 2, 3))),
        *(update, NEW),
    ),
    "only entry": (THREE, flash_of(THREE, {"ota_1": OLD}, selecting(1, 3)), update, NEW),
    "old and older": (
        *(WITHOUT, flash_of(WITHOUT, {"ota_0": OLD, "ota_1": OLD}, selecting(0, 2, 5))),
        *(update, NEW),
    ),
    "another slot": (
        *(THREE, flash_of(THREE, {"ota_1": OLD, "ota_2": NEW}, selecting(1, 3))),
        *(lambda flash: ota_boot(flash, "2"), NEW),
    ),
    "back to the factory": (
        WITH_FACTORY,
        flash_of(WITH_FACTORY, {"factory": NEW, "ota_1": OLD}, selecting(1, 3, 2)),
        *(ota_erase, NEW),
    ),
}
_names = count()


def cut_short(start: str, fault: str, *, stub: bool) -> tuple[bool, bytes | None]:
    """Whether an update with that fault was reported done, and what boots afterwards."""
    csv, content, job, _wanted = STARTS[start]
    name = f"cut-{next(_names)}"
    done = False
    place = f"virtual://esp32s3?name={name}&stub=model&timing=virtual&fault={fault}"
    try:
        with connect(place, chip="esp32s3", listener=Log(), settings=ONCE) as s:
            s.recover = None
            cells = NAMED[name].nor.cells
            cells.load(content)
            if stub:
                s.run_stub(placeholder(s.spec))
                s.power.change_baud(2_000_000)
            ops.attach_flash(s)
            job(DeviceFlash(s, listener=Log()))
            done = True
    except FatalError:
        pass
    board = NAMED.pop(name)
    return done, booted(csv, bytes(board.nor.cells.read(0, len(content))))


def steps(start: str) -> list[str]:
    """Power cuts in every erase and program, and the line cut off at many places."""
    csv, _content, _job, _wanted = STARTS[start]
    table = PartitionTable.from_csv(csv)
    places = [p for p in table if p.name != "factory"]
    found = []
    for p in places:
        used = 0x2000 if p.name == "otadata" else len(NEW)
        sectors = range(p.offset, p.offset + used, 0x1000)
        pages = range(p.offset, p.offset + used, 0x100 if p.name != "otadata" else 0x1000)
        found += [f"powercut:{at}" for at in sectors]
        found += [f"brownout:{at + 16}" for at in pages]
    found += [f"drop:{at}" for at in range(2000, 26000, 150)]
    otadata = table["otadata"]
    at_data = [f for f in found if _place(f) in range(otadata.offset, otadata.end)]
    rest = [f for f in found if f not in at_data]
    return at_data + (rest if WHOLE_SWEEP else rest[list(STARTS).index(start) :: 20])


def _place(fault: str) -> int:
    kind, _, at = fault.partition(":")
    return -1 if kind == "drop" else int(at)


@pytest.mark.parametrize("start", STARTS)
def test_a_board_boots_whatever_is_cut_short(start: str) -> None:
    csv, content, _job, wanted = STARTS[start]
    assert booted(csv, content) == OLD
    outcomes = set()
    for fault in steps(start):
        for stub in (True, False) if WHOLE_SWEEP or "drop" not in fault else (True,):
            done, image = cut_short(start, fault, stub=stub)
            assert image is not None, f"{fault} leaves the boot loader with a broken choice"
            assert image == wanted or not done, f"{fault}: reported as done"
            outcomes.add((done, image == wanted))
    assert (False, False) in outcomes, "nothing was cut short"
    assert cut_short(start, "drop:900000", stub=True) == (True, wanted)
