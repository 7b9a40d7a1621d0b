# SPDX-License-Identifier: Apache-2.0
"""Chip data: complete, consistent, equal to the facts, and read as the public tool reads it."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from esptool import chips, targets
from esptool.chips.spec import ChipSpec
from esptool.errors import FatalError
from tests.chips import constants
from tests.support import oracle
from tests.support.registers import Registers

CHIPS = [chips.get(k) for k in chips.KEYS]
by_key = pytest.mark.parametrize("chip", CHIPS, ids=chips.KEYS)


def test_chips_are_told_apart() -> None:
    ids = [c.image_chip_id for c in CHIPS if c.image_chip_id is not None]
    magics = [c.rom.magic for c in CHIPS if c.rom.magic is not None]
    assert len(ids) == len(set(ids)) == 14
    assert len(magics) == len(set(magics)) == 3
    assert len({c.uf2_family_id for c in CHIPS if c.key != "esp32e22"}) == 14
    for c in CHIPS:
        if c.image_chip_id is not None:
            assert chips.by_chip_id(c.image_chip_id) is c
    assert chips.by_chip_id(9999) is None


@pytest.mark.parametrize("spelling", ["ESP32-S3", "esp32s3", "esp32-s3", "Esp32S3"])
def test_a_chip_is_found_however_it_is_spelled(spelling: str) -> None:
    assert chips.get(spelling).key == "esp32s3"


def test_an_unknown_chip_names_the_known_ones() -> None:
    with pytest.raises(FatalError, match=r"esp32s9.*esp32c61"):
        chips.get("esp32s9")


def test_chip_data_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        chips.get("esp32").registers["X"] = 1  # type: ignore[index]


# --- compared with the public tool -----------------------------------------------------------


def ours(spec: ChipSpec, words: dict[int, int]) -> dict[str, Any]:
    facts = Registers(spec, words).facts
    asked = {
        "description": lambda: facts.description,
        "features": lambda: facts.features,
        "revision": lambda: facts.revision,
        "mac": lambda: facts.macs.base.hex(),
        "secure_boot": lambda: facts.secure_boot_enabled,
        "encryption": lambda: facts.flash_encryption_enabled,
        "manual_off": lambda: facts.manual_encryption_disabled,
        "key_valid": lambda: facts.encryption_key_valid,
        "crypt_config": lambda: facts.crypt_config,
    }
    out: dict[str, Any] = {}
    for name, fn in asked.items():
        try:
            out[name] = fn()
        except FatalError:
            out[name] = "error FatalError"
    return out


def random_words(spec: ChipSpec, rng: random.Random) -> dict[int, int]:
    """Random registers in the eFuse window; sparse ones as often as dense ones."""
    base = spec.efuse.rd_reg_base if spec.efuse else 0x3FF00050
    extra = [p.address for f in spec.identity.fields.values() for p in f]
    words = {}
    for address in [*range(base, base + 0x180, 4), *extra]:
        word = rng.getrandbits(32)
        words[address] = word if rng.random() < 0.3 else word & rng.getrandbits(32) & 0x11335577
        if rng.random() < 0.3:
            words[address] = 0
    return words


def esp32_revisions() -> list[dict[int, int]]:
    """Registers of every revision that an ESP32 can have, with the bit of secure boot V2 set."""
    combined = chips.get("esp32").identity.fields["rev_combo"]
    (minor,) = chips.get("esp32").identity.fields["minor"]
    cases = []
    for value in range(8):
        for low in range(4):
            words = {0x3FF5A018: 0x20, minor.address: low << minor.shift}
            for part in combined:
                bit = (value >> part.out_shift & 1) << part.shift
                words[part.address] = words.get(part.address, 0) | bit
            cases.append(words)
    return cases


def each_value(spec: ChipSpec) -> list[dict[int, int]]:
    """Registers in which one field has each of its values, and the vendors are known ones."""
    fields = spec.identity.fields
    vendors = [name for name in fields if name.endswith("vendor")]
    cases = []
    for name, parts in fields.items():
        for value in range(min(16, 1 << sum(p.width for p in parts))):
            words: dict[int, int] = {}
            for field, number in [
                *((vendor, 1) for vendor in vendors if vendor != name),
                (name, value),
            ]:
                for p in fields[field]:
                    bits = number >> p.out_shift & ((1 << p.width) - 1)
                    words[p.address] = words.get(p.address, 0) | bits << p.shift
            cases.append(words)
    return cases


def esp32_keys() -> list[dict[int, int]]:
    """Registers of ESP32s with a flash encryption key: hidden or not, with all configurations."""
    return [
        {0x3FF5A000: 0x00100000 | hidden << 16, 0x3FF5A014: config << 28, 0x3FF5A018: scheme}
        for hidden in range(16)
        for config in (0, 1, 0xF)
        for scheme in (0, 1)
    ]


@pytest.mark.oracle
def test_random_registers_mean_the_same_to_us_and_the_public_tool() -> None:
    rng = random.Random(2)
    cases = [(c, random_words(c, rng)) for c in CHIPS for _ in range(60)]
    cases += [(c, words) for c in CHIPS for words in each_value(c)]
    cases += [(chips.get("esp32"), words) for words in (*esp32_revisions(), *esp32_keys())]
    driver = Path(__file__).with_name("identity_oracle.py")
    lines = "".join(json.dumps({"chip": c.key, "words": w}) + "\n" for c, w in cases)
    done = subprocess.run(
        [oracle.python(), driver], input=lines, capture_output=True, text=True, check=True
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(cases)
    different = []
    for (chip, words), theirs in zip(cases, answers, strict=True):
        mine = ours(chip, words)
        for name, value in theirs.items():
            if mine[name] != without_empty_vendor(value) and not unanswerable(value):
                different.append((chip.key, name, value, mine[name]))
    assert different == []


def unanswerable(value: Any) -> bool:
    """The public tool crashes on a chip that has no such thing; ours says no."""
    return isinstance(value, str) and value.startswith("error ") and value != "error FatalError"


def without_empty_vendor(value: Any) -> Any:
    """The public tool shows an unknown vendor as " ()"; ours leaves it out."""
    if isinstance(value, list):
        return [v.removesuffix(" ()") for v in value]
    return value


@pytest.mark.oracle
def test_class_constants_are_those_of_the_public_tool_but_for_corrections() -> None:
    assert constants.of(CHIPS) == []
    for key, names in constants.CORRECTED.items():
        ours = targets.constants(chips.get(key))
        same = [n for n in sorted(names) if ours[n] == constants.theirs()[key].get(n)]
        assert same == [], f"{key}: no correction any more"
