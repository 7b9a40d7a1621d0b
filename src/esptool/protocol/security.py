# SPDX-License-Identifier: Apache-2.0
"""The answer to GET_SECURITY_INFO: flags, key purposes, and, on most chips, the chip id."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntFlag

SHORT_LEN, FULL_LEN = 12, 20


class SecurityFlag(IntFlag):
    """Bits of the flags word."""

    SECURE_BOOT_EN = 1 << 0
    SECURE_BOOT_AGGRESSIVE_REVOKE = 1 << 1
    SECURE_DOWNLOAD_ENABLE = 1 << 2
    SECURE_BOOT_KEY_REVOKE0 = 1 << 3
    SECURE_BOOT_KEY_REVOKE1 = 1 << 4
    SECURE_BOOT_KEY_REVOKE2 = 1 << 5
    SOFT_DIS_JTAG = 1 << 6
    HARD_DIS_JTAG = 1 << 7
    DIS_USB = 1 << 8
    DIS_DOWNLOAD_DCACHE = 1 << 9
    DIS_DOWNLOAD_ICACHE = 1 << 10


def named_flags(flags: int) -> dict[str, bool]:
    """Each known flag by its name, and whether it is set."""
    return {flag.name: bool(flags & flag) for flag in SecurityFlag if flag.name is not None}


@dataclass(frozen=True, slots=True)
class SecurityInfo:
    """Attributes: `raw` is the answer as received; `chip_id` and `api_version` are None on S2."""

    raw: bytes
    flags: SecurityFlag
    flash_crypt_cnt: int
    key_purposes: tuple[int, ...]
    chip_id: int | None
    api_version: int | None

    def has(self, flag: SecurityFlag) -> bool:
        """The flag is set."""
        return bool(self.flags & flag)

    @property
    def flash_encryption(self) -> bool:
        """Flash encryption is on: an odd number of counter bits is set."""
        return self.flash_crypt_cnt.bit_count() % 2 == 1


def parse(data: bytes) -> SecurityInfo | None:
    """Decode 12 bytes (ESP32-S2) or 20; None for any other length."""
    if len(data) not in (SHORT_LEN, FULL_LEN):
        return None
    flags, crypt_cnt, *purposes = struct.unpack_from("<IB7B", data)
    chip_id: int | None = None
    api: int | None = None
    if len(data) == FULL_LEN:
        chip_id, api = struct.unpack_from("<II", data, SHORT_LEN)
    return SecurityInfo(data, SecurityFlag(flags), crypt_cnt, tuple(purposes), chip_id, api)
