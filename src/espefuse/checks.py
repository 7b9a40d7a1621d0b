# SPDX-License-Identifier: Apache-2.0
"""What a burn is refused for before anything is burned."""

from __future__ import annotations

from espefuse.fields import Block
from espefuse.state import EfuseState
from esptool.errors import FatalError


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
