# SPDX-License-Identifier: Apache-2.0
"""What a field's bits mean and how a person may write them: a registry of small value codecs.

A codec turns raw bits (an integer, lowest bit first) into a value, and the text of a command line
into raw bits. Codecs know fields through the few names of `FieldView`; they burn nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from espefuse.schema import ChipTable, FieldDef
from esptool.errors import FatalError

Value = int | bool | str | float
MAC_BYTES = 6


class FieldView(Protocol):
    """What a codec may ask of a field."""

    d: FieldDef

    @property
    def table(self) -> ChipTable:
        """The table of the chip."""

    def raw(self, from_read: bool = True) -> int:
        """The field's bits as a number: as read, or as about to be written."""

    def sibling_raw(self, name: str) -> int:
        """The bits of another field, as read."""

    def is_readable(self, blk_part: int | None = None) -> bool:
        """Whether the bits can be read (or one part of a block that is protected in parts)."""


class Codec:
    """Plain numbers, flags and byte strings."""

    def value(self, field: FieldView, raw: int) -> Value:
        """What `get()` gives."""
        d = field.d
        if d.kind == "bool":
            return bool(raw)
        if d.kind == "uint":
            return raw
        return hex_bytes(field, raw)

    def meaning(self, field: FieldView, raw: int) -> Value:
        """What `get_meaning()` gives and the summary shows."""
        if field.d.labels:
            label = field.d.labels.get(raw)
            if label is not None:
                return label
        return self.value(field, raw)

    def parse(self, field: FieldView, text: str | None) -> int:
        """Raw bits of what a person wrote.

        Raises:
            FatalError: the text is not a value for this field.
        """
        d = field.d
        if d.kind == "bool":
            if text is None:
                return 1
            if number(d.name, text) != 1:
                raise FatalError(
                    f"New value is not accepted for eFuse '{d.name}' "
                    f"(will always burn 0->1), given value={text}"
                )
            return 1
        if text is None:
            raise FatalError(f"New value required for eFuse '{d.name}' (given None)")
        if d.kind == "uint":
            value = number(d.name, text)
            if value == 0:
                raise FatalError(f"New value should not be 0 for '{d.name}' (given value= {text})")
            return value
        return parse_bytes(d, text)


class BitCountCodec(Codec):
    """A counter that grows a bit at a time; without a value it takes the next step."""

    def parse(self, field: FieldView, text: str | None) -> int:
        if text is None:
            return (field.raw() << 1) | 1
        return super().parse(field, text)


class MacCodec(Codec):
    """A MAC address; an ESP32 keeps a checksum beside it.

    The factory's addresses are stored last byte first, the user's first byte first.
    """

    def value(self, field: FieldView, raw: int) -> Value:
        factory = field.d.name != "CUSTOM_MAC" and not field.d.bytes_from
        data = raw.to_bytes(field.d.length // 8, "big" if factory else "little")
        if not field.is_readable():
            text = ":".join("??" for _ in data)
            return f"{text} (CRC ?x?? OK)" if _mac_crc_field(field) else f"{text} (OK)"
        text = ":".join(f"{b:02x}" for b in data)
        crc_name = _mac_crc_field(field)
        if crc_name is None:
            return f"{text} (OK)"
        stored = field.sibling_raw(crc_name)
        expected = crc8(data)
        if stored == expected:
            return f"{text} (CRC 0x{stored:02x} OK)"
        return f"{text} (CRC 0x{stored:02x} invalid - calculated 0x{expected:02x})"

    def parse(self, field: FieldView, text: str | None) -> int:
        if text is None:
            raise FatalError("Required MAC Address in AA:CD:EF:01:02:03 format!")
        size = 8 if field.d.name == "MAC_EUI64" else MAC_BYTES
        return int.from_bytes(parse_mac(text, size, field.d.name), "little")


class KeyPurposeCodec(Codec):
    """What a key block is for, by name or number."""

    def value(self, field: FieldView, raw: int) -> Value:
        for purpose in field.table.purposes:
            if purpose.value == raw and not purpose.virtual:
                return purpose.name
        return " "

    def parse(self, field: FieldView, text: str | None) -> int:
        if text is None:
            raise FatalError(f"New value required for eFuse '{field.d.name}' (given None)")
        named = {p.name: p.value for p in field.table.purposes}
        plain = str(text).strip()
        value = named.get(plain.upper())
        if value is None:
            if not plain.lower().removeprefix("0x").strip("0123456789abcdef") == "":
                raise FatalError(f"'{text}' unknown name", remedy=_nearest(plain.upper(), named))
            try:
                value = int(plain, 0)
            except ValueError:
                message = f"'{text}' unknown name"
                raise FatalError(message, remedy=_nearest(plain.upper(), named)) from None
        if value < 0:
            raise FatalError(f"'{value}' unknown name (it stands for two key blocks)")
        if value == 0 or not any(p.value == value for p in field.table.purposes):
            raise FatalError(f"'{value}' can not be set (value out of range)")
        return value


class SignMagnitudeCodec(Codec):
    """A correction whose highest bit is its sign, times a step."""

    def __init__(self, step: float) -> None:
        self.step = step

    def value(self, field: FieldView, raw: int) -> Value:
        sign = 1 << (field.d.length - 1)
        return (-1 if raw & sign else 1) * (raw & (sign - 1)) * self.step

    def parse(self, field: FieldView, text: str | None) -> int:
        return super().parse(field, text)


class VrefCodec(Codec):
    """ESP32: deviation of the ADC reference from 1100 mV in steps of 7 mV."""

    def value(self, _field: FieldView, raw: int) -> Value:
        steps = raw & 0x0F
        return 1100 + 7 * (-steps if raw & 0x10 else steps)


class TwoPointCodec(Codec):
    """ESP32: ADC reading at a known voltage, a two's complement deviation in steps of 4."""

    BASE: ClassVar[dict[str, int]] = {
        "ADC1_TP_LOW": 278,
        "ADC2_TP_LOW": 421,
        "ADC1_TP_HIGH": 3265,
        "ADC2_TP_HIGH": 3406,
    }

    def value(self, field: FieldView, raw: int) -> Value:
        sign = 1 << (field.d.length - 1)
        steps = raw - 2 * sign if raw & sign else raw
        return self.BASE[field.d.name] + steps * 4


class SpiPinCodec(Codec):
    """ESP32: a pin number; the raw values 30 and 31 stand for the pins 32 and 33."""

    def value(self, _field: FieldView, raw: int) -> Value:
        return raw + 2 if raw >= 30 else raw

    def parse(self, field: FieldView, text: str | None) -> int:
        pin = super().parse(field, text)
        if pin in (30, 31):
            raise FatalError("IO pins 30 & 31 cannot be set for SPI flash. 0-29, 32 & 33 only.")
        if pin > 33:
            raise FatalError(f"IO pin {pin} cannot be set for SPI flash. 0-29, 32 & 33 only.")
        return pin - 2 if pin in (32, 33) else pin


CODECS: dict[str, Codec] = {
    "": Codec(),
    "keyblock": Codec(),
    "bitcount": BitCountCodec(),
    "mac": MacCodec(),
    "keypurpose": KeyPurposeCodec(),
    "t_sensor": SignMagnitudeCodec(0.1),
    "adc_tp": SignMagnitudeCodec(4),
    "adc_two_point": TwoPointCodec(),
    "vref": VrefCodec(),
    "spipin": SpiPinCodec(),
}


def codec_of(d: FieldDef) -> Codec:
    """The codec of a field; computed fields and unknown classes are plain numbers."""
    if d.kind == "bool" and d.codec != "bitcount":
        return CODECS[""]
    name = "adc_two_point" if d.name in TwoPointCodec.BASE else d.codec
    return CODECS.get(name, CODECS[""])


# --- helpers -----------------------------------------------------------------------------------


def hex_bytes(field: FieldView, raw: int) -> str:
    """ "00 01 ..", first byte first, with "??" for the parts that software cannot read."""
    d = field.d
    data = raw.to_bytes(d.length // 8, "little")
    parts = max(len(d.rd_dis), 1)
    size = len(data) // parts
    words = []
    for part in range(parts):
        readable = field.is_readable(part if parts > 1 else None)
        chunk = data[part * size : (part + 1) * size]
        words += [f"{b:02x}" if readable else "??" for b in chunk]
    return " ".join(words)


def number(name: str, text: str) -> int:
    """An integer in any Python notation; FatalError for anything else."""
    try:
        return int(str(text), 0)
    except ValueError:
        raise FatalError(
            f"'{text}' is not a number, but the eFuse '{name}' takes one (decimal, 0x... or 0b...)."
        ) from None


def parse_bytes(d: FieldDef, text: str) -> int:
    """Bytes of a field as hex: after "0x" the highest byte stands first, else the lowest."""
    digits = str(text)
    if digits.startswith("0x"):
        digits = digits[2:]
        order: Callable[[bytes], int] = lambda b: int.from_bytes(b, "big")  # noqa: E731
    else:
        order = lambda b: int.from_bytes(b, "little")  # noqa: E731
    try:
        data = bytes.fromhex(digits)
    except ValueError:
        raise FatalError(f"The value for eFuse '{d.name}' is not hexadecimal: '{text}'") from None
    if len(data) * 8 != d.length:
        raise FatalError(
            f"The length of eFuse '{d.name}' ({d.length} bits) "
            f"(given len of the new value= {len(data) * 8} bits)"
        )
    return order(data)


def parse_mac(text: str, size: int = MAC_BYTES, name: str = "CUSTOM_MAC") -> bytes:
    """The bytes of "AA:BB:...", first byte first.

    Raises:
        FatalError: another form or length, or a custom MAC that is multicast or all zeros.
    """
    parts = text.split(":")
    if len(parts) != size or any(len(p) != 2 for p in parts):
        raise FatalError(
            f"MAC Address needs to be a {size}-byte hexadecimal format separated by colons (:)!"
        )
    try:
        data = bytes.fromhex("".join(parts))
    except ValueError:
        raise FatalError(f"MAC Address '{text}' holds a non-hexadecimal digit!") from None
    if name == "CUSTOM_MAC" and data[0] & 1:
        raise FatalError("Custom MAC must be a unicast MAC!")
    if name == "CUSTOM_MAC" and not any(data):
        raise FatalError("Custom MAC must not be all zeros: that is what a blank chip holds.")
    return data


def crc8(data: bytes) -> int:
    """CRC-8/MAXIM, the checksum of an ESP32's MAC addresses."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0x8C if crc & 1 else crc >> 1
    return crc


def bit_text(value: int, bits: int) -> str:
    """Bits as the summary shows them: hex where they fill whole digits, else binary."""
    return f"0x{value:0{bits // 4}x}" if bits % 4 == 0 else f"0b{value:0{bits}b}"


def _mac_crc_field(field: FieldView) -> str | None:
    name = {"MAC": "MAC_CRC", "CUSTOM_MAC": "CUSTOM_MAC_CRC"}.get(field.d.name)
    return name if name and any(f.name == name for f in field.table.fields) else None


def _nearest(name: str, known: Any) -> str | None:
    from difflib import get_close_matches

    close = get_close_matches(name, list(known), n=3)
    return f"Did you mean {' or '.join(close)}?" if close else None
