# SPDX-License-Identifier: Apache-2.0
"""Mending blocks whose code word has errors, by burning it once more as it reads."""

from __future__ import annotations

from espefuse.fields import Block
from espefuse.proof import changed_names, prove_state, settle
from espefuse.state import BURN_ATTEMPTS, BurnError, EfuseState


def recover(efuses: EfuseState, do_not_confirm: bool) -> None:
    """Write each block that has coding errors once more, as it reads now, to mend its bits.

    In a plan or dry run nothing is written.
    """
    assert efuses.controller is not None
    broken = [b for b in reversed(efuses.blocks) if b.fail or b.num_errors]
    broken = [b for b in broken if b.data or not b.id]
    if not broken:
        return
    if efuses.before_burn is not None:
        names = ", ".join(f"BLOCK{b.id}" for b in broken)
        efuses.emit(f"A recovery would burn {names} once more. Nothing was burned.")
        return
    efuses.confirm("Recovery of block coding errors", do_not_confirm)
    prove_state(efuses)
    efuses.controller.set_timing()
    done: list[str] = []
    for block in broken:
        try:
            _recover_block(efuses, block)
        except BurnError:
            raise
        except (Exception, KeyboardInterrupt) as e:
            cleared = efuses.controller.try_clear(block.d)
            text = (
                f"Burned once more before: {', '.join(done) or 'nothing'}. "
                f"BLOCK{block.id} may have been. "
                f"The programming window {'was' if cleared else 'could not be'} cleared. "
                "Run 'check-error' to see what is left."
            )
            if isinstance(e, KeyboardInterrupt):
                raise KeyboardInterrupt(text) from None
            message = f"The recovery broke off at BLOCK{block.id}: {e}"
            raise BurnError(message, burned=done, remedy=text) from e
        done.append(f"BLOCK{block.id}")
    efuses.read()


def _recover_block(efuses: EfuseState, block: Block) -> None:
    assert efuses.controller is not None
    words = block.scheme.encode(block.data, block.d.words)
    before = [b.data for b in efuses.blocks]
    for attempt in range(BURN_ATTEMPTS):
        efuses.controller.load(block.d, words)
        efuses.controller.fire(block.d)
        efuses.controller.reload()
        efuses.read()
        if not block.fail and not block.num_errors:
            break
        efuses.emit(
            f"Error in BLOCK{block.id}, re-burn it again (#{attempt}) to fix. "
            f"fail_bit={block.fail}, num_errors={block.num_errors}"
        )
    settle(efuses)
    if block.fail or block.num_errors:
        efuses.emit(f"BURN BLOCK{block.id:<2} - not mended, errors remain")
    elif block.data == before[block.id]:
        efuses.emit(f"BURN BLOCK{block.id:<2} - OK (write block == read block)")
    else:
        efuses.emit(f"BURN BLOCK{block.id:<2} - OK (all write block bits are set)")
    shown = [b.data for b in efuses.blocks]
    extra = [
        s & ~b if i != block.id else 0 for i, (s, b) in enumerate(zip(shown, before, strict=True))
    ]
    if any(extra):
        names = ", ".join(changed_names(efuses, extra, [0] * len(extra)))
        raise BurnError(f"Bits that nobody asked for are burned in: {names}.", burned=[])
