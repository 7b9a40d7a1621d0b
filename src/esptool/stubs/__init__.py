# SPDX-License-Identifier: Apache-2.0
"""The flasher stubs that come with the tool, and the reader of stub files in the public format.

A stub file is JSON: `entry`, `text` and `data` (base64), `text_start`, `data_start`, `bss_start`;
files with plug-ins have a table of handlers in `data` and code for each plug-in. Ours are built
from `firmware/` (`make stubs`) into `data/`, with `manifest.json` beside them.
"""

from __future__ import annotations

import base64
import json
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from esptool.errors import FatalError
from esptool.textfile import read_text

DATA = Path(__file__).with_name("data")
#: Folders of stub generations inside a folder of stub files, newest first.
GENERATIONS = ("2", "1")
ENV_DIR = "ESPTOOL_STUB_DIR"
_OPCODES = 0x100
_RAM = 1 << 24  # more than any chip has on board


@dataclass(frozen=True, slots=True)
class Plugin:
    """Extra code for a stub: its place, zeroed data that it needs, and opcode to offset."""

    text: bytes
    text_start: int
    bss_size: int
    handlers: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Stub:
    """A program for the chip's RAM.

    Attributes:
        ours: built from this project's firmware; may have extensions.
        table_offset: where in `data` the table of plug-in handlers is, None without one.
        segments: plug-in code to be loaded as well: (address, bytes).
    """

    name: str
    entry: int
    text: bytes
    text_start: int
    data: bytes
    data_start: int
    bss_start: int | None = None
    ours: bool = False
    table_offset: int | None = None
    first_opcode: int = 0xD5
    plugins: Mapping[str, Plugin] = field(default_factory=dict)
    segments: tuple[tuple[int, bytes], ...] = ()

    def with_plugins(self, names: Sequence[str]) -> Stub:
        """The stub with these plug-ins linked in.

        Raises:
            FatalError: it takes none, or has none of that name.
        """
        if not names:
            return self
        if self.table_offset is None:
            raise FatalError(
                f"The stub for {self.name} does not support plugins.",
                remedy="NAND flash (--flash-type nand) works on chips whose stub has one: "
                "see docs/guide/nand.md.",
            )
        data = bytearray(self.data)
        segments = list(self.segments)
        for name in names:
            plugin = self.plugins.get(name)
            if plugin is None:
                raise FatalError(f"Plugin '{name}' not found in the {self.name} stub.")
            self._refuse_misplaced(name, plugin)
            for slot, handler in self.handlers(name):
                struct.pack_into("<I", data, self.table_offset + 4 * slot, handler)
            data += bytes(plugin.bss_size)
            segments.append((plugin.text_start, whole_words(plugin.text)))
        return replace(self, data=bytes(data), segments=tuple(segments))

    def handlers(self, name: str) -> list[tuple[int, int]]:
        """(place in the table, address) of each handler of a plug-in.

        Raises:
            FatalError: there is no such place, or no code at that address.
        """
        plugin = self.plugins[name]
        out = []
        for opcode, offset in sorted(plugin.handlers.items()):
            slot = opcode - self.first_opcode
            at = (self.table_offset or 0) + 4 * slot
            in_data = slot >= 0 and at <= len(self.data) - 4
            if not in_data or not 0 <= offset < len(plugin.text):
                raise FatalError(
                    f"The {self.name} stub has no place for command {opcode:#x} of the "
                    f"plugin '{name}': its file is damaged."
                )
            out.append((slot, plugin.text_start + offset))
        return out

    def _refuse_misplaced(self, name: str, plugin: Plugin) -> None:
        """A plug-in that would overwrite its stub was made for another one."""
        start, end = plugin.text_start, plugin.text_start + len(plugin.text)
        own = ((self.text_start, len(self.text)), (self.data_start, len(self.data)))
        if end > 1 << 32 or any(start < at + size and at < end for at, size in own):
            raise FatalError(
                f"The plugin '{name}' does not fit the {self.name} stub: its code at "
                f"{start:#010x}-{end:#010x} would overwrite it."
            )


def whole_words(code: bytes) -> bytes:
    """Code as instruction memory takes it."""
    return code + bytes(-len(code) % 4)


def load(name: str) -> Stub:
    """The stub called `name` (`esp32c3`, `esp32p4-rev1`): ours, unless ESPTOOL_STUB_DIR names
    a folder that has one.

    Raises:
        FatalError: there is none, or its file is damaged.
    """
    folder = os.environ.get(ENV_DIR)
    if folder:
        return load_dir(folder, name)
    return _own(name)


@cache
def _own(name: str) -> Stub:
    path = DATA / f"{name}.json"
    if not path.is_file():
        raise FatalError(f"There is no stub for {name}.", remedy="Use --no-stub.")
    return replace(load_file(path), ours=True)


def load_dir(
    folder: str | os.PathLike[str], name: str, generations: Sequence[str] = GENERATIONS
) -> Stub:
    """The stub `name` in a folder of stub files, or in its newest generation sub-folder.

    Raises:
        FatalError: it is not there.
    """
    places = [Path(folder, g) for g in generations] + [Path(folder)]
    for place in places:
        path = place / f"{name}.json"
        if path.is_file():
            return load_file(path)
    raise FatalError(f"There is no stub file {name}.json in '{folder}'.")


def load_file(path: str | os.PathLike[str]) -> Stub:
    """Read one stub file.

    Raises:
        FatalError: the file is not a stub in the public format.
    """
    path = Path(path)
    text = read_text(path, "stub file")
    try:
        return _parse(path.stem, json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        raise FatalError(f"The stub file '{path}' is damaged: {damage(e)}.") from e


def damage(error: Exception) -> str:
    """What is wrong with a file whose content raised `error`, in words."""
    # Of a key that is missing, the exception tells nothing but its name.
    return f"it has no {error}" if isinstance(error, KeyError) else str(error)


def memory(stub: Stub) -> list[range]:
    """Addresses of RAM that a running stub takes up.

    Of ours the manifest tells all; a stub file alone does not say how much of its data is zeroed
    when it starts, nor where its stack is.
    """
    if stub.ours:
        parts = json.loads((DATA / "manifest.json").read_text(encoding="utf-8"))["stubs"]
        places = [(p["start"], p["size"]) for p in parts[stub.name]["ram"]]
    else:
        first = min(stub.data_start, stub.bss_start or stub.data_start)
        last = max(stub.data_start + len(stub.data), stub.bss_start or 0)
        places = [(stub.text_start, len(stub.text)), (first, last - first)]
    places += [(start, len(code)) for start, code in stub.segments]
    return [range(start, start + size) for start, size in places if size]


def _parse(name: str, raw: object) -> Stub:
    if not isinstance(raw, dict):
        raise ValueError("it holds no object of names and values")
    return Stub(
        name=name,
        entry=_word(raw, "entry"),
        text=_code(raw, "text"),
        text_start=_word(raw, "text_start"),
        data=_code(raw, "data"),
        data_start=_word(raw, "data_start", 0),
        bss_start=None if raw.get("bss_start") is None else _word(raw, "bss_start"),
        table_offset=None
        if raw.get("plugin_table_offset") is None
        else _word(raw, "plugin_table_offset"),
        first_opcode=_word(raw, "plugin_first_opcode", 0xD5, _OPCODES),
        plugins={n: _plugin(p) for n, p in (raw.get("plugins") or {}).items()},
    )


def _plugin(raw: dict[str, Any]) -> Plugin:
    handlers = raw["handlers"]
    return Plugin(
        text=_code(raw, "text"),
        text_start=_word(raw, "text_start"),
        bss_size=_word(raw, "bss_size", 0, _RAM),
        handlers={int(op, 16): _word(handlers, op, None, _RAM) for op in handlers},
    )


def _code(raw: Mapping[str, Any], key: str) -> bytes:
    """Code or data in base64; code must be there.

    Raises:
        KeyError: it is missing.
        ValueError: it is something else.
    """
    value = (raw["text"] if key == "text" else raw.get(key)) or ""
    try:
        code = base64.b64decode("".join(value.split()), validate=True)
    except (ValueError, AttributeError):
        raise ValueError(f"'{key}' is {value!r:.40}, not base64") from None
    if key == "text" and not code:
        raise ValueError("'text' holds no code")
    return code


def _word(raw: Mapping[str, Any], key: str, default: int | None = None, end: int = 1 << 32) -> int:
    """A number below `end`.

    Raises:
        KeyError: it is missing, and there is no default.
        ValueError: it is something else.
    """
    value = raw[key] if default is None else raw.get(key, default)
    if value is None and default is not None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < end:
        raise ValueError(f"'{key}' is {value!r:.40}, not a number from 0 to {end - 1:#x}")
    return value
