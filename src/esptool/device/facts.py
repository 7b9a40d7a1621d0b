# SPDX-License-Identifier: Apache-2.0
"""A session's knowledge of its chip: each fact is read once, several registers at a time."""

from __future__ import annotations

from functools import cached_property

from esptool.chips.spec import Bits, CrystalMethod, KeyCheck, MacLayout, OtgReset
from esptool.device import identity
from esptool.device.requests import Requester, assemble
from esptool.errors import ProtocolError, UnsupportedCommandError
from esptool.events import Level
from esptool.protocol import security
from esptool.protocol.opcodes import Cmd
from esptool.protocol.security import SecurityFlag, SecurityInfo
from esptool.transport.discovery import ESPRESSIF_VID, usb_ids

USB_JTAG_SERIAL_PID = 0x1001
CLKDIV_MASK = 0xFFFFF
RTC_CALI_MASK, RTC_CALI_SHIFT = 0x1FFFFFF, 7
#: The links of `Facts.usb_mode` that are USB, as people know them.
USB_NAMES = {"usb_serial_jtag": "USB-Serial/JTAG", "usb_otg": "USB-OTG"}
#: The key of ESP32's second secure boot stands in eFuse block 2, so far behind the first register.
_ESP32_BLOCK2 = 0x58
#: The first key's block stands behind BLOCK1 (6 words), BLOCK2 and BLOCK3 (8 words each).
_KEY0_AFTER_BLOCK1 = 4 * (6 + 8 + 8)
_DIGEST = "SECURE_BOOT_DIGEST"
#: Measured crystal frequency in MHz: above the limit it is rounded to the value.
NOMINAL_CRYSTALS = ((45, 48), (33, 40), (0, 26))
#: So far from its nominal frequency a crystal is measured at most.
MOST_OFF_MHZ = 1
#: How often a divider is read that no usual crystal has.
READS = 4


class Facts:
    """What is known of the chip behind a session. Everything is cached until `forget`.

    Reading registers is impossible in secure download mode: there the security info is all.
    """

    def __init__(self, session: Requester) -> None:
        self._s = session
        self._words: dict[int, int] = {}

    def forget(self) -> None:
        """Drop everything known: the chip was reset or its eFuses burned."""
        self._words.clear()
        for name in list(self.__dict__):
            if not name.startswith("_"):
                del self.__dict__[name]

    def forget_flash_voltage(self) -> None:
        """Drop what is known of the flash's voltage: it was set anew."""
        voltage = self._s.spec.voltage
        if voltage is not None and voltage.rtc_reg is not None:
            self._words.pop(voltage.rtc_reg, None)
        self.__dict__.pop("flash_voltage", None)

    def forget_security_info(self) -> None:
        """Have the security info asked for anew."""
        self.__dict__.pop("security_info", None)

    # --- fields --------------------------------------------------------------------------------

    def words(self, addresses: list[int]) -> list[int]:
        """Registers that do not change while a session lasts, each read once."""
        missing = list(dict.fromkeys(a for a in addresses if a not in self._words))
        if missing:
            self._words.update(zip(missing, self._s.read_regs(missing), strict=True))
        return [self._words[a] for a in addresses]

    def field(self, name: str) -> int:
        """A named field of the chip's identity data, or "revision"."""
        if name == "revision":
            return self.revision
        if name in identity.DERIVED.names:
            return identity.DERIVED.value(name, self.field)
        parts = self._s.spec.identity.fields[name]
        self.words([p.address for p in parts])
        return assemble(parts, self._words)

    def prefetch(self) -> None:
        """Read all identity registers at once, where the other side can batch."""
        spec = self._s.spec
        addresses = [p.address for f in spec.identity.fields.values() for p in f]
        security, voltage = spec.security, spec.voltage
        states = (
            security.secure_boot,
            security.crypt_cnt,
            security.no_manual_encrypt,
            spec.octal_flash,
            voltage.strap if voltage else None,
        )
        addresses += [bits.address for bits in states if bits is not None]
        if voltage is not None:
            addresses.append(voltage.efuse_reg)
            if voltage.rtc_reg is not None:
                addresses.append(voltage.rtc_reg)
        self.words(addresses + self._mac_words())

    def _bits(self, bits: Bits | None) -> int:
        return self.words([bits.address])[0] & bits.mask if bits else 0

    # --- identity ------------------------------------------------------------------------------

    @cached_property
    def revision(self) -> int:
        """major * 100 + minor."""
        return identity.revision(self._s.spec.identity.revision, self.field)

    @property
    def major(self) -> int:
        """Wafer major revision."""
        return self.revision // 100

    @property
    def minor(self) -> int:
        """Wafer minor revision."""
        return self.revision % 100

    @cached_property
    def description(self) -> str:
        """Package name and revision."""
        return identity.description(self._s.spec, self.field)

    @cached_property
    def features(self) -> list[str]:
        """What the chip offers."""
        return identity.features(self._s.spec, self.field)

    def _mac_words(self) -> list[int]:
        mac = self._s.spec.identity.mac
        if mac.layout is MacLayout.OTP_8266:
            return [mac.word0 + 4 * i for i in range(4)]
        return [mac.word0, mac.word1]

    def remember_mac(self) -> None:
        """Read the registers of the MAC address, unless that was done."""
        self.words(self._mac_words())

    def known_mac_words(self) -> dict[int, int] | None:
        """The registers of the MAC address as they were read, None when they were not."""
        places = self._mac_words()
        if any(a not in self._words for a in places):
            return None
        return {a: self._words[a] for a in places}

    def ask_security_info(self) -> bytes:
        """The security information as the chip gives it now."""
        what = "get security info"
        size = security.FULL_LEN
        return self._s.request(what, Cmd.GET_SECURITY_INFO, attempts=3, size=size).data

    def known_security_info(self) -> SecurityInfo | None:
        """The security information where it was asked for, else None."""
        known = self.__dict__.get("security_info")
        return known if isinstance(known, SecurityInfo) else None

    @cached_property
    def macs(self) -> identity.Macs:
        """Factory MAC addresses."""
        return identity.decode_mac(self._s.spec.identity.mac.layout, self.words(self._mac_words()))

    @property
    def package(self) -> int:
        """Package number."""
        return self.field("pkg")

    # --- crystal and baud rate -----------------------------------------------------------------

    @cached_property
    def measured_crystal_mhz(self) -> float:
        """The crystal as the UART divider and the line rate tell it.

        Requests have no checksum: an unusual one is believed when it is read twice.
        """
        uart = self._s.spec.uart
        before = None
        for _ in range(READS):
            divider = self._s.read_reg(uart.clkdiv_reg) & CLKDIV_MASK
            measured = self._s.link.baud * divider / 1e6 / uart.xtal_clk_divider
            usual = any(abs(mhz - measured) <= MOST_OFF_MHZ for _, mhz in NOMINAL_CRYSTALS)
            if usual or measured == before:
                break
            before = measured
        return measured

    @cached_property
    def rc_crystal_hz(self) -> float:
        """ESP32: the crystal as its ROM measures it against the 8 MHz oscillator."""
        word = self._s.read_reg(self._s.spec.registers["RTCCALICFG1"])
        cali = (word >> RTC_CALI_SHIFT) & RTC_CALI_MASK
        return cali * 15625 * self.field("ck8m_freq") / 40

    @cached_property
    def crystal_mhz(self) -> int:
        """Nominal crystal frequency; a note is made when the measured one is far from it."""
        crystal = self._s.spec.crystal
        if crystal.method is CrystalMethod.FIXED and crystal.mhz is not None:
            return crystal.mhz
        if "ck8m_freq" in self._s.spec.identity.fields and self._s.is_stub:
            # The stub has changed the clocks under the UART divider.
            # Behind a debugger the ROM may have measured nothing.
            measured_hz = self.rc_crystal_hz
            return 26 if 0 < measured_hz <= 33e6 else 40
        measured = self.measured_crystal_mhz
        nominal = next((mhz for limit, mhz in NOMINAL_CRYSTALS if measured > limit), None)
        if nominal is None:
            raise ProtocolError(
                "The UART divider was read as 0: the answer was damaged on its way.",
                remedy="Try again, at a lower --baud.",
            )
        if abs(nominal - measured) > MOST_OFF_MHZ:
            self._s.note(
                f"Detected crystal freq {measured:.2f} MHz is quite different to normalized "
                f"freq {nominal} MHz. Unsupported crystal in use?",
                Level.WARNING,
            )
        return nominal

    # --- security ------------------------------------------------------------------------------

    @cached_property
    def security_info(self) -> SecurityInfo:
        """The answer to GET_SECURITY_INFO.

        Raises:
            UnsupportedCommandError: the chip has none.
        """
        if not self._s.spec.rom.security_info:
            raise UnsupportedCommandError(f"{self._s.spec.name} has no security info.")
        data = self.ask_security_info()
        info = security.parse(data)
        if info is None:
            raise UnsupportedCommandError(
                f"Security info of unexpected length {len(data)} was received."
            )
        return info

    @cached_property
    def secure_boot_enabled(self) -> bool:
        """Secure boot (any version) is on."""
        s = self._s.spec.security
        if self._s.secure_download or s.secure_boot is None:
            return self._flag(SecurityFlag.SECURE_BOOT_EN)
        if self._bits(s.secure_boot):
            return True
        v2 = s.secure_boot_v2
        return v2 is not None and self.revision >= s.secure_boot_v2_min and bool(self._bits(v2))

    @property
    def secure_boot_v1_enabled(self) -> bool:
        """ESP32's first secure boot is on."""
        s = self._s.spec.security
        return s.secure_boot_v2 is not None and bool(self._bits(s.secure_boot))

    @cached_property
    def flash_encryption_enabled(self) -> bool:
        """Flash encryption is on: an odd number of counter bits is set."""
        s = self._s.spec.security
        if self._s.secure_download:
            return self.security_info.flash_encryption
        return self._bits(s.crypt_cnt).bit_count() % 2 == 1

    def _flag(self, flag: SecurityFlag) -> bool:
        if not self._s.spec.rom.security_info:
            return False
        return self.security_info.has(flag)

    @property
    def manual_encryption_disabled(self) -> bool:
        """The loader must not write encrypted."""
        return bool(self._bits(self._s.spec.security.no_manual_encrypt))

    @property
    def secure_version(self) -> int:
        """What the secure version of an application must not be below (anti-rollback)."""
        return self._bits(self._s.spec.security.secure_version).bit_count()

    @cached_property
    def key_purposes(self) -> tuple[int, ...]:
        """The purpose of each key block."""
        fields = self._s.spec.security.purpose_fields
        self.words([p.address for p in fields])
        return tuple(assemble([p], self._words) for p in fields)

    @property
    def secure_boot_digests(self) -> tuple[bytes, ...]:
        """The SHA-256 of each public key that secure boot version 2 takes, without revoked ones.

        ESP32-C2 has room for the first 16 bytes only. What is protected against reading, which
        the boot ROM cannot read either, is all zero.

        Sources: the chips' reference manuals, "eFuse Controller" and "Secure Boot".
        """
        spec = self._s.spec
        efuse, match_by = spec.efuse, spec.security.key_check
        if efuse is None:
            return ()
        if match_by is KeyCheck.ESP32_BLK1:
            return (self._key_bytes(efuse.rd_reg_base + _ESP32_BLOCK2, 8),)
        if match_by is KeyCheck.C2_KEY0:
            key = spec.registers["EFUSE_BLOCK_KEY0_REG"]
            return (self._key_bytes(key + 16, 4),)
        if efuse.block1 is None:
            return ()
        first = efuse.block1 + _KEY0_AFTER_BLOCK1
        names = [efuse.key_purposes.get(code, "") for code in self.key_purposes]
        return tuple(
            self._key_bytes(first + 32 * block, 8)
            for block, name in enumerate(names)
            if name.startswith(_DIGEST) and not self._revoked(int(name[len(_DIGEST) :]))
        )

    def _revoked(self, number: int) -> bool:
        return self._flag(SecurityFlag[f"SECURE_BOOT_KEY_REVOKE{number}"])

    def _key_bytes(self, address: int, count: int) -> bytes:
        words = self.words([address + 4 * n for n in range(count)])
        return b"".join(word.to_bytes(4, "little") for word in words)

    @property
    def key_manager_holds_key(self) -> bool:
        """The key manager, not an eFuse block, holds the flash encryption key."""
        s = self._s.spec.security
        if s.key_manager is None:
            return False
        self.words([s.key_manager.address])
        return bool(assemble([s.key_manager], self._words) & s.key_manager_xts)

    @cached_property
    def encryption_key_valid(self) -> bool:
        """A flash encryption key has been burned (or lies in the key manager)."""
        s = self._s.spec.security
        match s.key_check:
            case KeyCheck.PURPOSES:
                have = set(self.key_purposes)
                burned = any(have.issuperset(wanted) for wanted in s.key_purposes)
                return burned or self.key_manager_holds_key
            case KeyCheck.ESP32_BLK1:
                return self._esp32_key_valid()
            case KeyCheck.C2_KEY0:
                return self._c2_key_valid()
            case KeyCheck.NONE:
                return False

    def _esp32_key_valid(self) -> bool:
        if self.field("blk1_rd_dis"):
            return True
        efuse = self._s.spec.efuse
        assert efuse is not None
        return any(self.words([efuse.rd_reg_base + 4 * n for n in range(14, 22)]))

    def _c2_key_valid(self) -> bool:
        r = self._s.spec.registers
        length, hidden, key = (
            r[n]
            for n in ("EFUSE_XTS_KEY_LENGTH_256_REG", "EFUSE_RD_DIS_REG", "EFUSE_BLOCK_KEY0_REG")
        )
        long = bool(self.words([length])[0] & r["EFUSE_XTS_KEY_LENGTH_256"])
        rd_dis = self.words([hidden])[0] & r["EFUSE_RD_DIS"]
        if rd_dis == (3 if long else 1):
            return True
        return any(self.words([key + 4 * n for n in range(8 if long else 4)]))

    @property
    def crypt_config(self) -> int | None:
        """ESP32's flash crypt config (0xF expected, also when hidden); None on other chips."""
        if "flash_crypt_config" not in self._s.spec.identity.fields:
            return None
        if self.field("flash_crypt_config_rd_dis"):
            return 0xF
        return self.field("flash_crypt_config")

    # --- link and flash supply -----------------------------------------------------------------

    @cached_property
    def usb_mode(self) -> str:
        """How the chip is connected: "uart", "usb_otg" or "usb_serial_jtag"."""
        usb = self._s.spec.usb
        vid, pid = usb_ids(self._s.link.port)
        if vid != ESPRESSIF_VID:
            return "uart"
        if usb.serial_jtag and pid == USB_JTAG_SERIAL_PID:
            return "usb_serial_jtag"
        if usb.otg and pid == self._s.spec.image_chip_id:
            return "usb_otg"
        return "uart"

    @property
    def maybe_usb_otg(self) -> bool:
        """The link may be USB-OTG: its identity says so, or it has none that can be seen."""
        vid, pid = usb_ids(self._s.link.port)
        return (vid, pid) in ((None, None), (ESPRESSIF_VID, self._s.spec.image_chip_id))

    @property
    def octal_flash(self) -> bool | None:
        """The eFuses say octal flash; None where the chip knows no such thing."""
        bits = self._s.spec.octal_flash
        return None if bits is None else bool(self._bits(bits))

    @property
    def reset_strapped_low(self) -> bool:
        """The boot strap was low at reset and download mode is not forced (USB-OTG chips)."""
        r = self._s.spec.reset
        if r.otg is not OtgReset.WHEN_STRAPPED or r.otg_strap is None or r.otg_forced is None:
            return False
        strap, forced = self._s.read_regs([r.otg_strap.address, r.otg_forced.address])
        return not strap & r.otg_strap.mask and not forced & r.otg_forced.mask

    @cached_property
    def flash_voltage(self) -> str | None:
        """Where VDD_SDIO / VDD_SPI comes from, in words; None where it cannot be set."""
        v = self._s.spec.voltage
        if v is None:
            return None
        for source in v.order:
            if source == "rtc_cntl":
                text = self._voltage_by_rtc()
            elif source == "efuse":
                text = self._voltage_by_efuse()
            else:
                low = self._bits(v.strap)
                return f"Flash voltage set by a strapping pin: {'1.8V' if low else '3.3V'}"
            if text is not None:
                return text
        return None

    def _voltage_by_rtc(self) -> str | None:
        v, r = self._s.spec.voltage, self._s.spec.registers
        assert v is not None
        assert v.rtc_reg is not None
        [word] = self.words([v.rtc_reg])
        if not word & r["RTC_CNTL_SDIO_FORCE"]:
            return None
        if word & r["RTC_CNTL_DREFH_SDIO_M"]:
            level = "1.9V"
        else:
            level = "1.8V" if word & r["RTC_CNTL_XPD_SDIO_REG"] else "OFF"
        return f"Flash voltage set in RTC_CNTL to {level}"

    def _voltage_by_efuse(self) -> str | None:
        v = self._s.spec.voltage
        assert v is not None
        word = self.words([v.efuse_reg])[0]
        if not word & v.efuse_force:
            return None
        if not word & v.efuse_xpd:
            return "Flash voltage set by eFuse: OFF"
        level = "3.3V" if word & v.efuse_tieh else "1.8V"
        return f"Flash voltage set by eFuse: {level}"
