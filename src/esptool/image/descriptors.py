# SPDX-License-Identifier: Apache-2.0
"""The description records that ESP-IDF puts at the start of applications and boot loaders.

Source: ESP-IDF `esp_app_desc_t` (esp_app_format) and `esp_bootloader_desc_t`.
"""

from __future__ import annotations

import struct

from esptool.records import dataclass

APP_MAGIC = 0xABCD5432
BOOTLOADER_MAGIC = 0x50

_APP = struct.Struct("<II8s32s32s16s16s32s32sHHB3s72s")
_BOOTLOADER = struct.Struct("<B3sI32s24s16s")


@dataclass(frozen=True, slots=True)
class AppDescription:
    """What an application says of itself. Revisions are `major * 100 + minor`.

    `mmu_page_size` is None where the field is empty, as in applications before ESP-IDF 5.1.
    """

    secure_version: int
    version: str
    project_name: str
    time: str
    date: str
    idf_version: str
    elf_sha256: bytes
    min_efuse_block_revision: int
    max_efuse_block_revision: int
    mmu_page_size: int | None


@dataclass(frozen=True, slots=True)
class BootloaderDescription:
    """What a second-stage boot loader says of itself."""

    version: int
    idf_version: str
    date_time: str


def app_description(data: bytes) -> AppDescription | None:
    """The record at the start of `data`, None where there is none."""
    if len(data) < _APP.size:
        return None
    (magic, secure, _, version, project, time, date, idf, sha, low, high, page, _, _) = (
        _APP.unpack_from(data)
    )
    if magic != APP_MAGIC:
        return None
    return AppDescription(
        secure_version=secure,
        version=_text(version),
        project_name=_text(project),
        time=_text(time),
        date=_text(date),
        idf_version=_text(idf),
        elf_sha256=sha,
        min_efuse_block_revision=low,
        max_efuse_block_revision=high,
        mmu_page_size=1 << page if page else None,
    )


def bootloader_description(data: bytes) -> BootloaderDescription | None:
    """The record at the start of `data`, None where there is none."""
    if len(data) < _BOOTLOADER.size:
        return None
    magic, _, version, idf, date_time, _ = _BOOTLOADER.unpack_from(data)
    if magic != BOOTLOADER_MAGIC:
        return None
    return BootloaderDescription(version, _text(idf), _text(date_time))


def _text(field: bytes) -> str:
    """Without the NULs; bytes that are no text, and controls, must not reach a terminal."""
    text = field.replace(b"\0", b"").decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
