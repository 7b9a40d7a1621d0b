# SPDX-License-Identifier: Apache-2.0
"""What a chip's eFuse table holds and what makes it valid. No device, no values.

A table is one JSON file under `tables/`; `load` reads the one that is asked for, checks nothing
(start-up is a feature) and `problems` checks everything (the tests run it over all tables).

A field row is `[name, block, word, pos, type, wr_dis, rd_dis, category, extras?]`: the first bit
is `word * 32 + pos` of the block; `type` is `bool`, `uint:BITS` or `bytes:COUNT`; `wr_dis` is the
bit of WR_DIS that locks it and `rd_dis` the bit (or bits, one for each part) of RD_DIS that hides
it. `block` with `word` null means that the value is computed from other fields.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from esptool.chips import normalize
from esptool.records import dataclass, field, replace

TABLES = os.path.join(os.path.dirname(__file__), "tables")

#: Register, mask, and the value or one for each crystal (MHz).
TimingRow = tuple[str, int, "int | dict[int, int]"]


@dataclass(frozen=True, slots=True)
class FieldDef:
    """One named run of eFuse bits, or a value computed from others.

    Attributes:
        bit: first bit inside the block, or None for a computed value.
        length: in bits.
        kind: "bool", "uint" or "bytes".
        wr_dis: bit of WR_DIS that locks the field, or None.
        rd_dis: bits of RD_DIS that hide it: none, one, or one for each equal part.
        codec: name of the value codec (see `codecs`), "" for the plain one.
        labels: raw value to meaning.
        group: when the field exists: "", "calibration", "calculated", "keyblocks_256",
            "keyblocks_192", "custom_mac", "adc_calibration" or "user".
        bits_from: (field, shift, width) parts of a computed value.
        bytes_from: "FIELD[first..last]" parts of a computed byte string.
    """

    name: str
    block: int
    bit: int | None
    length: int
    kind: str
    wr_dis: int | None
    rd_dis: tuple[int, ...]
    category: str
    description: str
    alt: tuple[str, ...] = ()
    codec: str = ""
    labels: dict[int, str] = field(default_factory=dict)
    group: str = ""
    bits_from: tuple[tuple[str, int, int], ...] = ()
    bytes_from: tuple[str, ...] = ()
    value_map: dict[int, int] = field(default_factory=dict)
    burnable: bool = True

    @property
    def type(self) -> str:
        """Kind and length, as summaries show them: "bool", "uint:4", "bytes:32"."""
        if self.kind == "bool":
            return "bool"
        return f"{self.kind}:{self.length // 8 if self.kind == 'bytes' else self.length}"

    @property
    def mask(self) -> int:
        """All of its bits set."""
        return (1 << self.length) - 1

    @property
    def names(self) -> tuple[str, ...]:
        """Its name, and all others under which it is known."""
        return (self.name, *self.alt)


@dataclass(frozen=True, slots=True)
class BlockDef:
    """One eFuse block. Addresses are absolute; `words` counts 32-bit data words."""

    name: str
    alias: tuple[str, ...]
    index: int
    read_addr: int
    write_addr: int
    wr_dis: int | None
    rd_dis: tuple[int, ...]
    words: int
    purpose_field: str | None


@dataclass(frozen=True, slots=True)
class BlockErrors:
    """Where the Reed-Solomon status of a block stands: fail bit and count of corrected bytes."""

    block: int
    register: int
    fail_register: int
    fail_bit: int | None
    count_mask: int
    count_shift: int


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a key block may be for.

    Attributes:
        digest: a public key digest: must stay readable.
        virtual: stands for two purposes that share a key of twice the length.
        reverse: the key's bytes are stored last first.
        read_protect: the key is hidden from software after burning.
    """

    name: str
    value: int
    digest: bool = False
    virtual: bool = False
    reverse: bool = False
    read_protect: bool = False


@dataclass(frozen=True, slots=True)
class ChipTable:
    """All eFuse facts of one chip at one silicon revision.

    Attributes:
        timing: what is set before a burn.
        unsettled_timing: more of it, on which public sources disagree. It is set on a chip, but
            left out of the files of `--path-efuse-file`, whose bytes programs compare.
        burn_warnings: what a person should know before burning, whatever is burned.
    """

    chip: str
    controller: str
    base: int
    memory_bytes: int
    registers: dict[str, int]
    clear_words: int
    block0_words: int
    xtal_mhz: tuple[int, ...]
    timing: tuple[TimingRow, ...]
    unsettled_timing: tuple[TimingRow, ...]
    burn_warnings: tuple[str, ...]
    block0_errors: tuple[int, ...]
    status_registers: tuple[tuple[str, int], ...]
    block_errors: tuple[BlockErrors, ...]
    postponed: tuple[str, ...]
    calibration_block_version: int | None
    flash_voltage: dict[str, Any] | None
    blocks: tuple[BlockDef, ...]
    burn_block_names: tuple[str, ...]
    burn_key_names: tuple[str, ...]
    purposes: tuple[Purpose, ...]
    purpose_split: dict[str, tuple[str, str]]
    rules: dict[str, Any]
    fields: tuple[FieldDef, ...]
    reserved: tuple[tuple[str, int, int, int], ...]

    @property
    def key(self) -> str:
        """The chip's name in commands and tokens, e.g. "esp32c3"."""
        return normalize(self.chip)

    def block(self, name: str) -> BlockDef:
        """The block that `name` (or an alias) stands for; KeyError where there is none."""
        for block in self.blocks:
            if name == block.name or name in block.alias:
                return block
        raise KeyError(name)

    def field(self, name: str) -> FieldDef:
        """The field of that name; KeyError where there is none."""
        for d in self.fields:
            if d.name == name:
                return d
        raise KeyError(name)

    def owner_of(self, block: int, bit: int) -> str:
        """The smallest field that holds a bit; "no field" where none does."""
        best = self.holder_of(block, bit)
        if best is not None:
            return best.name
        for name, where, start, length in self.reserved:
            if where == block and start <= bit < start + length:
                return f"{name} (reserved)"
        return "no field"

    def holder_of(self, block: int, bit: int) -> FieldDef | None:
        """The definition behind `owner_of`, where there is one."""
        holders = [
            d
            for d in self.fields
            if d.block == block and d.bit is not None and d.bit <= bit < d.bit + d.length
        ]
        return min(holders, key=lambda d: d.length, default=None)

    def purpose(self, name: str) -> Purpose:
        """The key purpose of that name; KeyError where there is none."""
        for purpose in self.purposes:
            if purpose.name == name:
                return purpose
        raise KeyError(name)

    def digest_purposes(self) -> tuple[str, ...]:
        """Key purposes of secure boot digests."""
        return tuple(p.name for p in self.purposes if p.digest)

    def with_fields(self, fields: Iterable[FieldDef]) -> ChipTable:
        """The same chip with more fields (a user's table)."""
        return replace(self, fields=(*self.fields, *fields))


@lru_cache(maxsize=8)
def load(chip: str, revision: int | None = None) -> ChipTable:
    """Read the table of `chip` (e.g. "esp32c3") for silicon `revision` (major * 100 + minor).

    Without a revision the newest field table counts. Raises KeyError for an unknown chip.
    """
    return build(_raw(chip), _descriptions(), revision)


def revision_rules(chip: str) -> frozenset[str]:
    """The kinds of conditions ("revision_ge", ...) by which a chip's revision chooses its fields.

    Raises KeyError for an unknown chip.
    """
    return frozenset(kind for table in _raw(chip)["tables"] for kind in table["when"])


@lru_cache(maxsize=8)
def _raw(chip: str) -> dict[str, Any]:
    try:
        return _document(chip)
    except FileNotFoundError:
        raise KeyError(chip) from None


def _document(name: str) -> dict[str, Any]:
    with open(os.path.join(TABLES, f"{name}.json"), "rb") as f:
        document: dict[str, Any] = json.load(f)
    return document


def build(raw: dict[str, Any], texts: dict[str, str], revision: int | None) -> ChipTable:
    """Make a table of what a file holds; `texts` describes fields that say nothing themselves."""
    base = int(raw["base"], 16)
    offsets = {name: int(value, 16) for name, value in raw["registers"].items()}
    chosen = _field_tables(raw["tables"], revision)
    rows = [row for table in chosen for row in table["fields"]]
    fields = tuple(_field(row, texts) for row in rows)
    rd_dis = {f.block: f.rd_dis for f in fields if f.bit == 0 and len(f.rd_dis) > 1}
    return ChipTable(
        chip=raw["chip"],
        controller=raw["controller"],
        base=base,
        memory_bytes=raw["memory_bytes"],
        registers={name: base + value for name, value in offsets.items()},
        clear_words=raw["clear_words"],
        block0_words=raw["block0_words"],
        xtal_mhz=tuple(raw["xtal_mhz"] or ()),
        timing=_timing(raw["timing"]),
        unsettled_timing=_timing(raw.get("unsettled_timing", [])),
        burn_warnings=tuple(raw.get("burn_warnings", ())),
        block0_errors=tuple(base + int(value, 16) for value in raw["block0_errors"]),
        status_registers=tuple((n, base + int(v, 16)) for n, v in raw["status_registers"]),
        block_errors=tuple(_errors(row, base) for row in raw["block_errors"]),
        postponed=tuple(raw["postponed"]),
        calibration_block_version=raw["calibration_block_version"],
        flash_voltage=raw["flash_voltage"],
        blocks=tuple(_block(row, base, rd_dis) for row in raw["blocks"]),
        burn_block_names=tuple(raw["burn_block_names"]),
        burn_key_names=tuple(raw["burn_key_names"]),
        purposes=_purposes(raw),
        purpose_split={k: (v[0], v[1]) for k, v in raw["purpose_split"].items()},
        rules=raw.get("rules", {}),
        fields=fields,
        reserved=tuple(
            (n, b, w * 32 + p, _length(t)) for t_ in chosen for n, b, w, p, t, _wr in t_["reserved"]
        ),
    )


def _field_tables(tables: list[dict[str, Any]], revision: int | None) -> list[dict[str, Any]]:
    def fits(when: dict[str, int]) -> bool:
        if revision is None:
            return "revision_lt" not in when
        return (
            revision >= when.get("revision_ge", revision)
            and revision < when.get("revision_lt", revision + 1)
            and revision <= when.get("revision_le", revision)
        )

    return [table for table in tables if fits(table["when"])]


def _timing(rows: list[list[Any]]) -> tuple[TimingRow, ...]:
    return tuple((reg, int(mask, 16), _by_mhz(value)) for reg, mask, value in rows)


def _by_mhz(value: int | dict[str, int]) -> int | dict[int, int]:
    return value if isinstance(value, int) else {int(mhz): v for mhz, v in value.items()}


def _length(kind: str) -> int:
    name, _, count = kind.partition(":")
    return 1 if name == "bool" else int(count) * (8 if name == "bytes" else 1)


def _bits(value: int | list[int] | None) -> tuple[int, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, int) else tuple(value)


def _field(row: list[Any], texts: dict[str, str]) -> FieldDef:
    name, block, word, pos, kind, wr_dis, rd_dis, category = row[:8]
    extras: dict[str, Any] = row[8] if len(row) > 8 else {}
    return FieldDef(
        name=name,
        block=block,
        bit=None if word is None else word * 32 + pos,
        length=_length(kind),
        kind=kind.partition(":")[0],
        wr_dis=wr_dis,
        rd_dis=_bits(rd_dis),
        category=category,
        description=extras.get("text") or describe(name, texts),
        alt=tuple(extras.get("alt", ())),
        codec=extras.get("class", ""),
        labels={int(k): v for k, v in extras["dict"].items()} if "dict" in extras else {},
        group=extras.get("group", ""),
        bits_from=tuple((n, s, w) for n, s, w in extras.get("bits_from", ())),
        bytes_from=tuple(extras.get("bytes_from", ())),
        value_map={int(k): v for k, v in extras.get("map", {}).items()},
        burnable=extras.get("burnable", True),
    )


def describe(name: str, texts: dict[str, str]) -> str:
    """The one-line text of a field: by its name, or by its name with `#` for each number."""
    if name in texts:
        return texts[name]
    text = texts.get(re.sub(r"\d+", "#", name), "")
    return text.format(*re.findall(r"\d+", name)) if "{" in text else text


def _descriptions() -> dict[str, str]:
    return _document("descriptions")


def _block(row: list[Any], base: int, split: dict[int, tuple[int, ...]]) -> BlockDef:
    name, alias, index, read, write, wr_dis, rd_dis, words, purpose = row
    bits = _bits(rd_dis)
    return BlockDef(
        name=name,
        alias=tuple(alias),
        index=index,
        read_addr=base + int(read, 16),
        write_addr=base + int(write, 16),
        wr_dis=wr_dis,
        rd_dis=split.get(index, bits) if bits else (),
        words=words,
        purpose_field=purpose,
    )


def _errors(row: list[Any], base: int) -> BlockErrors:
    block, register, fail_bit, mask, shift = row[:5]
    address = base + int(register, 16)
    fail = base + int(row[5], 16) if len(row) > 5 else address
    return BlockErrors(block, address, fail, fail_bit, mask or 0, shift or 0)


def _purposes(raw: dict[str, Any]) -> tuple[Purpose, ...]:
    out = [
        Purpose(name, value, "d" in flags, "v" in flags, "r" in flags, "p" in flags)
        for name, value, flags in raw["purposes"]
    ]
    ids = raw["custom_purposes"]
    for number in ids:
        out.append(Purpose(f"CUSTOM_{number}", number))
        out.append(Purpose(f"CUSTOM_DIGEST_{number}", number, digest=True))
    if ids:
        top = ids[-1]
        out.append(Purpose("CUSTOM_MAX", top))
        out.append(Purpose("CUSTOM_DIGEST_MAX", top, digest=True))
    return tuple(out)


def problems(table: ChipTable) -> list[str]:
    """Everything that is wrong with a table, in words; an empty list for a good one."""
    out: list[str] = []
    names: set[str] = set()
    taken: dict[tuple[int, int], str] = {}
    words = {block.index: block.words for block in table.blocks}
    by_name = {f.name: f for f in table.fields}
    wr_bits = by_name["WR_DIS"].length
    rd_bits = by_name["RD_DIS"].length
    lock: dict[int, int] = {b.index: b.wr_dis for b in table.blocks if b.wr_dis is not None}
    for f in table.fields:
        alternatives = f.group.startswith("keyblocks_")
        if f.name in names and not alternatives:
            out.append(f"{f.name}: the name is used twice")
        names.add(f.name)
        if f.block not in words:
            out.append(f"{f.name}: there is no block {f.block}")
            continue
        if f.wr_dis is not None and f.wr_dis >= wr_bits:
            out.append(f"{f.name}: WR_DIS has no bit {f.wr_dis}")
        if any(bit >= rd_bits for bit in f.rd_dis):
            out.append(f"{f.name}: RD_DIS has no bit {max(f.rd_dis)}")
        if f.bit is not None and f.block in lock and f.wr_dis != lock[f.block]:
            out.append(f"{f.name}: its WR_DIS bit {f.wr_dis} is not that of block {f.block}")
        out += [
            f"{f.name}: the meaning '{label}' is of the value {value}, too wide for {f.length} bits"
            for value, label in f.labels.items()
            if value > f.mask
        ]
        out += [
            f"{f.name}: {source} holds no {width} bits"
            for source, _shift, width in f.bits_from
            if source in by_name and by_name[source].length < width
        ]
        out += [f"{f.name}: no field {s}" for s, _, _ in f.bits_from if not _known(s, by_name)]
        if f.bit is None:
            continue
        if f.bit + f.length > words[f.block] * 32:
            out.append(f"{f.name}: reaches past the end of block {f.block}")
        whole = f.bit == 0 and f.kind == "bytes" and f.length >= 128 and f.length % 64 == 0
        if whole or f.group == "user":
            continue
        for bit in range(f.bit, f.bit + f.length):
            other = taken.setdefault((f.block, bit), f.name)
            if other != f.name and not f.name.startswith(other[:9]):
                out.append(f"{f.name}: bit {bit} of block {f.block} is also {other}'s")
                break
    out += [f"postponed field {n} does not exist" for n in table.postponed if n not in by_name]
    for name in (*table.burn_block_names, *table.burn_key_names):
        try:
            table.block(name)
        except KeyError:
            out.append(f"{name}: no such block")
    return out


def _known(source: str, fields: dict[str, FieldDef]) -> bool:
    return source in fields or " " in source
