# SPDX-License-Identifier: Apache-2.0
"""Who a chip is: revision, package name, features, MAC, worked out of register fields by data.

Pure: takes field values, gives texts. Reading the registers is the session's part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from esptool.chips.spec import ChipSpec, Identity, MacLayout, Part, RevisionRule, Variant, When
from esptool.errors import FatalError

#: Gives the value of a named field, or of "revision".
Lookup = Callable[[str], int]

#: ESP8266: selector bits (a lowest) to megabytes of embedded flash.
_FLASH_MB_8285 = {0b0001: 1, 0b0101: 2, 0b0010: 2, 0b0110: 4}


@dataclass(frozen=True, slots=True)
class Derived:
    """Fields that are computed from others (ESP8266's one-time-programmable bits)."""

    names: tuple[str, ...] = ("esp8285", "flash_mb")

    @staticmethod
    def value(name: str, lookup: Lookup) -> int:
        """`esp8285`: the chip has flash inside; `flash_mb`: how much, -1 unknown."""
        if name == "esp8285":
            return lookup("esp8285_a") | lookup("esp8285_b")
        return _FLASH_MB_8285.get(lookup("flash_sel"), -1)


DERIVED = Derived()


def revision(rule: RevisionRule | None, lookup: Lookup) -> int:
    """major * 100 + minor; 0 where the chip has no revisions."""
    if rule is None or rule.major is None or rule.minor is None:
        return 0
    if rule.zero_when and all(_holds(w, lookup) for w in rule.zero_when):
        return 0
    major = lookup(rule.major)
    if rule.major_map is not None:
        major = rule.major_map.get(major, 0)
    return major * 100 + lookup(rule.minor)


def description(spec: ChipSpec, lookup: Lookup) -> str:
    """The package name with its revision: "ESP32-C3 (QFN32) (revision v0.4)"."""
    name = "".join(p for part in spec.identity.name if (p := label(spec.identity, part, lookup)))
    marker = spec.identity.unknown_marker
    if marker and marker in name:
        name = f"Unknown {name}"
    if spec.identity.revision is None:
        return name
    rev = lookup("revision")
    return f"{name} (revision v{rev // 100}.{rev % 100})"


def features(spec: ChipSpec, lookup: Lookup) -> list[str]:
    """What the chip offers, in the order of its data."""
    texts = (label(spec.identity, part, lookup) for part in spec.identity.features)
    return [t for t in texts if t]


def label(identity: Identity, part: Part, lookup: Lookup) -> str | None:
    """The text that a part adds, or None."""
    if not all(_holds(w, lookup) for w in part.when):
        return None
    if not part.fields:
        return part.default
    values = tuple(lookup(f) for f in part.fields)
    text = part.labels.get(values, part.default)
    if isinstance(text, tuple):
        text = _first(text, lookup)
    if not text or part.vendor is None:
        return text
    if part.vendor_when and values[0] not in part.vendor_when:
        return text
    vendor = identity.vendors[part.vendor].get(lookup(part.vendor), "")
    return f"{text} ({vendor})" if vendor else text


def _first(variants: Sequence[Variant], lookup: Lookup) -> str | None:
    for v in variants:
        if all(_holds(w, lookup) for w in v.when):
            return v.label
    return None


def _holds(when: When, lookup: Lookup) -> bool:
    is_major = when.field == "major"
    value = lookup("revision") // 100 if is_major else lookup(when.field)
    match when.op:
        case "eq":
            return value == when.value
        case "ne":
            return value != when.value
        case "ge":
            return value >= when.value
    raise ValueError(when.op)


@dataclass(frozen=True, slots=True)
class Macs:
    """Factory addresses, 6 bytes (8 for `eui64`); the last two only on 802.15.4 chips."""

    base: bytes
    eui64: bytes | None = None
    ext: bytes | None = None


def decode_mac(layout: MacLayout, words: Sequence[int]) -> Macs:
    """The addresses out of the words at `Mac.word0` on.

    Raises:
        FatalError: an ESP8266 whose words fit no known vendor prefix.
    """
    if layout is MacLayout.OTP_8266:
        return Macs(_mac_8266(words))
    low, high = words[0], words[1]
    base = (high & 0xFFFF).to_bytes(2, "big") + low.to_bytes(4, "big")
    if layout is not MacLayout.BLK1_EUI64:
        return Macs(base)
    ext = (high >> 16).to_bytes(2, "big")
    return Macs(base, base[:3] + ext + base[3:], ext)


def _mac_8266(words: Sequence[int]) -> bytes:
    w0, w1, _w2, w3 = words
    low = bytes([(w1 >> 8) & 0xFF, w1 & 0xFF, (w0 >> 24) & 0xFF])
    if w3:
        return bytes([(w3 >> 16) & 0xFF, (w3 >> 8) & 0xFF, w3 & 0xFF]) + low
    prefixes: Mapping[int, bytes] = {0: b"\x18\xfe\x34", 1: b"\xac\xd0\x74"}
    prefix = prefixes.get((w1 >> 16) & 0xFF)
    if prefix is None:
        raise FatalError(f"Unknown OUI: the MAC words are {w0:08x} {w1:08x} {w3:08x}.")
    return prefix + low
