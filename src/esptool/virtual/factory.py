# SPDX-License-Identifier: Apache-2.0
"""What a chip gets in the factory: its MAC address, revision and calibration, in eFuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esptool.errors import UsageError
from esptool.virtual.silicon.spec import FlashKey, MacPlace, Silicon

if TYPE_CHECKING:
    from esptool.virtual.soc import Soc

_MAGIC = 0x40001000
#: Prefixes of MAC addresses of which ESP8266 keeps only a number.
_PREFIXES = {b"\x18\xfe\x34": 0, b"\xac\xd0\x74": 1}
_DEFAULT_8266 = bytes.fromhex("18fe34000001")
#: What the RC oscillator of ESP32 was measured at, in the units of its eFuse.
_RC_FREQUENCY = 64


def provision(soc: Soc) -> None:
    """Burn the factory's bits and what the options ask for, and set the chip's fixed words."""
    loader = soc.silicon.loader
    if loader.magic is not None:
        soc.set_fixed(_MAGIC, loader.magic)
    if soc.silicon.factory.calibration is not None:
        _esp32_calibration(soc)
    if loader.crystal_field is not None:
        field = loader.crystal_field
        soc.set_fixed(field.address, soc.crystal_mhz << field.shift)
    _burn_mac(soc, soc.options.mac or _default_mac(soc.silicon))
    _burn_revision(soc, soc.options.revision)
    burn_options(soc)
    if soc.efuse is not None:
        soc.efuse.refresh()


def _default_mac(silicon: Silicon) -> bytes:
    if silicon.factory.mac is MacPlace.ESP8266_OTP:
        return _DEFAULT_8266
    return bytes((0x60, 0x55, 0xF9, silicon.chip_id or 0, 0, 1))


def _burn_mac(soc: Soc, mac: bytes) -> None:
    place = soc.silicon.factory.mac
    if place is MacPlace.ESP8266_OTP:
        # Words 0 and 1 hold the lower half; word 1's byte 2 names one of two known prefixes.
        prefix = _PREFIXES.get(mac[:3], 0)
        words = {0x50: mac[5] << 24, 0x54: prefix << 16 | mac[3] << 8 | mac[4], 0x58: 0}
        words[0x5C] = int.from_bytes(mac[:3], "big")
        soc.otp.words.update(words)
        return
    assert soc.efuse is not None
    fields = soc.efuse.layout.fields
    soc.efuse.burn_bits(fields["mac"], int.from_bytes(mac, "big"))
    if place is MacPlace.ESP32_CRC:
        soc.efuse.burn_bits(fields["mac_crc"], crc8(mac))
    elif place is MacPlace.MAC48_EXT:
        soc.efuse.burn_bits(fields["mac_ext"], 0xFFFE)


def crc8(data: bytes) -> int:
    """The CRC in ESP32's BLOCK0: reflected polynomial 0x8C, start 0 (ESP32 TRM, eFuse chapter)."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0x8C if value & 1 else value >> 1
    return value


def _burn_revision(soc: Soc, asked: int | None) -> None:
    made = soc.silicon.factory
    fields = soc.efuse.layout.fields if soc.efuse is not None else {}
    if soc.efuse is None or "major" not in fields or "minor" not in fields:
        if asked:
            raise UsageError(f"The revision of {soc.silicon.name} cannot be chosen.")
        return
    major, minor = divmod(soc.revision, 100)
    if made.major_codes:
        codes = [code for code, number in made.major_codes if number == major]
        if not codes:
            raise UsageError(f"{soc.silicon.name} has no major revision {major}.")
        major = codes[0]
    soc.efuse.burn_bits(fields["major"], major)
    soc.efuse.burn_bits(fields["minor"], minor)
    for name, value in made.fields:
        soc.efuse.burn_bits(fields[name], value)
    bit = made.revision_bit
    if bit is not None and major >> sum(piece[2] for piece in fields["major"]):
        soc.set_fixed(bit.address, soc.bus.read_word(bit.address) | 1 << bit.shift)


def _esp32_calibration(soc: Soc) -> None:
    """RTC calibration that the ROM measured, from which hosts tell its idea of the crystal.

    crystal = count * 15625 * ck8m / 40 Hz, with the 8-bit field ck8m of the eFuses.
    """
    register = soc.silicon.factory.calibration
    assert register is not None
    assert soc.efuse is not None
    count = soc.crystal_mhz * 1_000_000 * 40 // 15625 // _RC_FREQUENCY
    soc.set_fixed(register.address, count << register.shift)
    soc.efuse.burn_bits(soc.efuse.layout.fields["rc_frequency"], _RC_FREQUENCY)


def burn_options(soc: Soc) -> None:
    """Burn what the options ask for."""
    if soc.options.secure_download:
        if soc.efuse is None or "secure_download" not in soc.efuse.layout.fields:
            raise UsageError(f"{soc.silicon.name} has no secure download mode.")
        soc.efuse.burn_bits(soc.efuse.layout.fields["secure_download"], 1)
    for name, value in soc.options.efuses:
        _burn_named(soc, name, value)


def _burn_named(soc: Soc, name: str, value: int) -> None:
    if soc.efuse is None:
        raise UsageError(f"{soc.silicon.name} has no eFuses to burn.")
    if name.lower().startswith("0x"):
        if not soc.efuse.burn_register(int(name, 16), value):
            raise UsageError(f"There is no eFuse word at {name}.")
        return
    key = name.lower().replace("-", "_")
    if key.startswith("purpose") and soc.silicon.flash_key is FlashKey.PURPOSES:
        soc.efuse.burn_bits(soc.efuse.layout.purposes[int(key.removeprefix("purpose"))], value)
        return
    field = soc.efuse.layout.fields.get(key)
    if field is None:
        raise UsageError(
            f"The virtual {soc.silicon.name} does not know the eFuse '{name}'.",
            remedy="Give the address of its read register, such as efuse=0x60007034:0x40000.",
        )
    soc.efuse.burn_bits(field, value)
