# SPDX-License-Identifier: Apache-2.0
"""What a chip's data can be told wrong by, without any other source.

The generator refuses facts that have problems, and a test asks about every chip. A problem is the
path of the value inside the chip's data, the value, and what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from esptool.chips import normalize
from esptool.chips.spec import Arch, Bits, ChipSpec, CrystalMethod, FieldPart, Op, Step

Problem = tuple[str, object, str]

#: Registers of a peripheral lie in one window of this size.
PERIPHERAL = 0x1000
EFUSE_SIZE = 0x200
#: ESP32, S2 and ESP8266 reach UART0 at this address too.
UART_SECOND_BASE = 0x60000000
BIT_STEPS = (Op.SET_BITS, Op.CLEAR_BITS)
#: Link names of `Reset.usb_delay`.
LINKS = ("usb_otg", "usb_serial_jtag")


def problems(chip: ChipSpec) -> list[Problem]:
    """Everything that is wrong with one chip's data; an empty list for a good one."""
    found: list[Problem] = []
    for check in (
        *(_names, _addresses, _uart, _spi, _flash, _memory, _image, _identity, _security),
        *(_efuse, _reset, _stub, _constants, _power_on),
    ):
        found += check(chip)
    return found


def shared_problems(all_chips: Sequence[ChipSpec]) -> list[tuple[str, str, object, str]]:
    """What no two chips may have in common: (key of the later chip, path, value, text)."""
    unique: dict[str, Callable[[ChipSpec], object]] = {
        "name": lambda c: c.name,
        "image_chip_id": lambda c: c.image_chip_id,
        "rom.magic": lambda c: c.rom.magic,
    }
    found = []
    for path, value_of in unique.items():
        owner: dict[object, str] = {}
        for chip in all_chips:
            value = value_of(chip)
            if value is not None and owner.setdefault(value, chip.key) != chip.key:
                found.append((chip.key, path, value, f"is also that of {owner[value]}"))
    return found


def _names(chip: ChipSpec) -> Iterator[Problem]:
    if normalize(chip.name) != chip.key:
        yield "name", chip.name, f"does not give the key '{chip.key}'"
    if chip.image_chip_id is not None and not 0 <= chip.image_chip_id < 1 << 16:
        yield "image_chip_id", chip.image_chip_id, "does not fit the image header's two bytes"
    if chip.rom.magic is None and not chip.rom.security_info:
        yield "rom.magic", None, "nothing tells this chip from others"
    if chip.rom.status_bytes not in (2, 4):
        yield "rom.status_bytes", chip.rom.status_bytes, "must be 2 or 4"
    if (chip.arch is Arch.LX106) == chip.rom.flash_ops:
        yield "rom.flash_ops", chip.rom.flash_ops, "only the ROM of ESP8266 lacks them"
    if (chip.crystal.method is CrystalMethod.FIXED) != (chip.crystal.mhz is not None):
        yield "crystal.mhz", chip.crystal.mhz, "stands there when the crystal is fixed, only"
    if chip.crystal.mhz is not None and chip.crystal.mhz not in (26, 32, 40, 48):
        yield "crystal.mhz", chip.crystal.mhz, "no chip has such a crystal"


def _walk(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every `FieldPart`, `Bits` and `Step` in a chip's data."""
    if isinstance(value, (FieldPart, Bits, Step)):
        yield path, value
        return
    if isinstance(value, tuple):
        rows: Any = ((f"{path}[{i}]", v) for i, v in enumerate(value))
    elif hasattr(value, "items"):
        rows = ((f"{path}.{k}", v) for k, v in value.items())
    elif hasattr(value, "__dataclass_fields__"):
        names = value.__dataclass_fields__
        rows = ((f"{path}.{n}".lstrip("."), getattr(value, n)) for n in names)
    else:
        return
    for place, inner in rows:
        yield from _walk(inner, place)


def _addresses(chip: ChipSpec) -> Iterator[Problem]:
    for path, value in _walk(chip, ""):
        if value.address % 4:
            yield f"{path}.address", value.address, "is not a register's address"
        if isinstance(value, FieldPart):
            if value.width < 1 or value.shift + value.width > 32:
                yield f"{path}.width", value.width, "reaches past the register"
        elif isinstance(value, Bits) and not value.mask:
            yield f"{path}.mask", value.mask, "chooses no bit"
        elif isinstance(value, Step) and value.op in BIT_STEPS and not value.value:
            yield f"{path}.value", value.value, "chooses no bit"


def _window(address: int) -> int:
    return address - address % PERIPHERAL


def _uart(chip: ChipSpec) -> Iterator[Problem]:
    uart = chip.uart
    if uart.clkdiv_reg % PERIPHERAL != 0x14:
        yield "uart.clkdiv_reg", uart.clkdiv_reg, "stands 0x14 behind the base of every UART"
    if _window(uart.date_reg) not in (_window(uart.clkdiv_reg), UART_SECOND_BASE):
        yield "uart.date_reg", uart.date_reg, "lies in another peripheral than uart.clkdiv_reg"
    if not 0x14 < uart.date_reg % PERIPHERAL < 0x100:
        yield "uart.date_reg", uart.date_reg, "is not a register of a UART"
    if uart.xtal_clk_divider not in (1, 2):
        yield "uart.xtal_clk_divider", uart.xtal_clk_divider, "must be 1 or 2"


def _spi(chip: ChipSpec) -> Iterator[Problem]:
    spi = chip.spi
    if spi.base % 0x100:
        yield "spi.base", spi.base, "is not a base of a peripheral"
    taken: dict[int, str] = {}
    names = ("usr_offs", "usr1_offs", "usr2_offs", "mosi_dlen_offs", "miso_dlen_offs", "w0_offs")
    for name in names:
        offset = getattr(spi, name)
        if offset is None:
            continue
        if offset % 4 or not 0 < offset < 0x100:
            yield f"spi.{name}", offset, "is not a register of the controller"
        if taken.setdefault(offset, name) != name:
            yield f"spi.{name}", offset, f"is also spi.{taken[offset]}"
    if (spi.mosi_dlen_offs is None) != (spi.miso_dlen_offs is None):
        yield "spi.miso_dlen_offs", spi.miso_dlen_offs, "both lengths have a register, or none"
    if not spi.usr_offs < spi.usr1_offs < spi.usr2_offs < spi.w0_offs:
        yield "spi.usr_offs", spi.usr_offs, "USER, USER1, USER2 and W0 follow each other"


def _flash(chip: ChipSpec) -> Iterator[Problem]:
    flash = chip.flash
    if flash.bootloader_offset % 0x1000 or flash.bootloader_offset > 0x2000:
        yield "flash.bootloader_offset", flash.bootloader_offset, "is none of 0, 0x1000, 0x2000"
    for name, code in flash.sizes.items():
        whole_mb = name.endswith("MB") and name[:-2].isdecimal()
        if code & 0x0F or not 0 <= code <= 0xF0:
            yield f"flash.sizes.{name}", code, "stands in the upper half of a byte"
        elif chip.image.extended_header and whole_mb and 1 << (code >> 4) != int(name[:-2]):
            yield f"flash.sizes.{name}", code, "counts doublings of 1 MB in its upper half"
    for name, code in flash.frequencies.items():
        if not 0 <= code <= 0x0F:
            yield f"flash.frequencies.{name}", code, "stands in the lower half of a byte"
    if flash.encrypted_write_align not in (0, 16, 32):
        yield "flash.encrypted_write_align", flash.encrypted_write_align, "must be 0, 16 or 32"


def _memory(chip: ChipSpec) -> Iterator[Problem]:
    for i, r in enumerate(chip.memory_map):
        if not 0 <= r.start < r.end <= 1 << 32:
            yield f"memory_map[{i}]", [r.start, r.end, r.kind], "ends before it begins"
        if r.start % 4 or r.end % 4:
            yield f"memory_map[{i}]", [r.start, r.end, r.kind], "is not made of whole words"


def _image(chip: ChipSpec) -> Iterator[Problem]:
    for kind in ("irom", "drom"):
        start, end = getattr(chip.image, kind)
        if not 0 <= start <= end <= 1 << 32:
            yield f"image.{kind}", [start, end], "ends before it begins"
        mapped = [r for r in chip.memory_map if r.kind in ("IROM", "DROM")]
        if start < end and not any(r.start < end and start < r.end for r in mapped):
            yield f"image.{kind}", [start, end], "lies in no IROM or DROM of memory_map"
    if chip.image.tail_guard and not chip.image.secure_pad_v1:
        yield "image.tail_guard", chip.image.tail_guard, "is kept free for secure boot V1 only"
    if list(chip.image.mmu_page_sizes) != sorted(set(chip.image.mmu_page_sizes)):
        yield "image.mmu_page_sizes", list(chip.image.mmu_page_sizes), "must rise"
    for size in chip.image.mmu_page_sizes:
        if size & (size - 1) or not 0x2000 <= size <= 0x40000:
            yield "image.mmu_page_sizes", size, "is not a size of an MMU page"


def _identity(chip: ChipSpec) -> Iterator[Problem]:
    identity = chip.identity
    for name, parts in identity.fields.items():
        taken = 0
        for part in parts:
            bits = ((1 << part.width) - 1) << part.out_shift
            if taken & bits:
                yield f"identity.fields.{name}", bits, "two parts give the same bits"
            taken |= bits
        if taken & (taken + 1):
            yield f"identity.fields.{name}", taken, "no part gives some of the bits below these"
    known = {*identity.fields, "revision", "esp8285", "flash_mb"}
    for kind in ("name", "features"):
        for i, part in enumerate(getattr(identity, kind)):
            for name in part.fields:
                if name not in known:
                    yield f"identity.{kind}[{i}].fields", name, "is none of identity.fields"
            if part.vendor is not None and part.vendor not in identity.vendors:
                yield f"identity.{kind}[{i}].vendor", part.vendor, "is none of identity.vendors"
            for labels in part.labels:
                if len(labels) != len(part.fields):
                    yield f"identity.{kind}[{i}].labels", labels, "has not a value for each field"
    for vendor in identity.vendors:
        if vendor not in known:
            yield "identity.vendors", vendor, "is none of identity.fields"
    rule = identity.revision
    named = (rule.major, rule.minor, *(w.field for w in rule.zero_when)) if rule else ()
    for unknown in {*named} - {*known, None}:
        yield "identity.revision", unknown, "is none of identity.fields"
    if identity.mac.word0 % 4 or identity.mac.word1 % 4:
        yield "identity.mac", [identity.mac.word0, identity.mac.word1], "are no registers"


def _security(chip: ChipSpec) -> Iterator[Problem]:
    security = chip.security
    places = {
        name: getattr(security, name)
        for name in (
            *("secure_boot", "secure_boot_v2", "crypt_cnt", "no_manual_encrypt", "secure_version"),
        )
    }
    for i, part in enumerate(security.purpose_fields):
        places[f"purpose_fields[{i}]"] = part
    places["key_manager"] = security.key_manager
    for name, place in places.items():
        if place is None or chip.efuse is None:
            continue
        if not 0 <= place.address - chip.efuse.base < EFUSE_SIZE:
            yield f"security.{name}", place.address, "is not a register of the eFuse controller"
    taken: set[tuple[int, int]] = set()
    for i, part in enumerate(security.purpose_fields):
        bits = {(part.address, part.shift + n) for n in range(part.width)}
        if taken & bits:
            yield f"security.purpose_fields[{i}]", part.shift, "overlaps another purpose"
        taken |= bits
    manager = security.key_manager
    if manager is not None and security.key_manager_xts != 1 << (manager.width - 1):
        yield "security.key_manager_xts", security.key_manager_xts, "is not the field's top bit"
    count = len(security.purpose_fields)
    if count and chip.efuse is not None and count != chip.efuse.max_key + 1:
        yield "security.purpose_fields", count, "is not one for each key block"


def _efuse(chip: ChipSpec) -> Iterator[Problem]:
    efuse = chip.efuse
    if efuse is None:
        return
    for name in ("rd_reg_base", "block1"):
        address = getattr(efuse, name)
        if address is not None and not 0 <= address - efuse.base < EFUSE_SIZE:
            yield f"efuse.{name}", address, "is not a register of the eFuse controller"
    for name, parts in chip.identity.fields.items():
        for part in parts:
            inside = 0 <= part.address - efuse.base < EFUSE_SIZE
            if not inside and chip.rom.security_info:
                yield f"identity.fields.{name}", part.address, "is not a register of the controller"
    for word in (chip.identity.mac.word0, chip.identity.mac.word1):
        if not 0 <= word - efuse.base < EFUSE_SIZE:
            yield "identity.mac", word, "is not a register of the eFuse controller"
    for code in efuse.key_purposes:
        if not 0 <= code < 32:
            yield "efuse.key_purposes", code, "does not fit a purpose's field"


def _recipes(chip: ChipSpec) -> dict[str, tuple[Step, ...]]:
    watchdog = chip.reset.watchdog
    return {
        "reset.watchdog.steps": watchdog.steps if watchdog else (),
        "reset.quiet_watchdogs": chip.reset.quiet_watchdogs,
    }


def _reset(chip: ChipSpec) -> Iterator[Problem]:
    for path, steps in _recipes(chip).items():
        if not steps:
            continue
        if steps[-1].op is not Op.WRITE or steps[-1].value:
            yield f"{path}[{len(steps) - 1}]", steps[-1].value, "leaves the watchdog unlocked"
        unlocked: Step | None = None
        for i, step in enumerate(steps):
            if unlocked is None:
                if step.op is not Op.WRITE or not step.value:
                    yield f"{path}[{i}]", step.address, "is written while the watchdog is locked"
                unlocked = step
            elif _window(step.address) != _window(unlocked.address):
                yield f"{path}[{i}]", step.address, f"lies elsewhere than {unlocked.address:#x}"
            elif step.address == unlocked.address:
                unlocked = None
    quick = chip.reset.quick
    for name, least in (("low_ms", 2), ("strap_ms", 21), ("arm_ms", 2)):
        value = getattr(quick, name)
        if not least <= value <= 1000:
            # Below, EN of a usual board (10 kOhm, 1 uF) has not fallen, or risen.
            yield f"reset.quick.{name}", value, f"is not from {least} to 1000 ms"
    if chip.reset.usb_delay is not None and chip.reset.usb_delay not in LINKS:
        yield "reset.usb_delay", chip.reset.usb_delay, f"is none of {', '.join(LINKS)}"


def _stub(chip: ChipSpec) -> Iterator[Problem]:
    stub = chip.stub
    if stub.available and not stub.layouts:
        yield "stub.layouts", [], "a stub must lie somewhere"
    for _, name in stub.variants:
        if name not in stub.layouts:
            yield "stub.variants", name, "is none of stub.layouts"
    for name, layout in stub.layouts.items():
        for part in ("text_start", "data_start", "bss_start"):
            address = getattr(layout, part)
            path = f"stub.layouts.{name}.{part}"
            if address % 4:
                yield path, address, "is not aligned"
            elif part == "text_start" and chip.arch is Arch.LX106:
                continue  # the idle half of the instruction cache, which is no memory otherwise
            elif chip.memory_map and not any(address in r for r in chip.memory_map):
                yield path, address, "lies in no memory of memory_map"


def _same(chip: ChipSpec) -> Iterator[tuple[str, int, str]]:
    """v5 names and the places of the same value: (name, value, path)."""
    security, efuse, voltage, reset = chip.security, chip.efuse, chip.voltage, chip.reset
    pairs: tuple[tuple[str, str, str, Bits | None], ...] = (
        (
            "EFUSE_SECURE_BOOT_EN_REG",
            "EFUSE_SECURE_BOOT_EN_MASK",
            "security.secure_boot",
            security.secure_boot,
        ),
        (
            "EFUSE_SPI_BOOT_CRYPT_CNT_REG",
            "EFUSE_SPI_BOOT_CRYPT_CNT_MASK",
            "security.crypt_cnt",
            security.crypt_cnt,
        ),
        (
            "EFUSE_DIS_DOWNLOAD_MANUAL_ENCRYPT_REG",
            "EFUSE_DIS_DOWNLOAD_MANUAL_ENCRYPT",
            "security.no_manual_encrypt",
            security.no_manual_encrypt,
        ),
        ("EFUSE_RD_ABS_DONE_REG", "", "security.secure_boot", security.secure_boot),
        (
            "RTC_CNTL_OPTION1_REG",
            "RTC_CNTL_FORCE_DOWNLOAD_BOOT_MASK",
            "reset.otg_forced",
            reset.otg_forced,
        ),
        ("GPIO_STRAP_REG", "GPIO_STRAP_SPI_BOOT_MASK", "reset.otg_strap", reset.otg_strap),
    )
    for register, mask, path, bits in pairs:
        if bits is not None:
            yield register, bits.address, f"{path}.address"
            yield mask, bits.mask, f"{path}.mask"
    for i, part in enumerate(security.purpose_fields):
        yield f"EFUSE_PURPOSE_KEY{i}_REG", part.address, f"security.purpose_fields[{i}].address"
        yield f"EFUSE_PURPOSE_KEY{i}_SHIFT", part.shift, f"security.purpose_fields[{i}].shift"
    if security.key_manager is not None:
        register = "EFUSE_FORCE_USE_KEY_MANAGER_KEY"
        yield f"{register}_REG", security.key_manager.address, "security.key_manager.address"
        yield f"{register}_SHIFT", security.key_manager.shift, "security.key_manager.shift"
        name = "FORCE_USE_KEY_MANAGER_VAL_XTS_AES_KEY"
        yield name, security.key_manager_xts, "security.key_manager_xts"
    if chip.rom.security_info:
        yield "MAC_EFUSE_REG", chip.identity.mac.word0, "identity.mac.word0"
    if voltage is not None:
        yield "EFUSE_VDD_SPI_REG", voltage.efuse_reg, "voltage.efuse_reg"
        yield "VDD_SPI_FORCE", voltage.efuse_force, "voltage.efuse_force"
        yield "VDD_SPI_XPD", voltage.efuse_xpd, "voltage.efuse_xpd"
        yield "VDD_SPI_TIEH", voltage.efuse_tieh, "voltage.efuse_tieh"
        yield "GPIO_STRAP_REG", voltage.strap.address, "voltage.strap.address"
        yield "GPIO_STRAP_VDDSPI_MASK", voltage.strap.mask, "voltage.strap.mask"
        if voltage.rtc_reg is not None:
            yield "RTC_CNTL_SDIO_CONF_REG", voltage.rtc_reg, "voltage.rtc_reg"
    power = chip.flash_power_on
    if power is not None:
        path = "flash_power_on.skip_when_all_set"
        yield "EFUSE_RD_REPEAT_DATA1_REG", power.skip_when_all_set.address, path
        yield "EFUSE_DOWNLOAD_MODE_XPD_ON_MASK", power.skip_when_all_set.mask, path
    if chip.octal_flash is not None:
        name = "EFUSE_RD_REPEAT_DATA3_REG"
        yield name, chip.octal_flash.address, "octal_flash.address"
        yield f"{name}_FLASH_TYPE_MASK", chip.octal_flash.mask, "octal_flash.mask"
    if efuse is not None:
        for value, label in efuse.key_purposes.items():
            yield f"PURPOSE_VAL_{label.replace('_AES_', '_AES')}", value, "efuse.key_purposes"


def _constants(chip: ChipSpec) -> Iterator[Problem]:
    """The constants for v5 names agree with the values that the tool itself uses."""
    registers = chip.registers
    for name, value, path in _same(chip):
        if name in registers and registers[name] != value:
            yield f"registers.{name}", registers[name], f"is {value:#x} in {path}"
    for name, values in _watchdog_roles(chip).items():
        register = f"RTC_CNTL_{name}"
        if register in registers and registers[register] not in values:
            yield f"registers.{register}", registers[register], "is not so in the reset recipes"


def _power_on(chip: ChipSpec) -> Iterator[Problem]:
    """Each step of the recipe is made of registers and masks that have a v5 name."""
    power = chip.flash_power_on
    if power is None:
        return
    named = {*chip.registers.values(), 1}
    steps = [s for s in (*power.steps, *power.skip_steps) if s.op is not Op.SLEEP]
    for path, address, value in (
        *((f"flash_power_on.steps[{i}]", s.address, s.value) for i, s in enumerate(steps)),
        (
            "flash_power_on.skip_when_all_set",
            power.skip_when_all_set.address,
            power.skip_when_all_set.mask,
        ),
    ):
        if address not in named or value not in named:
            yield path, [address, value], "is not in registers"


def _watchdog_roles(chip: ChipSpec) -> dict[str, set[int]]:
    """What the recipes say of the watchdogs: v5 name without its prefix -> values found."""
    found: dict[str, set[int]] = {}

    def add(name: str, value: int) -> None:
        found.setdefault(name, set()).add(value)

    for path, steps in _recipes(chip).items():
        start = 0
        while start < len(steps):
            unlock = steps[start]
            end = start + 1
            while end < len(steps) - 1 and steps[end].address != unlock.address:
                end += 1
            inside = steps[start + 1 : end]
            start = end + 1
            kind = "SWD_" if any(step.op is Op.SET_BITS for step in inside) else "WDT"
            add(f"{kind}WPROTECT_REG", unlock.address)
            add(f"{kind.removesuffix('_')}_WKEY", unlock.value)
            for step in inside:
                if step.op is Op.SET_BITS:
                    add("SWD_CONF_REG", step.address)
                    add("SWD_AUTO_FEED_EN", step.value)
            if path == "reset.watchdog.steps" and len(inside) == 2:
                add("WDTCONFIG1_REG", inside[0].address)
                add("WDTCONFIG0_REG", inside[1].address)
            elif kind == "WDT":
                for step in inside:
                    add("WDTCONFIG0_REG", step.address)
    return found
