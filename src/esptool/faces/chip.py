# SPDX-License-Identifier: Apache-2.0
"""Who the chip is, what secures it, and how it is reset."""

from __future__ import annotations

from typing import Any

from esptool.chips.spec import KeyCheck
from esptool.device.facts import USB_NAMES
from esptool.errors import FatalError, NotSupportedError, UsageError
from esptool.events import Message
from esptool.faces.base import FaceBase
from esptool.faces.old import Cache
from esptool.protocol.security import named_flags
from esptool.transport.discovery import usb_ids


class ChipFace(FaceBase):
    """Identity, security, and resets."""

    # --- who the chip is ---------------------------------------------------------------------

    def get_chip_description(self) -> str:
        """Name, package and revision: "ESP32-C3 (QFN32) (revision v0.3)"."""
        return self.session.facts.description

    def get_chip_features(self) -> list[str]:
        """What the chip has: radios, cores, memories."""
        return self.session.facts.features

    def get_crystal_freq(self) -> int:
        """Crystal frequency in MHz."""
        return self.session.facts.crystal_mhz

    def get_chip_revision(self) -> int:
        """major * 100 + minor."""
        return self.session.facts.revision

    def get_major_chip_version(self) -> int:
        """Major part of the revision."""
        return self.session.facts.major

    def get_minor_chip_version(self) -> int:
        """Minor part of the revision."""
        return self.session.facts.minor

    def get_pkg_version(self) -> int:
        """Number of the package."""
        return self.session.facts.package

    def read_mac(self, mac_type: str = "BASE_MAC") -> tuple[int, ...] | None:
        """The MAC address as a tuple of bytes; "BASE_MAC", "EUI64" or "MAC_EXT".

        None where the chip has no such address.
        """
        macs = self.session.facts.macs
        found = {"BASE_MAC": macs.base, "EUI64": macs.eui64, "MAC_EXT": macs.ext}
        if mac_type not in found:
            raise UsageError(f"Unknown MAC type '{mac_type}'. Use one of: {', '.join(found)}.")
        mac = found[mac_type]
        return None if mac is None else tuple(mac)

    def chip_id(self) -> int:
        """ESP8266's 24-bit chip id.

        Raises:
            NotSupportedError: this chip has none.
        """
        if self.session.spec.key != "esp8266":
            raise NotSupportedError(f"Function chip_id is not supported for {self.CHIP_NAME}.")
        return int.from_bytes(bytes(self.session.facts.macs.base[3:6]), "big")

    def get_chip_id(self) -> int:
        """The chip id that security info carries.

        Raises:
            FatalError: it carries none (ESP32-S2), or the chip has no security info.
        """
        found = self.session.facts.security_info.chip_id
        if found is None:
            raise FatalError(
                f"{self.CHIP_NAME} does not tell its chip ID: its security info has none."
            )
        return found

    def get_chip_spi_pads(self) -> tuple[int, int, int, int, int]:
        """Pins of the flash by the eFuses of ESP32: CLK, Q, D, HD, CS (forks).

        Raises:
            NotSupportedError: another chip.
        """
        names = ("clk", "q", "d", "hd", "cs")
        fields = self.session.spec.identity.fields
        if any(f"spi_pad_{name}" not in fields for name in names):
            raise NotSupportedError(
                f"Function get_chip_spi_pads is not supported for {self.CHIP_NAME}."
            )
        clk, q, d, hd, cs = (self.session.facts.field(f"spi_pad_{name}") for name in names)
        return clk, q, d, hd, cs

    @property
    def cache(self) -> Cache:
        """What was read once and is kept (tests)."""
        found: Cache = self.__dict__.setdefault("_cache", Cache(self.session))
        return found

    # --- security ----------------------------------------------------------------------------

    def get_security_info(self, cache: bool = True) -> dict[str, Any]:
        """What the chip says of its security.

        A dict: flags (a number), parsed_flags (name to bool), flash_crypt_cnt, key_purposes (a
        tuple), and chip_id and api_version, which are None where the chip does not tell.

        Raises:
            FatalError: the chip has no such request.
        """
        if not cache:
            self.session.facts.forget_security_info()
        info = self.session.facts.security_info
        return {
            "flags": int(info.flags),
            "flash_crypt_cnt": info.flash_crypt_cnt,
            "key_purposes": tuple(info.key_purposes),
            "chip_id": info.chip_id,
            "api_version": info.api_version,
            "parsed_flags": named_flags(int(info.flags)),
        }

    def get_secure_boot_enabled(self) -> bool:
        """Whether secure boot is on."""
        return self.session.facts.secure_boot_enabled

    def get_secure_boot_v1_enabled(self) -> bool:
        """Whether ESP32's first secure boot is on."""
        return self.session.facts.secure_boot_v1_enabled

    def get_flash_encryption_enabled(self) -> bool:
        """Whether flash encryption is on."""
        return self.session.facts.flash_encryption_enabled

    def get_encrypted_download_disabled(self) -> bool:
        """Whether eFuses forbid that the loader writes encrypted."""
        return self.session.facts.manual_encryption_disabled

    def get_flash_crypt_config(self) -> int | None:
        """ESP32's FLASH_CRYPT_CONFIG, None elsewhere."""
        return self.session.facts.crypt_config

    def is_flash_encryption_key_valid(self) -> bool:
        """Whether a flash encryption key has been burned.

        Raises:
            NotSupportedError: the chip has no flash encryption.
        """
        if self.session.spec.security.key_check is KeyCheck.NONE:
            raise NotSupportedError(f"{self.CHIP_NAME} has no flash encryption.")
        return self.session.facts.encryption_key_valid

    def uses_key_manager_for_flash_encryption(self) -> bool:
        """Whether the key manager provides the flash encryption key."""
        return bool(self.session.facts.key_manager_holds_key)

    def get_flash_voltage(self) -> None:
        """Print where the voltage of the flash comes from; `session.facts.flash_voltage` has it.

        Raises:
            NotSupportedError: it cannot be set on this chip.
        """
        text = self.session.facts.flash_voltage
        if text is None:
            raise NotSupportedError(f"{self.CHIP_NAME} does not set the voltage of its flash.")
        self.session.listener(Message(text))

    def override_vddsdio(self, new_voltage: str) -> None:
        """Override the flash voltage until the next reset (ESP32)."""
        self.session.power.set_flash_voltage(new_voltage)

    # --- USB, speed and resets ---------------------------------------------------------------

    def get_usb_mode(self) -> str | None:
        """ "USB-Serial/JTAG", "USB-OTG", or None over a UART."""
        return USB_NAMES.get(self.session.facts.usb_mode)

    def get_usb_vid_pid(self) -> tuple[int | None, int | None]:
        """USB vendor and product of the port, (None, None) where it has none (a flasher)."""
        return usb_ids(self.session.link.port)

    def uses_usb_otg(self) -> bool:
        """Whether the link is the chip's USB-OTG."""
        return self.session.facts.usb_mode == "usb_otg"

    def uses_usb_jtag_serial(self) -> bool:
        """Whether the link is the chip's USB-Serial/JTAG."""
        return self.session.facts.usb_mode == "usb_serial_jtag"

    def change_baud(self, baud: int) -> None:
        """Set chip and port to `baud`; with a warning, leave them where that does not work."""
        self.session.change_baud(baud)

    def hard_reset(self, uses_usb: bool | None = None) -> None:
        """Reset into the application."""
        self.session.power.hard_reset(uses_usb)

    def soft_reset(self, stay_in_bootloader: bool) -> None:
        """Restart without the reset line."""
        self.session.power.soft_reset(stay_in_bootloader)

    def watchdog_reset(self) -> None:
        """Reset through the RTC watchdog."""
        self.session.power.watchdog_reset()

    @classmethod
    def parse_flash_size_arg(cls, arg: str) -> int:
        """The image header's code of a size word."""
        text = f"Flash size '{arg}' is not supported by {cls.CHIP_NAME}"
        return _code(cls.FLASH_SIZES, arg, text)

    @classmethod
    def parse_flash_freq_arg(cls, arg: str | None) -> int:
        """The image header's code of a frequency word; None is the chip's usual one, code 0."""
        if arg is None:
            return 0
        text = f"Flash frequency '{arg}' is not supported by {cls.CHIP_NAME}"
        return _code(cls.FLASH_FREQUENCY, arg, text)


def _code(table: dict[str, int], word: str, text: str) -> int:
    try:
        return table[word]
    except KeyError:
        raise FatalError(f"{text} (supported: {', '.join(table)}).") from None
