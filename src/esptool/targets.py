# SPDX-License-Identifier: Apache-2.0
"""The documented chip classes (`ESP32ROM`, …), made from chip data; nothing is written twice."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from esptool import chips
from esptool.chips.spec import ChipSpec
from esptool.faces.base import LOADERS
from esptool.loader import ESPLoader, StubMixin

#: Fields of the identity table that have a getter of their own.
_GETTERS = {
    "flash_cap": "get_flash_cap",
    "flash_vendor": "get_flash_vendor",
    "psram_cap": "get_psram_cap",
    "psram_vendor": "get_psram_vendor",
    "flash_ver": "get_flash_version",
    "psram_ver": "get_psram_version",
    "blk_version_major": "get_blk_version_major",
    "blk_version_minor": "get_blk_version_minor",
    "raw_major": "get_raw_major_chip_version",
    "raw_minor": "get_raw_minor_chip_version",
}


def constants(spec: ChipSpec) -> dict[str, Any]:
    """The class attributes of a chip, by their documented names."""
    result: dict[str, Any] = dict(spec.registers)
    spi, uart = spec.spi, spec.uart
    result.update(
        SPI_REG_BASE=spi.base,
        SPI_USR_OFFS=spi.usr_offs,
        SPI_USR1_OFFS=spi.usr1_offs,
        SPI_USR2_OFFS=spi.usr2_offs,
        SPI_W0_OFFS=spi.w0_offs,
        SPI_MOSI_DLEN_OFFS=spi.mosi_dlen_offs,
        SPI_MISO_DLEN_OFFS=spi.miso_dlen_offs,
        SPI_ADDR_REG_MSB=spi.addr_msb,
        UART_CLKDIV_REG=uart.clkdiv_reg,
        UART_DATE_REG_ADDR=uart.date_reg,
        XTAL_CLK_DIVIDER=uart.xtal_clk_divider,
    )
    if spec.efuse is not None:
        result.update(
            EFUSE_BASE=spec.efuse.base,
            EFUSE_RD_REG_BASE=spec.efuse.rd_reg_base,
            EFUSE_BLOCK1_ADDR=spec.efuse.block1,
            EFUSE_MAX_KEY=spec.efuse.max_key,
            KEY_PURPOSES=dict(spec.efuse.key_purposes),
        )
    result.update(
        SPEC=spec,
        CHIP_NAME=spec.name,
        IMAGE_CHIP_ID=spec.image_chip_id,
        MAGIC_VALUE=spec.rom.magic,
        USES_MAGIC_VALUE=spec.rom.magic is not None,
        UF2_FAMILY_ID=spec.uf2_family_id,
        USB_OTG_SUPPORTED=spec.usb.otg,
        USB_SERIAL_JTAG_SUPPORTED=spec.usb.serial_jtag,
        WATCHDOG_RESET_SUPPORTED=spec.reset.watchdog is not None,
        SECURITY_INFO_SUPPORTED=spec.rom.security_info,
        CUSTOM_SPI_FLASH_PINS_SUPPORTED=spec.flash.custom_pins,
        FLASH_32BIT_ADDR_SUPPORTED=spec.flash.addr32,
        BOOTLOADER_FLASH_OFFSET=spec.flash.bootloader_offset,
        FLASH_SIZES=dict(spec.flash.sizes),
        FLASH_FREQUENCY=dict(spec.flash.frequencies),
        FLASH_ENCRYPTED_WRITE_ALIGN=spec.flash.encrypted_write_align,
        MEMORY_MAP=[[r.start, r.end, r.kind] for r in spec.memory_map],
        IROM_MAP_START=spec.image.irom[0],
        IROM_MAP_END=spec.image.irom[1],
        DROM_MAP_START=spec.image.drom[0],
        DROM_MAP_END=spec.image.drom[1],
    )
    if spec.voltage is not None:
        result["EFUSE_VDD_SPI_REG"] = spec.voltage.efuse_reg
        if spec.voltage.rtc_reg is not None:
            result["RTC_CNTL_SDIO_CONF_REG"] = spec.voltage.rtc_reg
        if spec.voltage.override:
            result["OVERRIDE_VDDSDIO_CHOICES"] = ["1.8V", "1.9V", "OFF"]
    return result


def _getter(spec: ChipSpec, field: str, name: str) -> Any:
    names = spec.identity.vendors.get(field)

    def read(self: ESPLoader) -> int | str:
        value = self.session.facts.field(field)
        return value if names is None else names.get(value, "")

    read.__name__ = name
    read.__doc__ = f"The identity field `{field}`."
    return read


class _Image:
    """`BOOTLOADER_IMAGE` of a chip class: looked up when used, since images are heavy to import."""

    def __get__(self, obj: Any, owner: type[ESPLoader]) -> Any:
        from esptool.faces.firmware_image import CLASSES, ESP8266ROMFirmwareImage

        assert owner.SPEC is not None
        return CLASSES.get(owner.SPEC.key, ESP8266ROMFirmwareImage)


def _make(key: str) -> type[ESPLoader]:
    spec = chips.get(key)
    body = constants(spec)
    for field, getter in _GETTERS.items():
        if field in spec.identity.fields:
            body[getter] = _getter(spec, field, getter)
    body["BOOTLOADER_IMAGE"] = _Image()
    body["__doc__"] = f"{spec.name} on a serial port; see `ESPLoader`."
    body["__module__"] = __name__
    cls: type[ESPLoader] = type(f"{key.upper()}ROM", (ESPLoader,), body)
    stub = {"__doc__": f"{spec.name} with a running stub.", "__module__": __name__}
    cls.STUB_CLASS = type(f"{key.upper()}StubLoader", (StubMixin, cls), stub)
    return cls


#: Chip names, in the order of the command line's choices.
CHIP_LIST: list[str] = list(chips.KEYS)
#: Chip name to class.
CHIP_DEFS: dict[str, type[ESPLoader]] = {key: _make(key) for key in chips.KEYS}
LOADERS.update(CHIP_DEFS)
#: All classes.
ROM_LIST: list[type[ESPLoader]] = list(CHIP_DEFS.values())

globals().update({cls.__name__: cls for cls in ROM_LIST})
globals().update({cls.STUB_CLASS.__name__: cls.STUB_CLASS for cls in ROM_LIST})


def __getattr__(name: str) -> type[ESPLoader]:
    """For type checkers: `ESP32ROM` and its like stand among the globals, made of the chip data."""
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def _modules() -> None:
    """Make `esptool.targets.esp32c3` and its like importable: each holds the class of a chip."""
    for key, cls in CHIP_DEFS.items():
        module = ModuleType(f"{__name__}.{key}", f"Where `{cls.__name__}` may be imported from.")
        for found in (cls, cls.STUB_CLASS):
            setattr(module, found.__name__, found)
        sys.modules[module.__name__] = module
        globals()[key] = module


#: Python looks for sub-modules only in what has a path.
__path__: list[str] = []
_modules()
