# SPDX-License-Identifier: Apache-2.0
"""The documented functions on flash. Faces over `ops`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from esptool import cmds_nand, ops
from esptool.errors import UsageError
from esptool.faces.keywords import WriteKeywords
from esptool.faces.options import listener_of
from esptool.nearest import checks_keywords
from esptool.ops import planning
from esptool.ops.security import SecurityState, security_state
from esptool.render import without_progress
from esptool.util import ImageSource

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from esptool.events import Listener
    from esptool.loader import ESPLoader
    from esptool.ops.addresses import Names


@checks_keywords()
def read_flash(
    esp: ESPLoader,
    address: int | str,
    size: int | None,
    output: str | None = None,
    flash_size: str = "keep",
    no_progress: bool = False,
    flash_type: str = "nor",
    nand_end_address: int | None = None,
    *,
    listener: Listener | None = None,
    partition_table_offset: int | None = None,
    partition_table: str | None = None,
) -> bytes | None:
    """Read flash into a file, or return it.

    Args:
        address: flash offset, or the name of a partition such as "nvs" or "log[-0x1000:]".
        size: bytes; -1 is all that follows. None and -1 are all that a name stands for.
        output: file name; it appears only when all has been read.
        flash_size: size of the flash, "detect", or "keep".
        no_progress: leave out the bar.
        flash_type: "nor" or "nand".
        nand_end_address: NAND: where to stop looking for good blocks.
        listener: told what goes on.
        partition_table_offset: where the table is, for names; None looks for it.
        partition_table: a file with the table, in place of the one in flash.

    Raises:
        FatalError: the range is not within the flash, there is no such partition, or the chip was
            lost.
    """
    tell = _quiet(esp, listener, no_progress)
    address, size = _range(
        *(esp, address, size, flash_type, partition_table_offset, partition_table, tell)
    )
    if flash_type == "nand":
        return cmds_nand.jobs(esp, tell).read_flash(address, size, output, nand_end_address)
    return ops.read_flash(esp.session, address, size, output, flash_size=flash_size, listener=tell)


def _range(
    esp: ESPLoader,
    address: int | str,
    size: int | None,
    flash_type: str,
    table_offset: int | None,
    table: str | None,
    listener: Listener,
    changes: bool = False,
) -> tuple[int, int]:
    """Offset and size of a range, whose address may be a name."""
    if isinstance(address, int) and size is not None:
        return address, size
    _refuse_nand_names(flash_type)
    from esptool.ops.addresses import span_of
    from esptool.ops.places import TableSource

    source = TableSource(table_offset, table)
    return span_of(esp.session, address, size, source, changes=changes, listener=listener)


def _refuse_nand_names(flash_type: str) -> None:
    if flash_type == "nand":
        raise UsageError("Partitions have names in NOR flash only.", remedy="Give the address.")


def _quiet(esp: ESPLoader, listener: Listener | None, no_progress: bool) -> Listener:
    tell = listener_of(esp, listener)
    return without_progress(tell) if no_progress else tell


@checks_keywords()
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
        cmds_nand.jobs(esp, listener_of(esp, listener)).erase(0, -1, force=force)
        return
    ops.erase_flash(esp.session, force=force, listener=listener_of(esp, listener))


@checks_keywords()
def erase_region(
    esp: ESPLoader,
    address: int | str,
    size: int | None,
    force: bool = False,
    flash_type: str = "nor",
    *,
    listener: Listener | None = None,
    partition_table_offset: int | None = None,
    partition_table: str | None = None,
) -> None:
    """Erase whole sectors.

    Args:
        address: flash offset, or the name of a partition.
        size: bytes; -1 is all that follows. None and -1 are all that a name stands for.
        force: also where secure boot or flash encryption is active.
        flash_type: "nor" or "nand".
        listener: told what goes on.
        partition_table_offset: where the table is, for names; None looks for it.
        partition_table: a file with the table, in place of the one in flash.

    Raises:
        FatalError: `address` or `size` is not a multiple of the sector, the range is not within the
            flash, the chip's security forbids it and `force` is off, or it failed.
    """
    tell = listener_of(esp, listener)
    address, size = _range(
        *(esp, address, size, flash_type, partition_table_offset, partition_table, tell, True)
    )
    if flash_type == "nand":
        cmds_nand.jobs(esp, tell).erase(address, size, force=force)
        return
    ops.erase_region(esp.session, address, size, force=force, listener=tell)


@checks_keywords()
def verify_flash(
    esp: ESPLoader,
    addr_data: Sequence[tuple[int | str, ImageSource]],
    flash_freq: str = "keep",
    flash_mode: str = "keep",
    flash_size: str = "keep",
    diff: bool = False,
    flash_type: str = "nor",
    *,
    listener: Listener | None = None,
    partition_table_offset: int | None = None,
    partition_table: str | None = None,
) -> None:
    """Compare flash with the sources.

    Args:
        addr_data: pairs of flash offset, or name of a partition, and source.
        flash_freq: what was put into the boot loader's header when it was written, or "keep".
        flash_mode: likewise.
        flash_size: likewise.
        diff: tell which bytes differ.
        flash_type: "nor" or "nand".
        listener: told what goes on.
        partition_table_offset: where the table is, for names; None looks for it.
        partition_table: a file with the table, in place of the one in flash.

    Raises:
        FatalError: it differs.
    """
    tell = listener_of(esp, listener)
    names = _names(
        *(esp, flash_type, partition_table_offset, partition_table, tell, addr_data), changes=False
    )
    if flash_type == "nand":
        cmds_nand.jobs(esp, tell).verify(_numbers(addr_data), diff=diff)
        return
    params = ops.FlashParams(flash_size, flash_mode, flash_freq)
    regions = [r for pair in addr_data for r in planning.load_named(pair, names)[1]]
    ops.verify_flash(esp.session, regions, params, diff=diff, listener=tell)


def _names(
    esp: ESPLoader,
    flash_type: str,
    table_offset: int | None,
    table: str | None,
    listener: Listener,
    *pairs: Sequence[tuple[int | str, ImageSource]],
    changes: bool = True,
) -> Names | None:
    """What makes offsets of names; None where there are only numbers."""
    if all(isinstance(address, int) for some in pairs for address, _source in some):
        return None
    _refuse_nand_names(flash_type)
    from esptool.ops.addresses import names_on
    from esptool.ops.places import TableSource

    source = TableSource(table_offset, table)
    written = [pair for some in pairs for pair in some]
    return names_on(esp.session, written, source, changes=changes, listener=listener)


def _numbers(pairs: Sequence[tuple[int | str, ImageSource]]) -> list[tuple[int, ImageSource]]:
    return [(address, source) for address, source in pairs if isinstance(address, int)]


@checks_keywords(WriteKeywords)
def write_flash(
    esp: ESPLoader,
    addr_data: Sequence[tuple[int | str, ImageSource]],
    flash_freq: str = "keep",
    flash_mode: str = "keep",
    flash_size: str = "keep",
    flash_type: str = "nor",
    *,
    listener: Listener | None = None,
    **kwargs: Unpack[WriteKeywords],
) -> None:
    """Write sources to flash and verify them.

    Args:
        addr_data: pairs of flash offset and source. The name of a partition, with or without a
            slice, may stand for an offset; the source must fit it then. A partition table that
            is written by the same call counts before the one in flash.
        flash_freq: frequency for the boot loader's header, or "keep".
        flash_mode: mode for it, or "keep".
        flash_size: size for it, "detect", or "keep".
        flash_type: "nor" or "nand".
        listener: told what goes on.
        kwargs: all off by default: `erase_all`, `encrypt`, `encrypt_files` (pairs as
            `addr_data`), `ignore_flash_enc_efuse`, `force`, `skip_flashed`, `compress`,
            `no_compress`, `no_progress`, `diff_with` (a list of sources, None or "skip"),
            `trust_flash_content` (also as `no_diff_verify`), `preserve`, `retries`,
            `nand_end_address`, `partition_table_offset`, `partition_table` (a file); and `delta`,
            which is on.

    Raises:
        FatalError: refused, or failed; the text names what. A keyword that is none of these is
            refused, too.
    """
    tell = listener_of(esp, listener)
    if kwargs.get("no_progress"):
        tell = without_progress(tell)
    names = _names(
        *(esp, flash_type, kwargs.get("partition_table_offset"), kwargs.get("partition_table")),
        *(tell, addr_data, kwargs.get("encrypt_files") or ()),
    )
    if flash_type == "nand":
        planning.refuse_for_nand(kwargs)
        cmds_nand.jobs(esp, tell).write(_numbers(addr_data), kwargs.get("nand_end_address"))
        return
    params = ops.FlashParams(flash_size, flash_mode, flash_freq)
    regions, wanted = planning.prepare_write(addr_data, params, kwargs, names)
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


@checks_keywords()
def read_flash_status(esp: ESPLoader, bytes: int = 2, *, listener: Listener | None = None) -> None:
    """Print the flash's status registers, `bytes` (1 to 3) of them."""
    ops.read_status(esp.session, bytes, listener=listener_of(esp, listener))


@checks_keywords()
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


@checks_keywords()
def read_flash_sfdp(
    esp: ESPLoader, address: int, bytes: int = 1, *, listener: Listener | None = None
) -> None:
    """Print bytes of the flash's SFDP tables."""
    ops.read_sfdp(esp.session, address, bytes, listener=listener_of(esp, listener))
