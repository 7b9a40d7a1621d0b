# SPDX-License-Identifier: Apache-2.0
"""The commands as methods, by their documented v5 names: what `espefuse.init_commands` gives.

Each method stages what it is asked for and burns it, or leaves it staged in batch mode. Texts go
to the listener of the commands, or to the logger; nothing here asks for a key press except through
`confirm`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, BinaryIO

from espefuse import keys, output
from espefuse.codecs import bit_text, crc8, parse_mac
from espefuse.fields import Field
from espefuse.reading import P, ReadCommands, T
from espefuse.schema import Purpose
from espefuse.state import unknown_field
from esptool.errors import FatalError
from esptool.nearest import keywords_of, refuse_unknown

HIDDEN = "Sensitive data will be hidden (see --show-sensitive-info)"
#: From here on a field of a key block is a key or a half of one.
KEY_BITS = 128
CLOSING_FIELDS = {
    "ENABLE_SECURITY_DOWNLOAD": (
        "the burn may not be read back for confirmation, because this mode disables any SRAM and "
        "register operations.",
        "espefuse will not work.",
        "esptool can read/write only flash.",
    ),
    "DIS_DOWNLOAD_MODE": (
        "the burn may not be read back for confirmation, because this mode disables any "
        "communication with the chip.",
        "espefuse/esptool will not work because they will not be able to connect to the chip.",
    ),
}


def all_or_nothing(method: Callable[P, T]) -> Callable[P, T]:
    """As `telling`, for a burn command: where it fails, no later one burns a part of it."""
    known = keywords_of(method)

    @wraps(method)
    def whole(*args: P.args, **kwargs: P.kwargs) -> T:
        refuse_unknown(method, kwargs, known)
        commands = args[0]
        assert isinstance(commands, ReadCommands)
        with output.told_to(commands.listener), commands.efuses.all_or_nothing():
            return method(*args, **kwargs)

    return whole


class BaseCommands(ReadCommands):
    """All commands of a chip but those that burn keys, which `key_commands` adds."""

    # --- fields --------------------------------------------------------------------------------

    @all_or_nothing
    def burn_efuse(self, name_value_pairs: Mapping[str, Any], force: bool = False) -> None:
        """Burn fields, given by name, with values as text or numbers (None: the next step)."""
        requests = self.parse_pairs(name_value_pairs)
        attention = self._list_fields([field for field, _ in requests])
        output.emit(f"\nBurning eFuses{attention}:")
        for field, value in requests:
            old, new = self._shown(field, field.raw()), self._shown(field, value)
            if value <= field.d.mask:
                output.emit(f"    - '{field.name}' ({field.description}) {old} -> {new}")
            if self._is_key(field):
                self.efuses.blocks[field.block].secret = True
            field.save(value)
            if field.name == "CUSTOM_MAC" and "CUSTOM_MAC_CRC" in self.efuses:
                self._stage_mac_crc(value)
        output.emit("")
        self._check_incompatible([field.name for field, _ in requests], force)
        self._tell_of_closing({field.name for field, _ in requests})
        if self.burn_all(check_batch_mode=True):
            self._check_burned(requests)

    def _is_key(self, field: Field) -> bool:
        """Whether a field's bits are a key, which no text shows."""
        table = self.efuses.table
        key_block = table.blocks[field.block].name in table.burn_key_names
        return key_block and field.bit_len >= KEY_BITS and not self.efuses.debug

    def _shown(self, field: Field, value: int) -> str:
        text = bit_text(value, field.bit_len)
        return text[:2] + "?" * (len(text) - 2) if self._is_key(field) else text

    def _named(self, name: str) -> Field:
        try:
            return self.efuses[name]
        except KeyError:
            raise unknown_field(self.efuses, name) from None

    def parse_pairs(self, name_value_pairs: Mapping[str, Any]) -> list[tuple[Field, int]]:
        """Fields with raw values; FatalError for an unknown name or a value that cannot be."""
        out = []
        for name, value in name_value_pairs.items():
            field = self._named(name)
            text = None if value is None else str(value)
            out.append((field, field.check_format(text)))
        return out

    def _list_fields(self, fields: list[Field]) -> str:
        """Say what is going to be burned and what a coded block shuts out; the heading's tail."""
        output.emit("The eFuses to burn:")
        tail = ""
        for block in self.efuses.blocks:
            mine = [f for f in fields if f.block == block.id]
            if not mine:
                continue
            output.emit(f"  from BLOCK{block.id}")
            for field in mine:
                output.emit(f"     - {field.name}")
            if block.scheme.burn_unit_bits() is None:
                continue
            tail = " (see 'ATTENTION!' above)"
            others = [f.name for f in self.efuses if f.block == block.id and f not in mine]
            if others:
                output.emit(
                    "    ATTENTION! This BLOCK uses NOT the NONE coding scheme and after 'BURN', "
                    "these efuses can not be burned in the feature:"
                )
                for at in range(0, len(others), 5):
                    output.emit(f"               {others[at : at + 5]}")
        return tail

    def _check_incompatible(self, names: list[str], force: bool) -> None:
        """Refuse pairs of fields that together make a chip useless.

        Raises:
            FatalError: such a pair would be set and `force` is not given.
        """
        for pair in self.efuses.table.rules.get("never_together", ()):
            fields = [self.efuses[name] for name in pair]
            if any(f.name in names for f in fields) and all(
                f.raw() or f.raw(False) for f in fields
            ):
                output.emit(
                    f"{pair[0]} and {pair[1]} cannot be set together due to a bug in the ROM "
                    "bootloader!"
                )
                if not force:
                    raise FatalError(
                        "Incompatible eFuse settings detected, abort. (use --force flag to skip "
                        "it)."
                    )

    def _tell_of_closing(self, names: set[str]) -> None:
        for name, lines in CLOSING_FIELDS.items():
            if name in names:
                head = f"{name} -> 1: "
                output.emit(head + lines[0])
                for line in lines[1:]:
                    output.emit(" " * len(head) + line)

    def _check_burned(self, requests: list[tuple[Field, int]]) -> None:
        """Compare what was asked for with what was read back."""
        if self.efuses.unproved:
            self.tell_success()
            return
        output.emit("Checking eFuses...")
        failed = False
        for field, value in requests:
            field = self.efuses[field.name]
            if not field.is_readable():
                output.emit(
                    f"Efuse {field.name} is read-protected. "
                    "Read back the burn value is not possible."
                )
            elif field.raw() != value:
                failed = True
                output.emit(
                    f"{self._shown(field, field.raw())} -> {self._shown(field, value)} "
                    f"Efuse {field.name} failed to burn. Protected?"
                )
        if failed:
            raise FatalError("The burn was not successful.")
        self.tell_success()

    @all_or_nothing
    def burn_bit(self, block: str, bit_number: Sequence[int]) -> None:
        """Burn single bits of a block, given by number."""
        target = self.efuses.block_of(block)
        value = 0
        for number in bit_number:
            if not 0 <= number < target.bits:
                raise FatalError(f"{block} has bit_number in [0..{target.bits - 1}]")
            value |= 1 << number
        digits = target.bits // 4
        output.emit(f"bit_number:   [{target.bits - 1:03}]{'.' * 56}[0]")
        output.emit(f"BLOCK{target.id:>2}   : 0x{value:0{digits}x}")
        output.emit(target.row("regs_to_write", value))
        target.stage(value)
        self.finish()

    @all_or_nothing
    def burn_block_data(
        self, block_names: Sequence[str], datafiles: Sequence[BinaryIO], offset: int = 0
    ) -> None:
        """Burn the content of files into blocks, from byte `offset` on."""
        if len(block_names) != len(datafiles):
            raise FatalError(
                f"The number of block names ({len(block_names)}) and of data files "
                f"({len(datafiles)}) must be the same."
            )
        if len(block_names) > 1 and offset:
            raise FatalError(
                "The 'offset' option is not applicable when a few blocks are passed. "
                "With 'offset', should only one block be used."
            )
        targets = [self.efuses.block_of(name) for name in block_names]
        repeated = sorted({t.name for t in targets if targets.count(t) > 1})
        if repeated:
            raise FatalError(f"Found repeated {repeated} in the name list.")
        if offset < 0:
            raise FatalError(f"Invalid offset: {offset} is negative.")
        plans = []
        for target, file in zip(targets, datafiles, strict=True):
            data, size = keys.read(file), target.get_block_len()
            if offset >= size:
                raise FatalError(f"Invalid offset: the block{target.id} only holds {size} bytes.")
            if offset + len(data) > size:
                raise FatalError(
                    f"Data does not fit: the block{target.id} size is {size} bytes, "
                    f"data file is {len(data)} bytes, offset {offset}."
                )
            if offset == 0 and len(data) != size:
                raise FatalError(
                    f"Data does not fit: the block{target.id} size is {size} bytes, "
                    f"data file is {len(data)} bytes, offset {offset}.",
                    remedy="With --offset the file may be shorter than the block.",
                )
            plans.append((target, bytes(offset) + data))
        for target, data in plans:
            # BLOCK0 is a set of flags, to which bits are added; other blocks hold values.
            given = (1 << 8 * len(data)) - (1 << 8 * offset) if target.id else 0
            full = data.ljust(target.get_block_len(), b"\0")
            output.emit(
                f"[{target.id:02}] {target.name:<20} size={len(full):02} bytes, "
                f"offset={offset:02} -> [{full.hex(' ')}]"
            )
            target.stage(int.from_bytes(full, "little"), given)
        self.finish()

    @all_or_nothing
    def burn_custom_mac(self, mac: str | bytes) -> None:
        """Burn the user's MAC address, with its checksum and mark where the chip has them."""
        data = self._convert_mac_to_bytes(mac)
        values = {}
        if "MAC_VERSION" in self.efuses:
            version = self.efuses["MAC_VERSION"].raw()
            if version > 1:
                raise FatalError(f"MAC_VERSION = {version}, should be 0 or 1.")
            if not version:
                values["MAC_VERSION"] = 1
            values["CUSTOM_MAC"] = int.from_bytes(data, "little")
        else:
            values["CUSTOM_MAC"] = int.from_bytes(data, "little")
            mark = self.efuses.table.rules.get("custom_mac_sets")
            if mark and not self.efuses[mark].raw():
                self.efuses[mark].save(1)
        for name, value in values.items():
            field = self.efuses[name]
            output.emit(
                f"    - '{name}' ({field.description}) {field.get_bitstring()} -> "
                f"{bit_text(value, field.bit_len)}"
            )
            field.save(value)
        if "CUSTOM_MAC_CRC" in self.efuses:
            self._stage_mac_crc(values["CUSTOM_MAC"])
        if self.burn_all(check_batch_mode=True):
            self.get_custom_mac()
            self.tell_success()

    def _stage_mac_crc(self, mac: int) -> None:
        """ESP32: the checksum that belongs to a custom MAC."""
        field = self.efuses["CUSTOM_MAC_CRC"]
        crc = crc8(mac.to_bytes(6, "little"))
        output.emit(
            f"    - '{field.name}' ({field.description}) {field.get_bitstring()} -> "
            f"{bit_text(crc, field.bit_len)}"
        )
        field.save(crc)

    @staticmethod
    def _convert_mac_to_bytes(mac: str | bytes) -> bytes:
        """Six bytes of a MAC given as text or bytes; multicast is refused."""
        if isinstance(mac, (bytes, bytearray)):
            if len(mac) != 6:
                raise FatalError("MAC Address needs to be 6 bytes!")
            mac = ":".join(f"{b:02x}" for b in mac)
        return parse_mac(mac)

    @all_or_nothing
    def set_flash_voltage(self, voltage: str) -> None:
        """Take the flash voltage from eFuses for good: 1.8V, 3.3V or OFF."""
        rule = self.efuses.table.flash_voltage
        if not rule:
            raise FatalError("set_flash_voltage is not supported for this chip")
        name = "VDD_SDIO" if "SDIO" in rule["force"] else "VDD_SPI"
        xpd, tieh = self.efuses[rule["xpd"]], self.efuses[rule["tieh"]]
        if voltage == "OFF" and xpd.raw():
            raise FatalError(
                f"Can't set flash regulator to OFF as {xpd.name} eFuse is already burned"
            )
        if voltage == "1.8V" and tieh.raw():
            raise FatalError(f"Can't set regulator to 1.8V is {tieh.name} eFuse is already burned")
        fields = [self.efuses[field] for field in rule["burn_for"][voltage]]
        later = ""
        if voltage == "1.8V":
            output.emit(f"Set internal flash voltage regulator ({name}) to 1.8V.")
            later = (
                "It is possible to later increase the voltage to 3.3V (permanently) by burning "
                f"additional eFuse {tieh.name}."
            )
        elif voltage == "3.3V":
            output.emit(f"Enable internal flash voltage regulator ({name}) to 3.3V.")
        else:
            output.emit(
                f"Disable internal flash voltage regulator ({name}). "
                "SPI flash will need to be powered from an external source."
            )
            later = (
                "It is possible to later re-enable the internal regulator "
                f"to {'1.8V' if not tieh.raw() else ''}{' or ' if not tieh.raw() else ''}3.3V "
                "by burning an additional eFuse."
            )
        names = ", ".join(f.name for f in fields)
        output.emit(f"The following eFuse{'s are' if len(fields) > 1 else ' is'} burned: {names}.")
        if later:
            output.emit(later)
        for field in fields:
            field.save(1)
        output.emit(f"{name} setting complete.")
        self.finish()

    # --- protection ----------------------------------------------------------------------------

    @all_or_nothing
    def read_protect_efuse(self, efuse_names: Sequence[str]) -> None:
        """Hide fields (with all that share their bit of RD_DIS) from software."""
        for name in efuse_names:
            field = self._named(name)
            if field.is_hidden_whole():
                output.emit(f"Efuse {field.name} is already read protected")
                continue
            self._check_may_hide(field)
            shared = [f.name for f in self.efuses if f.rd_dis == field.rd_dis]
            plural = "s" if len(shared) > 1 else ""
            output.emit(f"Permanently read-disabling eFuse{plural} {', '.join(shared)}")
            field.disable_read()
        if self.burn_all(check_batch_mode=True):
            self._check_protected(efuse_names, "read")

    def _check_may_hide(self, field: Field) -> None:
        """Refuse to hide what secure boot or software must read."""
        block = self.efuses.blocks[field.block]
        if block.key_purpose_name and field.bit_len == block.bits:
            purpose = self._purpose_of(self.efuses[block.key_purpose_name])
            if purpose is None or not purpose.read_protect:
                raise FatalError(f"{field.name} must be readable, stop this operation!")
        for rule in self.efuses.table.rules.get("keep_readable", ()):
            if field.name not in rule["fields"]:
                continue
            if all(self.efuses[n].raw() == v for n, v in rule["when"].items()):
                raise FatalError(f"{field.name} must be readable, stop this operation!")
        if self.efuses.table.controller == "direct" and field.name == "BLOCK2":
            self._check_may_hide_digest()

    def _check_may_hide_digest(self) -> None:
        """ESP32: BLOCK2 holds secure boot V2's digest, which the ROM must read."""
        if self.efuses["ABS_DONE_0"].raw() or self.efuses.get_chip_version() < 300:
            return
        if self.efuses["ABS_DONE_1"].raw():
            raise FatalError(
                "Secure Boot V2 is on (ABS_DONE_1 = True), "
                "BLOCK2 must be readable, stop this operation!"
            )
        output.emit(
            "If Secure Boot V2 is used, BLOCK2 must be readable, please stop this operation!"
        )

    def _purpose_of(self, field: Field) -> Purpose | None:
        name = field.get()
        return next((p for p in self.efuses.table.purposes if p.name == name), None)

    @all_or_nothing
    def write_protect_efuse(self, efuse_names: Sequence[str]) -> None:
        """Lock fields (with all that share their bit of WR_DIS) as they are."""
        for name in efuse_names:
            field = self._named(name)
            if not field.is_writeable():
                output.emit(f"Efuse {field.name} is already write protected.")
                continue
            shared = [f.name for f in self.efuses if f.wr_dis == field.wr_dis]
            plural = "s" if len(shared) > 1 else ""
            output.emit(f"Permanently write-disabling eFuse{plural} {', '.join(shared)}")
            field.disable_write()
        if self.burn_all(check_batch_mode=True):
            self._check_protected(efuse_names, "write")

    def _check_protected(self, names: Sequence[str], kind: str) -> None:
        if self.efuses.unproved:
            self.tell_success()
            return
        output.emit("Checking eFuses...")
        for name in names:
            field = self.efuses[name]
            done = field.is_hidden_whole() if kind == "read" else not field.is_writeable()
            if not done:
                raise FatalError(f"Efuse {field.name} is not {kind}-protected.")
        self.tell_success()

    # --- keys ----------------------------------------------------------------------------------

    def burn_key(self, *args: Any, **kwargs: Any) -> None:
        """Burn keys into key blocks; the arguments differ by chip."""
        raise FatalError(f"burn_key is not supported for {self.CHIP_NAME}")

    def burn_key_digest(self, *args: Any, **kwargs: Any) -> None:
        """Burn the digests of public keys; the arguments differ by chip."""
        raise FatalError(f"burn_key_digest is not supported for {self.CHIP_NAME}")
