# SPDX-License-Identifier: Apache-2.0
"""`esptool nvs get`."""

from __future__ import annotations

from typing import Any

import click

from esptool.cli import machine
from esptool.cli.common import Command
from esptool.cli.nvs import common
from esptool.cli.params import OutputFile
from esptool.cli.state import Globals


@click.pass_obj
def _run(
    state: Globals,
    /,
    namespace: str,
    key: str,
    output: str | None,
    **values: Any,
) -> None:
    from esptool.errors import FatalError
    from esptool.logger import log

    inputs = [values[name] for name in ("file", "partition", "keys", "hmac_key")]
    with common.opened_nvs(state, values, "get") as (_, nvs):
        entry = nvs.entry(namespace, key)
        machine.result(common.as_data(entry))
        data = None
        try:
            value = nvs.get(namespace, key)
            data = entry.raw
        except FatalError:
            common.tell_problems(nvs)
            raise
        if output is not None and data is not None:
            from esptool.files import refuse_input_as_output, write_atomic
            from esptool.ops.nvs import PRIVATE

            refuse_input_as_output(output, inputs)
            write_atomic(output, data, PRIVATE if common.is_secret(entry, nvs) else None)
            machine.result({"file": output})
            log.print(f"Wrote {len(data)} bytes of '{key}' to '{output}'.")
        else:
            log.print(value.hex() if isinstance(value, bytes) else str(value))


command = Command(
    "get",
    callback=_run,
    help="Show the value of KEY in NAMESPACE of the NVS PARTITION; a blob in hex digits.",
    params=[
        common.partition_argument(),
        click.Argument(["namespace"]),
        click.Argument(["key"]),
        click.Option(
            ["--output", "-o"],
            type=OutputFile(),
            help="Write the bytes of the value to this file instead.",
        ),
        *common.source_options(),
    ],
)
