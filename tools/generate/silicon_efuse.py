# SPDX-License-Identifier: Apache-2.0
"""What a `silicon.json` tells of eFuses."""

from __future__ import annotations

from collections.abc import Iterator

from esptool.virtual.silicon import spec
from generate.files import number
from generate.silicon_values import Values

#: Fields by the names that the model uses, and what the chips' tables call them, best first. The
#: parts of a field that has two names are in ascending order.
_FIELDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "read_disable": (("RD_DIS",),),
    "write_disable": (("WR_DIS",),),
    "secure_download": (("ENABLE_SECURITY_DOWNLOAD",),),
    "download_off": (("DIS_DOWNLOAD_MODE",), ("UART_DOWNLOAD_DIS",)),
    "crypt_count": (("SPI_BOOT_CRYPT_CNT",), ("FLASH_CRYPT_CNT",)),
    "crypt_config": (("FLASH_CRYPT_CONFIG",),),
    "no_manual_encrypt": (("DIS_DOWNLOAD_MANUAL_ENCRYPT",), ("DISABLE_DL_ENCRYPT",)),
    "secure_boot": (("SECURE_BOOT_EN",), ("ABS_DONE_0",)),
    "secure_boot_v2": (("ABS_DONE_1",),),
    "aggressive_revoke": (("SECURE_BOOT_AGGRESSIVE_REVOKE",),),
    "key_revoke": (tuple(f"SECURE_BOOT_KEY_REVOKE{n}" for n in range(3)),),
    "xts_256": (("XTS_KEY_LENGTH_256",),),
    "coding_scheme": (("CODING_SCHEME",),),
    "mac_crc": (("MAC_CRC",),),
    "rc_frequency": (("CLK8M_FREQ",),),
    "minor": (("WAFER_VERSION_MINOR",), ("WAFER_VERSION_MINOR_LO", "WAFER_VERSION_MINOR_HI")),
    "major": (
        ("WAFER_VERSION_MAJOR",),
        ("WAFER_VERSION_MAJOR_LO", "WAFER_VERSION_MAJOR_HI"),
        ("CHIP_VER_REV1", "CHIP_VER_REV2"),
    ),
}


class EfuseReader(Values):
    """The part of the record that is about the eFuse controller and its fields."""

    def flash_key(self) -> spec.FlashKey:
        if "KEY_PURPOSE_0" in self.fields:
            return spec.FlashKey.PURPOSES
        if "FLASH_CRYPT_CONFIG" in self.fields:
            return spec.FlashKey.ESP32_BLOCK1
        return spec.FlashKey.C2_BLOCK3 if "KEY0" in self.fields else spec.FlashKey.NONE

    def _parts(self, *names: str) -> spec.Field:
        out: list[spec.Piece] = []
        shift = 0
        for name in names:
            block, parts = self.fields[name]["at"]
            for position, length in parts:
                out.append((block, position, length, shift))
                shift += length
        return tuple(out)

    def _field(self, names: tuple[tuple[str, ...], ...]) -> spec.Field | None:
        for choice in names:
            if all(name in self.fields for name in choice):
                return self._parts(*choice)
        return None

    def efuse(self) -> spec.Efuse:
        base = self.number("efuse.base")
        fields = {name: found for name, names in _FIELDS.items() if (found := self._field(names))}
        block, parts = self.fields["MAC"]["at"]
        # Its first byte stands highest.
        fields["mac"] = ((block, min(position for position, _ in parts), 48, 0),)
        if "MAC_EXT" in self.fields:
            block, parts = self.fields["MAC_EXT"]["at"]
            fields["mac_ext"] = ((block, min(position for position, _ in parts), 16, 0),)
        for name in self.values.get("board.fields", {}):
            fields[name] = self._parts(name)
        # One table has a purpose more than there are keys.
        numbers = [n for n in range(7) if f"KEY{n}" in self.fields]
        purposes = [name for n in numbers if (name := f"KEY_PURPOSE_{n}") in self.fields]
        keys = [f["at"][0] for name, f in self.fields.items() if name in ("KEY0", "BLOCK1")]
        coded = self.flag("efuse.reed_solomon")
        errors = (f"efuse.rd_repeat_err{i}" for i in range(8))
        status = self.maybe("efuse.dec_status")
        return spec.Efuse(
            base=base,
            command=self.number("efuse.cmd") - base,
            config=self.number("efuse.conf") - base,
            write_code=self.number("efuse.op_write"),
            read_code=self.number("efuse.op_read"),
            window=self.number("efuse.pgm_data0") - base if coded else 0,
            check=self.number("efuse.check_value0") - base if coded else None,
            blocks=tuple(self._blocks(base)),
            first_key=min(keys),
            locks=tuple(self._locks(since) for since in sorted(self.tables)),
            block0_errors=tuple(self.number(key) - base for key in errors if key in self.values),
            block_errors=tuple(self._block_errors(base)),
            decode_status=None if status is None else status - base,
            fields=dict(sorted(fields.items())),
            purposes=tuple(self._parts(name) for name in purposes),
            xts_256="sec.xts256" in self.values,
        )

    def _blocks(self, base: int) -> Iterator[spec.Block]:
        starts = [self.number("efuse.rd_wr_dis")]
        for index in range(1, 10):
            if f"efuse.rd_block{index}" in self.values:
                starts.append(self.number(f"efuse.rd_block{index}"))
        if "efuse.rd_sys_part2" in self.values:
            starts.append(self.number("efuse.rd_sys_part2"))
        windows = [self.maybe(f"efuse.wr_block{index}") for index in range(len(starts))]
        for index, start in enumerate(starts):
            after = windows[0] if index == 0 and windows[0] is not None else None
            if after is None:
                after = starts[index + 1] if index + 1 < len(starts) else start + 32
            write = windows[index]
            yield spec.Block(
                index=index,
                read=start - base,
                words=min(8 if index else 99, (after - start) // 4),
                write=None if write is None else write - base,
                write_disable=self.maybe(f"efuse.block{index}.wr_dis"),
                read_disable=tuple(self.values.get(f"efuse.block{index}.rd_dis", ())),
            )

    def _block_errors(self, base: int) -> Iterator[spec.BlockError]:
        for key in sorted((k for k in self.values if k.startswith("efuse.error.block")), key=_tail):
            register, fail, mask, shift, fail_register = self.values[key]
            yield spec.BlockError(
                block=_tail(key),
                register=number(register, self.where, key) - base,
                count_mask=mask or 0,
                count_shift=shift or 0,
                fail_register=number(fail_register, self.where, key) - base,
                fail=fail,
            )

    def _locks(self, since: int) -> spec.Locks:
        write: dict[int, int] = {}
        hide: dict[int, int] = {}
        first = self._parts("RD_DIS")[0][1]
        for field in self.tables[since].values():
            block, parts = field["at"]
            if block:
                continue
            mask = sum(((1 << length) - 1) << position for position, length in parts)
            if field["wr_dis"] is not None:
                write[field["wr_dis"]] = write.get(field["wr_dis"], 0) | mask
            for bit in field["rd_dis"]:
                hide[bit - first] = hide.get(bit - first, 0) | mask
        return spec.Locks(
            since=since, write=tuple(sorted(write.items())), hide=tuple(sorted(hide.items()))
        )


def _tail(key: str) -> int:
    return int(key.rpartition("block")[2])
