# SPDX-License-Identifier: Apache-2.0
"""Burning a plan that was saved, or what is left of it after a break."""

from __future__ import annotations

from espefuse import output
from espefuse.coding import bits_of
from espefuse.efuses import Efuses
from espefuse.fields import Block
from espefuse.plan import Plan, check_meaning, identity, load, make, text
from esptool.errors import FatalError


def apply(efuses: Efuses, path: str) -> bool:
    """Burn the plan in the file `path`. True when all of it is on the chip.

    It is shown before, as it is made of the bits that are going to be burned.

    Raises:
        FatalError: the file is not a plan, or the chip is not in the state that it was made on.
    """
    plan = load(path)
    if plan["chip"] != efuses.table.key:
        raise FatalError(f"The plan is for {plan['chip']}, but this is {efuses.table.key}.")
    if plan["identity"] != identity(efuses):
        raise FatalError("The plan is for another chip: the factory MAC address differs.")
    check_state(efuses, plan)
    check_meaning(efuses, plan)
    # What a burn that broke off has left must be seen.
    efuses.reread()
    check_state(efuses, plan)
    efuses.postpone = plan["postpone"]
    stage(efuses, plan)
    if not any(block.pending for block in efuses.blocks):
        output.emit("All bits of the plan are burned already.")
        return True
    for block in efuses.blocks:
        block.resumed = True
        # A plan may hold keys.
        block.secret = bool(block.pending) and block.id > 0 and not efuses.debug
    if efuses.before_burn is None:
        for line in text(make(efuses)):
            output.emit(line)
    return efuses.burn_all(check_batch_mode=True)


def check_state(efuses: Efuses, plan: Plan) -> None:
    """Refuse a chip that changed since, other than by this very plan."""
    planned = {row["block"]: int(row["add"], 16) for row in plan["blocks"]}
    for row in plan["blocks"]:
        if row["block"] >= len(efuses.blocks):
            raise FatalError(f"The plan names BLOCK{row['block']}, which {plan['chip']} lacks.")
        block = efuses.blocks[row["block"]]
        before, add = int(row["before"], 16), int(row["add"], 16)
        if not block.is_readable():
            if _hides(efuses, planned.get(0, 0), block):
                continue
            raise FatalError(
                f"The chip differs from the plan: BLOCK{block.id} can no longer be read."
            )
        differs = block.data & ~(before | add) | before & ~block.data
        if differs:
            names = dict.fromkeys(efuses.table.owner_of(block.id, b) for b in bits_of(differs))
            raise FatalError(
                f"The chip differs from the plan: BLOCK{block.id} has changed since in "
                f"{', '.join(names)}.",
                remedy="Make a new plan on the chip as it is.",
            )


def _hides(efuses: Efuses, block0: int, block: Block) -> bool:
    """Whether the plan itself hides a block; then the key was burned before that."""
    rd_dis = efuses["RD_DIS"].d
    added = (block0 >> (rd_dis.bit or 0)) & rd_dis.mask
    return any(added >> bit & 1 for bit in block.rd_dis)


def stage(efuses: Efuses, plan: Plan) -> None:
    """Stage the blocks of a plan that are not complete yet."""
    for row in plan["blocks"]:
        block = efuses.blocks[row["block"]]
        add = int(row["add"], 16)
        broken = block.fail or block.num_errors > 0
        if block.is_readable() and (add & ~block.data or broken):
            # A coded block must be written with its very code word again.
            coded = block.scheme.burn_unit_bits() is not None
            block.stage(add if coded else add & ~block.data)
