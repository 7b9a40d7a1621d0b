# SPDX-License-Identifier: Apache-2.0
"""`esptool nvs keys`."""

from __future__ import annotations

import click

from esptool.cli import machine
from esptool.cli.common import Command
from esptool.cli.params import OutputFile, ReadableFile, Size


def _run(output: str, hmac_key: str | None, new_hmac_key: str | None, size: int) -> None:
    import os

    from esptool.errors import UsageError
    from esptool.files import write_atomic
    from esptool.logger import log
    from esptool.ops import nvs
    from esptool.storage.nvs import NvsKeys

    if hmac_key is not None and new_hmac_key is not None:
        raise UsageError("Give either --hmac-key or --new-hmac-key.")
    if size < 0x1000 or size % 0x1000:
        raise UsageError("A key partition has whole sectors of 0x1000 bytes.")
    if new_hmac_key is not None and os.path.abspath(new_hmac_key) == os.path.abspath(output):
        raise UsageError("OUTPUT and --new-hmac-key are the same file.")
    for path in (output, new_hmac_key):
        if path is not None:
            nvs.require_new_file(path)
    if new_hmac_key is not None:
        key = os.urandom(32)
        write_atomic(new_hmac_key, key, nvs.PRIVATE)
        log.print(f"Wrote a new HMAC key to '{new_hmac_key}'.")
        keys = NvsKeys.from_hmac(key)
    elif hmac_key is not None:
        keys = nvs.keys_from_hmac_file(hmac_key)
    else:
        keys = NvsKeys.generate()
    nvs.write_keys(output, keys, size)
    machine.result({"file": output, "size": size, "hmac_key_file": new_hmac_key})
    log.print(f"Wrote the keys to '{output}'.")


command = Command(
    "keys",
    callback=_run,
    help="Make the key partition of an encrypted NVS and write it to OUTPUT, for its owner alone: "
    "new keys, or those that a chip derives from an HMAC key.",
    params=[
        click.Argument(["output"], type=OutputFile()),
        click.Option(
            ["--hmac-key"], type=ReadableFile(), help="The HMAC key to derive them from, 32 bytes."
        ),
        click.Option(
            ["--new-hmac-key"],
            type=OutputFile(),
            help="Make a new HMAC key, too, and write it to this file.",
        ),
        click.Option(["--size"], type=Size(), default=0x1000, help="Bytes of the key partition."),
    ],
)
