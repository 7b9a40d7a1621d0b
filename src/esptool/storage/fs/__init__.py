# SPDX-License-Identifier: Apache-2.0
"""File systems in flash: LittleFS, FAT (with and without wear levelling) and SPIFFS.

    fs = open_image(data)                   # which one, and its parameters, are found
    for entry in fs.entries():
        print(entry.path, entry.size)
    fs.write("config/wifi.json", b"{}")
    data = fs.image()

    data = build_image("littlefs", 0x100000, {"index.html": b"..."}, Shape(preset="arduino"))

A LittleFS is changed and made by the `littlefs-python` package (`pip install "esptool[fs]"`), and
read without it.
"""

from __future__ import annotations

from esptool.storage.fs.blocks import Image as Image
from esptool.storage.fs.blocks import Patch as Patch
from esptool.storage.fs.blocks import Rewrite as Rewrite
from esptool.storage.fs.blocks import Step as Step
from esptool.storage.fs.model import DamagedError as DamagedError
from esptool.storage.fs.model import Entry as Entry
from esptool.storage.fs.model import FileSystem as FileSystem
from esptool.storage.fs.model import FileSystemError as FileSystemError
from esptool.storage.fs.model import FullError as FullError
from esptool.storage.fs.model import NoSuchFileError as NoSuchFileError
from esptool.storage.fs.model import Usage as Usage
from esptool.storage.fs.opening import KINDS as KINDS
from esptool.storage.fs.opening import PRESETS as PRESETS
from esptool.storage.fs.opening import Shape as Shape
from esptool.storage.fs.opening import build_image as build_image
from esptool.storage.fs.opening import detect as detect
from esptool.storage.fs.opening import open_image as open_image
