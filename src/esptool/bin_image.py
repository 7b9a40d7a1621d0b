# SPDX-License-Identifier: Apache-2.0
"""The v5 names for firmware images, as mutable objects over `esptool.image`.

New code is better served by `esptool.image.reader` and `esptool.image.convert`, whose values do
not change under the caller.
"""

from __future__ import annotations

import io
import os
import tempfile
from typing import IO, Any

from esptool import chips
from esptool.errors import FatalError, ImageError
from esptool.faces.firmware_image import CLASSES as _CLASSES
from esptool.faces.firmware_image import (
    BaseFirmwareImage,
    ESP32FirmwareImage,
    ESP8266ROMFirmwareImage,
    ESP8266V2FirmwareImage,
    ESP8266V3FirmwareImage,
    RomLoader,
)
from esptool.faces.segments import ELFFile, ELFSection, ImageSegment
from esptool.files import name_of
from esptool.image.esp8266 import sdk_crc32 as esp8266_crc32
from esptool.image.header import IMAGE_MAGIC, IMAGE_MAGIC_V2
from esptool.image.sources import ImageSource, hex_regions, read_source
from esptool.util import borrowed

__all__ = [
    "BaseFirmwareImage",
    "ELFFile",
    "ELFSection",
    "ESP32FirmwareImage",
    "ESP8266ROMFirmwareImage",
    "ESP8266V2FirmwareImage",
    "ESP8266V3FirmwareImage",
    "ImageSegment",
    "ImageSource",
    "LoadFirmwareImage",
    "align_file_position",
    "esp8266_crc32",
    "intel_hex_to_bin",
]

globals().update({cls.__name__: cls for cls in _CLASSES.values()})
__all__ += sorted({cls.__name__ for cls in _CLASSES.values()} - {*__all__})


class _RomLoader(RomLoader):
    """The chip's loader class, looked up when asked for: it pulls in the serial side."""

    def __get__(self, instance: object, owner: type[BaseFirmwareImage]) -> Any:
        from esptool.targets import CHIP_DEFS

        return CHIP_DEFS[owner.rules.key]


BaseFirmwareImage.ROM_LOADER = _RomLoader()


def align_file_position(f: IO[bytes], size: int) -> None:
    """Move to the last byte of the current block of `size` bytes."""
    f.seek(size - 1 - f.tell() % size, os.SEEK_CUR)


def image_class(chip: str) -> type[BaseFirmwareImage]:
    """The class of a chip's boot loader images, e.g. for "esp32s3"."""
    return _CLASSES.get(chips.get(chip).key, ESP8266ROMFirmwareImage)


def LoadFirmwareImage(  # noqa: N802
    chip: str, image_data: ImageSource
) -> ESP8266ROMFirmwareImage | ESP8266V2FirmwareImage | ESP32FirmwareImage:
    """Read an image for `chip`.

    Raises:
        FatalError: the source cannot be read, or is not a whole image for that chip.
    """
    data, _ = read_source(image_data)
    if not data:
        raise ImageError("Image is empty.")
    spec = chips.get(chip)
    file = io.BytesIO(data)
    if spec.image.extended_header:
        return _CLASSES[spec.key](file)
    if data[0] == IMAGE_MAGIC:
        return ESP8266ROMFirmwareImage(file)
    if data[0] == IMAGE_MAGIC_V2:
        return ESP8266V2FirmwareImage(file)
    raise FatalError(f"Invalid image magic number: {data[0]}")


def intel_hex_to_bin(
    file: IO[bytes], start_addr: int | None = None
) -> list[tuple[int | None, IO[bytes]]]:
    """Turn an open Intel HEX file into (address, open binary file) pairs, one a region.

    Another file comes back as it is, with `start_addr`. The files returned for HEX are temporary
    but stay on disk until the caller removes them, as their names may be needed.

    Raises:
        FatalError: the HEX file is damaged.
    """
    position = file.tell()
    data = file.read()
    file.seek(position)
    regions = hex_regions(data, name_of(file))
    if regions is None:
        return [(start_addr, file)]
    file.close()
    result: list[tuple[int | None, IO[bytes]]] = []
    for region in regions:
        part = tempfile.NamedTemporaryFile(suffix=".bin", delete=False)  # noqa: SIM115
        part.write(bytes(region.data))
        part.seek(0)
        result.append((region.address, part))
    return result


#: Names that programs import from here as well.
__getattr__ = borrowed(
    __name__,
    {
        **{f"{key.upper()}ROM": "esptool.targets" for key in chips.KEYS},
        **dict.fromkeys(
            (
                "byte",
                "get_bytes",
                "pad_to",
            ),
            "esptool.util",
        ),
        "ESPLoader": "esptool.loader",
    },
)
