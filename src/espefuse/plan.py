# SPDX-License-Identifier: Apache-2.0
"""A burn as a plan: every bit that would change, what can never be undone, and what may brick.

A plan is made of what is staged, shown (`--dry-run`), or saved and applied later (`apply`). It
names the chip by its factory MAC, so it cannot be applied to another. All that a person reads in
it follows from the bits, and a plan in which it does not is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypedDict, cast

from espefuse import output, risks
from espefuse.coding import bits_of
from espefuse.fields import Block
from espefuse.state import EfuseState
from esptool.errors import FatalError
from esptool.files import write_atomic
from esptool.sizes import counted
from esptool.textfile import read_text

FORMAT = "espefuse plan 1"
SECRET_MODE = 0o600
#: A plan for all blocks of a chip takes far less than this many bytes.
LARGEST = 1 << 20


class Row(TypedDict):
    """What a plan does to one block; `before` and `add` are hex digits, highest bit first."""

    block: int
    name: str
    before: str
    add: str
    bits: list[str]


class Plan(TypedDict):
    """A plan as its file holds it."""

    format: str
    chip: str
    revision: int
    identity: str
    postpone: bool
    blocks: list[Row]
    never_again: list[str]
    warnings: list[str]


# --- making ------------------------------------------------------------------------------------


def make(efuses: EfuseState) -> Plan:
    """The plan for what is staged now."""
    return {
        "format": FORMAT,
        "chip": efuses.table.key,
        "revision": efuses.get_chip_version(),
        "identity": identity(efuses),
        "postpone": efuses.postpone,
        "blocks": [describe(efuses, b) for b in reversed(efuses.blocks) if b.pending & ~b.data],
        "never_again": list(never_again(efuses)),
        "warnings": list(risks.warnings(efuses)),
    }


def identity(efuses: EfuseState) -> str:
    """A digest of what this program never changes: the chip's name and factory MAC."""
    mac = efuses["MAC"].raw().to_bytes(6, "little")
    return hashlib.sha256(efuses.table.key.encode() + mac).hexdigest()


def describe(efuses: EfuseState, block: Block) -> Row:
    """One block of a plan."""
    new = block.pending & ~block.data
    return {
        "block": block.id,
        "name": block.name,
        "before": hex_of(block, block.data),
        "add": hex_of(block, block.pending),
        "bits": [f"{bit}: {owner_of(efuses, block.id, bit)}" for bit in bits_of(new)],
    }


def hex_of(block: Block, value: int) -> str:
    """All bits of a block in hex, also those of a key: a plan has to hold them."""
    return f"0x{value:0{block.bits // 4}x}"


def owner_of(efuses: EfuseState, block: int, bit: int) -> str:
    """The smallest field that holds a bit, with the bit's place in it."""
    best = efuses.table.holder_of(block, bit)
    if best is not None and best.bit is not None:
        return best.name if best.length == 1 else f"{best.name}[{bit - best.bit}]"
    return efuses.table.owner_of(block, bit)


def never_again(efuses: EfuseState) -> Iterator[str]:
    """What is shut for good after the burn."""
    for bit in bits_of(risks.new_bits(efuses, "WR_DIS")):
        names = [f.name for f in efuses if f.d.wr_dis == bit]
        if names:
            yield f"{', '.join(names)}: can never be written again"
    for bit in bits_of(risks.new_bits(efuses, "RD_DIS")):
        names = [f.name for f in efuses if bit in f.d.rd_dis]
        if names:
            yield f"{', '.join(names)}: can never be read again"
    for block in efuses.blocks:
        if block.pending & ~block.data and block.scheme.burn_unit_bits() == 256:
            yield f"BLOCK{block.id} ({block.name}): no bit can be added to it later"


# --- showing and saving ------------------------------------------------------------------------

#: Columns that a plan keeps to.
WIDTH = 80


def text(plan: Plan) -> list[str]:
    """A plan for a person. Key bytes are only in the saved file."""
    lines = [f"Plan for {plan['chip']} (revision {plan['revision']}):"]
    for block in plan["blocks"]:
        lines.append(
            f"  BLOCK{block['block']} ({block['name']}): {counted(len(block['bits']), 'bit')}"
        )
        owners = [bit.partition(": ")[2].partition("[")[0] for bit in block["bits"]]
        for owner in dict.fromkeys(owners):
            lines.append(f"    {owner}: {counted(owners.count(owner), 'bit')}")
    for title, part in (
        ("Can never be undone:", plan["never_again"]),
        ("Warnings:", plan["warnings"]),
    ):
        if part:
            lines.append(title)
            lines += [piece for line in part for piece in _folded(line)]
    return lines


def _folded(text: str) -> list[str]:
    """A long line for a terminal; no name is broken."""
    from textwrap import wrap

    return wrap(
        text, WIDTH, initial_indent="  ", subsequent_indent="    ", break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def show_or_save(efuses: EfuseState, path: str | None) -> bool:
    """Show what is staged, or write it to `path`. Always False: nothing is to be burned."""
    plan = make(efuses)
    for line in text(plan):
        output.emit(line)
    if path is not None:
        write_atomic(path, (json.dumps(plan, indent=2) + "\n").encode(), SECRET_MODE)
        output.emit(f"The plan is in '{path}' (keys included: keep it secret).")
    output.result(burned=False, plan_file=path)
    output.emit("Nothing was burned.")
    return False


# --- reading -----------------------------------------------------------------------------------


def load(path: str) -> Plan:
    """Read a plan file and check each part of it by itself; see `check_meaning` for the whole.

    Raises:
        FatalError: the file is not a plan, or a part is missing, unknown or of another kind.
    """
    problem = f"'{path}' is no eFuse plan of this program"
    content = read_text(path, "plan", largest=LARGEST)
    try:
        plan = json.loads(content, object_pairs_hook=_without_twins, parse_constant=_no_number)
    except (ValueError, RecursionError) as e:
        raise FatalError(f"{problem}: {e}.") from e
    if not isinstance(plan, dict) or plan.get("format") != FORMAT:
        raise FatalError(f"{problem}.")
    fault = _fault(plan, _PLAN_PARTS) or next(
        (f"block entry {i}: {fault}" for i, fault in _row_faults(plan["blocks"])), None
    )
    if fault:
        raise FatalError(
            f"{problem}: {fault}.", remedy="Make the plan anew; it is not meant to be edited."
        )
    return cast(Plan, plan)  # each part was checked above


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; of two values for one name nobody could tell which one counts."""
    names = [name for name, _ in pairs]
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise ValueError(f"'{twins[0]}' appears twice")
    return dict(pairs)


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def _is_number(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 31


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_hex(value: Any) -> bool:
    return (
        isinstance(value, str)
        and value.startswith("0x")
        and len(value) > 2
        and set(value[2:]) <= set("0123456789abcdef")
    )


_PLAN_PARTS: dict[str, Callable[[Any], bool]] = {
    "format": _is_text,
    "chip": _is_text,
    "revision": _is_number,
    "identity": _is_text,
    "postpone": lambda value: isinstance(value, bool),
    "blocks": lambda value: isinstance(value, list),
    "never_again": _is_texts,
    "warnings": _is_texts,
}
_ROW_PARTS: dict[str, Callable[[Any], bool]] = {
    "block": _is_number,
    "name": _is_text,
    "before": _is_hex,
    "add": _is_hex,
    "bits": _is_texts,
}


def _fault(value: Any, parts: dict[str, Callable[[Any], bool]]) -> str | None:
    """What is wrong with an object that should hold exactly `parts`."""
    if not isinstance(value, dict):
        return "it is no object"
    for name in parts:
        if name not in value:
            return f"'{name}' is missing"
    for name in value:
        if name not in parts:
            return f"'{name}' is unknown"
        if not parts[name](value[name]):
            return f"'{name}' is of a wrong kind"
    return None


def _row_faults(rows: list[Any]) -> Iterator[tuple[int, str]]:
    """(position, fault) of each block entry that is wrong by itself."""
    for i, row in enumerate(rows):
        fault = _fault(row, _ROW_PARTS)
        if fault is None and row["block"] in [other["block"] for other in rows[:i]]:
            fault = f"block {row['block']} appears twice"
        if fault is not None:
            yield i, fault
            return


def check_meaning(efuses: EfuseState, plan: Plan) -> None:
    """Refuse a plan that is not the one which its own bits make, part by part.

    The blocks are taken back to the state that the plan was made on, in memory alone, and the plan
    is made again.

    Raises:
        FatalError: a part differs: it was edited, or another version of this program made it.
    """
    for row in plan["blocks"]:
        if row["block"] >= len(efuses.blocks):
            raise FatalError(f"The plan names BLOCK{row['block']}, which {plan['chip']} lacks.")
        digits = efuses.blocks[row["block"]].bits // 4
        for part in (row["before"], row["add"]):
            if len(part) != digits + 2:
                raise FatalError(
                    f"The plan has {len(part) - 2} hex digits for BLOCK{row['block']}, "
                    f"which holds {digits}."
                )
    saved = [(block.data, block.pending) for block in efuses.blocks]
    postpone = efuses.postpone
    try:
        for block in efuses.blocks:
            block.pending = 0
        for row in plan["blocks"]:
            block = efuses.blocks[row["block"]]
            block.data, block.pending = int(row["before"], 16), int(row["add"], 16)
        efuses.postpone = plan["postpone"]
        true = make(efuses)
    finally:
        efuses.postpone = postpone
        for block, (data, pending) in zip(efuses.blocks, saved, strict=True):
            block.data, block.pending = data, pending
    said: Mapping[str, object] = plan
    for name, value in true.items():
        if said[name] != value:
            raise FatalError(
                f"The plan says something else than it would burn: '{name}' does not follow from "
                "its bits.",
                remedy="It was edited, or made by another version: make it anew on this chip.",
            )
