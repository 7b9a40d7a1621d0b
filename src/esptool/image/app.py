# SPDX-License-Identifier: Apache-2.0
"""What flashing and RAM loading need of an image: its headers, other flash parameters, its fit.

Works on bytes alone; nothing here builds images or talks to a chip.
"""

from __future__ import annotations

import hashlib
from typing import overload

from esptool import chips
from esptool.chips.spec import ChipSpec, MinRev
from esptool.errors import ImageError
from esptool.events import Level, Listener, Message, ignore
from esptool.image.content import CHUNK, Data, cut, joined
from esptool.image.header import (
    DIGEST_LEN,
    EXTENDED_HEADER_LEN,
    HEADER_LEN,
    IMAGE_MAGIC,
    KEEP,
    REVISION_ANY,
    ExtendedHeader,
    Header,
    flash_freq_code,
    flash_mode_code,
    flash_size_code,
)
from esptool.image.model import FirmwareImage, Segment
from esptool.image.reader import read_image
from esptool.records import dataclass


@dataclass(frozen=True, slots=True)
class ImageHeaders:
    """The headers of an image; `extended` is None where the data are too short for it."""

    header: Header
    extended: ExtendedHeader | None


def parse_header(data: bytes) -> ImageHeaders:
    """The headers that `data` begin with.

    Whether the second one means anything depends on the chip (ESP8266 has none).

    Raises:
        ImageError: shorter than 8 bytes, or the magic byte is another.
    """
    header = Header.unpack(data)
    if header.magic != IMAGE_MAGIC:
        raise ImageError(f"This is not a valid image (invalid magic number: {header.magic:#x}).")
    whole = len(data) >= HEADER_LEN + EXTENDED_HEADER_LEN
    return ImageHeaders(header, ExtendedHeader.unpack(data) if whole else None)


@overload
def patch_flash_params(
    data: bytes,
    chip: ChipSpec | str,
    flash_mode: str = KEEP,
    flash_freq: str = KEEP,
    flash_size: str = KEEP,
    *,
    address: int | None = None,
    notify: Listener = ignore,
) -> bytes: ...
@overload
def patch_flash_params(
    data: Data,
    chip: ChipSpec | str,
    flash_mode: str = KEEP,
    flash_freq: str = KEEP,
    flash_size: str = KEEP,
    *,
    address: int | None = None,
    notify: Listener = ignore,
) -> Data: ...
def patch_flash_params(
    data: Data,
    chip: ChipSpec | str,
    flash_mode: str = KEEP,
    flash_freq: str = KEEP,
    flash_size: str = KEEP,
    *,
    address: int | None = None,
    notify: Listener = ignore,
) -> Data:
    """Put flash parameters into a boot loader's header and renew its digest.

    `data` come back unchanged where there is nothing to do: all words are "keep", `address` (when
    given) is not the boot loader's, or the data are no image for `chip` (told through `notify`).
    A size of "detect" must be replaced by the caller first.

    Raises:
        UsageError: the chip has no such mode, clock or size.
    """
    spec = chips.get(chip) if isinstance(chip, str) else chip
    place = spec.flash.bootloader_offset if address is None else address
    if len(data) < HEADER_LEN or place != spec.flash.bootloader_offset:
        return data
    if (flash_mode, flash_freq, flash_size) == (KEEP, KEEP, KEEP):
        return data
    if data[0] != IMAGE_MAGIC:
        _warn(notify, f"Image file at {place:#x} doesn't look like an image file", "")
        return data
    try:
        image, whole = _image_of(data, spec)
    except ImageError:
        _warn(notify, f"Image file at {place:#x} is not a valid {spec.name} image", "")
        return data

    params = _params(image.header, spec, flash_mode, flash_freq, flash_size)
    if params != data[2:4]:
        value = int.from_bytes(params, "big")
        notify(Message(f"Flash parameters set to {value:#06x}."))
        whole = whole[:2] + params + whole[4:]
    if image.append_digest and image.hashed_length is not None:
        end = image.hashed_length
        digest = hashlib.sha256(whole[:end]).digest()
        whole = whole[:end] + digest + whole[end + DIGEST_LEN :]
        notify(Message("SHA digest in image updated."))
    return whole if len(whole) == len(data) else joined(whole, cut(data, len(whole)))


def _image_of(data: Data, chip: ChipSpec | str) -> tuple[FirmwareImage, bytes]:
    """The image that `data` begin with, and as much of them as was needed to read it.

    Raises:
        ImageError: as `read_image`.
    """
    if isinstance(data, bytes):
        return read_image(data, chip), data
    start = data[:CHUNK]
    try:
        return read_image(start, chip), start
    except ImageError:
        if start[0] != IMAGE_MAGIC:
            raise
    start = bytes(data)
    return read_image(start, chip), start


def _params(header: Header, chip: ChipSpec, mode: str, freq: str, size: str) -> bytes:
    """The two header bytes: mode, then size and clock."""
    mode_code = header.flash_mode if mode == KEEP else flash_mode_code(mode)
    low = header.flash_size_freq & 0x0F if freq == KEEP else flash_freq_code(chip, freq)
    high = header.flash_size_freq & 0xF0 if size == KEEP else flash_size_code(chip, size)
    return bytes((mode_code, high + low))


def _warn(notify: Listener, what: str, remedy: str) -> None:
    text = f"{what}, so not changing any flash settings.{remedy}"
    notify(Message(text, Level.WARNING))


@dataclass(frozen=True, slots=True)
class RamProgram:
    """What a RAM load sends: segments in file order, then a jump to `entry`."""

    entry: int
    segments: tuple[Segment, ...]
    extended: ExtendedHeader | None


def load_for_ram(data: Data, chip: ChipSpec | str) -> RamProgram:
    """The segments of an image in the order in which a RAM load sends them.

    Raises:
        ImageError: the image is damaged or not one that `chip` could have.
    """
    image, _ = _image_of(data, chip)
    return RamProgram(image.header.entry, image.segments, image.extended)


def incompatibility(
    extended: ExtendedHeader, chip: ChipSpec, revision: int, name: str | None = None
) -> str | None:
    """Why an image does not suit a chip of `revision` (major * 100 + minor), or None if it does."""
    what = "Input" if name is None else f"'{name}'"
    if extended.chip_id != chip.image_chip_id:
        verb = "does not contain" if name is None else "is not"
        return f"{what} {verb} an {chip.name} image"
    if not _uses_full_revisions(extended):
        major, minor = divmod(revision, 100)
        counted = minor if chip.image.min_rev is MinRev.MINOR else major
        if counted >= extended.min_rev:
            return None
        return (
            f"{what} requires chip revision {extended.min_rev} or higher "
            f"(this chip is revision {counted})"
        )
    low, high = extended.min_rev_full, extended.max_rev_full
    if low <= revision <= high:
        return None
    if high == REVISION_ANY:
        need = f"{revision_text(low)} or higher"
    elif low == 0:
        need = f"{revision_text(high)} or lower"
    else:
        need = f"in range {revision_text(low)} - {revision_text(high)}"
    return f"{what} requires chip revision {need} (this chip is revision {revision_text(revision)})"


def _uses_full_revisions(extended: ExtendedHeader) -> bool:
    """Images made before the 16-bit fields existed leave them empty and use the old byte."""
    if extended.max_rev_full == 0:
        return False
    old_style = extended.min_rev_full == 0 and extended.min_rev != 0
    return not (extended.max_rev_full == REVISION_ANY and old_style)


def revision_text(revision: int) -> str:
    """103 is v1.3."""
    return f"v{revision // 100}.{revision % 100}"
