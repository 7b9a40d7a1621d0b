# SPDX-License-Identifier: Apache-2.0
"""`esptool nvs build`."""

from __future__ import annotations

import os
from typing import Any

import click

from esptool.cli import machine, stdio
from esptool.cli.common import Command
from esptool.cli.nvs import common
from esptool.cli.params import OutputFile, ReadableFile, Size


@click.pass_context
def _run(
    ctx: click.Context,
    /,
    words: tuple[str, ...],
    size: int | None,
    version: str,
    devices: str | None,
    prefix: str,
    id_column: str | None,
    new_keys: str | None,
    own_keys: bool,
    **values: Any,
) -> None:
    from esptool.errors import UsageError
    from esptool.files import check_output, refuse_input_as_output, write_atomic
    from esptool.logger import log
    from esptool.ops import nvs
    from esptool.storage.nvs import NvsKeys

    tables, output, size = _files_and_size(ctx, words, size)
    key_files = [values[name] for name in ("keys", "hmac_key")]
    keys = common.keys_of(values)
    if sum((keys is not None, new_keys is not None, own_keys)) > 1:
        raise UsageError("Give one of --keys, --hmac-key, --new-keys and --new-keys-each.")
    if (devices is None) and (own_keys or id_column is not None):
        raise UsageError("--id and --new-keys-each are for several devices: add --devices.")
    if devices is not None and len(tables) > 1:
        raise UsageError("With --devices there is one TABLE.")
    if new_keys is not None and os.path.abspath(new_keys) == os.path.abspath(output):
        raise UsageError("OUTPUT and --new-keys are the same file.")
    if new_keys is not None:
        nvs.require_new_file(new_keys)
        keys = NvsKeys.generate()
    options: dict[str, Any] = {"version": int(version), "keys": keys}
    if devices is None:
        check_output(output)
        built = nvs.build_nvs(tables, size, **options)
        refuse_input_as_output(output, [*built.sources, *key_files])
        _remark(built.remarks)
        if new_keys is not None and keys is not None:
            nvs.write_keys(new_keys, keys, 0x1000)
            log.print(f"Wrote new keys to '{new_keys}'.")
        write_atomic(output, built.image)
        machine.result({"file": output, "size": len(built.image), "keys_file": new_keys})
        log.print(f"Wrote an NVS of {len(built.image):#x} bytes to '{output}'.")
        return
    more: dict[str, Any] = {"prefix": prefix, "id_column": id_column, "new_keys": own_keys}

    def made() -> Any:
        return nvs.build_devices(tables[0], devices, size, **options, **more)

    count = nvs.check_devices(made(), output, new_keys=own_keys)
    if new_keys is not None and keys is not None:
        nvs.write_keys(new_keys, keys, 0x1000)
        log.print(f"Wrote new keys to '{new_keys}'.")
    for number, device in enumerate(made(), 1):
        if number == 1:
            _remark(device.remarks)
        nvs.write_device(device, output, with_keys=own_keys)
        log.print(f"Wrote {device.name}.bin ({number} of {count}).")
    machine.result({"folder": output, "devices": count, "keys_file": new_keys})
    log.print(f"Wrote the NVS of {count} devices to '{output}'.")


def _files_and_size(
    ctx: click.Context, words: tuple[str, ...], size: int | None
) -> tuple[tuple[str, ...], str, int]:
    """Tables, output and size, which may also be the last word as in the public generator."""
    from esptool.errors import FatalError, UsageError
    from esptool.sizes import byte_count

    if size is None and len(words) > 2:
        try:
            size, words = byte_count(words[-1]), words[:-1]
        except FatalError:
            size = None
    if len(words) < 2:
        raise click.UsageError("Missing argument 'OUTPUT'.", ctx)
    if size is None:
        raise UsageError(
            "Say how large the partition is.", remedy="Give its bytes with --size, such as 0x6000."
        )
    tables = tuple(ReadableFile()(word, None, ctx) for word in words[:-1])
    return tables, words[-1], size


def _with_output(ctx: click.Context, words: tuple[str, ...]) -> tuple[str, ...]:
    """The words, where '-' behind the first one is standard output."""
    if ctx.resilient_parsing or stdio.DASH not in words[1:]:
        return words
    return (words[0], *(stdio.write_to(ctx) if w == stdio.DASH else w for w in words[1:]))


def _remark(remarks: tuple[str, ...]) -> None:
    from esptool.logger import log

    for remark in remarks:
        log.note(remark)


command = Command(
    "build",
    callback=_run,
    help="Make an NVS of the CSV file TABLE, or of several (columns key, type, encoding and value) "
    "and write it to OUTPUT. It is what ESP-IDF's partition generator makes. With --devices, "
    "TABLE has no values but may mark rows with REPEAT, and OUTPUT is a folder.",
    params=[
        click.Argument(
            ["words"],
            nargs=-1,
            required=True,
            metavar="TABLE... OUTPUT [SIZE]",
            callback=lambda ctx, param, value: _with_output(ctx, value),
        ),
        click.Option(
            ["--size"],
            type=Size(),
            help="Bytes of the partition, such as 0x6000 or 24k. It may also stand behind OUTPUT.",
        ),
        click.Option(
            ["--version"],
            type=click.Choice(["1", "2"]),
            default="2",
            help="2, in which blobs may span pages, or 1 for ESP-IDF before 3.2.",
        ),
        click.Option(
            ["--devices"],
            type=ReadableFile(),
            help="A CSV file of values: the first line names the keys, then a device a line.",
        ),
        click.Option(["--prefix"], default="nvs", help="What the names of devices begin with."),
        click.Option(
            ["--id", "id_column"],
            metavar="COLUMN",
            help="The column whose value ends the name of a device, in place of a count from 1.",
        ),
        *common.key_options(partition=False),
        click.Option(
            ["--new-keys"],
            type=OutputFile(),
            help="Encrypt it with new keys, which are written to this file.",
        ),
        click.Option(
            ["--new-keys-each", "own_keys"],
            is_flag=True,
            help="Encrypt the NVS of each device with keys of its own (NAME-keys.bin).",
        ),
    ],
)
