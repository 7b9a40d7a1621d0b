# SPDX-License-Identifier: Apache-2.0
"""The values that operations take and give. No behaviour beyond small derived facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from esptool.image.regions import Region as Region

#: Flash beyond this needs four address bytes, which not every ROM sends.
LARGE_FLASH = 0x1000000


@dataclass(frozen=True, slots=True)
class FlashParams:
    """What to put into the header of a boot loader image: a word of the command line each.

    `size` may be "keep", "detect" or a size; `mode` and `frequency` "keep" or a value.
    """

    size: str = "keep"
    mode: str = "keep"
    frequency: str = "keep"


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How `write_flash` works. The defaults are those of the command line.

    Attributes:
        params: flash parameters for an image at the boot loader's offset.
        compress: True or False as asked for; None lets the planner choose (compressed with a
            stub, plain with the ROM).
        erase_all: erase the whole chip first.
        encrypt: every region is encrypted by the chip (single regions: `Region.encrypted`).
        ignore_flash_enc_efuse: do not look for a programmed encryption key first.
        force: skip the checks of security state and of image compatibility.
        skip_flashed: leave out a region whose MD5 says that it is there already.
        diff_with: the former content for each region in order; None for "skip". Shorter than the
            regions means "skip" for the rest.
        trust_flash_content: with `diff_with`, do not look at regions that did not change.
        delta: ask the chip for sector hashes and send only what differs, where the running stub
            can and it pays.
        preserve: put back the neighbours' bytes in sectors that a region only partly covers.
        retries: how often in a row work may fail without getting any further, and a failed
            verification is answered by writing again; None takes the settings' number.
    """

    params: FlashParams = FlashParams()
    compress: bool | None = None
    erase_all: bool = False
    encrypt: bool = False
    ignore_flash_enc_efuse: bool = False
    force: bool = False
    skip_flashed: bool = False
    diff_with: tuple[bytes | None, ...] = ()
    trust_flash_content: bool = False
    delta: bool = True
    preserve: bool = False
    retries: int | None = None


@dataclass(frozen=True, slots=True)
class FlashInfo:
    """What the flash chip says of itself.

    Attributes:
        raw: the 24 bits of the JEDEC id, manufacturer in the lowest byte.
        manufacturer: JEDEC manufacturer byte.
        device: the two device bytes, memory type in the high one.
        size: size word such as "4MB", None when the id is not known.
    """

    raw: int
    manufacturer: int
    device: int
    size: str | None


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What happened to one region.

    `sent` counts the payload bytes that went over the line; `action` is "written", "skipped"
    (already there) or "delta" (only changed sectors were sent).
    """

    address: int
    size: int
    sent: int
    seconds: float
    action: str
    verified: bool
    name: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "file": self.name,
            "address": self.address,
            "size": self.size,
            "sent": self.sent,
            "seconds": round(self.seconds, 3),
            "action": self.action,
            "verified": self.verified,
        }


@dataclass(frozen=True, slots=True)
class Difference:
    """Bytes that differ in a verification: a region's first difference and how many there are."""

    region: Region
    first: int
    count: int
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SecurityReport:
    """GET_SECURITY_INFO decoded, with what the eFuses say besides.

    Attributes:
        flags: the raw flag word; `flag_names` decodes it.
        flash_crypt_cnt: the eFuse counter; encryption is on when an odd number of bits is set.
        key_purposes: one byte a key block.
        chip_id, api_version: None on ESP32-S2, whose answer lacks them.
        flag_names: name of every known flag and whether it is set.
    """

    flags: int
    flash_crypt_cnt: int
    key_purposes: tuple[int, ...]
    chip_id: int | None
    api_version: int | None
    secure_boot: bool
    flash_encryption: bool
    flag_names: Mapping[str, bool] = field(default_factory=dict)
