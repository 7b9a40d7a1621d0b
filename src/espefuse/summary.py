# SPDX-License-Identifier: Apache-2.0
"""The summary of all fields as a table for people or as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from espefuse.codecs import bit_text
from espefuse.fields import Field
from espefuse.state import EfuseState, unknown_field

NAME_WIDTH = 50
TEXT_WIDTH = 50
LONG_VALUE = 20
HEADER = (
    "EFUSE_NAME (Block) Description  = [Meaningful Value] [Readable/Writeable] (Hex Value)",
    "-" * 88,
)


def select(efuses: EfuseState, names: Iterable[str], *, active: bool = False) -> list[Field]:
    """The fields to show: all, or those named (by any name, in any case).

    Names that match nothing are left out, as scripts for several chips give them; `missing` tells.

    Args:
        efuses: the chip's.
        names: which fields; none for all.
        active: leave out what is neither set, protected nor damaged.

    Raises:
        FatalError: none of the names matches anything on this chip.
    """
    wanted = list(names)
    fields = list(efuses)
    if wanted:
        known = {name: field for field in efuses for name in field.all_names}
        found = {name: known.get(name) or known.get(name.upper()) for name in wanted}
        chosen = {field.name for field in found.values() if field is not None}
        if not chosen:
            raise unknown_field(efuses, wanted[0])
        fields = [f for f in fields if f.name in chosen]
    return [f for f in fields if is_active(f)] if active else fields


def missing(efuses: EfuseState, names: Iterable[str]) -> Iterator[str]:
    """A sentence for each name that matches nothing on this chip."""
    known = {name for field in efuses for name in field.all_names}
    for name in names:
        if not {name, name.upper()} & known:
            hint = unknown_field(efuses, name).remedy or ""
            yield f"{efuses.table.chip} has no eFuse '{name}': it is left out. {hint}".rstrip()


def as_json(fields: list[Field]) -> str:
    """Fields by name with value, raw value and protection, keys sorted."""
    return json.dumps(entries(fields), sort_keys=True, indent=4)


def entries(fields: list[Field]) -> dict[str, dict[str, object]]:
    """What JSON shows of fields, by their names."""
    return {f.name: entry(f) for f in fields}


def entry(field: Field) -> dict[str, object]:
    """One field as JSON shows it."""
    return {
        "name": field.name,
        "value": field.get_meaning(),
        "raw_value": raw_hex(field),
        "readable": field.is_readable(),
        "writeable": field.is_writeable(),
        "description": field.description,
        "category": field.category,
        "block": field.block,
        "word": field.word,
        "pos": field.pos,
        "efuse_type": field.efuse_type,
        "bit_len": field.bit_len,
    }


def raw_hex(field: Field) -> str:
    """ "0x" and hex digits: bytes in the order of the value, numbers highest digit first."""
    raw = field.raw()
    if field.d.kind == "bytes":
        return "0x" + raw.to_bytes(field.bit_len // 8, "little").hex()
    return f"0x{raw:0{(field.bit_len + 3) // 4}x}"


def as_text(efuses: EfuseState, fields: list[Field], active: bool) -> list[str]:
    """The lines of the table, a group a category, and the chip's closing remark."""
    lines = list(HEADER)
    categories = sorted({f.category.title() for f in fields})
    for category in categories:
        lines.append(f"{category} fuses:")
        for field in fields:
            if field.category.title() == category and (not active or is_active(field)):
                lines += row(efuses, field)
        lines.append("")
    lines.append(closing(efuses))
    return lines


def is_active(field: Field) -> bool:
    """Set, protected, or damaged: worth a line in the short table."""
    block = field.owner.blocks[field.block]
    return bool(
        field.raw()
        or not field.is_readable()
        or not field.is_writeable()
        or (block.num_errors and block.id == 0 and field_errors(field))
        or (block.fail and block.id)
    )


def field_errors(field: Field) -> int:
    """How many of a BLOCK0 field's bits the controller reports as doubtful."""
    owner = field.owner
    if field.block or field.d.bit is None or not owner.table.block0_errors:
        return 0
    errors = 0
    for i, address in enumerate(owner.table.block0_errors):
        errors |= owner.status.get(address, 0) << 32 * (i + 1)
    return ((errors >> field.d.bit) & field.d.mask).bit_count()


def row(efuses: EfuseState, field: Field) -> list[str]:
    """A field's line of the summary, as columns."""
    block = efuses.blocks[field.block]
    name = f"{field.name} (BLOCK{field.block})"
    wrong = field_errors(field)
    if wrong:
        name += f"[FAIL:{wrong}]"
    if block.key_purpose_name and field.d.bit == 0 and field.d.length == block.bits:
        name += f"\n  Purpose: {efuses[block.key_purpose_name].get_meaning()}\n "
    text = field.description
    chunks = [text[i : i + TEXT_WIDTH] for i in range(0, len(text), TEXT_WIDTH)] or [""]
    value = str(field.get_meaning())
    perms = ("R" if field.is_readable() else "-") + "/" + ("W" if field.is_writeable() else "-")
    raw = "" if field.d.kind == "bytes" else f"({bit_text(field.raw(), field.bit_len)})"
    split = "\n  " if len(value) > LONG_VALUE else ""
    first = f"{name:<{NAME_WIDTH}} {chunks[0]:<{TEXT_WIDTH}}{split} = {value} {perms} {raw}"
    indent = " " * (NAME_WIDTH + 1)
    return [first, *(f"{indent}{chunk:<{TEXT_WIDTH}}" for chunk in chunks[1:])]


def closing(efuses: EfuseState) -> str:
    """What powers the flash, on chips whose eFuses decide it."""
    rule = efuses.table.flash_voltage
    if not rule:
        return ""
    name = "VDD_SDIO" if "SDIO" in rule["force"] else "VDD_SPI"
    if not efuses[rule["force"]].raw():
        pin = f"GPIO{rule['strap_gpio']}"
        levels = "High for 1.8V, Low/NC for 3.3V"
        if name == "VDD_SPI":
            levels = (
                f"{pin}=High: 1.8V from the internal LDO; "
                f"{pin}=Low or NC: VDD3P3_RTC_IO through a resistor, typically 3.3V"
            )
        return f"Flash voltage ({name}) determined by {pin} on reset ({levels})"
    if not efuses[rule["xpd"]].raw():
        return f"Flash voltage ({name}) internal regulator disabled by efuse."
    volts = "3.3V" if efuses[rule["tieh"]].raw() else "1.8V"
    return f"Flash voltage ({name}) set to {volts} by efuse."
