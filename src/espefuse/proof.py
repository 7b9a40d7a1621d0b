# SPDX-License-Identifier: Apache-2.0
"""What the eFuses must show before and after a burn, and readings that can be believed."""

from __future__ import annotations

from espefuse.coding import bits_of
from espefuse.controller import NOISE_REMEDY
from espefuse.device import drain
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
    efuses.read()
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
