# SPDX-License-Identifier: Apache-2.0
"""The keyword options of the documented functions, for type checkers.

When it runs, each function refuses what is not among them, too (`esptool.nearest`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from esptool.util import ImageSource


class WriteKeywords(TypedDict, total=False):
    """Those of `write_flash`; see there."""

    erase_all: bool
    encrypt: bool
    encrypt_files: Sequence[tuple[int | str, ImageSource]] | None
    ignore_flash_enc_efuse: bool
    force: bool
    skip_flashed: bool
    compress: bool | None
    no_compress: bool
    no_progress: bool
    diff_with: Sequence[ImageSource | None] | None
    trust_flash_content: bool
    no_diff_verify: bool
    preserve: bool
    delta: bool
    retries: int | None
    nand_end_address: int | None
    partition_table_offset: int | None
    partition_table: str | None


class ElfKeywords(TypedDict, total=False):
    """Those of `elf2image`; see there."""

    version: int
    min_rev: int
    min_rev_full: int
    max_rev_full: int
    secure_pad: bool
    secure_pad_v2: bool
    elf_sha256_offset: int | None
    append_digest: bool
    use_segments: bool
    flash_mmu_page_size: str | None
    pad_to_size: str | None
    ram_only_header: bool


class MergeKeywords(TypedDict, total=False):
    """Those of `merge_bin`; see there. The last two have no effect."""

    target_offset: int
    pad_to_size: str | None
    chunk_size: int | None
    md5_disable: bool
    output_format: str
    partition_table: str
