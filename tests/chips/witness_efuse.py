# SPDX-License-Identifier: Apache-2.0
"""What the two witnesses say of the eFuse controller, its blocks and its fields."""

from __future__ import annotations

from typing import Any

from espefuse import schema
from esptool.chips.spec import ChipSpec
from tests.chips.witness import Pairs, Silicon

#: Registers of the controller: the host's names, and silicon's.
CONTROLLER = {
    "CMD": "cmd",
    "CONF": "conf",
    "CLK": "clk",
    "STATUS": "status",
    "DAC_CONF": "dac_conf",
    "DEC_STATUS": "dec_status",
    "CHECK_VALUE0": "check_value0",
    "PGM_DATA0": "pgm_data0",
    "RD_TIM_CONF": "rd_tim_conf",
    "WR_TIM_CONF0": "wr_tim_conf0",
    "WR_TIM_CONF1": "wr_tim_conf1",
    "WR_TIM_CONF2": "wr_tim_conf2",
    "RD_RS_ERR0": "rd_rs_err0",
    "RD_RS_ERR1": "rd_rs_err1",
    **{f"RD_REPEAT_ERR{i}": f"rd_repeat_err{i}" for i in range(8)},
}
TIMING = {
    ("DAC_CONF", "dac.num"): "dac_num",
    ("DAC_CONF", "dac.clk_div"): "dac_clk_div",
    ("WR_TIM_CONF1", "wr.pwr_on_num"): "pwr_on_num",
    ("WR_TIM_CONF2", "wr.pwr_off_num"): "pwr_off_num",
}


def efuse(raw: dict[str, Any], spec: ChipSpec, silicon: Silicon) -> Pairs:
    table = schema.build(raw, {}, None)
    yield "efuse table base", table.base, silicon.get("efuse.base")
    if spec.efuse is not None:
        yield "efuse bases", spec.efuse.base, table.base
    for ours, theirs in CONTROLLER.items():
        yield f"efuse.registers.{ours}", table.registers.get(ours), silicon.get(f"efuse.{theirs}")
    for block in table.blocks:
        place = silicon.register(block.index, 0)
        yield f"efuse.blocks[{block.index}].read", block.read_addr, place[0] if place else None
        lock = silicon.get(f"efuse.block{block.index}.wr_dis")
        yield f"efuse.blocks[{block.index}].wr_dis", block.wr_dis, lock
        hide = silicon.get(f"efuse.block{block.index}.rd_dis")
        if hide is not None:
            yield f"efuse.blocks[{block.index}].rd_dis", list(block.rd_dis), hide
    for purpose in table.purposes:
        number = (silicon.get("efuse.key_purposes") or {}).get(purpose.name)
        yield f"efuse.purposes.{purpose.name}", purpose.value, number
    for register, mask, value in (*table.timing, *table.unsettled_timing):
        for (name, field), timing in TIMING.items():
            place = silicon.get(f"efuse.{field}")
            if name == register and place and mask == ((1 << place[1]) - 1) << place[0]:
                theirs = silicon.get(f"efuse.timing.{timing}")
                yield f"efuse.timing.{timing}", value, theirs
    for since, fields in silicon.efuses.items():
        yield from _fields(schema.build(raw, {}, since), since, fields)


#: The upper part of a field that silicon has in two places; elsewhere its name ends in _H.
UPPER = {"PSRAM_CAP": "PSRAM_CAP_3"}


#: The halves of ESP32-C2's key block: for flash encryption, and for secure boot.
HALVES = {"BLOCK_KEY0_LOW_128": ("KEY0.FE_128BIT",), "BLOCK_KEY0_HI_128": ("KEY0.SB_128BIT",)}


def _block_bits(field: schema.FieldDef) -> list[tuple[int, int]]:
    start = field.bit or 0
    return [(field.block, bit) for bit in range(start, start + field.length)]


def _fields(table: schema.ChipTable, since: int, known: dict[str, Any]) -> Pairs:
    by_name = {field.name: field for field in table.fields}
    first = known["RD_DIS"]["at"][1][0][0] if "RD_DIS" in known else 0
    for field in table.fields:
        called = (field.name, *HALVES.get(field.name, field.alt))
        names = [n for n in called if n in known and (n == field.name or n not in by_name)]
        if not names or field.bit is None or field.group.startswith("keyblocks"):
            continue
        entry = known[names[0]]
        block, spans = entry["at"]
        theirs = [(block, bit) for start, count in spans for bit in range(start, start + count)]
        ours = _block_bits(field)
        rest = by_name.get(UPPER.get(field.name, f"{field.name}_H"))
        if rest is not None and len(theirs) > len(ours):
            ours += _block_bits(rest)
        if field.codec == "mac":
            # Sources list the bytes of an address in the order of its text.
            theirs = sorted(theirs)
        name = f"efuse.{field.name}@{since}"
        yield name, ours, theirs
        yield f"{name}.wr_dis", field.wr_dis, entry["wr_dis"]
        hidden = [bit - first for bit in entry["rd_dis"]]
        if hidden:
            yield f"{name}.rd_dis", list(field.rd_dis), hidden
