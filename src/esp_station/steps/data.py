# SPDX-License-Identifier: Apache-2.0
"""Steps that bring the data of one board to its flash: `nvs` and `files`."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from esp_station.steps.base import Env, Step
from esp_station.template import Template
from esp_station.tomlfile import Table, did_you_mean
from esptool.errors import FatalError, UsageError
from esptool.image.regions import Region
from esptool.ops.file_systems import kind_for, read_folder
from esptool.ops.nvs import value_from_file
from esptool.sizes import counted
from esptool.storage.fs import KINDS, PRESETS, Shape, build_image
from esptool.storage.names import Span
from esptool.storage.nvs.generate import Row as NvsRow
from esptool.storage.nvs.generate import build
from esptool.storage.nvs.keys import NvsKeys
from esptool.storage.nvs.layout import PAGE
from esptool.storage.nvs.table import read_config, read_devices
from esptool.storage.nvs.values import Kind, parse
from esptool.storage.partition import DATA, NVS, UNDEFINED
from esptool.textfile import read_text

if TYPE_CHECKING:
    from esp_station.board import Board
    from esp_station.rows import Row

_KINDS = tuple(kind.value for kind in Kind)
#: Stands for what only a board has when a row is tried without one.
_NO_BOARD: Mapping[str, str] = {
    **dict.fromkeys(("mac", "mac_plain"), "00:00:00:00:00:00"),
    **dict.fromkeys(("chip", "revision", "flash_id", "product", "station", "slot"), "x"),
    **dict.fromkeys(("attempt", "date", "time"), "0"),
}


def trial_facts(row: Row | None, measured: tuple[str, ...]) -> dict[str, str]:
    """What templates may speak of where there is a row but no board."""
    values = {} if row is None else {f"row.{name}": v for name, v in row.values.items()}
    return {**_NO_BOARD, **{f"value.{name}": "0" for name in measured}, **values}


# --- nvs -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Value:
    """One value of an NVS, whose text has places for the data of a board."""

    namespace: str
    key: str
    kind: Kind
    text: Template


@dataclass(frozen=True, slots=True)
class NvsStep(Step):
    """Builds an NVS of the board's values and writes it over the partition."""

    span: Span
    values: tuple[Value, ...]
    config: str | None
    key_span: Span | None
    measured: tuple[str, ...]
    encrypted: bool
    keys_encrypted: bool

    def run(self, board: Board) -> str | None:
        """See `Step.run`."""
        keys = NvsKeys.generate() if self.key_span is not None else None
        image = self.image(board.facts(), board.row, keys)
        regions = [
            Region(self.span.offset, image, self.span.partition.name, encrypted=self.encrypted)
        ]
        if keys is not None and self.key_span is not None:
            data = keys.to_partition(self.key_span.size)
            board.attempt.digests["NVS keys"] = hashlib.sha256(data[:64]).hexdigest()
            place, label = self.key_span.offset, self.key_span.partition.name
            regions.append(Region(place, data, label, encrypted=self.keys_encrypted))
        board.attempt.digests[f"NVS {self.span.partition.name}"] = hashlib.sha256(image).hexdigest()
        board.write(regions)
        return self.span.label

    def image(self, facts: Mapping[str, str], row: Row | None, keys: NvsKeys | None) -> bytes:
        """The NVS of a board.

        Raises:
            FatalError: a value is missing, cannot be meant, or does not fit.
        """
        rows: list[NvsRow | str] = []
        if self.config is not None:
            assert row is not None
            rows += self._configured(row)
        for value in self.values:
            # Its text may be a secret, so errors name the key instead.
            called = f"the value of '{value.namespace}.{value.key}'"
            parsed = parse(value.kind, value.text.fill(facts), called)
            rows.append(NvsRow(value.namespace, value.key, value.kind, parsed))
        image = build(rows, self.span.size, keys=keys)
        # Without a spare page only the pages in use are made; the rest must not be an old NVS.
        return image.ljust(self.span.size, b"\xff")

    def _configured(self, row: Row) -> list[NvsRow | str]:
        assert self.config is not None
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(row.values)
        writer.writerow(row.values.values())
        cells = read_config(read_text(self.config, "configuration"), self.config)
        [device] = read_devices(cells, self.config, text.getvalue(), row.where, value_from_file)
        return list(device.table.rows)

    def try_row(self, row: Row) -> None:
        """See `Step.try_row`."""
        try:
            self.image(trial_facts(row, self.measured), row, None)
        except FatalError as e:
            raise UsageError(f"{row.where}: {e.message}", remedy=e.remedy) from None


def read_nvs(table: Table, env: Env, name: str) -> Step | None:
    """The step `nvs`: `partition`, `values`, `config`, `keys-partition`."""
    text = table.text("partition", "nvs")
    span = env.span(table, "partition", text)
    if span is not None:
        known = span.partition.kind in ((DATA, NVS), (DATA, UNDEFINED))
        if not known or span.size % PAGE:
            table.wrong("partition", f"'{text}' is not a partition for NVS.")
            span = None
    values = _values(table, env)
    config = env.file(table, "config") if table.has("config") else None
    if not values and not table.has("config"):
        table.wrong(None, "'nvs' has no values.", 'Add: values = { "app.serial" = "{row.serial}" }')
    if config is not None:
        config = _checked_config(table, env, config)
    key_text = table.text("keys-partition")
    key_span = env.span(table, "keys-partition", key_text) if key_text else None
    if span is None or (key_text and key_span is None) or (table.has("config") and config is None):
        return None
    encrypted = env.writes_data(name, span.offset)
    keys_encrypted = key_span is not None and env.writes_data(name, key_span.offset)
    return NvsStep(
        "nvs", name, span, tuple(values), config, key_span, tuple(env.measured),
        encrypted, keys_encrypted,
    )  # fmt: skip


def _checked_config(table: Table, env: Env, path: str) -> str | None:
    if env.columns is None:
        table.wrong("config", "A configuration needs rows.", "Add [data] with rows and key.")
        return None
    try:
        read_config(read_text(path, "configuration"), path)
    except FatalError as e:
        table.wrong("config", e.message, e.remedy)
        return None
    return path


def _values(table: Table, env: Env) -> list[Value]:
    found: list[Value] = []
    inner = table.table("values")
    if inner is None:
        return found
    for key, what in inner.values.items():
        inner.has(key)
        pairs = {f"{key}.{k}": v for k, v in what.items()} if _is_namespace(what) else {key: what}
        for full, value in pairs.items():
            made = _value(inner, key, full, value, env)
            if made is not None:
                found.append(made)
    return found


def _is_namespace(what: Any) -> bool:
    """`[values.app]` with keys below, rather than one value with its type."""
    return isinstance(what, dict) and "value" not in what


def _value(table: Table, key: str, full: str, value: Any, env: Env) -> Value | None:
    namespace, dot, name = full.partition(".")
    if not dot or not namespace or not name or max(len(namespace), len(name)) > 15:
        table.wrong(
            key,
            f"'{full}' is not a key of an NVS.",
            'Write NAMESPACE.KEY in quotes, such as "app.serial"; each has up to 15 letters.',
        )
        return None
    kind = "string"
    if isinstance(value, dict):
        kind = str(value.get("type", "string"))
        unknown = next((k for k in value if k not in ("type", "value")), None)
        if unknown is not None:
            more = did_you_mean(unknown, ("type", "value"))
            table.wrong(key, f"Unknown key '{unknown}'.{more}")
        value = value["value"]
    elif isinstance(value, int):
        table.wrong(key, f"'{full}' is a number without a type.", _typed(value))
        return None
    if kind not in _KINDS:
        table.wrong(key, f"'{kind}' is not a type of NVS.{did_you_mean(kind, _KINDS)}")
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        table.wrong(key, f"'{full}' must be a text or a number.")
        return None
    text = env.template(table, key, str(value))
    return None if text is None else Value(namespace, name, Kind(kind), text)


def _typed(value: int) -> str:
    return f'Write {{ type = "u32", value = {value} }}.'


# --- files ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FilesStep(Step):
    """Builds a file system with the board's files and writes it over the partition."""

    span: Span
    system: str
    shape: Shape
    fixed: Mapping[str, bytes | None]
    texts: Mapping[str, Template]
    measured: tuple[str, ...]
    encrypted: bool

    def run(self, board: Board) -> str | None:
        """See `Step.run`."""
        image = self.image(board.facts())
        name = self.span.partition.name
        board.attempt.digests[f"files {name}"] = hashlib.sha256(image).hexdigest()
        board.write([Region(self.span.offset, image, name, encrypted=self.encrypted)])
        return f"{counted(len(self.fixed) + len(self.texts), 'file')} to {self.span.label}"

    def image(self, facts: Mapping[str, str]) -> bytes:
        """The file system of a board.

        Raises:
            FatalError: a value is missing, or it does not fit.
        """
        own = {path: text.fill(facts).encode() for path, text in self.texts.items()}
        return build_image(self.system, self.span.size, {**self.fixed, **own}, self.shape)

    def try_row(self, row: Row) -> None:
        """See `Step.try_row`."""
        try:
            facts = trial_facts(row, self.measured)
            for text in self.texts.values():
                text.fill(facts)
        except FatalError as e:
            raise UsageError(f"{row.where}: {e.message}", remedy=e.remedy) from None


def read_files(table: Table, env: Env, name: str) -> Step | None:
    """The step `files`: `partition`, `type`, `preset`, `folder`, and `files` with templates."""
    text = table.text("partition", required=True)
    span = env.span(table, "partition", text) if text else None
    preset = table.choice("preset", PRESETS)
    system = table.choice("type", KINDS, required=True) if table.has("type") else ""
    fixed = _folder(table, env, span)
    texts = _texts(table, env)
    if not fixed and not texts:
        table.wrong(None, "'files' has no files.", 'Add folder = "data", or [step.files].')
    if span is None or not preset or fixed is None:
        return None
    try:
        system = system or kind_for(span.partition, preset)
        shape = Shape(preset=preset)
        trial = dict.fromkeys(texts, b"")
        build_image(system, span.size, {**fixed, **trial}, shape)
    except FatalError as e:
        table.wrong(None, e.message, e.remedy)
        return None
    encrypted = env.writes_data(name, span.offset)
    measured = tuple(env.measured)
    return FilesStep("files", name, span, system, shape, fixed, texts, measured, encrypted)


def _folder(table: Table, env: Env, span: Span | None) -> dict[str, bytes | None] | None:
    """The files of a folder; None where that is wrong and noted."""
    name = table.text("folder")
    if not name:
        return {}
    try:
        return read_folder(env.path(name), span.size if span is not None else 1 << 28)
    except FatalError as e:
        table.wrong("folder", e.message, e.remedy)
        return None


def _texts(table: Table, env: Env) -> dict[str, Template]:
    inner = table.table("files")
    found: dict[str, Template] = {}
    for path in inner.values if inner is not None else ():
        assert inner is not None
        text = inner.text(path)
        made = env.template(inner, path, text) if text else None
        if made is not None:
            found[path] = made
    return found
