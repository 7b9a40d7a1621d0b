# SPDX-License-Identifier: Apache-2.0
"""What the two witnesses of `facts/` say of the same thing: rows of (chip, name, host, silicon).

The host's files are `host.json` and `efuse.json`; `silicon.json` was written from other sources. A
silicon value whose source says that it has none of its own is no witness and gives no row.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from esptool.chips.spec import ChipSpec, FieldPart, MacLayout  # noqa: E402
from generate import firmware, host  # noqa: E402
from generate.files import chips, load  # noqa: E402
from tests.chips.witness import Pairs, Row, Silicon  # noqa: E402
from tests.chips.witness_efuse import efuse  # noqa: E402
from tests.chips.witness_recipes import watchdog  # noqa: E402


def rows(facts: Path, believed: bool = False) -> Iterator[Row]:
    """Every fact that both witnesses hold, of all chips.

    With `believed`, also what the virtual chip takes from the host for want of another source.
    """
    for spec in host.specs(facts):
        yield from rows_of(facts, spec, believed)


def rows_of(facts: Path, spec: ChipSpec, believed: bool = False) -> Iterator[Row]:
    """Those of one chip, as its host data are now."""
    silicon = Silicon(facts, spec.key, believed)
    made: list[Callable[[ChipSpec, Silicon], Iterator[tuple[str, Any, Any]]]] = [
        *(_identity, _uart, _spi, _memory, _image, _security, watchdog, _strapping, _clock)
    ]
    for rule in made:
        yield from _both(spec.key, rule(spec, silicon))
    if spec.stub.available:
        yield from _both(spec.key, _stub(spec, firmware.read(facts, spec), silicon))
    if spec.key in chips(facts, "efuse"):
        yield from _both(spec.key, efuse(load(facts, spec.key, "efuse"), spec, silicon))


def _both(chip: str, pairs: Iterator[tuple[str, Any, Any]]) -> Iterator[Row]:
    for name, ours, theirs in pairs:
        if ours is not None and theirs is not None:
            yield Row(chip, name, ours, theirs)


#: Fields of the host's identity, and the eFuse fields of which they are made, from bit 0 up.
IDENTITY: dict[str, tuple[tuple[str, ...], ...]] = {
    "pkg": (("PKG_VERSION",), ("CHIP_PACKAGE", "CHIP_PACKAGE_4BIT")),
    "minor": (
        ("WAFER_VERSION_MINOR",),
        ("WAFER_VERSION_MINOR_LO", "WAFER_VERSION_MINOR_HI"),
    ),
    "major": (("WAFER_VERSION_MAJOR",), ("WAFER_VERSION_MAJOR_LO", "WAFER_VERSION_MAJOR_HI")),
    "raw_minor": (("WAFER_VERSION_MINOR_LO", "WAFER_VERSION_MINOR_HI"),),
    "raw_minor_low3": (("WAFER_VERSION_MINOR_LO",),),
    "raw_major": (("WAFER_VERSION_MAJOR",),),
    "flash_cap": (("FLASH_CAP",), ("FLASH_VERSION",)),
    "flash_vendor": (("FLASH_VENDOR",),),
    "psram_cap": (("PSRAM_CAP", "PSRAM_CAP_3"), ("PSRAM_CAP",), ("PSRAM_VERSION",)),
    "psram_vendor": (("PSRAM_VENDOR",),),
    "temp": (("TEMP",), ("FLASH_TEMP",)),
    "block2_version": (("BLK_VERSION_MINOR",), ("BLOCK2_VERSION",)),
    "blk_version_major": (("BLK_VERSION_MAJOR",),),
    "blk_version_minor": (("BLK_VERSION_MINOR",),),
    "dis_app_cpu": (("DISABLE_APP_CPU",),),
    "dis_bt": (("DISABLE_BT",),),
    "cpu_freq_rated": (("CHIP_CPU_FREQ_RATED",),),
    "cpu_freq_low": (("CHIP_CPU_FREQ_LOW",),),
    "adc_vref": (("ADC_VREF",),),
    "blk3_part_reserve": (("BLK3_PART_RESERVE",),),
    "coding_scheme": (("CODING_SCHEME",),),
    "flash_crypt_config": (("FLASH_CRYPT_CONFIG",),),
    "ck8m_freq": (("CLK8M_FREQ",), ("CK8M_FREQ",)),
    "spi_pad_clk": (("SPI_PAD_CONFIG_CLK",),),
    "spi_pad_q": (("SPI_PAD_CONFIG_Q",),),
    "spi_pad_d": (("SPI_PAD_CONFIG_D",),),
    "spi_pad_cs": (("SPI_PAD_CONFIG_CS",), ("SPI_PAD_CONFIG_CS0",)),
    "spi_pad_hd": (("SPI_PAD_CONFIG_HD",),),
}


def _bits(parts: tuple[FieldPart, ...]) -> list[tuple[int, int]]:
    """The bits of a host's field as (address, shift), from bit 0 up."""
    found = {}
    for part in parts:
        for i in range(part.width):
            found[part.out_shift + i] = (part.address, part.shift + i)
    return [found[i] for i in sorted(found)]


def _place(
    parts: tuple[FieldPart, ...], silicon: Silicon, options: tuple[tuple[str, ...], ...]
) -> Any:
    """What silicon says of a field that has one of several names: the longest known one."""
    for revision in sorted(silicon.efuses, reverse=True):
        for names in options:
            bits = silicon.field(revision, *names)
            if bits is not None and len(bits) == len(_bits(parts)):
                return bits
    return next((b for names in options if (b := silicon.field(10**6, *names)) is not None), None)


def _identity(spec: ChipSpec, silicon: Silicon) -> Pairs:
    yield "image_chip_id", spec.image_chip_id, silicon.get("image.chip_id")
    yield "uf2_family_id", spec.uf2_family_id, silicon.get("image.uf2_family")
    yield "crystal.mhz", spec.crystal.mhz, silicon.get("board.crystal_mhz")
    yield "rom.magic", spec.rom.magic, silicon.get("rom.magic")
    yield "rom.status_bytes", spec.rom.status_bytes, silicon.get("loader.status_bytes")
    yield "rom.security_info", spec.rom.security_info, silicon.get("loader.security_info")
    for name, parts in spec.identity.fields.items():
        if name in IDENTITY and parts:
            yield f"identity.{name}", _bits(parts), _place(parts, silicon, IDENTITY[name])
    mac = spec.identity.mac
    if mac.layout is MacLayout.OTP_8266:
        yield "identity.mac.word0", mac.word0, silicon.get("efuse.ESP_OTP_MAC0")
        yield "identity.mac.word1", mac.word1, silicon.get("efuse.ESP_OTP_MAC1")
        return
    place = silicon.field(0, "MAC")
    if place is not None:
        words = sorted({address for address, _ in place})
        yield "identity.mac", [mac.word0, mac.word1], words
    yield "identity.mac.word0", mac.word0, silicon.get("efuse.mac_word0")


def _uart(spec: ChipSpec, silicon: Silicon) -> Pairs:
    yield "uart.clkdiv_reg", spec.uart.clkdiv_reg, silicon.get("uart0.clkdiv")
    yield "uart.date_reg", spec.uart.date_reg, silicon.get("uart0.date")
    yield "uart.xtal_clk_divider", spec.uart.xtal_clk_divider, silicon.get("uart0.clock_divider")
    yield "uart base", spec.uart.clkdiv_reg & ~0xFF, silicon.get("uart0.base")


def _spi(spec: ChipSpec, silicon: Silicon) -> Pairs:
    spi = spec.spi
    yield "spi.base", spi.base, silicon.get("spi1.base")
    registers = {
        "usr_offs": "user",
        "usr1_offs": "user1",
        "usr2_offs": "user2",
        "w0_offs": "w0",
        "mosi_dlen_offs": "mosi_dlen",
        "miso_dlen_offs": "miso_dlen",
    }
    for ours, theirs in registers.items():
        offset = getattr(spi, ours)
        address = None if offset is None else spi.base + offset
        yield f"spi.{ours}", address, silicon.get(f"spi1.{theirs}")


#: Kinds of the host's memory map, and silicon's names; the last that is there counts.
MEMORY = {
    "DROM": ("drom",),
    "IROM": ("irom",),
    "DRAM": ("dram",),
    "IRAM": ("iram",),
    "BYTE_ACCESSIBLE": ("byte",),
    "DROM_MASK": ("drom_mask",),
    "IROM_MASK": ("irom_mask",),
    "RTC_IRAM": ("rtc_iram",),
    "RTC_DRAM": ("rtc_dram",),
    "RTC_DATA": ("rtc_data",),
    "CACHE_PRO": ("cache_pro",),
    "CACHE_APP": ("cache_app",),
    "DIRAM_DRAM": ("diram_dram",),
    "DIRAM_IRAM": ("diram_iram",),
    "EXTRAM_DATA": ("extram",),
}


def _memory(spec: ChipSpec, silicon: Silicon) -> Pairs:
    for r in spec.memory_map:
        for name in MEMORY.get(r.kind, ()):
            low, high = silicon.get(f"mem.{name}_low"), silicon.get(f"mem.{name}_high")
            if low is not None and high is not None and low < high:
                yield f"memory_map {r.kind}", [r.start, r.end], [low, high]


def _image(spec: ChipSpec, silicon: Silicon) -> Pairs:
    yield "bootloader_offset", spec.flash.bootloader_offset, silicon.get("image.bootloader_offset")
    sizes = silicon.get("image.mmu_page_sizes") or silicon.get("image.mmu_kconfig_sizes")
    if spec.image.mmu_page_sizes:
        yield "image.mmu_page_sizes", list(spec.image.mmu_page_sizes), sizes
    ours = sorted({*spec.image.irom, *spec.image.drom})
    ends = [silicon.get(f"mem.{n}_{e}") for n in ("irom", "drom") for e in ("low", "high")]
    if spec.image.extended_header and None not in ends:
        yield "image mapped from", ours[0], min(ends)
        yield "image mapped to", ours[-1], max(ends)


def _mask_bits(address: int, mask: int) -> list[tuple[int, int]]:
    return [(address, bit) for bit in range(32) if mask >> bit & 1]


def _security(spec: ChipSpec, silicon: Silicon) -> Pairs:
    security = spec.security
    masks = {
        "secure_boot": ("SECURE_BOOT_EN", "ABS_DONE_0"),
        "secure_boot_v2": ("ABS_DONE_1",),
        "crypt_cnt": ("SPI_BOOT_CRYPT_CNT", "FLASH_CRYPT_CNT"),
        "no_manual_encrypt": ("DIS_DOWNLOAD_MANUAL_ENCRYPT", "DISABLE_DL_ENCRYPT"),
        "secure_version": ("SECURE_VERSION",),
    }
    for name, fields in masks.items():
        bits = getattr(security, name)
        if bits is None:
            continue
        ours = _mask_bits(bits.address, bits.mask)
        theirs = [p for f in fields if (p := silicon.field(10**6, f)) is not None]
        if theirs:
            yield f"security.{name}", ours, theirs[0]
    detour = spec.stub.secure_boot_detour
    refuses = spec.stub.not_with_secure_boot or detour is not None
    yield "stub.not_with_secure_boot", refuses, silicon.get("loader.refuses_ram") or False
    if detour is not None:
        yield "stub.secure_boot_detour", detour[0], silicon.get("loader.read_pointer")
    known = silicon.get("efuse.key_purposes") or {}
    if security.key_purposes and "XTS_AES_128_KEY" in known:
        last = known.get("XTS_AES_256_KEY_2")
        pair = [] if last is None else [[known.get("XTS_AES_256_KEY_1", last - 1), last]]
        theirs_k = sorted([[known["XTS_AES_128_KEY"]], *pair])
        yield "security.key_purposes", sorted(map(list, security.key_purposes)), theirs_k
    for i, part in enumerate(security.purpose_fields):
        theirs_i = _place((part,), silicon, ((f"KEY_PURPOSE_{i}",),))
        yield f"security.purpose_fields[{i}]", _bits((part,)), theirs_i
    if security.key_manager is not None:
        theirs_km = silicon.field(10**6, "FORCE_USE_KEY_MANAGER_KEY")
        ours_km = (security.key_manager.address, security.key_manager.shift)
        yield "security.key_manager", ours_km, theirs_km[0] if theirs_km else None
    if spec.efuse is None:
        return
    efuse = spec.efuse
    yield "efuse.base", efuse.base, silicon.get("efuse.base")
    yield "efuse.block1", efuse.block1, silicon.get("efuse.rd_block1")
    first = silicon.get("efuse.rd_repeat_data0")
    if first is None and spec.security.purpose_fields == ():
        first = silicon.get("efuse.rd_wr_dis")  # ESP32 counts its registers from block 0 on
    yield "efuse.rd_reg_base", efuse.rd_reg_base, first
    purposes = silicon.get("efuse.key_purposes") or {}
    numbers = {number: name for name, number in purposes.items()}
    for number, name in efuse.key_purposes.items():
        shown = "USER/EMPTY" if numbers.get(number) == "USER" else numbers.get(number)
        yield f"efuse.key_purposes[{number}]", name, shown
    if spec.voltage is not None:
        for ours_v, field in (
            (spec.voltage.efuse_force, "VDD_SPI_FORCE"),
            (spec.voltage.efuse_xpd, "VDD_SPI_XPD"),
            (spec.voltage.efuse_tieh, "VDD_SPI_TIEH"),
        ):
            place = silicon.field(10**6, field) or silicon.field(
                10**6, field.replace("VDD_SPI_", "XPD_SDIO_").replace("_SDIO_XPD", "_SDIO_REG")
            )
            yield f"voltage.{field}", _mask_bits(spec.voltage.efuse_reg, ours_v), place
    if spec.octal_flash is not None:
        octal = _mask_bits(spec.octal_flash.address, spec.octal_flash.mask)
        yield "octal_flash", octal, silicon.field(10**6, "FLASH_TYPE")


def _strapping(spec: ChipSpec, silicon: Silicon) -> Pairs:
    strap = silicon.get("gpio.strap")
    if spec.voltage is not None:
        yield "voltage.strap", spec.voltage.strap.address, strap
        yield "voltage.rtc_reg", spec.voltage.rtc_reg, silicon.get("rtc.sdio_conf")
    if spec.reset.otg_strap is not None:
        yield "reset.otg_strap", spec.reset.otg_strap.address, strap
    forced = spec.reset.otg_forced
    if forced is not None:
        for register, field in (
            ("rtc.option1", "rtc.option1.force_download_boot"),
            ("lp_sys.sys_ctrl", "lp_sys.sys_ctrl.force_download_boot"),
        ):
            yield "reset.otg_forced", forced.address, silicon.get(register)
            bit = silicon.get(field)
            yield "reset.otg_forced bit", forced.mask, None if bit is None else 1 << bit[0]
    for step in spec.reset.before_hard:
        yield "reset.before_hard", step.address, silicon.get("rtc.option1")
    if silicon.get("usb.vid") is not None:
        yield "usb.serial_jtag", spec.usb.serial_jtag, bool(silicon.get("usb.serial_jtag"))
        yield "usb.otg", spec.usb.otg, silicon.get("usb.rom_pid") is not None
    names = {
        "GPIO_STRAP_REG": strap,
        "RTC_CNTL_OPTION1_REG": silicon.get("rtc.option1") or silicon.get("lp_sys.sys_ctrl"),
        "RTCCNTL_BASE_REG": silicon.get("rtc.base"),
        "DR_REG_LP_WDT_BASE": silicon.get("lp_wdt.base"),
        "DR_REG_LP_SYS_BASE": silicon.get("lp_sys.base"),
        "DR_REG_PMU_BASE": silicon.get("pmu.base"),
        "DR_REG_SYSCON_BASE": silicon.get("syscon.base"),
        "DR_REG_TIMG_BASE": silicon.get("timg0.base"),
        "APB_CTL_DATE_ADDR": silicon.get("syscon.date"),
        "RTCCALICFG1": silicon.get("timg0.rtccalicfg1"),
        "PCR_SYSCLK_CONF_REG": silicon.get("pcr.sysclk_conf"),
        "MAC_EFUSE_REG": silicon.get("efuse.mac_word0"),
        "LP_SYSTEM_REG_ANA_XPD_PAD_GROUP_REG": silicon.get("lp_sys.ana_xpd_pad_group"),
        "PMU_EXT_LDO_P0_0P1A_REG": silicon.get("pmu.ext_ldo_p0_0p1a"),
        "PMU_EXT_LDO_P0_0P1A_ANA_REG": silicon.get("pmu.ext_ldo_p0_0p1a_ana"),
        "PMU_DATE_REG": silicon.get("pmu.date"),
        "EFUSE_RD_REPEAT_DATA1_REG": _next(silicon.get("efuse.rd_repeat_data0"), 4),
        "EFUSE_BLOCK2_ADDR": silicon.get("efuse.rd_block2"),
        "ESP_OTP_MAC0": silicon.get("efuse.ESP_OTP_MAC0"),
        "ESP_OTP_MAC1": silicon.get("efuse.ESP_OTP_MAC1"),
        "ESP_OTP_MAC3": silicon.get("efuse.ESP_OTP_MAC3"),
    }
    for name, theirs in names.items():
        yield f"registers.{name}", spec.registers.get(name), theirs
    calibration = silicon.get("timg0.rtc_cali_value")
    if calibration is not None:
        shift, width = calibration
        yield (
            "registers.TIMERS_RTC_CALI_VALUE_S",
            spec.registers.get("TIMERS_RTC_CALI_VALUE_S"),
            shift,
        )
        value = spec.registers.get("TIMERS_RTC_CALI_VALUE")
        yield "registers.TIMERS_RTC_CALI_VALUE", value, (1 << width) - 1
    xtal = silicon.get("pcr.sysclk.clk_xtal_freq")
    if xtal is not None:
        shift, width = xtal
        yield (
            "registers.PCR_SYSCLK_XTAL_FREQ_S",
            spec.registers.get("PCR_SYSCLK_XTAL_FREQ_S"),
            shift,
        )
        mask = spec.registers.get("PCR_SYSCLK_XTAL_FREQ_V")
        yield "registers.PCR_SYSCLK_XTAL_FREQ_V", mask, ((1 << width) - 1) << shift
    for name, field in FIELDS.items():
        place = silicon.get(field)
        mask = None if place is None else ((1 << place[1]) - 1) << place[0]
        yield f"registers.{name}", spec.registers.get(name), mask


def _next(address: int | None, distance: int) -> int | None:
    return None if address is None else address + distance


#: Masks for v5 names, and silicon's fields.
FIELDS = {
    "RTC_CNTL_XPD_SDIO_REG": "rtc.sdio.xpd",
    "RTC_CNTL_DREFH_SDIO_M": "rtc.sdio.drefh",
    "RTC_CNTL_DREFM_SDIO_M": "rtc.sdio.drefm",
    "RTC_CNTL_DREFL_SDIO_M": "rtc.sdio.drefl",
    "RTC_CNTL_SDIO_FORCE": "rtc.sdio.force",
    "RTC_CNTL_SDIO_PD_EN": "rtc.sdio.pd_en",
    "PMU_0P1A_FORCE_TIEH_SEL_0": "pmu.0p1a.force_tieh_sel",
    "PMU_0P1A_TARGET0_0": "pmu.0p1a.target0",
    "PMU_ANA_0P1A_EN_CUR_LIM_0": "pmu.0p1a.en_cur_lim",
}


def _clock(spec: ChipSpec, silicon: Silicon) -> Pairs:
    clock = spec.stub.cpu_clock
    if clock is None:
        return
    select = silicon.get("pcr.sysclk.soc_clk_sel")
    yield "cpu_clock.select", clock.select.address, silicon.get("pcr.sysclk_conf")
    if select is not None:
        mask = ((1 << select[1]) - 1) << select[0]
        yield "cpu_clock.select bits", clock.select.mask, mask
        yield "cpu_clock.pll", clock.pll >> select[0], silicon.get("pcr.sysclk.pll")
    yield "cpu_clock.mhz", clock.mhz, silicon.get("pcr.pll_mhz")
    yield "cpu_clock.bus_divider", clock.bus_divider, silicon.get("pcr.ahb_freq_conf")
    yield "cpu_clock.update", clock.update.address, silicon.get("pcr.bus_clk_update")
    bit = silicon.get("pcr.bus_clk_update.bit")
    yield "cpu_clock.update bit", clock.update.mask, None if bit is None else 1 << bit[0]
    if spec.crystal.mhz is not None:
        yield "cpu_clock.times", clock.mhz, clock.times * spec.crystal.mhz


def _stub(spec: ChipSpec, facts: firmware.Firmware, silicon: Silicon) -> Pairs:
    read, write = facts.uart_fifo
    ahb = silicon.get("uart0.fifo_ahb")
    fifos = [f for f in (silicon.get("uart0.fifo"), ahb) if f is not None]
    if fifos:
        yield "firmware.uart_fifo read", True, read in fifos
        yield "firmware.uart_fifo write", True, write in fifos
    base = spec.uart.clkdiv_reg & ~0xFF
    if facts.uart_update is not None:
        offset, bit = facts.uart_update
        place = silicon.get("uart0.update.bit")
        register = silicon.get("uart0.update") or silicon.get("uart0.id")
        yield "firmware.uart_update", base + offset, register
        yield "firmware.uart_update bit", bit, None if place is None else place[0]
    if facts.spi_hold is not None:
        offset, bit = facts.spi_hold
        place = silicon.get("spi1.misc.cs_keep_active")
        yield "firmware.spi_hold", spec.spi.base + offset, silicon.get("spi1.misc")
        yield "firmware.spi_hold bit", bit, None if place is None else place[0]
    yield "firmware.usb_jtag_base", facts.usb_jtag_base, silicon.get("usj.base")
    yield from _nand(facts.nand, silicon)
    calls = {
        "delay": ("rom.ets_delay_us",),
        "restart": ("rom.software_reset", "rom.rom_software_reboot"),
        "attach": ("rom.spi_flash_attach",),
        "encrypt": ("rom.esp_rom_spiflash_write_encrypted", "rom.SPI_Encrypt_Write"),
        "pins": ("rom.ets_efuse_get_spiconfig",),
        "select": ("rom.SelectSpiFunction",),
    }
    for ours, names in calls.items():
        theirs = next((v for n in names if (v := silicon.get(n)) is not None), None)
        yield f"firmware.rom.{ours}", getattr(facts.rom, ours), theirs
    if facts.security_info is not None:
        with_id = silicon.get("loader.security_info_chip_id")
        size = None if with_id is None else 20 if with_id else 12
        yield "firmware.security_info.bytes", facts.security_info.bytes, size
        known = silicon.versions("rom.GetSecurityInfoProc")
        for since, address in facts.security_info.function:
            yield f"firmware.security_info@{since}", address, known.get(since)
    for stub, otg in (facts.otg or {}).items():
        ends = {name: end for end, name in spec.stub.variants}
        since = 0 if stub in ends or not ends else max(ends.values())
        for ours, name in OTG.items():
            yield f"firmware.otg.{stub}.{ours}", getattr(otg, ours), _at(silicon, name, since)
        yield f"firmware.otg.{stub}.link_value", otg.link_value, silicon.get("usb.otg_number")
        device = _at(silicon, "rom.UartDev", since)
        yield f"firmware.otg.{stub}.link", otg.link[0][1], _next(device, 0x18)


def _nand(nand: firmware.NandWiring | None, silicon: Silicon) -> Pairs:
    """The general-purpose SPI controller and the way to its pins."""
    if nand is None:
        return
    bit = silicon.get("gpspi.in_select.bit")
    yield "firmware.nand.spi", nand.spi, silicon.get("gpspi.base")
    yield "firmware.nand.in_select_bit", nand.in_select_bit, None if bit is None else bit[0]
    for name in ("io_mux", "enable", "enable1", "in_select", "out_select"):
        yield f"firmware.nand.{name}", getattr(nand, name), silicon.get(f"gpspi.{name}")
    for name in ("signals", "pins"):
        yield f"firmware.nand.{name}", list(getattr(nand, name)), silicon.get(f"gpspi.{name}")
    steps = [[step.op.value, step.address, step.value] for step in nand.clock]
    yield "firmware.nand.clock", steps, silicon.get("gpspi.clock")


OTG = {
    "fill": "rom.cdc_acm_fifo_fill",
    "count": "rom.cdc_acm_rx_fifo_cnt",
    "read": "rom.cdc_acm_fifo_read",
    "poll": "rom.usb_dc_check_poll_for_interrupts",
    "device": "rom.uart_acm_dev",
}


def _at(silicon: Silicon, name: str, revision: int) -> Any:
    known = silicon.versions(name)
    since = max((s for s in known if s <= revision), default=None)
    return None if since is None else known[since]
