# SPDX-License-Identifier: Apache-2.0
"""The step `recipe`: what is burned on a board, and what of it stands in the records."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

import espsecure
from esp_station.export import csv_lines
from esp_station.job import read_job
from esp_station.model import Slot
from esp_station.records import FAIL, PASS, Query
from espefuse import schema
from espefuse.recipe.sealing import make_owner, unseal
from esptool.errors import FatalError
from esptool.virtual.board import NAMED
from esptool.virtual.efuse import EfuseController

from .support import Line, mac_of, run_line, write_job

CHIP = "esp32c3"
HMAC = bytes(range(100, 132))
HEAD = """
product = "lamp"
chip = "esp32c3"
partition-table = "partitions.csv"
[images]
factory = "app.bin"
[data]
rows = "boards.csv"
key = "serial"
"""
STEPS = """
[[step]]
do = "nvs"
values = { "app.serial" = "{row.serial}" }
[[step]]
do = "recipe"
file = "product.toml"
[[step]]
do = "verify"
"""
RECIPE = """
recipe = 1
chips = ["esp32c3"]
jtag = "closed"
[secure-boot]
digests = ["signing.pem"]
[flash-encryption]
mode = "development"
key = "each board"
[[keys]]
purpose = "HMAC_UP"
key = "hmac.bin"
[fields]
UART_PRINT_CONTROL = 1
[owner]
public-key = "owner.pub"
folder = "keys"
"""


@pytest.fixture(scope="module")
def signing(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """A key for secure boot, and the digest of its public half."""
    folder = tmp_path_factory.mktemp("signing")
    key, digest = folder / "key.pem", folder / "digest.bin"
    espsecure.main(["generate-signing-key", "--version", "2", "--scheme", "rsa3072", str(key)])
    espsecure.main(["digest-sbv2-public-key", "--keyfile", str(key), "--output", str(digest)])
    return key.read_bytes(), digest.read_bytes()


@pytest.fixture
def job(tmp_path: Path, signing: tuple[bytes, bytes]) -> Path:
    """A job with such a step, and the files of its recipe."""
    private, public = make_owner()
    (tmp_path / "owner.pem").write_bytes(private)
    (tmp_path / "owner.pub").write_bytes(public)
    (tmp_path / "signing.pem").write_bytes(signing[0])
    (tmp_path / "hmac.bin").write_bytes(HMAC)
    (tmp_path / "product.toml").write_text(RECIPE)
    return write_job(tmp_path, STEPS, HEAD)


class Stuck(dict[int, int]):
    """Bits that no command turns on."""

    def pop(self, key: int, default: int = 0) -> int:  # type: ignore[override]
        """They stay."""
        return self.get(key, default)


def slots(*numbers: int) -> list[Slot]:
    """Boards of the chip that the recipe is for."""
    more = "stub=model&timing=virtual"
    return [
        Slot(str(n), port=f"virtual://{CHIP}?name=recipe-{n}&mac={mac_of(n)}&{more}")
        for n in numbers
    ]


def controller(number: int) -> EfuseController:
    """The eFuses of a board, to look behind read protection."""
    found = NAMED[f"recipe-{number}"].soc.efuse
    assert found is not None
    return found


def field(number: int, name: str) -> int:
    """A field of a board as it is burned."""
    told = schema.load(CHIP).field(name)
    assert told.bit is not None
    return int.from_bytes(controller(number).burned[told.block], "little") >> told.bit & told.mask


def block(number: int, name: str) -> bytes:
    """A key block of a board as it is burned."""
    return bytes(controller(number).burned[schema.load(CHIP).block(name).index])


def burned(number: int) -> dict[int, bytes]:
    """All of a board."""
    return {index: bytes(data) for index, data in controller(number).burned.items()}


def board_key(folder: Path, number: int) -> bytes:
    """The flash encryption key of a board, opened by its owner."""
    [sealed] = folder.glob(f"keys/*{mac_of(number).replace(':', '')}*.sealed.json")
    return unseal(sealed, (folder / "owner.pem").read_bytes())


def test_boards_pass_with_their_efuses_burned_and_on_record(
    job: Path, tmp_path: Path, signing: tuple[bytes, bytes]
) -> None:
    line = Line(job, slots(1, 2))
    done = line.run()
    exported = "".join(csv_lines(line.book.find(Query())))
    line.close()
    keys = {number: board_key(tmp_path, number) for number in (1, 2)}
    assert keys[1] != keys[2]
    for number, key in keys.items():
        attempt = done[str(number)]
        assert attempt.result == PASS, attempt.log
        # On the board.
        assert field(number, "SECURE_BOOT_EN") == 1
        assert field(number, "SPI_BOOT_CRYPT_CNT") == 1
        assert field(number, "DIS_PAD_JTAG") == 1
        assert field(number, "UART_PRINT_CONTROL") == 1
        stored = [block(number, f"BLOCK_KEY{n}") for n in range(3)]
        assert sorted(stored) == sorted([key[::-1], signing[1], HMAC])
        # On record.
        assert {"SECURE_BOOT_EN = 1", "UART_PRINT_CONTROL = 1"} <= set(attempt.fuses)
        assert any("XTS_AES_128_KEY" in piece for piece in attempt.fuses)
        digests = {attempt.digests[p] for p in ("SECURE_BOOT_DIGEST0", "HMAC_UP")}
        assert digests == {sha256(signing[1]), sha256(HMAC)}
        assert attempt.digests["XTS_AES_128_KEY"] == sha256(key)
        assert [s["step"] for s in attempt.steps] == ["connect", "nvs", "recipe", "verify"]
    kept = b"".join(p.read_bytes() for p in tmp_path.glob("station.db*"))
    told = (kept.decode("latin-1") + exported + repr(line.events)).lower()
    assert "secure_boot_en = 1" in told
    for secret in (*keys.values(), HMAC):
        for form in (secret, secret[::-1]):
            assert form not in kept
            assert form.hex() not in told
            assert form.hex(" ") not in told


def test_a_board_that_comes_again_is_burned_no_more(job: Path) -> None:
    [first] = run_line(job, slots(3)).values()
    before = burned(3)
    again = run_line(job, slots(3))["3"]
    assert (first.result, again.result) == (PASS, PASS), again.log
    assert again.id != first.id
    assert burned(3) == before
    assert again.fuses == []
    # Which keys it has is on record all the same.
    digests = ("SECURE_BOOT_DIGEST0", "HMAC_UP", "XTS_AES_128_KEY")
    assert {k: again.digests[k] for k in digests} == {k: first.digests[k] for k in digests}


def test_what_was_burned_before_a_failure_is_on_record(job: Path) -> None:
    recipe = job.parent / "product.toml"
    whole = recipe.read_text()
    recipe.write_text("recipe = 1\n[fields]\nVDD_SPI_AS_GPIO = 1\n")
    assert run_line(job, slots(4))["4"].result == PASS
    recipe.write_text(whole)
    told = schema.load(CHIP).field("DIS_PAD_JTAG")
    assert told.bit is not None
    controller(4).weak = Stuck({told.block: 1 << told.bit})
    failed = run_line(job, slots(4))["4"]
    assert (failed.result, failed.failed_step) == (FAIL, "recipe")
    assert field(4, "SECURE_BOOT_EN") == 1
    assert "SECURE_BOOT_EN = 1" in failed.fuses
    assert "DIS_PAD_JTAG = 1 (not proven)" in failed.fuses
    assert field(4, "UART_PRINT_CONTROL") == 0 or "UART_PRINT_CONTROL" in str(failed.fuses)


def test_a_recipe_for_another_chip_is_refused_before_the_first_board(job: Path) -> None:
    recipe = job.parent / "product.toml"
    recipe.write_text(RECIPE.replace("UART_PRINT_CONTROL", "UART_PRINT_CONTRO"))
    with pytest.raises(FatalError, match="UART_PRINT_CONTROL"):
        read_job(str(job), slots(5))
    recipe.unlink()
    with pytest.raises(FatalError, match=r"product\.toml"):
        read_job(str(job), slots(5))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('do = "nvs"', 'do = "write"\n[[step]]\ndo = "nvs"', "no board would start"),
        ("{row.batch}", "{row.bach}", "Did you mean 'batch'"),
        ("", "", "'b0'"),
    ],
)
def test_what_a_job_and_its_recipe_do_not_agree_on_is_told_before_the_first_board(
    job: Path, old: str, new: str, said: str
) -> None:
    recipe = job.parent / "product.toml"
    text = RECIPE.replace("[secure-boot]", 'custom-mac = "{row.batch}"\n[secure-boot]')
    recipe.write_text(text.replace(old, new))
    job.write_text(job.read_text().replace(old, new))
    with pytest.raises(FatalError, match=re.escape(said)):
        read_job(str(job), slots(6))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
