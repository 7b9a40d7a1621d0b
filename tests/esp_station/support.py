# SPDX-License-Identifier: Apache-2.0
"""Jobs for virtual boards, and what must stand in the flash of a board that passed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from esp_station import events
from esp_station.job import Job, read_job
from esp_station.model import Slot
from esp_station.records import Attempt, Query, Records
from esp_station.station import Station
from esptool.storage.nvs import Nvs
from esptool.storage.partitions import PartitionTable
from esptool.transport.settings import Settings
from esptool.virtual.board import NAMED

CHIP = "esp32s3"
PARTITIONS = """\
nvs,      data, nvs,      0x9000, 16K
factory,  app,  factory,  0x10000, 512K
storage,  data, spiffs,   ,       64K
"""
NVS_AT, NVS_SIZE, APP_AT = 0x9000, 0x4000, 0x10000
HEAD = """\
product = "lamp"
chip = "esp32s3"
partition-table = "partitions.csv"

[images]
partition-table = "partitions.csv"
factory = "app.bin"

[data]
rows = "boards.csv"
key = "serial"
record = ["batch"]
digest = ["token"]
"""
STEPS = """
[[step]]
do = "write"

[[step]]
do = "nvs"
values = { "app.serial" = "{row.serial}", "app.token" = "{row.token}" }
"""


def secret(serial: str) -> str:
    """The token of a row: nothing that may be found in the records."""
    return f"token-of-{serial}-{random.Random(serial).randrange(1 << 40):x}"


def write_rows(folder: Path, count: int) -> Path:
    """A CSV file with so many rows."""
    lines = [f"A-{n:04},{secret(f'A-{n:04}')},b{n % 3}" for n in range(count)]
    path = folder / "boards.csv"
    path.write_text("\n".join(["serial,token,batch", *lines]) + "\n")
    return path


def app_bytes(size: int = 20_000) -> bytes:
    """What stands for an application."""
    return b"\xe9\x00" + random.Random(1).randbytes(size)


def write_job(
    folder: Path, steps: str = STEPS, head: str = HEAD, *, rows: int = 20, app: bytes | None = None
) -> Path:
    """A job with all its files."""
    write_rows(folder, rows)
    (folder / "partitions.csv").write_text(PARTITIONS)
    (folder / "app.bin").write_bytes(app_bytes() if app is None else app)
    path = folder / "job.toml"
    path.write_text(head + steps)
    return path


def mac_of(number: int) -> str:
    """The MAC address of a board."""
    return f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"


def url_of(number: int, name: str, more: str = "") -> str:
    """The URL of a board, found again by its name in `NAMED`."""
    mac = mac_of(number)
    return f"virtual://{CHIP}?name={name}-{number}&mac={mac}&stub=model&timing=virtual{more}"


def slots_of(numbers: Iterable[int], name: str, more: str = "") -> list[Slot]:
    """A slot for each board."""
    return [Slot(str(n), port=url_of(n, name, more)) for n in numbers]


#: Boards on a clock of their own answer at once, or never.
HASTY = Settings(connect_attempts=3)


class Line:
    """A station in this process, with its records."""

    def __init__(
        self,
        path: Path,
        slots: Sequence[Slot],
        station: str = "here",
        settings: Settings = HASTY,
    ) -> None:
        self.job: Job = read_job(str(path), slots)
        self.book = Records(self.job.records)
        self.events: list[events.Event] = []
        self.station = Station(
            self.job,
            self.book,
            name=station,
            listener=self.events.append,
            once=True,
            settings=settings,
        )

    def run(self) -> dict[str, Attempt]:
        """Run it once on all slots; the last attempt of each slot."""
        self.station.run()
        return self.attempts()

    def attempts(self) -> dict[str, Attempt]:
        """The last attempt of each slot that is on record."""
        return {a.slot: a for a in self.book.find(Query(latest_first=False))}

    def close(self) -> None:
        """Let go of the databases."""
        self.book.close()
        if self.job.rows is not None:
            self.job.rows.close()


def run_line(path: Path, slots: Sequence[Slot], station: str = "here") -> dict[str, Attempt]:
    """Run a job once on all slots; the last attempt of each."""
    line = Line(path, slots, station)
    try:
        return line.run()
    finally:
        line.close()


def wrong_in_flash(name: str, attempt: Attempt, app: bytes) -> str:
    """What in the flash of a named board is not as it must be after PASS; nothing when all is."""
    return wrong_in_cells(NAMED[name].nor.cells.read, attempt, app)


def wrong_in_cells(read: Callable[[int, int], bytes], attempt: Attempt, app: bytes) -> str:
    """The same of cells that `read(offset, size)` gives."""
    if read(APP_AT, len(app)) != app:
        return "the application differs"
    if read(0x8000, 0xC00) != PartitionTable.from_csv(PARTITIONS).to_bytes()[:0xC00]:
        return "the partition table differs"
    nvs = Nvs(read(NVS_AT, NVS_SIZE))
    serial = attempt.row_key or ""
    for key, value in (("serial", serial), ("token", secret(serial))):
        if nvs.get("app", key) != value:
            return f"'{key}' in the NVS differs"
    return ""
