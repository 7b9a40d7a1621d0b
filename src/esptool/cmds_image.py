# SPDX-License-Identifier: Apache-2.0
"""The image functions of the v5 Python interface: `elf2image`, `merge_bin` and `image_info`.

Thin faces over `esptool.image`: they read sources, print what happens, and write outputs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from esptool import chips
from esptool.chips.spec import ChipSpec
from esptool.errors import FatalError, ImageError, UsageError
from esptool.events import Event, Level, Message
from esptool.files import atomic_writer, check_output, refuse_input_as_output, write_atomic
from esptool.image.regions import Region
from esptool.image.sources import ImageSource, hex_regions, read_source, split_regions
from esptool.logger import log

if TYPE_CHECKING:
    from esptool.image.info import ImageInfo

__all__ = ["elf2image", "image_info", "merge_bin"]

_HEX_DOCS = (
    "Only one input file specified, output may include additional padding if input file was "
    "previously merged. Please refer to the documentation for more information: "
    "https://docs.espressif.com/projects/esptool/en/latest/esptool/basic-commands.html"
    "#hex-output-format"
)


def elf2image(
    input: ImageSource,
    chip: str,
    output: str | None = None,
    flash_freq: str | None = None,
    flash_mode: str = "qio",
    flash_size: str = "1MB",
    **kwargs: Any,
) -> bytes | tuple[bytes | None, bytes] | None:
    """Make a firmware image of an ELF file.

    `output` is a file name (for ESP8266 version 1 the beginning of two), "auto" for a name derived
    from the input's, or None to get the bytes back: (IROM part or None, main part) for ESP8266
    version 1. Keywords: `version`, `min_rev`, `min_rev_full`, `max_rev_full`, `secure_pad`,
    `secure_pad_v2`, `elf_sha256_offset`, `append_digest`, `use_segments`, `flash_mmu_page_size`,
    `pad_to_size`, `ram_only_header`, as on the command line.

    Raises:
        FatalError: bad input or option; nothing was written.
    """
    from esptool.image.convert import ElfOptions, convert_elf
    from esptool.image.model import ImageKind

    spec = _chip(chip)
    options = ElfOptions(
        flash_mode=flash_mode,
        flash_freq=flash_freq,
        flash_size=flash_size,
        **_known(kwargs, ElfOptions, "elf2image"),
    )
    data, source = read_source(input)
    log.print(f"Creating {spec.name} image...")
    built = convert_elf(data, spec, options, source, _show)
    if output is not None:
        if output == "auto":
            output = built.default_output(source or f"{spec.key}_image")
        files = built.files(os.fspath(output))
        for name, _ in files:  # all of them before one is written
            check_output(name)
            refuse_input_as_output(name, [input])
        for name, contents in files:
            write_atomic(name, contents)
    log.print(f"Successfully created {spec.name} image.")
    if output is None:
        return (built.irom, built.data) if built.kind is ImageKind.ESP8266_V1 else built.data
    return None


def merge_bin(
    addr_data: Sequence[tuple[int, ImageSource | Region]],
    chip: str,
    output: str | None = None,
    flash_freq: str = "keep",
    flash_mode: str = "keep",
    flash_size: str = "keep",
    format: str = "raw",
    **kwargs: Any,
) -> bytes | None:
    """Merge data for several flash addresses into one file, or into bytes when `output` is None.

    Files in Intel HEX bring their own addresses. Keywords: `target_offset`, `pad_to_size`,
    `chunk_size`, `md5_disable`, as on the command line.

    Raises:
        FatalError: bad input or option; nothing was written.
    """
    from esptool.image.merge import FORMATS, MergeOptions, merge_regions

    spec = _chip(chip)
    options = MergeOptions(
        flash_mode=flash_mode,
        flash_freq=flash_freq,
        flash_size=flash_size,
        format=format,
        **_known(kwargs, MergeOptions, "merge_bin"),
    )
    if output is None and format in FORMATS and format != "raw":
        raise UsageError(f"Output file must be specified with {format.upper()} format.")
    if output is not None:
        check_output(output)
        refuse_input_as_output(
            output,
            [d.source if isinstance(d, Region) else d for _, d in addr_data],
        )
    regions = _regions(addr_data)
    _advise(format, regions, spec)
    pieces = merge_regions(regions, spec, options, _show)
    if output is None:
        merged = b"".join(pieces)
        log.print(
            f"Merged {len(merged):#x} bytes, ready to flash to offset {options.target_offset:#x}."
        )
        return merged
    size = _write_pieces(os.fspath(output), pieces)
    end = (
        "be flashed with any ESP USB Bridge"
        if format == "uf2"
        else f"flash to offset {options.target_offset:#x}"
    )
    log.print(f"Wrote {size:#x} bytes to file '{output}', ready to {end}.")
    return None


def image_info(
    input: ImageSource | list[tuple[int, ImageSource]],
    chip: str | None = None,
) -> None:
    """Print what is known of an image, or of each image of a list with flash offsets.

    Raises:
        FatalError: the input cannot be read, or is no whole image.
    """
    if isinstance(input, list):
        regions = [Region(a if a is not None else 0, *read_source(d)) for a, d in input]
        _print_each(regions, chip)
        return
    data, name = read_source(input)
    regions_of_hex = None if isinstance(input, bytes) else hex_regions(data, name)
    if regions_of_hex is None:
        _print_file(data, chip, name)
    elif len(regions_of_hex) == 1:
        _print_file(regions_of_hex[0].data, chip, name)
    else:
        _print_each(regions_of_hex, chip)


def image_info_data(input: ImageSource, chip: str | None = None) -> dict[str, Any]:
    """What `image_info` prints, as data: {"schema": 1, "file": name or None, "images": [...]}.

    Raises:
        FatalError: the input cannot be read, or nothing in it is an image.
    """
    from esptool.image.info import examine, find_images, to_json

    spec = None if chip is None else _chip(chip)
    data, name = read_source(input)
    regions = None if isinstance(input, bytes) else hex_regions(data, name)
    images = []
    if regions is None:
        regions = _images_inside(data)
        if not regions:
            first = examine(data, spec, name)
            images.append(to_json(first, 0))
            regions = find_images(data, max(1, first.image.length))
    elif not regions:
        raise ImageError("Image is empty.")
    for region in regions:
        try:
            images.append(to_json(examine(region.data, spec, name), region.address))
        except ImageError as e:
            entry = {"offset": region.address, "size": len(region.data), "problems": [e.message]}
            images.append(entry)
    return {"schema": 1, "file": name, "images": images}


# --- helpers -----------------------------------------------------------------------------------


def _chip(name: str) -> ChipSpec:
    """Only the documented spelling counts here: a build system's typo must not go unnoticed."""
    if name not in chips.KEYS:
        raise UsageError(f"Invalid chip choice: '{name}' (choose from {', '.join(chips.KEYS)}).")
    return chips.get(name)


def _known(kwargs: dict[str, Any], options: type, function: str) -> dict[str, Any]:
    names = {f.name for f in fields(options)}
    for name in kwargs:
        if name not in names:
            raise UsageError(f"{function}() has no option '{name}'.")
    return kwargs


def _show(event: Event) -> None:
    if not isinstance(event, Message):
        return
    how = {Level.NOTE: log.note, Level.WARNING: log.warning, Level.DEBUG: log.debug}
    how.get(event.level, log.print)(event.text)


def _regions(addr_data: Iterable[tuple[int, ImageSource | Region]]) -> list[Region]:
    """Bytes are taken as they are; files may be Intel HEX."""
    regions: list[Region] = []
    for address, source in addr_data:
        if isinstance(source, Region):  # read and split already, by the command line
            regions.append(source)
            continue
        data, name = read_source(source)
        if isinstance(source, bytes):
            regions.append(Region(address, data))
        else:
            regions += split_regions(data, address, name)
    return regions


def _advise(format: str, regions: Sequence[Region], chip: ChipSpec) -> None:
    if format == "raw":
        log.hint(
            "Consider using --format hex to avoid flashing unused 0xFF padding "
            "between input regions."
        )
    elif format == "hex" and len(regions) == 1:
        log.warning(_HEX_DOCS)
    elif format == "uf2" and chip.uf2_family_id == 0:
        log.warning(f"No UF2 family ID found for {chip.name}, using 0x0 as default.")


def _write_pieces(output: str, pieces: Iterable[bytes]) -> int:
    size = 0
    with atomic_writer(output) as out:
        for piece in pieces:
            out.write(piece)
            size += len(piece)
    return size


def _print_file(data: bytes, chip: str | None, name: str | None) -> None:
    """One image, and those that follow it in a merged binary."""
    from esptool.image.info import examine, find_images

    spec = None if chip is None else _chip(chip)
    if inside := _images_inside(data):
        _print_each(inside, chip)
        return
    info = examine(data, spec, name)
    log.print(f"Image size: {len(data)} bytes")
    _print_info(info)
    for region in find_images(data, max(1, info.image.length)):
        _print_banner(
            f"Further image at offset: {region.address:#x}, size: {len(region.data)} bytes"
        )
        _print_info(examine(region.data), detected=False)


def _images_inside(data: bytes) -> list[Region]:
    """The images of a flash dump that does not itself begin with one."""
    from esptool.image.header import IMAGE_MAGIC, IMAGE_MAGIC_V2
    from esptool.image.info import find_images

    return (
        [] if data[:1] in (bytes((IMAGE_MAGIC,)), bytes((IMAGE_MAGIC_V2,))) else find_images(data)
    )


def _print_each(regions: Sequence[Region], chip: str | None) -> None:
    from esptool.image.info import examine

    log.print("Merged binary image detected. Processing each file individually.")
    spec = None if chip is None else _chip(chip)
    for number, region in enumerate(regions, 1):
        _print_banner(
            f"Processing file {number}/{len(regions)}, "
            f"offset: {region.address:#x}, size: {len(region.data)} bytes"
        )
        try:
            info = examine(region.data, spec)
            _print_info(info, detected=number == 1)
        except FatalError as e:
            log.err(f"Error processing file {number}/{len(regions)}: {e}")
            log.err("Probably not a valid firmware image (e.g. partition table).")
            continue
        if number == 1:
            spec = info.chip


def _print_banner(text: str) -> None:
    from esptool.image.report import banner

    for line in banner(text):
        _show(line)


def _print_info(info: ImageInfo, *, detected: bool = True) -> None:
    from esptool.image.report import report

    if detected and info.detected:
        log.print(f"Detected image type: {info.chip.name.upper()}")
    for line in report(info):
        _show(line)
    if info.image.fault is not None:
        raise ImageError(info.image.fault)
