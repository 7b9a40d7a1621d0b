# SPDX-License-Identifier: Apache-2.0
"""What cannot be right in a record of silicon: ranges, overlaps, registers outside of their
peripheral. Keys are those of `facts/<chip>/silicon.json`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from esptool.virtual.silicon.spec import Bit, Efuse, Range, Silicon

#: (key, value, what is wrong with it)
Problem = tuple[str, object, str]

_TOP = 0x1_0000_0000
_PERIPHERAL = 0x1000
_EFUSE = 0x200
_WATCHDOG = 0x100


def problems(silicon: Silicon) -> list[Problem]:
    """Everything that cannot be right, in no particular order."""
    return [
        *_memory(silicon),
        *_registers(silicon),
        *_roms(silicon),
        *_loader(silicon),
        *(_efuse(silicon.efuse) if silicon.efuse is not None else ()),
    ]


def _memory(silicon: Silicon) -> Iterator[Problem]:
    for span in silicon.memory:
        if not 0 <= span.start < span.end <= _TOP:
            yield f"mem ({span.kind})", _shown(span), "is not a range of addresses"
    ram = [span for span in silicon.memory if span.kind in ("iram", "dram")]
    if not ram:
        yield "mem", None, "there is no RAM"
    for span in ram:
        for other in silicon.memory:
            meets = span.start < other.end and other.start < span.end
            if meets and other.kind not in ("iram", "dram"):
                yield f"mem ({span.kind})", _shown(span), f"overlaps {other.kind} {_shown(other)}"


def _registers(silicon: Silicon) -> Iterator[Problem]:
    uart, spi = silicon.uart, silicon.spi
    places: list[tuple[str, int | None, int, int]] = [
        (f"uart0.{name}", getattr(uart, name), uart.base, _PERIPHERAL)
        for name in ("clkdiv", "status", "date")
    ]
    places += [
        (f"spi1.{name}", getattr(spi, name), spi.base, _PERIPHERAL)
        for name in ("user", "user1", "user2", "w0", "mosi_dlen", "miso_dlen")
    ]
    if spi.hold is not None:
        places.append(("spi1.misc", spi.hold.address, spi.base, _PERIPHERAL))
    dog = silicon.watchdog
    if dog is not None:
        base = dog.config0 & -_WATCHDOG
        places += [
            (f"wdt.{name}", getattr(dog, name), base, _WATCHDOG)
            for name in ("config0", "config1", "feed", "wprotect", "swd_conf", "swd_wprotect")
        ]
        taken = [address for _, address, start, _ in places if start == base]
        if len({*taken} - {None}) != len([address for address in taken if address is not None]):
            yield "wdt", taken, "two registers stand at one address"
        for name, key in (("wkey", dog.key), ("swd_wkey", dog.swd_key)):
            if key is not None and not 0 < key < _TOP:
                yield f"wdt.{name}", key, "is not a word of 32 bits"
    for name, address, base, size in places:
        if address is None:
            continue
        if address % 4:
            yield name, f"{address:#x}", "is not an address of a word"
        elif not base <= address < base + size:
            yield name, f"{address:#x}", f"is not in the peripheral at {base:#x}"
    if uart.base not in uart.fifo:
        yield "uart0.fifo", [f"{a:#x}" for a in uart.fifo], "the UART's own base is not among them"
    starts = {"uart0.base": uart.base, "spi1.base": spi.base, "usj.base": silicon.usb_jtag}
    if silicon.efuse is not None:
        starts["efuse.base"] = silicon.efuse.base
    general = silicon.gpspi
    if general is not None:
        starts["gpspi.base"] = general.base
        for name in ("in_select", "out_select"):
            if getattr(general, name) % 4:
                yield f"gpspi.{name}", f"{getattr(general, name):#x}", "is not an address of a word"
        if len({*general.signals}) != 6 or not all(0 < s < 0x100 for s in general.signals):
            yield "gpspi.signals", list(general.signals), "are no six signals"
    seen: dict[int, str] = {}
    for name, start in starts.items():
        if start is None:
            continue
        if start % 0x100:
            yield name, f"{start:#x}", "no peripheral begins there"
        if start in seen:
            yield name, f"{start:#x}", f"{seen[start]} is there"
        seen[start] = name
    for name, bit in _bits(silicon):
        if not (bit.shift >= 0 and bit.width > 0 and bit.shift + bit.width <= 32):
            yield name, [bit.shift, bit.width], "are no bits of a register"


def _bits(silicon: Silicon) -> Iterator[tuple[str, Bit]]:
    dog, clock = silicon.watchdog, silicon.clock
    if dog is not None:
        yield "wdt.config0.en", dog.enable
        if dog.swd_auto_feed is not None:
            yield "wdt.swd.auto_feed_en", dog.swd_auto_feed
    if clock is not None:
        yield "pcr.sysclk.soc_clk_sel", clock.select
        yield "pcr.ahb_div", clock.divider
        yield "pcr.bus_clk_update.bit", clock.update
    if silicon.spi.hold is not None:
        yield "spi1.misc.cs_keep_active", silicon.spi.hold


def _roms(silicon: Silicon) -> Iterator[Problem]:
    if not silicon.roms or silicon.roms[0].since != 0:
        yield "rom", [rom.since for rom in silicon.roms], "the first revision has none"
    masks = [span for span in silicon.memory if span.kind == "rom"]
    for rom in silicon.roms:
        if rom.calls is None:
            continue
        names = ("attach", "restart", "delay", "encrypt", "security", "printf")
        for name in names:
            address = getattr(rom.calls, name)
            if not address and name in ("attach", "restart", "delay"):
                yield f"rom ({name})", address, f"is missing in the ROM of revision {rom.since}"
            if address and masks and not any(m.start <= address < m.end for m in masks):
                yield f"rom ({name})", f"{address:#x}", "is not in the ROM"
        if silicon.loader.security_info != bool(rom.calls.security):
            yield "loader.security_info", silicon.loader.security_info, "the ROM says otherwise"


def _loader(silicon: Silicon) -> Iterator[Problem]:
    loader = silicon.loader
    if loader.status_bytes not in (2, 4):
        yield "loader.status_bytes", loader.status_bytes, "is neither 2 nor 4"
    if loader.bootloader_offset % 0x1000:
        yield "image.bootloader_offset", loader.bootloader_offset, "no sector begins there"
    if silicon.chip_id is not None and not 0 <= silicon.chip_id < 0xFFFF:
        yield "image.chip_id", silicon.chip_id, "is not the id of a chip"


def _efuse(efuse: Efuse) -> Iterator[Problem]:
    spans: list[tuple[int, int, str]] = [
        (efuse.command, efuse.command + 4, "efuse.cmd"),
        (efuse.config, efuse.config + 4, "efuse.conf"),
    ]
    for block in efuse.blocks:
        key = f"efuse.block{block.index}"
        spans.append((block.read, block.read + 4 * block.words, key))
        if block.write is not None:
            spans.append((block.write, block.write + 4 * block.words, f"{key} (program window)"))
        if not 0 < block.words <= 10:
            yield key, block.words, "is not a number of words"
    spans.sort()
    for (start, end, key), (after, _, other) in pairwise(spans):
        if end > after:
            yield key, f"{start:#x}", f"reaches into {other}"
    for start, end, key in spans:
        if not 0 <= start < end <= _EFUSE:
            yield key, f"{start:#x}", "is not in the eFuse controller"
    bits = [block.write_disable for block in efuse.blocks if block.write_disable is not None]
    if len(set(bits)) != len(bits) or any(not 0 <= bit < 32 for bit in bits):
        yield "efuse.block*.wr_dis", bits, "two blocks have one bit, or there is no such bit"
    hidden = [bit for block in efuse.blocks for bit in block.read_disable]
    if len(set(hidden)) != len(hidden):
        yield "efuse.block*.rd_dis", hidden, "two blocks have one bit"
    sizes = {block.index: 32 * block.words for block in efuse.blocks}
    for name, field in [*efuse.fields.items(), *((str(p), p) for p in efuse.purposes)]:
        for number, position, length, _ in field:
            if not (length > 0 and position >= 0 and position + length <= sizes.get(number, 0)):
                yield f"efuses ({name})", [number, position, length], "is not in the block"
    for locks in efuse.locks:
        masks = [mask for _, mask in locks.write]
        if any(mask >> sizes.get(0, 0) for mask in masks):
            yield "efuses", f"revision {locks.since}", "a lock reaches beyond BLOCK0"
        if sum(mask.bit_count() for mask in masks) != _union(masks).bit_count():
            yield "efuses", f"revision {locks.since}", "two bits of WR_DIS lock the same field"


def _union(masks: list[int]) -> int:
    out = 0
    for mask in masks:
        out |= mask
    return out


def _shown(span: Range) -> str:
    return f"{span.start:#x}..{span.end:#x}"
