# SPDX-License-Identifier: Apache-2.0
"""NVS partitions on devices and in files: read, changed in place, and built from tables."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esptool.errors import FileError, UsageError
from esptool.files import check_output, refuse_input_as_output, write_atomic
from esptool.ops.places import DeviceFlash, Place
from esptool.storage.nvs.generate import Row, build
from esptool.storage.nvs.keys import HMAC_KEY_BYTES, KEY_BYTES, NvsKeys
from esptool.storage.nvs.medium import LARGEST
from esptool.storage.nvs.nvs import Nvs
from esptool.storage.nvs.table import Device, read_config, read_devices, read_table
from esptool.storage.partition import DATA, NVS, UNDEFINED
from esptool.textfile import read_text

if TYPE_CHECKING:
    from esptool.events import Listener

#: Keys are for their owner alone.
PRIVATE = 0o600
#: A file that becomes one value; more than a partition holds.
_LARGEST_VALUE = 4 << 20


def read_nvs(place: Place, keys: NvsKeys | None = None) -> Nvs:
    """The NVS of a partition or file.

    Raises:
        FatalError: it cannot be read, or is not an NVS, or has other keys.
    """
    if place.size > LARGEST:
        raise UsageError(f"{place.label} has {place.size:#x} bytes, more than an NVS may have.")
    try:
        return Nvs(place.read(), keys)
    except UsageError as e:
        raise type(e)(f"{place.label}: {e.message}", remedy=e.remedy) from None


def require_for_nvs(place: Place) -> None:
    """Refuse to write an NVS over something else.

    Raises:
        UsageError: the partition is of a type that is not for NVS.
    """
    if place.partition.kind not in ((DATA, NVS), (DATA, UNDEFINED)):
        raise UsageError(
            f"{place.label[:1].upper()}{place.label[1:]} is not one for NVS: it would be "
            "destroyed.",
            remedy="Name a partition of type data and subtype nvs.",
        )


def write_changes(place: Place, nvs: Nvs, *, listener: Listener | None = None) -> int:
    """Bring what was changed in `nvs` to where it was read from.

    On a device bits are cleared and sectors erased in the order in which the chip's library does
    it, so that an interruption at any point leaves the former or the new values. A file is
    replaced as a whole.

    Returns:
        How many sectors changed.

    Raises:
        FatalError: it failed; says what is stored.
    """
    if not nvs.changes:
        return 0
    flash = place.flash
    if not isinstance(flash, DeviceFlash):
        return place.write(0, nvs.to_bytes())
    from esptool.ops.program import change_flash

    flash.forget(place.offset, place.size)
    return change_flash(flash.session, place.offset, nvs.former, nvs.changes, listener=listener)


# --- keys ----------------------------------------------------------------------------------------


def keys_from_file(path: str) -> NvsKeys:
    """Keys from a file: a key partition with its checksum, or 64 bytes.

    Raises:
        FatalError: it cannot be read, or is no such file.
    """
    data = _small_file(path, "key file")
    try:
        return NvsKeys(data) if len(data) == KEY_BYTES else NvsKeys.from_partition(data)
    except UsageError as e:
        raise UsageError(f"'{path}': {e.message}", remedy=e.remedy) from None


def keys_from_bytes(data: bytes) -> NvsKeys:
    """Keys from what a key file holds: a key partition, 64 bytes, or an HMAC key of 32 bytes.

    Raises:
        UsageError: it is none of them.
    """
    if len(data) == HMAC_KEY_BYTES:
        return NvsKeys.from_hmac(data)
    return NvsKeys(data) if len(data) == KEY_BYTES else NvsKeys.from_partition(data)


def keys_from_hmac_file(path: str) -> NvsKeys:
    """The keys that a chip derives from the HMAC key in a file of 32 bytes.

    Raises:
        FatalError: it cannot be read, or has another size.
    """
    data = _small_file(path, "HMAC key file")
    if len(data) != HMAC_KEY_BYTES:
        raise UsageError(f"'{path}': an HMAC key has {HMAC_KEY_BYTES} bytes, not {len(data)}.")
    return NvsKeys.from_hmac(data)


def keys_from_place(place: Place) -> NvsKeys:
    """The keys of a key partition.

    Raises:
        FatalError: it holds none that can be used.
    """
    try:
        return NvsKeys.from_partition(place.read(0, min(place.size, 0x1000)))
    except UsageError as e:
        raise UsageError(f"{place.label}: {e.message}", remedy=e.remedy) from None


def require_new_file(path: str) -> None:
    """Refuse to write new keys over others.

    Raises:
        FatalError: there is a file, or none can be written.
    """
    check_output(path)
    if os.path.isfile(path) and os.path.getsize(path):
        raise UsageError(
            f"'{path}' exists: what is encrypted with the keys in it would be lost.",
            remedy="Move it away, or give another name.",
        )


def write_keys(path: str, keys: NvsKeys, size: int) -> None:
    """Write a key partition that its owner alone may read.

    Raises:
        FatalError: it cannot be written.
    """
    write_atomic(path, keys.to_partition(size), PRIVATE)


# --- building ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Built:
    """An NVS that was made.

    Attributes:
        image: its bytes.
        remarks: what may not be meant.
        name: of a device, what its file is called, without an ending.
        keys: what it is encrypted with.
        sources: the files that it was made of.
    """

    image: bytes
    remarks: tuple[str, ...]
    name: str = ""
    keys: NvsKeys | None = None
    sources: tuple[str, ...] = ()


def build_nvs(
    paths: Sequence[str], size: int, *, version: int = 2, keys: NvsKeys | None = None
) -> Built:
    """An NVS of CSV files in the public format, one behind the other.

    Files that they name are looked for in the current folder, as by the public generator, then
    beside the table.

    Raises:
        FatalError: names the line that is wrong.
    """
    rows: list[Row | str] = []
    remarks: list[str] = []
    sources = list(paths)
    for path in paths:
        reader = _Reader(path)
        table = read_table(read_text(path, "table"), path, reader)
        rows += table.rows
        remarks += table.remarks
        sources += reader.paths
    image = build(rows, size, version=version, keys=keys)
    return Built(image, tuple(remarks), keys=keys, sources=tuple(sources))


def build_devices(
    config: str,
    values: str,
    size: int,
    *,
    version: int = 2,
    keys: NvsKeys | None = None,
    new_keys: bool = False,
    prefix: str = "nvs",
    id_column: str | None = None,
) -> Iterator[Built]:
    """An NVS for each device of a table of values, made when it is asked for.

    Args:
        config: a CSV file of keys, types and encodings; REPEAT marks what all devices share.
        values: a CSV file with a device a line.
        new_keys: each gets keys of its own.
        prefix: what the names of all devices begin with.
        id_column: the column of the value that they end with; a count from 1 without it.

    Raises:
        FatalError: names the line that is wrong.
    """
    cells = read_config(read_text(config, "configuration"), config)
    text = read_text(values, "table of values")
    used: dict[str, int] = {}
    reader = _Reader(values)
    for device in read_devices(cells, config, text, values, reader):
        name = _device_name(device, prefix, id_column, values)
        if name in used:
            raise UsageError(
                f"'{values}': devices {used[name]} and {device.number} would both be '{name}'."
            )
        used[name] = device.number
        own = NvsKeys.generate() if new_keys else keys
        image = build(device.table.rows, size, version=version, keys=own)
        sources = (config, values, *reader.paths)
        yield Built(image, device.table.remarks, name, own, sources)


def _device_name(device: Device, prefix: str, id_column: str | None, values: str) -> str:
    if id_column is None:
        return f"{prefix}-{device.number}"
    if id_column not in device.columns:
        raise UsageError(
            f"'{values}' has no column '{id_column}'.",
            remedy=f"It has: {', '.join(device.columns)}.",
        )
    word = device.columns[id_column].strip()
    if not word or not all(c.isalnum() or c in "-_.+:" for c in word) or word.startswith("."):
        raise UsageError(f"'{values}': '{word}' cannot be part of the name of a file.")
    return f"{prefix}-{word.replace(':', '-')}"


def device_files(folder: str, device: Built) -> tuple[str, str]:
    """The paths of the image and of the keys of a device."""
    path = os.path.join(folder, device.name)
    return f"{path}.bin", f"{path}-keys.bin"


def check_devices(devices: Iterable[Built], folder: str, *, new_keys: bool = False) -> int:
    """Make all images without writing one, and see that their files can be written.

    Returns how many there are.

    Raises:
        FatalError: what would go wrong, or keys would be lost with a file that exists.
    """
    if not os.path.isdir(folder):
        raise UsageError(f"There is no folder '{folder}'.", remedy="Make it first.")
    count = 0
    for device in devices:
        image, keys = device_files(folder, device)
        check_output(image)
        refuse_input_as_output(image, device.sources)
        if new_keys:
            require_new_file(keys)
        count += 1
    return count


def write_device(device: Built, folder: str, *, with_keys: bool) -> str:
    """Write the image of a device, and first its own keys. Returns the path of the image.

    Raises:
        FatalError: it cannot be written.
    """
    image, keys = device_files(folder, device)
    if with_keys and device.keys is not None:
        write_keys(keys, device.keys, 0x1000)
    write_atomic(image, device.image)
    return image


def value_from_file(path: str) -> bytes:
    """The bytes of a file that is to become one value.

    Raises:
        FatalError: it cannot be read, or is larger than an NVS.
    """
    return _small_file(path, "file", _LARGEST_VALUE)


class _Reader:
    """Reads files that a table names, each once."""

    def __init__(self, table: str) -> None:
        self._folder = os.path.dirname(os.path.abspath(table))
        self._known: dict[str, bytes] = {}
        self.paths: list[str] = []

    def __call__(self, name: str) -> bytes:
        if name not in self._known:
            beside = os.path.join(self._folder, name)
            path = name if os.path.exists(name) or not os.path.exists(beside) else beside
            self.paths.append(path)
            self._known[name] = value_from_file(path)
        return self._known[name]


def _small_file(path: str, what: str, largest: int = 1 << 16) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(largest + 1)
    except (OSError, ValueError) as e:
        reason = e.strerror if isinstance(e, OSError) and e.strerror else str(e)
        raise FileError(f"Cannot read the {what} '{path}': {reason}.") from e
    if len(data) > largest:
        raise FileError(f"The {what} '{path}' is larger than {largest} bytes.")
    return data
