# SPDX-License-Identifier: Apache-2.0
"""`flash` on boards in every state of security, chip by chip: the right path, or why there is none.

The eFuses are burned by recipes, as on a line; what the chip encrypted is opened by espsecure's
own reading of the key file.
"""

from __future__ import annotations

import io
from pathlib import Path

import pytest

import espsecure
from espefuse import init_commands
from espefuse.recipe import apply, read
from esptool.storage.partitions import PartitionTable
from tests.builds import shapes
from tests.builds.support import Desk

Capture = pytest.CaptureFixture[str]
CHIPS = ("esp32", "esp32s2", "esp32s3", "esp32c2", "esp32c3", "esp32c6", "esp32h2", "esp32p4")
#: ESP32 has no secure download mode.
LOCKABLE = CHIPS[1:]
KEY = bytes(range(1, 33))
CSV = shapes.OTA + "secret,data,0x40,,16K,encrypted\n"


def _build(folder: Path, chip: str, *, encrypted: bool) -> shapes.Shape:
    data = {"storage": bytes(5000), "secret": bytes(64)}
    return shapes.idf(folder, chip, csv=CSV, encrypted=encrypted, data=data)


def _burn(desk: Desk, folder: Path, *, mode: str = "", download: str = "open") -> None:
    (folder / "key.bin").write_bytes(KEY)
    lines = ["recipe = 1", f'download-mode = "{download}"']
    if mode:
        lines += ["[flash-encryption]", f'mode = "{mode}"', 'key = "key.bin"']
    (folder / "product.toml").write_text("\n".join(lines))
    with init_commands(port=desk.url, do_not_confirm=True) as commands:
        apply(commands, read(str(folder / "product.toml")))


def _opened(chip: str, address: int, data: bytes) -> bytes:
    out = io.BytesIO()
    espsecure.decrypt_flash_data(
        io.BytesIO(KEY), out, address, 0xF, chip != "esp32", io.BytesIO(data)
    )
    return out.getvalue()


@pytest.mark.parametrize("chip", CHIPS)
def test_a_board_is_flashed_in_plain_then_encrypted_and_refused_once_it_is_released(
    chip: str, tmp_path: Path, capsys: Capture
) -> None:
    desk = Desk(capsys, chip)
    shape = _build(tmp_path, chip, encrypted=True)
    assert "off on this chip" in desk("flash", shape.path)
    _has_build(desk, chip, plain=True)

    _burn(desk, tmp_path, mode="development")
    assert "the chip encrypts what the build says" in desk("flash", shape.path)
    _has_build(desk, chip, plain=False)

    _burn(desk, tmp_path, mode="release")
    text = desk.refused("flash", shape.path)
    assert "release mode" in text
    assert "over the air" in text


def _has_build(desk: Desk, chip: str, *, plain: bool, as_built: bool = False) -> None:
    # Where the chip is locked, the header is left as the build has it.
    frequency = shapes.FREQUENCIES.get(chip, "40m")
    boot = shapes.boot(chip) if as_built else shapes.boot(chip, flash_freq=frequency)
    places = {
        shapes.PLACES[chip][0]: boot,
        0x8000: PartitionTable.from_csv(CSV).to_bytes(),
        0x10000: shapes.app(chip),
    }
    for at, wanted in places.items():
        padded = -(-len(wanted) // 32) * 32
        raw = desk.flash(at, padded)
        assert (raw[: len(wanted)] == wanted) is plain, hex(at)
        if not plain:
            assert _opened(chip, at, raw)[: len(wanted)] == wanted, hex(at)
    assert desk.flash(0x90000, 5000) == bytes(5000)


@pytest.mark.parametrize("chip", LOCKABLE)
def test_in_secure_download_mode_a_plain_board_is_written_and_an_encrypted_one_refused(
    chip: str, tmp_path: Path, capsys: Capture
) -> None:
    shape = _build(tmp_path, chip, encrypted=False)
    desk = Desk(capsys, chip)
    _burn(desk, tmp_path, download="secure")
    assert "no revision" in desk("flash", shape.path)
    _has_build(desk, chip, plain=True, as_built=True)
    locked = Desk(capsys, chip)
    _burn(locked, tmp_path, mode="release", download="secure")
    text = locked.refused("flash", shape.path)
    assert "secure download mode" in text
    assert "over the air" in text


@pytest.mark.parametrize("chip", CHIPS)
def test_without_a_download_mode_the_error_says_so(
    chip: str, tmp_path: Path, capsys: Capture
) -> None:
    shape = _build(tmp_path, chip, encrypted=False)
    # C2's log is at the usual rate with this crystal only, and it is the log that tells.
    desk = Desk(capsys, chip, **({"crystal": "40"} if chip == "esp32c2" else {}))
    _burn(desk, tmp_path, download="off")
    text = desk.refused("--connect-attempts", "1", "flash", shape.path)
    assert "download mode" in text
