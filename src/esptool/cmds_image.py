# SPDX-License-Identifier: Apache-2.0
"""The documented functions on image files. Faces over `esptool.image.jobs`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from esptool.events import Level, Message
from esptool.faces.keywords import ElfKeywords, MergeKeywords
from esptool.image import jobs
from esptool.image.sources import ImageSource
from esptool.nearest import checks_keywords
from esptool.render import to_log

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from esptool.events import Listener
    from esptool.image.regions import Region

__all__ = ["elf2image", "image_info", "merge_bin"]

#: Idftool passes these to `merge_bin`; the public tool takes no notice of them either.
_WITHOUT_EFFECT = ("output_format", "partition_table")

image_info_data = jobs.describe


@checks_keywords(ElfKeywords)
def elf2image(
    input: ImageSource,
    chip: str,
    output: str | None = None,
    flash_freq: str | None = None,
    flash_mode: str = "qio",
    flash_size: str = "1MB",
    *,
    listener: Listener = to_log,
    **kwargs: Unpack[ElfKeywords],
) -> bytes | tuple[bytes | None, bytes] | None:
    """Make a firmware image of an ELF file.

    Args:
        input: the ELF file.
        chip: name of the chip, "esp32s3".
        output: a file name (for ESP8266 version 1 the beginning of two), "auto" for a name derived
            from the input's, or None to get the bytes back.
        flash_freq: frequency for the header, "80m"; None takes the chip's usual one.
        flash_mode: mode for the header.
        flash_size: size for the header.
        listener: told what goes on.
        kwargs: `version`, `min_rev`, `min_rev_full`, `max_rev_full`, `secure_pad`,
            `secure_pad_v2`, `elf_sha256_offset`, `append_digest`, `use_segments`,
            `flash_mmu_page_size`, `pad_to_size`, `ram_only_header`, as on the command line.

    Returns:
        The image without `output`; for ESP8266 version 1 (IROM part or None, main part).

    Raises:
        FatalError: bad input or option; nothing was written.
    """
    from esptool.image.convert import ElfOptions
    from esptool.image.model import ImageKind

    options = ElfOptions(
        flash_mode=flash_mode, flash_freq=flash_freq, flash_size=flash_size, **kwargs
    )
    built = jobs.convert(input, chip, output, options, listener)
    if output is not None:
        return None
    return (built.irom, built.data) if built.kind is ImageKind.ESP8266_V1 else built.data


@checks_keywords(MergeKeywords)
def merge_bin(
    addr_data: Sequence[tuple[int, ImageSource | Region]],
    chip: str,
    output: str | None = None,
    flash_freq: str = "keep",
    flash_mode: str = "keep",
    flash_size: str = "keep",
    format: str = "raw",
    *,
    listener: Listener = to_log,
    **kwargs: Unpack[MergeKeywords],
) -> bytes | None:
    """Join sources for several flash offsets into one file.

    Args:
        addr_data: pairs of flash offset and source. Intel HEX brings its own addresses.
        chip: name of the chip.
        output: file name; None gives the bytes back (format "raw" only).
        flash_freq: frequency for the boot loader's header, or "keep".
        flash_mode: mode for it, or "keep".
        flash_size: size for it, or "keep".
        format: "raw", "uf2" or "hex".
        listener: told what goes on.
        kwargs: `target_offset`, `pad_to_size`, `chunk_size`, `md5_disable`, as on the command
            line.

    Raises:
        FatalError: bad input or option; nothing was written.
    """
    from esptool.image.merge import MergeOptions

    words = {"flash_mode": flash_mode, "flash_freq": flash_freq, "flash_size": flash_size}
    known: dict[str, Any] = {}
    for name, value in kwargs.items():
        if name in _WITHOUT_EFFECT:
            listener(Message(f"Option '{name}' of merge_bin() has no effect.", Level.NOTE))
        else:
            known[name] = value
    options = MergeOptions(**{**words, "format": format, **known})
    return jobs.merge(addr_data, chip, output, options, listener)


@checks_keywords()
def image_info(
    input: ImageSource | list[tuple[int, ImageSource]],
    chip: str | None = None,
    *,
    listener: Listener = to_log,
) -> None:
    """Tell what is in a firmware image.

    Args:
        input: the image, an Intel HEX file, or a list of (flash offset, image).
        chip: name of the chip; None finds it out.
        listener: told what was found.

    Raises:
        FatalError: the input cannot be read, or is not a whole image.
    """
    jobs.show(input, chip, listener)
