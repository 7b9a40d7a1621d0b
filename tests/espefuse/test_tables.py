# SPDX-License-Identifier: Apache-2.0
"""Every chip's table is sound, and the check finds each kind of mistake."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from espefuse import schema
from espefuse.schema import ChipTable, FieldDef
from tests.espefuse.support import CHIPS

REVISIONS = (0, 101, 300, None)


def test_all_supported_chips_have_a_table() -> None:
    from espefuse import SUPPORTED_CHIPS

    assert sorted(set(SUPPORTED_CHIPS) - {"linux"}) == CHIPS
    assert len(CHIPS) == 14


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("revision", REVISIONS)
def test_a_table_has_no_problems(chip: str, revision: int | None) -> None:
    assert schema.problems(schema.load(chip, revision)) == []


@pytest.mark.parametrize("chip", CHIPS)
def test_every_field_is_described_in_plain_ascii(chip: str) -> None:
    for field in schema.load(chip).fields:
        assert field.description, field.name
        assert field.description.isascii(), field.name
        assert "{" not in field.description, field.name


def test_revisions_choose_the_field_table() -> None:
    old, new = (schema.load("esp32p4", revision) for revision in (0, 300))
    assert {f.name for f in new.fields} > {"KEY_PURPOSE_0_H"}
    assert "KEY_PURPOSE_0_H" not in {f.name for f in old.fields}
    with_k, without = (schema.load("esp32h2", revision) for revision in (101, 102))
    assert "ECDSA_FORCE_USE_HARDWARE_K" in {f.name for f in with_k.fields}
    assert "ECDSA_FORCE_USE_HARDWARE_K" not in {f.name for f in without.fields}


def changed(table: ChipTable, name: str, **values: Any) -> ChipTable:
    fields = tuple(dataclasses.replace(f, **values) if f.name == name else f for f in table.fields)
    return dataclasses.replace(table, fields=fields)


def with_extra(table: ChipTable, **values: Any) -> ChipTable:
    base: dict[str, object] = {
        "name": "EXTRA",
        "block": 0,
        "bit": 100,
        "length": 1,
        "kind": "bool",
        "wr_dis": None,
        "rd_dis": (),
        "category": "config",
        "description": "x",
    }
    return table.with_fields([FieldDef(**(base | values))])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        (lambda t: changed(t, "DIS_ICACHE", bit=40 + 1), "also"),
        (lambda t: changed(t, "DIS_ICACHE", bit=6 * 32), "past the end"),
        (lambda t: changed(t, "DIS_ICACHE", wr_dis=32), "WR_DIS has no bit 32"),
        (lambda t: changed(t, "BLOCK_KEY0", rd_dis=(7,)), "RD_DIS has no bit 7"),
        (lambda t: changed(t, "FLASH_CAP", wr_dis=21), "not that of block"),
        (lambda t: changed(t, "DIS_ICACHE", labels={2: "x"}), "too wide"),
        (lambda t: with_extra(t, name="WR_DIS", bit=140), "used twice"),
        (lambda t: with_extra(t, block=11), "no block 11"),
        (lambda t: with_extra(t, bit=None, bits_from=(("NOTHING", 0, 1),)), "no field NOTHING"),
        (lambda t: with_extra(t, bit=None, bits_from=(("DIS_ICACHE", 0, 2),)), "no 2 bits"),
        (lambda t: dataclasses.replace(t, postponed=("NOTHING",)), "NOTHING does not exist"),
        (lambda t: dataclasses.replace(t, burn_key_names=("BLOCK99",)), "no such block"),
    ],
)
def test_a_mistake_in_a_table_is_found(mistake: object, words: str) -> None:
    bad = mistake(schema.load("esp32c3"))  # type: ignore[operator]
    assert any(words in problem for problem in schema.problems(bad))
