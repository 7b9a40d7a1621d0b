# SPDX-License-Identifier: Apache-2.0
"""A job: one TOML file that says what is done with every board, checked whole before the first."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from esp_station import labgrid
from esp_station.database import file_url
from esp_station.images import Loader, chip_named
from esp_station.model import DataSource, Identity, Images, Slot
from esp_station.rows import Rows, TableError, open_rows
from esp_station.steps import READERS
from esp_station.steps.base import STAGES, Encryption, Env, Step
from esp_station.tomlfile import Document, Table, did_you_mean
from esptool.errors import FatalError, UsageError
from esptool.protocol.rates import AUTO
from esptool.transport.discovery import PortFilter, parse_port_filters
from esptool.transport.ports import check_baud, check_url

_REVISION = re.compile(r"v?(\d{1,2})(?:\.(\d{1,2}))?")
_WAYS = ("port", "usb", "serial", "any")
DEFAULT_BAUD = 921_600
#: Rows of a file that are tried before the first board; more would keep a line waiting.
_TRIED = 20_000


@dataclass(frozen=True, slots=True)
class Job:
    """What is done with every board.

    Attributes:
        path: the file.
        hash: SHA-256 of the file and of all files that it is made of, but for the rows.
        identity: which boards it is for.
        images: what is the same on all of them.
        source: where the rows are; None where it needs none.
        rows: the same, opened.
        steps: what is done, in order.
        slots: where boards are plugged in.
        records: the URL of the records.
        station: the name that the job gives to the station, else the machine's.
    """

    path: str
    hash: str
    identity: Identity
    images: Images
    source: DataSource | None
    rows: Rows | None
    steps: tuple[Step, ...]
    slots: tuple[Slot, ...]
    records: str
    station: str


def read_job(path: str, slots: Sequence[Slot] | None = None, records: str | None = None) -> Job:
    """Read a job and check everything that can be checked without a board.

    Args:
        path: the file.
        slots: in place of those of the file.
        records: the URL, or the file, of the records, in place of that of the file.

    Raises:
        FatalError: the file cannot be read.
        UsageError: something is wrong; names all of it by file and line, with remedies.
    """
    document = Document(path)
    root = document.root
    folder = os.path.dirname(os.path.abspath(path))
    product = root.text("product", required=True)
    chip = chip_named(root)
    low, high = _revisions(root)
    baud = _baud(root)
    records = _records(root, folder, records)
    station = root.text("station")
    rows, source = _rows(root, folder, product)
    own_slots = _slots(root)
    root.has("images")
    root.has("bundle")
    root.has("partition-table")
    root.has("partition-table-offset")
    root.has("step")
    if chip is None:
        # What follows hangs on the chip; its own mistakes show once there is one.
        root.finish()
        document.refuse_problems()
        raise AssertionError("unreachable")
    identity = Identity(product, chip, low, high, baud)
    loader = Loader(root, chip, folder)
    images = loader.load()
    columns = None if rows is None else rows.columns
    env = Env(folder, identity, images, loader.table, loader.table_offset, columns)
    env.rows_unread = rows is None and root.has("data")
    steps = _steps(root, env)
    root.finish()
    if not document.problems and rows is not None:
        _try_rows(root, rows, steps)
    document.refuse_problems()
    digest = _hash(document.text, sorted(images.digests.values()), env.files)
    return Job(
        path=path,
        hash=digest,
        identity=identity,
        images=images,
        source=source,
        rows=rows,
        steps=tuple(steps),
        slots=tuple(own_slots if slots is None else slots),
        records=records,
        station=station,
    )


def _hash(text: str, images: Sequence[str], files: Sequence[str]) -> str:
    digest = hashlib.sha256(text.encode())
    for image in images:
        digest.update(image.encode())
    for name in files:
        with open(name, "rb") as file:
            digest.update(hashlib.sha256(file.read()).digest())
    return digest.hexdigest()


# --- parts ---------------------------------------------------------------------------------------


def _revisions(root: Table) -> tuple[int | None, int | None]:
    """`revisions = { min = "v0.1", max = "v1.99" }`."""
    inner = root.table("revisions")
    if inner is None:
        return None, None
    low, high = (_revision(inner, key) for key in ("min", "max"))
    inner.finish()
    if low is not None and high is not None and low > high:
        inner.wrong(None, "No revision is allowed: min is above max.")
    return low, high


def _revision(table: Table, key: str) -> int | None:
    text = table.text(key)
    if not text:
        return None
    found = _REVISION.fullmatch(text)
    if found is None:
        table.wrong(key, f"'{text}' is not a revision.", "Write it as v1.2.")
        return None
    default = "99" if key == "max" else "0"
    return int(found[1]) * 100 + int(found[2] or default)


def _baud(root: Table) -> int | str:
    root.has("baud")
    value = root.values.get("baud", DEFAULT_BAUD)
    if value == AUTO:
        return AUTO
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            check_baud(value)
        except UsageError as e:
            root.wrong("baud", e.message, e.remedy)
        return value
    root.wrong("baud", "'baud' is a number, or \"auto\" for the best that a line bears.")
    return DEFAULT_BAUD


def _records(root: Table, folder: str, given: str | None) -> str:
    """The URL of the records: given, of the job, or `station.db` beside it."""
    text = root.text("records", "station.db")
    if given is not None:
        return given if "://" in given else file_url(given)
    return text if "://" in text else file_url(os.path.join(folder, text))


def records_of(path: str) -> str:
    """The URL of the records that a job names, whatever else is in it.

    Raises:
        FatalError: the file cannot be read, or is not TOML.
    """
    document = Document(path)
    url = _records(document.root, os.path.dirname(os.path.abspath(path)), None)
    document.refuse_problems()
    return url


def _rows(root: Table, folder: str, product: str) -> tuple[Rows | None, DataSource | None]:
    inner = root.table("data")
    if inner is None:
        return None, None
    where = inner.text("rows", required=True)
    key = inner.text("key", required=True)
    url = "://" in where
    table = inner.text("table", "boards")
    source = DataSource(
        rows=where if url else os.path.join(folder, os.path.expanduser(where)),
        table=table,
        key=key,
        pool=inner.text("pool", product),
        record=inner.texts("record"),
        digest=inner.texts("digest"),
    )
    inner.finish()
    if not where or not key:
        return None, None
    try:
        rows = open_rows(source.rows, source.table, source.key, source.pool)
    except FatalError as e:
        at_fault = "table" if isinstance(e, TableError) else "rows"
        inner.wrong(at_fault, e.message, e.remedy)
        return None, None
    for name in ("record", "digest"):
        for column in getattr(source, name):
            if column not in rows.columns:
                hint = did_you_mean(column, rows.columns)
                inner.wrong(name, f"There is no column '{column}'.{hint}")
    return rows, source


def _slots(root: Table) -> list[Slot]:
    found: list[Slot] = []
    for number, table in enumerate(root.tables("slot"), 1):
        table.has("name")
        value = table.values.get("name", str(number))
        name = str(value)
        places = [way for way in _WAYS if table.has(way)]
        if len(places) != 1:
            table.wrong(None, f"Slot '{name}' needs one of {', '.join(_WAYS)}.")
            continue
        if any(slot.name == name for slot in found):
            table.wrong("name", f"Two slots are called '{name}'.")
        slot = _slot(table, name, places[0])
        table.finish()
        if slot is None:
            continue
        twin = next((s for s in found if _same_place(s, slot)), None)
        if twin is not None:
            table.wrong(places[0], f"Slots '{twin.name}' and '{name}' are the same place.")
        found.append(slot)
    return found


def _same_place(a: Slot, b: Slot) -> bool:
    return (
        a.any is None and (a.port, a.usb, a.serial) == (b.port, b.usb, b.serial) and b.any is None
    )


def _slot(table: Table, name: str, way: str) -> Slot | None:
    try:
        match way:
            case "port":
                port = table.text("port")
                if port:
                    _check_port(port)
                return Slot(name, port=port) if port else None
            case "usb":
                return Slot(name, usb=table.text("usb"))
            case "serial":
                return Slot(name, serial=table.text("serial"))
            case _:
                return Slot(name, any=_filter(table))
    except FatalError as e:
        table.wrong(way, e.message, e.remedy)
        return None


def _filter(table: Table) -> PortFilter:
    if table.values.get("any") is True:
        return PortFilter()
    return parse_port_filters(table.texts("any"))


def parse_slot(text: str) -> Slot:
    """A slot of a command line: `NAME=PORT`, or just the port, which is its name as well.

    Raises:
        UsageError: it names no port.
    """
    name, equals, port = text.partition("=")
    if not equals or "://" in name:
        name = port = text
    if not name.strip():
        raise UsageError(f"'{text}' is not a slot.", remedy="Write NAME=PORT.")
    _check_port(port)
    return Slot(name, port=port)


def _check_port(port: str) -> None:
    """Refuse a port that cannot be one.

    Raises:
        UsageError: it cannot.
    """
    check_url(port)
    if labgrid.is_place(port):
        labgrid.Place(port)


def _steps(root: Table, env: Env) -> list[Step]:
    tables = root.tables("step")
    if not tables:
        root.wrong(None, "The job has no steps.", 'Add: [[step]] with do = "write"')
    found: list[Step] = []
    for table in tables:
        kind = table.choice("do", tuple(READERS), required=True)
        name = table.text("name", kind)
        if not kind:
            continue
        step = READERS[kind](table, env, name)
        table.finish()
        if step is not None:
            found.append(step)
    _judge_encryption(root, env)
    return found


def _judge_encryption(root: Table, env: Env) -> None:
    """Note what would be written so that no board started once flash encryption is on."""
    if env.encrypted and env.encryption is Encryption.KEY:
        root.wrong(
            "step",
            "The chip encrypts what is written, and no step turns flash encryption on: no board "
            "would start.",
            "Add a step 'recipe' without `until` behind it.",
        )
    plain = [name for name, seen in env.plain if seen or env.own_key]
    if env.encryption is Encryption.NONE or not plain:
        return
    root.wrong(
        "step",
        f"The recipe's key decrypts flash, and the step '{plain[0]}' writes in plain: no board "
        "would start.",
        f'Put it between {STAGES}; `write` takes encrypt = true. Or say key = "on chip" in the '
        "recipe: then the boot loader encrypts what is there at its first start.",
    )


def _try_rows(root: Table, rows: Rows, steps: Sequence[Step]) -> None:
    """See whether each row will do for the steps that use it; the first mistakes are noted."""
    wrong = 0
    for number, row in enumerate(rows.samples()):
        for step in steps:
            try:
                step.try_row(row)
            except FatalError as e:
                root.wrong("data", f"step '{step.name}': {e.message}", e.remedy)
                wrong += 1
        if wrong >= 10 or number >= _TRIED:
            break
