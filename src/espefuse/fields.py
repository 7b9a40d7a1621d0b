# SPDX-License-Identifier: Apache-2.0
"""Fields and blocks as the engine holds them: values read, bits staged, protection. No burning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from espefuse import coding
from espefuse.codecs import Value, bit_text, codec_of
from espefuse.coding import CodingScheme
from espefuse.schema import BlockDef, ChipTable, FieldDef
from esptool.errors import FatalError
from esptool.records import dataclass

PROTECTION_FIELDS = ("WR_DIS", "RD_DIS")


class Owner(Protocol):
    """What fields and blocks ask of the chip that they belong to."""

    table: ChipTable
    blocks: list[Block]
    emit: Callable[[str], None]
    status: dict[int, int]

    def __getitem__(self, name: str) -> Field: ...

    def refuse(self, message: str) -> None:
        """Refuse a write with this reason, unless it was forced."""

    def rd_dis_value(self) -> int:
        """Bits of RD_DIS, as read."""

    def wr_dis_value(self) -> int:
        """Bits of WR_DIS, as read."""

    def date_bit(self) -> int:
        """ESP32: bit of the date register that the burn timing depends on."""

    def high_part(self, field: Field) -> Field | None:
        """The field that holds the upper bits of one that is split, None where it is whole."""

    def scheme_of(self, block: BlockDef) -> CodingScheme:
        """Coding scheme of a block."""

    def burn_all(self, check_batch_mode: bool = False) -> bool:
        """Burn what was staged; False where batch mode keeps it for later."""


class Guard:
    """What fields and blocks share: protection by bits of WR_DIS and RD_DIS."""

    owner: Owner
    name: str
    wr_dis: int | None
    rd_dis: tuple[int, ...]

    def is_readable(self, blk_part: int | None = None) -> bool:
        """Whether software can read it (or its part number `blk_part`)."""
        return not self.owner.rd_dis_value() & self.get_read_disable_mask(blk_part)

    def is_hidden_whole(self) -> bool:
        """Whether software can read no part of it."""
        mask = self.get_read_disable_mask()
        return bool(mask) and self.owner.rd_dis_value() & mask == mask

    def is_writeable(self) -> bool:
        """Whether bits can still be burned."""
        return self.wr_dis is None or not self.owner.wr_dis_value() >> self.wr_dis & 1

    def get_read_disable_mask(self, blk_part: int | None = None) -> int:
        """Bits of RD_DIS that protect this (or one part of it) from being read."""
        bits = self.rd_dis if blk_part is None or not self.rd_dis else (self.rd_dis[blk_part],)
        mask = 0
        for bit in bits:
            mask |= 1 << bit
        return mask

    def get_count_read_disable_bits(self) -> int:
        """How many bits of RD_DIS protect this from being read."""
        return len(self.rd_dis)

    def disable_read(self) -> None:
        """Stage the bits of RD_DIS that hide it.

        Raises:
            FatalError: RD_DIS is itself write-protected.
        """
        field = self.owner["RD_DIS"]
        mask = self.get_read_disable_mask()
        if not field.is_writeable() and mask:
            raise FatalError(
                "This eFuse cannot be read-disabled due to the RD_DIS field being already "
                "write-disabled"
            )
        field.save(mask)

    def disable_write(self) -> None:
        """Stage the bit of WR_DIS that locks it.

        Raises:
            FatalError: WR_DIS is itself write-protected.
        """
        field = self.owner["WR_DIS"]
        if not field.is_writeable() and self.wr_dis is not None:
            raise FatalError(
                "This eFuse cannot be write-disabled due to the WR_DIS field being already "
                "write-disabled"
            )
        field.save(0 if self.wr_dis is None else 1 << self.wr_dis)

    def check_wr_rd_protect(self) -> None:
        """Refuse to burn what cannot be read back or cannot be written."""
        if not self.is_readable():
            self.owner.refuse(
                f"\t{self.name} is read-protected. "
                "The written value can not be read, the eFuse/block looks as all 0.\n"
                "\tBurn in this case may damage an already written value."
            )
        if not self.is_writeable():
            self.owner.refuse(f"\t{self.name} is write-protected. Burn is not possible.")


@dataclass(frozen=True, slots=True)
class Staged:
    """What a block holds for the next burn; see `Block`."""

    pending: int
    exact: int
    wanted: int
    secret: bool
    resumed: bool


class Block(Guard):
    """A block's data as read and the bits that are staged for it."""

    def __init__(self, owner: Owner, d: BlockDef) -> None:
        self.owner = owner
        self.d = d
        self.name, self.alias, self.id = d.name, list(d.alias), d.index
        self.wr_dis, self.rd_dis = d.wr_dis, d.rd_dis
        self.data = 0
        self.pending = 0
        self.num_errors = 0
        self.fail = False
        # What is staged finishes a burn that broke off: the same code word, once more.
        self.resumed = False
        # Bits that must afterwards be exactly as staged: what they belong to is a value, so that a
        # 1 which is there already and not asked for makes it another one.
        self.exact = 0
        self.wanted = 0
        # What is staged is a key: it appears in no text.
        self.secret = False

    @property
    def scheme(self) -> CodingScheme:
        """Its coding scheme."""
        return self.owner.scheme_of(self.d)

    @property
    def words(self) -> int:
        """Data words under the scheme in force."""
        return self.scheme.data_words(self.d.words)

    @property
    def bits(self) -> int:
        """Its length."""
        return self.words * 32

    @property
    def key_purpose_name(self) -> str | None:
        """Name of the field with its key purpose, None for a block without one."""
        return self.d.purpose_field

    def get_words(self) -> list[int]:
        """Its data as read, in 32-bit words."""
        return coding.to_words(self.data, self.words)

    def get_raw(self, from_read: bool = True) -> bytes:
        """The data, or what is staged, first byte first."""
        return (self.data if from_read else self.pending).to_bytes(self.bits // 8, "little")

    def get_block_len(self) -> int:
        """Bytes of data."""
        return self.bits // 8

    def hex(self, value: int) -> str:
        """Bits as hex digits, highest first; as "?" where they belong to a key."""
        digits = self.bits // 4
        return f"0x{'?' * digits}" if self.secret else f"0x{value:0{digits}x}"

    def stage(self, value: int, exact: int = 0) -> None:
        """Add bits to what is going to be burned; those of `exact` must be as in `value` then.

        Raises:
            FatalError: that contradicts what is staged already.
        """
        self.expect(value, exact)
        self.pending |= value

    def expect(self, value: int, exact: int) -> None:
        """Have the bits of `exact` be as in `value` after the burn; see `stage`."""
        if self.exact & value & ~self.wanted or exact & self.pending & ~value:
            raise FatalError(
                f"Two commands of this run want different values in BLOCK{self.id}, and bits "
                "cannot be cleared."
            )
        self.exact |= exact
        self.wanted |= value & exact

    def drop(self) -> None:
        """Forget what is staged."""
        self.stage_only(Staged(0, 0, 0, False, False))

    def forget_bits(self) -> None:
        """Take back the bits that are staged: nothing of them has to be burned."""
        self.pending = self.exact = self.wanted = 0

    def staged(self) -> Staged:
        """What is staged now."""
        return Staged(self.pending, self.exact, self.wanted, self.secret, self.resumed)

    def stage_only(self, staged: Staged) -> None:
        """Forget what is staged, and stage this."""
        self.pending, self.exact, self.wanted = staged.pending, staged.exact, staged.wanted
        self.secret, self.resumed = staged.secret, staged.resumed

    def stuck(self) -> int:
        """Bits that are burned already and make what is staged another value; they stay."""
        return self.data & self.exact & ~self.wanted

    def row(self, comment: str, value: int | None = None) -> str:
        """The block as one line: its words in hex, the lowest first."""
        words = coding.to_words(self.data if value is None else value, self.words)
        alias = " ".join(self.alias)[:16]
        text = " ".join(f"{w:08x}" for w in words)
        return f"{self.name:<15} ({alias:<16}) [{self.id:<2}] {comment}: {text}"


class Field(Guard):
    """A named run of bits, or a value computed from other fields."""

    def __init__(self, owner: Owner, d: FieldDef) -> None:
        self.owner = owner
        self.d = d
        self.name, self.description, self.category = d.name, d.description, d.category
        self.alt_names = list(d.alt)
        self.block, self.bit_len, self.efuse_type = d.block, d.length, d.type
        self.word = None if d.bit is None else d.bit // 32
        self.pos = None if d.bit is None else d.bit % 32
        self.dict_value = d.labels or None
        self.wr_dis, self.rd_dis = d.wr_dis, d.rd_dis
        self.codec = codec_of(d)

    @property
    def table(self) -> ChipTable:
        """The table of the chip."""
        return self.owner.table

    @property
    def all_names(self) -> list[str]:
        """Its name, and all others under which it is known."""
        return [self.name, *self.alt_names]

    @property
    def parent(self) -> Owner:
        """The eFuses that it belongs to."""
        return self.owner

    def get_info(self) -> str:
        """Its name and block, for messages."""
        return f"{self.name} (BLOCK{self.block})"

    def is_field_calculated(self) -> bool:
        """It has no bits of its own: its value is made of other fields."""
        return self.d.bit is None

    # --- value ---------------------------------------------------------------------------------

    def raw(self, from_read: bool = True) -> int:
        """The bits as an integer, as read or as staged."""
        d = self.d
        if d.bit is not None:
            block = self.owner.blocks[d.block]
            return ((block.data if from_read else block.pending) >> d.bit) & d.mask
        if d.bytes_from:
            return int.from_bytes(self._joined_bytes(from_read), "little")
        value = 0
        for source, shift, width in d.bits_from:
            outside = " " in source  # a register's bit, not a field
            part = self.owner.date_bit() if outside else self.owner[source].raw(from_read)
            value |= (part & ((1 << width) - 1)) << shift
        return d.value_map.get(value, 0) if d.value_map else value

    def _joined_bytes(self, from_read: bool) -> bytes:
        out = bytearray()
        for part in self.d.bytes_from:
            name, _, span = part.partition("[")
            first, _, last = span.rstrip("]").partition("..")
            source = self.owner[name]
            data = source.raw(from_read).to_bytes(source.bit_len // 8, "big")
            out += data[int(first) : int(last) + 1]
        return bytes(out)

    def purpose_raw(self, from_read: bool = True) -> int:
        """The raw value with the highest bit that a second field holds, if there is one."""
        high = self.owner.high_part(self)
        value = self.raw(from_read)
        return value | (high.raw(from_read) << self.bit_len if high else 0)

    def sibling_raw(self, name: str) -> int:
        """The bits of another field, as read."""
        return self.owner[name].raw()

    def get_raw(self, from_read: bool = True) -> int | bool | bytes:
        """Number, flag, or bytes (first byte first)."""
        value = self.raw(from_read)
        if self.d.kind == "bool":
            return bool(value)
        if self.d.kind == "bytes":
            return value.to_bytes(self.bit_len // 8, "little")
        return value

    def get(self, from_read: bool = True) -> Value:
        """The value: number, flag, hex text, MAC text or purpose name."""
        return self.codec.value(self, self.purpose_raw(from_read))

    def get_meaning(self, from_read: bool = True) -> Value:
        """The value in words where it has some; "?" for a number that cannot be read."""
        raw = self.purpose_raw(from_read)
        meaning = self.codec.meaning(self, raw)
        if self.d.kind == "bool" and not self.is_readable():
            return str(meaning)  # programs know an unreadable flag by its being text
        labelled = raw in self.d.labels or self.d.codec == "keypurpose"
        plain = self.d.kind == "uint" and not labelled
        return "?" if plain and not self.is_readable() else meaning

    def get_bitstring(self, from_read: bool = True) -> str:
        """The bits as text, "0x.." or "0b..", highest bit first."""
        return bit_text(self.raw(from_read), self.bit_len)

    def check_format(self, text: str | None) -> int:
        """Raw bits of what a person wrote; see `Codec.parse`."""
        return self.codec.parse(self, text)

    # --- staging -------------------------------------------------------------------------------

    def save(self, value: int | bytes) -> None:
        """Stage a new raw value.

        Raises:
            FatalError: it does not fit, clears bits, or the field is protected.
        """
        number = value if isinstance(value, int) else int.from_bytes(value, "little")
        if not 0 <= number <= self.d.mask:
            self.owner.emit(f"New value '{number}' is not suitable for {self.name} ({self.d.type})")
            fault = "negative" if number < 0 else "too large an unsigned integer"
            raise FatalError(
                f"{number} is {fault} for a bitstring of length "
                f"{self.bit_len}. The allowed range is [0, {self.d.mask}]."
            )
        self._check_burnable()
        if self.d.bit is None:
            self._save_parts(number)
            return
        block, value = self.owner.blocks[self.block], number << self.d.bit
        exact = 0 if self.name in PROTECTION_FIELDS else self.d.mask << self.d.bit
        if self._is_new(number):
            block.stage(value, exact)
        else:
            block.expect(value, exact)

    def _check_burnable(self) -> None:
        """Refuse fields that only the factory writes, and values that no tool can undo."""
        if self.d.codec == "vref":
            raise FatalError("Writing to VRef is not supported.")
        if not self.d.burnable or (self.d.codec == "mac" and self.name != "CUSTOM_MAC"):
            raise FatalError(f"Burning {self.name} is not supported.")

    def _save_parts(self, value: int) -> None:
        for source, shift, width in sorted(self.d.bits_from, key=lambda part: -part[1]):
            field = self.owner[source]
            part = (value >> shift) & ((1 << width) - 1)
            old = field.get_bitstring()
            self.owner.emit(f"\t    - '{field.name}' {old} -> {bit_text(part, field.bit_len)}")
            field.save(part)

    def _is_new(self, number: int) -> bool:
        """Check a value against what is there; False where nothing is left to burn."""
        # What is staged counts as there: it is going to be burned with this.
        written = self.raw() | self.raw(False)
        adds_bits = self.name in PROTECTION_FIELDS
        if written and (number == written or (adds_bits and number | written == written)):
            self.owner.emit(
                f"\tThe same value for {self.name} is already burned. Do not change the eFuse."
            )
            return False
        if self.name == "CODING_SCHEME" and number:
            self._check_scheme(number | written)
        if written & ~number and not adds_bits:
            self._refuse_stuck(number, written)
        if not number:
            return False
        self.check_wr_rd_protect()
        return True

    def _refuse_stuck(self, number: int, written: int) -> None:
        """Refuse a value that bits which are burned turn into another one."""
        result = bit_text(number | written, self.bit_len)
        if self.owner.blocks[self.block].secret:
            result = "another key"
        text = f"\tNew value contains some bits that cannot be cleared (value will be {result})"
        if number | written == written:
            # Nothing would be burned, so there is nothing to force.
            raise FatalError(text)
        self.owner.refuse(text)

    @staticmethod
    def _check_scheme(number: int) -> None:
        try:
            coding.by_number(number)
        except KeyError:
            raise FatalError(f"The {number} coding scheme is not supported") from None

    def burn(self, value: int | bytes) -> None:
        """Stage a value and burn at once (unless batch mode is on)."""
        self.save(value)
        self.owner.burn_all()
