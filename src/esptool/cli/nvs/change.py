# SPDX-License-Identifier: Apache-2.0
"""`esptool nvs set` and `esptool nvs delete`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from esptool.cli import machine
from esptool.cli.common import Command
from esptool.cli.nvs import common
from esptool.cli.params import ReadableFile
from esptool.cli.state import Globals

if TYPE_CHECKING:
    from esptool.ops.places import Place
    from esptool.storage.nvs import Nvs

_TYPES = (
    *("u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64"),
    *("float", "double", "string", "blob", "hex2bin", "base64"),
)


@click.pass_obj
def _set(
    state: Globals,
    /,
    namespace: str,
    key: str,
    value: str | None,
    type_: str | None,
    value_file: str | None,
    **values: Any,
) -> None:
    from esptool.errors import UsageError
    from esptool.storage.nvs.values import Kind

    if (value is None) == (value_file is None):
        raise UsageError("Give either VALUE or --value-file.")
    with common.opened_nvs(state, values, "set", to_change=True) as (place, nvs):
        former = nvs.find(namespace, key)
        if type_ is not None:
            kind = Kind.BLOB if type_ in ("hex2bin", "base64") else Kind(type_)
        elif former is not None:
            kind = former.kind
        else:
            raise UsageError(
                f"The namespace '{namespace}' has no key '{key}' yet.",
                remedy="Say which type it is to have with --type, such as u8, i32 or string.",
            )
        if value_file is not None:
            wanted = _from_file(value_file, kind, type_)
        else:
            assert value is not None
            wanted = _from_word(value, kind, type_)
        common.tell_problems(nvs)
        nvs.set(namespace, key, wanted, kind)
        _write(place, nvs, f"'{key}' in '{namespace}'", "has that value already")


def _from_word(word: str, kind: Any, type_: str | None) -> Any:
    from esptool.storage.nvs.table import unpacked
    from esptool.storage.nvs.values import parse

    return unpacked("base64", word.encode()) if type_ == "base64" else parse(kind, word)


def _from_file(path: str, kind: Any, type_: str | None) -> Any:
    from esptool.errors import UsageError
    from esptool.ops.nvs import value_from_file
    from esptool.storage.nvs.table import unpacked
    from esptool.storage.nvs.values import Kind, parse

    data = value_from_file(path)
    if type_ in ("hex2bin", "base64"):
        return unpacked(type_, data)
    if kind is Kind.BLOB:
        return data
    try:
        text = data.decode()
    except UnicodeDecodeError as e:
        raise UsageError(f"'{path}' is not UTF-8 text, as a value of this type is.") from e
    return text if kind is Kind.STRING else parse(kind, text.strip(), f"What '{path}' holds")


def _write(place: Place, nvs: Nvs, what: str, unchanged: str) -> None:
    from esptool.logger import log
    from esptool.ops.nvs import write_changes

    if not nvs.changes:
        machine.result({"sectors_changed": 0})
        log.print(f"{what} {unchanged}: nothing is changed.")
        return
    count = write_changes(place, nvs)
    machine.result({"sectors_changed": count})
    log.print(f"{what}: done, {count} {'sector' if count == 1 else 'sectors'} changed.")


@click.pass_obj
def _delete(state: Globals, /, namespace: str, key: str | None, **values: Any) -> None:
    with common.opened_nvs(state, values, "delete", to_change=True) as (place, nvs):
        common.tell_problems(nvs)
        nvs.delete(namespace, key)
        what = f"namespace '{namespace}'" if key is None else f"'{key}' in '{namespace}'"
        _write(place, nvs, f"Deleting {what}", "holds nothing")


class _SetCommand(Command):
    """Takes a negative number as a value, where a word with a dash would be an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse as usual, with a mark before such numbers."""
        words = [_MARK + word if _negative(word) else word for word in args]
        rest = super().parse_args(ctx, words)
        for name in ("partition", "namespace", "key", "value"):
            if isinstance(ctx.params.get(name), str):
                ctx.params[name] = ctx.params[name].removeprefix(_MARK)
        return rest


#: No word of a command line holds one.
_MARK = "\0"


def _negative(word: str) -> bool:
    return word[:1] == "-" and (word[1:2].isdigit() or word[1:2] == "." or word == "-inf")


set_command = _SetCommand(
    "set",
    callback=_set,
    help="Give KEY in NAMESPACE of the NVS PARTITION a value, as the chip's own library does it: "
    "the new value is written behind the others, then the former one is marked as erased. A "
    "namespace that does not exist is made. The application must not be running meanwhile, and "
    "on a device it is not.",
    params=[
        common.partition_argument(),
        click.Argument(["namespace"]),
        click.Argument(["key"]),
        click.Argument(["value"], required=False),
        click.Option(
            ["--type", "-t", "type_"],
            type=click.Choice(_TYPES),
            help="The type of the value. Without it, it keeps the type that it has. A blob is "
            "written in hex digits (blob, hex2bin) or in Base64.",
        ),
        click.Option(
            ["--value-file"],
            type=ReadableFile(),
            help="Take the value from this file: a secret on a command line is seen by others.",
        ),
        *common.source_options(),
    ],
)

delete_command = Command(
    "delete",
    callback=_delete,
    help="Delete KEY in NAMESPACE of the NVS PARTITION, or without KEY all values of NAMESPACE.",
    params=[
        common.partition_argument(),
        click.Argument(["namespace"]),
        click.Argument(["key"], required=False),
        *common.source_options(),
    ],
)
