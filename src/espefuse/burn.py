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

from espefuse import risks, token
from espefuse.device import drain
from espefuse.fields import Block
from espefuse.proof import changed_names, check_block, prove_state, settle, visible
from espefuse.state import BURN_ATTEMPTS, BurnError, EfuseState
from esptool.errors import FatalError, LineLossError
from esptool.sizes import counted

#: Fields that cut this tool off once the chip obeys them.
CLOSING = ("DIS_DOWNLOAD_MODE", "ENABLE_SECURITY_DOWNLOAD", "UART_DOWNLOAD_DIS")
AGAIN = "Run the same command again: bits that are set already are skipped."
LOOK = (
    "Reset the chip and run 'summary'. If the protections are set, all is done: a key block that "
    "is hidden can no longer be compared and must not be forced. If not, run the same command "
    "again."
)


def burn_staged(efuses: EfuseState) -> bool:
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
        burned = efuses.before_burn is None or efuses.before_burn()
        drop(efuses)
        return burned
    if efuses.show_token:
        efuses.emit("\neFuse token for burning:")
        efuses.emit(token.staged(efuses))
    for warning in risks.warnings(efuses):
        efuses.warn(warning)
    if efuses.before_burn is not None and not efuses.before_burn():
        drop(efuses)
        return False
    try:
        efuses.confirm("")
        prove_state(efuses)
    except LineLossError as e:
        raise e.saying("Nothing was burned, as the eFuses could not be read once more") from e
    except KeyboardInterrupt:
        raise KeyboardInterrupt("Nothing was burned.") from None
    Burn(efuses).run()
    return True


def drop(efuses: EfuseState) -> None:
    """Forget what is staged."""
    for block in efuses.blocks:
        block.drop()


class Burn:
    """One burn of everything that is staged, and what is known of its state when it breaks off.

    Attributes:
        done: blocks that are burned and proved.
        current: what is being done.
        fired: the burn command for `current` was sent.
        closed: fields that cut the link off, so that the last block could not be read back.
    """

    def __init__(self, efuses: EfuseState) -> None:
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
        except Exception:
            closing = self._closing_fields(block, new)
            if not closing:
                raise
            if not self._answers():
                self.closed = closing
                block.data |= new
                return False
        settle(efuses)
        return self._wrong(block, before, new)

    def _answers(self) -> bool:
        """Whether the chip still answers: what was lost then was lost on the line."""
        assert self.efuses.device is not None
        try:
            drain(self.efuses.device)
            self.controller.reload()
            self.efuses.read()
        except Exception:
            return False
        return True

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
        """What the blocks must show, hidden as RD_DIS reads now."""
        values = list(before)
        values[block.id] |= new
        return visible(self.efuses, values, self.efuses.rd_dis_value())

    def _comparable(self, before: list[int]) -> list[Block]:
        """The blocks that can be compared with what they showed before.

        Where a burn changed the coding scheme of an ESP32, its blocks are read in another way.
        """
        efuses = self.efuses
        if efuses.table.controller == "direct":
            d = efuses.table.field("CODING_SCHEME")
            if (before[0] ^ efuses.blocks[0].data) >> (d.bit or 0) & d.mask:
                return efuses.blocks[:1]
        return efuses.blocks

    def _wrong(self, block: Block, before: list[int], new: int) -> bool:
        expected = self._expected(block, before, new)
        differ = any(b.data != expected[b.id] for b in self._comparable(before))
        return differ or bool(block.fail or block.num_errors)

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
        nothing = [0] * len(expected)
        extra, lost = list(nothing), list(nothing)
        for b in self._comparable(before):
            extra[b.id] = b.data & ~expected[b.id]
            lost[b.id] = expected[b.id] & ~b.data & ~(new if b is block else 0)
        if not any(extra) and not any(lost):
            return
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

    def _report(self, block: Block, before: list[int], new: int, errors: tuple[bool, int]) -> None:
        """Say what a burn came to.

        Raises:
            BurnError: bits are missing, or the code word has errors that it did not have before.
        """
        efuses = self.efuses
        if self.closed:
            return
        broken = block.fail and (self.controller.fails_by_block or not errors[0])
        if broken or block.num_errors > errors[1]:
            raise BurnError(
                "Error(s) were detected in eFuses",
                burned=[],
                remedy=f"BLOCK{block.id} still has coding errors after {BURN_ATTEMPTS} attempts "
                "(try 'check-error --recovery'). " + self._state(cleared=True),
            )
        self._refuse_changes(block, before, new)
        missing = self._missing(block, before, new)
        if missing:
            efuses.emit(
                f"\nAfter {BURN_ATTEMPTS} attempts, "
                f"the required data was not set to BLOCK{block.id}"
            )
            raise BurnError(
                f"Burn {block.name} ({block.alias}) was not successful.",
                burned=[],
                remedy=f"{counted(missing.bit_count(), 'bit')} stayed 0 in "
                f"{', '.join(changed_names(efuses, *self._only(block, missing)))}. Protected bits "
                "and a weak supply are the usual causes; run 'check-error'. "
                + self._state(cleared=True),
            )
        if not block.is_readable() and not block.data & new:
            if not block.is_writeable():
                raise BurnError(
                    f"{block.name} ({block.alias}) is write-protected: nothing was burned into it.",
                    burned=[],
                    remedy=self._state(cleared=True),
                )
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
        if not block.is_readable() or self.closed:
            return
        stuck = block.stuck() & (~self.held_mask if block.id == 0 else -1)
        if stuck:
            names = ", ".join(changed_names(self.efuses, *self._only(block, stuck)))
            raise BurnError(
                f"BLOCK{block.id} does not hold the value that was asked for: bits that were "
                f"burned before make it another one in {names}.",
                burned=[],
                remedy=self._state(cleared=True),
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
            raise FatalError(f"eFuses changed after they were verified: {names}.")
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
        return block is None or self.controller.try_clear(block.d)

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
        begun = self.last or (not self.efuses.postpone and self.current == "BLOCK0" and self.fired)
        lines.append(
            "Protections and mode bits may be set."
            if begun
            else "No bit that was to be set last (protections, download modes) is set."
        )
        if not cleared:
            lines.append(
                "The programming window could not be cleared: what was in it stays there until "
                "the chip is reset."
            )
        lines.append(LOOK if self.last and self.fired else AGAIN)
        return " ".join(lines)
