# SPDX-License-Identifier: Apache-2.0
"""What the chip's security settings are: the report for a person, and the state that decides
whether an operation may go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from esptool.events import Listener
from esptool.ops.model import SecurityReport
from esptool.protocol.security import named_flags
from esptool.transfer.report import Report

if TYPE_CHECKING:
    from esptool.device import Session


@dataclass(frozen=True, slots=True)
class SecurityState:
    """What matters before flash is written or erased.

    Attributes:
        secure_download: secure download mode: registers cannot be read.
        secure_boot, secure_boot_v1: any version is enabled; ESP32's first version is.
        flash_encryption: the chip decrypts what it runs.
        encrypt_disabled: the loader may not encrypt while writing (production mode).
        key_manager: the flash encryption key comes from the key manager.
        boot_keys: the digests of the public keys that secure boot (version 2) takes; None where
            it is off, or where they are not told.
    """

    secure_download: bool = False
    secure_boot: bool = False
    secure_boot_v1: bool = False
    flash_encryption: bool = False
    encrypt_disabled: bool = False
    key_manager: bool = False
    boot_keys: tuple[bytes, ...] | None = None

    @property
    def active(self) -> bool:
        """Erasing could make the chip unbootable for good."""
        return self.secure_boot or self.flash_encryption


def security_state(session: Session) -> SecurityState:
    """Ask the eFuses; in secure download mode only what GET_SECURITY_INFO tells is known."""
    facts = session.facts
    encryption = bool(facts.flash_encryption_enabled)
    boot = bool(facts.secure_boot_enabled)
    if session.secure_download:
        return SecurityState(True, boot, False, encryption, True, False)
    first = boot and facts.secure_boot_v1_enabled
    return SecurityState(
        secure_boot=boot,
        secure_boot_v1=first,
        flash_encryption=encryption,
        encrypt_disabled=encryption and facts.manual_encryption_disabled,
        key_manager=encryption and facts.key_manager_holds_key,
        boot_keys=facts.secure_boot_digests if boot and not first else None,
    )


def security_info(session: Session, *, listener: Listener | None = None) -> SecurityReport:
    """Ask the chip for its security information and show it.

    Raises:
        UnsupportedCommandError: the chip has no such request (ESP8266, ESP32).
    """
    info = session.facts.security_info
    flags = int(info.flags)
    names = named_flags(flags)
    report = SecurityReport(
        flags=flags,
        flash_crypt_cnt=info.flash_crypt_cnt,
        key_purposes=tuple(info.key_purposes),
        chip_id=info.chip_id,
        api_version=info.api_version,
        secure_boot=names["SECURE_BOOT_EN"],
        flash_encryption=info.flash_crypt_cnt.bit_count() % 2 == 1,
        flag_names=names,
    )
    tell = Report(session, listener)
    tell.result(**_values(session, report))
    _show(session, report, tell)
    return report


def _values(session: Session, info: SecurityReport) -> dict[str, Any]:
    names = session.spec.efuse.key_purposes if session.spec.efuse else {}
    return {
        "flags": info.flags,
        "flag_names": [name for name, on in info.flag_names.items() if on],
        "flash_crypt_cnt": info.flash_crypt_cnt,
        "key_purposes": [
            {"code": code, "name": names.get(code)} for code in info.key_purposes if names
        ],
        "chip_id": info.chip_id,
        "api_version": info.api_version,
        "secure_boot": info.secure_boot,
        "flash_encryption": info.flash_encryption,
    }


def _show(session: Session, info: SecurityReport, report: Report) -> None:
    on = info.flag_names
    report.heading("Security Information:")
    report.line(f"Flags: {info.flags:#010x} ({info.flags:#b})")
    purposes = session.spec.efuse.key_purposes if session.spec.efuse else {}
    if purposes:
        report.line(f"Key Purposes: {info.key_purposes}")
        assert session.spec.efuse is not None
        for block, value in enumerate(info.key_purposes[: session.spec.efuse.max_key + 1]):
            report.line(f"  BLOCK_KEY{block} - {purposes.get(value, 'UNKNOWN')}")
    if info.chip_id is not None:
        report.line(f"Chip ID: {info.chip_id}")
        report.line(f"API Version: {info.api_version}")
    report.line(f"Secure Boot: {_state(info.secure_boot)}")
    if info.secure_boot:
        _show_secure_boot(on, report)
    report.line(f"Flash Encryption: {_state(info.flash_encryption)}")
    report.line(f"SPI Boot Crypt Count (SPI_BOOT_CRYPT_CNT): {info.flash_crypt_cnt:#x}")
    if on["DIS_DOWNLOAD_DCACHE"]:
        report.line("Dcache in UART download mode: Disabled")
    if on["DIS_DOWNLOAD_ICACHE"]:
        report.line("Icache in UART download mode: Disabled")
    if on["HARD_DIS_JTAG"]:
        report.line("JTAG: Permanently Disabled")
    elif on["SOFT_DIS_JTAG"]:
        report.line("JTAG: Software Access Disabled")
    if on["DIS_USB"]:
        report.line("USB Access: Disabled")


def _show_secure_boot(flags: Mapping[str, bool], report: Report) -> None:
    if flags.get("SECURE_BOOT_AGGRESSIVE_REVOKE"):
        report.line("Secure Boot Aggressive key revocation: Enabled")
    revoked = [key for key in range(3) if flags.get(f"SECURE_BOOT_KEY_REVOKE{key}")]
    if revoked:
        report.line("Secure Boot Key Revocation Status:")
        for key in revoked:
            report.line(f"\n\tSecure Boot Key{key} is Revoked\n")


def _state(enabled: bool) -> str:
    return "Enabled" if enabled else "Disabled"
