# SPDX-License-Identifier: Apache-2.0
"""What may be said of a virtual board in its URL or on the command line. No board is made here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from esptool import chips
from esptool.errors import UsageError
from esptool.sizes import byte_count
from esptool.virtual.clock import Timing
from esptool.virtual.faults import FaultPlan
from esptool.virtual.nand import NandOptions

#: Bits a second over the chip's own USB, where the rate that a host sets means nothing.
USB_BITS = 12_000_000


@dataclass(slots=True)
class Options:
    """A board as asked for.

    Attributes:
        chip: key of the chip, such as "esp32s3".
        name: boards of one name are one board within the process.
        part: flash part by name, or None for one of the right size.
        flash: flash size in bytes, or None for the part's (4 MB without a part).
        state: file that keeps flash and eFuses between runs.
        boot: "flash", "download", or "strap" (as the IO0 line says).
        link: "uart", "usb-jtag" or "usb-otg".
        latency_s: one-way delay of the line when time is charged.
        stub: what runs a stub: "auto", "emulated", "model", or "public" (a model of the public
            one, without our extensions).
        efuses: (address or field name, value) to burn at the factory.
        revision: chip revision, major * 100 + minor.
        nand: a NAND flash beside the flash that the chip boots from.
        serial: USB serial number.
        rom: file of the chip's own ROM, to be executed, or "auto" to find it.
        execute: a program in flash that lies in RAM with all its segments is executed.
    """

    chip: str
    name: str | None = None
    part: str | None = None
    flash: int | None = None
    state: str | None = None
    boot: str = "strap"
    link: str = "uart"
    timing: Timing = Timing.FAST
    latency_s: float = 0.0
    stub: str = "auto"
    mac: bytes | None = None
    revision: int | None = None
    crystal_mhz: int | None = None
    efuses: list[tuple[str, int]] = field(default_factory=list)
    faults: FaultPlan = field(default_factory=FaultPlan)
    nand: NandOptions = field(default_factory=NandOptions)
    serial: str | None = None
    secure_download: bool = False
    max_times: bool = False
    app: str | None = None
    rom: str | None = None
    execute: bool = False

    def line_bits(self, baud: int) -> int:
        """Bits a second of the line, where the UART's rate is `baud`."""
        return baud if self.link == "uart" else USB_BITS


def parse_url(url: str) -> Options:
    """The board that `virtual://CHIP?key=value&...` describes.

    Raises:
        UsageError: unknown chip, key or value; the text says which are known.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise UsageError(
            f"'{url}' cannot be read as a URL.", remedy="Write virtual://esp32s3?flash=8MB."
        ) from None
    if parts.scheme != "virtual":
        raise UsageError(
            f"'{url}' is not a virtual chip.", remedy="Write virtual://esp32s3?flash=8MB."
        )
    name = unquote(parts.netloc or parts.path.strip("/"))
    if not name:
        raise UsageError(f"'{url}' names no chip.", remedy="Write virtual://esp32s3?flash=8MB.")
    options = Options(chip=_chip(name))
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        set_option(options, key, value)
    return options


def _chip(name: str) -> str:
    key = chips.normalize(name)
    if key not in chips.KEYS:
        raise UsageError(f"Unknown chip '{name}'. Choose one of: {', '.join(chips.KEYS)}.")
    return key


def set_option(options: Options, key: str, value: str) -> None:
    """Take in one option.

    Raises:
        UsageError: unknown key, or a value that it does not take.
    """
    setter = _SETTERS.get(key.replace("-", "_"))
    if setter is None:
        raise UsageError(
            f"A virtual chip has no option '{key}'.",
            remedy=f"Options are: {', '.join(names())}.",
        )
    try:
        setter(options, value)
    except ValueError as e:
        raise UsageError(f"'{value}' does not suit the option '{key}': {e}") from None


def names() -> list[str]:
    """All keys that a URL may have."""
    return sorted(_SETTERS)


_YES = ("", "1", "yes", "true", "on")
_NO = ("0", "no", "false", "off")
_LONGEST_LATENCY_S = 60.0
_MOST_BLOCKS, _MOST_FLIPS = 0x10000, 100

Setter = Callable[[Options, str], None]


def _choice(attribute: str, *allowed: str) -> Setter:
    def take(options: Options, value: str) -> None:
        if value not in allowed:
            raise ValueError(f"choose one of {', '.join(allowed)}")
        setattr(options, attribute, value)

    return take


def _text(attribute: str) -> Setter:
    return lambda options, value: setattr(options, attribute, value)


def _flag(attribute: str) -> Setter:
    def take(options: Options, value: str) -> None:
        word = value.lower()
        if word not in (*_YES, *_NO):
            raise ValueError("say yes or no")
        setattr(options, attribute, word in _YES)

    return take


def _flash(options: Options, value: str) -> None:
    size = byte_count(value)
    if size < 0x10000 or size & (size - 1) or size > 1 << 28:
        raise ValueError("a power of two from 64KB to 256MB")
    options.flash = size


def _timing(options: Options, value: str) -> None:
    known = [timing.value for timing in Timing]
    if value not in known:
        raise ValueError(f"choose one of {', '.join(known)}")
    options.timing = Timing(value)


def _latency(options: Options, value: str) -> None:
    seconds = float(value.removesuffix("ms")) / 1000
    if not 0 <= seconds <= _LONGEST_LATENCY_S:
        raise ValueError("milliseconds from 0 to a minute")
    options.latency_s = seconds


def _mac(options: Options, value: str) -> None:
    options.mac = bytes.fromhex(value.replace(":", "").replace("-", ""))
    if len(options.mac) != 6:
        raise ValueError("six bytes, such as 60:55:f9:00:00:01")


def _revision(options: Options, value: str) -> None:
    major, _, minor = value.lstrip("v").partition(".")
    revision = int(major) * 100 + int(minor or "0")
    if not 0 <= revision <= 9999 or int(minor or "0") > 99:
        raise ValueError("major and minor, such as v3.1")
    options.revision = revision


def _crystal(options: Options, value: str) -> None:
    mhz = int(value.lower().removesuffix("mhz"))
    if not 10 <= mhz <= 100:
        raise ValueError("MHz, such as 26, 32, 40 or 48")
    options.crystal_mhz = mhz


def _efuse(options: Options, value: str) -> None:
    for item in value.split(","):
        name, _, number = item.partition(":")
        bits = int(number or "1", 0)
        if bits < 0:
            raise ValueError("bits are not negative")
        options.efuses.append((name, bits))


def _fault(options: Options, value: str) -> None:
    options.faults.add(value)


def _nand(options: Options, value: str) -> None:
    from esptool.virtual.nand_parts import find

    options.nand.part = find(value).name


def _numbers(text: str) -> list[int]:
    """`3,10-12` as 3, 10, 11, 12."""
    out: list[int] = []
    for item in text.split(","):
        first, dash, last = item.partition("-")
        numbers = range(int(first, 0), int(last if dash else first, 0) + 1)
        if not numbers or len(numbers) > _MOST_BLOCKS:
            raise ValueError("numbers, or ranges such as 10-12")
        out += numbers
    return out


def _nand_bad(options: Options, value: str) -> None:
    options.nand.bad += _numbers(value)


def _nand_worn(options: Options, value: str) -> None:
    for item in value.split(","):
        block, _, what = item.partition(":")
        if what not in ("erase", "program"):
            raise ValueError("blocks with what fails, such as 7:erase,9:program")
        options.nand.worn[int(block, 0)] = what


def _nand_flips(options: Options, value: str) -> None:
    for item in value.split(","):
        page, _, bits = item.partition(":")
        count = int(bits or "1", 0)
        if not 0 < count <= _MOST_FLIPS:
            raise ValueError(f"pages with 1 to {_MOST_FLIPS} wrong bits, such as 128:1,200:2")
        options.nand.flips[int(page, 0)] = count


def _nand_pins(options: Options, value: str) -> None:
    pins = tuple(int(pin, 0) for pin in value.split(","))
    if len(pins) != 5 or not all(0 <= pin < 49 for pin in pins):
        raise ValueError("five GPIO numbers: CLK,Q,D,HD,CS")
    options.nand.pins = pins


def _seed(options: Options, value: str) -> None:
    try:
        options.faults.seed = int(value, 0)
    except ValueError:
        raise ValueError("a whole number") from None


_SETTERS: dict[str, Setter] = {
    "name": _text("name"),
    "part": _text("part"),
    "flash": _flash,
    "state": _text("state"),
    "boot": _choice("boot", "flash", "download", "strap"),
    "link": _choice("link", "uart", "usb-jtag", "usb-otg"),
    "timing": _timing,
    "latency": _latency,
    "stub": _choice("stub", "auto", "emulated", "model", "public"),
    "mac": _mac,
    "rev": _revision,
    "crystal": _crystal,
    "efuse": _efuse,
    "fault": _fault,
    "nand": _nand,
    "nand_bad": _nand_bad,
    "nand_worn": _nand_worn,
    "nand_flips": _nand_flips,
    "nand_pins": _nand_pins,
    "seed": _seed,
    "serial": _text("serial"),
    "secure_download": _flag("secure_download"),
    "max_times": _flag("max_times"),
    "app": _text("app"),
    "rom": _text("rom"),
    "execute": _flag("execute"),
}
