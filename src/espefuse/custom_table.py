# SPDX-License-Identifier: Apache-2.0
"""A user's CSV table of eFuse fields (ESP-IDF's `esp_efuse_custom_table.csv`) as schema rows."""

from __future__ import annotations

import csv
import re

from espefuse.schema import ChipTable, FieldDef
from esptool.errors import FatalError
from esptool.records import dataclass

MAX_BLOCK_BITS = 256


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    name: str
    block: int
    start: int
    count: int
    comment: str


def read_table(text: str, table: ChipTable) -> list[FieldDef]:
    """Fields of category "User" for the rows of a CSV file.

    A row without a name continues the field above; its parts get the endings _0, _1 and so on.

    Raises:
        FatalError: a malformed row, a field outside its block, or one that overlaps another.
    """
    groups: list[list[_Row]] = []
    last: _Row | None = None
    for number, line in enumerate(text.splitlines(), 1):
        line = line.partition("#")[0].strip()
        if not line:
            continue
        row = _parse(number, next(csv.reader([line], skipinitialspace=True)), last, table)
        if last is not None and row.name == last.name:
            groups[-1].append(row)
        else:
            groups.append([row])
        last = row
    _check_overlap(groups)
    fields = []
    for group in groups:
        for i, row in enumerate(group):
            fields.append(_field(row, f"_{i}" if len(group) > 1 else "", table))
    taken = {name for f in table.fields for name in f.names}
    for field in fields:
        if field.name in taken:
            raise FatalError(f"Custom eFuse table: the name {field.name} is already used.")
        taken.add(field.name)
    return fields


def _fail(line: int, what: str) -> FatalError:
    return FatalError(
        f"Custom eFuse table, line {line}: {what}.",
        remedy="A row is: field_name, EFUSE_BLKn, bit_start, bit_count, comment",
    )


def _parse(line: int, cells: list[str], last: _Row | None, table: ChipTable) -> _Row:
    cells = [cell.strip() for cell in cells]
    if len(cells) < 4:
        raise _fail(line, f"{len(cells)} columns instead of 5")
    name, block_name, start_text, count_text = cells[:4]
    comment = ", ".join(cell for cell in cells[4:] if cell)
    name = name.replace(".", "_")
    if not name:
        if last is None:
            raise _fail(line, "the first row has no field name")
        name = last.name
    if not re.fullmatch(r"[A-Za-z_]\w*", name):
        raise _fail(line, f"'{name}' is not a field name")
    match = re.fullmatch(r"EFUSE_BLK(?:_?KEY|_?)?(\d+)", block_name)
    if match is None:
        raise _fail(line, f"'{block_name}' is not a block name such as EFUSE_BLK3")
    block = int(match.group(1))
    if block >= len(table.blocks):
        raise _fail(line, f"{table.chip} has no block {block}")
    if start_text:
        start = _number(line, start_text)
    elif last is None:
        raise _fail(line, "the first row has no start bit")
    else:
        start = last.start + last.count if last.block == block else 0
    count = MAX_BLOCK_BITS if count_text == "MAX_BLK_LEN" else _number(line, count_text)
    if count <= 0 or start < 0 or start + count > table.blocks[block].words * 32:
        raise _fail(line, f"the bits {start} to {start + count - 1} are not inside block {block}")
    return _Row(line, name, block, start, count, comment)


def _number(line: int, text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise _fail(line, f"'{text}' is not a number") from None


def _check_overlap(groups: list[list[_Row]]) -> None:
    """Fields must not share bits, except a part of a structure (NAME.PART) with the whole."""
    rows = [row for group in groups for row in group]
    for i, one in enumerate(rows):
        for other in rows[i + 1 :]:
            apart = one.start + one.count <= other.start or other.start + other.count <= one.start
            related = other.name.startswith(one.name) or one.name.startswith(other.name)
            if one.block == other.block and not apart and (not related or one.name == other.name):
                raise _fail(other.line, f"{other.name} overlaps {one.name}")


def _field(row: _Row, ending: str, table: ChipTable) -> FieldDef:
    match = re.match(r"\[([^\]]*)\]", row.comment)
    alt = tuple(f"{name}{ending}" for name in match.group(1).split()) if match else ()
    block = table.blocks[row.block]
    if row.count == 1:
        kind = "bool"
    else:
        kind = "bytes" if row.count > 32 and row.count % 8 == 0 else "uint"
    span = f"{row.start}" if row.count == 1 else f"{row.start}-{row.start + row.count - 1}"
    return FieldDef(
        name=f"{row.name}{ending}",
        block=row.block,
        bit=row.start,
        length=row.count,
        kind=kind,
        wr_dis=block.wr_dis,
        rd_dis=block.rd_dis[:1] if len(block.rd_dis) == 1 else block.rd_dis,
        category="User",
        description=f"{row.comment} ({span})".strip(),
        alt=alt,
        group="user",
    )
