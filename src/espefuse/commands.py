# SPDX-License-Identifier: Apache-2.0
"""The commands as methods, by their documented v5 names: what `espefuse.init_commands` gives.

Each method stages what it is asked for and burns it, or leaves it staged in batch mode. Texts go
to the logger; nothing here asks for a key press except through `confirm`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, ClassVar, TextIO

from espefuse import keys, output
from espefuse.codecs import bit_text, crc8, parse_mac
from espefuse.device import RegisterAccess
from espefuse.efuses import Efuses
from espefuse.fields import Field
from espefuse.schema import Purpose
from esptool.errors import FatalError

HIDDEN = "Sensitive data will be hidden (see --show-sensitive-info)"
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


class BaseCommands:
    """One chip's eFuse commands; a context manager that closes the port it opened.

    Attributes:
        esp: the chip (`ESPLoader` or the virtual one).
        efuses: the engine; `efuses["NAME"].get()` reads a field.
        external_esp: the caller owns `esp`: it stays open.
    """

    CHIP_NAME: ClassVar[str] = ""

    def __init__(self) -> None:
        self.esp: Any = None
        self.external_esp = False
        self.efuses: Efuses = None  # type: ignore[assignment]

    def __enter__(self) -> BaseCommands:
        return self

    def __exit__(self, *exc: object) -> None:
        BaseCommands._close_port(self.esp, self.external_esp)

    @staticmethod
    def _close_port(esp: Any, external_esp: bool = False) -> None:
        """Close the port of a real chip that this program opened."""
        port = getattr(esp, "_port", None)
        if port is not None and not external_esp:
            port.close()

    def get_efuses(
        self,
        skip_connect: bool = False,
        debug_mode: bool = False,
        do_not_confirm: bool = False,
        extend_efuse_table: TextIO | None = None,
    ) -> None:
        """Read the chip's eFuses (or only load its table with `skip_connect`)."""
        from espefuse.efuse_interface import load_efuses

        self.efuses = load_efuses(
            self.esp, self.CHIP_NAME, skip_connect, debug_mode, do_not_confirm, extend_efuse_table
        )

    # --- batch mode ----------------------------------------------------------------------------

    def use_batch_mode(self) -> None:
        """Only stage from now on; `burn_all` burns. Calls may be nested."""
        self.efuses.use_batch_mode()

    def burn_all(self, check_batch_mode: bool = False) -> bool:
        """Burn all that is staged (in nested batch mode: once the outermost asks for it)."""
        return self.efuses.burn_all(check_batch_mode)

    def finish(self) -> None:
        """Burn what is staged unless batch mode is on, and say that it worked."""
        if self.burn_all(check_batch_mode=True):
            self.tell_success()

    def tell_success(self) -> None:
        """Say that a burn worked, or what of it could not be read back."""
        unproved = self.efuses.unproved
        if unproved:
            output.emit(f"Burned, but {', '.join(unproved)} could not be read back and compared.")
        else:
            output.emit("Successful.")

    # --- reading -------------------------------------------------------------------------------

    def summary(
        self,
        efuses_to_show: Sequence[str] = (),
        format: str = "summary",
        file: TextIO | None = None,
        active: bool = False,
    ) -> None:
        """Show all or some fields as a table, as JSON, or one field's value alone."""
        from espefuse import summary

        names = list(efuses_to_show)
        if format == "value_only" and len(names) != 1:
            raise FatalError("The 'value_only' format can be used exactly for one eFuse.")
        found = self.get_error_summary()
        fields = summary.select(self.efuses, names)
        if format == "value_only":
            lines = [str(f.get_meaning()) for f in fields]
        elif format == "json":
            lines = [summary.as_json(fields)]
        else:
            lines = summary.as_text(self.efuses, fields, active)
        to_file = file is not None and file is not sys.stdout
        if to_file:
            assert file is not None
            output.emit(f"Saving eFuse values to {getattr(file, 'name', 'file')}")
            file.write("\n".join(lines) + "\n")
            file.flush()
            output.emit("Done")
        else:
            output.emit("\n".join(lines))
        if found:
            output.warn("Coding scheme has encoding bit error warnings")

    def get_error_summary(self) -> bool:
        """Say which blocks have errors; True if there are any."""
        return self.efuses.get_coding_scheme_warnings()

    def dump(self, format: str = "default", file_name: str | None = None) -> None:
        """Show or save the raw blocks: words, one file a block, one file, or a token."""
        from espefuse import token
        from esptool.files import write_atomic

        blocks = self.efuses.blocks
        if format == "token":
            text = token.current(self.efuses)
            if file_name is None:
                output.emit(text)
            else:
                output.emit(f"eFuse token dump -> {file_name}")
                write_atomic(file_name, text.encode())
        elif file_name is None:
            if format == "default":
                self.efuses.print_blocks("dump")
            else:
                for block in blocks:
                    output.emit(block.get_raw().hex())
        elif format == "joint":
            output.emit(f"Dump eFuse blocks -> {file_name}")
            write_atomic(file_name, b"".join(block.get_raw() for block in blocks))
        else:
            stem, dot, suffix = file_name.rpartition(".")
            for block in blocks:
                name = f"{stem}{block.id}{dot}{suffix}" if dot else f"{file_name}{block.id}"
                output.emit(f"Dump eFuse block{block.id} -> {name}")
                write_atomic(name, block.get_raw())

    def get_custom_mac(self) -> None:
        """Show the MAC address that the user burned."""
        if "MAC_VERSION" not in self.efuses:
            output.emit(f"Custom MAC Address: {self.efuses['CUSTOM_MAC'].get()}")
            return
        version = self.efuses["MAC_VERSION"].raw()
        if not version or not self.efuses["CUSTOM_MAC"].raw():
            output.emit("Custom MAC Address is not set in the device.")
        else:
            mac = self.efuses["CUSTOM_MAC"].get()
            output.emit(f"Custom MAC Address version {version}: {mac}")

    def adc_info(self) -> None:
        """Show the calibration values of the ADC."""
        from espefuse import adc

        for line in adc.report(self.efuses):
            output.emit(line)

    def check_error(self, recovery: bool = False, do_not_confirm: bool = False) -> None:
        """Tell of coding errors, and with `recovery` try to mend them.

        Raises:
            FatalError: errors remain.
        """
        found = self.get_error_summary()
        if found:
            self._show_broken()
            if recovery:
                from espefuse.recovery import recover

                recover(self.efuses, do_not_confirm)
                found = self.get_error_summary()
                if found:
                    self._show_broken()
        if found:
            raise FatalError("Error(s) were detected in eFuses.")
        output.emit("No errors detected.")

    def _show_broken(self) -> None:
        for block in self.efuses.blocks:
            if block.id and (block.fail or block.num_errors):
                head = (
                    f"BLOCK{block.id} : {block.name} "
                    f"[ERRORS:{block.num_errors} FAIL:{int(block.fail)}]"
                )
                state = "writable" if block.is_writeable() else "write-protected"
                output.emit(f"{head:<50}= {block.hex(block.data)} ({state})")

    # --- fields --------------------------------------------------------------------------------

    def burn_efuse(self, name_value_pairs: Mapping[str, Any], force: bool = False) -> None:
        """Burn fields, given by name, with values as text or numbers (None: the next step)."""
        wishes = self.parse_pairs(name_value_pairs)
        attention = self._list_fields([field for field, _ in wishes])
        output.emit(f"\nBurning eFuses{attention}:")
        for field, value in wishes:
            old, new = field.get_bitstring(), bit_text(value, field.bit_len)
            if value <= field.d.mask:
                output.emit(f"    - '{field.name}' ({field.description}) {old} -> {new}")
            field.save(value)
            if field.name == "CUSTOM_MAC" and "CUSTOM_MAC_CRC" in self.efuses:
                self._stage_mac_crc(value)
        output.emit("")
        self._check_incompatible([field.name for field, _ in wishes], force)
        self._tell_of_closing({field.name for field, _ in wishes})
        if self.burn_all(check_batch_mode=True):
            self._check_burned(wishes)

    def parse_pairs(self, name_value_pairs: Mapping[str, Any]) -> list[tuple[Field, int]]:
        """Fields with raw values; FatalError for an unknown name or a value that cannot be."""
        out = []
        for name, value in name_value_pairs.items():
            try:
                field = self.efuses[name]
            except KeyError:
                raise unknown_field(self.efuses, name) from None
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

    def _check_burned(self, wishes: list[tuple[Field, int]]) -> None:
        """Compare what was asked for with what was read back."""
        if self.efuses.unproved:
            self.tell_success()
            return
        output.emit("Checking eFuses...")
        failed = False
        for field, value in wishes:
            field = self.efuses[field.name]
            if not field.is_readable():
                output.emit(
                    f"Efuse {field.name} is read-protected. "
                    "Read back the burn value is not possible."
                )
            elif field.raw() != value:
                failed = True
                new = bit_text(value, field.bit_len)
                output.emit(
                    f"{field.get_bitstring()} -> {new} "
                    f"Efuse {field.name} failed to burn. Protected?"
                )
        if failed:
            raise FatalError("The burn was not successful.")
        self.tell_success()

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
                f"[{target.id:02}] {target.name:<20} size={len(full)} bytes, "
                f"offset={offset:02} -> [{full.hex(' ')}]"
            )
            target.stage(int.from_bytes(full, "little"), given)
        self.finish()

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

    def read_protect_efuse(self, efuse_names: Sequence[str]) -> None:
        """Hide fields (with all that share their bit of RD_DIS) from software."""
        for name in efuse_names:
            field = self.efuses[name]
            if not field.is_readable():
                output.emit(f"Efuse {field.name} is already read protected")
                continue
            self._check_may_hide(field)
            shared = self._sharing(field, "rd_dis")
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

    def _sharing(self, field: Field, attribute: str) -> list[str]:
        """The names of all fields that the same protection bits cover."""
        mine = getattr(field.d, attribute)
        return [f.name for f in self.efuses if getattr(f.d, attribute) == mine]

    def write_protect_efuse(self, efuse_names: Sequence[str]) -> None:
        """Lock fields (with all that share their bit of WR_DIS) as they are."""
        for name in efuse_names:
            field = self.efuses[name]
            if not field.is_writeable():
                output.emit(f"Efuse {field.name} is already write protected.")
                continue
            shared = self._sharing(field, "wr_dis")
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
            still = field.is_readable() if kind == "read" else field.is_writeable()
            if still:
                raise FatalError(f"Efuse {field.name} is not {kind}-protected.")
        self.tell_success()

    # --- keys ----------------------------------------------------------------------------------

    def burn_key(self, *args: Any, **kwargs: Any) -> None:
        """Burn keys into key blocks; the arguments differ by chip."""
        raise FatalError(f"burn_key is not supported for {self.CHIP_NAME}")

    def burn_key_digest(self, *args: Any, **kwargs: Any) -> None:
        """Burn the digests of public keys; the arguments differ by chip."""
        raise FatalError(f"burn_key_digest is not supported for {self.CHIP_NAME}")


def unknown_field(efuses: Efuses, name: str) -> FatalError:
    """The error for a name that no field has, with the nearest that exist."""
    from difflib import get_close_matches

    names = [n for f in efuses for n in f.all_names]
    close = get_close_matches(name.upper(), names, n=3)
    hint = f"Did you mean {' or '.join(close)}?" if close else None
    return FatalError(f"Invalid eFuse name '{name}'. Available eFuse names: {names}", remedy=hint)


def attach(commands: BaseCommands, esp: RegisterAccess | None, external: bool) -> None:
    """Give commands their chip."""
    commands.esp = esp
    commands.external_esp = external
