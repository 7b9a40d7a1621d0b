# SPDX-License-Identifier: Apache-2.0
"""What a burn is refused for, what eFuses must show before and after it, and stable readings."""

from __future__ import annotations

from espefuse.coding import bits_of
from espefuse.controller import NOISE_REMEDY
from espefuse.device import drain
from espefuse.fields import Block
from espefuse.state import EfuseState
from esptool.errors import FatalError

SETTLE_READS = 6


def prove_state(efuses: EfuseState) -> None:
    """Read all blocks once more: what they held when the burn was planned must be true.

    Raises:
        FatalError: they hold something else, or read differently each time.
    """
    planned = [block.data for block in efuses.blocks]
    schemes = efuses.coding_scheme
    assert efuses.device is not None
    drain(efuses.device)
    efuses.reread()
    if [block.data for block in efuses.blocks] != planned:
        settle(efuses)
    found = [block.data for block in efuses.blocks]
    if found == planned and schemes == efuses.coding_scheme:
        return
    names = ", ".join(changed_names(efuses, planned, found))
    raise FatalError(
        f"The eFuses are not as they were read when this burn was planned: {names} differ. "
        "Nothing was burned.",
        remedy="Run 'summary' twice: a line that damages data shows other values each time.",
    )


def settle(efuses: EfuseState) -> None:
    """Read all blocks and error registers until two readings in a row agree.

    Raises:
        FatalError: no two of six do.
    """
    assert efuses.device is not None
    last = snapshot(efuses)
    for _ in range(SETTLE_READS):
        drain(efuses.device)
        efuses.read()
        now = snapshot(efuses)
        if now == last:
            return
        last = now
    raise FatalError(
        f"The eFuses read differently each of {SETTLE_READS} times.",
        remedy=NOISE_REMEDY,
    )


def snapshot(efuses: EfuseState) -> tuple[object, ...]:
    """All that was read, for comparison."""
    return [block.data for block in efuses.blocks], dict(efuses.status), efuses.coding_scheme


def visible(efuses: EfuseState, values: list[int], hidden: int) -> list[int]:
    """What the read registers show of blocks that hold `values`: hidden parts read as zero.

    Args:
        efuses: whose blocks they are.
        values: the data of each block.
        hidden: the bits of RD_DIS.
    """
    shown = list(values)
    for block in efuses.blocks:
        part = block.bits // max(len(block.rd_dis), 1)
        for i, bit in enumerate(block.rd_dis):
            if hidden >> bit & 1:
                shown[block.id] &= ~(((1 << part) - 1) << i * part)
    for d in efuses.table.fields:
        if d.block == 0 and d.bit is not None and any(hidden >> bit & 1 for bit in d.rd_dis):
            shown[0] &= ~(d.mask << d.bit)
    return shown


def changed_names(efuses: EfuseState, one: list[int], other: list[int]) -> list[str]:
    """The fields whose bits differ between two readings, without their values."""
    names: dict[str, None] = {}
    for block, a, b in zip(efuses.blocks, one, other, strict=True):
        for bit in bits_of(a ^ b):
            names[f"{efuses.table.owner_of(block.id, bit)} (BLOCK{block.id})"] = None
    return list(names)


def check_block(efuses: EfuseState, block: Block) -> bool:
    """Say what is going to happen to a block; True where it gets new bits."""
    new, old = block.pending, block.data
    if not new:
        refuse_stuck(efuses, block)
        if efuses.debug:
            efuses.emit(f"[{block.id:02}] {block.name:<20} nothing to burn")
        return False
    block.check_wr_rd_protect()
    head = f"[{block.id:02}] {block.name:<20}"
    if not old:
        efuses.emit(f"{head} is empty, will burn the new value")
        return True
    mends = block.resumed and (block.fail or block.num_errors > 0)
    if mends:
        efuses.emit(f"{head} has coding errors, will burn the same value again")
        return True
    if old == new:
        efuses.emit(f"{head} is already written the same value, continue with EMPTY_BLOCK")
        block.forget_bits()
        return False
    efuses.emit(f"{head} is not empty")
    efuses.emit(f"\t(written ): {block.hex(old)}")
    efuses.emit(f"\t(to write): {block.hex(new)}")
    if new | old == old:
        refuse_stuck(efuses, block)
        efuses.emit("\tAll wr_data bits are set in the written block, continue with EMPTY_BLOCK.")
        block.forget_bits()
        return False
    efuses.emit(f"\t(coding scheme = {block.scheme.name})")
    check_coding(efuses, block)
    refuse_stuck(efuses, block)
    return bool(block.pending)


def refuse_stuck(efuses: EfuseState, block: Block) -> None:
    """Refuse what bits that are burned turn into another value; see `Block.stuck`.

    Raises:
        FatalError: so it is, and it is not forced (which it can be where it burns new bits).
    """
    if not block.stuck():
        return
    result = block.hex((block.data | block.pending) & block.exact)
    text = (
        f"\t{block.name}: the new value lacks bits that are burned and cannot be cleared "
        f"(value will be {result})"
    )
    if not block.pending & ~block.data:
        raise FatalError(text)
    efuses.refuse(text)


def check_coding(efuses: EfuseState, block: Block) -> None:
    """Refuse new bits in a coded unit that was written before: its check bits would not fit."""
    clash = block.scheme.clash(block.data, block.pending, block.words)
    if clash is None:
        return
    if block.data & ~block.pending == 0 and (block.resumed or block.fail or block.num_errors):
        efuses.emit("\tThe same code word was burned in part: it is burned again to complete it.")
        return
    if clash.unit is not None:
        last = block.bits // (block.scheme.burn_unit_bits() or 1) - 1
        efuses.emit(
            f"\twritten chunk [{last - clash.unit}] and wr_chunk are not empty. "
            "wr_chunk != rd_chunk. Can not burn."
        )
        if not block.secret:
            efuses.emit(f"\twritten  0x{clash.written:012x}")
            efuses.emit(f"\tto write 0x{clash.new:012x}")
    efuses.refuse(
        f"\tBurn into {block.name} is forbidden "
        f"({block.scheme.name} coding scheme does not allow this)."
    )
