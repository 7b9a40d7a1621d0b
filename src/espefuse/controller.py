# SPDX-License-Identifier: Apache-2.0
"""The two eFuse controllers: register steps that read blocks and burn them. No rules, no fields.

`DirectController` is the ESP32's: each block has its own write registers. `PgmController` is that
of all later chips: one programming window and a command with the block's number. Both prove that
the window holds what is going to be burned; what was burned is judged by the engine.
"""

from __future__ import annotations

import time
from contextlib import suppress

from espefuse.coding import CodingScheme, from_words
from espefuse.device import RegisterAccess, drain, read_many, write_many
from espefuse.schema import BlockDef, ChipTable
from esptool.errors import FatalError

WRITE_OP = 0x5A5A
READ_OP = 0x5AA5
READ_CMD = 0x01
PGM_CMD = 0x02
IDLE_TIMEOUT_S = 0.25
IDLE_READS = 2
#: Polls that are made however long each of them took: a busy computer is no busy controller.
IDLE_POLLS = 5
WINDOW_TRIES = 5
NOISE_REMEDY = "The line damages data: try a lower --baud, a shorter cable or another adapter."
DEC_STATUS_MASK = 0xFFF


class Controller:
    """What both have in common: reading, timing and waiting."""

    #: An error that cannot be corrected is told of each block by itself.
    fails_by_block = True

    def __init__(self, table: ChipTable, device: RegisterAccess) -> None:
        self.table = table
        self.device = device
        self.timing_set = False

    # --- reading -------------------------------------------------------------------------------

    def read_blocks(self, blocks: list[BlockDef], schemes: list[CodingScheme]) -> list[int]:
        """The data of each block as an integer, in one pass over the registers."""
        counts = [s.data_words(b.words) for b, s in zip(blocks, schemes, strict=True)]
        addresses = [
            b.read_addr + 4 * i for b, n in zip(blocks, counts, strict=True) for i in range(n)
        ]
        words = read_many(self.device, addresses)
        out, at = [], 0
        for count in counts:
            out.append(from_words(words[at : at + count]))
            at += count
        return out

    def status(self) -> dict[int, int]:
        """The values of all error registers by address."""
        registers = [*self.table.block0_errors, *(a for _, a in self.table.status_registers)]
        return dict(zip(registers, read_many(self.device, registers), strict=True))

    def errors(self, block: BlockDef, status: dict[int, int]) -> tuple[int, bool]:
        """(count of wrong bits or bytes, whether the controller could not correct them)."""
        if block.index == 0:
            # Each set bit is a bit of BLOCK0 whose copies differ.
            words = [status[a] for a in self.table.block0_errors]
            wrong = sum(word.bit_count() for word in words)
            return wrong, wrong != 0
        for row in self.table.block_errors:
            if row.block == block.index:
                count = (status[row.register] >> row.count_shift) & row.count_mask
                fail = row.fail_bit is not None and (status[row.fail_register] >> row.fail_bit) & 1
                return count, bool(fail)
        return self.unnamed_error(status)

    def unnamed_error(self, _status: dict[int, int]) -> tuple[int, bool]:
        """The state of a block that has no error bits of its own."""
        return 0, False

    # --- burning -------------------------------------------------------------------------------

    def set_timing(self) -> None:
        """Tell the controller the crystal's pace, once. Wrong timing could burn too weakly."""
        if self.timing_set:
            return
        mhz = self.device.get_crystal_freq()
        if self.table.xtal_mhz and mhz not in self.table.xtal_mhz:
            raise FatalError(
                f"The eFuse controller of {self.table.chip} cannot burn with a crystal of "
                f"{mhz} MHz (it can with {', '.join(map(str, self.table.xtal_mhz))} MHz)."
            )
        for register, mask, value in (*self.table.timing, *self.table.unsettled_timing):
            number = value if isinstance(value, int) else value.get(mhz)
            if number is not None:
                self._set_timing_field(self.table.registers[register], mask, number)
        self.timing_set = True

    def _set_timing_field(self, address: int, mask: int, number: int) -> None:
        shift = (mask & -mask).bit_length() - 1
        for _ in range(WINDOW_TRIES):
            self.device.update_reg(address, mask, number)
            # The virtual memory keeps the number unshifted (see `VirtualEfuses.update_reg`).
            if self.device.read_reg(address) & mask in ((number << shift) & mask, number & mask):
                return
        raise FatalError(
            f"The timing register 0x{address:08x} of the eFuse controller does not hold what was "
            "written to it. Nothing was burned.",
            remedy=NOISE_REMEDY,
        )

    def load(self, block: BlockDef, words: list[int]) -> None:
        """Write `words` (data and check words) into the programming window, and prove it.

        All registers that the next burn command takes into account are read back, so that
        neither a damaged request nor what an earlier run left behind is ever burned.

        Raises:
            FatalError: the window does not hold the words. Nothing was burned.
        """
        config = self.table.registers["CONF"]
        wanted = self.window(block, words)
        first = block.write_addr if self.table.controller == "direct" else min(wanted)
        write_many(self.device, [(first + 4 * i, word) for i, word in enumerate(words)])
        self.device.write_reg(config, WRITE_OP)
        for _ in range(WINDOW_TRIES):
            *found, code = read_many(self.device, [*wanted, config])
            wrong = [
                (address, word)
                for (address, word), there in zip(wanted.items(), found, strict=True)
                if word != there
            ]
            if not wrong and code & 0xFFFF == WRITE_OP:
                return
            drain(self.device)
            write_many(self.device, wrong)
            if code & 0xFFFF != WRITE_OP:
                self.device.write_reg(config, WRITE_OP)
        raise FatalError(
            f"The programming window of the eFuse controller does not hold what was written to it "
            f"for BLOCK{block.index}, so this block was not burned.",
            remedy=NOISE_REMEDY,
        )

    def try_clear(self, block: BlockDef) -> bool:
        """Clear the window after a break, as far as the link still allows; False where not."""
        with suppress(Exception, KeyboardInterrupt):
            self.wait_idle()
            self.clear(block)
            self.reload()
            return True
        return False

    def fire(self, block: BlockDef) -> None:
        """Burn what `load` put into the window, then clear the window."""
        self.device.write_reg(self.table.registers["CMD"], self.program_command(block))
        self.wait_idle()
        self.clear(block)

    def window(self, block: BlockDef, words: list[int]) -> dict[int, int]:
        """What every register of the programming window must hold to burn `words`, by address."""
        raise NotImplementedError

    def program_command(self, block: BlockDef) -> int:
        """The value of CMD that burns a block."""
        raise NotImplementedError

    def clear(self, block: BlockDef) -> None:
        """Zero the window: no key stays where software could read it or another burn take it."""
        raise NotImplementedError

    def reload(self) -> None:
        """Make the controller read all eFuses again into its registers."""
        raise NotImplementedError

    def wait_idle(self) -> None:
        """Wait until no command runs.

        Raises:
            FatalError: the controller does not finish within a quarter of a second.
        """
        command = self.table.registers["CMD"]
        deadline = time.monotonic() + IDLE_TIMEOUT_S
        polls = 0
        while polls < IDLE_POLLS or time.monotonic() < deadline:
            if not any(self.device.read_reg(command) & 0x03 for _ in range(self.idle_reads())):
                return
            polls += 1
        raise FatalError(
            "Timed out waiting for the eFuse controller to finish a command.",
            remedy="Reset the chip and run 'check-error' to see what has been burned.",
        )

    def idle_reads(self) -> int:
        """How often the state is read in a row before the controller counts as idle."""
        return 1


class DirectController(Controller):
    """ESP32: the write registers of all blocks are burned by one command."""

    fails_by_block = False

    def window(self, block: BlockDef, words: list[int]) -> dict[int, int]:
        # One command burns all blocks: the registers of the others must be zero.
        wanted = {b.write_addr + 4 * i: 0 for b in self.table.blocks for i in range(b.words)}
        wanted.update((block.write_addr + 4 * i, word) for i, word in enumerate(words))
        return wanted

    def program_command(self, _block: BlockDef) -> int:
        return PGM_CMD

    def clear(self, block: BlockDef) -> None:
        write_many(self.device, [(block.write_addr + 4 * i, 0) for i in range(block.words)])

    def reload(self) -> None:
        registers = self.table.registers
        self.device.write_reg(registers["CONF"], READ_OP)
        self.device.write_reg(registers["CMD"], READ_CMD)
        self.wait_idle()

    def unnamed_error(self, status: dict[int, int]) -> tuple[int, bool]:
        # One register tells of decoding errors anywhere in the blocks 1 to 3.
        return 0, bool(status[self.table.registers["DEC_STATUS"]] & DEC_STATUS_MASK)


class PgmController(Controller):
    """All chips after the ESP32: one programming window for all blocks."""

    def idle_reads(self) -> int:
        # The command bits drop for a moment between two phases of a command.
        return IDLE_READS

    def window(self, block: BlockDef, words: list[int]) -> dict[int, int]:
        count = self.table.block0_words if block.index == 0 else len(words)
        count = max(count, self.table.clear_words)
        padded = words + [0] * (count - len(words))
        start = self.table.registers["PGM_DATA0"]
        return {start + 4 * i: word for i, word in enumerate(padded)}

    def program_command(self, block: BlockDef) -> int:
        return PGM_CMD | block.index << 2

    def clear(self, _block: BlockDef) -> None:
        start = self.table.registers["PGM_DATA0"]
        write_many(self.device, [(start + 4 * i, 0) for i in range(self.table.clear_words)])

    def reload(self) -> None:
        registers = self.table.registers
        self.device.write_reg(registers["CONF"], READ_OP)
        self.device.write_reg(registers["CMD"], READ_CMD, delay_after_us=1000)
        self.wait_idle()


def make(table: ChipTable, device: RegisterAccess) -> Controller:
    """The controller of a chip, by what its table names."""
    kinds: dict[str, type[Controller]] = {"direct": DirectController, "pgm": PgmController}
    return kinds[table.controller](table, device)
