# SPDX-License-Identifier: Apache-2.0
"""The documented functions: one for every command, taking a loader object. Faces over `ops`.

A source of data is a path, bytes, or an open binary file; results come back. Each function takes a
`listener`, which is told what goes on as events (`esptool.events`): programs that work on several
boards at once give each its own. Without one, messages go where those of the loader object go:
to `esptool.logger.log`, unless it was connected with a listener.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from esptool import cmds_nand, ops
from esptool._version import __version__
from esptool.cmds_flash import (
    erase_flash,
    erase_region,
    read_flash,
    read_flash_sfdp,
    read_flash_status,
    verify_flash,
    write_flash,
    write_flash_status,
)
from esptool.cmds_image import elf2image, image_info, merge_bin
from esptool.cmds_nand import NAND_BLOCK_COUNT as NAND_BLOCK_COUNT
from esptool.cmds_nand import NAND_TOTAL_SIZE as NAND_TOTAL_SIZE
from esptool.cmds_nand import (
    dump_bbm,
    read_nand_spare,
    read_sdc_chip_info,
    verify_sdc_certificate,
    write_nand_spare,
)
from esptool.connecting import (
    connect_esp,
    connect_first_available,
    connect_with_retries,
    detect_chip,
)
from esptool.errors import FatalError as FatalError
from esptool.events import Message
from esptool.faces.options import listener_of, speaking_to
from esptool.loader import DEFAULT_CONNECT_ATTEMPTS as DEFAULT_CONNECT_ATTEMPTS
from esptool.loader import DEFAULT_OPEN_PORT_ATTEMPTS as DEFAULT_OPEN_PORT_ATTEMPTS
from esptool.loader import NAND_BLOCK_SIZE as NAND_BLOCK_SIZE
from esptool.loader import NAND_PAGES_PER_BLOCK as NAND_PAGES_PER_BLOCK
from esptool.loader import ESPLoader
from esptool.loader import StubFlasher as StubFlasher
from esptool.nearest import checks_keywords
from esptool.ops.flash_info import decode_flash_id, show_flash_id
from esptool.ops.planning import prepare_write as prepare_write
from esptool.render import to_log
from esptool.targets import CHIP_DEFS as CHIP_DEFS
from esptool.targets import CHIP_LIST as CHIP_LIST
from esptool.targets import ROM_LIST as ROM_LIST
from esptool.util import ImageSource, borrowed

if TYPE_CHECKING:
    from esptool.chips.spec import ChipSpec
    from esptool.events import Listener

__all__ = [
    "attach_flash",
    "chip_id",
    "connect_esp",
    "connect_first_available",
    "connect_with_retries",
    "detect_chip",
    "detect_flash_size",
    "dump_bbm",
    "dump_mem",
    "elf2image",
    "erase_flash",
    "erase_region",
    "flash_id",
    "get_security_info",
    "image_info",
    "load_ram",
    "merge_bin",
    "read_flash",
    "read_flash_sfdp",
    "read_flash_status",
    "read_mac",
    "read_mem",
    "read_nand_spare",
    "read_sdc_chip_info",
    "reset_chip",
    "run",
    "run_stub",
    "verify_flash",
    "verify_sdc_certificate",
    "version",
    "write_flash",
    "write_flash_status",
    "write_mem",
    "write_nand_spare",
]

#: Callers know these two by their old names.
_read_flash_nand_with_skip = cmds_nand.read
_write_flash_nand = cmds_nand.write


@checks_keywords()
def version(*, listener: Listener = to_log) -> None:
    """Print the version."""
    listener(Message(__version__))


# --- connection --------------------------------------------------------------------------------


@checks_keywords()
def run_stub(
    esp: ESPLoader,
    plugins: list[str] | None = None,
    *,
    baud: int | str | None = None,
    listener: Listener | None = None,
) -> ESPLoader:
    """Start the flasher stub, unless none can run on this chip.

    Args:
        plugins: names of plug-ins to load with it, where the stub has them.
        baud: the rate to go to, or "auto" for the best that the line bears; None stays.

    Returns:
        The object to go on with.

    Raises:
        FatalError: it did not start.
    """
    with speaking_to(esp, listener):
        # Programs replace this method of the loader object, which need not know of rates.
        more: dict[str, Any] = {} if baud is None else {"baud": baud}
        if not plugins:
            return esp.run_stub(**more)
        stub = StubFlasher(esp, plugins)  # which has all of them, or raises
        # Our own takes them when they are needed, while it runs.
        return esp.run_stub(**more) if stub.stub.ours else esp.run_stub(stub, **more)


@checks_keywords()
def reset_chip(
    esp: ESPLoader, reset_mode: str = "hard-reset", *, listener: Listener | None = None
) -> None:
    """Reset the chip: "hard-reset", "soft-reset", "no-reset", "no-reset-stub", "watchdog-reset"."""
    ops.reset_chip(esp.session, reset_mode, listener=listener_of(esp, listener))


@checks_keywords()
def attach_flash(
    esp: ESPLoader,
    spi_connection: tuple[int, int, int, int, int] | str | None = None,
    flash_type: str = "nor",
    *,
    listener: Listener | None = None,
) -> None:
    """Connect the SPI flash; needed once before flash is used.

    Args:
        spi_connection: None for the pins that the chip boots from, "SPI", "HSPI", or the GPIO
            numbers CLK, Q, D, HD, CS.
        flash_type: "nor" or "nand".

    Raises:
        FatalError: the chip cannot use these pins, or no flash answers.
    """
    if flash_type == "nand":
        cmds_nand.attach(esp, spi_connection, listener_of(esp, listener))
    else:
        ops.attach_flash(esp.session, spi_connection, listener=listener_of(esp, listener))


# --- who is there ------------------------------------------------------------------------------


@checks_keywords()
def chip_id(esp: ESPLoader, *, listener: Listener | None = None) -> None:
    """Print ESP8266's chip id, or the MAC address of any other chip."""
    ops.chip_id(esp.session, listener=listener_of(esp, listener))


@checks_keywords()
def read_mac(esp: ESPLoader, *, listener: Listener | None = None) -> None:
    """Print the MAC address."""
    ops.read_mac(esp.session, listener=listener_of(esp, listener))


@checks_keywords()
def get_security_info(esp: ESPLoader, *, listener: Listener | None = None) -> None:
    """Print what the chip says of its security.

    Raises:
        FatalError: the chip has no such request (ESP8266, ESP32).
    """
    ops.security_info(esp.session, listener=listener_of(esp, listener))


@checks_keywords()
def flash_id(esp: ESPLoader, *, listener: Listener | None = None) -> None:
    """Print manufacturer, device and size of the flash."""
    ops.show_flash_info(esp.session, listener=listener_of(esp, listener))


@checks_keywords()
def detect_flash_size(esp: ESPLoader) -> str | None:
    """Size word of the flash ("4MB"), None where its id is not known."""
    return ops.detect_flash_size(esp.session)


# --- memory ------------------------------------------------------------------------------------


@checks_keywords()
def load_ram(esp: ESPLoader, input: ImageSource, *, listener: Listener | None = None) -> None:
    """Send an image into RAM and run it.

    Raises:
        FatalError: no image, or it would overwrite the running stub.
    """
    ops.load_ram(esp.session, input, listener=listener_of(esp, listener))


@checks_keywords()
def run(esp: ESPLoader, *, listener: Listener | None = None) -> None:
    """Start the application in flash."""
    ops.run(esp.session, listener=listener_of(esp, listener))


@checks_keywords()
def read_mem(esp: ESPLoader, address: int, *, listener: Listener | None = None) -> None:
    """Print the word at `address`."""
    ops.read_mem(esp.session, address, listener=listener_of(esp, listener))


@checks_keywords()
def write_mem(
    esp: ESPLoader,
    address: int,
    value: int,
    mask: int = 0xFFFFFFFF,
    *,
    listener: Listener | None = None,
) -> None:
    """Write the bits of a word that `mask` names."""
    ops.write_mem(esp.session, address, value, mask, listener=listener_of(esp, listener))


@checks_keywords()
def dump_mem(
    esp: ESPLoader,
    address: int,
    size: int,
    output: str | None = None,
    *,
    listener: Listener | None = None,
) -> bytes | None:
    """Read `size` bytes of memory into a file, or return them."""
    return ops.dump_mem(esp.session, address, size, output, listener=listener_of(esp, listener))


# --- names that programs use though they are not documented --------------------------------------


def _update_image_flash_params(
    esp: ESPLoader,
    address: int,
    flash_freq: str,
    flash_mode: str,
    flash_size: str,
    image: bytes,
) -> bytes:
    """What a write would put in flash for a boot loader image at `address` (idftool)."""
    from esptool.image.app import patch_flash_params

    spec: ChipSpec = esp.SPEC or esp.session.spec
    return bytes(
        patch_flash_params(
            image, spec, flash_mode, flash_freq, flash_size, address=address, notify=to_log
        )
    )


def _get_flash_info(esp: ESPLoader, cache: bool = True) -> tuple[int, int, str | None]:
    """Manufacturer, device and size word of the flash (a device's command line, a flasher)."""
    found = decode_flash_id(esp.flash_id(cache))
    return found.manufacturer, found.device, found.size


def print_flash_id(esp: ESPLoader) -> None:
    """Print manufacturer, device and size of the flash alone (a display's installer)."""
    show_flash_id(esp.session, listener=listener_of(esp, None))


def get_port_names(**filters: Any) -> list[str]:
    """Names of this machine's serial ports (a display's installer)."""
    from esptool.connecting import get_port_list

    return get_port_list(**filters)


#: Names that programs import from here as well.
__getattr__ = borrowed(
    __name__,
    {
        **dict.fromkeys(
            (
                "ELFFile",
                "ESP32FirmwareImage",
                "ESP8266ROMFirmwareImage",
                "ESP8266V2FirmwareImage",
                "ESP8266V3FirmwareImage",
                "LoadFirmwareImage",
            ),
            "esptool.bin_image",
        ),
        **dict.fromkeys(
            (
                "NANDEraseFailed",
                "NANDProgramFailed",
                "NotImplementedInROMError",
                "NotSupportedError",
                "UnsupportedCommandError",
                "PrintOnce",
                "div_roundup",
                "expand_chip_name",
                "flash_size_bytes",
                "get_bytes",
                "get_key_from_value",
                "hexify",
                "pad_to",
                "sanitize_string",
            ),
            "esptool.util",
        ),
        **dict.fromkeys(
            (
                "DEFAULT_TIMEOUT",
                "ERASE_WRITE_TIMEOUT_PER_MB",
                "timeout_per_mb",
            ),
            "esptool.loader",
        ),
        "SerialException": "serial",
        "UF2Writer": "esptool.uf2_writer",
        "FLASH_MODES": "esptool.image.header",
        "DETECTED_FLASH_SIZES": "esptool.chips.nor:SIZES",
        "DETECTED_FLASH_SIZES_ADESTO": "esptool.chips.nor:ADESTO_SIZES",
    },
)
