# SPDX-License-Identifier: Apache-2.0
"""The documented functions on flash. Faces over `ops`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from esptool import cmds_nand, ops
from esptool.faces.options import checked, listener_of
from esptool.ops import planning
from esptool.ops.security import SecurityState, security_state
from esptool.render import without_progress
from esptool.util import ImageSource

if TYPE_CHECKING:
    from esptool.events import Listener
    from esptool.loader import ESPLoader


def read_flash(
    esp: ESPLoader,
    address: int,
    size: int,
    output: str | None = None,
    flash_size: str = "keep",
    no_progress: bool = False,
    flash_type: str = "nor",
    nand_end_address: int | None = None,
    *,
    listener: Listener | None = None,
) -> bytes | None:
    """Read flash into a file, or return it.

    Args:
        address: flash offset.
        size: bytes; -1 is all that follows.
        output: file name; it appears only when all has been read.
        flash_size: size of the flash, "detect", or "keep".
        no_progress: leave out the bar.
        flash_type: "nor" or "nand".
        nand_end_address: NAND: where to stop looking for good blocks.

    Raises:
        FatalError: the range is not within the flash, or the chip was lost.
    """
    tell = _quiet(esp, listener, no_progress)
    if flash_type == "nand":
        return cmds_nand.jobs(esp, tell).read_flash(address, size, output, nand_end_address)
    return ops.read_flash(esp.session, address, size, output, flash_size=flash_size, listener=tell)


def _quiet(esp: ESPLoader, listener: Listener | None, no_progress: bool) -> Listener:
    tell = listener_of(esp, listener)
    return without_progress(tell) if no_progress else tell


def erase_flash(
    esp: ESPLoader,
    force: bool = False,
    flash_type: str = "nor",
    *,
    listener: Listener | None = None,
) -> None:
    """Erase all of the flash.

    Raises:
        FatalError: the chip's security forbids it and `force` is off, or it failed.
    """
    if flash_type == "nand":
        cmds_nand.jobs(esp, listener_of(esp, listener)).erase(0, cmds_nand.NAND_TOTAL_SIZE)
        return
    ops.erase_flash(esp.session, force=force, listener=listener_of(esp, listener))


def erase_region(
    esp: ESPLoader,
    address: int,
    size: int,
    force: bool = False,
    flash_type: str = "nor",
    *,
    listener: Listener | None = None,
) -> None:
    """Erase whole sectors.

    Raises:
        FatalError: `address` or `size` is no multiple of the sector, the range is not within the
            flash, the chip's security forbids it and `force` is off, or it failed.
    """
    if flash_type == "nand":
        cmds_nand.jobs(esp, listener_of(esp, listener)).erase(address, size)
        return
    ops.erase_region(esp.session, address, size, force=force, listener=listener_of(esp, listener))


def verify_flash(
    esp: ESPLoader,
    addr_data: list[tuple[int, ImageSource]],
    flash_freq: str = "keep",
    flash_mode: str = "keep",
    flash_size: str = "keep",
    diff: bool = False,
    flash_type: str = "nor",
    *,
    listener: Listener | None = None,
) -> None:
    """Compare flash with the sources.

    Args:
        addr_data: pairs of flash offset and source.
        flash_freq: what was put into the boot loader's header when it was written, or "keep".
        flash_mode: likewise.
        flash_size: likewise.
        diff: tell which bytes differ.
        flash_type: "nor" or "nand".

    Raises:
        FatalError: it differs.
    """
    if flash_type == "nand":
        cmds_nand.jobs(esp, listener_of(esp, listener)).verify(addr_data, diff=diff)
        return
    params = ops.FlashParams(flash_size, flash_mode, flash_freq)
    regions = ops.load_regions(planning.rewound(addr_data))
    ops.verify_flash(esp.session, regions, params, diff=diff, listener=listener_of(esp, listener))


def write_flash(
    esp: ESPLoader,
    addr_data: list[tuple[int, ImageSource]],
    flash_freq: str = "keep",
    flash_mode: str = "keep",
    flash_size: str = "keep",
    flash_type: str = "nor",
    *,
    listener: Listener | None = None,
    **kwargs: Any,
) -> None:
    """Write sources to flash and verify them.

    Args:
        addr_data: pairs of flash offset and source.
        flash_freq: frequency for the boot loader's header, or "keep".
        flash_mode: mode for it, or "keep".
        flash_size: size for it, "detect", or "keep".
        flash_type: "nor" or "nand".
        listener: told what goes on.
        kwargs: all off by default: `erase_all`, `encrypt`, `encrypt_files` (pairs as
            `addr_data`), `ignore_flash_enc_efuse`, `force`, `skip_flashed`, `compress`,
            `no_compress`, `no_progress`, `diff_with` (a list of sources, None or "skip"),
            `trust_flash_content` (also as `no_diff_verify`), `preserve`, `retries`,
            `nand_end_address`; and `delta`, which is on.

    Raises:
        FatalError: refused, or failed; the text names what. A keyword that is none of these is
            refused, too.
    """
    tell = listener_of(esp, listener)
    options = checked("write_flash", kwargs, planning.OPTIONS, tell)
    if options.get("no_progress"):
        tell = without_progress(tell)
    if flash_type == "nand":
        cmds_nand.jobs(esp, tell).write(addr_data, options.get("nand_end_address"))
        return
    params = ops.FlashParams(flash_size, flash_mode, flash_freq)
    regions, wanted = planning.prepare_write(addr_data, params, options)
    ops.write_flash(esp.session, regions, wanted, security=_security_of(esp), listener=tell)


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


def read_flash_status(esp: ESPLoader, bytes: int = 2, *, listener: Listener | None = None) -> None:
    """Print the flash's status registers, `bytes` (1 to 3) of them."""
    ops.read_status(esp.session, bytes, listener=listener_of(esp, listener))


def write_flash_status(
    esp: ESPLoader,
    value: int,
    bytes: int = 2,
    non_volatile: bool = False,
    *,
    listener: Listener | None = None,
) -> None:
    """Write the flash's status registers, for good with `non_volatile`."""
    ops.write_status(esp.session, value, bytes, non_volatile, listener=listener_of(esp, listener))


def read_flash_sfdp(
    esp: ESPLoader, address: int, bytes: int = 1, *, listener: Listener | None = None
) -> None:
    """Print bytes of the flash's SFDP tables."""
    ops.read_sfdp(esp.session, address, bytes, listener=listener_of(esp, listener))
