# SPDX-License-Identifier: Apache-2.0
"""Making an application image of a build's ELF file, as the build system would."""

from __future__ import annotations

import hashlib

from esptool.builds.images import image_info, words_in
from esptool.builds.model import KEEP, Build, FlashWords, Part, Role
from esptool.chips.spec import ChipSpec
from esptool.errors import ImageError, UsageError
from esptool.events import Listener, ignore
from esptool.image.convert import ElfOptions, convert_elf
from esptool.image.elf import read_elf
from esptool.image.model import ImageKind
from esptool.records import replace

#: What ESP-IDF, PlatformIO and Arduino begin with.
_USUAL = FlashWords("dio", KEEP, "4MB")


def with_image(
    build: Build, chip: ChipSpec, former: Part | None = None, listener: Listener = ignore
) -> Build:
    """The build with an image in place of its ELF file; the same where it has none.

    The header gets the flash parameters of the build, else those of its boot loader. Revisions
    that it demands are those of the image that the build had before.

    Args:
        build: the build.
        chip: the chip that the image is for.
        former: the build's own image, which the ELF file stands in for.
        listener: told of the conversion.

    Raises:
        ImageError: it is not a program for this chip.
    """
    part = next((part for part in build.applications if part.elf), None)
    if part is None:
        return build
    data = bytes(part.data)
    digest = hashlib.sha256(data).digest()
    before = None if former is None else image_info(former.data, chip.key)
    if former is not None and before is not None and before.app is not None:
        if before.app.elf_sha256 == digest:
            # It was made of this very file, and may be signed.
            return build.with_part(replace(former, offset=part.offset or former.offset), part)
        build = build.noting(
            f"'{former.name}' was made of another ELF file, so an image of '{part.name}' is made."
        )
    program = read_elf(data, part.name)
    if not program.runs_on(chip.arch):
        raise ImageError(
            f"'{part.name}' holds {program.machine_name} code, which {chip.name} cannot run.",
            remedy="Build it for this chip, or connect another one.",
        )
    boot = build.part(Role.BOOTLOADER)
    words = build.words.over(FlashWords() if boot is None else words_in(boot.data)).over(_USUAL)
    options = ElfOptions(
        flash_mode=words.mode,
        flash_freq=None if words.freq == KEEP else words.freq,
        flash_size=_USUAL.size if words.size in ("detect", KEEP) else words.size,
    )
    if before is not None and before.image.extended is not None:
        extended = before.image.extended
        options = replace(
            options,
            min_rev=extended.min_rev,
            min_rev_full=extended.min_rev_full,
            max_rev_full=extended.max_rev_full,
        )
    built = convert_elf(data, chip, options, part.name, listener)
    if built.kind is ImageKind.ESP8266_V1:
        made = build.with_part(replace(part, data=built.data, elf=False, offset=0), part)
        if built.irom is None:
            return made
        irom = Part(Role.DATA, built.irom, f"{part.name} (code in flash)", built.offset)
        return replace(made, parts=(*made.parts, irom))
    if not chip.image.extended_header:
        raise UsageError(f"'{part.name}' needs a boot loader that is not known here.")
    former_at = None if former is None else former.offset
    offset = former_at if part.offset is None else part.offset
    return build.with_part(replace(part, data=built.data, elf=False, offset=offset), part)
