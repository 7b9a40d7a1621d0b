# SPDX-License-Identifier: Apache-2.0
"""Joins several flash regions into one file: raw with 0xFF between them, UF2, or Intel HEX."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from esptool import chips
from esptool.chips.spec import ChipSpec
from esptool.errors import ImageError, UsageError
from esptool.events import Level, Listener, Message, ignore
from esptool.image.header import IMAGE_MAGIC, KEEP
from esptool.image.regions import Region, in_order, refuse_overlap
from esptool.records import dataclass, replace
from esptool.sizes import flash_size

FORMATS = ("raw", "uf2", "hex")
LARGEST_FLASH = 128 << 20
_FILL = b"\xff" * 0x10000
_BLOCKS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class MergeOptions:
    """The options of `merge-bin`, with the words of its command line."""

    flash_mode: str = KEEP
    flash_freq: str = KEEP
    flash_size: str = KEEP
    format: str = "raw"
    target_offset: int = 0
    pad_to_size: str | None = None
    chunk_size: int | None = None
    md5_disable: bool = False


def merge_regions(
    regions: Iterable[Region],
    chip: ChipSpec | str,
    options: MergeOptions | None = None,
    notify: Listener = ignore,
) -> Iterator[bytes]:
    """The merged file, chunk by chunk. All checks are made before the first chunk comes.

    Raises:
        UsageError: an option has a value that does not exist.
        ImageError: nothing to merge, regions overlap, or an address is out of range.
    """
    spec = chips.get(chip) if isinstance(chip, str) else chip
    chosen = options or MergeOptions()
    if chosen.format not in FORMATS:
        names = ", ".join(repr(f) for f in FORMATS)
        raise UsageError(f"Invalid format: '{chosen.format}', choose from {names}.")
    md5 = not chosen.md5_disable
    if chosen.format == "uf2":
        from esptool.image import uf2

        uf2.check_chunk_size(chosen.chunk_size, md5=md5)
    ordered = in_order(regions)
    _check_places(ordered, chosen)
    for remark in _without_effect(ordered, spec, chosen):
        notify(Message(remark, Level.WARNING))
    if chosen.format == "uf2":
        for region in ordered:
            source = "bytes" if region.name is None else f"'{region.name}'"
            notify(Message(f"Adding {source} at {region.address:#x}..."))
    ready = [_with_flash_params(r, spec, chosen, notify) for r in ordered]
    if chosen.format == "raw":
        return _raw(ready, chosen)
    if chosen.format == "hex":
        from esptool.image.hexfile import write_hex

        return write_hex(ready)
    return _uf2(ready, spec.uf2_family_id, chosen.chunk_size, md5)


def _check_places(ordered: Sequence[Region], options: MergeOptions) -> None:
    if not ordered:
        raise ImageError("No input data.")
    first, last = ordered[0], max(ordered, key=lambda r: r.end)
    if first.address < 0:
        raise ImageError(f"Address {first.address:#x} is negative: {first} is out of range.")
    if options.target_offset < 0:
        raise ImageError(
            f"Output data target offset {options.target_offset:#x} is negative: give the flash "
            "offset for which the merged file is meant."
        )
    if first.address < options.target_offset:
        raise ImageError(
            f"Output data target offset is {options.target_offset:#x}. "
            f"Input data offset {first.address:#x} is before this."
        )
    refuse_overlap(ordered)
    if options.format == "raw" and options.pad_to_size:
        flash_size(options.pad_to_size)  # refuse a word that is none
    if options.format == "raw" and last.end - options.target_offset > LARGEST_FLASH:
        raise ImageError(
            f"{last} is out of range: the merged file would be larger than the largest flash "
            f"({LARGEST_FLASH >> 20} MB). Check the address, or use --format hex."
        )
    if last.end > 1 << 32:
        raise ImageError(f"{last} is out of range: its end needs more than 32 bits.")


def _without_effect(
    ordered: Sequence[Region], chip: ChipSpec, options: MergeOptions
) -> Iterator[str]:
    """What was asked for and has no effect on this file, a sentence each."""
    of_format: dict[str, dict[str, object]] = {
        "raw": {"--target-offset": options.target_offset, "--pad-to-size": options.pad_to_size},
        "uf2": {"--chunk-size": options.chunk_size, "--md5-disable": options.md5_disable},
    }
    for owner, given in of_format.items():
        for name, value in given.items():
            if value and owner != options.format:
                yield f"Option {name} has no effect on a {options.format} file, only on {owner}."
    if options.format == "raw" and options.pad_to_size:
        last = max(ordered, key=lambda r: r.end)
        if last.end > flash_size(options.pad_to_size):
            yield (
                f"{last} ends at {last.end:#x}, beyond the {options.pad_to_size} that "
                "--pad-to-size asks for: nothing is padded."
            )
    place = chip.flash.bootloader_offset
    if (options.flash_mode, options.flash_freq, options.flash_size) != (KEEP, KEEP, KEEP) and all(
        region.address != place for region in ordered
    ):
        yield (
            "Flash parameters have no effect: no file stands at the boot loader's offset "
            f"{place:#x}."
        )


def _with_flash_params(
    region: Region, chip: ChipSpec, options: MergeOptions, notify: Listener
) -> Region:
    changes = (options.flash_mode, options.flash_freq, options.flash_size)
    if region.address != chip.flash.bootloader_offset or changes == (KEEP, KEEP, KEEP):
        return region
    from esptool.image.app import patch_flash_params

    content = bytes(region.data)
    if (found := _other_chip(content, chip)) is not None:
        text = (
            f"{region} is an {found.name} image, not one for {chip.name}: its flash parameters "
            f"are set with the codes of {chip.name}."
        )
        notify(Message(text, Level.WARNING))
    data = patch_flash_params(content, chip, *changes, address=region.address, notify=notify)
    return region if data is content else replace(region, data=data)


def _other_chip(content: bytes, chip: ChipSpec) -> ChipSpec | None:
    """The chip of a sound image where that is not `chip`: its flash codes may differ."""
    if content[:1] != bytes((IMAGE_MAGIC,)) or not chip.image.extended_header:
        return None
    from esptool.image.reader import detect_chip, scan_image

    try:
        found = detect_chip(content)
    except ImageError:  # told by whoever reads the image for its parameters
        return None
    if found is chip or not found.image.extended_header:
        return None
    image = scan_image(content, found)
    sound = image.fault is None and image.checksum == image.calculate_checksum()
    return found if sound else None


def _raw(ordered: Sequence[Region], options: MergeOptions) -> Iterator[bytes]:
    at = options.target_offset
    for region in ordered:
        yield from _fill(region.address - at)
        yield bytes(region.data)
        at = region.end
    if options.pad_to_size:
        yield from _fill(flash_size(options.pad_to_size) - at)


def _fill(size: int) -> Iterator[bytes]:
    while size > 0:
        yield _FILL[: min(size, len(_FILL))]
        size -= len(_FILL)


def _uf2(
    ordered: Sequence[Region], family_id: int, chunk_size: int | None, md5: bool
) -> Iterator[bytes]:
    from esptool.image import uf2

    for region in ordered:
        blocks = uf2.encode_file(region.address, bytes(region.data), family_id, chunk_size, md5=md5)
        while batch := b"".join(islice(blocks, _BLOCKS_AT_ONCE)):
            yield batch
