# SPDX-License-Identifier: Apache-2.0
"""One chip's eFuses as read, and what is staged to be burned. Nothing here burns.

Registers are left to `controller`, meanings to `codecs`, the rules of burning to `burn`, and
what users ask for to `commands`. Text goes to the `emit` that it is given.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

from espefuse import coding, controller
from espefuse.coding import CodingScheme
from espefuse.device import RegisterAccess
from espefuse.fields import Block, Field
from espefuse.schema import BlockDef, ChipTable, FieldDef
from esptool.errors import FatalError

BURN_ATTEMPTS = 3
FORCE_HINT = "(use '--force-write-always' option to ignore it)"

Emit = Callable[[str], None]


class BurnError(FatalError):
    """A burn did not leave the chip as planned. `burned` names the blocks that are done."""

    def __init__(self, message: str, *, burned: list[str], remedy: str | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.burned = burned


class AbortedError(Exception):
    """The user did not type BURN. Nothing was burned."""


class EfuseState(ABC):
    """All eFuses of one chip.

    Attributes:
        postpone: burn fields of BLOCK0 that close doors after everything else.
        force_write_always: None: the command has no such option.
        show_token: print what is staged as a token before burning.
        before_burn: set for a plan or dry run: shows what is staged; where it gives False, and
            for a recovery, nothing is burned.
        unproved: what the last burn could not read back.
    """

    def __init__(
        self,
        table: ChipTable,
        device: RegisterAccess | None,
        *,
        emit: Emit = print,
        warn: Emit = print,
        confirm: Callable[[str], bool] | None = None,
        debug: bool = False,
        do_not_confirm: bool = False,
    ) -> None:
        self.table = table
        self.device = device
        self.emit = emit
        self.warn = warn
        self.ask = confirm
        self.debug = debug
        self.do_not_confirm = do_not_confirm
        self.postpone = True
        self.force_write_always: bool | None = None
        self.show_token = False
        self.before_burn: Callable[[], bool] | None = None
        self.unproved: list[str] = []
        self.blocks = [Block(self, d) for d in table.blocks]
        self.coding_scheme = coding.NONE.number
        self.status: dict[int, int] = {}
        self._fields: dict[str, Field] = {}
        self._lazy: dict[str, FieldDef] = {}
        self._date: int | None = None
        self.controller = controller.make(table, device) if device is not None else None
        if device is not None:
            self.read()
        self._make_fields()

    # --- fields --------------------------------------------------------------------------------

    def _make_fields(self) -> None:
        for d in self.table.fields:
            if d.group in ("keyblocks_256", "keyblocks_192") and not self._group_on(d.group):
                continue
            if not self._group_on(d.group):
                self._lazy.update(dict.fromkeys(d.names, d))
                continue
            self._add(d)

    def _group_on(self, group: str) -> bool:
        if group in ("", "user", "custom_mac"):
            return True
        if group == "calculated":
            return self.device is not None
        if group == "calibration":
            need = self.table.calibration_block_version
            return self.device is None or (need is not None and self.get_block_version() >= need)
        if group == "keyblocks_256":
            return self.coding_scheme != coding.THREE_QUARTERS.number
        if group == "keyblocks_192":
            return self.coding_scheme == coding.THREE_QUARTERS.number
        return self.device is not None and self._raw_of("BLK3_PART_RESERVE") == 1

    def _raw_of(self, name: str) -> int:
        """A field's bits before fields exist; 0 for a field that the chip lacks."""
        for d in self.table.fields:
            if d.name == name and d.bit is not None:
                return (self.blocks[d.block].data >> d.bit) & d.mask
        return 0

    def _add(self, d: FieldDef) -> Field:
        field = self._fields[d.name] = Field(self, d)
        return field

    def __getitem__(self, name: str) -> Field:
        """A field by its name or one of its old names; KeyError where there is none."""
        field = self._fields.get(name)
        if field is not None:
            return field
        for field in self._fields.values():
            if name in field.d.alt:
                return field
        d = self._lazy.get(name)
        if d is None:
            raise KeyError(name)
        # A computed field only makes sense on a chip; calibration exists on any.
        return self._fields.get(d.name) or self._add(d)

    def __contains__(self, name: str) -> bool:
        try:
            self[name]
        except KeyError:
            return False
        return True

    def __iter__(self) -> Iterator[Field]:
        return iter(self._fields.values())

    @property
    def efuses(self) -> list[Field]:
        """All fields."""
        return list(self._fields.values())

    def high_part(self, field: Field) -> Field | None:
        """The field that holds the highest bit of a key purpose on chips that split it."""
        if field.d.codec != "keypurpose" or field.d.kind == "bool":
            return None
        return self._fields.get(f"{field.name}_H")

    def present(self) -> set[str]:
        """All names of the fields that can be burned in the chip's present state."""
        unused = () if self._raw_of("MAC_VERSION") == 1 else ("custom_mac",)
        return {n for f in self._fields.values() if f.d.group not in unused for n in f.d.names}

    def block_of(self, name: str) -> Block:
        """The block of that name, or of another name of it.

        Raises:
            FatalError: there is none; says which there are.
        """
        try:
            return self.blocks[self.table.block(name).index]
        except KeyError:
            raise FatalError(
                f"{self.table.chip} has no eFuse block '{name}'.",
                remedy=f"Choose one of {', '.join(block.name for block in self.table.blocks)}.",
            ) from None

    # --- chip facts ----------------------------------------------------------------------------

    def scheme_of(self, block: BlockDef) -> CodingScheme:
        """Coding scheme of a block."""
        if block.index == 0:
            return coding.NONE
        if self.table.controller == "pgm":
            return coding.REED_SOLOMON
        return coding.by_number(self.coding_scheme)

    def wr_dis_value(self) -> int:
        """Bits of WR_DIS, as read."""
        return self._raw_of("WR_DIS")

    def rd_dis_value(self) -> int:
        """Bits of RD_DIS, as read."""
        return self._raw_of("RD_DIS")

    def date_bit(self) -> int:
        """ESP32: a bit outside the eFuses that belongs to the silicon revision."""
        if self._date is None:
            self._date = self.device.read_reg(0x3FF6607C) >> 31 if self.device is not None else 0
        return self._date

    def get_block_version(self) -> int:
        """Version of the eFuse layout: major * 100 + minor."""
        return self._raw_of("BLK_VERSION_MAJOR") * 100 + self._raw_of("BLK_VERSION_MINOR")

    def get_chip_version(self) -> int:
        """The silicon revision, major * 100 + minor."""
        numbers = []
        for part in ("WAFER_VERSION_MAJOR", "WAFER_VERSION_MINOR"):
            numbers.append(self[part].raw() if part in self else 0)
        return numbers[0] * 100 + numbers[1]

    # --- reading -------------------------------------------------------------------------------

    def read(self) -> None:
        """Read all blocks and error registers."""
        assert self.controller is not None
        if self.table.controller == "direct":
            self._read_direct()
        else:
            schemes = [self.scheme_of(b.d) for b in self.blocks]
            values = self.controller.read_blocks([b.d for b in self.blocks], schemes)
            for block, value in zip(self.blocks, values, strict=True):
                block.data = value
        self.update_errors()

    def _read_direct(self) -> None:
        """ESP32: BLOCK0 tells how the other blocks are coded."""
        assert self.controller is not None
        first, rest = self.blocks[0], self.blocks[1:]
        first.data = self.controller.read_blocks([first.d], [coding.NONE])[0]
        self.read_coding_scheme()
        schemes = [self.scheme_of(b.d) for b in rest]
        values = self.controller.read_blocks([b.d for b in rest], schemes)
        for block, value in zip(rest, values, strict=True):
            block.data = value

    def read_coding_scheme(self) -> None:
        """Take over the scheme that BLOCK0 names; hidden, it counts as none.

        Raises:
            FatalError: the scheme that no tool supports.
        """
        number = self._raw_of("CODING_SCHEME")
        try:
            coding.by_number(number)
        except KeyError:
            raise FatalError(f"The {number} coding scheme is not supported") from None
        self.coding_scheme = number

    def reread(self) -> None:
        """Have the controller load its registers anew, and read all of them.

        After a burn that broke off they may still show what was there before it.
        """
        assert self.controller is not None
        self.controller.reload()
        self.read()

    def refresh(self, blocks: list[Block]) -> None:
        """Read some blocks again (all controllers reload after burning)."""
        assert self.controller is not None
        values = self.controller.read_blocks([b.d for b in blocks], [b.scheme for b in blocks])
        for block, value in zip(blocks, values, strict=True):
            block.data = value

    def update_errors(self) -> None:
        """Take over the error registers."""
        assert self.controller is not None
        self.status = self.controller.status()
        for block in self.blocks:
            block.num_errors, block.fail = self.controller.errors(block.d, self.status)

    def get_coding_scheme_warnings(self, silent: bool = False) -> bool:
        """Whether any block has errors; says which unless `silent`."""
        found = any(block.num_errors or block.fail for block in self.blocks)
        if silent or not (found or self.debug):
            return found
        stop = "." if self.table.block0_errors else ""
        for block in self.blocks:
            if block.num_errors or block.fail:
                self.emit(
                    f"Error(s) in BLOCK{block.id} "
                    f"[ERRORS:{block.num_errors} FAIL:{block.fail}]{stop}"
                )
        self.emit("")
        if self.table.block0_errors:
            words = [self.status.get(a, 0) for a in self.table.block0_errors]
            self.emit(self.blocks[0].row("err__regs", coding.from_words([0, *words])))
        for name, address in self.table.status_registers:
            self.emit(f"{name:<27} 0x{self.status.get(address, 0):08x}")
        return found

    def print_blocks(self, comment: str = "read_regs") -> None:
        """Show all blocks, as read."""
        for block in self.blocks:
            self.emit(block.row(comment))

    @abstractmethod
    def burn_all(self, check_batch_mode: bool = False) -> bool:
        """Burn everything staged; see `Efuses`."""

    # --- what stops a burn ---------------------------------------------------------------------

    def refuse(self, message: str) -> None:
        """Stop, unless the user forces it; then say so and go on."""
        if self.force_write_always:
            self.emit(f"{message} Skipped because '--force-write-always' option.")
            return
        raise FatalError(message + (FORCE_HINT if self.force_write_always is not None else ""))

    def confirm(self, action: str, do_not_confirm: bool = False) -> None:
        """Ask for the word BURN.

        Raises:
            AbortedError: any other answer.
        """
        self.emit(
            f"{action}{'' if action.endswith('.') else '.'} \nThis is an irreversible operation!"
        )
        if do_not_confirm or self.do_not_confirm:
            return
        if self.ask is None or not self.ask("Type 'BURN' (all capitals) to continue."):
            raise AbortedError


def unknown_field(efuses: EfuseState, name: str) -> FatalError:
    """The error for a name that no field has, with the nearest that exist."""
    from difflib import get_close_matches

    names = [n for f in efuses for n in f.all_names]
    close = get_close_matches(name.upper(), names, n=3)
    hint = f"Did you mean {' or '.join(close)}?" if close else None
    return FatalError(f"Invalid eFuse name '{name}'. Available eFuse names: {names}", remedy=hint)
