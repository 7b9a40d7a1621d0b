# SPDX-License-Identifier: Apache-2.0
"""The part of a chip's schema that says who it is: name, revision, features and MAC address.

All are made of fields in registers; see `esptool.chips.spec`, which shows these names as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import TypeVar

from esptool.records import dataclass, field

_K = TypeVar("_K")
_V = TypeVar("_V")


def frozen(mapping: Mapping[_K, _V]) -> Mapping[_K, _V]:
    """A read-only view, so that chip data cannot be changed by accident."""
    return MappingProxyType(dict(mapping))


@dataclass(frozen=True, slots=True)
class FieldPart:
    """Some bits of one 32-bit register, placed at `out_shift` of the assembled value."""

    address: int
    shift: int
    width: int
    out_shift: int = 0


Field = tuple[FieldPart, ...]


@dataclass(frozen=True, slots=True)
class When:
    """A condition on a field (or on "revision"): `op` is "eq", "ne" or "ge"."""

    field: str
    op: str
    value: int


@dataclass(frozen=True, slots=True)
class Variant:
    """A label that holds when all its conditions do; of several, the first match wins."""

    label: str
    when: tuple[When, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a chip's name, or one feature.

    With no `fields`, `default` is literal text. Otherwise the fields' values pick a label; None
    adds nothing. `vendor` names a vendor table whose label is appended as " (LABEL)" (for the
    values in `vendor_when`, or all known ones when that is empty).
    """

    fields: tuple[str, ...] = ()
    labels: Mapping[tuple[int, ...], str | tuple[Variant, ...] | None] = field(
        default_factory=lambda: frozen({})
    )
    default: str | None = None
    when: tuple[When, ...] = ()
    vendor: str | None = None
    vendor_when: tuple[int, ...] = ()


class MacLayout(Enum):
    """Where the factory MAC address stands."""

    OTP_8266 = "otp-8266"
    ESP32_BLK0 = "esp32-blk0"
    BLK1 = "blk1"
    BLK1_EUI64 = "blk1-eui64"


@dataclass(frozen=True, slots=True)
class Mac:
    """MAC address words: for BLK1 layouts `word0` holds the low 4 bytes, `word1` the upper 2."""

    layout: MacLayout
    word0: int
    word1: int


@dataclass(frozen=True, slots=True)
class RevisionRule:
    """How fields become a revision.

    `major_map` translates the raw major (unknown values give 0). When `zero_when` holds, the
    revision is v0.0 whatever the bits say (early ESP32-S3).
    """

    major: str | None
    minor: str | None
    major_map: Mapping[int, int] | None = None
    zero_when: tuple[When, ...] = ()


@dataclass(frozen=True, slots=True)
class Identity:
    """Fields, and the rules that make name, revision and features of them.

    `unknown_marker` in the assembled name puts "Unknown " in front of it.
    """

    fields: Mapping[str, Field]
    revision: RevisionRule | None
    name: tuple[Part, ...]
    features: tuple[Part, ...]
    vendors: Mapping[str, Mapping[int, str]]
    mac: Mac
    unknown_marker: str | None = None
