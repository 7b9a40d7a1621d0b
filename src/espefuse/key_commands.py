# SPDX-License-Identifier: Apache-2.0
"""Burning keys, in the three forms that chips have: by key purpose (all but two), by block name
(ESP32), and as halves of one block (ESP32-C2). The rest of the commands is in `commands`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from espefuse import keys, output, schema
from espefuse.codecs import bit_text
from espefuse.commands import HIDDEN, BaseCommands, all_or_nothing
from espefuse.fields import Block, Field
from espefuse.key_checks import (
    check_known,
    check_same_length,
    check_size,
    check_unrepeated,
    hidden_or_plain,
)
from espefuse.schema import ChipTable, Purpose
from esptool.errors import FatalError
from esptool.records import dataclass


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """One key for one block (or a half of it), bytes in the order of its file."""

    target: str
    data: bytes
    purpose: str


def shows_keys(commands: BaseCommands, show_sensitive_info: bool) -> bool:
    """Whether key bytes may be shown; says so where they are hidden."""
    show = show_sensitive_info or commands.efuses.debug
    if not show:
        output.emit(HIDDEN)
    return show


def tell_open(keep_writeable: bool, keep_readable: bool) -> None:
    """Say which protections keys are left without."""
    if keep_writeable:
        output.emit("Keys will remain writeable (due to --no-write-protect).")
    if keep_readable:
        output.emit("Keys will remain readable (due to --no-read-protect).")


class PurposeCommands(BaseCommands):
    """Chips whose key blocks have a purpose field each."""

    @all_or_nothing
    def burn_key(
        self,
        blocks: list[str],
        keyfiles: list[BinaryIO],
        keypurposes: list[str],
        no_write_protect: bool = False,
        no_read_protect: bool = False,
        show_sensitive_info: bool = False,
        digest: list[bytes] | None = None,
    ) -> None:
        """Burn keys with their purposes and protect both as the purpose demands."""
        show = shows_keys(self, show_sensitive_info)
        check_same_length(blocks, keyfiles if digest is None else digest, keypurposes)
        check_known(self.efuses, blocks, keypurposes)
        requests = self._requests(blocks, keyfiles, keypurposes, digest)
        names = [self.efuses.block_of(w.target).name for w in requests]
        check_unrepeated(names)
        output.emit("Burn keys to blocks:")
        for request in requests:
            self._stage_key(request, no_write_protect, no_read_protect, show)
        tell_open(no_write_protect, no_read_protect)
        self.finish()

    @all_or_nothing
    def burn_key_digest(
        self,
        blocks: list[str],
        keyfiles: list[BinaryIO],
        keypurposes: list[str],
        no_write_protect: bool = False,
        no_read_protect: bool = False,
        show_sensitive_info: bool = False,
    ) -> None:
        """Burn digests of public keys for secure boot."""
        digests = [keys.secure_boot_digest(keys.read(file)) for file in keyfiles]
        self.burn_key(
            blocks,
            keyfiles,
            keypurposes,
            no_write_protect,
            no_read_protect,
            show_sensitive_info,
            digest=digests,
        )

    # --- keys from files -----------------------------------------------------------------------

    def _requests(
        self,
        blocks: Sequence[str],
        files: Sequence[BinaryIO],
        purposes: Sequence[str],
        digests: Sequence[bytes] | None,
    ) -> list[KeyRequest]:
        """Keys by block, with a key of double length split over two blocks."""
        plain, double = [], []
        for i, (block, purpose) in enumerate(zip(blocks, purposes, strict=True)):
            if digests is not None:
                plain.append(KeyRequest(block, digests[i], purpose))
                continue
            data = keys.read(files[i])
            if purpose in self.efuses.table.purpose_split:
                double.append(
                    (len(plain), KeyRequest(block, self._double_key(purpose, data), purpose))
                )
                plain.append(KeyRequest(block, b"", purpose))
            elif purpose.startswith("ECDSA_KEY"):
                data = data if self._is_half(purpose, data) else keys.ecdsa_block(data)
                plain.append(KeyRequest(block, data, purpose))
            else:
                plain.append(KeyRequest(block, data, purpose))
        for at, request in double:
            first, second = self.efuses.table.purpose_split[request.purpose]
            other = self._next_free(request.target, [w.target for w in plain])
            if other is None:
                raise FatalError(f"{request.purpose} requires two free keyblocks")
            one, two = request.data[: keys.KEY_BYTES], request.data[keys.KEY_BYTES :]
            plain[at] = KeyRequest(request.target, one, first)
            plain.append(KeyRequest(other, two, second))
        return plain

    @staticmethod
    def _is_half(purpose: str, data: bytes) -> bool:
        """Half of a P-384 key comes as raw bytes; other ECDSA keys come as PEM."""
        return purpose in ("ECDSA_KEY_P384_L", "ECDSA_KEY_P384_H") and not data.startswith(b"-----")

    @staticmethod
    def _double_key(purpose: str, data: bytes) -> bytes:
        if purpose.startswith("ECDSA"):
            return keys.ecdsa_p384_blocks(data)
        if len(data) != keys.DOUBLE_KEY_BYTES:
            raise FatalError(
                f"Incorrect key file size {len(data)}, {purpose} should be "
                f"{keys.DOUBLE_KEY_BYTES} bytes"
            )
        return data

    def _next_free(self, start: str, taken: Sequence[str]) -> str | None:
        """The first unused key block after `start`, from the first again after the last."""
        key_blocks = [b for b in self.efuses.blocks if b.key_purpose_name]
        used = {self.efuses.block_of(name).name for name in taken}
        at = key_blocks.index(self.efuses.block_of(start))
        for block in key_blocks[at + 1 :] + key_blocks[:at]:
            if block.name not in used and self._is_unused(block):
                return block.name
        return None

    def _is_unused(self, block: Block) -> bool:
        """Nothing written, no purpose, no protection, nothing staged."""
        assert block.key_purpose_name is not None
        purpose = self.efuses[block.key_purpose_name]
        return (
            not block.data
            and not block.pending
            and not purpose.purpose_raw()
            and not purpose.purpose_raw(False)
            and block.is_readable()
            and block.is_writeable()
            and purpose.is_writeable()
        )

    # --- one key -------------------------------------------------------------------------------

    def _stage_key(
        self, request: KeyRequest, keep_writeable: bool, keep_readable: bool, show: bool
    ) -> None:
        block = self.efuses.block_of(request.target)
        field = self.efuses[block.name]
        assert block.key_purpose_name is not None
        purpose_field = self.efuses[block.key_purpose_name]
        purpose = self.efuses.table.purpose(request.purpose)
        output.emit(f" - {block.name} -> {hidden_or_plain(request.data, show)}")
        data = request.data
        if purpose.reverse:
            # Said so of chips on which no other keys are reversed.
            others = any(
                p.reverse and not p.name.startswith("XTS") for p in self.efuses.table.purposes
            )
            what = purpose.name if others else "AES-XTS"
            output.emit(f"\tReversing byte order for {what} hardware peripheral...")
            data = data[::-1]
        check_size(data, block.get_block_len())
        block.secret = block.secret or not show
        field.save(int.from_bytes(data, "little"))
        self._stage_purpose(purpose_field, purpose)
        if purpose.read_protect and not keep_readable:
            output.emit("\tDisabling read to key block...")
            field.disable_read()
        if not keep_writeable:
            output.emit("\tDisabling write to key block...")
            field.disable_write()
        output.emit("")

    def _stage_purpose(self, field: Field, purpose: Purpose) -> None:
        current = field.get()
        name = purpose.name
        if field.purpose_raw() == purpose.value and (purpose.value or current == name):
            output.emit(f"\t'{field.name}' is already '{name}'.")
            self._expect_purpose(field, purpose.value)
        else:
            if not field.is_writeable():
                raise FatalError(
                    f"It is not possible to change '{field.name}' to '{name}' because write "
                    "protection bit is set."
                )
            output.emit(f"\t'{field.name}': '{current}' -> '{name}'.")
            self.check_purpose(field, purpose.name)
            if purpose.value == 0:
                raise FatalError("'0' can not be set (value out of range)")
            self._save_purpose(field, purpose.value)
        self._stage_companion(purpose)
        if field.is_writeable():
            output.emit(f"\tDisabling write to '{field.name}'...")
            field.disable_write()

    def _expect_purpose(self, field: Field, value: int) -> None:
        """Refuse another purpose for the same block later in the run."""
        high = self.efuses.high_part(field)
        for part, bits in ((field, value), (high, value >> field.bit_len)):
            if part is not None and part.d.bit is not None:
                place = part.d.bit
                block = self.efuses.blocks[part.block]
                block.expect((bits & part.d.mask) << place, part.d.mask << place)

    def _save_purpose(self, field: Field, value: int) -> None:
        high = self.efuses.high_part(field)
        if high is None:
            field.save(value)
            return
        for part, bits in ((field, value & field.d.mask), (high, value >> field.bit_len)):
            if bits or part is field:
                old, new = part.get_bitstring(), bit_text(bits, part.bit_len)
                output.emit(f"\t    - '{part.name}' {old} -> {new}")
                part.save(bits)

    def _stage_companion(self, purpose: Purpose) -> None:
        """A purpose may need another field, e.g. the ECDSA engine's own random numbers."""
        rule = self.efuses.table.rules.get("purpose_sets", {}).get(purpose.name)
        if not rule or self.efuses.get_chip_version() > rule.get("revision_le", 9999):
            return
        field = self.efuses[rule["field"]]
        output.emit(f"\t{field.name}: {int(field.raw())} -> 1")
        field.save(1)

    def check_purpose(self, field: Field, name: str) -> None:
        """Refuse a purpose that this block's hardware cannot serve.

        Raises:
            FatalError: the chip has a bug there.
        """
        refused = self.efuses.table.rules.get("refused_purposes", {}).get(field.name, ())
        if any(name.startswith(prefix) for prefix in refused):
            raise FatalError(
                f"{field.name} can not have {name} key due to a hardware bug "
                "(please see TRM for more details)"
            )

    def parse_pairs(self, name_value_pairs: Mapping[str, Any]) -> list[tuple[Field, int]]:
        requests = super().parse_pairs(name_value_pairs)
        for field, value in requests:
            if field.d.codec == "keypurpose":
                for purpose in self.efuses.table.purposes:
                    if purpose.value == value and not purpose.virtual:
                        self.check_purpose(field, purpose.name)
                        break
        return requests


class DirectCommands(BaseCommands):
    """ESP32: a key block's name says what it is for."""

    @all_or_nothing
    def burn_key(
        self,
        block: list[str],
        keyfile: list[BinaryIO],
        no_protect_key: bool = False,
        show_sensitive_info: bool = False,
    ) -> None:
        """Burn keys into blocks, named by number or use."""
        requests = [(name, keys.read(file)) for name, file in zip(block, keyfile, strict=True)]
        self._burn_keys(requests, no_protect_key, show_sensitive_info)

    @all_or_nothing
    def burn_key_digest(
        self, keyfile: BinaryIO, no_protect_key: bool = False, show_sensitive_info: bool = False
    ) -> None:
        """Burn the digest of a public key for secure boot V2 into BLOCK2."""
        if self.efuses.coding_scheme == 1:
            if not show_sensitive_info:
                output.emit(HIDDEN)
            raise FatalError("burn-key-digest only works with 'None' coding scheme")
        if self.efuses.get_chip_version() < 300:
            raise FatalError(
                "Incorrect chip revision for Secure boot v2. "
                f"Detected: v{self.efuses.get_chip_version() // 100}."
                f"{self.efuses.get_chip_version() % 100}. Expected: >= v3.0."
            )
        digest = keys.secure_boot_digest(keys.read(keyfile))
        self._burn_keys([("secure_boot_v2", digest)], no_protect_key, show_sensitive_info)

    def _burn_keys(
        self, requests: list[tuple[str, bytes]], no_protect_key: bool, show_sensitive_info: bool
    ) -> None:
        show = shows_keys(self, show_sensitive_info)
        check_known(self.efuses, [name for name, _ in requests])
        names = [self.efuses.block_of(name).name for name, _ in requests]
        check_unrepeated(names)
        output.emit("Burn keys to blocks:")
        for name, data in requests:
            block = self.efuses.block_of(name)
            field = self.efuses[block.name]
            output.emit(f" - {block.name} -> {hidden_or_plain(data, show)}")
            reverse = name in ("flash_encryption", "secure_boot_v1")
            if reverse:
                output.emit("\tReversing the byte order...")
            check_size(data, block.get_block_len())
            block.secret = block.secret or not show
            field.save(int.from_bytes(data[::-1] if reverse else data, "little"))
            if not no_protect_key:
                if reverse:
                    output.emit("\tDisabling read to key block...")
                    field.disable_read()
                output.emit("\tDisabling write to key block...")
                field.disable_write()
            output.emit("")
        if no_protect_key:
            output.emit("Key is left unprotected as per --no-protect-key argument.")
        output.emit("Burn keys in eFuse blocks.")
        if no_protect_key:
            output.emit(
                "The key block will be left readable and writeable (due to --no-protect-key). "
            )
        else:
            output.emit(
                "The key block will be read and write protected (no further changes or readback). "
            )
        output.emit("")
        self.finish()

    def parse_pairs(self, name_value_pairs: Mapping[str, Any]) -> list[tuple[Field, int]]:
        requests = super().parse_pairs(name_value_pairs)
        for field, _ in requests:
            if field.name == "MAC":
                raise FatalError("Writing Factory MAC address is not supported")
        return requests


class HalvesCommands(BaseCommands):
    """ESP32-C2: one key block, used whole or in halves, and no purpose field."""

    @all_or_nothing
    def burn_key(
        self,
        blocks: list[str],
        keyfiles: list[BinaryIO],
        keypurposes: list[str],
        no_write_protect: bool = False,
        no_read_protect: bool = False,
        show_sensitive_info: bool = False,
        digest: list[bytes] | None = None,
    ) -> None:
        """Burn a flash encryption key, a secure boot digest (or both), or user data."""
        show = shows_keys(self, show_sensitive_info)
        targets = self.efuses.table.rules["purpose_targets"]
        allowed = self.efuses.table.rules["purpose_pair"]
        data = digest if digest is not None else [keys.read(file) for file in keyfiles]
        check_same_length(blocks, data, keypurposes)
        check_known(self.efuses, blocks, keypurposes)
        if len(keypurposes) != len(set(keypurposes)):
            raise FatalError(f"Found repeated {sorted(set(keypurposes))} in the name list.")
        if len(keypurposes) > 1 and set(keypurposes) != set(allowed):
            raise FatalError(f"These keypurposes are incompatible {list(keypurposes)}")
        output.emit("Burn keys to blocks:")
        for content, purpose_name in zip(data, keypurposes, strict=True):
            purpose = self.efuses.table.purpose(purpose_name)
            self._stage_half(
                targets[purpose_name], content, purpose, no_write_protect, no_read_protect, show
            )
        tell_open(no_write_protect, no_read_protect)
        self.finish()

    def _stage_half(
        self,
        target: str,
        data: bytes,
        purpose: Purpose,
        keep_writeable: bool,
        keep_readable: bool,
        show: bool,
    ) -> None:
        field = self.efuses[target]
        size = field.bit_len // 8
        if purpose.digest and len(data) == 2 * size:
            output.emit(
                "\tProgramming only left-most 128-bits from SHA256 hash of public key to highest "
                "128-bits of BLOCK KEY0"
            )
            data = data[:size]
        output.emit(f" - {field.name} -> {hidden_or_plain(data, show)}")
        if purpose.reverse:
            output.emit("\tReversing byte order for AES-XTS hardware peripheral...")
            data = data[::-1]
        check_size(data, size)
        block = self.efuses.blocks[field.block]
        block.secret = block.secret or not show
        field.save(int.from_bytes(data, "little"))
        companion = self.efuses.table.rules.get("purpose_sets", {}).get(purpose.name)
        if companion:
            output.emit(f"\t{companion['field']} -> 1")
            self.efuses[companion["field"]].save(1)
        if purpose.read_protect and not keep_readable:
            output.emit("\tDisabling read to key block...")
            field.disable_read()
        if not keep_writeable:
            output.emit("\tDisabling write to key block...")
            field.disable_write()
        output.emit("")

    @all_or_nothing
    def burn_key_digest(
        self,
        keyfile: BinaryIO,
        no_write_protect: bool = False,
        no_read_protect: bool = False,
        show_sensitive_info: bool = False,
    ) -> None:
        """Burn the first half of a public key's digest into the upper half of the key block."""
        digest = keys.secure_boot_digest(keys.read(keyfile))[:16]
        self.burn_key(
            ["BLOCK_KEY0"],
            [keyfile],
            ["SECURE_BOOT_DIGEST"],
            no_write_protect,
            no_read_protect,
            show_sensitive_info,
            digest=[digest],
        )


def commands_for(table: ChipTable) -> type[BaseCommands]:
    """The command class of a chip, by the way its keys are burned."""
    if "purpose_targets" in table.rules:
        return HalvesCommands
    return PurposeCommands if table.purposes else DirectCommands


def command_type(chip: str) -> type[BaseCommands]:
    """The command class of one chip, by our key for it: it knows the chip's name."""
    table = schema.load(chip)
    base = commands_for(table)
    name = f"{chip.upper()}Commands"
    return type(name, (base,), {"CHIP_NAME": table.chip, "__doc__": base.__doc__})
