# SPDX-License-Identifier: Apache-2.0
"""Flash that is written encrypted between the stages of a recipe, and starts at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from esp_station.job import read_job
from esp_station.model import Slot
from esp_station.records import FAIL, PASS, Attempt
from espefuse.recipe.sealing import make_owner
from esptool import chips
from esptool.errors import FatalError
from esptool.virtual.board import NAMED
from tests.support.programs import program

from .support import APP_AT, NVS_AT, mac_of, run_line, write_rows

CHIPS = ("esp32", "esp32s3", "esp32c3", "esp32c6")
PARTITIONS = """\
nvs,      data, nvs,      0x9000,  16K
keys,     data, nvs_keys, 0xd000,  4K
factory,  app,  factory,  0x10000, 512K
"""
TABLE_AT, KEYS_AT = 0x8000, 0xD000
HEAD = """
product = "lock"
chip = "CHIP"
partition-table = "partitions.csv"
[images]
bootloader = "boot.bin"
partition-table = "partitions.csv"
factory = "app.bin"
[data]
rows = "boards.csv"
key = "serial"
"""
KEYS = """
[[step]]
do = "recipe"
file = "product.toml"
until = "keys"
"""
WRITE = """
[[step]]
do = "write"
encrypt = true
"""
NVS = """
[[step]]
do = "nvs"
values = { "app.serial" = "{row.serial}" }
keys-partition = "keys"
"""
REST = """
[[step]]
do = "recipe"
file = "product.toml"
"""
BOOT = """
[[step]]
do = "boot"
expect = ["^lock is ready"]
"""
END = (
    """
[[step]]
do = "verify"
"""
    + BOOT
)
RECIPE = """
recipe = 1
jtag = "closed"
[flash-encryption]
mode = "release"
key = "KEY"
[owner]
public-key = "owner.pub"
folder = "keys"
"""


def make_job(folder: Path, chip: str, steps: str, key: str = "each board") -> Path:
    """A job for a chip with its recipe and images."""
    write_rows(folder, 20)
    _private, public = make_owner()
    (folder / "owner.pub").write_bytes(public)
    (folder / "flash.key").write_bytes(bytes(range(32)))
    (folder / "product.toml").write_text(RECIPE.replace("KEY", key))
    (folder / "partitions.csv").write_text(PARTITIONS)
    for name in ("boot.bin", "app.bin"):
        (folder / name).write_bytes(program(chip))
    path = folder / "job.toml"
    path.write_text(HEAD.replace("CHIP", chip) + steps)
    return path


def slot(chip: str, number: int, name: str) -> Slot:
    """A board that tells when its program runs."""
    more = "stub=model&timing=virtual&app=lock%20is%20ready" + "&rev=v3.0" * (chip == "esp32")
    url = f"virtual://{chip}?name={name}-{number}&mac={mac_of(number)}&{more}"
    return Slot(str(number), port=url)


def go(job: Path, chip: str, number: int, name: str) -> Attempt:
    """One board through a job."""
    return run_line(job, [slot(chip, number, name)])[str(number)]


def stored(chip: str, number: int, name: str) -> tuple[dict[int, bytes], dict[int, bytes]]:
    """What stands in flash at the images' places, and what the chip reads there."""
    board = NAMED[f"{name}-{number}"]
    places = (chips.get(chip).flash.bootloader_offset, TABLE_AT, APP_AT, KEYS_AT, NVS_AT)
    raw = {at: board.nor.cells.read(at, 0x60) for at in places}
    return raw, {at: board.soc.read_program(at, 0x60) for at in places}


@pytest.mark.parametrize("key", ["each board", "flash.key"])
@pytest.mark.parametrize("chip", CHIPS)
def test_boards_start_from_flash_that_was_encrypted_between_the_stages(
    tmp_path: Path, chip: str, key: str
) -> None:
    job = make_job(tmp_path, chip, KEYS + WRITE + NVS + REST + END, key)
    done = go(job, chip, 1, f"crypt-{key[:4]}-{chip}")
    assert done.result == PASS, done.log
    assert NAMED[f"crypt-{key[:4]}-{chip}-1"].soc.flash_encryption
    raw, read = stored(chip, 1, f"crypt-{key[:4]}-{chip}")
    boot = chips.get(chip).flash.bootloader_offset
    for at in (boot, APP_AT):
        assert read[at] == program(chip)[:0x60] != raw[at]
    assert read[TABLE_AT][:2] == b"\xaa\x50" != raw[TABLE_AT][:2]
    # An NVS is never encrypted by the chip, its keys always are.
    assert raw[NVS_AT][:4] in (b"\xfe\xff\xff\xff", b"\xfc\xff\xff\xff")
    assert read[KEYS_AT] != raw[KEYS_AT]
    assert len([name for name in done.digests if name.startswith("encrypted ")]) == 4


@pytest.mark.parametrize("key", ["each board", "flash.key"])
def test_a_board_that_comes_again_is_proven_by_what_is_on_record(tmp_path: Path, key: str) -> None:
    """Its key is sealed by then, and the chip encrypts no more."""
    name = f"again-{key[:4]}"
    job = make_job(tmp_path, "esp32c3", KEYS + WRITE + REST + END, key)
    first = go(job, "esp32c3", 1, name)
    before = stored("esp32c3", 1, name)
    again = go(job, "esp32c3", 1, name)
    assert (first.result, again.result) == (PASS, PASS), again.log
    assert again.id != first.id
    assert again.fuses == []
    assert stored("esp32c3", 1, name) == before
    # What is not what was proven cannot be put right any more.
    NAMED[f"{name}-1"].nor.program(APP_AT + 0x20, bytes(4))
    failed = go(job, "esp32c3", 1, name)
    assert (failed.result, failed.failed_step) == (FAIL, "write")
    assert "encrypt" in (failed.reason or "")


def test_a_board_that_broke_off_behind_its_key_is_encrypted_twice(tmp_path: Path) -> None:
    """Nobody knows its key or what its flash must hold, so that two writes have to agree."""
    job = make_job(tmp_path, "esp32c3", KEYS + BOOT)
    assert go(job, "esp32c3", 1, "broke").failed_step == "boot"
    job.write_text(HEAD.replace("CHIP", "esp32c3") + KEYS + WRITE + REST + BOOT)
    done = go(job, "esp32c3", 1, "broke")
    assert done.result == PASS, done.log
    _raw, read = stored("esp32c3", 1, "broke")
    assert read[APP_AT] == program("esp32c3")[:0x60]


@pytest.mark.parametrize(
    ("steps", "key", "said"),
    [
        (KEYS + WRITE, "each board", "no step turns flash encryption on"),
        (WRITE + KEYS + REST, "each board", "only encrypt between the key"),
        (REST + WRITE, "each board", "only encrypt between the key"),
        (KEYS + REST + WRITE, "each board", "only encrypt between the key"),
        (WRITE, "each board", "only encrypt between the key"),
        (KEYS + WRITE.replace("encrypt = true", "") + REST, "each board", "writes in plain"),
        (WRITE.replace("encrypt = true", "") + REST, "each board", "writes in plain"),
        (WRITE.replace("encrypt = true", "") + REST, "flash.key", "writes in plain"),
        (NVS + KEYS + WRITE + REST, "each board", "'nvs' writes in plain"),
        (KEYS + WRITE + REST + NVS, "flash.key", "'nvs' writes in plain"),
        (KEYS.replace('"keys"', '"kees"') + REST, "flash.key", "Did you mean 'keys'"),
    ],
)
def test_steps_in_an_order_that_would_make_dead_boards_are_refused(
    tmp_path: Path, steps: str, key: str, said: str
) -> None:
    job = make_job(tmp_path, "esp32c3", steps, key)
    with pytest.raises(FatalError) as caught:
        read_job(str(job), [slot("esp32c3", 1, "no")])
    assert said in str(caught.value)


def test_images_that_were_encrypted_with_the_key_file_may_be_written_as_they_are(
    tmp_path: Path,
) -> None:
    job = make_job(tmp_path, "esp32c3", WRITE.replace("encrypt = true", "") + REST, "flash.key")
    job.write_text(
        job.read_text().replace('partition-table = "partitions.csv"\nfactory', "factory")
    )
    for name in ("boot.bin", "app.bin"):
        (tmp_path / name).write_bytes(bytes(range(7, 71)))
    assert read_job(str(job), [slot("esp32c3", 1, "no")]).steps
