# SPDX-License-Identifier: Apache-2.0
"""What a job says, as values. No behaviour beyond small derived facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from esptool.chips.spec import ChipSpec
from esptool.image.regions import Region
from esptool.transport.discovery import PortFilter


@dataclass(frozen=True, slots=True)
class Slot:
    """A place where boards are plugged in. One of the four ways to find its port is set.

    Attributes:
        name: how people call it.
        port: the name or URL of a port that stays.
        usb: the USB socket, as lists of ports show it ("1-4.2").
        serial: the serial number of the USB adapter.
        any: a filter: each new port that passes it and no other slot has is a board.
    """

    name: str
    port: str | None = None
    usb: str | None = None
    serial: str | None = None
    any: PortFilter | None = None

    @property
    def where(self) -> str:
        """How messages call the place."""
        if self.port is not None:
            return self.port
        if self.usb is not None:
            return f"USB socket {self.usb}"
        if self.serial is not None:
            return f"the adapter with serial number {self.serial}"
        return "any new port that matches"


@dataclass(frozen=True, slots=True)
class DataSource:
    """Where the rows of boards are.

    Attributes:
        rows: a CSV or SQLite file, or the URL of a database.
        table: the table of a database.
        key: the column that tells rows apart.
        pool: the set of keys that no two boards share, whatever the file is called.
        record: columns that are recorded; all others are secrets.
        digest: columns of which the SHA-256 is recorded.
    """

    rows: str
    table: str
    key: str
    pool: str
    record: tuple[str, ...]
    digest: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Images:
    """What is the same on every board.

    Attributes:
        regions: data with offsets in flash, in order, loaded once.
        digests: name to SHA-256.
    """

    regions: tuple[Region, ...]
    digests: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Identity:
    """Which boards a job is for.

    Attributes:
        product: its name.
        chip: the chip.
        min_revision, max_revision: major * 100 + minor, both allowed; None where all are.
        baud: the rate to work at, a number or "auto".
    """

    product: str
    chip: ChipSpec
    min_revision: int | None
    max_revision: int | None
    baud: int | str
