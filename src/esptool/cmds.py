# SPDX-License-Identifier: Apache-2.0
"""The documented functions: one for every command, taking a loader object. Faces over `ops`.

Messages go to `log`; results come back. A source of data is a path, bytes, or an open binary file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from esptool import cmds_nand, ops
from esptool._version import __version__
from esptool.cmds_nand import NAND_BLOCK_COUNT
from esptool.cmds_nand import NAND_TOTAL_SIZE as NAND_TOTAL_SIZE
from esptool.connecting import (
    connect_esp,
    connect_first_available,
    connect_with_retries,
    detect_chip,
)
from esptool.errors import FatalError as FatalError
from esptool.errors import UsageError
from esptool.loader import DEFAULT_CONNECT_ATTEMPTS as DEFAULT_CONNECT_ATTEMPTS
from esptool.loader import DEFAULT_OPEN_PORT_ATTEMPTS as DEFAULT_OPEN_PORT_ATTEMPTS
from esptool.loader import NAND_BLOCK_SIZE as NAND_BLOCK_SIZE
from esptool.loader import NAND_PAGES_PER_BLOCK as NAND_PAGES_PER_BLOCK
from esptool.loader import ESPLoader
from esptool.loader import StubFlasher as StubFlasher
from esptool.logger import log
from esptool.ops.checks import refuse_insecure
from esptool.ops.security import SecurityState, security_state
from esptool.render import Renderer, to_log
from esptool.targets import CHIP_DEFS as CHIP_DEFS
from esptool.targets import CHIP_LIST as CHIP_LIST
from esptool.targets import ROM_LIST as ROM_LIST
from esptool.util import ImageSource, borrowed

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
SDC_CHIP_INFO_LEN = 32


# --- files alone -------------------------------------------------------------------------------


def elf2image(
    input: ImageSource,
    chip: str,
    output: str | None = None,
    flash_freq: str | None = None,
    flash_mode: str = "qio",
    flash_size: str = "1MB",
    **kwargs: Any,
) -> bytes | tuple[bytes | None, bytes] | None:
    """Make a firmware image of an ELF file; see the command for the options.

    Without `output` the image comes back (for ESP8266 version 1: its two parts).
    """
    from esptool import cmds_image

    return cmds_image.elf2image(input, chip, output, flash_freq, flash_mode, flash_size, **kwargs)


def image_info(input: Any, chip: str | None = None) -> None:
    """Tell what is in a firmware image."""
    from esptool import cmds_image

    cmds_image.image_info(input, chip)


def merge_bin(
    addr_data: list[tuple[int, ImageSource]],
    chip: str,
    output: str | None = None,
    flash_freq: str = "keep",
    flash_mode: str = "keep",
    flash_size: str = "keep",
    format: str = "raw",
    **kwargs: Any,
) -> bytes | None:
    """Join sources for several flash offsets into one file, or bytes without `output`."""
    from esptool import cmds_image

    return cmds_image.merge_bin(
        addr_data, chip, output, flash_freq, flash_mode, flash_size, format, **kwargs
    )


def version() -> None:
    """Print the version."""
    log.print(__version__)


# --- connection --------------------------------------------------------------------------------


def run_stub(esp: ESPLoader, plugins: list[str] | None = None) -> ESPLoader:
    """Start the flasher stub unless none can run; returns the object to go on with."""
    if plugins:
        return esp.run_stub(StubFlasher(esp, plugins))
    return esp.run_stub()


def reset_chip(esp: ESPLoader, reset_mode: str = "hard-reset") -> None:
    """Reset the chip: "hard-reset", "soft-reset", "no-reset", "no-reset-stub", "watchdog-reset"."""
    ops.reset_chip(esp.session, reset_mode, listener=to_log)


def attach_flash(
    esp: ESPLoader,
    spi_connection: tuple[int, int, int, int, int] | str | None = None,
    flash_type: str = "nor",
) -> None:
    """Connect the SPI flash, on other pins where `spi_connection` says so."""
    if flash_type == "nand":
        word, label = 0, "default"
        if spi_connection is not None:
            word, label = ops.connection_word(esp.session, spi_connection)
        log.print(f"Configuring SPI NAND flash mode ({label})...")
        esp.flash_spi_nand_attach(word)
        return
    ops.attach_flash(esp.session, spi_connection, listener=to_log)


# --- who is there ------------------------------------------------------------------------------


def chip_id(esp: ESPLoader) -> None:
    """Print ESP8266's chip id, or the MAC address of any other chip."""
    ops.chip_id(esp.session, listener=to_log)


def read_mac(esp: ESPLoader) -> None:
    """Print the MAC address."""
    ops.read_mac(esp.session, listener=to_log)


def get_security_info(esp: ESPLoader) -> None:
    """Print what the chip says of its security."""
    ops.security_info(esp.session, listener=to_log)


def flash_id(esp: ESPLoader) -> None:
    """Print manufacturer, device and size of the flash."""
    ops.show_flash_info(esp.session, listener=to_log)


def detect_flash_size(esp: ESPLoader) -> str | None:
    """Size word of the flash ("4MB"), None where its id is not known."""
    return ops.detect_flash_size(esp.session)


# --- memory ------------------------------------------------------------------------------------


def load_ram(esp: ESPLoader, input: ImageSource) -> None:
    """Send an image into RAM and run it."""
    ops.load_ram(esp.session, input, listener=to_log)


def run(esp: ESPLoader) -> None:
    """Start the application in flash."""
    ops.run(esp.session, listener=to_log)


def read_mem(esp: ESPLoader, address: int) -> None:
    """Print the word at `address`."""
    ops.read_mem(esp.session, address, listener=to_log)


def write_mem(esp: ESPLoader, address: int, value: int, mask: int = 0xFFFFFFFF) -> None:
    """Write a word."""
    ops.write_mem(esp.session, address, value, mask, listener=to_log)


def dump_mem(esp: ESPLoader, address: int, size: int, output: str | None = None) -> bytes | None:
    """Read memory into a file, or return it."""
    return ops.dump_mem(esp.session, address, size, output, listener=to_log)


# --- flash -------------------------------------------------------------------------------------


def read_flash(
    esp: ESPLoader,
    address: int,
    size: int,
    output: str | None = None,
    flash_size: str = "keep",
    no_progress: bool = False,
    flash_type: str = "nor",
    nand_end_address: int | None = None,
) -> bytes | None:
    """Read flash into a file, or return it."""
    if flash_type == "nand":
        return cmds_nand.read_flash(esp, address, size, output, no_progress, nand_end_address)
    return ops.read_flash(
        esp.session,
        address,
        size,
        output,
        flash_size=flash_size,
        listener=Renderer(progress=not no_progress),
    )


def erase_flash(esp: ESPLoader, force: bool = False, flash_type: str = "nor") -> None:
    """Erase all of the flash."""
    if flash_type == "nand":
        cmds_nand.erase(esp, 0, NAND_TOTAL_SIZE)
        return
    ops.erase_flash(esp.session, force=force, listener=to_log)


def erase_region(
    esp: ESPLoader, address: int, size: int, force: bool = False, flash_type: str = "nor"
) -> None:
    """Erase whole sectors."""
    if flash_type == "nand":
        cmds_nand.erase(esp, address, size)
        return
    ops.erase_region(esp.session, address, size, force=force, listener=to_log)


def verify_flash(
    esp: ESPLoader,
    addr_data: list[tuple[int, ImageSource]],
    flash_freq: str = "keep",
    flash_mode: str = "keep",
    flash_size: str = "keep",
    diff: bool = False,
    flash_type: str = "nor",
) -> None:
    """Compare flash with the sources.

    Raises:
        FatalError: it differs.
    """
    if flash_type == "nand":
        cmds_nand.verify_flash(esp, addr_data, diff)
        return
    params = ops.FlashParams(flash_size, flash_mode, flash_freq)
    regions = ops.load_regions(_rewound(addr_data))
    ops.verify_flash(esp.session, regions, params, diff=diff, listener=to_log)


def write_flash(
    esp: ESPLoader,
    addr_data: list[tuple[int, ImageSource]],
    flash_freq: str = "keep",
    flash_mode: str = "keep",
    flash_size: str = "keep",
    flash_type: str = "nor",
    **kwargs: Any,
) -> None:
    """Write sources to flash and verify them.

    Keyword options, all off by default: `erase_all`, `encrypt`, `encrypt_files` (pairs as
    `addr_data`), `ignore_flash_enc_efuse`, `force`, `skip_flashed`, `compress`, `no_compress`,
    `no_progress`, `diff_with` (a list of sources, None or "skip"), `trust_flash_content` (also
    as `no_diff_verify`), `preserve`, `delta`, `retries`.

    Raises:
        FatalError: refused, or failed; the text names what.
    """
    if flash_type == "nand":
        cmds_nand.write(
            esp, addr_data, kwargs.get("nand_end_address"), bool(kwargs.get("no_progress"))
        )
        return
    progress = not kwargs.get("no_progress")
    regions, options = prepare_write(
        addr_data, ops.FlashParams(flash_size, flash_mode, flash_freq), kwargs
    )
    state = _security_of(esp)
    refuse_insecure(regions, options, state)
    ops.write_flash(
        esp.session, regions, options, security=state, listener=Renderer(progress=progress)
    )


def _security_of(esp: ESPLoader) -> SecurityState:
    """What the loader object says of the chip's security; a subclass may know better."""
    if esp.secure_download_mode:
        return security_state(esp.session)
    encryption = bool(esp.get_flash_encryption_enabled())
    return SecurityState(
        secure_boot=bool(esp.get_secure_boot_enabled()),
        secure_boot_v1=bool(esp.get_secure_boot_v1_enabled()),
        flash_encryption=encryption,
        encrypt_disabled=encryption and bool(esp.get_encrypted_download_disabled()),
        key_manager=encryption and bool(esp.uses_key_manager_for_flash_encryption()),
    )


def prepare_write(
    addr_data: Sequence[tuple[int, ImageSource]], params: ops.FlashParams, kwargs: dict[str, Any]
) -> tuple[list[ops.Region], ops.WriteOptions]:
    """Regions and options for `ops.write_flash` from the keyword options of `write_flash`.

    Raises:
        UsageError: options that exclude each other.
    """
    compress = kwargs.get("compress") or None
    if kwargs.get("no_compress"):
        if compress:
            raise UsageError("Options compress and no_compress exclude each other.")
        compress = False
    trust = bool(kwargs.get("trust_flash_content") or kwargs.get("no_diff_verify"))
    encrypted = kwargs.get("encrypt_files") or []
    if encrypted and kwargs.get("encrypt"):
        raise UsageError("Options --encrypt and --encrypt-files cannot be used at the same time.")
    diff_with = list(kwargs.get("diff_with") or [])
    if trust and not diff_with:
        raise UsageError("Option --trust-flash-content requires --diff-with.")
    if len(diff_with) > len(addr_data):
        raise UsageError(
            f"--diff-with names {len(diff_with)} files, but only {len(addr_data)} are written."
        )
    regions: list[ops.Region] = []
    former: list[bytes | None] = []
    pairs = [(pair, False) for pair in addr_data] + [(pair, True) for pair in encrypted]
    for i, (pair, encrypt) in enumerate(pairs):
        loaded = ops.load_regions(_rewound([pair]), encrypted=encrypt)
        regions += loaded
        old = diff_with[i] if i < len(diff_with) else None
        former += _former_content(loaded, pair[0], old)
    options = ops.WriteOptions(
        params=params,
        compress=compress,
        erase_all=bool(kwargs.get("erase_all")),
        encrypt=bool(kwargs.get("encrypt")),
        ignore_flash_enc_efuse=bool(kwargs.get("ignore_flash_enc_efuse")),
        force=bool(kwargs.get("force")),
        skip_flashed=bool(kwargs.get("skip_flashed")),
        diff_with=tuple(former) if diff_with else (),
        trust_flash_content=trust,
        delta=bool(kwargs.get("delta", True)),
        preserve=bool(kwargs.get("preserve")),
        retries=kwargs.get("retries"),
    )
    return regions, options


def _former_content(
    regions: Sequence[ops.Region], address: int, old: ImageSource | None
) -> list[bytes | None]:
    """What the old source says stood in flash, for each region of the new one."""
    if old is None or old == "skip":
        return [None] * len(regions)
    pieces = ops.load_regions(_rewound([(address, old)]))
    result: list[bytes | None] = []
    for region in regions:
        start = min((p.address for p in pieces), default=region.address)
        if len(regions) == len(pieces) == 1 or start <= region.address:
            result.append(_cut(pieces, region))
        else:
            result.append(None)
    return result


def _cut(pieces: Sequence[ops.Region], region: ops.Region) -> bytes | None:
    """The bytes of the pieces from the region's start on, erased bytes in between."""
    inside = [p for p in pieces if p.end > region.address and p.address < region.end]
    if not inside:
        return None
    end = min(max(p.end for p in inside), region.end)
    former = bytearray(b"\xff" * (end - region.address))
    for piece in inside:
        data = piece.data[max(0, region.address - piece.address) : end - piece.address]
        at = max(0, piece.address - region.address)
        former[at : at + len(data)] = data
    return bytes(former)


def _rewound(
    addr_data: Sequence[tuple[int, ImageSource]],
) -> list[tuple[int, ImageSource]]:
    """The pairs, with open files at their beginning: one file may be named twice."""
    for _address, source in addr_data:
        seek = getattr(source, "seek", None)
        if seek is not None:
            seek(0)
    return list(addr_data)


def read_flash_status(esp: ESPLoader, bytes: int = 2) -> None:
    """Print the flash's status registers."""
    ops.read_status(esp.session, bytes, listener=to_log)


def write_flash_status(
    esp: ESPLoader, value: int, bytes: int = 2, non_volatile: bool = False
) -> None:
    """Write the flash's status registers."""
    ops.write_status(esp.session, value, bytes, non_volatile, listener=to_log)


def read_flash_sfdp(esp: ESPLoader, address: int, bytes: int = 1) -> None:
    """Print bytes of the flash's SFDP tables."""
    ops.read_sfdp(esp.session, address, bytes, listener=to_log)


# --- NAND flash ----------------------------------------------------------------------------------


def read_nand_spare(esp: ESPLoader, page_number: int) -> None:
    """Print the spare area's first word of a NAND page, with the bad-block mark."""
    cmds_nand.read_spare(esp, page_number)


def write_nand_spare(esp: ESPLoader, page_number: int, is_bad: int) -> None:
    """Mark the block of a NAND page bad (1) or good (0)."""
    cmds_nand.write_spare(esp, page_number, is_bad)


def dump_bbm(esp: ESPLoader, output: str, block_count: int = NAND_BLOCK_COUNT) -> None:
    """Write a file with a byte for every NAND block: 0 good, 1 bad."""
    cmds_nand.dump_bbm(esp, output, block_count)


# --- secure debug certificates -------------------------------------------------------------------


def verify_sdc_certificate(esp: ESPLoader, certificate: ImageSource) -> None:
    """Have the chip judge a Secure Debug Certificate.

    Raises:
        FatalError: it is refused.
    """
    data, name = ops.load_source(certificate)
    log.print(f"Verifying SDC certificate{f' {name!r}' if name else ''} ({len(data)} bytes)...")
    esp.sdc_verify_begin(1, len(data))
    esp.sdc_verify_data(data)
    esp.sdc_verify_end()
    log.print("SDC certificate verified successfully.")


def read_sdc_chip_info(esp: ESPLoader, output: str = "chip_info.bin") -> None:
    """Have the chip make its 32 bytes of chip info for a new nonce; writes info and nonce.

    Raises:
        FatalError: the chip did not send them.
    """
    import os

    from esptool.files import write_atomic

    esp.sdc_gen_begin()
    nonce = os.urandom(SDC_CHIP_INFO_LEN)
    esp.sdc_gen_data(nonce)
    info = esp.sdc_gen_end()
    if not isinstance(info, bytes) or len(info) != SDC_CHIP_INFO_LEN:
        size = len(info) if isinstance(info, bytes) else 0
        raise FatalError(f"The chip sent {size} bytes of chip info, not {SDC_CHIP_INFO_LEN}.")
    write_atomic(output, info + nonce)
    log.print(f"SDC chip info written to '{output}'.")


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
        "UF2Writer": "esptool.uf2_writer",
        "FLASH_MODES": "esptool.image.header",
        "DETECTED_FLASH_SIZES": "esptool.ops.flash_info:SIZES",
        "DETECTED_FLASH_SIZES_ADESTO": "esptool.ops.flash_info:ADESTO_SIZES",
    },
)
