# SPDX-License-Identifier: Apache-2.0
"""Burning what is staged: checks first, then one block after the other, each proved at once.

The order protects data: key blocks first, BLOCK0 after them, and of BLOCK0 the fields that close
doors (protections, download modes, secure boot) at the very end. So a break in between leaves
keys that can still be read and compared, and the next run can go on.

The proof of a block is the bit arithmetic of eFuses: after the burn the chip shows exactly the bits
that it showed before and those that were asked for, in this block and in all others. A bit that is
missing or that nobody asked for ends the run before anything is protected.
"""

from __future__ import annotations

from contextlib import suppress

from espefuse import token
from espefuse.efuses import BURN_ATTEMPTS, BurnError, Efuses
from espefuse.fields import Block
from esptool.errors import FatalError

SETTLE_READS = 6
#: Fields that cut this tool off once the chip obeys them.
CLOSING = ("DIS_DOWNLOAD_MODE", "ENABLE_SECURITY_DOWNLOAD", "UART_DOWNLOAD_DIS")
AGAIN = "Run the same command again: bits that are set already are skipped."
LOOK = (
    "Reset the chip and run 'summary'. If the protections are set, all is done: a key block that "
    "is hidden can no longer be compared and must not be forced. If not, run the same command "
    "again."
)


def burn_all(efuses: Efuses) -> bool:
    """Check, confirm and burn everything staged. True when it is all on the chip.

    Raises:
        FatalError: a block refuses what is staged (then nothing was burned).
        BurnError: the burn broke off or did not take; its text says what holds now.
        KeyboardInterrupt: the user stopped it; its text says the same.
    """
    efuses.unproved.clear()
    efuses.emit("\nCheck all blocks for burn...")
    efuses.emit("idx, BLOCK_NAME,          Conclusion")
    todo = False
    for block in efuses.blocks:
        todo = check_block(efuses, block) or todo
    if not todo:
        efuses.emit("Nothing to burn, see messages above.")
        if efuses.before_burn is not None:
            efuses.before_burn()
        drop(efuses)
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
    prove_state(efuses)
    Burn(efuses).run()
    return True


def drop(efuses: Efuses) -> None:
    """Forget what is staged."""
    for block in efuses.blocks:
        block.drop()


# --- before ------------------------------------------------------------------------------------


def check_block(efuses: Efuses, block: Block) -> bool:
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
        block.pending = 0
        block.exact = 0
        return False
    efuses.emit(f"{head} is not empty")
    efuses.emit(f"\t(written ): {block.hex(old)}")
    efuses.emit(f"\t(to write): {block.hex(new)}")
    if new | old == old:
        refuse_stuck(efuses, block)
        efuses.emit("\tAll wr_data bits are set in the written block, continue with EMPTY_BLOCK.")
        block.pending = 0
        block.exact = 0
        return False
    efuses.emit(f"\t(coding scheme = {block.scheme.name})")
    check_coding(efuses, block)
    refuse_stuck(efuses, block)
    return bool(block.pending)


def refuse_stuck(efuses: Efuses, block: Block) -> None:
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
        if not block.secret:
            efuses.emit(f"\twritten  0x{clash.written:012x}")
            efuses.emit(f"\tto write 0x{clash.new:012x}")
    efuses.refuse(
        f"\tBurn into {block.name} is forbidden "
        f"({block.scheme.name} coding scheme does not allow this)."
    )


def prove_state(efuses: Efuses) -> None:
    """Read all blocks once more: what they held when the burn was planned must be true.

    Raises:
        FatalError: they hold something else, or read differently each time.
    """
    planned = [block.data for block in efuses.blocks]
    schemes = efuses.coding_scheme
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


def settle(efuses: Efuses) -> None:
    """Read all blocks and error registers until two readings in a row agree.

    Raises:
        FatalError: no two of six do.
    """
    last = snapshot(efuses)
    for _ in range(SETTLE_READS):
        efuses.read()
        now = snapshot(efuses)
        if now == last:
            return
        last = now
    raise FatalError(
        f"The eFuses read differently each of {SETTLE_READS} times.",
        remedy="The line damages data: try a lower --baud, a shorter cable or another adapter.",
    )


def snapshot(efuses: Efuses) -> tuple[object, ...]:
    """All that was read, for comparison."""
    return [block.data for block in efuses.blocks], dict(efuses.status), efuses.coding_scheme


def visible(efuses: Efuses, values: list[int]) -> list[int]:
    """What the read registers show of blocks that hold `values`: hidden parts read as zero."""
    rd_dis = efuses.table.field("RD_DIS")
    hidden = (values[0] >> (rd_dis.bit or 0)) & rd_dis.mask
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


def changed_names(efuses: Efuses, one: list[int], other: list[int]) -> list[str]:
    """The fields whose bits differ between two readings, without their values."""
    names: dict[str, None] = {}
    for block, a, b in zip(efuses.blocks, one, other, strict=True):
        for bit in bits_of(a ^ b):
            names[f"{efuses.table.owner_of(block.id, bit)} (BLOCK{block.id})"] = None
    return list(names)


def bits_of(value: int) -> list[int]:
    """The numbers of the bits that are set, lowest first."""
    return [bit for bit in range(value.bit_length()) if value >> bit & 1]


# --- the burn ----------------------------------------------------------------------------------


class Burn:
    """One burn of everything that is staged, and what is known of its state when it breaks off.

    Attributes:
        done: blocks that are burned and proved.
        current: what is being done.
        fired: the burn command for `current` was sent.
        closed: fields that cut the link off, so that the last block could not be read back.
    """

    def __init__(self, efuses: Efuses) -> None:
        assert efuses.controller is not None
        self.efuses = efuses
        self.controller = efuses.controller
        self.done: list[str] = []
        self.current = "the setting of the controller's timing"
        self.fired = False
        self.closed: list[str] = []
        self.last = False
        self.loaded: Block | None = None
        self.held_mask = 0
        self.asked = [block.pending for block in efuses.blocks]

    def run(self) -> None:
        """Burn all blocks, highest first, with BLOCK0's postponed fields last."""
        efuses = self.efuses
        try:
            self.controller.set_timing()
            for block in reversed(efuses.blocks):
                held = self._hold_back(block) if block.id == 0 and efuses.postpone else None
                if block.pending:
                    self._burn(block, f"BLOCK{block.id}")
                self._prove_values(block)
                if held is not None:
                    efuses.emit("Burn postponed eFuses from BLOCK0.")
                    self._stage_again(held)
                    if block.pending:
                        self.last = True
                        self._burn(block, "BLOCK0 (protections and mode bits)")
            if self.closed:
                self._tell_of_closed_link()
            else:
                self._read_all_again()
        except BurnError as e:
            self._clear_window()
            e.burned = list(self.done)
            raise
        except KeyboardInterrupt:
            raise KeyboardInterrupt(self._state(self._clear_window())) from None
        except Exception as e:
            # Whatever a link can raise when it vanishes, the state of the chip has to be told.
            raise self._broken_off(e) from e
        finally:
            drop(efuses)

    # --- fields of BLOCK0 that wait ------------------------------------------------------------

    def _hold_back(self, block: Block) -> dict[str, int] | None:
        """Take the postponed fields out of what is staged for BLOCK0; None if there are none."""
        efuses = self.efuses
        held = {}
        for name in efuses.table.postponed:
            field = efuses[name]
            held[name] = field.raw(False)
            if field.d.bit is not None:
                self.held_mask |= field.d.mask << field.d.bit
        block.pending &= ~self.held_mask
        if any(held.values()) and efuses.debug:
            efuses.emit("These BLOCK0 eFuses will be burned later at the very end:")
            for name, value in held.items():
                efuses.emit(f"    {name}: 0x{value:x}")
        return held

    def _stage_again(self, held: dict[str, int]) -> None:
        for name, value in held.items():
            field = self.efuses[name]
            written = field.raw()
            if written and value | written == written:
                self.efuses.emit(
                    f"\tThe same value for {name} is already burned. Do not change the eFuse."
                )
            elif value and field.d.bit is not None:
                self.efuses.blocks[0].stage(value << field.d.bit)

    # --- one block -----------------------------------------------------------------------------

    def _burn(self, block: Block, name: str) -> None:
        """Burn one block and prove it; again where bits or check words did not take."""
        efuses, new = self.efuses, block.pending
        self.current, self.fired = name, False
        words = block.scheme.encode(new, block.d.words)
        if efuses.debug:
            efuses.emit(block.row("to_write", new))
        before = [b.data for b in efuses.blocks]
        errors = [(b.fail, b.num_errors) for b in efuses.blocks]
        self.loaded = block
        for attempt in range(BURN_ATTEMPTS):
            self.controller.load(block.d, words)
            self.fired = True
            self.controller.fire(block.d)
            if not self._read_back(block, before, new):
                break
            if block.fail or block.num_errors > errors[block.id][1]:
                efuses.emit(
                    f"Error in BLOCK{block.id}, re-burn it again (#{attempt}) to fix. "
                    f"fail_bit={block.fail}, num_errors={block.num_errors}"
                )
                if block.fail:
                    # What an unreadable code word shows says nothing about its bits.
                    before[block.id] = block.data & before[block.id]
                continue
            self._refuse_changes(block, before, new)
            if not self._missing(block, before, new):
                break
            if attempt + 1 < BURN_ATTEMPTS:
                efuses.emit(
                    f"\nRepeat burning BLOCK{block.id} (#{attempt + 2}) "
                    "because not all bits were set"
                )
        self.loaded = None
        self._report(block, before, new, errors[block.id])
        block.pending = 0
        self.done.append(name)

    def _read_back(self, block: Block, before: list[int], new: int) -> bool:
        """Read all eFuses after a burn; False where they are just as they should be.

        A reading that is not as it should be is only believed when a second one agrees.
        """
        efuses = self.efuses
        try:
            self.controller.reload()
            efuses.read()
            if not self._wrong(block, before, new):
                return False
            settle(efuses)
        except Exception:
            self.closed = self._closing_fields(block, new)
            if not self.closed:
                raise
            block.data |= new
            return False
        return self._wrong(block, before, new)

    def _closing_fields(self, block: Block, new: int) -> list[str]:
        """The fields in what was burned at last that make the chip stop answering."""
        if block.id or not (self.last or not self.efuses.postpone):
            return []
        found = []
        for name in CLOSING:
            if name in self.efuses:
                d = self.efuses[name].d
                if d.bit is not None and new >> d.bit & d.mask:
                    found.append(name)
        return found

    def _expected(self, block: Block, before: list[int], new: int) -> list[int]:
        values = list(before)
        values[block.id] |= new
        return visible(self.efuses, values)

    def _wrong(self, block: Block, before: list[int], new: int) -> bool:
        efuses = self.efuses
        if self._recoded(before):
            return False
        shown = [b.data for b in efuses.blocks]
        errors = bool(block.fail or block.num_errors)
        return errors or shown != self._expected(block, before, new)

    def _recoded(self, before: list[int]) -> bool:
        """ESP32: the burn changed how the other blocks read; only BLOCK0 can be compared."""
        if self.efuses.table.controller != "direct":
            return False
        d = self.efuses.table.field("CODING_SCHEME")
        return bool((before[0] ^ self.efuses.blocks[0].data) >> (d.bit or 0) & d.mask)

    def _missing(self, block: Block, before: list[int], new: int) -> int:
        """The bits that should be set in a block and are not, where they can be seen."""
        return self._expected(block, before, new)[block.id] & ~block.data

    def _refuse_changes(self, block: Block, before: list[int], new: int) -> None:
        """Stop where a bit changed that nobody asked for, in any block.

        Raises:
            BurnError: which fields they belong to.
        """
        efuses = self.efuses
        expected = self._expected(block, before, new)
        shown = [b.data for b in efuses.blocks]
        extra = [s & ~e for s, e in zip(shown, expected, strict=True)]
        lost = [
            e & ~s if b is not block else 0
            for b, s, e in zip(efuses.blocks, shown, expected, strict=True)
        ]
        if not any(extra) and not any(lost):
            return
        nothing = [0] * len(extra)
        parts = []
        if any(extra):
            names = ", ".join(changed_names(efuses, extra, nothing))
            parts.append(f"Bits that nobody asked for are burned in: {names}.")
        if any(lost):
            names = ", ".join(changed_names(efuses, lost, nothing))
            parts.append(f"Bits that were set before read as 0 now in: {names}.")
        raise BurnError(
            " ".join(parts),
            burned=[],
            remedy=f"{self._state(cleared=True)} The line damages data, or the supply is weak: "
            "look at 'summary' before anything else is burned on this chip.",
        )

    def _report(
        self, block: Block, before: list[int], new: int, errors: tuple[bool, int]
    ) -> None:
        """Say what a burn came to.

        Raises:
            BurnError: bits are missing, or the code word has errors that it did not have before.
        """
        efuses = self.efuses
        if self.closed:
            return
        missing = self._missing(block, before, new)
        if (block.fail and not errors[0]) or block.num_errors > errors[1]:
            raise BurnError(
                "Error(s) were detected in eFuses",
                burned=[],
                remedy=f"BLOCK{block.id} still has coding errors after {BURN_ATTEMPTS} attempts "
                "(try 'check-error --recovery'). " + self._state(cleared=True),
            )
        if missing:
            efuses.emit(
                f"\nAfter {BURN_ATTEMPTS} attempts, "
                f"the required data was not set to BLOCK{block.id}"
            )
            raise BurnError(
                f"Burn {block.name} ({block.alias}) was not successful.",
                burned=[],
                remedy=f"{missing.bit_count()} bit(s) stayed 0 in "
                f"{', '.join(changed_names(efuses, *self._only(block, missing)))}. Protected bits "
                "and a weak supply are the usual causes; run 'check-error'. "
                + self._state(cleared=True),
            )
        if not block.is_readable() and not block.data & new:
            efuses.emit(
                f"{block.name} ({block.alias}) is read-protected. "
                "Read back the burn value is not possible."
            )
            efuses.emit("Read all '0'" if not block.data else "Read not all '0'")
            efuses.unproved.append(block.name)
        elif block.data == new:
            efuses.emit(f"BURN BLOCK{block.id:<2} - OK (write block == read block)")
        else:
            efuses.emit(f"BURN BLOCK{block.id:<2} - OK (all write block bits are set)")

    def _only(self, block: Block, value: int) -> tuple[list[int], list[int]]:
        nothing = [0] * len(self.efuses.blocks)
        return [value if b is block else 0 for b in self.efuses.blocks], nothing

    def _prove_values(self, block: Block) -> None:
        """Stop where a block holds another value than was asked for (after a forced burn).

        Raises:
            BurnError: so it is; nothing is protected.
        """
        exact = block.exact & (~self.held_mask if block.id == 0 else -1)
        if not exact or not block.is_readable() or self.closed:
            return
        stuck = block.data & exact & ~self.asked[block.id]
        if stuck:
            names = ", ".join(changed_names(self.efuses, *self._only(block, stuck)))
            raise BurnError(
                f"BLOCK{block.id} does not hold the value that was asked for: bits that were "
                f"burned before make it another one in {names}.",
                burned=[],
                remedy="Nothing was protected. " + self._state(cleared=True),
            )

    # --- the end -------------------------------------------------------------------------------

    def _read_all_again(self) -> None:
        efuses = self.efuses
        self.current, self.fired = "the final check", False
        proved = [block.data for block in efuses.blocks]
        efuses.emit("Reading updated eFuses...")
        efuses.read()
        if [block.data for block in efuses.blocks] != proved:
            settle(efuses)
        found = [block.data for block in efuses.blocks]
        if found != proved:
            names = ", ".join(changed_names(efuses, proved, found))
            raise FatalError(f"eFuses changed after they were proved: {names}.")
        if efuses.debug:
            efuses.print_blocks()

    def _tell_of_closed_link(self) -> None:
        names = " and ".join(self.closed)
        self.efuses.unproved.append(names)
        self.efuses.emit(
            f"{names}: burned. The chip stopped answering, as it does once this is set, so the "
            "last burn of BLOCK0 could not be read back."
        )

    def _clear_window(self) -> bool:
        """Zero the programming window if something may be left in it; False if that failed."""
        block, self.loaded = self.loaded, None
        if block is None:
            return True
        with suppress(Exception, KeyboardInterrupt):
            self.controller.wait_idle()
            self.controller.clear(block.d)
            self.controller.reload()
            return True
        return False

    def _broken_off(self, cause: Exception) -> BurnError:
        """The explanation of a break: what is burned for good, what is open, what to do."""
        state = self._state(self._clear_window())
        return BurnError(
            f"The burn broke off at {self.current}: {cause}", burned=list(self.done), remedy=state
        )

    def _state(self, cleared: bool) -> str:
        burned = ", ".join(self.done)
        if self.current == "the final check":
            return (
                f"Burned and verified: {burned}. All that was asked for is on the chip; only the "
                "last reading of all eFuses is missing. Do not burn it again."
            )
        waiting = [f"BLOCK{b.id}" for b in reversed(self.efuses.blocks) if b.pending]
        waiting = [name for name in waiting if name != self.current.partition(" ")[0]]
        if not self.fired:
            waiting.insert(0, self.current)
        elif not self.last and self.held_mask & self.asked[0]:
            waiting.append("protections and mode bits of BLOCK0")
        lines = [f"Burned and verified before: {burned or 'nothing'}."]
        if self.fired:
            lines.append(f"{self.current} may be burned in part.")
        lines.append(f"Not burned: {', '.join(waiting) or 'nothing else'}.")
        lines.append(
            "No bit that was to be set last (protections, download modes) is set."
            if not self.last
            else "Protections and mode bits may be set."
        )
        if not cleared:
            lines.append(
                "The programming window could not be cleared: what was in it stays there until "
                "the chip is reset."
            )
        lines.append(LOOK if self.last and self.fired else AGAIN)
        return " ".join(lines)


# --- recovery ----------------------------------------------------------------------------------


def recover(efuses: Efuses, do_not_confirm: bool) -> None:
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
    for block in broken:
        _recover_block(efuses, block)
    efuses.read()


def _recover_block(efuses: Efuses, block: Block) -> None:
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
    extra = [s & ~b if i != block.id else 0 for i, (s, b) in enumerate(zip(shown, before, strict=True))]
    if any(extra):
        names = ", ".join(changed_names(efuses, extra, [0] * len(extra)))
        raise BurnError(f"Bits that nobody asked for are burned in: {names}.", burned=[])
