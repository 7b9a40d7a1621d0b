# SPDX-License-Identifier: Apache-2.0
"""Values as programs and people have them, and the bytes that NVS keeps of them."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from enum import Enum

from esptool.errors import UsageError
from esptool.storage.nvs.layout import LARGEST_ON_PAGE, MAX_KEY, ItemType

#: What a key can stand for.
Value = int | float | str | bytes


class Kind(Enum):
    """The type of a value, by the name that CSV files and commands use."""

    U8 = "u8"
    I8 = "i8"
    U16 = "u16"
    I16 = "i16"
    U32 = "u32"
    I32 = "i32"
    U64 = "u64"
    I64 = "i64"
    FLOAT = "float"
    DOUBLE = "double"
    STRING = "string"
    BLOB = "blob"

    @property
    def item_type(self) -> ItemType:
        """The type that its entry has when it is written."""
        return ItemType[self.name]

    @property
    def is_integer(self) -> bool:
        """A number without fraction."""
        return self.value[0] in "ui"


_OF_TYPE = {kind.item_type: kind for kind in Kind} | {
    ItemType.BLOB_DATA: Kind.BLOB,
    ItemType.BLOB_INDEX: Kind.BLOB,
}
_FORMATS = {Kind.FLOAT: "<f", Kind.DOUBLE: "<d"}


def kind_of(type_: int) -> Kind:
    """The kind of value that an entry type stands for."""
    return _OF_TYPE[ItemType(type_)]


@dataclass(frozen=True, slots=True)
class Entry:
    """A value in an NVS.

    Attributes:
        namespace, key: their names. A namespace without a name is shown as "#" and its index.
        kind: its type.
        raw: its bytes, those of a string without the zero at the end; None where they are damaged.
        page, index: the page that it begins on, and the number of the entry there.
        size: how many bytes it has, also where they are damaged.
        old_blob: it is a blob in the form of version 1.
    """

    namespace: str
    key: str
    kind: Kind
    raw: bytes | None
    page: int
    index: int
    size: int
    old_blob: bool = False

    @property
    def value(self) -> Value | None:
        """The value: a number, text, or bytes; None where it is damaged.

        Bytes of a string that are not UTF-8 are shown as \\\\xNN.
        """
        return None if self.raw is None else decode(self.kind, self.raw)


def encode(kind: Kind, value: Value) -> bytes:
    """The bytes that NVS keeps of a value; those of a string end with a zero.

    Raises:
        UsageError: the value is of another type, out of range, or too long.
    """
    match kind, value:
        case Kind.STRING, str() | bytes():
            data = value.encode() if isinstance(value, str) else value
            if b"\0" in data:
                raise UsageError("A string cannot hold a zero byte: use a blob.")
            if len(data) >= LARGEST_ON_PAGE:
                raise UsageError(
                    f"The string has {len(data)} bytes: it may have {LARGEST_ON_PAGE - 1}."
                )
            return data + b"\0"
        case Kind.BLOB, bytes():
            return value
        case ((Kind.FLOAT | Kind.DOUBLE), int() | float()):
            if math.isnan(value):
                raise UsageError("NVS takes no NaN.")
            try:
                return struct.pack(_FORMATS[kind], value)
            except OverflowError as e:
                raise UsageError(f"{value} is out of the range of a {kind.value}.") from e
        case _, int() if kind.is_integer and not isinstance(value, bool):
            bits = int(kind.value[1:])
            signed = kind.value[0] == "i"
            low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
            if not low <= value <= high:
                raise UsageError(
                    f"{value} is out of the range of {kind.value}: {low} to {high}.",
                )
            return value.to_bytes(bits // 8, "little", signed=signed)
    raise UsageError(f"A value of type {type(value).__name__} cannot be kept as {kind.value}.")


def decode(kind: Kind, raw: bytes) -> Value:
    """The value that bytes stand for; those of a string come without the zero at the end."""
    if kind is Kind.STRING:
        return raw.decode("utf-8", "backslashreplace")
    if kind is Kind.BLOB:
        return raw
    if kind in _FORMATS:
        value: float = struct.unpack(_FORMATS[kind], raw)[0]
        return value
    return int.from_bytes(raw, "little", signed=kind.value[0] == "i")


def parse(kind: Kind, text: str, called: str | None = None) -> Value:
    """The value that a person writes: decimal or 0x numbers, text as it is, a blob in hex digits.

    Args:
        kind: its type.
        text: what was written.
        called: how errors call it where it must not be shown, as it may be a secret.

    Raises:
        UsageError: that is no such value.
    """
    if kind is Kind.STRING:
        return text
    if kind is Kind.BLOB:
        try:
            return bytes.fromhex(text)
        except ValueError as e:
            raise UsageError("A blob is written in hex digits, two a byte.") from e
    if kind.is_integer:
        for base in (10, 0):
            try:
                return int(text, base)
            except ValueError:
                continue
        raise UsageError(
            f"{called or _quoted(text)} is not a number, as {kind.value} is: write it in decimal, "
            "or with 0x."
        )
    try:
        return float(text)
    except ValueError as e:
        raise UsageError(f"{called or _quoted(text)} is not a number, as {kind.value} is.") from e


def _quoted(text: str) -> str:
    return f"'{text}'"


def name_bytes(name: str, what: str) -> bytes:
    """The bytes of a key or of the name of a namespace.

    Args:
        what: which of the two, for errors.

    Raises:
        UsageError: empty, longer than 15 bytes, or with a zero in it.
    """
    data = name.encode("utf-8", "surrogateescape")
    if not data or len(data) > MAX_KEY or b"\0" in data:
        shown = name if len(name) < 60 else name[:57] + "..."
        raise UsageError(
            f"'{shown}' is not a valid {what}: it has 1 to {MAX_KEY} bytes, not {len(data)}."
            if b"\0" not in data
            else f"A {what} cannot hold a zero byte."
        )
    return data


def shown_name(name: bytes) -> str:
    """A key or a name as text; bytes that are not UTF-8 become \\\\xNN."""
    return name.decode("utf-8", "backslashreplace")
