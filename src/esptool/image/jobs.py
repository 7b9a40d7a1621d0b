# SPDX-License-Identifier: Apache-2.0
"""Jobs on image files: making one of an ELF file, merging several, telling what is in one.

They read sources, tell a listener what happens, and write outputs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from esptool import chips
from esptool.chips.spec import ChipSpec
from esptool.errors import FatalError, ImageError, UsageError
from esptool.events import Level, Listener, Message, Result
from esptool.files import atomic_writer, check_output, refuse_input_as_output, write_atomic
from esptool.image.regions import Region
from esptool.image.sources import (
    ImageSource,
    hex_regions,
    read_source,
    refuse_container,
    split_regions,
)

if TYPE_CHECKING:
    from esptool.image.convert import BuiltImage, ElfOptions
    from esptool.image.info import ImageInfo
    from esptool.image.merge import MergeOptions

_HEX_DOCS = (
    "Only one input file specified, output may include additional padding if input file was "
    "previously merged. Please refer to the documentation for more information: "
    "https://docs.espressif.com/projects/esptool/en/latest/esptool/basic-commands.html"
    "#hex-output-format"
)


def convert(
    source: ImageSource, chip: str, output: str | None, options: ElfOptions, tell: Listener
) -> BuiltImage:
    """Make an image of an ELF file, and write it to `output` ("auto": a name made of the input's).

    Raises:
        FatalError: bad input or option; nothing was written.
    """
    from esptool.image.convert import convert_elf

    spec = named_chip(chip)
    data, name = read_source(source)
    tell(Message(f"Creating {spec.name} image..."))
    built = convert_elf(data, spec, options, name, tell)
    files: Sequence[tuple[str, bytes]] = ()
    if output is not None:
        if output == "auto":
            output = built.default_output(name or f"{spec.key}_image")
        files = built.files(os.fspath(output))
        for path, _ in files:  # all of them before one is written
            check_output(path)
            refuse_input_as_output(path, [source])
        for path, contents in files:
            write_atomic(path, contents)
    told = [{"file": path, "size": len(contents)} for path, contents in files]
    tell(Result({"chip": spec.key, "files": told}))
    tell(Message(f"Successfully created {spec.name} image."))
    return built


def merge(
    addr_data: Sequence[tuple[int, ImageSource | Region]],
    chip: str,
    output: str | None,
    options: MergeOptions,
    tell: Listener,
) -> bytes | None:
    """Merge data for several flash addresses into the file `output`, or into bytes.

    Raises:
        FatalError: bad input or option; nothing was written.
    """
    from esptool.image.merge import FORMATS, merge_regions

    spec = named_chip(chip)
    form, offset = options.format, options.target_offset
    if output is None and form in FORMATS and form != "raw":
        raise UsageError(f"Output file must be specified with {form.upper()} format.")
    if output is not None:
        check_output(output)
        inputs = [d.name if isinstance(d, Region) else d for _, d in addr_data]
        refuse_input_as_output(output, inputs)
    regions = _regions(addr_data)
    _advise(form, regions, spec, tell)
    for region in regions:
        refuse_container(region.data, region.name)
    chunks = merge_regions(regions, spec, options, tell)
    if output is None:
        merged = b"".join(chunks)
        tell(Result({"file": None, "size": len(merged), "offset": offset, "format": form}))
        tell(Message(f"Merged {len(merged):#x} bytes, ready to flash to offset {offset:#x}."))
        return merged
    size = _write_chunks(os.fspath(output), chunks)
    tell(Result({"file": os.fspath(output), "size": size, "offset": offset, "format": form}))
    end = "be flashed with any ESP USB Bridge" if form == "uf2" else f"flash to offset {offset:#x}"
    tell(Message(f"Wrote {size:#x} bytes to file '{output}', ready to {end}."))
    return None


def show(
    source: ImageSource | list[tuple[int, ImageSource]], chip: str | None, tell: Listener
) -> None:
    """Tell what is known of an image, or of each image of a list with flash offsets.

    Raises:
        FatalError: the input cannot be read, or is not a whole image.
    """
    if isinstance(source, list):
        regions = [Region(a if a is not None else 0, *read_source(d)) for a, d in source]
        _show_each(regions, chip, tell)
        return
    data, name = read_source(source)
    found = None if isinstance(source, bytes) else hex_regions(data, name)
    if found is None:
        _show_file(data, chip, name, tell)
    elif len(found) == 1:
        _show_file(bytes(found[0].data), chip, name, tell)
    else:
        _show_each(found, chip, tell)


def describe(source: ImageSource, chip: str | None = None) -> dict[str, Any]:
    """What `show` tells, as data: {"schema": 1, "file": name or None, "images": [...]}.

    What is not an image has only `offset`, `size` and `problems`.

    Raises:
        FatalError: the input cannot be read, or is damaged HEX.
    """
    from esptool.image.info import find_images

    spec = None if chip is None else named_chip(chip)
    data, name = read_source(source)
    regions = None if isinstance(source, bytes) else hex_regions(data, name)
    images = []
    if regions is None:
        regions = _images_inside(data)
        if not regions:
            images.append(_described(Region(0, data), spec, name))
            regions = find_images(data, max(1, images[0].get("image_length", 1)))
    images += [_described(region, spec, name) for region in regions]
    return {"schema": 1, "file": name, "images": images}


def _described(region: Region, spec: ChipSpec | None, name: str | None) -> dict[str, Any]:
    from esptool.image.info import examine, to_json

    try:
        return to_json(examine(bytes(region.data), spec, name, other_chips=True), region.address)
    except ImageError as e:
        return {"offset": region.address, "size": len(region.data), "problems": [e.message]}


# --- helpers -----------------------------------------------------------------------------------


def named_chip(name: str) -> ChipSpec:
    """Only the documented spelling counts here: a build system's typo must not go unnoticed."""
    if name not in chips.KEYS:
        raise UsageError(f"Invalid chip choice: '{name}' (choose from {', '.join(chips.KEYS)}).")
    return chips.get(name)


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


def _advise(form: str, regions: Sequence[Region], chip: ChipSpec, tell: Listener) -> None:
    if form == "raw":
        text = (
            "Consider using --format hex to avoid flashing unused 0xFF padding "
            "between input regions."
        )
        tell(Message(text, Level.HINT))
    elif form == "hex" and len(regions) == 1:
        tell(Message(_HEX_DOCS, Level.WARNING))
    elif form == "uf2" and chip.uf2_family_id == 0:
        text = f"No UF2 family ID found for {chip.name}, using 0x0 as default."
        tell(Message(text, Level.WARNING))


def _write_chunks(output: str, chunks: Iterable[bytes]) -> int:
    size = 0
    with atomic_writer(output) as out:
        for chunk in chunks:
            out.write(chunk)
            size += len(chunk)
    return size


def _show_file(data: bytes, chip: str | None, name: str | None, tell: Listener) -> None:
    """One image, and those that follow it in a merged binary."""
    from esptool.image.info import examine, find_images

    spec = None if chip is None else named_chip(chip)
    if inside := _images_inside(data):
        _show_each(inside, chip, tell)
        return
    info = examine(data, spec, name, other_chips=True)
    tell(Message(f"Image size: {len(data)} bytes"))
    _show_info(info, tell)
    for region in find_images(data, max(1, info.image.length)):
        _show_banner(
            f"Further image at offset: {region.address:#x}, size: {len(region.data)} bytes", tell
        )
        _show_info(examine(bytes(region.data)), tell, detected=False)


def _images_inside(data: bytes) -> list[Region]:
    """The images of a flash dump that does not itself begin with one."""
    from esptool.image.header import IMAGE_MAGIC, IMAGE_MAGIC_V2
    from esptool.image.info import find_images

    return (
        [] if data[:1] in (bytes((IMAGE_MAGIC,)), bytes((IMAGE_MAGIC_V2,))) else find_images(data)
    )


def _show_each(regions: Sequence[Region], chip: str | None, tell: Listener) -> None:
    from esptool.image.info import examine

    tell(Message("Merged binary image detected. Processing each file individually."))
    spec = None if chip is None else named_chip(chip)
    for number, region in enumerate(regions, 1):
        _show_banner(
            f"Processing file {number}/{len(regions)}, "
            f"offset: {region.address:#x}, size: {len(region.data)} bytes",
            tell,
        )
        try:
            info = examine(bytes(region.data), spec, other_chips=True)
            _show_info(info, tell, detected=number == 1)
        except FatalError as e:
            tell(Message(f"Error processing file {number}/{len(regions)}: {e}", Level.ERROR))
            text = "Probably not a valid firmware image (e.g. partition table)."
            tell(Message(text, Level.ERROR))
            continue
        if number == 1:
            spec = info.chip


def _show_banner(text: str, tell: Listener) -> None:
    from esptool.image.report import banner

    for line in banner(text):
        tell(line)


def _show_info(info: ImageInfo, tell: Listener, *, detected: bool = True) -> None:
    from esptool.image.report import report

    if detected and info.detected:
        tell(Message(f"Detected image type: {info.chip.name.upper()}"))
    for line in report(info):
        tell(line)
    if info.image.fault is not None:
        raise ImageError(info.image.fault)
