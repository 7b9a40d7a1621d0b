# SPDX-License-Identifier: Apache-2.0
"""Burning what is staged: checks first, then one block after the other, each read back at once.

The order protects data: key blocks first, BLOCK0 after them, and of BLOCK0 the fields that close
doors (protections, download modes, secure boot) at the very end. So a break in between leaves
keys that can still be read and compared, and the next run can go on.
"""

from __future__ import annotations

from espefuse import token
from espefuse.efuses import BURN_ATTEMPTS, BurnError, Efuses
from espefuse.fields import Block
from esptool.errors import FatalError


def burn_all(efuses: Efuses) -> bool:
    """Check, confirm and burn everything staged. True when it is all on the chip.

    Raises:
        FatalError: a block refuses what is staged (then nothing was burned).
        BurnError: the burn broke off or did not take; its text says what holds now.
    """
    efuses.emit("\nCheck all blocks for burn...")
    efuses.emit("idx, BLOCK_NAME,          Conclusion")
    todo = False
    for block in efuses.blocks:
        todo = check_block(efuses, block) or todo
    if not todo:
        efuses.emit("Nothing to burn, see messages above.")
        return True
    if efuses.show_token:
        efuses.emit("\neFuse token for burning:")
        efuses.emit(token.staged(efuses))
    from espefuse import plan

    for warning in plan.warnings(efuses):
        efuses.warn(warning)
    if efuses.before_burn is not None and not efuses.before_burn():
        drop(efuses)
        return False
    efuses.confirm("")
    assert efuses.controller is not None
    efuses.controller.set_timing()
    burn_blocks(efuses)
    return True


def drop(efuses: Efuses) -> None:
    """Forget what is staged."""
    for block in efuses.blocks:
        block.pending = 0


def check_block(efuses: Efuses, block: Block) -> bool:
    """Say what is going to happen to a block; True where it gets new bits."""
    new, old = block.pending, block.data
    if not new:
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
        block.pending = 0
        return False
    efuses.emit(f"{head} is not empty")
    efuses.emit(f"\t(written ): {block.hex(old)}")
    efuses.emit(f"\t(to write): {block.hex(new)}")
    if new | old == old:
        efuses.emit("\tAll wr_data bits are set in the written block, continue with EMPTY_BLOCK.")
        block.pending = 0
        return False
    efuses.emit(f"\t(coding scheme = {block.scheme.name})")
    check_coding(efuses, block)
    return bool(block.pending)


def check_coding(efuses: Efuses, block: Block) -> None:
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
        efuses.emit(f"\twritten  0x{clash.written:012x}")
        efuses.emit(f"\tto write 0x{clash.new:012x}")
    efuses.refuse(
        f"\tBurn into {block.name} is forbidden "
        f"({block.scheme.name} coding scheme does not allow this)."
    )


def burn_blocks(efuses: Efuses) -> None:
    """Burn all staged blocks, highest first, with BLOCK0's postponed fields last."""
    assert efuses.controller is not None
    done: list[str] = []
    current = ""
    try:
        for block in reversed(efuses.blocks):
            held = hold_back(efuses, block) if block.id == 0 and efuses.postpone else None
            if block.pending:
                current = f"BLOCK{block.id}"
                burn_block(efuses, block)
                done.append(current)
            if held is not None:
                efuses.emit("Burn postponed eFuses from BLOCK0.")
                stage_again(efuses, held)
                if block.pending:
                    current = "BLOCK0 (protections and mode bits)"
                    burn_block(efuses, block, last=True)
                    done.append(current)
        current = "the final check"
        if not link_closes(efuses):
            efuses.emit("Reading updated eFuses...")
            reread(efuses)
    except BurnError:
        raise
    except (FatalError, OSError, EOFError) as e:
        raise broken_off(efuses, done, current, e) from e
    finally:
        drop(efuses)


def reread(efuses: Efuses) -> None:
    efuses.read()
    if efuses.debug:
        efuses.print_blocks()


def hold_back(efuses: Efuses, block: Block) -> dict[str, int]:
    """Take the postponed fields out of what is staged for BLOCK0."""
    held = {}
    for name in efuses.table.postponed:
        field = efuses[name]
        held[name] = field.raw(False)
        if field.d.bit is not None:
            block.pending &= ~(field.d.mask << field.d.bit)
    if any(held.values()) and efuses.debug:
        efuses.emit("These BLOCK0 eFuses will be burned later at the very end:")
        for name, value in held.items():
            efuses.emit(f"    {name}: 0x{value:x}")
    return held


def stage_again(efuses: Efuses, held: dict[str, int]) -> None:
    for name, value in held.items():
        field = efuses[name]
        written = field.raw()
        if written and value | written == written:
            efuses.emit(f"\tThe same value for {name} is already burned. Do not change the eFuse.")
        elif value and field.d.bit is not None:
            efuses.blocks[0].stage(value << field.d.bit)


def burn_block(efuses: Efuses, block: Block, last: bool = False) -> None:
    """Burn one block, read it back and compare; again where bits or check words are wrong."""
    assert efuses.controller is not None
    new = block.pending
    words = block.scheme.encode(new, block.d.words)
    if efuses.debug:
        efuses.emit(block.row("to_write", new))
    closes = last and link_closes(efuses)
    for attempt in range(BURN_ATTEMPTS):
        efuses.controller.program(block.d, words)
        if closes:
            # The chip obeys at its next reset; until then it still answers.
            block.data |= new
            break
        efuses.refresh([block])
        if block.id == 0 and efuses.table.controller == "direct":
            efuses.read_coding_scheme()
        efuses.update_errors()
        if block.fail or block.num_errors:
            efuses.emit(
                f"Error in BLOCK{block.id}, re-burn it again (#{attempt}) to fix. "
                f"fail_bit={block.fail}, num_errors={block.num_errors}"
            )
            continue
        if block.data & new == new:
            break
        if attempt + 1 < BURN_ATTEMPTS:
            efuses.emit(
                f"\nRepeat burning BLOCK{block.id} (#{attempt + 2}) because not all bits were set"
            )
    else:
        if block.data & new != new:
            efuses.emit(
                f"\nAfter {BURN_ATTEMPTS} attempts, "
                f"the required data was not set to BLOCK{block.id}"
            )
    report_block(efuses, block, new)
    block.pending = 0


def report_block(efuses: Efuses, block: Block, new: int) -> None:
    if block.data == new:
        efuses.emit(f"BURN BLOCK{block.id:<2} - OK (write block == read block)")
    elif block.data & new == new:
        efuses.emit(f"BURN BLOCK{block.id:<2} - OK (all write block bits are set)")
    elif not block.is_readable():
        efuses.emit(
            f"{block.name} ({block.alias}) is read-protected. "
            "Read back the burn value is not possible."
        )
        efuses.emit("Read all '0'" if not block.data else "Read not all '0'")
    else:
        missing = new & ~block.data
        raise BurnError(
            f"Burn {block.name} ({block.alias}) was not successful.",
            burned=[],
            remedy=f"{missing.bit_count()} bit(s) stayed 0: 0x{missing:x}. "
            "Protected bits and a weak supply are the usual causes; run 'check-error'.",
        )


def link_closes(efuses: Efuses) -> bool:
    """Whether what was burned cuts this tool off the chip (at the next reset)."""
    return False


def broken_off(efuses: Efuses, done: list[str], current: str, cause: Exception) -> BurnError:
    """The explanation of a break: what is burned for good, what is open, what to do."""
    burned = ", ".join(done) or "nothing"
    open_blocks = [f"BLOCK{b.id}" for b in reversed(efuses.blocks) if b.pending]
    return BurnError(
        f"The burn broke off at {current}: {cause}",
        burned=done,
        remedy=(
            f"Burned and verified before: {burned}. {current} may be burned in part; "
            f"not burned: {', '.join(b for b in open_blocks if b != current) or 'nothing else'}. "
            "No bit that was to be set last (protections, download modes) is set unless it is "
            "named as burned. Run the same command again: bits that are set already are skipped."
        ),
    )


def recover(efuses: Efuses, do_not_confirm: bool) -> None:
    """Write each block that has coding errors once more, as it reads now, to mend its bits."""
    assert efuses.controller is not None
    broken = [b for b in reversed(efuses.blocks) if b.fail or b.num_errors]
    if not any(b.data or b.id == 0 for b in broken):
        return
    efuses.confirm("Recovery of block coding errors", do_not_confirm)
    efuses.controller.set_timing()
    for block in broken:
        if not block.data and block.id:
            continue
        words = block.scheme.encode(block.data, block.d.words)
        before = block.data
        for attempt in range(BURN_ATTEMPTS):
            efuses.controller.program(block.d, words)
            efuses.refresh([block])
            efuses.update_errors()
            if not block.fail and not block.num_errors:
                break
            efuses.emit(
                f"Error in BLOCK{block.id}, re-burn it again (#{attempt}) to fix. "
                f"fail_bit={block.fail}, num_errors={block.num_errors}"
            )
        same = (
            "write block == read block" if block.data == before else "all write block bits are set"
        )
        efuses.emit(f"BURN BLOCK{block.id:<2} - OK ({same})")
    efuses.read()
