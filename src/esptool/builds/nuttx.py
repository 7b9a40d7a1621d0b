# SPDX-License-Identifier: Apache-2.0
"""NuttX builds: `nuttx.bin`, or `nuttx.merged.bin`, with the configuration in `.config`.

Source: NuttX `tools/esp32*/Config.mk` and `tools/espressif/Config.mk`, the arguments of the macro
FLASH. Boot loaders are built apart, and lie where ESPTOOL_BINDIR says: here, beside the image.
"""

from __future__ import annotations

from pathlib import Path

from esptool import chips
from esptool.builds.folder import Folder, number
from esptool.builds.images import MCUBOOT_MAGIC, chip_in, chip_of, image_info
from esptool.builds.model import Build, FlashWords, Part, Role
from esptool.chips.spec import ChipSpec
from esptool.errors import UsageError
from esptool.records import replace
from esptool.storage.partitions import DEFAULT_OFFSET
from esptool.textfile import read_text

IMAGE, MERGED, CONFIG = "nuttx.bin", "nuttx.merged.bin", ".config"
_SIZES = {f"FLASH_{mb}M": f"{mb}MB" for mb in (1, 2, 4, 8, 16, 32)}
_FREQS = {f"FLASH_FREQ_{mhz}M": f"{mhz}m" for mhz in (120, 80, 60, 48, 40, 30, 26, 20, 15)}
#: Headers have no code for it: the boot loader turns it up itself.
_IN_HEADERS = {"120m": "80m"}


def looks_like(folder: Path) -> bool:
    """A folder holds such a build."""
    return any((folder / name).is_file() for name in (IMAGE, MERGED))


def read(path: Path) -> Build:
    """The build in a folder.

    Raises:
        UsageError: it cannot be told where the image belongs, or a file is missing.
    """
    folder = Folder(path, CONFIG)
    config = _Config(path / CONFIG)
    if not (path / IMAGE).is_file():
        return _merged(path, folder, config)
    if config.on("MERGE_BINS") and config.unified and (path / MERGED).is_file():
        return _merged(path, folder, config)
    app = folder.part(Role.APP, IMAGE, None)
    named = chip_in(app.data)
    chip = config.chip or (None if named is None else named.key)
    if chip is None:
        raise UsageError(
            f"It cannot be told which chip '{path / IMAGE}' is for.",
            remedy="Copy the build's .config beside it.",
        )
    parts = _parts(folder, config, chips.get(chip), app)
    return _build(path, folder, config, chip, parts, IMAGE)


class _Config:
    """What `.config` says; nothing where it is missing."""

    def __init__(self, path: Path) -> None:
        self.values: dict[str, str] = {}
        if path.is_file():
            for line in read_text(path, "configuration").splitlines():
                name, sign, value = line.strip().partition("=")
                if sign and name.startswith("CONFIG_"):
                    self.values[name.removeprefix("CONFIG_")] = value.strip().strip('"')

    @property
    def unified(self) -> bool:
        """Of the chips that share one configuration."""
        return any(name.startswith("ESPRESSIF_CHIP") for name in self.values)

    @property
    def chip(self) -> str | None:
        """The chip; None where nothing names one."""
        names = [self.values.get("ESPRESSIF_CHIP_SERIES"), self.values.get("ARCH_CHIP")]
        keys = [chips.normalize(name) for name in names if name]
        return next((key for key in keys if key in chips.KEYS), None)

    def get(self, name: str) -> str | None:
        """The value of CONFIG_<prefix>_NAME, whatever prefix the chip has."""
        prefixes = ("ESPRESSIF", (self.chip or "").upper())
        found = (self.values.get(f"{prefix}_{name}") for prefix in prefixes)
        return next((value for value in found if value is not None), None)

    def on(self, name: str) -> bool:
        """It is set."""
        return self.get(name) == "y"


def _words(config: _Config) -> FlashWords:
    if not config.values:
        return FlashWords()
    size = "detect" if config.on("FLASH_DETECT") else None
    size = size or next((word for key, word in _SIZES.items() if config.on(key)), None)
    freq = config.get("FLASH_FREQ")
    freq = freq or next((word for key, word in _FREQS.items() if config.on(key)), None)
    return FlashWords("dio", freq or "keep", size or "keep")


def _parts(folder: Folder, config: _Config, chip: ChipSpec, app: Part) -> list[Part]:
    boot_at = chip.flash.bootloader_offset
    if bytes(app.data[:4]) == MCUBOOT_MAGIC:
        return _mcuboot(folder, config, chip, app)
    if config.on("SIMPLE_BOOT") or _boots_itself(app):
        return [replace(app, offset=boot_at)]
    table_at = number(config.get("PARTITION_TABLE_OFFSET") or DEFAULT_OFFSET, CONFIG)
    kernel_at = number(config.get("KERNEL_OFFSET") or "0x10000", CONFIG)
    parts = [replace(app, offset=kernel_at)]
    if config.values.get("BUILD_PROTECTED") == "y":
        room = number(config.get("KERNEL_IMAGE_SIZE"), CONFIG)
        parts.append(folder.part(Role.DATA, "nuttx_user.bin", kernel_at + room))
    boot, table = f"bootloader-{chip.key}.bin", f"partition-table-{chip.key}.bin"
    if folder.find(boot):
        parts.append(folder.part(Role.BOOTLOADER, boot, boot_at))
    if folder.find(table):
        parts.append(folder.part(Role.TABLE, table, table_at))
    return parts


def _mcuboot(folder: Folder, config: _Config, chip: ChipSpec, app: Part) -> list[Part]:
    slot = "SECONDARY" if config.on("ESPTOOL_TARGET_SECONDARY") else "PRIMARY"
    text = config.get(f"OTA_{slot}_SLOT_OFFSET")
    if text is None:
        raise UsageError(
            f"'{folder.path / IMAGE}' is for MCUboot, and nothing tells where its slot is.",
            remedy="Copy the build's .config beside it, or give the offset with --target.",
        )
    parts = [replace(app, offset=number(text, CONFIG))]
    boot = f"mcuboot-{chip.key}.bin"
    if folder.find(boot):
        parts.append(folder.part(Role.BOOTLOADER, boot, chip.flash.bootloader_offset))
    return parts


def _boots_itself(app: Part) -> bool:
    """An image whose header shows the ROM only what goes to RAM: it needs no boot loader."""
    info = image_info(app.data)
    if info is None or info.app is not None:
        return False
    kinds = {kind for segment in info.segments for kind in segment.memory_types}
    return not kinds & {"IROM", "DROM"}


def _merged(path: Path, folder: Folder, config: _Config) -> Build:
    part = folder.part(Role.MERGED, MERGED, 0)
    return _build(path, folder, config, config.chip, [part], MERGED)


def _build(
    path: Path,
    folder: Folder,
    config: _Config,
    chip: str | None,
    parts: list[Part],
    evidence: str,
) -> Build:
    words = _words(config)
    return Build(
        kind="NuttX build",
        source=str(path),
        evidence=evidence,
        chip=chip or chip_of(parts),
        parts=tuple(sorted(parts, key=lambda part: part.offset or 0)),
        words=FlashWords(words.mode, _IN_HEADERS.get(words.freq, words.freq), words.size),
        elf=folder.elf("nuttx"),
        encrypt=config.on("SECURE_FLASH_ENC_FLASH_DEVICE_ENCRYPTED"),
        notes=tuple(folder.notes),
        stub=not config.on("ESPTOOLPY_NO_STUB"),
    )
