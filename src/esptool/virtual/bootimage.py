# SPDX-License-Identifier: Apache-2.0
"""What a chip's ROM makes of the program that it finds in the flash, and what it says of it.

The order of the checks and the words are those of the genuine ROMs, which `make test-roms` runs
beside this model. What differs between them is data of the silicon.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

from esptool.records import dataclass
from esptool.virtual.nor import SECTOR
from esptool.virtual.silicon.spec import Loads

if TYPE_CHECKING:
    from esptool.virtual.soc import Soc

_MAGIC, _SIGNATURE_MAGIC = 0xE9, 0xE7
_MOST_SEGMENTS = 16
#: From this length on a segment fits in no window of the cache, and is no segment.
_NO_LENGTH = 0x400000
#: A text that comes again without end is shown so often: by then the watchdog has bitten.
_ENDLESS = 3
#: Purposes of keys: the first of three digests of public keys.
_FIRST_DIGEST = 9

#: Names by the byte of the image's header, and the divider of 80 MHz by half a byte of it.
_MODES = {0: "QIO", 1: "QOUT", 2: "DIO", 3: "DOUT"}
_DIVIDERS = {0: 2, 1: 3, 2: 4, 0xF: 1}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the ROM has said, and what becomes of the program.

    Attributes:
        text: what it has printed, with the ends of lines.
        runs: it has jumped to the program.
        again: where it has not, its watchdog starts the chip anew.
    """

    text: bytes
    runs: bool
    again: bool


@dataclass(frozen=True, slots=True)
class _Segment:
    """One part of a program: `at` is where its data stand in the flash."""

    address: int
    length: int
    at: int

    @property
    def wraps(self) -> bool:
        """It does not end below 4 GiB."""
        return self.address + self.length > 1 << 32


class _Refusal(Exception):  # noqa: N818 - what the ROM says, not an error of ours
    """The ROM does not start the program: its last words."""


def load(soc: Soc) -> Verdict:
    """Look at the program in flash as the chip's ROM does."""
    kind = soc.rom.boot.loads
    lines: list[str] = []
    try:
        if kind is Loads.ESP8266:
            _esp8266(soc, lines)
        else:
            _Loading(soc, lines).run()
    except _Refusal as refusal:
        lines += [line for line in str(refusal).split("\n") if line]
        # The prompt of ESP32's interpreter waits on its line.
        end = b"\r\n" if lines and lines[-1] != ">" else b""
        again = kind is not Loads.ESP8266 and lines[-1:] != [">"]
        return Verdict("\r\n".join(lines).encode() + end, runs=False, again=again)
    if soc.options.app:
        lines.append(soc.options.app)
    return Verdict("".join(line + "\r\n" for line in lines).encode(), runs=True, again=False)


#: Loaders that tell of a program with its mode on a line that begins with "SPI".
_SPI_MODE = (Loads.SPI_MODE, Loads.ASSERTS)


class _Loading:
    """The loader of ESP32 and later."""

    def __init__(self, soc: Soc, lines: list[str]) -> None:
        self._soc, self._lines = soc, lines
        self._boot = soc.rom.boot
        self._stops = self._boot.stops
        if self._boot.loads is Loads.ASSERTS:
            file, _, line = self._boot.stops.partition(" ")
            self._stops = (
                f'assertion "result == ETS_OK" failed: file "{file}", line {line}, '
                "function: ets_flash_boot"
            )
        self._start = soc.silicon.loader.bootloader_offset
        self._header = soc.read_program(self._start, 24)

    def run(self) -> None:
        """All of it."""
        boot, header, lines = self._boot, self._header, self._lines
        esp32 = boot.loads is Loads.ESP32
        self._see_header()
        secure = self._secure()
        mode, clock = _MODES.get(header[2], "UNKNOWN"), _DIVIDERS.get(header[3] & 0xF, 2)
        if esp32:
            lines.append(f"configsip: 0, SPIWP:0x{header[8]:02x}")
            pins = [header[9 + i // 2] >> 4 * (i & 1) & 0xF for i in range(6)]
            names = ("clk", "q", "d", "cs0", "hd", "wp")
            lines.append(",".join(f"{n}_drv:0x{p:02x}" for n, p in zip(names, pins, strict=True)))
            if secure:
                mode = str(header[2])
        elif boot.loads is Loads.WITH_WP:
            lines.append(f"SPIWP:0x{header[8]:x}")
        if boot.loads is not Loads.UNKNOWN:
            spi = "SPI " if boot.loads in _SPI_MODE else ""
            lines.append(f"{spi}mode:{mode}, clock div:{clock}")
        if secure:
            self._verify()
        self._load()
        lines.append(f"entry 0x{struct.unpack_from('<I', header, 4)[0]:08x}")

    def _see_header(self) -> None:
        """Magic, number of segments and chip."""
        boot, header = self._boot, self._header
        chip = struct.unpack_from("<H", header, 12)[0]
        esp32 = boot.loads is Loads.ESP32
        if header[0] != _MAGIC:
            if boot.no_program:
                raise _Refusal(f"{boot.no_program}\n{self._stops}")
            self._again(f"invalid header: 0x{struct.unpack_from('<I', header)[0]:08x}")
        if boot.loads is Loads.UNKNOWN or (esp32 and boot.no_program):
            return
        if esp32:
            if chip != self._soc.silicon.chip_id:
                self._again(f"wrong chip id 0x{chip:04x}")
            return
        if header[1] > _MOST_SEGMENTS:
            raise _Refusal(f"Invalid image block count: {header[1]} (max 16)\n{self._stops}")
        if chip != self._soc.silicon.chip_id:
            raise _Refusal(
                f"Invalid chip id. Expected {self._soc.silicon.chip_id} read {chip}. "
                f"Bootloader for wrong chip?\n{self._stops}"
            )

    def _again(self, line: str) -> None:
        boot = self._boot
        end = self._stops if boot.tries else ""
        raise _Refusal("\n".join([*[line] * (boot.tries or _ENDLESS), end]))

    def _segments(self) -> list[_Segment]:
        out, at = [], self._start + 24
        for _ in range(self._header[1]):
            address, length = struct.unpack("<II", self._soc.read_program(at, 8))
            out.append(_Segment(address, length, at + 8))
            if length >= _NO_LENGTH:
                break
            at += 8 + length
        return out

    def _load(self) -> None:
        """Segments into RAM, with their sums."""
        boot, lines, read = self._boot, self._lines, self._soc.read_program
        esp32 = boot.loads is Loads.ESP32
        check, at = 0xEF, self._start + 24
        for segment in self._segments():
            length = segment.length
            if length >= _NO_LENGTH and boot.loads is Loads.UNKNOWN:
                break
            if length < _NO_LENGTH or esp32 or (boot.cut and not segment.wraps):
                shown = _signed(length) if esp32 else f"0x{length:x}"
                lines.append(f"load:0x{segment.address:08x},len:{shown}")
            if length >= _NO_LENGTH:
                raise _Refusal(self._no_segment(segment))
            for byte in read(segment.at, length):
                check ^= byte
            at = segment.at + length
        if boot.loads is Loads.UNKNOWN:
            return
        end = (at - self._start | 15) + 1
        image = read(self._start, end + 32)
        stored = image[end - 1]
        if stored != check:
            if esp32:
                raise _Refusal(f"csum err:0x{check:02x}!=0x{stored:02x}\n{self._stops}")
            raise _Refusal(
                f"Checksum failure. Calculated 0x{check:02x} stored 0x{stored:02x}\n{self._stops}"
            )
        # The ROM compares a hash that is not there as well.
        digest = hashlib.sha256(image[:end]).hexdigest()
        if not esp32 and image[end:].hex() != digest:
            lines += [
                "SHA-256 comparison failed:",
                f"Calculated: {digest}",
                f"Expected: {image[end:].hex()}",
                "Attempting to boot anyway...",
            ]

    def _no_segment(self, segment: _Segment) -> str:
        boot = self._boot
        if boot.loads is Loads.ESP32:
            # It goes on to map flash for it, and does not come back.
            return ""
        if not boot.cut:
            named = f"0x{segment.address:x}, len:0x{segment.length:x}"
            return f"Invalid image block:{named}\n{self._stops}"
        return boot.cut if segment.wraps else f"Invalid image block, can't boot.\n{self._stops}"

    # --- secure boot -------------------------------------------------------------------------

    def _secure(self) -> bool:
        """Signatures are looked at: version 2 of secure boot, on ESP32 from v3.0 on."""
        if self._boot.loads is Loads.ESP32:
            return bool(self._boot.refusal and self._soc.secure_boot_v2)
        return bool(self._boot.refusal and self._soc.secure_boot)

    def _verify(self) -> None:
        boot, lines, read = self._boot, self._lines, self._soc.read_program
        stops = f"{boot.refusal}\n{self._stops}"
        if boot.loads is Loads.ESP32:
            lines.append("secure boot v2 enabled")
            stops = boot.refusal
        else:
            keys = self._digests()
            if not keys:
                raise _Refusal(stops)
            lines.append(f"Valid secure boot key blocks: {' '.join(map(str, keys))}")
        at = self._start + 24
        for segment in self._segments():
            if segment.length >= _NO_LENGTH:
                raise _Refusal(f"Invalid image block, can't verify.\n{stops}")
            at = segment.at + segment.length
        size = (at - self._start | 15) + 1
        image = read(self._start, size + 32)
        hashed = hashlib.sha256(image[:size]).digest()
        if boot.loads is not Loads.ESP32 and image[size:] != hashed:
            raise _Refusal(f"SHA-256 simple hash comparison failed.\n{stops}")
        signed = -(-(size + 32) // SECTOR) * SECTOR
        found = read(self._start + signed, 1)[0]
        if found != _SIGNATURE_MAGIC:
            raise _Refusal(f"{self._no_signature(found)}\n{stops}")

    def _no_signature(self, found: int) -> str:
        if self._boot.loads in _SPI_MODE:
            what = "Incorrect magic byte found at signature sector."
        else:
            what = (
                "No signature block magic byte found at signature sector "
                f"(found 0x{found:x} not 0x{_SIGNATURE_MAGIC:x})."
            )
        return f"{what} Image not V2 signed?"

    def _digests(self) -> list[int]:
        """The digests of public keys that the eFuses hold, by number."""
        efuse = self._soc.efuse
        if efuse is None:
            return []
        if not efuse.layout.purposes:
            return [0]
        purposes = [efuse.shown(field) - _FIRST_DIGEST for field in efuse.layout.purposes]
        return [number for number in range(3) if number in purposes]


def _signed(value: int) -> int:
    return value - (1 << 32) if value >> 31 else value


def _esp8266(soc: Soc, lines: list[str]) -> None:
    """ESP8266's loader, which fetches the image 16 bytes at a time."""
    header = soc.nor.read(0, 8)
    end = soc.rom.boot.stops
    if header[0] != _MAGIC:
        raise _Refusal(end)
    at, check = 8, 0xEF
    for _ in range(header[1]):
        address, length = struct.unpack("<II", soc.nor.read(at, 8))
        at += 8
        # Of the first block it has the header and this place already.
        room = 16 if at == 16 else -at % 16
        lines.append(f"load 0x{address:08x}, len {_signed(length)}, room {room} ")
        if length >= _NO_LENGTH:
            raise _Refusal("")
        for byte in soc.nor.read(at, length):
            check ^= byte
        at += length
        lines += [f"tail {(length - room) % 16}", f"chksum 0x{check:02x}"]
    lines.append(f"csum 0x{check:02x}")
    if soc.nor.read(at | 15, 1)[0] != check:
        raise _Refusal(f"csum err\n{end}")
