# SPDX-License-Identifier: Apache-2.0
"""What a chip gets in the factory: its MAC address, revision and calibration, in eFuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esptool.chips.spec import ChipSpec, CrystalMethod, KeyCheck, MacLayout
from esptool.errors import UsageError

if TYPE_CHECKING:
    from esptool.virtual.soc import Soc

#: Revision of a board of which nothing else was said: recent production silicon.
_REVISIONS = {
    "esp32": 301,
    "esp32s2": 100,
    "esp32s3": 2,
    "esp32c3": 4,
    "esp32c2": 100,
    "esp32c6": 2,
    "esp32c61": 100,
    "esp32c5": 100,
    "esp32h2": 102,
    "esp32p4": 103,
}

_CRYSTALS = {"esp8266": 26, "esp32c2": 26, "esp32c5": 48}

_MAC = {"esp8266": bytes.fromhex("18fe34000001")}


def crystal_mhz(spec: ChipSpec) -> int:
    """The crystal that boards with this chip usually have."""
    if spec.crystal.method is CrystalMethod.FIXED and spec.crystal.mhz:
        return spec.crystal.mhz
    return _CRYSTALS.get(spec.key, 40)


def provision(soc: Soc) -> None:
    """Burn the factory's bits and what the options ask for, and set the chip's fixed words."""
    spec = soc.spec
    mac = soc.options.mac or _MAC.get(spec.key) or _default_mac(spec)
    if spec.rom.magic is not None:
        soc.set_fixed(0x40001000, spec.rom.magic)
    if spec.rom.baud.name == "ESP32_MEASURED":
        _esp32_calibration(soc)
    if spec.crystal.rom_field is not None:
        field = spec.crystal.rom_field
        soc.set_fixed(field.address, soc.crystal_mhz << field.shift)
    _burn_mac(soc, mac)
    _burn_revision(soc, soc.options.revision)
    _burn_package(soc)
    _burn_options(soc)
    if soc.efuse is not None:
        soc.efuse.refresh()


def _default_mac(spec: ChipSpec) -> bytes:
    return bytes((0x60, 0x55, 0xF9, spec.image_chip_id or 0, 0, 1))


def _burn_mac(soc: Soc, mac: bytes) -> None:
    layout = soc.spec.identity.mac
    high, low = mac[:2], mac[2:]
    if layout.layout is MacLayout.OTP_8266:
        # Words 0 and 1 hold the lower half; word 1's byte 2 names one of two known prefixes.
        prefix = {b"\x18\xfe\x34": 0, b"\xac\xd0\x74": 1}.get(mac[:3], 0)
        words = {0x50: mac[5] << 24, 0x54: prefix << 16 | mac[3] << 8 | mac[4], 0x58: 0}
        words[0x5C] = int.from_bytes(mac[:3], "big")
        soc.otp.words.update(words)
        return
    assert soc.efuse is not None
    if layout.layout is MacLayout.ESP32_BLK0:
        soc.efuse.burn_register(layout.word0, int.from_bytes(low, "big"))
        soc.efuse.burn_register(layout.word1, int.from_bytes(high, "big") | crc8(mac) << 16)
        return
    word1 = int.from_bytes(high, "big")
    if layout.layout is MacLayout.BLK1_EUI64:
        word1 |= 0xFFFE << 16
    soc.efuse.burn_register(layout.word0, int.from_bytes(low, "big"))
    soc.efuse.burn_register(layout.word1, word1)


def crc8(data: bytes) -> int:
    """The CRC in ESP32's BLOCK0: reflected polynomial 0x8C, start 0 (ESP32 TRM, eFuse chapter)."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0x8C if value & 1 else value >> 1
    return value


def _burn_revision(soc: Soc, asked: int | None) -> None:
    rule = soc.spec.identity.revision
    if rule is None or soc.efuse is None or rule.major is None or rule.minor is None:
        if asked:
            raise UsageError(f"The revision of {soc.spec.name} cannot be chosen.")
        return
    revision = asked if asked is not None else _REVISIONS.get(soc.spec.key, 0)
    major, minor = divmod(revision, 100)
    if rule.major_map is not None:
        raw = [k for k, v in rule.major_map.items() if v == major]
        if not raw:
            raise UsageError(f"{soc.spec.name} has no major revision {major}.")
        major = raw[0]
    for name, value in ((rule.major, major), (rule.minor, minor)):
        pieces = soc.spec.identity.fields[name]
        for p in pieces:
            bits = value >> p.out_shift & ((1 << p.width) - 1)
            if bits and not soc.efuse.burn_register(p.address, bits << p.shift):
                old = soc.bus.read_word(p.address)
                soc.set_fixed(p.address, old | bits << p.shift)


def _burn_package(soc: Soc) -> None:
    """The first variant that the chip comes in, where its name knows none of number 0."""
    for part in soc.spec.identity.name:
        unnamed = "?" in (part.default or "") or "Unknown" in (part.default or "")
        known = (0,) in part.labels or not part.labels or part.when
        if unnamed and len(part.fields) == 1 and not known:
            (number,) = next(iter(part.labels))
            for p in soc.spec.identity.fields[part.fields[0]]:
                bits = number >> p.out_shift & ((1 << p.width) - 1)
                if bits and soc.efuse is not None:
                    soc.efuse.burn_register(p.address, bits << p.shift)


def _esp32_calibration(soc: Soc) -> None:
    """RTC calibration that the ROM measured, from which hosts tell its idea of the crystal.

    crystal = count * 15625 * ck8m / 40 Hz, with the 8-bit field ck8m of the eFuses at 64 here.
    """
    ck8m = 64
    count = soc.crystal_mhz * 1_000_000 * 40 // 15625 // ck8m
    soc.set_fixed(0x3FF5F06C, count << 7)
    assert soc.efuse is not None
    soc.efuse.burn_register(0x3FF5A010, ck8m)


def _burn_options(soc: Soc) -> None:
    if soc.options.secure_download:
        if soc.efuse is None or soc.efuse.layout.secure_download is None:
            raise UsageError(f"{soc.spec.name} has no secure download mode.")
        soc.efuse.burn_bits(soc.efuse.layout.secure_download, 1)
    for name, value in soc.options.efuses:
        _burn_named(soc, name, value)


def _burn_named(soc: Soc, name: str, value: int) -> None:
    if soc.efuse is None:
        raise UsageError(f"{soc.spec.name} has no eFuses to burn.")
    if name.lower().startswith("0x"):
        if not soc.efuse.burn_register(int(name, 16), value):
            raise UsageError(f"There is no eFuse word at {name}.")
        return
    key = name.lower().replace("-", "_")
    if key.startswith("purpose") and soc.spec.security.key_check is KeyCheck.PURPOSES:
        field = soc.spec.security.purpose_fields[int(key.removeprefix("purpose"))]
        soc.efuse.burn_register(field.address, value << field.shift)
        return
    place = getattr(soc.efuse.layout, key, None)
    if not isinstance(place, tuple) or len(place) != 4:
        raise UsageError(
            f"The virtual {soc.spec.name} does not know the eFuse '{name}'.",
            remedy="Give the address of its read register, such as efuse=0x60007034:0x40000.",
        )
    soc.efuse.burn_bits(place, value)
