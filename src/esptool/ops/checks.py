# SPDX-License-Identifier: Apache-2.0
"""Everything that stops a write before a byte of flash has changed, and what is only remarked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from esptool.chips.nor import SECTOR
from esptool.errors import (
    ImageError,
    NotSupportedError,
    SecureModeError,
    UnsupportedCommandError,
    UsageError,
)
from esptool.image import app
from esptool.image.info import examine
from esptool.ops.apps import unfit_signatures
from esptool.ops.bounds import Limit, require_inside
from esptool.ops.model import Region, WriteOptions
from esptool.ops.security import SecurityState
from esptool.transfer.report import Report

if TYPE_CHECKING:
    from esptool.device import Session

#: Below this ESP32's first secure boot keeps its boot loader and the digest of it.
SECURE_BOOT_V1_END = 0x8000
#: Below this the key manager keeps what it needs to make its keys again.
KEY_MANAGER_END = 0x2000
FULL_CRYPT_CONFIG = 0xF
_RISK = "Use --force to write anyway; the chip may never boot again."


def refuse_lost_neighbours(
    session: Session, regions: Sequence[Region], options: WriteOptions
) -> None:
    """See that `preserve` can be kept to wherever a sector is covered only in part.

    Raises:
        UsageError: the rest of the sector could not be put back.
    """
    if not options.preserve:
        return
    if options.erase_all:
        raise UsageError("Nothing can be preserved where the whole flash is erased first.")
    partly = [r for r in regions if r.data and (r.address % SECTOR or r.end % SECTOR)]
    for region in partly:
        if options.encrypt or region.encrypted:
            raise UsageError(
                f"{region.title} at {region.address:#x} is encrypted by the chip and covers a "
                "sector only in part: the rest of it cannot be preserved.",
                remedy="Write whole sectors, or leave out --preserve.",
            )
    if partly:
        require_flash_ops(session, "--preserve")
        if session.secure_download:
            raise SecureModeError("Flash cannot be read in secure download mode: no --preserve.")


def refuse_insecure(regions: Sequence[Region], options: WriteOptions, state: SecurityState) -> None:
    """Protect what a secured chip needs to boot; `options.force` skips this.

    Raises:
        SecureModeError: a region goes where it could lock the chip up.
    """
    if options.force:
        return
    plain = [r for r in regions if not (options.encrypt or r.encrypted)]
    if state.flash_encryption and state.encrypt_disabled and plain and not state.secure_download:
        raise SecureModeError(
            "Detected flash encryption enabled and download manual encrypt disabled: the chip "
            "would take plain data for encrypted data, and could not boot any more.",
            remedy="Encrypt the data on this computer first, then use --force.",
        )
    lowest = min((r.address for r in regions), default=None)
    if lowest is None:
        return
    if state.secure_boot_v1 and lowest < SECURE_BOOT_V1_END:
        raise SecureModeError(
            "Secure Boot V1 detected, writing to flash regions "
            f"< {SECURE_BOOT_V1_END:#x} is disabled to protect the bootloader.",
            remedy=_RISK,
        )
    if state.key_manager and lowest < KEY_MANAGER_END:
        raise SecureModeError(
            "Flash encryption with Key Manager detected, writing to flash region "
            f"0x0-{KEY_MANAGER_END:#x} is disabled to protect key recovery info.",
            remedy=_RISK,
        )


def refuse_encryption(
    session: Session, regions: Sequence[Region], options: WriteOptions, report: Report
) -> None:
    """See that the chip can encrypt what it is asked to, and has a key for it.

    Raises:
        NotSupportedError: chip or loader cannot write encrypted.
        SecureModeError: forbidden by eFuse, no key, or an address off the cipher's blocks.
    """
    wanted = [r for r in regions if options.encrypt or r.encrypted]
    if not wanted:
        return
    spec = session.spec
    if spec.security.crypt_cnt is None:
        raise NotSupportedError(f"{spec.name} does not support encrypted flashing.")
    if not session.is_stub and not spec.rom.ext_flash_begin:
        raise NotSupportedError(
            f"{spec.name} ROM bootloader does not support encrypted writes.",
            remedy="Leave out --no-stub: the flasher stub can.",
        )
    if session.secure_download:
        return
    if session.facts.manual_encryption_disabled:
        raise SecureModeError(
            "This chip has encrypt functionality in UART download mode disabled: "
            "flash encryption is configured for production, not for development.",
            remedy="Encrypt the data on this computer first, then write with --force.",
        )
    problems = False
    config = session.facts.crypt_config
    if config is not None and config != FULL_CRYPT_CONFIG:
        report.line(f"Unexpected FLASH_CRYPT_CONFIG value: {config:#x}")
        problems = True
    if not session.facts.encryption_key_valid:
        report.line("Flash encryption key is not programmed.")
        problems = True
    align = spec.flash.encrypted_write_align
    for region in wanted:
        if region.address % align:
            report.warning(
                f"{region.title} (address {region.address:#x}) is not {align} byte aligned, "
                "can't flash encrypted."
            )
            problems = True
    if problems and not options.ignore_flash_enc_efuse:
        raise SecureModeError(
            "Can't perform encrypted flash write: see the remarks above.",
            remedy="Burn key and configuration first (espefuse), "
            "or use --ignore-flash-enc-efuse if you know better.",
        )


def judge_images(
    session: Session,
    regions: Sequence[Region],
    options: WriteOptions,
    state: SecurityState,
    report: Report,
) -> None:
    """Compare chip, revision and signatures of images with the connected chip.

    A wrong boot loader is refused; elsewhere the image may be data of another kind, or meant for
    another processor on the board, so there is only a note.

    Raises:
        ImageError: the boot loader is for another chip or revision, or the ROM would reject it.
    """
    spec = session.spec
    if options.force or session.secure_download or not spec.image.extended_header:
        return
    for region in regions:
        reason = _unfit(session, region, state)
        if reason is None:
            continue
        if region.address == spec.flash.bootloader_offset:
            raise ImageError(f"{reason}. Use --force to flash anyway.")
        report.note(reason)


def _unfit(session: Session, region: Region, state: SecurityState) -> str | None:
    """Why the image in a region does not suit the chip; None also where there is no image."""
    try:
        program = app.load_for_ram(region.data, session.spec)
    except ImageError:
        return None
    if program.extended is None:
        return None
    reason = app.incompatibility(
        program.extended, session.spec, session.facts.revision, region.name
    )
    return reason or _unsigned(session, region, state)


def _unsigned(session: Session, region: Region, state: SecurityState) -> str | None:
    """Why secure boot would reject the image in a region."""
    if state.boot_keys is None:
        return None
    info = examine(bytes(region.data), session.spec, region.name)
    what = f"'{region.name}'" if region.name else f"The image at {region.address:#x}"
    if not info.signatures:
        return f"{what} is not signed, and secure boot is on: the chip would reject it"
    reason = unfit_signatures(info.signatures, state.boot_keys)
    return None if reason is None else f"{what}: {reason}"


def refuse_past_end(session: Session, regions: Sequence[Region], limit: Limit) -> None:
    """Nothing is sent when a region does not fit the flash.

    Raises:
        UsageError: names the region, its place and the size of the flash.
    """
    for region in regions:
        if limit.size is not None and region.end > limit.size:
            what = f"File '{region.name}'" if region.name else "Input image"
            raise UsageError(
                f"{what} (length {len(region.data)}) at offset {region.address:#010x} "
                f"will not fit in {limit.size} bytes of flash. "
                "Change the flash_size argument or flashing address.",
                operands={
                    "address": region.address,
                    "size": len(region.data),
                    "flash_size": limit.size,
                    **({"file": region.name} if region.name else {}),
                },
            )
        require_inside(session, region.address, len(region.data), limit)


def without_impossible(
    session: Session, options: WriteOptions, encrypted: bool, report: Report
) -> tuple[bool, bool]:
    """Whether content already in flash can be skipped, and whether old files can help.

    Both need a hash made on the chip. Where one was asked for in vain there is a note.
    """
    hindrance = None
    if session.secure_download:
        hindrance = "enabled secure download mode"
    elif not session.is_stub and not session.spec.rom.flash_ops:
        hindrance = f"{session.spec.name} in ROM bootloader"
    elif options.erase_all:
        hindrance = "enabled erase-all"
    elif encrypted:
        hindrance = "enabled encryption"
    if hindrance is None:
        return options.skip_flashed, bool(options.diff_with)
    if options.skip_flashed:
        report.note(
            "Skipping flashing of already flashed content is not supported with "
            f"{hindrance}. Will flash all data."
        )
    if options.diff_with:
        report.note(
            "Fast reflashing of changed data sectors is not supported with "
            f"{hindrance}. Will flash all data."
        )
    return False, False


def can_verify(session: Session) -> bool:
    """The other side can hash flash."""
    if session.secure_download:
        return False
    return session.is_stub or session.spec.rom.flash_ops


def require_flash_ops(session: Session, what: str) -> None:
    """Refuse what a ROM without flash commands cannot do.

    Raises:
        UnsupportedCommandError: only a stub can.
    """
    if not session.is_stub and not session.spec.rom.flash_ops:
        raise UnsupportedCommandError(
            f"{session.spec.name} ROM does not support function {what}.",
            remedy="Leave out --no-stub.",
        )
