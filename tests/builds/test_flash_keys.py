# SPDX-License-Identifier: Apache-2.0
"""`flash` beside the key digests of secure boot in the eFuses, chip by chip.

Keys, signatures and burns are those of the other two programs, which know the places by their own
tables.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import espefuse
import espsecure
from esptool import chips
from esptool.chips.spec import KeyCheck
from tests.builds import shapes
from tests.builds.support import Desk

Capture = pytest.CaptureFixture[str]
CHIPS = [key for key in chips.KEYS if chips.get(key).security.key_check is not KeyCheck.NONE]
KEYS = ("right", "wrong", "revoked")
#: By the chip: the words of the burn, and the bit that turns secure boot on.
_BURNS = {
    "esp32": (["{right}"], "ABS_DONE_1"),
    "esp32c2": (["{right}"], "SECURE_BOOT_EN"),
}
_BY_PURPOSE = (
    [
        "BLOCK_KEY1",
        "{revoked}",
        "SECURE_BOOT_DIGEST0",
        "BLOCK_KEY3",
        "{right}",
        "SECURE_BOOT_DIGEST2",
    ],
    "SECURE_BOOT_EN",
)


#: The model of this ROM lacks the way by which a stub gets in where secure boot is on.
_STUBLESS = {"esp32s3"}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Paths of three keys of each scheme."""
    folder = tmp_path_factory.mktemp("keys")
    made: dict[str, dict[str, str]] = {}
    for scheme in ("rsa3072", "ecdsa256"):
        made[scheme] = {name: str(folder / f"{scheme}-{name}.pem") for name in KEYS}
        for path in made[scheme].values():
            espsecure.main(["generate-signing-key", "-v", "2", "-s", scheme, path])
    return made


@pytest.mark.parametrize("chip", CHIPS)
def test_flash_takes_the_key_whose_digest_espefuse_burned_and_no_other(
    chip: str, keys: dict[str, dict[str, str]], tmp_path: Path, capsys: Capture
) -> None:
    mine = keys["rsa3072" if chip == "esp32" else "ecdsa256"]
    words, enable = _BURNS.get(chip, _BY_PURPOSE)
    desk = Desk(capsys, chip)
    desk("flash-id")
    _espefuse(desk, "burn-key-digest", *(word.format(**mine) for word in words))
    _espefuse(desk, "burn-efuse", enable, "1")
    if chip not in _BURNS:
        _espefuse(desk, "burn-efuse", "SECURE_BOOT_KEY_REVOKE0", "1")
    shape = shapes.idf(tmp_path, chip, csv=shapes.OTA, bootloader=False)
    plain = (tmp_path / "demo.bin").read_bytes()
    desk.load({shapes.PLACES[chip][0]: shapes.boot(chip)})
    line = [*(["--no-stub"] if chip in _STUBLESS else []), "flash", shape.path]
    assert "not signed" in desk.refused(*line)
    for name in ("wrong", *(["revoked"] if chip not in _BURNS else [])):
        _sign(tmp_path, plain, mine[name])
        assert "not signed by a key that the chip takes" in desk.refused(*line)
    _sign(tmp_path, plain, mine["right"])
    desk(*line)
    assert desk.flash(0x10000, len(plain)) == plain


def _espefuse(desk: Desk, *words: str) -> None:
    espefuse.main(["--port", desk.url, "--do-not-confirm", *words])


def _sign(folder: Path, plain: bytes, key: str) -> None:
    (folder / "plain.bin").write_bytes(plain)
    out = folder / "demo.bin"
    espsecure.main(["sign-data", "-v", "2", "-k", key, "-o", str(out), str(folder / "plain.bin")])
